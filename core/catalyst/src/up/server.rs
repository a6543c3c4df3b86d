//! One port for every surface.
//!
//! A connection's first byte tells TLS (a handshake record, 0x16) from plain
//! HTTP. Plain HTTP is answered on loopback only. A client certificate, verified
//! by the handshake, becomes the request's Kubernetes identity.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use catalyst_kubernetes::Identity;
use futures::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::gateway::Gateway;
use super::metrics::Metrics;

/// How long a new connection may take to say its first byte and finish the
/// TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests may take to end once the server is told to stop.
pub const DRAIN: Duration = Duration::from_secs(2);
/// How long a connection may take to end on which a request has come in part and none
/// is under way: nobody knows what the rest would ask for, or when it comes.
const CUT_SHORT: Duration = Duration::from_millis(100);
/// How long all connections together may take to go after that.
pub const CUT: Duration = Duration::from_millis(500);
const TLS_HANDSHAKE_RECORD: u8 = 0x16;

/// Whether a request came over TLS; set on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls(pub bool);

/// What answers: Applications by host name, all else by path.
#[derive(Clone)]
pub struct Surfaces {
    /// Everything that is reached by path.
    pub router: Router,
    /// Applications.
    pub gateway: Gateway,
    /// Counts what is answered.
    pub metrics: Metrics,
}

/// Serves until told to stop, then ends the streams and drains; over within [`DRAIN`] and [`CUT`].
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    app: Surfaces,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let handler =
        move |stream, peer, stop| handle(stream, peer, acceptor.clone(), app.clone(), stop);
    take(listener, handler, stop).await;
}

/// Gives connections to `handler` until told to stop, then waits for them to end.
///
/// Meanwhile the machine itself is answered still: what is open, or is being
/// answered, asks the issuer who it is for, and reaches it here.
async fn take<F>(
    listener: TcpListener,
    handler: impl Fn(TcpStream, SocketAddr, CancellationToken) -> F,
    stop: CancellationToken,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        if let Some((stream, peer)) = accepted {
            connections.spawn(handler(stream, peer, stop.clone()));
        }
    }
    connections.close();
    let drained = async {
        tokio::select! {
            () = connections.wait() => {}
            () = take_from_here(&listener, handler) => {}
        }
    };
    if tokio::time::timeout(DRAIN + CUT, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "connections cut off");
    }
}

/// Gives connections from this machine to `handler`, until this is dropped, with
/// which they end.
async fn take_from_here<F>(
    listener: &TcpListener,
    handler: impl Fn(TcpStream, SocketAddr, CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        if let Some((stream, peer)) = accept(listener).await
            && is_from_here(&stream, peer)
        {
            connections.spawn(handler(stream, peer, CancellationToken::new()));
        }
        while connections.try_join_next().is_some() {}
    }
}

fn is_from_here(stream: &TcpStream, peer: SocketAddr) -> bool {
    let is_own = |here: SocketAddr| here.ip() == peer.ip();
    is_loopback(peer.ip()) || stream.local_addr().is_ok_and(is_own)
}

/// The next connection, if it could be taken.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        // Out of file descriptors, or the peer left before it was taken:
        // neither ends the server, but the first must not spin.
        Err(error) => {
            tracing::warn!(error = %error, "connection not accepted");
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

async fn handle(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    app: Surfaces,
    stop: CancellationToken,
) {
    // Small answers must not wait for more to come.
    drop(stream.set_nodelay(true));
    let mut first = [0];
    // Whoever has not said a word, or not who it is, asked for nothing yet: a
    // server that stops does not wait for that.
    let peeked = tokio::select! {
        biased;
        peeked = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)) => peeked,
        () = stop.cancelled() => return,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    if first == [TLS_HANDSHAKE_RECORD] {
        let accepted = tokio::select! {
            biased;
            accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(Ok(stream)) => {
                let identity = stream
                    .get_ref()
                    .1
                    .peer_certificates()
                    .and_then(|chain| client_identity(chain.first()?));
                answer(stream, peer, true, identity, app, stop).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, error = %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
        }
    } else {
        answer(stream, peer, false, None, app, stop).await;
    }
}

async fn answer<S>(
    stream: S,
    peer: SocketAddr,
    tls: bool,
    identity: Option<Identity>,
    app: Surfaces,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stopping = stop.clone();
    let respond = move |request: Request<Incoming>| {
        let (app, identity, stopping) = (app.clone(), identity.clone(), stopping.clone());
        async move {
            let follows = follows(&request);
            let response = route(request.map(Body::new), peer, tls, identity, app).await;
            ended_by(stopping, follows, response)
        }
    };
    converse(stream, peer, respond, stop).await;
}

/// How far a connection has come.
#[derive(Debug, Default)]
struct Talk {
    /// Requests whose answer is not handed over yet.
    under_way: AtomicUsize,
    /// Whether something was read since the last request began or was answered.
    heard: AtomicBool,
}

impl Talk {
    /// Whether a request has come in part, and no other is under way.
    fn is_cut_short(&self) -> bool {
        self.heard.load(Ordering::Relaxed) && self.under_way.load(Ordering::Relaxed) == 0
    }
}

/// A request, until its answer is handed over or nobody wants it any more.
struct UnderWay(Arc<Talk>);

impl UnderWay {
    fn begin(talk: &Arc<Talk>) -> Self {
        talk.under_way.fetch_add(1, Ordering::Relaxed);
        talk.heard.store(false, Ordering::Relaxed);
        Self(Arc::clone(talk))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.heard.store(false, Ordering::Relaxed);
    }
}

/// Takes requests from a connection until it ends, or what is under way on it when the
/// server is told to stop.
async fn converse<S, F>(
    stream: S,
    peer: SocketAddr,
    respond: impl Fn(Request<Incoming>) -> F + Send + 'static,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let talk = Arc::new(Talk::default());
    let listening = Arc::clone(&talk);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        if !bytes.is_empty() {
            listening.heard.store(true, Ordering::Relaxed);
        }
    });
    let told = Arc::clone(&talk);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (under_way, response) = (UnderWay::begin(&told), respond(request));
        async move {
            let response = response.await.map(|body| {
                Body::new(body.inspect_err(move |_| {
                    let _until_the_body_goes = &under_way;
                }))
            });
            Ok::<_, Infallible>(response)
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Requests under way; a tunnel, or an answer whose client does not read
            // it, has no end of its own.
            let patience = if talk.is_cut_short() { CUT_SHORT } else { DRAIN };
            tokio::time::timeout(patience, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %error, "connection ended early");
    }
}

