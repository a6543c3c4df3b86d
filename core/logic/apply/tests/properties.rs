//! Laws of server-side apply on random objects, with and without a schema.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalyst_apply::{FieldSet, Operation, apply, managers};
use catalyst_schema::Schema;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn schema() -> Schema {
    Schema::parse(&json!({
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {
                "name": {"type": "string"},
                "managedFields": {"type": "array", "items": {"type": "object"}}
            }},
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic",
                          "additionalProperties": {"type": "string"}},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "parts": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"},
                        "size": {"type": "integer"},
                        "args": {"type": "array", "items": {"type": "string"}}
                    }}}
            }}
        }
    }))
    .unwrap()
}

fn strings(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(keys), "[xy]", 1..=keys.len()).prop_map(
        |map| {
            map.into_iter()
                .map(|(k, v)| (k.to_owned(), Value::from(v)))
                .collect::<Map<_, _>>()
                .into()
        },
    )
}

fn part(name: &'static str) -> impl Strategy<Value = Value> {
    (
        prop::option::of(0..3_i64),
        prop::option::of(prop::collection::vec("[ab]", 1..3)),
    )
        .prop_map(move |(size, args)| {
            let mut map = Map::new();
            map.insert("name".into(), name.into());
            if let Some(size) = size {
                map.insert("size".into(), size.into());
            }
            if let Some(args) = args {
                map.insert("args".into(), args.into());
            }
            map.into()
        })
}

fn parts(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::subsequence(names, 1..=names.len())
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(part).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn tags(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::subsequence(names, 1..=names.len())
        .prop_shuffle()
        .prop_map(Value::from)
}

fn object(fields: Vec<(&str, Option<Value>)>) -> Value {
    let spec: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec})
}

/// A configuration over keys that any manager may use.
fn any_config() -> impl Strategy<Value = Value> {
    (
        prop::option::of(0..3_i64),
        prop::option::of(strings(&["a", "b", "c"])),
        prop::option::of(strings(&["a", "b"])),
        prop::option::of(tags(&["p", "q", "r"])),
        prop::option::of(parts(&["k", "l", "m"])),
    )
        .prop_map(|(size, labels, whole, tags, parts)| {
            object(vec![
                ("size", size.map(Value::from)),
                ("labels", labels),
                ("whole", whole),
                ("tags", tags),
                ("parts", parts),
            ])
        })
}

/// Configurations that share no leaf: each manager has its own keys.
fn disjoint_configs() -> impl Strategy<Value = (Value, Value)> {
    let left = (
        prop::option::of(0..3_i64),
        prop::option::of(strings(&["a", "b"])),
        prop::option::of(tags(&["p", "q"])),
        prop::option::of(parts(&["k", "l"])),
    );
    let right = (
        prop::option::of(strings(&["a", "b"])),
        prop::option::of(strings(&["c", "d"])),
        prop::option::of(tags(&["r", "s"])),
        prop::option::of(parts(&["m", "n"])),
    );
    (left, right).prop_map(|(l, r)| {
        (
            object(vec![
                ("size", l.0.map(Value::from)),
                ("labels", l.1),
                ("tags", l.2),
                ("parts", l.3),
            ]),
            object(vec![
                ("whole", r.0),
                ("labels", r.1),
                ("tags", r.2),
                ("parts", r.3),
            ]),
        )
    })
}

fn run(
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    force: bool,
    schema: Option<&Schema>,
) -> Option<Value> {
    let operation = Operation {
        manager,
        api_version: "x.io/v1",
        subresource: "",
        time: "2026-01-01T00:00:00Z",
        ignored: None,
    };
    apply(live, config, &operation, force, schema).ok()
}

/// The value with associative lists sorted, because their order between
/// managers is free, and without times, because an apply that finds everything
/// in place gets none.
fn sorted(mut object: Value) -> Value {
    if let Some(Value::Array(entries)) = object.pointer_mut("/metadata/managedFields") {
        for entry in entries.iter_mut() {
            entry.as_object_mut().unwrap().remove("time");
        }
        entries.sort_by_key(|entry| entry["manager"].to_string());
    }
    for list in ["/spec/tags", "/spec/parts"] {
        if let Some(Value::Array(items)) = object.pointer_mut(list) {
            items.sort_by_key(ToString::to_string);
        }
    }
    object
}

