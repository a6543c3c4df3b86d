//! What somebody may not know of answers, on every road of the write side, as if it
//! were not there.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::Install;

use super::{Ground, install};
use crate::catalogue::Catalogue;
use crate::documents;
use crate::state::Applications;
use crate::validate::application_faults;
use crate::validate::tests::{admitted, blueprint, place};

/// In an order in which nothing is the newest by chance.
const ADMITTED: [(&str, &str, &str, &str); 9] = [
    ("catalog", "bp-web", "1.0.0", "listed"),
    ("catalog", "bp-web", "1.1.0", "unlisted"),
    ("catalog", "bp-web", "1.2.0", "private"),
    ("catalog", "bp-quiet", "1.0.0", "unlisted"),
    ("catalog", "bp-quiet", "1.1.0", "unlisted"),
    ("acme", "bp-own", "1.0.0", "private"),
    ("globex", "bp-secret", "1.0.0", "private"),
    ("globex", "bp-shown", "1.0.0", "listed"),
    ("catalog", "bp-inner", "1.0.0", "private"),
];

/// Blueprints of acme that depend on one of another Organization's, and on none.
const REACHING: [(&str, &str, &str); 4] = [
    ("bp-reach", "globex", "bp-secret"),
    ("bp-miss", "globex", "bp-nothing"),
    ("bp-reach-in", "catalog", "bp-inner"),
    ("bp-miss-in", "catalog", "bp-nothing"),
];

fn catalogue(is_sovereign_admin: bool) -> Catalogue {
    let mut all = Catalogue::default();
    for (source, name, version, visibility) in ADMITTED {
        let rest = format!("  visibility: {visibility}\n");
        all.insert(admitted(source, &blueprint(name, version, &rest)));
    }
    for (name, source, other) in REACHING {
        let rest = format!(
            "  depends: [{{blueprint: {other}, source: {source}, version: ^1, alias: other}}]\n"
        );
        all.insert(admitted("acme", &blueprint(name, "1.0.0", &rest)));
    }
    all.narrowed("acme", is_sovereign_admin)
}

/// What an install into acme-dev answers: the version that it takes, or why not.
fn installed(
    is_sovereign_admin: bool,
    source: &str,
    name: &str,
    version: Option<&str>,
) -> Result<String, String> {
    let (catalogue, place) = (catalogue(is_sovereign_admin), place());
    let ground = Ground {
        action: "install it".to_owned(),
        place: &place,
        catalogue: &catalogue,
        tree: &Applications::default(),
        taken: &BTreeSet::new(),
    };
    let request = Install {
        name: "it".to_owned(),
        blueprint: name.to_owned(),
        source: Some(source.to_owned()),
        version: version.map(str::to_owned),
        ..Install::default()
    };
    match install(&ground, &request) {
        Ok(draft) => {
            let made = draft.changed["it"].as_ref().unwrap();
            Ok(made.spec.blueprint.version.clone())
        }
        Err(refused) => Err(refused.problem().detail),
    }
}

#[test]
fn what_is_not_listed_is_installed_by_its_name_alone() {
    for (admin, source, name, version, expected) in [
        // Of what is listed, only what is listed is meant.
        (false, "catalog", "bp-web", None, Some("1.0.0")),
        (true, "catalog", "bp-web", None, Some("1.0.0")),
        (false, "catalog", "bp-web", Some("1.1.0"), Some("1.1.0")),
        (false, "catalog", "bp-web", Some("1.2.0"), None),
        (true, "catalog", "bp-web", Some("1.2.0"), Some("1.2.0")),
        (false, "catalog", "bp-quiet", None, Some("1.1.0")),
        (false, "catalog", "bp-quiet", Some("1.0.0"), Some("1.0.0")),
        (false, "acme", "bp-own", None, Some("1.0.0")),
        (false, "globex", "bp-secret", None, None),
        (false, "globex", "bp-shown", Some("1.0.0"), None),
        // Not even a sovereign-admin brings one Organization's into another's.
        (true, "globex", "bp-secret", Some("1.0.0"), None),
    ] {
        let found = installed(admin, source, name, version);
        assert_eq!(
            found.as_deref().ok(),
            expected,
            "{name} {version:?} of {source}: {found:?}"
        );
    }
}

#[test]
fn a_plan_says_of_what_is_hidden_what_it_says_of_nothing() {
    for (hidden, nothing) in [
        // Source, Blueprint and version that are there, and that are not.
        (
            ("globex", "bp-secret", None),
            ("globex", "bp-nothing", None),
        ),
        (
            ("globex", "bp-secret", Some("1.0.0")),
            ("globex", "bp-nothing", Some("1.0.0")),
        ),
        (
            ("globex", "bp-secret", Some("1.0.0")),
            ("initech", "bp-secret", Some("1.0.0")),
        ),
        (
            ("catalog", "bp-inner", None),
            ("catalog", "bp-nothing", None),
        ),
        (
            ("catalog", "bp-inner", Some("1.0.0")),
            ("catalog", "bp-nothing", Some("1.0.0")),
        ),
        (
            ("catalog", "bp-web", Some("1.2.0")),
            ("catalog", "bp-web", Some("1.3.0")),
        ),
        // The solver's explanation, where a dependency leads there.
        (("acme", "bp-reach", None), ("acme", "bp-miss", None)),
        (("acme", "bp-reach-in", None), ("acme", "bp-miss-in", None)),
    ] {
        let answer = |(source, name, version): (&str, &str, Option<&str>)| {
            let told = installed(false, source, name, version).unwrap_err();
            plain(told)
        };
        assert_eq!(answer(hidden), answer(nothing));
    }
}

