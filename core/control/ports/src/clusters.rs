//! Kubernetes clients of the management cluster, of host clusters and of
//! Organizations' vclusters.
//!
//! Where a cluster is, its kubeconfig says, and that lies in a Secret: a host
//! cluster's in the management cluster, a vcluster's on its host cluster. A
//! client is kept until its Secret changes or goes, which is looked at again
//! after half a minute, and at once after [`Clusters::forget`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::PortError;

/// Where the management cluster keeps the kubeconfigs of host clusters.
pub const HOST_KUBECONFIG_NAMESPACE: &str = "catalyst-system";
const HOST_KEY: &str = "kubeconfig";
const VCLUSTER_KEY: &str = "config";
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Clients of all clusters; clones share them.
#[derive(Clone)]
pub struct Clusters {
    management: Client,
    known: Arc<Mutex<HashMap<Address, Known>>>,
}

/// A host cluster, or the vcluster of an Organization on it.
type Address = (String, Option<String>);

#[derive(Clone)]
struct Known {
    client: Client,
    version: String,
    looked: Instant,
}

impl Clusters {
    /// Clusters that are found by way of the management cluster.
    pub fn new(management: Client) -> Self {
        Self {
            management,
            known: Arc::default(),
        }
    }

    /// The management cluster.
    pub fn management(&self) -> Client {
        self.management.clone()
    }

    /// A host cluster, by the Secret of its name in `catalyst-system`, key
    /// `kubeconfig`.
    pub async fn host(&self, name: &str) -> Result<Client, PortError> {
        let secrets = Api::namespaced(self.management(), HOST_KUBECONFIG_NAMESPACE);
        let action = format!("reach the host cluster {name}");
        let address = (name.to_owned(), None);
        self.by_secret(address, &secrets, name, HOST_KEY, &action)
            .await?
            .ok_or_else(|| PortError::Prepare {
                action,
                reason: format!(
                    "the management cluster has no Secret {HOST_KUBECONFIG_NAMESPACE}/{name} with \
                     the key {HOST_KEY}; register the host cluster first"
                ),
            })
    }

    /// An Organization's vcluster, by the Secret `vc-{organization}` in the
    /// namespace `{organization}` of its host cluster, key `config`; `None`
    /// while there is none.
    pub async fn vcluster(
        &self,
        host: &str,
        organization: &str,
    ) -> Result<Option<Client>, PortError> {
        let address = (host.to_owned(), Some(organization.to_owned()));
        if let Some(known) = self.fresh(&address) {
            return Ok(Some(known.client));
        }
        let secrets = Api::namespaced(self.host(host).await?, organization);
        let action = format!("reach the vcluster of {organization} on {host}");
        let name = format!("vc-{organization}");
        self.by_secret(address, &secrets, &name, VCLUSTER_KEY, &action)
            .await
    }

    /// Reads a cluster's kubeconfig anew before it is used again; to be called
    /// when a client of it was refused or found nobody.
    pub fn forget(&self, host: &str, organization: Option<&str>) {
        let address = (host.to_owned(), organization.map(str::to_owned));
        self.lock().remove(&address);
    }

    async fn by_secret(
        &self,
        address: Address,
        secrets: &Api<Secret>,
        name: &str,
        key: &str,
        action: &str,
    ) -> Result<Option<Client>, PortError> {
        if let Some(known) = self.fresh(&address) {
            return Ok(Some(known.client));
        }
        let secret = secrets
            .get_opt(name)
            .await
            .map_err(PortError::kubernetes(action))?;
        let content = secret.and_then(|mut secret| {
            let version = secret.metadata.resource_version.take().unwrap_or_default();
            let content = secret.data.as_mut()?.remove(key)?;
            Some((version, content.0))
        });
        let Some((version, content)) = content else {
            self.lock().remove(&address);
            return Ok(None);
        };
        let kept = self.lock().get(&address).cloned();
        let client = match kept.filter(|known| known.version == version) {
            Some(known) => known.client,
            None => connect(&content, action).await?,
        };
        let known = Known {
            client: client.clone(),
            version,
            looked: Instant::now(),
        };
        self.lock().insert(address, known);
        Ok(Some(client))
    }

    fn fresh(&self, address: &Address) -> Option<Known> {
        self.lock()
            .get(address)
            .filter(|known| known.looked.elapsed() < LOOK_AGAIN)
            .cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Address, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client by a kubeconfig. Its text is never repeated: it holds a key.
async fn connect(kubeconfig: &[u8], action: &str) -> Result<Client, PortError> {
    let unusable = |reason: &str| PortError::Prepare {
        action: action.to_owned(),
        reason: reason.to_owned(),
    };
    let text =
        std::str::from_utf8(kubeconfig).map_err(|_| unusable("its kubeconfig is not text"))?;
    let parsed = Kubeconfig::from_yaml(text)
        .map_err(|_| unusable("its kubeconfig cannot be read; write it anew"))?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|_| unusable("its kubeconfig names no usable cluster and user; write it anew"))?;
    Client::try_from(config).map_err(PortError::kubernetes(action))
}
