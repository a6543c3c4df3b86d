//! Walks parsed templates with text/template's rules.
//!
//! Called by the renderer, and by `include` and `tpl`. What must stay true:
//! errors read as Go's; steps, output and depth are bounded, so no chart can
//! hang or crash the process.

use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::{Branch, Command, Expr, ExprKind, Node, Number, Pipe, Template, template_action};
use crate::format::{print_value, show};
use crate::functions::{self, Function};
use crate::objects::method_parameters;
use crate::render::{Host, Lookup};
use crate::value::Value;

/// Why a template could not be executed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The whole chain, as Go prints it.
    pub text: String,
    /// The author's own words, from `fail` and `required`.
    pub said: Option<String>,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { text, said: None }
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

pub type Outcome<T> = Result<T, Failure>;

/// Bounds of one rendering.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes and calls evaluated.
    pub steps: u64,
    /// Bytes written by all templates together.
    pub output: usize,
    /// Lists, pipelines and templates within each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 20_000_000,
            output: 64 << 20,
            depth: 12_000,
        }
    }
}

/// Same bound as Helm's on an included name within itself.
const MAX_INCLUDES: usize = 1000;

pub type Set = HashMap<String, Rc<Template>>;

/// Everything a rendering shares.
pub struct Engine<'a> {
    pub set: Rc<Set>,
    pub host: &'a dyn Host,
    pub lookup: &'a dyn Lookup,
    pub limits: Limits,
    pub included: HashMap<String, usize>,
    steps: u64,
    written: usize,
    depth: usize,
}

/// How a list of nodes ended.
enum Flow {
    Done,
    Break,
    Continue,
}

/// The template being executed, and its variables.
struct Scope {
    template: Rc<Template>,
    variables: Vec<(String, Value)>,
}

impl<'a> Engine<'a> {
    pub fn new(set: Set, host: &'a dyn Host, lookup: &'a dyn Lookup, limits: Limits) -> Self {
        Self {
            set: Rc::new(set),
            host,
            lookup,
            limits,
            included: HashMap::new(),
            steps: 0,
            written: 0,
            depth: 0,
        }
    }

    /// Executes the named template.
    pub fn execute(&mut self, name: &str, dot: Value) -> Outcome<String> {
        let Some(template) = self.set.get(name).cloned() else {
            return Err(format!(
                "template: no template {} associated with template \"gotpl\"",
                crate::format::quote(name)
            )
            .into());
        };
        let mut scope = Scope {
            variables: vec![("$".to_owned(), dot.clone())],
            template,
        };
        let mut out = String::new();
        let template = scope.template.clone();
        self.list(&mut scope, &dot, &template.body, &mut out)?;
        Ok(out)
    }

    /// `include`, with Helm's bound on recursion.
    pub fn include(&mut self, name: &str, dot: Value) -> Outcome<String> {
        let count = self.included.entry(name.to_owned()).or_insert(0);
        if *count > MAX_INCLUDES {
            return Err(format!(
                "rendering template has a nested reference name: {name}: unable to execute template"
            )
            .into());
        }
        *count += 1;
        let result = self.execute(name, dot);
        if let Some(count) = self.included.get_mut(name) {
            *count -= 1;
        }
        result
    }

