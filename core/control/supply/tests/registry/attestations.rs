//! What is said of an artifact, in both forms, and which of its SBOMs are believed.

use std::collections::BTreeMap;

use axum::http::Method;
use catalyst_signature::{
    MAX_SIGNATURE, MAX_SIGNATURES, Signers, SigningKey, attestation, bundle, simple,
};
use catalyst_supply::{Attestation, Document, ImagePart, Origin, PackOptions, digest, media, pack};
use serde_json::{Value, json};

use crate::fake::{Bench, Stored, folder};
use crate::hostile::{NAME, hang, list, unsign};

const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
const CYCLONEDX: &str = "https://cyclonedx.org/bom";
const SPDX: &str = "https://spdx.dev/Document";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// A statement as cosign 2 makes it.
fn statement(published: &str, predicate: &str, content: Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": NAME, "digest": {"sha256": published.trim_start_matches("sha256:")}}],
        "predicateType": predicate,
        "predicate": content,
    })
}

/// The envelope that cosign 2 makes of it.
fn envelope(key: &SigningKey, statement: &Value) -> Value {
    let made = bundle::sign_statement(key, statement).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    made["dsseEnvelope"].clone()
}

/// A layer with an attestation, as cosign 2 writes it.
fn layer(stored: &mut Stored, envelope: &[u8], predicate: &str) -> Value {
    let mut layer = stored.put_blob(attestation::MEDIA_TYPE, envelope);
    layer["annotations"] = json!({
        simple::SIGNATURE_ANNOTATION: "", attestation::PREDICATE_ANNOTATION: predicate,
    });
    layer
}

fn put_layers(stored: &mut Stored, published: &str, layers: &[Value]) {
    let config = stored.put_blob(media::IMAGE_CONFIG, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": layers,
    });
    stored.put(&attestation::attestation_tag(published), &manifest);
}

/// What is said of the bench's Blueprint, for whom its policy trusts.
async fn said(bench: &Bench, published: &str) -> Vec<Attestation> {
    let signers = bench.policy.signers("catalog").unwrap();
    let at = bench.reference("bp-x:1.0.0");
    let said = bench
        .anonymous()
        .attestations(&at, published, &signers)
        .await;
    said.unwrap()
}

async fn documents(bench: &Bench, published: &str, signers: &Signers<'_>) -> Vec<Document> {
    let at = bench.reference("bp-x:1.0.0");
    let found = bench.anonymous().documents(&at, published, signers).await;
    found.unwrap()
}

fn by(predicate: &str, signer: Option<&SigningKey>, reason: Option<&'static str>) -> Attestation {
    Attestation {
        predicate_type: predicate.to_owned(),
        signer: signer.map(|key| key.public().fingerprint()),
        reason,
    }
}

#[tokio::test]
async fn what_is_published_is_attested_with_its_sboms() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let key = Some(&bench.key);
    assert_eq!(
        said(&bench, &published).await,
        [
            by(CYCLONEDX, key, None),
            by(PROVENANCE, key, None),
            by(SPDX, key, None)
        ]
    );
    // What is attested is what is attached, word for word.
    let signers = bench.policy.signers("catalog").unwrap();
    let attested = documents(&bench, &published, &signers).await;
    let attached = documents(&bench, &published, &Signers::default()).await;
    assert_eq!(attested.len(), 2);
    for (one, other) in attested.iter().zip(&attached) {
        assert_eq!(one.media_type, other.media_type);
        assert_eq!(one.content, other.content);
        assert_eq!(other.signer, None);
    }
}

