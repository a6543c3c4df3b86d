//! Template text → tokens, as Go's text/template cuts it.
//!
//! Called by the parser. Positions are byte offsets into the text; blanks
//! inside actions are tokens, because `.a .b` and `.a.b` differ.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Identifier,
    Keyword,
    Field,
    Variable,
    Dot,
    Nil,
    Bool,
    Number,
    CharConstant,
    Str,
    RawStr,
    LeftParen,
    RightParen,
    Pipe,
    Assign,
    Declare,
    Char,
    Error,
    Eof,
}

#[derive(Debug, Clone, Copy)]
pub struct Token<'t> {
    pub kind: Kind,
    pub pos: usize,
    pub val: &'t str,
}

const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];

/// Cuts all of `text`; the last token is `Eof`, or `Error` where the second answer
/// says why.
pub fn tokens(text: &str) -> (Vec<Token<'_>>, String) {
    let mut lexer = Lexer {
        text,
        pos: 0,
        parens: 0,
        out: Vec::new(),
    };
    let fault = lexer.run().err();
    if fault.is_some() {
        lexer.push(Kind::Error, lexer.pos, "");
    }
    (lexer.out, fault.unwrap_or_default())
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    parens: usize,
    out: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn push(&mut self, kind: Kind, pos: usize, val: &'a str) {
        self.out.push(Token { kind, pos, val });
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let start = self.pos;
            let Some(open) = self.rest().find("{{") else {
                let text = self.rest();
                if !text.is_empty() {
                    self.push(Kind::Text, start, text);
                }
                self.pos = self.text.len();
                self.push(Kind::Eof, self.pos, "");
                return Ok(());
            };
            let before = self.rest().get(..open).unwrap_or_default();
            let inside = self.rest().get(open + 2..).unwrap_or_default();
            let trim = trims_left(inside);
            let kept = if trim {
                before.trim_end_matches([' ', '\t', '\r', '\n'])
            } else {
                before
            };
            if !kept.is_empty() {
                self.push(Kind::Text, start, kept);
            }
            self.pos = start + open;
            let after_delim = if trim {
                inside.get(2..).unwrap_or_default()
            } else {
                inside
            };
            if after_delim.starts_with("/*") {
                self.comment(if trim { 4 } else { 2 })?;
                continue;
            }
            self.push(Kind::LeftDelim, self.pos, "{{");
            self.pos += if trim { 4 } else { 2 };
            self.parens = 0;
            self.action()?;
        }
    }

    fn comment(&mut self, delim: usize) -> Result<(), String> {
        // Faults are told of where it begins.
        self.pos += delim;
        let begun = self.pos;
        let inside = self.rest().get(2..).unwrap_or_default();
        let Some(end) = inside.find("*/") else {
            return Err("unclosed comment".to_owned());
        };
        self.pos += end + 4;
        match self.right_delim() {
            Some(trim) => {
                self.skip_right_delim(trim);
                Ok(())
            }
            None => {
                self.pos = begun;
                Err("comment ends before closing delimiter".to_owned())
            }
        }
    }

    /// Whether a right delimiter stands here, and whether it trims.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some(false);
        }
        let after = rest.strip_prefix([' ', '\t', '\r', '\n'])?;
        after.starts_with("-}}").then_some(true)
    }

    fn skip_right_delim(&mut self, trim: bool) {
        self.pos += if trim { 4 } else { 2 };
        if trim {
            let blanks = self.rest().len()
                - self
                    .rest()
                    .trim_start_matches([' ', '\t', '\r', '\n'])
                    .len();
            self.pos += blanks;
        }
    }

    fn action(&mut self) -> Result<(), String> {
        loop {
            if let Some(trim) = self.right_delim() {
                if self.parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                // It stands behind the marker, maybe on the next line.
                let pos = self.pos + if trim { 2 } else { 0 };
                self.push(Kind::RightDelim, pos, "}}");
                self.skip_right_delim(trim);
                return Ok(());
            }
            let start = self.pos;
            let Some(c) = self.peek() else {
                return Err("unclosed action".to_owned());
            };
            match c {
                ' ' | '\t' | '\r' | '\n' => self.space(),
                '=' => self.one(Kind::Assign, c),
                ':' => {
                    if !self.rest().starts_with(":=") {
                        return Err("expected :=".to_owned());
                    }
                    self.pos += 2;
                    self.push(Kind::Declare, start, ":=");
                }
                '|' => self.one(Kind::Pipe, c),
                '"' => self.quoted('"', Kind::Str, "unterminated quoted string")?,
                '\'' => {
                    self.quoted('\'', Kind::CharConstant, "unterminated character constant")?;
                }
                '`' => {
                    let Some(end) = self.rest().get(1..).and_then(|rest| rest.find('`')) else {
                        return Err("unterminated raw quoted string".to_owned());
                    };
                    self.take(Kind::RawStr, end + 2);
                }
                '$' | '.' => self.field_or_variable(c)?,
                '+' | '-' | '0'..='9' => self.number()?,
                '(' => {
                    self.parens += 1;
                    self.one(Kind::LeftParen, c);
                }
                ')' => {
                    if self.parens == 0 {
                        return Err("unexpected right paren".to_owned());
                    }
                    self.parens -= 1;
                    self.one(Kind::RightParen, c);
                }
                c if is_word(c) => self.identifier()?,
                c if c.is_ascii_graphic() => self.one(Kind::Char, c),
                c => return Err(format!("unrecognized character in action: {}", unicode(c))),
            }
        }
    }

    fn one(&mut self, kind: Kind, c: char) {
        self.take(kind, c.len_utf8());
    }

    fn take(&mut self, kind: Kind, len: usize) {
        let val = self.rest().get(..len).unwrap_or_default();
        self.push(kind, self.pos, val);
        self.pos += len;
    }

    fn space(&mut self) {
        let rest = self.rest();
        let mut len = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        // The last blank belongs to a trimming delimiter that follows.
        if rest.get(len..).is_some_and(|rest| rest.starts_with("-}}")) {
            len -= 1;
        }
        if len > 0 {
            self.take(Kind::Space, len);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if escaped => {
                    if c == '\n' {
                        break;
                    }
                    escaped = false;
                }
                '\\' => escaped = true,
                '\n' => break,
                c if c == quote => {
                    self.take(kind, at + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(unterminated.to_owned())
    }

    fn word_len(&self, from: usize) -> usize {
        self.rest()
            .get(from..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| is_word(*c))
            .map(char::len_utf8)
            .sum()
    }

    fn check_terminator(&self, after: usize) -> Result<(), String> {
        let rest = self.rest().get(after..).unwrap_or_default();
        match rest.chars().next() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(_) if rest.starts_with("}}") => Ok(()),
            Some(c) => Err(format!("bad character {}", unicode(c))),
        }
    }

    fn field_or_variable(&mut self, first: char) -> Result<(), String> {
        let next = self.rest().chars().nth(1);
        if first == '.' && next.is_some_and(|c| c.is_ascii_digit()) {
            return self.number();
        }
        let len = 1 + self.word_len(1);
        self.check_terminator(len)?;
        let kind = match (first, len) {
            ('.', 1) => Kind::Dot,
            ('.', _) => Kind::Field,
            _ => Kind::Variable,
        };
        self.take(kind, len);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let (mut len, mut good) = number_len(rest);
        if good && rest.get(len..).is_some_and(|r| r.starts_with(['+', '-'])) {
            // A complex number, and charts know none.
            len += number_len(rest.get(len..).unwrap_or_default()).0;
            good = false;
        }
        if good {
            self.take(Kind::Number, len);
            return Ok(());
        }
        let bad = rest.get(..len).unwrap_or_default();
        Err(format!("bad number syntax: {}", crate::format::quote(bad)))
    }

    fn identifier(&mut self) -> Result<(), String> {
        let len = self.word_len(0);
        self.check_terminator(len)?;
        let word = self.rest().get(..len).unwrap_or_default();
        let kind = match word {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.take(kind, len);
        Ok(())
    }
}

/// How far Go's `scanNumber` comes, and whether what follows may follow a number.
fn number_len(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let is_any = |index: usize, of: &[u8]| of.contains(&at(index));
    let mut len = usize::from(is_any(0, b"+-"));
    let mut radix = 10;
    if at(len) == b'0' {
        len += 1;
        radix = match at(len) {
            b'x' | b'X' => 16,
            b'o' | b'O' => 8,
            b'b' | b'B' => 2,
            _ => 10,
        };
        len += usize::from(radix != 10);
    }
    let run = |mut len: usize, radix: u32| {
        while char::from(at(len)).is_digit(radix) || at(len) == b'_' {
            len += 1;
        }
        len
    };
    len = run(len, radix);
    if at(len) == b'.' {
        len = run(len + 1, radix);
    }
    let exponent: &[u8] = match radix {
        10 => b"eE",
        16 => b"pP",
        _ => b"",
    };
    if is_any(len, exponent) {
        len += 1;
        len += usize::from(is_any(len, b"+-"));
        len = run(len, 10);
    }
    len += usize::from(at(len) == b'i');
    match text.get(len..).and_then(|rest| rest.chars().next()) {
        Some(c) if is_word(c) => (len + c.len_utf8(), false),
        _ => (len, true),
    }
}

fn trims_left(inside: &str) -> bool {
    inside
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Go's `%#U`.
fn unicode(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    if crate::format::is_print(c) {
        format!("{code} '{c}'")
    } else {
        code
    }
}
