//! The rules of `sovereign.yaml` and those of the module's variables are the same: what
//! one refuses the other refuses too.

use std::collections::BTreeSet;
use std::path::Path;

use catalyst_provisioner::tofu::TofuError;
use catalyst_provisioner::{Config, Module};
use serde_json::{Value, json};

use crate::machine::binary;
use crate::support::Bench;

/// Wrong values for every variable that can have one. In rounds, because OpenTofu does
/// not judge a variable whose rule looks at another that is wrong.
fn wrong() -> [Value; 5] {
    [
        json!({
            "sovereign_fqdn": "Omantel",
            "region": "mars",
            "building_block": "web",
            "env_type": "production",
            "hetzner_project_id": "mine",
            "extra_labels": {"-x": "z"},
            "domain_mode": "own",
            "dns_ttl": 5,
            "ssh_public_key": "hello",
            "admin_cidrs": ["0.0.0.0/0"],
            "control_plane_count": 2,
            "control_plane_server_type": "m5.large",
            "worker_count": 51,
            "worker_server_type": "cx3",
            "image": "windows-11",
            "load_balancer_type": "big",
            "join_load_balancer_type": "big",
            "network_cidr": "8.0.0.0/16",
            "k3s_version": "v1.31.0+k3s1",
            "cilium_version": "v1.20.2",
            "gateway_api_version": "1.6.1",
            "helm_version": "v4.0.0",
            "flux_version": "2.9.5",
            "git_url": "git@git.example:x",
            "git_branch": "a..b",
            "join_token_ttl_minutes": 5,
        }),
        json!({"subnet_cidr": "10.1.0.0/20", "service_cidr": "10.0.0.0/16"}),
        json!({"pod_cidr": "10.43.0.0/20"}),
        json!({"admin_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]}),
        json!({"admin_cidrs": ["203.0.113.7/24"]}),
    ]
}

/// What has no default, right.
fn right() -> Value {
    json!({
        "sovereign_fqdn": "omantel.example",
        "region": "fsn",
        "domain_mode": "byo",
        "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
        "admin_cidrs": ["203.0.113.7/32"],
        "git_url": "https://git.example/sovereigns",
    })
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(1);
        text + &head.to_uppercase() + tail
    })
}

/// OpenTofu on the module's variables alone, which need no provider.
async fn of_variables(binary: &Path, folder: &Path) -> Bench {
    let bench = Bench::new(binary, folder);
    let only_variables = Module::hetzner()
        .files()
        .filter(|(path, _)| *path == "variables.tf")
        .map(|(path, content)| (path.to_owned(), content.to_vec()))
        .collect::<Vec<_>>();
    bench.tofu.stage(&Module::new(only_variables)).unwrap();
    bench.tofu.init(&mut |_| {}).await.unwrap();
    bench
}

#[tokio::test]
async fn what_the_module_refuses_is_refused_before_it_is_asked() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = of_variables(&binary, folder.path()).await;
    for wrong in wrong() {
        let expected: BTreeSet<String> = wrong.as_object().unwrap().keys().cloned().collect();
        let mut values = right();
        for (name, value) in wrong.as_object().unwrap() {
            values[name] = value.clone();
        }
        bench.tofu.write_variables(&values).unwrap();
        let diagnostics = match bench.tofu.plan(&mut |_| {}).await.unwrap_err() {
            TofuError::Failed { diagnostics, .. } => diagnostics,
            other => panic!("{other}"),
        };
        let refused: BTreeSet<String> = expected
            .iter()
            .filter(|name| {
                let begins = |text: &str| {
                    text.strip_prefix(name.as_str())
                        .is_some_and(|rest| rest.starts_with([' ', ':']))
                };
                diagnostics.iter().any(|found| begins(&found.detail))
            })
            .cloned()
            .collect();
        assert_eq!(refused, expected, "OpenTofu: {diagnostics:#?}");

        let mut text: String = values
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{}: {value}\n", camel(name)))
            .collect();
        text += "acmeEmail: platform@omantel.example\n";
        let error = Config::parse("f", &text, &|_| panic!("no file is named")).unwrap_err();
        let told: BTreeSet<String> = error
            .problems
            .iter()
            .map(|problem| problem.at.split('.').next().unwrap().to_owned())
            .collect();
        let expected: BTreeSet<String> = expected.iter().map(|name| camel(name)).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn what_a_description_says_is_what_the_module_takes() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bench = of_variables(&binary, folder.path()).await;
    let small = "sovereignFqdn: omantel.pool.example
region: fsn
sshPublicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me
adminCidrs: [203.0.113.7/32, \"2001:DB8:0::/48\"]
gitUrl: https://git.example/sovereigns
acmeEmail: platform@omantel.example
";
    for more in [
        "",
        "domainMode: pool\ndnsZone: pool.example\n",
        "k3sChannel: stable\nworkerCount: 0\ncontrolPlaneCount: 1\n",
        "extraRegions: {abc: {location: abc1, networkZone: eu-west, letter: x}}\nhetznerProjectId: \"12\"\nextraLabels: {team: a}\n",
    ] {
        let config = Config::parse("f", &format!("{small}{more}"), &|_| {
            panic!("no file is named")
        })
        .unwrap();
        bench.tofu.write_variables(&config.variables()).unwrap();
        assert!(bench.tofu.plan(&mut |_| {}).await.is_ok(), "{more}");
    }
}