fn all_owned(object: &Value) -> FieldSet {
    managers(object)
        .unwrap()
        .iter()
        .fold(FieldSet::new(), |all, entry| all.union(&entry.fields))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(first in any_config(), second in any_config(), typed in any::<bool>()) {
        let schema = schema();
        let schema = typed.then_some(&schema);
        let live = run(None, &first, "one", true, schema).unwrap();
        let once = run(Some(&live), &second, "two", true, schema).unwrap();
        let twice = run(Some(&once), &second, "two", true, schema).unwrap();
        prop_assert_eq!(&twice, &once);
        let unforced = run(Some(&once), &second, "two", false, schema).unwrap();
        prop_assert_eq!(&unforced, &once);
    }

    #[test]
    fn disjoint_managers_commute((left, right) in disjoint_configs()) {
        let schema = schema();
        let schema = Some(&schema);
        let ab = run(Some(&run(None, &left, "a", false, schema).unwrap()), &right, "b", false, schema);
        let ba = run(Some(&run(None, &right, "b", false, schema).unwrap()), &left, "a", false, schema);
        prop_assert_eq!(ab.map(sorted), ba.map(sorted));
    }

    #[test]
    fn what_is_applied_is_there_and_owned(first in any_config(), second in any_config(), typed in any::<bool>()) {
        let schema = schema();
        let schema = typed.then_some(&schema);
        let live = run(None, &first, "one", true, schema).unwrap();
        let after = run(Some(&live), &second, "two", true, schema).unwrap();
        // Applying it to nothing says which fields it owns.
        let alone = run(None, &second, "two", true, schema).unwrap();
        let wanted = managers(&alone).unwrap();
        let own = managers(&after).unwrap().into_iter().find(|entry| entry.manager == "two");
        prop_assert_eq!(own.map(|entry| entry.fields), wanted.first().map(|entry| entry.fields.clone()));
        for (name, value) in second["spec"].as_object().unwrap() {
            if !value.is_array() && !value.is_object() {
                prop_assert_eq!(&after["spec"][name], value);
            }
        }
    }

    #[test]
    fn ownership_is_never_lost(configs in prop::collection::vec((any_config(), 0..3_usize, any::<bool>()), 1..6)) {
        let schema = schema();
        let names = ["one", "two", "three"];
        let mut live: Option<Value> = None;
        for (config, who, force) in configs {
            let Some(after) = run(live.as_ref(), &config, names[who], force, Some(&schema)) else {
                continue;
            };
            if let Some(before) = &live {
                // What others own stays owned, unless it was forced away, and
                // then the one who forced owns it.
                let owned = all_owned(&after);
                for entry in managers(before).unwrap() {
                    if entry.manager == names[who] {
                        continue;
                    }
                    if force {
                        // An atomic value or entry that the applier changed is the applier's.
                        let lost = entry.fields.difference(&owned);
                        prop_assert!(lost.is_empty(), "lost {:?}", lost.paths());
                    } else {
                        let still = managers(&after).unwrap().into_iter()
                            .find(|one| one.manager == entry.manager).map(|one| one.fields);
                        prop_assert_eq!(still, Some(entry.fields));
                    }
                }
            }
            // Everything stored has an owner: it all came by apply.
            let bare = run(None, &without_managed(&after), "all", true, Some(&schema)).unwrap();
            let stored = all_owned(&bare);
            let unowned = stored.difference(&all_owned(&after));
            prop_assert!(unowned.is_empty(), "unowned {:?}", unowned.paths());
            live = Some(after);
        }
    }

    #[test]
    fn field_sets_survive_their_document(config in any_config(), typed in any::<bool>()) {
        let schema = schema();
        let applied = run(None, &config, "one", true, typed.then_some(&schema)).unwrap();
        for entry in managers(&applied).unwrap() {
            let again = FieldSet::from_fields_v1(&entry.fields.to_fields_v1()).unwrap();
            prop_assert_eq!(again, entry.fields);
        }
    }

    #[test]
    fn set_algebra_holds(a in any_config(), b in any_config()) {
        let schema = schema();
        let fields = |config: &Value| all_owned(&run(None, config, "m", true, Some(&schema)).unwrap());
        let (a, b) = (fields(&a), fields(&b));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.union(&b).paths().len() + a.intersection(&b).paths().len(), a.paths().len() + b.paths().len());
    }
}

fn without_managed(object: &Value) -> Value {
    let mut out = object.clone();
    out["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    out
}
