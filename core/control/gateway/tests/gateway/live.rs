//! The live stream and logs: what goes on, and how it ends.

use std::time::{Duration, Instant};

use axum::body::Body;
use catalyst_api::DeletionView;
use catalyst_ports::{SYSTEM_STREAM, Spine as _, deletion_subject};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::world::World;

/// A client of an answer that goes on.
pub struct Reader {
    body: Body,
    pub text: String,
}

impl Reader {
    pub async fn open(world: &World, user: &str, path: &str, after: Option<&str>) -> Self {
        let mut request = Request::builder()
            .uri(path)
            .header("authorization", format!("Bearer {user}-token"));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = world.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Reads until the text holds something.
    pub async fn until(&mut self, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(8);
        while !self.text.contains(wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = tokio::time::timeout(left, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("no {wanted:?} in {:?}", self.text));
            let frame =
                frame.unwrap_or_else(|| panic!("ended without {wanted:?}: {:?}", self.text));
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(&String::from_utf8_lossy(&data));
        }
    }

    /// Reads to the end.
    pub async fn end(mut self) -> String {
        let deadline = Instant::now() + Duration::from_secs(8);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.body.frame()).await {
                Err(_) => panic!("goes on after {:?}", self.text),
                Ok(None) => return self.text,
                Ok(Some(frame)) => {
                    let data = frame.unwrap().into_data().unwrap();
                    self.text.push_str(&String::from_utf8_lossy(&data));
                }
            }
        }
    }

    /// The last position that was told.
    pub fn position(&self) -> String {
        let lines = self.text.lines();
        let mut positions = lines.filter_map(|line| line.strip_prefix("id: "));
        positions.next_back().unwrap().to_owned()
    }
}

/// Something happens to an Application's deletion.
async fn happen(world: &World, application: &str, note: &str) {
    let deletion = DeletionView {
        kind: "Application".to_owned(),
        name: application.to_owned(),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        ended_at: None,
        waiting_for: Some(note.to_owned()),
        left_behind: Vec::new(),
    };
    let subject = deletion_subject(&deletion.kind, &deletion.name);
    let payload = serde_json::to_vec(&deletion).unwrap().into();
    let id = format!("{application} {note}");
    world
        .spine
        .publish(SYSTEM_STREAM, &subject, &id, payload)
        .await
        .unwrap();
}

const STREAM: &str = "/api/v1/stream";

#[tokio::test]
async fn each_client_hears_of_its_own_organizations_and_comes_back_to_where_it_was() {
    let world = World::watched().await;
    let mut vic = Reader::open(&world, "vic", STREAM, None).await;
    let mut olga = Reader::open(&world, "olga", STREAM, None).await;
    let mut sol = Reader::open(&world, "sol", STREAM, None).await;
    for reader in [&mut vic, &mut olga, &mut sol] {
        reader.until("event: reset").await;
    }
    happen(&world, "acme-dev/blog", "first of acme").await;
    happen(&world, "globex-dev/shop", "first of globex").await;
    vic.until("first of acme").await;
    olga.until("first of globex").await;
    sol.until("first of globex").await;
    assert!(sol.text.contains("first of acme") && !olga.text.contains("acme"));
    let position = vic.position();
    assert!(!vic.text.contains("first of globex"));
    drop(vic);
    happen(&world, "acme-dev/blog", "second of acme").await;
    sol.until("second of acme").await;
    let mut vic = Reader::open(&world, "vic", STREAM, Some(&position)).await;
    vic.until("second of acme").await;
    assert!(
        !vic.text.contains("reset") && !vic.text.contains("globex"),
        "{}",
        vic.text
    );
    assert!(vic.text.contains("event: change"), "{}", vic.text);
}

#[tokio::test]
async fn a_removed_members_stream_and_log_end_within_seconds() {
    let world = World::watched().await;
    let mut stream = Reader::open(&world, "vic", STREAM, None).await;
    let path = "/api/v1/environments/acme-dev/applications/blog/logs?follow=true";
    let mut log = Reader::open(&world, "vic", path, None).await;
    stream.until("event: reset").await;
    log.until("blog-1/web hello from blog-1").await;
    world
        .parts()
        .organizations
        .insert("acme".to_owned(), Vec::new());
    let begun = Instant::now();
    let text = stream.end().await;
    log.end().await;
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "took {:?}",
        begun.elapsed()
    );
    assert!(
        text.trim_end().ends_with("data: {}"),
        "{text:?} does not end with a reset"
    );
}

