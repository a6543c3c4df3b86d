//! The API as a client sees it, driven in process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use catalyst_kubernetes::{Authenticators, Config, Identity, Kubernetes, Tasks};
use catalyst_store::{Options, Store};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Api {
    kubernetes: Kubernetes,
    _tasks: Tasks,
    _folder: tempfile::TempDir,
}

struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
}

impl Api {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let tokens = [(
            "jane-token".to_owned(),
            Identity {
                user: "jane".into(),
                groups: vec!["developers".into()],
            },
        )];
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators {
                tokens: tokens.into(),
                oidc: Vec::new(),
            },
            token_key: vec![7; 32],
            root_ca: "CA".into(),
            pods: None,
        });
        assert!(kubernetes.create_cluster("a", &[]).await.unwrap());
        let tasks = kubernetes.start();
        Self {
            kubernetes,
            _tasks: tasks,
            _folder: folder,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.kubernetes.router().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .map(|one| one.to_str().unwrap().to_owned())
            .collect();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer {
            code,
            body,
            warnings,
        }
    }

    fn request(method: Method, path: &str, kind: &str, body: Body) -> Request<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/clusters/{path}"))
            .header("content-type", kind)
            .body(body)
            .unwrap();
        request
            .extensions_mut()
            .insert(Identity::administrator("admin"));
        request
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.send(Self::request(method, path, "application/json", body))
            .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let kind = format!("application/{kind}");
        self.send(Self::request(
            Method::PATCH,
            path,
            &kind,
            Body::from(body.to_string()),
        ))
        .await
    }

    /// Waits until a path answers as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path}: {} {}",
                answer.code,
                answer.body
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

const MAPS: &str = "a/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn objects_are_created_read_changed_and_deleted() {
    let api = Api::start().await;
    let created = api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(created.code, 201, "{}", created.body);
    assert!(!created.body["metadata"]["uid"].as_str().unwrap().is_empty());
    let again = api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(
        (again.code, again.body["reason"].as_str()),
        (409, Some("AlreadyExists"))
    );
    assert_eq!(again.body["message"], "configmaps \"x\" already exists");

    let read = api.get(&format!("{MAPS}/x")).await.body;
    assert_eq!(
        read["metadata"]["resourceVersion"],
        created.body["metadata"]["resourceVersion"]
    );
    let mut changed = read.clone();
    changed["data"]["key"] = json!("2");
    let updated = api
        .call(Method::PUT, &format!("{MAPS}/x"), changed.clone())
        .await;
    assert_eq!(updated.code, 200, "{}", updated.body);
    let stale = api.call(Method::PUT, &format!("{MAPS}/x"), changed).await;
    assert_eq!(
        (stale.code, stale.body["reason"].as_str()),
        (409, Some("Conflict"))
    );

    let same = api
        .patch(
            &format!("{MAPS}/x"),
            "merge-patch+json",
            json!({"data": {"key": "2"}}),
        )
        .await;
    assert_eq!(
        same.body["metadata"]["resourceVersion"],
        updated.body["metadata"]["resourceVersion"]
    );
    let json = json!([{"op": "replace", "path": "/data/key", "value": "3"}]);
    assert_eq!(
        api.patch(&format!("{MAPS}/x"), "json-patch+json", json)
            .await
            .body["data"]["key"],
        "3"
    );

    assert_eq!(
        api.call(Method::DELETE, &format!("{MAPS}/x"), Value::Null)
            .await
            .body["status"],
        "Success"
    );
    let missing = api.get(&format!("{MAPS}/x")).await;
    assert_eq!(
        (missing.code, missing.body["message"].as_str()),
        (404, Some("configmaps \"x\" not found"))
    );
}

