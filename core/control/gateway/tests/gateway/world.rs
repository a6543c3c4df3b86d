//! A gateway in a small world: an issuer and a Kubernetes API that speak their
//! protocols on loopback, as far as the gateway uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::body::Body;
use axum::extract::{Path, Query, RawForm, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use catalyst_api::Addresses;
use catalyst_commands::{Commands, CommandsConfig};
use catalyst_gateway::{Config, Gateway, IssuerConfig, SpineSessions, VclusterAccess};
use catalyst_ports::{Clusters, Forge, Identity, RepositoryId, Spine, Tokens, Vault};
use catalyst_projector::Projector;
use catalyst_provisioner::service::Service;
use catalyst_provisioner::{Module, Options, Secret, Waits, tofu};
use futures::{StreamExt as _, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;
use zeroize::Zeroizing;

use crate::repository::{self, Repository};
use crate::spine::MemorySpine;

pub const ORIGIN: &str = "http://127.0.0.1:8080";
pub const CHECK_TOKEN: &str = "the token of the push check";
pub const WEBHOOK_SECRET: &str = "the secret of the webhook";
const CONTROL_SECRET: &str = "the control plane's secret";

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
    /// How often the container of a pod was started again.
    pub restarts: BTreeMap<String, u32>,
    issuer: String,
    made: u32,
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

struct Keys {
    own: Vec<u8>,
    foreign: Vec<u8>,
    jwk: Value,
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
            objects: objects(),
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
            ended: BTreeSet::new(),
            restarts: BTreeMap::new(),
            issuer: issuer.clone(),
            made: 0,
        }));
        let server = serve(Arc::clone(&parts), Arc::new(keys()), base.clone());
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
    let registry =
        catalyst_supply::Registry::new(http.clone(), catalyst_supply::Credentials::Anonymous);
    let vault = Vault::new(
        http.clone(),
        url("/vault"),
        Zeroizing::new("root".to_owned()),
    );
    let commands = Commands::new(CommandsConfig {
        forge: Forge::new(http.clone(), url("/git"), tokens),
        identity: identity.clone(),
        vault: vault.clone(),
        registry: Arc::new(registry),
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
        webhook_secret: Zeroizing::new(WEBHOOK_SECRET.to_owned()),
        check_token: Zeroizing::new(CHECK_TOKEN.to_owned()),
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

fn keys() -> Keys {
    let random = SystemRandom::new();
    let make = || {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    let own = make();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &own).unwrap();
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
        "x": part(1..33), "y": part(33..65),
    });
    Keys {
        own,
        foreign: make(),
        jwk,
    }
}

#[derive(Clone)]
pub struct Server {
    pub parts: Shared,
    keys: Arc<Keys>,
    base: String,
}

fn serve(parts: Shared, keys: Arc<Keys>, base: String) -> Router {
    let repository = repository::router(Arc::clone(&parts));
    let server = Server { parts, keys, base };
    Router::new()
        .route("/oidc/.well-known/openid-configuration", get(discovery))
        .route("/oidc/jwks", get(jwks))
        .route("/oidc/token", post(token))
        .route("/oidc/introspect", post(introspect))
        .route("/oidc/revoke", post(revoke))
        .route("/oidc/admin/realms/catalyst/users", get(users))
        .merge(crate::forge::routes())
        .merge(crate::vault::routes())
        .route("/version", get(version))
        .route("/apis/catalyst.openova.io/v1alpha1/{plural}", get(own_kind))
        .route("/api/v1/namespaces/{namespace}/pods", get(pods))
        .route("/api/v1/namespaces/{namespace}/pods/{pod}/log", get(log))
        .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(secret))
        .with_state(server)
        .merge(repository)
}

async fn discovery(State(server): State<Server>) -> Json<Value> {
    let base = format!("{}/oidc", server.base);
    Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "introspection_endpoint": format!("{base}/introspect"),
        "revocation_endpoint": format!("{base}/revoke"),
        "end_session_endpoint": format!("{base}/logout"),
        "scopes_supported": ["openid", "profile", "email"],
    }))
}

