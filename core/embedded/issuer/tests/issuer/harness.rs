//! An issuer in a temporary store with a clock that tests move, and browsers
//! that keep cookies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use catalyst_issuer::{Client, Config, EncryptionKey, Grant, Issuer, NewUser, SecretHash, User};
use catalyst_store::{Options, Store};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

pub const ISSUER: &str = "http://127.0.0.1:8080/oidc";
pub const START: i64 = 1_800_000_000;
pub const PASSWORD: &str = "correct horse battery";
pub const CONSOLE: &str = "http://127.0.0.1:8080/callback";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of [`VERIFIER`] as RFC 7636, appendix B gives it.
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub struct World {
    pub issuer: Issuer,
    pub router: Router,
    pub time: Arc<AtomicI64>,
    pub dir: TempDir,
}

pub fn clients() -> Vec<Client> {
    let mut console = Client::public("console", "Console", &[CONSOLE]);
    console.post_logout_redirect_uris = vec!["http://127.0.0.1:8080/".to_owned()];
    let mut cli = Client::public("cli", "Catalyst CLI", &["http://127.0.0.1/callback"]);
    cli.grants.push(Grant::DeviceCode);
    let mut web = Client::service("web", "Web", SecretHash::of("web secret+1"));
    web.redirect_uris = vec!["https://web.example/cb?tenant=1".to_owned()];
    web.grants = vec![Grant::AuthorizationCode];
    let api = Client::service("api", "API", SecretHash::of("api-secret"));
    let mut control = Client::service(
        "control-plane",
        "Control plane",
        SecretHash::of("admin-secret"),
    );
    control.admin = true;
    control.groups = vec!["system".to_owned()];
    vec![console, cli, web, api, control]
}

pub fn config(store: Store, time: &Arc<AtomicI64>, key: u8) -> Config {
    let issuer = Url::parse(ISSUER).unwrap();
    let mut config = Config::new(store, issuer, EncryptionKey::new([key; 32]));
    config.clients = clients();
    config.audience = vec!["catalyst".to_owned()];
    let time = Arc::clone(time);
    config.clock = Arc::new(move || Timestamp::from_second(time.load(Ordering::SeqCst)).unwrap());
    config
}

pub fn store(dir: &Path) -> Store {
    Store::open(dir.join("store.redb"), Options::default()).unwrap()
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(START));
        let issuer = Issuer::open(config(store(dir.path()), &time, 1))
            .await
            .unwrap();
        Self::around(issuer, time, dir)
    }

    fn around(issuer: Issuer, time: Arc<AtomicI64>, dir: TempDir) -> Self {
        let router = Router::new().nest("/oidc", issuer.router());
        Self {
            issuer,
            router,
            time,
            dir,
        }
    }

    /// Closes everything and opens it again from the disk. Browsers hold the
    /// old issuer open; drop them first.
    pub async fn restart(self) -> Self {
        let Self {
            issuer,
            router,
            time,
            dir,
        } = self;
        drop((issuer, router));
        let issuer = Issuer::open(config(store(dir.path()), &time, 1))
            .await
            .unwrap();
        Self::around(issuer, time, dir)
    }

    pub fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A user who has set [`PASSWORD`].
    pub async fn user(&self, username: &str) -> User {
        let user = self
            .issuer
            .user_create(NewUser {
                username: username.to_owned(),
                email: Some(format!("{username}@example.org")),
                first_name: Some("Ada".to_owned()),
                last_name: Some("Lovelace".to_owned()),
                groups: vec!["acme:developer".to_owned()],
                ..NewUser::default()
            })
            .await
            .unwrap();
        self.issuer
            .user_set_password(&user.id, PASSWORD)
            .await
            .unwrap();
        user
    }

    pub fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookies: BTreeMap::new(),
            address: "127.0.0.1:40000".parse().unwrap(),
            headers: Vec::new(),
        }
    }

    /// A browser in which the user has signed in.
    pub async fn signed_in(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        let reply = browser
            .sign_in(&authorize_path("console", CONSOLE), username, PASSWORD)
            .await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        browser
    }

    pub async fn token(&self, form: &[(&str, &str)]) -> Reply {
        self.browser().post("/oidc/token", form).await
    }

    pub async fn exchange(
        &self,
        client: &str,
        redirect: &str,
        code: &str,
        verifier: &str,
    ) -> Reply {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", redirect),
            ("code", code),
            ("code_verifier", verifier),
        ])
        .await
    }

    pub async fn refresh(&self, client: &str, token: &str) -> Reply {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token),
        ])
        .await
    }

    /// Tokens of a fresh sign-in at the console.
    pub async fn tokens(&self, username: &str) -> Value {
        let mut browser = self.signed_in(username).await;
        let code = browser.code("console", CONSOLE).await;
        let reply = self.exchange("console", CONSOLE, &code, VERIFIER).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    pub async fn introspect(&self, token: &str) -> Value {
        self.introspect_with(&[("token", token)]).await
    }

    pub async fn introspect_with(&self, form: &[(&str, &str)]) -> Value {
        let reply = self
            .browser()
            .basic("api", "api-secret")
            .post("/oidc/introspect", form)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    /// Whether the sign-in holds that a token came from, expired or not.
    pub async fn is_signed_in(&self, token: &str) -> bool {
        let form = [("token", token), ("allow_expired", "true")];
        self.introspect_with(&form).await["active"] == true
    }

    pub async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await["active"] == true
    }

    pub async fn jwks(&self) -> JwkSet {
        serde_json::from_value(self.browser().get("/oidc/jwks").await.json()).unwrap()
    }

    /// The claims, after a third party's library has checked the signature
    /// with the served keys.
    pub async fn verified(&self, token: &str, audience: &str) -> Value {
        let header = jsonwebtoken::decode_header(token).unwrap();
        let jwks = self.jwks().await;
        let key = jwks
            .find(header.kid.as_deref().unwrap())
            .expect("the key is published");
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        // The tests' time is not the machine's.
        validation.validate_exp = false;
        let data =
            jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation)
                .unwrap();
        let (iat, exp) = (
            data.claims["iat"].as_i64().unwrap(),
            data.claims["exp"].as_i64().unwrap(),
        );
        assert_eq!(exp - iat, 300);
        data.claims
    }
}

