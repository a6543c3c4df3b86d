use catalyst_ports::blob_id;
use catalyst_resources::ConditionStatus;

use super::*;
use crate::testing::{Empty, Memory, Told, shared_with};

const SOURCE: &str = "/apis/catalyst.openova.io/v1alpha1/blueprintsources/acme";
const ACME: &str = "/apis/catalyst.openova.io/v1alpha1/organizations/acme";

fn put_acme(memory: &Memory) {
    memory.put(
        ACME,
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Organization",
            "metadata": {"name": "acme"}, "spec": {"displayName": "Acme"},
        }),
    );
}

#[tokio::test]
async fn while_a_part_is_away_what_was_published_stays_and_the_status_says_so() {
    let (memory, told) = (Memory::default(), Told::default());
    let (forge, others) = (Empty::serve().await, Empty::serve().await);
    let shared = shared_with(&memory, &told, &forge, &others);
    put_acme(&memory);
    let known = json!([{"name": "bp-wiki", "version": "1.0.0"}]);
    let mut object = object_of("acme");
    object["status"] = json!({"revision": "c1", "signer": "own", "blueprints": known});
    memory.put(SOURCE, object);
    let ready = || {
        let object = memory.get(SOURCE).unwrap();
        let said = condition(&object, READY).unwrap().clone();
        assert_eq!(text(&object, "/status/revision"), "c1");
        assert_eq!(object["status"]["blueprints"], known);
        said
    };

    forge.set_away(true);
    let error = reconcile(&shared, "acme").await.unwrap_err();
    assert!(error.retryable(), "{error}");
    let said = ready();
    let state = (text(&said, "/status"), text(&said, "/reason"));
    assert_eq!(state, ("Unknown", "ForgeAway"));
    let message = text(&said, "/message");
    assert!(message.ends_with("what is published stays at c1"), "{said}");
    assert!(!text(&said, "/lastTransitionTime").is_empty());

    // A repository without a commit takes nothing back.
    forge.set_away(false);
    assert_eq!(reconcile(&shared, "acme").await.unwrap(), None);
    let said = ready();
    assert_eq!(text(&said, "/status"), "True", "{said}");

    others.set_away(true);
    assert!(reconcile(&shared, "acme").await.unwrap_err().retryable());
    let said = ready();
    let state = (text(&said, "/status"), text(&said, "/reason"));
    assert_eq!(state, ("Unknown", "RegistryAway"));
}

#[tokio::test]
async fn a_source_tells_what_its_registry_holds_and_nobody_trusts() {
    let (memory, told) = (Memory::default(), Told::default());
    let (forge, others) = (Empty::serve().await, Empty::serve().await);
    let shared = shared_with(&memory, &told, &forge, &others);
    put_acme(&memory);
    let refused = || memory.get(SOURCE).unwrap()["status"]["refused"].clone();
    let unsigned = || BTreeMap::from([("1.0.0".to_owned(), "it is not signed".to_owned())]);
    shared.refusals.news("acme/bp-wiki", unsigned());
    shared.refusals.news("globex/bp-wiki", unsigned());
    // Told also while the forge is away, which has no part in it.
    forge.set_away(true);
    assert!(reconcile(&shared, "acme").await.unwrap_err().retryable());
    let told = refused();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    let words = |field: &str| told[0][field].as_str().unwrap().to_owned();
    let found = (words("name"), words("version"), words("reason"));
    let expected = ("bp-wiki", "1.0.0", "it is not signed");
    assert_eq!((&*found.0, &*found.1, &*found.2), expected);
    assert!(words("fix").ends_with("/acme/bp-wiki:1.0.0"), "{told}");
    let admitted = || {
        let object = memory.get(SOURCE).unwrap();
        let said = condition(&object, ADMITTED).unwrap().clone();
        let of = |field: &str| text(&said, field).to_owned();
        (of("/status"), of("/reason"), of("/message"))
    };
    let (status, reason, message) = admitted();
    assert_eq!((&*status, &*reason), ("False", "ArtifactsRefused"));
    let begins = "one version in its path of the registry is refused: acme/bp-wiki:1.0.0: it is not signed; publish it signed";
    assert!(message.starts_with(begins), "{message}");

    forge.set_away(false);
    shared.refusals.news("acme/bp-wiki", BTreeMap::new());
    reconcile(&shared, "acme").await.unwrap();
    assert_eq!(refused(), json!([]));
    assert_eq!(admitted().0, "True");
}

#[test]
fn what_is_refused_is_counted_as_far_as_it_is_known() {
    let artifact = RefusedArtifact {
        name: "bp-wiki".to_owned(),
        version: "1.0.0".to_owned(),
        reason: "it is not signed".to_owned(),
        fix: "sign it".to_owned(),
    };
    for (count, expected) in [
        (
            2,
            "2 versions in its path of the registry are refused, the first: acme/bp-wiki:1.0.0: it is not signed; sign it",
        ),
        (
            MOST_REFUSED,
            "100 versions or more in its path of the registry are refused, the first: acme/bp-wiki:1.0.0: it is not signed; sign it",
        ),
    ] {
        let observed = of_registry("acme", &vec![artifact.clone(); count]);
        assert_eq!(observed.message, expected);
        assert_eq!(observed.status, ConditionStatus::False);
    }
}

