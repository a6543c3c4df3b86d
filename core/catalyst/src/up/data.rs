//! The data directory: what lies where, who may read it, and the root key from
//! which every part's own secret is derived.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::hkdf;

/// A data directory that this process may use.
pub struct DataDirectory {
    path: PathBuf,
    root_key: [u8; 32],
}

impl DataDirectory {
    /// Opens or creates the directory, readable by its owner only.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path.metadata().is_ok_and(|found| !found.is_dir()) {
            bail!(
                "cannot keep data in {}: it is a file, not a directory; name a directory with --data, or move the file away",
                path.display()
            );
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot create the data directory {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot resolve the data directory {}", path.display()))?;
        let root_key = read_or_create_root_key(&path.join("root.key"))?;
        Ok(Self { path, root_key })
    }

    /// A path below the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A 32-byte secret for one purpose; the same purpose gives the same
    /// secret, and none tells anything about another (HKDF, RFC 5869).
    pub fn derive_key(&self, purpose: &str) -> anyhow::Result<[u8; 32]> {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"catalyst data directory v1")
            .extract(&self.root_key)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| anyhow::anyhow!("cannot derive the key for {purpose}"))?;
        Ok(key)
    }

    /// A derived secret as text, for use as a token or password.
    pub fn derive_token(&self, purpose: &str) -> anyhow::Result<String> {
        self.derive_key(purpose).map(hex::encode)
    }
}

/// Writes a file whole or not at all, durably, readable by its owner only.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(parent) = path.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn read_or_create_root_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    match fs::File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut key)
                .with_context(|| format!("cannot read the root key {}", path.display()))?;
            if file.read(&mut [0])? != 0 {
                bail!(
                    "the root key {} is longer than 32 bytes; restore it from a backup",
                    path.display()
                );
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            aws_lc_rs::rand::fill(&mut key)
                .map_err(|_| anyhow::anyhow!("cannot draw a random root key"))?;
            write_private(path, &key)?;
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot open the root key {}", path.display()));
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_stable_across_openings_and_differ_by_purpose() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let first = DataDirectory::open(&path).unwrap();
        let second = DataDirectory::open(&path).unwrap();
        assert_eq!(
            first.derive_key("a").unwrap(),
            second.derive_key("a").unwrap()
        );
        assert_ne!(
            first.derive_key("a").unwrap(),
            first.derive_key("b").unwrap()
        );
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(first.join("root.key")), 0o600);
        assert_eq!(mode(path), 0o700);
    }

    #[test]
    fn a_file_is_refused_with_what_to_do_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        fs::write(&path, "mine").unwrap();
        let error = DataDirectory::open(&path).err().unwrap().to_string();
        assert!(error.contains("it is a file"), "{error}");
        assert!(error.contains("--data"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_truncated_root_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("root.key"), [1; 31]).unwrap();
        assert!(DataDirectory::open(directory.path()).is_err());
    }
}
