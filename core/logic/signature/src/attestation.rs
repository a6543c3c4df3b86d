//! Cosign's older form of an attestation: a DSSE envelope that is a layer under the tag
//! `sha256-<digest>.att`, with a certificate and a log's word in the layer's
//! annotations where it was made without a key. cosign 2 writes it unless it is told
//! otherwise. It is read only; what is attested here is attested in bundles.

use serde_json::Value;

use crate::simple::Annotations;
use crate::statement::{self, Envelope, PAYLOAD_TYPE, Statement, pre_authentication};
use crate::{Expected, Refusal, Signer, Signers, Verified, keyless};

/// The media type of the envelope's layer.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The layer's annotation that says what the predicate is.
pub const PREDICATE_ANNOTATION: &str = "predicateType";

/// The tag under which the attestations of `digest` live beside the artifact.
pub fn attestation_tag(digest: &str) -> String {
    format!("{}.att", digest.replacen(':', "-", 1))
}

/// The predicate that an envelope attests, where it is no signature of a container.
/// Reads without verifying.
pub fn attested(envelope: &[u8]) -> Option<String> {
    let envelope: Envelope = serde_json::from_slice(envelope).ok()?;
    envelope.attested()
}

/// Opens an envelope around a statement of any predicate about `expected`, and returns
/// the whole statement. Of `annotations` the signature is not looked at, as the
/// envelope has it.
pub fn verify(
    envelope: &[u8],
    annotations: &Annotations<'_>,
    expected: Expected<'_>,
    signers: &Signers<'_>,
) -> Result<(Value, Verified), Refusal> {
    let envelope: Envelope = serde_json::from_slice(envelope)
        .map_err(|error| expected.malformed(format!("it is not a DSSE envelope: {error}")))?;
    let (payload, signature) = envelope.open(expected)?;
    let message = pre_authentication(PAYLOAD_TYPE, &payload);
    // A trusted key counts whatever else lies beside it.
    let key = signers
        .keys()
        .iter()
        .find(|key| key.is_signer_of(&message, &signature));
    let signer = match (key, annotations.certificate, signers.keyless()) {
        (Some(key), _, _) => Signer::Key((*key).clone()),
        (None, Some(certificate), Some(keyless)) => {
            let statement = Statement::read(&payload, expected)?;
            let (_, subject) = statement.subject(expected)?;
            keyless::signer_of_statement(
                &payload,
                &signature,
                subject,
                certificate,
                annotations,
                expected,
                keyless,
            )?
        }
        _ => return Err(expected.foreign(signers)),
    };
    Statement::read(&payload, expected)?.check_subject(expected)?;
    let digest = expected.digest.to_owned();
    let whole = statement::whole(&payload, expected)?;
    Ok((whole, Verified { digest, signer }))
}
