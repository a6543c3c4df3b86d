//! Kustomization: a source's folder, built, applied, pruned and checked.
//!
//! What must stay true: the inventory in the status names every object that
//! was applied, before anything is waited for; pruning deletes only objects
//! that carry this Kustomization's labels.

mod build;
mod inventory;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::{Api, ApiError, Applied};
use crate::apply::{Policy, exception, rank};
use crate::depend;
use crate::json::{describe, duration, flag, list, some_text, text};
use crate::queue::Outcome;
use crate::reconcile::{interval, retry_interval};
use crate::state::Inner;
use crate::status::{READY, Subject};
use crate::wait::{Aim, Target, WaitError, until};
use crate::{artifact, events};

const MANAGER: &str = "kustomize-controller";
const GROUP: &str = "kustomize.toolkit.fluxcd.io";

/// Why a reconciliation did not end well: Flux's reason and the message.
struct Failure {
    reason: &'static str,
    message: String,
}

fn failure(reason: &'static str, message: impl Into<String>) -> Failure {
    Failure {
        reason,
        message: message.into(),
    }
}

enum End {
    Failed(Failure),
    Overtaken,
    Api(ApiError),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Reconciles one Kustomization.
pub async fn reconcile(inner: &Inner, subject: &mut Subject) -> Result<Outcome, ApiError> {
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    subject.set("observedGeneration", subject.generation());
    if let Some(why) = unsupported(&spec) {
        subject.stalled("BuildFailed", &why);
        return Ok(Outcome::After(interval(subject)));
    }
    let reference = spec.get("sourceRef").cloned().unwrap_or_default();
    let source = depend::source(inner, subject, &reference).await?;
    let source = match source.and_then(|source| depend::artifact(&source)) {
        Ok(artifact) => artifact,
        Err(why) => {
            subject.failing("ArtifactFailed", &why);
            return Ok(Outcome::Retry(retry_interval(subject)));
        }
    };
    if let Err(why) = depend::dependencies(inner, subject, Some(&source)).await? {
        events::failing(inner, subject, "DependencyNotReady", &why).await;
        // Their own change wakes this one; the delay is for what no watch shows.
        return Ok(Outcome::After(Duration::from_secs(30)));
    }
    let revision = text(&source, "/revision").to_owned();
    match work(inner, subject, &spec, &source).await {
        Ok(()) => {
            let message = format!("Applied revision: {revision}");
            subject.set("lastAppliedRevision", revision.as_str());
            let origin = source
                .pointer("/metadata/org.opencontainers.image.revision")
                .and_then(Value::as_str);
            match origin {
                Some(origin) => subject.set("lastAppliedOriginRevision", origin),
                None => subject.unset("lastAppliedOriginRevision"),
            }
            subject.ready("ReconciliationSucceeded", &message);
            Ok(Outcome::After(interval(subject)))
        }
        Err(End::Overtaken) => Ok(Outcome::After(Duration::ZERO)),
        Err(End::Failed(Failure { reason, message })) => {
            events::failing(inner, subject, reason, &message).await;
            Ok(Outcome::Retry(retry_interval(subject)))
        }
        Err(End::Api(error)) => {
            events::failing(inner, subject, "ReconciliationFailed", &error.to_string()).await;
            Ok(Outcome::Retry(retry_interval(subject)))
        }
    }
}

fn unsupported(spec: &Value) -> Option<String> {
    for (field, advice) in [
        (
            "decryption",
            "keep secrets in the vault and use ExternalSecrets",
        ),
        (
            "kubeConfig",
            "put the Kustomization into the cluster it is for",
        ),
        ("healthCheckExprs", "use healthChecks"),
        ("ignore", "leave the fields out of the manifests"),
    ] {
        if spec.get(field).is_some_and(|value| !is_empty(value)) {
            return Some(format!(
                "could not build: spec.{field} is not supported here; {advice}"
            ));
        }
    }
    None
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.is_null()
}

async fn work(
    inner: &Inner,
    subject: &mut Subject,
    spec: &Value,
    source: &Value,
) -> Result<(), End> {
    let revision = text(source, "/revision").to_owned();
    subject.set("lastAttemptedRevision", revision.as_str());
    let api = inner.api_for(subject);
    let variables = variables(inner, subject, spec).await?;
    let archive = inner
        .artifacts
        .get(&inner.http, source)
        .await
        .map_err(|why| failure("ArtifactFailed", why.to_string()))?;
    let (name, namespace) = (subject.key.name.clone(), subject.key.namespace.clone());
    let owned = spec.clone();
    let built = tokio::task::spawn_blocking(move || {
        let of_artifact = |why: String| failure("ArtifactFailed", why);
        let files = artifact::unpack(&archive).map_err(|why| of_artifact(why.to_string()))?;
        build::find(&files, &owned).map_err(of_artifact)?;
        build::build(
            &files,
            &build::Input {
                spec: &owned,
                name: &name,
                namespace: &namespace,
                variables: &variables,
            },
        )
        .map_err(|why| failure("BuildFailed", why))
    })
    .await
    .map_err(|why| failure("BuildFailed", why.to_string()))?;
    let objects = built?;

    let old = inventory::read(&subject.status);
    let policy = Policy {
        manager: MANAGER,
        recreate: flag(spec, "/force"),
        group: GROUP,
    };
    let mut objects = objects;
    objects.sort_by_cached_key(|object| (rank(object), describe(object)));
    let changes = match crate::apply::all(&api, &objects, &policy).await {
        Ok(changes) => changes,
        Err((applied, error)) => {
            // What was applied before the failure belongs to the inventory too.
            let mut all = old;
            all.extend(applied.iter().map(Entry::of));
            subject.set("inventory", inventory::write(&all));
            return Err(failure("ReconciliationFailed", error.to_string()).into());
        }
    };
    let new: BTreeSet<Entry> = changes.iter().map(|one| Entry::of(&one.object)).collect();
    let mut lines: Vec<String> = changes
        .iter()
        .filter(|one| one.what != Applied::Unchanged)
        .map(|one| {
            let word = match one.what {
                Applied::Created => "created",
                _ => "configured",
            };
            format!("{} {word}", describe(&one.object))
        })
        .collect();
    let stale = inventory::stale(&old, &new);
    let pruned = if flag(spec, "/prune") {
        match prune(&api, subject, &stale).await {
            Ok(pruned) => pruned,
            Err(error) => {
                let all = old.union(&new).cloned().collect();
                subject.set("inventory", inventory::write(&all));
                return Err(failure("PruneFailed", error.to_string()).into());
            }
        }
    } else {
        Vec::new()
    };
    lines.extend(pruned.iter().map(|target| format!("{target} deleted")));
    subject.set("inventory", inventory::write(&new));
    if !lines.is_empty() {
        events::emit(inner, subject, false, "Progressing", &lines.join("\n")).await;
    }
    let mut targets: BTreeSet<Target> = BTreeSet::new();
    if flag(spec, "/wait") {
        targets.extend(changes.iter().map(|one| Target::of(&one.object)));
    } else {
        targets.extend(
            list(spec, "/healthChecks")
                .iter()
                .map(|one| health_check(subject, one)),
        );
    }
    if targets.is_empty() {
        subject.clear("Healthy");
    } else {
        let targets: Vec<Target> = targets.into_iter().collect();
        check(inner, subject, &api, spec, &targets, &revision).await?;
    }
    if !lines.is_empty() || text(&subject.status, "/lastAppliedRevision") != revision {
        let took = format!("Reconciliation finished, applied revision {revision}");
        events::emit(inner, subject, false, "ReconciliationSucceeded", &took).await;
    }
    Ok(())
}

use inventory::Entry;

fn health_check(subject: &Subject, one: &Value) -> Target {
    let api_version = match (text(one, "/apiVersion"), text(one, "/kind")) {
        ("", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => "apps/v1",
        ("", "Job") => "batch/v1",
        ("", _) => "v1",
        (version, _) => version,
    };
    Target {
        api_version: api_version.to_owned(),
        kind: text(one, "/kind").to_owned(),
        namespace: some_text(one, "/namespace")
            .unwrap_or(&subject.key.namespace)
            .to_owned(),
        name: text(one, "/name").to_owned(),
    }
}

async fn variables(
    inner: &Inner,
    subject: &Subject,
    spec: &Value,
) -> Result<BTreeMap<String, String>, End> {
    let mut found = BTreeMap::new();
    let api = inner.api(&subject.key.cluster);
    for one in build::substitute_from(spec) {
        let (kind, name) = (text(one, "/kind"), text(one, "/name"));
        let plural = if kind == "Secret" {
            "secrets"
        } else {
            "configmaps"
        };
        let path = format!(
            "/api/v1/namespaces/{}/{plural}/{name}",
            subject.key.namespace
        );
        let Some(object) = api.get(&path).await? else {
            if flag(one, "/optional") {
                continue;
            }
            return Err(failure(
                "BuildFailed",
                format!("could not substitute: the {kind} {name} does not exist; create it or mark it optional"),
            )
            .into());
        };
        for (key, value) in object
            .get("data")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = value.as_str().unwrap_or_default();
            let value = if kind == "Secret" {
                let bytes = STANDARD.decode(value).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                value.to_owned()
            };
            // A value of several lines would break the manifest it lands in.
            found.insert(key.clone(), value.replace('\n', ""));
        }
    }
    let inline = spec
        .pointer("/postBuild/substitute")
        .and_then(Value::as_object);
    for (key, value) in inline.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        found.insert(key.clone(), value.replace('\n', ""));
    }
    Ok(found)
}

