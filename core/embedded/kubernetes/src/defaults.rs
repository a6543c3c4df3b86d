//! Defaults of the kinds in everyday use, as the real server writes them.

use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::object::{array, as_map, integer, name, set, set_default, text};

/// Fills in what the writer left out.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    if let Some(custom) = &resource.custom {
        if let Some(schema) = &custom.schema {
            schema.default(object);
        }
        return;
    }
    match resource.storage.as_str() {
        "pods" => {
            if let Some(spec) = object.get_mut("spec") {
                pod_spec(spec);
                set_default(spec, &["enableServiceLinks"], json!(true));
                set_default(spec, &["serviceAccountName"], json!("default"));
                set_default(spec, &["serviceAccount"], json!("default"));
            }
            set_default(object, &["status", "phase"], json!("Pending"));
            let class = crate::quality::class(object);
            set_default(object, &["status", "qosClass"], json!(class));
        }
        "deployments.apps" => {
            workload(object);
            set_default(
                object,
                &["spec", "strategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/strategy/type") == "RollingUpdate" {
                set_default(
                    object,
                    &["spec", "strategy", "rollingUpdate", "maxSurge"],
                    json!("25%"),
                );
                set_default(
                    object,
                    &["spec", "strategy", "rollingUpdate", "maxUnavailable"],
                    json!("25%"),
                );
            }
            set_default(object, &["spec", "revisionHistoryLimit"], json!(10));
            set_default(object, &["spec", "progressDeadlineSeconds"], json!(600));
        }
        "replicasets.apps" | "replicationcontrollers" => workload(object),
        "statefulsets.apps" => {
            workload(object);
            set_default(
                object,
                &["spec", "podManagementPolicy"],
                json!("OrderedReady"),
            );
            set_default(
                object,
                &["spec", "updateStrategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                set_default(
                    object,
                    &["spec", "updateStrategy", "rollingUpdate", "partition"],
                    json!(0),
                );
            }
            set_default(object, &["spec", "revisionHistoryLimit"], json!(10));
            for policy in ["whenDeleted", "whenScaled"] {
                set_default(
                    object,
                    &["spec", "persistentVolumeClaimRetentionPolicy", policy],
                    json!("Retain"),
                );
            }
            for claim in object
                .pointer_mut("/spec/volumeClaimTemplates")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                set_default(claim, &["apiVersion"], json!("v1"));
                set_default(claim, &["kind"], json!("PersistentVolumeClaim"));
                set_default(claim, &["spec", "volumeMode"], json!("Filesystem"));
                set_default(claim, &["status", "phase"], json!("Pending"));
            }
        }
        "daemonsets.apps" => {
            template(object, &["spec", "template"]);
            set_default(
                object,
                &["spec", "updateStrategy", "type"],
                json!("RollingUpdate"),
            );
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                set_default(
                    object,
                    &["spec", "updateStrategy", "rollingUpdate", "maxSurge"],
                    json!(0),
                );
                set_default(
                    object,
                    &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"],
                    json!(1),
                );
            }
            set_default(object, &["spec", "revisionHistoryLimit"], json!(10));
        }
        "jobs.batch" => job(object),
        "cronjobs.batch" => {
            set_default(object, &["spec", "concurrencyPolicy"], json!("Allow"));
            set_default(object, &["spec", "suspend"], json!(false));
            set_default(object, &["spec", "successfulJobsHistoryLimit"], json!(3));
            set_default(object, &["spec", "failedJobsHistoryLimit"], json!(1));
            template(object, &["spec", "jobTemplate", "spec", "template"]);
        }
        "services" => service(object),
        "secrets" => secret(object),
        "namespaces" => namespace(object),
        "persistentvolumeclaims" => {
            set_default(object, &["spec", "volumeMode"], json!("Filesystem"));
            set_default(object, &["status", "phase"], json!("Pending"));
        }
        "persistentvolumes" => {
            set_default(object, &["spec", "volumeMode"], json!("Filesystem"));
            set_default(
                object,
                &["spec", "persistentVolumeReclaimPolicy"],
                json!("Retain"),
            );
            set_default(object, &["status", "phase"], json!("Pending"));
        }
        "storageclasses.storage.k8s.io" => {
            set_default(object, &["reclaimPolicy"], json!("Delete"));
            set_default(object, &["volumeBindingMode"], json!("Immediate"));
        }
        "networkpolicies.networking.k8s.io" => {
            let mut types = vec!["Ingress"];
            if !array(object, "/spec/egress").is_empty() {
                types.push("Egress");
            }
            set_default(object, &["spec", "policyTypes"], json!(types));
            for rules in ["ingress", "egress"] {
                for rule in object
                    .pointer_mut(&format!("/spec/{rules}"))
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    for port in rule
                        .get_mut("ports")
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .flatten()
                    {
                        set_default(port, &["protocol"], json!("TCP"));
                    }
                }
            }
        }
        "endpoints" => {
            for subset in object
                .get_mut("subsets")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                for port in subset
                    .get_mut("ports")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    set_default(port, &["protocol"], json!("TCP"));
                }
            }
        }
        "endpointslices.discovery.k8s.io" => {
            for port in object
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                set_default(port, &["protocol"], json!("TCP"));
                set_default(port, &["name"], json!(""));
            }
        }
        "rolebindings.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => {
            set_default(
                object,
                &["roleRef", "apiGroup"],
                json!("rbac.authorization.k8s.io"),
            );
            for subject in object
                .get_mut("subjects")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if matches!(text(subject, "/kind"), "User" | "Group") {
                    set_default(subject, &["apiGroup"], json!("rbac.authorization.k8s.io"));
                }
            }
        }
        crate::crd::STORAGE => crate::crd::default(object),
        _ => {}
    }
}

