//! Signing in at a registry: Basic, a ready bearer token, or the token service
//! that the registry names (the distribution project's token specification, and
//! its OAuth 2 form for identity tokens).
//!
//! What must stay true: a secret goes over TLS, to loopback, or to the registry's
//! own host where that is spoken to in plain HTTP anyway; to no place that an
//! answer redirects to; and into no message.

use std::collections::BTreeMap;

use reqwest::{
    Body, Client, RequestBuilder, Url,
    header::{CONTENT_LENGTH, HeaderValue},
};
use serde::Deserialize;

use crate::{
    Reference, RegistryError,
    error::malformed,
    reference::is_loopback,
    registry::{Patience, read},
};

/// The longest answer of a token service that is read.
const MAX_ANSWER: u64 = 256 * 1024;

/// How to sign in. `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// As anybody.
    #[default]
    Anonymous,
    /// With a name and a password or token.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// With a token that the registry takes as it is.
    Bearer(String),
    /// With an identity token: what a token service gave at sign-in, to be
    /// exchanged there for tokens that the registry takes.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Identity(_) => "Identity(…)",
        })
    }
}

/// What a request needs to be allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access<'a> {
    Pull,
    Push,
    /// To push, and to take a blob of another repository along.
    Mount(&'a str),
}

impl Access<'_> {
    /// The scopes that a token must have for it.
    pub fn scopes(self, at: &Reference) -> Vec<String> {
        let scope = |repository: &str, actions: &str| format!("repository:{repository}:{actions}");
        match self {
            Self::Pull => vec![scope(&at.repository, "pull")],
            Self::Push => vec![scope(&at.repository, "pull,push")],
            Self::Mount(from) => vec![scope(&at.repository, "pull,push"), scope(from, "pull")],
        }
    }
}

/// A `WWW-Authenticate` challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub scheme: String,
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads one challenge: a scheme and `name="value"` pairs.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let mut parameters = BTreeMap::new();
        while let Some((name, tail)) = rest.split_once('=') {
            let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
            let (value, after) = match tail.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => tail.split_once(',').unwrap_or((tail, "")),
            };
            parameters.insert(name, value.trim().to_owned());
            rest = after;
        }
        (!scheme.is_empty()).then(|| Self {
            scheme: scheme.to_ascii_lowercase(),
            parameters,
        })
    }

    /// Where it says that tokens are given, if that is a place to go to with a
    /// secret: the realm is the registry's word.
    fn realm(&self, at: &Reference) -> Option<Url> {
        let url = Url::parse(self.parameters.get("realm")?).ok()?;
        let may_know = match url.scheme() {
            "https" => true,
            "http" => {
                let host = match (url.host_str()?, url.port()) {
                    (name, Some(port)) => format!("{name}:{port}"),
                    (name, None) => name.to_owned(),
                };
                is_loopback(&host) || (at.plain_http && at.is_origin_of(&url))
            }
            _ => false,
        };
        may_know.then_some(url)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks the challenge's realm for a token with these scopes. None when there is
/// no token to be had: the registry's own refusal then stands.
pub(crate) async fn fetch_token(
    client: &Client,
    challenge: &Challenge,
    (at, action): (&Reference, &'static str),
    scopes: &[String],
    credentials: &Credentials,
    patience: &Patience,
) -> Result<Option<String>, RegistryError> {
    let Some(realm) = challenge.realm(at) else {
        return Ok(None);
    };
    let service = challenge.parameters.get("service").map(String::as_str);
    let failed = |source| RegistryError::failed(at, action, source);
    let request = match credentials {
        Credentials::Identity(secret) => {
            exchange(client, realm, service, scopes, secret).map_err(failed)?
        }
        other => ask(client, realm, service, scopes, other),
    };
    let response = request
        .timeout(patience.answer)
        .send()
        .await
        .map_err(failed)?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let bytes = read(at, action, response, MAX_ANSWER).await?;
    // What could not be read is not quoted: there may be a token in it.
    let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|_| {
        malformed(
            at,
            action,
            "the registry's token service gives something else than a token; see its log",
        )
    })?;
    Ok(answer.token.or(answer.access_token))
}

fn ask(
    client: &Client,
    mut realm: Url,
    service: Option<&str>,
    scopes: &[String],
    credentials: &Credentials,
) -> RequestBuilder {
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in scopes {
            query.append_pair("scope", scope);
        }
    }
    let request = client.get(realm);
    match credentials {
        Credentials::Basic { username, password } => request.basic_auth(username, Some(password)),
        _ => request,
    }
}

fn exchange(
    client: &Client,
    realm: Url,
    service: Option<&str>,
    scopes: &[String],
    secret: &str,
) -> Result<RequestBuilder, reqwest::Error> {
    let scopes = scopes.join(" ");
    let form = [
        ("grant_type", "refresh_token"),
        ("service", service.unwrap_or_default()),
        ("client_id", "catalyst"),
        ("scope", scopes.as_str()),
        ("refresh_token", secret),
    ];
    let (client, request) = client.post(realm).form(&form).build_split();
    let mut request = request?;
    let bytes = request
        .body()
        .and_then(Body::as_bytes)
        .map(bytes::Bytes::copy_from_slice)
        .unwrap_or_default();
    request
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    // A body that cannot be sent twice, so that no redirect takes the secret along.
    *request.body_mut() = Some(Body::wrap(http_body_util::Full::new(bytes)));
    Ok(RequestBuilder::from_parts(client, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let challenge = Challenge::parse(
            r#"Bearer realm="https://a.example/token",service="registry",scope="repository:a/b:pull,push""#,
        )
        .unwrap();
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.parameters["realm"], "https://a.example/token");
        assert_eq!(challenge.parameters["scope"], "repository:a/b:pull,push");
        assert_eq!(Challenge::parse("Basic").unwrap().scheme, "basic");
        assert_eq!(
            Challenge::parse("Basic realm=x").unwrap().parameters["realm"],
            "x"
        );
        assert!(Challenge::parse("").is_none());
    }

    #[test]
    fn a_secret_goes_to_no_realm_that_a_listener_could_read() {
        for (registry, realm, goes) in [
            ("https://r.example", "https://r.example/token", true),
            ("https://r.example", "https://auth.example/token", true),
            ("https://r.example", "http://r.example/token", false),
            ("https://r.example", "http://auth.example/token", false),
            ("http://r.example:5000", "http://r.example:5000/token", true),
            ("http://r.example:5000", "http://r.example/token", false),
            ("http://r.example", "http://auth.example/token", false),
            ("http://r.example", "http://127.0.0.1:5001/token", true),
            ("https://r.example", "ftp://r.example/token", false),
            ("https://r.example", "/token", false),
        ] {
            let at = Reference::parse(&format!("{registry}/a/b:1")).unwrap();
            let challenge = Challenge::parse(&format!("Bearer realm=\"{realm}\"")).unwrap();
            assert_eq!(challenge.realm(&at).is_some(), goes, "{registry} {realm}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        for shown in [
            Credentials::Bearer("secret".into()),
            Credentials::Identity("secret".into()),
            Credentials::Basic {
                username: "u".into(),
                password: "secret".into(),
            },
        ] {
            assert!(!format!("{shown:?}").contains("secret"));
        }
    }
}
