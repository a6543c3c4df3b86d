//! The control plane on the embedded parts. It reaches each of them over the
//! part's own protocol on the one port, as it would reach the real ones; only the
//! addresses and credentials are made here.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalyst_api::RegisterBlueprint;
use catalyst_commands::{Actor, Commands, CommandsConfig};
use catalyst_controllers::{Addresses as ControllerAddresses, Context, waker};
use catalyst_gateway::{Gateway, IssuerConfig, SpineSessions, VclusterAccess};
use catalyst_ports::{Clusters, Forge, Identity, RegistryAdmin, Spine, Tokens, Vault};
use catalyst_projector::Projector;
use catalyst_provisioner::service::Service;
use catalyst_resources::{HostCluster, IdentityTopology, SovereignSpec, TrustedSigner};
use catalyst_signature::SigningKey;
use catalyst_supply::{Credentials, Registry};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::access::Access;
use super::data::{DataDirectory, write_private};
use super::identity::SOVEREIGN_ADMIN;
use super::parts::{CONSOLE, CONTROL_PLANE, Site};
use super::payload::{self, Payload};
use super::tls::Authority;
use crate::cli::provision;

/// Where the kubeconfigs of host clusters are kept.
const SYSTEM_NAMESPACE: &str = "catalyst-system";
const MANAGER: &str = "catalyst-up";
/// How long the first start may take to register what ships with it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// How long it waits before it looks again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);
/// How long it waits for a vault that was away, to remove what nobody needs any more.
const VAULT_AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Credentials by which the control plane is known to the parts.
pub struct Credential {
    /// The forge's administrator token.
    pub forge: String,
    /// The registry's administrator token.
    pub registry: String,
    /// The vault's root token.
    pub vault: Zeroizing<String>,
    /// The control plane's client secret at the issuer.
    pub issuer: Zeroizing<String>,
    /// The forge shows it when it asks about a push.
    pub check: String,
    /// Signs the forge's webhooks.
    pub webhook: Zeroizing<String>,
    /// The registry shows it when it tells what changed.
    pub notifications: Zeroizing<String>,
    /// Seals browser sessions.
    pub sessions: Zeroizing<[u8; 32]>,
}

impl Credential {
    /// Derived from the data directory's secret: the same at every start.
    pub fn derive(data: &DataDirectory) -> anyhow::Result<Self> {
        Ok(Self {
            forge: data.derive_token("forge administrator")?,
            registry: data.derive_token("registry administrator")?,
            vault: Zeroizing::new(data.derive_token("vault root token")?),
            issuer: Zeroizing::new(data.derive_token("issuer client catalyst")?),
            check: data.derive_token("push check")?,
            webhook: Zeroizing::new(data.derive_token("webhooks")?),
            notifications: Zeroizing::new(data.derive_token("registry notifications")?),
            sessions: Zeroizing::new(data.derive_key("browser sessions")?),
        })
    }
}

/// The control plane; nothing of it runs before [`ControlPlane::start`].
pub struct ControlPlane {
    gateway: Gateway,
    projector: Projector,
    commands: Commands,
    context: Context,
    registry: Arc<Registry>,
    management: kube::Client,
    access: Access,
    key: SigningKey,
    site: Site,
}

