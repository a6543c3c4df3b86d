//! Calls of functions and methods: their arguments, counted and typed.
//!
//! Called by expressions. What must stay true: a literal of the wrong type, a
//! value of the wrong type and a wrong number of arguments are told apart as Go
//! tells them apart; `and` and `or` evaluate no more than they need.

use super::scope::{Scope, at, message};
use super::{Engine, Failure, Outcome};
use crate::ast::{Expr, ExprKind, Number};
use crate::functions::{self, Function};
use crate::value::Value;

impl Engine<'_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    pub(super) fn function(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        expr: &Expr,
        name: &str,
        args: &[Expr],
        last: Option<Value>,
        whole: (usize, String),
    ) -> Outcome<Value> {
        let Some(Function { parameters, call }) = functions::find(name) else {
            return Err(at(
                scope,
                expr,
                format!("{} is not a defined function", crate::format::quote(name)),
            ));
        };
        if name == "and" || name == "or" {
            if args.is_empty() && last.is_none() {
                return Err(at(
                    scope,
                    expr,
                    format!("wrong number of args for {name}: want at least 1 got 0"),
                ));
            }
            let mut value = Value::Nil;
            for arg in args {
                value = self.argument(scope, dot, arg, 'a')?;
                if value.is_true() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let given = self.arguments(scope, dot, expr, name, parameters, args, last)?;
        self.deeper(|engine| call(engine, &given))
            .map_err(|failure| Failure {
                text: message(
                    scope,
                    whole.0,
                    &whole.1,
                    &format!("error calling {name}: {}", failure.text),
                ),
                said: failure.said,
            })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    pub(super) fn arguments(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        expr: &Expr,
        name: &str,
        parameters: &str,
        args: &[Expr],
        last: Option<Value>,
    ) -> Outcome<Vec<Value>> {
        let (fixed, rest) = match parameters.strip_suffix('*') {
            Some(head) => (
                head.get(..head.len().saturating_sub(1)).unwrap_or_default(),
                head.chars().last(),
            ),
            None => (parameters, None),
        };
        let count = args.len() + usize::from(last.is_some());
        if rest.is_some() && count < fixed.len() {
            return Err(at(
                scope,
                expr,
                format!(
                    "wrong number of args for {name}: want at least {} got {}",
                    fixed.len(),
                    args.len()
                ),
            ));
        }
        if rest.is_none() && count != fixed.len() {
            return Err(at(
                scope,
                expr,
                format!(
                    "wrong number of args for {name}: want {} got {count}",
                    fixed.len()
                ),
            ));
        }
        let mut kinds = fixed.chars().chain(rest.into_iter().cycle());
        let mut given = Vec::with_capacity(count);
        for arg in args {
            let kind = kinds.next().unwrap_or('a');
            given.push(self.argument(scope, dot, arg, kind)?);
        }
        if let Some(last) = last {
            // Go still points at the argument evaluated last, or the function.
            let place = args.last().unwrap_or(expr);
            let kind = kinds.next().unwrap_or('a');
            given.push(typed(scope, place, last, kind)?);
        }
        Ok(given)
    }

    fn argument(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        arg: &Expr,
        kind: char,
    ) -> Outcome<Value> {
        match (&arg.kind, kind) {
            (ExprKind::Str { .. }, 's' | 'a')
            | (ExprKind::Bool(_), 'b' | 'a')
            | (ExprKind::Number { .. }, 'a') => self.operand(scope, dot, arg),
            (ExprKind::Number { text, value }, 'i' | 'f') => match (value, kind) {
                (Number::Int(number), 'i') => Ok(Value::Int(*number)),
                (Number::Int(number), _) => Ok(Value::Float(*number as f64)),
                (Number::Float(number), 'f') => Ok(Value::Float(*number)),
                (Number::Float(number), _) if number.fract() == 0.0 && number.abs() < 9e15 => {
                    let whole = *number as i64;
                    Ok(Value::Int(whole))
                }
                _ => Err(at(scope, arg, format!("expected integer; found {text}"))),
            },
            (ExprKind::Str { .. } | ExprKind::Bool(_) | ExprKind::Number { .. }, _) => {
                let expected = match kind {
                    's' => "expected string",
                    'i' => "expected integer",
                    'f' => "expected float",
                    'b' => "expected bool",
                    _ => {
                        return Err(at(
                            scope,
                            arg,
                            format!("can't handle {arg} for arg of type {}", type_of(kind)),
                        ));
                    }
                };
                Err(at(scope, arg, format!("{expected}; found {arg}")))
            }
            (ExprKind::Nil, 'a' | 'm' | 'l') => Ok(Value::Nil),
            (ExprKind::Nil, _) => Err(at(
                scope,
                arg,
                format!("cannot assign nil to {}", type_of(kind)),
            )),
            _ => {
                let value = self.operand(scope, dot, arg)?;
                typed(scope, arg, value, kind)
            }
        }
    }
}

fn type_of(kind: char) -> &'static str {
    match kind {
        's' => "string",
        'i' => "int",
        'f' => "float64",
        'b' => "bool",
        'm' => "map[string]interface {}",
        'l' => "[]interface {}",
        _ => "interface {}",
    }
}

/// Checks a value against a parameter's type.
fn typed(scope: &Scope, place: &Expr, value: Value, kind: char) -> Outcome<Value> {
    let fits = match (kind, &value) {
        ('a', _)
        | ('s', Value::Str(_))
        | ('i', Value::Int(_))
        | ('f', Value::Float(_))
        | ('b', Value::Bool(_))
        | ('m', Value::Map(_) | Value::Nil)
        | ('l', Value::List(_) | Value::Nil) => true,
        (_, Value::Nil) => {
            return Err(at(
                scope,
                place,
                format!("invalid value; expected {}", type_of(kind)),
            ));
        }
        // Named map and list types assign to their plain forms.
        ('m', Value::Object(object)) => object.kind_name() == "map",
        ('l', Value::Object(object)) => object.kind_name() == "slice",
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    Err(at(
        scope,
        place,
        format!(
            "wrong type for value; expected {}; got {}",
            type_of(kind),
            value.type_name()
        ),
    ))
}
