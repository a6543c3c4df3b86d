//! Reading manifests: what kind of document it is, what it refers to, and how
//! it is listed among the referrers of its subject. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::digest::Digest;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A content descriptor, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Value>>,
}

/// A manifest that was read and found well-formed.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    /// Content that the repository must hold as blobs.
    pub(crate) blobs: Vec<Descriptor>,
    /// Content that the repository must hold as manifests.
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Option<Map<String, Value>>,
}

/// Why a document is not a manifest that can be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifest cannot be read: {0}")]
    Json(String),
    #[error(
        "`{0}` is not a manifest type; push an OCI image manifest or index, or a Docker v2 manifest or list"
    )]
    Type(String),
    #[error(
        "the manifest says it is `{body}`, the Content-Type header says `{header}`; make them agree"
    )]
    Disagreement { header: String, body: String },
    #[error("the manifest's schemaVersion is {0}; it must be 2")]
    Schema(u32),
    #[error("a manifest of type `{media_type}` needs {missing}")]
    Missing {
        media_type: String,
        missing: &'static str,
    },
    #[error("a manifest of type `{media_type}` cannot have {extra}")]
    Extra {
        media_type: String,
        extra: &'static str,
    },
}

/// Reads a pushed document.
pub(crate) fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Manifest, ManifestError> {
    let document: Document =
        serde_json::from_slice(body).map_err(|error| ManifestError::Json(error.to_string()))?;
    let header = content_type
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or(value)
                .trim()
                .to_ascii_lowercase()
        })
        .filter(|value| !value.is_empty());
    let media_type = match (header, document.media_type) {
        (Some(header), Some(body)) if header != body => {
            return Err(ManifestError::Disagreement { header, body });
        }
        (Some(header), _) => header,
        (None, Some(body)) => body,
        (None, None) => return Err(ManifestError::Type(String::new())),
    };
    if document.schema_version != 2 {
        return Err(ManifestError::Schema(document.schema_version));
    }
    let missing = |missing| ManifestError::Missing {
        media_type: media_type.clone(),
        missing,
    };
    let extra = |extra| ManifestError::Extra {
        media_type: media_type.clone(),
        extra,
    };
    let subject = document.subject.map(|subject| subject.digest);
    match media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => {
            if document.manifests.is_some() {
                return Err(extra("`manifests`"));
            }
            let config = document.config.ok_or_else(|| missing("a config"))?;
            let layers = document.layers.ok_or_else(|| missing("layers"))?;
            let artifact_type = document
                .artifact_type
                .filter(|kind| !kind.is_empty())
                .or_else(|| Some(config.media_type.clone()));
            let blobs = std::iter::once(config)
                .chain(layers.into_iter().filter(|layer| !layer.is_foreign()))
                .collect();
            Ok(Manifest {
                blobs,
                manifests: Vec::new(),
                subject,
                artifact_type,
                annotations: document.annotations,
                media_type,
            })
        }
        OCI_INDEX | DOCKER_LIST => {
            if document.config.is_some() || document.layers.is_some() {
                return Err(extra("`config` or `layers`"));
            }
            let manifests = document.manifests.ok_or_else(|| missing("manifests"))?;
            Ok(Manifest {
                blobs: Vec::new(),
                manifests,
                subject,
                artifact_type: document.artifact_type.filter(|kind| !kind.is_empty()),
                annotations: document.annotations,
                media_type,
            })
        }
        _ => Err(ManifestError::Type(media_type)),
    }
}

