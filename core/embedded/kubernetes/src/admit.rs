//! Fifth step: what the rest of the cluster has to say about a write, and what
//! a write brings with it in the same transaction.

use catalyst_store::{Condition, Transaction};
use serde_json::{Value, json};

use crate::authorize::check_escalation;
use crate::context::Context;
use crate::object::{array, is_deleting, name, namespace, set, set_default, text};
use crate::state::{ObjectKey, encode_object, now, range_prefix};
use crate::status::ApiError;

/// Namespaces that cannot be deleted.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Before an object is created.
pub(crate) fn create(
    context: &Context,
    object: &mut Value,
    transaction: &mut Transaction,
) -> Result<(), ApiError> {
    let resource = &context.resource;
    if resource.namespaced {
        live_namespace(context, object, transaction)?;
    }
    check_escalation(
        &context.inner,
        &context.cluster,
        &context.identity,
        &resource.kind,
        object,
    )?;
    match resource.storage.as_str() {
        "namespaces" => namespace_contents(context, name(object), transaction),
        "services" => service_addresses(context, &Value::Null, object, transaction)?,
        "pods" => pod(context, object)?,
        "persistentvolumeclaims" => storage_class(context, object),
        crate::crd::STORAGE => {
            let others = context
                .inner
                .read_all(crate::crd::STORAGE, &context.cluster);
            crate::crd::establish(object, &others, &now());
        }
        _ => {}
    }
    if resource.namespaced && crate::quota::counts(&resource.storage) {
        crate::quota::admit(context, object, transaction)?;
    }
    Ok(())
}

/// Before an object is changed.
pub(crate) fn update(
    context: &Context,
    current: &Value,
    next: &mut Value,
    transaction: &mut Transaction,
) -> Result<(), ApiError> {
    let resource = &context.resource;
    // Of a binding, whom it gives its role to counts as what a role gives does.
    let gives = ["rules", "roleRef", "subjects", "aggregationRule"];
    let is_changed = |field: &&str| current.get(*field) != next.get(*field);
    if resource.group.starts_with("rbac.") && gives.iter().any(is_changed) {
        check_escalation(
            &context.inner,
            &context.cluster,
            &context.identity,
            &resource.kind,
            next,
        )?;
    }
    match resource.storage.as_str() {
        "services" => service_addresses(context, current, next, transaction)?,
        crate::crd::STORAGE if context.subresource.is_empty() && !is_deleting(next) => {
            let others = context
                .inner
                .read_all(crate::crd::STORAGE, &context.cluster);
            crate::crd::establish(next, &others, &now());
        }
        _ => {}
    }
    Ok(())
}

/// Before an object is deleted.
pub(crate) fn delete(context: &Context, object: &Value) -> Result<(), ApiError> {
    if context.resource.storage == "namespaces" && PERMANENT.contains(&name(object)) {
        return Err(ApiError::forbidden(
            "",
            "namespaces",
            name(object),
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Completes the transaction that removes an object for good.
pub(crate) fn removed(context: &Context, object: &Value, transaction: Transaction) -> Transaction {
    let key = context.key(name(object));
    let mut transaction = transaction.delete(key.to_bytes());
    match context.resource.storage.as_str() {
        "services" => {
            for address in array(object, "/spec/clusterIPs")
                .iter()
                .filter_map(Value::as_str)
            {
                transaction = transaction.delete(address_key(&context.cluster, address));
            }
        }
        // The data goes with the definition.
        crate::crd::STORAGE => {
            transaction =
                transaction.delete_prefix(range_prefix(name(object), &context.cluster, None));
        }
        _ => {}
    }
    transaction
}

fn live_namespace(
    context: &Context,
    object: &Value,
    transaction: &mut Transaction,
) -> Result<(), ApiError> {
    let space = namespace(object);
    let key = ObjectKey::new("namespaces", &context.cluster, "", space);
    let found = context
        .inner
        .read_key(&key)
        .ok_or_else(|| ApiError::not_found("", "namespaces", space))?;
    if is_deleting(&found) && context.resource.storage != "events" {
        let mut error = ApiError::forbidden(
            &context.resource.group,
            &context.resource.plural,
            name(object),
            &format!(
                "unable to create new content in namespace {space} because it is being terminated"
            ),
        );
        error.details = json!({
            "name": name(object), "kind": context.resource.plural,
            "causes": [{"reason": "NamespaceTerminating", "message": format!("namespace {space} is being terminated"), "field": "metadata.namespace"}],
        });
        return Err(error);
    }
    transaction
        .conditions
        .push(Condition::Present(key.to_bytes().into()));
    Ok(())
}

/// What every namespace holds from its first moment: a service account for its
/// pods and the certificate authority that they trust.
fn namespace_contents(context: &Context, space: &str, transaction: &mut Transaction) {
    for object in default_contents(space, &context.inner.config.root_ca) {
        let storage = if text(&object, "/kind") == "ConfigMap" {
            "configmaps"
        } else {
            "serviceaccounts"
        };
        let key = ObjectKey::new(storage, &context.cluster, space, name(&object));
        let put = std::mem::take(transaction).put(key.to_bytes(), encode_object(&object));
        *transaction = put;
    }
}

/// The objects of [`namespace_contents`].
pub(crate) fn default_contents(space: &str, root_ca: &str) -> [Value; 2] {
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": space, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": now(),
        })
    };
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("default")}),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kube-root-ca.crt"),
            "data": {"ca.crt": root_ca},
        }),
    ]
}

