//! Everything wrong with a Blueprint's folder, at once.

use std::collections::{BTreeMap, BTreeSet};

use semver::VersionReq;
use serde_json::Value;

use crate::{
    Blueprint, ConfigForm, ConfigSchema, ManifestKind, Problem, Reading, SchemaError,
    config::{SECRET, resolve},
    expression, icon, license_fault, locate, reach, upgrades, words,
};

const VALUES: &str = "chart/values.yaml";
/// Bytes that a file of a chart may have, packed or not: Helm refuses larger ones, and so
/// does what installs the artifact.
const MAX_CHART_FILE: usize = 5 << 20;
/// Files that a chart may have.
const MAX_CHART_FILES: usize = 10_000;

/// Checks a folder given as path → bytes, paths relative to it with `/`.
///
/// An empty answer means that the folder can be packed, published and installed
/// as far as can be told without rendering its chart. Where `blueprint.yaml` has
/// mistakes of shape, all else is judged that does not rest on them.
pub fn lint(files: &BTreeMap<String, Vec<u8>>) -> Vec<Problem> {
    let reading = match Reading::of(files) {
        Ok(reading) => reading,
        Err(problems) => return problems,
    };
    let blueprint = reading.blueprint();
    let mut linter = Linter {
        text: reading.text(),
        files,
        blueprint,
        reading: &reading,
        problems: reading.problems().to_vec(),
    };
    linter.folder();
    linter.card();
    let is_schema = linter.config_schema();
    if is_schema && reading.knows_all("/spec/configSchema", &[]) {
        linter.sizes();
    }
    linter.placement();
    linter.dependencies();
    linter.provides();
    linter.host_access();
    linter.upgrades();
    match reading.kind() {
        Some(ManifestKind::HelmChart) => linter.chart(),
        Some(ManifestKind::Kustomize) => linter.kustomize(),
        None => {}
    }
    // Of values that cannot be read nobody knows which there are.
    if is_schema && linter.knows_what_is_set() && values_of(files).is_ok() {
        let found = match reading.kind() {
            Some(ManifestKind::HelmChart) => reach::chart_problems(linter.text, blueprint, files),
            Some(ManifestKind::Kustomize) => {
                reach::kustomize_problems(linter.text, blueprint, files)
            }
            None => Vec::new(),
        };
        linter.problems.extend(found);
    }
    let mut problems = linter.problems;
    problems.sort();
    problems.dedup();
    problems
}

/// The values of the chart; null where it has none.
fn values_of(files: &BTreeMap<String, Vec<u8>>) -> Result<Value, catalyst_yaml::Error> {
    let bytes = files.get(VALUES).map_or(&[][..], Vec::as_slice);
    catalyst_yaml::from_str(&String::from_utf8_lossy(bytes))
}

/// Whether a character is one that a line of text has no use for: controls, and those that
/// turn the direction of what follows (Unicode's UAX #9).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

struct Linter<'a> {
    text: &'a str,
    files: &'a BTreeMap<String, Vec<u8>>,
    blueprint: &'a Blueprint,
    reading: &'a Reading,
    problems: Vec<Problem>,
}

