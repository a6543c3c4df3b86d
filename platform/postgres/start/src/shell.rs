//! As much of a shell as initdb needs: one command, quotes, and redirections.

use std::{fs, fs::File, os::unix::process::CommandExt, process::Command};

/// Runs `sh -c COMMAND`; returns only when it cannot.
pub fn run(arguments: &[String]) -> Result<String, String> {
    let [_, flag, line, ..] = arguments else {
        return Err("this is no shell to talk to; only `sh -c COMMAND` works".to_owned());
    };
    if flag != "-c" {
        return Err(format!(
            "`{flag}` is not understood; only `sh -c COMMAND` works"
        ));
    }
    let plan = parse(line)?;
    let (program, rest) = plan.words.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(rest);
    let cannot = |path: &str, error: std::io::Error| format!("cannot open {path}: {error}");
    if let Some(path) = &plan.input {
        command.stdin(File::open(path).map_err(|error| cannot(path, error))?);
    }
    if let Some((path, appends)) = &plan.output {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .append(*appends)
            .truncate(!*appends)
            .open(path)
            .map_err(|error| cannot(path, error))?;
        if plan.joined {
            let second = file.try_clone().map_err(|error| cannot(path, error))?;
            command.stderr(second);
        }
        command.stdout(file);
    }
    if let Some(path) = &plan.errors {
        command.stderr(File::create(path).map_err(|error| cannot(path, error))?);
    }
    let error = command.exec();
    Err(format!("cannot run {program}: {error}"))
}

#[derive(Debug, Default, PartialEq)]
struct Plan {
    words: Vec<String>,
    input: Option<String>,
    output: Option<(String, bool)>,
    errors: Option<String>,
    joined: bool,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(String),
}

fn parse(line: &str) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let mut tokens = tokens(line)?.into_iter();
    while let Some(token) = tokens.next() {
        let sign = match token {
            Token::Word(word) => {
                plan.words.push(word);
                continue;
            }
            Token::Sign(sign) => sign,
        };
        if sign == "2>&1" {
            plan.joined = true;
            continue;
        }
        let Some(Token::Word(path)) = tokens.next() else {
            return Err(format!("`{sign}` has no file after it"));
        };
        match sign.as_str() {
            "<" => plan.input = Some(path),
            ">" | "1>" => plan.output = Some((path, false)),
            ">>" => plan.output = Some((path, true)),
            _ => plan.errors = Some(path),
        }
    }
    if plan.words.first().is_some_and(|word| word == "exec") {
        plan.words.remove(0);
    }
    Ok(plan)
}

fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if word.is_none()
            && let Some(sign) = ["2>&1", "2>", "1>", ">>", ">", "<"]
                .into_iter()
                .find(|sign| rest.starts_with(sign))
        {
            found.push(Token::Sign(sign.to_owned()));
            rest = &rest[sign.len()..];
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            ' ' | '\t' | '\n' => found.extend(word.take().map(Token::Word)),
            '\'' => {
                let (text, after) = rest.split_once('\'').ok_or("a quote is not closed")?;
                word.get_or_insert_default().push_str(text);
                rest = after;
            }
            '"' => {
                let text = word.get_or_insert_default();
                let mut characters = rest.char_indices();
                let end = loop {
                    match characters.next().ok_or("a quote is not closed")? {
                        (position, '"') => break position,
                        (_, '\\') => {
                            let (_, next) = characters.next().ok_or("a quote is not closed")?;
                            if !matches!(next, '"' | '\\' | '$' | '`') {
                                text.push('\\');
                            }
                            text.push(next);
                        }
                        (_, other) => text.push(other),
                    }
                };
                rest = &rest[end + 1..];
            }
            '\\' => {
                let next = rest
                    .chars()
                    .next()
                    .ok_or("the command ends in a backslash")?;
                word.get_or_insert_default().push(next);
                rest = &rest[next.len_utf8()..];
            }
            '>' | '<' => {
                // A redirection right behind a word ends it.
                found.extend(word.take().map(Token::Word));
                rest = &line[line.len() - rest.len() - 1..];
            }
            '|' | ';' | '&' | '$' | '`' | '(' | '*' => {
                return Err(format!("`{first}` is more than this shell knows"));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word.take().map(Token::Word));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_initdb_writes_them_are_understood() {
        let plan = parse(r#""/opt/pg/bin/postgres" --check -c a=b -c 'c d'="x\"y" < "/dev/null" > "/dev/null" 2>&1"#).unwrap();
        assert_eq!(
            plan,
            Plan {
                words: [
                    "/opt/pg/bin/postgres",
                    "--check",
                    "-c",
                    "a=b",
                    "-c",
                    "c d=x\"y"
                ]
                .map(String::from)
                .to_vec(),
                input: Some("/dev/null".into()),
                output: Some(("/dev/null".into(), false)),
                errors: None,
                joined: true,
            }
        );
        assert_eq!(parse("exec a>b").unwrap().output, Some(("b".into(), false)));
        for bad in ["a | b", "a; b", "a \"b", "a <", "echo $HOME", "a 'b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
