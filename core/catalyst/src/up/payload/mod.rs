//! What the binary carries, and how it gets into the Sovereign's registry.
//!
//! Called once by `catalyst up`, after the port is served and before the Sovereign
//! is ready. Everything goes over the wire, as from anybody who publishes.
//!
//! What must stay true:
//! - Publishing twice changes nothing: a version that is there, signed by the same
//!   key, is left alone, and its bytes are not even read, unless it lacks what is
//!   attested today. It stays also when a later
//!   binary carries other content under it, since Applications run what it was, and
//!   a Sovereign must not fail to start for that.
//! - Images stand below `catalyst/mirror/<host>/`, a namespace that no Organization
//!   can have, so nobody but the control plane can put one there.
//! - The Blueprint's chart names each image by the digest of the image that this
//!   binary carries.

mod carried;
mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, bail};
use catalyst_signature::{SigningKey, TrustPolicy};
use catalyst_supply::{
    Blob, Manifest, Origin, PackOptions, Package, Published, Reference, Registry, RegistryError,
    media,
};

pub use carried::{CarriedImage, Payload};
pub use release::{describe, push_images};

/// The source of the Blueprints that ship with Catalyst.
pub const SOURCE: &str = "catalog";
/// Repositories of the registry below which images of other registries are kept.
pub const MIRROR: &str = "catalyst/mirror";
/// Hosts whose images this binary may carry.
const MIRRORED: [&str; 1] = ["ghcr.io"];

/// Puts the images and the Blueprints into the registry at `host` (`name:port`),
/// signing the Blueprints with `key`. Answers what stands there now, in the order
/// of their names, whether or not it had to be published.
///
/// `registry` signs in as the control plane.
pub async fn publish(
    registry: &Registry,
    host: &str,
    key: &SigningKey,
    payload: &Payload,
) -> anyhow::Result<Vec<Published>> {
    let images = futures::future::try_join_all(
        payload
            .images()
            .iter()
            .map(|image| publish_image(registry, host, image)),
    );
    let packages = payload.packages()?;
    let blueprints = futures::future::try_join_all(
        packages
            .iter()
            .map(|package| publish_blueprint(registry, host, key, package)),
    );
    let (_, mut published) = futures::future::try_join(images, blueprints).await?;
    published.sort_by(|left, right| left.reference.cmp(&right.reference));
    Ok(published)
}

async fn publish_blueprint(
    registry: &Registry,
    host: &str,
    key: &SigningKey,
    package: &Package,
) -> anyhow::Result<Published> {
    let base = format!("{host}/{SOURCE}");
    let name = package.blueprint.name();
    let version = package.blueprint.version();
    let at = Reference::parse(&format!("{base}/{name}:{version}"))?;
    let mut policy = TrustPolicy::new();
    policy.trust(SOURCE, key.public().clone());
    if let Ok(verified) = registry.verify(&at, SOURCE, &policy).await {
        let is_other = verified.digest != package.digest();
        if is_other {
            tracing::warn!(
                registered = verified.digest,
                carried = package.digest(),
                "{name} {version} in this binary has other content than the one that was published with this data, which stays; give it a new version to have it published"
            );
        }
        if is_other
            || registry
                .has_attested_documents(&at, &verified.digest)
                .await?
        {
            return Ok(Published {
                reference: at.to_string(),
                digest: verified.digest,
                signer: key.public().clone(),
            });
        }
    }
    let origin = Origin {
        builder: "https://github.com/openova-io/catalyst".to_owned(),
        ..Origin::default()
    };
    registry
        .publish(&base, package, key, &origin)
        .await
        .with_context(|| format!("cannot publish {name} {version}, which this binary carries"))
}

async fn publish_image(
    registry: &Registry,
    host: &str,
    image: &CarriedImage,
) -> anyhow::Result<()> {
    let at = Reference::parse(&format!("{host}/{}", mirror_of(&image.name)?))?;
    let tag = at
        .tag
        .clone()
        .with_context(|| format!("the image {} has no tag", image.name))?;
    if is_there(registry, &at, &tag, &image.digest).await? {
        return Ok(());
    }
    push_image(registry, &at, &tag, image).await?;
    tracing::info!(image = image.name, digest = image.digest, "image mirrored");
    Ok(())
}

/// Pushes an image, its manifest by a tag or by its digest; answers the manifest.
async fn push_image(
    registry: &Registry,
    at: &Reference,
    target: &str,
    image: &CarriedImage,
) -> anyhow::Result<Blob> {
    let failed = || format!("cannot put the image {} into the registry", image.name);
    let content = image.open().with_context(failed)?;
    let manifest = content.blob(media::MANIFEST, &image.digest)?;
    let parsed: Manifest = serde_json::from_slice(&manifest.bytes).with_context(failed)?;
    for descriptor in std::iter::once(&parsed.config).chain(&parsed.layers) {
        let blob: Blob = content.blob(&descriptor.media_type, &descriptor.digest)?;
        registry.push_blob(at, &blob).await.with_context(failed)?;
        content.forget(&blob);
    }
    registry
        .push_manifest(at, target, &manifest)
        .await
        .with_context(failed)?;
    Ok(manifest)
}

