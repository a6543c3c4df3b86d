//! The process between the node and a container.
//!
//! [`main_if_shim`] is the first call in `main`: it takes over when the program
//! was started as a shim and never returns then. At that point the process has
//! one thread, which is what joining a user namespace requires.

mod exec;
mod link;
mod logs;
mod rootfs;
mod run;
mod sandbox;
mod sys;

pub mod spec;

use std::io::Read;

pub(crate) use sys::receive_fd;

/// The first argument that turns the program into a shim.
pub const SHIM_ARGUMENT: &str = "catalyst-node-shim";

/// Largest specification accepted, in bytes.
const SPECIFICATION_LIMIT: u32 = 16 << 20;

/// Takes the process over when it was started as a shim; returns otherwise.
///
/// Must be called before any thread is started.
pub fn main_if_shim() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(SHIM_ARGUMENT) {
        return;
    }
    let outcome = match arguments.next().as_deref() {
        Some("sandbox") => read_specification().and_then(|spec| sandbox::main(&spec)),
        Some("run") => read_specification().and_then(|spec| run::main(&spec)),
        Some("exec") => read_specification().and_then(|spec| exec::main(&spec)),
        other => Err(format!("unknown shim mode {other:?}")),
    };
    match outcome {
        Ok(code) => std::process::exit(code),
        Err(reason) => {
            // The node reads this one line; standard error is the exec's own.
            println!("error {}", reason.replace('\n', " "));
            eprintln!("error: {reason}");
            std::process::exit(125);
        }
    }
}

/// Reads a four-byte length and a JSON document from standard input, and not
/// one byte more: what follows belongs to the program of an exec.
fn read_specification<T: serde::de::DeserializeOwned>() -> Result<T, String> {
    use std::os::fd::AsFd as _;
    let stdin = std::io::stdin();
    let owned = stdin
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| format!("read the specification: {e}"))?;
    let mut file = std::fs::File::from(owned);
    let mut length = [0u8; 4];
    file.read_exact(&mut length)
        .map_err(|e| format!("read the specification: {e}"))?;
    let length = u32::from_be_bytes(length);
    if length > SPECIFICATION_LIMIT {
        return Err(format!(
            "read the specification: {length} bytes are too many"
        ));
    }
    let mut text = vec![0u8; length as usize];
    file.read_exact(&mut text)
        .map_err(|e| format!("read the specification: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("read the specification: {e}"))
}

/// Adds what was attempted to a system error.
fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {e}"))
}
