//! What stands in Git, read once and looked at by pure code: the Sovereign's
//! configuration, and the Applications of an Environment.

use std::collections::BTreeMap;

use catalyst_api::Fault;
use catalyst_names::{EnvironmentName, HostClusterName};
use catalyst_resources::{
    Application, Environment, EnvironmentPolicy, FleetUpgrade, HostCluster, Organization, Sovereign,
};

use crate::documents;

/// The branch that is desired state.
pub(crate) const BRANCH: &str = "main";
/// Owner and name of the configuration's repository.
pub(crate) const CONFIG: (&str, &str) = ("system", "catalyst-config");

/// `applications/{application}/application.yaml`.
pub(crate) fn application_path(application: &str) -> String {
    format!("applications/{application}/application.yaml")
}

/// The Application whose file this is.
pub(crate) fn application_of_path(path: &str) -> Option<&str> {
    let (name, file) = path.strip_prefix("applications/")?.split_once('/')?;
    (file == "application.yaml").then_some(name)
}

/// The Sovereign's configuration at one commit. Files that cannot be read are
/// left out and named, so that one bad file does not stop every command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configuration {
    pub sovereign: Option<Sovereign>,
    pub organizations: BTreeMap<String, Organization>,
    pub environments: BTreeMap<String, Environment>,
    pub policies: BTreeMap<String, EnvironmentPolicy>,
    pub upgrades: BTreeMap<String, FleetUpgrade>,
    pub faults: Vec<Fault>,
    /// Every file, as it stands.
    pub files: BTreeMap<String, String>,
}

impl Configuration {
    /// Reads `sovereign.yaml`, `organizations/`, `environments/`, `policies/`,
    /// `upgrades/`.
    pub fn read(files: BTreeMap<String, String>) -> Self {
        let mut found = Self::default();
        for (path, text) in &files {
            let Some(kind) = kind_of(path) else { continue };
            let result = match kind {
                "Sovereign" => documents::parse(path, text, kind).map(|it| {
                    found.sovereign = Some(it);
                }),
                "Organization" => documents::parse(path, text, kind).map(|it: Organization| {
                    found.organizations.insert(it.metadata.name.clone(), it);
                }),
                "Environment" => documents::parse(path, text, kind).map(|it: Environment| {
                    found.environments.insert(it.metadata.name.clone(), it);
                }),
                "FleetUpgrade" => documents::parse(path, text, kind).map(|it: FleetUpgrade| {
                    found.upgrades.insert(it.metadata.name.clone(), it);
                }),
                _ => documents::parse(path, text, kind).map(|it: EnvironmentPolicy| {
                    found.policies.insert(it.metadata.name.clone(), it);
                }),
            };
            if let Err(faults) = result {
                found.faults.extend(faults);
            }
        }
        found.files = files;
        found
    }

    /// The Sovereign's host clusters.
    pub fn host_clusters(&self) -> &[HostCluster] {
        self.sovereign
            .as_ref()
            .map(|sovereign| sovereign.spec.host_clusters.as_slice())
            .unwrap_or_default()
    }

    /// Where an Environment's vclusters run: the host clusters it names, else
    /// those for its stage in the regions it names, else the first for its
    /// stage.
    pub fn placement(&self, environment: &Environment) -> Result<Vec<HostClusterName>, String> {
        let available = self.host_clusters();
        let placement = environment.spec.placement.clone().unwrap_or_default();
        let names: Vec<String> = if placement.host_clusters.is_empty() {
            let fitting = available.iter().filter(|one| {
                one.building_block == "rtz"
                    && one.env_type == environment.spec.env_type
                    && (placement.regions.is_empty() || placement.regions.contains(&one.region))
            });
            let names = fitting.map(|one| one.name.clone());
            if placement.regions.is_empty() {
                names.take(1).collect()
            } else {
                names.collect()
            }
        } else {
            for name in &placement.host_clusters {
                if !available.iter().any(|one| one.name == *name) {
                    let known: Vec<&str> = available.iter().map(|one| one.name.as_str()).collect();
                    return Err(format!(
                        "the Sovereign has no host cluster {name}; it has {}",
                        known.join(", ")
                    ));
                }
            }
            placement.host_clusters
        };
        if names.is_empty() {
            return Err(format!(
                "the Sovereign has no host cluster for the stage {}; add one to sovereign.yaml, or name another host cluster",
                environment.spec.env_type
            ));
        }
        names
            .iter()
            .map(|name| name.parse().map_err(|error| format!("{error}")))
            .collect()
    }

    /// The policies that bind an Environment, by name.
    pub fn policies_of(&self, environment: &EnvironmentName) -> Vec<&EnvironmentPolicy> {
        self.policies
            .values()
            .filter(|policy| {
                let bound = &policy.spec.applies_to.environments;
                bound.iter().any(|name| name == environment.as_str())
            })
            .collect()
    }
}

/// The kind that a path of the configuration holds.
pub(crate) fn kind_of(path: &str) -> Option<&'static str> {
    if path == "sovereign.yaml" {
        return Some("Sovereign");
    }
    let (folder, file) = path.split_once('/')?;
    if file.contains('/') || !file.ends_with(".yaml") {
        return None;
    }
    match folder {
        "organizations" => Some("Organization"),
        "environments" => Some("Environment"),
        "policies" => Some("EnvironmentPolicy"),
        "upgrades" => Some("FleetUpgrade"),
        _ => None,
    }
}

/// The Applications of an Environment at one commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applications {
    pub applications: BTreeMap<String, Application>,
    pub faults: Vec<Fault>,
    /// Every `application.yaml`, by path.
    pub files: BTreeMap<String, String>,
}

