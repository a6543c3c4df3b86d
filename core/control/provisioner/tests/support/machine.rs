//! What tests ask of the machine: the real OpenTofu, and what lies in a folder.

use std::path::{Path, PathBuf};

/// The real OpenTofu; `None` where the test is left out, visibly.
pub fn binary() -> Option<PathBuf> {
    match std::env::var_os("CATALYST_TOFU") {
        Some(path) => {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "CATALYST_TOFU names {}, which is no file",
                path.display()
            );
            Some(path)
        }
        None if std::env::var_os("CATALYST_REQUIRE_TOFU").is_some() => {
            panic!(
                "CATALYST_TOFU is not set: run tests/real/provisioner/run, which builds OpenTofu"
            )
        }
        None => {
            eprintln!("left out: CATALYST_TOFU names no OpenTofu; `make test-real` runs this");
            None
        }
    }
}

/// Every file below a folder, with its content.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

pub fn holds(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
