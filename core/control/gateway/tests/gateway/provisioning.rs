//! Sovereigns that are provisioned behind the API: who may, what is refused, where
//! credentials go, and what is told. No OpenTofu is here: jobs end in preflight. The last
//! test runs a job to its end on the real one, where there is one.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use catalyst_provisioner::Options;
use catalyst_provisioner::directory::Directory;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::hetzner::{Project, Server, TOKEN};
use crate::live::Reader;
use crate::machine::{binary, files};
use crate::provisioned;
use crate::sign_in::Browser;
use crate::world::{ORIGIN, World, no_tools};

pub const SOVEREIGNS: &str = "/api/v1/sovereigns";
const SOVEREIGN: &str = "/api/v1/sovereigns/omantel.example";
const EVENTS: &str = "/api/v1/sovereigns/omantel.example/events";
const PASSWORD: &str = "canary-git-password";
/// What is made for a Sovereign.
const OWN: [&str; 3] = ["statePassphrase", "openbaoSeal", "giteaAdmin"];
/// In OpenSSH's form and of the description's public key; what would be private in it opens
/// nothing.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQAAACDjKqp5Fc65tEnRulDqKii7Gm4B+QvaJFotHYdpfRiiZQAAABMA\ncanarykey0123456789abcde\n-----END OPENSSH PRIVATE KEY-----";

pub fn config() -> Value {
    json!({
        "sovereignFqdn": "omantel.example",
        "region": "fsn",
        "sshPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
        "adminCidrs": ["203.0.113.7/32"],
        "gitUrl": "https://git.example/sovereigns",
        "gitCredentials": true,
        "acmeEmail": "platform@omantel.example",
        "workerCount": 0,
    })
}

fn credentials() -> Value {
    json!({
        "hetznerToken": TOKEN, "sshPrivateKey": KEY,
        "gitUsername": "flux", "gitPassword": PASSWORD,
    })
}

fn body() -> Value {
    json!({"config": config(), "credentials": credentials()})
}

/// Asks as the sovereign-admin; no answer repeats a credential.
pub async fn sol(world: &World, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, answer) = world.ask(Some("sol"), method, path, body).await;
    has_no_canary(&answer.to_string());
    (status.as_u16(), answer)
}

