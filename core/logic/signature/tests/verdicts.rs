//! Both signature forms against the same list of attacks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use base64::{Engine, engine::general_purpose::STANDARD};
use catalyst_signature::{
    Expected, PublicKey, Refusal, Signer, Signers, SigningKey, TrustPolicy, attestation, bundle,
    simple,
};
use sha2::{Digest, Sha256};

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;
const REFERENCE: &str = "127.0.0.1:8080/catalog/bp-guestbook";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn signed_by(signature: &str) -> simple::Annotations<'_> {
    simple::Annotations {
        signature,
        ..simple::Annotations::default()
    }
}

type Form = fn(&SigningKey, &str, Expected<'_>, &[u8], &[&PublicKey]) -> Result<(), Refusal>;

fn through_simple(
    key: &SigningKey,
    reference: &str,
    expected: Expected<'_>,
    signed: &[u8],
    keys: &[&PublicKey],
) -> Result<(), Refusal> {
    let made = simple::sign(key, reference, &digest(signed)).unwrap();
    let signers = Signers::of_keys(keys.iter().copied());
    simple::verify(
        &made.payload,
        &signed_by(&made.signature),
        expected,
        &signers,
    )
    .map(drop)
}

fn through_bundle(
    key: &SigningKey,
    reference: &str,
    expected: Expected<'_>,
    signed: &[u8],
    keys: &[&PublicKey],
) -> Result<(), Refusal> {
    let made = bundle::sign(key, reference, &digest(signed)).unwrap();
    let signers = Signers::of_keys(keys.iter().copied());
    bundle::verify(&made, MANIFEST, expected, &signers).map(drop)
}

fn through_attestation(
    key: &SigningKey,
    reference: &str,
    expected: Expected<'_>,
    signed: &[u8],
    keys: &[&PublicKey],
) -> Result<(), Refusal> {
    let made = bundle::sign(key, reference, &digest(signed)).unwrap();
    let signers = Signers::of_keys(keys.iter().copied());
    let annotations = simple::Annotations::default();
    attestation::verify(&envelope_of(&made), &annotations, expected, &signers).map(drop)
}

/// The envelope in a bundle, which is what cosign's older form has alone.
fn envelope_of(bundle: &[u8]) -> Vec<u8> {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    bundle["dsseEnvelope"].to_string().into_bytes()
}

fn through_message(
    key: &SigningKey,
    _reference: &str,
    expected: Expected<'_>,
    signed: &[u8],
    keys: &[&PublicKey],
) -> Result<(), Refusal> {
    let made = message_bundle(key, signed);
    let signers = Signers::of_keys(keys.iter().copied());
    bundle::verify(&made, MANIFEST, expected, &signers).map(drop)
}

fn message_bundle(key: &SigningKey, signed: &[u8]) -> Vec<u8> {
    serde_json::json!({
        "mediaType": bundle::MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.public().hint()}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(signed))},
            "signature": STANDARD.encode(key.sign(signed).unwrap()),
        },
    })
    .to_string()
    .into_bytes()
}

const FORMS: [(&str, Form); 4] = [
    ("simple", through_simple),
    ("bundle", through_bundle),
    ("attestation", through_attestation),
    ("message", through_message),
];

#[test]
fn a_trusted_signature_of_the_same_bytes_counts() {
    let key = SigningKey::generate().unwrap();
    let other = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    for (name, form) in FORMS {
        let keys = [other.public(), key.public()];
        assert_eq!(
            form(&key, REFERENCE, expected, MANIFEST, &keys),
            Ok(()),
            "{name}"
        );
    }
}

#[test]
fn altered_bytes_are_refused_as_altered() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    for (name, form) in FORMS {
        let refusal = form(
            &key,
            REFERENCE,
            expected,
            b"what was signed",
            &[key.public()],
        )
        .unwrap_err();
        assert_eq!(refusal.reason(), "AlteredDigest", "{name}: {refusal}");
    }
}

/// Whoever can attach a signature writes what it is about.
#[test]
fn what_nobody_trusted_signed_is_not_told_as_altered() {
    let (key, stranger) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    for (name, form) in FORMS {
        let signed = b"what was signed";
        let refusal = form(&stranger, REFERENCE, expected, signed, &[key.public()]).unwrap_err();
        assert_eq!(refusal.reason(), "ForeignKey", "{name}: {refusal}");
    }
}

#[test]
fn a_foreign_key_is_refused_as_foreign_and_so_is_no_key_at_all() {
    let key = SigningKey::generate().unwrap();
    let other = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    for (name, form) in FORMS {
        let refusal = form(&key, REFERENCE, expected, MANIFEST, &[other.public()]).unwrap_err();
        assert_eq!(refusal.reason(), "ForeignKey", "{name}");
        assert!(
            refusal.to_string().contains(&other.public().fingerprint()),
            "{refusal}"
        );
        let refusal = form(&key, REFERENCE, expected, MANIFEST, &[]).unwrap_err();
        assert_eq!(refusal.reason(), "ForeignKey", "{name}");
    }
}

