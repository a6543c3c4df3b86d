//! ECDSA P-256 keys in the encodings that cosign, Flux and OpenSSL exchange:
//! PKCS#8 PEM for the private half, SubjectPublicKeyInfo PEM for the public one.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// The DER that precedes a P-256 point in a SubjectPublicKeyInfo (RFC 5480):
/// id-ecPublicKey, prime256v1, then a bit string of 65 bytes.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// An uncompressed point: the tag `04`, then two coordinates of 32 bytes.
const POINT_LENGTH: usize = 65;

/// Why a key could not be made or read. The key's bytes are never quoted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The system gave no randomness, or the library refused it.
    #[error(
        "could not generate an ECDSA P-256 key: the system's random source failed; try again on a healthy machine"
    )]
    Generate,
    /// Not PEM, or PEM of another kind.
    #[error(
        "could not read the key: expected PEM that begins with \"-----BEGIN {expected}-----\"; give a key made by `catalyst` or by `openssl ecparam -name prime256v1`"
    )]
    Pem {
        /// The label looked for.
        expected: &'static str,
    },
    /// PEM, but not a P-256 key.
    #[error(
        "could not read the key: the PEM does not hold an ECDSA P-256 {kind} key; other curves and RSA are not accepted"
    )]
    NotP256 {
        /// `private` or `public`.
        kind: &'static str,
    },
    /// The signing operation itself failed.
    #[error("could not sign: the cryptographic library refused the operation; try again")]
    Sign,
}

/// A private key that signs artifacts.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SigningKey({})", self.public.fingerprint())
    }
}

impl SigningKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| KeyError::Generate)?;
        Self::from_pair(pair)
    }

    /// Reads an unencrypted PKCS#8 PEM (`BEGIN PRIVATE KEY`).
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = pem_decode(pem, "PRIVATE KEY")?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
            .map_err(|_| KeyError::NotP256 { kind: "private" })?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_point(pair.public_key().as_ref())
            .ok_or(KeyError::NotP256 { kind: "private" })?;
        Ok(Self { pair, public })
    }

    /// The key as PKCS#8 PEM. Whoever writes it to disk gives it mode 0600.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let document = self
            .pair
            .to_pkcs8v1()
            .map_err(|_| KeyError::NotP256 { kind: "private" })?;
        Ok(pem_encode("PRIVATE KEY", document.as_ref()))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// An ASN.1 DER signature over SHA-256 of `message`. ECDSA draws a fresh
    /// nonce, so two signatures of one message differ.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .map_err(|_| KeyError::Sign)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A public key that verifies artifacts; ordered, so that sets of keys are stable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    point: Vec<u8>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PublicKey({})", self.fingerprint())
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo PEM (`BEGIN PUBLIC KEY`), as `cosign.pub` is.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = pem_decode(pem, "PUBLIC KEY")?;
        der.strip_prefix(SPKI_PREFIX.as_slice())
            .and_then(Self::from_point)
            .ok_or(KeyError::NotP256 { kind: "public" })
    }

    fn from_point(point: &[u8]) -> Option<Self> {
        (point.len() == POINT_LENGTH && point.first() == Some(&0x04))
            .then(|| Self {
                point: point.to_vec(),
            })
            // A point off the curve would only ever refuse; say so when reading it.
            .filter(|key| {
                aws_lc_rs::signature::ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.point)
                    .is_ok()
            })
    }

    /// The key as SubjectPublicKeyInfo DER.
    pub fn to_der(&self) -> Vec<u8> {
        let mut der = SPKI_PREFIX.to_vec();
        der.extend_from_slice(&self.point);
        der
    }

    /// The key as SubjectPublicKeyInfo PEM.
    pub fn to_pem(&self) -> String {
        pem_encode("PUBLIC KEY", &self.to_der())
    }

    /// `sha256:<hex>` over the DER: the name of the key in messages and records.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(self.to_der())))
    }

    /// How a sigstore bundle names the key: base64 of SHA-256 over the DER.
    pub fn hint(&self) -> String {
        STANDARD.encode(Sha256::digest(self.to_der()))
    }

    /// Whether `signature` (ASN.1 DER) is this key's over `message`.
    pub fn is_signer_of(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature)
            .is_ok()
    }
}

fn pem_encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn pem_decode(pem: &str, label: &'static str) -> Result<Vec<u8>, KeyError> {
    let error = KeyError::Pem { expected: label };
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let body = pem
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end))
        .map(|(body, _)| body);
    let Some(body) = body else { return Err(error) };
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(packed).map_err(|_| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_and_signs_the_same() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(key.public(), again.public());
        let signature = again.sign(b"message").unwrap();
        let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
        assert!(public.is_signer_of(b"message", &signature));
        assert!(!public.is_signer_of(b"messagf", &signature));
        assert!(
            !SigningKey::generate()
                .unwrap()
                .public()
                .is_signer_of(b"message", &signature)
        );
    }

    #[test]
    fn debug_output_holds_no_private_bytes() {
        let key = SigningKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.starts_with("SigningKey(sha256:"));
        assert_eq!(
            shown.len(),
            "SigningKey(sha256:)".len() + 64,
            "only the public fingerprint"
        );
    }

    #[test]
    fn what_is_not_a_p256_key_is_refused_by_name() {
        assert_eq!(
            PublicKey::from_pem("hello").unwrap_err(),
            KeyError::Pem {
                expected: "PUBLIC KEY"
            }
        );
        let mut der = SigningKey::generate().unwrap().public().to_der();
        let last = der.len() - 1;
        der[last] ^= 1;
        let off_curve = pem_encode("PUBLIC KEY", &der);
        assert_eq!(
            PublicKey::from_pem(&off_curve).unwrap_err(),
            KeyError::NotP256 { kind: "public" }
        );
        let private_as_public = SigningKey::generate().unwrap().to_pem().unwrap();
        assert!(PublicKey::from_pem(&private_as_public).is_err());
    }
}
