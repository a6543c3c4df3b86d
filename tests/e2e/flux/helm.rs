//! OCIRepository and HelmRelease.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_signature::{SigningKey, simple};
use serde_json::{Value, json};

use crate::world::{World, chart, digest};

const SOURCES: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/ocirepositories";
const RELEASES: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/default/helmreleases";
const MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting }}\n  revision: \"{{ .Release.Revision }}\"\n";
const EXTRA: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n";
const HOOK: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations:\n    helm.sh/hook: pre-install,pre-upgrade\n    helm.sh/hook-delete-policy: hook-succeeded\n";
const SLOW: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: slow}\nspec:\n  selector: {matchLabels: {app: slow}}\n  template:\n    metadata: {labels: {app: slow}}\n    spec: {containers: [{name: web, image: none}]}\n";

fn source(world: &World, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": {"name": "web"},
        "spec": {"url": format!("oci://{}/charts/web", world.host()), "interval": "10m", "insecure": true,
            "layerSelector": {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "operation": "copy"}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn release(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "web"},
        "spec": {"interval": "10m", "releaseName": "web", "targetNamespace": "shop", "storageNamespace": "shop",
            "timeout": "1s", "chartRef": {"kind": "OCIRepository", "name": "web"}, "install": {"createNamespace": true}}});
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

