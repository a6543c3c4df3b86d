//! Lint: everything at once, with place, rule and remedy.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use catalyst_blueprint::{Blueprint, lint};

fn folder(blueprint: &str, extra: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([
        ("blueprint.yaml".to_owned(), blueprint.as_bytes().to_vec()),
        ("README.md".to_owned(), b"# It".to_vec()),
        (
            "chart/Chart.yaml".to_owned(),
            b"apiVersion: v2\nname: bp-wordpress\nversion: 1.3.0\n".to_vec(),
        ),
        ("chart/templates/a.yaml".to_owned(), Vec::new()),
    ]);
    for (path, text) in extra {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    files
}

fn shown(files: &BTreeMap<String, Vec<u8>>) -> String {
    lint(files)
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

const GOOD: &str = r#"apiVersion: catalyst.openova.io/v1alpha1
kind: Blueprint
metadata: {name: bp-wordpress}
spec:
  version: 1.3.0
  card: {title: WordPress, tagline: Sites, category: web, tags: [cms], icon: card/icon.svg, license: GPL-2.0-or-later, documentation: "https://wordpress.org"}
  visibility: listed
  owner: {team: web, contact: web@example.org}
  configSchema:
    type: object
    additionalProperties: false
    properties:
      apiKey: {type: string, x-catalyst-secret: true}
      postgres: {type: object, properties: {mode: {enum: [embedded, existing], default: embedded}}}
  placementSchema: {modes: [single-region], minRegions: 1, maxRegions: 5}
  depends:
    - {blueprint: bp-postgres, version: ^1.4, alias: db, when: "config.postgres.mode == 'embedded'", values: {databases: ["${application.name}"]}}
  manifests:
    source: {kind: HelmChart}
    overlays: {small: {}, medium: {replicas: 2}, large: {}}
  provides: {connectionSecret: {keys: [url, username, password], values: {url: "http://${host}"}}, http: {port: web}}
  upgrades: {from: [1.2.x], blocks: [1.0.x]}
  rotation: [{kind: oauth-client-secret, name: client, ttl: 90d}]
  observability: {metrics: prometheus, logs: stdout, traces: otlp}
"#;

#[test]
fn the_specification_s_own_example_has_no_problem() {
    assert_eq!(shown(&folder(GOOD, &[("card/icon.svg", "<svg/>")])), "");
    let blueprint = Blueprint::parse(GOOD).unwrap();
    assert_eq!(blueprint.spec.depends[0].alias(), "db");
    let again = Blueprint::from_value(serde_json::to_value(&blueprint).unwrap()).unwrap();
    assert_eq!(again, blueprint);
}

#[test]
fn mistakes_of_shape_come_all_at_once() {
    let text = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata:\n  name: wordpress\nspec:\n  verison: 1.3.0\n  version: 1.3.0+build\n  card:\n    title: W\n    colour: red\n  visibility: everybody\n  depends:\n    - blueprint: bp-postgres\n      versoin: ^1\n  manifests: {source: {kind: HelmChart}}\n";
    insta::assert_snapshot!(shown(&folder(text, &[])));
}

#[test]
fn mistakes_of_meaning_come_all_at_once() {
    let text = GOOD
        .replace("^1.4", "one.four")
        .replace("== 'embedded'", "= =")
        .replace("${application.name}", "${application.name")
        .replace("additionalProperties: false", "title: open")
        .replace(
            "x-catalyst-secret: true",
            "x-catalyst-secret: true, default: hunter2",
        )
        .replace("minRegions: 1", "minRegions: 9")
        .replace("keys: [url,", "keys: [url, url,")
        .replace("1.2.x", "1.2.y")
        .replace("https://wordpress", "http://wordpress");
    let mut files = folder(
        &text,
        &[(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: wordpress\nversion: 1.2.0\n",
        )],
    );
    files.remove("README.md");
    let found = shown(&files);
    assert!(!found.contains("hunter2"));
    insta::assert_snapshot!(found);
}

#[test]
fn a_schema_that_fetches_is_refused_with_its_line() {
    let text = GOOD.replace(
        "apiKey: {type: string, x-catalyst-secret: true}",
        "apiKey: {$ref: \"https://example.com/secret.json\"}",
    );
    let found = shown(&folder(&text, &[("card/icon.svg", "")]));
    assert!(
        found.starts_with("blueprint.yaml:13: [schema-remote]"),
        "{found}"
    );
}

#[test]
fn kustomize_takes_scalars_only() {
    let text = GOOD.replace("kind: HelmChart", "kind: Kustomize").replace(
        "overlays: {small: {}, medium: {replicas: 2}, large: {}}",
        "overlays: {small: {}}",
    );
    let found = shown(&folder(
        &text,
        &[
            ("card/icon.svg", ""),
            ("manifests/base/kustomization.yaml", ""),
        ],
    ));
    assert!(
        found.contains("[kustomize-scalar] `postgres` is not a scalar"),
        "{found}"
    );
    assert!(
        found.contains("manifests/overlays/small/kustomization.yaml"),
        "{found}"
    );
}

#[test]
fn unreadable_files_are_told_with_their_line() {
    let found = shown(&folder("a: [1\nb: 2\n", &[]));
    assert!(found.contains("[yaml]"), "{found}");
    assert!(shown(&BTreeMap::new()).contains("no blueprint.yaml"));
    let upgrades = Blueprint::parse(GOOD).unwrap().spec.upgrades;
    let version = |text: &str| text.parse().unwrap();
    assert!(upgrades.check(&version("1.2.7"), &version("1.3.0")).is_ok());
    assert!(
        upgrades
            .check(&version("1.0.1"), &version("1.3.0"))
            .unwrap_err()
            .contains("refuses upgrades from 1.0.x")
    );
    assert!(
        upgrades
            .check(&version("1.1.0"), &version("1.3.0"))
            .unwrap_err()
            .contains("1.2.x only")
    );
}
