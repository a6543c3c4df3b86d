//! Whether an artifact carries a signature by one of the trusted keys.
//!
//! Both of cosign's forms count: the `.sig` tag and sigstore bundles that
//! refer to the manifest. What must stay true: fail-closed; when nothing
//! counts, or the registry cannot be asked, the artifact is not used.

use catalyst_signature::{Expected, PublicKey, Refusal, bundle, simple};
use serde_json::Value;

use super::registry::{PullError, Repository};
use crate::json::{integer, list, text};

const MAX_SIGNATURES: usize = 32;
const MAX_SIGNATURE: usize = 1 << 20;

/// Why no signature counted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// The fingerprint of the key that signed `manifest`.
pub async fn verify(
    repository: &Repository,
    manifest: &[u8],
    digest: &str,
    keys: &[PublicKey],
) -> Result<String, VerifyError> {
    let keys: Vec<&PublicKey> = keys.iter().collect();
    let expected = Expected {
        digest,
        name: repository.artifact(),
    };
    let mut refusals = Vec::new();
    for (payload, signature) in simple_signatures(repository, digest).await? {
        match simple::verify(&payload, &signature, expected, &keys) {
            Ok(verified) => return Ok(verified.signer.fingerprint()),
            Err(refusal) => refusals.push(refusal),
        }
    }
    for found in bundles(repository, digest).await? {
        if !bundle::is_signature(&found) {
            continue;
        }
        match bundle::verify(&found, manifest, expected, &keys) {
            Ok(verified) => return Ok(verified.signer.fingerprint()),
            Err(refusal) => refusals.push(refusal),
        }
    }
    refusals.sort_by_key(|refusal| match refusal {
        Refusal::AlteredDigest { .. } => 0,
        Refusal::WrongIdentity { .. } => 1,
        Refusal::ForeignKey { .. } => 2,
        _ => 3,
    });
    Err(refusals
        .into_iter()
        .next()
        .unwrap_or(Refusal::Unsigned {
            name: expected.name.to_owned(),
            digest: digest.to_owned(),
        })
        .into())
}

async fn simple_signatures(
    repository: &Repository,
    digest: &str,
) -> Result<Vec<(Vec<u8>, String)>, PullError> {
    let bytes = match repository.manifest(&simple::signature_tag(digest)).await {
        Ok((bytes, _)) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut found = Vec::new();
    for layer in list(&manifest, "/layers").iter().take(MAX_SIGNATURES) {
        let signature = layer
            .get("annotations")
            .and_then(|all| all.get(simple::SIGNATURE_ANNOTATION))
            .and_then(Value::as_str);
        if let Some(signature) = signature {
            let payload = repository
                .blob(text(layer, "/digest"), MAX_SIGNATURE)
                .await?;
            found.push((payload.to_vec(), signature.to_owned()));
        }
    }
    Ok(found)
}

async fn bundles(repository: &Repository, digest: &str) -> Result<Vec<Vec<u8>>, PullError> {
    let mut found = Vec::new();
    let referrers = repository.referrers(digest).await?;
    let bundles = referrers
        .iter()
        .filter(|one| text(one, "/artifactType") == bundle::MEDIA_TYPE);
    for referrer in bundles.take(MAX_SIGNATURES) {
        let (bytes, _) = repository.manifest(text(referrer, "/digest")).await?;
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(layer) = list(&manifest, "/layers").first()
            && usize::try_from(integer(layer, "/size")).is_ok_and(|size| size <= MAX_SIGNATURE)
        {
            let bytes = repository
                .blob(text(layer, "/digest"), MAX_SIGNATURE)
                .await?;
            found.push(bytes.to_vec());
        }
    }
    Ok(found)
}
