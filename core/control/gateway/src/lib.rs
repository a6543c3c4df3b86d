//! The gateway: REST, GraphQL, the live stream, sign-in, the console's files.
//!
//! The binary builds one [`Gateway`] and serves [`Gateway::router`] as the
//! fallback of its port: `/api/v1`, `/auth` and, for all else, the console.
//! Reads come from the projector, filtered by who is asking; writes go to the
//! commands, which decide; the forge's webhook and pre-receive check, and the
//! notifications of registries, arrive here.
//!
//! What must stay true:
//! - nobody is answered about what they may not see: it reads as not there;
//! - a removed user or member loses every road, open streams too, within
//!   seconds, because the issuer and the Organizations are asked again;
//! - a write by cookie comes from the console's own origin;
//! - every error is a problem document; no answer or log carries a secret.

mod authentication;
mod body;
mod caller;
mod console;
mod edge;
mod graphql;
mod known;
mod kubeconfig;
mod logs;
mod membership;
mod notifications;
mod oidc;
mod openapi;
mod parameters;
mod problem;
mod provisioning;
mod routes;
mod secret;
mod session;
mod sign_in;
mod sovereign;
mod stream;
mod vulnerabilities;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::Router;
use axum::middleware;
use catalyst_api::{Addresses, Hidden, RegistryHook, UserView};
use catalyst_commands::{Commands, PushCheck, PushVerdict};
use catalyst_ports::{Clusters, Identity, RepositoryId, Vault};
use catalyst_projector::Projector;
use catalyst_provisioner::service::Service;
use catalyst_supply::Registry;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

pub use kubeconfig::VclusterAccess;
pub use oidc::IssuerConfig;
pub use openapi::openapi;

pub use session::{SessionStore, SpineSessions};

use membership::{OrganizationReader, Organizations};
use oidc::Issuer;

use problem::Refusal;
use session::{SessionError, Sessions};
use sovereign::SovereignReader;
use vulnerabilities::Vulnerabilities;

/// Wakes whoever applies a repository that was pushed to, or waits for its pull requests.
pub type Wake = Arc<dyn Fn(RepositoryId) -> BoxFuture<'static, ()> + Send + Sync>;

/// Has repositories of the registry looked at in which something changed.
pub type Look = Arc<dyn Fn(BTreeSet<String>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Everything a gateway is built from.
pub struct Config {
    /// For calls to the issuer.
    pub http: reqwest::Client,
    /// Who signs users in.
    pub issuer: IssuerConfig,
    /// The write side.
    pub commands: Commands,
    /// The read side.
    pub projector: Projector,
    /// The users.
    pub identity: Identity,
    /// For the live Organizations, the Sovereign and logs.
    pub clusters: Clusters,
    /// Keeps the credentials of Sovereigns that are provisioned.
    pub vault: Vault,
    /// Provisions them; or why nothing is provisioned from here.
    pub provisioning: Result<Service, String>,
    /// Where browser sessions are kept; [`SpineSessions`] in a Sovereign.
    pub sessions: Box<dyn SessionStore>,
    /// Seals sessions: 32 random bytes that outlive restarts and that all
    /// replicas share.
    pub session_key: Zeroizing<[u8; 32]>,
    /// Where the surfaces are; `console` is also the origin that browsers' writes
    /// must come from.
    pub addresses: Addresses,
    /// How users reach vclusters.
    pub vclusters: VclusterAccess,
    /// Called with every repository that was pushed to, or had a pull request ended.
    pub wake: Wake,
    /// Called with the repositories in which a registry says that something changed.
    pub look: Look,
    /// Signs the forge's webhooks.
    pub webhook_secret: Zeroizing<String>,
    /// A registry's token for its notifications.
    pub registry_token: Zeroizing<String>,
    /// The forge's token for the push check.
    pub check_token: Zeroizing<String>,
    /// Has the artifacts of Blueprints, with their SBOMs.
    pub registry: Arc<Registry>,
    /// Where the database of known vulnerabilities is, if there is one.
    pub vulnerabilities: Option<PathBuf>,
}

/// Why a gateway could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The console's address is not a URL.
    #[error(
        "cannot build the gateway: {address:?} is not the URL of a console; give it with its scheme"
    )]
    Address {
        /// What was given.
        address: String,
    },
    /// The session key or a secret cannot be used.
    #[error("cannot build the gateway: {what} cannot be used; make it anew from random bytes")]
    Secret {
        /// Which.
        what: &'static str,
    },
}

