//! Registering Blueprints: a verified artifact becomes an object of the management
//! cluster.
//!
//! What must stay true: a version is its artifact. What Applications run never changes
//! under its name, also when two register it at once.

use catalyst_api::{BlueprintCard, RegisterBlueprint};
use catalyst_plan::AdmittedBlueprint;
use catalyst_ports::PortError;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::Value;

use crate::users::{admitted_blueprint, card, trust_policy};
use crate::{Access, Actor, CommandError, Commands};

/// The field manager of what the control plane writes.
const MANAGER: &str = "catalyst";

impl Commands {
    /// Verifies an artifact in the registry and writes its Blueprint object.
    pub async fn blueprint_register(
        &self,
        actor: &Actor,
        request: RegisterBlueprint,
    ) -> Result<BlueprintCard, CommandError> {
        let RegisterBlueprint {
            source,
            name,
            version,
        } = &request;
        let action = format!("register {name} {version} of {source}");
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, state.content.organizations.values());
        if !access.can_publish(source) {
            return Err(CommandError::Authorize {
                action,
                reason: "this takes a sovereign-admin, or an org-admin for the Organization's own Blueprints".to_owned(),
            });
        }
        let Some(sovereign) = &state.content.sovereign else {
            return Err(CommandError::Read {
                action,
                reason: "sovereign.yaml cannot be read".to_owned(),
            });
        };
        let config = self.config();
        let admitted = config
            .registry
            .admit(
                &config.registry_address(),
                source,
                name,
                version,
                &trust_policy(&sovereign.spec),
            )
            .await
            .map_err(|error| CommandError::Admit {
                action: action.clone(),
                reason: error.to_string(),
                retryable: error.retryable(),
            })?;
        let blueprint = admitted_blueprint(admitted);
        check_visibility(&blueprint, &action)?;
        let catalogue = self.store().catalogue(config, true, &action).await?;
        let known = catalogue
            .versions(source, name)
            .and_then(|versions| versions.get(blueprint.blueprint.version()));
        let catalogue = match known {
            Some(known) => {
                check_content(&known.digest, &blueprint, &action)?;
                catalogue
            }
            None => {
                let written = write(&crate::store::blueprints(config), &blueprint, &action).await;
                self.store().forget_catalogue();
                written?;
                self.store().catalogue(config, true, &action).await?
            }
        };
        let mut versions: Vec<String> = catalogue
            .versions(source, name)
            .into_iter()
            .flat_map(|versions| versions.keys().rev())
            .map(ToString::to_string)
            .collect();
        if versions.is_empty() {
            versions.push(version.clone());
        }
        Ok(card(&blueprint, versions))
    }
}

/// Refuses what says that it is private where nothing is: everybody may pull from the
/// registry's projects of the shared sources.
fn check_visibility(blueprint: &AdmittedBlueprint, action: &str) -> Result<(), CommandError> {
    let visibility = blueprint.blueprint.spec.visibility;
    if visibility.is_known(&blueprint.source, false) {
        return Ok(());
    }
    Err(CommandError::Validate {
        action: action.to_owned(),
        reason: format!(
            "its visibility is private, and {} belongs to no Organization: its Blueprints are everybody's",
            blueprint.source
        ),
        next: Some(
            "publish it into the source of an Organization, or say `visibility: unlisted`"
                .to_owned(),
        ),
        faults: Vec::new(),
    })
}

/// Refuses a version that is registered with another digest.
fn check_content(
    known: &str,
    blueprint: &AdmittedBlueprint,
    action: &str,
) -> Result<(), CommandError> {
    if known == blueprint.digest {
        return Ok(());
    }
    let (name, version) = (blueprint.name(), blueprint.version());
    Err(CommandError::Allow {
        action: action.to_owned(),
        reason: format!(
            "the version {version} of {name} is registered already, with other content ({known})"
        ),
        next: Some("publish the changed Blueprint under a new version".to_owned()),
    })
}

