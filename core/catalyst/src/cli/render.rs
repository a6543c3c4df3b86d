//! `catalyst blueprint render`: a Blueprint's folder and a config to the objects that an
//! Application would have. Needs neither a Sovereign nor a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalyst_blueprint::{
    Blueprint, ConfigForm, ConfigSchema, ManifestKind, Problem, ValuesInput, merge_values,
};
use catalyst_flux::ChartHost;
use catalyst_helm::{Capabilities, Chart, Environment, Limits, NoLookup, ReleaseOptions, Rendered};
use catalyst_supply::read_folder;
use serde_json::{Map, Value, json};

use super::blueprint::refused;
use super::failure::hinted;
use super::output::print;
use super::set::Values;

/// The Application that is rendered unless one is named.
const EXAMPLE: &str = "example";

/// A folder: path → bytes.
type Files = BTreeMap<String, Vec<u8>>;

/// Print the objects that an Application of a Blueprint would have.
#[derive(Debug, clap::Args)]
pub struct Render {
    /// The Blueprint's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// One of its sizes.
    #[arg(long)]
    size: Option<String>,
    /// The Application's name.
    #[arg(long, default_value = EXAMPLE)]
    application: String,
    #[command(flatten)]
    config: Values,
}

impl Render {
    /// Prints them; a config that an install would refuse is refused.
    pub fn run(&self) -> anyhow::Result<()> {
        let files = read_folder(&self.folder)?;
        let blueprint = described(&files).map_err(|problems| refused(&self.folder, &problems))?;
        let overlay = match &self.size {
            None => Map::new(),
            Some(size) => overlay(&blueprint, size)?,
        };
        let config = Value::Object(self.config.merged()?);
        check_config(&blueprint, &config, &self.folder)?;
        if blueprint.spec.manifests.source.kind == ManifestKind::Kustomize {
            let size = self.size.as_deref().unwrap_or("small");
            let mut folder = format!("manifests/overlays/{size}");
            if !files
                .keys()
                .any(|path| path.starts_with(&format!("{folder}/")))
            {
                folder = "manifests/base".to_owned();
            }
            let options = catalyst_kustomize::Options::default();
            return print(&catalyst_kustomize::build_text(&files, &folder, &options)?);
        }
        let values = values(&blueprint, overlay, config, &self.application);
        print(&rendered(&files, &values, &self.application)?.to_string())
    }
}

fn described(files: &Files) -> Result<Blueprint, Vec<Problem>> {
    let text = files.get(Blueprint::FILE).map(Vec::as_slice);
    Blueprint::parse(&String::from_utf8_lossy(text.unwrap_or_default()))
}

/// The values of a size.
fn overlay(blueprint: &Blueprint, size: &str) -> anyhow::Result<Map<String, Value>> {
    let overlays = &blueprint.spec.manifests.overlays;
    let Some(overlay) = overlays.get(size) else {
        let known: Vec<&str> = overlays.keys().map(String::as_str).collect();
        return Err(hinted(
            format!("{} has no size {size}", blueprint.name()),
            format!("its sizes are: {}", known.join(", ")),
        ));
    };
    let overlay = serde_json::to_value(overlay)?;
    Ok(overlay.as_object().cloned().unwrap_or_default())
}

/// Refuses a config that does not fit the schema, in the words of an install.
fn check_config(blueprint: &Blueprint, config: &Value, folder: &Path) -> anyhow::Result<()> {
    let schema = ConfigSchema::compile(&blueprint.spec.config_schema)?;
    let problems = schema.validate_config(config, ConfigForm::Submitted);
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(|it| format!("  {it}")).collect();
    Err(hinted(
        format!(
            "the config does not fit {} {}:\n{}",
            blueprint.name(),
            blueprint.version(),
            lines.join("\n")
        ),
        format!(
            "set what is asked for with --set; the configSchema in {} says what fits",
            folder.join(Blueprint::FILE).display()
        ),
    ))
}

/// What the chart of an Application is given.
fn values(
    blueprint: &Blueprint,
    overlay: Map<String, Value>,
    config: Value,
    application: &str,
) -> Value {
    let dependency = |alias: &str| {
        let served_by = format!("{application}-{alias}");
        let secret = format!("{served_by}-connection");
        json!({"application": served_by, "connectionSecret": secret})
    };
    merge_values(&ValuesInput {
        overlay,
        config,
        dependencies: blueprint
            .spec
            .depends
            .iter()
            .map(|it| (it.alias().to_owned(), dependency(it.alias())))
            .collect(),
        catalyst: json!({
            "organization": "example", "environment": "example-dev", "envType": "dev",
            "application": application, "domain": "localhost",
        }),
    })
}

fn rendered(files: &Files, values: &Value, application: &str) -> anyhow::Result<Rendered> {
    let chart = files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix("chart/")?.to_owned(), bytes.clone())))
        .collect();
    let release = ReleaseOptions {
        name: application.to_owned(),
        namespace: application.to_owned(),
        revision: 1,
        is_upgrade: false,
        service: "Helm".to_owned(),
    };
    let rendered = catalyst_helm::render(
        &Chart::from_files(chart)?,
        values,
        &Environment {
            release: &release,
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host: &ChartHost,
            limits: Limits::default(),
        },
    )?;
    Ok(rendered)
}
