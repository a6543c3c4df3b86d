//! Commands on Applications, as tables.

use super::*;
use crate::catalogue::tests::offered_without;
use crate::documents;
use crate::promote::promote;
use crate::state::application_path;
use crate::validate::tests::{admitted, blueprint, catalogue, place};
use serde_json::json;

fn tree(applications: &[&Application]) -> Applications {
    Applications::read(
        applications
            .iter()
            .map(|application| {
                let path = application_path(&application.metadata.name);
                (path, documents::write(application, None))
            })
            .collect(),
    )
}

fn after<'a>(draft: &'a Draft, name: &str) -> &'a Application {
    draft.changed[name].as_ref().unwrap()
}

fn installed(config: Value) -> (Application, Application) {
    let (catalogue, place, empty) = (catalogue(), place(), Applications::default());
    let draft = install(
        &Ground {
            action: "install wiki".to_owned(),
            place: &place,
            catalogue: &catalogue,
            tree: &empty,
            taken: &BTreeSet::new(),
        },
        &Install {
            name: "wiki".to_owned(),
            blueprint: "bp-wiki".to_owned(),
            version: Some("1.0.0".to_owned()),
            config: config.as_object().unwrap().clone(),
            ..Install::default()
        },
    )
    .unwrap();
    (
        after(&draft, "wiki").clone(),
        after(&draft, "wiki-db").clone(),
    )
}

struct Case {
    catalogue: Catalogue,
    place: Place,
    tree: Applications,
    taken: BTreeSet<(String, String)>,
}

impl Case {
    fn new(applications: &[&Application]) -> Self {
        let tree = tree(applications);
        assert!(tree.faults.is_empty(), "{:?}", tree.faults);
        Self {
            catalogue: catalogue(),
            place: place(),
            tree,
            taken: BTreeSet::new(),
        }
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            action: "try".to_owned(),
            place: &self.place,
            catalogue: &self.catalogue,
            tree: &self.tree,
            taken: &self.taken,
        }
    }
}

fn wiki_install() -> Install {
    Install {
        name: "wiki".to_owned(),
        blueprint: "bp-wiki".to_owned(),
        version: Some("1.0.0".to_owned()),
        ..Install::default()
    }
}

#[test]
fn an_install_brings_what_it_needs_and_offers_what_is_there() {
    let (_, mut other) = installed(json!({}));
    other.metadata.name = "shared".to_owned();
    let case = Case::new(&[&other]);
    let draft = install(&case.ground(), &wiki_install()).unwrap();
    assert_eq!(draft.subject, "Install wiki (bp-wiki 1.0.0) into acme-dev");
    assert_eq!(draft.changed.len(), 2);
    let names: Vec<(&str, &str)> = draft
        .planned
        .iter()
        .map(|planned| (planned.name.as_str(), planned.because.as_str()))
        .collect();
    assert_eq!(
        names,
        [("wiki", "asked for"), ("wiki-db", "wiki needs it as db")]
    );
    assert_eq!(draft.planned[1].alternatives, ["shared"]);
    assert_eq!(draft.planned[1].alias.as_deref(), Some("db"));
    // The newest that fits, not the newest.
    assert_eq!(after(&draft, "wiki-db").spec.blueprint.version, "1.5.0");
    assert_eq!(
        after(&draft, "wiki").spec.dependencies["db"].application,
        "wiki-db"
    );

    let mut request = wiki_install();
    request
        .dependencies
        .insert("db".to_owned(), "shared".to_owned());
    let draft = install(&case.ground(), &request).unwrap();
    assert_eq!(draft.changed.len(), 1);
    assert_eq!(
        after(&draft, "wiki").spec.dependencies["db"].application,
        "shared"
    );
}

