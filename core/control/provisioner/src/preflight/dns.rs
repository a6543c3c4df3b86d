//! Who answers for a domain: its name servers, as this machine's resolvers tell them. The
//! system's own lookup takes no such question, so that it is asked here (RFC 1035).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::net::UdpSocket;

/// How long one resolver may take for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The record types and codes of RFC 1035 that are met here.
const NS: u16 = 2;
const IS_ANSWER: u16 = 0x8000;
const IS_CUT: u16 = 0x0200;
const CODE: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;
/// A name has fewer labels and pointers than this, or it leads in a circle.
const MOST_STEPS: usize = 256;

/// Where a domain's records are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delegation {
    /// In this zone, at these name servers: the domain itself, or the nearest one above it
    /// that has name servers.
    To {
        /// The zone.
        zone: String,
        /// Its name servers, without the dot at the end, in order.
        servers: Vec<String>,
    },
    /// Nowhere: neither the domain nor one above it has name servers.
    Nowhere,
    /// No resolver gave an answer that can be read.
    Unknown,
}

/// Finds where a domain's records are asked for. The first resolver that answers counts.
pub async fn delegation(resolvers: &[SocketAddr], domain: &str) -> Delegation {
    let mut zone = domain;
    loop {
        match name_servers(resolvers, zone).await {
            None => return Delegation::Unknown,
            Some(servers) if !servers.is_empty() => {
                return Delegation::To {
                    zone: zone.to_owned(),
                    servers,
                };
            }
            Some(_) => {}
        }
        match zone.split_once('.') {
            Some((_, above)) => zone = above,
            None => return Delegation::Nowhere,
        }
    }
}

/// The name servers of exactly this domain; `None` where no resolver answers.
pub async fn name_servers(resolvers: &[SocketAddr], domain: &str) -> Option<Vec<String>> {
    for resolver in resolvers {
        let asked = tokio::time::timeout(PATIENCE, ask(*resolver, domain));
        if let Ok(Ok(mut servers)) = asked.await {
            servers.sort();
            return Some(servers);
        }
    }
    None
}

/// The resolvers of this machine, of which more than two are asked for nothing.
pub fn resolvers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses = text.lines().filter_map(|line| {
        let address = line.trim().strip_prefix("nameserver")?;
        address.trim().parse::<IpAddr>().ok()
    });
    addresses
        .map(|address| SocketAddr::new(address, 53))
        .take(2)
        .collect()
}

async fn ask(resolver: SocketAddr, domain: &str) -> io::Result<Vec<String>> {
    let mut id = [0; 2];
    rand::fill(&mut id).map_err(|_| io::Error::other("there are no random numbers"))?;
    let id = u16::from_be_bytes(id);
    let message = question(id, domain)
        .ok_or_else(|| io::Error::other(format!("{domain} is no name that can be asked for")))?;
    let any: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(&message).await?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await?;
    let answer = buffer.get(..length).unwrap_or_default();
    servers(answer, id, domain).ok_or_else(|| io::Error::other("it is no answer that can be read"))
}

/// One question for the name servers of a domain, which the resolver may ask others for.
fn question(id: u16, domain: &str) -> Option<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in domain.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=63).contains(&length) {
            return None;
        }
        message.push(length);
        message.extend(label.bytes());
    }
    // The root, NS, the Internet.
    message.extend([0, 0, 2, 0, 1]);
    Some(message)
}

