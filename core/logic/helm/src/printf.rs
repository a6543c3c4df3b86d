//! Go's `fmt.Sprintf`, verb by verb.
//!
//! Called by `printf`, and by all that shows a value as `%v` does. It follows
//! Go's `fmt/print.go` and `fmt/format.go` part by part, because charts see
//! every corner of them: flags stay set while a wrong verb is reported, and
//! each element of a list is formatted on its own.

use std::rc::Rc;

use catalyst_yaml::format_float;

use crate::bounds;
use crate::format::{is_print, quote_with};
use crate::objects::Object;
use crate::value::Value;

/// The widest padding a format may ask for; Go has the same bound.
const MAX_WIDTH: i64 = 1_000_000;
/// Where every pointer leads to: Go shows the places of its memory, which are others
/// in each run.
const ADDRESS: u64 = 0xc0_0000_0000;

/// `%v` of what a pointer leads to, where it is one.
pub fn show_pointed(value: &Value) -> String {
    let shown = show(value);
    match value.kind_name() {
        "ptr" => shown.strip_prefix('&').unwrap_or(&shown).to_owned(),
        _ => shown,
    }
}

/// `%v`.
pub fn show(value: &Value) -> String {
    let mut printer = Printer::default();
    printer.argument(value, 'v');
    printer.out
}

#[derive(Default, Clone, Copy)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    plus_v: bool,
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

#[derive(Default)]
struct Printer {
    out: String,
    flags: Flags,
    /// A wrong verb is being reported: methods are left alone.
    erring: bool,
    reordered: bool,
    good_index: bool,
}

fn bytes_of(data: Option<&Rc<Vec<u8>>>) -> &[u8] {
    data.map_or(&[], |data| data.as_slice())
}

/// `fmt.Sprintf`.
pub fn sprintf(format: &str, args: &[Value]) -> String {
    let chars: Vec<char> = format.chars().collect();
    let mut printer = Printer::default();
    printer.run(&chars, args);
    printer.out
}

