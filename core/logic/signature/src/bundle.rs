//! The sigstore bundle v0.3 for a plain key, without a transparency log: what
//! cosign 3 and current Flux attach as a referrer.
//!
//! Written as a DSSE envelope around an in-toto statement, as cosign does for
//! container signatures; a `messageSignature` over the manifest's digest is read
//! too. A bundle that carries a certificate instead of a key hint is refused:
//! keyless identities need a trust root that a self-contained Sovereign lacks.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Expected, KeyError, PublicKey, Refusal, SigningKey, Verified};

/// The media type of the bundle, and the `artifactType` of its referrer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The predicate cosign gives the signature of a container.
pub const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The annotation in which a bundle's referrer says what its predicate is.
pub const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<KeyHint>,
}

#[derive(Deserialize)]
struct KeyHint {
    #[serde(default)]
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: MessageDigest,
    signature: String,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    name: Option<String>,
    digest: std::collections::BTreeMap<String, String>,
}

/// A bundle whose statement says: this key vouches for `digest` under `reference`.
pub fn sign(key: &SigningKey, reference: &str, digest: &str) -> Result<Vec<u8>, KeyError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": reference, "digest": {"sha256": hex}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {},
    });
    sign_statement(key, &statement)
}

/// A bundle around any in-toto statement; provenance is attested this way too.
pub fn sign_statement(key: &SigningKey, statement: &Value) -> Result<Vec<u8>, KeyError> {
    let payload = statement.to_string().into_bytes();
    let signature = key.sign(&pre_authentication(PAYLOAD_TYPE, &payload))?;
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.public().hint()}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    });
    Ok(bundle.to_string().into_bytes())
}

/// Decides on one bundle that claims to sign a manifest.
///
/// `manifest` is the signed artifact's own bytes, which a `messageSignature`
/// covers directly; `expected.digest` is their digest.
pub fn verify(
    bundle: &[u8],
    manifest: &[u8],
    expected: Expected<'_>,
    keys: &[&PublicKey],
) -> Result<Verified, Refusal> {
    let bundle = parse(bundle, expected)?;
    let candidates = candidates(&bundle, keys);
    let signer = match (&bundle.dsse_envelope, &bundle.message_signature) {
        (Some(envelope), None) => {
            let (statement, signer) = open(envelope, expected, &candidates, keys)?;
            if statement.predicate_type != PREDICATE_TYPE {
                return Err(expected.malformed(format!(
                    "the statement's predicate is {:?}, not {PREDICATE_TYPE:?}",
                    statement.predicate_type
                )));
            }
            check_subjects(&statement, expected)?;
            signer
        }
        (None, Some(message)) => verify_message(message, manifest, expected, &candidates, keys)?,
        _ => {
            return Err(
                expected.malformed("it must hold either a dsseEnvelope or a messageSignature")
            );
        }
    };
    Ok(Verified {
        digest: expected.digest.to_owned(),
        signer,
    })
}

/// Opens a bundle around a statement of any predicate (provenance, SBOM) about
/// `expected`, and returns the whole statement.
pub fn verify_statement(
    bundle: &[u8],
    expected: Expected<'_>,
    keys: &[&PublicKey],
) -> Result<(Value, Verified), Refusal> {
    let bundle = parse(bundle, expected)?;
    let candidates = candidates(&bundle, keys);
    let Some(envelope) = &bundle.dsse_envelope else {
        return Err(expected.malformed("it holds no dsseEnvelope"));
    };
    let (statement, signer) = open(envelope, expected, &candidates, keys)?;
    check_subjects(&statement, expected)?;
    let payload = STANDARD
        .decode(&envelope.payload)
        .map_err(|_| expected.malformed("the payload is not base64"))?;
    let whole = serde_json::from_slice(&payload)
        .map_err(|error| expected.malformed(format!("the statement is not JSON: {error}")))?;
    let digest = expected.digest.to_owned();
    Ok((whole, Verified { digest, signer }))
}

/// Whether a bundle is the signature of a container, as opposed to some other
/// attestation that also hangs on it. Reads without verifying, only to choose.
pub fn is_signature(bundle: &[u8]) -> bool {
    let Ok(bundle) = serde_json::from_slice::<Bundle>(bundle) else {
        return true; // Unreadable: let verification say why.
    };
    let Some(envelope) = bundle.dsse_envelope else {
        return true;
    };
    let Ok(payload) = STANDARD.decode(&envelope.payload) else {
        return true;
    };
    serde_json::from_slice::<Statement>(&payload)
        .map_or(true, |statement| statement.predicate_type == PREDICATE_TYPE)
}

