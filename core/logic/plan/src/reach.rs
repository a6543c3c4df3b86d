//! What a Blueprint may bring: objects of its own Application's namespace.
//!
//! The account that the release acts as can make nothing else, see [`crate::account`].
//! Asked by lint and by plans, so that authors and users read it before anything is
//! applied. What must stay true: what is let through here, the account's rights allow.

use serde_json::Value;

use crate::account::{CEILING, CORE, GROUPS, RBAC, READ, RIGHTS, WRITE};
use crate::render::{CLUSTER_WIDE, render_sourced};
use crate::{BlueprintContent, ExpandError, Expansion};

/// What is wrong with an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The field that shows it, as it begins a line: `namespace:`.
    pub field: &'static str,
    /// What follows the object's name: `is of the whole cluster`.
    pub why: String,
}

/// Refuses a Blueprint, as an Application would have it, that brings what its release may
/// not make; Helm's hooks included.
pub fn check_reach(expansion: &Expansion, content: &BlueprintContent) -> Result<(), ExpandError> {
    let rendered = render_sourced(expansion, content)?;
    let found = rendered.iter().find_map(|it| {
        let beyond = beyond(&it.object, &expansion.workload_namespace)?;
        let text = |pointer: &str| it.object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").unwrap_or_default();
        let name = text("/metadata/name").unwrap_or_default();
        Some((format!("{kind} {name}"), beyond.why))
    });
    match found {
        Some((object, why)) => Err(ExpandError::Reach {
            application: expansion.application.to_string(),
            object,
            why,
        }),
        None => Ok(()),
    }
}

/// Why an object is out of the reach of the Application whose workloads are in the
/// namespace `own`; nothing where it is not.
pub(crate) fn beyond(object: &Value, own: &str) -> Option<Beyond> {
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default()
    };
    let (kind, space) = (text("/kind"), text("/metadata/namespace"));
    if kind.ends_with("List")
        && let Some(items) = object.get("items").and_then(Value::as_array)
    {
        return items.iter().find_map(|item| beyond(item, own));
    }
    let found = |field, why: String| Some(Beyond { field, why });
    if CLUSTER_WIDE.contains(&kind) {
        return found("kind:", "is of the whole cluster".to_owned());
    }
    if !space.is_empty() && space != own {
        return found("namespace:", format!("is in the namespace {space}"));
    }
    match text("/apiVersion").split_once('/').map_or("", |it| it.0) {
        "" if matches!(kind, "LimitRange" | "ResourceQuota") => found(
            "kind:",
            "is for the Environment to set, by its quota".to_owned(),
        ),
        "" => None,
        RBAC => rights(object)
            .and_then(|why| found(if kind == "Role" { "rules:" } else { "roleRef:" }, why)),
        group if GROUPS.contains(&group) => None,
        group => found(
            "apiVersion:",
            format!("is of the API group {group}, in which a Blueprint may do nothing"),
        ),
    }
}

/// Why a Role or RoleBinding gives more than the release has itself.
fn rights(object: &Value) -> Option<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    if text("/roleRef/kind") == Some("ClusterRole") {
        let name = text("/roleRef/name").unwrap_or_default();
        return Some(format!(
            "binds the ClusterRole {name}, and may bind Roles of its own only"
        ));
    }
    let rules = object.get("rules").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        let verbs = words(rule, "verbs");
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                if !is_held(group, resource, &verbs) {
                    return Some(format!(
                        "gives rights that its release does not have ({} {resource:?} in the API group {group:?})",
                        verbs.join(", ")
                    ));
                }
            }
        }
    }
    None
}

fn is_held(group: &str, resource: &str, verbs: &[&str]) -> bool {
    let are_all = |known: &[&str]| verbs.iter().all(|verb| known.contains(verb));
    match group {
        "" => CORE.contains(&resource) || (CEILING.contains(&resource) && are_all(&READ)),
        RBAC => RIGHTS.contains(&resource) && are_all(&WRITE),
        group => GROUPS.contains(&group),
    }
}

fn words<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    let items = rule.get(field).and_then(Value::as_array);
    let items = items.into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blueprint_brings_what_is_of_its_own_namespace_and_gives_what_it_has() {
        let role = |rule: &str| {
            format!("apiVersion: {RBAC}/v1\nkind: Role\nmetadata: {{name: x}}\nrules: [{rule}]\n")
        };
        let binding = |role: &str| {
            format!(
                "apiVersion: {RBAC}/v1\nkind: RoleBinding\nmetadata: {{name: x}}\nroleRef: {{kind: {role}, name: viewer}}\n"
            )
        };
        let of = |api_version: &str, kind: &str, rest: &str| {
            format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x{rest}}}\n")
        };
        let cases = [
            (of("v1", "ConfigMap", ""), None),
            (of("v1", "ConfigMap", ", namespace: own"), None),
            (of("apps/v1", "Deployment", ""), None),
            (of("networking.k8s.io/v1", "NetworkPolicy", ""), None),
            (
                of("v1", "ConfigMap", ", namespace: other"),
                Some("is in the namespace other"),
            ),
            (of("v1", "Namespace", ""), Some("is of the whole cluster")),
            (
                of("v1", "ResourceQuota", ""),
                Some("is for the Environment"),
            ),
            (
                of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", ""),
                Some("is of the whole cluster"),
            ),
            (
                of("external-secrets.io/v1", "ExternalSecret", ""),
                Some("API group external-secrets.io"),
            ),
            (
                of("helm.toolkit.fluxcd.io/v2", "HelmRelease", ""),
                Some("API group helm.toolkit"),
            ),
            (
                of("catalyst.openova.io/v1alpha1", "Application", ""),
                Some("API group catalyst"),
            ),
            (
                "kind: List\nitems: [{apiVersion: v1, kind: Namespace}]\n".to_owned(),
                Some("is of the whole cluster"),
            ),
            (binding("Role"), None),
            (binding("ClusterRole"), Some("binds the ClusterRole viewer")),
            (
                role("{apiGroups: [''], resources: [pods, secrets], verbs: ['*']}"),
                None,
            ),
            (
                role("{apiGroups: [apps], resources: ['*'], verbs: [get]}"),
                None,
            ),
            (
                role("{apiGroups: [''], resources: [namespaces], verbs: [get]}"),
                None,
            ),
            (
                role("{apiGroups: [''], resources: [namespaces], verbs: [get, patch]}"),
                Some("namespaces"),
            ),
            (
                role("{apiGroups: ['*'], resources: [pods], verbs: [get]}"),
                Some("does not have"),
            ),
            (
                role("{apiGroups: [''], resources: ['*'], verbs: [get]}"),
                Some("does not have"),
            ),
            (
                role(&format!(
                    "{{apiGroups: [{RBAC}], resources: [roles], verbs: [get, create]}}"
                )),
                None,
            ),
            (
                role(&format!(
                    "{{apiGroups: [{RBAC}], resources: [roles], verbs: [bind]}}"
                )),
                Some("bind"),
            ),
            (
                role(
                    "{apiGroups: [external-secrets.io], resources: [externalsecrets], verbs: [create]}",
                ),
                Some("externalsecrets"),
            ),
        ];
        for (text, expected) in cases {
            let object = catalyst_yaml::from_str(&text).unwrap();
            let why = beyond(&object, "own").map(|it| it.why);
            match (&why, expected) {
                (None, None) => {}
                (Some(why), Some(part)) if why.contains(part) => {}
                _ => panic!("{text}: {why:?} instead of {expected:?}"),
            }
        }
    }
}
