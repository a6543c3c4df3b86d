//! What fleet upgrades are made of: whose Applications, in what order, by whose leave.
//! Pure; used by the commands beside it and by the push check.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{BlockedUpgrade, Fault, PlanView, PlannedAction, PlannedUpgrade};
use catalyst_names::{EnvType, EnvironmentName};
use catalyst_resources::{
    Application, BlueprintReference, FleetUpgrade, FleetUpgradeSpec, UpgradeMember,
};
use semver::Version;

use super::Standing;
use crate::configuration::{Edit, object};
use crate::documents::{self, fault};
use crate::state::{Applications, Configuration, application_path};
use crate::users::{only_admin, only_sovereign_admin};
use crate::{Access, CommandError};

/// The most Applications of one fleet upgrade.
pub(super) const MOST: usize = 500;

/// Whose Applications are meant: an Organization's, or (`None`) all.
pub(super) fn scope(
    access: &Access,
    configuration: &Configuration,
    asked: Option<&str>,
    action: &str,
) -> Result<Option<String>, CommandError> {
    let Some(name) = asked else {
        if access.is_sovereign_admin() {
            return Ok(None);
        }
        let own = access.organizations().keys();
        let mut own = own.filter(|name| access.can_admin(name));
        return match (own.next(), own.next()) {
            (Some(one), None) => Ok(Some(one.clone())),
            (Some(_), Some(_)) => Err(CommandError::Validate {
                action: action.to_owned(),
                reason: "nothing says of which Organization".to_owned(),
                next: Some("name the one that is meant".to_owned()),
                faults: Vec::new(),
            }),
            (None, _) => only_sovereign_admin(access, action).map(|()| None),
        };
    };
    only_admin(access, name, action)?;
    if configuration.organizations.contains_key(name) {
        return Ok(Some(name.to_owned()));
    }
    Err(CommandError::Find {
        action: action.to_owned(),
        what: format!("Organization {name}"),
        next: "look at the list of Organizations".to_owned(),
    })
}

/// The stages in the order of their turn: as asked for, else from the least to the most
/// that depends on them.
pub(super) fn stages(asked: &[String], action: &str) -> Result<Vec<String>, CommandError> {
    if asked.is_empty() {
        let all = EnvType::ALL.iter().rev();
        return Ok(all.map(|stage| stage.code().to_owned()).collect());
    }
    let mut stages: Vec<String> = Vec::new();
    for text in asked {
        let stage: EnvType = text.parse().map_err(|error: catalyst_names::NameError| {
            CommandError::validate(action, error.to_string())
        })?;
        if stages.iter().any(|known| known == stage.code()) {
            return Err(CommandError::validate(
                action,
                format!("the stage {stage} is named twice"),
            ));
        }
        stages.push(stage.code().to_owned());
    }
    Ok(stages)
}

/// A number of a request within its bounds.
pub(super) fn bounded(
    field: &str,
    asked: Option<u32>,
    most: u32,
    action: &str,
) -> Result<Option<u32>, CommandError> {
    match asked {
        Some(number) if !(1..=most).contains(&number) => Err(CommandError::validate(
            action,
            format!("{field} must be 1 to {most}, and is {number}"),
        )),
        other => Ok(other),
    }
}

/// Where an Application stands, as its Environment's repository has it.
pub(super) fn standing(tree: &Applications, name: &str, to: &BlueprintReference) -> Standing {
    let Some(found) = tree.applications.get(name) else {
        let path = application_path(name);
        let mut faults = tree.faults.iter();
        // The command says what is wrong with the file.
        return match faults.any(|fault| fault.file.as_deref() == Some(path.as_str())) {
            true => Standing::Behind,
            false => Standing::Left("there is no such Application any more".to_owned()),
        };
    };
    if found.spec.deletion.is_some() {
        return Standing::Left("it is being deleted".to_owned());
    }
    let has = &found.spec.blueprint;
    if (&has.source, &has.name) != (&to.source, &to.name) {
        return Standing::Left(format!("it is {} of {} now", has.name, has.source));
    }
    match (Version::parse(&has.version), Version::parse(&to.version)) {
        _ if has.version == to.version => Standing::There,
        (Ok(has), Ok(to)) if has > to => Standing::Left(format!("it has version {has} already")),
        _ => Standing::Behind,
    }
}

/// An Application that may be upgraded, or that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub stage: String,
    pub member: UpgradeMember,
    /// Why not, before anything is planned.
    pub blocked: Option<(String, String)>,
}

