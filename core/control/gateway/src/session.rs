//! Browser sessions: a random name in the cookie, everything else on the
//! server.
//!
//! Used by `sign_in` (open, close) and `authentication` (use). What must stay
//! true: the store holds the hash of a name and a sealed record, so reading it
//! lets nobody in; a session ends when it lies idle, when it is old, when its
//! user signs out, and when the issuer no longer renews it; tokens are renewed
//! by one at a time, across replicas too, because a refresh token works once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use catalyst_ports::{PortError, Spine};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use zeroize::Zeroizing;

use crate::oidc::{Issuer, OidcError, Tokens, hash};
use crate::secret::Secret;

/// Ends a session that nobody used for so long: 12 hours, in seconds.
pub const IDLE: i64 = 12 * 3600;
/// Ends a session however much it is used: 7 days, in seconds.
pub const ABSOLUTE: i64 = 7 * 24 * 3600;
/// The use of a session is noted at most so often, in seconds.
const NOTE_USE: i64 = 300;
/// Tokens are renewed so many seconds before they end.
const RENEW_AHEAD: i64 = 30;
/// Who renews has so many seconds for it.
const LEASE: i64 = 10;
/// How often a waiting replica looks whether another has renewed.
const LOOK: Duration = Duration::from_millis(200);
/// The bucket that holds sessions.
const BUCKET: &str = "console-sessions";

/// Where sessions are kept. Keys are hexadecimal.
pub trait SessionStore: Send + Sync {
    /// The value and revision of a key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(Bytes, u64)>, PortError>>;
    /// Writes a key that is at `expected` (0: absent); otherwise a conflict.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expected: u64,
    ) -> BoxFuture<'a, Result<u64, PortError>>;
    /// Removes a key.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), PortError>>;
}

/// Sessions in a bucket of the spine.
pub struct SpineSessions(pub Arc<dyn Spine>);

