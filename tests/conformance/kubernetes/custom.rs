//! CustomResourceDefinitions and what they define.

use serde_json::{Value, json};

use super::world::{APPLY, MERGE, World, names};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_definition_is_established,
        a_definition_is_checked,
        defaults_are_filled_in,
        unknown_fields_are_pruned,
        unknown_fields_are_kept_when_asked,
        a_wrong_type_is_refused_with_its_field,
        limits_are_enforced,
        required_fields_are_required,
        a_status_is_a_subresource,
        a_scale_is_a_subresource,
        an_int_or_string_is_either,
        a_nullable_field_may_be_null,
        a_rule_is_evaluated,
        a_rule_sees_the_old_value,
        a_custom_object_is_applied,
        a_list_of_maps_is_applied_by_key,
        printer_columns_are_shown,
        a_schema_that_changes_is_used,
        another_version_is_served,
        a_definitions_end_is_its_objects_end,
    ]
}

fn group(namespace: &str) -> String {
    format!("{namespace}.acme.example")
}

pub fn things(namespace: &str) -> String {
    format!(
        "/apis/{}/v1/namespaces/{namespace}/things",
        group(namespace)
    )
}

pub fn thing(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("{}/v1", group(namespace)), "kind": "Thing",
        "metadata": {"name": name}, "spec": spec})
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition(namespace: &str, spec: Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{}", group(namespace))},
        "spec": {"group": group(namespace), "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec,
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

async fn establish(world: &World, namespace: &str, definition: Value) {
    world.namespace(namespace).await;
    world.post(DEFINITIONS, definition).await.ok();
    // Established is not yet served everywhere.
    world.until(&things(namespace), |it| it.status == 200).await;
}

/// A namespace, and a kind in a group of the same name.
pub async fn define(world: &World, namespace: &str, spec: Value) {
    establish(world, namespace, definition(namespace, spec)).await;
}

fn loose() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

async fn a_definition_is_established(world: World) {
    define(&world, "custom-1", loose()).await;
    let path = format!("{DEFINITIONS}/things.custom-1.acme.example");
    let is_set = |body: &Value, kind: &str| {
        let conditions = body["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it["type"] == kind && it["status"] == "True")
        })
    };
    let found = world
        .until(&path, |it| {
            is_set(&it.body, "Established") && is_set(&it.body, "NamesAccepted")
        })
        .await;
    assert_eq!(found.body["status"]["acceptedNames"]["plural"], "things");
    assert_eq!(
        found.body["status"]["acceptedNames"]["listKind"],
        "ThingList"
    );
    assert_eq!(found.body["status"]["storedVersions"], json!(["v1"]));
    let resources = world.get("/apis/custom-1.acme.example/v1").await.ok();
    let one = &resources["resources"][0];
    assert_eq!(
        (&one["name"], &one["kind"]),
        (&json!("things"), &json!("Thing"))
    );
    assert_eq!(one["shortNames"], json!(["th"]));
    let list = world.get(&things("custom-1")).await.ok();
    assert_eq!(list["kind"], "ThingList");
}

async fn a_definition_is_checked(world: World) {
    let mut wrong = definition("custom-2", loose());
    wrong["metadata"]["name"] = json!("other.custom-2.acme.example");
    world.post(DEFINITIONS, wrong).await.refused(422, "Invalid");
    let mut wrong = definition("custom-2", loose());
    wrong["spec"]["versions"][0]["storage"] = json!(false);
    world.post(DEFINITIONS, wrong).await.refused(422, "Invalid");
    let mut wrong = definition("custom-2", loose());
    wrong["spec"]["versions"][0]
        .as_object_mut()
        .unwrap()
        .remove("schema");
    world.post(DEFINITIONS, wrong).await.refused(422, "Invalid");
    // A structural schema says the type everywhere.
    let wrong = definition("custom-2", json!({"properties": {"a": {"type": "string"}}}));
    world.post(DEFINITIONS, wrong).await.refused(422, "Invalid");
}

async fn defaults_are_filled_in(world: World) {
    let spec = json!({"type": "object", "default": {}, "properties": {
        "size": {"type": "integer", "default": 3},
        "inner": {"type": "object", "properties": {"mode": {"type": "string", "default": "a"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {
            "name": {"type": "string"}, "kind": {"type": "string", "default": "k"}}}}}});
    define(&world, "custom-3", spec).await;
    let path = things("custom-3");
    let body = thing(
        "custom-3",
        "a",
        json!({"inner": {}, "list": [{"name": "n"}]}),
    );
    let made = world.post(&path, body).await.ok();
    let wanted = json!({"size": 3, "inner": {"mode": "a"}, "list": [{"name": "n", "kind": "k"}]});
    assert_eq!(made["spec"], wanted);
    let mut body = thing("custom-3", "b", json!({}));
    body.as_object_mut().unwrap().remove("spec");
    let made = world.post(&path, body).await.ok();
    assert_eq!(made["spec"], json!({"size": 3}));
}

async fn unknown_fields_are_pruned(world: World) {
    let spec = json!({"type": "object", "properties": {"a": {"type": "string"},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "string"}}}}}});
    define(&world, "custom-4", spec).await;
    let spec = json!({"a": "1", "b": "2", "map": {"k": {"x": "1", "y": "2"}}});
    let body = thing("custom-4", "a", spec);
    let made = world.post(&things("custom-4"), body.clone()).await.ok();
    assert_eq!(made["spec"], json!({"a": "1", "map": {"k": {"x": "1"}}}));
    let path = format!("{}?fieldValidation=Strict", things("custom-4"));
    let refused = world.post(&path, body).await;
    refused.refused(400, "BadRequest");
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("unknown field \"spec.b\""), "{message}");
}

