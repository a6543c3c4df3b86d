//! Images: fetched from a registry, verified, unpacked once per layer.
//!
//! Layers live in `<data>/layers/<diff id>`, images as small JSON files in
//! `<data>/images`. A layer directory appears by rename once it is complete and
//! verified, so a directory that exists can be trusted.

mod pull;
mod reference;
mod unpack;

pub use pull::{Puller, Registry};
pub use reference::Reference;
pub use unpack::unpack;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What an image says about running it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of the manifest.
    pub digest: String,
    /// Diff ids of the layers without `sha256:`, lowest first.
    pub layers: Vec<String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Entry point.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// Working directory; empty for `/`.
    pub working_dir: String,
    /// User as `name`, `uid`, or either with `:group`.
    pub user: String,
}

/// A user as resolved in an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory; empty when the image has no passwd entry.
    pub home: String,
}

impl Image {
    /// How kubelets report that a pod which asks for `reference` has this image.
    pub fn id(&self, reference: &str) -> String {
        match Reference::parse(reference) {
            Ok(reference) => reference.image_id(&self.digest),
            // It was pulled by this reference, so this does not happen.
            Err(_) => self.digest.clone(),
        }
    }

    /// Resolves `user` (or the image's own) in the image's passwd and group files.
    pub fn user(&self, layers_dir: &Path, user: Option<&str>) -> Result<ResolvedUser, String> {
        let wanted = user.unwrap_or(&self.user);
        let (name, group) = match wanted.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (wanted, None),
        };
        let name = if name.is_empty() { "0" } else { name };
        let passwd = self.small_file(layers_dir, "etc/passwd");
        let entry = passwd
            .lines()
            .map(|l| l.split(':').collect::<Vec<_>>())
            .find(|f| f.first() == Some(&name) || f.get(2) == Some(&name));
        let field = |n: usize| entry.as_ref().and_then(|f| f.get(n)).copied();
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<u32>().ok());
        let uid = number(Some(name))
            .or_else(|| number(field(2)))
            .ok_or_else(|| format!("the image names the user {name}, which its /etc/passwd does not have; set runAsUser"))?;
        let gid = match group {
            Some(group) => number(Some(group))
                .or_else(|| {
                    let groups = self.small_file(layers_dir, "etc/group");
                    let line = groups
                        .lines()
                        .find(|l| l.split(':').next() == Some(group))?;
                    number(line.split(':').nth(2))
                })
                .ok_or_else(|| {
                    format!("the image names the group {group}, which its /etc/group does not have")
                })?,
            None => number(field(3)).unwrap_or(0),
        };
        Ok(ResolvedUser {
            uid,
            gid,
            home: field(5).unwrap_or_default().to_owned(),
        })
    }

    /// Reads a small regular file of the image; empty when there is none.
    fn small_file(&self, layers_dir: &Path, path: &str) -> String {
        use std::io::Read as _;
        for layer in self.layers.iter().rev() {
            let Ok(root) = std::fs::File::open(layers_dir.join(layer)) else {
                continue;
            };
            let opened = rustix::fs::openat2(
                &root,
                path,
                rustix::fs::OFlags::RDONLY
                    | rustix::fs::OFlags::NONBLOCK
                    | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
                rustix::fs::ResolveFlags::IN_ROOT | rustix::fs::ResolveFlags::NO_MAGICLINKS,
            );
            let Ok(fd) = opened else { continue };
            let file = std::fs::File::from(fd);
            if !file.metadata().is_ok_and(|m| m.is_file()) {
                continue;
            }
            let mut text = Vec::new();
            if file.take(1 << 20).read_to_end(&mut text).is_ok() {
                return String::from_utf8_lossy(&text).into_owned();
            }
        }
        String::new()
    }
}

/// Where images and layers are kept.
#[derive(Debug, Clone)]
pub struct ImageStore {
    /// Layer directories.
    pub layers: PathBuf,
    /// Image descriptions.
    pub images: PathBuf,
    /// Machine id that container id 0 is; absent with a single user.
    pub base: Option<u32>,
}

impl ImageStore {
    /// The image under a reference, if it was pulled and is still complete.
    pub fn get(&self, reference: &str) -> Option<Image> {
        let text = std::fs::read(self.image_file(reference)).ok()?;
        let image: Image = serde_json::from_slice(&text).ok()?;
        image
            .layers
            .iter()
            .all(|l| self.layers.join(l).is_dir())
            .then_some(image)
    }

    pub(crate) fn image_file(&self, reference: &str) -> PathBuf {
        use sha2::Digest as _;
        let name = hex::encode(sha2::Sha256::digest(reference.as_bytes()));
        self.images.join(format!("{name}.json"))
    }
}
