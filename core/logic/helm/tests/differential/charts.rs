//! Whole charts: templates from the grammar, values, subcharts, hooks, CRDs,
//! schemas.

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::grammar::Grammar;
use crate::oracle::{CHART, Case, VALUES};

const KINDS: &[&str] = &[
    "ConfigMap",
    "Secret",
    "Service",
    "Deployment",
    "Namespace",
    "Job",
    "Widget",
    "Gadget",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "Ingress",
    "Pod",
];
const HOOKS: &[&str] = &[
    "pre-install",
    "post-install, post-upgrade",
    "pre-delete",
    "test",
    "test-success",
    "Pre-Rollback",
    "unknown",
    "pre-install,unknown",
    "",
];
/// Keys that charts, their subcharts and users all set.
const KEYS: &[&str] = &["a", "b", "enabled", "name", "list", "deep", "size", "port"];

/// A chart of one of the sorts below.
pub fn chart(chance: &mut Chance) -> Case {
    match chance.below(10) {
        0..5 => notes(chance),
        5..7 => manifests(chance),
        _ => family(chance),
    }
}

/// Statements of every sort; nothing reads what they make.
fn notes(chance: &mut Chance) -> Case {
    let mut grammar = Grammar::new(chance);
    let count = grammar.chance.below(3);
    let definitions = grammar.definitions("demo", count);
    let size = 1 + grammar.chance.below(5);
    let mut text = grammar.text(size);
    if grammar.chance.percent(6) {
        text = grammar.broken(&text);
    }
    let mut case = Case::notes(&text);
    if !definitions.is_empty() {
        case.files
            .insert("templates/_helpers.tpl".to_owned(), definitions);
    }
    case.is_upgrade = chance.percent(20);
    case
}

/// Objects in files, some of them hooks.
fn manifests(chance: &mut Chance) -> Case {
    let mut case = Case::notes("Thanks for {{ .Chart.Name }}.\n");
    let mut grammar = Grammar::new(chance);
    let count = grammar.chance.below(3);
    let helpers = grammar.definitions("demo", count);
    case.files
        .insert("templates/_helpers.tpl".to_owned(), helpers);
    for at in 0..=grammar.chance.below(4) {
        let mut text = String::new();
        for part in 0..=grammar.chance.below(3) {
            if part > 0 {
                text.push_str(grammar.chance.pick(&[
                    "---\n",
                    "\n---\n",
                    "---   \n",
                    "--- # x\n",
                    "\n\n---\n\n",
                ]));
            }
            if grammar.chance.percent(6) {
                text.push_str(grammar.chance.pick(&[
                    "# only a comment\n",
                    "\n",
                    "  \n",
                    "{{/* c */}}\n",
                ]));
                continue;
            }
            text.push_str(&object(&mut grammar, at * 10 + part));
        }
        let folder = grammar.chance.pick(&["", "", "sub/", "a/b/"]);
        let end = grammar.chance.pick(&["yaml", "yaml", "yml", "txt", "json"]);
        let name = format!("templates/{folder}t{at}.{end}");
        case.files.insert(name, text);
    }
    if grammar.chance.percent(20) {
        case.files.insert(
            "crds/c.yaml".to_owned(),
            "kind: CustomResourceDefinition\nmetadata:\n  name: c".to_owned(),
        );
        case.include_crds = grammar.chance.percent(70);
    }
    if grammar.chance.percent(10) {
        case.values = (*grammar
            .chance
            .pick(&["num: x\n", "name: 1\n", "extra: [1]\n"]))
        .to_owned();
        case.files.insert(
            "values.schema.json".to_owned(),
            r#"{"type": "object", "properties": {"num": {"type": "number"}, "name": {"type": "string"}}}"#
                .to_owned(),
        );
    }
    case
}

fn object(grammar: &mut Grammar<'_>, number: usize) -> String {
    let kind = grammar.chance.pick(KINDS);
    let name = grammar
        .chance
        .pick(&["o", "o", "o", "o", "n # ", "1.0 # ", "~ # ", "{} # "]);
    let name = if name == "{} # " && grammar.chance.percent(80) {
        "o"
    } else {
        name
    };
    let mut text = format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}{number}\n");
    if grammar.chance.percent(25) {
        let hook = grammar.chance.pick(HOOKS);
        text.push_str(&format!("  annotations:\n    helm.sh/hook: \"{hook}\"\n"));
        if grammar.chance.percent(50) {
            let weight = grammar.chance.pick(&[
                "\"5\"", "\"-3\"", "\"x\"", "7", "\"+2\"", "true", "null", "1.5",
            ]);
            text.push_str(&format!("    helm.sh/hook-weight: {weight}\n"));
        }
        if grammar.chance.percent(30) {
            text.push_str("    helm.sh/hook-delete-policy: before-hook-creation, Hook-Succeeded\n");
        }
    } else if grammar.chance.percent(15) {
        text.push_str("  annotations: {}\n");
    }
    text.push_str("data:\n");
    for at in 0..=grammar.chance.below(3) {
        let line = match grammar.chance.below(6) {
            0 => format!("  k{at}: {{{{ {} | quote }}}}\n", grammar.value('a')),
            1 => format!("  k{at}: {{{{ {} | toJson }}}}\n", grammar.value('a')),
            2 => format!(
                "  k{at}:\n    {{{{- {} | toYaml | nindent 4 }}}}\n",
                grammar.value('a')
            ),
            3 => format!("  k{at}: |-\n{{{{ {} | indent 4 }}}}\n", grammar.value('s')),
            4 => format!("  k{at}: {{{{ {} | squote }}}}\n", grammar.value('n')),
            _ => format!(
                "  {{{{- if {} }}}}\n  k{at}: {{{{ {} | toString | toJson }}}}\n  {{{{- end }}}}\n",
                grammar.value('b'),
                grammar.value('s')
            ),
        };
        text.push_str(&line);
    }
    text
}

