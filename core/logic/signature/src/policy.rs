//! Which keys are trusted for which source of Blueprints.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PublicKey, Refusal};

/// Source (`catalog`, `catalog-sovereign`, an Organization's slug) → the keys
/// whose signatures count there. A key trusted for one source says nothing about
/// another, and a source that is not listed trusts nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    sources: BTreeMap<String, BTreeSet<PublicKey>>,
}

impl TrustPolicy {
    /// A policy that trusts nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `key` for `source`, beside those already trusted there.
    pub fn trust(&mut self, source: impl Into<String>, key: PublicKey) -> &mut Self {
        self.sources.entry(source.into()).or_default().insert(key);
        self
    }

    /// Stops trusting `key` for `source`; true when it was trusted.
    pub fn distrust(&mut self, source: &str, key: &PublicKey) -> bool {
        self.sources
            .get_mut(source)
            .is_some_and(|keys| keys.remove(key))
    }

    /// The keys trusted for `source`, in a stable order; an empty set is a refusal.
    pub fn keys(&self, source: &str) -> Result<Vec<&PublicKey>, Refusal> {
        let keys: Vec<&PublicKey> = self.sources.get(source).into_iter().flatten().collect();
        if keys.is_empty() {
            return Err(Refusal::UntrustedSource {
                source_name: source.to_owned(),
            });
        }
        Ok(keys)
    }

    /// The sources that have at least one trusted key.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources
            .iter()
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(source, _)| source.as_str())
    }
}
