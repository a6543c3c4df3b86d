//! Phase 2: what is to be so in the end, as the first control plane sees it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use url::Url;

use crate::cluster::{Progress, readiness};
use crate::config::Config;

/// Every Helm release of the cluster.
pub const RELEASES: &str =
    "k3s kubectl get helmreleases.helm.toolkit.fluxcd.io --all-namespaces -o json";
/// Names of the Secrets by which a node could join, and nothing of what they hold.
pub const JOIN_TOKENS: &str = "k3s kubectl -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name";

/// Every node, each of which says by an annotation that its bootstrap has ended.
pub const NODES: &str = "k3s kubectl get nodes -o json";
/// What each member of OpenBao says of itself: a line with its name and, where it answers,
/// JSON.
pub const OPENBAO: &str = "for pod in $(k3s kubectl -n openbao get pods -l app.kubernetes.io/name=openbao,component=server -o name); do printf '%s ' \"$pod\"; k3s kubectl -n openbao exec \"$pod\" -c openbao -- bao status -format=json | tr -d '\\n'; echo; done";

/// Where the console is, and where its name may lead.
#[derive(Debug, PartialEq, Eq)]
pub struct Console {
    host: String,
    addresses: Vec<String>,
}

impl Console {
    /// From the module's outputs; `None` where they name no console.
    pub fn of(outputs: &BTreeMap<String, Value>) -> Option<Self> {
        let url: Url = outputs.get("console_url")?.as_str()?.parse().ok()?;
        // It becomes a word of a command line.
        let is_host = |host: &&str| {
            let mut bytes = host.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        };
        let host = url.host_str().filter(is_host)?.to_owned();
        let records = outputs.get("dns_records").and_then(Value::as_array);
        let values = records
            .into_iter()
            .flatten()
            .map(|record| record.get("value"));
        let addresses = values
            .chain([outputs.get("load_balancer_ip")])
            .filter_map(|value| value?.as_str().map(str::to_owned));
        Some(Self {
            host,
            addresses: addresses.collect(),
        })
    }

    /// Where users sign in, behind the same addresses: it answers on a Sovereign without
    /// Catalyst too, which has no console.
    pub fn sign_in(&self) -> Self {
        let host = match self.host.strip_prefix("console.") {
            Some(rest) => format!("auth.{rest}"),
            None => self.host.clone(),
        };
        Self {
            host,
            addresses: self.addresses.clone(),
        }
    }

    /// Asks it for its page, and tells the code of its answer and the address that gave it.
    /// Its name is resolved and its certificate verified on the way.
    pub fn command(&self) -> String {
        format!(
            "curl --silent --show-error --max-time 20 --output /dev/null --write-out '%{{http_code}} %{{remote_ip}}' https://{}/",
            self.host
        )
    }

    /// Where nothing answered, for the reason that was told: there may be no records yet, or
    /// no certificate, for which they are needed.
    pub fn unanswered(&self, why: &str) -> Progress {
        Progress::Waiting(format!(
            "{why}; write the DNS records of {} if they do not lead to the load balancer ({}) yet: its certificate comes after them",
            self.host,
            self.addresses.join(", ")
        ))
    }

    /// Judges what that said.
    pub fn judge(&self, said: &str) -> Progress {
        let (code, address) = said.trim().split_once(' ').unwrap_or((said.trim(), ""));
        if !self.addresses.iter().any(|known| known == address) {
            return Progress::Waiting(format!(
                "{} leads to {address} and not to the load balancer ({}): write its DNS records",
                self.host,
                self.addresses.join(", ")
            ));
        }
        match code.parse::<u16>() {
            Ok(200..400) => Progress::Ready,
            _ => Progress::Waiting(format!("{} answers {code}", self.host)),
        }
    }
}

/// What to tell whoever writes the records of the Sovereign's domain: all of them. `None`
/// where they are written by OpenTofu, or nothing is known of them.
pub fn records_to_write(config: &Config, outputs: &BTreeMap<String, Value>) -> Option<String> {
    let records = outputs.get("dns_records")?.as_array()?;
    if config.domain_mode != "byo" || records.is_empty() {
        return None;
    }
    let line = |record: &Value| {
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("?");
        format!("{} {} {}", text("name"), text("type"), text("value"))
    };
    let lines: Vec<String> = records.iter().map(line).collect();
    Some(format!(
        "write these now, for certificates come after them, and a name that was asked for too early may be unknown for long: {}",
        lines.join("; ")
    ))
}

/// How far the Helm releases are, as one.
pub fn releases(list: &Value) -> Progress {
    let Some(items) = list.get("items").and_then(Value::as_array) else {
        return Progress::Waiting("the cluster has not listed them".to_owned());
    };
    let waiting = items.iter().find_map(|item| match readiness(item) {
        Progress::Ready => None,
        Progress::Waiting(why) => {
            let name = item.pointer("/metadata/name").and_then(Value::as_str);
            Some(format!("{}: {why}", name.unwrap_or("one without a name")))
        }
    });
    waiting.map_or(Progress::Ready, Progress::Waiting)
}

