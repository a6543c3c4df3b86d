use super::*;
use crate::controllers::VclusterKey;
use crate::report::{END_WITHIN, EVENT_WITHIN, PROGRESS_WITHIN};
use crate::saga::{LIMIT, PROMISED};
use crate::testing::{Empty, Memory, Told, held_namespace, leaves_its_worker, shared, shared_with};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const HOLD: &str = "example.com/hold";

fn at(name: &str) -> ApplicationKey {
    ApplicationKey {
        at: VclusterKey {
            host: "lo-loc-rtz-dev".to_owned(),
            organization: "acme".to_owned(),
        },
        environment: "acme-dev".to_owned(),
        name: name.to_owned(),
    }
}

fn path(name: &str) -> String {
    format!("/apis/catalyst.openova.io/v1alpha1/namespaces/acme-dev/applications/{name}")
}

fn application_object(name: &str) -> Value {
    json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Application",
        "metadata": {
            "name": name, "namespace": "acme-dev", "uid": name, "generation": 1,
            "finalizers": [finalizer::APPLICATION],
        },
        "spec": {"blueprint": {"source": "catalog", "name": "bp-db", "version": "1.4.0"}},
    })
}

/// One that Git no longer has, with further finalizers.
fn removed(name: &str, since: &str, finalizers: &[&str]) -> Value {
    let mut object = application_object(name);
    object["metadata"]["deletionTimestamp"] = json!(since);
    let all: Vec<&str> = [finalizer::APPLICATION]
        .into_iter()
        .chain(finalizers.iter().copied())
        .collect();
    object["metadata"]["finalizers"] = json!(all);
    object
}

struct World {
    memory: Memory,
    told: Told,
    shared: Shared,
}

impl World {
    fn new() -> Self {
        let (memory, told) = (Memory::default(), Told::default());
        let shared = shared(&memory, &told);
        Self {
            memory,
            told,
            shared,
        }
    }

    /// One look of the controller at an Application as it stands.
    async fn look(&self, name: &str) -> Next {
        let object = self.memory.get(&path(name)).unwrap();
        delete(&self.shared, &at(name), &self.memory.cluster(), &object)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn what_somebody_elses_finalizer_keeps_is_told_once_and_by_name() {
    let world = World::new();
    world
        .memory
        .put(&path("db"), removed("db", LONG_AGO, &[HOLD]));
    assert_eq!(world.look("db").await, None);
    let ends = world.told.take_ends();
    let [end] = ends.as_slice() else {
        panic!("not one end: {ends:#?}")
    };
    assert_eq!(
        end.left_behind,
        [
            "the Application acme-dev/db: finalizers that are not Catalyst's keep the object: example.com/hold; it goes when whoever set them has removed them"
        ]
    );
    let kept = world.memory.get(&path("db")).unwrap();
    assert_eq!(kept["metadata"]["finalizers"], json!([HOLD]));
    let ready = condition(&kept, READY).unwrap();
    assert_eq!(text(ready, "/reason"), HELD_BY_OTHERS);

    // Every later look finds nothing to do or to tell.
    assert_eq!(world.look("db").await, None);
    assert_eq!(world.told.take(), []);
    assert_eq!(world.memory.get(&path("db")).unwrap(), kept);

    world
        .memory
        .merge(&path("db"), &json!({"metadata": {"finalizers": null}}));
    assert_eq!(world.memory.get(&path("db")), None);
}

#[tokio::test]
async fn what_keeps_its_namespace_is_told_by_name() {
    let world = World::new();
    let labels = json!({"openova.io/application": "db", "openova.io/environment": "acme-dev"});
    held_namespace(&world.memory, "db", &labels);
    let mut saga = Saga::hurried("Application", "acme-dev/db");
    let vcluster = world.memory.cluster();
    data(&world.shared, &vcluster, &at("db"), false, &mut saga)
        .await
        .unwrap();
    assert_eq!(
        saga.left_behind(),
        [
            "the namespace db: could not remove Namespace db: what is in it keeps it: Widget db/held (finalizers: example.com/hold); once whoever set the finalizers has removed them, the namespace goes"
        ]
    );
}

#[tokio::test]
async fn it_keeps_no_worker_while_it_waits() {
    let world = World::new();
    let object = removed("db", &clock::now(), &[HOLD]);
    world.memory.put(&path("db"), object.clone());
    leaves_its_worker(world.shared, async |shared: &Shared| {
        delete(shared, &at("db"), &world.memory.cluster(), &object).await
    })
    .await;
}

#[tokio::test]
async fn others_have_until_the_deadline_to_take_their_finalizers() {
    let world = World::new();
    let now = clock::now();
    world.memory.put(&path("db"), removed("db", &now, &[HOLD]));
    assert_eq!(world.look("db").await, Some(LOOK_AT_FINALIZERS));
    let told = world.told.take();
    assert!(told.iter().all(|view| view.ended_at.is_none()), "{told:#?}");
    let waiting = told.last().and_then(|view| view.waiting_for.as_deref());
    assert!(waiting.unwrap_or_default().contains(HOLD), "{told:#?}");

    let ours = json!({"metadata": {"finalizers": [finalizer::APPLICATION]}});
    world.memory.merge(&path("db"), &ours);
    assert_eq!(world.look("db").await, None);
    let ends = world.told.take_ends();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert_eq!(ends[0].left_behind, Vec::<String>::new());
    assert_eq!(world.memory.get(&path("db")), None);
}

#[tokio::test]
async fn an_end_told_before_flux_removes_the_object_is_not_told_again() {
    let world = World::new();
    let mut object = removed("db", LONG_AGO, &[HOLD]);
    object["spec"]["deletion"] = json!({"data": "keep"});
    object["metadata"]["annotations"] = json!({"openova.io/deletion-ended-at": LONG_AGO});
    world.memory.put(&path("db"), object.clone());
    assert_eq!(world.look("db").await, None);
    assert_eq!(world.told.take(), []);

    // The same mark on one that came back and was removed is of an earlier life.
    object["spec"]["deletion"] = Value::Null;
    world.memory.put(&path("db"), object);
    assert_eq!(world.look("db").await, None);
    assert_eq!(world.told.take_ends().len(), 1);
}

#[tokio::test]
async fn what_others_need_beyond_the_bound_is_kept_told_once_and_goes_after_them() {
    let world = World::new();
    let mut wiki = application_object("wiki");
    wiki["spec"]["dependencies"] = json!({"db": {"application": "db"}});
    world.memory.put(&path("wiki"), wiki);

    let now = clock::now();
    world.memory.put(&path("db"), removed("db", &now, &[]));
    assert_eq!(world.look("db").await, Some(LOOK_AGAIN));
    let told = world.told.take();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].ended_at, None);
    assert_eq!(told[0].waiting_for.as_deref(), Some("its dependents: wiki"));

