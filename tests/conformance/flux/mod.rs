//! Flux's Kustomization and HelmRelease, held against its own controllers.
//!
//! Both run against the embedded Kubernetes API, with sources that the stand-in
//! serves. `CATALYST_TEST_FLUX` names the folder that holds
//! `kustomize-controller` and `helm-controller`.

mod controllers;
mod helm;
#[allow(dead_code)]
#[path = "../../e2e/flux/world.rs"]
mod home;
mod kustomize;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::suite;

const LEDGER: &str = include_str!("differences.txt");

/// What the cases stand on; clones share it.
#[derive(Clone)]
pub struct World(Arc<home::World>);

impl std::ops::Deref for World {
    type Target = home::World;

    fn deref(&self) -> &home::World {
        &self.0
    }
}

impl World {
    async fn start(reconcilers: bool) -> Self {
        let world = Self(Arc::new(home::World::start_with(reconcilers).await));
        for (kind, plural) in [
            ("Bucket", "buckets"),
            ("HelmChart", "helmcharts"),
            ("HelmRepository", "helmrepositories"),
        ] {
            world.define(kind, plural).await;
        }
        world
    }

    /// Kinds that Flux's controllers watch and the stand-in has no use for.
    async fn define(&self, kind: &str, plural: &str) {
        let loose = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.source.toolkit.fluxcd.io")},
            "spec": {"group": "source.toolkit.fluxcd.io", "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": loose}}]}});
        self.post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition,
        )
        .await;
    }

    pub async fn namespace(&self, name: &str) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.post("/api/v1/namespaces", body).await;
    }

    /// Asks for a reconciliation now.
    pub async fn request(&self, path: &str, at: &str) {
        let body = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": at}}});
        self.merge(path, body).await;
    }

    /// Waits for the condition `Ready`; a longer wait than the stand-in needs.
    pub async fn ready(&self, path: &str, status: &str, reason: &str) -> Value {
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let found = self.get(path).await.unwrap_or_default();
            let ready = home::of(&found, "Ready");
            // A failure is told by the condition alone. A success is whole
            // when the object's own generation follows: the controllers write
            // the condition first, inventory and history after.
            let generation = &found["metadata"]["generation"];
            let is_whole = status != "True"
                || (found["status"]["observedGeneration"] == *generation
                    && home::of(&found, "Reconciling").is_none());
            let is_wanted = ready.is_some_and(|it| {
                it["status"] == status
                    && it["reason"] == reason
                    && it["observedGeneration"] == *generation
            });
            if is_whole && is_wanted {
                return found;
            }
            let now = tokio::time::Instant::now();
            assert!(
                now < until,
                "{path}: not {status} {reason}: {:#}",
                found["status"]
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub async fn gone(&self, path: &str) {
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        while let Some(found) = self.get(path).await {
            assert!(
                tokio::time::Instant::now() < until,
                "{path} stays: {found:#}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn cases() -> Vec<suite::Case<World>> {
    [kustomize::cases(), helm::cases()]
        .into_iter()
        .flatten()
        .collect()
}

pub fn message(object: &Value, kind: &str) -> String {
    let found = home::of(object, kind).unwrap_or(&Value::Null);
    found["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_flux_is_as_the_controllers() {
    let world = World::start(true).await;
    suite::judge("embedded Flux", world, cases(), LEDGER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_are_as_the_cases_say() {
    let Ok(folder) = std::env::var("CATALYST_TEST_FLUX") else {
        println!("skipped: CATALYST_TEST_FLUX names no folder; tests/real/flux/run does");
        return;
    };
    let world = World::start(false).await;
    let _controllers = controllers::start(&world, folder.as_ref()).await;
    suite::judge("Flux's controllers", world, cases(), "").await;
}
