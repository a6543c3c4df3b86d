//! NetworkPolicies (networking.k8s.io/v1) as a yes or no for the node's proxy.
//!
//! What they leave open within a logical cluster is open; between logical
//! clusters everything is closed, whatever they say. The proxy carries TCP, so
//! rules for other protocols allow nothing here.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use catalyst_node::network::{PodRef, Policy};
use serde_json::Value;

use super::reflector::Key;

type Labels = BTreeMap<String, String>;

/// The policies of every logical cluster.
pub struct Policies {
    /// Policy objects by qualified namespace.
    by_namespace: HashMap<String, Vec<Arc<Value>>>,
    /// Labels of namespaces by qualified name.
    namespaces: HashMap<String, Labels>,
    /// Named TCP ports of pods, by uid.
    named_ports: HashMap<String, HashMap<String, u16>>,
}

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const fn rules(self) -> &'static str {
        match self {
            Self::Ingress => "/spec/ingress",
            Self::Egress => "/spec/egress",
        }
    }

    const fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// Whether a policy restricts this direction: as its `policyTypes` say, and
    /// without them always inwards, and outwards if it has such rules.
    fn is_restricted_by(self, policy: &Value) -> bool {
        let name = match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        };
        match policy
            .pointer("/spec/policyTypes")
            .and_then(Value::as_array)
        {
            Some(types) if !types.is_empty() => types.iter().any(|one| one == name),
            _ => matches!(self, Self::Ingress) || policy.pointer(self.rules()).is_some(),
        }
    }
}

/// The other end of a connection.
enum Peer<'a> {
    Pod(&'a PodRef),
    Address(IpAddr),
}

impl Policies {
    /// Reads what the API holds.
    pub fn new(
        policies: &[(Key, Arc<Value>)],
        namespaces: &[(Key, Arc<Value>)],
        pods: &[(Key, Arc<Value>)],
    ) -> Self {
        let mut by_namespace: HashMap<String, Vec<Arc<Value>>> = HashMap::new();
        for ((cluster, namespace, _), policy) in policies {
            by_namespace
                .entry(format!("{cluster}/{namespace}"))
                .or_default()
                .push(Arc::clone(policy));
        }
        let namespaces = namespaces
            .iter()
            .map(|((cluster, _, name), object)| (format!("{cluster}/{name}"), labels(object)))
            .collect();
        let named_ports = pods
            .iter()
            .filter_map(|(_, pod)| {
                let uid = pod.pointer("/metadata/uid")?.as_str()?.to_owned();
                Some((uid, named_ports(pod)))
            })
            .collect();
        Self {
            by_namespace,
            namespaces,
            named_ports,
        }
    }

    fn allows(
        &self,
        direction: Direction,
        pod: &PodRef,
        peer: &Peer<'_>,
        port: u16,
        target: Option<&PodRef>,
    ) -> bool {
        let policies = self
            .by_namespace
            .get(&pod.namespace)
            .map_or(&[][..], Vec::as_slice);
        let mut restricting = policies
            .iter()
            .filter(|policy| direction.is_restricted_by(policy))
            .filter(|policy| selects(policy.pointer("/spec/podSelector"), &pod.labels))
            .peekable();
        if restricting.peek().is_none() {
            return true;
        }
        restricting.any(|policy| {
            let rules = policy.pointer(direction.rules()).and_then(Value::as_array);
            rules.into_iter().flatten().any(|rule| {
                self.matches_peer(rule.get(direction.peers()), pod, peer)
                    && self.matches_port(rule.get("ports"), port, target)
            })
        })
    }

    fn matches_peer(&self, peers: Option<&Value>, pod: &PodRef, peer: &Peer<'_>) -> bool {
        let Some(peers) = peers
            .and_then(Value::as_array)
            .filter(|peers| !peers.is_empty())
        else {
            return true;
        };
        peers.iter().any(|one| {
            if let Some(block) = one.get("ipBlock") {
                let address = match peer {
                    Peer::Pod(other) => IpAddr::V4(other.address),
                    Peer::Address(address) => *address,
                };
                return in_block(block, address);
            }
            let Peer::Pod(other) = peer else { return false };
            let in_namespace = match one.get("namespaceSelector") {
                None => other.namespace == pod.namespace,
                Some(selector) => self
                    .namespaces
                    .get(&other.namespace)
                    .is_some_and(|labels| selects(Some(selector), labels)),
            };
            in_namespace
                && one
                    .get("podSelector")
                    .is_none_or(|selector| selects(Some(selector), &other.labels))
        })
    }