fn has_no_canary(text: &str) {
    for canary in [TOKEN, PASSWORD, "canarykey0123456789abcde"] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

/// Asks for the Sovereign once no job is at work on it.
async fn settled(world: &World) -> Value {
    let settled = world.provisioning.settled("omantel.example").await;
    settled.unwrap();
    let (status, view) = sol(world, "GET", SOVEREIGN, None).await;
    assert_eq!(status, 200, "{view}");
    view
}

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
    assert_eq!(asked, 13 * 2 * 3 * 5);

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
async fn a_sovereign_says_where_it_stands_and_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202, "{view}");
    assert_eq!(
        (&view["task"], &view["by"]),
        (&json!("provision"), &json!("sol"))
    );
    let view = settled(&world).await;
    assert_eq!(view["state"], "failed");
    assert_eq!(view["step"], "preflight");
    assert_eq!(view["steps"].as_array().unwrap().len(), 14);
    assert_eq!(view["steps"][0]["state"], "failed");
    assert_eq!(view["steps"][1]["state"], "pending");
    let failure = view["failure"].as_str().unwrap();
    assert!(
        failure.contains("install OpenTofu") && failure.contains("on the control plane's machine"),
        "{failure}"
    );
    assert!(view["next"].as_str().unwrap().contains("resume it"));
    assert_eq!(view["config"]["sovereignFqdn"], "omantel.example");
    // The credentials are in the vault, and there alone.
    let mut kept = world.parts().secrets["sovereigns/omantel.example"].clone();
    // So are the secrets that were made for it.
    for name in OWN {
        let secret = kept.as_object_mut().unwrap().remove(name).unwrap();
        let secret = secret.as_str().unwrap();
        let is_secret = secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_secret, "{name}");
        for (path, content) in files(folder.path()) {
            let text = String::from_utf8_lossy(&content);
            assert!(!text.contains(secret), "{} has {name}", path.display());
        }
    }
    assert_eq!(kept, credentials());

    for (method, path, body, expected, word) in [
        ("POST", "", Some(body()), 409, "exists"),
        ("POST", "/omantel.example/cancel", None, 409, "idle"),
        ("DELETE", "/omantel.example", None, 409, "unconfirmed"),
        (
            "DELETE",
            "/omantel.example?confirm=omantel",
            None,
            409,
            "unconfirmed",
        ),
        ("GET", "/absent.example", None, 404, "not-found"),
        ("GET", "/absent.example/events", None, 404, "not-found"),
        (
            "DELETE",
            "/omantel.example?confirm=omantel.example&removedByHand=perhaps",
            None,
            400,
            "malformed-query",
        ),
        (
            "DELETE",
            "/absent.example?confirm=absent.example",
            None,
            404,
            "not-found",
        ),
        (
            "POST",
            "/absent.example/resume",
            Some(json!({})),
            404,
            "not-found",
        ),
        (
            "POST",
            "/absent.example/plan",
            Some(json!({})),
            404,
            "not-found",
        ),
        ("POST", "/absent.example/cancel", None, 404, "not-found"),
        ("POST", "/absent.example/archive", None, 404, "not-found"),
        ("POST", "/absent.example/restore", None, 404, "not-found"),
        ("POST", "/omantel.example/restore", None, 409, "refused"),
        ("GET", "/..%2Fomantel.example", None, 404, "not-found"),
    ] {
        let path = format!("{SOVEREIGNS}{path}");
        let (status, problem) = sol(&world, method, &path, body.as_ref()).await;
        assert_eq!(status, expected, "{method} {path}: {problem}");
        assert_eq!(problem["type"], word, "{method} {path}: {problem}");
    }
    let absent = format!("{SOVEREIGNS}/absent.example");
    let (_, problem) = sol(&world, "GET", &absent, None).await;
    let next = problem["next"].as_str().unwrap();
    assert!(next.contains("provisioned from here"), "{next}");
    // The description of another, and one that is wrong.
    let resume = format!("{SOVEREIGN}/resume");
    for (name, value, expected) in [
        ("sovereignFqdn", "acme.example", 409),
        ("region", "mars", 422),
    ] {
        let mut config = config();
        config[name] = json!(value);
        let body = json!({ "config": config });
        let (status, problem) = sol(&world, "POST", &resume, Some(&body)).await;
        assert_eq!(status, expected, "{problem}");
    }

    // A new token takes the place of the old one; the rest stays.
    let body = json!({"config": config(), "credentials": {"hetznerToken": "canary-another"}});
    let (status, view) = sol(&world, "POST", &resume, Some(&body)).await;
    assert_eq!(status, 202, "{view}");
    settled(&world).await;
    let kept = world.parts().secrets["sovereigns/omantel.example"].clone();
    assert_eq!(kept["hetznerToken"], "canary-another");
    assert_eq!(kept["gitPassword"], PASSWORD);
    let plan = format!("{SOVEREIGN}/plan");
    let (status, view) = sol(&world, "POST", &plan, None).await;
    assert_eq!((status, &view["task"]), (202, &json!("plan")));
    settled(&world).await;
    // What is there and is no JSON is refused all the same.
    let form = Request::post(&plan)
        .header("authorization", "Bearer sol-token")
        .header("content-type", "application/x-www-form-urlencoded");
    let (status, ..) = world
        .send(form.body(Body::from("create=true")).unwrap())
        .await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (_, list) = sol(&world, "GET", SOVEREIGNS, None).await;
    assert_eq!(list["items"][0]["fqdn"], "omantel.example");
    assert_eq!(list["items"][0]["state"], "failed");

    // Without the vault nothing is begun.
    world.parts().vault_is_up = false;
    let (status, problem) = sol(&world, "POST", &plan, Some(&json!({}))).await;
    assert_eq!(status, 503, "{problem}");
    let (_, view) = sol(&world, "GET", SOVEREIGN, None).await;
    assert_eq!(view["task"], "plan");
    assert_eq!(view["state"], "failed");
}

