//! Port forwarding over SPDY/3.1, as `kubectl port-forward` speaks it: for each
//! connection a stream for errors and one for data, which belong together by a
//! request id (`k8s.io/kubelet/pkg/cri/streaming/portforward`).
//!
//! What must stay true: with the session all its connections end.

use std::collections::HashMap;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use super::frame::{self, Fault, Reset};
use super::headers::{Headers, Packer};
use super::{Frames, PATIENCE, Said, write};
use crate::pods::port::{FromPod, Target, ToPod, WAITING, carry};

/// How many streams a session may have open.
pub(super) const MOST_STREAMS: usize = 256;

/// Serves a session until the client ends it or breaks the rules.
pub(in crate::pods) async fn serve(transport: impl AsyncRead + AsyncWrite, target: Target) {
    let (reader, writer) = tokio::io::split(transport);
    let (out, waiting) = mpsc::channel(WAITING);
    let session = Session::new(target, out);
    let ended = tokio::select! {
        ended = session.read(Frames::new(reader)) => ended,
        ended = write(writer, waiting, encode) => ended,
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "port forwarding ended early");
    }
}

/// The streams of one request.
#[derive(Debug, Clone, Copy)]
struct Pair {
    error: u32,
    data: u32,
}

/// What is written to the client.
enum Out {
    Frame(Vec<u8>),
    FromPod(Pair, FromPod),
}

/// A request of which not both streams are there.
struct Half {
    since: Instant,
    error: Option<u32>,
    data: Option<Data>,
}

struct Data {
    stream: u32,
    port: u16,
    input: mpsc::Receiver<ToPod>,
}

impl Half {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            error: None,
            data: None,
        }
    }

    fn streams(&self) -> impl Iterator<Item = u32> {
        let data = self.data.as_ref().map(|data| data.stream);
        self.error.into_iter().chain(data)
    }
}

struct Session {
    target: Target,
    out: mpsc::Sender<Out>,
    packer: Packer,
    /// What is open; of data, where the client's bytes go.
    streams: HashMap<u32, Option<mpsc::Sender<ToPod>>>,
    /// By request id.
    halves: HashMap<String, Half>,
    connections: JoinSet<Pair>,
}

impl Session {
    fn new(target: Target, out: mpsc::Sender<Out>) -> Self {
        Self {
            target,
            out,
            packer: Packer::default(),
            streams: HashMap::new(),
            halves: HashMap::new(),
            connections: JoinSet::new(),
        }
    }

    async fn read(mut self, mut frames: Frames<impl AsyncRead + Unpin>) -> Result<(), Fault> {
        while let Some(said) = frames.next().await? {
            self.tidy();
            match said {
                Said::Begin {
                    stream,
                    is_next,
                    is_last,
                    headers,
                } => {
                    let asked = Asked::of(stream, &headers).filter(|_| is_next);
                    self.begin(stream, is_last, asked).await;
                }
                Said::Bytes(stream, bytes) => self.pass(stream, ToPod::Bytes(bytes)).await,
                Said::End(stream) => self.pass(stream, ToPod::End).await,
                Said::Reset(stream) => self.forget(stream),
                Said::Ping(id) => self.send(frame::ping(id)).await,
            }
        }
        Ok(())
    }

    /// A client begins a stream.
    async fn begin(&mut self, stream: u32, is_last: bool, asked: Option<Asked>) {
        let Some(asked) = asked else {
            return self.reset(stream, Reset::Protocol).await;
        };
        if self.streams.len() >= MOST_STREAMS {
            return self.reset(stream, Reset::Refused).await;
        }
        let half = self
            .halves
            .entry(asked.request.clone())
            .or_insert_with(Half::new);
        let is_there = match asked.kind {
            Kind::Error => half.error.is_some(),
            Kind::Data => half.data.is_some(),
        };
        if is_there {
            return self.reset(stream, Reset::Protocol).await;
        }
        match asked.kind {
            Kind::Error => {
                half.error = Some(stream);
                self.streams.insert(stream, None);
            }
            Kind::Data => {
                let (sender, input) = mpsc::channel(WAITING);
                half.data = Some(Data {
                    stream,
                    port: asked.port,
                    input,
                });
                self.streams.insert(stream, Some(sender));
            }
        }
        let headers = self.packer.write(&[]);
        self.send(frame::reply(stream, &headers)).await;
        if is_last {
            self.pass(stream, ToPod::End).await;
        }
        self.connect(&asked.request);
    }

