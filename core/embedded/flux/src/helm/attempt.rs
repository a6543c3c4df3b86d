//! One attempt to install or upgrade: render, store, apply, and count what failed.
//!
//! Called by the steps of a reconciliation. What must stay true: the status
//! says that an action runs before it does; what could not be rendered or
//! prepared is stored nowhere, so that there is nothing to undo.

use serde_json::{Value, json};

use super::action::{self, Action, ActionError};
use super::decide::Observed;
use super::release::{self, Storage};
use super::render::{self, Options};
use super::{GROUP, RELEASED, REMEDIATED, Run, timeout};
use crate::api::ApiError;
use crate::events;
use crate::json::{flag, list, text, texts};
use crate::status::Subject;

/// How an attempt ended, as far as the next step cares.
pub(super) enum Step {
    Went,
    Overtaken,
    NotStarted,
}

impl Run<'_> {
    pub(super) async fn attempt(
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
        // A chart that never becomes ready would else hold up the one that mends it.
        let overtaken = move || {
            let index = &self.inner.index;
            let newest = index.artifact_for(&key);
            index.overtaken(&key, &uid, generation, false)
                || newest.is_some_and(|it| !self.artifacts.contains(&it))
        };
        let action = self.action(storage, &spec, &overtaken);
        let prepared = match rendered {
            Ok(output) => self
                .prepare(&action, &spec, &output, is_upgrade)
                .await
                .map(|()| output)
                .map_err(|why| why.to_string()),
            Err(why) => Err(why),
        };
        let output = match prepared {
            Ok(output) => output,
            Err(why) => {
                self.failed(subject, word, title, number, &why).await;
                // Nothing was stored, so there is nothing to undo.
                self.summarize(subject);
                return Ok(Step::NotStarted);
            }
        };
        let mut new = action::revision(
            &action,
            number,
            history.first(),
            &self.package.stored,
            &self.values,
            &output,
        );
        // What was deployed last, with what attempts since may have left; else whatever was
        // tried last.
        let deployed = history
            .iter()
            .rposition(|one| release::status(one) == "deployed");
        let since = deployed.unwrap_or(history.len().saturating_sub(1));
        let before = history.get(since..).unwrap_or_default();
        let result = match is_upgrade && !before.is_empty() {
            true => action.upgrade(&mut new, before).await,
            false => action.install(&mut new).await,
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
                for (field, digest) in Observed::of(&self.spec).fields() {
                    match digest {
                        Some(digest) => subject.set(field, digest),
                        None => subject.unset(field),
                    }
                }
                events::emit(self.inner, subject, false, &reason, &message).await;
                Ok(Step::Went)
            }
            Err(ActionError::Overtaken) => Ok(Step::Overtaken),
            Err(ActionError::Failed(why)) => {
                self.failed(subject, word, title, number, &why).await;
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
        let mut labels = texts(&self.spec, "/commonMetadata/labels");
        labels.insert(format!("{GROUP}/name"), subject.key.name.clone());
        labels.insert(format!("{GROUP}/namespace"), subject.key.namespace.clone());
        Options {
            name: self.place.name.clone(),
            namespace: self.place.namespace.clone(),
            revision,
            is_upgrade,
            labels,
            annotations: texts(&self.spec, "/commonMetadata/annotations"),
            post_renderers: list(&self.spec, "/postRenderers").to_vec(),
            api_versions: render::api_versions(&self.api).await,
        }
    }
}
