//! Sources of Blueprints: what is published from their repositories.

use catalyst_api::{
    BlueprintSourceView, RefusedArtifactView, SourceBlueprintView, SourceProblemView,
};
use catalyst_resources::BlueprintSource;
use jiff::Timestamp;
use serde_json::Value;

use super::health;

/// A source as its object tells it, with the forge's base URL before its repository;
/// `None` where the object cannot be read.
pub fn source(object: &Value, time: Timestamp, git: &str) -> Option<BlueprintSourceView> {
    let health = health::of_source(object, time);
    let object: BlueprintSource = serde_json::from_value(object.clone()).ok()?;
    let status = object.status.unwrap_or_default();
    let blueprints = status.blueprints.into_iter();
    let problems = status.problems.into_iter();
    let refused = status.refused.into_iter();
    Some(BlueprintSourceView {
        source: object.metadata.name,
        repository: format!("{git}/{}.git", object.spec.repository),
        revision: status.revision,
        read_at: status.read_at,
        signer: status.signer,
        blueprints: blueprints
            .map(|one| SourceBlueprintView {
                name: one.name,
                version: one.version,
                yanked: one.yanked,
            })
            .collect(),
        problems: problems
            .map(|one| SourceProblemView {
                file: one.file,
                line: one.line,
                rule: one.rule,
                message: one.message,
                fix: one.fix,
            })
            .collect(),
        refused: refused
            .map(|one| RefusedArtifactView {
                name: one.name,
                version: one.version,
                reason: one.reason,
                fix: one.fix,
            })
            .collect(),
        health,
    })
}