fn parse(bundle: &[u8], expected: Expected<'_>) -> Result<Bundle, Refusal> {
    let bundle: Bundle = serde_json::from_slice(bundle)
        .map_err(|error| expected.malformed(format!("it is not a sigstore bundle: {error}")))?;
    if bundle.media_type != MEDIA_TYPE {
        return Err(expected.malformed(format!(
            "its media type is {:?}, not {MEDIA_TYPE:?}",
            bundle.media_type
        )));
    }
    if bundle.verification_material.public_key.is_none() {
        return Err(expected
            .malformed("it is not signed by a plain key, and certificates are not accepted here"));
    }
    Ok(bundle)
}

/// The trusted keys the bundle may mean. A hint only narrows; it is not trusted.
fn candidates<'k>(bundle: &Bundle, keys: &[&'k PublicKey]) -> Vec<&'k PublicKey> {
    let hint = bundle
        .verification_material
        .public_key
        .as_ref()
        .map_or("", |key| key.hint.as_str());
    let named: Vec<&PublicKey> = keys
        .iter()
        .copied()
        .filter(|key| key.hint() == hint)
        .collect();
    if named.is_empty() {
        keys.to_vec()
    } else {
        named
    }
}

fn open(
    envelope: &Envelope,
    expected: Expected<'_>,
    candidates: &[&PublicKey],
    trusted: &[&PublicKey],
) -> Result<(Statement, PublicKey), Refusal> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(expected.malformed(format!(
            "its payload type is {:?}, not {PAYLOAD_TYPE:?}",
            envelope.payload_type
        )));
    }
    let payload = STANDARD
        .decode(&envelope.payload)
        .map_err(|_| expected.malformed("the payload is not base64"))?;
    let [signature] = envelope.signatures.as_slice() else {
        return Err(expected.malformed("a bundle holds exactly one signature"));
    };
    let raw = STANDARD
        .decode(&signature.sig)
        .map_err(|_| expected.malformed("the signature is not base64"))?;
    let message = pre_authentication(&envelope.payload_type, &payload);
    let signer = candidates
        .iter()
        .find(|key| key.is_signer_of(&message, &raw))
        .ok_or_else(|| expected.foreign(trusted))?;
    let statement: Statement = serde_json::from_slice(&payload).map_err(|error| {
        expected.malformed(format!("the payload is not an in-toto statement: {error}"))
    })?;
    if statement.kind != STATEMENT_TYPE {
        return Err(expected.malformed(format!(
            "the statement's type is {:?}, not {STATEMENT_TYPE:?}",
            statement.kind
        )));
    }
    Ok((statement, (*signer).clone()))
}

fn check_subjects(statement: &Statement, expected: Expected<'_>) -> Result<(), Refusal> {
    let [subject] = statement.subject.as_slice() else {
        return Err(expected.malformed("the statement must have exactly one subject"));
    };
    let Some(hex) = subject.digest.get("sha256") else {
        return Err(expected.malformed("the statement's subject has no sha256 digest"));
    };
    // cosign leaves the subject unnamed; the digest then speaks alone.
    let name = subject.name.as_deref().unwrap_or(expected.name);
    expected.check_claims(&format!("sha256:{hex}"), name)
}

fn verify_message(
    message: &MessageSignature,
    manifest: &[u8],
    expected: Expected<'_>,
    candidates: &[&PublicKey],
    trusted: &[&PublicKey],
) -> Result<PublicKey, Refusal> {
    if message.message_digest.algorithm != "SHA2_256" {
        return Err(expected.malformed(format!(
            "its digest algorithm is {:?}, not SHA2_256",
            message.message_digest.algorithm
        )));
    }
    let claimed = STANDARD
        .decode(&message.message_digest.digest)
        .map_err(|_| expected.malformed("the message digest is not base64"))?;
    let raw = STANDARD
        .decode(&message.signature)
        .map_err(|_| expected.malformed("the signature is not base64"))?;
    // The name is not part of a message signature; the digest speaks alone.
    expected.check_claims(&format!("sha256:{}", hex::encode(claimed)), expected.name)?;
    candidates
        .iter()
        .find(|key| key.is_signer_of(manifest, &raw))
        .map(|key| (*key).clone())
        .ok_or_else(|| expected.foreign(trusted))
}

/// DSSE's pre-authentication encoding (DSSE v1.0.2, "PAE").
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_one_dsse_specifies() {
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