/// Charts within charts, whose templates say what they see.
pub fn family(chance: &mut Chance) -> Case {
    let mut files = BTreeMap::new();
    let mut helpers = Vec::new();
    member(chance, &mut files, &mut helpers, "", "demo", 0);
    // Templates are everybody's, those of library charts too; of a subchart that
    // is off there are none.
    let mut uses = "kind: Uses\nmetadata:\n  name: uses\nwho:\n".to_owned();
    for helper in helpers.iter().filter(|_| chance.percent(60)) {
        uses.push_str(&format!("- {{{{ include \"{helper}\" . }}}}\n"));
    }
    files.insert("templates/uses.yaml".to_owned(), uses);
    let values = tree(chance, 0, &["sub", "other", "ali"], true);
    Case {
        files,
        values,
        is_upgrade: false,
        include_crds: chance.percent(30),
    }
}

const SCHEMAS: &[&str] = &[
    r#"{"properties": {"size": {"type": "number"}}}"#,
    r#"{"properties": {"size": {"type": ["number", "null"]}, "name": {"type": "string"}}}"#,
    r#"{"type": "object", "required": ["name"]}"#,
    r##"{"definitions": {"p": {"minimum": 2}}, "properties": {"port": {"$ref": "#/definitions/p"}}}"##,
    r#"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"enum": [1, "x", null]}}}"#,
    r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"deep": {"properties": {"a": {"const": 1}}, "unevaluatedProperties": true}}}"#,
    r#"{"properties": {"list": {"type": "array", "maxItems": 1, "items": {"type": "integer"}}}}"#,
    r#"{"if": {"required": ["a"]}, "then": {"properties": {"b": {"not": {"type": "boolean"}}}}}"#,
    r#"{"properties": {"name": {"pattern": "^x?$"}, "global": {"type": "object"}}}"#,
];

const SEEN: &str = "kind: Seen
metadata:
  name: {{ .Chart.Name }}
chart: {{ .Chart.Name }} {{ .Chart.Version }} {{ .Chart.IsRoot }} {{ .Chart.AppVersion }}
template: {{ .Template.Name }} {{ .Template.BasePath }}
subcharts: {{ keys .Subcharts | sortAlpha | toJson }}
values:
  {{- .Values | toYaml | nindent 2 }}
";