/// A reason without the names that were asked for, and so were known.
fn plain(mut told: String) -> String {
    for (name, general) in [
        ("bp-reach-in", "BLUEPRINT"),
        ("bp-reach", "BLUEPRINT"),
        ("bp-miss-in", "BLUEPRINT"),
        ("bp-miss", "BLUEPRINT"),
        ("bp-secret", "OTHER"),
        ("bp-inner", "OTHER"),
        ("bp-nothing", "OTHER"),
        ("initech", "globex"),
        ("1.2.0", "VERSION"),
        ("1.3.0", "VERSION"),
    ] {
        told = told.replace(name, general);
    }
    told
}

/// What a push of one Application is told, by line.
fn pushed(
    catalogue: &Catalogue,
    source: &str,
    name: &str,
    version: &str,
) -> BTreeMap<Option<u32>, String> {
    let text = format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Application\nmetadata: {{name: it, namespace: acme-dev}}\nspec:\n  blueprint: {{source: {source}, name: {name}, version: {version}}}\n"
    );
    let path = crate::state::application_path("it");
    let application = documents::parse(&path, &text, "Application").unwrap();
    let faults = application_faults("it", &text, &application, &place(), catalogue);
    let told = faults.into_iter();
    told.map(|fault| (fault.line, fault.message)).collect()
}

#[test]
fn a_push_is_told_of_no_source_that_it_may_not_use() {
    let catalogue = catalogue(false);
    let pushed = |name: &str| {
        let told = pushed(&catalogue, "catalog", name, "1.0.0").into_iter();
        told.map(|(line, message)| (line, plain(message)))
            .collect::<BTreeMap<_, _>>()
    };
    let nothing = pushed("bp-nothing");
    assert_eq!(nothing.len(), 1, "{nothing:?}");
    for hidden in ["bp-secret", "bp-inner"] {
        assert_eq!(pushed(hidden), nothing, "{hidden}");
    }
    // Of its own, it is told where they are.
    assert!(pushed("bp-own").values().any(|it| it.contains("in acme")));
}

#[test]
fn a_slip_is_not_answered_with_a_name_that_is_not_listed() {
    // The solver is asked of a root that the catalogue has, so it is asked straight.
    let catalogue = catalogue(false);
    for (slip, told) in [("bp-wob", true), ("bp-quite", false), ("bp-iner", false)] {
        let request = catalyst_blueprint::Request {
            source: "catalog".to_owned(),
            blueprint: slip.to_owned(),
            application: "it".to_owned(),
            ..catalyst_blueprint::Request::default()
        };
        let error = catalyst_blueprint::solve(&catalogue.catalog, &request).unwrap_err();
        let text = error.to_string();
        assert_eq!(text.contains("did you mean"), told, "{slip}: {text}");
    }
}

/// What the solver says of one version, and of a range of what depends on it.
fn solved(catalogue: &Catalogue, name: &str, version: &str) -> [String; 2] {
    let mut catalog = catalogue.catalog.clone();
    let depends =
        format!("  depends: [{{blueprint: {name}, version: \"={version}\", alias: it}}]\n");
    let dependent = blueprint("bp-dependent", "1.0.0", &depends);
    catalog.insert("catalog", admitted("catalog", &dependent).blueprint);
    [(name, version), ("bp-dependent", "1.0.0")].map(|(name, version)| {
        let request = catalyst_blueprint::Request {
            source: "catalog".to_owned(),
            blueprint: name.to_owned(),
            version: version.parse().unwrap(),
            application: "it".to_owned(),
            ..catalyst_blueprint::Request::default()
        };
        let error = catalyst_blueprint::solve(&catalog, &request).unwrap_err();
        error.to_string()
    })
}

#[test]
fn a_reason_names_of_what_there_is_only_what_is_listed() {
    let catalogue = catalogue(false);
    let one = |told: BTreeMap<Option<u32>, String>| {
        assert_eq!(told.len(), 1, "{told:?}");
        told.into_values().next().unwrap()
    };
    // What is listed is named, the later one that is not is not; where none is, none.
    for (name, words) in [
        (
            "bp-web",
            [
                "it has 1.0.0",
                "it has the versions 1.0.0",
                "lists only 1.0.0",
            ],
        ),
        (
            "bp-quiet",
            ["none of its versions is listed", "is listed", "lists none"],
        ),
    ] {
        let [asked, depended] = solved(&catalogue, name, "9.9.9");
        let pushed = one(pushed(&catalogue, "catalog", name, "9.9.9"));
        for (told, words) in [pushed, asked, depended].iter().zip(words) {
            assert!(told.contains(words), "{name}: {told}");
            assert!(!told.contains("1.1.0"), "{name}: {told}");
            let is_named = told.replace("bp-dependent 1.0.0", "").contains("1.0.0");
            assert_eq!(is_named, name == "bp-web", "{name}: {told}");
        }
    }
    // Nor is a source in which no version of it is listed.
    for (name, is_named) in [("bp-web", true), ("bp-quiet", false)] {
        let told = one(pushed(&catalogue, "acme", name, "1.0.0"));
        assert_eq!(
            told.contains("it is in catalog"),
            is_named,
            "{name}: {told}"
        );
        assert_eq!(told.contains("marketplace"), !is_named, "{name}: {told}");
    }
}
