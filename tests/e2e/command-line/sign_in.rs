//! Signing in and out, and tokens that end.

use std::io::{BufRead, BufReader};

use crate::server::Server;
use crate::support::{Home, finish, mode};

/// Signs in with a browser that agrees; the home is signed in afterwards.
pub fn sign_in(home: &Home) {
    let mut command = home.command(&["login", "--server", &home.server]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let page = lines
        .find_map(|line| {
            let line = line.unwrap();
            line.trim()
                .strip_prefix("http")
                .map(|rest| format!("http{rest}"))
        })
        .unwrap();
    // A browser follows the redirect to the loopback address.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let browser = reqwest::Client::builder().no_proxy().build().unwrap();
        browser
            .get(page)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    });
    assert!(answer.contains("You are signed in"), "{answer}");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.last().unwrap().contains(" as ada; "), "{rest:?}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_browser_signs_in_over_the_loopback_address_with_pkce() {
    let server = Server::start();
    let home = Home::new(&server.url);
    let refused = home.run_unknown(&["whoami"]);
    insta::assert_snapshot!(refused.failed().replace(&server.url, "SERVER"), @r"
    error: you are not signed in at SERVER
    hint: run `catalyst login`, or set CATALYST_TOKEN
    ");
    sign_in(&home);
    let kept = home.path(".config/catalyst/credentials.json");
    assert_eq!(mode(&kept), 0o600);
    assert_eq!(mode(kept.parent().unwrap()), 0o700);

    // Afterwards the server need not be named.
    let mut command = home.command(&["whoami"]);
    command.env_remove("CATALYST_SERVER");
    let outcome = finish(command.spawn().unwrap());
    insta::assert_snapshot!(outcome.worked(), @r"
    USER   EMAIL             SOVEREIGN ADMIN   ORGANIZATIONS
    ada    ada@example.org   no                acme: org-developer
    ");

    let outcome = home.run_unknown(&["logout"]);
    outcome.worked();
    assert_eq!(server.seen.lock().unwrap().revoked, ["refresh-1"]);
    home.run_unknown(&["whoami"]).failed();

    // Who signs in again does so where they were; no token is kept for that.
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(
        !text.contains("access-") && !text.contains("refresh-"),
        "{text}"
    );
    let outcome = home.run_signed_in(&["login", "--device"], "");
    outcome.worked();
    assert!(outcome.err.contains(&format!("at {} as ada", server.url)));
}

/// An authority that was named once need not be named again.
#[test]
fn the_authority_of_a_server_stays_known_after_signing_out() {
    let server = Server::start();
    let home = Home::new(&server.url);
    let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = home.write("ca.crt", &pem.cert.pem());
    let login = ["login", "--token-stdin", "--certificate-authority", &file];
    home.run_with(&login, "script-token\n").worked();
    home.run_unknown(&["logout"]).worked();
    std::fs::remove_file(&file).unwrap();
    home.run_signed_in(&["login", "--token-stdin"], "script-token\n")
        .worked();
    let kept = std::fs::read(home.path(".config/catalyst/credentials.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let known = &kept["servers"][&server.url]["certificateAuthority"];
    assert_eq!(known, &serde_json::json!(pem.cert.pem()));
}

#[test]
fn a_variable_that_is_set_but_empty_counts_as_unset() {
    let server = Server::start();
    let home = Home::new(&server.url);
    sign_in(&home);
    let mut command = home.command(&["whoami"]);
    for name in [
        "CATALYST_SERVER",
        "CATALYST_TOKEN",
        "CATALYST_CERTIFICATE_AUTHORITY",
    ] {
        command.env(name, "");
    }
    let outcome = finish(command.spawn().unwrap());
    assert!(outcome.worked().contains("ada@example.org"), "{outcome:?}");
    // What is written is meant.
    let outcome = home.run_unknown(&["whoami", "--server", ""]);
    let err = outcome.failed();
    assert!(err.starts_with("error: `` is not an address"), "{err}");
}

#[test]
fn tokens_are_renewed_when_they_are_due_also_by_many_at_once() {
    let server = Server::start();
    server.seen.lock().unwrap().lifetime = 1;
    let home = Home::new(&server.url);
    sign_in(&home);
    server.seen.lock().unwrap().expired = 1;
    server.seen.lock().unwrap().lifetime = 300;
    // The refresh token counts once: only one of these may use it.
    let children: Vec<_> = (0..6)
        .map(|_| home.command(&["whoami", "-o", "json"]).spawn().unwrap())
        .collect();
    for child in children {
        assert!(finish(child).worked().contains("\"username\": \"ada\""));
    }
    assert_eq!(server.seen.lock().unwrap().access, 2);
}

/// kubectl's contract: the token on standard output, renewed when it is due.
#[test]
fn kubectl_is_given_tokens_that_are_renewed() {
    let server = Server::start();
    server.seen.lock().unwrap().lifetime = 1;
    let home = Home::new(&server.url);
    home.run_unknown(&["credential"]).failed();
    sign_in(&home);
    let asked = || -> serde_json::Value {
        let outcome = home.run_unknown(&["credential", "--server", &server.url]);
        serde_json::from_str(outcome.worked()).unwrap()
    };
    let first = asked();
    assert_eq!(first["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(first["kind"], "ExecCredential");
    let second = asked();
    let token = |credential: &serde_json::Value| credential["status"]["token"].clone();
    assert!(token(&first).is_string());
    assert_ne!(token(&first), token(&second));
}

#[test]
fn a_session_that_the_issuer_ended_says_so() {
    let server = Server::start();
    server.seen.lock().unwrap().lifetime = 1;
    let home = Home::new(&server.url);
    sign_in(&home);
    server.seen.lock().unwrap().refresh = 9;
    let outcome = home.run_unknown(&["whoami"]);
    insta::assert_snapshot!(outcome.failed().replace(&server.url, "SERVER"), @r"
    error: your session at SERVER has ended: invalid_grant, in words
    hint: run `catalyst login` again
    ");
}

#[test]
fn a_device_signs_in_with_a_code() {
    let server = Server::start();
    let home = Home::new(&server.url);
    let outcome = home.run_unknown(&["login", "--device"]);
    outcome.worked();
    insta::assert_snapshot!(outcome.err.replace(&server.url, "SERVER"), @r"
    Open SERVER/oidc/device in a browser and enter the code BCDF-GHJK
    Signed in at SERVER as ada; commands renew it until you sign out or the session ends
    ");
    assert_eq!(server.seen.lock().unwrap().polls, 2);
    home.run_unknown(&["whoami"]).worked();
}

#[test]
fn a_token_is_taken_from_standard_input_once_the_sovereign_knows_it() {
    let server = Server::start();
    let home = Home::new(&server.url);
    home.run_with(&["login", "--token-stdin"], "wrong\n")
        .failed();
    assert!(!home.path(".config/catalyst/credentials.json").exists());
    let outcome = home.run_with(
        &["login", "--token-stdin", "--output", "json"],
        "script-token\n",
    );
    let signed_in: serde_json::Value = serde_json::from_str(outcome.worked()).unwrap();
    let expected = serde_json::json!({"server": server.url, "username": "ada", "renewed": false});
    assert_eq!(signed_in, expected);
    home.run_unknown(&["whoami"]).worked();
}

#[test]
fn tokens_do_not_go_where_others_could_read_them() {
    let home = Home::new("http://catalyst.example:8080");
    let outcome = home.run(&["whoami"]);
    insta::assert_snapshot!(outcome.failed(), @r"
    error: cannot use http://catalyst.example:8080: without TLS, tokens would be readable on the way
    hint: use https
    ");
}
