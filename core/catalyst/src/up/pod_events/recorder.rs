//! Writes Events: the same one said again is counted, a pod that says too much is
//! not heard for a while.
//!
//! What must stay true: nobody waits for an event to be written, and nothing is done
//! while nothing happens; a pod in a loop costs a write in five minutes at most,
//! after a first burst.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Happening, text};
use crate::up::api::{ApiClient, is_gone};
use crate::up::kubelet::{MERGE_PATCH, NODE};
use crate::up::reflector::Key;

/// What may wait to be written; what comes beyond is lost.
const WAITING: usize = 1024;
/// How many writes a pod may cause at once, and after how long one more, as in
/// client-go's recorder.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);
/// How many different events of one pod are counted.
const COUNTED: usize = 32;
/// How long a pod is remembered of which nothing is heard: as long as its events.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Longest message that is written, as the API of events allows.
const LONGEST_MESSAGE: usize = 1000;

/// Takes what happens to pods.
#[derive(Debug, Clone)]
pub struct Recorder(mpsc::Sender<Note>);

/// Something that happened, to which pod, and when.
#[derive(Debug)]
struct Note {
    key: Key,
    uid: String,
    version: String,
    happening: Happening,
    at: Timestamp,
}

impl Recorder {
    /// Writes by `api` until the task set is dropped.
    pub fn start(api: ApiClient, tasks: &mut JoinSet<()>) -> Self {
        let (sender, mut notes) = mpsc::channel::<Note>(WAITING);
        tasks.spawn(async move {
            let mut book = Book::default();
            while let Some(note) = notes.recv().await {
                if let Some(write) = book.enter(&note, Instant::now())
                    && let Err(error) = send(&api, &mut book, &note, write).await
                {
                    tracing::debug!(
                        pod = note.key.2,
                        error = format!("{error:#}"),
                        "an event was not written"
                    );
                }
            }
        });
        Self(sender)
    }

    /// Has what happened to a pod written.
    pub fn tell(&self, key: &Key, pod: &Value, happenings: Vec<Happening>) {
        for happening in happenings {
            let note = Note {
                key: key.clone(),
                uid: text(pod, "/metadata/uid").to_owned(),
                version: text(pod, "/metadata/resourceVersion").to_owned(),
                happening,
                at: Timestamp::now(),
            };
            if self.0.try_send(note).is_err() {
                tracing::debug!(pod = key.2, "too much happens; an event is not written");
            }
        }
    }
}

/// What is to be written of a note.
#[derive(Debug, PartialEq, Eq)]
enum Write {
    /// An event of this name.
    New(String),
    /// That an event of this name was said so often.
    Again(String, u64),
}

/// What was written, by the pod's uid.
#[derive(Debug, Default)]
struct Book(HashMap<String, Page>);

#[derive(Debug)]
struct Page {
    left: u32,
    refilled: Instant,
    heard: Instant,
    /// The oldest first.
    events: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    happening: Happening,
    name: String,
    count: u64,
}

impl Book {
    /// What to write of a note; nothing for a pod that has said too much.
    fn enter(&mut self, note: &Note, now: Instant) -> Option<Write> {
        if !self.0.contains_key(&note.uid) {
            self.0
                .retain(|_, page| now.saturating_duration_since(page.heard) < REMEMBERED);
        }
        let page = self.0.entry(note.uid.clone()).or_insert_with(|| Page {
            left: BURST,
            refilled: now,
            heard: now,
            events: VecDeque::new(),
        });
        page.heard = now;
        if !page.may_write(now) {
            return None;
        }
        let known = page
            .events
            .iter_mut()
            .find(|entry| entry.happening == note.happening);
        if let Some(entry) = known {
            entry.count += 1;
            return Some(Write::Again(entry.name.clone(), entry.count));
        }
        let name = name_of(note);
        if page.events.len() >= COUNTED {
            page.events.pop_front();
        }
        page.events.push_back(Entry {
            happening: note.happening.clone(),
            name: name.clone(),
            count: 1,
        });
        Some(Write::New(name))
    }

    /// An event is no longer there; the name under which it begins anew.
    fn renew(&mut self, note: &Note) -> String {
        let name = name_of(note);
        let events = self.0.get_mut(&note.uid).map(|page| &mut page.events);
        let known = events
            .into_iter()
            .flatten()
            .find(|entry| entry.happening == note.happening);
        if let Some(entry) = known {
            entry.name.clone_from(&name);
            entry.count = 1;
        }
        name
    }
}

