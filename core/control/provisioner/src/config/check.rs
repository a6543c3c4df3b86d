//! The rules of the module's variables, so that what OpenTofu would refuse is told
//! before it is started, together with everything else. A test in the lane with the
//! real OpenTofu holds the two against each other. The forms are those of the schema, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use regex::Regex;

use super::Config;
use super::derived::places;
use super::read::Problems;

pub(super) const FQDN: &str =
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
pub(super) const ZONE: &str =
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
pub(super) const REGION: &str = "^[a-z]{3,4}$";
pub(super) const LOCATION: &str = "^[a-z]{3}[0-9]*$";
pub(super) const NETWORK_ZONE: &str = "^[a-z]+-[a-z]+$";
pub(super) const LETTER: &str = "^[a-z]$";
pub(super) const PROJECT: &str = "^[0-9]{1,20}$";
pub(super) const EMAIL: &str = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$";
/// As a file has it: with the line's end.
pub(super) const SSH_KEY: &str = r"^\s*(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]{40,}={0,3}( [^\r\n]*)?\s*$";
pub(super) const SERVER_TYPE: &str = r"^(cx|cpx|cax|ccx)[0-9]{2}$";
pub(super) const IMAGE: &str = r"^((ubuntu|debian)-[0-9.]+|[0-9]+)$";
pub(super) const BALANCER: &str = r"^lb[0-9]{2}$";
pub(super) const K3S_VERSION: &str = r"^v1\.(3[2-9]|[4-9][0-9])\.[0-9]+\+k3s[0-9]+$";
pub(super) const K3S_CHANNEL: &str = r"^(stable|latest|v1\.[0-9]+)$";
pub(super) const CILIUM_VERSION: &str = r"^[0-9]+\.[0-9]+\.[0-9]+$";
pub(super) const GATEWAY_API_VERSION: &str = r"^v[0-9]+\.[0-9]+\.[0-9]+$";
pub(super) const HELM_VERSION: &str = r"^v3\.[0-9]+\.[0-9]+$";
pub(super) const FLUX_VERSION: &str = r"^v2\.[0-9]+\.[0-9]+$";
pub(super) const GIT_URL: &str = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/-]+$";
pub(super) const GIT_BRANCH: &str = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,198}[A-Za-z0-9])?$";
pub(super) const LABEL_KEY: &str =
    r"^([a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$";
pub(super) const LABEL_VALUE: &str = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$";
pub(super) const BUILDING_BLOCKS: [&str; 3] = ["mgt", "rtz", "dmz"];
pub(super) const ENV_TYPES: [&str; 5] = ["prod", "stg", "uat", "dev", "poc"];
pub(super) const DOMAIN_MODES: [&str; 2] = ["byo", "pool"];
/// etcd needs an odd number, and more than three only costs.
pub(super) const CONTROL_PLANES: [u16; 2] = [1, 3];
pub(super) const MOST_WORKERS: u32 = 50;
pub(super) const DNS_TTL: RangeInclusive<u32> = 60..=86_400;
pub(super) const JOIN_TOKEN_TTL: RangeInclusive<u32> = 20..=240;
/// Wider networks than these nobody has for himself; several of them could be put together
/// to the whole Internet.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;
/// Keys that begin so are Hetzner's own.
pub(super) const OF_HETZNER: &str = "hetzner.cloud/";
pub(super) const OWN_LABELS: [&str; 6] = [
    "openova.io/sovereign",
    "openova.io/host-cluster",
    "openova.io/env-type",
    "openova.io/role",
    "openova.io/hetzner-project",
    "app.kubernetes.io/managed-by",
];

/// Whether a text has a form. The forms are constants of this file.
fn fits(form: &str, text: &str) -> bool {
    Regex::new(form).is_ok_and(|form| form.is_match(text))
}

pub(super) fn check(config: &Config, problems: &mut Problems) {
    names(config, problems);
    access(config, problems);
    machines(config, problems);
    networks(config, problems);
    software(config, problems);
}

