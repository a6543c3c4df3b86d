//! A pull-only client of the OCI distribution protocol (1.1).
//!
//! What must stay true: nothing read is used before its digest was compared;
//! a password goes only to the registry, or over TLS to the realm it names.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::{RequestBuilder, Response, Url};
use serde_json::Value;

use crate::json::{digest, list, text};

/// Manifests larger than this are refused.
const MAX_MANIFEST: usize = 4 << 20;
/// Layers larger than this are refused.
pub const MAX_LAYER: usize = 100 << 20;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("could not reach {url}: {why}")]
    Reach { url: String, why: String },
    #[error("could not pull {what}: the registry answered {status}{detail}; {next}")]
    Refused {
        what: String,
        status: u16,
        detail: String,
        next: &'static str,
    },
    #[error("could not pull {what}: its digest is {actual}, not {expected}")]
    Altered {
        what: String,
        expected: String,
        actual: String,
    },
    #[error("could not pull {what}: {why}")]
    Answer { what: String, why: String },
}

impl PullError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    pub fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 401 | 403,
                ..
            }
        )
    }
}

/// A name and a password or token.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

/// The login for `host` in a `.dockerconfigjson`.
pub fn login(config: &[u8], host: &str) -> Result<Option<Login>, String> {
    let config: Value = serde_json::from_slice(config)
        .map_err(|_| "its .dockerconfigjson is not JSON".to_owned())?;
    let Some(all) = config.get("auths").and_then(Value::as_object) else {
        return Ok(None);
    };
    let found = all.iter().find(|(place, _)| {
        let place = place
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        place.split('/').next() == Some(host)
    });
    let Some((_, entry)) = found else {
        return Ok(None);
    };
    if let (Some(username), Some(password)) = (
        entry.get("username").and_then(Value::as_str),
        entry.get("password").and_then(Value::as_str),
    ) {
        return Ok(Some(Login {
            username: username.to_owned(),
            password: password.to_owned(),
        }));
    }
    let decoded = STANDARD
        .decode(text(entry, "/auth"))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((username, password)) => Ok(Some(Login {
            username: username.to_owned(),
            password: password.to_owned(),
        })),
        None => Err(format!("its .dockerconfigjson has no login for {host}")),
    }
}

/// One repository of a registry.
pub struct Repository {
    http: reqwest::Client,
    origin: String,
    pub host: String,
    pub name: String,
    login: Option<Login>,
    timeout: Duration,
    token: Mutex<Option<String>>,
}

impl Repository {
    /// From `oci://host/path`; plain HTTP only when `insecure`.
    pub fn new(
        http: reqwest::Client,
        url: &str,
        insecure: bool,
        timeout: Duration,
    ) -> Result<Self, String> {
        let place = url.strip_prefix("oci://").unwrap_or(url);
        let (host, name) = place
            .split_once('/')
            .filter(|(host, name)| !host.is_empty() && !name.is_empty())
            .ok_or_else(|| format!("{url} names no repository; write oci://host/path"))?;
        let last = name.rsplit('/').next().unwrap_or_default();
        if last.contains(['@', ':']) {
            return Err(format!("{url} holds a tag or digest; put it into spec.ref"));
        }
        let scheme = if insecure { "http" } else { "https" };
        Ok(Self {
            http,
            origin: format!("{scheme}://{host}"),
            host: host.to_owned(),
            name: name.to_owned(),
            login: None,
            timeout,
            token: Mutex::default(),
        })
    }

    pub fn signed_in(mut self, login: Option<Login>) -> Self {
        self.login = login;
        self
    }

