//! One-time links: the user sets a password, is signed in, and goes on.
//!
//! Looking at the page uses nothing up, since mail scanners look too; sending
//! the form does, once.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;
use zeroize::Zeroizing;

use super::pages::{self, Form};
use super::{PageError, Params, see_other};
use crate::Issuer;
use crate::error::Error;
use crate::password::Passwords;
use crate::records::{Change, Found, LinkRecord, UserRecord};
use crate::secret;

pub(super) async fn show(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|_| dead_link())?;
    let token = params.get("token").unwrap_or_default();
    let (link, user) = find(&issuer, token)?;
    ask(&issuer, &headers, token, &link, &user, None)
}

pub(super) async fn submit(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let params = Params::form(&headers, &body)?;
    issuer.check_form(&headers, &params)?;
    let token = params.get("token").unwrap_or_default();
    let (link, user) = find(&issuer, token)?;
    let password = params.get("password").unwrap_or_default();
    if params.get("again") != Some(password) {
        let error = "The two passwords differ.";
        return ask(&issuer, &headers, token, &link, &user, Some(error));
    }
    if let Err(error) = Passwords::check_strength(&user.value.username, password) {
        return ask(
            &issuer,
            &headers,
            token,
            &link,
            &user,
            Some(&error.to_string()),
        );
    }
    let mut changed = user.value.clone();
    changed.password = Some(
        issuer
            .passwords()
            .hash(Zeroizing::new(password.to_owned()))
            .await?,
    );
    changed.generation += 1;
    let change = Change::new()
        .when_unmodified(&link)
        .when_unmodified(&user)
        .delete::<LinkRecord>(&link.id)
        .put(&changed.id, &changed)?;
    let session = match issuer.session_open(&headers, &changed, change).await {
        Ok(session) => session,
        // The link was used, or the user changed, a moment ago.
        Err(error) if error.is_conflict() => return Err(dead_link()),
        Err(error) => return Err(error.into()),
    };
    let mut response = see_other(&link.value.return_to);
    issuer.set_session_cookie(&mut response, &session);
    Ok(response)
}

fn find(issuer: &Issuer, token: &str) -> Result<(Found<LinkRecord>, Found<UserRecord>), PageError> {
    let link = issuer
        .records()
        .get::<LinkRecord>(&secret::fingerprint(token))?
        .filter(|link| link.value.expires > issuer.now())
        .ok_or_else(dead_link)?;
    match issuer.user_found(&link.value.user) {
        Ok(user) if user.value.enabled && user.value.generation == link.value.generation => {
            Ok((link, user))
        }
        Ok(_) | Err(Error::UserUnknown { .. }) => Err(dead_link()),
        Err(error) => Err(error.into()),
    }
}

fn ask(
    issuer: &Issuer,
    headers: &HeaderMap,
    token: &str,
    link: &Found<LinkRecord>,
    user: &Found<UserRecord>,
    error: Option<&str>,
) -> Result<Response, PageError> {
    let browser = issuer.browser(headers)?;
    let action = issuer.path("set-password");
    let mut form = Form::new(&action, &browser.form_token);
    form.leads_to = Some(&link.value.return_to);
    form.error = error;
    if error.is_some() {
        form.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    let mut response = pages::set_password(&form, &user.value.username, token);
    browser.remember(issuer, &mut response);
    Ok(response)
}

fn dead_link() -> PageError {
    PageError {
        status: StatusCode::GONE,
        title: "This link can no longer be used",
        message: "It works once and for a limited time. Ask whoever sent it for a new one."
            .to_owned(),
    }
}
