//! Which subcharts take part, and which values each chart sees.
//!
//! Called by the renderer. Follows Helm: the user's values win over the
//! parent's, those over the subchart's own; null removes a default; `global`
//! reaches every chart.

use serde_json::{Map, Value};

use crate::chart::Chart;
use crate::functions::semver::{Version, satisfies};

type Table = Map<String, Value>;

/// Applies aliases, conditions and tags all the way down, and merges imported
/// values into the parents' defaults.
pub fn enable(chart: &mut Chart, values: &Table, path: &str) {
    if let Some(Value::Array(wanted)) = chart.metadata.get("dependencies").cloned() {
        let matches = |sub: &Chart, wanted: &Value| {
            let range = wanted.get("version").and_then(Value::as_str).unwrap_or("*");
            wanted.get("name").and_then(Value::as_str) == Some(sub.name.as_str())
                && Version::parse(sub.version())
                    .is_none_or(|version| satisfies(range, &version).unwrap_or(true))
        };
        let present = std::mem::take(&mut chart.subcharts);
        // Not named in Chart.yaml: always on.
        chart.subcharts = present
            .iter()
            .filter(|sub| !wanted.iter().any(|w| matches(sub, w)))
            .cloned()
            .collect();
        let merged = coalesced(chart, values);
        for dependency in &wanted {
            let Some(found) = present.iter().find(|sub| matches(sub, dependency)) else {
                continue;
            };
            if !is_enabled(dependency, values, &merged, path) {
                continue;
            }
            let mut sub = found.clone();
            if let Some(alias) = dependency.get("alias").and_then(Value::as_str)
                && !alias.is_empty()
            {
                alias.clone_into(&mut sub.name);
                sub.metadata.insert("name".to_owned(), alias.into());
            }
            chart.subcharts.push(sub);
        }
    }
    let merged = coalesced(chart, values);
    for sub in &mut chart.subcharts {
        let below = format!("{path}{}.", sub.name);
        let inner = table(&merged, &sub.name).cloned().unwrap_or_default();
        enable(sub, &inner, &below);
    }
    import(chart);
}

fn is_enabled(dependency: &Value, values: &Table, merged: &Table, _path: &str) -> bool {
    let mut enabled = true;
    let mut any_true = false;
    let mut any_false = false;
    if let (Some(Value::Array(tags)), Some(set)) = (
        dependency.get("tags"),
        table(merged, "tags").or(table(values, "tags")),
    ) {
        for tag in tags.iter().filter_map(Value::as_str) {
            match set.get(tag) {
                Some(Value::Bool(true)) => any_true = true,
                Some(Value::Bool(false)) => any_false = true,
                _ => {}
            }
        }
    }
    if any_false && !any_true {
        enabled = false;
    }
    let condition = dependency
        .get("condition")
        .and_then(Value::as_str)
        .unwrap_or_default();
    for one in condition.trim().split(',') {
        let mut place = Some(merged);
        let mut parts = one.trim().split('.').peekable();
        let mut found = None;
        while let (Some(part), Some(map)) = (parts.next(), place) {
            if parts.peek().is_none() {
                found = map.get(part).and_then(Value::as_bool);
            }
            place = map.get(part).and_then(Value::as_object);
        }
        if let Some(flag) = found {
            return flag;
        }
    }
    enabled
}

/// `import-values`: a child's values as the parent's defaults.
fn import(chart: &mut Chart) {
    let Some(Value::Array(wanted)) = chart.metadata.get("dependencies").cloned() else {
        return;
    };
    let merged = coalesced(chart, &Map::new());
    let mut imported = Map::new();
    for dependency in &wanted {
        let name = ["alias", "name"]
            .iter()
            .filter_map(|key| dependency.get(*key)?.as_str())
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let Some(Value::Array(list)) = dependency.get("import-values") else {
            continue;
        };
        for item in list {
            let (child, parent) = match item {
                Value::String(name) => (format!("exports.{name}"), ".".to_owned()),
                item => {
                    let get = |key: &str| {
                        item.get(key)
                            .and_then(Value::as_str)
                            .unwrap_or(".")
                            .to_owned()
                    };
                    (get("child"), get("parent"))
                }
            };
            let mut source = table(&merged, name);
            for part in child.split('.').filter(|part| !part.is_empty()) {
                source = source.and_then(|map| table(map, part));
            }
            let Some(source) = source else { continue };
            let mut wrapped = source.clone();
            for part in parent.split('.').rev().filter(|part| !part.is_empty()) {
                wrapped = Map::from_iter([(part.to_owned(), Value::Object(wrapped))]);
            }
            fill(&mut imported, &wrapped);
        }
    }
    fill(&mut chart.values, &imported);
}

fn table<'a>(map: &'a Table, key: &str) -> Option<&'a Table> {
    map.get(key).and_then(Value::as_object)
}

/// The values of `chart` with all subcharts' below their names.
pub fn coalesced(chart: &Chart, values: &Table) -> Table {
    let mut out = values.clone();
    fill(&mut out, &chart.values);
    for sub in &chart.subcharts {
        let mut inner = table(&out, &sub.name).cloned().unwrap_or_default();
        globals(&mut inner, &out);
        let inner = coalesced(sub, &inner);
        out.insert(sub.name.clone(), Value::Object(inner));
    }
    out
}

/// Fills what `into` lacks; null in `into` removes the default.
fn fill(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
            (Some(Value::Null), _) => {
                into.remove(key);
            }
            (Some(Value::Object(inner)), Value::Object(other)) => fill(inner, other),
            (Some(_), _) => {}
        }
    }
}

/// The parent's `global` wins over the child's.
fn globals(child: &mut Table, parent: &Table) {
    let mut merged = table(parent, "global").cloned().unwrap_or_default();
    if let Some(own) = table(child, "global") {
        fill(&mut merged, own);
    }
    child.insert("global".to_owned(), Value::Object(merged));
}
