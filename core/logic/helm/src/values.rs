//! Which subcharts take part, and which values each chart sees.
//!
//! Called by the renderer. It follows Helm's `chartutil` step by step, quirks
//! included, because what a chart sees is the sum of all of them: the user's
//! values win over the parent's, those over the subchart's own; null removes a
//! default; `global` reaches every chart. Maps are shared where Helm shares
//! them: what a subchart adds below a global's key, its parent sees.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::chart::{Chart, Defaults};
use crate::functions::semver::{Version, satisfies};
use crate::table::{Frozen, Shared, Table, thawed};
use crate::value::Value;
use crate::warnings::{Place, Warnings};

const GLOBAL: &str = "global";
/// Charts that take part, a subchart once for each of its names.
const MAX_CHARTS: usize = 1_000;
/// Bytes of their values and templates together.
const MAX_WEIGHT: usize = 16 << 20;

/// Why values do not fit the charts, in Helm's words.
type Fault = String;

fn table(map: &Shared, key: &str) -> Option<Shared> {
    match map.borrow().get(key) {
        Some(Value::Map(inner)) => Some(inner.clone()),
        _ => None,
    }
}

/// `Values.Table`: the table at a path of keys joined by points.
fn table_at(map: &Shared, path: &str) -> Option<Shared> {
    path.split('.')
        .try_fold(map.clone(), |map, key| table(&map, key))
}

/// The key of a path at which there is none.
fn no_table<'p>(map: &Shared, path: &'p str) -> &'p str {
    let mut map = map.clone();
    for key in path.split('.') {
        match table(&map, key) {
            Some(inner) => map = inner,
            None => return key,
        }
    }
    path
}

fn empty() -> Shared {
    Shared::default()
}

fn shared(values: &Map<String, Json>) -> Shared {
    Table::shared(
        values
            .iter()
            .map(|(key, value)| (key.clone(), Value::from_json(value)))
            .collect(),
    )
}

fn copy(map: &Shared) -> Shared {
    match Value::Map(map.clone()).deep_copy() {
        Value::Map(copy) => copy,
        _ => empty(),
    }
}

/// `ProcessDependenciesWithMerge`: applies aliases, conditions and tags all the
/// way down, and merges imported values into the parents' defaults.
pub fn enable(
    chart: &mut Chart,
    values: &Map<String, Json>,
    warnings: &mut Warnings,
) -> Result<(), Fault> {
    let mut budget = Budget {
        charts: MAX_CHARTS,
        weight: MAX_WEIGHT,
    };
    enabled(chart, &shared(values), "", &mut budget, warnings)?;
    // What is imported depends on the values only by which charts take part, and by which
    // dependencies, of which some may have no chart.
    let mut taking_part = String::new();
    name_all(chart, &mut taking_part);
    if let Some(defaults) = chart.kept.defaults(&taking_part) {
        take_defaults(chart, &mut defaults.into_iter());
        return Ok(());
    }
    let mut said = Warnings::default();
    import(chart, &mut said)?;
    let said = said.into_texts();
    if !said.is_empty() {
        // Made anew each time, so that each rendering says it.
        said.iter().for_each(|text| warnings.add(text));
        return Ok(());
    }
    let mut defaults = Vec::new();
    list_defaults(chart, &mut defaults);
    chart.kept.keep_defaults(taking_part, defaults);
    Ok(())
}

/// Names the charts that take part, each with its dependencies and its subcharts in
/// brackets; the length of a name comes first, so that no two choices are called alike.
fn name_all(chart: &Chart, out: &mut String) {
    name_one(&chart.name, out);
    if let Some(Json::Array(wanted)) = chart.metadata.get("dependencies") {
        out.push('[');
        wanted
            .iter()
            .for_each(|dependency| name_one(text(dependency, "name"), out));
        out.push(']');
    }
    out.push('(');
    chart.subcharts.iter().for_each(|sub| name_all(sub, out));
    out.push(')');
}

fn name_one(name: &str, out: &mut String) {
    out.push_str(&name.len().to_string());
    out.push(':');
    out.push_str(name);
}

fn list_defaults(chart: &Chart, out: &mut Vec<Arc<Defaults>>) {
    out.push(chart.values.clone());
    chart
        .subcharts
        .iter()
        .for_each(|sub| list_defaults(sub, out));
}

