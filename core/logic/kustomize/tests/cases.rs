//! Every folder of `tests/cases` against what the real `kubectl kustomize`
//! (1.32, kustomize 5.5) answered: `in/` is the source, `out.yaml` its output,
//! or `refused.txt` a part of our error where kubectl refuses too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalyst_kustomize::{Options, build_text};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn source(case: &Path) -> (BTreeMap<String, Vec<u8>>, &'static str) {
    let mut files = BTreeMap::new();
    read(&case.join("in"), "", &mut files);
    let folder = if files.contains_key("overlay/kustomization.yaml") {
        "overlay"
    } else {
        "."
    };
    (files, folder)
}

#[test]
fn every_case_answers_as_kubectl_does() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 160, "only {} cases", cases.len());
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let (files, folder) = source(case);
        let answer = build_text(&files, folder, &Options::default());
        match std::fs::read_to_string(case.join("refused.txt")) {
            Ok(part) => match answer {
                Ok(text) => wrong.push(format!("{name}: was not refused:\n{text}")),
                Err(error) if error.to_string().contains(part.trim()) => {}
                Err(error) => wrong.push(format!("{name}: {error}\ndoes not say {part}")),
            },
            Err(_) => {
                let expected = std::fs::read_to_string(case.join("out.yaml")).unwrap();
                match answer {
                    Ok(text) if text == expected => {}
                    Ok(text) => {
                        wrong.push(format!("{name}:\n{}", first_difference(&text, &expected)))
                    }
                    Err(error) => wrong.push(format!("{name}: {error}")),
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

fn first_difference(ours: &str, theirs: &str) -> String {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    let at = (0..ours.len().max(theirs.len()))
        .find(|at| ours.get(*at) != theirs.get(*at))
        .unwrap_or(0);
    let part = |lines: &[&str]| {
        lines[at.saturating_sub(4).min(lines.len())..lines.len().min(at + 6)].join("\n    ")
    };
    format!(
        "  line {}\n  ours:\n    {}\n  kubectl:\n    {}",
        at + 1,
        part(&ours),
        part(&theirs)
    )
}
