//! Passwords: argon2id, off the asynchronous threads, a few at a time.
//!
//! [`Passwords::verify`] costs the same whether or not there is a hash to
//! compare with, so timing does not tell which users exist.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret;

/// OWASP's recommendation for argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Each check holds 19 MiB and a core for some 20 ms.
const CONCURRENT: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);
/// In characters.
pub(crate) const SHORTEST: usize = 12;
/// In bytes; a bound on the work one request can cause.
pub(crate) const LONGEST: usize = 512;

/// Hashes and checks passwords.
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// A hash that no password has, as costly to compare with as any other.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, Error> {
        let (mut salt, mut output) = ([0_u8; 16], [0_u8; 32]);
        secret::fill(&mut salt)?;
        secret::fill(&mut output)?;
        let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
        let parameters = format!("m={MEMORY_KIB},t={PASSES},p={LANES}");
        let decoy = format!("$argon2id$v=19${parameters}${salt}${output}").into();
        Ok(Self {
            permits: Arc::new(Semaphore::new(CONCURRENT)),
            decoy,
        })
    }

    /// Refuses passwords that are too short, too long, or the user's name.
    pub(crate) fn check_strength(username: &str, password: &str) -> Result<(), Error> {
        let reason = if password.chars().count() < SHORTEST {
            "it has fewer than 12 characters; use a longer one, such as four words"
        } else if password.len() > LONGEST {
            "it is longer than 512 bytes; use a shorter one"
        } else if password.to_lowercase().contains(&username.to_lowercase())
            && password.len() < username.len() + SHORTEST
        {
            "it is mostly the user name; use something else"
        } else if password
            .chars()
            .all(|character| password.starts_with(character))
        {
            "it is one character repeated; use something else"
        } else {
            return Ok(());
        };
        Err(Error::PasswordInvalid { reason })
    }

    /// The PHC string to store.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Error> {
        let permit = self.permit().await?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hash(password.as_bytes())
        })
        .await
        .map_err(|_| Error::Cryptography {
            attempted: "hash a password",
        })?
    }

    /// Whether the password is the one hashed; always false without a hash.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let known = stored.is_some();
        let phc = stored.map_or_else(|| self.decoy.clone(), Arc::from);
        let permit = self.permit().await?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let parsed = PasswordHash::new(&phc).map_err(|_| Error::Cryptography {
                attempted: "read a password hash",
            })?;
            let equal = Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok();
            Ok(equal && known)
        })
        .await
        .map_err(|_| Error::Cryptography {
            attempted: "check a password",
        })?
    }

    /// Held by the work itself: a caller that goes away frees nothing early.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permits = Arc::clone(&self.permits);
        match tokio::time::timeout(PATIENCE, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}

fn hash(password: &[u8]) -> Result<String, Error> {
    const ATTEMPTED: Error = Error::Cryptography {
        attempted: "hash a password",
    };
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| ATTEMPTED)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password(password)
        .map(|hash| hash.to_string())
        .map_err(|_| ATTEMPTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords
            .hash("correct horse battery".to_owned().into())
            .await
            .unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let verify = |candidate: &str, hash: Option<String>| {
            passwords.verify(candidate.to_owned().into(), hash)
        };
        assert!(
            verify("correct horse battery", Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(!verify("correct horse batterz", Some(stored)).await.unwrap());
        assert!(!verify("correct horse battery", None).await.unwrap());
    }

    #[test]
    fn the_decoy_is_a_hash_like_any_other() {
        let passwords = Passwords::new().unwrap();
        let decoy = PasswordHash::new(&passwords.decoy).unwrap();
        let real = hash(b"correct horse battery").unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(decoy.algorithm, real.algorithm);
        assert_eq!(decoy.version, real.version);
        assert_eq!(decoy.params, real.params);
        assert_eq!(
            decoy.salt.map(|salt| salt.len()),
            real.salt.map(|salt| salt.len())
        );
        assert_eq!(
            decoy.hash.map(|hash| hash.len()),
            real.hash.map(|hash| hash.len())
        );
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        for weak in [
            "short",
            "aaaaaaaaaaaaaaaa",
            "margaret1234",
            &"x1".repeat(300),
        ] {
            assert!(
                Passwords::check_strength("margaret", weak).is_err(),
                "{weak}"
            );
        }
        assert!(Passwords::check_strength("margaret", "correct horse battery").is_ok());
    }
}
