//! What gives a secret away that stands in plain text: the name it stands under, or its
//! own shape.
//!
//! Called by lint of rendered objects. What must stay true: nothing here is ever quoted in
//! a finding; and a placeholder, a reference or an empty text is no secret.

use serde_json::Value;

/// Words in the name of a variable that holds a secret.
const WORDS: [&str; 7] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "TOKEN",
    "SECRET",
    "APIKEY",
    "CREDENTIAL",
];
/// Last words of names of variables that say where a secret is, or how long it lives.
const PLACE_WORDS: [&str; 8] = [
    "FILE", "PATH", "DIR", "NAME", "TTL", "URL", "HEADER", "LENGTH",
];
/// The same as the end of a name in camel case.
const CAMEL_ENDS: [&str; 6] = [
    "Password",
    "Passwd",
    "Passphrase",
    "Token",
    "Secret",
    "ApiKey",
];
/// Tokens that are known by how they begin: the beginning, how many characters follow at
/// the least, and what it is.
const TOKENS: [(&str, usize, &str); 18] = [
    ("ghp_", 36, "a token of GitHub"),
    ("gho_", 36, "a token of GitHub"),
    ("ghu_", 36, "a token of GitHub"),
    ("ghs_", 36, "a token of GitHub"),
    ("ghr_", 36, "a token of GitHub"),
    ("github_pat_", 22, "a token of GitHub"),
    ("glpat-", 20, "a token of GitLab"),
    ("AKIA", 16, "an access key of AWS"),
    ("ASIA", 16, "an access key of AWS"),
    ("xoxb-", 10, "a token of Slack"),
    ("xoxp-", 10, "a token of Slack"),
    ("xoxa-", 10, "a token of Slack"),
    ("xoxr-", 10, "a token of Slack"),
    ("xoxs-", 10, "a token of Slack"),
    ("sk_live_", 16, "a key of Stripe"),
    ("rk_live_", 16, "a key of Stripe"),
    ("npm_", 36, "a token of npm"),
    ("hvs.", 24, "a token of Vault"),
];
/// Different characters that a token has at the least; placeholders repeat few.
const MIN_DIFFERENT: usize = 5;
/// Characters of base64 that follow the first line of a private key.
const MIN_KEY: usize = 40;

/// Whether a variable of this name holds a secret, rather than saying where one is.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace("API_KEY", "APIKEY");
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let is_place = words.last().is_some_and(|last| PLACE_WORDS.contains(last));
    !is_place
        && words.iter().any(|word| {
            let word = word.strip_suffix('S').unwrap_or(word);
            WORDS.contains(&word)
        })
}

/// Whether a text could be a secret: no path, no number, no yes or no, nothing that stands
/// for a value, and no reference to another variable.
pub(super) fn is_secret_like(value: &str) -> bool {
    !(is_stand_in(value)
        || value.starts_with('/')
        || value.parse::<f64>().is_ok()
        || matches!(value, "true" | "false" | "yes" | "no"))
}

/// The keys of a ConfigMap whose names say that a secret stands there.
pub(super) fn plain_keys(config_map: &Value) -> Vec<&str> {
    let data = config_map.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .filter(|(key, value)| {
            let text = value.as_str().unwrap_or_default().trim();
            let is_named = names_secret(key) || CAMEL_ENDS.iter().any(|end| key.ends_with(end));
            // A file of settings is not the secret that its name speaks of.
            is_named && !text.contains('\n') && is_secret_like(text) && shape_in(text).is_none()
        })
        .map(|(key, _)| key.as_str())
        .collect()
}

/// A secret in an object, known by its shape.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// JSON pointer of the text it stands in.
    pub pointer: String,
    /// `a private key`.
    pub what: &'static str,
    /// The text by which its line is found.
    pub text: &'a str,
}

/// The secrets in an object that are known by their shape, one for each text.
pub(super) fn shapes(object: &Value) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    gather(object, &mut String::new(), &mut found);
    found
}

