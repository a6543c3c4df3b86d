//! Ports of pods, in each way that clients ask for them.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::streams::{POD, User, bind, developers, with_a_pod, with_token, within};
use crate::support::{Api, Socket};

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
/// A ping of SPDY/3.1, which comes back as it is.
const PING: &[u8] = b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01";
const WEBSOCKET: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn channels_lead_to_ports_until_the_user_is_gone() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let user = User::new();
    let path = format!("{POD}/portforward?ports=80&ports=8080");
    let mut socket = Socket::open(&api, &path, "v4.channel.k8s.io", user.standing()).await;
    // On each channel first the port.
    for content in [[0, 80, 0], [1, 80, 0], [2, 144, 31], [3, 144, 31]] {
        assert_eq!(socket.frame().await, (BINARY, content.to_vec()));
    }
    for message in [b"\x00hello".as_slice(), b"\x02there"] {
        socket.send(message).await;
        assert_eq!(socket.frame().await, (BINARY, message.to_vec()));
    }
    // Nothing comes on channels that are the server's, or nobody's.
    socket.send(b"\x01x").await;
    socket.send(b"\x08x").await;
    socket.send(b"").await;
    socket.send(b"\x00on").await;
    assert_eq!(socket.frame().await, (BINARY, b"\x00on".to_vec()));
    user.is_gone.store(true, Ordering::SeqCst);
    let (kind, content) = socket.frame().await;
    assert_eq!(kind, CLOSE);
    assert!(content.ends_with(b"Unauthorized"), "{content:?}");
}

#[tokio::test]
async fn a_websocket_carries_spdy() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let user = User::new();
    let path = format!("{POD}/portforward");
    let protocol = "SPDY/3.1+portforward.k8s.io";
    let mut socket = Socket::open(&api, &path, protocol, user.standing()).await;
    socket.send(&PING[..5]).await;
    socket.send(&PING[5..]).await;
    assert_eq!(socket.frame().await, (BINARY, PING.to_vec()));
    user.is_gone.store(true, Ordering::SeqCst);
    assert_eq!(socket.frame().await.0, CLOSE);
}

#[tokio::test]
async fn spdy_takes_a_connection_over() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let user = User::new();
    let request = format!(
        "POST /clusters/{POD}/portforward HTTP/1.1\r\nContent-Length: 0\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: portforward.k8s.io\r\n"
    );
    let (mut socket, head) = Socket::ask(&api, &request, user.standing()).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for line in [
        "connection: Upgrade\r\n",
        "upgrade: SPDY/3.1\r\n",
        "x-stream-protocol-version: portforward.k8s.io\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    socket.0.write_all(PING).await.unwrap();
    let mut answer = vec![0; PING.len()];
    let reading = socket.0.read_exact(&mut answer);
    within("the ping", reading).await.unwrap();
    assert_eq!(answer, PING);
    user.is_gone.store(true, Ordering::SeqCst);
    let rest = within("the end", socket.0.read_u8()).await;
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_refused() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "edit").await;
    let unscheduled = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = api
        .post("a/api/v1/namespaces/default/pods", unscheduled)
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    let get = |path: &str, headers: &str| format!("GET /clusters/{path} HTTP/1.1\r\n{headers}");
    let one = format!("{POD}/portforward");
    let with_port = format!("{one}?ports=80");
    let other = format!("{WEBSOCKET}Sec-WebSocket-Protocol: portforward.k8s.io\r\n");
    let spdy = "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v9\r\n";
    let nowhere = "a/api/v1/namespaces/default/pods/q/portforward?ports=80";
    let nobody = "a/api/v1/namespaces/default/pods/r/portforward?ports=80";
    for (request, code) in [
        (get(&with_port, ""), 400),
        (get(&one, WEBSOCKET), 400),
        (get(&with_port, &other), 400),
        (get(&one, spdy), 400),
        (get(nowhere, WEBSOCKET), 400),
        (get(nobody, WEBSOCKET), 404),
    ] {
        let (_, head) = Socket::ask(&api, &request, User::new().standing()).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {code}")),
            "{request}{head}"
        );
    }
}

#[tokio::test]
async fn a_viewer_reaches_no_port() {
    let (api, _) = with_a_pod().await;
    bind(&api, developers(), "view").await;
    let path = format!("{POD}/portforward?ports=80");
    let asked = with_token(&path, "jane-token");
    assert_eq!(api.send(asked).await.code, 403);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/clusters/{path}"))
        .header("authorization", "Bearer jane-token")
        .body(Body::empty())
        .unwrap();
    let refused = api.send(request).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
    assert_eq!(said(&api, &path).await["reason"], "BadRequest");
}

/// What an administrator is told who asks for no upgrade.
async fn said(api: &Api, path: &str) -> Value {
    api.get(path).await.body
}
