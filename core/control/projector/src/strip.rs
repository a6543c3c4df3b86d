//! What of a Kubernetes object may enter the spine. Pure.
//!
//! What must stay true: no value of a Secret or ConfigMap, no environment
//! variable, argument or annotation of a container, and no Helm values pass.
//! Each kind therefore names what it lets through; an unknown kind lets through
//! its metadata.

use serde_json::{Map, Value};

/// The object with what may be known of it, `apiVersion` and `kind` set.
pub fn strip(object: &Value, api_version: &str, kind: &str) -> Value {
    let mut stripped = Map::new();
    stripped.insert("apiVersion".to_owned(), api_version.into());
    stripped.insert("kind".to_owned(), kind.into());
    stripped.insert("metadata".to_owned(), metadata(object.get("metadata")));
    let Some(object) = object.as_object() else {
        return Value::Object(stripped);
    };
    for (field, allowed) in allowed(kind) {
        if let Some(value) = object.get(*field) {
            stripped.insert((*field).to_owned(), pick(value, allowed));
        }
    }
    Value::Object(stripped)
}

/// What of a value passes.
enum Allowed {
    /// All of it.
    Whole,
    /// Some fields of an object, or of each object of a list.
    Fields(&'static [(&'static str, Allowed)]),
}

use Allowed::{Fields, Whole};

const CONDITIONS: (&str, Allowed) = ("conditions", Whole);
const OBSERVED: (&str, Allowed) = ("observedGeneration", Whole);
const REPLICAS: Allowed = Fields(&[
    ("replicas", Whole),
    ("readyReplicas", Whole),
    ("updatedReplicas", Whole),
    ("availableReplicas", Whole),
    ("currentRevision", Whole),
    ("updateRevision", Whole),
    OBSERVED,
    CONDITIONS,
]);
const CONTAINERS: Allowed = Fields(&[("name", Whole), ("image", Whole)]);
const CONTAINER_STATUSES: Allowed = Fields(&[
    ("name", Whole),
    ("image", Whole),
    ("imageID", Whole),
    ("ready", Whole),
    ("restartCount", Whole),
    ("state", Whole),
    ("lastState", Whole),
]);
const FLUX_SPEC: Allowed = Fields(&[
    ("chartRef", Whole),
    ("dependsOn", Whole),
    ("interval", Whole),
    ("path", Whole),
    ("ref", Whole),
    ("releaseName", Whole),
    ("sourceRef", Whole),
    ("suspend", Whole),
    ("targetNamespace", Whole),
    ("url", Whole),
]);
const FLUX_STATUS: Allowed = Fields(&[
    (
        "artifact",
        Fields(&[("revision", Whole), ("digest", Whole)]),
    ),
    (
        "history",
        Fields(&[
            ("chartName", Whole),
            ("chartVersion", Whole),
            ("name", Whole),
            ("status", Whole),
            ("version", Whole),
            ("firstDeployed", Whole),
            ("lastDeployed", Whole),
        ]),
    ),
    ("lastAppliedRevision", Whole),
    ("lastAttemptedRevision", Whole),
    OBSERVED,
    CONDITIONS,
]);

fn allowed(kind: &str) -> &'static [(&'static str, Allowed)] {
    match kind {
        "Application" | "Organization" | "Environment" | "EnvironmentPolicy" | "Blueprint"
        | "BlueprintSource" | "FleetUpgrade" | "Sovereign" => &[("spec", Whole), ("status", Whole)],
        "VCluster" => &[("status", Fields(&[("ready", Whole), CONDITIONS]))],
        "HelmRelease" | "Kustomization" | "OCIRepository" | "GitRepository" => {
            &[("spec", FLUX_SPEC), ("status", FLUX_STATUS)]
        }
        "Deployment" | "StatefulSet" => &[
            ("spec", Fields(&[("replicas", Whole)])),
            ("status", REPLICAS),
        ],
        "Job" => &[
            (
                "spec",
                Fields(&[
                    ("completions", Whole),
                    ("parallelism", Whole),
                    ("suspend", Whole),
                ]),
            ),
            (
                "status",
                Fields(&[
                    ("active", Whole),
                    ("succeeded", Whole),
                    ("failed", Whole),
                    ("startTime", Whole),
                    ("completionTime", Whole),
                    CONDITIONS,
                ]),
            ),
        ],
        "Pod" => &[
            (
                "spec",
                Fields(&[("containers", CONTAINERS), ("initContainers", CONTAINERS)]),
            ),
            (
                "status",
                Fields(&[
                    ("phase", Whole),
                    ("reason", Whole),
                    ("message", Whole),
                    ("startTime", Whole),
                    CONDITIONS,
                    ("containerStatuses", CONTAINER_STATUSES),
                    ("initContainerStatuses", CONTAINER_STATUSES),
                ]),
            ),
        ],
        "Service" => &[("spec", Fields(&[("type", Whole), ("ports", Whole)]))],
        "PersistentVolumeClaim" => &[
            (
                "spec",
                Fields(&[
                    ("accessModes", Whole),
                    ("resources", Whole),
                    ("storageClassName", Whole),
                ]),
            ),
            (
                "status",
                Fields(&[("phase", Whole), ("capacity", Whole), CONDITIONS]),
            ),
        ],
        "HTTPRoute" => &[
            (
                "spec",
                Fields(&[("hostnames", Whole), ("parentRefs", Whole)]),
            ),
            ("status", Whole),
        ],
        "ExternalSecret" => &[
            ("spec", Fields(&[("target", Fields(&[("name", Whole)]))])),
            ("status", Fields(&[("refreshTime", Whole), CONDITIONS])),
        ],
        "Event" => &[
            ("involvedObject", Whole),
            ("type", Whole),
            ("reason", Whole),
            ("message", Whole),
            ("count", Whole),
            ("firstTimestamp", Whole),
            ("lastTimestamp", Whole),
        ],
        _ => &[],
    }
}

