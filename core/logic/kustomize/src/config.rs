//! The transformers' configuration: which fields each of them changes.
//!
//! The defaults are kustomize 5.5's; `configurations` and `crds` add to them,
//! and what a base adds holds in its overlays too.

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;
use crate::field::{self, FieldSpec};
use crate::identity::Gvk;
use crate::vars;

/// Fields that hold the name of an object of kind `gvk`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NameReference {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub field_specs: Vec<FieldSpec>,
}

impl NameReference {
    pub fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    pub name_prefix: Vec<FieldSpec>,
    pub name_suffix: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub name_reference: Vec<NameReference>,
    pub var_reference: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
}

impl Config {
    /// Reads a file of `configurations`.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::new("the file is not UTF-8"))?;
        let value = catalyst_yaml::from_str(text).map_err(|error| Fault::new(error.to_string()))?;
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(value).map_err(|error| Fault::new(error.to_string()))
    }

    pub fn merge(&mut self, other: Self) -> Result<(), Fault> {
        let pairs = [
            (&mut self.name_prefix, other.name_prefix),
            (&mut self.name_suffix, other.name_suffix),
            (&mut self.namespace, other.namespace),
            (&mut self.common_labels, other.common_labels),
            (&mut self.labels, other.labels),
            (&mut self.template_labels, other.template_labels),
            (&mut self.common_annotations, other.common_annotations),
            (&mut self.var_reference, other.var_reference),
            (&mut self.images, other.images),
            (&mut self.replicas, other.replicas),
        ];
        for (own, more) in pairs {
            for spec in more {
                field::add(own, spec)?;
            }
        }
        for reference in other.name_reference {
            let gvk = reference.gvk();
            match self.name_reference.iter_mut().find(|own| own.gvk() == gvk) {
                Some(own) => {
                    for spec in reference.field_specs {
                        field::add(&mut own.field_specs, spec)?;
                    }
                }
                None => self.name_reference.push(reference),
            }
        }
        Ok(())
    }

    /// What `crds` adds: OpenAPI definitions whose `x-kubernetes-*` marks say
    /// which fields hold labels, annotations, names and references.
    pub fn from_definitions(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::new("the file is not UTF-8"))?;
        let definitions =
            catalyst_yaml::from_str(text).map_err(|error| Fault::new(error.to_string()))?;
        let mut config = Self::default();
        let Value::Object(types) = &definitions else {
            return Ok(config);
        };
        for (name, definition) in types {
            let Some(properties) = definition.pointer("/Schema/properties") else {
                continue;
            };
            if ["kind", "apiVersion", "metadata"]
                .iter()
                .all(|field| properties.get(field).is_some())
            {
                let kind = name.rsplit('.').next().unwrap_or(name);
                config.add_definition(&definitions, kind, name, "", 0)?;
            }
        }
        Ok(config)
    }

    fn add_definition(
        &mut self,
        definitions: &Value,
        kind: &str,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > 32 {
            return Err(Fault::new(format!("definition {name:?} contains itself")));
        }
        let Some(Value::Object(properties)) = definitions
            .get(name)
            .and_then(|definition| definition.pointer("/Schema/properties"))
        else {
            return Ok(());
        };
        for (field_name, property) in properties {
            let here = if path.is_empty() {
                field_name.clone()
            } else {
                format!("{path}/{field_name}")
            };
            let mark = |name: &str| property.get(name).and_then(Value::as_str);
            let spec = FieldSpec::of("", kind, &here);
            if mark("x-kubernetes-annotation").is_some() {
                field::add(&mut self.common_annotations, spec.clone())?;
            }
            if mark("x-kubernetes-label-selector").is_some() {
                field::add(&mut self.common_labels, spec.clone())?;
            }
            if mark("x-kubernetes-identity").is_some() {
                field::add(&mut self.name_prefix, spec)?;
            }
            if let (Some(version), Some(target)) = (
                mark("x-kubernetes-object-ref-api-version"),
                mark("x-kubernetes-object-ref-kind"),
            ) {
                let key = mark("x-kubernetes-object-ref-name-key").unwrap_or("name");
                self.merge(Self {
                    name_reference: vec![NameReference {
                        version: version.to_owned(),
                        kind: target.to_owned(),
                        field_specs: vec![FieldSpec::of("", kind, &format!("{here}/{key}"))],
                        ..NameReference::default()
                    }],
                    ..Self::default()
                })?;
            }
            if let Some(reference) = mark("$ref") {
                self.add_definition(definitions, kind, reference, &here, depth + 1)?;
            }
        }
        Ok(())
    }

    /// What every kustomization starts from.
    pub fn builtin() -> Self {
        let metadata_labels = metadata_labels();
        let mut common_labels = selectors();
        common_labels.extend(metadata_labels.clone());
        Self {
            name_prefix: vec![FieldSpec::any("metadata/name")],
            name_suffix: vec![FieldSpec::any("metadata/name")],
            namespace: vec![
                FieldSpec::of("", "Namespace", "metadata/name").created(),
                FieldSpec::of(
                    "apiregistration.k8s.io",
                    "APIService",
                    "spec/service/namespace",
                )
                .created(),
                FieldSpec::of(
                    "apiextensions.k8s.io",
                    "CustomResourceDefinition",
                    "spec/conversion/webhook/clientConfig/service/namespace",
                ),
            ],
            common_labels,
            template_labels: metadata_labels,
            common_annotations: common_annotations(),
            name_reference: name_references(),
            var_reference: vars::fields(),
            images: [
                "spec/containers[]/image",
                "spec/initContainers[]/image",
                "spec/template/spec/containers[]/image",
                "spec/template/spec/initContainers[]/image",
            ]
            .iter()
            .map(|path| FieldSpec::any(path).created())
            .collect(),
            replicas: [
                "Deployment",
                "ReplicationController",
                "ReplicaSet",
                "StatefulSet",
            ]
            .iter()
            .map(|kind| FieldSpec::of("", kind, "spec/replicas").created())
            .collect(),
            ..Self::default()
        }
    }
}