impl ControlPlane {
    /// Builds it; asks nothing of any part yet. `clusters` are the management
    /// cluster and the host clusters.
    pub async fn new(
        site: &Site,
        data: &DataDirectory,
        authority: &Arc<Authority>,
        clusters: &[String],
        credential: &Credential,
        spine: Arc<dyn Spine>,
        http: reqwest::Client,
    ) -> anyhow::Result<Self> {
        let key = signing_key(data)?;
        let access = Access::new(&site.kubernetes_here, authority, clusters).await?;
        let management = access.management();

        let url = |path: &str| format!("{}{path}", site.base);
        let parse = |path: &str| url::Url::parse(&url(path)).context("the base is not a URL");
        let tokens = Tokens::client_credentials(
            http.clone(),
            parse("/oidc")?,
            CONTROL_PLANE.to_owned(),
            credential.issuer.clone(),
        );
        let forge = Forge::new(
            http.clone(),
            parse("/git")?,
            Tokens::fixed(credential.forge.clone()),
        );
        let identity = Identity::new(http.clone(), parse("/oidc/admin/realms/catalyst")?, tokens);
        let vault = Vault::new(http.clone(), parse("/vault")?, credential.vault.clone());
        let registry_admin = RegistryAdmin::new(
            http.clone(),
            parse("/")?,
            Tokens::basic(CONTROL_PLANE, credential.registry.clone()),
        );
        let registry = Arc::new(Registry::new(
            http.clone(),
            Credentials::Basic {
                username: CONTROL_PLANE.to_owned(),
                password: credential.registry.clone(),
            },
        ));
        let clients = Clusters::new(management.clone());
        let commands = Commands::new(CommandsConfig {
            forge: forge.clone(),
            identity: identity.clone(),
            vault: vault.clone(),
            registry: Arc::clone(&registry),
            registry_host: site.host.clone(),
            registry_insecure: site.base.starts_with("http://"),
            clusters: clients.clone(),
            domain: site.domain.clone(),
            console: url("/"),
            service_user: CONTROL_PLANE.to_owned(),
        });
        let context = Context {
            clusters: clients.clone(),
            forge,
            vault: vault.clone(),
            registry_admin,
            registry: Arc::clone(&registry),
            identity: identity.clone(),
            spine: Arc::clone(&spine),
            commands: commands.clone(),
            addresses: ControllerAddresses {
                domain: site.domain.clone(),
                registry_host: site.host.clone(),
                registry_insecure: site.base.starts_with("http://"),
                vault: url("/vault"),
                webhook_url: url("/api/v1/hooks/git"),
                webhook_secret: credential.webhook.clone(),
            },
            initial: initial(site, access.hosts(), &key),
            repositories: Default::default(),
        };
        let projector = Projector::open(catalyst_projector::Config {
            spine: Arc::clone(&spine),
            clusters: clients.clone(),
            applications: applications(site)?,
            git: url("/git"),
            clock: catalyst_projector::Config::system_clock(),
        })
        .await?;
        let wake = waker(&context);
        let look = wake.clone();
        let gateway = Gateway::new(catalyst_gateway::Config {
            http,
            issuer: IssuerConfig {
                issuer: parse("/oidc")?,
                console_client: CONSOLE.to_owned(),
                control_client: CONTROL_PLANE.to_owned(),
                control_secret: credential.issuer.clone(),
                audience: None,
            },
            commands: commands.clone(),
            projector: projector.clone(),
            identity,
            clusters: clients,
            vault,
            provisioning: provisioning(data),
            sessions: Box::new(SpineSessions(spine)),
            session_key: credential.sessions.clone(),
            addresses: catalyst_api::Addresses {
                console: url("/"),
                api: url("/api/v1"),
                git: url("/git"),
                registry: site.host.clone(),
                issuer: url("/oidc"),
                vault: url("/vault"),
            },
            vclusters: VclusterAccess {
                server: format!("{}/{{vcluster}}", site.kubernetes),
                certificate_authority: site.authority.clone(),
            },
            wake: Arc::new(move |repository| {
                let wake = wake.clone();
                Box::pin(async move { wake.repository_pushed(&repository).await })
            }),
            look: Arc::new(move |repositories| {
                let look = look.clone();
                Box::pin(async move { look.repositories_changed(repositories).await })
            }),
            webhook_secret: credential.webhook.clone(),
            registry_token: credential.notifications.clone(),
            check_token: Zeroizing::new(credential.check.clone()),
            registry: Arc::clone(&registry),
            vulnerabilities: site.vulnerabilities.clone(),
        })?;
        Ok(Self {
            gateway,
            projector,
            commands,
            context,
            registry,
            management,
            access,
            key,
            site: site.clone(),
        })
    }

    /// REST, the stream, sign-in, the console: everything from the root.
    pub fn router(&self) -> Router {
        self.gateway.router()
    }