fn take_defaults(chart: &mut Chart, from: &mut impl Iterator<Item = Arc<Defaults>>) {
    if let Some(defaults) = from.next() {
        chart.values = defaults;
    }
    for sub in &mut chart.subcharts {
        take_defaults(sub, from);
    }
}

/// What may yet take part: one chart can stand for any number of them by aliases.
struct Budget {
    charts: usize,
    weight: usize,
}

impl Budget {
    /// Whether these could take part as well.
    fn has_room(&self, charts: &[Chart]) -> Result<(), Fault> {
        let mut left = Self { ..*self };
        charts.iter().try_for_each(|chart| left.take(chart))
    }

    fn take(&mut self, chart: &Chart) -> Result<(), Fault> {
        let charts = self.charts.checked_sub(1);
        let weight = self.weight.checked_sub(chart.weight);
        let (Some(charts), Some(weight)) = (charts, weight) else {
            return Err(format!(
                "there are more than {MAX_CHARTS} charts, or more than {MAX_WEIGHT} bytes of values and templates in them"
            ));
        };
        (self.charts, self.weight) = (charts, weight);
        Ok(())
    }
}

/// `CoalesceValues`: the values of `chart`, with all subcharts' below their
/// names.
pub fn coalesced(
    chart: &Chart,
    values: &Map<String, Json>,
    warnings: &mut Warnings,
) -> Result<Shared, Fault> {
    let values = shared(values);
    coalesce(chart, &values, false, Place::Top, warnings)?;
    Ok(values)
}

fn text<'v>(dependency: &'v Json, key: &str) -> &'v str {
    dependency.get(key).and_then(Json::as_str).unwrap_or("")
}

fn is_compatible(range: &str, version: &str) -> bool {
    Version::parse(version).is_some_and(|parsed| {
        // Itself, as most charts name what they bring along.
        range == version || satisfies(range, &parsed).unwrap_or(false)
    })
}

fn enabled(
    chart: &mut Chart,
    values: &Shared,
    path: &str,
    budget: &mut Budget,
    warnings: &mut Warnings,
) -> Result<(), Fault> {
    budget.take(chart)?;
    let Some(Json::Array(mut wanted)) = chart.metadata.get("dependencies").cloned() else {
        return chart
            .subcharts
            .iter_mut()
            .try_for_each(|sub| enabled_alone(sub, budget));
    };
    wanted.retain(Json::is_object);
    // Only here does Helm tell a chart's subcharts whose they are.
    chart.inner_name.clone_from(&chart.name);
    let present = std::mem::take(&mut chart.subcharts);
    let fits = |sub: &Chart, wanted: &Json| {
        sub.name == text(wanted, "name") && is_compatible(text(wanted, "version"), sub.version())
    };
    // Not named in Chart.yaml: always on.
    chart.subcharts = present
        .iter()
        .filter(|sub| !wanted.iter().any(|wanted| fits(sub, wanted)))
        .cloned()
        .collect();
    for dependency in &mut wanted {
        let alias = text(dependency, "alias").to_owned();
        if let Some(found) = present.iter().find(|sub| fits(sub, dependency)) {
            let mut sub = found.clone();
            if !alias.is_empty() {
                sub.name.clone_from(&alias);
                Arc::make_mut(&mut sub.metadata).insert("name".to_owned(), alias.as_str().into());
            }
            chart.subcharts.push(sub);
        }
        if !alias.is_empty()
            && let Some(dependency) = dependency.as_object_mut()
        {
            dependency.insert("name".to_owned(), alias.into());
        }
    }
    budget.has_room(&chart.subcharts)?;
    let merged = copy(values);
    coalesce(chart, &merged, false, Place::Top, warnings)?;
    let off: Vec<String> = wanted
        .iter()
        .filter(|dependency| !is_enabled(dependency, &merged, path, warnings))
        .map(|dependency| text(dependency, "name").to_owned())
        .collect();
    chart.subcharts.retain(|sub| !off.contains(&sub.name));
    wanted.retain(|dependency| !off.iter().any(|off| off == text(dependency, "name")));
    for sub in &mut chart.subcharts {
        let below = format!("{path}{}.", sub.name);
        enabled(sub, &merged, &below, budget, warnings)?;
    }
    if wanted.is_empty() {
        Arc::make_mut(&mut chart.metadata).remove("dependencies");
    } else {
        Arc::make_mut(&mut chart.metadata).insert("dependencies".to_owned(), Json::Array(wanted));
    }
    Ok(())
}

