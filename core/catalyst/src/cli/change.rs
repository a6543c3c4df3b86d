//! Changes of Applications as they are asked for on the command line.

use std::collections::BTreeMap;

use catalyst_api::{ApplicationCommand, Change, DataChoice, Install};
use serde_json::{Map, Value};

use super::failure::hinted;
use super::set::Values;

/// Which Environment.
#[derive(Debug, Clone, clap::Args)]
pub struct In {
    /// The Environment.
    #[arg(long, short, value_name = "NAME")]
    pub environment: String,
}

/// What may be planned and applied without a file.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    Install(InstallWhat),
    Change(ChangeWhat),
    Rollback(RollbackWhat),
    Promote(PromoteWhat),
    Delete(DeleteWhat),
}

/// Install a Blueprint as an Application.
#[derive(Debug, clap::Args)]
pub struct InstallWhat {
    /// The Application's name.
    name: String,
    /// The Blueprint, as [SOURCE/]NAME[@VERSION]; from the source `catalog` and of the
    /// newest version unless given.
    #[arg(long, short, value_name = "BLUEPRINT")]
    blueprint: String,
    /// One of the Blueprint's sizes.
    #[arg(long)]
    size: Option<String>,
    /// An Application that is there already and serves a dependency; a new one is
    /// installed for every alias that is not named.
    #[arg(long, value_name = "ALIAS=APPLICATION")]
    dependency: Vec<String>,
    #[command(flatten)]
    config: Values,
    #[command(flatten)]
    pub place: In,
}

/// Change an Application; what is not named stays.
#[derive(Debug, clap::Args)]
pub struct ChangeWhat {
    /// The Application.
    name: String,
    /// Another version of its Blueprint.
    #[arg(long = "to", value_name = "VERSION")]
    version: Option<String>,
    /// Another of the Blueprint's sizes.
    #[arg(long)]
    size: Option<String>,
    /// Take a config property away, so that its default counts.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Stop reconciling it.
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Reconcile it again.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    config: Values,
    #[command(flatten)]
    pub place: In,
}

/// Go back to what an earlier commit left an Application at, by a new commit.
#[derive(Debug, clap::Args)]
pub struct RollbackWhat {
    /// The Application.
    name: String,
    /// A commit of its history; the one before the current unless given.
    #[arg(long, value_name = "COMMIT")]
    to: Option<String>,
    #[command(flatten)]
    pub place: In,
}

/// Open a pull request that carries an Application's version and config into another
/// Environment.
#[derive(Debug, clap::Args)]
pub struct PromoteWhat {
    /// The Application.
    name: String,
    /// The Environment that receives it.
    #[arg(long, value_name = "ENVIRONMENT")]
    to: String,
    #[command(flatten)]
    pub place: In,
}

/// Delete an Application.
#[derive(Debug, clap::Args)]
pub struct DeleteWhat {
    /// The Application.
    pub name: String,
    /// Whether its volumes and generated secrets stay.
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub data: Data,
    #[command(flatten)]
    pub place: In,
}

/// What happens to data.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum Data {
    /// It stays.
    #[default]
    Keep,
    /// It goes, for good.
    Drop,
}

/// A change with the Environment it is for.
pub struct Asked {
    pub environment: String,
    pub command: ApplicationCommand,
}

/// The Environment whose repository a change is written to.
pub fn destination<'a>(environment: &'a str, command: &'a ApplicationCommand) -> &'a str {
    match command {
        ApplicationCommand::Promote { to, .. } => to,
        _ => environment,
    }
}

impl What {
    /// The command that the API takes.
    pub fn asked(&self) -> anyhow::Result<Asked> {
        let (place, command) = match self {
            Self::Install(what) => (&what.place, what.command()?),
            Self::Change(what) => (&what.place, what.command()?),
            Self::Rollback(what) => (&what.place, what.command()),
            Self::Promote(what) => (&what.place, what.command()),
            Self::Delete(what) => (&what.place, what.command()),
        };
        Ok(Asked {
            environment: place.environment.clone(),
            command,
        })
    }
}

