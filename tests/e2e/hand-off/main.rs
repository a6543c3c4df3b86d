//! What Crossplane is given, on the embedded Kubernetes API: objects that the provider's
//! definitions take, observed first, then kept, and let go of again.
//!
//! The definitions are subsets of the provider's own, without its rules of what must be
//! there before a resource may be created, which are written in CEL: the test itself asks
//! for that; `core/control/provisioner/src/adoption.rs` says whose they are. In the place of
//! the provider's controllers, the test says what they would say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use axum::body::Body;
use axum::http::{Method, Request};
use catalyst_kubernetes::{Authenticators, Config, Identity, Kubernetes, Tasks};
use catalyst_provisioner::Progress;
use catalyst_provisioner::adoption::{
    Adoption, Policy, adoptions, differences, forget, manifests, progress, released,
};
use catalyst_provisioner::tofu::Made;
use catalyst_store::{Options, Store};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const ADOPTION: &str = "catalyst-adoption";
const RELEASE: &str = "catalyst-release";

struct Cluster {
    kubernetes: Kubernetes,
    _tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// A cluster with Crossplane's namespace and the provider's definitions.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators::default(),
            token_key: vec![7; 32],
            root_ca: "CA".into(),
            pods: None,
        });
        assert!(kubernetes.create_cluster("a", &[]).await.unwrap());
        let tasks = kubernetes.start();
        let cluster = Self {
            kubernetes,
            _tasks: tasks,
            _folder: folder,
        };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "crossplane-system"}});
        cluster.post("api/v1/namespaces", &namespace).await;
        let path = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in definitions() {
            cluster.post(path, &definition).await;
        }
        cluster
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/clusters/a/{path}"))
            .header("content-type", format!("application/{kind}"))
            .body(match body.is_null() {
                true => Body::empty(),
                false => Body::from(body.to_string()),
            })
            .unwrap();
        let admin = Identity::administrator("admin");
        request.extensions_mut().insert(admin);
        let response = self.kubernetes.router().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap())
    }

    async fn post(&self, path: &str, object: &Value) {
        let (code, said) = self.send(Method::POST, path, "json", object).await;
        assert_eq!(code, 201, "{said}");
    }

    /// Applies every object of a list, as `kubectl apply --server-side` does; the answers
    /// of those that were refused.
    async fn apply(&self, list: &Value, manager: &str) -> Vec<Value> {
        let mut refused = Vec::new();
        for object in list["items"].as_array().unwrap() {
            let path = format!(
                "{}?fieldManager={manager}&force=true&fieldValidation=Strict",
                place(object)
            );
            let applied = self.send(Method::PATCH, &path, "apply-patch+yaml", object);
            let (code, said) = applied.await;
            if code >= 400 {
                refused.push(said);
            }
        }
        refused
    }

    /// The objects of a list as the cluster has them.
    async fn list(&self, of: &Value) -> Value {
        let mut items = Vec::new();
        for object in of["items"].as_array().unwrap() {
            let place = place(object);
            let read = self.send(Method::GET, &place, "json", &Value::Null);
            let (code, found) = read.await;
            if code == 200 {
                items.push(found);
            }
        }
        json!({ "items": items })
    }

    /// What the provider's controllers do with objects that are as they should be.
    async fn reconcile(&self, of: &Value) {
        for object in self.list(of).await["items"].as_array().unwrap() {
            let generation = &object["metadata"]["generation"];
            let condition = |kind: &str, reason: &str| {
                json!({"type": kind, "status": "True", "reason": reason,
                    "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
            };
            let mut seen = object["spec"]["forProvider"].clone();
            seen["id"] = object["metadata"]["annotations"]["crossplane.io/external-name"].clone();
            let status = json!({"status": {"atProvider": seen, "conditions": [
                condition("Synced", "ReconcileSuccess"), condition("Ready", "Available")]}});
            let path = format!("{}/status", place(object));
            let told = self.send(Method::PATCH, &path, "merge-patch+json", &status);
            let (code, said) = told.await;
            assert_eq!(code, 200, "{said}");
        }
    }
}

/// Where an object is.
fn place(object: &Value) -> String {
    let plural = match object["kind"].as_str().unwrap() {
        "Network" => "networks",
        "Server" => "servers",
        "LoadBalancerService" => "loadbalancerservices",
        other => panic!("{other} has no definition here"),
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!(
        "apis/{}/namespaces/{}/{plural}/{}",
        text(&object["apiVersion"]),
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"])
    )
}

fn definitions() -> [Value; 3] {
    let text = json!({"type": "string"});
    let number = json!({"type": "number"});
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let health_check = json!({"type": "array", "items": {"type": "object", "properties": {
        "protocol": text, "port": number, "interval": number, "timeout": number, "retries": number}}});
    [
        definition(
            ("network", "Network", "networks"),
            &json!({"name": text, "ipRange": text, "labels": labels}),
        ),
        definition(
            ("server", "Server", "servers"),
            &json!({"name": text, "serverType": text, "image": text, "location": text, "labels": labels,
                "firewallIds": {"type": "array", "items": number, "x-kubernetes-list-type": "set"}, "placementGroupId": number}),
        ),
        definition(
            (
                "loadbalancer",
                "LoadBalancerService",
                "loadbalancerservices",
            ),
            &json!({"loadBalancerId": text, "protocol": text, "listenPort": number, "destinationPort": number,
                "proxyprotocol": {"type": "boolean"}, "healthCheck": health_check}),
        ),
    ]
}

fn definition((group, kind, plural): (&str, &str, &str), fields: &Value) -> Value {
    let group = format!("{group}.hetzner.m.crossplane.io");
    let text = json!({"type": "string"});
    let condition = json!({
        "type": "object", "required": ["lastTransitionTime", "reason", "status", "type"], "properties": {
            "type": text, "status": text, "reason": text, "message": text,
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64"},
        },
    });
    let status = json!({"type": "object", "properties": {
        "atProvider": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": condition},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": {
                        "type": "object", "required": ["forProvider"],
                        "properties": {
                            "forProvider": {"type": "object", "properties": fields},
                            "managementPolicies": {"type": "array", "default": ["*"], "items": {
                                "type": "string", "enum": ["Observe", "Create", "Update", "Delete", "LateInitialize", "*"]}},
                            "providerConfigRef": {"type": "object", "required": ["kind", "name"], "properties": {"kind": text, "name": text}},
                        },
                    },
                    "status": status,
                }}},
            }],
        },
    })
}

