//! Versions and constraints as Masterminds/semver reads them.
//!
//! Called by `semver` and `semverCompare`, and by the chart reader for
//! `kubeVersion` and dependency ranges.

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use super::{Row, text};
use crate::format::quote;
use crate::objects::Object;
use crate::value::Value;

const MAX_VERSION: usize = 256;
const MAX_CONSTRAINT: usize = 512;
const MAX_GROUPS: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pub pre: String,
    pub build: String,
    pub original: String,
}

pub const TABLE: &[Row] = &[
    ("semver", "s", |_, a| {
        let version = Version::read(text(a, 0))?;
        Ok(Value::object(Object::Version(version)))
    }),
    ("semverCompare", "ss", |_, a| {
        let constraint = Constraint::read(text(a, 0))?;
        let version = Version::read(text(a, 1))?;
        Ok(Value::Bool(constraint.holds(&version)))
    }),
];

const TAIL: &str =
    r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const BLANKS: [char; 5] = ['\t', '\n', '\x0c', '\r', ' '];
const BLANK: &str = r"[\t\n\f\r ]";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

/// An expression that is compiled once, when it is first needed: compiling them all takes
/// longer than rendering a chart, and a constraint of one comparison needs none.
type Pattern = LazyLock<Option<Regex>>;

/// One comparison.
static ONE: Pattern = LazyLock::new(|| {
    let part = part();
    Regex::new(&format!(r"^{BLANK}*({OPERATORS}){BLANK}*({part}){BLANK}*$")).ok()
});
/// `1.2 - 1.4`.
static RANGE: Pattern = LazyLock::new(|| {
    let part = part();
    Regex::new(&format!(
        r"{BLANK}*({part}){BLANK}+-{BLANK}+({part}){BLANK}*"
    ))
    .ok()
});
static FIND: Pattern = LazyLock::new(|| {
    let part = part();
    Regex::new(&format!(r"({OPERATORS}){BLANK}*({part})")).ok()
});
/// Comparisons that must all hold.
static ALL: Pattern = LazyLock::new(|| {
    let one = format!(r"({OPERATORS}){BLANK}*({}){BLANK}*", part());
    Regex::new(&format!(r"^({BLANK}*{one})((?:{BLANK}+|,{BLANK}*){one})*$")).ok()
});

fn part() -> String {
    format!(r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?{TAIL}")
}

fn compiled(pattern: &'static Pattern) -> Result<&'static Regex, String> {
    pattern
        .as_ref()
        .ok_or_else(|| "the patterns of versions cannot be read".to_owned())
}

/// The parts of a version, or of what stands for one in a constraint.
struct Parts<'t> {
    major: &'t str,
    /// Empty where it is left out, as those that follow.
    minor: &'t str,
    patch: &'t str,
    pre: &'t str,
    build: &'t str,
}

impl<'t> Parts<'t> {
    /// `v?N(.N)?(.N)?` and a tail as in `TAIL`, the whole text; `is_of_number` says what a
    /// number is made of.
    fn of(text: &'t str, is_of_number: fn(char) -> bool) -> Option<Self> {
        let number = |rest: &mut &'t str| {
            let end = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
            let (number, after) = rest.split_at_checked(end)?;
            *rest = after;
            (!number.is_empty()).then_some(number)
        };
        let mut rest = text.strip_prefix('v').unwrap_or(text);
        let major = number(&mut rest)?;
        let mut further = [""; 2];
        for part in &mut further {
            if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                *part = number(&mut rest)?;
            }
        }
        let [minor, patch] = further;
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, words(build)?),
            None => (rest, ""),
        };
        let pre = match rest.strip_prefix('-') {
            Some(pre) => words(pre)?,
            None if rest.is_empty() => "",
            None => return None,
        };
        Some(Self {
            major,
            minor,
            patch,
            pre,
            build,
        })
    }
}

/// Words of letters, digits and dashes with points between them.
fn words(text: &str) -> Option<&str> {
    let is_word = |word: &str| {
        let is_of_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !word.is_empty() && word.bytes().all(is_of_word)
    };
    text.split('.').all(is_word).then_some(text)
}

