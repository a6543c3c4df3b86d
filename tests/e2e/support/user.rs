//! Somebody who uses the API: signs in as a browser does, and asks with the
//! token that the issuer gave.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::sovereign::{Sovereign, Trust, program};

pub const PASSWORD: &str = "correct horse battery staple";
/// Longer than anything here takes; a wait that ends by this has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long any deletion may take.
pub const DELETION: Duration = Duration::from_secs(60);
/// Access tokens hold five minutes.
const RENEW: Duration = Duration::from_secs(150);

pub struct User {
    pub name: String,
    base: String,
    issuer: String,
    trust: Trust,
    http: reqwest::Client,
    browser: Browser,
    token: String,
    obtained: Instant,
    /// Where the command line keeps this user's keys.
    config: tempfile::TempDir,
}

impl User {
    /// Sets a password on a one-time link, and signs in.
    pub async fn join(sovereign: &Sovereign, name: &str, link: &str) -> Self {
        let trust = sovereign.trust();
        let mut browser = Browser::by(trust.client());
        browser.set_password(link, PASSWORD).await;
        let issuer = sovereign.address("issuer").to_owned();
        let token = browser.token(&issuer, "catalyst-cli").await;
        Self {
            name: name.to_owned(),
            base: sovereign.address("api").to_owned(),
            issuer,
            http: trust.client().build().unwrap(),
            trust,
            browser,
            token,
            obtained: Instant::now(),
            config: tempfile::tempdir().unwrap(),
        }
    }

    /// A token that is still good.
    pub async fn token(&mut self) -> String {
        if self.obtained.elapsed() > RENEW {
            self.token = self.browser.token(&self.issuer, "catalyst-cli").await;
            self.obtained = Instant::now();
        }
        self.token.clone()
    }

    /// Signs in anew, with the password.
    pub async fn sign_in_again(&mut self) {
        let name = self.name.clone();
        self.browser
            .sign_in(&self.issuer, "catalyst-cli", &name, PASSWORD)
            .await;
        self.token = self.browser.token(&self.issuer, "catalyst-cli").await;
        self.obtained = Instant::now();
    }

    /// Connections to a killed process are of no use.
    pub fn reconnect(&mut self) {
        self.http = self.trust.client().build().unwrap();
    }

    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let token = self.token().await;
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, value)
    }

    pub async fn get(&mut self, path: &str) -> Value {
        let (status, value) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{} GET {path}: {value}", self.name);
        value
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Value {
        let (status, value) = self.ask(Method::POST, path, Some(&body)).await;
        assert!(
            status.is_success(),
            "{} POST {path}: {status} {value:#}",
            self.name
        );
        value
    }

    pub async fn put(&mut self, path: &str, body: Value) -> Value {
        let (status, value) = self.ask(Method::PUT, path, Some(&body)).await;
        assert!(
            status.is_success(),
            "{} PUT {path}: {status} {value:#}",
            self.name
        );
        value
    }

    pub async fn delete(&mut self, path: &str) -> Value {
        let (status, value) = self.ask(Method::DELETE, path, None).await;
        assert!(
            status.is_success(),
            "{} DELETE {path}: {status} {value:#}",
            self.name
        );
        value
    }

    /// What a request is refused with.
    pub async fn refused(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let (status, value) = self.ask(method.clone(), path, body.as_ref()).await;
        assert!(
            status.is_client_error(),
            "{} {method} {path} was not refused: {status} {value:#}",
            self.name
        );
        (status, value)
    }

    /// Reads until what is read is as wanted; fails with the last answer.
    pub async fn until(
        &mut self,
        what: &str,
        path: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        self.until_answer(what, path, |status, value| {
            status == StatusCode::OK && wanted(value)
        })
        .await
    }

    /// Like [`Self::until`], for any answer.
    pub async fn until_answer(
        &mut self,
        what: &str,
        path: &str,
        wanted: impl Fn(StatusCode, &Value) -> bool,
    ) -> Value {
        let started = Instant::now();
        loop {
            let (status, value) = self.ask(Method::GET, path, None).await;
            if wanted(status, &value) {
                return value;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}; {path} last answered {status} {value:#}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for a phase, and answers what was read then.
    pub async fn until_phase(&mut self, path: &str, phase: &str) -> Value {
        self.until(&format!("{path} is {phase}"), path, |value| {
            phase_of(value) == Some(phase)
        })
        .await
    }

    /// Waits until something is gone, no longer than a deletion may take.
    pub async fn until_gone(&mut self, path: &str) {
        let started = Instant::now();
        self.until_answer(&format!("{path} is gone"), path, |status, _| {
            status == StatusCode::NOT_FOUND
        })
        .await;
        let took = started.elapsed();
        assert!(took < DELETION, "{path} took {took:?}");
    }

    /// Waits until a deletion is told as ended, and answers how it was told.
    pub async fn until_ended(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let find = |all: &Value| {
            let ended = |one: &&Value| one["endedAt"].is_string() && is_it(one);
            all["items"].as_array()?.iter().find(ended).cloned()
        };
        let what = format!("the deletion of {what} has ended");
        let all = self
            .until(&what, "/deletions", |all| find(all).is_some())
            .await;
        find(&all).unwrap()
    }

    /// A clone URL with this user's credentials.
    pub async fn repository(&mut self, sovereign: &Sovereign, repository: &str) -> String {
        let token = self.token().await;
        format!(
            "{}/{repository}.git",
            sovereign
                .address("git")
                .replacen("://", &format!("://{}:{token}@", self.name), 1)
        )
    }

    /// The catalyst command line as this user.
    pub async fn catalyst(&mut self, words: &[&str]) -> Output {
        let server = self.base.trim_end_matches("/api/v1").to_owned();
        let token = self.token().await;
        Command::new(program())
            .args(words)
            .env("CATALYST_SERVER", server)
            .env("CATALYST_TOKEN", token)
            .env("XDG_CONFIG_HOME", self.config.path())
            .output()
            .unwrap()
    }
}

pub fn phase_of(value: &Value) -> Option<&str> {
    value.pointer("/health/phase").and_then(Value::as_str)
}

/// A new user, invited by another, with a password of their own.
pub async fn invite(
    sovereign: &Sovereign,
    by: &mut User,
    organization: &str,
    name: &str,
    role: &str,
) -> User {
    let invitation = by
        .post(
            &format!("/organizations/{organization}/invitations"),
            json!({"username": name, "email": format!("{name}@{organization}.example"), "role": role}),
        )
        .await;
    let link = invitation["url"].as_str().expect("a new user has a link");
    User::join(sovereign, name, link).await
}

/// Runs stock git; fails with what it said.
pub fn git(folder: &Path, words: &[&str]) -> String {
    let output = try_git(folder, words);
    assert!(
        output.status.success(),
        "git {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs stock git with a fixed identity and no configuration of the machine's.
pub fn try_git(folder: &Path, words: &[&str]) -> Output {
    Command::new("git")
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap()
}
