//! Sixth step: is the object acceptable in itself?

use catalyst_schema::{FieldError, Schema};
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::context::Context;
use crate::object::{array, finalizers, is_deleting, name, text};
use crate::schemas::schema_set;
use crate::status::ApiError;

/// The most bytes that a ConfigMap or a Secret may hold.
const LARGEST_DATA: usize = 1 << 20;

/// The schema of a resource's objects.
pub(crate) fn schema(resource: &Resource) -> Option<Schema> {
    match (&resource.custom, &resource.definition) {
        (Some(custom), _) => custom.schema.clone(),
        (None, Some(definition)) => schema_set().get(definition),
        (None, None) => None,
    }
}

/// Removes fields that the kind does not have, and reports them as the client
/// asked: not at all, as warnings (the default), or as an error.
pub(crate) fn unknown_fields(context: &mut Context, object: &mut Value) -> Result<(), ApiError> {
    let mode = match context.params.get("fieldValidation") {
        "" => "Warn",
        mode @ ("Ignore" | "Warn" | "Strict") => mode,
        other => {
            return Err(ApiError::invalid(
                "meta.k8s.io",
                "CreateOptions",
                "",
                &[FieldError::not_supported(
                    "fieldValidation",
                    json!(other),
                    &["Ignore", "Strict", "Warn"],
                )],
            ));
        }
    };
    let Some(schema) = schema(&context.resource) else {
        return Ok(());
    };
    let unknown = schema.prune(object);
    if unknown.is_empty() || mode == "Ignore" {
        return Ok(());
    }
    let texts: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    if mode == "Strict" {
        let resource = &context.resource;
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            resource.version,
            resource.kind,
            texts.join(", ")
        )));
    }
    context.warnings.extend(texts);
    Ok(())
}

/// A new object.
pub(crate) fn create(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    let mut errors = metadata(resource, object);
    errors.extend(shape(resource, object));
    if errors.is_empty() {
        errors.extend(kind_rules(resource, object));
    }
    finish(resource, object, errors)
}

/// A changed object.
pub(crate) fn update(
    resource: &Resource,
    current: &Value,
    next: &Value,
    subresource: &str,
) -> Result<(), ApiError> {
    let mut errors = metadata(resource, next);
    errors.extend(shape(resource, next));
    if subresource.is_empty() {
        // Compiling a definition's schemas takes long, and finds nothing new in old ones.
        let is_known =
            resource.storage == crate::crd::STORAGE && current.get("spec") == next.get("spec");
        if errors.is_empty() && !is_known {
            errors.extend(kind_rules(resource, next));
        }
        errors.extend(immutable(resource, current, next));
    }
    if is_deleting(current) {
        let before = finalizers(current);
        let added: Vec<String> = finalizers(next)
            .into_iter()
            .filter(|one| !before.contains(one))
            .collect();
        if !added.is_empty() {
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!("no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"),
            ));
        }
    }
    finish(resource, next, errors)
}

fn finish(resource: &Resource, object: &Value, errors: Vec<FieldError>) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(
        &resource.group,
        &resource.kind,
        name(object),
        &errors,
    ))
}

/// What the schema says. A built-in object of the wrong shape cannot be decoded
/// at all upstream; there it is a bad request, here the fields are named.
fn shape(resource: &Resource, object: &Value) -> Vec<FieldError> {
    schema(resource)
        .map(|schema| schema.validate(object))
        .unwrap_or_default()
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn is_label(text: &str) -> bool {
    let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|one| inner(one) || one == '-')
        && text.starts_with(inner)
        && text.ends_with(inner)
}

fn is_qualified_part(text: &str) -> bool {
    let ends = |one: char| one.is_ascii_alphanumeric();
    text.len() <= 63
        && text
            .chars()
            .all(|one| ends(one) || matches!(one, '-' | '_' | '.'))
        && text.starts_with(ends)
        && text.ends_with(ends)
}

