//! sprig's date functions, in UTC: a template has no other zone to know.
//!
//! The time of day comes from the host; everything else is arithmetic on
//! seconds since 1970 (civil-from-days, proleptic Gregorian).

use super::{Row, arg, int, strval, text};
use crate::exec::{Engine, Outcome};
use crate::objects::Object;
use crate::value::Value;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A moment: seconds since 1970 in UTC, and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Time {
    pub seconds: i64,
    pub nanos: u32,
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: i64,
    year_day: i64,
}

pub const TABLE: &[Row] = &[
    ("now", "", |engine, _| Ok(moment(now(engine)?))),
    ("date", "sa", date),
    ("dateInZone", "sas", date),
    ("date_in_zone", "sas", date),
    ("htmlDate", "a", html_date),
    ("htmlDateInZone", "as", html_date),
    ("toDate", "ss", |_, a| {
        Ok(moment(parse(text(a, 0), text(a, 1)).unwrap_or(ZERO)))
    }),
    ("mustToDate", "ss", |_, a| {
        parse(text(a, 0), text(a, 1)).map(moment).ok_or_else(|| {
            format!(
                "parsing time \"{}\" as \"{}\": cannot parse",
                text(a, 1),
                text(a, 0)
            )
            .into()
        })
    }),
    ("unixEpoch", "a", |engine, a| {
        Ok(Value::text(
            time_of(engine, &arg(a, 0))?.seconds.to_string(),
        ))
    }),
    ("dateModify", "sa", modify),
    ("date_modify", "sa", modify),
    ("mustDateModify", "sa", modify),
    ("must_date_modify", "sa", modify),
    ("ago", "a", |engine, a| {
        let then = time_of(engine, &arg(a, 0))?;
        let seconds = now(engine)?.seconds.saturating_sub(then.seconds);
        Ok(Value::text(show_duration(seconds)))
    }),
    ("duration", "a", |_, a| {
        Ok(Value::text(show_duration(super::math::to_int64(&arg(
            a, 0,
        )))))
    }),
    ("durationRound", "a", |engine, a| {
        let seconds = match arg(a, 0) {
            Value::Str(text) => duration(&text).unwrap_or(0) / 1_000_000_000,
            Value::Object(object) => match object.as_ref() {
                Object::Time(time) => now(engine)?.seconds.saturating_sub(time.seconds),
                _ => 0,
            },
            other => super::math::to_int64(&other) / 1_000_000_000,
        };
        let (sign, whole) = if seconds < 0 {
            ("-", -seconds)
        } else {
            ("", seconds)
        };
        let units = [
            (31_536_000, "y"),
            (2_592_000, "mo"),
            (86_400, "d"),
            (3_600, "h"),
            (60, "m"),
            (1, "s"),
        ];
        let shown = units.iter().find(|(size, _)| whole >= *size).map_or_else(
            || "0s".to_owned(),
            |(size, unit)| format!("{sign}{}{unit}", whole / size),
        );
        Ok(Value::text(shown))
    }),
];

/// Go's zero time, the first of January of the year 1.
const ZERO: Time = Time {
    seconds: -62_135_596_800,
    nanos: 0,
};

fn moment(time: Time) -> Value {
    Value::object(Object::Time(time))
}

fn now(engine: &mut Engine<'_>) -> Outcome<Time> {
    let (seconds, nanos) = engine.host.now()?;
    Ok(Time { seconds, nanos })
}

/// sprig takes a time or a number of seconds; anything else is now.
fn time_of(engine: &mut Engine<'_>, value: &Value) -> Outcome<Time> {
    match value {
        Value::Object(object) => match object.as_ref() {
            Object::Time(time) => Ok(*time),
            _ => now(engine),
        },
        Value::Int(seconds) | Value::Int64(seconds) => Ok(Time {
            seconds: *seconds,
            nanos: 0,
        }),
        _ => now(engine),
    }
}

