//! Commands and their answers, over the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Command;

use serde_json::json;

use crate::support::{Home, start};

const MANIFEST: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Application
metadata: {name: guests, namespace: acme-dev}
spec:
  blueprint: {source: catalog, name: bp-guestbook, version: 1.0.0}
  config: {title: Hi}
";

#[test]
fn a_plan_is_shown_and_nothing_changes() {
    let (server, home) = start();
    let outcome = home.run(&[
        "plan",
        "install",
        "guests",
        "--blueprint",
        "bp-guestbook@1.0.0",
        "-e",
        "acme-dev",
        "--set",
        "title=Hi,replicas=2",
    ]);
    insta::assert_snapshot!(outcome.worked());
    assert_eq!(
        server.writes(),
        [(
            "POST environments/acme-dev/plans".to_owned(),
            json!({
                "command": "install", "name": "guests", "blueprint": "bp-guestbook",
                "version": "1.0.0", "config": {"title": "Hi", "replicas": 2},
            })
        )]
    );
    let outcome = home.run(&[
        "plan",
        "install",
        "guests",
        "-b",
        "bp-guestbook",
        "-e",
        "acme-dev",
        "-o",
        "json",
    ]);
    let plan: serde_json::Value = serde_json::from_str(outcome.worked()).unwrap();
    assert_eq!(plan["digest"], "sha256:plan");
}