    let late = json!({"metadata": {"deletionTimestamp": LONG_AGO}});
    world.memory.merge(&path("db"), &late);
    assert_eq!(world.look("db").await, None);
    let ends = world.told.take_ends();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert_eq!(
        ends[0].left_behind,
        [
            "the Application acme-dev/db: it is kept, because others depend on it: wiki; delete those, or let them depend on another Application, and it goes"
        ]
    );
    let kept = world.memory.get(&path("db")).unwrap();
    assert!(has_finalizer(&kept, finalizer::APPLICATION));
    let ready = condition(&kept, READY).unwrap();
    assert_eq!(text(ready, "/reason"), KEPT_FOR_OTHERS);
    assert_eq!(world.look("db").await, None);
    assert_eq!(world.told.take(), []);
    assert_eq!(world.memory.get(&path("db")).unwrap(), kept);

    // Gone, but for an object that somebody else holds.
    world.memory.put(&path("wiki"), {
        let mut wiki = removed("wiki", LONG_AGO, &[]);
        wiki["spec"]["dependencies"] = json!({"db": {"application": "db"}});
        wiki["metadata"]["finalizers"] = json!([HOLD]);
        wiki
    });
    assert_eq!(world.look("db").await, None);
    let ends = world.told.take_ends();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert_eq!(ends[0].left_behind, Vec::<String>::new());
    // With a clock of its own: its release has the usual time to go.
    assert_ne!(ends[0].started_at, LONG_AGO);
    assert_eq!(world.memory.get(&path("db")), None);
}

#[tokio::test]
async fn while_the_forge_is_away_the_last_commit_is_waited_for_and_told_so() {
    let (memory, told) = (Memory::default(), Told::default());
    let forge = Empty::serve().await;
    let shared = shared_with(&memory, &told, &forge, &forge);
    let mut object = application_object("db");
    object["spec"]["deletion"] = json!({"data": "keep"});
    memory.put(&path("db"), object);
    let look = async || {
        let object = memory.get(&path("db")).unwrap();
        delete(&shared, &at("db"), &memory.cluster(), &object).await
    };
    forge.set_away(true);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let error = look().await.unwrap_err();
        assert!(error.retryable());
        let object = memory.get(&path("db")).unwrap();
        let ready = condition(&object, READY).unwrap();
        assert_eq!(text(ready, "/reason"), COMMIT_OUTSTANDING);
        let message = text(ready, "/message");
        assert!(message.contains("the forge gave no answer"), "{message}");
        assert_eq!(text(&object, "/status/phase"), "Deleting");
        seen.push(object.clone());
        let views = told.take();
        assert!(
            views.iter().all(|view| view.ended_at.is_none()),
            "{views:#?}"
        );
        let waiting = views.last().and_then(|view| view.waiting_for.as_deref());
        assert!(message.ends_with(waiting.unwrap()), "{views:#?}");
    }
    // What was told is not told otherwise in between.
    assert_eq!(seen[0], seen[1]);

    forge.set_away(false);
    assert!(look().await.is_ok());
    let ends = told.take_ends();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert!(is_ended(&memory.get(&path("db")).unwrap()));
}

