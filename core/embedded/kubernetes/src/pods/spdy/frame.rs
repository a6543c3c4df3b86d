//! Frames of SPDY/3.1 (draft, section 2.2 and 2.6), as far as sessions here send and
//! read them. Pure.

/// Set on the last frame of a side of a stream.
const FLAG_FIN: u8 = 1;
const VERSION: u16 = 3;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const HEADERS: u16 = 8;

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// What was asked for makes no sense.
    Protocol = 1,
    /// There are too many streams.
    Refused = 3,
    /// It is of no more use.
    Cancel = 5,
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the client broke the rules of SPDY/3.1: {0}")]
    Protocol(&'static str),
}

/// The first eight bytes of a frame; `length` bytes follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Bytes of a stream.
    Data {
        stream: u32,
        is_last: bool,
        length: usize,
    },
    /// Anything else.
    Control { kind: u16, flags: u8, length: usize },
}

/// What a control frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control<'a> {
    /// A stream begins.
    Begin {
        stream: u32,
        is_last: bool,
        headers: &'a [u8],
    },
    /// More headers, which mean nothing here but have to be unpacked in order.
    Headers(&'a [u8]),
    /// A stream is of no more use.
    Reset(u32),
    /// To be sent back as it is.
    Ping(u32),
    /// Settings, farewells and windows: there are none here, as there are none in
    /// Kubernetes' own client and server.
    Other,
}

impl Head {
    /// Reads a frame's first bytes.
    pub fn parse(bytes: [u8; 8]) -> Result<Self, Fault> {
        let [a, b, c, d, flags, e, f, g] = bytes;
        let first = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(u32::from_be_bytes([0, e, f, g]))
            .map_err(|_| Fault::Protocol("a frame is too large"))?;
        if first >> 31 == 0 {
            return Ok(Self::Data {
                stream: first,
                is_last: flags & FLAG_FIN != 0,
                length,
            });
        }
        if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
            return Err(Fault::Protocol("a frame is of another version"));
        }
        Ok(Self::Control {
            kind: u16::from_be_bytes([c, d]),
            flags,
            length,
        })
    }
}

/// Reads what follows the head of a control frame.
pub(super) fn control(kind: u16, flags: u8, payload: &[u8]) -> Result<Control<'_>, Fault> {
    let short = || Fault::Protocol("a frame is too short");
    let number = |at: usize| {
        let found = payload.get(at..).and_then(|rest| rest.first_chunk::<4>());
        found
            .map(|bytes| u32::from_be_bytes(*bytes))
            .ok_or_else(short)
    };
    let stream = || number(0).map(|id| id & 0x7fff_ffff);
    let after = |at: usize| payload.get(at..).ok_or_else(short);
    Ok(match kind {
        SYN_STREAM => Control::Begin {
            stream: stream()?,
            is_last: flags & FLAG_FIN != 0,
            // The stream it belongs to, its priority and slot come between.
            headers: after(10)?,
        },
        SYN_REPLY | HEADERS => Control::Headers(after(4)?),
        RST_STREAM => Control::Reset(stream()?),
        PING => Control::Ping(number(0)?),
        _ => Control::Other,
    })
}

/// Bytes of a stream, less than 16 MiB.
pub(super) fn data(stream: u32, is_last: bool, bytes: &[u8]) -> Vec<u8> {
    let flags = if is_last { FLAG_FIN } else { 0 };
    with_length(stream, flags, bytes)
}

/// That a stream is taken.
pub(super) fn reply(stream: u32, headers: &[u8]) -> Vec<u8> {
    numbered(SYN_REPLY, stream, headers)
}

/// That a stream is not taken, or no longer.
pub(super) fn reset(stream: u32, why: Reset) -> Vec<u8> {
    numbered(RST_STREAM, stream, &(why as u32).to_be_bytes())
}

/// The answer to a ping.
pub(super) fn ping(id: u32) -> Vec<u8> {
    numbered(PING, id, &[])
}

/// A control frame whose payload begins with a number.
fn numbered(kind: u16, number: u32, rest: &[u8]) -> Vec<u8> {
    let first = 0x8000_0000 | (u32::from(VERSION) << 16) | u32::from(kind);
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend_from_slice(rest);
    with_length(first, 0, &payload)
}

fn with_length(first: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    // What is written is in pieces far smaller than the 24 bits of a length.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX) & 0x00ff_ffff;
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.extend_from_slice(&first.to_be_bytes());
    frame.extend_from_slice(&((u32::from(flags) << 24) | length).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As a client begins a stream.
    pub fn begin(stream: u32, headers: &[u8]) -> Vec<u8> {
        // Of no other stream, of no priority.
        let mut rest = vec![0; 6];
        rest.extend_from_slice(headers);
        numbered(SYN_STREAM, stream, &rest)
    }

    fn head(frame: &[u8]) -> Head {
        Head::parse(*frame.first_chunk().unwrap()).unwrap()
    }

    #[test]
    fn frames_are_read_as_they_are_written() {
        let frame = data(3, true, b"hello");
        assert_eq!(frame, b"\x00\x00\x00\x03\x01\x00\x00\x05hello");
        let expected = Head::Data {
            stream: 3,
            is_last: true,
            length: 5,
        };
        assert_eq!(head(&frame), expected);

        let frame = reset(5, Reset::Cancel);
        assert_eq!(
            frame,
            b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x05\x00\x00\x00\x05"
        );
        let expected = Head::Control {
            kind: RST_STREAM,
            flags: 0,
            length: 8,
        };
        assert_eq!(head(&frame), expected);
        for (frame, expected) in [
            (frame, Control::Reset(5)),
            (ping(7), Control::Ping(7)),
            (reply(1, b"abc"), Control::Headers(b"abc")),
            (
                begin(9, b"abc"),
                Control::Begin {
                    stream: 9,
                    is_last: false,
                    headers: b"abc",
                },
            ),
        ] {
            let Head::Control {
                kind,
                flags,
                length,
            } = head(&frame)
            else {
                panic!("{frame:?}")
            };
            assert_eq!(length, frame.len() - 8);
            assert_eq!(control(kind, flags, &frame[8..]).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_a_frame_is_refused() {
        assert!(Head::parse([0x80, 2, 0, 1, 0, 0, 0, 0]).is_err());
        for kind in [SYN_STREAM, SYN_REPLY, RST_STREAM, PING, HEADERS] {
            assert!(control(kind, 0, b"abc").is_err());
        }
        // Settings and the like may be of any length.
        assert_eq!(control(4, 0, b"abc").unwrap(), Control::Other);
    }
}
