//! A large catalog: how long it takes to decide what an install needs, and to find
//! something, in process and without what is read from elsewhere.

use std::time::Instant;

use catalyst_api::BlueprintCard;
use catalyst_blueprint::{Blueprint, Catalog, Described, Request, search, solve};

use crate::figures::elapsed;

const BLUEPRINTS: usize = 1_000;
const VERSIONS: u64 = 20;
/// Each of a layer depends on two of the next; those of the last on nothing.
const LAYERS: usize = 4;
/// Of so many Blueprints one has newest versions whose dependencies nobody meets, so
/// that older ones are looked at.
const STUCK: usize = 5;
const WORDS: [&str; 8] = [
    "postgres", "wiki", "mail", "queue", "cache", "storage", "metrics", "gateway",
];

/// What was measured, in milliseconds.
pub struct Figures {
    /// What an install of each Blueprint's newest version needs.
    pub solving: Vec<f64>,
    /// What fits some words.
    pub searching: Vec<f64>,
}

/// Measures both.
pub fn measure() -> Figures {
    let mut catalog = Catalog::new();
    for number in 0..BLUEPRINTS {
        for minor in 0..VERSIONS {
            catalog.insert("catalog", blueprint(number, minor));
        }
    }
    let mut solving = Vec::new();
    let mut largest = 0;
    for number in 0..BLUEPRINTS {
        // The older ones of those that are stuck can be installed.
        let minor = if is_stuck(number) { 0 } else { VERSIONS - 1 };
        let request = Request {
            source: "catalog".to_owned(),
            blueprint: name(number),
            version: blueprint(number, minor).version().clone(),
            application: "app".to_owned(),
            ..Request::default()
        };
        let started = Instant::now();
        let solved = solve(&catalog, &request).unwrap();
        solving.push(elapsed(started));
        largest = largest.max(solved.applications.len());
    }
    assert_eq!(largest, (1 << LAYERS) - 1, "two for each, layer by layer");
    Figures {
        solving,
        searching: searching(),
    }
}

/// Whole words, beginnings, slips of the keyboard, two words and none.
fn searching() -> Vec<f64> {
    let cards: Vec<BlueprintCard> = (0..BLUEPRINTS).map(card).collect();
    let mut taken = Vec::new();
    for word in WORDS {
        let mut slipped: Vec<char> = word.chars().collect();
        slipped.swap(1, 2);
        let slipped = String::from_iter(slipped);
        for query in [
            word.to_owned(),
            word[..3].to_owned(),
            slipped,
            format!("{word} data"),
            format!("bp-{word}-17 team"),
            "nothing of the kind".to_owned(),
            String::new(),
        ] {
            let started = Instant::now();
            let found = search(cards.clone(), &query, |card| Described {
                name: &card.name,
                title: &card.title,
                tagline: card.tagline.as_deref().unwrap_or_default(),
                category: card.category.as_deref().unwrap_or_default(),
                tags: &card.tags,
            });
            taken.push(elapsed(started));
            assert!(found.len() <= BLUEPRINTS);
        }
    }
    taken
}

fn name(number: usize) -> String {
    format!("bp-{}-{number}", WORDS[number % WORDS.len()])
}

/// Those of the last layer have no dependencies that could hold them up.
fn is_stuck(number: usize) -> bool {
    number.is_multiple_of(STUCK) && layer(number) + 1 < LAYERS
}

fn layer(number: usize) -> usize {
    number * LAYERS / BLUEPRINTS
}

/// The Blueprints in the next layer that one depends on.
fn needed(number: usize) -> Vec<usize> {
    let size = BLUEPRINTS / LAYERS;
    let next = layer(number) + 1;
    if next == LAYERS {
        return Vec::new();
    }
    let within = number % size;
    [within * 3 + 1, within * 7 + 2]
        .map(|at| next * size + at % size)
        .to_vec()
}

fn blueprint(number: usize, minor: u64) -> Blueprint {
    let range = if is_stuck(number) && minor > VERSIONS / 2 {
        "^2"
    } else {
        "^1.2"
    };
    let depends: String = needed(number)
        .into_iter()
        .enumerate()
        .map(|(index, other)| {
            format!(
                "    - {{blueprint: {}, version: {range}, alias: d{index}, when: \"config.mode == 'embedded'\", values: {{title: \"${{application.name}}\"}}}}\n",
                name(other)
            )
        })
        .collect();
    let depends = if depends.is_empty() {
        depends
    } else {
        format!("  depends:\n{depends}")
    };
    let text = format!(
        "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {{name: {}}}\nspec:\n  version: 1.{minor}.0\n  card: {{title: Title, license: Apache-2.0}}\n  configSchema:\n    type: object\n    additionalProperties: false\n    properties:\n      title: {{type: string, maxLength: 60}}\n      mode: {{type: string, enum: [embedded, external], default: embedded}}\n{depends}  manifests: {{source: {{kind: HelmChart}}}}\n",
        name(number)
    );
    Blueprint::parse(&text).unwrap()
}

fn card(number: usize) -> BlueprintCard {
    let word = WORDS[number % WORDS.len()];
    let other = WORDS[(number + 3) % WORDS.len()];
    BlueprintCard {
        source: "catalog".to_owned(),
        name: name(number),
        version: format!("1.{}.0", VERSIONS - 1),
        versions: (0..VERSIONS).rev().map(|it| format!("1.{it}.0")).collect(),
        title: format!("The {word} of team {number}"),
        tagline: Some(format!("Keeps the data of a {other} where it belongs")),
        category: Some("Data".to_owned()),
        tags: vec![word.to_owned(), other.to_owned(), "shared".to_owned()],
        license: Some("Apache-2.0".to_owned()),
        icon: None,
    }
}