impl InstallWhat {
    /// The command that the API takes.
    pub fn command(&self) -> anyhow::Result<ApplicationCommand> {
        let (source, blueprint, version) = reference(&self.blueprint);
        let mut dependencies = BTreeMap::new();
        for text in &self.dependency {
            let (alias, application) = text.split_once('=').ok_or_else(|| {
                hinted(
                    format!("`{text}` does not say which Application serves which alias"),
                    "write it like --dependency db=shared-db",
                )
            })?;
            dependencies.insert(alias.to_owned(), application.to_owned());
        }
        Ok(ApplicationCommand::Install {
            install: Install {
                name: self.name.clone(),
                source,
                blueprint,
                version,
                size: self.size.clone(),
                config: self.config.merged()?,
                dependencies,
            },
        })
    }
}

impl ChangeWhat {
    fn command(&self) -> anyhow::Result<ApplicationCommand> {
        let mut config = self.config.merged()?;
        for key in &self.unset {
            take_away(&mut config, key);
        }
        let is_given = !self.config.is_empty() || !self.unset.is_empty();
        Ok(ApplicationCommand::Change {
            application: self.name.clone(),
            change: Change {
                version: self.version.clone(),
                size: self.size.clone(),
                config: is_given.then_some(config),
                paused: match (self.pause, self.resume) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                },
            },
        })
    }
}

impl RollbackWhat {
    /// The command that the API takes.
    pub fn command(&self) -> ApplicationCommand {
        ApplicationCommand::Rollback {
            application: self.name.clone(),
            to: self.to.clone(),
        }
    }
}

impl PromoteWhat {
    /// The command that the API takes.
    pub fn command(&self) -> ApplicationCommand {
        ApplicationCommand::Promote {
            application: self.name.clone(),
            to: self.to.clone(),
        }
    }
}

impl DeleteWhat {
    /// The command that the API takes.
    pub fn command(&self) -> ApplicationCommand {
        ApplicationCommand::Delete {
            application: self.name.clone(),
            data: match self.data {
                Data::Keep => DataChoice::Keep,
                Data::Drop => DataChoice::Drop,
            },
        }
    }
}

/// `[SOURCE/]NAME[@VERSION]`, taken apart.
pub fn reference(text: &str) -> (Option<String>, String, Option<String>) {
    let (rest, version) = match text.rsplit_once('@') {
        Some((rest, version)) => (rest, Some(version.to_owned())),
        None => (text, None),
    };
    match rest.split_once('/') {
        Some((source, name)) => (Some(source.to_owned()), name.to_owned(), version),
        None => (None, rest.to_owned(), version),
    }
}

/// Null at a dotted key, which in a merge patch (RFC 7386) takes the property away.
fn take_away(config: &mut Map<String, Value>, key: &str) {
    match key.split_once('.') {
        None => {
            config.insert(key.to_owned(), Value::Null);
        }
        Some((first, rest)) => {
            let inner = config
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                take_away(inner, rest);
            }
        }
    }
}

/// The Application that a command is about.
pub fn application(command: &ApplicationCommand) -> &str {
    match command {
        ApplicationCommand::Install { install } => &install.name,
        ApplicationCommand::Change { application, .. }
        | ApplicationCommand::Rollback { application, .. }
        | ApplicationCommand::Promote { application, .. }
        | ApplicationCommand::Delete { application, .. } => application,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blueprints_are_named_with_source_and_version_or_without() {
        let check = |text: &str, expected: (Option<&str>, &str, Option<&str>)| {
            let (source, name, version) = reference(text);
            assert_eq!(
                (source.as_deref(), name.as_str(), version.as_deref()),
                expected,
                "{text}"
            );
        };
        check("bp-a", (None, "bp-a", None));
        check("acme/bp-a", (Some("acme"), "bp-a", None));
        check("bp-a@1.0.0", (None, "bp-a", Some("1.0.0")));
        check(
            "acme/bp-a@1.0.0-rc.1",
            (Some("acme"), "bp-a", Some("1.0.0-rc.1")),
        );
    }

    #[test]
    fn unsetting_is_a_null_at_the_key() {
        let mut config = Map::new();
        take_away(&mut config, "a.b");
        take_away(&mut config, "a.c");
        take_away(&mut config, "d");
        assert_eq!(
            Value::Object(config),
            json!({"a": {"b": null, "c": null}, "d": null})
        );
    }
}
