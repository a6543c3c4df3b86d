//! GraphQL: what REST answers, to whom REST answers it.

use std::collections::BTreeSet;

use apollo_compiler::Schema;
use apollo_compiler::schema::FieldDefinition;
use apollo_compiler::validation::Valid;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::hidden;
use crate::pulls::{ACME, ACME_DEV, SOVEREIGN, changed_by_pulls, pull};
use crate::world::{World, wait};

pub const PATH: &str = "/api/v1/graphql";
pub const SDL: &str = include_str!("../../schema.graphql");

const CALLERS: [&str; 6] = ["olga", "vic", "dan", "bill", "ada", "sol"];

/// Every field of `Query`, the type that it gives, and where REST has it.
const READS: [(&str, &str, &str); 25] = [
    ("me", "Me", "me"),
    ("sovereign", "Sovereign", "sovereign"),
    ("organizations", "Organization", "organizations"),
    (
        r#"organization(name: "acme")"#,
        "Organization",
        "organizations/acme",
    ),
    ("environments", "Environment", "environments"),
    (
        r#"environment(name: "acme-dev")"#,
        "Environment",
        "environments/acme-dev",
    ),
    (
        r#"environment(name: "acme-none")"#,
        "Environment",
        "environments/acme-none",
    ),
    (
        r#"applications(environment: "acme-dev")"#,
        "Application",
        "environments/acme-dev/applications",
    ),
    (
        r#"application(environment: "acme-dev", name: "blog")"#,
        "Application",
        "environments/acme-dev/applications/blog",
    ),
    (
        r#"application(environment: "acme-dev", name: "none")"#,
        "Application",
        "environments/acme-dev/applications/none",
    ),
    ("blueprints", "Blueprint", "blueprints"),
    (
        r#"blueprints(q: "postgres", category: "Office")"#,
        "Blueprint",
        "blueprints?q=postgres&category=Office",
    ),
    (
        r#"blueprint(source: "acme", name: "bp-plans")"#,
        "Blueprint",
        "blueprints/acme/bp-plans",
    ),
    (
        r#"blueprint(source: "catalog", name: "bp-blog", version: "1.0.0")"#,
        "Blueprint",
        "blueprints/catalog/bp-blog?version=1.0.0",
    ),
    (
        r#"blueprint(source: "catalog", name: "bp-blog", version: "9.0.0")"#,
        "Blueprint",
        "blueprints/catalog/bp-blog?version=9.0.0",
    ),
    ("blueprintSources", "BlueprintSource", "blueprint-sources"),
    (
        r#"pullRequests(environment: "acme-dev")"#,
        "PullRequest",
        "environments/acme-dev/pull-requests",
    ),
    (
        r#"pullRequest(environment: "acme-dev", number: 1)"#,
        "PullRequest",
        "environments/acme-dev/pull-requests/1",
    ),
    (
        r#"branches(environment: "acme-dev")"#,
        "Branch",
        "environments/acme-dev/branches",
    ),
    ("upgrades", "Upgrade", "upgrades"),
    (r#"upgrade(name: "both")"#, "Upgrade", "upgrades/both"),
    (
        r#"upgrade(name: "everywhere")"#,
        "Upgrade",
        "upgrades/everywhere",
    ),
    ("policies", "Policy", "policies"),
    ("deletions", "Deletion", "deletions"),
    (
        r#"application(environment: "globex-dev", name: "blog")"#,
        "Application",
        "environments/globex-dev/applications/blog",
    ),
];

pub fn schema() -> Valid<Schema> {
    Schema::parse_and_validate(SDL, "schema.graphql").unwrap()
}

/// A world whose forge has a branch and a pull request of acme-dev.
pub async fn world() -> World {
    let world = World::watched().await;
    forge(&world);
    wait("the projector knows the Blueprints", || {
        world.projector.blueprints().len() == 3
    })
    .await;
    world
}

fn forge(world: &World) {
    let mut parts = world.parts();
    parts.has_configuration = true;
    let files = [
        ("sovereign.yaml", SOVEREIGN),
        ("organizations/acme.yaml", ACME),
        ("environments/acme-dev.yaml", ACME_DEV),
    ];
    parts.files = files
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
    let readme = |text| [("README.md", Some(text))];
    let repository = &mut parts.repository;
    repository.commit("main", "ada", "First", &readme("1"));
    repository.commit("dan/blog", "dan", "Change blog", &readme("2"));
    parts.pulls = [pull(1, "dan")].into();
}

pub async fn graph(world: &World, caller: Option<&str>, document: &str) -> (StatusCode, Value) {
    let body = json!({"query": document});
    world.ask(caller, "POST", PATH, Some(&body)).await
}

/// The property of REST that a field gives.
pub fn property(field: &FieldDefinition) -> &str {
    let directive = field.directives.get("rest");
    directive
        .and_then(|it| it.specified_argument_by_name("name")?.as_str())
        .unwrap_or(&field.name)
}

/// All that is a property of a type, and of what these are.
fn everything(schema: &Schema, kind: &str) -> String {
    let fields = schema.get_object(kind).unwrap().fields.iter();
    let own = fields.filter(|(_, field)| field.directives.get("cost").is_none());
    let named = own.map(|(name, field)| {
        let inner = field.ty.inner_named_type();
        match schema.get_object(inner) {
            Some(_) => format!("{name} {{ {} }}", everything(schema, inner)),
            None => name.to_string(),
        }
    });
    named.collect::<Vec<_>>().join(" ")
}

/// What was answered, with the names that REST has.
fn as_rest(schema: &Schema, kind: &str, answer: &Value) -> Value {
    match (answer, schema.get_object(kind)) {
        (Value::Array(items), _) => {
            let items = items.iter().map(|item| as_rest(schema, kind, item));
            items.collect()
        }
        (Value::Object(fields), Some(object)) => {
            let fields = fields.iter().map(|(name, value)| {
                let field = &object.fields[name.as_str()];
                let value = as_rest(schema, field.ty.inner_named_type(), value);
                (property(field).to_owned(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => answer.clone(),
    }
}

/// Without what REST may leave out.
fn told(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(told).collect(),
        Value::Object(fields) => {
            let told = fields
                .iter()
                .map(|(name, value)| (name.clone(), told(value)));
            let some = told.filter(|(_, value)| {
                !value.is_null() && *value != json!([]) && *value != json!("")
            });
            Value::Object(some.collect())
        }
        _ => value.clone(),
    }
}

/// Whether all that REST told is there; lists of it have things in short.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| has(whole, part))),
        _ => whole == part,
    }
}

#[tokio::test]
async fn every_query_answers_every_caller_as_rest_does() {
    let world = world().await;
    let schema = schema();
    let mut answered = 0;
    for (call, kind, path) in READS {
        let field = call.split('(').next().unwrap();
        let document = format!("{{ {call} {{ {} }} }}", everything(&schema, kind));
        let (status, problem) = graph(&world, None, &document).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{call}: {problem}");
        for caller in CALLERS {
            let path = format!("/api/v1/{path}");
            let (rest_status, rest) = world.ask(Some(caller), "GET", &path, None).await;
            let (status, answer) = graph(&world, Some(caller), &document).await;
            let what = format!("{call} for {caller}: {answer}, by REST {rest}");
            assert_eq!(status, StatusCode::OK, "{what}");
            let data = &answer["data"][field];
            if rest_status != StatusCode::OK {
                assert!(data.is_null(), "{what}");
                assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{what}");
                let error = &answer["errors"][0];
                assert_eq!(error["extensions"]["problem"], rest, "{what}");
                assert_eq!(error["extensions"]["code"], rest["type"], "{what}");
                assert_eq!(error["path"], json!([field]), "{what}");
                continue;
            }
            assert!(answer["errors"].is_null(), "{what}");
            let found = told(&as_rest(&schema, kind, data));
            let (expected, is_list) = match rest.get("items") {
                Some(items) => (told(items), true),
                None => (told(&rest), false),
            };
            assert!(has(&found, &expected), "{what}");
            assert!(is_list || found == expected, "{what}");
            answered += 1;
        }
    }
    assert!(answered > 80, "only {answered} were answered");
    let asked: BTreeSet<&str> = READS
        .iter()
        .map(|(call, _, _)| call.split('(').next().unwrap())
        .collect();
    let fields = schema.get_object("Query").unwrap().fields.keys();
    let there: BTreeSet<&str> = fields.map(|name| name.as_str()).collect();
    assert_eq!(asked, there);
}

/// Every command, as acme's, and what it is in REST.
fn commands() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    const CHANGES: &str = "environments/acme-dev/changes";
    vec![
        (
            r#"planChange(environment: "acme-dev", command: {command: "change", application: "blog", paused: true}) { digest }"#,
            "POST",
            "environments/acme-dev/plans",
            json!({"command": "change", "application": "blog", "paused": true}),
        ),
        (
            r#"installApplication(environment: "acme-dev", input: {name: "it", blueprint: "bp-blog", config: {title: "It"}}) { commit }"#,
            "POST",
            CHANGES,
            json!({"command": "install", "name": "it", "blueprint": "bp-blog", "config": {"title": "It"}}),
        ),
        (
            r#"changeApplication(environment: "acme-dev", application: "blog", input: {paused: true}) { commit }"#,
            "POST",
            CHANGES,
            json!({"command": "change", "application": "blog", "paused": true}),
        ),
        (
            r#"rollbackApplication(environment: "acme-dev", application: "blog") { commit }"#,
            "POST",
            CHANGES,
            json!({"command": "rollback", "application": "blog"}),
        ),
        (
            r#"promoteApplication(environment: "acme-dev", application: "blog", to: "acme-stg") { commit }"#,
            "POST",
            CHANGES,
            json!({"command": "promote", "application": "blog", "to": "acme-stg"}),
        ),
        (
            r#"deleteApplication(environment: "acme-dev", application: "blog", data: drop) { commit }"#,
            "POST",
            CHANGES,
            json!({"command": "delete", "application": "blog", "data": "drop"}),
        ),
        (
            r#"createEnvironment(organization: "acme", input: {envType: "stg"}) { commit }"#,
            "POST",
            "organizations/acme/environments",
            json!({"envType": "stg"}),
        ),
        (
            r#"deleteEnvironment(name: "acme-dev", applications: drop) { commit }"#,
            "DELETE",
            "environments/acme-dev?applications=drop",
            Value::Null,
        ),
        (
            r#"openPullRequest(environment: "acme-dev", input: {branch: "dan/blog"}) { pullRequest }"#,
            "POST",
            "environments/acme-dev/pull-requests",
            json!({"branch": "dan/blog"}),
        ),
        (
            r#"approvePullRequest(environment: "acme-dev", number: 1) { state }"#,
            "POST",
            "environments/acme-dev/pull-requests/1/approval",
            Value::Null,
        ),
        (
            r#"mergePullRequest(environment: "acme-dev", number: 1) { commit }"#,
            "POST",
            "environments/acme-dev/pull-requests/1/merge",
            Value::Null,
        ),
        (
            r#"closePullRequest(environment: "acme-dev", number: 1) { state }"#,
            "POST",
            "environments/acme-dev/pull-requests/1/close",
            Value::Null,
        ),
        (
            r#"planUpgrade(input: {blueprint: "bp-blog", to: "2.0.0", organization: "acme"}) { digest }"#,
            "POST",
            "upgrade-plans",
            json!({"blueprint": "bp-blog", "to": "2.0.0", "organization": "acme"}),
        ),
        (
            r#"startUpgrade(input: {blueprint: "bp-blog", to: "2.0.0", organization: "acme"}) { name }"#,
            "POST",
            "upgrades",
            json!({"blueprint": "bp-blog", "to": "2.0.0", "organization": "acme"}),
        ),
        (
            r#"cancelUpgrade(name: "both") { commit }"#,
            "POST",
            "upgrades/both/cancel",
            Value::Null,
        ),
        (
            r#"resumeUpgrade(name: "both") { commit }"#,
            "POST",
            "upgrades/both/resume",
            Value::Null,
        ),
    ]
}

#[tokio::test]
async fn every_command_is_refused_to_whom_rest_refuses_it_and_in_its_words() {
    let world = world().await;
    let mut refused = 0;
    for (call, method, path, body) in commands() {
        let field = call.split('(').next().unwrap();
        let document = format!("mutation {{ {call} }}");
        let (status, _) = graph(&world, None, &document).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{call}");
        for caller in ["olga", "bill", "vic"] {
            // Whoever reads may plan; and `pulls` has what becomes of who may do what.
            if (field, caller) == ("planChange", "vic") {
                continue;
            }
            let path = format!("/api/v1/{path}");
            let body = Some(&body).filter(|body| !body.is_null());
            let (rest_status, rest) = world.ask(Some(caller), method, &path, body).await;
            let (status, answer) = graph(&world, Some(caller), &document).await;
            let what = format!("{call} for {caller}: {answer}, by REST {rest_status} {rest}");
            assert!(rest_status.as_u16() >= 400, "{what}");
            assert_eq!(status, StatusCode::OK, "{what}");
            assert_eq!(answer["data"], json!({field: null}), "{what}");
            assert_eq!(answer["errors"][0]["extensions"]["problem"], rest, "{what}");
            refused += 1;
        }
    }
    assert_eq!(refused, 16 * 3 - 1);
    {
        let parts = world.parts();
        assert!(parts.commits.is_empty() && parts.closers.is_empty());
        assert_eq!(parts.repository.branches(), ["dan/blog", "main"]);
        assert_eq!(parts.pulls[&1]["state"], "open");
    }
    let commands = commands();
    let asked: BTreeSet<&str> = commands
        .iter()
        .map(|(call, ..)| call.split('(').next().unwrap())
        .collect();
    let schema = schema();
    let fields = schema.get_object("Mutation").unwrap().fields.keys();
    let there: BTreeSet<&str> = fields.map(|name| name.as_str()).collect();
    assert_eq!(asked, there);
}

#[tokio::test]
async fn a_command_does_and_answers_what_that_of_rest_does() {
    // Of one change there is one pull request, by whichever way it is asked for.
    let world = changed_by_pulls().await;
    let document = r#"mutation Delete($data: DataChoice!) {
        deleteApplication(environment: "acme-dev", application: "blog", data: $data) {
            repository commit pullRequest plan
        }
    }"#;
    let body = json!({"query": document, "operationName": "Delete", "variables": {"data": "keep"}});
    let (status, answer) = world.ask(Some("dan"), "POST", PATH, Some(&body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["errors"].is_null(), "{answer}");
    let body = json!({"command": "delete", "application": "blog", "data": "keep"});
    let path = "/api/v1/environments/acme-dev/changes";
    let (_, rest) = world.ask(Some("dan"), "POST", path, Some(&body)).await;
    assert_eq!(told(&answer["data"]["deleteApplication"]), rest);
    assert_eq!(rest["pullRequest"], 1, "{rest}");
    assert_eq!(world.parts().pulls.len(), 1);

    // They are carried out in their order, and one that is refused keeps none back.
    let document = r#"mutation {
        none: closePullRequest(environment: "acme-dev", number: 9) { state }
        negative: closePullRequest(environment: "acme-dev", number: -1) { state }
        first: closePullRequest(environment: "acme-dev", number: 1) { state environment { name } }
        again: closePullRequest(environment: "acme-dev", number: 1) { state }
    }"#;
    let (status, answer) = graph(&world, Some("ada"), document).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["data"]["first"]["state"], "closed", "{answer}");
    for (at, name, status) in [(0, "none", 404), (1, "negative", 400), (2, "again", 409)] {
        let error = &answer["errors"][at];
        assert!(answer["data"][name].is_null(), "{answer}");
        assert_eq!(error["path"], json!([name]), "{answer}");
        assert_eq!(error["extensions"]["problem"]["status"], status, "{answer}");
    }
    assert_eq!(world.parts().closers, ["ada"]);
}

