//! The authorization endpoint and the sign-in form.
//!
//! Clients are the Sovereign's own, so nobody is asked for consent. An error is
//! sent to the redirect URI only after client and URI have been recognised;
//! before that it is a page.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HeaderMap;
use url::Url;
use zeroize::Zeroizing;

use super::pages::{self, Form};
use super::{PageError, Params, Peer, see_other};
use crate::Issuer;
use crate::config::{Client, Grant};
use crate::error::Error;
use crate::password::LONGEST;
use crate::records::{Approval, Change, CodeRecord, Seconds};
use crate::secret;
use crate::throttle::{self, Subject, Verdict};
use crate::tokens::known_scopes;
use crate::users::normalize;

/// A request whose client and redirect URI are known.
struct Request<'a> {
    client: &'a Client,
    redirect: &'a str,
    state: Option<&'a str>,
}

/// The rest of a request, checked.
struct Demand<'a> {
    scope: String,
    challenge: Option<&'a str>,
    nonce: Option<&'a str>,
    max_age: Option<Seconds>,
    silent: bool,
    again: bool,
}

/// An error that goes back to the client.
struct Denied(&'static str, &'static str);

pub(super) async fn get(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    answer(
        &issuer,
        &headers,
        &parse(query.unwrap_or_default().as_bytes())?,
    )
    .await
}

/// OpenID Connect Core, 3.1.2.1: the endpoint takes forms too.
pub(super) async fn post(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let params = Params::form(&headers, &body)?;
    // As a GET of our own the session cookie comes along.
    recognise(&issuer, &params)?;
    Ok(see_other(&format!(
        "{}?{}",
        issuer.path("authorize"),
        params.encode()
    )))
}

pub(super) async fn sign_in(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Peer(address): Peer,
    body: Bytes,
) -> Result<Response, PageError> {
    let params = Params::form(&headers, &body)?;
    issuer.check_form(&headers, &params)?;
    let return_to = Return::parse(params.get("return").unwrap_or_default())?;
    let username = params.get("username").unwrap_or_default();
    let password = params.get("password").unwrap_or_default();
    let subject = Subject::new("password", &normalize(username), address);
    let failure = match throttle::begin(issuer.records(), &subject, issuer.now()).await? {
        Verdict::Wait(seconds) => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
        Verdict::Proceed => match verify(&issuer, username, password).await? {
            Some(user) => {
                throttle::succeed(issuer.records(), &subject, issuer.now()).await?;
                let token = issuer.session_open(&headers, &user, Change::new()).await?;
                let mut response = see_other(&issuer.path(&return_to.after_sign_in()));
                issuer.set_session_cookie(&mut response, &token);
                return Ok(response);
            }
            None => (StatusCode::FORBIDDEN, None),
        },
    };
    let (status, wait) = failure;
    let error = match wait {
        Some(seconds) => format!("Too many attempts. Try again in {seconds} s."),
        None => "User name or password is wrong.".to_owned(),
    };
    ask(
        &issuer,
        &headers,
        &return_to,
        username,
        Some((status, &error, wait)),
    )
}

/// Where a sign-in goes on: one of two pages of ours, never elsewhere.
pub(super) enum Return {
    Authorize(Params),
    Device(Params),
}

impl Return {
    fn parse(text: &str) -> Result<Self, PageError> {
        let (page, query) = text.split_once('?').unwrap_or((text, ""));
        match page {
            "authorize" => parse(query.as_bytes()).map(Self::Authorize),
            "device" => parse(query.as_bytes()).map(Self::Device),
            _ => Err(PageError::bad_request(
                "That request cannot be used",
                "The sign-in does not say where to go on. Start again from the application.",
            )),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Authorize(params) => format!("authorize?{}", params.encode()),
            Self::Device(params) => format!("device?{}", params.encode()),
        }
    }

    /// The sign-in that was asked for has just happened.
    fn after_sign_in(self) -> String {
        match self {
            Self::Authorize(mut params) => {
                params.remove("prompt");
                params.remove("max_age");
                Self::Authorize(params).text()
            }
            Self::Device(_) => self.text(),
        }
    }
}