fn date(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let time = time_of(engine, &arg(args, 1))?;
    Ok(Value::text(time.format(text(args, 0))))
}

fn html_date(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let time = time_of(engine, &arg(args, 0))?;
    Ok(Value::text(time.format("2006-01-02")))
}

fn modify(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let time = time_of(engine, &arg(args, 1))?;
    let Some(nanos) = duration(text(args, 0)) else {
        return Err(format!("time: invalid duration \"{}\"", strval(&arg(args, 0))).into());
    };
    Ok(moment(time.plus(nanos)))
}

/// Methods of `time.Time`.
pub fn method(time: Time, name: &str, args: &[Value]) -> Result<Value, String> {
    let civil = time.civil();
    Ok(match name {
        "Unix" => Value::Int64(time.seconds),
        "UnixMilli" => Value::Int64(
            time.seconds
                .saturating_mul(1000)
                .saturating_add(i64::from(time.nanos / 1_000_000)),
        ),
        "UnixNano" => Value::Int64(
            time.seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::from(time.nanos)),
        ),
        "Nanosecond" => Value::Int(i64::from(time.nanos)),
        "Year" => Value::Int(civil.year),
        "Month" => Value::text(name_of(&MONTHS, civil.month - 1)),
        "Weekday" => Value::text(name_of(&DAYS, civil.weekday)),
        "Day" => Value::Int(civil.day),
        "Hour" => Value::Int(civil.hour),
        "Minute" => Value::Int(civil.minute),
        "Second" => Value::Int(civil.second),
        "YearDay" => Value::Int(civil.year_day),
        "UTC" | "Local" => moment(time),
        "String" => Value::text(time.format("2006-01-02 15:04:05.999999999 -0700 MST")),
        "Format" => Value::text(time.format(text(args, 0))),
        "AddDate" => {
            let month = civil.month - 1 + int(args, 1);
            let year = civil.year + int(args, 0) + month.div_euclid(12);
            let days = days_from(year, month.rem_euclid(12) + 1, civil.day) + int(args, 2);
            moment(Time {
                seconds: days
                    .saturating_mul(86_400)
                    .saturating_add(time.seconds.rem_euclid(86_400)),
                nanos: time.nanos,
            })
        }
        _ => return Err(format!("a time has no method {name}")),
    })
}

impl Time {
    fn plus(self, nanos: i64) -> Self {
        let total =
            i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos) + i128::from(nanos);
        Self {
            seconds: i64::try_from(total.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
            nanos: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
        }
    }

    fn civil(self) -> Civil {
        let days = self.seconds.div_euclid(86_400);
        let rest = self.seconds.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let from_march = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let place = (5 * from_march + 2) / 153;
        let day = from_march - (153 * place + 2) / 5 + 1;
        let month = if place < 10 { place + 3 } else { place - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil {
            year,
            month,
            day,
            hour: rest / 3_600,
            minute: rest % 3_600 / 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7),
            year_day: days - days_from(year, 1, 1) + 1,
        }
    }

