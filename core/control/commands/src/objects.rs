//! The objects of a plan: what the touched Applications are before and after,
//! and what of that is in the vcluster.
//!
//! Used by `decide`. What must stay true: it writes nothing, and a vcluster
//! that does not answer costs a warning, not the plan.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_names::{ApplicationName, HostClusterName};
use catalyst_plan::{
    ApplicationContext, ExpandError, OwnedObject, Plan, PlanInput, ResolvedDependency, check_reach,
    derived, expand_rendered, plan,
};
use catalyst_resources::DataDisposal;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::change::{Draft, living_dependents};
use crate::state::{Applications, Configuration, application_path};
use crate::validate::Place;
use crate::{CommandError, Commands};

impl Commands {
    /// Compares what the draft wants with what is there.
    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn planned(
        &self,
        configuration: &Configuration,
        place: &Place,
        catalogue: &Catalogue,
        before: &Applications,
        after: &Applications,
        draft: &Draft,
        policies: Vec<String>,
        action: &str,
    ) -> Result<Plan, CommandError> {
        let mut warnings = draft.warnings.clone();
        let mut previous = Vec::new();
        let mut desired = Vec::new();
        let mut live = Some(Vec::new());
        let touched = touched(before, after, draft);
        for host in &place.host_clusters {
            let context = context(self, configuration, place, host, action)?;
            let mut then = Vec::new();
            for name in &touched {
                // What stands there now may be broken; that must not stop its
                // repair.
                if let Ok(objects) = self
                    .objects_of(name, before, catalogue, &context, false, action)
                    .await
                {
                    then.extend(objects);
                }
            }
            let mut now = Vec::new();
            for name in &touched {
                // What stays as it is stops no change of another.
                let is_new = before.applications.get(name) != after.applications.get(name);
                now.extend(
                    self.objects_of(name, after, catalogue, &context, is_new, action)
                        .await?,
                );
            }
            let made: Vec<OwnedObject> = now.iter().flat_map(derived).collect();
            match self
                .live_objects(host, place, then.iter().chain(&now).chain(&made))
                .await
            {
                Ok(found) => {
                    if let Some(live) = &mut live {
                        live.extend(found);
                    }
                }
                Err(reason) => {
                    live = None;
                    warnings.push(format!(
                        "the vcluster on {host} was not asked ({reason}); objects are compared with what Git says"
                    ));
                }
            }
            previous.extend(then);
            desired.extend(now);
        }
        let paths: BTreeSet<String> = draft
            .changed
            .keys()
            .map(|name| application_path(name))
            .collect();
        let pick = |files: &BTreeMap<String, String>| {
            paths
                .iter()
                .filter_map(|path| Some((path.clone(), files.get(path)?.clone())))
                .collect()
        };
        Ok(plan(PlanInput {
            environment: place.environment.to_string(),
            subject: draft.subject.clone(),
            before: pick(&before.files),
            after: pick(&after.files),
            applications: draft.planned.clone(),
            previous,
            desired,
            live,
            policies,
            warnings,
        }))
    }

    /// What one Application is in one vcluster; nothing when it is not there or
    /// on its way out. One that is new, or changes, is refused if its Blueprint brings
    /// what its release may not make.
    async fn objects_of(
        &self,
        name: &str,
        tree: &Applications,
        catalogue: &Catalogue,
        context: &ApplicationContext,
        is_new: bool,
        action: &str,
    ) -> Result<Vec<OwnedObject>, CommandError> {
        let Some(application) = tree.applications.get(name) else {
            return Ok(Vec::new());
        };
        let disposal = application.spec.deletion.as_ref().map(|it| it.data);
        if disposal == Some(DataDisposal::Drop) {
            return Ok(Vec::new());
        }
        let Some(blueprint) = catalogue.get(&application.spec.blueprint).cloned() else {
            return Ok(Vec::new());
        };
        let unusable = |reason: String| CommandError::validate(action, reason);
        let mut dependencies = Vec::new();
        for (alias, reference) in &application.spec.dependencies {
            let provider = tree
                .applications
                .get(&reference.application)
                .and_then(|provider| catalogue.get(&provider.spec.blueprint));
            let Some(provider) = provider else { continue };
            let served_by = ApplicationName::new(reference.application.clone())
                .map_err(|error| unusable(error.to_string()))?;
            // Readiness is the controller's to know.
            dependencies.push(ResolvedDependency::of(
                alias.clone(),
                served_by,
                provider,
                true,
            ));
        }
        let mut context = context.clone();
        context.dependents = living_dependents(tree, name)
            .into_iter()
            .filter_map(|dependent| ApplicationName::new(dependent).ok())
            .collect();
        let content = self
            .store()
            .content(self.config(), &blueprint, action)
            .await?;
        let application = application.clone();
        // Rendering takes milliseconds of pure work.
        let rendered = tokio::task::spawn_blocking(move || {
            let made =
                expand_rendered(&application, &blueprint, &dependencies, &context, &content)?;
            if is_new && disposal.is_none() {
                check_reach(&made.0, &content)?;
            }
            Ok::<_, ExpandError>(made)
        })
        .await
        .map_err(|error| unusable(format!("rendering ended early: {error}")))?;
        let (expansion, rendered) = rendered.map_err(|error| unusable(error.to_string()))?;
        Ok(expansion
            .objects
            .into_iter()
            .chain(rendered)
            // Kept volumes keep their namespace.
            .filter(|object| {
                disposal.is_none()
                    || object.get("kind").and_then(Value::as_str) == Some("Namespace")
            })
            .map(|object| OwnedObject {
                application: name.to_owned(),
                object,
            })
            .collect())
    }

