//! HelmRelease: a chart and values as a release, kept as wanted.
//!
//! Called by the queue, for a HelmRelease that changed, is due or is to go. This
//! file gathers what a reconciliation needs, and uninstalls; `steps` runs the
//! reconciliation, `attempt`, `remedy` and `drift` are its steps, `decide` says
//! which comes next, `action` does what Helm does, `report` says what came of it.
//!
//! What must stay true: what to do next is decided afresh from what is stored,
//! so that a crash at any point leaves nothing that the next run does not see;
//! failures are counted in the status and forgotten when spec, chart or values
//! change.

mod action;
mod attempt;
mod decide;
mod drift;
mod host;
mod keys;
mod release;
mod remedy;
mod render;
mod report;
mod steps;
mod values;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::{Api, ApiError};
use crate::index::artifact_word;
use crate::json::{duration, flag, list, some_text, text};
use crate::queue::Outcome;
use crate::reconcile::interval;
use crate::state::Inner;
use crate::status::{READY, Subject};
use crate::{depend, events};
use action::{Action, ActionError};
pub use host::ChartHost;
use release::Storage;
use render::Package;

const GROUP: &str = "helm.toolkit.fluxcd.io";
const RELEASED: &str = "Released";
const REMEDIATED: &str = "Remediated";

/// The longest delay between two attempts after a failure.
const RETRY: Duration = Duration::from_secs(60);

/// What the spec says of names and places.
struct Place {
    name: String,
    namespace: String,
    storage: String,
}

impl Place {
    fn of(subject: &Subject, spec: &Value) -> Self {
        let own = &subject.key.namespace;
        let namespace = some_text(spec, "/targetNamespace").unwrap_or(own);
        let name = match some_text(spec, "/releaseName") {
            Some(name) => name.to_owned(),
            None => match some_text(spec, "/targetNamespace") {
                Some(target) => shortened(&format!("{target}-{}", subject.key.name)),
                None => shortened(&subject.key.name),
            },
        };
        Self {
            name,
            namespace: namespace.to_owned(),
            storage: some_text(spec, "/storageNamespace")
                .unwrap_or(own)
                .to_owned(),
        }
    }
}

/// Helm takes 53 characters; a longer name ends in a digest of itself.
fn shortened(name: &str) -> String {
    if name.len() <= 53 {
        return name.to_owned();
    }
    let digest = crate::json::digest(name.as_bytes());
    let head: String = name.chars().take(40).collect();
    let tail: String = digest.chars().skip("sha256:".len()).take(12).collect();
    format!("{head}-{tail}")
}

/// Reconciles one HelmRelease.
pub async fn reconcile(inner: &Inner, subject: &mut Subject) -> Result<Outcome, ApiError> {
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    subject.set("observedGeneration", subject.generation());
    if let Some(why) = unsupported(&spec) {
        subject.stalled("ArtifactFailed", &why);
        return Ok(Outcome::After(interval(subject)));
    }
    if let Err(why) = depend::dependencies(inner, subject, None).await? {
        events::failing(inner, subject, "DependencyNotReady", &why).await;
        return Ok(Outcome::After(Duration::from_secs(30)));
    }
    let reference = spec.get("chartRef").cloned().unwrap_or_default();
    let seen = inner.index.artifact_for(&subject.key);
    let source = depend::source(inner, subject, &reference).await?;
    if let Some(why) = source.as_ref().ok().and_then(depend::unsettled) {
        // The values are for the chart that is to come. It wakes this one when it is there;
        // the delay is for what no watch shows.
        subject.failing("SourceNotReady", &why);
        return Ok(Outcome::After(Duration::from_secs(30)));
    }
    let artifact = match source.and_then(|source| depend::artifact(&source)) {
        Ok(artifact) => artifact,
        Err(why) => {
            events::failing(inner, subject, "ArtifactFailed", &why).await;
            return Ok(Outcome::Retry(RETRY));
        }
    };
    let values = match values(inner, subject, &spec).await? {
        Ok(values) => values,
        Err(why) => {
            events::failing(inner, subject, "ValuesError", &why).await;
            return Ok(Outcome::Retry(RETRY));
        }
    };
    let package = match inner.artifacts.get(&inner.http, &artifact).await {
        Ok(archive) => tokio::task::spawn_blocking(move || render::package(&archive))
            .await
            .unwrap_or_else(|why| Err(why.to_string())),
        Err(why) => Err(why.to_string()),
    };
    let package = match package {
        Ok(package) => package,
        Err(why) => {
            events::failing(inner, subject, "ArtifactFailed", &why).await;
            return Ok(Outcome::Retry(RETRY));
        }
    };
    let digest = text(&artifact, "/revision")
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_owned();
    let run = Run {
        inner,
        artifacts: seen.into_iter().chain([artifact_word(&artifact)]).collect(),
        place: Place::of(subject, &spec),
        api: inner.api_for(subject),
        package,
        values,
        digest,
        spec,
    };
    match run.reconcile(subject).await {
        // Not even what is stored of the release may be read.
        Err(error) if error.code == 403 => {
            events::failing(inner, subject, "ReconciliationFailed", &error.to_string()).await;
            Ok(Outcome::Retry(RETRY))
        }
        outcome => outcome,
    }
}

