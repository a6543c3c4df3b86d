//! What the JSON Schema of a description says beside the form of single texts, which are
//! constants of [`check`].
//!
//! Called by the derived schema of [`super::Config`]. What must stay true: what the schema
//! refuses, [`check`] and [`super::read`] refuse; a table of the tests holds them together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check;
use super::derived::{places, usual_server_types};

const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

fn address() -> String {
    format!(r"({OCTET}\.){{3}}{OCTET}")
}

/// The form of an IPv4 network.
pub(super) fn network() -> String {
    format!("^{}/([0-9]|[12][0-9]|3[0-2])$", address())
}

/// The form of a network that nodes get their addresses from.
pub(super) fn subnet() -> String {
    format!("^{}/([0-9]|1[0-9]|2[0-4])$", address())
}

/// The form of a network that the nodes are reached from: of IPv4, at least /8; of IPv6, as
/// far as a pattern goes, at least /16.
pub(super) fn admin_network() -> String {
    format!(
        "^({}/([89]|[12][0-9]|3[0-2])|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*/(1[6-9]|[2-9][0-9]|1[01][0-9]|12[0-8]))$",
        address()
    )
}

/// The keys that labels may have.
pub(super) fn label_key() -> Value {
    json!({
        "pattern": check::LABEL_KEY,
        "not": {"anyOf": [
            {"pattern": format!("^{}", check::OF_HETZNER.replace('.', r"\."))},
            {"enum": check::OWN_LABELS},
        ]},
    })
}

/// By region, the defaults that are others than the properties' own.
pub(super) fn defaults_by_region() -> Value {
    let places = places(&BTreeMap::new());
    let of = |region: &String| {
        let (control_planes, workers) = usual_server_types(region);
        let types = json!({"controlPlaneServerType": control_planes, "workerServerType": workers});
        (region.clone(), types)
    };
    Value::Object(places.keys().map(of).collect())
}

/// What holds of several properties together.
pub(super) fn rules() -> Value {
    let regions: Vec<String> = places(&BTreeMap::new()).into_keys().collect();
    json!([
        {
            "if": {"properties": {"extraRegions": {"maxProperties": 0}}},
            "then": {"properties": {"region": {"enum": regions}}},
            "else": {"properties": {"region": {"pattern": check::REGION}}},
        },
        {
            "if": {"properties": {"domainMode": {"const": "pool"}}, "required": ["domainMode"]},
            "then": {
                "properties": {"dnsZone": {"type": "string", "pattern": check::ZONE}},
                "required": ["dnsZone"],
            },
            "else": {"properties": {"dnsZone": {"type": "null"}}},
        },
        {
            "not": {
                "properties": {"k3sVersion": {"type": "string"}, "k3sChannel": {"type": "string"}},
                "required": ["k3sVersion", "k3sChannel"],
            },
        },
    ])
}

/// The public key is given in one of two ways.
pub(super) fn one_key() -> Value {
    let given =
        |name: &str| json!({"properties": {(name): {"type": "string"}}, "required": [name]});
    json!([given("sshPublicKey"), given("sshPublicKeyFile")])
}
