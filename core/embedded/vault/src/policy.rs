//! Policies: which capabilities a path grants. Pure.
//!
//! Matching follows Vault's documentation ("Policies", rule priority): of all
//! patterns that match a path, across all of a token's policies, only the most
//! specific counts; `deny` in it beats every other capability.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::hcl::{self, Attribute};

/// One thing that a path can grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Write what is not there.
    Create,
    /// Read.
    Read,
    /// Overwrite what is there, and act on it.
    Update,
    /// Merge into what is there.
    Patch,
    /// Remove.
    Delete,
    /// List names.
    List,
    /// Use what asks for elevated rights.
    Sudo,
    /// Nothing, whatever else is granted.
    Deny,
}

impl Capability {
    const ALL: [(&'static str, Self); 8] = [
        ("create", Self::Create),
        ("read", Self::Read),
        ("update", Self::Update),
        ("patch", Self::Patch),
        ("delete", Self::Delete),
        ("list", Self::List),
        ("sudo", Self::Sudo),
        ("deny", Self::Deny),
    ];

    /// The name in policies.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, it)| *it == self)
            .map_or("deny", |(name, _)| name)
    }
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Neither the HCL of policies nor their JSON.
    #[error("the policy cannot be read: {0}")]
    Syntax(String),
    /// A word that is no capability.
    #[error("path `{path}`: there is no capability `{capability}`")]
    Capability {
        /// The path.
        path: String,
        /// The word.
        capability: String,
    },
    /// Something that would narrow the policy, and is not understood.
    #[error("path `{path}`: `{attribute}` is not supported; only `capabilities` is")]
    Attribute {
        /// The path.
        path: String,
        /// The attribute.
        attribute: String,
    },
    /// A pattern whose wildcard stands where it means nothing.
    #[error("path `{0}`: `*` may only stand at the end, `+` only for a whole segment")]
    Pattern(String),
}

/// A policy that was read: pattern → capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: BTreeMap<String, Vec<Capability>>,
}

#[derive(Deserialize)]
struct JsonPolicy {
    path: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// What every token may do, unless it was made without.
pub(crate) const DEFAULT: &str = r#"path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"#;

impl Policy {
    /// Reads a policy in HCL or JSON.
    pub fn parse(source: &str) -> Result<Self, PolicyError> {
        let blocks = if source.trim_start().starts_with('{') {
            json_blocks(source)?
        } else {
            hcl::parse(source).map_err(PolicyError::Syntax)?
        };
        let mut policy = Self::default();
        for (path, attributes) in blocks {
            let pattern = path.trim_start_matches('/').to_owned();
            check_pattern(&pattern)?;
            let granted = policy.rules.entry(pattern).or_default();
            for (attribute, value) in attributes {
                let Attribute::List(words) = value else {
                    return Err(PolicyError::Attribute { path, attribute });
                };
                if attribute != "capabilities" {
                    return Err(PolicyError::Attribute { path, attribute });
                }
                for word in words {
                    let known = Capability::ALL.iter().find(|(name, _)| *name == word);
                    let Some((_, capability)) = known else {
                        return Err(PolicyError::Capability {
                            path,
                            capability: word,
                        });
                    };
                    granted.push(*capability);
                }
            }
        }
        Ok(policy)
    }
}

/// What a set of policies grants on a path: `None` if no pattern matches, and
/// nothing if `deny` is among it.
pub(crate) fn granted<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    path: &str,
) -> Option<Vec<Capability>> {
    let mut best: Option<(&str, Vec<Capability>)> = None;
    for policy in policies {
        for (pattern, capabilities) in &policy.rules {
            if !matches(pattern, path) {
                continue;
            }
            match best
                .as_ref()
                .map_or(Ordering::Greater, |(held, _)| specificity(pattern, held))
            {
                Ordering::Greater => best = Some((pattern, capabilities.clone())),
                Ordering::Equal => {
                    if let Some((_, held)) = &mut best {
                        held.extend(capabilities);
                    }
                }
                Ordering::Less => {}
            }
        }
    }
    let (_, mut granted) = best?;
    if granted.contains(&Capability::Deny) {
        return Some(Vec::new());
    }
    granted.sort_unstable();
    granted.dedup();
    Some(granted)
}

fn json_blocks(source: &str) -> Result<Vec<hcl::Block>, PolicyError> {
    let policy: JsonPolicy =
        serde_json::from_str(source).map_err(|error| PolicyError::Syntax(error.to_string()))?;
    let mut blocks = Vec::new();
    for (path, attributes) in policy.path {
        let mut read = Vec::new();
        for (attribute, value) in attributes {
            let list: Vec<String> =
                serde_json::from_value(value).map_err(|_| PolicyError::Attribute {
                    path: path.clone(),
                    attribute: attribute.clone(),
                })?;
            read.push((attribute, Attribute::List(list)));
        }
        blocks.push((path, read));
    }
    Ok(blocks)
}

