//! Who holds a token, for the parts that do not speak OpenID Connect
//! themselves: they ask the issuer's introspection endpoint (RFC 7662) over
//! HTTP, on every request, so a removed user loses access at once. The
//! Kubernetes API reads tokens itself, their dates included, as a real one does;
//! before it does, [`Introspection::refuse_ended`] asks whether the sign-in that
//! they came from still holds, and while a watch, a log or a command is open,
//! [`Introspection::standing`] asks again: it may outlive its token, but neither
//! the sign-in nor a group that the token names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalyst_kubernetes::{Identity, Standing, Stands};
use catalyst_registry::{
    Access, AccessError, Action, Credentials, Permissions, Principal, RepositoryName,
};
use futures::future::BoxFuture;
use http::StatusCode;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// Members of this group administer the whole Sovereign.
pub const SOVEREIGN_ADMIN: &str = "sovereign-admin";

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the Kubernetes API takes a sign-in for good without asking again:
/// clients send several requests a command.
const STANDS_FOR: Duration = Duration::from_secs(2);
/// Makes the issuer answer for the sign-in, also once the token has expired.
const EXPIRED_TOO: (&str, &str) = ("allow_expired", "true");
/// Tokens remembered before those out of date are dropped.
const MOST_REMEMBERED: usize = 1024;

/// A client of the introspection endpoint.
#[derive(Clone)]
pub struct Introspection {
    http: reqwest::Client,
    endpoint: Arc<OnceLock<String>>,
    client_id: String,
    client_secret: String,
    /// When the sign-ins of tokens were last found good, by the token's digest.
    stood: Arc<Mutex<HashMap<Vec<u8>, Instant>>>,
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
            stood: Arc::default(),
        }
    }

    /// The token of a request to the Kubernetes API that only the issuer can say
    /// still stands. None of a request with a client certificate, which counts
    /// alone, and none that another issued.
    pub fn to_ask_about<B>(&self, request: &http::Request<B>) -> Option<String> {
        if request.extensions().get::<Identity>().is_some() {
            return None;
        }
        let token = bearer(request.headers())?;
        let endpoint = self.endpoint.get();
        endpoint
            .is_none_or(|endpoint| issued_at(&token, endpoint))
            .then_some(token)
    }

    /// The answer to whoever shows a token of a sign-in that the issuer has ended:
    /// signature and dates are good until it expires, its holder is not. `None`:
    /// let the request through, to be judged by the API, which refuses tokens
    /// that have expired.
    pub async fn refuse_ended(&self, token: &str) -> Option<Response> {
        match self.stands(token).await {
            Stands::Yes => None,
            Stands::Ended => Some(status(
                StatusCode::UNAUTHORIZED,
                "Unauthorized",
                "Unauthorized",
            )),
            Stands::Unknown => Some(status(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "cannot tell whether the token still stands, since the issuer does not answer; try again in a moment",
            )),
        }
    }

    /// Asks about a token's sign-in for as long as something is open that it opened.
    pub fn standing(&self, token: String) -> Standing {
        let (introspection, token) = (self.clone(), Arc::<str>::from(token));
        Standing::new(move || {
            let (introspection, token) = (introspection.clone(), Arc::clone(&token));
            async move { introspection.stands(&token).await }
        })
    }

    /// Whether a token's sign-in still holds, by an answer not older than
    /// [`STANDS_FOR`]. When the token expires is not asked here.
    async fn stands(&self, token: &str) -> Stands {
        let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        let key = key.as_ref().to_vec();
        if self
            .stood()
            .get(&key)
            .is_some_and(|at| at.elapsed() < STANDS_FOR)
        {
            return Stands::Yes;
        }
        match self.question(&[("token", token), EXPIRED_TOO]).await {
            // The Kubernetes API goes by the groups that the token speaks of.
            Ok(Some(answer)) if !answer.is_in_all(&groups_of(token)) => Stands::Ended,
            Ok(Some(_)) => {
                let mut stood = self.stood();
                if stood.len() >= MOST_REMEMBERED {
                    stood.retain(|_, at| at.elapsed() < STANDS_FOR);
                }
                stood.insert(key, Instant::now());
                Stands::Yes
            }
            Ok(None) => Stands::Ended,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "token not recognised");
                Stands::Unknown
            }
        }
    }

    /// Whether a token's holder administers the Sovereign; `None` when the token is
    /// not good, an error when nobody could be asked.
    pub async fn is_administrator(&self, token: &str) -> anyhow::Result<Option<bool>> {
        let answer = self.ask(token).await?;
        Ok(answer.map(|answer| answer.is_administrator()))
    }

    fn stood(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Instant>> {
        self.stood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where the issuer is; until then nobody is recognised. Parts are
    /// built before the port is bound, so the address comes later.
    pub fn connect(&self, issuer: &str) {
        self.endpoint.get_or_init(|| format!("{issuer}/introspect"));
    }

    /// `None` when the token is not good; an error when nobody could be asked.
    async fn ask(&self, token: &str) -> anyhow::Result<Option<Answer>> {
        self.question(&[("token", token)]).await
    }

    async fn question(&self, form: &[(&str, &str)]) -> anyhow::Result<Option<Answer>> {
        let endpoint = self
            .endpoint
            .get()
            .context("the issuer's address is not known yet")?;
        let answer: Answer = self
            .http
            .post(endpoint)
            .basic_auth(&self.client_id, Some(&self.client_secret))
            .form(form)
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

/// The bearer token of a request, in each way that the Kubernetes API takes one.
pub(super) fn bearer(headers: &http::HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned());
    }
    let protocols = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let encoded = protocols.split(',').find_map(|one| {
        one.trim()
            .strip_prefix("base64url.bearer.authorization.k8s.io.")
    })?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// What a token says, which nobody has checked.
fn claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Whether a token says that it comes from the issuer with this introspection
/// endpoint. Service accounts' do not, and whoever changes what a token says
/// breaks its signature.
fn issued_at(token: &str, endpoint: &str) -> bool {
    let claims = claims(token);
    let issuer = claims
        .as_ref()
        .and_then(|claims| claims.get("iss")?.as_str());
    issuer.is_some_and(|issuer| {
        endpoint
            .strip_suffix("/introspect")
            .map(|it| it.trim_end_matches('/'))
            == Some(issuer.trim_end_matches('/'))
    })
}

/// The groups that a token says its holder is in.
fn groups_of(token: &str) -> Vec<String> {
    let groups = claims(token).and_then(|claims| claims.get("groups").cloned());
    groups
        .and_then(|groups| serde_json::from_value(groups).ok())
        .unwrap_or_default()
}

/// An answer as the Kubernetes API gives it.
fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": code.as_u16(),
    });
    (code, axum::Json(body)).into_response()
}