/// Whether the registry has the tag with exactly this digest.
async fn is_there(
    registry: &Registry,
    at: &Reference,
    tag: &str,
    digest: &str,
) -> Result<bool, RegistryError> {
    match registry.manifest(at, tag).await {
        Ok(bytes) => Ok(catalyst_supply::digest(&bytes) == digest),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The repository and tag below which the registry keeps a public image.
fn mirror_of(name: &str) -> anyhow::Result<String> {
    let is_mirrored = name
        .split_once('/')
        .is_some_and(|(host, _)| MIRRORED.contains(&host));
    if !is_mirrored {
        bail!("the image {name} is not of a registry that is mirrored here");
    }
    Ok(format!("{MIRROR}/{name}"))
}

/// How a node reaches registries: the Sovereign's own at `base`, such as
/// `http://127.0.0.1:8080`, with the control plane's `token`; public ones that this
/// binary carries images of through the mirror first; all others where their name
/// says. For `catalyst_node::Config::registry_of`.
pub fn registries(
    base: &str,
    token: String,
) -> Arc<dyn Fn(&str) -> catalyst_node::image::Registry + Send + Sync> {
    let base = base.trim_end_matches('/').to_owned();
    let own = base
        .split_once("://")
        .map_or(base.as_str(), |(_, host)| host)
        .to_owned();
    Arc::new(move |host| {
        let mirror = if host == own {
            base.clone()
        } else if MIRRORED.contains(&host) {
            format!("{base}/v2/{MIRROR}/{host}")
        } else {
            return catalyst_node::image::Registry::default();
        };
        catalyst_node::image::Registry {
            mirror: Some(mirror),
            credentials: Some(("catalyst".to_owned(), token.clone())),
        }
    })
}

/// Packs a Blueprint's files with the digests of the images carried, and describes it
/// with their packages.
fn pack(mut files: BTreeMap<String, Vec<u8>>, images: &[CarriedImage]) -> anyhow::Result<Package> {
    let mut named = BTreeSet::new();
    if let Some(values) = files.get_mut("chart/values.yaml") {
        let text = String::from_utf8_lossy(values).into_owned();
        let pinned = pin(&text, images);
        *values = pinned.text.into_bytes();
        named = pinned.images;
    }
    let mut options = PackOptions::default();
    // The lists are long; only those of images that the chart names are read.
    for image in images.iter().filter(|image| named.contains(&image.name)) {
        if let Some(parts) = image.parts()? {
            options.parts.insert(image.name.clone(), parts);
        }
    }
    Ok(catalyst_supply::pack(&files, &options)?)
}

/// Values that name images by the digests carried.
struct Pinned {
    text: String,
    /// The images that they name, `host/repository:tag`, carried or not.
    images: BTreeSet<String>,
}

/// Writes the digest of each carried image into the values that name it, line by
/// line, so that nothing else in the file changes. Where the digest stands already,
/// as it does when image and chart were released together, nothing changes at all;
/// an image built with another compiler or C library has another digest, and the
/// Blueprint that travels with it must name that one.
fn pin(values: &str, images: &[CarriedImage]) -> Pinned {
    let value = |line: &str, key: &str| {
        let rest = line.trim().strip_prefix(key)?.trim();
        Some(rest.trim_matches('"').to_owned())
    };
    let mut repository = None;
    let mut name = None;
    let mut pinned = Pinned {
        text: String::new(),
        images: BTreeSet::new(),
    };
    for line in values.split_inclusive('\n') {
        if let Some(found) = value(line, "repository:") {
            repository = Some(found);
        } else if let (Some(repository), Some(tag)) = (&repository, value(line, "tag:")) {
            let found = format!("{repository}:{tag}");
            pinned.images.insert(found.clone());
            name = Some(found);
        } else if value(line, "digest:").is_some()
            && let Some(image) = images
                .iter()
                .find(|image| Some(&image.name) == name.as_ref())
        {
            let indent = line.len() - line.trim_start().len();
            pinned.text.push_str(line.get(..indent).unwrap_or_default());
            pinned.text.push_str("digest: ");
            pinned.text.push_str(&image.digest);
            pinned.text.push('\n');
            (repository, name) = (None, None);
            continue;
        }
        pinned.text.push_str(line);
    }
    pinned
}

#[cfg(test)]
mod tests;
