//! String formats that Kubernetes 1.34 enforces in custom resource schemas.
//! Formats it does not know, numeric ones included, are annotations only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use base64::Engine as _;
use regex::Regex;

/// The format as Kubernetes normalises it, or none when it is not enforced.
pub(crate) fn known(format: &str) -> Option<&'static str> {
    const KNOWN: [&str; 26] = [
        "bsonobjectid",
        "uri",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "byte",
        "password",
        "date",
        "duration",
        "datetime",
        "k8sshortname",
        "k8slongname",
    ];
    let mut plain = format.to_owned();
    plain.retain(|c| c != '-');
    KNOWN.into_iter().find(|known| **known == plain)
}

/// Whether the text has the format, which is one that [`known`] returned.
pub(crate) fn matches(format: &str, text: &str) -> bool {
    match format {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => is_request_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => {
            static SSN: OnceLock<Option<Regex>> = OnceLock::new();
            regular(&SSN, r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$", text)
        }
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        }
        "rgbcolor" => is_rgb(text),
        "byte" => base64::engine::general_purpose::STANDARD
            .decode(
                text.bytes()
                    .filter(|b| !matches!(b, b'\r' | b'\n'))
                    .collect::<Vec<u8>>(),
            )
            .is_ok(),
        "date" => is_date(text),
        "duration" => is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => is_dns_label(text),
        "k8slongname" => {
            !text.is_empty() && text.len() <= 253 && text.split('.').all(is_dns_label_any_length)
        }
        _ => true,
    }
}

fn regular(cell: &OnceLock<Option<Regex>>, source: &str, text: &str) -> bool {
    cell.get_or_init(|| Regex::new(source).ok())
        .as_ref()
        .is_some_and(|regex| regex.is_match(text))
}

/// An absolute URI or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && !rest.is_empty()
}

/// An address, alone or after a display name in angle brackets.
fn is_email(text: &str) -> bool {
    let address = match (text.find('<'), text.strip_suffix('>')) {
        (Some(open), Some(inner)) => inner.get(open + 1..).unwrap_or_default(),
        (None, None) => text,
        _ => return false,
    };
    static EMAIL: OnceLock<Option<Regex>> = OnceLock::new();
    regular(
        &EMAIL,
        r#"^([^\s@<>()\[\],;:\\".]+(\.[^\s@<>()\[\],;:\\".]+)*|"[^"]*")@(\[[^\]]+\]|[^\s@<>()\[\],;:\\".]+(\.[^\s@<>()\[\],;:\\".]+)*)$"#,
        address.trim(),
    )
}

fn is_hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    !name.is_empty()
        && name.len() <= 255
        && name.split('.').all(|label| {
            (1..=63).contains(&label.chars().count())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let (Ok(address), true, Ok(bits)) = (address.parse::<IpAddr>(), digits, bits.parse::<u8>())
    else {
        return false;
    };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

fn is_mac(text: &str) -> bool {
    let groups = |separator: char, width: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        matches!(parts.len() * width, 12 | 16 | 40)
            && parts
                .iter()
                .all(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut digits = text.to_ascii_lowercase();
    let dashed = digits.bytes().filter(|b| *b == b'-').count();
    if dashed > 4 || digits.starts_with('-') || digits.ends_with('-') {
        return false;
    }
    for (index, _) in text.match_indices('-') {
        if ![8, 12, 13, 16, 17, 18, 20, 21, 22, 23].contains(&index) {
            return false;
        }
    }
    digits.retain(|c| c != '-');
    let at = |index: usize| digits.chars().nth(index);
    digits.len() == 32
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && version.is_none_or(|version| {
            at(12) == Some(version)
                && (version == '3' || matches!(at(16), Some('8' | '9' | 'a' | 'b')))
        })
}

fn isbn_digits(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c {
            'X' | 'x' => 10,
            other => other.to_digit(10).unwrap_or(99),
        })
        .collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let sum: u32 = digits
        .iter()
        .rev()
        .zip(1..)
        .map(|(d, weight)| d * weight)
        .sum();
    digits.len() == 10
        && digits.iter().take(9).all(|d| *d < 10)
        && digits.iter().all(|d| *d <= 10)
        && sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let digits = isbn_digits(text);
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(d, weight)| d * weight)
        .sum();
    digits.len() == 13 && digits.iter().all(|d| *d < 10) && sum.is_multiple_of(10)
}

fn is_credit_card(text: &str) -> bool {
    static CARD: OnceLock<Option<Regex>> = OnceLock::new();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let mut sum = 0;
    for (index, c) in digits.chars().rev().enumerate() {
        let digit = c.to_digit(10).unwrap_or(0);
        sum += match (index % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        };
    }
    sum.is_multiple_of(10)
        && regular(
            &CARD,
            r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$",
            &digits,
        )
}

fn is_rgb(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix("rgb(")
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return false;
    };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            part.bytes().all(|b| b.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'))
                && part.parse::<u8>().is_ok()
        })
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else {
        return false;
    };
    if ![y1, y2, y3, y4, m1, m2, d1, d2]
        .iter()
        .all(|b| b.is_ascii_digit())
    {
        return false;
    }
    let two = |a: u8, b: u8| u32::from(a - b'0') * 10 + u32::from(b - b'0');
    let year = two(*y1, *y2) * 100 + two(*y3, *y4);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match two(*m1, *m2) {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&two(*d1, *d2))
}

