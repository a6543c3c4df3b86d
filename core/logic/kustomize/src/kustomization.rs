//! `kustomization.yaml` as data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Fault;
use crate::field::FieldSpec;
use crate::replacement::ReplacementEntry;
use crate::selector::Selector;
use crate::vars::Var;

pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Kustomization {
    pub api_version: String,
    pub kind: String,
    /// Read by other programs only.
    metadata: Value,
    pub openapi: BTreeMap<String, String>,
    pub name_prefix: String,
    pub name_suffix: String,
    pub namespace: String,
    pub common_labels: BTreeMap<String, String>,
    pub labels: Vec<Label>,
    pub common_annotations: BTreeMap<String, String>,
    pub patches_strategic_merge: Vec<String>,
    #[serde(rename = "patchesJson6902")]
    pub patches_json6902: Vec<Patch>,
    pub patches: Vec<Patch>,
    pub images: Vec<Image>,
    image_tags: Vec<Image>,
    pub replacements: Vec<ReplacementEntry>,
    pub replicas: Vec<Replica>,
    pub vars: Vec<Var>,
    pub sort_options: Option<SortOptions>,
    pub resources: Vec<String>,
    pub components: Vec<String>,
    pub crds: Vec<String>,
    bases: Vec<String>,
    pub config_map_generator: Vec<Generator>,
    pub secret_generator: Vec<Generator>,
    pub helm_globals: Value,
    pub helm_charts: Vec<Value>,
    pub helm_chart_inflation_generator: Vec<Value>,
    pub generator_options: Option<GeneratorOptions>,
    pub configurations: Vec<String>,
    pub generators: Vec<String>,
    pub transformers: Vec<String>,
    pub validators: Vec<String>,
    pub build_metadata: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Label {
    pub pairs: BTreeMap<String, String>,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub fields: Vec<FieldSpec>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub options: BTreeMap<String, bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Image {
    pub name: String,
    pub new_name: String,
    pub new_tag: String,
    pub tag_suffix: String,
    pub digest: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replica {
    pub name: String,
    pub count: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SortOptions {
    pub order: String,
    pub legacy_sort_options: Option<LegacySortOptions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LegacySortOptions {
    pub order_first: Vec<String>,
    pub order_last: Vec<String>,
}

/// One entry of `configMapGenerator` or `secretGenerator`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    pub namespace: String,
    pub name: String,
    pub behavior: String,
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
    pub env: String,
    pub options: Option<GeneratorOptions>,
    /// Secrets only.
    pub r#type: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GeneratorOptions {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

impl Kustomization {
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::new("it is not UTF-8 text"))?;
        let value = catalyst_yaml::from_str(text).map_err(|error| Fault::new(error.to_string()))?;
        // What is written but null counts as not written.
        let value = match value {
            Value::Object(map) => {
                Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect())
            }
            Value::Null => Value::Object(serde_json::Map::new()),
            other => other,
        };
        let says_something = value.as_object().is_some_and(|map| {
            map.keys()
                .any(|key| !matches!(key.as_str(), "kind" | "apiVersion"))
        });
        let mut parsed: Self =
            serde_json::from_value(value).map_err(|error| Fault::new(error.to_string()))?;
        if !says_something {
            return Err(Fault::new("it is empty"));
        }
        parsed.settle()?;
        Ok(parsed)
    }

    /// Folds deprecated fields into those that replaced them, and checks the
    /// type.
    fn settle(&mut self) -> Result<(), Fault> {
        if self.kind.is_empty() {
            "Kustomization".clone_into(&mut self.kind);
        }
        let version = match self.kind.as_str() {
            "Kustomization" => "kustomize.config.k8s.io/v1beta1",
            "Component" => "kustomize.config.k8s.io/v1alpha1",
            other => {
                return Err(Fault::new(format!(
                    "kind is {other:?}; it should be Kustomization or Component"
                )));
            }
        };
        if !self.api_version.is_empty() && self.api_version != version {
            return Err(Fault::new(format!(
                "apiVersion for {} should be {version}, it is {:?}",
                self.kind, self.api_version
            )));
        }
        self.resources.append(&mut self.bases);
        self.images.append(&mut self.image_tags);
        for generator in self
            .config_map_generator
            .iter_mut()
            .chain(&mut self.secret_generator)
        {
            if !generator.env.is_empty() {
                generator.envs.push(std::mem::take(&mut generator.env));
            }
        }
        Ok(())
    }

    /// The first field in use that this builder does not know how to apply.
    pub fn unsupported(&self) -> Option<(&'static str, &'static str)> {
        let helm = "Helm charts are installed by Blueprints of their own; remove the field";
        let plugin = "plugins are not run; apply the change by `patches` or `replacements`";
        let fields = [
            ("helmCharts", !self.helm_charts.is_empty(), helm),
            ("helmGlobals", !self.helm_globals.is_null(), helm),
            (
                "helmChartInflationGenerator",
                !self.helm_chart_inflation_generator.is_empty(),
                helm,
            ),
            ("validators", !self.validators.is_empty(), plugin),
        ];
        fields
            .into_iter()
            .find(|(_, used, _)| *used)
            .map(|(field, _, why)| (field, why))
    }
}
