//! What an Application needs: what serves it already, and what is installed with it.

use std::collections::BTreeMap;

use catalyst_blueprint::{Choice, Request, solve};
use catalyst_names::ApplicationName;
use catalyst_resources::{Application, BlueprintReference, DependencyReference};
use semver::Version;
use serde_json::Value;

use super::config::commit_config;
use super::{Draft, Ground, application, planned};
use crate::CommandError;
use crate::validate::active_dependencies;

/// The dependencies that an Application has and still needs, as choices.
pub(super) fn keep_dependencies(
    ground: &Ground<'_>,
    application: &Application,
) -> Result<BTreeMap<String, Choice>, CommandError> {
    let blueprint = ground.blueprint(&application.spec.blueprint)?;
    let active = active_dependencies(application, blueprint, ground.place)
        .map_err(|reason| ground.refuse(reason))?;
    Ok(active
        .iter()
        .filter_map(|dependency| {
            let kept = application.spec.dependencies.get(dependency.alias())?;
            let choice = Choice::Existing(kept.application.clone());
            Some((dependency.alias().to_owned(), choice))
        })
        .collect())
}

/// Solves the dependencies, and enters the Application and every new one.
pub(super) fn resolve(
    ground: &Ground<'_>,
    draft: &mut Draft,
    mut root: Application,
    before: Option<&Application>,
    choices: BTreeMap<String, Choice>,
) -> Result<(), CommandError> {
    let name = root.metadata.name.clone();
    let reference = root.spec.blueprint.clone();
    let version = Version::parse(&reference.version).map_err(|error| {
        ground.refuse(format!("`{}` is no version: {error}", reference.version))
    })?;
    let solution = solve(
        &ground.catalogue.catalog_from(&reference),
        &Request {
            source: reference.source.clone(),
            blueprint: reference.name.clone(),
            version,
            application: name.clone(),
            size: root.spec.size.clone(),
            config: Value::Object(root.spec.config.clone()),
            environment: ground.place.scope(),
            choices,
            existing: ground.existing(),
        },
    )
    .map_err(|error| CommandError::Solve {
        action: ground.action.clone(),
        reason: error.to_string(),
    })?;
    let links = |dependencies: &BTreeMap<String, catalyst_blueprint::Link>| {
        dependencies
            .iter()
            .map(|(alias, link)| {
                let reference = DependencyReference {
                    application: link.application.clone(),
                };
                (alias.clone(), reference)
            })
            .collect::<BTreeMap<_, _>>()
    };
    let mut needed: BTreeMap<String, (String, String)> = BTreeMap::new();
    for solved in &solution.applications {
        for (alias, link) in &solved.dependencies {
            needed.insert(
                link.application.clone(),
                (solved.name.clone(), alias.clone()),
            );
        }
    }
    if let Some(solved) = solution.root() {
        root.spec.dependencies = links(&solved.dependencies);
    }
    let mut others = Vec::new();
    for solved in solution.applications.iter().rev().skip(1) {
        ApplicationName::new(solved.name.clone())
            .map_err(|error| ground.refuse(error.to_string()))?;
        let reference = BlueprintReference {
            source: solved.source.clone(),
            name: solved.blueprint.clone(),
            version: solved.version.to_string(),
        };
        let blueprint = ground.blueprint(&reference)?;
        let config = commit_config(
            ground,
            draft,
            &solved.name,
            blueprint,
            solved.config.clone(),
            &Value::Null,
        )?;
        let mut new = application(
            ground.place,
            &solved.name,
            reference,
            solved.size.clone(),
            config,
        );
        new.spec.dependencies = links(&solved.dependencies);
        let (dependent, alias) = needed.get(&solved.name).cloned().unwrap_or_default();
        let mut entry = planned(&new, None, format!("{dependent} needs it as {alias}"));
        let range = asked_range(ground, &root, &solution, &dependent, &alias);
        entry.alternatives = ground.alternatives(
            &solved.source,
            &solved.blueprint,
            &range.unwrap_or_default(),
        );
        entry.alias = Some(solved.path.join("."));
        others.push(entry);
        draft.changed.insert(solved.name.clone(), Some(new));
    }
    let because = "asked for".to_owned();
    draft.planned.push(planned(&root, before, because));
    draft.planned.append(&mut others);
    draft.changed.insert(name, Some(root));
    Ok(())
}

/// The version range in which a dependent asks for an alias.
fn asked_range(
    ground: &Ground<'_>,
    root: &Application,
    solution: &catalyst_blueprint::Solution,
    dependent: &str,
    alias: &str,
) -> Option<String> {
    let reference = if dependent == root.metadata.name {
        root.spec.blueprint.clone()
    } else {
        let solved = solution
            .applications
            .iter()
            .find(|solved| solved.name == dependent)?;
        BlueprintReference {
            source: solved.source.clone(),
            name: solved.blueprint.clone(),
            version: solved.version.to_string(),
        }
    };
    let blueprint = ground.catalogue.get(&reference)?;
    let dependency = blueprint
        .blueprint
        .spec
        .depends
        .iter()
        .find(|dependency| dependency.alias() == alias)?;
    Some(dependency.version.clone())
}
