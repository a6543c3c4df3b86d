//! What every answer of the solver has in common, on catalogs made up by chance.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use catalyst_blueprint::{
    Blueprint, Catalog, Choice, Dependency, Existing, Request, Solution, SolveError,
    SolvedApplication, Visibility, solve,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use semver::{Version, VersionReq};

/// Few enough that all combinations stay below what the solver looks at, and that the
/// same is often needed in the same place below another.
const NAMES: [&str; 4] = ["bp-a", "bp-b", "bp-c", "bp-d"];
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "2.0.0", "2.1.0-rc.1"];
const RANGES: [&str; 6] = ["^1", "^1.1", ">=1.1, <3", "=1.0.0", "^2", "*"];
/// Conditions, and whether they hold with the defaults of the config.
const CONDITIONS: [(Option<&str>, bool); 3] = [
    (None, true),
    (Some("config.mode == 'embedded'"), true),
    (Some("config.mode == 'external'"), false),
];

/// On whom, in which range, and when, by index.
type Needed = (usize, usize, usize);

/// Whether it is listed, and what it depends on.
type Content = (bool, Vec<Needed>);

/// Blueprint and version, by index → what it is.
type Made = BTreeMap<(usize, usize), Content>;

fn needed() -> impl Strategy<Value = Needed> {
    (0..NAMES.len(), 0..RANGES.len(), 0..CONDITIONS.len())
}

/// A catalog in which the first Blueprint has the first version.
fn made() -> impl Strategy<Value = Made> {
    let keys = (0..NAMES.len(), 0..VERSIONS.len());
    let content = (any::<bool>(), vec(needed(), 0..=2));
    let rest = btree_map(keys, content, 0..=NAMES.len() * VERSIONS.len());
    (any::<bool>(), vec(needed(), 1..=2), rest).prop_map(|(is_listed, first, mut rest)| {
        rest.insert((0, 0), (is_listed, first));
        rest
    })
}

/// What they all say, read once.
static COMMON: LazyLock<Blueprint> = LazyLock::new(|| {
    Blueprint::parse(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-a}\nspec:\n  version: 1.0.0\n  card: {title: T, license: MIT}\n  configSchema:\n    type: object\n    properties:\n      mode: {type: string, default: embedded}\n  manifests: {source: {kind: HelmChart}}\n",
    )
    .unwrap()
});

fn blueprint((name, number): (usize, usize), (is_listed, depends): &Content) -> Blueprint {
    let mut made = COMMON.clone();
    NAMES[name].clone_into(&mut made.metadata.name);
    made.spec.version = version(number);
    made.spec.visibility = if *is_listed {
        Visibility::Listed
    } else {
        Visibility::Unlisted
    };
    let depends = depends.iter().enumerate();
    made.spec.depends = depends
        .map(|(index, (other, range, condition))| Dependency {
            blueprint: NAMES[*other].to_owned(),
            source: None,
            version: RANGES[*range].to_owned(),
            alias: Some(format!("d{index}")),
            when: CONDITIONS[*condition].0.map(str::to_owned),
            values: serde_json::Map::new(),
        })
        .collect();
    made
}

fn catalog<'a>(made: impl IntoIterator<Item = (&'a (usize, usize), &'a Content)>) -> Catalog {
    let mut catalog = Catalog::new();
    for (key, content) in made {
        catalog.insert("catalog", blueprint(*key, content));
    }
    catalog
}

fn request() -> Request {
    Request {
        source: "catalog".to_owned(),
        blueprint: NAMES[0].to_owned(),
        version: VERSIONS[0].parse().unwrap(),
        application: "app".to_owned(),
        ..Request::default()
    }
}

/// Alias, Blueprint and range of the dependencies that hold.
fn active(depends: &[Needed]) -> impl Iterator<Item = (String, usize, VersionReq)> {
    depends
        .iter()
        .enumerate()
        .filter(|(_, (_, _, condition))| CONDITIONS[*condition].1)
        .map(|(index, (other, range, _))| {
            let range = VersionReq::parse(RANGES[*range]).unwrap();
            (format!("d{index}"), *other, range)
        })
}

