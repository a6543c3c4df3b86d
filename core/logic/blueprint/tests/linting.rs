//! Lint: everything at once, with place, rule and remedy.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use catalyst_blueprint::{Blueprint, RULES, Reading, lint, lint_dependencies};

fn folder(blueprint: &str, extra: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([
        ("blueprint.yaml".to_owned(), blueprint.as_bytes().to_vec()),
        ("README.md".to_owned(), b"# It".to_vec()),
        (
            "chart/Chart.yaml".to_owned(),
            b"apiVersion: v2\nname: bp-wordpress\nversion: 1.3.0\n".to_vec(),
        ),
        (
            "chart/templates/a.yaml".to_owned(),
            b"key: {{ .Values.apiKey }}\nreplicas: {{ .Values.replicas }}\n".to_vec(),
        ),
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
fn mistakes_of_shape_hide_no_others() {
    // A field nobody knows, a value of another kind and a bad name; and beside them
    // a range, an expression, a link, an icon and a schema that are wrong.
    let text = GOOD
        .replace("name: bp-wordpress", "name: WordPress")
        .replace("visibility: listed", "visibility: listed\n  colour: 1")
        .replace("minRegions: 1", "minRegions: many")
        .replace("^1.4", "one.four")
        .replace("== 'embedded'", "= =")
        .replace("1.2.x", "1.2.y")
        .replace("https://wordpress", "http://wordpress")
        .replace(
            "type: string, x-catalyst-secret",
            "type: integer, x-catalyst-secret",
        );
    let files = folder(
        &text,
        &[
            ("card/icon.svg", "<svg>\n<script/></svg>"),
            (
                "chart/Chart.yaml",
                "apiVersion: v2\nname: bp-other\nversion: 1.2.0\n",
            ),
        ],
    );
    let found: Vec<String> = lint(&files)
        .iter()
        .map(|it| format!("{}:{} {}", it.file, it.line.unwrap(), it.rule))
        .collect();
    assert_eq!(
        found,
        [
            "blueprint.yaml:3 name",
            "blueprint.yaml:6 link",
            "blueprint.yaml:8 unknown-field",
            "blueprint.yaml:14 secret-type",
            "blueprint.yaml:16 wrong-value",
            "blueprint.yaml:18 expression",
            "blueprint.yaml:18 range",
            "blueprint.yaml:23 range",
            "card/icon.svg:2 icon",
            // The name is no one's to compare with; the version is.
            "chart/Chart.yaml:3 chart-identity",
        ]
    );
}

#[test]
fn of_a_file_that_is_not_yaml_the_folder_is_judged() {
    let mut files = folder("a: [1\nb: 2\n", &[("chart/Chart.yaml", "a: [1\n")]);
    files.remove("README.md");
    let found: Vec<String> = lint(&files)
        .iter()
        .map(|it| format!("{} {}", it.file, it.rule))
        .collect();
    assert_eq!(
        found,
        [
            "README.md missing-file",
            "blueprint.yaml yaml",
            "chart/Chart.yaml yaml"
        ]
    );
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
fn what_is_wrong_with_a_schema_comes_all_at_once() {
    let text = GOOD.replace(
        "apiKey: {type: string, x-catalyst-secret: true}",
        "apiKey: {type: integer, x-catalyst-secret: true}\n      far: {$ref: \"https://example.com/a.json\"}\n      odd: {type: strng}\n      most: {maximum: many}\n      slip: {type: string, x-catalyst-secrt: true}",
    );
    let found: Vec<String> = lint(&folder(&text, &[("card/icon.svg", "<svg/>")]))
        .iter()
        .map(|it| format!("{} {}", it.line.unwrap(), it.rule))
        .collect();
    assert_eq!(
        found,
        [
            "13 secret-type",
            "14 schema-remote",
            "15 schema-invalid",
            "16 schema-invalid",
            "17 catalyst-word",
        ]
    );
}

#[test]
fn a_secret_has_no_values_in_the_schema() {
    for (property, told) in [
        (
            "{type: string, x-catalyst-secret: true, const: hunter2}",
            Some("`const`"),
        ),
        (
            "{type: string, x-catalyst-secret: true, enum: [hunter2], examples: [hunter2]}",
            Some("`enum`, `examples`"),
        ),
        // Beside a reference to what is marked, or marked beside one.
        (
            "{$ref: \"#/$defs/key\", default: hunter2}",
            Some("`default`"),
        ),
        (
            "{$ref: \"#/$defs/plain\", x-catalyst-secret: true}",
            Some("`examples`"),
        ),
        ("{$ref: \"#/$defs/key\"}", None),
        ("{type: string, examples: [example.org]}", None),
    ] {
        let text = GOOD
            .replace("{type: string, x-catalyst-secret: true}", property)
            .replace(
                "    properties:\n",
                "    $defs: {key: {type: string, x-catalyst-secret: true}, plain: {type: string, examples: [hunter2]}}\n    properties:\n",
            );
        let found = shown(&folder(&text, &[("card/icon.svg", "<svg/>")]));
        match told {
            Some(words) => {
                let start = "blueprint.yaml:14: [secret-default] a secret has values";
                assert!(found.starts_with(start), "{property}: {found}");
                assert!(found.contains(words), "{property}: {found}");
                assert!(!found.contains("hunter2"), "{found}");
                assert_eq!(found.lines().count(), 1, "{found}");
            }
            None => assert_eq!(found, "", "{property}"),
        }
    }
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

/// A Blueprint with this schema of its config, one property a line, and these files.
fn with_config(kind: &str, properties: &str, files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let text = format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: bp-wordpress}}\nspec:\n  version: 1.3.0\n  card: {{title: W, license: MIT}}\n  configSchema:\n    type: object\n    additionalProperties: false\n    properties:\n{properties}  manifests: {{source: {{kind: {kind}}}, overlays: {{small: {{}}}}}}\n"
    );
    let mut files = folder(&text, files);
    if kind == "HelmChart" {
        files.insert("chart/templates/a.yaml".to_owned(), Vec::new());
    }
    files
}

#[test]
fn what_is_set_must_arrive_in_a_chart() {
    let template = "chart/templates/b.yaml";
    for (properties, files, expected) in [
        // Reached by a template, by a group above it, by all values at once, by a
        // value of the chart, by a chart inside, by an expression.
        (
            "      title: {type: string}\n",
            &[(template, "{{ .Values.title | quote }}")][..],
            "",
        ),
        (
            "      storage: {type: object, properties: {size: {type: string}}}\n",
            &[(template, "{{- with $.Values.storage }}{{ .size }}{{ end }}")],
            "",
        ),
        (
            "      title: {type: string}\n",
            &[(template, "{{ toYaml .Values }}")],
            "",
        ),
        (
            "      title: {type: string}\n",
            &[
                ("chart/values.yaml", "title: x\n"),
                (template, "{{ index .Values \"title\" }}"),
            ],
            "",
        ),
        (
            "      cache: {type: object, properties: {size: {type: string}}}\n",
            &[("chart/charts/cache/Chart.yaml", "")],
            "",
        ),
        (
            "      title: {type: string}\n      storage: {type: object, properties: {size: {type: string}, kind: {type: string}}}\n",
            &[(template, "{{ .Values.storage.size }} {{ .Values.titles }}")],
            "blueprint.yaml:11: [config-unused] no value of the chart takes the property `title`; use it, or remove it: what is set there changes nothing\n\
             blueprint.yaml:12: [config-unused] no value of the chart takes the property `storage.kind`; use it, or remove it: what is set there changes nothing\n\
             chart/templates/b.yaml:1: warning [value-unknown] the template uses `.Values.titles`, which nothing sets; give `titles` a default in chart/values.yaml, or correct its name\n",
        ),
        (
            "      title: {type: string}\n",
            &[("chart/values.yaml", "# Shown on top.\ntitle: x\n")],
            "chart/values.yaml:2: warning [value-unused] no template uses the value `title`; use it, or remove it\n",
        ),
    ] {
        assert_eq!(
            shown(&with_config("HelmChart", properties, files)),
            expected
        );
    }
}

#[test]
fn a_size_sets_what_the_chart_has() {
    let overlays = |text: &str| {
        let files = [
            ("chart/values.yaml", "replicas: 1\n"),
            ("chart/templates/b.yaml", "{{ .Values.replicas }}"),
        ];
        let mut files = with_config("HelmChart", "      replicas: {type: integer}\n", &files);
        let blueprint = String::from_utf8(files["blueprint.yaml"].clone()).unwrap();
        let blueprint = blueprint.replace("small: {}", text);
        files.insert("blueprint.yaml".to_owned(), blueprint.into_bytes());
        shown(&files)
    };
    assert_eq!(overlays("small: {replicas: 2}"), "");
    assert_eq!(
        overlays("small: {replcas: 2}"),
        "blueprint.yaml:12: warning [value-unused] the size `small` sets `replcas`, which the chart does not have; correct its name, or remove it\n"
    );
}

#[test]
fn what_is_set_must_arrive_in_manifests() {
    let base = [
        ("manifests/base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("manifests/overlays/small/kustomization.yaml", ""),
    ];
    for (manifest, expected) in [
        (
            "a: ${title}\nb: ${global_catalyst_domain} $${HOME} ${other:=none}\n",
            "",
        ),
        ("a: ${title:-none}\n", ""),
        (
            "a: x\nb: ${titel}\n",
            "blueprint.yaml:11: [config-unused] no `${title}` of the manifests takes the property `title`; use it, or remove it: what is set there changes nothing\n\
             manifests/base/a.yaml:2: warning [value-unknown] `${titel}` is no property of configSchema, so nothing stands there; add `titel` to configSchema, write `${titel:=default}`, or `$${titel}` for the text itself\n",
        ),
    ] {
        let mut files = base.to_vec();
        files.push(("manifests/base/a.yaml", manifest));
        let files = with_config("Kustomize", "      title: {type: string}\n", &files);
        assert_eq!(shown(&files), expected);
    }
}

#[test]
fn an_icon_only_draws() {
    let icon = "<svg>\n<script/></svg>";
    assert_eq!(
        shown(&folder(GOOD, &[("card/icon.svg", icon)])),
        "card/icon.svg:2: [icon] an icon may not hold the element `script`; draw it with plain SVG shapes, in a small file without scripts and links\n"
    );
}

#[test]
fn upgrade_paths_lead_here() {
    let text = GOOD.replace("from: [1.2.x]", "from: [1.0.5, 1.2.x]");
    assert_eq!(shown(&folder(&text, &[("card/icon.svg", "<svg/>")])), "");
    let text = GOOD.replace("from: [1.2.x]", "from: [\"=1.0.5\"]");
    assert_eq!(
        shown(&folder(&text, &[("card/icon.svg", "<svg/>")])),
        "blueprint.yaml:22: [upgrade-path] `from` accepts `=1.0.5`, and `blocks` refuses all of it with `1.0.x`; take it out of one of the two\n"
    );
}

#[test]
fn a_dependency_has_a_version_that_is_there() {
    let blueprint = Blueprint::parse(GOOD).unwrap();
    let told = |versions: &[&str]| {
        let versions = versions.iter().map(|text| text.parse().unwrap()).collect();
        let known = BTreeMap::from([("bp-postgres".to_owned(), versions)]);
        lint_dependencies(GOOD, &blueprint, &known)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert!(told(&["1.3.0", "1.5.0"]).is_empty());
    assert_eq!(
        told(&["1.3.0", "2.0.0"]),
        [
            "blueprint.yaml:17: [dependency-version] no version of bp-postgres is in `^1.4`; there are 1.3.0, 2.0.0; name a range that holds one of them, or publish one"
        ]
    );
    // A mistake elsewhere in the file changes nothing; what is wrong with the
    // dependency itself is told already.
    let told = |text: &str| {
        let versions = BTreeSet::from(["1.3.0".parse::<semver::Version>().unwrap()]);
        let known = BTreeMap::from([("bp-postgres".to_owned(), versions)]);
        Reading::of(&folder(text, &[]))
            .unwrap()
            .lint_dependencies(&known)
            .len()
    };
    assert_eq!(told(&GOOD.replace("visibility: listed", "colour: 1")), 1);
    assert_eq!(told(&GOOD.replace("version: ^1.4", "version: 1.4")), 0);
    assert_eq!(
        told(&GOOD.replace("blueprint: bp-postgres", "blueprint: postgres")),
        0
    );
    // Of what is not known nothing is said.
    assert!(lint_dependencies(GOOD, &blueprint, &BTreeMap::new()).is_empty());
}

#[test]
fn every_finding_names_a_rule_of_the_table() {
    let text = GOOD
        .replace("^1.4", "one.four")
        .replace("1.2.x", "2.x")
        .replace("apiKey: {", "unused: {}\n      apiKey: {default: x, ");
    let mut files = folder(
        &text,
        &[("card/icon.svg", "<html/>"), ("chart/values.yaml", "x: 1")],
    );
    files.remove("README.md");
    let problems = lint(&files);
    assert!(problems.len() >= 6, "{problems:?}");
    for problem in problems {
        assert!(
            RULES.iter().any(|rule| rule.id == problem.rule),
            "{problem}"
        );
    }
}

#[test]
fn a_key_that_stands_twice_is_told_with_both_lines_and_read_nowhere() {
    let twice = [
        (
            "  version: 1.3.0\n",
            "  version: 1.3.0\n  version: 1.3.0\n",
            6,
            5,
        ),
        // The second would take the mark of a secret from the first.
        (
            "      apiKey: {type: string, x-catalyst-secret: true}\n",
            "      apiKey: {type: string, x-catalyst-secret: true}\n      apiKey: {type: string}\n",
            14,
            13,
        ),
    ];
    for (once, text, again, first) in twice {
        assert!(GOOD.contains(once), "{once}");
        let text = GOOD.replacen(once, text, 1);
        let files = folder(&text, &[("card/icon.svg", "<svg/>")]);
        let found = lint(&files);
        let [problem] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((problem.rule, problem.line), ("duplicate-key", Some(again)));
        let words = format!("after line {first}");
        assert!(problem.message.contains(&words), "{problem}");
        assert_eq!(Blueprint::parse(&text).unwrap_err(), found);
    }
    let values = "replicas: 1\nreplicas: 2\n";
    let files = folder(
        GOOD,
        &[("card/icon.svg", "<svg/>"), ("chart/values.yaml", values)],
    );
    let found = lint(&files);
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.rule, it.line, it.is_error()))
        .collect();
    assert_eq!(found, [("duplicate-value", Some(2), false)]);
}

#[test]
fn a_chart_that_nobody_can_install_has_an_error() {
    let mut files = folder(GOOD, &[("card/icon.svg", "<svg/>")]);
    let large = |bytes: usize| vec![b'x'; bytes];
    files.insert("chart/files/a.bin".to_owned(), large(5 << 20));
    // What is no part of the chart may be larger.
    files.insert("card/b.bin".to_owned(), large((5 << 20) + 1));
    assert_eq!(shown(&files), "");
    // It is packed, so it counts, whatever helm ignores of a folder.
    files.insert("chart/.helmignore".to_owned(), b"c.bin\n".to_vec());
    files.insert("chart/c.bin".to_owned(), large((5 << 20) + 1));
    let found = lint(&files);
    let [problem] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (problem.rule, problem.file.as_str()),
        ("file-size", "chart/c.bin")
    );
    assert!(problem.is_error());
    files.remove("chart/c.bin");
    for index in 0..10_000 {
        files.insert(format!("chart/files/{index}"), Vec::new());
    }
    let found = lint(&files);
    let rules: Vec<&str> = found.iter().map(|it| it.rule).collect();
    assert_eq!(rules, ["file-size"]);
}

#[test]
fn what_a_size_or_a_card_may_not_say_is_told() {
    let sized = GOOD.replacen(
        "      apiKey: {",
        "      replicas: {type: integer, minimum: 1, maximum: 3}\n      apiKey: {",
        1,
    );
    for (from, to, expected) in [
        ("large: {}", "large: {replicas: 3}", None),
        ("large: {}", "large: {replicas: 99}", Some("size-value")),
        ("large: {}", "large: {replicas: many}", Some("size-value")),
        (
            "title: WordPress",
            "title: \"Word\\u202ePress\"",
            Some("control-character"),
        ),
        (
            "tagline: Sites",
            "tagline: \"a\\x1b[2Jb\"",
            Some("control-character"),
        ),
        (
            "tags: [cms]",
            "tags: [cms, \"a\\nb\"]",
            Some("control-character"),
        ),
        ("title: WordPress", "title: \"Wörd Préss 文\"", None),
        (
            "license: GPL-2.0-or-later",
            "license: FooBar-9",
            Some("license"),
        ),
        (
            "license: GPL-2.0-or-later",
            "license: MIT OR",
            Some("license"),
        ),
        (
            "license: GPL-2.0-or-later",
            "license: (MIT OR Apache-2.0) AND LicenseRef-Own",
            None,
        ),
    ] {
        assert!(sized.contains(from), "{from}");
        let text = sized.replacen(from, to, 1);
        let found = lint(&folder(&text, &[("card/icon.svg", "<svg/>")]));
        let found: Vec<&str> = found.iter().map(|it| it.rule).collect();
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(found, expected, "{to}");
    }
}

#[test]
fn values_that_cannot_be_read_are_told_at_their_line_and_alone() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    for values in ["a: 1\nb: [\n", bomb.as_str()] {
        let files = folder(
            GOOD,
            &[("card/icon.svg", "<svg/>"), ("chart/values.yaml", values)],
        );
        let found = lint(&files);
        let [problem] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (problem.rule, problem.file.as_str()),
            ("yaml", "chart/values.yaml")
        );
        assert!(problem.line.is_some(), "{problem}");
    }
}