    /// Starts controllers, projector and what tidies up. The port must be served by now.
    pub async fn start(
        &self,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        self.hand_over_hosts(OffsetDateTime::now_utc()).await?;
        let (projector, stopping) = (self.projector.clone(), stop.clone());
        tasks.spawn(async move { projector.run(stopping).await });
        let (context, stopping) = (self.context.clone(), stop.clone());
        tasks.spawn(async move { catalyst_controllers::run(context, stopping).await });
        let (gateway, stopping) = (self.gateway.clone(), stop.clone());
        tasks.spawn(async move { gateway.tidy_credentials(stopping, VAULT_AGAIN).await });
        let (gateway, stopping) = (self.gateway.clone(), stop.clone());
        tasks.spawn(async move { gateway.watch_vulnerabilities(stopping).await });
        Ok(())
    }

    /// Publishes what ships with this binary; done once all of it can be
    /// installed.
    pub async fn publish(&self) -> anyhow::Result<()> {
        let payload = Payload::carried();
        if let Some(what) = payload.lacking() {
            tracing::warn!("{what}");
        }
        let published =
            payload::publish(&self.registry, &self.site.host, &self.key, &payload).await?;
        let actor = Actor {
            username: CONTROL_PLANE.to_owned(),
            groups: vec![SOVEREIGN_ADMIN.to_owned()],
            sovereign_admin: true,
            ..Actor::default()
        };
        // After the first start the read model knows them; to ask Git and the registry
        // again would wait behind all that a start with Applications sets going.
        let wanted: Vec<(RegisterBlueprint, &str)> = published
            .iter()
            .filter_map(|one| Some((registration(&one.reference)?, one.digest.as_str())))
            .filter(|(one, digest)| !self.is_known(one, digest))
            .collect();
        let registered = async {
            let registering = wanted.iter().map(|(one, _)| self.register(&actor, one));
            futures::future::join_all(registering).await;
            let mut changes = Box::pin(self.projector.subscribe(None));
            while !wanted
                .iter()
                .all(|(one, digest)| self.is_known(one, digest))
            {
                drop(futures::StreamExt::next(&mut changes).await);
            }
            // Flux makes it from Git, and nothing above waits for that.
            while !self.gateway.knows_the_sovereign().await {
                tokio::time::sleep(AGAIN).await;
            }
        };
        if tokio::time::timeout(PATIENCE, registered).await.is_err() {
            bail!(
                "the Blueprints that ship with Catalyst were not registered within {} s; look for warnings above, or start with CATALYST_LOG=debug",
                PATIENCE.as_secs()
            );
        }
        Ok(())
    }

    /// Until it is admitted: the Sovereign's own object, which names the key, comes by
    /// way of Git, and nothing is trusted before it is there.
    async fn register(&self, actor: &Actor, wanted: &RegisterBlueprint) {
        while let Err(error) = self
            .commands
            .blueprint_register(actor, wanted.clone())
            .await
        {
            tracing::debug!(error = %error, name = wanted.name, "not registered yet");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether the marketplace has the version, with this content.
    fn is_known(&self, wanted: &RegisterBlueprint, digest: &str) -> bool {
        self.projector
            .blueprint(&wanted.source, &wanted.name, Some(&wanted.version), |_| {
                true
            })
            .is_some_and(|known| known.digest == digest)
    }

    /// Gives the control plane new client certificates, if those it has are due.
    pub async fn renew(&self, now: OffsetDateTime) -> anyhow::Result<()> {
        if !self.access.is_due(now) {
            return Ok(());
        }
        self.access.renew(now, self.hand_over_hosts(now)).await
    }

    /// Puts the kubeconfigs of the host clusters where controllers look.
    async fn hand_over_hosts(&self, now: OffsetDateTime) -> anyhow::Result<()> {
        let kubeconfigs = self.access.kubeconfigs(now)?;
        let apply = PatchParams::apply(MANAGER).force();
        let namespaces: Api<DynamicObject> =
            Api::all_with(self.management.clone(), &resource("Namespace"));
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}});
        namespaces
            .patch(SYSTEM_NAMESPACE, &apply, &Patch::Apply(&namespace))
            .await
            .context("cannot prepare the management cluster")?;
        let secrets: Api<DynamicObject> = Api::namespaced_with(
            self.management.clone(),
            SYSTEM_NAMESPACE,
            &resource("Secret"),
        );
        let writes = kubeconfigs.iter().map(|(name, kubeconfig)| {
            let secret: Value = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
                "data": {"kubeconfig": STANDARD.encode(kubeconfig)},
            });
            let (secrets, apply) = (secrets.clone(), apply.clone());
            async move { secrets.patch(name, &apply, &Patch::Apply(&secret)).await }
        });
        futures::future::try_join_all(writes)
            .await
            .context("cannot hand the host clusters to the control plane")?;
        Ok(())
    }
}

