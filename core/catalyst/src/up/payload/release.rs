//! The images of a Blueprint that is released, in the registry that its chart names them
//! in.
//!
//! Called by `catalyst blueprint publish --images`, before the Blueprint is pushed. What
//! must stay true: a chart names its images by digest, and what is pushed has that digest
//! or is not pushed; a tag that is there stays where it is.

use anyhow::{Context, bail};
use catalyst_supply::{Package, Reference, Registry, RegistryError};

use super::{CarriedImage, Payload, push_image};

/// Puts the images that a Blueprint's chart names beside `at`, where the Blueprint itself
/// belongs, there, unless they are there; those of other registries are others' to
/// publish. Answers which it pushed. A Blueprint one of whose images is neither there nor
/// among the built ones is refused.
pub async fn push_images(
    registry: &Registry,
    at: &Reference,
    package: &Package,
    built: &Payload,
) -> anyhow::Result<Vec<String>> {
    let name = at.name();
    let base = name.strip_suffix(at.artifact()).unwrap_or(&name);
    let mut pushed = Vec::new();
    for image in package.images.iter().filter(|it| it.starts_with(base)) {
        if push_one(registry, at.plain_http, image, built).await? {
            pushed.push(image.clone());
        }
    }
    Ok(pushed)
}

/// Adds the packages of the built images to the Blueprint that names these, where nobody
/// has said what they are.
pub fn describe(package: &mut Package, built: &Payload) -> anyhow::Result<()> {
    for named in &package.images {
        let mut images = built.images().iter();
        let is_named = |it: &&CarriedImage| *named == format!("{}@{}", it.name, it.digest);
        if !package.parts.contains_key(named)
            && let Some(image) = images.find(is_named)
            && let Some(parts) = image.parts()?
        {
            package.parts.insert(named.clone(), parts);
        }
    }
    Ok(())
}

/// Whether the image had to be pushed.
async fn push_one(
    registry: &Registry,
    plain_http: bool,
    named: &str,
    built: &Payload,
) -> anyhow::Result<bool> {
    let Some((name, digest)) = named.split_once('@') else {
        bail!(
            "the chart names the image {named} without a digest, so that nobody can tell whether it is what was built; write its digest into chart/values.yaml"
        );
    };
    let failed = || format!("cannot put the image {named} into the registry");
    let mut at = Reference::parse(named).with_context(failed)?;
    at.plain_http = plain_http;
    if has(registry, &at, digest).await.with_context(failed)? {
        return Ok(false);
    }
    let Some(image) = built.images().iter().find(|it| it.name == name) else {
        bail!(
            "the registry does not have the image {named}, which the chart names, and none of that name was built; build it, then publish again"
        );
    };
    if image.digest != digest {
        bail!(
            "the chart names the image {named}, and what was built of that name is {}; build it with the toolchain that the chart's was built with, or have the chart name what is built",
            image.digest
        );
    }
    let manifest = push_image(registry, &at, digest, image).await?;
    if let Some(tag) = &at.tag
        && !has(registry, &at, tag).await.with_context(failed)?
    {
        registry
            .push_manifest(&at, tag, &manifest)
            .await
            .with_context(failed)?;
    }
    // Read back, and compared with the digest.
    registry.manifest(&at, digest).await.with_context(failed)?;
    Ok(true)
}

/// Whether the registry has something by a tag or a digest.
async fn has(registry: &Registry, at: &Reference, target: &str) -> Result<bool, RegistryError> {
    match registry.manifest(at, target).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
