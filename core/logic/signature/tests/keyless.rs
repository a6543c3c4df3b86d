//! Signatures by certificates, as cosign makes them, good and bad: a folder each in
//! `keyless`, written by `tests/real/cosign/keyless`, where stock cosign is asked the
//! same. Their certificates are held against the time at which they were logged, so
//! that none of them gets too old.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use catalyst_signature::{
    Expected, Identity, IdentityFields, Refusal, Signer, Signers, SigningKey, TrustPolicy,
    TrustedRoot, TrustedRootError, Verified, attestation, bundle, simple,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

const NAME: &str = "bp-guestbook";

#[derive(Deserialize)]
struct Case {
    form: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Maker {
    subject: String,
    issuer: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keyless")
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = folder().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> TrustedRoot {
    TrustedRoot::from_json(&trusted_root()).unwrap()
}

fn trusted_root() -> String {
    String::from_utf8(read("trusted_root.json")).unwrap()
}

fn maker() -> Maker {
    serde_json::from_slice(&read("signer.json")).unwrap()
}

/// Who should have made them.
fn identity() -> Identity {
    let maker = maker();
    Identity::new(IdentityFields {
        subject: Some(&maker.subject),
        issuer: Some(&maker.issuer),
        ..IdentityFields::default()
    })
    .unwrap()
}

fn expression(subject: &str, issuer: &str) -> Identity {
    Identity::new(IdentityFields {
        subject_regexp: Some(subject),
        issuer_regexp: Some(issuer),
        ..IdentityFields::default()
    })
    .unwrap()
}

/// What is decided on one of them, for whom is trusted.
fn verdict(case: &str, signers: &Signers<'_>) -> Result<Verified, Refusal> {
    let manifest = read("manifest.json");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&manifest)));
    let expected = Expected {
        digest: &digest,
        name: NAME,
    };
    let found = folder().join(case).join("bundle.json");
    if found.exists() {
        return bundle::verify(&read(found), &manifest, expected, signers);
    }
    let annotations: BTreeMap<String, String> =
        serde_json::from_slice(&read(format!("{case}/annotations.json"))).unwrap();
    let annotations =
        simple::Annotations::of(|name| annotations.get(name).map(String::as_str)).unwrap();
    let payload = read(format!("{case}/payload.json"));
    simple::verify(&payload, &annotations, expected, signers)
}

fn cases() -> Vec<(String, Case)> {
    let mut cases: Vec<(String, Case)> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let case = serde_json::from_slice(&read(format!("{name}/case.json"))).unwrap();
            (name, case)
        })
        .collect();
    cases.sort_by(|left, right| left.0.cmp(&right.0));
    cases
}

