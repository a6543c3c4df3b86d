//! `--set` and its relatives, read as Helm reads them (`helm.sh/helm/v3/pkg/strvals`):
//! `a.b=1,c[0]=x,d={e,f}`, a backslash before a character that would mean something.
//!
//! One difference: `--set-json` takes a whole object too, as Helm 4 does; Helm 3.22
//! refuses that.

use std::iter::Peekable;
use std::path::PathBuf;
use std::str::Chars;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

/// The highest index of a list (Helm's bound).
const MAX_INDEX: usize = 65_536;
/// How deep keys may lead (Helm's bound).
const MAX_DEPTH: usize = 30;

/// Values from files and from the command line, in Helm's order: what stands later
/// in this list wins.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Values {
    /// Values from a YAML file; `-` is standard input. May be given more than once.
    #[arg(
        long = "values",
        short = 'f',
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub files: Vec<PathBuf>,
    /// A value as JSON: KEY=JSON, or one JSON object.
    #[arg(long, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,
    /// A value: KEY=VALUE, such as a.b=1,c[0]=x,d={e,f}.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A value that is text, even if it looks like a number.
    #[arg(long, value_name = "KEY=TEXT")]
    pub set_string: Vec<String>,
    /// A value from a file, for secrets and long texts; `-` is standard input.
    #[arg(long, value_name = "KEY=FILE")]
    pub set_file: Vec<String>,
    /// A value that is text as it stands: commas and brackets mean nothing.
    #[arg(long, value_name = "KEY=TEXT")]
    pub set_literal: Vec<String>,
}

/// What a value's text means.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// true, false, null and whole numbers are what they look like.
    Typed,
    /// Always text.
    Text,
    /// The text names a file.
    File,
    /// Always text, and nothing in it means anything.
    Literal,
}

impl Values {
    /// Everything merged.
    pub fn merged(&self) -> anyhow::Result<Map<String, Value>> {
        let mut values = Map::new();
        for path in &self.files {
            let text = read_text(&path.to_string_lossy())?;
            let parsed = catalyst_yaml::from_str(&text)
                .with_context(|| format!("cannot read the values in {}", path.display()))?;
            match parsed {
                Value::Object(map) => merge(&mut values, map),
                Value::Null => {}
                _ => bail!("the values in {} are not a map", path.display()),
            }
        }
        for text in &self.set_json {
            set_json(&mut values, text).with_context(|| failed("--set-json", text))?;
        }
        for (name, texts, kind) in [
            ("--set", &self.set, Kind::Typed),
            ("--set-string", &self.set_string, Kind::Text),
            ("--set-file", &self.set_file, Kind::File),
            ("--set-literal", &self.set_literal, Kind::Literal),
        ] {
            for text in texts {
                Parser::new(text, kind)
                    .pairs(&mut values)
                    .with_context(|| failed(name, text))?;
            }
        }
        Ok(values)
    }

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.set_json.is_empty()
            && self.set.is_empty()
            && self.set_string.is_empty()
            && self.set_file.is_empty()
            && self.set_literal.is_empty()
    }
}

/// Names the key only: the value may be a secret.
fn failed(flag: &str, text: &str) -> String {
    let key = text.split('=').next().unwrap_or_default();
    format!("cannot read {flag} {key}=…")
}

