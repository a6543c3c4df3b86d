//! GraphQL as it is spoken: its limits, its documents, HTTP, its schema and its page.

use std::collections::BTreeSet;

use apollo_compiler::schema::Type;
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::graphql::{PATH, SDL, graph, property, schema, world};
use crate::sign_in::Browser;
use crate::world::{ORIGIN, World};

const PAGE: &str = include_str!("../../../../../docs/spec/graphql.md");

#[tokio::test]
async fn what_is_dearer_than_an_operation_may_be_is_refused() {
    let world = world().await;
    let reports = |count: usize| {
        let fields: Vec<String> = (0..count)
            .map(|at| format!("a{at}: vulnerabilities {{ gaps }}"))
            .collect();
        let fields = fields.join(" ");
        format!(r#"{{ application(environment: "acme-dev", name: "blog") {{ {fields} }} }}"#)
    };
    let closings = |count: usize| {
        let fields: Vec<String> = (0..count)
            .map(|at| {
                format!(
                    r#"a{at}: closePullRequest(environment: "acme-dev", number: 9) {{ state }}"#
                )
            })
            .collect();
        format!("mutation {{ {} }}", fields.join(" "))
    };
    let long = format!("{{ me {{ username }} }} #{}", " ".repeat(16 << 10));
    let mut deep = "name".to_owned();
    for _ in 0..8 {
        deep = format!("environments {{ organization {{ {deep} }} }}");
    }
    for (document, words) in [
        (reports(19), None),
        (reports(20), Some("more than 1000 reads")),
        (closings(5), None),
        (closings(6), Some("more than 5 commands")),
        (long, Some("longer than 16384 bytes")),
        (format!("{{ {deep} }}"), Some("more than 16 deep")),
    ] {
        let (status, answer) = graph(&world, Some("ada"), &document).await;
        let Some(words) = words else {
            assert_eq!(status, StatusCode::OK, "{document}: {answer}");
            continue;
        };
        assert_eq!(status, StatusCode::BAD_REQUEST, "{document}: {answer}");
        assert!(answer.get("data").is_none(), "{document}: {answer}");
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "too-costly", "{answer}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert!(
            error["extensions"]["problem"]["next"].is_string(),
            "{answer}"
        );
    }
    assert!(world.parts().closers.is_empty());
}