fn made(kind: &str, name: &str, id: &str, attributes: Value) -> Made {
    Made {
        address: format!("{kind}.{name}"),
        kind: kind.to_owned(),
        id: id.to_owned(),
        attributes: attributes.as_object().cloned().unwrap(),
    }
}

/// As OpenTofu's state has it.
fn state() -> Vec<Made> {
    vec![
        made(
            "hcloud_network",
            "sovereign",
            "4711",
            json!({"id": "4711", "name": "omantel-example", "ip_range": "10.0.0.0/16",
                "labels": {"openova.io/sovereign": "omantel-example"}, "delete_protection": false}),
        ),
        made(
            "hcloud_server",
            "worker[0]",
            "7",
            json!({"id": "7", "name": "omantel-example-worker-1", "server_type": "cx43", "image": "debian-13",
                "location": "fsn1", "firewall_ids": [12], "placement_group_id": 5, "labels": {},
                "user_data": "canary", "network": [{"ip": "10.0.0.101"}]}),
        ),
        made(
            "hcloud_load_balancer_service",
            "public[\"80\"]",
            "9__80",
            json!({"id": "9__80", "load_balancer_id": "9", "protocol": "tcp", "listen_port": 80, "destination_port": 80,
                "proxyprotocol": false, "http": [], "health_check": [{"protocol": "tcp", "port": 80, "interval": 15,
                    "timeout": 10, "retries": 3, "http": []}]}),
        ),
    ]
}

