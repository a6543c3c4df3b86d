//! Go's `time.Parse`: a text read by a layout.
//!
//! Called by the date functions. What must stay true: the first element that
//! does not fit is named as Go names it.

use super::date::{DAYS, MONTHS, Time, days_from, element};
use super::zone::Abbreviation;

/// Why an element could not be read.
enum Bad {
    Text,
    Range(&'static str),
}

type Read<T> = Result<T, Bad>;

fn take_digit(value: &mut &str, fixed: bool) -> Read<i64> {
    let bytes = value.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| i64::from(byte - b'0'))
    };
    let first = digit(0).ok_or(Bad::Text)?;
    let (number, length) = match digit(1) {
        Some(second) => (first * 10 + second, 2),
        None if fixed => return Err(Bad::Text),
        None => (first, 1),
    };
    *value = value.get(length..).unwrap_or_default();
    Ok(number)
}

fn take_exactly<'v>(value: &mut &'v str, count: usize) -> Read<&'v str> {
    let (head, tail) = value.split_at_checked(count).ok_or(Bad::Text)?;
    *value = tail;
    Ok(head)
}

fn take_name(value: &mut &str, names: &[&str], short: bool) -> Read<i64> {
    for (at, name) in names.iter().enumerate() {
        let name = if short {
            name.get(..3).unwrap_or(name)
        } else {
            name
        };
        if let Some(head) = value.get(..name.len())
            && head.eq_ignore_ascii_case(name)
        {
            *value = value.get(name.len()..).unwrap_or_default();
            return Ok(i64::try_from(at).unwrap_or(0));
        }
    }
    Err(Bad::Text)
}

fn take_fraction(value: &mut &str, count: usize) -> Read<u32> {
    let head = take_exactly(value, count)?;
    let digits = head.strip_prefix(['.', ',']).ok_or(Bad::Text)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Bad::Text);
    }
    let digits: String = digits.chars().chain("000000000".chars()).take(9).collect();
    digits.parse().map_err(|_| Bad::Text)
}

fn fraction_length(value: &str) -> usize {
    match value.strip_prefix(['.', ',']) {
        Some(rest) => 1 + rest.bytes().take_while(u8::is_ascii_digit).count(),
        None => 0,
    }
}

fn in_range(number: i64, range: std::ops::Range<i64>, what: &'static str) -> Read<i64> {
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(Bad::Range(what))
    }
}

#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    offset: Option<i64>,
    /// The zone was called `UTC`, whatever offset stands beside it.
    is_utc: bool,
    zone: Option<Abbreviation>,
    afternoon: Option<bool>,
}

