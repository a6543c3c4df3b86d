//! The whole story over a real socket, by a client that knows the issuer's URL
//! and learns the rest from discovery.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use axum::Router;
use axum::body::Body;
use catalyst_issuer::{Client, Issuer, NewUser};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

use crate::harness::{CHALLENGE, PASSWORD, Reply, START, VERIFIER, config, store, text};

struct Agent {
    http: HttpClient<HttpConnector, Body>,
    cookies: BTreeMap<String, String>,
}

impl Agent {
    fn new() -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self {
            http,
            cookies: BTreeMap::new(),
        }
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> Reply {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request
            .header(COOKIE, cookies.join("; "))
            .body(body)
            .unwrap();
        let response = self.http.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            let pair = cookie
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&mut self, url: &str) -> Reply {
        self.send(Request::get(url), Body::empty()).await
    }

    async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(body)).await
    }
}

#[tokio::test]
async fn a_client_that_knows_only_the_issuer_signs_a_new_user_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let base = format!("{origin}/oidc");
    let callback = format!("{origin}/callback");
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(store(dir.path()), &Arc::new(AtomicI64::new(START)), 1);
    config.issuer = Url::parse(&base).unwrap();
    config
        .clients
        .push(Client::public("story", "Story", &[&callback]));
    let issuer = Issuer::open(config).await.unwrap();
    let app = Router::new().nest("/oidc", issuer.router());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    let mut agent = Agent::new();
    let discovery = agent
        .get(&format!("{base}/.well-known/openid-configuration"))
        .await
        .json();
    assert_eq!(discovery["issuer"], base);

    // The invited user sets a password and lands in the console, signed in.
    let new = NewUser {
        username: "ada".into(),
        ..NewUser::default()
    };
    let user = issuer.user_create(new).await.unwrap();
    let link = issuer
        .user_invite(&user.id, &Url::parse(&callback).unwrap())
        .await
        .unwrap();
    let page = agent.get(&link.url).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let (form_token, token) = (page.field("form_token"), page.field("token"));
    let form = [
        ("form_token", form_token.as_str()),
        ("token", &token),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    let reply = agent.post(&format!("{base}/set-password"), &form).await;
    assert_eq!(reply.header(LOCATION.as_str()), callback);

    let mut url = Url::parse(text(&discovery, "authorization_endpoint")).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", "story"),
        ("redirect_uri", callback.as_str()),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let reply = agent.get(url.as_str()).await;
    assert_eq!(reply.query("iss").as_deref(), Some(base.as_str()));
    let code = reply.query("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "story"),
        ("redirect_uri", callback.as_str()),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ];
    let tokens = agent
        .post(text(&discovery, "token_endpoint"), &form)
        .await
        .json();

    let jwks: JwkSet =
        serde_json::from_value(agent.get(text(&discovery, "jwks_uri")).await.json()).unwrap();
    let identity = text(&tokens, "id_token");
    let header = jsonwebtoken::decode_header(identity).unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["story"]);
    validation.set_issuer(&[&base]);
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(identity, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], user.id);

    let bearer = format!("Bearer {}", text(&tokens, "access_token"));
    let userinfo = text(&discovery, "userinfo_endpoint");
    let ask = || Request::get(userinfo).header(AUTHORIZATION, &bearer);
    let reply = agent.send(ask(), Body::empty()).await;
    assert_eq!(reply.json()["preferred_username"], "ada");

    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "story"),
        ("refresh_token", text(&tokens, "refresh_token")),
    ];
    let second = agent
        .post(text(&discovery, "token_endpoint"), &refresh)
        .await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.body);

    let logout = format!(
        "{}?id_token_hint={identity}",
        text(&discovery, "end_session_endpoint")
    );
    assert_eq!(agent.get(&logout).await.status, StatusCode::OK);
    let reply = agent.send(ask(), Body::empty()).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    server.abort();
}
