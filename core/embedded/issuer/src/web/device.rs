//! The device flow (RFC 8628): a device shows a code, its user types it here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HeaderMap;
use serde_json::json;

use super::authorize::{Return, ask};
use super::browser::Session;
use super::pages::{self, Form};
use super::token::{authenticate, permit};
use super::{ApiError, PageError, Params, Peer, private_headers};
use crate::Issuer;
use crate::config::{Client, Grant};
use crate::error::Error;
use crate::records::{Approval, Change, Decision, DeviceRecord, Found, Seconds, UserCodeRecord};
use crate::secret;
use crate::throttle::{self, Subject, Verdict};
use crate::tokens::{TokenResponse, known_scopes};

/// Consonants without look-alikes: no words arise (RFC 8628, section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LENGTH: usize = 8;
const INTERVAL: Seconds = 5;
/// Devices that may wait at once: anybody can start waiting, and must not fill
/// the disk.
const MOST_WAITING: usize = 500;

/// When each waiting device last asked. Kept in memory: pacing is all that a
/// restart loses.
#[derive(Default)]
pub(crate) struct Polls(Mutex<HashMap<String, Poll>>);

struct Poll {
    last: Seconds,
    interval: Seconds,
}

impl Polls {
    /// Whether the device waited long enough; else its interval grows.
    fn admit(&self, device: &str, now: Seconds) -> bool {
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(poll) = polls.get_mut(device) else {
            polls.insert(
                device.to_owned(),
                Poll {
                    last: now,
                    interval: INTERVAL,
                },
            );
            return true;
        };
        let waited = now.saturating_sub(poll.last) >= poll.interval;
        if !waited {
            poll.interval = poll.interval.saturating_add(INTERVAL);
        }
        poll.last = now;
        waited
    }

    /// Drops devices that stopped asking.
    pub(crate) fn forget(&self, now: Seconds) {
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        polls.retain(|_, poll| now.saturating_sub(poll.last) < 3600);
    }
}

pub(super) async fn begin(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let params = Params::form(&headers, &body)?;
    let client = authenticate(&issuer, &headers, &params)?;
    permit(client, Grant::DeviceCode)?;
    make_room(&issuer).await?;
    let lifetime = issuer.lifetimes().device;
    let expires = issuer.now().saturating_add(lifetime);
    let device_code = secret::token()?;
    let user_code = new_user_code()?;
    let device = secret::fingerprint(&device_code);
    let typed = secret::fingerprint(&user_code);
    let record = DeviceRecord {
        client: client.id.clone(),
        scope: known_scopes(params.get("scope").unwrap_or_default()),
        user_code: typed.clone(),
        expires,
        decision: Decision::Pending,
    };
    let change = Change::new()
        .when_absent::<UserCodeRecord>(&typed)
        .put(
            &typed,
            &UserCodeRecord {
                device: device.clone(),
                expires,
            },
        )?
        .put(&device, &record)?;
    issuer.records().commit(change).await?;
    let shown = display(&user_code);
    let page = format!("{}/device", issuer.identifier());
    let answer = json!({
        "device_code": device_code,
        "user_code": shown,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={shown}"),
        "expires_in": lifetime,
        "interval": INTERVAL,
    });
    Ok((private_headers(), Json(answer)).into_response())
}

/// Removes expired codes when there are many; refuses when that is not enough.
async fn make_room(issuer: &Issuer) -> Result<(), ApiError> {
    let records = issuer.records();
    if records.count::<DeviceRecord>() < MOST_WAITING {
        return Ok(());
    }
    let now = issuer.now();
    let change = records.remove_stale::<DeviceRecord>(Change::new(), now, |_| false)?;
    let change = records.remove_stale::<UserCodeRecord>(change, now, |_| false)?;
    records.commit(change).await?;
    if records.count::<DeviceRecord>() < MOST_WAITING {
        return Ok(());
    }
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "too many devices are waiting for their users; try again in a minute",
    );
    error.retry_after = Some(60);
    Err(error)
}