/// What the provider's rules ask for of a resource that it is given to keep.
fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "Network" => &["name", "ipRange"],
        "Server" => &["name", "serverType"],
        "LoadBalancerService" => &["protocol"],
        other => panic!("{other} has no definition here"),
    }
}

fn waiting(adoptions: &[Adoption], policy: Policy, list: &Value) -> Vec<String> {
    let all = progress(adoptions, policy, list);
    all.into_iter()
        .filter_map(|(title, progress)| match progress {
            Progress::Ready => None,
            Progress::Waiting(why) => Some(format!("{title}: {why}")),
        })
        .collect()
}

const NONE: [String; 0] = [];
const NOTHING: [Value; 0] = [];

#[tokio::test]
async fn what_was_made_is_observed_then_kept_and_let_go_of_and_nothing_is_made_anew() {
    let cluster = Cluster::start().await;
    let adoptions = adoptions(&state(), "omantel-example");
    let observed = manifests(&adoptions, Policy::Observe);
    assert_eq!(cluster.apply(&observed, ADOPTION).await, NOTHING);
    let list = cluster.list(&observed).await;
    assert_eq!(waiting(&adoptions, Policy::Observe, &list).len(), 3);
    cluster.reconcile(&observed).await;
    let list = cluster.list(&observed).await;
    assert_eq!(waiting(&adoptions, Policy::Observe, &list), NONE);
    assert_eq!(differences(&adoptions, &list), NONE);
    let uids = |list: &Value| -> Vec<Value> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["uid"].clone()).collect()
    };
    let before = uids(&list);

    // What the controllers said of observing does not count for keeping.
    let kept = manifests(&adoptions, Policy::Adopt);
    for object in kept["items"].as_array().unwrap() {
        for field in required(object["kind"].as_str().unwrap()) {
            let given = &object["spec"]["forProvider"][field];
            assert!(!given.is_null(), "{field}: {object:#}");
        }
    }
    assert_eq!(cluster.apply(&kept, ADOPTION).await, NOTHING);
    let list = cluster.list(&kept).await;
    let waits = waiting(&adoptions, Policy::Adopt, &list);
    // The server is looked at as before: nobody may make another in its place.
    assert!(
        waits.len() == 2 && waits[0].contains("since it was changed"),
        "{waits:?}"
    );
    let policies = |kind: &str| {
        let items = list["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["kind"] == kind).unwrap();
        item["spec"]["managementPolicies"].clone()
    };
    assert_eq!(policies("Server"), json!(["Observe"]));
    assert_eq!(
        policies("Network"),
        json!(["Observe", "Create", "Update", "LateInitialize"])
    );
    cluster.reconcile(&kept).await;
    let list = cluster.list(&kept).await;
    assert_eq!(waiting(&adoptions, Policy::Adopt, &list), NONE);
    assert_eq!(differences(&adoptions, &list), NONE);
    assert_eq!(uids(&list), before);

    // Doing it once more changes nothing.
    assert_eq!(cluster.apply(&kept, ADOPTION).await, NOTHING);
    assert_eq!(cluster.list(&kept).await, list);

    // Let go of, the objects keep what they say, and can be kept again.
    let release = released(&list).unwrap();
    assert_eq!(cluster.apply(&release, RELEASE).await, NOTHING);
    let now = cluster.list(&kept).await;
    for (now, then) in now["items"]
        .as_array()
        .unwrap()
        .iter()
        .zip(list["items"].as_array().unwrap())
    {
        assert_eq!(now["spec"]["managementPolicies"], json!(["Observe"]));
        assert_eq!(now["spec"]["forProvider"], then["spec"]["forProvider"]);
    }
    assert_eq!(cluster.apply(&kept, ADOPTION).await, NOTHING);
    cluster.reconcile(&kept).await;
    let list = cluster.list(&kept).await;
    assert_eq!(waiting(&adoptions, Policy::Adopt, &list), NONE);
    assert_eq!(forget(&adoptions, &list), None);
}
