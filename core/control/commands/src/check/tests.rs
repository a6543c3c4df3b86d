//! Pushes, as tables: what comes in, and the line that comes back.

use std::collections::BTreeMap;

use super::configuration::meaning_faults;
use super::environment::environment_faults;
use super::story::branch_faults;
use super::*;
use crate::push::{PushCommit, PushFile, PushRef};
use crate::state::{Applications, Configuration, application_path};
use crate::validate::tests::{catalogue, place};

fn file(path: &str, status: &str, content: Option<&str>) -> PushFile {
    PushFile {
        reference: main_reference(),
        path: path.to_owned(),
        status: status.to_owned(),
        mode: "100644".to_owned(),
        size: content.map_or(0, |text| text.len() as u64),
        encoding: content.map(|_| "utf-8".to_owned()),
        content: content.map(str::to_owned),
        truncated: false,
    }
}

fn push(files: Vec<PushFile>) -> PushCheck {
    PushCheck {
        repository: "acme/acme-dev".to_owned(),
        pusher: "ada".to_owned(),
        refs: vec![PushRef {
            name: main_reference(),
            old: "1".repeat(40),
            new: "2".repeat(40),
        }],
        forced: Vec::new(),
        commits: Vec::new(),
        commits_truncated: false,
        pull_request: None,
        files,
        files_truncated: false,
    }
}

const WIKI: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata:\n  name: wiki\n  namespace: acme-dev\nspec:\n  blueprint: {source: catalog, name: bp-wiki, version: 1.0.0}\n  config:\n    title: Hi\n  dependencies:\n    db: {application: wiki-db}\n";
const DB: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {name: wiki-db, namespace: acme-dev}\nspec:\n  blueprint: {source: catalog, name: bp-db, version: 1.4.0}\n";

fn base() -> Applications {
    let base = Applications::read(BTreeMap::from([
        (application_path("wiki"), WIKI.to_owned()),
        (application_path("wiki-db"), DB.to_owned()),
    ]));
    assert!(base.faults.is_empty());
    base
}

fn answer(files: Vec<PushFile>) -> Vec<String> {
    environment_faults(&base(), &push(files), &place(), &catalogue())
}

#[test]
fn a_good_push_passes() {
    let edited = WIKI.replace("title: Hi", "title: Yo");
    for files in [
        vec![file(
            "applications/wiki/application.yaml",
            "modified",
            Some(&edited),
        )],
        vec![file("README.md", "added", Some("# hello\n"))],
        vec![file("CODEOWNERS", "modified", Some("* @ada\n"))],
        vec![file("applications/wiki/README.md", "added", Some("x\n"))],
        // The folder goes with what depends on it: data is kept.
        vec![
            file("applications/wiki/application.yaml", "removed", None),
            file("applications/wiki-db/application.yaml", "removed", None),
        ],
        vec![file("applications/wiki/application.yaml", "removed", None)],
    ] {
        assert_eq!(answer(files.clone()), Vec::<String>::new(), "{files:?}");
    }
}

