//! Which Applications an install needs, each at which version.
//!
//! Every dependency is an Application of its own, unless the user points it at
//! one that already runs; two dependents never share a new one. The choices in
//! one branch therefore never constrain another, and the search is a walk down a
//! tree: for each dependency the newest version whose own dependencies can be
//! met. A general version solver would find the same and explain it worse.
//!
//! A range means what its source lists: a version that is not is taken only where no
//! listed one will do, so that nobody runs by chance what was put there to be tried.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use semver::{Version, VersionReq};
use serde_json::{Map, Value, json};

use crate::{
    Blueprint, Catalog, ConfigForm, ConfigSchema, Dependency, SchemaError,
    expression::{self, Scope},
};

/// The longest chain of dependencies.
const MAX_DEPTH: usize = 16;
/// The most candidates that are looked at before giving up.
const MAX_STEPS: usize = 1_000;
/// The most sentences an explanation has.
const MAX_REASONS: usize = 12;
/// The longest name of an Application (see the naming rules).
const MAX_NAME: usize = 40;

/// An Application that already stands in the Environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub application: String,
    /// Its Blueprint's source.
    pub source: String,
    /// Its Blueprint.
    pub blueprint: String,
    /// Its version.
    pub version: Version,
}

/// Who serves a dependency, as the user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// An Application that already stands in the Environment.
    Existing(String),
    /// A new one under this name.
    New(String),
}

/// What is to be installed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Blueprint's source.
    pub source: String,
    /// The Blueprint.
    pub blueprint: String,
    /// Its exact version.
    pub version: Version,
    /// The Application's name.
    pub application: String,
    /// The overlay, when one is chosen.
    pub size: Option<String>,
    /// The Application's config, as submitted or as committed.
    pub config: Value,
    /// `{name, organization, envType, domain}`, for expressions.
    pub environment: Value,
    /// Path of aliases (`db`, `cache.db`) → choice. What is not listed is new,
    /// named `<application>-<alias>`.
    pub choices: BTreeMap<String, Choice>,
    /// What already stands in the Environment.
    pub existing: Vec<Existing>,
}

/// How a dependency is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The Application that serves it.
    pub application: String,
    /// The serving Application's Blueprint.
    pub blueprint: String,
    /// Its source.
    pub source: String,
    /// Its version.
    pub version: Version,
    /// Whether it stood there before.
    pub existing: bool,
}

/// One Application to create.
#[derive(Debug, Clone, PartialEq)]
pub struct SolvedApplication {
    /// Its name.
    pub name: String,
    /// Its Blueprint's source.
    pub source: String,
    /// Its Blueprint.
    pub blueprint: String,
    /// Its version.
    pub version: Version,
    /// Its overlay, when one is chosen.
    pub size: Option<String>,
    /// Its config: the request's for the root, the dependent's `values` otherwise.
    pub config: Value,
    /// Alias → who serves it.
    pub dependencies: BTreeMap<String, Link>,
    /// The aliases that lead here from the root; empty for the root.
    pub path: Vec<String>,
}

/// The Applications to create, each after those it depends on; the root is last.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The Applications.
    pub applications: Vec<SolvedApplication>,
}

impl Solution {
    /// The Application that was asked for.
    pub fn root(&self) -> Option<&SolvedApplication> {
        self.applications.last()
    }
}

/// Why there is no answer. Each is a sentence, or a chain of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// The Blueprint is not there.
    #[error("cannot install {blueprint} {version} from {source_name}: {reason}")]
    Unknown {
        /// The source asked.
        source_name: String,
        /// The Blueprint asked for.
        blueprint: String,
        /// The version asked for.
        version: Version,
        /// What is there instead, and the next step.
        reason: String,
    },
    /// A Blueprint needs itself.
    #[error(
        "cannot install {root}: its dependencies form a cycle: {}; one of these Blueprints must drop its dependency", chain.join(" → ")
    )]
    Cycle {
        /// The Blueprint asked for.
        root: String,
        /// The chain, beginning and ending at the same Blueprint.
        chain: Vec<String>,
    },
    /// No version of a dependency will do.
    #[error("cannot install {root}: {}", reasons.join("; "))]
    Conflict {
        /// The Blueprint asked for.
        root: String,
        /// Why each candidate was passed over, in order.
        reasons: Vec<String>,
    },
    /// A choice, a name or an expression is wrong.
    #[error("cannot install {root}: {reason}")]
    Refused {
        /// The Blueprint asked for.
        root: String,
        /// Why, and the next step.
        reason: String,
    },
}

