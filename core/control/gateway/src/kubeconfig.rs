//! A kubeconfig that carries the caller's own token.
//!
//! Served by the Environment's `kubeconfig` operation. Needs no helper program:
//! the token is in the file and ends when it ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_api::EnvironmentView;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::problem::Refusal;

/// How vclusters are reached from outside.
#[derive(Debug, Clone)]
pub struct VclusterAccess {
    /// The server's URL, in which `{vcluster}` stands for the qualified name,
    /// such as `https://127.0.0.1:8080/clusters/{vcluster}`.
    pub server: String,
    /// The certificate authority that the server's certificate is from, PEM;
    /// empty when the machine's own authorities know it.
    pub certificate_authority: String,
}

/// A kubeconfig for an Environment; the first of its vclusters is current.
/// JSON, which is YAML too.
pub fn render(
    environment: &EnvironmentView,
    caller: &Caller,
    access: &VclusterAccess,
) -> Result<String, Refusal> {
    let Some(current) = environment.vclusters.first() else {
        return Err(Refusal::unavailable(
            format!("Write a kubeconfig for {}", environment.name),
            "The Environment has no vcluster yet.",
        ));
    };
    let user = &caller.actor.username;
    let authority = STANDARD.encode(&access.certificate_authority);
    let clusters: Vec<Value> = environment
        .vclusters
        .iter()
        .map(|name| {
            let mut cluster = json!({"server": access.server.replace("{vcluster}", name)});
            if let (false, Some(cluster)) = (authority.is_empty(), cluster.as_object_mut()) {
                cluster.insert("certificate-authority-data".to_owned(), json!(authority));
            }
            json!({"name": name, "cluster": cluster})
        })
        .collect();
    let contexts: Vec<Value> = environment
        .vclusters
        .iter()
        .map(|name| json!({"name": name, "context": {"cluster": name, "user": user}}))
        .collect();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "contexts": contexts,
        "current-context": current,
        "users": [{"name": user, "user": {"token": &*caller.token}}],
    });
    let mut text = serde_json::to_string_pretty(&config).unwrap_or_default();
    text.push('\n');
    Ok(text)
}
