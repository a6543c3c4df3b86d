//! `catalyst blueprint diff`: what changes for users between two versions.

use std::fmt::Write as _;

use catalyst_api::PlannedAction;
use catalyst_plan::{BlueprintChanges, MovedKey, NamedChange, SetChange, compare_blueprints};

use super::api::Common;
use super::output::{plain, print, say};
use super::subject::Subject;

/// Show what changes for users between two versions of a Blueprint.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The version before: a folder, a packed file, or an artifact such as
    /// 127.0.0.1:8080/acme/bp-name:1.0.0.
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The version after, likewise.
    #[arg(value_name = "AFTER")]
    after: String,
    /// Exit with 1 if anything changes.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    common: Common,
}

impl Diff {
    /// Carries it out.
    pub fn run(&self) -> anyhow::Result<()> {
        let connection = &self.common.connection;
        let before = Subject::find(&self.before, connection)?;
        let after = Subject::find(&self.after, connection)?;
        let changes = compare_blueprints(before.version(), after.version())?;
        if self.common.output.is_table() {
            print(&text(&changes))?;
        } else {
            self.common.output.value(&changes)?;
        }
        let (from, to) = (&changes.before, &changes.after);
        match (changes.is_empty(), self.exit_code) {
            (true, _) => say(&format!("Nothing changes for users from {from} to {to}")),
            (false, true) => anyhow::bail!("{to} changes something for users of {from}"),
            (false, false) => {}
        }
        Ok(())
    }
}

/// The changes under headings, only those headings that have some.
fn text(changes: &BlueprintChanges) -> String {
    let mut text = format!("{} -> {}\n", changes.before, changes.after);
    match (&changes.upgrade.reason, &changes.upgrade.remark) {
        (Some(reason), _) => _ = writeln!(text, "upgrade: refused, {}", plain(reason)),
        (None, Some(remark)) => _ = writeln!(text, "upgrade: {}", plain(remark)),
        (None, None) => text.push_str("upgrade: possible\n"),
    }
    if !changes.breaking.is_empty() {
        text.push_str("\nbreaking, as configs that were valid may not be any more:\n");
        for sentence in &changes.breaking {
            _ = writeln!(text, "  ! {}", plain(sentence));
        }
    }
    moved(&mut text, &changes.moved);
    for (heading, changes) in [
        ("config", &changes.config),
        ("sizes", &changes.sizes),
        ("dependencies", &changes.dependencies),
        ("provides", &changes.provides),
    ] {
        named(&mut text, heading, changes);
    }
    set(&mut text, "images", &changes.images);
    set(&mut text, "permissions", &changes.permissions);
    named(
        &mut text,
        "roles, bindings and service accounts",
        &changes.rights,
    );
    named(&mut text, "objects", &changes.objects);
    text
}

fn named(text: &mut String, heading: &str, changes: &[NamedChange]) {
    if changes.is_empty() {
        return;
    }
    _ = writeln!(text, "\n{heading}:");
    for change in changes {
        let sign = match change.action {
            PlannedAction::Create => '+',
            PlannedAction::Delete => '-',
            PlannedAction::Update | PlannedAction::None => '~',
        };
        _ = writeln!(text, "  {sign} {}", plain(&change.name));
        for line in change.diff.lines() {
            _ = writeln!(text, "      {}", plain(line));
        }
    }
}

fn moved(text: &mut String, keys: &[MovedKey]) {
    if keys.is_empty() {
        return;
    }
    _ = writeln!(text, "\nmoved by an upgrade, with what is set there:");
    for key in keys {
        _ = writeln!(text, "  {} -> {}", plain(&key.from), plain(&key.to));
        for line in key.diff.lines() {
            _ = writeln!(text, "      {}", plain(line));
        }
    }
}

fn set(text: &mut String, heading: &str, change: &SetChange) {
    if change.is_empty() {
        return;
    }
    _ = writeln!(text, "\n{heading}:");
    for (sign, entries) in [('+', &change.added), ('-', &change.removed)] {
        for entry in entries {
            _ = writeln!(text, "  {sign} {}", plain(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_setting_is_one_line_with_what_else_changes() {
        let keys = [
            MovedKey {
                from: "host".to_owned(),
                to: "database.host".to_owned(),
                diff: "+ required: true\n".to_owned(),
            },
            MovedKey {
                from: "key".to_owned(),
                to: "database.key".to_owned(),
                diff: String::new(),
            },
        ];
        let mut text = String::new();
        moved(&mut text, &keys);
        insta::assert_snapshot!(text.trim(), @r"
        moved by an upgrade, with what is set there:
          host -> database.host
              + required: true
          key -> database.key
        ");
        let mut nothing = String::new();
        moved(&mut nothing, &[]);
        assert_eq!(nothing, "");
    }
}
