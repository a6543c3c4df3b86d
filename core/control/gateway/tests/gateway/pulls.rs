//! Pull requests of an Environment.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const ACME: &str = "\
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

fn pull(number: u64, author: &str) -> (u64, Value) {
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

#[tokio::test]
async fn a_pull_request_is_closed_by_who_opened_it_and_who_may_merge_it() {
    let world = World::watched().await;
    {
        let mut parts = world.parts();
        parts.has_configuration = true;
        parts.files = [("organizations/acme.yaml".to_owned(), ACME.to_owned())].into();
        parts.pulls = [pull(1, "vic"), pull(2, "dan"), pull(3, "vic")].into();
    }
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
    }
    assert_eq!(world.parts().closers, ["vic", "dan", "ada"]);

    let (status, problem) = close(&world, Some("ada"), 2).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["detail"], "It was closed");
    let (status, problem) = close(&world, Some("ada"), 9).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
}
