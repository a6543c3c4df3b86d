//! Sessions as a client sees them, over a pipe.

mod command;
mod forward;

use tokio::io::DuplexStream;

use super::headers::Packer;
use super::*;

const BOUND: Duration = Duration::from_secs(10);

/// What a client reads.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Reply(u32),
    Data(u32, bool, String),
    Reset(u32, u32),
    Ping(u32),
}

struct Client {
    pipe: DuplexStream,
    packer: Packer,
    unpacker: Unpacker,
}

impl Client {
    /// With the other end of its pipe.
    fn new() -> (Self, DuplexStream) {
        let (pipe, far) = tokio::io::duplex(64 * 1024);
        let client = Self {
            pipe,
            packer: Packer::default(),
            unpacker: Unpacker::new(),
        };
        (client, far)
    }

    async fn write(&mut self, frame: &[u8]) {
        self.pipe.write_all(frame).await.unwrap();
    }

    /// Begins a stream.
    async fn open(&mut self, stream: u32, headers: &[(&str, &str)]) {
        let headers = self.packer.write(headers);
        self.write(&frame::tests::begin(stream, &headers)).await;
    }

    async fn read(&mut self) -> Read {
        tokio::time::timeout(BOUND, self.next()).await.unwrap()
    }

    async fn next(&mut self) -> Read {
        let mut head = [0; 8];
        self.pipe.read_exact(&mut head).await.unwrap();
        let head = Head::parse(head).unwrap();
        let (Head::Data { length, .. } | Head::Control { length, .. }) = head;
        let mut payload = vec![0; length];
        self.pipe.read_exact(&mut payload).await.unwrap();
        match head {
            Head::Data {
                stream, is_last, ..
            } => Read::Data(stream, is_last, String::from_utf8(payload).unwrap()),
            Head::Control { kind, flags, .. } => {
                let stream = u32::from_be_bytes(*payload.first_chunk().unwrap());
                match frame::control(kind, flags, &payload).unwrap() {
                    Control::Headers(block) => {
                        assert_eq!(self.unpacker.read(block).unwrap(), Headers::default());
                        Read::Reply(stream)
                    }
                    Control::Reset(stream) => {
                        let why = u32::from_be_bytes(*payload.last_chunk().unwrap());
                        Read::Reset(stream, why)
                    }
                    Control::Ping(id) => Read::Ping(id),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Whether the other side has hung up.
    async fn is_over(&mut self) -> bool {
        let read = tokio::time::timeout(BOUND, self.pipe.read_u8()).await;
        read.unwrap().is_err()
    }
}

fn data(stream: u32, is_last: bool, text: &str) -> Read {
    Read::Data(stream, is_last, text.to_owned())
}
