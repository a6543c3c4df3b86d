//! Services and the pods behind them, read from local copies: for the node's
//! proxy, which serves Services by name, and for the gateway, which serves
//! Applications by host name.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use catalyst_node::network::{Service, ServicePort};
use serde_json::{Map, Value};

use super::reflector::{Key, Reflector};

/// Pods and Services of all clusters; clones share them.
#[derive(Clone)]
pub struct Workloads {
    /// Pods.
    pub pods: Reflector,
    /// Services.
    pub services: Reflector,
}

/// A pod that may be connected to, and on which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod.
    pub uid: String,
    /// The port it listens on.
    pub port: u16,
}

impl Workloads {
    /// Ready pods behind a Service's port; `None` when the Service or its port
    /// does not exist.
    pub fn endpoints(
        &self,
        cluster: &str,
        namespace: &str,
        service: &str,
        port: u16,
    ) -> Option<Vec<Endpoint>> {
        let key = (cluster.to_owned(), namespace.to_owned(), service.to_owned());
        let service = self.services.get(&key)?;
        let ports = service.pointer("/spec/ports").and_then(Value::as_array)?;
        let wanted = ports
            .iter()
            .find(|one| one.get("port").and_then(Value::as_u64) == Some(u64::from(port)))?;
        let pods = self.pods.snapshot();
        let behind = pods_behind(&service, cluster, namespace, &pods);
        Some(
            behind
                .into_iter()
                .filter_map(|pod| {
                    Some(Endpoint {
                        uid: pod.pointer("/metadata/uid")?.as_str()?.to_owned(),
                        port: target_port(wanted, port, pod)?,
                    })
                })
                .collect(),
        )
    }

    /// Every Service as the node's proxy wants it.
    pub fn services(&self) -> Vec<Service> {
        let pods = self.pods.snapshot();
        self.services
            .snapshot()
            .iter()
            .map(|(key, service)| node_service(key, service, &pods))
            .collect()
    }
}

fn node_service(
    (cluster, namespace, name): &Key,
    service: &Value,
    pods: &[(Key, Arc<Value>)],
) -> Service {
    let behind = pods_behind(service, cluster, namespace, pods);
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    Service {
        namespace: format!("{cluster}/{namespace}"),
        dns_namespace: namespace.clone(),
        scope: cluster.clone(),
        name: name.clone(),
        cluster_ip: address(service.pointer("/spec/clusterIP")),
        ports: ports
            .into_iter()
            .flatten()
            .filter_map(|port| service_port(port, &behind))
            .collect(),
        hostnames: hostnames(&behind),
    }
}

fn pods_behind<'a>(
    service: &Value,
    cluster: &str,
    namespace: &str,
    pods: &'a [(Key, Arc<Value>)],
) -> Vec<&'a Value> {
    let Some(selector) = service
        .pointer("/spec/selector")
        .and_then(Value::as_object)
        .filter(|selector| !selector.is_empty())
    else {
        return Vec::new();
    };
    // Keys are ordered, so a namespace's pods lie together.
    let first =
        pods.partition_point(|((c, n, _), _)| (c.as_str(), n.as_str()) < (cluster, namespace));
    pods.iter()
        .skip(first)
        .take_while(|((c, n, _), _)| c == cluster && n == namespace)
        .map(|(_, pod)| pod.as_ref())
        .filter(|pod| has_labels(pod, selector) && is_ready(pod))
        .collect()
}

fn service_port(port: &Value, pods: &[&Value]) -> Option<ServicePort> {
    let own = number(port.get("port")?)?;
    let targets = pods
        .iter()
        .filter_map(|pod| {
            Some(SocketAddrV4::new(
                address(pod.pointer("/status/podIP"))?,
                target_port(port, own, pod)?,
            ))
        })
        .collect();
    Some(ServicePort { port: own, targets })
}

fn target_port(port: &Value, own: u16, pod: &Value) -> Option<u16> {
    match port.get("targetPort").filter(|target| !target.is_null()) {
        None => Some(own),
        Some(Value::String(name)) => named_port(pod, name),
        Some(target) => number(target),
    }
}

fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok()
}

fn named_port(pod: &Value, name: &str) -> Option<u16> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let mut ports = containers
        .iter()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    let port = ports.find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
    number(port.get("containerPort")?)
}

fn hostnames(pods: &[&Value]) -> BTreeMap<String, Ipv4Addr> {
    pods.iter()
        .filter_map(|pod| {
            let name = pod
                .pointer("/spec/hostname")
                .or_else(|| pod.pointer("/metadata/name"))?
                .as_str()?;
            Some((name.to_owned(), address(pod.pointer("/status/podIP"))?))
        })
        .collect()
}

fn address(value: Option<&Value>) -> Option<Ipv4Addr> {
    value?.as_str()?.parse().ok()
}

fn has_labels(object: &Value, wanted: &Map<String, Value>) -> bool {
    let labels = object.pointer("/metadata/labels");
    wanted
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn is_ready(pod: &Value) -> bool {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return false;
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Ready") && text("status") == Some("True")
    })
}