async fn unknown_fields_are_kept_when_asked(world: World) {
    let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"strict": {"type": "object", "properties": {"a": {"type": "string"}}}}});
    define(&world, "custom-5", spec).await;
    let spec = json!({"free": {"deep": [1]}, "strict": {"a": "1", "b": "2"}});
    let made = world
        .post(&things("custom-5"), thing("custom-5", "a", spec))
        .await
        .ok();
    assert_eq!(
        made["spec"],
        json!({"free": {"deep": [1]}, "strict": {"a": "1"}})
    );
}

async fn a_wrong_type_is_refused_with_its_field(world: World) {
    let spec = json!({"type": "object", "properties": {"list": {"type": "array",
        "items": {"type": "object", "properties": {"size": {"type": "integer"}}}}}});
    define(&world, "custom-6", spec).await;
    let body = thing(
        "custom-6",
        "a",
        json!({"list": [{"size": 1}, {"size": "two"}]}),
    );
    let refused = world.post(&things("custom-6"), body).await;
    refused.refused(422, "Invalid");
    let causes = json!([{"reason": "FieldValueTypeInvalid", "field": "spec.list[1].size",
        "message": "Invalid value: \"string\": spec.list[1].size in body must be of type integer: \"string\""}]);
    assert_eq!(refused.body["details"]["causes"], causes);
    assert_eq!(refused.body["details"]["group"], "custom-6.acme.example");
    assert_eq!(refused.body["details"]["kind"], "Thing");
}

async fn limits_are_enforced(world: World) {
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 5},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
        "mode": {"type": "string", "enum": ["a", "b"]},
        "list": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
        "map": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}}});
    define(&world, "custom-7", spec).await;
    for (wrong, field, reason) in [
        (json!({"size": 0}), "spec.size", "FieldValueInvalid"),
        (json!({"size": 6}), "spec.size", "FieldValueInvalid"),
        (json!({"name": "A"}), "spec.name", "FieldValueInvalid"),
        (json!({"name": "abcd"}), "spec.name", "FieldValueTooLong"),
        (json!({"mode": "c"}), "spec.mode", "FieldValueNotSupported"),
        (
            json!({"list": ["a", "b"]}),
            "spec.list",
            "FieldValueTooMany",
        ),
        (
            json!({"map": {"a": "b", "c": "d"}}),
            "spec.map",
            "FieldValueTooMany",
        ),
    ] {
        let refused = world
            .post(&things("custom-7"), thing("custom-7", "a", wrong.clone()))
            .await;
        refused.refused(422, "Invalid");
        let cause = &refused.body["details"]["causes"][0];
        assert_eq!(
            (&cause["field"], &cause["reason"]),
            (&json!(field), &json!(reason)),
            "{wrong}"
        );
    }
}

async fn required_fields_are_required(world: World) {
    let spec =
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}});
    define(&world, "custom-8", spec).await;
    let refused = world
        .post(&things("custom-8"), thing("custom-8", "a", json!({})))
        .await;
    refused.refused(422, "Invalid");
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldValueRequired");
    assert_eq!(
        (&cause["field"], &cause["message"]),
        (&json!("spec.a"), &json!("Required value"))
    );
}

