//! An Application becomes objects: everything that its vcluster must hold for it.
//!
//! Used by the planner, which shows the objects, and by the application
//! controller, which applies them. What must stay true: this is the only place
//! that knows the list, and the same input gives the same objects in the same
//! order, the order in which they are applied.

use std::collections::BTreeMap;

use catalyst_blueprint::{ConfigSchema, ManifestKind, SchemaError, ValuesInput, merge_values};
use catalyst_names::{ApplicationLabels, ApplicationName, BlueprintName, EnvType, NameError};
use catalyst_resources::Application;
use serde_json::{Map, Value, json};

use crate::{
    AdmittedBlueprint, ApplicationContext, ResolvedDependency, account, connection_secret_name,
    delivery, guard, secrets, secrets::SecretValue,
};

/// Everything that one Application is in one vcluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// The Application.
    pub application: ApplicationName,
    /// The namespace of its Flux objects: the Environment's.
    pub namespace: String,
    /// The namespace of its workloads.
    pub workload_namespace: String,
    /// How its manifests are written.
    pub kind: ManifestKind,
    /// The objects, in the order they are applied.
    pub objects: Vec<Value>,
    /// The values that its chart receives, secrets left out.
    pub values: Value,
    /// The overlay of a Kustomize Blueprint.
    pub size: Option<String>,
    /// Labels that every object created by its manifests receives, too.
    pub common_labels: BTreeMap<String, String>,
    /// Secret config by path of properties; the values are in the vault.
    pub secret_config: Vec<Vec<String>>,
}

/// Why an Application cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// Its name, its Environment's or its Blueprint's is not valid.
    #[error("cannot expand the Application: {0}")]
    Name(#[from] NameError),
    /// The Blueprint's schema cannot be used.
    #[error("cannot expand {application}: {reason}; publish a corrected version of its Blueprint")]
    Schema {
        /// The Application.
        application: String,
        /// Why not.
        reason: SchemaError,
    },
    /// The Blueprint is another than the Application's.
    #[error(
        "cannot expand {application}: it asks for {wanted}, but was given {given}; this is a fault of Catalyst"
    )]
    OtherBlueprint {
        /// The Application.
        application: String,
        /// What it asks for.
        wanted: String,
        /// What was given.
        given: String,
    },
    /// It chose a size that the Blueprint does not have.
    #[error("cannot expand {application}: its Blueprint has no size {size:?}; choose {known}")]
    Size {
        /// The Application.
        application: String,
        /// The size.
        size: String,
        /// The sizes there are.
        known: String,
    },
    /// A dependency in its spec was not resolved, or one too many was.
    #[error(
        "cannot expand {application}: the dependency {alias:?} is not served; name an Application for it in spec.dependencies"
    )]
    Dependency {
        /// The Application.
        application: String,
        /// The alias.
        alias: String,
    },
    /// A secret at a place where Flux cannot put it.
    #[error(
        "cannot expand {application}: the secret property {pointer} lies in a list, where its value cannot be delivered; its Blueprint must take it out of the list"
    )]
    SecretInList {
        /// The Application.
        application: String,
        /// JSON pointer in the config.
        pointer: String,
    },
    /// Its workloads would be among an Environment's own objects.
    #[error(
        "cannot expand {application}: its workloads would be in the namespace {namespace}, which is an Environment's own; give the Application another name"
    )]
    Namespace {
        /// The Application.
        application: String,
        /// The namespace.
        namespace: String,
    },
    /// Its Blueprint brings what its release may not make.
    #[error(
        "cannot install {application}: {object} of its Blueprint {why}; a Blueprint acts in its own Application's namespace only, so use a version without it"
    )]
    Reach {
        /// The Application.
        application: String,
        /// Kind and name.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// The chart could not be rendered.
    #[error("cannot render {application}: {reason}")]
    Render {
        /// The Application.
        application: String,
        /// Template, line and reason, in Helm's words.
        reason: String,
    },
}

