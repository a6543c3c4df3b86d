//! JSON as Go's `encoding/json` writes and reads it.
//!
//! Called by `toJson`, `fromJson` and their relatives. Reading gives Go's
//! words for what is wrong; what must stay true: neither side recurses deeper
//! than its bound.

use std::collections::BTreeMap;

use catalyst_yaml::go_json_string;

use crate::bounds;
use crate::objects::Object;
use crate::value::Value;

/// How text is written.
#[derive(Clone, Copy)]
pub struct Style {
    /// `<`, `>` and `&` as escapes.
    pub html: bool,
    pub indent: Option<&'static str>,
}

/// `json.Marshal`, or why it fails.
pub fn write(value: &Value, style: Style) -> Result<String, String> {
    let mut out = String::new();
    write_into(&mut out, value, style, 0)?;
    Ok(out)
}

fn line(out: &mut String, style: Style, level: usize) {
    if let Some(indent) = style.indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, level));
    }
}

fn write_into(out: &mut String, value: &Value, style: Style, level: usize) -> Result<(), String> {
    bounds::visit();
    if out.len() > bounds::TEXT {
        bounds::exceed();
        return Ok(());
    }
    if level > bounds::DEPTH {
        return Err(
            "json: unsupported value: encountered a cycle via map[string]interface {}".to_owned(),
        );
    }
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) | Value::Int64(number) => out.push_str(&number.to_string()),
        Value::Uint(number, _) => out.push_str(&number.to_string()),
        Value::Float(number) => match catalyst_yaml::go_json_number(*number) {
            Some(text) => out.push_str(&text),
            None => {
                return Err(format!(
                    "json: unsupported value: {}",
                    catalyst_yaml::format_float(*number)
                ));
            }
        },
        Value::Str(text) => go_json_string(out, text, style.html),
        Value::List(items) => list(out, items, style, level)?,
        Value::Map(map) => {
            let entries: Vec<(String, Value)> = map
                .borrow()
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            object(out, entries.into_iter(), style, level)?;
        }
        Value::Object(held) => match held.as_ref() {
            Object::Typed { nil: true, .. } => out.push_str("null"),
            Object::Typed { value, .. } => write_into(out, value, style, level)?,
            Object::Struct {
                type_name, fields, ..
            } => {
                let entries = fields.iter().filter_map(|(name, value)| {
                    match crate::objects::json_name(type_name, name) {
                        None => Some(((*name).to_owned(), value.clone())),
                        Some(key) => value.is_true().then(|| (key.to_owned(), value.clone())),
                    }
                });
                object(out, entries, style, level)?;
            }
            Object::ApiVersions(list_of) => {
                let items: Vec<Value> = list_of.iter().map(Value::text).collect();
                list(out, &items, style, level)?;
            }
            held => {
                if let Some(plain) = held.to_json(&|_| None) {
                    write_into(out, &Value::from_json(&plain), style, level)?;
                }
            }
        },
    }
    Ok(())
}

fn list(out: &mut String, items: &[Value], style: Style, level: usize) -> Result<(), String> {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        line(out, style, level + 1);
        write_into(out, item, style, level + 1)?;
    }
    if !items.is_empty() {
        line(out, style, level);
    }
    out.push(']');
    Ok(())
}

fn object(
    out: &mut String,
    entries: impl Iterator<Item = (String, Value)>,
    style: Style,
    level: usize,
) -> Result<(), String> {
    out.push('{');
    let mut any = false;
    for (key, value) in entries {
        if any {
            out.push(',');
        }
        any = true;
        line(out, style, level + 1);
        go_json_string(out, &key, style.html);
        out.push_str(if style.indent.is_some() { ": " } else { ":" });
        write_into(out, &value, style, level + 1)?;
    }
    if any {
        line(out, style, level);
    }
    out.push('}');
    Ok(())
}

/// `json.Unmarshal` into an `interface {}`, or where `kind` is not empty into a
/// map or a list, of which it is Go's type.
pub fn read(text: &str, kind: &str) -> Result<Value, String> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
    };
    // Go checks the whole text before it takes any value from it.
    reader.blanks();
    let value = reader.value(0)?;
    reader.blanks();
    match reader.peek() {
        None => {
            // A number that no float holds does not matter where none is wanted.
            let holds = text.trim_start().starts_with(['{', '[']) || kind.is_empty();
            match value {
                Ok(value) => Ok(value),
                Err(_) if !holds => Err(format!(
                    "json: cannot unmarshal number into Go value of type {kind}"
                )),
                Err(number) => Err(format!(
                    "json: cannot unmarshal number {number} into Go value of type float64"
                )),
            }
        }
        Some(c) => Err(format!(
            "invalid character {} after top-level value",
            shown(c)
        )),
    }
}

