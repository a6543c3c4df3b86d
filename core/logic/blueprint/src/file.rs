//! `blueprint.yaml` as types. The shape is checked first ([`crate::shape`]), so
//! that a file with five mistakes is told all five.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{HostAccess, Problem, ValueMigration, Visibility, locate, shape};

/// A whole `blueprint.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blueprint {
    /// `catalyst.openova.io/v1alpha1`.
    pub api_version: String,
    /// `Blueprint`.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// The name of a Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `bp-<name>`.
    pub name: String,
}

/// Everything a Blueprint declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// SemVer without build metadata.
    pub version: Version,
    /// How the marketplace shows it.
    pub card: Card,
    /// Who sees it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// JSON Schema 2020-12 of an Application's `spec.config`.
    #[serde(default = "empty_object")]
    pub config_schema: Value,
    /// Where it may be placed.
    #[serde(default)]
    pub placement_schema: PlacementSchema,
    /// The Blueprints it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<Dependency>,
    /// Where its manifests come from.
    pub manifests: Manifests,
    /// What it offers to others.
    #[serde(default)]
    pub provides: Provides,
    /// What of the machine its pods take, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_access: Vec<HostAccess>,
    /// From which versions one may move to this one.
    #[serde(default)]
    pub upgrades: Upgrades,
    /// Credentials to rotate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotation: Vec<Rotation>,
    /// What it can be observed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<Observability>,
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}

/// The marketplace card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name people read.
    pub title: String,
    /// One line under it.
    #[serde(default)]
    pub tagline: String,
    /// Where it is filed.
    #[serde(default)]
    pub category: String,
    /// Words it is found by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Path of the icon inside the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// SPDX expression.
    #[serde(default)]
    pub license: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
}

/// Who answers for a Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The team.
    pub team: String,
    /// How to reach it.
    #[serde(default)]
    pub contact: String,
}

/// One way to place an Application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One region.
    SingleRegion,
    /// Several regions, all serving.
    ActiveActive,
    /// Several regions, one serving.
    ActiveHotstandby,
}

/// Where a Blueprint may be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacementSchema {
    /// The modes it supports.
    #[serde(default = "single_region")]
    pub modes: Vec<Mode>,
    /// Fewest regions.
    #[serde(default = "one")]
    pub min_regions: u32,
    /// Most regions.
    #[serde(default = "one")]
    pub max_regions: u32,
}

fn single_region() -> Vec<Mode> {
    vec![Mode::SingleRegion]
}

fn one() -> u32 {
    1
}

impl Default for PlacementSchema {
    fn default() -> Self {
        Self {
            modes: single_region(),
            min_regions: 1,
            max_regions: 1,
        }
    }
}

/// A Blueprint this one needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Its name, `bp-<name>`.
    pub blueprint: String,
    /// The source it comes from; the dependent's own when absent, never another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The versions that will do, `^1.4`.
    pub version: String,
    /// What the dependent calls it; the name without `bp-` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// CEL over `config`, `application`, `environment`; always, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Config for it; `${…}` is CEL.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
}

impl Dependency {
    /// What the dependent calls it.
    pub fn alias(&self) -> &str {
        self.alias.as_deref().unwrap_or_else(|| {
            self.blueprint
                .strip_prefix("bp-")
                .unwrap_or(&self.blueprint)
        })
    }
}

impl Dependency {
    /// Why nothing can serve it as things stand, if so: `source` is where it is looked
    /// for, `versions` are those that are there, `None` where there is no such Blueprint.
    pub fn unmet(&self, source: &str, versions: Option<&[String]>) -> Option<String> {
        let range = semver::VersionReq::parse(&self.version).ok()?;
        let (name, condition) = (&self.blueprint, self.when.as_deref());
        let condition = condition.map_or(String::new(), |it| format!(" where `{it}`"));
        let needs = format!("it needs {name} {}{condition}", self.version);
        let Some(versions) = versions else {
            return Some(format!(
                "{needs}, and the source {source} has no Blueprint of that name"
            ));
        };
        let is_met = versions
            .iter()
            .filter_map(|version| Version::parse(version).ok())
            .any(|version| range.matches(&version));
        let there = match versions {
            [] => "no version".to_owned(),
            [newest] => newest.clone(),
            [newest, ..] => format!("{} versions, the newest {newest}", versions.len()),
        };
        (!is_met).then(|| format!("{needs}, and the source {source} has {there}"))
    }
}

/// Where the manifests come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifests {
    /// Chart or Kustomize folder.
    pub source: ManifestSource,
    /// Size → values that are laid under the Application's config.
    #[serde(default)]
    pub overlays: BTreeMap<String, Map<String, Value>>,
}

/// The kind of manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSource {
    /// Chart or Kustomize.
    pub kind: ManifestKind,
}

/// How manifests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestKind {
    /// `chart/`.
    HelmChart,
    /// `manifests/{base,overlays/…}`.
    Kustomize,
}

