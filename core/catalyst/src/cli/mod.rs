//! The command line: words in, one command run, an exit code out.
//!
//! Data goes to standard output, prose to standard error. Exit codes: 0 done,
//! 1 refused or failed, 2 wrong usage (clap's own).
//!
//! Every command that works on a Sovereign is a client of its REST API and has no
//! other way in; those on charts and Blueprint folders need no Sovereign and start
//! no asynchronous runtime. `provision` makes a Sovereign.

mod accept;
mod api;
mod apply;
mod blueprint;
mod browser;
mod cases;
mod change;
mod chart;
mod credential;
mod credentials;
mod destroy;
mod diff;
pub mod failure;
mod findings;
mod get;
mod hook;
mod inspect;
mod kubeconfig;
mod kustomize;
mod live;
mod login;
mod logs;
mod make;
mod manifests;
mod oauth;
mod open;
pub mod output;
mod people;
mod plan;
mod policy;
mod prepare;
pub mod provision;
mod pulls;
mod render;
mod rows;
mod scaffold;
mod scan;
mod set;
mod shown;
mod signer;
mod stream;
mod subject;
mod supply;
mod trust;
mod upgrade;
mod wait;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{doctor, up};

/// Turns a machine into a Sovereign: a self-contained, multi-tenant platform.
#[derive(Debug, Parser)]
#[command(name = "catalyst", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Doctor(doctor::Arguments),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    Get(get::Get),
    Create(make::Create),
    Plan(prepare::Plan),
    Apply(prepare::Apply),
    Install(prepare::Install),
    Rollback(prepare::Rollback),
    Promote(prepare::Promote),
    Upgrade(upgrade::Upgrade),
    Delete(destroy::Delete),
    Propose(pulls::Propose),
    Approve(pulls::Approve),
    Merge(pulls::Merge),
    Close(pulls::Close),
    Logs(logs::Logs),
    History(logs::History),
    Open(open::Open),
    Kubeconfig(kubeconfig::Kubeconfig),
    Credential(credential::Credential),
    User(people::User),
    Member(people::Member),
    Policy(policy::Policy),
    Blueprint(Box<blueprint::Blueprint>),
    Chart(Box<chart::ChartCommand>),
    Kustomize(kustomize::Kustomize),
    Provision(Box<provision::Provision>),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = arguments();
    start_logging();
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        output::tell("error: cannot install the TLS provider: another one is installed");
        return ExitCode::FAILURE;
    }
    let result = match &arguments.command {
        Command::Up(arguments) => up::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Login(command) => client(command.run()),
        Command::Logout(command) => client(command.run()),
        Command::Whoami(command) => client(command.run()),
        Command::Get(command) => client(command.run()),
        Command::Create(command) => client(command.run()),
        Command::Plan(command) => client(command.run()),
        Command::Apply(command) => client(command.run()),
        Command::Install(command) => client(command.run()),
        Command::Rollback(command) => client(command.run()),
        Command::Promote(command) => client(command.run()),
        Command::Upgrade(command) => client(command.run()),
        Command::Delete(command) => client(command.run()),
        Command::Propose(command) => client(command.run()),
        Command::Approve(command) => client(command.run()),
        Command::Merge(command) => client(command.run()),
        Command::Close(command) => client(command.run()),
        Command::Logs(command) => client(command.run()),
        Command::History(command) => client(command.run()),
        Command::Open(command) => client(command.run()),
        Command::Kubeconfig(command) => client(command.run()),
        Command::Credential(command) => client(command.run()),
        Command::User(command) => client(command.run()),
        Command::Member(command) => client(command.run()),
        Command::Policy(command) => client(command.run()),
        Command::Blueprint(command) => command.run(),
        Command::Chart(command) => command.run(),
        Command::Kustomize(command) => command.run(),
        Command::Provision(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The exit code says it too, should nobody read this.
            _ = output::prose(&failure::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Arguments {
    let matches = without_empty_variables(Arguments::command()).get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// A variable that is set but empty counts as unset, for every argument alike.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(std::env::var_os);
            match value.is_some_and(|value| value.is_empty()) {
                true => argument.env(None::<&str>),
                false => argument,
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// Runs a client's work on this thread: one connection needs no pool of threads.
fn client<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::anyhow!("cannot start the asynchronous runtime: {error}"))?
        .block_on(work)
}

fn start_logging() {
    let filter = EnvFilter::try_from_env("CATALYST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would say on standard error that nobody reads standard error, and panic.
        .log_internal_errors(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_domain_that_names_nothing_is_wrong_usage() {
        let parse = |domain| Arguments::try_parse_from(["catalyst", "up", "--domain", domain]);
        assert!(parse("sovereign.example").is_ok());
        let error = parse("bad domain").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("it is no domain"), "{error}");
    }

    #[test]
    fn help_is_as_published() {
        let mut text = String::new();
        let mut command = Arguments::command();
        command.build();
        write_help(&mut command, &mut text);
        insta::assert_snapshot!(text);
    }

    /// The help of a command and of all below it, without the environment's values.
    fn write_help(command: &mut clap::Command, text: &mut String) {
        let own = command.clone().hide_possible_values(false);
        text.push_str(&format!("# {}\n", own.get_bin_name().unwrap_or("catalyst")));
        let help = own
            .mut_args(|argument| argument.hide_env_values(true))
            .render_help();
        let help: Vec<String> = help
            .to_string()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        text.push_str(&help.join("\n"));
        text.push_str("\n\n");
        for inner in command.get_subcommands_mut() {
            // `up` and `doctor` are no clients.
            if !matches!(inner.get_name(), "help" | "up" | "doctor") {
                write_help(inner, text);
            }
        }
    }
}
