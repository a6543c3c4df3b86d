//! A Blueprint rendered as the manifests of an Application that nobody has.

use catalyst_blueprint::{
    Blueprint, ConfigSchema, ExpressionError, ManifestKind, SchemaError, Scope, evaluate_condition,
};
use catalyst_names::{ApplicationName, EnvironmentName, HostClusterName};
use catalyst_resources::{
    Application, ApplicationSpec, BlueprintReference, DependencyReference, GROUP, Metadata, VERSION,
};
use serde_json::{Map, Value, json};

use crate::render::{RenderedObject, chart_files, render_sourced};
use crate::{
    AdmittedBlueprint, ApplicationContext, BlueprintContent, ExpandError, ResolvedDependency,
    expand,
};

const DOMAIN: &str = "example.org";
const ENVIRONMENT: &str = "example-dev";
const HOST_CLUSTER: &str = "lo-loc-rtz-dev";
const SOURCE: &str = "catalog";

/// What an Application of a Blueprint would be, for an author to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its name.
    pub application: String,
    /// One of the Blueprint's sizes.
    pub size: Option<String>,
    /// Its config as in Git: secrets are `{secretRef: name}`.
    pub config: Map<String, Value>,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            application: "example".to_owned(),
            size: None,
            config: Map::new(),
        }
    }
}

impl Example {
    /// An Application with the least config that the Blueprint's schema allows.
    pub fn least(blueprint: &Blueprint, content: &BlueprintContent) -> Result<Self, ExampleError> {
        let schema = ConfigSchema::compile(&blueprint.spec.config_schema)?;
        let defaults = default_values(blueprint.spec.manifests.source.kind, content);
        let least = schema.examples(&defaults, 1).into_iter().next();
        let least = least.ok_or(ExampleError::NoConfig)?;
        Ok(Self {
            config: least.config.as_object().cloned().unwrap_or_default(),
            ..Self::default()
        })
    }
}

/// The chart's own values; null where there are none.
pub(super) fn default_values(kind: ManifestKind, content: &BlueprintContent) -> Value {
    match kind {
        ManifestKind::HelmChart => chart_files(content)
            .get("values.yaml")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|text| catalyst_yaml::from_str(text).ok())
            .unwrap_or_default(),
        ManifestKind::Kustomize => Value::Null,
    }
}

/// Why an example could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExampleError {
    /// The Blueprint's schema cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// No config fits the schema, as far as one can be made up.
    #[error(
        "no config could be made up that fits configSchema; give the properties that are required `examples`, or a `default`"
    )]
    NoConfig,
    /// Whether it depends on another Blueprint cannot be told.
    #[error("cannot tell whether it needs `{alias}`: {reason}")]
    Condition {
        /// What it calls the other.
        alias: String,
        /// Why not.
        reason: ExpressionError,
    },
    /// The Application cannot be expanded, or its manifests not be rendered.
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// What a Blueprint's manifests create for an example, as they would in an
/// Environment `example-dev` in which every dependency is served.
pub fn render_example(
    blueprint: &Blueprint,
    content: &BlueprintContent,
    example: &Example,
) -> Result<Vec<RenderedObject>, ExampleError> {
    let dependencies = dependencies(blueprint, example)?;
    let application = application(blueprint, example, &dependencies);
    let admitted = AdmittedBlueprint {
        source: SOURCE.to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        signer: String::new(),
        repository: format!("{SOURCE}/{}", blueprint.name()),
        blueprint: blueprint.clone(),
        icon: None,
        description: None,
        withdrawn: None,
    };
    let expansion = expand(&application, &admitted, &dependencies, &context()?)?;
    Ok(render_sourced(&expansion, content)?)
}

fn context() -> Result<ApplicationContext, ExpandError> {
    let environment = EnvironmentName::new(ENVIRONMENT)?;
    let host_cluster: HostClusterName = HOST_CLUSTER.parse()?;
    let registry = format!("registry.{DOMAIN}");
    Ok(ApplicationContext::new(
        DOMAIN,
        &environment,
        &host_cluster,
        &registry,
        false,
    )?)
}

/// The dependencies that the example has by its config, each served.
fn dependencies(
    blueprint: &Blueprint,
    example: &Example,
) -> Result<Vec<ResolvedDependency>, ExampleError> {
    let config = Value::Object(example.config.clone());
    let config = match ConfigSchema::compile(&blueprint.spec.config_schema) {
        Ok(schema) => schema.with_defaults(&config),
        Err(_) => config,
    };
    let scope = Scope {
        config,
        application: json!({
            "name": example.application,
            "size": example.size,
            "blueprint": {
                "source": SOURCE,
                "name": blueprint.name(),
                "version": blueprint.version().to_string(),
            },
        }),
        environment: json!({
            "name": ENVIRONMENT, "organization": "example", "envType": "dev", "domain": DOMAIN,
        }),
    };
    let mut found = Vec::new();
    for dependency in &blueprint.spec.depends {
        let alias = dependency.alias();
        if let Some(condition) = &dependency.when {
            let is_needed = evaluate_condition(condition, &scope).map_err(|reason| {
                ExampleError::Condition {
                    alias: alias.to_owned(),
                    reason,
                }
            })?;
            if !is_needed {
                continue;
            }
        }
        found.push(ResolvedDependency {
            alias: alias.to_owned(),
            application: ApplicationName::new(format!("{}-{alias}", example.application))
                .map_err(ExpandError::from)?,
            // What the other is made of and connects by is not known here.
            kind: ManifestKind::HelmChart,
            connection_keys: vec!["url".to_owned()],
            ready: true,
        });
    }
    Ok(found)
}

fn application(
    blueprint: &Blueprint,
    example: &Example,
    dependencies: &[ResolvedDependency],
) -> Application {
    Application {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "Application".to_owned(),
        metadata: Metadata {
            name: example.application.clone(),
            namespace: Some(ENVIRONMENT.to_owned()),
            ..Metadata::default()
        },
        spec: ApplicationSpec {
            blueprint: BlueprintReference {
                source: SOURCE.to_owned(),
                name: blueprint.name().to_owned(),
                version: blueprint.version().to_string(),
            },
            size: example.size.clone(),
            config: example.config.clone(),
            dependencies: dependencies
                .iter()
                .map(|dependency| {
                    let application = dependency.application.to_string();
                    (
                        dependency.alias.clone(),
                        DependencyReference { application },
                    )
                })
                .collect(),
            placement: None,
            paused: false,
            deletion: None,
        },
        status: None,
    }
}
