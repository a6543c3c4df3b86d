//! Pipelines and the expressions in them, as values.
//!
//! Called for what stands in an action, a branch's condition or a call's
//! argument. What must stay true: what was never there is nil without an error,
//! nil on the way to a field is one, and both read as Go says them.

use super::scope::{Operand, Place, Scope};
use super::{Engine, Outcome};
use crate::ast::{Command, Expr, ExprKind, Number, Pipe};
use crate::objects::{Found, method_parameters};
use crate::value::Value;

impl Engine<'_> {
    pub(super) fn pipeline<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        pipe: &'t Pipe,
    ) -> Outcome<Value> {
        self.deeper(|engine| {
            scope.place = Place::Pipe(pipe);
            let mut value = None;
            for command in &pipe.commands {
                value = Some(engine.command(scope, dot, command, value)?);
            }
            let value = value.unwrap_or(Value::Nil);
            for name in &pipe.declares {
                let operand = Operand::plain(value.clone());
                if pipe.assigns {
                    scope.assign(name, operand)?;
                } else {
                    scope.variables.push((name, operand));
                }
            }
            Ok(value)
        })
    }

    fn command<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        command: &'t Command,
        last: Option<Value>,
    ) -> Outcome<Value> {
        self.step()?;
        let Some((first, args)) = command.args.split_first() else {
            return Ok(Value::Nil);
        };
        let found = match &first.kind {
            ExprKind::Field(names) => {
                scope.place = Place::Expr(first);
                self.fields(scope, dot, dot.clone(), first, names, args, last)?
            }
            ExprKind::Variable(names) => {
                scope.place = Place::Expr(first);
                let Some((name, rest)) = names.split_first() else {
                    return Ok(Value::Nil);
                };
                // Found from the last one on.
                self.passed(scope.variables.len() * 16)?;
                let head = scope.variable(name);
                if rest.is_empty() {
                    no_arguments(scope, first, args, last.as_ref())?;
                    return Ok(head.value);
                }
                self.fields(scope, dot, head, first, rest, args, last)?
            }
            ExprKind::Chain(head, names) => {
                let head = self.chain_head(scope, dot, first, head)?;
                self.fields(scope, dot, head, first, names, args, last)?
            }
            ExprKind::Ident(function) => {
                let whole = Place::Command(command);
                return self.function(scope, dot, first, function, args, last, whole);
            }
            ExprKind::Pipe(pipe) => {
                no_arguments(scope, first, args, last.as_ref())?;
                return self.pipeline(scope, dot, pipe);
            }
            _ => {
                scope.place = Place::Expr(first);
                no_arguments(scope, first, args, last.as_ref())?;
                if matches!(first.kind, ExprKind::Nil) {
                    return Err(scope.fail("nil is not a command"));
                }
                self.operand(scope, dot, first)?
            }
        };
        Ok(found.value)
    }

    fn chain_head<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        chain: &'t Expr,
        head: &'t Expr,
    ) -> Outcome<Operand> {
        scope.place = Place::Expr(chain);
        if matches!(head.kind, ExprKind::Nil) {
            return Err(scope.fail(format!("indirection through explicit nil in {chain}")));
        }
        scope.place = Place::Expr(head);
        self.operand(scope, dot, head)
    }

    /// An expression as a value, where no type is asked for.
    pub(super) fn operand<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        expr: &'t Expr,
    ) -> Outcome<Operand> {
        scope.place = Place::Expr(expr);
        let value = match &expr.kind {
            ExprKind::Dot => return Ok(dot.clone()),
            ExprKind::Nil => Value::Nil,
            ExprKind::Bool(flag) => Value::Bool(*flag),
            ExprKind::Str { value, .. } => Value::Str(value.clone()),
            ExprKind::Number { text, value } => match value {
                Number::Int(number)
                    if text.contains(['.', 'e', 'E', 'p', 'P'])
                        && !is_hex(text)
                        && !text.starts_with('\'') =>
                {
                    Value::Float(*number as f64)
                }
                Number::Int(number) => Value::Int(*number),
                Number::Float(number) => Value::Float(*number),
                Number::Overflow(_) => {
                    return Err(scope.fail(format!("{text} overflows int")));
                }
            },
            ExprKind::Field(names) => {
                return self.fields(scope, dot, dot.clone(), expr, names, &[], None);
            }
            ExprKind::Variable(names) => {
                let Some((name, rest)) = names.split_first() else {
                    return Ok(Operand::plain(Value::Nil));
                };
                // Found from the last one on.
                self.passed(scope.variables.len() * 16)?;
                let head = scope.variable(name);
                return self.fields(scope, dot, head, expr, rest, &[], None);
            }
            ExprKind::Chain(head, names) => {
                let head = self.chain_head(scope, dot, expr, head)?;
                return self.fields(scope, dot, head, expr, names, &[], None);
            }
            ExprKind::Pipe(pipe) => self.pipeline(scope, dot, pipe)?,
            ExprKind::Ident(function) => {
                self.function(scope, dot, expr, function, &[], None, Place::Expr(expr))?
            }
        };
        Ok(Operand::plain(value))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    fn fields<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        mut value: Operand,
        expr: &'t Expr,
        names: &[String],
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Outcome<Operand> {
        let Some((final_name, path)) = names.split_last() else {
            return Ok(value);
        };
        for name in path {
            value = self.field(scope, dot, &value, expr, name, &[], None)?;
        }
        self.field(scope, dot, &value, expr, final_name, args, last)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    fn field<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        holder: &Operand,
        expr: &'t Expr,
        name: &str,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Outcome<Operand> {
        let has_args = !args.is_empty() || last.is_some();
        match &holder.value {
            Value::Nil if holder.boxed => {
                return Err(scope.fail(format!("nil pointer evaluating interface {{}}.{name}")));
            }
            // What was never there is not an error.
            Value::Nil => return Ok(Operand::plain(Value::Nil)),
            Value::Map(map) => {
                if has_args {
                    return Err(scope.fail(format!("{name} is not a method but has arguments")));
                }
                let found = map.borrow().get(name).cloned().unwrap_or(Value::Nil);
                return Ok(Operand::boxed(found));
            }
            Value::Object(object) => {
                if let Some(parameters) = method_parameters(object, name) {
                    let (given, _) = self.arguments(scope, dot, name, parameters, args, last)?;
                    return self
                        .given(&given)
                        .and_then(|()| self.passed(object.cost(name, &given)))
                        .and_then(|()| Ok(object.call(name, &given)?))
                        .and_then(|value| self.made(&value).map(|()| value))
                        .map(Operand::plain)
                        .map_err(|why| {
                            scope.place = Place::Expr(expr);
                            scope.fail(format!("error calling {name}: {}", why.text))
                        });
                }
                match object.field(name) {
                    Found::Field(_) if has_args => {
                        return Err(scope.fail(format!(
                            "{name} has arguments but cannot be invoked as function"
                        )));
                    }
                    Found::Entry(_) if has_args => {
                        return Err(scope.fail(format!("{name} is not a method but has arguments")));
                    }
                    Found::Field(value) => return Ok(Operand::plain(value)),
                    Found::Entry(value) => {
                        let boxed = object.holds_anything();
                        return Ok(Operand { value, boxed });
                    }
                    Found::Nothing => {}
                }
            }
            _ => {}
        }
        let kind = if holder.boxed {
            "interface {}"
        } else {
            holder.value.type_name()
        };
        Err(scope.fail(format!("can't evaluate field {name} in type {kind}")))
    }
}

fn is_hex(text: &str) -> bool {
    (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P'])
}

fn no_arguments(
    scope: &Scope<'_>,
    first: &Expr,
    args: &[Expr],
    last: Option<&Value>,
) -> Outcome<()> {
    if args.is_empty() && last.is_none() {
        return Ok(());
    }
    Err(scope.fail(format!("can't give argument to non-function {first}")))
}
