//! The projector on the embedded Kubernetes API: what clusters say becomes the
//! read model, what is secret stays where it is, and a rebuild changes nothing.

use std::sync::Arc;
use std::time::Duration;

use catalyst_ports::{Clusters, Spine};
use catalyst_projector::{Config, Projector, Update};
use catalyst_resources::custom_resource_definitions;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::home::Home;
use crate::spine::EmbeddedSpine;

const MANAGEMENT: &str = "lo-loc-mgt-prod";
const HOST: &str = "lo-loc-rtz-dev";
const VCLUSTER: &str = "lo-loc-rtz-dev-acme";
const SECRET: &str = "a-value-that-nobody-may-see";

fn api(
    client: &kube::Client,
    kind: &str,
    plural: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let (group, version) = match kind {
        "Secret" | "ConfigMap" | "Namespace" => ("", "v1"),
        _ => (catalyst_resources::GROUP, catalyst_resources::VERSION),
    };
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn create(api: &Api<DynamicObject>, kind: &str, object: Value) {
    let mut object = object;
    object["apiVersion"] = match kind {
        "Secret" | "ConfigMap" | "Namespace" => json!("v1"),
        _ => json!("catalyst.openova.io/v1alpha1"),
    };
    object["kind"] = json!(kind);
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn namespace(client: &kube::Client, name: &str) {
    let api = api(client, "Namespace", "namespaces", None);
    create(&api, "Namespace", json!({"metadata": {"name": name}})).await;
}

async fn kubeconfig(home: &Home, client: &kube::Client, place: (&str, &str, &str), cluster: &str) {
    let (space, name, key) = place;
    namespace(client, space).await;
    let api = api(client, "Secret", "secrets", Some(space));
    let secret = json!({"metadata": {"name": name}, "stringData": {key: home.kubeconfig(cluster)}});
    create(&api, "Secret", secret).await;
}

async fn status(api: &Api<DynamicObject>, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), wait).await;
    found.unwrap_or_else(|_| panic!("{what} did not come"))
}

fn ready() -> Value {
    json!([{"type": "Ready", "status": "True", "reason": "Ready", "message": "ready",
            "lastTransitionTime": "2026-11-23T10:00:00Z"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clusters_say_becomes_the_read_model() {
    let home = Home::start().await;
    for (cluster, in_environment) in [(MANAGEMENT, false), (HOST, false), (VCLUSTER, true)] {
        let definitions: Vec<Value> = custom_resource_definitions()
            .into_iter()
            .filter(|(kind, _)| kind.in_environment == in_environment)
            .map(|(_, definition)| definition)
            .collect();
        home.kubernetes
            .create_cluster(cluster, &definitions)
            .await
            .unwrap();
    }
    let management = home.client(MANAGEMENT).await;
    let host = home.client(HOST).await;
    let vcluster = home.client(VCLUSTER).await;
    kubeconfig(
        &home,
        &management,
        ("catalyst-system", HOST, "kubeconfig"),
        HOST,
    )
    .await;
    kubeconfig(&home, &host, ("acme", "vc-acme", "config"), VCLUSTER).await;

    let spine = EmbeddedSpine::new(catalyst_spine::Spine::new(home.store.clone()));
    let spine: Arc<dyn Spine> = Arc::new(spine);
    let config = Config {
        spine: Arc::clone(&spine),
        clusters: Clusters::new(management.clone()),
        applications: home.base.parse().unwrap(),
        git: format!("{}/git", home.base),
        clock: Config::system_clock(),
    };
    let projector = Projector::open(config.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, stop) = (projector.clone(), stop.clone());
        async move { projector.run(stop).await }
    });
    let mut updates = Box::pin(projector.subscribe(None));
    assert!(matches!(updates.next().await, Some(Update::Reset { .. })));

    let organizations = api(&management, "Organization", "organizations", None);
    let spec = json!({"displayName": "Acme", "members": [{"user": "alice", "role": "org-admin"}]});
    create(
        &organizations,
        "Organization",
        json!({"metadata": {"name": "acme"}, "spec": spec}),
    )
    .await;
    let environments = api(&management, "Environment", "environments", None);
    let spec = json!({"organization": "acme", "envType": "dev"});
    create(
        &environments,
        "Environment",
        json!({"metadata": {"name": "acme-dev"}, "spec": spec}),
    )
    .await;
    let of_environment =
        json!({"observedGeneration": 1, "vclusters": [VCLUSTER], "conditions": ready()});
    status(&environments, "acme-dev", of_environment).await;
    let environment = until("a running Environment", || {
        projector
            .environment("acme-dev")
            .filter(|it| it.health.phase == "Running")
    })
    .await;
    assert_eq!(
        environment.repository,
        format!("{}/git/acme/acme-dev.git", home.base)
    );
    assert_eq!(
        projector.organization("acme").unwrap().environments,
        ["acme-dev"]
    );

    namespace(&vcluster, "acme-dev").await;
    namespace(&vcluster, "wiki").await;
    let data = json!({"metadata": {"name": "wiki-config"}, "stringData": {"key": SECRET}});
    create(
        &api(&vcluster, "Secret", "secrets", Some("wiki")),
        "Secret",
        data,
    )
    .await;
    let data = json!({"metadata": {"name": "wiki-files"}, "data": {"key": SECRET}});
    create(
        &api(&vcluster, "ConfigMap", "configmaps", Some("wiki")),
        "ConfigMap",
        data,
    )
    .await;
    let applications = api(&vcluster, "Application", "applications", Some("acme-dev"));
    let spec = json!({"blueprint": {"source": "catalog", "name": "bp-wiki", "version": "1.0.0"}});
    create(
        &applications,
        "Application",
        json!({"metadata": {"name": "wiki"}, "spec": spec}),
    )
    .await;
    let found = until("the Application with its objects", || {
        projector
            .application("acme-dev", "wiki")
            .filter(|it| it.objects.len() == 2)
    })
    .await;
    assert_eq!(found.summary.health.phase, "Installing");
    let names: Vec<_> = found
        .objects
        .iter()
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [("ConfigMap", "wiki-files"), ("Secret", "wiki-config")]
    );
    let running_now = json!({"observedGeneration": 1, "phase": "Running", "conditions": ready()});
    status(&applications, "wiki", running_now).await;
    until("a running Application", || {
        projector
            .application("acme-dev", "wiki")
            .filter(|it| it.summary.health.phase == "Running")
    })
    .await;

    for stream in spine.streams().await.unwrap() {
        for message in spine.read(&stream, 0, 0).await.unwrap() {
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            assert!(!payload.contains(SECRET), "{}", message.subject);
        }
    }
    let before = projector.snapshot_bytes();
    projector.rebuild().await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&projector.snapshot_bytes()),
        String::from_utf8_lossy(&before)
    );

    // What goes while nobody looks is found out by the next list.
    stop.cancel();
    running.await.unwrap();
    applications
        .delete("wiki", &DeleteParams::default())
        .await
        .unwrap();
    let projector = Projector::open(config).await.unwrap();
    assert_eq!(projector.snapshot_bytes(), before);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, stop) = (projector.clone(), stop.clone());
        async move { projector.run(stop).await }
    });
    until("the Application's end", || {
        projector.applications("acme-dev").is_empty().then_some(())
    })
    .await;
    stop.cancel();
    running.await.unwrap();
}
