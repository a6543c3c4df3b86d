//! Blueprint: what lies in the registry, signed by somebody trusted, becomes a
//! Blueprint object; what is no longer trusted is marked, and never removed under
//! an Application that uses it.

mod refusals;

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::RegisterBlueprint;
use catalyst_commands::{Actor, CommandError, trust_policy};
use catalyst_names::BlueprintName;
use catalyst_plan::WITHDRAWN;
use catalyst_resources::{BlueprintSourceStatus, BlueprintSpec};
use catalyst_signature::TrustPolicy;
use catalyst_supply::{Reference, RegistryError, VerifyError, digest};
use serde_json::{Map, Value};

use crate::conditions::{self, Observation};
use crate::context::{Context, spec};
use crate::controllers::Shared;
use crate::desired::management::SHARED_SOURCES;
use crate::error::ReconcileError;
use crate::kubernetes::{BLUEPRINT, BLUEPRINT_SOURCE, ORGANIZATION};
use crate::object::{condition, name, text};
use crate::runtime::Next;
use crate::source::status_of;

pub use refusals::{MOST_REFUSED, Refusals};

const READY: &str = "Ready";
/// The reason of one whose artifact the registry no longer has.
pub const ARTIFACT_MISSING: &str = "ArtifactMissing";
/// The reason of one whose version's tag names other content than was registered.
const TAG_MOVED: &str = "TagMoved";

/// Every repository of every source, for the sweep; those of Blueprint objects
/// too, and those that something was refused in, so that what vanished is noticed.
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
    for object in management.list(BLUEPRINT_SOURCE, "", "").await? {
        let refused = status_of(&object).refused.into_iter();
        found.extend(refused.map(|one| format!("{}/{}", name(&object), one.name)));
    }
    for repository in found {
        if BlueprintName::of_repository(&repository).is_some() {
            shared.blueprints.add(repository);
        }
    }
    Ok(())
}

/// Admits the new versions in one repository, and looks at the admitted ones again.
pub async fn reconcile(shared: &Shared, repository: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let Some((source, blueprint)) = BlueprintName::of_repository(repository) else {
        return Ok(None);
    };
    let blueprint = blueprint.as_str();
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
    let policy = trust_policy(&ctx.sovereign().await?);
    let found = ctx.management().get(BLUEPRINT_SOURCE, "", source).await?;
    let of_source = found.as_ref().map(status_of).unwrap_or_default();
    let before = refusals::of_blueprint(&of_source.refused, blueprint);
    let mut refused = BTreeMap::new();
    for version in tags.iter().filter(|tag| is_version(tag)) {
        let object = BlueprintSpec::object_name(source, blueprint, version);
        if admitted.iter().all(|one| name(one) != object)
            && let Err(error) = admit(ctx, source, blueprint, version).await
        {
            // A part that is away says nothing of a version: what was said stays.
            let why = match error.retryable() {
                true => before.get(version).cloned(),
                false => Some(refusals::told(&error)),
            };
            match why {
                Some(why) => {
                    refused.insert(version.clone(), why);
                }
                None => tracing::debug!(source, version, %error, "Blueprint not looked at"),
            }
        }
    }
    let is_told = refused == before;
    for (version, why) in shared.refusals.news(repository, refused) {
        tracing::warn!(
            source,
            name = blueprint,
            version,
            why,
            "Blueprint not admitted"
        );
    }
    if !is_told {
        // The controller of the source is the one that writes there.
        shared.sources.add(source.to_owned());
    }
    for object in &admitted {
        verify_again(ctx, object, &policy, &of_source).await?;
    }
    Ok(None)
}

/// SemVer, and not one of the tags that signatures lie under.
fn is_version(tag: &str) -> bool {
    semver::Version::parse(tag).is_ok_and(|version| version.build.is_empty())
}

/// Admits a version, or says why not: that is told in the log and by the status of its
/// source, and whoever asks for it by name gets the reason.
async fn admit(ctx: &Context, source: &str, name: &str, version: &str) -> Result<(), CommandError> {
    let request = RegisterBlueprint {
        source: source.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    };
    let registered = ctx
        .commands
        .blueprint_register(&catalyst(ctx), request)
        .await;
    registered?;
    tracing::info!(source, name, version, "Blueprint admitted");
    Ok(())
}

