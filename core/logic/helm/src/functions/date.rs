//! sprig's date functions: in UTC, unless a template names a zone.
//!
//! The time of day comes from the host; everything else is arithmetic on
//! seconds since 1970 (civil-from-days, proleptic Gregorian).

use toml_edit::{Datetime, Offset};

use super::date_parse::parse;
use super::zone::{Abbreviation, shown_in};
use super::{Row, arg, int, text};
use crate::exec::{Engine, Outcome};
use crate::objects::Object;
use crate::value::Value;

pub(super) const MONTHS: [&str; 12] = [
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
pub(super) const DAYS: [&str; 7] = [
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
    /// Seconds east of Greenwich by which it is shown.
    pub offset: i64,
    /// What its zone is called, where that is not UTC and known.
    pub zone: Option<Abbreviation>,
}

pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: i64,
    year_day: i64,
}

/// The layout of HTML's date fields.
const HTML: &str = "2006-01-02";

pub const TABLE: &[Row] = &[
    ("now", "", |engine, _| Ok(moment(now(engine)?))),
    ("date", "sa", |engine, a| {
        date(engine, text(a, 0), &arg(a, 1), "")
    }),
    ("dateInZone", "sas", |engine, a| {
        date(engine, text(a, 0), &arg(a, 1), text(a, 2))
    }),
    ("date_in_zone", "sas", |engine, a| {
        date(engine, text(a, 0), &arg(a, 1), text(a, 2))
    }),
    ("htmlDate", "a", |engine, a| {
        date(engine, HTML, &arg(a, 0), "")
    }),
    ("htmlDateInZone", "as", |engine, a| {
        date(engine, HTML, &arg(a, 0), text(a, 1))
    }),
    ("toDate", "ss", |_, a| {
        Ok(moment(parse(text(a, 0), text(a, 1)).unwrap_or(ZERO)))
    }),
    ("mustToDate", "ss", |_, a| {
        parse(text(a, 0), text(a, 1))
            .map(moment)
            .map_err(Into::into)
    }),
    ("unixEpoch", "t", |engine, a| {
        Ok(Value::text(
            time_of(engine, &arg(a, 0))?.seconds.to_string(),
        ))
    }),
    ("dateModify", "st", modify),
    ("date_modify", "st", modify),
    ("mustDateModify", "st", must_modify),
    ("must_date_modify", "st", must_modify),
    ("ago", "a", |engine, a| {
        let then = time_of(engine, &arg(a, 0))?;
        let seconds = (since(engine, then)? as f64 / 1e9).round() as i64;
        Ok(Value::text(show_duration(
            seconds.wrapping_mul(1_000_000_000),
        )))
    }),
    ("duration", "a", |_, a| {
        let seconds = match arg(a, 0) {
            Value::Str(text) => match crate::numbers::parse_integer(&text, 10) {
                Some(number) => {
                    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
                }
                None => 0,
            },
            Value::Int64(number) => number,
            _ => 0,
        };
        Ok(Value::text(show_duration(
            seconds.wrapping_mul(1_000_000_000),
        )))
    }),
    ("durationRound", "a", |engine, a| {
        let nanos = match arg(a, 0) {
            Value::Str(text) => duration(&text).unwrap_or(0),
            Value::Int64(number) => number,
            Value::Object(object) => match object.as_ref() {
                Object::Time(time) => since(engine, *time)?,
                _ => 0,
            },
            _ => 0,
        };
        // Go drops the sign, and a whole unit counts as the smaller one.
        const SECOND: u64 = 1_000_000_000;
        let whole = nanos.unsigned_abs();
        let units = [
            (31_536_000 * SECOND, "y"),
            (2_592_000 * SECOND, "mo"),
            (86_400 * SECOND, "d"),
            (3_600 * SECOND, "h"),
            (60 * SECOND, "m"),
            (SECOND, "s"),
        ];
        let shown = units.iter().find(|(size, _)| whole > *size).map_or_else(
            || "0s".to_owned(),
            |(size, unit)| format!("{}{unit}", whole / size),
        );
        Ok(Value::text(shown))
    }),
];

