//! Who may provision, and what is refused before anything is begun.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{KEY, SOVEREIGN, SOVEREIGNS, body, config, credentials, settled, sol};
use crate::hetzner::TOKEN;
use crate::sign_in::Browser;
use crate::world::{ORIGIN, World};

#[tokio::test]
async fn only_sovereign_admins_provision_and_others_learn_nothing() {
    let world = World::watched().await;
    let (status, answer) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202, "{answer}");
    settled(&world).await;
    let document = catalyst_gateway::openapi();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with(SOVEREIGNS) {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            for fqdn in ["omantel.example", "absent.example"] {
                let path = path.replace("{fqdn}", fqdn);
                // Not even a body that is none is looked into.
                for body in [None, Some(json!("none")), Some(body())] {
                    let method = method.to_uppercase();
                    let (status, _) = world.ask(None, &method, &path, body.as_ref()).await;
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
                    for caller in ["olga", "vic", "dan", "bill", "ada"] {
                        let (status, answer) =
                            world.ask(Some(caller), &method, &path, body.as_ref()).await;
                        let what = format!("{method} {path} by {caller}: {answer}");
                        assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
                        assert_eq!(answer["title"], "Provision Sovereigns", "{what}");
                        asked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(asked, 14 * 2 * 3 * 5);

    let mut browser = Browser::default();
    browser.sign_in(&world, "sol", "/auth/sign-in").await;
    let path = format!("{SOVEREIGN}/cancel");
    for (headers, expected) in [
        (&[("origin", ORIGIN)][..], "idle"),
        (&[][..], "foreign-origin"),
        (
            &[("origin", "http://blog.acme-dev.localhost:8080")][..],
            "foreign-origin",
        ),
    ] {
        let (_, _, problem) = browser.send(&world, "POST", &path, headers).await;
        assert_eq!(problem["type"], expected, "{headers:?}: {problem}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let world = World::new().await;
    for (body, expected) in [
        (
            json!({"config": {"region": "mars", "adminCidr": [], "frobnicate": 1}}),
            vec![
                "/config/frobnicate",
                "/config/sovereignFqdn",
                "/config/region",
                "/config/sshPublicKey",
                "/config/adminCidrs",
                "/config/gitUrl",
                "/config/acmeEmail",
                "/config/adminCidr",
                "/credentials/hetznerToken",
                "/credentials/sshPrivateKey",
            ],
        ),
        (
            json!({"config": config(), "credentials": {"hetznerToken": "two words", "sshPrivateKey": "ssh-ed25519 AAAA", "gitPassword": " "}}),
            vec![
                "/credentials/hetznerToken",
                "/credentials/sshPrivateKey",
                "/credentials/gitUsername",
                "/credentials/gitPassword",
            ],
        ),
        (
            json!({"config": config(), "credentials": {
                "hetznerToken": TOKEN, "sshPrivateKey": KEY, "gitUsername": "flux", "gitPassword": "short-1",
            }}),
            vec!["/credentials/gitPassword"],
        ),
    ] {
        let (status, problem) = sol(&world, "POST", SOVEREIGNS, Some(&body)).await;
        assert_eq!(status, 422, "{problem}");
        assert_eq!(problem["type"], "invalid");
        let mut pointers: Vec<&str> = problem["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        let mut expected = expected;
        pointers.sort_unstable();
        expected.sort_unstable();
        let said = problem.to_string();
        for word in ["catalyst provision", "short-1"] {
            assert!(!said.contains(word), "{said}");
        }
        assert_eq!(pointers, expected, "{problem}");
    }
    // Files of the machine are neither read nor probed.
    let mut files = config();
    files["sshPublicKeyFile"] = json!("/etc/hostname");
    files["sshPrivateKeyFile"] = json!("/etc/shadow");
    let body = json!({"config": files, "credentials": credentials()});
    let (status, problem) = sol(&world, "POST", SOVEREIGNS, Some(&body)).await;
    assert_eq!(status, 422, "{problem}");
    let faults = problem["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{problem}");
    for fault in faults {
        let said = fault["message"].as_str().unwrap();
        assert!(said.contains("give the key itself as ssh"), "{said}");
    }
    // A slip in a name changes nothing in silence, and costs nothing.
    let mut slips = json!({"config": config(), "credentials": credentials(), "planonly": true});
    slips["credentials"]["hetznerTokn"] = json!(TOKEN);
    let (status, problem) = sol(&world, "POST", SOVEREIGNS, Some(&slips)).await;
    assert_eq!(status, 422, "{problem}");
    let said = problem["faults"].to_string();
    for expected in [
        "/credentials/hetznerTokn",
        "did you mean hetznerToken?",
        "/planonly",
        "did you mean planOnly?",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // A secret in the wrong place is not repeated.
    for credentials in [json!(TOKEN), json!({"sshPrivateKey": [TOKEN]})] {
        let body = json!({"config": config(), "credentials": credentials});
        let (status, problem) = sol(&world, "POST", SOVEREIGNS, Some(&body)).await;
        assert_eq!(status, 400, "{problem}");
    }
    let (_, list) = sol(&world, "GET", SOVEREIGNS, None).await;
    assert_eq!(list["items"], json!([]));
    assert!(world.parts().secrets.is_empty());
}

#[tokio::test]
async fn a_control_plane_that_cannot_provision_says_why_and_does_everything_else() {
    let world = World::without_provisioning("cannot use /data/sovereigns").await;
    // There is nothing to remove, and nobody to wait for.
    let never = CancellationToken::new();
    world.gateway.tidy_credentials(never, Duration::ZERO).await;
    let document = catalyst_gateway::openapi();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with(SOVEREIGNS) {
            continue;
        }
        let path = path.replace("{fqdn}", "omantel.example");
        let body = match path.rsplit('/').next().unwrap() {
            "destroy" => json!({"credentials": credentials()}),
            "render" => json!({"config": config()}),
            _ => body(),
        };
        for method in item.as_object().unwrap().keys() {
            let (status, answer) = sol(&world, &method.to_uppercase(), &path, Some(&body)).await;
            let what = format!("{method} {path}: {answer}");
            // They look at what is asked alone.
            if path.ends_with("/schema") || path.ends_with("/render") {
                assert_eq!(status, 200, "{what}");
                continue;
            }
            assert_eq!(status, 503, "{what}");
            assert_eq!(answer["type"], "provisioning-off", "{what}");
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.contains("cannot use /data/sovereigns"), "{what}");
            // Others learn nothing of it.
            let (status, _) = world
                .ask(Some("ada"), &method.to_uppercase(), &path, None)
                .await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
        }
    }
    let (status, _) = sol(&world, "GET", "/api/v1/organizations", None).await;
    assert_eq!(status, 200);
}
