//! Commands that wait for what they asked for, and those that end once it can be read.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command};

use serde_json::json;

use crate::server::TOKEN;
use crate::support::start;

#[test]
fn waiting_ends_with_the_reason_when_it_fails() {
    let (_, home) = start();
    let outcome = home.run(&[
        "install",
        "guests",
        "--blueprint",
        "bp-guestbook",
        "-e",
        "acme-dev",
        "--set",
        "title=Broken",
        "--yes",
        "--wait",
    ]);
    insta::assert_snapshot!(outcome.failed(), @r"
    Install guests: commit c0ffee0000 in acme/acme-dev
    guests: Installing
    error: guests in acme-dev failed: pod guests-1: exit code 1
    hint: see `catalyst get objects -e acme-dev guests` and `catalyst logs -e acme-dev guests`
    ");
}

const SLOW: [&str; 9] = [
    "install",
    "guests",
    "--blueprint=bp-guestbook",
    "-e",
    "acme-dev",
    "--set",
    "title=Slow",
    "--yes",
    "--wait",
];

/// Runs until the command waits for an Application that takes its time.
fn begin_to_wait(command: &mut Command) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.any(|line| line.unwrap() == "guests: Installing");
    assert!(waits, "it ended before it waited");
    (child, lines)
}

fn rest(lines: Lines<BufReader<ChildStderr>>) -> String {
    lines.map(|line| line.unwrap() + "\n").collect()
}

