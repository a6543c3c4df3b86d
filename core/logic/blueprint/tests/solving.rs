//! Dependency solving, read as sentences.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use catalyst_blueprint::{
    Blueprint, Catalog, Choice, Existing, Request, SolveError, Visibility, solve,
};
use serde_json::json;

/// A Blueprint in a few words: name, version, and the lines under `depends`.
fn blueprint(name: &str, version: &str, depends: &[&str]) -> Blueprint {
    let depends: String = depends
        .iter()
        .map(|line| format!("    - {line}\n"))
        .collect();
    let list = if depends.is_empty() {
        String::new()
    } else {
        format!("  depends:\n{depends}")
    };
    Blueprint::parse(&format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: {name}}}\nspec:\n  version: {version}\n  card: {{title: T, license: Apache-2.0}}\n  configSchema:\n    type: object\n    properties:\n      mode: {{type: string, default: embedded}}\n      databases: {{type: array, items: {{type: string}}}}\n{list}  manifests: {{source: {{kind: HelmChart}}}}\n"
    ))
    .unwrap()
}

fn catalog(blueprints: &[(&str, Blueprint)]) -> Catalog {
    let mut catalog = Catalog::new();
    for (source, blueprint) in blueprints {
        catalog.insert(*source, blueprint.clone());
    }
    catalog
}

fn request(name: &str, version: &str) -> Request {
    Request {
        source: "catalog".into(),
        blueprint: name.into(),
        version: version.parse().unwrap(),
        application: "blog".into(),
        ..Request::default()
    }
}

fn names(catalog: &Catalog, request: &Request) -> Vec<String> {
    solve(catalog, request)
        .unwrap()
        .applications
        .iter()
        .map(|a| format!("{} = {} {}", a.name, a.blueprint, a.version))
        .collect()
}

fn shop() -> Catalog {
    catalog(&[
        (
            "catalog",
            blueprint(
                "bp-blog",
                "1.0.0",
                &[
                    "{blueprint: bp-postgres, version: ^1.4, alias: db, when: \"config.mode == 'embedded'\", values: {databases: [\"${application.name}\"]}}",
                ],
            ),
        ),
        ("catalog", blueprint("bp-postgres", "1.4.0", &[])),
        ("catalog", blueprint("bp-postgres", "1.9.2", &[])),
        ("catalog", blueprint("bp-postgres", "1.10.0", &[])),
        ("catalog", blueprint("bp-postgres", "2.0.0", &[])),
        ("acme", blueprint("bp-postgres", "1.99.0", &[])),
    ])
}

#[test]
fn the_newest_fitting_version_of_the_own_source_comes_first_and_gets_its_values() {
    let solution = solve(&shop(), &request("bp-blog", "1.0.0")).unwrap();
    let [database, blog] = solution.applications.as_slice() else {
        panic!("two Applications")
    };
    assert_eq!(
        (
            database.name.as_str(),
            database.version.to_string().as_str(),
            database.source.as_str()
        ),
        ("blog-db", "1.10.0", "catalog")
    );
    assert_eq!(database.config, json!({"databases": ["blog"]}));
    assert_eq!(blog.dependencies["db"].application, "blog-db");
    assert!(!blog.dependencies["db"].existing);
    assert_eq!(
        solution,
        solve(&shop(), &request("bp-blog", "1.0.0")).unwrap()
    );
}

#[test]
fn a_condition_that_is_false_needs_nothing() {
    let mut request = request("bp-blog", "1.0.0");
    request.config = json!({"mode": "none"});
    assert_eq!(names(&shop(), &request), ["blog = bp-blog 1.0.0"]);
}

