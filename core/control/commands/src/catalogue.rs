//! The Blueprints that are admitted, and which of them somebody may begin with. Pure.
//!
//! Called by commands and by the push check. What must stay true: nothing begins with
//! what its source took back, or with what nobody signed whom the Sovereign trusts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalyst_blueprint::{Catalog, Visibility};
use catalyst_plan::AdmittedBlueprint;
use catalyst_resources::BlueprintReference;
use catalyst_signature::{Keyless, TrustPolicy};
use semver::Version;

use crate::access::Access;
use crate::state::Applications;

/// The most versions that one sentence names.
const MOST_NAMED: usize = 5;

/// Why nobody may begin with a version that is there: by source and name.
type Refused = BTreeMap<(String, String), BTreeMap<Version, String>>;

/// Every admitted Blueprint, or those of them that somebody knows of.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub catalog: Catalog,
    admitted: BTreeMap<(String, String), BTreeMap<Version, Arc<AdmittedBlueprint>>>,
    refused: Refused,
}

impl Catalogue {
    pub fn insert(&mut self, blueprint: AdmittedBlueprint) {
        self.catalog
            .insert(blueprint.source.clone(), blueprint.blueprint.clone());
        self.admitted
            .entry((blueprint.source.clone(), blueprint.name().to_owned()))
            .or_default()
            .insert(blueprint.blueprint.version().clone(), Arc::new(blueprint));
    }

    /// What of it may be used in an Organization's Environments by somebody there. The
    /// rest is not told of either, by no reason for anything.
    pub fn narrowed(&self, organization: &str, is_sovereign_admin: bool) -> Self {
        let knows = |source: &str, visibility: Visibility| {
            Access::can_use_source(source, organization)
                && visibility.is_known(source, is_sovereign_admin)
        };
        let mut admitted = self.admitted.clone();
        for ((source, _), versions) in &mut admitted {
            versions.retain(|_, it| knows(source, it.blueprint.spec.visibility));
        }
        admitted.retain(|_, versions| !versions.is_empty());
        Self {
            catalog: self.catalog.narrowed(knows),
            admitted,
            refused: self.refused.clone(),
        }
    }

    /// What of it may be chosen in an Environment: neither what its source took back nor
    /// what nobody signed whom the Sovereign trusts for its source. What Applications
    /// there run stays, so that they can be changed; none begins with it, nor does the
    /// solver choose it for anything.
    pub fn offered(mut self, policy: &TrustPolicy, tree: &Applications) -> Self {
        let refused = self.refused_by(policy);
        // As good as always; the whole catalog need not be gone through again.
        if refused.is_empty() {
            return self;
        }
        let running: BTreeSet<(&str, &str, &str)> = tree
            .applications
            .values()
            .map(|application| {
                let it = &application.spec.blueprint;
                (it.source.as_str(), it.name.as_str(), it.version.as_str())
            })
            .collect();
        let offers = |source: &str, name: &str, version: &Version| {
            let of_name = refused.get(&(source.to_owned(), name.to_owned()));
            of_name.is_none_or(|versions| !versions.contains_key(version))
        };
        let catalog = self
            .catalog
            .retained(|source, it| offers(source, it.name(), it.version()));
        for ((source, name), versions) in &mut self.admitted {
            versions.retain(|version, _| {
                offers(source, name, version)
                    || running.contains(&(
                        source.as_str(),
                        name.as_str(),
                        version.to_string().as_str(),
                    ))
            });
        }
        self.admitted.retain(|_, versions| !versions.is_empty());
        Self {
            catalog,
            admitted: self.admitted,
            refused,
        }
    }