#[tokio::test]
async fn an_sbom_that_says_more_than_the_one_before_is_attested_beside_it() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let part = ImagePart::library("time", "0.1.40", "pkg:cargo/time@0.1.40");
    let image = "ghcr.io/openova-io/x:1.0.0".to_owned();
    let options = PackOptions {
        images: BTreeMap::from([(image.clone(), format!("sha256:{}", "1".repeat(64)))]),
        parts: BTreeMap::from([(image, vec![part])]),
        ..PackOptions::default()
    };
    let more = pack(&folder(), &options).unwrap();
    assert_eq!(more.digest(), published, "the artifact is the same");
    let base = format!("{}/catalog", bench.host);
    let (registry, origin) = (bench.anonymous(), Origin::default());
    for _ in 0..2 {
        let again = registry.publish(&base, &more, &bench.key, &origin).await;
        again.unwrap();
    }
    let signers = bench.policy.signers("catalog").unwrap();
    let found = documents(&bench, &published, &signers).await;
    assert_eq!(found.len(), 4, "two of each kind");
    assert!(found.iter().all(|document| document.signer.is_some()));
    let told: Vec<String> = found.iter().map(|it| it.content.to_string()).collect();
    let listing = told
        .iter()
        .filter(|it| it.contains("pkg:cargo/time@0.1.40"));
    assert_eq!(listing.count(), 2);
}

#[tokio::test]
async fn an_sbom_that_nobody_signed_is_not_believed_beside_one_that_somebody_did() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let at = bench.reference("bp-x:1.0.0");
    let bad = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []});
    {
        let mut stored = bench.shared.lock().unwrap();
        // Attached as it is, and attested by a stranger in both forms.
        let document = stored.put_blob(media::CYCLONEDX, bad.to_string().as_bytes());
        let config = stored.put_blob(media::EMPTY, b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": media::CYCLONEDX,
            "config": config, "layers": [document],
            "subject": {"mediaType": media::MANIFEST, "digest": published, "size": 1},
        });
        stored.put("bill", &manifest);
        let stranger = SigningKey::generate().unwrap();
        let said = statement(&published, CYCLONEDX, bad.clone());
        let made = bundle::sign_statement(&stranger, &said).unwrap();
        hang(&mut stored, &published, &made);
        let made = envelope(&stranger, &said).to_string();
        let layer = layer(&mut stored, made.as_bytes(), CYCLONEDX);
        put_layers(&mut stored, &published, &[layer]);
    }
    let signers = bench.policy.signers("catalog").unwrap();
    let believed = documents(&bench, &published, &signers).await;
    assert_eq!(believed.len(), 2);
    assert!(
        believed
            .iter()
            .all(|it| it.signer.is_some() && it.content != bad)
    );
    // Whoever trusts nobody sees what is attached, and that nobody vouches for it.
    let seen = documents(&bench, &published, &Signers::default()).await;
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|document| document.signer.is_none()));
    // An older artifact has what is attached alone, and is verified all the same.
    {
        let mut stored = bench.shared.lock().unwrap();
        stored.manifests.retain(|_, bytes| {
            let manifest: Value = serde_json::from_slice(bytes).unwrap();
            manifest["artifactType"] != bundle::MEDIA_TYPE
        });
    }
    let seen = documents(&bench, &published, &signers).await;
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|document| document.signer.is_none()));
    let verified = bench
        .anonymous()
        .verify(&at, "catalog", &bench.policy)
        .await;
    assert_eq!(verified.unwrap().digest, published);
}

#[tokio::test]
async fn an_altered_attestation_is_told_with_its_reason_and_not_believed() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let bill = json!({"bomFormat": "CycloneDX", "components": []});
    let good = statement(&published, CYCLONEDX, bill.clone());
    let made = bundle::sign_statement(&bench.key, &good).unwrap();
    let mut altered: Value = serde_json::from_slice(&made).unwrap();
    let other = statement(&published, CYCLONEDX, json!({"bomFormat": "CycloneDX"}));
    let other = bundle::sign_statement(&SigningKey::generate().unwrap(), &other).unwrap();
    let other: Value = serde_json::from_slice(&other).unwrap();
    altered["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"].clone();
    let elsewhere = statement(&digest(b"other"), CYCLONEDX, bill);
    let elsewhere = bundle::sign_statement(&bench.key, &elsewhere).unwrap();
    let own = bench.policy.signers("catalog").unwrap();
    for (bytes, reason) in [
        (altered.to_string().into_bytes(), "ForeignKey"),
        (elsewhere, "AlteredDigest"),
    ] {
        {
            let mut stored = bench.shared.lock().unwrap();
            unsign(&mut stored, &published);
            hang(&mut stored, &published, &bytes);
        }
        assert_eq!(
            said(&bench, &published).await,
            [by(CYCLONEDX, None, Some(reason))]
        );
        assert!(documents(&bench, &published, &own).await.is_empty());
    }
}

