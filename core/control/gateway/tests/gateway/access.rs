//! Every operation of the OpenAPI document, by every kind of caller.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, wait};

/// Anonymous; a member of another Organization; viewer, developer, billing and
/// org-admin of acme; sovereign-admin.
const CALLERS: [Option<&str>; 7] = [
    None,
    Some("olga"),
    Some("vic"),
    Some("dan"),
    Some("bill"),
    Some("ada"),
    Some("sol"),
];

/// What reads of acme's things answer, by caller as in [`CALLERS`].
fn expected_of_read(operation: &str) -> [u16; 7] {
    match operation {
        "sovereign_get" | "trusted_root_get" | "openapi_get" | "graphql_schema_get" => [200; 7],
        // Nothing is asked; `graphql` has who is answered what.
        "graphql_get" => [401, 400, 400, 400, 400, 400, 400],
        "me_get"
        | "organization_list"
        | "environment_list"
        | "blueprint_list"
        | "blueprint_source_list"
        | "policy_list"
        | "deletion_list"
        | "upgrade_list" => [401, 200, 200, 200, 200, 200, 200],
        "provisioning_list" | "provisioning_schema" | "registry_hook_get" => {
            [401, 403, 403, 403, 403, 403, 200]
        }
        "provisioning_get" | "provisioning_events" => [401, 403, 403, 403, 403, 403, 404],
        // Olga administers globex.
        "user_list" => [401, 200, 403, 403, 403, 200, 200],
        "organization_get" | "member_list" => [401, 404, 200, 200, 200, 200, 200],
        // Whoever only pays knows of the Organization and sees nothing in it.
        "organization_environment_list" => [401, 404, 200, 200, 200, 200, 200],
        "environment_get"
        | "environment_kubeconfig"
        | "application_list"
        | "application_get"
        | "application_logs"
        | "application_vulnerabilities"
        | "upgrade_get" => [401, 404, 200, 200, 404, 200, 200],
        // There is none.
        "blueprint_get" | "blueprint_icon" | "blueprint_vulnerabilities" => {
            [401, 404, 404, 404, 404, 404, 404]
        }
        other => panic!("{other} has no row in the table"),
    }
}

fn body_of(operation: &str) -> Option<Value> {
    Some(match operation {
        "organization_create" => json!({"name": "initech"}),
        "member_set" => json!({"role": "org-viewer"}),
        "member_invite" | "user_invite" => json!({"username": "new"}),
        "environment_create" => json!({"envType": "stg"}),
        "plan_create" | "change_create" => {
            json!({"command": "change", "application": "blog", "paused": true})
        }
        "blueprint_register" => json!({"source": "acme", "name": "bp-blog", "version": "1.0.0"}),
        "policy_put" => json!({"name": "both", "environments": ["acme-dev"], "rules": []}),
        "upgrade_plan" | "upgrade_start" => json!({"blueprint": "bp-blog", "to": "2.0.0"}),
        "pull_open" => json!({"branch": "dan/blog"}),
        "provisioning_create" | "provisioning_render" => json!({"config": {}}),
        "provisioning_plan" | "provisioning_resume" | "provisioning_destroy_with" => json!({}),
        "signer_trust" => json!({"source": "acme", "publicKey": "none"}),
        _ => return None,
    })
}

/// Writes that ask no role in acme's Environments of whoever may read them.
const READS_OF_THE_WRITE_SIDE: [&str; 6] = [
    "plan_create",
    "revision_list",
    "revision_get",
    "branch_list",
    "pull_list",
    "pull_get",
];

#[tokio::test]
async fn every_operation_answers_every_caller_as_it_may() {
    let world = World::watched().await;
    let document = catalyst_gateway::openapi();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            // The stream does not end; `live` reads it.
            if id == "stream_get" {
                continue;
            }
            let filled = path
                .replace("{organization}", "acme")
                .replace("{environment}", "acme-dev")
                .replace("{application}", "blog")
                .replace("{user}", "vic")
                .replace("{number}", "1")
                .replace("{source}", "acme")
                .replace("{name}", "both")
                .replace("{version}", "1.0.0")
                .replace("{commit}", &"a".repeat(40))
                .replace("{fqdn}", "omantel.example");
            let is_scoped = filled.contains("acme");
            for (index, caller) in CALLERS.into_iter().enumerate() {
                let body = body_of(id);
                let (status, answer) = world
                    .ask(caller, &method.to_uppercase(), &filled, body.as_ref())
                    .await;
                let what = format!("{id} by {caller:?} answered {status} {answer}");
                asked += 1;
                if id.starts_with("hook_") || id == "push_check" {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
                    continue;
                }
                let is_of_write_side = method != "get" || READS_OF_THE_WRITE_SIDE.contains(&id);
                if !is_of_write_side {
                    assert_eq!(status.as_u16(), expected_of_read(id)[index], "{what}");
                    continue;
                }
                match caller {
                    None => assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}"),
                    Some("olga") if is_scoped => {
                        assert_eq!(status, StatusCode::NOT_FOUND, "{what}");
                        assert_eq!(answer["type"], "not-found", "{what}");
                    }
                    Some("olga" | "vic" | "bill") if !READS_OF_THE_WRITE_SIDE.contains(&id) => {
                        assert!(status.as_u16() >= 400, "{what}");
                    }
                    // The write side decides; the gateway lets it.
                    Some(_) => assert_ne!(status, StatusCode::UNAUTHORIZED, "{what}"),
                }
            }
        }
    }
    assert_eq!(asked, 74 * CALLERS.len(), "operations of the document");
}

