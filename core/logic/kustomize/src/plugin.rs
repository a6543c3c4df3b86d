//! The objects that `generators` and `transformers` name: kustomize's own ones, of
//! `apiVersion: builtin`, each as the field of a kustomization that does the same.
//!
//! Called by `target`. What must stay true: none of them runs a program, and one that
//! is not known, or asks for what is not known, is refused.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Fault;
use crate::field::FieldSpec;
use crate::generate::Kind;
use crate::kustomization::{Generator, Image, Patch, Replica};
use crate::replacement::ReplacementEntry;
use crate::resource::Resource;
use crate::transform::End;

/// What an object of `transformers` asks for.
pub enum Transformer {
    Rename(End, String, Vec<FieldSpec>),
    /// Labels or annotations.
    Entries(std::collections::BTreeMap<String, String>, Vec<FieldSpec>),
    Namespace(String, Vec<FieldSpec>),
    Image(Box<Image>, Vec<FieldSpec>),
    Replicas(Replica, Vec<FieldSpec>),
    Patch(Box<Patch>),
    Operations(Box<Patch>),
    /// Paths of strategic merge patches, and some of them written out.
    Merges(Vec<String>, String),
    Replacements(Vec<ReplacementEntry>),
}

/// What an object of `generators` asks for.
///
/// # Errors
/// Where it is no built-in generator, or no valid one.
pub fn generator(config: &Resource) -> Result<(Kind, Generator), Fault> {
    let kind = match builtin(config)? {
        "ConfigMapGenerator" => Kind::ConfigMap,
        "SecretGenerator" => Kind::Secret,
        other => return Err(unknown(other)),
    };
    let mut generator = Generator {
        namespace: config.namespace(),
        name: config.name(),
        behavior: part(config, "behavior")?,
        literals: part(config, "literals")?,
        files: part(config, "files")?,
        envs: part(config, "envs")?,
        options: part(config, "options")?,
        r#type: part(config, "type")?,
        ..Generator::default()
    };
    let env: String = part(config, "env")?;
    if !env.is_empty() {
        generator.envs.push(env);
    }
    Ok((kind, generator))
}

/// What an object of `transformers` asks for.
///
/// # Errors
/// Where it is no built-in transformer, or no valid one.
pub fn transformer(config: &Resource) -> Result<Transformer, Fault> {
    let specs = || part::<Vec<FieldSpec>>(config, "fieldSpecs");
    let rename = |end, key: &str| {
        if config.value.get("fieldSpecs").is_none_or(Value::is_null) {
            return Err(Fault::new("fieldSpecs is not expected to be nil"));
        }
        Ok(Transformer::Rename(end, part(config, key)?, specs()?))
    };
    Ok(match builtin(config)? {
        "PrefixTransformer" => rename(End::Prefix, "prefix")?,
        "SuffixTransformer" => rename(End::Suffix, "suffix")?,
        "LabelTransformer" => Transformer::Entries(part(config, "labels")?, specs()?),
        "AnnotationsTransformer" => Transformer::Entries(part(config, "annotations")?, specs()?),
        "NamespaceTransformer" => {
            for key in ["unsetOnly", "setRoleBindingSubjects"] {
                if config.value.get(key).is_some() {
                    return Err(Fault::new(format!(
                        "{key} is not supported; use the field `namespace`"
                    )));
                }
            }
            Transformer::Namespace(config.namespace(), specs()?)
        }
        "ImageTagTransformer" => Transformer::Image(part(config, "imageTag")?, specs()?),
        "ReplicaCountTransformer" => Transformer::Replicas(part(config, "replica")?, specs()?),
        "PatchTransformer" => Transformer::Patch(Box::new(Patch {
            path: part(config, "path")?,
            patch: part(config, "patch")?,
            target: part(config, "target")?,
            options: part(config, "options")?,
        })),
        "PatchJson6902Transformer" => Transformer::Operations(Box::new(Patch {
            path: part(config, "path")?,
            patch: part(config, "jsonOp")?,
            target: part(config, "target")?,
            ..Patch::default()
        })),
        "PatchStrategicMergeTransformer" => {
            Transformer::Merges(part(config, "paths")?, part(config, "patches")?)
        }
        "ReplacementTransformer" => Transformer::Replacements(part(config, "replacements")?),
        other => return Err(unknown(other)),
    })
}

/// The kind, where kustomize has it built in.
fn builtin(config: &Resource) -> Result<&str, Fault> {
    if config.api_version() == "builtin" {
        return Ok(config.kind());
    }
    Err(Fault::new(format!(
        "{} is a plugin, and those are not run; apply the change by `patches` or `replacements`",
        config.id()
    )))
}

fn unknown(kind: &str) -> Fault {
    Fault::new(format!(
        "the built-in {kind} is not supported in this field; apply the change by a field of the kustomization"
    ))
}

/// A key of the configuration; what is not there, or null, is empty.
fn part<T: DeserializeOwned + Default>(config: &Resource, key: &str) -> Result<T, Fault> {
    match config.value.get(key) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|error| Fault::new(format!("{}: {key}: {error}", config.id()))),
    }
}
