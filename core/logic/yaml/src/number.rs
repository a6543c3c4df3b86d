//! Numbers as Go prints them.
//!
//! Called by the YAML writer, and by the Helm engine for `%v`, `toJson` and
//! friends. Must agree with `strconv.FormatFloat(f, 'g', -1, 64)` and with
//! `encoding/json`.

/// The precision by which Go's shortest `%g` decides on an exponent.
const SHORTEST_PRECISION: i32 = 6;

/// `f` as Go's `%v` and YAML's writer print a float: the shortest digits that
/// read back the same, with an exponent below 1e-4 and from 1e21 on. A number
/// of more than six whole digits has an exponent too (1e+06, 1.2345678e+07).
#[must_use]
pub fn format_float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let (negative, digits, exponent) = shortest_digits(f);
    if !(-4..SHORTEST_PRECISION).contains(&exponent) {
        exponential(negative, &digits, exponent)
    } else {
        plain(negative, &digits, exponent)
    }
}

/// `f` as `encoding/json` writes it: plain between 1e-6 and 1e21.
/// `None` for NaN and infinities, which JSON cannot carry.
#[must_use]
pub fn go_json_number(f: f64) -> Option<String> {
    if !f.is_finite() {
        return None;
    }
    let magnitude = f.abs();
    let (negative, digits, exponent) = shortest_digits(f);
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = exponential(negative, &digits, exponent);
        // encoding/json writes e-9 where strconv writes e-09.
        Some(text.replace("e-0", "e-"))
    } else {
        Some(plain(negative, &digits, exponent))
    }
}

/// Sign, significant digits without a point, and the decimal exponent of the
/// first digit.
fn shortest_digits(f: f64) -> (bool, String, i32) {
    let text = format!("{:e}", f.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text.as_str(), "0"));
    let digits = mantissa.replace('.', "");
    (f.is_sign_negative(), digits, exponent.parse().unwrap_or(0))
}

fn exponential(negative: bool, digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let minus = if negative { "-" } else { "" };
    format!("{minus}{first}{point}{rest}e{sign}{:02}", exponent.abs())
}

fn plain(negative: bool, digits: &str, exponent: i32) -> String {
    let mut text = String::new();
    if negative {
        text.push('-');
    }
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if exponent < 0 {
        text.push_str("0.");
        text.extend(std::iter::repeat_n(
            '0',
            (-exponent - 1).unsigned_abs() as usize,
        ));
        text.push_str(digits);
    } else if exponent + 1 >= length {
        text.push_str(digits);
        text.extend(std::iter::repeat_n(
            '0',
            (exponent + 1 - length).unsigned_abs() as usize,
        ));
    } else {
        let at = (exponent + 1).unsigned_abs() as usize;
        let (whole, fraction) = digits.split_at_checked(at).unwrap_or((digits, ""));
        text.push_str(whole);
        text.push('.');
        text.push_str(fraction);
    }
    text
}