fn member(
    chance: &mut Chance,
    files: &mut BTreeMap<String, String>,
    helpers: &mut Vec<String>,
    folder: &str,
    name: &str,
    depth: usize,
) {
    let mut meta = if name == "demo" {
        CHART.to_owned()
    } else {
        let version = chance.pick(&["1.0.0", "0.3.1", "2.1.0-rc.1"]);
        format!("apiVersion: v2\nname: {name}\nversion: {version}\n")
    };
    if depth > 0 && chance.percent(12) {
        meta.push_str("type: library\n");
    }
    if chance.percent(5) {
        let wanted = chance.pick(&[">=1.20.0-0", ">=1.99", "^1.30", "bad"]);
        meta.push_str(&format!("kubeVersion: \"{wanted}\"\n"));
    }
    let inner: &[&str] = if depth < 2 { &["sub", "other"] } else { &[] };
    let mut listed = String::new();
    for below in inner {
        if !chance.percent(if depth == 0 { 70 } else { 40 }) {
            continue;
        }
        member(
            chance,
            files,
            helpers,
            &format!("{folder}charts/{below}/"),
            below,
            depth + 1,
        );
        // Twice only where it has no subcharts: see the crate's differences.
        let twice = depth == 1 && chance.percent(15);
        for _ in 0..=usize::from(twice) {
            if chance.percent(20) {
                continue;
            }
            let range = chance.pick(&["\">=0.0.0-0\"", "\"*\"", "\"^1\"", "\"~0.3\"", "\"1.0.0\""]);
            listed.push_str(&format!("- name: {below}\n  version: {range}\n"));
            if chance.percent(25) {
                listed.push_str(&format!("  alias: {}\n", chance.pick(&["ali", "ali2"])));
            }
            if chance.percent(40) {
                let condition = chance.pick(&[
                    "sub.enabled",
                    "enabled",
                    "deep.enabled,sub.enabled",
                    "global.enabled",
                    "other.enabled",
                    "missing.x",
                ]);
                listed.push_str(&format!("  condition: {condition}\n"));
            }
            if chance.percent(25) {
                listed.push_str("  tags: [front, back]\n");
            }
            if chance.percent(30) {
                let import = chance.pick(&[
                    "[data]",
                    "[{child: deep, parent: deep}]",
                    "[{child: deep, parent: got.it}]",
                    "[{child: deep, parent: .}, data]",
                    "[missing]",
                ]);
                listed.push_str(&format!("  import-values: {import}\n"));
            }
        }
    }
    if !listed.is_empty() && chance.percent(12) {
        // As charts of the first version had it.
        meta = meta.replace("apiVersion: v2", "apiVersion: v1");
        files.insert(
            format!("{folder}requirements.yaml"),
            format!("dependencies:\n{listed}"),
        );
    } else if !listed.is_empty() {
        meta.push_str(&format!("dependencies:\n{listed}"));
    }
    if chance.percent(15) {
        meta.push_str(
            "description: what it is\nkeywords: [one, two]\nhome: https://h\nannotations: {k: v}\nmaintainers:\n- name: me\n  email: m@h\nicon: https://h/i.svg\ndeprecated: true\n",
        );
    }
    files.insert(format!("{folder}Chart.yaml"), meta);
    let mut values = tree(chance, 0, inner, depth == 0);
    if depth > 0 && chance.percent(50) {
        values.push_str("exports: {data: {a: exported, fresh: {x: 1, y: null}}}\n");
    }
    if chance.percent(5) && depth == 0 {
        values.push_str(VALUES.lines().next().unwrap());
        values.push('\n');
    }
    // The last of two equal keys wins on both sides.
    files.insert(format!("{folder}values.yaml"), values);
    files.insert(format!("{folder}templates/seen.yaml"), SEEN.to_owned());
    if chance.percent(35) {
        let helper = chance
            .pick(&["who", "who", "{name}.who"])
            .replace("{name}", name);
        files.insert(
            format!("{folder}templates/_part.tpl"),
            format!("{{{{ define \"{helper}\" }}}}{{{{ .Chart.Name }}}} by {name} at {depth} {{{{ .Values.a | toJson }}}}{{{{ end }}}}"),
        );
        helpers.push(helper);
    }
    if chance.percent(30) {
        files.insert(
            format!("{folder}templates/NOTES.txt"),
            format!("{name} {{{{ .Release.Name }}}} {{{{ .Values.a | default \"-\" }}}}"),
        );
    }
    if chance.percent(20) {
        files.insert(
            format!("{folder}crds/{name}.yaml"),
            format!("kind: CustomResourceDefinition\nmetadata:\n  name: {name}"),
        );
    }
    if chance.percent(15) {
        files.insert(
            format!("{folder}values.schema.json"),
            (*chance.pick(SCHEMAS)).to_owned(),
        );
    }
}

/// Values as YAML, with keys for the subcharts.
fn tree(chance: &mut Chance, depth: usize, below: &[&str], top: bool) -> String {
    let pad = "  ".repeat(depth);
    let mut out = String::new();
    let mut line = |chance: &mut Chance, key: &str, below: &[&str]| {
        // What is no map ends a chart where a subchart has the name.
        let is_chart = ["sub", "other", "ali"].contains(&key);
        let nested = depth < 3 && chance.percent(if is_chart { 93 } else { 35 });
        if nested {
            let inner = tree(chance, depth + 1, below, false);
            if inner.is_empty() {
                out.push_str(&format!("{pad}{key}: {{}}\n"));
            } else {
                out.push_str(&format!("{pad}{key}:\n{inner}"));
            }
        } else {
            let value = chance.pick(&[
                "null",
                "null",
                "1",
                "x",
                "true",
                "false",
                "[1, {a: b}]",
                "\"\"",
                "2.5",
                "~",
                "{}",
                "{a: null}",
                "[]",
            ]);
            out.push_str(&format!("{pad}{key}: {value}\n"));
        }
    };
    for key in KEYS {
        if chance.percent(35) {
            line(chance, key, &[]);
        }
    }
    if top || chance.percent(40) {
        if chance.percent(50) {
            line(chance, "global", &[]);
        }
        if chance.percent(25) {
            line(chance, "tags", &[]);
        }
    }
    for key in below {
        if chance.percent(60) {
            line(chance, key, &["sub", "other"]);
        }
    }
    if top && chance.percent(30) {
        let (front, back) = (
            chance.pick(&["true", "false"]),
            chance.pick(&["true", "false"]),
        );
        if !out.contains("\ntags:") && !out.starts_with("tags:") {
            out.push_str(&format!("{pad}tags: {{front: {front}, back: {back}}}\n"));
        }
    }
    out
}