impl Version {
    /// `semver.NewVersion`: a leading `v`, missing parts and leading zeros are
    /// allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_VERSION {
            return Err(format!(
                "version string is too long (max {MAX_VERSION} bytes)"
            ));
        }
        let parts = Parts::of(text, |c| c.is_ascii_digit()).ok_or("invalid semantic version")?;
        let number = |text: &str| {
            if text.is_empty() {
                return Ok(0);
            }
            text.parse::<u64>().map_err(|_| {
                format!(
                    "error parsing version segment: strconv.ParseUint: parsing {}: value out of range",
                    quote(text)
                )
            })
        };
        let version = Self {
            major: number(parts.major)?,
            minor: number(parts.minor)?,
            patch: number(parts.patch)?,
            pre: parts.pre.to_owned(),
            build: parts.build.to_owned(),
            original: text.to_owned(),
        };
        let zero = |part: &str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())
        };
        if version.pre.split('.').any(zero) {
            return Err("version segment starts with 0".to_owned());
        }
        Ok(version)
    }

    /// Like `read`, where it does not matter what is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text).ok()
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_pre(&self.pre, &other.pre),
            })
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

/// `comparePrerelease`: a part that is missing is less than any other.
fn compare_pre(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (l, r) => match (l.unwrap_or(""), r.unwrap_or("")) {
                (l, r) if l == r => Ordering::Equal,
                ("", _) => Ordering::Less,
                (_, "") => Ordering::Greater,
                (l, r) => match (l.parse::<u64>(), r.parse::<u64>()) {
                    (Ok(l), Ok(r)) => l.cmp(&r),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => l.cmp(r),
                },
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Whether `version` lies in `constraint`.
pub fn satisfies(constraint: &str, version: &Version) -> Result<bool, String> {
    Ok(Constraint::read(constraint)?.holds(version))
}

/// Alternatives, each of comparisons that must all hold.
struct Constraint(Vec<Vec<One>>);

#[cfg_attr(test, derive(Debug, PartialEq))]
struct One {
    operator: String,
    bound: Version,
    /// Which parts were left out or are wildcards.
    dirty: bool,
    minor_dirty: bool,
    patch_dirty: bool,
}

impl Constraint {
    /// `semver.NewConstraint`.
    fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_CONSTRAINT {
            return Err(format!(
                "constraint string is too long (max {MAX_CONSTRAINT} bytes)"
            ));
        }
        if let Some(one) = One::alone(text) {
            return Ok(Self(vec![vec![one?]]));
        }
        let mut rewritten = text.to_owned();
        let ranges = match text.contains('-') {
            true => Some(compiled(&RANGE)?.captures_iter(text)),
            false => None,
        };
        for found in ranges.into_iter().flatten() {
            let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
            let bounds = format!(">= {}, <= {} ", part(1), part(11));
            rewritten = rewritten.replacen(part(0), &bounds, 1);
        }
        let alternatives: Vec<&str> = rewritten.split("||").collect();
        if alternatives.len() > MAX_GROUPS {
            return Err(format!("too many constraint groups (max {MAX_GROUPS})"));
        }
        let mut all = Vec::new();
        for alternative in alternatives {
            if !compiled(&ALL)?.is_match(alternative) {
                return Err(format!("improper constraint: {}", quote(alternative)));
            }
            let mut group = Vec::new();
            for found in compiled(&FIND)?.find_iter(alternative) {
                group.push(One::read(found.as_str())?);
            }
            all.push(group);
        }
        Ok(Self(all))
    }

    fn holds(&self, version: &Version) -> bool {
        self.0.iter().any(|group| {
            let names_pre = group.iter().any(|one| !one.bound.pre.is_empty());
            group.iter().all(|one| one.holds(version, names_pre))
        })
    }
}

impl One {
    /// A constraint that is one comparison and nothing else, as most are.
    fn alone(text: &str) -> Option<Result<Self, String>> {
        let text = text.trim_matches(BLANKS);
        let end = text.find(|c| !"=!<>~^".contains(c)).unwrap_or(0);
        let (operator, rest) = text.split_at_checked(end)?;
        let is_operator = OPERATORS
            .split('|')
            .any(|it| it.trim_matches('\\') == operator);
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X' | '*');
        let part = rest.trim_start_matches(BLANKS);
        let parts = Parts::of(part, is_of_number).filter(|_| is_operator)?;
        Some(Self::new(operator, part, &parts))
    }

    fn read(text: &str) -> Result<Self, String> {
        let found = compiled(&ONE)?
            .captures(text)
            .ok_or_else(|| format!("improper constraint: {}", quote(text)))?;
        let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
        let number = |at: usize| part(at).trim_start_matches('.');
        let parts = Parts {
            major: part(3),
            minor: number(4),
            patch: number(5),
            pre: part(7),
            build: part(10),
        };
        Self::new(part(1), part(2), &parts)
    }

    /// What follows `operator` is `text`, of these parts.
    fn new(operator: &str, text: &str, parts: &Parts<'_>) -> Result<Self, String> {
        let open = |text: &str| matches!(text, "" | "x" | "X" | "*");
        let Parts {
            major,
            minor,
            patch,
            ..
        } = parts;
        let pre = match parts.pre {
            "" => String::new(),
            pre => format!("-{pre}"),
        };
        let (text, minor_dirty, patch_dirty) = if open(major) {
            (format!("0.0.0{pre}"), false, false)
        } else if open(minor) {
            (format!("{major}.0.0{pre}"), true, false)
        } else if open(patch) {
            (format!("{major}.{minor}.0{pre}"), false, true)
        } else {
            (text.to_owned(), false, false)
        };
        Ok(Self {
            operator: operator.to_owned(),
            bound: Version::read(&text).map_err(|_| "constraint parser error")?,
            dirty: open(major) || minor_dirty || patch_dirty,
            minor_dirty,
            patch_dirty,
        })
    }

    fn holds(&self, version: &Version, names_pre: bool) -> bool {
        // A pre-release is only in a range that names one.
        if !version.pre.is_empty() && !names_pre {
            return false;
        }
        let bound = &self.bound;
        let order = version.compare(bound);
        let major = version.major.cmp(&bound.major);
        let minor = version.minor.cmp(&bound.minor);
        match self.operator.as_str() {
            "" | "=" if !self.dirty => order.is_eq(),
            "" | "=" | "~" | "~>" => self.tilde(version, order),
            "!=" if self.dirty => {
                if major.is_ne() {
                    true
                } else if self.minor_dirty {
                    false
                } else if minor.is_ne() {
                    true
                } else if self.patch_dirty {
                    compare_pre(&version.pre, &bound.pre).is_ne()
                } else {
                    version.patch != bound.patch || order.is_ne()
                }
            }
            "!=" => order.is_ne(),
            ">" if self.dirty && major.is_ne() => major.is_gt(),
            ">" if self.minor_dirty => false,
            ">" if self.patch_dirty => minor.is_gt(),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" if self.dirty => {
                major.is_lt() || (major.is_eq() && (minor.is_le() || self.minor_dirty))
            }
            "<=" | "=<" => order.is_le(),
            "^" => self.caret(version, order),
            _ => false,
        }
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.bound;
        if order.is_lt() {
            return false;
        }
        let zero = bound.major == 0 && bound.minor == 0 && bound.patch == 0;
        if zero && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        version.major == bound.major && (version.minor == bound.minor || self.minor_dirty)
    }

    fn caret(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.bound;
        if order.is_lt() {
            return false;
        }
        if bound.major > 0 || self.minor_dirty {
            return version.major == bound.major;
        }
        if version.major > 0 {
            return false;
        }
        if bound.minor > 0 || self.patch_dirty {
            return version.minor == bound.minor;
        }
        version.minor == 0 && version.patch == bound.patch
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::{ALL, FIND, One, Version, satisfies};

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

    #[test]
    fn versions_are_read_as_masterminds_semver_reads_them() {
        for (text, expected) in [
            ("1", Some("1.0.0")),
            ("v01.2", Some("1.2.0")),
            ("1.2.3-a.-b+c.1", Some("1.2.3-a.-b+c.1")),
            ("1.2.3--", Some("1.2.3--")),
            ("1+a-b", Some("1.0.0+a-b")),
            ("1.2.3.4", None),
            ("1..2", None),
            ("1.2.", None),
            ("1-", None),
            ("1-a..b", None),
            ("1+", None),
            ("1+a+b", None),
            ("vv1", None),
            ("1.2.3 ", None),
            ("1.2.3-ü", None),
            ("1.2.3-01", None),
            ("", None),
        ] {
            let found = Version::parse(text).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// What is read without an expression is what the expressions find.
        #[test]
        fn a_comparison_alone_is_read_as_among_others(
            text in r"[ \t]?(=|!=|>|<|>=|=>|<=|=<|~|~>|\^|==|)( |  )?v?[0-9xX*|]{1,2}(\.[0-9x*|]{0,2}){0,3}(-[a0.-]{0,4})?(\+[b.]{0,3})?[ ,]?"
        ) {
            if let Some(one) = One::alone(&text) {
                prop_assert!(ALL.as_ref().unwrap().is_match(&text), "{text:?}");
                let found = FIND.as_ref().unwrap().find_iter(&text);
                let found: Vec<_> = found.map(|found| One::read(found.as_str())).collect();
                prop_assert_eq!(vec![one], found, "{:?}", text);
            }
        }
    }
}
