//! Who is asking, and what they may do. The binary decides both through
//! [`Access`]; this crate turns the answers into challenges and refusals.

use std::fmt;

use base64::Engine as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};

use crate::names::RepositoryName;

/// What came with a request. Its `Debug` form hides the secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        username: String,
        /// The password, or a token in its place.
        password: String,
    },
    /// `Authorization: Bearer`.
    Bearer(String),
}

/// Someone whose credentials were checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// Name under which permissions are stored; `None` for the anonymous.
    pub name: Option<String>,
    /// Groups, under which permissions may be stored as well.
    pub groups: Vec<String>,
    /// Whether this principal may do everything and administer permissions.
    pub is_administrator: bool,
}

/// What is about to be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read blobs, manifests, tags, referrers.
    Pull,
    /// Add or replace content.
    Push,
    /// Remove content.
    Delete,
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actions {
    /// May read.
    pub pull: bool,
    /// May add and replace.
    pub push: bool,
    /// May remove.
    pub delete: bool,
}

/// Why a principal could not be determined, or a permission not be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The credentials are wrong, expired or revoked.
    #[error("the credentials were not accepted; sign in again")]
    Rejected,
    /// Nobody could be asked; the request is refused, and may be tried again.
    #[error("permissions cannot be checked now: {0}")]
    Unavailable(String),
}

/// Authentication and authorisation, supplied by the binary.
pub trait Access: Send + Sync + 'static {
    /// Who holds these credentials. For [`Credentials::Anonymous`] the default
    /// [`Principal`] is a fine answer; [`Access::allows`] has the last word.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Principal, AccessError>>;

    /// Whether the principal may do this in the repository (which need not
    /// exist). Asked for every request, so a withdrawn right ends at once.
    fn allows<'a>(
        &'a self,
        principal: &'a Principal,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>>;
}

/// Lets everyone do everything but administer: for tests and conformance runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnonymousAccess;

impl Access for AnonymousAccess {
    fn authenticate<'a>(
        &'a self,
        _credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Principal, AccessError>> {
        Box::pin(async { Ok(Principal::default()) })
    }

    fn allows<'a>(
        &'a self,
        _principal: &'a Principal,
        _repository: &'a RepositoryName,
        _action: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async { Ok(true) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(formatter, "Basic({username}, …)"),
            Self::Bearer(_) => formatter.write_str("Bearer(…)"),
        }
    }
}

impl Credentials {
    /// Reads the `Authorization` header. A header that cannot be understood is
    /// an error, never the same as none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, AccessError> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Ok(Self::Anonymous);
        };
        let text = value.to_str().map_err(|_| AccessError::Rejected)?;
        let (scheme, rest) = text.split_once(' ').ok_or(AccessError::Rejected)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(AccessError::Rejected);
        }
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(rest)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(AccessError::Rejected)?;
        let (username, password) = decoded.split_once(':').ok_or(AccessError::Rejected)?;
        Ok(Self::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl Principal {
    /// A named principal without groups.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// Whether nobody signed in.
    pub fn is_anonymous(&self) -> bool {
        self.name.is_none()
    }
}

impl Actions {
    /// Read only.
    pub const PULL: Self = Self {
        pull: true,
        push: false,
        delete: false,
    };
    /// Read and write.
    pub const PUSH: Self = Self {
        pull: true,
        push: true,
        delete: false,
    };
    /// Everything.
    pub const ALL: Self = Self {
        pull: true,
        push: true,
        delete: true,
    };

    /// Whether the action is in the set.
    pub fn allows(self, action: Action) -> bool {
        match action {
            Action::Pull => self.pull,
            Action::Push => self.push,
            Action::Delete => self.delete,
        }
    }

    /// Whether the set has nothing.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What is in either set.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            pull: self.pull || other.pull,
            push: self.push || other.push,
            delete: self.delete || other.delete,
        }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            pull: self.pull && !other.pull,
            push: self.push && !other.push,
            delete: self.delete && !other.delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, expected: Result<Credentials, AccessError>) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        assert_eq!(Credentials::from_headers(&headers), expected, "{header:?}");
    }

    #[test]
    fn a_header_that_cannot_be_read_is_rejected_rather_than_anonymous() {
        check(None, Ok(Credentials::Anonymous));
        check(
            Some("Basic YW5uOnBhOnNz"),
            Ok(Credentials::Basic {
                username: "ann".into(),
                password: "pa:ss".into(),
            }),
        );
        check(Some("bearer abc"), Ok(Credentials::Bearer("abc".into())));
        for wrong in [
            "Basic",
            "Basic !!!",
            "Basic YW5u",
            "Digest abc",
            "Bearer ",
            "",
        ] {
            check(Some(wrong), Err(AccessError::Rejected));
        }
    }

    #[test]
    fn credentials_do_not_print_their_secret() {
        let basic = Credentials::Basic {
            username: "ann".into(),
            password: "hush".into(),
        };
        assert!(!format!("{basic:?} {:?}", Credentials::Bearer("hush".into())).contains("hush"));
    }
}
