//! Fleet upgrades: what is planned of whom, and who steers one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::cluster::{blueprint, fleet_upgrade, trusting};
use crate::pulls::{ACME, ACME_DEV, SOVEREIGN};
use crate::world::World;

const BLOG_FILE: &str = "applications/blog/application.yaml";

/// The Application blog of acme-dev, at a version.
fn blog(version: &str, rest: &str) -> String {
    format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: blog, namespace: acme-dev}}\nspec:\n  blueprint: {{source: catalog, name: bp-blog, version: {version}}}\n{rest}"
    )
}

/// A world in which acme-dev has the Application, of whose Blueprint there are three
/// versions, the last of which follows the second alone; and in whose configuration
/// these fleet upgrades stand.
async fn world(application: &str, upgrades: &[(&str, Option<&str>)]) -> World {
    let world = World::new().await;
    let versions = ["1.0.0", "1.5.0", "2.0.0"].map(|version| {
        let mut made = blueprint("catalog", "bp-blog", json!({"title": "Blog"}));
        made["metadata"]["name"] = json!(format!("catalog.bp-blog-{version}"));
        made["metadata"]["uid"] = json!(format!("bp-blog-{version}"));
        made["spec"]["version"] = json!(version);
        made["spec"]["blueprint"]["version"] = json!(version);
        if version == "2.0.0" {
            made["spec"]["blueprint"]["upgrades"] = json!({"from": ["1.5.x"]});
        }
        made
    });
    {
        let mut parts = world.parts();
        parts
            .objects
            .insert("blueprints".to_owned(), versions.to_vec());
        let objects = upgrades.iter().map(|(name, of)| fleet_upgrade(name, *of));
        parts
            .objects
            .insert("fleetupgrades".to_owned(), objects.collect());
        parts.has_configuration = true;
        let sovereign = trusting(SOVEREIGN);
        let files = [
            ("sovereign.yaml", sovereign.as_str()),
            ("organizations/acme.yaml", ACME),
            ("environments/acme-dev.yaml", ACME_DEV),
        ];
        parts.files = files
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into();
        for (name, of) in upgrades {
            let mut object = fleet_upgrade(name, *of);
            let fields = object.as_object_mut().unwrap();
            fields.remove("status");
            fields.insert("metadata".to_owned(), json!({"name": name}));
            // JSON is YAML, and a null is no Organization.
            if of.is_none() {
                object["spec"]
                    .as_object_mut()
                    .unwrap()
                    .remove("organization");
            }
            parts
                .files
                .insert(format!("upgrades/{name}.yaml"), object.to_string());
        }
        let first = [(BLOG_FILE, Some(application))];
        parts.repository.commit("main", "ada", "First", &first);
    }
    world
}

