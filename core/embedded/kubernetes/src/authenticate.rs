//! First step of a request: who makes it.
//!
//! In order: an [`Identity`] that the binary put into the request, a static
//! token, a service account token of the cluster asked, an OpenID Connect
//! token. A request without credentials, or with bad ones, is refused.
//!
//! Nobody is `system:anonymous` here, as on a server started with
//! `--anonymous-auth=false`. Version and health, which a server usually tells
//! everyone, would tell by their answers which clusters there are, and clusters
//! bear the names of Organizations. Stock clients send their credentials with
//! every request; what only looks whether this machine answers has `/readyz` at
//! the root.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::request::Parts;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::identity::Identity;
use crate::state::Inner;
use crate::status::ApiError;

/// An OpenID Connect issuer whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The `iss` claim, and where discovery is read from.
    pub issuer_url: String,
    /// Where the keys are; read from discovery when absent.
    pub jwks_url: Option<String>,
    /// Accepted `aud` claims.
    pub audiences: Vec<String>,
    /// Claim that names the user.
    pub username_claim: String,
    /// Put before the user's name.
    pub username_prefix: String,
    /// Claim that lists the groups.
    pub groups_claim: String,
    /// Put before each group.
    pub groups_prefix: String,
    /// Client that reaches the issuer.
    pub http: reqwest::Client,
}

/// How requests are authenticated, besides an [`Identity`] in the request.
#[derive(Debug, Clone, Default)]
pub struct Authenticators {
    /// Bearer tokens with a fixed identity.
    pub tokens: HashMap<String, Identity>,
    /// Issuers of OpenID Connect tokens.
    pub oidc: Vec<OidcConfig>,
}

/// Keys of the issuers as last fetched.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<String, (Instant, JwkSet)>>);

/// How far the clock of whoever issues tokens may be off.
const LEEWAY: u64 = 10;
/// A new key shows up at the latest this long after its first use.
const REFETCH_AFTER: Duration = Duration::from_secs(5);
/// A withdrawn key is trusted no longer than this.
const KEYS_VALID: Duration = Duration::from_secs(300);

/// Who makes a request, and what that rests on.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub identity: Identity,
    /// Unix time at which the token is no longer good for a new request.
    pub until: Option<i64>,
    /// The service account of this cluster that the token was made for.
    pub account: Option<Account>,
}

/// A service account that a token was made for.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    namespace: String,
    name: String,
    uid: String,
}

impl From<Identity> for Authenticated {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            until: None,
            account: None,
        }
    }
}

impl Account {
    /// Whether the account is still there: a token dies with it.
    pub fn stands(&self, inner: &Inner, cluster: &str) -> bool {
        inner
            .read_object("serviceaccounts", cluster, &self.namespace, &self.name)
            .is_some_and(|account| crate::object::uid(&account) == self.uid)
    }
}

/// Who makes a request to `cluster`.
pub(crate) async fn authenticate(
    inner: &Inner,
    cluster: &str,
    parts: &Parts,
) -> Result<Authenticated, ApiError> {
    let mut authenticated = if let Some(identity) = parts.extensions.get::<Identity>() {
        identity.clone().into()
    } else if let Some(token) = bearer_token(parts) {
        by_token(inner, cluster, &token).await?
    } else {
        return Err(ApiError::unauthorized());
    };
    let identity = &mut authenticated.identity;
    if !identity.is_in("system:authenticated") {
        identity.groups.push("system:authenticated".into());
    }
    Ok(authenticated)
}

fn bearer_token(parts: &Parts) -> Option<String> {
    if let Some(value) = parts.headers.get(http::header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned());
    }
    // Browsers cannot set headers on a WebSocket; Kubernetes takes the token
    // as a subprotocol there.
    let protocols = parts
        .headers
        .get(http::header::SEC_WEBSOCKET_PROTOCOL)?
        .to_str()
        .ok()?;
    let encoded = protocols.split(',').find_map(|one| {
        one.trim()
            .strip_prefix("base64url.bearer.authorization.k8s.io.")
    })?;
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, encoded).ok()?;
    String::from_utf8(bytes).ok()
}