async fn jwks(State(server): State<Server>) -> Json<Value> {
    Json(json!({"keys": [server.keys.jwk]}))
}

fn form(bytes: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

async fn introspect(
    State(server): State<Server>,
    headers: http::HeaderMap,
    RawForm(body): RawForm,
) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if !parts.issuer_is_up {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    parts.introspections += 1;
    let expected = STANDARD.encode(format!("catalyst:{CONTROL_SECRET}"));
    assert_eq!(headers["authorization"], format!("Basic {expected}"));
    let token = form(&body)["token"].clone();
    let user = parts
        .tokens
        .get(&token)
        .filter(|_| !parts.revoked.contains(&token));
    let answer = match user.and_then(|user| Some((user, parts.users.get(user)?))) {
        // As Keycloak answers about a refresh token.
        Some(_) if token.starts_with("refresh") => json!({"active": true, "typ": "Refresh"}),
        Some((user, groups)) => json!({
            "active": true, "token_type": "Bearer", "username": user,
            "email": format!("{user}@example.test"), "groups": groups,
        }),
        None => json!({"active": false}),
    };
    Json(answer).into_response()
}

async fn token(State(server): State<Server>, RawForm(body): RawForm) -> Response {
    let form = form(&body);
    let answer = granted(&server, &form);
    let held = server.parts.lock().unwrap().held_renewal.clone();
    if let Some(held) = held.filter(|_| form["grant_type"] == "refresh_token") {
        held.notified().await;
    }
    answer
}

fn granted(server: &Server, form: &BTreeMap<String, String>) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if !parts.issuer_is_up {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    assert_eq!(form["client_id"], "catalyst-console");
    let refused = || {
        let error = json!({"error": "invalid_grant"});
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    };
    let (user, nonce) = match form["grant_type"].as_str() {
        "authorization_code" => {
            assert_eq!(form["redirect_uri"], format!("{ORIGIN}/auth/callback"));
            let Some((user, challenge, nonce)) = parts.codes.remove(&form["code"]) else {
                return refused();
            };
            let verifier = digest(&SHA256, form["code_verifier"].as_bytes());
            if URL_SAFE_NO_PAD.encode(verifier) != challenge {
                return refused();
            }
            (user, Some(nonce))
        }
        _ => {
            let Some(user) = parts.refresh.remove(&form["refresh_token"]) else {
                return refused();
            };
            if !parts.users.contains_key(&user) {
                return refused();
            }
            parts.renewals += 1;
            (user, None)
        }
    };
    parts.made += 1;
    let (access, refresh) = (
        format!("access-{}", parts.made),
        format!("refresh-{}", parts.made),
    );
    parts.tokens.insert(access.clone(), user.clone());
    parts.tokens.insert(refresh.clone(), user.clone());
    parts.refresh.insert(refresh.clone(), user.clone());
    let key = match parts.signs_with_own_key {
        true => &server.keys.own,
        false => &server.keys.foreign,
    };
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": parts.issuer, "aud": "catalyst-console", "sub": user, "exp": now + 300,
        "iat": now, "nonce": nonce,
    });
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    let identity = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(key)).unwrap();
    Json(json!({
        "access_token": access, "refresh_token": refresh, "id_token": identity,
        "expires_in": parts.lifetime, "token_type": "Bearer",
    }))
    .into_response()
}

async fn revoke(State(server): State<Server>, RawForm(body): RawForm) -> StatusCode {
    let mut parts = server.parts.lock().unwrap();
    let token = form(&body)["token"].clone();
    parts.refresh.remove(&token);
    parts.revoked.insert(token);
    StatusCode::OK
}