async fn stored(world: &World, version: u32) -> Option<Value> {
    let path = format!("{SECRETS}/sh.helm.release.v1.web.v{version}");
    let secret = world.get(&path).await?;
    assert_eq!(secret["type"], "helm.sh/release.v1");
    assert_eq!(secret["metadata"]["labels"]["owner"], "helm");
    let data = STANDARD
        .decode(secret["data"]["release"].as_str().unwrap())
        .unwrap();
    let packed = STANDARD.decode(data).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        secret["metadata"]["labels"]["status"],
        found["info"]["status"]
    );
    Some(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled() {
    let world = World::start().await;
    world.push_chart(
        "charts/web",
        "1.0.0",
        &chart(
            "1.0.0",
            &[
                ("map.yaml", MAP),
                ("extra.yaml", EXTRA),
                ("hook.yaml", HOOK),
            ],
        ),
    );
    world.push_chart("charts/web", "1.1.0", &chart("1.1.0", &[("map.yaml", MAP)]));
    world.push_chart(
        "charts/web",
        "1.2.0",
        &chart("1.2.0", &[("map.yaml", MAP), ("slow.yaml", SLOW)]),
    );
    world
        .post(SOURCES, source(&world, json!({"ref": {"tag": "1.0.0"}})))
        .await;
    world
        .post(
            "/api/v1/namespaces/default/secrets",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "config"}, "stringData": {"value": "from-secret"}}),
        )
        .await;
    let from = json!([{"kind": "Secret", "name": "config", "valuesKey": "value", "targetPath": "greeting"}]);
    world
        .post(RELEASES, release(json!({"valuesFrom": from, "upgrade": {"remediation": {"retries": 0, "remediateLastFailure": true}}})))
        .await;
    let path = format!("{RELEASES}/web");
    let message = world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;
    assert_eq!(
        message,
        "Helm install succeeded for release shop/web.v1 with chart web@1.0.0"
    );
    let live = world.get(&format!("{MAPS}/web")).await.unwrap();
    assert_eq!(live["data"]["greeting"], "from-secret");
    assert_eq!(
        live["metadata"]["annotations"]["meta.helm.sh/release-name"],
        "web"
    );
    assert_eq!(
        live["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );
    assert_eq!(
        live["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"],
        "web"
    );
    assert!(world.get(&format!("{MAPS}/extra")).await.is_some());
    assert!(
        world.get(&format!("{MAPS}/hook")).await.is_none(),
        "the hook is deleted once it succeeded"
    );
    let first = stored(&world, 1).await.unwrap();
    assert_eq!(first["info"]["status"], "deployed");
    assert_eq!(first["config"], json!({"greeting": "from-secret"}));
    assert_eq!(first["hooks"][0]["last_run"]["phase"], "Succeeded");

    // A newer chart: what it no longer has goes away.
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"spec": {"ref": {"tag": "1.1.0"}}}),
        )
        .await;
    world
        .condition(&path, "Ready", "True", "UpgradeSucceeded")
        .await;
    world
        .until(&format!("{MAPS}/extra"), |one| one.is_none())
        .await;
    assert_eq!(
        stored(&world, 1).await.unwrap()["info"]["status"],
        "superseded"
    );
    assert_eq!(
        stored(&world, 2).await.unwrap()["info"]["status"],
        "deployed"
    );
    let object = world.get(&path).await.unwrap();
    assert_eq!(object["status"]["history"][0]["chartVersion"], "1.1.0");

    // One that does not become ready is rolled back, and says why.
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"spec": {"ref": {"tag": "1.2.0"}}}),
        )
        .await;
    world
        .condition(&path, "Ready", "False", "RollbackSucceeded")
        .await;
    let message = world
        .condition(&path, "Released", "False", "UpgradeFailed")
        .await;
    assert!(
        message.contains("Deployment/shop/slow status: 'InProgress'"),
        "{message}"
    );
    world
        .condition(&path, "Stalled", "True", "RetriesExceeded")
        .await;
    assert_eq!(stored(&world, 3).await.unwrap()["info"]["status"], "failed");
    let back = stored(&world, 4).await.unwrap();
    assert_eq!(back["info"]["description"], "Rollback to 2");
    assert_eq!(back["chart"]["metadata"]["version"], "1.1.0");
    assert!(
        world
            .get("/apis/apps/v1/namespaces/shop/deployments/slow")
            .await
            .is_none()
    );

    // A change is a new chance.
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"spec": {"ref": {"tag": "1.1.0"}}}),
        )
        .await;
    world
        .condition(&path, "Ready", "True", "UpgradeSucceeded")
        .await;

    world.delete(&path).await;
    world.until(&path, |one| one.is_none()).await;
    assert!(world.get(&format!("{MAPS}/web")).await.is_none());
    for version in 1..6 {
        assert!(
            stored(&world, version).await.is_none(),
            "v{version} is left"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_wait_for_the_chart_that_they_are_for() {
    let world = World::start().await;
    let renamed = MAP.replace(
        ".Values.greeting",
        "required \"no welcome\" .Values.welcome",
    );
    world.push_chart("charts/web", "1.0.0", &chart("1.0.0", &[("map.yaml", MAP)]));
    world
        .post(SOURCES, source(&world, json!({"ref": {"tag": "1.0.0"}})))
        .await;
    world
        .post(RELEASES, release(json!({"values": {"greeting": "old"}})))
        .await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;

    // The values of the next version come while its chart does not.
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"spec": {"ref": {"tag": "2.0.0"}}}),
        )
        .await;
    world
        .merge(
            &path,
            json!({"spec": {"values": {"greeting": null, "welcome": "new"}}}),
        )
        .await;
    let message = world
        .condition(&path, "Ready", "False", "SourceNotReady")
        .await;
    assert!(
        message.starts_with("OCIRepository 'default/web' is not ready: "),
        "{message}"
    );

    world.push_chart(
        "charts/web",
        "2.0.0",
        &chart("2.0.0", &[("map.yaml", renamed.as_str())]),
    );
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}),
        )
        .await;
    world
        .condition(&path, "Ready", "True", "UpgradeSucceeded")
        .await;
    let second = stored(&world, 2).await.unwrap();
    assert_eq!(second["chart"]["metadata"]["version"], "2.0.0");
    assert_eq!(second["config"], json!({"welcome": "new"}));
    assert!(stored(&world, 3).await.is_none(), "one upgrade, not two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_does_not_wait_for_an_upgrade_that_waits() {
    let world = World::start().await;
    world.push_chart("charts/web", "1.0.0", &chart("1.0.0", &[("map.yaml", MAP)]));
    world.push_chart(
        "charts/web",
        "1.1.0",
        &chart("1.1.0", &[("map.yaml", MAP), ("slow.yaml", SLOW)]),
    );
    world
        .post(SOURCES, source(&world, json!({"ref": {"tag": "1.0.0"}})))
        .await;
    world
        .post(RELEASES, release(json!({"timeout": "10m"})))
        .await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;
    let to = |tag: &str| json!({"spec": {"ref": {"tag": tag}}});
    world.merge(&format!("{SOURCES}/web"), to("1.1.0")).await;
    let slow = "/apis/apps/v1/namespaces/shop/deployments/slow";
    world.until(slow, |one| one.is_some()).await;
    world.merge(&format!("{SOURCES}/web"), to("1.0.0")).await;
    world
        .condition(&path, "Ready", "True", "UpgradeSucceeded")
        .await;
    world.until(slow, |one| one.is_none()).await;
    let object = world.get(&path).await.unwrap();
    assert_eq!(object["status"]["history"][0]["chartVersion"], "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_install_is_undone_and_tried_as_often_as_asked() {
    let world = World::start().await;
    world.push_chart(
        "charts/web",
        "latest",
        &chart("1.0.0", &[("slow.yaml", SLOW)]),
    );
    world.post(SOURCES, source(&world, json!({}))).await;
    let install = json!({"createNamespace": true, "remediation": {"retries": 1}});
    world
        .post(RELEASES, release(json!({"install": install})))
        .await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Stalled", "True", "RetriesExceeded")
        .await;
    let object = world.get(&path).await.unwrap();
    assert_eq!(object["status"]["installFailures"], 2);
    // The last failure stays for people to look at, as in Flux.
    assert!(
        world
            .get("/apis/apps/v1/namespaces/shop/deployments/slow")
            .await
            .is_some()
    );
    // A broken template names itself.
    world.push_chart(
        "charts/web",
        "broken",
        &chart("1.0.1", &[("bad.yaml", "a: {{ .Values.x.y.z }}\n")]),
    );
    world
        .merge(
            &format!("{SOURCES}/web"),
            json!({"spec": {"ref": {"tag": "broken"}}}),
        )
        .await;
    let found = world
        .until(&path, |one| {
            let released = crate::world::of(one.unwrap(), "Released");
            released.is_some_and(|one| one["message"].as_str().unwrap().contains("bad.yaml"))
        })
        .await;
    assert_eq!(found["status"]["lastAttemptedRevision"], "1.0.1");
    // Deleted in the middle of everything, it still ends.
    world.delete(&path).await;
    world.until(&path, |one| one.is_none()).await;
    assert!(
        world
            .get("/apis/apps/v1/namespaces/shop/deployments/slow")
            .await
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chart_renders_goes_through_the_post_renderers_but_for_hooks() {
    let world = World::start().await;
    // A hook that stays, so that it can be looked at.
    let hook = HOOK.replace("hook-succeeded", "before-hook-creation");
    let files = [
        ("map.yaml", MAP),
        ("slow.yaml", SLOW),
        ("hook.yaml", hook.as_str()),
    ];
    world.push_chart("charts/web", "latest", &chart("1.0.0", &files));
    world.post(SOURCES, source(&world, json!({}))).await;
    let patch = |kind: &str, name: &str, patch: &str| {
        json!({"kustomize": {"patches": [{
            "target": {"kind": kind, "name": name}, "patch": patch,
        }]}})
    };
    let greet = |greeting: &str| {
        let operation = format!("- {{op: replace, path: /data/greeting, value: {greeting}}}");
        patch("ConfigMap", "web", &operation)
    };
    let mut images = patch(
        "ConfigMap",
        ".*",
        "- {op: add, path: /metadata/labels, value: {patched: \"yes\"}}",
    );
    images["kustomize"]["images"] = json!([{"name": "none", "newName": "other", "newTag": "2"}]);
    world
        .post(
            RELEASES,
            release(json!({
                "values": {"greeting": "own"}, "install": {"createNamespace": true, "disableWait": true},
                "upgrade": {"disableWait": true}, "postRenderers": [greet("first"), greet("patched"), images],
            })),
        )
        .await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;
    let live = world.get(&format!("{MAPS}/web")).await.unwrap();
    assert_eq!(live["data"]["greeting"], "patched");
    assert_eq!(live["metadata"]["labels"]["patched"], "yes");
    let slow = world
        .get("/apis/apps/v1/namespaces/shop/deployments/slow")
        .await
        .unwrap();
    let image = &slow["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "other:2");
    let hook = world.get(&format!("{MAPS}/hook")).await.unwrap();
    assert_eq!(hook["metadata"]["labels"]["patched"], Value::Null);
    let first = stored(&world, 1).await.unwrap();
    assert!(first["manifest"].as_str().unwrap().contains("other:2"));

    // One that does not fit is told, and nothing comes of it.
    let absent = patch(
        "ConfigMap",
        "web",
        "- {op: replace, path: /data/absent, value: x}",
    );
    world
        .merge(&path, json!({"spec": {"postRenderers": [absent]}}))
        .await;
    let message = world
        .condition(&path, "Released", "False", "UpgradeFailed")
        .await;
    assert!(
        message.contains("could not apply spec.postRenderers") && message.contains("absent"),
        "{message}"
    );
    assert!(stored(&world, 2).await.is_none(), "nothing is stored");
    let live = world.get(&format!("{MAPS}/web")).await.unwrap();
    assert_eq!(live["data"]["greeting"], "patched");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_does_not_wait_for_an_install_that_waits() {
    let world = World::start().await;
    world.push_chart(
        "charts/web",
        "latest",
        &chart("1.0.0", &[("slow.yaml", SLOW)]),
    );
    world.post(SOURCES, source(&world, json!({}))).await;
    world
        .post(RELEASES, release(json!({"timeout": "5m"})))
        .await;
    let path = format!("{RELEASES}/web");
    world
        .until("/apis/apps/v1/namespaces/shop/deployments/slow", |one| {
            one.is_some()
        })
        .await;
    world.delete(&path).await;
    world.until(&path, |one| one.is_none()).await;
    assert!(
        world
            .get("/apis/apps/v1/namespaces/shop/deployments/slow")
            .await
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_drift_is_corrected_when_asked() {
    let world = World::start().await;
    world.push_chart(
        "charts/web",
        "latest",
        &chart("1.0.0", &[("map.yaml", MAP)]),
    );
    world.post(SOURCES, source(&world, json!({}))).await;
    world
        .post(
            RELEASES,
            release(json!({"driftDetection": {"mode": "enabled"}})),
        )
        .await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;
    world
        .merge(
            &format!("{MAPS}/web"),
            json!({"data": {"greeting": "drifted"}}),
        )
        .await;
    world
        .merge(
            &path,
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}}),
        )
        .await;
    world
        .until(&format!("{MAPS}/web"), |one| {
            one.unwrap()["data"]["greeting"] == "hello"
        })
        .await;
    assert!(
        stored(&world, 2).await.is_none(),
        "a correction is no new revision"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_trusted_key_signed_is_used() {
    let world = World::start().await;
    let (_, name) = world.push_chart(
        "charts/web",
        "latest",
        &chart("1.0.0", &[("map.yaml", MAP)]),
    );
    let (key, foreign) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    world
        .post(
            "/api/v1/namespaces/default/secrets",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                "stringData": {"cosign.pub": key.public().to_pem()}}),
        )
        .await;
    let verify = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
    world
        .post(
            SOURCES,
            source(&world, json!({"ref": {"digest": name}, "verify": verify})),
        )
        .await;
    let path = format!("{SOURCES}/web");
    let message = world
        .condition(&path, "Ready", "False", "VerificationError")
        .await;
    assert!(message.contains("carries no signature"), "{message}");
    let sign = |key: &SigningKey| {
        let signature = simple::sign(key, &format!("{}/charts/web", world.host()), &name).unwrap();
        let layer = digest(&signature.payload);
        world.put(
            &format!("/v2/charts/web/blobs/{layer}"),
            "application/octet-stream",
            &signature.payload,
        );
        let manifest = json!({"schemaVersion": 2, "layers": [{"mediaType": simple::MEDIA_TYPE, "digest": layer,
            "size": signature.payload.len(), "annotations": {simple::SIGNATURE_ANNOTATION: signature.signature}}]});
        let at = format!("/v2/charts/web/manifests/{}", simple::signature_tag(&name));
        world.put(
            &at,
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
    };
    sign(&foreign);
    world
        .until(&path, |one| {
            crate::world::of(one.unwrap(), "Ready")
                .is_some_and(|one| one["message"].as_str().unwrap().contains("no trusted key"))
        })
        .await;
    assert!(world.get(&path).await.unwrap()["status"]["artifact"].is_null());
    sign(&key);
    world
        .condition(&path, "SourceVerified", "True", "Succeeded")
        .await;
    world.condition(&path, "Ready", "True", "Succeeded").await;
    let object = world.get(&path).await.unwrap();
    assert_eq!(object["status"]["artifact"]["revision"], name);
}

/// Whoever a release acts as where the lockdown is on: it may write in `shop` alone.
async fn account(world: &World) {
    for name in ["shop", "other"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        world.post("/api/v1/namespaces", namespace).await;
    }
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    let write = [
        "create", "delete", "get", "list", "patch", "update", "watch",
    ];
    world
        .post(&format!("{rbac}/roles"), json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "release"},
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["*"]},
                {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": write},
            ],
        }))
        .await;
    world
        .post(&format!("{rbac}/rolebindings"), json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "release"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "release"},
            "subjects": [{"kind": "ServiceAccount", "name": "web-release", "namespace": "default"}],
        }))
        .await;
}