/// Decides which Applications an install creates. The same request on the same
/// catalog gives the same answer.
pub fn solve(catalog: &Catalog, request: &Request) -> Result<Solution, SolveError> {
    let root = label(&request.blueprint, &request.version);
    let Some(blueprint) = catalog.get(&request.source, &request.blueprint, &request.version) else {
        return Err(unknown(catalog, request));
    };
    let mut search = Search {
        catalog,
        request,
        steps: 0,
        used: BTreeMap::new(),
        schemas: BTreeMap::new(),
    };
    let node = Node {
        source: request.source.clone(),
        blueprint,
        application: request.application.clone(),
        size: request.size.clone(),
        config: request.config.clone(),
        path: Vec::new(),
    };
    let mut applications = Vec::new();
    search
        .expand(&node, &[], &mut applications)
        .map_err(|failure| failure.into_error(root.clone()))?;
    let mut names = BTreeMap::new();
    for application in &applications {
        if let Some(other) = names.insert(&application.name, &application.path) {
            return Err(SolveError::Refused {
                root,
                reason: format!(
                    "two new Applications would both be called `{}` (for {} and {}); name one of them yourself",
                    application.name,
                    path_name(other),
                    path_name(&application.path)
                ),
            });
        }
    }
    if let Some(stray) = request
        .choices
        .keys()
        .find(|path| !search.used.contains_key(*path))
    {
        return Err(SolveError::Refused {
            root,
            reason: format!(
                "a choice was made for the dependency `{stray}`, but there is no such dependency with this config; remove the choice"
            ),
        });
    }
    Ok(Solution { applications })
}

struct Node<'a> {
    source: String,
    blueprint: &'a Blueprint,
    application: String,
    size: Option<String>,
    config: Value,
    path: Vec<String>,
}

enum Failure {
    Cycle(Vec<String>),
    Conflict(Vec<String>),
    Refused(String),
}

impl Failure {
    fn into_error(self, root: String) -> SolveError {
        match self {
            Self::Cycle(chain) => SolveError::Cycle { root, chain },
            Self::Conflict(mut reasons) => {
                let more = reasons.len().saturating_sub(MAX_REASONS);
                if more > 0 {
                    reasons.truncate(MAX_REASONS);
                    reasons.push(format!("and {more} more reasons of this kind"));
                }
                SolveError::Conflict { root, reasons }
            }
            Self::Refused(reason) => SolveError::Refused { root, reason },
        }
    }

    fn sentences(self) -> Vec<String> {
        match self {
            Self::Cycle(chain) => vec![format!("it would form a cycle: {}", chain.join(" → "))],
            Self::Conflict(reasons) => reasons,
            Self::Refused(reason) => vec![reason],
        }
    }
}

/// A Blueprint on the way from the root to where the search stands.
#[derive(Clone)]
struct Ancestor {
    source: String,
    name: String,
    version: Version,
}

struct Search<'a> {
    catalog: &'a Catalog,
    request: &'a Request,
    steps: usize,
    /// Choices that some dependency took.
    used: BTreeMap<String, ()>,
    /// Config schemas by source, name and version: to compile one takes longer than
    /// all the rest, and the same Blueprint serves many dependents.
    schemas: BTreeMap<(String, String, Version), Rc<ConfigSchema>>,
}

