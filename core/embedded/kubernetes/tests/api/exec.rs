//! Commands in pods, over SPDY alone and over WebSockets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::http::Method;
use catalyst_kubernetes::{
    ExecRequest, ExecSession, LogRequest, LogStream, PodBackend, PodError, PortConnection,
    PortRequest,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use crate::streams::{POD, User, bind, developers, with_a_pod, with_pods, within};
use crate::support::{Api, Socket};

const BINARY: u8 = 2;

/// Asks for a command over SPDY.
async fn ask(api: &Api, method: &Method, query: &str, protocols: &str) -> (Socket, String) {
    let request = format!(
        "{method} /clusters/{POD}/exec?{query} HTTP/1.1\r\nContent-Length: 0\r\n\
         Upgrade: SPDY/3.1\r\n{protocols}"
    );
    Socket::ask(api, &request, User::new().standing()).await
}

/// As client-go names what it speaks.
const PROTOCOLS: &str = "X-Stream-Protocol-Version: v5.channel.k8s.io\r\n\
    X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n";

/// A session of SPDY/3.1, as far as a command needs it.
struct Spdy {
    socket: Socket,
    has_begun: bool,
}

impl Spdy {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            has_begun: false,
        }
    }

    /// Begins a stream of a kind, and reads that it is taken.
    async fn open(&mut self, stream: u32, kind: &str) {
        let mut plain = 1_u32.to_be_bytes().to_vec();
        for text in ["streamtype", kind] {
            let length = u32::try_from(text.len()).unwrap();
            plain.extend_from_slice(&length.to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        // Of no other stream, of no priority; then the headers as zlib stores what
        // it does not pack, after what names its dictionary the first time.
        let mut payload = stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0; 6]);
        if !self.has_begun {
            self.has_begun = true;
            payload.extend_from_slice(b"\x78\x20\xe3\xc6\xa7\xc2");
        }
        let length = u16::try_from(plain.len()).unwrap();
        payload.push(0);
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(&(!length).to_le_bytes());
        payload.append(&mut plain);
        payload.extend_from_slice(b"\0\0\0\xff\xff");
        self.write(0x8003_0001, 0, &payload).await;
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x8003_0002);
        assert_eq!(payload[..4], stream.to_be_bytes());
    }

    async fn write(&mut self, first: u32, flags: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap();
        let mut frame = first.to_be_bytes().to_vec();
        frame.extend_from_slice(&((flags << 24) | length).to_be_bytes());
        frame.extend_from_slice(payload);
        self.socket.0.write_all(&frame).await.unwrap();
    }

    /// The next frame: its first number, which of data is the stream's, and content.
    async fn frame(&mut self) -> (u32, Vec<u8>) {
        let reading = async {
            let first = self.socket.0.read_u32().await.unwrap();
            let length = self.socket.0.read_u32().await.unwrap() & 0x00ff_ffff;
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.socket.0.read_exact(&mut payload).await.unwrap();
            (first, payload)
        };
        within("a frame", reading).await
    }

    async fn data(&mut self) -> (u32, String) {
        let (stream, payload) = self.frame().await;
        (stream, String::from_utf8(payload).unwrap())
    }
}

/// Pods whose commands send back all of their input, then say on the error output
/// that they are done, and end with 3; but there is nothing named `none`, and for
/// `late` the container has ended.
struct Cat;

impl PodBackend for Cat {
    fn logs(&self, _: LogRequest) -> BoxFuture<'_, Result<LogStream, PodError>> {
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
            // Whoever asked for nothing that is there has left already.
            drop(errors.send(Bytes::from_static(b"done")).await);
            drop(exited.send(Ok(3)));
        });
        Box::pin(async move {
            if request.command == ["none"] {
                return Err(PodError::Failed {
                    pod: request.pod,
                    reason: "no such file".to_owned(),
                });
            }
            if request.command == ["late"] {
                let container = request.container;
                return Err(PodError::NotRunning { container });
            }
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
        unreachable!("no port is forwarded")
    }
}

async fn with_a_cat() -> Api {
    let api = with_pods(Arc::new(Cat)).await;
    bind(&api, developers(), "edit").await;
    api
}

const ALL: &str = "command=cat&stdin=true&stdout=true&stderr=true";

#[tokio::test]
async fn a_command_runs_over_spdy_whichever_the_method() {
    let api = with_a_cat().await;
    for method in [Method::POST, Method::GET] {
        let (socket, head) = ask(&api, &method, ALL, PROTOCOLS).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        for line in [
            "connection: Upgrade\r\n",
            "upgrade: SPDY/3.1\r\n",
            "x-stream-protocol-version: v4.channel.k8s.io\r\n",
        ] {
            assert!(head.contains(line), "{head}");
        }
        let mut client = Spdy::new(socket);
        for (stream, kind) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
            client.open(stream, kind).await;
        }
        client.write(3, 0, b"hello").await;
        assert_eq!(client.data().await, (5, "hello".to_owned()));
        client.write(3, 1, b"").await;
        assert_eq!(client.data().await, (7, "done".to_owned()));
        for stream in [3, 5, 7] {
            assert_eq!(client.data().await, (stream, String::new()));
        }
        let (stream, text) = client.data().await;
        let status: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (stream, &status["reason"]),
            (1, &json!("NonZeroExitCode")),
            "{status}"
        );
        assert_eq!(
            status["details"]["causes"],
            json!([{"reason": "ExitCode", "message": "3"}])
        );
    }
}

