//! Pull requests of an Environment.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalyst_ports::RepositoryId;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::repository::Opening;
use crate::world::{World, wait};

pub const ACME: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Organization
metadata: {name: acme}
spec:
  displayName: Acme
  members:
  - {user: ada, role: org-admin}
  - {user: dan, role: org-developer}
  - {user: vic, role: org-viewer}
  - {user: bill, role: billing-admin}
";

pub const SOVEREIGN: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Sovereign
metadata: {name: localhost}
spec:
  domain: localhost
  provider: lo
  hostClusters:
  - {name: lo-loc-rtz-dev, region: loc, buildingBlock: rtz, envType: dev}
";

pub const ACME_DEV: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Environment
metadata: {name: acme-dev}
spec: {organization: acme, envType: dev}
";

const TWO_EYES: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: EnvironmentPolicy
metadata: {name: two-eyes}
spec:
  appliesTo: {environments: [acme-dev]}
  rules:
  - {kind: pr-required}
";

const BLOG_FILE: &str = "applications/blog/application.yaml";

const BLOG: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Application
metadata: {name: blog, namespace: acme-dev}
spec:
  blueprint: {source: catalog, name: bp-blog, version: 1.0.0}
";

pub fn pull(number: u64, author: &str) -> (u64, Value) {
    let value = json!({
        "number": number, "title": "Change blog", "body": "", "user": {"login": author},
        "created_at": "2026-01-01T00:00:00Z", "state": "open", "merged": false,
        "mergeable": true, "base": {"ref": "main"},
        "head": {"ref": format!("{author}/blog"), "sha": "a".repeat(40)},
    });
    (number, value)
}

async fn close(world: &World, caller: Option<&str>, number: u64) -> (StatusCode, Value) {
    let path = format!("/api/v1/environments/acme-dev/pull-requests/{number}/close");
    world.ask(caller, "POST", &path, None).await
}

/// A world with these pull requests open.
async fn world(pulls: impl IntoIterator<Item = (u64, Value)>) -> World {
    let world = World::watched().await;
    let mut parts = world.parts();
    parts.has_configuration = true;
    parts.files = [("organizations/acme.yaml".to_owned(), ACME.to_owned())].into();
    parts.pulls = pulls.into_iter().collect();
    drop(parts);
    world
}

/// Has the forge leave a pull request open until it is told to go on.
fn hold(world: &World, number: u64) -> Arc<Notify> {
    let held = Arc::new(Notify::new());
    world.parts().held.insert(number, Arc::clone(&held));
    held
}

async fn asked(world: &World, number: u64) {
    wait("the forge is asked to close it", || {
        world.parts().asked.contains(&number)
    })
    .await;
}

#[tokio::test]
async fn a_pull_request_is_closed_by_who_opened_it_and_who_may_merge_it() {
    let world = world([pull(1, "vic"), pull(2, "dan"), pull(3, "vic")]).await;
    for (caller, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("olga"), StatusCode::NOT_FOUND),
        (Some("bill"), StatusCode::NOT_FOUND),
        (Some("vic"), StatusCode::FORBIDDEN),
    ] {
        let (got, problem) = close(&world, caller, 2).await;
        assert_eq!(got, status, "{caller:?}: {problem}");
    }
    let (_, problem) = close(&world, Some("vic"), 2).await;
    assert_eq!(problem["title"], "Close pull request 2 of acme-dev");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("Only who opened it"), "{detail}");
    assert!(world.parts().closers.is_empty());

    // A reader takes their own back; a developer and an org-admin close others'.
    for (caller, number) in [("vic", 1), ("dan", 3), ("ada", 2)] {
        let (status, view) = close(&world, Some(caller), number).await;
        assert_eq!(status, StatusCode::OK, "{caller}: {view}");
        assert_eq!(view["state"], "closed", "{view}");
        assert_eq!(view["number"], number, "{view}");
        assert_eq!(view["environment"], "acme-dev", "{view}");
        let head = view["head"].as_str().unwrap();
        assert!(head.ends_with("/blog"), "{view}");
    }
    assert_eq!(world.parts().closers, ["vic", "dan", "ada"]);

    let (status, problem) = close(&world, Some("ada"), 2).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["detail"], "It was closed");
    let (status, problem) = close(&world, Some("ada"), 9).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
}

