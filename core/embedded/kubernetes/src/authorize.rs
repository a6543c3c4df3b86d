//! Second step: may this identity do that here? Role-based, as `rbac/v1` of
//! the logical cluster says; `system:masters` may do everything.
//!
//! The rules of a cluster are read once and kept until one of its role or
//! binding objects changes.

use std::sync::Arc;

use serde_json::Value;

use crate::identity::Identity;
use crate::object::{array, name, namespace, text};
use crate::request::{RequestInfo, Target};
use crate::selector::LabelSelector;
use crate::state::Inner;
use crate::status::ApiError;

/// What is asked about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// Set instead of the above for a path that is not a resource.
    pub path: Option<&'a str>,
}

/// One `PolicyRule`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub paths: Vec<String>,
}

/// A binding with the rules of its role.
#[derive(Debug)]
pub(crate) struct Grant {
    /// "" for the whole cluster.
    namespace: String,
    subjects: Vec<Subject>,
    pub rules: Vec<Rule>,
}

/// Whom a binding means.
#[derive(Debug)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
}

/// Every grant of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    grants: Vec<Grant>,
}

/// Refuses what the identity may not do by a cluster's policy.
pub(crate) fn authorize(
    policy: &Policy,
    identity: &Identity,
    info: &RequestInfo,
) -> Result<(), ApiError> {
    if identity.is_administrator() {
        return Ok(());
    }
    if let Target::Path(path) = &info.target
        && matches!(
            path.split('/').next(),
            Some("healthz" | "livez" | "readyz" | "version")
        )
    {
        // Whoever may know of the cluster may know this; see `pipeline::permit`.
        return Ok(());
    }
    let attributes = attributes(info);
    if info.cluster != "*" && policy.allows(identity, &attributes) {
        return Ok(());
    }
    Err(refused(identity, &attributes, info.cluster == "*"))
}

/// What whoever may do nothing in a cluster is told; the same of clusters that
/// are there and of those that are not.
pub(crate) fn refusal(identity: &Identity, info: &RequestInfo) -> ApiError {
    refused(identity, &attributes(info), info.cluster == "*")
}

fn attributes(info: &RequestInfo) -> Attributes<'_> {
    match &info.target {
        Target::Path(_) => Attributes {
            verb: info.verb,
            path: Some(&info.path),
            ..Attributes::default()
        },
        Target::Resource(path) => Attributes {
            verb: info.verb,
            group: &path.group,
            resource: &path.resource,
            subresource: &path.subresource,
            namespace: &path.namespace,
            name: if path.name.is_empty() {
                selected_name(info)
            } else {
                &path.name
            },
            path: None,
        },
    }
}

/// The one name that a list or watch is limited to; a rule with names covers
/// such a request too.
fn selected_name(info: &RequestInfo) -> &str {
    if !matches!(info.verb, "list" | "watch") {
        return "";
    }
    let terms = info.params.get("fieldSelector").split(',');
    terms
        .filter_map(|term| term.strip_prefix("metadata.name="))
        .map(|name| name.strip_prefix('=').unwrap_or(name))
        .next()
        .unwrap_or_default()
}

fn refused(identity: &Identity, asked: &Attributes<'_>, wildcard: bool) -> ApiError {
    if let Some(path) = asked.path {
        return ApiError::forbidden_path(&identity.user, asked.verb, path);
    }
    let resource = if asked.subresource.is_empty() {
        asked.resource.to_owned()
    } else {
        format!("{}/{}", asked.resource, asked.subresource)
    };
    let scope = if wildcard {
        "in all clusters".to_owned()
    } else if asked.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", asked.namespace)
    };
    ApiError::forbidden(
        asked.group,
        asked.resource,
        asked.name,
        &format!(
            "User {:?} cannot {} resource {resource:?} in API group {:?} {scope}",
            identity.user, asked.verb, asked.group
        ),
    )
}

