//! Kubernetes clients of the management cluster, of host clusters and of
//! Organizations' vclusters.
//!
//! Where a cluster is, its kubeconfig says, and that lies in a Secret: a host
//! cluster's in the management cluster, a vcluster's on its host cluster. Its
//! credentials are renewed now and then, and those before end. So a client that
//! is given out may be kept for ever: each of its requests goes by the kubeconfig
//! that the Secret holds at the time, which is looked at again after half a
//! minute, and at once after a request was refused or [`Clusters::forget`].
//!
//! A cluster that is to tell of others and does not answer is not asked again for
//! a while: whoever comes next goes by what was known, or hears at once that it is
//! away, so that waits do not add up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::PortError;

/// Where the management cluster keeps the kubeconfigs of host clusters.
pub const HOST_KUBECONFIG_NAMESPACE: &str = "catalyst-system";
const HOST_KEY: &str = "kubeconfig";
const VCLUSTER_KEY: &str = "config";
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long is waited for the cluster that has the Secret.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// How long it is not asked again once it has not answered.
const REST: Duration = Duration::from_secs(10);

/// Clients of all clusters; clones share them.
#[derive(Clone)]
pub struct Clusters {
    management: Client,
    known: Arc<Mutex<HashMap<Address, Known>>>,
    silent: Arc<Mutex<Silent>>,
    look_within: Duration,
}

/// A host cluster, or the vcluster of an Organization on it.
type Address = (String, Option<String>);
/// Host clusters that did not answer, and the management cluster (no name), since
/// when.
type Silent = HashMap<Option<String>, Instant>;

#[derive(Clone)]
struct Known {
    /// Given out: goes by what the Secret holds at the time.
    lasting: Client,
    /// Goes by what the Secret held when it was looked at.
    client: Client,
    version: String,
    /// Nothing once a request was refused.
    looked: Option<Instant>,
}

impl Clusters {
    /// Clusters that are found by way of the management cluster.
    pub fn new(management: Client) -> Self {
        Self {
            management,
            known: Arc::default(),
            silent: Arc::default(),
            look_within: LOOK_WITHIN,
        }
    }

    /// The management cluster.
    pub fn management(&self) -> Client {
        self.management.clone()
    }

    /// A host cluster, by the Secret of its name in `catalyst-system`, key
    /// `kubeconfig`.
    pub async fn host(&self, name: &str) -> Result<Client, PortError> {
        let known = self.known(&(name.to_owned(), None)).await?;
        known
            .map(|known| known.lasting)
            .ok_or_else(|| PortError::Prepare {
                action: format!("reach the host cluster {name}"),
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
        Ok(self.known(&address).await?.map(|known| known.lasting))
    }

    /// Reads a cluster's kubeconfig anew before it is used again; to be called
    /// when a client of it was refused or found nobody.
    pub fn forget(&self, host: &str, organization: Option<&str>) {
        let address = (host.to_owned(), organization.map(str::to_owned));
        lock(&self.known).remove(&address);
    }

    /// What is known of a cluster, looked at anew if that is due; nothing when
    /// there is no kubeconfig. Boxed, because looking takes another cluster.
    fn known<'a>(
        &'a self,
        address: &'a Address,
    ) -> BoxFuture<'a, Result<Option<Known>, PortError>> {
        async move {
            if let Some(known) = self.fresh(address) {
                return Ok(Some(known));
            }
            let (host, organization) = address;
            match organization {
                None => {
                    let secrets = Api::namespaced(self.management(), HOST_KUBECONFIG_NAMESPACE);
                    let action = format!("reach the host cluster {host}");
                    let look = self.look(address, &secrets, host, HOST_KEY, &action);
                    self.in_time(None, &action, look).await
                }
                Some(organization) => {
                    let secrets = Api::namespaced(self.host(host).await?, organization);
                    let action = format!("reach the vcluster of {organization} on {host}");
                    let name = format!("vc-{organization}");
                    let look = self.look(address, &secrets, &name, VCLUSTER_KEY, &action);
                    self.in_time(Some(host.as_str()), &action, look).await
                }
            }
        }
        .boxed()
    }

