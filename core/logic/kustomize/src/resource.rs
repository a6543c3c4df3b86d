//! An object with its history during a build.
//!
//! kustomize keeps the history in annotations of the object; here it stands
//! beside the object, and only two traces of that remain: a JSON patch may
//! count on `metadata.annotations`, and an empty one is dropped at the end.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use crate::error::Fault;
use crate::identity::{Gvk, Id};

const ANNOTATIONS: &str = "/metadata/annotations";

/// What a generated object does to one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behavior {
    #[default]
    Create,
    Replace,
    Merge,
}

#[derive(Debug, Clone, Default)]
pub struct Resource {
    pub value: Value,
    /// Earlier names, oldest first: effective namespace, name, kind.
    previous: Vec<(String, String, String)>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub behavior: Behavior,
    pub needs_hash: bool,
    /// Annotations that were written as plain times: each as it was written, and as Go
    /// writes it.
    times: BTreeMap<String, (Value, Value)>,
    /// Names of the variables whose value this object has.
    pub vars: Vec<String>,
    /// Where the object came from, as the origin annotation says it.
    pub origin: Option<String>,
    /// What changed it, one item of the transformations annotation each.
    pub transformations: Vec<String>,
}

impl Resource {
    pub fn new(value: Value) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    pub fn kind(&self) -> &str {
        text_at(&self.value, "kind")
    }

    pub fn api_version(&self) -> &str {
        text_at(&self.value, "apiVersion")
    }

    pub fn name(&self) -> String {
        self.metadata("name")
    }

    pub fn namespace(&self) -> String {
        self.metadata("namespace")
    }

    fn metadata(&self, field: &str) -> String {
        self.value
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
            .map(scalar_text)
            .unwrap_or_default()
    }

    pub fn gvk(&self) -> Gvk {
        Gvk::of(self.api_version(), self.kind())
    }

    /// The object's name now.
    pub fn id(&self) -> Id {
        Id {
            gvk: self.gvk(),
            name: self.name(),
            namespace: self.namespace(),
        }
    }

    /// Earlier names under the group and version the object has now.
    pub fn previous_ids(&self) -> Vec<Id> {
        self.previous
            .iter()
            .map(|(namespace, name, kind)| Id {
                gvk: Gvk::of(self.api_version(), kind),
                name: name.clone(),
                namespace: namespace.clone(),
            })
            .collect()
    }

    /// The name the object was loaded with.
    pub fn original_id(&self) -> Id {
        self.previous_ids()
            .into_iter()
            .next()
            .unwrap_or_else(|| self.id())
    }

    /// Every name the object has had, the present one last.
    pub fn all_ids(&self) -> Vec<Id> {
        let mut ids = self.previous_ids();
        ids.push(self.id());
        ids
    }

    /// Remembers the present name before something may change it.
    pub fn remember_name(&mut self) {
        let id = self.id();
        self.previous.push((
            id.effective_namespace().to_owned(),
            id.name.clone(),
            id.gvk.kind,
        ));
    }

