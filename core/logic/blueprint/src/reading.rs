//! As much of a `blueprint.yaml` as can be read, whatever is wrong with its shape, so
//! that lint judges the rest of the folder in one go.
//!
//! Every mistake of shape is told once. Then what it is about is put right as it was
//! meant, where that shows (a misspelt field, a number where text is asked for), or
//! left out, or stood in for. The places that are not what the author wrote are kept:
//! lint says nothing that rests on one of them, since that would be the same fault
//! told a second time.
//!
//! Called by [`crate::lint()`] and by who renders the folder. What must stay true: a
//! file without mistakes of shape is read as [`Blueprint::parse`] reads it, and then
//! every place is known.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_yaml::pointer::{escape, unescape};
use semver::Version;
use serde_json::{Map, Value, json};

use crate::shape::{self, Mistake, What};
use crate::{Blueprint, ManifestKind, Problem, locate, suggest, upgrades};

/// Each round puts right what the one before it left; a place lies less deep than this.
const MAX_ROUNDS: usize = 16;
/// What stands for a name that is not there.
const UNNAMED: &str = "bp-unnamed";

type Files = BTreeMap<String, Vec<u8>>;

/// A `blueprint.yaml` read as far as it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    blueprint: Blueprint,
    problems: Vec<Problem>,
    text: String,
    kind: Option<ManifestKind>,
    unknown: BTreeSet<String>,
}

impl Reading {
    /// Reads the `blueprint.yaml` of a folder, given as path → bytes. Where nothing of
    /// it can be read, the reasons.
    pub fn of(files: &Files) -> Result<Self, Vec<Problem>> {
        let problem = |line, rule, message: &str, fix: &str| Problem {
            file: Blueprint::FILE.to_owned(),
            line,
            rule,
            message: message.to_owned(),
            fix: fix.to_owned(),
        };
        let Some(bytes) = files.get(Blueprint::FILE) else {
            return Err(vec![problem(
                None,
                "missing-file",
                "the folder has no blueprint.yaml",
                "create it with `catalyst blueprint new`",
            )]);
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(vec![problem(
                None,
                "yaml",
                "blueprint.yaml is not UTF-8",
                "save it as UTF-8",
            )]);
        };
        let mut mending = Mending::new(text, kind_by_files(files));
        match catalyst_yaml::from_str(text) {
            Ok(value) => {
                mending.value = value;
                mending.problems.extend(Blueprint::repeated(text));
            }
            Err(error) => {
                mending.problems.push(Blueprint::not_yaml(&error));
                mending.doubt("");
            }
        }
        mending.mend();
        mending.read()
    }

    /// What it says, with the places put right that were not readable.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The mistakes of shape, each once.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file's text with misspelt fields under their right names, line by line as it
    /// was: the text in which to look for the line of a place.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the manifests are; by the files that are there, where the file does not
    /// say it.
    pub fn kind(&self) -> Option<ManifestKind> {
        self.kind
    }

    /// Whether what stands at a place (a JSON pointer), or that nothing stands there, is
    /// what the author wrote.
    pub fn knows(&self, pointer: &str) -> bool {
        !self
            .unknown
            .iter()
            .any(|unknown| is_at_or_below(pointer, unknown))
    }

    /// The same of all that is below it, but for the fields of these names.
    pub fn knows_all(&self, pointer: &str, but: &[&str]) -> bool {
        self.knows(pointer)
            && !self
                .unknown
                .iter()
                .filter(|unknown| is_at_or_below(unknown, pointer))
                .any(|unknown| !but.contains(&unknown.rsplit('/').next().unwrap_or_default()))
    }

    /// Whether the alias of each dependency is known, also where its Blueprint is not
    /// named as it should be.
    pub fn knows_aliases(&self) -> bool {
        self.knows("/spec/depends")
            && self
                .blueprint
                .spec
                .depends
                .iter()
                .enumerate()
                .all(|(index, it)| {
                    self.knows(&format!("/spec/depends/{index}/alias"))
                        && (it.alias.is_some() || it.blueprint != UNNAMED)
                })
    }

    /// Whether manifests can be rendered so that what is wrong with them is a fault of
    /// their own: their kind, the config and the dependencies are known.
    pub fn is_renderable(&self) -> bool {
        self.kind.is_some()
            && self.knows_all("/spec/configSchema", &[])
            && self.knows_aliases()
            && self.knows_all(
                "/spec/depends",
                &["blueprint", "source", "version", "values"],
            )
    }

