//! SPDY/3.1 as `kubectl` and client libraries speak it: streams side by side on one
//! connection that was upgraded, or in what a WebSocket carries. Here is what all
//! sessions share; [`forward`] serves ports by it, [`command`] a command.
//!
//! As in Kubernetes' own client and server there are no windows: a pod that takes
//! nothing holds up its session, and no other. What must stay true: a client can make
//! nobody hold more than some pieces a stream.

pub(super) mod command;
pub(super) mod forward;
mod frame;
mod headers;
#[cfg(test)]
mod tests;
mod upgrade;

use std::io::ErrorKind;
use std::time::Duration;

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::port::PIECE;
use frame::{Control, Fault, Head};
use headers::{Headers, Unpacker};
pub(super) use upgrade::{NAME, Upgrade, is_asked};

/// The largest frame but for data.
const LARGEST_CONTROL: usize = 64 * 1024;
/// How long what a client has begun waits for the rest of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much is written at once, if so much waits.
const LARGEST_WRITE: usize = 64 * 1024;

/// What a client says.
#[derive(Debug)]
enum Said {
    /// It begins a stream.
    Begin {
        stream: u32,
        /// Whether the number is a client's, and after the last one.
        is_next: bool,
        /// Whether it has nothing to say on it.
        is_last: bool,
        headers: Headers,
    },
    /// Bytes of a stream, no more than [`PIECE`].
    Bytes(u32, Bytes),
    /// It has no more to say on a stream.
    End(u32),
    /// A stream is of no more use.
    Reset(u32),
    /// To be sent back as it is.
    Ping(u32),
}

/// The frames of a client, read in order. Once [`Frames::next`] was dropped halfway,
/// nothing but [`Frames::hung_up`] makes sense.
struct Frames<R> {
    reader: BufReader<R>,
    unpacker: Unpacker,
    /// The stream that began last.
    last: u32,
    /// What is still to come of a frame of data.
    data: Option<Rest>,
}

struct Rest {
    stream: u32,
    length: usize,
    is_last: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            unpacker: Unpacker::new(),
            last: 0,
            data: None,
        }
    }

    /// What the client says next; nothing once it has hung up.
    async fn next(&mut self) -> Result<Option<Said>, Fault> {
        loop {
            if let Some(said) = self.rest().await? {
                return Ok(Some(said));
            }
            let mut head = [0; 8];
            match self.reader.read_exact(&mut head).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            match Head::parse(head)? {
                Head::Data {
                    stream,
                    is_last,
                    length,
                } => {
                    self.data = Some(Rest {
                        stream,
                        length,
                        is_last,
                    });
                }
                Head::Control {
                    kind,
                    flags,
                    length,
                } => {
                    if length > LARGEST_CONTROL {
                        return Err(Fault::Protocol("a control frame is too large"));
                    }
                    let mut payload = vec![0; length];
                    self.reader.read_exact(&mut payload).await?;
                    if let Some(said) = self.control(kind, flags, &payload)? {
                        return Ok(Some(said));
                    }
                }
            }
        }
    }

    /// Comes back once the client has hung up, whatever it still says.
    async fn hung_up(&mut self) {
        // A connection that breaks is over too.
        drop(tokio::io::copy_buf(&mut self.reader, &mut tokio::io::sink()).await);
    }

    /// The next piece of the frame of data that is being read, and last its end.
    async fn rest(&mut self) -> Result<Option<Said>, Fault> {
        let Some(rest) = &mut self.data else {
            return Ok(None);
        };
        if rest.length > 0 {
            let mut piece = vec![0; rest.length.min(PIECE)];
            self.reader.read_exact(&mut piece).await?;
            rest.length -= piece.len();
            return Ok(Some(Said::Bytes(rest.stream, piece.into())));
        }
        let end = rest.is_last.then_some(Said::End(rest.stream));
        self.data = None;
        Ok(end)
    }

    /// What a control frame says, if it is for a session.
    fn control(&mut self, kind: u16, flags: u8, payload: &[u8]) -> Result<Option<Said>, Fault> {
        Ok(match frame::control(kind, flags, payload)? {
            Control::Begin {
                stream,
                is_last,
                headers,
            } => {
                let is_next = stream % 2 == 1 && stream > self.last;
                self.last = self.last.max(stream);
                Some(Said::Begin {
                    stream,
                    is_next,
                    is_last,
                    headers: self.unpacker.read(headers)?,
                })
            }
            Control::Headers(block) => {
                self.unpacker.read(block)?;
                None
            }
            Control::Reset(stream) => Some(Said::Reset(stream)),
            // An even number would be the answer to a ping of ours.
            Control::Ping(id) if id % 2 == 1 => Some(Said::Ping(id)),
            Control::Ping(_) | Control::Other => None,
        })
    }
}

/// Writes what waits, as `encode` makes it, until nobody is left to send any.
async fn write<T>(
    mut writer: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<T>,
    encode: impl Fn(T) -> Vec<u8>,
) -> Result<(), Fault> {
    while let Some(first) = waiting.recv().await {
        let mut bytes = encode(first);
        while bytes.len() < LARGEST_WRITE
            && let Ok(next) = waiting.try_recv()
        {
            bytes.append(&mut encode(next));
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
    Ok(())
}