/// Shows the sign-in form.
pub(super) fn ask(
    issuer: &Issuer,
    headers: &HeaderMap,
    return_to: &Return,
    username: &str,
    failure: Option<(StatusCode, &str, Option<Seconds>)>,
) -> Result<Response, PageError> {
    let browser = issuer.browser(headers)?;
    let action = issuer.path("sign-in");
    let mut form = Form::new(&action, &browser.form_token);
    let name = match return_to {
        Return::Authorize(params) => {
            let request = recognise(issuer, params)?;
            form.leads_to = Some(request.redirect);
            request.client.name.as_str()
        }
        Return::Device(_) => "connect a device",
    };
    if let Some((status, error, wait)) = failure {
        form.status = status;
        form.error = Some(error);
        form.retry_after = wait;
    }
    let mut response = pages::sign_in(&form, name, username, &return_to.text());
    browser.remember(issuer, &mut response);
    Ok(response)
}

async fn answer(
    issuer: &Issuer,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, PageError> {
    let request = recognise(issuer, params)?;
    let outcome = match check(params, request.client) {
        Ok(demand) => decide(issuer, headers, params, &request, &demand).await?,
        Err(denied) => Err(denied),
    };
    match outcome {
        Ok(response) => Ok(response),
        Err(Denied(code, description)) => redirect(
            issuer,
            &request,
            &[("error", code), ("error_description", description)],
        ),
    }
}

async fn decide(
    issuer: &Issuer,
    headers: &HeaderMap,
    params: &Params,
    request: &Request<'_>,
    demand: &Demand<'_>,
) -> Result<Result<Response, Denied>, PageError> {
    let now = issuer.now();
    let hint = params.get("id_token_hint").map(|token| issuer.hint(token));
    let session = issuer.session(headers)?.filter(|session| {
        let fresh = demand
            .max_age
            .is_none_or(|age| now.saturating_sub(session.found.value.authenticated) <= age);
        let expected = match &hint {
            Some(Some(hint)) => hint.sub == session.user.id,
            Some(None) => false,
            None => true,
        };
        fresh && expected && !demand.again
    });
    let Some(session) = session else {
        if demand.silent {
            return Ok(Err(Denied("login_required", "nobody is signed in")));
        }
        let username = params.get("login_hint").unwrap_or_default();
        let return_to = Return::Authorize(params.clone());
        return ask(issuer, headers, &return_to, username, None).map(Ok);
    };
    let code = secret::token()?;
    let record = CodeRecord {
        approval: Approval {
            client: request.client.id.clone(),
            scope: demand.scope.clone(),
            user: session.user.id.clone(),
            generation: session.user.generation,
            authenticated: session.found.value.authenticated,
            session: Some(session.found.value.id.clone()),
        },
        redirect_uri: request.redirect.to_owned(),
        challenge: demand.challenge.map(str::to_owned),
        nonce: demand.nonce.map(str::to_owned),
        expires: now.saturating_add(issuer.lifetimes().code),
        redeemed: None,
    };
    let change = Change::new().put(&secret::fingerprint(&code), &record)?;
    issuer.records().commit(change).await?;
    redirect(issuer, request, &[("code", &code)]).map(Ok)
}

fn recognise<'a>(issuer: &'a Issuer, params: &'a Params) -> Result<Request<'a>, PageError> {
    const TITLE: &str = "This application cannot sign you in";
    let id = params.get("client_id").unwrap_or_default();
    let client = issuer.client(id).ok_or_else(|| {
        PageError::bad_request(
            TITLE,
            "It is not registered here (its client_id is unknown).",
        )
    })?;
    let redirect = params
        .get("redirect_uri")
        .filter(|uri| client.accepts_redirect(uri))
        .ok_or_else(|| {
            PageError::bad_request(
                TITLE,
                format!(
                    "{} wants you sent to an address that is not registered for it \
                     (redirect_uri). Nothing was sent there.",
                    client.name
                ),
            )
        })?;
    Ok(Request {
        client,
        redirect,
        state: params.get("state"),
    })
}

fn check<'a>(params: &'a Params, client: &Client) -> Result<Demand<'a>, Denied> {
    if params.get("request").is_some() {
        return Err(Denied(
            "request_not_supported",
            "request objects are not supported",
        ));
    }
    if params.get("request_uri").is_some() {
        return Err(Denied(
            "request_uri_not_supported",
            "request objects are not supported",
        ));
    }
    match params.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(Denied(
                "unsupported_response_type",
                "use response_type=code",
            ));
        }
        None => return Err(Denied("invalid_request", "response_type is missing")),
    }
    if params
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(Denied("invalid_request", "use response_mode=query"));
    }
    if !client.may(Grant::AuthorizationCode) {
        return Err(Denied(
            "unauthorized_client",
            "the client may not use authorization codes",
        ));
    }
    let challenge = params.get("code_challenge");
    match (challenge, params.get("code_challenge_method")) {
        (None, None) if client.secret.is_some() => {}
        (None, _) => {
            return Err(Denied(
                "invalid_request",
                "PKCE is required: send code_challenge",
            ));
        }
        (Some(challenge), Some("S256")) => {
            if secret::decode(challenge).is_none_or(|digest| digest.len() != 32) {
                return Err(Denied(
                    "invalid_request",
                    "code_challenge is not a SHA-256 in base64url",
                ));
            }
        }
        (Some(_), _) => {
            return Err(Denied("invalid_request", "use code_challenge_method=S256"));
        }
    }
    let prompts: Vec<&str> = params
        .get("prompt")
        .unwrap_or_default()
        .split(' ')
        .collect();
    let silent = prompts.contains(&"none");
    if silent && prompts.len() > 1 {
        return Err(Denied("invalid_request", "prompt=none cannot be combined"));
    }
    let max_age = match params.get("max_age").map(str::parse::<u32>) {
        None => None,
        Some(Ok(age)) => Some(Seconds::from(age)),
        Some(Err(_)) => {
            return Err(Denied(
                "invalid_request",
                "max_age is not a number of seconds",
            ));
        }
    };
    let nonce = params.get("nonce");
    if nonce.is_some_and(|nonce| nonce.len() > 512) {
        return Err(Denied("invalid_request", "nonce is longer than 512 bytes"));
    }
    Ok(Demand {
        scope: known_scopes(params.get("scope").unwrap_or_default()),
        challenge,
        nonce,
        max_age,
        silent,
        again: prompts
            .iter()
            .any(|prompt| matches!(*prompt, "login" | "select_account")),
    })
}

