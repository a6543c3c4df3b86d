//! Schemas of custom resources: structural checks, defaults, pruning; and the
//! same walk over built-in kinds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use catalyst_schema::{ListType, MapType, Schema, SchemaSet, structural_problems};
use proptest::prelude::*;
use serde_json::{Value, json};

fn set() -> Arc<SchemaSet> {
    let document: Value = serde_json::from_str(include_str!("data/builtin-schemas.json")).unwrap();
    SchemaSet::parse(&document).unwrap()
}

fn problems(schema: Value) -> Vec<String> {
    structural_problems(&schema, "schema")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_structural_schema_has_no_problems() {
    assert_eq!(
        problems(json!({
            "type": "object",
            "properties": {
                "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}},
                "spec": {
                    "type": "object",
                    "description": "what is wanted",
                    "properties": {
                        "size": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                        "any": {"x-kubernetes-preserve-unknown-fields": true},
                        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
                        "ports": {
                            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                            "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}}}
                        }
                    },
                    "oneOf": [{"required": ["size"]}, {"properties": {"any": {"not": {"required": ["x"]}}}}]
                }
            }
        })),
        Vec::<String>::new()
    );
}

#[test]
fn each_reason_is_named() {
    let table = [
        (
            json!({}),
            vec!["schema.type: Required value: must not be empty at the root"],
        ),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            vec![
                "schema.properties[a].type: Required value: must not be empty for specified object fields",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            vec!["schema.properties[a].items: Required value: must be specified"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}}}),
            vec![
                "schema.properties[a].items.type: Required value: must not be empty for specified array items",
            ],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            vec!["schema.additionalProperties: Forbidden: must not be used at the root"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "anyOf": [{"type": "string", "description": "x"}]}}}),
            vec![
                "schema.properties[a].anyOf[0].description: Forbidden: must be empty to be structural",
                "schema.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
            ],
        ),
        (
            json!({"type": "object", "not": {"properties": {"b": {"pattern": "x"}}}}),
            vec![
                "schema.properties[b]: Required value: because it is defined in schema.not.properties[b]",
            ],
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            vec![
                "schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object", "$ref": "#/x"}}}),
            vec!["schema.properties[a].$ref: Forbidden: $ref is not supported"],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
            vec![],
        ),
    ];
    for (schema, expected) in table {
        let found = problems(schema.clone());
        if expected.is_empty() {
            assert!(
                found[0].starts_with("schema.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't:"),
                "{found:?}"
            );
            assert_eq!(found.len(), 1);
        } else {
            assert_eq!(found, expected, "{schema}");
        }
    }
}

#[test]
fn defaults_fill_what_is_missing() {
    let schema = Schema::custom_resource(
        &json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "default": {},
                    "properties": {
                        "size": {"type": "integer", "default": 3},
                        "mode": {"type": "string", "nullable": true, "default": "a"},
                        "parts": {"type": "array", "items": {
                            "type": "object", "properties": {"on": {"type": "boolean", "default": true}}
                        }},
                        "byName": {"type": "object", "additionalProperties": {
                            "type": "object", "properties": {"x": {"type": "string", "default": "y"}}
                        }}
                    }
                }
            }
        }),
        &set(),
    )
    .unwrap();
    let mut empty = json!({"kind": "X"});
    schema.default(&mut empty);
    assert_eq!(
        empty,
        json!({"kind": "X", "spec": {"size": 3, "mode": "a"}})
    );
    let mut full = json!({"spec": {
        "size": null, "mode": null, "parts": [{}, {"on": false}], "byName": {"k": {}}
    }});
    schema.default(&mut full);
    assert_eq!(
        full,
        json!({"spec": {
            "size": 3, "mode": null,
            "parts": [{"on": true}, {"on": false}],
            "byName": {"k": {"x": "y"}}
        }})
    );
}

fn pruning_schema() -> Schema {
    Schema::custom_resource(
        &json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "known": {"type": "string"},
                        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
                        "free": {
                            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                            "properties": {"strict": {"type": "object", "properties": {"a": {"type": "string"}}}}
                        },
                        "object": {
                            "type": "object", "x-kubernetes-embedded-resource": true,
                            "properties": {"spec": {"type": "object"}}
                        },
                        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}}
                    }
                }
            }
        }),
        &set(),
    )
    .unwrap()
}