/// The Flux and supporting objects of an Application.
///
/// `dependencies` are those of its spec, resolved; `ctx.dependents` are the
/// Applications that name it as theirs, since an edge is allowed on both sides.
pub fn expand(
    application: &Application,
    blueprint: &AdmittedBlueprint,
    dependencies: &[ResolvedDependency],
    ctx: &ApplicationContext,
) -> Result<Expansion, ExpandError> {
    let name = ApplicationName::new(application.metadata.name.clone())?;
    check(application, blueprint, dependencies)?;
    let workload_namespace = ctx.workload_namespace(&name);
    if is_environment(&workload_namespace, ctx) {
        return Err(ExpandError::Namespace {
            application: name.to_string(),
            namespace: workload_namespace,
        });
    }
    let schema =
        ConfigSchema::compile(&blueprint.blueprint.spec.config_schema).map_err(|reason| {
            ExpandError::Schema {
                application: name.to_string(),
                reason,
            }
        })?;
    let config = Value::Object(application.spec.config.clone());
    let secret_config = secrets::in_config(&name, &schema, &config)?;
    let mut dependencies = dependencies.to_vec();
    dependencies.sort_by(|left, right| left.alias.cmp(&right.alias));
    let values = values(
        application,
        &name,
        blueprint,
        &dependencies,
        &secret_config,
        ctx,
    );
    let labels = Labels::new(&name, blueprint, ctx)?;
    let input = Input {
        application,
        name: &name,
        blueprint,
        dependencies: &dependencies,
        secret_config: &secret_config,
        values: &values,
        labels: &labels,
        workload_namespace,
        ctx,
    };
    let mut objects = guard::objects(&input);
    objects.extend(account::objects(&input));
    objects.extend(secrets::objects(&input));
    objects.extend(delivery::objects(&input)?);
    if let Some(route) = guard::route(&input) {
        objects.push(route);
    }
    Ok(Expansion {
        namespace: ctx.environment.to_string(),
        workload_namespace: input.workload_namespace.clone(),
        kind: blueprint.blueprint.spec.manifests.source.kind,
        objects,
        size: application.spec.size.clone(),
        common_labels: labels.own(),
        secret_config: secret_config
            .into_iter()
            .map(|secret| secret.path)
            .collect(),
        application: name,
        values,
    })
}

/// What every part of the expansion is made from.
pub(crate) struct Input<'a> {
    pub application: &'a Application,
    pub name: &'a ApplicationName,
    pub blueprint: &'a AdmittedBlueprint,
    pub dependencies: &'a [ResolvedDependency],
    pub secret_config: &'a [SecretValue],
    pub values: &'a Value,
    pub labels: &'a Labels,
    pub workload_namespace: String,
    pub ctx: &'a ApplicationContext,
}

impl Input<'_> {
    /// An object with the Application's labels.
    pub fn object(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        component: &str,
        body: Value,
    ) -> Value {
        let mut metadata = json!({"name": name, "labels": self.labels.with(component)});
        if let (Some(namespace), Some(metadata)) = (namespace, metadata.as_object_mut()) {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
        if let (Value::Object(body), Some(object)) = (body, object.as_object_mut()) {
            object.extend(body);
        }
        object
    }

    pub fn environment_namespace(&self) -> &str {
        self.ctx.environment.as_str()
    }
}

/// The labels of an Application's objects.
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    fn new(
        name: &ApplicationName,
        blueprint: &AdmittedBlueprint,
        ctx: &ApplicationContext,
    ) -> Result<Self, NameError> {
        let labels = ApplicationLabels {
            sovereign: &ctx.sovereign,
            environment: &ctx.environment,
            host_cluster: &ctx.host_cluster,
            application: name,
            blueprint: &BlueprintName::new(blueprint.name())?,
            version: &blueprint.version(),
            component: "application",
        };
        Ok(Self(labels.to_map()?))
    }

    fn with(&self, component: &str) -> BTreeMap<String, String> {
        let mut labels = self.0.clone();
        labels.insert(
            "app.kubernetes.io/component".to_owned(),
            component.to_owned(),
        );
        labels
    }

    /// Catalyst's own ones only: the others belong to the chart.
    fn own(&self) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter(|(key, _)| key.starts_with(catalyst_names::LABEL_PREFIX))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub fn common(&self) -> BTreeMap<String, String> {
        self.own()
    }
}

