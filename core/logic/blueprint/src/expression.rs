//! CEL in Blueprints: `when` conditions and `${…}` in values.
//!
//! Expressions see `config`, `application` and `environment` and nothing else;
//! they cannot loop for ever (CEL has no loops beyond its inputs) and are bounded
//! in length, since a Blueprint is somebody else's text. What is said of one that fails
//! names the expression and never a value, in words of our own.

use cel::{Context, ExecutionError, ParseErrors, Program};
use serde_json::{Map, Number, Value};

/// The longest expression that is evaluated, in bytes.
const MAX_LENGTH: usize = 4096;

/// What expressions see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// The Application's config, schema defaults included.
    pub config: Value,
    /// `{name, size, blueprint: {name, source, version}}`.
    pub application: Value,
    /// `{name, organization, envType, domain}`.
    pub environment: Value,
}

impl Scope {
    fn variables(&self) -> [(&'static str, &Value); 3] {
        [
            ("config", &self.config),
            ("application", &self.application),
            ("environment", &self.environment),
        ]
    }
}

/// Why an expression gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is not CEL.
    #[error("cannot read the expression `{expression}`: {reason}")]
    Syntax {
        /// The text.
        expression: String,
        /// The parser's reason.
        reason: String,
    },
    /// It is CEL, but failed on these inputs.
    #[error(
        "cannot evaluate the expression `{expression}`: {reason}; guard optional properties with has(…) or give them a default in configSchema"
    )]
    Evaluation {
        /// The text.
        expression: String,
        /// What went wrong.
        reason: String,
    },
    /// A condition that is not true or false.
    #[error("the condition `{expression}` gave {found}, not true or false; compare with ==")]
    NotBoolean {
        /// The text.
        expression: String,
        /// What it gave.
        found: &'static str,
    },
    /// `${` without its `}`.
    #[error(
        "`{text}` opens `${{` and does not close it; add `}}`, or write `$${{` for a plain `${{`"
    )]
    Unclosed {
        /// The text.
        text: String,
    },
}

/// Checks that an expression is CEL, without evaluating it.
pub(crate) fn check_syntax(expression: &str) -> Result<Program, ExpressionError> {
    let syntax = |reason: String| ExpressionError::Syntax {
        expression: shorten(expression),
        reason,
    };
    if expression.len() > MAX_LENGTH {
        return Err(syntax(format!("it is longer than {MAX_LENGTH} bytes")));
    }
    Program::compile(expression).map_err(|error| syntax(misread(expression, &error)))
}

/// Where an expression stops being one; what a parser says after that follows from it.
fn misread(expression: &str, errors: &ParseErrors) -> String {
    const SYNTAX: &str = "Syntax error";
    let Some(first) = errors.errors.first() else {
        return "it is not CEL".to_owned();
    };
    let (line, column) = first.pos;
    let nth = |number: isize| usize::try_from(number - 1).ok();
    let rest: Option<String> = nth(line)
        .and_then(|line| expression.lines().nth(line))
        .zip(nth(column))
        .map(|(line, before)| line.chars().skip(before).collect());
    let place = match line {
        1 => format!("character {column}"),
        _ => format!("line {line}, character {column}"),
    };
    match rest {
        Some(rest) if !rest.trim().is_empty() && first.msg.starts_with(SYNTAX) => {
            format!("it is not CEL from `{}` on ({place})", shorten(rest.trim()))
        }
        _ if first.msg.starts_with(SYNTAX) => "something is missing at its end".to_owned(),
        Some(_) => format!("{} ({place})", first.msg),
        None => first.msg.clone(),
    }
}

