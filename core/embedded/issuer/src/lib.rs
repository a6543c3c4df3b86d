//! An OpenID Connect issuer: the embedded stand-in for Keycloak.
//!
//! The binary opens one [`Issuer`] and nests [`Issuer::router`] under the path
//! of the issuer's URL (`/oidc`). Everything else, the control plane included,
//! meets it over HTTP: OpenID Connect Core and Discovery, OAuth 2.0 (RFC 6749)
//! with PKCE (RFC 7636), native clients (RFC 8252), device flow (RFC 8628),
//! revocation (RFC 7009), introspection (RFC 7662), `iss` in answers
//! (RFC 9207), and an admin API in Keycloak's shape below `/admin/realms`.
//!
//! What must stay true:
//! - Nothing stored or logged lets anybody in: tokens are kept as hashes,
//!   passwords as argon2id, private keys encrypted.
//! - Disabling or removing a user is one write, after which introspection,
//!   refresh, userinfo and sessions fail.
//! - No request leads a browser to an address that was not registered.
//! - Codes, links and refresh tokens work once, also when used twice at once.

mod config;
mod error;
mod keys;
mod password;
mod records;
mod secret;
mod throttle;
mod tokens;
mod users;
mod web;

use std::sync::Arc;

use axum::Router;
use http::HeaderValue;
use url::Url;

pub use config::{
    Client, Clock, Config, EncryptionKey, Grant, Lifetimes, SecretHash, system_clock,
};
pub use error::Error;
pub use tokens::Claims;
pub use users::{Link, NewUser, User, UserUpdate};

use keys::{KeyRing, Rotation};
use password::Passwords;
use records::{
    Change, CodeRecord, DeviceRecord, GrantRecord, LinkRecord, Records, RevokedRecord, Seconds,
    SessionRecord, ThrottleRecord, UserCodeRecord,
};
use secret::Sealer;

/// How far ahead of ours the clock may have been that something was made by.
const CLOCK_SKEW: Seconds = 60;

/// A handle to the issuer; clones share it.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    /// The issuer identifier, without a slash at its end.
    identifier: String,
    /// The path of the issuer's URL, without a slash at its end.
    path: String,
    origin: String,
    secure: bool,
    clients: Vec<Client>,
    audience: Vec<String>,
    lifetimes: LifetimeSeconds,
    clock: Clock,
    records: Records,
    sealer: Sealer,
    keys: KeyRing,
    passwords: Passwords,
    polls: web::Polls,
}

/// [`Lifetimes`] as the arithmetic needs them.
#[derive(Debug, Clone, Copy)]
struct LifetimeSeconds {
    access: Seconds,
    code: Seconds,
    refresh_idle: Seconds,
    refresh_total: Seconds,
    session: Seconds,
    link: Seconds,
    device: Seconds,
}