pub(crate) fn address_key(cluster: &str, address: &str) -> String {
    format!("kubernetes/addresses/{cluster}/{address}")
}

/// Gives a Service its cluster IP: out of 10.96.0.0/12, per cluster, reserved
/// in the same transaction.
fn service_addresses(
    context: &Context,
    current: &Value,
    object: &mut Value,
    transaction: &mut Transaction,
) -> Result<(), ApiError> {
    let held = text(current, "/spec/clusterIP").to_owned();
    if text(object, "/spec/type") == "ExternalName" {
        return Ok(());
    }
    let store = &context.inner.config.store;
    let asked = text(object, "/spec/clusterIP").to_owned();
    let address = match asked.as_str() {
        "None" => {
            set(object, &["spec", "clusterIPs"], json!(["None"]));
            return Ok(());
        }
        "" if !held.is_empty() => held.clone(),
        "" => {
            // Start at a random place and take the first free address.
            let random = uuid::Uuid::new_v4().as_u128() as u32;
            (0..=u16::MAX)
                .map(|step| {
                    let offset = random.wrapping_add(u32::from(step)) % 0x000F_FE00 + 256;
                    std::net::Ipv4Addr::from(0x0A60_0000 + offset).to_string()
                })
                .find(|address| store.get(address_key(&context.cluster, address)).is_none())
                .ok_or_else(|| {
                    ApiError::internal("failed to allocate a serviceIP: range is full")
                })?
        }
        given => given.to_owned(),
    };
    set(object, &["spec", "clusterIP"], json!(address));
    set(object, &["spec", "clusterIPs"], json!([address]));
    set_default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
    set_default(object, &["spec", "ipFamilyPolicy"], json!("SingleStack"));
    if address != held {
        let invalid = |detail: &str| {
            let error =
                catalyst_schema::FieldError::invalid("spec.clusterIPs", json!([address]), detail);
            ApiError::invalid("", "Service", name(object), &[error])
        };
        if address.parse::<std::net::IpAddr>().is_err() {
            return Err(invalid(
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ));
        }
        let key = address_key(&context.cluster, &address);
        if store.get(&key).is_some() {
            return Err(invalid(
                "failed to allocate IP: provided IP is already allocated",
            ));
        }
        let change = std::mem::take(transaction)
            .when(Condition::Absent(key.clone().into()))
            .put(key, name(object).as_bytes().to_vec());
        *transaction = change;
    }
    Ok(())
}

/// A pod's service account must exist; its priority is resolved.
fn pod(context: &Context, object: &mut Value) -> Result<(), ApiError> {
    let account = text(object, "/spec/serviceAccountName").to_owned();
    let space = namespace(object).to_owned();
    if context
        .inner
        .read_object("serviceaccounts", &context.cluster, &space, &account)
        .is_none()
    {
        return Err(ApiError::forbidden(
            "",
            "pods",
            name(object),
            &format!(
                "error looking up service account {space}/{account}: serviceaccount {account:?} not found"
            ),
        ));
    }
    set_default(object, &["spec", "priority"], json!(0));
    set_default(
        object,
        &["spec", "preemptionPolicy"],
        json!("PreemptLowerPriority"),
    );
    Ok(())
}

/// A claim without a class gets the cluster's default one.
fn storage_class(context: &Context, object: &mut Value) {
    if object.pointer("/spec/storageClassName").is_some() {
        return;
    }
    let classes = context
        .inner
        .read_all("storageclasses.storage.k8s.io", &context.cluster);
    let default = classes.iter().find(|class| {
        class
            .pointer("/metadata/annotations/storageclass.kubernetes.io~1is-default-class")
            .and_then(Value::as_str)
            .is_some_and(|value| value == "true")
    });
    if let Some(class) = default {
        set(object, &["spec", "storageClassName"], json!(name(class)));
    }
}
