//! `${variables}` in manifests, as Flux's post-build substitution fills them.

use std::collections::BTreeMap;

/// Fills the variables of a text.
///
/// Takes `${name}`, `${name:-default}`, `${name:=default}`, `${name:+other}`,
/// `${#name}`, `${name^^}`, `${name,,}`, `${name:offset:length}`,
/// `${name/old/new}`, `${name//old/new}`, `${name#prefix}`, `${name%suffix}`;
/// `$${x}` stays `${x}`. What is not set is empty.
pub fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = after.strip_prefix("$$") {
            out.push('$');
            // `$${x}` is left as `${x}`.
            if let Some(inner) = after.strip_prefix('{') {
                out.push('{');
                rest = inner;
            } else {
                rest = after;
            }
            continue;
        }
        let Some(inner) = after.strip_prefix("${") else {
            out.push('$');
            rest = after.get(1..).unwrap_or_default();
            continue;
        };
        let Some(end) = closing(inner) else {
            return Err(format!(
                "variable substitution failed: {:?} has no closing brace",
                after.lines().next().unwrap_or_default()
            ));
        };
        let (expression, tail) = inner.split_at(end);
        out.push_str(&evaluate(expression, variables)?);
        rest = tail.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace that belongs to the opening one stands.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

fn evaluate(expression: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    if let Some(name) = expression.strip_prefix('#') {
        let count = variables.get(name).map_or(0, |value| value.chars().count());
        return Ok(count.to_string());
    }
    let end = expression
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(expression.len());
    let (name, operation) = expression.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "variable substitution failed: ${{{expression}}} names no variable; write $${{{expression}}} for the text itself"
        ));
    }
    let value = variables.get(name).map_or("", String::as_str);
    let is_set = variables.contains_key(name);
    let other = |text: &str| fill(text, variables);
    if operation.is_empty() {
        return Ok(value.to_owned());
    }
    for (operator, only_unset) in [(":-", false), (":=", false), ("-", true), ("=", true)] {
        if let Some(text) = operation.strip_prefix(operator) {
            let absent = if only_unset {
                !is_set
            } else {
                value.is_empty()
            };
            return if absent {
                other(text)
            } else {
                Ok(value.to_owned())
            };
        }
    }
    if let Some(text) = operation.strip_prefix(":+") {
        return if value.is_empty() {
            Ok(String::new())
        } else {
            other(text)
        };
    }
    if let Some(why) = operation.strip_prefix(":?") {
        return if value.is_empty() {
            Err(format!("variable substitution failed: {name}: {why}"))
        } else {
            Ok(value.to_owned())
        };
    }
    if let Some(range) = operation.strip_prefix(':') {
        let (offset, length) = range.split_once(':').unwrap_or((range, ""));
        let offset: usize = offset.trim().parse().unwrap_or(0);
        let length: usize = length.trim().parse().unwrap_or(usize::MAX);
        return Ok(value.chars().skip(offset).take(length).collect());
    }
    let result = match operation {
        "^^" => value.to_uppercase(),
        ",," => value.to_lowercase(),
        "^" => first(value, |c| c.to_uppercase().collect()),
        "," => first(value, |c| c.to_lowercase().collect()),
        operation => {
            if let Some(pair) = operation.strip_prefix("//") {
                let (old, new) = pair.split_once('/').unwrap_or((pair, ""));
                value.replace(old, new)
            } else if let Some(pair) = operation.strip_prefix('/') {
                let (old, new) = pair.split_once('/').unwrap_or((pair, ""));
                value.replacen(old, new, 1)
            } else if let Some(prefix) = operation.strip_prefix('#') {
                let prefix = prefix.trim_start_matches('#');
                value.strip_prefix(prefix).unwrap_or(value).to_owned()
            } else if let Some(suffix) = operation.strip_prefix('%') {
                let suffix = suffix.trim_start_matches('%');
                value.strip_suffix(suffix).unwrap_or(value).to_owned()
            } else {
                return Err(format!(
                    "variable substitution failed: ${{{expression}}} is not understood"
                ));
            }
        }
    };
    Ok(result)
}

fn first(value: &str, change: impl Fn(char) -> String) -> String {
    let mut chars = value.chars();
    match chars.next() {
        Some(c) => change(c) + chars.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_as_flux_fills_them() {
        let variables = BTreeMap::from([
            ("name".to_owned(), "Prod".to_owned()),
            ("empty".to_owned(), String::new()),
            ("path".to_owned(), "a/b/a".to_owned()),
        ]);
        for (text, wanted) in [
            ("x: ${name}", "x: Prod"),
            ("${missing}", ""),
            ("${missing:-def}", "def"),
            ("${missing:=${name}}", "Prod"),
            ("${empty:-def}", "def"),
            ("${empty-def}", ""),
            ("${name:+set}", "set"),
            ("${name,,}", "prod"),
            ("${name^^}", "PROD"),
            ("${name:1:2}", "ro"),
            ("${#name}", "4"),
            ("${path//a/c}", "c/b/c"),
            ("$${name}", "${name}"),
            ("$name costs $5", "$name costs $5"),
            ("end$", "end$"),
        ] {
            assert_eq!(fill(text, &variables).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["${", "${name", "${1}", "${}"] {
            assert!(fill(text, &variables).is_err(), "{text}");
        }
    }
}
