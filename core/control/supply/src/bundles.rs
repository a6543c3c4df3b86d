//! The bundles that hang on an artifact, one after the other.
//!
//! What must stay true: what is asked of the registry is bounded, however many hang
//! there, and what is large is read after all that is small.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use catalyst_signature::{Budget, Expected, MAX_SIGNATURE, Refusal, SMALL, bundle, in_order};

use crate::{Descriptor, Reference, Registry, RegistryError};

pub(crate) struct Bundles<'a> {
    registry: &'a Registry,
    at: &'a Reference,
    count: usize,
    /// Those whose manifests were not read yet.
    referrers: VecDeque<&'a Descriptor>,
    /// Those that turned out to be larger, by size and in the order in which they came.
    larger: BTreeMap<(u64, usize), Descriptor>,
    budget: Budget,
    /// Whether a predicate is another than those that are looked for.
    is_other: fn(&str) -> bool,
}

impl<'a> Bundles<'a> {
    /// Those among an artifact's referrers; what is called something else than a
    /// signature is looked at last.
    pub fn of(registry: &'a Registry, at: &'a Reference, referrers: &'a [Descriptor]) -> Self {
        Self::within(registry, at, referrers, Budget::default(), |predicate| {
            predicate != bundle::PREDICATE_TYPE
        })
    }

    /// The same for whoever looks for attestations: what is called a signature is looked
    /// at last, and no more is read than `budget` allows.
    pub fn of_statements(
        registry: &'a Registry,
        at: &'a Reference,
        referrers: &'a [Descriptor],
        budget: Budget,
    ) -> Self {
        Self::within(registry, at, referrers, budget, |predicate| {
            predicate == bundle::PREDICATE_TYPE
        })
    }

    fn within(
        registry: &'a Registry,
        at: &'a Reference,
        referrers: &'a [Descriptor],
        budget: Budget,
        is_other: fn(&str) -> bool,
    ) -> Self {
        let mut bundles: Vec<&Descriptor> = referrers
            .iter()
            .filter(|one| one.artifact_type.as_deref() == Some(bundle::MEDIA_TYPE))
            .collect();
        in_order(&mut bundles, |one| (is_called(one, is_other), one.size));
        Self {
            registry,
            at,
            count: bundles.len(),
            referrers: bundles.into(),
            larger: BTreeMap::new(),
            budget,
            is_other,
        }
    }

    /// The next one's bytes, or why it cannot be read; `None` after the last one that is
    /// looked at.
    pub async fn following(&mut self) -> Option<Result<Bytes, RegistryError>> {
        while let Some(referrer) = self.referrers.pop_front() {
            if !self.budget.begin() {
                break;
            }
            // A manifest that nobody reads, as large as it is, costs nothing: it is refused.
            if referrer.size <= MAX_SIGNATURE && !self.budget.read(referrer.size) {
                continue;
            }
            let layer = match self.registry.attached_layer(self.at, referrer).await {
                Ok(layer) => layer,
                Err(error) => return Some(Err(error)),
            };
            // An SBOM is no signature that is too large.
            if layer.size > self.budget.part() && is_called(referrer, self.is_other) {
                continue;
            }
            if layer.size > SMALL {
                let place = (layer.size, self.larger.len());
                self.larger.insert(place, layer);
            } else if let Some(found) = self.bytes(&layer).await {
                return Some(found);
            }
        }
        while let Some((_, layer)) = self.larger.pop_first() {
            if let Some(found) = self.bytes(&layer).await {
                return Some(found);
            }
        }
        None
    }

    async fn bytes(&mut self, layer: &Descriptor) -> Option<Result<Bytes, RegistryError>> {
        let found = self.registry.part(self.at, layer, &mut self.budget).await;
        found.transpose()
    }

    /// What to say where not all of them were looked at.
    pub fn too_many(&self, expected: Expected<'_>) -> Option<Refusal> {
        self.budget.too_many(expected, self.count)
    }
}

/// Whether a referrer says that its predicate is such a one.
fn is_called(referrer: &Descriptor, predicate: fn(&str) -> bool) -> bool {
    let called = referrer.annotations.get(bundle::PREDICATE_ANNOTATION);
    called.is_some_and(|called| predicate(called))
}