#[tokio::test]
async fn a_plan_that_did_not_end_is_resumed_as_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let mut planned = body();
    planned["planOnly"] = json!(true);
    let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&planned)).await;
    assert_eq!((status, &view["task"]), (202, &json!("plan")));
    let view = settled(&world).await;
    assert_eq!(view["state"], "failed", "{view}");
    let next = view["next"].as_str().unwrap();
    assert!(next.contains("nothing is created before"), "{next}");
    let resume = format!("{SOVEREIGN}/resume");
    let create = json!({"create": true});
    let (status, problem) = sol(&world, "POST", &resume, Some(&create)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("unplanned")));
    let next = problem["next"].as_str().unwrap();
    assert!(next.contains("Resume it without `create`"), "{next}");
    // However often, and after a restart too; a body that says nothing may be left out.
    for body in [None, Some(json!({}))] {
        let (status, view) = sol(&world, "POST", &resume, body.as_ref()).await;
        assert_eq!((status, &view["task"]), (202, &json!("plan")), "{view}");
        settled(&world).await;
    }
    drop(world);
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let again = json!({"credentials": credentials()});
    let (status, view) = sol(&world, "POST", &resume, Some(&again)).await;
    assert_eq!((status, &view["task"]), (202, &json!("plan")), "{view}");
    settled(&world).await;
}

#[tokio::test]
async fn what_is_refused_leaves_the_credentials_in_the_vault_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let (status, _) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202);
    settled(&world).await;
    let path = folder.path().join("omantel.example");
    let (run, events) = (path.join("run"), path.join("events.jsonl"));
    let record = std::fs::read_to_string(run.join("provision.json")).unwrap();
    let before = world.parts().secrets.clone();
    assert_eq!(before.len(), 1);
    let others = json!({"hetznerToken": "canary-another"});
    let of_another = {
        let mut config = config();
        config["sovereignFqdn"] = json!("acme.example");
        json!({"config": config, "credentials": others})
    };
    let again = json!({"config": config(), "credentials": {
        "hetznerToken": "canary-another", "sshPrivateKey": KEY,
        "gitUsername": "flux", "gitPassword": PASSWORD,
    }});
    let resumed = json!({ "credentials": others });
    let refused = async |case: &str, path: &str, body: &Value, expected: (u16, &str)| {
        let path = format!("{SOVEREIGNS}{path}");
        let (status, problem) = sol(&world, "POST", &path, Some(body)).await;
        let found = (status, problem["type"].as_str().unwrap());
        assert_eq!(found, expected, "{case}: {problem}");
        assert_eq!(world.parts().secrets, before, "{case}");
    };
    let resume = "/omantel.example/resume";
    refused("begun already", "", &again, (409, "exists")).await;
    refused("of another", resume, &of_another, (409, "of-another")).await;

    // A run of the command line is at work.
    let held = Directory::open(&run, "omantel.example").unwrap();
    refused("held", resume, &resumed, (409, "busy")).await;
    drop(held);
    for life in ["destroying", "archived"] {
        let changed = record.replacen("\"provisioning\"", &format!("{life:?}"), 1);
        std::fs::write(run.join("provision.json"), changed).unwrap();
        refused(life, resume, &resumed, (409, "refused")).await;
    }
    std::fs::write(run.join("provision.json"), "{").unwrap();
    refused("unreadable", resume, &resumed, (500, "unreadable")).await;
    std::fs::write(run.join("provision.json"), &record).unwrap();

    // What was made with a secret opens with no other: one that is lost is not made anew.
    let module = run.join("module");
    std::fs::create_dir(&module).unwrap();
    std::fs::write(module.join("terraform.tfstate"), "{}").unwrap();
    let path = "sovereigns/omantel.example";
    let mut lost = before[path].clone();
    lost.as_object_mut().unwrap().remove(OWN[0]);
    world.parts().secrets.insert(path.to_owned(), lost);
    let (status, problem) = sol(
        &world,
        "POST",
        &format!("{SOVEREIGN}/resume"),
        Some(&resumed),
    )
    .await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("lost")),
        "{problem}"
    );
    assert!(world.parts().secrets[path].get(OWN[0]).is_none());
    world.parts().secrets = before.clone();
    std::fs::remove_dir_all(&module).unwrap();

    // Refused after the vault had them.
    std::fs::remove_file(&events).unwrap();
    std::fs::create_dir(&events).unwrap();
    refused("no events", resume, &resumed, (500, "internal")).await;
    let new = folder.path().join("acme.example");
    std::fs::create_dir_all(new.join("events.jsonl")).unwrap();
    let mut first = again.clone();
    first["config"]["sovereignFqdn"] = json!("acme.example");
    refused("no events of a new one", "", &first, (500, "internal")).await;
}