impl Parts {
    fn take(&mut self, element: &str, rest_of_layout: &str, value: &mut &str) -> Read<()> {
        match element {
            "06" => {
                let short: i64 = take_exactly(value, 2)?.parse().map_err(|_| Bad::Text)?;
                self.year = short + if short >= 69 { 1900 } else { 2000 };
            }
            "2006" => {
                if !value.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(Bad::Text);
                }
                self.year = take_exactly(value, 4)?.parse().map_err(|_| Bad::Text)?;
            }
            "Jan" | "January" => {
                self.month = Some(take_name(value, &MONTHS, element.len() == 3)? + 1);
            }
            "01" | "1" => {
                let month = take_digit(value, element == "01")?;
                self.month = Some(in_range(month, 1..13, "month")?);
            }
            "Mon" | "Monday" => {
                take_name(value, &DAYS, element.len() == 3)?;
            }
            "2" | "_2" | "02" => {
                if element == "_2" {
                    *value = value.strip_prefix(' ').unwrap_or(value);
                }
                self.day = Some(take_digit(value, element == "02")?);
            }
            "002" | "__2" => {
                if element == "__2" {
                    *value = value.trim_start_matches(' ');
                }
                let count = value.bytes().take(3).take_while(u8::is_ascii_digit).count();
                if count == 0 || (element == "002" && count < 3) {
                    return Err(Bad::Text);
                }
                self.year_day = take_exactly(value, count)?.parse().ok();
            }
            "15" => self.hour = in_range(take_digit(value, false)?, 0..24, "hour")?,
            "3" | "03" => {
                self.hour = in_range(take_digit(value, element == "03")?, 0..13, "hour")?;
            }
            "4" | "04" => {
                self.minute = in_range(take_digit(value, element == "04")?, 0..60, "minute")?;
            }
            "5" | "05" => {
                self.second = in_range(take_digit(value, element == "05")?, 0..60, "second")?;
                // Go takes a fraction after the seconds unasked.
                let length = fraction_length(value);
                let asked = first_element(rest_of_layout).starts_with(['.', ',']);
                if length >= 2 && !asked {
                    self.nanos = take_fraction(value, length)?;
                }
            }
            "PM" | "pm" => {
                let mark = take_exactly(value, 2)?;
                self.afternoon = match mark {
                    "PM" | "pm" if mark == element => Some(true),
                    "AM" if element == "PM" => Some(false),
                    "am" if element == "pm" => Some(false),
                    _ => return Err(Bad::Text),
                };
            }
            "MST" => match value.strip_prefix("UTC") {
                Some(rest) => {
                    self.is_utc = true;
                    *value = rest;
                }
                None => {
                    let name = take_exactly(value, zone_length(value).ok_or(Bad::Text)?)?;
                    self.zone = Abbreviation::new(name);
                }
            },
            zone if zone.contains("07") => self.take_zone(zone, value)?,
            fraction if fraction.ends_with('0') => {
                self.nanos = take_fraction(value, fraction.len())?;
            }
            _ => {
                let length = fraction_length(value);
                if length >= 2 {
                    self.nanos = take_fraction(value, length)?;
                }
            }
        }
        Ok(())
    }

    fn take_zone(&mut self, zone: &str, value: &mut &str) -> Read<()> {
        if zone.starts_with('Z')
            && let Some(rest) = value.strip_prefix('Z')
        {
            *value = rest;
            self.offset = Some(0);
            return Ok(());
        }
        let body = zone.get(1..).unwrap_or_default();
        let given = take_exactly(value, zone.len())?;
        let sign = match given.get(..1) {
            Some("+") => 1,
            Some("-") => -1,
            _ => return Err(Bad::Text),
        };
        let digits = given.get(1..).unwrap_or_default();
        if digits
            .bytes()
            .zip(body.bytes())
            .any(|(d, b)| (d == b':') != (b == b':'))
        {
            return Err(Bad::Text);
        }
        let plain = digits.replace(':', "");
        let part = |at: usize| -> Read<i64> {
            match plain.get(at..at + 2) {
                Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                    text.parse().map_err(|_| Bad::Text)
                }
                Some(_) => Err(Bad::Text),
                None => Ok(0),
            }
        };
        let hours = in_range(part(0)?, 0..25, "time zone offset hour")?;
        let minutes = in_range(part(2)?, 0..61, "time zone offset minute")?;
        let seconds = in_range(part(4)?, 0..61, "time zone offset second")?;
        self.offset = Some(sign * (hours * 3600 + minutes * 60 + seconds));
        Ok(())
    }

    fn time(mut self) -> Result<Time, &'static str> {
        match self.afternoon {
            Some(true) if self.hour < 12 => self.hour += 12,
            Some(false) if self.hour == 12 => self.hour = 0,
            _ => {}
        }
        let mut day = self.day.unwrap_or(1);
        let mut month = self.month.unwrap_or(1);
        let days_in_year = days_from(self.year + 1, 1, 1) - days_from(self.year, 1, 1);
        if let Some(year_day) = self.year_day {
            if !(1..=days_in_year).contains(&year_day) {
                return Err("day-of-year out of range");
            }
            let civil = Time {
                seconds: (days_from(self.year, 1, 1) + year_day - 1) * 86_400,
                nanos: 0,
                offset: 0,
                zone: None,
            }
            .civil();
            if self.month.is_some_and(|month| month != civil.month) {
                return Err("day-of-year does not match month");
            }
            if self.day.is_some_and(|day| day != civil.day) {
                return Err("day-of-year does not match day");
            }
            (month, day) = (civil.month, civil.day);
        }
        let next = days_from(self.year + month / 12, month % 12 + 1, 1);
        if day < 1 || day > next - days_from(self.year, month, 1) {
            return Err("day out of range");
        }
        let (behind, offset, zone) = self.place();
        Ok(Time {
            seconds: days_from(self.year, month, day) * 86_400
                + self.hour * 3_600
                + self.minute * 60
                + self.second
                - behind,
            nanos: self.nanos,
            offset,
            zone,
        })
    }

    /// By how much the clock that was read is ahead, how far east the time is shown,
    /// and what its zone is called. Of a zone by name alone Go knows nothing: it takes
    /// the clock for UTC's, and shows `GMT+3` by its hours.
    fn place(&self) -> (i64, i64, Option<Abbreviation>) {
        match (self.is_utc, self.offset, self.zone) {
            (false, Some(offset), zone) => (offset, offset, zone),
            (false, None, Some(zone)) => {
                let hours = zone.as_str().strip_prefix("GMT").map(str::parse::<i64>);
                let hours = hours.and_then(Result::ok).unwrap_or(0);
                (0, hours * 3_600, Some(zone))
            }
            _ => (0, 0, None),
        }
    }
}