impl<'a> Search<'a> {
    fn expand(
        &mut self,
        node: &Node<'_>,
        ancestors: &[Ancestor],
        found: &mut Vec<SolvedApplication>,
    ) -> Result<(), Failure> {
        let blueprint = node.blueprint;
        let mut chain = ancestors.to_vec();
        chain.push(Ancestor {
            source: node.source.clone(),
            name: blueprint.name().to_owned(),
            version: blueprint.version().clone(),
        });
        if chain.len() > MAX_DEPTH {
            return Err(Failure::Refused(format!(
                "the chain {} is longer than {MAX_DEPTH} Blueprints",
                names(&chain).join(" → ")
            )));
        }
        let scope = self.scope(node)?;
        let mut dependencies = BTreeMap::new();
        for dependency in &blueprint.spec.depends {
            if let Some(condition) = &dependency.when
                && !expression::evaluate_condition(condition, &scope).map_err(|error| {
                    Failure::Refused(format!(
                        "{} cannot tell whether it needs `{}`: {error}",
                        label(blueprint.name(), blueprint.version()),
                        dependency.alias()
                    ))
                })?
            {
                continue;
            }
            let link = self.meet(node, dependency, &scope, &chain, found)?;
            dependencies.insert(dependency.alias().to_owned(), link);
        }
        found.push(SolvedApplication {
            name: node.application.clone(),
            source: node.source.clone(),
            blueprint: blueprint.name().to_owned(),
            version: blueprint.version().clone(),
            size: node.size.clone(),
            config: node.config.clone(),
            dependencies,
            path: node.path.clone(),
        });
        Ok(())
    }

    fn schema(
        &mut self,
        source: &str,
        blueprint: &Blueprint,
    ) -> Result<Rc<ConfigSchema>, SchemaError> {
        let (name, version) = (blueprint.name().to_owned(), blueprint.version().clone());
        let key = (source.to_owned(), name, version);
        if let Some(known) = self.schemas.get(&key) {
            return Ok(Rc::clone(known));
        }
        let schema = Rc::new(ConfigSchema::compile(&blueprint.spec.config_schema)?);
        self.schemas.insert(key, Rc::clone(&schema));
        Ok(schema)
    }

    fn scope(&mut self, node: &Node<'_>) -> Result<Scope, Failure> {
        let schema = self.schema(&node.source, node.blueprint).map_err(|error| {
            Failure::Refused(format!(
                "{}: {error}",
                label(node.blueprint.name(), node.blueprint.version())
            ))
        })?;
        Ok(Scope {
            config: schema.with_defaults(&node.config),
            application: json!({
                "name": node.application,
                "size": node.size,
                "blueprint": {
                    "source": node.source,
                    "name": node.blueprint.name(),
                    "version": node.blueprint.version().to_string(),
                },
            }),
            environment: self.request.environment.clone(),
        })
    }

    fn meet(
        &mut self,
        node: &Node<'_>,
        dependency: &Dependency,
        scope: &Scope,
        chain: &[Ancestor],
        found: &mut Vec<SolvedApplication>,
    ) -> Result<Link, Failure> {
        let dependent = label(node.blueprint.name(), node.blueprint.version());
        // Its own source unless it names one; never by name alone across sources.
        let source = dependency.source.as_deref().unwrap_or(&node.source);
        let range = VersionReq::parse(&dependency.version).map_err(|error| {
            Failure::Refused(format!(
                "{dependent} asks for {} `{}`, which is not a version range: {error}",
                dependency.blueprint, dependency.version
            ))
        })?;
        let needs = format!(
            "{dependent} needs {} {}",
            dependency.blueprint, dependency.version
        );
        let mut path = node.path.clone();
        path.push(dependency.alias().to_owned());
        let path_key = path.join(".");
        let choice = self.request.choices.get(&path_key);
        if choice.is_some() {
            self.used.insert(path_key.clone(), ());
        }
        if let Some(Choice::Existing(name)) = choice {
            return self.existing(name, source, dependency, &range, &needs);
        }
        if let Some(start) = chain
            .iter()
            .position(|ancestor| ancestor.source == source && ancestor.name == dependency.blueprint)
        {
            let mut cycle = names(chain.get(start..).unwrap_or_default());
            cycle.push(dependency.blueprint.clone());
            return Err(Failure::Cycle(cycle));
        }
        let application = match choice {
            Some(Choice::New(name)) => name.clone(),
            _ => format!("{}-{}", node.application, dependency.alias()),
        };
        self.check_name(&application, &path_key)?;
        let config = expression::interpolate(&Value::Object(dependency.values.clone()), scope)
            .map_err(|error| Failure::Refused(format!("{needs}, but its values fail: {error}")))?;
        self.newest(
            source,
            dependency,
            &range,
            &needs,
            chain,
            found,
            &Draft {
                application,
                config,
                path,
            },
        )
    }