#[tokio::test]
async fn a_source_is_there_as_long_as_its_organization() {
    let (memory, told) = (Memory::default(), Told::default());
    let (forge, others) = (Empty::serve().await, Empty::serve().await);
    let shared = shared_with(&memory, &told, &forge, &others);
    assert_eq!(reconcile(&shared, "acme").await.unwrap(), None);
    assert_eq!(memory.get(SOURCE), None);

    put_acme(&memory);
    reconcile(&shared, "acme").await.unwrap();
    let object = memory.get(SOURCE).unwrap();
    assert_eq!(text(&object, "/spec/repository"), "acme/shared-blueprints");
    let ready = condition(&object, READY).unwrap();
    assert_eq!(text(ready, "/reason"), "Empty");

    let leaving = json!({"metadata": {"deletionTimestamp": crate::clock::now()}});
    memory.put(
        ACME,
        json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Organization",
            "metadata": {"name": "acme", "finalizers": ["example.com/hold"]},
            "spec": {"displayName": "Acme"},
        }),
    );
    memory.merge(ACME, &leaving);
    reconcile(&shared, "acme").await.unwrap();
    assert_eq!(memory.get(SOURCE), None);
}

#[test]
fn the_folders_of_blueprints_are_told_from_others() {
    let entry = |path: &str| TreeEntry {
        path: path.to_owned(),
        sha: blob_id(path.as_bytes()),
        size: 1,
    };
    let folders = folders_of(vec![
        entry("README.md"),
        entry("bp-wiki/blueprint.yaml"),
        entry("bp-wiki/chart/Chart.yaml"),
        entry("bp-wiki/Makefile"),
        entry("docs/README.md"),
        entry(".github/chart/x.yaml"),
        entry("pages/blueprint.yaml"),
    ]);
    let found: Vec<(&str, usize)> = folders
        .iter()
        .map(|(folder, entries)| (folder.as_str(), entries.len()))
        .collect();
    assert_eq!(found, [("bp-wiki", 2), ("pages", 1)]);
}

#[test]
fn what_a_folder_was_found_to_be_is_kept_while_its_files_are_the_same() {
    let judged = Judged::default();
    let ids = |content: &str| vec![("bp-wiki/blueprint.yaml".to_owned(), content.to_owned())];
    let found = Found {
        package: Some(("1.0.0".to_owned(), "sha256:aa".to_owned())),
        ..Found::default()
    };
    judged.keep("acme", "bp-wiki", ids("a"), found.clone());
    assert_eq!(judged.get("acme", "bp-wiki", &ids("a")), Some(found));
    assert_eq!(judged.get("acme", "bp-wiki", &ids("b")), None);
    assert_eq!(judged.get("globex", "bp-wiki", &ids("a")), None);
    judged.narrow("acme", &BTreeMap::new());
    assert_eq!(judged.get("acme", "bp-wiki", &ids("a")), None);
}

#[test]
fn the_keys_that_signed_before_are_known() {
    let keys = |names: &str| -> Vec<String> { names.split(' ').map(str::to_owned).collect() };
    for (known, before, now, expected) in [
        ("x", None, None, "x"),
        ("x", None, Some("a"), "x"),
        ("x", Some("a"), Some("a"), "x"),
        ("x", Some("a"), Some("b"), "a x"),
        ("a x", Some("b"), Some("c"), "b a x"),
        // One that is back is none of before.
        ("a x", Some("b"), Some("a"), "b x"),
    ] {
        let (before, now) = (before.map(str::to_owned), now.map(str::to_owned));
        let found = former(keys(known), before.as_ref(), now.as_ref());
        assert_eq!(found, keys(expected), "{known} {before:?} {now:?}");
    }
    let many = vec!["a".to_owned(); MOST_FORMER];
    let (before, now) = ("b".to_owned(), "c".to_owned());
    let found = former(many, Some(&before), Some(&now));
    assert_eq!((found.len(), found[0].as_str()), (MOST_FORMER, "b"));
}

#[test]
fn a_status_tells_the_first_problem_whole() {
    let problem = SourceProblem {
        file: "bp-wiki/chart/values.yaml".to_owned(),
        line: Some(3),
        rule: "image-tag".to_owned(),
        message: "the image has the tag latest".to_owned(),
        fix: "name a version".to_owned(),
    };
    let mut seen = Seen {
        revision: Some("0123456789abcdef".to_owned()),
        problems: vec![problem; MOST_PROBLEMS + 1],
        ..Seen::default()
    };
    let (observed, fields) = told(&seen);
    assert_eq!(observed.status, ConditionStatus::False);
    assert_eq!(
        observed.message,
        "101 problems at 0123456789 keep Blueprints from being published, the first: bp-wiki/chart/values.yaml:3: [image-tag] the image has the tag latest; name a version"
    );
    assert_eq!(fields["problems"].as_array().unwrap().len(), MOST_PROBLEMS);
    seen.problems.clear();
    assert_eq!(told(&seen).0.reason, "Published");
}

#[test]
fn a_status_has_room_for_so_much_and_no_more() {
    let mut room = 10;
    for (what, expected) in [("1234", true), ("12", true), ("", false)] {
        // With its quotes.
        assert_eq!(fits(&mut room, &what), expected, "{what}");
    }
    assert_eq!(room, 0);
    let problem = SourceProblem {
        file: "bp-wiki/chart/values.yaml".to_owned(),
        line: None,
        rule: "image-tag".to_owned(),
        message: "x".repeat(ROOM_FOR_PROBLEMS / 10),
        fix: "name a version".to_owned(),
    };
    let mut seen = Seen {
        problems: vec![problem; 20],
        left_out: 3,
        ..Seen::default()
    };
    let (_, fields) = told(&seen);
    assert_eq!(fields["problems"].as_array().unwrap().len(), 9);
    assert_eq!(fields["blueprintsLeftOut"], 3);
    seen.left_out = 0;
    assert_eq!(told(&seen).1["blueprintsLeftOut"], Value::Null);
}
