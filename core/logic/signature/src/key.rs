//! ECDSA P-256 keys in the encodings that cosign, Flux and OpenSSL exchange:
//! PKCS#8 PEM for the private half, SubjectPublicKeyInfo PEM for the public one.

use aws_lc_rs::{
    digest,
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
        "could not read the key: {found} where PEM that begins with \"-----BEGIN {expected}-----\" is expected; {}",
        advice(expected, found)
    )]
    Pem {
        /// The label looked for.
        expected: &'static str,
        /// What was there instead.
        found: PemContent,
    },
    /// PEM, but not a P-256 key.
    #[error(
        "could not read the key: it is {found}, and only ECDSA P-256 {kind} keys are accepted; make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    NotP256 {
        /// `private` or `public`.
        kind: &'static str,
        /// What kind of key it is instead.
        found: &'static str,
    },
    /// The signing operation itself failed.
    #[error("could not sign: the cryptographic library refused the operation; try again")]
    Sign,
}

impl KeyError {
    const UNUSABLE: Self = Self::NotP256 {
        kind: "private",
        found: "a key that the cryptographic library cannot use",
    };
}

/// What stood where a key's PEM was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemContent {
    /// No PEM at all.
    Nothing,
    /// The wanted label, but no Base64 between it and its end.
    Broken,
    /// A private key.
    Private,
    /// A private key under a password, such as those that cosign generates.
    Encrypted,
    /// A private key in the older form of OpenSSL (`EC PRIVATE KEY`).
    Older,
    /// A public key.
    Public,
    /// A certificate.
    Certificate,
    /// PEM of something else.
    Other,
}

impl std::fmt::Display for PemContent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "no PEM stands",
            Self::Broken => "broken PEM stands",
            Self::Private => "a private key stands",
            Self::Encrypted => "an encrypted private key stands",
            Self::Older => "a private key in OpenSSL's older form stands",
            Self::Public => "a public key stands",
            Self::Certificate => "a certificate stands",
            Self::Other => "PEM of another kind stands",
        })
    }
}

/// What to do about PEM that is not what was looked for.
fn advice(expected: &str, found: &PemContent) -> &'static str {
    match (expected, found) {
        ("PUBLIC KEY", PemContent::Private | PemContent::Older) => {
            "keep it to yourself, and give its public half: `openssl pkey -in FILE -pubout`"
        }
        ("PUBLIC KEY", PemContent::Encrypted) => {
            "keep it to yourself, and give the public half that was made with it, such as cosign.pub"
        }
        ("PUBLIC KEY", PemContent::Certificate) => {
            "give the key in it: `openssl x509 -in FILE -noout -pubkey`"
        }
        (_, PemContent::Older) => "convert it: `openssl pkcs8 -topk8 -nocrypt -in FILE`",
        (_, PemContent::Encrypted) => {
            "give one without a password, such as `catalyst blueprint trust` makes"
        }
        (_, PemContent::Public) => "give the private half",
        _ => {
            "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, and its public half with `openssl pkey -pubout`"
        }
    }
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
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).map_err(|_| {
                KeyError::NotP256 {
                    kind: "private",
                    found: algorithm(&der),
                }
            })?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_point(pair.public_key().as_ref()).ok_or(KeyError::UNUSABLE)?;
        Ok(Self { pair, public })
    }

    /// The key as PKCS#8 PEM. Whoever writes it to disk gives it mode 0600.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| KeyError::UNUSABLE)?;
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
            .ok_or_else(|| KeyError::NotP256 {
                kind: "public",
                found: algorithm(&der),
            })
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

    /// Whether `signature` (ASN.1 DER) is this key's over a message with this SHA-256.
    pub(crate) fn is_signer_of_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        digest::Digest::import_less_safe(digest, &digest::SHA256).is_ok_and(|digest| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
                .verify_digest(&digest, signature)
                .is_ok()
        })
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
    let fail = |found| KeyError::Pem {
        expected: label,
        found,
    };
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let Some((_, rest)) = pem.split_once(&begin) else {
        return Err(fail(content(pem)));
    };
    let body = rest.split_once(&end).map_or("", |(body, _)| body);
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    match STANDARD.decode(packed) {
        Ok(der) if !der.is_empty() => Ok(der),
        _ => Err(fail(PemContent::Broken)),
    }
}

/// What a text holds that lacks the wanted label, by the labels it has. A file of
/// `openssl ecparam` begins with its parameters, so the first label is not enough.
fn content(pem: &str) -> PemContent {
    let has = |label: &str| pem.contains(&format!("-----BEGIN {label}-----"));
    if has("ENCRYPTED SIGSTORE PRIVATE KEY")
        || has("ENCRYPTED COSIGN PRIVATE KEY")
        || has("ENCRYPTED PRIVATE KEY")
    {
        PemContent::Encrypted
    } else if has("EC PRIVATE KEY") {
        PemContent::Older
    } else if has("PRIVATE KEY") {
        PemContent::Private
    } else if has("PUBLIC KEY") {
        PemContent::Public
    } else if has("CERTIFICATE") {
        PemContent::Certificate
    } else if pem.contains("-----BEGIN ") {
        PemContent::Other
    } else {
        PemContent::Nothing
    }
}

