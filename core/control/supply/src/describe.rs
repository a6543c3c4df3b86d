//! What an artifact is made of, for auditors: CycloneDX 1.6, SPDX 2.3, and SLSA
//! v1 provenance. All derived from the package, so the same package describes
//! itself in the same bytes; the one time in them is given by the caller.

use std::collections::BTreeMap;

use aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
use catalyst_blueprint::license_fault;
use serde_json::{Value, json};

use crate::{digest, media, package::Package, parts};

/// What provenance says it is.
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The kinds of SBOMs: what they are attached as, and what attestations of them say that
/// they are, as in cosign's `--type cyclonedx` and `--type spdxjson`.
pub(crate) const BILLS: [(&str, &str); 2] = [
    (media::CYCLONEDX, "https://cyclonedx.org/bom"),
    (media::SPDX, "https://spdx.dev/Document"),
];

/// The SBOMs of a package, each with the media type that it is attached as, in the order
/// of [`BILLS`].
pub(crate) type Documents = [(&'static str, Value); 2];

/// Both of a package.
pub(crate) fn documents(package: &Package, origin: &Origin) -> Documents {
    [
        (media::CYCLONEDX, cyclonedx(package, origin)),
        (media::SPDX, spdx(package, origin)),
    ]
}

/// The in-toto statements that attest them of what is named `reference`.
pub(crate) fn attested_documents(
    package: &Package,
    reference: &str,
    documents: Documents,
) -> Vec<Value> {
    BILLS
        .into_iter()
        .zip(documents)
        .map(|((_, predicate), (_, document))| statement(package, reference, predicate, document))
        .collect()
}

/// What a statement says that it is.
pub(crate) fn predicate_type(statement: &Value) -> &str {
    let predicate = statement.get("predicateType").and_then(Value::as_str);
    predicate.unwrap_or_default()
}

/// Whether a statement is provenance.
pub(crate) fn is_provenance(statement: &Value) -> bool {
    predicate_type(statement) == PROVENANCE
}

/// An in-toto statement about a package (in-toto attestation framework, Statement v1).
fn statement(package: &Package, reference: &str, predicate: &str, content: Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": reference, "digest": {"sha256": hex_of(package.digest())}}],
        "predicateType": predicate,
        "predicate": content,
    })
}

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
        let mut component = json!({
            "type": "container", "bom-ref": format!("image:{image}"),
            "name": name, "version": version, "purl": purl,
        });
        if let (Some(parts), Some(map)) = (package.parts.get(image), component.as_object_mut()) {
            let within = format!("image:{image}#");
            let parts = parts.iter().map(|part| parts::component(part, &within));
            map.insert("components".to_owned(), parts.collect());
        }
        components.push(component);
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
                "licenses": [match license_fault(&blueprint.spec.card.license) {
                    None => json!({"expression": blueprint.spec.card.license}),
                    Some(_) => json!({"license": {"name": blueprint.spec.card.license}}),
                }],
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
    let license = &blueprint.spec.card.license;
    // A licence that has no name in SPDX's list is told in its own words.
    let (declared, extracted) = match license_fault(license) {
        None => (license.as_str(), None),
        Some(_) => (
            OWN_LICENSE,
            Some(json!([{"licenseId": OWN_LICENSE, "name": license, "extractedText": license}])),
        ),
    };
    let sums: BTreeMap<&String, String> = package
        .files
        .iter()
        .map(|(path, bytes)| (path, sha1(bytes)))
        .collect();
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Blueprint", "name": blueprint.name(),
        "versionInfo": blueprint.spec.version.to_string(),
        "downloadLocation": origin.source_url.as_deref().unwrap_or("NOASSERTION"),
        "filesAnalyzed": true,
        "packageVerificationCode": {"packageVerificationCodeValue": verification_code(&sums)},
        "licenseDeclared": declared, "licenseConcluded": "NOASSERTION",
        "licenseInfoFromFiles": ["NOASSERTION"],
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
        for (part_index, part) in package.parts.get(image).into_iter().flatten().enumerate() {
            let part_id = format!("SPDXRef-Image-{index}-Part-{part_index}");
            let mut listed = json!({
                "SPDXID": part_id, "name": part.name, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
                "licenseDeclared": "NOASSERTION", "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": part.purl}],
            });
            if let (false, Some(map)) = (part.version.is_empty(), listed.as_object_mut()) {
                map.insert("versionInfo".to_owned(), json!(part.version));
            }
            packages.push(listed);
            relationships.push(json!({"spdxElementId": id, "relationshipType": "CONTAINS", "relatedSpdxElement": part_id}));
        }
    }
    let files: Vec<Value> = package.files.iter().enumerate().map(|(index, (path, bytes))| {
        let id = format!("SPDXRef-File-{index}");
        relationships.push(json!({"spdxElementId": "SPDXRef-Blueprint", "relationshipType": "CONTAINS", "relatedSpdxElement": id}));
        json!({
            "SPDXID": id, "fileName": format!("./{path}"),
            // SPDX 2.3, 8.4: a file has a SHA-1, whatever else it has.
            "checksums": [
                {"algorithm": "SHA1", "checksumValue": sums.get(path)},
                {"algorithm": "SHA256", "checksumValue": hex_of(&digest(bytes))},
            ],
            "licenseConcluded": "NOASSERTION", "licenseInfoInFiles": ["NOASSERTION"], "copyrightText": "NOASSERTION",
        })
    }).collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}", blueprint.name(), blueprint.spec.version),
        "documentNamespace": format!("https://openova.io/spdx/{}/{}", blueprint.name(), uuid_of(package.digest())),
        "creationInfo": {"created": origin.created(), "creators": ["Tool: catalyst"]},
        "documentDescribes": ["SPDXRef-Blueprint"],
        "packages": packages, "files": files, "relationships": relationships,
    });
    if let (Some(extracted), Some(map)) = (extracted, document.as_object_mut()) {
        map.insert("hasExtractedLicensingInfos".to_owned(), extracted);
    }
    document
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
    let content = json!({
        "buildDefinition": {
            "buildType": "https://openova.io/catalyst/blueprint-package/v1",
            "externalParameters": parameters,
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": if origin.builder.is_empty() { "https://openova.io/catalyst" } else { &origin.builder }}},
    });
    statement(package, reference, PROVENANCE, content)
}

