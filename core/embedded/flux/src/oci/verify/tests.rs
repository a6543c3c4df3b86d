//! Signatures beside each other, as a registry serves them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalyst_signature::SigningKey;
use http::{StatusCode, Uri};
use serde_json::json;

use super::*;
use crate::json::digest;

const MANIFEST: &[u8] = br#"{"schemaVersion": 2, "layers": []}"#;
const NAME: &str = "charts/web";

/// Path below the repository → status and content.
type Files = Arc<Mutex<BTreeMap<String, (u16, Vec<u8>)>>>;

/// What may lie beside a manifest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Good,
    /// By a key that nobody trusts.
    Foreign,
    /// By the trusted key, of other bytes.
    OfOthers,
    /// No signature at all.
    Unreadable,
    /// Its bytes are not there.
    Lost,
    /// Its bytes are others than its digest says.
    Altered,
    /// It is not named by a digest.
    Nameless,
    /// It says to be larger than anything that is read.
    Large,
    /// The registry does not answer for it.
    Away,
}

/// Those that do not count, and a word of why not.
const BAD: [(Kind, &str); 7] = [
    (Kind::Foreign, "no trusted key made its signature"),
    (Kind::OfOthers, "it was altered after it was signed"),
    (Kind::Unreadable, "its signature cannot be read"),
    (Kind::Lost, "the registry answered 404"),
    (Kind::Altered, "its digest is"),
    (Kind::Nameless, "it is not named by a digest"),
    (Kind::Large, "are read"),
];

struct World {
    files: Files,
    repository: Repository,
    key: SigningKey,
    foreign: SigningKey,
}

async fn serve(State(files): State<Files>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches("/v2/charts/web/");
    let found = files.lock().unwrap().get(path).cloned();
    let (status, content) = found.unwrap_or((404, Vec::new()));
    (StatusCode::from_u16(status).unwrap(), content).into_response()
}

impl World {
    async fn new() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let files = Files::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("oci://{}/{NAME}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&files));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let repository = Repository::new(http, &url, true, Duration::from_secs(10)).unwrap();
        Self {
            files,
            repository,
            key: SigningKey::generate().unwrap(),
            foreign: SigningKey::generate().unwrap(),
        }
    }

    /// Serves content under its digest, as a good registry does, or not.
    fn put(&self, folder: &str, content: Vec<u8>, kind: Kind) -> Value {
        let size = if kind == Kind::Large {
            MAX_SIGNATURE + 1
        } else {
            content.len()
        };
        let name = digest(&content);
        let (status, content) = match kind {
            Kind::Lost => (404, Vec::new()),
            Kind::Away => (503, Vec::new()),
            Kind::Altered => (200, b"other".to_vec()),
            _ => (200, content),
        };
        let mut files = self.files.lock().unwrap();
        files.insert(format!("{folder}/{name}"), (status, content));
        let named = match kind {
            Kind::Nameless => "sha256:../../../elsewhere",
            _ => name.as_str(),
        };
        json!({"digest": named, "size": size})
    }

    /// What is signed, by whom.
    fn of(&self, kind: Kind) -> (&SigningKey, String) {
        match kind {
            Kind::Foreign => (&self.foreign, digest(MANIFEST)),
            Kind::OfOthers => (&self.key, digest(b"others")),
            _ => (&self.key, digest(MANIFEST)),
        }
    }

    /// Serves the tag of these signatures, and the list of these bundles.
    fn lay(&self, subject: &str, layers: &[Value], manifests: &[Value]) {
        let mut files = self.files.lock().unwrap();
        if !layers.is_empty() {
            let manifest = json!({"layers": layers}).to_string().into_bytes();
            let tag = simple::signature_tag(subject);
            files.insert(format!("manifests/{tag}"), (200, manifest));
        }
        let index = json!({"manifests": manifests}).to_string().into_bytes();
        files.insert(format!("referrers/{subject}"), (200, index));
    }

