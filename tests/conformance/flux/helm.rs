//! HelmReleases.

use serde_json::{Value, json};

use super::home::chart;
use super::{World, message};
use crate::suite::{self, cases};

pub fn cases() -> Vec<suite::Case<World>> {
    cases![
        a_chart_is_installed,
        new_values_are_an_upgrade,
        values_come_from_elsewhere,
        what_goes_is_uninstalled,
        a_template_that_fails_is_told,
        a_chart_that_is_absent_is_told,
        a_hook_runs_and_goes,
        a_suspended_release_stays,
    ]
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting }}\n  revision: \"{{ .Release.Revision }}\"\n";
const HOOK: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations:\n    helm.sh/hook: pre-install\n    helm.sh/hook-delete-policy: hook-succeeded\n";

fn one(namespace: &str) -> String {
    format!("/apis/helm.toolkit.fluxcd.io/v2/namespaces/{namespace}/helmreleases/web")
}

fn map_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/web")
}

async fn release(world: &World, namespace: &str, spec: Value) {
    named(world, namespace, "web", spec).await;
}

async fn named(world: &World, namespace: &str, name: &str, spec: Value) {
    let mut object = json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": name},
        "spec": {"interval": "10m", "releaseName": name, "timeout": "20s",
            "chartRef": {"kind": "OCIRepository", "name": "web"}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    world
        .post(one(namespace).trim_end_matches("/web"), object)
        .await;
}

async fn source(world: &World, namespace: &str, templates: &[(&str, &str)]) {
    world.namespace(namespace).await;
    let repository = format!("charts/{namespace}");
    world.push_chart(&repository, "1.0.0", &chart("1.0.0", templates));
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": {"name": "web"},
        "spec": {"url": format!("oci://{}/{repository}", world.host()), "interval": "10m", "insecure": true,
            "ref": {"tag": "1.0.0"},
            "layerSelector": {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "operation": "copy"}}});
    let path = format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/ocirepositories");
    world.post(&path, source).await;
    world
        .ready(&format!("{path}/web"), "True", "Succeeded")
        .await;
}

async fn a_chart_is_installed(world: World) {
    source(&world, "helm-1", &[("map.yaml", MAP)]).await;
    release(&world, "helm-1", json!({"values": {"greeting": "there"}})).await;
    let found = world
        .ready(&one("helm-1"), "True", "InstallSucceeded")
        .await;
    let said = message(&found, "Ready");
    let revision = found["status"]["history"][0]["chartVersion"]
        .as_str()
        .unwrap();
    assert_eq!(
        said,
        format!("Helm install succeeded for release helm-1/web.v1 with chart web@{revision}")
    );
    assert_eq!(message(&found, "Released"), said);
    let newest = &found["status"]["history"][0];
    assert_eq!(
        (&newest["name"], &newest["version"], &newest["status"]),
        (&json!("web"), &json!(1), &json!("deployed"))
    );
    assert_eq!(
        (&newest["chartName"], &newest["namespace"]),
        (&json!("web"), &json!("helm-1"))
    );
    let live = world.get(&map_path("helm-1")).await.unwrap();
    assert_eq!(live["data"], json!({"greeting": "there", "revision": "1"}));
    assert_eq!(
        live["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );
    assert_eq!(
        live["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"],
        "web"
    );
    assert_eq!(
        live["metadata"]["annotations"]["meta.helm.sh/release-namespace"],
        "helm-1"
    );
    let stored = world
        .get("/api/v1/namespaces/helm-1/secrets/sh.helm.release.v1.web.v1")
        .await
        .unwrap();
    assert_eq!(stored["type"], "helm.sh/release.v1");
    assert_eq!(stored["metadata"]["labels"]["status"], "deployed");
    assert_eq!(
        found["metadata"]["finalizers"],
        json!(["finalizers.fluxcd.io"])
    );
}

async fn new_values_are_an_upgrade(world: World) {
    source(&world, "helm-2", &[("map.yaml", MAP)]).await;
    release(&world, "helm-2", json!({"values": {"greeting": "one"}})).await;
    world
        .ready(&one("helm-2"), "True", "InstallSucceeded")
        .await;
    world
        .merge(
            &one("helm-2"),
            json!({"spec": {"values": {"greeting": "two"}}}),
        )
        .await;
    let found = world
        .ready(&one("helm-2"), "True", "UpgradeSucceeded")
        .await;
    let live = world.get(&map_path("helm-2")).await.unwrap();
    assert_eq!(live["data"], json!({"greeting": "two", "revision": "2"}));
    let versions: Vec<_> = found["status"]["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [2, 1]);
}

async fn values_come_from_elsewhere(world: World) {
    source(&world, "helm-3", &[("map.yaml", MAP)]).await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "values"}, "data": {"values.yaml": "greeting: from-map\n", "word": "from-path"}});
    world
        .post("/api/v1/namespaces/helm-3/configmaps", body)
        .await;
    let from = json!([{"kind": "ConfigMap", "name": "values"}]);
    release(&world, "helm-3", json!({"valuesFrom": from})).await;
    world
        .ready(&one("helm-3"), "True", "InstallSucceeded")
        .await;
    assert_eq!(
        world.get(&map_path("helm-3")).await.unwrap()["data"]["greeting"],
        "from-map"
    );
    let from = json!([{"kind": "ConfigMap", "name": "values", "valuesKey": "word", "targetPath": "greeting"}]);
    world
        .merge(&one("helm-3"), json!({"spec": {"valuesFrom": from}}))
        .await;
    world
        .ready(&one("helm-3"), "True", "UpgradeSucceeded")
        .await;
    assert_eq!(
        world.get(&map_path("helm-3")).await.unwrap()["data"]["greeting"],
        "from-path"
    );
}

