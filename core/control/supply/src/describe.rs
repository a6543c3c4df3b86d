//! What an artifact is made of, for auditors: CycloneDX 1.6, SPDX 2.3, and SLSA
//! v1 provenance. All derived from the package, so the same package describes
//! itself in the same bytes; the one time in them is given by the caller.

use serde_json::{Value, json};

use crate::{digest, package::Package};

/// Where and by whom a package was made.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// RFC 3339 time of the source, not of the build; the epoch when empty.
    pub created: String,
    /// Names the builder, an URI.
    pub builder: String,
    /// Where the source lives.
    pub source_url: Option<String>,
    /// Its revision.
    pub revision: Option<String>,
}

impl Origin {
    fn created(&self) -> &str {
        if self.created.is_empty() {
            "1970-01-01T00:00:00Z"
        } else {
            &self.created
        }
    }
}

/// The CycloneDX 1.6 document.
pub fn cyclonedx(package: &Package, origin: &Origin) -> Value {
    let blueprint = &package.blueprint;
    let version = blueprint.spec.version.to_string();
    let mut components: Vec<Value> = package
        .files
        .iter()
        .map(|(path, bytes)| {
            json!({
                "type": "file", "bom-ref": format!("file:{path}"), "name": path,
                "hashes": [{"alg": "SHA-256", "content": hex_of(&digest(bytes))}],
            })
        })
        .collect();
    for image in &package.images {
        let (name, version, purl) = image_parts(image);
        components.push(json!({
            "type": "container", "bom-ref": format!("image:{image}"),
            "name": name, "version": version, "purl": purl,
        }));
    }
    for dependency in &blueprint.spec.depends {
        components.push(json!({
            "type": "application", "bom-ref": format!("blueprint:{}", dependency.alias()),
            "name": dependency.blueprint, "description": format!("Blueprint {}, version {}", dependency.blueprint, dependency.version),
            "scope": if dependency.when.is_some() { "optional" } else { "required" },
        }));
    }
    let references: Vec<&Value> = components
        .iter()
        .filter_map(|item| item.get("bom-ref"))
        .collect();
    let depends = json!([{"ref": "blueprint", "dependsOn": references}]);
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": format!("urn:uuid:{}", uuid_of(package.digest())),
        "metadata": {
            "timestamp": origin.created(),
            "tools": {"components": [{"type": "application", "name": "catalyst"}]},
            "component": {
                "type": "application", "bom-ref": "blueprint", "name": blueprint.name(), "version": version,
                "licenses": [{"expression": blueprint.spec.card.license}],
                "hashes": [{"alg": "SHA-256", "content": hex_of(package.digest())}],
            },
        },
        "components": components,
        "dependencies": depends,
    })
}

/// The SPDX 2.3 document.
pub fn spdx(package: &Package, origin: &Origin) -> Value {
    let blueprint = &package.blueprint;
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Blueprint", "name": blueprint.name(),
        "versionInfo": blueprint.spec.version.to_string(),
        "downloadLocation": origin.source_url.as_deref().unwrap_or("NOASSERTION"),
        "filesAnalyzed": false,
        "licenseDeclared": blueprint.spec.card.license, "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": hex_of(package.digest())}],
    })];
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Blueprint",
    })];
    for (index, image) in package.images.iter().enumerate() {
        let id = format!("SPDXRef-Image-{index}");
        let (name, version, purl) = image_parts(image);
        packages.push(json!({
            "SPDXID": id, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
            "licenseDeclared": "NOASSERTION", "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
        }));
        relationships.push(json!({"spdxElementId": "SPDXRef-Blueprint", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": id}));
    }
    let files: Vec<Value> = package.files.iter().enumerate().map(|(index, (path, bytes))| {
        let id = format!("SPDXRef-File-{index}");
        relationships.push(json!({"spdxElementId": "SPDXRef-Blueprint", "relationshipType": "CONTAINS", "relatedSpdxElement": id}));
        json!({
            "SPDXID": id, "fileName": format!("./{path}"),
            "checksums": [{"algorithm": "SHA256", "checksumValue": hex_of(&digest(bytes))}],
            "licenseConcluded": "NOASSERTION", "licenseInfoInFiles": ["NOASSERTION"], "copyrightText": "NOASSERTION",
        })
    }).collect();
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}", blueprint.name(), blueprint.spec.version),
        "documentNamespace": format!("https://openova.io/spdx/{}/{}", blueprint.name(), uuid_of(package.digest())),
        "creationInfo": {"created": origin.created(), "creators": ["Tool: catalyst"]},
        "documentDescribes": ["SPDXRef-Blueprint"],
        "packages": packages, "files": files, "relationships": relationships,
    })
}

/// The in-toto statement with SLSA v1 provenance, ready to be signed.
pub fn provenance(package: &Package, reference: &str, origin: &Origin) -> Value {
    let materials: Vec<Value> = package
        .files
        .iter()
        .map(|(path, bytes)| json!({"name": path, "digest": {"sha256": hex_of(&digest(bytes))}}))
        .collect();
    let mut parameters = json!({"blueprint": package.blueprint.name(), "version": package.blueprint.spec.version.to_string()});
    for (key, value) in [
        ("source", &origin.source_url),
        ("revision", &origin.revision),
    ] {
        if let (Some(map), Some(value)) = (parameters.as_object_mut(), value) {
            map.insert(key.to_owned(), json!(value));
        }
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": reference, "digest": {"sha256": hex_of(package.digest())}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://openova.io/catalyst/blueprint-package/v1",
                "externalParameters": parameters,
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": if origin.builder.is_empty() { "https://openova.io/catalyst" } else { &origin.builder }}},
        },
    })
}

fn hex_of(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// A UUID (version 8, RFC 9562) from a digest, so that it is the same every time.
fn uuid_of(digest: &str) -> String {
    let hex = hex_of(digest);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

/// Name, version and package URL of `repository:tag[@digest]`.
fn image_parts(image: &str) -> (String, String, String) {
    let (head, digest) = image.split_once('@').unwrap_or((image, ""));
    let (repository, tag) = head.rsplit_once(':').unwrap_or((head, ""));
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let version = if digest.is_empty() { tag } else { digest };
    let purl = format!(
        "pkg:oci/{name}@{}?repository_url={repository}&tag={tag}",
        version.replace(':', "%3A")
    );
    (repository.to_owned(), version.to_owned(), purl)
}
