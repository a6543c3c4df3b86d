//! From one Environment to the next by pull request, and back by a commit.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::install::{page, status, until_page};
use crate::sovereign::Sovereign;

pub async fn a_promotion_waits_for_another_user(sovereign: &Sovereign, people: &mut People) {
    people
        .admin
        .put(
            "/policies/acme-prod-approval",
            json!({
                "name": "acme-prod-approval", "environments": ["acme-prod"],
                "rules": [{"kind": "pr-required", "minApprovals": 1}],
            }),
        )
        .await;
    people
        .alice
        .until(
            "the policy binds acme-prod",
            "/environments/acme-prod",
            |value| value["policies"] == json!(["acme-prod-approval"]),
        )
        .await;
    // Whom it binds does not lift it.
    let (status_code, problem) = people
        .alice
        .refused(Method::DELETE, "/policies/acme-prod-approval", None)
        .await;
    assert_eq!(status_code, StatusCode::FORBIDDEN, "{problem:#}");
    let accepted = people
        .alice
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "promote", "application": "guestbook", "to": "acme-prod"}),
        )
        .await;
    assert_eq!(accepted["repository"], "acme/acme-prod");
    let number = accepted["pullRequest"].as_u64().expect("a pull request");
    let path = format!("/environments/acme-prod/pull-requests/{number}");
    let pull = people
        .alice
        .until("the pull request is there", &path, |_| true)
        .await;
    assert_eq!(pull["author"], "alice");
    assert!(
        !pull["blockedBy"].as_array().unwrap().is_empty(),
        "{pull:#}"
    );
    assert!(
        pull["diff"].as_str().unwrap().contains("Guests of Acme"),
        "{pull:#}"
    );

    // Not by its own author, not without an approval, not by a plain command.
    people
        .alice
        .refused(Method::POST, &format!("{path}/approval"), None)
        .await;
    let (status_code, problem) = people
        .alice
        .refused(Method::POST, &format!("{path}/merge"), None)
        .await;
    assert_eq!(status_code, StatusCode::CONFLICT, "{problem:#}");
    assert_eq!(
        status(sovereign, "guestbook.acme-prod").await,
        StatusCode::NOT_FOUND
    );

    a_second_one_is_closed(people).await;

    people
        .bob
        .post(&format!("{path}/approval"), Value::Null)
        .await;
    people
        .alice
        .until("nothing blocks it any more", &path, |value| {
            value["blockedBy"] == json!([]) && value["approvals"] == json!(["bob"])
        })
        .await;
    people
        .alice
        .post(&format!("{path}/merge"), Value::Null)
        .await;
    people
        .alice
        .until_phase("/environments/acme-prod/applications/guestbook", "Running")
        .await;
    until_page(sovereign, "guestbook.acme-prod", "Guests of Acme").await;
    // Its own database: what was written in acme-dev is not here.
    let page = page(sovereign, "guestbook.acme-prod").await;
    assert!(!page.contains(super::install::ENTRY), "{page}");
}

/// Whoever may merge a pull request may also close it; nothing merges it then.
async fn a_second_one_is_closed(people: &mut People) {
    let accepted = people
        .alice
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "promote", "application": "guestbook", "to": "acme-prod"}),
        )
        .await;
    let number = accepted["pullRequest"].as_u64().expect("a pull request");
    let path = format!("/environments/acme-prod/pull-requests/{number}");
    people
        .mallory
        .refused(Method::POST, &format!("{path}/close"), None)
        .await;
    let closed = people.bob.post(&format!("{path}/close"), Value::Null).await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
    let (status, problem) = people
        .alice
        .refused(Method::POST, &format!("{path}/merge"), None)
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    assert_eq!(problem["detail"], "It was closed", "{problem:#}");
}

pub async fn a_rollback_is_a_commit(sovereign: &Sovereign, people: &mut People) {
    let path = "/environments/acme-dev/applications/guestbook";
    let before = people.alice.get(&format!("{path}/history")).await;
    let count = before["items"].as_array().unwrap().len();
    let accepted = people
        .alice
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "rollback", "application": "guestbook"}),
        )
        .await;
    assert!(accepted["commit"].is_string(), "{accepted:#}");
    until_page(sovereign, "guestbook.acme-dev", "Visitors").await;
    let after = people.alice.get(&format!("{path}/history")).await;
    assert_eq!(after["items"].as_array().unwrap().len(), count + 1);
    assert_eq!(after["items"][0]["author"], "alice");

    // An upgrade is a commit too, and so is the way back from it.
    for (command, version) in [
        (
            json!({"command": "change", "application": "guestbook", "version": "1.1.0"}),
            "1.1.0",
        ),
        (
            json!({"command": "rollback", "application": "guestbook"}),
            "1.0.0",
        ),
    ] {
        people
            .alice
            .post("/environments/acme-dev/changes", command)
            .await;
        people
            .alice
            .until(&format!("{version} runs"), path, |value| {
                value["deployedVersion"] == version && value["health"]["phase"] == "Running"
            })
            .await;
    }
}