/// The files in which earlier control planes kept what the vault calls so.
const FILES: [(&str, &str); 3] = [
    ("statePassphrase", "passphrase"),
    ("openbaoSeal", "openbao-seal"),
    ("giteaAdmin", "gitea-admin"),
];

#[tokio::test]
async fn what_earlier_control_planes_kept_in_files_is_taken_into_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let (status, _) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202);
    settled(&world).await;
    let run = folder.path().join("omantel.example/run");
    let module = run.join("module");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::write(module.join("terraform.tfstate"), "{}").unwrap();
    let path = "sovereigns/omantel.example";
    let whole = world.parts().secrets[path].clone();
    // As such a control plane left it: the vault had what was given, and no more.
    let put_back = |names: &[&str]| {
        let mut held = whole.clone();
        for (name, file) in FILES {
            held.as_object_mut().unwrap().remove(name);
            if names.contains(&name) {
                std::fs::write(run.join(file), whole[name].as_str().unwrap()).unwrap();
            }
        }
        world.parts().secrets.insert(path.to_owned(), held);
    };
    let files = || FILES.map(|(_, file)| run.join(file).exists());
    let resume = format!("{SOVEREIGN}/resume");
    let resumed = async || {
        let (status, view) = sol(&world, "POST", &resume, Some(&json!({}))).await;
        assert_eq!(status, 202, "{view}");
        settled(&world).await;
        world.parts().secrets[path].clone()
    };

    // The next job takes them in.
    put_back(&OWN);
    assert_eq!(resumed().await, whole);
    assert_eq!(files(), [false; 3]);
    // What was not made before it was cut off is made now, and the state still opens.
    put_back(&OWN[..1]);
    let now = resumed().await;
    assert_eq!(now[OWN[0]], whole[OWN[0]]);
    assert!(now[OWN[1]].is_string() && now[OWN[1]] != whole[OWN[1]]);
    // Without the passphrase nothing is begun, whatever else there is.
    put_back(&OWN[1..]);
    let (status, problem) = sol(&world, "POST", &resume, Some(&json!({}))).await;
    assert_eq!((status, &problem["type"]), (409, &json!("lost")));
    assert_eq!(files(), [false; 3]);
    // What the vault has counts; a file that says something else is left to people.
    world.parts().secrets.insert(path.to_owned(), whole.clone());
    std::fs::write(run.join(FILES[0].1), "canary-other").unwrap();
    assert_eq!(resumed().await, whole);
    assert_eq!(files(), [true, false, false]);

    // The vault is away when the control plane starts: they stay until it is back.
    put_back(&OWN);
    world.parts().vault_is_up = false;
    tidy(&world);
    crate::world::wait("the vault was asked in vain", || {
        world.parts().vault_refusals > 0
    })
    .await;
    assert_eq!(files(), [true; 3]);
    world.parts().vault_is_up = true;
    crate::world::wait("they are in the vault alone", || {
        files() == [false; 3] && world.parts().secrets[path] == whole
    })
    .await;
    // The control plane ended after the vault had them and before the files were gone.
    put_back(&OWN);
    world.parts().secrets.insert(path.to_owned(), whole.clone());
    assert_eq!(resumed().await, whole);
    assert_eq!(files(), [false; 3]);
}

