//! Running a command in a container of a pod, in each way that clients ask for it:
//! channels in a WebSocket, as kubectl does since 1.31; and SPDY/3.1 by an upgrade of
//! its own, as it did before and many client libraries still do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use http::request::Parts;

use super::command::{FromCommand, split};
use super::spdy::command::Wanted;
use super::{ExecRequest, ExecSession, FAREWELL, PodBackend, channel, spdy};
use crate::request::Params;
use crate::standing::{Guard, LONGEST};
use crate::status::ApiError;

/// What is spoken over SPDY, and may be in a WebSocket.
const V4: &str = "v4.channel.k8s.io";
/// As [`V4`], in a WebSocket, with an end of the input.
const V5: &str = "v5.channel.k8s.io";

/// Serves `pods/exec`.
pub(super) async fn serve(
    params: &Params,
    parts: &mut Parts,
    request: ExecRequest,
    backend: Arc<dyn PodBackend>,
    guard: Guard,
) -> Result<Response, ApiError> {
    if request.command.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    let wanted = Wanted {
        stdin: request.stdin,
        stdout: params.flag("stdout"),
        // A terminal has one output.
        stderr: params.flag("stderr") && !request.tty,
        resize: request.tty,
    };
    // The command begins before the answer, so that the answer can say why it does not.
    if spdy::is_asked(&parts.headers) {
        let upgrade = spdy::Upgrade::of(parts, V4)?;
        let session = backend.exec(request).await?;
        return upgrade.on_upgrade(move |connection| {
            spdy::command::serve(connection, session, wanted, guard)
        });
    }
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map_err(|error| {
            ApiError::bad_request(format!(
                "running a command needs an upgrade to WebSocket or {}: {error}",
                spdy::NAME
            ))
        })?
        .protocols([V5, V4]);
    let session = backend.exec(request).await?;
    Ok(upgrade.on_upgrade(move |socket| converse(socket, session, wanted, guard)))
}

/// Lets a client and a command talk for as long as the client may.
async fn converse(mut socket: WebSocket, session: ExecSession, wanted: Wanted, mut guard: Guard) {
    // Around the whole, so that it also ends while it waits for a client that
    // does not read; the session, and with it the command, ends there.
    let refusal = tokio::select! {
        biased;
        refusal = guard.ended_within(LONGEST) => refusal,
        () = relay(&mut socket, session, wanted) => return,
    };
    let farewell = async {
        let told = channel(3, refusal.to_status().to_string().as_bytes());
        let policy = CloseFrame {
            code: close_code::POLICY,
            reason: refusal.reason.into(),
        };
        // Whoever has left already needs no answer.
        drop(socket.send(told).await);
        drop(socket.send(Message::Close(Some(policy))).await);
    };
    drop(tokio::time::timeout(FAREWELL, farewell).await);
}

/// Moves bytes between a client and a command. Each message starts with its
/// channel: 0 input, 1 output, 2 errors, 3 the end, 4 terminal size, 255 close.
async fn relay(socket: &mut WebSocket, session: ExecSession, wanted: Wanted) {
    let (mut sink, mut stream) = socket.split();
    let (mut input, mut output) = split(session, wanted.stdin);
    let to_command = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(bytes) => match bytes.split_first() {
                    Some((0, _)) => input.bytes(bytes.slice(1..)).await,
                    Some((4, sizes)) => input.sizes(sizes),
                    Some((255, [0, ..])) => input.end(),
                    _ => {}
                },
                Message::Close(_) => return,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    };
    let to_client = async {
        while let Some(said) = output.next().await {
            let message = match said {
                FromCommand::Stdout(bytes) => channel(1, &bytes),
                FromCommand::Stderr(bytes) => channel(2, &bytes),
                FromCommand::Ended(status) => channel(3, status.to_string().as_bytes()),
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
        // Clients take a close without a code for a broken connection.
        let normal = CloseFrame {
            code: close_code::NORMAL,
            reason: "".into(),
        };
        drop(sink.send(Message::Close(Some(normal))).await);
    };
    tokio::select! {
        () = to_command => {}
        () = to_client => {}
    }
}
