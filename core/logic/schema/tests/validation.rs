//! What the validator says, line by line, in Kubernetes' words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalyst_schema::{FieldErrorKind, Schema};
use serde_json::{Value, json};

fn check(schema: Value, value: Value, expected: &[&str]) {
    let document = json!({"type": "object", "properties": {"spec": schema}});
    let lines: Vec<String> = Schema::parse(&document)
        .unwrap()
        .validate(&json!({"spec": value}))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn types() {
    check(
        json!({"type": "object", "properties": {"replicas": {"type": "integer", "format": "int32"}}}),
        json!({"replicas": "three"}),
        &[
            r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
        ],
    );
    check(json!({"type": "integer"}), json!(3.0), &[]);
    check(json!({"type": "number"}), json!(3), &[]);
    check(
        json!({"type": "integer"}),
        json!(3.5),
        &[r#"spec: Invalid value: "number": spec in body must be of type integer: "number""#],
    );
    check(
        json!({"type": "array", "items": {"type": "string"}}),
        json!(["a", true]),
        &[
            r#"spec[1]: Invalid value: "boolean": spec[1] in body must be of type string: "boolean""#,
        ],
    );
    check(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"a": [], "b": "x"}),
        &[r#"spec.a: Invalid value: "array": spec.a in body must be of type string: "array""#],
    );
}

#[test]
fn null_needs_nullable() {
    check(
        json!({"type": "string"}),
        json!(null),
        &[r#"spec: Invalid value: "null": spec in body must be of type string: "null""#],
    );
    check(
        json!({"type": "string", "nullable": true}),
        json!(null),
        &[],
    );
    check(
        json!({"type": "string", "nullable": true, "enum": ["a"]}),
        json!(null),
        &[],
    );
}

#[test]
fn int_or_string() {
    let schema = json!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}]
    });
    check(schema.clone(), json!(1), &[]);
    check(schema.clone(), json!("1%"), &[]);
    check(
        json!({"x-kubernetes-int-or-string": true}),
        json!(true),
        &[
            r#"spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean""#,
        ],
    );
}

#[test]
fn required_enum_pattern_and_lengths() {
    check(
        json!({
            "type": "object",
            "required": ["name", "mode"],
            "properties": {
                "mode": {"type": "string", "enum": ["a", "b"]},
                "id": {"type": "string", "pattern": r"^\d+$"},
                "long": {"type": "string", "maxLength": 3},
                "short": {"type": "string", "minLength": 2}
            }
        }),
        json!({"mode": "c", "id": "x1", "long": "äöüß", "short": "a"}),
        &[
            r#"spec.id: Invalid value: "x1": spec.id in body should match '^\d+$'"#,
            "spec.long: Too long: may not be more than 3 bytes",
            r#"spec.mode: Unsupported value: "c": supported values: "a", "b""#,
            r#"spec.short: Invalid value: "a": spec.short in body should be at least 2 chars long"#,
            "spec.name: Required value",
        ],
    );
}

#[test]
fn numbers() {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 2});
    check(schema.clone(), json!(4), &[]);
    check(
        schema.clone(),
        json!(11),
        &[
            "spec: Invalid value: 11: spec in body should be a multiple of 2",
            "spec: Invalid value: 11: spec in body should be less than or equal to 10",
        ],
    );
    check(
        json!({"type": "number", "minimum": 0, "exclusiveMinimum": true}),
        json!(0),
        &["spec: Invalid value: 0: spec in body should be greater than 0"],
    );
}

#[test]
fn sizes() {
    check(
        json!({"type": "array", "maxItems": 1, "items": {"type": "integer"}}),
        json!([1, 2]),
        &["spec: Too many: 2: must have at most 1 item"],
    );
    check(
        json!({"type": "array", "minItems": 1, "items": {"type": "integer"}}),
        json!([]),
        &["spec: Invalid value: 0: spec in body should have at least 1 items"],
    );
    check(
        json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}}),
        json!({"a": 1, "b": 2}),
        &["spec: Too many: 2: must have at most 1 item"],
    );
}

#[test]
fn formats() {
    check(
        json!({"type": "string", "format": "date-time"}),
        json!("soon"),
        &[r#"spec: Invalid value: "soon": spec in body must be of type date-time: "soon""#],
    );
    check(
        json!({"type": "string", "format": "date-time"}),
        json!(5),
        &[r#"spec: Invalid value: "int64": spec in body must be of type date-time: "int64""#],
    );
    check(
        json!({"type": "string", "format": "made-up"}),
        json!("anything"),
        &[],
    );
}

#[test]
fn junctors() {
    let one_of = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]
    });
    check(one_of.clone(), json!({"a": "1"}), &[]);
    check(
        one_of.clone(),
        json!({}),
        &[
            r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#,
            "spec.a: Required value",
        ],
    );
    check(
        one_of,
        json!({"a": "1", "b": "2"}),
        &[
            r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
        ],
    );
    check(
        json!({"type": "integer", "not": {"enum": [3]}}),
        json!(3),
        &[r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#],
    );
    check(
        json!({"type": "integer", "allOf": [{"minimum": 2}, {"maximum": 5}]}),
        json!(1),
        &[
            "spec: Invalid value: 1: spec in body should be greater than or equal to 2",
            r#"<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)"#,
        ],
    );
}

#[test]
fn list_types() {
    check(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
        json!(["a", "b", "a", "a"]),
        &[r#"spec[2]: Duplicate value: "a""#],
    );
    check(
        json!({
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string"}
            }}
        }),
        json!([{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}]),
        &[r#"spec[2]: Duplicate value: {"port":80,"protocol":"TCP"}"#],
    );
}

#[test]
fn errors_carry_what_a_status_cause_needs() {
    let schema = Schema::parse(&json!({"type": "object", "required": ["spec"]})).unwrap();
    let errors = schema.validate(&json!({}));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].path, "spec");
    assert_eq!(errors[0].kind, FieldErrorKind::Required);
    assert_eq!(errors[0].kind.reason(), "FieldValueRequired");
    assert_eq!(errors[0].body(), "Required value");
}
