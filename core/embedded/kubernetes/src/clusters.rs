//! Making and removing logical clusters.

use std::sync::Arc;

use catalyst_store::{CommitError, Condition, Transaction};
use serde_json::{Value, json};

use crate::catalog::{Catalog, split_api_version};
use crate::context::Context;
use crate::merge::Writer;
use crate::object::{metadata_mut, name, namespace, text};
use crate::state::{CLUSTERS, Inner, ObjectKey, commit_failed, encode_object, now, range_prefix};
use crate::status::ApiError;
use crate::{admit, defaults, write};

/// See [`crate::Kubernetes::create_cluster`].
pub(crate) async fn create(
    inner: &Arc<Inner>,
    cluster: &str,
    bootstrap: &[Value],
) -> Result<bool, ApiError> {
    if !crate::validate::is_cluster_name(cluster) {
        return Err(ApiError::bad_request(format!(
            "cannot create the logical cluster {cluster:?}: its name must be a lowercase RFC 1123 subdomain"
        )));
    }
    let mut later = Vec::new();
    // Asked for again and again, mostly for clusters that are there.
    let is_new = !inner.has_cluster(cluster) && make(inner, cluster, bootstrap, &mut later).await?;
    inner.remember_cluster(cluster);
    let missing: Vec<&Value> = if is_new {
        later
    } else {
        bootstrap
            .iter()
            .filter(|object| !is_there(inner, cluster, object))
            .collect()
    };
    for object in missing {
        match create_one(inner, cluster, object.clone()).await {
            Err(error) if error.reason != "AlreadyExists" => return Err(error),
            _ => {}
        }
    }
    Ok(is_new)
}

/// Makes a cluster with what it starts with, but for what needs something else to
/// exist, which is left for later. Returns whether it was not there.
async fn make<'a>(
    inner: &Inner,
    cluster: &str,
    bootstrap: &'a [Value],
    later: &mut Vec<&'a Value>,
) -> Result<bool, ApiError> {
    let key = format!("{CLUSTERS}{cluster}");
    let mut transaction = Transaction::new()
        .when(Condition::Absent(key.clone().into()))
        .put(
            key.clone(),
            json!({"created": now()}).to_string().into_bytes(),
        );
    for (storage, object) in initial_objects(&inner.config.root_ca) {
        let place = ObjectKey::new(storage, cluster, namespace(&object), name(&object));
        transaction = transaction.put(place.to_bytes(), encode_object(&object));
    }
    // One commit makes the cluster with all that it starts with: a dozen
    // definitions one by one would each have the catalog made anew.
    let mut definitions: Vec<Value> = Vec::new();
    for object in bootstrap {
        let Some((storage, object)) = prepare(object, &definitions) else {
            later.push(object);
            continue;
        };
        let place = ObjectKey::new(storage, cluster, namespace(&object), name(&object));
        transaction = transaction.put(place.to_bytes(), encode_object(&object));
        if storage == crate::crd::STORAGE {
            definitions.push(object);
        }
    }
    transaction = transaction.put(
        admit::address_key(cluster, FIRST_ADDRESS),
        b"kubernetes".to_vec(),
    );
    match inner.config.store.commit(transaction).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(commit_failed(&error)),
    }
}

/// An object of a kind that needs nothing else to exist, as the API would store
/// it; with the name of its storage. `definitions` are those made before it.
fn prepare(object: &Value, definitions: &[Value]) -> Option<(&'static str, Value)> {
    let (group, version) = split_api_version(text(object, "/apiVersion"));
    let resource = Catalog::builtin().kind(group, version, text(object, "/kind"))?;
    let storage = match resource.storage.as_str() {
        crate::crd::STORAGE => crate::crd::STORAGE,
        "clusterroles.rbac.authorization.k8s.io" => "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io" => {
            "clusterrolebindings.rbac.authorization.k8s.io"
        }
        "serviceaccounts" => "serviceaccounts",
        _ => return None,
    };
    let mut object = object.clone();
    defaults::apply(resource, &mut object);
    let metadata = metadata_mut(&mut object);
    metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(now()));
    if storage == crate::crd::STORAGE {
        metadata.insert("generation".into(), json!(1));
        crate::crd::establish(&mut object, definitions, &now());
    }
    Some((storage, object))
}

/// Whether an object of this kind and name is in the cluster already.
fn is_there(inner: &Arc<Inner>, cluster: &str, object: &Value) -> bool {
    let (group, version) = split_api_version(text(object, "/apiVersion"));
    inner
        .catalog(cluster)
        .kind(group, version, text(object, "/kind"))
        .is_some_and(|resource| {
            let space = match namespace(object) {
                "" if resource.namespaced => "default",
                space => space,
            };
            let key = ObjectKey::new(&resource.storage, cluster, space, name(object));
            inner.config.store.get(key.to_bytes()).is_some()
        })
}

