//! This machine as the Node object of a logical cluster: what `kubectl describe
//! node` and clients that look for a node's address read.
//!
//! Called by the kubelet, once a process for every cluster. What must stay true:
//! each Organization reads it in its own vcluster, so nothing in it names the
//! machine: no name, id or address of its own.

use http::Method;
use serde_json::{Value, json};

use super::api::{ApiClient, is_conflict};
use super::kubelet::{MERGE_PATCH, NODE};

/// The only address that pods are told of their node; see `status.hostIP` of pods.
const ADDRESS: &str = "127.0.0.1";
/// The version of Kubernetes that the API answers as.
const KUBERNETES: &str = "v1.34.0";

/// What is known of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    kernel: String,
    os_image: String,
    architecture: String,
    cpus: usize,
    /// In KiB; 0 where it could not be read.
    memory: u64,
}

impl Machine {
    /// Reads it from the machine; what cannot be read stays empty.
    pub fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            os_image: pretty_name(&read("/etc/os-release")),
            architecture: architecture(std::env::consts::ARCH).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: total_memory(&read("/proc/meminfo")),
        }
    }

    fn status(&self) -> Value {
        let mut resources = json!({"cpu": self.cpus.to_string()});
        if self.memory > 0
            && let Some(resources) = resources.as_object_mut()
        {
            resources.insert("memory".to_owned(), json!(format!("{}Ki", self.memory)));
        }
        json!({
            "addresses": [
                {"type": "InternalIP", "address": ADDRESS},
                {"type": "Hostname", "address": NODE},
            ],
            "capacity": resources,
            "allocatable": resources,
            "nodeInfo": {
                "architecture": self.architecture,
                "operatingSystem": "linux",
                "kernelVersion": self.kernel,
                "osImage": self.os_image,
                "containerRuntimeVersion": concat!("catalyst://", env!("CARGO_PKG_VERSION")),
                "kubeletVersion": KUBERNETES,
                "kubeProxyVersion": "",
                "machineID": "", "systemUUID": "", "bootID": "",
            },
        })
    }

    fn node(&self) -> Value {
        let mut status = self.status();
        if let Some(status) = status.as_object_mut() {
            let ready = json!({
                "type": "Ready", "status": "True", "reason": "KubeletReady",
                "message": "the node runs in the process that serves this API",
                "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            });
            status.insert("conditions".to_owned(), json!([ready]));
        }
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": self.architecture,
            }},
            "spec": {},
            "status": status,
        })
    }
}

/// Shows the machine in a cluster: makes the Node, or brings the one that an earlier
/// process made up to date.
pub async fn show(api: &ApiClient, cluster: &str, machine: &Machine) -> anyhow::Result<()> {
    let nodes = format!("/clusters/{cluster}/api/v1/nodes");
    let node = machine.node();
    let made = api
        .send(Method::POST, &nodes, "application/json", Some(&node))
        .await;
    match made {
        Err(error) if is_conflict(&error) => {}
        made => return made.map(drop),
    }
    let status = format!("{nodes}/{NODE}/status");
    let patch = json!({"status": machine.status()});
    api.send(Method::PATCH, &status, MERGE_PATCH, Some(&patch))
        .await
        .map(drop)
}

/// The architecture as Go names it.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `PRETTY_NAME` of an os-release(5).
fn pretty_name(text: &str) -> String {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value
        .unwrap_or_default()
        .trim()
        .trim_matches(['"', '\''])
        .to_owned()
}

/// `MemTotal` of proc_meminfo(5), in KiB.
fn total_memory(text: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    value
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use catalyst_kubernetes::{Authenticators, Config, Identity, Kubernetes};
    use catalyst_store::{Options, Store};

    use super::*;

    fn machine(kernel: &str) -> Machine {
        Machine {
            kernel: kernel.to_owned(),
            os_image: "Debian GNU/Linux 13 (trixie)".to_owned(),
            architecture: "amd64".to_owned(),
            cpus: 2,
            memory: 8_000_000,
        }
    }

    #[test]
    fn what_the_machine_says_of_itself_is_read() {
        let release =
            "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n";
        assert_eq!(pretty_name(release), "Debian GNU/Linux 13 (trixie)");
        assert_eq!(pretty_name("PRETTY_NAME='Void'\n"), "Void");
        assert_eq!(pretty_name("ID=x\n"), "");
        let memory = "MemTotal:        8000000 kB\nMemFree:          100 kB\n";
        assert_eq!(total_memory(memory), 8_000_000);
        assert_eq!(total_memory("MemFree: 1 kB\n"), 0);
        assert_eq!(architecture("x86_64"), "amd64");
        assert_eq!(architecture("riscv64"), "riscv64");
        let read = Machine::read();
        assert!(read.cpus > 0 && !read.kernel.is_empty(), "{read:?}");
    }

    #[tokio::test]
    async fn a_cluster_shows_its_node_with_its_addresses_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators::default(),
            token_key: vec![1; 32],
            root_ca: String::new(),
            pods: None,
        });
        kubernetes.create_cluster("a", &[]).await.unwrap();
        let api = ApiClient::new(kubernetes.router(), Identity::administrator("test"));
        let mut since = Value::Null;
        for kernel in ["6.12.1", "6.12.2"] {
            show(&api, "a", &machine(kernel)).await.unwrap();
            let node = api.get("/clusters/a/api/v1/nodes/local").await.unwrap();
            let status = &node["status"];
            assert_eq!(
                status["addresses"],
                json!([
                    {"type": "InternalIP", "address": "127.0.0.1"},
                    {"type": "Hostname", "address": "local"},
                ])
            );
            assert_eq!(status["nodeInfo"]["kernelVersion"], kernel);
            assert_eq!(
                status["capacity"],
                json!({"cpu": "2", "memory": "8000000Ki"})
            );
            let ready = &status["conditions"][0];
            assert_eq!(ready["status"], "True", "{node:#}");
            // Another process tells of no change that was none.
            assert!(since.is_null() || since == ready["lastTransitionTime"]);
            since = ready["lastTransitionTime"].clone();
        }
    }
}