impl Applications {
    /// The text of a file; nothing where there is none.
    pub fn text_at(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Reads every `applications/<name>/application.yaml`.
    pub fn read(files: BTreeMap<String, String>) -> Self {
        let mut found = Self::default();
        for (path, text) in &files {
            let Some(name) = application_of_path(path) else {
                continue;
            };
            match documents::parse::<Application>(path, text, "Application") {
                Ok(application) => {
                    found.applications.insert(name.to_owned(), application);
                }
                Err(faults) => found.faults.extend(faults),
            }
        }
        found.files = files;
        found
    }

    /// Applications that name this one as a dependency, by name.
    pub fn dependents(&self, application: &str) -> Vec<String> {
        self.applications
            .iter()
            .filter(|(_, other)| {
                other
                    .spec
                    .dependencies
                    .values()
                    .any(|dependency| dependency.application == application)
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A chain of Applications that ends where it begins, if there is one.
    pub fn cycle(&self) -> Option<Vec<String>> {
        let mut done = std::collections::BTreeSet::new();
        for start in self.applications.keys() {
            let mut chain = Vec::new();
            if let Some(cycle) = self.walk(start, &mut chain, &mut done) {
                return Some(cycle);
            }
        }
        None
    }

    fn walk(
        &self,
        name: &str,
        chain: &mut Vec<String>,
        done: &mut std::collections::BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(position) = chain.iter().position(|earlier| earlier == name) {
            let mut cycle = chain.get(position..).unwrap_or_default().to_vec();
            cycle.push(name.to_owned());
            return Some(cycle);
        }
        if done.contains(name) {
            return None;
        }
        chain.push(name.to_owned());
        let dependencies = self
            .applications
            .get(name)
            .into_iter()
            .flat_map(|application| application.spec.dependencies.values());
        for dependency in dependencies {
            if let Some(cycle) = self.walk(&dependency.application, chain, done) {
                return Some(cycle);
            }
        }
        chain.pop();
        done.insert(name.to_owned());
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn application(name: &str, dependencies: &[&str]) -> (String, String) {
        let list: String = dependencies
            .iter()
            .map(|other| format!("    {other}: {{application: {other}}}\n"))
            .collect();
        let dependencies = if list.is_empty() {
            String::new()
        } else {
            format!("  dependencies:\n{list}")
        };
        (
            application_path(name),
            format!(
                "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}, namespace: acme-dev}}\nspec:\n  blueprint: {{source: catalog, name: bp-{name}, version: 1.0.0}}\n{dependencies}"
            ),
        )
    }

    #[test]
    fn cycles_and_dependents_are_found() {
        let tree = Applications::read(BTreeMap::from([
            application("aa", &["bb", "cc"]),
            application("bb", &["cc"]),
            application("cc", &[]),
        ]));
        assert!(tree.faults.is_empty(), "{:?}", tree.faults);
        assert_eq!(tree.cycle(), None);
        assert_eq!(tree.dependents("cc"), ["aa", "bb"]);
        let ring = Applications::read(BTreeMap::from([
            application("aa", &["bb"]),
            application("bb", &["cc"]),
            application("cc", &["bb"]),
        ]));
        assert_eq!(ring.cycle().unwrap(), ["bb", "cc", "bb"]);
    }

    #[test]
    fn paths_say_what_they_hold() {
        for (path, kind) in [
            ("sovereign.yaml", Some("Sovereign")),
            ("organizations/acme.yaml", Some("Organization")),
            ("environments/acme-dev.yaml", Some("Environment")),
            ("policies/a.yaml", Some("EnvironmentPolicy")),
            ("upgrades/a.yaml", Some("FleetUpgrade")),
            ("policies/a/b.yaml", None),
            ("README.md", None),
        ] {
            assert_eq!(kind_of(path), kind, "{path}");
        }
        assert_eq!(
            application_of_path("applications/wiki/application.yaml"),
            Some("wiki")
        );
        assert_eq!(application_of_path("applications/wiki/other.yaml"), None);
        assert_eq!(
            application_of_path("applications/a/b/application.yaml"),
            None
        );
    }

    #[test]
    fn environments_run_where_they_say_or_where_their_stage_is() {
        let sovereign = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: localhost}\nspec:\n  domain: localhost\n  provider: lo\n  hostClusters:\n  - {name: lo-loc-mgt-prod, region: loc, buildingBlock: mgt, envType: prod}\n  - {name: lo-loc-rtz-prod, region: loc, buildingBlock: rtz, envType: prod}\n  - {name: lo-loc-rtz-dev, region: loc, buildingBlock: rtz, envType: dev}\n";
        let configuration = Configuration::read(BTreeMap::from([(
            "sovereign.yaml".to_owned(),
            sovereign.to_owned(),
        )]));
        assert!(
            configuration.faults.is_empty(),
            "{:?}",
            configuration.faults
        );
        let place = |env_type: &str, hosts: &[&str]| {
            let environment: Environment = serde_json::from_value(serde_json::json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Environment",
                "metadata": {"name": format!("acme-{env_type}")},
                "spec": {"organization": "acme", "envType": env_type, "placement": {"hostClusters": hosts}},
            }))
            .unwrap();
            configuration
                .placement(&environment)
                .map(|found| found[0].to_string())
        };
        assert_eq!(place("prod", &[]).unwrap(), "lo-loc-rtz-prod");
        assert_eq!(place("stg", &["lo-loc-rtz-dev"]).unwrap(), "lo-loc-rtz-dev");
        assert!(place("stg", &[]).unwrap_err().contains("stage stg"));
        assert!(
            place("dev", &["lo-loc-rtz-xxx"])
                .unwrap_err()
                .contains("lo-loc-rtz-xxx")
        );
    }
}
