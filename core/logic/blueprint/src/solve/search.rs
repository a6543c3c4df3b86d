//! The walk down the tree of dependencies.
//!
//! What must stay true: what is known of a version in its place is used again only
//! where searching anew would find the same. That the Blueprints above decide over
//! nothing but cycles is what makes it possible: see [`Failure::holds_below`] and
//! [`Branch::holds_below`].

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use semver::{Version, VersionReq};
use serde_json::{Value, json};

use super::failure::{Failure, Id, MAX_STEPS, Passed, Reasons, Unmet};
use super::{Choice, Link, Request, SolvedApplication, label, path_name};
use crate::{
    Blueprint, Catalog, ConfigForm, ConfigSchema, Dependency, SchemaError,
    expression::{self, Scope},
};

/// The longest chain of dependencies.
const MAX_DEPTH: usize = 16;
/// The longest name of an Application (see the naming rules).
const MAX_NAME: usize = 40;

/// An Application that may be created.
pub(super) struct Node<'a> {
    pub source: String,
    pub blueprint: &'a Blueprint,
    pub application: String,
    pub size: Option<String>,
    pub config: Value,
    pub path: Vec<String>,
}

/// An Application to create, with those that it needs.
#[derive(Debug)]
pub(super) struct Branch {
    application: SolvedApplication,
    /// What is new of what it needs, in the order of its Blueprint.
    below: Vec<Rc<Branch>>,
    /// The Blueprints above it that keep newer versions from being taken in it.
    above: BTreeSet<Id>,
}

impl Branch {
    /// Itself and all below it, each after those it depends on.
    pub(super) fn into_applications(self) -> Vec<SolvedApplication> {
        let mut found = Vec::new();
        self.gather(&mut found);
        found
    }

    fn gather(&self, found: &mut Vec<SolvedApplication>) {
        for branch in &self.below {
            branch.gather(found);
        }
        found.push(self.application.clone());
    }

    /// Whether the same would be found where `chain` stands above: what was passed over
    /// for a cycle is one there too, and nothing that was taken is.
    fn holds_below(&self, chain: &[Id]) -> bool {
        self.above.iter().all(|id| chain.contains(id)) && self.is_apart_from(chain)
    }

    fn is_apart_from(&self, chain: &[Id]) -> bool {
        let own = &self.application;
        let is_own = |(source, name): &Id| *source == own.source && *name == own.blueprint;
        !chain.iter().any(is_own) && self.below.iter().all(|it| it.is_apart_from(chain))
    }
}

/// A version in its place, with all that its answer follows from but for the Blueprints
/// above it. The path stands for the choices, the names and the depth.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    path: String,
    source: String,
    blueprint: String,
    version: Version,
    config: String,
}

/// What somebody needs.
struct Need<'d> {
    dependent: String,
    source: &'d str,
    dependency: &'d Dependency,
    range: VersionReq,
}

impl Need<'_> {
    fn needs(&self) -> String {
        format!(
            "needs {} {}",
            self.dependency.blueprint, self.dependency.version
        )
    }

    /// `bp-blog 1.0.0 needs bp-postgres ^1`
    fn sentence(&self) -> String {
        format!("{} {}", self.dependent, self.needs())
    }

    /// No version is to blame: `but` goes on with the sentence.
    fn unmet(&self, but: &str) -> Failure {
        Failure::Conflict(Rc::new(Unmet {
            dependent: self.dependent.clone(),
            needs: format!("{}{but}", self.needs()),
            reasons: Reasons::default(),
        }))
    }
}

/// How a need is met.
struct Met {
    link: Link,
    /// What is to be created for it.
    branch: Option<Rc<Branch>>,
    /// The Blueprints above that keep newer versions from being taken.
    above: BTreeSet<Id>,
}

/// What is known of a dependency's Application before its version is.
struct Draft {
    application: String,
    config: Value,
    path: Vec<String>,
}

