//! What an Application command writes: pure, Applications in, Applications out.
//!
//! What must stay true: the value of a secret is only in [`Draft::secrets`],
//! which goes to the vault and nowhere else.

mod config;
mod dependencies;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{Change, DataChoice, Fault, Install, PlannedAction, PlannedApplication};
use catalyst_blueprint::{Choice, ConfigForm, ConfigSchema, Existing};
use catalyst_names::ApplicationName;
use catalyst_plan::AdmittedBlueprint;
use catalyst_resources::{
    Application, ApplicationSpec, BlueprintReference, DataDisposal, DeletionRequest, GROUP,
    Metadata, VERSION,
};
use semver::{Version, VersionReq};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::CommandError;
use crate::catalogue::Catalogue;
use crate::state::Applications;
use crate::validate::Place;
#[cfg(test)]
use config::secret_name;
pub(crate) use config::{as_map, config_faults};
use config::{commit_config, merge};
use dependencies::{keep_dependencies, resolve};
pub(crate) use upgrade::{check_upgrade, downgrade, migrate, show_moved, way_to};

/// The most versions that are tried where none is named.
const MAX_CANDIDATES: usize = 20;

/// A secret to be stored before the commit.
pub(crate) struct NewSecret {
    pub application: String,
    pub name: String,
    pub value: Zeroizing<String>,
}

/// What a command would write.
pub(crate) struct Draft {
    /// The subject line.
    pub subject: String,
    /// Applications after the change, by name; `None` where one is removed.
    pub changed: BTreeMap<String, Option<Application>>,
    /// For the plan, the asked-for one first.
    pub planned: Vec<PlannedApplication>,
    pub warnings: Vec<String>,
    pub secrets: Vec<NewSecret>,
    /// Secrets to be carried over from another Environment: Application, name there
    /// and name here.
    pub copies: Vec<(String, String, String)>,
}

/// What commands stand on.
pub(crate) struct Ground<'a> {
    /// "install wiki into acme-dev", for refusals.
    pub action: String,
    pub place: &'a Place,
    pub catalogue: &'a Catalogue,
    pub tree: &'a Applications,
    /// Names of secrets, by Application, under which the vault has other values than
    /// this change brings: those of changes that wait, or that were taken back.
    pub taken: &'a BTreeSet<(String, String)>,
}

impl Ground<'_> {
    /// The first of `base`, `base-2` and so on, from a number on, that is not taken.
    pub(crate) fn free_name(&self, application: &str, base: &str, from: u64) -> String {
        let mut number = from;
        loop {
            let name = match number {
                0 | 1 => base.to_owned(),
                _ => format!("{base}-{number}"),
            };
            let one = (application.to_owned(), name);
            if !self.taken.contains(&one) {
                return one.1;
            }
            number += 1;
        }
    }

    pub(crate) fn refuse(&self, reason: impl Into<String>) -> CommandError {
        CommandError::validate(self.action.clone(), reason)
    }

    /// A refusal whose faults say the rest.
    pub(crate) fn faulty(&self, reason: impl Into<String>, faults: Vec<Fault>) -> CommandError {
        CommandError::Validate {
            action: self.action.clone(),
            reason: reason.into(),
            next: Some("correct the values and try again".to_owned()),
            faults,
        }
    }

    fn find(&self, name: &str) -> Result<&Application, CommandError> {
        self.tree.applications.get(name).ok_or_else(|| {
            let environment = &self.place.environment;
            if self
                .tree
                .faults
                .iter()
                .any(|fault| fault.file.as_deref() == Some(&crate::state::application_path(name)))
            {
                return CommandError::Read {
                    action: self.action.clone(),
                    reason: format!("the file of {name} in {environment} cannot be read"),
                };
            }
            CommandError::Find {
                action: self.action.clone(),
                what: format!("Application {name} in {environment}"),
                next: "look at the Environment's list of Applications".to_owned(),
            }
        })
    }

    pub(crate) fn blueprint(
        &self,
        reference: &BlueprintReference,
    ) -> Result<&AdmittedBlueprint, CommandError> {
        self.catalogue
            .get(reference)
            .map(AsRef::as_ref)
            .ok_or_else(|| match self.catalogue.refusal(reference) {
                Some(reason) => self.refuse(reason),
                None => CommandError::Find {
                    action: self.action.clone(),
                    what: format!(
                        "Blueprint {} {} in {}",
                        reference.name, reference.version, reference.source
                    ),
                    next: "look for it in the marketplace, or register it".to_owned(),
                },
            })
    }

    pub(crate) fn schema(
        &self,
        blueprint: &AdmittedBlueprint,
    ) -> Result<ConfigSchema, CommandError> {
        ConfigSchema::compile(&blueprint.blueprint.spec.config_schema)
            .map_err(|error| self.refuse(error.to_string()))
    }

    fn existing(&self) -> Vec<Existing> {
        self.tree
            .applications
            .iter()
            .filter(|(_, application)| application.spec.deletion.is_none())
            .filter_map(|(name, application)| {
                let blueprint = &application.spec.blueprint;
                Some(Existing {
                    application: name.clone(),
                    source: blueprint.source.clone(),
                    blueprint: blueprint.name.clone(),
                    version: Version::parse(&blueprint.version).ok()?,
                })
            })
            .collect()
    }

    /// Existing Applications that could serve a dependency.
    fn alternatives(&self, source: &str, blueprint: &str, range: &str) -> Vec<String> {
        let Ok(range) = VersionReq::parse(range) else {
            return Vec::new();
        };
        self.existing()
            .into_iter()
            .filter(|existing| {
                existing.source == source
                    && existing.blueprint == blueprint
                    && range.matches(&existing.version)
            })
            .map(|existing| existing.application)
            .collect()
    }
}

