//! How data is printed: as a table for people, as JSON or YAML for programs.
//!
//! Whatever a Sovereign says may hold control characters; none reaches a terminal.
//! What must stay true: nothing here panics when nobody reads. A command of one shot
//! stops then without a word, what serves or makes something goes on.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// The column that may be cut where it would not fit.
const MESSAGE: &str = "message";
/// Characters between two columns.
const GAP: u16 = 3;
/// Messages are not cut shorter than this, however narrow the terminal is.
const SHORTEST: usize = 20;
/// The exit code of a command whose prose nobody reads: that of a program which
/// SIGPIPE (13) ended. Nothing says that it was done.
const UNREAD: i32 = 128 + 13;

/// The form of what is printed on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document; one a line where items come one by one (--watch, logs).
    Json,
    /// One YAML document; one for each item where they come one by one.
    Yaml,
}

/// Something that is a line of a table.
pub trait Row: Serialize {
    /// The columns' names.
    const HEADER: &'static [&'static str];
    /// One text a column.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    /// A list: a table, or an array.
    pub fn list<T: Row>(self, items: &[T]) -> anyhow::Result<()> {
        match self {
            Self::Table => {
                let rows = fitted(T::HEADER, items.iter().map(Row::cells).collect());
                print(&table(T::HEADER, rows))
            }
            _ => self.value(&items),
        }
    }

    /// One item: a table of one line, or the item itself.
    pub fn item<T: Row>(self, item: &T) -> anyhow::Result<()> {
        match self {
            Self::Table => self.list(std::slice::from_ref(item)),
            _ => self.value(item),
        }
    }

    /// A change among items that are watched.
    pub fn change<T: Row>(self, item: &T) -> anyhow::Result<()> {
        match self {
            Self::Table => {
                let rows = fitted(T::HEADER, vec![item.cells()]);
                print(&table(&[], rows))
            }
            _ => self.document(item),
        }
    }

    /// One of many items that come one by one, in the form for programs.
    pub fn document<T: Serialize>(self, item: &T) -> anyhow::Result<()> {
        match self {
            Self::Yaml => {
                print("---\n")?;
                self.value(item)
            }
            _ => print(&format!("{}\n", serde_json::to_string(item)?)),
        }
    }

    /// A value in the form for programs; JSON where a table makes no sense.
    pub fn value<T: Serialize>(self, value: &T) -> anyhow::Result<()> {
        let value = serde_json::to_value(value).context("cannot write the answer as JSON")?;
        match self {
            Self::Yaml => print(&catalyst_yaml::to_string(&value)),
            _ => print(&format!("{}\n", serde_json::to_string_pretty(&value)?)),
        }
    }

    /// Whether people read it.
    pub fn is_table(self) -> bool {
        self == Self::Table
    }
}

/// Lines and columns; columns are as wide as they must be.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| name.to_uppercase()));
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| {
            let cell = plain(cell).replace('\n', " ");
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The rows of a table, with messages cut so that lines fit into the terminal, if
/// standard output is one. Programs and files get them whole.
pub fn fitted(header: &[&str], mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    if let Some(width) = width(io::stdout()) {
        cut_messages(header, &mut rows, width);
    }
    rows
}

fn cut_messages(header: &[&str], rows: &mut [Vec<String>], width: usize) {
    let Some(message) = header.iter().position(|name| *name == MESSAGE) else {
        return;
    };
    let others: usize = header
        .iter()
        .enumerate()
        .filter(|(column, _)| *column != message)
        .map(|(column, name)| widest(rows, column, name) + usize::from(GAP))
        .sum();
    let room = width.saturating_sub(others).max(SHORTEST);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(message)) {
        *cell = cut(cell, room);
    }
}

fn widest(rows: &[Vec<String>], column: usize, name: &str) -> usize {
    rows.iter()
        .filter_map(|row| row.get(column))
        .map(String::as_str)
        .chain([name])
        .map(|cell| cell.chars().count())
        .max()
        .unwrap_or(0)
}

/// No more than so many characters of a text; says where it was cut.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A line for standard error, cut to the terminal's width, if it is one.
pub fn one_line(text: &str) -> String {
    match width(io::stderr()) {
        Some(width) => cut(text, width.max(SHORTEST)),
        None => text.to_owned(),
    }
}

/// How many characters a line of the terminal has; `None` for anything else.
fn width(stream: impl AsFd + IsTerminal) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Writes data to standard output; a reader that went away is no failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output as they are.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    match offer(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("cannot write to standard output"),
    }
}

/// Writes bytes to standard output and leaves to the caller what it means that
/// nobody reads.
pub fn offer(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Prose for people, on standard error; ends the program when nobody reads it.
pub fn say(text: &str) {
    said(prose(&format!("{}\n", plain(text))));
}

/// A question, without the end of a line; ends the program when nobody reads it.
pub fn ask(question: &str) {
    said(prose(&format!("{} ", plain(question))));
}

/// Prose of what must go on, whoever reads it.
pub fn tell(text: &str) {
    _ = prose(&format!("{}\n", plain(text)));
}

/// Writes a text to standard error as it is.
pub fn prose(text: &str) -> io::Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(text.as_bytes())?;
    err.flush()
}

fn said(written: io::Result<()>) {
    if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        std::process::exit(UNREAD);
    }
}

/// The text without control characters, but for line ends and tabs.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '?',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_hold_no_control_characters() {
        let rows = vec![
            vec!["guests".to_owned(), "Running".to_owned(), String::new()],
            vec![
                "a".to_owned(),
                "Failed".to_owned(),
                "\u{1b}[31mred\nline".to_owned(),
            ],
        ];
        insta::assert_snapshot!(table(&["name", "phase", "message"], rows), @r"
        NAME     PHASE     MESSAGE
        guests   Running   -
        a        Failed    ?[31mred line
        ");
    }

    #[test]
    fn messages_are_cut_to_the_terminal_and_nothing_else_is() {
        let header = ["name", "message", "address"];
        let row = |name: &str, message: &str| {
            vec![name.to_owned(), message.to_owned(), "http://a".to_owned()]
        };
        let long = "pod guests-1: container web: CrashLoopBackOff, exited with 1";
        let check = |width: usize, expected: &str| {
            let mut rows = vec![row("guests", long), row("a-longer-name", "ready")];
            cut_messages(&header, &mut rows, width);
            assert_eq!(
                rows,
                [row("guests", expected), row("a-longer-name", "ready")]
            );
            let lines = table(&header, rows);
            let widest = lines.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.max(47)), "{width}\n{lines}");
        };
        check(200, long);
        check(87, long);
        check(
            86,
            "pod guests-1: container web: CrashLoopBackOff, exited with…",
        );
        check(60, "pod guests-1: container web: Cra…");
        // Never to nothing.
        check(10, "pod guests-1: conta…");
        let mut rows = vec![vec!["x".repeat(90)]];
        cut_messages(&["name"], &mut rows, 20);
        assert_eq!(rows, [["x".repeat(90)]]);
    }

    #[test]
    fn what_is_cut_says_so_and_keeps_whole_characters() {
        for (text, room, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("ähnlich", 4, "ähn…"),
            ("two words", 5, "two…"),
            ("", 5, ""),
        ] {
            assert_eq!(cut(text, room), expected);
        }
    }
}