fn gather<'a>(value: &'a Value, pointer: &mut String, found: &mut Vec<Found<'a>>) {
    let length = pointer.len();
    match value {
        Value::String(text) => {
            found.extend(shape_in(text).map(|(what, text)| Found {
                pointer: pointer.clone(),
                what,
                text,
            }));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                gather(item, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                pointer.push('/');
                pointer.push_str(&catalyst_yaml::pointer::escape(key));
                gather(item, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a text holds that has a secret's shape, and by which part of it that is found.
pub(super) fn shape_in(text: &str) -> Option<(&'static str, &str)> {
    if let Some(begin) = private_key(text) {
        return Some(("a private key", begin));
    }
    if let Some(credentials) = url_credentials(text) {
        return Some(("an address with a password", credentials));
    }
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .find_map(|word| {
            TOKENS.iter().find_map(|(begin, length, what)| {
                let rest = word.strip_prefix(*begin)?.split('.').next()?;
                // Those of AWS begin like words, and have one length and capitals only.
                let is_whole = match begin.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                    true => rest.len() == *length && !rest.contains(|c: char| !is_capital(c)),
                    false => rest.len() >= *length,
                };
                (is_whole && is_random(rest)).then_some((*what, word))
            })
        })
}

fn is_capital(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

/// The first line of a private key in PEM (RFC 7468) that has one's bytes after it.
fn private_key(text: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN ";
    text.match_indices(BEGIN).find_map(|(at, _)| {
        let rest = text.get(at + BEGIN.len()..)?;
        let (label, body) = rest.split_once("-----")?;
        let is_key = label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY");
        let is_base64 = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let body = body.chars().filter(|c| !c.is_ascii_whitespace());
        let length = body.take(MIN_KEY).take_while(is_base64).count();
        // An encrypted key of old has headers first.
        let is_key = is_key && (length == MIN_KEY || rest.contains("\nProc-Type: "));
        is_key.then(|| text.get(at..at + BEGIN.len() + label.len()))?
    })
}

/// `user:password` of a URI (RFC 3986) whose password is none that stands for another.
fn url_credentials(text: &str) -> Option<&str> {
    let is_live = |line: &&str| {
        let line = line.trim_start();
        !(line.starts_with('#') || line.starts_with("//"))
    };
    text.lines().filter(is_live).find_map(|line| {
        line.match_indices("://").find_map(|(at, _)| {
            let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            if !line.get(..at)?.ends_with(is_scheme) {
                return None;
            }
            let rest = line.get(at + 3..)?;
            let end = rest.find(|c: char| {
                c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`' | ',')
            });
            let authority = rest.get(..end.unwrap_or(rest.len()))?;
            let (credentials, _) = authority.rsplit_once('@')?;
            let (_, password) = credentials.split_once(':')?;
            let is_variable = password.strip_prefix('$').is_some_and(|name| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            (!is_stand_in(password) && !is_variable).then_some(credentials)
        })
    })
}

/// Whether a text stands for a value that is elsewhere, or for none.
fn is_stand_in(value: &str) -> bool {
    let pairs = [
        ("$(", ")"),
        ("${", "}"),
        ("{{", "}}"),
        ("<", ">"),
        ("%(", ")s"),
    ];
    let is_in = |(begin, end): &(&str, &str)| value.starts_with(begin) && value.ends_with(end);
    // What lint puts in the place of a secret setting is told by another rule.
    value.contains(crate::render::HIDDEN)
        || value
            .chars()
            .all(|c| matches!(c, '*' | 'x' | 'X' | '.' | '\u{2026}'))
        || pairs.iter().any(is_in)
}

/// Whether what follows a token's beginning could be one's: a name has no digits, an
/// example says that it is one, or repeats few characters.
fn is_random(rest: &str) -> bool {
    let mut different: Vec<char> = rest.chars().collect();
    different.sort_unstable();
    different.dedup();
    different.len() >= MIN_DIFFERENT
        && rest.contains(|c: char| c.is_ascii_digit())
        && !rest.to_ascii_uppercase().contains("EXAMPLE")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_that_hold_secrets_are_known_by_name_and_value() {
        for (name, value, expected) in [
            ("DB_PASSWORD", "hunter2", true),
            ("GITHUB_TOKEN", "abc", true),
            ("api_key", "abc", true),
            ("CLIENT_SECRETS", "abc", true),
            ("POSTGRES_SECRET", "/run/secrets/connection", false),
            ("PASSWORD_FILE", "secret.txt", false),
            ("MAX_TOKENS", "4096", false),
            ("ENABLE_SECRET_ROTATION", "true", false),
            ("DB_PASSWORD", "$(OTHER)", false),
            ("DB_PASSWORD", "${OTHER}", false),
            ("DB_PASSWORD", "<your password>", false),
            ("DB_PASSWORD", "****", false),
            ("DB_PASSWORD", "$pecial", true),
            ("DB_PASSWORD", "", false),
            ("TITLE", "hunter2", false),
            ("SECRETARY", "Ms Lemon", false),
        ] {
            assert_eq!(
                names_secret(name) && is_secret_like(value),
                expected,
                "{name}={value}"
            );
        }
    }

    #[test]
    fn secrets_are_known_by_their_shape_and_what_stands_for_one_is_none() {
        // Put together here, so that nobody who looks for such takes these for some.
        let token = |begin: &str, rest: &str| format!("{begin}{rest}");
        let letters = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5";
        let pem = |label: &str, body: &str| {
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        for (text, expected) in [
            (
                pem("RSA PRIVATE KEY", &letters.repeat(3)),
                Some("a private key"),
            ),
            (
                pem("PRIVATE KEY", &letters.repeat(3)),
                Some("a private key"),
            ),
            (pem("PRIVATE KEY", "..."), None),
            (pem("CERTIFICATE", &letters.repeat(3)), None),
            (pem("PUBLIC KEY", &letters.repeat(3)), None),
            (
                "url=postgres://app:hunter2@db:5432/app".to_owned(),
                Some("an address with a password"),
            ),
            ("postgres://app:$(DB_PASSWORD)@db/app".to_owned(), None),
            ("postgres://app:$DB_PASSWORD@db/app".to_owned(), None),
            ("postgres://app:${PW}@db/app".to_owned(), None),
            ("postgres://app:<password>@db/app".to_owned(), None),
            ("postgres://app:(secret)@db/app".to_owned(), None),
            ("postgres://app:@db/app".to_owned(), None),
            ("postgres://app@db/app".to_owned(), None),
            ("# such as postgres://app:pw@db/app".to_owned(), None),
            ("https://host:8080/a@b:c".to_owned(), None),
            ("https://a.example:443 me@b.example".to_owned(), None),
            (token("ghp_", letters), Some("a token of GitHub")),
            (
                format!("token={}", token("glpat-", letters)),
                Some("a token of GitLab"),
            ),
            (token("ghp_", &"x".repeat(36)), None),
            (token("ghp_", "short"), None),
            (
                token("AKIA", "Q3E5R7T9Y1U3I5O7"),
                Some("an access key of AWS"),
            ),
            (token("AKIA", "IOSFODNN7EXAMPLE"), None),
            (token("ASIA", "_SOUTHEAST_1_REG"), None),
            (token("npm_", &"config_".repeat(6)), None),
            (token("hvs.", "cluster1.internal.acme.test"), None),
            (token("xoxb-", "123456789012-abc"), Some("a token of Slack")),
            (token("sk_live_", letters), Some("a key of Stripe")),
            (token("sk_test_", letters), None),
            (format!("my{}", token("ghp_", letters)), None),
            ("hello".to_owned(), None),
        ] {
            let found = shape_in(&text).map(|(what, _)| what);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn keys_of_config_maps_that_name_secrets_are_found() {
        let map = json!({"data": {
            "admin-password": "hunter2",
            "adminPassword": "hunter2",
            "passwordPolicy": "strict",
            "token-ttl": "1h",
            "password": "${DB_PASSWORD}",
            "secret.conf": "a = 1\nb = 2\n",
            "title": "hello",
        }});
        assert_eq!(plain_keys(&map), ["admin-password", "adminPassword"]);
        assert_eq!(plain_keys(&json!({})), Vec::<&str>::new());
    }
}
