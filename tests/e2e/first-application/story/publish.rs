//! Blueprints: the shipped ones are there; only what a trusted key signed counts.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::user::User;
use crate::registry::{digest, push_manifest};
use crate::sovereign::Sovereign;

const REPOSITORY: &str = "catalog/bp-guestbook";

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
    // Its cases are of what it renders without that.
    std::fs::remove_dir_all(folder.join("tests")).unwrap();
    folder
}

/// Puts one text in another's place, which must be there.
pub fn edit(file: &Path, (from, to): (&str, &str)) {
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
    sovereign: &Sovereign,
    people: &mut People,
    directory: &Path,
) {
    let folder = next_version(directory);
    let folder = folder.to_str().unwrap();
    let publish = ["blueprint", "publish", folder, "--source", "catalog"];

    // A stranger is told so before anything is made, and may not push either.
    let refused = people.mallory.catalyst(&publish).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("this takes a sovereign-admin"), "{said}");
    let token = people.mallory.token().await;
    let uploads = sovereign.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let pushed = http.post(uploads).basic_auth("mallory", Some(token));
    let pushed = pushed.send().await.unwrap();
    assert_eq!(pushed.status(), StatusCode::FORBIDDEN);
    let said = pushed.text().await.unwrap();
    assert!(said.contains("DENIED"), "{said}");

    // Signed, but by nobody the Sovereign trusts for this source.
    let foreign = people.admin.catalyst(&publish).await;
    let said = String::from_utf8_lossy(&foreign.stderr).into_owned();
    assert_eq!(foreign.status.code(), Some(1), "{said}");
    assert!(said.contains("does not trust the key"), "{said}");
    let way = "`catalyst blueprint trust catalog`, then publish it again";
    assert!(said.contains(way), "{said}");
    let cards = people.admin.get("/blueprints/catalog/bp-guestbook").await;
    assert_eq!(cards["versions"], json!(["1.0.0"]));
    // Nor does anything of it lie in the registry.
    let token = people.admin.token().await;
    let tags = sovereign.url(&format!("/v2/{REPOSITORY}/tags/list"));
    let tags = http.get(tags).basic_auth(&people.admin.name, Some(token));
    let tags = tags.send().await.unwrap().text().await.unwrap();
    assert!(tags.contains("\"1.0.0\""), "{tags}");
    assert!(!tags.contains("\"1.1.0\""), "{tags}");

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

    // A version is its content: what differs is refused before its tag moves.
    let before = people.admin.get("/blueprints/catalog/bp-guestbook").await;
    let notes = Path::new(folder).join("chart/templates/NOTES.txt");
    std::fs::write(&notes, "Something else.\n").unwrap();
    let again = people.admin.catalyst(&publish).await;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(
        said.contains("registered already, with other content"),
        "{said}"
    );
    let tagged = ask(sovereign, &mut people.admin, "manifests/1.1.0").await;
    assert_eq!(before["digest"], digest(&tagged));
}

/// A case of what was published runs: installed, upgraded from the release before, and
/// removed, as somebody who may install it. Of the shipped Blueprints, as no other has
/// an image here.
pub async fn cases_are_installed_upgraded_and_removed(people: &mut People, directory: &Path) {
    // Changed after it was published, which is not what would run.
    let changed = directory.join("guestbook");
    add_case(&changed);
    let changed = changed.to_str().unwrap();
    tested(people, changed, &["--update"]).await;
    let live = ["--live", "-e", "acme-dev", "--source", "catalog"];
    let refused = test(people, changed, &live).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("registered with other content"), "{said}");

    let folder = next_version(&directory.join("tried"));
    add_case(&folder);
    let folder = folder.to_str().unwrap();
    tested(people, folder, &["--update"]).await;
    let printed = tested(people, folder, &[&live[..], &["--output", "json"]].concat()).await;
    let outcomes: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(outcomes[0]["name"], "plain", "{outcomes:#}");
    let steps = [
        "install 1.1.0",
        "remove",
        "install 1.0.0",
        "upgrade 1.0.0 to 1.1.0",
        "remove",
    ];
    let expected: Vec<Value> = steps
        .map(|step| json!({"step": step, "outcome": "passed"}))
        .to_vec();
    assert_eq!(outcomes[0]["live"], json!(expected), "{outcomes:#}");
    let path = "/environments/acme-dev/applications";
    let left = people.alice.get(path).await;
    let left = left["items"].as_array().unwrap();
    let is_of_test = |it: &Value| it["name"].as_str().unwrap().starts_with("test-");
    assert!(!left.iter().any(is_of_test), "{left:#?}");
}

