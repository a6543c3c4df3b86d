//! The template being executed: its variables, and errors that say where in it.
//!
//! Used by everything that evaluates. What must stay true: an error names the
//! template, the place and the expression the way Go does.

use std::rc::Rc;

use super::Failure;
use crate::ast::{Expr, Template};
use crate::value::Value;

/// The template being executed, and its variables.
pub(super) struct Scope {
    pub(super) template: Rc<Template>,
    pub(super) variables: Vec<(String, Value)>,
}

pub(super) fn variable<'n>(scope: &Scope, names: &'n [String]) -> (Value, &'n [String]) {
    let Some((name, rest)) = names.split_first() else {
        return (Value::Nil, &[]);
    };
    let value = scope
        .variables
        .iter()
        .rev()
        .find(|(known, _)| known == name)
        .map_or(Value::Nil, |(_, value)| value.clone());
    (value, rest)
}

pub(super) fn assign(scope: &mut Scope, name: &str, value: Value) {
    if let Some(slot) = scope
        .variables
        .iter_mut()
        .rev()
        .find(|(known, _)| known == name)
    {
        slot.1 = value;
    }
}

pub(super) fn at(scope: &Scope, expr: &Expr, why: impl AsRef<str>) -> Failure {
    error(scope, expr.pos, &expr.to_string(), why)
}

pub(super) fn error(scope: &Scope, pos: usize, context: &str, why: impl AsRef<str>) -> Failure {
    message(scope, pos, context, why.as_ref()).into()
}

pub(super) fn message(scope: &Scope, pos: usize, context: &str, why: &str) -> String {
    let template = &scope.template;
    format!(
        "template: {}: executing {} at <{context}>: {why}",
        template.source.location(pos),
        crate::format::quote(&template.name)
    )
}
