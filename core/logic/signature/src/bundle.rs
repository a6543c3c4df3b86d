//! The sigstore bundle v0.3: what cosign 3 and current Flux attach as a referrer.
//!
//! Written for a plain key, without a transparency log, as a DSSE envelope around an
//! in-toto statement, as cosign does for container signatures; a `messageSignature`
//! over the manifest's digest is read too. One that carries a certificate instead of a
//! key hint counts where the policy names identities and a trusted root.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use crate::statement::{
    self, Envelope, PAYLOAD_TYPE, STATEMENT_TYPE, Statement, pre_authentication,
};
use crate::{
    Expected, KeyError, PublicKey, Refusal, Signer, Signers, SigningKey, Verified, keyless,
};

/// The media type of the bundle, and the `artifactType` of its referrer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The predicate cosign gives the signature of a container.
pub const PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The annotation in which a bundle's referrer says what its predicate is.
pub const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

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
    certificate: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct KeyHint {
    #[serde(default)]
    hint: String,
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
    signers: &Signers<'_>,
) -> Result<Verified, Refusal> {
    let asked = Asked {
        bundle: parse(bundle, expected)?,
        bytes: bundle,
        expected,
        signers,
    };
    let signer = match (&asked.bundle.dsse_envelope, &asked.bundle.message_signature) {
        (Some(envelope), None) => {
            let (statement, signer, _) = asked.open(envelope)?;
            if statement.kind != STATEMENT_TYPE {
                return Err(expected.malformed(format!(
                    "the statement's type is {:?}, not {STATEMENT_TYPE:?}",
                    statement.kind
                )));
            }
            if statement.predicate_type != PREDICATE_TYPE {
                return Err(expected.malformed(format!(
                    "the statement's predicate is {:?}, not {PREDICATE_TYPE:?}",
                    statement.predicate_type
                )));
            }
            statement.check_subject(expected)?;
            signer
        }
        (None, Some(message)) => asked.signer_of_message(message, manifest)?,
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
    signers: &Signers<'_>,
) -> Result<(Value, Verified), Refusal> {
    let asked = Asked {
        bundle: parse(bundle, expected)?,
        bytes: bundle,
        expected,
        signers,
    };
    let Some(envelope) = &asked.bundle.dsse_envelope else {
        return Err(expected.malformed("it holds no dsseEnvelope"));
    };
    let (statement, signer, payload) = asked.open(envelope)?;
    statement.check_subject(expected)?;
    let digest = expected.digest.to_owned();
    let whole = statement::whole(&payload, expected)?;
    Ok((whole, Verified { digest, signer }))
}

/// Whether a bundle is the signature of a container, as opposed to some other
/// attestation that also hangs on it. Reads without verifying, only to choose; one
/// that cannot be read is left to verification, which says why.
pub fn is_signature(bundle: &[u8]) -> bool {
    attested(bundle).is_none()
}

/// The predicate that a bundle attests, where it is no signature of a container. Reads
/// without verifying.
pub fn attested(bundle: &[u8]) -> Option<String> {
    let bundle: Bundle = serde_json::from_slice(bundle).ok()?;
    bundle.dsse_envelope?.attested()
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
    let material = &bundle.verification_material;
    if material.public_key.is_some() == material.certificate.is_some() {
        return Err(expected.malformed("it must name either a public key or a certificate"));
    }
    Ok(bundle)
}

/// One bundle, and who may have made it.
struct Asked<'a> {
    bundle: Bundle,
    /// The same as it came.
    bytes: &'a [u8],
    expected: Expected<'a>,
    signers: &'a Signers<'a>,
}

impl Asked<'_> {
    /// The statement, who made it, and its bytes.
    fn open(&self, envelope: &Envelope) -> Result<(Statement, Signer, Vec<u8>), Refusal> {
        let expected = self.expected;
        let (payload, raw) = envelope.open(expected)?;
        if self.is_keyless() {
            let statement = Statement::read(&payload, expected)?;
            let signer = self.keyless_signer(statement.subject(expected)?.1)?;
            return Ok((statement, signer, payload));
        }
        let message = pre_authentication(PAYLOAD_TYPE, &payload);
        let signer = self.key_of(|key| key.is_signer_of(&message, &raw))?;
        Ok((Statement::read(&payload, expected)?, signer, payload))
    }

    fn signer_of_message(
        &self,
        message: &MessageSignature,
        manifest: &[u8],
    ) -> Result<Signer, Refusal> {
        let expected = self.expected;
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
        let hex = hex::encode(&claimed);
        // First who made it, of the bytes that are held or of others: what it claims is
        // written by whoever attached it.
        let signer = match self.is_keyless() {
            true => self.keyless_signer(&hex)?,
            false => self.key_of(|key| {
                key.is_signer_of(manifest, &raw) || key.is_signer_of_digest(&claimed, &raw)
            })?,
        };
        // The name is not part of a message signature; the digest speaks alone.
        expected.check_claims(&format!("sha256:{hex}"), expected.name)?;
        Ok(signer)
    }

    fn is_keyless(&self) -> bool {
        self.bundle.verification_material.certificate.is_some()
    }

    /// The identity that made it, about something of the digest that it claims.
    fn keyless_signer(&self, claimed: &str) -> Result<Signer, Refusal> {
        match self.signers.keyless() {
            Some(keyless) => keyless::signer_of_bundle(self.bytes, claimed, self.expected, keyless),
            None => Err(self.expected.foreign(self.signers)),
        }
    }

    /// The key that made a signature, as `is_maker` has it.
    fn key_of(&self, is_maker: impl Fn(&PublicKey) -> bool) -> Result<Signer, Refusal> {
        self.candidates()
            .into_iter()
            .find(|&key| is_maker(key))
            .map(|key| Signer::Key(key.clone()))
            .ok_or_else(|| self.expected.foreign(self.signers))
    }

    /// The trusted keys the bundle may mean. A hint only narrows; it is not trusted.
    fn candidates(&self) -> Vec<&PublicKey> {
        let key = self.bundle.verification_material.public_key.as_ref();
        let hint = key.map_or("", |key| key.hint.as_str());
        let keys = self.signers.keys();
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
}
