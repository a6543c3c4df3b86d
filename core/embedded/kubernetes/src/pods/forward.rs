//! Forwarding a client's connections to ports of a pod, in each way that clients ask
//! for it: SPDY/3.1 inside a WebSocket, as kubectl does since 1.31; SPDY/3.1 by an
//! upgrade of its own, as it did before; and channels in a WebSocket, two a port, as
//! client libraries do.

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::port::{FromPod, PIECE, Target, ToPod, WAITING, carry};
use super::{FAREWELL, channel, spdy};
use crate::request::Params;
use crate::standing::{Guard, LONGEST};
use crate::status::ApiError;

/// What is spoken over SPDY.
const PROTOCOL: &str = "portforward.k8s.io";
/// SPDY inside a WebSocket.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Channels in a WebSocket.
const CHANNELS: &str = "v4.channel.k8s.io";
/// Not a protocol: where browsers put their token.
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.";
/// The largest message of a WebSocket.
const LARGEST_MESSAGE: usize = 1024 * 1024;
/// How many bytes may wait between a WebSocket and the session in it.
const PIPE: usize = 64 * 1024;
/// How many ports one WebSocket may have channels for.
const MOST_PORTS: usize = 32;

/// Serves `pods/portforward`.
pub(super) async fn serve(
    params: &Params,
    parts: &mut Parts,
    target: Target,
    guard: Guard,
) -> Result<Response, ApiError> {
    if spdy::is_asked(&parts.headers) {
        return upgrade(parts, target, guard);
    }
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map_err(|error| {
            ApiError::bad_request(format!(
                "port forwarding needs an upgrade to WebSocket or {}: {error}",
                spdy::NAME
            ))
        })?
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .protocols([TUNNEL, CHANNELS]);
    let protocol = upgrade.selected_protocol();
    if protocol.is_some_and(|protocol| protocol == TUNNEL) {
        return Ok(upgrade.on_upgrade(move |socket| tunnel(socket, target, guard)));
    }
    if protocol.is_none() && asks_for_protocols(&parts.headers) {
        return Err(ApiError::bad_request(format!(
            "unable to negotiate a protocol: the server accepts {TUNNEL} and {CHANNELS}"
        )));
    }
    let ports = ports(params)?;
    Ok(upgrade.on_upgrade(move |socket| channels(socket, target, ports, guard)))
}

/// Whether a client names protocols of WebSockets.
fn asks_for_protocols(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| !one.trim().is_empty() && !one.trim().starts_with(TOKEN))
}

/// The ports that channels are for.
fn ports(params: &Params) -> Result<Vec<u16>, ApiError> {
    let mut ports = Vec::new();
    for list in params.all("ports") {
        for one in list.split(',') {
            match one.trim().parse::<u16>() {
                Ok(port) if port > 0 => ports.push(port),
                _ => {
                    return Err(ApiError::bad_request(format!(
                        "unable to parse {one:?} as a port"
                    )));
                }
            }
        }
    }
    match ports.len() {
        0 => Err(ApiError::bad_request(
            "query parameter \"ports\" is required",
        )),
        count if count > MOST_PORTS => Err(ApiError::bad_request(format!(
            "at most {MOST_PORTS} ports can be forwarded at once"
        ))),
        _ => Ok(ports),
    }
}

/// Takes a connection over from HTTP.
fn upgrade(parts: &mut Parts, target: Target, mut guard: Guard) -> Result<Response, ApiError> {
    spdy::Upgrade::of(parts, PROTOCOL)?.on_upgrade(move |connection| async move {
        // SPDY has no place for a reason; a new request is told it.
        tokio::select! {
            biased;
            _ = guard.ended_within(LONGEST) => {}
            () = spdy::forward::serve(connection, target) => {}
        }
    })
}

/// SPDY inside a WebSocket, for as long as the client may.
async fn tunnel(mut socket: WebSocket, target: Target, mut guard: Guard) {
    let (near, far) = tokio::io::duplex(PIPE);
    let refusal = tokio::select! {
        biased;
        refusal = guard.ended_within(LONGEST) => Some(refusal),
        () = pump(&mut socket, far) => None,
        () = spdy::forward::serve(near, target) => None,
    };
    close(&mut socket, refusal).await;
}