impl Issuer {
    /// Checks the configuration, reads the signing keys and makes the first
    /// one in an empty store.
    pub async fn open(config: Config) -> Result<Self, Error> {
        if let Some(reason) = config.fault() {
            return Err(Error::Configuration { reason });
        }
        let seconds = |duration: std::time::Duration| {
            Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX)
        };
        let lifetimes = LifetimeSeconds {
            access: seconds(config.lifetimes.access),
            code: seconds(config.lifetimes.code),
            refresh_idle: seconds(config.lifetimes.refresh_idle),
            refresh_total: seconds(config.lifetimes.refresh_total),
            session: seconds(config.lifetimes.session),
            link: seconds(config.lifetimes.link),
            device: seconds(config.lifetimes.device),
        };
        let rotation = Rotation {
            period: seconds(config.lifetimes.key),
            notice: seconds(config.lifetimes.key_notice),
            token: lifetimes.access,
        };
        let records = Records::new(config.store);
        let sealer = Sealer::new(&config.encryption_key)?;
        let now = (config.clock)().as_second();
        let keys = KeyRing::open(&records, &sealer, rotation, now).await?;
        let identifier = config::trimmed(&config.issuer);
        let path = config.issuer.path().trim_end_matches('/').to_owned();
        let inner = Inner {
            identifier,
            path,
            origin: config.issuer.origin().ascii_serialization(),
            secure: config.issuer.scheme() == "https",
            clients: config.clients,
            audience: config.audience,
            lifetimes,
            clock: config.clock,
            records,
            sealer,
            keys,
            passwords: Passwords::new()?,
            polls: web::Polls::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// All endpoints, relative to the issuer's path.
    ///
    /// The throttle per address reads `ConnectInfo<SocketAddr>` from the
    /// request's extensions; without it all callers share one count.
    pub fn router(&self) -> Router {
        web::router(self.clone())
    }

    /// The issuer identifier: the `iss` claim.
    pub fn identifier(&self) -> &str {
        &self.inner.identifier
    }

    /// Publishes the next signing key when it is time, removes keys and
    /// records that have expired. Call it every few minutes; a call with
    /// nothing to do writes nothing.
    pub async fn maintain(&self) -> Result<(), Error> {
        let now = self.now();
        let records = self.records();
        self.inner
            .keys
            .maintain(records, &self.inner.sealer, now)
            .await?;
        self.inner.polls.forget(now);
        let gone =
            |user: &str, generation: u64| matches!(self.user_alive(user, generation), Ok(None));
        let change = Change::new();
        let change = records.remove_stale::<SessionRecord>(change, now, |session| {
            gone(&session.user, session.generation)
        })?;
        let change = records.remove_stale::<GrantRecord>(change, now, |grant| {
            gone(&grant.approval.user, grant.approval.generation)
        })?;
        let change = records
            .remove_stale::<LinkRecord>(change, now, |link| gone(&link.user, link.generation))?;
        let change = records.remove_stale::<CodeRecord>(change, now, |_| false)?;
        let change = records.remove_stale::<DeviceRecord>(change, now, |_| false)?;
        let change = records.remove_stale::<UserCodeRecord>(change, now, |_| false)?;
        let change = records.remove_stale::<ThrottleRecord>(change, now, |_| false)?;
        let change = records.remove_stale::<RevokedRecord>(change, now, |_| false)?;
        if change.is_empty() {
            Ok(())
        } else {
            records.commit(change).await
        }
    }

    /// Publishes a new signing key now; it is used after the notice period.
    pub async fn rotate_keys(&self) -> Result<(), Error> {
        self.inner
            .keys
            .rotate(self.records(), &self.inner.sealer, self.now())
            .await
    }

    /// Whether something was made "in the future": by a clock that was ahead and
    /// has been set right since. It would hold that much too long, so it does
    /// not hold at all; people sign in again.
    fn is_ahead(&self, made: Seconds) -> bool {
        made > self.now().saturating_add(CLOCK_SKEW)
    }

    fn now(&self) -> Seconds {
        (self.inner.clock)().as_second()
    }

    fn records(&self) -> &Records {
        &self.inner.records
    }

    fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    fn lifetimes(&self) -> LifetimeSeconds {
        self.inner.lifetimes
    }

    fn audience(&self) -> &[String] {
        &self.inner.audience
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.inner.clients.iter().find(|client| client.id == id)
    }

    /// Whether a link may lead to this URL after the sign-in.
    fn may_return_to(&self, url: &Url) -> bool {
        let origin = url.origin();
        matches!(url.scheme(), "http" | "https")
            && HeaderValue::from_str(url.as_str()).is_ok()
            && (origin.ascii_serialization() == self.inner.origin
                || self
                    .inner
                    .clients
                    .iter()
                    .flat_map(|client| &client.redirect_uris)
                    .filter_map(|uri| Url::parse(uri).ok())
                    .any(|uri| uri.origin() == origin))
    }
}
