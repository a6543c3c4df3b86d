//! What a plain scalar means in YAML 1.1 as go-yaml 2 resolves it.
//!
//! Called by the reader for values and keys, and by the writer to know which
//! strings need quotes. Both must use this one function: a string that
//! resolves to anything else must be quoted.

use std::borrow::Cow;

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

/// Whether a byte stands for nothing but itself, wherever in a plain scalar it stands after
/// a letter or a digit.
pub fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
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
    text.contains(|c: char| c.is_ascii_digit()) && (is_base60(text) || timestamp(text).is_some())
}

fn number(text: &str) -> Scalar {
    let digits = match text.contains('_') {
        true => Cow::Owned(text.replace('_', "")),
        false => Cow::Borrowed(text),
    };
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

/// A plain scalar that go-yaml takes for a time, as Go writes times into JSON (RFC 3339):
/// a date, `2024-1-2`, or one with a time after `T`, `t` or a blank. What follows a blank
/// has no zone; what follows a letter has one.
pub fn timestamp(text: &str) -> Option<String> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    rest = rest.strip_prefix('-')?;
    let month = digits(&mut rest, 1, 2)?;
    rest = rest.strip_prefix('-')?;
    let day = digits(&mut rest, 1, 2)?;
    if !(1..=days(year, month)?).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let is_zoned = !rest.starts_with(' ');
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = digits(&mut rest, 1, 2)?;
    rest = rest.strip_prefix(':')?;
    let minute = digits(&mut rest, 1, 2)?;
    rest = rest.strip_prefix(':')?;
    let second = digits(&mut rest, 1, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = fraction(&mut rest);
    let zone = match (is_zoned, rest) {
        (false, "") | (true, "Z") => "Z".to_owned(),
        (true, rest) => zone(rest)?,
        (false, _) => return None,
    };
    Some(format!(
        "{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
    ))
}

/// Takes the number in front: as many digits as there are, up to `most`, and no fewer
/// than `least`.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let all = rest.bytes().take(most).take_while(u8::is_ascii_digit);
    let (number, tail) = rest.split_at_checked(all.count())?;
    if number.len() < least {
        return None;
    }
    *rest = tail;
    number.parse().ok()
}

/// How many days a month has.
fn days(year: u32, month: u32) -> Option<u32> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Takes the fraction of a second: nine digits at most, without zeros at its end.
fn fraction(rest: &mut &str) -> String {
    let Some(after) = rest.strip_prefix(['.', ',']) else {
        return String::new();
    };
    let all = after.bytes().take_while(u8::is_ascii_digit).count();
    let Some((digits, tail)) = after.split_at_checked(all).filter(|_| all > 0) else {
        return String::new();
    };
    *rest = tail;
    match digits.get(..9).unwrap_or(digits).trim_end_matches('0') {
        "" => String::new(),
        some => format!(".{some}"),
    }
}

/// A zone such as `+02:00`.
fn zone(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix(['+', '-'])?;
    let hours = digits(&mut rest, 2, 2)?;
    rest = rest.strip_prefix(':')?;
    let minutes = digits(&mut rest, 2, 2)?;
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    let is_utc = hours == 0 && minutes == 0;
    Some(if is_utc { "Z" } else { text }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_go_takes_for_them() {
        for (text, expected) in [
            ("2024-01-02", Some("2024-01-02T00:00:00Z")),
            ("2024-1-2", Some("2024-01-02T00:00:00Z")),
            ("2024-02-29", Some("2024-02-29T00:00:00Z")),
            ("0000-01-01", Some("0000-01-01T00:00:00Z")),
            ("2024-01-02T1:2:3Z", Some("2024-01-02T01:02:03Z")),
            ("2024-01-02t10:11:12.50Z", Some("2024-01-02T10:11:12.5Z")),
            ("2024-01-02T10:11:12,000Z", Some("2024-01-02T10:11:12Z")),
            (
                "2024-01-02 10:11:12.1234567899",
                Some("2024-01-02T10:11:12.123456789Z"),
            ),
            (
                "2024-01-02T10:11:12+02:30",
                Some("2024-01-02T10:11:12+02:30"),
            ),
            ("2024-01-02T10:11:12-00:00", Some("2024-01-02T10:11:12Z")),
            ("2024-01-02T10:11:12", None),
            ("2024-01-02 10:11:12Z", None),
            ("2024-01-02T10:11:12.Z", None),
            ("2024-01-02T10:11:12z", None),
            ("2024-01-02T10:11:12+2:00", None),
            ("2024-01-02T10:11:12+0200", None),
            ("2024-01-02T24:00:00Z", None),
            ("2024-01-02T10:11:60Z", None),
            ("2024-01-02 10:11", None),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("2024-13-01", None),
            ("2024-01-00", None),
            ("02024-01-01", None),
            ("202-01-01", None),
            ("2024-01-0x", None),
            ("2024-01", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), expected, "{text}");
        }
    }
}
