//! Organizations, Environments, members: each a commit, each reconciled into
//! every part; nobody sees what is not theirs.

use std::process::Output;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::publish::succeeds;
use super::user::{User, git, invite, try_git};
use crate::sovereign::Sovereign;

/// What is meant where somebody is out within seconds.
const SECONDS: Duration = Duration::from_secs(20);

pub async fn two_organizations_are_made(
    sovereign: &Sovereign,
    admin: &mut User,
) -> (User, User, User) {
    for (name, title) in [("acme", "Acme"), ("globex", "Globex")] {
        let accepted = admin
            .post(
                "/organizations",
                json!({"name": name, "displayName": title}),
            )
            .await;
        assert!(accepted["commit"].is_string(), "{accepted:#}");
        admin
            .until_phase(&format!("/organizations/{name}"), "Running")
            .await;
    }
    for (organization, env_type) in [("acme", "dev"), ("acme", "prod"), ("globex", "dev")] {
        admin
            .post(
                &format!("/organizations/{organization}/environments"),
                json!({"envType": env_type}),
            )
            .await;
    }
    for name in ["acme-dev", "acme-prod", "globex-dev"] {
        let environment = admin
            .until_phase(&format!("/environments/{name}"), "Running")
            .await;
        let stage = name.rsplit_once('-').unwrap().1;
        let organization = name.rsplit_once('-').unwrap().0;
        assert_eq!(
            environment["vclusters"],
            json!([format!("lo-loc-rtz-{stage}-{organization}")])
        );
        flux_follows_the_repository(sovereign, organization, stage).await;
    }
    // Every change is a commit, by the one who asked for it.
    let log = git_log(sovereign, admin, "system/catalyst-config").await;
    for subject in ["acme", "globex", "acme-dev", "acme-prod", "globex-dev"] {
        assert!(log.contains(subject), "{subject} is not in:\n{log}");
    }
    assert!(log.contains("sovereign-admin"), "{log}");

    let mut alice = invite(sovereign, admin, "acme", "alice", "org-admin").await;
    alice
        .until("alice is an org-admin", "/me", |me| {
            me["organizations"][0]["role"] == "org-admin"
        })
        .await;
    // Judged before the issuer sees it, or anything is written.
    let organization = json!({"name": "initech", "contact": "nomail"});
    let user = json!({"username": "carol", "email": "nomail"});
    for (path, body, field) in [
        ("/organizations", &organization, "/contact"),
        ("/users/invitations", &user, "/email"),
        ("/organizations/acme/invitations", &user, "/email"),
    ] {
        let (status, problem) = admin.refused(Method::POST, path, Some(body.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
        assert_eq!(problem["faults"][0]["pointer"], field, "{problem:#}");
    }
    // An org-admin invites too.
    let bob = invite(sovereign, &mut alice, "acme", "bob", "org-developer").await;
    let mallory = invite(sovereign, admin, "globex", "mallory", "org-admin").await;
    (alice, bob, mallory)
}

/// Flux stands in the vcluster, and has applied what it follows.
async fn flux_follows_the_repository(sovereign: &Sovereign, organization: &str, stage: &str) {
    let http = sovereign.administrator().http;
    let environment = format!("{organization}-{stage}");
    for (group, plural) in [
        ("source.toolkit.fluxcd.io/v1", "gitrepositories"),
        ("kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
    ] {
        let path = format!("/apis/{group}/namespaces/{environment}/{plural}/{environment}");
        let url = sovereign.cluster(&format!("lo-loc-rtz-{stage}-{organization}"), &path);
        let object: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        let conditions = object["status"]["conditions"].as_array();
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        assert!(
            conditions.is_some_and(|all| all.iter().any(is_ready)),
            "{path}: {object:#}"
        );
    }
}

/// Invites by the command line, gives a role and takes it: each a commit, by whoever
/// did it; then removes the user altogether.
pub async fn roles_are_given_and_taken_by_commits(sovereign: &Sovereign, people: &mut People) {
    let invite = ["user", "invite", "erin", "--organization", "acme"];
    let role = ["--role", "org-viewer", "--output", "json"];
    let invitation = succeeds(people.alice.catalyst(&[&invite[..], &role].concat()).await);
    let link = invitation["url"].as_str().expect("a new user has a link");
    let mut erin = User::join(sovereign, "erin", link).await;
    let has = |role: Value| move |me: &Value| me["organizations"][0]["role"] == role;
    erin.until("erin is a viewer", "/me", has(json!("org-viewer")))
        .await;
    let member = "/organizations/acme/members/erin";
    let given = people
        .alice
        .put(member, json!({"role": "org-developer"}))
        .await;
    erin.until("erin is a developer", "/me", has(json!("org-developer")))
        .await;
    let taken = people.alice.delete(member).await;
    erin.until("erin is nobody there", "/me", has(Value::Null))
        .await;

    let folder = tempfile::tempdir().unwrap();
    let url = people
        .admin
        .repository(sovereign, "system/catalyst-config")
        .await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    for (answer, subject) in [
        (invitation, "Make erin org-viewer of Organization acme"),
        (given, "Make erin org-developer of Organization acme"),
        (taken, "Remove erin from Organization acme"),
    ] {
        let commit = answer["commit"].as_str().expect("a commit");
        let shown = ["show", "--no-patch", "--format=%an: %s", commit];
        assert_eq!(
            git(folder.path(), &shown).trim(),
            format!("alice: {subject}")
        );
    }

    let listed = succeeds(
        people
            .admin
            .catalyst(&["user", "list", "--output", "json"])
            .await,
    );
    assert!(listed.to_string().contains("\"erin\""), "{listed:#}");
    succeeds(
        people
            .admin
            .catalyst(&["user", "remove", "erin", "--yes"])
            .await,
    );
    erin.until_answer("erin is nobody", "/me", |status, _| {
        status == StatusCode::UNAUTHORIZED
    })
    .await;
}

async fn git_log(sovereign: &Sovereign, user: &mut User, repository: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let url = user.repository(sovereign, repository).await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    git(folder.path(), &["log", "--format=%an %s"])
}

pub async fn nobody_sees_another_organization(sovereign: &Sovereign, people: &mut People) {
    let mine = people
        .mallory
        .until("mallory is in globex", "/organizations", |value| {
            value["items"].as_array().is_some_and(|all| !all.is_empty())
        })
        .await;
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
    assert_eq!(mine["items"][0]["name"], "globex");
    let install = json!({"command": "install", "name": "spy", "blueprint": "bp-guestbook"});
    for (method, path, body) in [
        (Method::GET, "/organizations/acme", None),
        (Method::GET, "/organizations/acme/members", None),
        (Method::GET, "/environments/acme-dev", None),
        (Method::GET, "/environments/acme-dev/applications", None),
        (Method::GET, "/environments/acme-dev/pull-requests", None),
        (Method::GET, "/environments/acme-dev/kubeconfig", None),
        (
            Method::POST,
            "/environments/acme-dev/plans",
            Some(install.clone()),
        ),
        (
            Method::POST,
            "/environments/acme-dev/changes",
            Some(install),
        ),
        (Method::DELETE, "/environments/acme-dev", None),
        (Method::DELETE, "/organizations/acme", None),
        (
            Method::POST,
            "/organizations",
            Some(json!({"name": "evil"})),
        ),
        (
            Method::PUT,
            "/organizations/acme/members/mallory",
            Some(json!({"role": "org-admin"})),
        ),
    ] {
        let (status, problem) = people.mallory.refused(method.clone(), path, body).await;
        assert!(
            matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
            "{method} {path}: {status}"
        );
        let said = problem.to_string();
        assert!(!said.contains("alice") && !said.contains("bob"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    for repository in [
        "acme/acme-dev",
        "acme/shared-blueprints",
        "system/catalyst-config",
    ] {
        let url = people.mallory.repository(sovereign, repository).await;
        let cloned = try_git(folder.path(), &["clone", "--quiet", &url, "x"]);
        assert!(!cloned.status.success(), "mallory cloned {repository}");
    }
    for (name, cluster, allowed) in [
        ("alice", "lo-loc-rtz-dev-acme", true),
        ("mallory", "lo-loc-rtz-dev-globex", true),
        ("mallory", "lo-loc-rtz-dev-acme", false),
        ("alice", "lo-loc-rtz-dev", false),
        ("alice", "lo-loc-mgt-prod", false),
    ] {
        let user = match name {
            "alice" => &mut people.alice,
            _ => &mut people.mallory,
        };
        let status = pods(sovereign, user, cluster, "/api/v1/pods").await;
        assert_eq!(
            status == StatusCode::OK,
            allowed,
            "{} in {cluster}: {status}",
            user.name
        );
    }
}

/// Lists pods in a cluster as a user.
async fn pods(sovereign: &Sovereign, user: &mut User, cluster: &str, path: &str) -> StatusCode {
    let token = user.token().await;
    let http = sovereign.administrator().anonymous;
    let url = sovereign.cluster(cluster, path);
    let answer = http.get(url).bearer_auth(token).send().await.unwrap();
    answer.status()
}

pub async fn a_removed_member_loses_every_road(sovereign: &Sovereign, people: &mut People) {
    let mut carol = invite(
        sovereign,
        &mut people.alice,
        "acme",
        "carol",
        "org-developer",
    )
    .await;
    carol
        .until("carol sees acme-dev", "/environments/acme-dev", |_| true)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let url = carol.repository(sovereign, "acme/acme-dev").await;
    if let Err(said) = until(|| try_git(folder.path(), &["ls-remote", &url])).await {
        let object = sovereign.cluster(
            "lo-loc-mgt-prod",
            "/apis/catalyst.openova.io/v1alpha1/organizations/acme",
        );
        let http = sovereign.administrator().http;
        let object = http.get(object).send().await.unwrap();
        let object = object.text().await.unwrap();
        panic!("carol cannot clone: {said}; the Organization is {object}");
    }
    wait_for_pods(sovereign, &mut carol, StatusCode::OK).await;
    let open = watch(sovereign, &mut carol).await;
    // There is nothing yet, which only those may know who may read there.
    let asked = tags(sovereign, &mut carol).await;
    assert_eq!(asked, StatusCode::NOT_FOUND);

    let removed = Instant::now();
    people
        .alice
        .delete("/organizations/acme/members/carol")
        .await;
    carol
        .until_answer(
            "carol is out of the API",
            "/environments/acme-dev",
            |status, _| status == StatusCode::NOT_FOUND,
        )
        .await;
    until_not("carol is out of Git", || {
        try_git(folder.path(), &["ls-remote", &url])
    })
    .await;
    wait_for_pods(sovereign, &mut carol, StatusCode::FORBIDDEN).await;
    let started = Instant::now();
    loop {
        let asked = tags(sovereign, &mut carol).await;
        if matches!(asked, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            break;
        }
        assert!(
            started.elapsed().as_secs() < 30,
            "carol still gets {asked} from the registry"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What was open already is closed to her as well.
    assert_eq!(end_of(open).await, StatusCode::FORBIDDEN);
    let took = removed.elapsed();
    assert!(took < SECONDS, "carol was out everywhere after {took:?}");

    // Removed from the Sovereign altogether: no token of theirs works any more.
    people.admin.delete("/users/carol").await;
    carol
        .until_answer("carol is nobody", "/me", |status, _| {
            status == StatusCode::UNAUTHORIZED
        })
        .await;
    // Even while they are still a member.
    let alice = &mut people.alice;
    let mut dave = invite(sovereign, alice, "acme", "dave", "org-developer").await;
    wait_for_pods(sovereign, &mut dave, StatusCode::OK).await;
    let open = watch(sovereign, &mut dave).await;
    people.admin.delete("/users/dave").await;
    let end = end_of(open).await;
    assert!(
        matches!(end, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
        "{end}"
    );
}

/// Asks the registry for the tags of a repository of acme's, as a user.
async fn tags(sovereign: &Sovereign, user: &mut User) -> StatusCode {
    let token = user.token().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(sovereign.url("/v2/acme/nothing/tags/list"));
    let answer = request.basic_auth(&user.name, Some(token)).send().await;
    answer.unwrap().status()
}

/// Opens a watch of the pods of acme-dev, as a user.
async fn watch(sovereign: &Sovereign, user: &mut User) -> reqwest::Response {
    let path = "/api/v1/namespaces/acme-dev/pods?watch=true";
    let url = sovereign.cluster("lo-loc-rtz-dev-acme", path);
    let http = sovereign.administrator().anonymous;
    let request = http.get(url).bearer_auth(user.token().await);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer
}

/// Waits for the end of a watch, which must come within seconds, and answers
/// what it was given as the reason.
async fn end_of(mut watch: reqwest::Response) -> StatusCode {
    let mut said = Vec::new();
    let rest = async {
        while let Some(bytes) = watch.chunk().await.unwrap() {
            said.extend_from_slice(&bytes);
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), rest).await;
    ended.expect("the watch is still open after 10 s");
    let said = String::from_utf8(said).unwrap();
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "ERROR", "{last}");
    let code = last["object"]["code"].as_u64().unwrap();
    StatusCode::from_u16(u16::try_from(code).unwrap()).unwrap()
}

async fn wait_for_pods(sovereign: &Sovereign, user: &mut User, wanted: StatusCode) {
    let started = Instant::now();
    loop {
        // As `kubectl get pods -A` asks: developers of all Environments see the whole.
        let path = "/api/v1/pods";
        let status = pods(sovereign, user, "lo-loc-rtz-dev-acme", path).await;
        if status == wanted {
            return;
        }
        assert!(
            started.elapsed().as_secs() < 30,
            "{} still gets {status}",
            user.name
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a command until it succeeds, for 30 s; what it said last otherwise.
async fn until(run: impl Fn() -> Output) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let output = run();
        if output.status.success() {
            return Ok(());
        }
        if started.elapsed().as_secs() >= 30 {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_not(what: &str, run: impl Fn() -> Output) {
    let started = Instant::now();
    while run().status.success() {
        assert!(started.elapsed().as_secs() < 30, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
