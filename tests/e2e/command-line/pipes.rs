//! Readers that went away: no panic, and no word on what nobody reads.

use std::process::Command;

use crate::server::Server;
use crate::support::{Home, finish};

/// The end of a pipe that nobody reads.
fn closed() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

const WAIT: [&str; 8] = [
    "install",
    "guests",
    "--blueprint=bp-guestbook",
    "-e",
    "acme-dev",
    "--set=title=Hi",
    "--yes",
    "--wait",
];

fn signed_in(home: &Home, words: &[&str]) -> Command {
    let mut command = home.command(words);
    command.env("CATALYST_TOKEN", crate::server::TOKEN);
    command
}

#[test]
fn a_command_whose_data_nobody_reads_ends_quietly() {
    let server = Server::start();
    let home = Home::new(&server.url);
    for words in [
        &["get", "applications"][..],
        &["get", "applications", "-o", "json"],
        &["get", "applications", "--watch"],
        &["logs", "guests", "-e", "acme-dev"],
        &["chart", "--help"],
    ] {
        let mut command = signed_in(&home, words);
        let outcome = finish(command.stdout(closed()).spawn().unwrap());
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{words:?}");
    }
}

#[test]
fn a_command_whose_prose_nobody_reads_stops_as_sigpipe_would_have_it() {
    let server = Server::start();
    let home = Home::new(&server.url);
    let mut command = signed_in(&home, &WAIT);
    let outcome = finish(command.stderr(closed()).spawn().unwrap());
    assert_eq!(outcome.code, 128 + 13);
    assert_eq!(outcome.out, "");
    // It said nothing before the change was made.
    let last = server.writes().pop().unwrap();
    assert_eq!(last.0, "POST environments/acme-dev/changes");
}

#[test]
fn a_failure_that_nobody_reads_is_still_a_failure() {
    let home = Home::new("http://127.0.0.1:9");
    let mut command = signed_in(&home, &["get", "applications"]);
    let outcome = finish(command.stderr(closed()).spawn().unwrap());
    assert_eq!(outcome.code, 1);
    let mut command = signed_in(&home, &["get", "nothing"]);
    let outcome = finish(command.stderr(closed()).spawn().unwrap());
    assert_eq!(outcome.code, 2);
    let mut command = signed_in(&home, &["get", "applications"]);
    command.env("CATALYST_LOG", "trace");
    let outcome = finish(command.stderr(closed()).spawn().unwrap());
    assert_eq!(outcome.code, 1, "logging included");
}
