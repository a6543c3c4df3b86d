//! How the control plane reaches the embedded Kubernetes API: as any program would,
//! by kubeconfigs with client certificates of its own.
//!
//! What must stay true: a client that was given out may be kept for ever, although
//! the certificates are made anew while the process runs.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use time::OffsetDateTime;

use super::tls::{Authority, KeyedCertificate};
use super::{kubeconfig, lock};

/// As whom the control plane is known.
const USER: &str = "system:catalyst";

/// The control plane's way to the management cluster and the host clusters.
pub struct Access {
    /// The URL below which clusters are served.
    server: String,
    authority: Arc<Authority>,
    management: String,
    hosts: Vec<String>,
    current: Arc<Mutex<Current>>,
}

struct Current {
    certificate: KeyedCertificate,
    client: kube::Client,
}

impl Access {
    /// To clusters below `server`, of which the first is the management cluster.
    pub async fn new(
        server: &str,
        authority: &Arc<Authority>,
        clusters: &[String],
    ) -> anyhow::Result<Self> {
        let (management, hosts) = clusters
            .split_first()
            .context("there is no management cluster")?;
        let current = connect(server, authority, management, OffsetDateTime::now_utc()).await?;
        Ok(Self {
            server: server.to_owned(),
            authority: Arc::clone(authority),
            management: management.clone(),
            hosts: hosts.to_vec(),
            current: Arc::new(Mutex::new(current)),
        })
    }

    /// The names of the host clusters.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// A client of the management cluster: each of its requests goes by the
    /// certificate of then.
    pub fn management(&self) -> kube::Client {
        let namespace = lock(&self.current).client.default_namespace().to_owned();
        let current = Arc::clone(&self.current);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let client = lock(&current).client.clone();
            async move { client.send(request).await }
        });
        kube::Client::new(service, namespace)
    }

    /// The kubeconfigs of the host clusters, by name, each with a new certificate.
    pub fn kubeconfigs(&self, now: OffsetDateTime) -> anyhow::Result<Vec<(String, String)>> {
        self.hosts
            .iter()
            .map(|host| {
                let (text, _) = certified(&self.server, &self.authority, host, now)?;
                Ok((host.clone(), text))
            })
            .collect::<anyhow::Result<Vec<_>>>()
    }

    /// Whether it is time for new certificates.
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        lock(&self.current).certificate.is_due(now)
    }

    /// Reaches the management cluster with a new certificate from now on, then does
    /// what else there is to do; until that has succeeded, it stays due.
    pub async fn renew(
        &self,
        now: OffsetDateTime,
        rest: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let made = connect(&self.server, &self.authority, &self.management, now).await?;
        lock(&self.current).client = made.client;
        rest.await?;
        lock(&self.current).certificate = made.certificate;
        Ok(())
    }
}

async fn connect(
    server: &str,
    authority: &Authority,
    cluster: &str,
    now: OffsetDateTime,
) -> anyhow::Result<Current> {
    let (text, certificate) = certified(server, authority, cluster, now)?;
    let kubeconfig = Kubeconfig::from_yaml(&text)?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // kube takes the environment's, which is for the world outside.
    config.proxy_url = None;
    Ok(Current {
        certificate,
        client: kube::Client::try_from(config)?,
    })
}

/// A kubeconfig of the control plane for a cluster, and what it is known by.
fn certified(
    server: &str,
    authority: &Authority,
    cluster: &str,
    now: OffsetDateTime,
) -> anyhow::Result<(String, KeyedCertificate)> {
    let client = authority.issue_client(USER, &["system:masters"], now)?;
    let clusters = [cluster.to_owned()];
    let text = kubeconfig::text(USER, server, &clusters, authority.certificate(), &client);
    Ok((text, client))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;
    use std::net::SocketAddr;

    use http::Response;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use time::Duration;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::data::DataDirectory;
    use super::*;

    /// The certificates that clients showed, in order.
    type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

    /// Answers everything with its own path, to whoever shows a certificate of the
    /// authority.
    async fn serve(authority: &Arc<Authority>) -> (SocketAddr, Shown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = authority.server_config("localhost", address.ip()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let shown = Shown::default();
        let seen = Arc::clone(&shown);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = acceptor.accept(stream).await.unwrap();
                let certificates = stream.get_ref().1.peer_certificates().unwrap();
                lock(&seen).push(certificates[0].to_vec());
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
                            let path = request.uri().path().to_owned();
                            async move { Ok::<_, Infallible>(Response::new(path)) }
                        });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    drop(
                        builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        (address, shown)
    }

    #[tokio::test]
    async fn a_client_that_is_kept_shows_the_certificate_of_the_day() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let authority = Arc::new(Authority::open(&data, "localhost").unwrap());
        let (address, shown) = serve(&authority).await;
        let server = format!("https://{address}/clusters");
        let clusters = ["mgt".to_owned(), "rtz".to_owned()];
        let access = Access::new(&server, &authority, &clusters).await.unwrap();
        let client = access.management();
        let ask = async || {
            let request = Request::get("/version").body(Vec::new()).unwrap();
            let answer = client.request_text(request).await.unwrap();
            assert_eq!(answer, "/clusters/mgt/version");
        };
        ask().await;
        let before = lock(&shown).clone();
        let now = OffsetDateTime::now_utc();
        assert!(!access.is_due(now));
        let later = now + Duration::days(244);
        assert!(access.is_due(later));
        // What else was to be done has failed: it is all done again.
        let failing = access.renew(later, ready(Err(anyhow::anyhow!("away"))));
        assert!(failing.await.is_err());
        assert!(access.is_due(later));
        access.renew(later, ready(Ok(()))).await.unwrap();
        assert!(!access.is_due(later));
        ask().await;
        let last = lock(&shown).last().cloned().unwrap();
        assert!(!before.contains(&last));
    }

    #[tokio::test]
    async fn host_clusters_are_reached_by_certificates_of_their_own() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let authority = Arc::new(Authority::open(&data, "localhost").unwrap());
        let clusters = ["mgt", "rtz", "dmz"].map(str::to_owned);
        let access = Access::new("https://127.0.0.1:9/clusters", &authority, &clusters);
        let access = access.await.unwrap();
        let now = OffsetDateTime::now_utc();
        let (first, second) = (
            access.kubeconfigs(now).unwrap(),
            access.kubeconfigs(now).unwrap(),
        );
        assert_eq!(first.len(), 2);
        for ((name, text), (_, anew)) in first.iter().zip(&second) {
            assert!(text.contains(&format!("https://127.0.0.1:9/clusters/{name}")));
            assert_ne!(text, anew);
        }
    }
}
