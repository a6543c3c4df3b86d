//! The private directory: one run at a time, one Sovereign, nobody else's to read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use catalyst_provisioner::directory::{Directory, DirectoryError};
use catalyst_provisioner::record::{Record, Step};

const SOVEREIGN: &str = "omantel.example";

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_record_is_kept_and_is_private() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    let directory = Directory::open(&path, SOVEREIGN).unwrap();
    assert!(directory.read().unwrap().is_none());
    let now = jiff::Timestamp::now();
    let mut record = Record::new(SOVEREIGN, now);
    record.begin(Step::Preflight, now);
    record.finish(
        Step::Preflight,
        now,
        "digest",
        [("tofu".to_owned(), "1.12.6".to_owned())].into(),
    );
    directory.save(&record).unwrap();
    // What a run that was cut off in the middle of writing left behind.
    fs::write(path.join("provision.json.new"), "{").unwrap();
    directory.save(&record).unwrap();
    assert_eq!(directory.read().unwrap(), Some(record.clone()));
    assert_eq!(Directory::look(&path, SOVEREIGN).unwrap(), record);
    assert_eq!(Directory::look_at(&path).unwrap(), record);
    let nothing = Directory::look_at(root.path()).unwrap_err().to_string();
    assert!(nothing.contains("nothing was begun in"), "{nothing}");
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("provision.json")), 0o600);
    assert_eq!(mode(&path.join("lock")), 0o600);
}

#[test]
fn two_runs_at_once_are_refused_and_the_first_is_named() {
    let root = tempfile::tempdir().unwrap();
    let first = Directory::open(root.path(), SOVEREIGN).unwrap();
    let error = Directory::open(root.path(), SOVEREIGN).unwrap_err();
    assert!(matches!(error, DirectoryError::Busy { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains(&format!("process {}", std::process::id())),
        "{said}"
    );
    drop(first);
    Directory::open(root.path(), SOVEREIGN).unwrap();
}

#[test]
fn the_directory_of_another_sovereign_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::open(root.path(), SOVEREIGN).unwrap();
    directory
        .save(&Record::new(SOVEREIGN, jiff::Timestamp::now()))
        .unwrap();
    drop(directory);
    let before = fs::read(root.path().join("provision.json")).unwrap();
    for error in [
        Directory::open(root.path(), "acme.example")
            .map(drop)
            .unwrap_err(),
        Directory::look(root.path(), "acme.example")
            .map(drop)
            .unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .contains("it is the directory of omantel.example"),
            "{error}"
        );
    }
    assert_eq!(
        fs::read(root.path().join("provision.json")).unwrap(),
        before
    );
}

#[test]
fn a_folder_with_other_files_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.txt"), "").unwrap();
    let error = Directory::open(root.path(), SOVEREIGN)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no record of a Sovereign"), "{error}");
}

#[test]
fn a_record_that_cannot_be_understood_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(Directory::open(root.path(), SOVEREIGN).unwrap());
    for (text, expected) in [
        ("{", "cannot read the record"),
        (
            r#"{"version":9,"sovereign":"omantel.example","begun":"2026-01-01T00:00:00Z"}"#,
            "it has the form 9",
        ),
    ] {
        fs::write(root.path().join("provision.json"), text).unwrap();
        let error = Directory::open(root.path(), SOVEREIGN)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let nothing = tempfile::tempdir().unwrap();
    let error = Directory::look(nothing.path(), SOVEREIGN)
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing was begun"), "{error}");
}
