//! An admitted Blueprint, as the planner needs it, and its way from and to the
//! object in the management cluster.

use catalyst_api::HostAccessView;
use catalyst_blueprint::Blueprint;
use catalyst_resources::{BlueprintSpec, ConditionStatus, GROUP, Metadata, VERSION};
use serde_json::{Value, json};

/// The condition of a Blueprint object whose version was taken back.
pub const WITHDRAWN: &str = "Withdrawn";

/// A Blueprint whose artifact was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmittedBlueprint {
    /// `catalog`, `catalog-sovereign` or an Organization.
    pub source: String,
    /// `sha256:…` of the artifact's manifest.
    pub digest: String,
    /// Who signed it, as it was verified last: a key's fingerprint, or a certificate's
    /// subject and issuer.
    pub signer: String,
    /// Where it lies in the Sovereign's registry, without the host:
    /// `catalog/bp-postgres`.
    pub repository: String,
    /// What it says of itself.
    pub blueprint: Blueprint,
    /// The card's icon, an SVG document.
    pub icon: Option<String>,
    /// The card's description, Markdown.
    pub description: Option<String>,
    /// Why its source took it back, if it did: whoever runs it goes on, and nobody
    /// begins with it.
    pub withdrawn: Option<String>,
}

/// Why an object cannot be read as an admitted Blueprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the Blueprint object {name}: {reason}; register its artifact again")]
pub struct BlueprintObjectError {
    /// The object.
    pub name: String,
    /// Why not.
    pub reason: String,
}

impl AdmittedBlueprint {
    /// `bp-<name>`.
    pub fn name(&self) -> &str {
        self.blueprint.name()
    }

    /// The exact version.
    pub fn version(&self) -> String {
        self.blueprint.version().to_string()
    }

    /// What of the machines they run on its pods take, as it declares it.
    pub fn host_access(&self) -> Vec<HostAccessView> {
        let declared = self.blueprint.spec.host_access.iter();
        declared
            .map(|access| HostAccessView {
                kind: access.kind.field().to_owned(),
                reason: access.reason.clone(),
                paths: access.paths.clone(),
                ports: access.ports.clone(),
            })
            .collect()
    }

    /// The name of its object in the management cluster.
    pub fn object_name(&self) -> String {
        BlueprintSpec::object_name(&self.source, self.name(), &self.version())
    }

    /// Reads a Blueprint object of the management cluster.
    pub fn from_object(object: &Value) -> Result<Self, BlueprintObjectError> {
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let fail = |reason: String| BlueprintObjectError {
            name: name.to_owned(),
            reason,
        };
        let object: catalyst_resources::Blueprint =
            serde_json::from_value(object.clone()).map_err(|error| fail(error.to_string()))?;
        let spec = object.spec;
        // A source's Blueprints lie below its own path, and nowhere else: else what one
        // source publishes would run under another's name.
        if spec.repository != format!("{}/{}", spec.source, spec.name) {
            return Err(fail(format!(
                "it lies in {}, which is no place for {} of {}",
                spec.repository, spec.name, spec.source
            )));
        }
        let status = object.status.unwrap_or_default();
        let blueprint = Blueprint::from_value(json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Blueprint",
            "metadata": {"name": spec.name},
            "spec": spec.blueprint,
        }))
        .map_err(|problems| {
            fail(
                problems
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            )
        })?;
        if blueprint.version().to_string() != spec.version {
            return Err(fail("its versions differ".to_owned()));
        }
        Ok(Self {
            source: spec.source,
            digest: spec.digest,
            signer: status.signer.unwrap_or(spec.signer),
            repository: spec.repository,
            blueprint,
            icon: spec.icon,
            description: spec.description,
            withdrawn: status
                .conditions
                .into_iter()
                .find(|one| one.kind == WITHDRAWN && one.status == ConditionStatus::True)
                .map(|one| one.message),
        })
    }

    /// The object for the management cluster.
    pub fn to_object(&self) -> catalyst_resources::Blueprint {
        let spec = match serde_json::to_value(&self.blueprint.spec) {
            Ok(Value::Object(map)) => map,
            // A Spec is a struct of values that JSON can hold.
            _ => serde_json::Map::new(),
        };
        catalyst_resources::Blueprint {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "Blueprint".to_owned(),
            metadata: Metadata {
                name: self.object_name(),
                ..Metadata::default()
            },
            spec: BlueprintSpec {
                source: self.source.clone(),
                name: self.name().to_owned(),
                version: self.version(),
                digest: self.digest.clone(),
                signer: self.signer.clone(),
                repository: self.repository.clone(),
                blueprint: spec,
                icon: self.icon.clone(),
                description: self.description.clone(),
            },
            status: None,
        }
    }
}
