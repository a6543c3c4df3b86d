//! Whole charts: subcharts, values, hooks, order, archives, faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::Write as _;

use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, NoHost, NoLookup, ReleaseOptions, RenderError,
    Rendered, chain, render,
};
use serde_json::{Value, json};

fn chart(files: &[(&str, &str)]) -> Chart {
    let mut all: BTreeMap<String, Vec<u8>> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    all.entry("Chart.yaml".to_owned())
        .or_insert_with(|| b"apiVersion: v2\nname: demo\nversion: 1.0.0\n".to_vec());
    Chart::from_files(all).unwrap()
}

fn run(chart: &Chart, values: &Value) -> Result<Rendered, RenderError> {
    run_within(chart, values, Limits::default())
}

fn run_within(chart: &Chart, values: &Value, limits: Limits) -> Result<Rendered, RenderError> {
    let release = ReleaseOptions {
        name: "rel".to_owned(),
        namespace: "ns".to_owned(),
        revision: 1,
        is_upgrade: false,
        service: "Helm".to_owned(),
    };
    render(
        chart,
        values,
        &Environment {
            release: &release,
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host: &NoHost,
            limits,
        },
    )
}

fn one(template: &str, values: &Value) -> Result<String, String> {
    let text = format!(
        "r: {{{{ include \"x\" . | toJson }}}}\n{{{{ define \"x\" }}}}{template}{{{{ end }}}}"
    );
    run(&chart(&[("templates/t.yaml", &text)]), values)
        .map(|r| r.manifests[0].object()["r"].as_str().unwrap().to_owned())
        .map_err(|error| error.to_string())
}

