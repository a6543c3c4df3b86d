//! The parts of an embedded Sovereign and their common router.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::routing::{any, get};
use catalyst_flux::Flux;
use catalyst_forge::{CheckConfig, Forge};
use catalyst_issuer::{Client, EncryptionKey, Issuer, NewUser, SecretHash};
use catalyst_kubernetes::{Authenticators, Identity, Kubernetes, OidcConfig, Tasks};
use catalyst_node::{Node, NodeHandle};
use catalyst_registry::{Listener, Permissions, Registry};
use catalyst_store::Store;
use catalyst_vault::Vault;
use http::StatusCode;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use zeroize::Zeroizing;

use super::api::ApiClient;
use super::client::in_process;
use super::control::{ControlPlane, Credential};
use super::data::DataDirectory;
use super::gateway::Gateway;
use super::host_clusters::{self, OIDC_GROUPS};
use super::identity::{Introspection, RegistryAccess, SOVEREIGN_ADMIN};
use super::kubeconfig::Administrator;
use super::kubelet::Kubelet;
use super::metrics::Metrics;
use super::notifications::Notifications;
use super::payload;
use super::pod_backend::NodePods;
use super::reach::Reach;
use super::report::Progress;
use super::spine::EmbeddedSpine;
use super::tls::Authority;
use super::vclusters::{self, VClusters};

/// The client that stands for the control plane at the issuer.
pub const CONTROL_PLANE: &str = "catalyst";
/// The public client of the console.
pub const CONSOLE: &str = "catalyst-console";
/// The public client of the command line.
const COMMAND_LINE: &str = "catalyst-cli";
const MAINTENANCE: Duration = Duration::from_secs(300);

/// Where clients reach this Sovereign.
#[derive(Debug, Clone)]
pub struct Site {
    /// URL of the one port, such as `http://127.0.0.1:8080`.
    pub base: String,
    /// Host and port of it.
    pub host: String,
    /// The domain below which Applications are reached.
    pub domain: String,
    /// URL below which logical clusters are served, over TLS.
    pub kubernetes: String,
    /// The same, as this machine itself reaches them.
    pub kubernetes_here: String,
    /// The Sovereign's certificate authority, PEM.
    pub authority: String,
    /// Where the database of known vulnerabilities is, if there is one.
    pub vulnerabilities: Option<PathBuf>,
}

/// Everything that runs.
pub struct Parts {
    issuer: Issuer,
    forge: Forge,
    registry: Registry,
    vault: Vault,
    kubernetes: Kubernetes,
    gateway: Gateway,
    flux: Flux,
    control: ControlPlane,
    introspection: Introspection,
    base: String,
    clusters: Vec<String>,
    ready: Arc<AtomicBool>,
    metrics: Metrics,
    node: NodeHandle,
    _tasks: Tasks,
    node_tasks: JoinSet<()>,
}

