//! A command over SPDY/3.1, as `kubectl exec` speaks it: a stream for its end, which
//! comes as a `Status`, and one each for input, output, errors and sizes of a
//! terminal, as far as they are asked for (`v4.channel.k8s.io`,
//! `k8s.io/kubelet/pkg/cri/streaming/remotecommand`).
//!
//! What must stay true: a command ends with its session; a client is told of the
//! command's end after all that the command said.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::frame::{self, Fault, Reset};
use super::headers::Packer;
use super::{Frames, PATIENCE, Said, write};
use crate::pods::command::{FromCommand, Input, Output, split};
use crate::pods::port::WAITING;
use crate::pods::{ExecSession, FAREWELL};
use crate::standing::{Guard, LONGEST};

/// How much a client may send ahead of its last stream.
const MOST_AHEAD: usize = 16;

/// The streams that a client asks for, but for that of the end.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::pods) struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub resize: bool,
}

/// Lets a client and a command talk for as long as the client may.
pub(in crate::pods) async fn serve(
    transport: impl AsyncRead + AsyncWrite,
    session: ExecSession,
    wanted: Wanted,
    guard: Guard,
) {
    let (reader, writer) = tokio::io::split(transport);
    let (out, waiting) = mpsc::channel(WAITING);
    let ended = tokio::select! {
        ended = talk(Frames::new(reader), out, session, wanted, guard) => ended,
        ended = write(writer, waiting, |frames| frames) => ended,
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a command's session ended early");
    }
}

/// The streams that are there, by their numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Streams {
    error: Option<u32>,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    resize: Option<u32>,
}

impl Streams {
    /// Where a stream of a kind has its place, if there is such a kind.
    fn place(&mut self, kind: &str) -> Option<&mut Option<u32>> {
        match kind {
            "error" => Some(&mut self.error),
            "stdin" => Some(&mut self.stdin),
            "stdout" => Some(&mut self.stdout),
            "stderr" => Some(&mut self.stderr),
            "resize" => Some(&mut self.resize),
            _ => None,
        }
    }

    fn are_there(&self, wanted: Wanted) -> bool {
        let asked = [
            (true, self.error),
            (wanted.stdin, self.stdin),
            (wanted.stdout, self.stdout),
            (wanted.stderr, self.stderr),
            (wanted.resize, self.resize),
        ];
        asked
            .iter()
            .all(|(is_wanted, stream)| !is_wanted || stream.is_some())
    }

    /// The last frames: of each stream its end, and of one how the command ended.
    fn last(&self, status: &Value) -> Vec<u8> {
        let mut frames = Vec::new();
        for stream in [self.stdin, self.stdout, self.stderr].into_iter().flatten() {
            frames.append(&mut frame::data(stream, true, &[]));
        }
        if let Some(stream) = self.error {
            frames.append(&mut frame::data(
                stream,
                true,
                status.to_string().as_bytes(),
            ));
        }
        frames
    }
}

/// What a client is told, as frames.
type Out = mpsc::Sender<Vec<u8>>;

/// How a conversation ended while the client was there.
enum End {
    /// The command is over.
    Of(Value),
    /// The client may not stay.
    Refused(Value),
}

async fn talk(
    mut frames: Frames<impl AsyncRead + Unpin>,
    out: Out,
    session: ExecSession,
    wanted: Wanted,
    mut guard: Guard,
) -> Result<(), Fault> {
    let begun = tokio::select! {
        biased;
        // Without a stream there is no place for a reason.
        _ = guard.ended_within(LONGEST) => return Ok(()),
        begun = tokio::time::timeout(PATIENCE, begin(&mut frames, &out, wanted)) => begun,
    };
    let begun = begun.map_err(|_| Fault::Protocol("the streams were not begun in time"))??;
    let Some((streams, ahead)) = begun else {
        return Ok(());
    };
    let (input, output) = split(session, streams.stdin.is_some());
    // The output, and with it the command, ends here whatever comes first.
    let end = tokio::select! {
        biased;
        refusal = guard.ended_within(LONGEST) => End::Refused(refusal.to_status()),
        status = tell(output, streams, &out) => End::Of(status),
        heard = hear(&mut frames, ahead, input, streams, &out) => return heard,
    };
    let (status, patience) = match end {
        End::Of(status) => (status, PATIENCE),
        End::Refused(status) => (status, FAREWELL),
    };
    // The client hangs up once it has read everything. If this side did, while the
    // client still speaks, what is on its way to the client could be lost.
    let farewell = async {
        drop(out.send(streams.last(&status)).await);
        frames.hung_up().await;
    };
    // Whoever stays longer has no reason to.
    drop(tokio::time::timeout(patience, farewell).await);
    Ok(())
}

