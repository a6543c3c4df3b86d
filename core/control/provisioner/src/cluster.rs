//! What the first control plane says about nodes, Flux and parts, and the Secrets that
//! it is given. Pure: texts in, verdicts out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::secret::Secret;

/// Where `infra/hetzner/bootstrap.sh` says how far a node is.
pub const BOOTSTRAP_STATUS: &str = "cat /var/lib/catalyst/bootstrap/status.json";
/// The Git source that the node's bootstrap makes.
pub const SOURCE: &str =
    "k3s kubectl -n flux-system get gitrepositories.source.toolkit.fluxcd.io sovereign -o json";
/// The parts, and the Kustomization that they come from.
pub const KUSTOMIZATIONS: &str =
    "k3s kubectl -n flux-system get kustomizations.kustomize.toolkit.fluxcd.io -o json";
/// Takes Secrets on standard input (`infra/hetzner/hand-over.sh`).
pub const HAND_OVER: &str = "catalyst-hand-over";

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is as it should be.
    Ready,
    /// It is not yet, for this reason.
    Waiting(String),
}

/// How far the node's bootstrap is. A failed step is tried again by the node itself, so
/// it is a reason to wait, not to give up.
pub fn bootstrap(text: &str) -> Progress {
    let status: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| {
        status
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("unknown")
    };
    match field("state") {
        "done" => Progress::Ready,
        "failed" => Progress::Waiting(format!(
            "step {} failed and is tried again: {}",
            field("step"),
            field("message")
        )),
        "running" => Progress::Waiting(format!("step {} is under way", field("step"))),
        _ => Progress::Waiting("the node has not said how far it is".to_owned()),
    }
}