pub fn authorize_path(client: &str, redirect: &str) -> String {
    authorize_with(client, redirect, &[])
}

pub fn authorize_with(client: &str, redirect: &str, more: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", client),
            ("redirect_uri", redirect),
            ("response_type", "code"),
            ("scope", "openid profile email groups"),
            ("state", "st&te"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .extend_pairs(more)
        .finish();
    format!("/oidc/authorize?{query}")
}

#[derive(Clone)]
pub struct Browser {
    router: Router,
    pub cookies: BTreeMap<String, String>,
    pub address: SocketAddr,
    pub headers: Vec<(String, String)>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    pub fn location(&self) -> Url {
        let base = Url::parse("http://127.0.0.1:8080/").unwrap();
        base.join(self.header(LOCATION.as_str())).unwrap()
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let url = self.location();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The value of a hidden or prefilled field.
    pub fn field(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let start = self
            .body
            .find(&marker)
            .unwrap_or_else(|| panic!("{name} in {}", self.body));
        let rest = &self.body[start + marker.len()..];
        let value = &rest[..rest.find('"').unwrap()];
        value
            .replace("&#39;", "'")
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    }
}

impl Browser {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn basic(self, id: &str, secret: &str) -> Self {
        let value = STANDARD.encode(format!("{id}:{secret}"));
        self.with(AUTHORIZATION.as_str(), &format!("Basic {value}"))
    }

    pub fn bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(
            Method::POST,
            path,
            Some(("application/x-www-form-urlencoded", body)),
        )
        .await
    }

    pub async fn json(&mut self, method: Method, path: &str, body: &Value) -> Reply {
        self.send(method, path, Some(("application/json", body.to_string())))
            .await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match body {
            Some((kind, text)) => {
                request = request.header(CONTENT_TYPE, kind);
                Body::from(text)
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Opens a page that asks for a sign-in, and answers it.
    pub async fn sign_in(&mut self, path: &str, username: &str, password: &str) -> Reply {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let (token, return_to) = (page.field("form_token"), page.field("return"));
        self.post(
            "/oidc/sign-in",
            &[
                ("form_token", &token),
                ("return", &return_to),
                ("username", username),
                ("password", password),
            ],
        )
        .await
    }

    /// A code, for a browser that is signed in.
    pub async fn code(&mut self, client: &str, redirect: &str) -> String {
        let reply = self.get(&authorize_path(client, redirect)).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        reply
            .query("code")
            .unwrap_or_else(|| panic!("{}", reply.location()))
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// The token with one bit of its last segment's middle changed.
pub fn tampered(token: &str) -> String {
    let (head, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[20] ^= 1;
    format!("{head}.{}", URL_SAFE_NO_PAD.encode(bytes))
}
