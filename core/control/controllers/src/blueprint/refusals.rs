//! What lies in the registry and was not admitted: found out repository by repository,
//! told by the status of the source.
//!
//! What must stay true: what was told stays until its repository is looked at again,
//! also across a restart, for what is not known is in no list.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use catalyst_commands::CommandError;
use catalyst_resources::RefusedArtifact;

use crate::context::Addresses;

/// The most that a status tells.
pub const MOST_REFUSED: usize = 100;
/// The most bytes of a reason: some of it may be a registry's own words.
const LONGEST_REASON: usize = 500;

/// Reasons by version.
type Reasons = BTreeMap<String, String>;

/// Why versions in the registry were not admitted, as it was last found.
#[derive(Default)]
pub struct Refusals {
    /// By repository, of each that was looked at.
    found: Mutex<BTreeMap<String, Reasons>>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Reasons>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what was refused in a repository, by version with the reason, and
    /// answers with what of that was not found the last time: sweeps find the same
    /// again and again.
    pub fn news(&self, repository: &str, refused: Reasons) -> Reasons {
        let mut news = refused.clone();
        let before = self.lock().insert(repository.to_owned(), refused);
        let before = before.unwrap_or_default();
        news.retain(|version, why| before.get(version) != Some(why));
        news
    }

    /// What is refused of a source: as it was told before where nobody has looked yet.
    pub fn of_source(
        &self,
        source: &str,
        before: &[RefusedArtifact],
        addresses: &Addresses,
    ) -> Vec<RefusedArtifact> {
        let found = self.lock();
        let is_known = |name: &str| found.contains_key(&format!("{source}/{name}"));
        let unknown = before.iter().filter(|one| !is_known(&one.name)).cloned();
        let mut refused: Vec<RefusedArtifact> = unknown.collect();
        for (repository, reasons) in found.iter() {
            let Some(name) = repository
                .strip_prefix(source)
                .and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            refused.extend(reasons.iter().map(|(version, reason)| RefusedArtifact {
                name: name.to_owned(),
                version: version.clone(),
                reason: reason.clone(),
                fix: fix(source, &format!("{repository}:{version}"), addresses),
            }));
        }
        drop(found);
        refused.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        refused.truncate(MOST_REFUSED);
        refused
    }

    /// Forgets a source that is no more.
    pub fn forget(&self, source: &str) {
        let is_its_own = |repository: &str| {
            let rest = repository.strip_prefix(source);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.lock().retain(|repository, _| !is_its_own(repository));
    }
}

/// What a status tells of a Blueprint.
pub(super) fn of_blueprint(told: &[RefusedArtifact], name: &str) -> Reasons {
    let told = told.iter().filter(|one| one.name == name);
    told.map(|one| (one.version.clone(), one.reason.clone()))
        .collect()
}

/// Why a version was not admitted, no longer than a status should be.
pub(super) fn told(error: &CommandError) -> String {
    let mut told = error.told();
    if told.len() > LONGEST_REASON {
        told.truncate(told.floor_char_boundary(LONGEST_REASON));
        told.push('…');
    }
    told
}

/// What to do about a refused artifact.
fn fix(source: &str, artifact: &str, addresses: &Addresses) -> String {
    let plain = match addresses.registry_insecure {
        true => "--plain-http ",
        false => "",
    };
    let host = &addresses.registry_host;
    format!(
        "publish it signed by a key that is trusted for {source}, or take it out of the registry: oras manifest delete {plain}{host}/{artifact}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(&str, &str)]) -> Reasons {
        let texts = all
            .iter()
            .map(|(version, why)| ((*version).to_owned(), (*why).to_owned()));
        texts.collect()
    }

    fn addresses(registry_insecure: bool) -> Addresses {
        Addresses {
            domain: "sovereign.example".to_owned(),
            registry_host: "registry.example".to_owned(),
            registry_insecure,
            vault: String::new(),
            webhook_url: String::new(),
            webhook_secret: String::new().into(),
        }
    }

    #[test]
    fn a_refusal_is_news_once() {
        let refusals = Refusals::default();
        let look = |found: &[(&str, &str)]| refusals.news("catalog/bp-wiki", of(found));
        let unsigned = ("1.0.0", "it is not signed");
        assert_eq!(look(&[unsigned]), of(&[unsigned]));
        assert_eq!(look(&[unsigned]), of(&[]));
        // Another version, another reason, another repository.
        let next = ("1.1.0", "it is not signed");
        assert_eq!(look(&[unsigned, next]), of(&[next]));
        let foreign = ("1.0.0", "nobody trusts its signer");
        assert_eq!(look(&[foreign, next]), of(&[foreign]));
        assert_eq!(refusals.news("acme/bp-wiki", of(&[next])), of(&[next]));
        // Whoever was admitted or removed meanwhile is refused anew.
        assert_eq!(look(&[]), of(&[]));
        assert_eq!(look(&[next]), of(&[next]));
    }

    #[test]
    fn what_was_told_stays_until_its_repository_is_looked_at() {
        let refusals = Refusals::default();
        let names = |told: &[RefusedArtifact]| -> Vec<String> {
            told.iter()
                .map(|one| format!("{}:{} {}", one.name, one.version, one.reason))
                .collect()
        };
        refusals.news("acme/bp-wiki", of(&[("1.0.0", "unsigned")]));
        refusals.news("acme-two/bp-wiki", of(&[("9.0.0", "unsigned")]));
        let told = refusals.of_source("acme", &[], &addresses(true));
        assert_eq!(names(&told), ["bp-wiki:1.0.0 unsigned"]);
        assert_eq!(
            told[0].fix,
            "publish it signed by a key that is trusted for acme, or take it out of the registry: oras manifest delete --plain-http registry.example/acme/bp-wiki:1.0.0"
        );
        assert_eq!(of_blueprint(&told, "bp-wiki"), of(&[("1.0.0", "unsigned")]));
        assert_eq!(of_blueprint(&told, "bp-chat"), of(&[]));

        // The next process has not looked yet.
        let refusals = Refusals::default();
        assert_eq!(refusals.of_source("acme", &told, &addresses(true)), told);
        refusals.news("acme/bp-chat", of(&[("2.0.0", "foreign")]));
        let more = refusals.of_source("acme", &told, &addresses(true));
        let both = ["bp-chat:2.0.0 foreign", "bp-wiki:1.0.0 unsigned"];
        assert_eq!(names(&more), both);
        refusals.news("acme/bp-wiki", of(&[]));
        let fewer = refusals.of_source("acme", &more, &addresses(true));
        assert_eq!(names(&fewer), ["bp-chat:2.0.0 foreign"]);
        refusals.forget("acme");
        let told = refusals.of_source("acme", &[], &addresses(true));
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn a_status_tells_so_many_and_no_more() {
        let refusals = Refusals::default();
        let many = (0..=MOST_REFUSED).map(|patch| (format!("1.0.{patch}"), String::new()));
        refusals.news("acme/bp-wiki", many.collect());
        let told = refusals.of_source("acme", &[], &addresses(false));
        assert_eq!(told.len(), MOST_REFUSED);
        assert!(!told[0].fix.contains("--plain-http"), "{}", told[0].fix);

        let error = |reason: String| CommandError::Admit {
            action: "register it".to_owned(),
            reason,
            retryable: false,
        };
        assert_eq!(
            super::told(&error("no".to_owned())),
            "cannot register it: no"
        );
        let long = super::told(&error("ä".repeat(LONGEST_REASON)));
        assert!(long.len() <= LONGEST_REASON + '…'.len_utf8(), "{long}");
        assert!(long.ends_with("ä…"), "{long}");
    }
}
