//! Sending blobs so that an interruption costs little: what the registry has is
//! not sent, what another of its repositories has is taken from there, and an
//! upload that breaks off goes on where the registry stands.
//!
//! What must stay true: how far an upload is, is the registry's word alone; each
//! round brings it further or counts as a break, so that it ends.

use bytes::Bytes;
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE},
};

use crate::{
    Blob, Reference, Registry, RegistryError,
    auth::Access,
    error::{accept, malformed},
};

/// The size of the pieces that a large blob goes in; up to this it goes whole.
pub(crate) const CHUNK: usize = 8 * 1024 * 1024;
/// How often an upload may break off without getting further.
const BREAKS: u32 = 4;

const ACTION: &str = "push to";
const MIN_CHUNK: &str = "oci-chunk-min-length";
const BYTES: &str = "application/octet-stream";

/// An upload that the registry has opened.
struct Session {
    /// Where its next request goes.
    location: Url,
    /// How many bytes the registry has of it.
    offset: usize,
    /// The least that the registry takes in one piece, but for the last.
    least: usize,
}

/// What came of asking how far an upload is.
enum Standing {
    At(Session),
    /// The blob is there.
    Done,
}

impl Registry {
    /// Pushes bytes, unless the registry has them.
    pub async fn push_blob(&self, at: &Reference, blob: &Blob) -> Result<(), RegistryError> {
        let digest = &blob.descriptor.digest;
        if !self.has_blob(at, digest).await? {
            let mut breaks = 0;
            let mut furthest = 0;
            let mut standing = self.open(at, digest).await?;
            while let Standing::At(mut session) = standing {
                standing = match self.advance(at, blob, &mut session).await {
                    Ok(true) => break,
                    Ok(false) => Standing::At(session),
                    Err(error) if breaks < BREAKS && may_go_on(&error) => {
                        // At once the first time: most breaks are over by then.
                        tokio::time::sleep(self.patience.pause * ((1 << breaks) - 1)).await;
                        breaks += 1;
                        tracing::debug!(reference = %at, digest, %error, "upload broke off");
                        self.find(at, blob, session).await?
                    }
                    Err(error) => return Err(error),
                };
                if let Standing::At(session) = &standing
                    && session.offset > furthest
                {
                    furthest = session.offset;
                    breaks = 0;
                }
            }
        }
        self.remember(at, digest);
        Ok(())
    }

    async fn has_blob(&self, at: &Reference, digest: &str) -> Result<bool, RegistryError> {
        let url = at.url(&format!("blobs/{digest}"));
        let head = self
            .send(at, ACTION, Access::Push, || self.client.head(&url))
            .await?;
        Ok(head.status().is_success())
    }

    /// Opens an upload, or has the registry take the blob from another of its
    /// repositories that is known to have it.
    async fn open(&self, at: &Reference, digest: &str) -> Result<Standing, RegistryError> {
        let start = at.url("blobs/uploads/");
        if let Some(from) = self.place(at, digest) {
            let query = [("mount", digest), ("from", from.as_str())];
            let response = self
                .send(at, ACTION, Access::Mount(&from), || {
                    self.client.post(&start).query(&query)
                })
                .await?;
            match response.status() {
                StatusCode::CREATED => return Ok(Standing::Done),
                status if status.is_success() => return opened(at, &response).map(Standing::At),
                // Not there, or not for this account: the bytes are sent instead.
                _ => {}
            }
        }
        let response = self
            .send(at, ACTION, Access::Push, || self.client.post(&start))
            .await?;
        let response = accept(at, ACTION, response).await?;
        opened(at, &response).map(Standing::At)
    }

