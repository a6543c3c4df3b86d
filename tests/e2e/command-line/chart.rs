//! `chart template` prints what helm prints, and `kustomize build` builds.

use std::os::unix::fs::PermissionsExt as _;
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

/// A chart's folder whose only template is this one.
fn chart_of(home: &Home, template: &str) -> String {
    home.write(
        "demo/Chart.yaml",
        "apiVersion: v2\nname: demo\nversion: 1.0.0\n",
    );
    home.write("demo/values.yaml", "a: 1\n");
    home.write(
        "demo/values.schema.json",
        r#"{"properties": {"port": {"type": "integer"}}}"#,
    );
    home.write("demo/templates/t.yaml", template);
    home.path("demo").display().to_string()
}

#[test]
fn what_helm_warns_of_is_on_standard_error() {
    let home = Home::new("");
    let chart = chart_of(&home, "kind: T\n");
    let outcome = home.run(&["chart", "template", "rel", &chart, "--set", "a.b=1"]);
    let expected = "warning: skipped value for demo.a: Not a table.\n";
    assert_eq!(outcome.err, expected);
    assert!(outcome.out.contains("kind: T"), "{}", outcome.out);
}

#[test]
fn schemas_are_left_out_only_where_that_is_asked_for() {
    let home = Home::new("");
    let chart = chart_of(&home, "kind: T\n");
    let words = ["chart", "template", "rel", &chart, "--set", "port=x"];
    assert!(home.run(&words).failed().contains("at '/port'"));
    let mut words = words.to_vec();
    words.push("--skip-schema-validation");
    assert!(home.run(&words).worked().contains("kind: T"));
}

#[test]
fn names_are_looked_up_only_where_that_is_asked_for() {
    let home = Home::new("");
    let chart = chart_of(&home, "a: {{ getHostByName \"127.0.0.1\" | quote }}\n");
    let words = ["chart", "template", "rel", &chart];
    let outcome = home.run(&words);
    assert!(outcome.worked().ends_with("a: \"\"\n"), "{}", outcome.out);
    let mut words = words.to_vec();
    words.push("--enable-dns");
    let outcome = home.run(&words);
    let expected = "a: \"127.0.0.1\"\n";
    assert!(outcome.worked().ends_with(expected), "{}", outcome.out);
}

#[test]
fn what_is_no_yaml_is_shown_with_debug() {
    let home = Home::new("");
    let chart = chart_of(&home, "kind: T\na: b: c\n");
    let outcome = home.run(&["chart", "template", "rel", &chart]);
    assert_eq!(outcome.out, "");
    assert!(outcome.failed().contains("--debug"), "{}", outcome.err);
    let outcome = home.run(&["chart", "template", "rel", &chart, "--debug"]);
    let expected = "---\n# Source: demo/templates/t.yaml\nkind: T\na: b: c\n";
    assert!(outcome.out.starts_with(expected), "{}", outcome.out);
    assert!(outcome.failed().contains("demo/templates/t.yaml"));
}

#[test]
fn a_folder_without_a_kustomization_is_called_as_the_user_called_it() {
    let home = Home::new("");
    home.write("notes/.git/HEAD", "");
    let folder = home.path("notes").display().to_string();
    let outcome = home.run(&["kustomize", "build", &folder]);
    let expected = format!("in {folder:?}");
    assert!(outcome.failed().contains(&expected), "{}", outcome.err);
}

fn kitchen() -> String {
    let folder = root().join("tests/e2e/command-line/charts/kitchen");
    folder.display().to_string()
}

#[test]
fn a_post_renderer_that_fails_is_heard_and_nothing_is_printed() {
    let home = Home::new("");
    let chart = kitchen();
    let program = |name: &str, lines: &str| {
        let path = home.write(name, &format!("#!/bin/sh\n{lines}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let refuses = program(
        "refuses",
        "cat >/dev/null; echo no such overlay >&2; exit 3",
    );
    let is_silent = program("is-silent", "echo 'a: 1'; exit 4");
    let is_no_text = program("is-no-text", "printf '\\377'");
    let nowhere = "/nowhere/program";
    for (given, expected) in [
        (refuses.as_str(), "exit status: 3"),
        (refuses.as_str(), "no such overlay"),
        (is_silent.as_str(), "exit status: 4"),
        (is_silent.as_str(), "did not say why"),
        (is_no_text.as_str(), "answered with what is no text"),
        (nowhere, "cannot run the post-renderer /nowhere/program"),
    ] {
        let words = ["chart", "template", "rel", &chart, "--post-renderer", given];
        let outcome = home.run(&words);
        assert!(
            outcome.failed().contains(expected),
            "{given}: {}",
            outcome.err
        );
        assert_eq!(outcome.out, "", "{given}");
    }
    // Words for a program that is not named, or whose work would be lost.
    for words in [
        &["--post-renderer-args", "x"][..],
        &["--post-renderer", "cat", "--output-dir", "out"],
    ] {
        let words = [&["chart", "template", "rel", &chart][..], words].concat();
        assert_eq!(home.run(&words).code, 2, "{words:?}");
    }
}

#[test]
fn manifests_are_written_to_the_files_of_their_templates() {
    let home = Home::new("");
    let chart = kitchen();
    let plain = home.run(&["chart", "template", "rel", &chart, "--include-crds"]);
    let words = [
        "chart",
        "template",
        "rel",
        &chart,
        "--include-crds",
        "--output-dir",
        "out",
    ];
    let mut words = words.to_vec();
    let files = [
        "kitchen/charts/inner/templates/config.yaml",
        "kitchen/crds/widget.yaml",
        "kitchen/templates/config.yaml",
        "kitchen/templates/hook.yaml",
        "kitchen/templates/service.yaml",
        "kitchen/templates/tests/test.yaml",
    ];
    // A second time gives the same files.
    for _ in 0..2 {
        let outcome = home.run(&words);
        let mut said: Vec<&str> = outcome
            .worked()
            .lines()
            .filter(|it| !it.is_empty())
            .collect();
        said.sort_unstable();
        said.dedup();
        let wrote: Vec<String> = files.iter().map(|it| format!("wrote out/{it}")).collect();
        assert_eq!(said, wrote);
        let mut whole = String::new();
        for file in files {
            let text = std::fs::read_to_string(home.path("out").join(file)).unwrap();
            assert!(
                text.starts_with(&format!("---\n# Source: {file}\n")),
                "{text}"
            );
            whole.push_str(&text);
        }
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.retain(|line| !line.is_empty());
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&whole), sorted(plain.worked()));
    }
    // Definitions are no release's own.
    words.push("--release-name");
    home.run(&words).worked();
    assert!(home.path("out/rel/kitchen/templates/hook.yaml").exists());
    assert!(!home.path("out/rel/kitchen/crds").exists());
}

