//! The OpenAPI document in the tree is what the handlers declare.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

/// Run with `CATALYST_REGENERATE=1` to write the file.
#[test]
fn the_document_in_the_tree_is_what_the_handlers_declare() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut declared = serde_json::to_string_pretty(&catalyst_gateway::openapi()).unwrap();
    declared.push('\n');
    if std::env::var_os("CATALYST_REGENERATE").is_some() {
        std::fs::write(&path, &declared).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == declared,
        "openapi.json differs from the handlers; run the test with CATALYST_REGENERATE=1 and commit"
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = catalyst_gateway::openapi();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(|text| text.as_str()) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(
                document.pointer(pointer).is_some(),
                "{reference} is dangling"
            );
        }
        match value {
            serde_json::Value::Object(map) => open.extend(map.values()),
            serde_json::Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}