/// Makes a Blueprint object where there is none. One of the same content is written
/// anew, as it may be one that nobody can read; any other is refused.
async fn write(
    api: &Api<DynamicObject>,
    blueprint: &AdmittedBlueprint,
    action: &str,
) -> Result<(), CommandError> {
    let reach = |error: kube::Error| {
        CommandError::reach(action)(PortError::kubernetes("write the Blueprint object")(error))
    };
    let object: DynamicObject = serde_json::to_value(blueprint.to_object())
        .and_then(serde_json::from_value)
        .map_err(|error| CommandError::Read {
            action: action.to_owned(),
            reason: error.to_string(),
        })?;
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    match api.create(&parameters, &object).await {
        Ok(_) => return Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(reach(error)),
    }
    let name = blueprint.object_name();
    let there = api.get(&name).await.map_err(reach)?;
    let digest = there.data.pointer("/spec/digest").and_then(Value::as_str);
    check_content(digest.unwrap_or("unknown"), blueprint, action)?;
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(reach)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use kube::core::{ApiResource, GroupVersionKind};
    use serde_json::json;

    use super::*;
    use crate::validate::tests::{admitted, blueprint};

    /// What a Kubernetes API holds that holds one object at most.
    type Kept = Arc<Mutex<Option<Value>>>;

    fn status(reason: &str, code: u16) -> (u16, Value) {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": reason, "code": code,
        });
        (code, status)
    }

    fn api(kept: &Kept) -> Api<DynamicObject> {
        let kept = Arc::clone(kept);
        let service = tower::service_fn(move |request: Request<Body>| {
            let kept = Arc::clone(&kept);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let there = kept.lock().unwrap().clone();
                let (code, answer) = match (parts.method, there) {
                    (Method::POST, Some(_)) => status("AlreadyExists", 409),
                    (Method::POST, None) | (Method::PATCH, _) => {
                        *kept.lock().unwrap() = Some(body.clone());
                        (200, body)
                    }
                    (_, Some(object)) => (200, object),
                    (_, None) => status("NotFound", 404),
                };
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = code.try_into().unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        let kind = GroupVersionKind::gvk(
            catalyst_resources::GROUP,
            catalyst_resources::VERSION,
            "Blueprint",
        );
        let resource = ApiResource::from_gvk_with_plural(&kind, "blueprints");
        Api::all_with(kube::Client::new(service, "default"), &resource)
    }

    #[test]
    fn what_is_private_belongs_to_an_organization() {
        for (source, visibility, is_taken) in [
            ("catalog", "listed", true),
            ("catalog", "unlisted", true),
            ("catalog", "private", false),
            ("catalog-sovereign", "private", false),
            ("acme", "private", true),
        ] {
            let rest = format!("  visibility: {visibility}\n");
            let blueprint = admitted(source, &blueprint("bp-wiki", "1.0.0", &rest));
            let checked = check_visibility(&blueprint, "register it");
            assert_eq!(checked.is_ok(), is_taken, "{visibility} in {source}");
            if let Err(refused) = checked {
                let problem = refused.problem();
                assert_eq!(problem.status, 422, "{problem:?}");
                assert!(problem.detail.contains(source), "{problem:?}");
            }
        }
    }

    /// Both have seen that it is not registered; each goes on to write.
    #[tokio::test]
    async fn of_two_that_register_a_version_at_once_the_second_changes_nothing() {
        let kept = Kept::default();
        let api = api(&kept);
        let first = admitted("acme", &blueprint("bp-wiki", "1.0.0", ""));
        let mut second = first.clone();
        second.digest = format!("sha256:{}", "b".repeat(64));
        write(&api, &first, "register it").await.unwrap();
        let refused = write(&api, &second, "register it").await.unwrap_err();
        let problem = refused.problem();
        assert_eq!(problem.status, 409, "{problem:?}");
        let expected = format!(
            "the version 1.0.0 of bp-wiki is registered already, with other content ({})",
            first.digest
        );
        assert_eq!(problem.detail.to_lowercase(), expected);
        let digest = || kept.lock().unwrap().as_ref().unwrap()["spec"]["digest"].clone();
        assert_eq!(digest(), json!(first.digest));

        // The same content is no harm, and mends an object that nobody can read.
        kept.lock().unwrap().as_mut().unwrap()["spec"]["version"] = json!("none");
        write(&api, &first, "register it").await.unwrap();
        let kept = kept.lock().unwrap().clone().unwrap();
        assert_eq!(kept["spec"]["version"], "1.0.0", "{kept:#}");
    }
}
