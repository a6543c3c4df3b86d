//! Registries, keys and signatures for `catalyst blueprint` and `chart`.

use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use catalyst_api::{
    BlueprintDetail, Me, Membership, OrganizationRole, OrganizationView, SovereignView,
};
use catalyst_blueprint::{Blueprint, is_shared_source};
use catalyst_signature::{PublicKey, SigningKey};
use catalyst_supply::{
    Credentials, DockerConfig, ImagePart, Manifest, PackOptions, Package, Reference, Registry,
    media,
};
use serde_json::Value;
use url::Url;

use super::api::{Api, client_for};
use super::credentials::{folder, write_private};
use super::failure::{Hinted, hinted};
use super::output::say;
use crate::up::payload::Payload;

/// A client for the registry that a reference names. The caller's token goes to the
/// Sovereign's own registry and to no other; others get what `docker login` keeps.
pub async fn registry(api: Option<&Api>, host: &str) -> anyhow::Result<Registry> {
    if let Some(api) = api {
        let own = api.sovereign().await?.addresses.registry;
        if own == host {
            let credentials = match api.token() {
                Some(token) => Credentials::Bearer(token),
                None => Credentials::Anonymous,
            };
            return Ok(Registry::new(api.http().clone(), credentials));
        }
    }
    let address = Url::parse(&format!("https://{host}"))
        .with_context(|| format!("`{host}` is not the address of a registry"))?;
    let http = client_for(&address)
        .build()
        .context("cannot build the HTTP client")?;
    let credentials = DockerConfig::from_environment()?.credentials(host).await?;
    Ok(Registry::new(http, credentials))
}

/// The same, where what everyone may read is to be had too: without the Sovereign, if
/// that cannot be asked.
pub async fn readable_registry(api: Option<&Api>, host: &str) -> anyhow::Result<Registry> {
    match registry(api, host).await {
        Err(_) if api.is_some() => registry(None, host).await,
        other => other,
    }
}

/// The largest list of an image's packages.
const LARGEST_BILL: u64 = 64 * 1024 * 1024;

/// What is known of images beside a Blueprint's folder: their packages, as the tools
/// that look into images list them.
pub fn pack_options(bills: &[PathBuf]) -> anyhow::Result<PackOptions> {
    let mut options = PackOptions::default();
    for path in bills {
        let unreadable = || {
            Hinted::new(
                format!("cannot read {} as a list of packages", path.display()),
                "give a CycloneDX document in JSON, of an image that the Blueprint names",
            )
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).with_context(unreadable)?;
        let length = file
            .take(LARGEST_BILL + 1)
            .read_to_end(&mut bytes)
            .with_context(unreadable)?;
        if length as u64 > LARGEST_BILL {
            return Err(anyhow::anyhow!("it is larger than 64 MiB")).with_context(unreadable);
        }
        let document: Value = serde_json::from_slice(&bytes).with_context(unreadable)?;
        let parts = ImagePart::of_cyclonedx(&document).with_context(unreadable)?;
        let image = image_of(&document)
            .context("it does not say of which image it is")
            .with_context(unreadable)?;
        options.parts.insert(image, parts);
    }
    Ok(options)
}

/// Refuses lists of packages of images that a Blueprint does not name: they would count for
/// nothing, and whoever gave them would take the Blueprint for looked at.
pub fn check_bills(options: &PackOptions, images: &[String]) -> anyhow::Result<()> {
    let names: Vec<&str> = images
        .iter()
        .map(|image| {
            image
                .split_once('@')
                .map_or(image.as_str(), |(name, _)| name)
        })
        .collect();
    let stranger = options
        .parts
        .keys()
        .find(|image| !names.contains(&image.as_str()));
    let Some(image) = stranger else {
        return Ok(());
    };
    let hint = match names.as_slice() {
        [] => "the values of its chart name no image, so leave --sbom out".to_owned(),
        names => format!(
            "the values of its chart name {}: give the list of one of those",
            names.join(", ")
        ),
    };
    Err(hinted(
        format!("the Blueprint has no image {image}, whose packages --sbom lists"),
        hint,
    ))
}

/// The images in a folder that somebody built them into.
pub fn images(folder: &Path) -> anyhow::Result<Payload> {
    let images = Payload::from_folder(folder);
    match images.lacking() {
        Some(why) => bail!("{why}"),
        None => Ok(images),
    }
}

/// The `repository:tag` that a document is about, by its subject's name and version.
fn image_of(document: &Value) -> Option<String> {
    let subject = document.pointer("/metadata/component")?;
    let text = |key: &str| subject.get(key).and_then(Value::as_str);
    let name = text("name").filter(|name| !name.is_empty())?;
    let (name, _) = name.split_once('@').unwrap_or((name, ""));
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') {
        return Some(name.to_owned());
    }
    let tag = text("version").filter(|tag| !tag.is_empty() && !tag.contains(':'))?;
    Some(format!("{name}:{tag}"))
}