#[test]
fn a_chart_without_its_dependencies_is_not_rendered() {
    let home = Home::new("");
    let chart = root().join("tests/e2e/command-line/charts/lacking");
    let outcome = home.run(&["chart", "template", "rel", chart.to_str().unwrap()]);
    let expected = "found in Chart.yaml, but missing in charts/ directory: absent, other";
    assert!(outcome.failed().contains(expected), "{}", outcome.err);
}

#[test]
fn keys_and_certificates_of_charts_are_as_good_as_helms() {
    let home = Home::new("");
    let made = home.write(
        "made/Chart.yaml",
        "apiVersion: v2\nname: made\nversion: 1.0.0\n",
    );
    let made = Path::new(&made).parent().unwrap().display().to_string();
    home.write(
        "made/templates/secret.yaml",
        r#"{{ $ca := genCA "ca" 365 -}}
apiVersion: v1
kind: Secret
metadata: {name: made}
stringData:
  cert: {{ $ca.Cert | quote }}
  key: {{ $ca.Key | quote }}
  ecdsa: {{ genPrivateKey "ecdsa" | quote }}
  ed25519: {{ genPrivateKey "ed25519" | quote }}
"#,
    );
    let used = home.write(
        "used/Chart.yaml",
        "apiVersion: v2\nname: used\nversion: 1.0.0\n",
    );
    let used = Path::new(&used).parent().unwrap().display().to_string();
    home.write(
        "used/templates/secret.yaml",
        r#"{{ $ca := buildCustomCert (b64enc .Values.cert) (b64enc .Values.key) -}}
apiVersion: v1
kind: Secret
metadata: {name: used}
stringData:
  rsa: {{ (genSignedCert "web" nil (list "web.example") 30 $ca).Cert | quote }}
  ecdsa: {{ (genSignedCertWithKey "web" nil (list "web.example") 30 $ca .Values.ecdsa).Cert | quote }}
  ed25519: {{ (genSignedCertWithKey "web" nil (list "web.example") 30 $ca .Values.ed25519).Cert | quote }}
"#,
    );
    let render = |helm: Option<&std::ffi::OsStr>, words: &[&str]| {
        let mut command = match helm {
            Some(helm) => {
                let mut command = std::process::Command::new(helm);
                command.arg("template").args(words);
                command
            }
            None => home.command(&[&["chart", "template"][..], words].concat()),
        };
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let outcome = crate::support::finish(command.spawn().unwrap());
        let documents = catalyst_yaml::documents(outcome.worked()).unwrap();
        documents[0]["stringData"].clone()
    };
    let der = |pem: &serde_json::Value| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(pem.label, "CERTIFICATE");
        pem.contents
    };
    let helm = std::env::var_os("CATALYST_HELM");
    if helm.is_none() {
        println!("not run beside helm: CATALYST_HELM is not set");
    }
    // Each makes an authority, and each signs with either's.
    let programs: Vec<Option<&std::ffi::OsStr>> = [Some(None), helm.as_deref().map(Some)]
        .into_iter()
        .flatten()
        .collect();
    for maker in &programs {
        let authority = render(*maker, &["r", &made]);
        let values = home.write("values.yaml", &authority.to_string());
        let certificate = der(&authority["cert"]);
        let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).unwrap();
        for signer in &programs {
            let signed = render(*signer, &["r", &used, "-f", &values]);
            for (kind, leaf) in signed.as_object().unwrap() {
                let leaf = der(leaf);
                let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
                assert_eq!(leaf.issuer().as_raw(), certificate.subject().as_raw());
                leaf.verify_signature(Some(certificate.public_key()))
                    .unwrap_or_else(|why| panic!("{kind}, {maker:?}, {signer:?}: {why}"));
            }
        }
    }
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
            // What packs a chart leaves out what its .helmignore names.
            "--exclude=*.bak",
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
