//! What Crossplane is given of what OpenTofu made: a managed resource for each, first only
//! to observe, then to keep as it is. Pure: the state in, objects and verdicts out.
//!
//! Kinds, fields and the forms of external names are those of the provider that
//! `clusters/_template/parts/crossplane-hetzner` names: `package/crds`, `apis/namespaced`
//! and `config/external_name.go` of github.com/hipervincle/provider-hetzner at
//! 1bf341ba2931942ca2a28485d3ff4133b0b6fb6c and before; those of the group `network`, of
//! which that repository has no copy that could be read, from github.com/miaits/provider-hetzner,
//! from which it comes, and its own `examples/web-stack/web-stack-foundation.yaml`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cluster::Progress;
use crate::tofu::Made;

/// Applies what it is given on standard input.
pub(crate) const APPLY: &str =
    "k3s kubectl apply --server-side --force-conflicts --field-manager=catalyst-adoption -f -";
/// The same in another's name: it owns the policies alone, and no other field goes with that.
pub(crate) const RELEASE: &str =
    "k3s kubectl apply --server-side --force-conflicts --field-manager=catalyst-release -f -";

const NAMESPACE: &str = "crossplane-system";
const EXTERNAL_NAME: &str = "crossplane.io/external-name";
const SOVEREIGN: &str = "openova.io/sovereign";
const OBSERVE: &str = "Observe";

/// What Crossplane may do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Look at it.
    Observe,
    /// Keep it as it is, and make it anew where it is gone; not delete it with its object.
    /// A server it only looks at, for it could not make one that joins.
    Adopt,
}

/// A kind of the provider.
#[derive(Debug)]
struct Kind {
    /// OpenTofu's type.
    tofu: &'static str,
    /// Begin of the API group, before `.hetzner.m.crossplane.io`.
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Attributes that the object says too: what must be there to create one, and what
    /// would be undone where it were absent. None of them is secret.
    fields: &'static [&'static str],
    /// Attributes by which it is known beside the id that Hetzner gives.
    identity: &'static [&'static str],
    /// Whether the id is Hetzner's own, and not put together by the provider.
    has_id: bool,
    /// Whether one that is gone may be made anew of these fields.
    can_be_made: bool,
}

#[rustfmt::skip]
const KINDS: [Kind; 11] = [
    Kind { tofu: "hcloud_network", group: "network", kind: "Network", plural: "networks", fields: &["name", "ip_range", "labels"], identity: &["name"], has_id: true, can_be_made: true },
    Kind { tofu: "hcloud_network_subnet", group: "network", kind: "Subnet", plural: "subnets", fields: &["network_id", "type", "network_zone", "ip_range"], identity: &["network_id", "ip_range"], has_id: false, can_be_made: true },
    Kind { tofu: "hcloud_firewall", group: "network", kind: "Firewall", plural: "firewalls", fields: &["name", "labels", "rule"], identity: &["name"], has_id: true, can_be_made: true },
    Kind { tofu: "hcloud_ssh_key", group: "server", kind: "SSHKey", plural: "sshkeys", fields: &["name", "public_key", "labels"], identity: &["name"], has_id: true, can_be_made: true },
    Kind { tofu: "hcloud_placement_group", group: "server", kind: "PlacementGroup", plural: "placementgroups", fields: &["name", "type", "labels"], identity: &["name"], has_id: true, can_be_made: true },
    // Without user_data and ssh_keys, which were read at creation only, and the network.
    Kind { tofu: "hcloud_server", group: "server", kind: "Server", plural: "servers", fields: &["name", "server_type", "image", "location", "labels", "firewall_ids", "placement_group_id"], identity: &["name"], has_id: true, can_be_made: false },
    Kind { tofu: "hcloud_load_balancer", group: "loadbalancer", kind: "LoadBalancer", plural: "loadbalancers", fields: &["name", "load_balancer_type", "location", "labels"], identity: &["name"], has_id: true, can_be_made: true },
    Kind { tofu: "hcloud_load_balancer_network", group: "loadbalancer", kind: "NetworkAttachment", plural: "networkattachments", fields: &["load_balancer_id", "subnet_id", "ip", "enable_public_interface"], identity: &["load_balancer_id", "ip"], has_id: false, can_be_made: true },
    Kind { tofu: "hcloud_load_balancer_service", group: "loadbalancer", kind: "LoadBalancerService", plural: "loadbalancerservices", fields: &["load_balancer_id", "protocol", "listen_port", "destination_port", "proxyprotocol", "health_check"], identity: &["load_balancer_id", "listen_port"], has_id: false, can_be_made: true },
    Kind { tofu: "hcloud_load_balancer_target", group: "loadbalancer", kind: "LoadBalancerTarget", plural: "loadbalancertargets", fields: &["type", "load_balancer_id", "server_id", "label_selector", "use_private_ip"], identity: &["load_balancer_id", "type"], has_id: false, can_be_made: true },
    Kind { tofu: "hcloud_zone_rrset", group: "dns", kind: "ZoneRRSet", plural: "zonerrsets", fields: &["zone", "name", "type", "ttl", "records", "labels"], identity: &["name", "type"], has_id: false, can_be_made: true },
];