    /// [`crate::lint_dependencies`] of the dependencies whose Blueprint and range are
    /// known.
    pub fn lint_dependencies(
        &self,
        versions: &BTreeMap<String, BTreeSet<Version>>,
    ) -> Vec<Problem> {
        upgrades::unserved(&self.text, &self.blueprint, versions, |index| {
            ["blueprint", "source", "version"]
                .iter()
                .all(|field| self.knows(&format!("/spec/depends/{index}/{field}")))
        })
    }
}

/// Whether a place is another, or lies in it.
fn is_at_or_below(pointer: &str, other: &str) -> bool {
    pointer
        .strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the manifests are by the files that are there, where those are of one kind.
fn kind_by_files(files: &Files) -> Option<ManifestKind> {
    let has = |folder: &str| files.keys().any(|path| path.starts_with(folder));
    match (has("chart/"), has("manifests/")) {
        (true, false) => Some(ManifestKind::HelmChart),
        (false, true) => Some(ManifestKind::Kustomize),
        _ => None,
    }
}

/// A file on its way to being read.
struct Mending {
    value: Value,
    text: String,
    problems: Vec<Problem>,
    kind_by_files: Option<ManifestKind>,
    /// Places of which a mistake was told; what is wrong there later follows from it.
    told: BTreeSet<String>,
    /// Places that are not what the author wrote.
    unknown: BTreeSet<String>,
}

impl Mending {
    fn new(text: &str, kind_by_files: Option<ManifestKind>) -> Self {
        Self {
            value: Value::Object(Map::new()),
            text: text.to_owned(),
            problems: Vec::new(),
            kind_by_files,
            told: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    fn doubt(&mut self, pointer: &str) {
        self.told.insert(pointer.to_owned());
        self.unknown.insert(pointer.to_owned());
    }

    fn mend(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mistakes = shape::mistakes(&self.text, &self.value);
            if mistakes.is_empty() {
                return;
            }
            let renamed = self.rename(&mistakes);
            let earlier = self.told.clone();
            for mistake in &mistakes {
                for (place, problem) in &mistake.problems {
                    let is_told = earlier.iter().any(|told| is_at_or_below(place, told));
                    if !is_told && !renamed.contains(place) {
                        self.problems.push(problem.clone());
                    }
                }
            }
            for mistake in &mistakes {
                self.put_right(mistake, &renamed);
            }
        }
    }

    /// Gives misspelt fields the name that is missing beside them; the places that are
    /// there now.
    fn rename(&mut self, mistakes: &[Mistake]) -> BTreeSet<String> {
        let mut renamed = BTreeSet::new();
        for mistake in mistakes {
            let What::Unknown(fields) = &mistake.what else {
                continue;
            };
            let known = shape::fields_at(&mistake.pointer);
            for field in fields {
                let near = suggest::nearest(field, known.iter().map(String::as_str));
                let map = self.value.pointer_mut(&mistake.pointer);
                let map = map.and_then(Value::as_object_mut);
                let (Some(near), Some(map)) = (near, map) else {
                    continue;
                };
                if map.contains_key(near) {
                    continue;
                }
                let value = map.remove(field).unwrap_or_default();
                map.insert(near.to_owned(), value);
                let from = format!("{}/{}", mistake.pointer, escape(field));
                self.text = with_field_renamed(&self.text, &from, field, near);
                renamed.insert(format!("{}/{near}", mistake.pointer));
            }
        }
        renamed
    }

    fn put_right(&mut self, mistake: &Mistake, renamed: &BTreeSet<String>) {
        match &mistake.what {
            What::Unknown(fields) => {
                for field in fields {
                    self.leave_out_unknown(&mistake.pointer, field);
                }
            }
            What::Missing(field) => {
                let place = format!("{}/{}", mistake.pointer, escape(field));
                if !renamed.contains(&place) {
                    self.supply(&place, field);
                }
            }
            What::Wrong => self.correct(&mistake.pointer),
        }
    }

    /// Takes a field out that nobody knows. It may have been meant for any field that
    /// is not there, takes such a value or has its name.
    fn leave_out_unknown(&mut self, pointer: &str, field: &str) {
        let map = self.value.pointer_mut(pointer);
        let Some(map) = map.and_then(Value::as_object_mut) else {
            return;
        };
        let Some(value) = map.remove(field) else {
            return;
        };
        let absent: Vec<String> = shape::fields_at(pointer)
            .into_iter()
            .filter(|name| !map.contains_key(name))
            .map(|name| format!("{pointer}/{name}"))
            .collect();
        let meant = absent
            .into_iter()
            .filter(|place| shape::takes(place, &value));
        self.unknown.extend(meant);
        let elsewhere = shape::places_of(field);
        let absent = elsewhere
            .into_iter()
            .filter(|place| self.value.pointer(place).is_none());
        self.unknown.extend(absent);
    }

    /// Stands in for a field that is missing, or leaves out what cannot be without it.
    fn supply(&mut self, place: &str, field: &str) {
        let (parent, _) = place.rsplit_once('/').unwrap_or_default();
        match self.stand_in(place) {
            Some(value) => {
                let map = self.value.pointer_mut(parent);
                if let Some(map) = map.and_then(Value::as_object_mut) {
                    map.insert(field.to_owned(), value);
                }
            }
            None => self.leave_out(parent),
        }
        self.doubt(place);
    }

    /// Puts right a value that is none of the kind asked for.
    fn correct(&mut self, pointer: &str) {
        let Some(value) = self.value.pointer(pointer).cloned() else {
            return;
        };
        self.told.insert(pointer.to_owned());
        let stand_in = self.stand_in(pointer);
        match (&value, stand_in) {
            // An empty field is one that says nothing.
            (Value::Null, Some(empty)) if is_size(pointer) => self.set(pointer, empty),
            (Value::Null, None) if !self.is_item(pointer) => {
                remove(&mut self.value, pointer);
            }
            (Value::Number(_) | Value::Bool(_), _) if shape::takes(pointer, &json!("")) => {
                self.set(pointer, Value::String(value.to_string()));
                self.unknown.insert(pointer.to_owned());
            }
            (_, Some(stand_in)) => {
                self.set(pointer, stand_in);
                self.unknown.insert(pointer.to_owned());
            }
            (_, None) => {
                self.leave_out(pointer);
                self.unknown.insert(pointer.to_owned());
            }
        }
    }

    fn set(&mut self, pointer: &str, value: Value) {
        if let Some(place) = self.value.pointer_mut(pointer) {
            *place = value;
        }
    }

    fn is_item(&self, pointer: &str) -> bool {
        let parent = pointer.rsplit_once('/').map(|(parent, _)| parent);
        parent
            .and_then(|parent| self.value.pointer(parent))
            .is_some_and(Value::is_array)
    }

    /// Leaves out what stands at a place; of a list all, as the places of its other
    /// items would not be theirs any more.
    fn leave_out(&mut self, pointer: &str) {
        let mut pointer = pointer;
        while self.is_item(pointer) {
            pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        remove(&mut self.value, pointer);
        self.doubt(pointer);
    }

    /// What stands for a field that must be there.
    fn stand_in(&self, pointer: &str) -> Option<Value> {
        let parts: Vec<&str> = pointer.split('/').skip(1).collect();
        Some(match parts.as_slice() {
            ["apiVersion"] => json!("catalyst.openova.io/v1alpha1"),
            ["kind"] => json!("Blueprint"),
            ["metadata", "name"] => json!(self.name_at(pointer)),
            ["spec", "version"] => json!("0.0.0"),
            ["spec", "card", "title" | "license"] => json!("-"),
            ["spec", "manifests", "source", "kind"] => {
                json!(self.kind_by_files.unwrap_or(ManifestKind::HelmChart))
            }
            ["spec", "depends", _, "blueprint"] => json!(self.name_at(pointer)),
            ["spec", "depends", _, "version"] => json!("*"),
            ["spec", "hostAccess", _, "reason"] => json!("-"),
            []
            | ["metadata" | "spec"]
            | ["spec", "card" | "manifests"]
            | ["spec", "manifests", "source"] => json!({}),
            _ if is_size(pointer) => json!({}),
            _ => return None,
        })
    }

    /// The name that was meant by what stands at a place.
    fn name_at(&self, pointer: &str) -> String {
        let text = self.value.pointer(pointer).and_then(Value::as_str);
        let text = text.unwrap_or_default().to_ascii_lowercase();
        let text = text.strip_prefix("bp-").unwrap_or(&text);
        let words: Vec<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let name = format!("bp-{}", words.join("-"));
        let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 63;
        match is_name {
            true => name,
            false => UNNAMED.to_owned(),
        }
    }

    fn read(mut self) -> Result<Reading, Vec<Problem>> {
        // What the shape cannot tell apart: `1.0.0-01` is no semantic version.
        const VERSION: &str = "/spec/version";
        let version = self.value.pointer(VERSION).and_then(Value::as_str);
        if version.is_some_and(|text| Version::parse(text).is_err()) {
            let line = locate::line_of_pointer(&self.text, VERSION);
            self.problems.push(shape::not_a_version(line));
            self.correct(VERSION);
        }
        self.problems.sort();
        self.problems.dedup();
        let blueprint = match serde_json::from_value::<Blueprint>(self.value) {
            Ok(blueprint) => blueprint,
            Err(error) => {
                self.problems.push(Blueprint::not_readable(&error));
                return Err(self.problems);
            }
        };
        let mut reading = Reading {
            kind: Some(blueprint.spec.manifests.source.kind),
            blueprint,
            problems: self.problems,
            text: self.text,
            unknown: self.unknown,
        };
        if !reading.knows("/spec/manifests/source/kind") {
            reading.kind = self.kind_by_files;
        }
        Ok(reading)
    }
}

/// Whether a place is one of the Blueprint's sizes.
fn is_size(pointer: &str) -> bool {
    pointer
        .strip_prefix("/spec/manifests/overlays/")
        .is_some_and(|size| !size.contains('/'))
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, field)) = pointer.rsplit_once('/') else {
        *value = Value::Object(Map::new());
        return;
    };
    let map = value.pointer_mut(parent).and_then(Value::as_object_mut);
    if let Some(map) = map {
        map.remove(&unescape(field));
    }
}

/// A text in which the field at a place has another name; no line moves.
fn with_field_renamed(text: &str, pointer: &str, field: &str, name: &str) -> String {
    let Some(line) = locate::line_of_pointer(text, pointer) else {
        return text.to_owned();
    };
    let renamed = text.split_inclusive('\n').enumerate();
    renamed
        .map(|(index, part)| match index + 1 == line {
            true => part.replacen(field, name, 1),
            false => part.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reading {
        let files = [(Blueprint::FILE, text), ("chart/Chart.yaml", "")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        Reading::of(&Files::from(files)).unwrap()
    }

    fn with(from: &str, to: &str) -> Reading {
        const GOOD: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Blueprint
metadata:
  name: bp-x
spec:
  version: 1.2.3
  card: {title: X, license: MIT}
  configSchema: {type: object}
  depends:
    - blueprint: bp-db
      version: ^1
    - {blueprint: bp-kv, version: ^2, alias: cache, when: config.cache}
  manifests:
    source: {kind: HelmChart}
    overlays: {small: {}}
  upgrades: {from: [1.1.x]}
";
        assert!(GOOD.contains(from), "{from}");
        read(&GOOD.replacen(from, to, 1))
    }

    #[test]
    fn what_is_in_order_is_read_as_ever_and_known() {
        let reading = with("", "");
        assert_eq!(reading.problems(), []);
        assert!(reading.knows_all("", &[]));
        assert!(reading.is_renderable());
        assert_eq!(
            Blueprint::parse(reading.text()).as_ref(),
            Ok(reading.blueprint())
        );
    }

    /// What is told, whether manifests can be rendered, and what is not known.
    type Case<'a> = ((&'a str, &'a str), &'a [&'a str], bool, &'a [&'a str]);

    #[test]
    fn one_mistake_is_told_once_and_leaves_the_rest_known() {
        let cases: &[Case<'_>] = &[
            // A misspelt field is read as what was meant.
            (
                ("version: 1.2.3", "verison: 1.2.3"),
                &["6 unknown-field"],
                true,
                &[],
            ),
            (
                ("      version: ^1\n", "      versoin: ^1\n"),
                &["11 unknown-field"],
                true,
                &[],
            ),
            (
                ("configSchema", "configschema"),
                &["8 unknown-field"],
                true,
                &[],
            ),
            // And what is wrong inside it comes with it.
            (
                ("card: {title: X, ", "crad: {colour: red, title: X, "),
                &["7 unknown-field", "7 unknown-field"],
                true,
                &[
                    "/spec/card/category",
                    "/spec/card/documentation",
                    "/spec/card/icon",
                    "/spec/card/tagline",
                ],
            ),
            // What nobody knows may be what is missing.
            (
                ("configSchema:", "settings:"),
                &["8 unknown-field"],
                false,
                &[
                    "/spec/configSchema",
                    "/spec/observability",
                    "/spec/owner",
                    "/spec/placementSchema",
                    "/spec/provides",
                ],
            ),
            (
                ("upgrades:", "colour: red\n  upgrades:"),
                &["16 unknown-field"],
                true,
                &["/spec/visibility"],
            ),
            (
                ("kind: Blueprint\n", "kind: Blueprint\noverlays: {}\n"),
                &["3 unknown-field"],
                true,
                &[],
            ),
            // What is missing, or of another kind, is stood in for or left out.
            (
                ("  version: 1.2.3\n", ""),
                &["5 missing-field"],
                true,
                &["/spec/version"],
            ),
            (
                ("version: 1.2.3", "version: 1.2"),
                &["6 wrong-value"],
                true,
                &["/spec/version"],
            ),
            (
                ("version: 1.2.3", "version: 1.2.3-01"),
                &["6 version"],
                true,
                &["/spec/version"],
            ),
            (
                ("name: bp-x", "name: X"),
                &["4 name"],
                true,
                &["/metadata/name"],
            ),
            (
                ("{type: object}", "[]"),
                &["8 wrong-value"],
                false,
                &["/spec/configSchema"],
            ),
            (
                ("{small: {}}", "{small: null}"),
                &["15 wrong-value"],
                true,
                &[],
            ),
            (
                ("{small: {}}", "{small: 1}"),
                &["15 wrong-value"],
                true,
                &["/spec/manifests/overlays/small"],
            ),
            (
                ("{kind: HelmChart}", "{kind: Helm}"),
                &["14 wrong-value"],
                true,
                &["/spec/manifests/source/kind"],
            ),
            (
                ("blueprint: bp-db", "blueprint: db"),
                &["10 name"],
                true,
                &["/spec/depends/0/blueprint"],
            ),
            (
                ("when: config.cache", "when: [1]"),
                &["12 wrong-value"],
                false,
                &["/spec/depends/1/when"],
            ),
            (
                ("[1.1.x]", "[1.1]"),
                &["16 wrong-value"],
                true,
                &["/spec/upgrades/from/0"],
            ),
            (
                ("upgrades: {from: [1.1.x]}", "provides: {http: {port: []}}"),
                &["16 wrong-value"],
                true,
                &["/spec/provides/http", "/spec/provides/http/port"],
            ),
        ];
        for ((from, to), told, is_renderable, unknown) in cases {
            let reading = with(from, to);
            let found: Vec<String> = reading
                .problems()
                .iter()
                .map(|it| format!("{} {}", it.line.unwrap(), it.rule))
                .collect();
            assert_eq!(found, *told, "{to}: {:?}", reading.problems());
            assert_eq!(reading.is_renderable(), *is_renderable, "{to}");
            let found: Vec<&str> = reading.unknown.iter().map(String::as_str).collect();
            assert_eq!(found, *unknown, "{to}");
            assert_eq!(reading.kind(), Some(ManifestKind::HelmChart), "{to}");
        }
    }

    #[test]
    fn lines_of_what_was_misspelt_are_found() {
        let reading = with("manifests:\n", "manifest:\n");
        let line = locate::line_of_pointer(reading.text(), "/spec/manifests/overlays");
        assert_eq!(line, Some(15));
    }

    #[test]
    fn of_what_is_no_blueprint_at_all_nothing_is_known() {
        for text in ["a: [1\nb: 2\n", "", "- 1\n", "text\n"] {
            let reading = read(text);
            assert_eq!(reading.problems().len(), 1, "{text:?}");
            assert!(!reading.is_renderable());
            assert!(!reading.knows("/metadata/name"));
            // There is a chart.
            assert_eq!(reading.kind(), Some(ManifestKind::HelmChart));
        }
    }
}
