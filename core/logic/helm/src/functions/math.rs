//! sprig's arithmetic, with Go's conversions between numbers and text.

use super::{Row, arg, int, text};
use crate::exec::{Engine, Outcome};
use crate::value::Value;

/// The longest list that counting may make.
const MAX_COUNT: i64 = 1_000_000;

pub const TABLE: &[Row] = &[
    ("int", "a", |_, a| Ok(Value::Int(to_int64(&arg(a, 0))))),
    ("int64", "a", |_, a| Ok(Value::Int64(to_int64(&arg(a, 0))))),
    ("float64", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0))))
    }),
    ("atoi", "s", |_, a| {
        Ok(Value::Int(text(a, 0).parse().unwrap_or(0)))
    }),
    ("toDecimal", "a", |_, a| {
        Ok(Value::Int64(
            i64::from_str_radix(&super::strval(&arg(a, 0)), 8).unwrap_or(0),
        ))
    }),
    ("add1", "a", |_, a| {
        Ok(Value::Int64(to_int64(&arg(a, 0)).wrapping_add(1)))
    }),
    ("add", "a*", |_, a| {
        Ok(Value::Int64(
            a.iter().map(to_int64).fold(0, i64::wrapping_add),
        ))
    }),
    ("sub", "aa", |_, a| {
        Ok(Value::Int64(
            to_int64(&arg(a, 0)).wrapping_sub(to_int64(&arg(a, 1))),
        ))
    }),
    ("mul", "aa*", |_, a| {
        Ok(Value::Int64(
            a.iter().map(to_int64).fold(1, i64::wrapping_mul),
        ))
    }),
    ("div", "aa", |_, a| divide(a, i64::wrapping_div)),
    ("mod", "aa", |_, a| divide(a, i64::wrapping_rem)),
    ("max", "aa*", |_, a| {
        Ok(Value::Int64(a.iter().map(to_int64).max().unwrap_or(0)))
    }),
    ("biggest", "aa*", |_, a| {
        Ok(Value::Int64(a.iter().map(to_int64).max().unwrap_or(0)))
    }),
    ("min", "aa*", |_, a| {
        Ok(Value::Int64(a.iter().map(to_int64).min().unwrap_or(0)))
    }),
    ("maxf", "aa*", |_, a| Ok(fold(a, f64::max))),
    ("minf", "aa*", |_, a| Ok(fold(a, f64::min))),
    ("add1f", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0)) + 1.0))
    }),
    ("addf", "a*", |_, a| {
        Ok(Value::Float(tidy(a.iter().map(to_float).sum())))
    }),
    ("subf", "aa*", |_, a| Ok(fold(a, |x, y| x - y))),
    ("mulf", "aa*", |_, a| Ok(fold(a, |x, y| x * y))),
    ("divf", "aa*", |_, a| {
        if a.iter().skip(1).any(|v| to_float(v) == 0.0) {
            return Err("decimal division by 0".into());
        }
        Ok(fold(a, |x, y| x / y))
    }),
    ("floor", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0)).floor()))
    }),
    ("ceil", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0)).ceil()))
    }),
    ("round", "aia*", round),
    ("until", "i", |engine, a| {
        let count = int(a, 0);
        count_up(engine, 0, count, if count < 0 { -1 } else { 1 })
    }),
    ("untilStep", "iii", |engine, a| {
        count_up(engine, int(a, 0), int(a, 1), int(a, 2))
    }),
    ("seq", "i*", seq),
    ("randInt", "ii", |engine, a| {
        let span = int(a, 1).wrapping_sub(int(a, 0));
        if span <= 0 {
            return Err("invalid argument to Intn".into());
        }
        let mut bytes = [0_u8; 8];
        engine.host.random(&mut bytes)?;
        let number = u64::from_le_bytes(bytes) % span.unsigned_abs();
        Ok(Value::Int(int(a, 0) + i64::try_from(number).unwrap_or(0)))
    }),
];

/// spf13/cast's `ToInt64`: what cannot be read is 0.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::Str(text) => parse_int(text),
        _ => 0,
    }
}

fn parse_int(text: &str) -> i64 {
    let text = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if body.starts_with(['+', '-']) {
        return 0;
    }
    let clean = body.replace('_', "");
    let parsed = match clean.get(..2) {
        Some("0x" | "0X") => i128::from_str_radix(clean.get(2..).unwrap_or_default(), 16),
        Some("0b" | "0B") => i128::from_str_radix(clean.get(2..).unwrap_or_default(), 2),
        Some("0o" | "0O") => i128::from_str_radix(clean.get(2..).unwrap_or_default(), 8),
        Some(_) if clean.starts_with('0') => {
            i128::from_str_radix(clean.get(1..).unwrap_or_default(), 8)
        }
        _ => clean.parse(),
    };
    parsed
        .ok()
        .map(|number| if negative { -number } else { number })
        .and_then(|number| i64::try_from(number).ok())
        .unwrap_or(0)
}

pub fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Str(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

fn fold(args: &[Value], combine: fn(f64, f64) -> f64) -> Value {
    let mut numbers = args.iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    Value::Float(tidy(numbers.fold(first, combine)))
}

/// sprig counts in decimals, so 0.1 and 0.2 make 0.3: fifteen digits hide the
/// difference to binary fractions.
fn tidy(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Outcome<Value> {
    let by = to_int64(&arg(args, 1));
    if by == 0 {
        return Err("runtime error: integer divide by zero".into());
    }
    Ok(Value::Int64(operation(to_int64(&arg(args, 0)), by)))
}

fn round(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let places = i32::try_from(int(args, 1)).unwrap_or(0);
    let up_from = args.get(2).map_or(0.5, to_float);
    let scale = 10_f64.powi(places);
    let scaled = to_float(&arg(args, 0)) * scale;
    let rounded = if scaled.fract().abs() >= up_from {
        scaled.trunc() + scaled.signum()
    } else {
        scaled.trunc()
    };
    Ok(Value::Float(rounded / scale))
}

fn count_up(engine: &mut Engine<'_>, from: i64, to: i64, step: i64) -> Outcome<Value> {
    let numbers = numbers(engine, from, to, step)?;
    Ok(Value::list(numbers.into_iter().map(Value::Int).collect()))
}

fn numbers(engine: &mut Engine<'_>, from: i64, to: i64, step: i64) -> Outcome<Vec<i64>> {
    let mut all = Vec::new();
    if step == 0 || (to < from) != (step < 0) && to != from {
        return Ok(all);
    }
    let count = (i128::from(to) - i128::from(from)) / i128::from(step);
    if count > i128::from(MAX_COUNT) {
        return Err(format!("a list of {count} numbers is too long").into());
    }
    engine.charge(usize::try_from(count).unwrap_or(0) * 8)?;
    let mut number = from;
    while if step > 0 { number < to } else { number > to } {
        all.push(number);
        match number.checked_add(step) {
            Some(next) => number = next,
            None => break,
        }
    }
    Ok(all)
}

fn seq(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let (from, to, step) = match args.len() {
        0 => return Ok(Value::text("")),
        1 => (1, int(args, 0), if int(args, 0) < 1 { -1 } else { 1 }),
        2 => (
            int(args, 0),
            int(args, 1),
            if int(args, 1) < int(args, 0) { -1 } else { 1 },
        ),
        3 => (int(args, 0), int(args, 2), int(args, 1)),
        _ => return Ok(Value::text("")),
    };
    let end = to.saturating_add(if step < 0 { -1 } else { 1 });
    let words: Vec<String> = numbers(engine, from, end, step)?
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(Value::text(words.join(" ")))
}
