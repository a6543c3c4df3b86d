//! The signing keys: made, published, used, kept, removed; ES256 only.
//!
//! A new key is published a notice period before its first use, so that
//! whoever caches the key set knows it in time; an old one stays published
//! until the last token that it signed has expired.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::records::{Change, KeyRecord, Records, Seconds};
use crate::secret::{self, Sealer};

/// Tolerated difference between our clock and a verifier's.
const SKEW: Seconds = 60;

/// Periods of rotation, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation {
    /// From one key's first use to the next one's.
    pub period: Seconds,
    /// From publication to first use.
    pub notice: Seconds,
    /// The longest life of anything signed.
    pub token: Seconds,
}

/// All keys that are published now.
pub(crate) struct KeyRing {
    rotation: Rotation,
    /// Ordered by first use.
    keys: RwLock<Vec<Arc<SigningKey>>>,
}

struct SigningKey {
    id: String,
    active_from: Seconds,
    pair: EcdsaKeyPair,
    x: String,
    y: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

impl KeyRing {
    /// Decrypts the stored keys; makes the first one when there is none.
    pub(crate) async fn open(
        records: &Records,
        sealer: &Sealer,
        rotation: Rotation,
        now: Seconds,
    ) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for found in records.all::<KeyRecord>()? {
            let pkcs8 = sealer.open(&found.id, &found.value.sealed).ok_or_else(|| {
                Error::EncryptionKey {
                    key: found.id.clone(),
                }
            })?;
            // A key from further ahead was made by a clock that has been set
            // back since; it would not be replaced before that day comes.
            let active_from = found
                .value
                .active_from
                .min(now.saturating_add(rotation.notice));
            keys.push(Arc::new(SigningKey::new(&pkcs8, active_from)?));
        }
        keys.sort_by_key(|key| key.active_from);
        let ring = Self {
            rotation,
            keys: RwLock::new(keys),
        };
        if ring.snapshot().is_empty() {
            ring.add(records, sealer, now).await?;
        }
        ring.maintain(records, sealer, now).await?;
        Ok(ring)
    }

    /// Publishes the next key when it is time, and removes keys whose tokens
    /// have all expired.
    pub(crate) async fn maintain(
        &self,
        records: &Records,
        sealer: &Sealer,
        now: Seconds,
    ) -> Result<(), Error> {
        let Rotation {
            period,
            notice,
            token,
        } = self.rotation;
        if let Some(newest) = self.snapshot().last() {
            let due = newest.active_from.saturating_add(period);
            if due.saturating_sub(notice) <= now {
                self.add(records, sealer, due.max(now.saturating_add(notice)))
                    .await?;
            }
        }
        let keys = self.snapshot();
        let mut change = Change::new();
        let mut removed = Vec::new();
        for (key, successor) in keys.iter().zip(keys.iter().skip(1)) {
            if successor
                .active_from
                .saturating_add(token)
                .saturating_add(SKEW)
                <= now
            {
                change = change.delete::<KeyRecord>(&key.id);
                removed.push(key.id.clone());
            }
        }
        if !change.is_empty() {
            records.commit(change).await?;
            self.write(|keys| keys.retain(|key| !removed.contains(&key.id)));
        }
        Ok(())
    }

    /// Publishes a new key now, whatever the age of the current one.
    pub(crate) async fn rotate(
        &self,
        records: &Records,
        sealer: &Sealer,
        now: Seconds,
    ) -> Result<(), Error> {
        self.add(records, sealer, now.saturating_add(self.rotation.notice))
            .await
    }

    /// The JSON Web Key Set (RFC 7517).
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .snapshot()
            .iter()
            .map(|key| {
                json!({
                    "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256",
                    "kid": key.id, "x": key.x, "y": key.y,
                })
            })
            .collect();
        json!({ "keys": keys })
    }

    /// For how many seconds the key set may be cached: never longer than a
    /// new key's notice.
    pub(crate) fn jwks_max_age(&self) -> Seconds {
        self.rotation.notice.clamp(0, 300)
    }

    /// Signs claims as a compact JWS of the given `typ`.
    pub(crate) fn sign(&self, now: Seconds, typ: &str, claims: &Value) -> Result<String, Error> {
        const ATTEMPTED: Error = Error::Cryptography {
            attempted: "sign a token",
        };
        let keys = self.snapshot();
        let key = keys
            .iter()
            .rev()
            .find(|key| key.active_from <= now)
            .or_else(|| keys.first())
            .ok_or(ATTEMPTED)?;
        let header = json!({ "alg": "ES256", "kid": key.id, "typ": typ });
        let mut token = secret::encode(header.to_string());
        token.push('.');
        token.push_str(&secret::encode(claims.to_string()));
        let signature = key
            .pair
            .sign(&SystemRandom::new(), token.as_bytes())
            .map_err(|_| ATTEMPTED)?;
        token.push('.');
        token.push_str(&secret::encode(signature));
        Ok(token)
    }

    /// The claims of a token of this `typ` that we signed; lifetimes are the
    /// caller's to check.
    pub(crate) fn verify(&self, typ: &str, token: &str) -> Option<Value> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&secret::decode(header)?).ok()?;
        if header.alg != "ES256" || header.typ != typ {
            return None;
        }
        let keys = self.snapshot();
        let key = keys.iter().find(|key| key.id == header.kid)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref())
            .verify(message.as_bytes(), &secret::decode(signature)?)
            .ok()?;
        serde_json::from_slice(&secret::decode(claims)?).ok()
    }

    async fn add(
        &self,
        records: &Records,
        sealer: &Sealer,
        active_from: Seconds,
    ) -> Result<(), Error> {
        const ATTEMPTED: Error = Error::Cryptography {
            attempted: "make a signing key",
        };
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| ATTEMPTED)?;
        let key = SigningKey::new(pkcs8.as_ref(), active_from)?;
        let record = KeyRecord {
            active_from,
            sealed: sealer.seal(&key.id, pkcs8.as_ref())?,
        };
        records
            .commit(
                Change::new()
                    .when_absent::<KeyRecord>(&key.id)
                    .put(&key.id, &record)?,
            )
            .await?;
        self.write(|keys| {
            keys.push(Arc::new(key));
            keys.sort_by_key(|key| key.active_from);
        });
        Ok(())
    }

    fn snapshot(&self) -> Vec<Arc<SigningKey>> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn write(&self, change: impl FnOnce(&mut Vec<Arc<SigningKey>>)) {
        change(&mut self.keys.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl SigningKey {
    /// The identifier is the key's thumbprint (RFC 7638).
    fn new(pkcs8: &[u8], active_from: Seconds) -> Result<Self, Error> {
        const ATTEMPTED: Error = Error::Cryptography {
            attempted: "read a signing key",
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| ATTEMPTED)?;
        // An uncompressed point: 4, then x and y of 32 bytes each.
        let point = pair.public_key().as_ref();
        let (Some(4), Some(x), Some(y), 65) = (
            point.first(),
            point.get(1..33),
            point.get(33..65),
            point.len(),
        ) else {
            return Err(ATTEMPTED);
        };
        let (x, y) = (secret::encode(x), secret::encode(y));
        let id = secret::fingerprint(&format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#
        ));
        Ok(Self {
            id,
            active_from,
            pair,
            x,
            y,
        })
    }
}
