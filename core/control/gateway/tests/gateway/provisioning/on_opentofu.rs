//! Jobs that are run to their end on the real OpenTofu.

use catalyst_provisioner::Options;
use serde_json::json;

use super::{
    EVENTS, SOVEREIGN, SOVEREIGNS, body, config, credentials, has_no_canary, settled, sol, tidy,
};
use crate::hetzner::Project;
use crate::live::Reader;
use crate::machine::{binary, files};
use crate::provisioned;
use crate::world::World;

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
    // Nor is a plan that nobody was shown carried out.
    let another = json!({"create": true, "plan": "another"});
    let (status, problem) = sol(&world, "POST", &resume, Some(&another)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("other-plan")));
    let create = json!({"create": true, "plan": view["planDigest"]});
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