fn is_subdomain(text: &str) -> bool {
    let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|part| {
            part.chars().all(|one| inner(one) || one == '-')
                && part.starts_with(inner)
                && part.ends_with(inner)
        })
}

/// Whether a name can be that of a logical cluster.
pub(crate) fn is_cluster_name(text: &str) -> bool {
    is_subdomain(text)
}

fn metadata(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let given = name(object);
    let rule = if given.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
        None
    } else if resource.group.starts_with("rbac.") {
        let bad = given == "." || given == ".." || given.contains(['/', '%']);
        bad.then_some("may not contain '/' or '%'")
    } else if matches!(resource.storage.as_str(), "namespaces") {
        (!is_label(given)).then_some(LABEL)
    } else if resource.storage == "services" {
        let valid = is_label(given) && given.starts_with(|one: char| one.is_ascii_lowercase());
        (!valid).then_some(LABEL_1035)
    } else {
        (!is_subdomain(given)).then_some(SUBDOMAIN)
    };
    if let Some(rule) = rule {
        errors.push(FieldError::invalid("metadata.name", json!(given), rule));
    }
    for field in ["labels", "annotations"] {
        let Some(map) = object
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
        else {
            continue;
        };
        for (key, value) in map {
            let (prefix, part) = key
                .split_once('/')
                .map_or((None, key.as_str()), |(prefix, part)| (Some(prefix), part));
            let part_valid = is_qualified_part(part);
            if !part_valid || prefix.is_some_and(|prefix| !is_subdomain(&prefix.to_lowercase())) {
                errors.push(FieldError::invalid(
                    format!("metadata.{field}"),
                    json!(key),
                    KEY,
                ));
            }
            if field == "labels" {
                let text = value.as_str().unwrap_or_default();
                if text.len() > 63 {
                    errors.push(FieldError::invalid(
                        "metadata.labels",
                        json!(text),
                        "must be no more than 63 characters",
                    ));
                } else if !text.is_empty() && !is_qualified_part(text) {
                    errors.push(FieldError::invalid("metadata.labels", json!(text), VALUE));
                }
            }
        }
    }
    for (index, owner) in array(object, "/metadata/ownerReferences")
        .iter()
        .enumerate()
    {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                errors.push(FieldError::required(
                    format!("metadata.ownerReferences[{index}].{field}"),
                    "must not be empty",
                ));
            }
        }
    }
    errors
}

/// Rules of built-in kinds in everyday use.
/// A ConfigMap or Secret of more than [`LARGEST_DATA`] bytes.
fn data_too_long(resource: &Resource, object: &Value) -> Option<FieldError> {
    let plain = str::len as fn(&str) -> usize;
    let encoded = |text: &str| text.trim_end_matches('=').len() * 3 / 4;
    let of_data = if resource.storage == "secrets" {
        encoded
    } else {
        plain
    };
    let size: usize = [("/data", of_data), ("/binaryData", encoded)]
        .into_iter()
        .filter_map(|(field, measure)| {
            let data = object.pointer(field)?.as_object()?;
            Some(
                data.values()
                    .filter_map(Value::as_str)
                    .map(measure)
                    .sum::<usize>(),
            )
        })
        .sum();
    (size > LARGEST_DATA).then(|| FieldError::too_long("data", LARGEST_DATA as u64))
}