/// They belong to no Organization, so the forge lets them in for each of the two.
#[tokio::test]
async fn a_sovereign_admin_may_do_two_things_at_once_in_one_repository() {
    let world = world([pull(1, "vic"), pull(2, "dan")]).await;
    let held = hold(&world, 1);
    let first = close(&world, Some("sol"), 1);
    let second = async {
        asked(&world, 1).await;
        let second = close(&world, Some("sol"), 2).await;
        held.notify_one();
        second
    };
    let (first, second) = tokio::join!(first, second);
    for (status, view) in [first, second] {
        assert_eq!(status, StatusCode::OK, "{view}");
        assert_eq!(view["state"], "closed", "{view}");
    }
    assert_eq!(world.parts().closers, ["sol", "sol"]);
    assert_eq!(world.parts().let_in, BTreeSet::new());
}

#[tokio::test]
async fn whom_nothing_is_done_for_is_let_in_no_more() {
    let world = world([pull(1, "vic")]).await;
    let acme_dev = RepositoryId::new("acme", "acme-dev");
    let held = hold(&world, 1);
    let closing = close(&world, Some("sol"), 1);
    let cleaning = async {
        asked(&world, 1).await;
        world.parts().let_in.insert("eve".to_owned());
        let removed = world.commands.guests_remove(&acme_dev).await.unwrap();
        held.notify_one();
        removed
    };
    let ((status, view), removed) = tokio::join!(closing, cleaning);
    assert_eq!(status, StatusCode::OK, "{view}");
    assert_eq!(removed, ["eve"]);
    // Left so by a process that was killed.
    world.parts().let_in.insert("sol".to_owned());
    let removed = world.commands.guests_remove(&acme_dev).await.unwrap();
    assert_eq!(removed, ["sol"]);
    assert_eq!(world.parts().let_in, BTreeSet::new());
}

#[tokio::test]
async fn a_branch_that_was_pushed_becomes_one_pull_request() {
    let world = World::new().await;
    {
        let mut parts = world.parts();
        parts.has_configuration = true;
        parts.files = [("organizations/acme.yaml".to_owned(), ACME.to_owned())].into();
        let repository = &mut parts.repository;
        let readme = |text| [("README.md", Some(text))];
        repository.commit("main", "ada", "First", &readme("1"));
        repository.branch("ada/old");
        repository.commit("catalyst/promote-blog-1", "ada", "Promote", &readme("3"));
        repository.commit("dan/blog", "dan", "Change blog\n\nbecause", &readme("2"));
    }
    let branches = "/api/v1/environments/acme-dev/branches";
    let (status, page) = world.ask(Some("vic"), "GET", branches, None).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let shown: Vec<[&Value; 4]> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| ["name", "commits", "subject", "pullRequest"].map(|field| &it[field]))
        .collect();
    // What commands made is not theirs to open.
    let expected = json!([
        ["ada/old", 0, "First", null],
        ["dan/blog", 1, "Change blog", null],
    ]);
    assert_eq!(json!(shown), expected);

    let pulls = "/api/v1/environments/acme-dev/pull-requests";
    let open = async |caller: Option<&str>, body: Value| {
        let (status, answer) = world.ask(caller, "POST", pulls, Some(&body)).await;
        (status.as_u16(), answer)
    };
    for (caller, branch, status, words) in [
        (None, "dan/blog", 401, ""),
        (Some("olga"), "dan/blog", 404, ""),
        (Some("vic"), "dan/blog", 403, "org-developer"),
        (Some("dan"), "dan/none", 404, "no branch dan/none"),
        (Some("dan"), "ada/old", 409, "no commit in ada/old"),
        (Some("dan"), "main", 422, "change goes to main"),
        (Some("dan"), "../../system", 422, "no branch's name"),
    ] {
        let (got, problem) = open(caller, json!({"branch": branch})).await;
        assert_eq!(got, status, "{caller:?} {branch}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{caller:?} {branch}: {detail}");
    }
    assert!(world.parts().pulls.is_empty());

    // Asked for twice it is one, whoever asks.
    for (caller, body) in [
        ("dan", json!({"branch": "dan/blog"})),
        ("ada", json!({"branch": "dan/blog", "title": "Another"})),
    ] {
        let (status, accepted) = open(Some(caller), body).await;
        assert_eq!(status, 202, "{caller}: {accepted}");
        let expected = json!({"repository": "acme/acme-dev", "pullRequest": 1});
        assert_eq!(accepted, expected, "{caller}");
    }
    {
        let parts = world.parts();
        assert_eq!(parts.pulls.len(), 1);
        let pull = &parts.pulls[&1];
        assert_eq!(pull["title"], "Change blog");
        assert_eq!(pull["user"]["login"], "dan");
        assert_eq!(pull["base"]["ref"], "main");
    }
    let (_, page) = world.ask(Some("dan"), "GET", branches, None).await;
    assert_eq!(page["items"][1]["pullRequest"], 1, "{page}");
}