    /// The last part of the repository's name.
    pub fn artifact(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    fn what(&self, target: &str) -> String {
        let separator = if target.contains(':') { '@' } else { ':' };
        format!("{}/{}{separator}{target}", self.host, self.name)
    }

    async fn get(&self, path: &str, accept: &str, what: &str) -> Result<Response, PullError> {
        let url = format!("{}/v2/{}/{path}", self.origin, self.name);
        let request = || {
            self.http
                .get(&url)
                .header("Accept", accept)
                .timeout(self.timeout)
        };
        let token = self.token.lock().ok().and_then(|token| token.clone());
        let answer = self.send(self.authorized(request(), token)).await?;
        let answer = if answer.status().as_u16() == 401 {
            match self.sign_in(&answer).await? {
                Some(request_token) => {
                    if let Ok(mut token) = self.token.lock() {
                        *token = Some(request_token.clone());
                    }
                    self.send(self.authorized(request(), Some(request_token)))
                        .await?
                }
                None => answer,
            }
        } else {
            answer
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = self.body(answer, 64 << 10, what).await.unwrap_or_default();
        let detail = serde_json::from_slice::<Value>(&body)
            .ok()
            .map(|body| text(&body, "/errors/0/message").to_owned())
            .filter(|message| !message.is_empty())
            .map(|message| format!(" ({message})"))
            .unwrap_or_default();
        Err(PullError::Refused {
            what: what.to_owned(),
            status,
            detail,
            next: match status {
                401 | 403 => "check the secret that secretRef names",
                404 => "check the URL and spec.ref",
                _ => "it will be tried again",
            },
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, PullError> {
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: reqwest::Error) -> PullError {
        let error = error.without_url();
        let mut why = error.to_string();
        let mut below = std::error::Error::source(&error);
        while let Some(cause) = below {
            why = format!("{why}: {cause}");
            below = cause.source();
        }
        PullError::Reach {
            url: self.origin.clone(),
            why,
        }
    }

    fn authorized(&self, request: RequestBuilder, token: Option<String>) -> RequestBuilder {
        match (token, &self.login) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(login)) => request.basic_auth(&login.username, Some(&login.password)),
            (None, None) => request,
        }
    }

    /// The token dance of the distribution specification.
    async fn sign_in(&self, answer: &Response) -> Result<Option<String>, PullError> {
        let challenge = answer
            .headers()
            .get("www-authenticate")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let Some(parameters) = bearer(&challenge) else {
            return Ok(None);
        };
        let Some(mut url) = parameters
            .get("realm")
            .and_then(|realm| Url::parse(realm).ok())
        else {
            return Ok(None);
        };
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            _ => return Ok(None),
        };
        if url.scheme() != "https" && host != self.host {
            return Ok(None);
        }
        if let Some(service) = parameters.get("service") {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut()
            .append_pair("scope", &format!("repository:{}:pull", self.name));
        let mut request = self.http.get(url).timeout(self.timeout);
        if let Some(login) = &self.login {
            request = request.basic_auth(&login.username, Some(&login.password));
        }
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let body: Value = answer
            .json()
            .await
            .map_err(|error| self.unreachable(error))?;
        Ok(["/token", "/access_token"]
            .iter()
            .find_map(|place| crate::json::some_text(&body, place))
            .map(str::to_owned))
    }

    async fn body(
        &self,
        mut answer: Response,
        most: usize,
        what: &str,
    ) -> Result<Bytes, PullError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if bytes.len() + chunk.len() > most {
                return Err(PullError::Answer {
                    what: what.to_owned(),
                    why: format!("it is larger than {most} bytes"),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// A manifest by tag or digest, and its digest as computed here.
    pub async fn manifest(&self, target: &str) -> Result<(Bytes, String), PullError> {
        self.manifest_within(target, MAX_MANIFEST).await
    }

    /// The same of at most `most` bytes.
    pub async fn manifest_within(
        &self,
        target: &str,
        most: usize,
    ) -> Result<(Bytes, String), PullError> {
        let what = self.what(target);
        let answer = self
            .get(&format!("manifests/{target}"), MANIFESTS, &what)
            .await?;
        let bytes = self.body(answer, most, &what).await?;
        let actual = digest(&bytes);
        if target.starts_with("sha256:") && actual != target {
            return Err(PullError::Altered {
                what,
                expected: target.to_owned(),
                actual,
            });
        }
        Ok((bytes, actual))
    }

    /// A blob by its digest.
    pub async fn blob(&self, wanted: &str, most: usize) -> Result<Bytes, PullError> {
        let what = self.what(wanted);
        let answer = self.get(&format!("blobs/{wanted}"), "*/*", &what).await?;
        let bytes = self.body(answer, most, &what).await?;
        let actual = digest(&bytes);
        if actual != wanted {
            return Err(PullError::Altered {
                what,
                expected: wanted.to_owned(),
                actual,
            });
        }
        Ok(bytes)
    }

    /// All tags.
    pub async fn tags(&self) -> Result<Vec<String>, PullError> {
        let what = format!("{}/{}", self.host, self.name);
        let mut tags = Vec::new();
        let mut path = "tags/list?n=1000".to_owned();
        // A bound on pages, so that a registry cannot keep us here.
        for _ in 0..100 {
            let answer = self.get(&path, "application/json", &what).await?;
            let next = answer
                .headers()
                .get("link")
                .and_then(|value| value.to_str().ok())
                .and_then(|link| link.split_once("last=")?.1.split(['&', '>']).next())
                .map(str::to_owned);
            let body = self.body(answer, MAX_MANIFEST, &what).await?;
            let body: Value = serde_json::from_slice(&body).map_err(|error| PullError::Answer {
                what: what.clone(),
                why: error.to_string(),
            })?;
            tags.extend(
                list(&body, "/tags")
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned),
            );
            match next {
                Some(last) => path = format!("tags/list?n=1000&last={last}"),
                None => break,
            }
        }
        Ok(tags)
    }

    /// What refers to a manifest, by the API or by the fallback tag.
    pub async fn referrers(&self, subject: &str) -> Result<Vec<Value>, PullError> {
        let what = self.what(subject);
        let accept = "application/vnd.oci.image.index.v1+json";
        let bytes = match self
            .get(&format!("referrers/{subject}"), accept, &what)
            .await
        {
            Ok(answer) => self.body(answer, MAX_MANIFEST, &what).await?,
            Err(error) if error.is_not_found() => {
                match self.manifest(&subject.replacen(':', "-", 1)).await {
                    Ok((bytes, _)) => bytes,
                    Err(error) if error.is_not_found() => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(list(&index, "/manifests").to_vec())
    }
}

/// The parameters of a `Bearer` challenge.
fn bearer(header: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, mut rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut found = BTreeMap::new();
    while let Some((name, tail)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => tail.split_once(',').unwrap_or((tail, "")),
        };
        found.insert(name, value.to_owned());
        rest = after;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host() {
        let config = br#"{"auths": {
            "https://a.example/v1/": {"auth": "dTpw"},
            "127.0.0.1:80": {"username": "x", "password": "y"},
            "broken": {"auth": "!"}}}"#;
        let found = login(config, "a.example").unwrap().unwrap();
        assert_eq!((found.username, found.password), ("u".into(), "p".into()));
        assert_eq!(
            login(config, "127.0.0.1:80").unwrap().unwrap().username,
            "x"
        );
        assert!(login(config, "other").unwrap().is_none());
        assert!(login(config, "broken").is_err());
        assert!(login(b"no", "a").is_err());
    }

    #[test]
    fn challenges_are_read() {
        let found = bearer(r#"Bearer realm="https://a/token",service="r""#).unwrap();
        assert_eq!(found["realm"], "https://a/token");
        assert_eq!(found["service"], "r");
        assert!(bearer("Basic realm=x").is_none());
    }
}