#[test]
fn a_manifest_installs_what_is_not_there_and_changes_what_is() {
    let (server, home) = start();
    let file = home.write("application.yaml", MANIFEST);
    let outcome = home.run(&["apply", "-f", &file, "--yes", "--wait"]);
    assert_eq!(outcome.worked(), "http://guests.acme-dev.localhost:8080/\n");
    insta::assert_snapshot!(outcome.err, @r"
    Install guests: commit c0ffee0000 in acme/acme-dev
    guests: Installing
    guests: Running
    ");
    let (call, body) = server.writes().pop().unwrap();
    assert_eq!(call, "POST environments/acme-dev/changes");
    assert_eq!(
        body,
        json!({
            "command": "install", "name": "guests", "source": "catalog",
            "blueprint": "bp-guestbook", "version": "1.0.0", "config": {"title": "Hi"},
            "plan": "sha256:plan",
        })
    );
    // Now it is there: what the manifest leaves out is taken away.
    let changed = MANIFEST.replace(
        "name: bp-guestbook, version: 1.0.0",
        "name: bp-guestbook, version: 1.1.0",
    );
    home.run_with(&["apply", "-e", "acme-dev", "-f", "-", "--yes"], &changed)
        .worked();
    let (_, body) = server.writes().pop().unwrap();
    assert_eq!(
        body,
        json!({
            "command": "change", "application": "guests", "version": "1.1.0",
            "config": {"title": "Hi", "old": null}, "paused": false, "plan": "sha256:plan",
        })
    );
    let other = MANIFEST.replace("bp-guestbook", "bp-wiki");
    let outcome = home.run_with(&["apply", "-f", "-", "--yes"], &other);
    insta::assert_snapshot!(outcome.failed(), @r"
    error: cannot make guests an Application of catalog/bp-wiki: it is one of catalog/bp-guestbook
    hint: give the new one another name, or delete this one first
    ");
    let outcome = home.run_with(&["plan", "-f", "-"], "kind: Organization\n");
    insta::assert_snapshot!(outcome.failed(), @r"
    error: cannot apply the document of kind Organization from -
    hint: only Applications are applied this way; `catalyst create` makes Organizations and Environments, `catalyst policy set` sets policies
    ");
}

#[test]
fn what_holds_applications_is_deleted_only_when_that_is_said() {
    let (server, home) = start();
    for (kind, name) in [("environment", "acme-dev"), ("organization", "acme")] {
        let outcome = home.run(&["delete", kind, name]);
        let err = outcome.failed();
        assert!(
            err.starts_with(&format!(
                "error: cannot delete the {kind} {name}, because it has Applications: acme-dev/guests\n"
            )),
            "{err}"
        );
        assert!(err.contains("pass --applications drop"), "{err}");
        let outcome = home.run(&["delete", kind, name, "--applications", "drop"]);
        let err = outcome.failed();
        assert!(
            err.starts_with(&format!("Delete the {kind} {name}, for good\n")),
            "{err}"
        );
        assert!(err.contains("\n  - acme-dev/guests\n"), "{err}");
        assert!(err.ends_with("then pass --yes\n"), "{err}");
    }
    assert!(server.writes().is_empty(), "{:?}", server.writes());

    // With --yes nobody is asked; what Git holds is for the Sovereign to say.
    let outcome = home.run(&["delete", "environment", "acme-dev", "--yes"]);
    let err = outcome.failed();
    assert!(
        err.contains("There is an Application in it: acme-dev/guests"),
        "{err}"
    );
    for (kind, name) in [("environment", "acme-dev"), ("organization", "acme")] {
        home.run(&["delete", kind, name, "--applications", "drop", "--yes"])
            .worked();
    }
    let calls: Vec<String> = server.writes().into_iter().map(|(call, _)| call).collect();
    assert_eq!(
        calls,
        [
            "DELETE environments/acme-dev",
            "DELETE environments/acme-dev?applications=drop",
            "DELETE organizations/acme?applications=drop",
        ]
    );
}

#[test]
fn nobody_to_ask_means_that_yes_must_be_said() {
    let (server, home) = start();
    let outcome = home.run(&["install", "guests", "-b", "bp-guestbook", "-e", "acme-dev"]);
    let err = outcome.failed();
    assert!(err.starts_with("Install guests\n"), "{err}");
    assert!(err.ends_with("then pass --yes\n"), "{err}");
    assert_eq!(server.writes().len(), 1, "only the plan");
}

#[test]
fn who_said_yes_is_not_told_of_a_plan_that_nobody_saw() {
    let (server, home) = start();
    server.seen.lock().unwrap().refuse = Some(json!({
        "type": "changed-meanwhile", "title": "Install guests into acme-dev",
        "detail": "the plan would differ from the one you saw",
    }));
    let words = ["install", "guests", "-b", "bp-guestbook", "-e", "acme-dev"];
    let outcome = home.run(&[&words[..], &["--yes", "-o", "json"]].concat());
    outcome.worked();
    let calls: Vec<String> = server.writes().into_iter().map(|call| call.0).collect();
    let (plan, change) = (
        "POST environments/acme-dev/plans",
        "POST environments/acme-dev/changes",
    );
    assert_eq!(calls, [plan, change, plan, change]);
}

#[test]
fn refusals_are_shown_with_faults_and_hints() {
    let (server, home) = start();
    server.seen.lock().unwrap().refuse = Some(json!({
        "type": "about:catalyst/plan-outdated", "title": "Install guests into acme-dev",
        "detail": "The plan would differ by now.",
        "next": "Plan again and look at the difference.",
        "faults": [{"file": "applications/guests/application.yaml", "line": 3, "message": "changed by bob"}],
    }));
    let outcome = home.run(&[
        "install",
        "guests",
        "-b",
        "bp-guestbook",
        "-e",
        "acme-dev",
        "--yes",
    ]);
    insta::assert_snapshot!(outcome.failed(), @r"
    error: Install guests into acme-dev: The plan would differ by now.
      applications/guests/application.yaml:3: changed by bob
    hint: Plan again and look at the difference.
    ");
    let mut command = home.command(&["get", "applications"]);
    command.env("CATALYST_TOKEN", "unknown");
    let outcome = crate::support::finish(command.spawn().unwrap());
    insta::assert_snapshot!(outcome.failed(), @r"
    error: Read the API: The token is not known or has ended.
    hint: the token in CATALYST_TOKEN cannot be renewed: set a new one, or unset it and run `catalyst login`, whose session is renewed as long as a command runs
    ");
    let nowhere = Home::new("http://127.0.0.1:9");
    let outcome = nowhere.run(&["get", "applications"]);
    let err = outcome.failed();
    assert!(
        err.starts_with("error: the Sovereign at http://127.0.0.1:9 cannot be reached"),
        "{err}"
    );
    assert!(err.contains("hint: check that it runs"), "{err}");
}

#[test]
fn lists_come_as_table_json_and_yaml() {
    let (server, home) = start();
    server.seen.lock().unwrap().installed = true;
    insta::assert_snapshot!(home.run(&["get", "applications"]).worked(), @r"
    ENVIRONMENT   NAME     BLUEPRINT              VERSION   PHASE     ADDRESS                                  MESSAGE
    acme-dev      guests   catalog/bp-guestbook   1.0.0     Running   http://guests.acme-dev.localhost:8080/   -
    ");
    let json = home.run(&["get", "apps", "-e", "acme-dev", "--output", "json"]);
    let items: serde_json::Value = serde_json::from_str(json.worked()).unwrap();
    assert_eq!(items[0]["name"], "guests");
    let yaml = home.run(&["get", "app", "-e", "acme-dev", "guests", "-o", "yaml"]);
    let item = catalyst_yaml::from_str(yaml.worked()).unwrap();
    assert_eq!(item["dependencies"]["db"], "guests-db");
    insta::assert_snapshot!(home.run(&["get", "objects", "-e", "acme-dev", "guests"]).worked(), @r"
    KIND         NAMESPACE   NAME     READY   MESSAGE
    Deployment   guests      guests   yes     -
    ");
    server.seen.lock().unwrap().phase = "Failed".into();
    let failed = home.run(&["get", "application", "-e", "acme-dev", "guests"]);
    insta::assert_snapshot!(failed.worked(), @r"
    ENVIRONMENT   NAME     BLUEPRINT              VERSION   PHASE    ADDRESS
    acme-dev      guests   catalog/bp-guestbook   1.0.0     Failed   http://guests.acme-dev.localhost:8080/

    pod guests-1: exit code 1

    KIND         NAMESPACE   NAME     READY   MESSAGE
    Deployment   guests      guests   yes     -
    ");
}

#[test]
fn watching_prints_every_change_as_it_comes() {
    let (server, home) = start();
    let mut command = home.command(&[
        "get",
        "applications",
        "-e",
        "acme-dev",
        "--watch",
        "-o",
        "json",
    ]);
    command.env("CATALYST_TOKEN", crate::server::TOKEN);
    let mut child = command.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut list = String::new();
    while !list.trim_end().ends_with(']')
        || list.len() < 5
        || !list.ends_with("]\n")
        || list.trim_end().lines().last() != Some("]")
    {
        assert_ne!(reader.read_line(&mut list).unwrap(), 0, "{list}");
    }
    server.seen.lock().unwrap().phase = "Degraded".into();
    server.say(&json!({"kind": "application", "item": server.application()}));
    server.say(
        &json!({"kind": "removed", "item": {"kind": "application", "name": "acme-dev/guests"}}),
    );
    let mut change = String::new();
    reader.read_line(&mut change).unwrap();
    let change: serde_json::Value = serde_json::from_str(&change).unwrap();
    assert_eq!(change["health"]["phase"], "Degraded");
    let mut gone = String::new();
    reader.read_line(&mut gone).unwrap();
    assert!(gone.contains("acme-dev/guests"), "{gone}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn people_are_invited_and_given_roles() {
    let (server, home) = start();
    let outcome = home.run(&["user", "invite", "bob", "--email", "bob@example.org"]);
    insta::assert_snapshot!(outcome.worked(), @r"
    USER   LINK                            ENDS
    bob    http://x/set-password?token=t   2026-01-02T00:00:00.000Z
    ");
    home.run(&[
        "member",
        "set",
        "acme",
        "bob",
        "--role",
        "org-developer",
        "-e",
        "acme-dev",
    ])
    .worked();
    assert_eq!(
        server.writes()[1],
        (
            "PUT organizations/acme/members/bob".to_owned(),
            json!({"role": "org-developer", "environments": ["acme-dev"]})
        )
    );
    for role in [&["--role", "king"][..], &["org-admin"], &[]] {
        let words = [&["member", "set", "acme", "bob"][..], role].concat();
        assert_eq!(home.run(&words).code, 2, "{role:?}");
    }
}

#[test]
fn a_user_is_removed_only_when_that_is_said() {
    let (server, home) = start();
    let outcome = home.run(&["user", "remove", "bob"]);
    insta::assert_snapshot!(outcome.failed(), @r"
    error: nobody can be asked whether to remove the user bob
    hint: pass --yes
    ");
    assert!(server.writes().is_empty(), "{:?}", server.writes());
    let outcome = home.run(&["user", "remove", "bob", "--yes"]);
    outcome.worked();
    assert_eq!(outcome.err, "bob is removed\n");
    assert_eq!(
        server.writes(),
        [("DELETE users/bob".to_owned(), serde_json::Value::Null)]
    );
}

#[test]
fn policies_are_set_by_words_and_by_file_and_deleted() {
    let (server, home) = start();
    let run = |line: &str| home.run(&line.split(' ').collect::<Vec<_>>());
    let written = || server.writes().pop().unwrap();
    let refused = run("policy set two-eyes --approvals 1");
    insta::assert_snapshot!(refused.failed(), @r"
    error: nothing says which Environments the policy two-eyes binds
    hint: name them with --environment, such as -e acme-prod
    ");
    let set = run("policy set two-eyes -e acme-prod --approvals 1 --approver bob");
    set.worked();
    insta::assert_snapshot!(set.err, @"Set the policy two-eyes: commit c0ffee0000 in acme/acme-dev");
    let mut policy = json!({
        "name": "two-eyes", "environments": ["acme-prod"],
        "rules": [{"kind": "pr-required", "minApprovals": 1, "approvers": ["bob"]}],
    });
    assert_eq!(
        written(),
        ("PUT policies/two-eyes".to_owned(), policy.clone())
    );
    // It is shown when the command has ended.
    assert_eq!(server.seen.lock().unwrap().policy, Some(policy.clone()));

    let file = home.write(
        "policy.yaml",
        "kind: EnvironmentPolicy\nmetadata: {name: two-eyes}\nspec:\n  appliesTo: {environments: [acme-prod]}\n  rules:\n  - {kind: soak, sourceEnvironment: acme-dev, duration: 24h}\n",
    );
    home.run(&["policy", "set", "-f", &file]).worked();
    let soak = json!({"kind": "soak", "sourceEnvironment": "acme-dev", "duration": "24h"});
    policy["rules"] = json!([soak]);
    assert_eq!(written().1, policy);
    // What it says otherwise stays.
    run("policy set two-eyes --approvals 2").worked();
    policy["rules"] = json!([soak, {"kind": "pr-required", "minApprovals": 2}]);
    assert_eq!(written().1, policy);

    run("policy delete two-eyes").worked();
    assert_eq!(written().0, "DELETE policies/two-eyes");
    assert_eq!(server.seen.lock().unwrap().policy, None);
    for wrong in [
        "policy set",
        "policy set two-eyes",
        "policy set -f x two-eyes",
    ] {
        assert_eq!(run(wrong).code, 2, "{wrong}");
    }
}

#[test]
fn an_application_without_history_is_said_not_to_be_there() {
    let (_, home) = start();
    let outcome = home.run(&["history", "wiki", "-e", "acme-dev"]);
    insta::assert_snapshot!(outcome.failed(), @r"
    error: there is no wiki in acme-dev, and never was
    hint: `catalyst get applications -e acme-dev` lists what there is
    ");
}

#[test]
fn logs_are_copied_as_they_are() {
    let (_, home) = start();
    let outcome = home.run(&["logs", "guests", "-e", "acme-dev", "--tail", "2"]);
    assert_eq!(outcome.worked(), "one\ntwo\n");
    assert_eq!(outcome.err, "");
}

#[test]
fn a_log_of_what_never_started_says_so_and_why() {
    let (server, home) = start();
    {
        let mut seen = server.seen.lock().unwrap();
        seen.installed = true;
        seen.is_silent = true;
    }
    let outcome = home.run(&["logs", "guests", "-e", "acme-dev"]);
    assert_eq!(outcome.worked(), "");
    insta::assert_snapshot!(outcome.err, @"pod guests-1 does not run: container web: ErrImagePull: cannot pull image r/x:1: r has no 1 of x");
}

#[test]
fn programs_get_each_line_of_a_log_as_an_object() {
    let (_, home) = start();
    let words = ["logs", "guests", "-e", "acme-dev", "--tail", "2", "-o"];
    let of = |form| home.run(&[&words[..], &[form]].concat());
    insta::assert_snapshot!(of("json").worked(), @r#"
    {"time":"2026-01-01T00:00:00.5Z","pod":"guests-1","container":"web","line":"one"}
    {"time":"2026-01-01T00:00:00.5Z","pod":"guests-1","container":"web","line":"two"}
    "#);
    let yaml = catalyst_yaml::documents(of("yaml").worked()).unwrap();
    let lines: Vec<_> = yaml.iter().map(|it| it["line"].as_str().unwrap()).collect();
    assert_eq!(lines, ["one", "two"]);
}

/// Whatever this machine can run.
#[test]
fn the_doctor_tells_programs_as_it_tells_people() {
    let home = Home::new("");
    let outcome = home.run_unknown(&["doctor", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["canRun"], json!(outcome.code == 0), "{report:#}");
    let told = home.run_unknown(&["doctor"]).out;
    for finding in report["findings"].as_array().unwrap() {
        let what = finding["what"].as_str().unwrap();
        assert!(told.contains(what), "no {what:?} in {told}");
    }
}

#[test]
fn the_doctor_tells_whether_git_is_there_and_its_version() {
    let home = Home::new("");
    let told = |path: Option<&std::path::Path>| {
        let mut command = home.command(&["doctor", "--output", "json"]);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let outcome = crate::support::finish(command.spawn().unwrap());
        let report: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let git = findings.iter().find(|it| it["what"] == "git").unwrap();
        (outcome.code, git.clone())
    };
    let (_, git) = told(None);
    let version = Command::new("git").arg("version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(git["works"], true, "{git}");
    assert!(
        version.contains(git["detail"].as_str().unwrap()),
        "{git}: {version}"
    );
    let (code, git) = told(Some(home.folder.path()));
    assert_eq!((code, &git["works"]), (1, &json!(false)), "{git}");
    assert!(
        git["detail"].as_str().unwrap().contains("needs git 2.38"),
        "{git}"
    );
}

#[test]
fn an_application_is_opened_through_a_forwarded_port_where_its_name_does_not_resolve() {
    let (server, home) = start();
    server.seen.lock().unwrap().installed = true;
    let outcome = home.run(&["open", "guests", "-e", "acme-dev", "--print"]);
    assert_eq!(outcome.worked(), "http://guests.acme-dev.localhost:8080/\n");
    // --print says that no browser is wanted, not that nothing is forwarded.
    let words = ["open", "guests", "-e", "acme-dev", "--forward", "--print"];
    let mut command = home.command(&words);
    command.env("CATALYST_TOKEN", crate::server::TOKEN);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().strip_prefix("http://").unwrap();
    let host = address.trim_end_matches('/');
    // The Sovereign itself answers here: whatever comes back came through.
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream
        .write_all(b"GET /api/v1/sovereign HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
}
