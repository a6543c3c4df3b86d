//! Blueprint: what lies in the registry, signed by somebody trusted, becomes a
//! Blueprint object; what is no longer trusted is marked, and never removed under
//! an Application that uses it.

use std::collections::BTreeSet;

use catalyst_api::RegisterBlueprint;
use catalyst_commands::Actor;
use catalyst_names::BlueprintName;
use catalyst_resources::{BlueprintSpec, SovereignSpec};
use catalyst_signature::{PublicKey, TrustPolicy};
use catalyst_supply::{Reference, VerifyError};
use serde_json::{Map, Value};

use crate::conditions::{self, Observation};
use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::desired::management::SHARED_SOURCES;
use crate::error::ReconcileError;
use crate::kubernetes::{BLUEPRINT, ORGANIZATION};
use crate::object::{name, text};
use crate::runtime::Next;

const READY: &str = "Ready";

/// Every repository of every source, for the sweep; those of Blueprint objects
/// too, so that one that vanished is noticed.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let mut found: BTreeSet<String> = BTreeSet::new();
    let organizations = management.list(ORGANIZATION, "", "").await?;
    let sources = SHARED_SOURCES
        .iter()
        .copied()
        .chain(organizations.iter().map(name));
    for source in sources {
        let repositories =
            ctx.registry_admin
                .repositories(source)
                .await
                .map_err(ReconcileError::port(
                    "list",
                    format!("the registry project {source}"),
                ))?;
        found.extend(repositories);
    }
    for object in management.list(BLUEPRINT, "", "").await? {
        found.insert(text(&object, "/spec/repository").to_owned());
    }
    for repository in found {
        if parts(&repository).is_some() {
            shared.blueprints.add(repository);
        }
    }
    Ok(())
}

/// The source and the name of a repository, if it can be one of Blueprints.
fn parts(repository: &str) -> Option<(&str, &str)> {
    let (source, name) = repository.split_once('/')?;
    BlueprintName::new(name).ok().map(|_| (source, name))
}

/// Admits the new versions in one repository, and looks at the admitted ones again.
pub async fn reconcile(shared: &Shared, repository: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let Some((source, blueprint)) = parts(repository) else {
        return Ok(None);
    };
    let admitted: Vec<Value> = ctx
        .management()
        .list(BLUEPRINT, "", "")
        .await?
        .into_iter()
        .filter(|object| text(object, "/spec/repository") == repository)
        .collect();
    let tags = ctx
        .registry_admin
        .tags(repository)
        .await
        .map_err(ReconcileError::port(
            "list",
            format!("the versions of {repository}"),
        ))?;
    let policy = trust(&ctx.sovereign().await?);
    for version in tags.iter().filter(|tag| is_version(tag)) {
        let object = BlueprintSpec::object_name(source, blueprint, version);
        if admitted.iter().all(|one| name(one) != object) {
            admit(ctx, source, blueprint, version).await;
        }
    }
    for object in &admitted {
        verify_again(ctx, object, &policy).await?;
    }
    Ok(None)
}

/// SemVer, and not one of the tags that signatures lie under.
fn is_version(tag: &str) -> bool {
    semver::Version::parse(tag).is_ok_and(|version| version.build.is_empty())
}

/// A version that is not admitted is told of in the log and nowhere else: whoever
/// asks for it by name gets the reason.
async fn admit(ctx: &Context, source: &str, name: &str, version: &str) {
    let request = RegisterBlueprint {
        source: source.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    };
    if let Err(error) = ctx
        .commands
        .blueprint_register(&catalyst(ctx), request)
        .await
    {
        tracing::warn!(source, name, version, error = %error, "Blueprint not admitted");
    } else {
        tracing::info!(source, name, version, "Blueprint admitted");
    }
}

/// The control plane itself, as it appears in what it writes.
fn catalyst(ctx: &Context) -> Actor {
    Actor {
        username: "catalyst".to_owned(),
        email: Some(ctx.mail("catalyst")),
        sovereign_admin: true,
        ..Actor::default()
    }
}

async fn verify_again(
    ctx: &Context,
    object: &Value,
    policy: &TrustPolicy,
) -> Result<(), ReconcileError> {
    let said: BlueprintSpec = spec(object)?;
    let observed = match verdict(ctx, &said, policy).await {
        Ok(()) => Observation::holds(READY, "Verified", "its signature is by a trusted signer"),
        Err(VerifyError::Registry(error)) if !error.is_not_found() => {
            // No verdict: what was true stays true until somebody can be asked.
            tracing::debug!(blueprint = name(object), error = %error, "Blueprint not verified again");
            return Ok(());
        }
        Err(VerifyError::Registry(_)) => Observation::fails(
            READY,
            "ArtifactMissing",
            format!(
                "the registry no longer has {} {}; publish it again",
                said.repository, said.digest
            ),
        ),
        Err(VerifyError::Refused(refusal)) => {
            Observation::fails(READY, refusal.reason(), refusal.to_string())
        }
        Err(error) => Observation::fails(READY, "NotVerified", error.to_string()),
    };
    let management = ctx.management();
    conditions::write(&management, object, &[observed], Map::new()).await
}

async fn verdict(
    ctx: &Context,
    said: &BlueprintSpec,
    policy: &TrustPolicy,
) -> Result<(), VerifyError> {
    let at = reference(ctx, &said.repository, &said.digest).map_err(|reason| {
        VerifyError::NotABlueprint {
            reference: said.repository.clone(),
            reason,
        }
    })?;
    ctx.registry
        .verify(&at, &said.source, policy)
        .await
        .map(drop)
}

/// An artifact by its digest.
pub fn reference(ctx: &Context, repository: &str, digest: &str) -> Result<Reference, String> {
    let scheme = if ctx.addresses.registry_insecure {
        "http"
    } else {
        "https"
    };
    let host = &ctx.addresses.registry_host;
    Reference::parse(&format!("{scheme}://{host}/{repository}@{digest}"))
        .map_err(|error| error.to_string())
}

/// Whom the Sovereign trusts. A key that cannot be read trusts nobody.
pub fn trust(sovereign: &SovereignSpec) -> TrustPolicy {
    let mut policy = TrustPolicy::new();
    for signer in &sovereign.trusted_signers {
        match PublicKey::from_pem(&signer.public_key) {
            Ok(key) => {
                policy.trust(signer.source.as_str(), key);
            }
            Err(error) => {
                tracing::warn!(source = signer.source, error = %error, "trusted signer's key cannot be read");
            }
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blueprints_versions_count() {
        assert_eq!(
            parts("catalog/bp-postgres"),
            Some(("catalog", "bp-postgres"))
        );
        assert_eq!(parts("catalog/postgres"), None);
        assert_eq!(parts("bp-postgres"), None);
        assert_eq!(parts("acme/images/bp-x"), None);
        for (tag, expected) in [
            ("1.4.0", true),
            ("1.0.0-rc.1", true),
            ("latest", false),
            ("sha256-abc.sig", false),
            ("1.4", false),
        ] {
            assert_eq!(is_version(tag), expected, "{tag}");
        }
    }
}
