//! Repairs references to objects whose names a build changed.
//!
//! Runs once, at the root, after all names are final. A field that holds a
//! name (see [`crate::config`]) is rewritten when exactly one object had that
//! name before and could be meant: of the right kind, visible from the
//! referrer's namespace, and renamed in the same overlays.

use serde_json::Value;

use crate::config::Config;
use crate::error::Fault;
use crate::field::{self, Make};
use crate::identity::{Gvk, Id};
use crate::resource::{Resource, scalar_text};

/// What a reference needs to know about an object.
struct Candidate {
    id: Id,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

pub fn repair(resources: &mut [Resource], config: &Config) -> Result<(), Fault> {
    let candidates: Vec<Candidate> = resources
        .iter()
        .map(|object| Candidate {
            id: object.id(),
            previous: object.previous_ids(),
            prefixes: object.prefixes.clone(),
            suffixes: object.suffixes.clone(),
        })
        .collect();
    for (at, object) in resources.iter_mut().enumerate() {
        let Some(own) = candidates.get(at) else {
            continue;
        };
        let visible = visible_from(own, object, &candidates);
        let original = object.original_id();
        for reference in &config.name_reference {
            for spec in &reference.field_specs {
                if !original.gvk.is_selected_by(&spec.gvk()) {
                    continue;
                }
                let role = role_of(object, &spec.path);
                let find = Find {
                    referrer: own,
                    candidates: &visible,
                    target: reference.gvk(),
                    role,
                };
                // The field is looked for whatever the object's kind is now.
                let here = field::FieldSpec::any(&spec.path);
                field::visit(&mut object.value, &here, Make::Nothing, &mut |value| {
                    find.rewrite(value)
                })
                .map_err(|Fault(message)| {
                    Fault::new(format!("updating name reference in {}: {message}", own.id))
                })?;
            }
        }
    }
    Ok(())
}

/// Objects that `own` may refer to: those of its namespace and those without
/// one; a RoleBinding also those where its ServiceAccounts are.
fn visible_from<'a>(
    own: &Candidate,
    object: &Resource,
    all: &'a [Candidate],
) -> Vec<&'a Candidate> {
    if own.id.gvk.is_cluster_scoped() {
        return all.iter().collect();
    }
    let mut namespaces: Vec<String> = Vec::new();
    if object.kind() == "RoleBinding"
        && let Some(Value::Array(subjects)) = object.value.get("subjects")
    {
        namespaces = subjects
            .iter()
            .filter(|s| s.get("kind").and_then(Value::as_str) == Some("ServiceAccount"))
            .filter_map(|s| s.get("namespace").map(scalar_text))
            .collect();
    }
    all.iter()
        .filter(|other| {
            other.id.gvk.is_cluster_scoped()
                || other.id.same_namespace(&own.id)
                || namespaces.contains(&other.id.namespace)
        })
        .collect()
}

/// The kind a `roleRef` names: Role and ClusterRole share the field.
fn role_of(object: &Resource, path: &str) -> Option<Gvk> {
    if !path.ends_with("roleRef/name") {
        return None;
    }
    let role = object.value.get("roleRef")?;
    Some(Gvk {
        group: role.get("apiGroup").map(scalar_text)?,
        version: String::new(),
        kind: role.get("kind").map(scalar_text)?,
    })
}

struct Find<'a> {
    referrer: &'a Candidate,
    candidates: &'a [&'a Candidate],
    target: Gvk,
    role: Option<Gvk>,
}