/// Whether a request asks for what happens from now on: a watch, or a log that is
/// followed.
fn follows<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .any(|part| matches!(part, "watch=true" | "watch=1" | "follow=true" | "follow=1"))
}

/// An answer that has no end of its own ends when the server is told to stop, so that
/// only what is under way is waited for; its client sees the end of the stream, and
/// comes back.
fn ended_by(stop: CancellationToken, follows: bool, response: Response) -> Response {
    let content_type = response.headers().get(http::header::CONTENT_TYPE);
    let is_events = content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if !follows && !is_events {
        return response;
    }
    response.map(|body| {
        let stream = body.into_data_stream();
        Body::from_stream(stream.take_until(stop.cancelled_owned()))
    })
}

/// Answers a request and counts it.
async fn route(
    request: Request<Body>,
    peer: SocketAddr,
    tls: bool,
    identity: Option<Identity>,
    app: Surfaces,
) -> Response {
    let started = std::time::Instant::now();
    let metrics = app.metrics.clone();
    let path = match app.gateway.claims(&request) {
        Some(_) => None,
        None => Some(request.uri().path().to_owned()),
    };
    let response = respond(request, peer, tls, identity, app).await;
    metrics.answered(path.as_deref(), response.status(), started.elapsed());
    response
}

async fn respond(
    mut request: Request<Body>,
    peer: SocketAddr,
    tls: bool,
    identity: Option<Identity>,
    app: Surfaces,
) -> Response {
    // RFC 9112, 3.2; without it nobody knows which site is meant.
    let hosts = request.headers().get_all(http::header::HOST).iter().count();
    if request.version() == http::Version::HTTP_11 && hosts != 1 {
        return (
            StatusCode::BAD_REQUEST,
            "cannot answer: the request must have one Host header\n",
        )
            .into_response();
    }
    if !tls && !is_loopback(peer.ip()) {
        return (
            StatusCode::FORBIDDEN,
            "cannot answer over plain HTTP from another machine: the connection is not encrypted; use https://\n",
        )
            .into_response();
    }
    let host = app.gateway.claims(&request);
    if host.is_none() && !tls && request.uri().path().starts_with("/clusters") {
        return (
            StatusCode::UPGRADE_REQUIRED,
            [(http::header::UPGRADE, "TLS/1.2")],
            "cannot serve the Kubernetes API over plain HTTP; use https:// and the CA of the kubeconfig\n",
        )
            .into_response();
    }
    // What a client sends must never stand in for what the handshake proved.
    request.extensions_mut().insert(OverTls(tls));
    request.extensions_mut().insert(ConnectInfo(peer));
    if let Some(host) = host {
        return app.gateway.answer(&host, request, tls).await;
    }
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    match app.router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_loopback())
        }
    }
}

