//! Which objects a patch, a replacement or a target means.

use regex::Regex;
use serde::Deserialize;

use crate::error::Fault;
use crate::identity::{Gvk, Id};
use crate::resource::Resource;

/// `target` of a patch, `select` and `reject` of a replacement.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Selector {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub label_selector: String,
    pub annotation_selector: String,
}

impl Selector {
    pub fn id(&self) -> Id {
        Id {
            gvk: Gvk {
                group: self.group.clone(),
                version: self.version.clone(),
                kind: self.kind.clone(),
            },
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub fn has_requirements(&self) -> bool {
        !self.label_selector.is_empty() || !self.annotation_selector.is_empty()
    }

    /// True where labels and annotations fit.
    pub fn labels_fit(&self, resource: &Resource) -> Result<bool, Fault> {
        Ok(fits(&self.label_selector, &resource.texts("labels"))?
            && fits(&self.annotation_selector, &resource.texts("annotations"))?)
    }

    /// Positions of the objects that fit: every part is a regular expression
    /// over the whole text, and names fit as loaded or as they are now.
    pub fn select(&self, resources: &[Resource]) -> Result<Vec<usize>, Fault> {
        let group = anchored(&self.group)?;
        let version = anchored(&self.version)?;
        let kind = anchored(&self.kind)?;
        let name = anchored(&self.name)?;
        let namespace = anchored(&self.namespace)?;
        let is = |pattern: &Option<Regex>, text: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
        };
        let mut selected = Vec::new();
        for (at, resource) in resources.iter().enumerate() {
            let (now, original) = (resource.id(), resource.original_id());
            if (is(&namespace, original.effective_namespace())
                || is(&namespace, now.effective_namespace()))
                && (is(&name, &original.name) || is(&name, &now.name))
                && is(&group, &now.gvk.group)
                && is(&version, &now.gvk.version)
                && is(&kind, &now.gvk.kind)
                && self.labels_fit(resource)?
            {
                selected.push(at);
            }
        }
        Ok(selected)
    }
}

fn anchored(pattern: &str) -> Result<Option<Regex>, Fault> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Regex::new(&format!("^(?:{pattern})$"))
        .map(Some)
        .map_err(|_| {
            Fault::new(format!(
                "{pattern:?} in the target is not a regular expression"
            ))
        })
}

/// A Kubernetes label selector over `texts`.
fn fits(selector: &str, texts: &[(String, String)]) -> Result<bool, Fault> {
    for requirement in requirements(selector) {
        if !requirement_fits(&requirement, texts).ok_or_else(|| {
            Fault::new(format!(
                "cannot read {requirement:?} in selector {selector:?}"
            ))
        })? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Splits at commas outside parentheses.
fn requirements(selector: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Nothing where the requirement cannot be read.
fn requirement_fits(requirement: &str, texts: &[(String, String)]) -> Option<bool> {
    let value_of = |key: &str| {
        texts
            .iter()
            .find(|(name, _)| name == key.trim())
            .map(|(_, value)| value.as_str())
    };
    if let Some(key) = requirement.strip_prefix('!') {
        return Some(value_of(key).is_none());
    }
    if let Some((key, value)) = requirement.split_once("!=") {
        return Some(value_of(key) != Some(value.trim()));
    }
    if let Some((key, value)) = requirement
        .split_once("==")
        .or_else(|| requirement.split_once('='))
    {
        return Some(value_of(key) == Some(value.trim()));
    }
    if let Some((head, values)) = requirement.split_once('(') {
        let values: Vec<&str> = values
            .strip_suffix(')')?
            .split(',')
            .map(str::trim)
            .collect();
        let mut words = head.split_whitespace();
        let key = words.next()?;
        let found = value_of(key).is_some_and(|value| values.contains(&value));
        return match (words.next()?, words.next()) {
            ("in", None) => Some(found),
            ("notin", None) => Some(!found),
            _ => None,
        };
    }
    if requirement.contains(char::is_whitespace) {
        return None;
    }
    Some(value_of(requirement).is_some())
}
