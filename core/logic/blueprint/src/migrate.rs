//! From the config of an earlier version to that of a later one, as the later one
//! declares it: what a property that was renamed or dropped becomes.
//!
//! What must stay true: a value is moved or dropped whole and never made up, so that
//! a reference to a secret stays one; no other value is written over, neither one that
//! stands at the new place already nor one that stands where a group on the way to it
//! would be.

use catalyst_yaml::pointer::parts;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Upgrades, values::set};

/// What becomes of one property of the config of versions before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMigration {
    /// The first version that has it otherwise.
    pub before: Version,
    /// JSON pointer of the property that gets another place.
    #[serde(rename = "move", default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// JSON pointer of that place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// JSON pointer of a property that is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
}

/// What became of one property of a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedValue {
    /// JSON pointer of where it was.
    pub from: String,
    /// Where it is now; dropped if absent, as where another value stands in its way.
    pub to: Option<String>,
}

impl ValueMigration {
    /// What is wrong with it by itself, in a Blueprint of version `own`.
    pub(crate) fn faults(&self, own: &Version) -> Vec<String> {
        let mut faults = Vec::new();
        if self.before > *own {
            faults.push(format!(
                "it is for versions before {}, which is not reached by {own}",
                self.before
            ));
        }
        match (&self.from, &self.to, &self.remove) {
            (Some(from), Some(to), None) => {
                let is_inside = |one: &str, other: &str| {
                    one.strip_prefix(other)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                if is_inside(to, from) || is_inside(from, to) {
                    faults.push(format!("`{from}` is moved into itself"));
                }
            }
            (None, None, Some(_)) => {}
            _ => faults.push("it neither moves one property nor removes one".to_owned()),
        }
        faults
    }
}

impl Upgrades {
    /// Makes the config of an Application that comes from a version one of the version
    /// that this belongs to, and says what was done. What is not there is passed over.
    pub fn migrate(&self, from: &Version, config: &mut Value) -> Vec<MovedValue> {
        let mut moved = Vec::new();
        for step in self.values.iter().filter(|step| *from < step.before) {
            let Some(pointer) = step.from.as_ref().or(step.remove.as_ref()) else {
                continue;
            };
            let Some(value) = take(config, &parts(pointer)) else {
                continue;
            };
            let to = step.to.clone().filter(|to| is_free(config, &parts(to)));
            if let Some(to) = &to {
                set(config, &parts(to), &value);
            }
            moved.push(MovedValue {
                from: pointer.clone(),
                to,
            });
        }
        moved
    }
}

impl Upgrades {
    /// Where the version that this belongs to has a property of an earlier version, both
    /// by their dotted names, such as `database.host`; none where it is no more.
    pub fn place_of(&self, from: &Version, name: &str) -> Option<String> {
        let mut here = name.to_owned();
        for step in self.values.iter().filter(|step| *from < step.before) {
            if step
                .remove
                .as_ref()
                .is_some_and(|it| below(&here, it).is_some())
            {
                return None;
            }
            let (Some(moved), Some(to)) = (&step.from, &step.to) else {
                continue;
            };
            if let Some(rest) = below(&here, moved) {
                here = format!("{}{rest}", parts(to).join("."));
            }
        }
        Some(here)
    }
}

/// What follows in a dotted name after the place that a JSON pointer names; none where it
/// does not begin with that.
fn below<'a>(name: &'a str, pointer: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(&parts(pointer).join("."))?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}

/// Whether a value can be put there without one that stands there, or on the way there,
/// going away: the way leads by groups, as far as there is one.
fn is_free(target: &Value, parts: &[String]) -> bool {
    match (target, parts.split_first()) {
        (Value::Object(map), Some((first, rest))) => {
            map.get(first).is_none_or(|inner| is_free(inner, rest))
        }
        _ => false,
    }
}

