//! BlueprintSource: where the Blueprints of one source come from, and how that goes.
//!
//! Written by the control plane, one for `catalog`, `catalog-sovereign` and each
//! Organization, never by users; its status is the last good state of what is read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// A source of Blueprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintSourceSpec {
    /// Its repository in the forge, `owner/name`.
    pub repository: String,
}

/// What was observed of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintSourceStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The details; `Ready` is unknown while the forge or the registry is away, and
    /// false while something in the repository is not published; `Admitted` is false
    /// while something in the source's path of the registry is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The commit that was read last; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When that commit was read first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    /// Fingerprint of the key that signs what is published from the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Fingerprints of the keys that did so before it, the last one first, twenty at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_signers: Vec<String>,
    /// The Blueprints that have a folder at that commit, as many as there is room for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<SourceBlueprint>,
    /// How many more have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprints_left_out: Option<u32>,
    /// What stands against publishing, the first hundred at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<SourceProblem>,
    /// Versions in the source's path of the registry that were not admitted, the first
    /// hundred by name and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedArtifact>,
}

/// The folder of a Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceBlueprint {
    /// Its name, which is the Blueprint's.
    pub name: String,
    /// The version that it holds and that is published; none while something stands
    /// against that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Versions that are withdrawn, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub yanked: BTreeMap<String, String>,
    /// Whether it is not known which are, as there is no room for them here or as they
    /// cannot be read: those that were go on being withdrawn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yanked_unknown: bool,
}

/// Something that stands against publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceProblem {
    /// Path from the repository's root.
    pub file: String,
    /// Line, counted from 1, where it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub line: Option<u32>,
    /// The rule of lint, or one word of its own.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// An artifact that lies in the registry and is not a Blueprint of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedArtifact {
    /// The Blueprint that its repository is named after.
    pub name: String,
    /// Its tag.
    pub version: String,
    /// Why it was not admitted.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
}
