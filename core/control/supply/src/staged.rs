//! Publishing in two halves, for what somebody else signs in between: a program that
//! has the key, or that signs without one (keyless, in continuous integration).
//!
//! What must stay true: an artifact is found by its version only once it carries a
//! signature, and a version that is there keeps its content.

use catalyst_signature::Refusal;

use crate::{
    Origin, Package, Reference, Registry, VerifyError, describe, digest, publish::place_of,
};

impl Registry {
    /// The first half: pushes a package, by its digest alone, and attaches SBOMs.
    /// `base` is a registry and a path, such as `ghcr.io/acme`. The answer names the
    /// version under which [`Self::release`] publishes it.
    pub async fn stage(
        &self,
        base: &str,
        package: &Package,
        origin: &Origin,
    ) -> Result<Reference, VerifyError> {
        let at = place_of(base, package)?;
        // First, since registries say what a repository has once it is there.
        self.push_package(&at, package).await?;
        self.check_free(&at, package).await?;
        let documents = describe::documents(package, origin);
        self.attach_documents(&at, package, &documents).await?;
        Ok(at)
    }

    /// The second half: refuses what carries no signature, and has the rest be found
    /// by its version. Whose signature it is, whoever verifies it decides.
    pub async fn release(&self, at: &Reference, package: &Package) -> Result<(), VerifyError> {
        let digest = package.digest();
        if self.count_signatures(at, digest).await? == 0 {
            return Err(Refusal::Unsigned {
                name: at.name(),
                digest: digest.to_owned(),
            }
            .into());
        }
        self.check_free(at, package).await?;
        Ok(self.push_version(at, package).await?)
    }

    /// Refuses to let a version name other content than it does.
    async fn check_free(&self, at: &Reference, package: &Package) -> Result<(), VerifyError> {
        let there = match self.manifest(at, at.target()).await {
            Ok(manifest) => digest(&manifest),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if there == package.digest() {
            return Ok(());
        }
        Err(VerifyError::Taken {
            reference: at.to_string(),
            digest: there,
        })
    }
}