/// The name servers of a domain that an answer has; `None` where it is no answer to this
/// question.
fn servers(message: &[u8], id: u16, domain: &str) -> Option<Vec<String>> {
    let mut reader = Reader { message, at: 0 };
    let (of, flags) = (reader.number()?, reader.number()?);
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.skip(4)?;
    let is_code_fine = matches!(flags & CODE, 0 | NO_SUCH_NAME);
    if of != id || flags & IS_ANSWER == 0 || flags & IS_CUT != 0 || !is_code_fine {
        return None;
    }
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut servers = Vec::new();
    for _ in 0..answers {
        let owner = reader.name()?;
        let kind = reader.number()?;
        // Class and time to live.
        reader.skip(6)?;
        let length = reader.number()?;
        let end = reader.at.checked_add(usize::from(length))?;
        // Another's are those of what the domain is only an alias of.
        if kind == NS && owner == domain {
            servers.push(reader.name()?);
        }
        reader.at = end;
    }
    Some(servers)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes)?;
        (self.at <= self.message.len()).then_some(())
    }

    fn number(&mut self) -> Option<u16> {
        let begin = self.at;
        self.skip(2)?;
        let bytes = self.message.get(begin..self.at)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }

    /// A name in lower case, without the dot at the end. Parts of it may be pointers to
    /// where it stands already (section 4.1.4).
    fn name(&mut self) -> Option<String> {
        let mut labels = Vec::new();
        let mut at = self.at;
        let mut after = None;
        for _ in 0..MOST_STEPS {
            let length = *self.message.get(at)?;
            let next = at + 1;
            match length {
                0 => {
                    self.at = after.unwrap_or(next);
                    return Some(labels.join("."));
                }
                1..=63 => {
                    let end = next + usize::from(length);
                    let label = self.message.get(next..end)?;
                    labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                    at = end;
                }
                192.. => {
                    let low = *self.message.get(next)?;
                    after.get_or_insert(next + 1);
                    at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                }
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with these name servers, each of which points back into the question.
    fn answer(question: &[u8], code: u8, servers: &[&str]) -> Vec<u8> {
        let mut message = question[..2].to_vec();
        message.extend([0x81, 0x80 | code, 0, 1, 0, servers.len() as u8, 0, 0, 0, 0]);
        message.extend(&question[12..]);
        for server in servers {
            message.extend([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 60]);
            let (host, rest) = server.split_once('.').unwrap();
            let mut name = vec![host.len() as u8];
            name.extend(host.bytes());
            match rest {
                // The domain that was asked for.
                "@" => name.extend([0xc0, 12]),
                rest => {
                    for label in rest.split('.') {
                        name.push(label.len() as u8);
                        name.extend(label.bytes());
                    }
                    name.push(0);
                }
            }
            message.extend([0, name.len() as u8]);
            message.extend(name);
        }
        message
    }

    /// A resolver that knows the name servers of some zones.
    async fn resolver(zones: &'static [(&'static str, &'static [&'static str])]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let asked = &buffer[..length];
                let mut reader = Reader {
                    message: asked,
                    at: 12,
                };
                let name = reader.name().unwrap();
                let known = zones.iter().find(|(zone, _)| *zone == name);
                let said = match known {
                    Some((_, servers)) => answer(asked, 0, servers),
                    None => answer(asked, 3, &[]),
                };
                socket.send_to(&said, from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_domain_is_delegated_where_it_or_the_nearest_above_it_has_name_servers() {
        let known = resolver(&[
            ("omantel.example", &["NS2.dns.example", "ns1.@"]),
            ("example", &["a.nic.example"]),
        ])
        .await;
        let to = |zone: &str, servers: &[&str]| Delegation::To {
            zone: zone.to_owned(),
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
        };
        for (domain, expected) in [
            (
                "omantel.example",
                to(
                    "omantel.example",
                    &["ns1.omantel.example", "ns2.dns.example"],
                ),
            ),
            (
                "prod.omantel.example",
                to(
                    "omantel.example",
                    &["ns1.omantel.example", "ns2.dns.example"],
                ),
            ),
            ("other.example", to("example", &["a.nic.example"])),
            ("nowhere.invalid", Delegation::Nowhere),
        ] {
            assert_eq!(delegation(&[known], domain).await, expected, "{domain}");
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_no_proof_of_anything() {
        assert_eq!(
            delegation(&[], "omantel.example").await,
            Delegation::Unknown
        );
        let known = resolver(&[("omantel.example", &["ns1.@"])]).await;
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let nobody = closed.local_addr().unwrap();
        drop(closed);
        let found = delegation(&[nobody, known], "omantel.example").await;
        assert!(matches!(found, Delegation::To { .. }), "{found:?}");
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_not_read() {
        let asked = question(7, "omantel.example").unwrap();
        let good = answer(&asked, 0, &["ns1.@"]);
        let read = |message: &[u8], id: u16| servers(message, id, "omantel.example");
        assert_eq!(read(&good, 7).unwrap(), ["ns1.omantel.example"]);
        assert_eq!(servers(&good, 7, "other.example").unwrap(), [""; 0]);
        assert_eq!(read(&good, 8), None);
        assert_eq!(read(&asked, 7), None);
        assert_eq!(read(&answer(&asked, 2, &[]), 7), None);
        for length in 0..good.len() {
            assert_eq!(read(&good[..length], 7), None, "{length}");
        }
        // A name that points at itself.
        let mut circle = good.clone();
        let end = circle.len() - 1;
        circle[end] = u8::try_from(end - 1).unwrap();
        assert_eq!(read(&circle, 7), None);
        assert_eq!(question(7, "a..example"), None);
        assert_eq!(question(7, &"a".repeat(64)), None);
    }
}