/// Kinds with a pod template right below `spec`: group and version as the
/// label and annotation defaults name them.
fn templated(path: &str, apps_stateful: bool) -> Vec<FieldSpec> {
    let stateful = if apps_stateful { "apps" } else { "" };
    let template = format!("spec/template/{path}");
    vec![
        FieldSpec::of("", "ReplicationController", &template)
            .version("v1")
            .created(),
        FieldSpec::of("", "Deployment", &template).created(),
        FieldSpec::of("", "ReplicaSet", &template).created(),
        FieldSpec::of("", "DaemonSet", &template).created(),
        FieldSpec::of(stateful, "StatefulSet", &template).created(),
        FieldSpec::of("batch", "Job", &template).created(),
        FieldSpec::of("batch", "CronJob", &format!("spec/jobTemplate/{path}")).created(),
        FieldSpec::of(
            "batch",
            "CronJob",
            &format!("spec/jobTemplate/spec/template/{path}"),
        )
        .created(),
    ]
}

fn metadata_labels() -> Vec<FieldSpec> {
    let mut specs = vec![FieldSpec::any("metadata/labels").created()];
    specs.extend(templated("metadata/labels", true));
    specs.push(
        FieldSpec::of(
            "apps",
            "StatefulSet",
            "spec/volumeClaimTemplates[]/metadata/labels",
        )
        .created(),
    );
    specs
}

fn common_annotations() -> Vec<FieldSpec> {
    let mut specs = vec![FieldSpec::any("metadata/annotations").created()];
    specs.extend(templated("metadata/annotations", false));
    specs
}

fn selectors() -> Vec<FieldSpec> {
    let match_labels = "spec/selector/matchLabels";
    let mut specs = vec![
        FieldSpec::of("", "Service", "spec/selector")
            .version("v1")
            .created(),
        FieldSpec::of("", "ReplicationController", "spec/selector")
            .version("v1")
            .created(),
        FieldSpec::of("", "Deployment", match_labels).created(),
        FieldSpec::of("", "ReplicaSet", match_labels).created(),
        FieldSpec::of("", "DaemonSet", match_labels).created(),
        FieldSpec::of("apps", "StatefulSet", match_labels).created(),
        FieldSpec::of("batch", "Job", match_labels),
        FieldSpec::of(
            "batch",
            "CronJob",
            "spec/jobTemplate/spec/selector/matchLabels",
        ),
        FieldSpec::of("policy", "PodDisruptionBudget", match_labels),
    ];
    for path in [
        "spec/podSelector/matchLabels",
        "spec/ingress/from/podSelector/matchLabels",
        "spec/egress/to/podSelector/matchLabels",
    ] {
        specs.push(FieldSpec::of("networking.k8s.io", "NetworkPolicy", path));
    }
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in ["podAffinity", "podAntiAffinity"] {
            for term in [
                "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm",
                "requiredDuringSchedulingIgnoredDuringExecution",
            ] {
                specs.push(FieldSpec::of(
                    "apps",
                    kind,
                    &format!(
                        "spec/template/spec/affinity/{affinity}/{term}/labelSelector/matchLabels"
                    ),
                ));
            }
        }
        specs.push(FieldSpec::of(
            "apps",
            kind,
            "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
        ));
    }
    specs
}

