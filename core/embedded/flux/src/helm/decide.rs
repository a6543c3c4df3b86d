//! What to do with a release next, from what is stored, what was observed and
//! what is wanted. Pure: Flux's state machine without its effects.

use serde_json::Value;

use crate::json::{integer, list, text};

use super::release;

/// What the release should be.
pub struct Wanted<'a> {
    pub chart_name: &'a str,
    pub chart_version: &'a str,
    pub config_digest: &'a str,
    /// The artifact's digest; a chart may change under the same version.
    pub oci_digest: &'a str,
    /// What else of the spec the manifests depend on.
    pub observed: &'a Observed,
}

/// Digests of parts of a HelmRelease's spec that no stored release tells of, by the
/// fields of its status that say with which of them it was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed([(&'static str, Option<String>); 2]);

impl Observed {
    /// Of what the spec says.
    pub fn of(spec: &Value) -> Self {
        Self(
            [
                ("observedPostRenderersDigest", "postRenderers"),
                ("observedCommonMetadataDigest", "commonMetadata"),
            ]
            .map(|(field, part)| {
                (
                    field,
                    spec.get(part)
                        .filter(|it| !it.is_null())
                        .map(release::digest_of),
                )
            }),
        )
    }

    /// The fields of a status, and what they are to say; none where they are not there.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.0
            .iter()
            .map(|(field, digest)| (*field, digest.as_deref()))
    }

    /// The field of which a status says something else.
    fn changed(&self, status: &Value) -> Option<&'static str> {
        self.fields()
            .find(|(field, digest)| status.get(*field).and_then(Value::as_str) != *digest)
            .map(|(field, _)| field)
    }
}

/// Where the release stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Absent,
    /// An action was cut off in the middle.
    Locked,
    /// Somebody else wrote the latest revision.
    Unmanaged,
    OutOfSync(String),
    Failed,
    InSync,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Install,
    Upgrade(String),
    Unlock,
    /// Back to this revision.
    Rollback(i64),
    Uninstall,
    /// All attempts are used up.
    GiveUp,
}

/// Where the release stands.
pub fn state(latest: Option<&Value>, status: &Value, wanted: &Wanted<'_>) -> State {
    let Some(latest) = latest else {
        return State::Absent;
    };
    match release::status(latest) {
        status if status.starts_with("pending-") => return State::Locked,
        "uninstalled" | "uninstalling" => return State::Absent,
        _ => {}
    }
    let observed = list(status, "/history").first();
    let ours = observed.is_some_and(|one| {
        integer(one, "/version") == release::version(latest)
            && text(one, "/digest") == release::observation(latest)
    });
    if !ours {
        return State::Unmanaged;
    }
    if release::status(latest) == "failed" {
        return State::Failed;
    }
    let name = text(latest, "/chart/metadata/name");
    if name != wanted.chart_name {
        return State::OutOfSync(format!(
            "chart changed from {name} to {}",
            wanted.chart_name
        ));
    }
    let version = text(latest, "/chart/metadata/version");
    if version != wanted.chart_version {
        return State::OutOfSync(format!(
            "chart version changed from {version} to {}",
            wanted.chart_version
        ));
    }
    let config = latest.get("config").unwrap_or(&Value::Null);
    if release::digest_of(config) != wanted.config_digest {
        return State::OutOfSync("release config values changed".into());
    }
    let digest = observed
        .map(|one| text(one, "/ociDigest"))
        .unwrap_or_default();
    if !digest.is_empty() && !wanted.oci_digest.is_empty() && digest != wanted.oci_digest {
        return State::OutOfSync(format!("chart digest changed to {}", wanted.oci_digest));
    }
    if let Some(field) = wanted.observed.changed(status) {
        return State::OutOfSync(format!("{field} changed"));
    }
    State::InSync
}

struct Remediation<'a> {
    spec: Option<&'a Value>,
    failures: i64,
    is_upgrade: bool,
}

impl<'a> Remediation<'a> {
    fn of(spec: &'a Value, status: &Value, is_upgrade: bool) -> Self {
        let (place, count) = if is_upgrade {
            ("/upgrade/remediation", "/upgradeFailures")
        } else {
            ("/install/remediation", "/installFailures")
        };
        Self {
            spec: spec.pointer(place),
            failures: integer(status, count),
            is_upgrade,
        }
    }