fn unsupported(spec: &Value) -> Option<String> {
    if spec.get("chart").is_some() {
        return Some(
            "could not load the chart: spec.chart is not supported here; use spec.chartRef with an OCIRepository".into(),
        );
    }
    if spec.get("kubeConfig").is_some() {
        return Some(
            "could not reach the cluster: spec.kubeConfig is not supported here; put the HelmRelease into the cluster it is for".into(),
        );
    }
    None
}

async fn values(
    inner: &Inner,
    subject: &Subject,
    spec: &Value,
) -> Result<Result<Value, String>, ApiError> {
    let api = inner.api(&subject.key.cluster);
    let mut references = Vec::new();
    for one in list(spec, "/valuesFrom") {
        let is_secret = text(one, "/kind") == "Secret";
        let plural = if is_secret { "secrets" } else { "configmaps" };
        let path = format!(
            "/api/v1/namespaces/{}/{plural}/{}",
            subject.key.namespace,
            text(one, "/name")
        );
        let object = api.get(&path).await?;
        let found = object.and_then(|object| {
            let value = object.get("data")?.get(values::key_of(one))?.as_str()?;
            if is_secret {
                String::from_utf8(STANDARD.decode(value).ok()?).ok()
            } else {
                Some(value.to_owned())
            }
        });
        references.push(values::Reference { spec: one, found });
    }
    Ok(values::compose(&references, spec.get("values")))
}

/// One reconciliation, its input gathered.
struct Run<'a> {
    inner: &'a Inner,
    /// The artifact that is worked with, and the one that the watch showed before that was
    /// read; with any other the work is overtaken.
    artifacts: Vec<String>,
    place: Place,
    api: Api,
    package: Package,
    values: Value,
    digest: String,
    spec: Value,
}

impl Run<'_> {
    fn storage(&self) -> Storage {
        Storage {
            api: self.api.clone(),
            namespace: self.place.storage.clone(),
            name: self.place.name.clone(),
        }
    }

    fn action<'a>(
        &'a self,
        storage: &'a Storage,
        spec: &Value,
        overtaken: &'a (dyn Fn() -> bool + Send + Sync),
    ) -> Action<'a> {
        Action {
            api: &self.api,
            storage,
            name: &self.place.name,
            namespace: &self.place.namespace,
            timeout: timeout(&self.spec, spec),
            wait: !flag(spec, "/disableWait"),
            wait_for_jobs: !flag(spec, "/disableWaitForJobs"),
            hooks: !flag(spec, "/disableHooks"),
            force: flag(spec, "/force"),
            overtaken,
        }
    }
}

fn timeout(spec: &Value, action: &Value) -> Duration {
    [action, spec]
        .iter()
        .find_map(|place| duration(text(place, "/timeout")))
        .unwrap_or(Duration::from_secs(300))
}

/// Uninstalls the release. True when done.
pub async fn finalize(inner: &Inner, subject: &mut Subject) -> Result<bool, ApiError> {
    let spec = subject.object.get("spec").cloned().unwrap_or_default();
    if flag(&spec, "/suspend") {
        return Ok(true);
    }
    let place = Place::of(subject, &spec);
    if inner.is_going(subject, &place.namespace).await? {
        return Ok(true);
    }
    let api = inner.api_for(subject);
    let storage = Storage {
        api: api.clone(),
        // Where it was stored, should the spec have moved since.
        namespace: some_text(&subject.status, "/storageNamespace")
            .unwrap_or(&place.storage)
            .to_owned(),
        name: place.name.clone(),
    };
    let uninstall = spec.get("uninstall").cloned().unwrap_or_default();
    let (key, uid) = (subject.key.clone(), subject.uid().to_owned());
    let generation = subject.generation();
    let gone = move || inner.index.overtaken(&key, &uid, generation, true);
    let action = Action {
        api: &api,
        storage: &storage,
        name: &place.name,
        namespace: &place.namespace,
        timeout: timeout(&spec, &uninstall),
        wait: !flag(&uninstall, "/disableWait"),
        wait_for_jobs: true,
        hooks: !flag(&uninstall, "/disableHooks"),
        force: false,
        overtaken: &gone,
    };
    let name = format!("{}/{}", place.namespace, place.name);
    match action.uninstall(flag(&uninstall, "/keepHistory")).await {
        Ok(existed) => {
            if existed {
                let message = format!("Helm uninstall succeeded for release {name}");
                events::emit(inner, subject, false, "UninstallSucceeded", &message).await;
            }
            Ok(true)
        }
        Err(ActionError::Overtaken) => Ok(false),
        Err(ActionError::Failed(why)) => {
            let message = format!("Helm uninstall failed for release {name}: {why}");
            subject.condition(RELEASED, "False", "UninstallFailed", &message);
            subject.condition(READY, "False", "UninstallFailed", &message);
            subject.write(inner).await?;
            events::emit(inner, subject, true, "UninstallFailed", &message).await;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_stay_distinct() {
        assert_eq!(shortened("web"), "web");
        let (one, two) = ("a".repeat(60), format!("{}b", "a".repeat(59)));
        assert!(shortened(&one).len() <= 53);
        assert_ne!(shortened(&one), shortened(&two));
    }
}