#[tokio::test]
async fn a_body_that_rest_refuses_is_refused_with_the_same_faults() {
    let world = world().await;
    let body = json!({"command": "change", "application": "blog", "pauzed": true});
    let path = "/api/v1/environments/acme-dev/plans";
    let (status, rest) = world.ask(Some("dan"), "POST", path, Some(&body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rest}");
    let document = r#"mutation Plan($command: JSON!) {
        planChange(environment: "acme-dev", command: $command) { digest }
    }"#;
    let body = json!({"query": document, "variables": {"command": body}});
    let (_, answer) = world.ask(Some("dan"), "POST", PATH, Some(&body)).await;
    let problem = &answer["errors"][0]["extensions"]["problem"];
    assert_eq!(*problem, rest, "{answer}");
    assert_eq!(problem["faults"][0]["pointer"], "/pauzed");
}

#[tokio::test]
async fn blueprints_that_are_hidden_are_hidden_here_too() {
    let world = hidden::world().await;
    for caller in ["vic", "dan", "olga", "sol"] {
        for (source, name, _) in hidden::ADMITTED {
            let path = format!("/api/v1/blueprints/{source}/{name}");
            let (status, rest) = world.ask(Some(caller), "GET", &path, None).await;
            let document = format!(
                r#"{{ blueprint(source: "{source}", name: "{name}") {{ title vulnerabilities {{ gaps }} }} }}"#
            );
            let (_, answer) = graph(&world, Some(caller), &document).await;
            let what = format!("{source}/{name} for {caller}: {answer}");
            if status == StatusCode::OK {
                assert_eq!(answer["data"]["blueprint"]["title"], name, "{what}");
            } else {
                assert_eq!(answer["errors"][0]["extensions"]["problem"], rest, "{what}");
            }
        }
        let (_, rest) = world
            .ask(Some(caller), "GET", "/api/v1/blueprints", None)
            .await;
        let document = "{ blueprints { source name digest } }";
        let (_, answer) = graph(&world, Some(caller), document).await;
        let names = |items: &Value| -> Vec<(Value, Value)> {
            let items = items.as_array().unwrap().iter();
            items
                .map(|it| (it["source"].clone(), it["name"].clone()))
                .collect()
        };
        let found = names(&answer["data"]["blueprints"]);
        assert_eq!(found, names(&rest["items"]), "for {caller}");
    }
    // A way to what is hidden is a way to nothing.
    for (reaching, missing) in [("bp-reach", "bp-miss"), ("bp-reach-in", "bp-miss-in")] {
        for name in [reaching, missing] {
            let document = format!(
                r#"{{ blueprint(source: "acme", name: "{name}") {{ depends {{ alias blueprint {{ name title }} }} }} }}"#
            );
            let (_, answer) = graph(&world, Some("vic"), &document).await;
            let expected = json!({"data": {"blueprint": {"depends": [
                {"alias": "other", "blueprint": null},
            ]}}});
            assert_eq!(answer, expected, "{name}");
        }
    }
    let document =
        r#"{ blueprint(source: "acme", name: "bp-reach-in") { depends { blueprint { name } } } }"#;
    let (_, answer) = graph(&world, Some("sol"), document).await;
    let found = &answer["data"]["blueprint"]["depends"][0]["blueprint"]["name"];
    assert_eq!(found, "bp-inner", "{answer}");
}

