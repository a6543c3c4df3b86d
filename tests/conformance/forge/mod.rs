//! The forge, held against Gitea.
//!
//! `CATALYST_TEST_FORGE` (base URL), `CATALYST_TEST_FORGE_TOKEN` (an
//! administrator's) name a real one.

mod access;
mod content;
mod hooks;
mod pulls;
mod world;

use crate::suite;
use world::World;

const LEDGER: &str = include_str!("differences.txt");

fn cases() -> Vec<suite::Case<World>> {
    [
        access::cases(),
        content::cases(),
        hooks::cases(),
        pulls::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_forge_is_as_gitea() {
    let (world, _home) = World::embedded().await;
    suite::judge("embedded forge", world, cases(), LEDGER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitea_is_as_the_cases_say() {
    let Some(world) = World::named() else {
        println!("skipped: CATALYST_TEST_FORGE names none; tests/real/gitea/run starts one");
        return;
    };
    suite::judge("Gitea", world, cases(), "").await;
}
