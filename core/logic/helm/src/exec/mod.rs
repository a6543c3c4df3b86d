//! Walks parsed templates with text/template's rules.
//!
//! Called by the renderer, and by `include` and `tpl`. This file holds what a
//! rendering shares and its bounds; `statements` walks nodes, `expressions`
//! evaluates, `calls` gives functions their arguments, `scope` holds variables
//! and puts errors into words. What must stay true: errors read as Go's; steps,
//! output and depth are bounded, so no chart can hang or crash the process.

mod calls;
mod expressions;
mod scope;
mod statements;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use crate::ast::Template;
use crate::bounds;
use crate::chart::Kept;
use crate::render::{Environment, Host, Lookup};
use crate::value::Value;
use scope::{Operand, Scope};

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
    /// Nodes and calls evaluated, and what functions go through on top of that, so
    /// that a step takes about as long as another.
    pub steps: u64,
    /// Bytes written by all templates together. What functions make may come to
    /// `MADE` times as much.
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

/// See `Limits::output`.
const MADE: usize = 8;
/// Bytes that are gone through in about the time of a step.
const BYTES_A_STEP: usize = 256;
/// Values that are gone through in about the time of a step.
const VALUES_A_STEP: usize = 8;
/// Items of one list.
const LONGEST: usize = 2_000_000;
/// Bytes that an item of a list takes.
const ITEM: usize = 24;

/// Same bound as Helm's on an included name within itself.
const MAX_INCLUDES: usize = 1000;

/// Templates by name. What `tpl` defines lies over what was there before.
#[derive(Default)]
pub struct Set {
    own: HashMap<String, Arc<Template>>,
    below: Option<Rc<Set>>,
}

impl Set {
    pub fn get(&self, name: &str) -> Option<&Arc<Template>> {
        let mut set = self;
        loop {
            match (set.own.get(name), &set.below) {
                (Some(found), _) => return Some(found),
                (None, Some(below)) => set = below,
                (None, None) => return None,
            }
        }
    }

    /// Adds parsed templates; one of blanks only does not replace another.
    pub fn add(&mut self, parsed: impl IntoIterator<Item = Arc<Template>>) {
        for template in parsed {
            if crate::parser::is_empty(&template.body) && self.get(&template.name).is_some() {
                continue;
            }
            self.own.insert(template.name.clone(), template);
        }
    }
}

/// Everything a rendering shares.
pub struct Engine<'a> {
    pub set: Rc<Set>,
    pub host: &'a dyn Host,
    pub lookup: &'a dyn Lookup,
    pub limits: Limits,
    pub included: HashMap<String, usize>,
    /// Expressions that were compiled, by their text.
    pub regexes: HashMap<String, Rc<Regex>>,
    /// What the chart has of earlier renderings.
    pub kept: &'a Kept,
    steps: u64,
    written: usize,
    made: usize,
    depth: usize,
}

