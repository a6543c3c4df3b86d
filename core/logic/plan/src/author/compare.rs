//! What changes for users between two versions of a Blueprint.
//!
//! Called by `catalyst blueprint diff`. Pure: two Blueprints in, their differences
//! out. Objects are those of an Application with the least config of each version,
//! so what differs in them is what a user sees who sets nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::PlannedAction;
use catalyst_apply::{diff, render_changes};
use catalyst_blueprint::{Blueprint, ConfigSchema, ManifestKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::breaking;
use super::example::{Example, ExampleError, render_example};
use super::objects::{self, Declared};
use super::pods;
use super::source::{Files, Sources};
use crate::compare::{Identity, difference};
use crate::{BlueprintContent, RenderedObject};

/// The label that differs in every object of every version.
const VERSION_LABEL: &str = "openova.io/blueprint-version";

/// The kinds of objects that say who may do what.
const RIGHTS: [&str; 5] = [
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ServiceAccount",
];

/// One of two versions that are compared.
#[derive(Debug, Clone, Copy)]
pub struct BlueprintVersion<'a> {
    /// What it says of itself.
    pub blueprint: &'a Blueprint,
    /// Its chart or manifests.
    pub content: &'a BlueprintContent,
}

/// Everything that changes for users.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintChanges {
    /// Name and version before.
    pub before: String,
    /// Name and version after.
    pub after: String,
    /// Whether one may move from one to the other.
    pub upgrade: UpgradeVerdict,
    /// What was valid and need not be any more, a sentence each: keys that are gone or
    /// must be given, and limits that are narrower.
    pub breaking: Vec<String>,
    /// Settings that an upgrade moves to another key, as `spec.upgrades.values` says.
    pub moved: Vec<MovedKey>,
    /// What can be set otherwise: keys, with type, default and limits.
    pub config: Vec<NamedChange>,
    /// The sizes, with the values that they set.
    pub sizes: Vec<NamedChange>,
    /// The Blueprints that it needs, by alias.
    pub dependencies: Vec<NamedChange>,
    /// What it offers to others: `connectionSecret`, `http`.
    pub provides: Vec<NamedChange>,
    /// Who may do what at Kubernetes' API, as for `objects`: roles, bindings and service
    /// accounts.
    pub rights: Vec<NamedChange>,
    /// What else is created: `Deployment example`. The label with the Blueprint's version,
    /// which always differs, is left out; values of Secrets are never shown.
    pub objects: Vec<NamedChange>,
    /// The images that run.
    pub images: SetChange,
    /// What it may do: rules of RBAC, rights of containers, access to the host.
    pub permissions: SetChange,
}

/// Whether an Application may move from one version to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradeVerdict {
    /// Whether it may.
    pub possible: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is to be known of it where it is possible and is no upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Something with a name that comes, changes or goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedChange {
    /// What happens to it.
    pub action: PlannedAction,
    /// Its name.
    pub name: String,
    /// Field by field, for people, as in a plan.
    pub diff: String,
}

impl NamedChange {
    /// Whether it is an object of one of these kinds.
    fn is_of(&self, kinds: &[&str]) -> bool {
        let kind = self.name.split(' ').next().unwrap_or_default();
        kinds.contains(&kind)
    }
}

/// A setting that an upgrade moves: what was set there is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MovedKey {
    /// The key before.
    pub from: String,
    /// The key after.
    pub to: String,
    /// What else of it changes, field by field, for people.
    pub diff: String,
}

/// What is in one of two sets and not in the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SetChange {
    /// In the second only.
    pub added: Vec<String>,
    /// In the first only.
    pub removed: Vec<String>,
}