    /// Waits for a look that asks a host cluster, or the management cluster, but
    /// not for long, and not while it is known to be silent.
    async fn in_time<T>(
        &self,
        asked: Option<&str>,
        action: &str,
        look: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let asked = asked.map(str::to_owned);
        let part = match &asked {
            Some(_) => "host cluster",
            None => "management cluster",
        };
        let silence = |what: &str| PortError::Reach {
            part,
            action: action.to_owned(),
            source: what.into(),
        };
        let since = lock(&self.silent).get(&asked).copied();
        if is_at_rest(since, Instant::now()) {
            return Err(silence("it gave none a moment ago"));
        }
        match tokio::time::timeout(self.look_within, look).await {
            Ok(looked) => {
                lock(&self.silent).remove(&asked);
                looked
            }
            Err(_) => {
                lock(&self.silent).insert(asked, Instant::now());
                Err(silence("none came in time"))
            }
        }
    }

    async fn look(
        &self,
        address: &Address,
        secrets: &Api<Secret>,
        name: &str,
        key: &str,
        action: &str,
    ) -> Result<Option<Known>, PortError> {
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
            lock(&self.known).remove(address);
            return Ok(None);
        };
        let kept = lock(&self.known).get(address).cloned();
        let (client, lasting) = match kept {
            Some(kept) if kept.version == version => (kept.client, kept.lasting),
            kept => {
                let client = connect(&content, action).await?;
                let lasting = kept.map(|kept| kept.lasting);
                let lasting = lasting.unwrap_or_else(|| self.lasting(address, &client));
                (client, lasting)
            }
        };
        let known = Known {
            lasting,
            client,
            version,
            looked: Some(Instant::now()),
        };
        lock(&self.known).insert(address.clone(), known.clone());
        Ok(Some(known))
    }

    /// A client that may be kept: each request is sent by what is known then.
    fn lasting(&self, address: &Address, first: &Client) -> Client {
        let management = self.management();
        let (silent, look_within) = (Arc::clone(&self.silent), self.look_within);
        // It is kept in what it refers to.
        let known = Arc::downgrade(&self.known);
        let address = address.clone();
        let last = Arc::new(Mutex::new(first.clone()));
        let service = tower::service_fn(move |request: Request<Body>| {
            let clusters = known.upgrade().map(|known| Self {
                management: management.clone(),
                known,
                silent: Arc::clone(&silent),
                look_within,
            });
            let (address, last) = (address.clone(), Arc::clone(&last));
            async move {
                // A host that is away takes none of its vclusters along; and where
                // there is no Secret, the cluster itself says what is wrong.
                if let Some(clusters) = &clusters
                    && let Ok(Some(known)) = clusters.known(&address).await
                {
                    *lock(&last) = known.client;
                }
                let client = lock(&last).clone();
                let response: Response<Body> = client.send(request).await?;
                if let Some(clusters) = clusters
                    && response.status() == StatusCode::UNAUTHORIZED
                {
                    clusters.look_again(&address);
                }
                Ok::<_, kube::Error>(response)
            }
            .boxed()
        });
        Client::new(service, first.default_namespace())
    }

    fn look_again(&self, address: &Address) {
        if let Some(known) = lock(&self.known).get_mut(address) {
            known.looked = None;
        }
    }

    fn fresh(&self, address: &Address) -> Option<Known> {
        lock(&self.known)
            .get(address)
            .filter(|known| known.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN))
            .cloned()
    }
}

