//! Calls of functions and methods: their arguments, counted and typed.
//!
//! Called by expressions. What must stay true: a literal of the wrong type, a
//! value of the wrong type and a wrong number of arguments are told apart as Go
//! tells them apart; `and` and `or` evaluate no more than they need.

use super::scope::{Operand, Place, Scope};
use super::{Engine, Failure, Outcome};
use crate::ast::{Expr, ExprKind, Number};
use crate::functions::Function;
use crate::objects::Object;
use crate::value::Value;

impl Engine<'_> {
    /// `whole` is what an error of the function points at.
    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    pub(super) fn function<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        expr: &'t Expr,
        function: &'static Function,
        args: &'t [Expr],
        last: Option<Value>,
        whole: Place<'t>,
    ) -> Outcome<Value> {
        scope.place = Place::Expr(expr);
        let Function {
            name,
            parameters,
            call,
        } = *function;
        if name == "and" || name == "or" {
            if args.is_empty() && last.is_none() {
                return Err(scope.fail(format!(
                    "wrong number of args for {name}: want at least 1 got 0"
                )));
            }
            let mut value = Value::Nil;
            for arg in args {
                value = self.argument(scope, dot, arg, 'V')?.value;
                if value.is_true() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let (given, boxed) = self.arguments(scope, dot, name, parameters, args, last)?;
        if name == "len" && matches!(given.as_slice(), [Value::Nil]) {
            scope.place = whole;
            return Err(scope.fail(if boxed {
                "error calling len: len of nil pointer"
            } else {
                "error calling len: reflect: call of reflect.Value.Type on zero Value"
            }));
        }
        self.given(&given)
            .and_then(|()| self.deeper(|engine| call(engine, &given)))
            .and_then(|value| self.made(&value).map(|()| value))
            .map_err(|failure| {
                scope.place = whole;
                Failure {
                    text: scope
                        .fail(format!("error calling {name}: {}", failure.text))
                        .text,
                    said: failure.said,
                }
            })
    }

    /// Also whether Go holds the last of them as an `interface {}`.
    pub(super) fn arguments<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        name: &str,
        parameters: &str,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Outcome<(Vec<Value>, bool)> {
        let (fixed, rest) = match parameters.strip_suffix('*') {
            Some(head) => (
                head.get(..head.len().saturating_sub(1)).unwrap_or_default(),
                head.chars().last(),
            ),
            None => (parameters, None),
        };
        let count = args.len() + usize::from(last.is_some());
        if rest.is_some() && count < fixed.len() {
            return Err(scope.fail(format!(
                "wrong number of args for {name}: want at least {} got {}",
                fixed.len(),
                args.len()
            )));
        }
        if rest.is_none() && count != fixed.len() {
            return Err(scope.fail(format!(
                "wrong number of args for {name}: want {} got {count}",
                fixed.len()
            )));
        }
        let mut kinds = fixed.chars().chain(rest.into_iter().cycle());
        let mut given = Vec::with_capacity(count);
        let mut boxed = false;
        for arg in args {
            let kind = kinds.next().unwrap_or('a');
            let operand = self.argument(scope, dot, arg, kind)?;
            boxed = operand.boxed;
            given.push(without_address(operand.value));
        }
        if let Some(last) = last {
            let kind = kinds.next().unwrap_or('a');
            boxed = false;
            given.push(without_address(
                typed(scope, Operand::plain(last), kind)?.value,
            ));
        }
        Ok((given, boxed))
    }

    fn argument<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        arg: &'t Expr,
        kind: char,
    ) -> Outcome<Operand> {
        scope.place = Place::Expr(arg);
        match (&arg.kind, kind) {
            (ExprKind::Str { .. }, 's' | 'a' | 'V')
            | (ExprKind::Bool(_), 'b' | 'a' | 'V')
            | (ExprKind::Number { .. }, 'a' | 'V') => self.operand(scope, dot, arg),
            (ExprKind::Number { text, value }, 'i' | 'f' | 'u') => {
                let expected = match kind {
                    'i' => "integer",
                    'u' => "unsigned integer",
                    _ => "float",
                };
                let found = match (value, kind) {
                    (Number::Int(number), 'i') => Some(Value::Int(*number)),
                    (Number::Int(number), 'u') if *number >= 0 => Some(Value::Int(*number)),
                    (Number::Int(number), 'f') => Some(Value::Float(*number as f64)),
                    (Number::Overflow(number) | Number::Float(number), 'f') => {
                        Some(Value::Float(*number))
                    }
                    (Number::Float(number), 'i' | 'u')
                        if number.fract() == 0.0
                            && number.abs() < 9.3e18
                            && (kind == 'i' || *number >= 0.0) =>
                    {
                        Some(Value::Int(*number as i64))
                    }
                    _ => None,
                };
                found
                    .map(Operand::plain)
                    .ok_or_else(|| scope.fail(format!("expected {expected}; found {text}")))
            }
            (ExprKind::Str { .. } | ExprKind::Bool(_) | ExprKind::Number { .. }, _) => {
                let expected = match kind {
                    's' => "expected string",
                    'i' => "expected integer",
                    'u' => "expected unsigned integer",
                    'f' => "expected float",
                    'b' => "expected bool",
                    _ => {
                        return Err(scope.fail(format!(
                            "can't handle {arg} for arg of type {}",
                            type_of(kind)
                        )));
                    }
                };
                Err(scope.fail(format!("{expected}; found {arg}")))
            }
            (ExprKind::Nil, 'a' | 'm' | 'l' | 'V') => Ok(Operand::plain(Value::Nil)),
            (ExprKind::Nil, _) => {
                Err(scope.fail(format!("cannot assign nil to {}", type_of(kind))))
            }
            _ => {
                let value = self.operand(scope, dot, arg)?;
                typed(scope, value, kind)
            }
        }
    }
}