async fn users(
    State(server): State<Server>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    if query.get("first").is_some_and(|first| first != "0") {
        return Json(json!([]));
    }
    let parts = server.parts.lock().unwrap();
    let users = parts.users.iter().map(|(user, groups)| {
        json!({"id": user, "username": user, "enabled": true, "groups": groups, "requiredActions": []})
    });
    Json(users.collect())
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "uid": format!("{kind}-{name}"), "resourceVersion": "1", "generation": 1},
        "spec": spec,
    })
}

/// A Blueprint as it was admitted.
pub fn blueprint(source: &str, name: &str, mut card: Value) -> Value {
    card["license"] = json!("Apache-2.0");
    let said = json!({
        "version": "1.0.0", "card": card, "owner": {"team": "one"},
        "manifests": {"source": {"kind": "HelmChart"}},
    });
    let admitted = json!({
        "source": source, "name": name, "version": "1.0.0", "digest": format!("sha256:{}", "a".repeat(64)),
        "signer": "one", "repository": format!("{source}/{name}"), "blueprint": said,
    });
    object("Blueprint", &format!("{source}.{name}-1.0.0"), admitted)
}

/// A fleet upgrade of an Organization, or of all, that has stopped.
pub fn fleet_upgrade(name: &str, organization: Option<&str>) -> Value {
    let stopped = json!({"environment": "acme-dev", "application": "blog", "state": "Failed"});
    let mut upgrade = object(
        "FleetUpgrade",
        name,
        json!({
            "organization": organization, "requestedBy": "ada", "timeoutSeconds": 60,
            "blueprint": {"source": "catalog", "name": "bp-blog", "version": "2.0.0"},
            "waves": [{"stage": "dev", "applications": [
                {"environment": "acme-dev", "application": "blog", "from": "1.0.0"},
            ]}],
            "attempt": 0,
        }),
    );
    upgrade["status"] =
        json!({"phase": "Stopped", "wave": 1, "stoppedAttempt": 0, "applications": [stopped]});
    upgrade
}

/// An Environment that runs on its stage's host cluster.
fn environment(organization: &str, stage: &str) -> Value {
    let mut environment = object(
        "Environment",
        &format!("{organization}-{stage}"),
        json!({"organization": organization, "envType": stage}),
    );
    environment["status"] = json!({"vclusters": [format!("lo-loc-rtz-{stage}-{organization}")]});
    environment
}

fn objects() -> BTreeMap<String, Vec<Value>> {
    let host = |name: &str, block: &str, stage: &str| json!({"name": name, "region": "loc", "buildingBlock": block, "envType": stage});
    let sovereign = json!({
        "domain": "localhost", "provider": "local",
        "hostClusters": [
            host("lo-loc-mgt-prod", "mgt", "prod"), host("lo-loc-rtz-prod", "rtz", "prod"),
            host("lo-loc-rtz-dev", "rtz", "dev"),
        ],
    });
    let mut blog = object(
        "Application",
        "blog",
        json!({"blueprint": {"source": "catalog", "name": "bp-blog", "version": "1.0.0"}}),
    );
    blog["metadata"]["namespace"] = json!("acme-dev");
    let policy = json!({"appliesTo": {"environments": ["acme-dev", "globex-dev"]}, "rules": []});
    BTreeMap::from([
        (
            "sovereigns".to_owned(),
            vec![object("Sovereign", "localhost", sovereign)],
        ),
        (
            "environments".to_owned(),
            vec![environment("acme", "dev"), environment("globex", "dev")],
        ),
        ("applications".to_owned(), vec![blog]),
        (
            "blueprints".to_owned(),
            vec![
                blueprint(
                    "acme",
                    "bp-plans",
                    json!({"title": "Plans", "tagline": "Kept in PostgreSQL", "category": "Office"}),
                ),
                blueprint(
                    "catalog",
                    "bp-blog",
                    json!({"title": "Blog", "category": "Web"}),
                ),
                blueprint(
                    "catalog",
                    "bp-postgres",
                    json!({"title": "PostgreSQL", "category": "Data", "tags": ["sql"]}),
                ),
            ],
        ),
        (
            "environmentpolicies".to_owned(),
            vec![object("EnvironmentPolicy", "both", policy)],
        ),
        (
            "fleetupgrades".to_owned(),
            vec![
                fleet_upgrade("both", Some("acme")),
                fleet_upgrade("everywhere", None),
            ],
        ),
    ])
}

