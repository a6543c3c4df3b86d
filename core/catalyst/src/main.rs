//! The `catalyst` command.

mod cli;
mod doctor;
mod up;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A container is set up by this same executable, started again; that must
    // happen before anything makes a thread.
    catalyst_node::shim::main_if_shim();
    cli::run()
}
