//! Secrets, generated or given, exist in the vault and in the Secrets made from
//! it, and nowhere else.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::user::git;
use crate::sovereign::{Sovereign, log_of};

const ACME_DEV: &str = "lo-loc-rtz-dev-acme";
const GLOBEX_DEV: &str = "lo-loc-rtz-dev-globex";
const APPLICATION: &str = "/environments/acme-dev/applications/guestbook";
/// A value of the property that version 1.1.0 marks `x-catalyst-secret`. Helm's
/// `--set` would take its comma and braces for syntax.
const KEY: &str = "moderation,{key}=of-1f0c9a";

pub async fn the_database_password_is_nowhere(
    sovereign: &Sovereign,
    people: &mut People,
    data: &Path,
) {
    let connection = (ACME_DEV, "guestbook", "guestbook-db-connection");
    let password = in_secret(sovereign, connection, "password").await;
    assert!(password.len() >= 24);
    is_nowhere(sovereign, people, data, &password).await;
}

/// A setting that the Blueprint marks as secret goes from the form into the
/// vault; the commit refers to it, and the chart gets it.
pub async fn a_secret_setting_is_nowhere(sovereign: &Sovereign, people: &mut People, data: &Path) {
    let change = json!({
        "command": "change", "application": "guestbook", "version": "1.1.0",
        "config": {"title": "Visitors", "moderationKey": KEY},
    });
    let plan = people
        .alice
        .post("/environments/acme-dev/plans", change.clone())
        .await;
    assert!(!plan.to_string().contains(KEY), "{plan:#}");
    let accepted = people
        .alice
        .post("/environments/acme-dev/changes", change)
        .await;
    assert!(!accepted.to_string().contains(KEY), "{accepted:#}");
    people
        .alice
        .until("1.1.0 runs", APPLICATION, |value| {
            value["deployedVersion"] == "1.1.0" && value["health"]["phase"] == "Running"
        })
        .await;
    let moderation = (ACME_DEV, "guestbook", "guestbook-moderation");
    assert_eq!(in_secret(sovereign, moderation, "key").await, KEY);

    let folder = tempfile::tempdir().unwrap();
    let url = people.alice.repository(sovereign, "acme/acme-dev").await;
    git(folder.path(), &["clone", "--quiet", &url, "."]);
    let file = folder
        .path()
        .join("applications/guestbook/application.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let application = catalyst_yaml::from_str(&text).unwrap();
    let reference = &application["spec"]["config"]["moderationKey"];
    assert!(reference["secretRef"].is_string(), "{text}");
    is_nowhere(sovereign, people, data, KEY).await;
}

/// By the token that its vclusters have, an Organization reads what is its own in the
/// vault, and nothing of another's.
pub async fn a_vault_token_is_good_for_its_own_organization(sovereign: &Sovereign) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let acme = "org/acme/env/dev/guestbook-db/connection";
    let globex = "org/globex/env/dev/probe/connection";
    for (cluster, path, may) in [
        (ACME_DEV, acme, true),
        (ACME_DEV, globex, false),
        (GLOBEX_DEV, globex, true),
        (GLOBEX_DEV, acme, false),
    ] {
        let secret = (cluster, "catalyst-system", "vault-token");
        let token = in_secret(sovereign, secret, "token").await;
        let url = format!("{}/v1/secret/data/{path}", sovereign.address("vault"));
        let request = http.get(url).header("x-vault-token", token);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let found: Value = answer.json().await.unwrap();
        let is_read = found["data"]["data"]["password"].is_string();
        let expected = match may {
            true => (StatusCode::OK, true),
            false => (StatusCode::FORBIDDEN, false),
        };
        assert_eq!((status, is_read), expected, "{cluster} reads {path}");
    }
}