fn workload(object: &mut Value) {
    set_default(object, &["spec", "replicas"], json!(1));
    template(object, &["spec", "template"]);
}

fn template(object: &mut Value, path: &[&str]) {
    let pointer: String = path.iter().map(|field| format!("/{field}")).collect();
    if let Some(spec) = object.pointer_mut(&format!("{pointer}/spec")) {
        pod_spec(spec);
    }
}

fn job(object: &mut Value) {
    let both = integer(object, "/spec/completions").is_none()
        && integer(object, "/spec/parallelism").is_none();
    if both {
        set_default(object, &["spec", "completions"], json!(1));
    }
    set_default(object, &["spec", "parallelism"], json!(1));
    set_default(object, &["spec", "backoffLimit"], json!(6));
    set_default(object, &["spec", "completionMode"], json!("NonIndexed"));
    set_default(object, &["spec", "suspend"], json!(false));
    set_default(object, &["spec", "manualSelector"], json!(false));
    set_default(
        object,
        &["spec", "podReplacementPolicy"],
        json!("TerminatingOrFailed"),
    );
    template(object, &["spec", "template"]);
    // The selector is the job's own uid, on its pods and on itself.
    let uid = crate::object::uid(object).to_owned();
    if object.pointer("/spec/selector").is_none() && !uid.is_empty() {
        let own = name(object).to_owned();
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &own),
            ("controller-uid", &uid),
            ("job-name", &own),
        ] {
            set(
                object,
                &["spec", "template", "metadata", "labels", key],
                json!(value),
            );
        }
        set(
            object,
            &["spec", "selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
        );
    }
}

fn service(object: &mut Value) {
    set_default(object, &["spec", "sessionAffinity"], json!("None"));
    set_default(object, &["spec", "type"], json!("ClusterIP"));
    set_default(object, &["spec", "internalTrafficPolicy"], json!("Cluster"));
    if matches!(text(object, "/spec/type"), "NodePort" | "LoadBalancer") {
        set_default(object, &["spec", "externalTrafficPolicy"], json!("Cluster"));
    }
    if text(object, "/spec/type") == "LoadBalancer" {
        set_default(
            object,
            &["spec", "allocateLoadBalancerNodePorts"],
            json!(true),
        );
    }
    set_default(object, &["status", "loadBalancer"], json!({}));
    for port in object
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        set_default(port, &["protocol"], json!("TCP"));
        if let Some(number) = port.get("port").cloned() {
            set_default(port, &["targetPort"], number);
        }
    }
}

fn secret(object: &mut Value) {
    set_default(object, &["type"], json!("Opaque"));
    // What is written as text is kept as data.
    if let Some(Value::Object(texts)) = as_map(object).remove("stringData") {
        for (key, value) in texts {
            if let Some(text) = value.as_str() {
                let encoded =
                    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
                set(object, &["data", &key], json!(encoded));
            }
        }
    }
}

fn namespace(object: &mut Value) {
    let own = name(object).to_owned();
    if !own.is_empty() {
        set(
            object,
            &["metadata", "labels", "kubernetes.io/metadata.name"],
            json!(own),
        );
    }
    set_default(object, &["spec", "finalizers"], json!(["kubernetes"]));
    set_default(object, &["status", "phase"], json!("Active"));
}

fn pod_spec(spec: &mut Value) {
    set_default(spec, &["restartPolicy"], json!("Always"));
    set_default(spec, &["terminationGracePeriodSeconds"], json!(30));
    set_default(spec, &["dnsPolicy"], json!("ClusterFirst"));
    set_default(spec, &["securityContext"], json!({}));
    set_default(spec, &["schedulerName"], json!("default-scheduler"));
    let account = match (
        text(spec, "/serviceAccountName"),
        text(spec, "/serviceAccount"),
    ) {
        ("", old) => old.to_owned(),
        (new, _) => new.to_owned(),
    };
    if !account.is_empty() {
        set(spec, &["serviceAccountName"], json!(account));
        set(spec, &["serviceAccount"], json!(account));
    }
    for list in ["initContainers", "containers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            self::container(container);
        }
    }
    for volume in spec
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for kind in ["secret", "configMap", "downwardAPI", "projected"] {
            if volume.get(kind).is_some_and(Value::is_object) {
                set_default(volume, &[kind, "defaultMode"], json!(420));
            }
        }
        let sources = as_map(volume).len();
        if sources == 1 {
            set(volume, &["emptyDir"], json!({}));
        }
        if volume.get("hostPath").is_some_and(Value::is_object) {
            set_default(volume, &["hostPath", "type"], json!(""));
        }
    }
}

fn container(container: &mut Value) {
    set_default(container, &["resources"], json!({}));
    set_default(
        container,
        &["terminationMessagePath"],
        json!("/dev/termination-log"),
    );
    set_default(container, &["terminationMessagePolicy"], json!("File"));
    let image = text(container, "/image").to_owned();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && tag.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    set_default(
        container,
        &["imagePullPolicy"],
        json!(if latest { "Always" } else { "IfNotPresent" }),
    );
    for port in container
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        set_default(port, &["protocol"], json!("TCP"));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if !container.get(probe).is_some_and(Value::is_object) {
            continue;
        }
        for (field, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            set_default(container, &[probe, field], json!(value));
        }
        if container.pointer(&format!("/{probe}/httpGet")).is_some() {
            set_default(container, &[probe, "httpGet", "path"], json!("/"));
            set_default(container, &[probe, "httpGet", "scheme"], json!("HTTP"));
        }
    }
    for variable in container
        .get_mut("env")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if variable.pointer("/valueFrom/fieldRef").is_some() {
            set_default(
                variable,
                &["valueFrom", "fieldRef", "apiVersion"],
                json!("v1"),
            );
        }
    }
}
