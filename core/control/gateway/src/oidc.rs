//! The issuer, as the gateway needs it: OpenID Connect Discovery and Core,
//! OAuth 2.0 with PKCE (RFC 7636), introspection (RFC 7662), revocation
//! (RFC 7009).
//!
//! Used by `authentication` (who holds a token) and `sign_in`. What must stay
//! true: an answer about a token is at most two seconds old, so a removed user
//! is out within seconds; an identity token counts only when its signature,
//! issuer, audience, nonce and time do; no token stands in an error or a log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How old a good answer of introspection may be.
const TOKEN_FRESH: Duration = Duration::from_secs(2);
/// How old discovery and keys may be.
const DOCUMENT_FRESH: Duration = Duration::from_secs(300);
/// How soon keys may be read again for a key that is not among them.
const KEYS_AGAIN: Duration = Duration::from_secs(5);
/// How long the issuer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// At most so many answers are kept.
const MOST_ANSWERS: usize = 10_000;
/// Scopes that are asked for where the issuer has them.
const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];
/// Signatures that count; never `none` nor a shared secret.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::PS256,
];

/// Where the issuer is and who the gateway is to it.
#[derive(Clone)]
pub struct IssuerConfig {
    /// The issuer identifier, exactly as its `iss` claims say.
    pub issuer: Url,
    /// The public client that browsers sign in with.
    pub console_client: String,
    /// The confidential client that introspects.
    pub control_client: String,
    /// Its secret.
    pub control_secret: Zeroizing<String>,
    /// What must be among `aud` of access tokens; everything counts if absent.
    pub audience: Option<String>,
}

/// Why the issuer's help was not had.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It gave no answer.
    #[error("cannot {action}: the issuer gave no answer; it is tried again at the next request")]
    Reach {
        /// What was attempted.
        action: &'static str,
        /// What happened on the way, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// It said no.
    #[error("cannot {action}: the issuer answered {status} {code}")]
    Refuse {
        /// What was attempted.
        action: &'static str,
        /// The HTTP status.
        status: u16,
        /// OAuth's error code.
        code: String,
    },
    /// An identity token does not count.
    #[error("cannot trust the identity token: {reason}; sign in again")]
    Verify {
        /// What is wrong with it.
        reason: String,
    },
}

impl OidcError {
    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Reach { .. } => true,
            Self::Refuse { status, .. } => matches!(status, 429 | 500..),
            Self::Verify { .. } => false,
        }
    }
}

/// Who holds an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user's name.
    pub username: String,
    /// The user's mail address.
    pub email: Option<String>,
    /// The user's groups as of now.
    pub groups: Vec<String>,
}

/// The part of the discovery document that is used.
#[derive(Debug, Clone, Deserialize)]
pub struct Discovery {
    issuer: String,
    /// Where browsers are sent to.
    pub authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    introspection_endpoint: String,
    revocation_endpoint: Option<String>,
    /// Where browsers are sent to when they sign out.
    pub end_session_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

impl Discovery {
    /// The scopes to ask for.
    pub fn scopes(&self) -> String {
        let wanted = SCOPES.into_iter().filter(|scope| {
            *scope == "openid" || self.scopes_supported.iter().any(|known| known == scope)
        });
        wanted.collect::<Vec<_>>().join(" ")
    }
}

/// What the token endpoint gives. Dropped, it is overwritten.
#[derive(Deserialize)]
pub struct Tokens {
    /// The access token.
    pub access_token: Secret,
    /// Seconds until the access token ends.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// The refresh token, where the issuer gives one.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// The identity token.
    #[serde(default)]
    pub id_token: Option<Secret>,
}

/// What is read of an identity token.
#[derive(Debug, Deserialize)]
struct IdentityClaims {
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    aud: Audience,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }

    fn is_several(&self) -> bool {
        matches!(self, Self::Many(many) if many.len() > 1)
    }
}

