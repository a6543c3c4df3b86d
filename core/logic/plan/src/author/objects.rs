//! What lint asks of every object that a Blueprint renders: labels, and no secret
//! where others can read it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_blueprint::{Blueprint, HostAccess, HostUse, Problem};
use serde_json::Value;

use super::pods;
use super::secrets;
use super::source::{Source, Sources};
use crate::reach;
use crate::render::{HIDDEN, RenderedObject};

/// The labels of every object of an Application that its manifests must set; those
/// of `openova.io` are added when it is installed.
const LABELS: [&str; 5] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
];

/// One object that is looked at, and what was found in it.
pub(super) struct Check<'a> {
    pub object: &'a Value,
    /// `Deployment example`.
    pub name: String,
    pub source: Source<'a>,
    /// What of the host pods may take.
    pub declared: &'a Declared<'a>,
    pub problems: Vec<Problem>,
}

/// What of the host a Blueprint says that its pods take, and which of that was seen.
#[derive(Default)]
pub(super) struct Declared<'a> {
    all: &'a [HostAccess],
    /// Declarations, and which of their paths or ports.
    seen: RefCell<BTreeSet<(usize, usize)>>,
}

impl<'a> Declared<'a> {
    pub fn by(blueprint: &'a Blueprint) -> Self {
        Self {
            all: &blueprint.spec.host_access,
            seen: RefCell::default(),
        }
    }

    /// Whether this may be taken; if so it has been seen.
    pub fn lets(&self, taken: HostUse<'_>) -> bool {
        let found: Vec<(usize, usize)> = self
            .all
            .iter()
            .enumerate()
            .filter_map(|(index, access)| Some((index, access.covers(taken)?)))
            .collect();
        let is_declared = !found.is_empty();
        self.seen.borrow_mut().extend(found);
        is_declared
    }

    /// What was not seen: its pointer in `blueprint.yaml`, and what it is.
    pub fn unused(&self) -> Vec<(String, String)> {
        let seen = self.seen.borrow();
        let mut unused = Vec::new();
        for (index, access) in self.all.iter().enumerate() {
            let items = access.items().into_iter().enumerate();
            for (_, (pointer, what)) in items.filter(|(item, _)| !seen.contains(&(index, *item))) {
                unused.push((format!("/spec/hostAccess/{index}{pointer}"), what));
            }
        }
        unused
    }
}

impl Check<'_> {
    /// A finding at the first line with one of `texts`, below `anchor`.
    pub fn report(
        &mut self,
        rule: &'static str,
        (anchor, texts): (&str, &[&str]),
        message: String,
        fix: &str,
    ) {
        self.problems.push(Problem {
            file: self.source.file.clone(),
            line: self.source.line(anchor, texts),
            rule,
            message,
            fix: fix.to_owned(),
        });
    }
}

/// Everything that is wrong with one object of an Application whose workloads are in the
/// namespace `own`.
pub(super) fn problems(
    rendered: &RenderedObject,
    sources: &Sources<'_>,
    declared: &Declared<'_>,
    own: &str,
) -> Vec<Problem> {
    let object = &rendered.object;
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default()
    };
    let mut check = Check {
        object,
        name: format!("{} {}", text("/kind"), text("/metadata/name")),
        source: sources.of(rendered),
        declared,
        problems: Vec::new(),
    };
    let kind = text("/kind");
    // A definition belongs to all Applications that use it, a hook to none for long.
    if kind != "CustomResourceDefinition" && !rendered.is_hook {
        labels(&mut check);
    }
    if kind == "Secret" {
        plain_data(&mut check);
    } else if contains_secret(object) {
        let message = format!(
            "{} holds the value of a secret setting, which everybody can read there",
            check.name
        );
        check.report(
            "plain-secret",
            ("", &["env:", "data:"]),
            message,
            "put it into a Secret, and refer to that with `secretKeyRef`",
        );
    }
    if let Some(beyond) = reach::beyond(object, own) {
        let message = format!("{} {}", check.name, beyond.why);
        check.report(
            "own-namespace",
            ("", &[beyond.field]),
            message,
            "leave it out: a Blueprint acts in its own Application's namespace only",
        );
    }
    // A definition shows examples.
    if !matches!(kind, "Secret" | "CustomResourceDefinition") {
        readable_secrets(&mut check);
    }
    pods::check(&mut check, rendered.is_hook);
    check.problems
}

fn labels(check: &mut Check<'_>) {
    let labels = check.object.pointer("/metadata/labels");
    let missing: Vec<&str> = LABELS
        .into_iter()
        .filter(|name| {
            let label = labels.and_then(|labels| labels.get(name));
            label.and_then(Value::as_str).is_none_or(str::is_empty)
        })
        .collect();
    if missing.is_empty() {
        return;
    }
    let message = format!("{} lacks the labels {}", check.name, missing.join(", "));
    let text = match missing.len() == LABELS.len() {
        // Other labels, such as those of its pods, are not what it lacks.
        true => "metadata:",
        false => "labels:",
    };
    check.report(
        "labels",
        ("", &[text]),
        message,
        "set them in its metadata, from one helper that all objects share",
    );
}

/// Data of a Secret that comes from no secret setting, so stands in the artifact.
fn plain_data(check: &mut Check<'_>) {
    let mut plain = Vec::new();
    for (field, is_encoded) in [("data", true), ("stringData", false)] {
        let data = check.object.get(field).and_then(Value::as_object);
        for (key, value) in data.into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let text = if is_encoded {
                let bytes = STANDARD.decode(text).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                text.to_owned()
            };
            let is_public = text.starts_with("-----BEGIN PUBLIC KEY-----")
                || text.starts_with("-----BEGIN CERTIFICATE-----");
            if !text.is_empty() && !is_public && !text.contains(HIDDEN) {
                plain.push(key.clone());
            }
        }
    }
    if plain.is_empty() {
        return;
    }
    let message = format!(
        "{} has `{}` in plain text, from no secret setting",
        check.name,
        plain.join("`, `")
    );
    let first = plain.first().map(|key| format!("{key}:"));
    check.report(
        "plain-secret",
        ("", &[first.as_deref().unwrap_or_default(), "data:"]),
        message,
        "take it from a property with `x-catalyst-secret: true` or a connection secret; what is no secret belongs in a ConfigMap",
    );
}

/// Secrets where everybody can read them, known by their shape or by a ConfigMap's key.
fn readable_secrets(check: &mut Check<'_>) {
    const FIX: &str = "take it from a property with `x-catalyst-secret: true` or a connection secret, and refer to the Secret with `secretKeyRef`";
    for found in secrets::shapes(check.object) {
        let message = format!(
            "{} has {} in plain text, at {}",
            check.name, found.what, found.pointer
        );
        let key = found.pointer.rsplit('/').next().unwrap_or_default();
        check.report("plain-secret", ("", &[found.text, key]), message, FIX);
    }
    if check.object.get("kind").and_then(Value::as_str) != Some("ConfigMap") {
        return;
    }
    for key in secrets::plain_keys(check.object) {
        let message = format!(
            "{} has `{key}` in plain text, which everybody can read there",
            check.name
        );
        let text = format!("{key}:");
        check.report(
            "plain-secret",
            ("", &[text.as_str(), "data:"]),
            message,
            FIX,
        );
    }
}

fn contains_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(HIDDEN),
        Value::Array(items) => items.iter().any(contains_secret),
        Value::Object(map) => map.values().any(contains_secret),
        _ => false,
    }
}