async fn plan(world: &World, caller: &str, body: &Value) -> (u16, Value) {
    let path = "/api/v1/upgrade-plans";
    let (status, answer) = world.ask(Some(caller), "POST", path, Some(body)).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn a_plan_names_who_is_left_out_and_by_which_versions_to_go() {
    let world = world(&blog("1.0.0", ""), &[]).await;
    let body = json!({"blueprint": "bp-blog", "to": "2.0.0"});
    for caller in ["ada", "sol"] {
        let (status, view) = plan(&world, caller, &body).await;
        assert_eq!(status, 200, "{view}");
        assert_eq!(view["waves"], json!([]), "{view}");
        let blocked = &view["blocked"][0];
        assert_eq!(blocked["environment"], "acme-dev");
        assert_eq!(blocked["from"], "1.0.0");
        let reason = blocked["reason"].as_str().unwrap();
        assert!(
            reason.contains("accepts upgrades from 1.5.x only"),
            "{reason}"
        );
        assert_eq!(
            blocked["next"], "Upgrade to 1.5.0 first, then to 2.0.0",
            "{view}"
        );
    }
    // With nobody left, nothing begins.
    let path = "/api/v1/upgrades";
    let (status, problem) = world.ask(Some("ada"), "POST", path, Some(&body)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let next = problem["next"].as_str().unwrap();
    assert!(next.contains("Upgrade to 1.5.0 first"), "{next}");
    assert!(world.parts().commits.is_empty());

    // One that has the version is no part of it; one that is paused is left out.
    for (application, count, words) in [
        (blog("2.0.0", ""), 0, ""),
        (blog("1.5.0", "  paused: true\n"), 1, "paused"),
        (blog("1.5.0", "  deletion: {data: keep}\n"), 0, ""),
    ] {
        let changed = [(BLOG_FILE, Some(application.as_str()))];
        {
            let mut parts = world.parts();
            parts.repository.commit("main", "ada", "Next", &changed);
        }
        let (status, view) = plan(&world, "ada", &body).await;
        assert_eq!(status, 200, "{view}");
        let blocked = view["blocked"].as_array().map_or(0, Vec::len);
        assert_eq!(blocked, count, "{application}: {view}");
        assert!(view.to_string().contains(words), "{view}");
    }
}

#[tokio::test]
async fn nothing_is_left_out_because_a_part_is_away() {
    // The registry, which has what the new version is made of, does not answer.
    let world = world(&blog("1.5.0", ""), &[]).await;
    let body = json!({"blueprint": "bp-blog", "to": "2.0.0"});
    let (status, problem) = plan(&world, "ada", &body).await;
    assert_eq!(status, 503, "{problem}");
    let path = "/api/v1/upgrades";
    let (status, problem) = world.ask(Some("ada"), "POST", path, Some(&body)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(world.parts().commits.is_empty());
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let world = world(&blog("1.0.0", ""), &[]).await;
    for (caller, more, status, words) in [
        (
            "ada",
            json!({"to": "3.0.0"}),
            404,
            "no Blueprint bp-blog 3.0.0",
        ),
        ("ada", json!({"to": "newest"}), 422, "is no version"),
        (
            "ada",
            json!({"waves": ["staging"]}),
            422,
            "not one of prod, stg, uat, dev, poc",
        ),
        ("ada", json!({"waves": ["dev", "dev"]}), 422, "named twice"),
        ("ada", json!({"batch": 0}), 422, "batch must be 1 to 500"),
        (
            "ada",
            json!({"timeoutSeconds": 86_401}),
            422,
            "timeoutSeconds must be 1 to",
        ),
        (
            "ada",
            json!({"organization": "globex"}),
            404,
            "no Organization globex",
        ),
        (
            "sol",
            json!({"organization": "initech"}),
            404,
            "no Organization initech",
        ),
        (
            "olga",
            json!({"organization": "acme"}),
            404,
            "no Organization acme",
        ),
        ("dan", json!({}), 403, "sovereign-admin"),
        (
            "dan",
            json!({"organization": "acme"}),
            403,
            "org-admin of acme",
        ),
    ] {
        let mut body = json!({"blueprint": "bp-blog", "to": "2.0.0"});
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        let (got, problem) = plan(&world, caller, &body).await;
        assert_eq!(got, status, "{caller} {more}: {problem}");
        let detail = problem["detail"].as_str().unwrap().to_lowercase();
        assert!(
            detail.contains(&words.to_lowercase()),
            "{caller} {more}: {detail}"
        );
    }
}

#[tokio::test]
async fn it_is_cancelled_and_resumed_by_who_administers_its_applications() {
    let upgrades = [("own", Some("acme")), ("everywhere", None)];
    let world = world(&blog("1.0.0", ""), &upgrades).await;
    for (caller, name, verb, status) in [
        ("olga", "own", "cancel", 404),
        ("vic", "own", "cancel", 403),
        ("ada", "everywhere", "cancel", 404),
        ("ada", "none", "resume", 404),
        ("dan", "own", "resume", 403),
        ("ada", "own", "cancel", 202),
        ("ada", "own", "resume", 202),
        ("sol", "everywhere", "cancel", 202),
    ] {
        let path = format!("/api/v1/upgrades/{name}/{verb}");
        let (got, answer) = world.ask(Some(caller), "POST", &path, None).await;
        assert_eq!(got.as_u16(), status, "{caller} {verb} {name}: {answer}");
    }
    let commits = world.parts().commits.clone();
    let told: Vec<(Value, Value, String)> = commits
        .iter()
        .map(|commit| {
            let file = &commit["files"][0];
            let content = STANDARD.decode(file["content"].as_str().unwrap()).unwrap();
            let author = commit["author"]["name"].clone();
            (
                author,
                file["path"].clone(),
                String::from_utf8(content).unwrap(),
            )
        })
        .collect();
    for ((author, path, text), (who, name, lines)) in told.iter().zip([
        (
            "ada",
            "own",
            ["attempt: 0", "cancelled: true", "requestedBy: ada"],
        ),
        (
            "ada",
            "own",
            ["attempt: 1", "organization: acme", "requestedBy: ada"],
        ),
        (
            "sol",
            "everywhere",
            ["attempt: 0", "cancelled: true", "requestedBy: ada"],
        ),
    ]) {
        assert_eq!(author, who);
        assert_eq!(path, &json!(format!("upgrades/{name}.yaml")));
        for line in lines {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
    assert_eq!(told.len(), 3);
}
