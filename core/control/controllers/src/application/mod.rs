//! Application: expanded into Flux objects in its vcluster, kept so, and told of
//! in its status.
//!
//! What must stay true: what stands in the vcluster is what [`catalyst_plan::expand`]
//! says, no more and no less; a running Application does not need this controller.

mod backend;
mod deletion;
mod observe;
mod phase;
mod pods;
mod remembered;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalyst_blueprint::ConnectionScope;
use catalyst_names::ApplicationName;
use catalyst_plan::{ApplicationContext, CONNECTION, ExpandError, Expansion, expand};
use catalyst_resources::Application;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub use phase::{RELEASED, VERSION_FAILED};
pub use remembered::Remembered;

use crate::conditions;
use crate::context::Context;
use crate::controllers::{ApplicationKey, Shared};
use crate::desired::{MANAGED_BY, key};
use crate::error::ReconcileError;
use crate::kubernetes::{APPLICATION, Cluster, ENVIRONMENT, Kind, OCI_REPOSITORY};
use crate::object::{is_deleting, name, namespace, text};
use crate::runtime::{Next, ever_more_rarely};
use crate::{clock, finalizer, remains, secrets};

use phase::Observed;
use surroundings::{NotExpanded, Surroundings};

/// Who the controller is when it applies objects.
const MANAGER: &str = "catalyst-application-controller";

/// How soon, and how rarely at most, a namespace on its way out is looked at again; no
/// watch tells of it.
const LOOK_AT_NAMESPACE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

/// Kinds that an expansion may have had and no longer has.
const PRUNED: [Kind; 9] = [
    Kind {
        api_version: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
    },
    Kind {
        api_version: "external-secrets.io/v1",
        kind: "ExternalSecret",
        plural: "externalsecrets",
    },
    Kind {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        plural: "httproutes",
    },
    Kind {
        api_version: "v1",
        kind: "ResourceQuota",
        plural: "resourcequotas",
    },
    Kind {
        api_version: "v1",
        kind: "LimitRange",
        plural: "limitranges",
    },
    OCI_REPOSITORY,
    Kind {
        api_version: "rbac.authorization.k8s.io/v1",
        kind: "RoleBinding",
        plural: "rolebindings",
    },
    Kind {
        api_version: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        plural: "roles",
    },
    Kind {
        api_version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
    },
];

/// Makes one Application in one vcluster as it is wanted.
pub async fn reconcile(shared: &Shared, at: &ApplicationKey) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let Some(vcluster) = ctx.vcluster_of(&at.at.host, &at.at.organization).await? else {
        return Ok(None);
    };
    let Some(object) = vcluster.get(APPLICATION, &at.environment, &at.name).await? else {
        shared.remembered.forget(at);
        return Ok(None);
    };
    // An Environment that goes takes its Applications with it, all at once.
    let environment = ctx
        .management()
        .get(ENVIRONMENT, "", &at.environment)
        .await?;
    let Some(environment) = environment.filter(|environment| !is_deleting(environment)) else {
        return Ok(None);
    };
    if is_deleting(&object)
        || object
            .pointer("/spec/deletion")
            .is_some_and(|one| !one.is_null())
    {
        return deletion::delete(shared, at, &vcluster, &object).await;
    }
    finalizer::add(&vcluster, &object, finalizer::APPLICATION).await?;
    deletion::forget(&vcluster, &object).await?;
    let before = text(&object, "/status/phase").to_owned();
    let (mut not_expanded, mut held, mut again) = (None, None, None);
    let (not_applied, failure) = match make(shared, at, &vcluster, &object, &environment).await {
        Ok(not_applied) => (not_applied, None),
        Err(Unmade::NotExpanded(NotExpanded { reason, message })) => {
            not_expanded = Some((reason, message));
            (Vec::new(), None)
        }
        Err(Unmade::Held { by, why }) => {
            let waited = clock::seconds_since(text(&by, "/metadata/deletionTimestamp"));
            let [soonest, latest] = LOOK_AT_NAMESPACE;
            again = Some(ever_more_rarely(waited.unwrap_or(0), soonest, latest));
            held = Some(why);
            (Vec::new(), None)
        }
        Err(Unmade::Failed(error)) => (vec![error.chain()], Some(error)),
    };
    let seen = observe::observe(shared, at, &vcluster).await?;
    let verdict = phase::phase(&Observed {
        application: Some(&object),
        not_expanded,
        held,
        not_applied: not_applied.clone(),
        source: seen.source.as_ref(),
        release: seen.release.as_ref(),
        pods: &seen.pods,
        logs: seen.logs,
    });
    let mut fields = Map::new();
    fields.insert("phase".to_owned(), json!(verdict.phase));
    conditions::write(&vcluster, &object, &verdict.conditions, fields).await?;
    if Value::String(before) != json!(verdict.phase) {
        // Where an edge crosses kinds, the other end waits for this.
        for neighbour in shared.vclusters.neighbours(at) {
            shared.applications.add(neighbour);
        }
    }
    match failure {
        Some(error) => Err(error),
        None if not_applied.is_empty() => Ok(again),
        None => Err(ReconcileError::missing(
            "apply",
            format!("the Application {}/{}", at.environment, at.name),
            not_applied.join("; "),
        )),
    }
}

