//! What the binary decides: address, clients, lifetimes, key material, clock.
//!
//! [`Config`] is parsed by its owner and checked once by
//! [`crate::Issuer::open`]; afterwards it never changes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use catalyst_store::Store;
use jiff::Timestamp;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::secret;

/// Where the issuer reads the time, so that tests can move it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// The key that seals private signing keys at rest. It never appears in
/// `Debug` output.
#[derive(Clone)]
pub struct EncryptionKey(Zeroizing<[u8; 32]>);

impl EncryptionKey {
    /// Takes 32 bytes of high entropy.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptionKey(..)")
    }
}

/// The SHA-256 of a client's secret. Client secrets are made by machines with
/// full entropy, so a fast hash is enough; people's passwords use argon2id.
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret of at least 128 bits of entropy.
    pub fn of(secret: &str) -> Self {
        Self(secret::sha256(secret.as_bytes()))
    }

    pub(crate) fn matches(&self, candidate: &str) -> bool {
        secret::equal(&self.0, &secret::sha256(candidate.as_bytes()))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(..)")
    }
}

/// A way to obtain tokens that a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Authorization code with PKCE (RFC 6749, RFC 7636).
    AuthorizationCode,
    /// Rotating refresh tokens (RFC 6749, section 6).
    RefreshToken,
    /// Device flow (RFC 8628).
    DeviceCode,
    /// The client on its own behalf (RFC 6749, section 4.4).
    ClientCredentials,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// What people read on pages.
    pub name: String,
    /// `None` makes the client public; PKCE is then required.
    pub secret: Option<SecretHash>,
    /// Redirect URIs, compared byte for byte. The one exception: a public
    /// client's `http` URI on a loopback address literal matches any port
    /// (RFC 8252, section 7.3).
    pub redirect_uris: Vec<String>,
    /// Where a logout may return to, compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// What the client may ask the token endpoint for.
    pub grants: Vec<Grant>,
    /// `groups` claim of tokens from client credentials.
    pub groups: Vec<String>,
    /// Whether a token from this client's credentials opens the admin API.
    pub admin: bool,
}

impl Client {
    /// A public client (browser or native application) that signs users in
    /// and refreshes.
    pub fn public(id: &str, name: &str, redirect_uris: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            secret: None,
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            post_logout_redirect_uris: Vec::new(),
            grants: vec![Grant::AuthorizationCode, Grant::RefreshToken],
            groups: Vec::new(),
            admin: false,
        }
    }

    /// A confidential client that acts on its own behalf only.
    pub fn service(id: &str, name: &str, secret: SecretHash) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            secret: Some(secret),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            grants: vec![Grant::ClientCredentials],
            groups: Vec::new(),
            admin: false,
        }
    }

    pub(crate) fn may(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    /// The redirect URI if the client registered it.
    pub(crate) fn accepts_redirect(&self, requested: &str) -> bool {
        self.redirect_uris.iter().any(|registered| {
            registered == requested
                || (self.secret.is_none() && same_loopback(registered, requested))
        })
    }
}

/// Equal but for the port, on a loopback address literal, over `http`.
/// The requested text must be exactly what its parsed form serialises to, so
/// that no oddity of URL parsing (user info, backslashes, tabs) gets through.
fn same_loopback(registered: &str, requested: &str) -> bool {
    let (Ok(known), Ok(mut asked)) = (Url::parse(registered), Url::parse(requested)) else {
        return false;
    };
    let loopback = match known.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    if !loopback || known.scheme() != "http" || asked.as_str() != requested {
        return false;
    }
    asked.set_port(known.port()).is_ok() && asked == known
}

/// How long things live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Access and identity tokens.
    pub access: Duration,
    /// Authorization codes.
    pub code: Duration,
    /// A refresh token that is not used.
    pub refresh_idle: Duration,
    /// Refreshing from one sign-in, however often.
    pub refresh_total: Duration,
    /// A browser's session.
    pub session: Duration,
    /// One-time links.
    pub link: Duration,
    /// Device codes.
    pub device: Duration,
    /// A signing key, from first use to its successor's first use.
    pub key: Duration,
    /// How long a signing key is published before its first use.
    pub key_notice: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            access: Duration::from_secs(300),
            code: Duration::from_secs(60),
            refresh_idle: Duration::from_secs(14 * DAY),
            refresh_total: Duration::from_secs(90 * DAY),
            session: Duration::from_secs(12 * HOUR),
            link: Duration::from_secs(DAY),
            device: Duration::from_secs(600),
            key: Duration::from_secs(30 * DAY),
            key_notice: Duration::from_secs(HOUR),
        }
    }
}