#[tokio::test]
async fn a_document_that_does_not_fit_is_refused_where_it_does_not() {
    let world = world().await;
    let nested =
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    for (body, code, words) in [
        (
            json!({"query": "{ me { username"}),
            "invalid-document",
            "syntax",
        ),
        (
            json!({"query": "{ me { passwords } }"}),
            "invalid-document",
            "passwords",
        ),
        (
            json!({"query": "{ me }"}),
            "invalid-document",
            "subselection",
        ),
        (
            json!({"query": "subscription { me { username } }"}),
            "invalid-document",
            "ubscription",
        ),
        (
            json!({"query": "query A { me { username } } query B { me { email } }"}),
            "invalid-request",
            "operationName",
        ),
        (
            json!({"query": "query A { me { username } }", "operationName": "C"}),
            "invalid-request",
            "C",
        ),
        (
            json!({"query": "query A($name: String!) { organization(name: $name) { name } }"}),
            "invalid-request",
            "name",
        ),
        (
            json!({
                "query": "query A($name: String!) { organization(name: $name) { name } }",
                "variables": {"name": 1},
            }),
            "invalid-request",
            "name",
        ),
        (
            json!({"query": "{ organizations { ...a } } fragment a on Organization { ...a }"}),
            "too-costly",
            "500",
        ),
        (json!({"query": nested}), "invalid-request", "depth"),
    ] {
        let (status, answer) = world.ask(Some("ada"), "POST", PATH, Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert!(answer.get("data").is_none(), "{body}: {answer}");
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], code, "{body}: {answer}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{body}: {message}");
    }
    // What does not fit may be a secret in the wrong place.
    let install = "mutation A($input: Install!) {
        installApplication(environment: \"acme-dev\", input: $input) { commit } }";
    let body = json!({"query": install, "variables": {"input": "hunter2: to type x"}});
    let (_, answer) = world.ask(Some("ada"), "POST", PATH, Some(&body)).await;
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("could not coerce variable input to type Install"),
        "{message}"
    );
    let (_, answer) = graph(&world, Some("vic"), "{ __schema { queryType { name } } }").await;
    let expected = json!({"data": {"__schema": {"queryType": {"name": "Query"}}}});
    assert_eq!(answer, expected);
    let (status, _) = graph(&world, None, "{ __schema { queryType { name } } }").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn it_is_spoken_over_http_as_the_specification_says() {
    let world = world().await;
    let good = r#"{"query": "{ me { username } }"}"#;
    let bad = r#"{"query": "{ nothing }"}"#;
    let json = "application/json";
    let graphql = "application/graphql-response+json";
    let get = |query: &str| format!("{PATH}?query={query}");
    let me = "%7Bme%7Busername%7D%7D";
    let close = "mutation%7BclosePullRequest(environment:%22acme-dev%22,number:1)%7Bstate%7D%7D";
    let named = "query($n:String!)%7Borganization(name:$n)%7Bname%7D%7D";
    for (method, path, content, accept, body, status, media) in [
        ("POST", PATH.to_owned(), json, "", good, 200, graphql),
        ("POST", PATH.to_owned(), json, "*/*", good, 200, graphql),
        ("POST", PATH.to_owned(), json, json, good, 200, json),
        ("POST", PATH.to_owned(), json, graphql, bad, 400, graphql),
        ("POST", PATH.to_owned(), json, json, bad, 200, json),
        (
            "POST",
            PATH.to_owned(),
            json,
            "text/html",
            good,
            406,
            "application/problem+json",
        ),
        (
            "POST",
            PATH.to_owned(),
            "text/plain",
            "",
            good,
            415,
            "application/problem+json",
        ),
        (
            "POST",
            PATH.to_owned(),
            "application/graphql",
            "",
            "{me{username}}",
            415,
            "application/problem+json",
        ),
        (
            "POST",
            PATH.to_owned(),
            json,
            "",
            "{}",
            400,
            "application/problem+json",
        ),
        (
            "POST",
            PATH.to_owned(),
            json,
            "",
            r#"{"querry": ""}"#,
            422,
            "application/problem+json",
        ),
        (
            "POST",
            format!("{PATH}?query={me}"),
            json,
            "",
            "{}",
            400,
            "application/problem+json",
        ),
        ("GET", get(me), "", "", "", 200, graphql),
        ("GET", get(me), "", json, "", 200, json),
        (
            "GET",
            get(&format!("{named}&variables=%7B%22n%22:%22acme%22%7D")),
            "",
            "",
            "",
            200,
            graphql,
        ),
        (
            "GET",
            get(&format!("{named}&variables=acme")),
            "",
            "",
            "",
            400,
            "application/problem+json",
        ),
        (
            "GET",
            get(&format!("{me}&colour=red")),
            "",
            "",
            "",
            400,
            "application/problem+json",
        ),
        (
            "GET",
            get(close),
            "",
            "",
            "",
            405,
            "application/problem+json",
        ),
        (
            "DELETE",
            PATH.to_owned(),
            "",
            "",
            "",
            405,
            "application/problem+json",
        ),
    ] {
        let mut request = Request::builder()
            .method(method)
            .uri(&path)
            .header("authorization", "Bearer ada-token");
        for (name, value) in [("content-type", content), ("accept", accept)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (found, headers, answer) = world.send(request).await;
        let what = format!("{method} {path} {content:?} {accept:?}: {answer:?}");
        assert_eq!(found.as_u16(), status, "{what}");
        assert_eq!(headers["content-type"], media, "{what}");
        assert_eq!(headers["cache-control"], "no-store", "{what}");
        if path.contains("mutation") {
            assert_eq!(headers["allow"], "POST", "{what}");
        }
    }
    assert!(world.parts().closers.is_empty());
    assert_eq!(world.parts().pulls[&1]["state"], "open");
}

#[tokio::test]
async fn a_page_of_another_origin_asks_nothing_with_a_session() {
    let world = world().await;
    let mut browser = Browser::default();
    browser.sign_in(&world, "ada", "/auth/sign-in").await;
    for (headers, code) in [
        // What is let through is refused later, for its missing body.
        (&[("origin", ORIGIN)][..], "unsupported-media-type"),
        (&[][..], "foreign-origin"),
        (
            &[("origin", "http://blog.acme-dev.localhost:8080")][..],
            "foreign-origin",
        ),
    ] {
        let (_, _, problem) = browser.send(&world, "POST", PATH, headers).await;
        assert_eq!(problem["type"], code, "{headers:?}: {problem}");
    }
    let path = format!("{PATH}?query=%7Bme%7Busername%7D%7D");
    let (_, _, answer) = browser.send(&world, "GET", &path, &[]).await;
    assert_eq!(answer["data"]["me"]["username"], "ada", "{answer}");
}

#[tokio::test]
async fn the_schema_is_published_as_it_is_kept() {
    let world = World::new().await;
    let request = Request::get(format!("{PATH}/schema"));
    let (status, headers, body) = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(body, SDL);
}

/// The properties of a schema of the OpenAPI document, and those that are always there.
fn properties(name: &str, document: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut always) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![&document["components"]["schemas"][name]];
    while let Some(schema) = open.pop() {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            open.push(document.pointer(pointer).unwrap());
        }
        open.extend(schema["allOf"].as_array().into_iter().flatten());
        let own = schema["properties"].as_object().into_iter().flatten();
        all.extend(own.map(|(name, _)| name.clone()));
        let required = schema["required"].as_array().into_iter().flatten();
        always.extend(required.filter_map(|name| name.as_str().map(str::to_owned)));
    }
    assert!(!all.is_empty(), "there is no schema {name}");
    (all, always)
}

