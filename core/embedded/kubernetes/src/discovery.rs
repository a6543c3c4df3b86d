//! Paths that are not resources: discovery, schemas, version, health.

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::catalog::{Catalog, Resource, api_version};
use crate::encode;
use crate::openapi;
use crate::request::RequestInfo;
use crate::status::ApiError;

/// Whether a path tells what a server of this kind serves, and nothing of a cluster
/// as long as it is answered from the built-in catalog.
pub(crate) fn is_general(path: &str) -> bool {
    let first = path.split('/').next();
    matches!(first, Some("api" | "apis" | "openapi" | "version"))
}

/// Answers a path inside a cluster, by what the cluster serves.
pub(crate) fn serve(
    catalog: &Catalog,
    info: &RequestInfo,
    path: &str,
    parts: &Parts,
) -> Result<Response, ApiError> {
    if parts.method != http::Method::GET && parts.method != http::Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    let segments: Vec<&str> = path.split('/').filter(|one| !one.is_empty()).collect();
    let json = |document: Value| {
        Ok(encode::respond(
            StatusCode::OK,
            &document,
            encode::Media::Json,
        ))
    };
    match segments.as_slice() {
        [] => json(json!({"paths": root_paths(catalog)})),
        ["api"] => match aggregated(parts) {
            Some(version) => Ok(aggregate(catalog, true, version)),
            None => json(json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
            })),
        },
        ["apis"] => match aggregated(parts) {
            Some(version) => Ok(aggregate(catalog, false, version)),
            None => {
                let groups: Vec<Value> = catalog
                    .groups()
                    .filter(|(name, _)| !name.is_empty())
                    .filter_map(|(name, _)| group_document(catalog, name))
                    .collect();
                json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
        },
        ["apis", group] => {
            let mut document = group_document(catalog, group).ok_or_else(ApiError::no_such_path)?;
            crate::object::set(&mut document, &["kind"], json!("APIGroup"));
            crate::object::set(&mut document, &["apiVersion"], json!("v1"));
            json(document)
        }
        ["api", version] => json(resource_list(catalog, "", version)?),
        ["apis", group, version] => json(resource_list(catalog, group, version)?),
        ["version"] => json(json!({
            "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2025-08-27T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
            "emulationMajor": "1", "emulationMinor": "34", "minCompatibilityMajor": "1", "minCompatibilityMinor": "33",
        })),
        ["healthz" | "livez" | "readyz"] => Ok(health(info)),
        ["openapi", "v3"] => json(openapi::index(&info.cluster, catalog)),
        ["openapi", "v3", "api", version] => openapi::document(catalog, "", version),
        ["openapi", "v3", "apis", group, version] => openapi::document(catalog, group, version),
        _ => Err(ApiError::no_such_path()),
    }
}

fn health(info: &RequestInfo) -> Response {
    // Reaching this point means that the store is open and the cluster known.
    if info.params.has("verbose") {
        let check = info.path.trim_matches('/');
        return format!("[+]ping ok\n[+]store ok\n{check} check passed\n").into_response();
    }
    "ok".into_response()
}

fn root_paths(catalog: &Catalog) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for (group, versions) in catalog.groups().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|(version, _)| format!("/apis/{group}/{version}")),
        );
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    paths
}

/// The version of aggregated discovery that the client takes, if any.
fn aggregated(parts: &Parts) -> Option<&'static str> {
    let accept = parts.headers.get(header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|clause| {
        let fits =
            clause.contains("g=apidiscovery.k8s.io") && clause.contains("as=APIGroupDiscoveryList");
        match clause
            .split(';')
            .find_map(|one| one.trim().strip_prefix("v="))
        {
            Some("v2") if fits => Some("v2"),
            Some("v2beta1") if fits => Some("v2beta1"),
            _ => None,
        }
    })
}

fn aggregate(catalog: &Catalog, core: bool, version: &str) -> Response {
    let items: Vec<Value> = catalog
        .groups()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(served, resources)| {
                    let resources: Vec<Value> = resources
                        .iter()
                        .map(|one| discovery_resource(one))
                        .collect();
                    json!({"version": served, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core {
                json!({})
            } else {
                json!({"name": name})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items,
    });
    let mut response = encode::respond(StatusCode::OK, &document, encode::Media::Json);
    let media =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    if let Ok(value) = HeaderValue::from_str(&media) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn discovery_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut document = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    let map = crate::object::as_map(&mut document);
    if !resource.short_names.is_empty() {
        map.insert("shortNames".into(), json!(resource.short_names));
    }
    if !resource.categories.is_empty() {
        map.insert("categories".into(), json!(resource.categories));
    }
    if !resource.subresources.is_empty() {
        let all: Vec<Value> = resource
            .subresources
            .iter()
            .map(|sub| {
                json!({
                    "subresource": sub.name, "verbs": sub.verbs,
                    "responseKind": kind(&sub.group, &sub.version, &sub.kind),
                })
            })
            .collect();
        map.insert("subresources".into(), Value::Array(all));
    }
    document
}

fn group_document(catalog: &Catalog, group: &str) -> Option<Value> {
    let versions: Vec<Value> = catalog
        .group(group)?
        .iter()
        .map(
            |(version, _)| json!({"groupVersion": api_version(group, version), "version": version}),
        )
        .collect();
    Some(json!({"name": group, "preferredVersion": versions.first(), "versions": versions}))
}

fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Result<Value, ApiError> {
    let resources = catalog
        .group_version(group, version)
        .ok_or_else(ApiError::no_such_path)?;
    let mut list = Vec::new();
    for resource in resources {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        let map = crate::object::as_map(&mut entry);
        if !resource.short_names.is_empty() {
            map.insert("shortNames".into(), json!(resource.short_names));
        }
        if !resource.categories.is_empty() {
            map.insert("categories".into(), json!(resource.categories));
        }
        list.push(entry);
        for sub in &resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs,
            });
            if sub.group != resource.group || sub.version != resource.version {
                crate::object::set(&mut entry, &["group"], json!(sub.group));
                crate::object::set(&mut entry, &["version"], json!(sub.version));
            }
            list.push(entry);
        }
    }
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": list,
    }))
}