impl<'a> Engine<'a> {
    pub fn new(set: Set, kept: &'a Kept, environment: &Environment<'a>) -> Self {
        Self {
            set: Rc::new(set),
            host: environment.host,
            lookup: environment.lookup,
            limits: environment.limits,
            included: HashMap::new(),
            regexes: HashMap::new(),
            kept,
            steps: 0,
            written: 0,
            made: 0,
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
        self.walk(&template, dot)
    }

    fn walk(&mut self, template: &Template, dot: Value) -> Outcome<String> {
        let dot = Operand::plain(dot);
        let mut scope = Scope::new(template, dot.clone());
        // Most texts need no more, and grow by no steps.
        let mut out = String::with_capacity(256);
        self.list(&mut scope, &dot, &template.body, &mut out)?;
        Ok(out)
    }

    /// `include`, with Helm's bound on recursion.
    pub fn include(&mut self, name: &str, dot: Value) -> Outcome<String> {
        match self.included.get_mut(name) {
            Some(count) if *count > MAX_INCLUDES => {
                return Err(format!(
                    "rendering template has a nested reference name: {name}: unable to execute template"
                )
                .into());
            }
            Some(count) => *count += 1,
            None => {
                self.included.insert(name.to_owned(), 1);
            }
        }
        let result = self.execute(name, dot);
        if let Some(count) = self.included.get_mut(name) {
            *count -= 1;
        }
        result
    }

    /// `tpl`: what the text defines is seen only within it.
    pub fn tpl(&mut self, text: &str, dot: Value) -> Outcome<String> {
        const NAME: &str = "gotpl";
        // Most values have nothing to expand.
        if !text.contains("{{") {
            self.charge(text.len())?;
            return Ok(without_no_value(text.to_owned()));
        }
        let shown = || crate::format::quote(text);
        let mut parsed = crate::parser::parse(NAME, text)
            .map_err(|why| format!("cannot parse template {}: {why}", shown()))?
            .into_iter()
            .map(Arc::new);
        let Some(main) = parsed.next() else {
            return Ok(String::new());
        };
        let mut set = Set {
            own: HashMap::new(),
            below: Some(self.set.clone()),
        };
        set.add(std::iter::once(main.clone()).chain(parsed));
        let outer = std::mem::replace(&mut self.set, Rc::new(set));
        // Itself, even where it is too empty to take the place of one around it.
        let result = self.walk(&main, dot);
        self.set = outer;
        match result {
            Ok(out) => Ok(without_no_value(out)),
            Err(failure) => Err(Failure {
                text: format!(
                    "error during tpl function execution for {}: {}",
                    shown(),
                    failure.text
                ),
                said: failure.said,
            }),
        }
    }

    /// Counts a piece of work.
    pub fn step(&mut self) -> Outcome<()> {
        self.work(1)
    }

    /// Counts going through so many bytes, for functions that do it more than once.
    pub fn passed(&mut self, bytes: usize) -> Outcome<()> {
        self.work(1 + bytes / BYTES_A_STEP)
    }

    fn work(&mut self, steps: usize) -> Outcome<()> {
        self.steps = self.steps.saturating_add(steps as u64);
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
            return Err(format!("the chart makes more than {} bytes", self.limits.output).into());
        }
        Ok(())
    }

    /// Counts what a function is given: all of them go through it once.
    fn given(&mut self, args: &[Value]) -> Outcome<()> {
        let mut texts = 0_usize;
        let mut items = 0;
        for arg in args {
            match arg {
                Value::Str(text) => texts += text.len(),
                Value::List(list) => items += list.len(),
                Value::Map(map) => items += map.len(),
                Value::Object(object) => items += object.size(),
                _ => {}
            }
        }
        if texts > self.limits.output {
            return Err(format!(
                "texts of {texts} bytes are more than {} in all",
                self.limits.output
            )
            .into());
        }
        self.work(texts / BYTES_A_STEP + items / VALUES_A_STEP)
    }

    /// Counts what a function made, and what it went through for it.
    fn made(&mut self, value: &Value) -> Outcome<()> {
        let visited = bounds::visited()?;
        let (texts, items) = match value {
            Value::Str(text) => (text.len(), 0),
            Value::List(list) => (0, list.len()),
            Value::Object(object) => (0, object.size()),
            _ => (0, 0),
        };
        if items > LONGEST {
            return Err(format!("a list of {items} items is too long").into());
        }
        let bytes = texts + (items + visited) * ITEM;
        self.made = self.made.saturating_add(bytes);
        let most = self.limits.output.saturating_mul(MADE);
        if self.made > most {
            return Err(format!("functions made more than {most} bytes").into());
        }
        self.work(texts / BYTES_A_STEP + (items + visited) / VALUES_A_STEP)
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
}

/// What Go writes for nothing, taken out of a text again as Helm does.
pub fn without_no_value(text: String) -> String {
    if text.contains('<') {
        text.replace("<no value>", "")
    } else {
        text
    }
}