#[tokio::test]
async fn a_removed_users_stream_ends() {
    let world = World::watched().await;
    let mut stream = Reader::open(&world, "vic", STREAM, None).await;
    stream.until("event: reset").await;
    world.parts().users.remove("vic");
    stream.end().await;
}

#[tokio::test]
async fn a_new_member_is_told_to_read_anew() {
    let world = World::watched().await;
    let mut stream = Reader::open(&world, "olga", STREAM, None).await;
    stream.until("event: reset").await;
    stream.text.clear();
    let olga = serde_json::json!({"user": "olga", "role": "org-viewer"});
    world
        .parts()
        .organizations
        .get_mut("acme")
        .unwrap()
        .push(olga);
    stream.until("event: reset").await;
    happen(&world, "acme-dev/blog", "for olga too").await;
    stream.until("for olga too").await;
}

/// Who hears that an Organization changed and asks what it means for them is
/// answered from after the change, however lately anybody asked before.
#[tokio::test]
async fn who_hears_of_a_change_of_roles_is_answered_from_after_it() {
    let world = World::watched().await;
    let mut stream = Reader::open(&world, "vic", STREAM, None).await;
    stream.until("event: reset").await;
    let role = async || {
        let (_, me) = world.ask(Some("vic"), "GET", "/api/v1/me", None).await;
        me["organizations"][0]["role"].as_str().unwrap().to_owned()
    };
    for (number, wanted) in ["org-developer", "org-viewer", "org-admin"]
        .into_iter()
        .enumerate()
    {
        let members = json!([{"user": "vic", "role": wanted}]);
        // Just asked, so whoever keeps answers has one from before the change.
        role().await;
        world
            .parts()
            .organizations
            .insert("acme".to_owned(), members.as_array().cloned().unwrap());
        let messages = world.spine.read(SYSTEM_STREAM, 0, 0).await.unwrap();
        let subject = "sys.organization.acme";
        let known = messages
            .iter()
            .find(|message| message.subject == subject)
            .unwrap();
        let mut fact: Value = serde_json::from_slice(&known.payload).unwrap();
        *fact.pointer_mut("/object/spec/members").unwrap() = members;
        let payload = serde_json::to_vec(&fact).unwrap().into();
        stream.text.clear();
        world
            .spine
            .publish(SYSTEM_STREAM, subject, &format!("change {number}"), payload)
            .await
            .unwrap();
        stream.until("\"kind\":\"organization\"").await;
        assert_eq!(role().await, wanted);
    }
}

#[tokio::test]
async fn a_position_that_is_none_is_refused() {
    let world = World::new().await;
    let request = Request::builder()
        .uri(STREAM)
        .header("authorization", "Bearer vic-token")
        .header("last-event-id", "here");
    let (status, ..) = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_log_names_pods_and_containers_when_there_are_several() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev/applications/blog/logs";
    let log = Reader::open(&world, "dan", path, None).await.end().await;
    assert_eq!(
        log,
        "blog-0/web hello from blog-0\nblog-0/web no end\n\
         blog-1/web hello from blog-1\nblog-1/web no end\n"
    );
    let (status, problem) = world
        .ask(Some("dan"), "GET", &format!("{path}?container=none"), None)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(problem["next"], "Choose one of: web.");
    let (status, _) = world
        .ask(Some("dan"), "GET", &format!("{path}?tail=many"), None)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_log_that_has_not_begun_says_why() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev/applications/blog/logs";
    let wait = |pod: &str| {
        world.parts().unstarted.insert(pod.to_owned());
    };
    // What there is, while there is something.
    wait("blog-0");
    let log = Reader::open(&world, "dan", path, None).await.end().await;
    assert_eq!(log, "blog-1/web hello from blog-1\nblog-1/web no end\n");
    wait("blog-1");
    for path in [path, &format!("{path}?container=web&json=true")] {
        let (status, problem) = world.ask(Some("dan"), "GET", path, None).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
        assert_eq!(problem["title"], "Read the log of acme-dev/blog");
        assert_eq!(
            problem["detail"],
            "The container web in the pod blog-0 has not started: ImagePullBackOff: the registry has no web."
        );
    }
    // Whoever follows is there when it begins.
    let followed = format!("{path}?follow=true");
    let mut log = Reader::open(&world, "dan", &followed, None).await;
    world.parts().unstarted.clear();
    log.until("blog-1/web hello from blog-1").await;
}