fn is_date_time(text: &str) -> bool {
    static CLOCK: OnceLock<Option<Regex>> = OnceLock::new();
    let Some((date, clock)) = text.split_once(['T', 't']) else {
        return false;
    };
    is_date(date)
        && regular(
            &CLOCK,
            r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([zZ]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?$",
            clock,
        )
}

/// As Go prints durations (`1h30m`), or one number with a unit in words.
fn is_duration(text: &str) -> bool {
    static GO: OnceLock<Option<Regex>> = OnceLock::new();
    static WORDS: OnceLock<Option<Regex>> = OnceLock::new();
    regular(
        &GO,
        r"^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",
        text,
    ) || regular(
        &WORDS,
        r"(?i)^\s*[0-9]+(\.[0-9]+)?\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|wks?)\s*$",
        text,
    )
}

fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_label_any_length(text)
}

fn is_dns_label_any_length(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_and_refuse() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "date",
                &["2024-02-29"],
                &["2023-02-29", "2024-13-01", "24-1-1", "2024-00-10"],
            ),
            (
                "date-time",
                &["2014-12-15T19:30:20.000Z", "2014-12-15T19:30:20+02:00"],
                &["2014-12-15", "2014-12-15T25:30:20Z", "yesterday"],
            ),
            ("ipv4", &["10.0.0.1"], &["10.0.0.256", "::1"]),
            ("ipv6", &["::1", "fe80::1"], &["10.0.0.1"]),
            (
                "cidr",
                &["10.0.0.0/8", "fd00::/8"],
                &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"],
            ),
            (
                "mac",
                &["00:00:5e:00:53:01", "0000.5e00.5301"],
                &["00:00:5e", "zz:00:5e:00:53:01"],
            ),
            ("email", &["a@b.io", "Ann <a@b.io>"], &["a", "a@", "@b"]),
            ("hostname", &["a.example"], &["a_b", "-a"]),
            ("uri", &["https://a.example/x", "/x"], &["x y", "x", ""]),
            (
                "uuid",
                &["7DD9D5B2-7A0E-4F0C-9E5B-7A0E4F0C9E5B"],
                &["7dd9d5b2"],
            ),
            (
                "uuid4",
                &["7dd9d5b2-7a0e-4f0c-9e5b-7a0e4f0c9e5b"],
                &["7dd9d5b2-7a0e-3f0c-9e5b-7a0e4f0c9e5b"],
            ),
            ("byte", &["aGVsbG8="], &["a!"]),
            ("duration", &["1h30m", "22 ns", "0"], &["abc", "1", ""]),
            ("isbn10", &["0321751043"], &["0321751044"]),
            ("isbn13", &["978-0321751041"], &["978-0321751042"]),
            (
                "creditcard",
                &["4111 1111 1111 1111"],
                &["4111 1111 1111 1112"],
            ),
            ("hexcolor", &["#fff", "FFFFFF"], &["#ffff"]),
            (
                "rgbcolor",
                &["rgb(255,255,2)"],
                &["rgb(256,0,0)", "rgb(1,2)"],
            ),
            ("k8s-short-name", &["abc-1"], &["Abc", "a.b"]),
            ("k8s-long-name", &["a.b-c"], &["a..b", "A.b"]),
        ];
        for (format, good, bad) in table {
            let name = known(format).unwrap();
            for text in *good {
                assert!(matches(name, text), "{format} should accept {text:?}");
            }
            for text in *bad {
                assert!(!matches(name, text), "{format} should refuse {text:?}");
            }
        }
        assert_eq!(known("int32"), None);
    }
}
