//! Whether what people set arrives: every property of the config schema in a value
//! that the manifests use, and every value that the manifests use from somewhere.
//!
//! Called by lint. Texts are searched, not run: a chart that passes all its values
//! on (`toYaml .Values`) is taken to use every one of them, so that nothing is
//! reported that is not so.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_yaml::pointer::escape;
use serde_json::Value;

use crate::config::{branches, resolve};
use crate::{Blueprint, Problem, locate};

/// The deepest properties that are looked at; a schema may refer to itself.
const MAX_DEPTH: usize = 16;
/// Values that the platform gives beside what the Blueprint says.
const PLATFORM: [&str; 2] = ["global", "dependencies"];
const VALUES: &str = "chart/values.yaml";
const TEMPLATES: &str = "chart/templates/";

type Files = BTreeMap<String, Vec<u8>>;

/// A place of a schema, property by property, and its JSON pointer in the schema.
type Properties = BTreeMap<Vec<String>, String>;

/// The findings for a Blueprint whose manifests are a Helm chart. `text` is its
/// `blueprint.yaml`; the config schema must compile.
pub(crate) fn chart_problems(text: &str, blueprint: &Blueprint, files: &Files) -> Vec<Problem> {
    let values_text = utf8(files, VALUES).unwrap_or_default();
    let values = catalyst_yaml::from_str(values_text).unwrap_or_default();
    let subcharts = subcharts(files);
    let mut uses: BTreeMap<Vec<String>, (&str, usize)> = BTreeMap::new();
    for path in files.keys().filter(|path| path.starts_with(TEMPLATES)) {
        for (line, used) in mentions(utf8(files, path).unwrap_or_default(), ".Values") {
            uses.entry(used).or_insert((path.as_str(), line));
        }
    }
    let expressions = expressions(blueprint);
    let asked: BTreeSet<Vec<String>> = mentions(&expressions, "config")
        .map(|(_, path)| path)
        .collect();
    let is_used = |path: &[String]| uses.keys().chain(&asked).any(|used| covers(used, path));
    let is_of_others = |name: &str| PLATFORM.contains(&name) || subcharts.contains(name);
    let mut problems = Vec::new();

    let properties = properties(&blueprint.spec.config_schema);
    for (path, pointer) in &properties {
        let first = path.first().map_or("", String::as_str);
        if is_used(path) || has(&values, path) || is_of_others(first) {
            continue;
        }
        problems.push(unused(text, path, pointer, "no value of the chart"));
    }
    let overlays = &blueprint.spec.manifests.overlays;
    let known: BTreeSet<&str> = values
        .as_object()
        .into_iter()
        .flat_map(|map| map.keys())
        .chain(overlays.values().flat_map(|overlay| overlay.keys()))
        .map(String::as_str)
        .chain(
            properties
                .keys()
                .filter_map(|path| path.first())
                .map(String::as_str),
        )
        .collect();
    let mut told = BTreeSet::new();
    for (used, (file, line)) in &uses {
        let Some(name) = used.first() else {
            continue;
        };
        if known.contains(name.as_str()) || is_of_others(name) || !told.insert(name) {
            continue;
        }
        problems.push(Problem {
            file: (*file).to_owned(),
            line: Some(*line),
            rule: "value-unknown",
            message: format!("the template uses `.Values.{name}`, which nothing sets"),
            fix: format!("give `{name}` a default in {VALUES}, or correct its name"),
        });
    }
    for (size, overlay) in overlays {
        for name in overlay.keys() {
            let path = std::slice::from_ref(name);
            if is_used(path) || has(&values, path) || is_of_others(name) {
                continue;
            }
            let pointer = format!("/spec/manifests/overlays/{}/{}", escape(size), escape(name));
            problems.push(Problem {
                file: Blueprint::FILE.to_owned(),
                line: locate::line_of_pointer(text, &pointer),
                rule: "value-unused",
                message: format!("the size `{size}` sets `{name}`, which the chart does not have"),
                fix: "correct its name, or remove it".to_owned(),
            });
        }
    }
    for name in values.as_object().into_iter().flat_map(|map| map.keys()) {
        let path = std::slice::from_ref(name);
        // A chart inside may be a library, whose templates take any value.
        if is_used(path) || is_of_others(name) || !subcharts.is_empty() {
            continue;
        }
        problems.push(Problem {
            file: VALUES.to_owned(),
            line: locate::line_of_pointer(values_text, &format!("/{}", escape(name))),
            rule: "value-unused",
            message: format!("no template uses the value `{name}`"),
            fix: "use it, or remove it".to_owned(),
        });
    }
    problems
}

