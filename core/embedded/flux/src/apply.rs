//! Server-side apply of many objects: all of them are tried dry first, then
//! only those that differ are written.
//!
//! Called for Kustomizations and HelmReleases. What must stay true: a set with
//! an object that the API refuses changes nothing in its stage.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::api::{Api, ApiError, Applied};
use crate::json::{as_map, describe, text, unset};
use crate::wait::{Aim, Target, until};

/// Requests under way at once.
const PARALLEL: usize = 8;
/// How long definitions may take to be served, and recreated objects to go.
const ESTABLISH: Duration = Duration::from_secs(30);

/// How a set is applied.
pub struct Policy<'a> {
    /// Who owns the fields.
    pub manager: &'a str,
    /// Deletes and makes anew what cannot change in place.
    pub recreate: bool,
    /// Annotation prefix of per-object exceptions (`kustomize.toolkit.fluxcd.io`).
    pub group: &'a str,
}

/// One applied object and what happened to it.
pub struct Change {
    pub object: Value,
    pub what: Applied,
}

/// The kinds that others stand on, first to last; what is not listed comes after.
const ORDER: [&str; 21] = [
    "CustomResourceDefinition",
    "Namespace",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "IngressClass",
    "GatewayClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Where a kind stands in the order of applying.
pub fn rank(object: &Value) -> usize {
    let kind = text(object, "/kind");
    if kind.ends_with("WebhookConfiguration") {
        return ORDER.len() + 1;
    }
    ORDER
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(ORDER.len())
}

/// Whether others may need the object before they can even be tried.
pub fn is_definition(object: &Value) -> bool {
    matches!(
        text(object, "/kind"),
        "CustomResourceDefinition" | "Namespace"
    )
}

/// The value of an object's exception, such as `ssa` or `force`.
pub fn exception<'a>(object: &'a Value, group: &str, name: &str) -> &'a str {
    ["annotations", "labels"]
        .iter()
        .find_map(|place| {
            object
                .get("metadata")?
                .get(*place)?
                .get(format!("{group}/{name}"))?
                .as_str()
        })
        .unwrap_or_default()
}

/// Applies one stage; the objects come back in their order.
pub async fn stage(
    api: &Api,
    objects: &[&Value],
    policy: &Policy<'_>,
) -> Result<Vec<Change>, ApiError> {
    let plans: Vec<BoxFuture<'_, _>> = objects
        .iter()
        .map(|object| plan(api, object, policy).boxed())
        .collect();
    let plans: Vec<Plan> = futures::stream::iter(plans)
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let work: Vec<BoxFuture<'_, _>> = plans
        .into_iter()
        .map(|plan| execute(api, plan, policy).boxed())
        .collect();
    futures::stream::iter(work)
        .buffered(PARALLEL)
        .try_collect()
        .await
}

/// Applies a whole set: definitions and namespaces first, waited for, then the
/// rest. On failure says what was applied before it.
pub async fn all(
    api: &Api,
    objects: &[Value],
    policy: &Policy<'_>,
) -> Result<Vec<Change>, (Vec<Value>, ApiError)> {
    let (definitions, rest): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| is_definition(object));
    for one in &rest {
        // A kind that the first stage brings is looked at after it.
        let mapping = api
            .mapping(text(one, "/apiVersion"), text(one, "/kind"))
            .await;
        if mapping.is_ok_and(|found| found.namespaced)
            && text(one, "/metadata/namespace").is_empty()
        {
            let error = ApiError {
                action: format!("apply {}", describe(one)),
                code: 422,
                reason: "Invalid".into(),
                message: "namespace not specified; set metadata.namespace or spec.targetNamespace"
                    .into(),
            };
            return Err((Vec::new(), error));
        }
    }
    let mut done = stage(api, &definitions, policy)
        .await
        .map_err(|error| (Vec::new(), error))?;
    let fresh: Vec<Target> = done
        .iter()
        .filter(|one| one.what != Applied::Unchanged)
        .map(|one| Target::of(&one.object))
        .collect();
    let so_far = |done: &[Change]| done.iter().map(|one| one.object.clone()).collect();
    if !fresh.is_empty() {
        let waited = until(api, Aim::Ready, &fresh, ESTABLISH, || false).await;
        if let Err(why) = waited {
            let error = ApiError {
                action: "establish definitions".into(),
                code: 0,
                reason: String::new(),
                message: why.to_string(),
            };
            return Err((so_far(&done), error));
        }
    }
    match stage(api, &rest, policy).await {
        Ok(rest) => {
            done.extend(rest);
            Ok(done)
        }
        Err(error) => Err((so_far(&done), error)),
    }
}