/// `{host}/{source}/{name}:{version}`, taken apart.
fn registration(reference: &str) -> Option<RegisterBlueprint> {
    let (rest, version) = reference.rsplit_once(':')?;
    let mut parts = rest.rsplit('/');
    let name = parts.next()?.to_owned();
    let source = parts.next()?.to_owned();
    Some(RegisterBlueprint {
        source,
        name,
        version: version.split('@').next()?.to_owned(),
    })
}

/// The key that signs what ships with this Sovereign; made at first start.
fn signing_key(data: &DataDirectory) -> anyhow::Result<SigningKey> {
    let path = data.join("catalog.key");
    if !path.exists() {
        let key = SigningKey::generate().context("cannot make the catalog's signing key")?;
        write_private(&path, key.to_pem()?.as_bytes())?;
    }
    let pem = Zeroizing::new(
        std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?,
    );
    SigningKey::from_pem(&pem).with_context(|| {
        format!(
            "{} holds no usable key; restore it from a backup",
            path.display()
        )
    })
}

fn initial(site: &Site, hosts: &[String], key: &SigningKey) -> SovereignSpec {
    let host_cluster = |name: &str| {
        let mut parts = name.split('-').skip(1).map(str::to_owned);
        Some(HostCluster {
            name: name.to_owned(),
            region: parts.next()?,
            building_block: parts.next()?,
            env_type: parts.next()?,
        })
    };
    SovereignSpec {
        domain: site.domain.clone(),
        provider: "local".to_owned(),
        host_clusters: hosts.iter().filter_map(|name| host_cluster(name)).collect(),
        identity_topology: IdentityTopology::SharedSovereign,
        catalog_mirrors: Vec::new(),
        trusted_signers: vec![TrustedSigner {
            source: payload::SOURCE.to_owned(),
            public_key: key.public().to_pem(),
        }],
        keyless_signers: Vec::new(),
        trusted_root: None,
    }
}

/// Provisions other Sovereigns. Programs and addresses are named as for the command line.
/// Gives why not where it cannot: that keeps nothing else of the Sovereign from starting.
fn provisioning(data: &DataDirectory) -> Result<Service, String> {
    let opened = provision::surroundings().and_then(|options| {
        Service::open(&data.join("sovereigns"), options).map_err(anyhow::Error::from)
    });
    match opened {
        Ok((service, unreadable)) => {
            for error in unreadable {
                tracing::warn!(%error, "a Sovereign that is provisioned from here is left alone");
            }
            Ok(service)
        }
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::error!(error = %reason, "no Sovereign can be provisioned from here");
            Err(reason)
        }
    }
}

/// The URL whose scheme and port Applications share.
fn applications(site: &Site) -> anyhow::Result<url::Url> {
    let mut url = url::Url::parse(&site.base).context("the base is not a URL")?;
    url.set_host(Some(&site.domain))
        .with_context(|| format!("{} is not a domain", site.domain))?;
    Ok(url)
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_sovereigns_from_being_provisioned_is_told_and_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        assert!(provisioning(&data).is_ok());
        let sovereigns = data.join("sovereigns");
        std::fs::remove_dir(&sovereigns).unwrap();
        std::fs::write(&sovereigns, "").unwrap();
        let reason = provisioning(&data).err().unwrap();
        assert!(reason.contains("sovereigns"), "{reason}");
    }
}