#[test]
fn who_names_no_version_gets_the_newest_whose_dependencies_are_there() {
    let mut case = Case::new(&[]);
    let stuck = |version: &str| {
        let needs = "  depends: [{blueprint: bp-db, version: ^9}]\n";
        admitted("catalog", &blueprint("bp-blog", version, needs))
    };
    let request = Install {
        name: "blog".to_owned(),
        blueprint: "bp-blog".to_owned(),
        ..Install::default()
    };
    case.catalogue.insert(stuck("2.0.0"));
    let refused = install(&case.ground(), &request).err().unwrap().to_string();
    assert!(refused.contains("bp-blog 2.0.0"), "{refused}");
    // Neither what is older and stuck, nor what leads to a release, stands in.
    case.catalogue.insert(stuck("1.5.0"));
    let early = admitted("catalog", &blueprint("bp-blog", "1.9.0-rc.1", ""));
    case.catalogue.insert(early);
    assert!(install(&case.ground(), &request).is_err());
    let good = admitted("catalog", &blueprint("bp-blog", "1.0.0", ""));
    case.catalogue.insert(good);
    let draft = install(&case.ground(), &request).unwrap();
    assert_eq!(after(&draft, "blog").spec.blueprint.version, "1.0.0");
    let [warning] = draft.warnings.as_slice() else {
        panic!("{:?}", draft.warnings);
    };
    for words in ["version 1.0.0 is the newest", "bp-blog 2.0.0", "bp-db ^9"] {
        assert!(warning.contains(words), "{warning}");
    }
    // Who names a version gets that one or none.
    let named = Install {
        version: Some("2.0.0".to_owned()),
        ..request
    };
    let refused = install(&case.ground(), &named).err().unwrap().to_string();
    let words = "; bp-blog 1.0.0 can be installed";
    assert!(refused.ends_with(words), "{refused}");
}

#[test]
fn what_was_withdrawn_is_chosen_for_nothing_new_though_it_runs_there() {
    let (wiki, db) = installed(json!({}));
    assert_eq!(db.spec.blueprint.version, "1.5.0");
    let mut other = db.clone();
    other.metadata.name = "shared".to_owned();
    let mut case = Case::new(&[&other]);
    case.catalogue = offered_without(&[("bp-db", "1.5.0")], &case.tree);
    let draft = install(&case.ground(), &wiki_install()).unwrap();
    assert_eq!(after(&draft, "wiki-db").spec.blueprint.version, "1.4.0");
    // Nobody begins with it who is served by what runs.
    let mut request = wiki_install();
    request
        .dependencies
        .insert("db".to_owned(), "shared".to_owned());
    let draft = install(&case.ground(), &request).unwrap();
    assert_eq!(draft.changed.len(), 1);

    // Whoever runs it may change it, with what serves it.
    let mut case = Case::new(&[&wiki, &db]);
    case.catalogue = offered_without(&[("bp-wiki", "1.0.0"), ("bp-db", "1.5.0")], &case.tree);
    let request = Change {
        config: Some(json!({"title": "Yo"}).as_object().unwrap().clone()),
        ..Change::default()
    };
    let draft = change(&case.ground(), "wiki", &request).unwrap();
    assert_eq!(draft.changed.len(), 1);
    let changed = &after(&draft, "wiki").spec;
    assert_eq!(changed.blueprint.version, "1.0.0");
    assert_eq!(changed.dependencies["db"].application, "wiki-db");
}

