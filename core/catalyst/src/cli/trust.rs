//! Whose signatures count: those whom the Sovereign trusts, or whom a person names, by
//! a key or in the words that cosign has for certificates.

use std::path::{Path, PathBuf};

use anyhow::Context;
use catalyst_api::SovereignView;
use catalyst_signature::{Identity, IdentityFields, PublicKey, TrustPolicy, TrustedRoot};
use serde_json::Value;

use super::api::Api;
use super::supply;

/// Who must have signed, where it is not left to the Sovereign.
#[derive(Debug, clap::Args)]
pub struct Signer {
    /// The public key that must have signed it (PEM); those whom the Sovereign
    /// trusts for its source unless somebody is named here.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    certificate: Certificate,
    /// The authorities and logs that certificates are held against, as cosign takes them.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    trusted_root: Option<PathBuf>,
}

/// What its certificate must say.
#[derive(Debug, clap::Args)]
#[group(requires = "trusted_root", conflicts_with = "key")]
struct Certificate {
    /// Whom the certificate that signed it must be made out to: a mail address or a URI.
    #[arg(long, value_name = "IDENTITY")]
    certificate_identity: Option<String>,
    /// A regular expression that must be found in it.
    #[arg(long, value_name = "REGEXP", conflicts_with = "certificate_identity")]
    certificate_identity_regexp: Option<String>,
    /// The OpenID Connect issuer that must have vouched for them.
    #[arg(long, value_name = "ISSUER")]
    certificate_oidc_issuer: Option<String>,
    /// A regular expression that must be found in it.
    #[arg(
        long,
        value_name = "REGEXP",
        conflicts_with = "certificate_oidc_issuer"
    )]
    certificate_oidc_issuer_regexp: Option<String>,
}

impl Signer {
    /// A policy that trusts them, and nobody else, for a source; none where nobody is
    /// named.
    pub fn policy(&self, source: &str) -> anyhow::Result<Option<TrustPolicy>> {
        let mut policy = TrustPolicy::new();
        if let Some(path) = &self.key {
            policy.trust(source, supply::public_key(path)?);
            return Ok(Some(policy));
        }
        let Some(path) = &self.trusted_root else {
            return Ok(None);
        };
        let certificate = &self.certificate;
        let identity = Identity::new(IdentityFields {
            subject: certificate.certificate_identity.as_deref(),
            subject_regexp: certificate.certificate_identity_regexp.as_deref(),
            issuer: certificate.certificate_oidc_issuer.as_deref(),
            issuer_regexp: certificate.certificate_oidc_issuer_regexp.as_deref(),
        })?;
        policy.trust_identity(source, identity);
        policy.believe(trusted_root(path)?);
        Ok(Some(policy))
    }
}

fn trusted_root(path: &Path) -> anyhow::Result<TrustedRoot> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the trusted root {}", path.display()))?;
    TrustedRoot::from_json(&text)
        .with_context(|| format!("cannot use the trusted root {}", path.display()))
}

/// Whom the Sovereign trusts, for every source.
pub async fn of_sovereign(api: &Api) -> anyhow::Result<TrustPolicy> {
    let sovereign: SovereignView = api.sovereign().await?;
    let mut policy = TrustPolicy::new();
    for signer in &sovereign.trusted_signers {
        policy.trust(
            signer.source.clone(),
            PublicKey::from_pem(&signer.public_key)?,
        );
    }
    if sovereign.keyless_signers.is_empty() {
        return Ok(policy);
    }
    for signer in &sovereign.keyless_signers {
        let identity = Identity::new(IdentityFields {
            subject: signer.subject.as_deref(),
            subject_regexp: signer.subject_regexp.as_deref(),
            issuer: signer.issuer.as_deref(),
            issuer_regexp: signer.issuer_regexp.as_deref(),
        })?;
        policy.trust_identity(signer.source.clone(), identity);
    }
    let root: Value = api.get(&["sovereign", "trusted-root"]).await?;
    let root = TrustedRoot::from_json(&root.to_string())
        .context("cannot use the trusted root that the Sovereign publishes")?;
    policy.believe(root);
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        signer: Signer,
    }

    fn read(words: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(std::iter::once("verify").chain(words.split_whitespace()))
    }

    #[test]
    fn certificates_are_named_whole_or_not_at_all() {
        for (words, is_taken) in [
            ("", true),
            ("--key a.pub", true),
            (
                "--certificate-identity a --certificate-oidc-issuer b --trusted-root c",
                true,
            ),
            (
                "--certificate-identity-regexp a --certificate-oidc-issuer-regexp b --trusted-root c",
                true,
            ),
            (
                "--certificate-identity a --certificate-oidc-issuer b",
                false,
            ),
            ("--key a.pub --trusted-root c", false),
            (
                "--key a.pub --certificate-identity a --trusted-root c",
                false,
            ),
            (
                "--certificate-identity a --certificate-identity-regexp a --trusted-root c",
                false,
            ),
            (
                "--certificate-oidc-issuer a --certificate-oidc-issuer-regexp a --trusted-root c",
                false,
            ),
            ("--key a.pub --certificate-identity a", false),
            ("--key a.pub --certificate-oidc-issuer-regexp a", false),
            ("--certificate-identity-regexp a", false),
            ("--trusted-root c", true),
        ] {
            assert_eq!(read(words).is_ok(), is_taken, "{words}");
        }
        assert!(read("").unwrap().signer.policy("acme").unwrap().is_none());
        let line = read("--certificate-identity a --trusted-root none").unwrap();
        let error = line.signer.policy("acme").unwrap_err();
        assert!(error.to_string().contains("it names no issuer"), "{error}");
        let line =
            read("--certificate-identity a --certificate-oidc-issuer b --trusted-root /none");
        let error = line.unwrap().signer.policy("acme").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("cannot read the trusted root /none")
        );
    }
}
