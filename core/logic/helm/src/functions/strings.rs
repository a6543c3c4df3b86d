//! sprig's functions on text, paths and regular expressions.

use regex::Regex;

use super::{Row, arg, int, strslice, strval, text};
use crate::exec::{Engine, Outcome};
use crate::format::quote;
use crate::value::Value;

/// Texts longer than this are refused where a count makes them.
const MAX_REPEAT: usize = 16 << 20;

fn ok(text: impl AsRef<str>) -> Outcome<Value> {
    Ok(Value::text(text))
}

pub const TABLE: &[Row] = &[
    ("hello", "", |_, _| ok("Hello!")),
    ("upper", "s", |_, a| ok(text(a, 0).to_uppercase())),
    ("lower", "s", |_, a| ok(text(a, 0).to_lowercase())),
    ("trim", "s", |_, a| ok(text(a, 0).trim())),
    ("trimAll", "ss", |_, a| {
        ok(text(a, 1).trim_matches(|c| text(a, 0).contains(c)))
    }),
    ("trimall", "ss", |_, a| {
        ok(text(a, 1).trim_matches(|c| text(a, 0).contains(c)))
    }),
    ("trimSuffix", "ss", |_, a| {
        ok(text(a, 1).strip_suffix(text(a, 0)).unwrap_or(text(a, 1)))
    }),
    ("trimPrefix", "ss", |_, a| {
        ok(text(a, 1).strip_prefix(text(a, 0)).unwrap_or(text(a, 1)))
    }),
    ("contains", "ss", |_, a| {
        Ok(Value::Bool(text(a, 1).contains(text(a, 0))))
    }),
    ("hasPrefix", "ss", |_, a| {
        Ok(Value::Bool(text(a, 1).starts_with(text(a, 0))))
    }),
    ("hasSuffix", "ss", |_, a| {
        Ok(Value::Bool(text(a, 1).ends_with(text(a, 0))))
    }),
    ("replace", "sss", |engine, a| {
        let out = text(a, 2).replace(text(a, 0), text(a, 1));
        engine.charge(out.len())?;
        ok(out)
    }),
    ("repeat", "is", |engine, a| {
        let count =
            usize::try_from(int(a, 0)).map_err(|_| "strings: negative Repeat count".to_owned())?;
        let size = count.saturating_mul(text(a, 1).len());
        if size > MAX_REPEAT {
            return Err(format!("repeat would make a text of {size} bytes").into());
        }
        engine.charge(size)?;
        ok(text(a, 1).repeat(count))
    }),
    ("indent", "is", |engine, a| indent(engine, a, "")),
    ("nindent", "is", |engine, a| indent(engine, a, "\n")),
    ("quote", "a*", |_, a| {
        ok(joined(a, |value| quote(&strval(value))))
    }),
    ("squote", "a*", |_, a| {
        ok(joined(a, |value| format!("'{}'", strval(value))))
    }),
    ("cat", "a*", |_, a| ok(joined(a, strval))),
    ("toString", "a", |_, a| ok(strval(&arg(a, 0)))),
    ("toStrings", "a", |_, a| {
        Ok(Value::texts(strslice(&arg(a, 0))))
    }),
    ("trunc", "is", |_, a| ok(trunc(int(a, 0), text(a, 1)))),
    ("substr", "iis", |_, a| {
        let whole = text(a, 2);
        let length = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        let (from, to) = (int(a, 0), int(a, 1));
        let to = if to < 0 || to > length { length } else { to };
        ok(part(whole, from.max(0), to))
    }),
    ("abbrev", "is", |_, a| {
        ok(abbreviate(text(a, 1), 0, int(a, 0)))
    }),
    ("abbrevboth", "iis", |_, a| {
        ok(abbreviate(text(a, 2), int(a, 0), int(a, 1)))
    }),
    ("title", "s", |_, a| {
        ok(words(text(a, 0), |c| c.to_uppercase().collect()))
    }),
    ("untitle", "s", |_, a| {
        ok(words(text(a, 0), |c| c.to_lowercase().collect()))
    }),
    ("initials", "s", |_, a| {
        ok(text(a, 0)
            .split_whitespace()
            .filter_map(|word| word.chars().next())
            .collect::<String>())
    }),
    ("nospace", "s", |_, a| {
        ok(text(a, 0)
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>())
    }),
    ("swapcase", "s", |_, a| {
        ok(text(a, 0)
            .chars()
            .flat_map(|c| -> Vec<char> {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            })
            .collect::<String>())
    }),
    ("snakecase", "s", |_, a| ok(delimited(text(a, 0), '_'))),
    ("kebabcase", "s", |_, a| ok(delimited(text(a, 0), '-'))),
    ("camelcase", "s", |_, a| ok(pascal(text(a, 0)))),
    ("plural", "ssi", |_, a| {
        ok(if int(a, 2) == 1 {
            text(a, 0)
        } else {
            text(a, 1)
        })
    }),
    ("wrap", "is", |_, a| {
        ok(wrap(text(a, 1), int(a, 0), "\n", false))
    }),
    ("wrapWith", "iss", |_, a| {
        ok(wrap(text(a, 2), int(a, 0), text(a, 1), true))
    }),
    ("split", "ss", |_, a| {
        Ok(numbered(text(a, 1).split(text(a, 0))))
    }),
    ("splitn", "sis", |_, a| {
        let count = usize::try_from(int(a, 1)).unwrap_or(usize::MAX);
        Ok(numbered(text(a, 2).splitn(count, text(a, 0))))
    }),
    ("splitList", "ss", |_, a| {
        Ok(split_list(text(a, 0), text(a, 1)))
    }),
    ("join", "sa", |_, a| {
        ok(strslice(&arg(a, 1)).join(text(a, 0)))
    }),
    ("sortAlpha", "a", |_, a| {
        let mut all = strslice(&arg(a, 0));
        all.sort();
        Ok(Value::texts(all))
    }),
    ("base", "s", |_, a| ok(base(text(a, 0)))),
    ("dir", "s", |_, a| {
        let path = text(a, 0);
        ok(clean(
            path.rfind('/')
                .map_or("", |at| path.get(..=at).unwrap_or(path)),
        ))
    }),
    ("clean", "s", |_, a| ok(clean(text(a, 0)))),
    ("ext", "s", |_, a| ok(extension(text(a, 0)))),
    ("isAbs", "s", |_, a| {
        Ok(Value::Bool(text(a, 0).starts_with('/')))
    }),
    ("osBase", "s", |_, a| ok(base(text(a, 0)))),
    ("osClean", "s", |_, a| ok(clean(text(a, 0)))),
    ("osExt", "s", |_, a| ok(extension(text(a, 0)))),
    ("osIsAbs", "s", |_, a| {
        Ok(Value::Bool(text(a, 0).starts_with('/')))
    }),
    ("regexMatch", "ss", |_, a| {
        Ok(Value::Bool(
            Regex::new(text(a, 0)).is_ok_and(|r| r.is_match(text(a, 1))),
        ))
    }),
    ("mustRegexMatch", "ss", |_, a| {
        Ok(Value::Bool(regex(a)?.is_match(text(a, 1))))
    }),
    ("regexFind", "ss", find),
    ("mustRegexFind", "ss", find),
    ("regexFindAll", "ssi", find_all),
    ("mustRegexFindAll", "ssi", find_all),
    ("regexReplaceAll", "sss", |_, a| {
        ok(regex(a)?.replace_all(text(a, 1), text(a, 2)))
    }),
    ("mustRegexReplaceAll", "sss", |_, a| {
        ok(regex(a)?.replace_all(text(a, 1), text(a, 2)))
    }),
    ("regexReplaceAllLiteral", "sss", literal),
    ("mustRegexReplaceAllLiteral", "sss", literal),
    ("regexSplit", "ssi", regex_split),
    ("mustRegexSplit", "ssi", regex_split),
    ("regexQuoteMeta", "s", |_, a| {
        let mut out = String::new();
        for c in text(a, 0).chars() {
            if "\\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        ok(out)
    }),
    ("getHostByName", "s", |_, _| ok("")),
];

fn joined(args: &[Value], show: impl Fn(&Value) -> String) -> String {
    args.iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(show)
        .collect::<Vec<_>>()
        .join(" ")
}

fn indent(engine: &mut Engine<'_>, args: &[Value], before: &str) -> Outcome<Value> {
    let width =
        usize::try_from(int(args, 0)).map_err(|_| "strings: negative Repeat count".to_owned())?;
    let body = text(args, 1);
    let lines = body.bytes().filter(|b| *b == b'\n').count() + 1;
    let size = width.saturating_mul(lines).saturating_add(body.len());
    if size > MAX_REPEAT {
        return Err(format!("indent would make a text of {size} bytes").into());
    }
    engine.charge(size)?;
    let pad = " ".repeat(width);
    ok(format!(
        "{before}{pad}{}",
        body.replace('\n', &format!("\n{pad}"))
    ))
}

/// A byte range, as Go cuts strings; broken characters are replaced.
fn part(text: &str, from: i64, to: i64) -> String {
    let at = |place: i64| usize::try_from(place).unwrap_or(0).min(text.len());
    let (from, to) = (at(from), at(to));
    String::from_utf8_lossy(text.as_bytes().get(from..to).unwrap_or_default()).into_owned()
}

fn trunc(count: i64, text: &str) -> String {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if count < 0 && length.saturating_add(count) > 0 {
        part(text, length + count, length)
    } else if count >= 0 && length > count {
        part(text, 0, count)
    } else {
        text.to_owned()
    }
}

fn abbreviate(text: &str, offset: i64, width: i64) -> String {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if width < 4 || offset > 0 && width < 7 || length <= width {
        return text.to_owned();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return part(text, 0, width - 3) + "...";
    }
    if offset + width - 3 < length {
        let rest = part(text, offset, length);
        return format!("...{}", abbreviate(&rest, 0, width - 3));
    }
    format!("...{}", part(text, length - (width - 3), length))
}

/// Changes the first letter of each word.
fn words(text: &str, change: fn(char) -> String) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let starts = !(before.is_alphanumeric() || before == '_' || before == '\'');
        if starts {
            out.push_str(&change(c));
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// xstrings' snake and kebab case.
fn delimited(text: &str, mark: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
        let after = chars.get(at + 1).copied();
        if matches!(c, '_' | '-' | ' ') || c.is_whitespace() {
            out.push(mark);
            continue;
        }
        let boundary = match before {
            Some(b) if !b.is_alphanumeric() => false,
            Some(b) if c.is_uppercase() => {
                b.is_lowercase()
                    || b.is_numeric()
                    || (b.is_uppercase() && after.is_some_and(char::is_lowercase))
            }
            Some(b) if c.is_numeric() => b.is_alphabetic(),
            Some(b) if c.is_lowercase() && b.is_numeric() => true,
            _ => false,
        };
        if boundary {
            out.push(mark);
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn pascal(text: &str) -> String {
    let mut out = String::new();
    let mut upper = true;
    for c in text.chars() {
        if matches!(c, '_' | '-' | ' ' | '.') {
            upper = true;
        } else if upper {
            out.extend(c.to_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}

fn wrap(text: &str, width: i64, newline: &str, cut_long: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut rest: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = Vec::new();
    while rest.len() > width {
        while rest.first() == Some(&' ') {
            rest.remove(0);
        }
        if rest.len() <= width {
            break;
        }
        let cut = rest.iter().take(width + 1).rposition(|c| *c == ' ');
        match cut {
            Some(cut) => {
                let tail = rest.split_off(cut);
                lines.push(rest.iter().collect());
                rest = tail.into_iter().skip(1).collect();
            }
            None if cut_long => {
                let tail = rest.split_off(width);
                lines.push(rest.iter().collect());
                rest = tail;
            }
            None => match rest.iter().skip(width).position(|c| *c == ' ') {
                Some(after) => {
                    let tail = rest.split_off(width + after);
                    lines.push(rest.iter().collect());
                    rest = tail.into_iter().skip(1).collect();
                }
                None => break,
            },
        }
    }
    lines.push(rest.into_iter().collect());
    lines.join(newline)
}

fn numbered<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::map(
        parts
            .enumerate()
            .map(|(at, part)| (format!("_{at}"), Value::text(part)))
            .collect(),
    )
}

fn split_list(separator: &str, text: &str) -> Value {
    if separator.is_empty() {
        return Value::texts(text.chars().map(|c| c.to_string()));
    }
    Value::texts(text.split(separator))
}

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => "/".to_owned(),
        Some(name) => name.to_owned(),
    }
}

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').and_then(|at| name.get(at..)).unwrap_or("")
}

/// Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn regex(args: &[Value]) -> Outcome<Regex> {
    Regex::new(text(args, 0)).map_err(|why| {
        format!(
            "error parsing regexp: {}: `{}`",
            why.to_string().lines().last().unwrap_or_default(),
            text(args, 0)
        )
        .into()
    })
}

fn find(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    ok(regex(args)?
        .find(text(args, 1))
        .map_or("", |found| found.as_str()))
}

fn find_all(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let most = usize::try_from(int(args, 2)).unwrap_or(usize::MAX);
    Ok(Value::texts(
        regex(args)?
            .find_iter(text(args, 1))
            .take(most)
            .map(|found| found.as_str().to_owned())
            .collect::<Vec<_>>(),
    ))
}

fn literal(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    ok(regex(args)?.replace_all(text(args, 1), regex::NoExpand(text(args, 2))))
}

fn regex_split(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let most = int(args, 2);
    let regex = regex(args)?;
    let whole = text(args, 1);
    Ok(match usize::try_from(most) {
        Ok(0) => Value::list(Vec::new()),
        Ok(most) => Value::texts(regex.splitn(whole, most)),
        Err(_) => Value::texts(regex.split(whole)),
    })
}