    /// Those of the objects that are in the vcluster; an error says in a few
    /// words why it could not be asked.
    async fn live_objects(
        &self,
        host: &HostClusterName,
        place: &Place,
        wanted: impl Iterator<Item = &OwnedObject>,
    ) -> Result<Vec<Value>, String> {
        let client = self
            .config()
            .clusters
            .vcluster(&host.to_string(), place.organization.as_str())
            .await
            .map_err(|error| error.to_string())?
            .ok_or("it is not there yet")?;
        let mut asked = BTreeSet::new();
        let mut answers = tokio::task::JoinSet::new();
        for owned in wanted {
            let object = &owned.object;
            let text = |pointer: &str| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let (api_version, kind) = (text("/apiVersion"), text("/kind"));
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            if !asked.insert((
                api_version.clone(),
                kind.clone(),
                namespace.clone(),
                name.clone(),
            )) {
                continue;
            }
            let (group, version) = match api_version.split_once('/') {
                Some((group, version)) => (group, version),
                None => ("", api_version.as_str()),
            };
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
            let api: Api<DynamicObject> = if namespace.is_empty() {
                Api::all_with(client.clone(), &resource)
            } else {
                Api::namespaced_with(client.clone(), &namespace, &resource)
            };
            answers.spawn(async move { api.get_opt(&name).await });
        }
        let mut found = Vec::new();
        while let Some(answer) = answers.join_next().await {
            match answer {
                Ok(Ok(Some(object))) => {
                    found.push(serde_json::to_value(&object).unwrap_or_default());
                }
                Ok(Ok(None)) => {}
                Ok(Err(_)) => {
                    self.config()
                        .clusters
                        .forget(&host.to_string(), Some(place.organization.as_str()));
                    return Err("it does not answer".to_owned());
                }
                Err(_) => return Err("asking it ended early".to_owned()),
            }
        }
        Ok(found)
    }
}

fn context(
    commands: &Commands,
    configuration: &Configuration,
    place: &Place,
    host: &HostClusterName,
    action: &str,
) -> Result<ApplicationContext, CommandError> {
    let config = commands.config();
    let mut context = ApplicationContext::new(
        &place.domain,
        &place.environment,
        host,
        &config.registry_host,
        config.registry_insecure,
    )
    .map_err(|error| CommandError::validate(action, error.to_string()))?;
    context.quota.clone_from(&place.quota);
    if let Some(sovereign) = &configuration.sovereign {
        context.trust(&sovereign.spec);
    }
    Ok(context)
}

/// The changed Applications, after those that serve them: network policies of
/// both sides change. In the order of applying.
fn touched(before: &Applications, after: &Applications, draft: &Draft) -> Vec<String> {
    let mut names: BTreeSet<String> = draft.changed.keys().cloned().collect();
    for name in draft.changed.keys() {
        for tree in [before, after] {
            let dependencies = tree
                .applications
                .get(name)
                .into_iter()
                .flat_map(|application| application.spec.dependencies.values());
            names.extend(dependencies.map(|dependency| dependency.application.clone()));
        }
    }
    let mut ordered = Vec::new();
    for name in &names {
        order(name, after, &names, &mut ordered);
    }
    ordered
}

fn order(name: &str, tree: &Applications, names: &BTreeSet<String>, ordered: &mut Vec<String>) {
    if ordered.iter().any(|known| known == name) || !names.contains(name) {
        return;
    }
    if let Some(application) = tree.applications.get(name) {
        for dependency in application.spec.dependencies.values() {
            // A cycle was refused before.
            order(&dependency.application, tree, names, ordered);
        }
    }
    ordered.push(name.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::application;

    #[test]
    fn providers_come_first_and_only_those_concerned() {
        let tree = Applications::read(BTreeMap::from([
            application("wiki", &["base", "cache"]),
            application("cache", &["base"]),
            application("base", &[]),
            application("other", &["base"]),
        ]));
        assert!(tree.faults.is_empty(), "{:?}", tree.faults);
        let draft = Draft {
            subject: String::new(),
            changed: BTreeMap::from([("wiki".to_owned(), tree.applications.get("wiki").cloned())]),
            planned: Vec::new(),
            warnings: Vec::new(),
            secrets: Vec::new(),
            copies: Vec::new(),
        };
        assert_eq!(touched(&tree, &tree, &draft), ["base", "cache", "wiki"]);
    }
}