/// Why an Application was not made.
enum Unmade {
    /// It cannot be expanded as things are; told in its conditions.
    NotExpanded(NotExpanded),
    /// Its namespace is still going, after an earlier Application of the name.
    Held {
        /// The namespace.
        by: Value,
        /// What keeps it.
        why: String,
    },
    /// Something did not answer; tried again.
    Failed(ReconcileError),
}

impl From<ReconcileError> for Unmade {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(error)
    }
}

impl From<NotExpanded> for Unmade {
    fn from(why: NotExpanded) -> Self {
        Self::NotExpanded(why)
    }
}

/// Expands and applies. Answers what could not be applied, with the causes.
async fn make(
    shared: &Shared,
    at: &ApplicationKey,
    vcluster: &Cluster,
    object: &Value,
    environment: &Value,
) -> Result<Vec<String>, Unmade> {
    let ctx = &shared.ctx;
    let application: Application = serde_json::from_value(object.clone()).map_err(|error| {
        NotExpanded::new(
            "Invalid",
            format!("its spec does not fit its kind: {error}; correct application.yaml"),
        )
    })?;
    let around = surroundings::read(shared, at, vcluster, &application, environment).await?;
    let mut place = around.place.clone();
    connection(ctx, &application, &around).await?;
    let first = expanded(&application, &around, &place)?;
    let mut warnings = Vec::new();
    match backend::find(shared, &around, &first).await {
        Ok(backend) => place.http_backend = backend,
        Err(cause) => warnings.push(format!("its page cannot be routed: {cause}")),
    }
    let expansion = if place.http_backend.is_some() {
        expanded(&application, &around, &place)?
    } else {
        first
    };
    let is_touched = shared.vclusters.take_touched(at);
    let uid = text(object, "/metadata/uid");
    if !is_touched && shared.remembered.is_applied(at, uid, &expansion.objects) {
        return Ok(warnings);
    }
    shared.remembered.forget(at);
    let failures = apply(vcluster, &expansion.objects).await?;
    if failures.is_empty() {
        prune(vcluster, at, &expansion).await?;
        if warnings.is_empty() {
            shared.remembered.set_applied(at, uid, &expansion.objects);
        }
    }
    warnings.extend(failures);
    Ok(warnings)
}

fn expanded(
    application: &Application,
    around: &Surroundings,
    place: &ApplicationContext,
) -> Result<Expansion, NotExpanded> {
    expand(application, &around.blueprint, &around.dependencies, place).map_err(|error| {
        let reason = match &error {
            ExpandError::Dependency { .. } => "DependencyMissing",
            ExpandError::Render { .. } => "RenderFailed",
            _ => "ExpandFailed",
        };
        NotExpanded::new(reason, error.to_string())
    })
}

/// Namespaces first, then the rights of the release in them, then everything else, the
/// release among it; one that fails does not keep the others back. Nothing goes into a
/// namespace that is on its way out, least of all a release, whose attempts would be spent
/// before there is room for it.
async fn apply(vcluster: &Cluster, objects: &[Value]) -> Result<Vec<String>, Unmade> {
    let (namespaces, inside): (Vec<&Value>, Vec<&Value>) = objects
        .iter()
        .partition(|object| text(object, "/kind") == "Namespace");
    let (rights, others): (Vec<&Value>, Vec<&Value>) =
        inside.into_iter().partition(|object| is_right(object));
    let mut failures = Vec::new();
    for wave in [namespaces, rights, others] {
        let applied = wave
            .iter()
            .map(|object| vcluster.apply(object, MANAGER).boxed());
        for outcome in join_all(applied).await {
            match outcome {
                Ok(there) if text(&there, "/kind") == "Namespace" && is_deleting(&there) => {
                    let remains = remains::of_namespace(vcluster, &there).await;
                    return Err(Unmade::Held {
                        why: format!(
                            "it waits until the namespace {} of an earlier Application is gone: {}",
                            name(&there),
                            remains.chain()
                        ),
                        by: there,
                    });
                }
                Ok(_) => {}
                Err(error) => failures.push(error.chain()),
            }
        }
    }
    Ok(failures)
}