#[test]
fn pruning_drops_and_names_unknown_fields() {
    let mut object = json!({
        "apiVersion": "x.io/v1", "kind": "X",
        "metadata": {"name": "x", "labels": {"a": "b"}, "colour": "red"},
        "spec": {
            "known": "k", "unknown": {"deep": 1},
            "list": [{"a": "1", "b": "2"}],
            "free": {"x": {"y": 1}, "strict": {"a": "1", "b": "2"}},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"z": 1}, "extra": 1},
            "map": {"k": {"a": "1", "b": "2"}}
        },
        "other": 1
    });
    let schema = pruning_schema();
    let expected = [
        "metadata.colour",
        "other",
        "spec.free.strict.b",
        "spec.list[0].b",
        "spec.map.k.b",
        "spec.object.extra",
        "spec.object.spec.z",
        "spec.unknown",
    ];
    let mut found = schema.unknown_fields(&object);
    found.sort();
    assert_eq!(found, expected);
    let mut dropped = schema.prune(&mut object);
    dropped.sort();
    assert_eq!(dropped, expected);
    assert_eq!(
        object,
        json!({
            "apiVersion": "x.io/v1", "kind": "X",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {
                "known": "k",
                "list": [{"a": "1"}],
                "free": {"x": {"y": 1}, "strict": {"a": "1"}},
                "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}},
                "map": {"k": {"a": "1"}}
            }
        })
    );
}

#[test]
fn built_in_kinds_resolve_references_and_topology() {
    let set = set();
    let service = set.for_kind("", "v1", "Service").unwrap();
    let ports = service
        .root()
        .property("spec")
        .unwrap()
        .property("ports")
        .unwrap();
    assert_eq!(ports.list_type(), Some(ListType::Map));
    assert_eq!(ports.map_keys(), ["port", "protocol"]);
    assert_eq!(ports.merge_key(), Some("port"));
    assert!(ports.has_patch_strategy("merge"));
    let protocol = ports.items().unwrap().property("protocol").unwrap();
    assert_eq!(protocol.default_value(), Some(&json!("TCP")));
    let selector = service
        .root()
        .property("spec")
        .unwrap()
        .property("selector")
        .unwrap();
    assert_eq!(selector.map_type(), Some(MapType::Atomic));
    assert_eq!(
        service.unknown_fields(&json!({
            "kind": "Service", "metadata": {"name": "s", "nam": "x"},
            "spec": {"ports": [{"port": 80, "prot": "TCP"}], "clusterIp": "x"}
        })),
        ["metadata.nam", "spec.clusterIp", "spec.ports[0].prot"]
    );
    assert!(set.for_kind("apps", "v1", "Service").is_none());
    // Raw content is nobody's business.
    let revision = set.for_kind("apps", "v1", "ControllerRevision").unwrap();
    assert_eq!(
        revision.unknown_fields(&json!({"data": {"any": {"thing": 1}}, "revision": 1})),
        Vec::<String>::new()
    );
}

#[test]
fn malformed_schemas_are_refused_with_their_place() {
    let table = [
        (json!([]), "openAPIV3Schema: expected an object"),
        (
            json!({"properties": {"a": {"type": "text"}}}),
            "openAPIV3Schema.properties[a]: unknown type \"text\"",
        ),
        (
            json!({"properties": {"a": {"$ref": "#/nowhere"}}}),
            "openAPIV3Schema.properties[a]: there is no definition \"#/nowhere\" to refer to",
        ),
    ];
    for (document, expected) in table {
        let error = Schema::parse(&document).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("reading the schema at {expected}")
        );
    }
    let mut deep = json!({"type": "string"});
    for _ in 0..500 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(
        Schema::parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("nested deeper than 128 levels")
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "spec", "known", "list", "free", "strict", "object", "map", "metadata", "a", "kind", "x",
    ]);
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..5).prop_map(|map| map
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pruning_leaves_nothing_unknown(value in any_json()) {
        let schema = pruning_schema();
        let found = schema.unknown_fields(&value);
        let mut pruned = value.clone();
        prop_assert_eq!(schema.prune(&mut pruned), found.clone());
        prop_assert_eq!(found.is_empty(), pruned == value);
        prop_assert_eq!(schema.unknown_fields(&pruned), Vec::<String>::new());
    }

    #[test]
    fn any_value_is_judged_without_panic(schema in any_json(), value in any_json()) {
        let _ = structural_problems(&schema, "schema");
        let judged = pruning_schema().validate(&value);
        prop_assert_eq!(judged.is_empty(), pruning_schema().validate(&value).is_empty());
        if let Ok(parsed) = Schema::parse(&schema) {
            let _ = parsed.validate(&value);
            let mut filled = value.clone();
            parsed.default(&mut filled);
            let again = { let mut again = filled.clone(); parsed.default(&mut again); again };
            prop_assert_eq!(again, filled);
        }
    }
}