/// What a Blueprint offers to those that depend on it, and to users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provides {
    /// A Secret, generated once in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_secret: Option<ConnectionSecret>,
    /// A page to open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProvision>,
}

/// The keys of a connection secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSecret {
    /// Its keys.
    pub keys: Vec<String>,
    /// Key → text with CEL in `${…}` over username, password, host, database
    /// and application; a key that is missing here is the one of its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// A served page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProvision {
    /// The Service's port, by name or number.
    pub port: Value,
}

/// From which versions one may move here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrades {
    /// Ranges one may come from; every lower version when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Ranges one may not come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    /// What becomes of properties of the config of earlier versions, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueMigration>,
}

impl Upgrades {
    /// Whether `from` may move to `to`, and the sentence that says why not. `blocks` says
    /// so of any version, `from` of lower ones: which versions come later nobody knew.
    pub fn check(&self, from: &Version, to: &Version) -> Result<(), String> {
        let matches = |ranges: &[String]| {
            ranges
                .iter()
                .filter_map(|range| semver::VersionReq::parse(range).ok().map(|r| (r, range)))
                .find(|(parsed, _)| parsed.matches(from))
                .map(|(_, range)| range.clone())
        };
        if let Some(range) = matches(&self.blocks) {
            let what = if to < from { "downgrades" } else { "upgrades" };
            return Err(format!(
                "version {to} cannot follow {from}: it refuses {what} from {range}"
            ));
        }
        if from < to && !self.from.is_empty() && matches(&self.from).is_none() {
            return Err(format!(
                "version {to} cannot follow {from}: it accepts upgrades from {} only",
                self.from.join(", ")
            ));
        }
        Ok(())
    }
}

/// A credential to rotate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The credential's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How long it lives, `90d`.
    pub ttl: String,
}

/// What a Blueprint can be observed by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observability {
    /// `prometheus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// `stdout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// `otlp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<String>,
}

impl Blueprint {
    /// The name of the file in a Blueprint's folder.
    pub const FILE: &'static str = "blueprint.yaml";

    /// Reads a `blueprint.yaml`, or says everything that is wrong with its shape.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let value = catalyst_yaml::from_str(text).map_err(|error| vec![Self::not_yaml(&error)])?;
        let mut problems = shape::check(text, &value);
        problems.extend(Self::repeated(text));
        if !problems.is_empty() {
            return Err(problems);
        }
        serde_json::from_value(value).map_err(|error| vec![Self::not_readable(&error)])
    }

    /// Keys that stand twice: readers differ in which of the two counts, so that what a
    /// reviewer saw need not be what is installed.
    pub(crate) fn repeated(text: &str) -> Vec<Problem> {
        locate::repeated_keys(Self::FILE, text, "duplicate-key")
    }

    pub(crate) fn not_yaml(error: &catalyst_yaml::Error) -> Problem {
        Problem {
            file: Self::FILE.to_owned(),
            line: Some(error.line),
            rule: "yaml",
            message: format!("the file is not YAML: {}", error.message),
            fix: "correct the line; check indentation and quotes".to_owned(),
        }
    }

    pub(crate) fn not_readable(error: &serde_json::Error) -> Problem {
        Problem {
            file: Self::FILE.to_owned(),
            line: None,
            rule: "shape",
            message: format!("the file cannot be read as a Blueprint: {error}"),
            fix: "compare it with the Blueprint's specification".to_owned(),
        }
    }

    /// Reads a Blueprint from a value already parsed, such as a Blueprint object's
    /// content in the API.
    pub fn from_value(value: Value) -> Result<Self, Vec<Problem>> {
        let text = catalyst_yaml::to_string(&value);
        Self::parse(&text)
    }

    /// `bp-<name>`.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.spec.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_nothing_can_serve_says_what_there_is() {
        let dependency = |version: &str, when: Option<&str>| Dependency {
            blueprint: "bp-postgres".to_owned(),
            source: None,
            version: version.to_owned(),
            alias: None,
            when: when.map(str::to_owned),
            values: Map::new(),
        };
        let versions = ["1.4.0".to_owned(), "1.3.0".to_owned()];
        for (range, there, expected) in [
            ("^1.2", Some(&versions[..]), None),
            (
                "^3",
                Some(&versions[..1]),
                Some("it needs bp-postgres ^3, and the source acme has 1.4.0"),
            ),
            (
                "^3",
                Some(&versions[..]),
                Some(
                    "it needs bp-postgres ^3, and the source acme has 2 versions, the newest 1.4.0",
                ),
            ),
            (
                "^1",
                None,
                Some("it needs bp-postgres ^1, and the source acme has no Blueprint of that name"),
            ),
        ] {
            let found = dependency(range, None).unmet("acme", there);
            assert_eq!(found.as_deref(), expected, "{range}");
        }
        let found = dependency("^1", Some("config.db")).unmet("acme", None);
        assert!(
            found
                .unwrap()
                .starts_with("it needs bp-postgres ^1 where `config.db`, ")
        );
    }
}