/// A struct that goes through a function loses what Go reaches by its address:
/// the methods of pointers, and with them how it prints.
fn without_address(value: Value) -> Value {
    match &value {
        Value::Object(object) => match object.as_ref() {
            Object::Struct {
                type_name,
                fields,
                shown: Some(_),
            } => Value::object(Object::Struct {
                type_name,
                fields: fields.clone(),
                shown: None,
            }),
            _ => value,
        },
        _ => value,
    }
}

fn type_of(kind: char) -> &'static str {
    match kind {
        's' => "string",
        'i' => "int",
        'u' => "uint32",
        'f' => "float64",
        'b' => "bool",
        'm' => "map[string]interface {}",
        'l' => "[]interface {}",
        't' => "time.Time",
        'v' => "*semver.Version",
        'c' => "sprig.certificate",
        'V' => "reflect.Value",
        _ => "interface {}",
    }
}

/// Checks a value against a parameter's type.
fn typed(scope: &Scope<'_>, operand: Operand, kind: char) -> Outcome<Operand> {
    let fits = match (kind, &operand.value) {
        ('a' | 'V', _)
        | ('s', Value::Str(_))
        | ('i', Value::Int(_))
        | ('f', Value::Float(_))
        | ('b', Value::Bool(_))
        | ('m', Value::Map(_))
        | ('l', Value::List(_)) => true,
        ('m' | 'l' | 'v', Value::Nil) if !operand.boxed => true,
        (_, Value::Nil) => {
            return Err(scope.fail(if operand.boxed {
                format!(
                    "wrong type for value; expected {}; got interface {{}}",
                    type_of(kind)
                )
            } else {
                format!("invalid value; expected {}", type_of(kind))
            }));
        }
        // Named map and list types assign to their plain forms.
        (_, Value::Object(object)) => match kind {
            'm' => matches!(
                object.type_name(),
                "chartutil.Values" | "map[string]interface {}"
            ),
            'l' => object.type_name() == "[]interface {}",
            _ => object.type_name() == type_of(kind),
        },
        _ => false,
    };
    if fits {
        return Ok(operand);
    }
    Err(scope.fail(format!(
        "wrong type for value; expected {}; got {}",
        type_of(kind),
        operand.value.type_name()
    )))
}