    /// Sends the next piece. True once the blob is there.
    async fn advance(
        &self,
        at: &Reference,
        blob: &Blob,
        session: &mut Session,
    ) -> Result<bool, RegistryError> {
        let total = blob.bytes.len();
        let size = self.chunk.max(session.least);
        if session.offset == 0 && total <= size {
            self.finish(at, blob, session, blob.bytes.clone()).await?;
            return Ok(true);
        }
        if session.offset >= total {
            self.finish(at, blob, session, Bytes::new()).await?;
            return Ok(true);
        }
        let end = total.min(session.offset.saturating_add(size));
        let piece = blob.bytes.slice(session.offset..end);
        let range = format!("{}-{}", session.offset, end - 1);
        let response = self
            .send(at, ACTION, Access::Push, || {
                self.client
                    .patch(session.location.clone())
                    .timeout(self.patience.transfer)
                    .header(CONTENT_TYPE, BYTES)
                    .header(CONTENT_RANGE, &range)
                    .body(piece.clone())
            })
            .await?;
        let response = accept(at, ACTION, response).await?;
        let offset = received(&response)
            .filter(|offset| *offset > 0)
            .unwrap_or(end);
        if offset <= session.offset || offset > end {
            let reason = format!(
                "bytes {range} were sent, and the registry says that it has {offset}; see its log"
            );
            return Err(malformed(at, ACTION, &reason));
        }
        session.offset = offset;
        if let Some(location) = location(at, &response)? {
            session.location = location;
        }
        Ok(false)
    }

    async fn finish(
        &self,
        at: &Reference,
        blob: &Blob,
        session: &Session,
        rest: Bytes,
    ) -> Result<(), RegistryError> {
        let mut url = session.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &blob.descriptor.digest);
        let response = self
            .send(at, ACTION, Access::Push, || {
                self.client
                    .put(url.clone())
                    .timeout(self.patience.transfer)
                    .header(CONTENT_TYPE, BYTES)
                    .body(rest.clone())
            })
            .await?;
        accept(at, ACTION, response).await.map(drop)
    }

    /// Where an upload stands that broke off. An upload that the registry no
    /// longer knows may have ended well with the answer lost; if not, it begins
    /// anew.
    async fn find(
        &self,
        at: &Reference,
        blob: &Blob,
        mut session: Session,
    ) -> Result<Standing, RegistryError> {
        let asked = self
            .send(at, ACTION, Access::Push, || {
                self.client.get(session.location.clone())
            })
            .await;
        let response = match asked {
            Ok(response) => accept(at, ACTION, response).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => {
                let offset = received(&response).unwrap_or(0);
                if offset > blob.bytes.len() {
                    let reason = format!(
                        "{} bytes are sent, and the registry says that it has {offset}; see its log",
                        blob.bytes.len()
                    );
                    return Err(malformed(at, ACTION, &reason));
                }
                session.offset = offset;
                if let Some(location) = location(at, &response)? {
                    session.location = location;
                }
                Ok(Standing::At(session))
            }
            Err(error) if error.is_not_found() => {
                let digest = &blob.descriptor.digest;
                if self.has_blob(at, digest).await? {
                    return Ok(Standing::Done);
                }
                self.open(at, digest).await
            }
            // Asked again when the next piece breaks off too.
            Err(error) if error.retryable() => Ok(Standing::At(session)),
            Err(error) => Err(error),
        }
    }
}

/// Whether an upload that ended so may go on: it broke off, its offset was not the
/// registry's, or the registry has lost it.
fn may_go_on(error: &RegistryError) -> bool {
    error.retryable()
        || matches!(
            error,
            RegistryError::Refused {
                status: 404 | 416,
                ..
            }
        )
}

fn opened(at: &Reference, response: &Response) -> Result<Session, RegistryError> {
    let location = location(at, response)?
        .ok_or_else(|| malformed(at, ACTION, "the upload has no Location"))?;
    let least = response
        .headers()
        .get(MIN_CHUNK)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    Ok(Session {
        location,
        offset: 0,
        least,
    })
}

/// Where the next request of an upload goes.
fn location(at: &Reference, response: &Response) -> Result<Option<Url>, RegistryError> {
    let Some(value) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|location| response.url().join(location).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .map(Some)
        .ok_or_else(|| malformed(at, ACTION, "the upload's Location is not an address"))
}

/// How many bytes a `Range: 0-N` says are there. `0-0` is said of nothing, too,
/// since the header has no form for that; nothing is what is taken from it.
fn received(response: &Response) -> Option<usize> {
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let (_, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let last: usize = last.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last.saturating_add(1) })
}
