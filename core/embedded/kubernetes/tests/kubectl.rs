//! Stock kubectl against the API over TLS.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use catalyst_kubernetes::{
    Authenticators, Config, ExecRequest, ExecSession, Identity, Kubernetes, LogRequest, PodBackend,
    PodError, PortConnection, PortRequest, Tasks,
};
use catalyst_store::{Options, Store};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
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

/// A cluster `main` behind TLS, and a kubectl that is its administrator.
struct Cluster {
    folder: tempfile::TempDir,
    _tasks: Tasks,
}

impl Cluster {
    /// Nothing where kubectl is not installed.
    async fn start() -> Option<Self> {
        Self::start_with(None).await
    }

    /// With something that runs pods.
    async fn start_with(pods: Option<Arc<dyn PodBackend>>) -> Option<Self> {
        let present = tokio::process::Command::new("kubectl")
            .args(["version", "--client"])
            .output()
            .await;
        if present.is_err() {
            assert!(
                std::env::var_os("CATALYST_REQUIRE_CLIENTS").is_none(),
                "kubectl is not on PATH"
            );
            eprintln!("not used: kubectl, because it is not on the path");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let stranger = Identity {
            user: "jane".to_owned(),
            groups: Vec::new(),
        };
        let tokens = [
            ("secret".to_owned(), Identity::administrator("admin")),
            ("of-jane".to_owned(), stranger),
        ];
        let kubernetes = Kubernetes::new(Config {
            store,
            authenticators: Authenticators {
                tokens: tokens.into(),
                oidc: Vec::new(),
            },
            token_key: vec![1; 32],
            root_ca: String::new(),
            pods,
        });
        kubernetes.create_cluster("main", &[]).await.unwrap();
        let tasks = kubernetes.start();
        let (address, pem) = serve(&kubernetes).await;
        let ca = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: m\ncontexts: [{{name: m, context: {{cluster: m, user: m}}}}]\nusers: [{{name: m, user: {{token: secret}}}}]\nclusters: [{{name: m, cluster: {{server: 'https://{address}/clusters/main', certificate-authority-data: {ca}}}}}]\n"
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        Some(Self {
            folder,
            _tasks: tasks,
        })
    }

    /// What kubectl prints; it must succeed.
    async fn run(&self, arguments: &[&str], input: Option<&str>) -> String {
        let output = kubectl(self.folder.path(), arguments, input).await;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "kubectl {arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// Words of one command line.
    async fn words(&self, line: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        self.run(&arguments, None).await
    }
}

/// Whoever has no right in the cluster reads which one is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_told_what_they_may_not_do() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    for (line, wanted) in [
        (
            "get pods",
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "get deployment web",
            "deployments.apps \"web\" is forbidden: User \"jane\" cannot get resource \"deployments\" in API group \"apps\" in the namespace \"default\"",
        ),
    ] {
        let mut arguments: Vec<&str> = line.split_whitespace().collect();
        arguments.extend(["--token", "of-jane"]);
        let output = kubectl(cluster.folder.path(), &arguments, None).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{line}: {said}");
        assert!(said.contains(wanted), "{line}: {said}");
    }
}

