//! What is said of an artifact, beside that somebody made it: in bundles that refer to
//! it, and in cosign's older form, under a tag.
//!
//! What must stay true:
//! - What is told as somebody's is what somebody of the signers signed about that very
//!   artifact, whichever the form.
//! - What is looked at is bounded in number and in bytes, in each form.

use catalyst_signature::{
    Budget, Expected, Refusal, Signers, Verified, attestation, bundle, in_order, simple,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Descriptor, Reference, Registry, RegistryError, bundles::Bundles, documents::MAX_DOCUMENT,
    error::readable, verify::readable_or_none,
};

/// The most bytes of one statement: those of the largest document, in base64, and of
/// what is around it. Two of them are read in each form.
const MAX_STATEMENT: u64 = MAX_DOCUMENT / 3 * 4 + (64 << 10);
const MAX_STATEMENT_BYTES: u64 = 2 * MAX_STATEMENT;

/// What somebody says of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// The kind of statement, a URI.
    pub predicate_type: String,
    /// Who said it, where it is somebody trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Why nobody counts as having said it, where nobody does: [`Refusal::reason`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// A statement by somebody trusted, or why it is not.
pub(crate) type Said = Result<(Value, Verified), Refusal>;

impl Registry {
    /// What is attested of an artifact, in either form, and by whom of `signers`, each
    /// once. What cannot be read says nothing.
    pub async fn attestations(
        &self,
        at: &Reference,
        subject: &str,
        signers: &Signers<'_>,
    ) -> Result<Vec<Attestation>, RegistryError> {
        let mut found = Vec::new();
        self.statements(at, subject, signers, |predicate, said| {
            let (signer, reason) = match said {
                Ok((_, by)) => (Some(by.signer.to_string()), None),
                Err(refusal) => (None, Some(refusal.reason())),
            };
            found.push(Attestation {
                predicate_type: readable(&predicate),
                signer,
                reason,
            });
        })
        .await?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Hands on what is attested of an artifact, with the predicate that each claims to
    /// have, one after the other: together they may be large.
    pub(crate) async fn statements(
        &self,
        at: &Reference,
        subject: &str,
        signers: &Signers<'_>,
        mut take: impl FnMut(String, Said) + Send,
    ) -> Result<(), RegistryError> {
        let expected = Expected {
            digest: subject,
            name: at.artifact(),
        };
        let referrers = readable_or_none(expected, self.referrers(at, subject).await)?;
        let referrers = referrers.unwrap_or_default();
        let mut bundles = Bundles::of_statements(self, at, &referrers, budget());
        while let Some(attached) = bundles.following().await {
            let Some(attached) = readable_or_none(expected, attached)? else {
                continue;
            };
            if let Some(predicate) = bundle::attested(&attached) {
                let said = bundle::verify_statement(&attached, expected, signers);
                take(predicate, said);
            }
        }
        self.tagged_statements(at, expected, signers, &mut take)
            .await
    }

    /// The same in cosign's older form.
    async fn tagged_statements(
        &self,
        at: &Reference,
        expected: Expected<'_>,
        signers: &Signers<'_>,
        take: &mut (impl FnMut(String, Said) + Send),
    ) -> Result<(), RegistryError> {
        let tag = attestation::attestation_tag(expected.digest);
        let layers = readable_or_none(expected, self.layers_of_tag(at, &tag).await)?;
        let mut layers: Vec<Descriptor> = layers
            .into_iter()
            .flatten()
            .filter(|layer| layer.media_type == attestation::MEDIA_TYPE)
            .collect();
        in_order(&mut layers, |layer| {
            let predicate = layer.annotations.get(attestation::PREDICATE_ANNOTATION);
            let is_signature = predicate.is_some_and(|it| it == bundle::PREDICATE_TYPE);
            (is_signature, layer.size)
        });
        let mut budget = budget();
        for layer in &layers {
            if !budget.begin() {
                break;
            }
            let envelope = self.part(at, layer, &mut budget).await;
            let Some(Some(envelope)) = readable_or_none(expected, envelope)? else {
                continue;
            };
            if let Some(predicate) = attestation::attested(&envelope) {
                let annotations = simple::Annotations::beside(|name| {
                    layer.annotations.get(name).map(String::as_str)
                });
                let said = attestation::verify(&envelope, &annotations, expected, signers);
                take(predicate, said);
            }
        }
        Ok(())
    }
}

fn budget() -> Budget {
    Budget::of(MAX_STATEMENT, MAX_STATEMENT_BYTES)
}
