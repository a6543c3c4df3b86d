//! A clock that jumps: the machine's was ahead and was set right, or fell back
//! behind the last write. Nothing may be lost, and nothing that was made "in the
//! future" may lock people out or hold longer than it should.
//!
//! The clock is moved by what `libfaketime` does too: a library, loaded before
//! all others, that answers for the C library's clock. `catalyst` knows nothing
//! of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::succeed;
use crate::sovereign::{Sovereign, own_address, with_arguments};

const CODE: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *out) {
    int result = syscall(SYS_clock_gettime, id, out);
    const char *by = getenv("CLOCK_SHIFT");
    if (result == 0 && by && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        out->tv_sec += atol(by);
    return result;
}
int gettimeofday(struct timeval *out, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"#;

const DAY: i64 = 86_400;

/// Builds the library; `None`, with a word to the reader, without a compiler.
fn library(directory: &Path) -> Option<PathBuf> {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("not run: the clock's jumps, because there is no C compiler (cc)");
        return None;
    }
    let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
    std::fs::write(&source, CODE).unwrap();
    succeed(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source),
    );
    Some(library)
}

fn start_at(data: &Path, listen: &str, library: &Path, days: i64) -> Sovereign {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalyst"));
    command
        .env("LD_PRELOAD", library)
        .env("CLOCK_SHIFT", (days * DAY).to_string());
    Sovereign::start_by(with_arguments(command, data, listen))
}

/// The `Date` that the Kubernetes API gives a new object.
async fn write(sovereign: &Sovereign, name: &str) -> Value {
    let answer = sovereign
        .administrator()
        .http
        .post(sovereign.cluster("lo-loc-mgt-prod", "/api/v1/namespaces/default/configmaps"))
        .json(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}

fn created(object: &Value) -> jiff::Timestamp {
    let text = object["metadata"]["creationTimestamp"].as_str().unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn a_clock_that_was_ahead_is_set_right_and_falls_behind() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = library(directory.path()) else {
        return;
    };
    let data = directory.path().join("data");

    // The first start happens a thousand days ahead.
    let listen = own_address();
    let sovereign = start_at(&data, &listen, &library, 1000);
    let mut admin = crate::admin(&sovereign).await;
    admin.post("/organizations", json!({"name": "acme"})).await;
    admin.until_phase("/organizations/acme", "Running").await;
    let from_ahead = admin.token().await;
    sovereign.kill();

    // The clock is set right, then falls two days behind the last write.
    let mut last = 0;
    for days in [0, -2] {
        let sovereign = start_at(&data, &listen, &library, days);
        admin.reconnect();
        // Certificates made ahead are good: the kubeconfig's client is served.
        let object = write(&sovereign, &format!("days{days}")).await;
        let off = created(&object).as_second() - jiff::Timestamp::now().as_second();
        assert!((off - days * DAY).abs() < 60, "the clock was not moved");
        assert!(version(&object) > last, "revisions never go back");
        last = version(&object);

        // A token that claims to come from the future does not hold for years.
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http
            .get(format!("{}/me", sovereign.address("api")))
            .bearer_auth(&from_ahead)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{days} days");
        let kubernetes = sovereign.cluster("lo-loc-mgt-prod", "/api/v1/namespaces");
        let anonymous = sovereign.administrator().anonymous;
        let answer = anonymous
            .get(kubernetes)
            .bearer_auth(&from_ahead)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{days} days");

        // The password is as good as ever, what was made is there, and work
        // goes on.
        admin.sign_in_again().await;
        admin.until_phase("/organizations/acme", "Running").await;
        let name = format!("later{}", days.abs());
        admin.post("/organizations", json!({"name": name})).await;
        let path = format!("/organizations/{name}");
        admin.until_phase(&path, "Running").await;
        let (status, _) = admin.ask(Method::GET, "/sovereign", None).await;
        assert_eq!(status, StatusCode::OK);
        sovereign.kill();
    }
}
