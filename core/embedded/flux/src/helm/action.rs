//! Helm's actions: install, upgrade, rollback, uninstall, with hooks.
//!
//! What must stay true: a revision is stored as pending before anything of it
//! is applied, so that an action cut off anywhere is seen by the next one; what
//! an action cannot finish is stored as failed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::apply::{Policy, all, rank};
use crate::json::{as_map, integer, list, set, text};
use crate::wait::{Aim, Target, WaitError, until};

use super::release::{Storage, flatten, objects, set_status, status, version};
use super::render::Output;

const MANAGER: &str = "helm-controller";
const GROUP: &str = "helm.toolkit.fluxcd.io";

/// Why an action did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("overtaken by a newer specification or a deletion")]
    Overtaken,
    #[error("{0}")]
    Failed(String),
}

impl From<ApiError> for ActionError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<WaitError> for ActionError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Overtaken => Self::Overtaken,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// What an action works with.
pub struct Action<'a> {
    pub api: &'a Api,
    pub storage: &'a Storage,
    pub name: &'a str,
    pub namespace: &'a str,
    pub timeout: Duration,
    pub wait: bool,
    pub wait_for_jobs: bool,
    pub hooks: bool,
    pub force: bool,
    pub overtaken: &'a (dyn Fn() -> bool + Send + Sync),
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// A new revision, pending.
pub fn revision(
    action: &Action<'_>,
    number: i64,
    first: Option<&Value>,
    chart: &Value,
    values: &Value,
    output: &Output,
) -> Value {
    let time = now();
    let first = first
        .map(|one| text(one, "/info/first_deployed").to_owned())
        .filter(|time| !time.is_empty())
        .unwrap_or_else(|| time.clone());
    json!({
        "name": action.name,
        "info": {
            "first_deployed": first, "last_deployed": time, "deleted": "",
            "description": "Initial install underway", "status": "pending-install",
            "notes": output.notes,
        },
        "chart": chart,
        "config": super::render::or_empty(values),
        "manifest": output.manifest,
        "hooks": output.hooks,
        "version": number,
        "namespace": action.namespace,
    })
}