/// Installs a Blueprint with what it depends on.
pub(crate) fn install(ground: &Ground<'_>, request: &Install) -> Result<Draft, CommandError> {
    let name = ApplicationName::new(request.name.clone())
        .map_err(|error| ground.refuse(error.to_string()))?;
    let environment = &ground.place.environment;
    if ground.tree.applications.contains_key(name.as_str()) {
        return Err(CommandError::Allow {
            action: ground.action.clone(),
            reason: format!("there is an Application {name} in {environment} already"),
            next: Some("choose another name".to_owned()),
        });
    }
    let source = request
        .source
        .clone()
        .unwrap_or_else(|| "catalog".to_owned());
    let organization = ground.place.organization.as_str();
    if !crate::Access::can_use_source(&source, organization) {
        return Err(ground.refuse(format!("Blueprints of {source} are not for {organization}")));
    }
    let reference = |version: String| BlueprintReference {
        source: source.clone(),
        name: request.blueprint.clone(),
        version,
    };
    let candidates = ground.catalogue.candidates(&source, &request.blueprint);
    let mut candidates = candidates.into_iter().take(MAX_CANDIDATES);
    if let Some(version) = &request.version {
        let drafted = install_version(ground, request, &name, reference(version.clone()));
        let (action, mut reason) = match drafted {
            Err(CommandError::Solve { action, reason }) => (action, reason),
            other => return other,
        };
        let other = candidates.find(|it| {
            let other = reference(it.version());
            install_version(ground, request, &name, other).is_ok()
        });
        if let Some(other) = other {
            reason.push_str(&format!(
                "; {} {} can be installed",
                request.blueprint,
                other.version()
            ));
        }
        return Err(CommandError::Solve { action, reason });
    }
    let newest = candidates.next().ok_or_else(|| CommandError::Find {
        action: ground.action.clone(),
        what: format!("Blueprint {} in {source}", request.blueprint),
        next: "look for it in the marketplace, or register it".to_owned(),
    })?;
    let drafted = install_version(ground, request, &name, reference(newest.version()));
    let (action, reason) = match drafted {
        Err(CommandError::Solve { action, reason }) => (action, reason),
        other => return other,
    };
    // Nobody asked for that version: an older one whose dependencies are to be had is
    // better than none, and said to be so.
    for older in candidates {
        let drafted = install_version(ground, request, &name, reference(older.version()));
        if let Ok(mut draft) = drafted {
            draft.warnings.push(format!(
                "version {} is the newest that can be installed here, and taken: {reason}",
                older.version()
            ));
            return Ok(draft);
        }
    }
    Err(CommandError::Solve { action, reason })
}

/// One version of what is to be installed.
fn install_version(
    ground: &Ground<'_>,
    request: &Install,
    name: &ApplicationName,
    reference: BlueprintReference,
) -> Result<Draft, CommandError> {
    let (environment, version) = (&ground.place.environment, reference.version.clone());
    let blueprint = ground.blueprint(&reference)?;
    let mut draft = Draft {
        subject: format!(
            "Install {name} ({} {version}) into {environment}",
            request.blueprint
        ),
        changed: BTreeMap::new(),
        planned: Vec::new(),
        warnings: Vec::new(),
        secrets: Vec::new(),
        copies: Vec::new(),
    };
    let config = commit_config(
        ground,
        &mut draft,
        name.as_str(),
        blueprint,
        Value::Object(request.config.clone()),
        &Value::Null,
    )?;
    let application = application(
        ground.place,
        name.as_str(),
        reference,
        request.size.clone(),
        config,
    );
    let choices = request
        .dependencies
        .iter()
        .map(|(alias, other)| (alias.clone(), Choice::Existing(other.clone())))
        .collect();
    resolve(ground, &mut draft, application, None, choices)?;
    Ok(draft)
}

