//! Everything wrong with a Blueprint's folder, what it renders included.
//!
//! A chart is rendered with its own defaults, in each of its sizes, and with configs
//! that reach every branch of its schema; what comes out is looked at object by
//! object. A fault is told once, however many renderings show it.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalyst_blueprint::{Blueprint, ConfigSchema, Problem, Reading, line_of_pointer, lint};
use catalyst_schema::SchemaSet;
use serde_json::Value;

use super::example::{Example, ExampleError, default_values, render_example};
use super::objects::{self, Declared};
use super::schemas::{self, Finding};
use super::source::{Files, Sources, place_in_message, text_of};
use crate::{BlueprintContent, ExpandError, RenderedObject, http_backend};

/// The most renderings of one lint: each size, and then configs as far as they go.
const MAX_RENDERINGS: usize = 64;

/// Checks a folder given as path → bytes, paths relative to it with `/`: all that
/// [`catalyst_blueprint::lint`] finds, and all that shows in what it renders.
///
/// Without errors in the answer, the folder can be packed, published, and installed
/// in every size.
pub fn lint_blueprint(files: &Files) -> Vec<Problem> {
    lint_with(files, None)
}

/// The same, and what is rendered held against the schemas of its kinds; `schemas` are
/// those of Kubernetes' own.
pub fn lint_blueprint_by(files: &Files, schemas: &Arc<SchemaSet>) -> Vec<Problem> {
    lint_with(files, Some(schemas))
}

fn lint_with(files: &Files, schemas: Option<&Arc<SchemaSet>>) -> Vec<Problem> {
    let mut problems = lint(files);
    // A chart with such a file cannot be read, which would be told a second time.
    let is_unreadable = |it: &Problem| {
        it.rule == "file-size" || (it.rule == "yaml" && it.file == "chart/values.yaml")
    };
    let is_readable = !problems.iter().any(is_unreadable);
    if is_readable && let Ok(reading) = Reading::of(files) {
        problems.extend(rendered_problems(&reading, files, schemas));
    }
    problems.sort();
    problems.dedup();
    problems
}

fn rendered_problems(
    reading: &Reading,
    files: &Files,
    schemas: Option<&Arc<SchemaSet>>,
) -> Vec<Problem> {
    let (text, blueprint) = (reading.text(), reading.blueprint());
    // What rests on a place that could not be read would be told a second time.
    let Some(kind) = reading.kind().filter(|_| reading.is_renderable()) else {
        return Vec::new();
    };
    let sources = Sources::new(kind, files);
    // What is missing has been told.
    let Ok(schema) = ConfigSchema::compile(&blueprint.spec.config_schema) else {
        return Vec::new();
    };
    if !files.contains_key(sources.whole()) {
        return Vec::new();
    }
    let content = BlueprintContent::of_folder(kind, files);
    let renderings = renderings(reading, &schema, &content);
    if renderings.is_empty() {
        return vec![Problem {
            file: Blueprint::FILE.to_owned(),
            line: line_of_pointer(text, "/spec/configSchema"),
            rule: "config-example",
            message: "no config could be made up that fits configSchema, so nothing was rendered"
                .to_owned(),
            fix: "give the properties that are required `examples`, or a `default`".to_owned(),
        }];
    }
    let mut problems = Vec::new();
    let mut reasons = BTreeSet::new();
    let (mut fields, mut is_page_told) = (BTreeSet::new(), false);
    let declared = Declared::by(blueprint);
    for (what, example) in renderings {
        match render_example(blueprint, &content, &example) {
            Ok(rendered) => {
                let found = rendered.iter().flat_map(|object| {
                    // On a host cluster of the Environment's own stage.
                    objects::problems(object, &sources, &declared, &example.application)
                });
                problems.extend(found);
                if let Some(schemas) = schemas {
                    problems.extend(misfits(&rendered, schemas, &sources, &mut fields));
                }
                if !is_page_told && let Some(problem) = no_page(reading, &rendered, &what) {
                    is_page_told = true;
                    problems.push(problem);
                }
            }
            Err(error) if reasons.insert(error.to_string()) => {
                problems.push(failure(text, blueprint, files, &error, &what));
            }
            Err(_) => {}
        }
    }
    // What does not render might take it.
    if reasons.is_empty() {
        problems.extend(
            declared
                .unused()
                .into_iter()
                .map(|(pointer, what)| Problem {
                    file: Blueprint::FILE.to_owned(),
                    line: line_of_pointer(text, &pointer),
                    rule: "host-access-unused",
                    message: format!("{what} is declared, and no pod takes it"),
                    fix: "remove it from hostAccess".to_owned(),
                }),
        );
    }
    if !reading.knows_all("/spec/hostAccess", &["reason"]) {
        problems.retain(|problem| !problem.rule.starts_with("host-access"));
    }
    problems
}

/// What does not fit the schema of its kind; each field of a file is told once, whatever
/// the configs make of it.
fn misfits(
    rendered: &[RenderedObject],
    schemas: &Arc<SchemaSet>,
    sources: &Sources<'_>,
    told: &mut BTreeSet<(String, String)>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (object, finding) in schemas::findings(rendered, schemas) {
        // What belongs to a definition that comes from elsewhere is its owner's to judge.
        let Finding::Fault { field, message } = finding else {
            continue;
        };
        let source = sources.of(object);
        if !told.insert((source.file.clone(), field.clone())) {
            continue;
        }
        let last = field.rsplit('.').next().unwrap_or_default();
        let key = last.split('[').next().unwrap_or_default();
        let line = match key.is_empty() {
            true => source.line("", &[]),
            false => source.line("", &[&format!("{key}:")]),
        };
        problems.push(Problem {
            line,
            file: source.file,
            rule: "kubernetes-schema",
            message,
            fix: "correct the field; Kubernetes would refuse the object, or ignore the field"
                .to_owned(),
        });
    }
    problems
}

