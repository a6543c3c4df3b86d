//! Decisions on fleet upgrades, files in and files out.

use catalyst_resources::UpgradeWave;

use super::*;
use crate::Actor;

const ORGANIZATIONS: [(&str, &str); 2] = [("acme", "ada"), ("globex", "olga")];

fn configuration(upgrades: &[(&str, FleetUpgradeSpec)]) -> Configuration {
    let mut files = BTreeMap::new();
    for (name, admin) in ORGANIZATIONS {
        let text = format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Organization\nmetadata: {{name: {name}}}\nspec:\n  displayName: {name}\n  members: [{{user: {admin}, role: org-admin}}, {{user: vic, role: org-viewer}}]\n"
        );
        files.insert(format!("organizations/{name}.yaml"), text);
    }
    for (name, spec) in upgrades {
        let object: FleetUpgrade = object("FleetUpgrade", name, spec.clone());
        files.insert(path_of(name), documents::write(&object, None));
    }
    let found = Configuration::read(files);
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found
}

fn spec(organization: Option<&str>, version: &str) -> FleetUpgradeSpec {
    FleetUpgradeSpec {
        organization: organization.map(str::to_owned),
        blueprint: BlueprintReference {
            source: "catalog".to_owned(),
            name: "bp-wiki".to_owned(),
            version: version.to_owned(),
        },
        requested_by: "ada".to_owned(),
        timeout_seconds: 600,
        waves: vec![UpgradeWave {
            stage: "dev".to_owned(),
            applications: vec![UpgradeMember {
                environment: "acme-dev".to_owned(),
                application: "wiki".to_owned(),
                from: "1.0.0".to_owned(),
            }],
        }],
        attempt: 0,
        cancelled: false,
    }
}

fn access(configuration: &Configuration, user: &str) -> Access {
    let actor = Actor {
        username: user.to_owned(),
        sovereign_admin: user == "sol",
        ..Actor::default()
    };
    Access::of(&actor, configuration.organizations.values())
}

fn tree() -> Applications {
    let application = |name: &str, blueprint: &str, version: &str, rest: &str| {
        let text = format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}, namespace: acme-dev}}\nspec:\n  blueprint: {{source: catalog, name: {blueprint}, version: {version}}}\n{rest}"
        );
        (application_path(name), text)
    };
    Applications::read(BTreeMap::from([
        application("going", "bp-wiki", "1.0.0", "  deletion: {data: keep}\n"),
        application("newer", "bp-wiki", "2.1.0", ""),
        application("old", "bp-wiki", "1.0.0", ""),
        application("other", "bp-blog", "1.0.0", ""),
        application("paused", "bp-wiki", "1.5.0", "  paused: true\n"),
        application("there", "bp-wiki", "2.0.0", ""),
        (application_path("torn"), "kind: [".to_owned()),
    ]))
}

#[test]
fn what_has_an_older_version_is_upgraded_and_nothing_else() {
    let (tree, to) = (tree(), spec(None, "2.0.0").blueprint);
    let found = candidates("acme-dev", "dev", &tree, &to);
    let told: Vec<(&str, &str, bool)> = found
        .iter()
        .map(|it| {
            let member = &it.member;
            (
                member.application.as_str(),
                member.from.as_str(),
                it.blocked.is_some(),
            )
        })
        .collect();
    assert_eq!(told, [("old", "1.0.0", false), ("paused", "1.5.0", true)]);

    for (name, expected) in [
        ("old", Ok("behind")),
        ("there", Ok("there")),
        ("torn", Ok("behind")),
        ("newer", Err("version 2.1.0 already")),
        ("going", Err("being deleted")),
        ("other", Err("bp-blog of catalog")),
        ("never", Err("no such Application")),
    ] {
        match (standing(&tree, name, &to), expected) {
            (Standing::Behind, Ok("behind")) | (Standing::There, Ok("there")) => {}
            (Standing::Left(why), Err(words)) => assert!(why.contains(words), "{name}: {why}"),
            (found, _) => panic!("{name} is {found:?}"),
        }
    }
}

#[test]
fn only_applications_that_somebody_administers_are_meant() {
    let configuration = configuration(&[]);
    for (user, asked, expected) in [
        ("sol", None, Ok(None)),
        ("sol", Some("globex"), Ok(Some("globex"))),
        ("sol", Some("initech"), Err("no Organization initech")),
        ("ada", None, Ok(Some("acme"))),
        ("ada", Some("acme"), Ok(Some("acme"))),
        // As if it were not there.
        (
            "ada",
            Some("globex"),
            Err("no Organization globex that you belong to"),
        ),
        ("vic", None, Err("takes a sovereign-admin")),
        ("vic", Some("acme"), Err("takes an org-admin of acme")),
        ("eve", None, Err("takes a sovereign-admin")),
    ] {
        let access = access(&configuration, user);
        let found = scope(&access, &configuration, asked, "upgrade");
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{user} {asked:?}"),
            (Err(error), Err(words)) => {
                assert!(error.told().contains(words), "{user} {asked:?}: {error}");
            }
            (found, _) => panic!("{user} {asked:?}: {found:?}"),
        }
    }
}

#[test]
fn stages_are_those_of_the_sovereign_each_once() {
    for (asked, expected) in [
        (&[][..], Ok("poc dev uat stg prod")),
        (&["prod", "dev"][..], Ok("prod dev")),
        (&["dev", "dev"][..], Err("named twice")),
        (&["staging"][..], Err("prod, stg, uat, dev, poc")),
    ] {
        let asked: Vec<String> = asked.iter().map(|it: &&str| (*it).to_owned()).collect();
        match (stages(&asked, "upgrade"), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.join(" "), expected),
            (Err(error), Err(words)) => assert!(error.told().contains(words), "{error}"),
            (found, _) => panic!("{asked:?}: {found:?}"),
        }
    }
    assert_eq!(bounded("batch", Some(3), 5, "upgrade").unwrap(), Some(3));
    for wrong in [0, 6] {
        let error = bounded("batch", Some(wrong), 5, "upgrade").unwrap_err();
        assert!(error.told().contains("1 to 5"), "{error}");
    }
}

