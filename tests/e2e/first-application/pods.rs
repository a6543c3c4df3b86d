//! A Deployment runs as a real container from an image in the registry: it is
//! rolled out, reached through its log, exec'd into, and removed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::registry::{MANIFEST, digest, push_blob, push_manifest};
use crate::sovereign::{Administrator, Sovereign};

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

/// Why this machine cannot run the test, if it cannot.
pub fn obstacle() -> Option<String> {
    let doctor = Command::new(env!("CARGO_BIN_EXE_catalyst"))
        .arg("doctor")
        .output()
        .unwrap();
    (!doctor.status.success()).then(|| String::from_utf8_lossy(&doctor.stdout).into_owned())
}

pub async fn a_deployment_runs_as_a_container(
    sovereign: &Sovereign,
    token: &str,
    directory: &Path,
) {
    let image = push_image(sovereign, token, directory).await;
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
    if let Some(mut kubectl) = crate::client("kubectl") {
        kubectl
            .arg("--kubeconfig")
            .arg(sovereign.address("kubeconfig"))
            .args(["--context", "lo-loc-rtz-dev"]);
        let out = crate::succeed(kubectl.args(["exec", &name, "--", "/hello", "ask"]));
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

/// Builds a one-file image and pushes it; its reference.
async fn push_image(sovereign: &Sovereign, token: &str, directory: &Path) -> String {
    let source = directory.join("hello.c");
    let program = directory.join("hello");
    std::fs::write(&source, PROGRAM).unwrap();
    crate::succeed(
        Command::new("cc")
            .arg("-static")
            .arg("-o")
            .arg(&program)
            .arg(&source),
    );
    let archive = directory.join("layer.tar");
    crate::succeed(
        Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(directory)
            .arg("hello"),
    );
    let layer = std::fs::read(&archive).unwrap();
    let layer_digest = digest(&layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    })
    .to_string();
    let (layer_size, config_size) = (layer.len(), config.len());
    let config_digest = push_blob(sovereign, token, "acme/image", config.into_bytes()).await;
    push_blob(sovereign, token, "acme/image", layer).await;
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
    push_manifest(sovereign, token, "acme/image", "1", &manifest).await;
    format!("{}/acme/image:1", sovereign.address("registry"))
}