#[test]
fn waiting_with_a_token_that_nobody_renews_ends_with_what_goes_on_and_what_to_do() {
    let (server, home) = start();
    let mut command = home.command(&SLOW);
    let (mut child, lines) = begin_to_wait(command.env("CATALYST_TOKEN", TOKEN));
    server.seen.lock().unwrap().is_script_over = true;
    server.end_streams();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    insta::assert_snapshot!(rest(lines), @r"
    error: guests: cannot wait any longer, because the token has ended
      because: Listen: No.
    hint: the change itself is made and goes on; `catalyst get` shows how it is
    hint: the token in CATALYST_TOKEN cannot be renewed: set a new one, or unset it and run `catalyst login`, whose session is renewed as long as a command runs
    ");
}

#[test]
fn waiting_goes_on_when_a_session_is_renewed_and_ends_when_it_cannot_be() {
    let (server, home) = start();
    crate::sign_in::sign_in(&home);
    let (mut child, lines) = begin_to_wait(&mut home.command(&SLOW));
    let ended = {
        let mut seen = server.seen.lock().unwrap();
        seen.expired = seen.access;
        seen.access
    };
    server.end_streams();
    server.until("the token is renewed and the stream open", |seen| {
        seen.access > ended && seen.has_streams()
    });
    server.set_phase("Running");
    assert!(child.wait().unwrap().success());
    assert_eq!(rest(lines), "guests: Running\n");

    server.set_phase("Installing");
    let (mut child, lines) = begin_to_wait(&mut home.command(&SLOW));
    {
        let mut seen = server.seen.lock().unwrap();
        seen.expired = seen.access;
        seen.refresh = 99;
    }
    server.end_streams();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    insta::assert_snapshot!(rest(lines).replace(&server.url, "SERVER"), @r"
    error: guests: cannot wait any longer, because the token has ended
      because: your session at SERVER has ended: invalid_grant, in words
    hint: the change itself is made and goes on; `catalyst get` shows how it is
    hint: run `catalyst login` again
    ");
}

#[test]
fn a_deletion_is_waited_for_and_says_what_stays() {
    let (server, home) = start();
    let words = [
        "delete",
        "application",
        "guests",
        "-e",
        "acme-dev",
        "--data",
        "keep",
        "--yes",
        "--wait",
    ];
    let outcome = home.run(&words);
    outcome.worked();
    insta::assert_snapshot!(outcome.err, @r"
    Install guests: commit c0ffee0000 in acme/acme-dev
    acme-dev/guests: waiting for the pods of guests
    The deletion of guests has ended; left behind:
      volume data-guests-db-0
    ");
    let (_, body) = server.writes().pop().unwrap();
    assert_eq!(
        body,
        json!({"command": "delete", "application": "guests", "data": "keep", "plan": "sha256:plan"})
    );
}

#[test]
fn a_merge_is_waited_for_until_every_application_is_as_it_says() {
    let (server, home) = start();
    let outcome = home.run(&["merge", "-e", "acme-dev", "4", "--wait"]);
    assert_eq!(outcome.worked(), "http://guests.acme-dev.localhost:8080/\n");
    insta::assert_snapshot!(outcome.err, @r"
    Merge pull request 4 of acme-dev: commit c0ffee0000 in acme/acme-dev
    guests: Installing
    guests: Running
    The deletion of old has ended; left behind:
      volume data-old-0
    ");
    // Without it only the Environment is looked at.
    let before = server.seen.lock().unwrap().calls.len();
    home.run(&["merge", "-e", "acme-dev", "4"]).worked();
    let seen = server.seen.lock().unwrap();
    let calls: Vec<&str> = seen.calls[before..]
        .iter()
        .map(|it| it.0.as_str())
        .collect();
    assert_eq!(
        calls,
        [
            "GET environments/acme-dev",
            "POST environments/acme-dev/pull-requests/4/merge",
            "GET environments/acme-dev",
        ]
    );
}

#[test]
fn no_state_of_before_a_change_is_shown_as_a_step_of_it() {
    let before = || {
        let (server, home) = start();
        let mut seen = server.seen.lock().unwrap();
        seen.installed = true;
        seen.revision = Some("0dd0000000000000".into());
        drop(seen);
        (server, home)
    };
    let (_server, home) = before();
    let rollback = "rollback guests -e acme-dev --to abcdef0 --yes --wait";
    let outcome = home.run(&rollback.split(' ').collect::<Vec<_>>());
    assert_eq!(outcome.worked(), "http://guests.acme-dev.localhost:8080/\n");
    insta::assert_snapshot!(outcome.err, @r"
    Install guests: commit c0ffee0000 in acme/acme-dev
    guests: Installing
    guests: Running
    ");
    let (_server, home) = before();
    let outcome = home.run(&["merge", "-e", "acme-dev", "4", "--wait"]);
    assert_eq!(outcome.worked(), "http://guests.acme-dev.localhost:8080/\n");
    insta::assert_snapshot!(outcome.err, @r"
    Merge pull request 4 of acme-dev: commit c0ffee0000 in acme/acme-dev
    guests: Installing
    guests: Running
    The deletion of old has ended; left behind:
      volume data-old-0
    ");
}

/// What is read after a command is not what was there before it, though reads hear of
/// a change only once somebody has looked.
#[test]
fn a_change_is_shown_when_its_command_has_ended() {
    let install = "install guests -b bp-guestbook -e acme-dev --yes";
    let member = "member set acme bob --role org-viewer";
    let delete = "delete environment acme-dev --applications drop --yes";
    let (server, home) = start();
    let run = |line: &str| {
        let outcome = home.run(&line.split(' ').collect::<Vec<_>>());
        outcome.worked();
        assert_eq!(outcome.err.lines().count(), 1, "{line}: {}", outcome.err);
    };
    run(install);
    assert!(server.seen.lock().unwrap().installed);
    run(member);
    assert_eq!(server.seen.lock().unwrap().members.len(), 1);
    run("member remove acme bob");
    assert!(server.seen.lock().unwrap().members.is_empty());
    run(delete);
    assert!(server.seen.lock().unwrap().is_going);
    let (server, home) = start();
    home.run(&["merge", "-e", "acme-dev", "4"]).worked();
    assert!(server.seen.lock().unwrap().revision.is_some());
}

#[test]
fn a_new_organization_is_waited_for() {
    let (_, home) = start();
    let outcome = home.run(&["create", "organization", "initech", "--wait"]);
    assert_eq!(outcome.worked(), "");
    insta::assert_snapshot!(outcome.err, @r"
    Create Organization initech: commit c0ffee0000 in acme/acme-dev
    initech: Installing
    initech: Running
    ");
    let outcome = home.run(&["create", "organization", "initech"]);
    assert_eq!(outcome.worked(), "");
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
}