/// kubectl's imperative commands send Protobuf.
#[tokio::test(flavor = "multi_thread")]
async fn imperative_commands_make_built_in_kinds() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    cluster.words("create namespace team").await;
    for (command, made) in [
        (
            "deployment web --image=x:1 --replicas=2 --port=80",
            "deployment.apps/web created",
        ),
        (
            "configmap settings --from-literal=a=1",
            "configmap/settings created",
        ),
        (
            "secret generic hidden --from-literal=token=t",
            "secret/hidden created",
        ),
        ("serviceaccount robot", "serviceaccount/robot created"),
        (
            "role reader --verb=get,list --resource=pods",
            "role.rbac.authorization.k8s.io/reader created",
        ),
        (
            "rolebinding reader --role=reader --serviceaccount=team:robot",
            "rolebinding.rbac.authorization.k8s.io/reader created",
        ),
        ("service clusterip web --tcp=80:8080", "service/web created"),
        ("job once --image=x:1", "job.batch/once created"),
        (
            "cronjob often --image=x:1 --schedule=*/5_*_*_*_*",
            "cronjob.batch/often created",
        ),
        (
            "ingress front --rule=a.example/*=web:80",
            "ingress.networking.k8s.io/front created",
        ),
        ("quota limits --hard=pods=9", "resourcequota/limits created"),
        (
            "poddisruptionbudget calm --min-available=1 --selector=app=web",
            "poddisruptionbudget.policy/calm created",
        ),
        (
            "priorityclass high --value=7",
            "priorityclass.scheduling.k8s.io/high created",
        ),
    ] {
        let line = format!("create -n team {command}");
        let arguments: Vec<String> = line.split(' ').map(|w| w.replace('_', " ")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = cluster.run(&arguments, None).await;
        assert_eq!(said.trim(), made);
    }
    for (line, wanted) in [
        (
            "get deployment web -n team -o jsonpath={.spec.replicas}/{.spec.template.spec.containers[0].ports[0].containerPort}",
            "2/80",
        ),
        (
            "get secret hidden -n team -o jsonpath={.type}/{.data.token}",
            "Opaque/dA==",
        ),
        (
            "get service web -n team -o jsonpath={.spec.ports[0].targetPort}",
            "8080",
        ),
        ("get pdb calm -n team -o jsonpath={.spec.minAvailable}", "1"),
        (
            "get role reader -n team -o jsonpath={.rules[0].verbs}",
            "[\"get\",\"list\"]",
        ),
        (
            "get cronjob often -n team -o jsonpath={.spec.schedule}",
            "*/5 * * * *",
        ),
        ("get priorityclass high -o jsonpath={.value}", "7"),
        (
            "auth can-i list pods -n team --as=system:serviceaccount:team:robot",
            "yes",
        ),
    ] {
        assert_eq!(cluster.words(line).await.trim(), wanted, "{line}");
    }
    for line in [
        "run one -n team --image=x:1 --env=A=b",
        "expose pod one -n team --port=80 --name=one",
        "scale deployment web -n team --replicas=1",
        "set image deployment/web -n team x=x:2",
        "label configmap settings -n team tier=web",
        "autoscale deployment web -n team --max=3",
        "rollout restart deployment/web -n team",
        "create token robot -n team",
        "delete pod one -n team --wait=false",
    ] {
        cluster.words(line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_kubectl_works_over_tls() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let run = async |arguments: &[&str], input: Option<&str>| cluster.run(arguments, input).await;
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
        cluster.folder.path(),
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

/// Pods whose ports send back what they are sent, and whose commands their input and,
/// as errors, their own words, and end with 3.
struct Echo;

impl PodBackend for Echo {
    fn logs(
        &self,
        _: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Bytes, std::io::Error>>, PodError>> {
        unreachable!("no log is read")
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<ExecSession, PodError>> {
        let (stdin, mut input) = mpsc::channel(1);
        let (output, stdout) = mpsc::channel(1);
        let (errors, stderr) = mpsc::channel(1);
        let (exited, exit) = oneshot::channel();
        let (resize, _) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(bytes) = input.recv().await {
                output.send(bytes).await.unwrap();
            }
            let words = request.command.join(" ");
            errors.send(Bytes::from(words)).await.unwrap();
            exited.send(Ok(3)).unwrap();
        });
        Box::pin(async move {
            Ok(ExecSession {
                stdin,
                stdout,
                stderr,
                exit,
                resize,
            })
        })
    }

    fn connect(&self, _: PortRequest) -> BoxFuture<'_, Result<PortConnection, PodError>> {
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            drop(tokio::io::copy(&mut reader, &mut writer).await);
            drop(writer.shutdown().await);
        });
        let connection: PortConnection = Box::new(near);
        Box::pin(async move { Ok(connection) })
    }
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: local, containers: [{name: c, image: 'x:1'}]}\n";

/// Channels in a WebSocket, as kubectl speaks now, and SPDY, as it did before.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_a_command_either_way() {
    let Some(cluster) = Cluster::start_with(Some(Arc::new(Echo))).await else {
        return;
    };
    cluster.run(&["create"], Some(POD)).await;
    for websockets in ["true", "false"] {
        let mut child = tokio::process::Command::new("kubectl")
            .args(["exec", "-i", "p", "--", "cat", "-x"])
            .env("KUBECONFIG", cluster.folder.path().join("config"))
            .env("HOME", cluster.folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let talk = async move {
            stdin.write_all(b"hello").await.unwrap();
            drop(stdin);
            child.wait_with_output().await.unwrap()
        };
        let output = tokio::time::timeout(Duration::from_secs(30), talk).await;
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert_eq!(output.stdout, b"hello");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("cat -x"), "{errors}");
    }
}

/// SPDY inside a WebSocket, as kubectl speaks now, and by itself, as it did before.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_a_port_either_way() {
    const BOUND: Duration = Duration::from_secs(30);
    let Some(cluster) = Cluster::start_with(Some(Arc::new(Echo))).await else {
        return;
    };
    cluster.run(&["create"], Some(POD)).await;
    let status = r#"{"status":{"phase":"Running"}}"#;
    let words = "patch pod p --subresource=status --type=merge -p";
    let arguments: Vec<&str> = words.split(' ').chain([status]).collect();
    cluster.run(&arguments, None).await;
    for websockets in ["true", "false"] {
        let mut child = tokio::process::Command::new("kubectl")
            .args(["port-forward", "pod/p", ":80"])
            .env("KUBECONFIG", cluster.folder.path().join("config"))
            .env("HOME", cluster.folder.path())
            .env("NO_PROXY", "127.0.0.1")
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(BOUND, lines.next_line()).await;
        let line = line.unwrap().unwrap().unwrap_or_default();
        // Forwarding from 127.0.0.1:40001 -> 80
        let address = line.split(' ').nth(2).unwrap_or_else(|| panic!("{line}"));
        let talk = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            for text in [b"hello", b"again"] {
                stream.write_all(text).await.unwrap();
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, text);
            }
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{rest:?}");
        };
        tokio::time::timeout(BOUND, talk).await.unwrap();
    }
}

/// A client-go program that speaks Protobuf only: informers, conflicts,
/// preconditions, leader election; and runs a command over SPDY. `tests/real/run` builds it and names it in
/// `CATALYST_CLIENT_GO`.
#[tokio::test(flavor = "multi_thread")]
async fn client_go_works_with_protobuf_alone() {
    let Ok(program) = std::env::var("CATALYST_CLIENT_GO") else {
        eprintln!("SKIPPED: CATALYST_CLIENT_GO names no program");
        return;
    };
    let Some(cluster) = Cluster::start_with(Some(Arc::new(Echo))).await else {
        return;
    };
    let run = tokio::process::Command::new(program)
        .env("KUBECONFIG", cluster.folder.path().join("config"))
        .env("NO_PROXY", "127.0.0.1")
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(90), run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "OK",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