/// Whom a bearer token stands for in `cluster`.
pub(crate) async fn by_token(
    inner: &Inner,
    cluster: &str,
    token: &str,
) -> Result<Authenticated, ApiError> {
    let known = inner
        .config
        .authenticators
        .tokens
        .iter()
        .find(|(known, _)| bool::from(known.as_bytes().ct_eq(token.as_bytes())));
    if let Some((_, identity)) = known {
        return Ok(identity.clone().into());
    }
    let claims = unverified_claims(token).ok_or_else(ApiError::unauthorized)?;
    let issuer = claims
        .get("iss")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if issuer == SERVICE_ACCOUNT_ISSUER {
        return by_account_token(inner, cluster, token);
    }
    for config in &inner.config.authenticators.oidc {
        if config.issuer_url.trim_end_matches('/') == issuer.trim_end_matches('/') {
            return by_oidc_token(&inner.keys, config, token).await;
        }
    }
    Err(ApiError::unauthorized())
}

fn unverified_claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

async fn by_oidc_token(
    cache: &KeyCache,
    config: &OidcConfig,
    token: &str,
) -> Result<Authenticated, ApiError> {
    let refuse = |reason: String| {
        tracing::debug!(%reason, issuer = %config.issuer_url, "a bearer token was refused");
        ApiError::unauthorized()
    };
    let header = jsonwebtoken::decode_header(token).map_err(|error| refuse(error.to_string()))?;
    let keys = issuer_keys(cache, config, header.kid.as_deref())
        .await
        .map_err(refuse)?;
    let key = match header.kid.as_deref() {
        Some(kid) => keys.find(kid),
        None => keys.keys.first(),
    }
    .ok_or_else(|| refuse("the issuer has no such key".into()))?;
    // The algorithm is the key's, not the token's: a token cannot choose how
    // it is checked. Shared-secret algorithms have no place in a key set.
    use jsonwebtoken::Algorithm;
    if matches!(
        header.alg,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    ) {
        return Err(refuse("symmetric signatures are not accepted".into()));
    }
    let decoding = DecodingKey::from_jwk(key).map_err(|error| refuse(error.to_string()))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[
        config.issuer_url.as_str(),
        config.issuer_url.trim_end_matches('/'),
    ]);
    validation.set_audience(&config.audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    let claims = jsonwebtoken::decode::<Value>(token, &decoding, &validation)
        .map_err(|error| refuse(error.to_string()))?
        .claims;
    // A clock that was ahead and has been set right must not leave tokens that
    // hold until then (the library looks at `exp` and `nbf` only).
    let latest = jiff::Timestamp::now().as_second().saturating_add(60);
    if claims.get("iat").and_then(Value::as_i64) > Some(latest) {
        return Err(refuse(
            "it was issued in the future; check the clocks".into(),
        ));
    }
    let user = claims
        .get(&config.username_claim)
        .and_then(Value::as_str)
        .filter(|user| !user.is_empty())
        .ok_or_else(|| refuse(format!("the claim {} is missing", config.username_claim)))?;
    let groups = match claims.get(&config.groups_claim) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    let groups: Vec<String> = groups
        .into_iter()
        .map(|group| format!("{}{group}", config.groups_prefix))
        // What the API itself gives meaning to is not the issuer's to hand out.
        .filter(|group| !group.starts_with("system:"))
        .collect();
    let user = format!("{}{user}", config.username_prefix);
    if user.starts_with("system:") {
        return Err(refuse("user names below system: are reserved".into()));
    }
    Ok(Authenticated {
        until: good_until(&claims),
        identity: Identity { user, groups },
        account: None,
    })
}

/// When a token with these claims is refused for the first time.
fn good_until(claims: &Value) -> Option<i64> {
    let expiry = claims.get("exp").and_then(Value::as_i64)?;
    Some(expiry.saturating_add_unsigned(LEEWAY))
}

