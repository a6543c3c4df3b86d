//! Who is trusted for which source of Blueprints.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Identity, PublicKey, Refusal, TrustedRoot};

/// The most identities that are read of those who may sign one artifact.
pub const MAX_IDENTITIES: usize = 64;

/// Source (`catalog`, `catalog-sovereign`, an Organization's slug) → the keys and
/// identities whose signatures count there. One that is trusted for a source says
/// nothing about another, and a source that is not listed trusts nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    sources: BTreeMap<String, Trusted>,
    root: Option<TrustedRoot>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trusted {
    keys: BTreeSet<PublicKey>,
    identities: Vec<Identity>,
}

/// Those whose signatures count for one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signers<'a> {
    keys: Vec<&'a PublicKey>,
    keyless: Option<Keyless<'a>>,
}

/// Those among them who sign by certificates, and what these are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyless<'a> {
    /// Whose certificates and logs are believed.
    pub root: &'a TrustedRoot,
    /// Who may have signed.
    pub identities: &'a [Identity],
}

impl Keyless<'_> {
    /// Whether `signer`, as [`crate::Signer`] is shown and kept, is one of them.
    pub fn includes(&self, signer: &str) -> bool {
        // An issuer is a URL: only a subject may hold the word.
        let named = signer.rsplit_once(" by ");
        named.is_some_and(|(subject, issuer)| {
            let mut identities = self.identities.iter();
            identities.any(|identity| identity.is_of(subject, issuer))
        })
    }
}

impl<'a> Signers<'a> {
    /// Signers by keys alone.
    pub fn of_keys(keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            keyless: None,
        }
    }

    /// Signers by certificates alone.
    pub fn of_identities(root: &'a TrustedRoot, identities: &'a [Identity]) -> Self {
        Self {
            keys: Vec::new(),
            keyless: (!identities.is_empty()).then_some(Keyless { root, identities }),
        }
    }

    /// The keys, in a stable order.
    pub fn keys(&self) -> &[&'a PublicKey] {
        &self.keys
    }

    /// Who signs by certificates; none where nobody does.
    pub fn keyless(&self) -> Option<Keyless<'a>> {
        self.keyless
    }

    /// All of them by name, for the message that refuses everybody else.
    pub(crate) fn told(&self) -> String {
        let keys = self.keys.iter().map(|key| key.fingerprint());
        let identities = self.keyless.map_or(&[][..], |keyless| keyless.identities);
        let names: Vec<String> = keys
            .chain(identities.iter().map(ToString::to_string))
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

impl TrustPolicy {
    /// A policy that trusts nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `key` for `source`, beside those already trusted there.
    pub fn trust(&mut self, source: impl Into<String>, key: PublicKey) -> &mut Self {
        let trusted = self.sources.entry(source.into()).or_default();
        trusted.keys.insert(key);
        self
    }

    /// Trusts `identity` for `source`, beside those already trusted there. It counts
    /// where there is a trusted root to hold its certificates against.
    pub fn trust_identity(&mut self, source: impl Into<String>, identity: Identity) -> &mut Self {
        let trusted = self.sources.entry(source.into()).or_default();
        if !trusted.identities.contains(&identity) {
            trusted.identities.push(identity);
        }
        self
    }

    /// Holds certificates and logs against `root`.
    pub fn believe(&mut self, root: TrustedRoot) -> &mut Self {
        self.root = Some(root);
        self
    }

    /// Stops trusting `key` for `source`; true when it was trusted.
    pub fn distrust(&mut self, source: &str, key: &PublicKey) -> bool {
        self.sources
            .get_mut(source)
            .is_some_and(|trusted| trusted.keys.remove(key))
    }

    /// Who is trusted for `source`; nobody is a refusal.
    pub fn signers(&self, source: &str) -> Result<Signers<'_>, Refusal> {
        let signers = self.sources.get(source).map(|it| self.counting(it));
        signers
            .filter(|signers| !signers.keys.is_empty() || signers.keyless.is_some())
            .ok_or_else(|| Refusal::UntrustedSource {
                source_name: source.to_owned(),
            })
    }

    /// One policy for each whose signatures count for `source`, which trusts nobody else.
    pub fn each_alone(&self, source: &str) -> Vec<Self> {
        let Ok(signers) = self.signers(source) else {
            return Vec::new();
        };
        let keys = signers.keys.iter().map(|key| {
            let mut alone = Self::new();
            alone.trust(source, (*key).clone());
            alone
        });
        let identities = signers.keyless.into_iter().flat_map(|keyless| {
            keyless.identities.iter().map(move |identity| {
                let mut alone = Self::new();
                alone
                    .trust_identity(source, identity.clone())
                    .believe(keyless.root.clone());
                alone
            })
        });
        keys.chain(identities).collect()
    }

    /// The sources that have at least one trusted signer.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources
            .keys()
            .map(String::as_str)
            .filter(move |source| self.signers(source).is_ok())
    }

    /// Those of a source whose signatures can count: no identity does without a root.
    fn counting<'a>(&'a self, trusted: &'a Trusted) -> Signers<'a> {
        let identities = trusted.identities.as_slice();
        let keyless = self
            .root
            .as_ref()
            .filter(|_| !identities.is_empty())
            .map(|root| Keyless { root, identities });
        Signers {
            keys: trusted.keys.iter().collect(),
            keyless,
        }
    }
}
