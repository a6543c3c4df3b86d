//! `catalyst login --device` at the issuer that the Sovereign brings: a code here, a
//! browser elsewhere.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::browser::Browser;
use crate::contract::command_line;
use crate::sovereign::Sovereign;
use crate::user::PASSWORD;

/// Longer than any of this takes: a device asks every 5 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sign-in that waits for its user; killed when dropped.
struct Device {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
    config: PathBuf,
    /// The page, and the code to enter there.
    page: String,
    code: String,
    /// The page with the code in it.
    complete: String,
}

impl Device {
    async fn begin(server: &str, config: PathBuf) -> Self {
        std::fs::create_dir(&config).unwrap();
        let login = command_line(&config, &["login", "--device", "--server", server]);
        let mut login = tokio::process::Command::from(login);
        login.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = login.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = next(&mut said).await.unwrap();
        let second = next(&mut said).await.unwrap();
        let (page, code) = first
            .strip_prefix("Open ")
            .and_then(|rest| rest.split_once(" in a browser and enter the code "))
            .unwrap_or_else(|| panic!("it names no page and code: {first:?}"));
        let complete = second.strip_prefix("or open ");
        Self {
            child,
            said,
            config,
            page: page.to_owned(),
            code: code.to_owned(),
            complete: complete.unwrap_or_else(|| panic!("{second:?}")).to_owned(),
        }
    }

    /// How it ended, what it said last, and where it keeps its keys.
    async fn end(mut self) -> (ExitStatus, String, PathBuf) {
        let mut rest = Vec::new();
        while let Some(line) = next(&mut self.said).await {
            rest.push(line);
        }
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it goes on").unwrap();
        (status, rest.join("\n"), self.config)
    }
}

async fn next(said: &mut Lines<BufReader<ChildStderr>>) -> Option<String> {
    let line = tokio::time::timeout(PATIENCE, said.next_line()).await;
    line.expect("it says nothing more and goes on").unwrap()
}

/// Two devices wait at once: the user, who signs in with the password, agrees to one
/// and refuses the other. Codes that nobody was given, or that were used, are refused.
pub async fn devices_sign_in_by_codes(sovereign: &Sovereign, directory: &Path) {
    let server = sovereign.address("console").trim_end_matches('/');
    let wanted = Device::begin(server, directory.join("wanted")).await;
    let unwanted = Device::begin(server, directory.join("unwanted")).await;
    assert_eq!(
        wanted.page,
        format!("{}/device", sovereign.address("issuer"))
    );
    assert_ne!(wanted.code, unwanted.code);

    let mut browser = Browser::new();
    let complete = wanted.complete.as_str();
    let there = browser
        .sign_in_at(complete, "sovereign-admin", PASSWORD)
        .await;
    assert_eq!(there, complete);
    let page = wanted.page.clone();
    // Letters that no code has.
    unknown(&mut browser, &page, "AAAA-AAAA").await;
    let said = browser.answer_device(&page, &wanted.code, "approve").await;
    assert!(said.contains("Your device goes on"), "{said}");
    unknown(&mut browser, &page, &wanted.code).await;
    let said = browser.answer_device(&page, &unwanted.code, "deny").await;
    assert!(said.contains("The device was not connected"), "{said}");

    let (status, said, config) = wanted.end().await;
    assert!(status.success(), "{said}");
    let expected = format!("Signed in at {server} as sovereign-admin;");
    assert!(said.starts_with(&expected), "{said}");
    let who = command_line(&config, &["whoami", "--output", "json"]).output();
    let who = who.unwrap();
    let error = String::from_utf8_lossy(&who.stderr);
    assert!(who.status.success(), "{error}");
    let who: Value = serde_json::from_slice(&who.stdout).unwrap();
    assert_eq!(who["username"], "sovereign-admin");

    let (status, said, config) = unwanted.end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    let expected = "error: the issuer did not accept the sign-in: the user refused";
    assert!(said.starts_with(expected), "{said}");
    let who = command_line(&config, &["whoami", "--server", server]).output();
    let who = who.unwrap();
    let said = String::from_utf8(who.stderr).unwrap();
    assert_eq!(who.status.code(), Some(1), "{said}");
    assert!(said.contains("you are not signed in at"), "{said}");
}

/// A code that no device waits by is refused.
async fn unknown(browser: &mut Browser, page: &str, code: &str) {
    let (status, said) = browser.enter_code(page, code).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
    let expected = "This code is unknown, has expired, or was used.";
    assert!(said.contains(expected), "{said}");
}
