//! A gateway in a small world: an issuer and a Kubernetes API that speak their
//! protocols on loopback, as far as the gateway uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use catalyst_api::Addresses;
use catalyst_commands::{Commands, CommandsConfig};
use catalyst_gateway::{Config, Gateway, IssuerConfig, SpineSessions, VclusterAccess};
use catalyst_ports::{Clusters, Forge, Identity, RepositoryId, Spine, Tokens, Vault};
use catalyst_projector::Projector;
use catalyst_provisioner::service::Service;
use catalyst_provisioner::{Module, Options, Secret, Waits, tofu};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;
use zeroize::Zeroizing;

use crate::cluster;
use crate::issuer::{self, Keys};
use crate::repository::{self, Repository};
use crate::spine::MemorySpine;

pub const ORIGIN: &str = "http://127.0.0.1:8080";
pub const CHECK_TOKEN: &str = "the token of the push check";
pub const WEBHOOK_SECRET: &str = "the secret of the webhook";
pub const REGISTRY_TOKEN: &str = "the token of the registry";
pub const CONTROL_SECRET: &str = "the control plane's secret";

/// What the parts answer; tests change it while the gateway runs.
pub struct Parts {
    /// Token → user. A user who is not in `users` has no good token.
    pub tokens: BTreeMap<String, String>,
    /// User → groups.
    pub users: BTreeMap<String, Vec<String>>,
    /// Organization → members.
    pub organizations: BTreeMap<String, Vec<Value>>,
    /// Authorization code → (user, challenge, nonce).
    pub codes: BTreeMap<String, (String, String, String)>,
    /// Refresh token → user; each works once.
    pub refresh: BTreeMap<String, String>,
    /// How often tokens were renewed.
    pub renewals: u32,
    /// Until when the issuer keeps the answer to a renewal that it has made.
    pub held_renewal: Option<Arc<Notify>>,
    /// Seconds that new access tokens live.
    pub lifetime: i64,
    /// Whether the issuer answers at all.
    pub issuer_is_up: bool,
    /// Whether the identity tokens it makes are signed by its own key.
    pub signs_with_own_key: bool,
    /// What was revoked.
    pub revoked: BTreeSet<String>,
    /// Introspections so far.
    pub introspections: u32,
    /// Lists of Organizations so far.
    pub lists: u32,
    /// Repositories that were woken.
    pub woken: Vec<RepositoryId>,
    /// Repositories of the registry that were to be looked at, by notification.
    pub looked_at: Vec<BTreeSet<String>>,
    /// Objects that clusters hold, by plural; Organizations are made from
    /// `organizations`.
    pub objects: BTreeMap<String, Vec<Value>>,
    /// Whether the forge has the Sovereign's configuration.
    pub has_configuration: bool,
    /// Its files, text by path.
    pub files: BTreeMap<String, String>,
    /// What acme-dev's repository holds.
    pub repository: Repository,
    /// The pull requests of acme-dev by number, as the forge shows them.
    pub pulls: BTreeMap<u64, Value>,
    /// Who closed one, in order.
    pub closers: Vec<String>,
    /// Pull requests that the forge does not close before the test says so.
    pub held: BTreeMap<u64, Arc<Notify>>,
    /// Those of them that it has been asked to close.
    pub asked: BTreeSet<u64>,
    /// Who is let into acme-dev by name.
    pub let_in: BTreeSet<String>,
    /// What was asked to be committed to it.
    pub commits: Vec<Value>,
    /// What the vault holds below its mount, by path.
    pub secrets: BTreeMap<String, Value>,
    /// Whether the vault answers at all.
    pub vault_is_up: bool,
    /// How often it did not.
    pub vault_refusals: u32,
    /// Pods whose container has not started.
    pub unstarted: BTreeSet<String>,
    /// Pods whose container has ended and waits to start again.
    pub ended: BTreeSet<String>,
    /// Pods that have a container before that one, which waits to start again.
    pub unprepared: BTreeSet<String>,
    /// Pods that have a container before that one, which did what it is for.
    pub prepared: BTreeSet<String>,
    /// How often the container of a pod was started again.
    pub restarts: BTreeMap<String, u32>,
    /// The issuer's own name.
    pub issuer: String,
    /// How many tokens were made.
    pub made: u32,
}

pub type Shared = Arc<Mutex<Parts>>;

