//! Pull requests: opened, promoted, approved, merged and closed.

use serde_json::json;

use crate::support::start;

#[test]
fn promotion_approval_and_merge() {
    let (server, home) = start();
    let promote = [
        "promote",
        "guests",
        "-e",
        "acme-dev",
        "--to",
        "acme-prod",
        "--yes",
    ];
    let outcome = home.run(&promote);
    assert_eq!(outcome.worked(), "");
    insta::assert_snapshot!(outcome.err, @r"
    Install guests: pull request 3 in acme/acme-prod
    Nothing stands against merging it
    hint: `catalyst merge 3 -e acme-prod --wait`
    ");
    home.run(&["approve", "-e", "acme-prod", "3"]).worked();
    home.run(&["merge", "-e", "acme-prod", "3"]).worked();
    let closed = home.run(&["close", "-e", "acme-prod", "3"]);
    assert_eq!(closed.worked(), "");
    assert_eq!(closed.err, "Closed pull request 3 of acme-prod\n");
    let calls: Vec<String> = server.writes().into_iter().map(|(call, _)| call).collect();
    assert_eq!(
        calls[1..],
        [
            "POST environments/acme-dev/changes",
            "POST environments/acme-prod/pull-requests/3/approval",
            "POST environments/acme-prod/pull-requests/3/merge",
            "POST environments/acme-prod/pull-requests/3/close",
        ]
    );
}

#[test]
fn a_pull_request_is_opened_from_ones_own_branch() {
    let (server, home) = start();
    let run = |line: &str| home.run(&line.split(' ').collect::<Vec<_>>());
    let outcome = run("propose ada/topic -e acme-dev --title Topic");
    assert_eq!(outcome.worked(), "");
    insta::assert_snapshot!(outcome.err, @r"
    Propose ada/topic for acme-dev: pull request 4 in acme/acme-dev
    Nothing stands against merging it
    hint: `catalyst merge 4 -e acme-dev --wait`
    ");
    let last = || server.writes().pop().unwrap();
    let call = "POST environments/acme-dev/pull-requests".to_owned();
    let asked = json!({"branch": "ada/topic", "title": "Topic"});
    assert_eq!(last(), (call.clone(), asked));
    run("propose ada/topic -e acme-dev").worked();
    assert_eq!(last(), (call, json!({"branch": "ada/topic"})));
}

/// Somebody must approve it first, so waiting would only end by its bound.
#[test]
fn a_promotion_is_not_waited_for_but_what_stands_against_it_is_named() {
    let (server, home) = start();
    server.seen.lock().unwrap().wants_approval = true;
    let words = "promote guests -e acme-dev --to acme-prod --yes --wait";
    let outcome = home.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(outcome.worked(), "");
    insta::assert_snapshot!(outcome.err, @r"
    Install guests: pull request 3 in acme/acme-prod
    Before it can be merged:
      the policy two-eyes asks for 1 approval; there are 0
    hint: once that is settled, `catalyst merge 3 -e acme-prod --wait`; others approve it with `catalyst approve 3 -e acme-prod`
    ");
}