fn names(config: &Config, problems: &mut Problems) {
    let fqdn = &config.sovereign_fqdn;
    if !fits(FQDN, fqdn) {
        problems.tell("sovereignFqdn", format!("{fqdn:?} is not a lower-case domain name of at least two labels, each of 1 to 63 letters, digits or hyphens, without a trailing dot; write it like omantel.example"));
    } else if fqdn.len() > 170 {
        problems.tell("sovereignFqdn", format!("it has {} characters; at most 170 leave room for application.environment.domain in the 253 that DNS allows", fqdn.len()));
    }
    for (code, place) in &config.extra_regions {
        if !fits(REGION, code) {
            problems.tell(
                "extraRegions",
                format!("{code:?} is not a region code of three or four lower-case letters"),
            );
        } else if !fits(LETTER, &place.letter)
            || !fits(LOCATION, &place.location)
            || !fits(NETWORK_ZONE, &place.network_zone)
        {
            problems.tell(&format!("extraRegions.{code}"), "location looks like fsn1, networkZone like eu-central, letter is one lower-case letter");
        }
    }
    let known = places(&config.extra_regions);
    if problems.fine(&["extraRegions"]) && !known.contains_key(&config.region) {
        let codes: Vec<&str> = known.keys().map(String::as_str).collect();
        let near = super::nearest::nearest(&config.region, codes.iter().copied())
            .map(|near| format!(" (did you mean {near}?)"))
            .unwrap_or_default();
        problems.tell("region", format!("{:?} is not one of {}{near}; a region that Hetzner has opened since can be added with extraRegions", config.region, codes.join(", ")));
    }
    one_of(
        problems,
        "buildingBlock",
        &config.building_block,
        &BUILDING_BLOCKS,
    );
    one_of(problems, "envType", &config.env_type, &ENV_TYPES);
    if let Some(project) = &config.hetzner_project_id
        && !fits(PROJECT, project)
    {
        problems.tell("hetznerProjectId", format!("{project:?} is not the project's number, which stands in the address of its console page"));
    }
    for (key, value) in &config.extra_labels {
        if key.starts_with(OF_HETZNER) || OWN_LABELS.contains(&key.as_str()) {
            problems.tell(
                "extraLabels",
                format!(
                    "{key} is a label that Catalyst or Hetzner sets itself; choose another key"
                ),
            );
        } else if !fits(LABEL_KEY, key) || !fits(LABEL_VALUE, value) {
            problems.tell("extraLabels", format!("{key}: {value:?} is not a label: at most 63 letters, digits, '-', '_' or '.' each, a letter or digit first and last"));
        }
    }
    one_of(problems, "domainMode", &config.domain_mode, &DOMAIN_MODES);
    if problems.fine(&["domainMode", "dnsZone"]) {
        match (config.domain_mode.as_str(), &config.dns_zone) {
            ("pool", None) => problems.tell(
                "dnsZone",
                "domainMode pool needs it: the zone at Hetzner DNS that sovereignFqdn lies in",
            ),
            ("byo", Some(_)) => problems.tell(
                "dnsZone",
                "it belongs to domainMode pool; leave it out, or set that",
            ),
            (_, Some(zone)) if !fits(ZONE, zone) => problems.tell(
                "dnsZone",
                format!("{zone:?} is not the name of a zone, such as pool.example"),
            ),
            (_, Some(zone))
                if problems.fine(&["sovereignFqdn"])
                    && !config.sovereign_fqdn.ends_with(&format!(".{zone}")) =>
            {
                problems.tell("dnsZone", format!("{} does not lie below {zone}; with the zone pool.example the Sovereign can be omantel.pool.example", config.sovereign_fqdn));
            }
            _ => {}
        }
    }
    between(problems, "dnsTtl", config.dns_ttl, &DNS_TTL);
    let email = &config.acme_email;
    if !fits(EMAIL, email) {
        problems.tell(
            "acmeEmail",
            format!("{email:?} is not an e-mail address; write it like platform@omantel.example"),
        );
    }
}

fn access(config: &Config, problems: &mut Problems) {
    if let Some(key) = &config.ssh_public_key
        && problems.fine(&["sshPublicKey", "sshPublicKeyFile"])
        && !fits(SSH_KEY, key)
    {
        let property = match config.ssh_public_key_file {
            Some(_) => "sshPublicKeyFile",
            None => "sshPublicKey",
        };
        // A private key given by mistake is not repeated.
        problems.tell(property, "it is not one line of OpenSSH as in ~/.ssh/id_ed25519.pub (ssh-ed25519 AAAA… comment); a private key is never asked for");
    }
    if config.admin_cidrs.is_empty() {
        problems.tell(
            "adminCidrs",
            "it names no network; for one machine write its address with /32",
        );
    }
    if !problems.fine(&["adminCidrs"]) {
        return;
    }
    for cidr in &config.admin_cidrs {
        if let Some(message) = admin_network(cidr) {
            problems.tell_item("adminCidrs", message);
        }
    }
}