impl Printer {
    fn run(&mut self, format: &[char], args: &[Value]) {
        let end = format.len();
        let at = |i: usize| format.get(i).copied().unwrap_or('\0');
        let mut next = 0;
        let mut i = 0;
        'format: while i < end && !self.is_full(0) {
            self.good_index = true;
            if at(i) != '%' {
                self.out.push(at(i));
                i += 1;
                continue;
            }
            i += 1;
            self.flags = Flags::default();
            while i < end {
                match at(i) {
                    '#' => self.flags.sharp = true,
                    '0' => self.flags.zero = true,
                    '+' => self.flags.plus = true,
                    '-' => self.flags.minus = true,
                    ' ' => self.flags.space = true,
                    verb @ 'a'..='z' => {
                        if let Some(arg) = args.get(next) {
                            self.verb(verb, arg);
                            next += 1;
                            i += 1;
                            continue 'format;
                        }
                        break;
                    }
                    _ => break,
                }
                i += 1;
            }
            let mut after_index;
            (next, i, after_index) = self.index(next, format, i, args.len());
            if i < end && at(i) == '*' {
                i += 1;
                match integer_argument(args, next) {
                    Some(width) => {
                        if width < 0 {
                            self.flags.minus = true;
                            self.flags.zero = false;
                        }
                        self.flags.width = usize::try_from(width.unsigned_abs()).ok();
                    }
                    None => self.out.push_str("%!(BADWIDTH)"),
                }
                next += usize::from(next < args.len());
                after_index = false;
            } else {
                (self.flags.width, i) = number(format, i, end);
                if after_index && self.flags.width.is_some() {
                    self.good_index = false;
                }
            }
            if i + 1 < end && at(i) == '.' {
                i += 1;
                if after_index {
                    self.good_index = false;
                }
                (next, i, after_index) = self.index(next, format, i, args.len());
                if i < end && at(i) == '*' {
                    i += 1;
                    let given = integer_argument(args, next);
                    self.flags.precision = given.and_then(|given| usize::try_from(given).ok());
                    if self.flags.precision.is_none() {
                        self.out.push_str("%!(BADPREC)");
                    }
                    next += usize::from(next < args.len());
                    after_index = false;
                } else {
                    let found;
                    (found, i) = number(format, i, end);
                    self.flags.precision = Some(found.unwrap_or(0));
                }
            }
            if !after_index {
                (next, i, _) = self.index(next, format, i, args.len());
            }
            if i >= end {
                self.out.push_str("%!(NOVERB)");
                break;
            }
            let verb = at(i);
            i += 1;
            match args.get(next) {
                _ if verb == '%' => self.out.push('%'),
                _ if !self.good_index => self.out.push_str(&format!("%!{verb}(BADINDEX)")),
                None => self.out.push_str(&format!("%!{verb}(MISSING)")),
                Some(arg) => {
                    self.verb(verb, arg);
                    next += 1;
                }
            }
        }
        if !self.reordered
            && let Some(extra) = args.get(next..)
            && !extra.is_empty()
        {
            self.flags = Flags::default();
            self.out.push_str("%!(EXTRA ");
            for (at, arg) in extra.iter().enumerate() {
                if at > 0 {
                    self.out.push_str(", ");
                }
                self.described(arg);
            }
            self.out.push(')');
        }
    }

    /// Whether nothing more is to be printed.
    fn is_full(&self, depth: usize) -> bool {
        bounds::visit();
        let full = depth > bounds::DEPTH || self.out.len() > bounds::TEXT;
        if full {
            bounds::exceed();
        }
        full
    }

    fn verb(&mut self, verb: char, arg: &Value) {
        if matches!(verb, 'v' | 'w') {
            self.flags.sharp_v = self.flags.sharp;
            self.flags.sharp = false;
            self.flags.plus_v = self.flags.plus;
            self.flags.plus = false;
        }
        self.argument(arg, verb);
    }

    /// `[3]`: which argument is next.
    fn index(
        &mut self,
        next: usize,
        format: &[char],
        i: usize,
        count: usize,
    ) -> (usize, usize, bool) {
        if format.get(i) != Some(&'[') {
            return (next, i, false);
        }
        self.reordered = true;
        let rest = format.get(i..).unwrap_or_default();
        let (index, width, ok) = match rest.iter().position(|c| *c == ']') {
            Some(close) if rest.len() >= 3 => match number(rest, 1, close) {
                (Some(found), after) if after == close => (found.checked_sub(1), close + 1, true),
                _ => (None, close + 1, false),
            },
            _ => (None, 1, false),
        };
        match index {
            Some(index) if ok && index < count => (index, i + width, true),
            _ => {
                self.good_index = false;
                (next, i + width, ok)
            }
        }
    }

    fn argument(&mut self, arg: &Value, verb: char) {
        match (arg, verb) {
            (Value::Nil, 'T' | 'v') => self.pad("<nil>"),
            (Value::Nil, _) => self.wrong_verb(verb, arg),
            (_, 'T') => self.text(arg.type_name()),
            (_, 'p') if matches!(arg.kind_name(), "ptr" | "slice" | "map") => {
                self.address(arg.type_name(), verb, arg);
            }
            (Value::Object(object), _) => match object.as_ref() {
                Object::Bytes(data) => self.bytes(bytes_of(data.as_ref()), verb, "[]byte"),
                _ => self.value(arg, verb, 0),
            },
            _ => self.value(arg, verb, 0),
        }
    }

    fn wrong_verb(&mut self, verb: char, arg: &Value) {
        self.erring = true;
        self.out.push_str("%!");
        self.out.push(verb);
        self.out.push('(');
        self.described(arg);
        self.out.push(')');
        self.erring = false;
    }

    /// An argument that is told of in an error: `type=value`.
    fn described(&mut self, arg: &Value) {
        if matches!(arg, Value::Nil) {
            self.out.push_str("<nil>");
            return;
        }
        self.out.push_str(arg.type_name());
        self.out.push('=');
        self.argument(arg, 'v');
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.is_full(depth) {
            return;
        }
        if verb == 'w' && matches!(value, Value::List(_) | Value::Map(_) | Value::Object(_)) {
            // Only errors may be wrapped, and there are none here.
            return self.wrong_verb(verb, value);
        }
        match value {
            Value::Nil if self.flags.sharp_v => self.out.push_str("interface {}(nil)"),
            Value::Nil => self.out.push_str("<nil>"),
            Value::Bool(flag) => match verb {
                't' | 'v' => self.pad(if *flag { "true" } else { "false" }),
                _ => self.wrong_verb(verb, value),
            },
            Value::Int(number) | Value::Int64(number) => {
                self.integer(number.unsigned_abs(), *number < 0, true, verb, value);
            }
            Value::Uint(number, _) => self.integer(*number, false, false, verb, value),
            Value::Float(number) => self.float(*number, verb, value),
            Value::Str(text) => self.string(text, verb, value),
            Value::List(items) => self.items(items, "[]interface {}", false, verb, depth),
            Value::Map(map) => {
                let entries: Vec<(String, Value)> = map
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                self.entries(&entries, "map[string]interface {}", false, verb, depth);
            }
            Value::Object(object) => self.object(object, value, verb, depth),
        }
    }

    fn object(&mut self, object: &Object, value: &Value, verb: char, depth: usize) {
        if !self.erring
            && !self.flags.sharp_v
            && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
            && let Some(text) = object.text()
        {
            self.string(&text, verb, &Value::text(&text));
            return;
        }
        match object {
            Object::Bytes(data) if matches!(verb, 's' | 'q' | 'x' | 'X') => {
                self.bytes(bytes_of(data.as_ref()), verb, "[]uint8");
            }
            Object::Struct {
                type_name, fields, ..
            } => {
                if let Some(pointed) = type_name.strip_prefix('*') {
                    // Within others Go prints where it points to.
                    if depth > 0 {
                        return self.address(type_name, verb, value);
                    }
                    self.out.push('&');
                    self.structure(fields, pointed, verb, depth);
                } else {
                    self.structure(fields, type_name, verb, depth);
                }
            }
            object => match object.plain() {
                Value::List(items) => {
                    self.items(&items, object.type_name(), object.is_nil(), verb, depth);
                }
                Value::Map(map) => {
                    let entries: Vec<(String, Value)> = map
                        .borrow()
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    self.entries(&entries, object.type_name(), object.is_nil(), verb, depth);
                }
                other => self.value(&other, verb, depth + 1),
            },
        }
    }

    fn address(&mut self, type_name: &str, verb: char, value: &Value) {
        let sharp = self.flags.sharp;
        match verb {
            'v' | 'p' => {
                // The long form has types, and the number in brackets.
                let is_long = verb == 'v' && self.flags.sharp_v;
                if is_long {
                    self.out.push_str(&format!("({type_name})("));
                }
                self.flags.sharp = is_long || !sharp;
                self.digits(ADDRESS, false, 16, 'v');
                self.flags.sharp = sharp;
                if is_long {
                    self.out.push(')');
                }
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(ADDRESS, false, false, verb, value),
            _ => self.wrong_verb(verb, value),
        }
    }

    fn structure(&mut self, fields: &[(&str, Value)], name: &str, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.out.push_str(name);
        }
        let embedded = name == crate::objects::CHART;
        self.out.push_str(if embedded { "{{" } else { "{" });
        for (at, (field, value)) in fields.iter().enumerate() {
            if at > 0 {
                if embedded && at + 1 == fields.len() {
                    self.out.push('}');
                }
                self.out
                    .push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.push_str(field);
                self.out.push(':');
            }
            self.value(value, verb, depth + 1);
        }
        self.out.push('}');
    }

    fn items(&mut self, items: &[Value], name: &str, nil: bool, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.out.push_str(name);
            if nil {
                self.out.push_str("(nil)");
                return;
            }
        }
        self.out.push(if self.flags.sharp_v { '{' } else { '[' });
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out
                    .push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            self.value(item, verb, depth + 1);
        }
        self.out.push(if self.flags.sharp_v { '}' } else { ']' });
    }

    fn entries(
        &mut self,
        entries: &[(String, Value)],
        name: &str,
        nil: bool,
        verb: char,
        depth: usize,
    ) {
        if self.flags.sharp_v {
            self.out.push_str(name);
            if nil {
                self.out.push_str("(nil)");
                return;
            }
            self.out.push('{');
        } else {
            self.out.push_str("map[");
        }
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 {
                self.out
                    .push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            self.value(&Value::text(key), verb, depth + 1);
            self.out.push(':');
            self.value(value, verb, depth + 1);
        }
        self.out.push(if self.flags.sharp_v { '}' } else { ']' });
    }

    fn bytes(&mut self, data: &[u8], verb: char, name: &str) {
        let text = String::from_utf8_lossy(data);
        match verb {
            'v' | 'd' if self.flags.sharp_v => {
                self.out.push_str(name);
                self.out.push('{');
                for (at, byte) in data.iter().enumerate() {
                    if at > 0 {
                        self.out.push_str(", ");
                    }
                    let byte = u64::from(*byte);
                    self.integer(byte, false, false, 'v', &Value::Uint(byte, "uint8"));
                }
                self.out.push('}');
            }
            'v' | 'd' => {
                self.out.push('[');
                for (at, byte) in data.iter().enumerate() {
                    if at > 0 {
                        self.out.push(' ');
                    }
                    self.digits(u64::from(*byte), false, 10, verb);
                }
                self.out.push(']');
            }
            's' => self.text(&text),
            'x' => self.hexadecimal(data, false),
            'X' => self.hexadecimal(data, true),
            'q' => self.quoted(&text),
            _ => {
                let items: Vec<Value> = data
                    .iter()
                    .map(|byte| Value::Uint(u64::from(*byte), "uint8"))
                    .collect();
                self.items(&items, "[]uint8", false, verb, 0);
            }
        }
    }

    fn string(&mut self, text: &str, verb: char, value: &Value) {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => self.text(text),
            'x' => self.hexadecimal(text.as_bytes(), false),
            'X' => self.hexadecimal(text.as_bytes(), true),
            'q' => self.quoted(text),
            _ => self.wrong_verb(verb, value),
        }
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        match self.flags.precision {
            Some(most) => text
                .char_indices()
                .nth(most)
                .and_then(|(at, _)| text.get(..at))
                .unwrap_or(text),
            None => text,
        }
    }

    fn text(&mut self, text: &str) {
        let text = self.cut(text).to_owned();
        self.pad(&text);
    }

    fn quoted(&mut self, text: &str) {
        let text = self.cut(text);
        let can_backquote = !text
            .chars()
            .any(|c| c == '`' || c == '\u{feff}' || c == '\u{7f}' || (c < ' ' && c != '\t'));
        let shown = if self.flags.sharp && can_backquote {
            format!("`{text}`")
        } else {
            quote_with(text, '"', self.flags.plus)
        };
        self.pad(&shown);
    }

    fn hexadecimal(&mut self, data: &[u8], upper: bool) {
        let data = match self.flags.precision {
            Some(most) => data.get(..most).unwrap_or(data),
            None => data,
        };
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut out = String::new();
        for (at, byte) in data.iter().enumerate() {
            if at == 0 || self.flags.space {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(prefix);
            }
            out.push_str(&if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            });
        }
        self.pad(&out);
    }

    fn integer(&mut self, magnitude: u64, negative: bool, signed: bool, verb: char, value: &Value) {
        let code = if negative { u64::MAX } else { magnitude };
        let c = u32::try_from(code)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}');
        match verb {
            'v' if self.flags.sharp_v && !signed => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(magnitude, false, 16, 'v');
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(magnitude, negative, 10, verb),
            'b' => self.digits(magnitude, negative, 2, verb),
            'o' | 'O' => self.digits(magnitude, negative, 8, verb),
            'x' | 'X' => self.digits(magnitude, negative, 16, verb),
            'c' => self.pad(&c.to_string()),
            'q' => {
                let shown = quote_with(&c.to_string(), '\'', self.flags.plus);
                self.pad(&shown);
            }
            'U' => {
                let code = if negative {
                    magnitude.wrapping_neg()
                } else {
                    magnitude
                };
                let least = self.flags.precision.unwrap_or(4).max(4);
                let mut out = format!("U+{code:0least$X}");
                if self.flags.sharp
                    && let Some(c) = u32::try_from(code).ok().and_then(char::from_u32)
                    && is_print(c)
                {
                    out.push_str(&format!(" '{c}'"));
                }
                let zero = std::mem::take(&mut self.flags.zero);
                self.pad(&out);
                self.flags.zero = zero;
            }
            _ => self.wrong_verb(verb, value),
        }
    }

    fn digits(&mut self, magnitude: u64, negative: bool, base: u32, verb: char) {
        let mut least = 0;
        if let Some(precision) = self.flags.precision {
            least = precision;
            if precision == 0 && magnitude == 0 {
                let blanks = self.flags.width.unwrap_or(0);
                self.out.extend(std::iter::repeat_n(' ', blanks));
                return;
            }
        } else if self.flags.zero
            && !self.flags.minus
            && let Some(width) = self.flags.width
        {
            let sign = negative || self.flags.plus || self.flags.space;
            least = width.saturating_sub(usize::from(sign));
        }
        let mut digits = match (base, verb) {
            (2, _) => format!("{magnitude:b}"),
            (8, _) => format!("{magnitude:o}"),
            (16, 'X') => format!("{magnitude:X}"),
            (16, _) => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let missing = least.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
        if self.flags.sharp {
            let prefix = match (base, verb) {
                (2, _) => "0b",
                (8, _) if !digits.starts_with('0') => "0",
                (16, 'X') => "0X",
                (16, _) => "0x",
                _ => "",
            };
            digits.insert_str(0, prefix);
        }
        if verb == 'O' {
            digits.insert_str(0, "0o");
        }
        let sign = if negative {
            "-"
        } else if self.flags.plus {
            "+"
        } else if self.flags.space {
            " "
        } else {
            ""
        };
        digits.insert_str(0, sign);
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(&digits);
        self.flags.zero = zero;
    }

    fn float(&mut self, number: f64, verb: char, value: &Value) {
        let (format, precision) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'f' | 'e' | 'E' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            _ => return self.wrong_verb(verb, value),
        };
        let precision = self.flags.precision.or(precision);
        let magnitude = number.abs();
        let mut text = if number.is_finite() {
            crate::numbers::float_text(magnitude, format, precision)
        } else {
            format_float(magnitude).trim_start_matches('+').to_owned()
        };
        let negative = number.is_sign_negative() && !number.is_nan();
        let sign = if negative {
            "-"
        } else if self.flags.plus {
            "+"
        } else if self.flags.space {
            " "
        } else {
            ""
        };
        if !number.is_finite() {
            // Infinities keep their sign.
            let sign = match sign {
                "" if number.is_infinite() && self.flags.plus => "+",
                "" if number.is_infinite() => "+",
                sign => sign,
            };
            let zero = std::mem::take(&mut self.flags.zero);
            self.pad(&format!("{sign}{text}"));
            self.flags.zero = zero;
            return;
        }
        if self.flags.sharp && format != 'b' {
            text = with_point(&text, format, precision);
        }
        if !sign.is_empty()
            && self.flags.zero
            && !self.flags.minus
            && let Some(width) = self.flags.width
            && width > text.len() + 1
        {
            self.out.push_str(sign);
            let missing = width - text.len() - 1;
            self.out.extend(std::iter::repeat_n('0', missing));
            self.out.push_str(&text);
            return;
        }
        self.pad(&format!("{sign}{text}"));
    }

    fn pad(&mut self, text: &str) {
        let width = self.flags.width.unwrap_or(0);
        let missing = width.saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text);
            self.out.extend(std::iter::repeat_n(' ', missing));
        } else {
            let filler = if self.flags.zero { '0' } else { ' ' };
            self.out.extend(std::iter::repeat_n(filler, missing));
            self.out.push_str(text);
        }
    }
}