/// A resource that Crossplane shall take over.
#[derive(Debug)]
pub struct Adoption {
    kind: &'static Kind,
    /// Name of the object.
    name: String,
    /// Name of the Sovereign.
    sovereign: String,
    /// What the provider knows it by.
    external_name: String,
    for_provider: Map<String, Value>,
}

/// What of a Sovereign's state Crossplane shall take over: all that is Hetzner's.
pub fn adoptions(made: &[Made], sovereign: &str) -> Vec<Adoption> {
    let known = made.iter().filter_map(|made| {
        let kind = KINDS.iter().find(|kind| kind.tofu == made.kind)?;
        let said = kind.fields.iter().filter_map(|field| {
            let value = made.attributes.get(*field)?;
            let value = match *field {
                // Its keys are the labels' own.
                "labels" => value.clone(),
                _ => renamed(value),
            };
            (!is_nothing(&value)).then(|| (camel(field), value))
        });
        Some(Adoption {
            kind,
            name: object_name(&made.address),
            sovereign: sovereign.to_owned(),
            external_name: made.id.clone(),
            for_provider: said.collect(),
        })
    });
    known.collect()
}

/// The types of objects that these are, as `kubectl` takes them.
pub fn types(adoptions: &[Adoption]) -> BTreeSet<String> {
    let all = adoptions.iter().map(|adoption| adoption.kind.resource());
    all.collect()
}

/// Asks for all that Crossplane was given of a Sovereign, of types from [`types`].
pub fn get(types: &BTreeSet<String>, sovereign: &str) -> String {
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let types = types.join(",");
    format!("k3s kubectl -n {NAMESPACE} get {types} -l {SOVEREIGN}={sovereign} -o json")
}