/// That no Service has the port on which the page is served, where there is to be one.
fn no_page(reading: &Reading, rendered: &[RenderedObject], what: &str) -> Option<Problem> {
    const PORT: &str = "/spec/provides/http/port";
    let http = reading.blueprint().spec.provides.http.as_ref()?;
    let installed = rendered.iter().filter(|it| !it.is_hook);
    let objects = installed.map(|it| &it.object);
    let is_served = http_backend(objects, &http.port).is_some();
    (!is_served && reading.knows_all("/spec/provides/http", &[])).then(|| Problem {
        file: Blueprint::FILE.to_owned(),
        line: line_of_pointer(reading.text(), PORT),
        rule: "http-port",
        message: format!(
            "with {what} no Service has the port {} that provides.http names",
            http.port
        ),
        fix: "name the port of a Service that the manifests create, by its name or number"
            .to_owned(),
    })
}

/// What is rendered, each with what sets it apart: the defaults, every size, and
/// every config that is worth trying.
fn renderings(
    reading: &Reading,
    schema: &ConfigSchema,
    content: &BlueprintContent,
) -> Vec<(String, Example)> {
    let blueprint = reading.blueprint();
    let defaults = default_values(blueprint.spec.manifests.source.kind, content);
    let configs = schema.examples(&defaults, MAX_RENDERINGS);
    let Some((least, others)) = configs.split_first() else {
        return Vec::new();
    };
    let example = |size: Option<&String>, config: &Value| Example {
        size: size.cloned(),
        config: config.as_object().cloned().unwrap_or_default(),
        ..Example::default()
    };
    let is_known = |size: &&String| reading.knows(&format!("/spec/manifests/overlays/{size}"));
    let sizes = blueprint.spec.manifests.overlays.keys().filter(is_known);
    let mut found = vec![("its defaults".to_owned(), example(None, &least.config))];
    found.extend(sizes.map(|size| {
        let what = format!("the size `{size}`");
        (what, example(Some(size), &least.config))
    }));
    found.extend(others.iter().map(|other| {
        let what = format!("`{}`", other.what);
        (what, example(None, &other.config))
    }));
    found.truncate(MAX_RENDERINGS);
    found
}

/// Why a rendering failed, at the template and line where Helm says so.
fn failure(
    text: &str,
    blueprint: &Blueprint,
    files: &Files,
    error: &ExampleError,
    what: &str,
) -> Problem {
    let at = |pointer: &str| (Blueprint::FILE.to_owned(), line_of_pointer(text, pointer));
    if let ExampleError::Condition { alias, .. } = error {
        let depends = &blueprint.spec.depends;
        let index = depends.iter().position(|it| it.alias() == alias);
        let (file, line) = at(&format!("/spec/depends/{}/when", index.unwrap_or(0)));
        return Problem {
            file,
            line,
            rule: "expression",
            message: format!("with {what}: {error}"),
            fix: "correct the CEL expression".to_owned(),
        };
    }
    if let ExampleError::Expand(ExpandError::Name(reason)) = error {
        let (file, line) = at("/metadata/name");
        return Problem {
            file,
            line,
            rule: "name",
            message: reason.to_string(),
            fix: "write a name such as `bp-wordpress`".to_owned(),
        };
    }
    let reason = match error {
        ExampleError::Expand(ExpandError::Render { reason, .. }) => reason.clone(),
        other => other.to_string(),
    };
    let chart = catalyst_yaml::from_str(text_of(files, "chart/Chart.yaml")).unwrap_or_default();
    let name = chart.get("name").and_then(Value::as_str);
    let name = name.unwrap_or(blueprint.name());
    let place = place_in_message(files, name, &reason);
    let (file, line) = place.unwrap_or_else(|| match error {
        ExampleError::Expand(ExpandError::Render { .. }) => {
            let kind = blueprint.spec.manifests.source.kind;
            (Sources::new(kind, files).whole().to_owned(), None)
        }
        _ => at("/spec/configSchema"),
    });
    Problem {
        file,
        line,
        rule: "render",
        message: format!("with {what} it does not render: {}", one_line(&reason)),
        fix: "mend the template, or narrow configSchema to what it can take".to_owned(),
    }
}

/// The most characters of a reason: the first and the last half, as the innermost cause
/// stands at the end.
const MAX_REASON: usize = 1_200;

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= MAX_REASON {
        return line;
    }
    let first: String = line.chars().take(MAX_REASON / 2).collect();
    let last: String = line.chars().skip(length - MAX_REASON / 2).collect();
    format!("{first} … {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_keeps_its_beginning_and_its_end() {
        assert_eq!(one_line("a\n  b"), "a b");
        let long = format!("begin {}end", "ä ".repeat(50_000));
        let cut = one_line(&long);
        assert!(
            cut.starts_with("begin ä") && cut.ends_with("ä end"),
            "{cut}"
        );
        assert!(cut.chars().count() < MAX_REASON + 10);
    }
}
