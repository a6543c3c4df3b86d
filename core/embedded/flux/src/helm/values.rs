//! The values of a HelmRelease: `valuesFrom` in order, then `values` over them.

use serde_json::{Map, Value};

use crate::json::{flag, merge, some_text, text};

/// One entry of `valuesFrom` with what it was found to hold.
pub struct Reference<'a> {
    pub spec: &'a Value,
    /// The text at its key; `None` where the object or key is missing.
    pub found: Option<String>,
}

/// Puts the values together.
pub fn compose(references: &[Reference<'_>], inline: Option<&Value>) -> Result<Value, String> {
    let mut values = Map::new();
    for reference in references {
        let spec = reference.spec;
        let place = format!(
            "{} {}, key {}",
            text(spec, "/kind"),
            text(spec, "/name"),
            key_of(spec)
        );
        let Some(found) = &reference.found else {
            if flag(spec, "/optional") {
                continue;
            }
            return Err(format!(
                "could not resolve the values of {place}: it does not exist; create it or mark it optional"
            ));
        };
        match some_text(spec, "/targetPath") {
            None => match catalyst_yaml::from_str(found) {
                Ok(Value::Object(map)) => merge(&mut values, &map),
                Ok(Value::Null) => {}
                // The text itself may be secret: say where, not what.
                Ok(_) | Err(_) => {
                    return Err(format!(
                        "could not read the values of {place}: they are not a YAML map"
                    ));
                }
            },
            Some(path) => {
                let value = if flag(spec, "/literal") {
                    Value::String(found.clone())
                } else {
                    typed(found)
                };
                put(&mut values, path, value).map_err(|why| {
                    format!("could not set targetPath {path:?} from {place}: {why}")
                })?;
            }
        }
    }
    if let Some(Value::Object(inline)) = inline {
        merge(&mut values, inline);
    }
    Ok(Value::Object(values))
}

/// The key that is read, `values.yaml` without another word.
pub fn key_of(spec: &Value) -> &str {
    some_text(spec, "/valuesKey").unwrap_or("values.yaml")
}

/// A single value as `helm --set` reads it; quotes make it text.
fn typed(text: &str) -> Value {
    for quote in ['\'', '"'] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
        {
            return Value::String(inner.to_owned());
        }
    }
    match text {
        "true" => return true.into(),
        "false" => return false.into(),
        "null" => return Value::Null,
        "0" => return 0.into(),
        _ => {}
    }
    if let Some(items) = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    {
        return items.split(',').map(|item| typed(item.trim())).collect();
    }
    // A leading zero means that it is no number.
    if !text.starts_with('0')
        && !text.starts_with('+')
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    Value::String(text.to_owned())
}

enum Step {
    Key(String),
    Index(usize),
}

/// Sets a value at `a.b[0].c`; a backslash takes the next character as it is.
fn put(values: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.extend(chars.next()),
            '.' => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                }
            }
            '[' => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                }
                let digits: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let index = digits
                    .parse()
                    .ok()
                    .filter(|index| *index <= 65_536)
                    .ok_or_else(|| format!("[{digits}] is not an index"))?;
                steps.push(Step::Index(index));
            }
            c => key.push(c),
        }
    }
    if !key.is_empty() {
        steps.push(Step::Key(key));
    }
    if !matches!(steps.first(), Some(Step::Key(_))) {
        return Err("it must begin with a key".into());
    }
    let mut root = Value::Object(std::mem::take(values));
    let mut place = &mut root;
    for step in steps {
        place = match step {
            Step::Key(key) => crate::json::as_map(place).entry(key).or_insert(Value::Null),
            Step::Index(index) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Value::Array(all) = place else {
                    return Err("it is not a list".into());
                };
                while all.len() <= index {
                    all.push(Value::Null);
                }
                match all.get_mut(index) {
                    Some(place) => place,
                    None => return Err("it is not a list".into()),
                }
            }
        };
    }
    *place = value;
    if let Value::Object(map) = root {
        *values = map;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_values_win_and_inline_ones_most() {
        let map = json!({"kind": "ConfigMap", "name": "a"});
        let path = json!({"kind": "Secret", "name": "s", "valuesKey": "value", "targetPath": "db.password"});
        let literal =
            json!({"kind": "Secret", "name": "s", "targetPath": "db.pin", "literal": true});
        let optional = json!({"kind": "Secret", "name": "none", "optional": true});
        let found = compose(
            &[
                Reference {
                    spec: &map,
                    found: Some("db: {password: x, host: h}\ncount: 1\n".into()),
                },
                Reference {
                    spec: &path,
                    found: Some("secret".into()),
                },
                Reference {
                    spec: &literal,
                    found: Some("0042".into()),
                },
                Reference {
                    spec: &optional,
                    found: None,
                },
            ],
            Some(&json!({"count": 2})),
        );
        assert_eq!(
            found,
            Ok(json!({"db": {"password": "secret", "host": "h", "pin": "0042"}, "count": 2}))
        );
    }

    #[test]
    fn single_values_are_typed_as_helm_set_types_them() {
        for (text, wanted) in [
            ("true", json!(true)),
            ("12", json!(12)),
            ("012", json!("012")),
            ("'12'", json!("12")),
            ("1.5", json!("1.5")),
            ("null", json!(null)),
            ("{a,1}", json!(["a", 1])),
            ("a,b=c", json!("a,b=c")),
        ] {
            assert_eq!(typed(text), wanted, "{text}");
        }
    }

    #[test]
    fn paths_reach_into_lists_and_take_escapes() {
        let mut values = Map::new();
        put(&mut values, "a.b[1].c", json!(1)).unwrap();
        put(&mut values, r"n.app\.io/x", json!(2)).unwrap();
        assert_eq!(
            Value::Object(values.clone()),
            json!({"a": {"b": [null, {"c": 1}]}, "n": {"app.io/x": 2}})
        );
        assert!(put(&mut values, "[0]", json!(1)).is_err());
        assert!(put(&mut values, "a[x]", json!(1)).is_err());
    }

    #[test]
    fn a_missing_reference_is_named_without_its_content() {
        let spec = json!({"kind": "Secret", "name": "s"});
        let missing = compose(
            &[Reference {
                spec: &spec,
                found: None,
            }],
            None,
        )
        .unwrap_err();
        assert!(missing.contains("Secret s, key values.yaml"), "{missing}");
        let broken = compose(
            &[Reference {
                spec: &spec,
                found: Some("hunter2".into()),
            }],
            None,
        );
        assert!(!broken.unwrap_err().contains("hunter2"));
    }
}
