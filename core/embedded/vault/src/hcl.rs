//! The part of HCL that policies are written in: `path "…" { … }` blocks with
//! `name = "text"` and `name = ["text", …]` attributes, and comments. Anything
//! else is refused, because a policy misread is a policy too wide.

use std::iter::Peekable;
use std::str::Chars;

/// One `path` block: the path and its attributes in order.
pub(crate) type Block = (String, Vec<(String, Attribute)>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

/// Reads a policy's blocks; the error says what was expected where.
pub(crate) fn parse(source: &str) -> Result<Vec<Block>, String> {
    let tokens = scan(source)?;
    let mut tokens = tokens.into_iter().peekable();
    let mut blocks = Vec::new();
    while let Some((token, line)) = tokens.next() {
        if token != Token::Word("path".to_owned()) {
            return Err(format!("line {line}: expected `path`"));
        }
        let Some((Token::Text(path) | Token::Word(path), _)) = tokens.next() else {
            return Err(format!("line {line}: expected the path in quotes"));
        };
        expect(&mut tokens, '{')?;
        let mut attributes = Vec::new();
        loop {
            match tokens.next() {
                Some((Token::Mark('}'), _)) => break,
                Some((Token::Word(name) | Token::Text(name), _)) => {
                    expect(&mut tokens, '=')?;
                    attributes.push((name, value(&mut tokens)?));
                }
                Some((_, line)) => {
                    return Err(format!("line {line}: expected an attribute or `}}`"));
                }
                None => return Err("the policy ends inside a block".to_owned()),
            }
        }
        blocks.push((path, attributes));
    }
    Ok(blocks)
}

type Tokens = Peekable<std::vec::IntoIter<(Token, usize)>>;

fn expect(tokens: &mut Tokens, mark: char) -> Result<(), String> {
    match tokens.next() {
        Some((Token::Mark(found), _)) if found == mark => Ok(()),
        Some((_, line)) => Err(format!("line {line}: expected `{mark}`")),
        None => Err(format!("the policy ends where `{mark}` was expected")),
    }
}

fn value(tokens: &mut Tokens) -> Result<Attribute, String> {
    match tokens.next() {
        Some((Token::Text(text), _)) => Ok(Attribute::Text(text)),
        Some((Token::Mark('['), _)) => {
            let mut items = Vec::new();
            loop {
                match tokens.next() {
                    Some((Token::Mark(']'), _)) => return Ok(Attribute::List(items)),
                    Some((Token::Text(item), _)) => items.push(item),
                    Some((_, line)) => {
                        return Err(format!("line {line}: expected a text in quotes or `]`"));
                    }
                    None => return Err("the policy ends inside a list".to_owned()),
                }
                if matches!(tokens.peek(), Some((Token::Mark(','), _))) {
                    tokens.next();
                } else if !matches!(tokens.peek(), Some((Token::Mark(']'), _))) {
                    return Err("expected `,` or `]` in a list".to_owned());
                }
            }
        }
        Some((_, line)) => Err(format!("line {line}: expected a text in quotes or a list")),
        None => Err("the policy ends where a value was expected".to_owned()),
    }
}

fn scan(source: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut tokens = Vec::new();
    let mut characters = source.chars().peekable();
    let mut line = 1;
    while let Some(character) = characters.next() {
        match character {
            '\n' => line += 1,
            _ if character.is_whitespace() => {}
            '#' => skip_line(&mut characters),
            '/' if characters.peek() == Some(&'/') => skip_line(&mut characters),
            '/' if characters.peek() == Some(&'*') => {
                characters.next();
                line += skip_comment(&mut characters, line)?;
            }
            '"' => tokens.push((Token::Text(text(&mut characters, line)?), line)),
            '{' | '}' | '[' | ']' | '=' | ',' => tokens.push((Token::Mark(character), line)),
            _ if character.is_ascii_alphabetic() => {
                let mut word = String::from(character);
                while let Some(next) = characters
                    .next_if(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'))
                {
                    word.push(next);
                }
                tokens.push((Token::Word(word), line));
            }
            _ => {
                return Err(format!(
                    "line {line}: `{character}` does not belong in a policy"
                ));
            }
        }
    }
    Ok(tokens)
}

fn skip_line(characters: &mut Peekable<Chars<'_>>) {
    while characters.next_if(|character| *character != '\n').is_some() {}
}

/// Skips to the end of a block comment; returns the lines passed.
fn skip_comment(characters: &mut Peekable<Chars<'_>>, line: usize) -> Result<usize, String> {
    let mut lines = 0;
    while let Some(character) = characters.next() {
        match character {
            '\n' => lines += 1,
            '*' if characters.next_if_eq(&'/').is_some() => return Ok(lines),
            _ => {}
        }
    }
    Err(format!("line {line}: the comment does not end"))
}

fn text(characters: &mut Peekable<Chars<'_>>, line: usize) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match characters.next() {
            Some('"') => return Ok(text),
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err(format!("line {line}: only \\\" and \\\\ may be escaped")),
            },
            Some('\n') | None => return Err(format!("line {line}: the quotes are not closed")),
            Some(character) => text.push(character),
        }
    }
}