/// Creates any object as the API itself.
pub(crate) async fn create_one(
    inner: &Arc<Inner>,
    cluster: &str,
    object: Value,
) -> Result<Value, ApiError> {
    let (group, version) = split_api_version(text(&object, "/apiVersion"));
    let kind = text(&object, "/kind");
    let resource = inner
        .catalog(cluster)
        .kind(group, version, kind)
        .cloned()
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "no matches for kind {kind:?} in version {:?}",
                text(&object, "/apiVersion")
            ))
        })?;
    let space = match namespace(&object) {
        "" if resource.namespaced => "default",
        space => space,
    };
    let mut context = Context::internal(inner, cluster, resource, space, name(&object));
    write::create_object(&mut context, object, &Writer::Update)
        .await
        .map(|(created, _)| created)
}

/// See [`crate::Kubernetes::delete_cluster`].
pub(crate) async fn delete(inner: &Arc<Inner>, cluster: &str) -> Result<bool, ApiError> {
    let key = format!("{CLUSTERS}{cluster}");
    let mut transaction = Transaction::new()
        .when(Condition::Present(key.clone().into()))
        .delete(key);
    // The slash at the end keeps cluster `a` apart from cluster `ab`.
    for resource in inner.catalog(cluster).stored() {
        transaction = transaction.delete_prefix(range_prefix(&resource.storage, cluster, None));
    }
    transaction = transaction.delete_prefix(format!("kubernetes/addresses/{cluster}/"));
    match inner.config.store.commit(transaction).await {
        Ok(_) => {
            inner.forget_cluster(cluster);
            Ok(true)
        }
        Err(CommitError::Conflict { .. }) => {
            inner.forget_cluster(cluster);
            Ok(false)
        }
        Err(error) => Err(commit_failed(&error)),
    }
}

const FIRST_ADDRESS: &str = "10.96.0.1";

/// What every logical cluster holds from its first moment.
fn initial_objects(root_ca: &str) -> Vec<(&'static str, Value)> {
    let mut objects = Vec::new();
    let mut add = |storage: &'static str, mut object: Value| {
        let metadata = metadata_mut(&mut object);
        metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
        metadata.insert("creationTimestamp".into(), json!(now()));
        if let Some(resource) = Catalog::builtin()
            .stored()
            .iter()
            .find(|one| one.storage == storage)
        {
            defaults::apply(resource, &mut object);
        }
        objects.push((storage, object));
    };
    for space in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        add(
            "namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}),
        );
        for object in admit::default_contents(space, root_ca) {
            let storage = if text(&object, "/kind") == "ConfigMap" {
                "configmaps"
            } else {
                "serviceaccounts"
            };
            add(storage, object);
        }
    }
    add(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "clusterIP": FIRST_ADDRESS, "clusterIPs": [FIRST_ADDRESS], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
        }),
    );
    add(
        "storageclasses.storage.k8s.io",
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": crate::controllers::PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
        }),
    );
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let discovery = json!([{
        "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/", "/"],
        "verbs": ["get"],
    }]);
    let own = json!([
        {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ]);
    let read = ["get", "list", "watch"];
    let write = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let workloads = |verbs: &[&str]| {
        json!([
            {"apiGroups": [""], "resources": ["configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "pods/log", "pods/status", "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status"], "verbs": verbs},
            {"apiGroups": [""], "resources": ["events", "limitranges", "namespaces", "resourcequotas"], "verbs": read},
            {"apiGroups": ["apps"], "resources": ["controllerrevisions", "daemonsets", "deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets", "statefulsets/scale", "statefulsets/status"], "verbs": verbs},
            {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": verbs},
            {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs", "jobs/status"], "verbs": verbs},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
            {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": verbs},
            {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": verbs},
        ])
    };
    let extended = |extra: Value| {
        let mut rules = workloads(&write);
        if let (Some(rules), Value::Array(extra)) = (rules.as_array_mut(), extra) {
            rules.extend(extra);
        }
        rules
    };
    let secrets = json!({"apiGroups": [""], "resources": ["secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/eviction"], "verbs": write});
    let roles = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": write});
    let aggregated = |name: &str| json!({"clusterRoleSelectors": [{"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{name}"): "true"}}]});
    let view = workloads(&read);
    let role = |name: &str, rules: Value, aggregation: Option<Value>| {
        let mut role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}, "rules": rules,
        });
        if let Some(aggregation) = aggregation {
            crate::object::set(&mut role, &["aggregationRule"], aggregation);
        }
        role
    };
    for (name, rules, aggregation) in [
        ("cluster-admin", everything, None),
        ("system:discovery", discovery, None),
        ("system:basic-user", own, None),
        ("view", view, Some(aggregated("view"))),
        ("edit", extended(json!([secrets])), Some(aggregated("edit"))),
        (
            "admin",
            extended(json!([secrets, roles])),
            Some(aggregated("admin")),
        ),
    ] {
        add(
            "clusterroles.rbac.authorization.k8s.io",
            role(name, rules, aggregation),
        );
    }
    for (name, group) in [
        ("cluster-admin", "system:masters"),
        ("system:discovery", "system:authenticated"),
        ("system:basic-user", "system:authenticated"),
    ] {
        add(
            "clusterrolebindings.rbac.authorization.k8s.io",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "Group", "name": group}],
            }),
        );
    }
    objects
}