/// What kind of key a DER holds, for the message that refuses it. Object
/// identifiers (RFC 8017, RFC 5480, RFC 8410) stand within its first bytes, in
/// PKCS#8 as in SubjectPublicKeyInfo.
fn algorithm(der: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 7] = [
        (
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01],
            "an RSA key",
        ),
        (&[0x2b, 0x65, 0x70], "an Ed25519 key"),
        (&[0x2b, 0x65, 0x71], "an Ed448 key"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x22], "an ECDSA P-384 key"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x23], "an ECDSA P-521 key"),
        (
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            "a damaged ECDSA P-256 key",
        ),
        (
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
            "an ECDSA key on another curve",
        ),
    ];
    let head = der.get(..der.len().min(48)).unwrap_or_default();
    KINDS
        .iter()
        .find(|(identifier, _)| {
            head.windows(identifier.len())
                .any(|window| window == *identifier)
        })
        .map_or("no key that is known here", |(_, name)| *name)
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
        for (message, expected) in [("message", true), ("messagf", false)] {
            let digest = Sha256::digest(message);
            assert_eq!(public.is_signer_of_digest(&digest, &signature), expected);
        }
        assert!(!public.is_signer_of_digest(b"message", &signature));
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

    fn public(der: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_pem(&pem_encode("PUBLIC KEY", &hex::decode(der).unwrap()))
    }

    #[test]
    fn a_key_of_another_kind_is_refused_by_its_kind() {
        let p384 = format!(
            "3076301006072a8648ce3d020106052b8104002203620004{}",
            "11".repeat(96)
        );
        let p521 = format!(
            "30819b301006072a8648ce3d020106052b81040023038186000400{}",
            "11".repeat(131)
        );
        let k256 = format!(
            "3056301006072a8648ce3d020106052b8104000a03420004{}",
            "11".repeat(64)
        );
        let rsa = format!(
            "30820122300d06092a864886f70d01010105000382010f003082010a0282010100{}0203010001",
            "91".repeat(256)
        );
        let ed25519 = format!("302a300506032b6570032100{}", "11".repeat(32));
        let mut off_curve = SigningKey::generate().unwrap().public().to_der();
        let last = off_curve.len() - 1;
        off_curve[last] ^= 1;
        for (der, found) in [
            (rsa, "an RSA key"),
            (ed25519, "an Ed25519 key"),
            (p384, "an ECDSA P-384 key"),
            (p521, "an ECDSA P-521 key"),
            (k256, "an ECDSA key on another curve"),
            (hex::encode(off_curve), "a damaged ECDSA P-256 key"),
            ("3003020100".to_owned(), "no key that is known here"),
        ] {
            let error = public(&der).unwrap_err();
            assert_eq!(
                error,
                KeyError::NotP256 {
                    kind: "public",
                    found
                }
            );
            assert!(error.to_string().contains("only ECDSA P-256 public keys"));
        }
        let rsa = pem_encode(
            "PRIVATE KEY",
            &hex::decode("3010020100300d06092a864886f70d0101010500").unwrap(),
        );
        assert_eq!(
            SigningKey::from_pem(&rsa).unwrap_err(),
            KeyError::NotP256 {
                kind: "private",
                found: "an RSA key"
            }
        );
    }

    #[test]
    fn pem_of_another_kind_is_refused_with_what_to_do() {
        let own = SigningKey::generate().unwrap();
        let (private, half) = (own.to_pem().unwrap(), own.public().to_pem());
        let cut = half.replace("-----END PUBLIC KEY-----", "");
        let spoiled = half.replace("MFkw", "M%%w");
        let certificate = pem_encode("CERTIFICATE", b"x");
        let cosign = pem_encode("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}");
        // As `openssl ecparam -genkey` writes it.
        let older = pem_encode("EC PARAMETERS", b"x") + &pem_encode("EC PRIVATE KEY", b"x");
        for (text, found, hint) in [
            ("hello", PemContent::Nothing, "openssl genpkey"),
            ("", PemContent::Nothing, "openssl genpkey"),
            (cut.as_str(), PemContent::Broken, "openssl genpkey"),
            (spoiled.as_str(), PemContent::Broken, "openssl genpkey"),
            (private.as_str(), PemContent::Private, "-pubout"),
            (older.as_str(), PemContent::Older, "-pubout"),
            (cosign.as_str(), PemContent::Encrypted, "cosign.pub"),
            (
                certificate.as_str(),
                PemContent::Certificate,
                "openssl x509",
            ),
        ] {
            let error = PublicKey::from_pem(text).unwrap_err();
            let expected = "PUBLIC KEY";
            assert_eq!(error, KeyError::Pem { expected, found }, "{text:?}");
            assert!(error.to_string().contains(hint), "{error}");
        }
        for (text, found, hint) in [
            (half.as_str(), PemContent::Public, "the private half"),
            (older.as_str(), PemContent::Older, "openssl pkcs8"),
            (cosign.as_str(), PemContent::Encrypted, "without a password"),
        ] {
            let error = SigningKey::from_pem(text).unwrap_err();
            let expected = "PRIVATE KEY";
            assert_eq!(error, KeyError::Pem { expected, found }, "{text:?}");
            assert!(error.to_string().contains(hint), "{error}");
        }
        // No message quotes what was given.
        let secret = private.lines().nth(1).unwrap();
        let said = PublicKey::from_pem(&private).unwrap_err().to_string();
        assert!(!said.contains(secret), "{said}");
    }
}