/// Whether an object is Ready at its present generation, as Flux tells it. What is
/// suspended is looked at by nobody, so that it will not become Ready.
pub fn readiness(object: &Value) -> Progress {
    if is_suspended(object) {
        return Progress::Waiting(
            "it is suspended; remove spec.suspend where Git has it, and push that".to_owned(),
        );
    }
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64);
    let observed = object
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64);
    let ready = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|all| {
            all.iter()
                .find(|it| it.get("type").and_then(Value::as_str) == Some("Ready"))
        });
    let text = |name: &str| {
        ready
            .and_then(|condition| condition.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if text("status") == "True" && (generation.is_none() || generation == observed) {
        return Progress::Ready;
    }
    Progress::Waiting(match (text("reason"), text("message")) {
        ("", _) => "it was not looked at yet".to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    })
}

/// How far each wanted part is, from a list of Kustomizations.
pub fn parts(list: &Value, wanted: &[String]) -> Vec<(String, Progress)> {
    wanted
        .iter()
        .map(|part| {
            let progress = named(list, part).map_or_else(
                || Progress::Waiting("Flux has not applied it yet".to_owned()),
                readiness,
            );
            (part.clone(), progress)
        })
        .collect()
}

/// Those of all parts that must become Ready, and those that are left out: what the
/// template holds back, for as long as Flux has it suspended too.
pub fn wanted(list: &Value, all: Vec<String>, held_back: &[String]) -> (Vec<String>, Vec<String>) {
    all.into_iter()
        .partition(|part| !held_back.contains(part) || !named(list, part).is_some_and(is_suspended))
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    let items = list.get("items").and_then(Value::as_array)?;
    items
        .iter()
        .find(|item| item.pointer("/metadata/name").and_then(Value::as_str) == Some(name))
}

fn is_suspended(object: &Value) -> bool {
    object.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

/// What the cluster is given.
#[derive(Debug)]
pub struct Handed {
    /// The cloud's token, for its controllers and Crossplane.
    pub hetzner_token: Secret,
    /// Name of the private network, which the cloud's controller puts load balancers into.
    pub network: String,
    /// 64 hexadecimal digits that OpenBao unseals itself with.
    pub openbao_seal: Secret,
    /// Password of Gitea's first administrator.
    pub gitea_password: Secret,
    /// User and password for a private Git repository.
    pub git: Option<(String, Secret)>,
}

/// The Secrets that `clusters/_template/README.md` lists, as one List.
pub fn secrets(handed: &Handed) -> Option<Value> {
    let seal = hex::decode(handed.openbao_seal.reveal()).ok()?;
    let secret = |namespace: &str, name: &str, data: &[(&str, &[u8])]| {
        let data: serde_json::Map<String, Value> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value))))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"namespace": namespace, "name": name},
            "data": data,
        })
    };
    let token = handed.hetzner_token.reveal();
    let credentials = json!({ "token": token }).to_string();
    let mut items = vec![
        secret(
            "kube-system",
            "hcloud",
            &[
                ("token", token.as_bytes()),
                ("network", handed.network.as_bytes()),
            ],
        ),
        secret(
            "crossplane-system",
            "hetzner",
            &[("credentials", credentials.as_bytes())],
        ),
        secret("openbao", "openbao-seal", &[("key", &seal)]),
        secret(
            "gitea",
            "gitea-admin",
            &[
                ("username", b"gitea-admin"),
                ("password", handed.gitea_password.reveal().as_bytes()),
            ],
        ),
    ];
    if let Some((user, password)) = &handed.git {
        items.push(secret(
            "flux-system",
            "sovereign-git",
            &[
                ("username", user.as_bytes()),
                ("password", password.reveal().as_bytes()),
            ],
        ));
    }
    Some(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(status: &str, generation: i64, observed: i64) -> Value {
        json!({
            "metadata": {"name": "cilium", "generation": generation},
            "status": {
                "observedGeneration": observed,
                "conditions": [
                    {"type": "Reconciling", "status": "False"},
                    {"type": "Ready", "status": status, "reason": "HealthCheckFailed", "message": "timeout"},
                ],
            },
        })
    }

    #[test]
    fn ready_is_what_flux_says_of_the_present_generation() {
        let waiting = |text: &str| Progress::Waiting(text.to_owned());
        for (object, expected) in [
            (object("True", 2, 2), Progress::Ready),
            (object("True", 3, 2), waiting("HealthCheckFailed: timeout")),
            (object("False", 2, 2), waiting("HealthCheckFailed: timeout")),
            (
                object("Unknown", 2, 2),
                waiting("HealthCheckFailed: timeout"),
            ),
            (
                json!({"metadata": {"generation": 1}}),
                waiting("it was not looked at yet"),
            ),
        ] {
            assert_eq!(readiness(&object), expected, "{object}");
        }
    }

    #[test]
    fn parts_that_flux_has_not_applied_are_waited_for() {
        let list = json!({"items": [object("True", 1, 1)]});
        let found = parts(&list, &["cilium".to_owned(), "openbao".to_owned()]);
        assert_eq!(found[0].1, Progress::Ready);
        assert_eq!(
            found[1].1,
            Progress::Waiting("Flux has not applied it yet".to_owned())
        );
        assert_eq!(parts(&Value::Null, &["cilium".to_owned()]).len(), 1);
    }

    #[test]
    fn what_the_template_holds_back_is_left_out_while_it_is_suspended() {
        let all = || vec!["cilium".to_owned(), "catalyst".to_owned()];
        let held_back = ["catalyst".to_owned()];
        let part = |name: &str, suspend: bool| json!({"metadata": {"name": name}, "spec": {"suspend": suspend}});
        let suspended = json!({"items": [part("cilium", true), part("catalyst", true)]});
        // A part that somebody else suspended is none that the template holds back.
        let (wanted_of, left_out) = wanted(&suspended, all(), &held_back);
        assert_eq!(wanted_of, ["cilium"]);
        assert_eq!(left_out, ["catalyst"]);
        let found = parts(&suspended, &wanted_of);
        assert!(
            matches!(&found[0].1, Progress::Waiting(why) if why.starts_with("it is suspended")),
            "{found:?}"
        );
        // Published, or not applied yet, it is waited for.
        for list in [
            json!({"items": [part("catalyst", false)]}),
            json!({"items": []}),
        ] {
            assert_eq!(wanted(&list, all(), &held_back), (all(), vec![]));
        }
    }

    #[test]
    fn bootstraps_are_done_or_say_what_they_are_at() {
        for (text, expected) in [
            (
                r#"{"state":"done","step":"finished","message":"x","at":"y"}"#,
                None,
            ),
            (
                r#"{"state":"running","step":"cilium","message":"cilium"}"#,
                Some("step cilium is under way"),
            ),
            (
                r#"{"state":"failed","step":"flux","message":"line 3"}"#,
                Some("step flux failed and is tried again: line 3"),
            ),
            ("", Some("the node has not said how far it is")),
        ] {
            let expected = expected.map_or(Progress::Ready, |it| Progress::Waiting(it.to_owned()));
            assert_eq!(bootstrap(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_are_those_that_the_template_lists() {
        let handed = Handed {
            hetzner_token: Secret::new("canary-token"),
            network: "omantel-example".to_owned(),
            openbao_seal: Secret::random().unwrap(),
            gitea_password: Secret::random().unwrap(),
            git: Some(("flux".to_owned(), Secret::new("canary-git"))),
        };
        let list = secrets(&handed).unwrap();
        let readme = include_str!("../../../../clusters/_template/README.md");
        let listed: Vec<&str> = readme
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), listed.len(), "{listed:?}");
        for item in items {
            let name = format!(
                "{}/{}",
                item["metadata"]["namespace"].as_str().unwrap(),
                item["metadata"]["name"].as_str().unwrap()
            );
            assert!(listed.contains(&name.as_str()), "{name}");
        }
        let network = items[0]["data"]["network"].as_str().unwrap();
        assert_eq!(STANDARD.decode(network).unwrap(), b"omantel-example");
        let seal = items[2]["data"]["key"].as_str().unwrap();
        assert_eq!(STANDARD.decode(seal).unwrap().len(), 32);
        assert!(!list.to_string().contains("canary"));
    }
}
