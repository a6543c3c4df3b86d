//! `chart template` prints what helm prints, and `kustomize build` builds.

use std::path::{Path, PathBuf};

use crate::support::Home;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn charts_come_out_as_helm_printed_them() {
    let home = Home::new("");
    let folder = root().join("tests/e2e/command-line/charts");
    let cases = std::fs::read_to_string(folder.join("cases.txt")).unwrap();
    let mut compared = 0;
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let (name, words) = line.split_once(": ").unwrap();
        let mut words: Vec<&str> = ["chart", "template"]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        // As the recorder does: what a helm says by itself depends on its build.
        if !words.contains(&"--kube-version") {
            words.extend(["--kube-version", "v1.34.0"]);
        }
        let mut command = home.command(&words);
        let outcome = crate::support::finish(command.current_dir(root()).spawn().unwrap());
        let expected =
            std::fs::read_to_string(folder.join(format!("expected/{name}.txt"))).unwrap();
        if name.ends_with("-refuses") {
            // The same place and words; what stands around them is ours.
            let said = outcome.failed();
            assert!(said.contains(expected.trim()), "{name}: {said}");
        } else {
            assert_eq!(outcome.worked(), expected, "{name}");
        }
        compared += 1;
    }
    assert!(compared > 10, "only {compared} cases were found");
}

#[test]
fn an_archive_renders_as_its_folder_does() {
    let home = Home::new("");
    let charts = root().join("tests/e2e/command-line/charts");
    let archive = home.path("kitchen.tgz");
    let packed = std::process::Command::new("tar")
        .args([
            "czf",
            archive.to_str().unwrap(),
            "-C",
            charts.to_str().unwrap(),
            "kitchen",
        ])
        .status()
        .unwrap();
    assert!(packed.success());
    let folder = charts.join("kitchen").display().to_string();
    let from_folder = home.run(&["chart", "template", "r", &folder]);
    let from_archive = home.run(&["chart", "template", "r", archive.to_str().unwrap()]);
    assert_eq!(from_folder.worked(), from_archive.worked());
    let outcome = home.run(&["chart", "template", "r", "nowhere"]);
    assert!(
        outcome.failed().contains("cannot read the chart nowhere"),
        "{}",
        outcome.err
    );
}

#[test]
fn what_a_folder_links_to_outside_is_not_read() {
    let home = Home::new("");
    home.write("secret", "s");
    home.write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    );
    std::os::unix::fs::symlink(home.path("secret"), home.path("chart/link")).unwrap();
    let outcome = home.run(&["chart", "template", "chart"]);
    assert!(
        outcome.failed().contains("leads out of the folder"),
        "{}",
        outcome.err
    );
}

#[test]
fn kustomizations_are_built_with_the_bases_beside_them() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki", "--kind", "kustomize"])
        .worked();
    // Beyond its own folder, up to the Blueprint's or where it is told.
    for root in [&["--root", "wiki"][..], &[]] {
        let build = ["kustomize", "build", "wiki/manifests/overlays/large"];
        let outcome = home.run(&[&build[..], root].concat());
        let objects = catalyst_yaml::documents(outcome.worked()).unwrap();
        let replicas: Vec<_> = objects
            .iter()
            .filter(|object| object["kind"] == "Deployment")
            .map(|object| object["spec"]["replicas"].clone())
            .collect();
        assert_eq!(replicas, [3], "{root:?}");
    }
}