/// Why an expression failed, without any value that it saw: some are secrets.
fn failed_on(error: &ExecutionError, scope: &[(&str, &Value)]) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}` in what it looks at"),
        ExecutionError::UndeclaredReference(name) => {
            let known: Vec<&str> = scope.iter().map(|(name, _)| *name).collect();
            format!(
                "there is nothing called `{name}`; it sees {}",
                known.join(", ")
            )
        }
        ExecutionError::NoSuchOverload(overload) => format!(
            "`{}` does not take {}",
            overload.function().trim_matches('_'),
            overload.argument_types().join(" and ")
        ),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => format!(
            "`{operator}` does not take {} and {}",
            cel_kind(left),
            cel_kind(right)
        ),
        ExecutionError::ValuesNotComparable(left, right) => format!(
            "{} cannot be compared with {}",
            cel_kind(left),
            cel_kind(right)
        ),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function in it takes {expected} arguments, and is given {actual}")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number in it becomes too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list in it has no such item".to_owned(),
        _ => "it does not fit the values that it sees".to_owned(),
    }
}

fn cel_kind(value: &cel::Value) -> &'static str {
    match value {
        cel::Value::Null => "null",
        cel::Value::Bool(_) => "a boolean",
        cel::Value::Int(_) | cel::Value::UInt(_) | cel::Value::Float(_) => "a number",
        cel::Value::String(_) => "a string",
        cel::Value::List(_) => "a list",
        cel::Value::Map(_) => "a map",
        _ => "another kind of value",
    }
}

/// Evaluates a `when`.
pub fn evaluate_condition(expression: &str, scope: &Scope) -> Result<bool, ExpressionError> {
    match evaluate(expression, &scope.variables())? {
        Value::Bool(answer) => Ok(answer),
        other => Err(ExpressionError::NotBoolean {
            expression: shorten(expression),
            found: kind_name(&other),
        }),
    }
}

/// Replaces every `${…}` in a value's strings. A string that is nothing but one
/// `${…}` takes the expression's own type; in longer strings it becomes text.
pub fn interpolate(value: &Value, scope: &Scope) -> Result<Value, ExpressionError> {
    interpolate_with(value, &scope.variables())
}

/// The same with any variables.
pub(crate) fn interpolate_with(
    value: &Value,
    scope: &[(&str, &Value)],
) -> Result<Value, ExpressionError> {
    match value {
        Value::String(text) => {
            let pieces = split(text)?;
            if let [Piece::Expression(expression)] = pieces.as_slice() {
                return evaluate(expression, scope);
            }
            let mut result = String::with_capacity(text.len());
            for piece in pieces {
                match piece {
                    Piece::Text(text) => result.push_str(&text),
                    Piece::Expression(expression) => match evaluate(&expression, scope)? {
                        Value::String(text) => result.push_str(&text),
                        other => result.push_str(&other.to_string()),
                    },
                }
            }
            Ok(Value::String(result))
        }
        Value::Array(items) => items
            .iter()
            .map(|item| interpolate_with(item, scope))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| Ok((key.clone(), interpolate_with(item, scope)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

/// Every expression in a value's strings, for lint.
pub(crate) fn expressions_in(
    value: &Value,
    found: &mut Vec<String>,
) -> Result<(), ExpressionError> {
    match value {
        Value::String(text) => {
            for piece in split(text)? {
                if let Piece::Expression(expression) = piece {
                    found.push(expression);
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| expressions_in(item, found)),
        Value::Object(map) => map
            .values()
            .try_for_each(|item| expressions_in(item, found)),
        _ => Ok(()),
    }
}

fn evaluate(expression: &str, scope: &[(&str, &Value)]) -> Result<Value, ExpressionError> {
    let program = check_syntax(expression)?;
    let mut context = Context::default();
    for (name, value) in scope {
        context.add_variable_from_value(*name, to_cel(value));
    }
    let failed = |reason: String| ExpressionError::Evaluation {
        expression: shorten(expression),
        reason,
    };
    let result = program
        .execute(&context)
        .map_err(|error| failed(failed_on(&error, scope)))?;
    from_cel(&result).map_err(failed)
}

enum Piece {
    Text(String),
    Expression(String),
}

/// Splits a string at its `${…}`; braces and quotes inside the CEL are respected.
fn split(text: &str) -> Result<Vec<Piece>, ExpressionError> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(position) = rest.find("${") {
        let (head, tail) = rest.split_at(position);
        let after = tail.get(2..).unwrap_or_default();
        if let Some(kept) = head.strip_suffix('$') {
            plain.push_str(kept);
            plain.push_str("${");
            rest = after;
            continue;
        }
        plain.push_str(head);
        let end = closing_brace(after).ok_or_else(|| ExpressionError::Unclosed {
            text: shorten(text),
        })?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let (expression, tail) = after.split_at(end);
        pieces.push(Piece::Expression(expression.trim().to_owned()));
        rest = tail.get(1..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(position),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => cel::Value::Int(integer),
            (None, Some(float)) => cel::Value::Float(float),
            (None, None) => cel::Value::Null,
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (key.clone(), to_cel(item)))
            .collect::<std::collections::HashMap<String, cel::Value>>()
            .into(),
    }
}

fn from_cel(value: &cel::Value) -> Result<Value, String> {
    match value {
        cel::Value::Null => Ok(Value::Null),
        cel::Value::Bool(flag) => Ok(Value::Bool(*flag)),
        cel::Value::Int(integer) => Ok((*integer).into()),
        cel::Value::UInt(integer) => Ok((*integer).into()),
        cel::Value::Float(float) => Number::from_f64(*float)
            .map(Value::Number)
            .ok_or_else(|| "it gave a number that JSON cannot hold".to_owned()),
        cel::Value::String(text) => Ok(Value::String(text.to_string())),
        cel::Value::List(items) => items
            .iter()
            .map(from_cel)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        cel::Value::Map(map) => map
            .map
            .iter()
            .map(|(key, item)| Ok((key.to_string(), from_cel(item)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        _ => Err("it gave a value that config cannot hold".to_owned()),
    }
}

fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 120 {
        return text.to_owned();
    }
    text.chars().take(117).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        Scope {
            config: json!({"postgres": {"mode": "embedded"}, "replicas": 2}),
            application: json!({"name": "blog"}),
            environment: json!({"envType": "dev"}),
        }
    }

    #[test]
    fn conditions_answer_or_explain() {
        for (expression, expected) in [
            ("config.postgres.mode == 'embedded'", Ok(true)),
            ("config.replicas > 2", Ok(false)),
            ("has(config.cache) && config.cache", Ok(false)),
            ("environment.envType in ['dev', 'poc']", Ok(true)),
        ] {
            assert_eq!(
                evaluate_condition(expression, &scope()),
                expected,
                "{expression}"
            );
        }
        assert!(matches!(
            evaluate_condition("config.replicas", &scope()),
            Err(ExpressionError::NotBoolean {
                found: "a number",
                ..
            })
        ));
        assert!(matches!(
            evaluate_condition("config.missing.deep == 1", &scope()),
            Err(ExpressionError::Evaluation { .. })
        ));
        assert!(matches!(
            evaluate_condition("config.(", &scope()),
            Err(ExpressionError::Syntax { .. })
        ));
        assert!(matches!(
            evaluate_condition(&"1+".repeat(4000), &scope()),
            Err(ExpressionError::Syntax { .. })
        ));
    }

    #[test]
    fn what_is_not_cel_is_told_with_its_place() {
        for (expression, reason) in [
            (
                "config.mode = 'a'",
                "it is not CEL from `= 'a'` on (character 13)",
            ),
            ("config.mode ==", "something is missing at its end"),
            ("", "something is missing at its end"),
        ] {
            let Err(ExpressionError::Syntax { reason: found, .. }) = check_syntax(expression)
            else {
                panic!("{expression}")
            };
            assert_eq!(found, reason, "{expression}");
        }
    }

    #[test]
    fn what_fails_is_told_in_a_sentence_without_values() {
        let scope = Scope {
            config: json!({"key": "hunter2", "zero": 0, "list": ["hunter2"], "map": {}}),
            ..Scope::default()
        };
        for (expression, reason) in [
            (
                "config.missing",
                "there is no `missing` in what it looks at",
            ),
            ("konfig.key", "there is nothing called `konfig"),
            ("1 / config.zero", "it divides by zero"),
            ("config.key - 1", ""),
            ("config.key > 1", ""),
            ("config.map + 1", ""),
            ("-config.key", ""),
        ] {
            let Err(error) = evaluate_condition(expression, &scope) else {
                panic!("{expression}")
            };
            let told = error.to_string();
            assert!(!told.contains("hunter2"), "{told}");
            let start = format!("cannot evaluate the expression `{expression}`: {reason}");
            assert!(told.starts_with(&start), "{told}");
        }
    }

    #[test]
    fn interpolation_keeps_types_and_text() {
        let given = json!({
            "databases": ["${application.name}", "${application.name}-x"],
            "count": "${config.replicas}",
            "text": "n=${config.replicas}",
            "map": "${ {'a': '}'} }",
            "plain": "$${application.name} $5",
            "number": 7,
        });
        assert_eq!(
            interpolate(&given, &scope()).unwrap(),
            json!({
                "databases": ["blog", "blog-x"],
                "count": 2,
                "text": "n=2",
                "map": {"a": "}"},
                "plain": "${application.name} $5",
                "number": 7,
            })
        );
        assert!(matches!(
            interpolate(&json!("${application.name"), &scope()),
            Err(ExpressionError::Unclosed { .. })
        ));
    }
}
