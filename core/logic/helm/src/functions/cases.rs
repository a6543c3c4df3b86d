//! Letters and words as Go's unicode, goutils and xstrings see them.
//!
//! Used by the functions on text. Go maps one character to one, so `ß` stays.

use std::sync::LazyLock;

use regex::Regex;

/// `unicode.ToUpper`.
pub fn upper(c: char) -> char {
    simple(c, c.to_uppercase())
}

/// `unicode.ToLower`.
pub fn lower(c: char) -> char {
    if c == 'İ' {
        return 'i';
    }
    simple(c, c.to_lowercase())
}

/// `unicode.ToTitle`.
pub fn title(c: char) -> char {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        c => upper(c),
    }
}

fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

fn simple(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

pub fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

/// `strings.Title`.
pub fn titled(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|c| {
            // Go: letters and digits do not part words, nor do marks and the
            // like outside ASCII that are not blanks.
            let parts = match before {
                b if b.is_ascii() => !(b.is_ascii_alphanumeric() || b == '_'),
                b => !b.is_alphanumeric() && b.is_whitespace(),
            };
            before = c;
            if parts { title(c) } else { c }
        })
        .collect()
}

/// goutils' `Uncapitalize`.
pub fn untitled(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .map(|c| {
            if c.is_whitespace() {
                starts = true;
                c
            } else if std::mem::take(&mut starts) {
                lower(c)
            } else {
                c
            }
        })
        .collect()
}

/// goutils' `SwapCase`: a lower letter that starts a word becomes title case.
pub fn swapped(text: &str) -> String {
    let mut blank = true;
    text.chars()
        .map(|c| {
            if c.is_uppercase() || is_title(c) {
                blank = false;
                lower(c)
            } else if c.is_lowercase() {
                if std::mem::take(&mut blank) {
                    title(c)
                } else {
                    upper(c)
                }
            } else {
                blank = c.is_whitespace();
                c
            }
        })
        .collect()
}

/// A blank as goutils sees bytes: each is taken for a character.
fn is_blank_byte(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0)
}

/// goutils' `DeleteWhiteSpace`: what has any is read byte by byte.
pub fn without_blanks(text: &str) -> String {
    if !text.bytes().any(is_blank_byte) {
        return text.to_owned();
    }
    text.bytes()
        .filter(|byte| !is_blank_byte(*byte))
        .map(char::from)
        .collect()
}

/// goutils' `Initials`, byte by byte too.
pub fn initials(text: &str) -> String {
    let mut starts = true;
    text.bytes()
        .filter(|byte| {
            let blank = is_blank_byte(*byte);
            !blank && std::mem::take(&mut starts) || {
                starts |= blank;
                false
            }
        })
        .map(char::from)
        .collect()
}