/// What is wrong with a network that the nodes are reached from.
fn admin_network(cidr: &str) -> Option<String> {
    let Some((address, prefix)) = network(cidr) else {
        return Some(format!(
            "{cidr:?} is not a network such as 203.0.113.7/32 or 2001:db8::/48"
        ));
    };
    let least = match address {
        IpAddr::V4(_) => WIDEST_V4,
        IpAddr::V6(_) => WIDEST_V6,
    };
    if prefix < least {
        return Some(format!(
            "{cidr} opens the nodes to the whole Internet, or much of it; name the networks that you administer from, of at least /{least}"
        ));
    }
    let begin = match address {
        IpAddr::V4(address) => IpAddr::V4(first(address, prefix)),
        IpAddr::V6(address) => IpAddr::V6(first_v6(address, prefix)),
    };
    // Hetzner refuses it, once the network is made.
    (begin != address).then(|| {
        let host = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        format!(
            "{cidr} is not written with its first address; write {begin}/{prefix}, or {address}/{host} for one machine"
        )
    })
}

fn machines(config: &Config, problems: &mut Problems) {
    if !CONTROL_PLANES.contains(&config.control_plane_count) {
        problems.tell(
            "controlPlaneCount",
            format!(
                "{} is neither 1 nor 3: etcd needs an odd number, and more than three only costs",
                config.control_plane_count
            ),
        );
    }
    between(
        problems,
        "workerCount",
        config.worker_count.into(),
        &(0..=MOST_WORKERS),
    );
    for (property, text, example) in [
        (
            "controlPlaneServerType",
            &config.control_plane_server_type,
            "cx33, cpx32, cax21 or ccx23",
        ),
        (
            "workerServerType",
            &config.worker_server_type,
            "cx43, cpx42, cax31 or ccx33",
        ),
    ] {
        if !fits(SERVER_TYPE, text) {
            problems.tell(
                property,
                format!("{text:?} is not a Hetzner server type such as {example}"),
            );
        }
    }
    if !fits(IMAGE, &config.image) {
        problems.tell("image", format!("{:?} is neither a Hetzner image ubuntu-… or debian-… nor the number of a snapshot made from one", config.image));
    }
    for (property, text) in [
        ("loadBalancerType", &config.load_balancer_type),
        ("joinLoadBalancerType", &config.join_load_balancer_type),
    ] {
        if !fits(BALANCER, text) {
            problems.tell(
                property,
                format!("{text:?} is not a Hetzner load balancer type such as lb11"),
            );
        }
    }
}

fn networks(config: &Config, problems: &mut Problems) {
    let all = [
        ("networkCidr", &config.network_cidr),
        ("subnetCidr", &config.subnet_cidr),
        ("podCidr", &config.pod_cidr),
        ("serviceCidr", &config.service_cidr),
    ];
    for (property, cidr) in all {
        if plain_network(cidr).is_none() {
            problems.tell(property, format!("{cidr:?} is not an IPv4 network whose address is its first, such as 10.0.0.0/16"));
        }
    }
    let of = |cidr: &str| plain_network(cidr).unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    let (network, subnet) = (of(&config.network_cidr), of(&config.subnet_cidr));
    if problems.fine(&["networkCidr"]) && !(network.0.is_private()) {
        problems.tell(
            "networkCidr",
            format!(
                "{} is not private: take one within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
                config.network_cidr
            ),
        );
    }
    if problems.fine(&["subnetCidr"]) && subnet.1 > 24 {
        problems.tell("subnetCidr", format!("{} is smaller than a /24: addresses are given by position, workers from the hundredth on", config.subnet_cidr));
    }
    if problems.fine(&["networkCidr", "subnetCidr"])
        && !(subnet.1 >= network.1 && first(subnet.0, network.1) == network.0)
    {
        problems.tell(
            "subnetCidr",
            format!(
                "{} does not lie within networkCidr, {}",
                config.subnet_cidr, config.network_cidr
            ),
        );
    }
    for (property, others) in [
        (
            "podCidr",
            &[
                ("networkCidr", &config.network_cidr),
                ("serviceCidr", &config.service_cidr),
            ][..],
        ),
        ("serviceCidr", &[("networkCidr", &config.network_cidr)][..]),
    ] {
        let own = all
            .iter()
            .find(|(name, _)| *name == property)
            .map_or("", |(_, cidr)| cidr.as_str());
        for (name, other) in others {
            if problems.fine(&[property, name]) && overlap(of(own), of(other)) {
                problems.tell(property, format!("{own} overlaps {name}, {other}"));
            }
        }
    }
}

