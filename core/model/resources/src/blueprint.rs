//! Blueprint: one version of one Blueprint that the Sovereign admitted.
//!
//! Written by the control plane when an artifact was verified, never by users;
//! what it says was true of the artifact with this digest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// An admitted artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintSpec {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// The Blueprint's name, `bp-…`.
    pub name: String,
    /// SemVer, exact.
    pub version: String,
    /// `sha256:…` of the artifact's manifest.
    pub digest: String,
    /// Who signed it: a key's fingerprint, or a certificate's subject and issuer.
    pub signer: String,
    /// Where it lies in the Sovereign's registry, without the registry's host:
    /// `{source}/{name}`.
    pub repository: String,
    /// The `spec` of its `blueprint.yaml`, whole.
    pub blueprint: serde_json::Map<String, serde_json::Value>,
    /// The card's icon, an SVG document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// The card's description, Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl BlueprintSpec {
    /// The name of the object: `{source}.{name}-{version}`, in small letters,
    /// because objects' names are.
    pub fn object_name(source: &str, name: &str, version: &str) -> String {
        format!("{source}.{name}-{version}").to_ascii_lowercase()
    }
}

/// What was observed of an admitted artifact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The details; `Ready` is false once the artifact is no longer trusted, and
    /// `Withdrawn` is true while its source has taken the version back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Fingerprint of the key by which it was verified last: another than it was
    /// admitted by where keys were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}
