//! Blueprints that not everybody may know of: on every road of the API they answer as
//! if they were not there.

use http::StatusCode;
use serde_json::{Value, json};

use crate::cluster::{blueprint, trusting};
use crate::pulls::{ACME, ACME_DEV, SOVEREIGN};
use crate::world::{World, wait};

/// Source, name and visibility of what is admitted, in version 1.0.0.
pub const ADMITTED: [(&str, &str, &str); 6] = [
    ("acme", "bp-plans", "private"),
    ("catalog", "bp-blog", "listed"),
    ("catalog", "bp-quiet", "unlisted"),
    ("catalog", "bp-inner", "private"),
    ("globex", "bp-secret", "private"),
    ("globex", "bp-shown", "listed"),
];

/// A Blueprint of acme's own, and what it depends on.
const REACHING: [(&str, &str, &str); 4] = [
    ("bp-reach", "globex", "bp-secret"),
    ("bp-miss", "globex", "bp-nothing"),
    ("bp-reach-in", "catalog", "bp-inner"),
    ("bp-miss-in", "catalog", "bp-nothing"),
];

pub async fn world() -> World {
    let world = World::new().await;
    let mut all: Vec<Value> = Vec::new();
    for (source, name, visibility) in ADMITTED {
        let mut made = blueprint(source, name, json!({"title": name, "tags": ["tagged"]}));
        made["spec"]["blueprint"]["visibility"] = json!(visibility);
        made["spec"]["icon"] = json!("<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
        all.push(made);
    }
    for (name, source, other) in REACHING {
        let mut made = blueprint("acme", name, json!({"title": name}));
        made["spec"]["blueprint"]["visibility"] = json!("unlisted");
        made["spec"]["blueprint"]["depends"] =
            json!([{"blueprint": other, "source": source, "version": "^1", "alias": "other"}]);
        all.push(made);
    }
    let count = all.len();
    {
        let mut parts = world.parts();
        parts.objects.insert("blueprints".to_owned(), all);
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
        let first = [("README.md", Some("1"))];
        parts.repository.commit("main", "ada", "First", &first);
    }
    world.watch().await;
    let known = |(source, name): (&str, &str)| {
        let everything = |_| true;
        let found = world.projector.blueprint(source, name, None, everything);
        found.is_some()
    };
    wait("the projector knows the Blueprints", || {
        let admitted = ADMITTED.iter().map(|(source, name, _)| (*source, *name));
        let reaching = REACHING.iter().map(|(name, _, _)| ("acme", *name));
        admitted.chain(reaching).filter(|it| known(*it)).count() == count
    })
    .await;
    world
}

#[tokio::test]
async fn each_caller_is_shown_what_is_for_them() {
    let world = world().await;
    // Listed for them; found by its exact name; nothing.
    let table = [
        ("acme", "bp-plans", ["list", "none", "list"]),
        ("catalog", "bp-blog", ["list", "list", "list"]),
        ("catalog", "bp-quiet", ["name", "name", "name"]),
        ("catalog", "bp-inner", ["none", "none", "name"]),
        ("globex", "bp-secret", ["none", "list", "list"]),
        ("globex", "bp-shown", ["none", "list", "list"]),
    ];
    for (index, caller) in ["vic", "olga", "sol"].into_iter().enumerate() {
        let mut lists = Vec::new();
        for query in ["", "?q=bp", "?tag=tagged"] {
            let path = format!("/api/v1/blueprints{query}");
            let (status, page) = world.ask(Some(caller), "GET", &path, None).await;
            assert_eq!(status, StatusCode::OK, "{path} for {caller}: {page}");
            lists.push(page);
        }
        for (source, name, expected) in table {
            let expected = expected[index];
            let what = format!("{source}/{name} for {caller}");
            for list in &lists {
                let items = list["items"].as_array().unwrap();
                let is_in = items
                    .iter()
                    .any(|item| item["source"] == source && item["name"] == name);
                assert_eq!(is_in, expected == "list", "{what} in {list}");
            }
            for path in [
                "",
                "?version=1.0.0",
                "/1.0.0/icon",
                "/1.0.0/vulnerabilities",
            ] {
                let path = format!("/api/v1/blueprints/{source}/{name}{path}");
                let (status, answer) = world.ask(Some(caller), "GET", &path, None).await;
                assert_eq!(
                    status == StatusCode::OK,
                    expected != "none",
                    "{what} at {path}: {answer}"
                );
            }
        }
    }
}

/// What a road answers, without the names that were asked for, and so were known.
async fn answered(
    world: &World,
    caller: &str,
    (method, path, body): (&str, &str, Option<&Value>),
    (source, name): (&str, &str),
) -> (StatusCode, String) {
    let (status, answer) = world.ask(Some(caller), method, path, body).await;
    let text = answer.to_string();
    (status, text.replace(name, "NAME").replace(source, "SOURCE"))
}

#[tokio::test]
async fn what_is_hidden_answers_as_what_is_not_there() {
    let world = world().await;
    for (caller, hidden, nothing) in [
        // Another Organization's; and what is private where nobody's is.
        ("dan", ("globex", "bp-secret"), ("globex", "bp-nothing")),
        ("dan", ("globex", "bp-secret"), ("initech", "bp-secret")),
        ("dan", ("catalog", "bp-inner"), ("catalog", "bp-nothing")),
        ("olga", ("acme", "bp-plans"), ("acme", "bp-nothing")),
    ] {
        for road in [
            "",
            "?version=1.0.0",
            "/1.0.0/icon",
            "/1.0.0/vulnerabilities",
            "register",
            "plan",
        ] {
            let mut answers = Vec::new();
            for (source, name) in [hidden, nothing] {
                let version = json!("1.0.0");
                let register = json!({"source": source, "name": name, "version": version});
                let install = json!({
                    "command": "install", "name": "it", "source": source, "blueprint": name,
                });
                let below = format!("/api/v1/blueprints/{source}/{name}{road}");
                let asked = match road {
                    "register" => ("POST", "/api/v1/blueprints", Some(&register)),
                    "plan" => (
                        "POST",
                        "/api/v1/environments/acme-dev/plans",
                        Some(&install),
                    ),
                    _ => ("GET", below.as_str(), None),
                };
                answers.push(answered(&world, caller, asked, (source, name)).await);
            }
            let what = format!("{road:?} of {hidden:?} for {caller}");
            assert!(answers[0].0.is_client_error(), "{what}: {answers:?}");
            assert_eq!(answers[0], answers[1], "{what}");
        }
    }
    // Where a dependency leads there, the explanation says no more.
    for (reaching, missing) in [("bp-reach", "bp-miss"), ("bp-reach-in", "bp-miss-in")] {
        let mut answers = Vec::new();
        for name in [reaching, missing] {
            let install = json!({
                "command": "install", "name": "it", "source": "acme", "blueprint": name,
            });
            let path = "/api/v1/environments/acme-dev/plans";
            let asked = ("POST", path, Some(&install));
            let (status, text) = answered(&world, "dan", asked, ("acme", name)).await;
            let other = REACHING.iter().find(|(own, _, _)| *own == name).unwrap().2;
            answers.push((status, text.replace(other, "OTHER")));
        }
        assert_eq!(answers[0].0, StatusCode::CONFLICT, "{answers:?}");
        assert!(answers[0].1.contains("dependency-conflict"), "{answers:?}");
        assert_eq!(answers[0], answers[1]);
    }
}
