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
const BLANK: &str = r"[\t\n\f\r ]";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

/// An expression that is compiled once, when it is first needed: few renderings need
/// them all, and compiling them takes longer than rendering a chart.
type Pattern = LazyLock<Option<Regex>>;

static VERSION: Pattern =
    LazyLock::new(|| Regex::new(&format!(r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?{TAIL}$")).ok());
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

impl Version {
    /// `semver.NewVersion`: a leading `v`, missing parts and leading zeros are
    /// allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_VERSION {
            return Err(format!(
                "version string is too long (max {MAX_VERSION} bytes)"
            ));
        }
        let found = compiled(&VERSION)?
            .captures(text)
            .ok_or("invalid semantic version")?;
        let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
        let number = |text: &str| {
            let text = text.trim_start_matches('.');
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
            major: number(part(1))?,
            minor: number(part(2))?,
            patch: number(part(3))?,
            pre: part(5).to_owned(),
            build: part(8).to_owned(),
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
    fn read(text: &str) -> Result<Self, String> {
        let found = compiled(&ONE)?
            .captures(text)
            .ok_or_else(|| format!("improper constraint: {}", quote(text)))?;
        let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
        let open = |text: &str| matches!(text.trim_start_matches('.'), "" | "x" | "X" | "*");
        let (major, minor, patch, pre) = (part(3), part(4), part(5), part(6));
        let (text, minor_dirty, patch_dirty) = if open(major) {
            (format!("0.0.0{pre}"), false, false)
        } else if open(minor) {
            (format!("{major}.0.0{pre}"), true, false)
        } else if open(patch) {
            (format!("{major}{minor}.0{pre}"), false, true)
        } else {
            (part(2).to_owned(), false, false)
        };
        Ok(Self {
            operator: part(1).to_owned(),
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
