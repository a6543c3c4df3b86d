//! What becomes of a rendered chart: text as helm prints it, what a post-renderer makes
//! of it, some of its templates, or files.
//!
//! Called by `chart`. What must stay true: nothing is written outside the folder that
//! is named, and a post-renderer that fails leaves nothing printed.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write as _};
use std::path::{Component, Path};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};
use catalyst_helm::Rendered;

use super::failure::{Hinted, hinted};

/// Bytes that a post-renderer may answer with.
const LARGEST: u64 = 256 << 20;
/// Bytes of its complaints that are read.
const COMPLAINTS: u64 = 1 << 20;

/// A manifest: the path of its template, and its text.
pub type Manifest<'a> = (&'a str, &'a str);

/// The files of `crds/`: helm prints each as it is, its last line's end included.
pub fn definitions(rendered: &Rendered) -> Vec<(&str, String)> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for crd in &rendered.crds {
        match files.last_mut() {
            Some((path, text)) if *path == crd.path => {
                text.push_str("---\n");
                text.push_str(&crd.content);
                text.push('\n');
            }
            _ => files.push((&crd.path, format!("{}\n", crd.content))),
        }
    }
    files
}

/// Manifests one after the other, each below its template's path.
pub fn joined<'a>(manifests: impl IntoIterator<Item = Manifest<'a>>) -> String {
    let mut text = String::new();
    for (path, content) in manifests {
        text.push_str(&document(path, content));
    }
    text
}

fn document(path: &str, content: &str) -> String {
    format!("---\n# Source: {path}\n{content}\n")
}

/// What a program answers that is given the manifests on its standard input.
///
/// # Errors
/// With the program's own words, where it cannot be run or is not content.
pub fn post_rendered(program: &str, args: &[String], manifests: &str) -> anyhow::Result<String> {
    let attempt = format!("cannot run the post-renderer {program}");
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            Hinted::new(
                attempt.as_str(),
                "name a program in PATH, or the path of one; what it is to be told goes into --post-renderer-args",
            )
        })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (answer, complaints) = thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // It need not read everything: what counts is how it ends.
                let _ = stdin.write_all(manifests.as_bytes());
            }
        });
        let complaints = scope.spawn(move || read(stderr, COMPLAINTS));
        let answer = read(stdout, LARGEST);
        (answer, complaints.join().unwrap_or_default())
    });
    let status = child.wait().with_context(|| attempt.clone())?;
    if answer.len() as u64 >= LARGEST {
        bail!("the post-renderer {program} answered with more than {LARGEST} bytes");
    }
    if !status.success() {
        let said = String::from_utf8_lossy(&complaints);
        let said = match said.trim_end() {
            "" => "it did not say why".to_owned(),
            said => format!("it said:\n{said}"),
        };
        return Err(hinted(
            format!("the post-renderer {program} failed ({status}); {said}"),
            "it is given the manifests on its standard input, hooks aside; try it on what --no-hooks prints",
        ));
    }
    String::from_utf8(answer)
        .map_err(|_| anyhow::anyhow!("the post-renderer {program} answered with what is no text"))
}

/// What comes, up to a bound; a pipe that breaks ends it.
fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(most).read_to_end(&mut bytes);
    }
    bytes
}

/// The documents of `text` whose templates fit the patterns, pattern by pattern.
///
/// # Errors
/// Where a pattern fits none.
pub fn chosen(text: &str, patterns: &[String]) -> anyhow::Result<String> {
    let documents = split(text);
    let mut chosen = String::new();
    for pattern in patterns {
        let fitting: Vec<&str> = documents
            .iter()
            .filter(|document| source(document).is_some_and(|path| matches(pattern, path)))
            .copied()
            .collect();
        if fitting.is_empty() {
            bail!("could not find template {pattern} in chart");
        }
        for document in fitting {
            chosen.push_str(&format!("---\n{document}\n"));
        }
    }
    Ok(chosen)
}

/// The documents of a text, as helm splits it: at every line that begins with three
/// dashes, without blanks around them.
fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text.trim();
    let mut end = match rest.starts_with("---") {
        true => Some(0),
        false => next_line_of_dashes(rest),
    };
    loop {
        let (document, after) = match end.and_then(|at| rest.split_at_checked(at)) {
            Some((document, after)) => (document, after.strip_prefix("---")),
            None => (rest, None),
        };
        if !document.trim().is_empty() {
            documents.push(document.trim());
        }
        let Some(after) = after else {
            return documents;
        };
        rest = after.trim_start();
        end = next_line_of_dashes(rest);
    }
}