fn check_pattern(pattern: &str) -> Result<(), PolicyError> {
    let body = pattern.strip_suffix('*').unwrap_or(pattern);
    let plus_fits = body
        .split('/')
        .all(|segment| segment == "+" || !segment.contains('+'));
    // Templates would need identities, which this vault does not have.
    if pattern.is_empty() || body.contains('*') || !plus_fits || body.contains("{{") {
        return Err(PolicyError::Pattern(pattern.to_owned()));
    }
    Ok(())
}

fn matches(pattern: &str, path: &str) -> bool {
    let (body, is_prefix) = match pattern.strip_suffix('*') {
        Some(body) => (body, true),
        None => (pattern, false),
    };
    let mut wanted = body.split('/').peekable();
    let mut found = path.split('/');
    loop {
        match (wanted.next(), found.next()) {
            (Some(want), Some(have)) => {
                let is_last = wanted.peek().is_none();
                let fits = if is_last && is_prefix {
                    // The glob's own segment, and anything behind it.
                    return if want == "+" {
                        !have.is_empty()
                    } else {
                        have.starts_with(want)
                    };
                } else {
                    (want == "+" && !have.is_empty()) || want == have
                };
                if !fits {
                    return false;
                }
            }
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Which of two patterns that match the same path counts: `Greater` if the
/// first does.
fn specificity(first: &str, second: &str) -> Ordering {
    let wildcard = |pattern: &str| pattern.find(['+', '*']).unwrap_or(usize::MAX);
    let segments = |pattern: &str| pattern.split('/').filter(|it| it.starts_with('+')).count();
    wildcard(first)
        .cmp(&wildcard(second))
        .then_with(|| second.ends_with('*').cmp(&first.ends_with('*')))
        .then_with(|| segments(second).cmp(&segments(first)))
        .then_with(|| first.len().cmp(&second.len()))
        .then_with(|| first.cmp(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policies: &[&str], path: &str, expected: &[Capability]) {
        let policies: Vec<_> = policies
            .iter()
            .map(|it| Policy::parse(it).unwrap())
            .collect();
        assert_eq!(
            granted(&policies, path).unwrap_or_default(),
            expected,
            "{path}"
        );
    }

    #[test]
    fn the_most_specific_pattern_counts_and_deny_wins_in_it() {
        use Capability::{List, Read, Update};
        let acme = r#"
            # All of acme's secrets,
            path "secret/data/org/acme/*" { capabilities = ["read", "update"] }
            // but not the one that only the platform sees.
            path "secret/data/org/acme/platform" { capabilities = ["deny"] }
            /* Any Organization's
               public note. */
            path "secret/data/org/+/note" { capabilities = ["read"] }
            path "secret/metadata/org/acme/" { capabilities = ["list"] }
        "#;
        check(&[acme], "secret/data/org/acme/db", &[Read, Update]);
        check(&[acme], "secret/data/org/acme/a/b", &[Read, Update]);
        check(&[acme], "secret/data/org/acme/platform", &[]);
        check(&[acme], "secret/data/org/acme", &[]);
        check(&[acme], "secret/data/org/acmex/db", &[]);
        check(&[acme], "secret/data/org/globex/note", &[Read]);
        check(&[acme], "secret/data/org/globex/note/x", &[]);
        check(&[acme], "secret/metadata/org/acme/", &[List]);
        // The earlier wildcard is the weaker pattern.
        check(&[acme], "secret/data/org/acme/note", &[Read, Update]);
        let extra = r#"{"path": {"secret/data/org/acme/*": {"capabilities": ["list"]}}}"#;
        check(
            &[acme, extra],
            "secret/data/org/acme/db",
            &[Read, Update, List],
        );
        let denied = r#"path "secret/data/org/acme/*" { capabilities = ["deny"] }"#;
        check(&[acme, denied], "secret/data/org/acme/db", &[]);
        check(&[], "secret/data/org/acme/db", &[]);
    }

    #[test]
    fn a_policy_that_is_not_understood_is_refused() {
        for (source, expected) in [
            (
                r#"path "a" { capabilities = ["fly"] }"#,
                "no capability `fly`",
            ),
            (
                r#"path "a" { allowed_parameters = ["x"] }"#,
                "not supported",
            ),
            (r#"path "a" { policy = "write" }"#, "not supported"),
            (
                r#"path "a*b" { capabilities = [] }"#,
                "only stand at the end",
            ),
            (r#"path "a+/b" { capabilities = [] }"#, "whole segment"),
            (r#"path "" { capabilities = [] }"#, "only stand"),
            (
                r#"path "a" { capabilities = ["read" "list"] }"#,
                "expected `,`",
            ),
            (
                r#"path "a" { capabilities = ["read"]"#,
                "ends inside a block",
            ),
            ("nonsense", "expected `path`"),
            (
                r#"{"path": {"a": {"capabilities": "read"}}}"#,
                "not supported",
            ),
            (r#"{"rules": {}}"#, "cannot be read"),
        ] {
            let message = Policy::parse(source).unwrap_err().to_string();
            assert!(message.contains(expected), "{source}: {message}");
        }
    }
}