fn redirect(
    issuer: &Issuer,
    request: &Request<'_>,
    answer: &[(&str, &str)],
) -> Result<Response, PageError> {
    let mut url = Url::parse(request.redirect).map_err(|_| {
        PageError::bad_request(
            "That request cannot be used",
            "the redirect URI is not a URL",
        )
    })?;
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(state) = request.state {
            query.append_pair("state", state);
        }
        // RFC 9207: against mixing up issuers.
        query.append_pair("iss", issuer.identifier());
    }
    Ok(see_other(url.as_str()).into_response())
}

async fn verify(
    issuer: &Issuer,
    username: &str,
    password: &str,
) -> Result<Option<crate::records::UserRecord>, Error> {
    let user = issuer.user_by_name(username)?;
    // Everything that cannot succeed takes the same road, with the decoy.
    let stored = user
        .as_ref()
        .filter(|user| user.enabled && password.len() <= LONGEST)
        .and_then(|user| user.password.clone());
    let bounded: String = if password.len() <= LONGEST {
        password.to_owned()
    } else {
        String::new()
    };
    let right = issuer
        .passwords()
        .verify(Zeroizing::new(bounded), stored)
        .await?;
    Ok(user.filter(|_| right))
}

fn parse(query: &[u8]) -> Result<Params, PageError> {
    Params::parse(query).map_err(|name| {
        PageError::bad_request(
            "That request cannot be used",
            format!("The parameter {name} is given more than once."),
        )
    })
}
