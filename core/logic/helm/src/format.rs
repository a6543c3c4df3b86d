//! Go's `fmt`: `%v` and its relatives, `print`, quoting.
//!
//! Called by the executor when it writes a value, and by functions.

use crate::value::Value;
use catalyst_yaml::format_float;

/// Nesting printed before the rest is left out; a map may contain itself.
const MAX_DEPTH: usize = 200;
/// The widest padding a format may ask for; Go has the same bound.
const MAX_WIDTH: usize = 1_000_000;

/// `%v`.
pub fn show(value: &Value) -> String {
    let mut out = String::new();
    show_into(&mut out, value, MAX_DEPTH);
    out
}

fn show_into(out: &mut String, value: &Value, depth: usize) {
    let Some(deeper) = depth.checked_sub(1) else {
        out.push('…');
        return;
    };
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) | Value::Int64(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&format_float(*number)),
        Value::Str(text) => out.push_str(text),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                show_into(out, item, deeper);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (at, (key, value)) in map.borrow().iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                show_into(out, value, deeper);
            }
            out.push(']');
        }
        Value::Object(object) => match object.shown() {
            Some(text) => out.push_str(&text),
            None => match object.plain() {
                Value::Map(map) if object.kind_name() != "map" => {
                    out.push('{');
                    for (at, value) in map.borrow().values().enumerate() {
                        if at > 0 {
                            out.push(' ');
                        }
                        show_into(out, value, deeper);
                    }
                    out.push('}');
                }
                plain => show_into(out, &plain, deeper),
            },
        },
    }
}

/// What a template writes for a value.
pub fn print_value(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
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
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{a0}'
            | '\u{ad}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{200b}'..='\u{200f}'
            | '\u{feff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
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

#[derive(Default, Clone, Copy)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`.
pub fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        loop {
            match chars.peek() {
                Some('-') => flags.minus = true,
                Some('+') => flags.plus = true,
                Some('#') => flags.sharp = true,
                Some(' ') => flags.space = true,
                Some('0') => flags.zero = !flags.minus,
                _ => break,
            }
            chars.next();
        }
        if chars.peek() == Some(&'*') {
            chars.next();
            match args.get(next) {
                Some(Value::Int(width) | Value::Int64(width)) => {
                    flags.minus |= *width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                _ => out.push_str("%!(BADWIDTH)"),
            }
            next += 1;
        } else {
            flags.width = digits(&mut chars);
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            flags.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        flags.width = flags.width.map(|width| width.min(MAX_WIDTH));
        flags.precision = flags.precision.map(|precision| precision.min(MAX_WIDTH));
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match args.get(next) {
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(arg) => out.push_str(&one(verb, flags, arg)),
        }
        next += 1;
    }
    if let Some(extra) = args.get(next..)
        && !extra.is_empty()
    {
        let extra: Vec<String> = extra
            .iter()
            .map(|arg| match arg {
                Value::Nil => "<nil>".to_owned(),
                arg => format!("{}={}", arg.type_name(), show(arg)),
            })
            .collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = Some(
            number
                .unwrap_or(0)
                .saturating_mul(10)
                .saturating_add(digit as usize),
        );
    }
    number
}

fn one(verb: char, flags: Flags, arg: &Value) -> String {
    if verb == 'T' {
        return pad(&arg.type_name(), flags);
    }
    if matches!(arg, Value::Nil) {
        return if verb == 'v' {
            pad("<nil>", flags)
        } else {
            format!("%!{verb}(<nil>)")
        };
    }
    match (verb, arg) {
        ('v', Value::Float(number)) => float('g', flags, *number),
        ('v', Value::Int(number) | Value::Int64(number)) => integer('d', flags, *number),
        ('v', Value::Str(text)) if flags.sharp => pad(&quote(text), flags),
        ('v', arg) => pad(&show(arg), flags),
        ('t', Value::Bool(flag)) => pad(&flag.to_string(), flags),
        ('d' | 'b' | 'o' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Int(n) | Value::Int64(n)) => {
            integer(verb, flags, *n)
        }
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => float(verb, flags, *number),
        ('s' | 'q' | 'x' | 'X', Value::Str(text)) => string(verb, flags, text),
        (_, Value::List(items)) => {
            let inner: Vec<String> = items.iter().map(|item| one(verb, flags, item)).collect();
            format!("[{}]", inner.join(" "))
        }
        (_, Value::Map(map)) => {
            let inner: Vec<String> = map
                .borrow()
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{}:{}",
                        one(verb, flags, &Value::text(key)),
                        one(verb, flags, value)
                    )
                })
                .collect();
            format!("map[{}]", inner.join(" "))
        }
        ('s' | 'q', Value::Object(_)) => string(verb, flags, &show(arg)),
        _ => format!("%!{verb}({}={})", arg.type_name(), show(arg)),
    }
}

