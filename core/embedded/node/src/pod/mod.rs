//! One pod: the parts of its specification the node reads, and its life.

mod files;
mod life;
mod plan;

pub(crate) use files::force_remove;
pub(crate) use life::{Command, Input, Life, Shared};
pub(crate) use plan::Plan;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A pod as Kubernetes writes it, as far as the node reads it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodDocument {
    pub metadata: Metadata,
    pub spec: PodSpec,
    /// As it was written last, by this node or an earlier one.
    pub status: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub hostname: Option<String>,
    pub subdomain: Option<String>,
    pub init_containers: Vec<Container>,
    pub containers: Vec<Container>,
    pub restart_policy: Option<String>,
    pub termination_grace_period_seconds: Option<u64>,
    pub security_context: SecurityContext,
    pub host_aliases: Vec<HostAlias>,
    pub volumes: Vec<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HostAlias {
    pub ip: String,
    pub hostnames: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecurityContext {
    pub run_as_user: Option<u32>,
    pub run_as_group: Option<u32>,
    pub run_as_non_root: Option<bool>,
    pub fs_group: Option<u32>,
    pub supplemental_groups: Vec<u32>,
    pub read_only_root_filesystem: Option<bool>,
    pub capabilities: Capabilities,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Capabilities {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub name: String,
    pub image: String,
    pub image_pull_policy: Option<String>,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub working_dir: Option<String>,
    pub volume_mounts: Vec<VolumeMount>,
    pub resources: Resources,
    pub security_context: SecurityContext,
    pub startup_probe: Option<Probe>,
    pub readiness_probe: Option<Probe>,
    pub liveness_probe: Option<Probe>,
    pub ports: Vec<ContainerPort>,
    pub lifecycle: Lifecycle,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lifecycle {
    pub pre_stop: Option<Probe>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub name: Option<String>,
    pub container_port: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resources {
    pub limits: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeMount {
    pub name: String,
    pub mount_path: String,
    pub sub_path: Option<String>,
    pub read_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Probe {
    pub exec: Option<ExecAction>,
    pub http_get: Option<HttpAction>,
    pub tcp_socket: Option<TcpAction>,
    pub initial_delay_seconds: u64,
    pub period_seconds: Option<u64>,
    pub timeout_seconds: Option<u64>,
    pub success_threshold: Option<u32>,
    pub failure_threshold: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExecAction {
    pub command: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpAction {
    pub path: Option<String>,
    pub port: Value,
    pub http_headers: Vec<HttpHeader>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpHeader {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TcpAction {
    pub port: Value,
}

impl PodDocument {
    /// Init containers, then the others.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec
            .init_containers
            .iter()
            .chain(&self.spec.containers)
    }

    /// Whether a container was `ready` or `started` when that was written last.
    pub fn was(&self, container: &str, field: &str) -> bool {
        let statuses = self
            .status
            .get("containerStatuses")
            .and_then(Value::as_array);
        let found = statuses
            .into_iter()
            .flatten()
            .find(|one| one.get("name").and_then(Value::as_str) == Some(container));
        found.and_then(|one| one.get(field)) == Some(&Value::Bool(true))
    }

    /// The pod's host name.
    pub fn hostname(&self) -> &str {
        self.spec.hostname.as_deref().unwrap_or(&self.metadata.name)
    }
}

impl Container {
    /// A port by number or by the name the container gives it.
    pub fn port(&self, port: &Value) -> Option<u16> {
        if let Some(number) = port.as_u64() {
            return u16::try_from(number).ok();
        }
        let name = port.as_str()?;
        name.parse().ok().or_else(|| {
            self.ports
                .iter()
                .find(|p| p.name.as_deref() == Some(name))
                .map(|p| p.container_port)
        })
    }
}

/// A Kubernetes quantity in whole units, rounded up.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    quantity_millis(text).map(|m| m.div_ceil(1000))
}

/// A Kubernetes quantity in thousandths.
pub(crate) fn quantity_millis(text: &str) -> Option<u64> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let factor: f64 = match unit {
        "m" => 0.001,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    let value: f64 = number.parse().ok()?;
    (value >= 0.0 && value.is_finite()).then_some((value * factor * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(quantity("128Mi"), Some(134_217_728));
        assert_eq!(quantity_millis("250m"), Some(250));
        assert_eq!(quantity_millis("1.5"), Some(1500));
        assert_eq!(quantity("1G"), Some(1_000_000_000));
        assert_eq!(quantity("x"), None);
    }
}
