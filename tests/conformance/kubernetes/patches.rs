//! The four kinds of patch.

use serde_json::{Value, json};

use super::world::{
    APPLY, JSON_PATCH, MERGE, STRATEGIC, World, deployment, deployments, map, maps,
};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_merge_patch_sets_and_removes,
        a_merge_patch_replaces_lists,
        a_merge_patch_with_a_stale_version_is_a_conflict,
        a_json_patch_adds_tests_and_removes,
        a_json_patch_that_does_not_fit_is_refused,
        a_strategic_patch_merges_containers_by_name,
        a_strategic_patch_deletes_by_directive,
        a_strategic_patch_replaces_by_directive,
        a_strategic_patch_merges_ports_by_number,
        a_strategic_patch_adds_finalizers,
        a_strategic_patch_needs_a_built_in_kind,
        an_unknown_patch_is_refused,
        an_apply_makes_what_is_absent,
        an_apply_takes_back_what_it_no_longer_says,
        an_apply_names_its_manager,
        an_apply_conflicts_with_another_manager,
        an_apply_may_be_forced,
        an_apply_of_the_same_value_shares_it,
        an_apply_merges_lists_by_key,
        an_apply_of_nothing_new_writes_nothing,
        an_update_takes_fields_from_an_apply,
        managed_fields_say_who_owns_what,
        managed_fields_are_cleared_by_an_empty_entry,
        a_status_is_applied_by_itself,
        a_dry_apply_writes_nothing,
        an_apply_of_another_name_is_refused,
    ]
}

async fn a_merge_patch_sets_and_removes(world: World) {
    world.namespace("patches-1").await;
    world.map("patches-1", "a", "1").await;
    let path = format!("{}/a", maps("patches-1"));
    let body = json!({"data": {"key": null, "new": "2"}, "metadata": {"labels": {"x": "y"}}});
    let made = world.patch(&path, MERGE, body).await.ok();
    assert_eq!(made["data"], json!({"new": "2"}));
    assert_eq!(made["metadata"]["labels"], json!({"x": "y"}));
}

async fn a_merge_patch_replaces_lists(world: World) {
    world.namespace("patches-2").await;
    world
        .post(&deployments("patches-2"), deployment("a"))
        .await
        .ok();
    let path = format!("{}/a", deployments("patches-2"));
    let body =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}}});
    let made = world.patch(&path, MERGE, body).await.ok();
    let containers = made["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!((containers.len(), &containers[0]["name"]), (1, &json!("b")));
}

async fn a_merge_patch_with_a_stale_version_is_a_conflict(world: World) {
    world.namespace("patches-3").await;
    let made = world.map("patches-3", "a", "1").await;
    let path = format!("{}/a", maps("patches-3"));
    world
        .patch(&path, MERGE, json!({"data": {"key": "2"}}))
        .await
        .ok();
    let version = &made["metadata"]["resourceVersion"];
    let body = json!({"metadata": {"resourceVersion": version}, "data": {"key": "3"}});
    world
        .patch(&path, MERGE, body)
        .await
        .refused(409, "Conflict");
}

async fn a_json_patch_adds_tests_and_removes(world: World) {
    world.namespace("patches-4").await;
    world.map("patches-4", "a", "1").await;
    let path = format!("{}/a", maps("patches-4"));
    let body = json!([
        {"op": "test", "path": "/data/key", "value": "1"},
        {"op": "add", "path": "/metadata/labels", "value": {"a~b": "c"}},
        {"op": "copy", "from": "/data/key", "path": "/data/copy"},
        {"op": "remove", "path": "/data/key"},
    ]);
    let refused = world.patch(&path, JSON_PATCH, body).await;
    refused.refused(422, "Invalid");
    let body = json!([
        {"op": "test", "path": "/data/key", "value": "1"},
        {"op": "add", "path": "/metadata/annotations", "value": {"acme.example/b": "c"}},
        {"op": "replace", "path": "/metadata/annotations/acme.example~1b", "value": "d"},
        {"op": "copy", "from": "/data/key", "path": "/data/copy"},
        {"op": "move", "from": "/data/key", "path": "/data/moved"},
    ]);
    let made = world.patch(&path, JSON_PATCH, body).await.ok();
    assert_eq!(made["data"], json!({"copy": "1", "moved": "1"}));
    assert_eq!(
        made["metadata"]["annotations"],
        json!({"acme.example/b": "d"})
    );
}