#[test]
fn one_fleet_upgrade_of_a_blueprint_goes_on_at_a_time() {
    let old = spec(Some("acme"), "1.5.0");
    let nobody = BTreeSet::new();
    let over = BTreeSet::from(["old".to_owned()]);
    let cancelled = FleetUpgradeSpec {
        cancelled: true,
        ..old.clone()
    };
    let all = spec(None, "1.5.0");
    let elsewhere = spec(Some("globex"), "1.5.0");
    // What stands there, which of it is over, and what becomes of its file.
    for (there, over, expected) in [
        (&old, &nobody, None),
        (&old, &over, Some("removed")),
        (&cancelled, &nobody, Some("removed")),
        (&all, &nobody, None),
        (&all, &over, Some("left")),
        (&elsewhere, &nobody, Some("left")),
    ] {
        let configuration = configuration(&[("old", there.clone())]);
        let access = access(&configuration, "ada");
        let wanted = spec(Some("acme"), "2.0.0");
        let made = declare(&configuration, &access, "new", &wanted, over, "upgrade");
        match (made, expected) {
            // Who does not see it learns no more than that it is there.
            (Err(error), None) if there.organization.is_none() => {
                let problem = error.problem();
                let told = format!("{} {}", problem.detail, problem.next.unwrap_or_default());
                assert!(
                    told.contains("ask a sovereign-admin to cancel it"),
                    "{told}"
                );
                assert!(!told.contains("old") && !told.contains("1.5.0"), "{told}");
            }
            (Err(error), None) => assert!(error.told().contains("not over: old"), "{error}"),
            (Ok(edit), Some(becomes)) => {
                assert_eq!(edit.subject, "Upgrade every bp-wiki of acme to 2.0.0");
                assert!(edit.files["upgrades/new.yaml"].is_some());
                let is_removed = edit.files.get("upgrades/old.yaml") == Some(&None);
                assert_eq!(is_removed, becomes == "removed", "{there:?}");
            }
            (made, _) => panic!("{there:?}: {:?}", made.map(|edit| edit.files)),
        }
    }
}

#[test]
fn rights_count_when_it_is_declared() {
    let configuration = configuration(&[]);
    let wanted = spec(Some("acme"), "2.0.0");
    for (user, is_declared) in [
        ("ada", true),
        ("sol", true),
        ("vic", false),
        ("olga", false),
    ] {
        let access = access(&configuration, user);
        let over = BTreeSet::new();
        let made = declare(&configuration, &access, "new", &wanted, &over, "upgrade");
        assert_eq!(made.is_ok(), is_declared, "{user}");
    }
}

#[test]
fn who_administers_its_applications_steers_it() {
    let configuration = configuration(&[
        ("own", spec(Some("acme"), "2.0.0")),
        ("all", spec(None, "2.0.0")),
    ]);
    for (user, name, expected) in [
        ("ada", "own", None),
        ("sol", "own", None),
        ("sol", "all", None),
        ("vic", "own", Some("takes an org-admin of acme")),
        ("olga", "own", Some("no fleet upgrade own")),
        ("ada", "all", Some("no fleet upgrade all")),
        ("sol", "none", Some("no fleet upgrade none")),
    ] {
        let access = access(&configuration, user);
        let edits = [
            cancel(&configuration, &access, name, "steer"),
            resume(&configuration, &access, name, user, Some(0), "steer"),
        ];
        for edit in edits {
            match (edit, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(words)) => {
                    assert!(error.told().contains(words), "{user} {name}: {error}");
                }
                (edit, _) => panic!("{user} {name}: {}", edit.is_ok()),
            }
        }
    }
}

#[test]
fn it_goes_on_after_a_stop_in_the_name_of_who_says_so() {
    let read = |edit: Edit| -> FleetUpgradeSpec {
        let files = edit.files.into_iter();
        let files = files.map(|(path, text)| (path, text.unwrap())).collect();
        Configuration::read(files).upgrades["own"].spec.clone()
    };
    let there = configuration(&[("own", spec(Some("acme"), "2.0.0"))]);
    let sol = access(&there, "sol");
    let after = read(resume(&there, &sol, "own", "sol", Some(0), "resume").unwrap());
    assert_eq!((after.attempt, after.requested_by.as_str()), (1, "sol"));
    for attempt in [None, Some(7)] {
        let refused = resume(&there, &sol, "own", "sol", attempt, "resume");
        assert!(refused.is_err_and(|error| error.told().contains("has not stopped")));
    }
    let cancelled = read(cancel(&there, &sol, "own", "cancel").unwrap());
    assert!(cancelled.cancelled && cancelled.requested_by == "ada");
    let there = configuration(&[("own", cancelled)]);
    let refused = resume(&there, &sol, "own", "sol", Some(0), "resume");
    assert!(refused.is_err_and(|error| error.told().contains("was cancelled")));
}

#[test]
fn a_fleet_upgrade_that_makes_no_sense_is_told_so() {
    assert_eq!(problems(&spec(Some("acme"), "2.0.0")), Vec::<String>::new());
    let mut twice = spec(Some("globex"), "two");
    twice.waves.push(twice.waves[0].clone());
    let told = problems(&twice).join("; ");
    for words in [
        "no version: two",
        "acme-dev/wiki is not of globex",
        "acme-dev/wiki is in it twice",
    ] {
        assert!(told.contains(words), "{told}");
    }
}