/// A gateway that provisions in a project where nothing is, which is there as long as
/// the second is held.
async fn of_an_empty_project(folder: &Path) -> (World, Server) {
    let project = Project::empty().serve().await;
    let options = Options {
        hetzner: project.address.clone(),
        ..no_tools()
    };
    (World::provisioning_in(folder, options).await, project)
}

#[tokio::test]
async fn a_destroy_takes_another_token_and_asks_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _project) = of_an_empty_project(folder.path()).await;
    let with = |token: &str| {
        json!({"config": config(), "credentials": {
            "hetznerToken": token, "sshPrivateKey": KEY, "gitUsername": "flux", "gitPassword": PASSWORD,
        }})
    };
    let revoked = with("canary-revoked");
    let (status, _) = sol(&world, "POST", SOVEREIGNS, Some(&revoked)).await;
    assert_eq!(status, 202);
    settled(&world).await;
    let delete = format!("{SOVEREIGN}?confirm=omantel.example");
    let (status, _) = sol(&world, "DELETE", &delete, None).await;
    assert_eq!(status, 202);
    let view = settled(&world).await;
    assert_eq!(
        (&view["state"], &view["task"]),
        (&json!("failed"), &json!("destroy"))
    );

    // Somebody emptied the vault by hand.
    world.parts().secrets.clear();
    let (status, problem) = sol(&world, "DELETE", &delete, None).await;
    assert_eq!(status, 422, "{problem}");
    let faults = problem["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{problem}");
    assert_eq!(faults[0]["pointer"], "/credentials/hetznerToken");

    let good = json!({"credentials": {"hetznerToken": TOKEN}});
    let destroy = format!("{SOVEREIGN}/destroy");
    let (status, problem) = sol(&world, "POST", &destroy, Some(&good)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("unconfirmed")));
    assert!(world.parts().secrets.is_empty());
    let destroy = format!("{destroy}?confirm=omantel.example");
    let (status, problem) = sol(&world, "POST", &destroy, None).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid")));
    let (status, view) = sol(&world, "POST", &destroy, Some(&good)).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "destroyed", "{view}");
}

#[tokio::test]
async fn a_sovereign_that_cannot_be_read_is_listed_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    for fqdn in ["acme.example", "omantel.example"] {
        let mut body = body();
        body["config"]["sovereignFqdn"] = json!(fqdn);
        let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&body)).await;
        assert_eq!(status, 202, "{view}");
        world.provisioning.settled(fqdn).await.unwrap();
    }
    let record = folder.path().join("omantel.example/run/provision.json");
    std::fs::write(record, "{").unwrap();
    let (status, list) = sol(&world, "GET", SOVEREIGNS, None).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["items"][0]["state"], "failed");
    let unreadable = &list["items"][1];
    assert_eq!(unreadable["fqdn"], "omantel.example");
    assert_eq!(unreadable["state"], "unreadable");
    let why = unreadable["unreadable"].as_str().unwrap();
    assert!(why.contains("provision.json"), "{why}");
    let (status, problem) = sol(&world, "GET", SOVEREIGN, None).await;
    assert_eq!((status, &problem["type"]), (500, &json!("unreadable")));
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