async fn a_json_patch_that_does_not_fit_is_refused(world: World) {
    world.namespace("patches-5").await;
    world.map("patches-5", "a", "1").await;
    let path = format!("{}/a", maps("patches-5"));
    let body = json!([{"op": "test", "path": "/data/key", "value": "2"}]);
    world
        .patch(&path, JSON_PATCH, body)
        .await
        .refused(422, "Invalid");
    let body = json!([{"op": "remove", "path": "/data/absent"}]);
    world
        .patch(&path, JSON_PATCH, body)
        .await
        .refused(422, "Invalid");
    let body = json!({"op": "remove"});
    world
        .patch(&path, JSON_PATCH, body)
        .await
        .refused(400, "BadRequest");
}

async fn a_strategic_patch_merges_containers_by_name(world: World) {
    world.namespace("patches-6").await;
    world
        .post(&deployments("patches-6"), deployment("a"))
        .await
        .ok();
    let path = format!("{}/a", deployments("patches-6"));
    let body = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side:1"}, {"name": "web", "env": [{"name": "A", "value": "1"}]}]}}}});
    let made = world.patch(&path, STRATEGIC, body).await.ok();
    let containers = made["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    let names: Vec<_> = containers
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["side", "web"]);
    assert_eq!(containers[1]["image"], "web:1");
    assert_eq!(containers[1]["env"], json!([{"name": "A", "value": "1"}]));
}

async fn a_strategic_patch_deletes_by_directive(world: World) {
    world.namespace("patches-7").await;
    let mut body = deployment("a");
    let containers =
        json!([{"name": "web", "image": "web:1"}, {"name": "side", "image": "side:1"}]);
    body["spec"]["template"]["spec"]["containers"] = containers;
    world.post(&deployments("patches-7"), body).await.ok();
    let path = format!("{}/a", deployments("patches-7"));
    let body = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}});
    let made = world.patch(&path, STRATEGIC, body).await.ok();
    let containers = made["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(
        (containers.len(), &containers[0]["name"]),
        (1, &json!("web"))
    );
}

async fn a_strategic_patch_replaces_by_directive(world: World) {
    world.namespace("patches-8").await;
    world.map("patches-8", "a", "1").await;
    let path = format!("{}/a", maps("patches-8"));
    let body = json!({"data": {"$patch": "replace", "only": "2"}});
    let made = world.patch(&path, STRATEGIC, body).await.ok();
    assert_eq!(made["data"], json!({"only": "2"}));
}

async fn a_strategic_patch_merges_ports_by_number(world: World) {
    world.namespace("patches-9").await;
    let path = "/api/v1/namespaces/patches-9/services";
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    world.post(path, body).await.ok();
    let body = json!({"spec": {"ports": [{"name": "https", "port": 443}, {"port": 80, "targetPort": 8080}]}});
    let made = world
        .patch(&format!("{path}/a"), STRATEGIC, body)
        .await
        .ok();
    let mut ports: Vec<_> = made["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["port"].as_u64(), it["targetPort"].as_u64()))
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [(Some(80), Some(8080)), (Some(443), Some(443))]);
}

async fn a_strategic_patch_adds_finalizers(world: World) {
    world.namespace("patches-10").await;
    let mut body = map("a", "1");
    body["metadata"]["finalizers"] = json!(["acme.example/a"]);
    world.post(&maps("patches-10"), body).await.ok();
    let path = format!("{}/a", maps("patches-10"));
    let body = json!({"metadata": {"finalizers": ["acme.example/b"]}});
    let made = world.patch(&path, STRATEGIC, body).await.ok();
    let mut found: Vec<_> = made["metadata"]["finalizers"].as_array().unwrap().clone();
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, [json!("acme.example/a"), json!("acme.example/b")]);
    let off = json!({"metadata": {"finalizers": null}});
    world.patch(&path, MERGE, off).await.ok();
}

