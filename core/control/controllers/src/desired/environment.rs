//! An Environment's objects on its host cluster and in its vcluster, and the
//! first commit of its repository.
//!
//! Two Environments may share a vcluster: everything named here either carries
//! the Environment's name (its namespace) or is the same for all of an
//! Organization's Environments.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use catalyst_names::{EnvType, EnvironmentName, HostClusterName, OrganizationName, VclusterName};
use catalyst_resources::{EnvironmentSpec, HostCluster, Quota};
use serde_json::{Map, Value, json};

use super::management::{BRANCH, GIT_CREDENTIALS, git_credentials};
use super::{SYSTEM_NAMESPACE, key, labels};

/// The Secret by which Flux pulls Blueprints.
pub const REGISTRY_CREDENTIALS: &str = "registry-credentials";
/// The Secret with the vault token of the ClusterSecretStore.
pub const VAULT_TOKEN: &str = "vault-token";
/// The service account, with its Role and RoleBinding, by which Flux applies the
/// repository. No Application's account has this name: those end in `-release`.
pub const REPOSITORY_ACCOUNT: &str = "repository";
/// The ClusterSecretStore.
pub const SECRET_STORE: &str = "sovereign";

/// Where an Environment is on one host cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The Sovereign's domain.
    pub domain: String,
    /// Whose it is.
    pub organization: OrganizationName,
    /// The Environment.
    pub environment: EnvironmentName,
    /// Its stage.
    pub env_type: EnvType,
    /// The host cluster.
    pub host_cluster: HostClusterName,
}

impl Place {
    /// The vcluster's qualified name.
    pub fn vcluster(&self) -> String {
        VclusterName {
            host_cluster: self.host_cluster.clone(),
            organization: self.organization.clone(),
        }
        .to_string()
    }

    fn labels(&self) -> Map<String, Value> {
        labels(&[
            ("sovereign", &self.domain),
            ("organization", self.organization.as_str()),
            ("environment", self.environment.as_str()),
            ("env-type", self.env_type.code()),
            ("vcluster", &self.vcluster()),
            ("host-cluster", &self.host_cluster.to_string()),
        ])
    }
}

/// Why no host cluster fits an Environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// A host cluster that the Sovereign does not have.
    #[error("the host cluster {name} is not one of the Sovereign's ({known}); name one of those")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No host cluster for the stage (and regions).
    #[error(
        "the Sovereign has no host cluster of the building block rtz for {env_type}{}; add one to sovereign.yaml or set spec.placement.hostClusters",
        if regions.is_empty() { String::new() } else { format!(" in {}", regions.join(", ")) }
    )]
    None {
        /// The stage.
        env_type: String,
        /// The regions asked for.
        regions: Vec<String>,
    },
}

/// The host clusters that an Environment's vclusters run on: those it names; else
/// those for its stage in the regions it names; else the first for its stage.
pub fn choose_host_clusters(
    spec: &EnvironmentSpec,
    available: &[HostCluster],
) -> Result<Vec<String>, PlacementError> {
    let placement = spec.placement.clone().unwrap_or_default();
    if !placement.host_clusters.is_empty() {
        for name in &placement.host_clusters {
            if !available.iter().any(|cluster| cluster.name == *name) {
                let known: Vec<_> = available.iter().map(|one| one.name.as_str()).collect();
                return Err(PlacementError::Unknown {
                    name: name.clone(),
                    known: known.join(", "),
                });
            }
        }
        let mut chosen = placement.host_clusters;
        chosen.sort();
        chosen.dedup();
        return Ok(chosen);
    }
    let fitting = available
        .iter()
        .filter(|one| one.building_block == "rtz" && one.env_type == spec.env_type);
    let chosen: Vec<String> = if placement.regions.is_empty() {
        fitting.take(1).map(|one| one.name.clone()).collect()
    } else {
        fitting
            .filter(|one| placement.regions.contains(&one.region))
            .map(|one| one.name.clone())
            .collect()
    };
    if chosen.is_empty() {
        return Err(PlacementError::None {
            env_type: spec.env_type.clone(),
            regions: placement.regions,
        });
    }
    Ok(chosen)
}

/// What asks a host cluster for the Organization's vcluster: its namespace, then
/// the object that somebody fulfils.
pub fn host_objects(place: &Place) -> [Value; 2] {
    let organization = place.organization.as_str();
    let labels = labels(&[
        ("sovereign", &place.domain),
        ("organization", organization),
        ("vcluster", &place.vcluster()),
        ("host-cluster", &place.host_cluster.to_string()),
    ]);
    [
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": organization, "labels": labels},
        }),
        json!({
            "apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "VCluster",
            "metadata": {"name": organization, "namespace": organization, "labels": labels},
            "spec": {},
        }),
    ]
}

