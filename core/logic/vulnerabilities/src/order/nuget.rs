//! NuGet's versions: Semantic Versioning with up to four numbers, and labels that are the
//! same in capitals (learn.microsoft.com/nuget/concepts/package-versioning).

use std::cmp::Ordering;

use super::numbers;

/// How many numbers a version has; those left out are zero.
const NUMBERS: usize = 4;

pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        by_numbers(&left.numbers, &right.numbers)
            .then_with(|| by_labels(&left.labels, &right.labels)),
    )
}

struct Parts<'a> {
    numbers: Vec<&'a str>,
    /// Those of a prerelease; none of a release.
    labels: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        // What follows is of the build, and says nothing about the place.
        let text = text.split_once('+').map_or(text, |(text, _)| text);
        let (numbers, labels): (&str, Vec<&str>) = match text.split_once('-') {
            Some((numbers, labels)) => (numbers, labels.split('.').collect()),
            None => (text, Vec::new()),
        };
        let numbers: Vec<&str> = numbers.split('.').collect();
        let is_number =
            |text: &&str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let is_label = |text: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !text.is_empty() && text.bytes().all(is_plain)
        };
        let is_version = numbers.len() <= NUMBERS
            && numbers.iter().all(is_number)
            && labels.iter().all(is_label);
        is_version.then_some(Self { numbers, labels })
    }
}

fn by_numbers(left: &[&str], right: &[&str]) -> Ordering {
    (0..NUMBERS)
        .map(|at| numbers(number(left, at), number(right, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// One that is left out is zero, as no digits are.
fn number<'a>(of: &[&'a str], at: usize) -> &'a [u8] {
    of.get(at).copied().unwrap_or_default().as_bytes()
}

/// Semantic Versioning 2.0, 11.3 and 11.4, but for capitals.
fn by_labels(left: &[&str], right: &[&str]) -> Ordering {
    if left.is_empty() || right.is_empty() {
        return left.is_empty().cmp(&right.is_empty());
    }
    left.iter()
        .zip(right)
        .map(|(left, right)| by_label(left, right))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn by_label(left: &str, right: &str) -> Ordering {
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number(left), is_number(right)) {
        (true, true) => numbers(left.as_bytes(), right.as_bytes()),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase()),
    }
}