impl SetChange {
    fn between(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Self {
        Self {
            added: after.difference(before).cloned().collect(),
            removed: before.difference(after).cloned().collect(),
        }
    }

    /// Whether the sets are equal.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl BlueprintChanges {
    /// Whether nothing changes for users; the version alone does not count.
    pub fn is_empty(&self) -> bool {
        let is_moved = !self.moved.is_empty();
        let changes = [
            &self.config,
            &self.sizes,
            &self.dependencies,
            &self.provides,
            &self.rights,
            &self.objects,
        ];
        !is_moved
            && changes.iter().all(|changes| changes.is_empty())
            && self.images.is_empty()
            && self.permissions.is_empty()
    }
}

/// Compares two versions of a Blueprint, or two Blueprints.
pub fn compare_blueprints(
    before: BlueprintVersion<'_>,
    after: BlueprintVersion<'_>,
) -> Result<BlueprintChanges, ExampleError> {
    let (old, new) = (rendered(before)?, rendered(after)?);
    let (mut keys_before, mut keys_after) = (keys(before.blueprint)?, keys(after.blueprint)?);
    let moved = moved(
        before.blueprint,
        after.blueprint,
        &mut keys_before,
        &mut keys_after,
    );
    let (rights, objects) = changed_objects(&old, &new)
        .into_iter()
        .partition(|change| change.is_of(&RIGHTS));
    Ok(BlueprintChanges {
        before: title(before.blueprint),
        after: title(after.blueprint),
        upgrade: upgrade(before.blueprint, after.blueprint),
        breaking: breaking::narrowed(&keys_before, &keys_after),
        moved,
        config: named(&keys_before, &keys_after),
        sizes: named(&sizes(before.blueprint), &sizes(after.blueprint)),
        dependencies: named(
            &dependencies(before.blueprint),
            &dependencies(after.blueprint),
        ),
        provides: named(
            &members(&before.blueprint.spec.provides),
            &members(&after.blueprint.spec.provides),
        ),
        rights,
        objects,
        images: SetChange::between(&images(&old), &images(&new)),
        permissions: SetChange::between(&permissions(&old), &permissions(&new)),
    })
}

/// The images of rendered objects, as their pods name them.
pub fn images(rendered: &[RenderedObject]) -> BTreeSet<String> {
    rendered
        .iter()
        .flat_map(|it| pods::images_of(&it.object))
        .map(str::to_owned)
        .collect()
}

fn title(blueprint: &Blueprint) -> String {
    format!("{} {}", blueprint.name(), blueprint.version())
}

fn rendered(version: BlueprintVersion<'_>) -> Result<Vec<RenderedObject>, ExampleError> {
    let example = Example::least(version.blueprint, version.content)?;
    render_example(version.blueprint, version.content, &example)
}

fn upgrade(before: &Blueprint, after: &Blueprint) -> UpgradeVerdict {
    let verdict = |reason: Option<String>| UpgradeVerdict {
        possible: reason.is_none(),
        reason,
        remark: None,
    };
    if before.name() != after.name() {
        return verdict(Some(format!(
            "{} and {} are different Blueprints",
            before.name(),
            after.name()
        )));
    }
    let (from, to) = (before.version(), after.version());
    let mut found = verdict(after.spec.upgrades.check(from, to).err());
    if found.possible {
        found.remark = match to.cmp(from) {
            Ordering::Greater => None,
            Ordering::Equal => Some(format!("none, both are version {to}")),
            Ordering::Less => Some(format!(
                "none, from {from} to {to} is a downgrade: possible, but data is not rolled back"
            )),
        };
    }
    found
}

fn keys(blueprint: &Blueprint) -> Result<BTreeMap<String, Value>, ExampleError> {
    let schema = ConfigSchema::compile(&blueprint.spec.config_schema)?;
    let keys = schema.keys().into_iter().map(|key| {
        let mut fields = fields(&key);
        fields.remove("name");
        // Words for people change nothing of what is taken.
        fields.remove("description");
        (key.name, Value::Object(fields))
    });
    Ok(keys.collect())
}

/// Takes the keys out of both that are one setting, which an upgrade moves.
fn moved(
    before: &Blueprint,
    after: &Blueprint,
    keys_before: &mut BTreeMap<String, Value>,
    keys_after: &mut BTreeMap<String, Value>,
) -> Vec<MovedKey> {
    if before.name() != after.name() {
        return Vec::new();
    }
    let upgrades = &after.spec.upgrades;
    let names: Vec<(String, String)> = keys_before
        .keys()
        // A key that is there before and after is one that changes, whatever else is moved.
        .filter(|name| !keys_after.contains_key(*name))
        .filter_map(|name| Some((name.clone(), upgrades.place_of(before.version(), name)?)))
        .filter(|(_, to)| !keys_before.contains_key(to))
        .collect();
    let mut found = Vec::new();
    for (from, to) in names {
        let Some(new) = keys_after.remove(&to) else {
            continue;
        };
        let old = keys_before.remove(&from).unwrap_or_default();
        let diff = render_changes(&diff(&old, &new, None));
        found.push(MovedKey { from, to, diff });
    }
    found
}

fn sizes(blueprint: &Blueprint) -> BTreeMap<String, Value> {
    let overlays = &blueprint.spec.manifests.overlays;
    overlays
        .iter()
        .map(|(size, overlay)| (size.clone(), Value::Object(overlay.clone())))
        .collect()
}

fn dependencies(blueprint: &Blueprint) -> BTreeMap<String, Value> {
    let depends = &blueprint.spec.depends;
    depends
        .iter()
        .map(|it| (it.alias().to_owned(), Value::Object(fields(it))))
        .collect()
}

fn members(value: &impl Serialize) -> BTreeMap<String, Value> {
    fields(value).into_iter().collect()
}

/// A struct as the map that it is in JSON.
fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn named(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<NamedChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let nothing = json!({});
            let (old, new) = (before.get(name), after.get(name));
            let changes = diff(old.unwrap_or(&nothing), new.unwrap_or(&nothing), None);
            Some(NamedChange {
                action: action(old, new)?,
                name: name.clone(),
                diff: render_changes(&changes),
            })
        })
        .collect()
}