impl Parts {
    /// Opens every part on the data directory.
    pub async fn open(
        data: &DataDirectory,
        site: &Site,
        authority: &Arc<Authority>,
        reach: &Reach,
        progress: &mut Progress,
    ) -> anyhow::Result<Self> {
        let http = reach
            .client()
            .build()
            .context("cannot build the HTTP client")?;
        let credential = Credential::derive(data)?;
        let base = site.base.as_str();
        let store = Store::open(data.join("store.redb"), catalyst_store::Options::default())?;
        progress.ready("store");
        let introspection =
            Introspection::new(http.clone(), CONTROL_PLANE, credential.issuer.to_string());

        let mut config = catalyst_node::Config::new(data.join("node"), http.clone());
        config.registry_of = payload::registries(base, credential.registry.clone());
        let node = Node::open(config).await?;
        progress.ready("node");
        let issuer = open_issuer(&store, data, base, &credential.issuer).await?;
        progress.ready("issuer");
        let kubernetes = Kubernetes::new(catalyst_kubernetes::Config {
            store: store.clone(),
            authenticators: authenticators(&issuer, http.clone()),
            token_key: data.derive_key("service account tokens")?.to_vec(),
            root_ca: site.authority.clone(),
            pods: Some(Arc::new(NodePods(Arc::clone(&node)))),
        });
        let clusters = host_clusters::create(&kubernetes).await?;
        let tasks = kubernetes.start();
        progress.ready("kubernetes");
        let api = ApiClient::new(
            kubernetes.router(),
            Identity::administrator("system:node:local"),
        );
        let mut node_tasks = JoinSet::new();
        let workloads = Kubelet::start(
            api.clone(),
            Arc::clone(&node),
            data.join("volumes"),
            &mut node_tasks,
        )
        .await?;
        progress.ready("kubelet");
        let gateway = Gateway::start(
            api,
            &site.domain,
            workloads,
            Arc::clone(&node),
            &mut node_tasks,
        )
        .await?;
        let flux = stand_ins(
            &kubernetes,
            data,
            site,
            reach,
            http.clone(),
            &mut node_tasks,
        )?;
        progress.ready("gateway");
        let forge = open_forge(&store, data, site, reach, &credential, &introspection).await?;
        progress.ready("forge");
        let (listener, notifications) = Notifications::new();
        let registry = open_registry(&store, data, &credential, &introspection, listener).await?;
        node_tasks.spawn(notifications.run(
            http.clone(),
            format!("{base}/api/v1/hooks/registry"),
            credential.notifications.clone(),
        ));
        progress.ready("registry");
        let vault = open_vault(&store, data, &credential).await?;
        progress.ready("vault");
        let spine = Arc::new(EmbeddedSpine::new(catalyst_spine::Spine::new(store)));
        let control =
            ControlPlane::new(site, data, authority, &clusters, &credential, spine, http).await?;
        progress.ready("control plane");
        Ok(Self {
            issuer,
            forge,
            registry,
            vault,
            kubernetes,
            gateway,
            flux,
            control,
            introspection,
            base: base.to_owned(),
            clusters,
            ready: Arc::default(),
            metrics: Metrics::new(),
            node,
            _tasks: tasks,
            node_tasks,
        })
    }