#[test]
fn a_signature_made_for_another_name_is_refused() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-postgres",
    };
    for (name, form) in &FORMS[..3] {
        let refusal = form(&key, REFERENCE, expected, MANIFEST, &[key.public()]).unwrap_err();
        assert_eq!(refusal.reason(), "WrongIdentity", "{name}");
    }
}

#[test]
fn a_forged_hint_does_not_buy_trust() {
    let attacker = SigningKey::generate().unwrap();
    let trusted = SigningKey::generate().unwrap();
    let made = bundle::sign(&attacker, REFERENCE, &digest(MANIFEST)).unwrap();
    let forged = String::from_utf8(made)
        .unwrap()
        .replace(&attacker.public().hint(), &trusted.public().hint());
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    let signers = Signers::of_keys([trusted.public()]);
    let refusal = bundle::verify(forged.as_bytes(), MANIFEST, expected, &signers).unwrap_err();
    assert_eq!(refusal.reason(), "ForeignKey");
}

#[test]
fn what_cannot_be_read_is_refused_as_malformed() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    let keys = Signers::of_keys([key.public()]);
    let junk = b"{\"hello\":1}";
    let junk_signature = STANDARD.encode(key.sign(junk).unwrap());
    for (payload, signature) in [
        (&b"{}"[..], "not base64!"),
        (&junk[..], junk_signature.as_str()),
    ] {
        let refusal = simple::verify(payload, &signed_by(signature), expected, &keys).unwrap_err();
        assert_eq!(refusal.reason(), "MalformedSignature", "{refusal}");
    }
    let good: serde_json::Value =
        serde_json::from_slice(&bundle::sign(&key, REFERENCE, &held).unwrap()).unwrap();
    let edits: [(&str, serde_json::Value); 5] = [
        ("/mediaType", "application/vnd.other".into()),
        ("/verificationMaterial/publicKey", serde_json::Value::Null),
        ("/dsseEnvelope/payload", "%%%".into()),
        ("/dsseEnvelope/payloadType", "text/plain".into()),
        ("/dsseEnvelope/signatures", serde_json::json!([])),
    ];
    for (pointer, value) in edits {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let refusal =
            bundle::verify(bad.to_string().as_bytes(), MANIFEST, expected, &keys).unwrap_err();
        assert_eq!(
            refusal.reason(),
            "MalformedSignature",
            "{pointer}: {refusal}"
        );
    }
    let refusal = bundle::verify(b"[]", MANIFEST, expected, &keys).unwrap_err();
    assert_eq!(refusal.reason(), "MalformedSignature");
}

#[test]
fn an_attestation_of_another_predicate_is_no_signature() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": REFERENCE, "digest": {"sha256": held.trim_start_matches("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}},
    });
    let attested = bundle::sign_statement(&key, &statement).unwrap();
    assert!(!bundle::is_signature(&attested));
    let keys = Signers::of_keys([key.public()]);
    assert_eq!(
        bundle::verify(&attested, MANIFEST, expected, &keys)
            .unwrap_err()
            .reason(),
        "MalformedSignature"
    );
    let predicate = "https://slsa.dev/provenance/v1".to_owned();
    assert_eq!(bundle::attested(&attested), Some(predicate));
    let (read, verified) = bundle::verify_statement(&attested, expected, &keys).unwrap();
    assert_eq!(read, statement);
    // The type that cosign 2 writes is one of attestations, and of no signature.
    let mut older = statement.clone();
    older["_type"] = "https://in-toto.io/Statement/v0.1".into();
    let made = bundle::sign_statement(&key, &older).unwrap();
    bundle::verify_statement(&made, expected, &keys).unwrap();
    older["predicateType"] = bundle::PREDICATE_TYPE.into();
    let made = bundle::sign_statement(&key, &older).unwrap();
    assert_eq!(bundle::attested(&made), None);
    let refusal = bundle::verify(&made, MANIFEST, expected, &keys).unwrap_err();
    assert_eq!(refusal.reason(), "MalformedSignature");
    assert_eq!(verified.signer, Signer::Key(key.public().clone()));
}

fn statement(of: &str, predicate: &str) -> serde_json::Value {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": REFERENCE, "digest": {"sha256": of.trim_start_matches("sha256:")}}],
        "predicateType": predicate,
        "predicate": {"Data": "a word"},
    })
}