#[tokio::test]
async fn a_container_before_the_others_is_read_while_it_holds_them_up() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev/applications/blog/logs";
    let read = async |path: &str| Reader::open(&world, "dan", path, None).await.end().await;
    for pod in ["blog-0", "blog-1"] {
        world.parts().unprepared.insert(pod.to_owned());
    }
    let waits = |pod: &str| {
        format!(
            "{pod}/prepare {pod} is prepared\n\
             {pod}/prepare (the container prepare in the pod {pod} waits to start again: CrashLoopBackOff)\n"
        )
    };
    assert_eq!(
        read(path).await,
        format!("{}{}", waits("blog-0"), waits("blog-1"))
    );
    // The one that waits for it has not begun.
    let named = format!("{path}?container=web");
    let (status, problem) = world.ask(Some("dan"), "GET", &named, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(
        problem["detail"],
        "The container web in the pod blog-0 has not started: PodInitializing."
    );
    {
        let mut parts = world.parts();
        parts.unprepared.remove("blog-1");
        parts.prepared.insert("blog-1".to_owned());
        parts.unstarted.insert("blog-1".to_owned());
    }
    let log = read(path).await;
    assert_eq!(log, waits("blog-0"));
    // One that only waits for another is no cause.
    let (_, problem) = world.ask(Some("dan"), "GET", &named, None).await;
    assert_eq!(
        problem["detail"],
        "The container web in the pod blog-1 has not started: ImagePullBackOff: the registry has no web."
    );
    // Once it did what it is for it is read by its name.
    {
        let mut parts = world.parts();
        parts.unprepared.clear();
        parts.unstarted.clear();
        parts.prepared.insert("blog-0".to_owned());
    }
    let log = read(path).await;
    assert_eq!(
        log,
        "blog-0/web hello from blog-0\nblog-0/web no end\n\
         blog-1/web hello from blog-1\nblog-1/web no end\n"
    );
    let log = read(&format!("{path}?container=prepare")).await;
    assert_eq!(
        log,
        "blog-0/prepare blog-0 is prepared\nblog-1/prepare blog-1 is prepared\n"
    );
}

#[tokio::test]
async fn a_container_that_waits_to_start_again_has_the_log_of_its_last_run() {
    let world = World::watched().await;
    {
        let mut parts = world.parts();
        parts.ended.insert("blog-1".to_owned());
        parts.restarts.insert("blog-1".to_owned(), 1);
    }
    let path = "/api/v1/environments/acme-dev/applications/blog/logs";
    let notice = "(the container web in the pod blog-1 waits to start again: CrashLoopBackOff)";
    let log = Reader::open(&world, "dan", path, None).await.end().await;
    assert_eq!(
        log,
        format!(
            "blog-0/web hello from blog-0\nblog-0/web no end\n\
             blog-1/web hello from blog-1\nblog-1/web no end\nblog-1/web {notice}\n"
        )
    );
    let objects = format!("{path}?json=true");
    let log = Reader::open(&world, "dan", &objects, None)
        .await
        .end()
        .await;
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        last,
        json!({"pod": "blog-1", "container": "web", "line": notice, "isNotice": true})
    );
    // Whoever follows has the next run when it begins, and no line twice.
    let followed = format!("{path}?follow=true");
    let mut log = Reader::open(&world, "dan", &followed, None).await;
    log.until(&format!("blog-1/web {notice}\n")).await;
    world.parts().ended.clear();
    log.until("blog-1/web run 1\n").await;
    for line in ["hello from blog-1", "no end", notice] {
        let line = format!("blog-1/web {line}\n");
        assert_eq!(log.text.matches(&line).count(), 1, "{line:?}: {}", log.text);
    }
}

#[tokio::test]
async fn a_log_comes_as_objects_for_programs() {
    let world = World::watched().await;
    let path = "/api/v1/environments/acme-dev/applications/blog/logs?json=true";
    let log = Reader::open(&world, "dan", path, None).await.end().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = |pod: &str, line: &str| json!({"time": "2026-01-01T00:00:00.5Z", "pod": pod, "container": "web", "line": line});
    assert_eq!(
        lines,
        [
            line("blog-0", "hello from blog-0"),
            line("blog-0", "no end"),
            line("blog-1", "hello from blog-1"),
            line("blog-1", "no end"),
        ]
    );
}