impl Find<'_> {
    fn rewrite(&self, value: &mut Value) -> Result<(), Fault> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => {
                for item in items {
                    self.rewrite(item)?;
                }
                Ok(())
            }
            Value::Object(_) => self.rewrite_map(value),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                let name = scalar_text(value);
                let same = |a: &Candidate, b: &Candidate| a.id.name == b.id.name;
                if let Some(found) = self.select(&name, self.candidates, same)?
                    && found.id.name != name
                {
                    *value = Value::String(found.id.name.clone());
                }
                Ok(())
            }
        }
    }

    /// A map with a name and perhaps a namespace.
    fn rewrite_map(&self, value: &mut Value) -> Result<(), Fault> {
        let Value::Object(map) = value else {
            return Ok(());
        };
        let Some(name) = map.get("name").map(scalar_text) else {
            return Err(Fault::new("there is no `name` where the reference points"));
        };
        let candidates: Vec<&Candidate> = match map.get("namespace").map(scalar_text) {
            None => self.candidates.to_vec(),
            Some(namespace) => {
                let in_namespace =
                    |id: &Id| !id.gvk.is_cluster_scoped() && id.effective_namespace() == namespace;
                let original = |c: &&&Candidate| in_namespace(c.previous.first().unwrap_or(&c.id));
                let found: Vec<&Candidate> =
                    self.candidates.iter().filter(original).copied().collect();
                if found.is_empty() {
                    self.candidates
                        .iter()
                        .filter(|c| in_namespace(&c.id))
                        .copied()
                        .collect()
                } else {
                    found
                }
            }
        };
        let same = |a: &Candidate, b: &Candidate| {
            a.id.name == b.id.name && a.id.namespace == b.id.namespace
        };
        let Some(found) = self.select(&name, &candidates, same)? else {
            return Ok(());
        };
        if found.id.name != name {
            map.insert("name".to_owned(), Value::String(found.id.name.clone()));
        }
        if !found.id.namespace.is_empty() {
            map.insert(
                "namespace".to_owned(),
                Value::String(found.id.namespace.clone()),
            );
        }
        Ok(())
    }

    fn select<'b>(
        &self,
        name: &str,
        candidates: &[&'b Candidate],
        same: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Result<Option<&'b Candidate>, Fault> {
        let had = |c: &Candidate, gvk: &Gvk| c.previous.iter().any(|id| id.gvk.is_selected_by(gvk));
        let mut left: Vec<&Candidate> = candidates
            .iter()
            .copied()
            .filter(|c| c.previous.iter().any(|id| id.name == name))
            .filter(|c| had(c, &self.target))
            .filter(|c| self.role.as_ref().is_none_or(|role| had(c, role)))
            .filter(|c| {
                self.referrer.id.gvk.is_cluster_scoped()
                    || c.id.gvk.is_cluster_scoped()
                    || c.id.gvk.kind == "ServiceAccount"
                    || c.id.same_namespace(&self.referrer.id)
            })
            .collect();
        if left.len() > 1 || left.is_empty() {
            left.retain(|c| self.renamed_alike(c, true));
        }
        if left.len() > 1 {
            left.retain(|c| self.renamed_alike(c, false));
        }
        let Some(first) = left.first().copied() else {
            return Ok(None);
        };
        if left.iter().all(|other| same(first, other)) {
            return Ok(Some(first));
        }
        let names: Vec<String> = left.iter().map(|c| c.id.to_string()).collect();
        Err(Fault::new(format!(
            "{name:?} could refer to any of {}",
            names.join(", ")
        )))
    }

    /// True where both were renamed by the same overlays; with `lenient`, one
    /// that was not renamed fits any.
    fn renamed_alike(&self, candidate: &Candidate, lenient: bool) -> bool {
        let alike = |a: &[String], b: &[String]| {
            (lenient && (a.is_empty() || b.is_empty())) || same_end(a, b)
        };
        alike(&candidate.prefixes, &self.referrer.prefixes)
            && alike(&candidate.suffixes, &self.referrer.suffixes)
    }
}

/// True where the shorter list is the end of the longer one; an empty one is
/// only like an empty one.
fn same_end(a: &[String], b: &[String]) -> bool {
    if a.is_empty() || b.is_empty() {
        return a.is_empty() && b.is_empty();
    }
    a.ends_with(b) || b.ends_with(a)
}