fn kind_rules(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match resource.storage.as_str() {
        crate::crd::STORAGE => errors.extend(crate::crd::validate(object)),
        "pods" => errors.extend(pod_spec(
            object.pointer("/spec").unwrap_or(&Value::Null),
            "spec",
        )),
        "deployments.apps" | "statefulsets.apps" | "daemonsets.apps" | "replicasets.apps" => {
            let labels = object
                .pointer("/spec/template/metadata/labels")
                .cloned()
                .unwrap_or_default();
            let selector = object
                .pointer("/spec/selector")
                .cloned()
                .unwrap_or_default();
            let parsed = crate::selector::LabelSelector::from_object(&selector);
            if parsed.is_empty() {
                errors.push(FieldError::invalid(
                    "spec.selector",
                    selector,
                    "empty selector is invalid for workload",
                ));
            } else if !parsed.matches_labels(&labels) {
                errors.push(FieldError::invalid(
                    "spec.template.metadata.labels",
                    labels,
                    "`selector` does not match template `labels`",
                ));
            }
            let spec = object
                .pointer("/spec/template/spec")
                .unwrap_or(&Value::Null);
            errors.extend(pod_spec(spec, "spec.template.spec"));
            let policy = text(spec, "/restartPolicy");
            if policy != "Always" {
                errors.push(FieldError::not_supported(
                    "spec.template.spec.restartPolicy",
                    json!(policy),
                    &["Always"],
                ));
            }
            non_negative(object, "/spec/replicas", "spec.replicas", &mut errors);
        }
        "jobs.batch" => {
            let spec = object
                .pointer("/spec/template/spec")
                .unwrap_or(&Value::Null);
            errors.extend(pod_spec(spec, "spec.template.spec"));
            let policy = text(spec, "/restartPolicy");
            if !matches!(policy, "OnFailure" | "Never") {
                errors.push(FieldError::required(
                    "spec.template.spec.restartPolicy",
                    "valid values: \"OnFailure\", \"Never\"",
                ));
            }
        }
        "services" => {
            let ports = array(object, "/spec/ports");
            let kind = text(object, "/spec/type");
            if ports.is_empty()
                && text(object, "/spec/clusterIP") != "None"
                && kind != "ExternalName"
            {
                errors.push(FieldError::required("spec.ports", ""));
            }
            if !matches!(
                kind,
                "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName"
            ) {
                errors.push(FieldError::not_supported(
                    "spec.type",
                    json!(kind),
                    &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
                ));
            }
            for (index, port) in ports.iter().enumerate() {
                port_number(
                    port.get("port"),
                    &format!("spec.ports[{index}].port"),
                    &mut errors,
                );
                if ports.len() > 1 && text(port, "/name").is_empty() {
                    errors.push(FieldError::required(
                        format!("spec.ports[{index}].name"),
                        "",
                    ));
                }
            }
        }
        "secrets" | "configmaps" => {
            errors.extend(data_too_long(resource, object));
            for key in object
                .get("data")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(|map| map.keys())
            {
                let valid = !key.is_empty()
                    && key.len() <= 253
                    && key
                        .chars()
                        .all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'));
                if !valid {
                    errors.push(FieldError::invalid(
                        format!("data[{key}]"),
                        json!(key),
                        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                    ));
                }
            }
            if resource.storage == "secrets" {
                for (key, value) in object
                    .get("data")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    let decoded = value.as_str().map(|text| {
                        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
                            .is_ok()
                    });
                    if decoded == Some(false) {
                        // The value itself must not show up in an error.
                        errors.push(FieldError::invalid(
                            format!("data[{key}]"),
                            json!("<redacted>"),
                            "illegal base64 data",
                        ));
                    }
                }
            }
        }
        "persistentvolumeclaims" => {
            if array(object, "/spec/accessModes").is_empty() {
                errors.push(FieldError::required(
                    "spec.accessModes",
                    "at least 1 access mode is required",
                ));
            }
            if object.pointer("/spec/resources/requests/storage").is_none() {
                errors.push(FieldError::required("spec.resources[storage]", ""));
            }
        }
        "rolebindings.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io"
            if text(object, "/roleRef/name").is_empty() =>
        {
            errors.push(FieldError::required("roleRef.name", ""));
        }
        _ => {}
    }
    errors
}

fn non_negative(object: &Value, pointer: &str, field: &str, errors: &mut Vec<FieldError>) {
    if let Some(found) = crate::object::integer(object, pointer)
        && found < 0
    {
        errors.push(FieldError::invalid(
            field,
            json!(found),
            "must be greater than or equal to 0",
        ));
    }
}