#[tokio::test]
async fn server_side_apply_creates_conflicts_and_forces() {
    let api = Api::start().await;
    let path = |manager: &str, extra: &str| format!("{MAPS}/s?fieldManager={manager}{extra}");
    let created = api
        .patch(&path("one", ""), "apply-patch+yaml", config_map("s", "1"))
        .await;
    assert_eq!(created.code, 201, "{}", created.body);
    assert_eq!(
        created.body["metadata"]["managedFields"][0]["operation"],
        "Apply"
    );
    let same = api
        .patch(&path("one", ""), "apply-patch+yaml", config_map("s", "1"))
        .await;
    assert_eq!(
        same.body["metadata"]["resourceVersion"],
        created.body["metadata"]["resourceVersion"]
    );
    let conflict = api
        .patch(&path("two", ""), "apply-patch+yaml", config_map("s", "2"))
        .await;
    assert_eq!(conflict.code, 409);
    assert_eq!(
        conflict.body["message"],
        "Apply failed with 1 conflict: conflict with \"one\": .data.key"
    );
    let forced = api
        .patch(
            &path("two", "&force=true"),
            "apply-patch+yaml",
            config_map("s", "2"),
        )
        .await;
    assert_eq!(
        (forced.code, forced.body["data"]["key"].as_str()),
        (200, Some("2"))
    );
}

#[tokio::test]
async fn lists_page_over_one_snapshot_and_select() {
    let api = Api::start().await;
    for index in 0..5 {
        let mut map = config_map(&format!("m{index}"), "1");
        map["metadata"]["labels"] = json!({"odd": (index % 2).to_string()});
        assert_eq!(api.post(MAPS, map).await.code, 201);
    }
    let names = |body: &Value| -> Vec<String> {
        body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = api.get(&format!("{MAPS}?limit=2")).await.body;
    assert_eq!(names(&first), ["kube-root-ca.crt", "m0"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    api.call(Method::DELETE, &format!("{MAPS}/m1"), Value::Null)
        .await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = api
        .get(&format!("{MAPS}?limit=9&continue={token}"))
        .await
        .body;
    assert_eq!(names(&second), ["m1", "m2", "m3", "m4"]);
    assert_eq!(
        names(&api.get(&format!("{MAPS}?labelSelector=odd%3D0")).await.body),
        ["m0", "m2", "m4"]
    );
    assert_eq!(
        names(
            &api.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm2"))
                .await
                .body
        ),
        ["m2"]
    );
    assert_eq!(
        api.get(&format!("{MAPS}?fieldSelector=data%3Dm2"))
            .await
            .code,
        400
    );
}

#[tokio::test]
async fn a_watch_sees_objects_enter_and_leave_its_selection() {
    let api = Api::start().await;
    let path = format!("{MAPS}?watch=1&labelSelector=on&timeoutSeconds=20");
    let request = Api::request(Method::GET, &path, "application/json", Body::empty());
    let mut body = api
        .kubernetes
        .router()
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    api.post(MAPS, config_map("w", "1")).await;
    for patch in [
        json!({"metadata": {"labels": {"on": "1"}}}),
        json!({"data": {"key": "2"}}),
        json!({"metadata": {"labels": {"on": null}}}),
    ] {
        assert_eq!(
            api.patch(&format!("{MAPS}/w"), "merge-patch+json", patch)
                .await
                .code,
            200
        );
    }
    let mut text = String::new();
    while text.lines().count() < 3 {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    let kinds: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "properties": {"full": {"type": "boolean"}}},
                }}},
            }],
        },
    })
}

