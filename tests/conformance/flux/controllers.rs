//! Flux's own controllers, running against the embedded Kubernetes API.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

use super::World;

/// Serves the API over TLS, because client-go sends tokens over nothing else;
/// returns its kubeconfig.
async fn serve(world: &World) -> String {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = world.kubernetes.router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = TowerToHyperService::new(router);
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let ca = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        certified.cert.pem(),
    );
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: m\n\
         contexts: [{{name: m, context: {{cluster: m, user: m}}}}]\n\
         users: [{{name: m, user: {{token: {}}}}}]\n\
         clusters: [{{name: m, cluster: {{server: 'https://{address}/clusters/acme', certificate-authority-data: {ca}}}}}]\n",
        super::home::TOKEN
    )
}

/// Both controllers, until they are dropped.
pub async fn start(world: &World, folder: &Path) -> Vec<Child> {
    let kubeconfig = world.folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serve(world).await).unwrap();
    let mut running = Vec::new();
    for name in ["kustomize-controller", "helm-controller"] {
        let log = std::fs::File::create(world.folder.path().join(format!("{name}.log"))).unwrap();
        let child = Command::new(folder.join(name))
            .args(["--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0"])
            .args(["--events-addr=", "--enable-leader-election=false"])
            .args(["--requeue-dependency=500ms", "--log-level=info"])
            .env("KUBECONFIG", &kubeconfig)
            .env("RUNTIME_NAMESPACE", "default")
            .env("NO_PROXY", "127.0.0.1")
            .env("HOME", world.folder.path())
            .env("TMPDIR", world.folder.path())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        running.push(child);
    }
    running
}
