//! What collection removes, what it keeps, and what a start sweeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says what failed"
)]

mod common;

use std::time::Duration;

use catalyst_registry::Collected;
use common::{header, image, serve, sha256};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn only_what_no_manifest_needs_is_removed_and_only_after_the_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let manifest = served.push_image("acme/web", "a", b"layer").await;
    let stray = served.push_blob("acme/web", b"stray!").await;
    let status = async |digest: &catalyst_registry::Digest| {
        served
            .send("GET", &format!("/v2/acme/web/blobs/{digest}"))
            .await
            .status()
            .as_u16()
    };
    assert_eq!(
        served.registry.collect_garbage().await.unwrap(),
        Collected::default()
    );
    served.hands.advance(HOUR);
    // A client that was told the blob exists may build on it.
    served
        .send("HEAD", &format!("/v2/acme/web/blobs/{stray}"))
        .await;
    assert_eq!(
        served.registry.collect_garbage().await.unwrap(),
        Collected::default()
    );
    served.hands.advance(HOUR);
    let collected = served.registry.collect_garbage().await.unwrap();
    assert_eq!(
        collected,
        Collected {
            links: 1,
            files: 1,
            bytes: 6,
            uploads: 0
        }
    );
    assert_eq!(
        (status(&stray).await, status(&sha256(b"layer")).await),
        (404, 200)
    );

    // Without its manifest, the rest goes too, and so does the repository.
    served
        .send("DELETE", &format!("/v2/acme/web/manifests/{manifest}"))
        .await;
    served.hands.advance(HOUR);
    let collected = served.registry.collect_garbage().await.unwrap();
    assert_eq!((collected.links, collected.files), (2, 3));
    assert_eq!(
        served.send("GET", "/v2/acme/web/tags/list").await.status(),
        404
    );
}

#[tokio::test]
async fn content_shared_by_repositories_stays_while_one_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    served.push_image("acme/web", "a", b"layer").await;
    let manifest = served.push_image("acme/api", "a", b"layer").await;
    served
        .send("DELETE", &format!("/v2/acme/api/manifests/{manifest}"))
        .await;
    served.hands.advance(HOUR);
    let collected = served.registry.collect_garbage().await.unwrap();
    assert_eq!((collected.links, collected.files), (2, 0));
    let layer = format!("/v2/acme/web/blobs/{}", sha256(b"layer"));
    assert_eq!(
        served.send("GET", &layer).await.text().await.unwrap(),
        "layer"
    );
}

#[tokio::test]
async fn pushes_and_collection_run_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let (registry, hands) = (served.registry.clone(), served.hands.clone());
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    // Time passes quickly: a slow push loses its blobs before its manifest
    // comes. That is refused and tried again; what was accepted stays whole.
    let collector = tokio::spawn(async move {
        let mut rounds = 0_usize;
        while stopped.try_recv().is_err() {
            hands.advance(Duration::from_secs(60));
            registry.collect_garbage().await.unwrap();
            rounds += 1;
        }
        rounds
    });
    let mut accepted = Vec::new();
    for number in 0..200 {
        if accepted.len() == 20 {
            break;
        }
        let layer = format!("layer {number}");
        served
            .push_blob("acme/web", format!("stray {number}").as_bytes())
            .await;
        served.push_blob("acme/web", b"{}").await;
        served.push_blob("acme/web", layer.as_bytes()).await;
        let tag = format!("t{number}");
        let answer = served
            .put_manifest("acme/web", &tag, &image(layer.as_bytes()))
            .await;
        match answer.status().as_u16() {
            201 => accepted.push(layer),
            400 => {}
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
    stop.send(()).unwrap();
    assert!(collector.await.unwrap() > 0, "the collector ran");
    assert_eq!(accepted.len(), 20, "pushes get through");
    served.hands.advance(2 * HOUR);
    served.registry.collect_garbage().await.unwrap();
    let stray = format!("/v2/acme/web/blobs/{}", sha256(b"stray 0"));
    assert_eq!(served.send("GET", &stray).await.status(), 404);
    for part in accepted.iter().map(String::as_bytes).chain([&b"{}"[..]]) {
        let read = served
            .send("GET", &format!("/v2/acme/web/blobs/{}", sha256(part)))
            .await;
        assert_eq!(read.status(), 200);
        assert_eq!(read.bytes().await.unwrap(), part);
    }
    let tags: serde_json::Value = served
        .send("GET", "/v2/acme/web/tags/list")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(20));
}

#[tokio::test]
async fn a_start_sweeps_leftovers_and_keeps_what_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), false, |_| {}).await;
    let opened = served.send("POST", "/v2/acme/web/blobs/uploads/").await;
    let upload = header(&opened, "location").to_owned();
    served
        .request("PATCH", &upload)
        .body("01")
        .send()
        .await
        .unwrap();
    served.stop().await;
    let data = folder.path().join("registry");
    std::fs::write(data.join("scratch/half"), "half").unwrap();
    std::fs::write(
        data.join("uploads/11111111-1111-4111-8111-111111111111"),
        "lost",
    )
    .unwrap();

    let served = serve(folder.path(), false, |_| {}).await;
    assert_eq!(std::fs::read_dir(data.join("scratch")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.join("uploads")).unwrap().count(), 1);
    assert_eq!(header(&served.send("GET", &upload).await, "range"), "0-1");
    // Nobody came back for it.
    served.hands.advance(25 * HOUR);
    let collected = served.registry.collect_garbage().await.unwrap();
    assert_eq!(collected.uploads, 1);
    assert_eq!(served.send("GET", &upload).await.status(), 404);
    assert_eq!(std::fs::read_dir(data.join("uploads")).unwrap().count(), 0);
}
