//! A crate's folder says what it may depend on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use cargo_metadata::MetadataCommand;

/// The tier of a crate and its folder's name, from its path below the root.
fn place(path: &str) -> (String, String) {
    let parts: Vec<&str> = path.trim_end_matches("/Cargo.toml").split('/').collect();
    match parts.as_slice() {
        ["core", "catalyst"] => ("catalyst".into(), "catalyst".into()),
        ["core", tier, folder] => ((*tier).into(), (*folder).into()),
        [outside, .., folder] => ((*outside).into(), (*folder).into()),
        other => panic!("no tier for {other:?}"),
    }
}

/// Whether a crate of tier `from` may use one of tier `to`.
fn allowed(from: &str, to: &str, to_folder: &str) -> bool {
    match from {
        "model" => to == "model",
        "logic" => matches!(to, "model" | "logic"),
        "control" => matches!(to, "model" | "logic" | "control"),
        "embedded" => matches!(to, "model" | "logic") || (to == "embedded" && to_folder == "store"),
        "catalyst" => true,
        "tests" => true,
        _ => false,
    }
}

#[test]
fn crates_depend_only_on_what_their_tier_may_use() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let root = metadata.workspace_root.as_str();
    let places: BTreeMap<String, (String, String)> = metadata
        .packages
        .iter()
        .map(|package| {
            let path = package
                .manifest_path
                .as_str()
                .strip_prefix(root)
                .unwrap()
                .trim_start_matches('/');
            (package.name.to_string(), place(path))
        })
        .collect();
    let mut edges = 0;
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let (tier, folder) = &places[package.name.as_str()];
        assert!(
            tier == "tests"
                || package.name.as_str() == "catalyst"
                || package.name.as_str() == format!("catalyst-{folder}"),
            "{} should be called catalyst-{folder}, after its folder",
            package.name
        );
        for dependency in &package.dependencies {
            // The store under the parts is part of every embedded crate; all
            // other edges count, development and build dependencies included.
            let Some((to, to_folder)) = places.get(dependency.name.as_str()) else {
                continue;
            };
            edges += 1;
            if !allowed(tier, to, to_folder) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(
        edges > 10,
        "only {edges} edges were seen: the check looks at the wrong thing"
    );
    assert!(
        wrong.is_empty(),
        "these dependencies cross tiers against docs/ARCHITECTURE.md:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn model_and_logic_stay_free_of_io_libraries() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let banned = [
        "tokio", "reqwest", "axum", "hyper", "redb", "rand", "nix", "rustix",
    ];
    let mut checked = 0;
    for package in &metadata.packages {
        let path = package.manifest_path.as_str();
        if !(path.contains("/core/model/") || path.contains("/core/logic/")) {
            continue;
        }
        checked += 1;
        for dependency in &package.dependencies {
            let kind = dependency.kind;
            assert!(
                kind != cargo_metadata::DependencyKind::Normal
                    || !banned.contains(&dependency.name.as_str()),
                "{} uses {}, which does I/O; logic takes values in and gives values out",
                package.name,
                dependency.name
            );
        }
    }
    assert!(checked > 4, "only {checked} crates were seen");
}
