//! Which lists of Kubernetes' own kinds are merged item by item, and by which
//! keys; every other list is replaced whole.
//!
//! The facts are those of the OpenAPI document kustomize 5.5 carries
//! (Kubernetes 1.21); `openapi.path` in a kustomization puts a document of the
//! user's in its place.

use serde_json::Value;

/// Apart from those in [`rooted`], these kinds have merge lists in their
/// metadata only. Kinds that are missing here are custom resources to a merge.
const BUILT_IN: &str = "\
v1 Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume \
PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
apps/v1 ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet
batch/v1 CronJob Job
batch/v1beta1 CronJob
autoscaling/v1 HorizontalPodAutoscaler Scale
autoscaling/v2beta1 HorizontalPodAutoscaler
autoscaling/v2beta2 HorizontalPodAutoscaler
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration ValidatingWebhookConfiguration
admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration ValidatingWebhookConfiguration
apiextensions.k8s.io/v1 CustomResourceDefinition
apiextensions.k8s.io/v1beta1 CustomResourceDefinition
apiregistration.k8s.io/v1 APIService
apiregistration.k8s.io/v1beta1 APIService
certificates.k8s.io/v1 CertificateSigningRequest
certificates.k8s.io/v1beta1 CertificateSigningRequest
coordination.k8s.io/v1 Lease
coordination.k8s.io/v1beta1 Lease
discovery.k8s.io/v1 EndpointSlice
discovery.k8s.io/v1beta1 EndpointSlice
events.k8s.io/v1 Event
events.k8s.io/v1beta1 Event
extensions/v1beta1 Ingress
flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema PriorityLevelConfiguration
networking.k8s.io/v1 Ingress IngressClass NetworkPolicy
networking.k8s.io/v1beta1 Ingress IngressClass
node.k8s.io/v1 RuntimeClass
node.k8s.io/v1beta1 RuntimeClass
policy/v1 PodDisruptionBudget
policy/v1beta1 Eviction PodDisruptionBudget PodSecurityPolicy
rbac.authorization.k8s.io/v1 ClusterRole ClusterRoleBinding Role RoleBinding
rbac.authorization.k8s.io/v1beta1 ClusterRole ClusterRoleBinding Role RoleBinding
scheduling.k8s.io/v1 PriorityClass
scheduling.k8s.io/v1beta1 PriorityClass
storage.k8s.io/v1 CSIDriver CSINode StorageClass VolumeAttachment
storage.k8s.io/v1beta1 CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment
";

/// The place of a value in a kind, as far as merging needs to know it.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Nothing is known: lists are replaced.
    Unknown,
    /// Within a built-in kind: the type's name below.
    Type(&'static str),
    /// A list that is merged by keys; items without a type of their own have
    /// [`Place::Unknown`].
    BuiltInList {
        keys: &'static [&'static str],
        items: &'static str,
    },
    /// Within the user's OpenAPI document: the document and a schema in it.
    Document(&'a Value, &'a Value),
}

type Field = (&'static str, &'static [&'static str], &'static str);

/// Field, merge keys where it is a merged list, type of the value or item.
/// `NOT_A_LIST` marks plain fields.
const NOT_A_LIST: &[&str] = &["\0"];

fn fields(of: &str) -> &'static [Field] {
    match of {
        "ObjectMeta" => &[("finalizers", &[""], ""), ("ownerReferences", &["uid"], "")],
        "Workload" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "WorkloadSpec"),
        ],
        "WorkloadSpec" => &[("template", NOT_A_LIST, "Pod")],
        "CronJob" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "CronJobSpec"),
        ],
        "CronJobSpec" => &[("jobTemplate", NOT_A_LIST, "Workload")],
        "PodTemplate" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("template", NOT_A_LIST, "Pod"),
        ],
        "Pod" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "PodSpec"),
        ],
        "PodSpec" => &[
            ("containers", &["name"], "Container"),
            ("ephemeralContainers", &["name"], "EphemeralContainer"),
            ("hostAliases", &["ip"], ""),
            ("imagePullSecrets", &["name"], ""),
            ("initContainers", &["name"], "Container"),
            (
                "topologySpreadConstraints",
                &["topologyKey", "whenUnsatisfiable"],
                "",
            ),
            ("volumes", &["name"], "Volume"),
        ],
        "Container" => &[
            ("env", &["name"], ""),
            ("ports", &["containerPort", "protocol"], ""),
            ("volumeDevices", &["devicePath"], ""),
            ("volumeMounts", &["mountPath"], ""),
        ],
        "EphemeralContainer" => &[
            ("env", &["name"], ""),
            ("volumeDevices", &["devicePath"], ""),
            ("volumeMounts", &["mountPath"], ""),
        ],
        "Volume" => &[("ephemeral", NOT_A_LIST, "EphemeralVolume")],
        "EphemeralVolume" => &[("volumeClaimTemplate", NOT_A_LIST, "Plain")],
        "Service" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "ServiceSpec"),
        ],
        "ServiceSpec" => &[("ports", &["port", "protocol"], "")],
        "ServiceAccount" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("secrets", &["name"], ""),
        ],
        "Webhooks" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("webhooks", &["name"], ""),
        ],
        "Node" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "NodeSpec"),
        ],
        "NodeSpec" => &[("podCIDRs", &[""], "")],
        "CSINode" => &[
            ("metadata", NOT_A_LIST, "ObjectMeta"),
            ("spec", NOT_A_LIST, "CSINodeSpec"),
        ],
        "CSINodeSpec" => &[("drivers", &["name"], "")],
        "Plain" => &[("metadata", NOT_A_LIST, "ObjectMeta")],
        _ => &[],
    }
}

