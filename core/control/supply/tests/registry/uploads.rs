//! Blobs are sent once, in pieces where they are large, and go on where they broke
//! off.

use std::time::Duration;

use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use catalyst_supply::{Blob, Credentials, Reference, Registry, RegistryError, media};

use crate::fake::{Bench, Seen, Stored, progress};

const CHUNK: usize = 1000;

/// Bytes that differ from place to place.
fn blob(length: usize) -> Blob {
    let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
    Blob::new(media::IMAGE_LAYER, bytes)
}

fn at(bench: &Bench) -> Reference {
    bench.reference("bp-x:1.0.0")
}

/// Sends pieces of [`CHUNK`] bytes and loses no time between them.
fn registry(bench: &Bench) -> Registry {
    bench.impatient(Duration::from_secs(10)).with_chunk(CHUNK)
}

/// How many bytes were sent, over all requests.
fn sent(stored: &Stored) -> usize {
    stored.seen.iter().map(|seen| seen.body.len()).sum()
}

fn is_there(stored: &Stored, blob: &Blob) -> bool {
    stored
        .blobs
        .get(&blob.descriptor.digest)
        .is_some_and(|bytes| *bytes == blob.bytes)
}

#[tokio::test]
async fn a_blob_goes_in_as_many_pieces_as_it_needs_and_only_once() {
    for (length, pieces) in [(0, 0), (1, 0), (CHUNK, 0), (CHUNK + 1, 2), (3500, 4)] {
        let bench = Bench::new().await;
        let blob = blob(length);
        for _ in 0..2 {
            registry(&bench)
                .push_blob(&at(&bench), &blob)
                .await
                .unwrap();
        }
        let stored = bench.shared.lock().unwrap();
        assert!(is_there(&stored, &blob), "{length}");
        assert_eq!(sent(&stored), length);
        assert_eq!(
            stored.asked(&Method::PATCH, "/uploads/"),
            pieces,
            "{length}"
        );
        assert_eq!(stored.asked(&Method::POST, "/uploads/"), 1, "{length}");
        assert_eq!(stored.asked(&Method::PUT, "/uploads/"), 1, "{length}");
    }
}

