//! The parts, on one port of this machine.

use std::sync::Arc;

use axum::Router;
use catalyst_issuer::{Client, EncryptionKey, Issuer, SecretHash};
use catalyst_kubernetes::{Authenticators, Identity as Who, Kubernetes, Tasks};
use catalyst_ports::{Forge, Identity, RegistryAdmin, Tokens, Vault};
use catalyst_registry::{
    Access, AccessError, Action, Credentials, Permissions, Principal, RepositoryName,
};
use catalyst_store::{Options, Store};
use futures::future::BoxFuture;
use tempfile::TempDir;
use url::Url;
use zeroize::Zeroizing;

const ADMINISTRATOR: &str = "administrator-of-the-tests";
const CLIENT_SECRET: &str = "secret-of-the-client";

/// Everything that runs.
pub struct Home {
    pub base: String,
    pub http: reqwest::Client,
    pub store: Store,
    pub kubernetes: Kubernetes,
    _tasks: Tasks,
    _folder: TempDir,
}

/// Only the administrator's token is good, and for everything.
struct OneAdministrator;

impl Access for OneAdministrator {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Principal, AccessError>> {
        Box::pin(async move {
            match credentials {
                Credentials::Bearer(token) if token == ADMINISTRATOR => {
                    let mut principal = Principal::named("catalyst");
                    principal.is_administrator = true;
                    Ok(principal)
                }
                _ => Err(AccessError::Rejected),
            }
        })
    }

    fn allows<'a>(
        &'a self,
        principal: &'a Principal,
        _: &'a RepositoryName,
        _: Action,
    ) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async move { Ok(principal.is_administrator) })
    }
}

impl Home {
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());

        let mut config = catalyst_issuer::Config::new(
            store.clone(),
            format!("{base}/oidc").parse().unwrap(),
            EncryptionKey::new([1; 32]),
        );
        let mut client = Client::service("catalyst", "Catalyst", SecretHash::of(CLIENT_SECRET));
        client.admin = true;
        config.clients = vec![client];
        let issuer = Issuer::open(config).await.unwrap();

        let data = folder.path().join("forge");
        let mut config = catalyst_forge::Config::new(data, store.clone(), format!("{base}/git"));
        config.admin_token = Some(ADMINISTRATOR.to_owned());
        let forge = catalyst_forge::Forge::open(config).await.unwrap();

        let access: Arc<dyn Access> = Arc::new(OneAdministrator);
        let data = folder.path().join("registry");
        let config = catalyst_registry::Config::new(data, store.clone(), access);
        let registry = catalyst_registry::Registry::open(config).await.unwrap();
        let _: &Permissions = registry.permissions();

        let vault = catalyst_vault::Vault::open(catalyst_vault::Config::new(
            store.clone(),
            Zeroizing::new([2; 32]),
            Zeroizing::new(ADMINISTRATOR.to_owned()),
        ))
        .await
        .unwrap();

        let administrator = Who::administrator("administrator");
        let kubernetes = Kubernetes::new(catalyst_kubernetes::Config {
            store: store.clone(),
            authenticators: Authenticators {
                tokens: [(ADMINISTRATOR.to_owned(), administrator)].into(),
                oidc: Vec::new(),
            },
            token_key: vec![7; 32],
            root_ca: "CA".to_owned(),
            pods: None,
        });
        let tasks = kubernetes.start();
        let router = Router::new()
            .nest("/oidc", issuer.router())
            .nest("/git", forge.router())
            .nest("/vault", vault.router())
            .merge(registry.router())
            .merge(registry.projects_router())
            .fallback_service(kubernetes.router());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            base,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            store,
            kubernetes,
            _tasks: tasks,
            _folder: folder,
        }
    }

    fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.base).parse().unwrap()
    }

    /// The forge: a real one when the environment names it.
    pub fn forge(&self) -> Forge {
        let (base, token) = self.forge_address();
        Forge::new(self.http.clone(), base, Tokens::fixed(token))
    }

    /// A request to its REST API, as somebody makes by hand who administers it.
    pub fn forge_request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let (base, token) = self.forge_address();
        let base = base.as_str().trim_end_matches('/');
        self.http
            .request(method, format!("{base}/api/v1{path}"))
            .header("authorization", format!("token {token}"))
    }

    fn forge_address(&self) -> (Url, String) {
        let named = std::env::var("CATALYST_TEST_FORGE").ok();
        let base = named.map_or_else(|| self.url("/git"), |base| base.parse().unwrap());
        let token = std::env::var("CATALYST_TEST_FORGE_TOKEN");
        (base, token.unwrap_or_else(|_| ADMINISTRATOR.to_owned()))
    }

    pub fn tokens(&self, secret: &str) -> Tokens {
        let secret = Zeroizing::new(secret.to_owned());
        let issuer = self.url("/oidc");
        Tokens::client_credentials(self.http.clone(), issuer, "catalyst".to_owned(), secret)
    }

    pub fn identity(&self) -> Identity {
        let admin = self.url("/oidc/admin/realms/catalyst");
        Identity::new(self.http.clone(), admin, self.tokens(CLIENT_SECRET))
    }

    pub fn vault(&self, token: &str) -> Vault {
        let token = Zeroizing::new(token.to_owned());
        Vault::new(self.http.clone(), self.url("/vault"), token)
    }

    pub fn vault_administrator(&self) -> Vault {
        self.vault(ADMINISTRATOR)
    }

    pub fn registry(&self) -> RegistryAdmin {
        let tokens = Tokens::fixed(ADMINISTRATOR);
        RegistryAdmin::new(self.http.clone(), self.url("/"), tokens)
    }

    /// A kubeconfig of a cluster's administrator.
    pub fn kubeconfig(&self, cluster: &str) -> String {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "x",
                "clusters": [{{"name": "x", "cluster": {{"server": "{}/clusters/{cluster}"}}}}],
                "users": [{{"name": "x", "user": {{"token": "{ADMINISTRATOR}"}}}}],
                "contexts": [{{"name": "x", "context": {{"cluster": "x", "user": "x"}}}}]}}"#,
            self.base
        )
    }

    /// A client of a cluster's administrator.
    pub async fn client(&self, cluster: &str) -> kube::Client {
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&self.kubeconfig(cluster)).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }
}
