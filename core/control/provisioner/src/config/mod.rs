//! `sovereign.yaml`: what a Sovereign on a cloud shall be.
//!
//! One property for each variable of `infra/hetzner/variables.tf`, in camelCase and
//! with the same defaults and rules, and a few that only the provisioner reads. A
//! text is judged whole: every problem is reported at once, before anything is created.

mod check;
mod derived;
mod nearest;
mod read;
mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use derived::{Derived, Place, usual_server_types};
pub use read::{ConfigError, Problem, ReadFile, at_home};

/// A Sovereign on Hetzner Cloud: where it runs, on what, and who may reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "sovereign.yaml", extend("allOf" = schema::rules(), "oneOf" = schema::one_key()))]
pub struct Config {
    /// The cloud.
    #[serde(default)]
    pub provider: CloudProvider,
    /// Domain of the Sovereign, for example omantel.example. Lower case, no trailing dot.
    #[schemars(extend("pattern" = check::FQDN, "maxLength" = 170))]
    pub sovereign_fqdn: String,
    /// Region code: fsn, nbg, hel, ash, hil, sin, or one of extraRegions.
    #[schemars(extend("examples" = ["fsn", "nbg", "hel", "ash", "hil", "sin"], "x-defaults" = schema::defaults_by_region()))]
    pub region: String,
    /// Regions beyond the built-in ones, by code.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": check::REGION}))]
    pub extra_regions: BTreeMap<String, Place>,
    /// What the host cluster is for: mgt (control plane), rtz (workloads) or dmz (edge).
    #[serde(default = "default_building_block")]
    #[schemars(extend("enum" = check::BUILDING_BLOCKS))]
    pub building_block: String,
    /// Environment type of the host cluster: prod, stg, uat, dev or poc.
    #[serde(default = "default_env_type")]
    #[schemars(extend("enum" = check::ENV_TYPES))]
    pub env_type: String,
    /// Number of the Hetzner project that HCLOUD_TOKEN belongs to.
    #[serde(default, deserialize_with = "read::number_or_text")]
    #[schemars(extend("type" = ["string", "integer", "null"], "pattern" = check::PROJECT, "minimum" = 0))]
    pub hetzner_project_id: Option<String>,
    /// Labels put on every resource beside the Sovereign's own.
    #[serde(default)]
    #[schemars(extend("propertyNames" = schema::label_key(), "additionalProperties" = {"type": "string", "pattern": check::LABEL_VALUE}))]
    pub extra_labels: BTreeMap<String, String>,
    /// byo: you write the DNS records yourself. pool: they are written into dnsZone.
    #[serde(default = "default_domain_mode")]
    #[schemars(extend("enum" = check::DOMAIN_MODES))]
    pub domain_mode: String,
    /// With domainMode pool: the zone at Hetzner DNS that sovereignFqdn lies in.
    #[serde(default)]
    pub dns_zone: Option<String>,
    /// Time to live of the records written in mode pool, in seconds.
    #[serde(default = "default_dns_ttl")]
    #[schemars(extend("minimum" = check::DNS_TTL.start(), "maximum" = check::DNS_TTL.end()))]
    pub dns_ttl: u32,
    /// OpenSSH public key of whoever provisions. Give this or sshPublicKeyFile.
    #[serde(default)]
    #[schemars(extend("pattern" = check::SSH_KEY))]
    pub ssh_public_key: Option<String>,
    /// File of that public key, such as ~/.ssh/id_ed25519.pub.
    #[serde(default)]
    pub ssh_public_key_file: Option<PathBuf>,
    /// File of the private key; without it, ssh uses its agent and its own defaults.
    #[serde(default)]
    pub ssh_private_key_file: Option<PathBuf>,
    /// Networks from which SSH and the Kubernetes API of the nodes can be reached.
    #[schemars(extend("minItems" = 1, "items" = {"type": "string", "pattern": schema::admin_network()}))]
    pub admin_cidrs: Vec<String>,
    /// 1, or 3 for a control plane that survives the loss of a node.
    #[serde(default = "default_control_plane_count")]
    #[schemars(extend("enum" = check::CONTROL_PLANES))]
    pub control_plane_count: u16,
    /// Hetzner server type of the control planes; its default depends on the region.
    #[serde(default = "default_control_plane_server_type")]
    #[schemars(extend("pattern" = check::SERVER_TYPE))]
    pub control_plane_server_type: String,
    /// Workers. With none, the control planes carry the workloads.
    #[serde(default = "default_worker_count")]
    #[schemars(extend("maximum" = check::MOST_WORKERS))]
    pub worker_count: u16,
    /// Hetzner server type of the workers; its default depends on the region.
    #[serde(default = "default_worker_server_type")]
    #[schemars(extend("pattern" = check::SERVER_TYPE))]
    pub worker_server_type: String,
    /// Image of the nodes: one with systemd, apt and cloud-init.
    #[serde(default = "default_image")]
    #[schemars(extend("pattern" = check::IMAGE))]
    pub image: String,
    /// Hetzner type of the public load balancer.
    #[serde(default = "default_load_balancer_type")]
    #[schemars(extend("pattern" = check::BALANCER))]
    pub load_balancer_type: String,
    /// Hetzner type of the internal load balancer that nodes join through.
    #[serde(default = "default_load_balancer_type")]
    #[schemars(extend("pattern" = check::BALANCER))]
    pub join_load_balancer_type: String,
    /// Private network of the Sovereign.
    #[serde(default = "default_network_cidr")]
    #[schemars(extend("pattern" = schema::network()))]
    pub network_cidr: String,
    /// Subnet of the nodes and load balancers, within networkCidr.
    #[serde(default = "default_subnet_cidr")]
    #[schemars(extend("pattern" = schema::subnet()))]
    pub subnet_cidr: String,
    /// Addresses of pods.
    #[serde(default = "default_pod_cidr")]
    #[schemars(extend("pattern" = schema::network()))]
    pub pod_cidr: String,
    /// Addresses of Services.
    #[serde(default = "default_service_cidr")]
    #[schemars(extend("pattern" = schema::network()))]
    pub service_cidr: String,
    /// Release of k3s; without it and k3sChannel, the one this Catalyst was made with.
    #[serde(default)]
    #[schemars(extend("pattern" = check::K3S_VERSION))]
    pub k3s_version: Option<String>,
    /// Release channel of k3s, instead of k3sVersion: stable, latest, or v1.35 and the like.
    #[serde(default)]
    #[schemars(extend("pattern" = check::K3S_CHANNEL))]
    pub k3s_channel: Option<String>,
    /// Version of the Cilium chart.
    #[serde(default = "default_cilium_version")]
    #[schemars(extend("pattern" = check::CILIUM_VERSION))]
    pub cilium_version: String,
    /// Release of the Gateway API's custom resources.
    #[serde(default = "default_gateway_api_version")]
    #[schemars(extend("pattern" = check::GATEWAY_API_VERSION))]
    pub gateway_api_version: String,
    /// Release of helm, which installs Cilium before Flux is there.
    #[serde(default = "default_helm_version")]
    #[schemars(extend("pattern" = check::HELM_VERSION))]
    pub helm_version: String,
    /// Release of Flux.
    #[serde(default = "default_flux_version")]
    #[schemars(extend("pattern" = check::FLUX_VERSION))]
    pub flux_version: String,
    /// Git repository with clusters/<sovereignFqdn>/, over https, without credentials.
    #[schemars(extend("pattern" = check::GIT_URL, "maxLength" = 1024))]
    pub git_url: String,
    /// Branch that Flux follows.
    #[serde(default = "default_git_branch")]
    #[schemars(extend("pattern" = check::GIT_BRANCH, "not" = {"pattern": r"\.\."}))]
    pub git_branch: String,
    /// True where the repository is private: its credentials are then handed over.
    #[serde(default)]
    pub git_credentials: bool,
    /// How long the token that workers join with is good for, in minutes.
    #[serde(default = "default_join_token_ttl_minutes")]
    #[schemars(extend("minimum" = check::JOIN_TOKEN_TTL.start(), "maximum" = check::JOIN_TOKEN_TTL.end()))]
    pub join_token_ttl_minutes: u16,
    /// E-mail address for the certificate authority (ACME) to write to.
    #[schemars(extend("format" = "email", "pattern" = check::EMAIL))]
    pub acme_email: String,
    /// What the Hetzner project may hold; preflight counts against it.
    #[serde(default)]
    pub limits: Limits,
}