fn read_text(path: &str) -> anyhow::Result<String> {
    if path == "-" {
        return std::io::read_to_string(std::io::stdin()).context("cannot read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// Lays `top` over `base`; maps merge, everything else is replaced.
pub fn merge(base: &mut Map<String, Value>, top: Map<String, Value>) {
    for (key, value) in top {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn set_json(values: &mut Map<String, Value>, text: &str) -> anyhow::Result<()> {
    if text.trim_start().starts_with('{') {
        let map: Map<String, Value> = serde_json::from_str(text).map_err(not_quoted)?;
        merge(values, map);
        return Ok(());
    }
    let mut rest = text;
    while !rest.is_empty() {
        let mut parser = Parser::new(rest, Kind::Typed);
        let path = parser.path()?;
        let left: String = parser.rest.collect();
        rest = rest.get(rest.len() - left.len()..).unwrap_or_default();
        let mut values_in = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = match values_in.next() {
            Some(value) => value.map_err(not_quoted)?,
            None => bail!("the key has no value; write KEY=JSON"),
        };
        let end = values_in.byte_offset();
        put(values, &path, value)?;
        rest = match rest.get(end..).unwrap_or_default().trim_start() {
            "" => "",
            left => match left.strip_prefix(',') {
                Some(left) => left,
                None => bail!("after a JSON value only a comma may stand"),
            },
        };
    }
    Ok(())
}

/// serde's message holds no value, but its position helps.
fn not_quoted(error: serde_json::Error) -> anyhow::Error {
    anyhow::anyhow!("the value is not JSON: {error}")
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    kind: Kind,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, kind: Kind) -> Self {
        Self {
            rest: text.chars().peekable(),
            kind,
        }
    }

    fn pairs(&mut self, values: &mut Map<String, Value>) -> anyhow::Result<()> {
        while self.rest.peek().is_some() {
            let path = self.path()?;
            let value = self.value()?;
            put(values, &path, value)?;
        }
        Ok(())
    }

    /// Everything up to the `=`.
    fn path(&mut self) -> anyhow::Result<Vec<Step>> {
        let mut path = Vec::new();
        loop {
            let (text, end) = self.until(&['.', '[', '=', ',']);
            if !text.is_empty() {
                path.push(Step::Key(text));
            } else if !matches!((path.last(), end), (Some(Step::Index(_)), _)) {
                bail!("a key is empty");
            }
            if path.len() > MAX_DEPTH {
                bail!("the key leads deeper than {MAX_DEPTH} levels");
            }
            match end {
                Some('=') => return Ok(path),
                Some('.') => {}
                Some('[') => {
                    let (digits, end) = self.until(&[']']);
                    let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX);
                    let (Some(index), Some(']')) = (index, end) else {
                        bail!(
                            "the index of a list must be a number from 0 to {MAX_INDEX} and end with `]`"
                        );
                    };
                    path.push(Step::Index(index));
                    // `a[0].b`: the dot belongs to the index.
                    if self.rest.peek() == Some(&'.') {
                        self.rest.next();
                    }
                }
                _ => bail!("the key has no value; write KEY=VALUE"),
            }
        }
    }

    fn value(&mut self) -> anyhow::Result<Value> {
        if self.kind == Kind::Literal {
            return Ok(Value::String(self.rest.by_ref().collect()));
        }
        if self.kind == Kind::File {
            let (path, _) = self.until(&[',']);
            return Ok(Value::String(read_text(&path)?));
        }
        if self.rest.peek() != Some(&'{') {
            let (text, _) = self.until(&[',']);
            return Ok(self.typed(text));
        }
        self.rest.next();
        let mut items = Vec::new();
        loop {
            let (text, end) = self.until(&[',', '}']);
            if !(text.is_empty() && end == Some('}') && items.is_empty()) {
                items.push(self.typed(text));
            }
            match end {
                Some(',') => {}
                Some(_) => break,
                None => bail!("a list must end with `}}`"),
            }
        }
        match self.rest.next() {
            None | Some(',') => Ok(Value::Array(items)),
            Some(_) => bail!("after a list's `}}` only a comma may stand"),
        }
    }

    /// The text up to one of the characters, which is taken too.
    fn until(&mut self, ends: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                c if ends.contains(&c) => return (text, Some(c)),
                '\\' if self.kind != Kind::Literal => text.extend(self.rest.next()),
                c => text.push(c),
            }
        }
        (text, None)
    }

    fn typed(&self, text: String) -> Value {
        if self.kind != Kind::Typed {
            return Value::String(text);
        }
        match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "0" => Value::from(0),
            // A leading zero makes it text: a post code, not a number.
            it if !it.starts_with('0') => match it.parse::<i64>() {
                Ok(number) => Value::from(number),
                Err(_) => Value::String(text),
            },
            _ => Value::String(text),
        }
    }
}

/// Puts a value where a path leads.
fn put(values: &mut Map<String, Value>, path: &[Step], value: Value) -> anyhow::Result<()> {
    let Some((Step::Key(key), rest)) = path.split_first() else {
        bail!("a key must begin with a name");
    };
    put_into(
        values.entry(key.clone()).or_insert(Value::Null),
        rest,
        value,
    )
}

