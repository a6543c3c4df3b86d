//! Sources of Blueprints: what is published from their repositories.

use catalyst_api::{
    BlueprintSourceView, RefusedArtifactView, SourceBlueprintView, SourceProblemView,
};
use catalyst_resources::BlueprintSource;

use super::{Model, health};

/// Every source that has an object, by name. One that cannot be read is left out.
pub fn sources(model: &Model) -> Vec<BlueprintSourceView> {
    let mut sources: Vec<BlueprintSourceView> = model
        .system_objects("BlueprintSource")
        .filter_map(|(fact, time)| {
            let object: BlueprintSource = serde_json::from_value(fact.object.clone()).ok()?;
            let status = object.status.unwrap_or_default();
            let blueprints = status.blueprints.into_iter();
            let problems = status.problems.into_iter();
            let refused = status.refused.into_iter();
            Some(BlueprintSourceView {
                source: object.metadata.name,
                repository: format!("{}/{}.git", model.settings.git, object.spec.repository),
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
                health: health::of_source(&fact.object, time),
            })
        })
        .collect();
    sources.sort_by(|one, other| one.source.cmp(&other.source));
    sources
}
