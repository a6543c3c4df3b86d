//! A small name server inside each pod (RFC 1035): A records of Services and,
//! where the policy allows, of external names. Everything else is answered
//! with an empty or a refusing message, never forwarded.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::NodeError;
use crate::network::{Lookup, Switch};
use crate::sandbox::Sandbox;

/// Seconds an answer may be kept. Short, because backends move.
const TIME_TO_LIVE: u32 = 5;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

const NO_ERROR: u8 = 0;
const FORMAT_ERROR: u8 = 1;
const NAME_ERROR: u8 = 3;
const NOT_IMPLEMENTED: u8 = 4;
const REFUSED: u8 = 5;

/// Starts the name server of one pod; it ends when its tasks are aborted.
pub(crate) async fn serve(
    switch: &Arc<Switch>,
    uid: &str,
    sandbox: &Sandbox,
    address: Ipv4Addr,
) -> Result<Vec<JoinHandle<()>>, NodeError> {
    let address = SocketAddrV4::new(address, 53);
    let udp = Arc::new(sandbox.udp(address).await?);
    let tcp = sandbox.listen(address).await?;
    let (weak, pod) = (Arc::downgrade(switch), uid.to_owned());
    let datagrams = tokio::spawn(async move {
        let mut buffer = [0u8; 1500];
        let mut answers = tokio::task::JoinSet::new();
        loop {
            let received = tokio::select! {
                received = udp.recv_from(&mut buffer) => received,
                Some(_) = answers.join_next() => continue,
            };
            let Ok((length, from)) = received else {
                continue;
            };
            let Some(switch) = weak.upgrade() else { return };
            let query = buffer.get(..length).unwrap_or_default().to_vec();
            let (udp, pod) = (udp.clone(), pod.clone());
            answers.spawn(async move {
                if let Some(answer) = answer(&switch, &pod, &query).await {
                    let _ = udp.send_to(&answer, from).await;
                }
            });
        }
    });
    let (weak, pod) = (Arc::downgrade(switch), uid.to_owned());
    let streams = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = tcp.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Ok((mut stream, _)) = accepted else {
                continue;
            };
            let (weak, pod) = (weak.clone(), pod.clone());
            connections.spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut query = vec![0u8; usize::from(length)];
                    if stream.read_exact(&mut query).await.is_err() {
                        return;
                    }
                    let Some(switch) = weak.upgrade() else { return };
                    let Some(answer) = answer(&switch, &pod, &query).await else {
                        return;
                    };
                    let mut message = (answer.len() as u16).to_be_bytes().to_vec();
                    message.extend_from_slice(&answer);
                    if stream.write_all(&message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(vec![datagrams, streams])
}

async fn answer(switch: &Arc<Switch>, uid: &str, query: &[u8]) -> Option<Vec<u8>> {
    let question = match Question::parse(query) {
        Parsed::Question(question) => question,
        Parsed::Unanswerable => return None,
        Parsed::Bad(id, code) => return Some(header(id, 0, code, 0, 0)),
    };
    let found = switch.lookup(uid, &question.name).await;
    Some(question.respond(&found))
}

struct Question {
    id: u16,
    flags: u16,
    name: String,
    kind: u16,
    class: u16,
    /// The question section as it came, to be repeated in the answer.
    raw: Vec<u8>,
}

enum Parsed {
    Question(Question),
    Bad(u16, u8),
    /// Too short for an id, or itself an answer.
    Unanswerable,
}

impl Question {
    fn parse(query: &[u8]) -> Parsed {
        let word = |at: usize| Some(u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]));
        let (Some(id), Some(flags), Some(questions)) = (word(0), word(2), word(4)) else {
            return Parsed::Unanswerable;
        };
        if flags & 0x8000 != 0 {
            return Parsed::Unanswerable;
        }
        if (flags >> 11) & 0xf != 0 {
            return Parsed::Bad(id, NOT_IMPLEMENTED);
        }
        let read = || {
            let mut at = 12;
            let mut labels: Vec<String> = Vec::new();
            loop {
                let length = usize::from(*query.get(at)?);
                at += 1;
                if length == 0 {
                    break;
                }
                // Compression has nothing to point to in a question.
                if length > 63 || at > 12 + 255 {
                    return None;
                }
                labels.push(
                    std::str::from_utf8(query.get(at..at + length)?)
                        .ok()?
                        .to_owned(),
                );
                at += length;
            }
            Some((
                labels.join("."),
                word(at)?,
                word(at + 2)?,
                query.get(12..at + 4)?.to_vec(),
            ))
        };
        match read() {
            Some((name, kind, class, raw)) if questions == 1 => Parsed::Question(Self {
                id,
                flags,
                name,
                kind,
                class,
                raw,
            }),
            _ => Parsed::Bad(id, FORMAT_ERROR),
        }
    }

    fn respond(&self, found: &Lookup) -> Vec<u8> {
        let (code, addresses) = match found {
            Lookup::Addresses(addresses) => (NO_ERROR, addresses.as_slice()),
            Lookup::Unknown => (NAME_ERROR, &[][..]),
            Lookup::Refused => (REFUSED, &[][..]),
        };
        let addresses = if self.kind == TYPE_A && self.class == CLASS_IN {
            addresses
        } else {
            &[]
        };
        // 512 bytes is the most a plain UDP client accepts.
        let room = (512 - 12usize).saturating_sub(self.raw.len()) / 16;
        let count = addresses.len().min(room);
        let mut message = header(self.id, self.flags, code, 1, count as u16);
        message.extend_from_slice(&self.raw);
        for address in addresses.iter().take(count) {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&TYPE_A.to_be_bytes());
            message.extend_from_slice(&CLASS_IN.to_be_bytes());
            message.extend_from_slice(&TIME_TO_LIVE.to_be_bytes());
            message.extend_from_slice(&4u16.to_be_bytes());
            message.extend_from_slice(&address.octets());
        }
        message
    }
}

