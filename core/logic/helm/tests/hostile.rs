//! Charts made to hang the process, to crash it or to take its memory.
//!
//! Each ends with an error that says which bound it met, within the memory below,
//! and after a number of steps that no machine takes long for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/memory.rs"]
mod memory;

use std::collections::BTreeMap;

use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, NoHost, NoLookup, ReleaseOptions, render,
};
use serde_json::{Value, json};

/// Bytes that a rendering may hold at a time.
const MOST: usize = 600 << 20;
/// A hundredth of what a rendering is given: these tests are built without
/// optimisation, and a bound that holds for few steps holds for more.
const STEPS: u64 = 200_000;

fn chart(files: &[(&str, &str)]) -> Chart {
    let mut all = BTreeMap::from([(
        "Chart.yaml".to_owned(),
        b"apiVersion: v2\nname: demo\nversion: 1.0.0\n".to_vec(),
    )]);
    for (path, text) in files {
        all.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    Chart::from_files(all).unwrap()
}

/// The notes, or why there are none.
fn rendered(chart: &Chart, values: &Value) -> Result<String, String> {
    let release = ReleaseOptions {
        name: "rel".to_owned(),
        namespace: "ns".to_owned(),
        revision: 1,
        is_upgrade: false,
        service: "Helm".to_owned(),
    };
    let environment = Environment {
        release: &release,
        capabilities: &Capabilities::default(),
        lookup: &NoLookup,
        host: &NoHost,
        limits: Limits {
            steps: STEPS,
            ..Limits::default()
        },
    };
    let begun = std::time::Instant::now();
    let (result, peak) = memory::measured(|| render(chart, values, &environment));
    println!("  {} MiB, {:?}", peak >> 20, begun.elapsed());
    assert!(peak < MOST, "{} MiB were held", peak >> 20);
    result
        .map(|rendered| rendered.notes.unwrap_or_default())
        .map_err(|why| why.to_string())
}

fn notes(template: &str) -> Result<String, String> {
    println!("{}", template.chars().take(150).collect::<String>());
    rendered(&chart(&[("templates/NOTES.txt", template)]), &json!({}))
}

/// The process counts one rendering's memory at a time, so all are in one test.
#[test]
fn hostile_charts_end_with_an_error() {
    recursion();
    loops();
    texts();
    lists_and_maps();
    expressions();
    documents();
    charts_of_charts();
    schemas();
}

/// Words of the bounds that a rendering as such has.
const BOUNDS: [&str; 5] = ["steps", "larger than", "too large", "more than", "too long"];

/// Each ends with an error that holds the words given, or those of any bound.
fn all_end(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (template, why) in cases {
        let result = notes(template);
        let named = |error: &String| match *why {
            "" => BOUNDS.iter().any(|bound| error.contains(bound)),
            why => error.contains(why) || error.contains("rendering took more than"),
        };
        if !result.as_ref().is_err_and(named) {
            let shown: String = format!("{result:?}").chars().take(500).collect();
            wrong.push(format!(
                "{}\n    {shown}",
                template.chars().take(200).collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn recursion() {
    all_end(&[
        (
            r#"{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}"#,
            "nested reference name",
        ),
        (
            r#"{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}"#,
            "maximum template depth",
        ),
        (
            r#"{{ define "x" }}{{ tpl "{{ include \"x\" . }}" . }}{{ end }}{{ include "x" . }}"#,
            "nested reference name",
        ),
        (
            r#"{{ define "x" }}{{ include "y" . }}{{ include "y" . }}{{ end }}{{ define "y" }}{{ if lt (len .) 60 }}{{ include "x" (append . 1) }}{{ end }}{{ end }}{{ include "x" (list) }}"#,
            "steps",
        ),
        (
            r#"{{ define "x" }}{{ tpl .t . }}{{ end }}{{ include "x" (dict "t" "{{ tpl .t . }}") }}"#,
            "maximum template depth",
        ),
    ]);
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    all_end(&[(&format!("{{{{ {deep} }}}}"), "depth")]);
    let deep = "{{ if true }}".repeat(100_000);
    all_end(&[(&deep, "depth")]);
}

fn loops() {
    all_end(&[
        ("{{ range 9999999999 }}{{ end }}", "steps"),
        (
            "{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}x{{ end }}{{ end }}{{ end }}",
            "steps",
        ),
        ("{{ until 999999999 }}", "too long"),
        ("{{ untilStep 0 9223372036854775807 1 }}", "too long"),
        ("{{ seq 1 999999999 }}", "too long"),
        (
            "{{ range until 40 }}{{ $a := until 1000000 }}{{ $b := until 1000000 }}{{ end }}",
            "",
        ),
        // What every round makes anew is paid for.
        (
            r#"{{ $l := list }}{{ range 999999 }}{{ $l = append $l . }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ $l := until 200000 }}{{ range 999999 }}{{ $_ := first $l }}{{ $_ := has 200001 $l }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ $t := repeat 1000000 "a" }}{{ range 999999 }}{{ $_ := sha256sum $t }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ $t := repeat 1000000 "a" }}{{ range 999999 }}{{ $_ := contains "b" $t }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ $t := repeat 9999 "7" }}{{ range 999999 }}{{ $_ := mulf 1e300 1e300 1e300 1e300 1e300 1e300 1e300 }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ range 999999 }}{{ $_ := divf 1e300 3e-300 }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ range 999999 }}{{ $_ := round 1.5 999999999 }}{{ end }}"#,
            "steps",
        ),
    ]);
    let many: String = (0..20_000)
        .map(|at| format!("{{{{ $v{at} := 1 }}}}"))
        .collect();
    all_end(&[(
        &format!("{many}{{{{ range 9999999 }}}}{{{{ $_ := $v0 }}}}{{{{ end }}}}"),
        "steps",
    )]);
}

fn texts() {
    // Wide numbers are cut short where Go cuts them; what fits is charged.
    assert_eq!(
        notes(r#"{{ printf "%1000000000d" 1 }}"#).as_deref(),
        Ok("%!(NOVERB)%!(EXTRA int=1)")
    );
    assert_eq!(
        notes(r#"{{ printf "%*d" 1000000000 1 }}"#).as_deref(),
        Ok("%!(BADWIDTH)1")
    );
    all_end(&[
        ("{{ repeat 999999999 \"abc\" }}", "repeat would make"),
        (
            r#"{{ repeat 9999 "abc" | repeat 9999 }}"#,
            "repeat would make",
        ),
        ("{{ indent 1000000000 \"a\" }}", "indent would make"),
        (
            r#"{{ nindent 1000000 (repeat 1000 "\n") }}"#,
            "indent would make",
        ),
        (r#"{{ range 9999 }}{{ printf "%999999d" . }}{{ end }}"#, ""),
        (
            r#"{{ range 9999 }}{{ printf "%.999999f" 1.5 }}{{ end }}"#,
            "",
        ),
        (
            "{{ range 9999999 }}{{ \"01234567890123456789012345678901234567890123456789012345678901234567890123456789\" }}{{ end }}",
            "",
        ),
        (
            r#"{{ $s := "aaaaaaaa" }}{{ range 99 }}{{ $s = print $s $s }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $s := "aaaaaaaa" }}{{ range 99 }}{{ $s = printf "%s%s" $s $s }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $d := dict "s" "aaaaaaaa" }}{{ range 99 }}{{ $_ := set $d "s" (cat $d.s $d.s) }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $s := "aaaaaaaa" }}{{ range 99 }}{{ $s = list $s $s | join "" }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $s := "aaaaaaaa" }}{{ range 99 }}{{ $s = tpl "{{ . }}{{ . }}" $s }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $s := "aaaaaaaa" }}{{ range 99 }}{{ $s = replace "a" "aa" $s }}{{ end }}"#,
            "replace would make",
        ),
        (
            r#"{{ $s := repeat 9999 "a" }}{{ replace "" $s $s }}"#,
            "replace would make",
        ),
        (
            r#"{{ $s := repeat 9999 "a" }}{{ regexReplaceAll "" $s $s }}"#,
            "",
        ),
        (
            r#"{{ $s := repeat 9999999 "a" }}{{ splitList "" $s | len }}"#,
            "",
        ),
        (
            r#"{{ $s := repeat 1000000 "a" }}{{ $l := list }}{{ range 1000 }}{{ $l = append $l $s }}{{ end }}{{ sortAlpha $l | len }}"#,
            "",
        ),
        (
            r#"{{ $s := repeat 9999999 "<" }}{{ range 99 }}{{ $_ := html $s }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $a := repeat 8000000 "ab" }}{{ range 99 }}{{ $_ := wrapWith 1 "xxxxxxxx" $a }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $a := repeat 8000000 "ab" }}{{ range 9999 }}{{ $_ := upper $a }}{{ end }}"#,
            "",
        ),
    ]);
}

fn lists_and_maps() {
    // A map that holds itself twice has no end that anyone can reach, and a list of
    // two lists of two lists one that nobody lives to see.
    let own = r#"{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ $_ := set $d "b" $d }}"#;
    let wide = r#"{{ $d := list 1 2 }}{{ range until 60 }}{{ $d = list $d $d }}{{ end }}"#;
    for (made, is_own) in [(own, true), (wide, false)] {
        for (work, ends) in [
            ("{{ $d }}", false),
            (r#"{{ printf "%#v" $d }}"#, false),
            ("{{ deepCopy $d | len }}", false),
            ("{{ deepEqual $d (list $d | first) }}", is_own),
            ("{{ toYamlPretty $d | len }}", false),
            // Helm gives nothing for what JSON cannot hold.
            ("{{ toJson $d }}", is_own),
            ("{{ toYaml $d }}", is_own),
            (
                "{{ toToml (dict \"d\" $d) | contains \"nested too deep\" }}",
                is_own,
            ),
            ("{{ uniq (list $d $d $d) | len }}", is_own),
            ("{{ without (list $d $d) $d | len }}", is_own),
            ("{{ has $d (list 1 2 $d) }}", is_own),
            (r#"{{ required "x" $d | len }}"#, true),
            ("{{ merge (dict) (dict \"x\" $d) | len }}", true),
        ] {
            let result = notes(&format!("{made}{work}"));
            assert!(result.is_ok() || !ends, "{work}: {result:?}");
            assert!(result.is_err() || ends, "{work}: {result:?}");
        }
    }
    all_end(&[
        (
            &format!(
                "{own}{{{{ merge $d (deepCopy (dict \"a\" (dict \"b\" 1))) | toJson }}}}{{{{ mergeOverwrite $d $d $d | toString }}}}"
            ),
            "too large",
        ),
        (
            r#"{{ $l := list 1 2 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}"#,
            "",
        ),
        (
            r#"{{ $l := list 1 2 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ uniq $l | len }}{{ end }}"#,
            "",
        ),
        (
            "{{ $l := until 100000 }}{{ uniq $l | len }}",
            "makes more than",
        ),
        (
            "{{ chunk 1 (until 1000000) | len }}{{ range 99 }}{{ $_ := chunk 1 (until 1000000) }}{{ end }}",
            "",
        ),
        (
            r#"{{ $d := dict }}{{ range $i := until 1000000 }}{{ $_ := set $d (toString $i) $i }}{{ end }}"#,
            "steps",
        ),
    ]);
    // Deeper than any stack, were it walked or dropped by recursion alone.
    let deep = r#"{{ $d := dict }}{{ range until 40000 }}{{ $d = dict "d" $d }}{{ end }}"#;
    assert_eq!(
        notes(&format!("{deep}{{{{ len $d }}}}")).as_deref(),
        Ok("1")
    );
    let deep = r#"{{ $d := list }}{{ range until 40000 }}{{ $d = list $d }}{{ end }}"#;
    assert_eq!(
        notes(&format!("{deep}{{{{ len $d }}}}")).as_deref(),
        Ok("1")
    );
    all_end(&[(&format!("{deep}{{{{ $d }}}}"), "too large")]);
}

fn expressions() {
    // Go counts to a thousand, and so do we; what is left matches in linear time.
    assert_eq!(
        notes(r#"{{ regexMatch "(a*)*b" (repeat 10000 "a") }}"#).as_deref(),
        Ok("false")
    );
    all_end(&[
        (
            r#"{{ mustRegexMatch "(x{1000}){1000}" "x" }}"#,
            "error parsing regexp",
        ),
        (
            r#"{{ mustRegexMatch "((\\pL{100}){10}){1000}" "x" }}"#,
            "regexp",
        ),
        (
            r#"{{ range $i := until 100000 }}{{ $_ := regexMatch (printf "\\pL{900}%d" $i) "x" }}{{ end }}"#,
            "steps",
        ),
        (
            r#"{{ regexFindAll "a.*b|a" (repeat 20000 "a") -1 | len }}"#,
            "steps",
        ),
        (
            r#"{{ regexReplaceAll "a.*b|a" (repeat 20000 "a") "c" | len }}"#,
            "steps",
        ),
        (
            r#"{{ regexSplit "a.*b|a" (repeat 20000 "a") -1 | len }}"#,
            "steps",
        ),
        (
            r#"{{ $p := repeat 100000 "(" }}{{ mustRegexMatch $p "x" }}"#,
            "regexp",
        ),
        (
            r#"{{ semverCompare (repeat 100000 ">1,") "1.2.3" }}"#,
            "too long",
        ),
        (
            r#"{{ range 9999 }}{{ $_ := semverCompare ">=1.0.0 <2.0.0 || >=3 || ^4 || ~5" "1.2.3" }}{{ end }}{{ range 9999999 }}{{ end }}"#,
            "steps",
        ),
    ]);
    let files: Vec<(String, String)> = (0..200)
        .map(|at| (format!("{}{at}", "a".repeat(200)), String::new()))
        .collect();
    let mut all: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let glob = r#"{{ range 99999 }}{{ $_ := $.Files.Glob "*a*a*a*a*a*a*a*a*a*a*a*a*b" }}{{ end }}"#;
    all.push(("templates/NOTES.txt", glob));
    println!("glob");
    let error = rendered(&chart(&all), &json!({})).unwrap_err();
    assert!(error.contains("steps"), "{error}");
}

fn documents() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let text = |template: &str| {
        println!("{template}");
        rendered(
            &chart(&[("templates/NOTES.txt", template)]),
            &json!({"bomb": bomb}),
        )
        .unwrap()
    };
    for (template, why) in [
        ("{{ .Values.bomb | fromYaml }}", "excessive aliasing"),
        (r#"{{ repeat 100000 "[" | fromYaml }}"#, "Error:"),
        (r#"{{ repeat 100000 "- " | fromYaml }}"#, "Error:"),
        (r#"{{ repeat 100000 "{a: " | fromYaml }}"#, "Error:"),
        (r#"{{ "a: &a [*a]" | fromYaml }}"#, "contains itself"),
        (r#"{{ repeat 100000 "[" | fromJsonArray }}"#, "max depth"),
        (r#"{{ repeat 100000 "{\"a\":" | fromJson }}"#, "max depth"),
        (
            r#"{{ print "a = " (repeat 100000 "[") | fromToml }}"#,
            "toml",
        ),
        (
            r#"{{ print (repeat 100000 "a.") "a = 1" | fromToml }}"#,
            "toml",
        ),
        (
            r#"{{ print "[" (repeat 100000 "a.") "a]" | fromToml }}"#,
            "toml",
        ),
    ] {
        let said = text(template);
        assert!(
            said.contains(why),
            "{template}: {}",
            said.chars().take(300).collect::<String>()
        );
    }
    // What a file renders to is read as well.
    for (template, why) in [
        (r#"{{ repeat 8000000 "[]" }}"#, ""),
        (r#"a: {{ repeat 1200000 "[]," | printf "[%s]" }}"#, "values"),
        (r#"{{ repeat 100000 "[" }}"#, ""),
        (r#"{{ repeat 100000 "? " }}"#, ""),
        (r#"{{ repeat 8000000 "\n" }}a: b"#, "-"),
    ] {
        println!("{template}");
        let result = rendered(&chart(&[("templates/a.yaml", template)]), &json!({}));
        match why {
            "-" => assert!(result.is_ok(), "{template}: {result:?}"),
            why => assert!(
                result.as_ref().is_err_and(|error| error.contains(why)),
                "{template}: {result:?}"
            ),
        }
    }
}

fn charts_of_charts() {
    // One chart under many names.
    let dependencies: String = (0..5_000)
        .map(|at| format!("- {{name: sub, version: '*', alias: s{at}}}\n"))
        .collect();
    let meta = format!("apiVersion: v2\nname: demo\nversion: 1.0.0\ndependencies:\n{dependencies}");
    let body = format!("# {}\na: b\n", "x".repeat(100_000));
    println!("aliases");
    let result = rendered(
        &chart(&[
            ("Chart.yaml", &meta),
            (
                "charts/sub/Chart.yaml",
                "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
            ),
            (
                "charts/sub/values.yaml",
                &format!("a: {}\n", "x".repeat(100_000)),
            ),
            ("charts/sub/templates/a.yaml", &body),
        ]),
        &json!({}),
    );
    assert!(
        result.as_ref().is_err_and(|error| error.contains("charts")),
        "{result:?}"
    );
}

fn schemas() {
    let doubling: String = (1..60)
        .map(|at| {
            let before = format!(r##"{{"$ref": "#/$defs/a{}"}}"##, at - 1);
            format!(r#", "a{at}": {{"allOf": [{before}, {before}]}}"#)
        })
        .collect();
    let doubling = format!(
        r##"{{"$defs": {{"a0": {{"type": "object"}}{doubling}}}, "$ref": "#/$defs/a59"}}"##
    );
    let twice = r##"{"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}"##;
    let deep = (0..100).fold(json!(1), |value, _| json!({"a": value}));
    let many: Vec<String> = (0..5_000)
        .map(|at| format!("{}{at}b", "a".repeat(99)))
        .collect();
    for (schema, values, why) in [
        (doubling.as_str(), json!({"a": 1}), "applied more than"),
        (twice, deep, "applied more than"),
        (r##"{"$ref": "#"}"##, json!({"a": 1}), "applied more than"),
        (
            r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
            json!({"a": 1}),
            "applied more than",
        ),
        (
            r#"{"properties": {"a": {"items": {"pattern": "^(a+)+$"}}}}"#,
            json!({"a": many}),
            "does not match",
        ),
        (
            r#"{"properties": {"a": {"pattern": "(?=(a+)+$)(a*)*b"}}}"#,
            json!({"a": "a".repeat(5_000)}),
            "not valid",
        ),
        (
            r#"{"properties": {"a": {"pattern": "((x{1000}){1000}){1000}"}}}"#,
            json!({"a": "x"}),
            "not valid",
        ),
        (
            r#"{"$ref": "http://127.0.0.1:1/schema.json"}"#,
            json!({}),
            "not valid",
        ),
        (r#"{"$ref": "file:///etc/passwd"}"#, json!({}), "not valid"),
    ] {
        println!("{}", schema.chars().take(100).collect::<String>());
        let error = rendered(
            &chart(&[
                ("values.schema.json", schema),
                ("templates/NOTES.txt", "ok"),
            ]),
            &values,
        )
        .unwrap_err();
        assert!(
            error.contains(why),
            "{}",
            error.chars().take(500).collect::<String>()
        );
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_of_a_folder_as_of_an_archive() {
    let read = |ignore: &str, bytes: usize| {
        Chart::from_files(BTreeMap::from([
            (
                "Chart.yaml".to_owned(),
                b"apiVersion: v2\nname: demo\nversion: 1.0.0\n".to_vec(),
            ),
            (".helmignore".to_owned(), ignore.as_bytes().to_vec()),
            ("files/a.bin".to_owned(), vec![0; bytes]),
        ]))
    };
    assert!(read("", 5 << 20).is_ok());
    let error = read("", (5 << 20) + 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read the chart: files/a.bin is larger than 5242880 bytes"
    );
    // What is ignored is no part of it.
    assert!(read("*.bin\n", (5 << 20) + 1).is_ok());
}
