//! Why a schema may not serve a custom resource: it must be structural.
//!
//! Called when a CustomResourceDefinition is created or changed. Works on the
//! document as written, because what is forbidden inside `allOf`, `anyOf`,
//! `oneOf` and `not` (types, descriptions, defaults) is of no use afterwards.

use serde_json::{Map, Value};

use crate::field::{FieldError, Path};
use crate::node::{JsonType, compile_pattern};

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The reasons why a schema is not structural, sorted; empty when it is.
/// `base` is the path of the schema in its object, such as
/// `spec.validation.openAPIV3Schema`.
pub fn structural_problems(document: &Value, base: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = Path::root(base);
    match document.as_object() {
        Some(map) => {
            structure(map, Level::Root, &path, &mut errors);
            complete(map, Some(map), &path, &mut errors);
        }
        None => errors.push(FieldError::required(base, "schemas are required")),
    }
    errors.sort_by_key(ToString::to_string);
    errors.dedup();
    errors
}

fn flag(map: &Map<String, Value>, word: &str) -> bool {
    map.get(word).and_then(Value::as_bool).unwrap_or(false)
}

fn type_of(map: &Map<String, Value>) -> &str {
    map.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn object<'a>(map: &'a Map<String, Value>, word: &str) -> Option<&'a Map<String, Value>> {
    map.get(word).and_then(Value::as_object)
}

fn schemas<'a>(map: &'a Map<String, Value>, word: &str) -> Vec<&'a Map<String, Value>> {
    map.get(word)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

