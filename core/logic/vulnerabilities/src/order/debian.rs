//! Debian's versions: `[epoch:]upstream[-revision]` (Debian policy, 5.6.12). The crates
//! for it bring calendars and big numbers along; the rule is short.

use std::cmp::Ordering;

use super::{numbers, take};

pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        left.epoch
            .cmp(&right.epoch)
            .then_with(|| part(left.upstream.as_bytes(), right.upstream.as_bytes()))
            .then_with(|| part(left.revision.as_bytes(), right.revision.as_bytes())),
    )
}

struct Parts<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+-:~".contains(c);
        if !text.chars().all(is_plain) {
            return None;
        }
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (!upstream.is_empty()).then_some(Self {
            epoch,
            upstream,
            revision,
        })
    }
}

/// Text and numbers by turns.
fn part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    let is_text = |byte: u8| !byte.is_ascii_digit();
    let is_number = |byte: u8| byte.is_ascii_digit();
    while !(left.is_empty() && right.is_empty()) {
        let ((text_left, after_left), (text_right, after_right)) =
            (take(left, is_text), take(right, is_text));
        let ((number_left, rest_left), (number_right, rest_right)) =
            (take(after_left, is_number), take(after_right, is_number));
        let order = words(text_left, text_right).then_with(|| numbers(number_left, number_right));
        if order.is_ne() {
            return order;
        }
        (left, right) = (rest_left, rest_right);
    }
    Ordering::Equal
}

fn words(left: &[u8], right: &[u8]) -> Ordering {
    let longest = left.len().max(right.len());
    (0..longest)
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A tilde stands before the end, letters before all else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}