/// A world in which acme-dev has an Application, and changes by pull requests alone.
pub async fn changed_by_pulls() -> World {
    let world = World::new().await;
    let mut parts = world.parts();
    parts.has_configuration = true;
    let files = [
        ("sovereign.yaml", SOVEREIGN),
        ("organizations/acme.yaml", ACME),
        ("environments/acme-dev.yaml", ACME_DEV),
        ("policies/two-eyes.yaml", TWO_EYES),
    ];
    parts.files = files
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
    parts.objects.insert("blueprints".to_owned(), Vec::new());
    let first = [(BLOG_FILE, Some(BLOG)), ("README.md", Some("1"))];
    parts.repository.commit("main", "ada", "First", &first);
    drop(parts);
    world
}

/// Asks for the deletion of the Application.
async fn delete_blog(world: &World, caller: &str, data: &str) -> (StatusCode, Value) {
    let path = "/api/v1/environments/acme-dev/changes";
    let body = json!({"command": "delete", "application": "blog", "data": data});
    world.ask(Some(caller), "POST", path, Some(&body)).await
}

#[tokio::test]
async fn a_change_whose_pull_request_is_not_opened_leaves_no_branch() {
    let world = changed_by_pulls().await;
    world.parts().repository.opening = Opening::Failed;
    let (status, problem) = delete_blog(&world, "dan", "keep").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(world.parts().repository.branches(), ["main"]);

    // It was opened, and only the answer was lost.
    world.parts().repository.opening = Opening::Unheard;
    let (status, accepted) = delete_blog(&world, "dan", "keep").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    assert_eq!(accepted["pullRequest"], 1, "{accepted}");
    let head = world.parts().pulls[&1]["head"]["ref"].clone();
    assert!(head.as_str().unwrap().starts_with("catalyst/"), "{head}");
    let parts = world.parts();
    assert_eq!(json!(parts.repository.branches()), json!([head, "main"]));
}

#[tokio::test]
async fn a_change_that_is_asked_for_twice_is_one_pull_request() {
    let world = changed_by_pulls().await;
    let ask = async |caller: &str, data: &str| {
        let (status, accepted) = delete_blog(&world, caller, data).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
        accepted["pullRequest"].as_u64().unwrap()
    };
    assert_eq!(ask("dan", "keep").await, 1);
    assert_eq!(ask("dan", "keep").await, 1);
    // Whoever asks; the one that asked first has opened it.
    assert_eq!(ask("ada", "keep").await, 1);
    assert_eq!(world.parts().pulls[&1]["user"]["login"], "dan");
    assert_eq!(world.parts().pulls.len(), 1);

    // Another change is another pull request, and what it does not touch may change.
    assert_eq!(ask("dan", "drop").await, 2);
    let readme = [("README.md", Some("2"))];
    let commit = |changes: &[(&str, Option<&str>)]| {
        let mut parts = world.parts();
        parts.repository.commit("main", "ada", "Next", changes);
    };
    commit(&readme);
    assert_eq!(ask("dan", "keep").await, 1);
    assert_eq!(ask("ada", "drop").await, 2);

    // What was closed is not what was asked for; nor is what stands on another state.
    world.parts().pulls.get_mut(&1).unwrap()["state"] = json!("closed");
    assert_eq!(ask("dan", "keep").await, 3);
    let larger = format!("{BLOG}  size: large\n");
    commit(&[(BLOG_FILE, Some(larger.as_str()))]);
    assert_eq!(ask("dan", "keep").await, 4);
}
