//! One way of asking a part over HTTP, for all clients.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{PortError, Tokens};

/// No part needs longer; a longer silence counts as no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Of what a part says, no more than this is repeated to people.
const LONGEST_REASON: usize = 2_000;

/// How a part wants to know who asks.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// `Authorization`, from tokens that may change.
    Tokens(Tokens),
    /// A header of the part's own.
    Header(&'static str, zeroize::Zeroizing<String>),
}

/// A part's HTTP surface.
#[derive(Clone)]
pub(crate) struct Surface {
    pub(crate) part: &'static str,
    http: Client,
    base: String,
    credentials: Credentials,
}

/// A request that is being put together.
pub(crate) struct Call<'a> {
    surface: &'a Surface,
    builder: RequestBuilder,
    action: String,
}

/// What a part answered, whatever the status.
pub(crate) struct Answer {
    part: &'static str,
    action: String,
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Surface {
    pub(crate) fn new(
        part: &'static str,
        http: Client,
        base: &Url,
        credentials: Credentials,
    ) -> Self {
        Self {
            part,
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
            credentials,
        }
    }

    /// Moves the base to a path below it.
    pub(crate) fn descend(&mut self, path: &str) {
        self.base.push_str(path);
    }

    /// A request to a path below the base; the path is encoded already.
    /// `action` completes the sentence "cannot …".
    pub(crate) fn call(&self, method: Method, path: &str, action: impl Into<String>) -> Call<'_> {
        let builder = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(ANSWER_WITHIN);
        Call {
            surface: self,
            builder,
            action: action.into(),
        }
    }

    async fn authorize(&self, builder: RequestBuilder) -> Result<RequestBuilder, PortError> {
        Ok(match &self.credentials {
            Credentials::Tokens(tokens) => {
                let mut value = tokens.authorization().await?;
                value.set_sensitive(true);
                builder.header(http::header::AUTHORIZATION, value)
            }
            Credentials::Header(name, secret) => {
                let mut value =
                    http::HeaderValue::from_str(secret).map_err(|_| PortError::Prepare {
                        action: format!("sign in to the {}", self.part),
                        reason: "its token is not text that a header can carry".to_owned(),
                    })?;
                value.set_sensitive(true);
                builder.header(*name, value)
            }
        })
    }
}

impl Call<'_> {
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    pub(crate) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.builder = self.builder.query(pairs);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// The answer, whatever its status.
    pub(crate) async fn answer(self) -> Result<Answer, PortError> {
        let Self {
            surface,
            builder,
            action,
        } = self;
        let again = builder.try_clone();
        let answer = send(surface, builder, &action).await?;
        // A token may have been withdrawn before its time; a new one tells.
        if answer.status == StatusCode::UNAUTHORIZED
            && let Credentials::Tokens(tokens) = &surface.credentials
            && tokens.renew().await
            && let Some(builder) = again
        {
            return send(surface, builder, &action).await;
        }
        Ok(answer)
    }

    /// The answer, if the part agreed.
    pub(crate) async fn ok(self) -> Result<Answer, PortError> {
        self.answer().await?.ok()
    }

    /// The answer decoded, if the part agreed.
    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T, PortError> {
        self.ok().await?.decode()
    }

    /// The answer decoded; `None` when the thing is not there.
    pub(crate) async fn find<T: DeserializeOwned>(self) -> Result<Option<T>, PortError> {
        let answer = self.answer().await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.ok()?.decode().map(Some),
        }
    }

    /// Whether the part agreed (`true`), or the thing is not there.
    pub(crate) async fn exists(self) -> Result<bool, PortError> {
        let answer = self.answer().await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            _ => answer.ok().map(|_| true),
        }
    }
}

impl Answer {
    /// Turns a refusal into an error.
    pub(crate) fn ok(self) -> Result<Self, PortError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.refusal())
    }

    /// The error that this answer is.
    pub(crate) fn refusal(self) -> PortError {
        let reason = self.reason();
        PortError::Ask {
            part: self.part,
            action: self.action,
            status: self.status.as_u16(),
            reason,
        }
    }

    /// The error of a change that came too late.
    pub(crate) fn conflict(self) -> PortError {
        let reason = self.reason();
        PortError::Change {
            part: self.part,
            action: self.action,
            reason,
        }
    }

    /// The body as JSON. Neither the body nor the parser's words are repeated:
    /// they could hold a secret.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, PortError> {
        serde_json::from_slice(&self.body).map_err(|error| PortError::Read {
            part: self.part,
            action: self.action,
            reason: format!(
                "line {}, column {} is not what was expected",
                error.line(),
                error.column()
            ),
        })
    }

    /// What the part says, out of the error shapes of Gitea (`message`),
    /// Harbor (`errors[].message`), Vault (`errors[]`), Keycloak
    /// (`errorMessage`) and OAuth 2 (`error_description`).
    pub(crate) fn reason(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let listed = || {
            let errors = value.get("errors")?.as_array()?;
            let texts: Vec<&str> = errors
                .iter()
                .filter_map(|error| error.get("message").unwrap_or(error).as_str())
                .collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        };
        let said = ["message", "errorMessage", "error_description"]
            .into_iter()
            .find_map(field)
            .or_else(listed)
            .or_else(|| field("error"))
            .filter(|text| !text.trim().is_empty());
        let reason = said.unwrap_or_else(|| {
            self.status
                .canonical_reason()
                .unwrap_or("nothing else")
                .to_lowercase()
        });
        reason.chars().take(LONGEST_REASON).collect()
    }
}

async fn send(
    surface: &Surface,
    builder: RequestBuilder,
    action: &str,
) -> Result<Answer, PortError> {
    let reach = |source: reqwest::Error| PortError::Reach {
        part: surface.part,
        action: action.to_owned(),
        source: Box::new(source),
    };
    let response = surface
        .authorize(builder)
        .await?
        .send()
        .await
        .map_err(reach)?;
    let status = response.status();
    Ok(Answer {
        part: surface.part,
        action: action.to_owned(),
        status,
        body: response.bytes().await.map_err(reach)?,
    })
}

const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

/// One segment of a path, encoded.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path of several segments, encoded, its slashes kept.
pub(crate) fn segments(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}
