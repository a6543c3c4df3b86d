//! Tests are built on the same dependencies as the release.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The features of every crate, by name and version. Of one that is built both for
/// this machine's build scripts and for the program, all sets that occur.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--workspace"])
        .args(["--prefix", "none", "--format", "{p}|{f}", "--edges", edges])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let Some((package, features)) = line.split_once('|') else {
            continue;
        };
        let features = features.trim_end_matches(" (*)").to_owned();
        found
            .entry(package.to_owned())
            .or_default()
            .insert(features);
    }
    found
}

#[test]
fn tests_ask_for_no_features_that_the_release_is_built_without() {
    let released = features("normal,build");
    let tested = features("normal,build,dev");
    assert!(released.len() > 100, "{} crates", released.len());
    let twice: Vec<String> = released
        .iter()
        .filter(|(package, features)| tested.get(*package) != Some(features))
        .map(|(package, features)| {
            format!(
                "{package}: {features:?}, with tests {:?}",
                tested.get(package)
            )
        })
        .collect();
    assert!(
        twice.is_empty(),
        "compiled twice, and all that use them; make what asks for the features a dependency outside of tests too:\n{}",
        twice.join("\n")
    );
}