/// The same for Kustomize, where a property arrives as `${name}`.
pub(crate) fn kustomize_problems(text: &str, blueprint: &Blueprint, files: &Files) -> Vec<Problem> {
    let properties = properties(&blueprint.spec.config_schema);
    let expressions = expressions(blueprint);
    let asked: BTreeSet<Vec<String>> = mentions(&expressions, "config")
        .map(|(_, path)| path)
        .collect();
    // With the first place where nothing would stand, if nothing is given.
    let mut variables: BTreeMap<&str, Option<(&str, usize)>> = BTreeMap::new();
    for path in files.keys().filter(|path| path.starts_with("manifests/")) {
        for (line, name, has_default) in substitutions(utf8(files, path).unwrap_or_default()) {
            let place = variables.entry(name).or_default();
            if !has_default && place.is_none() {
                *place = Some((path.as_str(), line));
            }
        }
    }
    let mut problems = Vec::new();
    let mut known: BTreeSet<String> = blueprint
        .spec
        .manifests
        .overlays
        .values()
        .flat_map(|overlay| overlay.keys().cloned())
        .collect();
    for (path, pointer) in &properties {
        let name = path.join("_");
        let is_used =
            variables.contains_key(name.as_str()) || asked.iter().any(|used| covers(used, path));
        if !is_used {
            problems.push(unused(
                text,
                path,
                pointer,
                &format!("no `${{{name}}}` of the manifests"),
            ));
        }
        known.insert(name);
    }
    for (name, place) in variables {
        let is_given = PLATFORM
            .iter()
            .any(|word| name.starts_with(&format!("{word}_")));
        let Some((file, line)) = place.filter(|_| !is_given && !known.contains(name)) else {
            continue;
        };
        problems.push(Problem {
            file: file.to_owned(),
            line: Some(line),
            rule: "value-unknown",
            message: format!("`${{{name}}}` is no property of configSchema, so nothing stands there"),
            fix: format!("add `{name}` to configSchema, write `${{{name}:=default}}`, or `$${{{name}}}` for the text itself"),
        });
    }
    problems
}

fn unused(text: &str, path: &[String], pointer: &str, what: &str) -> Problem {
    Problem {
        file: Blueprint::FILE.to_owned(),
        line: locate::line_of_pointer(text, &format!("/spec/configSchema{pointer}")),
        rule: "config-unused",
        message: format!("{what} takes the property `{}`", path.join(".")),
        fix: "use it, or remove it: what is set there changes nothing".to_owned(),
    }
}

fn utf8<'a>(files: &'a Files, path: &str) -> Option<&'a str> {
    std::str::from_utf8(files.get(path)?).ok()
}

/// Whether the use of one place is a use of another: it is the same, above or below.
fn covers(used: &[String], path: &[String]) -> bool {
    used.iter().zip(path).all(|(left, right)| left == right)
}