/// Where the search stands, and what it knows.
pub(super) struct Search<'a> {
    catalog: &'a Catalog,
    request: &'a Request,
    steps: usize,
    /// Choices that some dependency took.
    used: BTreeSet<String>,
    /// Config schemas by source, name and version: to compile one takes longer than
    /// all the rest, and the same Blueprint serves many dependents.
    schemas: BTreeMap<(String, String, Version), Rc<ConfigSchema>>,
    /// What was found out, so that every version is searched once in its place and not
    /// once for each way of choosing those above it.
    learned: BTreeMap<Spot, Result<Rc<Branch>, Failure>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(catalog: &'a Catalog, request: &'a Request) -> Self {
        Self {
            catalog,
            request,
            steps: 0,
            used: BTreeSet::new(),
            schemas: BTreeMap::new(),
            learned: BTreeMap::new(),
        }
    }

    /// Whether some dependency took the choice for this path.
    pub(super) fn is_used(&self, path: &str) -> bool {
        self.used.contains(path)
    }

    /// An Application of this version with what it needs, below the Blueprints `above`.
    pub(super) fn expand(&mut self, node: &Node<'_>, above: &[Id]) -> Result<Branch, Failure> {
        let id = (node.source.clone(), node.blueprint.name().to_owned());
        let mut chain = above.to_vec();
        chain.push(id.clone());
        let mut branch = self
            .depend(node, &chain)
            .map_err(|failure| failure.seen_from_above(&id, node.blueprint.version()))?;
        branch.above.remove(&id);
        Ok(branch)
    }

    fn depend(&mut self, node: &Node<'_>, chain: &[Id]) -> Result<Branch, Failure> {
        let blueprint = node.blueprint;
        if chain.len() > MAX_DEPTH {
            return Err(Failure::Refused(format!(
                "the chain of dependencies {} is longer than {MAX_DEPTH} Blueprints; choose an Application that is already there for one of them",
                path_name(&node.path)
            )));
        }
        let scope = self.scope(node)?;
        let mut dependencies = BTreeMap::new();
        let mut below = Vec::new();
        let mut above = BTreeSet::new();
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
            let met = self.meet(node, dependency, &scope, chain)?;
            dependencies.insert(dependency.alias().to_owned(), met.link);
            below.extend(met.branch);
            above.extend(met.above);
        }
        Ok(Branch {
            application: SolvedApplication {
                name: node.application.clone(),
                source: node.source.clone(),
                blueprint: blueprint.name().to_owned(),
                version: blueprint.version().clone(),
                size: node.size.clone(),
                config: node.config.clone(),
                dependencies,
                path: node.path.clone(),
            },
            below,
            above,
        })
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
        chain: &[Id],
    ) -> Result<Met, Failure> {
        let dependent = label(node.blueprint.name(), node.blueprint.version());
        let range = VersionReq::parse(&dependency.version).map_err(|error| {
            Failure::Refused(format!(
                "{dependent} asks for {} `{}`, which is not a version range: {error}",
                dependency.blueprint, dependency.version
            ))
        })?;
        let need = Need {
            dependent,
            // Its own source unless it names one; never by name alone across sources.
            source: dependency.source.as_deref().unwrap_or(&node.source),
            dependency,
            range,
        };
        let mut path = node.path.clone();
        path.push(dependency.alias().to_owned());
        let path_key = path.join(".");
        let choice = self.request.choices.get(&path_key);
        if choice.is_some() {
            self.used.insert(path_key.clone());
        }
        if let Some(Choice::Existing(name)) = choice {
            return Ok(Met {
                link: self.existing(name, &need)?,
                branch: None,
                above: BTreeSet::new(),
            });
        }
        let again = (need.source.to_owned(), dependency.blueprint.clone());
        if chain.contains(&again) {
            return Err(Failure::cycle(again));
        }
        let application = match choice {
            Some(Choice::New(name)) => name.clone(),
            _ => format!("{}-{}", node.application, dependency.alias()),
        };
        self.check_name(&application, &path_key)?;
        let config = expression::interpolate(&Value::Object(dependency.values.clone()), scope)
            .map_err(|error| {
                Failure::Refused(format!("{}, but its values fail: {error}", need.sentence()))
            })?;
        let draft = Draft {
            application,
            config,
            path,
        };
        self.newest(&need, &draft, chain)
    }

    /// The newest version that fits and whose own dependencies can be met; of those
    /// that are not listed only where no listed one is such.
    fn newest(&mut self, need: &Need<'_>, draft: &Draft, chain: &[Id]) -> Result<Met, Failure> {
        let catalog: &'a Catalog = self.catalog;
        let (source, name) = (need.source, &need.dependency.blueprint);
        let versions = catalog
            .versions(source, name)
            .filter(|versions| !versions.is_empty())
            .ok_or_else(|| {
                // One that is named is not to be named again.
                let next = match need.dependency.source {
                    Some(_) => "or correct the source that the dependency names",
                    None => "or name its source in the dependency",
                };
                need.unmet(&format!(
                    ", but the source {source} has no Blueprint of that name; publish it there, {next}"
                ))
            })?;
        let (mut fitting, unlisted): (Vec<_>, Vec<(&Version, &Arc<Blueprint>)>) = versions
            .iter()
            .rev()
            .filter(|(version, _)| need.range.matches(version))
            .partition(|(_, blueprint)| blueprint.spec.visibility.is_listed(source));
        fitting.extend(unlisted);
        if fitting.is_empty() {
            let there = match catalog.named_versions(source, name) {
                Some(there) => format!("lists only {there}"),
                None => "lists none".to_owned(),
            };
            return Err(need.unmet(&format!(
                ", but {source} {there}; publish a version in that range"
            )));
        }
        let mut passed = Passed::default();
        for (version, blueprint) in fitting {
            let node = Node {
                source: source.to_owned(),
                blueprint,
                application: draft.application.clone(),
                size: None,
                config: draft.config.clone(),
                path: draft.path.clone(),
            };
            match self.candidate(&node, chain) {
                Ok(branch) => {
                    let mut above = passed.above();
                    above.extend(branch.above.iter().cloned());
                    return Ok(Met {
                        link: Link {
                            application: draft.application.clone(),
                            blueprint: name.clone(),
                            source: source.to_owned(),
                            version: version.clone(),
                            existing: false,
                        },
                        branch: Some(branch),
                        above,
                    });
                }
                Err(Failure::Exhausted) => return Err(Failure::Exhausted),
                Err(failure) => passed.add(version, failure),
            }
        }
        Err(passed.into_failure(&need.dependent, need.needs(), name))
    }

    /// One version in its place: what is known of it, or what is found out now.
    fn candidate(&mut self, node: &Node<'_>, chain: &[Id]) -> Result<Rc<Branch>, Failure> {
        let spot = Spot {
            path: node.path.join("."),
            source: node.source.clone(),
            blueprint: node.blueprint.name().to_owned(),
            version: node.blueprint.version().clone(),
            config: node.config.to_string(),
        };
        let known = self.learned.get(&spot).filter(|known| match known {
            Ok(branch) => branch.holds_below(chain),
            Err(failure) => failure.holds_below(chain),
        });
        if let Some(known) = known {
            return known.clone();
        }
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Failure::Exhausted);
        }
        let accepted = match self.schema(&node.source, node.blueprint) {
            Ok(schema) => check_values(&schema, &node.config),
            Err(error) => Err(error.to_string()),
        };
        let found = match accepted {
            Ok(()) => self.expand(node, chain).map(Rc::new),
            Err(reason) => Err(Failure::Values(reason)),
        };
        self.learned.insert(spot, found.clone());
        found
    }

    fn existing(&self, name: &str, need: &Need<'_>) -> Result<Link, Failure> {
        let Some(existing) = self
            .request
            .existing
            .iter()
            .find(|existing| existing.application == name)
        else {
            return Err(Failure::Refused(format!(
                "{}, and the Application `{name}` was chosen for it, but there is none of that name in the Environment; choose another or a new one",
                need.sentence()
            )));
        };
        if existing.blueprint != need.dependency.blueprint || existing.source != need.source {
            return Err(Failure::Refused(format!(
                "{} from {}, but the chosen Application `{name}` is {} from {}; choose another or a new one",
                need.sentence(),
                need.source,
                label(&existing.blueprint, &existing.version),
                existing.source
            )));
        }
        if !need.range.matches(&existing.version) {
            return Err(need.unmet(&format!(
                ", but the chosen Application `{name}` runs {}; upgrade it first, or choose a new one",
                label(&existing.blueprint, &existing.version)
            )));
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

fn check_values(schema: &ConfigSchema, config: &Value) -> Result<(), String> {
    let problems = schema.validate_config(config, ConfigForm::Submitted);
    if problems.is_empty() {
        return Ok(());
    }
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(sentences.join(", "))
}