/// Whether a namespace is, or could be, that of one of the Organization's Environments,
/// where the credentials of its delivery are.
fn is_environment(namespace: &str, ctx: &ApplicationContext) -> bool {
    let rest = namespace.strip_prefix(ctx.organization.as_str());
    let env_type = rest.and_then(|rest| rest.strip_prefix('-'));
    env_type.is_some_and(|code| EnvType::ALL.iter().any(|one| one.code() == code))
}

fn check(
    application: &Application,
    blueprint: &AdmittedBlueprint,
    dependencies: &[ResolvedDependency],
) -> Result<(), ExpandError> {
    let name = &application.metadata.name;
    let wanted = &application.spec.blueprint;
    let given = (
        blueprint.source.as_str(),
        blueprint.name(),
        blueprint.version(),
    );
    if (
        wanted.source.as_str(),
        wanted.name.as_str(),
        wanted.version.clone(),
    ) != given
    {
        return Err(ExpandError::OtherBlueprint {
            application: name.clone(),
            wanted: format!("{}/{} {}", wanted.source, wanted.name, wanted.version),
            given: blueprint.object_name(),
        });
    }
    let overlays = &blueprint.blueprint.spec.manifests.overlays;
    if let Some(size) = &application.spec.size
        && !overlays.contains_key(size)
    {
        let known: Vec<&str> = overlays.keys().map(String::as_str).collect();
        return Err(ExpandError::Size {
            application: name.clone(),
            size: size.clone(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    }
    let resolved = |alias: &str| {
        dependencies
            .iter()
            .any(|dependency| dependency.alias == alias)
    };
    if let Some(alias) = application
        .spec
        .dependencies
        .keys()
        .find(|alias| !resolved(alias))
    {
        return Err(ExpandError::Dependency {
            application: name.clone(),
            alias: alias.clone(),
        });
    }
    Ok(())
}

/// Overlay ⊕ config ⊕ dependencies ⊕ global.catalyst, without secrets: those
/// are merged in by Flux.
fn values(
    application: &Application,
    name: &ApplicationName,
    blueprint: &AdmittedBlueprint,
    dependencies: &[ResolvedDependency],
    secret_config: &[SecretValue],
    ctx: &ApplicationContext,
) -> Value {
    let overlay = application
        .spec
        .size
        .as_ref()
        .and_then(|size| blueprint.blueprint.spec.manifests.overlays.get(size))
        .cloned()
        .unwrap_or_default();
    let mut config = Value::Object(application.spec.config.clone());
    for secret in secret_config {
        remove(&mut config, &secret.path);
    }
    let dependencies: BTreeMap<String, Value> = dependencies
        .iter()
        .map(|dependency| {
            let mut seen = Map::new();
            let served_by = &dependency.application;
            seen.insert("application".to_owned(), json!(served_by));
            seen.insert(
                "namespace".to_owned(),
                json!(ctx.workload_namespace(served_by)),
            );
            seen.insert("host".to_owned(), json!(ctx.service_host(served_by)));
            if !dependency.connection_keys.is_empty() {
                seen.insert(
                    "connectionSecret".to_owned(),
                    json!(connection_secret_name(served_by)),
                );
            }
            (dependency.alias.clone(), Value::Object(seen))
        })
        .collect();
    let placement = match &application.spec.placement {
        Some(placement) => json!(placement),
        None => json!({"mode": "single-region", "regions": [ctx.host_cluster.region()]}),
    };
    merge_values(&ValuesInput {
        overlay,
        config,
        dependencies,
        catalyst: json!({
            "sovereign": ctx.sovereign,
            "organization": ctx.organization,
            "environment": ctx.environment,
            "envType": ctx.env_type.code(),
            "vcluster": ctx.vcluster().to_string(),
            "hostCluster": ctx.host_cluster.to_string(),
            "application": name,
            "domain": ctx.domain,
            "host": ctx.host(name),
            "placement": placement,
        }),
    })
}

fn remove(target: &mut Value, path: &[String]) {
    match (path.split_first(), target) {
        (Some((last, [])), Value::Object(map)) => {
            map.remove(last);
        }
        (Some((first, rest)), Value::Object(map)) => {
            if let Some(inner) = map.get_mut(first) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}