#[tokio::test]
async fn custom_resources_are_served_defaulted_pruned_validated_and_split() {
    let api = Api::start().await;
    let made = api
        .post(
            "a/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition(),
        )
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    let boxes = "a/apis/example.com/v1/namespaces/default/boxes";
    assert_eq!(
        api.get("a/apis/example.com/v1").await.body["resources"][0]["kind"],
        "Box"
    );
    let object = |size: i64| {
        json!({"apiVersion": "example.com/v1", "kind": "Box", "metadata": {"name": "b"},
            "spec": {"size": size, "unknown": 1}, "status": {"full": true}})
    };
    let bad = api.post(boxes, object(0)).await;
    assert_eq!(bad.code, 422, "{}", bad.body);
    assert!(
        bad.body["message"].as_str().unwrap().contains("spec.size"),
        "{}",
        bad.body
    );
    let strict = api
        .post(&format!("{boxes}?fieldValidation=Strict"), object(1))
        .await;
    assert_eq!(strict.code, 400);
    let good = api.post(boxes, object(1)).await;
    assert_eq!(good.code, 201, "{}", good.body);
    assert_eq!(good.body["spec"], json!({"size": 1, "color": "red"}));
    assert_eq!(good.body["status"], Value::Null);
    assert_eq!(
        good.warnings,
        ["299 - \"unknown field \\\"spec.unknown\\\"\""]
    );
    let status = api
        .patch(
            &format!("{boxes}/b/status"),
            "merge-patch+json",
            json!({"status": {"full": true}, "spec": {"size": 9}}),
        )
        .await;
    assert_eq!(
        (&status.body["status"]["full"], &status.body["spec"]["size"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(status.body["metadata"]["generation"], 1);
    let spec = api
        .patch(
            &format!("{boxes}/b"),
            "merge-patch+json",
            json!({"spec": {"size": 2}}),
        )
        .await;
    assert_eq!(spec.body["metadata"]["generation"], 2);
    let definitions = "a/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.example.com";
    api.call(Method::DELETE, definitions, Value::Null).await;
    assert_eq!(api.get(boxes).await.code, 404);
}

#[tokio::test]
async fn owners_take_their_dependents_along() {
    let api = Api::start().await;
    let owner = api.post(MAPS, config_map("owner", "1")).await.body;
    let mut child = config_map("child", "1");
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    assert_eq!(api.post(MAPS, child.clone()).await.code, 201);
    api.call(Method::DELETE, &format!("{MAPS}/owner"), Value::Null)
        .await;
    api.until(&format!("{MAPS}/child"), |answer| answer.code == 404)
        .await;

    let owner = api.post(MAPS, config_map("owner", "1")).await.body;
    child["metadata"]["ownerReferences"][0]["uid"] = owner["metadata"]["uid"].clone();
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(MAPS, child).await;
    api.call(
        Method::DELETE,
        &format!("{MAPS}/owner?propagationPolicy=Foreground"),
        Value::Null,
    )
    .await;
    api.until(&format!("{MAPS}/child"), |answer| {
        answer.body["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    assert_eq!(api.get(&format!("{MAPS}/owner")).await.code, 200);
    api.patch(
        &format!("{MAPS}/child"),
        "merge-patch+json",
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    api.until(&format!("{MAPS}/owner"), |answer| answer.code == 404)
        .await;
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let api = Api::start().await;
    let made = api
        .post("a/api/v1/namespaces", json!({"metadata": {"name": "team"}}))
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(
        api.get("a/api/v1/namespaces/team/serviceaccounts/default")
            .await
            .code,
        200
    );
    api.post("a/api/v1/namespaces/team/configmaps", config_map("x", "1"))
        .await;
    let deleted = api
        .call(Method::DELETE, "a/api/v1/namespaces/team", Value::Null)
        .await;
    assert_eq!(
        deleted.body["status"]["phase"], "Terminating",
        "{}",
        deleted.body
    );
    api.until("a/api/v1/namespaces/team", |answer| answer.code == 404)
        .await;
    assert_eq!(
        api.get("a/api/v1/namespaces/team/configmaps/x").await.code,
        404
    );
}

#[tokio::test]
async fn access_follows_roles_and_stays_inside_the_cluster() {
    let api = Api::start().await;
    api.kubernetes.create_cluster("b", &[]).await.unwrap();
    let as_jane = |path: &str| {
        Request::builder()
            .uri(format!("/clusters/{path}"))
            .header("authorization", "Bearer jane-token")
            .body(Body::empty())
            .unwrap()
    };
    let refused = api.send(as_jane(MAPS)).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.body["message"],
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "v"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    let bound = api
        .post(
            "a/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            binding,
        )
        .await;
    assert_eq!(bound.code, 201, "{}", bound.body);
    assert_eq!(api.send(as_jane(MAPS)).await.code, 200);
    assert_eq!(
        api.send(as_jane("a/api/v1/namespaces/default/secrets"))
            .await
            .code,
        403
    );
    assert_eq!(
        api.send(as_jane("a/api/v1/namespaces/kube-system/configmaps"))
            .await
            .code,
        403
    );
    assert_eq!(
        api.send(as_jane("b/api/v1/namespaces/default/configmaps"))
            .await
            .code,
        403
    );
    assert_eq!(api.send(as_jane("*/api/v1/configmaps")).await.code, 403);
    let anonymous = Request::builder()
        .uri(format!("/clusters/{MAPS}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.send(anonymous).await.code, 401);
}

#[tokio::test]
async fn clusters_are_separate_and_vanish_whole() {
    let api = Api::start().await;
    api.kubernetes
        .create_cluster("ab", &[config_map("boot", "1")])
        .await
        .unwrap();
    api.post(MAPS, config_map("x", "1")).await;
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/x")
            .await
            .code,
        404
    );
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/boot")
            .await
            .code,
        200
    );
    let all = api
        .get("*/api/v1/configmaps?fieldSelector=metadata.name%3Dboot")
        .await
        .body;
    assert_eq!(
        all["items"][0]["metadata"]["annotations"]["openova.io/cluster"],
        "ab"
    );
    assert!(api.kubernetes.delete_cluster("a").await.unwrap());
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
    assert_eq!(
        api.get("ab/api/v1/namespaces/default/configmaps/boot")
            .await
            .code,
        200
    );
    assert!(api.kubernetes.create_cluster("a", &[]).await.unwrap());
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
}

#[tokio::test]
async fn services_get_addresses_and_give_them_back() {
    let api = Api::start().await;
    let services = "a/api/v1/namespaces/default/services";
    let service = |address: &str| json!({"metadata": {"name": "web"}, "spec": {"clusterIP": address, "selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let made = api.post(services, service("")).await;
    assert_eq!(made.code, 201, "{}", made.body);
    let address = made.body["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10."), "{address}");
    assert_eq!(
        made.body["spec"]["ports"][0],
        json!({"port": 80, "protocol": "TCP", "targetPort": 80})
    );
    let mut other = service(&address);
    other["metadata"]["name"] = json!("other");
    assert_eq!(api.post(services, other.clone()).await.code, 422);
    api.call(Method::DELETE, &format!("{services}/web"), Value::Null)
        .await;
    assert_eq!(api.post(services, other).await.code, 201);
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let api = Api::start().await;
    assert_eq!(
        api.post(&format!("{MAPS}?dryRun=All"), config_map("x", "1"))
            .await
            .code,
        201
    );
    assert_eq!(api.get(&format!("{MAPS}/x")).await.code, 404);
}

#[tokio::test]
async fn malformed_requests_are_refused_as_kubernetes_refuses_them() {
    let api = Api::start().await;
    let send = |kind: &'static str, body: &'static str| {
        api.send(Api::request(Method::POST, MAPS, kind, Body::from(body)))
    };
    assert_eq!(send("application/json", "{").await.code, 400);
    assert_eq!(send("text/plain", "{}").await.code, 415);
    assert_eq!(send("application/json", "[]").await.code, 400);
    assert_eq!(
        send("application/json", r#"{"kind":"Secret","apiVersion":"v1"}"#)
            .await
            .code,
        400
    );
    assert_eq!(
        send("application/json", r#"{"metadata":{"name":"UPPER"}}"#)
            .await
            .code,
        422
    );
    assert_eq!(
        send("application/json", r#"{"metadata":{}}"#).await.code,
        422
    );
    assert_eq!(api.get("a/api/v1/nothing").await.code, 404);
    assert_eq!(
        api.call(Method::POST, "a/api/v1/namespaces/default", json!({}))
            .await
            .code,
        405
    );
}

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
