//! As much of a browser as signing in needs: cookies, forms, redirects seen.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Response, StatusCode, redirect};
use serde_json::Value;

const REDIRECT: &str = "http://127.0.0.1:1/callback";

const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rules-of-pkce";

pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new() -> Self {
        Self::by(reqwest::Client::builder().no_proxy())
    }

    /// One that trusts and finds what this client does.
    pub fn by(client: reqwest::ClientBuilder) -> Self {
        let client = client.redirect(redirect::Policy::none());
        Self {
            http: client.build().unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a one-time link, fills the form, sends it.
    pub async fn set_password(&mut self, link: &str, password: &str) {
        let page = self.get(link).await;
        assert_eq!(page.status(), StatusCode::OK);
        let html = page.text().await.unwrap();
        let typed = [("password", password), ("again", password)];
        let answer = self.send(link, &html, &typed).await;
        let status = answer.status();
        assert_eq!(
            status,
            StatusCode::SEE_OTHER,
            "{}",
            answer.text().await.unwrap()
        );
    }

    /// Signs in on the issuer's page, as a browser that kept nothing does.
    pub async fn sign_in(&mut self, issuer: &str, client: &str, username: &str, password: &str) {
        self.cookies.clear();
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Value = self.get(&discovery).await.json().await.unwrap();
        let page = authorization(&metadata, client);
        self.sign_in_at(page.as_str(), username, password).await;
    }

    /// Signs in at an address that asks for it; where the browser is sent then.
    pub async fn sign_in_at(&mut self, address: &str, username: &str, password: &str) -> String {
        let page = self.get(address).await;
        assert_eq!(page.status(), StatusCode::OK);
        let html = page.text().await.unwrap();
        let typed = [("username", username), ("password", password)];
        let answer = self.send(address, &html, &typed).await;
        let status = answer.status();
        let location = answer.headers().get("location").cloned();
        assert_eq!(
            status,
            StatusCode::SEE_OTHER,
            "{}",
            answer.text().await.unwrap()
        );
        let location = location.unwrap();
        let there = reqwest::Url::parse(address).unwrap();
        there.join(location.to_str().unwrap()).unwrap().into()
    }

    /// Types the code of a device into the page for it; what is shown then.
    pub async fn enter_code(&mut self, page: &str, code: &str) -> (StatusCode, String) {
        let html = self.get(page).await.text().await.unwrap();
        let answer = self.send(page, &html, &[("user_code", code)]).await;
        (answer.status(), answer.text().await.unwrap())
    }

    /// Enters the code of a device, and presses a button, `approve` or `deny`, once it
    /// is shown; what is said then.
    pub async fn answer_device(&mut self, page: &str, code: &str, button: &str) -> String {
        let (status, asked) = self.enter_code(page, code).await;
        assert_eq!(status, StatusCode::OK, "{asked}");
        assert!(asked.contains(code), "{asked}");
        let answer = self.send(page, &asked, &[("action", button)]).await;
        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{said}");
        said
    }

    /// Goes to an address and on to where it sends the browser, which is another
    /// program's; what is shown there.
    pub async fn follow(&mut self, address: &str) -> String {
        let answer = self.get(address).await;
        let location = answer.headers().get("location");
        let location = location.unwrap_or_else(|| panic!("no redirect: {}", answer.status()));
        let there = self.http.get(location.to_str().unwrap()).send().await;
        there.unwrap().text().await.unwrap()
    }

    /// A one-time link works once.
    pub async fn link_is_dead(&mut self, link: &str) {
        assert_eq!(self.get(link).await.status(), StatusCode::GONE);
    }

    /// An access token by authorization code with PKCE.
    pub async fn token(&mut self, issuer: &str, client: &str) -> String {
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Value = self.get(&discovery).await.json().await.unwrap();
        assert_eq!(metadata["issuer"], issuer);
        let answer = self.get(authorization(&metadata, client).as_str()).await;
        let location = answer
            .headers()
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned());
        let location = location.unwrap_or_else(|| panic!("no redirect: {}", answer.status()));
        let callback = reqwest::Url::parse(&location).unwrap();
        let answered: BTreeMap<_, _> = callback.query_pairs().into_owned().collect();
        assert_eq!(
            answered.get("state").map(String::as_str),
            Some("state-1"),
            "{callback}"
        );
        let mut fields = BTreeMap::new();
        for (key, value) in [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code", answered["code"].as_str()),
            ("code_verifier", VERIFIER),
        ] {
            fields.insert(key.to_owned(), value.to_owned());
        }
        let answer = self
            .post(metadata["token_endpoint"].as_str().unwrap(), &fields)
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
        let tokens: Value = answer.json().await.unwrap();
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&mut self, url: &str) -> Response {
        let request = self.http.get(url).header("cookie", self.cookie_header());
        self.remember(request.send().await.unwrap())
    }

    async fn post(&mut self, url: &str, fields: &BTreeMap<String, String>) -> Response {
        let origin = reqwest::Url::parse(url)
            .unwrap()
            .origin()
            .ascii_serialization();
        let request = self
            .http
            .post(url)
            .header("cookie", self.cookie_header())
            .header("origin", origin);
        self.remember(request.form(fields).send().await.unwrap())
    }

    /// Sends the form of a page at an address, with what is typed into it.
    async fn send(&mut self, address: &str, html: &str, typed: &[(&str, &str)]) -> Response {
        let mut fields = hidden_fields(html);
        for (name, value) in typed {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        let action = reqwest::Url::parse(address)
            .unwrap()
            .join(&attribute(html, "<form", "action").unwrap())
            .unwrap();
        self.post(action.as_str(), &fields).await
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn remember(&mut self, response: Response) -> Response {
        for header in response.headers().get_all("set-cookie") {
            let header = header.to_str().unwrap();
            assert!(
                header.contains("HttpOnly") && !header.contains("Domain="),
                "{header}"
            );
            if let Some((name, value)) = header
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
            {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

/// Where a browser is sent to get a code for a client.
fn authorization(metadata: &Value, client: &str) -> reqwest::Url {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    let mut url =
        reqwest::Url::parse(metadata["authorization_endpoint"].as_str().unwrap()).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", REDIRECT)
        .append_pair("scope", "openid profile email groups")
        .append_pair("state", "state-1")
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(hash))
        .append_pair("code_challenge_method", "S256");
    url
}

/// Names and values of a page's hidden inputs.
fn hidden_fields(html: &str) -> BTreeMap<String, String> {
    html.split("<input")
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
        .filter(|tag| tag.contains("type=\"hidden\""))
        .map(|tag| (quoted(tag, "name").unwrap(), quoted(tag, "value").unwrap()))
        .collect()
}

fn attribute(html: &str, element: &str, name: &str) -> Option<String> {
    let tag = html.split(element).nth(1)?.split('>').next()?;
    quoted(tag, name)
}

fn quoted(tag: &str, name: &str) -> Option<String> {
    let value = tag
        .split(&format!(" {name}=\""))
        .nth(1)?
        .split('"')
        .next()?;
    Some(
        value
            .replace("&amp;", "&")
            .replace("&quot;", "\"")
            .replace("&#39;", "'"),
    )
}
