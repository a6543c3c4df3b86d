//! Who may sign without a key of their own: the subject that a certificate is made
//! out to, and the OpenID Connect issuer that vouched for them.
//!
//! What must stay true: an identity names both, as a subject means nothing without
//! the issuer that gave it; and an expression costs what its bounds allow, whoever
//! wrote it.

use regex::{Regex, RegexBuilder};

/// The longest text or expression that a claim is compared with, in bytes.
const MAX_PATTERN: usize = 1_024;
/// What a compiled expression may take, in bytes.
const MAX_EXPRESSION: usize = 1 << 20;
/// How deep an expression may nest.
const MAX_DEPTH: u32 = 32;

/// Why an identity cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Neither the text nor the expression was given.
    #[error(
        "could not read the identity: it names no {claim}; give the {claim} itself, or a regular expression for it"
    )]
    Missing {
        /// `subject` or `issuer`.
        claim: &'static str,
    },
    /// Both were.
    #[error(
        "could not read the identity: it gives the {claim} and a regular expression for it; keep one of them"
    )]
    Both {
        /// `subject` or `issuer`.
        claim: &'static str,
    },
    /// Longer than anything that is compared.
    #[error(
        "could not read the identity: its {claim} has {length} bytes, and at most {MAX_PATTERN} are compared; shorten it"
    )]
    TooLong {
        /// `subject` or `issuer`.
        claim: &'static str,
        /// How long it is.
        length: usize,
    },
    /// An expression that cannot be compiled within its bounds.
    #[error(
        "could not read the identity: the expression for its {claim} cannot be used ({reason}); write it as RE2 has it"
    )]
    Expression {
        /// `subject` or `issuer`.
        claim: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// What one claim of a certificate must be.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    expression: Option<Regex>,
}

impl Pattern {
    /// One of both; as with cosign, an expression need only be found within the claim.
    fn new(
        claim: &'static str,
        exact: Option<&str>,
        expression: Option<&str>,
    ) -> Result<Self, IdentityError> {
        let given = |text: &&str| !text.is_empty();
        let (text, is_expression) = match (exact.filter(given), expression.filter(given)) {
            (Some(text), None) => (text, false),
            (None, Some(text)) => (text, true),
            (Some(_), Some(_)) => return Err(IdentityError::Both { claim }),
            (None, None) => return Err(IdentityError::Missing { claim }),
        };
        if text.len() > MAX_PATTERN {
            let length = text.len();
            return Err(IdentityError::TooLong { claim, length });
        }
        let compiled = is_expression.then(|| {
            RegexBuilder::new(text)
                .size_limit(MAX_EXPRESSION)
                .dfa_size_limit(MAX_EXPRESSION)
                .nest_limit(MAX_DEPTH)
                .build()
        });
        let expression = compiled
            .transpose()
            .map_err(|error| IdentityError::Expression {
                claim,
                reason: error.to_string(),
            })?;
        Ok(Self {
            text: text.to_owned(),
            expression,
        })
    }

    /// The text, or the expression's.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As an expression, for whoever takes these alone.
    pub fn to_expression(&self) -> String {
        match self.is_expression() {
            true => self.text.clone(),
            false => format!("^{}$", regex::escape(&self.text)),
        }
    }

    /// Whether it is an expression.
    pub fn is_expression(&self) -> bool {
        self.expression.is_some()
    }

    fn matches(&self, claim: &str) -> bool {
        match &self.expression {
            Some(expression) => expression.is_match(claim),
            None => self.text == claim,
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.is_expression() == other.is_expression()
    }
}

impl Eq for Pattern {}

impl std::fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.is_expression() {
            true => write!(formatter, "/{}/", self.text),
            false => formatter.write_str(&self.text),
        }
    }
}

/// Somebody who signs by certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    subject: Pattern,
    issuer: Pattern,
}

/// The four fields in which an identity is written down, whatever they are called
/// there: of each claim its text or an expression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdentityFields<'a> {
    /// The subject itself.
    pub subject: Option<&'a str>,
    /// An expression that is found in it.
    pub subject_regexp: Option<&'a str>,
    /// The issuer itself.
    pub issuer: Option<&'a str>,
    /// An expression that is found in it.
    pub issuer_regexp: Option<&'a str>,
}