    fn matches_port(&self, ports: Option<&Value>, port: u16, target: Option<&PodRef>) -> bool {
        let Some(ports) = ports
            .and_then(Value::as_array)
            .filter(|ports| !ports.is_empty())
        else {
            return true;
        };
        ports.iter().any(|one| {
            if one.get("protocol").and_then(Value::as_str).unwrap_or("TCP") != "TCP" {
                return false;
            }
            match one.get("port") {
                None => true,
                Some(Value::String(name)) => {
                    target.and_then(|target| self.named_ports.get(&target.uid)?.get(name))
                        == Some(&port)
                }
                Some(first) => {
                    let first = first.as_u64().unwrap_or(u64::MAX);
                    let last = one.get("endPort").and_then(Value::as_u64).unwrap_or(first);
                    (first..=last).contains(&u64::from(port))
                }
            }
        })
    }
}

impl Policy for Policies {
    fn is_allowed(&self, from: &PodRef, to: &PodRef, port: u16) -> bool {
        cluster(&from.namespace) == cluster(&to.namespace)
            && self.allows(Direction::Egress, from, &Peer::Pod(to), port, Some(to))
            && self.allows(Direction::Ingress, to, &Peer::Pod(from), port, Some(to))
    }

    fn is_external_allowed(
        &self,
        from: &PodRef,
        _host: Option<&str>,
        address: IpAddr,
        port: u16,
    ) -> bool {
        !is_the_machine(address)
            && self.allows(Direction::Egress, from, &Peer::Address(address), port, None)
    }

    fn is_visible(&self, from: &PodRef, namespace: &str) -> bool {
        cluster(&from.namespace) == cluster(namespace)
    }
}

/// Whether an address means the machine that connects, or its own link, where clouds
/// tell machines their secrets. The node connects for pods, so a name that somebody
/// lets resolve to one of these would lead past the pod, to whatever trusts programs
/// on this machine; no policy opens that.
fn is_the_machine(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_link_local() || address.octets().first() == Some(&0)
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local()
        }
    }
}

fn cluster(namespace: &str) -> &str {
    namespace
        .split_once('/')
        .map_or(namespace, |(cluster, _)| cluster)
}

fn labels(object: &Value) -> Labels {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn named_ports(pod: &Value) -> HashMap<String, u16> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten()
        .filter_map(|port| {
            let number = u16::try_from(port.get("containerPort")?.as_u64()?).ok()?;
            Some((port.get("name")?.as_str()?.to_owned(), number))
        })
        .collect()
}