/// The clouds that Catalyst can provision on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudProvider {
    /// Hetzner Cloud.
    #[default]
    Hetzner,
}

/// The project's limits as its console shows them (Hetzner's API does not tell
/// them); what is left out is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Servers.
    #[serde(default)]
    pub servers: Option<u32>,
    /// Load balancers.
    #[serde(default)]
    pub load_balancers: Option<u32>,
    /// Networks.
    #[serde(default)]
    pub networks: Option<u32>,
    /// Primary IPv4 and IPv6 addresses together.
    #[serde(default)]
    pub primary_ips: Option<u32>,
    /// Volumes.
    #[serde(default)]
    pub volumes: Option<u32>,
    /// Cores of shared and of dedicated servers together.
    #[serde(default)]
    pub cores: Option<u32>,
}

impl Config {
    /// Reads `sovereign.yaml`. `read_file` is asked for the public key's file.
    pub fn parse(file: &str, text: &str, read_file: ReadFile<'_>) -> Result<Self, ConfigError> {
        read::parse(file, text, read_file)
    }

    /// Reads a description that was sent as JSON. `name` is what errors call it.
    pub fn from_value(
        name: &str,
        value: Value,
        read_file: ReadFile<'_>,
    ) -> Result<Self, ConfigError> {
        read::judge(name, value, read_file)
    }