/// The Applications of an Environment that have an older version, by name.
pub(super) fn candidates(
    environment: &str,
    stage: &str,
    tree: &Applications,
    to: &BlueprintReference,
) -> Vec<Candidate> {
    let behind = |name: &str, found: &Application| -> Option<Candidate> {
        if standing(tree, name, to) != Standing::Behind {
            return None;
        }
        let blocked = found.spec.paused.then(|| {
            (
                "it is paused, so that nobody would see it run".to_owned(),
                "resume it first, or upgrade it by itself".to_owned(),
            )
        });
        Some(Candidate {
            stage: stage.to_owned(),
            member: UpgradeMember {
                environment: environment.to_owned(),
                application: name.to_owned(),
                from: found.spec.blueprint.version.clone(),
            },
            blocked,
        })
    };
    let all = tree.applications.iter();
    all.filter_map(|(name, found)| behind(name, found))
        .collect()
}

/// What a plan does to one Application, in sum.
pub(super) fn planned(member: &UpgradeMember, plan: &PlanView) -> PlannedUpgrade {
    let count = |action: PlannedAction| {
        let found = plan.objects.iter().filter(|it| it.action == action).count();
        u32::try_from(found).unwrap_or(u32::MAX)
    };
    let own = plan.applications.iter();
    let own = own.filter(|it| it.name == member.application);
    PlannedUpgrade {
        environment: member.environment.clone(),
        application: member.application.clone(),
        from: member.from.clone(),
        policies: plan.policies.clone(),
        moved: own.flat_map(|it| it.moved.clone()).collect(),
        creates: count(PlannedAction::Create),
        updates: count(PlannedAction::Update),
        deletes: count(PlannedAction::Delete),
        warnings: plan.warnings.clone(),
    }
}

pub(super) fn blocked(
    member: &UpgradeMember,
    reason: String,
    next: Option<String>,
) -> BlockedUpgrade {
    BlockedUpgrade {
        environment: member.environment.clone(),
        application: member.application.clone(),
        from: member.from.clone(),
        reason,
        next,
    }
}

/// Whether two fleet upgrades are about the same Applications.
fn is_rival(one: &FleetUpgradeSpec, other: &FleetUpgradeSpec) -> bool {
    let (a, b) = (&one.blueprint, &other.blueprint);
    let is_shared = match (&one.organization, &other.organization) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    is_shared && (&a.source, &a.name) == (&b.source, &b.name)
}

fn path_of(name: &str) -> String {
    format!("upgrades/{name}.yaml")
}

/// Declares a fleet upgrade, and takes those away that it follows and that are `over`:
/// history has them.
pub(super) fn declare(
    configuration: &Configuration,
    access: &Access,
    name: &str,
    spec: &FleetUpgradeSpec,
    over: &BTreeSet<String>,
    action: &str,
) -> Result<Edit, CommandError> {
    // Rights may have changed since it was planned.
    scope(access, configuration, spec.organization.as_deref(), action)?;
    let mut files = BTreeMap::new();
    for (other, found) in &configuration.upgrades {
        if !is_rival(spec, &found.spec) {
            continue;
        }
        if !found.spec.cancelled && !over.contains(other) {
            let blueprint = &found.spec.blueprint;
            // Of one that they do not see, people learn no more than that it is there.
            let (reason, next) = match is_seen(access, &found.spec) {
                true => (
                    format!(
                        "there is a fleet upgrade of {} to {} that is not over: {other}",
                        blueprint.name, blueprint.version
                    ),
                    format!("wait for it, or cancel {other}"),
                ),
                false => (
                    format!(
                        "there is a fleet upgrade of {} in all Organizations that is not over",
                        blueprint.name
                    ),
                    "wait for it, or ask a sovereign-admin to cancel it".to_owned(),
                ),
            };
            return Err(CommandError::Allow {
                action: action.to_owned(),
                reason,
                next: Some(next),
            });
        }
        if found.spec.organization == spec.organization {
            files.insert(path_of(other), None);
        }
    }
    let written: FleetUpgrade = object("FleetUpgrade", name, spec.clone());
    files.insert(path_of(name), Some(documents::write(&written, None)));
    let of = match &spec.organization {
        Some(organization) => format!(" of {organization}"),
        None => String::new(),
    };
    let blueprint = &spec.blueprint;
    Ok(Edit {
        subject: format!(
            "Upgrade every {}{of} to {}",
            blueprint.name, blueprint.version
        ),
        files,
    })
}

/// Whether somebody may know of a fleet upgrade: one of all Organizations names
/// Applications of each.
fn is_seen(access: &Access, spec: &FleetUpgradeSpec) -> bool {
    match &spec.organization {
        Some(organization) => access.can_read(organization),
        None => access.is_sovereign_admin(),
    }
}