/// Moves bytes between a WebSocket and a pipe until either ends.
async fn pump(socket: &mut WebSocket, pipe: DuplexStream) {
    let (mut sink, mut stream) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let from_client = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(bytes) => {
                    if writer.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Message::Close(_) => return,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    };
    let to_client = async {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if sink.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = from_client => {}
        () = to_client => {}
    }
}

/// Channels in a WebSocket, for as long as the client may.
async fn channels(mut socket: WebSocket, target: Target, ports: Vec<u16>, mut guard: Guard) {
    let refusal = tokio::select! {
        biased;
        refusal = guard.ended_within(LONGEST) => Some(refusal),
        () = relay(&mut socket, &target, &ports) => None,
    };
    close(&mut socket, refusal).await;
}

/// Moves bytes between a WebSocket's channels and connections to a pod, until the
/// client or all of them have ended. Each port has a channel for data and after it
/// one for errors; on each comes first the port, the smaller byte first.
async fn relay(socket: &mut WebSocket, target: &Target, ports: &[u16]) {
    let (mut sink, mut stream) = socket.split();
    let (output, mut from_pod) = mpsc::channel(WAITING);
    let mut connections = JoinSet::new();
    let mut inputs = Vec::new();
    for (data, port) in (0_u8..).step_by(2).zip(ports) {
        for number in [data, data + 1] {
            let first = channel(number, &port.to_le_bytes());
            if sink.send(first).await.is_err() {
                return;
            }
        }
        let (input, from_client) = mpsc::channel(WAITING);
        inputs.push(input);
        let (target, port, output) = (target.clone(), *port, output.clone());
        connections.spawn(async move {
            let told = |what| (data, what);
            carry(&target, port, from_client, output, told).await;
        });
    }
    drop(output);
    let to_pod = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(bytes) => {
                    let number = bytes.first().copied().unwrap_or(u8::MAX);
                    let input = inputs.get(usize::from(number / 2));
                    if let (0, Some(input)) = (number % 2, input) {
                        // A connection that has ended takes no more.
                        drop(input.send(ToPod::Bytes(bytes.slice(1..))).await);
                    }
                }
                Message::Close(_) => return,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    };
    let to_client = async {
        while let Some((data, what)) = from_pod.recv().await {
            let message = match what {
                FromPod::Bytes(bytes) => channel(data, &bytes),
                FromPod::Failed(why) => channel(data + 1, why.as_bytes()),
                // Channels have no end of their own.
                FromPod::End => continue,
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = to_client => {}
    }
}

/// Says goodbye, with the reason if there is one.
async fn close(socket: &mut WebSocket, refusal: Option<ApiError>) {
    let frame = match refusal {
        Some(refusal) => CloseFrame {
            code: close_code::POLICY,
            reason: refusal.reason.into(),
        },
        None => CloseFrame {
            code: close_code::NORMAL,
            reason: "".into(),
        },
    };
    let farewell = socket.send(Message::Close(Some(frame)));
    // Whoever has left already needs no answer.
    drop(tokio::time::timeout(FAREWELL, farewell).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_for_ports() {
        let ports = |query: &str| ports(&Params::parse(query)).map_err(|error| error.message);
        assert_eq!(ports("ports=80").unwrap(), [80]);
        assert_eq!(ports("ports=80,443&ports=8080").unwrap(), [80, 443, 8080]);
        for (query, said) in [
            ("", "query parameter \"ports\" is required"),
            ("ports=", "unable to parse \"\" as a port"),
            ("ports=0", "unable to parse \"0\" as a port"),
            ("ports=80,65536", "unable to parse \"65536\" as a port"),
        ] {
            assert_eq!(ports(query).unwrap_err(), said);
        }
        let many = format!("ports={}", vec!["1"; 33].join(","));
        assert!(ports(&many).unwrap_err().contains("at most 32 ports"));
    }

    #[test]
    fn a_token_is_no_protocol() {
        let headers = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, value)])
        };
        let token = headers("base64url.bearer.authorization.k8s.io.abc");
        assert!(!asks_for_protocols(&token));
        assert!(!asks_for_protocols(&HeaderMap::new()));
        let both = headers("base64url.bearer.authorization.k8s.io.abc, portforward.k8s.io");
        assert!(asks_for_protocols(&both));
    }
}