    /// Lays signatures beside the manifest, in the tag's form and as bundles, and asks.
    async fn verified(&self, tagged: &[Kind], bundled: &[Kind]) -> Result<String, VerifyError> {
        // Registries are mirrored; here it makes each payload one of its own.
        let reference = |kind: &Kind| format!("{kind:?}.example/{NAME}");
        let subject = digest(MANIFEST);
        self.files.lock().unwrap().clear();
        let layers: Vec<Value> = tagged
            .iter()
            .map(|kind| {
                let (key, of) = self.of(*kind);
                let made = simple::sign(key, &reference(kind), &of).unwrap();
                let mut layer = self.put("blobs", made.payload, *kind);
                let signature = match kind {
                    Kind::Unreadable => "?".to_owned(),
                    _ => made.signature,
                };
                layer["annotations"] = json!({simple::SIGNATURE_ANNOTATION: signature});
                layer
            })
            .collect();
        let manifests: Vec<Value> = bundled
            .iter()
            .map(|kind| {
                let (key, of) = self.of(*kind);
                let made = match kind {
                    Kind::Unreadable => b"{}".to_vec(),
                    _ => bundle::sign(key, &reference(kind), &of).unwrap(),
                };
                let layer = self.put("blobs", made, *kind);
                let manifest = json!({"layers": [layer]}).to_string().into_bytes();
                let mut referrer = self.put("manifests", manifest, Kind::Good);
                referrer["artifactType"] = json!(bundle::MEDIA_TYPE);
                referrer
            })
            .collect();
        self.lay(&subject, &layers, &manifests);
        let keys = [self.key.public().clone()];
        verify(&self.repository, MANIFEST, &subject, &keys).await
    }
}

#[tokio::test]
async fn one_good_signature_is_enough_whatever_lies_beside_it() {
    let world = World::new().await;
    let fingerprint = world.key.public().fingerprint();
    let bad = BAD.iter().map(|(kind, _)| *kind).chain([Kind::Away]);
    for kind in bad {
        let (before, after) = ([kind, Kind::Good], [Kind::Good, kind]);
        for (tagged, bundled) in [
            (&before[..], &[][..]),
            (&after, &[]),
            (&[], &before),
            (&[], &after),
            (&[kind], &[Kind::Good]),
            (&[Kind::Good], &[kind]),
        ] {
            let found = world.verified(tagged, bundled).await;
            let what = format!("{tagged:?} and {bundled:?}: {found:?}");
            assert!(found.is_ok_and(|signer| signer == fingerprint), "{what}");
        }
    }
    // The tag is no manifest at all.
    world.verified(&[], &[Kind::Good]).await.unwrap();
    let tag = simple::signature_tag(&digest(MANIFEST));
    let broken = (200, b"no manifest".to_vec());
    let path = format!("manifests/{tag}");
    world.files.lock().unwrap().insert(path, broken);
    let keys = [world.key.public().clone()];
    let subject = digest(MANIFEST);
    let found = verify(&world.repository, MANIFEST, &subject, &keys).await;
    assert_eq!(found.unwrap(), fingerprint);
}

#[tokio::test]
async fn without_a_good_one_it_is_refused_with_every_reason() {
    let world = World::new().await;
    let told = |found: Result<String, VerifyError>| match found {
        Err(error @ VerifyError::Refused(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = told(world.verified(&[], &[]).await);
    assert!(text.contains("it carries no signature"), "{text}");
    for (kind, reason) in BAD {
        for (tagged, bundled) in [(&[kind][..], &[][..]), (&[], &[kind])] {
            let text = told(world.verified(tagged, bundled).await);
            assert!(text.contains(reason), "{kind:?}: {text}");
        }
    }
    let all: Vec<Kind> = BAD.iter().map(|(kind, _)| *kind).collect();
    let text = told(world.verified(&all, &all).await);
    for (_, reason) in BAD {
        assert!(text.contains(reason), "{reason} in {text}");
    }
    assert!(text.starts_with("refused web: it was altered"), "{text}");
    // The same reason is told once, and what is too much is said.
    let text = told(world.verified(&[Kind::Foreign; 40], &[]).await);
    assert_eq!(text.matches("no trusted key").count(), 1, "{text}");
    assert!(text.contains("it carries 40 signatures"), "{text}");
    // What could not be asked for might be good.
    for other in [Kind::Foreign, Kind::Lost] {
        let found = world.verified(&[Kind::Away, other], &[]).await;
        assert!(matches!(found, Err(VerifyError::Pull(_))), "{found:?}");
    }
}
