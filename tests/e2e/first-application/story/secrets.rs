//! The database password exists in the vault and in the Secrets made from it,
//! and nowhere else.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::People;
use super::user::git;
use crate::sovereign::Sovereign;

pub async fn no_secret_is_anywhere(sovereign: &Sovereign, people: &mut People, data: &Path) {
    let administrator = sovereign.administrator();
    let url = sovereign.cluster(
        "lo-loc-rtz-dev-acme",
        "/api/v1/namespaces/guestbook/secrets/guestbook-db-connection",
    );
    let secret: Value = administrator
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let password = secret["data"]["password"]
        .as_str()
        .unwrap_or_else(|| panic!("{secret:#}"));
    let password = String::from_utf8(STANDARD.decode(password).unwrap()).unwrap();
    assert!(password.len() >= 24);
    let encoded = STANDARD.encode(&password);

    // Every answer of the API that the org-admin can get.
    let mut answers = Vec::new();
    for path in [
        "/me",
        "/sovereign",
        "/organizations",
        "/organizations/acme",
        "/environments",
        "/environments/acme-dev",
        "/environments/acme-dev/applications",
        "/environments/acme-dev/applications/guestbook",
        "/environments/acme-dev/applications/guestbook-db",
        "/environments/acme-dev/applications/guestbook/history",
        "/blueprints",
        "/deletions",
    ] {
        answers.push((path.to_owned(), people.alice.get(path).await.to_string()));
    }
    for application in ["guestbook", "guestbook-db"] {
        let path = format!("/environments/acme-dev/applications/{application}/logs");
        let (_, log) = people.alice.ask(reqwest::Method::GET, &path, None).await;
        answers.push((path, log.to_string()));
    }
    // Every repository that there is.
    let folder = tempfile::tempdir().unwrap();
    for (index, repository) in ["acme/acme-dev", "system/catalyst-config"]
        .iter()
        .enumerate()
    {
        let url = people.admin.repository(sovereign, repository).await;
        let into = format!("r{index}");
        git(folder.path(), &["clone", "--quiet", &url, &into]);
        let all = git(&folder.path().join(&into), &["log", "--patch", "--all"]);
        answers.push(((*repository).to_owned(), all));
    }
    // Events and Flux's objects.
    for path in [
        "/api/v1/events",
        "/apis/helm.toolkit.fluxcd.io/v2/helmreleases",
        "/apis/external-secrets.io/v1/externalsecrets",
        "/apis/catalyst.openova.io/v1alpha1/applications",
        "/api/v1/pods",
        "/api/v1/configmaps",
    ] {
        let url = sovereign.cluster("lo-loc-rtz-dev-acme", path);
        let text = administrator
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains("\"items\""), "{path}: {text}");
        answers.push((path.to_owned(), text));
    }
    for (place, text) in &answers {
        assert!(
            !text.contains(&password) && !text.contains(&encoded),
            "the database password is in {place}"
        );
    }
    // The log of the process itself.
    if let Ok(log) = std::fs::read_to_string(data.join("catalyst.log")) {
        assert!(
            !log.contains(&password),
            "the database password is in the log"
        );
    }
}