    /// Go's `Time.Format`.
    pub fn format(self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::new();
        let mut rest = layout;
        while !rest.is_empty() {
            let Some((element, tail)) = element(rest) else {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
                continue;
            };
            let twelve = (civil.hour + 11) % 12 + 1;
            let text = match element {
                "2006" => format!("{:04}", civil.year),
                "06" => format!("{:02}", civil.year.rem_euclid(100)),
                "January" => name_of(&MONTHS, civil.month - 1).to_owned(),
                "Jan" => name_of(&MONTHS, civil.month - 1).chars().take(3).collect(),
                "01" => format!("{:02}", civil.month),
                "1" => civil.month.to_string(),
                "Monday" => name_of(&DAYS, civil.weekday).to_owned(),
                "Mon" => name_of(&DAYS, civil.weekday).chars().take(3).collect(),
                "002" => format!("{:03}", civil.year_day),
                "02" => format!("{:02}", civil.day),
                "_2" => format!("{:2}", civil.day),
                "2" => civil.day.to_string(),
                "15" => format!("{:02}", civil.hour),
                "03" => format!("{twelve:02}"),
                "3" => twelve.to_string(),
                "04" => format!("{:02}", civil.minute),
                "4" => civil.minute.to_string(),
                "05" => format!("{:02}", civil.second),
                "5" => civil.second.to_string(),
                "PM" => if civil.hour >= 12 { "PM" } else { "AM" }.to_owned(),
                "pm" => if civil.hour >= 12 { "pm" } else { "am" }.to_owned(),
                "MST" => "UTC".to_owned(),
                "Z07:00" | "Z0700" => "Z".to_owned(),
                "-07:00" => "+00:00".to_owned(),
                "-0700" => "+0000".to_owned(),
                "-07" => "+00".to_owned(),
                fraction => {
                    let digits: String = format!("{:09}", self.nanos)
                        .chars()
                        .take(fraction.len() - 1)
                        .collect();
                    if fraction.ends_with('9') {
                        let digits = digits.trim_end_matches('0');
                        if digits.is_empty() {
                            String::new()
                        } else {
                            format!(".{digits}")
                        }
                    } else {
                        format!(".{digits}")
                    }
                }
            };
            out.push_str(&text);
            rest = tail;
        }
        out
    }
}

