//! What the binary carries: the OpenTofu module and what Flux applies afterwards.

use sha2::{Digest as _, Sha256};

include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// Files of an OpenTofu module, by path below its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    files: Vec<(String, Vec<u8>)>,
}

impl Module {
    /// The module for Hetzner Cloud, `infra/hetzner`.
    pub fn hetzner() -> Self {
        Self::new(
            HETZNER_MODULE
                .iter()
                .map(|(path, content)| ((*path).to_owned(), content.to_vec())),
        )
    }

    /// A module of these files.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort();
        Self { files }
    }

    /// Path and content of each file, in order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// SHA-256 over paths and contents, in hexadecimal: the module's version.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            hash.update((path.len() as u64).to_be_bytes());
            hash.update(path);
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        hex::encode(hash.finalize())
    }
}