/// Deletes what is no longer wanted and still ours; last applied goes first.
async fn prune(api: &Api, subject: &Subject, stale: &[Entry]) -> Result<Vec<Target>, ApiError> {
    let mut targets: Vec<Target> = stale.iter().filter_map(Entry::target).collect();
    targets.sort_by_cached_key(|target| {
        let object = serde_json::json!({"kind": target.kind});
        std::cmp::Reverse(rank(&object))
    });
    let mut deleted = Vec::new();
    for target in targets {
        let mapping = match api.mapping(&target.api_version, &target.kind).await {
            Ok(mapping) => mapping,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let path = mapping.path(&target.namespace, &target.name);
        let Some(live) = api.get(&path).await? else {
            continue;
        };
        let label = |name: &str| {
            live.pointer("/metadata/labels")
                .and_then(|labels| labels.get(format!("{GROUP}/{name}")))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let ours = label("name") == subject.key.name && label("namespace") == subject.key.namespace;
        let kept = exception(&live, GROUP, "prune") == "disabled"
            || exception(&live, GROUP, "reconcile") == "disabled";
        if !ours || kept {
            continue;
        }
        if api.delete(&path, "Background").await? {
            deleted.push(target);
        }
    }
    Ok(deleted)
}

fn timeout(subject: &Subject, spec: &Value) -> Duration {
    duration(text(spec, "/timeout"))
        .unwrap_or_else(|| interval(subject).saturating_sub(Duration::from_secs(30)))
        .max(Duration::from_secs(1))
}

async fn check(
    inner: &Inner,
    subject: &mut Subject,
    api: &Api,
    spec: &Value,
    targets: &[Target],
    revision: &str,
) -> Result<(), End> {
    let timeout = timeout(subject, spec);
    let message = format!(
        "Running health checks for revision {revision} with a timeout of {}s",
        timeout.as_secs_f32()
    );
    let was_ready = subject.is_true(READY);
    let quick = until(api, Aim::Ready, targets, Duration::ZERO, || false).await;
    let result = match quick {
        Ok(()) => Ok(()),
        Err(WaitError::Failed(why)) if why.contains("status: 'Failed'") && was_ready => {
            Err(WaitError::Failed(why))
        }
        Err(_) => {
            // The inventory is written here too, before anything is waited for.
            subject.progressing(&message);
            subject.condition("Healthy", "Unknown", "Progressing", &message);
            subject.write(inner).await?;
            let (key, uid) = (subject.key.clone(), subject.uid().to_owned());
            let generation = subject.generation();
            until(api, Aim::Ready, targets, timeout, || {
                inner.index.overtaken(&key, &uid, generation, false)
            })
            .await
        }
    };
    match result {
        Ok(()) => {
            let message = "Health check passed";
            subject.condition("Healthy", "True", "Succeeded", message);
            Ok(())
        }
        Err(WaitError::Overtaken) => Err(End::Overtaken),
        Err(WaitError::Failed(why)) => {
            let why = format!("health check failed: {why}");
            subject.condition("Healthy", "False", "HealthCheckFailed", &why);
            Err(failure("HealthCheckFailed", why).into())
        }
        Err(WaitError::Api(error)) => Err(error.into()),
    }
}

/// Deletes what was applied, as `deletionPolicy` says. True when done.
pub async fn finalize(inner: &Inner, subject: &mut Subject) -> Result<bool, ApiError> {
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    let delete = match text(&spec, "/deletionPolicy") {
        "Delete" | "WaitForTermination" => true,
        "Orphan" => false,
        _ => flag(&spec, "/prune"),
    };
    if !delete || flag(&spec, "/suspend") {
        return Ok(true);
    }
    let space = some_text(&spec, "/targetNamespace").unwrap_or(&subject.key.namespace);
    if inner.is_going(subject, space).await? {
        return Ok(true);
    }
    let api = inner.api_for(subject);
    let entries: Vec<Entry> = inventory::read(&subject.status).into_iter().collect();
    let deleted = prune(&api, subject, &entries).await?;
    if text(&spec, "/deletionPolicy") == "WaitForTermination" {
        let targets: Vec<Target> = entries.iter().filter_map(Entry::target).collect();
        let timeout = timeout(subject, &spec).min(Duration::from_secs(60));
        if let Err(why) = until(&api, Aim::Gone, &targets, timeout, || false).await {
            // Held up, but not for ever: a deletion ends, and says what is left.
            let message = format!("could not wait for the objects to go: {why}");
            events::emit(inner, subject, true, "ReconciliationFailed", &message).await;
        }
    }
    if !deleted.is_empty() {
        let lines: Vec<String> = deleted.iter().map(|one| format!("{one} deleted")).collect();
        events::emit(
            inner,
            subject,
            false,
            "GarbageCollection",
            &lines.join("\n"),
        )
        .await;
    }
    Ok(true)
}
