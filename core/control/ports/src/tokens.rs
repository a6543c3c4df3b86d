//! Bearer tokens for the control plane itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use zeroize::Zeroizing;

use crate::PortError;

/// A token is renewed this long before it ends.
const EARLY: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Says who the control plane is; clones share the token that is in use.
#[derive(Clone)]
pub struct Tokens {
    source: Arc<Source>,
}

enum Source {
    Fixed(Zeroizing<String>),
    Basic(String, Zeroizing<String>),
    Client(Box<Client>),
}

struct Client {
    http: reqwest::Client,
    issuer: String,
    id: String,
    secret: Zeroizing<String>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    endpoint: Option<String>,
    token: Option<(Zeroizing<String>, Instant)>,
}

#[derive(Deserialize)]
struct Discovery {
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tokens")
    }
}

impl Tokens {
    /// Tokens from an OpenID Connect issuer by client credentials (RFC 6749,
    /// section 4.4), asked for when needed and kept until shortly before they
    /// end. The token endpoint is the one that the issuer's discovery names.
    pub fn client_credentials(
        http: reqwest::Client,
        issuer: Url,
        client_id: String,
        secret: Zeroizing<String>,
    ) -> Self {
        Self::of(Source::Client(Box::new(Client {
            http,
            issuer: issuer.as_str().trim_end_matches('/').to_owned(),
            id: client_id,
            secret,
            current: Mutex::default(),
        })))
    }

    /// One token for ever.
    pub fn fixed(token: impl Into<String>) -> Self {
        Self::of(Source::Fixed(Zeroizing::new(token.into())))
    }

    /// A user name and password, for parts that take nothing else; where a
    /// bearer token is asked for, the password is it.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::of(Source::Basic(
            username.into(),
            Zeroizing::new(password.into()),
        ))
    }

    fn of(source: Source) -> Self {
        Self {
            source: Arc::new(source),
        }
    }

    /// A token that is good for at least half a minute.
    pub async fn bearer(&self) -> Result<String, PortError> {
        match self.source.as_ref() {
            Source::Fixed(token) | Source::Basic(_, token) => Ok(token.to_string()),
            Source::Client(client) => client.bearer().await,
        }
    }

    /// The value of an `Authorization` header.
    pub async fn authorization(&self) -> Result<HeaderValue, PortError> {
        let text = Zeroizing::new(match self.source.as_ref() {
            Source::Basic(username, password) => {
                let pair = Zeroizing::new(format!("{username}:{}", password.as_str()));
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            Source::Fixed(_) | Source::Client(_) => format!("Bearer {}", self.bearer().await?),
        });
        HeaderValue::from_str(&text).map_err(|_| PortError::Prepare {
            action: "sign in".to_owned(),
            reason: "the token is not text that a header can carry".to_owned(),
        })
    }

    /// Forgets the token in use, so that the next call asks for a new one;
    /// `false` where there is only one.
    pub(crate) async fn renew(&self) -> bool {
        match self.source.as_ref() {
            Source::Client(client) => client.current.lock().await.token.take().is_some(),
            Source::Fixed(_) | Source::Basic(..) => false,
        }
    }
}

impl Client {
    async fn bearer(&self) -> Result<String, PortError> {
        // Held over the request: callers that come meanwhile want the same.
        let mut current = self.current.lock().await;
        if let Some((token, until)) = &current.token
            && Instant::now() < *until
        {
            return Ok(token.to_string());
        }
        let endpoint = match &current.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let address = format!("{}/.well-known/openid-configuration", self.issuer);
                let discovery: Discovery = self.read(self.http.get(address)).await?;
                current.endpoint = Some(discovery.token_endpoint.clone());
                discovery.token_endpoint
            }
        };
        let request = self
            .http
            .post(endpoint)
            .basic_auth(&self.id, Some(self.secret.as_str()))
            .form(&[("grant_type", "client_credentials")]);
        let granted: Granted = self.read(request).await?;
        let lifetime = Duration::from_secs(granted.expires_in.unwrap_or(60));
        let until = Instant::now() + lifetime.saturating_sub(EARLY);
        let token = Zeroizing::new(granted.access_token);
        current.token = Some((token.clone(), until));
        Ok(token.to_string())
    }

    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, PortError> {
        let action = || format!("get a token for the client {}", self.id);
        let reach = |source: reqwest::Error| PortError::Reach {
            part: "issuer",
            action: action(),
            source: Box::new(source),
        };
        let answer = request.timeout(ANSWER_WITHIN).send().await.map_err(reach)?;
        let status = answer.status();
        let body = Zeroizing::new(answer.bytes().await.map_err(reach)?.to_vec());
        if !status.is_success() {
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let reason = ["error_description", "error"]
                .into_iter()
                .find_map(|name| value.get(name)?.as_str().map(str::to_owned));
            return Err(PortError::Ask {
                part: "issuer",
                action: action(),
                status: status.as_u16(),
                reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
            });
        }
        serde_json::from_slice(&body).map_err(|_| PortError::Read {
            part: "issuer",
            action: action(),
            reason: "it is not the JSON of OpenID Connect".to_owned(),
        })
    }
}