    /// What the solver chooses from, and the version that it starts from: an Application
    /// goes on with one that is offered to nobody any more.
    pub fn catalog_from(&self, root: &BlueprintReference) -> Cow<'_, Catalog> {
        let mut catalog = Cow::Borrowed(&self.catalog);
        if let Some(root) = self.get(root) {
            let blueprint = &root.blueprint;
            let known = self
                .catalog
                .get(&root.source, root.name(), blueprint.version());
            if known.is_none() {
                let catalog = catalog.to_mut();
                catalog.insert(root.source.clone(), blueprint.clone());
            }
        }
        catalog
    }

    /// With which versions nobody may begin, and why.
    fn refused_by(&self, policy: &TrustPolicy) -> Refused {
        let mut trusted: BTreeMap<&str, Result<Counting<'_>, String>> = BTreeMap::new();
        let mut refused = Refused::new();
        for ((source, name), versions) in &self.admitted {
            let signers = trusted
                .entry(source)
                .or_insert_with(|| Counting::of(policy, source));
            for (version, blueprint) in versions {
                if let Some(reason) = reason_against(blueprint, signers) {
                    let of_name = (source.clone(), name.clone());
                    let of_name = refused.entry(of_name).or_default();
                    of_name.insert(version.clone(), reason);
                }
            }
        }
        refused
    }

    /// Why nobody may begin with the version that is named, though it is there.
    pub fn refusal(&self, reference: &BlueprintReference) -> Option<String> {
        let BlueprintReference {
            source,
            name,
            version,
        } = reference;
        let refused = self.refused.get(&(source.clone(), name.clone()))?;
        let reason = refused.get(&Version::parse(version).ok()?)?;
        let there: Vec<String> = self
            .versions(source, name)
            .into_iter()
            .flat_map(|versions| versions.iter().rev())
            .filter(|(version, it)| {
                let visibility = it.blueprint.spec.visibility;
                !refused.contains_key(*version) && visibility.is_listed(source)
            })
            .take(MOST_NAMED)
            .map(|(version, _)| version.to_string())
            .collect();
        let there = match there.as_slice() {
            [] => "ask whoever publishes it which to take".to_owned(),
            there => format!("there is {}", there.join(", ")),
        };
        Some(format!(
            "nothing new begins with {name} {version} of {source}: {reason}; {there}"
        ))
    }

    /// The Blueprint that an Application names.
    pub fn get(&self, reference: &BlueprintReference) -> Option<&Arc<AdmittedBlueprint>> {
        let version = Version::parse(&reference.version).ok()?;
        self.versions(&reference.source, &reference.name)?
            .get(&version)
    }

    /// All versions of a Blueprint, oldest first.
    pub fn versions(
        &self,
        source: &str,
        name: &str,
    ) -> Option<&BTreeMap<Version, Arc<AdmittedBlueprint>>> {
        self.admitted.get(&(source.to_owned(), name.to_owned()))
    }

    /// What somebody means who names no version, best first: those that are listed if any
    /// is, releases rather than what leads to them, and of those the newest.
    pub fn candidates(&self, source: &str, name: &str) -> Vec<&Arc<AdmittedBlueprint>> {
        let refused = self.refused.get(&(source.to_owned(), name.to_owned()));
        let mut found: Vec<_> = self
            .versions(source, name)
            .into_iter()
            .flatten()
            .filter(|(version, blueprint)| {
                let is_refused = refused.is_some_and(|refused| refused.contains_key(*version));
                blueprint.withdrawn.is_none() && !is_refused
            })
            .map(|(version, blueprint)| {
                let is_listed = blueprint.blueprint.spec.visibility.is_listed(source);
                ((is_listed, version.pre.is_empty()), version, blueprint)
            })
            .collect();
        found.sort_by_key(|(kind, version, _)| std::cmp::Reverse((*kind, *version)));
        let first = found.first().map(|(kind, ..)| *kind);
        found.retain(|(kind, ..)| Some(*kind) == first);
        found
            .into_iter()
            .map(|(_, _, blueprint)| blueprint)
            .collect()
    }

    /// Why a reference leads nowhere, and what there is instead.
    pub fn unknown(&self, reference: &BlueprintReference) -> String {
        if let Some(reason) = self.refusal(reference) {
            return reason;
        }
        let BlueprintReference {
            source,
            name,
            version,
        } = reference;
        match self.versions(source, name) {
            Some(_) => {
                let there = match self.catalog.named_versions(source, name) {
                    Some(there) => format!("it has {there}"),
                    None => {
                        "none of its versions is listed, ask whoever publishes it which to take"
                            .to_owned()
                    }
                };
                format!("the Blueprint {name} of {source} has no version {version}; {there}")
            }
            None => {
                let near = self.catalog.sources_that_list(name);
                if near.is_empty() {
                    format!(
                        "the source {source} has no Blueprint {name}; look for it in the marketplace, or register it"
                    )
                } else {
                    format!(
                        "the source {source} has no Blueprint {name}; it is in {}",
                        near.join(", ")
                    )
                }
            }
        }
    }
}

/// Those whose signatures count for a source, by the names that Blueprints keep. The
/// fingerprints are made once: there may be thousands of versions.
struct Counting<'a> {
    fingerprints: BTreeSet<String>,
    keyless: Option<Keyless<'a>>,
}

impl<'a> Counting<'a> {
    fn of(policy: &'a TrustPolicy, source: &str) -> Result<Self, String> {
        let signers = policy
            .signers(source)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Self {
            fingerprints: signers.keys().iter().map(|key| key.fingerprint()).collect(),
            keyless: signers.keyless(),
        })
    }

    fn include(&self, signer: &str) -> bool {
        self.fingerprints.contains(signer)
            || self.keyless.is_some_and(|keyless| keyless.includes(signer))
    }
}

