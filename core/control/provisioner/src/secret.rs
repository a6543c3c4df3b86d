//! Secrets, and texts that must not hold them.

use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, io};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::directory;

/// A text that no `Debug` or `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself; for environments, pipes and headers only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// 32 random bytes in hexadecimal.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| io::Error::other("the system's random numbers cannot be had"))?;
        Ok(Self::new(hex::encode(bytes.as_slice())))
    }

    /// The secret that this file keeps (0600); it is made at the first call.
    pub fn kept(path: &Path) -> io::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => {
                let text = Zeroizing::new(text);
                // A copy that was put back may have come with other rights.
                fs::set_permissions(path, Permissions::from_mode(0o600))?;
                Ok(Self::new(text.trim()))
            }
            Ok(_) => Err(io::Error::other(
                "the file is empty; restore it from a copy of the directory",
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret = Self::random()?;
                directory::write(path, secret.reveal().as_bytes())?;
                Ok(secret)
            }
            Err(error) => Err(error),
        }
    }
}

/// A secret that is made for a Sovereign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnSecret {
    /// [`OwnSecrets::passphrase`].
    Passphrase,
    /// [`OwnSecrets::openbao_seal`].
    OpenbaoSeal,
    /// [`OwnSecrets::gitea_admin`].
    GiteaAdmin,
}

impl OwnSecret {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Passphrase, Self::OpenbaoSeal, Self::GiteaAdmin];

    /// Its file in the Sovereign's directory, where secrets are kept in files.
    pub fn file(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::OpenbaoSeal => "openbao-seal",
            Self::GiteaAdmin => "gitea-admin",
        }
    }
}

/// Secrets that are made for a Sovereign, and that whatever was made with them needs for
/// as long as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSecrets {
    /// Encrypts OpenTofu's state and plan.
    pub passphrase: Secret,
    /// OpenBao unseals itself with it.
    pub openbao_seal: Secret,
    /// Password of Gitea's first administrator.
    pub gitea_admin: Secret,
}

impl OwnSecrets {
    /// Each of them, for what must not show them.
    pub(crate) fn all(&self) -> [&str; 3] {
        [&self.passphrase, &self.openbao_seal, &self.gitea_admin].map(Secret::reveal)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Takes secrets out of texts that others wrote.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Vec<Secret>);

/// What of credentials may be shown nowhere: the token, the private key line by line, as
/// programs quote it, and Git's password.
pub(crate) fn hidden<'a>(
    token: &'a Secret,
    key: &'a str,
    password: Option<&'a Secret>,
) -> impl Iterator<Item = &'a str> {
    let password = password.into_iter().map(Secret::reveal);
    let lines = key.lines().map(str::trim);
    lines.chain(password).chain([token.reveal()])
}

impl Redactor {
    /// Bytes of the shortest secret that is taken out: what is shorter may be part of any
    /// word, and is left alone.
    pub const SHORTEST: usize = 8;

    /// A redactor of these secrets; texts shorter than [`Self::SHORTEST`] are left alone.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self(
            secrets
                .into_iter()
                .filter(|secret| secret.reveal().len() >= Self::SHORTEST)
                .collect(),
        )
    }

    /// The text without the secrets.
    pub fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.reveal(), "[secret]")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_neither_shown_nor_left_in_texts() {
        let secret = Secret::new("canary-0123456789");
        let redactor = Redactor::new([secret.clone(), Secret::new("")]);
        assert_eq!(
            redactor.clean("401 for canary-0123456789: no"),
            "401 for [secret]: no"
        );
        assert!(!format!("{secret:?}{redactor:?}").contains("canary"));
    }

    #[test]
    fn a_kept_secret_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        let first = Secret::kept(&path).unwrap();
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(first, Secret::kept(&path).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        // Put back from a copy, it is nobody else's to read either.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(first, Secret::kept(&path).unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "").unwrap();
        assert!(Secret::kept(&path).is_err());
    }
}
