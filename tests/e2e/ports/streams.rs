//! The spine's contract, on the embedded spine, and on NATS where there is one.

use std::sync::Arc;

use catalyst_ports::{NatsSpine, Spine, contract};
use catalyst_store::{Options, Store};

use crate::spine::EmbeddedSpine;

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_spine_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
    let spine: Arc<dyn Spine> = Arc::new(EmbeddedSpine::new(catalyst_spine::Spine::new(store)));
    contract::run(&|| {
        let spine = Arc::clone(&spine);
        Box::pin(async move { spine })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_keeps_the_contract() {
    let Ok(address) = std::env::var("CATALYST_TEST_NATS") else {
        println!("skipped: CATALYST_TEST_NATS names no server; tests/real/nats/run starts one");
        return;
    };
    let spine: Arc<dyn Spine> = Arc::new(NatsSpine::connect(&address).await.unwrap());
    contract::run(&|| {
        let spine = Arc::clone(&spine);
        Box::pin(async move { spine })
    })
    .await;
}