async fn what_goes_is_uninstalled(world: World) {
    source(&world, "helm-4", &[("map.yaml", MAP)]).await;
    release(&world, "helm-4", json!({})).await;
    world
        .ready(&one("helm-4"), "True", "InstallSucceeded")
        .await;
    world.delete(&one("helm-4")).await;
    world.gone(&one("helm-4")).await;
    world.gone(&map_path("helm-4")).await;
    world
        .gone("/api/v1/namespaces/helm-4/secrets/sh.helm.release.v1.web.v1")
        .await;
}

async fn a_template_that_fails_is_told(world: World) {
    source(
        &world,
        "helm-5",
        &[("bad.yaml", "a: {{ .Values.x.y.z }}\n")],
    )
    .await;
    release(
        &world,
        "helm-5",
        json!({"install": {"remediation": {"retries": 0}}}),
    )
    .await;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = world.get(&one("helm-5")).await.unwrap();
        let said = message(&found, "Released");
        if said.contains("web/templates/bad.yaml:1:13") {
            assert!(
                said.contains("Helm install failed for release helm-5/web"),
                "{said}"
            );
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{:#}", found["status"]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn a_chart_that_is_absent_is_told(world: World) {
    world.namespace("helm-6").await;
    release(&world, "helm-6", json!({})).await;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let found = world.get(&one("helm-6")).await.unwrap();
        let ready = super::home::of(&found, "Ready");
        if ready.is_some_and(|it| it["status"] == "False") {
            let said = message(&found, "Ready");
            assert!(
                said.contains("OCIRepository") && said.contains("web"),
                "{said}"
            );
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{:#}", found["status"]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn a_hook_runs_and_goes(world: World) {
    source(&world, "helm-7", &[("map.yaml", MAP), ("hook.yaml", HOOK)]).await;
    release(&world, "helm-7", json!({})).await;
    world
        .ready(&one("helm-7"), "True", "InstallSucceeded")
        .await;
    world
        .gone("/api/v1/namespaces/helm-7/configmaps/hook")
        .await;
}

async fn a_suspended_release_stays(world: World) {
    source(&world, "helm-8", &[("map.yaml", MAP)]).await;
    release(&world, "helm-8", json!({})).await;
    world
        .ready(&one("helm-8"), "True", "InstallSucceeded")
        .await;
    world
        .merge(&one("helm-8"), json!({"spec": {"suspend": true}}))
        .await;
    world
        .merge(
            &one("helm-8"),
            json!({"spec": {"values": {"greeting": "late"}}}),
        )
        .await;
    // Asked for later, and not suspended: the other had its turn before.
    named(&world, "helm-8", "other", json!({})).await;
    let other = one("helm-8").replace("/web", "/other");
    world.ready(&other, "True", "InstallSucceeded").await;
    assert_eq!(
        world.get(&map_path("helm-8")).await.unwrap()["data"]["revision"],
        "1"
    );
    world
        .merge(&one("helm-8"), json!({"spec": {"suspend": false}}))
        .await;
    world
        .ready(&one("helm-8"), "True", "UpgradeSucceeded")
        .await;
    assert_eq!(
        world.get(&map_path("helm-8")).await.unwrap()["data"]["revision"],
        "2"
    );
}
