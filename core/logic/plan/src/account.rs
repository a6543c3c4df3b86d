//! The service account that an Application's release acts as.
//!
//! What a Blueprint brings is applied with these rights and no others, as Flux's
//! multi-tenancy lockdown has it: `spec.serviceAccountName` of the HelmRelease or
//! Kustomization names an account beside it, in the Environment's namespace, where no
//! workload can borrow it; a RoleBinding lets it act in the workload namespace alone.
//!
//! What must stay true: nothing of the cluster and no other namespace is within its
//! reach, and nothing by which somebody else would act for it: no objects of Flux, no
//! ExternalSecrets (the store behind them reads all of the Organization's secrets), no
//! `bind`, `escalate` or quota.

use serde_json::{Value, json};

use crate::expand::Input;
use crate::release_account_name;

/// The Role, and the RoleBinding that gives it to the account.
const ROLE: &str = "catalyst-release";
pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";

/// Resources of the core group that are an Application's own.
pub(crate) const CORE: [&str; 24] = [
    "configmaps",
    "endpoints",
    "events",
    "persistentvolumeclaims",
    "persistentvolumeclaims/status",
    "pods",
    "pods/attach",
    "pods/ephemeralcontainers",
    "pods/eviction",
    "pods/exec",
    "pods/log",
    "pods/portforward",
    "pods/proxy",
    "pods/status",
    "podtemplates",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "replicationcontrollers/status",
    "secrets",
    "serviceaccounts",
    "serviceaccounts/token",
    "services",
    "services/proxy",
    "services/status",
];
/// Those that the Environment sets for it.
pub(crate) const CEILING: [&str; 3] = ["limitranges", "namespaces", "resourcequotas"];
/// Groups of which all that is in a namespace is an Application's own.
pub(crate) const GROUPS: [&str; 9] = [
    "apps",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "gateway.networking.k8s.io",
    "networking.k8s.io",
    "policy",
];
/// Rights that it may hand on.
pub(crate) const RIGHTS: [&str; 2] = ["roles", "rolebindings"];
pub(crate) const READ: [&str; 3] = ["get", "list", "watch"];
/// Without `bind` and `escalate`, by which one hands out more than one has:
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>.
pub(crate) const WRITE: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// ServiceAccount, Role and RoleBinding.
pub(crate) fn objects(input: &Input<'_>) -> Vec<Value> {
    let account = release_account_name(input.name);
    let object = |api_version: &str, kind: &str, space: &str, name: &str, body: Value| {
        input.object(api_version, kind, Some(space), name, "rights", body)
    };
    let environment = input.environment_namespace();
    let workload = &input.workload_namespace;
    let rbac = format!("{RBAC}/v1");
    vec![
        object(
            "v1",
            "ServiceAccount",
            environment,
            &account,
            json!({"automountServiceAccountToken": false}),
        ),
        object(&rbac, "Role", workload, ROLE, json!({"rules": rules()})),
        object(
            &rbac,
            "RoleBinding",
            workload,
            ROLE,
            json!({
                "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": ROLE},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": environment}],
            }),
        ),
    ]
}

/// What an Application is made of, by Kubernetes' own API groups.
fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": CORE, "verbs": ["*"]},
        {"apiGroups": [""], "resources": CEILING, "verbs": READ},
        {"apiGroups": GROUPS, "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [RBAC], "resources": RIGHTS, "verbs": WRITE},
    ])
}
