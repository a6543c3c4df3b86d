use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use catalyst_ports::{BucketChange, BucketRecord, SpineMessage};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::Config;
use crate::hub::Hub;
use crate::model::{Model, Settings};

/// A spine that refuses every message for as long as it is told to, and else keeps
/// their ids.
#[derive(Default)]
struct Moody {
    refuses: AtomicBool,
    published: Mutex<Vec<String>>,
}

impl Moody {
    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    fn published(&self) -> MutexGuard<'_, Vec<String>> {
        self.published.lock().unwrap()
    }
}

impl Spine for Moody {
    fn publish<'a>(
        &'a self,
        stream: &'a str,
        _: &'a str,
        message_id: &'a str,
        _: Bytes,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        let published = if self.refuses.load(Ordering::SeqCst) {
            Err(PortError::Prepare {
                action: format!("publish in {stream}"),
                reason: "it does not fit".to_owned(),
            })
        } else {
            self.published().push(message_id.to_owned());
            Ok(1)
        };
        Box::pin(async move { published })
    }

    fn read<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<SpineMessage>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn follow(&self, _: &str, _: u64) -> BoxStream<'static, Result<SpineMessage, PortError>> {
        futures::stream::pending().boxed()
    }

    fn streams(&self) -> BoxFuture<'_, Result<Vec<String>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn purge<'a>(
        &'a self,
        _: &'a str,
        _: Option<(&'a str, u64)>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn bucket_get<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<BucketRecord>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn bucket_put<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Bytes,
        _: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PortError>> {
        Box::pin(async { Ok(1) })
    }

    fn bucket_delete<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn bucket_watch(&self, _: &str) -> BoxStream<'static, Result<BucketChange, PortError>> {
        futures::stream::pending().boxed()
    }
}

/// Clusters of which nobody asks anything.
fn clusters() -> Clusters {
    let nothing = |_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from(Vec::<u8>::new())))
    };
    Clusters::new(kube::Client::new(tower::service_fn(nothing), "default"))
}

#[tokio::test]
async fn what_the_spine_refuses_is_offered_again() {
    let spine = Arc::new(Moody::default());
    let settings = Settings {
        applications: "http://localhost".parse().unwrap(),
        git: "http://localhost/git".to_owned(),
    };
    let state = State::new(
        Arc::clone(&spine) as Arc<dyn Spine>,
        clusters(),
        Model::new(settings),
        Hub::new(1),
        Config::system_clock(),
    );
    let watched = MANAGEMENT.iter().find(|one| one.kind == "Organization");
    let mut watch = Watch {
        state: Arc::new(state),
        target: Target::Management,
        watched: watched.unwrap(),
        held: BTreeMap::new(),
    };
    let object = json!({
        "metadata": {"name": "acme", "uid": "one", "resourceVersion": "7"},
        "spec": {"displayName": "Acme"},
    });
    // Each round is what a list does: the object is there.
    for (refuses, expected) in [(true, 0), (true, 0), (false, 1), (false, 1)] {
        spine.refuse(refuses);
        assert!(watch.publish(&object).await.is_some());
        assert_eq!(spine.published().len(), expected, "refuses: {refuses}");
    }
    // And here it is gone.
    let nothing = BTreeMap::new();
    for (refuses, expected) in [(true, 1), (false, 2), (false, 2)] {
        spine.refuse(refuses);
        watch.bury(&nothing).await;
        assert_eq!(spine.published().len(), expected, "refuses: {refuses}");
    }
    assert!(spine.published()[1].ends_with("/gone"));
}