/// The control plane itself, as it appears in what it writes.
pub fn catalyst(ctx: &Context) -> Actor {
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
    of_source: &BlueprintSourceStatus,
) -> Result<(), ReconcileError> {
    let said: BlueprintSpec = spec(object)?;
    let mut fields = Map::new();
    let outcome = match reference(ctx, &said.repository, &said.digest) {
        Ok(at) => {
            let (verified, tagged) = futures::join!(
                ctx.registry.verify(&at, &said.source, policy),
                ctx.registry.manifest(&at, &said.version),
            );
            if let Ok(verified) = &verified {
                let signer = verified.signer.to_string();
                fields.insert("signer".to_owned(), Value::String(signer));
            }
            (verified.map(drop), tagged.map(|manifest| digest(&manifest)))
        }
        Err(reason) => {
            let reference = said.repository.clone();
            let error = VerifyError::NotABlueprint { reference, reason };
            (Err(error), Ok(said.digest.clone()))
        }
    };
    let ready = match observe(&said, outcome) {
        Ok(observed) => {
            let before = condition(object, READY).map(|one| text(one, "/reason"));
            if observed.reason == TAG_MOVED && before != Some(TAG_MOVED) {
                tracing::warn!(
                    blueprint = name(object),
                    why = observed.message,
                    "a tag moved"
                );
            }
            Some(observed)
        }
        // What was true stays true until somebody can be asked.
        Err(error) => {
            tracing::debug!(blueprint = name(object), %error, "Blueprint not verified again");
            kept(object, READY)
        }
    };
    let observed: Vec<Observation> = ready
        .into_iter()
        .chain(withdrawn(object, &said, of_source))
        .collect();
    if observed.is_empty() {
        return Ok(());
    }
    let management = ctx.management();
    conditions::write(&management, object, &observed, fields).await
}

/// What was said of an object the last time.
fn kept(object: &Value, kind: &'static str) -> Option<Observation> {
    let said = condition(object, kind)?;
    let status = said.get("status").cloned().unwrap_or_default();
    Some(Observation {
        kind,
        status: serde_json::from_value(status).ok()?,
        reason: text(said, "/reason").to_owned(),
        message: text(said, "/message").to_owned(),
    })
}

/// Whether its source took a version back, by what is known of the source's repository:
/// it is named there, or its Blueprint has no folder there any more. What was published
/// by another road than the repository never had one.
///
/// Nothing is offered again because less is known: while nothing is known of the
/// repository, or of the folder, what was said stays, and what was withdrawn waits for
/// its folder.
fn withdrawn(
    object: &Value,
    said: &BlueprintSpec,
    of_source: &BlueprintSourceStatus,
) -> Option<Observation> {
    let before = kept(object, WITHDRAWN);
    if of_source.revision.is_none() {
        return before;
    }
    let mut folders = of_source.blueprints.iter();
    if let Some(folder) = folders.find(|folder| folder.name == said.name) {
        if folder.yanked_unknown {
            return before;
        }
        let reason = folder.yanked.get(&said.version)?;
        return Some(Observation::holds(WITHDRAWN, "Yanked", reason.as_str()));
    }
    // Its folder may be one of those that the status has no room for.
    if of_source.blueprints_left_out.is_some() {
        return before;
    }
    let mut signers = of_source.signer.iter().chain(&of_source.former_signers);
    let is_own = signers.any(|signer| *signer == said.signer);
    (is_own || before.is_some()).then(|| {
        let why = "its folder is no longer in the repository of its source";
        Observation::holds(WITHDRAWN, "FolderRemoved", why)
    })
}