fn rooted(kind: &str) -> &'static str {
    match kind {
        "Deployment"
        | "ReplicaSet"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "ReplicationController" => "Workload",
        "CronJob" => "CronJob",
        "Pod" => "Pod",
        "PodTemplate" => "PodTemplate",
        "Service" => "Service",
        "ServiceAccount" => "ServiceAccount",
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => "Webhooks",
        "Node" => "Node",
        "CSINode" => "CSINode",
        _ => "Plain",
    }
}

/// The place of a whole object. With a document of the user's, only that one
/// counts.
pub fn root<'a>(api_version: &str, kind: &str, document: Option<&'a Value>) -> Place<'a> {
    let Some(document) = document else {
        let known = BUILT_IN.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(api_version) && words.any(|word| word == kind)
        });
        return if known {
            Place::Type(rooted(kind))
        } else {
            Place::Unknown
        };
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is = |entry: &Value, field: &str, wanted: &str| {
        entry.get(field).and_then(Value::as_str).unwrap_or("") == wanted
    };
    document
        .get("definitions")
        .and_then(Value::as_object)
        .and_then(|definitions| {
            definitions.values().find(|schema| {
                schema
                    .get("x-kubernetes-group-version-kind")
                    .and_then(Value::as_array)
                    .is_some_and(|entries| {
                        entries.iter().any(|entry| {
                            is(entry, "group", group)
                                && is(entry, "version", version)
                                && is(entry, "kind", kind)
                        })
                    })
            })
        })
        .map_or(Place::Unknown, |schema| Place::Document(document, schema))
}

impl<'a> Place<'a> {
    /// The place of a field.
    pub fn field(self, name: &str) -> Place<'a> {
        match self {
            Place::Type(of) => match fields(of).iter().find(|(field, ..)| *field == name) {
                Some((_, keys, of)) if *keys == NOT_A_LIST => Place::Type(of),
                Some((_, keys, items)) => Place::BuiltInList { keys, items },
                None => Place::Unknown,
            },
            Place::Document(document, schema) => {
                let schema = resolve(document, schema);
                match schema
                    .get("properties")
                    .and_then(|properties| properties.get(name))
                    .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
                {
                    Some(field) => Place::Document(document, field),
                    None => Place::Unknown,
                }
            }
            Place::Unknown | Place::BuiltInList { .. } => Place::Unknown,
        }
    }

    /// The keys items are told apart by, where the list is merged; one empty
    /// key for a list of scalars.
    pub fn merge_keys(self) -> Option<Vec<String>> {
        match self {
            Place::BuiltInList { keys, .. } => {
                Some(keys.iter().map(|key| (*key).to_owned()).collect())
            }
            Place::Document(_, schema) => {
                let strategy = schema.get("x-kubernetes-patch-strategy")?.as_str()?;
                if !strategy.split(',').any(|word| word == "merge") {
                    return None;
                }
                let keys: Vec<String> = match schema.get("x-kubernetes-list-map-keys") {
                    Some(Value::Array(keys)) => keys
                        .iter()
                        .filter_map(|key| key.as_str().map(str::to_owned))
                        .collect(),
                    _ => schema
                        .get("x-kubernetes-patch-merge-key")
                        .and_then(Value::as_str)
                        .map(str::to_owned)
                        .into_iter()
                        .collect(),
                };
                Some(if keys.is_empty() {
                    vec![String::new()]
                } else {
                    keys
                })
            }
            Place::Unknown | Place::Type(_) => None,
        }
    }

    /// The place of a merged list's items.
    pub fn items(self) -> Place<'a> {
        match self {
            Place::BuiltInList { items: "", .. } => Place::Unknown,
            Place::BuiltInList { items, .. } => Place::Type(items),
            Place::Document(document, schema) => match resolve(document, schema).get("items") {
                Some(items) => Place::Document(document, items),
                None => Place::Unknown,
            },
            Place::Unknown | Place::Type(_) => Place::Unknown,
        }
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix("#/definitions/"))
        .and_then(|name| document.get("definitions")?.get(name))
        .unwrap_or(schema)
}
