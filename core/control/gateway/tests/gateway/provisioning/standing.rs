//! What is told of a Sovereign: where it stands, what to do next, and its events.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use super::{
    EVENTS, OWN, PASSWORD, SOVEREIGN, SOVEREIGNS, body, config, credentials, has_no_canary,
    settled, sol,
};
use crate::live::Reader;
use crate::machine::files;
use crate::world::{World, no_tools};

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
        ("POST", "/omantel.example/archive", None, 409, "refused"),
        ("POST", "/omantel.example/forget", None, 409, "remains"),
        ("POST", "/absent.example/forget", None, 404, "not-found"),
        (
            "POST",
            "/omantel.example/resume",
            Some(json!({"create": true, "plan": "another"})),
            409,
            "other-plan",
        ),
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
async fn what_a_destroy_has_begun_to_undo_is_not_shown_as_done() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::provisioning_in(folder.path(), no_tools()).await;
    let (status, view) = sol(&world, "POST", SOVEREIGNS, Some(&body())).await;
    assert_eq!(status, 202, "{view}");
    settled(&world).await;
    let path = folder.path().join("omantel.example/run/provision.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let done = json!({"at": "2026-01-01T00:00:00Z", "seconds": 1, "inputs": "a"});
    record["done"] = json!({"plan": done, "apply": done});
    for (life, expected) in [("provisioning", "done"), ("destroying", "pending")] {
        record["life"] = json!(life);
        std::fs::write(&path, record.to_string()).unwrap();
        let (_, view) = sol(&world, "GET", SOVEREIGN, None).await;
        assert_eq!(view["steps"][4]["state"], "done", "{view}");
        assert_eq!(view["steps"][5]["state"], expected, "{view}");
    }
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
