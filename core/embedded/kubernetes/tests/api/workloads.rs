//! Deployments, StatefulSets and Jobs.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Api;

/// Plays the node: gives every unscheduled pod an address and makes it ready.
async fn run_pods(api: &Api) {
    let pods = api.get("a/api/v1/namespaces/default/pods").await.body;
    for pod in pods["items"].as_array().unwrap() {
        if pod["status"]["podIP"].is_string() {
            continue;
        }
        let name = pod["metadata"]["name"].as_str().unwrap();
        let status = json!({"status": {
            "phase": "Running", "podIP": "10.1.0.1", "conditions": [{"type": "Ready", "status": "True"}],
        }});
        api.patch(
            &format!("a/api/v1/namespaces/default/pods/{name}/status"),
            "merge-patch+json",
            status,
        )
        .await;
    }
}

fn workload(kind: &str, image: &str, more: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

async fn until_ready(api: &Api, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        run_pods(api).await;
        let body = api.get(path).await.body;
        if wanted(&body) {
            return body;
        }
        assert!(tokio::time::Instant::now() < deadline, "{path}: {body}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_pods_class_is_decided_when_it_is_made() {
    let api = Api::start().await;
    let pods = "a/api/v1/namespaces/default/pods";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}},
    ]}});
    let made = api.post(pods, pod).await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(made.body["status"]["qosClass"], "Guaranteed");
    // Whoever runs it does not say it again.
    run_pods(&api).await;
    let pod = api.get(&format!("{pods}/p")).await.body;
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
}

#[tokio::test]
async fn a_deployment_rolls_its_pods_out_and_over() {
    let api = Api::start().await;
    let deployments = "a/apis/apps/v1/namespaces/default/deployments";
    let made = api
        .post(deployments, workload("Deployment", "x:1", json!({})))
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(
        made.body["spec"]["strategy"]["rollingUpdate"]["maxSurge"],
        "25%"
    );
    let web = format!("{deployments}/web");
    until_ready(&api, &web, |body| body["status"]["readyReplicas"] == 2).await;
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x:2"}]}}}});
    let patched = api.patch(&web, "strategic-merge-patch+json", image).await;
    assert_eq!(patched.code, 200, "{}", patched.body);
    let generation = patched.body["metadata"]["generation"].clone();
    until_ready(&api, &web, |body| {
        body["status"]["observedGeneration"] == generation
            && body["status"]["updatedReplicas"] == 2
            && body["status"]["replicas"] == 2
            && body["status"]["readyReplicas"] == 2
    })
    .await;
    let pods = api.get("a/api/v1/namespaces/default/pods").await.body;
    for pod in pods["items"].as_array().unwrap() {
        assert_eq!(pod["spec"]["containers"][0]["image"], "x:2");
    }
    let scale = api
        .patch(
            &format!("{web}/scale"),
            "merge-patch+json",
            json!({"spec": {"replicas": 1}}),
        )
        .await;
    assert_eq!(scale.body["spec"]["replicas"], 1, "{}", scale.body);
    until_ready(&api, &web, |body| body["status"]["replicas"] == 1).await;
    api.call(Method::DELETE, &web, Value::Null).await;
    api.until("a/api/v1/namespaces/default/pods", |answer| {
        answer.body["items"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_makes_named_pods_and_claims_and_its_service_finds_them() {
    let api = Api::start().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 5432}]}});
    assert_eq!(
        api.post("a/api/v1/namespaces/default/services", service)
            .await
            .code,
        201
    );
    let claims = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    let sets = "a/apis/apps/v1/namespaces/default/statefulsets";
    let made = api
        .post(
            sets,
            workload(
                "StatefulSet",
                "db:1",
                json!({"serviceName": "web", "volumeClaimTemplates": claims}),
            ),
        )
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    until_ready(&api, &format!("{sets}/web"), |body| {
        body["status"]["readyReplicas"] == 2
    })
    .await;
    let pod = api.get("a/api/v1/namespaces/default/pods/web-1").await.body;
    assert_eq!(
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"],
        "data-web-1"
    );
    assert_eq!(
        api.get("a/api/v1/namespaces/default/persistentvolumeclaims/data-web-0")
            .await
            .code,
        200
    );
    api.until(
        "a/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        |answer| {
            answer.body["items"][0]["endpoints"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        },
    )
    .await;
}

#[tokio::test]
async fn a_job_completes_when_its_pod_succeeds() {
    let api = Api::start().await;
    let jobs = "a/apis/batch/v1/namespaces/default/jobs";
    let job = json!({"metadata": {"name": "once"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}});
    let made = api.post(jobs, job).await;
    assert_eq!(made.code, 201, "{}", made.body);
    let pods = "a/api/v1/namespaces/default/pods";
    let found = api
        .until(pods, |answer| {
            answer.body["items"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
        })
        .await;
    let pod = found.body["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    api.patch(
        &format!("{pods}/{pod}/status"),
        "merge-patch+json",
        json!({"status": {"phase": "Succeeded"}}),
    )
    .await;
    let done = api
        .until(&format!("{jobs}/once"), |answer| {
            answer.body["status"]["succeeded"] == 1
        })
        .await;
    assert!(
        done.body["status"]["completionTime"].is_string(),
        "{}",
        done.body
    );
}