    /// `tpl`: what the text defines is seen only within it.
    pub fn tpl(&mut self, text: &str, dot: Value) -> Outcome<String> {
        const NAME: &str = "gotpl";
        let shown = crate::format::quote(text);
        let parsed = crate::parser::parse(NAME, text)
            .map_err(|why| format!("cannot parse template {shown}: {why}"))?;
        let mut set = (*self.set).clone();
        add_templates(&mut set, parsed);
        let outer = std::mem::replace(&mut self.set, Rc::new(set));
        let result = if self.set.contains_key(NAME) {
            self.execute(NAME, dot)
        } else {
            Ok(String::new())
        };
        self.set = outer;
        match result {
            Ok(out) => Ok(out.replace("<no value>", "")),
            Err(failure) => Err(Failure {
                text: format!(
                    "error during tpl function execution for {shown}: {}",
                    failure.text
                ),
                said: failure.said,
            }),
        }
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            return Err(format!(
                "rendering took more than {} steps; look for an endless loop",
                self.limits.steps
            )
            .into());
        }
        Ok(())
    }

    /// Counts bytes that were made, by templates or by functions.
    pub fn charge(&mut self, bytes: usize) -> Outcome<()> {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limits.output {
            return Err(format!("the output is larger than {} bytes", self.limits.output).into());
        }
        Ok(())
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.depth >= self.limits.depth {
            return Err("exceeded maximum template depth".into());
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn list(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        nodes: &[Node],
        out: &mut String,
    ) -> Outcome<Flow> {
        self.deeper(|engine| {
            for node in nodes {
                match engine.node(scope, dot, node, out)? {
                    Flow::Done => {}
                    other => return Ok(other),
                }
            }
            Ok(Flow::Done)
        })
    }

    fn node(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        node: &Node,
        out: &mut String,
    ) -> Outcome<Flow> {
        self.step()?;
        match node {
            Node::Text(text) => {
                self.charge(text.len())?;
                out.push_str(text);
            }
            Node::Action(pipe) => {
                let value = self.pipeline(scope, dot, pipe)?;
                if pipe.declares.is_empty() {
                    let text = print_value(&value);
                    self.charge(text.len())?;
                    out.push_str(&text);
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(branch) => {
                let mark = scope.variables.len();
                let value = self.pipeline(scope, dot, &branch.pipe)?;
                let flow = if value.is_true() {
                    self.list(scope, dot, &branch.body, out)?
                } else {
                    self.otherwise(scope, dot, branch, out)?
                };
                scope.variables.truncate(mark);
                return Ok(flow);
            }
            Node::With(branch) => {
                let mark = scope.variables.len();
                let value = self.pipeline(scope, dot, &branch.pipe)?;
                let flow = if value.is_true() {
                    self.list(scope, &value, &branch.body, out)?
                } else {
                    self.otherwise(scope, dot, branch, out)?
                };
                scope.variables.truncate(mark);
                return Ok(flow);
            }
            Node::Range(branch) => {
                let mark = scope.variables.len();
                let flow = self.range(scope, dot, branch, out)?;
                scope.variables.truncate(mark);
                return Ok(flow);
            }
            Node::Template { pos, name, pipe } => {
                let Some(template) = self.set.get(name).cloned() else {
                    return Err(error(
                        scope,
                        *pos,
                        &template_action(name, pipe.as_ref()),
                        format!("template {} not defined", crate::format::quote(name)),
                    ));
                };
                let value = match pipe {
                    Some(pipe) => self.pipeline(scope, dot, pipe)?,
                    None => Value::Nil,
                };
                let body = template.clone();
                let mut inner = Scope {
                    template,
                    variables: vec![("$".to_owned(), value.clone())],
                };
                self.list(&mut inner, &value, &body.body, out)?;
            }
        }
        Ok(Flow::Done)
    }

    fn otherwise(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        branch: &Branch,
        out: &mut String,
    ) -> Outcome<Flow> {
        match &branch.otherwise {
            Some(nodes) => self.list(scope, dot, nodes, out),
            None => Ok(Flow::Done),
        }
    }

    fn range(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        branch: &Branch,
        out: &mut String,
    ) -> Outcome<Flow> {
        let value = self.pipeline(scope, dot, &branch.pipe)?;
        let pairs: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Int(count) | Value::Int64(count) => {
                if branch.pipe.declares.len() > 1 {
                    return Err(range_error(
                        scope,
                        branch,
                        format!(
                            "can't use {} to iterate over more than one variable",
                            show(&value)
                        ),
                    ));
                }
                return self.range_count(scope, dot, branch, *count, out);
            }
            value => {
                if let Some(items) = value.items() {
                    items
                        .iter()
                        .enumerate()
                        .map(|(at, item)| {
                            (
                                Value::Int(i64::try_from(at).unwrap_or(i64::MAX)),
                                item.clone(),
                            )
                        })
                        .collect()
                } else if let Some(entries) = value.entries() {
                    entries
                        .borrow()
                        .iter()
                        .map(|(key, value)| (Value::text(key), value.clone()))
                        .collect()
                } else {
                    return Err(range_error(
                        scope,
                        branch,
                        format!("range can't iterate over {}", show(value)),
                    ));
                }
            }
        };
        if pairs.is_empty() {
            return self.otherwise(scope, dot, branch, out);
        }
        for (index, item) in pairs {
            if let Some(flow) = self.iteration(scope, branch, index, item, out)? {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    fn range_count(
        &mut self,
        scope: &mut Scope,
        dot: &Value,
        branch: &Branch,
        count: i64,
        out: &mut String,
    ) -> Outcome<Flow> {
        if count <= 0 {
            return self.otherwise(scope, dot, branch, out);
        }
        for number in 0..count {
            let item = Value::Int(number);
            if let Some(flow) = self.iteration(scope, branch, Value::Nil, item, out)? {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    /// One round; `Some` ends the loop.
    fn iteration(
        &mut self,
        scope: &mut Scope,
        branch: &Branch,
        index: Value,
        item: Value,
        out: &mut String,
    ) -> Outcome<Option<Flow>> {
        self.step()?;
        let pipe = &branch.pipe;
        let mark = scope.variables.len();
        let bind = |scope: &mut Scope, name: &str, value: Value| {
            if pipe.assigns {
                assign(scope, name, value);
            } else {
                scope.variables.push((name.to_owned(), value));
            }
        };
        match pipe.declares.as_slice() {
            [one] => bind(scope, one, item.clone()),
            [first, second] => {
                bind(scope, first, index);
                bind(scope, second, item.clone());
            }
            _ => {}
        }
        let flow = self.list(scope, &item, &branch.body, out)?;
        scope.variables.truncate(mark);
        Ok(match flow {
            Flow::Break => Some(Flow::Done),
            _ => None,
        })
    }

    fn pipeline(&mut self, scope: &mut Scope, dot: &Value, pipe: &Pipe) -> Outcome<Value> {
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
    fn operand(&mut self, scope: &mut Scope, dot: &Value, expr: &Expr) -> Outcome<Value> {
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

    #[expect(clippy::too_many_arguments, reason = "the parts of one evaluation")]
    fn function(
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
    fn arguments(
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

/// Puts parsed templates into `set`; one of blanks only does not replace
/// another.
pub fn add_templates(set: &mut Set, parsed: Vec<Template>) {
    for template in parsed {
        if set.contains_key(&template.name) && crate::parser::is_empty(&template.body) {
            continue;
        }
        set.insert(template.name.clone(), Rc::new(template));
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

fn variable<'n>(scope: &Scope, names: &'n [String]) -> (Value, &'n [String]) {
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

fn assign(scope: &mut Scope, name: &str, value: Value) {
    if let Some(slot) = scope
        .variables
        .iter_mut()
        .rev()
        .find(|(known, _)| known == name)
    {
        slot.1 = value;
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

fn range_error(scope: &Scope, branch: &Branch, why: String) -> Failure {
    error(scope, branch.pos, &branch.pipe.to_string(), why)
}

fn at(scope: &Scope, expr: &Expr, why: impl AsRef<str>) -> Failure {
    error(scope, expr.pos, &expr.to_string(), why)
}

fn error(scope: &Scope, pos: usize, context: &str, why: impl AsRef<str>) -> Failure {
    message(scope, pos, context, why.as_ref()).into()
}

fn message(scope: &Scope, pos: usize, context: &str, why: &str) -> String {
    let template = &scope.template;
    format!(
        "template: {}: executing {} at <{context}>: {why}",
        template.source.location(pos),
        crate::format::quote(&template.name)
    )
}