/// Helm does not look below a chart that names no dependencies.
fn enabled_alone(chart: &mut Chart, budget: &mut Budget) -> Result<(), Fault> {
    budget.take(chart)?;
    chart
        .subcharts
        .iter_mut()
        .try_for_each(|sub| enabled_alone(sub, budget))
}

fn is_enabled(dependency: &Json, merged: &Shared, path: &str, warnings: &mut Warnings) -> bool {
    let name = text(dependency, "name");
    let mut enabled = true;
    if let (Some(Json::Array(tags)), Some(set)) = (dependency.get("tags"), table(merged, "tags")) {
        let (mut is_on, mut is_off) = (false, false);
        for tag in tags.iter().filter_map(Json::as_str) {
            match set.borrow().get(tag) {
                None => {}
                Some(Value::Bool(true)) => is_on = true,
                Some(Value::Bool(false)) => is_off = true,
                Some(_) => warnings.add(&format!(
                    "Tag '{tag}' for chart {name} returned non-bool value"
                )),
            }
        }
        enabled = is_on || !is_off;
    }
    for condition in text(dependency, "condition").trim().split(',') {
        if condition.is_empty() {
            continue;
        }
        let place = format!("{path}{condition}");
        let (holder, key) = match place.rsplit_once('.') {
            Some((holder, key)) => (table_at(merged, holder), key),
            None => (Some(merged.clone()), place.as_str()),
        };
        let Some(holder) = holder else {
            continue;
        };
        match holder.borrow().get(key) {
            Some(Value::Bool(flag)) => return *flag,
            // There is no value in a table, to Helm.
            None | Some(Value::Map(_)) => {}
            Some(_) => warnings.add(&format!(
                "Condition path '{condition}' for chart {name} returned non-bool value"
            )),
        }
    }
    enabled
}

/// `import-values`: a child's values as the parent's defaults.
fn import(chart: &mut Chart, warnings: &mut Warnings) -> Result<(), Fault> {
    for sub in &mut chart.subcharts {
        import(sub, warnings)?;
    }
    let Some(Json::Array(wanted)) = chart.metadata.get("dependencies").cloned() else {
        return Ok(());
    };
    let merged = empty();
    coalesce(chart, &merged, true, Place::Top, warnings)?;
    let mut imported = empty();
    for dependency in &wanted {
        let name = text(dependency, "name");
        let Some(Json::Array(list)) = dependency.get("import-values") else {
            continue;
        };
        for item in list {
            let (child, parent) = match item {
                Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                Json::Object(_) => {
                    let get = |key: &str| {
                        let value = item.get(key).map_or(Value::Nil, Value::from_json);
                        crate::format::show(&value)
                    };
                    (get("child"), get("parent"))
                }
                _ => continue,
            };
            let path = format!("{name}.{child}");
            let Some(found) = table_at(&merged, &path) else {
                let whose = match item {
                    Json::Object(_) => format!(" from chart {name}"),
                    _ => String::new(),
                };
                let key = no_table(&merged, &path);
                warnings.add(&format!(
                    "ImportValues missing table{whose}: {key:?} is not a table"
                ));
                continue;
            };
            let found = if found.borrow().is_empty() {
                empty()
            } else {
                found
            };
            let wrapped = if parent == "." {
                found
            } else {
                parent.split('.').rev().fold(found, |inner, key| {
                    Table::shared(BTreeMap::from([(key.to_owned(), Value::Map(inner))]))
                })
            };
            imported = tables(&imported, &wrapped, true, Place::Top, warnings);
        }
    }
    let values = if imported.borrow().is_empty() {
        merged
    } else {
        tables(&copy(&merged), &imported, true, Place::Top, warnings)
    };
    if let Some(Json::Object(values)) = Value::Map(values).to_json() {
        chart.values = Arc::new(Defaults::new(values));
    }
    Ok(())
}