#[test]
fn an_existing_application_serves_when_it_fits_and_is_refused_when_not() {
    let mut request = request("bp-blog", "1.0.0");
    let existing = |version: &str, source: &str| Existing {
        application: "shared".into(),
        source: source.into(),
        blueprint: "bp-postgres".into(),
        version: version.parse().unwrap(),
    };
    request.choices = BTreeMap::from([("db".into(), Choice::Existing("shared".into()))]);
    request.existing = vec![existing("1.4.0", "catalog")];
    let solution = solve(&shop(), &request).unwrap();
    assert_eq!(solution.applications.len(), 1);
    assert!(solution.root().unwrap().dependencies["db"].existing);
    for (changed, expected) in [
        (
            vec![existing("2.0.0", "catalog")],
            "cannot install bp-blog 1.0.0: bp-blog 1.0.0 needs bp-postgres ^1.4, but the chosen Application `shared` runs bp-postgres 2.0.0; upgrade it first, or choose a new one",
        ),
        (
            vec![existing("1.4.0", "acme")],
            "cannot install bp-blog 1.0.0: bp-blog 1.0.0 needs bp-postgres ^1.4 from catalog, but the chosen Application `shared` is bp-postgres 1.4.0 from acme; choose another or a new one",
        ),
        (
            vec![],
            "cannot install bp-blog 1.0.0: bp-blog 1.0.0 needs bp-postgres ^1.4, and the Application `shared` was chosen for it, but there is none of that name in the Environment; choose another or a new one",
        ),
    ] {
        request.existing = changed;
        assert_eq!(solve(&shop(), &request).unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_older_version_is_taken_when_the_newest_cannot_be_met() {
    let catalog = catalog(&[
        (
            "catalog",
            blueprint("bp-a", "1.0.0", &["{blueprint: bp-b, version: ^1}"]),
        ),
        (
            "catalog",
            blueprint("bp-b", "1.2.0", &["{blueprint: bp-c, version: ^3}"]),
        ),
        (
            "catalog",
            blueprint("bp-b", "1.1.0", &["{blueprint: bp-c, version: ^2}"]),
        ),
        ("catalog", blueprint("bp-c", "2.5.0", &[])),
    ]);
    assert_eq!(
        names(&catalog, &request("bp-a", "1.0.0")),
        [
            "blog-b-c = bp-c 2.5.0",
            "blog-b = bp-b 1.1.0",
            "blog = bp-a 1.0.0"
        ]
    );
}

#[test]
fn what_is_not_listed_is_taken_only_where_nothing_else_will_do() {
    let needs = "{blueprint: bp-db, version: ^1}";
    let unmet = "{blueprint: bp-missing, version: ^1}";
    for (versions, expected) in [
        // Put there to be tried: nobody gets it by a range.
        (
            vec![("1.4.0", true, None), ("1.5.0", false, None)],
            "blog-db = bp-db 1.4.0",
        ),
        // By its own name, where it is all there is.
        (
            vec![("1.4.0", false, None), ("1.5.0", false, None)],
            "blog-db = bp-db 1.5.0",
        ),
        (
            vec![("1.4.0", false, None), ("2.0.0", true, None)],
            "blog-db = bp-db 1.4.0",
        ),
        (
            vec![("1.4.0", true, Some(unmet)), ("1.3.0", false, None)],
            "blog-db = bp-db 1.3.0",
        ),
    ] {
        let mut catalog = catalog(&[("catalog", blueprint("bp-a", "1.0.0", &[needs]))]);
        for (version, is_listed, needed) in &versions {
            let depends: Vec<&str> = needed.iter().copied().collect();
            let mut made = blueprint("bp-db", version, &depends);
            if !is_listed {
                made.spec.visibility = Visibility::Unlisted;
            }
            catalog.insert("catalog", made);
        }
        assert_eq!(
            names(&catalog, &request("bp-a", "1.0.0")),
            [expected, "blog = bp-a 1.0.0"],
            "{versions:?}"
        );
    }
}

#[test]
fn a_source_that_is_named_is_not_advised_to_be_named() {
    for (source, advice) in [
        ("", "publish it there, or name its source in the dependency"),
        (
            "source: acme, ",
            "publish it there, or correct the source that the dependency names",
        ),
    ] {
        let needs = format!("{{blueprint: bp-missing, {source}version: ^1}}");
        let catalog = catalog(&[("catalog", blueprint("bp-a", "1.0.0", &[needs.as_str()]))]);
        let error = solve(&catalog, &request("bp-a", "1.0.0")).unwrap_err();
        assert!(error.to_string().ends_with(advice), "{error}");
    }
}

#[test]
fn a_conflict_is_told_as_a_chain() {
    let catalog = catalog(&[
        (
            "catalog",
            blueprint("bp-a", "1.0.0", &["{blueprint: bp-b, version: ^1}"]),
        ),
        (
            "catalog",
            blueprint("bp-b", "1.2.0", &["{blueprint: bp-c, version: ^3}"]),
        ),
        (
            "catalog",
            blueprint("bp-b", "1.1.0", &["{blueprint: bp-missing, version: ^1}"]),
        ),
        ("catalog", blueprint("bp-c", "2.5.0", &[])),
    ]);
    assert_eq!(
        solve(&catalog, &request("bp-a", "1.0.0"))
            .unwrap_err()
            .to_string(),
        "cannot install bp-a 1.0.0: bp-a 1.0.0 needs bp-b ^1; bp-b 1.2.0 will not do, because bp-b 1.2.0 needs bp-c ^3, but catalog lists only 2.5.0; publish a version in that range; bp-b 1.1.0 will not do, because bp-b 1.1.0 needs bp-missing ^1, but the source catalog has no Blueprint of that name; publish it there, or name its source in the dependency"
    );
}

#[test]
fn a_cycle_is_told_as_a_chain() {
    let catalog = catalog(&[
        (
            "catalog",
            blueprint("bp-a", "1.0.0", &["{blueprint: bp-b, version: ^1}"]),
        ),
        (
            "catalog",
            blueprint("bp-b", "1.0.0", &["{blueprint: bp-c, version: ^1}"]),
        ),
        (
            "catalog",
            blueprint("bp-c", "1.0.0", &["{blueprint: bp-a, version: ^1}"]),
        ),
    ]);
    let error = solve(&catalog, &request("bp-a", "1.0.0")).unwrap_err();
    assert!(matches!(error, SolveError::Cycle { .. }));
    assert_eq!(
        error.to_string(),
        "cannot install bp-a 1.0.0: its dependencies form a cycle: bp-a 1.0.0 → bp-b 1.0.0 → bp-c 1.0.0 → bp-a; one of these Blueprints must drop its dependency"
    );
}

#[test]
fn a_dependency_of_another_source_is_found_only_when_named() {
    let unnamed = catalog(&[
        (
            "acme",
            blueprint(
                "bp-own",
                "1.0.0",
                &["{blueprint: bp-postgres, version: ^1}"],
            ),
        ),
        ("catalog", blueprint("bp-postgres", "1.4.0", &[])),
    ]);
    let mut request = request("bp-own", "1.0.0");
    request.source = "acme".into();
    assert!(matches!(
        solve(&unnamed, &request),
        Err(SolveError::Conflict { .. })
    ));
    let named = catalog(&[
        (
            "acme",
            blueprint(
                "bp-own",
                "1.0.0",
                &["{blueprint: bp-postgres, source: catalog, version: ^1}"],
            ),
        ),
        ("catalog", blueprint("bp-postgres", "1.4.0", &[])),
    ]);
    assert_eq!(
        names(&named, &request),
        ["blog-postgres = bp-postgres 1.4.0", "blog = bp-own 1.0.0"]
    );
}

#[test]
fn names_are_checked_before_anything_is_made() {
    let mut taken = request("bp-blog", "1.0.0");
    taken.existing = vec![Existing {
        application: "blog-db".into(),
        source: "catalog".into(),
        blueprint: "bp-postgres".into(),
        version: "1.4.0".parse().unwrap(),
    }];
    let refused = solve(&shop(), &taken).unwrap_err().to_string();
    assert!(
        refused.contains("choose it as the existing one"),
        "{refused}"
    );
    taken.choices = BTreeMap::from([("db".into(), Choice::New("blog-data".into()))]);
    assert_eq!(
        names(&shop(), &taken),
        ["blog-data = bp-postgres 1.10.0", "blog = bp-blog 1.0.0"]
    );
    taken.choices = BTreeMap::from([("dbb".into(), Choice::New("x".into()))]);
    taken.existing.clear();
    let refused = solve(&shop(), &taken).unwrap_err().to_string();
    assert!(refused.contains("`dbb`"), "{refused}");
    let mut long = request("bp-blog", "1.0.0");
    long.application = "a".repeat(39);
    let refused = solve(&shop(), &long).unwrap_err().to_string();
    assert!(refused.contains("longer than 40"), "{refused}");
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    assert_eq!(
        solve(&shop(), &request("bp-blgo", "1.0.0"))
            .unwrap_err()
            .to_string(),
        "cannot install bp-blgo 1.0.0 from catalog: there is no such Blueprint; did you mean bp-blog?"
    );
    assert_eq!(
        solve(&shop(), &request("bp-postgres", "1.5.0"))
            .unwrap_err()
            .to_string(),
        "cannot install bp-postgres 1.5.0 from catalog: it has the versions 2.0.0, 1.10.0, 1.9.2, 1.4.0; choose one of them"
    );
}

/// Levels of Blueprints with twelve versions each, of which every one says the same of
/// what it needs.
fn levels(count: usize, needed: impl Fn(usize) -> Vec<String>) -> Vec<(&'static str, Blueprint)> {
    let mut blueprints = Vec::new();
    for level in 0..count {
        let needed = needed(level);
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        for version in 0..12 {
            let (name, version) = (format!("bp-l{level}"), format!("1.{version}.0"));
            blueprints.push(("catalog", blueprint(&name, &version, &needed)));
        }
    }
    blueprints
}

fn the_next(level: usize) -> Vec<String> {
    vec![format!(
        "{{blueprint: bp-l{}, version: ^1, alias: next}}",
        level + 1
    )]
}

#[test]
fn many_bad_versions_are_searched_once_and_told_together() {
    let catalog = catalog(&levels(5, the_next));
    let error = solve(&catalog, &request("bp-l0", "1.0.0")).unwrap_err();
    let all = |level: usize| {
        format!("bp-l{level} 1.11.0, 1.10.0, 1.9.0 and 9 more will not do, because ")
    };
    let below: Vec<String> = (0..5).map(|level| (1..=level).map(all).collect()).collect();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot install bp-l0 1.0.0: bp-l0 1.0.0 needs bp-l1 ^1; {}each needs bp-l2 ^1; {}each needs bp-l3 ^1; {}each needs bp-l4 ^1; {}each needs bp-l5 ^1, but the source catalog has no Blueprint of that name; publish it there, or name its source in the dependency",
            below[1], below[2], below[3], below[4]
        )
    );
}

#[test]
fn an_answer_behind_many_dead_ends_is_found() {
    let mut blueprints = levels(5, the_next);
    // Older than all others, and in need of nothing.
    blueprints.push(("catalog", blueprint("bp-l1", "1.0.0-rc.1", &[])));
    blueprints.push((
        "catalog",
        blueprint(
            "bp-a",
            "1.0.0",
            &["{blueprint: bp-l1, version: \">=1.0.0-rc.1\", alias: it}"],
        ),
    ));
    assert_eq!(
        names(&catalog(&blueprints), &request("bp-a", "1.0.0")),
        ["blog-it = bp-l1 1.0.0-rc.1", "blog = bp-a 1.0.0"]
    );
}

#[test]
fn what_was_found_for_one_version_serves_the_next() {
    // Thirty-one Applications, found before the other dependency fails.
    let pair = |level: usize| {
        let next = |alias: &str| {
            format!(
                "{{blueprint: bp-p{}, version: ^1, alias: {alias}}}",
                level + 1
            )
        };
        if level == 4 {
            Vec::new()
        } else {
            vec![next("a"), next("b")]
        }
    };
    let mut blueprints = Vec::new();
    for level in 0..5 {
        let needed = pair(level);
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        blueprints.push((
            "catalog",
            blueprint(&format!("bp-p{level}"), "1.0.0", &needed),
        ));
    }
    let large = "{blueprint: bp-p0, version: ^1, alias: p}";
    for version in 0..60 {
        let missing = "{blueprint: bp-missing, version: ^1}";
        let mut needed = vec![large];
        if version > 0 {
            needed.push(missing);
        }
        let version = format!("1.{version}.0");
        blueprints.push(("catalog", blueprint("bp-b", &version, &needed)));
    }
    blueprints.push((
        "catalog",
        blueprint("bp-a", "1.0.0", &["{blueprint: bp-b, version: ^1}"]),
    ));
    let found = names(&catalog(&blueprints), &request("bp-a", "1.0.0"));
    assert_eq!(found.len(), 33);
    assert_eq!(found[31], "blog-b = bp-b 1.0.0");
}

#[test]
fn a_cycle_through_many_versions_is_told_as_one_chain() {
    let catalog = catalog(&levels(6, |level| match level {
        5 => vec!["{blueprint: bp-l0, version: ^1, alias: next}".to_owned()],
        _ => the_next(level),
    }));
    assert_eq!(
        solve(&catalog, &request("bp-l0", "1.0.0"))
            .unwrap_err()
            .to_string(),
        "cannot install bp-l0 1.0.0: its dependencies form a cycle: bp-l0 1.0.0 → bp-l1 1.11.0 → bp-l2 1.11.0 → bp-l3 1.11.0 → bp-l4 1.11.0 → bp-l5 1.11.0 → bp-l0; one of these Blueprints must drop its dependency"
    );
}

#[test]
fn what_is_a_cycle_below_one_blueprint_is_tried_again_below_another() {
    let one =
        |name: &str, version: &str, needed: &[&str]| ("catalog", blueprint(name, version, needed));
    let catalog = catalog(&[
        one("bp-a", "1.0.0", &["{blueprint: bp-m, version: \"*\"}"]),
        one(
            "bp-m",
            "2.0.0",
            &["{blueprint: bp-p, version: =1.1.0, alias: k}"],
        ),
        one(
            "bp-m",
            "1.0.0",
            &["{blueprint: bp-q, version: ^1, alias: k}"],
        ),
        one(
            "bp-p",
            "1.1.0",
            &["{blueprint: bp-c, version: ^1, alias: z}"],
        ),
        one("bp-p", "1.0.0", &[]),
        one(
            "bp-q",
            "1.0.0",
            &["{blueprint: bp-c, version: ^1, alias: z}"],
        ),
        one(
            "bp-c",
            "1.0.0",
            &["{blueprint: bp-p, version: =1.0.0, alias: w}"],
        ),
    ]);
    assert_eq!(
        names(&catalog, &request("bp-a", "1.0.0")),
        [
            "blog-m-k-z-w = bp-p 1.0.0",
            "blog-m-k-z = bp-c 1.0.0",
            "blog-m-k = bp-q 1.0.0",
            "blog-m = bp-m 1.0.0",
            "blog = bp-a 1.0.0"
        ]
    );
}

#[test]
fn what_never_repeats_ends_in_bounded_time() {
    // Every version has the next ask with another config.
    let other = |level: usize| {
        vec![format!(
            "{{blueprint: bp-l{}, version: ^1, alias: next, values: {{mode: \"${{config.mode}}-${{application.blueprint.version}}\"}}}}",
            level + 1
        )]
    };
    // More Applications than anybody wants.
    let two = |level: usize| {
        let next = |alias: &str| {
            format!(
                "{{blueprint: bp-l{}, version: ^1, alias: {alias}}}",
                level + 1
            )
        };
        match level {
            11 => Vec::new(),
            _ => vec![next("a"), next("b")],
        }
    };
    for blueprints in [levels(5, other), levels(12, two)] {
        let error = solve(&catalog(&blueprints), &request("bp-l0", "1.0.0")).unwrap_err();
        assert!(
            error.to_string().contains("narrow the version ranges"),
            "{error}"
        );
    }
}

#[test]
fn a_chain_has_an_end() {
    let catalog = catalog(&levels(20, |level| match level {
        19 => Vec::new(),
        _ => vec![format!(
            "{{blueprint: bp-l{}, version: =1.0.0, alias: a}}",
            level + 1
        )],
    }));
    let error = solve(&catalog, &request("bp-l0", "1.0.0")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the chain of dependencies `a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a` is longer than 16 Blueprints; choose an Application that is already there for one of them"),
        "{error}"
    );
}
