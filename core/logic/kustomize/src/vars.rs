//! `vars`: values of fields, for other fields that name them as `$(NAME)`.
//!
//! `replacements` took their place, and what was written before them goes on. A
//! variable is bound to its object by the kustomization that declares it, as names may
//! change further up; its value is written in once, at the root, when nothing changes
//! any more.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;
use crate::field::{self, FieldSpec, Make};
use crate::identity::{Gvk, Id};
use crate::path;
use crate::resource::{Resource, scalar_text};

/// The field that is meant where none is named.
const DEFAULT_PATH: &str = "metadata.name";
/// The most bytes that variables may write into all objects together: a long value
/// named often would otherwise need any amount of memory.
const MOST_WRITTEN: usize = 16 << 20;

/// Variables by name.
pub type Vars = BTreeMap<String, Var>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Var {
    name: String,
    objref: ObjectReference,
    fieldref: FieldReference,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct ObjectReference {
    api_version: String,
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct FieldReference {
    field_path: String,
}

impl ObjectReference {
    fn id(&self) -> Id {
        let mut gvk = Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        };
        let parts: Vec<&str> = self.api_version.split('/').collect();
        match parts.as_slice() {
            [version] if !version.is_empty() => (*version).clone_into(&mut gvk.version),
            [group, version] => {
                (*group).clone_into(&mut gvk.group);
                (*version).clone_into(&mut gvk.version);
            }
            _ => {}
        }
        Id {
            gvk,
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

/// Binds what a kustomization declares to the objects it has, and adds it to `known`.
pub fn declare(vars: &[Var], resources: &mut [Resource], known: &mut Vars) -> Result<(), Fault> {
    for var in vars {
        let wanted = var.objref.id();
        // Without a namespace any will do.
        let is_exact = !wanted.namespace.is_empty() || wanted.gvk.is_cluster_scoped();
        let is_meant = |id: &Id| {
            id.gvk == wanted.gvk
                && id.name == wanted.name
                && (!is_exact || id.same_namespace(&wanted))
        };
        let mut meant = resources
            .iter_mut()
            .filter(|object| object.all_ids().iter().any(is_meant));
        let (only, more) = (meant.next(), meant.next());
        if more.is_some() {
            return Err(Fault::new(format!(
                "the variable {:?} could mean several objects by {wanted}; name their namespace",
                var.name
            )));
        }
        if let Some(object) = only {
            object.vars.push(var.name.clone());
        }
    }
    vars.iter()
        .try_for_each(|var| add(known, var.name.clone(), var.clone()))
}

/// Adds the variables of a base.
pub fn merge(known: &mut Vars, more: Vars) -> Result<(), Fault> {
    more.into_iter()
        .try_for_each(|(name, var)| add(known, name, var))
}

fn add(known: &mut Vars, name: String, var: Var) -> Result<(), Fault> {
    if known.contains_key(&name) {
        return Err(Fault::new(format!(
            "the variable {name:?} is declared more than once"
        )));
    }
    known.insert(name, var);
    Ok(())
}

/// Writes the values of all variables into the fields that may name them.
pub fn resolve(resources: &mut [Resource], vars: &Vars, specs: &[FieldSpec]) -> Result<(), Fault> {
    if vars.is_empty() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for (name, var) in vars {
        values.insert(name.clone(), var.value(resources)?);
    }
    let mut writer = Writer {
        values,
        left: MOST_WRITTEN,
    };
    for object in resources {
        let id = object.id();
        for spec in specs {
            field::visit(&mut object.value, spec, Make::Nothing, &mut |value| {
                writer.write(value)
            })
            .map_err(|Fault(message)| Fault::new(format!("{id}: {message}")))?;
        }
    }
    Ok(())
}

impl Var {
    fn value(&self, resources: &[Resource]) -> Result<Value, Fault> {
        let bound = resources
            .iter()
            .find(|object| object.vars.contains(&self.name));
        let Some(object) = bound else {
            return Err(Fault::new(format!(
                "the variable {:?} names {}, which the kustomization that declares it does not have",
                self.name,
                self.objref.id()
            )));
        };
        let field = match self.fieldref.field_path.as_str() {
            "" => DEFAULT_PATH,
            named => named,
        };
        let found = path::lookup(&object.value, &steps(field))?;
        match found {
            Some(found) if !found.is_null() => Ok(found.clone()),
            _ => Err(Fault::new(format!(
                "the variable {:?} names the field {field} of {}, which is not there",
                self.name,
                object.id()
            ))),
        }
    }
}

/// The steps of a path in which an index may stand behind its list, `ports[0]`.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for part in path::split(path) {
        let indexed = part
            .strip_suffix(']')
            .and_then(|part| part.rsplit_once('['))
            .filter(|(_, at)| !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit()));
        match indexed {
            Some((list, at)) => {
                let list = Some(list).filter(|list| !list.is_empty());
                steps.extend(list.into_iter().chain([at]).map(str::to_owned));
            }
            None => steps.push(part),
        }
    }
    steps
}

struct Writer {
    values: BTreeMap<String, Value>,
    /// Bytes that may still be written.
    left: usize,
}

impl Writer {
    /// Into a text, the texts of a map, or a list of texts; nothing deeper.
    fn write(&mut self, value: &mut Value) -> Result<(), Fault> {
        match value {
            Value::Object(map) => map
                .values_mut()
                .try_for_each(|field| self.write_text(field)),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                Value::String(_) => self.write_text(item),
                _ => Err(Fault::new(
                    "a list that may name variables holds something that is no text; quote it",
                )),
            }),
            _ => self.write_text(value),
        }
    }

    fn write_text(&mut self, value: &mut Value) -> Result<(), Fault> {
        let Value::String(text) = value else {
            return Ok(());
        };
        let written = self.expanded(text)?;
        *value = written;
        Ok(())
    }

    /// A text with what it names; what is a variable and nothing else gets its type too.
    /// `$$` stands for a dollar, and a name that nobody declared stays.
    fn expanded(&mut self, text: &str) -> Result<Value, Fault> {
        let whole = text
            .strip_prefix("$(")
            .and_then(|rest| rest.strip_suffix(')'));
        if let Some(value) = whole.and_then(|name| self.values.get(name))
            && is_primitive(value)
        {
            let value = value.clone();
            self.spend(scalar_text(&value).len())?;
            return Ok(value);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let mut following = after.chars();
            rest = match following.next() {
                Some('$') => {
                    out.push('$');
                    following.as_str()
                }
                Some('(') => match following.as_str().split_once(')') {
                    Some((name, more)) => {
                        self.push(&mut out, name)?;
                        more
                    }
                    None => {
                        out.push_str("$(");
                        following.as_str()
                    }
                },
                Some(other) => {
                    out.extend(['$', other]);
                    following.as_str()
                }
                None => {
                    out.push('$');
                    ""
                }
            };
        }
        out.push_str(rest);
        Ok(Value::String(out))
    }

    fn push(&mut self, out: &mut String, name: &str) -> Result<(), Fault> {
        let value = self.values.get(name).filter(|value| is_primitive(value));
        match value.map(scalar_text) {
            Some(text) => {
                self.spend(text.len())?;
                out.push_str(&text);
            }
            None => out.extend(["$(", name, ")"]),
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            Fault::new(format!(
                "variables write more than {MOST_WRITTEN} bytes; name long values less often"
            ))
        })?;
        self.left = left;
        Ok(())
    }
}