#[tokio::test]
async fn attestations_under_the_tag_are_told_and_their_sboms_believed() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 7});
    {
        let mut stored = bench.shared.lock().unwrap();
        unsign(&mut stored, &published);
        let mut layers = Vec::new();
        for (predicate, content) in [
            (CUSTOM, json!({"Data": "a word", "Timestamp": ""})),
            (CYCLONEDX, bill.clone()),
            // SPDX in its own notation, which is text.
            (SPDX, json!("SPDXVersion: SPDX-2.3")),
            // What is of another kind is another one, whatever it says.
            (SPDX, bill.clone()),
        ] {
            let made = envelope(&bench.key, &statement(&published, predicate, content));
            layers.push(layer(&mut stored, made.to_string().as_bytes(), predicate));
        }
        put_layers(&mut stored, &published, &layers);
    }
    let key = Some(&bench.key);
    assert_eq!(
        said(&bench, &published).await,
        [
            by(CUSTOM, key, None),
            by(CYCLONEDX, key, None),
            by(SPDX, key, None)
        ]
    );
    let signers = bench.policy.signers("catalog").unwrap();
    let found = documents(&bench, &published, &signers).await;
    let kinds: Vec<&str> = found.iter().map(|it| it.media_type.as_str()).collect();
    assert_eq!(kinds, [media::SPDX, media::CYCLONEDX]);
    assert!(found.iter().all(|it| it.content == bill));
    // None of it is a signature.
    assert_eq!(bench.refusal(&bench.policy).await, "Unsigned");
    let at = bench.reference("bp-x:1.0.0");
    let count = bench.anonymous().count_signatures(&at, &published).await;
    assert_eq!(count.unwrap(), 0);
}

/// What may lie under the tag, and what is told of it.
type Change = fn(&mut Stored, &str, &SigningKey);

const BAD: [(&str, Option<&str>, Change); 11] = [
    ("no manifest", None, |stored, published, _| {
        stored.put(&attestation::attestation_tag(published), &json!([]));
    }),
    ("nothing", None, |stored, published, _| {
        put_layers(stored, published, &[]);
    }),
    ("no envelope", None, |stored, published, _| {
        let layer = layer(stored, b"[]", CUSTOM);
        put_layers(stored, published, &[layer]);
    }),
    ("another kind of layer", None, |stored, published, key| {
        let mut layer = good(stored, published, key);
        layer["mediaType"] = json!("text/plain");
        put_layers(stored, published, &[layer]);
    }),
    (
        "a layer that is not there",
        None,
        |stored, published, key| {
            let layer = good(stored, published, key);
            stored.blobs.remove(layer["digest"].as_str().unwrap());
            put_layers(stored, published, &[layer]);
        },
    ),
    ("a layer elsewhere", None, |stored, published, key| {
        let mut layer = good(stored, published, key);
        layer["digest"] = json!("../../acme/bp-x/blobs/x?");
        put_layers(stored, published, &[layer]);
    }),
    ("an altered layer", None, |stored, published, key| {
        let layer = good(stored, published, key);
        let named = layer["digest"].as_str().unwrap().to_owned();
        stored.blobs.get_mut(&named).unwrap()[0] ^= 1;
        put_layers(stored, published, &[layer]);
    }),
    ("a layer that boasts", None, |stored, published, key| {
        let mut layer = good(stored, published, key);
        layer["size"] = json!(u64::MAX);
        put_layers(stored, published, &[layer]);
    }),
    (
        "by a stranger",
        Some("ForeignKey"),
        |stored, published, _| {
            let layer = good(stored, published, &SigningKey::generate().unwrap());
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "about other bytes",
        Some("AlteredDigest"),
        |stored, published, key| {
            let layer = good(stored, &digest(b"other"), key);
            put_layers(stored, published, &[layer]);
        },
    ),
    (
        "about another name",
        Some("WrongIdentity"),
        |stored, published, key| {
            let mut said = statement(published, CUSTOM, json!({}));
            said["subject"][0]["name"] = json!("h/catalog/bp-y");
            let layer = layer(stored, envelope(key, &said).to_string().as_bytes(), CUSTOM);
            put_layers(stored, published, &[layer]);
        },
    ),
];

fn good(stored: &mut Stored, published: &str, key: &SigningKey) -> Value {
    let made = envelope(key, &statement(published, CUSTOM, json!({})));
    layer(stored, made.to_string().as_bytes(), CUSTOM)
}

#[tokio::test]
async fn whatever_lies_under_the_tag_is_told_as_what_it_is_and_spoils_nothing() {
    for (what, reason, change) in BAD {
        let bench = Bench::new().await;
        let published = bench.publish().await;
        let before = said(&bench, &published).await;
        change(&mut bench.shared.lock().unwrap(), &published, &bench.key);
        let mut expected = before;
        expected.extend(reason.map(|reason| by(CUSTOM, None, Some(reason))));
        expected.sort();
        assert_eq!(said(&bench, &published).await, expected, "{what}");
        let at = bench.reference("bp-x:1.0.0");
        let verified = bench
            .anonymous()
            .verify(&at, "catalog", &bench.policy)
            .await;
        assert_eq!(verified.unwrap().digest, published, "{what}");
    }
}

#[tokio::test]
async fn no_more_than_so_many_under_the_tag_are_looked_at() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    {
        let mut stored = bench.shared.lock().unwrap();
        let stranger = SigningKey::generate().unwrap();
        let one = good(&mut stored, &published, &stranger);
        put_layers(&mut stored, &published, &vec![one; 3 * MAX_SIGNATURES]);
        list(&mut stored, &[]);
        stored.seen.clear();
    }
    let told = said(&bench, &published).await;
    assert_eq!(told, [by(CUSTOM, None, Some("ForeignKey"))]);
    let stored = bench.shared.lock().unwrap();
    assert_eq!(stored.asked(&Method::GET, "/blobs/"), MAX_SIGNATURES);
}

