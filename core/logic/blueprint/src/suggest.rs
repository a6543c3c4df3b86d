//! The nearest known word to a mistyped one.

/// The candidate closest to `word`, when it is close enough to be a slip.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.to_lowercase().chars().enumerate() {
        let mut current = vec![row + 1];
        for (b, window) in right.iter().zip(previous.windows(2)) {
            let [diagonal, above] = window else { continue };
            let left_cell = current.last().copied().unwrap_or_default();
            let substituted = diagonal + usize::from(a != *b);
            current.push(substituted.min(above + 1).min(left_cell + 1));
        }
        previous = current;
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["version", "visibility", "depends", "configSchema"];
        for (word, expected) in [
            ("verison", Some("version")),
            ("configschema", Some("configSchema")),
            ("depend", Some("depends")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
