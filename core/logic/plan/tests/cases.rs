//! The cases under a Blueprint's `tests/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use catalyst_blueprint::Blueprint;
use catalyst_plan::{CaseOutcome, run_cases};
use catalyst_schema::SchemaSet;
use serde_json::{Value, json};

const BLUEPRINT: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Blueprint
metadata: {name: bp-wiki}
spec:
  version: 1.0.0
  card: {title: Wiki, license: MIT}
  configSchema:
    type: object
    additionalProperties: false
    properties: {title: {type: string}}
  manifests:
    source: {kind: HelmChart}
    overlays: {large: {title: Large}}
";

const TEMPLATE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  title: {{ .Values.title }}
";

/// The schemas that the API serves.
fn schemas() -> Arc<SchemaSet> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../embedded");
    let bytes = std::fs::read(root.join("kubernetes/data/schemas.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let definitions: Value = serde_json::from_str(&text).unwrap();
    SchemaSet::parse(&json!({"components": {"schemas": definitions}})).unwrap()
}

fn run(template: &str, cases: &[(&str, &str)]) -> Vec<CaseOutcome> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, text) in [
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: bp-wiki\nversion: 1.0.0\n",
        ),
        ("chart/values.yaml", "title: Wiki\n"),
        ("chart/templates/all.yaml", template),
    ]
    .iter()
    .chain(cases)
    {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    run_cases(&Blueprint::parse(BLUEPRINT).unwrap(), &files, &schemas())
}

#[test]
fn what_is_rendered_is_what_is_expected() {
    let first = run(TEMPLATE, &[("tests/large/size", "large\n")]);
    assert_eq!(first.len(), 1);
    let case = &first[0];
    assert_eq!(case.name, "large");
    assert_eq!(case.expected_file(), "tests/large/expected.yaml");
    assert_eq!(case.problems, Vec::<String>::new());
    assert!(!case.is_passed(), "nothing is expected yet");
    let rendered = case.rendered.clone().unwrap();
    assert!(
        rendered.starts_with(
            "---\n# Source: bp-wiki/templates/all.yaml\napiVersion: v1\ndata:\n  title: Large\n"
        ),
        "{rendered}"
    );
    assert!(!rendered.contains("blueprint-version"), "{rendered}");
    let expected = [
        ("tests/large/size", "large\n"),
        ("tests/large/expected.yaml", rendered.as_str()),
        ("tests/README.md", "no case"),
    ];
    let second = run(TEMPLATE, &expected);
    assert_eq!(second.len(), 1);
    assert!(second[0].is_passed(), "{second:?}");
    let changed = TEMPLATE.replace("title: {{", "heading: {{");
    let third = run(&changed, &expected);
    assert!(!third[0].is_passed());
    for line in [
        "--- a/tests/large/expected.yaml",
        "-  title: Large",
        "+  heading: Large",
    ] {
        assert!(
            third[0].diff.lines().any(|it| it == line),
            "{}",
            third[0].diff
        );
    }
}

#[test]
fn a_case_says_what_its_application_is_made_of_and_how_it_ends_up() {
    let outcomes = run(
        TEMPLATE,
        &[
            ("tests/a/config.yaml", "title: Mine\n"),
            ("tests/a/size", "large\n"),
            ("tests/b/phase", "Failed\n"),
            ("tests/c/phase", "Perhaps\n"),
        ],
    );
    let [mine, failing, unknown] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    let case = mine.case.as_ref().unwrap();
    assert_eq!(Value::Object(case.config.clone()), json!({"title": "Mine"}));
    assert_eq!(case.size.as_deref(), Some("large"));
    assert_eq!(case.phase, "Running");
    assert_eq!(failing.case.as_ref().unwrap().phase, "Failed");
    assert_eq!(unknown.case, None);
    assert_eq!(unknown.problems, ["phase holds neither Running nor Failed"]);
}

#[test]
fn configs_sizes_and_renderings_that_fail_are_told() {
    let outcomes = run(
        TEMPLATE,
        &[
            ("tests/a-config/config.yaml", "titel: Mine\n"),
            ("tests/b-size/size", "huge"),
            ("tests/c-yaml/config.yaml", "a: [\n"),
            ("tests/d-list/config.yaml", "[]\n"),
        ],
    );
    let told: Vec<&str> = outcomes
        .iter()
        .map(|it| it.problems.first().map_or("", String::as_str))
        .collect();
    assert_eq!(
        told[0],
        "config.yaml: config.titel: there is no such property; did you mean `title`?"
    );
    assert!(
        told[1].contains("has no size \"huge\"; choose large"),
        "{told:?}"
    );
    assert!(told[2].starts_with("config.yaml is not YAML: "), "{told:?}");
    assert_eq!(told[3], "config.yaml holds no map");
    let broken = run("{{ fail \"no\" }}", &[("tests/a/size", "")]);
    assert!(
        broken[0].problems[0].contains("templates/all.yaml:1"),
        "{broken:?}"
    );
    assert_eq!(broken[0].rendered, None);
}

#[test]
fn objects_fit_the_schemas_of_their_kinds() {
    let definition = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pages.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Page, plural: pages, singular: page, listKind: PageList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
---
";
    let problems = |template: &str| {
        let outcome = run(template, &[("tests/a/size", "")]).remove(0);
        (outcome.problems, outcome.unchecked)
    };
    let page = "apiVersion: example.org/v1\nkind: Page\nmetadata: {name: home}\nspec: {size: big, colour: red}\n";
    let (found, unchecked) = problems(&format!("{definition}{page}"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("Page home: spec.size"), "{found:?}");
    assert_eq!(found[1], "Page home: unknown field \"spec.colour\"");
    assert!(unchecked.is_empty());
    let (found, unchecked) = problems(page);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(unchecked, ["Page home (example.org/v1)"]);
    let (found, _) = problems(
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: web}], selectors: {a: b}}\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "Service x: unknown field \"spec.selectors\"");
    let (found, _) = problems("apiVersion: apps/v2\nkind: Deployment\nmetadata: {name: x}\n");
    assert_eq!(
        found,
        ["Deployment x: Kubernetes has no kind Deployment in apps/v2"]
    );
}