async fn issuer_keys(
    cache: &KeyCache,
    config: &OidcConfig,
    kid: Option<&str>,
) -> Result<JwkSet, String> {
    let held = cache
        .0
        .lock()
        .map_err(|error| error.to_string())?
        .get(&config.issuer_url)
        .cloned();
    if let Some((fetched, keys)) = held {
        let known = kid.is_none_or(|kid| keys.find(kid).is_some());
        let age = fetched.elapsed();
        if age < KEYS_VALID && (known || age < REFETCH_AFTER) {
            return Ok(keys);
        }
    }
    let get = async |url: &str| -> Result<Value, String> {
        let request = config.http.get(url).timeout(Duration::from_secs(5));
        let response = request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        response
            .map_err(|error| error.to_string())?
            .json()
            .await
            .map_err(|error| error.to_string())
    };
    let url = match &config.jwks_url {
        Some(url) => url.clone(),
        None => {
            let discovery = get(&format!(
                "{}/.well-known/openid-configuration",
                config.issuer_url.trim_end_matches('/')
            ))
            .await?;
            discovery
                .get("jwks_uri")
                .and_then(Value::as_str)
                .ok_or("discovery names no jwks_uri")?
                .to_owned()
        }
    };
    let keys: JwkSet =
        serde_json::from_value(get(&url).await?).map_err(|error| error.to_string())?;
    let mut held = cache.0.lock().map_err(|error| error.to_string())?;
    held.insert(config.issuer_url.clone(), (Instant::now(), keys.clone()));
    Ok(keys)
}

/// The `iss` claim of service account tokens.
pub(crate) const SERVICE_ACCOUNT_ISSUER: &str = "https://kubernetes.default.svc";

/// Signs a token for a service account of `cluster`; returns it with its expiry.
pub(crate) fn sign_service_account_token(
    inner: &Inner,
    cluster: &str,
    account: &Value,
    seconds: i64,
) -> Result<(String, jiff::Timestamp), ApiError> {
    let now = jiff::Timestamp::now();
    let expires = now
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    let (namespace, name) = (
        crate::object::namespace(account),
        crate::object::name(account),
    );
    let claims = json!({
        "iss": SERVICE_ACCOUNT_ISSUER,
        "aud": [audience(cluster)],
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "iat": now.as_second(), "nbf": now.as_second(), "exp": expires.as_second(),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": crate::object::uid(account)}},
    });
    jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(&inner.token_key),
    )
    .map(|token| (token, expires))
    .map_err(|error| ApiError::internal(format!("cannot sign a service account token: {error}")))
}

fn audience(cluster: &str) -> String {
    format!("{SERVICE_ACCOUNT_ISSUER}/clusters/{cluster}")
}

fn by_account_token(inner: &Inner, cluster: &str, token: &str) -> Result<Authenticated, ApiError> {
    let mut validation = Validation::default();
    validation.set_issuer(&[SERVICE_ACCOUNT_ISSUER]);
    validation.set_audience(&[audience(cluster)]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = LEEWAY;
    let claims = jsonwebtoken::decode::<Value>(
        token,
        &DecodingKey::from_secret(&inner.token_key),
        &validation,
    )
    .map_err(|_| ApiError::unauthorized())?
    .claims;
    let bound = |pointer| {
        let bound = claims.get("kubernetes.io").unwrap_or(&Value::Null);
        crate::object::text(bound, pointer).to_owned()
    };
    let account = Account {
        namespace: bound("/namespace"),
        name: bound("/serviceaccount/name"),
        uid: bound("/serviceaccount/uid"),
    };
    if !account.stands(inner, cluster) {
        return Err(ApiError::unauthorized());
    }
    Ok(Authenticated {
        identity: Identity::service_account(&account.namespace, &account.name),
        until: good_until(&claims),
        account: Some(account),
    })
}