fn port_number(value: Option<&Value>, field: &str, errors: &mut Vec<FieldError>) {
    let found = value.and_then(Value::as_i64).unwrap_or(0);
    if !(1..=65_535).contains(&found) {
        errors.push(FieldError::invalid(
            field,
            json!(found),
            "must be between 1 and 65535, inclusive",
        ));
    }
}

fn pod_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let containers = array(spec, "/containers");
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = std::collections::HashSet::new();
    let volumes: Vec<&str> = array(spec, "/volumes")
        .iter()
        .map(|one| text(one, "/name"))
        .collect();
    for (list, containers) in [
        ("initContainers", array(spec, "/initContainers")),
        ("containers", containers),
    ] {
        for (index, container) in containers.iter().enumerate() {
            let at = format!("{path}.{list}[{index}]");
            let given = text(container, "/name");
            if given.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else if !is_label(given) {
                errors.push(FieldError::invalid(
                    format!("{at}.name"),
                    json!(given),
                    LABEL,
                ));
            } else if !seen.insert(given.to_owned()) {
                errors.push(FieldError::duplicate(format!("{at}.name"), json!(given)));
            }
            if text(container, "/image").is_empty() {
                errors.push(FieldError::required(format!("{at}.image"), ""));
            }
            for (number, port) in array(container, "/ports").iter().enumerate() {
                port_number(
                    port.get("containerPort"),
                    &format!("{at}.ports[{number}].containerPort"),
                    &mut errors,
                );
            }
            for (number, mount) in array(container, "/volumeMounts").iter().enumerate() {
                let volume = text(mount, "/name");
                // A StatefulSet's claims become volumes only in its pods.
                if !volumes.contains(&volume) && !path.contains("template") {
                    errors.push(FieldError::invalid(
                        format!("{at}.volumeMounts[{number}].name"),
                        json!(volume),
                        "must name a volume of the pod",
                    ));
                }
            }
        }
    }
    errors
}

fn immutable(resource: &Resource, current: &Value, next: &Value) -> Vec<FieldError> {
    let fields: &[&str] = match resource.storage.as_str() {
        "deployments.apps" | "replicasets.apps" | "daemonsets.apps" => &["spec.selector"],
        "statefulsets.apps" => &[
            "spec.selector",
            "spec.serviceName",
            "spec.podManagementPolicy",
            "spec.volumeClaimTemplates",
        ],
        "jobs.batch" => &["spec.selector", "spec.template", "spec.completions"],
        "secrets" => &["type"],
        "rolebindings.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => &["roleRef"],
        crate::crd::STORAGE => &["spec.scope", "spec.names.kind", "spec.group"],
        "storageclasses.storage.k8s.io" => &["parameters", "provisioner", "reclaimPolicy"],
        "persistentvolumeclaims" => &["spec.accessModes", "spec.storageClassName"],
        _ => &[],
    };
    let mut errors: Vec<FieldError> = fields
        .iter()
        .filter_map(|field| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let (before, after) = (current.pointer(&pointer), next.pointer(&pointer));
            (before != after && before.is_some()).then(|| {
                FieldError::invalid(
                    *field,
                    after.cloned().unwrap_or_default(),
                    "field is immutable",
                )
            })
        })
        .collect();
    if matches!(resource.storage.as_str(), "secrets" | "configmaps")
        && current.get("immutable") == Some(&json!(true))
        && (current.get("data") != next.get("data") || next.get("immutable") != Some(&json!(true)))
    {
        errors.push(FieldError::forbidden(
            "data",
            "field is immutable when `immutable` is set",
        ));
    }
    if resource.storage == "pods" {
        let fixed = |object: &Value| {
            let mut spec = object.get("spec").cloned().unwrap_or_default();
            for list in ["containers", "initContainers"] {
                for container in spec
                    .get_mut(list)
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    crate::object::as_map(container).remove("image");
                }
            }
            for field in [
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
                "nodeName",
                "schedulingGates",
            ] {
                crate::object::as_map(&mut spec).remove(field);
            }
            spec
        };
        if fixed(current) != fixed(next) {
            errors.push(FieldError::forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
            ));
        }
    }
    errors
}
