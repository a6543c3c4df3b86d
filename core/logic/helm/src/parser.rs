//! Tokens → templates, by text/template's grammar.
//!
//! Called when a chart is rendered and by `tpl`. Faults carry Go's message
//! and line. Nesting is bounded, so no text can exhaust the stack.

use std::sync::Arc;

use crate::ast::{Branch, Command, Expr, ExprKind, Node, Number, Pipe, Source, Template, line_of};
use crate::format::{quote, unquote};
use crate::functions;
use crate::lexer::{Kind, Token, tokens};
use crate::numbers::{parse_float, parse_integer};

/// Parentheses and control structures within each other.
const MAX_DEPTH: usize = 300;

/// All templates that `text` defines; the first is the text itself.
/// The error is text/template's: `template: name:line: why`.
pub fn parse(name: &str, text: &str) -> Result<Vec<Template>, String> {
    let source = Arc::new(Source {
        name: name.to_owned(),
        text: text.to_owned(),
    });
    let (tokens, fault) = tokens(text);
    let mut parser = Parser {
        tokens,
        fault,
        at: 0,
        read: 0,
        source: source.clone(),
        variables: vec!["$"],
        range_depth: 0,
        depth: 0,
        action_at: None,
        defined: Vec::new(),
    };
    let body = parser.top()?;
    let all = Template {
        name: name.to_owned(),
        source,
        body,
    };
    if !is_empty(&all.body) {
        parser.only_once(name)?;
    }
    let mut all = vec![all];
    all.append(&mut parser.defined);
    Ok(all)
}

/// True where a template has nothing but blanks: Go does not let such a text
/// replace a definition that has more.
pub fn is_empty(body: &[Node]) -> bool {
    body.iter().all(|node| match node {
        Node::Text(text) => text.trim().is_empty(),
        _ => false,
    })
}

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    /// Why the last token is an error, if it is one.
    fault: String,
    at: usize,
    /// The last token that was looked at: errors name its line.
    read: usize,
    source: Arc<Source>,
    variables: Vec<&'t str>,
    range_depth: usize,
    depth: usize,
    /// Where the action that is being read began.
    action_at: Option<usize>,
    defined: Vec<Template>,
}

/// What ended a list of nodes.
enum Stop {
    End,
    Else,
}

type Parsed<T> = Result<T, String>;