/// `#`: a point always, and with `g` the zeros that were cut off.
fn with_point(text: &str, format: char, precision: Option<usize>) -> String {
    let mut digits: i64 = match format {
        'g' | 'G' | 'x' => precision.map_or(6, |precision| i64::try_from(precision).unwrap_or(6)),
        _ => 0,
    };
    let exponent = match format {
        'x' | 'X' => text.find(['p', 'P']),
        _ => text.find(['e', 'E']),
    };
    let (number, tail) = text
        .split_at_checked(exponent.unwrap_or(text.len()))
        .unwrap_or((text, ""));
    let mut seen = false;
    for c in number.chars().filter(|c| *c != '.') {
        seen |= c != '0';
        digits -= i64::from(seen);
    }
    let mut out = number.to_owned();
    if !number.contains('.') {
        if number == "0" {
            digits -= 1;
        }
        out.push('.');
    }
    out.extend(std::iter::repeat_n(
        '0',
        usize::try_from(digits).unwrap_or(0),
    ));
    out.push_str(tail);
    out
}

/// Digits from `i` on; too large a number ends the format.
fn number(format: &[char], i: usize, end: usize) -> (Option<usize>, usize) {
    let mut number: Option<i64> = None;
    let mut i = i;
    while i < end
        && let Some(digit) = format.get(i).and_then(|c| c.to_digit(10))
    {
        let so_far = number.unwrap_or(0);
        if so_far > MAX_WIDTH {
            return (None, end);
        }
        number = Some(so_far * 10 + i64::from(digit));
        i += 1;
    }
    (number.and_then(|number| usize::try_from(number).ok()), i)
}

fn integer_argument(args: &[Value], at: usize) -> Option<i64> {
    let number = match args.get(at)? {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint(number, _) => i64::try_from(*number).ok()?,
        _ => return None,
    };
    (-MAX_WIDTH..=MAX_WIDTH).contains(&number).then_some(number)
}
