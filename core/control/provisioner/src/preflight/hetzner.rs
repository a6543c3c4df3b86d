//! Hetzner Cloud's API, as far as looking needs it
//! (<https://docs.hetzner.cloud/reference/cloud>).

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::secret::Secret;

/// Where the API is.
pub const ADDRESS: &str = "https://api.hetzner.cloud/v1";

/// Why the API did not say what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HetznerError {
    /// It refused.
    #[error("cannot {action}: Hetzner answered {status} ({code}): {message}")]
    Refused {
        /// What was attempted.
        action: String,
        /// HTTP status.
        status: u16,
        /// Its word for the error.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// It cannot be asked with this token.
    #[error("cannot reach Hetzner: {0}")]
    Token(&'static str),
    /// It gave no answer that can be read.
    #[error(
        "cannot {action}: Hetzner gave no answer that can be read: {reason}; see that this machine reaches it"
    )]
    Reach {
        /// What was attempted.
        action: String,
        /// What happened.
        reason: String,
    },
}

impl HetznerError {
    /// What several requests that failed alike have in common.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Refused { status, code, .. } => format!("{status} {code}"),
            Self::Token(reason) => (*reason).to_owned(),
            Self::Reach { reason, .. } => reason.clone(),
        }
    }
}

/// Why a text is no token of Hetzner's, whatever Hetzner would say. It becomes a header, and
/// a variable of an environment.
pub(crate) fn token_fault(token: &Secret) -> Option<&'static str> {
    match token.reveal() {
        "" => Some(
            "no token is given; set HCLOUD_TOKEN to one of the project's API tokens, which may read and write",
        ),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Some(
            "the token has spaces, ends of lines or characters that no token has; copy it once more, and set HCLOUD_TOKEN to it",
        ),
        _ => None,
    }
}

/// Whether a token is good for provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It may read and write.
    Writes,
    /// It may only read.
    ReadsOnly,
    /// Hetzner does not know it.
    Unknown,
}

/// A client with one project's token.
#[derive(Debug, Clone)]
pub struct Hetzner {
    http: Client,
    base: String,
    token: Secret,
}

/// A project has hundreds of things at most; more pages than this are a loop.
const MOST_PAGES: u64 = 100;

impl Hetzner {
    /// A client of the API at `base`; refuses what can be no token.
    pub fn new(base: &Url, token: Secret) -> Result<Self, HetznerError> {
        if let Some(fault) = token_fault(&token) {
            return Err(HetznerError::Token(fault));
        }
        let http = Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| HetznerError::Reach {
                action: "prepare requests to Hetzner".to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Asks to make an SSH key without a name or a key, which can make nothing: who may
    /// write is told that both are missing, who may not is told that.
    pub async fn token_state(&self) -> Result<TokenState, HetznerError> {
        let action = "ask whether the token may write";
        match self
            .ask(Method::POST, "/ssh_keys", Some(json!({})), action)
            .await
        {
            Ok(_) => Err(HetznerError::Reach {
                action: action.to_owned(),
                reason: "it accepted an empty request".to_owned(),
            }),
            Err(HetznerError::Refused { status, code, .. })
                if code == "invalid_input" || code == "json_error" || status == 422 =>
            {
                Ok(TokenState::Writes)
            }
            Err(HetznerError::Refused { status: 401, .. }) => Ok(TokenState::Unknown),
            Err(HetznerError::Refused { status: 403, .. }) => Ok(TokenState::ReadsOnly),
            Err(other) => Err(other),
        }
    }

    /// Everything of a kind in the project, such as `servers`.
    pub async fn list(&self, kind: &str) -> Result<Vec<Value>, HetznerError> {
        let action = format!("list {}", kind.replace('_', " "));
        // Without being asked for, images that are to be withdrawn are not among them.
        let more = match kind {
            "images" => "&include_deprecated=true",
            _ => "",
        };
        self.list_at(kind, more, kind, action).await
    }

    /// The record sets of a zone, by its name.
    pub async fn records(&self, zone: &str) -> Result<Vec<Value>, HetznerError> {
        let action = format!("list the records of {zone}");
        self.list_at(&format!("zones/{zone}/rrsets"), "", "rrsets", action)
            .await
    }

    /// Everything that a place, asked with `more`, lists under a name.
    async fn list_at(
        &self,
        place: &str,
        more: &str,
        kind: &str,
        action: String,
    ) -> Result<Vec<Value>, HetznerError> {
        let mut found = Vec::new();
        let mut page = 1;
        for _ in 0..MOST_PAGES {
            let path = format!("/{place}?page={page}&per_page=50{more}");
            let mut answer = self.ask(Method::GET, &path, None, &action).await?;
            match answer.get_mut(kind).map(Value::take) {
                Some(Value::Array(items)) => found.extend(items),
                _ => {
                    return Err(HetznerError::Reach {
                        action,
                        reason: format!("its answer has no {kind}"),
                    });
                }
            }
            match answer
                .pointer("/meta/pagination/next_page")
                .and_then(Value::as_u64)
            {
                Some(next) => page = next,
                None => return Ok(found),
            }
        }
        Err(HetznerError::Reach {
            action,
            reason: format!("it has more than {MOST_PAGES} pages"),
        })
    }

    /// Whether the project has a thing of this kind and id.
    pub async fn has(&self, kind: &str, id: u64) -> Result<bool, HetznerError> {
        let action = format!("look for {} {id}", kind.replace('_', " "));
        let path = format!("/{kind}/{id}");
        match self.ask(Method::GET, &path, None, &action).await {
            Ok(_) => Ok(true),
            Err(HetznerError::Refused { status: 404, .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Removes one thing. What is gone already is success; `false` means that something
    /// else still uses it, or is at work on it.
    pub async fn delete(&self, kind: &str, id: u64) -> Result<bool, HetznerError> {
        let action = format!("delete {} {id}", kind.replace('_', " "));
        let path = format!("/{kind}/{id}");
        match self.ask(Method::DELETE, &path, None, &action).await {
            Ok(_) => Ok(true),
            Err(HetznerError::Refused { status: 404, .. }) => Ok(true),
            Err(HetznerError::Refused { status, code, .. })
                if matches!(status, 409 | 423) || code == "resource_in_use" || code == "locked" =>
            {
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// The host that is asked, for errors.
    fn host(&self) -> String {
        let url = Url::parse(&self.base).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.unwrap_or("the address of the API").to_owned()
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        action: &str,
    ) -> Result<Value, HetznerError> {
        let reach = |error: reqwest::Error| HetznerError::Reach {
            action: action.to_owned(),
            reason: format!("{}: {}", self.host(), innermost(&error)),
        };
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.token.reveal());
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(reach)?;
        let status = response.status();
        let body = response.bytes().await.map_err(reach)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| {
            answer
                .pointer(&format!("/error/{name}"))
                .and_then(Value::as_str)
                .map(|text| text.chars().take(500).collect::<String>())
        };
        Err(HetznerError::Refused {
            action: action.to_owned(),
            status: status.as_u16(),
            code: text("code").unwrap_or_else(|| "no code".to_owned()),
            message: text("message").unwrap_or_else(|| reason(status)),
        })
    }
}

/// What an error comes of at last: reqwest's own words, and hyper's, are of their layers.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn reason(status: StatusCode) -> String {
    status
        .canonical_reason()
        .unwrap_or("nothing else")
        .to_lowercase()
}
