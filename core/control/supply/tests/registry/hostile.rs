//! Registries, signatures and artifacts that mean harm: each refused with its own
//! reason, within bounds, and nothing published by halves.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use catalyst_signature::{
    MAX_SIGNATURE, MAX_SIGNATURES, Signer, Signers, SigningKey, TrustPolicy, bundle, simple,
};
use catalyst_supply::{
    Credentials, Patience, Reference, RegistryError, VerifyError, digest, media,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::fake::{Bench, Shared, Stored, listen, package};

/// Takes all signatures of the artifact away.
pub fn unsign(stored: &mut Stored, published: &str) {
    let tag = Bench::signature_tag(published);
    stored.manifests.retain(|(_, target), bytes| {
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        *target != tag && manifest.get("subject").is_none()
    });
}

/// A layer with a signature under the tag, as cosign writes it.
fn layer(stored: &mut Stored, key: &SigningKey, reference: &str, digest: &str) -> Value {
    let made = simple::sign(key, reference, digest).unwrap();
    let mut layer = stored.put_blob(simple::MEDIA_TYPE, &made.payload);
    layer["annotations"] = json!({simple::SIGNATURE_ANNOTATION: made.signature});
    layer
}

fn put_layers(stored: &mut Stored, published: &str, layers: &[Value]) {
    let config = stored.put_blob(media::IMAGE_CONFIG, b"{}");
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": layers});
    stored.put(&Bench::signature_tag(published), &manifest);
}

/// A bundle that hangs on the artifact; what a list of referrers says of it.
pub fn hang(stored: &mut Stored, published: &str, bundle: &[u8]) -> Value {
    let layer = stored.put_blob(bundle::MEDIA_TYPE, bundle);
    hang_layers(stored, published, &[layer])
}

pub fn hang_layers(stored: &mut Stored, published: &str, layers: &[Value]) -> Value {
    let config = stored.put_blob(media::EMPTY, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": bundle::MEDIA_TYPE,
        "config": config, "layers": layers,
        "subject": {"mediaType": media::MANIFEST, "digest": published, "size": 1},
    });
    let size = serde_json::to_vec(&manifest).unwrap().len();
    let digest = stored.put(&format!("bundle-{}", stored.manifests.len()), &manifest);
    json!({
        "mediaType": media::MANIFEST, "digest": digest, "size": size,
        "artifactType": bundle::MEDIA_TYPE,
    })
}

/// Has the list of referrers be this one, in this order.
pub fn list(stored: &mut Stored, manifests: &[Value]) {
    let list = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests});
    stored.hand = Some(Box::new(move |_, seen| {
        seen.target
            .contains("/referrers/")
            .then(|| axum::Json(list.clone()).into_response())
    }));
}

pub const NAME: &str = "h/catalog/bp-x";

/// Changes what the registry has of a published artifact whose signatures are gone;
/// given its digest and the trusted key.
type Change = fn(&mut Stored, &str, &SigningKey);

