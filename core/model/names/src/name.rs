//! Names that users choose.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BuildingBlock, EnvType, Provider, Region};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} is not valid: {reason}")]
pub struct NameError {
    /// What kind of name was parsed.
    pub what: &'static str,
    /// The text given.
    pub name: String,
    /// The rule it breaks.
    pub reason: String,
}

impl NameError {
    pub(crate) fn new(what: &'static str, name: &str, reason: String) -> Self {
        Self {
            what,
            name: name.to_owned(),
            reason,
        }
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks a name against its rules.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_name;

text_name! {
    /// An Organization's slug: 3–32 characters, `^[a-z][a-z0-9-]{2,31}$`, no
    /// trailing hyphen, none of the reserved words or codes.
    OrganizationName, check_organization
}

text_name! {
    /// An Application's name: 2–40 characters, a DNS label that no Environment
    /// prefix can be mistaken for.
    ApplicationName, check_application
}

text_name! {
    /// A Blueprint's name, `bp-` and a DNS label.
    BlueprintName, check_blueprint
}

const RESERVED_ORGANIZATIONS: [&str; 7] = [
    "system",
    "flux",
    "crossplane",
    "catalyst",
    "gitea",
    "catalog",
    "catalog-sovereign",
];

impl OrganizationName {
    /// Whether a text, in whatever case, is a word that no Organization may have
    /// as its name. The forge has users beside organizations, so these words are
    /// no users' names either.
    pub fn is_reserved(text: &str) -> bool {
        is_reserved_word(&text.to_ascii_lowercase())
    }
}

impl BlueprintName {
    /// The source and the name that a repository of a registry, `{source}/{name}`,
    /// stands for; nothing when it is not one of Blueprints.
    pub fn of_repository(repository: &str) -> Option<(&str, Self)> {
        let (source, name) = repository.split_once('/')?;
        Some((source, Self::new(name).ok()?))
    }
}

/// Why a text is no DNS label, as a sentence: the first character that breaks the rule
/// (RFC 1035, 2.3.1) and the rule, or its length; `None` when it fits.
fn label_problem(text: &str, shortest: usize, longest: usize) -> Option<String> {
    let length = text.chars().count();
    if !(shortest..=longest).contains(&length) {
        let plural = if length == 1 { "" } else { "s" };
        return Some(format!(
            "it has {length} character{plural}, {shortest} to {longest} are allowed"
        ));
    }
    let is_allowed = |at: usize, c: char| match c {
        'a'..='z' => true,
        '0'..='9' => at > 0,
        '-' => at > 0 && at + 1 < length,
        _ => false,
    };
    let (at, bad) = text
        .chars()
        .enumerate()
        .find(|(at, c)| !is_allowed(*at, *c))?;
    Some(format!(
        "{bad:?} is not allowed as character {}; use {shortest} to {longest} lower-case letters, \
         digits and hyphens, start with a letter and do not end with a hyphen",
        at + 1
    ))
}

fn check_organization(text: &str) -> Result<(), NameError> {
    let refuse = |reason: String| Err(NameError::new("Organization name", text, reason));
    if let Some(problem) = label_problem(text, 3, 32) {
        return refuse(problem);
    }
    if is_reserved_word(text) {
        return refuse("the word is reserved".to_owned());
    }
    Ok(())
}

fn is_reserved_word(text: &str) -> bool {
    let is_code = Provider::ALL.iter().any(|value| value.code() == text)
        || BuildingBlock::ALL.iter().any(|value| value.code() == text)
        || EnvType::ALL.iter().any(|value| value.code() == text)
        || Provider::ALL.iter().any(|value| {
            Region::known(*value)
                .iter()
                .any(|region| region.code == text)
        });
    RESERVED_ORGANIZATIONS.contains(&text) || text.starts_with("kube-") || is_code
}

fn check_application(text: &str) -> Result<(), NameError> {
    let refuse = |reason: String| Err(NameError::new("Application name", text, reason));
    if let Some(problem) = label_problem(text, 2, 40) {
        return refuse(problem);
    }
    // Namespaces of a vcluster that are not an Application's.
    if matches!(text, "default" | "catalyst-system")
        || text.starts_with("kube-")
        || text.starts_with("flux-")
    {
        return refuse("the word is reserved".to_owned());
    }
    match EnvType::ALL.iter().find(|env| {
        text.strip_prefix(env.code())
            .is_some_and(|rest| rest.starts_with('-'))
    }) {
        Some(env) => refuse(format!(
            "it must not start with the env type {env:?} and a hyphen",
            env = env.code()
        )),
        None => Ok(()),
    }
}

fn check_blueprint(text: &str) -> Result<(), NameError> {
    let refuse = |reason: String| Err(NameError::new("Blueprint name", text, reason));
    let Some(rest) = text.strip_prefix("bp-") else {
        return refuse("it must start with \"bp-\"".to_owned());
    };
    match label_problem(rest, 2, 50) {
        Some(problem) => refuse(format!("after \"bp-\", {problem}")),
        None => Ok(()),
    }
}
