//! Version ranges as Flux's sources take them (Masterminds semver).

use semver::{Comparator, Op, Version, VersionReq};

/// The highest of `tags` within `range`; a leading `v` is allowed.
pub fn highest<'a>(
    range: &str,
    tags: impl Iterator<Item = &'a str>,
) -> Result<Option<&'a str>, String> {
    let wanted = alternatives(range)?;
    Ok(tags
        .filter_map(|tag| {
            let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
            wanted
                .iter()
                .any(|one| one.matches(&version))
                .then_some((version, tag))
        })
        .max()
        .map(|(_, tag)| tag))
}

/// `a || b`, each a list of comparators by comma or space.
fn alternatives(range: &str) -> Result<Vec<VersionReq>, String> {
    range.split("||").map(one).collect()
}

fn one(range: &str) -> Result<VersionReq, String> {
    let mut parts: Vec<String> = Vec::new();
    // An operator may stand apart from its version.
    for word in range.split([',', ' ']).filter(|word| !word.is_empty()) {
        match parts.last_mut() {
            Some(last) if last.chars().all(|c| "<>=~^!".contains(c)) => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    let mut wanted = VersionReq::STAR;
    for part in parts {
        let bare = part.starts_with(|c: char| c.is_ascii_digit() || c == 'v');
        let text = part.replace('v', "");
        let parsed = VersionReq::parse(&text)
            .map_err(|why| format!("{range:?} is not a version range: {why}"))?;
        for mut comparator in parsed.comparators {
            // A bare version means itself here, not everything compatible.
            if bare && comparator.op == Op::Caret {
                comparator = Comparator {
                    op: Op::Exact,
                    ..comparator
                };
            }
            wanted.comparators.push(comparator);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_pick_the_highest_version_within() {
        let tags = ["v1.0.0", "1.2.0", "1.10.1", "2.0.0", "2.1.0-rc.1", "latest"];
        for (range, found) in [
            (">=1.0.0", Some("2.0.0")),
            ("1.x", Some("1.10.1")),
            ("~1.2", Some("1.2.0")),
            ("^1.0.0", Some("1.10.1")),
            ("1.2.0", Some("1.2.0")),
            ("1.0.0", Some("v1.0.0")),
            (">=1.0.0 <1.5.0", Some("1.2.0")),
            (">= 1.0.0, < 1.5.0", Some("1.2.0")),
            ("3.x || 1.0.x", Some("v1.0.0")),
            ("*", Some("2.0.0")),
            (">=2.1.0-rc.0", Some("2.1.0-rc.1")),
            ("9.x", None),
        ] {
            assert_eq!(highest(range, tags.into_iter()).unwrap(), found, "{range}");
        }
        assert!(highest("one", tags.into_iter()).is_err());
    }
}
