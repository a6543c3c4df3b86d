//! sprig's functions on text, paths and regular expressions.

use std::rc::Rc;

use regex::Regex;

use super::regexp;
use super::{Row, arg, cases, int, strslice, strval, text};
use crate::bounds;
use crate::exec::{Engine, Outcome};
use crate::format::{quote, show};
use crate::objects::Object;
use crate::value::Value;

/// Expressions kept for when they come again.
const MAX_REGEXES: usize = 200;
/// Bytes that Go's runtime makes a text of at most, on the machines helm is built for.
const GO_MOST: usize = 1 << 48;

fn ok(text: impl AsRef<str>) -> Outcome<Value> {
    Ok(Value::text(text))
}

pub const TABLE: &[Row] = &[
    ("hello", "", |_, _| ok("Hello!")),
    ("upper", "s", |_, a| ok(cases::to_upper(text(a, 0)))),
    ("lower", "s", |_, a| ok(cases::to_lower(text(a, 0)))),
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
    ("replace", "sss", |_, a| {
        let (old, new, whole) = (text(a, 0), text(a, 1), text(a, 2));
        let count = whole.matches(old).count();
        let size =
            (whole.len() - count * old.len()).saturating_add(count.saturating_mul(new.len()));
        if size > bounds::TEXT {
            return Err(format!("replace would make a text of {size} bytes").into());
        }
        ok(whole.replace(old, new))
    }),
    ("repeat", "is", |engine, a| {
        let (count, size) = repeated(int(a, 0), text(a, 1).len())?;
        if size > bounds::TEXT {
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
        ok(joined(a, |value| format!("'{}'", show(value))))
    }),
    ("cat", "a*", |_, a| ok(joined(a, show))),
    ("toString", "a", |_, a| ok(strval(&arg(a, 0)))),
    ("toStrings", "a", |_, a| {
        Ok(match arg(a, 0) {
            // A []string stays what it is.
            Value::Object(object) if object.type_name() == "[]string" => Value::Object(object),
            value => Value::texts(strslice(&value)),
        })
    }),
    ("trunc", "is", |_, a| ok(trunc(int(a, 0), text(a, 1)))),
    ("substr", "iis", |_, a| {
        let whole = text(a, 2);
        let length = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        let (from, to) = (int(a, 0), int(a, 1));
        let (from, to) = if from < 0 {
            if to < 0 {
                return Err(format!("runtime error: slice bounds out of range [:{to}]").into());
            }
            if to > length {
                return Err(format!(
                    "runtime error: slice bounds out of range [:{to}] with length {length}"
                )
                .into());
            }
            (0, to)
        } else if to < 0 || to > length {
            (from, length)
        } else {
            (from, to)
        };
        if from > to {
            return Err(format!("runtime error: slice bounds out of range [{from}:{to}]").into());
        }
        ok(part(whole, from, to))
    }),
    ("abbrev", "is", |_, a| {
        let width = int(a, 0);
        ok(if width < 4 {
            text(a, 1).to_owned()
        } else {
            abbreviate(text(a, 1), 0, width)
        })
    }),
    ("abbrevboth", "iis", |_, a| {
        let (left, right) = (int(a, 0), int(a, 1));
        ok(if right < 4 || left > 0 && right < 7 {
            text(a, 2).to_owned()
        } else {
            abbreviate(text(a, 2), left, right)
        })
    }),
    ("title", "s", |_, a| ok(cases::titled(text(a, 0)))),
    ("untitle", "s", |_, a| ok(cases::untitled(text(a, 0)))),
    ("initials", "s", |_, a| ok(cases::initials(text(a, 0)))),
    ("nospace", "s", |_, a| ok(cases::without_blanks(text(a, 0)))),
    ("swapcase", "s", |_, a| ok(cases::swapped(text(a, 0)))),
    ("snakecase", "s", |_, a| {
        ok(cases::delimited(text(a, 0), '_'))
    }),
    ("kebabcase", "s", |_, a| {
        ok(cases::delimited(text(a, 0), '-'))
    }),
    ("camelcase", "s", |_, a| ok(cases::pascal(text(a, 0)))),
    ("plural", "ssi", |_, a| {
        ok(if int(a, 2) == 1 {
            text(a, 0)
        } else {
            text(a, 1)
        })
    }),
    ("wrap", "is", |_, a| {
        ok(cases::wrapped(text(a, 1), int(a, 0), "", false))
    }),
    ("wrapWith", "iss", |engine, a| {
        let breaks = text(a, 2).len() / usize::try_from(int(a, 0).max(1)).unwrap_or(1);
        engine.charge(breaks.saturating_mul(text(a, 1).len()))?;
        ok(cases::wrapped(text(a, 2), int(a, 0), text(a, 1), true))
    }),
    ("split", "ss", |_, a| {
        Ok(numbered(&go_split(text(a, 1), text(a, 0), -1)))
    }),
    ("splitn", "sis", |_, a| {
        Ok(numbered(&go_split(text(a, 2), text(a, 0), int(a, 1))))
    }),
    ("splitList", "ss", |_, a| {
        Ok(Value::texts(go_split(text(a, 1), text(a, 0), -1)))
    }),
    ("join", "sa", |_, a| {
        ok(strslice(&arg(a, 1)).join(text(a, 0)))
    }),
    ("sortAlpha", "a", |_, a| {
        let value = arg(a, 0);
        let is_nil = |object: &Object| object.is_nil() && object.type_name() == "[]string";
        if matches!(&value, Value::Object(object) if is_nil(object)) {
            return Ok(Value::nil_list("[]string"));
        }
        let mut all = match value {
            Value::Nil => vec![strval(&value)],
            value => strslice(&value),
        };
        all.sort();
        Ok(Value::texts(all))
    }),
    ("base", "s", |_, a| ok(base(text(a, 0)))),
    ("dir", "s", |_, a| ok(dir(text(a, 0)))),
    ("clean", "s", |_, a| ok(clean(text(a, 0)))),
    ("ext", "s", |_, a| ok(extension(text(a, 0)))),
    ("isAbs", "s", |_, a| {
        Ok(Value::Bool(text(a, 0).starts_with('/')))
    }),
    ("osDir", "s", |_, a| ok(dir(text(a, 0)))),
    ("osBase", "s", |_, a| ok(base(text(a, 0)))),
    ("osClean", "s", |_, a| ok(clean(text(a, 0)))),
    ("osExt", "s", |_, a| ok(extension(text(a, 0)))),
    ("osIsAbs", "s", |_, a| {
        Ok(Value::Bool(text(a, 0).starts_with('/')))
    }),
    ("regexMatch", "ss", |engine, a| {
        Ok(Value::Bool(
            compile(engine, text(a, 0))?.is_ok_and(|r| r.is_match(text(a, 1))),
        ))
    }),
    ("mustRegexMatch", "ss", |engine, a| {
        Ok(Value::Bool(
            compile(engine, text(a, 0))??.is_match(text(a, 1)),
        ))
    }),
    ("regexFind", "ss", |engine, a| {
        find(&*must(engine, text(a, 0))?, a)
    }),
    ("mustRegexFind", "ss", |engine, a| {
        find(&*compile(engine, text(a, 0))??, a)
    }),
    ("regexFindAll", "ssi", |engine, a| find_all(engine, a, true)),
    ("mustRegexFindAll", "ssi", |engine, a| {
        find_all(engine, a, false)
    }),
    ("regexReplaceAll", "sss", |engine, a| {
        replace(engine, a, true, false)
    }),
    ("mustRegexReplaceAll", "sss", |engine, a| {
        replace(engine, a, false, false)
    }),
    ("regexReplaceAllLiteral", "sss", |engine, a| {
        replace(engine, a, true, true)
    }),
    ("mustRegexReplaceAllLiteral", "sss", |engine, a| {
        replace(engine, a, false, true)
    }),
    ("regexSplit", "ssi", |engine, a| {
        regex_split(engine, a, true)
    }),
    ("mustRegexSplit", "ssi", |engine, a| {
        regex_split(engine, a, false)
    }),
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
    ("getHostByName", "s", |engine, a| {
        ok(engine.host.address(text(a, 0))?)
    }),
];

fn joined(args: &[Value], show: impl Fn(&Value) -> String) -> String {
    args.iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(show)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `count` as a length, and the bytes of a text of `length` that is repeated so often;
/// beyond what Go has room for the error is Go's.
fn repeated(count: i64, length: usize) -> Result<(usize, usize), String> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count".to_owned())?;
    match count.checked_mul(length) {
        Some(size) if size <= GO_MOST => Ok((count, size)),
        Some(size) if i64::try_from(size).is_ok() => {
            Err("runtime error: makeslice: len out of range".to_owned())
        }
        _ => Err("strings: Repeat output length overflow".to_owned()),
    }
}

fn indent(engine: &mut Engine<'_>, args: &[Value], before: &str) -> Outcome<Value> {
    let (width, _) = repeated(int(args, 0), 1)?;
    let body = text(args, 1);
    let lines = body.bytes().filter(|b| *b == b'\n').count() + 1;
    let size = width.saturating_mul(lines).saturating_add(body.len());
    if size > bounds::TEXT {
        return Err(format!("indent would make a text of {size} bytes").into());
    }
    engine.charge(size)?;
    let blanks = " ".repeat(width);
    let mut out = String::with_capacity(size + before.len());
    out.push_str(before);
    for line in body.split_inclusive('\n') {
        out.push_str(&blanks);
        out.push_str(line);
    }
    // What ends with a line break, or is empty, has an empty line after it.
    if body.is_empty() || body.ends_with('\n') {
        out.push_str(&blanks);
    }
    ok(out)
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

/// goutils' `AbbreviateFull`, whose errors sprig drops.
fn abbreviate(text: &str, offset: i64, width: i64) -> String {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if text.is_empty() || width < 4 {
        return String::new();
    }
    if length <= width {
        return text.to_owned();
    }
    let mut offset = offset.min(length);
    // The least of numbers is further off than there are numbers, to Go as well.
    if length.wrapping_sub(offset) < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return part(text, 0, width - 3) + "...";
    }
    if width < 7 {
        return String::new();
    }
    if offset + width - 3 < length {
        let rest = part(text, offset, length);
        return format!("...{}", abbreviate(&rest, 0, width - 3));
    }
    format!("...{}", part(text, length - (width - 3), length))
}

/// `strings.SplitN`.
fn go_split(text: &str, separator: &str, most: i64) -> Vec<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.matches(separator).count() > bounds::VALUES {
        bounds::exceed();
        return Vec::new();
    }
    if !separator.is_empty() {
        return text.splitn(most, separator).map(str::to_owned).collect();
    }
    let mut rest = text;
    let mut parts = Vec::new();
    while let Some(c) = rest.chars().next()
        && parts.len() < most
    {
        if parts.len() + 1 == most {
            parts.push(rest.to_owned());
            break;
        }
        parts.push(c.to_string());
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    parts
}

fn numbered(parts: &[String]) -> Value {
    Value::object(Object::Typed {
        name: "map[string]string",
        value: Value::map(
            parts
                .iter()
                .enumerate()
                .map(|(at, part)| (format!("_{at}"), Value::text(part)))
                .collect(),
        ),
        nil: false,
    })
}

fn dir(path: &str) -> String {
    clean(
        path.rfind('/')
            .map_or("", |at| path.get(..=at).unwrap_or(path)),
    )
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

/// The expression, which is paid for once in a rendering.
fn compile(engine: &mut Engine<'_>, pattern: &str) -> Outcome<Result<Rc<Regex>, String>> {
    if let Some(known) = engine.regexes.get(pattern) {
        return Ok(Ok(known.clone()));
    }
    engine.passed(regexp::cost(pattern))?;
    Ok(engine.kept.regex(pattern, regexp::compile).map(|regex| {
        let regex = Rc::new(regex);
        if engine.regexes.len() < MAX_REGEXES {
            engine.regexes.insert(pattern.to_owned(), regex.clone());
        }
        regex
    }))
}

/// The same for functions that Go lets panic.
fn must(engine: &mut Engine<'_>, pattern: &str) -> Outcome<Rc<Regex>> {
    compile(engine, pattern)?.map_err(|why| regexp::panicked(pattern, &why).into())
}

fn regex_of(engine: &mut Engine<'_>, args: &[Value], panics: bool) -> Outcome<Rc<Regex>> {
    let pattern = text(args, 0);
    match panics {
        true => must(engine, pattern),
        false => Ok(compile(engine, pattern)??),
    }
}

fn find(regex: &Regex, args: &[Value]) -> Outcome<Value> {
    ok(regex.find(text(args, 1)).map_or("", |found| found.as_str()))
}

fn find_all(engine: &mut Engine<'_>, args: &[Value], panics: bool) -> Outcome<Value> {
    let regex = regex_of(engine, args, panics)?;
    let whole = text(args, 1);
    let most = usize::try_from(int(args, 2)).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    for found in regex.find_iter(whole).take(most) {
        // Each search may go to the end.
        engine.passed(whole.len() - found.start())?;
        all.push(found.as_str());
    }
    Ok(if all.is_empty() {
        Value::nil_list("[]string")
    } else {
        Value::texts(all)
    })
}

fn replace(engine: &mut Engine<'_>, args: &[Value], panics: bool, literal: bool) -> Outcome<Value> {
    let regex = regex_of(engine, args, panics)?;
    let (whole, with) = (text(args, 1), text(args, 2));
    let mut out = String::new();
    let mut end = 0;
    for found in regex.captures_iter(whole) {
        let Some(all) = found.get(0) else { continue };
        out.push_str(whole.get(end..all.start()).unwrap_or_default());
        if literal {
            out.push_str(with);
        } else {
            found.expand(with, &mut out);
        }
        end = all.end();
        engine.passed(whole.len() - all.start())?;
        if out.len() > bounds::TEXT {
            bounds::exceed();
            break;
        }
    }
    out.push_str(whole.get(end..).unwrap_or_default());
    engine.charge(out.len())?;
    ok(out)
}

/// `Regexp.Split`.
fn regex_split(engine: &mut Engine<'_>, args: &[Value], panics: bool) -> Outcome<Value> {
    let regex = regex_of(engine, args, panics)?;
    let (pattern, whole, most) = (text(args, 0), text(args, 1), int(args, 2));
    if most == 0 {
        return Ok(Value::nil_list("[]string"));
    }
    if !pattern.is_empty() && whole.is_empty() {
        return Ok(Value::texts([""]));
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for found in regex.find_iter(whole).take(most) {
        if parts.len() + 1 >= most {
            break;
        }
        engine.passed(whole.len() - found.start())?;
        end = found.start();
        if found.end() != 0 {
            parts.push(whole.get(begin..end).unwrap_or_default());
        }
        begin = found.end();
    }
    if end != whole.len() {
        parts.push(whole.get(begin..).unwrap_or_default());
    }
    Ok(Value::texts(parts))
}