/// What the objects in a vcluster are made of, besides the place.
#[derive(Clone)]
pub struct Access<'a> {
    /// The Environment's repository.
    pub clone_url: &'a str,
    /// The forge user that reads it.
    pub username: &'a str,
    /// The registry's robot that pulls Blueprints.
    pub robot: &'a str,
    /// The password of both.
    pub password: &'a str,
    /// `host[:port]` of the registry.
    pub registry_host: &'a str,
    /// The vault's base URL.
    pub vault: &'a str,
    /// The Environment's quota.
    pub quota: Option<&'a Quota>,
}

/// The namespaces, which everything else needs.
pub fn foundation(place: &Place) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": place.environment, "labels": place.labels()},
        }),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": SYSTEM_NAMESPACE, "labels": labels(&[])},
        }),
    ]
}

/// The service account that applies an Environment's repository, and what it may do:
/// write Applications, in the Environment's own namespace. Whoever writes to the
/// repository can do no more by it, whatever they commit.
pub fn account(place: &Place) -> Vec<Value> {
    let space = place.environment.as_str();
    let metadata =
        json!({"name": REPOSITORY_ACCOUNT, "namespace": space, "labels": place.labels()});
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
            "automountServiceAccountToken": false,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [{
                "apiGroups": ["catalyst.openova.io"], "resources": ["applications"],
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": REPOSITORY_ACCOUNT,
            },
            "subjects": [{"kind": "ServiceAccount", "name": REPOSITORY_ACCOUNT, "namespace": space}],
        }),
    ]
}

/// Everything else that an Environment has in its vcluster.
pub fn contents(place: &Place, access: &Access<'_>) -> Vec<Value> {
    let space = place.environment.as_str();
    let metadata = |name: &str| json!({"name": name, "namespace": space, "labels": place.labels()});
    let mut objects = vec![
        git_credentials(space, access.username, access.password),
        registry_credentials(space, access),
        secret_store(access.vault),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": metadata("default-deny"),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }),
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": metadata(space),
            "spec": {
                "interval": "10m", "url": access.clone_url, "ref": {"branch": BRANCH},
                "secretRef": {"name": GIT_CREDENTIALS},
            },
        }),
        json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": metadata(space),
            "spec": {
                "interval": "10m", "retryInterval": "30s", "path": "./applications",
                "prune": true, "targetNamespace": space,
                "serviceAccountName": REPOSITORY_ACCOUNT,
                "sourceRef": {"kind": "GitRepository", "name": space},
            },
        }),
    ];
    if let Some(most) = access.quota.and_then(|quota| quota.applications) {
        objects.push(json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": metadata("applications"),
            "spec": {"hard": {"count/applications.catalyst.openova.io": most.to_string()}},
        }));
    }
    objects
}

fn registry_credentials(space: &str, access: &Access<'_>) -> Value {
    let pair = BASE64.encode(format!("{}:{}", access.robot, access.password));
    let mut registries = Map::new();
    registries.insert(
        access.registry_host.to_owned(),
        json!({"username": access.robot, "password": access.password, "auth": pair}),
    );
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": REGISTRY_CREDENTIALS, "namespace": space, "labels": labels(&[])},
        "stringData": {".dockerconfigjson": json!({"auths": registries}).to_string()},
    })
}

fn secret_store(vault: &str) -> Value {
    json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore",
        "metadata": {"name": SECRET_STORE, "labels": labels(&[])},
        "spec": {"provider": {"vault": {
            "server": vault, "path": "secret", "version": "v2",
            "auth": {"tokenSecretRef": {"name": VAULT_TOKEN, "namespace": SYSTEM_NAMESPACE, "key": "token"}},
        }}},
    })
}

/// The Secret with the token of the ClusterSecretStore. The annotations tell when
/// to replace the token, and by what name to revoke it.
pub fn vault_token(token: &str, accessor: &str, issued_at: &str) -> Value {
    let mut annotations = Map::new();
    annotations.insert(key("vault-accessor"), json!(accessor));
    annotations.insert(key("issued-at"), json!(issued_at));
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": VAULT_TOKEN, "namespace": SYSTEM_NAMESPACE,
            "labels": labels(&[]), "annotations": annotations,
        },
        "stringData": {"token": token},
    })
}