#[test]
fn an_envelope_under_the_tag_says_what_its_signer_said() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    let keys = Signers::of_keys([key.public()]);
    let custom = "https://cosign.sigstore.dev/attestation/v1";
    let said = statement(&held, custom);
    let envelope = envelope_of(&bundle::sign_statement(&key, &said).unwrap());
    assert_eq!(attestation::attested(&envelope).as_deref(), Some(custom));
    let none = simple::Annotations::default();
    let (read, verified) = attestation::verify(&envelope, &none, expected, &keys).unwrap();
    assert_eq!(read, said);
    assert_eq!(verified.signer, Signer::Key(key.public().clone()));
    // The signature of a container is no attestation in this form either.
    let signature = envelope_of(&bundle::sign(&key, REFERENCE, &held).unwrap());
    assert_eq!(attestation::attested(&signature), None);
    assert_eq!(attestation::attestation_tag("sha256:abc"), "sha256-abc.att");
}

#[test]
fn an_envelope_that_is_not_as_it_was_signed_is_refused_with_its_reason() {
    let key = SigningKey::generate().unwrap();
    let held = digest(MANIFEST);
    let expected = Expected {
        digest: &held,
        name: "bp-guestbook",
    };
    let keys = Signers::of_keys([key.public()]);
    let none = simple::Annotations::default();
    let signed = |statement: &serde_json::Value| {
        let made = bundle::sign_statement(&key, statement).unwrap();
        serde_json::from_slice::<serde_json::Value>(&envelope_of(&made)).unwrap()
    };
    let said = statement(&held, "https://cyclonedx.org/bom");
    let good = signed(&said);
    let edited = |pointer: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    let other = statement(&held, "https://spdx.dev/Document").to_string();
    let twice = serde_json::json!([good["signatures"][0], good["signatures"][0]]);
    let mut two = said.clone();
    two["subject"] = serde_json::json!([said["subject"][0], said["subject"][0]]);
    let mut nothing = said.clone();
    nothing["subject"] = serde_json::json!([{"digest": {"sha512": "00"}}]);
    let mut odd = said.clone();
    odd["_type"] = "https://example.org/Statement".into();
    for (what, envelope, reason) in [
        ("nothing", serde_json::json!({}), "MalformedSignature"),
        ("a list", serde_json::json!([]), "MalformedSignature"),
        (
            "another type",
            edited("/payloadType", "text/plain".into()),
            "MalformedSignature",
        ),
        (
            "no base64",
            edited("/payload", "%".into()),
            "MalformedSignature",
        ),
        (
            "no signature",
            edited("/signatures", serde_json::json!([])),
            "MalformedSignature",
        ),
        (
            "two signatures",
            edited("/signatures", twice),
            "MalformedSignature",
        ),
        (
            "a signature that is none",
            edited("/signatures/0/sig", "%".into()),
            "MalformedSignature",
        ),
        (
            "another payload",
            edited("/payload", STANDARD.encode(other).into()),
            "ForeignKey",
        ),
        (
            "another signature",
            edited("/signatures/0/sig", "AAAA".into()),
            "ForeignKey",
        ),
        ("two subjects", signed(&two), "MalformedSignature"),
        (
            "no subject that is known",
            signed(&nothing),
            "MalformedSignature",
        ),
        ("an unknown statement", signed(&odd), "MalformedSignature"),
        (
            "no statement",
            signed(&serde_json::json!({"a": 1})),
            "MalformedSignature",
        ),
    ] {
        let bytes = envelope.to_string();
        let refusal = attestation::verify(bytes.as_bytes(), &none, expected, &keys).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{what}: {refusal}");
    }
    // A certificate beside it is nobody's where keys alone count.
    let beside = simple::Annotations {
        certificate: Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        ..none
    };
    let stranger = SigningKey::generate().unwrap();
    let strangers = Signers::of_keys([stranger.public()]);
    let bytes = good.to_string();
    attestation::verify(bytes.as_bytes(), &beside, expected, &keys).unwrap();
    let refusal = attestation::verify(bytes.as_bytes(), &beside, expected, &strangers).unwrap_err();
    assert_eq!(refusal.reason(), "ForeignKey", "{refusal}");
}

#[test]
fn trust_is_per_source() {
    let key = SigningKey::generate().unwrap();
    let mut policy = TrustPolicy::new();
    policy.trust("acme", key.public().clone());
    assert_eq!(policy.signers("acme").unwrap().keys(), [key.public()]);
    assert_eq!(
        policy.signers("globex").unwrap_err(),
        Refusal::UntrustedSource {
            source_name: "globex".to_owned()
        }
    );
    assert!(policy.distrust("acme", key.public()));
    assert!(policy.signers("acme").is_err());
    assert_eq!(policy.sources().count(), 0);
}

#[test]
fn the_tag_is_the_one_cosign_looks_for() {
    assert_eq!(simple::signature_tag("sha256:abc"), "sha256-abc.sig");
}