    /// Every surface, by path.
    pub fn router(&self) -> Router {
        let ready = Arc::clone(&self.ready);
        let readiness = move || async move {
            if ready.load(Ordering::Acquire) {
                (StatusCode::OK, "ok\n")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
            }
        };
        let (numbers, introspection) = (self.metrics.clone(), self.introspection.clone());
        let metrics = move |request: axum::extract::Request| {
            let (numbers, introspection) = (numbers.clone(), introspection.clone());
            async move { numbers.answer(&introspection, request).await }
        };
        let kubernetes = self.kubernetes.router();
        let introspection = self.introspection.clone();
        let clusters = move |mut request: axum::extract::Request| {
            let (kubernetes, introspection) = (kubernetes.clone(), introspection.clone());
            let token = introspection.to_ask_about(&request);
            async move {
                if let Some(token) = token {
                    if let Some(refused) = introspection.refuse_ended(&token).await {
                        return Ok(refused);
                    }
                    request
                        .extensions_mut()
                        .insert(introspection.standing(token));
                }
                kubernetes.oneshot(request).await
            }
        };
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readiness))
            .route("/metrics", get(metrics))
            .nest("/oidc", self.issuer.router())
            .nest("/git", self.forge.router())
            .nest("/vault", self.vault.router())
            .nest("/flux", self.flux.router())
            .merge(self.registry.router())
            .merge(self.registry.projects_router())
            .route("/clusters/{*path}", any(clusters))
            // REST, sign-in and the console answer for every other path.
            .fallback_service(self.control.router())
    }

    /// What `/metrics` tells.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// What answers for the host names of Applications.
    pub fn gateway(&self) -> Gateway {
        self.gateway.clone()
    }

    /// Lets the parts that ask the issuer reach it, now that it is served.
    pub fn connect(&self) {
        self.introspection.connect(self.issuer.identifier());
    }

    /// Host clusters, the management cluster first.
    pub fn clusters(&self) -> Vec<String> {
        self.clusters.clone()
    }

    /// The control plane.
    pub fn control(&self) -> &ControlPlane {
        &self.control
    }

    /// From now on `/readyz` says so.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
        self.metrics.set_ready();
    }

    /// A new one-time link for the first sovereign-admin, until one of them has
    /// set a password.
    pub async fn first_sign_in(&self) -> anyhow::Result<Option<String>> {
        let administrators: Vec<_> = self
            .issuer
            .user_list()?
            .into_iter()
            .filter(|user| user.groups.iter().any(|group| group == SOVEREIGN_ADMIN))
            .collect();
        if administrators.iter().any(|user| user.has_password) {
            return Ok(None);
        }
        let user = match administrators.into_iter().next() {
            Some(user) => user,
            None => {
                let new = NewUser {
                    // `admin` is a name that Gitea reserves.
                    username: SOVEREIGN_ADMIN.to_owned(),
                    groups: vec![SOVEREIGN_ADMIN.to_owned()],
                    ..NewUser::default()
                };
                self.issuer
                    .user_create(new)
                    .await
                    .context("cannot create the first sovereign-admin")?
            }
        };
        // Through the console's sign-in, so that the password is all it takes.
        let link = self
            .issuer
            .user_invite(&user.id, &format!("{}/auth/sign-in", self.base).parse()?)
            .await
            .context("cannot make the first sovereign-admin's one-time link")?;
        Ok(Some(link.url))
    }

    /// Background work of the parts, and renewals of client certificates; ends only
    /// when told to.
    pub async fn maintain(&self, mut administrator: Administrator, stop: CancellationToken) {
        let deliveries = self.forge.run(stop.clone().cancelled_owned());
        let upkeep = async {
            let mut next = Instant::now();
            loop {
                tokio::time::sleep_until((next + MAINTENANCE).into()).await;
                next = Instant::now();
                if let Err(error) = self.issuer.maintain().await {
                    tracing::warn!(error = %error, "issuer maintenance failed");
                }
                if let Err(error) = self.vault.sweep().await {
                    tracing::warn!(error = %error, "vault maintenance failed");
                }
                if let Err(error) = self.registry.collect_garbage().await {
                    tracing::warn!(error = %error, "registry garbage collection failed");
                }
                let now = OffsetDateTime::now_utc();
                let renewed = administrator.renew(now);
                if let Err(error) = renewed.and(self.control.renew(now).await) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "client certificates not renewed"
                    );
                }
            }
        };
        tokio::select! {
            () = deliveries => {}
            () = upkeep => {}
        }
    }

    /// How many pods have processes now.
    pub fn pods_alive(&self) -> usize {
        self.node.alive()
    }

    /// Ends all pods: their programs are asked, and killed after `grace`. The API
    /// is not told, so that the next start makes them run again.
    pub async fn end_pods(&mut self, grace: Duration) {
        // Whoever would start them again, or write down that they ended, goes first.
        self.node_tasks.shutdown().await;
        self.node.retain(&[], Some(grace)).await;
    }

    /// Lets go of the store, which flushes it.
    pub async fn close(self) {
        // It waits for the disk, which must not hold up whoever counts the time.
        drop(tokio::task::spawn_blocking(move || drop(self)).await);
    }
}

