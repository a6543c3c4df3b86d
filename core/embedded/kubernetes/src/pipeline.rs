//! The path of a request: authenticate → authorize → decode → admit →
//! validate → store → encode.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::WARNING;
use http::{HeaderValue, Method};

use crate::authenticate::{Authenticated, authenticate};
use crate::authorize::{Attributes, Policy, authorize, refusal};
use crate::catalog::Catalog;
use crate::context::Context;
use crate::identity::Identity;
use crate::request::{RequestInfo, ResourcePath, Target};
use crate::standing::{Guard, Opened, Standing};
use crate::state::Inner;
use crate::status::ApiError;
use crate::{decode, delete, discovery, encode, pods, read, reviews, watch, write};

/// Answers one request.
pub(crate) async fn serve(inner: Arc<Inner>, request: Request) -> Response {
    answer(inner, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(inner: Arc<Inner>, request: Request) -> Result<Response, ApiError> {
    let info =
        RequestInfo::parse(request.method(), request.uri()).ok_or_else(ApiError::no_such_path)?;
    let (mut parts, body) = request.into_parts();
    let authenticated = authenticate(&inner, &info.cluster, &parts).await?;
    if let Target::Path(path) = &info.target
        && is_general_question(&parts, path)
        && !belongs(&inner, &info.cluster, &authenticated)
    {
        return discovery::serve(Catalog::builtin(), &info, path, &parts);
    }
    let identity = permit(&inner, &info, &parts.headers, &authenticated)?;
    if info.cluster != "*" && !inner.has_cluster(&info.cluster) {
        return Err(ApiError::not_found("", "clusters", &info.cluster));
    }
    let path = match &info.target {
        Target::Path(path) => {
            let catalog = inner.catalog(&info.cluster);
            return discovery::serve(&catalog, &info, path, &parts);
        }
        Target::Resource(path) => path.clone(),
    };
    let resource = if info.cluster == "*" {
        inner.resource_anywhere(&path.group, &path.version, &path.resource)
    } else {
        inner
            .catalog(&info.cluster)
            .resource(&path.group, &path.version, &path.resource)
            .cloned()
    };
    let resource = resource.ok_or_else(ApiError::no_such_path)?;
    check_shape(&info, &path, &resource)?;
    let guard = if info.verb == "watch" || pods::is_stream(&resource, &path.subresource) {
        Guard::over(Opened {
            inner: Arc::clone(&inner),
            authenticated,
            info: info.clone(),
            headers: parts.headers.clone(),
            standing: parts.extensions.get::<Standing>().cloned(),
        })
    } else {
        Guard::none()
    };
    let mut context = Context {
        inner,
        identity,
        cluster: info.cluster,
        resource,
        namespace: path.namespace,
        name: path.name,
        subresource: path.subresource,
        params: info.params,
        headers: parts.headers.clone(),
        warnings: Vec::new(),
    };
    if pods::is_stream(&context.resource, &context.subresource) {
        return pods::serve(&context, &mut parts, guard).await;
    }
    let mut response = match info.verb {
        "get" => read::get(&context)?,
        "list" => read::list(&context)?,
        "watch" => watch::serve(&context, guard)?,
        verb => {
            let bytes = decode::read_body(body).await?;
            match verb {
                "create" if reviews::is_review(&context.resource) => {
                    reviews::create(&context, &bytes).await?
                }
                "create" if !context.subresource.is_empty() => {
                    write::create_subresource(&mut context, &bytes).await?
                }
                "create" => write::create(&mut context, &bytes).await?,
                "update" => write::update(&mut context, &bytes).await?,
                "patch" => write::patch(&mut context, &bytes).await?,
                "delete" => delete::one(&mut context, &bytes).await?,
                "deletecollection" => delete::collection(&mut context, &bytes).await?,
                _ => return Err(ApiError::method_not_allowed()),
            }
        }
    };
    for warning in &context.warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = axum::body::Body::empty();
    }
    Ok(encode::finish(response))
}

/// What clients ask before they ask for anything, as oneself. Where it is refused,
/// kubectl says "Forbidden: unknown" and goes no further; so whoever does not belong
/// gets what every cluster serves, and reads in the refusal that follows what they
/// may not do.
fn is_general_question(parts: &http::request::Parts, path: &str) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
        && discovery::is_general(path)
        && !impersonates(&parts.headers)
}

