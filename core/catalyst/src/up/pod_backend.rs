//! Logs of, commands in and connections to running pods, for the Kubernetes API.

use std::time::Duration;

use axum::body::Bytes;
use catalyst_kubernetes::{
    ExecRequest, ExecSession, LogRequest, PodBackend, PodError, PortConnection, PortRequest,
};
use catalyst_node::container::LogLine;
use catalyst_node::{NodeError, NodeHandle};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// Pods of this machine's node.
pub struct NodePods(pub NodeHandle);

impl PodBackend for NodePods {
    fn logs(
        &self,
        request: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Bytes, std::io::Error>>, PodError>> {
        Box::pin(async move {
            let tail = request
                .tail_lines
                .map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
            let unavailable = |error: NodeError| PodError::Unavailable {
                pod: request.pod.clone(),
                container: request.container.clone(),
                reason: error.to_string(),
            };
            let lines: BoxStream<'static, LogLine> = if request.follow && !request.previous {
                let receiver = self
                    .0
                    .follow_logs(&request.uid, &request.container, tail)
                    .map_err(unavailable)?;
                futures::stream::unfold(receiver, async |mut receiver| {
                    let line = receiver.recv().await?;
                    Some((line, receiver))
                })
                .boxed()
            } else {
                let lines = self
                    .0
                    .logs(&request.uid, &request.container, request.previous, tail)
                    .map_err(unavailable)?;
                futures::stream::iter(lines).boxed()
            };
            let oldest = oldest(&request);
            let timestamps = request.timestamps;
            let mut is_start = true;
            let mut left = request.limit_bytes.unwrap_or(u64::MAX);
            let bytes = lines
                .filter(move |line| {
                    let written: Option<Timestamp> = line.time.parse().ok();
                    let recent =
                        oldest.is_none_or(|oldest| written.is_none_or(|written| written >= oldest));
                    std::future::ready(recent)
                })
                .map(move |line| {
                    // Further pieces of a line have no time of their own, as a kubelet has it.
                    let text = text_of(&line, timestamps && is_start);
                    is_start = !line.is_partial;
                    text
                })
                .scan((), move |(), mut text| {
                    let allowed = usize::try_from(left).unwrap_or(usize::MAX);
                    text.truncate(allowed);
                    left -= u64::try_from(text.len()).unwrap_or(left).min(left);
                    std::future::ready((!text.is_empty()).then(|| Ok(Bytes::from(text))))
                });
            Ok(bytes.boxed())
        })
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<ExecSession, PodError>> {
        Box::pin(async move {
            let failed = |reason: String| PodError::Failed {
                pod: request.pod.clone(),
                reason,
            };
            if request.tty {
                return Err(failed(
                    "a terminal (tty) cannot be given; run the command without one".to_owned(),
                ));
            }
            let command = request.command.clone();
            let mut child = self
                .0
                .exec(&request.uid, &request.container, command)
                .await
                .map_err(|error| not_begun(&request, &error))?;
            let (stdin, mut input) = mpsc::channel::<Bytes>(16);
            let mut pipe = child.stdin.take();
            tokio::spawn(async move {
                // Without a reader, or after it left, input is dropped.
                while let Some(bytes) = input.recv().await {
                    let Some(pipe) = &mut pipe else { continue };
                    if pipe.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
            let stdout = pump(child.stdout.take());
            let stderr = pump(child.stderr.take());
            let (mut exited, exit) = oneshot::channel();
            tokio::spawn(async move {
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    // The client left, or lost the right to it.
                    () = exited.closed() => {
                        if let Err(error) = child.kill().await {
                            tracing::warn!(%error, "a command that nobody waits for was not ended");
                        }
                        return;
                    }
                };
                let result = match ended {
                    Ok(status) => status
                        .code()
                        .ok_or_else(|| format!("the program was ended: {status}")),
                    Err(error) => Err(error.to_string()),
                };
                // The client may have gone; the program has ended either way.
                drop(exited.send(result));
            });
            let (resize, _) = mpsc::channel(1);
            Ok(ExecSession {
                stdin,
                stdout,
                stderr,
                exit,
                resize,
            })
        })
    }

    /// On the loopback address, as a kubelet: who may forward ports may run commands
    /// in the pod, which reach it too.
    fn connect(&self, request: PortRequest) -> BoxFuture<'_, Result<PortConnection, PodError>> {
        Box::pin(async move {
            match self.0.connect_loopback(&request.uid, request.port).await {
                Ok(stream) => {
                    let connection: PortConnection = Box::new(stream);
                    Ok(connection)
                }
                Err(error) => Err(PodError::Failed {
                    pod: request.pod,
                    reason: error.to_string(),
                }),
            }
        })
    }
}

/// When the oldest line that is asked for may have been written.
fn oldest(request: &LogRequest) -> Option<Timestamp> {
    let at = request.since_time.as_ref();
    at.and_then(|time| time.parse().ok()).or_else(|| {
        let seconds = Duration::from_secs(request.since_seconds?);
        Timestamp::now().checked_sub(seconds).ok()
    })
}

/// Why a command did not begin.
fn not_begun(request: &ExecRequest, error: &NodeError) -> PodError {
    match error {
        // The pod, or the container in it, is not there yet or no longer.
        NodeError::NotFound { .. } => PodError::NotRunning {
            container: request.container.clone(),
        },
        other => PodError::Failed {
            pod: request.pod.clone(),
            reason: other.to_string(),
        },
    }
}

fn text_of(line: &LogLine, timestamps: bool) -> Vec<u8> {
    let end = if line.is_partial { "" } else { "\n" };
    if timestamps {
        format!("{} {}{end}", line.time, line.text)
    } else {
        format!("{}{end}", line.text)
    }
    .into_bytes()
}

fn pump(source: Option<impl AsyncRead + Unpin + Send + 'static>) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(16);
    if let Some(mut source) = source {
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count) = source.read(&mut buffer).await {
                let chunk = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if chunk.is_empty() || sender.send(chunk).await.is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use catalyst_kubernetes::ApiError;

    use super::*;

    #[test]
    fn lines_from_a_time_on_or_of_the_last_seconds_are_asked_for() {
        let time = "2026-01-02T03:04:05Z";
        let asked = |since_time: Option<&str>, since_seconds| LogRequest {
            since_time: since_time.map(str::to_owned),
            since_seconds,
            ..LogRequest::default()
        };
        assert_eq!(oldest(&asked(None, None)), None);
        assert_eq!(oldest(&asked(Some("soon"), None)), None);
        let found = oldest(&asked(Some(time), None)).unwrap();
        assert_eq!(found.to_string(), time);
        let before = Timestamp::now();
        let found = oldest(&asked(None, Some(60))).unwrap();
        assert!(found < before, "{found}");
    }

    #[test]
    fn a_command_in_what_does_not_run_is_the_clients_error_and_not_the_nodes() {
        let request = ExecRequest {
            pod: "web-0".to_owned(),
            container: "web".to_owned(),
            ..ExecRequest::default()
        };
        for (error, code, said) in [
            (
                NodeError::NotFound {
                    what: "container web of pod u".to_owned(),
                },
                404,
                "container not found (\"web\")",
            ),
            (
                NodeError::Start {
                    what: "ls".to_owned(),
                    reason: "no such file".to_owned(),
                },
                500,
                "Internal error occurred: the node could not serve pod \"web-0\": cannot start ls: no such file",
            ),
        ] {
            let answer = ApiError::from(not_begun(&request, &error));
            assert_eq!((answer.code, answer.message.as_str()), (code, said));
        }
    }
}