/// Whether no node of those described is missing, and the bootstrap of each has ended
/// (`announce` of `infra/hetzner/bootstrap.sh`): its last steps erase join tokens, and fail
/// on each node by itself.
pub fn nodes(list: &Value, expected: usize) -> Progress {
    let items = list.get("items").and_then(Value::as_array);
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Progress::Waiting("the cluster has not listed them".to_owned());
    };
    let is_done = |item: &Value| {
        let said = item.pointer("/metadata/annotations/openova.io~1bootstrap");
        said.and_then(Value::as_str) == Some("done")
    };
    match items.iter().find(|item| !is_done(item)) {
        None if items.len() < expected => Progress::Waiting(format!(
            "{} of {expected} have joined; look on the servers of the others with `journalctl -u catalyst-bootstrap`",
            items.len()
        )),
        None => Progress::Ready,
        Some(item) => {
            let name = item.pointer("/metadata/name").and_then(Value::as_str);
            Progress::Waiting(format!(
                "the bootstrap of {} has not ended, and its disk may hold join tokens; look there with `journalctl -u catalyst-bootstrap`",
                name.unwrap_or("one without a name")
            ))
        }
    }
}

/// Whether the members of OpenBao are open, and together one cluster. Each by itself is
/// Ready as well where it is a cluster of its own.
pub fn openbao(said: &str) -> Progress {
    let mut clusters = BTreeSet::new();
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (member, status) = line.split_once(' ').unwrap_or((line, ""));
        let status: Value = serde_json::from_str(status).unwrap_or_default();
        let is = |name: &str| status.get(name).and_then(Value::as_bool);
        let cluster = status.get("cluster_id").and_then(Value::as_str);
        match (is("initialized"), is("sealed"), cluster) {
            (Some(true), Some(false), Some(cluster)) => {
                clusters.insert(cluster.to_owned());
            }
            (Some(_), Some(_), _) => {
                return Progress::Waiting(format!("{member} is sealed, or in no cluster yet"));
            }
            _ => return Progress::Waiting(format!("{member} does not answer")),
        }
    }
    match clusters.len() {
        0 => Progress::Waiting("it has no member yet".to_owned()),
        1 => Progress::Ready,
        several => Progress::Waiting(format!(
            "its members are {several} clusters and not one, so that each keeps secrets of its own; in the namespace openbao, delete volume claims and pods of all but openbao-0, and they join it"
        )),
    }
}

