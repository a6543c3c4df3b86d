//! The command line; and stock kubectl and helm in an Organization's vcluster and at
//! the registry, each as somebody who would use it there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::People;
use super::publish::succeeds;
use super::user::User;
use crate::process::{client, succeed};
use crate::sovereign::Sovereign;

/// A user's kubeconfig for acme-dev, in a file of their own.
async fn kubeconfig(user: &mut User, directory: &Path) -> PathBuf {
    let file = directory.join(format!("{}.kubeconfig", user.name));
    let path = file.to_str().unwrap();
    succeeds(
        user.catalyst(&["kubeconfig", "-e", "acme-dev", "--file", path])
            .await,
    );
    file
}

/// The command line shows what the API would, in the form that is asked for, and to
/// nobody else.
pub async fn the_command_line_shows_what_runs(people: &mut People) {
    let written = |output: std::process::Output| {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let logs = ["logs", "guestbook", "-e", "acme-dev"];
    let log = written(people.alice.catalyst(&logs).await);
    assert!(log.contains("listening on"), "{log}");
    let get = [
        "get",
        "application",
        "guestbook",
        "-e",
        "acme-dev",
        "--output",
    ];
    let mut shown = Vec::new();
    for form in ["json", "yaml", "table"] {
        let words = [&get[..], &[form]].concat();
        shown.push(written(people.alice.catalyst(&words).await));
    }
    let json: Value = serde_json::from_str(&shown[0]).unwrap();
    let yaml = catalyst_yaml::from_str(&shown[1]).unwrap();
    for (form, value) in [("json", &json), ("yaml", &yaml)] {
        assert_eq!(value["name"], "guestbook", "{form}");
        assert_eq!(value["health"]["phase"], "Running", "{form}");
    }
    let is_row = |line: &str| line.contains("guestbook") && line.contains("Running");
    assert!(shown[2].lines().any(is_row), "{}", shown[2]);
    for words in [&logs[..], &get[..5]] {
        let refused = people.mallory.catalyst(words).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: "), "{said}");
        assert!(refused.stdout.is_empty(), "{words:?}");
    }
}

/// kubectl is for looking: an org-admin sees what runs, waits for it, reads its
/// log, restarts it, and changes nothing past Git.
pub async fn kubectl_shows_what_runs(
    _sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let file = kubeconfig(&mut people.alice, directory).await;
    let kubectl = |words: &[&str]| {
        let mut command = client("kubectl")?;
        command.arg("--kubeconfig").arg(&file).args(words);
        Some(command)
    };
    let run = |words: &[&str]| succeed(&mut kubectl(words).unwrap());
    if kubectl(&[]).is_none() {
        return;
    }
    let applications = run(&["get", "applications", "-n", "acme-dev"]);
    assert!(applications.contains("guestbook"), "{applications}");
    let comes_up = || {
        run(&[
            "-n",
            "guestbook",
            "wait",
            "--for=condition=Available",
            "deployment/guestbook",
            "--timeout=60s",
        ])
    };
    comes_up();
    let shown = run(&["-n", "guestbook", "describe", "deployment", "guestbook"]);
    assert!(shown.contains("ghcr.io/openova-io/guestbook"), "{shown}");
    let log = run(&["-n", "guestbook", "logs", "deployment/guestbook"]);
    assert!(log.contains("listening on"), "{log}");
    let to = ["-n", "guestbook", "port-forward", "deployment/guestbook"];
    a_port_is_forwarded(kubectl(&to).unwrap()).await;
    run(&[
        "-n",
        "guestbook",
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/instance=guestbook",
        "--timeout=60s",
    ]);
    comes_up();
    let mut refused = kubectl(&["-n", "guestbook", "delete", "deployment", "guestbook"]).unwrap();
    let output = refused.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("Forbidden"),
        "{said}"
    );
}

/// The guestbook's page, through a port of this machine that kubectl forwards to its
/// pod.
async fn a_port_is_forwarded(mut kubectl: Command) {
    let mut forwarding = kubectl.arg(":8080").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(forwarding.stdout.take().unwrap()).lines();
    let told = said.next().expect("kubectl says where it listens").unwrap();
    // `Forwarding from 127.0.0.1:40123 -> 8080`.
    let address = told.split(' ').nth(2).expect("an address");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = http.get(format!("http://{address}/")).send().await;
    let page = asked.unwrap().text().await.unwrap();
    forwarding.kill().unwrap();
    forwarding.wait().unwrap();
    assert!(page.contains("<form"), "{page}");
}