/// The objects, as one List.
pub fn manifests(adoptions: &[Adoption], policy: Policy) -> Value {
    let items: Vec<Value> = adoptions
        .iter()
        .map(|adoption| adoption.manifest(policy))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// What has Crossplane only observe all of a list; `None` where there is nothing in it.
pub fn released(list: &Value) -> Option<Value> {
    let items: Vec<Value> = items(list)
        .iter()
        .map(|item| {
            json!({
                "apiVersion": item.get("apiVersion"),
                "kind": item.get("kind"),
                "metadata": {
                    "namespace": item.pointer("/metadata/namespace"),
                    "name": item.pointer("/metadata/name"),
                },
                "spec": {"managementPolicies": [OBSERVE]},
            })
        })
        .collect();
    (!items.is_empty()).then(|| json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// Removes the objects of a list whose resources are not to be taken over any more; `None`
/// where there are none. They are observed only, so what they stand for stays as it is.
pub fn forget(adoptions: &[Adoption], list: &Value) -> Option<String> {
    let stale = items(list).iter().filter_map(|item| {
        let kind = text(item, "/kind");
        let kind = KINDS.iter().find(|known| known.kind == kind)?;
        let name = text(item, "/metadata/name");
        let is_wanted = adoptions
            .iter()
            .any(|adoption| adoption.kind.kind == kind.kind && adoption.name == name);
        // Names of Kubernetes, so that a shell takes them as they are.
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        (!is_wanted && is_name).then(|| format!("{}/{name}", kind.resource()))
    });
    let stale: Vec<String> = stale.collect();
    (!stale.is_empty()).then(|| {
        format!(
            "k3s kubectl -n {NAMESPACE} delete --ignore-not-found --wait=false {}",
            stale.join(" ")
        )
    })
}

/// How far Crossplane is with each.
pub fn progress(adoptions: &[Adoption], policy: Policy, list: &Value) -> Vec<(String, Progress)> {
    let all = adoptions.iter().map(|adoption| {
        let progress = match adoption.find(list) {
            None => Progress::Waiting("it is not in the cluster yet".to_owned()),
            Some(item) => settled(&adoption.kind.actions(policy), item),
        };
        (adoption.title(), progress)
    });
    all.collect()
}

/// Where what Crossplane sees is not what OpenTofu made. Of what is not there nothing is
/// proved, so that it counts as one.
pub fn differences(adoptions: &[Adoption], list: &Value) -> Vec<String> {
    let all = adoptions
        .iter()
        .filter_map(|adoption| match adoption.find(list) {
            Some(item) => adoption.difference(item),
            None => Some(format!(
                "{}: it is not in the cluster any more",
                adoption.title()
            )),
        });
    all.collect()
}

impl Kind {
    /// What Crossplane may do: one of the sets that it takes (`pkg/reconciler/managed/policies.go`
    /// of github.com/crossplane/crossplane-runtime).
    ///
    /// A server made of what its object says would have neither user_data nor SSH keys nor
    /// the network, join nothing, and yet stand behind the public load balancer by its
    /// labels. It must not be made, so that it is not updated either: what may update and
    /// not make is asked to update what is gone too (crossplane-runtime issue 1129), which
    /// makes it. That one is gone is told by its object, which is not Synced then.
    fn actions(&self, policy: Policy) -> Value {
        match policy {
            Policy::Adopt if self.can_be_made => {
                json!([OBSERVE, "Create", "Update", "LateInitialize"])
            }
            Policy::Adopt | Policy::Observe => json!([OBSERVE]),
        }
    }

    fn api_group(&self) -> String {
        format!("{}.hetzner.m.crossplane.io", self.group)
    }

    fn resource(&self) -> String {
        format!("{}.{}", self.plural, self.api_group())
    }
}

impl Adoption {
    fn title(&self) -> String {
        format!("{} {}", self.kind.kind, self.name)
    }

    fn manifest(&self, policy: Policy) -> Value {
        json!({
            "apiVersion": format!("{}/v1alpha1", self.kind.api_group()),
            "kind": self.kind.kind,
            "metadata": {
                "namespace": NAMESPACE,
                "name": self.name,
                "labels": {SOVEREIGN: self.sovereign},
                "annotations": {EXTERNAL_NAME: self.external_name},
            },
            "spec": {
                "managementPolicies": self.kind.actions(policy),
                "providerConfigRef": {"kind": "ClusterProviderConfig", "name": "default"},
                "forProvider": self.for_provider,
            },
        })
    }

    fn find<'a>(&self, list: &'a Value) -> Option<&'a Value> {
        items(list).iter().find(|item| {
            text(item, "/kind") == self.kind.kind && text(item, "/metadata/name") == self.name
        })
    }

    fn difference(&self, item: &Value) -> Option<String> {
        let told = |what: &str, found: &str, expected: &str| {
            let found = match found {
                "" => "nothing",
                found => found,
            };
            let title = self.title();
            Some(format!("{title}: its {what} is {found} and not {expected}"))
        };
        // It changes where another resource is made in the place of this one.
        let annotation = format!(
            "/metadata/annotations/{}",
            catalyst_yaml::pointer::escape(EXTERNAL_NAME)
        );
        let external_name = text(item, &annotation);
        if external_name != self.external_name {
            return told("external name", external_name, &self.external_name);
        }
        let seen = |field: &str| {
            let value = item.pointer(&format!("/status/atProvider/{field}"));
            value.map(plain).unwrap_or_default()
        };
        if self.kind.has_id && seen("id") != self.external_name {
            return told("id", &seen("id"), &self.external_name);
        }
        self.kind.identity.iter().find_map(|field| {
            let field = camel(field);
            let expected = self.for_provider.get(&field).map(plain)?;
            let found = seen(&field);
            (found != expected)
                .then(|| told(&field, &found, &expected))
                .flatten()
        })
    }
}

/// Whether Crossplane is done with an object of which it may do this.
fn settled(actions: &Value, item: &Value) -> Progress {
    if item.pointer("/spec/managementPolicies") != Some(actions) {
        return Progress::Waiting("it has other management policies yet".to_owned());
    }
    let generation = item.pointer("/metadata/generation").and_then(Value::as_i64);
    let conditions = item
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .map_or(&[] as &[Value], Vec::as_slice);
    for wanted in ["Synced", "Ready"] {
        let Some(condition) = conditions
            .iter()
            .find(|condition| text(condition, "/type") == wanted)
        else {
            return Progress::Waiting(format!("Crossplane has not said whether it is {wanted}"));
        };
        // Told of an earlier policy, it says nothing of this one.
        let observed = condition.get("observedGeneration").and_then(Value::as_i64);
        if observed.is_some() && observed != generation {
            return Progress::Waiting(
                "Crossplane has not looked at it since it was changed".to_owned(),
            );
        }
        if text(condition, "/status") != "True" {
            let (reason, message) = (text(condition, "/reason"), text(condition, "/message"));
            return Progress::Waiting(match message {
                "" => format!("it is not {wanted}: {reason}"),
                message => format!("it is not {wanted}: {reason}: {message}"),
            });
        }
    }
    Progress::Ready
}

fn items(list: &Value) -> &[Value] {
    list.get("items")
        .and_then(Value::as_array)
        .map_or(&[] as &[Value], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A value as text, whatever form of number Kubernetes gave it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}

/// The name of an object, from the resource's address in the module.
fn object_name(address: &str) -> String {
    let words = address
        .strip_prefix("hcloud_")
        .unwrap_or(address)
        .split(|part: char| !part.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// `ip_range` as `ipRange`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        text + &head.into_iter().chain(letters).collect::<String>()
    })
}

/// A value with the names of its blocks as Kubernetes has them, without what says nothing.
fn renamed(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(renamed).collect(),
        Value::Object(block) => {
            let fields = block
                .iter()
                .map(|(name, value)| (camel(name), renamed(value)));
            let said = fields.filter(|(_, value)| !is_nothing(value));
            Value::Object(said.collect())
        }
        other => other.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(block) => block.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: &str, address: &str, id: &str, attributes: Value) -> Made {
        Made {
            address: address.to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            attributes: attributes.as_object().cloned().unwrap(),
        }
    }

    fn state() -> Vec<Made> {
        vec![
            made(
                "hcloud_firewall",
                "hcloud_firewall.nodes",
                "12",
                json!({
                    "id": "12", "name": "omantel-example-nodes", "apply_to": [],
                    "labels": {"openova.io/env_type": "prod"},
                    "rule": [{"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["203.0.113.7/32"],
                        "destination_ips": [], "description": null}],
                }),
            ),
            made(
                "hcloud_server",
                "hcloud_server.worker[0]",
                "7",
                json!({
                    "id": "7", "name": "omantel-example-worker-1", "server_type": "cx43", "image": "debian-13",
                    "location": "fsn1", "firewall_ids": [12], "placement_group_id": 5, "user_data": "canary", "ssh_keys": ["3"],
                }),
            ),
            made(
                "hcloud_load_balancer_service",
                "hcloud_load_balancer_service.public[\"80\"]",
                "9__80",
                json!({"id": "9__80", "load_balancer_id": "9", "protocol": "tcp", "listen_port": 80, "destination_port": 80,
                    "http": [], "health_check": [{"protocol": "tcp", "port": 80, "interval": 15, "http": []}]}),
            ),
            made(
                "random_password",
                "random_password.server_token",
                "none",
                json!({}),
            ),
        ]
    }

    /// The objects as Crossplane leaves them once all is well.
    fn seen(policy: Policy) -> Value {
        let mut list = manifests(&adoptions(&state(), "omantel-example"), policy);
        for item in list["items"].as_array_mut().unwrap() {
            let mut seen = item["spec"]["forProvider"].clone();
            seen["id"] = item["metadata"]["annotations"][EXTERNAL_NAME].clone();
            item["metadata"]["generation"] = json!(2);
            item["status"] = json!({"atProvider": seen, "conditions": [
                {"type": "Synced", "status": "True", "observedGeneration": 2},
                {"type": "Ready", "status": "True"},
            ]});
        }
        list
    }

    #[test]
    fn what_is_hetzners_becomes_an_object_that_first_only_observes() {
        let list = manifests(&adoptions(&state(), "omantel-example"), Policy::Observe);
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(
            items[0],
            json!({
                "apiVersion": "network.hetzner.m.crossplane.io/v1alpha1",
                "kind": "Firewall",
                "metadata": {
                    "namespace": "crossplane-system",
                    "name": "firewall-nodes",
                    "labels": {"openova.io/sovereign": "omantel-example"},
                    "annotations": {"crossplane.io/external-name": "12"},
                },
                "spec": {
                    "managementPolicies": ["Observe"],
                    "providerConfigRef": {"kind": "ClusterProviderConfig", "name": "default"},
                    "forProvider": {
                        "name": "omantel-example-nodes",
                        "labels": {"openova.io/env_type": "prod"},
                        "rule": [{"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": ["203.0.113.7/32"]}],
                    },
                },
            })
        );
        assert_eq!(
            items[1]["spec"]["forProvider"],
            json!({"name": "omantel-example-worker-1", "serverType": "cx43", "image": "debian-13", "location": "fsn1",
                "firewallIds": [12], "placementGroupId": 5})
        );
        assert_eq!(
            items[2]["metadata"]["name"],
            "load-balancer-service-public-80"
        );
        assert_eq!(
            items[2]["spec"]["forProvider"]["healthCheck"],
            json!([{"protocol": "tcp", "port": 80, "interval": 15}])
        );
    }

    #[test]
    fn a_server_is_never_made_anew_and_everything_else_is_kept() {
        let list = manifests(&adoptions(&state(), "omantel-example"), Policy::Adopt);
        let kept = json!(["Observe", "Create", "Update", "LateInitialize"]);
        for item in list["items"].as_array().unwrap() {
            let expected = match item["kind"].as_str() {
                Some("Server") => json!(["Observe"]),
                _ => kept.clone(),
            };
            assert_eq!(item["spec"]["managementPolicies"], expected, "{item:#}");
        }
    }

    #[test]
    fn every_resource_of_the_module_has_a_kind() {
        let module = include_str!("../../../../infra/hetzner/main.tf");
        let types: BTreeSet<&str> = module
            .lines()
            .filter_map(|line| line.strip_prefix("resource \"hcloud_"))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(types.len(), KINDS.len(), "{types:?}");
        for name in types {
            let tofu = format!("hcloud_{name}");
            assert!(KINDS.iter().any(|kind| kind.tofu == tofu), "{tofu}");
        }
    }

    #[test]
    fn crossplane_is_done_when_everything_is_synced_and_ready_under_the_policy() {
        let adoptions = adoptions(&state(), "omantel-example");
        let waits = |list: &Value| {
            progress(&adoptions, Policy::Adopt, list)
                .into_iter()
                .find_map(|(title, progress)| match progress {
                    Progress::Ready => None,
                    Progress::Waiting(why) => Some(format!("{title}: {why}")),
                })
        };
        assert_eq!(waits(&seen(Policy::Adopt)), None);
        let changed = |pointer: &str, value: Value| {
            let mut list = seen(Policy::Adopt);
            *list.pointer_mut(pointer).unwrap() = value;
            waits(&list).unwrap()
        };
        for (said, expected) in [
            (
                waits(&json!({})).unwrap(),
                "Firewall firewall-nodes: it is not in the cluster yet",
            ),
            (
                waits(&seen(Policy::Observe)).unwrap(),
                "other management policies",
            ),
            (
                changed("/items/1/status/conditions", json!([])),
                "Server server-worker-0: Crossplane has not said whether it is Synced",
            ),
            (
                changed("/items/0/metadata/generation", json!(3)),
                "has not looked at it since",
            ),
            (
                changed(
                    "/items/2/status/conditions/1",
                    json!({"type": "Ready", "status": "False", "reason": "Creating"}),
                ),
                "it is not Ready: Creating",
            ),
            (
                changed(
                    "/items/2/status/conditions/0",
                    json!({"type": "Synced", "status": "False", "reason": "ReconcileError", "message": "no"}),
                ),
                "it is not Synced: ReconcileError: no",
            ),
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn what_crossplane_sees_is_held_against_what_was_made() {
        let adoptions = adoptions(&state(), "omantel-example");
        let whole = seen(Policy::Observe);
        assert_eq!(differences(&adoptions, &whole), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/items/0/status/atProvider/id",
                json!("13"),
                "Firewall firewall-nodes: its id is 13 and not 12",
            ),
            (
                "/items/1/status/atProvider/name",
                json!(null),
                "its name is null and not omantel-example-worker-1",
            ),
            (
                "/items/1/metadata/annotations/crossplane.io~1external-name",
                json!("8"),
                "its external name is 8 and not 7",
            ),
            (
                "/items/2/status/atProvider/listenPort",
                json!(81.0),
                "its listenPort is 81 and not 80",
            ),
        ] {
            let mut list = whole.clone();
            *list.pointer_mut(pointer).unwrap() = value;
            let found = differences(&adoptions, &list);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].ends_with(expected), "{found:?}");
        }
        // What is not there proves nothing.
        assert_eq!(differences(&adoptions, &json!({"items": []})).len(), 3);
        let mut list = whole.clone();
        list["items"].as_array_mut().unwrap().remove(1);
        assert_eq!(
            differences(&adoptions, &list),
            ["Server server-worker-0: it is not in the cluster any more"]
        );
        // The form of a number is nothing to it.
        let mut list = whole;
        list["items"][2]["status"]["atProvider"]["listenPort"] = json!(80.0);
        assert_eq!(differences(&adoptions, &list), Vec::<String>::new());
    }

    #[test]
    fn what_is_let_go_of_is_observed_only_and_what_is_gone_is_forgotten() {
        let list = seen(Policy::Adopt);
        let released = released(&list).unwrap();
        for item in released["items"].as_array().unwrap() {
            assert_eq!(item["spec"], json!({"managementPolicies": ["Observe"]}));
            assert_eq!(item["metadata"]["namespace"], NAMESPACE);
        }
        assert_eq!(super::released(&json!({"items": []})), None);

        let mut state = state();
        assert_eq!(forget(&adoptions(&state, "omantel-example"), &list), None);
        state.remove(1);
        assert_eq!(
            forget(&adoptions(&state, "omantel-example"), &list).unwrap(),
            "k3s kubectl -n crossplane-system delete --ignore-not-found --wait=false servers.server.hetzner.m.crossplane.io/server-worker-0"
        );
    }

    #[test]
    fn all_of_a_sovereign_is_asked_for_by_its_types() {
        let types = types(&adoptions(&state()[..2], "omantel-example"));
        assert_eq!(
            get(&types, "omantel-example"),
            "k3s kubectl -n crossplane-system get firewalls.network.hetzner.m.crossplane.io,servers.server.hetzner.m.crossplane.io -l openova.io/sovereign=omantel-example -o json"
        );
    }
}