fn add_case(folder: &Path) {
    let case = folder.join("tests/plain");
    std::fs::create_dir_all(&case).unwrap();
    std::fs::write(case.join("config.yaml"), "title: Tried\n").unwrap();
}

async fn test(people: &mut People, folder: &str, words: &[&str]) -> std::process::Output {
    let words = [&["blueprint", "test", folder][..], words].concat();
    people.alice.catalyst(&words).await
}

/// What a test that passes prints.
async fn tested(people: &mut People, folder: &str, words: &[&str]) -> String {
    let outcome = test(people, folder, words).await;
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
    String::from_utf8(outcome.stdout).unwrap()
}

/// What was published has its signature, its bills of materials and its provenance
/// with it; what carries no signature, or one of other bytes, is refused, and the
/// reason is told.
pub async fn only_what_is_as_it_was_signed_counts(sovereign: &Sovereign, people: &mut People) {
    let admin = &mut people.admin;
    let manifest = ask(sovereign, admin, "manifests/1.1.0").await;
    let signed = digest(&manifest);
    let referrers = ask(sovereign, admin, &format!("referrers/{signed}")).await;
    let referrers: Value = serde_json::from_slice(&referrers).unwrap();
    let mut kinds: Vec<&str> = referrers["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["artifactType"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "application/spdx+json",
            "application/vnd.cyclonedx+json",
            "application/vnd.dev.sigstore.bundle.v0.3+json",
        ]
    );
    let provenance = "https://slsa.dev/provenance/v1";
    assert!(referrers.to_string().contains(provenance), "{referrers:#}");
    let artifact = format!("{}/{REPOSITORY}", sovereign.address("registry"));
    let good = format!("{artifact}:1.1.0");
    let verified = admin.catalyst(&["blueprint", "verify", &good]).await;
    assert_eq!(verified.status.code(), Some(0));
    assert_eq!(String::from_utf8(verified.stdout).unwrap().trim(), signed);
    let seen = inspected(admin, &good).await;
    assert_eq!(seen["digest"], signed);
    // The same sign-in gets its chart.
    let chart = format!("oci://{good}");
    let secret = "dependencies.db.connectionSecret=db-connection";
    let words = ["chart", "template", "guests", &chart, "--set", secret];
    let rendered = admin.catalyst(&words).await;
    let said = String::from_utf8_lossy(&rendered.stderr);
    assert_eq!(rendered.status.code(), Some(0), "{said}");
    let text = String::from_utf8_lossy(&rendered.stdout);
    assert!(text.contains("kind: Deployment"), "{text}");
    assert_eq!(seen["signatures"]["count"], 2, "{seen:#}");
    let trusted = seen["signatures"]["trusted"].as_array().unwrap();
    assert_eq!(trusted.len(), 1, "{seen:#}");
    let kinds = [
        "https://cyclonedx.org/bom",
        provenance,
        "https://spdx.dev/Document",
    ];
    assert_eq!(
        seen["signatures"]["attestations"],
        json!(kinds.map(|kind| json!({"predicateType": kind, "signer": trusted[0]})))
    );
    for kind in ["application/spdx+json", "application/vnd.cyclonedx+json"] {
        assert_eq!(seen["sbomSigners"][kind], trusted[0], "{seen:#}");
    }
    assert_eq!(seen["sbom"]["application/spdx+json"]["packages"], 2);

    // The same artifact with a word more, which nobody signed.
    let mut altered: Value = serde_json::from_slice(&manifest).unwrap();
    altered["annotations"]["org.example.word"] = json!("more");
    let token = admin.token().await;
    push_manifest(sovereign, &token, REPOSITORY, "1.1.1", &altered).await;
    refused(admin, "it carries no signature; publish it with").await;
    // The registry tells of it at once, so that nobody must ask by name.
    told(admin, Some("it carries no signature")).await;
    // With the signature of what it was.
    let tag = |digest: &str| format!("{}.sig", digest.replacen(':', "-", 1));
    let signature = ask(sovereign, admin, &format!("manifests/{}", tag(&signed))).await;
    let signature: Value = serde_json::from_slice(&signature).unwrap();
    let new = digest(altered.to_string().as_bytes());
    push_manifest(sovereign, &token, REPOSITORY, &tag(&new), &signature).await;
    refused(admin, "it was altered after it was signed").await;
    told(admin, Some("it was altered after it was signed")).await;
    let bad = format!("{artifact}:1.1.1");
    let verified = admin.catalyst(&["blueprint", "verify", &bad]).await;
    assert_eq!(verified.status.code(), Some(1));
    let seen = inspected(admin, &bad).await;
    assert_eq!(seen["signatures"]["trusted"], json!([]), "{seen:#}");
    let reason = seen["signatures"]["reason"].as_str().unwrap();
    assert!(reason.contains("it was altered"), "{reason}");

    let card = admin.get("/blueprints/catalog/bp-guestbook").await;
    assert_eq!(card["versions"], json!(["1.1.0", "1.0.0"]));

    // What was refused goes again, by who may push it and by nobody else.
    let manifest = sovereign.url(&format!("/v2/{REPOSITORY}/manifests/1.1.1"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (user, expected) in [
        (&mut people.mallory, StatusCode::FORBIDDEN),
        (&mut *admin, StatusCode::ACCEPTED),
    ] {
        let token = user.token().await;
        let deletion = http.delete(&manifest).basic_auth(&user.name, Some(token));
        let answer = deletion.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{}", user.name);
    }
    // Any registry can be told where to say so, by whoever may connect one.
    let hook = ["blueprint", "hook", "--output", "json"];
    let shown = admin.catalyst(&hook).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let token = shown["token"].as_str().unwrap();
    let told_of = json!({"events": [{"action": "delete", "target": {"repository": REPOSITORY}}]});
    let url = shown["url"].as_str().unwrap();
    let telling = http.post(url).bearer_auth(token).json(&told_of);
    assert_eq!(
        telling.send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    let others = people.mallory.catalyst(&hook).await;
    assert_eq!(others.status.code(), Some(1));
    let said = [others.stdout, others.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(token));

    let tags = ask(sovereign, admin, "tags/list").await;
    let tags: Value = serde_json::from_slice(&tags).unwrap();
    let versions = tags["tags"].as_array().unwrap();
    assert!(!versions.contains(&json!("1.1.1")), "{tags:#}");
    told(admin, None).await;
}

/// Waits until the source tells why 1.1.1 was not admitted, or nothing of it any more;
/// long before anybody would look by themselves.
async fn told(admin: &mut User, reason: Option<&str>) {
    let what = format!("the source tells {reason:?}");
    admin
        .until(&what, "/blueprint-sources", |page| {
            let mut items = page["items"].as_array().unwrap().iter();
            let catalog = items.find(|it| it["source"] == "catalog").unwrap();
            let mut refused = catalog["refused"].as_array().unwrap().iter();
            let found = refused.find(|it| it["name"] == "bp-guestbook" && it["version"] == "1.1.1");
            match (found, reason) {
                (Some(one), Some(words)) => {
                    let fix = one["fix"].as_str().unwrap();
                    one["reason"].as_str().unwrap().contains(words)
                        && fix.ends_with("/catalog/bp-guestbook:1.1.1")
                        && catalog["health"]["phase"] == "Degraded"
                }
                (found, reason) => found.is_none() && reason.is_none(),
            }
        })
        .await;
    let Some(words) = reason else { return };
    // What people read beside the table is no part of it.
    let shown = admin
        .catalyst(&["get", "blueprint-sources", "catalog"])
        .await;
    let (table, prose) = (shown.stdout, shown.stderr);
    let (table, prose) = (
        String::from_utf8_lossy(&table),
        String::from_utf8_lossy(&prose),
    );
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("Degraded"), "{table}");
    let mut said = prose.lines();
    let said =
        said.any(|line| line.starts_with("catalog/bp-guestbook:1.1.1: ") && line.contains(words));
    assert!(said, "{prose}");
}

/// What `catalyst blueprint inspect` says of an artifact.
async fn inspected(admin: &mut User, artifact: &str) -> Value {
    let words = ["blueprint", "inspect", artifact, "--output", "json"];
    let output = admin.catalyst(&words).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Has the Sovereign look at version 1.1.1, which it must refuse with a reason.
async fn refused(admin: &mut User, reason: &str) {
    let register = json!({"source": "catalog", "name": "bp-guestbook", "version": "1.1.1"});
    let (status, problem) = admin
        .refused(Method::POST, "/blueprints", Some(register))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
    assert_eq!(problem["type"], "not-admitted", "{problem:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(reason), "{problem:#}");
}

/// Something of the guestbook's repository in the registry.
async fn ask(sovereign: &Sovereign, user: &mut User, path: &str) -> Vec<u8> {
    let token = user.token().await;
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(sovereign.url(&format!("/v2/{REPOSITORY}/{path}")))
        .header("accept", crate::registry::MANIFEST)
        .basic_auth(&user.name, Some(token))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.bytes().await.unwrap().to_vec()
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