/// A fleet upgrade that somebody may steer.
fn steered<'a>(
    configuration: &'a Configuration,
    access: &Access,
    name: &str,
    action: &str,
) -> Result<&'a FleetUpgrade, CommandError> {
    let found = configuration.upgrades.get(name);
    let found = found
        .filter(|found| is_seen(access, &found.spec))
        .ok_or_else(|| CommandError::Find {
            action: action.to_owned(),
            what: format!("fleet upgrade {name}"),
            next: "look at the list of fleet upgrades".to_owned(),
        })?;
    match &found.spec.organization {
        Some(organization) => only_admin(access, organization, action)?,
        None => only_sovereign_admin(access, action)?,
    }
    Ok(found)
}

fn rewritten(
    configuration: &Configuration,
    name: &str,
    found: &FleetUpgrade,
    subject: String,
) -> Edit {
    let path = path_of(name);
    let before = configuration.files.get(&path).map(String::as_str);
    let text = documents::write(found, before);
    Edit {
        subject,
        files: BTreeMap::from([(path, Some(text))]),
    }
}

pub(super) fn cancel(
    configuration: &Configuration,
    access: &Access,
    name: &str,
    action: &str,
) -> Result<Edit, CommandError> {
    let mut after = steered(configuration, access, name, action)?.clone();
    after.spec.cancelled = true;
    let subject = format!("Cancel fleet upgrade {name}");
    Ok(rewritten(configuration, name, &after, subject))
}

/// Goes on after a stop, in the name of who says so: who asked for it may be gone.
pub(super) fn resume(
    configuration: &Configuration,
    access: &Access,
    name: &str,
    username: &str,
    stopped_attempt: Option<i32>,
    action: &str,
) -> Result<Edit, CommandError> {
    let mut after = steered(configuration, access, name, action)?.clone();
    let refuse = |reason: &str, next: &str| CommandError::Allow {
        action: action.to_owned(),
        reason: reason.to_owned(),
        next: Some(next.to_owned()),
    };
    if after.spec.cancelled {
        return Err(refuse("it was cancelled", "begin another one"));
    }
    if stopped_attempt != Some(after.spec.attempt) {
        return Err(refuse(
            "it has not stopped",
            "look at how far it is; what waits for a pull request goes on when that is merged",
        ));
    }
    after.spec.attempt = after.spec.attempt.saturating_add(1);
    username.clone_into(&mut after.spec.requested_by);
    let subject = format!("Resume fleet upgrade {name}");
    Ok(rewritten(configuration, name, &after, subject))
}

/// Everything that makes no sense in a fleet upgrade, whoever wrote it.
pub(crate) fn problems(spec: &FleetUpgradeSpec) -> Vec<String> {
    let mut found = Vec::new();
    if Version::parse(&spec.blueprint.version).is_err() {
        found.push(format!(
            "blueprint.version is no version: {}",
            spec.blueprint.version
        ));
    }
    let mut members = BTreeSet::new();
    for member in spec.waves.iter().flat_map(|wave| &wave.applications) {
        let place = format!("{}/{}", member.environment, member.application);
        let owner = EnvironmentName::new(member.environment.clone())
            .and_then(|environment| environment.parts());
        match owner {
            Ok((owner, _)) => {
                if let Some(organization) = &spec.organization
                    && owner.as_str() != organization.as_str()
                {
                    found.push(format!("{place} is not of {organization}"));
                }
            }
            Err(error) => found.push(error.to_string()),
        }
        if !members.insert(place.clone()) {
            found.push(format!("{place} is in it twice"));
        }
    }
    if members.len() > MOST {
        found.push(format!("it has more than {MOST} Applications"));
    }
    found
}

/// Fleet upgrades that would go in the name of somebody else than who pushes them.
/// Anybody else's may be cancelled, and nothing more.
pub(crate) fn requester_faults(
    base: &Configuration,
    after: &Configuration,
    pusher: &str,
) -> Vec<Fault> {
    let is_only_cancelled = |name: &str, wanted: &FleetUpgradeSpec| {
        base.upgrades.get(name).is_some_and(|before| {
            let cancelled = FleetUpgradeSpec {
                cancelled: wanted.cancelled || before.spec.cancelled,
                ..before.spec.clone()
            };
            cancelled == *wanted
        })
    };
    after
        .upgrades
        .iter()
        .filter(|(name, found)| {
            found.spec.requested_by != pusher && !is_only_cancelled(name, &found.spec)
        })
        .map(|(name, _)| {
            let path = format!("upgrades/{name}.yaml");
            let text = after.files.get(&path).map_or("", String::as_str);
            let reason =
                format!("a fleet upgrade goes in the name of who asks for it: write {pusher}");
            fault(&path, text, "/spec/requestedBy", reason)
        })
        .collect()
}

#[cfg(test)]
mod tests;