async fn version() -> Json<Value> {
    Json(json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    }))
}

/// A list, or a watch in which nothing happens.
async fn own_kind(
    State(server): State<Server>,
    Path(plural): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut parts = server.parts.lock().unwrap();
    if query.get("watch").is_some_and(|watch| watch == "true") {
        let nothing = stream::pending::<Result<Bytes, std::io::Error>>();
        return Body::from_stream(nothing).into_response();
    }
    let items: Vec<Value> = if plural == "organizations" {
        parts.lists += 1;
        let organizations = parts.organizations.iter();
        organizations
            .map(|(name, members)| {
                object(
                    "Organization",
                    name,
                    json!({"displayName": name, "members": members}),
                )
            })
            .collect()
    } else {
        match parts.objects.get(&plural) {
            Some(objects) => objects.clone(),
            None => return StatusCode::NOT_FOUND.into_response(),
        }
    };
    Json(json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "List",
        "metadata": {"resourceVersion": "100"}, "items": items,
    }))
    .into_response()
}

/// Two pods of one container each.
async fn pods(
    State(server): State<Server>,
    Path(namespace): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    // A chart gives its pods what labels it likes.
    assert_eq!(query.get("labelSelector"), None);
    let parts = server.parts.lock().unwrap();
    let pod = |name: &str| {
        let has_ended = parts.ended.contains(name);
        let is_running = !has_ended && !parts.unstarted.contains(name);
        let state = match is_running {
            true => json!({"running": {}}),
            false if has_ended => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            false => {
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "the registry has no web"}})
            }
        };
        let restarts = parts.restarts.get(name).copied().unwrap_or_default();
        json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "web"}]},
            "status": {"containerStatuses": [{
                "name": "web", "ready": is_running, "restartCount": restarts, "image": "", "imageID": "",
                "state": state,
            }]},
        })
    };
    Json(json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod("blog-0"), pod("blog-1")],
    }))
}

/// Two lines, and one more of each run after the first; followed, it does not end. From
/// when on is not heeded: a kubelet is asked in whole seconds, and gives lines again.
async fn log(
    State(server): State<Server>,
    Path((_, pod)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Body {
    assert_eq!(query["container"], "web");
    let time = match query.get("timestamps").map(String::as_str) {
        Some("true") => "2026-01-01T00:00:00.5Z ",
        _ => "",
    };
    let mut text = format!("{time}hello from {pod}\n{time}no end");
    let (restarts, has_ended) = {
        let parts = server.parts.lock().unwrap();
        let restarts = parts.restarts.get(&pod).copied().unwrap_or_default();
        (restarts, parts.ended.contains(&pod))
    };
    // What waits to start again has the log of the run before.
    for run in 1..restarts + u32::from(!has_ended) {
        let time = time.replace("00.5Z", &format!("{run:02}.5Z"));
        text.push_str(&format!("\n{time}run {run}"));
    }
    if restarts > 0 {
        text.push('\n');
    }
    let lines = stream::iter([Ok::<_, std::io::Error>(text)]);
    if query.get("follow").is_some_and(|follow| follow == "true") {
        Body::from_stream(lines.chain(stream::pending()))
    } else {
        Body::from_stream(lines)
    }
}

/// Every cluster's kubeconfig leads back here.
async fn secret(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
) -> Json<Value> {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server.base}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        "users": [{"name": "here", "user": {"token": "admin"}}],
    });
    let content = STANDARD.encode(kubeconfig.to_string());
    Json(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"},
        "data": {"kubeconfig": content, "config": content},
    }))
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