#[tokio::test]
async fn the_marks_of_an_earlier_deletion_go_when_an_application_comes_back() {
    let world = World::new();
    let mut object = application_object("db");
    object["metadata"]["annotations"] = json!({
        "openova.io/deletion-ended-at": LONG_AGO, "openova.io/deletion-resumed-at": LONG_AGO,
        "example.com/note": "stays",
    });
    world.memory.put(&path("db"), object.clone());
    forget(&world.memory.cluster(), &object).await.unwrap();
    let now = world.memory.get(&path("db")).unwrap();
    assert_eq!(
        now["metadata"]["annotations"],
        json!({"example.com/note": "stays"})
    );
}

#[test]
fn a_deletion_counts_from_when_it_was_asked_for() {
    const ASKED: &str = "2026-11-23T10:00:00Z";
    const LATER: &str = "2026-11-23T10:07:00Z";
    let flux = |fields: Value| json!({"manager": "kustomize-controller", "operation": "Apply", "time": ASKED, "fieldsV1": fields});
    let wish = || flux(json!({"f:spec": {"f:deletion": {"f:data": {}}, "f:blueprint": {}}}));
    let told = |since: &str| json!({"phase": "Deleting", "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": since}]});
    let object = |fields: Value, deletion: Value, status: Value| {
        let mut object = application_object("db");
        object["metadata"]["managedFields"] = json!([fields]);
        object["spec"]["deletion"] = deletion;
        object["status"] = status;
        object
    };
    let drop = || json!({"data": "drop"});
    let other = || flux(json!({"f:spec": {"f:blueprint": {}}}));
    for (object, expected) in [
        // Nothing could be written yet.
        (object(wish(), drop(), json!({})), ASKED),
        // It was told late; it had failed since long before.
        (object(wish(), drop(), told(LATER)), ASKED),
        (object(wish(), drop(), told(LONG_AGO)), ASKED),
        // Nobody keeps account of fields.
        (object(other(), drop(), told(LATER)), LATER),
        (object(Value::Null, drop(), told(LATER)), LATER),
    ] {
        assert_eq!(started(&object), expected, "{object:#}");
        // That the folder went meanwhile begins nothing anew.
        let mut gone = object.clone();
        gone["metadata"]["deletionTimestamp"] = json!(LATER);
        assert_eq!(started(&gone), expected, "{gone:#}");
        // That it was kept, and goes on, does.
        let mut resumed = object;
        resumed["metadata"]["annotations"] = json!({"openova.io/deletion-resumed-at": LATER});
        assert_eq!(started(&resumed), LATER, "{resumed:#}");
    }
    // A folder that was just removed; a wish of an earlier life does not count.
    let mut removed = object(other(), Value::Null, told(LONG_AGO));
    removed["metadata"]["deletionTimestamp"] = json!(LATER);
    assert_eq!(started(&removed), LATER);
    let nothing = object(other(), drop(), json!({}));
    assert!(clock::seconds_since(&started(&nothing)).is_some_and(|passed| passed < 60));
}

/// Change it with the steps: what each waits for at most, one after the other.
#[test]
fn all_steps_together_take_no_longer_than_is_promised() {
    let before = [within::DEPENDENTS, within::WORD];
    let release = [PROGRESS_WITHIN, within::RELEASE, within::FINALIZERS];
    let delivery = [PROGRESS_WITHIN, within::DELIVERY, within::CLAIMS];
    let dropped = [within::SECRETS, within::VOLUMES, within::NAMESPACE];
    let after = [within::COMMIT, EVENT_WITHIN, END_WITHIN];
    let steps = before.iter().chain(&release).chain(&delivery);
    let sum: Duration = steps.chain(&dropped).chain(&after).sum();
    assert!(sum <= PROMISED, "{sum:?}");
    // Whoever else holds it is waited for beside, and looked at so often.
    for wait in [LOOK_AGAIN, LOOK_AT_FINALIZERS] {
        let end = within::DEPENDENTS + EVENT_WITHIN + END_WITHIN;
        assert!(LIMIT + wait + end <= PROMISED, "{wait:?}");
    }
}
