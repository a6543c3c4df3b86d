//! What is kept below `issuer/`, and how it is read and written.
//!
//! Records are JSON. A record found by a token is filed under the token's
//! SHA-256. Sessions and grants carry the user's generation at the time they
//! were made and are worth nothing once it differs: disabling or deleting a
//! user is therefore one write, whatever the user has open.

use bytes::Bytes;
use catalyst_store::{Condition, Revision, Store, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Seconds since 1970.
pub(crate) type Seconds = i64;

/// A kind of record.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// Its folder below `issuer/`.
    const KIND: &'static str;

    /// When it may be removed; `None` keeps it.
    fn expires(&self) -> Option<Seconds> {
        None
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// Unix seconds of the first use; until then it is only published.
    pub active_from: Seconds,
    /// PKCS#8, sealed.
    pub sealed: String,
}

impl Record for KeyRecord {
    const KIND: &'static str = "key";
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UserRecord {
    pub id: String,
    pub username: String,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub groups: Vec<String>,
    /// Absent in what earlier versions wrote.
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, Vec<String>>,
    pub enabled: bool,
    pub created: Seconds,
    /// Grows whenever everything the user has open must end.
    pub generation: u64,
    /// An argon2id PHC string.
    pub password: Option<String>,
}

impl Record for UserRecord {
    const KIND: &'static str = "user";
}

/// Filed under the username; points to the user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UsernameRecord {
    pub user: String,
}

impl Record for UsernameRecord {
    const KIND: &'static str = "username";
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    pub user: String,
    pub generation: u64,
    pub expires: Seconds,
    pub return_to: String,
}

impl Record for LinkRecord {
    const KIND: &'static str = "link";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    /// The `sid` claim; unlike the cookie it is no secret.
    pub id: String,
    pub user: String,
    pub generation: u64,
    pub authenticated: Seconds,
    pub expires: Seconds,
}

impl Record for SessionRecord {
    const KIND: &'static str = "session";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

/// What a user, or a code, allows a client to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Approval {
    pub client: String,
    pub scope: String,
    pub user: String,
    pub generation: u64,
    pub authenticated: Seconds,
    /// The browser session that a logout ends together with this.
    pub session: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    pub approval: Approval,
    pub redirect_uri: String,
    pub challenge: Option<String>,
    pub nonce: Option<String>,
    pub expires: Seconds,
    /// Kept after redemption: a second use revokes this grant.
    pub redeemed: Option<String>,
}

impl Record for CodeRecord {
    const KIND: &'static str = "code";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

/// One sign-in's tokens: the access tokens name it, the refresh tokens rotate
/// in it. Removing it ends them all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GrantRecord {
    pub approval: Approval,
    pub created: Seconds,
    pub expires: Seconds,
    /// SHA-256 of the one refresh token that is good.
    pub refresh: Option<String>,
}

impl Record for GrantRecord {
    const KIND: &'static str = "grant";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceRecord {
    pub client: String,
    pub scope: String,
    pub user_code: String,
    pub expires: Seconds,
    pub decision: Decision,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Pending,
    Approved(Approval),
    Denied,
}

impl Record for DeviceRecord {
    const KIND: &'static str = "device";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

/// Filed under the hash of the code that the user types.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UserCodeRecord {
    pub device: String,
    pub expires: Seconds,
}

impl Record for UserCodeRecord {
    const KIND: &'static str = "user-code";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ThrottleRecord {
    pub failures: u32,
    pub blocked_until: Seconds,
    pub forgotten: Seconds,
}

impl Record for ThrottleRecord {
    const KIND: &'static str = "throttle";
    fn expires(&self) -> Option<Seconds> {
        Some(self.forgotten)
    }
}

/// An access token revoked before its time, filed under its `jti`; kept for
/// longer than whatever it opened may last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RevokedRecord {
    pub expires: Seconds,
}

impl Record for RevokedRecord {
    const KIND: &'static str = "revoked";
    fn expires(&self) -> Option<Seconds> {
        Some(self.expires)
    }
}

/// A record as found.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub id: String,
    pub value: T,
    pub revision: Revision,
}

/// Typed access to the issuer's part of the store.
#[derive(Clone)]
pub(crate) struct Records {
    store: Store,
}

impl Records {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(crate) fn get<T: Record>(&self, id: &str) -> Result<Option<Found<T>>, Error> {
        self.store
            .get(key::<T>(id))
            .map(|entry| {
                let value = parse(&entry.value)?;
                Ok(Found {
                    id: id.to_owned(),
                    value,
                    revision: entry.modified,
                })
            })
            .transpose()
    }

    pub(crate) fn all<T: Record>(&self) -> Result<Vec<Found<T>>, Error> {
        let prefix = folder::<T>();
        let mut found = Vec::new();
        for entry in self.store.range(&prefix, None, 0).entries {
            let id = entry.key.get(prefix.len()..).unwrap_or_default();
            found.push(Found {
                id: String::from_utf8_lossy(id).into_owned(),
                value: parse(&entry.value)?,
                revision: entry.modified,
            });
        }
        Ok(found)
    }

    /// How many records of a kind there are.
    pub(crate) fn count<T: Record>(&self) -> usize {
        let page = self.store.range(folder::<T>(), None, 1);
        page.entries.len() + page.remaining
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<(), Error> {
        self.store.commit(change.0).await?;
        Ok(())
    }

    /// Adds the removal of every record of this kind that has expired or that
    /// `dead` rejects.
    pub(crate) fn remove_stale<T: Record>(
        &self,
        mut change: Change,
        now: Seconds,
        dead: impl Fn(&T) -> bool,
    ) -> Result<Change, Error> {
        for found in self.all::<T>()? {
            if found.value.expires().is_some_and(|at| at <= now) || dead(&found.value) {
                change = change.delete::<T>(&found.id);
            }
        }
        Ok(change)
    }
}

/// A transaction over typed records.
#[derive(Debug, Default)]
pub(crate) struct Change(Transaction);

impl Change {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.operations.is_empty()
    }

    pub(crate) fn when_absent<T: Record>(self, id: &str) -> Self {
        Self(self.0.when(Condition::Absent(key::<T>(id))))
    }

    pub(crate) fn when_unmodified<T: Record>(self, found: &Found<T>) -> Self {
        Self(
            self.0
                .when(Condition::Unmodified(key::<T>(&found.id), found.revision)),
        )
    }

    pub(crate) fn put<T: Record>(self, id: &str, value: &T) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value).map_err(|source| Error::Record {
            record: T::KIND,
            source,
        })?;
        Ok(Self(self.0.put(key::<T>(id), bytes)))
    }

    pub(crate) fn delete<T: Record>(self, id: &str) -> Self {
        Self(self.0.delete(key::<T>(id)))
    }
}

fn folder<T: Record>() -> Vec<u8> {
    format!("issuer/{}/", T::KIND).into_bytes()
}

fn key<T: Record>(id: &str) -> Bytes {
    Bytes::from(format!("issuer/{}/{id}", T::KIND))
}

fn parse<T: Record>(value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|source| Error::Record {
        record: T::KIND,
        source,
    })
}
