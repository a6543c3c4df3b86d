//! What holds for every workflow of `.github/workflows`. Their form is judged by
//! actionlint, in the lane `tests/real/provisioner`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

/// Name and text of each.
fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.github/workflows");
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// What stands behind a key, on lines of their own or in a list.
fn behind<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("- ").unwrap_or(line);
            line.strip_prefix(key)
        })
        .collect()
}

#[test]
fn actions_are_pinned() {
    let mut pinned = 0;
    for (name, text) in workflows() {
        for action in behind(&text, "uses: ") {
            let action = action.split_whitespace().next().unwrap();
            let (_, at) = action.split_once('@').unwrap();
            let is_digest = at.len() == 40 && at.bytes().all(|byte| byte.is_ascii_hexdigit());
            // One whose digest could not be read from a source is told apart.
            assert!(
                is_digest || text.contains(&format!("# {action} could not")),
                "{name}: {action} is not pinned"
            );
            pinned += 1;
        }
    }
    assert!(pinned > 0);
}

#[test]
fn each_job_asks_for_its_rights_and_ends() {
    for (name, text) in workflows() {
        assert!(text.contains("\npermissions: {}\n"), "{name}");
        // It would run a stranger's code with this repository's secrets.
        assert!(!text.contains("pull_request_target"), "{name}");
        let count = |key: &str| text.lines().filter(|line| line.starts_with(key)).count();
        let jobs = count("    runs-on: ");
        assert!(jobs > 0, "{name}");
        assert_eq!(count("    permissions:"), jobs, "{name}");
        assert_eq!(count("    timeout-minutes: "), jobs, "{name}");
    }
}

/// Whoever may push a tag on which something is signed may sign.
#[test]
fn the_tags_of_releases_are_told_to_be_protected() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/BLUEPRINT-AUTHORING.md");
    let document = std::fs::read_to_string(document).unwrap();
    let protected = document.split("protect its release tags").nth(1).unwrap();
    let workflows = workflows();
    let (_, text) = workflows
        .iter()
        .find(|(name, _)| name == "blueprint-release.yaml")
        .unwrap();
    let (_, behind) = text.split_once("    tags:\n").unwrap();
    let tags: Vec<&str> = behind
        .lines()
        .map_while(|line| line.strip_prefix("      - "))
        .collect();
    assert!(!tags.is_empty());
    for tag in tags {
        assert!(protected.contains(&format!("`{tag}`")), "{tag}");
    }
}
