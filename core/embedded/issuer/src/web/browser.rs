//! The browser's two cookies, sessions, and protection of forms.
//!
//! Applications share the site with the issuer, so `SameSite` alone does not
//! keep their pages from posting here: a form needs the token that belongs to
//! the browser cookie, and a browser that names another `Origin` is refused.

use axum::response::Response;
use http::StatusCode;
use http::header::{COOKIE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};

use super::{PageError, Params};
use crate::Issuer;
use crate::error::Error;
use crate::records::{Change, Found, GrantRecord, SessionRecord, UserRecord};
use crate::secret;

/// A signed-in browser.
pub(super) struct Session {
    pub(super) found: Found<SessionRecord>,
    pub(super) user: UserRecord,
}

/// The cookie that form tokens belong to, and whether the browser has it yet.
pub(super) struct Browser {
    cookie: String,
    is_new: bool,
    pub(super) form_token: String,
}

impl Browser {
    /// Gives the browser its cookie unless it has it.
    pub(super) fn remember(&self, issuer: &Issuer, response: &mut Response) {
        if self.is_new {
            set_cookie(issuer, response, "browser", &self.cookie, None);
        }
    }
}

impl Issuer {
    pub(super) fn browser(&self, headers: &HeaderMap) -> Result<Browser, Error> {
        let known = cookie(self, headers, "browser").filter(|value| value.len() == 43);
        let is_new = known.is_none();
        let cookie = known.map_or_else(secret::token, |value| Ok(value.to_owned()))?;
        let form_token = self.inner.sealer.form_token(&cookie);
        Ok(Browser {
            cookie,
            is_new,
            form_token,
        })
    }

    /// Refuses a form that did not come from one of our own pages.
    pub(super) fn check_form(&self, headers: &HeaderMap, params: &Params) -> Result<(), PageError> {
        let same_origin = match headers.get(ORIGIN) {
            Some(origin) => origin.as_bytes() == self.inner.origin.as_bytes(),
            None => true,
        };
        let same_site = match headers.get("sec-fetch-site") {
            Some(site) => matches!(site.as_bytes(), b"same-origin" | b"none"),
            None => true,
        };
        let token = params.get("form_token").unwrap_or_default();
        let belongs = cookie(self, headers, "browser")
            .is_some_and(|cookie| self.inner.sealer.form_token_matches(cookie, token));
        if same_origin && same_site && belongs {
            return Ok(());
        }
        Err(PageError {
            status: StatusCode::FORBIDDEN,
            title: "This form is no longer valid",
            message: "It was not sent from a page of this site in this browser. Go back, load the \
                      page again with cookies allowed, and send it once more."
                .to_owned(),
        })
    }

    pub(super) fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, Error> {
        let Some(token) = cookie(self, headers, "session") else {
            return Ok(None);
        };
        let Some(found) = self
            .records()
            .get::<SessionRecord>(&secret::fingerprint(token))?
        else {
            return Ok(None);
        };
        if found.value.expires <= self.now() || self.is_ahead(found.value.authenticated) {
            return Ok(None);
        }
        let user = self.user_alive(&found.value.user, found.value.generation)?;
        Ok(user.map(|user| Session { found, user }))
    }

    /// Signs a browser in with a new session; the one it had ends. `change`
    /// carries what must become true with it. The cookie is returned.
    pub(super) async fn session_open(
        &self,
        headers: &HeaderMap,
        user: &UserRecord,
        change: Change,
    ) -> Result<String, Error> {
        let token = secret::token()?;
        let now = self.now();
        let record = SessionRecord {
            id: uuid::Uuid::new_v4().to_string(),
            user: user.id.clone(),
            generation: user.generation,
            authenticated: now,
            expires: now.saturating_add(self.lifetimes().session),
        };
        let mut change = change.put(&secret::fingerprint(&token), &record)?;
        if let Some(old) = cookie(self, headers, "session") {
            change = change.delete::<SessionRecord>(&secret::fingerprint(old));
        }
        self.records().commit(change).await?;
        Ok(token)
    }

    /// Ends a session and every grant that came from it.
    pub(super) async fn session_close(&self, session: &Session) -> Result<(), Error> {
        let change = Change::new().delete::<SessionRecord>(&session.found.id);
        let ended = session.found.value.id.as_str();
        let change = self
            .records()
            .remove_stale::<GrantRecord>(change, self.now(), |grant| {
                grant.approval.session.as_deref() == Some(ended)
            })?;
        self.records().commit(change).await
    }

    pub(super) fn set_session_cookie(&self, response: &mut Response, token: &str) {
        set_cookie(self, response, "session", token, None);
    }

    pub(super) fn clear_session_cookie(&self, response: &mut Response) {
        set_cookie(self, response, "session", "", Some(0));
    }

    /// The path of one of our pages.
    pub(super) fn path(&self, page: &str) -> String {
        format!("{}/{page}", self.inner.path)
    }
}

/// Over https the `__Host-` prefix keeps pages of other hosts on the site from
/// setting the cookie. Over http (loopback only) a name that arrives twice is
/// not believed.
fn cookie_name(issuer: &Issuer, name: &str) -> String {
    let prefix = if issuer.inner.secure { "__Host-" } else { "" };
    format!("{prefix}catalyst-{name}")
}

fn cookie<'a>(issuer: &Issuer, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = cookie_name(issuer, name);
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn set_cookie(
    issuer: &Issuer,
    response: &mut Response,
    name: &str,
    value: &str,
    max_age: Option<u32>,
) {
    let path = match (issuer.inner.secure, issuer.inner.path.as_str()) {
        (true, _) | (_, "") => "/",
        (false, path) => path,
    };
    let name = cookie_name(issuer, name);
    let secure = if issuer.inner.secure { "; Secure" } else { "" };
    let age = max_age
        .map(|seconds| format!("; Max-Age={seconds}"))
        .unwrap_or_default();
    let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{age}");
    // Our own tokens and a parsed URL's path: always a valid header.
    if let Ok(header) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, header);
    }
}