fn string(verb: char, flags: Flags, text: &str) -> String {
    let text: String = match flags.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    match verb {
        's' => pad(&text, flags),
        'q' if flags.sharp && !text.contains('`') => pad(&format!("`{text}`"), flags),
        'q' => pad(&quote(&text), flags),
        'x' => pad(&hex::encode(text), flags),
        _ => pad(&hex::encode_upper(text), flags),
    }
}

fn integer(verb: char, flags: Flags, number: i64) -> String {
    let magnitude = number.unsigned_abs();
    let char_of = || {
        u32::try_from(number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
    };
    let mut digits = match verb {
        'b' => format!("{magnitude:b}"),
        'o' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' => return pad(&char_of().to_string(), flags),
        'q' => return pad(&format!("'{}'", char_of()), flags),
        'U' => return pad(&format!("U+{magnitude:04X}"), flags),
        _ => magnitude.to_string(),
    };
    if let Some(precision) = flags.precision {
        let missing = precision.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
    }
    if flags.sharp {
        let prefix = match verb {
            'x' => "0x",
            'X' => "0X",
            'o' => "0",
            'b' => "0b",
            _ => "",
        };
        digits.insert_str(0, prefix);
    }
    signed(number < 0, &digits, flags)
}

/// Puts sign and padding; zeros go between sign and digits.
fn signed(negative: bool, digits: &str, flags: Flags) -> String {
    let sign = if negative {
        "-"
    } else if flags.plus {
        "+"
    } else if flags.space {
        " "
    } else {
        ""
    };
    if flags.zero && (flags.precision.is_none() || digits.contains('.')) {
        let width = flags.width.unwrap_or(0);
        let missing = width.saturating_sub(sign.len() + digits.len());
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    pad(
        &format!("{sign}{digits}"),
        Flags {
            zero: false,
            ..flags
        },
    )
}

fn float(verb: char, flags: Flags, number: f64) -> String {
    if !number.is_finite() {
        return pad(
            &format_float(number),
            Flags {
                zero: false,
                ..flags
            },
        );
    }
    let magnitude = number.abs();
    let precision = flags.precision.map(|precision| precision.min(1000));
    let digits = match verb {
        'f' | 'F' => format!("{magnitude:.*}", precision.unwrap_or(6)),
        'e' | 'E' => exponential(magnitude, precision.unwrap_or(6)),
        _ => match precision {
            None => format_float(magnitude),
            Some(precision) => {
                let precision = precision.max(1);
                let text = exponential(magnitude, precision - 1);
                let exponent: i32 = text
                    .split_once('e')
                    .and_then(|(_, exponent)| exponent.parse().ok())
                    .unwrap_or(0);
                let most = i32::try_from(precision).unwrap_or(i32::MAX);
                if exponent < -4 || exponent >= most {
                    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
                    format!("{}e{exponent}", trim_zeros(mantissa))
                } else {
                    let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
                    trim_zeros(&format!("{magnitude:.places$}")).to_owned()
                }
            }
        },
    };
    let digits = if verb.is_ascii_uppercase() {
        digits.to_uppercase()
    } else {
        digits
    };
    signed(number.is_sign_negative(), &digits, flags)
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{exponent:0>2}")
}

fn pad(text: &str, flags: Flags) -> String {
    let width = flags.width.unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text.to_owned();
    }
    if flags.minus {
        format!("{text}{}", " ".repeat(missing))
    } else {
        let filler = if flags.zero { "0" } else { " " };
        format!("{}{text}", filler.repeat(missing))
    }
}

/// Go's JSON text: sorted keys, `<>&` escaped when `html`, indented by
/// `indent` when given.
pub fn json_text(value: &serde_json::Value, html: bool, indent: Option<&str>) -> String {
    let mut out = String::new();
    json_into(&mut out, value, html, indent, 0);
    out
}

fn json_into(
    out: &mut String,
    value: &serde_json::Value,
    html: bool,
    indent: Option<&str>,
    level: usize,
) {
    let line = |out: &mut String, level: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    };
    match value {
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) => {
                out.push_str(&catalyst_yaml::go_json_number(float).unwrap_or_default());
            }
            _ => out.push_str(&number.to_string()),
        },
        serde_json::Value::String(text) => json_string(out, text, html),
        serde_json::Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, level + 1);
                json_into(out, item, html, indent, level + 1);
            }
            if !items.is_empty() {
                line(out, level);
            }
            out.push(']');
        }
        serde_json::Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, level + 1);
                json_string(out, key, html);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                json_into(out, value, html, indent, level + 1);
            }
            if !entries.is_empty() {
                line(out, level);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn json_string(out: &mut String, text: &str, html: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c < ' ' || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
