//! OpenAPI v3: one document a group version, as `kubectl explain` and
//! client-side checks read them.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Resource};
use crate::encode;
use crate::schemas::schemas;
use crate::status::ApiError;

/// The list of documents. Addresses are absolute from the host, so they carry
/// the cluster's path.
pub(crate) fn index(cluster: &str, catalog: &Catalog) -> Value {
    let mut paths = Map::new();
    for (group, versions) in catalog.groups() {
        for (version, resources) in versions {
            let path = path_of(group, version);
            let mut hash = Sha256::new();
            for resource in resources {
                hash.update(resource.plural.as_bytes());
                if let Some(custom) = &resource.custom {
                    hash.update(custom.document.to_string().as_bytes());
                }
            }
            let hash = hex::encode_upper(hash.finalize());
            let url = format!("/clusters/{cluster}/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// One group version's document.
pub(crate) fn document(
    catalog: &Catalog,
    group: &str,
    version: &str,
) -> Result<Response, ApiError> {
    let resources = catalog
        .group_version(group, version)
        .ok_or_else(ApiError::no_such_path)?;
    let mut components = Map::new();
    let mut roots = vec!["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta".to_owned()];
    let mut paths = Map::new();
    for resource in resources {
        let component = match &resource.custom {
            None => match &resource.definition {
                Some(definition) => {
                    roots.push(definition.clone());
                    definition.clone()
                }
                None => continue,
            },
            Some(custom) => {
                let mut parts: Vec<&str> = group.split('.').rev().collect();
                parts.extend([version, resource.kind.as_str()]);
                let component = parts.join(".");
                components.insert(component.clone(), custom_schema(resource, &custom.document));
                component
            }
        };
        let scope = if resource.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let collection = format!("/{}{scope}/{}", path_of(group, version), resource.plural);
        let operation = |action: &str| operation(resource, &component, action);
        paths.insert(
            collection.clone(),
            json!({"get": operation("list"), "post": operation("post")}),
        );
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({"get": operation("get"), "put": operation("put"), "patch": operation("patch"), "delete": operation("delete")}),
        );
    }
    for name in schemas().closure(&roots) {
        if let Some(text) = schemas().raw(&name)
            && let Ok(value) = serde_json::from_str(text.get())
        {
            components.insert(name, value);
        }
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.0"}, "paths": paths,
        "components": {"schemas": components},
    });
    Ok(encode::respond(
        StatusCode::OK,
        &document,
        encode::Media::Json,
    ))
}

fn custom_schema(resource: &Resource, document: &Value) -> Value {
    let mut schema = document.clone();
    let meta = json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]});
    for (field, value) in [
        ("apiVersion", json!({"type": "string"})),
        ("kind", json!({"type": "string"})),
        ("metadata", meta),
    ] {
        crate::object::set(&mut schema, &["properties", field], value);
    }
    crate::object::set(
        &mut schema,
        &["x-kubernetes-group-version-kind"],
        json!([kind(resource)]),
    );
    schema
}

fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn operation(resource: &Resource, component: &str, action: &str) -> Value {
    let parameters: Vec<Value> = match action {
        "get" => Vec::new(),
        "list" => [
            "continue",
            "fieldSelector",
            "labelSelector",
            "limit",
            "resourceVersion",
            "watch",
        ]
        .map(parameter)
        .to_vec(),
        "delete" => ["dryRun", "gracePeriodSeconds", "propagationPolicy"]
            .map(parameter)
            .to_vec(),
        _ => ["dryRun", "fieldManager", "fieldValidation"]
            .map(parameter)
            .to_vec(),
    };
    let schema = json!({"$ref": format!("#/components/schemas/{component}")});
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind(resource),
    })
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}
