//! Signatures by certificates: made with a key of minutes, by somebody whom an OpenID
//! Connect issuer knows, and written down in a transparency log.
//!
//! `sigstore-verify` decides whether a certificate, its log, the entry and the time
//! fit each other and the trusted root; here is who counts, and how both forms of
//! cosign become what it reads. What must stay true:
//! - A certificate is held against its authority at the time that a log or a timestamp
//!   authority vouches for, never at that of the reader.
//! - Without a log's proof or promise nothing counts, as with cosign.
//! - Who signed is compared last, by claims that an authority vouched for.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sigstore_verify::{
    CertificateError, Error, TransparencyLogError, VerificationPolicy,
    types::{
        Artifact, Bundle, CanonicalizedBody, DerCertificate, DigestBytes, DsseEnvelope,
        DsseSignature, HashAlgorithm, InclusionPromise, KeyId, KindVersion, LogId, LogIndex,
        LogKeyId, MediaType, MessageDigest, MessageSignature, PayloadBytes, Rfc3161Timestamp,
        Sha256Hash, SignatureBytes, SignatureContent, SignedTimestamp, TimestampToken,
        TimestampVerificationData, TransparencyLogEntry, VerificationMaterial,
        VerificationMaterialContent, X509Certificate,
    },
};

use crate::policy::Keyless;
use crate::simple::Annotations;
use crate::statement::PAYLOAD_TYPE;
use crate::{Expected, Refusal, Signer};

/// The most certificates that are read beside the signer's.
const MAX_CHAIN: usize = 8;
const CERTIFICATE_END: &str = "-----END CERTIFICATE-----";

