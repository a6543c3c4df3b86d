//! HelmRelease: a chart and values as a release, kept as wanted.
//!
//! What must stay true: what to do next is decided afresh from what is stored
//! (`decide`), so that a crash at any point leaves nothing that the next run
//! does not see; failures are counted in the status and forgotten when spec,
//! chart or values change.

mod action;
mod decide;
mod release;
mod render;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::json::{duration, flag, integer, list, some_text, text};
use crate::queue::Outcome;
use crate::reconcile::interval;
use crate::state::Inner;
use crate::status::{READY, Subject};
use crate::{depend, events};
use action::{Action, ActionError};
use decide::Wanted;
use release::Storage;
use render::{Options, Package};

const GROUP: &str = "helm.toolkit.fluxcd.io";
const RELEASED: &str = "Released";
const REMEDIATED: &str = "Remediated";

/// Steps of one reconciliation: attempt, undo, and what lies between.
const MOST_STEPS: usize = 6;

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
        tell(inner, subject, "DependencyNotReady", &why).await;
        return Ok(Outcome::After(Duration::from_secs(30)));
    }
    let reference = spec.get("chartRef").cloned().unwrap_or_default();
    let artifact = match depend::artifact(inner, subject, &reference).await? {
        Ok(artifact) => artifact,
        Err(why) => {
            tell(inner, subject, "ArtifactFailed", &why).await;
            return Ok(Outcome::Retry(RETRY));
        }
    };
    let values = match values(inner, subject, &spec).await? {
        Ok(values) => values,
        Err(why) => {
            tell(inner, subject, "ValuesError", &why).await;
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
            tell(inner, subject, "ArtifactFailed", &why).await;
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
        place: Place::of(subject, &spec),
        api: target_api(inner, subject, &spec),
        package,
        values,
        digest,
        spec,
    };
    run.reconcile(subject).await
}

async fn tell(inner: &Inner, subject: &mut Subject, reason: &str, message: &str) {
    let told = subject.find(READY).map(|one| text(one, "/message")) == Some(message.trim());
    subject.failing(reason, message);
    if !told {
        events::emit(inner, subject, true, reason, message).await;
    }
}

