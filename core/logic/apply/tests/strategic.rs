//! Strategic merge patches on built-in kinds: what comes out, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalyst_apply::strategic_merge_patch;
use catalyst_schema::{Schema, SchemaSet};
use serde_json::{Value, json};

fn schema(kind: &str) -> Schema {
    let document: Value = serde_json::from_str(include_str!("data/builtin-schemas.json")).unwrap();
    let set = SchemaSet::parse(&document).unwrap();
    let group = if kind == "Deployment" { "apps" } else { "" };
    set.for_kind(group, "v1", kind).unwrap()
}

fn check(kind: &str, original: Value, patch: Value, expected: Value) {
    let merged = strategic_merge_patch(&original, &patch, &schema(kind)).unwrap();
    assert_eq!(merged, expected, "patch {patch}");
}

fn refused(kind: &str, original: Value, patch: Value) -> String {
    strategic_merge_patch(&original, &patch, &schema(kind))
        .unwrap_err()
        .to_string()
}

fn pod(containers: Value) -> Value {
    json!({"spec": {"containers": containers}})
}

#[test]
fn containers_merge_by_name_and_new_ones_come_first() {
    check(
        "Pod",
        pod(json!([{"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b", "image": "b:1"}])),
        pod(json!([{"name": "b", "image": "b:2"}, {"name": "new", "image": "n:1"}])),
        pod(json!([
            {"name": "a", "image": "a:1", "args": ["x"]},
            {"name": "b", "image": "b:2"},
            {"name": "new", "image": "n:1"}
        ])),
    );
    check(
        "Pod",
        pod(json!([{"name": "a"}])),
        pod(json!([{"name": "new", "image": "n:1"}])),
        pod(json!([{"name": "new", "image": "n:1"}, {"name": "a"}])),
    );
}

#[test]
fn null_removes_and_is_not_stored() {
    check(
        "Pod",
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"hostNetwork": true}}),
        json!({"metadata": {"labels": {"a": null}, "annotations": {"x": null, "y": "1"}}, "spec": {"hostNetwork": null}}),
        json!({"metadata": {"labels": {"b": "2"}, "annotations": {"y": "1"}}, "spec": {}}),
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    check(
        "Pod",
        pod(json!([{"name": "a", "args": ["x", "y"], "env": [{"name": "E", "value": "1"}]}])),
        pod(json!([{"name": "a", "args": ["z"], "env": [{"name": "F", "value": "2"}]}])),
        pod(json!([{
            "name": "a",
            "args": ["z"],
            "env": [{"name": "F", "value": "2"}, {"name": "E", "value": "1"}]
        }])),
    );
}

#[test]
fn patch_delete_removes_a_list_entry() {
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}])),
        pod(json!([{"name": "a", "$patch": "delete"}])),
        pod(json!([{"name": "b"}])),
    );
    check(
        "Pod",
        json!({"spec": {}}),
        pod(json!([{"name": "a", "$patch": "delete"}, {"name": "b", "image": null}])),
        pod(json!([{"name": "b"}])),
    );
}

#[test]
fn patch_replace_replaces_a_list_or_a_map() {
    check(
        "Pod",
        pod(json!([{"name": "a", "image": "a:1"}, {"name": "b"}])),
        pod(json!([{"name": "a"}, {"$patch": "replace"}])),
        pod(json!([{"name": "a"}])),
    );
    check(
        "Pod",
        json!({"spec": {"securityContext": {"runAsUser": 1, "fsGroup": 2}}}),
        json!({"spec": {"securityContext": {"$patch": "replace", "runAsUser": 3}}}),
        json!({"spec": {"securityContext": {"runAsUser": 3}}}),
    );
    check(
        "Pod",
        json!({"spec": {"securityContext": {"runAsUser": 1}, "hostname": "h"}}),
        json!({"spec": {"securityContext": {"$patch": "delete"}}}),
        json!({"spec": {"securityContext": {}, "hostname": "h"}}),
    );
}

#[test]
fn retain_keys_clears_the_other_members_of_a_union() {
    check(
        "Deployment",
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    check(
        "Pod",
        json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}),
        json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
    );
    assert_eq!(
        refused(
            "Deployment",
            json!({"spec": {"strategy": {}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}),
        ),
        "invalid patch format of retainKeys"
    );
}

#[test]
fn set_element_order_orders_keyed_lists() {
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])),
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "new"}, {"name": "a"}],
            "containers": [{"name": "new", "image": "n:1"}]
        }}),
        // "b" is not in the order and stood before "c".
        pod(json!([{"name": "b"}, {"name": "c"}, {"name": "new", "image": "n:1"}, {"name": "a"}])),
    );
    // An order alone moves what is there.
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
        pod(json!([{"name": "b"}, {"name": "a"}])),
    );
    assert!(
        refused(
            "Pod",
            pod(json!([{"name": "a"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"name": "b"}]
            }}),
        )
        .contains("doesn't match $setElementOrder list")
    );
}

#[test]
fn primitive_lists_merge_and_delete() {
    check(
        "Pod",
        json!({"metadata": {"finalizers": ["a", "b"]}}),
        json!({"metadata": {"finalizers": ["c", "a"]}}),
        json!({"metadata": {"finalizers": ["c", "a", "b"]}}),
    );
    check(
        "Pod",
        json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        json!({"metadata": {
            "$deleteFromPrimitiveList/finalizers": ["b"],
            "$setElementOrder/finalizers": ["c", "a"]
        }}),
        json!({"metadata": {"finalizers": ["c", "a"]}}),
    );
    check(
        "Pod",
        json!({"metadata": {}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}}),
        json!({"metadata": {}}),
    );
}

#[test]
fn service_ports_merge_by_port() {
    check(
        "Service",
        json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "s", "port": 443}]}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 9090}]}}),
        json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9090}, {"name": "s", "port": 443}]}}),
    );
}

#[test]
fn a_changed_type_takes_the_patch() {
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"a": "1"}}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"b": "2"}}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"a": "1", "b": "2"}}}),
    );
}

#[test]
fn bad_patches_are_refused_in_kubernetes_words() {
    assert_eq!(
        refused(
            "Pod",
            pod(json!([{"name": "a"}])),
            pod(json!([{"image": "x"}]))
        ),
        "map: map[image:x] does not contain declared merge key: name"
    );
    assert_eq!(
        refused(
            "Pod",
            pod(json!([{"name": "a"}])),
            pod(json!([{"$patch": "merge", "name": "a"}]))
        ),
        "merging lists cannot yet be specified in the patch"
    );
    assert_eq!(
        refused("Pod", json!({"spec": {}}), json!({"$patch": "twist"})),
        "unknown patch type: twist in map: map[$patch:twist]"
    );
    assert_eq!(
        refused("Pod", json!({}), json!([])),
        "invalid JSON document"
    );
}
