//! Reviews: requests that ask about access and are never stored.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::authorize::Attributes;
use crate::catalog::Resource;
use crate::context::Context;
use crate::identity::Identity;
use crate::object::{array, set, text};
use crate::status::ApiError;
use crate::{authenticate, decode, encode};

/// Whether the resource is a review.
pub(crate) fn is_review(resource: &Resource) -> bool {
    resource.custom.is_none()
        && matches!(
            resource.group.as_str(),
            "authorization.k8s.io" | "authentication.k8s.io"
        )
}

/// Answers a review.
pub(crate) async fn create(context: &Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let mut review = decode::object(context, bytes)?;
    let status = match context.resource.plural.as_str() {
        "selfsubjectaccessreviews" => access(context, &context.identity, &review, None),
        "localsubjectaccessreviews" => access(
            context,
            &subject(&review),
            &review,
            Some(&context.namespace),
        ),
        "subjectaccessreviews" => access(context, &subject(&review), &review, None),
        "selfsubjectrulesreviews" => rules(context, text(&review, "/spec/namespace")),
        "selfsubjectreviews" => json!({"userInfo": context.identity.to_user_info()}),
        "tokenreviews" => token(context, text(&review, "/spec/token")).await,
        _ => return Err(ApiError::no_such_path()),
    };
    set(&mut review, &["status"], status);
    Ok(encode::respond(
        StatusCode::CREATED,
        &review,
        encode::negotiate(&context.headers)?.1,
    ))
}

fn subject(review: &Value) -> Identity {
    Identity {
        user: text(review, "/spec/user").to_owned(),
        groups: array(review, "/spec/groups")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    }
}

fn access(context: &Context, identity: &Identity, review: &Value, space: Option<&str>) -> Value {
    let field = |name: &str| text(review, &format!("/spec/resourceAttributes/{name}"));
    let path = text(review, "/spec/nonResourceAttributes/path");
    let attributes = if path.is_empty() {
        Attributes {
            verb: field("verb"),
            group: field("group"),
            resource: field("resource"),
            subresource: field("subresource"),
            namespace: space.unwrap_or_else(|| field("namespace")),
            name: field("name"),
            path: None,
        }
    } else {
        Attributes {
            verb: text(review, "/spec/nonResourceAttributes/verb"),
            path: Some(path),
            ..Attributes::default()
        }
    };
    json!({"allowed": context.inner.policy(&context.cluster).allows(identity, &attributes)})
}

fn rules(context: &Context, space: &str) -> Value {
    let policy = context.inner.policy(&context.cluster);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    if context.identity.is_administrator() {
        resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    for rule in policy
        .grants_for(&context.identity, space)
        .flat_map(|grant| &grant.rules)
    {
        if rule.paths.is_empty() {
            let mut shown =
                json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources});
            if !rule.names.is_empty() {
                set(&mut shown, &["resourceNames"], json!(rule.names));
            }
            resources.push(shown);
        } else {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.paths}));
        }
    }
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

async fn token(context: &Context, token: &str) -> Value {
    match authenticate::by_token(&context.inner, &context.cluster, token).await {
        Ok(found) => json!({"authenticated": true, "user": found.identity.to_user_info()}),
        Err(_) => {
            json!({"authenticated": false, "error": "the token is not valid here", "user": {}})
        }
    }
}