/// A label selector; an empty one selects everything, one with an operator
/// that is not known selects nothing.
fn selects(selector: Option<&Value>, labels: &Labels) -> bool {
    let Some(selector) = selector else {
        return true;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let equal = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal
        && expressions.into_iter().flatten().all(|expression| {
            let found = expression
                .get("key")
                .and_then(Value::as_str)
                .and_then(|key| labels.get(key));
            let values = expression.get("values").and_then(Value::as_array);
            let listed = |found: &String| {
                values.is_some_and(|values| values.iter().any(|value| value == found))
            };
            match expression.get("operator").and_then(Value::as_str) {
                Some("In") => found.is_some_and(listed),
                Some("NotIn") => !found.is_some_and(listed),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

fn in_block(block: &Value, address: IpAddr) -> bool {
    let inside = |cidr: &Value| cidr.as_str().is_some_and(|cidr| in_cidr(cidr, address));
    let except = block.get("except").and_then(Value::as_array);
    block.get("cidr").is_some_and(inside) && !except.into_iter().flatten().any(inside)
}

fn in_cidr(cidr: &str, address: IpAddr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else {
        return false;
    };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (
            u128::from(u32::from(network)),
            u128::from(u32::from(address)),
            32,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (u128::from(network), u128::from(address), 128)
        }
        _ => return false,
    };
    match length {
        0 => true,
        length if length > width => false,
        length => (network ^ address) >> (width - length) == 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, app: &str, last: u8) -> PodRef {
        PodRef {
            uid: format!("{namespace}-{app}"),
            namespace: namespace.to_owned(),
            name: app.to_owned(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            address: [10, 244, 0, last].into(),
        }
    }

    fn policies(specs: &[(&str, Value)]) -> Policies {
        let split = |namespace: &str| {
            let (cluster, name) = namespace.split_once('/').unwrap();
            (cluster.to_owned(), name.to_owned())
        };
        let objects: Vec<_> = specs
            .iter()
            .map(|(namespace, spec)| {
                let (cluster, namespace) = split(namespace);
                (
                    (cluster, namespace, "p".to_owned()),
                    Arc::new(json!({"spec": spec})),
                )
            })
            .collect();
        let namespaces: Vec<_> = ["dev/blog", "dev/db", "prod/db"]
            .iter()
            .map(|namespace| {
                let (cluster, name) = split(namespace);
                let object = json!({"metadata": {"name": name, "labels": {"team": name}}});
                ((cluster, String::new(), name), Arc::new(object))
            })
            .collect();
        let database = json!({"metadata": {"uid": "dev/db-postgres"}, "spec": {"containers": [
            {"ports": [{"name": "sql", "containerPort": 5432}]},
        ]}});
        let pods = [(
            ("dev".to_owned(), "db".to_owned(), "postgres".to_owned()),
            Arc::new(database),
        )];
        Policies::new(&objects, &namespaces, &pods)
    }

    #[test]
    fn without_policies_a_cluster_is_open_and_closed_to_others() {
        let policies = policies(&[]);
        let (web, db, other) = (
            pod("dev/blog", "web", 2),
            pod("dev/db", "postgres", 3),
            pod("prod/db", "postgres", 4),
        );
        assert!(policies.is_allowed(&web, &db, 5432));
        assert!(!policies.is_allowed(&web, &other, 5432));
        assert!(policies.is_visible(&web, "dev/db") && !policies.is_visible(&web, "prod/db"));
    }

    #[test]
    fn a_default_deny_closes_and_a_rule_opens_one_edge() {
        let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
        let open = json!({
            "podSelector": {"matchLabels": {"app": "postgres"}},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{
                    "namespaceSelector": {"matchLabels": {"team": "blog"}},
                    "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
                }],
                "ports": [{"port": "sql"}],
            }],
        });
        let policies = policies(&[("dev/db", deny), ("dev/db", open)]);
        let (web, job, db) = (
            pod("dev/blog", "web", 2),
            pod("dev/blog", "job", 5),
            pod("dev/db", "postgres", 3),
        );
        assert!(policies.is_allowed(&web, &db, 5432));
        assert!(!policies.is_allowed(&web, &db, 5433), "another port");
        assert!(!policies.is_allowed(&job, &db, 5432), "another pod");
        assert!(!policies.is_allowed(&db, &web, 80), "no way out");
        assert!(!policies.is_external_allowed(&db, None, [1, 1, 1, 1].into(), 443));
    }

    #[test]
    fn address_blocks_have_exceptions_and_ports_have_ranges() {
        let spec = json!({
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{
                "to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}],
                "ports": [{"port": 8000, "endPort": 8010}, {"protocol": "UDP", "port": 53}],
            }],
        });
        let policies = policies(&[("dev/blog", spec)]);
        let web = pod("dev/blog", "web", 2);
        let ask = |last: u8, port| {
            policies.is_external_allowed(&web, None, [192, 0, 2, last].into(), port)
        };
        assert!(ask(1, 8005));
        assert!(!ask(200, 8005) && !ask(1, 8011) && !ask(1, 53));
        assert!(!policies.is_external_allowed(&web, None, "2001:db8::1".parse().unwrap(), 8000));
    }

    #[test]
    fn no_policy_lets_a_pod_reach_the_machine_itself() {
        let open = json!({
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]}, {}],
        });
        for policies in [policies(&[("dev/blog", open)]), policies(&[])] {
            let web = pod("dev/blog", "web", 2);
            let reaches = |address: &str| {
                let address = address.parse().unwrap();
                policies.is_external_allowed(&web, Some("name.example"), address, 80)
            };
            for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1"] {
                assert!(reaches(address), "{address}");
            }
            for address in [
                "127.0.0.1",
                "127.8.0.1",
                "0.0.0.0",
                "169.254.169.254",
                "::1",
                "::",
                "::ffff:127.0.0.1",
                "fe80::1",
            ] {
                assert!(!reaches(address), "{address}");
            }
        }
    }
}
