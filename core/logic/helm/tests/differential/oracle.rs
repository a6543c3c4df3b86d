//! The two sides: helm's packages in a process of their own, and this crate.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use catalyst_helm::{
    Capabilities, Chart, Environment, Host, Limits, NoLookup, ReleaseOptions, RenderError, render,
};
use serde_json::{Value, json};

const API_VERSIONS: [&str; 4] = ["v1", "apps/v1", "apps/v1/Deployment", "batch/v1"];
const KUBE_VERSION: &str = "v1.34.0";

/// One chart and how it is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub files: BTreeMap<String, String>,
    /// The user's values, as YAML.
    pub values: String,
    pub is_upgrade: bool,
    pub include_crds: bool,
}

impl Case {
    /// Whether a chart asks for files by a pattern such as `*{{` or `f{}`, of which Helm's
    /// library overlooks matches or ends in a panic. No grammar makes one; a character
    /// that is put anywhere does.
    pub fn has_braces_around_nothing(&self) -> bool {
        self.files.values().any(|text| {
            text.split("Glob \"").skip(1).any(|rest| {
                let pattern = rest.split('"').next().unwrap_or_default();
                let within = pattern.split('{').skip(1);
                within
                    .into_iter()
                    .any(|rest| rest.is_empty() || rest.starts_with([',', '}']))
            })
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "files": self.files,
            "values": self.values,
            "release": "rel",
            "namespace": "ns",
            "is_upgrade": self.is_upgrade,
            "include_crds": self.include_crds,
            "kube_version": KUBE_VERSION,
            "api_versions": API_VERSIONS,
        })
    }

    pub fn from_json(value: &Value) -> Self {
        Self {
            files: value["files"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(path, text)| (path.clone(), text.as_str().unwrap().to_owned()))
                .collect(),
            values: value["values"].as_str().unwrap_or_default().to_owned(),
            is_upgrade: value["is_upgrade"] == true,
            include_crds: value["include_crds"] == true,
        }
    }

    /// A chart whose notes are `text`: nothing reads them as YAML.
    pub fn notes(text: &str) -> Self {
        Self {
            files: BTreeMap::from([
                ("Chart.yaml".to_owned(), CHART.to_owned()),
                ("values.yaml".to_owned(), VALUES.to_owned()),
                ("f.txt".to_owned(), "one\ntwo <&> é\n".to_owned()),
                ("conf/a.ini".to_owned(), "[a]\nb=1".to_owned()),
                ("conf/b.ini".to_owned(), "".to_owned()),
                ("templates/NOTES.txt".to_owned(), text.to_owned()),
            ]),
            values: String::new(),
            is_upgrade: false,
            include_crds: false,
        }
    }
}

pub const CHART: &str = "apiVersion: v2\nname: demo\nversion: 1.2.3\nappVersion: \"1.0\"\n";
/// What every generated chart finds in `.Values`, besides what is made for it.
pub const VALUES: &str = "\
global: {region: eu, deep: {x: 1}}
name: web
empty: \"\"
text: \"a b: 'c' \\\"d\\\" <&> é\"
lines: \"l1\\n  l2\\n\\nl3\\n\"
num: 3
big: 12345678
neg: -7
float: 1.5
tiny: 1.0e-9
zero: 0
yes_: true
no_: false
nothing: null
list: [a, 1, true, null, 2.5]
words: [pear, apple, fig, apple]
nums: [3, 1, 2]
none: []
maps: [{n: a, v: 1}, {n: b, v: 2, w: {x: y}}]
map: {b: 2, a: x, c: {d: [1, {e: f}], z: null}}
blank: {}
";

/// What a side answered: manifest and notes, or the error's text.
pub type Answer = Result<(String, String), String>;

pub fn answer_to_json(answer: &Answer) -> Value {
    match answer {
        Ok((manifest, notes)) => json!({"manifest": manifest, "notes": notes}),
        Err(error) => json!({"error": error}),
    }
}

pub fn answer_from_json(value: &Value) -> Answer {
    match value["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok((
            value["manifest"].as_str().unwrap_or_default().to_owned(),
            value["notes"].as_str().unwrap_or_default().to_owned(),
        )),
    }
}

/// Helm's packages behind pipes.
pub struct Oracle {
    program: OsString,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What it says on stderr.
    said: std::fs::File,
}

/// An answer of helm's packages, and what it cost them.
#[derive(Clone, Debug)]
pub struct Told {
    pub answer: Answer,
    /// Bytes that helm allocated for it; 0 where that was not recorded.
    pub allocated: u64,
    /// It met the bounds of its process instead: see `tests/real/helm/main.go`.
    pub exhausted: bool,
}

/// What the process says on stderr when a bound ends it.
const BOUNDS: [&str; 4] = [
    "out of memory",
    "stack overflow",
    "stack exceeds",
    "out of time",
];

impl Oracle {
    /// The program that `tests/real/helm/run` builds; `None` where it is not
    /// given.
    pub fn start() -> Option<Self> {
        Some(Self::start_program(std::env::var_os(
            "CATALYST_HELM_ORACLE",
        )?))
    }

