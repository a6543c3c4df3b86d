//! Watching: changes as a stream of JSON lines.
//!
//! A watcher sees objects come into and go out of its selection as ADDED and
//! DELETED, whatever happened to them in the store. Whoever loses the right to
//! watch is told so in an ERROR, and the watch ends.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use catalyst_store::{Event, Watch};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalog::Resource;
use crate::context::Context;
use crate::encode::{self, Form, Media};
use crate::object::{metadata_mut, set};
use crate::protobuf;
use crate::read::{Selection, parse_version};
use crate::standing::{Guard, LONGEST};
use crate::state::{Inner, ObjectKey, decode_entry};
use crate::status::ApiError;

/// How long a watch lasts when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

struct Stream {
    inner: Arc<Inner>,
    resource: Arc<Resource>,
    cluster: String,
    selection: Selection,
    form: Form,
    /// Frames of Protobuf rather than lines of JSON.
    packed: bool,
    include: String,
    bookmarks: bool,
    watch: Watch,
    pending: Vec<u8>,
    ends: Instant,
    next_bookmark: Instant,
    closed: bool,
    guard: Guard,
}

/// Starts a watch.
pub(crate) fn serve(context: &Context, guard: Guard) -> Result<Response, ApiError> {
    let selection = Selection::of(context)?;
    let (form, media) = encode::negotiate(&context.headers)?;
    let packed = media == Media::Protobuf
        && protobuf::knows(&context.resource.api_version(), &context.resource.kind);
    let params = &context.params;
    let store = &context.inner.config.store;
    let version = params.get("resourceVersion");
    let bookmarks = params.flag("allowWatchBookmarks");
    let initial_asked = params
        .has("sendInitialEvents")
        .then(|| params.flag("sendInitialEvents"));
    if initial_asked.is_some() && params.get("resourceVersionMatch") != "NotOlderThan" {
        return Err(ApiError::bad_request(
            "sendInitialEvents is forbidden for watch unless resourceVersionMatch is NotOlderThan",
        ));
    }
    let asked = parse_version(version)?;
    let send_initial = initial_asked.unwrap_or(asked == 0);
    let now = Instant::now();
    let timeout = match params.get("timeoutSeconds").parse::<u64>() {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds).min(LONGEST),
        _ => DEFAULT_TIMEOUT,
    };
    let expired =
        |compacted| ApiError::expired(format!("too old resource version: {version} ({compacted})"));
    let page = if send_initial {
        Some(store.range(&selection.prefix, None, 0))
    } else {
        None
    };
    let after = match &page {
        Some(page) => page.revision,
        None if asked > 0 => asked,
        None => store.revision(),
    };
    let watch = store
        .watch(selection.prefix.clone().into_bytes(), after)
        .map_err(expired)?;
    let mut stream = Stream {
        inner: Arc::clone(&context.inner),
        resource: Arc::clone(&context.resource),
        cluster: context.cluster.clone(),
        selection,
        form,
        packed,
        include: params.get("includeObject").to_owned(),
        bookmarks,
        watch,
        pending: Vec::new(),
        ends: now + timeout,
        next_bookmark: now + BOOKMARK_EVERY,
        closed: false,
        guard,
    };
    if let Some(page) = page {
        for entry in &page.entries {
            let object = decode_entry(entry);
            if stream.selection.matches(&object) {
                stream.push("ADDED", &entry.key, object);
            }
        }
        if initial_asked == Some(true) && bookmarks {
            stream.bookmark(page.revision, true);
        }
    }
    let body = Body::from_stream(futures::stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), stream))
    }));
    let mut response = body.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(if packed {
            "application/vnd.kubernetes.protobuf;stream=watch"
        } else {
            "application/json"
        }),
    );
    Ok(response)
}

impl Stream {
    /// The next lines; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.pending.is_empty() {
                return Some(Bytes::from(std::mem::take(&mut self.pending)));
            }
            if self.closed {
                return None;
            }
            let wake = self.ends.min(self.next_bookmark);
            tokio::select! {
                // In this order: nothing more for whoever lost the right, and an
                // end however much happens.
                biased;
                refusal = self.guard.ended() => {
                    self.send("ERROR", refusal.to_status());
                    self.closed = true;
                }
                () = tokio::time::sleep_until(wake) => {
                    let now = Instant::now();
                    self.closed = now >= self.ends;
                    self.next_bookmark = now + BOOKMARK_EVERY;
                    if self.bookmarks {
                        self.bookmark(self.watch.position(), false);
                    }
                }
                events = self.watch.next() => match events {
                    Ok(events) => {
                        for event in events {
                            self.event(&event);
                        }
                    }
                    Err(compacted) => {
                        let status = ApiError::expired(format!("too old resource version: {compacted}")).to_status();
                        self.send("ERROR", status);
                        self.closed = true;
                    }
                },
            }
            if self.cluster != "*" && !self.inner.has_cluster(&self.cluster) {
                self.closed = true;
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let before = event
            .previous
            .as_ref()
            .map(decode_entry)
            .filter(|object| self.selection.matches(object));
        let after = event
            .current
            .as_ref()
            .map(decode_entry)
            .filter(|object| self.selection.matches(object));
        match (before, after) {
            (None, None) => {}
            (None, Some(object)) => self.push("ADDED", &event.key, object),
            (Some(_), Some(object)) => self.push("MODIFIED", &event.key, object),
            (Some(mut object), None) => {
                // The last state, as of the change that took it away.
                metadata_mut(&mut object)
                    .insert("resourceVersion".into(), json!(event.revision.to_string()));
                self.push("DELETED", &event.key, object);
            }
        }
    }

    fn push(&mut self, kind: &str, key: &[u8], object: Value) {
        let cluster = if self.cluster == "*" {
            ObjectKey::parse(key).map(|key| key.cluster)
        } else {
            None
        };
        let object = encode::present(&self.resource, object, cluster.as_deref());
        let object = encode::shape(&self.resource, object, self.form, &self.include);
        self.send(kind, object);
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool) {
        let mut object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
        });
        if initial_end {
            set(
                &mut object,
                &["metadata", "annotations", "k8s.io/initial-events-end"],
                json!("true"),
            );
        }
        let object = match self.form {
            Form::Table => crate::table::table(
                &self.resource,
                Vec::new(),
                object.get("metadata").cloned().unwrap_or_default(),
                "None",
            ),
            form => encode::shape(&self.resource, object, form, ""),
        };
        self.send("BOOKMARK", object);
    }

    fn send(&mut self, kind: &str, object: Value) {
        if self.packed {
            if let Some(mut frame) = protobuf::encode_event(kind, &object) {
                self.pending.append(&mut frame);
            }
            return;
        }
        let document = json!({"type": kind, "object": object});
        self.pending
            .extend_from_slice(document.to_string().as_bytes());
        self.pending.push(b'\n');
    }
}