#[test]
fn manifests_come_in_install_order_and_hooks_after_them() {
    let chart = chart(&[
        (
            "templates/a.yaml",
            "kind: Deployment\nmetadata: {name: d}\n---\nkind: Service\nmetadata: {name: s}\n",
        ),
        ("templates/b.yaml", "kind: Widget\nmetadata: {name: w}\n"),
        ("templates/c.yaml", "kind: Namespace\nmetadata: {name: n}\n"),
        (
            "templates/h.yaml",
            "kind: Job\nmetadata:\n  name: j\n  annotations:\n    helm.sh/hook: pre-install, pre-upgrade\n    helm.sh/hook-weight: \"-5\"\n",
        ),
        ("templates/NOTES.txt", "Welcome to {{ .Release.Name }}.\n"),
        (
            "crds/c.yaml",
            "kind: CustomResourceDefinition\nmetadata: {name: c}\n",
        ),
    ]);
    let rendered = run(&chart, &json!({})).unwrap();
    insta::assert_snapshot!(rendered.to_string(), @r#"
    ---
    # Source: demo/templates/c.yaml
    kind: Namespace
    metadata: {name: n}
    ---
    # Source: demo/templates/a.yaml
    kind: Service
    metadata: {name: s}
    ---
    # Source: demo/templates/a.yaml
    kind: Deployment
    metadata: {name: d}
    ---
    # Source: demo/templates/b.yaml
    kind: Widget
    metadata: {name: w}
    ---
    # Source: demo/templates/h.yaml
    kind: Job
    metadata:
      name: j
      annotations:
        helm.sh/hook: pre-install, pre-upgrade
        helm.sh/hook-weight: "-5"
    "#);
    assert_eq!(rendered.hooks[0].events, ["pre-install", "pre-upgrade"]);
    assert_eq!(rendered.hooks[0].weight, -5);
    assert_eq!(rendered.notes.as_deref(), Some("Welcome to rel.\n"));
    assert_eq!(rendered.crds[0].name, "c");
}

#[test]
fn subcharts_see_their_values_globals_aliases_and_conditions() {
    let chart = chart(&[
        (
            "Chart.yaml",
            "apiVersion: v2\nname: demo\nversion: 1.0.0\ndependencies:\n- {name: db, version: ^1, alias: store, condition: store.enabled}\n- {name: spare, version: '*', condition: spare.enabled}\n",
        ),
        (
            "values.yaml",
            "global: {g: top}\nstore: {enabled: true, size: 2}\nspare: {enabled: false}\n",
        ),
        ("charts/db/Chart.yaml", "name: db\nversion: 1.4.0\n"),
        ("charts/db/values.yaml", "size: 1\ncolor: red\ndrop: me\n"),
        (
            "charts/db/templates/t.yaml",
            "kind: T\nv: {{ .Values.size }}{{ .Values.color }}{{ .Values.global.g }}{{ .Values.drop }}{{ .Chart.Name }}\n",
        ),
        ("charts/spare/Chart.yaml", "name: spare\nversion: 1.0.0\n"),
        ("charts/spare/templates/t.yaml", "kind: Off\n"),
    ]);
    let rendered = run(&chart, &json!({"store": {"drop": null}})).unwrap();
    assert_eq!(rendered.manifests.len(), 1);
    assert_eq!(
        rendered.manifests[0].path,
        "demo/charts/store/templates/t.yaml"
    );
    assert_eq!(rendered.manifests[0].object()["v"], "2redtopstore");
}

#[test]
fn values_that_break_the_schema_are_refused_by_name() {
    let chart = chart(&[
        (
            "values.schema.json",
            r#"{"properties": {"port": {"type": "integer"}}}"#,
        ),
        ("templates/t.yaml", "kind: T\n"),
    ]);
    let error = run(&chart, &json!({"port": "x"})).unwrap_err().to_string();
    assert!(
        error.contains("demo:") && error.contains("'/port'"),
        "{error}"
    );
    assert!(run(&chart, &json!({"port": 1})).is_ok());
}

fn archive(entries: &[(&str, &[u8], tar::EntryType)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data, kind) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(data.len() as u64);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *data).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&builder.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn archives_that_leave_their_folder_or_blow_up_are_refused() {
    let file = tar::EntryType::Regular;
    let meta = (
        "demo/Chart.yaml",
        b"name: demo\nversion: 1.0.0\n".as_slice(),
        file,
    );
    assert_eq!(
        Chart::from_archive(&archive(&[meta])).unwrap().name(),
        "demo"
    );
    for bad in [
        ("demo/../../x", b"".as_slice(), file),
        ("/etc/x", b"", file),
        ("demo/l", b"", tar::EntryType::Symlink),
        ("demo/h", b"", tar::EntryType::Link),
    ] {
        assert!(
            Chart::from_archive(&archive(&[meta, bad])).is_err(),
            "{}",
            bad.0
        );
    }
    let big = vec![0; 6 << 20];
    assert!(Chart::from_archive(&archive(&[meta, ("demo/big", &big, file)])).is_err());
    assert!(Chart::from_archive(b"nothing").is_err());
}

#[test]
fn functions_answer_as_sprig_does() {
    for (template, expected) in [
        (
            r#"{{ merge (dict "a" false "b" (dict "x" 1)) (dict "a" true "b" (dict "y" 2)) | toJson }}"#,
            r#"{"a":true,"b":{"x":1,"y":2}}"#,
        ),
        (
            r#"{{ list 1 2 3 | reverse }}{{ chunk 2 (list 1 2 3) }}"#,
            "[3 2 1][[1 2] [3]]",
        ),
        (r#"{{ untilStep 0 6 2 }}{{ seq 1 3 }}"#, "[0 2 4]1 2 3"),
        (
            r#"{{ "helloWorld" | kebabcase }} {{ "hello world" | title }} {{ abbrev 7 "hello world" }}"#,
            "hello-world Hello World hell...",
        ),
        (
            r#"{{ sha1sum "abc" }}"#,
            "a9993e364706816aba3e25717850c26c9cd0d89d",
        ),
        (
            r#"{{ b32enc "hi" }} {{ b32enc "hi" | b32dec }}"#,
            "NBUQ==== hi",
        ),
        (
            r#"{{ date "Mon, 02 Jan 2006 15:04:05 MST" (toDate "2006-01-02T15:04:05Z07:00" "2024-02-29T23:59:01+01:00") }}"#,
            "Thu, 29 Feb 2024 22:59:01 UTC",
        ),
        (
            r#"{{ (urlParse "https://u@h:8/p?q#f").host }} {{ dir "/a/b/c" }} {{ ext "x.tar.gz" }}"#,
            "h:8 /a/b .gz",
        ),
        (
            r#"{{ regexSplit "," "a,b,c" -1 }} {{ regexFindAll "[0-9]" "1a2" 1 }}"#,
            "[a b c] [1]",
        ),
        (
            r#"{{ get (dict) "x" | quote }} {{ pluck "a" (dict "a" 1) (dict) }} {{ default "d" 0 }}"#,
            r#""" [1] d"#,
        ),
        (
            r#"{{ addf 0.1 0.2 }} {{ divf 1 4 }} {{ floor 1.7 }} {{ round 2.5 0 }}"#,
            "0.3 0.25 1 3",
        ),
        (
            r#"{{ fromYaml "[1]" | toJson | contains "cannot unmarshal array" }}"#,
            "true",
        ),
        // A map that is nil, which JSON's null is.
        (
            r#"{{ unset (fromJson "null") "a" | toJson }} {{ merge (fromJson "null") (dict "a" 1) | toJson }}"#,
            r#"null {"a":1}"#,
        ),
    ] {
        assert_eq!(
            one(template, &json!({})).as_deref(),
            Ok(expected),
            "{template}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_template_makes_the_engine_panic(text in "(\\{\\{-? ?|-? ?\\}\\}|\\.a|\\$x|:=|if |end|range |with |\"s\"|\\(|\\)|\\||len |index | 1|/\\*|\\*/|define |else|`| ){0,24}") {
        let _ = run(&chart(&[("templates/t.yaml", &text)]), &json!({"a": [1]}));
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    for (template, words) in [
        (
            r#"{{ set (fromJson "null") "a" 1 }}"#,
            "error calling set: assignment to entry in nil map",
        ),
        ("{{ sub 1 ''a' }}", "invalid syntax"),
        // Helm keeps of a message what comes after its last colon.
        ("{{ 'ab' }}", "(demo/templates/t.yaml:2): 'ab'"),
    ] {
        let error = one(template, &json!({})).unwrap_err();
        assert!(error.contains(words), "{template}: {error}");
    }
}

#[test]
fn a_part_of_bytes_is_bytes() {
    let text = r#"r: {{ slice (.Files.GetBytes "f.txt") 1 3 | toJson }}"#;
    let chart = chart(&[("f.txt", "abcd"), ("templates/t.yaml", text)]);
    let rendered = run(&chart, &json!({})).unwrap();
    assert_eq!(rendered.manifests[0].object()["r"], "YmM=");
}

#[test]
fn what_is_kept_of_a_chart_knows_which_dependencies_it_is_for() {
    let chart = chart(&[
        (
            "Chart.yaml",
            "apiVersion: v2\nname: demo\nversion: 1.0.0\ndependencies:\n- {name: sub, version: ~0.3, alias: other, condition: other.on}\n",
        ),
        // Of another version than the dependency asks for, and so always there.
        (
            "charts/sub/Chart.yaml",
            "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        ),
        ("charts/sub/values.yaml", "empty: null\n"),
        ("templates/t.yaml", "sub: {{ .Values.sub | toJson }}\n"),
    ]);
    let sub = |on: bool| {
        let values = json!({"other": {"on": on}});
        run(&chart, &values).unwrap().manifests[0].object()["sub"].clone()
    };
    let (with, without) = (sub(true), sub(false));
    assert_ne!(with, without);
    assert_eq!((sub(true), sub(false)), (with, without));
}

const PLAIN: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.0.0\n");

fn load(files: &[(&str, &str)]) -> Result<Chart, String> {
    let all = std::iter::once(&PLAIN).chain(files);
    let all = all.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    Chart::from_files(all.collect()).map_err(|error| chain(&error))
}

/// Each of them is what `helm template` of 3.22 refuses, for the same cause.
#[test]
fn charts_that_helm_refuses_are_refused() {
    for (path, text, expected) in [
        (
            "Chart.yaml",
            "name: demo\nversion: not",
            "validation: chart.metadata.version \"not\" is invalid",
        ),
        (
            "Chart.yaml",
            "name: demo\nversion: 1.0.0\ntype: weird",
            "validation: chart.metadata.type must be application or library",
        ),
        ("Chart.lock", "x: [", "cannot read Chart.lock of the chart"),
        ("Chart.lock", "[]", "Chart.lock is not a map"),
        ("Chart.lock", "generated: nope", "generated that is no time"),
        ("requirements.lock", "x", "requirements.lock is not a map"),
        (
            "charts/README.md",
            "x",
            "error unpacking subchart README.md in demo: cannot read the chart: Chart.yaml is missing",
        ),
        (
            "charts/sub/README.md",
            "x",
            "error unpacking subchart sub in demo: cannot read the chart: Chart.yaml is missing",
        ),
        (
            "charts/sub.tgz/README.md",
            "x",
            "error unpacking subchart sub.tgz in demo",
        ),
        (
            "charts/s.tgz",
            "no",
            "error unpacking subchart s.tgz in demo",
        ),
        (
            "charts/sub/Chart.yaml",
            "name: sub\nversion: no",
            "error unpacking subchart sub in demo: cannot read the chart: validation: chart.metadata.version \"false\" is invalid",
        ),
        (
            ".helmignore",
            "**/x",
            "double-star (**) syntax is not supported",
        ),
        (".helmignore", "[a", "syntax error in pattern"),
        (".helmignore", "f/\n!f/a\n", "Chart.yaml is missing"),
    ] {
        let error = load(&[(path, text)]).unwrap_err();
        assert!(error.contains(expected), "{path}: {error}");
    }
}

/// Answers of helm 3.22.
#[test]
fn files_are_those_that_helm_sees() {
    const LIST: &str = "kind: T\nfiles: [{{ range $path, $_ := .Files }}{{ $path }},{{ end }}]\n";
    let seen = |files: &[(&str, &str)]| {
        let mut all = vec![("templates/t.yaml", LIST)];
        all.extend(files);
        let rendered = run(&load(&all).unwrap(), &json!({})).unwrap();
        rendered.manifests[0].object()["files"].clone()
    };
    assert_eq!(
        seen(&[(".helmignore", "a.txt"), ("a.txt", ""), ("b.txt", "")]),
        json!([".helmignore", "b.txt"])
    );
    let marked = "\u{feff}a.txt\n";
    assert_eq!(
        seen(&[(".helmignore", marked), ("a.txt", "")]),
        json!([".helmignore"])
    );
    // What begins with a point, in templates/ itself, is no template.
    assert_eq!(
        seen(&[("templates/.h.yaml", "{{ fail \"x\" }}")]),
        json!([])
    );
    assert_eq!(seen(&[("charts/s.prov", "")]), json!(["charts/s.prov"]));
    assert_eq!(seen(&[("charts/_ign", ""), ("charts/.h", "")]), json!([]));
    assert_eq!(
        seen(&[("Chart.lock", ""), ("requirements.lock", "")]),
        json!([])
    );
    // A subchart's rules are a file like others.
    let sub = ("charts/sub/Chart.yaml", "name: sub\nversion: 1.0.0\n");
    let template = ("charts/sub/templates/t.yaml", LIST);
    let ignore = ("charts/sub/.helmignore", "a.txt");
    let files = [sub, template, ignore, ("charts/sub/a.txt", "")];
    let rendered = run(&load(&files).unwrap(), &json!({})).unwrap();
    assert_eq!(
        rendered.manifests[0].object()["files"],
        json!([".helmignore", "a.txt"])
    );
}

#[test]
fn the_mark_of_utf_8_is_taken_off_every_file() {
    let files = [
        ("Chart.yaml", "\u{feff}name: demo\nversion: 1.0.0\n"),
        ("values.yaml", "\u{feff}a: 1\n"),
        ("values.schema.json", "\u{feff}{\"type\": \"object\"}"),
        (
            "templates/t.yaml",
            "\u{feff}kind: T\na: {{ .Values.a }}\nf: {{ .Files.Get \"f.txt\" }}\n",
        ),
        ("f.txt", "\u{feff}text"),
    ];
    let of = |chart: &Chart| run(chart, &json!({})).unwrap().to_string();
    let expected = "---\n# Source: demo/templates/t.yaml\nkind: T\na: 1\nf: text\n";
    assert_eq!(of(&load(&files).unwrap()), expected);
    let names: Vec<String> = files
        .iter()
        .map(|(path, _)| format!("demo/{path}"))
        .collect();
    let entries: Vec<_> = names
        .iter()
        .zip(&files)
        .map(|(name, (_, text))| (name.as_str(), text.as_bytes(), tar::EntryType::Regular))
        .collect();
    assert_eq!(
        of(&Chart::from_archive(&archive(&entries)).unwrap()),
        expected
    );
}

#[test]
fn an_archive_is_not_held_against_helmignore_again() {
    let file = tar::EntryType::Regular;
    let chart = archive(&[
        ("demo/Chart.yaml", PLAIN.1.as_bytes(), file),
        ("demo/.helmignore", "**\nt.yaml\n".as_bytes(), file),
        ("demo/templates/t.yaml", "kind: T\n".as_bytes(), file),
    ]);
    let rendered = run(&Chart::from_archive(&chart).unwrap(), &json!({})).unwrap();
    assert_eq!(rendered.manifests.len(), 1);
}

#[test]
fn what_a_schema_forbids_is_named() {
    for (schema, expected) in [
        (
            r#"{"additionalProperties": false}"#,
            "at '/foo': additional properties 'bar', 'baz' not allowed",
        ),
        (
            r#"{"properties": {"a": {}}, "additionalProperties": false}"#,
            "at '/foo': additional properties 'bar', 'baz' not allowed",
        ),
        (
            r#"{"patternProperties": {"^x": {}}, "additionalProperties": false}"#,
            "at '/foo': additional properties 'bar', 'baz' not allowed",
        ),
        ("false", "at '/foo': false schema"),
        (
            r#"{"properties": {"bar": false}}"#,
            "at '/foo/bar': false schema",
        ),
    ] {
        let schema = format!(r#"{{"properties": {{"foo": {schema}}}}}"#);
        let chart = chart(&[
            ("values.schema.json", &schema),
            ("templates/t.yaml", "kind: T\n"),
        ]);
        let values = json!({"foo": {"bar": 1, "baz": 2}});
        let error = run(&chart, &values).unwrap_err().to_string();
        assert!(error.contains(expected), "{schema}: {error}");
        assert!(run(&chart.without_schemas(), &values).is_ok());
    }
}

/// As helm 3.22 warns, without the names of its own files.
#[test]
fn what_helm_warns_of_comes_with_what_was_rendered() {
    let dependencies = |more: &str| {
        format!(
            "name: demo\nversion: 1.0.0\ndependencies:\n- name: sub\n  version: '*'\n  {more}\n"
        )
    };
    let sub = (
        "charts/sub/Chart.yaml",
        "name: sub\nversion: 1.0.0\n".to_owned(),
    );
    let values = |text: &str| ("values.yaml", text.to_owned());
    for (files, given, expected) in [
        (
            vec![values("a: 1")],
            json!({"a": {"b": 1}}),
            "skipped value for demo.a: Not a table.",
        ),
        (vec![values("a: null")], json!({"a": {"b": 1}}), ""),
        (
            vec![values("a: {b: {c: 1}}")],
            json!({"a": {"b": 1}}),
            "cannot overwrite table with non table for demo.a.b",
        ),
        (
            vec![values("a: {b: 1}")],
            json!({"a": {"b": {"c": 1}}}),
            "destination for demo.a.b is a table. Ignoring non-table value",
        ),
        (
            vec![sub.clone(), ("charts/sub/values.yaml", "a: 1".to_owned())],
            json!({"sub": {"a": {}}}),
            "skipped value for demo.sub.a: Not a table.",
        ),
        (
            vec![sub.clone()],
            json!({"global": 1}),
            "skipping globals because source global is not a table.",
        ),
        (
            vec![
                sub.clone(),
                ("Chart.yaml", dependencies("condition: sub.on")),
            ],
            json!({"sub": {"on": "yes"}}),
            "Condition path 'sub.on' for chart sub returned non-bool value",
        ),
        (
            vec![sub.clone(), ("Chart.yaml", dependencies("tags: [t]"))],
            json!({"tags": {"t": "yes"}}),
            "Tag 't' for chart sub returned non-bool value",
        ),
        (
            vec![
                sub.clone(),
                ("Chart.yaml", dependencies("import-values: [x]")),
            ],
            json!({}),
            "ImportValues missing table: \"exports\" is not a table",
        ),
        (
            vec![
                sub.clone(),
                (
                    "Chart.yaml",
                    dependencies("import-values: [{child: c, parent: p}]"),
                ),
            ],
            json!({}),
            "ImportValues missing table from chart sub: \"c\" is not a table",
        ),
        (
            vec![(
                "templates/h.yaml",
                "kind: T\nmetadata: {annotations: {helm.sh/hook: odd}}\n".to_owned(),
            )],
            json!({}),
            "skipping unknown hook: \"odd\"",
        ),
    ] {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let chart = load(&files).unwrap();
        // Again: what is kept of a chart must not keep its warnings back.
        for _ in 0..2 {
            let rendered = run(&chart, &given).unwrap();
            assert_eq!(rendered.warnings.join("\n"), expected, "{given}");
        }
    }
}

#[test]
fn warnings_are_bounded() {
    let keys: Vec<String> = (0..200)
        .map(|at| format!("{at}{}", "k".repeat(1_000)))
        .collect();
    let defaults: String = keys.iter().map(|key| format!("{key}: 1\n")).collect();
    let given = keys.iter().map(|key| (key.clone(), json!({})));
    let given: serde_json::Map<_, _> = given.collect();
    let chart = load(&[("values.yaml", &defaults)]).unwrap();
    let warnings = run(&chart, &Value::Object(given)).unwrap().warnings;
    assert_eq!(warnings.len(), 100);
    assert!(warnings.iter().all(|text| text.len() <= 500));
}
