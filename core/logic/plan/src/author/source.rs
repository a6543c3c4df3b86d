//! From a rendered object back to the file, and where it can be told the line, that
//! its author wrote.

use std::collections::BTreeMap;

use catalyst_blueprint::ManifestKind;
use serde_json::Value;

use crate::render::RenderedObject;

/// The files of a Blueprint's folder, path → bytes.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of a Blueprint's folder, ready to be looked things up in.
pub(crate) struct Sources<'a> {
    kind: ManifestKind,
    files: &'a Files,
    /// Every document of a Kustomize Blueprint: file, line, kind, name.
    documents: Vec<(&'a str, usize, String, String)>,
}

/// Where an object stands.
pub(crate) struct Source<'a> {
    /// Path in the Blueprint's folder.
    pub file: String,
    text: &'a str,
    /// Line of its document, from 1, where that is known.
    begins: Option<usize>,
}

impl<'a> Sources<'a> {
    pub fn new(kind: ManifestKind, files: &'a Files) -> Self {
        let mut documents = Vec::new();
        if kind == ManifestKind::Kustomize {
            for path in files.keys().filter(|path| path.starts_with("manifests/")) {
                let found = catalyst_yaml::documents_with_lines(text_of(files, path));
                for (line, document) in found.unwrap_or_default() {
                    let text = |pointer: &str| {
                        let value = document.pointer(pointer).and_then(Value::as_str);
                        value.unwrap_or_default().to_owned()
                    };
                    documents.push((path.as_str(), line, text("/kind"), text("/metadata/name")));
                }
            }
        }
        Self {
            kind,
            files,
            documents,
        }
    }

    /// Where an object was made from; the chart or the base as a whole where its
    /// own file cannot be told.
    pub fn of(&self, rendered: &RenderedObject) -> Source<'a> {
        let found = match &rendered.template {
            Some(template) => {
                let file = template
                    .split_once('/')
                    .map(|(_, path)| format!("chart/{path}"))
                    .filter(|path| self.files.contains_key(path));
                file.map(|file| (file, None))
            }
            None => self.document(&rendered.object),
        };
        let (file, begins) = found.unwrap_or_else(|| (self.whole().to_owned(), None));
        Source {
            text: text_of(self.files, &file),
            file,
            begins,
        }
    }

    /// The document of this kind and name; of several, the base's stands first.
    fn document(&self, object: &Value) -> Option<(String, Option<usize>)> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (kind, name) = (text("/kind")?, text("/metadata/name")?);
        self.documents
            .iter()
            .find(|(_, _, k, n)| k == kind && n == name)
            .map(|(file, line, _, _)| ((*file).to_owned(), Some(*line)))
    }

    /// The file that stands for all manifests.
    pub fn whole(&self) -> &'static str {
        match self.kind {
            ManifestKind::HelmChart => "chart/Chart.yaml",
            ManifestKind::Kustomize => "manifests/base/kustomization.yaml",
        }
    }
}

impl Source<'_> {
    /// The line (from 1) of the first of these texts that stands in the document, and
    /// else the one on which it begins. A text that `anchor` comes before is looked
    /// for below it, as far as `anchor` is there.
    pub fn line(&self, anchor: &str, texts: &[&str]) -> Option<usize> {
        let begins = self.begins.unwrap_or(1);
        let lines: Vec<(usize, &str)> = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .skip(begins.saturating_sub(1))
            .collect();
        let from = lines
            .iter()
            .position(|(_, line)| !anchor.is_empty() && line.contains(anchor))
            .unwrap_or(0);
        let below = lines.get(from..).unwrap_or_default();
        texts
            .iter()
            .find_map(|text| below.iter().find(|(_, line)| line.contains(text)))
            .map(|(number, _)| *number)
            .or(self.begins)
    }
}

/// A file's text; empty where it is none.
pub(crate) fn text_of<'a>(files: &'a Files, path: &str) -> &'a str {
    files
        .get(path)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// The file and line of a template that a message of Helm's is about: the innermost
/// that it names. `chart` is the chart's name.
pub(crate) fn place_in_message(
    files: &Files,
    chart: &str,
    message: &str,
) -> Option<(String, Option<usize>)> {
    let start = format!("{chart}/");
    let mut found = None;
    for (at, _) in message.match_indices(&start) {
        let rest = message.get(at + start.len()..).unwrap_or_default();
        let mut parts = rest.split([':', ' ', ')', '"', '\n']);
        let file = format!("chart/{}", parts.next().unwrap_or_default());
        if !files.contains_key(&file) {
            continue;
        }
        let line: Option<usize> = parts.next().and_then(|text| text.parse().ok());
        // Without a line only where nothing better is said.
        if line.is_some() || found.is_none() {
            found = Some((file, line));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_s_messages_name_the_innermost_template() {
        let files: Files = ["chart/templates/a.yaml", "chart/templates/_b.tpl"]
            .into_iter()
            .map(|path| (path.to_owned(), Vec::new()))
            .collect();
        for (message, expected) in [
            (
                "cannot render chart bp-x: execution error at (bp-x/templates/a.yaml:5:4): no",
                Some(("chart/templates/a.yaml", Some(5))),
            ),
            (
                "template: bp-x/templates/a.yaml:1:3: executing \"bp-x/templates/a.yaml\" at <include \"b\" .>: error calling include: template: bp-x/templates/_b.tpl:7:2: executing \"b\"",
                Some(("chart/templates/_b.tpl", Some(7))),
            ),
            (
                "cannot read what bp-x/templates/a.yaml of chart bp-x rendered",
                Some(("chart/templates/a.yaml", None)),
            ),
            ("bp-x/templates/gone.yaml:1:1", None),
        ] {
            let expected = expected.map(|(file, line)| (file.to_owned(), line));
            assert_eq!(place_in_message(&files, "bp-x", message), expected);
        }
    }
}
