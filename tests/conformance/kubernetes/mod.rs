//! The Kubernetes API, held against kube-apiserver.
//!
//! `CATALYST_TEST_KUBECONFIG` names the kubeconfig of a real one's
//! administrator.

mod access;
mod custom;
mod fields;
mod objects;
mod patches;
mod reading;
mod world;

use crate::suite;
use world::World;

const LEDGER: &str = include_str!("differences.txt");

fn cases() -> Vec<suite::Case<World>> {
    [
        access::cases(),
        custom::cases(),
        fields::cases(),
        objects::cases(),
        patches::cases(),
        reading::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_api_is_as_kube_apiserver() {
    let (world, _home) = World::embedded().await;
    suite::judge("embedded Kubernetes API", world, cases(), LEDGER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_apiserver_is_as_the_cases_say() {
    let Some(world) = World::named().await else {
        println!("skipped: CATALYST_TEST_KUBECONFIG names none; tests/real/kubernetes/run does");
        return;
    };
    suite::judge("kube-apiserver", world, cases(), "").await;
}