#[test]
fn a_bad_push_is_refused_with_file_line_and_reason() {
    let wiki = "applications/wiki/application.yaml";
    let edit =
        |from: &str, to: &str| vec![file(wiki, "modified", Some(&WIKI.replacen(from, to, 1)))];
    for (files, start, words) in [
        (
            edit("title: Hi", "titel: Hi"),
            "applications/wiki/application.yaml:9: ",
            "titel",
        ),
        (
            edit("title: Hi", "apiKey: hunter2"),
            "applications/wiki/application.yaml:9: ",
            "may not stand in Git",
        ),
        (
            edit("bp-wiki", "bp-none"),
            "applications/wiki/application.yaml:7: ",
            "no Blueprint bp-none",
        ),
        (
            edit("catalog", "globex"),
            "applications/wiki/application.yaml:7: ",
            "not for acme",
        ),
        (
            edit("version: 1.0.0", "version: 3.0.0"),
            "applications/wiki/application.yaml:7: ",
            "accepts upgrades from 2.x only; no version of bp-wiki that is listed leads from 1.0.0 to 3.0.0",
        ),
        (
            edit(
                "{source: catalog, name: bp-wiki, version: 1.0.0}",
                "{source: catalog, name: bp-db, version: 1.4.0}",
            ),
            wiki,
            "keeps its Blueprint",
        ),
        (
            edit("application: wiki-db", "application: nobody"),
            "applications/wiki/application.yaml:11: ",
            "not in this Environment",
        ),
        (edit("spec:", "spec: {"), wiki, "not YAML"),
        (
            edit("acme-dev", "globex-dev"),
            "applications/wiki/application.yaml:5: ",
            "namespace: acme-dev",
        ),
        (
            vec![file(
                "applications/wiki-db/application.yaml",
                "removed",
                None,
            )],
            "applications/wiki/application.yaml:11: ",
            "wiki-db is not in this Environment",
        ),
        (
            vec![file(
                "applications/role.yaml",
                "added",
                Some("kind: ClusterRoleBinding\n"),
            )],
            "applications/role.yaml: ",
            "only applications/<name>/application.yaml",
        ),
        (
            vec![file(
                "applications/wiki/kustomization.yaml",
                "added",
                Some("x\n"),
            )],
            "applications/wiki/kustomization.yaml: ",
            "only applications/<name>/application.yaml",
        ),
        (
            vec![PushFile {
                mode: "120000".to_owned(),
                ..file(wiki, "modified", Some("/etc/passwd"))
            }],
            wiki,
            "links and submodules",
        ),
        (
            vec![PushFile {
                truncated: true,
                content: None,
                ..file(wiki, "modified", None)
            }],
            wiki,
            "too large",
        ),
        (
            vec![file(".gitea/workflows/x.yaml", "added", Some("x"))],
            ".gitea/",
            "may not be in",
        ),
    ] {
        let messages = answer(files);
        assert!(
            messages
                .iter()
                .any(|line| line.starts_with(start) && line.contains(words)),
            "{start} {words}: {messages:?}"
        );
        assert!(
            messages.iter().all(|line| !line.contains("hunter2")),
            "{messages:?}"
        );
    }
}

#[test]
fn what_others_need_is_not_deleted_by_a_push() {
    let deleted = |text: &str| format!("{text}  deletion: {{data: drop}}\n");
    let modified = |name: &str, text: &str| file(&application_path(name), "modified", Some(text));
    let removed = |name: &str| file(&application_path(name), "removed", None);
    for (files, place) in [
        (vec![modified("wiki-db", &deleted(DB))], ":6"),
        (vec![removed("wiki-db")], ""),
    ] {
        let expected = format!(
            "applications/wiki-db/application.yaml{place}: wiki-db cannot be deleted while other Applications depend on it: wiki; delete those first, or let them depend on another Application"
        );
        let messages = answer(files);
        assert!(messages.contains(&expected), "{messages:#?}");
    }
    // With what needs it, or after.
    for files in [
        vec![
            modified("wiki", &deleted(WIKI)),
            modified("wiki-db", &deleted(DB)),
        ],
        vec![removed("wiki"), modified("wiki-db", &deleted(DB))],
        vec![modified("wiki", &deleted(WIKI))],
    ] {
        assert_eq!(answer(files.clone()), Vec::<String>::new(), "{files:?}");
    }
}

#[test]
fn the_main_branch_of_no_repository_can_be_removed() {
    for repository in [
        "acme/acme-dev",
        "acme/shared-blueprints",
        "system/catalyst-config",
        "system/runbooks",
        "catalog-sovereign/blueprints",
    ] {
        let moved = |name: &str, new: &str| PushRef {
            name: name.to_owned(),
            old: "1".repeat(40),
            new: new.repeat(40),
        };
        let main = main_reference();
        for (refs, is_refused) in [
            (vec![moved(&main, "0")], true),
            (
                vec![moved("refs/heads/ada/fix", "0"), moved(&main, "0")],
                true,
            ),
            (vec![moved("refs/heads/ada/fix", "0")], false),
            (vec![moved("refs/tags/main", "0")], false),
            (vec![moved(&main, "2")], false),
        ] {
            let push = PushCheck {
                repository: repository.to_owned(),
                refs,
                ..push(Vec::new())
            };
            let faults = story_faults(&push);
            assert_eq!(
                faults.iter().any(|line| line.contains("cannot be removed")),
                is_refused,
                "{push:?}: {faults:?}"
            );
            assert_eq!(faults.len(), usize::from(is_refused), "{faults:?}");
        }
    }
}

