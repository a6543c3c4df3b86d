//! How a request says who sends it: a bearer token, or the console's cookie.
//!
//! What must stay true: a request that carries an `Authorization` header is
//! judged by it alone; a write by cookie comes from the console's own origin,
//! since Applications share its site; several cookies of one name are none,
//! since a neighbouring host could have planted one.

use std::sync::Arc;

use catalyst_commands::Actor;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderMap, Method};

use crate::Gateway;
use crate::caller::Caller;
use crate::oidc::OidcError;
use crate::problem::Refusal;
use crate::session::SessionError;

/// Members of this group administer the whole Sovereign.
pub const SOVEREIGN_ADMIN: &str = "sovereign-admin";
/// Browsers say by it how the asking page stands to us (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// What a request brought to be recognised by.
#[derive(Clone)]
pub enum Credential {
    /// An access token of the issuer.
    Bearer(Arc<str>),
    /// The name of a session.
    Session(Arc<str>),
}

impl Gateway {
    /// The credential of a request.
    pub fn credential(&self, method: &Method, headers: &HeaderMap) -> Result<Credential, Refusal> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            return value
                .to_str()
                .ok()
                .and_then(|value| value.split_once(' '))
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, token)| Credential::Bearer(token.trim().into()))
                .ok_or_else(|| {
                    Refusal::unauthenticated("The Authorization header is not a bearer token.")
                });
        }
        let name = cookie(headers, self.session_cookie())
            .ok_or_else(|| Refusal::unauthenticated("The request carries no credentials."))?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            self.require_own_origin(headers)?;
        }
        Ok(Credential::Session(name.into()))
    }

    /// Refuses a write that another origin's page sends.
    pub fn require_own_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let site_is_ours = text(FETCH_SITE).is_none_or(|site| site == "same-origin");
        let is_ours = match headers.get(ORIGIN) {
            Some(origin) => origin.as_bytes() == self.origin().as_bytes(),
            // Without either header nothing tells where this comes from.
            None => text(FETCH_SITE).is_some(),
        };
        if site_is_ours && is_ours {
            return Ok(());
        }
        Err(Refusal::new(
            http::StatusCode::FORBIDDEN,
            "foreign-origin",
            "Accept a change from a browser",
            "A request with the console's session must come from the console's own pages.",
        )
        .next("Use the console, or send an access token as `Authorization: Bearer`."))
    }

    /// The caller behind a credential, as of now. Asked again and again while a
    /// long answer goes on.
    pub async fn caller(&self, credential: Credential) -> Result<Caller, Refusal> {
        let token: Arc<str> = match &credential {
            Credential::Bearer(token) => Arc::clone(token),
            Credential::Session(name) => {
                let token = self.sessions().token(name).await.map_err(unsure)?;
                let token = token.ok_or_else(ended)?;
                (*token).into()
            }
        };
        let holder = self.issuer().holder(&token).await.map_err(unasked)?;
        let Some(holder) = holder else {
            return Err(match &credential {
                Credential::Bearer(_) => {
                    Refusal::unauthenticated("The access token is not, or no longer, valid.")
                }
                Credential::Session(name) => {
                    self.sessions().drop_session(name).await;
                    ended()
                }
            });
        };
        let actor = Actor {
            sovereign_admin: holder.groups.iter().any(|group| group == SOVEREIGN_ADMIN),
            username: holder.username,
            email: holder.email,
            groups: holder.groups,
            request: None,
        };
        let organizations = self.organizations().await?;
        Ok(Caller::new(actor, credential, token, &organizations))
    }
}

/// The value of a cookie that is given exactly once.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn ended() -> Refusal {
    Refusal::unauthenticated("The session is not known or has ended.")
}

fn unsure(error: SessionError) -> Refusal {
    tracing::warn!(%error, "session not usable");
    Refusal::unavailable(
        "Recognise the caller",
        "The session cannot be read or renewed.",
    )
}

fn unasked(error: OidcError) -> Refusal {
    tracing::warn!(%error, "token not recognised");
    Refusal::unavailable(
        "Recognise the caller",
        "The issuer cannot be asked about the access token.",
    )
}
