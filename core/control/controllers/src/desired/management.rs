//! The management cluster's first contents: the configuration repository, the
//! Flux objects that apply it, and who may read it.

use catalyst_names::OrganizationName;
use catalyst_resources::SovereignSpec;
use serde_json::{Value, json};

use super::{SYSTEM_NAMESPACE, labels};

/// The forge organization of the Sovereign's owner.
pub const SYSTEM_ORGANIZATION: &str = "system";
/// The repository that the management cluster is configured by.
pub const CONFIG_REPOSITORY: &str = "catalyst-config";
/// Flux's namespace in the management cluster.
pub const FLUX_NAMESPACE: &str = "flux-system";
/// The forge user that Flux reads the configuration as.
pub const FLUX_USER: &str = "flux-system";
/// Blueprints that everybody may read, and those that the owner curates.
pub const SHARED_SOURCES: [&str; 2] = ["catalog", "catalog-sovereign"];
/// The Secret by which Flux reads a repository.
pub const GIT_CREDENTIALS: &str = "git-credentials";
/// The service account by which Flux applies the configuration. It is the Sovereign
/// itself that is configured, so it may do everything.
pub const CONFIG_ACCOUNT: &str = "catalyst-config";
/// The branch that is desired state.
pub const BRANCH: &str = "main";

/// A Sovereign's name: its domain, dots turned to dashes.
pub fn sovereign_name(domain: &str) -> String {
    domain.replace('.', "-")
}

/// The Sovereign object that the first commit declares.
pub fn sovereign(spec: &SovereignSpec) -> Value {
    json!({
        "apiVersion": "catalyst.openova.io/v1alpha1",
        "kind": "Sovereign",
        "metadata": {"name": sovereign_name(&spec.domain)},
        "spec": spec,
    })
}

/// The files of the first commit to `system/catalyst-config`.
pub fn configuration_files(spec: &SovereignSpec) -> Vec<(String, Vec<u8>)> {
    let readme = "# Configuration of this Sovereign\n\n\
        Every change here is a commit; Flux applies `main` to the management cluster.\n\n\
        - `sovereign.yaml`: domain, host clusters, trusted signers\n\
        - `organizations/`, `environments/`, `policies/`, `upgrades/`: one file an object\n";
    let mut files = vec![
        ("README.md".to_owned(), readme.as_bytes().to_vec()),
        (
            "sovereign.yaml".to_owned(),
            catalyst_yaml::to_string(&sovereign(spec)).into_bytes(),
        ),
    ];
    // Git has no empty folders.
    for folder in ["organizations", "environments", "policies"] {
        files.push((format!("{folder}/.gitkeep"), Vec::new()));
    }
    files
}

/// Namespaces of the management cluster.
pub fn namespaces() -> Vec<Value> {
    [FLUX_NAMESPACE, SYSTEM_NAMESPACE]
        .iter()
        .map(|name| {
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": labels(&[])},
            })
        })
        .collect()
}

/// The rights by which Flux applies the configuration; they come before what acts with
/// them.
pub fn configuration_account() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": CONFIG_ACCOUNT, "namespace": FLUX_NAMESPACE, "labels": labels(&[])},
            "automountServiceAccountToken": false,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "catalyst:configuration", "labels": labels(&[])},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
            },
            "subjects": [{
                "kind": "ServiceAccount", "name": CONFIG_ACCOUNT, "namespace": FLUX_NAMESPACE,
            }],
        }),
    ]
}

/// Flux's way to the configuration repository.
pub fn configuration_sync(clone_url: &str, username: &str, password: &str) -> Vec<Value> {
    let metadata =
        |name: &str| json!({"name": name, "namespace": FLUX_NAMESPACE, "labels": labels(&[])});
    vec![
        git_credentials(FLUX_NAMESPACE, username, password),
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": metadata(CONFIG_REPOSITORY),
            "spec": {
                "interval": "10m", "url": clone_url, "ref": {"branch": BRANCH},
                "secretRef": {"name": GIT_CREDENTIALS},
            },
        }),
        json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": metadata(CONFIG_REPOSITORY),
            "spec": {
                "interval": "10m", "retryInterval": "30s", "path": "./", "prune": true,
                "serviceAccountName": CONFIG_ACCOUNT,
                "sourceRef": {"kind": "GitRepository", "name": CONFIG_REPOSITORY},
            },
        }),
    ]
}

/// The Secret by which Flux reads repositories of the forge.
pub fn git_credentials(space: &str, username: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": GIT_CREDENTIALS, "namespace": space, "labels": labels(&[])},
        "stringData": {"username": username, "password": password},
    })
}

/// The forge user by which Flux reads an Organization's repositories.
pub fn flux_user(organization: &OrganizationName) -> String {
    format!("flux-{organization}")
}

/// The vault policy that an Organization's vclusters read its secrets by. `+`
/// and `*` stand for nothing of another Organization.
pub fn vault_policy(organization: &OrganizationName) -> String {
    format!(
        "path \"secret/data/org/{organization}/*\" {{ capabilities = [\"read\"] }}\n\
         path \"secret/metadata/org/{organization}/*\" {{ capabilities = [\"read\", \"list\"] }}\n"
    )
}

/// The name of that policy.
pub fn vault_policy_name(organization: &OrganizationName) -> String {
    format!("org-{organization}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_commit_declares_the_sovereign_and_keeps_the_folders() {
        let spec: SovereignSpec = serde_json::from_value(json!({
            "domain": "omantel.example", "provider": "lo",
            "hostClusters": [{"name": "lo-loc-rtz-dev", "region": "loc", "buildingBlock": "rtz", "envType": "dev"}],
        }))
        .unwrap();
        let files = configuration_files(&spec);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "README.md",
                "sovereign.yaml",
                "organizations/.gitkeep",
                "environments/.gitkeep",
                "policies/.gitkeep"
            ]
        );
        let declared = catalyst_yaml::from_str(std::str::from_utf8(&files[1].1).unwrap()).unwrap();
        assert_eq!(declared["metadata"]["name"], "omantel-example");
        assert_eq!(declared["spec"]["hostClusters"][0]["envType"], "dev");
    }

    #[test]
    fn an_organizations_policy_names_nobody_elses_secrets() {
        let acme = OrganizationName::new("acme").unwrap();
        let policy = vault_policy(&acme);
        for line in policy.lines() {
            assert!(line.contains("/org/acme/"), "{line}");
            assert!(
                !line.contains("create") && !line.contains("update"),
                "{line}"
            );
        }
    }
}