/// Whether an object is of the rights that the release acts with. Flux would else try
/// the release without them, and again only after a while.
fn is_right(object: &Value) -> bool {
    matches!(
        text(object, "/kind"),
        "ServiceAccount" | "Role" | "RoleBinding"
    )
}

/// Removes what carries the Application's labels, was made by this controller,
/// and is no longer wanted.
async fn prune(
    vcluster: &Cluster,
    at: &ApplicationKey,
    expansion: &Expansion,
) -> Result<(), ReconcileError> {
    let selector = selector(at);
    let wanted: BTreeSet<(&str, &str, &str)> = expansion.objects.iter().map(id).collect();
    let lists = PRUNED
        .iter()
        .map(|kind| vcluster.list(*kind, "", &selector).boxed());
    for list in join_all(lists).await {
        for present in list? {
            if !wanted.contains(&id(&present)) && !is_deleting(&present) {
                vcluster.delete_object(&present).await?;
            }
        }
    }
    Ok(())
}

fn id(object: &Value) -> (&str, &str, &str) {
    (text(object, "/kind"), namespace(object), name(object))
}

/// Selects what this controller made for an Application. What its chart made has
/// the same labels but for who manages it.
fn selector(at: &ApplicationKey) -> String {
    format!(
        "{}={},{}={},{}={}",
        key("application"),
        at.name,
        key("environment"),
        at.environment,
        MANAGED_BY.0,
        MANAGED_BY.1
    )
}

/// Makes the secret by which others connect to the Application, once in its life.
async fn connection(
    ctx: &Context,
    application: &Application,
    around: &Surroundings,
) -> Result<(), Unmade> {
    let Some(wanted) = &around.blueprint.blueprint.spec.provides.connection_secret else {
        return Ok(());
    };
    let name = ApplicationName::new(application.metadata.name.clone())
        .map_err(|error| NotExpanded::new("Invalid", error.to_string()))?;
    let path = around.place.secret_path(&name, CONNECTION);
    secrets::ensure(&ctx.vault, &path, || {
        let scope = ConnectionScope {
            username: name.as_str().replace('-', "_"),
            password: secrets::random_password()?.to_string(),
            host: around.place.service_host(&name),
            database: name.to_string(),
            application: name.to_string(),
        };
        let rendered = wanted.render(&scope).map_err(|error| {
            ReconcileError::invalid("make", format!("the secret {path}"), error.to_string())
        })?;
        Ok(rendered
            .into_iter()
            .map(|(key, value)| (key, Zeroizing::new(value)))
            .collect::<BTreeMap<_, _>>())
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    const NAMESPACE: &str = "/api/v1/namespaces/db";
    const SECRET: &str = "/api/v1/namespaces/db/secrets/db";

    #[test]
    fn the_rights_of_a_release_come_before_it_and_go_with_the_application() {
        for kind in ["ServiceAccount", "Role", "RoleBinding"] {
            assert!(is_right(&json!({"kind": kind})), "{kind}");
            assert!(PRUNED.iter().any(|one| one.kind == kind), "{kind}");
        }
        for kind in ["HelmRelease", "Kustomization"] {
            assert!(!is_right(&json!({"kind": kind})), "{kind}");
        }
    }

    #[tokio::test]
    async fn nothing_goes_into_a_namespace_on_its_way_out() {
        let objects = [
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "db", "labels": {"new": "1"}}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "db"}}),
        ];
        let memory = Memory::default();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "db"}});
        memory.put(SECRET, secret.clone());
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "db", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/hold"]}});
        memory.put(NAMESPACE, namespace.clone());
        let Err(Unmade::Held { why, .. }) = apply(&memory.cluster(), &objects).await else {
            panic!("it was applied")
        };
        for part in [
            "the namespace db of an earlier Application",
            "its finalizers keep it (example.com/hold)",
        ] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(memory.get(SECRET), Some(secret));

        namespace["metadata"]["deletionTimestamp"] = Value::Null;
        memory.put(NAMESPACE, namespace);
        assert!(
            matches!(apply(&memory.cluster(), &objects).await, Ok(failures) if failures.is_empty())
        );
        let applied = memory.get(SECRET).unwrap();
        assert_eq!(applied["metadata"]["labels"]["new"], "1");
    }
}
