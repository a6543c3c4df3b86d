//! `clusters/<sovereign-fqdn>/` as Flux reads it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;

use catalyst_provisioner::{Config, render};

fn config(more: &str) -> Config {
    let text = format!(
        "sovereignFqdn: acme.cloud.example
region: hel
sshPublicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
adminCidrs: [203.0.113.7/32]
gitUrl: https://git.example/sovereigns
acmeEmail: ops@acme.example
{more}"
    );
    Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap()
}

#[test]
fn settings_say_what_differs() {
    let files = render::render(&config(
        "envType: poc\nworkerCount: 0\ncontrolPlaneCount: 1\n",
    ));
    let settings = files
        .iter()
        .find(|file| file.path == "settings.yaml")
        .unwrap();
    insta::assert_snapshot!(settings.text, @r#"
    # What differs from one Sovereign to the next; written by `catalyst provision render`.
    # Nothing in it is secret.
    apiVersion: v1
    data:
      acme_email: ops@acme.example
      clustered: "false"
      host_cluster: hz-hel-mgt-poc
      location: hel1
      location_code: hlmc
      pod_cidr: 10.42.0.0/16
      replicas: "1"
      sovereign_fqdn: acme.cloud.example
      sovereign_name: acme-cloud-example
    kind: ConfigMap
    metadata:
      name: sovereign-settings
      namespace: flux-system
    "#);
}

#[test]
fn settings_have_the_keys_of_the_template() {
    let template = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../clusters/_template/settings.yaml"
    ))
    .unwrap();
    let keys = |text: &str| {
        let object = catalyst_yaml::from_str(text).unwrap();
        let mut keys: Vec<String> = object["data"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    };
    let files = render::render(&config(""));
    let settings = files
        .iter()
        .find(|file| file.path == "settings.yaml")
        .unwrap();
    assert_eq!(keys(&settings.text), keys(&template));
}

#[test]
fn replicas_follow_the_nodes_that_carry_workloads_and_one_is_no_cluster() {
    for (nodes, expected) in [
        ("controlPlaneCount: 3\nworkerCount: 0\n", 3),
        ("controlPlaneCount: 3\nworkerCount: 2\n", 1),
        ("controlPlaneCount: 1\nworkerCount: 3\n", 3),
    ] {
        assert_eq!(config(nodes).derived().replicas, expected, "{nodes}");
        let files = render::render(&config(nodes));
        let settings = files.iter().find(|file| file.path == "settings.yaml");
        let settings = catalyst_yaml::from_str(&settings.unwrap().text).unwrap();
        let clustered = (expected > 1).to_string();
        assert_eq!(settings["data"]["clustered"], clustered, "{nodes}");
    }
}

#[test]
fn every_file_names_the_sovereigns_folder() {
    let files = render::render(&config(""));
    assert!(files.len() > 40, "only {} files", files.len());
    for file in &files {
        assert!(!file.text.contains("_template/"), "{}", file.path);
    }
    let parts = render::parts();
    assert_eq!(parts.first().map(String::as_str), Some("gateway-api"));
    assert_eq!(parts.last().map(String::as_str), Some("catalyst"));
    for part in &parts {
        let path = format!("path: ./clusters/acme.cloud.example/parts/{part}\n");
        assert!(files.iter().any(|file| file.text.contains(&path)), "{path}");
    }
    // Catalyst's own chart is not published yet, and no provider of vclusters fits.
    assert_eq!(render::held_back(), ["cluster-api", "vcluster", "catalyst"]);
}

#[test]
fn flux_has_the_versions_that_the_first_control_plane_installs() {
    let other = "ciliumVersion: 1.99.1\ngatewayApiVersion: v1.99.2\nfluxVersion: v2.99.3\n";
    for more in ["", other] {
        let config = config(more);
        let variables = config.variables();
        for (path, word, variable) in [
            ("parts/cilium/release.yaml", "version", "cilium_version"),
            (
                "parts/gateway-api/source.yaml",
                "tag",
                "gateway_api_version",
            ),
            ("parts/flux/source.yaml", "tag", "flux_version"),
        ] {
            let files = render::render(&config);
            let file = files.iter().find(|file| file.path == path).unwrap();
            let version = variables[variable].as_str().unwrap();
            let line = format!(" {word}: {version}\n");
            assert_eq!(file.text.matches(&line).count(), 1, "{line}: {}", file.text);
        }
    }
}

#[test]
fn what_keeps_one_volume_is_gone_before_its_successor_comes() {
    let files = render::render(&config(""));
    let release = files
        .iter()
        .find(|file| file.path == "parts/gitea/release.yaml")
        .unwrap();
    let documents = catalyst_yaml::documents(&release.text).unwrap();
    let release = documents
        .iter()
        .find(|it| it["kind"] == "HelmRelease")
        .unwrap();
    let values = &release["spec"]["values"];
    assert_eq!(values["replicaCount"], 1);
    assert_eq!(values["strategy"]["type"], "Recreate");
}

#[test]
fn rendering_again_changes_nothing_and_replaces_nothing_unasked() {
    let root = tempfile::tempdir().unwrap();
    let (folder, changed) = render::write(&config(""), root.path(), false).unwrap();
    assert_eq!(folder, root.path().join("clusters/acme.cloud.example"));
    assert!(changed > 40);
    assert_eq!(render::write(&config(""), root.path(), false).unwrap().1, 0);
    let others = || render::others(&config(""), root.path()).unwrap();
    assert_eq!(others(), Vec::<String>::new());
    fs::write(folder.join("99-old.yaml"), "").unwrap();
    assert_eq!(others(), ["99-old.yaml"]);

    let settings = folder.join("settings.yaml");
    fs::write(&settings, "mine").unwrap();
    let refused = render::write(&config(""), root.path(), false)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("one file would be replaced: settings.yaml"),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(&settings).unwrap(), "mine");
    assert_eq!(render::write(&config(""), root.path(), true).unwrap().1, 1);
}

#[test]
fn where_nothing_was_rendered_nothing_else_lies() {
    let root = tempfile::tempdir().unwrap();
    let others = render::others(&config(""), root.path()).unwrap();
    assert_eq!(others, Vec::<String>::new());
}
