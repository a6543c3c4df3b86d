//! TOML as BurntSushi's library writes it, and the TOML that charts hold read.
//!
//! What must stay true: neither side recurses deeper than its bound.

use std::collections::BTreeMap;

use super::{Row, arg, text};
use crate::objects::Object;
use crate::value::{Shared, Value};

const MAX_DEPTH: usize = 200;

pub const TABLE: &[Row] = &[
    ("toToml", "a", |_, a| {
        let mut out = String::new();
        let value = arg(a, 0);
        let written = match value.entries() {
            Some(map) => table(&mut out, &map, &[]),
            // What is no table stands by itself, although it is no TOML then.
            None if matches!(value, Value::Nil) => {
                return Err(super::data::ZERO_VALUE.into());
            }
            // A struct's fields stand in their order.
            None => match structure(&value) {
                Some(fields) => fields.iter().try_for_each(|(name, value)| {
                    out.push_str(&format!("{} = ", key(name)));
                    element(&mut out, value, 0)?;
                    out.push('\n');
                    Ok(())
                }),
                None if is_table_list(&value).unwrap_or(false) => {
                    Err("toml: top-level values must be Go maps or structs".to_owned())
                }
                None => element(&mut out, &value, 0),
            },
        };
        Ok(Value::text(match written {
            Ok(()) => out,
            Err(why) => why,
        }))
    }),
    ("fromToml", "s", |_, a| {
        Ok(match read(text(a, 0)) {
            Ok(map) => map,
            Err(why) => Value::map([("Error".to_owned(), Value::text(why))].into()),
        })
    }),
];

fn structure(value: &Value) -> Option<&[(&'static str, Value)]> {
    match value {
        Value::Object(object) => match object.as_ref() {
            Object::Struct { fields, .. } => Some(fields),
            _ => None,
        },
        _ => None,
    }
}

fn is_table_list(value: &Value) -> Result<bool, String> {
    let Some(items) = value.items() else {
        return Ok(false);
    };
    if items.iter().any(|item| matches!(item, Value::Nil)) {
        return Err("toml: cannot encode array with nil element".to_owned());
    }
    Ok(!items.is_empty() && items.iter().all(|item| item.entries().is_some()))
}

fn table(out: &mut String, map: &Shared, path: &[String]) -> Result<(), String> {
    if path.len() > MAX_DEPTH {
        return Err("toml: the tables are nested too deep".to_owned());
    }
    let entries: Vec<(String, Value)> = map
        .borrow()
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Nil))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let indent = "  ".repeat(path.len());
    let mut below = Vec::new();
    for (name, value) in &entries {
        if value.entries().is_some() || is_table_list(value)? {
            below.push((name, value));
            continue;
        }
        let mut shown = String::new();
        element(&mut shown, value, 0)?;
        out.push_str(&format!("{indent}{} = {shown}\n", key(name)));
    }
    for (name, value) in below {
        let mut path = path.to_vec();
        path.push(name.clone());
        let title: Vec<String> = path.iter().map(|part| key(part)).collect();
        let title = title.join(".");
        let (open, close, tables) = match value.items() {
            Some(items) => ("[[", "]]", items.to_vec()),
            None => ("[", "]", vec![value.clone()]),
        };
        for inner in tables {
            if path.len() == 1 && !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&format!("{indent}{open}{title}{close}\n"));
            if let Some(inner) = inner.entries() {
                table(out, &inner, &path)?;
            }
        }
    }
    Ok(())
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn element(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("toml: the values are nested too deep".to_owned());
    }
    match value {
        Value::Float(number) => {
            let text = match () {
                () if number.is_nan() => "nan".to_owned(),
                () if number.is_infinite() => if *number > 0.0 { "inf" } else { "-inf" }.to_owned(),
                () => catalyst_yaml::format_float(*number),
            };
            out.push_str(&text);
            if number.is_finite() && !text.contains(['.', 'e']) {
                out.push_str(".0");
            }
        }
        Value::Str(text) => out.push_str(&quoted(text)),
        Value::Object(object)
            if matches!(object.as_ref(), Object::Time(_) | Object::Version(_)) =>
        {
            let text = object.to_json(&|_| None);
            let text = text
                .as_ref()
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            match object.as_ref() {
                Object::Time(_) => out.push_str(text),
                _ => out.push_str(&quoted(text)),
            }
        }
        value => {
            if let Some(items) = value.items() {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    if matches!(item, Value::Nil) {
                        return Err("toml: cannot encode array with nil element".to_owned());
                    }
                    element(out, item, depth + 1)?;
                }
                out.push(']');
            } else if let Some(map) = value.entries() {
                let entries: Vec<(String, Value)> = map
                    .borrow()
                    .iter()
                    .filter(|(_, value)| !matches!(value, Value::Nil))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                out.push('{');
                for (at, (name, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    out.push_str(&key(name));
                    out.push_str(" = ");
                    element(out, value, depth + 1)?;
                }
                out.push('}');
            } else {
                out.push_str(&crate::format::show(value));
            }
        }
    }
    Ok(())
}

fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        rest: text,
        line: 1,
    };
    let root = Value::map(BTreeMap::new());
    let mut current = root.clone();
    loop {
        reader.blank_lines();
        if reader.rest.is_empty() {
            return Ok(root);
        }
        if reader.take("[[") {
            let path = reader.keys()?;
            reader.expect("]]")?;
            let Some((last, parents)) = path.split_last() else {
                return reader.fail("a table has no name");
            };
            let parent = reader.descend(&root, parents)?;
            let Some(map) = parent.entries() else {
                return reader.fail("a table is not one");
            };
            current = Value::map(BTreeMap::new());
            let mut items = map
                .borrow()
                .get(last)
                .and_then(Value::items)
                .map(|items| items.to_vec())
                .unwrap_or_default();
            items.push(current.clone());
            map.borrow_mut().insert(
                last.clone(),
                Value::typed("[]map[string]interface {}", items),
            );
        } else if reader.take("[") {
            let path = reader.keys()?;
            reader.expect("]")?;
            current = reader.descend(&root, &path)?;
        } else {
            reader.pair(&current, 0)?;
        }
        reader.end_of_line()?;
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("toml: line {}: {why}", self.line))
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        self.blanks();
        if self.take(text) {
            return Ok(());
        }
        self.fail(&format!("expected '{text}'"))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn blank_lines(&mut self) {
        loop {
            self.blanks();
            if self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = self.rest.get(end..).unwrap_or_default();
            }
            self.take("\r");
            if !self.take("\n") {
                return;
            }
            self.line += 1;
        }
    }

    fn end_of_line(&mut self) -> Result<(), String> {
        self.blanks();
        if self.rest.is_empty() || self.rest.starts_with(['\n', '\r', '#']) {
            return Ok(());
        }
        self.fail("expected the end of the line")
    }

    fn keys(&mut self) -> Result<Vec<String>, String> {
        let mut keys = Vec::new();
        loop {
            self.blanks();
            let name = if self.rest.starts_with(['"', '\'']) {
                self.string()?
            } else {
                let end = self
                    .rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                    .unwrap_or(self.rest.len());
                let (name, rest) = self.rest.split_at_checked(end).unwrap_or_default();
                if name.is_empty() {
                    return self.fail("expected a key");
                }
                self.rest = rest;
                name.to_owned()
            };
            keys.push(name);
            self.blanks();
            if keys.len() > MAX_DEPTH {
                return self.fail("the keys are nested too deep");
            }
            if !self.take(".") {
                return Ok(keys);
            }
        }
    }

    /// The table at `path`, made where it is not there; of a list the last.
    fn descend(&self, root: &Value, path: &[String]) -> Result<Value, String> {
        let mut here = root.clone();
        for name in path {
            let Some(map) = here.entries() else {
                return self.fail(&format!("'{name}' is not in a table"));
            };
            let next = map
                .borrow_mut()
                .entry(name.clone())
                .or_insert_with(|| Value::map(BTreeMap::new()))
                .clone();
            here = match next.items() {
                Some(items) => items.last().cloned().unwrap_or(Value::Nil),
                None => next,
            };
        }
        if here.entries().is_none() {
            return self.fail("a key has a value already");
        }
        Ok(here)
    }

    fn pair(&mut self, into: &Value, depth: usize) -> Result<(), String> {
        let path = self.keys()?;
        self.expect("=")?;
        let value = self.value(depth)?;
        let Some((last, parents)) = path.split_last() else {
            return self.fail("expected a key");
        };
        let holder = self.descend(into, parents)?;
        if let Some(map) = holder.entries()
            && map.borrow_mut().insert(last.clone(), value).is_some()
        {
            return self.fail(&format!("Key '{last}' has already been defined."));
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return self.fail("the values are nested too deep");
        }
        self.blanks();
        if self.rest.starts_with(['"', '\'']) {
            return self.string().map(Value::text);
        }
        if self.take("[") {
            let mut items = Vec::new();
            loop {
                self.blank_lines();
                if self.take("]") {
                    return Ok(Value::list(items));
                }
                items.push(self.value(depth + 1)?);
                self.blank_lines();
                if !self.take(",") && !self.rest.starts_with(']') {
                    return self.fail("expected a comma or the end of the array");
                }
            }
        }
        if self.take("{") {
            let map = Value::map(BTreeMap::new());
            loop {
                self.blank_lines();
                if self.take("}") {
                    return Ok(map);
                }
                self.pair(&map, depth + 1)?;
                self.blank_lines();
                if !self.take(",") && !self.rest.starts_with('}') {
                    return self.fail("expected a comma or the end of the table");
                }
            }
        }
        let end = self
            .rest
            .find([',', ']', '}', '#', '\n', '\r'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        let word = word.trim_end();
        self.rest = rest;
        let plain = word.replace('_', "");
        match word {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "inf" | "+inf" => return Ok(Value::Float(f64::INFINITY)),
            "-inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
            "nan" | "+nan" | "-nan" => return Ok(Value::Float(f64::NAN)),
            _ => {}
        }
        let integer = match plain.get(..2) {
            Some("0x" | "0o" | "0b") => crate::numbers::parse_integer(&plain, 0),
            _ => crate::numbers::parse_integer(&plain, 10),
        };
        if let Some(number) = integer.and_then(|number| i64::try_from(number).ok()) {
            return Ok(Value::Int64(number));
        }
        if let Some(number) = crate::numbers::parse_float(&plain) {
            return Ok(Value::Float(number));
        }
        if let Some(time) = super::date::parse_rfc3339(word) {
            return Ok(time);
        }
        self.fail(&format!("expected value but found '{word}' instead"))
    }

    fn string(&mut self) -> Result<String, String> {
        for (mark, escapes) in [("\"\"\"", true), ("'''", false)] {
            if self.take(mark) {
                self.take("\r");
                self.take("\n");
                return self.until(mark, escapes);
            }
        }
        if self.take("'") {
            return self.until("'", false);
        }
        self.take("\"");
        self.until("\"", true)
    }

    fn until(&mut self, mark: &str, escapes: bool) -> Result<String, String> {
        let mut out = String::new();
        loop {
            if self.take(mark) {
                return Ok(out);
            }
            let Some(c) = self.rest.chars().next() else {
                return self.fail("unexpected EOF; expected the end of a string");
            };
            self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\n' {
                if mark.len() == 1 {
                    return self.fail("strings cannot contain newlines");
                }
                self.line += 1;
            }
            if c != '\\' || !escapes {
                out.push(c);
                continue;
            }
            let Some(escape) = self.rest.chars().next() else {
                continue;
            };
            self.rest = self.rest.get(escape.len_utf8()..).unwrap_or_default();
            let count = match escape {
                'b' => {
                    out.push('\u{8}');
                    continue;
                }
                't' => {
                    out.push('\t');
                    continue;
                }
                'n' => {
                    out.push('\n');
                    continue;
                }
                'f' => {
                    out.push('\u{c}');
                    continue;
                }
                'r' => {
                    out.push('\r');
                    continue;
                }
                'e' => {
                    out.push('\u{1b}');
                    continue;
                }
                '"' | '\\' => {
                    out.push(escape);
                    continue;
                }
                '\n' | ' ' | '\t' => {
                    self.rest = self.rest.trim_start();
                    continue;
                }
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => return self.fail("invalid escape character"),
            };
            let digits = self.rest.get(..count).unwrap_or_default();
            match u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32)
            {
                Some(c) => out.push(c),
                None => return self.fail("invalid escape"),
            }
            self.rest = self.rest.get(count..).unwrap_or_default();
        }
    }
}
