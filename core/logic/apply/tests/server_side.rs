//! Server-side apply: ownership, conflicts, removal, and other writes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use catalyst_apply::{
    ApplyError, FieldSet, Operation, OperationKind, apply, managers, update_managed_fields,
};
use catalyst_schema::{Schema, SchemaSet};
use serde_json::{Value, json};

fn schema(group: &str, kind: &str) -> Schema {
    let document: Value = serde_json::from_str(include_str!("data/builtin-schemas.json")).unwrap();
    let set = SchemaSet::parse(&document).unwrap();
    set.for_kind(group, "v1", kind).unwrap()
}

fn by<'a>(manager: &'a str, api_version: &'a str, time: &'a str) -> Operation<'a> {
    Operation {
        manager,
        api_version,
        subresource: "",
        time,
        ignored: None,
    }
}

fn config_map(data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        "data": data
    })
}

fn deployment(spec: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": spec
    })
}

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-02T00:00:00Z";

/// Manager, operation and fields of every entry.
fn owners(object: &Value) -> Value {
    let list = object["metadata"]["managedFields"].as_array().cloned();
    list.unwrap_or_default()
        .iter()
        .map(|e| json!([e["manager"], e["operation"], e["fieldsV1"]]))
        .collect()
}

#[test]
fn creating_records_the_applied_fields() {
    let config = config_map(json!({"a": "1"}));
    let created = apply(
        None,
        &config,
        &by("one", "v1", T1),
        false,
        Some(&schema("", "ConfigMap")),
    )
    .unwrap();
    assert_eq!(
        created["metadata"]["managedFields"],
        json!([{
            "manager": "one", "operation": "Apply", "apiVersion": "v1", "time": T1,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}
        }])
    );
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let schema = schema("", "ConfigMap");
    let config = config_map(json!({"a": "1"}));
    let created = apply(None, &config, &by("one", "v1", T1), false, Some(&schema)).unwrap();
    let again = apply(
        Some(&created),
        &config,
        &by("one", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(again, created);
}

#[test]
fn a_conflict_names_manager_and_field() {
    let schema = schema("apps", "Deployment");
    let mut live = deployment(json!({"replicas": 1, "paused": false}));
    update_managed_fields(
        None,
        &mut live,
        &by("kubectl", "apps/v1", T1),
        Some(&schema),
    );
    let config = deployment(json!({"replicas": 3}));
    let error = apply(
        Some(&live),
        &config,
        &by("ci", "apps/v1", T2),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas"
    );
    let ApplyError::Conflicts(conflicts) = error else {
        panic!("expected conflicts");
    };
    assert_eq!(conflicts.0[0].operation, OperationKind::Update);
    assert_eq!(
        conflicts.0[0].cause_message(),
        "conflict with \"kubectl\" using apps/v1"
    );

    let config = deployment(json!({"replicas": 3, "paused": true}));
    let error = apply(
        Some(&live),
        &config,
        &by("ci", "apps/v1", T2),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using apps/v1:\n- .spec.paused\n- .spec.replicas"
    );
}

#[test]
fn an_applier_conflicts_without_a_version() {
    let schema = schema("", "ConfigMap");
    let live = apply(
        None,
        &config_map(json!({"a": "1"})),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let error = apply(
        Some(&live),
        &config_map(json!({"a": "2"})),
        &by("two", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .data.a"
    );
}

#[test]
fn force_takes_the_field_over() {
    let schema = schema("", "ConfigMap");
    let live = apply(
        None,
        &config_map(json!({"a": "1", "b": "1"})),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let forced = apply(
        Some(&live),
        &config_map(json!({"a": "2"})),
        &by("two", "v1", T2),
        true,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(
        owners(&forced),
        json!([
            ["one", "Apply", {"f:data": {"f:b": {}}}],
            ["two", "Apply", {"f:data": {"f:a": {}}}]
        ])
    );
}

#[test]
fn equal_values_are_owned_together_and_survive_one_owner() {
    let schema = schema("", "ConfigMap");
    let config = config_map(json!({"a": "1"}));
    let live = apply(None, &config, &by("one", "v1", T1), false, Some(&schema)).unwrap();
    let shared = apply(
        Some(&live),
        &config,
        &by("two", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(managers(&shared).unwrap().len(), 2);
    let mut empty = config_map(json!({}));
    empty.as_object_mut().unwrap().remove("data");
    let left = apply(
        Some(&shared),
        &empty,
        &by("one", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(left["data"], json!({"a": "1"}));
    assert_eq!(
        owners(&left),
        json!([["two", "Apply", {"f:data": {"f:a": {}}}]])
    );
    let gone = apply(
        Some(&left),
        &empty,
        &by("two", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(gone.get("data"), None);
    assert_eq!(gone["metadata"], json!({"name": "c", "namespace": "n"}));
}

#[test]
fn fields_no_longer_applied_are_removed_when_nobody_else_owns_them() {
    let schema = schema("apps", "Deployment");
    let config = deployment(json!({
        "replicas": 2,
        "template": {"spec": {"containers": [
            {"name": "web", "image": "w:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "s:1"}
        ]}}
    }));
    let live = apply(
        None,
        &config,
        &by("one", "apps/v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    // Another manager owns one variable of the container that goes.
    let other = deployment(json!({"template": {"spec": {"containers": [
        {"name": "web", "env": [{"name": "C", "value": "3"}]}
    ]}}}));
    let live = apply(
        Some(&live),
        &other,
        &by("two", "apps/v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let config = deployment(json!({
        "template": {"spec": {"containers": [
            {"name": "web", "image": "w:2", "env": [{"name": "B", "value": "2"}]}
        ]}}
    }));
    let after = apply(
        Some(&live),
        &config,
        &by("one", "apps/v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(
        after["spec"],
        json!({"template": {"spec": {"containers": [
            {"name": "web", "image": "w:2", "env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]}
        ]}}})
    );
}

#[test]
fn list_entries_are_owned_by_key_with_defaults() {
    let schema = schema("", "Service");
    let service = |ports: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"ports": ports, "selector": {"app": "x"}}
        })
    };
    let live = apply(
        None,
        &service(json!([{"port": 80, "protocol": "TCP", "targetPort": 8080}])),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(
        owners(&live)[0][2]["f:spec"],
        json!({
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {
                ".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}
            }},
            "f:selector": {}
        })
    );
    // Without a protocol it is still the TCP port.
    let error = apply(
        Some(&live),
        &service(json!([{"port": 80, "targetPort": 9090}])),
        &by("two", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.ports[port=80,protocol=\"TCP\"].targetPort"
    );
    // The selector is atomic: another value is a conflict on all of it.
    let mut other = service(json!([]));
    other["spec"] = json!({"selector": {"tier": "y"}});
    let error = apply(
        Some(&live),
        &other,
        &by("two", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.selector"
    );
}

#[test]
fn sets_are_owned_by_value() {
    let schema = schema("", "ConfigMap");
    let with = |finalizers: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "finalizers": finalizers}
        })
    };
    let live = apply(
        None,
        &with(json!(["x/a"])),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let both = apply(
        Some(&live),
        &with(json!(["x/b"])),
        &by("two", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let mut all: Vec<String> =
        serde_json::from_value(both["metadata"]["finalizers"].clone()).unwrap();
    all.sort();
    assert_eq!(all, ["x/a", "x/b"]);
    let left = apply(
        Some(&both),
        &with(json!([])),
        &by("one", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(left["metadata"]["finalizers"], json!(["x/b"]));
    assert_eq!(
        owners(&left),
        json!([["two", "Apply", {"f:metadata": {"f:finalizers": {"v:\"x/b\"": {}}}}]])
    );
}

#[test]
fn the_applied_order_decides_and_foreign_entries_stay() {
    let schema = schema("", "Pod");
    let pod = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|n| json!({"name": n})).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}})
    };
    let names = |object: &Value| -> Vec<String> {
        object["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let live = apply(
        None,
        &pod(&["a", "b", "c"]),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let turned = apply(
        Some(&live),
        &pod(&["c", "a"]),
        &by("two", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let order = names(&turned);
    assert_eq!(order.len(), 3);
    let at = |name: &str| order.iter().position(|n| n == name).unwrap();
    assert!(at("c") < at("a"), "{order:?}");
    let longer = apply(
        Some(&live),
        &pod(&["a", "x", "b"]),
        &by("two", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(names(&longer), ["a", "x", "b", "c"]);
}

#[test]
fn ordinary_writes_take_what_they_change() {
    let schema = schema("", "ConfigMap");
    let live = apply(
        None,
        &config_map(json!({"a": "1", "b": "1"})),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    let mut edited = live.clone();
    edited["data"] = json!({"a": "9", "c": "1"});
    update_managed_fields(
        Some(&live),
        &mut edited,
        &by("edit", "v1", T2),
        Some(&schema),
    );
    assert_eq!(
        owners(&edited),
        json!([["edit", "Update", {"f:data": {"f:a": {}, "f:c": {}}}]])
    );
    // A write that changes nothing leaves no trace.
    let mut same = edited.clone();
    update_managed_fields(
        Some(&edited),
        &mut same,
        &by("other", "v1", T2),
        Some(&schema),
    );
    assert_eq!(same, edited);
}

#[test]
fn a_status_write_is_recorded_with_its_subresource() {
    let schema = schema("", "Pod");
    let mut live = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "x"}
    });
    update_managed_fields(None, &mut live, &by("kubectl", "v1", T1), Some(&schema));
    let mut after = live.clone();
    after["status"] =
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    after["metadata"]["managedFields"] = json!([]);
    let operation = Operation {
        subresource: "status",
        ..by("kubelet", "v1", T2)
    };
    update_managed_fields(Some(&live), &mut after, &operation, Some(&schema));
    let entries = managers(&after).unwrap();
    assert_eq!(entries.len(), 2, "the subresource cannot reset the list");
    assert_eq!(entries[1].subresource, "status");
    assert_eq!(
        entries[1].fields.to_fields_v1(),
        json!({"f:status": {
            ".": {},
            "f:phase": {},
            "f:conditions": {
                ".": {},
                "k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}}
            }
        }})
    );
    let config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Failed"}});
    let error = apply(
        Some(&after),
        &config,
        &by("x", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubelet\" with subresource \"status\" using v1: .status.phase"
    );
    // An endpoint that does not write status neither conflicts nor owns.
    let ignored = FieldSet::of_fields(&[&["status"]]);
    let operation = Operation {
        ignored: Some(&ignored),
        ..by("x", "v1", T2)
    };
    let applied = apply(Some(&after), &config, &operation, false, Some(&schema)).unwrap();
    assert!(
        managers(&applied)
            .unwrap()
            .iter()
            .all(|entry| entry.manager != "x")
    );
}

#[test]
fn clients_may_reset_ownership() {
    let schema = schema("", "ConfigMap");
    let live = apply(
        None,
        &config_map(json!({"a": "1"})),
        &by("one", "v1", T1),
        false,
        Some(&schema),
    )
    .unwrap();
    for reset in [json!([]), json!([{}])] {
        let mut after = live.clone();
        after["metadata"]["managedFields"] = reset;
        update_managed_fields(
            Some(&live),
            &mut after,
            &by("edit", "v1", T2),
            Some(&schema),
        );
        assert_eq!(after["metadata"].get("managedFields"), None);
    }
    // A client that does not know the field does not clear it.
    let mut after = live.clone();
    after["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    update_managed_fields(
        Some(&live),
        &mut after,
        &by("edit", "v1", T2),
        Some(&schema),
    );
    assert_eq!(after, live);
}

#[test]
fn many_updaters_are_joined() {
    let schema = schema("", "ConfigMap");
    let mut live = config_map(json!({}));
    for index in 0..15 {
        let mut after = live.clone();
        after["data"][format!("k{index}")] = json!("v");
        let name = format!("m{index:02}");
        let time = format!("2026-01-01T00:00:{index:02}Z");
        update_managed_fields(
            Some(&live),
            &mut after,
            &by(&name, "v1", &time),
            Some(&schema),
        );
        live = after;
    }
    let entries = managers(&live).unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0].manager, "ancient-changes");
    let all = entries
        .iter()
        .fold(FieldSet::new(), |all, entry| all.union(&entry.fields));
    for index in 0..15 {
        assert!(
            all.contains(&["f:data".into(), format!("f:k{index}")]),
            "k{index}"
        );
    }
}

#[test]
fn kubectl_takes_over_from_its_client_side_apply() {
    let schema = schema("", "ConfigMap");
    let config = config_map(json!({"a": "1"}));
    let mut live = config.clone();
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": format!("{config}\n")});
    update_managed_fields(
        None,
        &mut live,
        &by("kubectl-client-side-apply", "v1", T1),
        Some(&schema),
    );
    let new = config_map(json!({"a": "2"}));
    let error = apply(Some(&live), &new, &by("ci", "v1", T2), false, Some(&schema)).unwrap_err();
    assert!(matches!(error, ApplyError::Conflicts(_)));
    let after = apply(
        Some(&live),
        &new,
        &by("kubectl", "v1", T2),
        false,
        Some(&schema),
    )
    .unwrap();
    assert_eq!(after["data"], json!({"a": "2"}));
    let annotation =
        after["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
            .as_str()
            .unwrap();
    assert_eq!(serde_json::from_str::<Value>(annotation).unwrap(), new);
}

#[test]
fn without_a_schema_maps_are_granular_and_lists_atomic() {
    let custom = |spec: Value| json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec});
    let live = apply(
        None,
        &custom(json!({"a": {"b": 1}, "l": [1, 2]})),
        &by("one", "x.io/v1", T1),
        false,
        None,
    )
    .unwrap();
    assert_eq!(
        owners(&live)[0][2]["f:spec"],
        json!({".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}})
    );
    let both = apply(
        Some(&live),
        &custom(json!({"a": {"c": 2}})),
        &by("two", "x.io/v1", T1),
        false,
        None,
    )
    .unwrap();
    assert_eq!(both["spec"], json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}));
    let error = apply(
        Some(&both),
        &custom(json!({"l": [3]})),
        &by("two", "x.io/v1", T1),
        false,
        None,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.l"
    );
}

#[test]
fn wrong_requests_are_refused_in_kubernetes_words() {
    let schema = schema("apps", "Deployment");
    let run = |config: Value| {
        apply(
            None,
            &config,
            &by("one", "apps/v1", T1),
            false,
            Some(&schema),
        )
        .unwrap_err()
        .to_string()
    };
    assert_eq!(
        run(json!({"apiVersion": "apps/v1beta1", "kind": "Deployment"})),
        "Incorrect version specified in apply patch. Specified patch version: apps/v1beta1, expected: apps/v1"
    );
    let mut managed = deployment(json!({}));
    managed["metadata"]["managedFields"] = json!([]);
    assert_eq!(run(managed), "metadata.managedFields must be nil");
    assert_eq!(
        run(deployment(json!({"replica": 1}))),
        "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema"
    );
    assert_eq!(
        run(deployment(
            json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}})
        )),
        "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"a\"]"
    );
}