async fn a_strategic_patch_needs_a_built_in_kind(world: World) {
    super::custom::define(
        &world,
        "patches-11",
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    )
    .await;
    let path = super::custom::things("patches-11");
    world
        .post(&path, super::custom::thing("patches-11", "a", json!({})))
        .await
        .ok();
    let answer = world
        .patch(&format!("{path}/a"), STRATEGIC, json!({"spec": {}}))
        .await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn an_unknown_patch_is_refused(world: World) {
    world.namespace("patches-12").await;
    world.map("patches-12", "a", "1").await;
    let path = format!("{}/a", maps("patches-12"));
    let answer = world.patch(&path, "application/json", json!({})).await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn apply(world: &World, path: &str, manager: &str, body: Value) -> super::world::Answer {
    let path = format!("{path}?fieldManager={manager}");
    world.patch(&path, APPLY, body).await
}

async fn an_apply_makes_what_is_absent(world: World) {
    world.namespace("patches-13").await;
    let path = format!("{}/a", maps("patches-13"));
    let made = apply(&world, &path, "one", map("a", "1")).await;
    assert_eq!((made.status, &made.body["data"]["key"]), (201, &json!("1")));
    let same = apply(&world, &path, "one", map("a", "1")).await;
    assert_eq!(same.status, 200);
}

async fn an_apply_takes_back_what_it_no_longer_says(world: World) {
    world.namespace("patches-14").await;
    let path = format!("{}/a", maps("patches-14"));
    let mut body = map("a", "1");
    body["data"]["more"] = json!("2");
    apply(&world, &path, "one", body).await.ok();
    world
        .patch(&path, MERGE, json!({"data": {"other": "3"}}))
        .await
        .ok();
    let made = apply(&world, &path, "one", map("a", "1")).await.ok();
    assert_eq!(made["data"], json!({"key": "1", "other": "3"}));
}

async fn an_apply_names_its_manager(world: World) {
    world.namespace("patches-15").await;
    let path = format!("{}/a", maps("patches-15"));
    let answer = world.patch(&path, APPLY, map("a", "1")).await;
    assert!(matches!(answer.status, 400 | 422), "{}", answer.body);
    let message = answer.body["message"].as_str().unwrap();
    assert!(
        message.contains("fieldManager: Required value"),
        "{message}"
    );
}

async fn an_apply_conflicts_with_another_manager(world: World) {
    world.namespace("patches-16").await;
    let path = format!("{}/a", maps("patches-16"));
    apply(&world, &path, "one", map("a", "1")).await.ok();
    let late = apply(&world, &path, "two", map("a", "2")).await;
    late.refused(409, "Conflict");
    let message = late.body["message"].as_str().unwrap();
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"one\": .data.key"
    );
    let cause = json!({"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.key"});
    assert_eq!(late.body["details"]["causes"], json!([cause]));
}

async fn an_apply_may_be_forced(world: World) {
    world.namespace("patches-17").await;
    let path = format!("{}/a", maps("patches-17"));
    apply(&world, &path, "one", map("a", "1")).await.ok();
    let forced = format!("{path}?fieldManager=two&force=true");
    let made = world.patch(&forced, APPLY, map("a", "2")).await.ok();
    assert_eq!(made["data"]["key"], "2");
    // The field is no longer the first one's to take back.
    let mut body = map("a", "1");
    body["data"] = json!({});
    let made = apply(&world, &path, "one", body).await.ok();
    assert_eq!(made["data"]["key"], "2");
}

async fn an_apply_of_the_same_value_shares_it(world: World) {
    world.namespace("patches-18").await;
    let path = format!("{}/a", maps("patches-18"));
    apply(&world, &path, "one", map("a", "1")).await.ok();
    apply(&world, &path, "two", map("a", "1")).await.ok();
    let mut body = map("a", "1");
    body.as_object_mut().unwrap().remove("data");
    let made = apply(&world, &path, "one", body.clone()).await.ok();
    assert_eq!(made["data"]["key"], "1", "the other still says it");
    let made = apply(&world, &path, "two", body).await.ok();
    assert_eq!(made["data"], Value::Null);
}

async fn an_apply_merges_lists_by_key(world: World) {
    world.namespace("patches-19").await;
    let path = format!("{}/a", deployments("patches-19"));
    apply(&world, &path, "one", deployment("a")).await.ok();
    let side = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}});
    let made = apply(&world, &path, "two", side).await.ok();
    let names = |made: &Value| -> Vec<String> {
        let found = made["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap();
        found
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&made), ["web", "side"]);
    let none = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
    let made = apply(&world, &path, "two", none).await.ok();
    assert_eq!(names(&made), ["web"]);
}