/// The world.
pub struct World {
    pub gateway: Gateway,
    pub commands: Commands,
    pub parts: Shared,
    pub spine: Arc<MemorySpine>,
    pub projector: Projector,
    pub issuer: String,
    pub provisioning: Service,
    // Where Sovereigns are provisioned, unless the test has a folder for that.
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// Acme has Ada (admin), Dan (developer), Vic (viewer) and Bill (billing);
    /// Olga is in globex only; Sol administers the Sovereign. Each user's token
    /// is `{user}-token`.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self::provisioning_in(folder.path(), no_tools()).await;
        Self {
            _folder: Some(folder),
            ..world
        }
    }

    /// The same, with a folder in which Sovereigns are provisioned, and how.
    pub async fn provisioning_in(folder: &std::path::Path, options: Options) -> Self {
        let (service, unreadable) = Service::open(folder, options).unwrap();
        assert!(unreadable.is_empty(), "{unreadable:?}");
        Self::with(service.clone(), Ok(service)).await
    }

    /// The same, where nothing can be provisioned.
    pub async fn without_provisioning(reason: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (service, _) = Service::open(folder.path(), no_tools()).unwrap();
        Self::with(service, Err(reason.to_owned())).await
    }

    async fn with(service: Service, provisioning: Result<Service, String>) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let issuer = format!("{base}/oidc");
        let people = ["ada", "dan", "vic", "bill", "olga"];
        let mut users: BTreeMap<String, Vec<String>> = people
            .iter()
            .map(|user| ((*user).to_owned(), Vec::new()))
            .collect();
        users.insert("sol".to_owned(), vec!["sovereign-admin".to_owned()]);
        let member = |user: &str, role: &str| json!({"user": user, "role": role});
        let parts = Arc::new(Mutex::new(Parts {
            tokens: users
                .keys()
                .map(|user| (format!("{user}-token"), user.clone()))
                .collect(),
            users,
            organizations: BTreeMap::from([
                (
                    "acme".to_owned(),
                    vec![
                        member("ada", "org-admin"),
                        member("dan", "org-developer"),
                        member("vic", "org-viewer"),
                        member("bill", "billing-admin"),
                    ],
                ),
                ("globex".to_owned(), vec![member("olga", "org-admin")]),
            ]),
            codes: BTreeMap::new(),
            refresh: BTreeMap::new(),
            renewals: 0,
            held_renewal: None,
            lifetime: 300,
            issuer_is_up: true,
            signs_with_own_key: true,
            revoked: BTreeSet::new(),
            introspections: 0,
            lists: 0,
            woken: Vec::new(),
            looked_at: Vec::new(),
            objects: cluster::objects(),
            has_configuration: false,
            files: BTreeMap::new(),
            repository: Repository::default(),
            pulls: BTreeMap::new(),
            closers: Vec::new(),
            held: BTreeMap::new(),
            asked: BTreeSet::new(),
            let_in: BTreeSet::new(),
            commits: Vec::new(),
            secrets: BTreeMap::new(),
            vault_is_up: true,
            vault_refusals: 0,
            unstarted: BTreeSet::new(),
            unprepared: BTreeSet::new(),
            prepared: BTreeSet::new(),
            ended: BTreeSet::new(),
            restarts: BTreeMap::new(),
            issuer: issuer.clone(),
            made: 0,
        }));
        let server = serve(Arc::clone(&parts), Arc::new(issuer::keys()), base.clone());
        tokio::spawn(async move { axum::serve(listener, server).await.unwrap() });
        let spine = Arc::new(MemorySpine::default());
        let (gateway, commands, projector) =
            gateway(&base, &issuer, &parts, Arc::clone(&spine), provisioning).await;
        Self {
            gateway,
            commands,
            parts,
            spine,
            projector,
            issuer,
            provisioning: service,
            _folder: None,
        }
    }

    /// A world whose projector watches the clusters, once it knows them.
    pub async fn watched() -> Self {
        let world = Self::new().await;
        world.watch().await;
        world
    }

    /// Has the projector watch the clusters, until it knows them.
    pub async fn watch(&self) {
        let projector = self.projector.clone();
        tokio::spawn(async move { projector.run(CancellationToken::new()).await });
        wait("the projector knows the Application", || {
            self.projector.application("acme-dev", "blog").is_some()
                && self.projector.environment("globex-dev").is_some()
                && self.projector.upgrade("everywhere").is_some()
                && self.projector.blueprint_sources().len() == 3
        })
        .await;
    }

    /// What the gateway keeps of sessions.
    pub fn sessions(&self) -> Vec<(String, Bytes)> {
        self.spine.bucket("console-sessions")
    }

    pub fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap()
    }

    /// Sends a request and returns status, headers and body.
    pub async fn send(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, Bytes) {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, body)
    }

    /// Sends a request and leaves the body to be read.
    pub async fn open(&self, request: Request<Body>) -> Response {
        self.gateway.router().oneshot(request).await.unwrap()
    }

    /// A request of a user with a token; anonymous without one.
    pub async fn ask(
        &self,
        user: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request.header("authorization", format!("Bearer {user}-token"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let (status, _, body) = self.send(request.body(body).unwrap()).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

async fn gateway(
    base: &str,
    issuer: &str,
    parts: &Shared,
    spine: Arc<MemorySpine>,
    provisioning: Result<Service, String>,
) -> (Gateway, Commands, Projector) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| Url::parse(&format!("{base}{path}")).unwrap();
    let tokens = Tokens::fixed("control");
    let cluster = kube::Config::new(base.parse().unwrap());
    let clusters = Clusters::new(kube::Client::try_from(cluster).unwrap());
    let identity = Identity::new(
        http.clone(),
        url("/oidc/admin/realms/catalyst"),
        tokens.clone(),
    );
    let registry = Arc::new(catalyst_supply::Registry::new(
        http.clone(),
        catalyst_supply::Credentials::Anonymous,
    ));
    let vault = Vault::new(
        http.clone(),
        url("/vault"),
        Zeroizing::new("root".to_owned()),
    );
    let commands = Commands::new(CommandsConfig {
        forge: Forge::new(http.clone(), url("/git"), tokens),
        identity: identity.clone(),
        vault: vault.clone(),
        registry: Arc::clone(&registry),
        registry_host: "127.0.0.1:1".to_owned(),
        registry_insecure: true,
        clusters: clusters.clone(),
        domain: "localhost".to_owned(),
        console: ORIGIN.to_owned(),
        service_user: "catalyst".to_owned(),
    });
    let projector = Projector::open(catalyst_projector::Config {
        spine: Arc::clone(&spine) as Arc<dyn Spine>,
        clusters: clusters.clone(),
        applications: Url::parse(ORIGIN).unwrap(),
        git: format!("{ORIGIN}/git"),
        clock: catalyst_projector::Config::system_clock(),
    })
    .await
    .unwrap();
    let woken = Arc::clone(parts);
    let looked = Arc::clone(parts);
    let config = Config {
        http,
        issuer: IssuerConfig {
            issuer: Url::parse(issuer).unwrap(),
            console_client: "catalyst-console".to_owned(),
            control_client: "catalyst".to_owned(),
            control_secret: Zeroizing::new(CONTROL_SECRET.to_owned()),
            audience: None,
        },
        commands: commands.clone(),
        projector: projector.clone(),
        identity,
        clusters,
        vault,
        provisioning,
        sessions: Box::new(SpineSessions(spine)),
        session_key: Zeroizing::new([7; 32]),
        addresses: Addresses {
            console: ORIGIN.to_owned(),
            api: format!("{ORIGIN}/api/v1"),
            git: format!("{ORIGIN}/git"),
            registry: "127.0.0.1:8080".to_owned(),
            issuer: issuer.to_owned(),
            vault: format!("{ORIGIN}/vault"),
        },
        vclusters: VclusterAccess {
            server: "https://127.0.0.1:8080/clusters/{vcluster}".to_owned(),
            certificate_authority: "-----BEGIN CERTIFICATE-----".to_owned(),
        },
        wake: Arc::new(move |repository| {
            woken.lock().unwrap().woken.push(repository);
            Box::pin(async {})
        }),
        look: Arc::new(move |repositories| {
            looked.lock().unwrap().looked_at.push(repositories);
            Box::pin(async {})
        }),
        registry_token: Zeroizing::new(REGISTRY_TOKEN.to_owned()),
        webhook_secret: Zeroizing::new(WEBHOOK_SECRET.to_owned()),
        check_token: Zeroizing::new(CHECK_TOKEN.to_owned()),
        registry,
        vulnerabilities: None,
    };
    (Gateway::new(config).unwrap(), commands, projector)
}

/// No program is there, and nobody answers in the place of Hetzner.
pub fn no_tools() -> Options {
    Options {
        tofu: "absent-tofu".into(),
        ssh: "absent-ssh".into(),
        ssh_port: 22,
        hetzner: Url::parse("http://127.0.0.1:1/v1").unwrap(),
        module: Module::new([]),
        token: Secret::new(""),
        git: None,
        own: None,
        limits: tofu::Limits::default(),
        waits: Waits::default(),
    }
}

#[derive(Clone)]
pub struct Server {
    pub parts: Shared,
    pub keys: Arc<Keys>,
    /// Where all of it answers.
    pub base: String,
}

fn serve(parts: Shared, keys: Arc<Keys>, base: String) -> Router {
    let repository = repository::router(Arc::clone(&parts));
    let server = Server { parts, keys, base };
    Router::new()
        .merge(crate::issuer::routes())
        .merge(crate::forge::routes())
        .merge(crate::vault::routes())
        .merge(crate::cluster::routes())
        .with_state(server)
        .merge(repository)
}

/// Waits for a condition, at most ten seconds.
pub async fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(
            begun.elapsed().as_secs() < 10,
            "waited in vain until {what}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