/// Whether a cluster that has been silent since then is not to be asked yet.
fn is_at_rest(since: Option<Instant>, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) < REST)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    let names_proxy = parsed
        .clusters
        .iter()
        .filter_map(|named| named.cluster.as_ref())
        .any(|cluster| cluster.proxy_url.is_some());
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|_| unusable("its kubeconfig names no usable cluster and user; write it anew"))?;
    // Whether there is a proxy before a cluster, its kubeconfig says; those of the
    // environment, which kube takes without one, are for the world outside.
    if !names_proxy {
        config.proxy_url = None;
    }
    Client::try_from(config).map_err(PortError::kubernetes(action))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A Kubernetes API that serves whoever shows the token of the day.
    struct Api {
        url: String,
        token: Arc<Mutex<String>>,
    }

    impl Api {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let token = Arc::new(Mutex::new("first".to_owned()));
            let good = Arc::clone(&token);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, Arc::clone(&good)));
                }
            });
            Self { url, token }
        }

        fn kubeconfig(&self, token: &str) -> Value {
            json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "x",
                "clusters": [{"name": "x", "cluster": {"server": self.url}}],
                "users": [{"name": "x", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            })
        }
    }

    async fn answer(stream: TcpStream, good: Arc<Mutex<String>>) {
        let mut stream = BufReader::new(stream);
        let mut is_good = false;
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            let wanted = format!("authorization: bearer {}", lock(&good));
            is_good |= line.trim_end().eq_ignore_ascii_case(&wanted);
            if line == "\r\n" {
                let (code, body) = if is_good {
                    (
                        "200 OK",
                        json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "",
                        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
                    )
                } else {
                    (
                        "401 Unauthorized",
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                        "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized", "code": 401}),
                    )
                };
                let body = body.to_string();
                let answer = format!(
                    "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                is_good = false;
            }
            line.clear();
        }
    }

    /// A management cluster with one Secret; counts how often it is read.
    fn management(secret: Arc<Mutex<Value>>) -> (Client, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reads);
        let service = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            let body = lock(&secret).to_string().into_bytes();
            async move { Ok::<_, std::convert::Infallible>(Response::new(Body::from(body))) }
        });
        (Client::new(service, "default"), reads)
    }

    /// The same, which says nothing while it is told not to.
    fn moody(secret: Value) -> (Client, Arc<AtomicUsize>, Arc<AtomicBool>) {
        let (reads, silent) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, is_silent) = (Arc::clone(&reads), Arc::clone(&silent));
        let service = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            let is_silent = is_silent.load(Ordering::SeqCst);
            let body = secret.to_string().into_bytes();
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::convert::Infallible>(Response::new(Body::from(body)))
            }
        });
        (Client::new(service, "default"), reads, silent)
    }

    fn secret(version: &str, kubeconfig: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "lo", "resourceVersion": version},
            "data": {"kubeconfig": STANDARD.encode(kubeconfig.to_string())}})
    }

    #[tokio::test]
    async fn a_client_that_is_kept_goes_by_renewed_credentials() {
        let api = Api::start().await;
        let stored = Arc::new(Mutex::new(secret("1", &api.kubeconfig("first"))));
        let (management, reads) = management(Arc::clone(&stored));
        let clusters = Clusters::new(management);
        let kept = clusters.host("lo").await.unwrap();
        kept.apiserver_version().await.unwrap();
        // Within half a minute of a look there is no other.
        clusters.host("lo").await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 1);

        *lock(&api.token) = "second".to_owned();
        *lock(&stored) = secret("2", &api.kubeconfig("second"));
        let refused = kept.apiserver_version().await.unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 401),
            "{refused:?}"
        );
        kept.apiserver_version().await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        // Others get the same.
        let other = clusters.host("lo").await.unwrap();
        other.apiserver_version().await.unwrap();

        // What was refused is looked for again with the next request, not before.
        *lock(&api.token) = "third".to_owned();
        for _ in 0..2 {
            kept.apiserver_version().await.unwrap_err();
        }
        assert_eq!(reads.load(Ordering::SeqCst), 3);
        *lock(&stored) = secret("3", &api.kubeconfig("third"));
        kept.apiserver_version().await.unwrap();
        drop(clusters);
        kept.apiserver_version().await.unwrap();
    }

    #[tokio::test]
    async fn whoever_comes_next_does_not_wait_for_who_is_away() {
        let api = Api::start().await;
        let (management, reads, silent) = moody(secret("1", &api.kubeconfig("first")));
        let clusters = Clusters {
            look_within: Duration::from_millis(50),
            ..Clusters::new(management)
        };
        let kept = clusters.host("lo").await.unwrap();
        kept.apiserver_version().await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 1);

        // From now on each use would look again.
        let address = ("lo".to_owned(), None);
        clusters.look_again(&address);
        silent.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            // By what was known.
            kept.apiserver_version().await.unwrap();
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        let error = clusters.host("lo").await.err().unwrap();
        assert!(error.retryable(), "{error}");
        assert!(error.to_string().contains("management cluster"), "{error}");
        assert_eq!(reads.load(Ordering::SeqCst), 2);

        // After a rest it is asked again, and is there.
        silent.store(false, Ordering::SeqCst);
        let long_ago = Instant::now().checked_sub(REST).unwrap();
        lock(&clusters.silent).insert(None, long_ago);
        clusters.host("lo").await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 3);
        assert!(lock(&clusters.silent).is_empty());
    }

    #[test]
    fn a_rest_ends() {
        let now = Instant::now();
        for (since, expected) in [
            (None, false),
            (Some(now), true),
            (Some(now + REST), true),
            (now.checked_sub(REST / 2), true),
            (now.checked_sub(REST), false),
        ] {
            assert_eq!(is_at_rest(since, now), expected, "{since:?}");
        }
    }
}
