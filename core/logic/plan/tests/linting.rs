//! Lint of what a Blueprint renders: each rule finds what it is for, alone, at its
//! place, and finds nothing in what is in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use catalyst_blueprint::{Level, RULES};
use catalyst_plan::{lint_blueprint, lint_blueprint_by};
use catalyst_schema::SchemaSet;
use serde_json::{Value, json};

const BLUEPRINT: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Blueprint
metadata: {name: bp-xx}
spec:
  version: 1.0.0
  card: {title: X, license: MIT}
  configSchema:
    type: object
    additionalProperties: false
    properties:
      replicas: {type: integer, minimum: 1, maximum: 5}
      password: {type: string, x-catalyst-secret: true}
  manifests:
    source: {kind: HelmChart}
    overlays: {small: {}, large: {replicas: 3}}
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {{- include \"labels\" . | nindent 4 }}
spec:
  replicas: {{ int .Values.replicas }}
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 10001}
      containers:
        - name: web
          image: registry.example.org:5000/web:1.0.0@sha256:0000000000000000000000000000000000000000000000000000000000000000
          env:
            - {name: TITLE, value: hello}
          ports: [{containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: 8080}}
          livenessProbe: {tcpSocket: {port: 8080}}
          resources:
            requests: {cpu: 10m, memory: 16Mi}
            limits: {memory: 64Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
      volumes: [{name: tmp, emptyDir: {}}]
";

const SECRET: &str = "\
{{- with .Values.password }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $.Release.Name }}
  labels: {{- include \"labels\" $ | nindent 4 }}
stringData:
  url: postgres://app:{{ . }}@db/app
{{- end }}
";

const LABELS: &str = "\
{{- define \"labels\" -}}
app.kubernetes.io/name: x
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: \"1\"
app.kubernetes.io/component: web
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
";

const WEB: &str = "chart/templates/web.yaml";
const VAULT: &str = "chart/templates/secret.yaml";

/// A Blueprint in order, with one text put in place of another in some files.
fn folder(changes: &[(&str, &str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, String> = [
        ("blueprint.yaml", BLUEPRINT),
        ("README.md", "# X\n"),
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: bp-xx\nversion: 1.0.0\n",
        ),
        ("chart/values.yaml", "replicas: 1\npassword: \"\"\n"),
        ("chart/templates/_helpers.tpl", LABELS),
        (WEB, DEPLOYMENT),
        (VAULT, SECRET),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .collect();
    for (path, from, to) in changes {
        let text = files.get_mut(*path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {path}");
        *text = text.replacen(from, to, 1);
    }
    files
        .into_iter()
        .map(|(path, text)| (path, text.into_bytes()))
        .collect()
}

fn told(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    lint_blueprint(files)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn what_is_in_order_is_left_alone() {
    assert_eq!(told(&folder(&[])), Vec::<String>::new());
}

/// A change of a Blueprint that is in order, and the findings it makes: file, line
/// (0 where there is none), rule, and a part of the message.
type Case<'a> = (
    (&'a str, &'a str, &'a str),
    &'a [(&'a str, usize, &'a str, &'a str)],
);

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_else() {
    let cases: &[Case<'_>] = &[
        (
            (
                WEB,
                "  labels: {{- include \"labels\" . | nindent 4 }}\n",
                "",
            ),
            &[(
                WEB,
                3,
                "labels",
                "lacks the labels app.kubernetes.io/name, app.kubernetes.io/instance",
            )],
        ),
        (
            (
                "chart/templates/_helpers.tpl",
                "app.kubernetes.io/component: web\n",
                "",
            ),
            &[
                (
                    VAULT,
                    6,
                    "labels",
                    "Secret example lacks the labels app.kubernetes.io/component",
                ),
                (
                    WEB,
                    5,
                    "labels",
                    "Deployment example lacks the labels app.kubernetes.io/component",
                ),
            ],
        ),
        (
            (
                WEB,
                "          livenessProbe: {tcpSocket: {port: 8080}}\n",
                "",
            ),
            &[(
                WEB,
                14,
                "probes",
                "container `web` of Deployment example has no livenessProbe",
            )],
        ),
        (
            (WEB, "            limits: {memory: 64Mi}\n", ""),
            &[(WEB, 21, "resources", "does not state limits.memory")],
        ),
        (
            (WEB, "runAsNonRoot: true, ", ""),
            &[(WEB, 24, "security-context", "may run as root")],
        ),
        (
            (WEB, "runAsUser: 10001", "runAsUser: 0"),
            &[(WEB, 24, "security-context", "runs as root")],
        ),
        (
            (WEB, "            allowPrivilegeEscalation: false\n", ""),
            &[(WEB, 24, "security-context", "may gain rights")],
        ),
        (
            (
                WEB,
                "{drop: [ALL]}",
                "{drop: [ALL], add: [NET_BIND_SERVICE, SYS_ADMIN]}",
            ),
            &[(
                WEB,
                24,
                "security-context",
                "adds the capabilities SYS_ADMIN",
            )],
        ),
        (
            (WEB, "{drop: [ALL]}", "{}"),
            &[(WEB, 24, "security-context", "keeps capabilities")],
        ),
        (
            (WEB, "            readOnlyRootFilesystem: true\n", ""),
            &[(WEB, 24, "read-only-root", "can write to its image's files")],
        ),
        (
            (
                WEB,
                "@sha256:0000000000000000000000000000000000000000000000000000000000000000",
                "",
            ),
            &[(
                WEB,
                15,
                "image-digest",
                "registry.example.org:5000/web:1.0.0",
            )],
        ),
        (
            (
                WEB,
                ":1.0.0@sha256:0000000000000000000000000000000000000000000000000000000000000000",
                "",
            ),
            &[(WEB, 15, "image-tag", "registry.example.org:5000/web")],
        ),
        (
            (
                WEB,
                ":1.0.0@sha256:0000000000000000000000000000000000000000000000000000000000000000",
                ":latest",
            ),
            &[(WEB, 15, "image-tag", "web:latest")],
        ),
        (
            (
                WEB,
                "  name: {{ .Release.Name }}\n",
                "  name: {{ .Release.Name }}\n  namespace: other\n",
            ),
            &[(
                WEB,
                5,
                "own-namespace",
                "Deployment example is in the namespace other",
            )],
        ),
        (
            (
                WEB,
                "      containers:\n",
                "      hostNetwork: true\n      containers:\n",
            ),
            &[(WEB, 13, "host-access", "share the host's hostNetwork")],
        ),
        (
            (WEB, "emptyDir: {}", "hostPath: {path: /etc}"),
            &[(WEB, 28, "host-access", "mount `/etc` of the host")],
        ),
        (
            (
                WEB,
                "containerPort: 8080",
                "containerPort: 8080, hostPort: 80",
            ),
            &[(WEB, 18, "host-access", "takes port 80 of the host")],
        ),
        (
            (
                WEB,
                "            readOnlyRootFilesystem",
                "            privileged: true\n            readOnlyRootFilesystem",
            ),
            &[(WEB, 26, "host-access", "is privileged")],
        ),
        (
            (
                WEB,
                "{name: TITLE, value: hello}",
                "{name: API_TOKEN, value: hello}",
            ),
            &[(
                WEB,
                17,
                "plain-secret",
                "has the variable `API_TOKEN` in plain text",
            )],
        ),
        (
            (
                WEB,
                "value: hello}",
                "value: \"postgres://app:hunter2@db/app\"}",
            ),
            &[(
                WEB,
                17,
                "plain-secret",
                "has an address with a password in plain text, at /spec/template/spec/containers/0/env/0/value",
            )],
        ),
        (
            (WEB, "value: hello}", "value: \"{{ .Values.password }}\"}"),
            &[(
                WEB,
                16,
                "plain-secret",
                "holds the value of a secret setting",
            )],
        ),
        (
            (
                VAULT,
                "  url: postgres://app:{{ . }}@db/app\n",
                "  url: {{ . }}\n  key: hunter2\n",
            ),
            &[(
                VAULT,
                9,
                "plain-secret",
                "Secret example has `key` in plain text, from no secret setting",
            )],
        ),
        (
            (
                WEB,
                "spec:\n",
                "{{- if gt (int .Values.replicas) 4 }}{{ fail \"four at most\" }}{{ end }}\nspec:\n",
            ),
            &[(WEB, 6, "render", "with `replicas: 5` it does not render: ")],
        ),
        (
            (
                WEB,
                "spec:\n",
                "{{- if eq (int .Values.replicas) 3 }}{{ fail \"not three\" }}{{ end }}\nspec:\n",
            ),
            &[(
                WEB,
                6,
                "render",
                "with the size `large` it does not render: ",
            )],
        ),
        (
            (
                WEB,
                "spec:\n",
                "{{- if .Values.password }}{{ fail \"no password\" }}{{ end }}\nspec:\n",
            ),
            &[(
                WEB,
                6,
                "render",
                "with `every property` it does not render: ",
            )],
        ),
        (
            (
                "blueprint.yaml",
                "    properties:\n",
                "    required: [code]\n    properties:\n      code: {type: string, pattern: \"^[QX]{9}$\"}\n",
            ),
            &[
                (
                    "blueprint.yaml",
                    7,
                    "config-example",
                    "no config could be made up",
                ),
                ("blueprint.yaml", 12, "config-unused", "`code`"),
            ],
        ),
        (
            (
                "blueprint.yaml",
                "  manifests:\n",
                "  depends:\n    - {blueprint: bp-y, version: ^1, when: config.replicas > 2}\n  manifests:\n",
            ),
            &[(
                "blueprint.yaml",
                14,
                "expression",
                "with its defaults: cannot tell whether it needs `y`",
            )],
        ),
    ];
    for ((path, from, to), expected) in cases {
        let problems = lint_blueprint(&folder(&[(*path, *from, *to)]));
        let found: Vec<(&str, usize, &str)> = problems
            .iter()
            .map(|it| (it.file.as_str(), it.line.unwrap_or(0), it.rule))
            .collect();
        let wanted: Vec<(&str, usize, &str)> = expected
            .iter()
            .map(|(file, line, rule, _)| (*file, *line, *rule))
            .collect();
        assert_eq!(found, wanted, "{from:?} -> {to:?}: {problems:#?}");
        for (problem, (_, _, _, part)) in problems.iter().zip(*expected) {
            assert!(problem.message.contains(part), "{part:?} in {problem}");
            assert!(RULES.iter().any(|rule| rule.id == problem.rule));
        }
    }
}

/// What of the machine is taken, by a change of the pod's template.
const TAKING: [(&str, &str, &str); 6] = [
    (
        "{kind: hostNetwork, reason: R}",
        "      containers:\n",
        "      hostNetwork: true\n      containers:\n",
    ),
    (
        "{kind: hostPID, reason: R}",
        "      containers:\n",
        "      hostPID: true\n      containers:\n",
    ),
    (
        "{kind: hostIPC, reason: R}",
        "      containers:\n",
        "      hostIPC: true\n      containers:\n",
    ),
    (
        "{kind: hostPath, paths: [/etc/ssl], reason: R}",
        "emptyDir: {}",
        "hostPath: {path: /etc/ssl/certs}",
    ),
    (
        "{kind: hostPort, ports: [80], reason: R}",
        "containerPort: 8080",
        "containerPort: 8080, hostPort: 80",
    ),
    (
        "{kind: privileged, reason: R}",
        "allowPrivilegeEscalation: false",
        "privileged: true",
    ),
];

fn declaring(declarations: &str) -> (&'static str, &'static str, String) {
    let declared = format!("  hostAccess: [{declarations}]\n  manifests:\n");
    ("blueprint.yaml", "  manifests:\n", declared)
}

#[test]
fn of_the_machine_is_taken_what_is_declared_and_nothing_else() {
    for (declared, from, to) in TAKING {
        let (file, before, after) = declaring(declared);
        let files = folder(&[(file, before, &after), (WEB, from, to)]);
        assert_eq!(told(&files), Vec::<String>::new(), "{declared}");
        // Declared and not taken; and, by another declaration, taken and not declared.
        let problems = lint_blueprint(&folder(&[(file, before, &after)]));
        let found: Vec<_> = problems.iter().map(|it| (it.rule, it.level())).collect();
        assert_eq!(
            found,
            [("host-access-unused", Level::Warning)],
            "{declared}"
        );
        assert_eq!(problems[0].line, Some(13), "{declared}");
        for (other, ..) in TAKING.iter().filter(|(other, ..)| *other != declared) {
            let (file, before, after) = declaring(other);
            let problems = lint_blueprint(&folder(&[(file, before, &after), (WEB, from, to)]));
            let rules: Vec<&str> = problems.iter().map(|it| it.rule).collect();
            for rule in ["host-access", "host-access-unused"] {
                assert!(rules.contains(&rule), "{declared} by {other}: {problems:?}");
            }
        }
    }
    // What is taken by one config alone counts as well.
    let (file, before, after) = declaring("{kind: hostIPC, reason: R}");
    let sometimes = "      {{- if gt (int .Values.replicas) 2 }}\n      hostIPC: true\n      {{- end }}\n      containers:\n";
    let changes = [
        (file, before, after.as_str()),
        (WEB, "      containers:\n", sometimes),
    ];
    assert_eq!(told(&folder(&changes)), Vec::<String>::new());
}

#[test]
fn a_declaration_names_what_belongs_to_it() {
    for (declared, line, part) in [
        (
            "{kind: hostPath, reason: R}",
            13,
            "does not say which paths",
        ),
        (
            "{kind: hostPort, reason: R}",
            13,
            "does not say which ports",
        ),
        (
            "{kind: hostIPC, reason: R, ports: [80]}",
            13,
            "has no ports",
        ),
        (
            "{kind: hostPath, reason: R, paths: [/var/../etc]}",
            13,
            "leads out of itself",
        ),
        (
            "{kind: hostPath, reason: R, paths: [etc]}",
            13,
            "is not in the form",
        ),
        ("{kind: hostFiles, reason: R}", 13, "hostAccess.0.kind"),
        ("{kind: hostIPC}", 13, "lacks the field `reason`"),
        ("{kind: hostIPC, reason: \"\"}", 13, "hostAccess.0.reason"),
        (
            "{kind: hostPort, reason: R, ports: [70000]}",
            13,
            "hostAccess.0.ports.0",
        ),
    ] {
        let (file, before, after) = declaring(declared);
        let problems = lint_blueprint(&folder(&[(file, before, &after)]));
        let problem = problems
            .iter()
            .find(|it| it.message.contains(part))
            .unwrap_or_else(|| panic!("{declared}: {problems:#?}"));
        assert_eq!(problem.line, Some(line), "{problem}");
        assert!(problem.is_error(), "{problem}");
    }
}

#[test]
fn mistakes_of_shape_hide_nothing_that_is_rendered() {
    const PROBE: (&str, &str, &str) = (
        WEB,
        "          livenessProbe: {tcpSocket: {port: 8080}}\n",
        "",
    );
    let found = |changes: &[(&str, &str, &str)]| -> Vec<String> {
        let problems = lint_blueprint(&folder(changes));
        problems.iter().map(|it| it.rule.to_owned()).collect()
    };
    // What is rendered rests on none of these.
    for (from, to, rule) in [
        ("  card:", "  colour: 1\n  card:", "unknown-field"),
        ("{name: bp-xx}", "{name: XX}", "name"),
        ("  version: 1.0.0", "  version: 1", "wrong-value"),
        ("license: MIT", "license: 1", "wrong-value"),
        ("{kind: HelmChart}", "{kind: Chart}", "wrong-value"),
        ("  configSchema:", "  configShema:", "unknown-field"),
        (
            "  manifests:",
            "  observability: {metrcs: prometheus}\n  manifests:",
            "unknown-field",
        ),
        (
            "  manifests:",
            "  depends: [{blueprint: db, version: ^1}]\n  manifests:",
            "name",
        ),
    ] {
        let change = ("blueprint.yaml", from, to);
        assert_eq!(found(&[change]), [rule], "{to}");
        let mut rules = found(&[change, PROBE]);
        rules.sort();
        let mut wanted = ["probes".to_owned(), rule.to_owned()];
        wanted.sort();
        assert_eq!(rules, wanted, "{to}");
    }
    // It would be otherwise with what these say: the fault itself is all that is told.
    for (from, to, rule) in [
        ("  configSchema:", "  settings:", "unknown-field"),
        (
            "    type: object\n",
            "    type: object\n  manifsts: 1\n",
            "yaml",
        ),
        (
            "  manifests:",
            "  depends: {blueprint: bp-db}\n  manifests:",
            "wrong-value",
        ),
    ] {
        assert_eq!(
            found(&[("blueprint.yaml", from, to), PROBE]),
            [rule],
            "{to}"
        );
    }
    // Of host access that cannot be read, nothing is said of what is taken.
    let (file, before, after) =
        declaring("{kind: hostIPC, reason: 1}, {kind: hostFiles, reason: R}");
    let taking = (
        WEB,
        "      containers:\n",
        "      hostIPC: true\n      containers:\n",
    );
    let mut rules = found(&[(file, before, &after), taking, PROBE]);
    rules.sort();
    assert_eq!(rules, ["probes", "wrong-value", "wrong-value"]);
}

#[test]
fn jobs_need_no_probes_and_hooks_no_labels() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {helm.sh/hook: pre-upgrade}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      hostPID: true\n      securityContext: {runAsNonRoot: true}\n      containers:\n        - name: migrate\n          image: web:1.0.0\n          resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 1Mi}}\n          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [all]}}\n";
    let mut files = folder(&[]);
    files.insert(
        "chart/templates/job.yaml".to_owned(),
        job.as_bytes().to_vec(),
    );
    let problems = lint_blueprint(&files);
    let found: Vec<(usize, &str)> = problems
        .iter()
        .map(|it| (it.line.unwrap(), it.rule))
        .collect();
    assert_eq!(found, [(10, "host-access"), (14, "image-digest")]);
    assert_eq!(problems[1].level(), Level::Warning);
}

#[test]
fn manifests_of_kustomize_are_looked_at_where_they_stand() {
    let deployment = DEPLOYMENT
        .replace("{{ .Release.Name }}", "x")
        .replace("  labels: {{- include \"labels\" . | nindent 4 }}\n", "")
        .replace("{{ int .Values.replicas }}", "1")
        .replace("value: hello", "value: \"${title}\"");
    let labels = "labels:\n  - pairs: {app.kubernetes.io/name: x, app.kubernetes.io/instance: \"${global_catalyst_application}\", app.kubernetes.io/version: \"1\", app.kubernetes.io/component: web, app.kubernetes.io/managed-by: Flux}\n";
    let base = |deployment: &str| -> BTreeMap<String, Vec<u8>> {
        let blueprint = BLUEPRINT
            .replace("HelmChart", "Kustomize")
            .replace(
                "replicas: {type: integer, minimum: 1, maximum: 5}",
                "title: {type: string}",
            )
            .replace(
                "      password: {type: string, x-catalyst-secret: true}\n",
                "",
            )
            .replace("large: {replicas: 3}", "large: {}");
        let overlay = "resources: [../../base]\n";
        let objects = format!(
            "# Both in one file.\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n---\n{deployment}"
        );
        [
            ("blueprint.yaml", blueprint),
            ("README.md", "# X\n".to_owned()),
            (
                "manifests/base/kustomization.yaml",
                format!("resources: [web.yaml]\n{labels}"),
            ),
            ("manifests/base/web.yaml", objects),
            (
                "manifests/overlays/small/kustomization.yaml",
                overlay.to_owned(),
            ),
            (
                "manifests/overlays/large/kustomization.yaml",
                overlay.to_owned(),
            ),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.into_bytes()))
        .collect()
    };
    assert_eq!(told(&base(&deployment)), Vec::<String>::new());
    let broken = deployment.replace("          livenessProbe: {tcpSocket: {port: 8080}}\n", "");
    let problems = lint_blueprint(&base(&broken));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].rule, "probes");
    assert_eq!(problems[0].file, "manifests/base/web.yaml");
    assert_eq!(problems[0].line, Some(19));
    let mut files = base(&deployment);
    files.insert(
        "manifests/overlays/large/kustomization.yaml".to_owned(),
        b"resources: [../../gone]\n".to_vec(),
    );
    let problems = lint_blueprint(&files);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].rule, "render");
    assert!(
        problems[0].message.contains("with the size `large`"),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_is_too_large_is_told_once() {
    let mut files = folder(&[]);
    files.insert("chart/files/large".to_owned(), vec![0; (5 << 20) + 1]);
    let found: Vec<&str> = lint_blueprint(&files).iter().map(|it| it.rule).collect();
    assert_eq!(found, ["file-size"]);
}

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels: {{- include \"labels\" . | nindent 4 }}
spec:
  selector: {app: x}
  ports:
    - name: web
      port: 8080
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

#[test]
fn what_is_rendered_is_held_against_the_schemas_of_its_kinds() {
    const FILE: &str = "chart/templates/service.yaml";
    let schemas = schemas();
    assert_eq!(lint_blueprint_by(&folder(&[]), &schemas), []);
    for (from, to, line, words) in [
        ("", "", None, ""),
        ("port: 8080", "port: abc", Some(10), "spec.ports[0].port"),
        ("selector:", "selectors:", Some(7), "unknown field"),
        ("v1\n", "v2\n", Some(2), "has no kind Service in v2"),
        ("kind: Service\n", "", None, "has no kind"),
    ] {
        let mut files = folder(&[]);
        assert!(SERVICE.contains(from));
        let text = SERVICE.replacen(from, to, 1);
        files.insert(FILE.to_owned(), text.into_bytes());
        let mut found = lint_blueprint_by(&files, &schemas);
        if words.is_empty() {
            assert_eq!(found, []);
            continue;
        }
        found.retain(|it| it.rule == "kubernetes-schema");
        let [problem] = found.as_slice() else {
            panic!("{to}: {found:?}");
        };
        assert_eq!((problem.file.as_str(), problem.line), (FILE, line), "{to}");
        assert!(problem.message.contains(words), "{problem}");
    }
}

#[test]
fn the_port_of_the_page_is_that_of_a_service() {
    let page = |port: &str, service: &str| {
        let from = "  manifests:\n";
        let to = format!("  provides: {{http: {{port: {port}}}}}\n  manifests:\n");
        let mut files = folder(&[("blueprint.yaml", from, to.as_str())]);
        let path = "chart/templates/service.yaml";
        files.insert(path.to_owned(), service.as_bytes().to_vec());
        let found = lint_blueprint(&files);
        found
            .iter()
            .map(|it| (it.rule, it.line))
            .collect::<Vec<_>>()
    };
    let sometimes = format!("{{{{- if gt (int .Values.replicas) 1 }}}}\n{SERVICE}{{{{- end }}}}\n");
    for (port, service, is_fault) in [
        ("web", SERVICE, false),
        ("8080", SERVICE, false),
        ("nope", SERVICE, true),
        ("9999", SERVICE, true),
        ("web", sometimes.as_str(), true),
    ] {
        let expected = match is_fault {
            true => vec![("http-port", Some(13))],
            false => vec![],
        };
        assert_eq!(page(port, service), expected, "{port}");
    }
}
