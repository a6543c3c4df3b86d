//! Watches.

use serde_json::{Value, json};

use super::world::{MERGE, World, map, maps, secrets};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_watch_tells_what_comes_after_a_list,
        a_watch_without_a_version_begins_with_what_is_there,
        a_watch_of_a_selection_tells_who_enters_and_leaves,
        a_watch_of_one_name_tells_of_it_alone,
        a_watch_of_everywhere_tells_all_namespaces,
        a_watch_streams_the_list_when_asked,
        a_watch_ends_when_told,
        a_watch_in_tables_tells_rows,
        a_watch_gives_metadata_alone,
        a_watch_of_a_version_that_is_none_is_refused,
        a_deletion_tells_the_last_state,
        an_unchanged_object_is_not_told,
        a_watch_of_custom_objects_tells,
    ]
}

fn told(events: &[Value]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|it| {
            let name = it["object"]["metadata"]["name"]
                .as_str()
                .unwrap_or_default();
            (it["type"].as_str().unwrap(), name)
        })
        .collect()
}

async fn version(world: &World, namespace: &str) -> String {
    let list = world.get(&maps(namespace)).await.ok();
    list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn a_watch_tells_what_comes_after_a_list(world: World) {
    world.namespace("watch-1").await;
    world.map("watch-1", "before", "1").await;
    let version = version(&world, "watch-1").await;
    world.map("watch-1", "a", "1").await;
    let one = format!("{}/a", maps("watch-1"));
    world
        .patch(&one, MERGE, json!({"data": {"key": "2"}}))
        .await
        .ok();
    world.delete(&one).await.ok();
    let path = format!("{}?watch=true&resourceVersion={version}", maps("watch-1"));
    let events = world.watch(&path, 3).await;
    assert_eq!(
        told(&events),
        [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    );
    let number = |event: &Value| {
        let version = &event["object"]["metadata"]["resourceVersion"];
        version.as_str().unwrap().parse::<u64>().unwrap()
    };
    assert!(number(&events[0]) < number(&events[1]) && number(&events[1]) < number(&events[2]));
    assert_eq!(events[0]["object"]["kind"], "ConfigMap");
}

async fn a_watch_without_a_version_begins_with_what_is_there(world: World) {
    world.namespace("watch-2").await;
    for name in ["a", "b"] {
        world.secret("watch-2", name).await;
    }
    for version in ["", "&resourceVersion=0"] {
        let path = format!("{}?watch=1{version}", secrets("watch-2"));
        let events = world.watch(&path, 2).await;
        let mut seen = told(&events);
        seen.sort_unstable();
        assert_eq!(seen, [("ADDED", "a"), ("ADDED", "b")], "{version}");
    }
}

async fn a_watch_of_a_selection_tells_who_enters_and_leaves(world: World) {
    world.namespace("watch-3").await;
    let version = version(&world, "watch-3").await;
    world.map("watch-3", "a", "1").await;
    let one = format!("{}/a", maps("watch-3"));
    for label in [json!("yes"), json!("no"), json!("yes")] {
        let body = json!({"metadata": {"labels": {"in": label}}});
        world.patch(&one, MERGE, body).await.ok();
    }
    world.delete(&one).await.ok();
    let path = format!(
        "{}?watch=true&labelSelector=in%3Dyes&resourceVersion={version}",
        maps("watch-3")
    );
    let events = world.watch(&path, 4).await;
    let wanted = [
        ("ADDED", "a"),
        ("DELETED", "a"),
        ("ADDED", "a"),
        ("DELETED", "a"),
    ];
    assert_eq!(told(&events), wanted);
    // Who leaves is shown as last seen inside, at the version of leaving.
    assert_eq!(events[1]["object"]["metadata"]["labels"]["in"], "yes");
}

async fn a_watch_of_one_name_tells_of_it_alone(world: World) {
    world.namespace("watch-4").await;
    let version = version(&world, "watch-4").await;
    for name in ["a", "b"] {
        world.map("watch-4", name, "1").await;
    }
    let path = format!(
        "{}?watch=true&fieldSelector=metadata.name%3Db&resourceVersion={version}",
        maps("watch-4")
    );
    assert_eq!(told(&world.watch(&path, 1).await), [("ADDED", "b")]);
}

async fn a_watch_of_everywhere_tells_all_namespaces(world: World) {
    world.namespace("watch-5-a").await;
    world.namespace("watch-5-b").await;
    let version = version(&world, "watch-5-a").await;
    for namespace in ["watch-5-a", "watch-5-b"] {
        let mut body = map("a", "1");
        body["metadata"]["labels"] = json!({"case": "watch-5"});
        world.post(&maps(namespace), body).await.ok();
    }
    let path = format!(
        "/api/v1/configmaps?watch=true&labelSelector=case%3Dwatch-5&resourceVersion={version}"
    );
    let events = world.watch(&path, 2).await;
    let namespaces: Vec<_> = events
        .iter()
        .map(|it| it["object"]["metadata"]["namespace"].as_str().unwrap())
        .collect();
    assert_eq!(namespaces, ["watch-5-a", "watch-5-b"]);
}

async fn a_watch_streams_the_list_when_asked(world: World) {
    world.namespace("watch-6").await;
    world.secret("watch-6", "a").await;
    let path = format!(
        "{}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan",
        secrets("watch-6")
    );
    let events = world.watch(&path, 2).await;
    assert_eq!(told(&events), [("ADDED", "a"), ("BOOKMARK", "")]);
    let mark = &events[1]["object"]["metadata"];
    assert_eq!(mark["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(mark["resourceVersion"].is_string());
}

async fn a_watch_ends_when_told(world: World) {
    let path = format!("{}?watch=true&timeoutSeconds=1", maps("default"));
    let begun = std::time::Instant::now();
    let answer = world.get(&path).await;
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
}

async fn a_watch_in_tables_tells_rows(world: World) {
    world.namespace("watch-8").await;
    world.map("watch-8", "a", "1").await;
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = format!("{}?watch=true&timeoutSeconds=1", maps("watch-8"));
    let answer = world.ask("GET", &path, &headers, &Value::Null).await;
    let first = match &answer.body {
        Value::String(text) => serde_json::from_str(text.lines().next().unwrap()).unwrap(),
        other => other.clone(),
    };
    assert_eq!(
        (&first["type"], &first["object"]["kind"]),
        (&json!("ADDED"), &json!("Table"))
    );
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
}

async fn a_watch_gives_metadata_alone(world: World) {
    world.namespace("watch-9").await;
    world.map("watch-9", "a", "1").await;
    let headers = [(
        "accept",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    )];
    let path = format!("{}?watch=true&timeoutSeconds=1", maps("watch-9"));
    let answer = world.ask("GET", &path, &headers, &Value::Null).await;
    let first = match &answer.body {
        Value::String(text) => serde_json::from_str(text.lines().next().unwrap()).unwrap(),
        other => other.clone(),
    };
    assert_eq!(first["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(first["object"]["data"], Value::Null);
}

async fn a_watch_of_a_version_that_is_none_is_refused(world: World) {
    let path = format!("{}?watch=true&resourceVersion=x", maps("default"));
    // With 500 there, which is no example to follow.
    assert!(world.get(&path).await.status >= 400);
}

async fn a_deletion_tells_the_last_state(world: World) {
    world.namespace("watch-11").await;
    let made = world.map("watch-11", "a", "last").await;
    world.delete(&format!("{}/a", maps("watch-11"))).await.ok();
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{}?watch=true&resourceVersion={version}", maps("watch-11"));
    let events = world.watch(&path, 1).await;
    assert_eq!(told(&events), [("DELETED", "a")]);
    assert_eq!(events[0]["object"]["data"]["key"], "last");
    assert_ne!(events[0]["object"]["metadata"]["resourceVersion"], version);
}

async fn an_unchanged_object_is_not_told(world: World) {
    world.namespace("watch-12").await;
    let version = version(&world, "watch-12").await;
    world.map("watch-12", "a", "1").await;
    let one = format!("{}/a", maps("watch-12"));
    world
        .patch(&one, MERGE, json!({"data": {"key": "1"}}))
        .await
        .ok();
    world.map("watch-12", "b", "1").await;
    let path = format!("{}?watch=true&resourceVersion={version}", maps("watch-12"));
    assert_eq!(
        told(&world.watch(&path, 2).await),
        [("ADDED", "a"), ("ADDED", "b")]
    );
}

async fn a_watch_of_custom_objects_tells(world: World) {
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer", "default": 1}}});
    super::custom::define(&world, "watch-13", spec).await;
    let things = super::custom::things("watch-13");
    let body = super::custom::thing("watch-13", "a", json!({}));
    world.post(&things, body).await.ok();
    let events = world.watch(&format!("{things}?watch=true"), 1).await;
    assert_eq!(told(&events), [("ADDED", "a")]);
    assert_eq!(events[0]["object"]["spec"]["size"], 1);
}