#[test]
fn the_schema_has_what_rest_answers_and_takes() {
    let schema = schema();
    let document = catalyst_gateway::openapi();
    let mut types = 0;
    for object in schema.types.values().filter_map(|kind| kind.as_object()) {
        let Some(directive) = object.directives.get("rest") else {
            continue;
        };
        let name = directive.specified_argument_by_name("name").unwrap();
        let (all, always) = properties(name.as_str().unwrap(), &document);
        let own = object.fields.values();
        let own: Vec<_> = own
            .filter(|field| field.directives.get("cost").is_none())
            .collect();
        let found: BTreeSet<String> = own.iter().map(|it| property(it).to_owned()).collect();
        assert_eq!(found, all, "{}", object.name);
        for field in own {
            // An empty list is told, whether or not REST tells it.
            if matches!(field.ty, Type::NonNullNamed(_)) {
                let what = format!("{}.{}", object.name, field.name);
                assert!(always.contains(property(field)), "{what}");
            }
        }
        types += 1;
    }
    assert!(types > 40, "only {types} types were seen");
    for (input, name) in [
        ("Install", "Install"),
        ("Change", "Change"),
        ("CreateEnvironment", "CreateEnvironment"),
        ("OpenPullRequest", "OpenPull"),
        ("UpgradeRequest", "UpgradeRequest"),
    ] {
        let (all, always) = properties(name, &document);
        let fields = &schema.get_input_object(input).unwrap().fields;
        let found: BTreeSet<String> = fields.keys().map(|it| it.to_string()).collect();
        assert_eq!(found, all, "{input}");
        for (name, field) in fields {
            let is_needed = matches!(*field.ty, Type::NonNullNamed(_));
            assert!(
                !is_needed || always.contains(name.as_str()),
                "{input}.{name}"
            );
        }
    }
}

/// The documents of the page, each with the variables that stand below it.
fn examples() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = Vec::new();
    for block in PAGE.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "graphql" => found.push((text.to_owned(), json!({}))),
            "json" => found.last_mut().unwrap().1 = serde_json::from_str(text).unwrap(),
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn the_examples_of_the_page_are_true() {
    let world = world().await;
    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for (document, variables) in examples {
        let body = json!({"query": document, "variables": variables});
        let (status, answer) = world.ask(Some("ada"), "POST", PATH, Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{document}: {answer}");
        // The small world carries no change out; what it is asked for is understood.
        if document.starts_with("mutation") {
            assert!(answer.get("data").is_some(), "{document}: {answer}");
            for error in answer["errors"].as_array().into_iter().flatten() {
                let problem = &error["extensions"]["problem"];
                assert!(problem["type"].is_string(), "{answer}");
                assert_ne!(problem["type"], "internal", "{answer}");
                assert_ne!(problem["title"], "Read the request's body", "{answer}");
            }
        } else {
            assert!(answer["errors"].is_null(), "{document}: {answer}");
        }
    }
    // The limits that the page tells are those there are.
    for limit in [
        "16 KiB",
        "16 deep",
        "500",
        "30 aliases",
        "5 commands",
        "1000 reads",
    ] {
        assert!(PAGE.contains(limit), "{limit}");
    }
}
