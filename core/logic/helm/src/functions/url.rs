//! `urlParse` and `urlJoin`, as Go's `net/url` takes URLs apart and puts them
//! together.

use super::{Row, arg, text};
use crate::exec::{Engine, Outcome};
use crate::format::quote;
use crate::value::Value;

pub const TABLE: &[Row] = &[
    ("urlParse", "s", |_, a| {
        let url = Url::parse(text(a, 0)).map_err(|why| format!("unable to parse url: {why}"))?;
        let hostname = url.hostname().to_owned();
        Ok(Value::map(
            [
                ("scheme", url.scheme),
                ("hostname", hostname),
                ("host", url.host),
                ("path", url.path),
                ("query", url.query),
                ("opaque", url.opaque),
                ("fragment", url.fragment),
                (
                    "userinfo",
                    url.user.map(|user| user.text()).unwrap_or_default(),
                ),
            ]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Value::text(value)))
            .collect(),
        ))
    }),
    ("urlJoin", "m", join),
];

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Path,
    Host,
    User,
    Fragment,
}

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<User>,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

struct User {
    name: String,
    password: Option<String>,
}

impl User {
    fn text(&self) -> String {
        let name = escape(&self.name, Part::User);
        match &self.password {
            Some(password) => format!("{name}:{}", escape(password, Part::User)),
            None => name,
        }
    }
}

fn should_escape(byte: u8, part: Part) -> bool {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => false,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
        | b'[' | b']' | b'<' | b'>' | b'"'
            if part == Part::Host =>
        {
            false
        }
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => byte == b'?',
            Part::User => matches!(byte, b'@' | b'/' | b'?' | b':'),
            Part::Host => true,
            Part::Fragment => false,
        },
        b'!' | b'(' | b')' | b'*' => part != Part::Fragment,
        _ => true,
    }
}

