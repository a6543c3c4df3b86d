//! One command in a pod, whatever the protocol by which a client speaks with it.
//! What must stay true: a client that does not read what the command says, or a
//! command that does not read what the client says, holds up that alone; the end is
//! told after everything that was said before it.

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::ExecSession;
use crate::object::integer;

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromCommand {
    /// Its output.
    Stdout(Bytes),
    /// Its error output.
    Stderr(Bytes),
    /// It is over, and how: a `Status` with its exit code. Nothing follows.
    Ended(Value),
}

/// What a client says to a command.
pub(super) struct Input {
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<(u16, u16)>,
}

/// What a command says. Dropping it before the command's end ends the command.
pub(super) struct Output {
    stdout: mpsc::Receiver<Bytes>,
    stderr: mpsc::Receiver<Bytes>,
    exit: Option<oneshot::Receiver<Result<i32, String>>>,
}

/// The two sides of a command, whose input is over at once where none will come.
pub(super) fn split(session: ExecSession, has_stdin: bool) -> (Input, Output) {
    let ExecSession {
        stdin,
        stdout,
        stderr,
        exit,
        resize,
    } = session;
    let input = Input {
        stdin: has_stdin.then_some(stdin),
        resize,
    };
    let output = Output {
        stdout,
        stderr,
        exit: Some(exit),
    };
    (input, output)
}

impl Input {
    /// Gives the command bytes; one that reads no more is given none.
    pub async fn bytes(&self, bytes: Bytes) {
        if let Some(stdin) = &self.stdin {
            drop(stdin.send(bytes).await);
        }
    }

    /// There is no more to come.
    pub fn end(&mut self) {
        self.stdin = None;
    }

    /// Takes sizes of the terminal, each an object with `Width` and `Height`.
    pub fn sizes(&self, text: &[u8]) {
        let sizes = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        for size in sizes.map_while(Result::ok) {
            let side = |key| integer(&size, key).and_then(|value| u16::try_from(value).ok());
            if let (Some(width), Some(height)) = (side("/Width"), side("/Height")) {
                // The next one counts as much, where this one finds no place.
                let _ = self.resize.try_send((width, height));
            }
        }
    }
}

impl Output {
    /// What the command says next; nothing after its end. May be dropped and called
    /// again.
    pub async fn next(&mut self) -> Option<FromCommand> {
        let piece = tokio::select! {
            Some(bytes) = self.stdout.recv() => Some(FromCommand::Stdout(bytes)),
            Some(bytes) = self.stderr.recv() => Some(FromCommand::Stderr(bytes)),
            else => None,
        };
        if piece.is_some() {
            return piece;
        }
        let ended = self.exit.as_mut()?.await;
        self.exit = None;
        let ended = ended.unwrap_or_else(|_| Err("the command's end was not reported".to_owned()));
        Some(FromCommand::Ended(exit_status(&ended)))
    }
}

fn exit_status(result: &Result<i32, String>) -> Value {
    match result {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(reason) => {
            json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "message": reason})
        }
    }
}