/// goutils' `WrapCustom`, which counts bytes.
pub fn wrapped(text: &str, width: i64, newline: &str, cut_long: bool) -> String {
    let newline = if newline.is_empty() { "\n" } else { newline };
    let width = usize::try_from(width.max(1)).unwrap_or(1);
    let bytes = text.as_bytes();
    let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
    let mut out: Vec<u8> = Vec::new();
    let mut offset = 0;
    while bytes.len() - offset > width {
        if bytes.get(offset) == Some(&b' ') {
            offset += 1;
            continue;
        }
        let line = part(offset, offset + width + 1);
        if let Some(blank) = line.iter().rposition(|byte| *byte == b' ') {
            out.extend_from_slice(part(offset, offset + blank));
            out.extend_from_slice(newline.as_bytes());
            offset += blank + 1;
        } else if cut_long {
            out.extend_from_slice(part(offset, offset + width));
            out.extend_from_slice(newline.as_bytes());
            offset += width;
        } else {
            let rest = part(offset + width, bytes.len());
            match rest.iter().position(|byte| *byte == b' ') {
                Some(blank) => {
                    let to = offset + width + blank;
                    out.extend_from_slice(part(offset, to));
                    out.extend_from_slice(newline.as_bytes());
                    offset = to + 1;
                }
                None => {
                    out.extend_from_slice(part(offset, bytes.len()));
                    offset = bytes.len();
                }
            }
        }
    }
    out.extend_from_slice(part(offset, bytes.len()));
    String::from_utf8_lossy(&out).into_owned()
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `unicode.IsPunct`.
fn is_punctuation(c: char) -> bool {
    static ANY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{P}$").ok());
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    ANY.as_ref()
        .is_some_and(|any| any.is_match(c.encode_utf8(&mut [0; 4])))
}

/// xstrings' letters: Chinese characters are words of their own.
fn is_letter(c: char) -> bool {
    c.is_alphabetic()
        && !matches!(c, '\u{4e00}'..='\u{9fcc}' | '\u{3400}'..='\u{4d85}' | '\u{20000}'..='\u{2b81d}')
}

/// xstrings' `ToPascalCase`.
pub fn pascal(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    let mut current = None;
    let mut first_upper = false;
    for c in chars.by_ref() {
        current = Some(c);
        if !is_connector(c) {
            first_upper = c.is_uppercase();
            current = Some(upper(c));
            break;
        }
        out.push(c);
    }
    let Some(mut current) = current else {
        return out;
    };
    if chars.as_str().is_empty() {
        // xstrings writes the last character again, a connector too.
        out.push(current);
        return out;
    }
    for c in chars {
        let before = current;
        current = c;
        if is_connector(current) && is_connector(before) {
            out.push(before);
            continue;
        }
        if is_connector(before) {
            first_upper = current.is_uppercase();
            current = upper(current);
        } else {
            if first_upper {
                if current.is_uppercase() {
                    current = lower(current);
                } else {
                    first_upper = false;
                }
            }
            out.push(before);
        }
    }
    out.push(current);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// xstrings' `nextWord`: the kind of what comes next, and how many characters.
fn next_word(text: &[char]) -> (Word, usize) {
    let Some(&first) = text.first() else {
        return (Word::None, 0);
    };
    let run = |from: usize, holds: &dyn Fn(char) -> bool| {
        from + text.iter().skip(from).take_while(|c| holds(**c)).count()
    };
    let small = |c: char| is_letter(c) && !c.is_uppercase();
    if is_connector(first) {
        (Word::Connector, run(1, &is_connector))
    } else if is_punctuation(first) {
        (Word::Punctuation, run(1, &is_punctuation))
    } else if first.is_uppercase() {
        let end = match text.get(1) {
            Some(second) if second.is_uppercase() => {
                let end = run(1, &char::is_uppercase);
                // The S of HTTPStatus belongs to the next word.
                match text.get(end) {
                    Some(next) if is_letter(*next) => end - 1,
                    _ => end,
                }
            }
            Some(second) if is_letter(*second) => run(1, &small),
            _ => 1,
        };
        (Word::Upper, end)
    } else if is_letter(first) {
        (Word::Letters, run(1, &small))
    } else if first.is_numeric() {
        (Word::Number, run(1, &char::is_numeric))
    } else {
        let other =
            |c: char| !is_connector(c) && !is_letter(c) && !c.is_numeric() && !is_punctuation(c);
        (Word::Other, run(1, &other))
    }
}

/// xstrings' snake and kebab case.
pub fn delimited(text: &str, mark: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut rest = chars.as_slice();
    let mut out = String::new();
    let take = |rest: &mut &[char]| {
        let (kind, count) = next_word(rest);
        let (word, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        let word: String = word.iter().collect();
        *rest = after;
        (kind, word)
    };
    let write = |out: &mut String, kind: Word, word: &str| {
        if !matches!(kind, Word::Upper | Word::Connector) {
            out.push_str(word);
            return;
        }
        for c in word.chars() {
            out.push(if is_connector(c) {
                mark
            } else if c.is_uppercase() {
                lower(c)
            } else {
                c
            });
        }
    };
    let joins = |kind: Word| !matches!(kind, Word::None | Word::Connector | Word::Punctuation);
    let (mut kind, mut word) = take(&mut rest);
    while !rest.is_empty() {
        if kind != Word::Connector {
            write(&mut out, kind, &word);
        }
        let (before, last) = (kind, word);
        (kind, word) = take(&mut rest);
        match before {
            Word::Number => {
                while matches!(kind, Word::Letters | Word::Number) {
                    write(&mut out, kind, &word);
                    (kind, word) = take(&mut rest);
                }
                if joins(kind) {
                    out.push(mark);
                }
            }
            Word::Connector => write(&mut out, before, &last),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punctuation) {
                    out.push(mark);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word) = take(&mut rest);
                if kind != Word::Letters {
                    write(&mut out, Word::Number, &number);
                    if !matches!(kind, Word::Connector | Word::Punctuation) {
                        out.push(mark);
                    }
                    continue;
                }
                out.push(mark);
                write(&mut out, Word::Number, &number);
                while matches!(kind, Word::Letters | Word::Number) {
                    write(&mut out, kind, &word);
                    (kind, word) = take(&mut rest);
                }
                if joins(kind) {
                    out.push(mark);
                }
            }
        }
    }
    write(&mut out, kind, &word);
    out
}
