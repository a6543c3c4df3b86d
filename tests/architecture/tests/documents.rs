//! What the documents name is there: paths, tests, links, crates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

/// Folders that paths in the documents begin with.
const TOP: [&str; 8] = [
    "core", "docs", "examples", "infra", "platform", "products", "tests", "tools",
];
/// Folders below `core/`, which the documents leave out.
const TIERS: [&str; 6] = [
    "catalyst", "console", "control", "embedded", "logic", "model",
];

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().unwrap()
}

/// Everything below a folder that is not built or fetched; a file alone is itself.
fn below(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_owned());
    if !path.is_dir() {
        return;
    }
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !matches!(name, "node_modules" | "target" | "dist" | ".git") {
            below(&path, found);
        }
    }
}

/// README, CONTRIBUTING and all of `docs`, by path below the root.
fn documents(root: &Path) -> Vec<(String, String)> {
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    below(&root.join("docs"), &mut found);
    found.retain(|path| path.extension().is_some_and(|one| one == "md"));
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            (name.to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The path that a word in backticks names, if it is one of this repository.
fn path_of(word: &str) -> Option<String> {
    if word.contains([' ', '<', '*', '…']) {
        return None;
    }
    let (first, _) = word.split_once('/')?;
    if TOP.contains(&first) {
        return Some(word.to_owned());
    }
    TIERS.contains(&first).then(|| format!("core/{word}"))
}

/// Whether a folder or file has a module, a folder or a function of this name; `…`
/// stands for how a function's name goes on.
fn has(base: &Path, name: &str) -> bool {
    let begin = name.trim_end_matches('…');
    let is_cut = begin != name;
    let mut paths = Vec::new();
    below(base, &mut paths);
    paths.iter().any(|path| {
        let is_source = path.extension().is_some_and(|one| one == "rs");
        if path.ends_with(name) || (is_source && path.with_extension("").ends_with(name)) {
            return true;
        }
        if !is_source {
            return false;
        }
        let text = std::fs::read_to_string(path).unwrap();
        text.split("fn ").skip(1).any(|rest| {
            let rest = rest.strip_prefix(begin);
            rest.is_some_and(|rest| is_cut || rest.starts_with(['(', '<']))
        })
    })
}

/// What a line names: paths, and in brackets after one what is found there.
#[derive(Default)]
struct Named {
    paths: Vec<String>,
    parts: Vec<(String, String)>,
    targets: usize,
}

fn named(line: &str) -> Named {
    let mut named = Named::default();
    let mut is_inside = false;
    let mut follows_a_path = false;
    for (number, pieces) in line.split('`').collect::<Vec<_>>().chunks(2).enumerate() {
        let [before, word] = pieces else {
            break;
        };
        if number > 0 && follows_a_path && before.trim() == "(" {
            is_inside = true;
        } else if before.contains(')') {
            is_inside = false;
        }
        follows_a_path = false;
        if is_inside {
            let base = named.paths.last().unwrap().clone();
            named.parts.push((base, (*word).to_owned()));
        } else if let Some(path) = path_of(word) {
            named.paths.push(path);
            follows_a_path = true;
        } else if word.starts_with("make ") {
            named.targets += 1;
        }
    }
    named
}

#[test]
fn a_line_names_paths_and_what_is_in_them() {
    let line = "| Works | `tests/e2e/faults` (`deletion`, `a_full_…`), `logic/plan`: `make bench` (`it`) `system/x` |";
    let named = named(line);
    assert_eq!(named.paths, ["tests/e2e/faults", "core/logic/plan"]);
    let of = |part: &str| ("tests/e2e/faults".to_owned(), part.to_owned());
    assert_eq!(named.parts, [of("deletion"), of("a_full_…")]);
    assert_eq!(named.targets, 1);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, is_there) in [
        ("documents", true),
        ("tests/documents.rs", true),
        ("tests/documents", true),
        ("a_line_names_paths_and_what_is_in_them", true),
        ("a_line_names_…", true),
        ("a_line_names_", false),
        ("document", false),
    ] {
        assert_eq!(has(here, name), is_there, "{name}");
    }
}

#[test]
fn what_the_documents_name_is_there() {
    let root = root();
    let mut wrong = Vec::new();
    let (mut paths, mut parts) = (0, 0);
    for (document, text) in documents(&root) {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{document}:{}", number + 1);
            let named = named(line);
            paths += named.paths.len();
            parts += named.parts.len();
            for path in named.paths {
                if !root.join(&path).exists() {
                    wrong.push(format!("{place}: there is no {path}"));
                }
            }
            for (base, name) in named.parts {
                if root.join(&base).exists() && !has(&root.join(&base), &name) {
                    wrong.push(format!("{place}: there is no {name} in {base}"));
                }
            }
            for link in line.split("](").skip(1) {
                let link = link.split([')', '#']).next().unwrap();
                let folder = Path::new(&document).parent().unwrap();
                let is_elsewhere = link.contains("://") || link.is_empty();
                if !is_elsewhere && !root.join(folder).join(link).exists() {
                    wrong.push(format!("{place}: the link {link} leads nowhere"));
                }
            }
        }
    }
    assert!(
        paths > 100 && parts > 30,
        "only {paths} paths and {parts} parts were seen: the check looks at the wrong thing"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_claim_of_what_works_names_where_it_is_shown() {
    let status = std::fs::read_to_string(root().join("docs/STATUS.md")).unwrap();
    let works = status.split("\n## ").find(|one| one.starts_with("Works\n"));
    let rows: Vec<&str> = works
        .expect("STATUS.md says what works")
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| what | test |")
        .collect();
    assert!(rows.len() > 30, "only {} rows were seen", rows.len());
    for row in rows {
        let claim_and_test: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [claim, test] = claim_and_test.as_slice() else {
            panic!("not two columns: {row}");
        };
        let named = named(test);
        assert!(
            !named.paths.is_empty() || named.targets > 0,
            "{claim}: {test:?} names no test"
        );
    }
}

#[test]
fn the_map_of_crates_is_whole() {
    let map = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let rows: BTreeSet<String> = map
        .split_once("| crate | job |")
        .unwrap()
        .1
        .lines()
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with('|'))
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let core = metadata.workspace_root.join("core");
    let crates: BTreeSet<String> = metadata
        .packages
        .iter()
        .filter_map(|package| {
            let folder = package.manifest_path.parent()?;
            let name = folder.strip_prefix(&core).ok()?.as_str();
            // The binary holds all of them; the map is of what it holds.
            (name != "catalyst").then(|| name.to_owned())
        })
        .chain(["console".to_owned()])
        .collect();
    assert_eq!(rows, crates);
}
