//! EndpointSlices: the addresses of the pods that a Service selects.

use super::*;
use crate::object::integer;

pub(super) async fn reconcile(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    service: &Value,
) -> Result<(), ApiError> {
    let Some(selector) = service
        .pointer("/spec/selector")
        .filter(|one| one.as_object().is_some_and(|map| !map.is_empty()))
    else {
        return Ok(());
    };
    let labels = LabelSelector::from_labels(selector);
    let range = range_prefix("pods", &key.cluster, Some(&key.namespace));
    let pods: Vec<Value> = inner
        .config
        .store
        .range(range, None, 0)
        .entries
        .iter()
        .map(decode_entry)
        .filter(|pod| {
            labels.matches(pod) && !is_finished(pod) && !text(pod, "/status/podIP").is_empty()
        })
        .collect();
    let publish = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let (serving, ending) = (has_condition(pod, "Ready"), is_deleting(pod));
            let mut endpoint = json!({
                "addresses": [text(pod, "/status/podIP")],
                "conditions": {"ready": publish || (serving && !ending), "serving": serving, "terminating": ending},
                "targetRef": {"kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)},
            });
            if !text(pod, "/spec/nodeName").is_empty() {
                crate::object::set(&mut endpoint, &["nodeName"], json!(text(pod, "/spec/nodeName")));
            }
            if !text(pod, "/spec/hostname").is_empty() && text(pod, "/spec/subdomain") == key.name {
                crate::object::set(&mut endpoint, &["hostname"], json!(text(pod, "/spec/hostname")));
            }
            endpoint
        })
        .collect();
    let ports: Vec<Value> = array(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let number = match port.get("targetPort") {
                Some(Value::String(named)) => pods.iter().find_map(|pod| named_port(pod, named))?,
                Some(Value::Number(number)) => number.as_i64()?,
                _ => integer(port, "/port")?,
            };
            Some(json!({"name": text(port, "/name"), "port": number, "protocol": text(port, "/protocol")}))
        })
        .collect();
    let own = format!("{}-slice", key.name);
    let place = ObjectKey::new(
        "endpointslices.discovery.k8s.io",
        &key.cluster,
        &key.namespace,
        &own,
    );
    if inner.read_key(&place).is_none() {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": own, "namespace": key.namespace, "ownerReferences": owner_reference(service),
                "labels": {
                    "kubernetes.io/service-name": key.name,
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
            },
            "endpoints": endpoints, "ports": ports,
        });
        return ensure(inner, key, slice).await;
    }
    change(inner, &place, "", |slice| {
        crate::object::set(slice, &["endpoints"], json!(endpoints));
        crate::object::set(slice, &["ports"], json!(ports));
    })
    .await
}

fn named_port(pod: &Value, named: &str) -> Option<i64> {
    array(pod, "/spec/containers")
        .iter()
        .flat_map(|container| array(container, "/ports"))
        .find(|port| text(port, "/name") == named)
        .and_then(|port| integer(port, "/containerPort"))
}