#[tokio::test]
async fn a_large_statement_is_told_and_keeps_nobody_from_the_signatures() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    let at = bench.reference("bp-x:1.0.0");
    {
        let mut stored = bench.shared.lock().unwrap();
        let word = "x".repeat(usize::try_from(2 * MAX_SIGNATURE).unwrap());
        let said = statement(&published, CYCLONEDX, json!({"word": word}));
        let made = bundle::sign_statement(&bench.key, &said).unwrap();
        hang(&mut stored, &published, &made);
    }
    let signers = bench.policy.signers("catalog").unwrap();
    let found = documents(&bench, &published, &signers).await;
    assert!(found.iter().any(|it| it.content.get("word").is_some()));
    // It is more than is read of a signature, and is none.
    let count = bench.anonymous().count_signatures(&at, &published).await;
    assert_eq!(count.unwrap(), 2);
    let tag = Bench::signature_tag(&published);
    let own = ("catalog/bp-x".to_owned(), tag);
    bench.shared.lock().unwrap().manifests.remove(&own);
    let verified = bench
        .anonymous()
        .verify(&at, "catalog", &bench.policy)
        .await;
    assert_eq!(verified.unwrap().digest, published);
}

#[tokio::test]
async fn an_unsigned_artifact_with_a_large_sbom_is_told_as_unsigned() {
    let bench = Bench::new().await;
    let published = bench.publish().await;
    {
        let mut stored = bench.shared.lock().unwrap();
        unsign(&mut stored, &published);
        let word = "x".repeat(usize::try_from(2 * MAX_SIGNATURE).unwrap());
        let said = statement(&published, CYCLONEDX, json!({"word": word}));
        let made = bundle::sign_statement(&bench.key, &said).unwrap();
        let mut listed = hang(&mut stored, &published, &made);
        listed["annotations"] = json!({bundle::PREDICATE_ANNOTATION: CYCLONEDX});
        list(&mut stored, &[listed]);
    }
    assert_eq!(bench.refusal(&bench.policy).await, "Unsigned");
    let key = Some(&bench.key);
    assert_eq!(said(&bench, &published).await, [by(CYCLONEDX, key, None)]);
}
