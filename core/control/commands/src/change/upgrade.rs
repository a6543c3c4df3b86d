//! Another version of what runs: whether it takes what runs now, and what becomes of
//! its settings.

use catalyst_api::MovedSetting;
use catalyst_blueprint::MovedValue;
use catalyst_plan::AdmittedBlueprint;
use catalyst_resources::Application;
use semver::Version;
use serde_json::Value;

use super::{Draft, Ground};
use crate::CommandError;
use crate::catalogue::Catalogue;

/// `spec.upgrades` of the version that shall run.
pub(crate) fn check_upgrade(
    ground: &Ground<'_>,
    before: &Application,
    target: &AdmittedBlueprint,
) -> Result<(), CommandError> {
    let Ok(from) = Version::parse(&before.spec.blueprint.version) else {
        return Ok(());
    };
    let to = target.blueprint.version();
    if from == *to {
        return Ok(());
    }
    target
        .blueprint
        .spec
        .upgrades
        .check(&from, to)
        .map_err(|reason| CommandError::Allow {
            action: ground.action.clone(),
            reason,
            next: Some(way_to(ground.catalogue, target, &from)),
        })
}

/// What a downgrade may do to data, where a change of version is one: nothing that an
/// Application keeps goes back with its version.
pub(crate) fn downgrade(before: &Application, target: &AdmittedBlueprint) -> Option<String> {
    let from = Version::parse(&before.spec.blueprint.version).ok()?;
    let to = target.blueprint.version();
    (*to < from).then(|| {
        format!(
            "this is a downgrade: {} goes from {} {from} back to {to}; its data is not rolled back, and what {from} has migrated forward may be unreadable to {to}: make a backup first",
            before.metadata.name,
            target.name(),
        )
    })
}

/// What to do about an upgrade that is refused: by which versions to go.
pub(crate) fn way_to(catalogue: &Catalogue, target: &AdmittedBlueprint, from: &Version) -> String {
    let (source, name, to) = (&target.source, target.name(), target.blueprint.version());
    let way = catalogue.catalog.upgrade_way(source, name, from, to);
    let way: Vec<String> = way.iter().flatten().map(ToString::to_string).collect();
    match way.split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            format!(
                "upgrade to {first} first, then to {}",
                rest.join(", then to ")
            )
        }
        _ => format!(
            "no version of {name} that is listed leads from {from} to {to}: stay, or install another Application"
        ),
    }
}

/// Has a config be one of the version that shall run, as that version declares it, and
/// says what was moved.
pub(crate) fn migrate(
    before: &Application,
    target: &AdmittedBlueprint,
    config: &mut Value,
) -> Vec<MovedValue> {
    match Version::parse(&before.spec.blueprint.version) {
        Ok(from) => target.blueprint.spec.upgrades.migrate(&from, config),
        Err(_) => Vec::new(),
    }
}

/// Shows in the plan what becomes of the settings of an Application.
pub(crate) fn show_moved(draft: &mut Draft, application: &str, moved: Vec<MovedValue>) {
    for one in &moved {
        let place = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
        let from = place(&one.from);
        draft.warnings.push(match &one.to {
            Some(to) => format!("the setting {from} of {application} becomes {}", place(to)),
            None => format!("the setting {from} of {application} is dropped"),
        });
    }
    let mut planned = draft.planned.iter_mut();
    if let Some(entry) = planned.find(|entry| entry.name == application) {
        let shown = moved.into_iter().map(|one| MovedSetting {
            from: one.from,
            to: one.to,
        });
        entry.moved.extend(shown);
    }
}
