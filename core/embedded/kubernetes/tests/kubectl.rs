//! Stock kubectl against the API over TLS.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use catalyst_kubernetes::{Authenticators, Config, Identity, Kubernetes};
use catalyst_store::{Options, Store};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio_rustls::TlsAcceptor;

/// Serves the API on a free port; returns its address and certificate.
async fn serve(kubernetes: &Kubernetes) -> (std::net::SocketAddr, String) {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = kubernetes.router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let service = TowerToHyperService::new(router);
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                }
            });
        }
    });
    (address, certified.cert.pem())
}

async fn kubectl(folder: &Path, arguments: &[&str], input: Option<&str>) -> Output {
    let mut command = tokio::process::Command::new("kubectl");
    command
        .args(arguments)
        .env("KUBECONFIG", folder.join("config"))
        .env("HOME", folder)
        .env("NO_PROXY", "127.0.0.1");
    if let Some(input) = input {
        std::fs::write(folder.join("input.yaml"), input).unwrap();
        command.arg("-f").arg(folder.join("input.yaml"));
    }
    tokio::time::timeout(std::time::Duration::from_secs(60), command.output())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_kubectl_works_over_tls() {
    let present = tokio::process::Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .await;
    if present.is_err() {
        eprintln!("SKIPPED: kubectl is not on PATH");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
    let tokens = [("secret".to_owned(), Identity::administrator("admin"))];
    let kubernetes = Kubernetes::new(Config {
        store,
        authenticators: Authenticators {
            tokens: tokens.into(),
            oidc: Vec::new(),
        },
        token_key: vec![1; 32],
        root_ca: String::new(),
        pods: None,
    });
    kubernetes.create_cluster("main", &[]).await.unwrap();
    let _tasks = kubernetes.start();
    let (address, pem) = serve(&kubernetes).await;
    let ca = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: m\ncontexts: [{{name: m, context: {{cluster: m, user: m}}}}]\nusers: [{{name: m, user: {{token: secret}}}}]\nclusters: [{{name: m, cluster: {{server: 'https://{address}/clusters/main', certificate-authority-data: {ca}}}}}]\n"
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    let run = async |arguments: &[&str], input: Option<&str>| -> String {
        let output = kubectl(folder.path(), arguments, input).await;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "kubectl {arguments:?}: {out}{err}");
        out.into_owned()
    };
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: c, image: 'x:1'}]}\n";
    assert!(
        run(
            &["create"],
            Some("apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n")
        )
        .await
        .contains("namespace/team created")
    );
    assert!(
        run(&["apply", "--server-side", "-n", "team"], Some(manifest))
            .await
            .contains("deployment.apps/web serverside-applied")
    );
    let table = run(&["get", "deployments", "-n", "team"], None).await;
    assert!(
        table.starts_with("NAME   READY   UP-TO-DATE   AVAILABLE   AGE"),
        "{table}"
    );
    run(
        &[
            "wait",
            "--for=condition=Available=false",
            "deployment/web",
            "-n",
            "team",
            "--timeout=20s",
        ],
        None,
    )
    .await;
    assert!(
        run(&["describe", "deployment", "web", "-n", "team"], None)
            .await
            .contains("StrategyType:           RollingUpdate")
    );
    let map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: team}\ndata: {a: '1'}\n";
    assert!(
        run(&["apply"], Some(map))
            .await
            .contains("configmap/m created")
    );
    assert!(
        run(&["apply"], Some(&map.replace("'1'", "'2'")))
            .await
            .contains("configmap/m configured")
    );
    assert!(
        run(&["apply"], Some(&map.replace("'1'", "'2'")))
            .await
            .contains("configmap/m unchanged")
    );
    assert_eq!(
        run(
            &["get", "cm", "m", "-n", "team", "-o", "jsonpath={.data.a}"],
            None
        )
        .await,
        "2"
    );
    assert!(
        run(&["explain", "deployment.spec.replicas"], None)
            .await
            .contains("replicas <integer>")
    );
    assert!(run(&["api-resources"], None).await.contains("deployments"));
    let strict = kubectl(
        folder.path(),
        &["create", "--validate=strict"],
        Some(&map.replace("data:", "dta:")),
    )
    .await;
    assert!(
        String::from_utf8_lossy(&strict.stderr).contains("unknown field \"dta\""),
        "{strict:?}"
    );
    assert!(
        run(&["delete", "namespace", "team", "--timeout=30s"], None)
            .await
            .contains("deleted")
    );
}
