//! The whole road against a small registry that runs inside the test. Control
//! crates may not depend on the embedded registry, so it is written here, with
//! just the protocol's behaviour and a hand to alter what it stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use catalyst_signature::{SigningKey, TrustPolicy};
use catalyst_supply::{
    Credentials, Entry, Origin, PackOptions, Package, Reference, Registry, VerifyError, digest,
    image, media, pack,
};
use serde_json::{Value, json};

#[derive(Default)]
struct Stored {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<(String, String), Vec<u8>>,
    lists_referrers: bool,
    password: Option<&'static str>,
    token_realm: Option<String>,
}

type Shared = Arc<Mutex<Stored>>;

async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut stored = shared.lock().unwrap();
    let path = parts.uri.path().to_owned();
    let authorization = parts
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    if path == "/token" {
        // "user:secret" in base64.
        return if authorization == "Basic dXNlcjpzZWNyZXQ=" {
            axum::Json(json!({"token": "good-token"})).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        };
    }
    if let Some(realm) = &stored.token_realm
        && authorization != "Bearer good-token"
    {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"");
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    if stored
        .password
        .is_some_and(|expected| authorization != expected)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    answer(&mut stored, &parts.method, &path, parts.uri.query(), body)
}

fn answer(
    stored: &mut Stored,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: Bytes,
) -> Response {
    let rest = path.strip_prefix("/v2/").unwrap();
    if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
        if *method == Method::POST {
            let location = format!("/v2/{repository}/blobs/uploads/1?state=a");
            return (StatusCode::ACCEPTED, [("location", location)]).into_response();
        }
        let query = query.unwrap();
        assert!(
            query.starts_with("state=a&"),
            "the upload's own query is kept"
        );
        let named = query.rsplit_once("digest=").unwrap().1.replace("%3A", ":");
        if digest(&body) != named {
            return StatusCode::BAD_REQUEST.into_response();
        }
        stored.blobs.insert(named, body.to_vec());
        return StatusCode::CREATED.into_response();
    }
    if let Some((_, named)) = rest.split_once("/blobs/") {
        return match stored.blobs.get(named) {
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    if let Some((repository, subject)) = rest.split_once("/referrers/") {
        if !stored.lists_referrers {
            return StatusCode::NOT_FOUND.into_response();
        }
        let mut seen = BTreeMap::new();
        for ((own, _), bytes) in &stored.manifests {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            if own == repository && value["subject"]["digest"] == subject {
                seen.insert(
                    digest(bytes),
                    json!({"mediaType": media::MANIFEST, "digest": digest(bytes), "size": bytes.len(), "artifactType": value["artifactType"]}),
                );
            }
        }
        let list: Vec<Value> = seen.into_values().collect();
        return axum::Json(
            json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": list}),
        )
        .into_response();
    }
    let (repository, target) = rest.split_once("/manifests/").unwrap();
    if *method == Method::PUT {
        let has_subject = serde_json::from_slice::<Value>(&body)
            .unwrap()
            .get("subject")
            .is_some();
        for target in [target.to_owned(), digest(&body)] {
            stored
                .manifests
                .insert((repository.to_owned(), target), body.to_vec());
        }
        return if has_subject && stored.lists_referrers {
            (StatusCode::CREATED, [("OCI-Subject", "yes")]).into_response()
        } else {
            StatusCode::CREATED.into_response()
        };
    }
    match stored
        .manifests
        .get(&(repository.to_owned(), target.to_owned()))
    {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

struct Bench {
    host: String,
    shared: Shared,
    key: SigningKey,
    policy: TrustPolicy,
}

impl Bench {
    async fn new() -> Self {
        // The second test in this process finds a provider already there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let shared: Shared = Arc::default();
        shared.lock().unwrap().lists_referrers = true;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let key = SigningKey::generate().unwrap();
        let mut policy = TrustPolicy::new();
        policy.trust("catalog", key.public().clone());
        Self {
            host,
            shared,
            key,
            policy,
        }
    }

    fn registry(&self, credentials: Credentials) -> Registry {
        Registry::new(reqwest::Client::new(), credentials)
    }

    fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/catalog/{rest}", self.host)).unwrap()
    }

    async fn publish(&self) -> String {
        self.registry(Credentials::Anonymous)
            .publish(
                &format!("{}/catalog", self.host),
                &package(),
                &self.key,
                &Origin::default(),
            )
            .await
            .unwrap()
            .digest
    }

    async fn refusal(&self, policy: &TrustPolicy) -> &'static str {
        let result = self
            .registry(Credentials::Anonymous)
            .pull(&self.reference("bp-x:1.0.0"), "catalog", policy)
            .await;
        match result {
            Err(VerifyError::Refused(refusal)) => refusal.reason(),
            other => panic!("{other:?} is no refusal"),
        }
    }
}

fn folder() -> BTreeMap<String, Vec<u8>> {
    [
        ("blueprint.yaml", "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-x}\nspec:\n  version: 1.0.0\n  card: {title: X, license: Apache-2.0, tagline: An X, icon: card/icon.svg}\n  manifests: {source: {kind: HelmChart}}\n"),
        ("README.md", "# X\n"),
        ("card/icon.svg", "<svg/>"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: bp-x\nversion: 1.0.0\n"),
        ("chart/values.yaml", "image:\n  repository: ghcr.io/openova-io/x\n  tag: 1.0.0\n  digest: \"\"\n"),
        ("chart/templates/a.yaml", "kind: ConfigMap\n"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect()
}

fn package() -> Package {
    let pinned = format!("sha256:{}", "1".repeat(64));
    let options = PackOptions {
        images: BTreeMap::from([("ghcr.io/openova-io/x:1.0.0".to_owned(), pinned)]),
        ..PackOptions::default()
    };
    pack(&folder(), &options).unwrap()
}

#[test]
fn the_same_folder_gives_the_same_artifact_in_the_form_helm_takes() {
    let (one, two) = (package(), package());
    assert_eq!(one.manifest.bytes, two.manifest.bytes);
    let manifest: Value = serde_json::from_slice(&one.manifest.bytes).unwrap();
    assert_eq!(manifest["config"]["mediaType"], media::HELM_CONFIG);
    let kinds: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["mediaType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, [media::HELM_CHART, media::BLUEPRINT, media::CARD]);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.title"],
        "bp-x"
    );
    assert_eq!(
        one.images,
        [format!(
            "ghcr.io/openova-io/x:1.0.0@sha256:{}",
            "1".repeat(64)
        )]
    );
    let mut files = folder();
    files.remove("chart/Chart.yaml");
    assert!(
        pack(&files, &PackOptions::default())
            .unwrap_err()
            .to_string()
            .contains("Chart.yaml is missing")
    );
}

#[tokio::test]
async fn what_is_published_is_verified_and_pulled_again() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    let pulled = registry.pull(&at, "catalog", &bench.policy).await.unwrap();
    assert_eq!(pulled.verified.digest, published);
    assert_eq!(&pulled.verified.signer, bench.key.public());
    assert_eq!(pulled.blueprint.name(), "bp-x");
    assert!(pulled.manifests.contains_key("bp-x/Chart.yaml"));
    let values = String::from_utf8(pulled.manifests["bp-x/values.yaml"].clone()).unwrap();
    assert!(
        values.contains(&"1".repeat(64)),
        "the image is pinned: {values}"
    );
    assert_eq!(pulled.card["card/icon.svg"], b"<svg/>");
    let documents = registry.documents(&at, &published).await.unwrap();
    assert_eq!(documents[0].0, media::SPDX);
    assert_eq!(documents[1].1["specVersion"], "1.6");
}

#[tokio::test]
async fn what_is_admitted_was_verified_and_is_found_again_by_digest() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let admitted = registry
        .admit(&bench.host, "catalog", "bp-x", "1.0.0", &bench.policy)
        .await
        .unwrap();
    assert_eq!(admitted.digest, published);
    assert_eq!(admitted.repository, "catalog/bp-x");
    assert_eq!(admitted.signer, bench.key.public().fingerprint());
    assert_eq!(admitted.icon.as_deref(), Some("<svg/>"));
    assert_eq!(admitted.description.as_deref(), Some("# X\n"));
    let again = registry
        .manifests_by_digest(&bench.host, &admitted.repository, &admitted.digest)
        .await
        .unwrap();
    assert_eq!(again, admitted.manifests);
    // Trust in one source is none in another, and none at all admits nothing.
    for (source, policy) in [("acme", &bench.policy), ("catalog", &TrustPolicy::new())] {
        let refused = registry
            .admit(&bench.host, source, "bp-x", "1.0.0", policy)
            .await;
        assert!(matches!(refused, Err(VerifyError::Refused(_))), "{source}");
    }
}

#[tokio::test]
async fn either_form_of_signature_is_enough_and_none_is_refused() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let tag = format!("{}.sig", published.replacen(':', "-", 1));
    let key = ("catalog/bp-x".to_owned(), tag);
    let simple = bench.shared.lock().unwrap().manifests.remove(&key).unwrap();
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
    bench.shared.lock().unwrap().lists_referrers = false;
    assert_eq!(bench.refusal(&bench.policy).await, "Unsigned");
    bench.shared.lock().unwrap().manifests.insert(key, simple);
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_registry_without_a_list_of_referrers_gets_them_by_tag() {
    let bench = Bench::new().await;
    bench.shared.lock().unwrap().lists_referrers = false;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let at = bench.reference("bp-x:1.0.0");
    let referrers = registry.referrers(&at, &published).await.unwrap();
    assert_eq!(referrers.len(), 4, "signature, two SBOMs, provenance");
    let tag = format!("{}.sig", published.replacen(':', "-", 1));
    bench
        .shared
        .lock()
        .unwrap()
        .manifests
        .remove(&("catalog/bp-x".to_owned(), tag));
    registry
        .verify(&at, "catalog", &bench.policy)
        .await
        .unwrap();
}

#[tokio::test]
async fn foreign_altered_and_untrusted_artifacts_are_refused_by_name() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let mut foreign = TrustPolicy::new();
    foreign.trust("catalog", SigningKey::generate().unwrap().public().clone());
    assert_eq!(bench.refusal(&foreign).await, "ForeignKey");
    assert_eq!(bench.refusal(&TrustPolicy::new()).await, "UntrustedSource");
    // Somebody replaces the artifact and takes the old signature along.
    {
        let mut stored = bench.shared.lock().unwrap();
        let own = |target: &str| ("catalog/bp-x".to_owned(), target.to_owned());
        let mut manifest: Value = serde_json::from_slice(&stored.manifests[&own("1.0.0")]).unwrap();
        manifest["annotations"]["evil"] = json!("yes");
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let signature =
            stored.manifests[&own(&format!("{}.sig", published.replacen(':', "-", 1)))].clone();
        let altered = digest(&bytes);
        stored.manifests.insert(own("1.0.0"), bytes);
        stored.manifests.insert(
            own(&format!("{}.sig", altered.replacen(':', "-", 1))),
            signature,
        );
    }
    assert_eq!(bench.refusal(&bench.policy).await, "AlteredDigest");
}

