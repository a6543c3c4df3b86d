//! ResourceQuota: what a namespace may hold, checked before an object is
//! created and counted from what is there.
//!
//! The check and the object go to the store in one transaction that also
//! writes the quota's `status.used`: of two writers that see the same room one
//! wins, the other counts again.

use std::collections::BTreeMap;

use catalyst_store::{Condition, Transaction};
use serde_json::{Value, json};

use crate::context::Context;
use crate::object::{array, is_deleting, name, namespace, set, text};
use crate::state::{Inner, decode_entry, encode_object, range_prefix};
use crate::status::ApiError;

pub(crate) const STORAGE: &str = "resourcequotas";
const CLAIMS: &str = "persistentvolumeclaims";

/// Amounts by resource name, in thousandths.
type Amounts = BTreeMap<String, i128>;

/// Refuses an object for which the namespace has no room, and books it.
pub(crate) fn admit(
    context: &Context,
    object: &Value,
    transaction: &mut Transaction,
) -> Result<(), ApiError> {
    let space = namespace(object);
    let prefix = range_prefix(STORAGE, &context.cluster, Some(space));
    let entries = context.inner.config.store.range(prefix, None, 0).entries;
    for entry in entries {
        let mut quota = decode_entry(&entry);
        if is_deleting(&quota) || !in_scope(&quota, &context.resource.storage, object) {
            continue;
        }
        let hard = hard(&quota);
        let delta = counted(&hard, usage(&context.resource.storage, object));
        must_specify(context, &quota, &hard, object)?;
        if delta.values().all(|amount| *amount == 0) {
            continue;
        }
        let mut used = used(&context.inner, &context.cluster, &quota);
        let mut over = [Vec::new(), Vec::new(), Vec::new()];
        for (resource, amount) in &delta {
            let (have, limit) = (get(&used, resource), get(&hard, resource));
            if *amount > 0 && have + amount > limit {
                for (list, value) in over.iter_mut().zip([*amount, have, limit]) {
                    list.push(format!("{resource}={}", quantity(resource, value)));
                }
            }
        }
        let [requested, have, limited] = over.map(|list| list.join(","));
        if !requested.is_empty() {
            return Err(refused(
                context,
                object,
                &format!(
                    "exceeded quota: {}, requested: {requested}, used: {have}, limited: {limited}",
                    name(&quota)
                ),
            ));
        }
        for (resource, amount) in delta {
            *used.entry(resource).or_default() += amount;
        }
        write_status(&mut quota, &used);
        let key = entry.key.clone();
        let booked = std::mem::take(transaction)
            .when(Condition::Unmodified(key.clone(), entry.modified))
            .put(key, encode_object(&quota));
        *transaction = booked;
    }
    Ok(())
}

/// The quota's status as the namespace is now.
pub(crate) fn status(inner: &Inner, cluster: &str, quota: &Value) -> Value {
    let mut next = json!({"spec": quota.get("spec")});
    write_status(&mut next, &used(inner, cluster, quota));
    next.get("status").cloned().unwrap_or_default()
}

/// True for objects that a quota may count.
pub(crate) fn counts(storage: &str) -> bool {
    !matches!(storage, "events" | "leases.coordination.k8s.io")
}

fn refused(context: &Context, object: &Value, why: &str) -> ApiError {
    let resource = &context.resource;
    ApiError::forbidden(&resource.group, &resource.plural, name(object), why)
}

fn get(amounts: &Amounts, resource: &str) -> i128 {
    amounts.get(resource).copied().unwrap_or_default()
}

fn hard(quota: &Value) -> Amounts {
    amounts(quota.pointer("/spec/hard"))
}

fn amounts(map: Option<&Value>) -> Amounts {
    map.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(resource, value)| (resource.clone(), thousandths(value)))
        .collect()
}

fn write_status(quota: &mut Value, used: &Amounts) {
    let used: serde_json::Map<String, Value> = used
        .iter()
        .map(|(resource, amount)| (resource.clone(), json!(quantity(resource, *amount))))
        .collect();
    let hard = quota.pointer("/spec/hard").cloned().unwrap_or(json!({}));
    set(quota, &["status"], json!({"hard": hard, "used": used}));
}

/// What the namespace's objects use of what the quota limits.
fn used(inner: &Inner, cluster: &str, quota: &Value) -> Amounts {
    let hard = hard(quota);
    let mut total: Amounts = hard.keys().map(|resource| (resource.clone(), 0)).collect();
    let mut storages: Vec<String> = hard
        .keys()
        .filter_map(|resource| storage_of(resource))
        .collect();
    storages.sort();
    storages.dedup();
    for storage in storages {
        let prefix = range_prefix(&storage, cluster, Some(namespace(quota)));
        for entry in inner.config.store.range(prefix, None, 0).entries {
            let object = decode_entry(&entry);
            if in_scope(quota, &storage, &object) {
                for (resource, amount) in counted(&hard, usage(&storage, &object)) {
                    *total.entry(resource).or_default() += amount;
                }
            }
        }
    }
    total
}