impl Policy {
    /// Reads the roles and bindings of a cluster.
    pub fn load(inner: &Inner, cluster: &str) -> Self {
        let all =
            |kind: &str| inner.read_all(&format!("{kind}.rbac.authorization.k8s.io"), cluster);
        let cluster_roles = all("clusterroles");
        let roles = all("roles");
        let rules_of = |reference: &Value, space: &str| -> Vec<Rule> {
            let wanted = text(reference, "/name");
            let role = if text(reference, "/kind") == "ClusterRole" {
                cluster_roles.iter().find(|role| name(role) == wanted)
            } else {
                roles
                    .iter()
                    .find(|role| name(role) == wanted && namespace(role) == space)
            };
            role.map(|role| rules_with_aggregation(role, &cluster_roles))
                .unwrap_or_default()
        };
        let mut grants = Vec::new();
        for binding in all("clusterrolebindings")
            .iter()
            .chain(&all("rolebindings"))
        {
            let space = namespace(binding);
            grants.push(Grant {
                namespace: space.to_owned(),
                subjects: array(binding, "/subjects")
                    .iter()
                    .map(|one| {
                        let field = |pointer| text(one, pointer).to_owned();
                        Subject {
                            kind: field("/kind"),
                            namespace: field("/namespace"),
                            name: field("/name"),
                        }
                    })
                    .collect(),
                rules: rules_of(binding.pointer("/roleRef").unwrap_or(&Value::Null), space),
            });
        }
        Self { grants }
    }

    /// Whether some grant covers what is asked.
    pub fn allows(&self, identity: &Identity, asked: &Attributes<'_>) -> bool {
        identity.is_administrator()
            || self
                .grants_for(identity, asked.namespace)
                .any(|grant| grant.rules.iter().any(|rule| rule.covers(asked)))
    }

    /// The grants that apply to an identity in a namespace ("" for the cluster).
    pub fn grants_for<'a>(
        &'a self,
        identity: &'a Identity,
        space: &'a str,
    ) -> impl Iterator<Item = &'a Grant> {
        self.grants.iter().filter(move |grant| {
            (grant.namespace.is_empty() || grant.namespace == space)
                && grant.subjects.iter().any(|one| one.is(identity))
        })
    }

    /// Whether some grant, in any namespace, means this identity and not just
    /// everybody.
    pub fn knows(&self, identity: &Identity) -> bool {
        let mut subjects = self.grants.iter().flat_map(|grant| &grant.subjects);
        subjects.any(|one| one.is(identity) && !one.is_everybody())
    }

    /// Whether the identity already holds everything that `rules` give: nobody
    /// hands out more than they have.
    pub fn covers_rules(&self, identity: &Identity, space: &str, rules: &[Rule]) -> bool {
        rules.iter().all(|rule| {
            rule.verbs.iter().all(|verb| {
                rule.paths.iter().all(|path| {
                    self.allows(
                        identity,
                        &Attributes {
                            verb,
                            path: Some(path),
                            namespace: space,
                            ..Attributes::default()
                        },
                    )
                }) && rule.groups.iter().all(|group| {
                    rule.resources.iter().all(|resource| {
                        let (resource, subresource) =
                            resource.split_once('/').unwrap_or((resource, ""));
                        let ask = |name: &str| {
                            let asked = Attributes {
                                verb,
                                group,
                                resource,
                                subresource,
                                namespace: space,
                                name,
                                path: None,
                            };
                            self.allows(identity, &asked)
                        };
                        if rule.names.is_empty() {
                            ask("")
                        } else {
                            rule.names.iter().all(|name| ask(name))
                        }
                    })
                })
            })
        })
    }
}

impl Subject {
    fn is(&self, identity: &Identity) -> bool {
        match self.kind.as_str() {
            "User" => self.name == identity.user,
            "Group" => identity.is_in(&self.name),
            "ServiceAccount" => {
                identity.user == format!("system:serviceaccount:{}:{}", self.namespace, self.name)
            }
            _ => false,
        }
    }