impl<'t> Parser<'t> {
    fn peek(&mut self) -> Token<'t> {
        self.read = self.read.max(self.at);
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .copied()
            .unwrap_or(Token {
                kind: Kind::Eof,
                pos: 0,
                val: "",
            })
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    fn peek_non_space(&mut self) -> Token<'t> {
        self.skip_space();
        self.peek()
    }

    fn next_non_space(&mut self) -> Token<'t> {
        self.skip_space();
        self.next()
    }

    fn fail<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        self.fail_at(self.read, message)
    }

    fn fail_at<T>(&self, token: usize, message: impl std::fmt::Display) -> Parsed<T> {
        let last = self.tokens.get(token).or(self.tokens.last());
        let pos = last.map_or(0, |token| token.pos);
        let before = self.source.text.get(..pos).unwrap_or(&self.source.text);
        Err(format!(
            "template: {}:{}: {message}",
            self.source.name,
            line_of(before)
        ))
    }

    /// A text may not define one name twice, but for definitions of blanks.
    fn only_once(&self, name: &str) -> Parsed<()> {
        let known = |template: &Template| template.name == name && !is_empty(&template.body);
        if self.defined.iter().any(known) {
            return self.fail(format_args!(
                "template: multiple definition of template {}",
                quote(name)
            ));
        }
        Ok(())
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parsed<T> {
        if token.kind == Kind::Error {
            let mut message = self.fault.clone();
            if let Some(at) = self.action_at {
                let line = |at| line_of(self.source.text.get(..at).unwrap_or_default());
                let (here, line) = (line(token.pos), line(at));
                if here != line {
                    let within = if message.ends_with(" action") {
                        ""
                    } else {
                        " in action"
                    };
                    message = format!("{message}{within} started at {}:{line}", self.source.name);
                }
            }
            return self.fail(message);
        }
        self.fail(format_args!("unexpected {} in {context}", show(token)))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail("max expression depth exceeded");
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn top(&mut self) -> Parsed<Vec<Node>> {
        let mut body = Vec::new();
        loop {
            let start = self.at;
            let token = self.next();
            match token.kind {
                Kind::Eof => return Ok(body),
                Kind::LeftDelim if self.peek_non_space().val == "define" => {
                    self.next();
                    self.definition()?;
                }
                _ => {
                    self.at = start;
                    match self.text_or_action()? {
                        Ok(node) => body.push(node),
                        Err(Stop::End) => return self.fail("unexpected {{end}}"),
                        Err(Stop::Else) => return self.fail("unexpected {{else}}"),
                    }
                }
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "define clause")?;
        let close = self.next_non_space();
        if close.kind != Kind::RightDelim {
            return self.unexpected(&close, "define clause");
        }
        self.named(name, "define clause")
    }

    /// The body of a `define` or `block`, in a scope of its own.
    fn named(&mut self, name: String, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$"]);
        let outer_ranges = std::mem::take(&mut self.range_depth);
        let outer_action = self.action_at.take();
        let opened = self.read;
        let (body, stop) = self.deeper(Self::list)?;
        if matches!(stop, Stop::Else) {
            // A block's own parser does not say so: the one around it does, which
            // has come no further than the block's head.
            let at = if context == "block clause" {
                opened
            } else {
                self.read
            };
            return self.fail_at(at, format_args!("unexpected {{{{else}}}} in {context}"));
        }
        if !is_empty(&body) {
            self.only_once(&name)?;
        }
        self.action_at = outer_action;
        self.variables = outer;
        self.range_depth = outer_ranges;
        self.defined.push(Template {
            name,
            source: self.source.clone(),
            body,
        });
        Ok(())
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::Str | Kind::RawStr => match unquote(token.val) {
                Some(name) => Ok(name),
                None => self.fail("invalid syntax"),
            },
            _ => self.unexpected(token, context),
        }
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut body = Vec::new();
        loop {
            if self.peek_non_space().kind == Kind::Eof {
                self.at += 1;
                return self.fail("unexpected EOF");
            }
            match self.text_or_action()? {
                Ok(node) => body.push(node),
                Err(stop) => return Ok((body, stop)),
            }
        }
    }

    fn text_or_action(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(token.val.to_owned()))),
            Kind::LeftDelim => {
                self.action_at = Some(token.pos);
                let parsed = self.action();
                self.action_at = None;
                parsed
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.peek_non_space();
        if token.kind != Kind::Keyword {
            return Ok(Ok(Node::Action(
                self.pipeline("command", Kind::RightDelim)?,
            )));
        }
        self.next();
        match token.val {
            "if" => Ok(Ok(Node::If(self.deeper(|p| p.control("if"))?))),
            "with" => Ok(Ok(Node::With(self.deeper(|p| p.control("with"))?))),
            "range" => Ok(Ok(Node::Range(self.deeper(|p| p.control("range"))?))),
            "end" => {
                let close = self.next_non_space();
                if close.kind != Kind::RightDelim {
                    return self.unexpected(&close, "end");
                }
                Ok(Err(Stop::End))
            }
            "else" => {
                let next = self.peek_non_space();
                if next.kind == Kind::Keyword && matches!(next.val, "if" | "with") {
                    return Ok(Err(Stop::Else));
                }
                let close = self.next();
                if close.kind != Kind::RightDelim {
                    return self.unexpected(&close, "else");
                }
                Ok(Err(Stop::Else))
            }
            word @ ("break" | "continue") => {
                let close = self.next_non_space();
                if close.kind != Kind::RightDelim {
                    return self.unexpected(&close, &format!("{{{{{word}}}}}"));
                }
                if self.range_depth == 0 {
                    return self.fail(format_args!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                Ok(Ok(if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }))
            }
            "template" => {
                let token = self.next_non_space();
                let name = self.template_name(&token, "template clause")?;
                let pipe = if self.peek_non_space().kind == Kind::RightDelim {
                    self.next();
                    None
                } else {
                    Some(self.pipeline("template clause", Kind::RightDelim)?)
                };
                Ok(Ok(Node::Template {
                    pos: token.pos,
                    name,
                    pipe,
                }))
            }
            "block" => {
                let token = self.next_non_space();
                let name = self.template_name(&token, "block clause")?;
                let pipe = self.pipeline("block clause", Kind::RightDelim)?;
                self.named(name.clone(), "block clause")?;
                Ok(Ok(Node::Template {
                    pos: token.pos,
                    name,
                    pipe: Some(pipe),
                }))
            }
            _ => self.unexpected(&token, "command"),
        }
    }

    fn control(&mut self, context: &str) -> Parsed<Branch> {
        let outer = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let ranges = usize::from(context == "range");
        self.range_depth += ranges;
        let (body, stop) = self.list()?;
        self.range_depth -= ranges;
        let otherwise = match stop {
            Stop::End => None,
            Stop::Else => {
                let next = self.peek();
                if next.kind == Kind::Keyword && next.val == context && context != "range" {
                    self.next();
                    let inner = if context == "if" {
                        Node::If(self.deeper(|p| p.control("if"))?)
                    } else {
                        Node::With(self.deeper(|p| p.control("with"))?)
                    };
                    Some(vec![inner])
                } else {
                    let (list, stop) = self.list()?;
                    if matches!(stop, Stop::Else) {
                        return self.fail("expected end; found {{else}}");
                    }
                    Some(list)
                }
            }
        };
        self.variables.truncate(outer);
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            pos: self.peek_non_space().pos,
            assigns: false,
            declares: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawStr
                | Kind::Str
                | Kind::Variable
                | Kind::LeftParen => {
                    self.at -= 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return self.fail(format_args!("missing value for {context}"));
        }
        for (at, command) in pipe.commands.iter().enumerate().skip(1) {
            if let Some(first) = command.args.first()
                && matches!(
                    first.kind,
                    ExprKind::Bool(_)
                        | ExprKind::Dot
                        | ExprKind::Nil
                        | ExprKind::Number { .. }
                        | ExprKind::Str { .. }
                )
            {
                return self.fail(format_args!(
                    "non executable command in pipeline stage {}",
                    at + 1
                ));
            }
        }
        Ok(pipe)
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            let start = self.at;
            self.next();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.next();
                    self.variables.push(variable.val);
                    pipe.declares.push(variable.val.to_owned());
                    return Ok(());
                }
                Kind::Char if next.val == "," => {
                    self.next();
                    self.variables.push(variable.val);
                    pipe.declares.push(variable.val.to_owned());
                    if context != "range" || pipe.declares.len() >= 2 {
                        return self.fail(format_args!("too many declarations in {context}"));
                    }
                    let follows = self.peek_non_space().kind;
                    if !matches!(
                        follows,
                        Kind::Variable | Kind::RightDelim | Kind::RightParen
                    ) {
                        return self.fail("range can only initialize variables");
                    }
                }
                _ => {
                    self.at = start;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command {
            pos: self.peek_non_space().pos,
            args: Vec::new(),
        };
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                command.args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if command.args.is_empty() {
            return self.fail("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            names.push(token.val.trim_start_matches('.').to_owned());
        }
        let kind = match term.kind {
            ExprKind::Field(mut head) => {
                head.append(&mut names);
                ExprKind::Field(head)
            }
            ExprKind::Variable(mut head) => {
                head.append(&mut names);
                ExprKind::Variable(head)
            }
            ExprKind::Bool(_)
            | ExprKind::Str { .. }
            | ExprKind::Number { .. }
            | ExprKind::Nil
            | ExprKind::Dot => {
                let shown = quote(&term.to_string());
                return self.fail(format_args!("unexpected . after term {shown}"));
            }
            _ => ExprKind::Chain(Box::new(term), names),
        };
        Ok(Some(Expr {
            pos: first.pos,
            kind,
        }))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let token = self.next_non_space();
        let kind = match token.kind {
            Kind::Identifier => {
                let Some(function) = functions::find(token.val) else {
                    return self.fail(format_args!("function {} not defined", quote(token.val)));
                };
                ExprKind::Ident(function)
            }
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.val) {
                    return self.fail(format_args!("undefined variable {}", quote(token.val)));
                }
                ExprKind::Variable(vec![token.val.to_owned()])
            }
            Kind::Field => ExprKind::Field(vec![token.val.trim_start_matches('.').to_owned()]),
            Kind::Bool => ExprKind::Bool(token.val == "true"),
            Kind::Number | Kind::CharConstant => match number(token.val) {
                Ok(value) => ExprKind::Number {
                    text: token.val.to_owned(),
                    value,
                },
                Err(why) => return self.fail(why),
            },
            Kind::LeftParen => {
                let pipe =
                    self.deeper(|p| p.pipeline("parenthesized pipeline", Kind::RightParen))?;
                ExprKind::Pipe(Box::new(pipe))
            }
            Kind::Str | Kind::RawStr => match unquote(token.val) {
                Some(value) => ExprKind::Str {
                    text: token.val.to_owned(),
                    value: value.into(),
                },
                None => return self.fail("invalid syntax"),
            },
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            pos: token.pos,
            kind,
        }))
    }
}

/// How Go prints a token in "unexpected …".
fn show(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Eof => "EOF".to_owned(),
        Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", token.val),
        _ if token.val.len() > 10 => {
            let head: String = token.val.chars().take(10).collect();
            format!("{}...", quote(&head))
        }
        _ => quote(token.val),
    }
}

/// `parse.newNumber`, but for complex numbers.
fn number(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: {}", quote(text));
    if text.starts_with('\'') {
        let value = unquote(text).unwrap_or_default();
        let mut chars = value.chars();
        return match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(Number::Int(i64::from(u32::from(c)))),
            (Some(_), Some(_)) => Err(format!("malformed character constant: {text}")),
            (None, _) => Err("invalid syntax".to_owned()),
        };
    }
    if let Some(value) = parse_integer(text, 0) {
        if let Ok(value) = i64::try_from(value) {
            return Ok(Number::Int(value));
        }
        if u64::try_from(value).is_ok() && !text.starts_with('+') {
            return Ok(Number::Overflow(value as f64));
        }
    }
    let value = parse_float(text).ok_or_else(illegal)?;
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {}", quote(text)));
    }
    Ok(Number::Float(value))
}