/// Nanoseconds from `time` to now.
fn since(engine: &mut Engine<'_>, time: Time) -> Outcome<i64> {
    let now = now(engine)?;
    let seconds = i128::from(now.seconds) - i128::from(time.seconds);
    let nanos = seconds * 1_000_000_000 + i128::from(now.nanos) - i128::from(time.nanos);
    Ok(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

/// Go's zero time, the first of January of the year 1.
const ZERO: Time = Time {
    seconds: -62_135_596_800,
    nanos: 0,
    offset: 0,
    zone: None,
};

fn moment(time: Time) -> Value {
    Value::object(Object::Time(time))
}

/// A time that TOML holds; without a zone it is taken for UTC, without a day for
/// one of the first of January of the year 0.
pub fn from_toml(given: &Datetime) -> Value {
    let (year, month, day) = given.date.map_or((0, 1, 1), |date| {
        (
            i64::from(date.year),
            i64::from(date.month),
            i64::from(date.day),
        )
    });
    let offset = match given.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(Offset::Z) | None => 0,
    };
    let mut seconds = days_from(year, month, day) * 86_400 - offset;
    let mut nanos = 0;
    if let Some(time) = given.time {
        seconds += i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60;
        seconds += i64::from(time.second.unwrap_or(0));
        nanos = time.nanosecond.unwrap_or(0);
    }
    moment(Time {
        seconds,
        nanos,
        offset,
        zone: None,
    })
}

fn now(engine: &mut Engine<'_>) -> Outcome<Time> {
    let (seconds, nanos) = engine.host.now()?;
    Ok(Time {
        seconds,
        nanos,
        offset: 0,
        zone: None,
    })
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
            offset: 0,
            zone: None,
        }),
        _ => now(engine),
    }
}

fn date(engine: &mut Engine<'_>, layout: &str, value: &Value, zone: &str) -> Outcome<Value> {
    let time = time_of(engine, value)?;
    Ok(Value::text(shown_in(time, zone).format(layout)))
}

fn modify(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    must_modify(engine, args).or_else(|_| Ok(arg(args, 1)))
}

fn must_modify(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let time = time_of(engine, &arg(args, 1))?;
    let Some(nanos) = duration(text(args, 0)) else {
        return Err(format!(
            "time: invalid duration {}",
            crate::format::quote(text(args, 0))
        )
        .into());
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
                .wrapping_mul(1000)
                .wrapping_add(i64::from(time.nanos / 1_000_000)),
        ),
        "UnixNano" => Value::Int64(
            time.seconds
                .wrapping_mul(1_000_000_000)
                .wrapping_add(i64::from(time.nanos)),
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
        "UTC" | "Local" => moment(time.in_utc()),
        "String" => Value::text(time.format("2006-01-02 15:04:05.999999999 -0700 MST")),
        "Format" => Value::text(time.format(text(args, 0))),
        "AddDate" => {
            let month = (civil.month - 1).wrapping_add(int(args, 1));
            let year = (civil.year.wrapping_add(int(args, 0))).wrapping_add(month.div_euclid(12));
            let day = civil.day.wrapping_add(int(args, 2));
            let clock = time.seconds.wrapping_add(time.offset).rem_euclid(86_400);
            moment(Time {
                seconds: midnight(year, month.rem_euclid(12) + 1, day)
                    .wrapping_add(clock)
                    .wrapping_sub(time.offset),
                ..time
            })
        }
        _ => return Err(format!("a time has no method {name}")),
    })
}

/// Seconds from 1970 to a day's beginning, in Go's arithmetic, which goes around where
/// numbers end (`time.Date`). Months are 1 to 12, days any number.
fn midnight(year: i64, month: i64, day: i64) -> i64 {
    /// Go counts from the first of March of this year before Christ.
    const YEARS: u64 = 292_277_022_400;
    /// That day's beginning, in seconds from 1970.
    const FIRST: i64 = -9223372028741760000;
    let before_march = u64::from(month < 3);
    let month = month.unsigned_abs() + 12 * before_march;
    let year = (year.cast_unsigned())
        .wrapping_sub(before_march)
        .wrapping_add(YEARS);
    let in_year = (month * 979 - 2_919) >> 5;
    let in_century = 1_461 * (year % 100) / 4;
    let days = ((year / 100).wrapping_mul(146_097) / 4)
        .wrapping_add(in_century + in_year)
        .wrapping_add(day.cast_unsigned())
        .wrapping_sub(1);
    days.wrapping_mul(86_400).cast_signed().wrapping_add(FIRST)
}

impl Time {
    pub(super) fn in_utc(self) -> Self {
        Self {
            offset: 0,
            zone: None,
            ..self
        }
    }

    /// `+0530`, with `between` hours and minutes.
    fn east(self, between: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs() / 60;
        format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
    }

    /// The same with seconds, which local mean times have.
    fn east_to_the_second(self, between: &str) -> String {
        let seconds = self.offset.abs() % 60;
        format!("{}{between}{seconds:02}", self.east(between))
    }