fn put_into(place: &mut Value, path: &[Step], value: Value) -> anyhow::Result<()> {
    match path.split_first() {
        None => *place = value,
        Some((Step::Key(key), rest)) => {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            if let Value::Object(map) = place {
                put_into(map.entry(key.clone()).or_insert(Value::Null), rest, value)?;
            }
        }
        Some((Step::Index(index), rest)) => {
            if !place.is_array() {
                *place = Value::Array(Vec::new());
            }
            if let Value::Array(items) = place {
                if items.len() <= *index {
                    items.resize(index + 1, Value::Null);
                }
                if let Some(item) = items.get_mut(*index) {
                    put_into(item, rest, value)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, kind: Kind) -> Result<Value, String> {
        let mut values = Map::new();
        Parser::new(text, kind)
            .pairs(&mut values)
            .map(|()| Value::Object(values))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_set_as_helm_sets_them() {
        let check = |text: &str, expected: Value| {
            assert_eq!(read(text, Kind::Typed), Ok(expected), "{text}");
        };
        check("", json!({}));
        check("a=1", json!({"a": 1}));
        check("a=1,b=x", json!({"a": 1, "b": "x"}));
        check("a.b.c=true", json!({"a": {"b": {"c": true}}}));
        check("a.b=1,a.c=2", json!({"a": {"b": 1, "c": 2}}));
        check("a=", json!({"a": ""}));
        check("a=null", json!({"a": null}));
        check("a=0", json!({"a": 0}));
        check("a=00012", json!({"a": "00012"}));
        check("a=-5", json!({"a": -5}));
        check("a=1.5", json!({"a": "1.5"}));
        check("a={}", json!({"a": []}));
        check("a={x,1,true}", json!({"a": ["x", 1, true]}));
        check("a={x},b=2", json!({"a": ["x"], "b": 2}));
        check("a[0]=x", json!({"a": ["x"]}));
        check("a[1]=x", json!({"a": [null, "x"]}));
        check("a[0].b=1,a[0].c=2", json!({"a": [{"b": 1, "c": 2}]}));
        check("a[0][1]=1", json!({"a": [[null, 1]]}));
        check("a=b\\,c", json!({"a": "b,c"}));
        check("a\\.b=c", json!({"a.b": "c"}));
        check("a=b=c", json!({"a": "b=c"}));
        check(
            "a=https://x.example/?q=1",
            json!({"a": "https://x.example/?q=1"}),
        );
    }

    #[test]
    fn texts_and_literals_stay_as_they_are() {
        assert_eq!(
            read("a=1,b=true", Kind::Text),
            Ok(json!({"a": "1", "b": "true"}))
        );
        assert_eq!(
            read("a=1,b={x}\\n", Kind::Literal),
            Ok(json!({"a": "1,b={x}\\n"}))
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "a",
            "=1",
            "a.=1",
            "a[x]=1",
            "a[0=1",
            "a[99999]=1",
            "a={x",
            "a={x}y",
            "a,b=1",
        ] {
            assert!(read(text, Kind::Typed).is_err(), "{text}");
        }
        let deep = format!("{}x=1", "a.".repeat(40));
        assert!(read(&deep, Kind::Typed).unwrap_err().contains("deeper"));
    }

    #[test]
    fn what_stands_later_wins_and_errors_quote_no_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("values.yaml");
        std::fs::write(&file, "a: {b: 1, c: 2}\nd: file\n").unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "a,b=c\n").unwrap();
        let values = Values {
            files: vec![file],
            set_json: vec!["a.b={\"x\": [1]},f=\"g\"".into(), "{\"e\": null}".into()],
            set: vec!["d=set".into()],
            set_string: vec!["a.c=7".into()],
            set_file: vec![format!("s={}", secret.display())],
            set_literal: vec![],
        };
        assert_eq!(
            Value::Object(values.merged().unwrap()),
            json!({"a": {"b": {"x": [1]}, "c": "7"}, "d": "set", "e": null, "f": "g", "s": "a,b=c\n"})
        );
        let wrong = Values {
            set_json: vec!["password=hunter2".into()],
            ..Values::default()
        };
        let error = format!("{:#}", wrong.merged().unwrap_err());
        assert!(error.contains("--set-json password=…"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
