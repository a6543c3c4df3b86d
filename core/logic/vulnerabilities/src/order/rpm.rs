//! RPM's versions: `[epoch:]version[-release]`, both parts compared in segments
//! (rpm-version(7)).

use std::cmp::Ordering;

use super::{numbers, take};

pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        left.epoch
            .cmp(&right.epoch)
            .then_with(|| part(left.version.as_bytes(), right.version.as_bytes()))
            .then_with(|| part(left.release.as_bytes(), right.release.as_bytes())),
    )
}

struct Parts<'a> {
    epoch: u32,
    version: &'a str,
    release: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+~^%{}".contains(c);
        let is_version =
            !version.is_empty() && version.chars().chain(release.chars()).all(is_plain);
        is_version.then_some(Self {
            epoch,
            version,
            release,
        })
    }
}

/// What stands next in a part, the lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tilde,
    End,
    Caret,
    Letters,
    Number,
}

/// Segment by segment; what is neither of these divides them and says nothing else.
fn part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let ((kind, segment, rest_left), (other, beside, rest_right)) = (next(left), next(right));
        let order = kind.cmp(&other).then_with(|| match kind {
            Kind::Number => numbers(segment, beside),
            _ => segment.cmp(beside),
        });
        if order.is_ne() || kind == Kind::End {
            return order;
        }
        (left, right) = (rest_left, rest_right);
    }
}

/// The next segment, and what comes after it.
fn next(bytes: &[u8]) -> (Kind, &[u8], &[u8]) {
    let is_divider = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^';
    let (_, bytes) = take(bytes, is_divider);
    let Some((first, rest)) = bytes.split_first() else {
        return (Kind::End, &[], &[]);
    };
    match first {
        b'~' => (Kind::Tilde, &[], rest),
        b'^' => (Kind::Caret, &[], rest),
        byte if byte.is_ascii_digit() => {
            let (number, rest) = take(bytes, |byte| byte.is_ascii_digit());
            (Kind::Number, number, rest)
        }
        _ => {
            let (letters, rest) = take(bytes, |byte| byte.is_ascii_alphabetic());
            (Kind::Letters, letters, rest)
        }
    }
}
