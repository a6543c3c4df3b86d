//! What a plain scalar means in YAML 1.1 as go-yaml 2 resolves it.
//!
//! Called by the reader for values and keys, and by the writer to know which
//! strings need quotes. Both must use this one function: a string that
//! resolves to anything else must be quoted.

/// The meaning of a plain scalar.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text,
}

/// Resolves the plain scalar `text`.
pub fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(b'.') if looks_like_float(text) => text.parse().map_or(Scalar::Text, Scalar::Float),
        _ => Scalar::Text,
    }
}

/// True for what YAML 1.1 read as a base-60 number or a date: go-yaml reads
/// them as strings, and quotes them for the sake of older readers.
pub fn needs_quotes_for_old_readers(text: &str) -> bool {
    is_base60(text) || is_timestamp(text)
}

fn number(text: &str) -> Scalar {
    let digits = text.replace('_', "");
    if let Some(value) = integer(&digits) {
        return value;
    }
    if looks_like_float(&digits)
        && let Ok(value) = digits.parse::<f64>()
        && value.is_finite()
    {
        return Scalar::Float(value);
    }
    Scalar::Text
}

/// Go's `ParseInt(s, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (digits, radix) = match (body.get(..2), body.as_bytes().first()) {
        (Some("0x" | "0X"), _) => (body.get(2..)?, 16),
        (Some("0b" | "0B"), _) => (body.get(2..)?, 2),
        (Some("0o" | "0O"), _) => (body.get(2..)?, 8),
        (Some(_), Some(b'0')) => (body.get(1..)?, 8),
        _ => (body, 10),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    if let Ok(value) = i64::try_from(value) {
        return Some(Scalar::Int(value));
    }
    // ParseUint takes no sign.
    if text.starts_with(['+', '-']) {
        return None;
    }
    u64::try_from(value).ok().map(Scalar::Uint)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn looks_like_float(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_fits && exponent_fits
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let body = match body.split_once('.') {
        Some((head, tail)) => {
            if !tail.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                return false;
            }
            head
        }
        None => body,
    };
    let mut parts = body.split(':');
    let head_fits = parts.next().is_some_and(|head| {
        head.starts_with(|c: char| c.is_ascii_digit())
            && head.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    });
    let mut sixties = 0;
    head_fits
        && parts.all(|part| {
            sixties += 1;
            match part.as_bytes() {
                [digit] => digit.is_ascii_digit(),
                [b'0'..=b'5', digit] => digit.is_ascii_digit(),
                _ => false,
            }
        })
        && sixties > 0
}

/// The four forms go-yaml takes for a time: a date, and a date with a time
/// after `T`, `t` or a blank, with or without a zone.
fn is_timestamp(text: &str) -> bool {
    let take = |rest: &mut &str, most: usize| -> Option<u32> {
        let end = rest
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let (digits, tail) = rest.split_at_checked(end)?;
        *rest = tail;
        digits.parse().ok()
    };
    let skip = |rest: &mut &str, mark: char| -> Option<()> {
        *rest = rest.strip_prefix(mark)?;
        Some(())
    };
    let check = || -> Option<bool> {
        let year_digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if year_digits != 4 {
            return None;
        }
        let mut rest = text;
        take(&mut rest, 4)?;
        skip(&mut rest, '-')?;
        let month = take(&mut rest, 2)?;
        skip(&mut rest, '-')?;
        let day = take(&mut rest, 2)?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if rest.is_empty() {
            return Some(true);
        }
        let zoned = !rest.starts_with(' ');
        rest = rest.strip_prefix(['T', 't', ' '])?;
        let hour = take(&mut rest, 2)?;
        skip(&mut rest, ':')?;
        let minute = take(&mut rest, 2)?;
        skip(&mut rest, ':')?;
        let second = take(&mut rest, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        if !zoned {
            return Some(rest.is_empty());
        }
        if rest == "Z" {
            return Some(true);
        }
        rest = rest.strip_prefix(['+', '-'])?;
        take(&mut rest, 2)?;
        skip(&mut rest, ':')?;
        take(&mut rest, 2)?;
        Some(rest.is_empty())
    };
    check().unwrap_or(false)
}