/// Whether no token is left by which a node could join.
pub fn join_tokens(names: &str) -> Progress {
    match names.lines().map(str::trim).find(|name| !name.is_empty()) {
        None => Progress::Ready,
        Some(name) => Progress::Waiting(format!("{name} is there yet, and not expired")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs(url: &str) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("console_url".to_owned(), json!(url)),
            ("load_balancer_ip".to_owned(), json!("203.0.113.9")),
            (
                "dns_records".to_owned(),
                json!([{"type": "AAAA", "value": "2001:db8::1"}]),
            ),
        ])
    }

    #[test]
    fn the_console_answers_at_the_load_balancer() {
        let console = Console::of(&outputs("https://console.hfmp.omantel.example")).unwrap();
        assert!(
            console
                .command()
                .ends_with("'%{http_code} %{remote_ip}' https://console.hfmp.omantel.example/"),
            "{}",
            console.command()
        );
        for (said, expected) in [
            ("200 203.0.113.9", None),
            ("302 2001:db8::1\n", None),
            ("503 203.0.113.9", Some("answers 503")),
            ("200 198.51.100.1", Some("leads to 198.51.100.1")),
            ("", Some("write its DNS records")),
        ] {
            match (console.judge(said), expected) {
                (Progress::Ready, None) => {}
                (Progress::Waiting(why), Some(expected)) => {
                    assert!(why.contains(expected), "{said}: {why}");
                }
                (other, _) => panic!("{said}: {other:?}"),
            }
        }
    }

    #[test]
    fn who_has_no_answer_is_told_where_records_lead() {
        let console = Console::of(&outputs("https://console.hfmp.omantel.example")).unwrap();
        let Progress::Waiting(why) = console.unanswered("curl: (6) Could not resolve host") else {
            panic!("it is ready");
        };
        for expected in [
            "curl: (6)",
            "DNS records of console.hfmp.omantel.example",
            "(2001:db8::1, 203.0.113.9)",
        ] {
            assert!(why.contains(expected), "{expected}: {why}");
        }
    }

    #[test]
    fn records_are_told_to_whoever_writes_them() {
        let config = |mode: &str| {
            let text = format!(
                "sovereignFqdn: omantel.example
region: fsn
sshPublicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me
adminCidrs: [203.0.113.7/32]
gitUrl: https://git.example/sovereigns
acmeEmail: platform@omantel.example
{mode}"
            );
            Config::parse("f", &text, &|_| panic!("no file is named")).unwrap()
        };
        let (byo, pool) = (config(""), config("domainMode: pool\ndnsZone: example\n"));
        let record = |name: &str, kind: &str, value: &str| json!({"name": name, "type": kind, "value": value});
        let made = BTreeMap::from([(
            "dns_records".to_owned(),
            json!([
                record("omantel.example", "A", "203.0.113.9"),
                record("*.omantel.example", "AAAA", "2001:db8::1"),
            ]),
        )]);
        let told = records_to_write(&byo, &made).unwrap();
        assert!(
            told.ends_with("omantel.example A 203.0.113.9; *.omantel.example AAAA 2001:db8::1"),
            "{told}"
        );
        for (config, outputs) in [(&pool, &made), (&byo, &BTreeMap::new())] {
            assert_eq!(records_to_write(config, outputs), None);
        }
    }

    #[test]
    fn users_sign_in_beside_the_console() {
        let console = Console::of(&outputs("https://console.hfmp.omantel.example")).unwrap();
        let sign_in = console.sign_in();
        assert!(
            sign_in
                .command()
                .ends_with(" https://auth.hfmp.omantel.example/"),
            "{}",
            sign_in.command()
        );
        assert_eq!(sign_in.judge("302 203.0.113.9"), Progress::Ready);
    }

    #[test]
    fn an_address_that_is_no_host_becomes_no_command() {
        for url in ["https://a'b/", "console", "https:///", "data:text/plain,a"] {
            assert_eq!(Console::of(&outputs(url)), None, "{url}");
        }
        assert_eq!(Console::of(&BTreeMap::new()), None);
    }

    #[test]
    fn releases_are_ready_when_each_is() {
        let release = |name: &str, status: &str| {
            json!({"metadata": {"name": name}, "status": {"conditions": [
                {"type": "Ready", "status": status, "reason": "InstallFailed"}]}})
        };
        let ready = json!({"items": [release("cilium", "True")]});
        assert_eq!(releases(&ready), Progress::Ready);
        let list = json!({"items": [release("cilium", "True"), release("openbao", "False")]});
        assert_eq!(
            releases(&list),
            Progress::Waiting("openbao: InstallFailed".to_owned())
        );
        assert!(matches!(releases(&Value::Null), Progress::Waiting(_)));
    }

    #[test]
    fn every_node_has_ended_its_bootstrap() {
        let node = |name: &str, annotations: Value| json!({"metadata": {"name": name, "annotations": annotations}});
        let done = || node("cp-1", json!({"openova.io/bootstrap": "done"}));
        let two = json!({"items": [done(), done()]});
        for (expected, is_ready) in [(1, true), (2, true), (3, false)] {
            let found = nodes(&two, expected);
            assert_eq!(found == Progress::Ready, is_ready, "{expected}: {found:?}");
        }
        let found = nodes(&two, 3);
        assert!(
            matches!(&found, Progress::Waiting(why) if why.starts_with("2 of 3 have joined")),
            "{found:?}"
        );
        for annotations in [Value::Null, json!({"openova.io/bootstrap": "running"})] {
            let list = json!({"items": [done(), node("worker-1", annotations)]});
            let found = nodes(&list, 2);
            assert!(
                matches!(&found, Progress::Waiting(why) if why.starts_with("the bootstrap of worker-1 has not ended")),
                "{found:?}"
            );
        }
        for none in [json!({"items": []}), Value::Null] {
            assert!(matches!(nodes(&none, 0), Progress::Waiting(_)));
        }
    }

    #[test]
    fn the_members_of_openbao_are_one_cluster() {
        let member = |name: &str, cluster: &str, sealed: bool| {
            let status = json!({"initialized": true, "sealed": sealed, "cluster_id": cluster});
            format!("pod/openbao-{name} {status}\n")
        };
        let first = member("0", "a", false);
        let second = |cluster: &str, sealed: bool| first.clone() + &member("1", cluster, sealed);
        for (said, expected) in [
            (first.clone(), None),
            (second("a", false) + "\n", None),
            (String::new(), Some("no member yet")),
            (
                first.clone() + "pod/openbao-1 \n",
                Some("pod/openbao-1 does not answer"),
            ),
            (second("a", true), Some("pod/openbao-1 is sealed")),
            // Open, and yet it does not say of which cluster.
            (
                "pod/openbao-0 {\"initialized\":true,\"sealed\":false}".to_owned(),
                Some("in no cluster yet"),
            ),
            (second("b", false), Some("2 clusters and not one")),
        ] {
            match (openbao(&said), expected) {
                (Progress::Ready, None) => {}
                (Progress::Waiting(why), Some(expected)) => {
                    assert!(why.contains(expected), "{said}: {why}");
                }
                (found, _) => panic!("{said}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_token_by_which_a_node_could_join_is_waited_for_until_it_is_gone() {
        assert_eq!(join_tokens("\n"), Progress::Ready);
        let Progress::Waiting(why) = join_tokens("secret/bootstrap-token-abcdef\n") else {
            panic!("it was not told");
        };
        assert!(why.starts_with("secret/bootstrap-token-abcdef"), "{why}");
    }
}
