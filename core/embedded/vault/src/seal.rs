//! Encryption at rest. Two keys are derived from the root key with
//! HKDF-SHA-256: one for AES-256-GCM over records, one for HMAC over tokens.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac, rand};
use zeroize::Zeroizing;

/// First byte of a sealed record, for a change of format later.
const FORMAT: u8 = 1;

pub(crate) struct Seal {
    records: LessSafeKey,
    tokens: hmac::Key,
}

impl Seal {
    /// Derives the keys; `None` if the library refuses.
    pub(crate) fn new(root_key: &[u8; 32]) -> Option<Self> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"catalyst vault").extract(root_key);
        let records = UnboundKey::from(root.expand(&[b"records"], &AES_256_GCM).ok()?);
        let tokens = hmac::Key::from(root.expand(&[b"tokens"], hmac::HMAC_SHA256).ok()?);
        Some(Self {
            records: LessSafeKey::new(records),
            tokens,
        })
    }

    /// Encrypts a record for one place. The nonce is random: 2^32 records
    /// under one key stay far from a collision that matters.
    pub(crate) fn close(&self, place: &str, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut body = text.to_vec();
        self.records
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut body,
            )
            .ok()?;
        let mut sealed = vec![FORMAT];
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Some(sealed)
    }

    /// Decrypts a record; `None` if it was altered, moved from another place,
    /// or sealed with another key.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let rest = sealed.strip_prefix(&[FORMAT])?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .records
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }

    /// What a token is stored and looked up under. The hash is keyed, so
    /// neither the stored form nor the timing of a lookup tells about tokens.
    pub(crate) fn hash_token(&self, token: &str) -> String {
        hex::encode(hmac::sign(&self.tokens, token.as_bytes()))
    }
}

/// A random identifier in URL-safe base64, from 24 bytes.
pub(crate) fn random_text() -> Option<String> {
    use base64::Engine as _;
    let mut bytes = Zeroizing::new([0_u8; 24]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_unaltered_in_its_place_and_with_its_key() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.close("vault/kv/a", b"canary").unwrap();
        assert_eq!(
            seal.open("vault/kv/a", &sealed).unwrap().as_slice(),
            b"canary"
        );
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_ne!(sealed, seal.close("vault/kv/a", b"canary").unwrap());
        assert!(seal.open("vault/kv/b", &sealed).is_none());
        assert!(
            Seal::new(&[8; 32])
                .unwrap()
                .open("vault/kv/a", &sealed)
                .is_none()
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(seal.open("vault/kv/a", &altered).is_none(), "byte {at}");
            assert!(
                seal.open("vault/kv/a", &sealed[..at]).is_none(),
                "cut at {at}"
            );
        }
    }
}
