//! Stock git signs in as the command line's user.

use std::process::{Command, Stdio};

use crate::server::Server;
use crate::sign_in::sign_in;
use crate::support::{Home, Outcome, finish, mode};

/// Runs stock git with the home's configuration, and with no terminal to ask on.
pub fn git(home: &Home, words: &[&str]) -> Outcome {
    let mut command = Command::new("git");
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.folder.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(home.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command.spawn().unwrap())
}

/// What `catalyst credential get` answers.
fn answer(home: &Home, question: &str) -> String {
    let outcome = home.run_signed_in(&["credential", "get"], question);
    outcome.worked().to_owned()
}

fn question(server: &Server) -> String {
    let host = server.url.trim_start_matches("http://");
    format!("protocol=http\nhost={host}\n")
}

#[test]
fn git_signs_in_with_tokens_that_are_renewed() {
    let server = Server::start();
    server.seen.lock().unwrap().lifetime = 1;
    let home = Home::new(&server.url);
    let repository = format!("{}/git/acme/acme-dev.git", server.url);
    sign_in(&home);
    assert_ne!(git(&home, &["ls-remote", &repository]).code, 0);
    // What is configured for every address keeps no token of this one.
    git(&home, &["config", "--global", "credential.helper", "store"]).worked();
    home.run_unknown(&["credential", "setup"]).worked();
    for _ in 0..2 {
        let given = server.seen.lock().unwrap().access;
        let outcome = git(&home, &["ls-remote", &repository]);
        assert!(outcome.worked().contains("refs/heads/main"), "{outcome:?}");
        let mut seen = server.seen.lock().unwrap();
        assert!(seen.access > given, "no new token was given");
        seen.expired = seen.access;
    }
    assert!(!home.path(".git-credentials").exists());
    // Who is signed out is told so, and not asked for a password of theirs.
    home.run_unknown(&["logout"]).worked();
    let refused = git(&home, &["ls-remote", &repository]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("not signed in"), "{refused:?}");
}

#[test]
fn git_is_set_up_once() {
    let server = Server::start();
    let home = Home::new(&server.url);
    let shown = |text: &str| text.replace(&server.url, "SERVER");
    let first = home.run_unknown(&["credential", "setup"]);
    first.worked();
    insta::assert_snapshot!(shown(&first.err), @"Git asks catalyst for your sign-in at SERVER from now on, as long as you are signed in (credential.SERVER.helper in your Git configuration)");
    let configured = std::fs::read_to_string(home.path(".gitconfig")).unwrap();
    let again = home.run_unknown(&["credential", "setup"]);
    again.worked();
    insta::assert_snapshot!(shown(&again.err), @"Git asks catalyst for your sign-in at SERVER already");
    assert_eq!(
        std::fs::read_to_string(home.path(".gitconfig")).unwrap(),
        configured
    );
}

#[test]
fn only_questions_about_the_sovereign_and_its_user_are_answered() {
    let server = Server::start();
    let home = Home::new(&server.url);
    sign_in(&home);
    let asked = question(&server);
    let token = home.run_unknown(&["credential", "token"]);
    let expected = format!("username=ada\npassword={}\n", token.worked().trim());
    assert_eq!(answer(&home, &asked), expected);
    assert_eq!(answer(&home, &format!("{asked}username=ada\n")), expected);
    assert_eq!(answer(&home, &format!("{asked}username=bob\n")), "");
    let other = "protocol=https\nhost=forge.example\n";
    assert_eq!(answer(&home, other), "");
    assert_eq!(answer(&home, ""), "");
    // What Git says of an answer changes nothing, and is not said again.
    for word in ["store", "erase"] {
        let told = format!("{asked}username=ada\npassword=hunter2\n");
        let outcome = home.run_signed_in(&["credential", word], &told);
        assert_eq!(outcome.worked(), "");
        assert_eq!(outcome.err, "");
    }
    assert_eq!(answer(&home, &asked), expected);
}

#[test]
fn git_trusts_the_authority_of_the_sovereign() {
    let (server, authority) = Server::start_secure();
    let home = Home::new(&server.url);
    let file = home.write("ca.crt", &authority);
    let login = ["login", "--token-stdin", "--certificate-authority", &file];
    home.run_with(&login, "script-token\n").worked();
    // What Git is told of stays there.
    std::fs::remove_file(&file).unwrap();
    let repository = format!("{}/git/acme/acme-dev.git", server.url);
    let stranger = git(&home, &["ls-remote", &repository]);
    assert!(stranger.err.contains("certificate"), "{stranger:?}");

    let first = home.run_unknown(&["credential", "setup"]);
    first.worked();
    let name = format!("http.{}.sslCAInfo", server.url);
    assert!(first.err.contains(&name), "{first:?}");
    let listed = git(&home, &["ls-remote", &repository]);
    assert!(listed.worked().contains("refs/heads/main"), "{listed:?}");
    let kept = git(&home, &["config", "--global", &name]);
    let kept = std::path::Path::new(kept.worked().trim());
    assert_eq!(kept.parent().unwrap(), home.path(".config/catalyst"));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), authority);
    assert_eq!(mode(kept), 0o600);

    let configured = std::fs::read_to_string(home.path(".gitconfig")).unwrap();
    let again = home.run_unknown(&["credential", "setup"]);
    again.worked();
    assert!(!again.err.contains("sslCAInfo"), "{again:?}");
    assert_eq!(
        std::fs::read_to_string(home.path(".gitconfig")).unwrap(),
        configured
    );
}
