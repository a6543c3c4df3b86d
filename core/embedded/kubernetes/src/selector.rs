//! Label and field selectors.

use serde_json::Value;

use crate::object::{array, text};
use crate::status::ApiError;

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

/// A parsed label selector; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    /// Parses the query syntax: `a=b,c!=d,e in (f,g),h,!i`.
    pub fn parse(selector: &str) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(selector) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            requirements.push(requirement(part).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "unable to parse requirement: invalid label selector {part:?}"
                ))
            })?);
        }
        Ok(Self(requirements))
    }

    /// Reads a `metav1.LabelSelector`.
    pub fn from_object(selector: &Value) -> Self {
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                requirements.push(Requirement::In(
                    key.clone(),
                    vec![value.as_str().unwrap_or_default().to_owned()],
                ));
            }
        }
        for expression in array(selector, "/matchExpressions") {
            let key = text(expression, "/key").to_owned();
            let values = array(expression, "/values")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            requirements.push(match text(expression, "/operator") {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                _ => Requirement::Absent(key),
            });
        }
        Self(requirements)
    }

    /// A map of labels that must all be there.
    pub fn from_labels(labels: &Value) -> Self {
        Self::from_object(&serde_json::json!({"matchLabels": labels}))
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the object's labels satisfy every requirement.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(object.pointer("/metadata/labels").unwrap_or(&Value::Null))
    }

    /// Whether labels satisfy every requirement.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                value(key).is_some_and(|found| values.iter().any(|one| one == found))
            }
            Requirement::NotIn(key, values) => {
                value(key).is_none_or(|found| values.iter().all(|one| one != found))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::Greater(key, bound) => value(key)
                .and_then(|found| found.parse::<i64>().ok())
                .is_some_and(|found| found > *bound),
            Requirement::Less(key, bound) => value(key)
                .and_then(|found| found.parse::<i64>().ok())
                .is_some_and(|found| found < *bound),
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, one) in text.char_indices() {
        match one {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    let key_of = |text: &str| {
        let key = text.trim();
        let valid = !key.is_empty()
            && key
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | '/'));
        valid.then(|| key.to_owned())
    };
    if let Some(key) = part.strip_prefix('!') {
        return key_of(key).map(Requirement::Absent);
    }
    for (operator, build) in [
        (
            " notin ",
            Requirement::NotIn as fn(String, Vec<String>) -> Requirement,
        ),
        (
            " in ",
            Requirement::In as fn(String, Vec<String>) -> Requirement,
        ),
        (
            " notin(",
            Requirement::NotIn as fn(String, Vec<String>) -> Requirement,
        ),
        (
            " in(",
            Requirement::In as fn(String, Vec<String>) -> Requirement,
        ),
    ] {
        if let Some((key, values)) = part.split_once(operator) {
            let values = values.trim().trim_start_matches('(').strip_suffix(')')?;
            return Some(build(
                key_of(key)?,
                values.split(',').map(|one| one.trim().to_owned()).collect(),
            ));
        }
    }
    for operator in ["!=", "==", "=", ">", "<"] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, value) = (key_of(key)?, value.trim().to_owned());
            let is_value = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
            if !value.chars().all(is_value) {
                return None;
            }
            return match operator {
                "!=" => Some(Requirement::NotIn(key, vec![value])),
                ">" => value
                    .parse()
                    .ok()
                    .map(|bound| Requirement::Greater(key, bound)),
                "<" => value
                    .parse()
                    .ok()
                    .map(|bound| Requirement::Less(key, bound)),
                _ => Some(Requirement::In(key, vec![value])),
            };
        }
    }
    key_of(part).map(Requirement::Exists)
}

/// A parsed field selector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<(String, String, bool)>);

impl FieldSelector {
    /// Parses `a=b,c!=d`, refusing fields that `supported` does not know.
    pub fn parse(selector: &str, supported: impl Fn(&str) -> bool) -> Result<Self, ApiError> {
        let mut terms = Vec::new();
        for part in selector.split(',').filter(|one| !one.trim().is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                (field, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid field selector: {part:?}; can't understand it"
                )));
            };
            if !supported(field.trim()) {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {}",
                    field.trim()
                )));
            }
            terms.push((field.trim().to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self(terms))
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the object has the asked-for values.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, value, equal)| {
            let mut path = String::new();
            for part in field.split('.') {
                path.push('/');
                path.push_str(part);
            }
            let found = match object.pointer(&path) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *value) == *equal
        })
    }
}

/// Whether a built-in resource can be selected by a field.
pub fn selectable(resource: &crate::catalog::Resource, field: &str) -> bool {
    if field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced) {
        return true;
    }
    if let Some(custom) = &resource.custom {
        return custom
            .selectable
            .iter()
            .any(|path| path.trim_start_matches('.') == field);
    }
    let fields: &[&str] = match resource.storage.as_str() {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "secrets" => &["type"],
        "namespaces" => &["status.phase"],
        "nodes" => &["spec.unschedulable"],
        "services" => &["spec.clusterIP", "spec.type"],
        "jobs.batch" => &["status.successful"],
        "replicasets.apps" | "replicationcontrollers" => &["status.replicas"],
        "certificatesigningrequests.certificates.k8s.io" => &["spec.signerName"],
        _ => &[],
    };
    fields.contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front", "n": "5"}}});
        for (selector, expected) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app in (web, db)", true),
            ("app notin (web)", false),
            ("missing", false),
            ("!missing", true),
            ("n>4", true),
            ("n<4", false),
            ("", true),
            ("app=db", false),
        ] {
            assert_eq!(
                LabelSelector::parse(selector).unwrap().matches(&object),
                expected,
                "{selector}"
            );
        }
        assert_eq!(LabelSelector::parse("a b").unwrap_err().code, 400);
    }

    #[test]
    fn field_selectors_select_and_refuse() {
        let object = json!({"metadata": {"name": "x"}, "status": {"phase": "Running"}});
        let parse = |text: &str| FieldSelector::parse(text, |field| field != "spec.other");
        assert!(
            parse("metadata.name=x,status.phase!=Failed")
                .unwrap()
                .matches(&object)
        );
        assert!(!parse("metadata.name=y").unwrap().matches(&object));
        assert_eq!(parse("spec.other=1").unwrap_err().code, 400);
    }
}