/// What a Secret of a cluster and namespace holds.
async fn in_secret(
    sovereign: &Sovereign,
    (cluster, namespace, name): (&str, &str, &str),
    key: &str,
) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let url = sovereign.cluster(cluster, &path);
    let http = sovereign.administrator().http;
    let answer = http.get(url).send().await.unwrap();
    let secret: Value = answer.json().await.unwrap();
    let encoded = secret["data"][key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {}", secret["metadata"]));
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

/// Looks for a value in every answer that people get, in every repository, in
/// events and objects, and in the log.
async fn is_nowhere(sovereign: &Sovereign, people: &mut People, data: &Path, value: &str) {
    let mut places = answers(people).await;
    places.extend(repositories(sovereign, people).await);
    places.extend(objects(sovereign).await);
    let log = std::fs::read_to_string(log_of(data)).unwrap();
    assert!(!log.is_empty(), "the Sovereign logs nothing");
    places.push(("the log".to_owned(), log));
    let encoded = STANDARD.encode(value);
    for (place, text) in &places {
        assert!(
            !text.contains(value) && !text.contains(&encoded),
            "a secret value is in {place}"
        );
    }
}

/// Every answer of the API that the org-admin can get.
async fn answers(people: &mut People) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    let history = format!("{APPLICATION}/history");
    let commits = people.alice.get(&history).await;
    let commits = commits["items"].as_array().unwrap().iter();
    let commits: Vec<String> = commits
        .map(|one| format!("{history}/{}", one["commit"].as_str().unwrap()))
        .collect();
    let paths = [
        "/me",
        "/sovereign",
        "/organizations",
        "/organizations/acme",
        "/organizations/acme/members",
        "/organizations/acme/environments",
        "/environments",
        "/environments/acme-dev",
        "/environments/acme-dev/applications",
        "/environments/acme-dev/applications/guestbook",
        "/environments/acme-dev/applications/guestbook-db",
        "/environments/acme-dev/applications/guestbook/history",
        "/environments/acme-dev/pull-requests",
        "/environments/acme-prod/pull-requests",
        "/blueprints",
        "/blueprints/catalog/bp-guestbook",
        "/policies",
        "/deletions",
    ];
    let paths = paths.iter().map(|path| (*path).to_owned()).chain(commits);
    for path in paths {
        answers.push((path.clone(), people.alice.get(&path).await.to_string()));
    }
    for application in ["guestbook", "guestbook-db"] {
        let path = format!("/environments/acme-dev/applications/{application}/logs");
        let (status, log) = people.alice.ask(Method::GET, &path, None).await;
        assert!(status.is_success(), "{path}: {status} {log}");
        answers.push((path, log.to_string()));
    }
    answers
}

/// Everything that was ever committed, to whatever repository.
async fn repositories(sovereign: &Sovereign, people: &mut People) -> Vec<(String, String)> {
    let token = people.admin.token().await;
    let found: Value = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(sovereign.url("/git/api/v1/repos/search?limit=50"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let names: Vec<&str> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["full_name"].as_str().unwrap())
        .collect();
    for name in ["acme/acme-dev", "system/catalyst-config"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(names.len() < 50, "there are more repositories: {names:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut repositories = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let url = people.admin.repository(sovereign, name).await;
        let into = format!("r{number}");
        git(
            folder.path(),
            &["clone", "--quiet", "--mirror", &url, &into],
        );
        let all = git(&folder.path().join(&into), &["log", "--patch", "--all"]);
        repositories.push((name.to_owned(), all));
    }
    repositories
}

/// Events, Flux's objects, and what is derived from them, in every cluster that
/// knows of the Application.
async fn objects(sovereign: &Sovereign) -> Vec<(String, String)> {
    let http = sovereign.administrator().http;
    let mut objects = Vec::new();
    for cluster in ["lo-loc-rtz-dev-acme", "lo-loc-rtz-dev", "lo-loc-mgt-prod"] {
        for path in [
            "/api/v1/events",
            "/api/v1/pods",
            "/api/v1/configmaps",
            "/apis/apps/v1/deployments",
            "/apis/helm.toolkit.fluxcd.io/v2/helmreleases",
            "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
            "/apis/external-secrets.io/v1/externalsecrets",
            "/apis/catalyst.openova.io/v1alpha1/applications",
        ] {
            let url = sovereign.cluster(cluster, path);
            let answer = http.get(url).send().await.unwrap();
            let is_served = answer.status().is_success();
            let text = answer.text().await.unwrap();
            assert!(
                is_served || cluster != "lo-loc-rtz-dev-acme",
                "{path}: {text}"
            );
            objects.push((format!("{cluster}{path}"), text));
        }
    }
    objects
}