const BAD: [(&str, &str, Change); 17] = [
    ("no signature", "Unsigned", |_, _, _| {}),
    (
        "for other bytes",
        "AlteredDigest",
        |stored, published, key| {
            let layer = layer(stored, key, NAME, &digest(b"other"));
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "for another name",
        "WrongIdentity",
        |stored, published, key| {
            let layer = layer(stored, key, "h/catalog/bp-y", published);
            put_layers(stored, published, &[layer]);
        },
    ),
    ("by another key", "ForeignKey", |stored, published, _| {
        let layer = layer(stored, &SigningKey::generate().unwrap(), NAME, published);
        put_layers(stored, published, &[layer]);
    }),
    (
        "by many other keys",
        "TooManySignatures",
        |stored, published, key| {
            let other = SigningKey::generate().unwrap();
            let mut layers = vec![layer(stored, &other, NAME, published); MAX_SIGNATURES];
            // Beyond what is looked at.
            layers.push(layer(stored, key, NAME, published));
            put_layers(stored, published, &layers);
        },
    ),
    (
        "a tag that is no manifest",
        "MalformedSignature",
        |stored, published, _| {
            stored.put(&Bench::signature_tag(published), &json!([]));
        },
    ),
    (
        "too large a signature",
        "MalformedSignature",
        |stored, published, key| {
            let mut layer = layer(stored, key, NAME, published);
            layer["size"] = json!(2 << 20);
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "a signature that is longer than said",
        "MalformedSignature",
        |stored, published, key| {
            let mut layer = layer(stored, key, NAME, published);
            layer["size"] = json!(10);
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "a signature elsewhere",
        "MalformedSignature",
        |stored, published, key| {
            let mut layer = layer(stored, key, NAME, published);
            layer["digest"] = json!("../../acme/bp-x/blobs/x?");
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "an altered payload",
        "MalformedSignature",
        |stored, published, key| {
            let layer = layer(stored, key, NAME, published);
            let named = layer["digest"].as_str().unwrap().to_owned();
            stored.blobs.get_mut(&named).unwrap()[0] ^= 1;
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "a payload that is not there",
        "MalformedSignature",
        |stored, published, key| {
            let layer = layer(stored, key, NAME, published);
            stored.blobs.remove(layer["digest"].as_str().unwrap());
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "a bundle of another version",
        "MalformedSignature",
        |stored, published, key| {
            let made = bundle::sign(key, NAME, published).unwrap();
            let text = String::from_utf8(made)
                .unwrap()
                .replace(".v0.3+json", ".v0.9+json");
            hang(stored, published, text.as_bytes());
        },
    ),
    (
        "a bundle with a certificate, where keys alone count",
        "ForeignKey",
        |stored, published, key| {
            let made = bundle::sign(key, NAME, published).unwrap();
            let mut made: Value = serde_json::from_slice(&made).unwrap();
            made["verificationMaterial"] = json!({"certificate": {"rawBytes": "MAA="}});
            hang(stored, published, made.to_string().as_bytes());
        },
    ),
    (
        "a bundle for other bytes",
        "AlteredDigest",
        |stored, published, key| {
            let made = bundle::sign(key, NAME, &digest(b"other")).unwrap();
            hang(stored, published, &made);
        },
    ),
    (
        "two bundles in one",
        "MalformedSignature",
        |stored, published, key| {
            let made = bundle::sign(key, NAME, published).unwrap();
            let layer = stored.put_blob(bundle::MEDIA_TYPE, &made);
            hang_layers(stored, published, &[layer.clone(), layer]);
        },
    ),
    (
        "a bundle that the list names by its tag",
        "MalformedSignature",
        |stored, published, key| {
            let made = bundle::sign(key, NAME, published).unwrap();
            hang(stored, published, &made);
            let named = json!({"mediaType": media::MANIFEST, "digest": "1.0.0", "size": 1, "artifactType": bundle::MEDIA_TYPE});
            list(stored, &[named]);
        },
    ),
    (
        "a list that is none",
        "MalformedSignature",
        |stored, _, _| {
            stored.hand = Some(Box::new(move |_, seen| {
                seen.target
                    .contains("/referrers/")
                    .then(|| "<html>".into_response())
            }));
        },
    ),
];

#[tokio::test]
async fn every_bad_signature_is_refused_with_its_own_reason() {
    for (what, reason, change) in BAD {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        {
            let mut stored = bench.shared.lock().unwrap();
            unsign(&mut stored, &published);
            change(&mut stored, &published, &bench.key);
        }
        assert_eq!(bench.refusal(&bench.policy).await, reason, "{what}");
    }
}

#[tokio::test]
async fn nobody_can_spoil_the_good_signature_beside_theirs() {
    for (what, _, change) in BAD {
        if what == "by many other keys" {
            continue; // Too many are too many.
        }
        let bench = Bench::new().await;
        let published = bench.publish().await;
        let at = bench.reference("bp-x:1.0.0");
        {
            let mut stored = bench.shared.lock().unwrap();
            unsign(&mut stored, &published);
            change(&mut stored, &published, &bench.key);
        }
        // Signing keeps what is there, whatever it is.
        bench
            .anonymous()
            .sign_artifact(&at, &bench.key)
            .await
            .unwrap();
        bench
            .anonymous()
            .verify(&at, "catalog", &bench.policy)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[tokio::test]
async fn nobody_hides_the_good_signature_behind_many_of_theirs() {
    for is_bundle in [false, true] {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        {
            let mut stored = bench.shared.lock().unwrap();
            unsign(&mut stored, &published);
            let stranger = SigningKey::generate().unwrap();
            let keys = std::iter::repeat_n(&stranger, 40).chain([&bench.key]);
            let mut all = Vec::new();
            for (number, key) in keys.enumerate() {
                // Registries are mirrored; here it makes each one of its own.
                let name = format!("h{number}/catalog/bp-x");
                all.push(if is_bundle {
                    let made = bundle::sign(key, &name, &published).unwrap();
                    hang(&mut stored, &published, &made)
                } else {
                    layer(&mut stored, key, &name, &published)
                });
            }
            if is_bundle {
                list(&mut stored, &all);
            } else {
                put_layers(&mut stored, &published, &all);
            }
        }
        let at = bench.reference("bp-x:1.0.0");
        let verified = bench
            .anonymous()
            .verify(&at, "catalog", &bench.policy)
            .await
            .unwrap_or_else(|error| panic!("{is_bundle}: {error}"));
        assert_eq!(verified.signer, Signer::Key(bench.key.public().clone()));
    }
}

#[tokio::test]
async fn what_is_asked_for_one_verdict_is_bounded() {
    let asked = |bench: &Bench| {
        let stored = bench.shared.lock().unwrap();
        let asked = |part| stored.asked(&Method::GET, part);
        (asked("/manifests/sha256:"), asked("/blobs/"))
    };
    // Many that are small.
    let bench = Bench::new().await;
    let published = bench.publish().await;
    {
        let mut stored = bench.shared.lock().unwrap();
        unsign(&mut stored, &published);
        let stranger = SigningKey::generate().unwrap();
        let made = bundle::sign(&stranger, NAME, &published).unwrap();
        let one = hang(&mut stored, &published, &made);
        list(&mut stored, &vec![one; 3 * MAX_SIGNATURES]);
        stored.seen.clear();
    }
    assert_eq!(bench.refusal(&bench.policy).await, "TooManySignatures");
    assert_eq!(asked(&bench), (MAX_SIGNATURES, MAX_SIGNATURES));

    // Few that are large.
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let at = bench.reference("bp-x:1.0.0");
    let mut all = {
        let mut stored = bench.shared.lock().unwrap();
        unsign(&mut stored, &published);
        let size = usize::try_from(MAX_SIGNATURE).unwrap();
        let large = hang(&mut stored, &published, &vec![b' '; size]);
        let all = vec![large; 20];
        list(&mut stored, &all);
        stored.seen.clear();
        all
    };
    assert_eq!(bench.refusal(&bench.policy).await, "TooManySignatures");
    // Seven, and their manifests, are what may be read.
    assert_eq!(asked(&bench), (20, 7));
    // They keep nobody from a small one behind them.
    {
        let mut stored = bench.shared.lock().unwrap();
        let made = bundle::sign(&bench.key, NAME, &published).unwrap();
        all.push(hang(&mut stored, &published, &made));
        list(&mut stored, &all);
        stored.seen.clear();
    }
    bench
        .anonymous()
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
    assert_eq!(asked(&bench), (21, 1));
}

/// A body that goes on for ever, fast.
fn endless() -> Response {
    let zeros = Bytes::from_static(&[b' '; 64 * 1024]);
    Body::from_stream(stream::repeat(Ok::<_, Infallible>(zeros))).into_response()
}

/// A body that begins and then stands still.
fn stalled() -> Response {
    let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"{"))]);
    Body::from_stream(first.chain(stream::pending())).into_response()
}

/// A body that is shorter than it is said to be.
fn truncated() -> Response {
    let first = [Ok(Bytes::from_static(b"{")), Err(io::Error::other("gone"))];
    (
        [("content-length", "100")],
        Body::from_stream(stream::iter(first)),
    )
        .into_response()
}

#[tokio::test]
async fn a_registry_that_lies_truncates_or_never_ends_is_noticed() {
    let chart = package().blobs[1].descriptor.digest.clone();
    type Answer = fn() -> Response;
    let cases: [(&str, &str, Answer, &str); 8] = [
        (
            "manifest",
            "/manifests/1.0.0",
            endless,
            "longer than the 4194304 bytes",
        ),
        (
            "referrers",
            "/referrers/",
            endless,
            "longer than the 4194304 bytes",
        ),
        ("chart", &chart, endless, "bytes expected"),
        ("manifest", "/manifests/1.0.0", truncated, "did not answer"),
        ("chart", &chart, truncated, "did not answer"),
        ("chart", &chart, || "other".into_response(), "altered them"),
        (
            "chart",
            &chart,
            || StatusCode::BAD_GATEWAY.into_response(),
            "answered 502",
        ),
        (
            "signature",
            "/manifests/sha256-",
            || StatusCode::BAD_GATEWAY.into_response(),
            "answered 502",
        ),
    ];
    for (what, part, answer, said) in cases {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        let part = part.to_owned();
        if what == "referrers" {
            unsign(&mut bench.shared.lock().unwrap(), &published);
        }
        bench.by_hand(move |_, seen| seen.target.contains(&part).then(answer));
        let error = bench.pull_error(&bench.policy).await.to_string();
        assert!(error.contains(said), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_manifest_that_boasts_or_leads_elsewhere_is_refused_before_anything_is_read() {
    for (field, value, said) in [
        ("size", json!(u64::MAX), "more than the 134217728"),
        ("digest", json!("sha256:../../x"), "64 hexadecimal digits"),
        (
            "digest",
            json!("../../../v2/acme/bp-x/blobs/x"),
            "64 hexadecimal digits",
        ),
    ] {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        let at = bench.reference("bp-x:1.0.0");
        {
            let mut stored = bench.shared.lock().unwrap();
            let mut manifest: Value =
                serde_json::from_slice(stored.tag(&published).unwrap()).unwrap();
            for layer in manifest["layers"].as_array_mut().unwrap() {
                layer[field] = value.clone();
            }
            stored.put("1.0.0", &manifest);
        }
        // By somebody trusted, who should know better.
        bench
            .anonymous()
            .sign_artifact(&at, &bench.key)
            .await
            .unwrap();
        bench.shared.lock().unwrap().seen.clear();
        let error = bench.pull_error(&bench.policy).await.to_string();
        assert!(error.contains(said), "{field}: {error}");
        let stored = bench.shared.lock().unwrap();
        let layers = stored.seen.iter().filter(|seen| {
            seen.target.contains("x/blobs/")
                && !stored
                    .blobs
                    .contains_key(seen.target.rsplit('/').next().unwrap())
        });
        assert_eq!(layers.count(), 0);
    }
}

#[tokio::test]
async fn a_registry_that_does_not_answer_in_time_is_given_up() {
    let within = Duration::from_millis(200);
    // One that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap();
    let bench = Bench::new().await;
    bench.publish().await;
    let at = Reference::parse(&format!("{host}/catalog/bp-x:1.0.0")).unwrap();
    let error = bench
        .impatient(within)
        .manifest(&at, "1.0.0")
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error:?}");
    assert!(error.retryable());
    // One that begins to answer and stops.
    bench.by_hand(|_, seen| seen.target.contains("/manifests/").then(stalled));
    let at = bench.reference("bp-x:1.0.0");
    let error = bench
        .impatient(within)
        .verify(&at, "catalog", &bench.policy)
        .await;
    let error = error.unwrap_err();
    assert!(error.retryable(), "there is no verdict: {error}");
    assert!(error.to_string().contains("took too long"), "{error}");
    // One that answers each request in time, and the whole of them not.
    bench.by_hand(|_, seen| seen.target.contains("/manifests/sha256-").then(stalled));
    let registry = bench.anonymous().with_patience(Patience {
        verdict: within,
        ..Patience::default()
    });
    let error = registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("could not verify"), "{error}");
}

/// A stranger's server, which keeps what it was told.
async fn stranger(answer: fn(&str) -> Response) -> (String, Arc<Mutex<Vec<(String, HeaderMap)>>>) {
    let told: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
    let kept = told.clone();
    let router = Router::new().fallback(move |request: Request| {
        let path = request.uri().path().to_owned();
        let mut told = kept.lock().unwrap();
        told.push((path.clone(), request.headers().clone()));
        std::future::ready(answer(&path))
    });
    (listen(router).await, told)
}

fn redirect(to: &str) -> Response {
    (
        StatusCode::TEMPORARY_REDIRECT,
        [("location", to.to_owned())],
    )
        .into_response()
}

const PASSWORD: &str = "Basic dXNlcjpzZWNyZXQ=";

fn basic() -> Credentials {
    Credentials::Basic {
        username: "user".into(),
        password: "secret".into(),
    }
}

#[tokio::test]
async fn a_redirect_takes_no_password_along() {
    // The stranger asks for one, too, and says where it may be brought.
    let (elsewhere, told) = stranger(|path| match path {
        "/token" => axum::Json(json!({"token": "t"})).into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await;
    let challenge = format!("Bearer realm=\"http://{elsewhere}/token\"");
    let (far, far_told) = stranger(|_| StatusCode::OK.into_response()).await;
    let asking = {
        let router = Router::new().fallback(move || {
            let challenge = challenge.clone();
            async move { (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]) }
        });
        listen(router).await
    };
    let bench = Bench::new().await;
    bench.publish().await;
    let at = bench.reference("bp-x:1.0.0");
    bench.shared.lock().unwrap().password = Some(PASSWORD);
    for to in [far, asking] {
        let target = format!("http://{to}/x");
        bench.by_hand(move |_, seen| {
            (seen.target.contains("/manifests/1.0.0")).then(|| redirect(&target))
        });
        let pulled = bench
            .registry(basic())
            .pull(&at, "catalog", &bench.policy)
            .await;
        assert!(pulled.is_err());
    }
    let far_told = far_told.lock().unwrap();
    assert_eq!(far_told.len(), 1, "the redirect is followed");
    assert!(!far_told[0].1.contains_key("authorization"));
    assert_eq!(told.lock().unwrap().len(), 0, "no token is asked for there");
    // The registry itself did get the password.
    let stored = bench.shared.lock().unwrap();
    let last = stored.seen.last().unwrap();
    assert_eq!(last.header("authorization"), PASSWORD);
}

#[tokio::test]
async fn blobs_that_lie_elsewhere_are_fetched_without_the_password() {
    let bench = Bench::new().await;
    bench.publish().await;
    bench.shared.lock().unwrap().password = Some(PASSWORD);
    let shared: Shared = bench.shared.clone();
    let told: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let kept = told.clone();
    let router = Router::new().fallback(move |request: Request| {
        kept.lock().unwrap().push(request.headers().clone());
        let named = request.uri().path().trim_start_matches('/').to_owned();
        let bytes = shared.lock().unwrap().blobs.get(&named).cloned();
        std::future::ready(bytes.map_or(
            StatusCode::NOT_FOUND.into_response(),
            IntoResponse::into_response,
        ))
    });
    let store = listen(router).await;
    bench.by_hand(move |_, seen| {
        let (_, named) = seen.target.split_once("/blobs/")?;
        Some(redirect(&format!("http://{store}/{named}")))
    });
    let at = bench.reference("bp-x:1.0.0");
    bench
        .registry(basic())
        .pull(&at, "catalog", &bench.policy)
        .await
        .unwrap();
    let told = told.lock().unwrap();
    assert!(told.len() >= 3, "a signature, blueprint.yaml, a chart");
    assert!(
        told.iter()
            .all(|headers| !headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn an_upload_that_is_sent_elsewhere_takes_no_password_along() {
    let (store, told) = stranger(|_| StatusCode::CREATED.into_response()).await;
    let bench = Bench::new().await;
    bench.shared.lock().unwrap().password = Some(PASSWORD);
    bench.by_hand(move |_, seen| {
        (seen.method == Method::POST).then(|| {
            let location = format!("http://{store}/upload");
            (StatusCode::ACCEPTED, [("location", location)]).into_response()
        })
    });
    let at = bench.reference("bp-x:1.0.0");
    let blob = &package().blobs[0];
    bench.registry(basic()).push_blob(&at, blob).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert!(!told[0].1.contains_key("authorization"));
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let bench = Bench::new().await;
    bench.publish().await;
    bench.by_hand(|_, seen| {
        seen.target
            .contains("/manifests/1.0.0")
            .then(|| redirect(&seen.target))
    });
    let error = bench.pull_error(&bench.policy).await.to_string();
    assert!(error.contains("from one address to the next"), "{error}");
}

#[tokio::test]
async fn whatever_fails_on_the_way_leaves_no_version_behind() {
    let all = {
        let bench = Bench::new().await;
        bench.publish().await;
        let stored = bench.shared.lock().unwrap();
        stored
            .seen
            .iter()
            .filter(|seen| seen.method == Method::PUT)
            .count()
    };
    assert!(all > 10, "blobs, manifests, signatures, documents: {all}");
    for broken in 0..all {
        let bench = Bench::new().await;
        let mut puts = 0;
        bench.by_hand(move |_, seen| {
            if seen.method != Method::PUT {
                return None;
            }
            puts += 1;
            (puts > broken).then(|| StatusCode::INSUFFICIENT_STORAGE.into_response())
        });
        let registry = bench.impatient(Duration::from_secs(10));
        let error = match bench.publish_with(&registry).await {
            Err(VerifyError::Registry(error)) => error.to_string(),
            other => panic!("{other:?} after {broken}"),
        };
        assert!(error.contains("507"), "{error}");
        let stored = bench.shared.lock().unwrap();
        assert!(stored.tag("1.0.0").is_none(), "after {broken}");
    }
}

#[tokio::test]
async fn what_a_registry_says_cannot_dress_up_as_something_else() {
    let bench = Bench::new().await;
    bench.by_hand(|_, _| {
        let body =
            json!({"errors": [{"message": format!("\u{1b}[2Jall is well\n{}", "x".repeat(5000))}]});
        Some((StatusCode::FORBIDDEN, axum::Json(body)).into_response())
    });
    let error = bench.pull_error(&TrustPolicy::new()).await.to_string();
    assert!(
        error.contains("no signer is trusted"),
        "asked before the registry is: {error}"
    );
    let error = bench.pull_error(&bench.policy).await.to_string();
    assert!(!error.contains(['\u{1b}', '\n']), "{error:?}");
    assert!(error.len() < 600, "{}", error.len());
}

#[tokio::test]
async fn no_more_is_read_of_documents_than_is_let_into_memory() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    {
        let mut stored = bench.shared.lock().unwrap();
        for version in 0..3 {
            let document = json!({"bomFormat": "CycloneDX", "version": version});
            let mut bytes = document.to_string().into_bytes();
            bytes.resize(30 << 20, b' ');
            let layer = stored.put_blob(media::CYCLONEDX, &bytes);
            let config = stored.put_blob(media::EMPTY, b"{}");
            let manifest = json!({
                "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": media::CYCLONEDX,
                "config": config, "layers": [layer],
                "subject": {"mediaType": media::MANIFEST, "digest": published, "size": 1},
            });
            stored.put(&format!("bill-{version}"), &manifest);
        }
    }
    let at = bench.reference("bp-x:1.0.0");
    let nobody = Signers::default();
    let found = bench.anonymous().documents(&at, &published, &nobody).await;
    // The two that were published, and two of those three.
    assert_eq!(found.unwrap().len(), 4);
}