#[tokio::test]
async fn a_command_over_spdy_ends_when_its_user_is_gone() {
    let (api, pods) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let user = User::new();
    let request = format!(
        "POST /clusters/{POD}/exec?command=sh&stdout=true HTTP/1.1\r\nContent-Length: 0\r\n\
         Upgrade: SPDY/3.1\r\n{PROTOCOLS}"
    );
    let (socket, head) = Socket::ask(&api, &request, user.standing()).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut client = Spdy::new(socket);
    client.open(1, "error").await;
    client.open(3, "stdout").await;
    assert_eq!(client.data().await, (3, "hello\n".to_owned()));
    let command = pods.command();
    user.is_gone.store(true, Ordering::SeqCst);
    within("the end of the command", command).await.unwrap();
    assert_eq!(client.data().await, (3, String::new()));
    let (stream, text) = client.data().await;
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((stream, &status["code"]), (1, &json!(401)), "{status}");
    let rest = within("the end of the connection", client.socket.0.read_u8()).await;
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_the_connection_is_taken() {
    let api = with_a_cat().await;
    for (query, protocols, code, said) in [
        (ALL, "", 400, "the server accepts v4.channel.k8s.io"),
        (
            ALL,
            "X-Stream-Protocol-Version: channel.k8s.io\r\n",
            400,
            "the server accepts v4.channel.k8s.io",
        ),
        ("stdout=true", PROTOCOLS, 400, "at least 1 command"),
        ("command=none", PROTOCOLS, 500, "no such file"),
        (
            "command=late",
            PROTOCOLS,
            404,
            r#""container not found (\"c\")""#,
        ),
    ] {
        let (mut socket, head) = ask(&api, &Method::POST, query, protocols).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{head}");
        let mut body = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&body).contains(said) {
                body.push(socket.0.read_u8().await.unwrap());
            }
        };
        within("the reason", reading).await;
    }
}

#[tokio::test]
async fn a_websocket_carries_input_and_output_side_by_side() {
    let api = with_a_cat().await;
    let path = format!("{POD}/exec?{ALL}");
    let mut socket = Socket::open(&api, &path, "v5.channel.k8s.io", User::new().standing()).await;
    // Far more than may wait anywhere, were it not read while it is written.
    let (mut reader, mut writer) = tokio::io::split(socket.0);
    let writing = async {
        for _ in 0..1_000 {
            let mut frame = vec![0x82, 0x80 | 101, 0, 0, 0, 0, 0];
            frame.extend_from_slice(&[b'x'; 100]);
            writer.write_all(&frame).await.unwrap();
        }
        writer
    };
    let reading = async {
        for _ in 0..1_000 {
            let mut frame = [0; 103];
            reader.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame[..3], [0x80 | BINARY, 101, 1]);
        }
        reader
    };
    let both = async { tokio::join!(reading, writing) };
    let (reader, writer) = within("all of it", both).await;
    socket.0 = reader.unsplit(writer);
    socket.send(&[255, 0]).await;
    assert_eq!(socket.frame().await, (BINARY, b"\x02done".to_vec()));
}

#[tokio::test]
async fn a_command_whose_input_nobody_asked_for_has_none() {
    let api = with_a_cat().await;
    let path = format!("{POD}/exec?command=cat&stdout=true&stderr=true");
    let mut socket = Socket::open(&api, &path, "v5.channel.k8s.io", User::new().standing()).await;
    assert_eq!(socket.frame().await, (BINARY, b"\x02done".to_vec()));
}

#[tokio::test]
async fn nobody_gets_into_a_pod_that_does_not_run() {
    let api = with_a_cat().await;
    let attach = format!("{POD}/attach");
    let refused = api.get(&attach).await;
    assert_eq!(refused.code, 404, "{}", refused.body);
    assert_eq!(refused.body["reason"], "NotFound");
    assert_eq!(refused.body["message"], "container not found (\"c\")");
    let status = json!({"status": {"containerStatuses": [{
        "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }]}});
    let told = api
        .patch(&format!("{POD}/status"), "merge-patch+json", status)
        .await;
    assert_eq!(told.code, 200, "{}", told.body);
    assert_eq!(api.get(&attach).await.code, 405);

    let pods = "a/api/v1/namespaces/default/pods";
    let unplaced = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(api.post(pods, unplaced).await.code, 201);
    for way in ["exec?command=x", "attach"] {
        let refused = api.get(&format!("{pods}/new/{way}")).await;
        assert_eq!(refused.code, 400, "{way}: {}", refused.body);
        assert_eq!(
            refused.body["message"], "pod new does not have a host assigned",
            "{way}"
        );
    }
}
