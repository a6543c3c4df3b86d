//! Descriptions of Sovereigns, judged and rendered with nothing begun.

use serde_json::json;

use crate::provisioning::{SOVEREIGNS, config, sol};
use crate::world::World;

#[tokio::test]
async fn the_files_of_a_sovereign_are_rendered_from_its_description_alone() {
    let world = World::new().await;
    let render = format!("{SOVEREIGNS}/render");
    let body = json!({"config": config()});
    let (status, rendered) = sol(&world, "POST", &render, Some(&body)).await;
    assert_eq!(status, 200, "{rendered}");
    assert_eq!(rendered["folder"], "clusters/omantel.example");
    let files = rendered["files"].as_array().unwrap();
    let text = |path: &str| {
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        file["text"].as_str().unwrap()
    };
    let settings = text("settings.yaml");
    assert!(
        settings.contains("sovereign_fqdn: omantel.example"),
        "{settings}"
    );
    assert!(text("kustomization.yaml").contains("resources"));
    // What is said of the folder is true where it lies now.
    let readme = text("README.md");
    for foreign in ["clusters/omantel.example", "clusters/<sovereign-fqdn>"] {
        assert!(!readme.contains(foreign), "{foreign}: {readme}");
    }
    assert!(
        readme.contains("`infra/hetzner/README.md` of Catalyst's repository"),
        "{readme}"
    );
    // What it will be without is what the template holds back.
    let is_held_back = text("22-catalyst.yaml").contains("\n  suspend: true\n");
    let without = rendered["without"].as_str().unwrap_or_default();
    assert_eq!(without.contains("no console"), is_held_back, "{without}");

    // Every rule is judged by, also those that no schema says.
    let mut config = config();
    config["adminCidrs"] = json!(["0.0.0.0/0"]);
    config["subnetCidr"] = json!("10.9.0.0/20");
    config["sshPublicKeyFile"] = json!("/etc/hostname");
    let body = json!({ "config": config });
    let (status, problem) = sol(&world, "POST", &render, Some(&body)).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid")));
    let said = problem["faults"].to_string();
    for pointer in ["adminCidrs", "subnetCidr", "sshPublicKeyFile"] {
        assert!(said.contains(&format!("/config/{pointer}")), "{said}");
    }
    let (_, list) = sol(&world, "GET", SOVEREIGNS, None).await;
    assert_eq!(list["items"], json!([]));
    assert!(world.parts().secrets.is_empty());
}

#[tokio::test]
async fn the_schema_knows_keys_as_text_and_no_files_and_judges_as_the_rules_do() {
    let world = World::new().await;
    let (status, schema) = sol(&world, "GET", &format!("{SOVEREIGNS}/schema"), None).await;
    assert_eq!(status, 200, "{schema}");
    assert!(!schema.to_string().contains("KeyFile"), "{schema}");
    let validator = jsonschema::validator_for(&schema).unwrap();
    // All other rules are held to the schema of `sovereign.yaml`, which this one is made of.
    for (given, is_good) in [
        (json!({}), true),
        (json!({"hetznerProjectId": 12_345}), true),
        (json!({"k3sChannel": "beta"}), false),
        (json!({"sshPublicKey": null}), false),
        (json!({"sshPublicKeyFile": "/etc/hostname"}), false),
        (json!({"sshPrivateKeyFile": "/etc/shadow"}), false),
        (json!({"frobnicate": 1}), false),
    ] {
        let mut config = config();
        for (name, value) in given.as_object().unwrap() {
            config[name] = value.clone();
        }
        assert_eq!(validator.is_valid(&config), is_good, "the schema: {given}");
        let body = json!({ "config": config });
        let path = format!("{SOVEREIGNS}/render");
        let (status, answer) = sol(&world, "POST", &path, Some(&body)).await;
        assert_eq!(status == 200, is_good, "the rules: {given}: {answer}");
    }
}