fn header(id: u16, query_flags: u16, code: u8, questions: u16, answers: u16) -> Vec<u8> {
    // Response, authoritative, recursion available; "recursion desired" is repeated.
    let flags = 0x8480 | (query_flags & 0x0100) | u16::from(code);
    [id, flags, questions, answers, 0, 0]
        .iter()
        .flat_map(|w| w.to_be_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message: Vec<u8> = [7u16, 0x0100, 1, 0, 0, 0]
            .iter()
            .flat_map(|w| w.to_be_bytes())
            .collect();
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&1u16.to_be_bytes());
        message
    }

    #[test]
    fn questions_are_read_and_answered() {
        let Parsed::Question(question) = Question::parse(&query("db.acme.svc", 1)) else {
            panic!()
        };
        assert_eq!((question.name.as_str(), question.id), ("db.acme.svc", 7));
        let answer = question.respond(&Lookup::Addresses(vec![Ipv4Addr::new(10, 96, 0, 9)]));
        assert!(answer.ends_with(&[0, 4, 10, 96, 0, 9]));
        assert_eq!(answer[7], 1);
        let Parsed::Question(question) = Question::parse(&query("db.acme.svc", 28)) else {
            panic!()
        };
        let answer = question.respond(&Lookup::Addresses(vec![Ipv4Addr::LOCALHOST]));
        assert_eq!(
            (answer[3] & 0xf, answer[7]),
            (0, 0),
            "no IPv6, but the name exists"
        );
        assert_eq!(question.respond(&Lookup::Unknown)[3] & 0xf, 3);
    }

    #[test]
    fn damaged_messages_never_panic() {
        let whole = query("a.b", 1);
        for length in 0..whole.len() {
            match Question::parse(&whole[..length]) {
                Parsed::Question(_) => panic!("{length} bytes are not a question"),
                Parsed::Bad(..) | Parsed::Unanswerable => {}
            }
        }
        let mut pointer = whole.clone();
        pointer[12] = 0xc0;
        assert!(matches!(
            Question::parse(&pointer),
            Parsed::Bad(7, FORMAT_ERROR)
        ));
    }
}
