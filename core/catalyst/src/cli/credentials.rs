//! Where the command line keeps who is signed in where: one private file below
//! `$XDG_CONFIG_HOME/catalyst`, read and changed under a lock, because refresh tokens
//! rotate and one that is used twice ends the session.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::failure::hinted;

/// What is known of all Sovereigns.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The server of the last sign-in, which commands use unless told otherwise, also
    /// to sign in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By server.
    #[serde(default)]
    pub servers: BTreeMap<String, Session>,
    /// The certificate authorities (PEM) of servers where nobody is signed in any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorities: BTreeMap<String, String>,
}

impl Credentials {
    /// The certificate authority that a server's certificate is of, PEM.
    pub fn authority(&self, server: &str) -> Option<&String> {
        match self.servers.get(server) {
            Some(session) => session.certificate_authority.as_ref(),
            None => self.authorities.get(server),
        }
    }
}

/// Who is signed in at one server. Holds secrets, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Where tokens are renewed; absent for a token that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The access token.
    pub access_token: String,
    /// Renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends, in seconds since 1970; unknown if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The certificate authority that the server's certificate is of, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
}

/// The folder of everything that the command line keeps, created for its owner only.
pub fn folder() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = match (variable("XDG_CONFIG_HOME"), variable("HOME")) {
        (Some(folder), _) => PathBuf::from(folder).join("catalyst"),
        (None, Some(home)) => PathBuf::from(home).join(".config/catalyst"),
        (None, None) => {
            return Err(hinted(
                "cannot tell where the configuration is: neither XDG_CONFIG_HOME nor HOME is set",
                "set one of them",
            ));
        }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// The file, locked; let go of when dropped.
pub struct Locked {
    folder: PathBuf,
    _lock: File,
}

impl Locked {
    /// Waits for the lock.
    pub fn wait() -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = folder.join("credentials.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        lock.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// What is kept; nothing if there is no file yet.
    pub fn read(&self) -> anyhow::Result<Credentials> {
        let path = self.folder.join("credentials.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                hinted(
                    format!("cannot read {}: {error}", path.display()),
                    "remove the file and sign in again",
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Credentials::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps this instead.
    pub fn write(&self, credentials: &Credentials) -> anyhow::Result<()> {
        write_private(
            &self.folder.join("credentials.json"),
            &serde_json::to_vec_pretty(credentials)?,
        )
    }
}

/// Writes a file whole or not at all, readable by its owner only.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        // A file that is left from a crash may have another mode.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
