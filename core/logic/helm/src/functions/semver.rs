//! Versions and constraints as Masterminds/semver reads them.
//!
//! Called by `semver` and `semverCompare`, and by the chart reader for
//! `kubeVersion` and dependency ranges.

use std::cmp::Ordering;
use std::fmt;

use super::{Row, text};
use crate::objects::Object;
use crate::value::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pub pre: String,
    pub build: String,
    pub original: String,
    /// How many of the three numbers were written.
    parts: usize,
}

pub const TABLE: &[Row] = &[
    ("semver", "s", |_, a| {
        Version::parse(text(a, 0))
            .map(|version| Value::object(Object::Version(version)))
            .ok_or_else(|| "invalid semantic version".into())
    }),
    ("semverCompare", "ss", |_, a| {
        let version = Version::parse(text(a, 1)).ok_or("invalid semantic version")?;
        satisfies(text(a, 0), &version)
            .map(Value::Bool)
            .map_err(Into::into)
    }),
];

impl Version {
    /// Reads a version; a leading `v` and missing parts are allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix('v').unwrap_or(text);
        let (body, build) = body.split_once('+').unwrap_or((body, ""));
        let (numbers, pre) = body.split_once('-').unwrap_or((body, ""));
        let mut parts = [0_u64; 3];
        let mut count = 0;
        for part in numbers.split('.') {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *parts.get_mut(count)? = part.parse().ok()?;
            count += 1;
        }
        let named = |text: &str| {
            text.split('.').all(|id| {
                !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
        };
        if (body.contains('-') && !named(pre)) || (text.contains('+') && !named(build)) {
            return None;
        }
        let [major, minor, patch] = parts;
        Some(Self {
            major,
            minor,
            patch,
            pre: pre.to_owned(),
            build: build.to_owned(),
            original: text.to_owned(),
            parts: count,
        })
    }

    fn numbers(&self) -> (u64, u64, u64) {
        (self.major, self.minor, self.patch)
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        self.numbers()
            .cmp(&other.numbers())
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

fn compare_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(l), Some(r)) => match (l.parse::<u64>(), r.parse::<u64>()) {
                (Ok(l), Ok(r)) => l.cmp(&r),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => l.cmp(r),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Whether `version` lies in `constraint`: alternatives by `||`, all of the
/// comma- or blank-separated comparisons of one; `1.2 - 1.4` is a range.
pub fn satisfies(constraint: &str, version: &Version) -> Result<bool, String> {
    let mut any = false;
    for alternative in constraint.split("||") {
        any |= all_hold(alternative, constraint, version)?;
    }
    Ok(any)
}

fn all_hold(alternative: &str, whole: &str, version: &Version) -> Result<bool, String> {
    let mut words: Vec<String> = Vec::new();
    let spaced = alternative.replace(',', " ");
    let mut operator = String::new();
    for word in spaced.split_whitespace() {
        if word.chars().all(|c| "=<>!~^".contains(c)) {
            operator.push_str(word);
        } else {
            words.push(format!("{operator}{word}"));
            operator.clear();
        }
    }
    if !operator.is_empty() || words.is_empty() {
        return Err(format!("improper constraint: {whole}"));
    }
    let mut holds = true;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if words.get(at + 1).map(String::as_str) == Some("-") {
            let upper = words
                .get(at + 2)
                .ok_or_else(|| format!("improper constraint: {whole}"))?;
            holds &= one_holds(&format!(">={word}"), whole, version)?;
            holds &= one_holds(&format!("<={upper}"), whole, version)?;
            at += 3;
        } else {
            holds &= one_holds(word, whole, version)?;
            at += 1;
        }
    }
    Ok(holds)
}

fn one_holds(word: &str, whole: &str, version: &Version) -> Result<bool, String> {
    let improper = || format!("improper constraint: {whole}");
    let body = word.trim_start_matches(|c| "=<>!~^".contains(c));
    let operator = word.get(..word.len() - body.len()).unwrap_or_default();
    let (numbers, tail) = match body.find(['-', '+']) {
        Some(at) => body.split_at_checked(at).unwrap_or((body, "")),
        None => (body, ""),
    };
    let bare = numbers.strip_prefix('v').unwrap_or(numbers);
    let mut kept: Vec<&str> = Vec::new();
    for part in bare.split('.') {
        if matches!(part, "x" | "X" | "*") {
            break;
        }
        kept.push(part);
    }
    let any = kept.is_empty();
    let text = if any { "0".to_owned() } else { kept.join(".") };
    let bound = Version::parse(&format!("{text}{tail}")).ok_or_else(improper)?;
    let parts = if any { 0 } else { bound.parts };
    // A pre-release is only in a range that names one.
    let pre_allowed = version.pre.is_empty() || !bound.pre.is_empty();
    let order = version.compare(&bound);
    let same = |count: usize| {
        (count < 1 || version.major == bound.major)
            && (count < 2 || version.minor == bound.minor)
            && (count < 3 || version.patch == bound.patch)
    };
    Ok(match operator {
        "" | "=" | "==" if parts < 3 => pre_allowed && same(parts),
        "" | "=" | "==" => order.is_eq(),
        "!=" if parts < 3 => pre_allowed && !same(parts),
        "!=" => pre_allowed && order.is_ne(),
        ">" if parts < 3 => pre_allowed && order.is_gt() && !same(parts),
        ">" => pre_allowed && order.is_gt(),
        "<" => pre_allowed && order.is_lt(),
        ">=" | "=>" => pre_allowed && order.is_ge(),
        "<=" | "=<" if parts < 3 => pre_allowed && (order.is_le() || same(parts)),
        "<=" | "=<" => pre_allowed && order.is_le(),
        "~" | "~>" => pre_allowed && order.is_ge() && same(parts.min(2)),
        "^" => {
            let fixed = match (bound.major, bound.minor, parts) {
                (0, 0, 3) => 3,
                (0, _, 2 | 3) => 2,
                (_, _, 0) => 0,
                _ => 1,
            };
            pre_allowed && order.is_ge() && same(fixed)
        }
        _ => return Err(improper()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Version, satisfies};

    #[test]
    fn constraints_hold_as_masterminds_semver_says() {
        for (constraint, version, expected) in [
            ("^1.2.0", "1.9.1", true),
            ("^1.2.0", "2.0.0", false),
            ("^0.2.3", "0.3.0", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            (">=1.20-0", "v1.31.0-gke.1", true),
            (">=1.20", "1.31.0-gke.1", false),
            (">= 1.2, < 2", "1.5.0", true),
            ("1.2 - 1.4", "1.4.9", true),
            ("1.x || 3.x", "3.4.0", true),
            ("*", "9.9.9", true),
            ("!=1.2.3", "1.2.3", false),
            (">1", "1.5.0", false),
        ] {
            let version = Version::parse(version).unwrap();
            assert_eq!(
                satisfies(constraint, &version),
                Ok(expected),
                "{constraint} {version}"
            );
        }
        assert!(satisfies(">=", &Version::parse("1").unwrap()).is_err());
    }
}
