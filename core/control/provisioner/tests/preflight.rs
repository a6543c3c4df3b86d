//! Preflight: what it sees, and every problem at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/hetzner.rs"]
mod hetzner;

use std::collections::BTreeMap;

use catalyst_provisioner::preflight::{
    Beside, Delegation, Finding, Hetzner, HetznerError, KINDS, Seen, TokenState, ZoneSeen, beside,
    judge, judge_domain, judge_zone, left_over, not_in_project, still_there,
};
use catalyst_provisioner::tofu::Made;
use catalyst_provisioner::{Config, Secret};
use hetzner::{Project, Server, TOKEN};
use serde_json::{Value, json};

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

fn config(more: &str) -> Config {
    let text = format!(
        "sovereignFqdn: omantel.example
region: fsn
sshPublicKey: ssh-ed25519 {KEY} me
adminCidrs: [203.0.113.7/32]
gitUrl: https://git.example/sovereigns
acmeEmail: platform@omantel.example
{more}"
    );
    Config::parse("sovereign.yaml", &text, &|_| panic!("no file is named")).unwrap()
}

fn client(server: &Server) -> Hetzner {
    Hetzner::new(&server.address, Secret::new(TOKEN)).unwrap()
}

async fn see(project: Project, resumed: bool) -> Seen {
    let server = project.serve().await;
    let hetzner = client(&server);
    let mut lists = BTreeMap::new();
    for kind in KINDS {
        lists.insert(kind, hetzner.list(kind).await);
    }
    Seen {
        token: hetzner.token_state().await,
        lists,
        resumed,
    }
}

fn lines(config: &Config, seen: &Seen) -> Vec<String> {
    judge(config, seen)
        .iter()
        .map(|found| {
            let mark = if found.problem { "problem" } else { "note" };
            format!("{mark}: {}: {}", found.subject, found.message)
        })
        .collect()
}

fn own(kind: &str, name: &str, id: u64) -> Value {
    json!({"id": id, "name": name, "kind": kind, "labels": {"openova.io/sovereign": "omantel-example"}})
}

#[tokio::test]
async fn an_empty_project_with_a_good_token_has_no_problem() {
    let seen = see(Project::empty(), false).await;
    assert_eq!(lines(&config(""), &seen), Vec::<String>::new());
}

#[tokio::test]
async fn the_token_is_tried_by_a_request_that_can_make_nothing() {
    for (rights, expected) in [
        ("write", TokenState::Writes),
        ("read", TokenState::ReadsOnly),
        ("none", TokenState::Unknown),
    ] {
        let project = Project {
            rights,
            ..Project::empty()
        };
        let server = project.serve().await;
        assert_eq!(client(&server).token_state().await.unwrap(), expected);
        assert_eq!(server.calls(), ["POST /ssh_keys {}"]);
    }
}