#[tokio::test]
async fn one_leads_to_the_other_as_far_as_the_caller_may_go() {
    let world = world().await;
    let document = "{ organizations { name environments { name organization { name }
        applications { name blueprint { title } } policies { environmentNames } } } }";
    let acme = json!({"name": "acme", "environments": [{
        "name": "acme-dev", "organization": {"name": "acme"},
        "applications": [{"name": "blog", "blueprint": {"title": "Blog"}}],
        "policies": [{"environmentNames": ["acme-dev"]}],
    }]});
    let globex = json!({"name": "globex", "environments": [{
        "name": "globex-dev", "organization": {"name": "globex"},
        "applications": [{"name": "blog", "blueprint": {"title": "Blog"}}],
        "policies": [{"environmentNames": ["globex-dev"]}],
    }]});
    for (caller, expected) in [
        ("vic", json!([acme])),
        ("bill", json!([{"name": "acme", "environments": []}])),
        ("olga", json!([globex])),
    ] {
        let (_, answer) = graph(&world, Some(caller), document).await;
        let expected = json!({"data": {"organizations": expected}});
        assert_eq!(answer, expected, "for {caller}");
    }
    // Every way of the schema leads somewhere.
    let schema = schema();
    let mut ways = 0;
    for (kind, above, below) in [
        ("Membership", "me { organizations {", "} }"),
        ("Organization", r#"organization(name: "acme") {"#, "}"),
        ("Environment", r#"environment(name: "acme-dev") {"#, "}"),
        (
            "Application",
            r#"application(environment: "acme-dev", name: "blog") {"#,
            "}",
        ),
        (
            "Blueprint",
            r#"blueprint(source: "catalog", name: "bp-blog") {"#,
            "}",
        ),
        (
            "PullRequest",
            r#"pullRequest(environment: "acme-dev", number: 1) {"#,
            "}",
        ),
        ("Upgrade", r#"upgrade(name: "both") {"#, "}"),
        (
            "UpgradedApplication",
            r#"upgrade(name: "both") { waves { applications {"#,
            "} } }",
        ),
    ] {
        for (name, field) in &schema.get_object(kind).unwrap().fields {
            if field.directives.get("cost").is_none() {
                continue;
            }
            let given = match name.as_str() {
                "application" if kind == "Environment" => r#"(name: "blog")"#.to_owned(),
                "revision" => format!("(commit: \"{:040x}\")", 1),
                _ => String::new(),
            };
            let document = format!("{{ {above} {name}{given} {{ __typename }} {below} }}");
            let (status, answer) = graph(&world, Some("vic"), &document).await;
            let what = format!("{kind}.{name}: {answer}");
            assert_eq!(status, StatusCode::OK, "{what}");
            for error in answer["errors"].as_array().into_iter().flatten() {
                assert_ne!(error["extensions"]["code"], "internal", "{what}");
                assert!(error["extensions"]["code"].is_string(), "{what}");
            }
            ways += 1;
        }
    }
    let all = schema.types.values().filter_map(|kind| kind.as_object());
    let all = all.filter(|kind| kind.name != "Query");
    let all = all.flat_map(|kind| kind.fields.values());
    let all = all.filter(|field| field.directives.get("cost").is_some());
    // That of a dependency is shown with what is hidden.
    assert_eq!(ways, all.count() - 1);
}
