//! Finds where the cluster drifted from a release, and corrects it.
//!
//! Called when the release is as wanted otherwise. What must stay true: nothing
//! is changed unless the spec enables it; what the spec or an object's
//! annotation leaves out is not compared.

use serde_json::Value;

use super::action::ActionError;
use super::release;
use super::{GROUP, Run};
use crate::events;
use crate::json::{list, some_text, text};
use crate::status::Subject;

impl Run<'_> {
    pub(super) async fn correct_drift(
        &self,
        subject: &Subject,
        latest: &Value,
    ) -> Result<(), ActionError> {
        let mode = text(&self.spec, "/driftDetection/mode");
        if !matches!(mode, "enabled" | "warn") {
            return Ok(());
        }
        let storage = self.storage();
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
                let parts = catalyst_yaml::pointer::parts(&pointer);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
