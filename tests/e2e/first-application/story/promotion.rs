//! From one Environment to the next by pull request, and back by a commit.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::install::{page, status, until_page};
use super::publish::succeeds;
use super::push::clone;
use super::user::{git, try_git};
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
    let number = promote(people).await;
    let path = pull_request(number);
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

    // Not by its own author, not without an approval, not by a plain push.
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

    // Asked for again it is the one that is open.
    assert_eq!(promote(people).await, number);
    let other = a_branch_of_ones_own_is_proposed(sovereign, people).await;
    it_is_closed_unmerged(people, other).await;

    approved_and_merged(people, number).await;
    people
        .alice
        .until_phase("/environments/acme-prod/applications/guestbook", "Running")
        .await;
    until_page(sovereign, "guestbook.acme-prod", "Guests of Acme").await;
    // Its own database: what was written in acme-dev is not here.
    let page = page(sovereign, "guestbook.acme-prod").await;
    assert!(!page.contains(super::install::ENTRY), "{page}");
}

/// What a direct push is refused with is the way to go; the pull request's number.
async fn a_branch_of_ones_own_is_proposed(sovereign: &Sovereign, people: &mut People) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    clone(sovereign, &mut people.bob, "acme/acme-prod", folder).await;
    let before = git(folder, &["ls-remote", "origin", "refs/heads/main"]);
    std::fs::write(folder.join("NOTES.md"), "Notes.\n").unwrap();
    git(folder, &["add", "NOTES.md"]);
    git(folder, &["commit", "--quiet", "-m", "Add notes"]);
    let pushed = try_git(folder, &["push", "--quiet", "origin", "HEAD:main"]);
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(!pushed.status.success(), "{said}");
    let reason = "acme-prod takes changes by pull request (policy acme-prod-approval)";
    let way = "catalyst propose BRANCH -e acme-prod";
    for expected in [reason, way] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    let after = git(folder, &["ls-remote", "origin", "refs/heads/main"]);
    assert_eq!(after, before);
    git(folder, &["push", "--quiet", "origin", "HEAD:bob/notes"]);
    let propose = ["propose", "bob/notes", "-e", "acme-prod", "-o", "json"];
    let accepted = succeeds(people.bob.catalyst(&propose).await);
    let number = accepted["pullRequest"].as_u64().unwrap();
    let pull = people.bob.get(&pull_request(number)).await;
    assert_eq!(pull["author"], "bob", "{pull:#}");
    assert_eq!(pull["title"], "Add notes", "{pull:#}");
    number
}

/// alice promotes the guestbook to acme-prod; the pull request's number.
async fn promote(people: &mut People) -> u64 {
    let accepted = people
        .alice
        .post(
            "/environments/acme-dev/changes",
            json!({"command": "promote", "application": "guestbook", "to": "acme-prod"}),
        )
        .await;
    assert_eq!(accepted["repository"], "acme/acme-prod");
    accepted["pullRequest"].as_u64().expect("a pull request")
}

fn pull_request(number: u64) -> String {
    format!("/environments/acme-prod/pull-requests/{number}")
}

/// bob approves what alice wants in acme-prod, and she merges it.
pub async fn approved_and_merged(people: &mut People, number: u64) {
    let path = pull_request(number);
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
}

/// The number of copies is marked `x-catalyst-per-environment`: a promotion carries
/// the rest over it, and not from an Environment that has its own to one that has
/// none.
pub async fn what_is_an_environments_own_stays(sovereign: &Sovereign, people: &mut People) {
    let change =
        |config: Value| json!({"command": "change", "application": "guestbook", "config": config});
    people
        .alice
        .post(
            "/environments/acme-dev/changes",
            change(json!({"replicas": 3})),
        )
        .await;
    for (own, title) in [(None, "Visitors"), (Some(2), "Friends")] {
        if let Some(replicas) = own {
            let config = json!({"replicas": replicas});
            let accepted = people
                .alice
                .post("/environments/acme-prod/changes", change(config))
                .await;
            let number = accepted["pullRequest"].as_u64().expect("a pull request");
            approved_and_merged(people, number).await;
        }
        people
            .alice
            .post(
                "/environments/acme-dev/changes",
                change(json!({"title": title})),
            )
            .await;
        let number = promote(people).await;
        let pull = people
            .alice
            .until("the pull request is there", &pull_request(number), |_| true)
            .await;
        let diff = pull["diff"].as_str().unwrap();
        assert!(diff.contains(&format!("+    title: {title}")), "{diff}");
        assert!(!diff.contains("+    replicas"), "{diff}");
        assert!(!diff.contains("-    replicas"), "{diff}");
        approved_and_merged(people, number).await;

        until_page(sovereign, "guestbook.acme-prod", title).await;
        let committed = committed_config(sovereign, people).await;
        let mut expected = json!({"title": title});
        if let Some(replicas) = own {
            expected["replicas"] = json!(replicas);
        }
        assert_eq!(committed, expected);
        let deployment = "/apis/apps/v1/namespaces/guestbook/deployments/guestbook";
        let url = sovereign.cluster("lo-loc-rtz-prod-acme", deployment);
        let http = sovereign.administrator().http;
        let deployment: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        let copies = &deployment["spec"]["replicas"];
        assert_eq!(*copies, json!(own.unwrap_or(1)), "{deployment:#}");
    }
    // As the next chapters know it.
    people
        .alice
        .post(
            "/environments/acme-dev/changes",
            change(json!({"title": "Visitors", "replicas": null})),
        )
        .await;
    until_page(sovereign, "guestbook.acme-dev", "Visitors").await;
}

/// The guestbook's config as it stands in acme-prod's repository.
async fn committed_config(sovereign: &Sovereign, people: &mut People) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let url = people.alice.repository(sovereign, "acme/acme-prod").await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    let file = "applications/guestbook/application.yaml";
    let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
    let application = catalyst_yaml::from_str(&text).unwrap();
    application["spec"]["config"].clone()
}

/// Whoever may merge a pull request may also close it; nothing merges it then.
async fn it_is_closed_unmerged(people: &mut People, number: u64) {
    let path = pull_request(number);
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