#[tokio::test]
async fn credentials_of_what_is_destroyed_go_even_if_nobody_could_remove_them_then() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _project) = of_an_empty_project(folder.path()).await;
    let delete = format!("{SOVEREIGN}?confirm=omantel.example");
    let destroyed = async || {
        let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
        assert_eq!(status, 202, "{view}");
        settled(&world).await;
        assert_eq!(world.parts().secrets.len(), 1);
        let (status, view) = sol(&world, "DELETE", &delete, None).await;
        assert_eq!(status, 202, "{view}");
        assert_eq!(settled(&world).await["state"], "destroyed");
    };
    destroyed().await;
    // The control plane ended before it could remove them, and finds the vault away.
    assert_eq!(world.parts().secrets.len(), 1);
    world.parts().vault_is_up = false;
    tidy(&world);
    crate::world::wait("the vault was asked in vain", || {
        world.parts().vault_refusals > 0
    })
    .await;
    world.parts().vault_is_up = true;
    crate::world::wait("the vault is asked again", || {
        world.parts().secrets.is_empty()
    })
    .await;
    destroyed().await;
    crate::world::wait("they go when the job has ended", || {
        world.parts().secrets.is_empty()
    })
    .await;
}

/// Has the gateway tidy up what the vault has, as the control plane does.
fn tidy(world: &World) {
    let gateway = world.gateway.clone();
    let again = Duration::from_millis(20);
    tokio::spawn(async move {
        gateway
            .tidy_credentials(CancellationToken::new(), again)
            .await;
    });
}

#[tokio::test]
async fn events_are_followed_and_come_back_to_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let (status, _) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202);
    let mut reader = Reader::open(&world, "sol", EVENTS, None).await;
    reader.until("\"event\":\"step-begun\"").await;
    let position = reader.position();
    reader.until("\"event\":\"job-ended\"").await;
    assert!(reader.text.contains("\"event\":\"job-begun\""));
    has_no_canary(&reader.text);
    drop(reader);
    drop(world);

    // The control plane is started again on the same data.
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let view = settled(&world).await;
    assert_eq!(view["state"], "failed");
    let mut reader = Reader::open(&world, "sol", EVENTS, Some(&position)).await;
    reader.until("\"event\":\"job-ended\"").await;
    assert!(!reader.text.contains("job-begun"), "{}", reader.text);
    // The vault of this world is another one, and has nothing.
    let resume = format!("{SOVEREIGN}/resume");
    let (status, problem) = sol(&world, "POST", &resume, Some(&json!({}))).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(problem["faults"].as_array().unwrap().len(), 4, "{problem}");
    let again = json!({"credentials": credentials()});
    let (status, _) = sol(&world, "POST", &resume, Some(&again)).await;
    assert_eq!(status, 202);
    reader.until("\"event\":\"job-begun\"").await;
    for (path, content) in files(folder.path()) {
        let text = String::from_utf8_lossy(&content);
        has_no_canary(&format!("{}: {text}", path.display()));
    }

    let request = Request::builder()
        .uri(EVENTS)
        .header("authorization", "Bearer sol-token")
        .header("last-event-id", "here");
    let (status, ..) = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // Whoever loses the role loses the stream.
    world.parts().users.insert("sol".to_owned(), Vec::new());
    reader.end().await;
}

