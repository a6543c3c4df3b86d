//! Which Applications an install needs, each at which version.
//!
//! Every dependency is an Application of its own, unless the user points it at
//! one that already runs; two dependents never share a new one. The choices in
//! one branch therefore never constrain another, and the search is a walk down a
//! tree: for each dependency the newest version whose own dependencies can be
//! met. What was found out about a version in its place is kept, so that it is not
//! searched again below every version of its dependents. Why no general version
//! solver does this is in `docs/adr/0012-dependency-solving.md`.
//!
//! A range means what its source lists: a version that is not is taken only where no
//! listed one will do, so that nobody runs by chance what was put there to be tried.

mod failure;
mod search;

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Map, Value};

use crate::Catalog;
use search::{Node, Search};

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
    let mut search = Search::new(catalog, request);
    let node = Node {
        source: request.source.clone(),
        blueprint,
        application: request.application.clone(),
        size: request.size.clone(),
        config: request.config.clone(),
        path: Vec::new(),
    };
    let applications = search
        .expand(&node, &[])
        .map_err(|failure| failure.into_error(root.clone()))?
        .into_applications();
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
    if let Some(stray) = request.choices.keys().find(|path| !search.is_used(path)) {
        return Err(SolveError::Refused {
            root,
            reason: format!(
                "a choice was made for the dependency `{stray}`, but there is no such dependency with this config; remove the choice"
            ),
        });
    }
    Ok(Solution { applications })
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
