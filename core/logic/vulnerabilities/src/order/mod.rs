//! Which of two versions comes first, as each ecosystem sees it.

mod alpine;
mod debian;
mod maven;
mod nuget;
mod rpm;

use std::cmp::Ordering;
use std::str::FromStr;

/// How an ecosystem puts its versions in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Semantic Versioning 2.0: crates.io, npm, Go, Hex, Pub.
    Semantic,
    /// Debian policy, 5.6.12: Debian, Ubuntu.
    Debian,
    /// PEP 440: PyPI.
    Python,
    /// Maven's order of versions: Maven.
    Maven,
    /// `Gem::Version`: RubyGems.
    Ruby,
    /// As `apk version` compares: Alpine, Wolfi, Chainguard.
    Alpine,
    /// rpm-version(7): AlmaLinux, Rocky Linux, openSUSE and others.
    Rpm,
    /// NuGet's own: NuGet.
    NuGet,
}

impl Order {
    /// The order of an ecosystem's versions, its name without a release; none where it
    /// is not known here.
    pub fn of_ecosystem(name: &str) -> Option<Self> {
        match name {
            "crates.io" | "npm" | "Go" | "Hex" | "Pub" | "Bitnami" | "SwiftURL" => {
                Some(Self::Semantic)
            }
            "Debian" | "Ubuntu" => Some(Self::Debian),
            "PyPI" => Some(Self::Python),
            "Maven" => Some(Self::Maven),
            "RubyGems" => Some(Self::Ruby),
            "Alpine" | "Wolfi" | "Chainguard" => Some(Self::Alpine),
            "AlmaLinux" | "Rocky Linux" | "Red Hat" | "openSUSE" | "SUSE" | "openEuler"
            | "Mageia" | "Azure Linux" | "Photon OS" => Some(Self::Rpm),
            "NuGet" => Some(Self::NuGet),
            _ => None,
        }
    }

    /// Compares two versions; none where one of them is no version of this kind.
    pub fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        match self {
            Self::Semantic => Some(semantic(left)?.cmp_precedence(&semantic(right)?)),
            Self::Debian => debian::compare(left, right),
            Self::Python => {
                let left = pep440_rs::Version::from_str(left).ok()?;
                Some(left.cmp(&pep440_rs::Version::from_str(right).ok()?))
            }
            Self::Maven => maven::compare(left, right),
            Self::Ruby => {
                let left = gem_version::GemVersion::from_str(left).ok()?;
                Some(left.cmp(&gem_version::GemVersion::from_str(right).ok()?))
            }
            Self::Alpine => alpine::compare(left, right),
            Self::Rpm => rpm::compare(left, right),
            Self::NuGet => nuget::compare(left, right),
        }
    }
}

/// SemVer as it is met in the wild: Go's begin with a `v`, and some leave out the last
/// of the three numbers.
fn semantic(text: &str) -> Option<semver::Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = semver::Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at_checked(end)?;
    let lacking = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    semver::Version::parse(&format!("{numbers}{lacking}{rest}")).ok()
}

