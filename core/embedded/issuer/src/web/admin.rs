//! Users over HTTP, in the shape of Keycloak's admin REST API, for the one
//! realm `catalyst`. One resource is ours alone: `POST …/{id}/invitation`
//! answers with a one-time link, where Keycloak would send a mail.
//!
//! Callers hold an access token that a client registered with `admin` got by
//! client credentials; a user's token never suffices.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LOCATION};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{ApiError, Params, bearer, private_headers};
use crate::Issuer;
use crate::users::{NewUser, User, UserUpdate};

/// Keycloak's UserRepresentation, as far as it means something here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Representation {
    username: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    enabled: Option<bool>,
    groups: Option<Vec<String>>,
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

/// Keycloak's CredentialRepresentation; no `Debug`, it holds a password.
#[derive(Deserialize)]
struct Credential {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    return_to: String,
}

pub(super) async fn list(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|name| {
        ApiError::invalid_request(format!("the parameter {name} is given more than once"))
    })?;
    let number = |name: &str, default: usize| match params.get(name).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(ApiError::invalid_request(format!("{name} is not a number"))),
    };
    let (first, max) = (number("first", 0)?, number("max", 100)?);
    let exact = params.get("exact") == Some("true");
    let matches = |value: Option<&str>, wanted: Option<&str>| match (value, wanted) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(value), Some(wanted)) => {
            let (value, wanted) = (value.to_lowercase(), wanted.to_lowercase());
            if exact {
                value == wanted
            } else {
                value.contains(&wanted)
            }
        }
    };
    let search = params.get("search");
    let users: Vec<Value> = issuer
        .user_list()?
        .into_iter()
        .filter(|user| {
            let texts = [
                Some(&user.username),
                user.email.as_ref(),
                user.first_name.as_ref(),
                user.last_name.as_ref(),
            ];
            matches(Some(&user.username), params.get("username"))
                && matches(user.email.as_deref(), params.get("email"))
                && texts
                    .into_iter()
                    .any(|text| matches(text.map(String::as_str), search))
        })
        .skip(first)
        .take(max)
        .map(|user| represent(&user))
        .collect();
    Ok((private_headers(), Json(users)).into_response())
}

pub(super) async fn create(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let wanted: Representation = read(&body)?;
    let user = issuer
        .user_create(NewUser {
            username: wanted
                .username
                .ok_or_else(|| ApiError::invalid_request("username is missing"))?,
            email: wanted.email,
            first_name: wanted.first_name,
            last_name: wanted.last_name,
            groups: wanted.groups.unwrap_or_default(),
            attributes: wanted.attributes.unwrap_or_default(),
        })
        .await?;
    if wanted.enabled == Some(false) {
        issuer.user_disable(&user.id).await?;
    }
    let location = format!(
        "{}/admin/realms/catalyst/users/{}",
        issuer.identifier(),
        user.id
    );
    let mut response = (StatusCode::CREATED, private_headers()).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn show(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let user = issuer.user_get(&id)?;
    Ok((private_headers(), Json(represent(&user))).into_response())
}

pub(super) async fn update(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let wanted: Representation = read(&body)?;
    let user = issuer.user_get(&id)?;
    if wanted
        .username
        .is_some_and(|name| crate::users::normalize(&name) != user.username)
    {
        return Err(ApiError::invalid_request("a user name cannot be changed"));
    }
    issuer
        .user_update(
            &id,
            UserUpdate {
                email: wanted.email,
                first_name: wanted.first_name,
                last_name: wanted.last_name,
                groups: wanted.groups,
                enabled: wanted.enabled,
            },
        )
        .await?;
    Ok(no_content())
}

pub(super) async fn remove(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    issuer.user_delete(&id).await?;
    Ok(no_content())
}

pub(super) async fn sign_out(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    issuer.user_sign_out(&id).await?;
    Ok(no_content())
}

pub(super) async fn set_password(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let credential: Credential = read(&body)?;
    if credential.kind != "password" {
        return Err(ApiError::invalid_request("type must be password"));
    }
    let password = Zeroizing::new(credential.value);
    issuer.user_set_password(&id, &password).await?;
    Ok(no_content())
}

pub(super) async fn invite(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    authorize(&issuer, &headers)?;
    let wanted: Invitation = read(&body)?;
    let return_to = Url::parse(&wanted.return_to)
        .map_err(|error| ApiError::invalid_request(format!("returnTo is not a URL: {error}")))?;
    let link = issuer.user_invite(&id, &return_to).await?;
    let answer = json!({ "link": link.url, "expires": link.expires.to_string() });
    Ok((StatusCode::CREATED, private_headers(), Json(answer)).into_response())
}

fn authorize(issuer: &Issuer, headers: &HeaderMap) -> Result<(), ApiError> {
    let token = bearer(headers).ok_or_else(ApiError::invalid_token)?;
    let claims = issuer
        .introspect(token)?
        .ok_or_else(ApiError::invalid_token)?;
    let privileged = claims.grant.is_none()
        && claims.sub == claims.client_id
        && issuer
            .client(&claims.client_id)
            .is_some_and(|client| client.admin);
    if privileged {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "insufficient_scope",
        "only a client registered as an administrator may manage users",
    ))
}

/// Serde's message is left out: it may quote a password.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::invalid_request(format!(
            "the body is not the JSON expected here (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn represent(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "enabled": user.enabled,
        "emailVerified": false,
        "groups": user.groups,
        "attributes": user.attributes,
        "createdTimestamp": user.created.as_millisecond(),
        "requiredActions": if user.has_password { vec![] } else { vec!["UPDATE_PASSWORD"] },
    })
}

fn no_content() -> Response {
    (StatusCode::NO_CONTENT, private_headers()).into_response()
}
