//! Finding Blueprints by what somebody types.
//!
//! Every word of the query has to fit the Blueprint somewhere: as a whole word, as
//! the beginning of one, inside one, or but for a slip of the keyboard. Where it
//! fits and how well decides the order; the name counts more than what is said
//! about it.

use std::cmp::Reverse;

use strsim::osa_distance;

/// What the words of a sentence count.
const SENTENCE: u32 = 2;

/// What is known of a Blueprint to somebody who looks for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Described<'a> {
    /// `bp-…`.
    pub name: &'a str,
    /// What people call it.
    pub title: &'a str,
    /// One line about it.
    pub tagline: &'a str,
    /// Where it belongs.
    pub category: &'a str,
    /// Words to find it by.
    pub tags: &'a [String],
}

/// Those of `items` that fit `query`, best first; of equally good ones, in the order
/// in which they came. A query without a word fits all.
pub fn search<'a, T>(
    items: Vec<T>,
    query: &str,
    describe: impl for<'b> Fn(&'b T) -> Described<'b>,
) -> Vec<T> {
    let words = words(query);
    if words.is_empty() {
        return items;
    }
    let mut found: Vec<(u32, T)> = items
        .into_iter()
        .filter_map(|item| Some((score(&words, &describe(&item))?, item)))
        .collect();
    found.sort_by_key(|(score, _)| Reverse(*score));
    found.into_iter().map(|(_, item)| item).collect()
}

/// How well the Blueprint fits all words; nothing if one of them fits nowhere.
fn score(query: &[String], blueprint: &Described<'_>) -> Option<u32> {
    let mut fields = vec![
        (8, words(blueprint.name)),
        (8, words(blueprint.title)),
        (4, words(blueprint.category)),
        (SENTENCE, words(blueprint.tagline)),
    ];
    fields.extend(blueprint.tags.iter().map(|tag| (5, words(tag))));
    let mut total = 0;
    for word in query {
        total += fields
            .iter()
            .flat_map(|(weight, known)| {
                // A sentence has too many words for one of them not to look alike.
                let is_name = *weight > SENTENCE;
                known.iter().map(move |known| {
                    let fit = fit(word, known).or_else(|| slipped(word, known).filter(|_| is_name));
                    weight * fit.unwrap_or(0)
                })
            })
            .max()
            .filter(|score| *score > 0)?;
    }
    // The one that is called just so comes before those that are called so and more.
    let is_whole = |text| words(text) == query;
    let name = blueprint.name;
    let whole = is_whole(blueprint.title)
        || is_whole(name)
        || name.strip_prefix("bp-").is_some_and(is_whole);
    Some(total + if whole { 100 } else { 0 })
}

/// How well one word fits another as it stands.
fn fit(word: &str, known: &str) -> Option<u32> {
    if known == word {
        Some(10)
    } else if known.starts_with(word) {
        Some(7)
    } else if word.chars().count() >= 3 && known.contains(word) {
        Some(4)
    } else {
        None
    }
}

/// How well one word fits another but for a slip or two, the more the longer it is.
fn slipped(word: &str, known: &str) -> Option<u32> {
    let length = word.chars().count();
    let slips = match length {
        0..=3 => return None,
        4..=7 => 1,
        _ => 2,
    };
    // Somebody may have stopped in the middle of a long word.
    let beginning: String = known.chars().take(length).collect();
    let mut distance = osa_distance(word, &beginning);
    if known.chars().count().abs_diff(length) <= slips {
        distance = distance.min(osa_distance(word, known));
    }
    match distance {
        1 => Some(3),
        2 if slips == 2 => Some(2),
        _ => None,
    }
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Known {
        name: &'static str,
        title: &'static str,
        tagline: &'static str,
        category: &'static str,
        tags: Vec<String>,
    }

    fn known(
        name: &'static str,
        title: &'static str,
        tagline: &'static str,
        category: &'static str,
        tags: &[&str],
    ) -> Known {
        Known {
            name,
            title,
            tagline,
            category,
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        }
    }

    fn describe(known: &Known) -> Described<'_> {
        Described {
            name: known.name,
            title: known.title,
            tagline: known.tagline,
            category: known.category,
            tags: &known.tags,
        }
    }

    fn catalog() -> Vec<Known> {
        vec![
            known(
                "bp-guestbook",
                "Guestbook",
                "Entries of visitors, kept in PostgreSQL",
                "Examples",
                &["web"],
            ),
            known(
                "bp-pgadmin",
                "pgAdmin",
                "Looks into databases",
                "Tools",
                &["postgres", "sql"],
            ),
            known(
                "bp-postgres",
                "PostgreSQL",
                "A relational database",
                "Data",
                &["database", "sql"],
            ),
            known(
                "bp-postgres-backup",
                "Backups of PostgreSQL",
                "Copies elsewhere",
                "Data",
                &["backup"],
            ),
            known("bp-wiki", "Café wiki", "Pages for teams", "Web", &["docs"]),
        ]
    }

    fn found(query: &str) -> Vec<&'static str> {
        search(catalog(), query, describe)
            .iter()
            .map(|known| known.name)
            .collect()
    }

    #[test]
    fn the_best_fit_comes_first() {
        let all_of_postgres = [
            "bp-postgres",
            "bp-postgres-backup",
            "bp-pgadmin",
            "bp-guestbook",
        ];
        for (query, expected) in [
            ("postgres", all_of_postgres.as_slice()),
            ("Postgres", &all_of_postgres),
            ("bp-wiki", &["bp-wiki"]),
            ("wiki", &["bp-wiki"]),
            ("CAFÉ", &["bp-wiki"]),
            ("gue", &["bp-guestbook"]),
            ("book", &["bp-guestbook"]),
            ("ok", &[]),
            (
                "sql data",
                &["bp-postgres", "bp-postgres-backup", "bp-pgadmin"],
            ),
            ("data backup", &["bp-postgres-backup"]),
            ("postgers backup", &["bp-postgres-backup"]),
            ("gestbook", &["bp-guestbook"]),
            ("guestbok", &["bp-guestbook"]),
            ("wika", &["bp-wiki"]),
            ("wia", &[]),
            ("postgres banana", &[]),
            (
                "---",
                &[
                    "bp-guestbook",
                    "bp-pgadmin",
                    "bp-postgres",
                    "bp-postgres-backup",
                    "bp-wiki",
                ],
            ),
        ] {
            assert_eq!(found(query), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn every_beginning_of_a_name_finds_it(cut in 1_usize..=8) {
            let word: String = "postgres".chars().take(cut).collect();
            prop_assert!(found(&word).contains(&"bp-postgres"));
        }

        #[test]
        fn any_query_is_answered(query in "\\PC{0,60}") {
            prop_assert!(found(&query).len() <= catalog().len());
        }
    }
}
