//! A Deployment runs as a real container from an image in the registry: it is
//! rolled out, reached through its log, exec'd into, and removed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{client, succeed};
use crate::registry::{MANIFEST, digest, push_blob, push_manifest};
use crate::sovereign::{Administrator, Sovereign, program};

const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count > 1 && strcmp(words[1], "ask") == 0) { puts("answer"); return 0; }
    puts("hello from the container");
    fflush(stdout);
    pause();
    return 0;
}
"#;

const PROBE: &str = r#"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
int main(int count, char **words) {
    if (count < 3) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &to.sin_addr) != 1) return 2;
    int one = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 3};
    setsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* PostgreSQL answers an SSLRequest with one byte. */
    unsigned char ask[8] = {0, 0, 0, 8, 4, 210, 22, 47}, answer;
    int ok = connect(one, (struct sockaddr *)&to, sizeof to) == 0
        && send(one, ask, sizeof ask, MSG_NOSIGNAL) == sizeof ask
        && recv(one, &answer, 1, 0) == 1;
    puts(ok ? "connected" : "refused");
    return 0;
}
"#;

/// Why this machine cannot run the test, if it cannot.
pub fn obstacle() -> Option<String> {
    let doctor = Command::new(program()).arg("doctor").output().unwrap();
    let why = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let is_able = doctor.status.success();
    // The lane that demands every client demands containers as well.
    assert!(
        is_able || std::env::var_os("CATALYST_REQUIRE_CLIENTS").is_none(),
        "this machine runs no containers:\n{why}"
    );
    (!is_able).then_some(why)
}

pub async fn a_deployment_runs_as_a_container(
    sovereign: &Sovereign,
    token: &str,
    directory: &Path,
) {
    let image = push_hello(sovereign, token, directory).await;
    let administrator = sovereign.administrator();
    let deployments = sovereign.cluster(
        "lo-loc-rtz-dev",
        "/apis/apps/v1/namespaces/default/deployments",
    );
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello"},
        "spec": {
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": image, "command": ["/hello"]}],
                },
            },
        },
    });
    let created = administrator
        .http
        .post(&deployments)
        .json(&deployment)
        .send()
        .await
        .unwrap();
    assert_eq!(
        created.status(),
        StatusCode::CREATED,
        "{}",
        created.text().await.unwrap()
    );
    let one = format!("{deployments}/hello");
    until(&administrator, &one, |object| {
        object["status"]["availableReplicas"] == 1
    })
    .await;

    let pods = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/pods");
    let list: Value = administrator
        .http
        .get(&pods)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let name = list["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let log = administrator
        .http
        .get(format!("{pods}/{name}/log"))
        .send()
        .await
        .unwrap();
    assert_eq!(log.text().await.unwrap(), "hello from the container\n");
    if let Some(mut kubectl) = client("kubectl") {
        kubectl
            .arg("--kubeconfig")
            .arg(sovereign.address("kubeconfig"))
            .args(["--context", "lo-loc-rtz-dev"]);
        let out = succeed(kubectl.args(["exec", &name, "--", "/hello", "ask"]));
        assert_eq!(out, "answer\n");
    }

    let deleted = administrator.http.delete(&one).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    until(&administrator, &pods, |list| {
        list["items"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
}

/// Asks again until what is there satisfies the condition, within a minute.
async fn until(administrator: &Administrator, url: &str, satisfied: impl Fn(&Value) -> bool) {
    let mut seen = Value::Null;
    let asked = async {
        loop {
            seen = administrator
                .http
                .get(url)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            if satisfied(&seen) {
                return;
            }
        }
    };
    let satisfied = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert!(satisfied.is_ok(), "not within 60 s: {seen:#}");
}

/// An image whose program says hello and stays.
pub async fn push_hello(sovereign: &Sovereign, token: &str, directory: &Path) -> String {
    push_image(sovereign, token, directory, "hello", PROGRAM).await
}

/// An image whose program connects to the address and port it is given, and
/// says whether somebody took the connection.
pub async fn push_probe(sovereign: &Sovereign, token: &str, directory: &Path) -> String {
    push_image(sovereign, token, directory, "probe", PROBE).await
}

/// Whether a pod in a namespace can connect to an address. The pod carries the
/// labels of an Application, so that the policies that bind the Application
/// bind it.
pub async fn connects(
    sovereign: &Sovereign,
    image: &str,
    (cluster, namespace, application): (&str, &str, &str),
    (address, port): (&str, u16),
) -> bool {
    let administrator = sovereign.administrator();
    let pods = sovereign.cluster(cluster, &format!("/api/v1/namespaces/{namespace}/pods"));
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {
            "openova.io/application": application,
            "app.kubernetes.io/instance": application,
        }},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": image,
                "command": ["/probe", address, port.to_string()],
            }],
        },
    });
    let created = administrator
        .http
        .post(&pods)
        .json(&pod)
        .send()
        .await
        .unwrap();
    assert_eq!(
        created.status(),
        StatusCode::CREATED,
        "{}",
        created.text().await.unwrap()
    );
    let one = format!("{pods}/probe");
    until(&administrator, &one, |object| {
        object["status"]["phase"] == "Succeeded"
    })
    .await;
    let log = administrator
        .http
        .get(format!("{one}/log"))
        .send()
        .await
        .unwrap();
    let said = log.text().await.unwrap();
    administrator.http.delete(&one).send().await.unwrap();
    match said.as_str() {
        "connected\n" => true,
        "refused\n" => false,
        other => panic!("the probe said {other:?}"),
    }
}

/// Builds a one-file image from C and pushes it; its reference.
pub async fn push_image(
    sovereign: &Sovereign,
    token: &str,
    directory: &Path,
    name: &str,
    code: &str,
) -> String {
    let source = directory.join(format!("{name}.c"));
    let program = directory.join(name);
    std::fs::write(&source, code).unwrap();
    succeed(
        Command::new("cc")
            .arg("-static")
            .arg("-o")
            .arg(&program)
            .arg(&source),
    );
    let archive = directory.join("layer.tar");
    succeed(
        Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(directory)
            .arg(name),
    );
    let layer = std::fs::read(&archive).unwrap();
    let layer_digest = digest(&layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [format!("/{name}")]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    })
    .to_string();
    let repository = format!("acme/{name}");
    let (layer_size, config_size) = (layer.len(), config.len());
    let config_digest = push_blob(sovereign, token, &repository, config.into_bytes()).await;
    push_blob(sovereign, token, &repository, layer).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest,
            "size": config_size,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest,
            "size": layer_size,
        }],
    });
    push_manifest(sovereign, token, &repository, "1", &manifest).await;
    format!("{}/{repository}:1", sovereign.address("registry"))
}
