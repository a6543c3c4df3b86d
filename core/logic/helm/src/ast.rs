//! The parsed template, and how Go prints its parts in errors.
//!
//! Built by the parser, walked by the executor. `Display` must print as Go's
//! parse nodes do, because error messages quote them.

use std::fmt;
use std::sync::Arc;

use crate::functions::Function;

/// One named template.
pub struct Template {
    pub name: String,
    pub source: Arc<Source>,
    pub body: Vec<Node>,
}

/// The text a template was parsed from.
pub struct Source {
    /// The file's path in the chart, or `gotpl` for `tpl`.
    pub name: String,
    pub text: String,
}

impl Source {
    /// `name:line:column` as text/template counts them.
    pub fn location(&self, pos: usize) -> String {
        let before = self.text.get(..pos).unwrap_or(&self.text);
        let column = match before.rfind('\n') {
            Some(newline) => before.len() - newline - 1,
            None => before.len(),
        };
        format!("{}:{}:{}", self.name, line_of(before), column)
    }
}

pub fn line_of(before: &str) -> usize {
    before.bytes().filter(|b| *b == b'\n').count() + 1
}

pub enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        pos: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

pub struct Branch {
    pub pipe: Pipe,
    pub body: Vec<Node>,
    pub otherwise: Option<Vec<Node>>,
}

pub struct Pipe {
    pub pos: usize,
    pub assigns: bool,
    pub declares: Vec<String>,
    pub commands: Vec<Command>,
}

pub struct Command {
    pub pos: usize,
    pub args: Vec<Expr>,
}

pub struct Expr {
    pub pos: usize,
    pub kind: ExprKind,
}

pub enum ExprKind {
    Ident(&'static Function),
    Dot,
    Nil,
    Bool(bool),
    Number { text: String, value: Number },
    Str { text: String, value: Arc<str> },
    Field(Vec<String>),
    Variable(Vec<String>),
    Chain(Box<Expr>, Vec<String>),
    Pipe(Box<Pipe>),
}

#[derive(Clone, Copy)]
pub enum Number {
    Int(i64),
    /// Written with a point or an exponent; whole ones also do as integers.
    Float(f64),
    /// Whole, and more than an int can hold.
    Overflow(f64),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.declares.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.declares.join(", "))?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, arg) in self.args.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            match arg.kind {
                ExprKind::Pipe(_) => write!(f, "({arg})")?,
                _ => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Ident(function) => f.write_str(function.name),
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(flag) => write!(f, "{flag}"),
            ExprKind::Number { text, .. } | ExprKind::Str { text, .. } => f.write_str(text),
            ExprKind::Field(names) => names.iter().try_for_each(|name| write!(f, ".{name}")),
            ExprKind::Variable(names) => f.write_str(&names.join(".")),
            ExprKind::Chain(head, names) => {
                match head.kind {
                    ExprKind::Pipe(_) => write!(f, "({head})")?,
                    _ => write!(f, "{head}")?,
                }
                names.iter().try_for_each(|name| write!(f, ".{name}"))
            }
            ExprKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

/// What `{{template …}}` prints as.
pub fn template_action(name: &str, pipe: Option<&Pipe>) -> String {
    let name = crate::format::quote(name);
    match pipe {
        Some(pipe) => format!("{{{{template {name} {pipe}}}}}"),
        None => format!("{{{{template {name}}}}}"),
    }
}
