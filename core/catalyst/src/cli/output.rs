//! How data is printed: as a table for people, as JSON or YAML for programs.
//!
//! Whatever a Sovereign says may hold control characters; none reaches a terminal.

use std::io::Write;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// The form of what is printed on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document; with --watch one document a line.
    Json,
    /// One YAML document; with --watch a document for each change.
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
            Self::Table => print(&table(T::HEADER, items.iter().map(Row::cells).collect())),
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
                let rows = table(&[], vec![item.cells()]);
                print(&rows)
            }
            Self::Json => print(&format!("{}\n", serde_json::to_string(item)?)),
            Self::Yaml => {
                print("---\n")?;
                self.value(item)
            }
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
        column.set_padding((0, 3));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes data to standard output; a reader that went away is no failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output as they are.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("cannot write to standard output"),
    }
}

/// Prose for people, on standard error.
pub fn say(text: &str) {
    eprintln!("{}", plain(text));
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
}