    fn plus(self, nanos: i64) -> Self {
        let total =
            i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos) + i128::from(nanos);
        Self {
            seconds: i64::try_from(total.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
            nanos: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
            ..self
        }
    }

    pub(super) fn civil(self) -> Civil {
        // Go counts from the year -292277022399, and what is before lies in the far
        // future.
        const ABSOLUTE: i64 = 9_223_372_028_741_760_000;
        let absolute = self
            .seconds
            .wrapping_add(self.offset)
            .wrapping_add(ABSOLUTE)
            .cast_unsigned();
        let days = i64::try_from(absolute / 86_400).unwrap_or(0) - ABSOLUTE / 86_400;
        let rest = i64::try_from(absolute % 86_400).unwrap_or(0);
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
                "2006" if civil.year < 0 => format!("-{:04}", civil.year.unsigned_abs()),
                "2006" => format!("{:04}", civil.year),
                "06" => format!("{:02}", civil.year.unsigned_abs() % 100),
                "January" => name_of(&MONTHS, civil.month - 1).to_owned(),
                "Jan" => name_of(&MONTHS, civil.month - 1).chars().take(3).collect(),
                "01" => format!("{:02}", civil.month),
                "1" => civil.month.to_string(),
                "Monday" => name_of(&DAYS, civil.weekday).to_owned(),
                "Mon" => name_of(&DAYS, civil.weekday).chars().take(3).collect(),
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
                "002" => format!("{:03}", civil.year_day),
                "__2" => format!("{:3}", civil.year_day),
                "MST" => match &self.zone {
                    Some(zone) => zone.as_str().to_owned(),
                    None if self.offset == 0 => "UTC".to_owned(),
                    None => self.east(""),
                },
                zone if zone.starts_with('Z') && self.offset == 0 => "Z".to_owned(),
                zone if zone.contains("07:00:00") => self.east_to_the_second(":"),
                zone if zone.contains("070000") => self.east_to_the_second(""),
                zone if zone.contains("07:00") => self.east(":"),
                zone if zone.contains("0700") => self.east(""),
                zone if zone.contains("07") => self.east("").chars().take(3).collect(),
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

/// The layout element that `layout` starts with, and what follows: Go's
/// `nextStdChunk`.
pub(super) fn element(layout: &str) -> Option<(&str, &str)> {
    const ELEMENTS: [&str; 33] = [
        "2006",
        "January",
        "Jan",
        "Monday",
        "Mon",
        "MST",
        "Z070000",
        "Z07:00:00",
        "Z0700",
        "Z07:00",
        "Z07",
        "-070000",
        "-07:00:00",
        "-0700",
        "-07:00",
        "-07",
        "002",
        "01",
        "02",
        "03",
        "04",
        "05",
        "06",
        "15",
        "__2",
        "_2",
        "PM",
        "pm",
        "1",
        "2",
        "3",
        "4",
        "5",
    ];
    if layout.starts_with(['.', ',']) {
        let digit = layout.chars().nth(1).filter(|c| matches!(c, '0' | '9'))?;
        let body = layout.get(1..)?;
        let count = body.len() - body.trim_start_matches(digit).len();
        if !body.get(count..)?.starts_with(|c: char| c.is_ascii_digit()) {
            return layout.split_at_checked(1 + count);
        }
        return None;
    }
    // `_2006` is a line and a year.
    if layout.starts_with("_2006") {
        return None;
    }
    let found = ELEMENTS.iter().find(|known| layout.starts_with(**known))?;
    let (head, tail) = layout.split_at_checked(found.len())?;
    // `Month` and `Janus` are words.
    if matches!(head, "Jan" | "Mon") && tail.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    Some((head, tail))
}

pub(super) fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let place = (month + 9) % 12;
    let day_of_year = (153 * place + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
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

/// `Duration.String`.
fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let whole = nanos.unsigned_abs();
    let fraction = |rest: u64, size: u64| {
        let digits = size.ilog10() as usize;
        let text = format!("{rest:0digits$}");
        match text.trim_end_matches('0') {
            "" => String::new(),
            text => format!(".{text}"),
        }
    };
    const SECOND: u64 = 1_000_000_000;
    if whole == 0 {
        return "0s".to_owned();
    }
    if whole < SECOND {
        let (size, unit) = match whole {
            0..1_000 => return format!("{sign}{whole}ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!(
            "{sign}{}{}{unit}",
            whole / size,
            fraction(whole % size, size)
        );
    }
    let seconds = whole / SECOND;
    let (hours, minutes, rest) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    let rest = format!("{rest}{}", fraction(whole % SECOND, SECOND));
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}
