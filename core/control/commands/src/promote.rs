//! Promotion: an Application with what it needs into another Environment. Pure.
//!
//! Used by `change`'s callers. What must stay true: what belongs to the
//! destination (per-environment values, secrets, Applications that serve there
//! already) stays the destination's.

use std::collections::BTreeMap;

use catalyst_blueprint::{ConfigForm, MovedValue, promote_config};
use catalyst_resources::Application;
use serde_json::{Map, Value};

use crate::CommandError;
use crate::change::{
    Draft, Ground, application, as_map, check_upgrade, config_faults, downgrade, migrate, planned,
    refuse_deleted, show_moved,
};
use crate::state::Applications;

/// Carries an Application, and those it needs that are missing, into another
/// Environment. `ground` is the destination.
pub(crate) fn promote(
    ground: &Ground<'_>,
    name: &str,
    source: &Applications,
    source_environment: &str,
) -> Result<Draft, CommandError> {
    let mut draft = Draft {
        subject: String::new(),
        changed: BTreeMap::new(),
        planned: Vec::new(),
        warnings: Vec::new(),
        secrets: Vec::new(),
        copies: Vec::new(),
    };
    let mut waiting = vec![(
        name.to_owned(),
        format!("promoted from {source_environment}"),
    )];
    while let Some((next, because)) = waiting.pop() {
        if draft.changed.contains_key(&next) {
            continue;
        }
        let Some(from) = source.applications.get(&next) else {
            return Err(CommandError::Find {
                action: ground.action.clone(),
                what: format!("Application {next} in {source_environment}"),
                next: format!("look at the list of Applications of {source_environment}"),
            });
        };
        if from.spec.deletion.is_some() {
            return Err(ground.refuse(format!(
                "the Application {next} is being deleted in {source_environment}"
            )));
        }
        let to = ground.tree.applications.get(&next);
        if next != name && to.is_some() {
            // It serves there already, at the destination's own version.
            continue;
        }
        let (after, moved) = promoted(ground, &mut draft, from, to, source_environment)?;
        for (alias, dependency) in &after.spec.dependencies {
            waiting.push((
                dependency.application.clone(),
                format!("{next} needs it as {alias}"),
            ));
        }
        draft.planned.push(planned(&after, to, because));
        show_moved(&mut draft, &next, moved);
        draft.changed.insert(next, Some(after));
    }
    let version = source
        .applications
        .get(name)
        .map(|application| application.spec.blueprint.version.clone())
        .unwrap_or_default();
    draft.subject = format!(
        "Promote {name} {version} from {source_environment} to {}",
        ground.place.environment
    );
    Ok(draft)
}

fn promoted(
    ground: &Ground<'_>,
    draft: &mut Draft,
    from: &Application,
    to: Option<&Application>,
    source_environment: &str,
) -> Result<(Application, Vec<MovedValue>), CommandError> {
    let name = &from.metadata.name;
    let blueprint = ground.blueprint(&from.spec.blueprint)?;
    let schema = ground.schema(blueprint)?;
    if let Some(to) = to {
        refuse_deleted(ground, to)?;
        let (old, new) = (&to.spec.blueprint, &from.spec.blueprint);
        if (&old.source, &old.name) != (&new.source, &new.name) {
            return Err(ground.refuse(format!(
                "the Application {name} is {} of {} in {}, but {} of {} in {source_environment}",
                old.name, old.source, ground.place.environment, new.name, new.source
            )));
        }
        check_upgrade(ground, to, blueprint)?;
        draft.warnings.extend(downgrade(to, blueprint));
    }
    let theirs = Value::Object(from.spec.config.clone());
    let mut own = to
        .map(|to| Value::Object(to.spec.config.clone()))
        .unwrap_or(Value::Null);
    // What is the destination's own is kept at the place that it has in this version.
    let moved = to.map_or_else(Vec::new, |to| migrate(to, blueprint, &mut own));
    let mut config = promote_config(&schema, &theirs, &own);
    for pointer in schema.secret_pointers(&config) {
        let kept = own.pointer(&pointer).cloned();
        let Some(value) = config.pointer_mut(&pointer) else {
            continue;
        };
        match kept {
            // A secret of the destination's own stays.
            Some(kept) => *value = kept,
            None => {
                let there = value.get("secretRef").and_then(Value::as_str);
                if let Some(there) = there.map(str::to_owned) {
                    let here = ground.free_name(name, &there, 1);
                    *value = serde_json::json!({"secretRef": here});
                    draft.warnings.push(format!(
                        "the secret {there} of {name} is copied from {source_environment}; change it if {} shall have its own",
                        ground.place.environment
                    ));
                    draft.copies.push((name.clone(), there, here));
                }
            }
        }
    }
    let config_map = as_map(config);
    let problems =
        schema.validate_config(&Value::Object(config_map.clone()), ConfigForm::Committed);
    if !problems.is_empty() {
        return Err(ground.faulty(
            format!(
                "values are missing that {name} must have of its own in {}",
                ground.place.environment
            ),
            config_faults(problems),
        ));
    }
    let mut after = to.cloned().unwrap_or_else(|| {
        application(
            ground.place,
            name,
            from.spec.blueprint.clone(),
            None,
            Map::new(),
        )
    });
    after.spec.blueprint = from.spec.blueprint.clone();
    after.spec.size.clone_from(&from.spec.size);
    after.spec.config = config_map;
    after.spec.dependencies = from.spec.dependencies.clone();
    Ok((after, moved))
}
