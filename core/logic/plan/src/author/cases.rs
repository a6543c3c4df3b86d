//! The cases under a Blueprint's `tests/`: what it renders for a config and a size,
//! against what was written down, and against the schemas of what it renders.
//!
//! A case is a folder: `config.yaml`, the Application's config as in Git (none
//! unless there); `size`, the name of one (none unless there); `expected.yaml`, the
//! objects; `phase`, how an Application of it ends up where it runs (Running unless
//! there). Called by `catalyst blueprint test`. Pure; the caller reads and writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalyst_blueprint::{Blueprint, ConfigForm, ConfigSchema};
use catalyst_schema::SchemaSet;
use serde::Serialize;
use serde_json::{Map, Value};

use super::compare::without_version;
use super::example::{Example, render_example};
use super::schemas::{self, Finding};
use super::source::{Files, text_of};
use crate::compare::unified;
use crate::{BlueprintContent, RenderedObject};

const FOLDER: &str = "tests/";
const CONFIG: &str = "config.yaml";
const SIZE: &str = "size";
const EXPECTED: &str = "expected.yaml";
const PHASE: &str = "phase";

/// What an Application of a case is made of, and how it ends up.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its size, if the case names one.
    pub size: Option<String>,
    /// Its config as in Git: secrets as `{secretRef: name}`.
    pub config: Map<String, Value>,
    /// Running or Failed.
    pub phase: String,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseOutcome {
    /// Its name: that of its folder.
    pub name: String,
    /// What is wrong, beside differences: it does not render, or objects do not fit
    /// their schemas.
    pub problems: Vec<String>,
    /// Where the objects differ from those expected, as a unified diff.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Objects that nothing is known of to check them by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
    /// What the case renders to: what `expected.yaml` would say.
    #[serde(skip)]
    pub rendered: Option<String>,
    /// What it is made of, where that can be read.
    #[serde(skip)]
    pub case: Option<Case>,
}

impl CaseOutcome {
    /// Whether all is as expected.
    pub fn is_passed(&self) -> bool {
        self.problems.is_empty() && self.diff.is_empty()
    }

    /// Where what is expected of it stands, in the Blueprint's folder.
    pub fn expected_file(&self) -> String {
        format!("{FOLDER}{}/{EXPECTED}", self.name)
    }
}

/// Runs every case of a Blueprint's folder, in the order of their names. `schemas`
/// are those of Kubernetes' own kinds; definitions that a case renders itself are
/// used beside them.
pub fn run_cases(
    blueprint: &Blueprint,
    files: &Files,
    schemas: &Arc<SchemaSet>,
) -> Vec<CaseOutcome> {
    let names: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.strip_prefix(FOLDER)?.split_once('/'))
        .filter(|(_, file)| matches!(*file, CONFIG | SIZE | EXPECTED | PHASE))
        .map(|(name, _)| name)
        .collect();
    let content = BlueprintContent::of_folder(blueprint.spec.manifests.source.kind, files);
    names
        .into_iter()
        .map(|name| {
            let mut outcome = CaseOutcome {
                name: name.to_owned(),
                problems: Vec::new(),
                diff: String::new(),
                unchecked: Vec::new(),
                rendered: None,
                case: None,
            };
            if let Err(problem) = run(blueprint, &content, files, schemas, &mut outcome) {
                outcome.problems.push(problem);
            }
            outcome
        })
        .collect()
}

fn run(
    blueprint: &Blueprint,
    content: &BlueprintContent,
    files: &Files,
    schemas: &Arc<SchemaSet>,
    outcome: &mut CaseOutcome,
) -> Result<(), String> {
    let case = read(files, &outcome.name)?;
    let example = Example {
        size: case.size.clone(),
        config: case.config.clone(),
        ..Example::default()
    };
    outcome.case = Some(case);
    let expected_file = outcome.expected_file();
    let schema =
        ConfigSchema::compile(&blueprint.spec.config_schema).map_err(|error| error.to_string())?;
    let config = Value::Object(example.config.clone());
    let problems = schema.validate_config(&config, ConfigForm::Committed);
    outcome
        .problems
        .extend(problems.iter().map(|it| format!("{CONFIG}: {it}")));
    let rendered =
        render_example(blueprint, content, &example).map_err(|error| error.to_string())?;
    check_schemas(&rendered, schemas, outcome);
    let text = written(&rendered);
    let expected = files
        .contains_key(&expected_file)
        .then(|| text_of(files, &expected_file));
    if expected != Some(text.as_str()) {
        outcome.diff = unified(&expected_file, expected, Some(&text));
    }
    outcome.rendered = Some(text);
    Ok(())
}

/// What the files of a case say, but for its objects.
fn read(files: &Files, name: &str) -> Result<Case, String> {
    let file = |own: &str| text_of(files, &format!("{FOLDER}{name}/{own}"));
    let config = catalyst_yaml::from_str(file(CONFIG))
        .map_err(|error| format!("{CONFIG} is not YAML: {error}"))?;
    let config = match config {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        _ => return Err(format!("{CONFIG} holds no map")),
    };
    let size = file(SIZE).trim();
    let phase = match file(PHASE).trim() {
        "" => "Running",
        phase @ ("Running" | "Failed") => phase,
        _ => return Err(format!("{PHASE} holds neither Running nor Failed")),
    };
    Ok(Case {
        size: (!size.is_empty()).then(|| size.to_owned()),
        config,
        phase: phase.to_owned(),
    })
}

/// The objects as one YAML text, each below the template that it comes from. The
/// label that differs in every version is left out.
fn written(rendered: &[RenderedObject]) -> String {
    let mut text = String::new();
    for it in rendered {
        text.push_str("---\n");
        if let Some(template) = &it.template {
            text.push_str(&format!("# Source: {template}\n"));
        }
        text.push_str(&catalyst_yaml::to_string(&without_version(&it.object)));
    }
    text
}

/// Holds every object against the schema of its kind.
fn check_schemas(rendered: &[RenderedObject], schemas: &Arc<SchemaSet>, outcome: &mut CaseOutcome) {
    for (_, finding) in schemas::findings(rendered, schemas) {
        match finding {
            Finding::Fault { message, .. } => outcome.problems.push(message),
            Finding::Unchecked(object) => outcome.unchecked.push(object),
        }
    }
}
