//! Where an artifact lives: `[http://|https://|oci://]host[:port]/path[:tag][@sha256:…]`.

/// Why a reference cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{reference}` is not an artifact's reference: {reason}; write it like registry.example:5000/catalog/bp-name:1.0.0"
)]
pub struct ReferenceError {
    /// What was given.
    pub reference: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Whether the registry is spoken to in plain HTTP: said so, or on loopback.
    pub plain_http: bool,
    /// `host[:port]`.
    pub host: String,
    /// The path, such as `catalog/bp-postgres`.
    pub repository: String,
    /// The tag, when one is given.
    pub tag: Option<String>,
    /// `sha256:<hex>`, when one is given; it then decides alone.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference. Without a scheme, loopback hosts are spoken to in plain
    /// HTTP and all others over TLS.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let fail = |reason| ReferenceError {
            reference: text.to_owned(),
            reason,
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (head, digest) = match rest.split_once('@') {
            Some((head, digest)) => (head, Some(digest.to_owned())),
            None => (rest, None),
        };
        let (host, path) = head
            .split_once('/')
            .ok_or_else(|| fail("it has no path after the host"))?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let is_part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')
                })
                && part.chars().any(|c| c.is_ascii_alphanumeric())
        };
        if host.is_empty() || host.contains(['?', '#', '\\', ' ']) {
            return Err(fail("its host is empty or odd"));
        }
        if !repository.split('/').all(is_part) {
            return Err(fail(
                "its path has other characters than small letters, digits, `.`, `_` and `-`",
            ));
        }
        if tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err(fail("its tag has characters that tags do not have"));
        }
        if digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return Err(fail("its digest is not sha256: and 64 hexadecimal digits"));
        }
        let plain_http = match scheme {
            Some("http") => true,
            Some("https") => false,
            None | Some("oci") => is_loopback(host),
            Some(_) => return Err(fail("its scheme is neither http, https nor oci")),
        };
        Ok(Self {
            plain_http,
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }

    /// `host/path`, as it stands in signatures.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The last part of the path, the Blueprint's name.
    pub fn artifact(&self) -> &str {
        self.repository
            .rsplit_once('/')
            .map_or(self.repository.as_str(), |(_, last)| last)
    }

    /// The address of something under the repository in the registry's API.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.origin(), self.repository)
    }

    pub(crate) fn origin(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        format!("{scheme}://{}", self.host)
    }

    /// Whether an address is the registry's own: scheme, host and port.
    pub(crate) fn is_origin_of(&self, url: &reqwest::Url) -> bool {
        reqwest::Url::parse(&self.origin()).is_ok_and(|own| own.origin() == url.origin())
    }

    /// What to ask for: the digest when there is one, else the tag.
    pub(crate) fn target(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.name())?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

pub(crate) fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']);
    name == "localhost"
        || name.ends_with(".localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let full =
            Reference::parse(&format!("127.0.0.1:8080/catalog/bp-x:1.0.0@{digest}")).unwrap();
        assert!(full.plain_http);
        assert_eq!(full.name(), "127.0.0.1:8080/catalog/bp-x");
        assert_eq!(full.artifact(), "bp-x");
        assert_eq!(full.target(), digest);
        assert_eq!(
            full.to_string(),
            format!("127.0.0.1:8080/catalog/bp-x:1.0.0@{digest}")
        );
        let far = Reference::parse("oci://ghcr.io/openova-io/bp-x:1").unwrap();
        assert!(!far.plain_http);
        assert_eq!(
            far.url("tags/list"),
            "https://ghcr.io/v2/openova-io/bp-x/tags/list"
        );
        for bad in [
            "bp-x",
            "h/Upper",
            "h/a/../b",
            "h/a:",
            "h/a@sha256:12",
            "ftp://h/a",
            "/a",
            "h//a",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        for (host, loopback) in [
            ("localhost:1", true),
            ("[::1]:5000", true),
            ("127.8.0.1", true),
            ("registry.localhost", true),
            ("10.0.0.1", false),
            ("127.0.0.1.example.org", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }
}
