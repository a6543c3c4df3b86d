//! In-toto statements in DSSE envelopes, as each form of an attestation carries them.
//!
//! What must stay true: an envelope has one signature, and a statement one subject, so
//! that there is no doubt about who says what of what.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use crate::{Expected, Refusal, bundle};

/// What an envelope says that it holds.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The type of the statements that are made here.
pub(crate) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// That of the statements that cosign 2 attests.
const OLDER_STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v0.1";

/// A DSSE envelope (DSSE v1.0.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

impl Envelope {
    /// The statement's bytes and those of the signature on them.
    pub(crate) fn open(&self, expected: Expected<'_>) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(expected.malformed(format!(
                "its payload type is {:?}, not {PAYLOAD_TYPE:?}",
                self.payload_type
            )));
        }
        let payload = STANDARD
            .decode(&self.payload)
            .map_err(|_| expected.malformed("the payload is not base64"))?;
        let [signature] = self.signatures.as_slice() else {
            return Err(expected.malformed("an envelope holds exactly one signature"));
        };
        let signature = STANDARD
            .decode(&signature.sig)
            .map_err(|_| expected.malformed("the signature is not base64"))?;
        Ok((payload, signature))
    }

    /// The predicate that it attests, where that is not the signature of a container.
    /// Reads without verifying.
    pub(crate) fn attested(&self) -> Option<String> {
        let payload = STANDARD.decode(&self.payload).ok()?;
        let statement: Statement = serde_json::from_slice(&payload).ok()?;
        (statement.predicate_type != bundle::PREDICATE_TYPE).then_some(statement.predicate_type)
    }
}

/// What is said, but for the predicate itself.
#[derive(Deserialize)]
pub(crate) struct Statement {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    pub(crate) predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    name: Option<String>,
    digest: BTreeMap<String, String>,
}

impl Statement {
    /// Reads one of a type that is known.
    pub(crate) fn read(payload: &[u8], expected: Expected<'_>) -> Result<Self, Refusal> {
        let statement: Self = serde_json::from_slice(payload).map_err(|error| {
            expected.malformed(format!("the payload is not an in-toto statement: {error}"))
        })?;
        if ![STATEMENT_TYPE, OLDER_STATEMENT_TYPE].contains(&statement.kind.as_str()) {
            return Err(expected.malformed(format!(
                "the statement's type is {:?}, not {STATEMENT_TYPE:?}",
                statement.kind
            )));
        }
        Ok(statement)
    }

    /// What it is about: a name, where it has one, and the digest's hexadecimal digits.
    pub(crate) fn subject(&self, expected: Expected<'_>) -> Result<(Option<&str>, &str), Refusal> {
        let [subject] = self.subject.as_slice() else {
            return Err(expected.malformed("the statement must have exactly one subject"));
        };
        let Some(hex) = subject.digest.get("sha256") else {
            return Err(expected.malformed("the statement's subject has no sha256 digest"));
        };
        Ok((subject.name.as_deref(), hex))
    }

    /// Compares what it is about with what the caller holds.
    pub(crate) fn check_subject(&self, expected: Expected<'_>) -> Result<(), Refusal> {
        let (name, hex) = self.subject(expected)?;
        // cosign leaves the subject unnamed; the digest then speaks alone.
        let name = name.unwrap_or(expected.name);
        expected.check_claims(&format!("sha256:{hex}"), name)
    }
}

/// A statement with its predicate.
pub(crate) fn whole(payload: &[u8], expected: Expected<'_>) -> Result<Value, Refusal> {
    serde_json::from_slice(payload)
        .map_err(|error| expected.malformed(format!("the statement is not JSON: {error}")))
}

/// DSSE's pre-authentication encoding (DSSE v1.0.2, "PAE").
pub(crate) fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
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