fn escape(text: &str, part: Part) -> String {
    let mut out: Vec<u8> = Vec::new();
    for byte in text.bytes() {
        if should_escape(byte, part) {
            out.extend(format!("%{byte:02X}").into_bytes());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = text.get(at + 1..at + 3).unwrap_or_default();
            let bad = || {
                let end = (at + 3).min(bytes.len());
                let shown = String::from_utf8_lossy(bytes.get(at..end).unwrap_or_default());
                format!("invalid URL escape {}", quote(&shown))
            };
            if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            let code = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
            if part == Part::Host && code < 0x80 && digits != "25" {
                return Err(bad());
            }
            out.push(code);
            at += 3;
            continue;
        }
        if part == Part::Host && byte.is_ascii() && should_escape(byte, part) {
            let shown = char::from(byte).to_string();
            return Err(format!("invalid character {} in host name", quote(&shown)));
        }
        out.push(byte);
        at += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => {
                return Ok(text
                    .split_at_checked(at)
                    .map_or(("", text), |(head, tail)| {
                        (head, tail.get(1..).unwrap_or_default())
                    }));
            }
            _ => break,
        }
    }
    Ok(("", text))
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (main, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url =
            Self::parse_main(main).map_err(|why| format!("parse {}: {why}", quote(main)))?;
        url.fragment = unescape(fragment, Part::Fragment)
            .map_err(|why| format!("parse {}: {why}", quote(text)))?;
        Ok(url)
    }

    fn parse_main(text: &str) -> Result<Self, String> {
        if text.bytes().any(|b| b < b' ' || b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if text == "*" {
            url.path = "*".to_owned();
            return Ok(url);
        }
        let (found, rest) = scheme(text)?;
        url.scheme = found.to_ascii_lowercase();
        let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.query = query.to_owned();
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_owned();
                return Ok(url);
            }
            if rest
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':'))
            {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if let Some(tail) = rest.strip_prefix("//")
            && (!url.scheme.is_empty() || !rest.starts_with("///"))
        {
            let end = tail.find('/').unwrap_or(tail.len());
            let (authority, path) = tail.split_at_checked(end).unwrap_or((tail, ""));
            rest = path;
            url.authority(authority)?;
        }
        url.path = unescape(rest, Part::Path)?;
        Ok(url)
    }

    fn authority(&mut self, text: &str) -> Result<(), String> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        self.host = self.parse_host(host)?;
        let Some(user) = user else { return Ok(()) };
        let good = user
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c));
        if !good {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = match user.split_once(':') {
            Some((name, password)) => (name, Some(password)),
            None => (user, None),
        };
        self.user = Some(User {
            name: unescape(name, Part::User)?,
            password: password
                .map(|password| unescape(password, Part::User))
                .transpose()?,
        });
        Ok(())
    }

    fn parse_host(&self, host: &str) -> Result<String, String> {
        match host.rfind('[') {
            Some(0) => {
                let Some((inside, port)) = host.get(1..).and_then(|rest| rest.rsplit_once(']'))
                else {
                    return Err("missing ']' in host".to_owned());
                };
                if !is_port(port) {
                    return Err(format!("invalid port {} after host", quote(port)));
                }
                let inside = unescape(inside, Part::Host)?;
                let address = inside.split('%').next().unwrap_or_default();
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err("invalid IP-literal".to_owned());
                }
                return Ok(format!("[{inside}]{port}"));
            }
            Some(_) => return Err("invalid IP-literal".to_owned()),
            None => {}
        }
        let strict = matches!(self.scheme.as_str(), "http" | "https");
        let colon = if strict {
            host.find(':')
        } else {
            host.rfind(':')
        };
        if let Some(port) = colon.and_then(|at| host.get(at..))
            && !is_port(port)
        {
            return Err(format!("invalid port {} after host", quote(port)));
        }
        unescape(host, Part::Host)
    }

    fn hostname(&self) -> &str {
        let name = match self.host.rfind(':') {
            Some(at) if is_port(self.host.get(at..).unwrap_or_default()) => {
                self.host.get(..at).unwrap_or_default()
            }
            _ => &self.host,
        };
        name.strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if self.opaque.is_empty() {
            let any = !self.host.is_empty() || self.user.is_some();
            if any || !self.scheme.is_empty() && !self.path.is_empty() {
                out.push_str("//");
            }
            if let Some(user) = &self.user {
                out.push_str(&user.text());
                out.push('@');
            }
            out.push_str(&escape(&self.host, Part::Host));
            let path = if self.path == "*" {
                self.path.clone()
            } else {
                escape(&self.path, Part::Path)
            };
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                out.push('/');
            }
            if out.is_empty()
                && path
                    .split('/')
                    .next()
                    .is_some_and(|first| first.contains(':'))
            {
                out.push_str("./");
            }
            out.push_str(&path);
        } else {
            out.push_str(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push('?');
            out.push_str(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&escape(&self.fragment, Part::Fragment));
        }
        out
    }
}

fn join(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let map = arg(args, 0);
    let get = |key: &str| -> Outcome<String> {
        let found = map.entries().and_then(|map| map.borrow().get(key).cloned());
        match found {
            None => Ok(String::new()),
            Some(Value::Str(text)) => Ok(text.to_string()),
            Some(Value::Nil) => Err(super::data::NIL_POINTER.into()),
            Some(other) => Err(format!(
                "unable to parse {key} key, must be of type string, but {} found",
                other.kind_name()
            )
            .into()),
        }
    };
    let mut url = Url {
        scheme: get("scheme")?,
        host: get("host")?,
        path: get("path")?,
        query: get("query")?,
        opaque: get("opaque")?,
        fragment: get("fragment")?,
        user: None,
    };
    let user = get("userinfo")?;
    if !user.is_empty() {
        url.user = Url::parse(&format!("proto://{user}@host"))
            .map_err(|why| format!("unable to parse userinfo in dict: {why}"))?
            .user;
    }
    Ok(Value::text(url.text()))
}