    /// The JSON Schema (2020-12) of `sovereign.yaml`, with the rules as far as a schema can
    /// say them. What it refuses, [`Self::parse`] refuses too; not the other way round: it
    /// does not know which networks overlap, and what lies in a file.
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Names and places that follow from the configuration.
    pub fn derived(&self) -> Derived {
        Derived::of(self)
    }

    /// The release of k3s, unless a channel is followed.
    pub fn k3s_release(&self) -> Option<&str> {
        match (&self.k3s_version, &self.k3s_channel) {
            (Some(version), _) => Some(version),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_K3S_VERSION),
        }
    }

    /// The values of the module's variables, as `tofu.auto.tfvars.json` has them.
    /// None of them is secret.
    pub fn variables(&self) -> Value {
        serde_json::json!({
            "sovereign_fqdn": self.sovereign_fqdn,
            "region": self.region,
            "extra_regions": self.extra_regions.iter()
                .map(|(code, place)| (code.clone(), serde_json::json!({
                    "location": place.location,
                    "network_zone": place.network_zone,
                    "letter": place.letter,
                })))
                .collect::<serde_json::Map<_, _>>(),
            "building_block": self.building_block,
            "env_type": self.env_type,
            "hetzner_project_id": self.hetzner_project_id,
            "extra_labels": self.extra_labels,
            "domain_mode": self.domain_mode,
            "dns_zone": self.dns_zone,
            "dns_ttl": self.dns_ttl,
            "ssh_public_key": self.ssh_public_key.as_deref().map(str::trim),
            "admin_cidrs": self.admin_cidrs,
            "control_plane_count": self.control_plane_count,
            "control_plane_server_type": self.control_plane_server_type,
            "worker_count": self.worker_count,
            "worker_server_type": self.worker_server_type,
            "image": self.image,
            "load_balancer_type": self.load_balancer_type,
            "join_load_balancer_type": self.join_load_balancer_type,
            "network_cidr": self.network_cidr,
            "subnet_cidr": self.subnet_cidr,
            "pod_cidr": self.pod_cidr,
            "service_cidr": self.service_cidr,
            "k3s_version": self.k3s_release(),
            "k3s_channel": self.k3s_channel,
            "cilium_version": self.cilium_version,
            "gateway_api_version": self.gateway_api_version,
            "helm_version": self.helm_version,
            "flux_version": self.flux_version,
            "git_url": self.git_url,
            "git_branch": self.git_branch,
            "git_credentials": self.git_credentials,
            "join_token_ttl_minutes": self.join_token_ttl_minutes,
        })
    }

    /// Versions of what the nodes install, for the record of what was done.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let k3s = self
            .k3s_release()
            .map(str::to_owned)
            .or_else(|| {
                self.k3s_channel
                    .as_ref()
                    .map(|channel| format!("channel {channel}"))
            })
            .unwrap_or_default();
        BTreeMap::from([
            ("k3s".to_owned(), k3s),
            ("cilium".to_owned(), self.cilium_version.clone()),
            ("gateway-api".to_owned(), self.gateway_api_version.clone()),
            ("helm".to_owned(), self.helm_version.clone()),
            ("flux".to_owned(), self.flux_version.clone()),
        ])
    }
}

/// The default of `k3s_version` in the module.
pub(crate) const DEFAULT_K3S_VERSION: &str = "v1.35.1+k3s1";

macro_rules! defaults {
    ($($name:ident = $value:literal;)+) => {
        $(pub(crate) fn $name() -> String { $value.to_owned() })+
    };
}

// The module's own defaults; a test compares the two.
defaults! {
    default_building_block = "mgt";
    default_env_type = "prod";
    default_domain_mode = "byo";
    default_control_plane_server_type = "cx33";
    default_worker_server_type = "cx43";
    default_image = "ubuntu-24.04";
    default_load_balancer_type = "lb11";
    default_network_cidr = "10.0.0.0/16";
    default_subnet_cidr = "10.0.0.0/20";
    default_pod_cidr = "10.42.0.0/16";
    default_service_cidr = "10.43.0.0/16";
    default_cilium_version = "1.20.2";
    default_gateway_api_version = "v1.6.1";
    default_helm_version = "v3.22.0";
    default_flux_version = "v2.9.5";
    default_git_branch = "main";
}

fn default_dns_ttl() -> u32 {
    300
}

fn default_control_plane_count() -> u16 {
    3
}

fn default_worker_count() -> u16 {
    3
}

fn default_join_token_ttl_minutes() -> u16 {
    60
}
