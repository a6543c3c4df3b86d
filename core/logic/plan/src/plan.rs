//! Desired against live: an immutable plan.
//!
//! What must stay true: the same input gives the same plan, byte for byte; the
//! digest is of what Git and the catalogue say alone, so that a rollout that goes on
//! does not change it; no value of a Secret is in it.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{PlanView, PlannedAction, PlannedApplication, PlannedFile, PlannedObject};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::compare::{self, Identity};
use crate::derived::{self, derived};

/// An object and the Application that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedObject {
    /// The Application's name.
    pub application: String,
    /// The object, whole.
    pub object: Value,
}

/// What a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct PlanInput {
    /// The Environment.
    pub environment: String,
    /// The subject line that the commit would have.
    pub subject: String,
    /// Files of the repository before the change, by path; those that do not
    /// change may be left out on both sides.
    pub before: BTreeMap<String, String>,
    /// The same after the change.
    pub after: BTreeMap<String, String>,
    /// The Applications that come, change or go, the asked-for one first.
    pub applications: Vec<PlannedApplication>,
    /// What the touched Applications were meant to be before the change.
    pub previous: Vec<OwnedObject>,
    /// What they shall be after it, in the order of applying.
    pub desired: Vec<OwnedObject>,
    /// The objects as they are in the vcluster, as many of `previous`, `desired` and
    /// what is [`derived()`] from them as exist; `None` when the vcluster was not asked.
    pub live: Option<Vec<Value>>,
    /// Policies that turn this into a pull request.
    pub policies: Vec<String>,
    /// What the caller should know but need not mend.
    pub warnings: Vec<String>,
}

/// What would change, file by file and object by object.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    view: PlanView,
    files: BTreeMap<String, Option<String>>,
}

impl Plan {
    /// `sha256:…` over what the plan makes of Git and the catalogue: all that it
    /// says but warnings, and objects as they change from what Git said before.
    pub fn digest(&self) -> &str {
        &self.view.digest
    }

    /// The plan as users see it.
    pub fn view(&self) -> &PlanView {
        &self.view
    }

    /// The files to write, by path; `None` where one is removed.
    pub fn files(&self) -> &BTreeMap<String, Option<String>> {
        &self.files
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Compares what is wanted with what is there.
pub fn plan(input: PlanInput) -> Plan {
    let files = changed_files(&input.before, &input.after);
    let planned_files = files
        .iter()
        .map(|(path, after)| planned_file(path, input.before.get(path), after.as_deref()))
        .collect();
    let objects = planned_objects(&input, input.live.as_deref());
    let in_git = match input.live {
        Some(_) => planned_objects(&input, None),
        None => objects.clone(),
    };
    let mut view = PlanView {
        digest: String::new(),
        environment: input.environment,
        subject: input.subject,
        applications: input.applications,
        files: planned_files,
        objects,
        policies: input.policies,
        warnings: input.warnings,
    };
    view.digest = digest(&PlanView {
        objects: in_git,
        warnings: Vec::new(),
        ..view.clone()
    });
    Plan { view, files }
}

fn changed_files(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let gone = before
        .keys()
        .filter(|path| !after.contains_key(*path))
        .map(|path| (path.clone(), None));
    let written = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text))
        .map(|(path, text)| (path.clone(), Some(text.clone())));
    gone.chain(written).collect()
}

fn planned_file(path: &str, before: Option<&String>, after: Option<&str>) -> PlannedFile {
    let action = match (before, after) {
        (None, _) => PlannedAction::Create,
        (Some(_), Some(_)) => PlannedAction::Update,
        (Some(_), None) => PlannedAction::Delete,
    };
    PlannedFile {
        action,
        path: path.to_owned(),
        diff: compare::unified(path, before.map(String::as_str), after),
    }
}

/// What becomes of each object, compared with what is `live`; with what Git said
/// before where that is not known.
fn planned_objects(input: &PlanInput, live: Option<&[Value]>) -> Vec<PlannedObject> {
    let index = |objects: &[OwnedObject]| -> BTreeMap<Identity, Value> {
        objects
            .iter()
            .map(|owned| (Identity::of(&owned.object), owned.object.clone()))
            .collect()
    };
    let previous = index(&input.previous);
    let desired = index(&input.desired);
    let live: Option<BTreeMap<Identity, &Value>> = live.map(|live| {
        live.iter()
            .map(|object| (Identity::of(object), object))
            .collect()
    });
    let mut planned = Vec::new();
    for owned in &input.desired {
        let identity = Identity::of(&owned.object);
        let before = previous.get(&identity);
        let found = match &live {
            Some(live) => live.get(&identity).copied(),
            None => before,
        };
        let (action, diff) = match found {
            None => (PlannedAction::Create, String::new()),
            Some(found) => {
                let diff = compare::difference(found, &owned.object, before);
                if diff.is_empty() {
                    (PlannedAction::None, diff)
                } else {
                    (PlannedAction::Update, diff)
                }
            }
        };
        if action != PlannedAction::None {
            planned.push(identity.planned(action, &owned.application, diff));
        }
        // What the object as it is makes, too, comes by it and not by this change.
        let made: BTreeSet<Identity> = found
            .map(|found| OwnedObject {
                application: owned.application.clone(),
                object: found.clone(),
            })
            .iter()
            .flat_map(derived)
            .map(|it| Identity::of(&it.object))
            .collect();
        for it in derived(owned) {
            let identity = Identity::of(&it.object);
            // Volumes that were kept are there already.
            let is_there = live
                .as_ref()
                .is_some_and(|live| live.contains_key(&identity));
            if made.contains(&identity) || desired.contains_key(&identity) || is_there {
                continue;
            }
            planned.push(PlannedObject {
                made_by: Some(derived::maker(&owned.object)),
                size: derived::size(&it.object),
                ..identity.planned(PlannedAction::Create, &owned.application, String::new())
            });
        }
    }
    // What goes, goes in the opposite order of its coming.
    for owned in input.previous.iter().rev() {
        let identity = Identity::of(&owned.object);
        let is_there = live
            .as_ref()
            .is_none_or(|live| live.contains_key(&identity));
        if !desired.contains_key(&identity) && is_there {
            planned.push(identity.planned(
                PlannedAction::Delete,
                &owned.application,
                String::new(),
            ));
        }
    }
    planned
}

fn digest(view: &PlanView) -> String {
    // PlanView is a struct of texts: it always has a JSON form.
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.remove("digest");
    }
    digest_of(&value)
}

/// `sha256:…` of a value as JSON with sorted keys.
pub fn digest_of(value: &Value) -> String {
    let mut canonical = String::new();
    write_canonical(value, &mut canonical);
    format!("sha256:{}", hex::encode(Sha256::digest(canonical)))
}

/// JSON with sorted keys and no spaces, whatever order the maps keep.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, inner)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(inner, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, inner) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(inner, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
