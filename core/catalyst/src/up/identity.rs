//! Who holds a token, for the parts that do not speak OpenID Connect
//! themselves: they ask the issuer's introspection endpoint (RFC 7662) over
//! HTTP, on every request, so a removed user loses access at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use catalyst_registry::{
    Access, AccessError, Action, Credentials, Permissions, Principal, RepositoryName,
};
use futures::future::BoxFuture;
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// Members of this group administer the whole Sovereign.
pub const SOVEREIGN_ADMIN: &str = "sovereign-admin";

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A client of the introspection endpoint.
#[derive(Clone)]
pub struct Introspection {
    http: reqwest::Client,
    endpoint: Arc<OnceLock<String>>,
    client_id: String,
    client_secret: String,
}

/// What introspection says of a token that is good.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    active: bool,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

impl Introspection {
    /// A client that authenticates itself as `client_id`.
    pub fn new(http: reqwest::Client, client_id: &str, client_secret: String) -> Self {
        Self {
            http,
            endpoint: Arc::default(),
            client_id: client_id.to_owned(),
            client_secret,
        }
    }

    /// Says where the issuer is; until then nobody is recognised. Parts are
    /// built before the port is bound, so the address comes later.
    pub fn connect(&self, issuer: &str) {
        self.endpoint.get_or_init(|| format!("{issuer}/introspect"));
    }

    /// `None` when the token is not good; an error when nobody could be asked.
    async fn ask(&self, token: &str) -> anyhow::Result<Option<Answer>> {
        let endpoint = self
            .endpoint
            .get()
            .context("the issuer's address is not known yet")?;
        let answer: Answer = self
            .http
            .post(endpoint)
            .basic_auth(&self.client_id, Some(&self.client_secret))
            .form(&[("token", token)])
            .timeout(ANSWER_WITHIN)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .context("cannot ask the issuer about a token")?
            .json()
            .await
            .context("cannot read the issuer's answer about a token")?;
        Ok(answer.active.then_some(answer))
    }
}

impl Answer {
    fn name(&self) -> Option<String> {
        self.preferred_username
            .clone()
            .or_else(|| self.username.clone())
    }

    fn is_administrator(&self) -> bool {
        self.groups.iter().any(|group| group == SOVEREIGN_ADMIN)
    }
}

impl catalyst_forge::IdentityVerifier for Introspection {
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<catalyst_forge::Identity>> {
        Box::pin(async move {
            match self.ask(token).await {
                Ok(answer) => answer.and_then(|answer| {
                    let admin = answer.is_administrator();
                    Some(catalyst_forge::Identity {
                        username: answer.name()?,
                        email: answer.email,
                        admin,
                    })
                }),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "token not recognised");
                    None
                }
            }
        })
    }
}

/// Access to the registry: issuer tokens, as Bearer or in place of a password,
/// and the control plane's own token; permissions from the registry's table.
pub struct RegistryAccess {
    introspection: Introspection,
    permissions: Permissions,
    admin_token: String,
}

impl RegistryAccess {
    /// `admin_token` is always good and may do everything.
    pub fn new(
        introspection: Introspection,
        permissions: Permissions,
        admin_token: String,
    ) -> Self {
        Self {
            introspection,
            permissions,
            admin_token,
        }
    }

    async fn by_token(&self, token: &str) -> Result<Principal, AccessError> {
        if bool::from(self.admin_token.as_bytes().ct_eq(token.as_bytes())) {
            let mut principal = Principal::named("catalyst");
            principal.is_administrator = true;
            return Ok(principal);
        }
        match self.introspection.ask(token).await {
            Ok(Some(answer)) => Ok(Principal {
                name: Some(answer.name().ok_or(AccessError::Rejected)?),
                is_administrator: answer.is_administrator(),
                groups: answer.groups,
            }),
            Ok(None) => Err(AccessError::Rejected),
            Err(error) => Err(AccessError::Unavailable(format!("{error:#}"))),
        }
    }
}

impl Access for RegistryAccess {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Principal, AccessError>> {
        Box::pin(async move {
            match credentials {
                Credentials::Anonymous => Ok(Principal::default()),
                Credentials::Bearer(token) => self.by_token(token).await,
                Credentials::Basic { username, password } => {
                    let principal = self.by_token(password).await?;
                    // A token works under its owner's name only.
                    if principal.name.as_deref() == Some(username.as_str()) {
                        Ok(principal)
                    } else {
                        Err(AccessError::Rejected)
                    }
                }
            }
        })
    }

    fn allows<'a>(
        &'a self,
        principal: &'a Principal,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async move { Ok(self.permissions.allows(principal, repository, action)) })
    }
}