impl Identity {
    /// Reads one; an empty field is one that is not given.
    pub fn new(fields: IdentityFields<'_>) -> Result<Self, IdentityError> {
        Ok(Self {
            subject: Pattern::new("subject", fields.subject, fields.subject_regexp)?,
            issuer: Pattern::new("issuer", fields.issuer, fields.issuer_regexp)?,
        })
    }

    /// What the subject must be.
    pub fn subject(&self) -> &Pattern {
        &self.subject
    }

    /// What the issuer must be.
    pub fn issuer(&self) -> &Pattern {
        &self.issuer
    }

    /// Whether a certificate of these claims is theirs. One that lacks a claim is
    /// nobody's, whatever an expression finds in nothing.
    pub fn is_of(&self, subject: &str, issuer: &str) -> bool {
        let is_told = !subject.is_empty() && !issuer.is_empty();
        is_told && self.issuer.matches(issuer) && self.subject.matches(subject)
    }

    /// Whether it is at least made out to the subject, by whomever.
    pub(crate) fn has_subject(&self, subject: &str) -> bool {
        self.subject.matches(subject)
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} by {}", self.subject, self.issuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CI: &str = "https://github.com/acme/shop/.github/workflows/release.yaml@refs/tags/v1";
    const ISSUER: &str = "https://token.actions.githubusercontent.com";

    fn exact<'a>(subject: &'a str, issuer: &'a str) -> IdentityFields<'a> {
        IdentityFields {
            subject: Some(subject),
            issuer: Some(issuer),
            ..IdentityFields::default()
        }
    }

    fn expressions<'a>(subject: &'a str, issuer: &'a str) -> IdentityFields<'a> {
        IdentityFields {
            subject_regexp: Some(subject),
            issuer_regexp: Some(issuer),
            ..IdentityFields::default()
        }
    }

    #[test]
    fn both_claims_must_be_the_identity_s() {
        for (fields, is_theirs) in [
            (exact(CI, ISSUER), true),
            (exact("https://github.com/acme/shop", ISSUER), false),
            (exact(CI, "https://accounts.example.org"), false),
            (
                expressions("^https://github\\.com/acme/", "^https://token"),
                true,
            ),
            // Found anywhere in the claim, unless it says otherwise.
            (expressions("acme", "actions"), true),
            (expressions("^acme", "actions"), false),
            (expressions("acme", "^actions"), false),
            (expressions("ACME", "actions"), false),
        ] {
            let identity = Identity::new(fields).unwrap();
            assert_eq!(identity.is_of(CI, ISSUER), is_theirs, "{fields:?}");
        }
        let anybody = Identity::new(expressions(".*", ".*")).unwrap();
        for (subject, issuer, is_theirs) in
            [(CI, ISSUER, true), (CI, "", false), ("", ISSUER, false)]
        {
            assert_eq!(
                anybody.is_of(subject, issuer),
                is_theirs,
                "{subject} {issuer}"
            );
        }
    }

    #[test]
    fn what_names_nobody_in_particular_or_costs_too_much_is_refused() {
        let long = "a".repeat(MAX_PATTERN + 1);
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        let mixed = IdentityFields {
            subject_regexp: Some("acme"),
            ..exact(CI, ISSUER)
        };
        for (fields, said) in [
            (exact("", ISSUER), "it names no subject"),
            (exact(CI, ""), "it names no issuer"),
            (expressions("", "a"), "it names no subject"),
            (IdentityFields::default(), "it names no subject"),
            (mixed, "keep one of them"),
            (exact(&long, ISSUER), "has 1025 bytes"),
            (expressions("a(", ISSUER), "cannot be used"),
            (expressions(&deep, ISSUER), "cannot be used"),
            (expressions("(?:a{1000}){1000}", ISSUER), "cannot be used"),
        ] {
            let error = Identity::new(fields).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_text_and_an_expression_of_the_same_letters_are_two_identities() {
        let text = Identity::new(exact("a", "b")).unwrap();
        let expression = Identity::new(expressions("a", "b")).unwrap();
        assert_ne!(text, expression);
        assert_eq!(text, Identity::new(exact("a", "b")).unwrap());
        assert_eq!(text.to_string(), "a by b");
        assert_eq!(expression.to_string(), "/a/ by /b/");
        // Where only expressions are taken they stay what they are.
        let text = Identity::new(exact("a.b+c", "b")).unwrap();
        assert_eq!(text.subject().to_expression(), r"^a\.b\+c$");
        assert_eq!(expression.subject().to_expression(), "a");
    }
}