fn name_of(names: &[&'static str], at: i64) -> &'static str {
    usize::try_from(at)
        .ok()
        .and_then(|at| names.get(at))
        .copied()
        .unwrap_or("")
}

/// The layout element that `layout` starts with, and what follows.
fn element(layout: &str) -> Option<(&str, &str)> {
    const ELEMENTS: [&str; 27] = [
        "2006", "January", "Jan", "Monday", "Mon", "MST", "Z07:00", "Z0700", "-07:00", "-0700",
        "-07", "002", "01", "02", "03", "04", "05", "06", "15", "_2", "PM", "pm", "1", "2", "3",
        "4", "5",
    ];
    if layout.starts_with(".0") || layout.starts_with(".9") {
        let digit = layout.chars().nth(1)?;
        let body = layout.get(1..)?;
        let count = body.len() - body.trim_start_matches(digit).len();
        if !body.get(count..)?.starts_with(|c: char| c.is_ascii_digit()) {
            return layout.split_at_checked(1 + count.min(9));
        }
        return None;
    }
    ELEMENTS
        .iter()
        .find(|known| layout.starts_with(**known))
        .and_then(|known| layout.split_at_checked(known.len()))
}

fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let place = (month + 9) % 12;
    let day_of_year = (153 * place + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Go's `time.Parse` for the elements above.
fn parse(layout: &str, value: &str) -> Option<Time> {
    let (mut year, mut month, mut day) = (0, 1, 1);
    let (mut hour, mut minute, mut second) = (0, 0, 0);
    let (mut nanos, mut offset, mut afternoon) = (0_u32, 0, None);
    let (mut layout, mut value) = (layout, value);
    let digits = |value: &mut &str, least: usize, most: usize| -> Option<i64> {
        let count = value
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let (head, tail) = value.split_at_checked(count)?;
        *value = tail;
        (count >= least).then(|| head.parse().ok()).flatten()
    };
    while !layout.is_empty() {
        let Some((found, tail)) = element(layout) else {
            let c = layout.chars().next()?;
            value = value.strip_prefix(c)?;
            layout = layout.get(c.len_utf8()..)?;
            continue;
        };
        layout = tail;
        match found {
            "2006" => year = digits(&mut value, 4, 4)?,
            "06" => {
                let short = digits(&mut value, 2, 2)?;
                year = if short >= 69 {
                    1900 + short
                } else {
                    2000 + short
                };
            }
            "01" => month = digits(&mut value, 2, 2)?,
            "1" => month = digits(&mut value, 1, 2)?,
            "02" => day = digits(&mut value, 2, 2)?,
            "2" => day = digits(&mut value, 1, 2)?,
            "_2" => {
                value = value.trim_start_matches(' ');
                day = digits(&mut value, 1, 2)?;
            }
            "15" | "03" => hour = digits(&mut value, 2, 2)?,
            "3" => hour = digits(&mut value, 1, 2)?,
            "04" => minute = digits(&mut value, 2, 2)?,
            "4" => minute = digits(&mut value, 1, 2)?,
            "05" | "5" => {
                second = digits(&mut value, found.len(), 2)?;
                // Go takes a fraction after the seconds unasked.
                if value.starts_with('.') && !layout.starts_with(".0") && !layout.starts_with(".9")
                {
                    nanos = fraction(&mut value)?;
                }
            }
            "January" | "Jan" | "Monday" | "Mon" => {
                let names: &[&str] = if found.starts_with('J') {
                    &MONTHS
                } else {
                    &DAYS
                };
                let (at, length) = names.iter().enumerate().find_map(|(at, name)| {
                    let name = if found.len() == 3 {
                        name.get(..3)?
                    } else {
                        name
                    };
                    value.starts_with(name).then_some((at, name.len()))
                })?;
                if found.starts_with('J') {
                    month = i64::try_from(at).ok()? + 1;
                }
                value = value.get(length..)?;
            }
            "PM" | "pm" => {
                let mark = value.get(..2)?;
                afternoon = Some(mark.eq_ignore_ascii_case("pm"));
                value = value.get(2..)?;
            }
            "MST" => value = value.strip_prefix("UTC").or(value.strip_prefix("GMT"))?,
            "002" => day = digits(&mut value, 3, 3)?,
            zone if zone.contains("07") => {
                if zone.starts_with('Z')
                    && let Some(rest) = value.strip_prefix('Z')
                {
                    value = rest;
                    continue;
                }
                let sign = if value.starts_with('-') { -1 } else { 1 };
                value = value.strip_prefix(['+', '-'])?;
                offset = digits(&mut value, 2, 2)? * 3_600;
                if zone != "-07" {
                    if zone.contains(':') {
                        value = value.strip_prefix(':')?;
                    }
                    offset += digits(&mut value, 2, 2)? * 60;
                }
                offset *= sign;
            }
            _ => nanos = fraction(&mut value).unwrap_or(0),
        }
    }
    match afternoon {
        Some(true) if hour < 12 => hour += 12,
        Some(false) if hour == 12 => hour = 0,
        _ => {}
    }
    let month_days = days_from(year + month / 12, month % 12 + 1, 1) - days_from(year, month, 1);
    let fits = value.is_empty()
        && (1..=12).contains(&month)
        && (1..=month_days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    fits.then(|| Time {
        seconds: days_from(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
            - offset,
        nanos,
    })
}

fn fraction(value: &mut &str) -> Option<u32> {
    let body = value.strip_prefix('.')?;
    let count = body.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, tail) = body.split_at_checked(count)?;
    *value = tail;
    format!("{:0<9}", digits.get(..count.min(9))?).parse().ok()
}

/// Go's `time.ParseDuration`, in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let number: f64 = number.parse().ok()?;
        let (unit, size) = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 6e10),
            ("h", 3.6e12),
        ]
        .into_iter()
        .find(|(unit, _)| tail.starts_with(unit))?;
        total += number * size;
        rest = tail.get(unit.len()..)?;
    }
    if total > 9.2e18 {
        return None;
    }
    let total = total as i64;
    Some(if negative { -total } else { total })
}

fn show_duration(seconds: i64) -> String {
    let (sign, whole) = if seconds < 0 {
        ("-", seconds.unsigned_abs())
    } else {
        ("", seconds.unsigned_abs())
    };
    let (hours, minutes, rest) = (whole / 3_600, whole % 3_600 / 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}
