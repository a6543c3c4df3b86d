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
async fn the_schema_refuses_what_the_rules_refuse_and_nothing_else() {
    let world = World::new().await;
    let (status, schema) = sol(&world, "GET", &format!("{SOVEREIGNS}/schema"), None).await;
    assert_eq!(status, 200, "{schema}");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let elsewhere = json!({"osl": {"location": "osl1", "networkZone": "eu-north", "letter": "o"}});
    let misplaced = json!({"osl": {"location": "OSL", "networkZone": "eu-north", "letter": "o"}});
    for (given, is_good) in [
        (json!({}), true),
        (json!({"region": "xx"}), false),
        (json!({"region": "osl"}), false),
        (json!({"region": "osl", "extraRegions": elsewhere}), true),
        (json!({"extraRegions": misplaced}), false),
        (json!({"dnsTtl": 1}), false),
        (json!({"dnsTtl": 60}), true),
        (json!({"dnsTtl": 86_401}), false),
        (json!({"joinTokenTtlMinutes": 1}), false),
        (json!({"joinTokenTtlMinutes": 240}), true),
        (json!({"k3sVersion": "zz"}), false),
        (json!({"k3sVersion": "v1.35.1+k3s1"}), true),
        (
            json!({"k3sVersion": "v1.35.1+k3s1", "k3sChannel": "stable"}),
            false,
        ),
        (json!({"k3sVersion": null, "k3sChannel": "v1.35"}), true),
        (json!({"k3sChannel": "beta"}), false),
        (json!({"adminCidrs": ["0.0.0.0/0"]}), false),
        (json!({"adminCidrs": ["::/0"]}), false),
        (json!({"adminCidrs": ["1.2.3"]}), false),
        (json!({"adminCidrs": []}), false),
        (
            json!({"adminCidrs": ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/48"]}),
            true,
        ),
        (json!({"image": "windows"}), false),
        (json!({"image": "debian-13"}), true),
        (json!({"loadBalancerType": "big"}), false),
        (json!({"joinLoadBalancerType": "lb21"}), true),
        (json!({"networkCidr": "10.0.0.0"}), false),
        (json!({"subnetCidr": "10.0.0.0/25"}), false),
        (json!({"podCidr": "fd00::/64"}), false),
        (json!({"serviceCidr": "10.96.0.0/12"}), true),
        (json!({"ciliumVersion": "1"}), false),
        (json!({"gatewayApiVersion": "1.6.1"}), false),
        (json!({"helmVersion": "v4.0.0"}), false),
        (json!({"fluxVersion": "v2.9.4"}), true),
        (json!({"hetznerProjectId": "12a"}), false),
        (json!({"hetznerProjectId": "12345"}), true),
        (json!({"extraLabels": {"-x": "y"}}), false),
        (json!({"extraLabels": {"team": "a b"}}), false),
        (json!({"extraLabels": {"hetzner.cloud/x": "y"}}), false),
        (json!({"extraLabels": {"openova.io/role": "y"}}), false),
        (
            json!({"extraLabels": {"openova.io/team": "a", "empty": ""}}),
            true,
        ),
        (json!({"gitBranch": "a..b"}), false),
        (json!({"dnsZone": "example"}), false),
        (json!({"domainMode": "pool"}), false),
        (json!({"domainMode": "pool", "dnsZone": "example"}), true),
        (json!({"acmeEmail": "me@localhost"}), false),
        (json!({"acmeEmail": "Me+x@Omantel.example"}), true),
        (json!({"sshPublicKey": null}), false),
        (json!({"sshPublicKeyFile": "/etc/hostname"}), false),
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