enum Step {
    Apply(Applied),
    Recreate,
    Nothing,
}

struct Plan {
    object: Value,
    path: String,
    step: Step,
}

async fn plan(api: &Api, object: &Value, policy: &Policy<'_>) -> Result<Plan, ApiError> {
    let path = api.path_of(object).await?;
    // By its kind and name, where it may not even be looked at.
    let live = api.get(&path).await.map_err(|error| ApiError {
        action: format!("apply {}", describe(object)),
        ..error
    })?;
    let of = |step| Plan {
        object: object.clone(),
        path: path.clone(),
        step,
    };
    let ssa = exception(object, policy.group, "ssa").to_lowercase();
    if ssa == "ignore" || (ssa == "ifnotpresent" && live.is_some()) {
        return Ok(of(Step::Nothing));
    }
    if let Some(live) = &live
        && (exception(live, policy.group, "reconcile") == "disabled"
            || exception(object, policy.group, "reconcile") == "disabled")
    {
        return Ok(of(Step::Nothing));
    }
    let dry = match api.apply(&path, policy.manager, object, true).await {
        Ok(dry) => dry,
        Err(error) if error.is_immutable() => {
            let may = policy.recreate || exception(object, policy.group, "force") == "enabled";
            if may && live.is_some() {
                return Ok(of(Step::Recreate));
            }
            return Err(ApiError {
                message: format!(
                    "{}; set force: true to delete it and make it anew",
                    error.message
                ),
                ..error
            });
        }
        Err(error) => return Err(error),
    };
    Ok(of(match live {
        None => Step::Apply(Applied::Created),
        Some(live) if differs(&live, &dry) => Step::Apply(Applied::Configured),
        Some(_) => Step::Nothing,
    }))
}

async fn execute(api: &Api, plan: Plan, policy: &Policy<'_>) -> Result<Change, ApiError> {
    let what = match plan.step {
        Step::Nothing => Applied::Unchanged,
        Step::Apply(what) => {
            api.apply(&plan.path, policy.manager, &plan.object, false)
                .await?;
            what
        }
        Step::Recreate => {
            api.delete(&plan.path, "Background").await?;
            let target = Target::of(&plan.object);
            until(api, Aim::Gone, &[target], ESTABLISH, || false)
                .await
                .map_err(|why| ApiError {
                    action: format!("recreate {}", describe(&plan.object)),
                    code: 409,
                    reason: "Conflict".into(),
                    message: why.to_string(),
                })?;
            api.apply(&plan.path, policy.manager, &plan.object, false)
                .await?;
            Applied::Created
        }
    };
    Ok(Change {
        object: plan.object,
        what,
    })
}

/// Whether an apply would change the object, its bookkeeping aside.
pub fn differs(live: &Value, dry: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        for field in ["managedFields", "resourceVersion", "generation"] {
            unset(&mut object, &["metadata", field]);
        }
        unset(&mut object, &["status"]);
        object
    };
    strip(live) != strip(dry)
}

/// Adds labels and annotations to an object, over its own.
pub fn mark(object: &mut Value, place: &str, entries: &BTreeMap<String, String>) {
    if entries.is_empty() {
        return;
    }
    let metadata = as_map(as_map(object).entry("metadata").or_insert(Value::Null));
    let map = as_map(metadata.entry(place).or_insert(Value::Null));
    for (key, value) in entries {
        map.insert(key.clone(), Value::String(value.clone()));
    }
}