    fn retries(&self) -> i64 {
        self.spec.map_or(0, |spec| integer(spec, "/retries"))
    }

    fn exhausted(&self) -> bool {
        self.retries() >= 0 && self.failures > self.retries()
    }

    fn must_remediate_last(&self) -> bool {
        let named = self
            .spec
            .and_then(|spec| spec.get("remediateLastFailure"))
            .and_then(Value::as_bool);
        named.unwrap_or(self.is_upgrade && self.retries() > 0)
    }

    fn uninstalls(&self) -> bool {
        !self.is_upgrade || self.spec.map(|spec| text(spec, "/strategy")) == Some("uninstall")
    }
}

/// Whether the last action's strategy is to try again without undoing.
pub fn retries_on_failure(spec: &Value, status: &Value) -> bool {
    let action = text(status, "/lastAttemptedReleaseAction");
    text(spec, &format!("/{action}/strategy/name")) == "RetryOnFailure"
}

/// What to do next. `history` is what is stored, oldest first.
pub fn next(state: &State, spec: &Value, status: &Value, history: &[Value], force: bool) -> Action {
    let install = Remediation::of(spec, status, false);
    let upgrade = Remediation::of(spec, status, true);
    let last_was_upgrade = text(status, "/lastAttemptedReleaseAction") == "upgrade";
    let steady = retries_on_failure(spec, status);
    match state {
        State::Locked => Action::Unlock,
        State::Absent => {
            let active = if last_was_upgrade { &upgrade } else { &install };
            if active.failures > 0 && active.exhausted() && !force && !steady {
                Action::GiveUp
            } else {
                Action::Install
            }
        }
        State::Unmanaged => Action::Upgrade("release is not managed by this object yet".into()),
        State::OutOfSync(why) => {
            if upgrade.failures > 0 && upgrade.exhausted() && !force && !steady {
                Action::GiveUp
            } else {
                Action::Upgrade(why.clone())
            }
        }
        State::InSync if force => Action::Upgrade("force requested".into()),
        State::InSync => Action::Nothing,
        State::Failed => {
            let active = if last_was_upgrade { &upgrade } else { &install };
            if active.failures <= 0 || force || steady {
                return Action::Upgrade("the last release failed".into());
            }
            if active.exhausted() && !active.must_remediate_last() {
                return Action::GiveUp;
            }
            if active.uninstalls() {
                return Action::Uninstall;
            }
            let good = history
                .iter()
                .rev()
                .find(|one| matches!(release::status(one), "deployed" | "superseded"));
            match good {
                Some(good) => Action::Rollback(release::version(good)),
                None if active.exhausted() => Action::GiveUp,
                None => Action::Upgrade("there is no release to go back to".into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(version: i64, status: &str) -> Value {
        json!({"name": "web", "namespace": "n", "version": version, "manifest": "m", "config": {},
            "chart": {"metadata": {"name": "web", "version": "1.0.0"}}, "info": {"status": status}})
    }

    const NOTHING_ELSE: Observed = Observed([
        ("observedPostRenderersDigest", None),
        ("observedCommonMetadataDigest", None),
    ]);

    fn wanted(version: &str) -> Wanted<'_> {
        Wanted {
            chart_name: "web",
            chart_version: version,
            config_digest: "",
            oci_digest: "",
            observed: &NOTHING_ELSE,
        }
    }

    #[test]
    fn a_release_is_judged_by_what_is_stored_and_observed() {
        let config = release::digest_of(&json!({}));
        let seen = |one: &Value| json!({"history": [release::snapshot(one, "")]});
        let judge = |one: &Value, status: &Value, version: &str| {
            let wanted = Wanted {
                config_digest: &config,
                ..wanted(version)
            };
            state(Some(one), status, &wanted)
        };
        let deployed = stored(1, "deployed");
        assert_eq!(state(None, &json!({}), &wanted("1.0.0")), State::Absent);
        assert_eq!(judge(&deployed, &seen(&deployed), "1.0.0"), State::InSync);
        assert!(matches!(
            judge(&deployed, &seen(&deployed), "1.1.0"),
            State::OutOfSync(_)
        ));
        assert_eq!(judge(&deployed, &json!({}), "1.0.0"), State::Unmanaged);
        assert_eq!(
            judge(&stored(2, "deployed"), &seen(&deployed), "1.0.0"),
            State::Unmanaged
        );
        // What is rendered from the same chart and values may still be something else.
        let spec = json!({"postRenderers": [{"kustomize": {}}]});
        let observed = Observed::of(&spec);
        let rendered = |status: &Value| {
            let wanted = Wanted {
                config_digest: &config,
                observed: &observed,
                ..wanted("1.0.0")
            };
            state(Some(&deployed), status, &wanted)
        };
        let mut status = seen(&deployed);
        assert_eq!(
            rendered(&status),
            State::OutOfSync("observedPostRenderersDigest changed".to_owned())
        );
        for (field, digest) in observed.fields() {
            status[field] = json!(digest);
        }
        assert_eq!(rendered(&status), State::InSync);
        assert_eq!(
            judge(&deployed, &status, "1.0.0"),
            State::OutOfSync("observedPostRenderersDigest changed".to_owned())
        );
        let failed = stored(1, "failed");
        assert_eq!(judge(&failed, &seen(&failed), "1.0.0"), State::Failed);
        for (word, state) in [
            ("pending-upgrade", State::Locked),
            ("pending-install", State::Locked),
            ("uninstalled", State::Absent),
        ] {
            assert_eq!(judge(&stored(1, word), &json!({}), "1.0.0"), state);
        }
    }

    #[test]
    fn failures_are_remedied_retried_and_given_up_as_flux_does() {
        let history = [stored(1, "superseded"), stored(2, "failed")];
        let upgrade = |retries: i64, failures: i64| {
            (
                json!({"upgrade": {"remediation": {"retries": retries}}}),
                json!({"lastAttemptedReleaseAction": "upgrade", "upgradeFailures": failures}),
            )
        };
        let install = |retries: i64, failures: i64| {
            (
                json!({"install": {"remediation": {"retries": retries}}}),
                json!({"lastAttemptedReleaseAction": "install", "installFailures": failures}),
            )
        };
        let out = State::OutOfSync("x".into());
        for (what, state, (spec, status), force, action) in [
            (
                "first failed upgrade, no retries",
                &State::Failed,
                upgrade(0, 1),
                false,
                Action::GiveUp,
            ),
            (
                "first failed upgrade, one retry",
                &State::Failed,
                upgrade(1, 1),
                false,
                Action::Rollback(1),
            ),
            (
                "last failed upgrade is undone",
                &State::Failed,
                upgrade(1, 2),
                false,
                Action::Rollback(1),
            ),
            (
                "after the last rollback",
                &out,
                upgrade(1, 2),
                false,
                Action::GiveUp,
            ),
            (
                "after a rollback with a retry left",
                &out,
                upgrade(1, 1),
                false,
                Action::Upgrade("x".into()),
            ),
            (
                "endless retries",
                &out,
                upgrade(-1, 9),
                false,
                Action::Upgrade("x".into()),
            ),
            (
                "failed install, no retries",
                &State::Failed,
                install(0, 1),
                false,
                Action::GiveUp,
            ),
            (
                "failed install, one retry",
                &State::Failed,
                install(1, 1),
                false,
                Action::Uninstall,
            ),
            (
                "uninstalled, retry left",
                &State::Absent,
                install(1, 1),
                false,
                Action::Install,
            ),
            (
                "uninstalled, no retry left",
                &State::Absent,
                install(1, 2),
                false,
                Action::GiveUp,
            ),
            (
                "the counts were reset by a change",
                &State::Failed,
                install(0, 0),
                false,
                Action::Upgrade("the last release failed".into()),
            ),
            (
                "given up, then forced",
                &State::Absent,
                install(0, 1),
                true,
                Action::Install,
            ),
            (
                "in sync",
                &State::InSync,
                install(0, 0),
                false,
                Action::Nothing,
            ),
            (
                "cut off",
                &State::Locked,
                install(0, 0),
                false,
                Action::Unlock,
            ),
        ] {
            assert_eq!(
                next(state, &spec, &status, &history, force),
                action,
                "{what}"
            );
        }
        let (_, status) = install(0, 3);
        let steady = json!({"install": {"strategy": {"name": "RetryOnFailure"}}});
        assert!(matches!(
            next(&State::Failed, &steady, &status, &history, false),
            Action::Upgrade(_)
        ));
    }
}
