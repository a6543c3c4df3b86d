//! The administrator's kubeconfig.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::data::write_private;
use super::tls::KeyedCertificate;

/// Writes a kubeconfig with one context a cluster; the first is current.
pub fn write(
    path: &Path,
    server: &str,
    clusters: &[String],
    authority: &str,
    client: &KeyedCertificate,
) -> anyhow::Result<()> {
    let user = "sovereign-admin";
    let authority = STANDARD.encode(authority);
    let entries: Vec<_> = clusters
        .iter()
        .map(|name| {
            json!({"name": name, "cluster": {
                "server": format!("{server}/{name}"),
                "certificate-authority-data": authority,
            }})
        })
        .collect();
    let contexts: Vec<_> = clusters
        .iter()
        .map(|name| json!({"name": name, "context": {"cluster": name, "user": user}}))
        .collect();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": entries,
        "contexts": contexts,
        "current-context": clusters.first(),
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(&client.certificate),
            "client-key-data": STANDARD.encode(&client.key),
        }}],
    });
    write_private(path, catalyst_yaml::to_string(&config).as_bytes())
}