/// Whether a map has a value at a place.
fn has(values: &Value, path: &[String]) -> bool {
    path.iter()
        .try_fold(values, |here, part| here.get(part))
        .is_some()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Line and path of every `root.a.b` in a text; the path is empty where `root`
/// stands alone.
fn mentions<'a>(text: &'a str, root: &'a str) -> impl Iterator<Item = (usize, Vec<String>)> + 'a {
    text.lines().enumerate().flat_map(move |(index, line)| {
        line.match_indices(root)
            .filter_map(move |(at, _)| mention(line, at, root))
            .map(move |path| (index + 1, path))
    })
}

/// The path that begins with `root` at a place of a line.
fn mention(line: &str, at: usize, root: &str) -> Option<Vec<String>> {
    let (before, rest) = (line.get(..at)?, line.get(at + root.len()..)?);
    // `myconfig` is another word; `.Values` begins with its dot.
    let is_inside = root.starts_with(is_word) && before.ends_with(|c: char| is_word(c) || c == '.');
    if is_inside || rest.starts_with(is_word) {
        return None;
    }
    let mut path = Vec::new();
    let mut rest = rest;
    while let Some(after) = rest.strip_prefix('.') {
        let (name, next) = word(after);
        if name.is_empty() {
            break;
        }
        path.push(name.to_owned());
        rest = next;
    }
    Some(path)
}

/// The word that a text begins with, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// Line, name and whether there is a default, of every `${name}` that Flux replaces.
fn substitutions(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        line.match_indices("${").filter_map(move |(at, _)| {
            // `$${` stands for the text itself.
            if line.get(..at)?.ends_with('$') {
                return None;
            }
            let (name, after) = word(line.get(at + 2..)?);
            let has_default = after.starts_with(":=") || after.starts_with(":-");
            (!name.is_empty()).then_some((index + 1, name, has_default))
        })
    })
}

/// The leaves of a config schema, through references and all branches.
fn properties(schema: &Value) -> Properties {
    let mut found = Properties::new();
    collect(schema, schema, &[], "", 0, &mut found);
    found
}

fn collect(
    root: &Value,
    schema: &Value,
    path: &[String],
    pointer: &str,
    depth: usize,
    found: &mut Properties,
) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = resolve(root, schema);
    for branch in branches(schema) {
        collect(root, branch, path, pointer, depth + 1, found);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let mut place = path.to_vec();
        place.push(name.clone());
        let here = format!("{pointer}/properties/{}", escape(name));
        let target = resolve(root, inner);
        let is_group = target
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|members| !members.is_empty());
        if is_group {
            collect(root, inner, &place, &here, depth + 1, found);
        } else {
            found.entry(place).or_insert(here);
        }
    }
}

/// The CEL of a Blueprint's dependencies, as one text.
fn expressions(blueprint: &Blueprint) -> String {
    let mut text = String::new();
    for dependency in &blueprint.spec.depends {
        text.push_str(dependency.when.as_deref().unwrap_or_default());
        text.push('\n');
        text.push_str(&Value::Object(dependency.values.clone()).to_string());
        text.push('\n');
    }
    text
}

/// The names under which the chart's own charts take their values.
fn subcharts(files: &Files) -> BTreeSet<String> {
    let metadata = utf8(files, "chart/Chart.yaml")
        .and_then(|text| catalyst_yaml::from_str(text).ok())
        .unwrap_or_default();
    let mut names = BTreeSet::new();
    for entry in metadata
        .get("dependencies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        for key in ["alias", "name"] {
            names.extend(entry.get(key).and_then(Value::as_str).map(str::to_owned));
        }
        // `postgres.enabled, tags.database`: read by Helm itself.
        for key in ["condition", "tags"] {
            let text = match entry.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(_)) => "tags".to_owned(),
                _ => continue,
            };
            let roots = text
                .split(',')
                .filter_map(|path| path.trim().split('.').next());
            names.extend(roots.map(str::to_owned));
        }
    }
    let inner = files.keys().filter_map(|path| {
        let (name, _) = path.strip_prefix("chart/charts/")?.split_once('/')?;
        Some(name.to_owned())
    });
    names.extend(inner);
    names
}
