//! Signatures beside each other, as a registry serves them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalyst_signature::{Identity, IdentityFields, MAX_SIGNATURES, SigningKey, TrustedRoot};
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
    /// How many blobs were asked for.
    blobs: Arc<AtomicUsize>,
    repository: Repository,
    key: SigningKey,
    foreign: SigningKey,
}

async fn serve(State((files, blobs)): State<(Files, Arc<AtomicUsize>)>, uri: Uri) -> Response {
    // Whatever the repository is called.
    let path = uri.path().trim_start_matches("/v2/").splitn(3, '/').nth(2);
    let path = path.unwrap_or_default();
    if path.starts_with("blobs/") {
        blobs.fetch_add(1, Ordering::Relaxed);
    }
    let found = files.lock().unwrap().get(path).cloned();
    let (status, content) = found.unwrap_or((404, Vec::new()));
    (StatusCode::from_u16(status).unwrap(), content).into_response()
}

impl World {
    async fn new() -> Self {
        Self::of_repository(NAME).await
    }

    async fn of_repository(name: &str) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let files = Files::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("oci://{}/{name}", listener.local_addr().unwrap());
        let blobs = Arc::new(AtomicUsize::new(0));
        let state = (Arc::clone(&files), Arc::clone(&blobs));
        let router = Router::new().fallback(serve).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let repository = Repository::new(http, &url, true, Duration::from_secs(10)).unwrap();
        Self {
            files,
            blobs,
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
            u64::try_from(content.len()).unwrap()
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

    /// Serves a signature in the tag's form; its layer.
    fn tagged(&self, kind: Kind) -> Value {
        let (key, of) = self.of(kind);
        let made = simple::sign(key, &reference(kind), &of).unwrap();
        let mut layer = self.put("blobs", made.payload, kind);
        let signature = match kind {
            Kind::Unreadable => "?".to_owned(),
            _ => made.signature,
        };
        layer["annotations"] = json!({simple::SIGNATURE_ANNOTATION: signature});
        layer
    }

    /// Serves one as a bundle; what the list says of it.
    fn bundled(&self, kind: Kind) -> Value {
        let (key, of) = self.of(kind);
        let made = match kind {
            Kind::Unreadable => b"{}".to_vec(),
            _ => bundle::sign(key, &reference(kind), &of).unwrap(),
        };
        let layer = self.put("blobs", made, kind);
        let manifest = json!({"layers": [layer]}).to_string().into_bytes();
        let mut referrer = self.put("manifests", manifest, Kind::Good);
        referrer["artifactType"] = json!(bundle::MEDIA_TYPE);
        referrer
    }

    async fn verify(&self) -> Result<String, VerifyError> {
        let signers = Signers::of_keys([self.key.public()]);
        verify(&self.repository, MANIFEST, &digest(MANIFEST), &signers)
            .await
            .map(|signer| signer.to_string())
    }

    /// Lays signatures beside the manifest, in the tag's form and as bundles, and asks.
    async fn verified(&self, tagged: &[Kind], bundled: &[Kind]) -> Result<String, VerifyError> {
        self.files.lock().unwrap().clear();
        let layers: Vec<Value> = tagged.iter().map(|kind| self.tagged(*kind)).collect();
        let manifests: Vec<Value> = bundled.iter().map(|kind| self.bundled(*kind)).collect();
        self.lay(&digest(MANIFEST), &layers, &manifests);
        self.verify().await
    }
}

/// Registries are mirrored; here it makes each payload one of its own.
fn reference(kind: Kind) -> String {
    format!("{kind:?}.example/{NAME}")
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
    let broken = (200, b"no manifest".to_vec());
    world.files.lock().unwrap().insert(tag_path(), broken);
    assert_eq!(world.verify().await.unwrap(), fingerprint);
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
    // The same reason is told once, and of many only some.
    let text = told(world.verified(&[Kind::Foreign; 40], &[]).await);
    assert_eq!(text.matches("no trusted key").count(), 1, "{text}");
    let lost = world.verified(&[], &[Kind::Lost; 2 * MAX_REASONS]).await;
    let text = told(lost);
    assert_eq!(text.matches("answered 404").count(), MAX_REASONS, "{text}");
    assert!(text.ends_with("and 16 more reasons of this kind"), "{text}");
    // What could not be asked for might be good.
    for other in [Kind::Foreign, Kind::Lost] {
        let found = world.verified(&[Kind::Away, other], &[]).await;
        assert!(matches!(found, Err(VerifyError::Pull(_))), "{found:?}");
    }
}

/// What `catalyst_signature` keeps for its own tests.
fn keyless(path: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../logic/signature/tests/keyless"
    );
    std::fs::read(format!("{folder}/{path}")).unwrap()
}

