//! The view of a fleet upgrade, from its object.

use std::collections::BTreeMap;

use catalyst_api::{UpgradeView, UpgradedApplicationView, WaveView};
use catalyst_resources::{
    FleetUpgradeSpec, FleetUpgradeStatus, UpgradeMember, UpgradeState, UpgradedApplication,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::json::{condition, shown_time, text};

/// The word by which an enumeration is written.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn application(
    member: &UpgradeMember,
    known: Option<&UpgradedApplication>,
) -> UpgradedApplicationView {
    let pull = known.and_then(|known| known.pull_request);
    UpgradedApplicationView {
        environment: member.environment.clone(),
        application: member.application.clone(),
        from: member.from.clone(),
        state: word(&known.map_or(UpgradeState::Waiting, |known| known.state)),
        commit: known.and_then(|known| known.commit.clone()),
        pull_request: pull.and_then(|number| u64::try_from(number).ok()),
        since: known.and_then(|known| known.since.clone()),
        message: known.map(|known| known.message.clone()).unwrap_or_default(),
    }
}

/// A fleet upgrade and how far it is; none where its object cannot be read.
pub(super) fn upgrade(object: &Value, time: Timestamp) -> Option<UpgradeView> {
    let spec = object.get("spec").cloned().unwrap_or_default();
    let spec: FleetUpgradeSpec = serde_json::from_value(spec).ok()?;
    let status = object.get("status").cloned().unwrap_or_default();
    let status: FleetUpgradeStatus = serde_json::from_value(status).unwrap_or_default();
    let known: BTreeMap<(&str, &str), &UpgradedApplication> = status
        .applications
        .iter()
        .map(|it| ((it.environment.as_str(), it.application.as_str()), it))
        .collect();
    let waves = spec.waves.iter().map(|wave| WaveView {
        stage: wave.stage.clone(),
        applications: wave
            .applications
            .iter()
            .map(|it| {
                let place = (it.environment.as_str(), it.application.as_str());
                application(it, known.get(&place).copied())
            })
            .collect(),
    });
    let said = condition(object, "Completed").map_or("", |said| text(said, "/message"));
    Some(UpgradeView {
        name: text(object, "/metadata/name").to_owned(),
        source: spec.blueprint.source.clone(),
        blueprint: spec.blueprint.name.clone(),
        to: spec.blueprint.version.clone(),
        organization: spec.organization.clone(),
        requested_by: spec.requested_by.clone(),
        phase: status
            .phase
            .map_or("Progressing".to_owned(), |phase| word(&phase)),
        message: said.to_owned(),
        wave: status.wave.and_then(|wave| u32::try_from(wave).ok()),
        waves: waves.collect(),
        observed_at: shown_time(time),
    })
}
