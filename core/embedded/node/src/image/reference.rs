//! Image references as pods write them.

use crate::NodeError;

/// A parsed reference: `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Registry host with port; `docker.io` when the pod names none.
    pub registry: String,
    /// Repository path.
    pub repository: String,
    /// Tag; `latest` when neither tag nor digest is given.
    pub tag: String,
    /// Digest, which wins over the tag.
    pub digest: Option<String>,
}

impl Reference {
    /// Parses a reference with Docker's defaults.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let fail = |reason: &str| NodeError::Pull {
            reference: text.to_owned(),
            reason: format!("{reason}; write it as registry/repository:tag"),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        if let Some(digest) = &digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(fail("the digest is not sha256 with 64 hexadecimal digits"));
            }
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag.to_owned()),
            _ => (rest, "latest".to_owned()),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), path.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), name.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{name}")),
        };
        let is_name = |part: &str| {
            !part.is_empty()
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        if name.is_empty() || !repository.split('/').all(is_name) {
            return Err(fail("the repository is not a valid name"));
        }
        let is_tag = !tag.is_empty()
            && tag.len() <= 128
            && tag
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !is_tag {
            return Err(fail("the tag is not a valid name"));
        }
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// What to ask the registry's manifest endpoint for.
    pub fn selector(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.tag)
    }

    /// What was had for it, as kubelets report it in `imageID`: the repository and
    /// the digest, whatever was asked for.
    pub fn image_id(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_take_dockers_defaults_and_give_ids() {
        let check = |text: &str, expected: (&str, &str, &str)| {
            let r = Reference::parse(text).unwrap();
            assert_eq!(
                (r.registry.as_str(), r.repository.as_str(), r.selector()),
                expected,
                "{text}"
            );
        };
        check("nginx", ("docker.io", "library/nginx", "latest"));
        check("acme/app:1.2", ("docker.io", "acme/app", "1.2"));
        check("localhost:5000/a/b", ("localhost:5000", "a/b", "latest"));
        let digest = format!("sha256:{}", "a".repeat(64));
        check(
            &format!("ghcr.io/x/y:1@{digest}"),
            ("ghcr.io", "x/y", &digest),
        );
        let id = Reference::parse(&format!("ghcr.io/x/y:1@{digest}")).map(|r| r.image_id(&digest));
        assert_eq!(id.unwrap(), format!("ghcr.io/x/y@{digest}"));
        let id = Reference::parse("nginx:1").map(|r| r.image_id(&digest));
        assert_eq!(id.unwrap(), format!("docker.io/library/nginx@{digest}"));
        for bad in ["", "UPPER/x", "a//b", "a/../b", "x:", "x@sha256:12", "a b"] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
