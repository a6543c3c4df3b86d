//! kustomize's own strategic merge.
//!
//! It differs from the API server's: patched and new items of a merged list
//! come first, and a list of several keys keeps its order; items match on the
//! keys both sides have; null removes; of the directives only `$patch`
//! (`delete`, `replace`, `merge`) is known. Called by [`crate::patch`].

use serde_json::{Map, Value};

use crate::error::Fault;
use crate::merge_keys::Place;
use crate::resource::scalar_text;

#[derive(PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

const DIRECTIVE: &str = "$patch";

/// Merges `patch` into `target`; nothing is left where the result is deleted.
///
/// A missing side is `None`, which is not the same as null.
pub fn merge(
    target: Option<Value>,
    patch: Option<Value>,
    place: Place<'_>,
    path: &str,
) -> Result<Option<Value>, Fault> {
    let shape = |value: &Option<Value>| value.as_ref().filter(|v| !v.is_null()).map(shape_of);
    match (shape(&target), shape(&patch)) {
        (Some(own), Some(other)) if own != other => Err(Fault::new(format!(
            "the patch has {other} at {path:?}, the object has {own}"
        ))),
        (Some("a list"), _) | (None, Some("a list")) => match place.merge_keys() {
            Some(keys) => merge_lists(target, patch, &keys, place, path),
            None => Ok(patch.or(target).filter(|value| !value.is_null())),
        },
        (Some("a scalar"), _) | (None, Some("a scalar")) => {
            Ok(patch.or(target).filter(|value| !value.is_null()))
        }
        _ => merge_maps(target, patch, place, path),
    }
}

fn shape_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a map",
        Value::Array(_) => "a list",
        _ => "a scalar",
    }
}

fn merge_maps(
    target: Option<Value>,
    patch: Option<Value>,
    place: Place<'_>,
    path: &str,
) -> Result<Option<Value>, Fault> {
    // Written as null and not patched: stays as it is.
    if patch.is_none() && target.as_ref().is_some_and(Value::is_null) {
        return Ok(target);
    }
    if target.is_some_and_object() && patch.as_ref().is_some_and(Value::is_null) {
        return Ok(None);
    }
    let mut patch = match patch {
        Some(Value::Object(map)) => Some(map),
        _ => None,
    };
    let directive = patch
        .as_mut()
        .map_or(Ok(Directive::Merge), take_directive)?;
    if directive == Directive::Delete {
        return Ok(None);
    }
    let target = match (target, directive) {
        (Some(Value::Object(map)), Directive::Merge) => map,
        // What the patch brings is merged with itself, so that directives and
        // nulls within it do what they would have done.
        _ => match &patch {
            Some(map) => map.clone(),
            None => return Ok(None),
        },
    };
    let mut names: Vec<String> = target.keys().cloned().collect();
    if let Some(patch) = &patch {
        names.extend(patch.keys().filter(|k| !target.contains_key(*k)).cloned());
    }
    names.sort();
    let mut target = target;
    let mut merged = Map::new();
    // Where the target is the patch's own copy, its directive is done too.
    if patch.is_some() {
        names.retain(|name| name != DIRECTIVE);
    }
    for name in names {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let value = merge(
            target.remove(&name),
            patch.as_mut().and_then(|patch| patch.remove(&name)),
            place.field(&name),
            &below,
        )?;
        if let Some(value) = value {
            merged.insert(name, value);
        }
    }
    Ok(Some(Value::Object(merged)))
}

trait IsSomeAndObject {
    fn is_some_and_object(&self) -> bool;
}

impl IsSomeAndObject for Option<Value> {
    fn is_some_and_object(&self) -> bool {
        self.as_ref().is_some_and(Value::is_object)
    }
}

fn directive_of(value: &Value) -> Result<Directive, Fault> {
    match value.as_str() {
        Some("delete") => Ok(Directive::Delete),
        Some("replace") => Ok(Directive::Replace),
        Some("merge") => Ok(Directive::Merge),
        _ => Err(Fault::new(format!("unknown patch strategy {value}"))),
    }
}

fn take_directive(patch: &mut Map<String, Value>) -> Result<Directive, Fault> {
    match patch.remove(DIRECTIVE) {
        Some(value) => directive_of(&value),
        None => Ok(Directive::Merge),
    }
}

/// A list's directive is an item of its own that holds nothing else.
fn take_list_directive(patch: &mut Vec<Value>) -> Result<Directive, Fault> {
    let at = patch.iter().position(|item| {
        item.as_object()
            .is_some_and(|map| map.len() == 1 && map.contains_key(DIRECTIVE))
    });
    match at {
        Some(at) => {
            let item = patch.remove(at);
            directive_of(item.get(DIRECTIVE).unwrap_or(&Value::Null))
        }
        None => Ok(Directive::Merge),
    }
}

fn merge_lists(
    target: Option<Value>,
    patch: Option<Value>,
    keys: &[String],
    place: Place<'_>,
    path: &str,
) -> Result<Option<Value>, Fault> {
    let mut patch = match patch {
        Some(Value::Array(items)) => Some(items),
        Some(_) => return Ok(None),
        None => None,
    };
    let directive = patch
        .as_mut()
        .map_or(Ok(Directive::Merge), take_list_directive)?;
    if directive == Directive::Delete {
        return Ok(None);
    }
    let target = match (target, directive) {
        (Some(Value::Array(items)), Directive::Merge) => items,
        _ => match &patch {
            Some(items) => items.clone(),
            None => return Ok(None),
        },
    };
    let mut target = target;
    if patch.is_some() {
        take_list_directive(&mut target)?;
    }
    let patch = patch.unwrap_or_default();
    let merged = if keys.iter().all(String::is_empty) {
        merge_scalars(target, patch)
    } else {
        merge_items(target, patch, keys, place, path)?
    };
    Ok(Some(Value::Array(merged)))
}

