//! The JSON Schema of a description as the service takes it: keys as text, since files of
//! its machine are nobody's to name from afar, and the rules as far as a schema can say
//! them, so that a form tells what is wrong while somebody types.
//!
//! Called by the gateway. What must stay true: what the schema refuses, the rules refuse;
//! a test of the gateway holds the two together.

use serde_json::{Value, json};

use crate::config::Config;

/// Properties that name files.
const FILES: [&str; 2] = ["sshPublicKeyFile", "sshPrivateKeyFile"];
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

/// The schema (2020-12).
pub fn schema() -> Value {
    let mut schema = Config::schema();
    let regions = schema.pointer("/properties/region/examples").cloned();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| !FILES.contains(&name.as_str()));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.push(json!("sshPublicKey"));
    }
    merge(&mut schema, forms());
    let rules = rules(&regions.unwrap_or_default());
    merge(&mut schema, json!({ "allOf": rules }));
    schema
}

/// Puts a value over another; of objects, member by member.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// What single properties look like.
fn forms() -> Value {
    let address = format!(r"({OCTET}\.){{3}}{OCTET}");
    let network = format!("^{address}/([0-9]|[12][0-9]|3[0-2])$");
    // Nobody administers from a network that is wider.
    let admins = format!(
        "^({address}/([89]|[12][0-9]|3[0-2])|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*/(1[6-9]|[2-9][0-9]|1[01][0-9]|12[0-8]))$"
    );
    let label = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?";
    let release = r"[0-9]+\.[0-9]+";
    json!({
        "properties": {
            "region": {"pattern": "^[a-z]{3,4}$"},
            "extraRegions": {"propertyNames": {"pattern": "^[a-z]{3,4}$"}},
            "hetznerProjectId": {"pattern": "^[0-9]{1,20}$"},
            "extraLabels": {
                "propertyNames": {
                    "pattern": format!("^([a-z0-9]([a-z0-9.-]{{0,61}}[a-z0-9])?/)?{label}$"),
                    "not": {"pattern": r"^(hetzner\.cloud/|openova\.io/(sovereign|host-cluster|env-type|role|hetzner-project)$|app\.kubernetes\.io/managed-by$)"},
                },
                "additionalProperties": {"pattern": format!("^({label})?$")},
            },
            "dnsTtl": {"minimum": 60, "maximum": 86_400},
            "sshPublicKey": {"type": "string"},
            "adminCidrs": {"items": {"pattern": admins}},
            "image": {"pattern": "^((ubuntu|debian)-[0-9.]+|[0-9]+)$"},
            "loadBalancerType": {"pattern": "^lb[0-9]{2}$"},
            "joinLoadBalancerType": {"pattern": "^lb[0-9]{2}$"},
            "networkCidr": {"pattern": network},
            "subnetCidr": {"pattern": format!("^{address}/([0-9]|1[0-9]|2[0-4])$")},
            "podCidr": {"pattern": network},
            "serviceCidr": {"pattern": network},
            "k3sVersion": {"pattern": r"^v1\.(3[2-9]|[4-9][0-9])\.[0-9]+\+k3s[0-9]+$"},
            "k3sChannel": {"pattern": r"^(stable|latest|v1\.[0-9]+)$"},
            "ciliumVersion": {"pattern": format!(r"^[0-9]+\.{release}$")},
            "gatewayApiVersion": {"pattern": format!(r"^v[0-9]+\.{release}$")},
            "helmVersion": {"pattern": format!(r"^v3\.{release}$")},
            "fluxVersion": {"pattern": format!(r"^v2\.{release}$")},
            "gitBranch": {"not": {"pattern": r"\.\."}},
            "joinTokenTtlMinutes": {"minimum": 20, "maximum": 240},
            "acmeEmail": {"pattern": r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"},
        },
        "$defs": {"Place": {"properties": {
            "location": {"pattern": "^[a-z]{3}[0-9]*$"},
            "networkZone": {"pattern": "^[a-z]+-[a-z]+$"},
            "letter": {"pattern": "^[a-z]$"},
        }}},
    })
}

/// What holds of several properties together.
fn rules(regions: &Value) -> Value {
    json!([
        {
            "if": {"properties": {"extraRegions": {"maxProperties": 0}}},
            "then": {"properties": {"region": {"enum": regions}}},
        },
        {
            "if": {"properties": {"domainMode": {"const": "pool"}}, "required": ["domainMode"]},
            "then": {"properties": {"dnsZone": {"type": "string"}}, "required": ["dnsZone"]},
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_every_property_that_the_service_takes_and_none_more() {
        let (whole, own) = (Config::schema(), schema());
        let names = |schema: &Value| -> Vec<String> {
            let properties = schema["properties"].as_object().unwrap();
            properties.keys().cloned().collect()
        };
        let mut expected = names(&whole);
        expected.retain(|name| !FILES.contains(&name.as_str()));
        assert_eq!(names(&own), expected);
        let places = |schema: &Value| -> Vec<String> {
            let properties = schema["$defs"]["Place"]["properties"].as_object();
            properties.unwrap().keys().cloned().collect()
        };
        assert_eq!(places(&own), places(&whole));
    }
}