/// What cosign writes of the log beside a signature of the tag's form.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogBundle {
    signed_entry_timestamp: String,
    payload: LogPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPayload {
    body: String,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryKind {
    kind: String,
    api_version: String,
}

#[derive(Deserialize)]
struct TimestampBundle {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed_timestamp: String,
}

/// Who made a bundle about something of the digest `subject` (64 hexadecimal digits),
/// which the bundle claims and whoever asks compares.
pub(crate) fn signer_of_bundle(
    bytes: &[u8],
    subject: &str,
    expected: Expected<'_>,
    keyless: Keyless<'_>,
) -> Result<Signer, Refusal> {
    let bundle: Bundle = serde_json::from_slice(bytes)
        .map_err(|error| expected.malformed(format!("it is not a sigstore bundle: {error}")))?;
    let subject = Sha256Hash::from_hex(subject)
        .map_err(|_| expected.malformed("what it is about is not named by SHA-256"))?;
    signer_of(bundle, Artifact::from_digest(subject), expected, keyless)
}

/// Who made a signature of the tag's form, whose certificate is `certificate` (PEM).
pub(crate) fn signer_of_payload(
    payload: &[u8],
    signature: &[u8],
    certificate: &str,
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    keyless: Keyless<'_>,
) -> Result<Signer, Refusal> {
    let kind = |_: &CanonicalizedBody| Ok(KindVersion::HashedRekordV001);
    let material = material(certificate, annotations, expected, kind)?;
    // cosign hashes with SHA-256 here, whatever the key.
    let hash = DigestBytes::new(Sha256::digest(payload).to_vec());
    let message = MessageSignature::new(SignatureBytes::from_bytes(signature))
        .with_message_digest(MessageDigest::new(HashAlgorithm::Sha2256, hash));
    let content = SignatureContent::MessageSignature(message);
    // The version that a log's promise is enough for.
    let bundle = Bundle::new(MediaType::Bundle0_1, material, content);
    signer_of(bundle, Artifact::from_blob(payload), expected, keyless)
}

/// Who made the signature of an envelope around a statement about something of the
/// digest `subject` (64 hexadecimal digits), where certificate and log lie beside it.
pub(crate) fn signer_of_statement(
    payload: &[u8],
    signature: &[u8],
    subject: &str,
    certificate: &str,
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    keyless: Keyless<'_>,
) -> Result<Signer, Refusal> {
    let material = material(certificate, annotations, expected, kind_of_statement)?;
    let subject = Sha256Hash::from_hex(subject)
        .map_err(|_| expected.malformed("what it is about is not named by SHA-256"))?;
    let signature = DsseSignature::new(SignatureBytes::from_bytes(signature), KeyId::default());
    let payload = PayloadBytes::from_bytes(payload);
    let content =
        SignatureContent::DsseEnvelope(DsseEnvelope::new(PAYLOAD_TYPE, payload, signature));
    // The version that a log's promise is enough for.
    let bundle = Bundle::new(MediaType::Bundle0_1, material, content);
    signer_of(bundle, Artifact::from_digest(subject), expected, keyless)
}

/// What lies beside a signature under a tag, as bundles have it. `kind_of` says what an
/// entry's body has to be, with which it is compared.
fn material(
    certificate: &str,
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    kind_of: impl Fn(&CanonicalizedBody) -> Result<KindVersion, String>,
) -> Result<VerificationMaterial, Refusal> {
    let Some(log) = annotations.bundle else {
        let reason = "it has no promise of a transparency log beside it";
        return Err(expected.unlogged(reason));
    };
    let entry = entry(log, kind_of)
        .map_err(|reason| expected.malformed(format!("its transparency log entry {reason}")))?;
    let certificates = certificates(certificate, annotations.chain)
        .map_err(|reason| expected.malformed(format!("its certificate {reason}")))?;
    let timestamps = annotations.timestamp.map(timestamp).transpose();
    let timestamps = timestamps
        .map_err(|reason| expected.malformed(format!("its timestamp {reason}")))?
        .into_iter()
        .collect();
    let content = VerificationMaterialContent::X509CertificateChain { certificates };
    Ok(VerificationMaterial::new(content)
        .with_tlog_entries(vec![entry])
        .with_timestamp_verification_data(TimestampVerificationData::new(timestamps)))
}

fn signer_of(
    mut bundle: Bundle,
    artifact: Artifact<'_>,
    expected: Expected<'_>,
    keyless: Keyless<'_>,
) -> Result<Signer, Refusal> {
    if !keyless.root.has_timestamp_authorities() {
        // Where none is believed a timestamp says nothing, for or against.
        let timestamps = TimestampVerificationData::default();
        bundle.verification_material.timestamp_verification_data = timestamps;
    }
    let anybody = VerificationPolicy::any_identity();
    let verified = keyless
        .root
        .verifier()
        .verify(artifact, &bundle, &anybody)
        .map_err(|error| refusal(error, expected))?;
    let subject = verified.identity().map_or("", |claim| claim.as_str());
    let issuer = verified.issuer().unwrap_or_default();
    let identities = keyless.identities;
    if identities.iter().any(|one| one.is_of(subject, issuer)) {
        return Ok(Signer::Identity {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
        });
    }
    Err(expected.foreign_identity(subject, issuer, identities))
}

fn entry(
    text: &str,
    kind_of: impl Fn(&CanonicalizedBody) -> Result<KindVersion, String>,
) -> Result<TransparencyLogEntry, String> {
    let log: LogBundle = serde_json::from_str(text).map_err(unreadable)?;
    let index = LogIndex::try_from(log.payload.log_index).map_err(unreadable)?;
    let id = hex::decode(&log.payload.log_id).map_err(unreadable)?;
    let body = CanonicalizedBody::from_base64(&log.payload.body).map_err(unreadable)?;
    let promise = SignedTimestamp::from_base64(&log.signed_entry_timestamp).map_err(unreadable)?;
    let time = jiff::Timestamp::from_second(log.payload.integrated_time).map_err(unreadable)?;
    let kind = kind_of(&body)?;
    let id = LogId::new(LogKeyId::from_bytes(&id));
    Ok(TransparencyLogEntry::new(index, id, kind, body)
        .with_integrated_time(time)
        .with_inclusion_promise(InclusionPromise::new(promise)))
}

/// The kind of entry that a statement's body claims to be; cosign has written two.
fn kind_of_statement(body: &CanonicalizedBody) -> Result<KindVersion, String> {
    let kind: EntryKind = serde_json::from_slice(body.as_bytes()).map_err(unreadable)?;
    match (kind.kind.as_str(), kind.api_version.as_str()) {
        ("dsse", "0.0.1") => Ok(KindVersion::DsseV001),
        ("intoto", "0.0.2") => Ok(KindVersion::IntotoV002),
        (kind, version) => Err(format!(
            "is {kind:?} {version:?}, which is not of a statement"
        )),
    }
}

fn timestamp(text: &str) -> Result<Rfc3161Timestamp, String> {
    let bundle: TimestampBundle = serde_json::from_str(text).map_err(unreadable)?;
    let token = STANDARD
        .decode(&bundle.signed_timestamp)
        .map_err(unreadable)?;
    Ok(Rfc3161Timestamp::new(TimestampToken::new(token)))
}

/// The signer's certificate, and those that may lead from it to an authority.
fn certificates(leaf: &str, chain: Option<&str>) -> Result<Vec<X509Certificate>, String> {
    let blocks = chain
        .unwrap_or_default()
        .split_inclusive(CERTIFICATE_END)
        .filter(|block| block.contains(CERTIFICATE_END));
    std::iter::once(leaf)
        .chain(blocks.take(MAX_CHAIN))
        .map(|pem| {
            let certificate = DerCertificate::from_pem(pem.trim()).map_err(unreadable)?;
            Ok(X509Certificate::new(certificate))
        })
        .collect()
}

fn unreadable(error: impl std::fmt::Display) -> String {
    format!("cannot be read: {error}")
}

/// Each kind of failure as the reason that tells what to do about it.
fn refusal(error: Error, expected: Expected<'_>) -> Refusal {
    let told = error.to_string();
    match error {
        Error::Certificate(
            CertificateError::Expired { .. } | CertificateError::NotYetValid { .. },
        )
        | Error::TransparencyLog(TransparencyLogError::IntegratedTime(_)) => {
            expected.expired(told)
        }
        Error::Certificate(CertificateError::ChainInvalid(why)) => {
            // The library tells these apart in its text alone.
            match ["CertExpired", "CertNotValidYet"]
                .iter()
                .any(|it| why.contains(it))
            {
                true => expected.expired(told),
                false => expected.unknown_authority(told),
            }
        }
        Error::Certificate(CertificateError::NoValidAuthority { .. }) => {
            expected.unknown_authority(told)
        }
        Error::TransparencyLog(
            TransparencyLogError::EntryMismatch(_) | TransparencyLogError::MalformedEntry(_),
        )
        // What the bundle claims to be about is what it is held against, so it is the
        // log's entry that speaks of something else.
        | Error::ArtifactMismatch(_) => expected.logged_otherwise(told),
        Error::Certificate(CertificateError::Sct(_))
        | Error::TransparencyLog(_)
        | Error::Timestamp(_)
        | Error::Bundle(_) => expected.unlogged(told),
        _ => expected.malformed(told),
    }
}