/// The chart's archive from a registry; `api` is whose sign-in the Sovereign's own
/// registry is shown.
pub async fn pull_chart(api: Option<&Api>, reference: &str) -> anyhow::Result<Vec<u8>> {
    let at = Reference::parse(reference)?;
    let registry = readable_registry(api, &at.host).await?;
    let target = at.digest.as_deref().or(at.tag.as_deref());
    let target = target.ok_or_else(|| {
        hinted(
            format!("{reference} names no version"),
            "add it, such as oci://registry.example/charts/name:1.0.0",
        )
    })?;
    let manifest: Manifest = serde_json::from_slice(&registry.manifest(&at, target).await?)
        .with_context(|| format!("cannot read the manifest of {reference}"))?;
    let layer = manifest
        .layers
        .iter()
        .find(|layer| layer.media_type == media::HELM_CHART);
    let Some(layer) = layer else {
        bail!("{reference} holds no Helm chart");
    };
    Ok(registry.blob(&at, layer).await?.to_vec())
}

/// Refuses a source for which the caller may not sign. The Sovereign decides in the
/// end; this is so that nothing is made or pushed for what it would refuse.
pub async fn check_source(api: &Api, source: &str) -> anyhow::Result<()> {
    let me: Me = api.get(&["me"]).await?;
    let is_own =
        |it: &Membership| it.organization == source && it.role == OrganizationRole::OrgAdmin;
    if me.organizations.iter().any(is_own) {
        return Ok(());
    }
    let is_catalog = is_shared_source(source);
    let path = ["organizations", source];
    if !is_catalog && api.find::<OrganizationView>(&path).await?.is_none() {
        return Err(hinted(
            format!("there is no source {source} of Blueprints that you may see"),
            "name an Organization, or catalog-sovereign",
        ));
    }
    if me.sovereign_admin {
        return Ok(());
    }
    let who = match is_catalog {
        true => "a sovereign-admin".to_owned(),
        false => format!("an org-admin of {source}, or a sovereign-admin"),
    };
    Err(hinted(
        format!("cannot sign Blueprints of {source}: this takes {who}"),
        "ask somebody with that role; `catalyst whoami` shows yours",
    ))
}

/// Refuses what says that it is private for a source that is everybody's, before it lies
/// in a registry from which everybody may pull.
pub fn check_visibility(source: &str, blueprint: &Blueprint) -> anyhow::Result<()> {
    if blueprint.spec.visibility.is_known(source, false) {
        return Ok(());
    }
    Err(hinted(
        format!(
            "cannot publish {} to {source}: its visibility is private, and what is there is everybody's",
            blueprint.name()
        ),
        "publish it to the source of an Organization, or say `visibility: unlisted`",
    ))
}

/// Refuses a version that the Sovereign has with other content, before anything is
/// pushed: its tag in the registry must not move away from what is installed by it.
pub async fn check_version(api: &Api, source: &str, package: &Package) -> anyhow::Result<()> {
    let name = package.blueprint.name();
    let version = package.blueprint.version().to_string();
    let known: Option<BlueprintDetail> = api
        .find_with(&["blueprints", source, name], &[("version", &version)])
        .await?;
    match known {
        Some(known) if known.digest != package.digest() => Err(hinted(
            format!(
                "cannot publish {name} {version} to {source}: it is registered already, with other content ({})",
                known.digest
            ),
            "publish the changed Blueprint under a new version",
        )),
        _ => Ok(()),
    }
}

/// Why a Blueprint of a source cannot be installed for want of what it depends on, one
/// sentence a dependency; what those depend on is for a plan to find.
pub async fn unmet(api: &Api, source: &str, blueprint: &Blueprint) -> anyhow::Result<Vec<String>> {
    let mut unmet = Vec::new();
    for dependency in &blueprint.spec.depends {
        let from = dependency.source.as_deref().unwrap_or(source);
        let path = ["blueprints", from, dependency.blueprint.as_str()];
        let found: Option<BlueprintDetail> = api.find(&path).await?;
        let versions = found.as_ref().map(|it| it.card.versions.as_slice());
        unmet.extend(dependency.unmet(from, versions));
    }
    Ok(unmet)
}

/// Whether the Sovereign trusts a key for a source; also where it cannot be asked.
pub async fn is_trusted(api: &Api, source: &str, key: &PublicKey) -> bool {
    match api.sovereign().await {
        Ok(sovereign) => counts(&sovereign, source, key),
        Err(_) => true,
    }
}

/// Whether a key's signatures count for a source.
pub fn counts(sovereign: &SovereignView, source: &str, key: &PublicKey) -> bool {
    let fingerprint = key.fingerprint();
    let mut signers = sovereign.trusted_signers.iter();
    signers.any(|signer| signer.source == source && signer.fingerprint == fingerprint)
}