/// Changes version, size, config or pause.
pub(crate) fn change(
    ground: &Ground<'_>,
    name: &str,
    request: &Change,
) -> Result<Draft, CommandError> {
    let before = ground.find(name)?;
    refuse_deleted(ground, before)?;
    let environment = &ground.place.environment;
    let mut after = before.clone();
    let mut words = Vec::new();
    // What stands there now, as the version that shall run has it.
    let mut old = Value::Object(before.spec.config.clone());
    let mut moved = Vec::new();
    let mut warnings = Vec::new();
    if let Some(version) = &request.version
        && *version != before.spec.blueprint.version
    {
        after.spec.blueprint.version.clone_from(version);
        let target = ground.blueprint(&after.spec.blueprint)?;
        check_upgrade(ground, before, target)?;
        warnings.extend(downgrade(before, target));
        moved = migrate(before, target, &mut old);
        words.push(format!("version {version}"));
    }
    if let Some(size) = &request.size {
        if after.spec.size.as_ref() != Some(size) {
            words.push(format!("size {size}"));
        }
        after.spec.size = Some(size.clone());
    }
    if let Some(paused) = request.paused {
        if paused != before.spec.paused {
            words.push(if paused { "pause" } else { "resume" }.to_owned());
        }
        after.spec.paused = paused;
    }
    let mut draft = Draft {
        subject: String::new(),
        changed: BTreeMap::new(),
        planned: Vec::new(),
        warnings,
        secrets: Vec::new(),
        copies: Vec::new(),
    };
    let blueprint = ground.blueprint(&after.spec.blueprint)?;
    let mut config = old.clone();
    if let Some(patch) = &request.config {
        merge(&mut config, &Value::Object(patch.clone()));
    }
    after.spec.config = commit_config(ground, &mut draft, name, blueprint, config, &old)?;
    if after.spec.config != before.spec.config {
        words.push("config".to_owned());
    }
    let choices = keep_dependencies(ground, &after)?;
    draft.subject = format!(
        "Change {name} in {environment}{}",
        if words.is_empty() {
            String::new()
        } else {
            format!(": {}", words.join(", "))
        }
    );
    resolve(ground, &mut draft, after, Some(before), choices)?;
    show_moved(&mut draft, name, moved);
    Ok(draft)
}

/// Goes back to what the Application was at a commit.
pub(crate) fn rollback(
    ground: &Ground<'_>,
    name: &str,
    then: &Application,
    commit: &str,
) -> Result<Draft, CommandError> {
    let before = ground.find(name)?;
    let mut after = then.clone();
    after.metadata = before.metadata.clone();
    after.spec.deletion = None;
    let short = commit.get(..7).unwrap_or(commit);
    let blueprint = ground.blueprint(&after.spec.blueprint)?;
    let mut warnings = Vec::new();
    if let Some(warning) = downgrade(before, blueprint) {
        check_upgrade(ground, before, blueprint)?;
        warnings.push(warning);
    } else if after.spec.blueprint.version != before.spec.blueprint.version {
        warnings.push(format!(
            "{name} goes from {} to {}; its data is not rolled back",
            before.spec.blueprint.version, after.spec.blueprint.version
        ));
    }
    let schema = ground.schema(blueprint)?;
    let config = Value::Object(after.spec.config.clone());
    let problems = schema.validate_config(&config, ConfigForm::Committed);
    if !problems.is_empty() {
        return Err(ground.faulty(
            "what stood there then is not valid",
            config_faults(problems),
        ));
    }
    let mut draft = Draft {
        subject: format!(
            "Roll back {name} in {} to {short}",
            ground.place.environment
        ),
        changed: BTreeMap::new(),
        planned: Vec::new(),
        warnings,
        secrets: Vec::new(),
        copies: Vec::new(),
    };
    let choices = keep_dependencies(ground, &after)?;
    resolve(ground, &mut draft, after, Some(before), choices)?;
    Ok(draft)
}

