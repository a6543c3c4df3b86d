//! Blueprints: the shipped ones are there; only what a trusted key signed counts.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::People;
use super::user::User;
use crate::sovereign::Sovereign;

pub async fn the_shipped_blueprints_are_there(admin: &mut User) {
    // Ready means that they are: asked once, not waited for.
    let cards = admin.get("/blueprints").await;
    let names: Vec<_> = cards["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| {
            (
                card["source"].as_str().unwrap(),
                card["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [("catalog", "bp-guestbook"), ("catalog", "bp-postgres")]
    );
    let detail = admin.get("/blueprints/catalog/bp-guestbook").await;
    assert_eq!(
        detail["depends"][0]["blueprint"], "bp-postgres",
        "{detail:#}"
    );
    let titles: Vec<_> = detail["form"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["pointer"].as_str().unwrap())
        .collect();
    assert!(titles.contains(&"/title"), "{titles:?}");
    assert!(
        detail["signer"]
            .as_str()
            .is_some_and(|signer| !signer.is_empty())
    );
}

/// A setting that must never be seen.
const SECRET: &str =
    "      moderationKey: {type: string, title: Key for moderators, x-catalyst-secret: true}\n";
const TEMPLATE: &str = r#"{{- with .Values.moderationKey }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $.Release.Name }}-moderation
  labels:
    {{- include "labels" $ | nindent 4 }}
stringData:
  key: {{ . | quote }}
{{- end }}
"#;

/// A copy of the guestbook's folder at another version, which takes a secret.
fn next_version(directory: &Path) -> PathBuf {
    let folder = directory.join("guestbook");
    // Whoever runs this may not be able to read where it was built.
    let examples = std::env::var_os("CATALYST_EXAMPLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples"),
        PathBuf::from,
    );
    copy(&examples.join("guestbook"), &folder);
    let version = ("version: 1.0.0", "version: 1.1.0");
    let replicas = "      replicas:\n";
    let with_secret = format!("{SECRET}{replicas}");
    edit(&folder.join("blueprint.yaml"), version);
    edit(&folder.join("blueprint.yaml"), (replicas, &with_secret));
    edit(&folder.join("chart/Chart.yaml"), version);
    let title = (
        "title: Guestbook\n",
        "title: Guestbook\nmoderationKey: \"\"\n",
    );
    edit(&folder.join("chart/values.yaml"), title);
    std::fs::write(folder.join("chart/templates/moderation.yaml"), TEMPLATE).unwrap();
    folder
}

fn edit(file: &Path, (from, to): (&str, &str)) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub async fn only_trusted_signatures_count(
    _sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = next_version(directory);
    let folder = folder.to_str().unwrap();
    let publish = ["blueprint", "publish", folder, "--source", "catalog"];

    // A stranger may not push, whatever they signed with.
    let refused = people.mallory.catalyst(&publish).await;
    assert_eq!(refused.status.code(), Some(1));

    // Signed, but by nobody the Sovereign trusts for this source.
    let foreign = people.admin.catalyst(&publish).await;
    let said = String::from_utf8_lossy(&foreign.stderr).into_owned();
    assert_eq!(foreign.status.code(), Some(1), "{said}");
    assert!(said.contains("no trusted key made its signature"), "{said}");
    let cards = people.admin.get("/blueprints/catalog/bp-guestbook").await;
    assert_eq!(cards["versions"], serde_json::json!(["1.0.0"]));

    // Once the key is trusted, the same command goes through.
    let trust = ["blueprint", "trust", "catalog"];
    succeeds(people.admin.catalyst(&trust).await);
    people
        .admin
        .until("the key is trusted", "/sovereign", |value| {
            value["trustedSigners"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        })
        .await;
    succeeds(people.admin.catalyst(&publish).await);
    people
        .admin
        .until(
            "1.1.0 is registered",
            "/blueprints/catalog/bp-guestbook",
            |value| value["version"] == "1.1.0",
        )
        .await;
}

pub fn succeeds(output: std::process::Output) -> Value {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}