#[test]
fn a_branch_is_judged_without_its_surroundings_but_never_with_a_secret() {
    let mut lone = file(
        "applications/wiki/application.yaml",
        "modified",
        Some(&WIKI.replace("application: wiki-db", "application: later")),
    );
    lone.reference = "refs/heads/topic".to_owned();
    assert_eq!(answer(vec![lone.clone()]), Vec::<String>::new());
    lone.content = Some(WIKI.replace("title: Hi", "apiKey: hunter2"));
    assert_eq!(answer(vec![lone]).len(), 1);
}

const SOVEREIGN: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: localhost}\nspec:\n  domain: localhost\n  provider: lo\n  hostClusters:\n  - {name: lo-loc-rtz-dev, region: loc, buildingBlock: rtz, envType: dev}\n";
const ACME: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Organization\nmetadata: {name: acme}\nspec:\n  displayName: Acme\n  members:\n  - {user: ada, role: org-admin}\n";
const ACME_DEV: &str = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Environment\nmetadata: {name: acme-dev}\nspec:\n  organization: acme\n  envType: dev\n";

fn configuration() -> Configuration {
    let configuration = Configuration::read(BTreeMap::from([
        ("sovereign.yaml".to_owned(), SOVEREIGN.to_owned()),
        ("organizations/acme.yaml".to_owned(), ACME.to_owned()),
        ("environments/acme-dev.yaml".to_owned(), ACME_DEV.to_owned()),
    ]));
    assert!(
        configuration.faults.is_empty(),
        "{:?}",
        configuration.faults
    );
    assert_eq!(meaning_faults(&configuration), []);
    configuration
}

fn upgrade(requested_by: &str, organization: &str) -> String {
    format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: FleetUpgrade\nmetadata: {{name: wiki-1}}\nspec:\n  organization: {organization}\n  blueprint: {{source: catalog, name: bp-wiki, version: 2.0.0}}\n  requestedBy: {requested_by}\n  timeoutSeconds: 600\n  waves:\n  - {{stage: dev, applications: [{{environment: acme-dev, application: wiki, from: 1.0.0}}]}}\n"
    )
}

#[test]
fn anybodys_fleet_upgrade_may_be_cancelled_and_nothing_more() {
    let mut files = configuration().files;
    let theirs = upgrade("bob", "acme");
    files.insert("upgrades/wiki-1.yaml".to_owned(), theirs.clone());
    let base = Configuration::read(files);
    for (text, is_refused) in [
        (theirs.clone(), false),
        (format!("{theirs}  cancelled: true\n"), false),
        (format!("{theirs}  attempt: 1\n"), true),
        (theirs.replace("2.0.0", "3.0.0"), true),
        (
            theirs.replace("bob", "ada").replace("2.0.0", "3.0.0"),
            false,
        ),
    ] {
        let pushed = push(vec![file("upgrades/wiki-1.yaml", "modified", Some(&text))]);
        let messages = configuration_faults(&base, &pushed);
        assert_eq!(!messages.is_empty(), is_refused, "{text}: {messages:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_all_that_is_told() {
    let mut base = configuration().files;
    base.insert(
        "policies/careful.yaml".to_owned(),
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: EnvironmentPolicy\nmetadata: {name: careful}\nspec:\n  appliesTo: {environments: [acme-dev]}\n  rules:\n  - {kind: pr-required}\n".to_owned(),
    );
    let base = Configuration::read(base);
    assert_eq!(meaning_faults(&base), []);
    for (path, text) in [
        ("sovereign.yaml", SOVEREIGN),
        ("organizations/acme.yaml", ACME),
        ("environments/acme-dev.yaml", ACME_DEV),
    ] {
        let broken = format!("a: [\n{text}");
        let pushed = push(vec![file(path, "modified", Some(&broken))]);
        let messages = configuration_faults(&base, &pushed);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].starts_with(path), "{messages:?}");
    }
    // One that goes takes away what others name.
    let gone = push(vec![file("organizations/acme.yaml", "removed", None)]);
    let messages = configuration_faults(&base, &gone);
    let is_told = |message: &String| message.contains("there is no Organization acme");
    assert!(messages.iter().any(is_told), "{messages:?}");
}