fn version(index: usize) -> Version {
    VERSIONS[index].parse().unwrap()
}

/// The versions of a Blueprint in a range that could be installed below `chain`, and
/// before each whether it is listed, by a search of everything that shares no thought
/// with the solver.
fn possible(
    made: &Made,
    other: usize,
    range: &VersionReq,
    chain: &[usize],
) -> Vec<(bool, Version)> {
    if chain.contains(&other) {
        return Vec::new();
    }
    let own = made.iter().filter(|((name, _), _)| *name == other);
    own.map(|((_, index), content)| (version(*index), content))
        .filter(|(version, _)| range.matches(version))
        .filter(|(_, (_, depends))| is_possible(made, other, depends, chain))
        .map(|(version, (is_listed, _))| (*is_listed, version))
        .collect()
}

fn is_possible(made: &Made, own: usize, depends: &[Needed], chain: &[usize]) -> bool {
    let mut chain = chain.to_vec();
    chain.push(own);
    active(depends).all(|(_, other, range)| !possible(made, other, &range, &chain).is_empty())
}

/// Everything that is wrong with a solution.
fn faults(made: &Made, solution: &Solution) -> Vec<String> {
    let mut faults = Vec::new();
    let applications = &solution.applications;
    let at: BTreeMap<&str, (usize, &SolvedApplication)> = applications
        .iter()
        .enumerate()
        .map(|(index, it)| (it.name.as_str(), (index, it)))
        .collect();
    if at.len() != applications.len() {
        faults.push("two are called the same".to_owned());
    }
    let Some(root) = solution.root() else {
        return vec!["it is empty".to_owned()];
    };
    if (root.blueprint.as_str(), &root.version) != (NAMES[0], &version(0)) || !root.path.is_empty()
    {
        faults.push(format!("the last is {root:?}"));
    }
    let index_of = |it: &SolvedApplication| {
        let name = NAMES.iter().position(|name| **name == it.blueprint);
        name.unwrap()
    };
    for (index, it) in applications.iter().enumerate() {
        let name = index_of(it);
        let number = (0..VERSIONS.len()).find(|number| version(*number) == it.version);
        let Some((_, depends)) = made.get(&(name, number.unwrap())) else {
            faults.push(format!("there is no {} {}", it.blueprint, it.version));
            continue;
        };
        // From the root to here, by the aliases that lead here.
        let mut chain = Vec::new();
        let mut here = root;
        for alias in &it.path {
            chain.push(index_of(here));
            here = at[here.dependencies[alias].application.as_str()].1;
        }
        if here != it || chain.contains(&name) {
            faults.push(format!("{:?} leads elsewhere or in a circle", it.path));
        }
        chain.push(name);
        let wanted: BTreeSet<String> = active(depends).map(|(alias, ..)| alias).collect();
        let found: BTreeSet<String> = it.dependencies.keys().cloned().collect();
        if wanted != found {
            faults.push(format!("{} has {found:?}, not {wanted:?}", it.name));
        }
        for (alias, other, range) in active(depends) {
            let Some(link) = it.dependencies.get(&alias) else {
                continue;
            };
            let served = at.get(link.application.as_str());
            let is_as_said = served.is_some_and(|(before, by)| {
                *before < index && (&by.blueprint, &by.version) == (&link.blueprint, &link.version)
            });
            if !is_as_said || link.blueprint != NAMES[other] || !range.matches(&link.version) {
                faults.push(format!("{} {alias} is served by {link:?}", it.name));
            }
            // The newest that can be had, of those that are listed before all others.
            let best = possible(made, other, &range, &chain).into_iter().max();
            if best.is_none_or(|(_, version)| version != link.version) {
                faults.push(format!("{} {alias} is {}", it.name, link.version));
            }
        }
    }
    faults
}

