//! `sovereign.yaml`: read strictly, judged whole, in step with the module's variables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use catalyst_provisioner::{Config, Module};
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ci";

fn small() -> String {
    format!(
        "sovereignFqdn: omantel.example
region: fsn
sshPublicKey: {KEY}
adminCidrs: [203.0.113.7/32]
gitUrl: https://git.example/sovereigns
acmeEmail: platform@omantel.example
"
    )
}

fn no_file(path: &Path) -> io::Result<String> {
    panic!("{} was read", path.display())
}

fn problems(text: &str) -> Vec<String> {
    match Config::parse("sovereign.yaml", text, &no_file) {
        Ok(config) => panic!("{config:?} was accepted"),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_description_sent_as_json_is_judged_as_the_file_is() {
    let given = catalyst_yaml::from_str(&small()).unwrap();
    let config = Config::from_value("config", given, &no_file).unwrap();
    assert_eq!(
        config,
        Config::parse("sovereign.yaml", &small(), &no_file).unwrap()
    );
    for given in [Value::Null, json!([]), json!({})] {
        let error = Config::from_value("config", given, &no_file).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot provision from config:")
        );
    }
}

#[test]
fn what_is_left_out_has_the_modules_defaults() {
    let config = Config::parse("sovereign.yaml", &small(), &no_file).unwrap();
    let values = config.variables();
    let text = module_file("variables.tf");
    let mut compared = 0;
    for (variable, default) in variables(&text) {
        let value = values
            .get(&variable)
            .unwrap_or_else(|| panic!("{variable} is not written to tofu.auto.tfvars.json"));
        if let Some(default) = default {
            assert_eq!(value, &default, "{variable}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} defaults were compared");
    assert_eq!(
        values.as_object().unwrap().len(),
        variables(&text).len(),
        "a value is written that is no variable of the module"
    );
}

fn module_file(name: &str) -> String {
    Module::hetzner()
        .files()
        .find(|(path, _)| *path == name)
        .map(|(_, content)| String::from_utf8(content.to_vec()).unwrap())
        .unwrap()
}

/// Variables of the module with their defaults.
fn variables(text: &str) -> BTreeMap<String, Option<Value>> {
    text.split("\nvariable \"")
        .skip(1)
        .map(|block| {
            let name = block.split('"').next().unwrap().to_owned();
            let block = block.split("\n}").next().unwrap();
            let default = block.lines().find_map(|line| {
                let (word, value) = line.trim().split_once('=')?;
                (word.trim() == "default").then(|| serde_json::from_str(value.trim()).unwrap())
            });
            (name, default)
        })
        .collect()
}

#[test]
fn regions_are_where_the_module_has_them() {
    let text = module_file("variables.tf");
    for code in ["fsn", "nbg", "hel", "ash", "hil", "sin"] {
        let config = Config::parse(
            "sovereign.yaml",
            &small().replace("region: fsn", &format!("region: {code}")),
            &no_file,
        )
        .unwrap();
        let derived = config.derived();
        let line = format!("{code} = {{ location = {:?},", derived.location);
        assert!(text.contains(&line), "{line}");
        assert_eq!(derived.host_cluster, format!("hz-{code}-mgt-prod"));
        assert_eq!(derived.location_code.len(), 4);
    }
}

#[test]
fn every_problem_is_told_at_once_with_the_nearest_known_property() {
    insta::assert_snapshot!(
        problems(
            "sovereign_fqdn: omantel.example
region: fsn1
controlPlaneCount: three
workerCount: 60
adminCidrs: [0.0.0.0/0]
sshPublicKey: |
  -----BEGIN OPENSSH PRIVATE KEY-----
  canary
gitUrl: https://me:canary@git.example/x
acmeEmail: nobody
domainMode: pool
podCidr: 10.0.128.0/17
limits: {server: 3}
favouriteColour: blue
"
        )
        .join("\n")
    );
}

#[test]
fn each_rule_of_the_module_is_known() {
    for (line, expected) in [
        (
            "sovereignFqdn: Omantel.example",
            "sovereignFqdn: \"Omantel.example\" is not a lower-case domain name",
        ),
        ("sovereignFqdn: omantel", "at least two labels"),
        ("sovereignFqdn: omantel.example.", "without a trailing dot"),
        (
            "region: xyz",
            "region: \"xyz\" is not one of ash, fsn, hel, hil, nbg, sin",
        ),
        (
            "extraRegions: {toolong: {location: abc1, networkZone: eu-x, letter: x}}",
            "extraRegions: \"toolong\"",
        ),
        (
            "extraRegions: {abc: {location: abc1, networkZone: eu, letter: x}}",
            "extraRegions.abc: location looks like",
        ),
        ("buildingBlock: web", "not one of mgt, rtz, dmz"),
        ("envType: production", "not one of prod, stg"),
        ("hetznerProjectId: mine", "the project's number"),
        ("extraLabels: {openova.io/role: x}", "sets itself"),
        ("extraLabels: {\"-x\": z}", "is not a label"),
        ("domainMode: own", "not one of byo, pool"),
        ("dnsZone: example", "belongs to domainMode pool"),
        ("dnsTtl: 5", "5 is not from 60 to 86400"),
        ("sshPublicKey: hello", "one line of OpenSSH"),
        ("sshPublicKeyFile: key.pub", "leave one of them out"),
        ("adminCidrs: []", "names no network"),
        ("adminCidrs: [203.0.113.7]", "is not a network"),
        ("adminCidrs: [203.0.113.7/33]", "is not a network"),
        ("adminCidrs: [\"::/0\"]", "whole Internet"),
        ("adminCidrs: [0.0.0.0/1]", "of at least /8"),
        ("adminCidrs: [\"2000::/3\"]", "of at least /16"),
        (
            "adminCidrs: [203.0.113.7/24]",
            "write 203.0.113.0/24, or 203.0.113.7/32 for one machine",
        ),
        (
            "adminCidrs: [\"2001:db8::1/48\"]",
            "write 2001:db8::/48, or 2001:db8::1/128 for one machine",
        ),
        ("controlPlaneCount: 2", "neither 1 nor 3"),
        ("workerCount: 51", "51 is not from 0 to 50"),
        ("workerCount: -1", "a whole number, not negative"),
        ("workerServerType: m5.large", "not a Hetzner server type"),
        ("controlPlaneServerType: cx3", "not a Hetzner server type"),
        ("image: windows-11", "neither a Hetzner image"),
        ("loadBalancerType: big", "load balancer type"),
        ("networkCidr: 10.0.0.1/16", "whose address is its first"),
        ("networkCidr: 8.0.0.0/16", "is not private"),
        ("subnetCidr: 10.0.0.0/25", "smaller than a /24"),
        ("subnetCidr: 10.1.0.0/20", "does not lie within networkCidr"),
        ("podCidr: 10.0.0.0/8", "overlaps networkCidr"),
        ("podCidr: 10.43.0.0/20", "overlaps serviceCidr"),
        ("serviceCidr: 10.0.0.0/16", "overlaps networkCidr"),
        ("k3sVersion: v1.31.0+k3s1", "1.32 or later"),
        ("k3sChannel: nightly", "stable, latest"),
        ("ciliumVersion: v1.20.2", "a chart version"),
        ("helmVersion: v4.0.0", "helm 3"),
        ("fluxVersion: 2.9.5", "Flux 2"),
        ("gitUrl: git@git.example:x", "https://host/path"),
        ("gitBranch: a..b", "name of a branch"),
        ("joinTokenTtlMinutes: 5", "5 is not from 20 to 240"),
        ("acmeEmail: me@localhost", "not an e-mail address"),
        (
            "provider: aws",
            "it is the text \"aws\", and not one of hetzner",
        ),
        ("limits: 5", "it must be a mapping, and is the number 5"),
        (
            "limits: {servers: many}",
            "limits.servers: it must be a whole number, not negative, and is the text",
        ),
        (
            "limits: {volumes: 5000000000}",
            "limits.volumes: 5000000000 is too large",
        ),
        (
            "extraRegions: {muc: {location: muc1, networkZone: eu-central}}",
            "extraRegions.muc: it has no letter, which is needed",
        ),
        ("adminCidrs: [203.0.113.7/32, 5]", "it must be text"),
        ("hetznerToken: canary", "remove it: no secret"),
        ("hcloud_token: canary", "HCLOUD_TOKEN"),
        ("token: canary", "should be revoked"),
        ("gitCredentials: sometimes", "true or false"),
    ] {
        let property = line.split(':').next().unwrap();
        let rest: String = small()
            .lines()
            .filter(|other| other.split(':').next() != Some(property))
            .map(|line| format!("{line}\n"))
            .collect();
        let found = problems(&format!("{rest}{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].contains(expected), "{line}: {found:?}");
        for foreign in ["canary", "struct", "u32", "invalid type", "variant"] {
            assert!(!found[0].contains(foreign), "{line}: {found:?}");
        }
    }
}

#[test]
fn server_types_that_are_not_named_are_those_of_the_region() {
    let types = |more: &str, region: &str| {
        let text = small().replace("region: fsn", &format!("region: {region}"));
        let config = Config::parse("f", &format!("{text}{more}"), &no_file).unwrap();
        (config.control_plane_server_type, config.worker_server_type)
    };
    let both = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(types("", "hel"), both("cx33", "cx43"));
    assert_eq!(types("", "ash"), both("cpx31", "cpx41"));
    let named = "workerServerType: ccx33\n";
    assert_eq!(types(named, "sin"), both("cpx32", "ccx33"));
}

#[test]
fn a_property_that_is_given_twice_is_refused_with_both_lines() {
    let text = format!(
        "{}limits:\n  servers: 3\n  servers: 4\nregion: hel\n",
        small()
    );
    assert_eq!(
        problems(&text),
        [
            "region: it is given twice, in lines 2 and 10; leave one of them out",
            "servers: it is given twice, in lines 8 and 9; leave one of them out",
        ]
    );
}

#[test]
fn every_entry_of_a_mapping_is_judged() {
    let text = format!(
        "{}limits: {{server: 3, servers: -1, networks: 1}}\nextraLabels: {{a: [], b: {{}}}}\n",
        small()
    );
    let found = problems(&text);
    let begins = |begin: &str| found.iter().filter(|it| it.starts_with(begin)).count();
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(
        begins("limits: there is no property server in it"),
        1,
        "{found:?}"
    );
    assert_eq!(begins("limits.servers: "), 1, "{found:?}");
    assert_eq!(
        begins("extraLabels.a: ") + begins("extraLabels.b: "),
        2,
        "{found:?}"
    );
}

#[test]
fn the_number_of_a_project_need_not_be_quoted() {
    for given in ["12345", "\"12345\""] {
        let text = format!("{}hetznerProjectId: {given}\n", small());
        let config = Config::parse("f", &text, &no_file).unwrap();
        assert_eq!(config.hetzner_project_id.as_deref(), Some("12345"));
    }
    let found = problems(&format!("{}hetznerProjectId: true\n", small()));
    assert!(
        found[0].starts_with("hetznerProjectId: it must be"),
        "{found:?}"
    );
}

#[test]
fn a_zone_without_a_name_is_none() {
    let text = format!("{}domainMode: pool\ndnsZone: \"\"\n", small());
    let found = problems(&text);
    assert_eq!(
        found,
        ["dnsZone: \"\" is not the name of a zone, such as pool.example"]
    );
}

#[test]
fn every_item_of_a_list_is_judged() {
    let text = small().replace(
        "[203.0.113.7/32]",
        "[0.0.0.0/1, 128.0.0.0/1, 1.2.3.4, 10.0.0.0/8, \"2001:DB8:0::/48\"]",
    );
    let found = problems(&text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .iter()
            .all(|problem| problem.starts_with("adminCidrs: ")),
        "{found:?}"
    );
}

#[test]
fn the_key_comes_from_its_file_and_a_private_one_is_refused() {
    let text = small().replace(
        &format!("sshPublicKey: {KEY}"),
        "sshPublicKeyFile: /keys/id.pub",
    );
    let config = Config::parse("f", &text, &|path| {
        assert_eq!(path, Path::new("/keys/id.pub"));
        Ok(format!("{KEY}\n"))
    })
    .unwrap();
    assert_eq!(config.variables()["ssh_public_key"], KEY);

    let refused = |answer: fn() -> io::Result<String>| {
        Config::parse("f", &text, &|_| answer())
            .unwrap_err()
            .to_string()
    };
    let private = refused(|| Ok("-----BEGIN OPENSSH PRIVATE KEY-----\ncanary".to_owned()));
    assert!(
        private.contains("/keys/id.pub is a private key"),
        "{private}"
    );
    assert!(!private.contains("canary"), "{private}");
    let absent = refused(|| Err(io::ErrorKind::NotFound.into()));
    assert!(absent.contains("cannot read /keys/id.pub"), "{absent}");
}

#[test]
fn what_is_no_mapping_is_refused_as_a_whole() {
    for (text, expected) in [
        ("", "it is empty"),
        ("- a", "it is a list"),
        ("a: [", "cannot read the YAML at line"),
    ] {
        let found = problems(text);
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn a_channel_of_k3s_replaces_the_release() {
    let config = Config::parse("f", &format!("{}k3sChannel: stable\n", small()), &no_file).unwrap();
    let values = config.variables();
    assert_eq!(values["k3s_version"], Value::Null);
    assert_eq!(values["k3s_channel"], "stable");
}

#[test]
fn the_schema_is_as_published() {
    let schema = serde_json::to_string_pretty(&Config::schema()).unwrap();
    insta::assert_snapshot!(schema);
}

#[test]
fn the_schema_refuses_what_the_rules_refuse_and_nothing_else() {
    let schema = Config::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let judge = |given: &Value, is_good: bool| {
        let mut described = catalyst_yaml::from_str(&small()).unwrap();
        for (name, value) in given.as_object().unwrap() {
            described[name] = value.clone();
        }
        assert_eq!(
            validator.is_valid(&described),
            is_good,
            "the schema: {given}"
        );
        let key = |_: &Path| -> io::Result<String> { Ok(KEY.to_owned()) };
        let judged = Config::from_value("config", described, &key);
        assert_eq!(judged.is_ok(), is_good, "the rules: {given}: {judged:?}");
    };
    let long = format!("{}.example", vec!["a".repeat(50); 4].join("."));
    let elsewhere = json!({"osl": {"location": "osl1", "networkZone": "eu-north", "letter": "o"}});
    let of_place = |name: &str, value: &str| {
        let mut regions = elsewhere.clone();
        regions["osl"][name] = json!(value);
        json!({ "extraRegions": regions })
    };
    for good in [
        json!({}),
        json!({"buildingBlock": "rtz", "envType": "poc"}),
        json!({"region": "osl", "extraRegions": elsewhere}),
        json!({"dnsTtl": 60}),
        json!({"dnsTtl": 86_400}),
        json!({"joinTokenTtlMinutes": 20}),
        json!({"joinTokenTtlMinutes": 240}),
        json!({"k3sVersion": "v1.35.1+k3s1"}),
        json!({"k3sVersion": null, "k3sChannel": "v1.35"}),
        json!({"adminCidrs": ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/48"]}),
        json!({"image": "debian-13"}),
        json!({"image": "12345678"}),
        json!({"joinLoadBalancerType": "lb21"}),
        json!({"subnetCidr": "10.0.0.0/24"}),
        json!({"serviceCidr": "10.96.0.0/12"}),
        json!({"ciliumVersion": "1.20.3", "gatewayApiVersion": "v1.6.2"}),
        json!({"helmVersion": "v3.22.1", "fluxVersion": "v2.9.4"}),
        json!({"hetznerProjectId": "12345"}),
        // As YAML has it without quotes.
        json!({"hetznerProjectId": 12_345}),
        json!({"hetznerProjectId": null}),
        json!({"extraLabels": {"openova.io/team": "a", "empty": ""}}),
        json!({"controlPlaneCount": 1, "workerCount": 50}),
        json!({"controlPlaneServerType": "cax21", "workerServerType": "ccx33"}),
        json!({"gitUrl": "https://git.example:8443/sovereigns.git", "gitBranch": "a/b.c"}),
        json!({"domainMode": "pool", "dnsZone": "example"}),
        json!({"acmeEmail": "Me+x@Omantel.example"}),
        // As a block of YAML has it.
        json!({"sshPublicKey": format!("{KEY}\n")}),
        json!({"sshPublicKey": null, "sshPublicKeyFile": "/keys/id.pub"}),
        json!({"sshPrivateKeyFile": "/keys/id"}),
        json!({"limits": {"servers": 3, "networks": null}}),
    ] {
        judge(&good, true);
    }
    for bad in [
        json!({"provider": "aws"}),
        json!({"sovereignFqdn": "Omantel.example"}),
        json!({"sovereignFqdn": "omantel"}),
        json!({"sovereignFqdn": long}),
        json!({"region": "xx"}),
        json!({"region": "osl"}),
        json!({"region": "Oslo", "extraRegions": elsewhere}),
        json!({"extraRegions": {"oslo1": elsewhere["osl"]}}),
        of_place("location", "OSL"),
        of_place("networkZone", "north"),
        of_place("letter", "os"),
        of_place("zone", "eu-north"),
        json!({"buildingBlock": "web"}),
        json!({"envType": "production"}),
        json!({"domainMode": "own"}),
        json!({"dnsTtl": 59}),
        json!({"dnsTtl": 86_401}),
        json!({"joinTokenTtlMinutes": 19}),
        json!({"joinTokenTtlMinutes": 241}),
        json!({"k3sVersion": "v1.31.9+k3s1"}),
        json!({"k3sVersion": "v1.35.1+k3s1", "k3sChannel": "stable"}),
        json!({"k3sChannel": "beta"}),
        json!({"adminCidrs": []}),
        json!({"adminCidrs": ["0.0.0.0/0"]}),
        json!({"adminCidrs": ["10.0.0.0/08"]}),
        json!({"adminCidrs": ["::/0"]}),
        json!({"adminCidrs": ["1.2.3"]}),
        json!({"image": "windows-11"}),
        json!({"loadBalancerType": "big"}),
        json!({"joinLoadBalancerType": "lb1"}),
        json!({"networkCidr": "10.0.0.0"}),
        json!({"subnetCidr": "10.0.0.0/25"}),
        json!({"podCidr": "fd00::/64"}),
        json!({"serviceCidr": "10.256.0.0/12"}),
        json!({"ciliumVersion": "1"}),
        json!({"gatewayApiVersion": "1.6.1"}),
        json!({"helmVersion": "v4.0.0"}),
        json!({"fluxVersion": "2.9.5"}),
        json!({"hetznerProjectId": "12a"}),
        json!({"hetznerProjectId": -1}),
        json!({"hetznerProjectId": true}),
        json!({"extraLabels": {"-x": "y"}}),
        json!({"extraLabels": {"team": "a b"}}),
        json!({"extraLabels": {"hetzner.cloud/x": "y"}}),
        json!({"extraLabels": {"openova.io/role": "y"}}),
        json!({"extraLabels": {"app.kubernetes.io/managed-by": "y"}}),
        json!({"controlPlaneCount": 2}),
        json!({"workerCount": 51}),
        json!({"controlPlaneServerType": "cx3"}),
        json!({"workerServerType": "m5.large"}),
        json!({"gitUrl": "https://me:secret@git.example/x"}),
        json!({"gitBranch": "-x"}),
        json!({"gitBranch": "a..b"}),
        json!({"gitCredentials": "sometimes"}),
        json!({"dnsZone": "example"}),
        json!({"domainMode": "pool"}),
        json!({"domainMode": "pool", "dnsZone": ""}),
        json!({"acmeEmail": "me@localhost"}),
        json!({"sshPublicKey": "hello"}),
        json!({"sshPublicKey": null}),
        json!({"sshPublicKeyFile": "/keys/id.pub"}),
        json!({"limits": {"server": 3}}),
        json!({"frobnicate": 1}),
    ] {
        judge(&bad, false);
    }
    // The regions that the console offers.
    for region in schema["properties"]["region"]["examples"]
        .as_array()
        .unwrap()
    {
        judge(&json!({ "region": region }), true);
    }
}

#[test]
fn what_no_schema_can_say_the_rules_say_alone() {
    let validator = jsonschema::validator_for(&Config::schema()).unwrap();
    for given in [
        json!({"adminCidrs": ["203.0.113.7/24"]}),
        json!({"networkCidr": "8.0.0.0/16"}),
        json!({"subnetCidr": "10.9.0.0/20"}),
        json!({"podCidr": "10.43.0.0/20"}),
        json!({"domainMode": "pool", "dnsZone": "other.example"}),
    ] {
        let mut described = catalyst_yaml::from_str(&small()).unwrap();
        for (name, value) in given.as_object().unwrap() {
            described[name] = value.clone();
        }
        assert!(validator.is_valid(&described), "{given}");
        Config::from_value("config", described, &no_file).unwrap_err();
    }
}