#[derive(Debug, Deserialize)]
struct Introspection {
    active: bool,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    token_type: Option<String>,
    /// Keycloak's word for what a token is: `Bearer`, `Refresh`, `ID`.
    #[serde(default)]
    typ: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct OAuthError {
    #[serde(default)]
    error: String,
}

type Remembered<T> = AsyncMutex<Option<(Instant, T)>>;
type Answers = HashMap<[u8; 32], (Instant, Holder)>;

/// A client of the issuer; clones share what it knows.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    config: IssuerConfig,
    discovery: Remembered<Arc<Discovery>>,
    keys: Remembered<Arc<JwkSet>>,
    answers: Mutex<Answers>,
}

impl Issuer {
    /// A client; nothing is asked before it is needed.
    pub fn new(http: reqwest::Client, config: IssuerConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                http,
                config,
                discovery: Remembered::default(),
                keys: Remembered::default(),
                answers: Mutex::default(),
            }),
        }
    }

    /// The public client that browsers sign in with.
    pub fn console_client(&self) -> &str {
        &self.inner.config.console_client
    }

    /// The issuer's origin, for the console's content security policy.
    pub fn origin(&self) -> String {
        self.inner.config.issuer.origin().ascii_serialization()
    }

    /// The issuer identifier.
    pub fn identifier(&self) -> &str {
        self.inner.config.issuer.as_str().trim_end_matches('/')
    }

    /// The discovery document, read anew every five minutes.
    pub async fn discovery(&self) -> Result<Arc<Discovery>, OidcError> {
        const ACTION: &str = "read the issuer's discovery document";
        let mut kept = self.inner.discovery.lock().await;
        if let Some((at, discovery)) = &*kept
            && at.elapsed() < DOCUMENT_FRESH
        {
            return Ok(Arc::clone(discovery));
        }
        let url = format!("{}/.well-known/openid-configuration", self.identifier());
        let discovery: Discovery = read(ACTION, self.inner.http.get(url)).await?;
        // Discovery, 4.3: another issuer's document must not count.
        if discovery.issuer.trim_end_matches('/') != self.identifier() {
            return Err(OidcError::Refuse {
                action: ACTION,
                status: 200,
                code: format!("as {}", discovery.issuer),
            });
        }
        let discovery = Arc::new(discovery);
        *kept = Some((Instant::now(), Arc::clone(&discovery)));
        Ok(discovery)
    }

    /// Who holds an access token right now; `None` when it is not good.
    pub async fn holder(&self, token: &str) -> Result<Option<Holder>, OidcError> {
        let key = hash(token);
        if let Some(holder) = self.remembered(&key) {
            return Ok(Some(holder));
        }
        let discovery = self.discovery().await?;
        let config = &self.inner.config;
        let asked = Instant::now();
        let request = self
            .inner
            .http
            .post(&discovery.introspection_endpoint)
            .basic_auth(&config.control_client, Some(config.control_secret.as_str()))
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        let answer: Introspection = read("ask the issuer about a token", request).await?;
        let Some(holder) = self.accept(answer) else {
            return Ok(None);
        };
        let mut answers = self.answers();
        if answers.len() >= MOST_ANSWERS {
            answers.retain(|_, (at, _)| at.elapsed() < TOKEN_FRESH);
        }
        if answers.len() < MOST_ANSWERS {
            answers.insert(key, (asked, holder.clone()));
        }
        Ok(Some(holder))
    }

    /// Asks about every token anew.
    pub fn forget(&self) {
        self.answers().clear();
    }

    fn accept(&self, answer: Introspection) -> Option<Holder> {
        let is_bearer = |kind: &Option<String>| {
            kind.as_deref()
                .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
        };
        // Refresh and identity tokens are "active" too at some issuers.
        let is_access = (answer.token_type.is_some() || answer.typ.is_some())
            && is_bearer(&answer.token_type)
            && is_bearer(&answer.typ);
        let is_for_us = match (&self.inner.config.audience, &answer.aud) {
            (None, _) => true,
            (Some(wanted), Some(audience)) => audience.holds(wanted),
            (Some(_), None) => false,
        };
        if !(answer.active && is_access && is_for_us) {
            return None;
        }
        Some(Holder {
            username: answer.preferred_username.or(answer.username)?,
            email: answer.email,
            groups: answer
                .groups
                .into_iter()
                .map(|group| group.trim_start_matches('/').to_owned())
                .collect(),
        })
    }

    /// Redeems an authorization code (RFC 6749, 4.1.3, with PKCE).
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<Tokens, OidcError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", self.console_client()),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect),
        ];
        self.tokens("redeem the sign-in's code", &form).await
    }

    /// Renews tokens (RFC 6749, 6).
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, OidcError> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.console_client()),
            ("refresh_token", refresh_token),
        ];
        self.tokens("renew a session's tokens", &form).await
    }

    async fn tokens(
        &self,
        action: &'static str,
        form: &[(&str, &str)],
    ) -> Result<Tokens, OidcError> {
        let discovery = self.discovery().await?;
        let request = self.inner.http.post(&discovery.token_endpoint).form(form);
        read(action, request).await
    }

    /// Ends a token at the issuer (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Result<(), OidcError> {
        const ACTION: &str = "end a session's tokens";
        let discovery = self.discovery().await?;
        let Some(endpoint) = &discovery.revocation_endpoint else {
            return Ok(());
        };
        let form = [("token", token), ("client_id", self.console_client())];
        answer(ACTION, self.inner.http.post(endpoint).form(&form))
            .await
            .map(drop)
    }

    /// Whether an identity token is the issuer's, for the console, about this
    /// sign-in (OpenID Connect Core, 3.1.3.7).
    pub async fn verify_identity(&self, token: &str, nonce: &str) -> Result<(), OidcError> {
        let bad = |reason: &str| OidcError::Verify {
            reason: reason.to_owned(),
        };
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| bad("it is not a signed JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(bad("its algorithm does not count"));
        }
        let key = self.key(header.kid.as_deref()).await?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = 30;
        validation.set_issuer(&[self.identifier()]);
        validation.set_audience(&[self.console_client()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = jsonwebtoken::decode::<IdentityClaims>(token, &key, &validation)
            .map_err(|error| OidcError::Verify {
                reason: error.to_string(),
            })?
            .claims;
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(bad("it answers another sign-in"));
        }
        let authorized = claims.azp.as_deref();
        let is_ours = authorized.is_some_and(|party| party == self.console_client());
        if (authorized.is_some() || claims.aud.is_several()) && !is_ours {
            return Err(bad("it was made for another client"));
        }
        Ok(())
    }

    /// The key of an identity token; keys are read again when it is not known.
    async fn key(&self, id: Option<&str>) -> Result<DecodingKey, OidcError> {
        const ACTION: &str = "read the issuer's keys";
        let mut kept = self.inner.keys.lock().await;
        let find = |keys: &JwkSet| match id {
            Some(id) => keys.find(id).cloned(),
            None => match keys.keys.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
        };
        let mut found = None;
        let mut age = DOCUMENT_FRESH;
        if let Some((at, keys)) = &*kept {
            age = at.elapsed();
            found = find(keys).filter(|_| age < DOCUMENT_FRESH);
        }
        if found.is_none() && age >= KEYS_AGAIN {
            let discovery = self.discovery().await?;
            let keys: JwkSet = read(ACTION, self.inner.http.get(&discovery.jwks_uri)).await?;
            found = find(&keys);
            *kept = Some((Instant::now(), Arc::new(keys)));
        }
        found
            .as_ref()
            .and_then(|key| DecodingKey::from_jwk(key).ok())
            .ok_or_else(|| OidcError::Verify {
                reason: "the issuer has no key of its name".to_owned(),
            })
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Holder> {
        let answers = self.answers();
        let (at, holder) = answers.get(key)?;
        (at.elapsed() < TOKEN_FRESH).then(|| holder.clone())
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.inner
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256, under which secrets are remembered.
pub fn hash(secret: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    bytes
}

async fn answer(
    action: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, OidcError> {
    let reach = |source: reqwest::Error| OidcError::Reach {
        action,
        source: source.without_url(),
    };
    let response = request.timeout(ANSWER_WITHIN).send().await.map_err(reach)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let error: OAuthError = response.json().await.unwrap_or_default();
    Err(OidcError::Refuse {
        action,
        status: status.as_u16(),
        code: error.error,
    })
}

async fn read<T: serde::de::DeserializeOwned>(
    action: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<T, OidcError> {
    let response = answer(action, request).await?;
    response.json().await.map_err(|source| OidcError::Reach {
        action,
        source: source.without_url(),
    })
}