/// Whether something in a cluster means an identity in particular.
fn belongs(inner: &Inner, cluster: &str, authenticated: &Authenticated) -> bool {
    let identity = &authenticated.identity;
    identity.is_administrator()
        || authenticated.account.is_some()
        || inner.policy(cluster).knows(identity)
}

/// Whom a request counts for, if they may do what it asks; of streams, asked
/// again while they are open.
///
/// To whoever nothing in a cluster means in particular, it is as if it were not
/// there: clusters are named after Organizations, and no Organization may learn
/// from an answer that another exists. What every authenticated user gets in a
/// cluster (its own discovery, health, reviews of oneself) is for those who belong
/// there.
pub(crate) fn permit(
    inner: &Inner,
    info: &RequestInfo,
    headers: &http::HeaderMap,
    authenticated: &Authenticated,
) -> Result<Identity, ApiError> {
    let identity = &authenticated.identity;
    if identity.is_administrator() && !impersonates(headers) {
        return Ok(identity.clone());
    }
    if !belongs(inner, &info.cluster, authenticated) {
        return Err(refusal(identity, info));
    }
    let policy = inner.policy(&info.cluster);
    let identity = impersonated(&policy, headers, identity.clone())?;
    authorize(&policy, &identity, info)?;
    Ok(identity)
}

/// Refuses verbs and scopes that the resource does not serve.
fn check_shape(
    info: &RequestInfo,
    path: &ResourcePath,
    resource: &crate::catalog::Resource,
) -> Result<(), ApiError> {
    if info.cluster == "*" && !matches!(info.verb, "list" | "watch") {
        return Err(ApiError::method_not_allowed());
    }
    if path.subresource.is_empty() {
        // A POST goes to the collection, never to an object.
        if !resource.serves(info.verb) || (info.verb == "create" && !path.name.is_empty()) {
            return Err(ApiError::method_not_allowed());
        }
    } else {
        let sub = resource
            .subresource(&path.subresource)
            .ok_or_else(ApiError::no_such_path)?;
        if !sub.verbs.iter().any(|verb| verb == info.verb) {
            return Err(ApiError::method_not_allowed());
        }
    }
    let is_namespaces = resource.storage == "namespaces";
    let across_allowed =
        matches!(info.verb, "list" | "watch" | "deletecollection") || !resource.serves("list");
    if resource.namespaced && path.namespace.is_empty() && !across_allowed {
        return Err(ApiError::bad_request(
            "an empty namespace may not be set during creation or by name",
        ));
    }
    if !resource.namespaced && !path.namespace.is_empty() && !is_namespaces {
        return Err(ApiError::no_such_path());
    }
    Ok(())
}

/// Whether a request wants to count for somebody else.
pub(crate) fn impersonates(headers: &http::HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
}

/// The identity that an `Impersonate-User` header asks for, if it may be taken.
fn impersonated(
    policy: &Policy,
    headers: &http::HeaderMap,
    identity: Identity,
) -> Result<Identity, ApiError> {
    let Some(user) = headers
        .get("impersonate-user")
        .and_then(|value| value.to_str().ok())
    else {
        // Never as oneself, where somebody else was meant.
        return if impersonates(headers) {
            Err(ApiError::bad_request(
                "impersonation needs the header Impersonate-User",
            ))
        } else {
            Ok(identity)
        };
    };
    let mut groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let mut asked = vec![("users", user)];
    asked.extend(groups.iter().map(|group| ("groups", group.as_str())));
    for (resource, name) in asked {
        let attributes = Attributes {
            verb: "impersonate",
            resource,
            name,
            ..Attributes::default()
        };
        if !policy.allows(&identity, &attributes) {
            return Err(ApiError::forbidden(
                "",
                resource,
                name,
                &format!(
                    "User {:?} cannot impersonate resource {resource:?} in API group \"\" at the cluster scope",
                    identity.user
                ),
            ));
        }
    }
    if !groups.iter().any(|group| group == "system:authenticated") {
        groups.push("system:authenticated".into());
    }
    Ok(Identity {
        user: user.to_owned(),
        groups,
    })
}
