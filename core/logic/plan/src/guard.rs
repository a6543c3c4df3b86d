//! The fence around an Application's workloads: namespace, quota, network
//! policies, and the one way in from the gateway.
//!
//! What must stay true: nothing is allowed that is not DNS, the gateway, the
//! Application itself or an edge of the dependency graph.

use serde_json::{Value, json};

use crate::expand::Input;

/// The namespace that the gateway and the control plane's own pods are in.
pub(crate) const SYSTEM_NAMESPACE: &str = "catalyst-system";
/// The Gateway that Applications are routed by.
pub(crate) const GATEWAY: &str = "gateway";

/// Namespace, quota and network policies.
pub(crate) fn objects(input: &Input<'_>) -> Vec<Value> {
    let namespace = input.object(
        "v1",
        "Namespace",
        None,
        &input.workload_namespace,
        "namespace",
        json!({}),
    );
    let mut objects = vec![namespace];
    objects.extend(quota(input));
    objects.extend(policies(input));
    objects
}

/// The Environment's quota as the ceiling of every workload namespace, and
/// requests for containers that state none, which a quota would else refuse.
fn quota(input: &Input<'_>) -> Vec<Value> {
    let Some(quota) = &input.ctx.quota else {
        return Vec::new();
    };
    let hard: serde_json::Map<String, Value> = [
        ("requests.cpu", &quota.cpu),
        ("requests.memory", &quota.memory),
        ("requests.storage", &quota.storage),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), json!(value))))
    .collect();
    if hard.is_empty() {
        return Vec::new();
    }
    let mut objects = vec![workload(
        input,
        "v1",
        "ResourceQuota",
        "environment",
        "quota",
        json!({"spec": {"hard": hard}}),
    )];
    if quota.cpu.is_some() || quota.memory.is_some() {
        objects.push(workload(
            input,
            "v1",
            "LimitRange",
            "defaults",
            "quota",
            json!({"spec": {"limits": [{
                "type": "Container",
                "defaultRequest": {"cpu": "10m", "memory": "32Mi"},
            }]}}),
        ));
    }
    objects
}

fn policies(input: &Input<'_>) -> Vec<Value> {
    let policy = |name: &str, spec: Value| {
        workload(
            input,
            "networking.k8s.io/v1",
            "NetworkPolicy",
            name,
            "network",
            json!({"spec": spec}),
        )
    };
    let mut policies = vec![
        policy(
            "default-deny",
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        ),
        policy(
            "allow-dns",
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
                "to": [{"namespaceSelector": selector("kube-system")}],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            }]}),
        ),
        policy(
            "allow-within",
            json!({
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": {}}]}],
                "egress": [{"to": [{"podSelector": {}}]}],
            }),
        ),
    ];
    if input.blueprint.blueprint.spec.provides.http.is_some() {
        policies.push(policy(
            "allow-gateway",
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{
                "from": [{"namespaceSelector": selector(SYSTEM_NAMESPACE)}],
            }]}),
        ));
    }
    let mut providers: Vec<&catalyst_names::ApplicationName> = input
        .dependencies
        .iter()
        .map(|dependency| &dependency.application)
        .collect();
    providers.sort();
    providers.dedup();
    for provider in providers {
        let namespace = input.ctx.workload_namespace(provider);
        policies.push(policy(
            &format!("allow-to-{provider}"),
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
                "to": [{"namespaceSelector": selector(&namespace), "podSelector": {}}],
            }]}),
        ));
    }
    let mut dependents = input.ctx.dependents.clone();
    dependents.sort();
    dependents.dedup();
    for dependent in dependents {
        let namespace = input.ctx.workload_namespace(&dependent);
        policies.push(policy(
            &format!("allow-from-{dependent}"),
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{
                "from": [{"namespaceSelector": selector(&namespace), "podSelector": {}}],
            }]}),
        ));
    }
    policies
}

/// The HTTPRoute, where the Blueprint has a page and its Service is known.
pub(crate) fn route(input: &Input<'_>) -> Option<Value> {
    input.blueprint.blueprint.spec.provides.http.as_ref()?;
    let backend = input.ctx.http_backend.as_ref()?;
    Some(workload(
        input,
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        input.name.as_str(),
        "route",
        json!({"spec": {
            "parentRefs": [{
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "namespace": SYSTEM_NAMESPACE,
                "name": GATEWAY,
            }],
            "hostnames": [input.ctx.host(input.name)],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{
                    "group": "",
                    "kind": "Service",
                    "name": backend.service,
                    "port": backend.port,
                    "weight": 1,
                }],
            }],
        }}),
    ))
}

fn workload(
    input: &Input<'_>,
    api_version: &str,
    kind: &str,
    name: &str,
    component: &str,
    body: Value,
) -> Value {
    input.object(
        api_version,
        kind,
        Some(&input.workload_namespace),
        name,
        component,
        body,
    )
}

fn selector(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}
