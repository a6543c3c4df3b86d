//! Claims get volumes, and quotas are kept.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Api;

fn claim(name: &str, size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    })
}

#[tokio::test]
async fn a_claim_is_bound_at_once_and_its_volume_goes_with_it() {
    let api = Api::start().await;
    let claims = "a/api/v1/namespaces/default/persistentvolumeclaims";
    let made = api.post(claims, claim("data", "1Gi")).await;
    assert_eq!(made.code, 201, "{:?}", made.body);
    assert_eq!(made.body["spec"]["storageClassName"], "local");
    let bound = api
        .until(&format!("{claims}/data"), |answer| {
            answer.body["status"]["phase"] == "Bound"
        })
        .await
        .body;
    assert_eq!(bound["status"]["capacity"]["storage"], "1Gi");
    assert_eq!(bound["status"]["accessModes"], json!(["ReadWriteOnce"]));
    let volume = format!(
        "a/api/v1/persistentvolumes/{}",
        bound["spec"]["volumeName"].as_str().unwrap()
    );
    let found = api.get(&volume).await.body;
    assert_eq!(found["status"]["phase"], "Bound");
    assert_eq!(found["spec"]["claimRef"]["uid"], bound["metadata"]["uid"]);
    assert_eq!(found["spec"]["persistentVolumeReclaimPolicy"], "Delete");

    // A class of somebody else's provisioner is left to them.
    let mut foreign = claim("foreign", "1Gi");
    foreign["spec"]["storageClassName"] = json!("theirs");
    assert_eq!(api.post(claims, foreign).await.code, 201);
    let deleted = api
        .call(Method::DELETE, &format!("{claims}/data"), Value::Null)
        .await;
    assert_eq!(deleted.code, 200);
    api.until(&volume, |answer| answer.code == 404).await;
    let foreign = api.get(&format!("{claims}/foreign")).await.body;
    assert_eq!(foreign["status"]["phase"], "Pending");
}

#[tokio::test]
async fn a_retained_volume_is_released() {
    let api = Api::start().await;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "kept"},
        "provisioner": "openova.io/local", "reclaimPolicy": "Retain",
    });
    assert_eq!(
        api.post("a/apis/storage.k8s.io/v1/storageclasses", class)
            .await
            .code,
        201
    );
    let claims = "a/api/v1/namespaces/default/persistentvolumeclaims";
    let mut wanted = claim("data", "1Gi");
    wanted["spec"]["storageClassName"] = json!("kept");
    api.post(claims, wanted).await;
    let bound = api
        .until(&format!("{claims}/data"), |answer| {
            answer.body["status"]["phase"] == "Bound"
        })
        .await
        .body;
    api.call(Method::DELETE, &format!("{claims}/data"), Value::Null)
        .await;
    let volume = format!(
        "a/api/v1/persistentvolumes/{}",
        bound["spec"]["volumeName"].as_str().unwrap()
    );
    api.until(&volume, |answer| {
        answer.body["status"]["phase"] == "Released"
    })
    .await;
}

fn pod(name: &str, resources: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "x:1", "resources": resources}]},
    })
}

async fn quota(api: &Api, hard: Value) {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard},
    });
    let made = api
        .post("a/api/v1/namespaces/default/resourcequotas", quota)
        .await;
    assert_eq!(made.code, 201, "{:?}", made.body);
}

const QUOTA: &str = "a/api/v1/namespaces/default/resourcequotas/q";
const PODS: &str = "a/api/v1/namespaces/default/pods";

#[tokio::test]
async fn a_quota_refuses_what_does_not_fit_in_kubernetes_words() {
    let api = Api::start().await;
    quota(
        &api,
        json!({"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi"}),
    )
    .await;
    let small = json!({"requests": {"cpu": "600m"}, "limits": {"memory": "512Mi"}});
    assert_eq!(api.post(PODS, pod("one", small.clone())).await.code, 201);
    let refused = api.post(PODS, pod("two", small)).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.body["message"],
        "pods \"two\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    );
    let silent = api.post(PODS, pod("two", json!({}))).await;
    assert_eq!(
        silent.body["message"],
        "pods \"two\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c"
    );
    let status = api.get(QUOTA).await.body["status"].clone();
    assert_eq!(
        status["used"],
        json!({"pods": "1", "requests.cpu": "600m", "limits.memory": "512Mi"})
    );
    // Room that is given back can be taken again.
    api.call(
        Method::DELETE,
        &format!("{PODS}/one?gracePeriodSeconds=0"),
        Value::Null,
    )
    .await;
    let free = json!({"pods": "0", "requests.cpu": "0", "limits.memory": "0"});
    api.until(QUOTA, |answer| answer.body["status"]["used"] == free)
        .await;
    let whole = json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}});
    assert_eq!(api.post(PODS, pod("whole", whole)).await.code, 201);
}

#[tokio::test]
async fn a_quota_counts_objects_services_and_storage() {
    let api = Api::start().await;
    quota(
        &api,
        json!({
            "count/deployments.apps": "1", "services.nodeports": "1", "requests.storage": "1Gi",
            "local.storageclass.storage.k8s.io/persistentvolumeclaims": "5", "configmaps": "2",
        }),
    )
    .await;
    let claims = "a/api/v1/namespaces/default/persistentvolumeclaims";
    assert_eq!(api.post(claims, claim("one", "600Mi")).await.code, 201);
    let refused = api.post(claims, claim("two", "600Mi")).await;
    assert!(
        refused.body["message"].as_str().unwrap().ends_with(
            "exceeded quota: q, requested: requests.storage=600Mi, used: requests.storage=600Mi, limited: requests.storage=1Gi"
        ),
        "{:?}",
        refused.body
    );
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]},
        })
    };
    let services = "a/api/v1/namespaces/default/services";
    assert_eq!(api.post(services, service("one")).await.code, 201);
    assert_eq!(api.post(services, service("two")).await.code, 403);
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let maps = "a/api/v1/namespaces/default/configmaps";
    // The namespace's certificate map counts too.
    assert_eq!(api.post(maps, map("one")).await.code, 201);
    assert_eq!(api.post(maps, map("two")).await.code, 403);
}

/// Room for 5, asked for by 20 at once.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_never_get_more_than_the_quota() {
    let api = std::sync::Arc::new(Api::start().await);
    quota(&api, json!({"pods": "5"})).await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..20 {
        let api = std::sync::Arc::clone(&api);
        writers.spawn(async move {
            let mut last = Value::Null;
            for _ in 0..1_000 {
                let answer = api.post(PODS, pod(&format!("p{number}"), json!({}))).await;
                // Too many writers at once is a conflict, to be tried again.
                if answer.code != 409 {
                    return answer.code;
                }
                last = answer.body;
            }
            panic!("p{number} is in conflict for good: {last}");
        });
    }
    let codes = writers.join_all().await;
    assert_eq!(
        codes.iter().filter(|code| **code == 201).count(),
        5,
        "{codes:?}"
    );
    assert!(
        codes.iter().all(|code| matches!(code, 201 | 403)),
        "{codes:?}"
    );
    assert_eq!(
        api.get(PODS).await.body["items"].as_array().unwrap().len(),
        5
    );
}