impl Page {
    fn may_write(&mut self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.refilled);
        let earned = u32::try_from(idle.as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.refilled = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

async fn send(api: &ApiClient, book: &mut Book, note: &Note, write: Write) -> anyhow::Result<()> {
    let (cluster, namespace, _) = &note.key;
    let events = format!("/clusters/{cluster}/api/v1/namespaces/{namespace}/events");
    let name = match write {
        Write::New(name) => name,
        Write::Again(name, count) => {
            let counted = json!({"count": count, "lastTimestamp": seconds(note.at)});
            let path = format!("{events}/{name}");
            let patched = api
                .send(Method::PATCH, &path, MERGE_PATCH, Some(&counted))
                .await;
            match patched {
                Err(error) if is_gone(&error) => book.renew(note),
                patched => return patched.map(drop),
            }
        }
    };
    api.send(
        Method::POST,
        &events,
        "application/json",
        Some(&event(note, &name)),
    )
    .await
    .map(drop)
}

fn event(note: &Note, name: &str) -> Value {
    let (_, namespace, pod) = &note.key;
    let mut about = json!({
        "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod,
        "uid": note.uid, "resourceVersion": note.version,
    });
    if !note.happening.field.is_empty()
        && let Some(about) = about.as_object_mut()
    {
        about.insert("fieldPath".to_owned(), json!(note.happening.field));
    }
    // As in Kubernetes, where to run a pod is another's business than to run it.
    let (component, host) = match note.happening.reason {
        "FailedScheduling" => ("default-scheduler", None),
        _ => ("kubelet", Some(NODE)),
    };
    let mut source = json!({"component": component});
    if let (Some(host), Some(source)) = (host, source.as_object_mut()) {
        source.insert("host".to_owned(), json!(host));
    }
    let time = seconds(note.at);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": about,
        "type": note.happening.kind,
        "reason": note.happening.reason,
        "message": shortened(&note.happening.message),
        "source": source,
        "reportingComponent": component,
        "reportingInstance": host.unwrap_or_default(),
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

/// The pod's name and the time in hexadecimal, as client-go names events.
fn name_of(note: &Note) -> String {
    let pod: String = note.key.2.chars().take(220).collect();
    format!("{pod}.{:x}", note.at.as_nanosecond())
}

fn shortened(message: &str) -> String {
    let mut short: String = message.chars().take(LONGEST_MESSAGE).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    short
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        Note {
            key: ("c".to_owned(), "blog".to_owned(), "web-0".to_owned()),
            uid: "u".to_owned(),
            version: "7".to_owned(),
            happening: Happening {
                kind: "Warning",
                reason: "BackOff",
                message: message.to_owned(),
                field: "spec.containers{web}".to_owned(),
            },
            at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let (mut book, now) = (Book::default(), Instant::now());
        let name = name_of(&note("a"));
        let new = Some(Write::New(name.clone()));
        assert_eq!(book.enter(&note("a"), now), new);
        assert_eq!(book.enter(&note("b"), now), new);
        for count in 2..4 {
            let again = Some(Write::Again(name.clone(), count));
            assert_eq!(book.enter(&note("a"), now), again);
        }
        // Gone after an hour, it begins anew.
        assert_eq!(book.renew(&note("a")), name);
        let again = Some(Write::Again(name, 2));
        assert_eq!(book.enter(&note("a"), now), again);
    }

    #[test]
    fn a_pod_that_says_too_much_is_not_heard_for_a_while() {
        let (mut book, now) = (Book::default(), Instant::now());
        let written = |book: &mut Book, now: Instant| {
            let all = (0..100).filter_map(|number| book.enter(&note(&number.to_string()), now));
            all.count()
        };
        assert_eq!(written(&mut book, now), 25);
        assert_eq!(written(&mut book, now + REFILL / 2), 0);
        assert_eq!(written(&mut book, now + REFILL), 1);
        assert_eq!(written(&mut book, now + 4 * REFILL), 3);
        let mut other = note("a");
        other.uid = "v".to_owned();
        let later = now + 4 * REFILL + REMEMBERED;
        assert!(book.enter(&other, later).is_some());
        assert_eq!(book.0.len(), 1, "what nothing is heard of is forgotten");
    }

    #[test]
    fn events_are_written_as_a_kubelet_writes_them() {
        let long = "x".repeat(2000);
        let written = event(&note(&long), "web-0.1");
        assert_eq!(text(&written, "/message").chars().count(), 1001);
        assert_eq!(
            event(&note("Back-off"), "web-0.1"),
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": "web-0.1", "namespace": "blog"},
                "involvedObject": {
                    "apiVersion": "v1", "kind": "Pod", "namespace": "blog", "name": "web-0",
                    "uid": "u", "resourceVersion": "7", "fieldPath": "spec.containers{web}",
                },
                "type": "Warning", "reason": "BackOff", "message": "Back-off",
                "source": {"component": "kubelet", "host": "local"},
                "reportingComponent": "kubelet", "reportingInstance": "local",
                "firstTimestamp": "2027-01-15T08:00:00Z", "lastTimestamp": "2027-01-15T08:00:00Z",
                "count": 1,
            })
        );
        let mut unscheduled = note("no volume");
        unscheduled.happening.reason = "FailedScheduling";
        let written = event(&unscheduled, "web-0.1");
        assert_eq!(written["source"], json!({"component": "default-scheduler"}));
    }
}