/// The device's half of the token endpoint.
pub(super) async fn redeem(
    issuer: &Issuer,
    client: &Client,
    params: &Params,
) -> Result<TokenResponse, ApiError> {
    let refused =
        |code, description: &str| ApiError::new(StatusCode::BAD_REQUEST, code, description);
    let device = secret::fingerprint(params.require("device_code")?);
    let found = issuer
        .records()
        .get::<DeviceRecord>(&device)?
        .filter(|found| found.value.client == client.id)
        .ok_or_else(|| ApiError::invalid_grant("the device code is unknown or already used"))?;
    let now = issuer.now();
    if found.value.expires <= now {
        return Err(refused(
            "expired_token",
            "the device code has expired; start again",
        ));
    }
    if !issuer.inner.polls.admit(&device, now) {
        return Err(refused(
            "slow_down",
            "wait 5 seconds longer between two requests",
        ));
    }
    let remove = || {
        Change::new()
            .when_unmodified(&found)
            .delete::<DeviceRecord>(&device)
            .delete::<UserCodeRecord>(&found.value.user_code)
    };
    match &found.value.decision {
        Decision::Pending => Err(refused(
            "authorization_pending",
            "the user has not decided yet",
        )),
        Decision::Denied => {
            match issuer.records().commit(remove()).await {
                Err(error) if !error.is_conflict() => return Err(error.into()),
                _ => {}
            }
            Err(refused("access_denied", "the user refused"))
        }
        Decision::Approved(approval) => {
            let used = || ApiError::invalid_grant("the device code is unknown or already used");
            let user = issuer
                .user_alive(&approval.user, approval.generation)?
                .ok_or_else(used)?;
            let grant = uuid::Uuid::new_v4().to_string();
            match issuer
                .grant_open(client, &user, &grant, approval.clone(), None, remove())
                .await
            {
                Err(error) if error.is_conflict() => Err(used()),
                other => Ok(other?),
            }
        }
    }
}

pub(super) async fn show(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|name| {
        ApiError::invalid_request(format!("the parameter {name} is given more than once"))
    })?;
    let Some(session) = issuer.session(&headers)? else {
        return ask(&issuer, &headers, &Return::Device(params), "", None);
    };
    let code = display(&normalize(params.get("user_code").unwrap_or_default()));
    enter(&issuer, &headers, &session, &code, None)
}

pub(super) async fn submit(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Peer(address): Peer,
    body: Bytes,
) -> Result<Response, PageError> {
    let mut params = Params::form(&headers, &body)?;
    issuer.check_form(&headers, &params)?;
    let Some(session) = issuer.session(&headers)? else {
        params.remove("form_token");
        params.remove("action");
        return ask(&issuer, &headers, &Return::Device(params), "", None);
    };
    let code = normalize(params.get("user_code").unwrap_or_default());
    let subject = Subject::new("device", &session.user.id, address);
    if let Verdict::Wait(seconds) =
        throttle::begin(issuer.records(), &subject, issuer.now()).await?
    {
        let error = format!("Too many attempts. Try again in {seconds} s.");
        let failure = Failure(StatusCode::TOO_MANY_REQUESTS, &error, Some(seconds));
        return enter(&issuer, &headers, &session, &display(&code), Some(failure));
    }
    let Some(found) = pending(&issuer, &code)? else {
        let error = "This code is unknown, has expired, or was used.";
        let failure = Failure(StatusCode::UNPROCESSABLE_ENTITY, error, None);
        return enter(&issuer, &headers, &session, &display(&code), Some(failure));
    };
    throttle::succeed(issuer.records(), &subject, issuer.now()).await?;
    let Some(client) = issuer.client(&found.value.client) else {
        return Err(
            ApiError::invalid_request("the device's application is no longer registered").into(),
        );
    };
    let (decision, title, text) = match params.get("action") {
        Some("approve") => (
            Decision::Approved(Approval {
                client: client.id.clone(),
                scope: found.value.scope.clone(),
                user: session.user.id.clone(),
                generation: session.user.generation,
                authenticated: session.found.value.authenticated,
                // A device stays signed in when the browser signs out.
                session: None,
            }),
            "Connected",
            "Your device goes on in a few seconds. You can close this page.",
        ),
        Some("deny") => (
            Decision::Denied,
            "Refused",
            "The device was not connected. You can close this page.",
        ),
        _ => return confirm(&issuer, &headers, &session, client, &display(&code)),
    };
    let mut decided = found.value.clone();
    decided.decision = decision;
    let change = Change::new()
        .when_unmodified(&found)
        .put(&found.id, &decided)?;
    match issuer.records().commit(change).await {
        Ok(()) => Ok(pages::message(StatusCode::OK, title, text)),
        Err(error) if error.is_conflict() => Ok(pages::message(
            StatusCode::CONFLICT,
            "Already decided",
            "Somebody answered for this code a moment ago.",
        )),
        Err(error) => Err(error.into()),
    }
}

