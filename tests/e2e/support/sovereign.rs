//! A `catalyst up` as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Where the ports begin that the kernel gives to nobody of its own accord.
const OWN_PORTS: std::ops::Range<u16> = 12_000..30_000;

/// Longer than any start takes; one that takes as long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// An address for a Sovereign that will be started on it again. A port that the
/// kernel chose would not do: while nobody listens on it, the kernel may give it
/// to any connection that another test opens.
pub fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = OWN_PORTS.end - OWN_PORTS.start;
    // Programs that run at once begin far apart.
    let first = u16::try_from(std::process::id() * 61 % u32::from(count)).unwrap();
    (0..count)
        .map(|_| {
            let offset = (first + NEXT.fetch_add(1, Ordering::Relaxed) % count) % count;
            format!("127.0.0.1:{}", OWN_PORTS.start + offset)
        })
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("no port is free")
}

/// The log of a Sovereign that [`Sovereign::start_logging`] started.
pub fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// A running Sovereign; killed when dropped.
pub struct Sovereign {
    child: Option<Child>,
    /// Where it writes its log, if that is kept.
    log: Option<PathBuf>,
    /// The line that it printed once ready.
    pub addresses: Value,
}

/// Clients that trust the Sovereign's authority.
pub struct Administrator {
    /// With the kubeconfig's client certificate.
    pub http: reqwest::Client,
    /// Without it.
    pub anonymous: reqwest::Client,
}

/// Begins clients of a Sovereign; outlives it.
#[derive(Clone)]
pub struct Trust {
    root: reqwest::Certificate,
    /// Its name, which no name server knows.
    domain: Option<String>,
    address: SocketAddr,
}

impl Trust {
    /// A client that trusts the Sovereign's authority and no other.
    pub fn client(&self) -> reqwest::ClientBuilder {
        let root = self.root.clone();
        let builder = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
        match &self.domain {
            Some(domain) => builder.resolve(domain, self.address),
            None => builder,
        }
    }

    /// A client of an Application of this host name.
    pub fn client_of(&self, host: &str) -> reqwest::Client {
        self.client().resolve(host, self.address).build().unwrap()
    }
}

fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// The program that is driven: what was built beside the tests, or a copy of it
/// where whoever runs them cannot read that.
pub fn program() -> PathBuf {
    std::env::var_os("CATALYST_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_catalyst").into(), PathBuf::from)
}

fn command(data: &Path, listen: &str) -> Command {
    with_arguments(Command::new(program()), data, listen)
}

/// Gives `catalyst`, or what ends up as it, the arguments of a start.
pub fn with_arguments(mut command: Command, data: &Path, listen: &str) -> Command {
    command
        .args(["up", "--output", "json", "--listen", listen, "--data"])
        .arg(data);
    command
}

impl Sovereign {
    /// Starts one and waits until it says that it is ready.
    pub fn start(data: &Path, listen: &str) -> Self {
        Self::start_by(command(data, listen))
    }

    /// Starts one that adds what it logs, much of it, to the file beside its data
    /// directory that [`log_of`] names.
    pub fn start_logging(data: &Path, listen: &str) -> Self {
        Self::start_logging_with(data, listen, &[])
    }

    /// The same, with further arguments.
    pub fn start_logging_with(data: &Path, listen: &str, further: &[&str]) -> Self {
        let log = log_of(data);
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        let mut command = command(data, listen);
        command
            .args(further)
            .env("CATALYST_LOG", "warn,catalyst=debug")
            .stderr(file.unwrap());
        let mut sovereign = Self::start_by(command);
        sovereign.log = Some(log);
        sovereign
    }

    /// Starts one by a command that becomes it.
    pub fn start_by(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let mut sovereign = Self::of(child);
        let (sender, printed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line);
            drop(sender.send(read.map(|_| line)));
        });
        let line = printed
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("not ready within {PATIENCE:?}"))
            .unwrap();
        sovereign.addresses = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("not ready: {error}: {line:?}"));
        sovereign
    }

    /// One that was started otherwise, and has not said yet where it is.
    pub fn of(child: Child) -> Self {
        Self {
            child: Some(child),
            log: None,
            addresses: Value::Null,
        }
    }

    /// Starts one that must fail; its exit code and what it said.
    pub fn fail(data: &Path, listen: &str) -> (Option<i32>, String) {
        Self::fail_by(command(data, listen))
    }

    /// Starts one, by a command that becomes it, that must fail.
    pub fn fail_by(mut command: Command) -> (Option<i32>, String) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if !line.is_empty() {
            drop(child.kill());
            panic!("it started: {line}");
        }
        let mut error = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .unwrap();
        (child.wait().unwrap().code(), error)
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// One of the addresses.
    pub fn address(&self, name: &str) -> &str {
        self.addresses[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.addresses))
    }

    /// A path on the plain HTTP port.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("registry"))
    }

    /// A path of a cluster's Kubernetes API.
    pub fn cluster(&self, name: &str, path: &str) -> String {
        format!("{}/{name}{path}", self.address("kubernetes"))
    }

    /// The port listened on.
    pub fn port(&self) -> u16 {
        self.address("registry")
            .rsplit_once(':')
            .unwrap()
            .1
            .parse()
            .unwrap()
    }

    /// Clients made from the kubeconfig.
    pub fn administrator(&self) -> Administrator {
        let config = self.kubeconfig();
        let user = &config["users"][0]["user"];
        let mut identity = decode(&user["client-certificate-data"]);
        identity.extend(decode(&user["client-key-data"]));
        let trust = self.trust();
        Administrator {
            http: trust
                .client()
                .identity(reqwest::Identity::from_pem(&identity).unwrap())
                .build()
                .unwrap(),
            anonymous: trust.client().build().unwrap(),
        }
    }

    /// By what its clients on this machine trust and find it.
    pub fn trust(&self) -> Trust {
        let config = self.kubeconfig();
        let authority = decode(&config["clusters"][0]["cluster"]["certificate-authority-data"]);
        let console = reqwest::Url::parse(self.address("console")).unwrap();
        Trust {
            root: reqwest::Certificate::from_pem(&authority).unwrap(),
            domain: console.domain().map(str::to_owned),
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), console.port().unwrap()),
        }
    }

    fn kubeconfig(&self) -> Value {
        let text = std::fs::read_to_string(self.address("kubeconfig")).unwrap();
        catalyst_yaml::from_str(&text).unwrap()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub fn terminate(self) {
        self.stop("-TERM");
    }

    /// The same, as somebody does at the keyboard.
    pub fn interrupt(self) {
        self.stop("-INT");
    }

    fn stop(mut self, signal: &str) {
        let mut child = self.child.take().unwrap();
        let asked = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(asked.success());
        let (sender, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait()));
        let status = ended
            .recv_timeout(Duration::from_secs(20))
            .expect("it did not stop within 20 s")
            .unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Sovereign {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
        if let (true, Some(log)) = (std::thread::panicking(), &self.log) {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len().saturating_sub(100);
            eprintln!("the Sovereign's last lines:\n{}", lines[last..].join("\n"));
        }
    }
}