/// Where the pod specification is, by kind.
const PODS: [(&str, &str); 8] = [
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// The same for the references where kustomize counts ReplicationControllers
/// in and ReplicaSets and PodTemplates out.
const CONTROLLED_PODS: [(&str, &str); 7] = [
    ("Pod", "spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
];

fn in_pods(pods: &[(&str, &str)], fields: &[&str]) -> Vec<FieldSpec> {
    pods.iter()
        .flat_map(|(kind, pod)| {
            fields
                .iter()
                .map(move |field| FieldSpec::of("", kind, &format!("{pod}/{field}")))
        })
        .collect()
}

fn reference(group: &str, version: &str, kind: &str, field_specs: Vec<FieldSpec>) -> NameReference {
    NameReference {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        field_specs,
    }
}

fn fields(list: &[(&str, &str, &str)]) -> Vec<FieldSpec> {
    list.iter()
        .map(|(group, kind, path)| FieldSpec::of(group, kind, path))
        .collect()
}

fn name_references() -> Vec<NameReference> {
    let mut references: Vec<NameReference> = [
        "Deployment",
        "ReplicationController",
        "ReplicaSet",
        "StatefulSet",
    ]
    .iter()
    .map(|kind| {
        reference(
            "",
            "",
            kind,
            fields(&[("", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name")]),
        )
    })
    .collect();

    let mut config_map = in_pods(
        &PODS,
        &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
    );
    config_map.extend(fields(&[
        ("", "Node", "spec/configSource/configMap"),
        ("", "Role", "rules/resourceNames"),
        ("", "ClusterRole", "rules/resourceNames"),
        (
            "",
            "Ingress",
            "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap",
        ),
    ]));
    references.push(reference("", "v1", "ConfigMap", config_map));

    let mut secret = in_pods(
        &PODS,
        &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
    );
    secret.extend(fields(&[
        ("", "Ingress", "spec/tls/secretName"),
        (
            "",
            "Ingress",
            "metadata/annotations/ingress.kubernetes.io\\/auth-secret",
        ),
        (
            "",
            "Ingress",
            "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret",
        ),
        (
            "",
            "Ingress",
            "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret",
        ),
        ("", "ServiceAccount", "imagePullSecrets/name"),
        ("", "StorageClass", "parameters/secretName"),
        ("", "StorageClass", "parameters/adminSecretName"),
        ("", "StorageClass", "parameters/userSecretName"),
        ("", "StorageClass", "parameters/secretRef"),
        ("", "Role", "rules/resourceNames"),
        ("", "ClusterRole", "rules/resourceNames"),
        ("", "PersistentVolume", "spec/azureFile/secretName"),
    ]));
    secret.push(
        FieldSpec::of(
            "serving.knative.dev",
            "Service",
            "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
        )
        .version("v1"),
    );
    references.push(reference("", "v1", "Secret", secret));

    references.push(reference(
        "",
        "v1",
        "Service",
        fields(&[
            ("apps", "StatefulSet", "spec/serviceName"),
            ("", "Ingress", "spec/rules/http/paths/backend/serviceName"),
            ("", "Ingress", "spec/backend/serviceName"),
            ("", "Ingress", "spec/rules/http/paths/backend/service/name"),
            ("", "Ingress", "spec/defaultBackend/service/name"),
            ("apiregistration.k8s.io", "APIService", "spec/service/name"),
            (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
                "webhooks/clientConfig/service",
            ),
            (
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration",
                "webhooks/clientConfig/service",
            ),
        ]),
    ));
    let rbac = "rbac.authorization.k8s.io";
    references.push(reference(
        rbac,
        "",
        "Role",
        fields(&[(rbac, "RoleBinding", "roleRef/name")]),
    ));
    references.push(reference(
        rbac,
        "",
        "ClusterRole",
        fields(&[
            (rbac, "RoleBinding", "roleRef/name"),
            (rbac, "ClusterRoleBinding", "roleRef/name"),
        ]),
    ));
    let mut account = fields(&[
        (rbac, "RoleBinding", "subjects"),
        (rbac, "ClusterRoleBinding", "subjects"),
    ]);
    account.extend(in_pods(&CONTROLLED_PODS, &["serviceAccountName"]));
    references.push(reference("", "v1", "ServiceAccount", account));
    references.push(reference(
        "",
        "v1",
        "PersistentVolumeClaim",
        in_pods(
            &CONTROLLED_PODS,
            &["volumes/persistentVolumeClaim/claimName"],
        ),
    ));
    references.push(reference(
        "",
        "v1",
        "PersistentVolume",
        fields(&[
            ("", "PersistentVolumeClaim", "spec/volumeName"),
            ("", "ClusterRole", "rules/resourceNames"),
        ]),
    ));
    references.push(reference(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        fields(&[
            ("", "PersistentVolume", "spec/storageClassName"),
            ("", "PersistentVolumeClaim", "spec/storageClassName"),
            (
                "",
                "StatefulSet",
                "spec/volumeClaimTemplates/spec/storageClassName",
            ),
        ]),
    ));
    references.push(reference(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        in_pods(&CONTROLLED_PODS, &["priorityClassName"]),
    ));
    references.push(reference(
        "admissionregistration.k8s.io",
        "",
        "ValidatingAdmissionPolicy",
        fields(&[(
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding",
            "spec/policyName",
        )]),
    ));
    references
}