struct Failure<'a>(StatusCode, &'a str, Option<Seconds>);

fn enter(
    issuer: &Issuer,
    headers: &HeaderMap,
    session: &Session,
    code: &str,
    failure: Option<Failure<'_>>,
) -> Result<Response, PageError> {
    let browser = issuer.browser(headers)?;
    let action = issuer.path("device");
    let mut form = Form::new(&action, &browser.form_token);
    if let Some(Failure(status, error, retry_after)) = failure {
        form.status = status;
        form.error = Some(error);
        form.retry_after = retry_after;
    }
    let mut response = pages::device_code(&form, &session.user.username, code);
    browser.remember(issuer, &mut response);
    Ok(response)
}

fn confirm(
    issuer: &Issuer,
    headers: &HeaderMap,
    session: &Session,
    client: &Client,
    code: &str,
) -> Result<Response, PageError> {
    let browser = issuer.browser(headers)?;
    let action = issuer.path("device");
    let form = Form::new(&action, &browser.form_token);
    Ok(pages::device_confirm(
        &form,
        &session.user.username,
        &client.name,
        code,
    ))
}

fn pending(issuer: &Issuer, code: &str) -> Result<Option<Found<DeviceRecord>>, Error> {
    let Some(typed) = issuer
        .records()
        .get::<UserCodeRecord>(&secret::fingerprint(code))?
    else {
        return Ok(None);
    };
    Ok(issuer
        .records()
        .get::<DeviceRecord>(&typed.value.device)?
        .filter(|found| {
            found.value.expires > issuer.now() && matches!(found.value.decision, Decision::Pending)
        }))
}

fn new_user_code() -> Result<String, Error> {
    let mut code = String::with_capacity(CODE_LENGTH);
    let mut bytes = [0_u8; 32];
    while code.len() < CODE_LENGTH {
        secret::fill(&mut bytes)?;
        // 240 is the largest multiple of 20 in a byte: no letter is favoured.
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 240)
            .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
            .map(|letter| char::from(*letter));
        code.extend(letters.take(CODE_LENGTH - code.len()));
    }
    Ok(code)
}

/// What a person may have typed: any case, any separators.
fn normalize(typed: &str) -> String {
    typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_uppercase())
        .take(16)
        .collect()
}

fn display(code: &str) -> String {
    match code.split_at_checked(CODE_LENGTH / 2) {
        Some((left, right)) if !right.is_empty() => format!("{left}-{right}"),
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_code_may_have_any_case_and_separators() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "b.c.d.f-g.h.j.k"] {
            assert_eq!(normalize(typed), "BCDFGHJK", "{typed}");
        }
        assert_eq!(display("BCDFGHJK"), "BCDF-GHJK");
        assert_eq!(display("BC"), "BC");
    }

    #[test]
    fn user_codes_use_the_whole_alphabet_and_differ() {
        let codes: Vec<String> = (0..64).map(|_| new_user_code().unwrap()).collect();
        let mut letters: Vec<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(letters.len(), 64 * CODE_LENGTH);
        letters.sort_unstable();
        letters.dedup();
        assert!(
            letters
                .iter()
                .all(|letter| ALPHABET.contains(&(*letter as u8)))
        );
        assert!(letters.len() > 15, "{letters:?}");
    }

    #[test]
    fn a_device_that_asks_too_soon_must_wait_longer() {
        let polls = Polls::default();
        assert!(polls.admit("a", 100));
        assert!(!polls.admit("a", 104));
        assert!(!polls.admit("a", 112));
        assert!(polls.admit("a", 127));
        assert!(polls.admit("b", 104));
    }
}
