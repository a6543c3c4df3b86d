//! Kubeconfigs with client certificates: the administrator's, a file, and those by
//! which the control plane reaches the clusters.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use time::OffsetDateTime;

use super::data::write_private;
use super::tls::{Authority, KeyedCertificate};

/// The administrator's kubeconfig: one context a cluster; the first is current.
pub struct Administrator {
    /// Where it is.
    path: PathBuf,
    /// The URL below which clusters are served.
    server: String,
    /// Their names.
    clusters: Vec<String>,
    /// Whose certificates are trusted, and who makes the administrator's.
    authority: Arc<Authority>,
    /// What the file holds, once it is written.
    client: Option<KeyedCertificate>,
}

impl Administrator {
    /// One whose file is not written yet.
    pub fn new(
        path: PathBuf,
        server: String,
        clusters: Vec<String>,
        authority: Arc<Authority>,
    ) -> Self {
        Self {
            path,
            server,
            clusters,
            authority,
            client: None,
        }
    }

    /// Writes the file with a new certificate, unless it has one that is not due.
    pub fn renew(&mut self, now: OffsetDateTime) -> anyhow::Result<()> {
        if self
            .client
            .as_ref()
            .is_some_and(|client| !client.is_due(now))
        {
            return Ok(());
        }
        let groups = ["system:masters"];
        let client = self
            .authority
            .issue_client("sovereign-admin", &groups, now)?;
        let text = text(
            "sovereign-admin",
            &self.server,
            &self.clusters,
            self.authority.certificate(),
            &client,
        );
        write_private(&self.path, text.as_bytes())?;
        self.client = Some(client);
        Ok(())
    }
}

/// A kubeconfig of a user with one context a cluster below `server`; the first is
/// current.
pub fn text(
    user: &str,
    server: &str,
    clusters: &[String],
    authority: &str,
    client: &KeyedCertificate,
) -> String {
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
    catalyst_yaml::to_string(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": entries,
        "contexts": contexts,
        "current-context": clusters.first(),
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(&client.certificate),
            "client-key-data": STANDARD.encode(&client.key),
        }}],
    }))
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::data::DataDirectory;
    use super::*;

    #[test]
    fn the_administrators_file_is_written_anew_before_its_certificate_ends() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let path = data.join("kubeconfig");
        let mut administrator = Administrator::new(
            path.clone(),
            "https://127.0.0.1:8080/clusters".to_owned(),
            vec!["lo-loc-mgt-prod".to_owned()],
            Arc::new(Authority::open(&data, "localhost").unwrap()),
        );
        let start = OffsetDateTime::now_utc();
        let mut after = |days| {
            administrator.renew(start + Duration::days(days)).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let first = after(0);
        assert!(first.contains("server: https://127.0.0.1:8080/clusters/lo-loc-mgt-prod"));
        assert_eq!(after(243), first);
        let second = after(244);
        assert_ne!(second, first);
        assert_eq!(after(245), second);
    }
}