/// Takes a value out, and the groups that are empty without it.
fn take(target: &mut Value, parts: &[String]) -> Option<Value> {
    let (first, rest) = parts.split_first()?;
    let map = target.as_object_mut()?;
    if rest.is_empty() {
        return map.remove(first);
    }
    let inner = map.get_mut(first)?;
    let taken = take(inner, rest)?;
    if inner.as_object().is_some_and(Map::is_empty) {
        map.remove(first);
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upgrades() -> Upgrades {
        let text = r#"{"values": [
            {"before": "1.2.0", "move": "/host", "to": "/database/host"},
            {"before": "2.0.0", "remove": "/old/flag"},
            {"before": "2.0.0", "move": "/database", "to": "/db"},
            {"before": "2.0.0", "move": "/key", "to": "/auth/key"}
        ]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_config_becomes_one_of_the_later_version() {
        for (from, config, expected, moves) in [
            (
                "1.0.0",
                json!({"host": "a"}),
                json!({"db": {"host": "a"}}),
                2,
            ),
            (
                "1.2.0",
                json!({"database": {"host": "a"}, "title": "T"}),
                json!({"db": {"host": "a"}, "title": "T"}),
                1,
            ),
            // By the version that it comes from, also where the name is in use again.
            ("2.0.0", json!({"host": "a"}), json!({"host": "a"}), 0),
            ("1.9.0", json!({"old": {"flag": true}}), json!({}), 1),
            (
                "1.9.0",
                json!({"old": {"flag": true, "other": 1}}),
                json!({"old": {"other": 1}}),
                1,
            ),
            (
                "1.9.0",
                json!({"key": {"secretRef": "key"}}),
                json!({"auth": {"key": {"secretRef": "key"}}}),
                1,
            ),
            // What stands there already stays.
            (
                "1.9.0",
                json!({"key": "old", "auth": {"key": "new"}}),
                json!({"auth": {"key": "new"}}),
                1,
            ),
            (
                "1.0.0",
                json!({"database": "text"}),
                json!({"db": "text"}),
                1,
            ),
            ("1.0.0", json!(null), json!(null), 0),
        ] {
            let mut config = config;
            let moved = upgrades().migrate(&from.parse().unwrap(), &mut config);
            assert_eq!(config, expected, "from {from}");
            assert_eq!(moved.len(), moves, "{moved:?}");
        }
    }

    #[test]
    fn a_property_is_found_where_the_later_version_has_it() {
        for (from, name, expected) in [
            ("1.0.0", "host", Some("db.host")),
            ("1.2.0", "host", Some("host")),
            ("1.2.0", "database.port", Some("db.port")),
            ("1.2.0", "database[].port", Some("db[].port")),
            ("1.2.0", "databases", Some("databases")),
            ("1.9.0", "key", Some("auth.key")),
            ("1.9.0", "old.flag", None),
            ("2.0.0", "old.flag", Some("old.flag")),
        ] {
            let found = upgrades().place_of(&from.parse().unwrap(), name);
            assert_eq!(found.as_deref(), expected, "{name} from {from}");
        }
    }

    #[test]
    fn nothing_is_lost_that_stands_at_the_new_place_or_before_it() {
        for (before, expected, to) in [
            (
                json!({"host": "a"}),
                json!({"database": {"host": "a"}}),
                Some("/database/host"),
            ),
            (
                json!({"host": "a", "database": {"port": 1}}),
                json!({"database": {"port": 1, "host": "a"}}),
                Some("/database/host"),
            ),
            (
                json!({"host": "a", "database": {"host": "b"}}),
                json!({"database": {"host": "b"}}),
                None,
            ),
            // Also where it is null, which stands for the chart's default taken away.
            (
                json!({"host": "a", "database": {"host": null}}),
                json!({"database": {"host": null}}),
                None,
            ),
            // No group on the way, which a value would be replaced by.
            (
                json!({"host": "a", "database": "text"}),
                json!({"database": "text"}),
                None,
            ),
            (
                json!({"host": "a", "database": null}),
                json!({"database": null}),
                None,
            ),
            (
                json!({"host": "a", "database": ["b"]}),
                json!({"database": ["b"]}),
                None,
            ),
        ] {
            let mut upgrades = upgrades();
            upgrades.values.truncate(1);
            let mut config = before.clone();
            let moved = upgrades.migrate(&"1.0.0".parse().unwrap(), &mut config);
            assert_eq!(config, expected, "{before}");
            let expected = MovedValue {
                from: "/host".to_owned(),
                to: to.map(str::to_owned),
            };
            assert_eq!(moved, [expected], "{before}");
        }
    }

    #[test]
    fn a_migration_says_one_thing_that_can_be_done() {
        for (text, part) in [
            (r#"{"before": "1.0.0", "move": "/a", "to": "/b"}"#, None),
            (r#"{"before": "1.0.0", "remove": "/a"}"#, None),
            (r#"{"before": "1.0.0", "move": "/a"}"#, Some("neither")),
            (r#"{"before": "1.0.0"}"#, Some("neither")),
            (
                r#"{"before": "1.0.0", "move": "/a", "to": "/b", "remove": "/c"}"#,
                Some("neither"),
            ),
            (
                r#"{"before": "1.0.0", "move": "/a", "to": "/a/b"}"#,
                Some("into itself"),
            ),
            (
                r#"{"before": "3.0.0", "remove": "/a"}"#,
                Some("not reached"),
            ),
        ] {
            let migration: ValueMigration = serde_json::from_str(text).unwrap();
            let faults = migration.faults(&Version::new(2, 0, 0));
            assert_eq!(faults.is_empty(), part.is_none(), "{text}: {faults:?}");
            let is_told = faults
                .iter()
                .all(|it| it.contains(part.unwrap_or_default()));
            assert!(is_told, "{text}: {faults:?}");
        }
    }
}