impl Descriptor {
    /// Whether the content is kept elsewhere by its publisher's wish.
    fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            || self
                .media_type
                .starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self
                .media_type
                .starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl Manifest {
    /// The descriptor that the referrers list shows for this manifest.
    pub(crate) fn referrer(&self, digest: &Digest, size: usize) -> Value {
        let mut descriptor = Map::new();
        descriptor.insert("mediaType".into(), self.media_type.clone().into());
        descriptor.insert("digest".into(), digest.to_string().into());
        descriptor.insert("size".into(), size.into());
        if let Some(kind) = self.artifact_type.as_ref().filter(|kind| !kind.is_empty()) {
            descriptor.insert("artifactType".into(), kind.clone().into());
        }
        if let Some(annotations) = &self.annotations {
            descriptor.insert("annotations".into(), Value::Object(annotations.clone()));
        }
        Value::Object(descriptor)
    }
}

/// Whether a client that sent these `Accept` values takes the type. No header
/// at all means anything.
pub(crate) fn is_accepted<'a>(mut accept: impl Iterator<Item = &'a str>, media_type: &str) -> bool {
    let mut is_empty = true;
    let found = accept.any(|value| {
        is_empty = false;
        value.split(',').any(|item| {
            let kind = item.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case(media_type)
                || matches!(kind, "*/*" | "application/*" | "application/json")
        })
    });
    found || is_empty
}

/// The manifest to give a client that understands no index: the one for
/// linux/amd64, as registries have always chosen for old Docker clients.
pub(crate) fn default_platform(index: &[u8]) -> Option<Digest> {
    let document: Document = serde_json::from_slice(index).ok()?;
    document
        .manifests?
        .into_iter()
        .find(|descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|it| it.os == "linux" && it.architecture == "amd64")
        })
        .map(|descriptor| descriptor.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content: &str) -> Digest {
        Digest::of(crate::Algorithm::Sha256, content.as_bytes())
    }

    #[test]
    fn a_manifest_names_its_blobs_except_those_kept_elsewhere() {
        let body = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/x.config", "digest": digest("c"), "size": 1},
            "layers": [
                {"mediaType": "application/x.layer", "digest": digest("l"), "size": 1},
                {"mediaType": "application/x.layer", "digest": digest("u"), "size": 1,
                 "urls": ["https://elsewhere.example/u"]},
                {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
                 "digest": digest("n"), "size": 1},
            ],
            "subject": {"mediaType": OCI_MANIFEST, "digest": digest("s"), "size": 9},
            "annotations": {"a": "b"},
        })
        .to_string();
        let manifest = parse(Some(OCI_MANIFEST), body.as_bytes()).unwrap();
        let blobs: Vec<_> = manifest
            .blobs
            .iter()
            .map(|blob| blob.digest.clone())
            .collect();
        assert_eq!(blobs, [digest("c"), digest("l")]);
        assert_eq!(manifest.subject, Some(digest("s")));
        assert_eq!(
            manifest.referrer(&digest("m"), 7),
            serde_json::json!({
                "mediaType": OCI_MANIFEST, "digest": digest("m"), "size": 7,
                "artifactType": "application/x.config", "annotations": {"a": "b"},
            })
        );
    }

    #[test]
    fn documents_that_contradict_themselves_are_refused() {
        let check = |kind: Option<&str>, body: &str, expected: &str| {
            let message = parse(kind, body.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{body}: {message}");
        };
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        check(None, "no", "cannot be read");
        check(None, index, "is not a manifest type");
        check(Some("text/plain"), index, "is not a manifest type");
        check(Some(OCI_MANIFEST), index, "cannot have `manifests`");
        check(
            Some(OCI_MANIFEST),
            r#"{"schemaVersion":2}"#,
            "needs a config",
        );
        check(
            Some(OCI_INDEX),
            r#"{"schemaVersion":1,"manifests":[]}"#,
            "must be 2",
        );
        check(
            Some(OCI_INDEX),
            r#"{"schemaVersion":2,"layers":[]}"#,
            "cannot have `config`",
        );
        check(
            Some(OCI_INDEX),
            &format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}"}}"#),
            "make them agree",
        );
        check(
            Some(OCI_INDEX),
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:x","size":1}]}"#,
            "is not a digest",
        );
    }

    #[test]
    fn accept_headers_are_honoured() {
        assert!(is_accepted(std::iter::empty(), OCI_INDEX));
        assert!(is_accepted(["*/*"].into_iter(), OCI_INDEX));
        assert!(is_accepted(
            [
                DOCKER_LIST,
                "text/html, application/vnd.oci.image.index.v1+json;q=0.5"
            ]
            .into_iter(),
            OCI_INDEX
        ));
        assert!(!is_accepted([DOCKER_MANIFEST].into_iter(), OCI_INDEX));
    }
}