impl GatewayError {
    /// Whether the same configuration may do later: never.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Secret { .. } => false,
        }
    }
}

/// A handle to the gateway; clones share it.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Commands,
    projector: Projector,
    identity: Identity,
    clusters: Clusters,
    vault: Vault,
    provisioning: Result<Service, String>,
    provisioning_writes: Arc<tokio::sync::Mutex<()>>,
    issuer: Issuer,
    sessions: Sessions,
    organizations: OrganizationReader,
    sovereign: SovereignReader,
    vclusters: VclusterAccess,
    wake: Wake,
    look: Look,
    registry_token: Zeroizing<String>,
    webhook_key: hmac::Key,
    check_token: Zeroizing<String>,
    origin: String,
    is_secure: bool,
    console_policy: HeaderValue,
    vulnerabilities: Vulnerabilities,
}

impl Gateway {
    /// Builds a gateway; nothing is asked before the first request.
    pub fn new(config: Config) -> Result<Self, GatewayError> {
        let address = || GatewayError::Address {
            address: config.addresses.console.clone(),
        };
        let console = Url::parse(&config.addresses.console).map_err(|_| address())?;
        if !console.origin().is_tuple() {
            return Err(address());
        }
        // An empty token would let everybody in who sends an empty one.
        for (what, secret) in [
            ("the webhook's secret", &config.webhook_secret),
            ("the push check's token", &config.check_token),
            ("the registry's token", &config.registry_token),
        ] {
            if secret.len() < 16 {
                return Err(GatewayError::Secret { what });
            }
        }
        let issuer = Issuer::new(config.http, config.issuer);
        let policy = edge::console_policy(&issuer.origin());
        let sessions = Sessions::new(config.sessions, &config.session_key, issuer.clone())
            .map_err(|_: SessionError| GatewayError::Secret {
                what: "the session key",
            })?;
        let management = config.clusters.management();
        let registry_host = config.addresses.registry.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                commands: config.commands,
                projector: config.projector,
                identity: config.identity,
                clusters: config.clusters,
                vault: config.vault,
                provisioning: config.provisioning,
                provisioning_writes: Arc::default(),
                sessions,
                organizations: OrganizationReader::new(management.clone()),
                sovereign: SovereignReader::new(management, config.addresses),
                vclusters: config.vclusters,
                wake: config.wake,
                look: config.look,
                registry_token: config.registry_token,
                webhook_key: hmac::Key::new(hmac::HMAC_SHA256, config.webhook_secret.as_bytes()),
                check_token: config.check_token,
                origin: console.origin().ascii_serialization(),
                is_secure: console.scheme() == "https",
                console_policy: HeaderValue::try_from(policy)
                    .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
                issuer,
                vulnerabilities: Vulnerabilities::new(
                    config.vulnerabilities,
                    config.registry,
                    registry_host,
                ),
            }),
        })
    }

    /// Everything, from the root; it answers every path, so it is the last of
    /// its port's routes (`fallback_service`).
    pub fn router(&self) -> Router {
        let everything_else = |method: Method, uri: Uri, headers: HeaderMap| async move {
            console::answer(console::FILES, &method, &uri, &headers)
        };
        let no_such_method =
            |method: Method, uri: Uri| async move { console::method_not_allowed(&method, &uri) };
        Router::new()
            .merge(routes::router())
            .merge(sign_in::router())
            .fallback(everything_else)
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn_with_state(self.clone(), edge::pass))
            .with_state(self.clone())
    }

    /// Whether the Sovereign's object is there, which clients ask for first of all.
    pub async fn knows_the_sovereign(&self) -> bool {
        self.sovereign().read().await.is_ok()
    }

    fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    fn projector(&self) -> &Projector {
        &self.inner.projector
    }

    fn clusters(&self) -> &Clusters {
        &self.inner.clusters
    }

    fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    fn provisioning(&self) -> Result<&Service, Refusal> {
        self.inner.provisioning.as_ref().map_err(|reason| {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provisioning-off",
                "Provision Sovereigns",
                format!("The control plane was started without this: {reason}"),
            )
            .next("Put this right on its machine, and start it again.")
        })
    }

    /// Held by whoever begins a job, so that credentials and job belong together.
    async fn provisioning_turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let writes = Arc::clone(&self.inner.provisioning_writes);
        writes.lock_owned().await
    }

    fn issuer(&self) -> &Issuer {
        &self.inner.issuer
    }

    fn vulnerabilities(&self) -> &Vulnerabilities {
        &self.inner.vulnerabilities
    }

    fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    fn sovereign(&self) -> &SovereignReader {
        &self.inner.sovereign
    }

    fn vclusters(&self) -> &VclusterAccess {
        &self.inner.vclusters
    }

    /// The console's origin, as browsers send it.
    fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// Whether the console is served over TLS.
    fn is_secure(&self) -> bool {
        self.inner.is_secure
    }

    /// The session cookie's name. Over TLS its prefix keeps neighbouring hosts
    /// from planting one.
    fn session_cookie(&self) -> &'static str {
        if self.is_secure() {
            "__Host-catalyst_session"
        } else {
            "catalyst_session"
        }
    }

    fn callback_url(&self) -> String {
        format!("{}/auth/callback", self.origin())
    }

    fn console_policy(&self) -> HeaderValue {
        self.inner.console_policy.clone()
    }

    async fn organizations(&self) -> Result<Organizations, Refusal> {
        self.inner.organizations.read().await
    }

    /// An Organization changed, at this position of the live stream: nobody is
    /// answered from before that.
    async fn organizations_changed(&self, change: u64) {
        self.inner.organizations.forget_before(change).await;
    }

    /// The users as the identity provider knows them, without roles.
    async fn users(&self) -> Result<Vec<UserView>, Refusal> {
        let users = self.inner.identity.user_list().await.map_err(|error| {
            tracing::warn!(%error, "users not listed");
            Refusal::unavailable("List the users", "The identity provider does not answer.")
        })?;
        let views = users.into_iter().map(|user| UserView {
            active: user.enabled && user.has_password(),
            sovereign_admin: user
                .groups
                .iter()
                .any(|group| group == authentication::SOVEREIGN_ADMIN),
            username: user.username,
            email: user.email,
            organizations: Vec::new(),
        });
        Ok(views.collect())
    }

    /// Whether a webhook's body was signed with the secret; constant time.
    fn webhook_is_genuine(&self, payload: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.inner.webhook_key, payload, signature).is_ok()
    }

    fn check_token(&self) -> &[u8] {
        self.inner.check_token.as_bytes()
    }

    fn registry_token(&self) -> &[u8] {
        self.inner.registry_token.as_bytes()
    }

    /// What a registry has to know to tell of changes.
    fn registry_hook(&self) -> RegistryHook {
        RegistryHook {
            url: format!("{}/api/v1/hooks/registry", self.origin()),
            token: Hidden::new(self.inner.registry_token.as_str()),
        }
    }

    /// Has looked at what changed in the registry.
    async fn repositories_changed(&self, repositories: BTreeSet<String>) {
        (self.inner.look)(repositories).await;
    }

    /// Wakes who applies the repository or waits for it, and tells the read side.
    async fn git_event(&self, event: Value) -> Result<(), Refusal> {
        let full_name = event
            .pointer("/repository/full_name")
            .and_then(Value::as_str)
            .and_then(|name| name.split_once('/'));
        let is_push = event.get("ref").is_some();
        // Merged, or closed as it is; whoever waits for either learns it by this.
        let ends_pull = event.get("pull_request").is_some()
            && event.get("action").and_then(Value::as_str) == Some("closed");
        if let (Some((owner, name)), true) = (full_name, is_push || ends_pull) {
            let repository = RepositoryId {
                owner: owner.to_owned(),
                name: name.to_owned(),
            };
            (self.inner.wake)(repository).await;
        }
        self.inner
            .projector
            .git_event(&event)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "event of the forge not recorded");
                Refusal::unavailable(
                    "Take an event of the forge",
                    "The event spine does not answer.",
                )
            })
    }

    async fn push_checked(&self, check: PushCheck) -> PushVerdict {
        self.inner.commands.check_push(check).await
    }
}