#[test]
fn the_configuration_is_judged_by_form_and_meaning() {
    let policy = |rule: &str| {
        format!(
            "apiVersion: catalyst.openova.io/v1alpha1\nkind: EnvironmentPolicy\nmetadata: {{name: careful}}\nspec:\n  appliesTo: {{environments: [acme-dev]}}\n  rules:\n  - {rule}\n"
        )
    };
    for (path, status, text, words) in [
        (
            "organizations/acme.yaml",
            "modified",
            ACME.replace("Acme", "Acme Ltd"),
            "",
        ),
        (
            "policies/careful.yaml",
            "added",
            policy("{kind: pr-required}"),
            "",
        ),
        ("README.md", "modified", "x".to_owned(), ""),
        (
            "policies/careful.yaml",
            "added",
            policy("{kind: score-gate}"),
            "score-gate is not supported",
        ),
        (
            "policies/other.yaml",
            "added",
            policy("{kind: pr-required}"),
            "metadata.name is not other",
        ),
        (
            "organizations/acme.yaml",
            "removed",
            String::new(),
            "there is no Organization acme",
        ),
        (
            "organizations/acme.yaml",
            "modified",
            ACME.replace("org-admin", "king"),
            "organizations/acme.yaml:7: ",
        ),
        (
            "organizations/acme.yaml",
            "modified",
            ACME.replace("user: ada, ", ""),
            "either user or group",
        ),
        (
            "organizations/acme.yaml",
            "modified",
            ACME.replace("org-admin", "org-viewer"),
            "organizations/acme.yaml:6: it takes the last org-admin of acme; make somebody else",
        ),
        (
            "organizations/acme.yaml",
            "modified",
            ACME.replace("user: ada", "user: bob"),
            "",
        ),
        (
            "organizations/prod.yaml",
            "added",
            ACME.replace("name: acme", "name: prod"),
            "reserved",
        ),
        (
            "environments/acme-dev.yaml",
            "modified",
            ACME_DEV.replace("envType: dev", "envType: stg"),
            "acme-stg",
        ),
        (
            "environments/globex-dev.yaml",
            "added",
            ACME_DEV.replace("acme", "globex"),
            "there is no Organization globex",
        ),
        (
            "environments/acme-dev.yaml",
            "modified",
            format!("{ACME_DEV}  placement: {{hostClusters: [lo-loc-rtz-uat]}}\n"),
            "has no host cluster lo-loc-rtz-uat",
        ),
        (
            "sovereign.yaml",
            "modified",
            SOVEREIGN.replace("domain: localhost", "domain: example.org"),
            "domain of a Sovereign cannot change",
        ),
        (
            "sovereign.yaml",
            "removed",
            String::new(),
            "cannot be removed here",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!("{SOVEREIGN}  trustedSigners: [{{source: catalog, publicKey: nonsense}}]\n"),
            "P-256",
        ),
        ("upgrades/wiki-1.yaml", "added", upgrade("ada", "acme"), ""),
        (
            "upgrades/wiki-1.yaml",
            "added",
            upgrade("bob", "acme"),
            "in the name of who asks for it",
        ),
        (
            "upgrades/wiki-1.yaml",
            "added",
            upgrade("ada", "globex"),
            "acme-dev/wiki is not of globex",
        ),
        (
            "upgrades/other.yaml",
            "added",
            upgrade("ada", "acme"),
            "a file is called as its object",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!("{SOVEREIGN}  trustedSigners: [{{source: initech, publicKey: nonsense}}]\n"),
            "there is no source initech of Blueprints",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!("{SOVEREIGN}  trustedRoot: '{{}}'\n"),
            "could not read the trusted root",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!("{SOVEREIGN}  keylessSigners: [{{source: catalog, subject: a, issuer: b}}]\n"),
            "nothing to hold their certificates against",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!(
                "{SOVEREIGN}  keylessSigners: [{{source: catalog, subjectRegexp: '(', issuer: b}}]\n"
            ),
            "the expression for its subject cannot be used",
        ),
        (
            "sovereign.yaml",
            "modified",
            format!(
                "{SOVEREIGN}  keylessSigners: [{}]\n",
                "{source: catalog, subject: a, issuer: b}, ".repeat(65)
            ),
            "65 are named for catalog, and 64 at most are read",
        ),
        (
            "extra.yaml",
            "added",
            "kind: ClusterRoleBinding\n".to_owned(),
            "have a place here",
        ),
        (
            "policies/deep/x.yaml",
            "added",
            "kind: Secret\n".to_owned(),
            "have a place here",
        ),
    ] {
        let content = (status != "removed").then_some(text.as_str());
        let messages =
            configuration_faults(&configuration(), &push(vec![file(path, status, content)]));
        if words.is_empty() {
            assert_eq!(messages, Vec::<String>::new(), "{path} {text}");
        } else {
            assert!(
                messages.iter().any(|line| line.contains(words)),
                "{words}: {messages:?}"
            );
        }
    }
}