impl Action<'_> {
    /// Ends an action: stores what came of it.
    async fn conclude(
        &self,
        release: &mut Value,
        result: Result<(), ActionError>,
        good: &str,
        what: &str,
    ) -> Result<(), ActionError> {
        match &result {
            Ok(()) => set_status(release, "deployed", good),
            Err(why) => set_status(
                release,
                "failed",
                &format!("{what} \"{}\" failed: {why}", self.name),
            ),
        }
        self.storage.update(release).await?;
        result
    }

    /// Runs a stored, pending first revision.
    pub async fn install(&self, release: &mut Value) -> Result<(), ActionError> {
        set_status(release, "pending-install", "Initial install underway");
        self.storage.create(release).await?;
        let result = self.roll_out(release, &[], "install").await;
        self.conclude(release, result, "Install complete", "Release")
            .await
    }

    /// Runs a pending revision over the ones `before` it whose objects may be there.
    pub async fn upgrade(&self, release: &mut Value, before: &[Value]) -> Result<(), ActionError> {
        set_status(release, "pending-upgrade", "Preparing upgrade");
        self.storage.create(release).await?;
        let result = self.roll_out(release, before, "upgrade").await;
        if result.is_ok() {
            self.supersede(version(release)).await?;
        }
        self.conclude(release, result, "Upgrade complete", "Upgrade")
            .await
    }

    /// Makes a new revision of an old one.
    pub async fn rollback(
        &self,
        target: &Value,
        current: &Value,
    ) -> Result<Value, (Value, ActionError)> {
        let mut release = target.clone();
        set(&mut release, &["version"], (version(current) + 1).into());
        set(&mut release, &["info", "last_deployed"], now().into());
        let description = format!("Rollback to {}", version(target));
        set_status(&mut release, "pending-rollback", &description);
        if let Err(error) = self.storage.create(&release).await {
            return Err((release, error.into()));
        }
        let before = std::slice::from_ref(current);
        let mut result = self.roll_out(&mut release, before, "rollback").await;
        if result.is_ok()
            && let Err(error) = self.supersede(version(&release)).await
        {
            result = Err(error);
        }
        let result = self
            .conclude(&mut release, result, &description, "Rollback")
            .await;
        match result {
            Ok(()) => Ok(release),
            Err(error) => Err((release, error)),
        }
    }

    /// Everything but the revision is superseded.
    async fn supersede(&self, newest: i64) -> Result<(), ActionError> {
        for mut old in self.storage.history().await? {
            if version(&old) != newest && status(&old) == "deployed" {
                set(&mut old, &["info", "status"], "superseded".into());
                self.storage.update(&old).await?;
            }
        }
        Ok(())
    }

    async fn roll_out(
        &self,
        release: &mut Value,
        before: &[Value],
        event: &str,
    ) -> Result<(), ActionError> {
        let mut new = objects(release).map_err(ActionError::Failed)?;
        self.place(&mut new).await;
        self.run_hooks(release, &format!("pre-{event}")).await?;
        let policy = Policy {
            manager: MANAGER,
            recreate: self.force,
            group: GROUP,
        };
        all(self.api, &new, &policy)
            .await
            .map_err(|(_, error)| error)?;
        for one in before {
            let mut old = objects(one).map_err(ActionError::Failed)?;
            self.place(&mut old).await;
            old.retain(|object| !new.iter().any(|other| same(object, other)));
            self.remove(&old).await?;
        }
        if self.wait {
            let targets: Vec<Target> = new
                .iter()
                .filter(|object| self.wait_for_jobs || text(object, "/kind") != "Job")
                .map(Target::of)
                .collect();
            until(self.api, Aim::Ready, &targets, self.timeout, self.overtaken).await?;
        }
        self.run_hooks(release, &format!("post-{event}")).await
    }

    /// Gives objects the release's namespace and Helm's marks of ownership.
    pub async fn place(&self, objects: &mut [Value]) {
        let annotations = BTreeMap::from([
            ("meta.helm.sh/release-name".to_owned(), self.name.to_owned()),
            (
                "meta.helm.sh/release-namespace".to_owned(),
                self.namespace.to_owned(),
            ),
        ]);
        let labels =
            BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "Helm".to_owned())]);
        for object in objects {
            crate::apply::mark(object, "annotations", &annotations);
            crate::apply::mark(object, "labels", &labels);
            self.settle(object).await;
        }
    }

    async fn settle(&self, object: &mut Value) {
        if !text(object, "/metadata/namespace").is_empty() {
            return;
        }
        let mapping = self
            .api
            .mapping(text(object, "/apiVersion"), text(object, "/kind"))
            .await;
        // A kind that the chart itself brings: its objects may be of either
        // sort; `apply::all` says so when the namespace is missing.
        if mapping.map_or(true, |found| found.namespaced)
            && text(object, "/kind") != "CustomResourceDefinition"
        {
            set(object, &["metadata", "namespace"], self.namespace.into());
        }
    }

    /// Deletes objects, what was applied last first, unless they ask to be kept.
    async fn remove(&self, objects: &[Value]) -> Result<Vec<Target>, ActionError> {
        let mut objects: Vec<&Value> = objects.iter().collect();
        objects.sort_by_key(|object| std::cmp::Reverse(rank(object)));
        let mut removed = Vec::new();
        for object in objects {
            let path = match self.api.path_of(object).await {
                Ok(path) => path,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(live) = self.api.get(&path).await? else {
                continue;
            };
            let policy = [&live, object].iter().any(|one| {
                one.pointer("/metadata/annotations/helm.sh~1resource-policy")
                    .and_then(Value::as_str)
                    == Some("keep")
            });
            let owner = live
                .pointer("/metadata/annotations/meta.helm.sh~1release-name")
                .and_then(Value::as_str);
            if policy || owner.is_some_and(|owner| owner != self.name) {
                continue;
            }
            self.api.delete(&path, "Background").await?;
            removed.push(Target::of(object));
        }
        Ok(removed)
    }

    /// Runs the hooks of one event, the lighter ones first.
    async fn run_hooks(&self, release: &mut Value, event: &str) -> Result<(), ActionError> {
        if !self.hooks {
            return Ok(());
        }
        let mut order: Vec<(i64, usize)> = list(release, "/hooks")
            .iter()
            .enumerate()
            .filter(|(_, hook)| list(hook, "/events").iter().any(|one| one == event))
            .map(|(at, hook)| (integer(hook, "/weight"), at))
            .collect();
        order.sort();
        let mut done = Vec::new();
        let mut failed = None;
        for (_, at) in order {
            let Some(hook) = list(release, "/hooks").get(at).cloned() else {
                continue;
            };
            let started = now();
            let result = self.run_hook(&hook).await;
            let phase = if result.is_ok() {
                "Succeeded"
            } else {
                "Failed"
            };
            let run = json!({"started_at": started, "completed_at": now(), "phase": phase});
            if let Some(Value::Array(hooks)) = release.get_mut("hooks")
                && let Some(hook) = hooks.get_mut(at)
            {
                as_map(hook).insert("last_run".into(), run);
            }
            match result {
                Ok(()) => done.push(hook),
                Err(ActionError::Overtaken) => return Err(ActionError::Overtaken),
                Err(ActionError::Failed(why)) => {
                    if has_policy(&hook, "hook-failed") {
                        self.delete_hook(&hook).await?;
                    }
                    failed = Some(format!(
                        "{event} hook {} {} failed: {why}",
                        text(&hook, "/kind"),
                        text(&hook, "/name")
                    ));
                    break;
                }
            }
        }
        for hook in done.iter().rev() {
            if has_policy(hook, "hook-succeeded") {
                self.delete_hook(hook).await?;
            }
        }
        match failed {
            Some(why) => Err(ActionError::Failed(why)),
            None => Ok(()),
        }
    }

    async fn hook_objects(&self, hook: &Value) -> Result<Vec<Value>, ActionError> {
        let documents = catalyst_yaml::documents(text(hook, "/manifest"))
            .map_err(|why| ActionError::Failed(why.to_string()))?;
        let mut objects = flatten(documents);
        for object in &mut objects {
            self.settle(object).await;
        }
        Ok(objects)
    }

    async fn run_hook(&self, hook: &Value) -> Result<(), ActionError> {
        // Without a policy Helm deletes what an earlier run left.
        let none = list(hook, "/delete_policies").is_empty();
        if none || has_policy(hook, "before-hook-creation") {
            self.delete_hook(hook).await?;
        }
        let objects = self.hook_objects(hook).await?;
        for object in &objects {
            let mapping = self
                .api
                .mapping(text(object, "/apiVersion"), text(object, "/kind"))
                .await?;
            let collection = mapping.path(text(object, "/metadata/namespace"), "");
            self.api.create(&collection, object).await?;
        }
        // Jobs and pods have to end; everything else counts once it is there.
        let targets: Vec<Target> = objects
            .iter()
            .filter(|object| matches!(text(object, "/kind"), "Job" | "Pod"))
            .map(Target::of)
            .collect();
        until(self.api, Aim::Ready, &targets, self.timeout, self.overtaken).await?;
        Ok(())
    }

    async fn delete_hook(&self, hook: &Value) -> Result<(), ActionError> {
        let mut targets = Vec::new();
        for object in self.hook_objects(hook).await? {
            let path = match self.api.path_of(&object).await {
                Ok(path) => path,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            if self.api.delete(&path, "Background").await? {
                targets.push(Target::of(&object));
            }
        }
        until(self.api, Aim::Gone, &targets, self.timeout, self.overtaken).await?;
        Ok(())
    }

    /// Removes a release with its history; what is gone already is done.
    pub async fn uninstall(&self, keep_history: bool) -> Result<bool, ActionError> {
        let history = self.storage.history().await?;
        let Some(last) = history.last() else {
            return Ok(false);
        };
        let mut release = last.clone();
        if status(&release) != "uninstalled" {
            set(&mut release, &["info", "deleted"], now().into());
            set_status(
                &mut release,
                "uninstalling",
                "Deletion in progress (or silently failed)",
            );
            self.storage.update(&release).await?;
            self.run_hooks(&mut release, "pre-delete").await?;
            let mut own = objects(&release).map_err(ActionError::Failed)?;
            self.place(&mut own).await;
            let removed = self.remove(&own).await?;
            if self.wait {
                until(self.api, Aim::Gone, &removed, self.timeout, self.overtaken).await?;
            }
            self.run_hooks(&mut release, "post-delete").await?;
        }
        if keep_history {
            set_status(&mut release, "uninstalled", "Uninstallation complete");
            self.storage.update(&release).await?;
        } else {
            for one in &history {
                self.storage.delete(version(one)).await?;
            }
        }
        Ok(true)
    }

    /// Objects of `crds/`, before everything else.
    pub async fn definitions(&self, crds: &[Value], replace: bool) -> Result<(), ActionError> {
        let mut wanted = Vec::new();
        for object in crds {
            let path = self.api.path_of(object).await?;
            if replace || self.api.get(&path).await?.is_none() {
                wanted.push(object.clone());
            }
        }
        let policy = Policy {
            manager: MANAGER,
            recreate: false,
            group: GROUP,
        };
        all(self.api, &wanted, &policy)
            .await
            .map_err(|(_, error)| error)?;
        Ok(())
    }
}

fn has_policy(hook: &Value, policy: &str) -> bool {
    list(hook, "/delete_policies")
        .iter()
        .any(|one| one == policy)
}

fn same(one: &Value, other: &Value) -> bool {
    let group = |object: &Value| {
        crate::json::group_version(text(object, "/apiVersion"))
            .0
            .to_owned()
    };
    group(one) == group(other)
        && ["/kind", "/metadata/namespace", "/metadata/name"]
            .iter()
            .all(|pointer| text(one, pointer) == text(other, pointer))
}