/// What happens to something; none where it stays as it is.
fn action(before: Option<&Value>, after: Option<&Value>) -> Option<PlannedAction> {
    match (before, after) {
        (None, Some(_)) => Some(PlannedAction::Create),
        (Some(_), None) => Some(PlannedAction::Delete),
        (Some(old), Some(new)) if old != new => Some(PlannedAction::Update),
        _ => None,
    }
}

fn changed_objects(before: &[RenderedObject], after: &[RenderedObject]) -> Vec<NamedChange> {
    let by_identity = |rendered: &[RenderedObject]| -> BTreeMap<Identity, Value> {
        rendered
            .iter()
            .map(|it| (Identity::of(&it.object), without_version(&it.object)))
            .collect()
    };
    let (before, after) = (by_identity(before), by_identity(after));
    let identities: BTreeSet<&Identity> = before.keys().chain(after.keys()).collect();
    identities
        .into_iter()
        .filter_map(|identity| {
            let nothing = json!({});
            let (old, new) = (before.get(identity), after.get(identity));
            let action = action(old, new)?;
            let (live, desired) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
            let object = new.or(old)?;
            let text = |pointer: &str| {
                let value = object.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default()
            };
            let diff = difference(live, desired, Some(live));
            // Quantities may be written in two ways.
            (!diff.is_empty()).then(|| NamedChange {
                action,
                name: format!("{} {}", text("/kind"), text("/metadata/name")),
                diff,
            })
        })
        .collect()
}

/// An object without the label that every new version changes.
pub(super) fn without_version(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != VERSION_LABEL)
            .map(|(key, inner)| (key.clone(), without_version(inner)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_version).collect(),
        other => other.clone(),
    }
}

/// What the objects may do, a sentence each.
fn permissions(rendered: &[RenderedObject]) -> BTreeSet<String> {
    let nowhere = Files::new();
    let sources = Sources::new(ManifestKind::HelmChart, &nowhere);
    let mut found = BTreeSet::new();
    for it in rendered {
        // Declared or not, it is what they may do; wherever they are.
        let findings = objects::problems(it, &sources, &Declared::default(), "");
        let rights = ["security-context", "host-access", "read-only-root"];
        found.extend(
            findings
                .into_iter()
                .filter(|finding| rights.contains(&finding.rule))
                .map(|finding| finding.message),
        );
        rules(&it.object, &mut found);
    }
    found
}

/// The sentences of an object of RBAC, and of a pod that may speak to the API.
fn rules(object: &Value, found: &mut BTreeSet<String>) {
    let text = |value: &Value, pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let list = |value: &Value, field: &str| -> Vec<Value> {
        let list = value.get(field).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let kind = text(object, "/kind");
    let name = format!("{kind} {}", text(object, "/metadata/name"));
    match kind.as_str() {
        "Role" | "ClusterRole" => {
            for rule in list(object, "rules") {
                let words = |field: &str| -> Vec<String> {
                    let words = list(&rule, field);
                    words
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect()
                };
                let names = words("resourceNames");
                let only = match names.is_empty() {
                    true => String::new(),
                    false => format!(" named {}", names.join(", ")),
                };
                let groups = words("apiGroups");
                let mut things = words("nonResourceURLs");
                for resource in words("resources") {
                    things.extend(groups.iter().map(|group| match group.as_str() {
                        "" => resource.clone(),
                        group => format!("{resource}.{group}"),
                    }));
                }
                for verb in words("verbs") {
                    found.extend(
                        things
                            .iter()
                            .map(|thing| format!("{name} may {verb} {thing}{only}")),
                    );
                }
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = format!(
                "{} {}",
                text(object, "/roleRef/kind"),
                text(object, "/roleRef/name")
            );
            for subject in list(object, "subjects") {
                let who = format!("{} {}", text(&subject, "/kind"), text(&subject, "/name"));
                found.insert(format!("{name} gives the rights of {role} to {who}"));
            }
        }
        _ => {
            let token =
                pods::pod_of(object).map(|(pod, _)| pod.get("automountServiceAccountToken"));
            if token.is_some_and(|token| token != Some(&Value::Bool(false))) {
                found.insert(format!(
                    "the pods of {name} hold a token for the Kubernetes API"
                ));
            }
        }
    }
}