impl Answer {
    fn name(&self) -> Option<String> {
        self.preferred_username
            .clone()
            .or_else(|| self.username.clone())
    }

    fn is_in_all(&self, groups: &[String]) -> bool {
        groups.iter().all(|group| self.groups.contains(group))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issuer: &str) -> String {
        token_with(json!({"iss": issuer, "sub": "boss"}))
    }

    fn token_with(claims: Value) -> String {
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("e30.{claims}.c2ln")
    }

    fn request(headers: &[(&str, &str)]) -> http::Request<()> {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    async fn answer(asked: &Introspection, request: &http::Request<()>) -> Option<Response> {
        match asked.to_ask_about(request) {
            Some(token) => asked.refuse_ended(&token).await,
            None => None,
        }
    }

    /// An issuer that introspects, and what it says of sign-ins; its tokens have all
    /// expired.
    struct Issuer {
        url: String,
        says: Arc<Mutex<Value>>,
        serving: tokio::task::JoinHandle<std::io::Result<()>>,
    }

    impl Issuer {
        async fn start() -> Self {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let says = Arc::new(Mutex::new(json!({"active": true, "username": "boss"})));
            let answers = Arc::clone(&says);
            let router = axum::Router::new().route(
                "/oidc/introspect",
                axum::routing::post(move |form: axum::Form<HashMap<String, String>>| {
                    let answer = match form.get(EXPIRED_TOO.0) {
                        Some(_) => answers.lock().unwrap().clone(),
                        None => json!({"active": false}),
                    };
                    async move { axum::Json(answer) }
                }),
            );
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/oidc", listener.local_addr().unwrap());
            let serving = tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, says, serving }
        }

        fn says(&self, answer: Value) {
            *self.says.lock().unwrap() = answer;
        }
    }