fn structure(
    map: &Map<String, Value>,
    level: Level,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let kind = type_of(map);
    let embedded = flag(map, "x-kubernetes-embedded-resource");
    let preserve = flag(map, "x-kubernetes-preserve-unknown-fields");
    let int_or_string = flag(map, "x-kubernetes-int-or-string");
    let type_path = path.field("type");

    unsupported(map, path, errors);
    if !kind.is_empty() && JsonType::parse(kind).is_none() {
        errors.push(FieldError::not_supported(
            type_path.render(),
            kind.into(),
            &["array", "boolean", "integer", "number", "object", "string"],
        ));
    }
    match map.get("items") {
        Some(Value::Object(items)) => structure(items, Level::Item, &path.field("items"), errors),
        Some(Value::Array(_)) => errors.push(FieldError::forbidden(
            path.field("items").render(),
            "items must be a schema object and not an array",
        )),
        _ if kind == "array" => errors.push(FieldError::required(
            path.field("items").render(),
            "must be specified",
        )),
        _ => {}
    }
    for (name, property) in object(map, "properties").into_iter().flatten() {
        if let Some(property) = property.as_object() {
            structure(
                property,
                Level::Field,
                &path.field("properties").key(name),
                errors,
            );
        }
    }
    let additional_path = path.field("additionalProperties");
    match map.get("additionalProperties") {
        None | Some(Value::Null) => {}
        Some(additional) => {
            if level == Level::Root {
                errors.push(FieldError::forbidden(
                    additional_path.render(),
                    "must not be used at the root",
                ));
            }
            if embedded {
                errors.push(FieldError::forbidden(
                    additional_path.render(),
                    "must not be used if x-kubernetes-embedded-resource is set",
                ));
            }
            match additional {
                Value::Object(schema) => structure(schema, Level::Field, &additional_path, errors),
                Value::Bool(false) => errors.push(FieldError::forbidden(
                    additional_path.render(),
                    "additionalProperties cannot be set to false",
                )),
                _ => {}
            }
            if object(map, "properties").is_some_and(|properties| !properties.is_empty()) {
                errors.push(FieldError::forbidden(
                    additional_path.render(),
                    "additionalProperties and properties are mutual exclusive",
                ));
            }
        }
    }
    if int_or_string {
        for word in [
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
        ] {
            if flag(map, word) {
                errors.push(FieldError::invalid(
                    path.field(word).render(),
                    true.into(),
                    "must be false if x-kubernetes-int-or-string is true",
                ));
            }
        }
        if !kind.is_empty() {
            errors.push(FieldError::invalid(
                type_path.render(),
                kind.into(),
                "must be empty if x-kubernetes-int-or-string is true",
            ));
        }
    }
    if embedded && kind != "object" {
        let words = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            FieldError::required(type_path.render(), words)
        } else {
            FieldError::invalid(type_path.render(), kind.into(), words)
        });
    } else if kind.is_empty() && !int_or_string && !preserve {
        let words = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(type_path.render(), words));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(
            type_path.render(),
            kind.into(),
            "must be object at the root",
        ));
    }
    if embedded && !preserve && object(map, "properties").is_none_or(Map::is_empty) {
        errors.push(FieldError::required(
            path.field("properties").render(),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
    if level == Level::Root || embedded {
        metadata(map, level, path, errors);
    }
    list_type(map, kind, path, errors);
    rules(map, int_or_string, path, errors);
}

/// Words of JSON schema that Kubernetes does not take.
fn unsupported(map: &Map<String, Value>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    for (word, what) in [
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("additionalItems", "additionalItems is not supported"),
        ("id", "id is not supported"),
        ("$ref", "$ref is not supported"),
    ] {
        if map.contains_key(word) {
            errors.push(FieldError::forbidden(path.field(word).render(), what));
        }
    }
    if flag(map, "uniqueItems") {
        errors.push(FieldError::forbidden(
            path.field("uniqueItems").render(),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
}

/// At the root, and in embedded resources, the three fields every object has
/// keep their types; at the root only names may be restricted.
fn metadata(map: &Map<String, Value>, level: Level, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let Some(properties) = object(map, "properties") else {
        return;
    };
    let below = path.field("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(property) = object(properties, name)
            && type_of(property) != "string"
        {
            errors.push(FieldError::invalid(
                below.key(name).field("type").render(),
                type_of(property).into(),
                "must be string",
            ));
        }
    }
    let Some(meta) = object(properties, "metadata") else {
        return;
    };
    let meta_path = below.key("metadata");
    if type_of(meta) != "object" {
        errors.push(FieldError::invalid(
            meta_path.field("type").render(),
            type_of(meta).into(),
            "must be object",
        ));
    }
    if level == Level::Root {
        let only_names = object(meta, "properties").is_none_or(|properties| {
            properties
                .keys()
                .all(|name| name == "name" || name == "generateName")
        });
        let nothing_else = meta
            .keys()
            .all(|word| matches!(word.as_str(), "type" | "properties" | "default"));
        if !only_names || !nothing_else {
            errors.push(FieldError::forbidden(
                meta_path.render(),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            ));
        }
    }
}

fn list_type(map: &Map<String, Value>, kind: &str, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    let list_type = map.get("x-kubernetes-list-type").and_then(Value::as_str);
    let keys: Vec<&str> = map
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let type_path = path.field("x-kubernetes-list-type");
    let keys_path = path.field("x-kubernetes-list-map-keys");
    if list_type.is_some() && kind != "array" {
        let words = "must be array if x-kubernetes-list-type is specified";
        let at = path.field("type").render();
        errors.push(if kind.is_empty() {
            FieldError::required(at, words)
        } else {
            FieldError::invalid(at, kind.into(), words)
        });
    }
    match list_type {
        Some(other) if !matches!(other, "atomic" | "set" | "map") => {
            errors.push(FieldError::not_supported(
                type_path.render(),
                other.into(),
                &["atomic", "map", "set"],
            ));
        }
        Some("map") if keys.is_empty() => errors.push(FieldError::required(
            keys_path.render(),
            "must not be empty if x-kubernetes-list-type is map",
        )),
        _ => {}
    }
    if !keys.is_empty() && list_type != Some("map") {
        let words = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match list_type {
            None => FieldError::required(type_path.render(), words),
            Some(other) => FieldError::invalid(type_path.render(), other.into(), words),
        });
    }
    if let Some(other) = map.get("x-kubernetes-map-type").and_then(Value::as_str)
        && !matches!(other, "atomic" | "granular")
    {
        errors.push(FieldError::not_supported(
            path.field("x-kubernetes-map-type").render(),
            other.into(),
            &["atomic", "granular"],
        ));
    }
    let items = object(map, "items");
    let item_properties = items.and_then(|items| object(items, "properties"));
    if list_type == Some("map") {
        let item_kind = items.map(type_of).unwrap_or_default();
        if items.is_some() && item_kind != "object" {
            errors.push(FieldError::invalid(
                path.field("items").field("type").render(),
                item_kind.into(),
                "must be object if parent array's x-kubernetes-list-type is map",
            ));
        }
        let required: Vec<&str> = items
            .and_then(|items| items.get("required"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (index, key) in keys.iter().enumerate() {
            match item_properties.and_then(|properties| object(properties, key)) {
                None => errors.push(FieldError::invalid(
                    keys_path.index(index).render(),
                    (*key).into(),
                    "entries must all be names of item properties",
                )),
                Some(property) => {
                    let has_default = property
                        .get("default")
                        .is_some_and(|value| !value.is_null());
                    if !has_default && !required.contains(key) {
                        errors.push(FieldError::required(
                            path.field("items")
                                .field("properties")
                                .key(key)
                                .field("default")
                                .render(),
                            "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                        ));
                    }
                }
            }
        }
    }
}

fn is_int_or_string_choice(map: &Map<String, Value>) -> bool {
    let choice = schemas(map, "anyOf");
    let types: Vec<&str> = choice.iter().map(|one| type_of(one)).collect();
    types == ["integer", "string"] && choice.iter().all(|one| one.len() == 1)
}

fn rules(
    map: &Map<String, Value>,
    int_or_string: bool,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    if !(int_or_string && is_int_or_string_choice(map)) {
        for (index, nested) in schemas(map, "anyOf").into_iter().enumerate() {
            junctor(nested, false, &path.field("anyOf").index(index), errors);
        }
    }
    for (index, nested) in schemas(map, "allOf").into_iter().enumerate() {
        let choice = int_or_string && index == 0 && is_int_or_string_choice(nested);
        junctor(nested, choice, &path.field("allOf").index(index), errors);
    }
    for (index, nested) in schemas(map, "oneOf").into_iter().enumerate() {
        junctor(nested, false, &path.field("oneOf").index(index), errors);
    }
    if let Some(nested) = object(map, "not") {
        junctor(nested, false, &path.field("not"), errors);
    }
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
        && let Err(error) = compile_pattern(pattern)
    {
        errors.push(FieldError::invalid(
            path.field("pattern").render(),
            pattern.into(),
            format!("must be a valid regular expression, but isn't: {error}"),
        ));
    }
}

/// Inside a junctor only rules on values are allowed.
fn junctor(
    map: &Map<String, Value>,
    skip_any_of: bool,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    const FORBIDDEN: [(&str, &str); 12] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        (
            "x-kubernetes-preserve-unknown-fields",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-embedded-resource",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-int-or-string",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-list-map-keys",
            "must be empty to be structural",
        ),
        (
            "x-kubernetes-list-type",
            "must be undefined to be structural",
        ),
        (
            "x-kubernetes-map-type",
            "must be undefined to be structural",
        ),
    ];
    for (word, words) in FORBIDDEN {
        let said = match map.get(word) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if said {
            errors.push(FieldError::forbidden(path.field(word).render(), words));
        }
    }
    if map
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
    {
        errors.push(FieldError::forbidden(
            path.field("x-kubernetes-validations").render(),
            "must be empty to be structural",
        ));
    }
    unsupported(map, path, errors);
    if let Some(items) = object(map, "items") {
        junctor(items, false, &path.field("items"), errors);
    }
    for (name, property) in object(map, "properties").into_iter().flatten() {
        let below = path.field("properties");
        if name == "metadata" {
            errors.push(FieldError::forbidden(
                below.key(name).render(),
                "must not be specified in a nested context",
            ));
        }
        if let Some(property) = property.as_object() {
            junctor(property, false, &below.key(name), errors);
        }
    }
    let mut rest = map.clone();
    if skip_any_of {
        rest.remove("anyOf");
    }
    rules(&rest, false, path, errors);
}

/// Every property and item a junctor speaks of must exist in the structure.
/// `structure` is none where the structure allows anything below.
fn complete(
    map: &Map<String, Value>,
    structure: Option<&Map<String, Value>>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    for word in ["allOf", "anyOf", "oneOf"] {
        for (index, nested) in schemas(map, word).into_iter().enumerate() {
            covered(
                nested,
                structure,
                path,
                &path.field(word).index(index),
                errors,
            );
        }
    }
    if let Some(nested) = object(map, "not") {
        covered(nested, structure, path, &path.field("not"), errors);
    }
    for (name, property) in object(map, "properties").into_iter().flatten() {
        if let Some(property) = property.as_object() {
            complete(
                property,
                Some(property),
                &path.field("properties").key(name),
                errors,
            );
        }
    }
    for word in ["items", "additionalProperties"] {
        if let Some(schema) = object(map, word) {
            complete(schema, Some(schema), &path.field(word), errors);
        }
    }
}

fn covered(
    nested: &Map<String, Value>,
    structure: Option<&Map<String, Value>>,
    structure_path: &Path<'_>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let because = |path: &Path<'_>| format!("because it is defined in {}", path.render());
    if let Some(items) = object(nested, "items") {
        let at = path.field("items");
        let below = structure_path.field("items");
        let schema = structure.and_then(|structure| object(structure, "items"));
        match schema {
            Some(schema) => covered(items, Some(schema), &below, &at, errors),
            None => errors.push(FieldError::required(below.render(), because(&at))),
        }
    }
    for (name, property) in object(nested, "properties").into_iter().flatten() {
        let Some(property) = property.as_object() else {
            continue;
        };
        let properties = path.field("properties");
        let at = properties.key(name);
        let structure_properties = structure_path.field("properties");
        let below = structure_properties.key(name);
        let schema = structure
            .and_then(|structure| object(structure, "properties"))
            .and_then(|properties| object(properties, name));
        match schema {
            Some(schema) => covered(property, Some(schema), &below, &at, errors),
            None => errors.push(FieldError::required(below.render(), because(&at))),
        }
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        for (index, deeper) in schemas(nested, word).into_iter().enumerate() {
            let junctors = path.field(word);
            covered(
                deeper,
                structure,
                structure_path,
                &junctors.index(index),
                errors,
            );
        }
    }
    if let Some(deeper) = object(nested, "not") {
        covered(
            deeper,
            structure,
            structure_path,
            &path.field("not"),
            errors,
        );
    }
}
