//! Cosign's simple-signing payload: a small JSON naming the digest, stored as a
//! layer of the `sha256-<digest>.sig` manifest with the signature in an
//! annotation. Every cosign and every Flux that verifies at all reads this form.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{Expected, KeyError, Refusal, Signer, Signers, SigningKey, Verified, keyless};

/// The media type of the payload's layer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The layer's annotation that holds the signature, base64 of ASN.1 DER.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// That of the certificate (PEM) by which it was made, where it was made by one.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// That of the certificates (PEM) which lead from it to an authority.
pub const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";
/// That of the transparency log's promise, JSON.
pub const BUNDLE_ANNOTATION: &str = "dev.sigstore.cosign/bundle";
/// That of a timestamp (RFC 3161), JSON.
pub const TIMESTAMP_ANNOTATION: &str = "dev.sigstore.cosign/rfc3161timestamp";

const PAYLOAD_TYPE: &str = "cosign container image signature";

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// A payload and its signature, as they go into the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleSignature {
    /// The layer's bytes.
    pub payload: Vec<u8>,
    /// The value of [`SIGNATURE_ANNOTATION`].
    pub signature: String,
}

/// What a layer of the tag's form carries beside its payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Annotations<'a> {
    /// The value of [`SIGNATURE_ANNOTATION`].
    pub signature: &'a str,
    /// That of [`CERTIFICATE_ANNOTATION`].
    pub certificate: Option<&'a str>,
    /// That of [`CHAIN_ANNOTATION`].
    pub chain: Option<&'a str>,
    /// That of [`BUNDLE_ANNOTATION`].
    pub bundle: Option<&'a str>,
    /// That of [`TIMESTAMP_ANNOTATION`].
    pub timestamp: Option<&'a str>,
}

impl<'a> Annotations<'a> {
    /// Those of a layer, whose annotation of a name `get` gives; none where it carries
    /// no signature.
    pub fn of(get: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Some(Self::beside(get)).filter(|found| !found.signature.is_empty())
    }

    /// Those of a layer that carries its signature within, or none.
    pub fn beside(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let given = |name| get(name).filter(|value| !value.is_empty());
        Self {
            signature: given(SIGNATURE_ANNOTATION).unwrap_or_default(),
            certificate: given(CERTIFICATE_ANNOTATION),
            chain: given(CHAIN_ANNOTATION),
            bundle: given(BUNDLE_ANNOTATION),
            timestamp: given(TIMESTAMP_ANNOTATION),
        }
    }
}

/// The tag under which the signature manifest of `digest` lives beside the artifact.
pub fn signature_tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

/// Signs `digest` (`sha256:<hex>`) under the repository reference (no tag).
pub fn sign(key: &SigningKey, reference: &str, digest: &str) -> Result<SimpleSignature, KeyError> {
    let payload = Payload {
        critical: Critical {
            identity: Identity {
                docker_reference: reference.to_owned(),
            },
            image: Image {
                docker_manifest_digest: digest.to_owned(),
            },
            kind: PAYLOAD_TYPE.to_owned(),
        },
        optional: None,
    };
    // A struct of strings has no way to fail in serialisation.
    let payload = serde_json::to_vec(&payload).map_err(|_| KeyError::Sign)?;
    let signature = STANDARD.encode(key.sign(&payload)?);
    Ok(SimpleSignature { payload, signature })
}

/// Decides on one signature of the tag scheme.
///
/// The signature is checked before the payload is parsed, so a payload nobody
/// trusted signed is never interpreted.
pub fn verify(
    payload: &[u8],
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    signers: &Signers<'_>,
) -> Result<Verified, Refusal> {
    let raw = STANDARD
        .decode(annotations.signature.trim())
        .map_err(|_| expected.malformed("the signature is not base64"))?;
    let signer = signer(payload, &raw, annotations, expected, signers)?;
    let payload: Payload = serde_json::from_slice(payload).map_err(|error| {
        expected.malformed(format!("the payload is not simple signing JSON: {error}"))
    })?;
    if payload.critical.kind != PAYLOAD_TYPE {
        return Err(expected.malformed(format!(
            "the payload's type is {:?}, not {PAYLOAD_TYPE:?}",
            payload.critical.kind
        )));
    }
    expected.check_claims(
        &payload.critical.image.docker_manifest_digest,
        &payload.critical.identity.docker_reference,
    )?;
    Ok(Verified {
        digest: expected.digest.to_owned(),
        signer,
    })
}

/// Who of the trusted ones made it. A trusted key counts whatever else lies beside it.
fn signer(
    payload: &[u8],
    signature: &[u8],
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    signers: &Signers<'_>,
) -> Result<Signer, Refusal> {
    let mut keys = signers.keys().iter();
    if let Some(key) = keys.find(|key| key.is_signer_of(payload, signature)) {
        return Ok(Signer::Key((*key).clone()));
    }
    match (annotations.certificate, signers.keyless()) {
        (Some(certificate), Some(keyless)) => keyless::signer_of_payload(
            payload,
            signature,
            certificate,
            annotations,
            expected,
            keyless,
        ),
        _ => Err(expected.foreign(signers)),
    }
}
