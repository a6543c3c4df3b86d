//! Who may do what in an Organization's vcluster, as RBAC objects.
//!
//! Least privilege: `kubectl` is for looking and debugging. Nobody but
//! sovereign-admins may write what Flux acts on, or
//! roles, service accounts and pods (whose identity one could borrow), or read
//! Secrets, the vault's token among them. What one may see inside an Application
//! one sees by `exec`, where the role gives that.
//!
//! Who is there for the whole Organization reads the whole vcluster, so that
//! `kubectl get pods -A` answers: org-admins, org-viewers, security-officers, and
//! org-developers of all Environments. An org-developer of some reads and debugs
//! theirs, and finds them by the list of namespaces, where there is one of theirs;
//! all of them are the same Organization's. A billing-admin has nothing to look for.

use std::collections::BTreeSet;

use catalyst_resources::{Member, Role};
use serde_json::{Value, json};

use super::{key, labels};

/// The label value that marks what this module made, so that it may be pruned.
pub const PART: (&str, &str) = ("part", "access");

/// The group of the Sovereign's administrators, as tokens name it.
pub const SOVEREIGN_ADMINS: &str = "oidc:sovereign-admin";

const READER: &str = "catalyst:reader";
const OPERATOR: &str = "catalyst:operator";
const VISITOR: &str = "catalyst:visitor";

/// A namespace of a vcluster and the Environment that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Space {
    /// Its name.
    pub name: String,
    /// The Environment.
    pub environment: String,
}

/// Every role and binding of a vcluster, for its Organization's members and the
/// namespaces it has now.
pub fn objects(members: &[Member], spaces: &[Space]) -> Vec<Value> {
    let mut objects = cluster_roles();
    objects.push(cluster_binding(
        "catalyst:sovereign-admin",
        "cluster-admin",
        vec![json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": SOVEREIGN_ADMINS})],
    ));
    let readers = subjects(members.iter().filter(|member| reads_everything(member)));
    if !readers.is_empty() {
        objects.push(cluster_binding("catalyst:readers", READER, readers));
    }
    let mut visitors: Vec<&Member> = Vec::new();
    for space in spaces {
        let developers: Vec<&Member> = members
            .iter()
            .filter(|member| is_developer_in(member, &space.environment))
            .collect();
        let named = developers
            .iter()
            .copied()
            .filter(|member| !reads_everything(member));
        visitors.extend(named.clone());
        let readers = subjects(named);
        if !readers.is_empty() {
            objects.push(binding(&space.name, "catalyst:developers", READER, readers));
        }
        let admins = members
            .iter()
            .filter(|member| member.role == Role::OrgAdmin);
        let operators = subjects(admins.chain(developers));
        if !operators.is_empty() {
            objects.push(binding(
                &space.name,
                "catalyst:operators",
                OPERATOR,
                operators,
            ));
        }
    }
    let visitors = subjects(visitors.into_iter());
    if !visitors.is_empty() {
        objects.push(cluster_binding("catalyst:visitors", VISITOR, visitors));
    }
    objects
}

/// Whether a member reads all of a vcluster, whatever comes into it.
fn reads_everything(member: &Member) -> bool {
    match member.role {
        Role::OrgAdmin | Role::OrgViewer | Role::SecurityOfficer => true,
        Role::OrgDeveloper => member.environments.is_empty(),
        Role::BillingAdmin => false,
    }
}

fn is_developer_in(member: &Member, environment: &str) -> bool {
    member.role == Role::OrgDeveloper
        && (member.environments.is_empty()
            || member.environments.iter().any(|one| one == environment))
}

/// Subjects by user name, or by group with the prefix that tokens' groups get;
/// sorted, so that the same members give the same bytes.
fn subjects<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<Value> {
    let named: BTreeSet<(&str, String)> = members
        .filter_map(|member| match (&member.user, &member.group) {
            // A name that Kubernetes gives meaning to can be nobody's user name.
            (Some(user), _) if !user.starts_with("system:") => Some(("User", user.clone())),
            (None, Some(group)) => Some(("Group", format!("oidc:{group}"))),
            _ => None,
        })
        .collect();
    named
        .into_iter()
        .map(|(kind, name)| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}))
        .collect()
}

