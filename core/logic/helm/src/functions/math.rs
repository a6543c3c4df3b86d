//! sprig's arithmetic, with Go's conversions between numbers and text.

use super::{Row, arg, int, text};
use crate::decimal::Decimal;
use crate::exec::{Engine, Outcome};
use crate::numbers::{parse_float, parse_integer};
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
        // Go keeps the nearest of what is out of range.
        let number = parse_integer(text(a, 0), 10).unwrap_or(0);
        let most = if number < 0 { i64::MIN } else { i64::MAX };
        Ok(Value::Int(i64::try_from(number).unwrap_or(most)))
    }),
    ("toDecimal", "a", |_, a| {
        Ok(Value::Int64(
            parse_integer(&crate::format::show(&arg(a, 0)), 8)
                .and_then(|number| i64::try_from(number).ok())
                .unwrap_or(0),
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
    ("maxf", "aa*", |_, a| Ok(fold(a, go_max))),
    ("minf", "aa*", |_, a| Ok(fold(a, |x, y| -go_max(-x, -y)))),
    ("add1f", "a", |engine, a| {
        decimals(engine, first_decimal(a)?, &[Value::Int(1)], Decimal::plus)
    }),
    ("addf", "a*", |engine, a| {
        decimals(engine, Decimal::default(), a, Decimal::plus)
    }),
    ("subf", "aa*", |engine, a| {
        decimals(engine, first_decimal(a)?, rest(a), Decimal::minus)
    }),
    ("mulf", "aa*", |engine, a| {
        decimals(engine, first_decimal(a)?, rest(a), Decimal::times)
    }),
    ("divf", "aa*", |engine, a| {
        decimals(engine, first_decimal(a)?, rest(a), Decimal::by)
    }),
    ("floor", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0)).floor()))
    }),
    ("ceil", "a", |_, a| {
        Ok(Value::Float(to_float(&arg(a, 0)).ceil()))
    }),
    ("round", "aif*", round),
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
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => go_int(*number),
        Value::Bool(flag) => i64::from(*flag),
        Value::Str(text) => parse_integer(without_zero_decimals(text), 0)
            .and_then(|number| i64::try_from(number).ok())
            .unwrap_or(0),
        _ => 0,
    }
}

/// A float as an int, as amd64 converts it: out of range is the least int.
fn go_int(number: f64) -> i64 {
    // Two to the 63rd itself is out of range.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if !(-END..END).contains(&number) {
        return i64::MIN;
    }
    number as i64
}

/// cast's `trimZeroDecimal`: `1.00` is `1`, `1.05` is left alone.
fn without_zero_decimals(text: &str) -> &str {
    let trimmed = text.trim_end_matches('0');
    match trimmed.strip_suffix('.') {
        Some(whole) if trimmed.len() < text.len() => whole,
        _ => text,
    }
}

pub fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Str(text) => parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn fold(args: &[Value], combine: fn(f64, f64) -> f64) -> Value {
    let mut numbers = args.iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    Value::Float(numbers.fold(first, combine))
}

fn decimals(
    engine: &mut Engine<'_>,
    start: Decimal,
    args: &[Value],
    combine: fn(&Decimal, &Decimal) -> Result<Decimal, String>,
) -> Outcome<Value> {
    let mut total = start;
    for arg in args {
        let next = decimal(arg)?;
        engine.passed(total.cost(&next))?;
        total = combine(&total, &next)?;
    }
    Ok(Value::Float(total.to_float()))
}

fn decimal(value: &Value) -> Outcome<Decimal> {
    Decimal::from_float(to_float(value)).map_err(Into::into)
}

fn first_decimal(args: &[Value]) -> Outcome<Decimal> {
    decimal(&arg(args, 0))
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Outcome<Value> {
    let by = to_int64(&arg(args, 1));
    if by == 0 {
        return Err("runtime error: integer divide by zero".into());
    }
    Ok(Value::Int64(operation(to_int64(&arg(args, 0)), by)))
}

fn rest(args: &[Value]) -> &[Value] {
    args.get(1..).unwrap_or_default()
}

/// `math.Max`.
fn go_max(x: f64, y: f64) -> f64 {
    if x.is_infinite() && x > 0.0 || y.is_infinite() && y > 0.0 {
        return f64::INFINITY;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x == 0.0 && y == 0.0 {
        return if x.is_sign_negative() { y } else { x };
    }
    if x > y { x } else { y }
}

/// `math.Pow(10, places)` as Go multiplies it out, which is not always the
/// nearest float.
fn power_of_ten(places: i64) -> f64 {
    let (mut result, mut exponent) = (1.0_f64, 0_i32);
    let (mut factor, mut shift) = (0.625_f64, 4_i32);
    let mut left = places.unsigned_abs();
    while left != 0 {
        if !(-4096..=4096).contains(&shift) {
            exponent = exponent.saturating_add(shift);
            break;
        }
        if left & 1 == 1 {
            result *= factor;
            exponent += shift;
        }
        factor *= factor;
        shift <<= 1;
        if factor < 0.5 {
            factor += factor;
            shift -= 1;
        }
        left >>= 1;
    }
    if places < 0 {
        result = 1.0 / result;
        exponent = -exponent;
    }
    let exponent = exponent.clamp(-2200, 2200);
    result * 2.0_f64.powi(exponent / 2) * 2.0_f64.powi(exponent - exponent / 2)
}

fn round(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let up_from = args.get(2).map_or(0.5, to_float);
    let scale = power_of_ten(int(args, 1));
    let scaled = scale * to_float(&arg(args, 0));
    // Of an infinity Go takes NaN for the fraction, of which nothing is true.
    let fraction = if scaled.is_finite() {
        scaled - scaled.trunc()
    } else {
        f64::NAN
    };
    let rounded = if fraction >= up_from {
        scaled.ceil()
    } else {
        scaled.floor()
    };
    Ok(Value::Float(rounded / scale))
}

fn count_up(engine: &mut Engine<'_>, from: i64, to: i64, step: i64) -> Outcome<Value> {
    let numbers = numbers(engine, from, to, step)?;
    Ok(Value::typed(
        "[]int",
        numbers.into_iter().map(Value::Int).collect(),
    ))
}

fn numbers(engine: &mut Engine<'_>, from: i64, to: i64, step: i64) -> Outcome<Vec<i64>> {
    let mut all = Vec::new();
    if (to < from && step >= 0) || (to >= from && step <= 0) {
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
        1 => (1, int(args, 0), 0),
        2 => (int(args, 0), int(args, 1), 0),
        3 => (int(args, 0), int(args, 2), int(args, 1)),
        _ => return Ok(Value::text("")),
    };
    let direction = if to < from { -1 } else { 1 };
    if args.len() == 3 && to < from && step > 0 {
        return Ok(Value::text(""));
    }
    let step = if args.len() == 3 { step } else { direction };
    let end = to.wrapping_add(direction);
    let words: Vec<String> = numbers(engine, from, end, step)?
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(Value::text(words.join(" ")))
}