#[tokio::test]
async fn altered_blobs_and_manifests_are_noticed() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let registry = bench.registry(Credentials::Anonymous);
    let chart = package().blobs[1].descriptor.digest.clone();
    {
        let mut stored = bench.shared.lock().unwrap();
        let bytes = stored.blobs.get_mut(&chart).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        stored.manifests.insert(
            ("catalog/bp-x".to_owned(), published.clone()),
            b"{}".to_vec(),
        );
    }
    let by_tag = registry
        .pull(&bench.reference("bp-x:1.0.0"), "catalog", &bench.policy)
        .await;
    assert!(by_tag.unwrap_err().to_string().contains("altered"));
    let by_digest = bench.reference(&format!("bp-x@{published}"));
    let result = registry.verify(&by_digest, "catalog", &bench.policy).await;
    assert!(result.unwrap_err().to_string().contains("altered"));
}

#[tokio::test]
async fn basic_and_token_sign_in_work_and_refusals_say_what_to_do() {
    let bench = Bench::new().await;
    let basic = Credentials::Basic {
        username: "user".into(),
        password: "secret".into(),
    };
    let at = bench.reference("bp-x:1.0.0");
    bench.shared.lock().unwrap().password = Some("Basic dXNlcjpzZWNyZXQ=");
    let image = image::build(
        &[vec![Entry::file("a", "1")]],
        &image::ImageConfig::default(),
    )
    .unwrap();
    image
        .push(&bench.registry(basic.clone()), &at)
        .await
        .unwrap();
    let refused = image
        .push(&bench.registry(Credentials::Anonymous), &at)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("sign in"), "{refused}");
    assert!(!refused.retryable());
    {
        let mut stored = bench.shared.lock().unwrap();
        stored.password = None;
        stored.token_realm = Some(format!("http://{}/token", bench.host));
    }
    image.push(&bench.registry(basic), &at).await.unwrap();
    assert!(
        image
            .push(&bench.registry(Credentials::Anonymous), &at)
            .await
            .is_err()
    );
}

#[test]
fn an_image_is_the_same_every_time_and_survives_its_tar() {
    let entries = vec![
        Entry::program("bin/app", "#!"),
        Entry::file("etc/passwd", "root"),
    ];
    let config = image::ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        ..Default::default()
    };
    let one = image::build(std::slice::from_ref(&entries), &config).unwrap();
    let two = image::build(&[entries.into_iter().rev().collect()], &config).unwrap();
    assert_eq!(one.digest(), two.digest());
    let tar = one.to_tar().unwrap();
    let again = image::Image::from_tar(&tar).unwrap();
    assert_eq!(again.digest(), one.digest());
    assert_eq!(again.blobs, one.blobs);
    let mut broken = tar;
    let position = broken
        .windows(2)
        .position(|pair| pair == [0x1f, 0x8b])
        .unwrap();
    broken[position + 12] ^= 1;
    assert!(image::Image::from_tar(&broken).is_err());
}
