//! Git's smart HTTP protocol, version 2 (gitprotocol-v2, gitprotocol-http): the
//! two requests that a shallow fetch of one commit needs.
//!
//! A child process would cost tens of milliseconds for each; a push should be
//! live in less than that. Servers that speak only version 0 are refused with
//! that reason.

use bytes::Bytes;

/// How a request signs in. `Debug` shows no secret.
#[derive(Clone, Default)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
    Bearer(String),
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("could not reach {url}: {why}")]
    Reach { url: String, why: String },
    #[error(
        "could not read {url}: the server answered {status}; check the secret that secretRef names"
    )]
    Denied { url: String, status: u16 },
    #[error("could not read {url}: the server answered {status}; check the URL")]
    Refused { url: String, status: u16 },
    #[error("could not read {url}: {why}")]
    Answer { url: String, why: String },
    #[error("could not find {what} in {url}")]
    NoReference { url: String, what: String },
}

/// A reference that the server has: `refs/heads/main` and its object; for an
/// annotated tag the commit behind it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub id: String,
    pub peeled: Option<String>,
    pub target: Option<String>,
}

impl Reference {
    /// The commit.
    pub fn commit(&self) -> &str {
        self.peeled.as_deref().unwrap_or(&self.id)
    }
}

/// A repository on a server.
pub struct Remote<'a> {
    pub http: &'a reqwest::Client,
    pub url: &'a str,
    pub credentials: &'a Credentials,
    pub timeout: std::time::Duration,
}

/// A pack larger than this is refused.
const MAX_ANSWER: usize = 200 << 20;

impl Remote<'_> {
    async fn command(&self, body: Vec<u8>) -> Result<Bytes, GitError> {
        let url = || self.url.to_owned();
        let mut request = self
            .http
            .post(format!(
                "{}/git-upload-pack",
                self.url.trim_end_matches('/')
            ))
            .header("Git-Protocol", "version=2")
            .header("Content-Type", "application/x-git-upload-pack-request")
            .header("Accept", "application/x-git-upload-pack-result")
            .timeout(self.timeout)
            .body(body);
        request = match self.credentials {
            Credentials::Anonymous => request,
            Credentials::Basic { username, password } => {
                request.basic_auth(username, Some(password))
            }
            Credentials::Bearer(token) => request.bearer_auth(token),
        };
        let mut answer = request.send().await.map_err(|why| GitError::Reach {
            url: url(),
            why: chain(&why.without_url()),
        })?;
        match answer.status().as_u16() {
            200 => {}
            status @ (401 | 403) => return Err(GitError::Denied { url: url(), status }),
            status => return Err(GitError::Refused { url: url(), status }),
        }
        let mut bytes = bytes::BytesMut::new();
        loop {
            let chunk = answer.chunk().await.map_err(|why| GitError::Reach {
                url: url(),
                why: chain(&why.without_url()),
            })?;
            let Some(chunk) = chunk else {
                return Ok(bytes.freeze());
            };
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(self.answer("it sends more than 200 MiB for one commit"));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    fn answer(&self, why: impl Into<String>) -> GitError {
        GitError::Answer {
            url: self.url.to_owned(),
            why: why.into(),
        }
    }

    /// The references that start with one of `prefixes`.
    pub async fn references(&self, prefixes: &[&str]) -> Result<Vec<Reference>, GitError> {
        let mut body = Vec::new();
        line(&mut body, "command=ls-refs\n");
        line(&mut body, "agent=catalyst-flux\n");
        body.extend_from_slice(b"0001");
        line(&mut body, "peel\n");
        line(&mut body, "symrefs\n");
        for prefix in prefixes {
            line(&mut body, &format!("ref-prefix {prefix}\n"));
        }
        body.extend_from_slice(b"0000");
        let answer = self.command(body).await?;
        let mut found = Vec::new();
        for packet in packets(&answer).map_err(|why| self.answer(why))? {
            let Packet::Data(data) = packet else {
                continue;
            };
            let text = String::from_utf8_lossy(data);
            let text = text.trim_end();
            if let Some(why) = text.strip_prefix("ERR ") {
                return Err(self.answer(why));
            }
            let mut words = text.split(' ');
            let (Some(id), Some(name)) = (words.next(), words.next()) else {
                return Err(self.answer("its list of references is not readable"));
            };
            let mut one = Reference {
                name: name.to_owned(),
                id: id.to_owned(),
                peeled: None,
                target: None,
            };
            for word in words {
                if let Some(id) = word.strip_prefix("peeled:") {
                    one.peeled = Some(id.to_owned());
                }
                if let Some(target) = word.strip_prefix("symref-target:") {
                    one.target = Some(target.to_owned());
                }
            }
            found.push(one);
        }
        Ok(found)
    }

    /// The pack with one commit and its tree, without history.
    pub async fn pack(&self, commit: &str) -> Result<Vec<u8>, GitError> {
        let mut body = Vec::new();
        line(&mut body, "command=fetch\n");
        line(&mut body, "agent=catalyst-flux\n");
        body.extend_from_slice(b"0001");
        line(&mut body, "no-progress\n");
        line(&mut body, "ofs-delta\n");
        line(&mut body, &format!("want {commit}\n"));
        line(&mut body, "deepen 1\n");
        line(&mut body, "done\n");
        body.extend_from_slice(b"0000");
        let answer = self.command(body).await?;
        let mut pack = Vec::new();
        let mut in_pack = false;
        for packet in packets(&answer).map_err(|why| self.answer(why))? {
            let Packet::Data(data) = packet else {
                continue;
            };
            if !in_pack {
                if data == b"packfile\n" || data == b"packfile" {
                    in_pack = true;
                } else if let Some(why) = data.strip_prefix(b"ERR ") {
                    return Err(self.answer(String::from_utf8_lossy(why).trim()));
                }
                continue;
            }
            match data.split_first() {
                Some((1, data)) => pack.extend_from_slice(data),
                Some((3, why)) => return Err(self.answer(String::from_utf8_lossy(why).trim())),
                _ => {}
            }
        }
        if pack.is_empty() {
            return Err(self.answer("it sent no pack"));
        }
        Ok(pack)
    }
}

/// An error with what is below it, which `reqwest` leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}

fn line(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

#[derive(Debug, PartialEq)]
enum Packet<'a> {
    Data(&'a [u8]),
    Flush,
    Delimiter,
}

fn packets(mut rest: &[u8]) -> Result<Vec<Packet<'_>>, String> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = rest
            .get(..4)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(length) = length else {
            return Err("its answer is not Git's protocol version 2".into());
        };
        if length < 4 {
            found.push(if length == 0 {
                Packet::Flush
            } else {
                Packet::Delimiter
            });
            rest = rest.get(4..).unwrap_or_default();
            continue;
        }
        let Some((packet, after)) = rest.split_at_checked(length) else {
            return Err("its answer broke off".into());
        };
        found.push(Packet::Data(packet.get(4..).unwrap_or_default()));
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_where_git_cuts_them() {
        let mut body = Vec::new();
        line(&mut body, "command=ls-refs\n");
        assert_eq!(body, b"0014command=ls-refs\n");
        assert_eq!(
            packets(b"0006a\n00010000").unwrap(),
            [Packet::Data(b"a\n"), Packet::Delimiter, Packet::Flush]
        );
        assert!(packets(b"<html>").is_err());
        assert!(packets(b"00ffshort").is_err());
    }
}
