//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).
//!
//! With an identity token of the user who is signed in the logout happens at
//! once; otherwise the user is asked, so that no page can sign users out.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;
use url::Url;

use super::pages::{self, Form};
use super::{ApiError, PageError, Params, see_other};
use crate::Issuer;

pub(super) async fn get(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|name| {
        ApiError::invalid_request(format!("the parameter {name} is given more than once"))
    })?;
    answer(&issuer, &headers, &params, false).await
}

pub(super) async fn post(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let params = Params::form(&headers, &body)?;
    let confirmed = params.get("form_token").is_some();
    if confirmed {
        issuer.check_form(&headers, &params)?;
    }
    answer(&issuer, &headers, &params, confirmed).await
}

async fn answer(
    issuer: &Issuer,
    headers: &HeaderMap,
    params: &Params,
    confirmed: bool,
) -> Result<Response, PageError> {
    let hint = params
        .get("id_token_hint")
        .and_then(|token| issuer.hint(token));
    let client_id = match (&hint, params.get("client_id")) {
        (Some(hint), Some(id)) if hint.aud != id => {
            return Err(ApiError::invalid_request(
                "id_token_hint and client_id name different applications",
            )
            .into());
        }
        (Some(hint), _) => Some(hint.aud.as_str()),
        (None, id) => id,
    };
    let destination = destination(issuer, params, client_id)?;
    let session = issuer.session(headers)?;
    if let Some(session) = &session {
        let expected = hint
            .as_ref()
            .is_some_and(|hint| hint.sub == session.user.id);
        if !confirmed && !expected {
            let kept: Vec<(&str, &str)> = [
                "client_id",
                "post_logout_redirect_uri",
                "state",
                "id_token_hint",
            ]
            .into_iter()
            .filter_map(|name| params.get(name).map(|value| (name, value)))
            .collect();
            let browser = issuer.browser(headers)?;
            let action = issuer.path("logout");
            let mut form = Form::new(&action, &browser.form_token);
            form.leads_to = destination.as_ref().map(Url::as_str);
            let mut response = pages::sign_out(&form, &session.user.username, &kept);
            browser.remember(issuer, &mut response);
            return Ok(response);
        }
        issuer.session_close(session).await?;
    }
    let mut response = match destination {
        Some(url) => see_other(url.as_str()),
        None => pages::message(StatusCode::OK, "Signed out", "You can close this page."),
    };
    if session.is_some() {
        issuer.clear_session_cookie(&mut response);
    }
    Ok(response)
}

/// Where to go on: only to an address that the named client registered.
fn destination(
    issuer: &Issuer,
    params: &Params,
    client_id: Option<&str>,
) -> Result<Option<Url>, PageError> {
    let Some(uri) = params.get("post_logout_redirect_uri") else {
        return Ok(None);
    };
    let refused = || {
        PageError::bad_request(
            "You were not signed out",
            "The application wants you sent to an address that is not registered for it \
             (post_logout_redirect_uri). Nothing was sent there.",
        )
    };
    let client = client_id
        .and_then(|id| issuer.client(id))
        .ok_or_else(refused)?;
    if !client
        .post_logout_redirect_uris
        .iter()
        .any(|registered| registered == uri)
    {
        return Err(refused());
    }
    let mut url = Url::parse(uri).map_err(|_| refused())?;
    if let Some(state) = params.get("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(Some(url))
}