/// Starts what serves every logical cluster from inside it: vclusters on
/// request, Secrets from the vault, Flux.
fn stand_ins(
    kubernetes: &Kubernetes,
    data: &DataDirectory,
    site: &Site,
    reach: &Reach,
    http: reqwest::Client,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Flux> {
    let (router, identity) = (
        kubernetes.router(),
        Identity::administrator("system:embedded"),
    );
    let everywhere = in_process(&router, &identity, "*");
    let connect: vclusters::Connect =
        Arc::new(move |cluster| in_process(&router, &identity, cluster));
    tasks.spawn(
        VClusters {
            kubernetes: kubernetes.clone(),
            everywhere: everywhere.clone(),
            connect: Arc::clone(&connect),
            server: site.kubernetes_here.clone(),
            authority: site.authority.clone(),
            bootstrap: Arc::new(host_clusters::vcluster_bootstrap()?),
        }
        .run(),
    );
    let external_secrets = catalyst_external_secrets::Config {
        connect: Arc::clone(&connect),
        everywhere: everywhere.clone(),
        http: http.clone(),
    };
    // Both end with the task set, like everything that holds no state.
    tasks.spawn(catalyst_external_secrets::run(
        external_secrets,
        CancellationToken::new(),
    ));
    let reach = reach.clone();
    let flux = Flux::new(catalyst_flux::Config {
        connect,
        everywhere,
        http,
        client: Arc::new(move || reach.client()),
        data: data.join("flux"),
        // Of each namespace, and of no rights.
        default_service_account: Some("default".to_owned()),
        artifacts_url: format!("{}/flux", site.base),
    });
    let running = flux.clone();
    tasks.spawn(async move { running.run(CancellationToken::new()).await });
    Ok(flux)
}

async fn open_issuer(
    store: &Store,
    data: &DataDirectory,
    base: &str,
    secret: &str,
) -> anyhow::Result<Issuer> {
    let url = format!("{base}/oidc")
        .parse()
        .context("the issuer's address is not a URL")?;
    let key = EncryptionKey::new(data.derive_key("issuer keys at rest")?);
    let mut config = catalyst_issuer::Config::new(store.clone(), url, key);
    let mut control_plane = Client::service(CONTROL_PLANE, "Catalyst", SecretHash::of(secret));
    control_plane.groups = vec![SOVEREIGN_ADMIN.to_owned()];
    control_plane.admin = true;
    let mut command_line = Client::public(
        COMMAND_LINE,
        "Catalyst command line",
        &["http://127.0.0.1/callback", "http://[::1]/callback"],
    );
    command_line.grants.push(catalyst_issuer::Grant::DeviceCode);
    let mut console = Client::public(CONSOLE, "Catalyst", &[&format!("{base}/auth/callback")]);
    console.post_logout_redirect_uris = vec![format!("{base}/")];
    config.clients = vec![control_plane, command_line, console];
    Ok(Issuer::open(config).await?)
}

fn authenticators(issuer: &Issuer, http: reqwest::Client) -> Authenticators {
    Authenticators {
        tokens: Default::default(),
        oidc: vec![OidcConfig {
            issuer_url: issuer.identifier().to_owned(),
            jwks_url: None,
            audiences: vec![issuer.identifier().to_owned()],
            username_claim: "preferred_username".to_owned(),
            username_prefix: String::new(),
            groups_claim: "groups".to_owned(),
            groups_prefix: OIDC_GROUPS.to_owned(),
            http,
        }],
    }
}

async fn open_forge(
    store: &Store,
    data: &DataDirectory,
    site: &Site,
    reach: &Reach,
    credential: &Credential,
    introspection: &Introspection,
) -> anyhow::Result<Forge> {
    let base = &site.base;
    let mut config =
        catalyst_forge::Config::new(data.join("forge"), store.clone(), format!("{base}/git"));
    config.admin_token = Some(credential.forge.clone());
    let mut check = CheckConfig::at(format!("{base}/api/v1/checks/push"));
    check.token = Some(credential.check.clone());
    config.check = Some(check);
    let reach = reach.clone();
    config.client = Arc::new(move || reach.client());
    config.verifier = Some(Arc::new(introspection.clone()));
    Ok(Forge::open(config).await?)
}

async fn open_registry(
    store: &Store,
    data: &DataDirectory,
    credential: &Credential,
    introspection: &Introspection,
    listener: Listener,
) -> anyhow::Result<Registry> {
    let permissions = Permissions::new(store.clone());
    let access = RegistryAccess::new(
        introspection.clone(),
        permissions,
        credential.registry.clone(),
    );
    let mut config =
        catalyst_registry::Config::new(data.join("registry"), store.clone(), Arc::new(access));
    config.listener = Some(listener);
    Ok(Registry::open(config).await?)
}

async fn open_vault(
    store: &Store,
    data: &DataDirectory,
    credential: &Credential,
) -> anyhow::Result<Vault> {
    let root_key = Zeroizing::new(data.derive_key("vault at rest")?);
    Ok(Vault::open(catalyst_vault::Config::new(
        store.clone(),
        root_key,
        credential.vault.clone(),
    ))
    .await?)
}