/// Maps and lists cannot stand in a text, so what names one stays as it is.
fn is_primitive(value: &Value) -> bool {
    !(value.is_object() || value.is_array())
}

/// Where Kubernetes' own kinds may name variables.
pub fn fields() -> Vec<FieldSpec> {
    let mut specs = Vec::new();
    let mut add = |kind: &str, path: &str| specs.push(FieldSpec::of("", kind, path));
    let of_pods = [
        ("CronJob", "spec/jobTemplate/spec/template/spec"),
        ("DaemonSet", "spec/template/spec"),
        ("Deployment", "spec/template/spec"),
        ("Job", "spec/template/spec"),
        ("Pod", "spec"),
        ("ReplicaSet", "spec/template/spec"),
        ("StatefulSet", "spec/template/spec"),
    ];
    for (kind, pod) in of_pods {
        for containers in ["containers", "initContainers"] {
            for field in ["args", "command", "env/value", "volumeMounts/mountPath"] {
                add(kind, &format!("{pod}/{containers}/{field}"));
            }
        }
        match kind {
            // Kustomize looks there, where no CronJob has any.
            "CronJob" => add(kind, "spec/jobTemplate/spec/template/volumes/nfs/server"),
            "StatefulSet" => add(kind, "spec/volumeClaimTemplates/spec/nfs/server"),
            _ => add(kind, &format!("{pod}/volumes/nfs/server")),
        }
    }
    for (kind, path) in [
        ("Deployment", "spec/template/metadata/annotations"),
        ("Ingress", "spec/rules/host"),
        ("Ingress", "spec/tls/hosts"),
        ("Ingress", "spec/tls/secretName"),
        ("PersistentVolume", "spec/nfs/server"),
        ("Service", "spec/ports/port"),
        ("Service", "spec/ports/targetPort"),
        ("", "metadata/annotations"),
        ("", "metadata/labels"),
    ] {
        add(kind, path);
    }
    specs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &Value) {
        let values = [
            ("NAME", json!("web")),
            ("PORT", json!(80)),
            ("ON", json!(true)),
            ("LIST", json!([1])),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let mut writer = Writer {
            values: BTreeMap::from(values),
            left: 100,
        };
        assert_eq!(writer.expanded(text).unwrap(), *expected, "{text}");
    }

    #[test]
    fn a_text_gets_what_it_names() {
        for (text, expected) in [
            ("", json!("")),
            ("plain", json!("plain")),
            ("$(NAME)", json!("web")),
            ("$(PORT)", json!(80)),
            ("$(ON)", json!(true)),
            ("$(PORT)$(ON)", json!("80true")),
            ("http://$(NAME):$(PORT)/", json!("http://web:80/")),
            ("$(LIST)", json!("$(LIST)")),
            ("a $(LIST)", json!("a $(LIST)")),
            ("$(OTHER) $()", json!("$(OTHER) $()")),
            ("$$(NAME)", json!("$(NAME)")),
            ("$$$(NAME)", json!("$web")),
            ("$NAME $é $", json!("$NAME $é $")),
            ("$(NAME", json!("$(NAME")),
            ("$($(NAME)", json!("$($(NAME)")),
        ] {
            check(text, &expected);
        }
    }

    #[test]
    fn a_long_value_is_not_written_without_end() {
        let mut writer = Writer {
            values: BTreeMap::from([("A".to_owned(), json!("0123456789"))]),
            left: 25,
        };
        assert!(writer.expanded("$(A)").is_ok());
        assert!(writer.expanded("$(A)").is_ok());
        let refused = writer.expanded("x$(A)").unwrap_err();
        assert!(
            refused.0.contains("variables write more than"),
            "{refused:?}"
        );
    }

    #[test]
    fn an_index_may_stand_behind_its_list() {
        for (path, expected) in [
            ("metadata.name", &["metadata", "name"][..]),
            ("spec.ports[0].port", &["spec", "ports", "0", "port"][..]),
            ("spec.ports.[1].port", &["spec", "ports", "1", "port"][..]),
            ("spec.ports.2.port", &["spec", "ports", "2", "port"][..]),
        ] {
            assert_eq!(steps(path), expected, "{path}");
        }
    }
}