/// Takes streams until all that are wanted are there, and what comes on them
/// meanwhile; nothing if the client leaves before.
async fn begin(
    frames: &mut Frames<impl AsyncRead + Unpin>,
    out: &Out,
    wanted: Wanted,
) -> Result<Option<(Streams, Vec<Said>)>, Fault> {
    let mut packer = Packer::default();
    let mut streams = Streams::default();
    let mut ahead = Vec::new();
    while !streams.are_there(wanted) {
        let Some(said) = frames.next().await? else {
            return Ok(None);
        };
        match said {
            Said::Begin {
                stream,
                is_next,
                is_last,
                headers,
            } => {
                let kind = headers.get("streamtype").unwrap_or_default();
                let place = streams.place(kind).filter(|place| place.is_none());
                let answer = match place.filter(|_| is_next) {
                    Some(place) => {
                        *place = Some(stream);
                        if is_last {
                            ahead.push(Said::End(stream));
                        }
                        frame::reply(stream, &packer.write(&[]))
                    }
                    None => frame::reset(stream, Reset::Protocol),
                };
                drop(out.send(answer).await);
            }
            Said::Ping(id) => drop(out.send(frame::ping(id)).await),
            other => ahead.push(other),
        }
        if ahead.len() > MOST_AHEAD {
            return Err(Fault::Protocol("much was sent before its stream was taken"));
        }
    }
    Ok(Some((streams, ahead)))
}

/// Tells what the command says, until its end: how it ended.
async fn tell(mut output: Output, streams: Streams, out: &Out) -> Value {
    while let Some(said) = output.next().await {
        let (stream, bytes) = match said {
            FromCommand::Stdout(bytes) => (streams.stdout, bytes),
            FromCommand::Stderr(bytes) => (streams.stderr, bytes),
            FromCommand::Ended(status) => return status,
        };
        if let Some(stream) = stream {
            // Where nothing can be written any more, the session ends by itself.
            drop(out.send(frame::data(stream, false, &bytes)).await);
        }
    }
    Value::Null
}

/// Passes on what the client says, until it hangs up.
async fn hear(
    frames: &mut Frames<impl AsyncRead + Unpin>,
    ahead: Vec<Said>,
    mut input: Input,
    streams: Streams,
    out: &Out,
) -> Result<(), Fault> {
    let mut ahead = ahead.into_iter();
    loop {
        let said = match ahead.next() {
            Some(said) => Some(said),
            None => frames.next().await?,
        };
        match said {
            None => return Ok(()),
            Some(Said::Bytes(stream, bytes)) if Some(stream) == streams.stdin => {
                input.bytes(bytes).await;
            }
            Some(Said::Bytes(stream, bytes)) if Some(stream) == streams.resize => {
                input.sizes(&bytes);
            }
            Some(Said::End(stream) | Said::Reset(stream)) if Some(stream) == streams.stdin => {
                input.end();
            }
            Some(Said::Begin { stream, .. }) => {
                drop(out.send(frame::reset(stream, Reset::Refused)).await);
            }
            Some(Said::Ping(id)) => drop(out.send(frame::ping(id)).await),
            // Of streams that are this side's to speak on, or nobody's.
            Some(Said::Bytes(..) | Said::End(_) | Said::Reset(_)) => {}
        }
    }
}