fn target_api(inner: &Inner, subject: &Subject, spec: &Value) -> Api {
    let api = inner.api(&subject.key.cluster);
    match some_text(spec, "/serviceAccountName") {
        Some(account) => api.acting_as(&subject.key.namespace, account),
        None => api,
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
    place: Place,
    api: Api,
    package: Package,
    values: Value,
    digest: String,
    spec: Value,
}

impl Run<'_> {
    fn describe(&self, number: i64) -> String {
        format!(
            "{}/{}.v{number} with chart {}@{}",
            self.place.namespace,
            self.place.name,
            self.package.chart.name(),
            self.package.chart.version()
        )
    }

    async fn reconcile(&self, subject: &mut Subject) -> Result<Outcome, ApiError> {
        let storage = Storage {
            api: self.api.clone(),
            namespace: self.place.storage.clone(),
            name: self.place.name.clone(),
        };
        let config = release::digest_of(&render::or_empty(&self.values));
        let force = self.take_requests(subject, &config);
        let mut force = force;
        let wanted = Wanted {
            chart_name: self.package.chart.name(),
            chart_version: self.package.chart.version(),
            config_digest: &config,
            oci_digest: &self.digest,
        };
        let mut attempted = false;
        for _ in 0..MOST_STEPS {
            let history = storage.history().await?;
            let latest = history.last();
            let state = decide::state(latest, &subject.status, &wanted);
            let next = decide::next(&state, &self.spec, &subject.status, &history, force);
            tracing::debug!(key = %subject.key, ?state, ?next, "a release was looked at");
            match next {
                decide::Action::Nothing => return self.settled(subject, latest).await,
                decide::Action::GiveUp => {
                    let message = self.given_up(subject);
                    subject.condition("Stalled", "True", "RetriesExceeded", &message);
                    subject.clear("Reconciling");
                    self.summarize(subject);
                    return Ok(Outcome::After(interval(subject)));
                }
                decide::Action::Unlock => {
                    if let Some(mut locked) = latest.cloned() {
                        release::set_status(
                            &mut locked,
                            "failed",
                            "Release unlocked from a stale pending state",
                        );
                        storage.update(&locked).await?;
                        self.observe(subject, &locked);
                    }
                }
                decide::Action::Install | decide::Action::Upgrade(_) if attempted => {
                    // One attempt a run: the queue spaces them out.
                    self.summarize(subject);
                    let delay = decide::retries_on_failure(&self.spec, &subject.status)
                        .then(|| self.retry_interval(subject));
                    return Ok(Outcome::Retry(delay.unwrap_or(RETRY)));
                }
                decide::Action::Install | decide::Action::Upgrade(_) => {
                    attempted = true;
                    let is_upgrade = matches!(next, decide::Action::Upgrade(_));
                    match self
                        .attempt(subject, &storage, &history, is_upgrade)
                        .await?
                    {
                        Step::Went => force = false,
                        Step::Overtaken => return Ok(Outcome::After(Duration::ZERO)),
                        Step::NotStarted => return Ok(Outcome::Retry(RETRY)),
                    }
                }
                decide::Action::Rollback(number) => {
                    self.rollback(subject, &storage, &history, number).await?;
                }
                decide::Action::Uninstall => {
                    self.undo_install(subject, &storage).await?;
                }
            }
            if subject.is_deleting() {
                break;
            }
        }
        self.summarize(subject);
        Ok(Outcome::Retry(RETRY))
    }

    fn retry_interval(&self, subject: &Subject) -> Duration {
        let action = text(&subject.status, "/lastAttemptedReleaseAction");
        duration(text(
            &self.spec,
            &format!("/{action}/strategy/retryInterval"),
        ))
        .unwrap_or(Duration::from_secs(300))
    }

    /// Serves the annotations and resets the counts where something changed.
    /// True when an upgrade is forced.
    fn take_requests(&self, subject: &mut Subject, config: &str) -> bool {
        let token = |subject: &Subject, name: &str| {
            subject
                .annotation(&format!("reconcile.fluxcd.io/{name}"))
                .map(str::to_owned)
        };
        let requested = token(subject, "requestedAt");
        let asked = |subject: &mut Subject, name: &str, field: &str| {
            let Some(at) = token(subject, name) else {
                return false;
            };
            let is_new = Some(text(&subject.status, &format!("/{field}"))) != Some(at.as_str());
            // A token counts only together with the request of the same name.
            let counts = is_new && requested.as_ref() == Some(&at);
            subject.set(field, at);
            counts
        };
        let reset = asked(subject, "resetAt", "lastHandledResetAt");
        let force = asked(subject, "forceAt", "lastHandledForceAt");
        let revision = self.package.chart.version().to_owned();
        let changed = integer(&subject.status, "/lastAttemptedGeneration") != subject.generation()
            || text(&subject.status, "/lastAttemptedRevision") != revision
            || text(&subject.status, "/lastAttemptedRevisionDigest") != self.digest
            || text(&subject.status, "/lastAttemptedConfigDigest") != config;
        if changed || reset {
            for field in ["failures", "installFailures", "upgradeFailures"] {
                subject.unset(field);
            }
            subject.clear("Stalled");
        }
        subject.set("lastAttemptedGeneration", subject.generation());
        subject.set("lastAttemptedRevision", revision);
        subject.set("lastAttemptedRevisionDigest", self.digest.as_str());
        subject.set("lastAttemptedConfigDigest", config);
        subject.set("storageNamespace", self.place.storage.as_str());
        force
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

    async fn attempt(
        &self,
        subject: &mut Subject,
        storage: &Storage,
        history: &[Value],
        is_upgrade: bool,
    ) -> Result<Step, ApiError> {
        let (word, title) = if is_upgrade {
            ("upgrade", "Upgrade")
        } else {
            ("install", "Install")
        };
        let spec = self.spec.get(word).cloned().unwrap_or_default();
        subject.set("lastAttemptedReleaseAction", word);
        let number = history.last().map_or(0, release::version) + 1;
        let message = format!(
            "Running '{word}' action with timeout of {}s",
            timeout(&self.spec, &spec).as_secs_f32()
        );
        subject.progressing(&message);
        subject.write(self.inner).await?;
        let options = self.options(subject, number, is_upgrade).await;
        let (chart, values) = (self.package.chart.clone(), self.values.clone());
        let (api, runtime) = (self.api.clone(), tokio::runtime::Handle::current());
        let rendered = tokio::task::spawn_blocking(move || {
            render::output(&chart, &values, &options, &api, runtime)
        })
        .await
        .unwrap_or_else(|why| Err(why.to_string()));
        let (key, uid) = (subject.key.clone(), subject.uid().to_owned());
        let generation = subject.generation();
        let overtaken = move || self.inner.index.overtaken(&key, &uid, generation, false);
        let action = self.action(storage, &spec, &overtaken);
        let output = match rendered {
            Ok(output) => output,
            Err(why) => {
                let message = format!(
                    "Helm {word} failed for release {}: {why}",
                    self.describe(number)
                );
                self.failed(subject, word, &format!("{title}Failed"), &message)
                    .await;
                // Nothing was stored, so there is nothing to undo.
                self.summarize(subject);
                return Ok(Step::NotStarted);
            }
        };
        if let Err(why) = self.prepare(&action, &spec, &output, is_upgrade).await {
            let message = format!(
                "Helm {word} failed for release {}: {why}",
                self.describe(number)
            );
            self.failed(subject, word, &format!("{title}Failed"), &message)
                .await;
            self.summarize(subject);
            return Ok(Step::NotStarted);
        }
        let mut new = action::revision(
            &action,
            number,
            history.first(),
            &self.package.stored,
            &self.values,
            &output,
        );
        // What was deployed last, else whatever was tried last.
        let current = history
            .iter()
            .rev()
            .find(|one| release::status(one) == "deployed")
            .or(history.last());
        let result = match (is_upgrade, current.cloned()) {
            (true, Some(mut current)) => action.upgrade(&mut new, &mut current).await,
            _ => action.install(&mut new).await,
        };
        self.observe(subject, &new);
        let most = self
            .spec
            .get("maxHistory")
            .and_then(Value::as_u64)
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(5);
        storage.trim(most).await?;
        match result {
            Ok(()) => {
                let message = format!(
                    "Helm {word} succeeded for release {}",
                    self.describe(number)
                );
                let reason = format!("{title}Succeeded");
                subject.condition(RELEASED, "True", &reason, &message);
                subject.clear(REMEDIATED);
                events::emit(self.inner, subject, false, &reason, &message).await;
                Ok(Step::Went)
            }
            Err(ActionError::Overtaken) => Ok(Step::Overtaken),
            Err(ActionError::Failed(why)) => {
                let message = format!(
                    "Helm {word} failed for release {}: {why}",
                    self.describe(number)
                );
                self.failed(subject, word, &format!("{title}Failed"), &message)
                    .await;
                Ok(Step::Went)
            }
        }
    }

    async fn prepare(
        &self,
        action: &Action<'_>,
        spec: &Value,
        output: &render::Output,
        is_upgrade: bool,
    ) -> Result<(), ActionError> {
        if flag(spec, "/createNamespace") && !is_upgrade {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.place.namespace},
            });
            match self.api.create("/api/v1/namespaces", &namespace).await {
                Err(error) if error.code != 409 => return Err(error.into()),
                _ => {}
            }
        }
        let policy = match (text(spec, "/crds"), is_upgrade) {
            ("", false) => "Create",
            ("", true) => "Skip",
            (policy, _) => policy,
        };
        if policy != "Skip" && !output.crds.is_empty() {
            action
                .definitions(&output.crds, policy == "CreateReplace")
                .await?;
        }
        Ok(())
    }

    async fn options(&self, subject: &Subject, revision: i64, is_upgrade: bool) -> Options {
        let strings = |pointer: &str| -> BTreeMap<String, String> {
            self.spec
                .pointer(pointer)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        };
        let mut labels = strings("/commonMetadata/labels");
        labels.insert(format!("{GROUP}/name"), subject.key.name.clone());
        labels.insert(format!("{GROUP}/namespace"), subject.key.namespace.clone());
        Options {
            name: self.place.name.clone(),
            namespace: self.place.namespace.clone(),
            revision,
            is_upgrade,
            labels,
            annotations: strings("/commonMetadata/annotations"),
            post_renderers: list(&self.spec, "/postRenderers").to_vec(),
            api_versions: render::api_versions(&self.api).await,
        }
    }

    /// Counts a failure and says so.
    async fn failed(&self, subject: &mut Subject, word: &str, reason: &str, message: &str) {
        for field in ["failures", &format!("{word}Failures")] {
            let count = integer(&subject.status, &format!("/{field}")) + 1;
            subject.set(field, count);
        }
        subject.condition(RELEASED, "False", reason, message);
        subject.clear(REMEDIATED);
        events::emit(self.inner, subject, true, reason, message).await;
    }

    async fn rollback(
        &self,
        subject: &mut Subject,
        storage: &Storage,
        history: &[Value],
        number: i64,
    ) -> Result<(), ApiError> {
        let target = history.iter().find(|one| release::version(one) == number);
        let (Some(target), Some(mut current)) = (target, history.last().cloned()) else {
            return Ok(());
        };
        let spec = self.spec.get("rollback").cloned().unwrap_or_default();
        let never = || false;
        let action = self.action(storage, &spec, &never);
        let place = format!("{}/{}.v{number}", self.place.namespace, self.place.name);
        match action.rollback(target, &mut current).await {
            Ok(new) => {
                self.observe(subject, &new);
                let message = format!("Helm rollback to previous release {place} succeeded");
                subject.condition(REMEDIATED, "True", "RollbackSucceeded", &message);
                events::emit(self.inner, subject, false, "RollbackSucceeded", &message).await;
            }
            Err((new, why)) => {
                self.observe(subject, &new);
                let message = format!("Helm rollback to previous release {place} failed: {why}");
                subject.condition(REMEDIATED, "False", "RollbackFailed", &message);
                events::emit(self.inner, subject, true, "RollbackFailed", &message).await;
                // A rollback that fails is not tried for ever.
                let count = integer(&subject.status, "/upgradeFailures") + 1;
                subject.set("upgradeFailures", count);
            }
        }
        Ok(())
    }

    async fn undo_install(&self, subject: &mut Subject, storage: &Storage) -> Result<(), ApiError> {
        let spec = self.spec.get("uninstall").cloned().unwrap_or_default();
        let never = || false;
        let action = self.action(storage, &spec, &never);
        let place = format!("{}/{}", self.place.namespace, self.place.name);
        match action.uninstall(flag(&spec, "/keepHistory")).await {
            Ok(_) => {
                let message = format!("Helm uninstall succeeded for release {place}");
                subject.condition(REMEDIATED, "True", "UninstallSucceeded", &message);
                subject.unset("history");
                events::emit(self.inner, subject, false, "UninstallSucceeded", &message).await;
            }
            Err(why) => {
                let message = format!("Helm uninstall failed for release {place}: {why}");
                subject.condition(REMEDIATED, "False", "UninstallFailed", &message);
                events::emit(self.inner, subject, true, "UninstallFailed", &message).await;
            }
        }
        Ok(())
    }

    /// Puts a revision at the head of `status.history`.
    fn observe(&self, subject: &mut Subject, one: &Value) {
        let new = release::snapshot(one, &self.digest);
        let mut history: Vec<Value> = list(&subject.status, "/history")
            .iter()
            .filter(|old| integer(old, "/version") != release::version(one))
            .cloned()
            .collect();
        if release::status(one) == "deployed" {
            for old in &mut history {
                if text(old, "/status") == "deployed" {
                    crate::json::set(old, &["status"], "superseded".into());
                }
            }
        }
        history.insert(0, new);
        history.truncate(5);
        subject.set("history", history);
    }

    fn given_up(&self, subject: &Subject) -> String {
        let word = text(&subject.status, "/lastAttemptedReleaseAction");
        let count = integer(&subject.status, &format!("/{word}Failures"));
        format!("Failed to {word} after {count} attempt(s)")
    }

    /// Ready, from Released and Remediated.
    fn summarize(&self, subject: &mut Subject) {
        let chosen = [REMEDIATED, RELEASED]
            .iter()
            .find_map(|kind| subject.find(kind).map(|one| (*kind, one.clone())));
        let Some((kind, one)) = chosen else {
            return;
        };
        let good = kind == RELEASED && text(&one, "/status") == "True";
        let (reason, message) = (text(&one, "/reason"), text(&one, "/message"));
        if good {
            subject.ready(reason, message);
        } else {
            subject.condition(READY, "False", reason, message);
            if !subject.is_true("Stalled") {
                subject.condition("Reconciling", "True", "ProgressingWithRetry", message);
            }
        }
    }

    /// The release is as wanted: look for drift, and say that all is well.
    async fn settled(
        &self,
        subject: &mut Subject,
        latest: Option<&Value>,
    ) -> Result<Outcome, ApiError> {
        if let Some(latest) = latest
            && let Err(why) = self.correct_drift(subject, latest).await
        {
            tell(
                self.inner,
                subject,
                "DriftCorrectionFailed",
                &why.to_string(),
            )
            .await;
            return Ok(Outcome::Retry(RETRY));
        }
        if !subject.is_true(RELEASED)
            && let Some(latest) = latest
        {
            let message = format!(
                "Helm release {} is in sync",
                self.describe(release::version(latest))
            );
            subject.condition(RELEASED, "True", "UpgradeSucceeded", &message);
        }
        subject.clear(REMEDIATED);
        self.summarize(subject);
        for field in ["failures", "installFailures", "upgradeFailures"] {
            subject.unset(field);
        }
        Ok(Outcome::After(interval(subject)))
    }

    async fn correct_drift(&self, subject: &Subject, latest: &Value) -> Result<(), ActionError> {
        let mode = text(&self.spec, "/driftDetection/mode");
        if !matches!(mode, "enabled" | "warn") {
            return Ok(());
        }
        let storage = Storage {
            api: self.api.clone(),
            namespace: self.place.storage.clone(),
            name: self.place.name.clone(),
        };
        let never = || false;
        let action = self.action(&storage, &Value::Null, &never);
        let mut objects = release::objects(latest).map_err(ActionError::Failed)?;
        action.place(&mut objects).await;
        let mut drifted = Vec::new();
        for object in objects {
            if crate::apply::exception(&object, GROUP, "driftDetection") == "disabled" {
                continue;
            }
            let path = self.api.path_of(&object).await?;
            let live = self.api.get(&path).await?;
            let mut dry = self
                .api
                .apply(&path, "helm-controller", &object, true)
                .await?;
            let Some(mut live) = live else {
                drifted.push((path, object, "removed"));
                continue;
            };
            for pointer in ignored(&self.spec, &object) {
                let parts: Vec<String> = pointer
                    .split('/')
                    .skip(1)
                    .map(|part| part.replace("~1", "/").replace("~0", "~"))
                    .collect();
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                crate::json::unset(&mut live, &parts);
                crate::json::unset(&mut dry, &parts);
            }
            if crate::apply::differs(&live, &dry) {
                drifted.push((path, object, "changed"));
            }
        }
        if drifted.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = drifted
            .iter()
            .map(|(_, object, word)| format!("{} {word}", crate::json::describe(object)))
            .collect();
        let message = format!(
            "Cluster state of release {} has drifted from the desired state:\n{}",
            self.describe(release::version(latest)),
            lines.join("\n")
        );
        events::emit(self.inner, subject, true, "DriftDetected", &message).await;
        if mode == "enabled" {
            for (path, object, _) in &drifted {
                self.api
                    .apply(path, "helm-controller", object, false)
                    .await?;
            }
            let message = format!(
                "Cluster state of release {}/{} has been corrected",
                self.place.namespace, self.place.name
            );
            events::emit(self.inner, subject, false, "DriftCorrected", &message).await;
        }
        Ok(())
    }
}