#[test]
fn what_can_be_no_token_is_told_before_anybody_is_asked() {
    let address = "http://127.0.0.1:9/v1".parse().unwrap();
    for (token, expected) in [
        ("", "no token is given"),
        ("canary\ntoken", "ends of lines"),
        ("canary token", "spaces"),
        ("canarytökén", "characters that no token has"),
    ] {
        let error = Hetzner::new(&address, Secret::new(token)).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("set HCLOUD_TOKEN"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn what_has_one_cause_is_told_once() {
    let silent = |action: &str| HetznerError::Reach {
        action: action.to_owned(),
        reason: "connection refused".to_owned(),
    };
    let mut seen = Seen {
        token: Err(silent("ask whether the token may write")),
        lists: BTreeMap::from(KINDS.map(|kind| (kind, Err(silent(kind))))),
        resumed: false,
    };
    let told = lines(&config(""), &seen);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("problem: token: cannot ask"),
        "{told:?}"
    );
    // Of two causes both are.
    let refused = HetznerError::Refused {
        action: "list servers".to_owned(),
        status: 503,
        code: "unavailable".to_owned(),
        message: "come back".to_owned(),
    };
    seen.lists.insert("servers", Err(refused));
    assert_eq!(lines(&config(""), &seen).len(), 2);
}

#[tokio::test]
async fn every_page_is_read() {
    let servers = (0..120).map(|index| json!({"id": index, "name": format!("other-{index}")}));
    let server = Project::empty().with("servers", servers).serve().await;
    assert_eq!(client(&server).list("servers").await.unwrap().len(), 120);
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn every_problem_is_told_at_once() {
    let others = (0..6)
        .map(|index| json!({"id": 100 + index, "name": format!("other-{index}"), "labels": {}}));
    let project = Project::empty()
        .with("servers", others)
        .with("networks", [json!({"id": 1, "name": "omantel-example", "labels": {}})])
        .with("firewalls", [own("firewall", "omantel-example-nodes", 2)])
        .with("ssh_keys", [json!({"id": 3, "name": "laptop", "public_key": format!("ssh-ed25519 {KEY} other"), "labels": {}})]);
    let seen = see(
        Project {
            rights: "read",
            ..project
        },
        false,
    )
    .await;
    let config = config(
        "workerServerType: cpx32\ncontrolPlaneServerType: cx99\nloadBalancerType: lb99\nlimits: {servers: 10, loadBalancers: 5}\n",
    );
    insta::assert_snapshot!(lines(&config, &seen).join("\n"));
}

#[tokio::test]
async fn the_image_fits_the_server_types_and_the_balancers_the_place() {
    let snapshot = json!({"id": 900, "name": null, "type": "snapshot", "status": "available", "architecture": "x86", "deprecated": null});
    let unready = json!({"id": 901, "name": null, "type": "snapshot", "status": "creating", "architecture": "x86", "deprecated": null});
    let seen = see(Project::empty().with("images", [snapshot, unready]), false).await;
    let arm = "controlPlaneServerType: cax21\nworkerServerType: cax21\n";
    for (more, expected) in [
        ("image: ubuntu-24.04\n", None),
        ("image: \"900\"\n", None),
        (arm, None),
        (
            "image: ubuntu-99.99\n",
            Some(
                "problem: image ubuntu-99.99: neither Hetzner nor the project has it; there are debian-12, ubuntu-24.04",
            ),
        ),
        (
            "image: \"902\"\n",
            Some(
                "problem: image 902: neither Hetzner nor the project has it; there are debian-12, ubuntu-24.04",
            ),
        ),
        (
            "image: \"901\"\n",
            Some(
                "problem: image 901: it is not available: it is still being made, or its making failed",
            ),
        ),
        (
            "image: ubuntu-20.04\n",
            Some("note: image ubuntu-20.04: Hetzner is about to withdraw it; choose a newer one"),
        ),
        (
            "controlPlaneServerType: cax21\nimage: debian-12\n",
            Some(
                "problem: server type cax21: its processors are arm, and there is no image debian-12 for them; choose another type, or another image",
            ),
        ),
        (
            "loadBalancerType: lb21\n",
            Some("problem: load balancer type lb21: it is not offered in fsn1"),
        ),
        // One control plane has no second balancer.
        ("controlPlaneCount: 1\njoinLoadBalancerType: lb21\n", None),
    ] {
        let expected: Vec<String> = expected.map(str::to_owned).into_iter().collect();
        assert_eq!(lines(&config(more), &seen), expected, "{more}");
    }
}

#[tokio::test]
async fn volumes_and_cores_are_counted_against_their_limits() {
    let project = Project::empty()
        .with(
            "servers",
            [
                json!({"id": 1, "name": "other", "labels": {}, "server_type": {"name": "cx33", "cores": 4}}),
                json!({"id": 7, "name": "omantel-example-cp-1", "labels": {"openova.io/sovereign": "omantel-example"}, "server_type": {"name": "cx33", "cores": 4}}),
            ],
        )
        .with(
            "volumes",
            [
                json!({"id": 20, "name": "pvc-own", "server": 7, "labels": {}}),
                json!({"id": 21, "name": "pvc-other", "server": 1, "labels": {}}),
            ],
        );
    let seen = see(project, true).await;
    // Three control planes of 4 cores and three workers of 8; three members of each part.
    for (more, expected) in [
        ("limits: {volumes: 15, cores: 40}\n", vec![]),
        (
            "limits: {volumes: 14, cores: 39}\n",
            vec![
                "problem: volumes: the Sovereign needs 14 and others have 1",
                "problem: cores: the Sovereign needs 36 and others have 4",
            ],
        ),
        (
            "workerCount: 0\ncontrolPlaneCount: 1\nlimits: {volumes: 6, cores: 7}\n",
            vec![
                "problem: volumes: the Sovereign needs 6 and others have 1",
                "problem: cores: the Sovereign needs 4 and others have 4",
            ],
        ),
    ] {
        let found = lines(&config(more), &seen);
        assert_eq!(found.len(), expected.len(), "{more}: {found:?}");
        for (line, begin) in found.iter().zip(expected) {
            assert!(line.starts_with(begin), "{more}: {line}");
        }
    }
}

#[tokio::test]
async fn what_keeps_hetzner_out_of_reach_is_told_with_the_host() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let address = format!("http://127.0.0.1:{port}/v1").parse().unwrap();
    let hetzner = Hetzner::new(&address, Secret::new(TOKEN)).unwrap();
    let said = hetzner.list("servers").await.unwrap_err().to_string();
    assert!(said.contains("127.0.0.1: Connection refused"), "{said}");
    assert!(!said.contains("client error"), "{said}");
}

#[tokio::test]
async fn what_this_sovereign_made_before_is_no_collision_and_counts_once() {
    let project = || {
        Project::empty()
            .with("servers", [own("server", "omantel-example-cp-1", 7)])
            .with("networks", [own("network", "omantel-example", 8)])
            .with(
                "primary_ips",
                [json!({"id": 9, "name": "ip", "assignee_id": 7, "labels": {}})],
            )
    };
    let config = config("limits: {servers: 6, networks: 1, primaryIps: 12}\n");
    assert_eq!(
        lines(&config, &see(project(), true).await),
        Vec::<String>::new()
    );
    let unknown = lines(&config, &see(project(), false).await);
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(
        unknown[0].contains("network omantel-example, server omantel-example-cp-1"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn what_carries_the_sovereigns_label_is_left_over() {
    let server = Project::empty()
        .with("servers", [own("server", "omantel-example-cp-1", 7)])
        .with(
            "load_balancers",
            [own("balancer", "omantel-example-public", 8)],
        )
        .with(
            "networks",
            [json!({"id": 1, "name": "omantel-example", "labels": {}})],
        )
        .serve()
        .await;
    let left = left_over(&server.address, &Secret::new(TOKEN), "omantel-example").await;
    assert_eq!(
        left.unwrap(),
        [
            "load balancer omantel-example-public",
            "server omantel-example-cp-1"
        ]
    );
}

#[tokio::test]
async fn what_the_cluster_made_by_itself_is_told_from_what_others_have() {
    let volume = |id: u64, name: &str, server: Value, labels: Value| json!({"id": id, "name": name, "server": server, "labels": labels});
    let balancer = |id: u64, name: &str, net: u64, target: u64| {
        json!({"id": id, "name": name, "labels": {}, "private_net": [{"network": net, "ip": "10.0.0.9"}],
            "targets": [{"type": "server", "server": {"id": target}}]})
    };
    let mine = json!({"openova.io/sovereign": "omantel-example"});
    let server = Project::empty()
        .with("servers", [own("server", "omantel-example-cp-1", 7)])
        .with("networks", [own("network", "omantel-example", 8)])
        .with(
            "volumes",
            [
                volume(20, "pvc-attached", json!(7), json!({})),
                volume(21, "pvc-labelled", Value::Null, mine),
                volume(22, "pvc-of-another", json!(99), json!({})),
                volume(23, "pvc-of-nobody", Value::Null, json!({})),
            ],
        )
        .with(
            "load_balancers",
            [
                own("balancer", "omantel-example-public", 30),
                balancer(31, "in-its-network", 8, 99),
                balancer(32, "before-its-server", 99, 7),
                balancer(33, "of-another", 99, 99),
            ],
        )
        .serve()
        .await;
    let hetzner = client(&server);
    let found = beside(&hetzner, "omantel-example").await.unwrap();
    let titles: Vec<String> = found.iter().map(Beside::title).collect();
    assert_eq!(
        titles,
        [
            "load balancer in-its-network",
            "load balancer before-its-server",
            "volume pvc-attached",
            "volume pvc-labelled"
        ]
    );
    assert_eq!(still_there(&hetzner, &found).await.unwrap(), found);
    let gone = Project::empty()
        .with(
            "volumes",
            [volume(21, "pvc-labelled", Value::Null, json!({}))],
        )
        .serve()
        .await;
    let left = still_there(&client(&gone), &found).await.unwrap();
    let titles: Vec<String> = left.iter().map(Beside::title).collect();
    assert_eq!(titles, ["volume pvc-labelled"]);
}

fn pool() -> Config {
    let config = config("domainMode: pool\ndnsZone: example\n");
    assert_eq!(config.dns_zone.as_deref(), Some("example"));
    config
}

/// A zone that Hetzner assigned these name servers to, and says this of.
fn zone(status: &str) -> Value {
    json!({"name": "example", "authoritative_nameservers": {
        "assigned": ["hydrogen.ns.hetzner.com.", "oxygen.ns.hetzner.com."], "delegation_status": status}})
}

fn of_zone(zone: Option<Value>, records: &[Value], servers: Option<&[&str]>) -> ZoneSeen {
    ZoneSeen {
        zone,
        records: records.to_vec(),
        servers: servers.map(|all| all.iter().map(|it| (*it).to_owned()).collect()),
        resumed: false,
    }
}

fn told(found: &[Finding]) -> Vec<(bool, &str)> {
    let told = found.iter();
    told.map(|found| (found.problem, found.message.as_str()))
        .collect()
}

#[test]
fn a_zone_that_is_not_delegated_to_hetzner_is_a_problem() {
    let own: &[&str] = &["hydrogen.ns.hetzner.com"];
    let other: &[&str] = &["ns1.registrar.example"];
    let none: &[&str] = &[];
    for (zone, servers, expected) in [
        (None, None, Some((true, "is not in this project"))),
        (Some(zone("valid")), None, None),
        (Some(zone("unknown")), Some(own), None),
        // Hetzner looked at it before it was changed, or a resolver remembers what was.
        (Some(zone("lame")), Some(own), None),
        (Some(zone("partially-valid")), Some(other), None),
        (
            Some(zone("unknown")),
            Some(other),
            Some((true, "ns1.registrar.example answer for it")),
        ),
        (
            Some(zone("unregistered")),
            Some(none),
            Some((true, "nobody answers for it")),
        ),
        (
            Some(zone("invalid")),
            None,
            Some((true, "hydrogen.ns.hetzner.com, oxygen.ns.hetzner.com")),
        ),
        (
            Some(zone("unknown")),
            None,
            Some((false, "could not be told")),
        ),
        // Of a zone without name servers nothing can be said.
        (
            Some(json!({"name": "example"})),
            Some(other),
            Some((false, "could not be told")),
        ),
    ] {
        let found = judge_zone(&pool(), &of_zone(zone.clone(), &[], servers));
        match (told(&found).as_slice(), expected) {
            ([], None) => {}
            ([(problem, message)], Some((is_problem, part))) => {
                assert!(
                    *problem == is_problem && message.contains(part),
                    "{zone:?} {servers:?}: {message}"
                );
            }
            (found, _) => panic!("{zone:?} {servers:?}: {found:?}"),
        }
    }
}

#[test]
fn records_that_stand_where_the_sovereigns_belong_are_a_problem() {
    let record = |name: &str, kind: &str, sovereign: &str| json!({"name": name, "type": kind, "labels": {"openova.io/sovereign": sovereign}});
    let records = [
        record("omantel", "A", ""),
        record("*.omantel", "CNAME", ""),
        record("omantel", "AAAA", "omantel-example"),
        record("omantel", "TXT", ""),
        record("www", "A", ""),
    ];
    let mut seen = of_zone(Some(zone("valid")), &records, None);
    let found = judge_zone(&pool(), &seen);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].problem
            && found[0]
                .message
                .contains(": omantel A, *.omantel CNAME, omantel AAAA;"),
        "{found:?}"
    );
    // Those that OpenTofu has in its state are its own.
    seen.resumed = true;
    let found = judge_zone(&pool(), &seen);
    assert!(
        found[0].message.contains(": omantel A, *.omantel CNAME;"),
        "{found:?}"
    );
    seen.records = seen.records.split_off(2);
    assert!(judge_zone(&pool(), &seen).is_empty());
}

#[test]
fn a_domain_of_the_customers_own_is_told_where_its_records_belong() {
    let to = |zone: &str| Delegation::To {
        zone: zone.to_owned(),
        servers: vec!["ns1.example".to_owned()],
    };
    let fqdn = "prod.omantel.example";
    for (delegation, expected) in [
        (to(fqdn), "is delegated to ns1.example"),
        (
            to("omantel.example"),
            "into the zone omantel.example, at ns1.example",
        ),
        (to("example"), "is delegated to nobody"),
        (Delegation::Nowhere, "is delegated to nobody"),
        (Delegation::Unknown, "could not be told"),
    ] {
        let found = judge_domain(fqdn, &delegation, &[]);
        assert!(
            !found.problem && found.message.contains(expected),
            "{found:?}"
        );
    }
    let found = judge_domain(fqdn, &to(fqdn), &["203.0.113.9".to_owned()]);
    assert!(
        found.message.contains("it leads to 203.0.113.9 now"),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_records_of_a_zone_are_read_whole() {
    let records = (0..60).map(|index| json!({"name": format!("host-{index}"), "type": "A"}));
    let server = Project::empty().with("rrsets", records).serve().await;
    let found = client(&server).records("pool.example").await.unwrap();
    assert_eq!(found.len(), 60);
}

fn made(kind: &str, id: &str) -> Made {
    Made {
        address: format!("{kind}.one"),
        kind: kind.to_owned(),
        id: id.to_owned(),
        attributes: serde_json::Map::new(),
    }
}

#[tokio::test]
async fn a_token_is_of_the_project_in_which_something_that_was_made_is_found() {
    let all = [
        made("random_password", "none"),
        made("hcloud_server", "7"),
        made("hcloud_network_subnet", "8-10.0.0.0/16"),
        made("hcloud_network", "8"),
    ];
    let own = Project::empty()
        .with("servers", [own("server", "omantel-example-cp-1", 7)])
        .serve()
        .await;
    let absent = not_in_project(&client(&own), &all).await.unwrap();
    assert_eq!(absent, Vec::<String>::new());
    // The network was removed; the server is there yet.
    assert_eq!(own.calls(), ["GET /networks/8", "GET /servers/7"]);

    // Another project has a thing of the same name, and its own ids.
    let other = Project::empty()
        .with(
            "servers",
            [json!({"id": 9, "name": "omantel-example-cp-1"})],
        )
        .serve()
        .await;
    let absent = not_in_project(&client(&other), &all).await.unwrap();
    assert_eq!(absent, ["network 8", "server 7"]);

    // Nothing of the cloud was made yet, or nothing is left: any token will do.
    let absent = not_in_project(&client(&other), &all[..1]).await.unwrap();
    assert_eq!(absent, Vec::<String>::new());

    // What cannot be asked is no answer.
    let unknown = Project {
        rights: "none",
        ..Project::empty()
    };
    let unknown = unknown.serve().await;
    let error = not_in_project(&client(&unknown), &all).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}

#[tokio::test]
async fn stock_and_withdrawal_are_notes_only() {
    let mut project = Project::empty();
    let types = project.lists.get_mut("server_types").unwrap();
    types[0]["locations"][0]["available"] = json!(false);
    types[1]["locations"][0]["deprecation"] = json!({"unavailable_after": "2027-01-01T00:00:00Z"});
    let found = lines(&config(""), &see(project, false).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|line| line.starts_with("note: ")),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_unknown_token_is_the_one_thing_told() {
    let seen = see(
        Project {
            rights: "none",
            ..Project::empty()
        },
        false,
    )
    .await;
    let found = lines(&config(""), &seen);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("set HCLOUD_TOKEN"), "{found:?}");
    assert!(!format!("{seen:?}{found:?}").contains(TOKEN));
}

#[tokio::test]
async fn no_answer_is_a_problem_that_names_no_token() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", nobody.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(nobody);
    let hetzner = Hetzner::new(&address, Secret::new(TOKEN)).unwrap();
    let error = hetzner.list("servers").await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot list servers: Hetzner gave no answer"),
        "{error}"
    );
    assert!(!error.contains(TOKEN), "{error}");
}