fn counted(hard: &Amounts, mut usage: Amounts) -> Amounts {
    usage.retain(|resource, _| hard.contains_key(resource));
    usage
}

/// Which objects use a resource.
fn storage_of(resource: &str) -> Option<String> {
    if let Some(counted) = resource.strip_prefix("count/") {
        return Some(counted.to_owned());
    }
    Some(match resource {
        "requests.storage" | CLAIMS => CLAIMS.to_owned(),
        _ if resource.contains(".storageclass.storage.k8s.io/") => CLAIMS.to_owned(),
        "services" | "services.nodeports" | "services.loadbalancers" => "services".to_owned(),
        "configmaps" | "secrets" | "replicationcontrollers" | STORAGE => resource.to_owned(),
        _ => "pods".to_owned(),
    })
}

/// What one object uses.
fn usage(storage: &str, object: &Value) -> Amounts {
    const ONE: i128 = 1000;
    let mut usage = Amounts::from([(format!("count/{storage}"), ONE)]);
    let mut add = |resource: &str, amount: i128| {
        *usage.entry(resource.to_owned()).or_default() += amount;
    };
    match storage {
        "pods" if !is_over(object) => {
            add("pods", ONE);
            for kind in ["requests", "limits"] {
                for (resource, amount) in pod_resources(object, kind) {
                    add(&format!("{kind}.{resource}"), amount);
                    if kind == "requests" {
                        add(&resource, amount);
                    }
                }
            }
        }
        "services" => {
            add("services", ONE);
            let ports = i128::try_from(array(object, "/spec/ports").len()).unwrap_or_default();
            match text(object, "/spec/type") {
                "NodePort" => add("services.nodeports", ports * ONE),
                "LoadBalancer" => {
                    add("services.loadbalancers", ONE);
                    if object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&json!(false))
                    {
                        add("services.nodeports", ports * ONE);
                    }
                }
                _ => {}
            }
        }
        CLAIMS => {
            let size = object
                .pointer("/spec/resources/requests/storage")
                .map(thousandths)
                .unwrap_or_default();
            add(CLAIMS, ONE);
            add("requests.storage", size);
            let class = text(object, "/spec/storageClassName");
            if !class.is_empty() {
                let of = format!("{class}.storageclass.storage.k8s.io");
                add(&format!("{of}/{CLAIMS}"), ONE);
                add(&format!("{of}/requests.storage"), size);
            }
        }
        "configmaps" | "secrets" | "replicationcontrollers" | STORAGE => add(storage, ONE),
        _ => {}
    }
    usage
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// The sum over containers, or one init container where it asks for more.
fn pod_resources(pod: &Value, kind: &str) -> Amounts {
    let of = |container: &Value| {
        let mut own = amounts(container.pointer(&format!("/resources/{kind}")));
        if kind == "requests" {
            // A limit without a request is a request of the same size.
            for (resource, amount) in amounts(container.pointer("/resources/limits")) {
                own.entry(resource).or_insert(amount);
            }
        }
        own
    };
    let mut total = Amounts::new();
    for container in array(pod, "/spec/containers") {
        for (resource, amount) in of(container) {
            *total.entry(resource).or_default() += amount;
        }
    }
    for container in array(pod, "/spec/initContainers") {
        for (resource, amount) in of(container) {
            let slot = total.entry(resource).or_default();
            *slot = (*slot).max(amount);
        }
    }
    total
}

/// Whether the quota's scopes fit; only pods have any.
fn in_scope(quota: &Value, storage: &str, object: &Value) -> bool {
    let mut scopes: Vec<&str> = array(quota, "/spec/scopes")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    scopes.extend(
        array(quota, "/spec/scopeSelector/matchExpressions")
            .iter()
            .map(|one| text(one, "/scopeName")),
    );
    if scopes.is_empty() {
        return true;
    }
    let ends = object.pointer("/spec/activeDeadlineSeconds").is_some();
    let best_effort = || {
        ["requests", "limits"]
            .iter()
            .all(|kind| pod_resources(object, kind).is_empty())
    };
    storage == "pods"
        && scopes.into_iter().all(|scope| match scope {
            "Terminating" => ends,
            "NotTerminating" => !ends,
            "BestEffort" => best_effort(),
            "NotBestEffort" => !best_effort(),
            _ => false,
        })
}