/// Everything an issuer is built from.
#[derive(Clone)]
pub struct Config {
    /// Where everything is kept, below `issuer/`.
    pub store: Store,
    /// The issuer's URL, for example `http://127.0.0.1:8080/oidc`. Plain
    /// `http` is accepted on loopback only.
    pub issuer: Url,
    /// Seals private signing keys at rest and signs form tokens.
    pub encryption_key: EncryptionKey,
    /// Registered clients.
    pub clients: Vec<Client>,
    /// The `aud` of access tokens.
    pub audience: Vec<String>,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// The time.
    pub clock: Clock,
}

impl Config {
    /// A configuration with default lifetimes and the machine's clock. The
    /// audience of access tokens is the issuer itself.
    pub fn new(store: Store, issuer: Url, encryption_key: EncryptionKey) -> Self {
        let audience = vec![trimmed(&issuer)];
        Self {
            store,
            issuer,
            encryption_key,
            clients: Vec::new(),
            audience,
            lifetimes: Lifetimes::default(),
            clock: system_clock(),
        }
    }

    /// The reason why this configuration cannot be used.
    pub(crate) fn fault(&self) -> Option<String> {
        let issuer = &self.issuer;
        if issuer.query().is_some() || issuer.fragment().is_some() || !issuer.username().is_empty()
        {
            return Some("the issuer URL must have no query, fragment or user".to_owned());
        }
        match issuer.scheme() {
            "https" => {}
            "http" if is_loopback(issuer) => {}
            "http" => {
                return Some(format!(
                    "the issuer URL {issuer} is plain http on a host that is not loopback; use https"
                ));
            }
            other => return Some(format!("the issuer URL has the scheme {other}; use https")),
        }
        for (position, client) in self.clients.iter().enumerate() {
            if client.id.is_empty() {
                return Some("a client has an empty id".to_owned());
            }
            if self
                .clients
                .iter()
                .skip(position + 1)
                .any(|other| other.id == client.id)
            {
                return Some(format!("the client {} is registered twice", client.id));
            }
            if client.secret.is_none() && (client.admin || client.may(Grant::ClientCredentials)) {
                return Some(format!(
                    "the client {} is public and so cannot use client credentials",
                    client.id
                ));
            }
            for uri in client
                .redirect_uris
                .iter()
                .chain(&client.post_logout_redirect_uris)
            {
                match Url::parse(uri) {
                    Ok(parsed) if parsed.fragment().is_some() => {
                        return Some(format!("the redirect URI {uri} has a fragment"));
                    }
                    Ok(parsed)
                        if matches!(parsed.scheme(), "javascript" | "data" | "blob" | "file") =>
                    {
                        return Some(format!("the redirect URI {uri} has an unsafe scheme"));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        return Some(format!("the redirect URI {uri} is not a URL: {error}"));
                    }
                }
            }
        }
        None
    }
}

/// The URL without a slash at its end: the issuer identifier is compared as
/// text.
pub(crate) fn trimmed(issuer: &Url) -> String {
    issuer.as_str().trim_end_matches('/').to_owned()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_redirect_matches_any_port_and_nothing_else() {
        let native = Client::public(
            "cli",
            "CLI",
            &["http://127.0.0.1/callback", "http://[::1]/callback"],
        );
        for accepted in [
            "http://127.0.0.1/callback",
            "http://127.0.0.1:4711/callback",
            "http://[::1]:65535/callback",
        ] {
            assert!(native.accepts_redirect(accepted), "{accepted}");
        }
        for refused in [
            "https://127.0.0.1:4711/callback",
            "http://127.0.0.1:4711/callback/",
            "http://127.0.0.1:4711/callback?x=1",
            "http://127.0.0.1:4711/callback#x",
            "http://127.0.0.2:4711/callback",
            "http://localhost:4711/callback",
            "http://user@127.0.0.1:4711/callback",
            "http://127.0.0.1:4711\\@evil.example/callback",
            "http://127.1:4711/callback",
            "http://evil.example/callback",
            "//127.0.0.1/callback",
        ] {
            assert!(!native.accepts_redirect(refused), "{refused}");
        }
    }

    #[test]
    fn a_confidential_client_has_no_free_port() {
        let mut client = Client::public("web", "Web", &["http://127.0.0.1/callback"]);
        client.secret = Some(SecretHash::of("secret"));
        assert!(client.accepts_redirect("http://127.0.0.1/callback"));
        assert!(!client.accepts_redirect("http://127.0.0.1:4711/callback"));
    }
}
