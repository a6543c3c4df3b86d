//! The packages that images are made of, as a CycloneDX document beside each image
//! lists them. Whoever builds an image knows them; nobody can tell from its files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most packages of one image.
const MOST: usize = 50_000;

/// Why the list of an image's packages cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// It is something else.
    #[error("it is no CycloneDX document in JSON")]
    Format,
    /// It lists too many.
    #[error("it lists more than {} packages", MOST)]
    TooMany,
}

/// A package in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePart {
    /// CycloneDX's word for what it is, such as `library`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL.
    pub purl: String,
}

impl ImagePart {
    /// A library.
    pub fn library(name: &str, version: &str, purl: &str) -> Self {
        Self {
            kind: "library".to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            purl: purl.to_owned(),
        }
    }

    /// The packages that a CycloneDX document lists, nested ones too, by package URL
    /// and each once. Those without one nobody could look for.
    pub fn of_cyclonedx(document: &Value) -> Result<Vec<Self>, PartsError> {
        if document.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
            return Err(PartsError::Format);
        }
        let mut found = BTreeMap::new();
        collect(document, &mut found)?;
        Ok(found.into_values().collect())
    }
}

fn collect(of: &Value, found: &mut BTreeMap<String, ImagePart>) -> Result<(), PartsError> {
    let parts = of.get("components").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
        let (kind, purl) = (text("type"), text("purl"));
        if !purl.is_empty() && kind != "container" {
            let group = text("group");
            let name = match group.is_empty() {
                true => text("name").to_owned(),
                false => format!("{group}/{}", text("name")),
            };
            let part = ImagePart {
                kind: kind.to_owned(),
                name,
                version: text("version").to_owned(),
                purl: purl.to_owned(),
            };
            found.insert(purl.to_owned(), part);
        }
        if found.len() > MOST {
            return Err(PartsError::TooMany);
        }
        collect(part, found)?;
    }
    Ok(())
}

/// The document that lists the packages of an image, `repository:tag`. It says nothing
/// of when it was made, so that the same packages give the same bytes.
pub fn image_bill(image: &str, digest: &str, parts: &[ImagePart]) -> Value {
    let (name, tag) = image.rsplit_once(':').unwrap_or((image, ""));
    let components: Vec<Value> = parts.iter().map(|part| component(part, "")).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {
            "type": "container", "bom-ref": "image", "name": name, "version": tag,
            "hashes": [{"alg": "SHA-256", "content": digest.strip_prefix("sha256:").unwrap_or(digest)}],
        }},
        "components": components,
    })
}

/// A package as a component of a document, where references begin with `within`.
pub fn component(part: &ImagePart, within: &str) -> Value {
    json!({
        "type": part.kind, "bom-ref": format!("{within}{}", part.purl),
        "name": part.name, "version": part.version, "purl": part.purl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_lists_is_read_as_it_was_written() {
        let parts = vec![
            ImagePart::library("time", "0.1.40", "pkg:cargo/time@0.1.40"),
            ImagePart::library("glibc", "2.36-9", "pkg:deb/debian/glibc@2.36-9"),
        ];
        let bill = image_bill("ghcr.io/acme/shop:1.0", "sha256:00", &parts);
        assert_eq!(bill["metadata"]["component"]["name"], "ghcr.io/acme/shop");
        assert_eq!(bill["metadata"]["component"]["version"], "1.0");
        assert_eq!(ImagePart::of_cyclonedx(&bill), Ok(parts));
    }

    #[test]
    fn nested_packages_are_found_and_each_is_told_once() {
        let part = json!({"type": "library", "group": "@babel", "name": "core", "version": "7.1.0", "purl": "pkg:npm/%40babel/core@7.1.0"});
        let document = json!({"bomFormat": "CycloneDX", "components": [
            {"type": "application", "name": "shop", "components": [part, {"type": "file", "name": "x"}]},
            part,
        ]});
        let expected = ImagePart::library("@babel/core", "7.1.0", "pkg:npm/%40babel/core@7.1.0");
        assert_eq!(ImagePart::of_cyclonedx(&document), Ok(vec![expected]));
        assert_eq!(
            ImagePart::of_cyclonedx(&json!({"components": []})),
            Err(PartsError::Format)
        );
    }
}