/// User and groups of a verified client certificate, as Kubernetes reads them:
/// common name and organizations.
fn client_identity(certificate: &rustls::pki_types::CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let mut groups: Vec<String> = subject
        .iter_organization()
        .filter_map(|group| group.as_str().ok())
        .map(str::to_owned)
        .collect();
    groups.push("system:authenticated".to_owned());
    Some(Identity { user, groups })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), what)
            .await
            .expect("not within 10 s")
    }

    #[tokio::test]
    async fn what_is_open_reaches_the_server_until_it_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        // Says back what it is told; told `a`, it asks here itself, once it shall stop.
        let handler = move |mut stream: TcpStream, _: SocketAddr, stop: CancellationToken| async move {
            let told = stream.read_u8().await.unwrap();
            stream.write_u8(told).await.unwrap();
            if told == b'a' {
                stop.cancelled().await;
                let mut own = TcpStream::connect(address).await.unwrap();
                own.write_u8(b'b').await.unwrap();
                let answer = own.read_u8().await.unwrap();
                stream.write_u8(answer).await.unwrap();
            }
        };
        let serving = tokio::spawn(take(listener, handler, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_u8(b'a').await.unwrap();
        assert_eq!(within(client.read_u8()).await.unwrap(), b'a');
        stop.cancel();
        assert_eq!(within(client.read_u8()).await.unwrap(), b'b');
        // Over, without waiting for the bound.
        within(serving).await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// A client on a connection that holds a few bytes, so that what was written is read.
    struct Client {
        stream: tokio::io::DuplexStream,
        stop: CancellationToken,
        ended: tokio::task::JoinHandle<()>,
    }

    impl Client {
        /// Of a server that answers `ready`, and of `/slow` says that it has begun and
        /// answers when it is told to.
        fn new(slow: &Arc<[tokio::sync::Notify; 2]>) -> Self {
            let slow = Arc::clone(slow);
            let respond = move |request: Request<Incoming>| {
                let slow = Arc::clone(&slow);
                async move {
                    if request.uri().path() == "/slow" {
                        let [has_begun, go_on] = &*slow;
                        has_begun.notify_one();
                        go_on.notified().await;
                    }
                    "ready".into_response()
                }
            };
            let (stream, server) = tokio::io::duplex(8);
            let stop = CancellationToken::new();
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            let ended = tokio::spawn(converse(server, peer, respond, stop.clone()));
            Self {
                stream,
                stop,
                ended,
            }
        }

        async fn ask(&mut self, text: &str) {
            within(self.stream.write_all(text.as_bytes()))
                .await
                .unwrap();
        }

        /// Reads until the answer has come.
        async fn answered(&mut self) {
            let mut read = Vec::new();
            while !read.ends_with(b"ready") {
                read.push(within(self.stream.read_u8()).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_is_not_sent_to_its_end_holds_no_stop() {
        for is_first in [true, false] {
            let mut client = Client::new(&Arc::default());
            if !is_first {
                client.ask("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
                client.answered().await;
            }
            client.ask("GET / HTTP/1.1\r\nHost: h").await;
            client.stop.cancel();
            let ended = tokio::time::timeout(DRAIN / 2, client.ended).await;
            assert!(ended.is_ok(), "it was waited for, first: {is_first}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_under_way_is_answered_after_a_stop() {
        let slow = Arc::<[tokio::sync::Notify; 2]>::default();
        let mut client = Client::new(&slow);
        client.ask("GET /slow HTTP/1.1\r\nHost: here\r\n\r\n").await;
        let [has_begun, go_on] = &*slow;
        within(has_begun.notified()).await;
        client.stop.cancel();
        // The server hears of it.
        tokio::task::yield_now().await;
        go_on.notify_one();
        client.answered().await;
        within(client.ended).await.unwrap();
    }

    /// A body that says `a`, and `b` when it is told to; then it ends.
    fn slow() -> (tokio::sync::oneshot::Sender<()>, Body) {
        let (go_on, told) = tokio::sync::oneshot::channel::<()>();
        let rest = async move {
            told.await.unwrap();
            Ok::<_, Infallible>("b")
        };
        let first = futures::stream::iter([Ok::<_, Infallible>("a")]);
        let body = Body::from_stream(first.chain(futures::stream::once(rest)));
        (go_on, body)
    }

    #[tokio::test]
    async fn streams_end_at_once_while_what_is_under_way_is_still_answered() {
        let read = async |response: Response| {
            let bytes = axum::body::to_bytes(response.into_body(), 100).await;
            String::from_utf8(bytes.unwrap().to_vec()).unwrap()
        };
        let stop = CancellationToken::new();
        let of = |path: &str, content_type: &str| {
            let request = Request::get(path).body(()).unwrap();
            let (go_on, body) = slow();
            let response = Response::builder().header("content-type", content_type);
            let response = response.body(body).unwrap();
            (go_on, ended_by(stop.clone(), follows(&request), response))
        };
        let open = [
            of("/api/v1/stream", "text/event-stream"),
            of(
                "/clusters/a/api/v1/pods?limit=1&watch=true",
                "application/json",
            ),
            of("/clusters/a/api/v1/pods?watch=1", "application/json"),
            of("/api/v1/logs?follow=true", "text/plain"),
        ];
        let (go_on, under_way) = of("/api/v1/logs?tail=2", "text/plain");
        stop.cancel();
        for (_still_waits, response) in open {
            within(read(response)).await;
        }
        // All streams have ended by now, and this one is not over.
        go_on.send(()).unwrap();
        assert_eq!(within(read(under_way)).await, "ab");
    }
}
