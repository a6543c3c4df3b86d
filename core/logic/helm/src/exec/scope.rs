//! The template being executed: its variables, and errors that say where in it.
//!
//! Used by everything that evaluates. What must stay true: an error names the
//! template, the place and the expression the way Go does, and Go names the
//! node that it came to last.

use super::{Failure, Outcome};
use crate::ast::{Command, Expr, Node, Pipe, Template, template_action};
use crate::value::Value;

/// A value, and whether Go holds it as an `interface {}`: an element of a map
/// or of a list, not what a function or a pipeline gave.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) value: Value,
    pub(super) boxed: bool,
}

impl Operand {
    pub(super) fn plain(value: Value) -> Self {
        Self {
            value,
            boxed: false,
        }
    }

    pub(super) fn boxed(value: Value) -> Self {
        Self { value, boxed: true }
    }
}

/// The node that was come to last.
#[derive(Clone, Copy)]
pub(super) enum Place<'t> {
    Nowhere,
    Expr(&'t Expr),
    Command(&'t Command),
    Pipe(&'t Pipe),
    Node(&'t Node),
}

/// The template being executed, and its variables.
pub(super) struct Scope<'t> {
    pub(super) template: &'t Template,
    pub(super) variables: Vec<(&'t str, Operand)>,
    pub(super) place: Place<'t>,
}

impl<'t> Scope<'t> {
    pub(super) fn new(template: &'t Template, dot: Operand) -> Self {
        Self {
            template,
            variables: vec![("$", dot)],
            place: Place::Nowhere,
        }
    }

    pub(super) fn variable(&self, name: &str) -> Operand {
        self.variables
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map_or(Operand::plain(Value::Nil), |(_, value)| value.clone())
    }

    /// The parser lets an assignment pass for a declaration.
    pub(super) fn assign(&mut self, name: &str, value: Operand) -> Outcome<()> {
        let known = self.variables.iter_mut().rev();
        match known.into_iter().find(|(known, _)| *known == name) {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => Err(self.fail(format!("undefined variable: {name}"))),
        }
    }

    /// An error at the node that was come to last.
    pub(super) fn fail(&self, why: impl AsRef<str>) -> Failure {
        let why = why.as_ref();
        let template = self.template;
        let name = crate::format::quote(&template.name);
        let (pos, context) = match self.place {
            Place::Nowhere => return format!("template: {}: {why}", template.name).into(),
            Place::Expr(expr) => (expr.pos, expr.to_string()),
            Place::Command(command) => (command.pos, command.to_string()),
            Place::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            Place::Node(Node::Template { pos, name, pipe }) => {
                (*pos, template_action(name, pipe.as_ref()))
            }
            Place::Node(_) => (0, String::new()),
        };
        format!(
            "template: {}: executing {name} at <{context}>: {why}",
            template.source.location(pos)
        )
        .into()
    }
}