fn cluster_roles() -> Vec<Value> {
    let read = ["get", "list", "watch"];
    let role = |name: &str, rules: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels(&[PART])},
            "rules": rules,
        })
    };
    vec![
        role(
            READER,
            json!([
                {"apiGroups": [""], "resources": [
                    "configmaps", "endpoints", "events", "limitranges", "namespaces", "persistentvolumeclaims",
                    "pods", "pods/status", "replicationcontrollers", "resourcequotas", "serviceaccounts", "services",
                ], "verbs": read},
                {"apiGroups": ["apps"], "resources": ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"], "verbs": read},
                {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": read},
                {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": read},
                {"apiGroups": ["catalyst.openova.io"], "resources": ["applications"], "verbs": read},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
                {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": read},
                {"apiGroups": ["external-secrets.io"], "resources": ["externalsecrets"], "verbs": read},
                {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["gateways", "httproutes"], "verbs": read},
                {"apiGroups": ["helm.toolkit.fluxcd.io"], "resources": ["helmreleases"], "verbs": read},
                {"apiGroups": ["kustomize.toolkit.fluxcd.io"], "resources": ["kustomizations"], "verbs": read},
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": read},
                {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": read},
                {"apiGroups": ["source.toolkit.fluxcd.io"], "resources": ["gitrepositories", "ocirepositories"], "verbs": read},
            ]),
        ),
        role(
            OPERATOR,
            json!([
                {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": ["get", "create"]},
                // Restarting is deleting a pod: its owner makes another.
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
            ]),
        ),
        role(
            VISITOR,
            json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": read}]),
        ),
    ]
}

fn cluster_binding(name: &str, role: &str, subjects: Vec<Value>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": labels(&[PART])},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    })
}

fn binding(space: &str, name: &str, role: &str, subjects: Vec<Value>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": space, "labels": labels(&[PART])},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    })
}

/// The selector of everything that this module made.
pub fn selector() -> String {
    format!("{}={}", key(PART.0), PART.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{array, name, namespace, text};

    fn member(user: &str, role: Role, environments: &[&str]) -> Member {
        Member {
            user: Some(user.to_owned()),
            group: None,
            role,
            environments: environments.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    fn space(name: &str, environment: &str) -> Space {
        Space {
            name: name.to_owned(),
            environment: environment.to_owned(),
        }
    }

    /// What RBAC would say, by the rules of Kubernetes' documentation. An empty
    /// namespace is for what has none, or for all of them.
    fn may(objects: &[Value], user: &str, verb: &str, resource: (&str, &str), space: &str) -> bool {
        objects
            .iter()
            .filter(|one| text(one, "/kind").ends_with("Binding"))
            .filter(|one| namespace(one).is_empty() || namespace(one) == space)
            .filter(|one| {
                array(one, "/subjects")
                    .iter()
                    .any(|subject| subject["kind"] == "User" && subject["name"] == user)
            })
            .any(|binding| {
                let role = text(binding, "/roleRef/name");
                role == "cluster-admin"
                    || objects
                        .iter()
                        .filter(|one| one["kind"] == "ClusterRole" && name(one) == role)
                        .flat_map(|role| array(role, "/rules"))
                        .any(|rule| {
                            let has = |list: &str, wanted: &str| {
                                array(rule, list).iter().any(|one| one == wanted)
                            };
                            has("/verbs", verb)
                                && has("/apiGroups", resource.0)
                                && has("/resources", resource.1)
                        })
            })
    }

    #[test]
    fn every_role_may_do_what_it_is_for_and_no_more() {
        let members = [
            member("ada", Role::OrgAdmin, &[]),
            member("dev", Role::OrgDeveloper, &["acme-dev"]),
            member("all", Role::OrgDeveloper, &[]),
            // Of an Environment that is not here.
            member("far", Role::OrgDeveloper, &["acme-prod"]),
            member("vic", Role::OrgViewer, &[]),
            member("sec", Role::SecurityOfficer, &[]),
            member("bill", Role::BillingAdmin, &[]),
        ];
        let spaces = [
            space("acme-dev", "acme-dev"),
            space("blog", "acme-dev"),
            space("acme-poc", "acme-poc"),
            space("poc-blog", "acme-poc"),
        ];
        let objects = objects(&members, &spaces);
        let pods = ("", "pods");
        let namespaces = ("", "namespaces");
        let logs = ("", "pods/log");
        let exec = ("", "pods/exec");
        let releases = ("helm.toolkit.fluxcd.io", "helmreleases");
        let cases = [
            ("ada", "list", pods, "blog", true),
            ("ada", "get", logs, "blog", true),
            ("ada", "create", exec, "poc-blog", true),
            ("ada", "get", releases, "acme-dev", true),
            ("ada", "get", logs, "catalyst-system", false),
            ("dev", "list", pods, "blog", true),
            ("dev", "create", exec, "blog", true),
            ("dev", "list", pods, "poc-blog", false),
            ("dev", "get", logs, "poc-blog", false),
            ("dev", "list", pods, "catalyst-system", false),
            ("all", "get", logs, "poc-blog", true),
            // An empty namespace stands for all of them: `kubectl get pods -A`.
            ("ada", "list", pods, "", true),
            ("all", "list", pods, "", true),
            ("vic", "list", pods, "", true),
            ("sec", "list", pods, "", true),
            ("dev", "list", pods, "", false),
            ("bill", "list", pods, "", false),
            ("all", "get", logs, "", false),
            ("all", "create", exec, "catalyst-system", false),
            ("ada", "list", namespaces, "", true),
            ("all", "watch", namespaces, "", true),
            ("dev", "list", namespaces, "", true),
            ("dev", "get", namespaces, "", true),
            ("dev", "delete", namespaces, "", false),
            ("vic", "list", namespaces, "", true),
            ("bill", "list", namespaces, "", false),
            ("far", "list", namespaces, "", false),
            ("mallory", "list", namespaces, "", false),
            ("vic", "list", pods, "blog", true),
            ("vic", "get", logs, "blog", false),
            ("vic", "create", exec, "blog", false),
            ("vic", "delete", pods, "blog", false),
            ("sec", "list", pods, "blog", true),
            ("bill", "list", pods, "blog", false),
            ("mallory", "list", pods, "blog", false),
        ];
        for (user, verb, resource, space, expected) in cases {
            assert_eq!(
                may(&objects, user, verb, resource, space),
                expected,
                "{user} {verb} {resource:?} in {space}"
            );
        }
    }

    #[test]
    fn no_member_reads_secrets_or_writes_what_runs_with_anothers_rights() {
        let members = [
            member("ada", Role::OrgAdmin, &[]),
            member("dev", Role::OrgDeveloper, &[]),
            member("vic", Role::OrgViewer, &[]),
        ];
        let objects = objects(&members, &[space("blog", "acme-dev")]);
        for user in ["ada", "dev", "vic"] {
            for verb in ["get", "list", "watch"] {
                assert!(
                    !may(&objects, user, verb, ("", "secrets"), "blog"),
                    "{user} {verb}"
                );
            }
            for verb in ["create", "update", "patch", "delete", "deletecollection"] {
                for resource in [
                    ("helm.toolkit.fluxcd.io", "helmreleases"),
                    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
                    ("source.toolkit.fluxcd.io", "gitrepositories"),
                    ("source.toolkit.fluxcd.io", "ocirepositories"),
                    ("rbac.authorization.k8s.io", "rolebindings"),
                    ("rbac.authorization.k8s.io", "clusterrolebindings"),
                    ("external-secrets.io", "externalsecrets"),
                    ("external-secrets.io", "clustersecretstores"),
                    ("catalyst.openova.io", "applications"),
                    ("apps", "deployments"),
                    ("", "serviceaccounts"),
                    ("", "serviceaccounts/token"),
                    ("", "secrets"),
                ] {
                    assert!(
                        !may(&objects, user, verb, resource, "blog"),
                        "{user} {verb} {resource:?}"
                    );
                }
            }
            for verb in ["create", "update", "patch"] {
                assert!(
                    !may(&objects, user, verb, ("", "pods"), "blog"),
                    "{user} {verb} pods"
                );
            }
        }
    }

    #[test]
    fn nothing_names_a_member_who_left() {
        let before = objects(
            &[
                member("ada", Role::OrgAdmin, &[]),
                member("dev", Role::OrgDeveloper, &[]),
            ],
            &[space("blog", "acme-dev")],
        );
        assert!(json!(before).to_string().contains("\"dev\""));
        let after = objects(
            &[member("ada", Role::OrgAdmin, &[])],
            &[space("blog", "acme-dev")],
        );
        assert!(!json!(after).to_string().contains("\"dev\""));
    }

    #[test]
    fn a_member_cannot_be_one_of_kubernetes_own_users() {
        let objects = objects(
            &[member(
                "system:kube-controller-manager",
                Role::OrgAdmin,
                &[],
            )],
            &[space("blog", "acme-dev")],
        );
        assert!(
            !json!(objects)
                .to_string()
                .contains("kube-controller-manager")
        );
    }
}
