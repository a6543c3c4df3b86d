//! `catalyst blueprint render`, and the part of `lint` that needs it: a Blueprint's
//! folder and a config to the objects that an Application would have. Needs neither a
//! Sovereign nor a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalyst_blueprint::{
    Blueprint, ConfigForm, ConfigSchema, ManifestKind, Problem, ValuesInput, merge_values,
};
use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, NoHost, NoLookup, ReleaseOptions, Rendered,
};
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

/// What is wrong with the chart of a Blueprint that lint finds nothing wrong with: it
/// does not render for an Application that is given no config. Nothing where no such
/// Application can be, because the schema asks for a config.
pub fn problem(files: &Files) -> Option<Problem> {
    let blueprint = described(files).ok()?;
    let config = Value::Object(Map::new());
    let is_chart = blueprint.spec.manifests.source.kind == ManifestKind::HelmChart;
    let schema = ConfigSchema::compile(&blueprint.spec.config_schema).ok()?;
    let is_allowed = schema
        .validate_config(&config, ConfigForm::Submitted)
        .is_empty();
    if !is_chart || !is_allowed {
        return None;
    }
    let values = values(&blueprint, Map::new(), config, EXAMPLE);
    let error = rendered(files, &values, EXAMPLE).err()?;
    let message = format!("with its own default values: {error:#}");
    let (file, line) = place(&message, blueprint.name()).unzip();
    Some(Problem {
        file: file.unwrap_or_else(|| "chart".to_owned()),
        line: line.flatten(),
        rule: "chart-render",
        message,
        fix: "mend the template, or give what it asks for a default in chart/values.yaml"
            .to_owned(),
    })
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
            host: &NoHost,
            limits: Limits::default(),
        },
    )?;
    Ok(rendered)
}

/// Where a failure to render says it happened, as a path in the Blueprint's folder; the
/// last place that it names is the innermost. Helm writes `NAME/templates/x.yaml:3:5`.
fn place(message: &str, chart: &str) -> Option<(String, Option<usize>)> {
    let is_around = |c: char| c.is_whitespace() || "()\"<>".contains(c);
    message.rsplit(is_around).find_map(|word| {
        let (path, line) = word
            .strip_prefix(chart)?
            .strip_prefix('/')?
            .split_once(':')?;
        let line = line.split(':').next()?.parse().ok();
        Some((format!("chart/{path}"), line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_to_render_is_placed_in_the_folder() {
        let check = |message: &str, expected: Option<(&str, Option<usize>)>| {
            let expected = expected.map(|(path, line)| (path.to_owned(), line));
            assert_eq!(place(message, "bp-wiki"), expected, "{message}");
        };
        check(
            "execution error at (bp-wiki/templates/a.yaml:8:13): it is missing",
            Some(("chart/templates/a.yaml", Some(8))),
        );
        check(
            "parse error at (bp-wiki/templates/a.yaml:3): unclosed action",
            Some(("chart/templates/a.yaml", Some(3))),
        );
        // The innermost is the last.
        check(
            "template: bp-wiki/templates/a.yaml:5:3: executing \"bp-wiki/templates/a.yaml\" at <include \"x\" .>: error calling include: template: bp-wiki/charts/in/templates/_x.tpl:2:4: executing \"x\" at <.a.b>: nil pointer",
            Some(("chart/charts/in/templates/_x.tpl", Some(2))),
        );
        check("no thread for it: bp-wiki-other/x.yaml:1:2", None);
        check("", None);
    }
}