    fn start_program(program: OsString) -> Self {
        let said = tempfile::tempfile().expect("cannot make a temporary file");
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone().unwrap())
            .env("TZ", "UTC")
            .spawn()
            .expect("cannot start the program that CATALYST_HELM_ORACLE names");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            program,
            child,
            stdin,
            stdout,
            said,
        }
    }

    pub fn restart(&mut self) {
        *self = Self::start_program(self.program.clone());
    }

    pub fn ask(&mut self, case: &Case) -> Told {
        self.send(case);
        self.answer(case)
    }

    /// Lets helm begin with the case. Whoever sends fetches the answer before it
    /// sends again.
    pub fn send(&mut self, case: &Case) {
        let mut line = case.to_json().to_string();
        line.push('\n');
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
    }

    /// What helm says of the case that was sent.
    pub fn answer(&mut self, case: &Case) -> Told {
        let mut line = String::new();
        if self.stdout.read_line(&mut line).unwrap() == 0 {
            let _ = self.child.wait();
            let mut said = String::new();
            self.said.rewind().unwrap();
            self.said.read_to_string(&mut said).unwrap();
            let head: Vec<&str> = said.lines().take(5).collect();
            let head = head.join("\n");
            // Anything else is a fault of the oracle's, and no answer.
            assert!(
                BOUNDS.iter().any(|bound| head.contains(bound)),
                "helm's packages ended without an answer: {head}\n{}",
                case.to_json()
            );
            *self = Self::start_program(self.program.clone());
            return Told {
                answer: Err("helm exhausted the bounds of its process".to_owned()),
                allocated: u64::MAX,
                exhausted: true,
            };
        }
        let told: Value = serde_json::from_str(&line).unwrap();
        Told {
            answer: answer_from_json(&told),
            allocated: told["allocated"].as_u64().unwrap_or_default(),
            exhausted: false,
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Its input closed, it ends by itself.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// The time of day, as helm has it; nothing else of the outside.
struct Clock;

impl Host for Clock {
    fn now(&self) -> Result<(i64, u32), String> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|why| why.to_string())?;
        let seconds = i64::try_from(now.as_secs()).map_err(|why| why.to_string())?;
        Ok((seconds, now.subsec_nanos()))
    }
}

/// This crate's answer, in helm's words.
pub fn ours(case: &Case) -> Answer {
    rendered(&chart(case)?, case)
}

/// The case's chart, or why there is none.
pub fn chart(case: &Case) -> Result<Chart, String> {
    let files = case
        .files
        .iter()
        .map(|(path, text)| (path.clone(), text.as_bytes().to_vec()))
        .collect();
    Chart::from_files(files).map_err(|error| format!("{CHART_ERROR}: {error}"))
}

/// What `ours` answers, of a chart that may have been rendered before.
pub fn rendered(chart: &Chart, case: &Case) -> Answer {
    let values = catalyst_yaml::from_str(&case.values).map_err(|error| error.to_string())?;
    let release = ReleaseOptions {
        name: "rel".to_owned(),
        namespace: "ns".to_owned(),
        revision: 1,
        is_upgrade: case.is_upgrade,
        service: "Helm".to_owned(),
    };
    let rendered = render(
        chart,
        &values,
        &Environment {
            release: &release,
            capabilities: &Capabilities {
                kube_version: KUBE_VERSION.to_owned(),
                api_versions: API_VERSIONS.map(str::to_owned).to_vec(),
                helm_version: "v3.22.0".to_owned(),
            },
            lookup: &NoLookup,
            host: &Clock,
            limits: Limits {
                steps: 1_000_000,
                ..Limits::default()
            },
        },
    )
    .map_err(|error| match error {
        RenderError::Template { message, .. } => message,
        RenderError::Manifest { path, source, .. } => {
            format!("YAML parse error on {path}: {source}")
        }
        RenderError::Values(message) => message,
        RenderError::KubeVersion { wanted, found, .. } => format!(
            "chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}"
        ),
        RenderError::Library(_) => LIBRARY.to_owned(),
        error => error.to_string(),
    })?;
    let mut shown = String::new();
    if case.include_crds {
        // One document a file is all that the generator makes.
        for crd in &rendered.crds {
            shown.push_str(&format!("---\n# Source: {}\n{}\n", crd.path, crd.content));
        }
    }
    shown.push_str(&rendered.to_string());
    // Helm ends what it prints with a line feed, if only that.
    if rendered.manifests.is_empty() && (rendered.crds.is_empty() || !case.include_crds) {
        let hooks = shown.split_off(0);
        shown = format!("{}\n{hooks}", "");
    }
    Ok((shown, rendered.notes.unwrap_or_default()))
}

pub const CHART_ERROR: &str = "cannot read";
const LIBRARY: &str = "library charts are not installable";

/// What the helm program prints for the case.
pub fn program(helm: &std::ffi::OsStr, case: &Case) -> Result<String, String> {
    let folder = std::env::temp_dir().join(format!("catalyst-helm-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    for (path, text) in &case.files {
        let path = folder.join("chart").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.join("values.yaml"), &case.values).unwrap();
    let mut command = Command::new(helm);
    command
        .args(["template", "rel", "chart", "-n", "ns", "-f", "values.yaml"])
        .args(["--include-crds", "--kube-version", KUBE_VERSION])
        .env("HOME", &folder)
        .env("TZ", "UTC")
        .current_dir(&folder);
    for version in API_VERSIONS {
        command.args(["--api-versions", version]);
    }
    if case.is_upgrade {
        command.arg("--is-upgrade");
    }
    let output = command.output().unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn only_braces_around_nothing_are_known_by_them() {
    let has = |pattern: &str| {
        let text = format!("{{{{ (.Files.Glob \"{pattern}\").AsConfig }}}} {{}}");
        let files = [("templates/t.yaml".to_owned(), text)].into();
        let case = Case {
            files,
            values: String::new(),
            is_upgrade: false,
            include_crds: false,
        };
        case.has_braces_around_nothing()
    };
    for pattern in ["*{{", "f{}", "f{", "{a,b{,c}}"] {
        assert!(has(pattern), "{pattern}");
    }
    for pattern in ["*", "{a,b}", "{f.txt,conf/b*}", ""] {
        assert!(!has(pattern), "{pattern}");
    }
}
