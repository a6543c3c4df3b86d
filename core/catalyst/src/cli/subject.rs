//! What `catalyst blueprint inspect` and `diff` look at: a Blueprint's folder, a packed
//! file, or an artifact in a registry.

use std::path::Path;

use anyhow::Context;
use catalyst_blueprint::{Blueprint, ManifestKind};
use catalyst_plan::{BlueprintContent, BlueprintVersion};
use catalyst_signature::{Signers, TrustPolicy};
use catalyst_supply::image::Image;
use catalyst_supply::{
    Attestation, Document, Manifest, Opened, Origin, PackOptions, Reference, Registry, cyclonedx,
    media, pack, read_folder, spdx,
};
use serde::Serialize;

use super::api::Connection;
use super::blueprint::refused;
use super::failure::{Hinted, hinted};
use super::supply;
use super::trust;

/// The first bytes of what gzip compressed (RFC 1952), such as a chart's .tgz.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A Blueprint, wherever it lies.
pub struct Subject {
    /// What it says of itself.
    pub blueprint: Blueprint,
    /// Its chart or manifests.
    pub content: BlueprintContent,
    /// `sha256:…` of the artifact that it is, or would be; none for a folder that
    /// cannot be packed.
    pub digest: Option<String>,
    /// That artifact's manifest.
    pub manifest: Option<Manifest>,
    /// SBOMs by media type: those attested or attached, or those that would be.
    pub documents: Vec<Document>,
    /// Who signed it; none for what is in no registry.
    pub signatures: Option<Signatures>,
}

/// The signatures of an artifact.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signatures {
    /// How many there are, by whomever.
    pub count: usize,
    /// Who among their makers the Sovereign trusts for the artifact's source:
    /// fingerprints of keys, and certificates' subjects and issuers.
    pub trusted: Vec<String>,
    /// What else is said of it, and by whom of those.
    pub attestations: Vec<Attestation>,
    /// Why nobody is trusted, where nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Subject {
    /// What a person names: on this machine if it is there, else in a registry.
    pub fn find(text: &str, connection: &Connection) -> anyhow::Result<Self> {
        Self::find_with(text, connection, &PackOptions::default())
    }

    /// The same, where more is known of what a folder would become.
    pub fn find_with(
        text: &str,
        connection: &Connection,
        options: &PackOptions,
    ) -> anyhow::Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::of_folder(path, options);
        }
        if !options.parts.is_empty() {
            return Err(hinted(
                format!("{text} is no folder, and only of those --sbom can say more"),
                "leave --sbom out: what is packed has its lists with it",
            ));
        }
        if path.is_file() {
            return Self::of_file(path);
        }
        super::client(Self::of_reference(text, connection))
    }

    fn of_folder(folder: &Path, options: &PackOptions) -> anyhow::Result<Self> {
        let files = read_folder(folder)?;
        let text = files.get(Blueprint::FILE).map(Vec::as_slice);
        let text = String::from_utf8_lossy(text.unwrap_or_default());
        let blueprint = Blueprint::parse(&text).map_err(|problems| refused(folder, &problems))?;
        let kind = blueprint.spec.manifests.source.kind;
        let mut subject = Self {
            content: BlueprintContent::of_folder(kind, &files),
            blueprint,
            digest: None,
            manifest: None,
            documents: Vec::new(),
            signatures: None,
        };
        // What lint has errors in can still be looked at.
        if let Ok(package) = pack(&files, options) {
            supply::check_bills(options, &package.images)?;
            let origin = Origin::default();
            subject.digest = Some(package.digest().to_owned());
            subject.manifest = Some(Opened::of_package(&package)?.manifest);
            let documents = [
                (media::SPDX, spdx(&package, &origin)),
                (media::CYCLONEDX, cyclonedx(&package, &origin)),
            ];
            let documents = documents.map(|(kind, content)| Document {
                media_type: kind.to_owned(),
                content,
                signer: None,
            });
            subject.documents = documents.into();
        }
        Ok(subject)
    }

    fn of_file(file: &Path) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let unreadable = || {
            Hinted::new(
                format!("cannot read {name} as a packed Blueprint"),
                "name what `catalyst blueprint package` wrote, a folder, or a reference",
            )
        };
        let bytes = std::fs::read(file).with_context(unreadable)?;
        if bytes.starts_with(&GZIP) {
            return Err(anyhow::anyhow!("it is compressed, as charts are"))
                .with_context(unreadable);
        }
        let image = Image::from_tar(&bytes).with_context(unreadable)?;
        Ok(Self::of_opened(Opened::of_image(&name, &image)?))
    }

    async fn of_reference(text: &str, connection: &Connection) -> anyhow::Result<Self> {
        let at = Reference::parse(text).map_err(|error| {
            hinted(
                format!("cannot find {text}: no folder or file is there, and {error}"),
                "name a folder, a file of `catalyst blueprint package`, or an artifact",
            )
        })?;
        // Without a sign-in, what everyone may read can still be looked at.
        let api = connection.api().await.ok();
        let registry = supply::readable_registry(api.as_ref(), &at.host).await?;
        let opened = registry.read(&at).await?;
        let digest = opened.digest.clone();
        let mut subject = Self::of_opened(opened);
        let policy = match &api {
            Some(api) => trust::of_sovereign(api).await?,
            None => TrustPolicy::new(),
        };
        let signers = policy.signers(source_of(&at)).unwrap_or_default();
        subject.documents = registry.documents(&at, &digest, &signers).await?;
        let mut found = signatures(&registry, &at, &digest, &policy, &signers).await?;
        if api.is_none() {
            found.reason = Some("nobody is signed in to a Sovereign that could tell".to_owned());
        }
        subject.signatures = Some(found);
        Ok(subject)
    }

    fn of_opened(opened: Opened) -> Self {
        Self {
            blueprint: opened.blueprint,
            content: BlueprintContent {
                files: opened.manifests,
            },
            digest: Some(opened.digest),
            manifest: Some(opened.manifest),
            documents: Vec::new(),
            signatures: None,
        }
    }

    /// For comparisons.
    pub fn version(&self) -> BlueprintVersion<'_> {
        BlueprintVersion {
            blueprint: &self.blueprint,
            content: &self.content,
        }
    }

    /// How its manifests are written.
    pub fn kind(&self) -> ManifestKind {
        self.blueprint.spec.manifests.source.kind
    }
}

/// The source that an artifact lies in, by its place in the registry.
fn source_of(at: &Reference) -> &str {
    at.repository
        .rsplit_once('/')
        .map_or("", |(source, _)| source)
}

/// Who signed an artifact, as far as those whom the Sovereign trusts tell.
async fn signatures(
    registry: &Registry,
    at: &Reference,
    digest: &str,
    policy: &TrustPolicy,
    signers: &Signers<'_>,
) -> anyhow::Result<Signatures> {
    let source = source_of(at);
    let mut found = Signatures {
        count: registry.count_signatures(at, digest).await?,
        trusted: Vec::new(),
        attestations: registry.attestations(at, digest, signers).await?,
        reason: None,
    };
    // All together first: that verdict has the most telling reason.
    if let Err(error) = registry.verify(at, source, policy).await {
        found.reason = Some(error.to_string());
        return Ok(found);
    }
    for alone in policy.each_alone(source) {
        if let Ok(verified) = registry.verify(at, source, &alone).await {
            let signer = verified.signer.to_string();
            if !found.trusted.contains(&signer) {
                found.trusted.push(signer);
            }
        }
    }
    Ok(found)
}