/// The files of the first commit to an Environment's repository.
pub fn repository_files(environment: &EnvironmentName) -> Vec<(String, Vec<u8>)> {
    let readme = format!(
        "# {environment}\n\n\
         What runs in this Environment. Each Application is a file,\n\
         `applications/<name>/application.yaml`; a push to `{BRANCH}` is checked, then applied.\n"
    );
    let owners = "# Who is asked for a review, by folder. Approvals that count are set by\n\
        # EnvironmentPolicies in system/catalyst-config.\n";
    vec![
        ("README.md".to_owned(), readme.into_bytes()),
        ("CODEOWNERS".to_owned(), owners.as_bytes().to_vec()),
        // Git has no empty folders, and Flux applies this one.
        ("applications/.gitkeep".to_owned(), Vec::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{name, namespace, text};

    fn host(name: &str, region: &str, block: &str, env_type: &str) -> HostCluster {
        HostCluster {
            name: name.to_owned(),
            region: region.to_owned(),
            building_block: block.to_owned(),
            env_type: env_type.to_owned(),
        }
    }

    #[test]
    fn host_clusters_are_chosen_by_name_then_region_then_stage() {
        let available = [
            host("hz-fsn-mgt-prod", "fsn", "mgt", "prod"),
            host("hz-fsn-rtz-prod", "fsn", "rtz", "prod"),
            host("hz-hel-rtz-prod", "hel", "rtz", "prod"),
            host("hz-fsn-rtz-dev", "fsn", "rtz", "dev"),
        ];
        let cases: &[(Value, Result<&[&str], &str>)] = &[
            (json!({"envType": "prod"}), Ok(&["hz-fsn-rtz-prod"])),
            (
                json!({"envType": "prod", "placement": {"regions": ["fsn", "hel"]}}),
                Ok(&["hz-fsn-rtz-prod", "hz-hel-rtz-prod"]),
            ),
            (
                json!({"envType": "dev", "placement": {"hostClusters": ["hz-fsn-rtz-prod"]}}),
                Ok(&["hz-fsn-rtz-prod"]),
            ),
            (
                json!({"envType": "uat"}),
                Err("no host cluster of the building block rtz for uat"),
            ),
            (
                json!({"envType": "dev", "placement": {"regions": ["hel"]}}),
                Err("for dev in hel"),
            ),
            (
                json!({"envType": "dev", "placement": {"hostClusters": ["aws-x"]}}),
                Err("the host cluster aws-x is not one of the Sovereign's (hz-fsn-mgt-prod,"),
            ),
        ];
        for (spec, expected) in cases {
            let mut spec = spec.clone();
            spec["organization"] = json!("acme");
            let spec: EnvironmentSpec = serde_json::from_value(spec).unwrap();
            match (choose_host_clusters(&spec, &available), expected) {
                (Ok(chosen), Ok(expected)) => assert_eq!(chosen, *expected),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                }
                (got, expected) => panic!("{spec:?}: {got:?} instead of {expected:?}"),
            }
        }
    }

    fn place(environment: &str) -> Place {
        let environment = EnvironmentName::new(environment).unwrap();
        let (organization, env_type) = environment.parts().unwrap();
        Place {
            domain: "localhost".to_owned(),
            organization,
            environment,
            env_type,
            host_cluster: "lo-loc-rtz-dev".parse().unwrap(),
        }
    }

    fn access() -> Access<'static> {
        Access {
            clone_url: "http://127.0.0.1:8080/git/acme/acme-dev.git",
            username: "flux-acme",
            robot: "robot$flux-acme",
            password: "p",
            registry_host: "127.0.0.1:8080",
            vault: "http://127.0.0.1:8080/vault",
            quota: None,
        }
    }

    #[test]
    fn two_environments_in_one_vcluster_do_not_write_each_others_objects() {
        let of = |environment: &str| -> Vec<Value> {
            let place = place(environment);
            let mut objects = foundation(&place);
            objects.extend(account(&place));
            objects.extend(contents(&place, &access()));
            objects
        };
        let dev = of("acme-dev");
        for object in of("acme-poc") {
            let same = dev.iter().find(|other| {
                text(other, "/kind") == text(&object, "/kind")
                    && name(other) == name(&object)
                    && namespace(other) == namespace(&object)
            });
            // What is shared is the same whichever of the two writes it.
            if let Some(same) = same {
                assert_eq!(same, &object);
            }
        }
    }

    #[test]
    fn flux_applies_the_applications_folder_into_the_environments_namespace() {
        let objects = contents(&place("acme-dev"), &access());
        let sync = objects
            .iter()
            .find(|one| one["kind"] == "Kustomization")
            .unwrap();
        assert_eq!(namespace(sync), "acme-dev");
        assert_eq!(sync["spec"]["path"], "./applications");
        assert_eq!(sync["spec"]["targetNamespace"], "acme-dev");
        assert_eq!(sync["spec"]["prune"], true);
        assert_eq!(
            sync["metadata"]["labels"]["openova.io/vcluster"],
            "lo-loc-rtz-dev-acme"
        );
    }

    #[test]
    fn the_repository_is_applied_by_an_account_that_writes_applications_alone() {
        let place = place("acme-dev");
        let objects = contents(&place, &access());
        let sync = objects
            .iter()
            .find(|one| one["kind"] == "Kustomization")
            .unwrap();
        let rights = account(&place);
        assert_eq!(sync["spec"]["serviceAccountName"], name(&rights[0]));
        let kinds: Vec<&str> = rights.iter().map(|one| text(one, "/kind")).collect();
        assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding"]);
        for one in &rights {
            assert_eq!(namespace(one), "acme-dev", "{one}");
        }
        let rules = rights[1]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0]["apiGroups"], json!(["catalyst.openova.io"]));
        assert_eq!(rules[0]["resources"], json!(["applications"]));
    }

    #[test]
    fn the_first_commit_has_the_folder_that_flux_applies() {
        let files = repository_files(&EnvironmentName::new("acme-dev").unwrap());
        assert!(
            files
                .iter()
                .any(|(path, _)| path.starts_with("applications/"))
        );
    }
}
