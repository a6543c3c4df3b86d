//! Pipelines and the expressions in them, as values.
//!
//! Called for what stands in an action, a branch's condition or a call's
//! argument. What must stay true: what was never there is nil without an error,
//! nil on the way to a field is one, and both read as Go says them.

use super::scope::{Scope, assign, at, variable};
use super::{Engine, Outcome};
use crate::ast::{Command, Expr, ExprKind, Number, Pipe};
use crate::objects::method_parameters;
use crate::value::Value;

impl Engine<'_> {
    pub(super) fn pipeline(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        pipe: &Pipe,
    ) -> Outcome<Value> {
        self.deeper(|engine| {
            let mut value = None;
            for command in &pipe.commands {
                value = Some(engine.command(scope, dot, command, value)?);
            }
            let value = value.unwrap_or(Value::Nil);
            for name in &pipe.declares {
                if pipe.assigns {
                    assign(scope, name, value.clone());
                } else {
                    scope.variables.push((name.clone(), value.clone()));
                }
            }
            Ok(value)
        })
    }

    fn command(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        command: &Command,
        last: Option<Value>,
    ) -> Outcome<Value> {
        self.step()?;
        let Some((first, args)) = command.args.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.kind {
            ExprKind::Field(names) => {
                return self.fields(scope, dot, dot.clone(), first, names, Some(args), last);
            }
            ExprKind::Variable(names) => {
                let (head, rest) = variable(scope, names);
                if rest.is_empty() {
                    no_arguments(scope, first, args, last.as_ref())?;
                    return Ok(head);
                }
                return self.fields(scope, dot, head, first, rest, Some(args), last);
            }
            ExprKind::Chain(head, names) => {
                let head = self.chain_head(scope, dot, head)?;
                return self.fields(scope, dot, head, first, names, Some(args), last);
            }
            ExprKind::Ident(name) => {
                let whole = (command.pos, command.to_string());
                return self.function(scope, dot, first, name, args, last, whole);
            }
            ExprKind::Pipe(pipe) => {
                no_arguments(scope, first, args, last.as_ref())?;
                return self.pipeline(scope, dot, pipe);
            }
            _ => {}
        }
        no_arguments(scope, first, args, last.as_ref())?;
        match &first.kind {
            ExprKind::Nil => Err(at(scope, first, "nil is not a command")),
            _ => self.operand(scope, dot, first),
        }
    }

    fn chain_head(&mut self, scope: &mut Scope, dot: &Value, head: &Expr) -> Outcome<Value> {
        match &head.kind {
            ExprKind::Nil => Err(at(scope, head, "indirection through explicit nil in nil")),
            _ => self.operand(scope, dot, head),
        }
    }

    /// An expression as a value, where no type is asked for.
    pub(super) fn operand(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        expr: &Expr,
    ) -> Outcome<Value> {
        Ok(match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil => Value::Nil,
            ExprKind::Bool(flag) => Value::Bool(*flag),
            ExprKind::Str { value, .. } => Value::text(value),
            ExprKind::Number { text, value } => match value {
                Number::Int(number) => Value::Int(*number),
                Number::Float(number) => {
                    if text.contains(['.', 'e', 'E', 'p', 'P']) {
                        Value::Float(*number)
                    } else {
                        return Err(at(scope, expr, format!("{text} overflows int")));
                    }
                }
                Number::Overflow => {
                    return Err(at(scope, expr, format!("{text} overflows int")));
                }
            },
            ExprKind::Field(names) => {
                return self.fields(scope, dot, dot.clone(), expr, names, None, None);
            }
            ExprKind::Variable(names) => {
                let (head, rest) = variable(scope, names);
                return self.fields(scope, dot, head, expr, rest, None, None);
            }
            ExprKind::Chain(head, names) => {
                let head = self.chain_head(scope, dot, head)?;
                return self.fields(scope, dot, head, expr, names, None, None);
            }
            ExprKind::Pipe(pipe) => return self.pipeline(scope, dot, pipe),
            ExprKind::Ident(name) => {
                let whole = (expr.pos, expr.to_string());
                return self.function(scope, dot, expr, name, &[], None, whole);
            }
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    fn fields(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        mut value: Value,
        expr: &Expr,
        names: &[String],
        args: Option<&[Expr]>,
        last: Option<Value>,
    ) -> Outcome<Value> {
        let args = args.unwrap_or_default();
        let Some((final_name, path)) = names.split_last() else {
            return Ok(value);
        };
        // A value that was never there is not an error; nil found on the way is.
        let mut found = !matches!(
            (&value, &expr.kind),
            (
                Value::Nil,
                ExprKind::Field(_) | ExprKind::Variable(_) | ExprKind::Chain(..)
            )
        );
        for name in path {
            value = self.field(scope, dot, &value, expr, name, &[], None, found)?;
            found = true;
        }
        self.field(scope, dot, &value, expr, final_name, args, last, found)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    fn field(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        value: &Value,
        expr: &Expr,
        name: &str,
        args: &[Expr],
        last: Option<Value>,
        found: bool,
    ) -> Outcome<Value> {
        let has_args = !args.is_empty() || last.is_some();
        match value {
            Value::Nil => {
                if found {
                    Err(at(
                        scope,
                        expr,
                        format!("nil pointer evaluating interface {{}}.{name}"),
                    ))
                } else {
                    Ok(Value::Nil)
                }
            }
            Value::Map(map) => {
                if has_args {
                    return Err(at(
                        scope,
                        expr,
                        format!("{name} is not a method but has arguments"),
                    ));
                }
                Ok(map.borrow().get(name).cloned().unwrap_or(Value::Nil))
            }
            Value::Object(object) => {
                if let Some(parameters) = method_parameters(object, name) {
                    let given = self.arguments(scope, dot, expr, name, parameters, args, last)?;
                    return object
                        .call(name, &given)
                        .map_err(|why| at(scope, expr, format!("error calling {name}: {why}")));
                }
                match object.field(name) {
                    Some(_) if has_args => Err(at(
                        scope,
                        expr,
                        format!("{name} has arguments but cannot be invoked as function"),
                    )),
                    Some(value) => Ok(value),
                    None if object.kind_name() == "map" => Ok(Value::Nil),
                    None => Err(at(
                        scope,
                        expr,
                        format!("can't evaluate field {name} in type interface {{}}"),
                    )),
                }
            }
            _ => Err(at(
                scope,
                expr,
                format!("can't evaluate field {name} in type interface {{}}"),
            )),
        }
    }
}

fn no_arguments(scope: &Scope, first: &Expr, args: &[Expr], last: Option<&Value>) -> Outcome<()> {
    if args.is_empty() && last.is_none() {
        return Ok(());
    }
    Err(at(
        scope,
        first,
        format!("can't give argument to non-function {first}"),
    ))
}