    pub fn has_history(&self) -> bool {
        !self.previous.is_empty() || self.needs_hash || self.origin.is_some()
    }

    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            _ => false,
        }
    }

    pub fn set_name(&mut self, name: &str) {
        self.set_metadata("name", name);
    }

    /// Sets the namespace, or with an empty text removes it.
    pub fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            if let Some(Value::Object(metadata)) = self.value.get_mut("metadata") {
                metadata.remove("namespace");
            }
        } else {
            self.set_metadata("namespace", namespace);
        }
    }

    fn set_metadata(&mut self, field: &str, text: &str) {
        if let Value::Object(object) = &mut self.value
            && let Value::Object(metadata) = object
                .entry("metadata")
                .or_insert_with(|| Value::Object(Map::new()))
        {
            metadata.insert(field.to_owned(), Value::String(text.to_owned()));
        }
    }

    /// Labels or annotations, as texts.
    pub fn texts(&self, field: &str) -> Vec<(String, String)> {
        match self.value.get("metadata").and_then(|m| m.get(field)) {
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| (key.clone(), scalar_text(value)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The annotations' map, made where it is missing.
    pub fn annotations_mut(&mut self) -> Option<&mut Map<String, Value>> {
        let Value::Object(object) = &mut self.value else {
            return None;
        };
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(metadata) = metadata else {
            return None;
        };
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(Map::new()));
        if annotations.is_null() {
            *annotations = Value::Object(Map::new());
        }
        annotations.as_object_mut()
    }

    /// Keeps annotations as they were `written`: what is a time anywhere else, is a text
    /// to kustomize there.
    fn keep_annotations(&mut self, written: &Value) {
        let (Some(Value::Object(own)), Some(Value::Object(written))) = (
            self.value.pointer_mut(ANNOTATIONS),
            written.pointer(ANNOTATIONS),
        ) else {
            return;
        };
        for (key, text) in written {
            if let Some(slot) = own.get_mut(key).filter(|slot| *slot != text) {
                let time = std::mem::replace(slot, text.clone());
                self.times.insert(key.clone(), (text.clone(), time));
            }
        }
    }

    /// Makes times of the annotations that were written as such and are so still: for a
    /// JSON patch kustomize writes the object as JSON.
    pub fn write_times(&mut self) {
        let times = std::mem::take(&mut self.times);
        let Some(Value::Object(own)) = self.value.pointer_mut(ANNOTATIONS) else {
            return;
        };
        for (key, (written, time)) in times {
            if let Some(slot) = own.get_mut(&key).filter(|slot| **slot == written) {
                *slot = time;
            }
        }
    }

    /// Takes over what a patch that was merged in wrote as times.
    pub fn take_times(&mut self, patch: &Self) {
        let times = patch.times.iter();
        self.times
            .extend(times.map(|(key, time)| (key.clone(), time.clone())));
    }

    /// Takes over what an older object of the same name has: labels and
    /// annotations it does not set itself, the name, the namespace, the
    /// history. The hash stays only where both ask for it.
    pub fn inherit_metadata(&mut self, older: &Self) {
        for field in ["labels", "annotations"] {
            let mut merged: Map<String, Value> = older
                .texts(field)
                .into_iter()
                .chain(self.texts(field))
                .map(|(key, text)| (key, Value::String(text)))
                .collect();
            if merged.is_empty() {
                continue;
            }
            if let Value::Object(object) = &mut self.value
                && let Some(Value::Object(metadata)) = object.get_mut("metadata")
            {
                metadata.insert(field.to_owned(), Value::Object(std::mem::take(&mut merged)));
            }
        }
        self.set_name(&older.name());
        self.set_namespace(&older.namespace());
        self.previous.clone_from(&older.previous);
        self.prefixes.clone_from(&older.prefixes);
        self.suffixes.clone_from(&older.suffixes);
        self.vars.clone_from(&older.vars);
        self.behavior = older.behavior;
        self.needs_hash = self.needs_hash && older.needs_hash;
    }

    /// Keeps the older object's entries of a data map that this one lacks.
    pub fn inherit_data(&mut self, field: &str, older: &Self) {
        let Some(Value::Object(old)) = older.value.get(field) else {
            return;
        };
        let Value::Object(object) = &mut self.value else {
            return;
        };
        let map = object
            .entry(field)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = map {
            for (key, value) in old {
                map.entry(key.clone())
                    .or_insert_with(|| Value::String(scalar_text(value)));
            }
        }
    }
}

/// A scalar as YAML would write it without quotes; nothing for the rest.
pub fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

fn text_at<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Reads the objects of a YAML text, lists taken apart.
pub fn parse(text: &[u8]) -> Result<Vec<Resource>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::new("the file is not UTF-8 text"))?;
    let fault = |error: catalyst_yaml::Error| Fault::new(error.to_string());
    let documents = catalyst_yaml::documents_with_times(text).map_err(fault)?;
    let mut written = match may_hold_times(text) {
        true => catalyst_yaml::documents_with_words_as_text(text).map_err(fault)?,
        false => Vec::new(),
    }
    .into_iter();
    let mut resources = Vec::new();
    let mut waiting: VecDeque<(Value, Option<Value>)> = documents
        .into_iter()
        .map(|document| (document, written.next()))
        .collect();
    while let Some((document, written)) = waiting.pop_front() {
        let Value::Object(object) = &document else {
            if document.is_null() {
                continue;
            }
            return Err(Fault::new("a document is not an object"));
        };
        if object.is_empty() {
            continue;
        }
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
        if kind.is_empty() {
            return Err(Fault::new("an object has no kind"));
        }
        if kind.ends_with("List") {
            match object.get("items") {
                Some(Value::Array(items)) => {
                    let written = written.as_ref().and_then(|list| list.get("items"));
                    waiting.extend(items.iter().enumerate().map(|(at, item)| {
                        let written = written.and_then(|items| items.get(at));
                        (item.clone(), written.cloned())
                    }));
                }
                Some(Value::Null) => {}
                Some(_) => return Err(Fault::new(format!("items of the {kind} is not a list"))),
                None => resources.push(resource(document, written.as_ref())),
            }
            continue;
        }
        let resource = resource(document, written.as_ref());
        if resource.name().is_empty() {
            return Err(Fault::new(format!(
                "an object of kind {} has no metadata.name",
                resource.kind()
            )));
        }
        resources.push(resource);
    }
    Ok(resources)
}

fn resource(document: Value, written: Option<&Value>) -> Resource {
    let mut resource = Resource::new(document);
    if let Some(written) = written {
        resource.keep_annotations(written);
    }
    resource
}

/// Whether there is anything that begins as a time does.
fn may_hold_times(text: &str) -> bool {
    let is_year = |bytes: &[u8]| match bytes {
        [year @ .., b'-'] => year.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    text.as_bytes().windows(5).any(is_year)
}