/// What the registry's answers say of an admitted artifact: whether its signature
/// holds, and the digest that its version's tag names. An error is no answer.
fn observe(
    said: &BlueprintSpec,
    (verified, tagged): (Result<(), VerifyError>, Result<String, RegistryError>),
) -> Result<Observation, RegistryError> {
    match verified {
        Ok(()) => {}
        Err(VerifyError::Registry(error)) if !error.is_not_found() => return Err(error),
        Err(VerifyError::Registry(_)) => {
            let why = format!(
                "the registry no longer has {} {}; publish it again",
                said.repository, said.digest
            );
            return Ok(Observation::fails(READY, ARTIFACT_MISSING, why));
        }
        Err(VerifyError::Refused(refusal)) => {
            return Ok(Observation::fails(
                READY,
                refusal.reason(),
                refusal.to_string(),
            ));
        }
        Err(error) => return Ok(Observation::fails(READY, "NotVerified", error.to_string())),
    }
    match tagged {
        Ok(tagged) if tagged != said.digest => {
            let why = format!(
                "the tag {}:{} names {tagged} now; what was registered, {}, stays what Applications run; put the tag back, and publish the changed Blueprint under a new version",
                said.repository, said.version, said.digest
            );
            Ok(Observation::holds(READY, TAG_MOVED, why))
        }
        Err(error) if !error.is_not_found() => Err(error),
        // A tag that was deleted names nothing else.
        _ => Ok(Observation::holds(
            READY,
            "Verified",
            "its signature is by a trusted signer",
        )),
    }
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

#[cfg(test)]
mod tests {
    use catalyst_resources::ConditionStatus;

    use super::*;

    #[test]
    fn what_was_registered_stays_whatever_its_tag_names() {
        let said = BlueprintSpec {
            source: "catalog".to_owned(),
            name: "bp-wiki".to_owned(),
            version: "1.2.0".to_owned(),
            digest: "sha256:aa".to_owned(),
            signer: String::new(),
            repository: "catalog/bp-wiki".to_owned(),
            blueprint: Map::new(),
            icon: None,
            description: None,
        };
        let named = |digest: &str| Ok(digest.to_owned());
        let answered = |status| RegistryError::Refused {
            action: "pull",
            reference: "catalog/bp-wiki:1.2.0".to_owned(),
            status,
            detail: String::new(),
        };
        let gone = || Err(VerifyError::Registry(answered(404)));
        let (yes, no) = (ConditionStatus::True, ConditionStatus::False);
        for (outcome, status, reason) in [
            ((Ok(()), named("sha256:aa")), yes, "Verified"),
            ((Ok(()), Err(answered(404))), yes, "Verified"),
            ((Ok(()), named("sha256:bb")), yes, "TagMoved"),
            ((gone(), named("sha256:bb")), no, "ArtifactMissing"),
        ] {
            let observed = observe(&said, outcome).unwrap();
            assert_eq!(
                (observed.status, observed.reason.as_str()),
                (status, reason)
            );
            if reason == TAG_MOVED {
                assert_eq!(
                    observed.message,
                    "the tag catalog/bp-wiki:1.2.0 names sha256:bb now; what was registered, sha256:aa, stays what Applications run; put the tag back, and publish the changed Blueprint under a new version"
                );
            }
        }
        // Nothing is said while nobody can be asked.
        let away = || VerifyError::Registry(answered(503));
        assert!(observe(&said, (Err(away()), named("sha256:aa"))).is_err());
        assert!(observe(&said, (Ok(()), Err(answered(503)))).is_err());
    }

    #[test]
    fn a_version_is_withdrawn_by_what_its_source_says_and_by_nothing_else() {
        let said = |version: &str, signer: &str| -> BlueprintSpec {
            serde_json::from_value(serde_json::json!({
                "source": "acme", "name": "bp-wiki", "version": version, "digest": "sha256:aa",
                "signer": signer, "repository": "acme/bp-wiki", "blueprint": {},
            }))
            .unwrap()
        };
        let source = |revision: Option<&str>, folder: Option<&Value>| -> BlueprintSourceStatus {
            serde_json::from_value(serde_json::json!({
                "revision": revision, "signer": "own",
                "blueprints": folder.into_iter().collect::<Vec<_>>(),
            }))
            .unwrap()
        };
        let plain = serde_json::json!({"name": "bp-wiki", "version": "1.1.0"});
        let mut yanking = plain.clone();
        yanking["yanked"] = serde_json::json!({"1.0.0": "it loses pages"});
        for (of_source, version, signer, expected) in [
            (source(Some("c1"), Some(&plain)), "1.0.0", "own", None),
            (source(Some("c1"), Some(&yanking)), "1.1.0", "own", None),
            (
                source(Some("c1"), Some(&yanking)),
                "1.0.0",
                "own",
                Some("Yanked"),
            ),
            // Whoever published it.
            (
                source(Some("c1"), Some(&yanking)),
                "1.0.0",
                "other",
                Some("Yanked"),
            ),
            (
                source(Some("c1"), None),
                "1.0.0",
                "own",
                Some("FolderRemoved"),
            ),
            (source(Some("c1"), None), "1.0.0", "other", None),
            // Nothing is known of a repository that was never read.
            (source(None, None), "1.0.0", "own", None),
        ] {
            let found = withdrawn(&Value::Null, &said(version, signer), &of_source);
            let found = found.as_ref().map(|one| one.reason.as_str());
            assert_eq!(found, expected, "{version} {signer} {of_source:?}");
        }
        // What was said stays where less is known, and until its folder is there again.
        let taken_back = serde_json::json!({"status": {"conditions": [{
            "type": WITHDRAWN, "status": "True", "reason": "Yanked", "message": "it loses pages",
        }]}});
        for (of_source, expected) in [
            (source(None, None), Some(("Yanked", "it loses pages"))),
            (source(Some("c1"), Some(&plain)), None),
            (
                source(Some("c1"), None),
                Some((
                    "FolderRemoved",
                    "its folder is no longer in the repository of its source",
                )),
            ),
        ] {
            let found = withdrawn(&taken_back, &said("1.0.0", "other"), &of_source);
            let found = found
                .as_ref()
                .map(|one| (one.reason.as_str(), one.message.as_str()));
            assert_eq!(found, expected, "{of_source:?}");
        }
        // So it does where the status has no room for what the folder says, or for it.
        let mut untold = plain.clone();
        untold["yankedUnknown"] = true.into();
        let mut crowded = source(Some("c1"), None);
        crowded.blueprints_left_out = Some(1);
        for of_source in [source(Some("c1"), Some(&untold)), crowded] {
            for (object, expected) in [(&taken_back, Some("Yanked")), (&Value::Null, None)] {
                let found = withdrawn(object, &said("1.0.0", "own"), &of_source);
                let found = found.as_ref().map(|one| one.reason.as_str());
                assert_eq!(found, expected, "{of_source:?}");
            }
        }
        // The key was replaced since.
        let mut replaced = source(Some("c1"), None);
        replaced.former_signers = vec!["older".to_owned()];
        for (signer, expected) in [("own", true), ("older", true), ("other", false)] {
            let found = withdrawn(&Value::Null, &said("1.0.0", signer), &replaced);
            assert_eq!(found.is_some(), expected, "{signer}");
        }
    }

    #[test]
    fn only_versions_count() {
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
