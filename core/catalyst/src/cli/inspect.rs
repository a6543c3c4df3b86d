//! `catalyst blueprint inspect`: what a Blueprint is, before anybody installs it.

use std::collections::BTreeMap;

use catalyst_blueprint::{
    Card, ConfigKey, ConfigSchema, Dependency, HostAccess, ManifestKind, Owner, Provides, Upgrades,
    Visibility,
};
use catalyst_plan::{Example, images, render_example};
use catalyst_supply::media;
use serde::Serialize;
use serde_json::Value;

use super::api::Common;
use super::output::{print, table};
use super::rows::yes;
use super::subject::{Signatures, Subject};

/// Show what a Blueprint is: what it says, holds, runs and takes, and who signed it.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// A folder, a packed file, or an artifact such as 127.0.0.1:8080/acme/bp-name:1.0.0.
    #[arg(default_value = ".", value_name = "FOLDER|FILE|REFERENCE")]
    subject: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    name: String,
    version: String,
    kind: ManifestKind,
    visibility: Visibility,
    card: Card,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures: Option<Signatures>,
    /// Media type → what it lists, and how much of it.
    sbom: BTreeMap<String, BTreeMap<String, usize>>,
    /// Media type → who attests it, where that is somebody trusted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sbom_signers: BTreeMap<String, String>,
    /// As the pods of an Application with the least config name them, in all sizes.
    images: Vec<String>,
    /// Why the images are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    images_unknown: Option<String>,
    dependencies: Vec<Dependency>,
    sizes: Vec<String>,
    config: Vec<ConfigKey>,
    provides: Provides,
    /// What of the machine its pods take.
    host_access: Vec<HostAccess>,
    upgrades: Upgrades,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
}

impl Inspect {
    /// Carries it out.
    pub fn run(&self) -> anyhow::Result<()> {
        let subject = Subject::find(&self.subject, &self.common.connection)?;
        let report = report(subject)?;
        if self.common.output.is_table() {
            return print(&report.text());
        }
        self.common.output.value(&report)
    }
}