/// How long the zone's name is that a text begins with; none where it is no name.
fn zone_length(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let head = bytes.get(..3)?;
    if matches!(bytes.get(..4), Some(b"ChST" | b"MeST")) {
        return Some(4);
    }
    if head == b"GMT" {
        return Some(3 + signed_length(bytes.get(3..).unwrap_or_default()));
    }
    if matches!(head.first(), Some(b'+' | b'-')) {
        return Some(signed_length(bytes)).filter(|length| *length > 0);
    }
    let letters = bytes.iter().take(6).take_while(|b| b.is_ascii_uppercase());
    match letters.count() {
        3 => Some(3),
        4 => (bytes.get(3) == Some(&b'T') || value.starts_with("WITA")).then_some(4),
        5 => (bytes.get(4) == Some(&b'T')).then_some(5),
        _ => None,
    }
}

/// How long the sign and the hours (at most 23) are that a text begins with, or 0.
fn signed_length(bytes: &[u8]) -> usize {
    let Some((b'+' | b'-', rest)) = bytes.split_first() else {
        return 0;
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let hours = rest.iter().take(digits).fold(0_u32, |hours, digit| {
        hours
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    });
    if digits == 0 || hours > 23 {
        return 0;
    }
    1 + digits
}

fn first_element(layout: &str) -> &str {
    let mut rest = layout;
    while !rest.is_empty() {
        if let Some((found, _)) = element(rest) {
            return found;
        }
        let mut chars = rest.chars();
        chars.next();
        rest = chars.as_str();
    }
    ""
}

/// Quotes as the time package does: bytes beyond ASCII one by one.
fn quote_bytes(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'\x7f' => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Go's `time.Parse`, in UTC where the text names no offset.
pub fn parse(layout: &str, text: &str) -> Result<Time, String> {
    let quoted = quote_bytes;
    let failed = |at: &str, wanted: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quoted(text),
            quoted(layout),
            quoted(at),
            quoted(wanted)
        )
    };
    let mut parts = Parts::default();
    let (mut rest, mut value) = (layout, text);
    loop {
        // What stands before the next element must stand in the text too.
        let mut prefix_end = 0;
        let found = loop {
            let tail = rest.get(prefix_end..).unwrap_or_default();
            if tail.is_empty() {
                break None;
            }
            if let Some(found) = element(tail) {
                break Some(found);
            }
            prefix_end += tail.chars().next().map_or(1, char::len_utf8);
        };
        let prefix = rest.get(..prefix_end).unwrap_or(rest);
        let mut left = prefix;
        while let Some(c) = left.chars().next() {
            if c == ' ' {
                if !value.is_empty() && !value.starts_with(' ') {
                    return Err(failed(value, prefix));
                }
                left = left.trim_start_matches(' ');
                value = value.trim_start_matches(' ');
                continue;
            }
            match value.strip_prefix(c) {
                Some(after) => value = after,
                None => return Err(failed(value, prefix)),
            }
            left = left.get(c.len_utf8()..).unwrap_or_default();
        }
        let Some((element, tail)) = found else {
            break;
        };
        let held = value;
        parts
            .take(element, tail, &mut value)
            .map_err(|bad| match bad {
                Bad::Text => failed(held, element),
                Bad::Range(what) => format!("parsing time {}: {what} out of range", quoted(text)),
            })?;
        rest = tail;
    }
    if !value.is_empty() {
        return Err(format!(
            "parsing time {}: extra text: {}",
            quoted(text),
            quoted(value)
        ));
    }
    parts
        .time()
        .map_err(|why| format!("parsing time {}: {why}", quoted(text)))
}