    /// Every user of every Organization is in this group.
    fn is_everybody(&self) -> bool {
        self.kind == "Group" && self.name == "system:authenticated"
    }
}

fn rules_with_aggregation(role: &Value, cluster_roles: &[Value]) -> Vec<Rule> {
    let mut rules = rules(role);
    for selector in array(role, "/aggregationRule/clusterRoleSelectors") {
        let selector = LabelSelector::from_object(selector);
        for other in cluster_roles.iter().filter(|other| selector.matches(other)) {
            rules.extend(self::rules(other));
        }
    }
    rules
}

/// The rules written in a role.
pub(crate) fn rules(role: &Value) -> Vec<Rule> {
    let strings = |rule: &Value, pointer: &str| -> Vec<String> {
        array(rule, pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    array(role, "/rules")
        .iter()
        .map(|rule| Rule {
            verbs: strings(rule, "/verbs"),
            groups: strings(rule, "/apiGroups"),
            resources: strings(rule, "/resources"),
            names: strings(rule, "/resourceNames"),
            paths: strings(rule, "/nonResourceURLs"),
        })
        .collect()
}

impl Rule {
    fn covers(&self, asked: &Attributes<'_>) -> bool {
        let has =
            |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        if !has(&self.verbs, asked.verb) {
            return false;
        }
        if let Some(path) = asked.path {
            return self.paths.iter().any(|one| {
                one == "*"
                    || one == path
                    || one
                        .strip_suffix('*')
                        .is_some_and(|prefix| path.starts_with(prefix))
            });
        }
        let resource_matches = self.resources.iter().any(|one| {
            if one == "*" {
                return true;
            }
            match one.split_once('/') {
                Some((resource, subresource)) => {
                    (resource == "*" || resource == asked.resource)
                        && subresource == asked.subresource
                }
                None => asked.subresource.is_empty() && one == asked.resource,
            }
        });
        has(&self.groups, asked.group)
            && resource_matches
            && (self.names.is_empty() || self.names.iter().any(|one| one == asked.name))
    }
}

/// Refuses a role or binding that gives more than its writer has.
pub(crate) fn check_escalation(
    inner: &Inner,
    cluster: &str,
    identity: &Identity,
    kind: &str,
    object: &Value,
) -> Result<(), ApiError> {
    if identity.is_administrator() {
        return Ok(());
    }
    let policy: Arc<Policy> = inner.policy(cluster);
    let space = namespace(object);
    let (given, verb, resource, target) = match kind {
        "Role" => (Some(rules(object)), "escalate", "roles", name(object)),
        "ClusterRole" => (
            Some(rules(object)),
            "escalate",
            "clusterroles",
            name(object),
        ),
        "RoleBinding" | "ClusterRoleBinding" => {
            let (resource, home) = if text(object, "/roleRef/kind") == "ClusterRole" {
                ("clusterroles", "")
            } else {
                ("roles", space)
            };
            let target = text(object, "/roleRef/name");
            let role = inner.read_object(
                &format!("{resource}.rbac.authorization.k8s.io"),
                cluster,
                home,
                target,
            );
            let all = inner.read_all("clusterroles.rbac.authorization.k8s.io", cluster);
            // What a role that is not there will give, nobody knows.
            let given = role.map(|role| rules_with_aggregation(&role, &all));
            (given, "bind", resource, target)
        }
        _ => return Ok(()),
    };
    let group = "rbac.authorization.k8s.io";
    let special = Attributes {
        verb,
        group,
        resource,
        namespace: space,
        name: target,
        ..Attributes::default()
    };
    let is_held = given.is_some_and(|given| policy.covers_rules(identity, space, &given));
    if is_held || policy.allows(identity, &special) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        group,
        &format!("{}s", kind.to_lowercase()),
        name(object),
        &format!(
            "user {:?} is attempting to grant RBAC permissions not currently held",
            identity.user
        ),
    ))
}
