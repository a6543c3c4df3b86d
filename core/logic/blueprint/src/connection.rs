//! The connection secret of an Application: what stands in it, by the
//! Blueprint's templates.
//!
//! Called once per Application, by the controller that generates the secret.
//! What must stay true: no value reaches an error's text.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::expression::{check_syntax, expressions_in, interpolate_with};
use crate::file::ConnectionSecret;

/// The names that templates see.
pub(crate) const NAMES: [&str; 5] = ["username", "password", "host", "database", "application"];

/// What templates see.
#[derive(Clone)]
pub struct ConnectionScope {
    /// The user that dependents sign in as.
    pub username: String,
    /// A random password.
    pub password: String,
    /// `{application}.{workload namespace}.svc`.
    pub host: String,
    /// The database that dependents use.
    pub database: String,
    /// The Application that provides the connection.
    pub application: String,
}

impl std::fmt::Debug for ConnectionScope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConnectionScope")
            .field("host", &self.host)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// Why a connection secret could not be put together. Names keys only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot make the key `{key}` of the connection secret: its template cannot be evaluated; correct `provides.connectionSecret.values` in the Blueprint"
)]
pub struct ConnectionError {
    /// The key.
    pub key: String,
}

impl ConnectionSecret {
    /// The secret's keys with their values.
    pub fn render(
        &self,
        scope: &ConnectionScope,
    ) -> Result<BTreeMap<String, String>, ConnectionError> {
        let variables = [
            ("username", json!(scope.username)),
            ("password", json!(scope.password)),
            ("host", json!(scope.host)),
            ("database", json!(scope.database)),
            ("application", json!(scope.application)),
        ];
        let variables: Vec<(&str, &Value)> = variables
            .iter()
            .map(|(name, value)| (*name, value))
            .collect();
        self.keys
            .iter()
            .map(|key| {
                let template = json!(self.template(key));
                // The reason could quote what the expression saw.
                match interpolate_with(&template, &variables) {
                    Ok(Value::String(text)) => Ok((key.clone(), text)),
                    Ok(Value::Number(number)) => Ok((key.clone(), number.to_string())),
                    _ => Err(ConnectionError { key: key.clone() }),
                }
            })
            .collect()
    }

    /// A key without a template is the variable of its name.
    fn template(&self, key: &str) -> String {
        self.values
            .get(key)
            .cloned()
            .unwrap_or_else(|| format!("${{{key}}}"))
    }

    /// What is wrong with the templates, key by key: lint's question.
    pub(crate) fn template_problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .values
            .keys()
            .filter(|key| !self.keys.contains(key))
            .map(|key| format!("`values` has `{key}`, which is not one of `keys`"))
            .collect();
        for key in &self.keys {
            if !self.values.contains_key(key) && !NAMES.contains(&key.as_str()) {
                problems.push(format!(
                    "`values` says nothing of `{key}`, and it is not one of {}",
                    NAMES.join(", ")
                ));
                continue;
            }
            let mut expressions = Vec::new();
            let template = json!(self.template(key));
            let faults = expressions_in(&template, &mut expressions)
                .err()
                .into_iter()
                .chain(
                    expressions
                        .iter()
                        .filter_map(|text| check_syntax(text).err()),
                );
            problems.extend(faults.map(|error| format!("`{key}`: {error}")));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> ConnectionScope {
        ConnectionScope {
            username: "wiki_db".to_owned(),
            password: "s3cret-s3cret".to_owned(),
            host: "wiki-db.wiki-db.svc".to_owned(),
            database: "wiki-db".to_owned(),
            application: "wiki-db".to_owned(),
        }
    }

    fn secret(values: &[(&str, &str)]) -> ConnectionSecret {
        ConnectionSecret {
            keys: vec!["url".to_owned(), "username".to_owned()],
            values: values
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn templates_and_names_fill_the_keys() {
        let rendered = secret(&[(
            "url",
            "postgres://${username}:${password}@${host}:5432/${database}",
        )])
        .render(&scope())
        .unwrap();
        assert_eq!(
            rendered,
            BTreeMap::from([
                (
                    "url".to_owned(),
                    "postgres://wiki_db:s3cret-s3cret@wiki-db.wiki-db.svc:5432/wiki-db".to_owned()
                ),
                ("username".to_owned(), "wiki_db".to_owned()),
            ])
        );
    }

    #[test]
    fn a_failing_template_tells_no_secret() {
        for template in [
            "${password.missing}",
            "${password + 1}",
            "${nothing}",
            "${[password]}",
        ] {
            let error = secret(&[("url", template)]).render(&scope()).unwrap_err();
            assert_eq!(error.key, "url", "{template}");
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
        assert!(!format!("{:?}", scope()).contains("s3cret"));
    }

    #[test]
    fn lint_sees_strays_gaps_and_syntax() {
        assert!(secret(&[("url", "${host}")]).template_problems().is_empty());
        assert_eq!(secret(&[]).template_problems().len(), 1);
        assert_eq!(
            secret(&[("url", "${host"), ("stray", "x")])
                .template_problems()
                .len(),
            2
        );
    }
}
