//! The two sides: helm's packages in a process of their own, and this crate.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, NoHost, NoLookup, ReleaseOptions, RenderError, render,
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
}

/// What stands for the answer where a chart makes helm itself crash: one that
/// prints a map which holds itself does.
pub const CRASHED: &str = "helm crashed";

/// Bounds of ours, as their errors name them; helm has none of them.
pub const ENDLESS: [&str; 4] = [
    "rendering took more than",
    "the output is larger than",
    "numbers is too long",
    "would make a text of",
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
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
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
        }
    }

    pub fn ask(&mut self, case: &Case) -> Answer {
        let mut line = case.to_json().to_string();
        line.push('\n');
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        line.clear();
        if self.stdout.read_line(&mut line).unwrap() == 0 {
            *self = Self::start_program(self.program.clone());
            return Err(CRASHED.to_owned());
        }
        answer_from_json(&serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Its input closed, it ends by itself.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// This crate's answer, in helm's words.
pub fn ours(case: &Case) -> Answer {
    let files = case
        .files
        .iter()
        .map(|(path, text)| (path.clone(), text.as_bytes().to_vec()))
        .collect();
    let chart = Chart::from_files(files).map_err(|error| format!("{CHART_ERROR}: {error}"))?;
    let values = catalyst_yaml::from_str(&case.values).map_err(|error| error.to_string())?;
    let release = ReleaseOptions {
        name: "rel".to_owned(),
        namespace: "ns".to_owned(),
        revision: 1,
        is_upgrade: case.is_upgrade,
        service: "Helm".to_owned(),
    };
    let rendered = render(
        &chart,
        &values,
        &Environment {
            release: &release,
            capabilities: &Capabilities {
                kube_version: KUBE_VERSION.to_owned(),
                api_versions: API_VERSIONS.map(str::to_owned).to_vec(),
                helm_version: "v3.22.0".to_owned(),
            },
            lookup: &NoLookup,
            host: &NoHost,
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

const CHART_ERROR: &str = "cannot read";
const LIBRARY: &str = "library charts are not installable";

/// How far two answers must agree.
#[derive(PartialEq, Eq)]
pub enum Agreement {
    Same,
    /// Both fail, and helm's words come from a library whose words we do not
    /// repeat.
    Alike,
    Different,
}

/// Compares an answer of ours with helm's.
///
/// Of a schema only the charts that break theirs are compared, of text that is
/// not YAML only the file: the rest is the words of a library.
pub fn compare(ours: &Answer, helm: &Answer) -> Agreement {
    match (ours, helm) {
        (Ok(ours), Ok(helm)) if ours == helm => Agreement::Same,
        (Err(ours), Err(helm)) if ours == helm => Agreement::Same,
        // Go lets a slice reach as far as its list has room.
        (Err(ours), _) if ours.contains("reflect.Value.Slice: slice index out of bounds") => {
            Agreement::Alike
        }
        // A rendering is not given the time of day.
        (Err(ours), _) if ours.contains("this rendering is not given") => Agreement::Alike,
        // Helm refuses text that it has cut within a character.
        (Ok((ours, _)), Err(helm)) if ours.contains('\u{fffd}') && helm.contains("UTF-8") => {
            Agreement::Alike
        }
        // What a YAML or TOML reader says of broken text is its own.
        (ours, helm) if without_reader(ours) == without_reader(helm) => Agreement::Alike,
        // Texts that Go cut within a character: ours are always whole.
        (Ok(ours), Ok(helm)) if is_cut(ours) && is_cut(helm) => Agreement::Alike,
        (Err(ours), Err(helm)) if kind(ours) == kind(helm) && kind(ours).is_some() => {
            Agreement::Alike
        }
        _ => Agreement::Different,
    }
}

fn is_cut(rendered: &(String, String)) -> bool {
    [&rendered.0, &rendered.1]
        .iter()
        .any(|text| text.contains('\u{fffd}') || text.contains("\\ufffd"))
}

fn without_reader(answer: &Answer) -> String {
    let mut text = format!("{answer:?}");
    for start in [
        "error converting YAML to JSON: ",
        "error unmarshaling JSON: ",
        "Error:toml: ",
        "Error\\\":\\\"toml: ",
    ] {
        let mut from = 0;
        while let Some(at) = text[from..].find(start).map(|at| from + at + start.len()) {
            let end = text[at..].find('"').map_or(text.len(), |end| at + end);
            text.replace_range(at..end, "");
            from = at;
        }
    }
    text.replace(
        "error unmarshaling JSON: ",
        "error converting YAML to JSON: ",
    )
}

fn kind(error: &str) -> Option<String> {
    if let Some(rest) = error.strip_prefix("YAML parse error on ") {
        return Some(rest.split(": ").next()?.to_owned());
    }
    if ["validation: ", "error unpacking ", CHART_ERROR]
        .iter()
        .any(|start| error.starts_with(start))
    {
        return Some(CHART_ERROR.to_owned());
    }
    if error.starts_with("values don't meet the specifications of the schema") {
        let charts: Vec<&str> = error
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with([' ', '-']))
            .collect();
        return Some(charts.join("\n"));
    }
    None
}

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

/// Whether what the program printed has the error of its packages in it.
pub fn says(printed: &str, error: &str) -> bool {
    printed.contains(error)
        || kind(error).is_some_and(|kind| kind.lines().all(|line| printed.contains(line)))
}
