//! Every Blueprint that can be chosen, and what of them may be named unasked.
//!
//! What must stay true: what is suggested, or listed as what there is instead, is
//! listed; a reason is no way around `visibility`.

use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version;

use crate::{Blueprint, Visibility};

/// The most versions that one sentence names.
const MAX_NAMED: usize = 5;

/// The Blueprints of one source: name → versions.
type Source = BTreeMap<String, BTreeMap<Version, Arc<Blueprint>>>;

/// Every Blueprint that can be chosen, by source. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    sources: BTreeMap<String, Arc<Source>>,
}

impl Catalog {
    /// A catalog with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a version, replacing the same one.
    pub fn insert(&mut self, source: impl Into<String>, blueprint: Blueprint) {
        let name = blueprint.name().to_owned();
        let version = blueprint.version().clone();
        let source = self.sources.entry(source.into()).or_default();
        let versions = Arc::make_mut(source).entry(name).or_default();
        versions.insert(version, Arc::new(blueprint));
    }

    /// What of it somebody knows of, `knows` being asked for each version by its
    /// source. The rest is as if it were not there, in answers and in reasons alike.
    pub fn narrowed(&self, knows: impl Fn(&str, Visibility) -> bool) -> Self {
        self.retained(|source, it| knows(source, it.spec.visibility))
    }

    /// The versions that `keeps` says yes to, being asked for each by its source.
    pub fn retained(&self, keeps: impl Fn(&str, &Blueprint) -> bool) -> Self {
        let mut sources = BTreeMap::new();
        for (name, source) in &self.sources {
            let is_kept = |it: &Arc<Blueprint>| keeps(name, it);
            let kept = if source.values().flat_map(BTreeMap::values).all(is_kept) {
                Arc::clone(source)
            } else {
                let mut kept = Source::clone(source);
                for versions in kept.values_mut() {
                    versions.retain(|_, it| is_kept(it));
                }
                kept.retain(|_, versions| !versions.is_empty());
                Arc::new(kept)
            };
            sources.insert(name.clone(), kept);
        }
        Self { sources }
    }

    /// One version.
    pub fn get(&self, source: &str, name: &str, version: &Version) -> Option<&Blueprint> {
        self.versions(source, name)?.get(version).map(AsRef::as_ref)
    }

    /// All versions of a Blueprint, oldest first.
    pub fn versions(&self, source: &str, name: &str) -> Option<&BTreeMap<Version, Arc<Blueprint>>> {
        self.sources.get(source)?.get(name)
    }

    /// The newest versions of a Blueprint that may be named to whoever asked for none of
    /// them, `1.1.0, 1.0.0`: a few of those that its source lists. `None` where it lists
    /// none.
    pub fn named_versions(&self, source: &str, name: &str) -> Option<String> {
        let named: Vec<String> = self
            .versions(source, name)?
            .iter()
            .rev()
            .filter(|(_, it)| it.spec.visibility.is_listed(source))
            .take(MAX_NAMED)
            .map(|(version, _)| version.to_string())
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// The sources that list a Blueprint of this name.
    pub fn sources_that_list(&self, name: &str) -> Vec<&str> {
        let sources = self.sources.keys().map(String::as_str);
        sources
            .filter(|source| self.named_versions(source, name).is_some())
            .collect()
    }

    /// The Blueprints of a source that may be suggested: those that it lists.
    pub(crate) fn names<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a str> {
        let blueprints = self
            .sources
            .get(source)
            .into_iter()
            .flat_map(|it| it.iter());
        blueprints
            .filter(move |(_, versions)| {
                versions
                    .values()
                    .any(|it| it.spec.visibility.is_listed(source))
            })
            .map(|(name, _)| name.as_str())
    }
}