fn pick(value: &Value, allowed: &Allowed) -> Value {
    match (allowed, value) {
        (Whole, value) => value.clone(),
        (Fields(_), Value::Array(items)) => {
            Value::Array(items.iter().map(|item| pick(item, allowed)).collect())
        }
        (Fields(fields), Value::Object(object)) => {
            let picked = fields.iter().filter_map(|(name, inner)| {
                object
                    .get(*name)
                    .map(|value| ((*name).to_owned(), pick(value, inner)))
            });
            Value::Object(picked.collect())
        }
        (Fields(_), _) => Value::Null,
    }
}

const METADATA: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
];

fn metadata(metadata: Option<&Value>) -> Value {
    let metadata = metadata.and_then(Value::as_object);
    let picked = METADATA.iter().filter_map(|name| {
        let value = metadata?.get(*name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(picked.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_secret_passes() {
        let secret = "s3cr3t-value";
        let container = json!({
            "name": "web", "image": "nginx@sha256:1", "args": [secret], "command": [secret],
            "env": [{"name": "PASSWORD", "value": secret}],
        });
        let metadata = json!({
            "name": "x", "namespace": "blog", "uid": "u", "resourceVersion": "1",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": secret},
            "managedFields": [{"manager": secret}],
        });
        let bodies = json!({
            "data": {"password": secret}, "stringData": {"password": secret}, "binaryData": {"a": secret},
            "spec": {
                "containers": [container], "initContainers": [container],
                "template": {"spec": {"containers": [container]}, "metadata": {"annotations": {"a": secret}}},
                "values": {"password": secret}, "valuesFrom": [secret], "postBuild": {"substitute": {"a": secret}},
                "data": [{"secretKey": secret}], "kubeConfig": secret, "decryption": secret,
                "verify": secret, "volumes": [secret], "replicas": 1,
                "target": {"name": "t", "template": {"data": {"a": secret}}},
                "rules": [{"filters": [secret]}],
            },
        });
        for kind in [
            "Secret",
            "ConfigMap",
            "Pod",
            "Deployment",
            "StatefulSet",
            "Job",
            "HelmRelease",
            "Kustomization",
            "OCIRepository",
            "GitRepository",
            "ExternalSecret",
            "HTTPRoute",
            "Service",
            "PersistentVolumeClaim",
            "Event",
            "VCluster",
            "Unknown",
        ] {
            let mut object = bodies.clone();
            object["metadata"] = metadata.clone();
            let stripped = strip(&object, "v1", kind);
            assert!(!stripped.to_string().contains(secret), "{kind}: {stripped}");
            assert_eq!(stripped["metadata"]["uid"], "u");
            assert_eq!(stripped["kind"], kind);
        }
    }

    #[test]
    fn what_status_is_computed_from_passes() {
        let pod = json!({
            "metadata": {"name": "web-0"},
            "spec": {"containers": [{"name": "web", "image": "nginx", "env": []}], "nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": [{
                "name": "web", "ready": false, "restartCount": 3, "containerID": "x",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }]},
        });
        assert_eq!(
            strip(&pod, "v1", "Pod"),
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0"},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
                "status": {"phase": "Running", "containerStatuses": [{
                    "name": "web", "ready": false, "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                }]},
            })
        );
    }
}
