//! The marketplace: cards, and all that an install form needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Health, Hidden};

/// A card in the marketplace: the newest version of a Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintCard {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// `bp-…`.
    pub name: String,
    /// The newest version.
    pub version: String,
    /// All versions, newest first.
    pub versions: Vec<String>,
    /// What people call it.
    pub title: String,
    /// One line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagline: Option<String>,
    /// Where it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The licence of what it installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Path of the icon below the API's host, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// One version of a Blueprint, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintDetail {
    /// The card; `version` is the one that was asked for.
    #[serde(flatten)]
    pub card: BlueprintCard,
    /// `sha256:…` of the artifact.
    pub digest: String,
    /// Who signed it: a key's fingerprint, or a certificate's subject and issuer.
    pub signer: String,
    /// Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the config, 2020-12.
    #[schema(value_type = Object)]
    pub config_schema: serde_json::Value,
    /// The config's form, field by field, in order.
    pub form: Vec<FormField>,
    /// The sizes one may choose; empty if there is one only.
    pub sizes: Vec<String>,
    /// What it depends on.
    pub depends: Vec<DependencyView>,
    /// What of the machines they run on its pods take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_access: Vec<HostAccessView>,
    /// Whether an Application of it has a page to open.
    pub opens: bool,
    /// Why its source took this version back, if it did: Applications that run it go on,
    /// and no other can begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// A dependency of a Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyView {
    /// The name by which the Blueprint knows it.
    pub alias: String,
    /// Its source.
    pub source: String,
    /// The Blueprint that serves it.
    pub blueprint: String,
    /// The versions that will do.
    pub version: String,
    /// When it is needed at all; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// Something of the machine they run on that an Application's pods take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostAccessView {
    /// The field that takes it: `hostNetwork`, `hostPID`, `hostIPC`, `hostPath`, `privileged`
    /// or `hostPort`.
    pub kind: String,
    /// Why the Blueprint cannot do without it.
    pub reason: String,
    /// For `hostPath`: the folders and files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// For `hostPort`: the ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
}

/// One field of the install form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormField {
    /// JSON pointer into the config.
    pub pointer: String,
    /// Its label.
    pub title: String,
    /// A sentence of help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is asked for.
    pub kind: FormFieldKind,
    /// Whether it must be given.
    pub required: bool,
    /// Kept in the vault; never shown again.
    pub secret: bool,
    /// Each Environment has its own value.
    pub per_environment: bool,
    /// What it is if nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub default: Option<serde_json::Value>,
    /// For `choice`: what may be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub options: Vec<serde_json::Value>,
    /// For numbers: the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// For numbers: the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// For text: a regular expression (ECMA-262).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// How a field is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FormFieldKind {
    /// One line.
    Text,
    /// One line that is not shown.
    Password,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Yes or no.
    Toggle,
    /// One of `options`.
    Choice,
    /// A list of lines.
    TextList,
    /// An Application of the Environment.
    ApplicationReference,
    /// A domain.
    Domain,
    /// Anything else, as YAML.
    Yaml,
}

/// Asks the Sovereign to admit an artifact that lies in its registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterBlueprint {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// `bp-…`.
    pub name: String,
    /// SemVer, the artifact's tag.
    pub version: String,
}

/// A source of Blueprints: what is published from its repository, and what is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintSourceView {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// The clone URL of its repository.
    pub repository: String,
    /// The commit that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When that commit was read first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    /// Fingerprint of the key that signs what is published from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The Blueprints that have a folder in it.
    pub blueprints: Vec<SourceBlueprintView>,
    /// What stands against publishing.
    pub problems: Vec<SourceProblemView>,
    /// What lies in its path of the registry and was not admitted, the first hundred.
    pub refused: Vec<RefusedArtifactView>,
    /// `Running`: all of it is published. `Failed`: some is not, for the problems.
    /// `Degraded`: all of it is, and something in its path of the registry is refused.
    /// `Stale`: the forge or the registry is away since `since`, and what was published
    /// stays.
    pub health: Health,
}

/// Where a registry tells that something came or went, and with what; one for all sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryHook {
    /// The address that notifications are posted to.
    pub url: String,
    /// What the registry shows with each, as `Authorization: Bearer …`.
    #[schema(value_type = String)]
    pub token: Hidden,
}

/// A Blueprint that has a folder in the repository of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceBlueprintView {
    /// `bp-…`.
    pub name: String,
    /// The version of the folder, once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Versions that are withdrawn, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub yanked: BTreeMap<String, String>,
}

/// Something that stands against publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceProblemView {
    /// Path from the repository's root.
    pub file: String,
    /// Line, counted from 1, where it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The rule of lint, or one word of its own.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// An artifact that lies in the registry and is not a Blueprint of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedArtifactView {
    /// The Blueprint that its repository is named after.
    pub name: String,
    /// Its tag.
    pub version: String,
    /// Why it was not admitted.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
}
