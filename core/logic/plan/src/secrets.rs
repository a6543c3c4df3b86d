//! ExternalSecrets: what an Application needs from the vault, by path only.
//!
//! What must stay true: no value of a secret is ever an input here.

use std::collections::BTreeMap;

use catalyst_blueprint::ConfigSchema;
use catalyst_names::ApplicationName;
use serde_json::{Value, json};

use crate::expand::{ExpandError, Input};
use crate::{config_secret_name, connection_secret_name};

/// The ClusterSecretStore of every vcluster.
pub(crate) const STORE: &str = "sovereign";
/// The name of the secret in the vault that holds an Application's connection.
pub const CONNECTION: &str = "connection";

/// A secret property of a config.
pub(crate) struct SecretValue {
    /// Its place, property by property.
    pub path: Vec<String>,
    /// Its name in the vault, below the Application's path.
    pub name: String,
}

/// The secret properties that a config sets, in the order of their places.
pub(crate) fn in_config(
    application: &ApplicationName,
    schema: &ConfigSchema,
    config: &Value,
) -> Result<Vec<SecretValue>, ExpandError> {
    let mut found = Vec::new();
    for pointer in schema.secret_pointers(config) {
        let Some(name) = config
            .pointer(&pointer)
            .and_then(|value| value.get("secretRef"))
            .and_then(Value::as_str)
        else {
            // Not a reference: validation refuses it before it is committed.
            continue;
        };
        let mut path = Vec::new();
        let mut here = config;
        for part in catalyst_yaml::pointer::parts(&pointer) {
            let Some(inner) = here.get(&part) else {
                return Err(ExpandError::SecretInList {
                    application: application.to_string(),
                    pointer,
                });
            };
            here = inner;
            path.push(part);
        }
        found.push(SecretValue {
            path,
            name: name.to_owned(),
        });
    }
    Ok(found)
}

/// The ExternalSecrets of an Application: its own connection, its dependencies'
/// connections, and its secret config.
pub(crate) fn objects(input: &Input<'_>) -> Vec<Value> {
    // By name, since two aliases may be served by one Application.
    let mut connections: BTreeMap<String, (&ApplicationName, &[String])> = BTreeMap::new();
    let own = &input.blueprint.blueprint.spec.provides.connection_secret;
    if let Some(own) = own {
        connections.insert(connection_secret_name(input.name), (input.name, &own.keys));
    }
    for dependency in input.dependencies {
        if !dependency.connection_keys.is_empty() {
            connections.insert(
                connection_secret_name(&dependency.application),
                (&dependency.application, &dependency.connection_keys),
            );
        }
    }
    let mut objects: Vec<Value> = connections
        .into_iter()
        .map(|(name, (provider, keys))| {
            let path = input.ctx.secret_path(provider, CONNECTION);
            let data = keys.iter().map(|key| entry(key, &path, key)).collect();
            external_secret(input, &input.workload_namespace, &name, data)
        })
        .collect();
    if !input.secret_config.is_empty() {
        // Two properties may refer to one secret.
        let names: std::collections::BTreeSet<&str> = input
            .secret_config
            .iter()
            .map(|secret| secret.name.as_str())
            .collect();
        let data = names
            .into_iter()
            .map(|name| entry(name, &input.ctx.secret_path(input.name, name), "value"))
            .collect();
        objects.push(external_secret(
            input,
            input.environment_namespace(),
            &config_secret_name(input.name),
            data,
        ));
    }
    objects
}

fn entry(key: &str, path: &str, property: &str) -> Value {
    json!({"secretKey": key, "remoteRef": {"key": path, "property": property}})
}

fn external_secret(input: &Input<'_>, namespace: &str, name: &str, data: Vec<Value>) -> Value {
    input.object(
        "external-secrets.io/v1",
        "ExternalSecret",
        Some(namespace),
        name,
        "secret",
        json!({"spec": {
            "refreshInterval": "5m",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": STORE},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": data,
        }}),
    )
}