/// helm with its files in `home`, or `None` where there is no helm.
fn helm(home: &Path) -> Option<Command> {
    let mut command = client("helm")?;
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home);
    }
    command.current_dir(home);
    Some(command)
}

/// A Blueprint is a chart to helm.
pub async fn helm_pulls_a_blueprint(sovereign: &Sovereign, people: &mut People, directory: &Path) {
    let home = directory.join("helm-pull");
    std::fs::create_dir(&home).unwrap();
    let Some(mut login) = helm(&home) else {
        return;
    };
    let host = sovereign.address("registry");
    let token = people.alice.token().await;
    let as_alice = ["--username", "alice", "--password", &token, "--plain-http"];
    succeed(login.args(["registry", "login", host]).args(as_alice));
    let chart = format!("oci://{host}/catalog/bp-guestbook");
    let options = ["--version", "1.0.0", "--plain-http"];
    let mut pull = helm(&home).unwrap();
    succeed(pull.args(["pull", &chart, "--untar"]).args(options));
    let values = std::fs::read_to_string(home.join("bp-guestbook/values.yaml")).unwrap();
    assert!(values.contains("ghcr.io/openova-io/guestbook"), "{values}");

    // What is an Organization's own is so for helm too.
    succeed(helm(&home).unwrap().args(["package", "bp-guestbook"]));
    let package = "bp-guestbook-1.0.0.tgz";
    let own = format!("oci://{host}/acme/charts");
    let mut push = helm(&home).unwrap();
    succeed(push.args(["push", package, &own, "--plain-http"]));
    std::fs::remove_file(home.join(package)).unwrap();
    let chart = format!("{own}/bp-guestbook");
    succeed(helm(&home).unwrap().args(["pull", &chart]).args(options));
    assert!(home.join(package).exists());
    let strange = directory.join("helm-strange");
    std::fs::create_dir(&strange).unwrap();
    let token = people.mallory.token().await;
    let mallory = ["--username", "mallory", "--password", &token];
    let mut login = helm(&strange).unwrap();
    login.args(["registry", "login", host, "--plain-http"]);
    succeed(login.args(mallory));
    let mut refused = helm(&strange).unwrap();
    let output = refused.args(["pull", &chart]).args(options).output();
    assert!(
        !output.unwrap().status.success(),
        "mallory pulled from acme"
    );
    assert!(!strange.join(package).exists());
}

const CHART: &str = "apiVersion: v2\nname: hello\nversion: 0.1.0\n";
const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: main, image: {{ .Values.image | quote }}, command: [/hello]}
"#;

/// helm installs, upgrades, rolls back and removes, and waits for each.
pub async fn helm_keeps_a_release_in_a_vcluster(
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let home = directory.join("helm-install");
    std::fs::create_dir_all(home.join("hello/templates")).unwrap();
    if helm(&home).is_none() {
        return;
    }
    let token = people.admin.token().await;
    let image = crate::pods::push_hello(sovereign, &token, directory).await;
    std::fs::write(home.join("hello/Chart.yaml"), CHART).unwrap();
    let values = format!("image: {image}\nreplicas: 1\n");
    std::fs::write(home.join("hello/values.yaml"), values).unwrap();
    std::fs::write(home.join("hello/templates/deployment.yaml"), DEPLOYMENT).unwrap();
    let file = kubeconfig(&mut people.admin, directory).await;
    let run = |words: &[&str]| {
        let mut command = helm(&home).unwrap();
        command.args(["-n", "tools", "--kubeconfig"]).arg(&file);
        succeed(command.args(words))
    };
    let wait = ["--wait", "--timeout", "60s"];
    let with_wait = |words: &[&str]| run(&[words, &wait].concat());
    let said = with_wait(&["install", "greeter", "./hello", "--create-namespace"]);
    assert!(said.contains("STATUS: deployed"), "{said}");
    with_wait(&["upgrade", "greeter", "./hello", "--set", "replicas=2"]);
    let manifest = run(&["get", "manifest", "greeter"]);
    assert!(manifest.contains("replicas: 2"), "{manifest}");
    with_wait(&["rollback", "greeter", "1"]);
    let listed = run(&["list"]);
    assert!(
        listed.contains("greeter") && listed.contains("deployed"),
        "{listed}"
    );
    let history = run(&["history", "greeter"]);
    assert!(history.contains("Rollback to 1"), "{history}");
    with_wait(&["uninstall", "greeter"]);
    assert!(!run(&["list", "--all"]).contains("greeter"));
}