#[test]
fn each_is_decided_for_its_own_reason() {
    let (root, identities) = (root(), [identity()]);
    let signers = Signers::of_identities(&root, &identities);
    let maker = maker();
    let signer = Signer::Identity {
        subject: maker.subject,
        issuer: maker.issuer,
    };
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, case) in cases() {
        let decided = verdict(&name, &signers);
        if let Ok(verified) = &decided {
            assert_eq!(verified.signer, signer, "{name}");
        }
        let reason = decided.as_ref().map_or_else(Refusal::reason, |_| "");
        if reason != case.reason {
            wrong.push(format!("{name}: {decided:?}"));
        }
        seen.insert((case.form, reason.to_owned()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // No form and no reason is left out.
    let in_both = [
        "",
        "ForeignIdentity",
        "ForeignIssuer",
        "ExpiredCertificate",
        "UnknownAuthority",
        "Unlogged",
        "LoggedOtherwise",
        "MalformedSignature",
        "AlteredDigest",
        "WrongIdentity",
    ];
    for form in ["simple", "statement"] {
        for reason in in_both {
            let one = (form.to_owned(), reason.to_owned());
            assert!(seen.contains(&one), "{one:?} is no case");
        }
    }
}

/// A bundle around a statement, as cosign's older form has it: the envelope, and the
/// annotations of its layer.
fn in_the_older_form(bundle: &serde_json::Value) -> (Vec<u8>, BTreeMap<String, String>) {
    let material = &bundle["verificationMaterial"];
    let entry = &material["tlogEntries"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let number = |value: &serde_json::Value| text(value).parse::<i64>().unwrap();
    let certificate = text(&material["certificate"]["rawBytes"]);
    let lines: Vec<&str> = certificate
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let log_id = STANDARD.decode(text(&entry["logId"]["keyId"])).unwrap();
    let promise = &entry["inclusionPromise"]["signedEntryTimestamp"];
    let mut annotations = BTreeMap::from([
        (simple::SIGNATURE_ANNOTATION.to_owned(), String::new()),
        (
            simple::CERTIFICATE_ANNOTATION.to_owned(),
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            ),
        ),
        (
            simple::BUNDLE_ANNOTATION.to_owned(),
            serde_json::json!({
                "SignedEntryTimestamp": promise,
                "Payload": {
                    "body": entry["canonicalizedBody"],
                    "integratedTime": number(&entry["integratedTime"]),
                    "logIndex": number(&entry["logIndex"]),
                    "logID": hex::encode(log_id),
                },
            })
            .to_string(),
        ),
    ]);
    let stamp = &material["timestampVerificationData"]["rfc3161Timestamps"][0]["signedTimestamp"];
    if stamp.is_string() {
        let stamp = serde_json::json!({"SignedRFC3161Timestamp": stamp}).to_string();
        annotations.insert(simple::TIMESTAMP_ANNOTATION.to_owned(), stamp);
    }
    (bundle["dsseEnvelope"].to_string().into_bytes(), annotations)
}

fn attested(
    envelope: &[u8],
    annotations: &BTreeMap<String, String>,
    signers: &Signers<'_>,
) -> Result<Verified, Refusal> {
    let digest = format!(
        "sha256:{}",
        hex::encode(Sha256::digest(read("manifest.json")))
    );
    let expected = Expected {
        digest: &digest,
        name: NAME,
    };
    let annotations = simple::Annotations::beside(|name| annotations.get(name).map(String::as_str));
    attestation::verify(envelope, &annotations, expected, signers).map(|(_, verified)| verified)
}

#[test]
fn statements_in_the_older_form_are_decided_as_bundles_are() {
    let (root, identities) = (root(), [identity()]);
    let signers = Signers::of_identities(&root, &identities);
    let keys = SigningKey::generate().unwrap();
    let keys = Signers::of_keys([keys.public()]);
    let mut seen = 0;
    for (name, case) in cases() {
        // This form has no proof that could be forged, and of the log its promise alone.
        if case.form != "statement" || name == "statement-forged-proof" {
            continue;
        }
        let made = serde_json::from_slice(&read(format!("{name}/bundle.json"))).unwrap();
        let (envelope, mut annotations) = in_the_older_form(&made);
        if name == "statement-no-log" {
            annotations.remove(simple::BUNDLE_ANNOTATION);
        }
        let decided = attested(&envelope, &annotations, &signers);
        let reason = decided.as_ref().map_or_else(Refusal::reason, |_| "");
        assert_eq!(reason, case.reason, "{name}: {decided:?}");
        let refusal = attested(&envelope, &annotations, &keys).unwrap_err();
        assert_eq!(refusal.reason(), "ForeignKey", "{name}: {refusal}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn what_lies_beside_an_envelope_may_be_anything() {
    let (root, identities) = (root(), [identity()]);
    let signers = Signers::of_identities(&root, &identities);
    let made = serde_json::from_slice(&read("statement-good/bundle.json")).unwrap();
    let (envelope, good) = in_the_older_form(&made);
    attested(&envelope, &good, &signers).unwrap();
    let log = |body: &str| {
        let mut log: serde_json::Value =
            serde_json::from_str(&good[simple::BUNDLE_ANNOTATION]).unwrap();
        log["Payload"]["body"] = STANDARD.encode(body).into();
        log.to_string()
    };
    for (name, value, reason) in [
        (
            simple::CERTIFICATE_ANNOTATION,
            "%".to_owned(),
            "MalformedSignature",
        ),
        (simple::CERTIFICATE_ANNOTATION, String::new(), "ForeignKey"),
        (
            simple::BUNDLE_ANNOTATION,
            "{}".to_owned(),
            "MalformedSignature",
        ),
        (simple::BUNDLE_ANNOTATION, String::new(), "Unlogged"),
        (
            simple::BUNDLE_ANNOTATION,
            log("no JSON"),
            "MalformedSignature",
        ),
        (
            simple::BUNDLE_ANNOTATION,
            log(r#"{"kind": "hashedrekord", "apiVersion": "0.0.1"}"#),
            "MalformedSignature",
        ),
        (
            simple::TIMESTAMP_ANNOTATION,
            "[]".to_owned(),
            "MalformedSignature",
        ),
    ] {
        let mut annotations = good.clone();
        annotations.insert(name.to_owned(), value.clone());
        let refusal = attested(&envelope, &annotations, &signers).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{name} = {value:.40}: {refusal}");
    }
}

const GOOD: [&str; 4] = [
    "simple-good",
    "statement-good",
    "message-good",
    "rekor2-good",
];

#[test]
fn whoever_trusts_by_expressions_finds_the_same() {
    let root = root();
    for (subject, issuer, reason) in [
        ("^https://github\\.com/acme/", "githubusercontent", ""),
        ("refs/tags/v1\\.0\\.0$", "^https://token\\.", ""),
        ("^acme/", ".", "ForeignIdentity"),
        ("acme", "^https://issuer\\.", "ForeignIssuer"),
    ] {
        let identities = [expression(subject, issuer)];
        let signers = Signers::of_identities(&root, &identities);
        for name in GOOD {
            let decided = verdict(name, &signers);
            let found = decided.as_ref().map_or_else(Refusal::reason, |_| "");
            assert_eq!(
                found, reason,
                "{name} for {subject} by {issuer}: {decided:?}"
            );
        }
    }
}

#[test]
fn one_of_several_is_enough() {
    let root = root();
    let identities = [expression("^nobody$", "."), identity()];
    let signers = Signers::of_identities(&root, &identities);
    for name in GOOD {
        verdict(name, &signers).unwrap();
    }
}

#[test]
fn a_message_about_something_else_is_told_as_altered_once_its_maker_counts() {
    let (root, key) = (root(), SigningKey::generate().unwrap());
    let (own, others) = ([identity()], [expression("^nobody$", ".")]);
    for (signers, reason) in [
        (Signers::of_identities(&root, &own), "AlteredDigest"),
        (Signers::of_identities(&root, &others), "ForeignIdentity"),
        (Signers::of_keys([key.public()]), "ForeignKey"),
    ] {
        let refusal = verdict("message-other-artifact", &signers).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{refusal}");
    }
}

#[test]
fn without_an_identity_or_a_root_a_certificate_is_nobodys() {
    let key = SigningKey::generate().unwrap();
    let keys = Signers::of_keys([key.public()]);
    let root = root();
    let nobody = Signers::of_identities(&root, &[]);
    let mut policy = TrustPolicy::new();
    policy.trust_identity("acme", identity());
    assert_eq!(
        policy.signers("acme").unwrap_err().reason(),
        "UntrustedSource"
    );
    assert_eq!(policy.sources().count(), 0);
    for name in GOOD {
        for signers in [&keys, &nobody] {
            let refusal = verdict(name, signers).unwrap_err();
            assert_eq!(refusal.reason(), "ForeignKey", "{name}: {refusal}");
        }
    }
    policy.believe(root.clone());
    let signers = policy.signers("acme").unwrap();
    assert_eq!(policy.sources().collect::<Vec<_>>(), ["acme"]);
    for name in GOOD {
        verdict(name, &signers).unwrap();
    }
    // Trusted for one source, and for no other.
    policy.trust("globex", key.public().clone());
    let signers = policy.signers("globex").unwrap();
    assert_eq!(
        verdict(GOOD[0], &signers).unwrap_err().reason(),
        "ForeignKey"
    );
    // Each of several is asked alone, about the source in question.
    policy.trust("acme", key.public().clone());
    let alone = policy.each_alone("acme");
    let reasons = alone.iter().map(|one| {
        let signers = one.signers("acme").unwrap();
        let decided = verdict(GOOD[0], &signers);
        decided.as_ref().map_or_else(Refusal::reason, |_| "")
    });
    assert_eq!(reasons.collect::<Vec<_>>(), ["ForeignKey", ""]);
    assert_eq!(policy.each_alone("globex").len(), 1);
    assert_eq!(policy.each_alone("nobody").len(), 0);
    // A key's signature is not an identity's.
    let identities = [identity()];
    let signers = Signers::of_identities(&root, &identities);
    let manifest = read("manifest.json");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&manifest)));
    let expected = Expected {
        digest: &digest,
        name: NAME,
    };
    let made = bundle::sign(&key, NAME, &digest).unwrap();
    let refusal = bundle::verify(&made, &manifest, expected, &signers).unwrap_err();
    assert_eq!(refusal.reason(), "ForeignKey");
    assert!(
        refusal.to_string().contains(&identities[0].to_string()),
        "{refusal}"
    );
}

/// The trusted root with one list of it changed.
fn changed_root(list: &str, change: impl Fn(&mut Vec<serde_json::Value>)) -> String {
    let mut root: serde_json::Value = serde_json::from_str(&trusted_root()).unwrap();
    change(root[list].as_array_mut().unwrap());
    root.to_string()
}

#[test]
fn a_root_without_an_authority_or_a_log_is_refused() {
    for list in ["certificateAuthorities", "ctlogs", "tlogs"] {
        let error = TrustedRoot::from_json(&changed_root(list, Vec::clear)).unwrap_err();
        assert!(
            matches!(error, TrustedRootError::Incomplete { .. }),
            "{list}: {error}"
        );
    }
    let spoiled = changed_root("certificateAuthorities", |all| {
        all[0]["certChain"]["certificates"][0]["rawBytes"] = "AAAA".into();
    });
    let error = TrustedRoot::from_json(&spoiled).unwrap_err();
    assert!(
        matches!(error, TrustedRootError::Malformed { .. }),
        "{error}"
    );
}

#[test]
fn an_authority_or_a_log_is_believed_in_its_time_alone() {
    let identities = [identity()];
    let later = serde_json::json!({"start": "2025-07-01T00:00:00Z"});
    for (list, pointer, reason) in [
        ("certificateAuthorities", "/validFor", "UnknownAuthority"),
        ("tlogs", "/publicKey/validFor", "Unlogged"),
        ("ctlogs", "/publicKey/validFor", "Unlogged"),
    ] {
        let changed = changed_root(list, |all| {
            *all[0].pointer_mut(pointer).unwrap() = later.clone();
        });
        let root = TrustedRoot::from_json(&changed).unwrap();
        let signers = Signers::of_identities(&root, &identities);
        for name in ["simple-good", "statement-good"] {
            let refusal = verdict(name, &signers).unwrap_err();
            assert_eq!(refusal.reason(), reason, "{list}, {name}: {refusal}");
        }
    }
}

#[test]
fn a_timestamp_says_nothing_where_no_authority_for_them_is_believed() {
    let root = TrustedRoot::from_json(&changed_root("timestampAuthorities", Vec::clear)).unwrap();
    let identities = [identity()];
    let signers = Signers::of_identities(&root, &identities);
    for name in ["simple-timestamped", "statement-timestamped"] {
        verdict(name, &signers).unwrap();
    }
    // There the log alone says no time.
    let refusal = verdict("rekor2-good", &signers).unwrap_err();
    assert_eq!(refusal.reason(), "Unlogged", "{refusal}");
}

#[test]
fn what_lies_beside_a_signature_may_be_anything() {
    let (root, identities) = (root(), [identity()]);
    let signers = Signers::of_identities(&root, &identities);
    let payload = read("simple-good/payload.json");
    let good: BTreeMap<String, String> =
        serde_json::from_slice(&read("simple-good/annotations.json")).unwrap();
    let expected = Expected {
        digest: "sha256:00",
        name: NAME,
    };
    let long = good[simple::CHAIN_ANNOTATION].repeat(1_000);
    for (name, value, reason) in [
        (simple::SIGNATURE_ANNOTATION, "%", "MalformedSignature"),
        (simple::CERTIFICATE_ANNOTATION, "%", "MalformedSignature"),
        (
            simple::CERTIFICATE_ANNOTATION,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "MalformedSignature",
        ),
        (simple::BUNDLE_ANNOTATION, "{}", "MalformedSignature"),
        (simple::BUNDLE_ANNOTATION, "", "Unlogged"),
        (simple::TIMESTAMP_ANNOTATION, "[]", "MalformedSignature"),
        (
            simple::TIMESTAMP_ANNOTATION,
            r#"{"SignedRFC3161Timestamp":"AAAA"}"#,
            "Unlogged",
        ),
        // However many lead nowhere: what it signs is not what is held.
        (simple::CHAIN_ANNOTATION, long.as_str(), "AlteredDigest"),
        (simple::CHAIN_ANNOTATION, "", "AlteredDigest"),
    ] {
        let mut annotations = good.clone();
        annotations.insert(name.to_owned(), value.to_owned());
        let annotations =
            simple::Annotations::of(|name| annotations.get(name).map(String::as_str)).unwrap();
        let refusal = simple::verify(&payload, &annotations, expected, &signers).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{name} = {value:.40}: {refusal}");
    }
}

/// What a Blueprint keeps of its signer is held against who is trusted today.
#[test]
fn a_signer_is_known_again_by_the_name_that_is_kept() {
    let root = root();
    let identities = [
        identity(),
        expression("^.+ by example\\.org$", "^https://issuer\\."),
    ];
    let signers = Signers::of_identities(&root, &identities);
    let keyless = signers.keyless().unwrap();
    let name = |subject: &str, issuer: &str| {
        let signer = Signer::Identity {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
        };
        signer.to_string()
    };
    let maker = maker();
    for (signer, expected) in [
        (name(&maker.subject, &maker.issuer), true),
        (
            name("one by example.org", "https://issuer.example.org"),
            true,
        ),
        (name(&maker.subject, "https://issuer.example.org"), false),
        (name("somebody", &maker.issuer), false),
        (maker.subject.clone(), false),
        (format!("sha256:{}", "a".repeat(64)), false),
        (String::new(), false),
    ] {
        assert_eq!(keyless.includes(&signer), expected, "{signer:?}");
    }
}
