//! The bytes that the binary carries: Blueprint folders always, images in release
//! builds; a debug build reads the images from where `make images` put them. A folder
//! that `CATALYST_IMAGES` names gives a release build further images, and a debug build
//! all that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use catalyst_supply::{Blob, ImagePart, Package};

/// A Blueprint's folder in the binary.
pub struct Folder {
    /// From the checkout's root, for messages.
    pub path: &'static str,
    /// Path in the folder and bytes.
    pub files: &'static [(&'static str, &'static [u8])],
}

include!(concat!(env!("OUT_DIR"), "/payload.rs"));

/// An image that came with the binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedImage {
    /// `host/repository:tag`, as charts name it.
    pub name: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
    content: Source,
    /// The list of its packages.
    bill: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Embedded(&'static [u8]),
    File(PathBuf),
}

/// What this binary carries.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    images: Vec<CarriedImage>,
    lacking: Option<String>,
}

impl Payload {
    /// Looks at what is carried; reads no image.
    pub fn carried() -> Self {
        let named = std::env::var_os("CATALYST_IMAGES").map(PathBuf::from);
        if !IMAGES.is_empty() {
            let images = IMAGES
                .iter()
                .map(|(name, digest, tar, bill)| CarriedImage {
                    name: (*name).to_owned(),
                    digest: (*digest).to_owned(),
                    content: Source::Embedded(tar),
                    bill: Source::Embedded(bill),
                })
                .collect();
            let own = Self {
                images,
                lacking: None,
            };
            // Those of further Blueprints, where somebody says that they are there.
            return match named {
                Some(folder) => own.beside(Self::from_folder(&folder)),
                None => own,
            };
        }
        // A release binary stands alone: it must not pick up files that happen to
        // lie on the machine it was copied to.
        let folder = match named {
            Some(folder) => folder,
            None if cfg!(debug_assertions) => PathBuf::from(IMAGES_FOLDER),
            None => {
                return Self {
                    images: Vec::new(),
                    lacking: Some(
                        "this binary was built without images; run `make images` and build it again"
                            .to_owned(),
                    ),
                };
            }
        };
        Self::from_folder(&folder)
    }

    /// The images of a folder that `make images` filled.
    pub fn from_folder(folder: &Path) -> Self {
        let listed = fs::read(folder.join("images.json"))
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(serde_json::from_slice::<BTreeMap<String, String>>(&bytes)?));
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                return Self {
                    images: Vec::new(),
                    lacking: Some(format!(
                        "there are no images in {} ({error}); run `make images`",
                        folder.display()
                    )),
                };
            }
        };
        let images = listed
            .into_iter()
            .map(|(name, digest)| {
                let last = name.rsplit('/').next().unwrap_or(&name);
                let short = last.split(':').next().unwrap_or(last);
                let content = Source::File(folder.join(format!("{short}.oci.tar")));
                let bill = Source::File(folder.join(format!("{short}.cdx.json")));
                CarriedImage {
                    name,
                    digest,
                    content,
                    bill,
                }
            })
            .collect();
        Self {
            images,
            lacking: None,
        }
    }

    /// These, and of others those that are not among them by their names.
    pub(super) fn beside(mut self, others: Self) -> Self {
        let known: BTreeSet<String> = self.images.iter().map(|it| it.name.clone()).collect();
        let further = others.images.into_iter();
        self.images
            .extend(further.filter(|it| !known.contains(&it.name)));
        self.lacking = self.lacking.or(others.lacking);
        self
    }

    /// The images, by name.
    pub fn images(&self) -> &[CarriedImage] {
        &self.images
    }

    /// Why there are no images, for people; the shipped Applications can then be
    /// installed only where the nodes reach the public registry.
    pub fn lacking(&self) -> Option<&str> {
        self.lacking.as_deref()
    }

    /// The Blueprints, packed; each names the images by the digests carried.
    pub fn packages(&self) -> anyhow::Result<Vec<Package>> {
        BLUEPRINTS
            .iter()
            .map(|folder| {
                let files = folder
                    .files
                    .iter()
                    .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
                    .collect();
                super::pack(files, &self.images).with_context(|| {
                    format!("cannot pack {}, which this binary carries", folder.path)
                })
            })
            .collect()
    }
}

impl CarriedImage {
    /// The packages that it is made of; none where nobody listed them.
    pub(super) fn parts(&self) -> anyhow::Result<Option<Vec<ImagePart>>> {
        let bytes = match &self.bill {
            Source::Embedded([]) => return Ok(None),
            Source::Embedded(bytes) => Bytes::from_static(bytes),
            Source::File(path) => match fs::read(path) {
                Ok(bytes) => bytes.into(),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            },
        };
        let unreadable = || format!("cannot read the packages of the image {}", self.name);
        let document = serde_json::from_slice(&bytes).with_context(unreadable)?;
        let parts = ImagePart::of_cyclonedx(&document).with_context(unreadable)?;
        Ok(Some(parts))
    }

    /// Opens the image's tar (OCI image layout) and finds what is in it.
    pub(super) fn open(&self) -> anyhow::Result<Content> {
        let bytes = match &self.content {
            Source::Embedded(bytes) => Bytes::from_static(bytes),
            Source::File(path) => fs::read(path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .into(),
        };
        let mut blobs = BTreeMap::new();
        let mut archive = tar::Archive::new(bytes.as_ref());
        for entry in archive.entries()? {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some(digest) = path.strip_prefix("blobs/") else {
                continue;
            };
            let start = usize::try_from(entry.raw_file_position())?;
            let end = start + usize::try_from(entry.size())?;
            blobs.insert(digest.replacen('/', ":", 1), start..end);
        }
        Ok(Content {
            is_embedded: matches!(self.content, Source::Embedded(_)),
            bytes,
            blobs,
        })
    }
}

/// An opened image: its blobs are slices of the tar, never copies.
pub(super) struct Content {
    bytes: Bytes,
    blobs: BTreeMap<String, Range<usize>>,
    is_embedded: bool,
}

impl Content {
    /// A blob by its digest. The registry compares the bytes with it.
    pub fn blob(&self, media_type: &str, digest: &str) -> anyhow::Result<Blob> {
        let range = self.blobs.get(digest).cloned();
        let Some(range) = range.filter(|range| range.end <= self.bytes.len()) else {
            bail!("the carried image lacks {digest}; build the binary again");
        };
        let bytes = self.bytes.slice(range);
        Ok(Blob {
            descriptor: catalyst_supply::Descriptor {
                media_type: media_type.to_owned(),
                digest: digest.to_owned(),
                size: bytes.len() as u64,
                artifact_type: None,
                annotations: BTreeMap::new(),
            },
            bytes,
        })
    }

    /// Gives the memory of a blob that was sent back to the system; the pages of
    /// an embedded image come from the executable and are read again when needed.
    pub fn forget(&self, blob: &Blob) {
        if !self.is_embedded {
            return;
        }
        let page = rustix::param::page_size();
        let start = blob.bytes.as_ptr().addr().next_multiple_of(page);
        let end = (blob.bytes.as_ptr().addr() + blob.bytes.len()) / page * page;
        if start >= end {
            return;
        }
        // SAFETY: the range lies inside the executable's read-only file mapping,
        // nothing else than this image is in its whole pages, and a page of it that
        // is touched again is read again from the file with the same content.
        let advised = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        if let Err(error) = advised {
            tracing::debug!(%error, "memory of a carried image is kept");
        }
    }
}