/// The key that signs what is published to a source: the file given, or one of the
/// source's own, made on first use and readable by its owner only.
pub fn signing_key(source: &str, file: Option<&Path>) -> anyhow::Result<(SigningKey, PathBuf)> {
    if let Some(path) = file {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the key {}", path.display()))?;
        let key = SigningKey::from_pem(&pem)
            .with_context(|| format!("cannot use the key {}", path.display()))?;
        let public = path.with_extension("pub");
        return Ok((key, public));
    }
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if !is_name(source) {
        bail!("`{source}` is not a source of Blueprints");
    }
    let keys = folder()?.join("keys");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&keys)
        .with_context(|| format!("cannot create {}", keys.display()))?;
    let (private, public) = (
        keys.join(format!("{source}.key")),
        keys.join(format!("{source}.pub")),
    );
    if private.exists() {
        let pem = std::fs::read_to_string(&private)
            .with_context(|| format!("cannot read the key {}", private.display()))?;
        let key = SigningKey::from_pem(&pem)
            .with_context(|| format!("cannot use the key {}", private.display()))?;
        return Ok((key, public));
    }
    let key = SigningKey::generate()?;
    write_private(&private, key.to_pem()?.as_bytes())?;
    std::fs::write(&public, key.public().to_pem())
        .with_context(|| format!("cannot write {}", public.display()))?;
    say(&format!(
        "Made a key for {source}: {} (keep it safe), {}",
        private.display(),
        public.display()
    ));
    Ok((key, public))
}

/// A public key from a file.
pub fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    PublicKey::from_pem(&pem).with_context(|| format!("cannot use the key {}", path.display()))
}

/// How stock cosign verifies an artifact, as lines for a shell. `trusted_root` is
/// where the Sovereign publishes its own: without it, cosign 2.6 asks a public one
/// first, which not every machine reaches.
pub fn cosign_commands(
    reference: &Reference,
    digest: &str,
    key: &Path,
    trusted_root: Option<&Url>,
) -> Vec<String> {
    let mut options = String::new();
    let mut lines = Vec::new();
    if let Some(url) = trusted_root {
        lines.push(format!("curl -fsSo trusted_root.json {url}"));
        options.push_str(" --trusted-root trusted_root.json");
    }
    if reference.plain_http {
        options.push_str(" --allow-http-registry");
    }
    lines.push(format!(
        "cosign verify --key {} --insecure-ignore-tlog=true{options} {}@{digest}",
        key.display(),
        reference.name()
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_not_published_to_everybody() {
        let text = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-x}\nspec:\n  version: 1.0.0\n  card: {title: X, license: MIT}\n  visibility: private\n  manifests: {source: {kind: HelmChart}}\n";
        let private = Blueprint::parse(text).unwrap();
        let listed = Blueprint::parse(&text.replace("private", "listed")).unwrap();
        for (source, blueprint, is_taken) in [
            ("acme", &private, true),
            ("catalog-sovereign", &private, false),
            ("catalog-sovereign", &listed, true),
        ] {
            let checked = check_visibility(source, blueprint);
            assert_eq!(checked.is_ok(), is_taken, "{source}: {checked:?}");
        }
    }

    #[test]
    fn packages_of_an_image_that_is_not_there_are_refused() {
        let mut options = PackOptions::default();
        let images = [
            "ghcr.io/acme/shop:1.0.0@sha256:00".to_owned(),
            "cache:2".to_owned(),
        ];
        assert!(check_bills(&options, &images).is_ok());
        options
            .parts
            .insert("ghcr.io/acme/shop:1.0.0".to_owned(), Vec::new());
        options.parts.insert("cache:2".to_owned(), Vec::new());
        assert!(check_bills(&options, &images).is_ok());
        options
            .parts
            .insert("ghcr.io/acme/shop:1.0.1".to_owned(), Vec::new());
        insta::assert_snapshot!(super::super::failure::describe(&check_bills(&options, &images).unwrap_err()), @r"
        error: the Blueprint has no image ghcr.io/acme/shop:1.0.1, whose packages --sbom lists
        hint: the values of its chart name ghcr.io/acme/shop:1.0.0, cache:2: give the list of one of those
        ");
    }

    #[test]
    fn the_commands_for_cosign_name_all_it_needs() {
        let at = Reference::parse("127.0.0.1:8080/acme/bp-x:1.0.0").unwrap();
        let key = Path::new("acme.pub");
        let root = Url::parse("http://127.0.0.1:8080/api/v1/sovereign/trusted-root").unwrap();
        assert_eq!(
            cosign_commands(&at, "sha256:00", key, Some(&root)),
            [
                "curl -fsSo trusted_root.json http://127.0.0.1:8080/api/v1/sovereign/trusted-root",
                "cosign verify --key acme.pub --insecure-ignore-tlog=true --trusted-root trusted_root.json --allow-http-registry 127.0.0.1:8080/acme/bp-x@sha256:00",
            ]
        );
        let at = Reference::parse("ghcr.io/acme/bp-x:1.0.0").unwrap();
        assert_eq!(
            cosign_commands(&at, "sha256:00", key, None),
            [
                "cosign verify --key acme.pub --insecure-ignore-tlog=true ghcr.io/acme/bp-x@sha256:00"
            ]
        );
    }
}