    fn introspection() -> Introspection {
        Introspection::new(reqwest::Client::new(), "catalyst", "s".to_owned())
    }

    /// Asks until the answer changes, which it must within seconds.
    async fn changed(standing: &Standing, from: Stands) -> Stands {
        let changed = async {
            loop {
                let now = standing.ask().await;
                if now != from {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(2 * STANDS_FOR, changed).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_open_outlives_its_token() {
        let issuer = Issuer::start().await;
        let asked = introspection();
        asked.connect(&issuer.url);
        let token = token(&issuer.url);
        assert_eq!(asked.standing(token.clone()).ask().await, Stands::Yes);
        assert!(asked.ask(&token).await.unwrap().is_none());
        assert_eq!(asked.is_administrator(&token).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_open_hears_of_its_users_end_within_seconds() {
        let issuer = Issuer::start().await;
        let asked = introspection();
        let standing = asked.standing(token(&issuer.url));
        // Nobody to ask is not somebody who says no.
        assert_eq!(standing.ask().await, Stands::Unknown);
        asked.connect(&issuer.url);
        assert_eq!(standing.ask().await, Stands::Yes);
        issuer.says(json!({"active": false}));
        assert_eq!(changed(&standing, Stands::Yes).await, Stands::Ended);
    }

    #[tokio::test]
    async fn a_token_ends_with_the_groups_that_it_speaks_of() {
        let issuer = Issuer::start().await;
        let asked = introspection();
        asked.connect(&issuer.url);
        let groups = json!(["staff", SOVEREIGN_ADMIN]);
        let standing = asked.standing(token_with(json!({"iss": issuer.url, "groups": groups})));
        let more = json!([SOVEREIGN_ADMIN, "others", "staff"]);
        issuer.says(json!({"active": true, "username": "boss", "groups": more}));
        assert_eq!(standing.ask().await, Stands::Yes);
        issuer.says(json!({"active": true, "username": "boss", "groups": ["staff"]}));
        assert_eq!(changed(&standing, Stands::Yes).await, Stands::Ended);
    }

    #[tokio::test]
    async fn the_kubernetes_api_refuses_a_removed_users_token_within_seconds() {
        let issuer = Issuer::start().await;
        let url = issuer.url.clone();
        let asked = introspection();
        let ours = format!("Bearer {}", token(&url));
        let before = answer(&asked, &request(&[("authorization", &ours)])).await;
        // Until it is known where the issuer is, nobody is let in.
        assert_eq!(before.unwrap().status(), 503);
        asked.connect(&url);
        let socket = format!(
            "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{}",
            URL_SAFE_NO_PAD.encode(token(&url))
        );
        let ways = [
            ("authorization", ours.as_str()),
            ("sec-websocket-protocol", &socket),
        ];
        for way in ways {
            assert!(answer(&asked, &request(&[way])).await.is_none());
        }
        issuer.says(json!({"active": false}));
        tokio::time::timeout(2 * STANDS_FOR, async {
            while answer(&asked, &request(&[ways[0]])).await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        for way in ways {
            assert_eq!(
                answer(&asked, &request(&[way])).await.unwrap().status(),
                401
            );
        }
        // Others' tokens, certificates and the lack of either are the API's own.
        let account = format!("Bearer {}", token("https://kubernetes.default.svc"));
        assert!(
            answer(&asked, &request(&[("authorization", &account)]))
                .await
                .is_none()
        );
        assert!(answer(&asked, &request(&[])).await.is_none());
        let mut certified = request(&[ways[0]]);
        certified
            .extensions_mut()
            .insert(Identity::administrator("admin"));
        assert!(answer(&asked, &certified).await.is_none());
        issuer.serving.abort();
        let unknown = format!("Bearer {}x", token(&url));
        let refused = answer(&asked, &request(&[("authorization", &unknown)])).await;
        assert!(refused.is_some());
    }
}