/// Fills `into` with the chart's defaults, its subcharts' below their names.
/// Nulls are kept when merging, and remove defaults otherwise.
fn coalesce(
    chart: &Chart,
    into: &Shared,
    merge: bool,
    above: Place<'_>,
    warnings: &mut Warnings,
) -> Result<(), Fault> {
    let place = Place::Below(&above, &chart.name);
    for (key, default) in chart.values.frozen().iter() {
        let present = into.borrow().get(key).cloned();
        match (present, default) {
            (None, default) => {
                into.borrow_mut().insert(key.clone(), default.thawed());
            }
            (Some(Value::Nil), _) if !merge => {
                into.borrow_mut().remove(key);
            }
            (Some(Value::Map(inner)), Frozen::Map(default)) => {
                let is_child = chart.subcharts.iter().any(|sub| sub.name == *key);
                let place = Place::Below(&place, key);
                let default = thawed(default);
                tables(&inner, &default, merge || is_child, place, warnings);
            }
            (Some(Value::Map(_)), default) if !matches!(default, Frozen::Nil) => {
                warnings.add(&format!("skipped value for {place}.{key}: Not a table."));
            }
            _ => {}
        }
    }
    for sub in &chart.subcharts {
        let present = into.borrow().get(&sub.name).cloned();
        let inner = match present {
            Some(Value::Map(inner)) => inner,
            None => {
                let inner = empty();
                into.borrow_mut()
                    .insert(sub.name.clone(), Value::Map(inner.clone()));
                inner
            }
            Some(other) => {
                return Err(format!(
                    "type mismatch on {}: {}",
                    sub.name,
                    crate::printf::sprintf("%t", &[other])
                ));
            }
        };
        globals(&inner, into, place, warnings);
        coalesce(sub, &inner, merge, place, warnings)?;
    }
    Ok(())
}

/// `coalesceGlobals`: the parent's `global` wins over the child's.
fn globals(child: &Shared, parent: &Shared, place: Place<'_>, warnings: &mut Warnings) {
    let of = |map: &Shared| match map.borrow().get(GLOBAL) {
        None => Some(empty()),
        Some(Value::Map(inner)) => Some(inner.clone()),
        Some(_) => None,
    };
    let Some(own) = of(child) else {
        warnings.add("skipping globals because destination global is not a table.");
        return;
    };
    let Some(given) = of(parent) else {
        warnings.add("skipping globals because source global is not a table.");
        return;
    };
    let entries: Vec<(String, Value)> = given
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in entries {
        let present = own.borrow().get(&key).cloned();
        match (&value, present) {
            (Value::Map(value), present) => {
                // Only this level is copied: deeper ones are the parent's own.
                let copied = Table::shared(value.borrow().clone());
                match present {
                    None => {}
                    Some(Value::Map(present)) => {
                        let place = Place::Below(&place, &key);
                        tables(&copied, &present, true, place, warnings);
                    }
                    Some(_) => {
                        warnings.add(&format!(
                            "Conflict: cannot merge map onto non-map for {key:?}. Skipping."
                        ));
                        continue;
                    }
                }
                own.borrow_mut().insert(key, Value::Map(copied));
            }
            (_, Some(Value::Map(_))) => {
                warnings.add(&format!("key {key} is table. Skipping"));
            }
            _ => {
                own.borrow_mut().insert(key, value);
            }
        }
    }
    child
        .borrow_mut()
        .insert(GLOBAL.to_owned(), Value::Map(own));
}

/// `coalesceTablesFullKey`: fills what `into` lacks from `from`.
fn tables(
    into: &Shared,
    from: &Shared,
    merge: bool,
    place: Place<'_>,
    warnings: &mut Warnings,
) -> Shared {
    if Rc::ptr_eq(into, from) {
        return into.clone();
    }
    // Nothing is removed but where `into` holds nil, which it seldom does.
    let mut given = Vec::new();
    for (key, value) in into.borrow().iter() {
        if matches!(value, Value::Nil) {
            let before = from.borrow_mut().insert(key.clone(), Value::Nil);
            if before.is_some_and(|before| !matches!(before, Value::Nil)) {
                given.push(key.clone());
            }
        }
    }
    let entries: Vec<(String, Value)> = from
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in entries {
        let present = into.borrow().get(&key).cloned();
        match (present, value) {
            (Some(Value::Nil), _) if !merge && given.contains(&key) => {
                into.borrow_mut().remove(&key);
            }
            (None, value) => {
                into.borrow_mut().insert(key, value);
            }
            (Some(Value::Map(inner)), Value::Map(value)) => {
                let place = Place::Below(&place, &key);
                tables(&inner, &value, merge, place, warnings);
            }
            (Some(_), Value::Map(_)) => warnings.add(&format!(
                "cannot overwrite table with non table for {}",
                Place::Below(&place, &key)
            )),
            (Some(Value::Map(_)), value) if !matches!(value, Value::Nil) => {
                warnings.add(&format!(
                    "destination for {} is a table. Ignoring non-table value",
                    Place::Below(&place, &key)
                ));
            }
            _ => {}
        }
    }
    into.clone()
}