#[tokio::test]
async fn who_signed_by_a_certificate_is_asked_in_both_forms() {
    let world = World::of_repository("catalog/bp-guestbook").await;
    let root = String::from_utf8(keyless("trusted_root.json")).unwrap();
    let root = TrustedRoot::from_json(&root).unwrap();
    let identities = [Identity::new(IdentityFields {
        subject_regexp: Some("^https://github\\.com/acme/"),
        issuer_regexp: Some("^https://token\\."),
        ..IdentityFields::default()
    })
    .unwrap()];
    let signers = Signers::of_identities(&root, &identities);
    let manifest = keyless("manifest.json");
    let subject = digest(&manifest);
    for (case, said) in [
        ("good", None),
        ("other-subject", Some("is not trusted")),
        ("after-expiry", Some("not valid when it was signed")),
    ] {
        let payload = keyless(&format!("simple-{case}/payload.json"));
        let mut layer = world.put("blobs", payload, Kind::Good);
        let annotations = keyless(&format!("simple-{case}/annotations.json"));
        layer["annotations"] = serde_json::from_slice(&annotations).unwrap();
        let bundle = keyless(&format!("statement-{case}/bundle.json"));
        let bundle = json!({"layers": [world.put("blobs", bundle, Kind::Good)]});
        let bundle = bundle.to_string().into_bytes();
        let mut referrer = world.put("manifests", bundle, Kind::Good);
        referrer["artifactType"] = json!(bundle::MEDIA_TYPE);
        for (layers, manifests) in [(vec![layer], Vec::new()), (Vec::new(), vec![referrer])] {
            let tag = format!("manifests/{}", simple::signature_tag(&subject));
            world.files.lock().unwrap().remove(&tag);
            world.lay(&subject, &layers, &manifests);
            let found = verify(&world.repository, &manifest, &subject, &signers).await;
            match said {
                None => {
                    let signer = found.unwrap();
                    assert!(matches!(&signer, Signer::Identity { .. }), "{signer}");
                }
                Some(said) => {
                    let text = found.unwrap_err().to_string();
                    assert!(text.contains(said), "{case}: {text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_hides_the_good_one_behind_many_of_theirs() {
    let world = World::new().await;
    let fingerprint = world.key.public().fingerprint();
    let mut all = vec![Kind::Foreign; 40];
    all.push(Kind::Good);
    for (tagged, bundled) in [(&all[..], &[][..]), (&[][..], &all[..])] {
        let found = world.verified(tagged, bundled).await;
        assert_eq!(found.unwrap(), fingerprint);
    }
}

#[tokio::test]
async fn what_is_asked_for_one_verdict_is_bounded() {
    let world = World::new().await;
    let subject = digest(MANIFEST);
    let asked = || world.blobs.swap(0, Ordering::Relaxed);
    let told = |found: Result<String, VerifyError>| found.unwrap_err().to_string();
    // Many that are small, in either form.
    let (layer, referrer) = (world.tagged(Kind::Foreign), world.bundled(Kind::Foreign));
    for (layers, manifests) in [
        (vec![layer; 3 * MAX_SIGNATURES], Vec::new()),
        (Vec::new(), vec![referrer; 3 * MAX_SIGNATURES]),
    ] {
        world.files.lock().unwrap().remove(&tag_path());
        world.lay(&subject, &layers, &manifests);
        let text = told(world.verify().await);
        assert!(text.contains("it carries 3000 signatures"), "{text}");
        assert!(text.contains("none of the 1000"), "{text}");
        assert_eq!(asked(), MAX_SIGNATURES);
    }
    world.files.lock().unwrap().remove(&tag_path());

    // Few that are large: seven, and the manifests, are what may be read.
    let size = usize::try_from(MAX_SIGNATURE).unwrap();
    let large = world.put("blobs", vec![b' '; size], Kind::Good);
    let manifest = json!({"layers": [large]}).to_string().into_bytes();
    let mut referrer = world.put("manifests", manifest, Kind::Good);
    referrer["artifactType"] = json!(bundle::MEDIA_TYPE);
    let mut manifests = vec![referrer; 20];
    world.lay(&subject, &[], &manifests);
    let text = told(world.verify().await);
    assert!(text.contains("none of the 7"), "{text}");
    assert_eq!(asked(), 7);
    // They keep nobody from a small one behind them.
    manifests.push(world.bundled(Kind::Good));
    world.lay(&subject, &[], &manifests);
    world.verify().await.unwrap();
    assert_eq!(asked(), 1);
}

/// Where the tag's signatures lie.
fn tag_path() -> String {
    format!("manifests/{}", simple::signature_tag(&digest(MANIFEST)))
}

#[tokio::test]
async fn a_search_that_takes_too_long_has_no_verdict() {
    let world = World::new().await;
    // Nobody takes what the kernel has accepted.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("oci://{}/{NAME}", silent.local_addr().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let repository = Repository::new(http, &url, true, Duration::from_secs(10)).unwrap();
    let signers = Signers::of_keys([world.key.public()]);
    let patience = Duration::from_millis(50);
    let found = verify_within(patience, &repository, MANIFEST, &digest(MANIFEST), &signers).await;
    assert!(
        matches!(&found, Err(VerifyError::Pull(error)) if error.to_string().contains("within 0 s")),
        "{found:?}"
    );
}