async fn a_status_is_a_subresource(world: World) {
    define(&world, "custom-9", loose()).await;
    let mut body = thing("custom-9", "a", json!({"x": 1}));
    body["status"] = json!({"phase": "Given"});
    let made = world.post(&things("custom-9"), body).await.ok();
    assert_eq!(
        (&made["status"], &made["metadata"]["generation"]),
        (&Value::Null, &json!(1))
    );
    let path = format!("{}/a", things("custom-9"));
    let body = json!({"status": {"phase": "Ready"}, "spec": {"x": 2}});
    let made = world
        .patch(&format!("{path}/status"), MERGE, body)
        .await
        .ok();
    assert_eq!(
        (&made["status"]["phase"], &made["spec"]["x"]),
        (&json!("Ready"), &json!(1))
    );
    assert_eq!(made["metadata"]["generation"], 1);
    let made = world
        .patch(
            &path,
            MERGE,
            json!({"status": {"phase": "No"}, "spec": {"x": 3}}),
        )
        .await
        .ok();
    assert_eq!(
        (&made["status"]["phase"], &made["spec"]["x"]),
        (&json!("Ready"), &json!(3))
    );
    assert_eq!(made["metadata"]["generation"], 2);
}

async fn a_scale_is_a_subresource(world: World) {
    let mut definition = definition("custom-10", loose());
    definition["spec"]["versions"][0]["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector"});
    establish(&world, "custom-10", definition).await;
    world
        .post(
            &things("custom-10"),
            thing("custom-10", "a", json!({"replicas": 2})),
        )
        .await
        .ok();
    let path = format!("{}/a", things("custom-10"));
    let scale = world.get(&format!("{path}/scale")).await.ok();
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(2))
    );
    let body = json!({"spec": {"replicas": 5}});
    world
        .patch(&format!("{path}/scale"), MERGE, body)
        .await
        .ok();
    assert_eq!(world.get(&path).await.ok()["spec"]["replicas"], 5);
}

async fn an_int_or_string_is_either(world: World) {
    let spec =
        json!({"type": "object", "properties": {"port": {"x-kubernetes-int-or-string": true}}});
    define(&world, "custom-11", spec).await;
    for (name, port, status) in [
        ("a", json!(80), 201),
        ("b", json!("http"), 201),
        ("c", json!(true), 422),
    ] {
        let body = thing("custom-11", name, json!({"port": port}));
        assert_eq!(
            world.post(&things("custom-11"), body).await.status,
            status,
            "{name}"
        );
    }
}

async fn a_nullable_field_may_be_null(world: World) {
    let spec = json!({"type": "object", "properties": {
        "yes": {"type": "string", "nullable": true}, "no": {"type": "string"},
        "given": {"type": "string", "default": "d"}}});
    define(&world, "custom-12", spec).await;
    let body = thing("custom-12", "a", json!({"yes": null, "given": null}));
    let made = world.post(&things("custom-12"), body).await.ok();
    assert_eq!(made["spec"], json!({"yes": null, "given": "d"}));
    // A null where none may be is as if nothing were said.
    let body = thing("custom-12", "b", json!({"no": null}));
    let made = world.post(&things("custom-12"), body).await.ok();
    assert_eq!(made["spec"], json!({"given": "d"}));
}