fn next_line_of_dashes(text: &str) -> Option<usize> {
    text.find("\n---").map(|at| at + 1)
}

/// The path of a document's template below its chart.
fn source(document: &str) -> Option<&str> {
    document.lines().find_map(|line| {
        let (_, path) = line.split_once("# Source: ")?;
        let (chart, inner) = path.split_once('/')?;
        (!chart.is_empty() && !inner.is_empty()).then_some(inner)
    })
}

/// Whether a path is like a pattern; `*` and `?` stand for anything but a slash.
fn matches(pattern: &str, path: &str) -> bool {
    fn inner(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                inner(rest, path)
                    || path
                        .split_first()
                        .is_some_and(|(first, left)| *first != b'/' && inner(pattern, left))
            }
            (Some((b'?', rest)), Some((first, left))) => *first != b'/' && inner(rest, left),
            (Some((wanted, rest)), Some((first, left))) => wanted == first && inner(rest, left),
            _ => false,
        }
    }
    inner(pattern.as_bytes(), path.as_bytes())
}

/// Writes each manifest to the file that its template's path names below `folder`, and
/// says which, as helm does. Documents of one template follow each other in its file.
///
/// # Errors
/// Where a path leads elsewhere, before anything is written; or a file cannot be.
pub fn write<'a>(
    folder: &Path,
    manifests: impl IntoIterator<Item = Manifest<'a>>,
) -> anyhow::Result<String> {
    let manifests: Vec<Manifest<'a>> = manifests.into_iter().collect();
    for (path, _) in &manifests {
        let is_inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_inside {
            bail!("cannot write {path}: it leads out of {}", folder.display());
        }
    }
    let mut begun = HashSet::new();
    let mut said = String::new();
    for (path, content) in manifests {
        let file = folder.join(path);
        let attempt = || format!("cannot write {}", file.display());
        if let Some(above) = file.parent() {
            fs::create_dir_all(above).with_context(attempt)?;
        }
        let is_new = begun.insert(path);
        let mut options = OpenOptions::new();
        let mut open = options
            .create(true)
            .write(true)
            .truncate(is_new)
            .append(!is_new)
            .open(&file)
            .with_context(attempt)?;
        open.write_all(document(path, content).as_bytes())
            .with_context(attempt)?;
        said.push_str(&format!("wrote {}\n", file.display()));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_chosen_by_name_or_pattern() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        };
        check("templates/a.yaml", "templates/a.yaml", true);
        check("templates/*.yaml", "templates/a.yaml", true);
        check("templates/*", "templates/x/a.yaml", false);
        check("templates/?.yaml", "templates/a.yaml", true);
        check("templates/b.yaml", "templates/a.yaml", false);
        check("a", "templates/a.yaml", false);
    }

    #[test]
    fn documents_end_where_a_line_begins_with_dashes() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text), expected, "{text:?}");
        check("", &[]);
        check("a: 1", &["a: 1"]);
        check("---\na: 1\n---\nb: 2\n", &["a: 1", "b: 2"]);
        check("a: 1\n\n---   \n\nb: 2\n---\n", &["a: 1", "b: 2"]);
        check("a: x---y\n  ---\n", &["a: x---y\n  ---"]);
        check(
            "---\n# Source: c/t.yaml\na: 1\n--- # x\nb: 2",
            &["# Source: c/t.yaml\na: 1", "# x\nb: 2"],
        );
    }

    #[test]
    fn what_is_chosen_comes_pattern_by_pattern() {
        let text = joined([
            ("c/templates/a.yaml", "a: 1"),
            ("c/templates/b.yaml", "b: 1"),
            ("c/templates/a.yaml", "a: 2"),
        ]);
        let of = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|it| (*it).to_owned()).collect();
            chosen(&text, &patterns).map_err(|error| error.to_string())
        };
        assert_eq!(
            of(&["templates/b.yaml", "templates/a*"]).unwrap(),
            "---\n# Source: c/templates/b.yaml\nb: 1\n\
             ---\n# Source: c/templates/a.yaml\na: 1\n\
             ---\n# Source: c/templates/a.yaml\na: 2\n"
        );
        assert_eq!(
            of(&["templates/a.yaml", "x"]).unwrap_err(),
            "could not find template x in chart"
        );
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("out");
        for path in ["c/../../x", "/x", "../x", "c/./../../x"] {
            let error = write(&inside, [("c/a.yaml", "a: 1"), (path, "b: 1")]).unwrap_err();
            assert!(
                error.to_string().contains("leads out of"),
                "{path}: {error}"
            );
        }
        assert!(!inside.exists(), "not by halves either");
    }
}