    /// The newest version that fits and whose own dependencies can be met; of those
    /// that are not listed only where no listed one is such.
    #[allow(clippy::too_many_arguments)]
    fn newest(
        &mut self,
        source: &str,
        dependency: &Dependency,
        range: &VersionReq,
        needs: &str,
        chain: &[Ancestor],
        found: &mut Vec<SolvedApplication>,
        draft: &Draft,
    ) -> Result<Link, Failure> {
        let catalog: &'a Catalog = self.catalog;
        let versions = catalog
            .versions(source, &dependency.blueprint)
            .filter(|versions| !versions.is_empty())
            .ok_or_else(|| {
                Failure::Conflict(vec![format!(
                    "{needs}, but the source {source} has no Blueprint of that name; publish it there, or name its source in the dependency"
                )])
            })?;
        let (mut fitting, unlisted): (Vec<_>, Vec<(&Version, &Arc<Blueprint>)>) = versions
            .iter()
            .rev()
            .filter(|(version, _)| range.matches(version))
            .partition(|(_, blueprint)| blueprint.spec.visibility.is_listed(source));
        fitting.extend(unlisted);
        if fitting.is_empty() {
            let there = match catalog.named_versions(source, &dependency.blueprint) {
                Some(there) => format!("lists only {there}"),
                None => "lists none".to_owned(),
            };
            return Err(Failure::Conflict(vec![format!(
                "{needs}, but {source} {there}; publish a version in that range"
            )]));
        }
        let mut reasons = vec![needs.to_owned()];
        let mut cycle = None;
        for (version, blueprint) in fitting {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(Failure::Refused(format!(
                    "more than {MAX_STEPS} combinations of versions were tried; narrow the version ranges"
                )));
            }
            let candidate = label(&dependency.blueprint, version);
            let checked = match self.schema(source, blueprint) {
                Ok(schema) => check_values(&schema, &draft.config),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = checked {
                reasons.push(format!(
                    "{candidate} does not accept the values it is given: {reason}"
                ));
                continue;
            }
            let node = Node {
                source: source.to_owned(),
                blueprint,
                application: draft.application.clone(),
                size: None,
                config: draft.config.clone(),
                path: draft.path.clone(),
            };
            let mark = found.len();
            match self.expand(&node, chain, found) {
                Ok(()) => {
                    return Ok(Link {
                        application: draft.application.clone(),
                        blueprint: dependency.blueprint.clone(),
                        source: source.to_owned(),
                        version: version.clone(),
                        existing: false,
                    });
                }
                Err(failure) => {
                    found.truncate(mark);
                    if let Failure::Cycle(chain) = &failure {
                        cycle.get_or_insert_with(|| chain.clone());
                    }
                    reasons.extend(
                        failure
                            .sentences()
                            .into_iter()
                            .map(|sentence| format!("{candidate} will not do, because {sentence}")),
                    );
                }
            }
        }
        // When every version failed and one met a cycle, the cycle is the news.
        match cycle {
            Some(chain) => Err(Failure::Cycle(chain)),
            None => Err(Failure::Conflict(reasons)),
        }
    }