/// The name here of a licence that SPDX's list does not have.
const OWN_LICENSE: &str = "LicenseRef-Blueprint";

/// SHA-1 in hexadecimal: SPDX 2.3 asks for it. Nothing here relies on it.
fn sha1(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

/// SPDX 2.3, 7.9: SHA-1 over the files' own, in order, one after the other.
fn verification_code(sums: &BTreeMap<&String, String>) -> String {
    let mut sorted: Vec<&str> = sums.values().map(String::as_str).collect();
    sorted.sort_unstable();
    sha1(sorted.concat().as_bytes())
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
    // The purl specification's `oci`: a version is a digest; a tag is a qualifier.
    let mut purl = format!("pkg:oci/{name}");
    if !digest.is_empty() {
        purl.push_str(&format!("@{}", digest.replace(':', "%3A")));
    }
    purl.push_str(&format!("?repository_url={repository}"));
    if !tag.is_empty() {
        purl.push_str(&format!("&tag={tag}"));
    }
    (repository.to_owned(), version.to_owned(), purl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verification_code_is_the_one_spdx_describes() {
        // printf 'b' | sha1sum, printf 'a' | sha1sum; sorted, joined, and summed.
        let (one, two) = ("b.txt".to_owned(), "a.txt".to_owned());
        let sums = BTreeMap::from([(&one, sha1(b"a")), (&two, sha1(b"b"))]);
        assert_eq!(sums[&one], "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        assert_eq!(sums[&two], "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98");
        assert_eq!(
            verification_code(&sums),
            "5463504435e4dbf2b93a3a8a00ca78e36ea40e24"
        );
    }

    #[test]
    fn package_urls_tell_digests_from_tags() {
        for (image, expected) in [
            (
                "ghcr.io/a/x:1.0",
                "pkg:oci/x?repository_url=ghcr.io/a/x&tag=1.0",
            ),
            (
                "ghcr.io/a/x@sha256:00",
                "pkg:oci/x@sha256%3A00?repository_url=ghcr.io/a/x",
            ),
            (
                "ghcr.io/a/x:1.0@sha256:00",
                "pkg:oci/x@sha256%3A00?repository_url=ghcr.io/a/x&tag=1.0",
            ),
        ] {
            assert_eq!(image_parts(image).2, expected);
        }
    }
}
