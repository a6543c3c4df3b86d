//! The token endpoint, and how clients prove who they are.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use url::form_urlencoded;

use super::{ApiError, Params, device, private_headers};
use crate::Issuer;
use crate::config::{Client, Grant};
use crate::records::{Change, CodeRecord, GrantRecord};
use crate::secret;
use crate::tokens::{Refusal, TokenResponse, known_scopes};

pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const RETRIES: usize = 4;

pub(super) async fn token(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let params = Params::form(&headers, &body)?;
    let client = authenticate(&issuer, &headers, &params)?;
    let kind = params.require("grant_type")?;
    let grant = match kind {
        "authorization_code" => Grant::AuthorizationCode,
        "refresh_token" => Grant::RefreshToken,
        "client_credentials" => Grant::ClientCredentials,
        DEVICE_GRANT => Grant::DeviceCode,
        _ => {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "this grant_type is not known here; discovery lists those that are",
            ));
        }
    };
    permit(client, grant)?;
    let response = match grant {
        Grant::AuthorizationCode => redeem(&issuer, client, &params).await?,
        Grant::RefreshToken => refresh(&issuer, client, &params).await?,
        Grant::ClientCredentials => {
            let scope = known_scopes(params.get("scope").unwrap_or_default());
            issuer.client_tokens(client, &scope)?
        }
        Grant::DeviceCode => device::redeem(&issuer, client, &params).await?,
    };
    Ok((private_headers(), Json(response)).into_response())
}

/// Refuses a grant that the client did not register.
pub(super) fn permit(client: &Client, grant: Grant) -> Result<(), ApiError> {
    if client.may(grant) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "unauthorized_client",
        format!("the client {} is not registered for this grant", client.id),
    ))
}

/// The client that a request comes from: `client_secret_basic`,
/// `client_secret_post`, or just `client_id` for public clients.
pub(super) fn authenticate<'a>(
    issuer: &'a Issuer,
    headers: &HeaderMap,
    params: &Params,
) -> Result<&'a Client, ApiError> {
    let refused =
        || ApiError::invalid_client("the client is unknown or its secret is missing or wrong");
    let basic = headers
        .get(AUTHORIZATION)
        .map(|value| basic(value.as_bytes()).ok_or_else(refused));
    let (id, secrets) = match basic.transpose()? {
        Some((id, secret)) => {
            if params.get("client_secret").is_some()
                || params
                    .get("client_id")
                    .is_some_and(|other| other != id && other != decode(&id))
            {
                return Err(ApiError::invalid_request(
                    "the client authenticates in two ways at once; use one",
                ));
            }
            // RFC 6749, 2.3.1 has both parts form-encoded; many clients forget.
            let decoded = decode(&secret);
            (decode(&id), vec![secret, decoded])
        }
        None => {
            let id = params.require("client_id")?.to_owned();
            (
                id,
                params
                    .get("client_secret")
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
            )
        }
    };
    let client = issuer.client(&id).ok_or_else(refused)?;
    let proven = match &client.secret {
        Some(hash) => secrets.iter().any(|secret| hash.matches(secret)),
        None => secrets.iter().all(String::is_empty),
    };
    if proven { Ok(client) } else { Err(refused()) }
}

fn basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn decode(text: &str) -> String {
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

async fn redeem(
    issuer: &Issuer,
    client: &Client,
    params: &Params,
) -> Result<TokenResponse, ApiError> {
    let code = secret::fingerprint(params.require("code")?);
    for _ in 0..RETRIES {
        let unknown = || ApiError::invalid_grant("the code is unknown, expired or already used");
        let found = issuer
            .records()
            .get::<CodeRecord>(&code)?
            .filter(|found| found.value.approval.client == client.id)
            .ok_or_else(unknown)?;
        let record = &found.value;
        if let Some(grant) = &record.redeemed {
            // RFC 6749, 4.1.2: the code has leaked; end what it gave.
            tracing::warn!(client = %client.id, %grant, "authorization code reused, grant revoked");
            issuer
                .records()
                .commit(Change::new().delete::<GrantRecord>(grant))
                .await?;
            return Err(unknown());
        }
        if record.expires <= issuer.now() {
            return Err(unknown());
        }
        if params.get("redirect_uri") != Some(record.redirect_uri.as_str()) {
            return Err(ApiError::invalid_grant(
                "redirect_uri differs from that of the authorization request",
            ));
        }
        check_verifier(record.challenge.as_deref(), params.get("code_verifier"))?;
        let approval = record.approval.clone();
        let user = issuer
            .user_alive(&approval.user, approval.generation)?
            .ok_or_else(unknown)?;
        let grant = uuid::Uuid::new_v4().to_string();
        let mut used = record.clone();
        used.redeemed = Some(grant.clone());
        // Remembered for as long as its first tokens could be in use.
        used.expires = issuer.now().saturating_add(issuer.lifetimes().refresh_idle);
        let change = Change::new().when_unmodified(&found).put(&code, &used)?;
        let nonce = record.nonce.as_deref();
        match issuer
            .grant_open(client, &user, &grant, approval, nonce, change)
            .await
        {
            // Used twice at once: the second look revokes.
            Err(error) if error.is_conflict() => {}
            other => return Ok(other?),
        }
    }
    Err(ApiError::invalid_grant("the code is being used elsewhere"))
}

/// RFC 7636, section 4.6. A verifier without a challenge is refused too, so
/// that nobody can strip the challenge from a request unnoticed.
fn check_verifier(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), ApiError> {
    let matches = match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            (43..=128).contains(&verifier.len())
                && secret::equal(
                    challenge.as_bytes(),
                    secret::fingerprint(verifier).as_bytes(),
                )
        }
        _ => false,
    };
    if matches {
        return Ok(());
    }
    Err(ApiError::invalid_grant(
        "code_verifier does not belong to the code_challenge",
    ))
}

async fn refresh(
    issuer: &Issuer,
    client: &Client,
    params: &Params,
) -> Result<TokenResponse, ApiError> {
    let token = params.require("refresh_token")?;
    match issuer
        .grant_refresh(client, token, params.get("scope"))
        .await?
    {
        Ok(response) => Ok(response),
        Err(Refusal::Scope) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "a refresh cannot ask for more than was granted; sign in again",
        )),
        Err(Refusal::Replayed) => Err(ApiError::invalid_grant(
            "the refresh token had been used before, so all tokens of this sign-in were revoked; \
             sign in again",
        )),
        Err(Refusal::Invalid) => Err(ApiError::invalid_grant(
            "the refresh token is unknown, expired or revoked; sign in again",
        )),
    }
}