#[tokio::test]
async fn a_source_tells_what_its_registry_holds_and_nobody_trusts() {
    let world = World::watched().await;
    let path = "/api/v1/blueprint-sources";
    let (status, page) = world.ask(Some("vic"), "GET", path, None).await;
    assert_eq!(status, StatusCode::OK);
    let refused = json!([{
        "name": "bp-plans", "version": "0.9.0", "reason": "it is not signed",
        "fix": "publish it signed",
    }]);
    assert_eq!(page["items"][0]["refused"], refused, "{page}");
}

#[tokio::test]
async fn lists_hold_what_the_caller_may_see_and_no_more() {
    let world = World::watched().await;
    let names = |page: &Value, field: &str| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    for (path, field, caller, expected) in [
        ("organizations", "name", "vic", &["acme"][..]),
        ("organizations", "name", "bill", &["acme"][..]),
        ("organizations", "name", "olga", &["globex"][..]),
        ("organizations", "name", "sol", &["acme", "globex"][..]),
        ("environments", "name", "vic", &["acme-dev"][..]),
        ("environments", "name", "bill", &[][..]),
        ("environments", "name", "olga", &["globex-dev"][..]),
        (
            "environments",
            "name",
            "sol",
            &["acme-dev", "globex-dev"][..],
        ),
        ("organizations/acme/environments", "name", "bill", &[][..]),
        (
            "environments/acme-dev/applications",
            "name",
            "dan",
            &["blog"][..],
        ),
        ("users", "username", "olga", &["olga"][..]),
        (
            "users",
            "username",
            "ada",
            &["ada", "bill", "dan", "vic"][..],
        ),
        (
            "users",
            "username",
            "sol",
            &["ada", "bill", "dan", "olga", "sol", "vic"][..],
        ),
        ("upgrades", "name", "vic", &["both"][..]),
        ("upgrades", "name", "bill", &[][..]),
        ("upgrades", "name", "olga", &[][..]),
        ("upgrades", "name", "sol", &["both", "everywhere"][..]),
        ("blueprint-sources", "source", "vic", &["acme"][..]),
        ("blueprint-sources", "source", "bill", &[][..]),
        ("blueprint-sources", "source", "olga", &["globex"][..]),
        (
            "blueprint-sources",
            "source",
            "sol",
            &["acme", "catalog", "globex"][..],
        ),
        ("policies", "name", "vic", &["both"][..]),
        ("policies", "name", "bill", &[][..]),
    ] {
        let path = format!("/api/v1/{path}");
        let (status, page) = world.ask(Some(caller), "GET", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{path} for {caller}");
        assert_eq!(names(&page, field), expected, "{path} for {caller}");
    }
    for (caller, expected) in [
        ("vic", json!(["acme-dev"])),
        ("olga", json!(["globex-dev"])),
        ("sol", json!(["acme-dev", "globex-dev"])),
    ] {
        let (_, page) = world
            .ask(Some(caller), "GET", "/api/v1/policies", None)
            .await;
        assert_eq!(page["items"][0]["environments"], expected, "for {caller}");
    }
}

#[tokio::test]
async fn a_removed_member_reads_nothing_within_seconds() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev";
    let (status, _) = world.ask(Some("vic"), "GET", path, None).await;
    assert_eq!(status, StatusCode::OK);
    let members = world.parts().organizations["acme"].clone();
    let others = members.into_iter().filter(|member| member["user"] != "vic");
    let others = others.collect();
    world
        .parts()
        .organizations
        .insert("acme".to_owned(), others);
    let begun = std::time::Instant::now();
    loop {
        let (status, _) = world.ask(Some("vic"), "GET", path, None).await;
        if status == StatusCode::NOT_FOUND {
            break;
        }
        assert!(begun.elapsed().as_secs() < 3, "still let in");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_kubeconfig_carries_the_callers_own_token() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev/kubeconfig";
    let (status, config) = world.ask(Some("dan"), "GET", path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(config["users"][0]["user"], json!({"token": "dan-token"}));
    assert_eq!(config["current-context"], "lo-loc-rtz-dev-acme");
    assert_eq!(
        config["clusters"][0]["cluster"]["server"],
        "https://127.0.0.1:8080/clusters/lo-loc-rtz-dev-acme"
    );
}

#[tokio::test]
async fn blueprints_are_found_by_whoever_may_see_them_the_best_fit_first() {
    let world = World::watched().await;
    wait("the projector knows the Blueprints", || {
        world.projector.blueprints().len() == 3
    })
    .await;
    let everything = ["bp-plans", "bp-blog", "bp-postgres"];
    for (user, query, expected) in [
        ("vic", "", &everything[..]),
        ("olga", "", &everything[1..]),
        ("vic", "?q=postgres", &["bp-postgres", "bp-plans"]),
        ("olga", "?q=postgres", &["bp-postgres"]),
        ("olga", "?q=plans", &[]),
        ("vic", "?q=postgers", &["bp-postgres"]),
        ("vic", "?category=data", &["bp-postgres"]),
        ("vic", "?tag=SQL", &["bp-postgres"]),
        ("vic", "?tag=web", &[]),
        ("vic", "?q=postgres&category=Office", &["bp-plans"]),
    ] {
        let path = format!("/api/v1/blueprints{query}");
        let (status, answer) = world.ask(Some(user), "GET", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{user} {query}: {answer}");
        let items = answer["items"].as_array().unwrap();
        let names: Vec<&str> = items
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{user} {query}");
    }
    let path = format!("/api/v1/blueprints?q={}", "a".repeat(201));
    let (status, answer) = world.ask(Some("vic"), "GET", &path, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
}
