//! Custom resources.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Api;

/// Boxes, in the group `example.com`.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "properties": {"full": {"type": "boolean"}}},
                }}},
            }],
        },
    })
}

#[tokio::test]
async fn custom_resources_are_served_defaulted_pruned_validated_and_split() {
    let api = Api::start().await;
    let made = api
        .post(
            "a/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition(),
        )
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    let boxes = "a/apis/example.com/v1/namespaces/default/boxes";
    assert_eq!(
        api.get("a/apis/example.com/v1").await.body["resources"][0]["kind"],
        "Box"
    );
    let object = |size: i64| {
        json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "b"},
            "spec": {"size": size, "unknown": 1}, "status": {"full": true}})
    };
    let bad = api.post(boxes, object(0)).await;
    assert_eq!(bad.code, 422, "{}", bad.body);
    assert!(
        bad.body["message"].as_str().unwrap().contains("spec.size"),
        "{}",
        bad.body
    );
    let strict = api
        .post(&format!("{boxes}?fieldValidation=Strict"), object(1))
        .await;
    assert_eq!(strict.code, 400);
    let good = api.post(boxes, object(1)).await;
    assert_eq!(good.code, 201, "{}", good.body);
    assert_eq!(good.body["spec"], json!({"size": 1, "color": "red"}));
    assert_eq!(good.body["status"], Value::Null);
    assert_eq!(
        good.warnings,
        ["299 - \"unknown field \\\"spec.unknown\\\"\""]
    );
    let status = api
        .patch(
            &format!("{boxes}/b/status"),
            "merge-patch+json",
            json!({"status": {"full": true}, "spec": {"size": 9}}),
        )
        .await;
    assert_eq!(
        (&status.body["status"]["full"], &status.body["spec"]["size"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(status.body["metadata"]["generation"], 1);
    let spec = api
        .patch(
            &format!("{boxes}/b"),
            "merge-patch+json",
            json!({"spec": {"size": 2}}),
        )
        .await;
    assert_eq!(spec.body["metadata"]["generation"], 2);
    let definitions = "a/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.example.com";
    api.call(Method::DELETE, definitions, Value::Null).await;
    assert_eq!(api.get(boxes).await.code, 404);
}