/// Why nobody may begin with what was admitted: it was taken back, or nobody whose
/// signatures count for its source signed it.
fn reason_against(
    blueprint: &AdmittedBlueprint,
    signers: &Result<Counting<'_>, String>,
) -> Option<String> {
    if let Some(reason) = &blueprint.withdrawn {
        return Some(format!("it was withdrawn ({reason})"));
    }
    match signers {
        Ok(signers) if signers.include(&blueprint.signer) => None,
        Ok(_) => Some(format!(
            "its signer {} is not one of those that the Sovereign trusts for {}",
            blueprint.signer, blueprint.source
        )),
        Err(refusal) => Some(refusal.clone()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::state::application_path;
    use crate::validate::choice_fault;
    use crate::validate::tests::{admitted, blueprint, catalogue, wiki};

    /// A key, and the fingerprint by which Blueprints name it.
    fn key() -> (catalyst_signature::PublicKey, String) {
        let key = catalyst_signature::SigningKey::generate().unwrap();
        (key.public().clone(), key.public().fingerprint())
    }

    /// What of [`catalogue`] is offered in an Environment once these were withdrawn.
    pub(crate) fn offered_without(withdrawn: &[(&str, &str)], tree: &Applications) -> Catalogue {
        let (own, signer) = key();
        let mut policy = TrustPolicy::new();
        policy.trust("catalog", own);
        let mut all = Catalogue::default();
        for it in catalogue().admitted.values().flat_map(BTreeMap::values) {
            let mut it = AdmittedBlueprint::clone(it);
            it.signer.clone_from(&signer);
            if withdrawn.contains(&(it.name(), it.version().as_str())) {
                it.withdrawn = Some("it loses pages".to_owned());
            }
            all.insert(it);
        }
        all.offered(&policy, tree)
    }

    #[test]
    fn nothing_begins_with_what_was_withdrawn_or_is_signed_by_nobody_trusted() {
        let ((own, own_name), (_, foreign)) = (key(), key());
        let mut policy = TrustPolicy::new();
        policy.trust("acme", own);
        let fill = |all: &mut Catalogue| {
            for (source, version, signer, withdrawn) in [
                ("acme", "1.0.0", &own_name, None),
                ("acme", "1.1.0", &own_name, Some("it loses pages")),
                ("acme", "1.2.0", &foreign, None),
                // The same key, which says nothing of another source.
                ("catalog", "1.0.0", &own_name, None),
            ] {
                let mut made = admitted(source, &blueprint("bp-wiki", version, ""));
                made.signer.clone_from(signer);
                made.withdrawn = withdrawn.map(str::to_owned);
                all.insert(made);
            }
        };
        let offered = |tree: &Applications| {
            let mut all = Catalogue::default();
            fill(&mut all);
            all.offered(&policy, tree)
        };
        let reference = |source: &str, version: &str| BlueprintReference {
            source: source.to_owned(),
            name: "bp-wiki".to_owned(),
            version: version.to_owned(),
        };
        let fresh = offered(&Applications::default());
        for (source, version, words) in [
            ("acme", "1.0.0", None),
            ("acme", "1.1.0", Some("it loses pages")),
            (
                "acme",
                "1.2.0",
                Some("not one of those that the Sovereign trusts for acme"),
            ),
            ("catalog", "1.0.0", Some("no signer is trusted for it")),
        ] {
            let reference = reference(source, version);
            assert_eq!(
                fresh.get(&reference).is_some(),
                words.is_none(),
                "{version}"
            );
            match words {
                None => assert_eq!(fresh.refusal(&reference), None),
                Some(words) => {
                    let said = fresh.unknown(&reference);
                    assert!(said.contains(words), "{said}");
                }
            }
        }
        assert_eq!(fresh.candidates("acme", "bp-wiki")[0].version(), "1.0.0");

        // Whoever runs it may be changed, and another does not follow.
        let (text, mut running) = wiki(|text| text);
        running.spec.blueprint = reference("acme", "1.1.0");
        let mut tree = Applications::default();
        tree.applications.insert("wiki".to_owned(), running.clone());
        let here = offered(&tree);
        assert!(here.get(&running.spec.blueprint).is_some());
        assert!(here.get(&reference("acme", "1.2.0")).is_none());
        let path = application_path("wiki");
        let judged = |before| choice_fault(before, &running, &path, &text, &here);
        assert_eq!(judged(Some(&running)), None);
        let fault = judged(None).unwrap();
        assert_eq!(
            fault.message,
            "nothing new begins with bp-wiki 1.1.0 of acme: it was withdrawn (it loses pages); there is 1.0.0"
        );
        assert_eq!(here.candidates("acme", "bp-wiki")[0].version(), "1.0.0");
        let is_chosen_from = |catalog: &Catalog, version: &str| {
            let version = Version::parse(version).unwrap();
            catalog.get("acme", "bp-wiki", &version).is_some()
        };
        assert!(!is_chosen_from(&here.catalog, "1.1.0"));
        let from = here.catalog_from(&running.spec.blueprint);
        assert!(is_chosen_from(&from, "1.1.0") && is_chosen_from(&from, "1.0.0"));
        assert!(!is_chosen_from(&from, "1.2.0"));

        // Nor is it what somebody means who names no version.
        running.spec.blueprint = reference("acme", "1.2.0");
        tree.applications.insert("wiki".to_owned(), running.clone());
        let here = offered(&tree);
        assert!(here.get(&running.spec.blueprint).is_some());
        assert_eq!(here.candidates("acme", "bp-wiki")[0].version(), "1.0.0");
    }
}