async fn a_rule_is_evaluated(world: World) {
    let spec = json!({"type": "object", "x-kubernetes-validations": [
        {"rule": "self.low <= self.high", "message": "low must not be above high"}],
        "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}}});
    define(&world, "custom-13", spec).await;
    let body = thing("custom-13", "a", json!({"low": 2, "high": 1}));
    let refused = world.post(&things("custom-13"), body).await;
    refused.refused(422, "Invalid");
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("low must not be above high"), "{message}");
    world
        .post(
            &things("custom-13"),
            thing("custom-13", "a", json!({"low": 1, "high": 1})),
        )
        .await
        .ok();
}

async fn a_rule_sees_the_old_value(world: World) {
    let spec = json!({"type": "object", "properties": {"fixed": {"type": "string",
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is fixed"}]}}});
    define(&world, "custom-14", spec).await;
    world
        .post(
            &things("custom-14"),
            thing("custom-14", "a", json!({"fixed": "1"})),
        )
        .await
        .ok();
    let path = format!("{}/a", things("custom-14"));
    world
        .patch(&path, MERGE, json!({"spec": {"fixed": "2"}}))
        .await
        .refused(422, "Invalid");
}

async fn a_custom_object_is_applied(world: World) {
    let spec =
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    define(&world, "custom-15", spec).await;
    let path = format!("{}/a", things("custom-15"));
    let apply = async |manager: &str, spec: Value| {
        let path = format!("{path}?fieldManager={manager}");
        world
            .patch(&path, APPLY, thing("custom-15", "a", spec))
            .await
    };
    apply("one", json!({"a": "1", "b": "1"})).await.ok();
    apply("two", json!({"a": "2"}))
        .await
        .refused(409, "Conflict");
    let made = apply("one", json!({"a": "1"})).await.ok();
    assert_eq!(made["spec"], json!({"a": "1"}));
    let wrong = apply("one", json!({"a": 1})).await;
    assert!(wrong.status >= 400, "{}", wrong.body);
}

async fn a_list_of_maps_is_applied_by_key(world: World) {
    let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "value": {"type": "string"}}}});
    let set =
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    define(
        &world,
        "custom-16",
        json!({"type": "object", "properties": {"list": list, "set": set}}),
    )
    .await;
    let path = format!("{}/a", things("custom-16"));
    let apply = async |manager: &str, spec: Value| {
        let path = format!("{path}?fieldManager={manager}");
        world
            .patch(&path, APPLY, thing("custom-16", "a", spec))
            .await
    };
    apply(
        "one",
        json!({"list": [{"name": "a", "value": "1"}], "set": ["x"]}),
    )
    .await
    .ok();
    let made = apply(
        "two",
        json!({"list": [{"name": "b", "value": "2"}], "set": ["y", "x"]}),
    )
    .await
    .ok();
    let names: Vec<_> = made["spec"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(made["spec"]["set"].as_array().unwrap().len(), 2);
    let made = apply("two", json!({})).await.ok();
    assert_eq!(
        made["spec"],
        json!({"list": [{"name": "a", "value": "1"}], "set": ["x"]})
    );
    let twice = thing("custom-16", "b", json!({"set": ["x", "x"]}));
    world
        .post(&things("custom-16"), twice)
        .await
        .refused(422, "Invalid");
}

async fn printer_columns_are_shown(world: World) {
    let mut definition = definition("custom-17", loose());
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Hidden", "type": "string", "priority": 1, "jsonPath": ".spec.mode"}]);
    establish(&world, "custom-17", definition).await;
    world
        .post(
            &things("custom-17"),
            thing("custom-17", "a", json!({"size": 3, "mode": "m"})),
        )
        .await
        .ok();
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = world
        .ask("GET", &things("custom-17"), &headers, &Value::Null)
        .await
        .ok();
    assert_eq!(table["kind"], "Table");
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["name"].as_str().unwrap(),
                it["priority"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(columns, [("Name", 0), ("Size", 0), ("Hidden", 1)]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", 3, "m"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

async fn a_schema_that_changes_is_used(world: World) {
    define(
        &world,
        "custom-18",
        json!({"type": "object", "properties": {"a": {"type": "string"}}}),
    )
    .await;
    let path = format!("{DEFINITIONS}/things.custom-18.acme.example");
    let body = json!([{"op": "add",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/b", "value": {"type": "string", "default": "new"}}]);
    world
        .patch(&path, super::world::JSON_PATCH, body)
        .await
        .ok();
    for number in 0..300 {
        let body = thing("custom-18", &format!("a-{number}"), json!({}));
        let made = world.post(&things("custom-18"), body).await.ok();
        if made["spec"]["b"] == "new" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the new schema is not used");
}

async fn another_version_is_served(world: World) {
    let mut definition = definition("custom-19", loose());
    let mut other = definition["spec"]["versions"][0].clone();
    other["name"] = json!("v2");
    other["storage"] = json!(false);
    definition["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(other);
    establish(&world, "custom-19", definition).await;
    world
        .post(
            &things("custom-19"),
            thing("custom-19", "a", json!({"x": 1})),
        )
        .await
        .ok();
    let path = "/apis/custom-19.acme.example/v2/namespaces/custom-19/things/a";
    let found = world.until(path, |it| it.status == 200).await.body;
    assert_eq!(found["apiVersion"], "custom-19.acme.example/v2");
    assert_eq!(found["spec"]["x"], 1);
    let path = "/apis/custom-19.acme.example/v3/namespaces/custom-19/things/a";
    assert_eq!(world.get(path).await.status, 404);
}

async fn a_definitions_end_is_its_objects_end(world: World) {
    define(&world, "custom-20", loose()).await;
    world
        .post(&things("custom-20"), thing("custom-20", "a", json!({})))
        .await
        .ok();
    let path = format!("{DEFINITIONS}/things.custom-20.acme.example");
    world.delete(&path).await.ok();
    world.until(&path, |it| it.status == 404).await;
    world
        .until(&things("custom-20"), |it| it.status == 404)
        .await;
    world
        .post(DEFINITIONS, definition("custom-20", loose()))
        .await
        .ok();
    let list = world
        .until(&things("custom-20"), |it| it.status == 200)
        .await;
    assert_eq!(names(&list.body), [""; 0]);
}