enum Step {
    Went,
    Overtaken,
    NotStarted,
}

/// The paths of an object that `driftDetection.ignore` names.
fn ignored(spec: &Value, object: &Value) -> Vec<String> {
    list(spec, "/driftDetection/ignore")
        .iter()
        .filter(|rule| {
            let is = |field: &str, actual: &str| match some_text(rule, &format!("/target/{field}"))
            {
                None => true,
                Some(pattern) => regex::Regex::new(&format!("^(?:{pattern})$"))
                    .is_ok_and(|pattern| pattern.is_match(actual)),
            };
            is("kind", text(object, "/kind"))
                && is("name", text(object, "/metadata/name"))
                && is("namespace", text(object, "/metadata/namespace"))
                && is(
                    "group",
                    crate::json::group_version(text(object, "/apiVersion")).0,
                )
        })
        .flat_map(|rule| list(rule, "/paths"))
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect()
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
    let api = target_api(inner, subject, &spec);
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

    #[test]
    fn drift_is_ignored_where_the_spec_says() {
        let spec = json!({"driftDetection": {"ignore": [
            {"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}},
            {"paths": ["/data"], "target": {"kind": "ConfigMap", "name": "a.*"}}]}});
        let object = |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name}});
        assert_eq!(
            ignored(&spec, &object("Deployment", "x")),
            ["/spec/replicas"]
        );
        assert_eq!(ignored(&spec, &object("ConfigMap", "abc")), ["/data"]);
        assert!(ignored(&spec, &object("ConfigMap", "b")).is_empty());
    }
}
