//! Random tokens, hashes, constant-time comparison and sealing at rest.
//!
//! Every token handed out is random; only its SHA-256 is stored, so a copy of
//! the store lets nobody in.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::config::EncryptionKey;
use crate::error::Error;

const NONCE: usize = 12;

/// A new token of 256 random bits, in base64url.
pub(crate) fn token() -> Result<String, Error> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    fill(bytes.as_mut_slice())?;
    Ok(encode(bytes.as_slice()))
}

/// Fills a buffer from the operating system's generator.
pub(crate) fn fill(buffer: &mut [u8]) -> Result<(), Error> {
    rand::fill(buffer).map_err(|_| Error::Cryptography {
        attempted: "make random bytes",
    })
}

/// Base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    output.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    output
}

/// The name under which a token's record is stored.
pub(crate) fn fingerprint(token: &str) -> String {
    encode(sha256(token.as_bytes()))
}

/// Equality in constant time (for equal lengths).
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Seals private keys and signs form tokens, with keys derived from the one in
/// the configuration.
pub(crate) struct Sealer {
    cipher: RandomizedNonceKey,
    forms: hmac::Key,
}

impl Sealer {
    pub(crate) fn new(key: &EncryptionKey) -> Result<Self, Error> {
        let derive = |purpose: &str| {
            let root = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
            hmac::sign(&root, purpose.as_bytes())
        };
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, derive("signing-keys").as_ref())
            .map_err(|_| Error::Cryptography {
                attempted: "prepare the encryption key",
            })?;
        let forms = hmac::Key::new(hmac::HMAC_SHA256, derive("forms").as_ref());
        Ok(Self { cipher, forms })
    }

    /// Encrypts; the same `context` is needed to open.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Result<String, Error> {
        let mut buffer = plain.to_vec();
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut buffer)
            .map_err(|_| Error::Cryptography {
                attempted: "encrypt a signing key",
            })?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut buffer);
        Ok(encode(sealed))
    }

    /// Decrypts what [`Self::seal`] made; `None` when key, context or text
    /// differ.
    pub(crate) fn open(&self, context: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = decode(sealed)?;
        let (nonce, body) = sealed.split_at_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(context.as_bytes()), buffer.as_mut_slice())
            .ok()?
            .len();
        buffer.truncate(length);
        Some(buffer)
    }

    /// The form token that belongs to a browser's cookie.
    pub(crate) fn form_token(&self, cookie: &str) -> String {
        encode(hmac::sign(&self.forms, cookie.as_bytes()))
    }

    /// Whether a form token belongs to a browser's cookie; constant time.
    pub(crate) fn form_token_matches(&self, cookie: &str, candidate: &str) -> bool {
        decode(candidate)
            .is_some_and(|tag| hmac::verify(&self.forms, cookie.as_bytes(), &tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_only_with_the_same_key_and_context() {
        let sealer = Sealer::new(&EncryptionKey::new([7; 32])).unwrap();
        let sealed = sealer.seal("key/a", b"private").unwrap();
        assert_eq!(
            sealer.open("key/a", &sealed).unwrap().as_slice(),
            b"private"
        );
        assert!(sealer.open("key/b", &sealed).is_none());
        let other = Sealer::new(&EncryptionKey::new([8; 32])).unwrap();
        assert!(other.open("key/a", &sealed).is_none());
        let mut bytes = decode(&sealed).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(sealer.open("key/a", &encode(bytes)).is_none());
        assert!(sealer.open("key/a", "short").is_none());
    }

    #[test]
    fn a_form_token_belongs_to_one_cookie() {
        let sealer = Sealer::new(&EncryptionKey::new([7; 32])).unwrap();
        let token = sealer.form_token("cookie");
        assert!(sealer.form_token_matches("cookie", &token));
        assert!(!sealer.form_token_matches("other", &token));
        assert!(!sealer.form_token_matches("cookie", ""));
    }
}