#[test]
fn a_bad_install_is_refused_with_its_reason() {
    let (wiki, db) = installed(json!({}));
    let case = Case::new(&[&wiki, &db]);
    let base = Install {
        name: "notes".to_owned(),
        ..wiki_install()
    };
    let with = |edit: &dyn Fn(&mut Install)| {
        let mut request = base.clone();
        edit(&mut request);
        install(&case.ground(), &request)
            .err()
            .map(|error| error.to_string())
    };
    for (edit, words) in [
        (
            &(|request: &mut Install| request.name = "wiki".to_owned()) as &dyn Fn(&mut Install),
            "there is an Application wiki in acme-dev already",
        ),
        (&|request| request.name = "dev-x".to_owned(), "env type"),
        (
            &|request| request.source = Some("globex".to_owned()),
            "not for acme",
        ),
        (
            &|request| request.blueprint = "bp-none".to_owned(),
            "there is no Blueprint",
        ),
        (
            &|request| request.version = Some("9.9.9".to_owned()),
            "there is no Blueprint",
        ),
        (
            &|request| {
                request
                    .config
                    .insert("title".to_owned(), json!("far too long"));
            },
            "config",
        ),
        (
            &|request| {
                request
                    .dependencies
                    .insert("db".to_owned(), "nobody".to_owned());
            },
            "there is none of that name",
        ),
    ] {
        let error = with(edit).unwrap_or_default();
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut request = base.clone();
    request.config.insert("titel".to_owned(), json!("x"));
    let problem = install(&case.ground(), &request).err().unwrap().problem();
    assert_eq!(problem.status, 422);
    assert_eq!(problem.detail, "The config does not fit");
    assert_eq!(problem.faults[0].pointer.as_deref(), Some("/config/titel"));
    // The place stands beside it.
    let message = &problem.faults[0].message;
    assert!(
        message.starts_with("there is no such property; did you mean `title`?"),
        "{message}"
    );
}

#[test]
fn a_plan_says_what_pods_take_of_the_machine() {
    let mut case = Case::new(&[]);
    for (version, access) in [
        ("1.0.0", ""),
        (
            "1.1.0",
            "  hostAccess: [{kind: hostPath, paths: [/mnt/fast], reason: fast disks}]\n",
        ),
    ] {
        let text = blueprint("bp-fast", version, access);
        case.catalogue.insert(admitted("catalog", &text));
    }
    let shown = |case: &Case, mut draft: Draft| {
        show_host_access(&mut draft, &case.catalogue);
        let access = draft.planned[0].host_access.clone();
        let access: Vec<_> = access.into_iter().map(|it| (it.kind, it.paths)).collect();
        (access, draft.warnings.clone(), draft)
    };
    let request = Install {
        name: "fast".to_owned(),
        blueprint: "bp-fast".to_owned(),
        version: Some("1.0.0".to_owned()),
        ..Install::default()
    };
    let (access, warnings, draft) = shown(&case, install(&case.ground(), &request).unwrap());
    assert!(access.is_empty() && warnings.is_empty());
    // An upgrade that brings it says so, once; what changes afterwards only shows it.
    case.tree = tree(&[after(&draft, "fast")]);
    let upgrade = Change {
        version: Some("1.1.0".to_owned()),
        ..Change::default()
    };
    let upgraded = change(&case.ground(), "fast", &upgrade).unwrap();
    let (access, warnings, draft) = shown(&case, upgraded);
    let expected = [("hostPath".to_owned(), vec!["/mnt/fast".to_owned()])];
    assert_eq!(access, expected);
    assert_eq!(
        warnings,
        ["the pods of fast take of the machine they run on: hostPath /mnt/fast: fast disks"]
    );
    case.tree = tree(&[after(&draft, "fast")]);
    let pause = Change {
        paused: Some(true),
        ..Change::default()
    };
    let (access, warnings, _) = shown(&case, change(&case.ground(), "fast", &pause).unwrap());
    assert_eq!(access, expected);
    assert!(warnings.is_empty(), "{warnings:?}");
    let deleted = delete(&case.ground(), "fast", DataChoice::Keep).unwrap();
    assert!(shown(&case, deleted).0.is_empty());
}

#[test]
fn a_secret_leaves_the_config_and_gets_another_name_when_it_changes() {
    let case = Case::new(&[]);
    let mut request = wiki_install();
    request.config.insert("apiKey".to_owned(), json!("hunter2"));
    let draft = install(&case.ground(), &request).unwrap();
    assert_eq!(
        after(&draft, "wiki").spec.config["apiKey"],
        json!({"secretRef": "apiKey"})
    );
    assert_eq!(draft.secrets.len(), 1);
    assert_eq!(draft.secrets[0].value.as_str(), "hunter2");
    assert!(!documents::write(after(&draft, "wiki"), None).contains("hunter2"));

    let case = Case::new(&[after(&draft, "wiki"), after(&draft, "wiki-db")]);
    let changed = |config: Value| {
        change(
            &case.ground(),
            "wiki",
            &Change {
                config: Some(config.as_object().unwrap().clone()),
                ..Change::default()
            },
        )
        .unwrap()
    };
    let again = changed(json!({"apiKey": "hunter3"}));
    assert_eq!(
        after(&again, "wiki").spec.config["apiKey"],
        json!({"secretRef": "apiKey-2"})
    );
    // Nothing said of it: it stays.
    let kept = changed(json!({"title": "Hi"}));
    assert_eq!(
        after(&kept, "wiki").spec.config["apiKey"],
        json!({"secretRef": "apiKey"})
    );
    assert!(kept.secrets.is_empty());
    assert_eq!(kept.subject, "Change wiki in acme-dev: config");
    let removed = changed(json!({"apiKey": null}));
    assert!(!after(&removed, "wiki").spec.config.contains_key("apiKey"));
}

#[test]
fn names_of_secrets_count_up() {
    let mut case = Case::new(&[]);
    let names = |case: &Case, table: &[(&str, Option<&str>, &str)]| {
        for (pointer, previous, expected) in table {
            let (base, number) = secret_name(pointer, *previous);
            let name = case.ground().free_name("wiki", &base, number);
            assert_eq!(name, *expected, "{pointer} {previous:?}");
        }
    };
    names(
        &case,
        &[
            ("/apiKey", None, "apiKey"),
            ("/apiKey", Some("apiKey"), "apiKey-2"),
            ("/apiKey", Some("apiKey-9"), "apiKey-10"),
            ("/apiKey", Some("other"), "apiKey-2"),
            ("/apiKey", Some("apiKey-18446744073709551615"), "apiKey-2"),
            ("/smtp/pass word", None, "smtp-pass-word"),
            ("/connection", None, "config-connection"),
        ],
    );
    // What holds another value is left to whatever change brought that.
    for (application, name) in [
        ("wiki", "apiKey"),
        ("wiki", "apiKey-2"),
        ("blog", "apiKey-3"),
    ] {
        case.taken.insert((application.to_owned(), name.to_owned()));
    }
    names(
        &case,
        &[
            ("/apiKey", None, "apiKey-3"),
            ("/apiKey", Some("apiKey"), "apiKey-3"),
            ("/apiKey", Some("apiKey-3"), "apiKey-4"),
        ],
    );
}

#[test]
fn upgrades_follow_the_blueprints_rules() {
    let (wiki, db) = installed(json!({}));
    let case = Case::new(&[&wiki, &db]);
    let to = |version: &str| {
        change(
            &case.ground(),
            "wiki",
            &Change {
                version: Some(version.to_owned()),
                ..Change::default()
            },
        )
    };
    let draft = to("1.1.0").unwrap();
    assert_eq!(draft.planned[0].from_version.as_deref(), Some("1.0.0"));
    assert_eq!(
        after(&draft, "wiki").spec.dependencies["db"].application,
        "wiki-db"
    );
    let refused = to("3.0.0").err().unwrap().to_string();
    assert!(
        refused.contains("accepts upgrades from 2.x only"),
        "{refused}"
    );
}

/// A Blueprint whose settings move from version to version.
fn moving(source: &str) -> Vec<catalyst_plan::AdmittedBlueprint> {
    let config = |properties: &str| {
        format!(
            "  configSchema:\n    type: object\n    additionalProperties: false\n    properties:\n{properties}"
        )
    };
    let host = "      host: {type: string, x-catalyst-per-environment: true}\n      key: {type: string, x-catalyst-secret: true}\n      old: {type: boolean}\n";
    let database = "      database:\n        type: object\n        additionalProperties: false\n        properties:\n          host: {type: string, x-catalyst-per-environment: true}\n          key: {type: string, x-catalyst-secret: true}\n";
    let upgrades = "  upgrades:\n    from: [1.x]\n    values:\n      - {before: 2.0.0, move: /host, to: /database/host}\n      - {before: 2.0.0, move: /key, to: /database/key}\n      - {before: 2.0.0, remove: /old}\n";
    let third = upgrades.replace("from: [1.x]", "from: [2.x]");
    [
        ("1.0.0", config(host)),
        ("2.0.0", config(database) + upgrades),
        ("3.0.0", config(database) + &third),
    ]
    .into_iter()
    .map(|(version, rest)| admitted(source, &blueprint("bp-moving", version, &rest)))
    .collect()
}

fn moving_case(version: &str, config: Value) -> (Case, Application) {
    let mut case = Case::new(&[]);
    for version in moving("catalog") {
        case.catalogue.insert(version);
    }
    let request = Install {
        name: "moving".to_owned(),
        blueprint: "bp-moving".to_owned(),
        version: Some(version.to_owned()),
        config: config.as_object().unwrap().clone(),
        ..Install::default()
    };
    let draft = install(&case.ground(), &request).unwrap();
    let installed = after(&draft, "moving").clone();
    case.tree = tree(&[&installed]);
    (case, installed)
}

#[test]
fn an_upgrade_moves_settings_and_the_plan_says_so() {
    let (case, _) = moving_case("1.0.0", json!({"host": "a", "key": "hunter2", "old": true}));
    let upgrade = |config: Option<Value>| {
        let request = Change {
            version: Some("2.0.0".to_owned()),
            config: config.map(|config| config.as_object().unwrap().clone()),
            ..Change::default()
        };
        change(&case.ground(), "moving", &request).unwrap()
    };
    let draft = upgrade(None);
    // The secret stays the one it was.
    let expected = json!({"database": {"host": "a", "key": {"secretRef": "key"}}});
    assert_eq!(
        Value::Object(after(&draft, "moving").spec.config.clone()),
        expected
    );
    assert!(draft.secrets.is_empty());
    let moved: Vec<_> = draft.planned[0]
        .moved
        .iter()
        .map(|one| (one.from.as_str(), one.to.as_deref()))
        .collect();
    assert_eq!(
        moved,
        [
            ("/host", Some("/database/host")),
            ("/key", Some("/database/key")),
            ("/old", None)
        ]
    );
    assert_eq!(
        draft.warnings,
        [
            "the setting host of moving becomes database.host",
            "the setting key of moving becomes database.key",
            "the setting old of moving is dropped"
        ]
    );
    // What is changed with it is said in the words of the new version.
    let draft = upgrade(Some(json!({"database": {"host": "b"}})));
    assert_eq!(after(&draft, "moving").spec.config["database"]["host"], "b");
}

#[test]
fn a_downgrade_is_told_and_refused_where_the_version_says_so() {
    let (mut case, mut installed) = moving_case("1.0.0", json!({}));
    case.catalogue.insert(admitted(
        "catalog",
        &blueprint(
            "bp-moving",
            "1.1.0",
            "  upgrades: {blocks: [\">=2, <4\"]}\n",
        ),
    ));
    let then = installed.clone();
    "3.0.0".clone_into(&mut installed.spec.blueprint.version);
    case.tree = tree(&[&installed]);
    let to = |version: &str| {
        let request = Change {
            version: Some(version.to_owned()),
            ..Change::default()
        };
        change(&case.ground(), "moving", &request)
    };
    let told = [
        "this is a downgrade: moving goes from bp-moving 3.0.0 back to 1.0.0; its data is not rolled back, and what 3.0.0 has migrated forward may be unreadable to 1.0.0: make a backup first",
    ];
    assert_eq!(to("1.0.0").unwrap().warnings, told);
    let back = rollback(&case.ground(), "moving", &then, "0123456789abcdef");
    assert_eq!(back.unwrap().warnings, told);
    // From an earlier stage to one that is ahead.
    let (source, _) = moving_case("1.0.0", json!({}));
    let draft = promote(&case.ground(), "moving", &source.tree, "acme-stg").unwrap();
    assert_eq!(draft.warnings, told);
    // `from` of 2.0.0 is of what comes before it; `blocks` of 1.1.0 is of anything.
    assert_eq!(to("2.0.0").unwrap().warnings.len(), 1);
    let refused = to("1.1.0").err().unwrap().to_string();
    assert!(
        refused.contains("it refuses downgrades from >=2, <4"),
        "{refused}"
    );
    let mut blocked = then;
    "1.1.0".clone_into(&mut blocked.spec.blueprint.version);
    let refused = rollback(&case.ground(), "moving", &blocked, "0123456789abcdef");
    assert!(refused.is_err());
}

#[test]
fn a_setting_whose_new_place_is_taken_is_told_to_be_dropped() {
    let (mut case, mut installed) = moving_case("1.0.0", json!({"host": "a"}));
    let there = json!({"host": "b"});
    installed
        .spec
        .config
        .insert("database".to_owned(), there.clone());
    case.tree = tree(&[&installed]);
    let request = Change {
        version: Some("2.0.0".to_owned()),
        ..Change::default()
    };
    let draft = change(&case.ground(), "moving", &request).unwrap();
    assert_eq!(after(&draft, "moving").spec.config["database"], there);
    let moved: Vec<_> = draft.planned[0]
        .moved
        .iter()
        .map(|one| (one.from.as_str(), one.to.as_deref()))
        .collect();
    assert_eq!(moved, [("/host", None)]);
    assert_eq!(draft.warnings, ["the setting host of moving is dropped"]);
}

#[test]
fn a_promotion_keeps_what_is_the_destinations_at_its_new_place() {
    let (there, from) = moving_case("2.0.0", json!({"database": {"host": "there"}}));
    let (here, _) = moving_case("1.0.0", json!({"host": "here", "old": true}));
    let draft = promote(&here.ground(), "moving", &there.tree, "acme-dev").unwrap();
    let promoted = after(&draft, "moving");
    assert_eq!(promoted.spec.blueprint, from.spec.blueprint);
    assert_eq!(
        Value::Object(promoted.spec.config.clone()),
        json!({"database": {"host": "here"}})
    );
    assert_eq!(draft.planned[0].moved.len(), 2);
}

#[test]
fn an_upgrade_that_is_refused_says_by_which_versions_to_go() {
    let (case, installed) = moving_case("1.0.0", json!({}));
    let upgrade = |case: &Case, version: &str| {
        let request = Change {
            version: Some(version.to_owned()),
            ..Change::default()
        };
        change(&case.ground(), "moving", &request)
    };
    let problem = upgrade(&case, "3.0.0").err().unwrap().problem();
    assert_eq!(problem.status, 409, "{problem:?}");
    assert!(
        problem.detail.contains("accepts upgrades from 2.x only"),
        "{problem:?}"
    );
    let way = "upgrade to 2.0.0 first, then to 3.0.0";
    let next = problem.next.unwrap().to_lowercase();
    assert!(next.contains(way), "{next}");
    // A push is told the same, at its line.
    let mut pushed = installed.clone();
    pushed.spec.blueprint.version = "3.0.0".to_owned();
    let target = case.catalogue.get(&pushed.spec.blueprint).unwrap();
    assert_eq!(way_to(&case.catalogue, target, &Version::new(1, 0, 0)), way);
    // And it is so.
    let first = upgrade(&case, "2.0.0").unwrap();
    let mut case = case;
    case.tree = tree(&[after(&first, "moving")]);
    upgrade(&case, "3.0.0").unwrap();
    // Where nothing leads there, that is said.
    let target = case.catalogue.get(&pushed.spec.blueprint).unwrap();
    let nowhere = way_to(&case.catalogue, target, &Version::new(3, 1, 0));
    assert!(nowhere.contains("no version of bp-moving"), "{nowhere}");
}

#[test]
fn a_change_of_config_can_end_and_begin_a_dependency() {
    let (wiki, db) = installed(json!({}));
    let case = Case::new(&[&wiki, &db]);
    let embedded = |case: &Case, value: bool| {
        change(
            &case.ground(),
            "wiki",
            &Change {
                config: Some(json!({"embedded": value}).as_object().unwrap().clone()),
                ..Change::default()
            },
        )
        .unwrap()
    };
    let off = embedded(&case, false);
    assert!(after(&off, "wiki").spec.dependencies.is_empty());
    assert_eq!(off.changed.len(), 1);
    let case = Case::new(&[after(&off, "wiki")]);
    let on = embedded(&case, true);
    assert_eq!(
        after(&on, "wiki").spec.dependencies["db"].application,
        "wiki-db"
    );
    assert_eq!(on.planned[1].action, PlannedAction::Create);
}

#[test]
fn promotion_carries_version_and_config_and_keeps_what_is_the_destinations() {
    let (mut wiki, db) = installed(json!({"title": "Hi", "host": "dev.example"}));
    wiki.spec
        .config
        .insert("apiKey".to_owned(), json!({"secretRef": "apiKey"}));
    let source = tree(&[&wiki, &db]);
    let empty = Case::new(&[]);
    let draft = promote(&empty.ground(), "wiki", &source, "acme-stg").unwrap();
    assert_eq!(
        draft.subject,
        "Promote wiki 1.0.0 from acme-stg to acme-dev"
    );
    assert_eq!(draft.changed.len(), 2);
    let fresh = after(&draft, "wiki");
    assert_eq!(fresh.spec.config.get("host"), None);
    assert_eq!(fresh.spec.config["title"], json!("Hi"));
    let copy = |here: &str| {
        let [application, there, here] = ["wiki", "apiKey", here].map(str::to_owned);
        (application, there, here)
    };
    assert_eq!(draft.copies, [copy("apiKey")]);
    assert_eq!(fresh.spec.config["apiKey"], json!({"secretRef": "apiKey"}));
    // The destination's vault has another value by that name.
    let mut held = Case::new(&[]);
    held.taken.insert(("wiki".to_owned(), "apiKey".to_owned()));
    let beside = promote(&held.ground(), "wiki", &source, "acme-stg").unwrap();
    assert_eq!(beside.copies, [copy("apiKey-2")]);
    let config = &after(&beside, "wiki").spec.config;
    assert_eq!(config["apiKey"], json!({"secretRef": "apiKey-2"}));
    assert_eq!(draft.planned[0].name, "wiki");

    let (mut there, mut there_db) = installed(json!({"title": "Old", "host": "own.example"}));
    there
        .spec
        .config
        .insert("apiKey".to_owned(), json!({"secretRef": "own"}));
    there_db.spec.blueprint.version = "1.4.0".to_owned();
    let case = Case::new(&[&there, &there_db]);
    let draft = promote(&case.ground(), "wiki", &source, "acme-stg").unwrap();
    assert_eq!(
        draft.changed.len(),
        1,
        "the destination's database stays as it is"
    );
    let config = &after(&draft, "wiki").spec.config;
    assert_eq!(config["host"], json!("own.example"));
    assert_eq!(config["title"], json!("Hi"));
    assert_eq!(config["apiKey"], json!({"secretRef": "own"}));
    assert!(draft.copies.is_empty());
}

#[test]
fn nothing_is_deleted_from_under_another() {
    let (wiki, db) = installed(json!({}));
    let case = Case::new(&[&wiki, &db]);
    let refused = delete(&case.ground(), "wiki-db", DataChoice::Keep)
        .err()
        .unwrap();
    assert!(
        refused
            .to_string()
            .contains("one Application depends on it: wiki"),
        "{refused}"
    );
    let draft = delete(&case.ground(), "wiki", DataChoice::Drop).unwrap();
    assert_eq!(draft.planned[0].action, PlannedAction::Delete);
    let mut going = wiki.clone();
    going
        .spec
        .deletion
        .clone_from(&after(&draft, "wiki").spec.deletion);
    let case = Case::new(&[&going, &db]);
    assert!(delete(&case.ground(), "wiki-db", DataChoice::Drop).is_ok());
    let refused = change(&case.ground(), "wiki", &Change::default())
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("is being deleted"),
        "{refused}"
    );
    assert_eq!(
        refused.problem().detail,
        "The Application wiki is being deleted"
    );
}

#[test]
fn a_rollback_restores_the_spec_and_not_the_deletion() {
    let (wiki, db) = installed(json!({"title": "Old"}));
    let mut now = wiki.clone();
    now.spec.config.insert("title".to_owned(), json!("New"));
    now.spec.blueprint.version = "1.1.0".to_owned();
    now.spec.deletion = Some(DeletionRequest {
        data: DataDisposal::Keep,
    });
    let case = Case::new(&[&now, &db]);
    let draft = rollback(&case.ground(), "wiki", &wiki, "0123456789abcdef").unwrap();
    assert_eq!(draft.subject, "Roll back wiki in acme-dev to 0123456");
    assert_eq!(after(&draft, "wiki").spec, wiki.spec);
    assert_eq!(draft.warnings.len(), 1);
}