/// Whether each step of a chain is a dependency that the catalog has, in its range.
fn is_chain(made: &Made, chain: &[String]) -> bool {
    let read = |text: &String| {
        let (name, number) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let name = NAMES.iter().position(|it| *it == name).unwrap();
        (name, VERSIONS.iter().position(|it| *it == number))
    };
    let steps = chain.windows(2).all(|step| {
        let ((name, number), (other, wanted)) = (read(&step[0]), read(&step[1]));
        let (_, depends) = &made[&(name, number.unwrap())];
        active(depends).any(|(_, it, range)| {
            it == other && wanted.is_none_or(|wanted| range.matches(&version(wanted)))
        })
    });
    let ends = chain.first().zip(chain.last());
    steps && chain.len() > 1 && ends.is_some_and(|(first, last)| read(first).0 == read(last).0)
}

/// What already stands there once a solution was carried out, and the choices that say
/// that it stays.
fn recorded(solution: &Solution) -> Request {
    let root = solution.root().unwrap();
    let mut request = request();
    for it in &solution.applications {
        if it != root {
            request.existing.push(Existing {
                application: it.name.clone(),
                source: it.source.clone(),
                blueprint: it.blueprint.clone(),
                version: it.version.clone(),
            });
        }
    }
    for (alias, link) in &root.dependencies {
        let stays = Choice::Existing(link.application.clone());
        request.choices.insert(alias.clone(), stays);
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_meets_every_constraint_with_the_newest_there_is(made in made()) {
        let answer = solve(&catalog(&made), &request());
        prop_assert_eq!(answer.is_ok(), is_possible(&made, 0, &made[&(0, 0)].1, &[]), "{:?}", answer);
        match answer {
            Ok(solution) => prop_assert_eq!(faults(&made, &solution), Vec::<String>::new()),
            Err(SolveError::Cycle { chain, .. }) => {
                prop_assert!(is_chain(&made, &chain), "{:?}", chain);
            }
            Err(error) => prop_assert!(matches!(error, SolveError::Conflict { .. }), "{}", error),
        }
    }

    #[test]
    fn what_was_recorded_stays_whatever_is_added(made in made(), more in made()) {
        let Ok(solution) = solve(&catalog(&made), &request()) else {
            return Ok(());
        };
        // Versions are added, never changed.
        let mut all = more;
        all.extend(made);
        let request = recorded(&solution);
        let again = match solve(&catalog(&all), &request) {
            Ok(again) => again,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let (before, after) = (solution.root().unwrap(), again.root().unwrap());
        prop_assert_eq!(again.applications.len(), 1);
        prop_assert_eq!(&after.version, &before.version);
        prop_assert_eq!(after.dependencies.len(), before.dependencies.len());
        for (alias, link) in &before.dependencies {
            let kept = &after.dependencies[alias];
            prop_assert!(kept.existing);
            prop_assert_eq!(&kept.application, &link.application);
            prop_assert_eq!(&kept.version, &link.version);
        }
    }

    #[test]
    fn the_order_of_what_is_given_changes_nothing(
        (made, order) in made().prop_flat_map(|made| {
            let order: Vec<(usize, usize)> = made.keys().copied().collect();
            (Just(made), Just(order).prop_shuffle())
        }),
    ) {
        let shuffled = catalog(order.iter().map(|key| (key, &made[key])));
        let answer = solve(&catalog(&made), &request());
        prop_assert_eq!(&solve(&shuffled, &request()), &answer);
        // The same again, with what stands there in another order.
        let Ok(solution) = answer else {
            return Ok(());
        };
        let request = recorded(&solution);
        let mut turned = request.clone();
        turned.existing.reverse();
        prop_assert_eq!(solve(&shuffled, &turned), solve(&catalog(&made), &request));
    }
}