/// Compares runs of digits of any length by their value.
fn numbers(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (without_zeros(left), without_zeros(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Takes from the front what `belongs`, and leaves the rest.
fn take(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().take_while(|byte| belongs(**byte)).count();
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each list goes up, without two that are equal.
    const ASCENDING: [(Order, &[&str]); 8] = [
        (
            Order::Semantic,
            &[
                "0",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "v1.0.0",
                "1.0.1+build",
                "1.2",
                "1.10.0",
                "2",
            ],
        ),
        (
            Order::Debian,
            &[
                "0",
                "1.0~~",
                "1.0~~a",
                "1.0~",
                "1.0",
                "1.0-1",
                "1.0-1+deb12u1",
                "1.0-1+deb12u14",
                "1.0a",
                "1.0+dfsg",
                "1.0.1",
                "1.2-1",
                "1.10",
                "2.36-9+deb12u9",
                "2.36-9+deb12u14",
                "1:0.1",
                "2:0",
            ],
        ),
        (
            Order::Python,
            &[
                "0",
                "1.0.dev1",
                "1.0a1",
                "1.0b2",
                "1.0rc1",
                "1.0",
                "1.0+local",
                "1.0.post1",
                "1.1",
                "1.10",
                "1!0.1",
            ],
        ),
        (
            Order::Maven,
            &[
                "1-alpha-1",
                "1-beta",
                "1-m3",
                "1-rc1",
                "1-SNAPSHOT",
                "1.0",
                "1-sp",
                "1-foo",
                "1-1",
                "1.1",
                "1.1.1",
                "1.2",
                "1.10",
                "2.0.1",
            ],
        ),
        (
            Order::Ruby,
            &[
                "0",
                "1.0.a",
                "1.0.b1",
                "1.0.0.rc1",
                "1.0",
                "1.0.1",
                "1.2",
                "1.10",
            ],
        ),
        (
            Order::Alpine,
            &[
                "0",
                "1.2_alpha1",
                "1.2_beta",
                "1.2_pre2",
                "1.2_rc1",
                "1.2",
                "1.2-r1",
                "1.2-r10",
                "1.2_git20240101",
                "1.2_p1",
                "1.2a",
                "1.2.0",
                "1.2.09",
                "1.2.1",
                "1.2.10",
                "1.10",
            ],
        ),
        (
            Order::Rpm,
            &[
                "0",
                "1.0~~",
                "1.0~rc1",
                "1.0~rc1^git1",
                "1.0~rc2-1",
                "1.0",
                "1.0-1.el8",
                "1.0-1.el8_4",
                "1.0-10.el8",
                "1.0^20240101",
                "1.0^20240101.1",
                "1.0^20240102",
                "1.0a",
                "1.0b2",
                "1.0b10",
                "1.0.1",
                "1.1.1k-5.el8_5",
                "1.1.1k-6.el8_5",
                "1.1.1k-6.module+el8.5.0+1",
                "1.2",
                "1.10",
                "1:0.1",
                "2:0",
            ],
        ),
        (
            Order::NuGet,
            &[
                "0",
                "1.0.0-0",
                "1.0.0-2",
                "1.0.0-10",
                "1.0.0-alpha",
                "1.0.0-Alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-BETA",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0-rc-1",
                "1.0",
                "1.0.0.1",
                "1.0.0.10",
                "1.0.1-a",
                "1.0.1+build",
                "1.2",
                "1.10",
                "2",
            ],
        ),
    ];

    #[test]
    fn versions_stand_in_the_order_of_their_ecosystem() {
        for (order, versions) in ASCENDING {
            for (at, left) in versions.iter().enumerate() {
                for (beside, right) in versions.iter().enumerate() {
                    assert_eq!(
                        order.compare(left, right),
                        Some(at.cmp(&beside)),
                        "{order:?}: {left} and {right}"
                    );
                }
            }
        }
    }

    #[test]
    fn some_versions_are_the_same_however_they_are_written() {
        for (order, left, right) in [
            (Order::Semantic, "1.0.0+a", "1.0.0+b"),
            (Order::Semantic, "v1.2", "1.2.0"),
            (Order::Debian, "1.0", "0:1.0"),
            (Order::Debian, "1.0-0", "1.0"),
            (Order::Debian, "1.01", "1.1"),
            (Order::Python, "1.0", "1"),
            (Order::Python, "1.0-alpha1", "1.0a1"),
            (Order::Maven, "1", "1.0.0"),
            (Order::Maven, "1.0-ga", "1"),
            (Order::Maven, "1-RC1", "1-cr1"),
            (Order::Maven, "1-a1", "1-alpha-1"),
            (Order::Ruby, "1.0.0", "1"),
            (Order::Alpine, "1.2-r0", "1.2"),
            (Order::Rpm, "1.0-1.el8", "0:1.0-1.el8"),
            (Order::Rpm, "1.05", "1.5"),
            (Order::Rpm, "1.0", "1_0."),
            (Order::Rpm, "1a", "1.a"),
            (Order::NuGet, "1", "1.0.0.0"),
            (Order::NuGet, "1.01", "1.1"),
            (Order::NuGet, "1.0-RC", "1.0.0-rc"),
            (Order::NuGet, "1.0.0+a", "1.0.0+b"),
        ] {
            assert_eq!(
                order.compare(left, right),
                Some(Ordering::Equal),
                "{order:?}: {left} and {right}"
            );
        }
    }

    #[test]
    fn what_is_no_version_has_no_place() {
        for (order, text) in [
            (Order::Semantic, ""),
            (Order::Semantic, "1.2.3.4"),
            (Order::Semantic, "latest"),
            (Order::Debian, ""),
            (Order::Debian, "x:1"),
            (Order::Debian, "1.0 beta"),
            (Order::Python, "1.0.x"),
            (Order::Maven, ""),
            (Order::Ruby, "1..2"),
            (Order::Alpine, "1.2_foo1"),
            (Order::Alpine, "edge"),
            (Order::Rpm, ""),
            (Order::Rpm, "x:1"),
            (Order::Rpm, "1-2-3"),
            (Order::Rpm, "1.0 beta"),
            (Order::NuGet, ""),
            (Order::NuGet, "1.2.3.4.5"),
            (Order::NuGet, "1..2"),
            (Order::NuGet, "1.0-"),
            (Order::NuGet, "v1.0"),
            (Order::NuGet, "[1.0,2.0)"),
        ] {
            assert_eq!(order.compare(text, "1"), None, "{order:?}: {text:?}");
        }
    }
}
