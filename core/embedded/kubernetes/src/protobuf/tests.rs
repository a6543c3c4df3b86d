//! Both directions agree, and no bytes do harm.

use super::*;

fn round(object: Value) {
    let bytes = encode(&object).unwrap();
    assert_eq!(decode(&bytes).unwrap(), object);
}

#[test]
fn objects_come_back_as_they_were() {
    round(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "a", "labels": {"x": "", "y": "z"}, "creationTimestamp": "2026-11-23T10:00:00Z",
            "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}, "time": "2026-11-23T10:00:00Z"}],
        },
        "spec": {
            "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
            "containers": [{
                "name": "c", "image": "i", "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}}],
                "resources": {"limits": {"cpu": "100m"}, "requests": {"memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 3},
                "readinessProbe": {"tcpSocket": {"port": 80}},
                "securityContext": {},
            }],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "p", "projected": {"sources": [{"configMap": {"name": "c"}}]}}],
        },
    }));
    round(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 0, "selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {"spec": {"containers": [{"name": "c"}]}},
        },
    }));
    round(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "data": {"a": "AP8=", "b": ""}, "type": "Opaque", "immutable": false,
    }));
    round(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "h", "renewTime": "2026-11-23T10:00:00.123456Z", "leaseDurationSeconds": 15},
    }));
    round(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "n"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}, {}]},
    }));
    round(json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "u", "extra": {"k": ["a", "b"]}},
        "status": {"allowed": false},
    }));
}

/// Go writes every field of a struct, empty or not.
#[test]
fn what_go_writes_is_read_without_its_zeroes() {
    let mut metadata = Vec::new();
    for (number, text) in [(1, "a"), (2, ""), (3, ""), (4, ""), (5, ""), (6, "")] {
        put_bytes(&mut metadata, number, text.as_bytes());
    }
    put_integer(&mut metadata, 7, 0);
    put_bytes(&mut metadata, 8, b"");
    let mut raw = Vec::new();
    put_bytes(&mut raw, 1, &metadata);
    let mut entry = Vec::new();
    put_bytes(&mut entry, 1, b"key");
    put_bytes(&mut entry, 2, b"");
    put_bytes(&mut raw, 2, &entry);
    let mut type_meta = Vec::new();
    put_bytes(&mut type_meta, 1, b"v1");
    put_bytes(&mut type_meta, 2, b"ConfigMap");
    let mut body = MAGIC.to_vec();
    put_bytes(&mut body, 1, &type_meta);
    put_bytes(&mut body, 2, &raw);
    assert_eq!(
        decode(&body).unwrap(),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": ""}})
    );
}

#[test]
fn bad_bytes_are_refused_and_never_panic() {
    assert_eq!(decode(b"{}"), Err(ReadError::NoPrefix));
    assert_eq!(decode(b"k8s\0\xff"), Err(ReadError::Malformed));
    assert!(matches!(
        decode(b"k8s\0"),
        Err(ReadError::UnknownKind { .. })
    ));
    let whole = encode(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80, "targetPort": "web"}]},
    }))
    .unwrap();
    for end in 0..whole.len() {
        let _ = decode(&whole[..end]);
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            let _ = decode(&bent);
        }
    }
}