/// The id of an upload in its address.
fn id(seen: &Seen) -> usize {
    let (_, rest) = seen.target.split_once("/uploads/").unwrap();
    rest.split_once('?').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_where_the_registry_stands() {
    // In each piece, after none, half or all of it.
    for broken in 1..=4 {
        for kept in [0, CHUNK / 2, CHUNK] {
            let bench = Bench::new().await;
            let blob = blob(4 * CHUNK);
            let mut patches = 0;
            bench.by_hand(move |stored, seen| {
                if seen.method != Method::PATCH {
                    return None;
                }
                patches += 1;
                (patches == broken).then(|| {
                    let held = stored.uploads.get_mut(&id(seen)).unwrap();
                    held.extend_from_slice(&seen.body[..kept]);
                    StatusCode::BAD_GATEWAY.into_response()
                })
            });
            registry(&bench)
                .push_blob(&at(&bench), &blob)
                .await
                .unwrap();
            let stored = bench.shared.lock().unwrap();
            assert!(is_there(&stored, &blob), "{broken} {kept}");
            assert_eq!(stored.asked(&Method::POST, "/uploads/"), 1, "one upload");
            let again = sent(&stored) - blob.bytes.len();
            assert_eq!(again, CHUNK - kept, "{broken} {kept}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_stands_still_is_left_and_taken_up() {
    let bench = Bench::new().await;
    let blob = blob(4 * CHUNK);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/x", silent.local_addr().unwrap());
    let mut patches = 0;
    // The second piece is sent to where nobody answers.
    bench.by_hand(move |_, seen| {
        patches += usize::from(seen.method == Method::PATCH);
        (seen.method == Method::PATCH && patches == 2).then(|| {
            let location = [("location", elsewhere.clone())];
            (StatusCode::TEMPORARY_REDIRECT, location).into_response()
        })
    });
    let registry = bench
        .impatient(Duration::from_millis(300))
        .with_chunk(CHUNK);
    registry.push_blob(&at(&bench), &blob).await.unwrap();
    let stored = bench.shared.lock().unwrap();
    assert!(is_there(&stored, &blob));
    assert_eq!(sent(&stored), blob.bytes.len() + CHUNK);
}

#[tokio::test]
async fn a_whole_blob_that_broke_off_goes_on_too() {
    let bench = Bench::new().await;
    let blob = blob(900);
    let mut puts = 0;
    bench.by_hand(move |stored, seen| {
        puts += usize::from(seen.method == Method::PUT);
        (seen.method == Method::PUT && puts == 1).then(|| {
            let held = stored.uploads.get_mut(&id(seen)).unwrap();
            held.extend_from_slice(&seen.body[..700]);
            StatusCode::BAD_GATEWAY.into_response()
        })
    });
    registry(&bench)
        .push_blob(&at(&bench), &blob)
        .await
        .unwrap();
    let stored = bench.shared.lock().unwrap();
    assert!(is_there(&stored, &blob));
    assert_eq!(sent(&stored), 900 + 200);
}

#[tokio::test]
async fn a_registry_that_lost_some_of_it_or_all_gets_the_rest_or_everything() {
    for lost in ["some", "all"] {
        let bench = Bench::new().await;
        let blob = blob(4 * CHUNK);
        let mut patches = 0;
        bench.by_hand(move |stored, seen| {
            patches += usize::from(seen.method == Method::PATCH);
            if seen.method == Method::PATCH && patches == 3 {
                // Then the request itself is answered as it deserves: 416, or 404.
                match lost {
                    "some" => stored.uploads.get_mut(&id(seen)).unwrap().truncate(1500),
                    _ => stored.uploads.clear(),
                }
            }
            None
        });
        registry(&bench)
            .push_blob(&at(&bench), &blob)
            .await
            .unwrap();
        let stored = bench.shared.lock().unwrap();
        assert!(is_there(&stored, &blob), "{lost}");
        let opened = if lost == "all" { 2 } else { 1 };
        assert_eq!(stored.asked(&Method::POST, "/uploads/"), opened, "{lost}");
    }
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_over() {
    let bench = Bench::new().await;
    let blob = blob(2500);
    bench.by_hand(|stored, seen| {
        if seen.method != Method::PUT {
            return None;
        }
        let bytes = stored.uploads.remove(&id(seen)).unwrap();
        stored.put_blob(media::IMAGE_LAYER, &bytes);
        Some(StatusCode::GATEWAY_TIMEOUT.into_response())
    });
    registry(&bench)
        .push_blob(&at(&bench), &blob)
        .await
        .unwrap();
    let stored = bench.shared.lock().unwrap();
    assert!(is_there(&stored, &blob));
    assert_eq!(sent(&stored), 2500, "nothing is sent again");
}

#[tokio::test]
async fn an_upload_that_gets_no_further_is_given_up() {
    type Answer = fn(&Seen) -> Response;
    let cases: [(&str, Answer, &str); 6] = [
        (
            "has no room",
            |_| StatusCode::INSUFFICIENT_STORAGE.into_response(),
            "free space",
        ),
        (
            "never takes it",
            |_| StatusCode::SERVICE_UNAVAILABLE.into_response(),
            "answered 503",
        ),
        (
            "takes none of it",
            |seen| {
                progress(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "catalog/bp-x",
                    id(seen),
                    0,
                )
            },
            "answered 416",
        ),
        (
            "has more than was sent",
            |seen| progress(StatusCode::ACCEPTED, "catalog/bp-x", id(seen), 5000),
            "says that it has 5000",
        ),
        (
            "sends it nowhere",
            |_| (StatusCode::ACCEPTED, [("location", "ftp://x/y")]).into_response(),
            "not an address",
        ),
        (
            "does not want it",
            |_| StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            "make the artifact smaller",
        ),
    ];
    for (what, answer, said) in cases {
        let bench = Bench::new().await;
        bench.by_hand(move |_, seen| (seen.method == Method::PATCH).then(|| answer(seen)));
        let error = registry(&bench).push_blob(&at(&bench), &blob(2500)).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{what}: {error}");
        let stored = bench.shared.lock().unwrap();
        assert!(stored.asked(&Method::PATCH, "") <= 5, "{what}");
    }
    // An upload without an address cannot begin.
    let bench = Bench::new().await;
    bench.by_hand(|_, seen| {
        (seen.method == Method::POST).then(|| StatusCode::ACCEPTED.into_response())
    });
    let error = registry(&bench).push_blob(&at(&bench), &blob(1)).await;
    assert!(
        matches!(error, Err(RegistryError::Malformed { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_registry_that_wants_larger_pieces_gets_them() {
    let bench = Bench::new().await;
    let blob = blob(4500);
    bench.by_hand(|stored, seen| {
        (seen.method == Method::POST).then(|| {
            stored.uploads.insert(7, Vec::new());
            let headers = [
                ("location", "/v2/catalog/bp-x/blobs/uploads/7?state=a"),
                ("oci-chunk-min-length", "2000"),
            ];
            (StatusCode::ACCEPTED, headers).into_response()
        })
    });
    registry(&bench)
        .push_blob(&at(&bench), &blob)
        .await
        .unwrap();
    let stored = bench.shared.lock().unwrap();
    assert!(is_there(&stored, &blob));
    assert_eq!(stored.asked(&Method::PATCH, "/uploads/7"), 3);
}

#[tokio::test]
async fn what_another_repository_has_is_taken_from_there() {
    let bench = Bench::new().await;
    let blob = blob(100);
    let registry = registry(&bench);
    registry.push_blob(&at(&bench), &blob).await.unwrap();
    let other = bench.reference("bp-y:1.0.0");
    registry.push_blob(&other, &blob).await.unwrap();
    {
        let stored = bench.shared.lock().unwrap();
        assert_eq!(sent(&stored), 100, "sent once");
        let digest = blob.descriptor.digest.clone();
        assert!(stored.placed.contains(&("catalog/bp-y".to_owned(), digest)));
    }
    // One that does not let it be taken gets the bytes.
    bench.by_hand(|_, seen| {
        seen.target
            .contains("mount=")
            .then(|| StatusCode::FORBIDDEN.into_response())
    });
    let third = bench.reference("bp-z:1.0.0");
    registry.push_blob(&third, &blob).await.unwrap();
    assert_eq!(sent(&bench.shared.lock().unwrap()), 200);
    // Of another registry nothing is known.
    let elsewhere = Bench::new().await;
    let there = elsewhere.reference("bp-y:1.0.0");
    registry.push_blob(&there, &blob).await.unwrap();
    let stored = elsewhere.shared.lock().unwrap();
    assert_eq!(stored.asked(&Method::POST, "mount="), 0);
}

#[tokio::test]
async fn taking_from_another_repository_asks_for_a_token_that_may() {
    let bench = Bench::new().await;
    let realm = format!("http://{}/token", bench.host);
    bench.shared.lock().unwrap().token_realm = Some(realm);
    let registry = bench.registry(Credentials::Basic {
        username: "user".into(),
        password: "secret".into(),
    });
    let blob = Blob::new(media::IMAGE_LAYER, Bytes::from_static(b"x"));
    for name in ["bp-x:1.0.0", "bp-y:1.0.0"] {
        registry
            .push_blob(&bench.reference(name), &blob)
            .await
            .unwrap();
    }
    let stored = bench.shared.lock().unwrap();
    let scopes: Vec<&str> = stored
        .seen
        .iter()
        .filter_map(|seen| {
            seen.target
                .split_once("/token?service=test&")
                .map(|(_, rest)| rest)
        })
        .collect();
    assert_eq!(
        scopes,
        [
            "scope=repository%3Acatalog%2Fbp-x%3Apull%2Cpush",
            "scope=repository%3Acatalog%2Fbp-y%3Apull%2Cpush",
            "scope=repository%3Acatalog%2Fbp-y%3Apull%2Cpush&scope=repository%3Acatalog%2Fbp-x%3Apull",
        ]
    );
}