/// A pod must say what it needs of what the quota limits.
fn must_specify(
    context: &Context,
    quota: &Value,
    hard: &Amounts,
    object: &Value,
) -> Result<(), ApiError> {
    if context.resource.storage != "pods" {
        return Ok(());
    }
    let mut missing = Vec::new();
    for resource in hard.keys() {
        let (kind, short) = match resource.as_str() {
            "cpu" | "memory" => ("requests", resource.as_str()),
            "requests.cpu" | "limits.cpu" => (resource.split('.').next().unwrap_or(""), "cpu"),
            "requests.memory" | "limits.memory" => {
                (resource.split('.').next().unwrap_or(""), "memory")
            }
            _ => continue,
        };
        let silent: Vec<&str> = array(object, "/spec/containers")
            .iter()
            .filter(|container| {
                let says = |kind: &str| container.pointer(&format!("/resources/{kind}/{short}"));
                says(kind).is_none() && (kind != "requests" || says("limits").is_none())
            })
            .map(|container| text(container, "/name"))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{resource} for: {}", silent.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(refused(
        context,
        object,
        &format!(
            "failed quota: {}: must specify {}",
            name(quota),
            missing.join("; ")
        ),
    ))
}

const SUFFIXES: [(&str, i128); 15] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("m", 0),
    ("u", 0),
    ("n", 0),
];

/// A quantity in thousandths, rounded up; 0 for what is none.
pub(crate) fn thousandths(value: &Value) -> i128 {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (suffix, factor) in SUFFIXES {
        if let Some(number) = text.strip_suffix(suffix) {
            return match suffix {
                "m" => decimal(number, 1),
                "u" => decimal(number, 1).div_euclid(1_000) + 1,
                "n" => decimal(number, 1).div_euclid(1_000_000) + 1,
                _ => decimal(number, factor * 1000),
            };
        }
    }
    decimal(&text, 1000)
}

/// `number` × `factor`, rounded up.
fn decimal(number: &str, factor: i128) -> i128 {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0_u32)),
        None => (number, 0),
    };
    let factor = factor.saturating_mul(10_i128.saturating_pow(exponent.min(18)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole: i128 = whole.parse().unwrap_or(0);
    let digits = fraction.get(..fraction.len().min(9)).unwrap_or("");
    let scale = 10_i128.pow(u32::try_from(digits.len()).unwrap_or(0));
    let part = digits.parse::<i128>().unwrap_or(0).saturating_mul(factor);
    let part = part.div_euclid(scale) + i128::from(part.rem_euclid(scale) > 0);
    whole.saturating_mul(factor).saturating_add(part)
}

/// An amount as Kubernetes writes it: sizes with the largest binary suffix
/// that divides them, the rest as a number or in thousandths.
fn quantity(resource: &str, amount: i128) -> String {
    if amount % 1000 != 0 {
        return format!("{amount}m");
    }
    let whole = amount / 1000;
    let is_size = resource.ends_with("memory") || resource.ends_with("storage");
    if is_size && whole != 0 {
        for (suffix, factor) in SUFFIXES.iter().take(6).rev() {
            if whole % factor == 0 {
                return format!("{}{suffix}", whole / factor);
            }
        }
    }
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written_as_kubernetes_does() {
        for (resource, given, written) in [
            ("cpu", "100m", "100m"),
            ("cpu", "1.5", "1500m"),
            ("cpu", "2", "2"),
            ("cpu", "2000m", "2"),
            ("memory", "1Gi", "1Gi"),
            ("memory", "1536Mi", "1536Mi"),
            ("memory", "1.5Gi", "1536Mi"),
            ("memory", "1M", "1M"),
            ("memory", "1e3", "1000"),
            ("requests.storage", "0", "0"),
        ] {
            let amount = thousandths(&json!(given));
            let text = quantity(resource, amount);
            assert_eq!(thousandths(&json!(text)), amount, "{given}");
            // Decimal sizes come back as a plain number.
            if !given.ends_with('M') {
                assert_eq!(text, written, "{given}");
            }
        }
        assert_eq!(thousandths(&json!(3)), 3000);
        assert_eq!(thousandths(&json!("garbage")), 0);
    }

    #[test]
    fn a_pod_counts_its_containers_or_a_larger_init_container() {
        let pod = json!({"spec": {
            "containers": [
                {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}},
                {"resources": {"requests": {"cpu": "200m"}}},
            ],
            "initContainers": [{"resources": {"requests": {"cpu": "1", "memory": "1Mi"}}}],
        }});
        let usage = usage("pods", &pod);
        assert_eq!(get(&usage, "requests.cpu"), 1000);
        assert_eq!(get(&usage, "cpu"), 1000);
        assert_eq!(get(&usage, "limits.memory"), 1000 << 30);
        assert_eq!(get(&usage, "requests.memory"), 1000 << 30);
        assert_eq!(get(&usage, "pods"), 1000);
    }
}