impl Linter<'_> {
    /// Whether all is known that sets values, and all in the file that uses some.
    fn knows_what_is_set(&self) -> bool {
        let reading = self.reading;
        reading.knows_all("/spec/configSchema", &[])
            && reading.knows_all("/spec/manifests/overlays", &[])
            && reading.knows_all(
                "/spec/depends",
                &["blueprint", "source", "version", "alias"],
            )
    }

    fn report(&mut self, pointer: &str, rule: &'static str, message: String, fix: &str) {
        self.problems.push(Problem {
            file: Blueprint::FILE.to_owned(),
            line: locate::line_of_pointer(self.text, pointer),
            rule,
            message,
            fix: fix.to_owned(),
        });
    }

    fn report_file(&mut self, file: &str, rule: &'static str, message: String, fix: &str) {
        self.problems.push(Problem {
            file: file.to_owned(),
            line: None,
            rule,
            message,
            fix: fix.to_owned(),
        });
    }

    fn folder(&mut self) {
        if !self.files.contains_key("README.md") {
            self.report_file(
                "README.md",
                "missing-file",
                "the folder has no README.md".to_owned(),
                "write what it installs and how to use it",
            );
        }
    }

    fn card(&mut self) {
        let (card, files) = (&self.blueprint.spec.card, self.files);
        match card.icon.as_ref().map(|icon| (icon, files.get(icon))) {
            None => {}
            Some((icon, None)) => self.report(
                "/spec/card/icon",
                "missing-file",
                format!("the icon `{icon}` is not in the folder"),
                "add the file or correct its path, such as `card/icon.svg`",
            ),
            Some((icon, Some(bytes))) => {
                let faults = icon::faults(bytes).into_iter().map(|fault| Problem {
                    file: icon.clone(),
                    line: Some(fault.line),
                    rule: "icon",
                    message: fault.message,
                    fix: "draw it with plain SVG shapes, in a small file without scripts and links"
                        .to_owned(),
                });
                self.problems.extend(faults);
            }
        }
        let tags = card.tags.iter().map(|tag| ("tags", tag.as_str()));
        let shown = [
            ("title", card.title.as_str()),
            ("tagline", card.tagline.as_str()),
            ("category", card.category.as_str()),
        ];
        let mut odd: Vec<&str> = shown
            .into_iter()
            .chain(tags)
            .filter(|(_, text)| text.contains(is_unseen))
            .map(|(field, _)| field)
            .collect();
        odd.dedup();
        for field in odd {
            self.report(
                &format!("/spec/card/{field}"),
                "control-character",
                format!(
                    "the card's {field} has characters that nobody sees, or that turn text around"
                ),
                "write plain text, in one line",
            );
        }
        if self.reading.knows("/spec/card/license")
            && let Some(fault) = license_fault(&card.license)
        {
            self.report(
                "/spec/card/license",
                "license",
                format!(
                    "the licence {:?} is no SPDX expression: {fault}",
                    card.license
                ),
                "write one such as `Apache-2.0 OR MIT`, or `LicenseRef-…` for terms of your own",
            );
        }
        if let Some(link) = &card.documentation
            && !link.starts_with("https://")
        {
            self.report(
                "/spec/card/documentation",
                "link",
                "the documentation link is not an https:// address".to_owned(),
                "give an address that begins with https://",
            );
        }
    }

    /// Whether it can be used at all.
    fn config_schema(&mut self) -> bool {
        let schema = &self.blueprint.spec.config_schema;
        let errors = ConfigSchema::errors(schema);
        let is_schema = errors.is_empty();
        for error in errors {
            let (rule, pointer, fix) = match &error {
                SchemaError::RemoteReference { place, .. } => (
                    "schema-remote",
                    format!("/spec/configSchema{}", place.trim_start_matches('#')),
                    "have it in the schema itself",
                ),
                SchemaError::TooDeep => (
                    "schema-deep",
                    "/spec/configSchema".to_owned(),
                    "put parts of it into properties of their own",
                ),
                SchemaError::Invalid { place, .. } => (
                    "schema-invalid",
                    format!("/spec/configSchema{place}"),
                    "correct the schema",
                ),
            };
            self.report(&pointer, rule, error.to_string(), fix);
        }
        for fault in words::faults(schema) {
            let pointer = format!("/spec/configSchema{}", fault.pointer);
            self.report(&pointer, fault.rule, fault.message, &fault.fix);
        }
        if schema.as_object().is_some_and(|map| !map.is_empty()) {
            if schema.get("type") != Some(&Value::String("object".to_owned())) {
                self.report(
                    "/spec/configSchema",
                    "schema-open",
                    "configSchema does not say `type: object`".to_owned(),
                    "add `type: object`; config is always a map",
                );
            }
            if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
                self.report(
                    "/spec/configSchema",
                    "schema-open",
                    "configSchema accepts properties it does not name, so a user's slip goes unnoticed".to_owned(),
                    "add `additionalProperties: false`",
                );
            }
        }
        self.secrets(schema, "/spec/configSchema", 0);
        is_schema
    }

    fn secrets(&mut self, schema: &Value, pointer: &str, depth: usize) {
        if depth > 64 {
            return;
        }
        if let Value::Object(map) = schema {
            let target = resolve(&self.blueprint.spec.config_schema, schema);
            let is_marked = |it: &Value| it.get(SECRET) == Some(&Value::Bool(true));
            let (here, there) = (is_marked(schema), is_marked(target));
            // What a $ref leads to and is marked itself is told where it stands.
            let words: Vec<String> = ["default", "const", "enum", "examples"]
                .iter()
                .filter(|word| {
                    let is_word = |it: &Value| it.get(**word).is_some();
                    is_word(schema) || here && !there && is_word(target)
                })
                .map(|word| format!("`{word}`"))
                .collect();
            if (here || there) && !words.is_empty() {
                self.report(
                    pointer,
                    "secret-default",
                    format!(
                        "a secret has values in the schema, which everyone can read ({})",
                        words.join(", ")
                    ),
                    "remove them; have the secret generated, or ask for it",
                );
            }
            if here && target.get("type").and_then(Value::as_str) != Some("string") {
                self.report(
                    pointer,
                    "secret-type",
                    "a secret is not `type: string`".to_owned(),
                    "secrets are strings; give it `type: string`",
                );
            }
            for (key, inner) in map {
                if !matches!(key.as_str(), "default" | "const" | "enum" | "examples") {
                    self.secrets(inner, &format!("{pointer}/{key}"), depth + 1);
                }
            }
        } else if let Value::Array(items) = schema {
            for (index, item) in items.iter().enumerate() {
                self.secrets(item, &format!("{pointer}/{index}"), depth + 1);
            }
        }
    }

    /// Values of a size lie under a config, so what users may not set must not stand there
    /// either. What a size leaves out, or sets beside the config, is its own matter.
    fn sizes(&mut self) {
        const LIMITS: [&str; 13] = [
            "type",
            "enum",
            "const",
            "pattern",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "minItems",
            "maxItems",
        ];
        let Ok(schema) = ConfigSchema::compile(&self.blueprint.spec.config_schema) else {
            return;
        };
        let blueprint = self.blueprint;
        for (size, values) in &blueprint.spec.manifests.overlays {
            let here = format!("/spec/manifests/overlays/{size}");
            if !self.reading.knows_all(&here, &[]) {
                continue;
            }
            let values = Value::Object(values.clone());
            let mut problems = schema.validate_config(&values, ConfigForm::Submitted);
            problems.retain(|problem| LIMITS.contains(&problem.keyword.as_str()));
            for problem in problems {
                self.report(
                    &format!("{here}{}", problem.pointer),
                    "size-value",
                    format!("the size `{size}` does not keep to configSchema: {problem}"),
                    "choose a value that users may choose too, or widen configSchema",
                );
            }
        }
    }

    fn placement(&mut self) {
        let placement = &self.blueprint.spec.placement_schema;
        let is_known = self.reading.knows_all("/spec/placementSchema", &["modes"]);
        if is_known && placement.min_regions > placement.max_regions {
            self.report(
                "/spec/placementSchema",
                "placement",
                format!(
                    "minRegions {} is more than maxRegions {}",
                    placement.min_regions, placement.max_regions
                ),
                "raise maxRegions or lower minRegions",
            );
        }
    }

    fn dependencies(&mut self) {
        let mut aliases = BTreeSet::new();
        for (index, dependency) in self.blueprint.spec.depends.iter().enumerate() {
            let here = format!("/spec/depends/{index}");
            let knows = |field: &str| self.reading.knows(&format!("{here}/{field}"));
            let (knows_name, knows_version) = (knows("blueprint"), knows("version"));
            let knows_alias = knows("alias") && (dependency.alias.is_some() || knows_name);
            let is_of_itself = knows_name
                && knows("source")
                && dependency.source.is_none()
                && self.reading.knows("/metadata/name")
                && dependency.blueprint == self.blueprint.metadata.name;
            let alias = dependency.alias();
            if knows_alias && !aliases.insert(alias) {
                self.report(
                    &here,
                    "alias",
                    format!("two dependencies are called `{alias}`"),
                    "give each its own alias",
                );
            }
            if is_of_itself {
                self.report(
                    &here,
                    "cycle",
                    format!("{} depends on itself", dependency.blueprint),
                    "remove the dependency",
                );
            }
            if knows_version && let Err(error) = VersionReq::parse(&dependency.version) {
                self.report(
                    &format!("{here}/version"),
                    "range",
                    format!("`{}` is not a version range: {error}", dependency.version),
                    "write a range such as `^1.4` or `>=1.4, <3`",
                );
            }
            if let Some(condition) = &dependency.when
                && let Err(error) = expression::check_syntax(condition)
            {
                self.report(
                    &format!("{here}/when"),
                    "expression",
                    error.to_string(),
                    "correct the CEL expression",
                );
            }
            let mut expressions = Vec::new();
            let values = Value::Object(dependency.values.clone());
            if let Err(error) = expression::expressions_in(&values, &mut expressions) {
                self.report(
                    &format!("{here}/values"),
                    "expression",
                    error.to_string(),
                    "close it",
                );
            }
            for text in expressions {
                if let Err(error) = expression::check_syntax(&text) {
                    self.report(
                        &format!("{here}/values"),
                        "expression",
                        error.to_string(),
                        "correct the CEL expression",
                    );
                }
            }
        }
    }

    fn provides(&mut self) {
        if let Some(secret) = &self.blueprint.spec.provides.connection_secret {
            let mut seen = BTreeSet::new();
            for key in &secret.keys {
                let is_key = key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
                if !is_key || !seen.insert(key) {
                    self.report(
                        "/spec/provides/connectionSecret/keys",
                        "secret-key",
                        format!("`{key}` cannot be a key of the connection secret here"),
                        "use each key once; letters, digits, `-`, `_` and `.` only",
                    );
                }
            }
            for problem in secret.template_problems() {
                self.report(
                    "/spec/provides/connectionSecret/values",
                    "secret-value",
                    problem,
                    "say in `values` what stands in each key, with `${…}`",
                );
            }
        }
    }

    /// Declarations by themselves; whether pods keep to them shows in what is rendered.
    fn host_access(&mut self) {
        for (index, access) in self.blueprint.spec.host_access.iter().enumerate() {
            if !self
                .reading
                .knows_all(&format!("/spec/hostAccess/{index}"), &["reason"])
            {
                continue;
            }
            for (pointer, message) in access.faults() {
                self.report(
                    &format!("/spec/hostAccess/{index}{pointer}"),
                    "host-access",
                    message,
                    "name absolute paths for hostPath, ports for hostPort, and neither for others",
                );
            }
        }
    }

    fn upgrades(&mut self) {
        let upgrades = &self.blueprint.spec.upgrades;
        let is_version = self.reading.knows("/spec/version");
        for (index, migration) in upgrades.values.iter().enumerate() {
            let here = format!("/spec/upgrades/values/{index}");
            if !is_version || !self.reading.knows_all(&here, &[]) {
                continue;
            }
            for message in migration.faults(&self.blueprint.spec.version) {
                self.report(
                    &here,
                    "upgrade-path",
                    message,
                    "give `before` and either `move` with `to`, or `remove`",
                );
            }
        }
        for (field, ranges) in [("from", &upgrades.from), ("blocks", &upgrades.blocks)] {
            for (index, range) in ranges.iter().enumerate() {
                let here = format!("/spec/upgrades/{field}/{index}");
                if self.reading.knows(&here)
                    && let Err(error) = VersionReq::parse(range)
                {
                    self.report(
                        &here,
                        "range",
                        format!("`{range}` is not a version range: {error}"),
                        "write a range such as `1.2.x`",
                    );
                }
            }
        }
        if !is_version {
            return;
        }
        for fault in upgrades::faults(&self.blueprint.spec.version, upgrades) {
            if self.reading.knows(&fault.pointer) {
                self.report(&fault.pointer, "upgrade-path", fault.message, fault.fix);
            }
        }
    }

    /// What is packed is all of `chart/`, also what `.helmignore` names.
    fn chart_sizes(&mut self) {
        let mut count = 0;
        for (path, bytes) in self.files {
            if !path.starts_with("chart/") {
                continue;
            }
            count += 1;
            if bytes.len() > MAX_CHART_FILE {
                let length = bytes.len();
                self.report_file(
                    path,
                    "file-size",
                    format!("the file has {length} bytes, and nobody can install a chart with one of more than {MAX_CHART_FILE}"),
                    "keep it out of the chart: in an image, or where the application fetches it",
                );
            }
        }
        if count > MAX_CHART_FILES {
            self.report_file(
                "chart/Chart.yaml",
                "file-size",
                format!("the chart has {count} files, and nobody can install one of more than {MAX_CHART_FILES}"),
                "keep what is no part of the chart out of its folder",
            );
        }
    }

    fn values(&mut self) {
        if let Err(error) = values_of(self.files) {
            self.problems.push(Problem {
                file: VALUES.to_owned(),
                line: Some(error.line),
                rule: "yaml",
                message: format!("the file is not YAML: {}", error.message),
                fix: "correct the line; check indentation, quotes and aliases".to_owned(),
            });
        }
    }

    fn repeated_keys(&mut self, file: &str, rule: &'static str) {
        let text = self.files.get(file).map_or(&[][..], Vec::as_slice);
        // What is not YAML is told elsewhere.
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let found = locate::repeated_keys(file, text, rule);
        self.problems.extend(found);
    }

    fn chart(&mut self) {
        const CHART: &str = "chart/Chart.yaml";
        self.chart_sizes();
        self.repeated_keys(CHART, "duplicate-key");
        self.repeated_keys(VALUES, "duplicate-value");
        self.values();
        let Some(chart) = self.files.get(CHART) else {
            self.report(
                "/spec/manifests/source",
                "missing-file",
                "the manifests are a Helm chart, but chart/Chart.yaml is missing".to_owned(),
                "add the chart under chart/, or say `kind: Kustomize`",
            );
            return;
        };
        let parsed = std::str::from_utf8(chart)
            .ok()
            .and_then(|text| catalyst_yaml::from_str(text).ok());
        let Some(parsed) = parsed else {
            self.report_file(
                CHART,
                "yaml",
                "the file is not YAML".to_owned(),
                "correct it; `helm lint chart` shows where",
            );
            return;
        };
        let version = self.blueprint.spec.version.to_string();
        for (place, field, wanted) in [
            ("/metadata/name", "name", self.blueprint.name()),
            ("/spec/version", "version", &version),
        ] {
            let found = parsed.get(field).and_then(Value::as_str);
            if self.reading.knows(place) && found != Some(wanted) {
                let line = locate::line_of_pointer(
                    std::str::from_utf8(chart).unwrap_or_default(),
                    &format!("/{field}"),
                );
                self.problems.push(Problem {
                    file: CHART.to_owned(),
                    line,
                    rule: "chart-identity",
                    message: format!(
                        "the chart's {field} is {}, the Blueprint's is `{wanted}`",
                        found.map_or("missing".to_owned(), |text| format!("`{text}`"))
                    ),
                    fix: format!("write `{field}: {wanted}`; helm pulls the artifact by that"),
                });
            }
        }
        if !self
            .files
            .keys()
            .any(|path| path.starts_with("chart/templates/"))
        {
            self.report_file(
                CHART,
                "missing-file",
                "the chart has no templates".to_owned(),
                "add them under chart/templates/",
            );
        }
    }

    fn kustomize(&mut self) {
        const BASE: &str = "manifests/base/kustomization.yaml";
        if !self.files.contains_key(BASE) {
            self.report(
                "/spec/manifests/source",
                "missing-file",
                format!("the manifests are Kustomize, but {BASE} is missing"),
                "add the base, or say `kind: HelmChart`",
            );
        }
        let sizes: Vec<String> = self
            .blueprint
            .spec
            .manifests
            .overlays
            .keys()
            .cloned()
            .collect();
        for size in sizes {
            let file = format!("manifests/overlays/{size}/kustomization.yaml");
            if !self.files.contains_key(&file) {
                self.report(
                    &format!("/spec/manifests/overlays/{size}"),
                    "missing-file",
                    format!("the overlay `{size}` has no {file}"),
                    "add it or remove the overlay",
                );
            }
        }
        // postBuild.substitute carries text only, so a map or a list cannot arrive.
        let schema = self.blueprint.spec.config_schema.clone();
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let kind = resolve(&schema, inner).get("type").and_then(Value::as_str);
            let is_scalar = matches!(kind, Some("string" | "number" | "integer" | "boolean"))
                || inner.get("enum").is_some();
            if !is_scalar && self.reading.knows("/spec/manifests/source/kind") {
                self.report(
                    &format!("/spec/configSchema/properties/{name}"),
                    "kustomize-scalar",
                    format!(
                        "`{name}` is not a scalar, and a Kustomize Blueprint takes scalars only"
                    ),
                    "make it a string, number or boolean, or use a Helm chart",
                );
            }
        }
    }
}