    fn existing(
        &self,
        name: &str,
        source: &str,
        dependency: &Dependency,
        range: &VersionReq,
        needs: &str,
    ) -> Result<Link, Failure> {
        let Some(existing) = self
            .request
            .existing
            .iter()
            .find(|existing| existing.application == name)
        else {
            return Err(Failure::Refused(format!(
                "{needs}, and the Application `{name}` was chosen for it, but there is none of that name in the Environment; choose another or a new one"
            )));
        };
        if existing.blueprint != dependency.blueprint || existing.source != source {
            return Err(Failure::Refused(format!(
                "{needs} from {source}, but the chosen Application `{name}` is {} from {}; choose another or a new one",
                label(&existing.blueprint, &existing.version),
                existing.source
            )));
        }
        if !range.matches(&existing.version) {
            return Err(Failure::Conflict(vec![format!(
                "{needs}, but the chosen Application `{name}` runs {}; upgrade it first, or choose a new one",
                label(&existing.blueprint, &existing.version)
            )]));
        }
        Ok(Link {
            application: name.to_owned(),
            blueprint: existing.blueprint.clone(),
            source: existing.source.clone(),
            version: existing.version.clone(),
            existing: true,
        })
    }

    fn check_name(&self, name: &str, path: &str) -> Result<(), Failure> {
        if name.len() > MAX_NAME {
            return Err(Failure::Refused(format!(
                "the new Application for `{path}` would be called `{name}`, which is longer than {MAX_NAME} characters; name it yourself, or shorten the Application's name"
            )));
        }
        if let Some(other) = self
            .request
            .existing
            .iter()
            .find(|existing| existing.application == name)
        {
            return Err(Failure::Refused(format!(
                "the new Application for `{path}` would be called `{name}`, but that is already {}; choose it as the existing one, or give the new one another name",
                label(&other.blueprint, &other.version)
            )));
        }
        Ok(())
    }
}

/// What is known of a dependency's Application before its version is.
struct Draft {
    application: String,
    config: Value,
    path: Vec<String>,
}

fn check_values(schema: &ConfigSchema, config: &Value) -> Result<(), String> {
    let problems = schema.validate_config(config, ConfigForm::Submitted);
    if problems.is_empty() {
        return Ok(());
    }
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(sentences.join(", "))
}

fn unknown(catalog: &Catalog, request: &Request) -> SolveError {
    let (source, name) = (&request.source, &request.blueprint);
    let reason = match catalog.versions(source, name) {
        Some(_) => match catalog.named_versions(source, name) {
            Some(there) => format!("it has the versions {there}; choose one of them"),
            None => "it has no such version, and none of its versions is listed; ask whoever publishes it which to take".to_owned(),
        },
        None => {
            let near = crate::suggest::nearest(name, catalog.names(source));
            match near {
                Some(near) => format!("there is no such Blueprint; did you mean {near}?"),
                None => "there is no such Blueprint; look for it in the marketplace".to_owned(),
            }
        }
    };
    SolveError::Unknown {
        source_name: request.source.clone(),
        blueprint: request.blueprint.clone(),
        version: request.version.clone(),
        reason,
    }
}

fn label(name: &str, version: &Version) -> String {
    format!("{name} {version}")
}

fn names(chain: &[Ancestor]) -> Vec<String> {
    chain
        .iter()
        .map(|ancestor| label(&ancestor.name, &ancestor.version))
        .collect()
}

fn path_name(path: &[String]) -> String {
    if path.is_empty() {
        "the Application itself".to_owned()
    } else {
        format!("`{}`", path.join("."))
    }
}

/// An empty config, for requests that have none.
impl Default for Request {
    fn default() -> Self {
        Self {
            source: String::new(),
            blueprint: String::new(),
            version: Version::new(0, 0, 0),
            application: String::new(),
            size: None,
            config: Value::Object(Map::new()),
            environment: Value::Object(Map::new()),
            choices: BTreeMap::new(),
            existing: Vec::new(),
        }
    }
}