fn report(subject: Subject) -> anyhow::Result<Report> {
    let keys = ConfigSchema::compile(&subject.blueprint.spec.config_schema)?.keys();
    let (images, images_unknown) = match images_of(&subject) {
        Ok(images) => (images, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let layers = subject
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.layers);
    let layers = layers
        .map(|layer| Layer {
            media_type: layer.media_type.clone(),
            digest: layer.digest.clone(),
            size: layer.size,
        })
        .collect();
    let documents = subject.documents.iter();
    let sbom = documents
        .clone()
        .map(|it| (it.media_type.clone(), counted(&it.media_type, &it.content)))
        .collect();
    let sbom_signers = documents
        .filter_map(|it| Some((it.media_type.clone(), it.signer.clone()?)))
        .collect();
    let spec = &subject.blueprint.spec;
    Ok(Report {
        name: subject.blueprint.name().to_owned(),
        version: subject.blueprint.version().to_string(),
        kind: subject.kind(),
        visibility: spec.visibility,
        card: spec.card.clone(),
        owner: spec.owner.clone(),
        layers,
        sbom,
        sbom_signers,
        images,
        images_unknown,
        dependencies: spec.depends.clone(),
        sizes: spec.manifests.overlays.keys().cloned().collect(),
        config: keys,
        provides: spec.provides.clone(),
        host_access: spec.host_access.clone(),
        upgrades: spec.upgrades.clone(),
        digest: subject.digest,
        signatures: subject.signatures,
    })
}

/// The images of an Application with the least config, without a size and in each.
fn images_of(subject: &Subject) -> Result<Vec<String>, catalyst_plan::ExampleError> {
    let (blueprint, content) = (&subject.blueprint, &subject.content);
    let least = Example::least(blueprint, content)?;
    let sizes = blueprint.spec.manifests.overlays.keys().cloned().map(Some);
    let mut found = std::collections::BTreeSet::new();
    for size in std::iter::once(None).chain(sizes) {
        let example = Example {
            size,
            ..least.clone()
        };
        found.extend(images(&render_example(blueprint, content, &example)?));
    }
    Ok(found.into_iter().collect())
}

/// How many of each kind a bill of materials lists.
fn counted(kind: &str, document: &Value) -> BTreeMap<String, usize> {
    let list = |key: &str| {
        let list = document.get(key).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let mut counts = BTreeMap::new();
    if kind == media::CYCLONEDX {
        for component in list("components") {
            let kind = component.get("type").and_then(Value::as_str);
            *counts
                .entry(kind.unwrap_or("other").to_owned())
                .or_insert(0) += 1;
        }
    } else {
        for key in ["packages", "files"] {
            counts.insert(key.to_owned(), list(key).count());
        }
    }
    counts
}

impl Report {
    /// For people: what it is, then what it takes.
    fn text(&self) -> String {
        let mut rows: Vec<(&str, String)> = vec![
            ("name", self.name.clone()),
            ("version", self.version.clone()),
            ("title", self.card.title.clone()),
            ("tagline", self.card.tagline.clone()),
            ("category", self.card.category.clone()),
            ("license", self.card.license.clone()),
            ("made of", format!("{:?}", self.kind)),
            ("digest", self.digest.clone().unwrap_or_default()),
        ];
        for layer in &self.layers {
            let size = format!("{} ({} bytes)", layer.media_type, layer.size);
            rows.push(("layer", size));
        }
        if let Some(signatures) = &self.signatures {
            rows.push(("signatures", signatures.count.to_string()));
            for signer in &signatures.trusted {
                rows.push(("trusted signer", signer.clone()));
            }
            if let Some(reason) = &signatures.reason {
                rows.push(("not trusted", reason.clone()));
            }
            for it in &signatures.attestations {
                let by = match (&it.signer, it.reason) {
                    (Some(signer), _) => signer.clone(),
                    (None, Some(reason)) => format!("nobody trusted ({})", in_words(reason)),
                    (None, None) => "nobody trusted".to_owned(),
                };
                rows.push(("attested", format!("{} by {by}", it.predicate_type)));
            }
        }
        for (kind, counts) in &self.sbom {
            let counts: Vec<String> = counts
                .iter()
                .map(|(what, count)| format!("{what}: {count}"))
                .collect();
            let by = match self.sbom_signers.get(kind) {
                Some(signer) => format!(", attested by {signer}"),
                None if self.signatures.is_some() => ", attested by nobody trusted".to_owned(),
                None => String::new(),
            };
            rows.push(("sbom", format!("{kind} ({}){by}", counts.join(", "))));
        }
        for image in &self.images {
            rows.push(("image", image.clone()));
        }
        if let Some(reason) = &self.images_unknown {
            rows.push(("images unknown", reason.clone()));
        }
        for it in &self.dependencies {
            let when = it.when.as_ref().map(|when| format!(", when {when}"));
            let text = format!(
                "{}: {} {}{}",
                it.alias(),
                it.blueprint,
                it.version,
                when.unwrap_or_default()
            );
            rows.push(("needs", text));
        }
        if let Some(secret) = &self.provides.connection_secret {
            rows.push(("connection", secret.keys.join(", ")));
        }
        if let Some(http) = &self.provides.http {
            let port = http.port.as_str().map(str::to_owned);
            let port = port.unwrap_or_else(|| http.port.to_string());
            rows.push(("page at port", port));
        }
        for access in &self.host_access {
            rows.push(("of the machine", access.to_string()));
        }
        rows.push(("sizes", self.sizes.join(", ")));
        for (what, ranges) in [
            ("upgrades from", &self.upgrades.from),
            ("upgrades not from", &self.upgrades.blocks),
        ] {
            if !ranges.is_empty() {
                rows.push((what, ranges.join(", ")));
            }
        }
        let rows = rows
            .into_iter()
            .map(|(what, text)| vec![what.to_owned(), text])
            .collect();
        let mut text = table(&[], rows);
        if !self.config.is_empty() {
            text.push('\n');
            text.push_str(&self.keys());
        }
        text
    }

    fn keys(&self) -> String {
        let rows = self.config.iter().map(|key| {
            let default = key.default.as_ref().map(Value::to_string);
            let limits: Vec<String> = key
                .limits
                .iter()
                .map(|(word, value)| format!("{word} {value}"))
                .collect();
            vec![
                key.name.clone(),
                key.kind.clone(),
                yes(key.required),
                yes(key.secret),
                default.unwrap_or_default(),
                limits.join(", "),
            ]
        });
        let header = ["config", "type", "required", "secret", "default", "limits"];
        table(&header, rows.collect())
    }
}
/// What [`catalyst_signature::Refusal::reason`] means, for people.
fn in_words(reason: &str) -> &str {
    match reason {
        "Unsigned" => "it is not signed",
        "AlteredDigest" => "it is about another artifact",
        "ForeignKey" => "its key is not one of those trusted",
        "ForeignIdentity" => "its signer is not one of those trusted",
        "ForeignIssuer" => "its signer's issuer is not one of those trusted",
        "ExpiredCertificate" => "its certificate was not valid then",
        "UnknownAuthority" => "its certificate is of no authority that is trusted",
        "Unlogged" => "no log that is trusted has it",
        "LoggedOtherwise" => "the log's entry is of something else",
        "MalformedSignature" => "its signature cannot be read",
        "WrongIdentity" => "it names another artifact",
        "TooManySignatures" => "there are too many to look at",
        "UntrustedSource" => "no signer is trusted for the source",
        other => other,
    }
}
