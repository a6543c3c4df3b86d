//! From an artifact in the Sovereign's registry to what the Sovereign keeps of
//! it: verified first, then read.
//!
//! Called by the command that registers a Blueprint and by the Blueprint
//! controller, which does the same for those that ship with the Sovereign.

use std::collections::BTreeMap;

use catalyst_blueprint::Blueprint;
use catalyst_signature::TrustPolicy;

use crate::{Reference, Registry, VerifyError};

/// The largest icon or description that is kept; more does not fit an object.
const MAX_CARD_FILE: usize = 128 * 1024;

/// An artifact that the Sovereign admits.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// Who signed it: the fingerprint of a key, or an identity's claims.
    pub signer: String,
    /// Where it lies in the registry, without the host: `{source}/{name}`.
    pub repository: String,
    /// What it says of itself.
    pub blueprint: Blueprint,
    /// The card's icon, an SVG document.
    pub icon: Option<String>,
    /// The card's description, Markdown.
    pub description: Option<String>,
    /// The chart or the tree of manifests: path → bytes.
    pub manifests: BTreeMap<String, Vec<u8>>,
}

impl Registry {
    /// Verifies `{host}/{source}/{name}:{version}` by the policy's signers for
    /// the source, and reads it. `host` may carry a scheme (`http://…`).
    pub async fn admit(
        &self,
        host: &str,
        source: &str,
        name: &str,
        version: &str,
        policy: &TrustPolicy,
    ) -> Result<Admitted, VerifyError> {
        let text = format!("{host}/{source}/{name}:{version}");
        let at = Reference::parse(&text).map_err(|error| VerifyError::NotABlueprint {
            reference: text,
            reason: error.to_string(),
        })?;
        let pulled = self.pull(&at, source, policy).await?;
        let icon = pulled
            .blueprint
            .spec
            .card
            .icon
            .as_deref()
            .filter(|path| path.ends_with(".svg"))
            .and_then(|path| text_of(&pulled.card, path));
        let description = text_of(&pulled.card, "card/description.md")
            .or_else(|| text_of(&pulled.card, "README.md"));
        Ok(Admitted {
            source: source.to_owned(),
            digest: pulled.verified.digest,
            signer: pulled.verified.signer.to_string(),
            repository: at.repository,
            blueprint: pulled.blueprint,
            icon,
            description,
            manifests: pulled.manifests,
        })
    }

    /// The chart or the tree of manifests of an artifact that was admitted
    /// before, by its digest: what stands there is what was verified.
    pub async fn manifests_by_digest(
        &self,
        host: &str,
        repository: &str,
        digest: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, VerifyError> {
        let text = format!("{host}/{repository}@{digest}");
        let at = Reference::parse(&text).map_err(|error| VerifyError::NotABlueprint {
            reference: text,
            reason: error.to_string(),
        })?;
        self.read_manifests(&at).await
    }
}

fn text_of(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Option<String> {
    let bytes = files
        .get(path)
        .filter(|bytes| bytes.len() <= MAX_CARD_FILE)?;
    String::from_utf8(bytes.clone()).ok()
}