/// A locked world with a chart of these templates and a release of it.
async fn locked(templates: &[(&str, &str)], spec: Value) -> World {
    let world = World::start_locked().await;
    account(&world).await;
    world.push_chart("charts/web", "1.0.0", &chart("1.0.0", templates));
    world
        .post(SOURCES, source(&world, json!({"ref": {"tag": "1.0.0"}})))
        .await;
    let mut object = release(spec);
    object["spec"]["install"] = json!({});
    world.post(RELEASES, object).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_acts_as_its_account_in_its_own_namespace() {
    let account = json!({"serviceAccountName": "web-release"});
    let world = locked(&[("map.yaml", MAP), ("hook.yaml", HOOK)], account).await;
    let path = format!("{RELEASES}/web");
    world
        .condition(&path, "Ready", "True", "InstallSucceeded")
        .await;
    assert!(world.get(&format!("{MAPS}/web")).await.is_some());
    world.delete(&path).await;
    world.until(&path, |found| found.is_none()).await;
    assert!(world.get(&format!("{MAPS}/web")).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_reaches_beyond_its_namespace_is_refused_and_leaves_nothing() {
    let binding = |kind: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: grasp}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\nsubjects: [{{kind: ServiceAccount, name: default, namespace: shop}}]\n"
        )
    };
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let cases = [
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: grasp}\ndata:\n  all: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson | quote }}\n".to_owned(),
            "secrets",
            format!("{MAPS}/grasp"),
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: grasp, namespace: other}\n".to_owned(),
            "grasp",
            "/api/v1/namespaces/other/configmaps/grasp".to_owned(),
        ),
        (
            binding("ClusterRoleBinding"),
            "ClusterRoleBinding",
            format!("{rbac}/clusterrolebindings/grasp"),
        ),
        (
            binding("RoleBinding"),
            "attempting to grant",
            format!("{rbac}/namespaces/shop/rolebindings/grasp"),
        ),
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: grasp}\n".to_owned(),
            "Namespace",
            "/api/v1/namespaces/grasp".to_owned(),
        ),
    ];
    for (template, part, grasped) in &cases {
        let account = json!({"serviceAccountName": "web-release"});
        let world = locked(
            &[("map.yaml", MAP), ("grasp.yaml", template.as_str())],
            account,
        )
        .await;
        let path = format!("{RELEASES}/web");
        let message = world
            .condition(&path, "Released", "False", "InstallFailed")
            .await;
        for part in [
            *part,
            "system:serviceaccount:default:web-release",
            "its own Application's namespace only",
        ] {
            assert!(message.contains(part), "{template}: {message}");
        }
        assert!(world.get(grasped).await.is_none(), "{template}");
        assert!(
            world.get(&format!("{MAPS}/web")).await.is_none(),
            "{template}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_a_locked_release_may_do_nothing_and_refers_to_no_other_namespace() {
    let world = locked(&[("map.yaml", MAP)], json!({})).await;
    let path = format!("{RELEASES}/web");
    let message = world
        .condition(&path, "Ready", "False", "ReconciliationFailed")
        .await;
    assert!(
        message.contains("system:serviceaccount:default:default"),
        "{message}"
    );
    assert!(world.get(&format!("{MAPS}/web")).await.is_none());

    let elsewhere = json!({"kind": "OCIRepository", "name": "web", "namespace": "other"});
    world
        .merge(&path, json!({"spec": {"chartRef": elsewhere}}))
        .await;
    let message = world
        .condition(&path, "Ready", "False", "ArtifactFailed")
        .await;
    assert!(message.contains("across namespaces"), "{message}");
}
