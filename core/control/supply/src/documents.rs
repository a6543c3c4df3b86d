//! The SBOMs of an artifact, as they are read again.
//!
//! An SBOM hangs on its artifact twice: as a document, which other tools read, and in an
//! attestation, which says who vouches for it. What must stay true: where somebody
//! trusted attests SBOMs of a kind, no other one of that kind is believed, whoever
//! attached it; and what nobody vouches for is never told as if somebody did.

use catalyst_signature::Signers;
use serde_json::Value;

use crate::{Reference, Registry, RegistryError, describe};

/// The most documents of one artifact that are read, the largest, and the most bytes of
/// them together: all are in memory at once, several times as large once they are parsed.
const MAX_DOCUMENTS: usize = 8;
pub(crate) const MAX_DOCUMENT: u64 = 32 * 1024 * 1024;
const MAX_DOCUMENT_BYTES: u64 = 2 * MAX_DOCUMENT;

/// An SBOM of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// [`crate::media::CYCLONEDX`] or [`crate::media::SPDX`].
    pub media_type: String,
    /// What it says.
    pub content: Value,
    /// Who attests it, where it is somebody trusted.
    pub signer: Option<String>,
}

impl Registry {
    /// The SBOMs of an artifact, by media type: of each kind those that somebody of
    /// `signers` attests, and where nobody does those that are attached to it, by
    /// whomever. What cannot be read, and what is more than is read of all of them, is
    /// left out.
    pub async fn documents(
        &self,
        at: &Reference,
        subject: &str,
        signers: &Signers<'_>,
    ) -> Result<Vec<Document>, RegistryError> {
        let mut found = self.attested_documents(at, subject, signers).await?;
        let others = self.attached_documents(at, subject, &found).await?;
        found.extend(others);
        found.sort_by(|left, right| left.media_type.cmp(&right.media_type));
        Ok(found)
    }

    async fn attested_documents(
        &self,
        at: &Reference,
        subject: &str,
        signers: &Signers<'_>,
    ) -> Result<Vec<Document>, RegistryError> {
        let mut found: Vec<Document> = Vec::new();
        if signers.keys().is_empty() && signers.keyless().is_none() {
            return Ok(found);
        }
        self.statements(at, subject, signers, |predicate, said| {
            let kind = describe::BILLS.into_iter().find(|(_, it)| *it == predicate);
            let (Some((kind, _)), Ok((mut statement, by))) = (kind, said) else {
                return;
            };
            let content = statement.get_mut("predicate").map(Value::take);
            // SPDX in its own notation is attested as text, under the same name.
            let Some(content) = content.filter(Value::is_object) else {
                return;
            };
            let is_known = |it: &Document| it.media_type == kind && it.content == content;
            if found.len() < MAX_DOCUMENTS && !found.iter().any(is_known) {
                found.push(Document {
                    media_type: kind.to_owned(),
                    content,
                    signer: Some(by.signer.to_string()),
                });
            }
        })
        .await?;
        Ok(found)
    }

    /// Those of the kinds that are not among `attested`.
    async fn attached_documents(
        &self,
        at: &Reference,
        subject: &str,
        attested: &[Document],
    ) -> Result<Vec<Document>, RegistryError> {
        let mut lacking = describe::BILLS.map(|(kind, _)| kind).to_vec();
        lacking.retain(|kind| !attested.iter().any(|it| it.media_type == *kind));
        let mut found = Vec::new();
        if lacking.is_empty() {
            return Ok(found);
        }
        let referrers = self.referrers(at, subject).await?;
        let wanted = referrers.iter().filter_map(|referrer| {
            let kind = referrer.artifact_type.as_deref()?;
            lacking.contains(&kind).then_some((kind, referrer))
        });
        let mut left = MAX_DOCUMENT_BYTES;
        for (kind, referrer) in wanted.take(MAX_DOCUMENTS) {
            match self.attached(at, referrer, left.min(MAX_DOCUMENT)).await {
                Ok(bytes) => {
                    left = left.saturating_sub(bytes.len() as u64);
                    if let Ok(content) = serde_json::from_slice(&bytes) {
                        found.push(Document {
                            media_type: kind.to_owned(),
                            content,
                            signer: None,
                        });
                    }
                }
                Err(error) if error.retryable() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(found)
    }
}
