//! Signing in at a registry: Basic, a ready bearer token, or the token dance of
//! the distribution specification.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::reference::is_loopback;

/// How to sign in. `Debug` shows no secret.
#[derive(Clone, Default)]
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
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
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
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks the challenge's realm for a token. The password goes there only over TLS,
/// to loopback, or to the registry's own host, because the realm is the
/// registry's word.
pub(crate) async fn fetch_token(
    client: &reqwest::Client,
    challenge: &Challenge,
    host: &str,
    scope: &str,
    credentials: &Credentials,
) -> Result<Option<String>, reqwest::Error> {
    let Some(realm) = challenge.parameters.get("realm") else {
        return Ok(None);
    };
    let Ok(mut url) = reqwest::Url::parse(realm) else {
        return Ok(None);
    };
    let authority = match (url.host_str(), url.port()) {
        (Some(name), Some(port)) => format!("{name}:{port}"),
        (Some(name), None) => name.to_owned(),
        _ => return Ok(None),
    };
    if url.scheme() != "https" && authority != host && !is_loopback(&authority) {
        return Ok(None);
    }
    if let Some(service) = challenge.parameters.get("service") {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", scope);
    let mut request = client.get(url);
    if let Credentials::Basic { username, password } = credentials {
        request = request.basic_auth(username, Some(password));
    }
    let response = request.send().await?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let answer: TokenAnswer = response.json().await?;
    Ok(answer.token.or(answer.access_token))
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
    fn credentials_are_not_shown() {
        let shown = format!("{:?}", Credentials::Bearer("secret".into()));
        assert!(!shown.contains("secret"));
    }
}
