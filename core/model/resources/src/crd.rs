//! CustomResourceDefinitions, made from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{
    ApplicationSpec, ApplicationStatus, BlueprintSourceSpec, BlueprintSourceStatus, BlueprintSpec,
    BlueprintStatus, EnvironmentPolicySpec, EnvironmentSpec, EnvironmentStatus, FleetUpgradeSpec,
    FleetUpgradeStatus, GROUP, OrganizationSpec, OrganizationStatus, SovereignSpec,
    SovereignStatus, VERSION,
};

/// Whether objects of a kind live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They do not.
    Cluster,
    /// They do.
    Namespaced,
}

/// What the API server and clients call a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `Application`.
    pub kind: &'static str,
    /// `applications`.
    pub plural: &'static str,
    /// What users may type instead.
    pub short_names: &'static [&'static str],
    /// Where objects live.
    pub scope: Scope,
    /// Whether only the vclusters of Environments serve it; all other kinds
    /// live in the management cluster.
    pub in_environment: bool,
    columns: &'static [(&'static str, &'static str)],
}

const READY: (&str, &str) = ("Ready", ".status.conditions[?(@.type==\"Ready\")].status");

/// A kind's CustomResourceDefinition (`apiextensions.k8s.io/v1`).
pub fn custom_resource_definitions() -> Vec<(Kind, Value)> {
    vec![
        definition::<SovereignSpec, SovereignStatus>(Kind {
            kind: "Sovereign",
            plural: "sovereigns",
            short_names: &[],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[("Domain", ".spec.domain"), READY],
        }),
        definition::<OrganizationSpec, OrganizationStatus>(Kind {
            kind: "Organization",
            plural: "organizations",
            short_names: &["org"],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[("Display Name", ".spec.displayName"), READY],
        }),
        definition::<EnvironmentSpec, EnvironmentStatus>(Kind {
            kind: "Environment",
            plural: "environments",
            short_names: &["env"],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[
                ("Organization", ".spec.organization"),
                ("Type", ".spec.envType"),
                READY,
            ],
        }),
        definition::<BlueprintSpec, BlueprintStatus>(Kind {
            kind: "Blueprint",
            plural: "blueprints",
            short_names: &["bp"],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[
                ("Source", ".spec.source"),
                ("Blueprint", ".spec.name"),
                ("Version", ".spec.version"),
                ("Signer", ".spec.signer"),
            ],
        }),
        definition::<BlueprintSourceSpec, BlueprintSourceStatus>(Kind {
            kind: "BlueprintSource",
            plural: "blueprintsources",
            short_names: &["bpsource"],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[
                ("Repository", ".spec.repository"),
                ("Revision", ".status.revision"),
                READY,
            ],
        }),
        definition::<EnvironmentPolicySpec, ()>(Kind {
            kind: "EnvironmentPolicy",
            plural: "environmentpolicies",
            short_names: &["envpolicy"],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[("Rules", ".spec.rules[*].kind")],
        }),
        definition::<FleetUpgradeSpec, FleetUpgradeStatus>(Kind {
            kind: "FleetUpgrade",
            plural: "fleetupgrades",
            short_names: &[],
            scope: Scope::Cluster,
            in_environment: false,
            columns: &[
                ("Blueprint", ".spec.blueprint.name"),
                ("Version", ".spec.blueprint.version"),
                ("Phase", ".status.phase"),
            ],
        }),
        definition::<ApplicationSpec, ApplicationStatus>(Kind {
            kind: "Application",
            plural: "applications",
            short_names: &["app"],
            scope: Scope::Namespaced,
            in_environment: true,
            columns: &[
                ("Blueprint", ".spec.blueprint.name"),
                ("Version", ".spec.blueprint.version"),
                ("Phase", ".status.phase"),
            ],
        }),
    ]
}

fn definition<S: JsonSchema, T: JsonSchema>(kind: Kind) -> (Kind, Value) {
    let mut properties = Map::new();
    properties.insert("spec".to_owned(), structural_schema::<S>());
    let status = structural_schema::<T>();
    // The unit type's schema is null: the kind has no status.
    let has_status = status.get("type").and_then(Value::as_str) == Some("object");
    if has_status {
        properties.insert("status".to_owned(), status);
    }
    let columns: Vec<Value> = kind
        .columns
        .iter()
        .map(|(name, path)| json!({"name": name, "type": "string", "jsonPath": path}))
        .chain([json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})])
        .collect();
    let mut version = json!({
        "name": VERSION,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}},
        "additionalPrinterColumns": columns,
    });
    if has_status && let Some(version) = version.as_object_mut() {
        version.insert("subresources".to_owned(), json!({"status": {}}));
    }
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{GROUP}", kind.plural)},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.kind.to_lowercase(),
                "shortNames": kind.short_names,
            },
            "scope": match kind.scope { Scope::Cluster => "Cluster", Scope::Namespaced => "Namespaced" },
            "versions": [version],
        },
    });
    (kind, definition)
}

/// A type's schema in the form that CustomResourceDefinitions demand: every
/// reference inlined, no alternatives at the top, `nullable` for options.
fn structural_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = SchemaGenerator::new(settings)
        .into_root_schema_for::<T>()
        .to_value();
    normalise(&mut schema);
    schema
}

fn normalise(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    fields.remove("title");
    // An option is simply a property that need not be there.
    fields.remove("nullable");
    if let Some(Value::Object(wrapped)) = optional(fields) {
        fields.remove("anyOf");
        for (key, value) in wrapped {
            fields.entry(key).or_insert(value);
        }
    }
    // Enumerations arrive as a choice of constants with descriptions.
    if let Some(values) = constants(fields) {
        fields.remove("oneOf");
        fields.insert("type".to_owned(), json!("string"));
        fields.insert("enum".to_owned(), Value::Array(values));
    }
    // Formats that Kubernetes does not know, with bounds it does.
    if matches!(fields.get("format").and_then(Value::as_str), Some(format) if format.starts_with("uint"))
    {
        fields.remove("format");
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(normalise);
    }
    if let Some(items) = fields.get_mut("items") {
        normalise(items);
    }
    match fields.get("additionalProperties") {
        // A free-form object.
        Some(Value::Bool(true)) => {
            fields.remove("additionalProperties");
            fields.insert(
                "x-kubernetes-preserve-unknown-fields".to_owned(),
                json!(true),
            );
        }
        Some(Value::Bool(false)) => {
            fields.remove("additionalProperties");
        }
        _ => {
            if let Some(values) = fields.get_mut("additionalProperties") {
                normalise(values);
            }
        }
    }
}

/// What an `anyOf` of a schema and null wraps.
fn optional(fields: &Map<String, Value>) -> Option<Value> {
    match fields.get("anyOf")?.as_array()?.as_slice() {
        [wrapped, null] if null.get("enum") == Some(&json!([null])) => Some(wrapped.clone()),
        _ => None,
    }
}

fn constants(fields: &Map<String, Value>) -> Option<Vec<Value>> {
    let choices = fields.get("oneOf")?.as_array()?;
    let mut values = Vec::new();
    for choice in choices {
        match (
            choice.get("const"),
            choice.get("enum").and_then(Value::as_array),
        ) {
            (Some(value), _) => values.push(value.clone()),
            (None, Some(several)) => values.extend(several.iter().cloned()),
            (None, None) => return None,
        }
    }
    Some(values)
}
