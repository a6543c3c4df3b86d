//! Nodes of a template: text, actions, branches, loops, templates within templates.
//!
//! Called by the engine with a template's body. What must stay true: a branch
//! forgets the variables that it declared; every node counts as a step, every
//! round of a loop as another, and whatever is written is charged.

use super::scope::{Operand, Place, Scope};
use super::{Engine, Outcome};
use crate::ast::{Branch, Node};
use crate::bounds;
use crate::format::{print_value, show};
use crate::value::Value;

/// How a list of nodes ended.
pub(super) enum Flow {
    Done,
    Break,
    Continue,
}

impl Engine<'_> {
    pub(super) fn list<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        nodes: &'t [Node],
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

    fn node<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        node: &'t Node,
        out: &mut String,
    ) -> Outcome<Flow> {
        self.step()?;
        scope.place = Place::Node(node);
        match node {
            Node::Text(text) => {
                self.charge(text.len())?;
                out.push_str(text);
            }
            Node::Action(pipe) => {
                let value = self.pipeline(scope, dot, pipe)?;
                if pipe.declares.is_empty() {
                    if let Value::Str(text) = &value {
                        self.charge(text.len())?;
                        out.push_str(text);
                        return Ok(Flow::Done);
                    }
                    let text = print_value(&value);
                    bounds::visited().map_err(|why| scope.fail(why))?;
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
                    self.list(scope, &Operand::plain(value), &branch.body, out)?
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
            Node::Template { name, pipe, .. } => {
                let Some(template) = self.set.get(name).cloned() else {
                    return Err(scope.fail(format!(
                        "template {} not defined",
                        crate::format::quote(name)
                    )));
                };
                let value = match pipe {
                    Some(pipe) => self.pipeline(scope, dot, pipe)?,
                    None => Value::Nil,
                };
                let dot = Operand::plain(value);
                let mut inner = Scope::new(&template, dot.clone());
                self.list(&mut inner, &dot, &template.body, out)?;
            }
        }
        Ok(Flow::Done)
    }

    fn otherwise<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        branch: &'t Branch,
        out: &mut String,
    ) -> Outcome<Flow> {
        match &branch.otherwise {
            Some(nodes) => self.list(scope, dot, nodes, out),
            None => Ok(Flow::Done),
        }
    }

    /// Go ends this loop and not the one around it at a `break` in its `else`.
    fn nothing_to_range<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        branch: &'t Branch,
        out: &mut String,
    ) -> Outcome<Flow> {
        Ok(match self.otherwise(scope, dot, branch, out)? {
            Flow::Break => Flow::Done,
            flow => flow,
        })
    }

    fn range<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        branch: &'t Branch,
        out: &mut String,
    ) -> Outcome<Flow> {
        let value = self.pipeline(scope, dot, &branch.pipe)?;
        // Elements of lists and maps of anything are boxed in Go.
        let boxed = match &value {
            Value::Object(object) => object.holds_anything(),
            _ => true,
        };
        let pairs: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Int(_) | Value::Int64(_) | Value::Uint(..) => {
                if branch.pipe.declares.len() > 1 {
                    return Err(scope.fail(format!(
                        "can't use {} to iterate over more than one variable",
                        show(&value)
                    )));
                }
                return self.range_count(scope, dot, branch, &value, out);
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
                    return Err(scope.fail(format!("range can't iterate over {}", show(value))));
                }
            }
        };
        if pairs.is_empty() {
            return self.nothing_to_range(scope, dot, branch, out);
        }
        for (index, item) in pairs {
            if let Some(flow) =
                self.iteration(scope, branch, index, Operand { value: item, boxed }, out)?
            {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    fn range_count<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Operand,
        branch: &'t Branch,
        count: &Value,
        out: &mut String,
    ) -> Outcome<Flow> {
        let until = match count {
            Value::Int(count) | Value::Int64(count) => *count,
            Value::Uint(count, _) => i64::try_from(*count).unwrap_or(i64::MAX),
            _ => 0,
        };
        if until <= 0 {
            return self.nothing_to_range(scope, dot, branch, out);
        }
        for number in 0..until {
            let item = Operand::plain(match count {
                Value::Int64(_) => Value::Int64(number),
                Value::Uint(_, name) => Value::Uint(number.unsigned_abs(), name),
                _ => Value::Int(number),
            });
            if let Some(flow) = self.iteration(scope, branch, Value::Nil, item, out)? {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    /// One round; `Some` ends the loop.
    fn iteration<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        branch: &'t Branch,
        index: Value,
        item: Operand,
        out: &mut String,
    ) -> Outcome<Option<Flow>> {
        self.step()?;
        let pipe = &branch.pipe;
        let mark = scope.variables.len();
        let bind = |scope: &mut Scope<'t>, name: &'t str, value: Operand| {
            if pipe.assigns {
                scope.assign(name, value)
            } else {
                scope.variables.push((name, value));
                Ok(())
            }
        };
        match pipe.declares.as_slice() {
            [one] => bind(scope, one, item.clone())?,
            [first, second] => {
                bind(scope, first, Operand::plain(index))?;
                bind(scope, second, item.clone())?;
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
}