/// A list of scalars is a set; the patch's come first.
fn merge_scalars(target: Vec<Value>, patch: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for item in patch.into_iter().chain(target) {
        if !item.is_null() && !merged.contains(&item) {
            merged.push(item);
        }
    }
    merged
}

fn merge_items(
    mut target: Vec<Value>,
    patch: Vec<Value>,
    keys: &[String],
    place: Place<'_>,
    path: &str,
) -> Result<Vec<Value>, Fault> {
    // What identifies each item, the patch's first.
    let mut identities: Vec<Vec<String>> = Vec::new();
    for item in patch.iter().chain(&target) {
        let identity: Vec<String> = keys
            .iter()
            .map(|key| item.get(key).map(scalar_text).unwrap_or_default())
            .collect();
        if !identities.contains(&identity) {
            identities.push(identity);
        }
    }
    if keys.len() > 1 {
        complete(&mut identities);
    }
    let in_use: Vec<usize> = (0..keys.len())
        .filter(|at| {
            identities
                .iter()
                .any(|identity| identity.get(*at).is_some_and(|text| !text.is_empty()))
        })
        .collect();
    let in_use: Vec<usize> = if in_use.is_empty() {
        (0..keys.len()).collect()
    } else {
        in_use
    };
    let used_keys: Vec<&str> = in_use
        .iter()
        .filter_map(|at| keys.get(*at).map(String::as_str))
        .collect();

    let mut merged: Vec<Value> = Vec::new();
    for identity in &identities {
        let values: Vec<&str> = in_use
            .iter()
            .filter_map(|at| identity.get(*at).map(String::as_str))
            .collect();
        let own = find(&target, &used_keys, &values);
        let other = find(&patch, &used_keys, &values).and_then(|at| patch.get(at).cloned());
        let result = merge(
            own.and_then(|at| target.get(at).cloned()),
            other,
            place.items(),
            path,
        )?;
        let Some(Value::Object(mut item)) = result.filter(|v| !is_empty_map(v)) else {
            target.retain(|item| !has(item, &used_keys, &values));
            continue;
        };
        for (key, value) in used_keys.iter().zip(&values) {
            if !item.contains_key(*key) && !value.is_empty() {
                item.insert((*key).to_owned(), Value::String((*value).to_owned()));
            }
        }
        let item = Value::Object(item);
        if let Some(own) = own.and_then(|at| target.get_mut(at)) {
            *own = item.clone();
        }
        put(&mut merged, item, &used_keys, &values);
    }
    // Then what the object had, each in its merged form. With one key that
    // finds the items that are there; with several they move behind the new.
    for item in target {
        if !item.is_object() || is_empty_map(&item) {
            continue;
        }
        let mut values: Vec<String> = Vec::new();
        for key in &used_keys {
            match item.get(*key).filter(|value| !value.is_null()) {
                Some(value) => values.push(scalar_text(value)),
                None => merged.push(item.clone()),
            }
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if used_keys.len() > 1 {
            merged.retain(|other| !has(other, &used_keys, &values));
        }
        put(&mut merged, item, &used_keys, &values);
    }
    Ok(merged)
}

/// Identities that agree where both are complete become one.
fn complete(identities: &mut [Vec<String>]) {
    for a in 0..identities.len() {
        for b in 0..identities.len() {
            let (Some(one), Some(two)) = (identities.get(a), identities.get(b)) else {
                continue;
            };
            let Some(both) = union(one, two) else {
                continue;
            };
            if let Some(slot) = identities.get_mut(a) {
                slot.clone_from(&both);
            }
            if let Some(slot) = identities.get_mut(b) {
                *slot = both;
            }
        }
    }
}

fn union(one: &[String], two: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut both = Vec::with_capacity(one.len());
    for (a, b) in one.iter().zip(two) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        both.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    common.then_some(both)
}

/// The first item with these values; a key without a value does not count.
fn find(items: &[Value], keys: &[&str], values: &[&str]) -> Option<usize> {
    let counts = values.iter().any(|value| !value.is_empty());
    items.iter().position(|item| {
        item.is_object()
            && keys.iter().zip(values).all(|(key, value)| {
                (counts && value.is_empty())
                    || item.get(*key).map(scalar_text).as_deref() == Some(*value)
            })
    })
}

/// True where the item has every key, with the value where one is wanted.
fn has(item: &Value, keys: &[&str], values: &[&str]) -> bool {
    let mut found = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            found = item
                .get(*key)
                .is_some_and(|field| value.is_empty() || scalar_text(field) == *value);
        }
        if !found {
            return false;
        }
    }
    found
}

/// Puts the item in the place of its like, or at the end.
fn put(items: &mut Vec<Value>, item: Value, keys: &[&str], values: &[&str]) {
    let mut found = false;
    for slot in items.iter_mut() {
        if has(slot, keys, values) {
            *slot = item.clone();
            found = true;
        }
    }
    if !found {
        items.push(item);
    }
}

fn is_empty_map(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}