/// A value, or the number in it that no float holds.
type Taken = Result<Value, String>;

struct Reader {
    chars: Vec<char>,
    at: usize,
}

fn shown(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => crate::format::quote_with(&c.to_string(), '\'', false),
    }
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.at += 1;
        }
    }

    /// The fault at the present character; where none is left Go tries a
    /// blank, which `within` a literal is what is wrong.
    fn fault<T>(&self, context: &str, within: bool) -> Result<T, String> {
        match self.peek() {
            // Go reads bytes, and shows the first of a character as if it were one.
            Some(c) => {
                let first = c.encode_utf8(&mut [0; 4]).bytes().next();
                let c = first.map_or(c, char::from);
                Err(format!("invalid character {} {context}", shown(c)))
            }
            None if within => Err(format!("invalid character ' ' {context}")),
            None => Err("unexpected end of JSON input".to_owned()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Taken, String> {
        if depth > bounds::DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some('"') => Ok(Ok(Value::text(self.string()?))),
            Some('t') => self.literal("true", Value::Bool(true)),
            Some('f') => self.literal("false", Value::Bool(false)),
            Some('n') => self.literal("null", Value::Nil),
            Some('-' | '0'..='9') => self.number(),
            _ => self.fault("looking for beginning of value", false),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Taken, String> {
        for expected in word.chars() {
            if self.peek() != Some(expected) {
                return self.fault(&format!("in literal {word} (expecting '{expected}')"), true);
            }
            self.at += 1;
        }
        Ok(Ok(value))
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Taken, String> {
        let start = self.at;
        if self.peek() == Some('-') {
            self.at += 1;
        }
        match self.peek() {
            Some('0') => self.at += 1,
            Some('1'..='9') => self.digits(),
            _ => return self.fault("in numeric literal", true),
        }
        if self.peek() == Some('.') {
            self.at += 1;
            if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                return self.fault("after decimal point in numeric literal", true);
            }
            self.digits();
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                return self.fault("in exponent of numeric literal", true);
            }
            self.digits();
        }
        let text: String = self
            .chars
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect();
        Ok(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(text),
        })
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else {
                return self.fault("", false);
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => {
                    self.at += 1;
                    let escaped = match self.peek() {
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some(c @ ('"' | '\\' | '/')) => c,
                        Some('u') => {
                            out.push(self.unicode()?);
                            continue;
                        }
                        _ => return self.fault("in string escape code", false),
                    };
                    self.at += 1;
                    out.push(escaped);
                }
                c if c < ' ' => return self.fault("in string literal", false),
                c => {
                    self.at += 1;
                    out.push(c);
                }
            }
        }
    }

    fn hex(&mut self) -> Result<u32, String> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            match self.peek().and_then(|c| c.to_digit(16)) {
                Some(digit) => code = code * 16 + digit,
                None => return self.fault("in \\u hexadecimal character escape", false),
            }
            self.at += 1;
        }
        Ok(code)
    }

    fn unicode(&mut self) -> Result<char, String> {
        let code = self.hex()?;
        if (0xd800..0xdc00).contains(&code)
            && self.peek() == Some('\\')
            && self.chars.get(self.at + 1) == Some(&'u')
        {
            let back = self.at;
            self.at += 1;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
            self.at = back;
        }
        Ok(char::from_u32(code).unwrap_or('\u{fffd}'))
    }

    fn list(&mut self, depth: usize) -> Result<Taken, String> {
        self.at += 1;
        let mut items = Vec::new();
        let mut refused = None;
        self.blanks();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Ok(Value::list(items)));
        }
        loop {
            self.blanks();
            match self.value(depth + 1)? {
                Ok(value) => items.push(value),
                Err(number) => refused = refused.or(Some(number)),
            }
            self.blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {
                    self.at += 1;
                    return Ok(match refused {
                        Some(number) => Err(number),
                        None => Ok(Value::list(items)),
                    });
                }
                _ => return self.fault("after array element", false),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Taken, String> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        let mut refused = None;
        self.blanks();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Ok(Value::map(entries)));
        }
        loop {
            self.blanks();
            if self.peek() != Some('"') {
                return self.fault("looking for beginning of object key string", false);
            }
            let key = self.string()?;
            self.blanks();
            if self.peek() != Some(':') {
                return self.fault("after object key", false);
            }
            self.at += 1;
            self.blanks();
            match self.value(depth + 1)? {
                Ok(value) => {
                    entries.insert(key, value);
                }
                Err(number) => refused = refused.or(Some(number)),
            }
            self.blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {
                    self.at += 1;
                    return Ok(match refused {
                        Some(number) => Err(number),
                        None => Ok(Value::map(entries)),
                    });
                }
                _ => return self.fault("after object key:value pair", false),
            }
        }
    }
}