#[test]
fn a_branch_bears_the_name_of_who_pushes_to_it() {
    let push = |reference: &str, pull_request: Option<u64>| -> PushCheck {
        serde_json::from_value(serde_json::json!({
            "repository": "acme/acme-prod", "pusher": "bob", "pullRequest": pull_request,
            "refs": [{"ref": reference, "old": "0".repeat(40), "new": "1".repeat(40)}],
            "forced": [], "commits": [],
        }))
        .unwrap()
    };
    for (reference, pull_request, is_refused) in [
        ("refs/heads/main", None, false),
        ("refs/heads/bob/fix", None, false),
        ("refs/heads/alice/fix", None, true),
        ("refs/heads/catalyst/promote-guestbook-1a2b3c4d", None, true),
        ("refs/heads/bobby/fix", None, true),
        ("refs/heads/fix", None, true),
        ("refs/tags/v1", None, false),
        ("refs/heads/main", Some(3), false),
    ] {
        let faults = branch_faults(&push(reference, pull_request));
        assert_eq!(!faults.is_empty(), is_refused, "{reference}: {faults:?}");
    }
}

#[test]
fn a_story_only_goes_forward_and_is_told_by_who_tells_it() {
    let commit = |message: &str| PushCommit {
        id: "0123456789abcdef".to_owned(),
        author: "ada".to_owned(),
        message: message.to_owned(),
    };
    let main = main_reference();
    let other = "refs/heads/ada/fix".to_owned();
    for (forced, messages, pull_request, words) in [
        (vec![], vec!["Say hello"], None, None),
        (vec![other.clone()], vec!["Say hello"], None, None),
        (
            vec![other, main.clone()],
            vec![],
            None,
            Some("only goes forward"),
        ),
        (vec![main], vec![], Some(3), Some("only goes forward")),
        (
            vec![],
            vec!["Fine", "Change it\n\nCatalyst-Command: change"],
            None,
            Some("commit 0123456789: its message"),
        ),
        (
            vec![],
            vec!["Change it\n\n catalyst-plan: x"],
            None,
            Some("Catalyst-"),
        ),
        (
            vec![],
            vec!["Change it\n\nCatalyst-Command: change"],
            Some(3),
            None,
        ),
        (
            vec![],
            vec!["Catalyst-minded: a subject", "Tell\n\nof catalyst-things"],
            None,
            None,
        ),
    ] {
        let push = PushCheck {
            forced,
            commits: messages.into_iter().map(commit).collect(),
            pull_request,
            ..push(Vec::new())
        };
        let faults = story_faults(&push);
        match words {
            None => assert_eq!(faults, Vec::<String>::new()),
            Some(words) => assert!(
                faults.len() == 1 && faults[0].contains(words),
                "{words}: {faults:?}"
            ),
        }
    }
}