/// Asks for deletion; the folder goes with a second commit, when all is gone.
pub(crate) fn delete(
    ground: &Ground<'_>,
    name: &str,
    data: DataChoice,
) -> Result<Draft, CommandError> {
    let before = ground.find(name)?;
    let in_the_way = living_dependents(ground.tree, name);
    if !in_the_way.is_empty() {
        return Err(CommandError::Allow {
            action: ground.action.clone(),
            reason: format!(
                "{} depend on it: {}",
                in_the_way.len(),
                in_the_way.join(", ")
            )
            .replacen("1 depend on", "one Application depends on", 1),
            next: Some("delete those first, or let them depend on another Application".to_owned()),
        });
    }
    let mut after = before.clone();
    after.spec.deletion = Some(DeletionRequest {
        data: match data {
            DataChoice::Keep => DataDisposal::Keep,
            DataChoice::Drop => DataDisposal::Drop,
        },
    });
    let (word, warning) = match data {
        DataChoice::Keep => (
            "keep",
            format!(
                "volumes and generated secrets of {name} stay, and serve an Application of the same name again"
            ),
        ),
        DataChoice::Drop => (
            "drop",
            format!("volumes and secrets of {name} are destroyed; this cannot be undone"),
        ),
    };
    let mut entry = planned(&after, Some(before), "asked for".to_owned());
    entry.action = PlannedAction::Delete;
    Ok(Draft {
        subject: format!(
            "Delete {name} from {} ({word} data)",
            ground.place.environment
        ),
        changed: BTreeMap::from([(name.to_owned(), Some(after))]),
        planned: vec![entry],
        warnings: vec![warning],
        secrets: Vec::new(),
        copies: Vec::new(),
    })
}

/// The Applications that depend on one and are not being deleted themselves.
pub(crate) fn living_dependents(tree: &Applications, name: &str) -> Vec<String> {
    tree.dependents(name)
        .into_iter()
        .filter(|dependent| {
            tree.applications
                .get(dependent)
                .is_some_and(|application| application.spec.deletion.is_none())
        })
        .collect()
}

pub(crate) fn refuse_deleted(
    ground: &Ground<'_>,
    application: &Application,
) -> Result<(), CommandError> {
    if application.spec.deletion.is_none() {
        return Ok(());
    }
    Err(CommandError::Allow {
        action: ground.action.clone(),
        reason: format!(
            "the Application {} is being deleted",
            application.metadata.name
        ),
        next: Some("wait until it is gone, then install it anew".to_owned()),
    })
}

pub(crate) fn planned(
    after: &Application,
    before: Option<&Application>,
    because: String,
) -> PlannedApplication {
    let reference = &after.spec.blueprint;
    PlannedApplication {
        action: match before {
            None => PlannedAction::Create,
            Some(before) if before.spec == after.spec => PlannedAction::None,
            Some(_) => PlannedAction::Update,
        },
        name: after.metadata.name.clone(),
        source: reference.source.clone(),
        blueprint: reference.name.clone(),
        version: reference.version.clone(),
        from_version: before
            .map(|before| before.spec.blueprint.version.clone())
            .filter(|version| *version != reference.version),
        because,
        alternatives: Vec::new(),
        alias: None,
        host_access: Vec::new(),
        moved: Vec::new(),
    }
}

/// Says of each Application that stays or comes what of the machine its pods take; of
/// what comes it warns, so that also those who approve it are told.
pub(crate) fn show_host_access(draft: &mut Draft, catalogue: &Catalogue) {
    for entry in &mut draft.planned {
        if entry.action == PlannedAction::Delete {
            continue;
        }
        let reference = BlueprintReference {
            source: entry.source.clone(),
            name: entry.blueprint.clone(),
            version: entry.version.clone(),
        };
        if let Some(found) = catalogue.get(&reference) {
            entry.host_access = found.host_access();
            let is_new = entry.action == PlannedAction::Create || entry.from_version.is_some();
            let taken = found.blueprint.spec.host_access.iter();
            let taken = taken.filter(|_| is_new).map(|access| {
                format!(
                    "the pods of {} take of the machine they run on: {access}",
                    entry.name
                )
            });
            draft.warnings.extend(taken);
        }
    }
}

pub(crate) fn application(
    place: &Place,
    name: &str,
    blueprint: BlueprintReference,
    size: Option<String>,
    config: Map<String, Value>,
) -> Application {
    Application {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "Application".to_owned(),
        metadata: Metadata {
            name: name.to_owned(),
            namespace: Some(place.environment.to_string()),
            ..Metadata::default()
        },
        spec: ApplicationSpec {
            blueprint,
            size,
            config,
            dependencies: BTreeMap::new(),
            placement: None,
            paused: false,
            deletion: None,
        },
        status: None,
    }
}

#[cfg(test)]
mod hidden;
#[cfg(test)]
mod tests;
