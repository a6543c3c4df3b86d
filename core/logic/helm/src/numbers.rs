//! Numbers from text, as Go's `strconv` reads them.
//!
//! Used by the parser for literals and by functions that convert.

/// `strconv.ParseInt` without its bound: `base` 0 takes prefixes and
/// underscores between digits.
pub fn parse_integer(text: &str, base: u32) -> Option<i128> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = if base == 0 {
        let lower = body.to_ascii_lowercase();
        match lower.get(..2) {
            Some("0x") => (body.get(2..)?, 16),
            Some("0b") => (body.get(2..)?, 2),
            Some("0o") => (body.get(2..)?, 8),
            Some(_) if lower.starts_with('0') => (body.get(1..)?, 8),
            _ => (body, 10),
        }
    } else {
        (body, base)
    };
    let prefixed = base == 0 && radix != 10;
    let clean = if base == 0 && digits.contains('_') {
        underscores_separate(digits, prefixed).then(|| digits.replace('_', ""))?
    } else {
        digits.to_owned()
    };
    if clean.is_empty() || clean.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(&clean, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Each underscore stands between digits; a prefix counts as one.
fn underscores_separate(digits: &str, prefixed: bool) -> bool {
    let mut before = prefixed;
    for c in digits.chars() {
        if c == '_' {
            if !before {
                return false;
            }
            before = false;
        } else {
            before = true;
        }
    }
    before
}

/// `strconv.ParseFloat`; `None` for what it refuses or finds out of range.
pub fn parse_float(text: &str) -> Option<f64> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let signed = |value: f64| Some(if negative { -value } else { value });
    let lower = body.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return signed(f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return signed(hex_float(hex)?);
    }
    let clean;
    let body = if body.contains('_') {
        let mut digits_around =
            body.split('_')
                .skip(1)
                .zip(body.split('_'))
                .map(|(after, before)| {
                    before.ends_with(|c: char| c.is_ascii_digit())
                        && after.starts_with(|c: char| c.is_ascii_digit())
                });
        if !digits_around.all(|good| good) {
            return None;
        }
        clean = body.replace('_', "");
        &clean
    } else {
        body
    };
    // Rust takes what Go does not.
    let plain = body
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !plain || !body.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: f64 = body.parse().ok()?;
    value.is_finite().then_some(value).and_then(signed)
}

fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    if !underscores_separate(&mantissa.replace('.', ""), true) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0_f64;
    let mut digits = 0;
    for c in whole.chars().chain(fraction.chars()).filter(|c| *c != '_') {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
        digits += 1;
    }
    let places = i32::try_from(fraction.chars().filter(|c| *c != '_').count()).ok()?;
    let value = value * 2.0_f64.powi(exponent.checked_sub(places.checked_mul(4)?)?);
    (digits > 0 && value.is_finite()).then_some(value)
}

/// Places after the point that a float has at most; what is asked for beyond them
/// is zeros, and our own formatting takes no more than 65535.
const MAX_PLACES: usize = 1_100;

/// `strconv.FormatFloat` of a finite number that is not negative.
pub fn float_text(number: f64, format: char, precision: Option<usize>) -> String {
    match format {
        'f' => match precision {
            Some(precision) => {
                let digits = precision.min(MAX_PLACES);
                let zeros = precision - digits;
                format!("{number:.digits$}") + &"0".repeat(zeros)
            }
            None => format!("{number}"),
        },
        'e' | 'E' => exponential(number, precision, format),
        'b' => {
            let bits = number.to_bits();
            let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
            let fraction = bits & ((1 << 52) - 1);
            let (mantissa, exponent) = if exponent == 0 {
                (fraction, 1)
            } else {
                (fraction | 1 << 52, exponent)
            };
            format!("{mantissa}p{:+}", exponent - 1075)
        }
        'x' | 'X' => hexadecimal(number, precision, format),
        _ => general(number, precision, format),
    }
}

fn exponential(number: f64, precision: Option<usize>, format: char) -> String {
    let (text, zeros) = match precision {
        Some(precision) => {
            let digits = precision.min(MAX_PLACES);
            (format!("{number:.digits$e}"), precision - digits)
        }
        None => (format!("{number:e}"), 0),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let zeros = "0".repeat(zeros);
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}{zeros}{format}{sign}{exponent:0>2}")
}

fn general(number: f64, precision: Option<usize>, format: char) -> String {
    let exponent_mark = if format == 'G' { 'E' } else { 'e' };
    let Some(precision) = precision else {
        let text = catalyst_yaml::format_float(number);
        return if format == 'G' {
            text.to_uppercase()
        } else {
            text
        };
    };
    let precision = precision.max(1);
    let text = exponential(number, Some(precision - 1), 'e');
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let count = i64::try_from(digits.len().max(1)).unwrap_or(1);
    // Go: a precision beyond the digits there are counts as their number.
    let mut most = i64::try_from(precision).unwrap_or(i64::MAX);
    if most > count && count > exponent {
        most = count;
    }
    if exponent < -4 || exponent >= most {
        let places = usize::try_from(count - 1).unwrap_or(0);
        return exponential(number, Some(places), exponent_mark);
    }
    let places = usize::try_from((count - 1 - exponent).max(0)).unwrap_or(0);
    format!("{number:.places$}")
}

fn hexadecimal(number: f64, precision: Option<usize>, format: char) -> String {
    let bits = number.to_bits();
    let mut exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let mut mantissa = bits & ((1 << 52) - 1);
    if exponent == 0 {
        exponent = 1;
    } else {
        mantissa |= 1 << 52;
    }
    exponent -= 1023;
    if number == 0.0 {
        exponent = 0;
    } else {
        while mantissa & 1 << 52 == 0 {
            mantissa <<= 1;
            exponent -= 1;
        }
    }
    // One digit before the point, thirteen after it.
    if let Some(precision) = precision
        && precision < 13
    {
        let shift = 52 - 4 * precision;
        let extra = mantissa & ((1 << shift) - 1);
        mantissa >>= shift;
        let half = 1 << (shift - 1);
        if extra > half || extra == half && mantissa & 1 == 1 {
            mantissa += 1;
        }
        mantissa <<= shift;
        if mantissa & 1 << 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        Some(precision) => {
            let zeros = precision.saturating_sub(fraction.len());
            fraction
                .chars()
                .chain(std::iter::repeat_n('0', zeros))
                .take(precision)
                .collect()
        }
        None => fraction.trim_end_matches('0').to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!(
        "0x{}{point}{fraction}p{sign}{:02}",
        mantissa >> 52,
        exponent.abs()
    );
    if format == 'X' {
        text.to_uppercase()
    } else {
        text
    }
}