impl SessionStore for SpineSessions {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(Bytes, u64)>, PortError>> {
        Box::pin(async move {
            let record = self.0.bucket_get(BUCKET, key).await?;
            Ok(record.map(|record| (record.value, record.revision)))
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expected: u64,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        self.0.bucket_put(BUCKET, key, value, Some(expected))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        self.0.bucket_delete(BUCKET, key)
    }
}

/// Why a session could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The store failed.
    #[error("cannot keep the session; try again")]
    Keep(#[from] PortError),
    /// The issuer gave no answer.
    #[error("cannot renew the session")]
    Renew(#[from] OidcError),
    /// Nothing random was to be had, or the session key is unusable.
    #[error("cannot seal the session; check the session key and the machine's random source")]
    Seal,
    /// A renewal ended early.
    #[error("cannot renew the session: the control plane met a fault of its own; try again")]
    Interrupt,
}

/// What a session remembers.
#[derive(Serialize, Deserialize)]
struct Record {
    access: Secret,
    /// Unix seconds, as all times here.
    access_ends: i64,
    refresh: Option<Secret>,
    identity: Option<Secret>,
    opened: i64,
    used: i64,
    /// Until when somebody renews the tokens.
    #[serde(default)]
    lease: i64,
}

impl Record {
    fn take(&mut self, tokens: Tokens, now: i64) {
        self.access = tokens.access_token;
        self.access_ends = now + tokens.expires_in.unwrap_or(60);
        // An issuer that does not rotate gives no new one.
        self.refresh = tokens.refresh_token.or(self.refresh.take());
        self.identity = tokens.id_token.or(self.identity.take());
        self.used = now;
        self.lease = 0;
    }
}

/// What is left of a session that was closed.
pub struct Closed {
    /// The identity token, by which the issuer knows whom to sign out.
    pub identity: Option<Secret>,
}

/// All sessions; clones share them.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Box<dyn SessionStore>,
    key: LessSafeKey,
    issuer: Issuer,
    /// One renewal a session in this process.
    renewing: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl Sessions {
    /// Sessions in a store, sealed with a key of 32 random bytes.
    pub fn new(
        store: Box<dyn SessionStore>,
        key: &[u8; 32],
        issuer: Issuer,
    ) -> Result<Self, SessionError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SessionError::Seal)?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                key: LessSafeKey::new(key),
                issuer,
                renewing: Mutex::default(),
            }),
        })
    }

    /// Opens a session and returns its name, for the cookie.
    pub async fn open(&self, tokens: Tokens) -> Result<String, SessionError> {
        let name = random_name()?;
        let key = key_of(&name);
        let now = now();
        let mut record = Record {
            access: Secret::default(),
            access_ends: now,
            refresh: None,
            identity: None,
            opened: now,
            used: now,
            lease: 0,
        };
        record.take(tokens, now);
        self.write(&key, &record, 0).await?;
        Ok(name)
    }

    /// The access token of a session, renewed when it is about to end; `None`
    /// when the session is not known or has ended.
    pub async fn token(&self, name: &str) -> Result<Option<Secret>, SessionError> {
        let key = key_of(name);
        let Some((record, revision)) = self.alive(&key).await? else {
            return Ok(None);
        };
        let now = now();
        if record.access_ends - now > RENEW_AHEAD {
            if now - record.used > NOTE_USE {
                let noted = Record {
                    used: now,
                    ..record
                };
                // Somebody else noted it, or ended it; the next request sees.
                if let Err(error) = self.write(&key, &noted, revision).await {
                    tracing::debug!(%error, "use of a session not noted");
                }
                return Ok(Some(noted.access));
            }
            return Ok(Some(record.access));
        }
        // In a task of its own: who asked may go, and a refresh token that was used and
        // whose successor nobody kept ends the session.
        let sessions = self.clone();
        let renewed = tokio::spawn(async move {
            let turn = sessions.turn(&key);
            let _renewing = turn.lock().await;
            let renewed = sessions.renew(&key).await;
            sessions.turns().remove(&key);
            renewed
        });
        renewed
            .await
            .unwrap_or_else(|_| Err(SessionError::Interrupt))
    }

    /// Ends a session, and its tokens at the issuer.
    pub async fn close(&self, name: &str) -> Result<Option<Closed>, SessionError> {
        let key = key_of(name);
        let Some((record, _)) = self.read(&key).await? else {
            return Ok(None);
        };
        self.inner.store.delete(&key).await?;
        // The refresh token first: it is the one that lives.
        let tokens = record.refresh.iter().chain([&record.access]);
        for token in tokens {
            if let Err(error) = self.inner.issuer.revoke(token).await {
                tracing::warn!(%error, "a token of a closed session was not ended");
            }
        }
        self.inner.issuer.forget();
        Ok(Some(Closed {
            identity: record.identity,
        }))
    }

    /// Removes a session that the issuer no longer knows.
    pub async fn drop_session(&self, name: &str) {
        if let Err(error) = self.inner.store.delete(&key_of(name)).await {
            tracing::warn!(%error, "an ended session was not removed");
        }
    }

    async fn renew(&self, key: &str) -> Result<Option<Secret>, SessionError> {
        loop {
            let Some((mut record, revision)) = self.alive(key).await? else {
                return Ok(None);
            };
            let now = now();
            if record.access_ends - now > RENEW_AHEAD {
                return Ok(Some(record.access));
            }
            let Some(refresh) = record.refresh.clone() else {
                // Nothing to renew with: it ends with its access token.
                if record.access_ends > now {
                    return Ok(Some(record.access));
                }
                self.inner.store.delete(key).await?;
                return Ok(None);
            };
            if record.lease > now {
                // Another replica renews, or died doing so; the lease ends.
                tokio::time::sleep(LOOK).await;
                continue;
            }
            record.lease = now + LEASE;
            let revision = match self.write(key, &record, revision).await {
                Ok(revision) => revision,
                Err(SessionError::Keep(error)) if error.is_conflict() => continue,
                Err(error) => return Err(error),
            };
            let tokens = match self.inner.issuer.refresh(&refresh).await {
                Ok(tokens) => tokens,
                Err(error) if error.retryable() => {
                    record.lease = 0;
                    self.write(key, &record, revision).await?;
                    if record.access_ends > now {
                        return Ok(Some(record.access));
                    }
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::debug!(%error, "session ended by the issuer");
                    self.inner.store.delete(key).await?;
                    return Ok(None);
                }
            };
            record.take(tokens, now);
            return match self.write(key, &record, revision).await {
                Ok(_) => Ok(Some(record.access)),
                Err(SessionError::Keep(error)) if error.is_conflict() => {
                    // Signed out meanwhile: the new tokens must go as well.
                    for token in record.refresh.iter() {
                        self.inner.issuer.revoke(token).await?;
                    }
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        }
    }

    /// A record that has not ended; one that has is removed.
    async fn alive(&self, key: &str) -> Result<Option<(Record, u64)>, SessionError> {
        let Some((record, revision)) = self.read(key).await? else {
            return Ok(None);
        };
        let now = now();
        if now - record.used > IDLE || now - record.opened > ABSOLUTE {
            self.inner.store.delete(key).await?;
            return Ok(None);
        }
        Ok(Some((record, revision)))
    }

    async fn read(&self, key: &str) -> Result<Option<(Record, u64)>, SessionError> {
        let Some((sealed, revision)) = self.inner.store.get(key).await? else {
            return Ok(None);
        };
        // What cannot be opened was sealed with another key, or is not ours:
        // its holder signs in again.
        Ok(self.unseal(key, &sealed).map(|record| (record, revision)))
    }

    async fn write(&self, key: &str, record: &Record, expected: u64) -> Result<u64, SessionError> {
        let sealed = self.seal(key, record)?;
        Ok(self.inner.store.put(key, sealed, expected).await?)
    }

    fn seal(&self, key: &str, record: &Record) -> Result<Bytes, SessionError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SessionError::Seal)?;
        let mut text = serde_json::to_vec(record).map_err(|_| SessionError::Seal)?;
        let about = Aad::from(key.as_bytes());
        self.inner
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut text)
            .map_err(|_| SessionError::Seal)?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Ok(sealed.into())
    }

    fn unseal(&self, key: &str, sealed: &[u8]) -> Option<Record> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let about = Aad::from(key.as_bytes());
        let plain = self.inner.key.open_in_place(nonce, about, &mut text).ok()?;
        serde_json::from_slice(plain).ok()
    }

    fn turn(&self, key: &str) -> Arc<AsyncMutex<()>> {
        Arc::clone(self.turns().entry(key.to_owned()).or_default())
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<AsyncMutex<()>>>> {
        self.inner
            .renewing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// 256 random bits, as text that fits a cookie and a URL.
pub fn random_name() -> Result<String, SessionError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| SessionError::Seal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn key_of(name: &str) -> String {
    hex::encode(hash(name))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
