//! The kinds read what the model shows, and their definitions are structural.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use catalyst_resources::{Application, DataDisposal, PlacementMode, custom_resource_definitions};
use serde_json::{Value, json};

#[test]
fn an_application_reads_and_writes_the_same() {
    let manifest = json!({
        "apiVersion": "catalyst.openova.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "marketing-site", "namespace": "acme-prod", "labels": {"a": "b"}},
        "spec": {
            "blueprint": {"source": "catalog", "name": "bp-wordpress", "version": "1.3.0"},
            "size": "medium",
            "config": {"domain": "acme.example", "replicas": 2, "apiKey": {"secretRef": "apiKey"}},
            "dependencies": {"db": {"application": "marketing-site-db"}},
            "placement": {"mode": "single-region", "regions": ["fsn"]},
            "deletion": {"data": "keep"},
        },
    });
    let application: Application = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(
        application.spec.placement.as_ref().unwrap().mode,
        PlacementMode::SingleRegion
    );
    assert_eq!(
        application.spec.deletion.as_ref().unwrap().data,
        DataDisposal::Keep
    );
    assert_eq!(serde_json::to_value(&application).unwrap(), manifest);
}

/// The rules of structural schemas that a generator can break.
fn check_structural(schema: &Value, path: &str) {
    let fields = schema
        .as_object()
        .unwrap_or_else(|| panic!("{path} is not an object: {schema}"));
    let free = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    assert!(
        fields.get("type").is_some_and(Value::is_string) || free,
        "{path} has no single type: {schema}"
    );
    for banned in [
        "$ref",
        "oneOf",
        "anyOf",
        "allOf",
        "const",
        "definitions",
        "$defs",
        "nullable",
    ] {
        assert!(!fields.contains_key(banned), "{path} has {banned}");
    }
    for (name, property) in fields
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        check_structural(property, &format!("{path}.{name}"));
    }
    if let Some(items) = fields.get("items") {
        check_structural(items, &format!("{path}[]"));
    }
    if let Some(values @ Value::Object(_)) = fields.get("additionalProperties") {
        check_structural(values, &format!("{path}.*"));
    }
}

#[test]
fn every_definition_is_structural_and_described() {
    let definitions = custom_resource_definitions();
    assert_eq!(definitions.len(), 8);
    for (kind, definition) in definitions {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        check_structural(schema, kind.kind);
        assert!(
            schema["properties"]["spec"]["description"].is_string(),
            "{} has no description",
            kind.kind
        );
    }
}

#[test]
fn the_application_definition_is_as_published() {
    let (_, definition) = custom_resource_definitions()
        .into_iter()
        .find(|(kind, _)| kind.kind == "Application")
        .unwrap();
    insta::assert_json_snapshot!(definition);
}
