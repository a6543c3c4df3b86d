//! Tells the control plane at once what came into the registry and what went, in the
//! shape of CNCF Distribution's notifications, as another registry would.
//!
//! What must stay true: a change is a hint. One that is lost costs the time until the
//! control plane looks by itself, and a push waits for none of this.

use std::sync::Arc;
use std::time::Duration;

use catalyst_names::BlueprintName;
use catalyst_registry::{Change, Event, Listener};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// How many changes may wait to be told; more are left to the next look.
const MOST: usize = 1024;
/// How long changes are gathered: an artifact comes with its signature and more.
const GATHER: Duration = Duration::from_millis(50);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The waits between attempts, in milliseconds.
const PAUSES: [u64; 6] = [100, 200, 400, 800, 1600, 3200];

/// Where changes wait to be told.
pub struct Notifications {
    changes: mpsc::Receiver<Event>,
}

impl Notifications {
    /// A listener for the registry, and what it is heard by.
    pub fn new() -> (Listener, Self) {
        let (sender, changes) = mpsc::channel(MOST);
        let listener: Listener = Arc::new(move |event: Event| {
            // Images and the like are nobody's concern.
            if BlueprintName::of_repository(event.repository.as_str()).is_none() {
                return;
            }
            if let Err(error) = sender.try_send(event) {
                tracing::debug!(%error, "change of the registry not told");
            }
        });
        (listener, Self { changes })
    }

    /// Posts changes to this address, with this token, for as long as there is a
    /// registry.
    pub async fn run(mut self, http: reqwest::Client, url: String, token: Zeroizing<String>) {
        while let Some(first) = self.changes.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut events = vec![told(&first)];
            while events.len() < MOST
                && let Ok(next) = self.changes.try_recv()
            {
                events.push(told(&next));
            }
            deliver(&http, &url, &token, &json!({"events": events})).await;
        }
    }
}

/// An event as Distribution says it, as far as anybody needs it.
fn told(event: &Event) -> Value {
    let repository = event.repository.as_str();
    match &event.change {
        Change::Pushed { digest, tag } => {
            let mut target = json!({"repository": repository, "digest": digest.to_string()});
            if let (Some(target), Some(tag)) = (target.as_object_mut(), tag) {
                target.insert("tag".to_owned(), tag.as_str().into());
            }
            json!({"action": "push", "target": target})
        }
        Change::Untagged(tag) => {
            json!({"action": "delete", "target": {"repository": repository, "tag": tag.as_str()}})
        }
        Change::Deleted(digest) => {
            let digest = digest.to_string();
            json!({"action": "delete", "target": {"repository": repository, "digest": digest}})
        }
        Change::Emptied => json!({"action": "delete", "target": {"repository": repository}}),
    }
}

async fn deliver(http: &reqwest::Client, url: &str, token: &str, events: &Value) {
    for pause in PAUSES {
        let request = http.post(url).bearer_auth(token).json(events);
        let answer = request.timeout(PATIENCE).send().await;
        match answer.and_then(reqwest::Response::error_for_status) {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "changes of the registry not told yet"),
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    tracing::warn!(
        "the control plane was not told what changed in the registry; its sweep finds it"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::State;
    use axum::routing::post;
    use catalyst_registry::{Algorithm, Digest};
    use http::{HeaderMap, StatusCode};

    use super::*;

    const TOKEN: &str = "a token of the registry";

    type Heard = Arc<Mutex<Vec<(String, Value)>>>;

    /// Is away the first time.
    async fn hear(
        State((heard, done)): State<(Heard, mpsc::Sender<()>)>,
        headers: HeaderMap,
        axum::Json(body): axum::Json<Value>,
    ) -> StatusCode {
        let token = headers["authorization"].to_str().unwrap().to_owned();
        let mut heard = heard.lock().unwrap();
        heard.push((token, body));
        if heard.len() == 1 {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        done.try_send(()).unwrap();
        StatusCode::NO_CONTENT
    }

    #[tokio::test]
    async fn changes_are_told_together_and_again_when_nobody_took_them() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (heard, (done, mut is_done)) = (Heard::default(), mpsc::channel(1));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(hear))
            .with_state((Arc::clone(&heard), done));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();

        let (tell, notifications) = Notifications::new();
        let (digest, tag) = (
            Digest::of(Algorithm::Sha256, b"manifest"),
            "1.0.0".parse::<catalyst_registry::Tag>().unwrap(),
        );
        let event = |repository: &str, change| Event {
            repository: repository.parse().unwrap(),
            change,
        };
        let pushed = Change::Pushed {
            digest: digest.clone(),
            tag: Some(tag.clone()),
        };
        tell(event("acme/web", pushed.clone()));
        tell(event("acme/bp-wiki", pushed));
        tell(event("acme/bp-wiki", Change::Untagged(tag)));
        tell(event("acme/bp-chat", Change::Deleted(digest.clone())));
        tell(event("acme/bp-blog", Change::Emptied));
        tokio::spawn(notifications.run(http, url, TOKEN.to_owned().into()));
        let patience = Duration::from_secs(10);
        let waited = tokio::time::timeout(patience, is_done.recv()).await;
        waited.expect("they are told again").unwrap();

        let digest = digest.to_string();
        let events = json!({"events": [
            {"action": "push", "target": {
                "repository": "acme/bp-wiki", "digest": digest, "tag": "1.0.0",
            }},
            {"action": "delete", "target": {"repository": "acme/bp-wiki", "tag": "1.0.0"}},
            {"action": "delete", "target": {"repository": "acme/bp-chat", "digest": digest}},
            {"action": "delete", "target": {"repository": "acme/bp-blog"}},
        ]});
        let once = (format!("Bearer {TOKEN}"), events);
        assert_eq!(*heard.lock().unwrap(), [once.clone(), once]);
    }
}