    /// Connects to the pod once both streams of a request are there.
    fn connect(&mut self, request: &str) {
        let is_whole = |half: &Half| half.error.is_some() && half.data.is_some();
        if !self.halves.get(request).is_some_and(is_whole) {
            return;
        }
        let half = self.halves.remove(request);
        let Some((Some(error), Some(data))) = half.map(|half| (half.error, half.data)) else {
            return;
        };
        let pair = Pair {
            error,
            data: data.stream,
        };
        let (target, out) = (self.target.clone(), self.out.clone());
        self.connections.spawn(async move {
            let told = |what| Out::FromPod(pair, what);
            carry(&target, data.port, data.input, out, told).await;
            pair
        });
    }

    /// Passes on what comes on a stream; what comes on none is dropped.
    async fn pass(&mut self, stream: u32, said: ToPod) {
        let Some(Some(sender)) = self.streams.get(&stream).cloned() else {
            return;
        };
        if let Err(TrySendError::Full(said)) = sender.try_send(said) {
            let is_connected = self
                .halves
                .values()
                .all(|half| half.streams().all(|one| one != stream));
            if is_connected {
                // It may be over meanwhile.
                drop(sender.send(said).await);
            } else {
                self.reset(stream, Reset::Cancel).await;
            }
        }
    }

    async fn reset(&mut self, stream: u32, why: Reset) {
        self.forget(stream);
        self.send(frame::reset(stream, why)).await;
    }

    async fn send(&mut self, frame: Vec<u8>) {
        // Where nothing can be written any more, the session ends by itself.
        drop(self.out.send(Out::Frame(frame)).await);
    }

    /// A stream is of no more use, nor is one that waits for it.
    fn forget(&mut self, stream: u32) {
        self.streams.remove(&stream);
        self.drop_halves(|half| half.streams().any(|one| one == stream));
    }

    /// Lets go of what is over and of what has waited too long.
    fn tidy(&mut self) {
        while let Some(ended) = self.connections.try_join_next() {
            if let Ok(pair) = ended {
                self.streams.remove(&pair.error);
                self.streams.remove(&pair.data);
            }
        }
        if !self.halves.is_empty() {
            self.drop_halves(|half| half.since.elapsed() > PATIENCE);
        }
    }

    fn drop_halves(&mut self, is_over: impl Fn(&Half) -> bool) {
        let streams = &mut self.streams;
        self.halves.retain(|_, half| {
            let is_over = is_over(half);
            if is_over {
                for stream in half.streams() {
                    streams.remove(&stream);
                }
            }
            !is_over
        });
    }
}

/// What a stream is for.
struct Asked {
    kind: Kind,
    port: u16,
    request: String,
}

enum Kind {
    Error,
    Data,
}

impl Asked {
    fn of(stream: u32, headers: &Headers) -> Option<Self> {
        let port: u16 = headers.get("port")?.parse().ok()?;
        let kind = match headers.get("streamtype")? {
            "error" => Kind::Error,
            "data" => Kind::Data,
            _ => return None,
        };
        // Clients of old give no id: the stream for errors is the one before.
        let request = match (headers.get("requestid"), &kind) {
            (Some(id), _) if !id.is_empty() => id.to_owned(),
            (_, Kind::Error) => stream.to_string(),
            (_, Kind::Data) => stream.saturating_sub(2).to_string(),
        };
        (port > 0).then_some(Self {
            kind,
            port,
            request,
        })
    }
}

fn encode(out: Out) -> Vec<u8> {
    match out {
        Out::Frame(frame) => frame,
        Out::FromPod(pair, FromPod::Bytes(bytes)) => frame::data(pair.data, false, &bytes),
        Out::FromPod(pair, FromPod::End) => {
            let mut frames = frame::data(pair.data, true, &[]);
            frames.append(&mut frame::data(pair.error, true, &[]));
            frames
        }
        Out::FromPod(pair, FromPod::Failed(why)) => {
            let mut frames = frame::data(pair.error, true, why.as_bytes());
            frames.append(&mut frame::reset(pair.data, Reset::Cancel));
            frames
        }
    }
}