#[tokio::test]
async fn a_sovereign_is_provisioned_and_destroyed_over_http_on_the_real_opentofu() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cloud = provisioned::World::new(&binary, folder.path(), "true").await;
    let data = folder.path().join("sovereigns");
    let options = Options {
        git: None,
        ..cloud.options.clone()
    };
    let world = World::provisioning_in(&data, options).await;
    tidy(&world);
    let planned = json!({"config": config(), "credentials": credentials(), "planOnly": true});
    let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&planned)).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "planned", "{view}");
    assert_eq!(view["planned"].as_array().unwrap().len(), 2);
    // Before it costs anything.
    let without = catalyst_provisioner::service::without().unwrap_or_default();
    assert!(view["next"].as_str().unwrap().starts_with(&without));

    let mut reader = Reader::open(&world, "sol", EVENTS, None).await;
    reader.until("\"event\":\"job-ended\"").await;
    let position = reader.position();
    let resume = format!("{SOVEREIGN}/resume");
    let (status, problem) = sol(&world, "POST", &resume, Some(&json!({}))).await;
    assert_eq!((status, &problem["type"]), (409, &json!("unconfirmed")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("2 resources would change"), "{detail}");
    // What was planned is not what is described now.
    let mut other = config();
    other["workerCount"] = json!(1);
    let other = json!({"config": other, "create": true});
    let (status, problem) = sol(&world, "POST", &resume, Some(&other)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("unplanned")));
    let create = json!({"create": true});
    let (status, view) = sol(&world, "POST", &resume, Some(&create)).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "provisioned", "{view}");
    assert_eq!(view["resources"], json!({"done": 2, "total": 2}));
    assert_eq!(
        view["outputs"]["console_url"],
        "https://console.omantel.example"
    );
    let steps = view["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["state"] == "done"), "{view}");
    assert!(view["steps"][3]["versions"]["tofu"].is_string(), "{view}");
    let mut reader = Reader::open(&world, "sol", EVENTS, Some(&position)).await;
    reader.until("\"outcome\":\"provisioned\"").await;
    assert!(reader.text.contains("\"event\":\"finished\""));
    has_no_canary(&reader.text);

    for (verb, expected) in [("archive", "archived"), ("restore", "provisioned")] {
        let path = format!("{SOVEREIGN}/{verb}");
        let (status, view) = sol(&world, "POST", &path, None).await;
        assert_eq!((status, &view["task"]), (202, &json!(verb)), "{view}");
        assert_eq!(settled(&world).await["state"], expected);
    }

    let path = format!("{SOVEREIGN}?confirm=omantel.example");
    let (status, view) = sol(&world, "DELETE", &path, None).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "destroyed", "{view}");
    crate::world::wait("the credentials are gone from the vault", || {
        world.parts().secrets.is_empty()
    })
    .await;
    for (path, content) in files(&data) {
        let text = String::from_utf8_lossy(&content);
        has_no_canary(&format!("{}: {text}", path.display()));
    }
}

#[tokio::test]
async fn a_deletion_goes_on_where_all_was_removed_by_hand_once_that_is_said() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut cloud = provisioned::World::new(&binary, folder.path(), "true").await;
    cloud.makes_network(4711);
    let network = json!({"id": 4711, "name": "renamed", "labels": {}});
    let project = Project::empty().with("networks", [network]).serve().await;
    let data = folder.path().join("sovereigns");
    let mut options = Options {
        hetzner: project.address.clone(),
        git: None,
        ..cloud.options.clone()
    };
    let world = World::provisioning_in(&data, options.clone()).await;
    let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "provisioned", "{view}");
    let secrets = world.parts().secrets.clone();
    drop(world);

    // Somebody emptied the project since.
    let emptied = Project::empty().serve().await;
    options.hetzner = emptied.address.clone();
    let world = World::provisioning_in(&data, options).await;
    world.parts().secrets = secrets;
    let delete = format!("{SOVEREIGN}?confirm=omantel.example");
    for said in ["", "&removedByHand=false"] {
        let (status, view) = sol(&world, "DELETE", &format!("{delete}{said}"), None).await;
        assert_eq!(status, 202, "{view}");
        let view = settled(&world).await;
        assert_eq!(view["state"], "failed", "{view}");
        let failure = view["failure"].as_str().unwrap();
        for expected in ["no network 4711", "ask again with removedByHand as true"] {
            assert!(failure.contains(expected), "{failure}");
        }
    }
    let delete = format!("{delete}&removedByHand=true");
    let (status, view) = sol(&world, "DELETE", &delete, None).await;
    assert_eq!(status, 202, "{view}");
    let view = settled(&world).await;
    assert_eq!(view["state"], "destroyed", "{view}");
}
