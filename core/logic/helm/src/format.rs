//! Go's `fmt`: `%v` and its relatives, `print`, quoting.
//!
//! Called by the executor when it writes a value, and by functions.

use crate::value::Value;

/// `%v`.
pub fn show(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        Value::Nil => "<nil>".to_owned(),
        value => crate::printf::show(value),
    }
}

/// What a template writes for a value.
pub fn print_value(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        // What a pointer to it prints: a template takes its address.
        Value::Object(object) => {
            (object.shown()).unwrap_or_else(|| crate::printf::show_pointed(value))
        }
        other => show(other),
    }
}

/// `fmt.Sprint`: a blank between operands when neither is a string.
pub fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    let mut before_text = true;
    for (at, arg) in args.iter().enumerate() {
        let is_text = matches!(arg, Value::Str(_));
        if at > 0 && !is_text && !before_text {
            out.push(' ');
        }
        out.push_str(&show(arg));
        before_text = is_text;
    }
    out
}

/// `strconv.Quote`.
pub fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// `strconv.Quote`, or `QuoteToASCII`, with either quotation mark.
pub fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if !ascii && is_print(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// `strconv.IsPrint`.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // The standard library knows it, and tells by what it escapes; combining
    // marks only at the start.
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) == Some(c)
}

/// `strconv.Unquote` of a quoted, raw or character literal.
pub fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut bytes: Vec<u8> = Vec::new();
    let mut chars = inner.chars();
    let mut buffer = [0_u8; 4];
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let escape = chars.next()?;
        let mut hex = |count: usize| -> Option<u32> {
            let digits: String = chars.by_ref().take(count).collect();
            (digits.len() == count)
                .then(|| u32::from_str_radix(&digits, 16).ok())
                .flatten()
        };
        let code = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' => 92,
            '\'' if quote == '\'' => 39,
            '"' if quote == '"' => 34,
            'x' => {
                bytes.push(u8::try_from(hex(2)?).ok()?);
                continue;
            }
            'u' => hex(4)?,
            'U' => hex(8)?,
            '0'..='7' => {
                let mut digits = escape.to_string();
                digits.extend(chars.by_ref().take(2));
                if digits.len() != 3 {
                    return None;
                }
                bytes.push(u8::from_str_radix(&digits, 8).ok()?);
                continue;
            }
            _ => return None,
        };
        let c = char::from_u32(code)?;
        bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
