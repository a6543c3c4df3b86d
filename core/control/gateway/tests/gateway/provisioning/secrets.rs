//! Where credentials and the secrets that are made for a Sovereign go, and when they go.

use catalyst_provisioner::directory::Directory;
use serde_json::{Value, json};

use super::{
    KEY, OWN, PASSWORD, SOVEREIGN, SOVEREIGNS, body, config, of_an_empty_project, settled, sol,
    tidy,
};
use crate::hetzner::TOKEN;
use crate::world::{World, no_tools};

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