async fn an_apply_of_nothing_new_writes_nothing(world: World) {
    world.namespace("patches-20").await;
    let path = format!("{}/a", deployments("patches-20"));
    let made = apply(&world, &path, "one", deployment("a")).await.ok();
    // The seconds of a managed field's time must not count.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut status = made["status"].clone();
    let same = apply(&world, &path, "one", deployment("a")).await.ok();
    if status == same["status"] {
        let version = |it: &Value| it["metadata"]["resourceVersion"].clone();
        assert_eq!(version(&same), version(&made));
    } else {
        // A controller wrote its status meanwhile; once more.
        status = same["status"].clone();
        let again = apply(&world, &path, "one", deployment("a")).await.ok();
        assert_eq!(again["status"], status);
        assert_eq!(
            again["metadata"]["resourceVersion"],
            same["metadata"]["resourceVersion"]
        );
    }
}

async fn an_update_takes_fields_from_an_apply(world: World) {
    world.namespace("patches-21").await;
    let path = format!("{}/a", maps("patches-21"));
    apply(&world, &path, "one", map("a", "1")).await.ok();
    let update = format!("{path}?fieldManager=editor");
    world
        .patch(&update, MERGE, json!({"data": {"key": "2"}}))
        .await
        .ok();
    let late = apply(&world, &path, "one", map("a", "1")).await;
    late.refused(409, "Conflict");
    let message = late.body["message"].as_str().unwrap();
    assert!(
        message.contains("conflict with \"editor\" using v1"),
        "{message}"
    );
}

async fn managed_fields_say_who_owns_what(world: World) {
    world.namespace("patches-22").await;
    let path = format!("{}/a", maps("patches-22"));
    let made = apply(&world, &path, "one", map("a", "1")).await.ok();
    let mut entries = made["metadata"]["managedFields"].clone();
    assert!(entries[0]["time"].is_string());
    entries[0].as_object_mut().unwrap().remove("time");
    let wanted = json!([{"manager": "one", "operation": "Apply", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:key": {}}}}]);
    assert_eq!(entries, wanted);
    let made = world
        .patch(
            &format!("{path}?fieldManager=two"),
            MERGE,
            json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .await
        .ok();
    let entries = made["metadata"]["managedFields"].as_array().unwrap();
    let other = entries.iter().find(|it| it["manager"] == "two").unwrap();
    assert_eq!(other["operation"], "Update");
    let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}});
    assert_eq!(other["fieldsV1"], fields);
}

async fn managed_fields_are_cleared_by_an_empty_entry(world: World) {
    world.namespace("patches-23").await;
    let path = format!("{}/a", maps("patches-23"));
    apply(&world, &path, "one", map("a", "1")).await.ok();
    let body = json!({"metadata": {"managedFields": [{}]}});
    let made = world.patch(&path, MERGE, body).await.ok();
    assert_eq!(made["metadata"]["managedFields"], Value::Null);
}

async fn a_status_is_applied_by_itself(world: World) {
    world.namespace("patches-24").await;
    let path = "/api/v1/namespaces/patches-24/persistentvolumeclaims";
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "patches-24-absent",
            "resources": {"requests": {"storage": "1Gi"}}}});
    world.post(path, claim).await.ok();
    let body = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a", "labels": {"x": "y"}}, "status": {"phase": "Bound"}});
    let made = apply(&world, &format!("{path}/a/status"), "one", body)
        .await
        .ok();
    assert_eq!(made["status"]["phase"], "Bound");
    let entries = made["metadata"]["managedFields"].as_array().unwrap();
    let own = entries.iter().find(|it| it["manager"] == "one").unwrap();
    assert_eq!(own["subresource"], "status");
    assert_eq!(own["fieldsV1"]["f:status"], json!({"f:phase": {}}));
}

async fn a_dry_apply_writes_nothing(world: World) {
    world.namespace("patches-25").await;
    let path = format!("{}/a", maps("patches-25"));
    let dry = format!("{path}?fieldManager=one&dryRun=All");
    assert_eq!(world.patch(&dry, APPLY, map("a", "1")).await.status, 201);
    assert_eq!(world.get(&path).await.status, 404);
    apply(&world, &path, "one", map("a", "1")).await.ok();
    let made = world.patch(&dry, APPLY, map("a", "2")).await.ok();
    assert_eq!(made["data"]["key"], "2");
    assert_eq!(world.get(&path).await.ok()["data"]["key"], "1");
}

async fn an_apply_of_another_name_is_refused(world: World) {
    world.namespace("patches-26").await;
    let path = format!("{}/a", maps("patches-26"));
    apply(&world, &path, "one", map("b", "1"))
        .await
        .refused(400, "BadRequest");
}
