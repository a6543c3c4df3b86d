//! Alpine's versions: numbers with dots, a letter, suffixes, and `-r` with the build.

use std::cmp::Ordering;

use super::{numbers, take};

/// The suffixes from the lowest; the first four stand before the version itself.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const BEFORE: usize = 4;

pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        by_numbers(&left.numbers, &right.numbers)
            .then_with(|| left.letter.cmp(&right.letter))
            .then_with(|| by_suffixes(&left.suffixes, &right.suffixes))
            .then_with(|| numbers(left.build, right.build)),
    )
}

struct Parts<'a> {
    numbers: Vec<&'a [u8]>,
    letter: Option<u8>,
    /// Its place among [`SUFFIXES`], and its number.
    suffixes: Vec<(usize, &'a [u8])>,
    build: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let (text, build) = match text.rsplit_once("-r") {
            Some((text, build)) => (text, build.as_bytes()),
            None => (text, &b"0"[..]),
        };
        if build.is_empty() || !build.iter().copied().all(is_digit) {
            return None;
        }
        // The commit that a version was made of says nothing about its place.
        let text = text.split_once('~').map_or(text, |(text, _)| text);
        let mut parts = text.split('_');
        let head = parts.next()?;
        let (head, letter) = match head.as_bytes().split_last() {
            Some((last, rest)) if last.is_ascii_lowercase() => (rest, Some(*last)),
            _ => (head.as_bytes(), None),
        };
        let numbers: Vec<&[u8]> = head.split(|byte| *byte == b'.').collect();
        let are_numbers = numbers
            .iter()
            .all(|number| !number.is_empty() && number.iter().copied().all(is_digit));
        if !are_numbers {
            return None;
        }
        let mut suffixes = Vec::new();
        for part in parts {
            let (name, number) = take(part.as_bytes(), |byte| byte.is_ascii_lowercase());
            let place = SUFFIXES
                .iter()
                .position(|suffix| suffix.as_bytes() == name)?;
            if !number.iter().copied().all(is_digit) {
                return None;
            }
            suffixes.push((place, number));
        }
        Some(Self {
            numbers,
            letter,
            suffixes,
            build,
        })
    }
}

/// All but the first are fractions where one begins with a zero.
fn by_numbers(left: &[&[u8]], right: &[&[u8]]) -> Ordering {
    let of_pair = |(at, (left, right)): (usize, (&&[u8], &&[u8]))| {
        let is_fraction = at > 0 && (left.starts_with(b"0") || right.starts_with(b"0"));
        match is_fraction {
            true => left.cmp(right),
            false => numbers(left, right),
        }
    };
    left.iter()
        .zip(right)
        .enumerate()
        .map(of_pair)
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn by_suffixes(left: &[(usize, &[u8])], right: &[(usize, &[u8])]) -> Ordering {
    let longest = left.len().max(right.len());
    (0..longest)
        .map(|at| match (left.get(at), right.get(at)) {
            (Some((place, number)), Some((other, beside))) => {
                place.cmp(other).then_with(|| numbers(number, beside))
            }
            (Some((place, _)), None) => after_nothing(*place),
            (None, Some((place, _))) => after_nothing(*place).reverse(),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn after_nothing(place: usize) -> Ordering {
    match place < BEFORE {
        true => Ordering::Less,
        false => Ordering::Greater,
    }
}