fn software(config: &Config, problems: &mut Problems) {
    if let Some(version) = &config.k3s_version {
        if config.k3s_channel.is_some() {
            problems.tell(
                "k3sChannel",
                "k3sVersion is given too; leave one of them out",
            );
        }
        if !fits(K3S_VERSION, version) {
            problems.tell("k3sVersion", format!("{version:?} is not a k3s release of Kubernetes 1.32 or later, such as v1.35.1+k3s1"));
        }
    }
    let versions: [(&str, Option<&String>, &str, &str); 5] = [
        (
            "k3sChannel",
            config.k3s_channel.as_ref(),
            K3S_CHANNEL,
            "stable, latest or a minor such as v1.35",
        ),
        (
            "ciliumVersion",
            Some(&config.cilium_version),
            CILIUM_VERSION,
            "a chart version such as 1.20.2",
        ),
        (
            "gatewayApiVersion",
            Some(&config.gateway_api_version),
            GATEWAY_API_VERSION,
            "a release such as v1.6.1",
        ),
        (
            "helmVersion",
            Some(&config.helm_version),
            HELM_VERSION,
            "a release of helm 3 such as v3.22.0",
        ),
        (
            "fluxVersion",
            Some(&config.flux_version),
            FLUX_VERSION,
            "a release of Flux 2 such as v2.9.5",
        ),
    ];
    for (property, text, form, example) in versions {
        if let Some(text) = text
            && !fits(form, text)
        {
            problems.tell(property, format!("{text:?} is not {example}"));
        }
    }
    let url = &config.git_url;
    if !fits(GIT_URL, url) {
        // A URL with a password in it is not repeated.
        problems.tell("gitUrl", "it must be https://host/path without user or password; credentials are handed over as a Secret, see gitCredentials");
    } else if url.len() > 1024 {
        problems.tell(
            "gitUrl",
            "it has more than 1024 characters, and would not fit into the nodes' user_data",
        );
    }
    if !fits(GIT_BRANCH, &config.git_branch) || config.git_branch.contains("..") {
        problems.tell(
            "gitBranch",
            format!(
                "{:?} is not the name of a branch, such as main",
                config.git_branch
            ),
        );
    }
    between(
        problems,
        "joinTokenTtlMinutes",
        config.join_token_ttl_minutes.into(),
        &JOIN_TOKEN_TTL,
    );
}

fn one_of(problems: &mut Problems, property: &str, text: &str, known: &[&str]) {
    if !known.contains(&text) {
        problems.tell(
            property,
            format!("{text:?} is not one of {}", known.join(", ")),
        );
    }
}

fn between(problems: &mut Problems, property: &str, number: u32, range: &RangeInclusive<u32>) {
    if !range.contains(&number) {
        let (least, most) = (range.start(), range.end());
        problems.tell(property, format!("{number} is not from {least} to {most}"));
    }
}

/// Address and prefix of a network as OpenTofu's `cidrhost` takes it.
fn network(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = cidr.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let plain = prefix.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix == "0" || !prefix.starts_with('0'));
    let prefix: u8 = prefix.parse().ok().filter(|_| plain)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= most).then_some((address, prefix))
}

/// An IPv4 network that is written with its first address.
fn plain_network(cidr: &str) -> Option<(Ipv4Addr, u8)> {
    match network(cidr)? {
        (IpAddr::V4(address), prefix) if first(address, prefix) == address => {
            Some((address, prefix))
        }
        _ => None,
    }
}

/// The first address of the network of this size that an address lies in.
fn first(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn first_v6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX
        .checked_shl(128 - u32::from(prefix.min(128)))
        .unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

fn overlap(one: (Ipv4Addr, u8), other: (Ipv4Addr, u8)) -> bool {
    let prefix = one.1.min(other.1);
    first(one.0, prefix) == first(other.0, prefix)
}
