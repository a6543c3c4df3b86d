//! The events of a Sovereign's last job, numbered, in memory and in a file, so that
//! whoever follows them can come back to where they were, even after a restart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::told::PlannedChange;

/// Events of one job. Numbers go on from job to job.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Open while a job writes to it.
    file: Option<File>,
    /// Number of the first line.
    first: u64,
    lines: Vec<Arc<str>>,
    resources: Option<(u64, u64)>,
    planned: Vec<PlannedChange>,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Journal {
    /// The journal that lies at a path; an empty one where none does.
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut journal = Self {
            path: path.to_owned(),
            file: None,
            first: 1,
            lines: Vec::new(),
            resources: None,
            planned: Vec::new(),
        };
        for line in text.lines() {
            // What a power cut left of a last line is none.
            let Ok(line) = serde_json::from_str::<Line<'_>>(line) else {
                break;
            };
            if journal.lines.is_empty() {
                journal.first = line.id;
            }
            let data = line.data.get();
            journal.note(&serde_json::from_str(data).unwrap_or_default());
            journal.lines.push(data.into());
        }
        Ok(journal)
    }

    /// Begins anew for another job; numbers go on.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&self.path)?;
        self.file = Some(file);
        self.first = self.last() + 1;
        self.lines.clear();
        self.resources = None;
        self.planned.clear();
        Ok(())
    }

    /// Takes an event, given as a value and as the text that is shown, and numbers it.
    pub(super) fn append(&mut self, event: &Value, text: &str) -> u64 {
        self.note(event);
        self.lines.push(text.into());
        let id = self.last();
        if let Some(file) = &mut self.file {
            // What is being made goes on, whether or not its events can be kept.
            _ = file.write_all(format!("{{\"id\":{id},\"data\":{text}}}\n").as_bytes());
        }
        id
    }

    /// Closes the file: the job has ended.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Number of the last event; that before the first where there is none.
    pub(super) fn last(&self) -> u64 {
        self.first + self.lines.len() as u64 - 1
    }

    /// The event that comes after a number. Whoever has a number of another time gets
    /// the first.
    pub(super) fn after(&self, id: u64) -> Option<(u64, Arc<str>)> {
        let from = if id > self.last() {
            self.first
        } else {
            self.first.max(id + 1)
        };
        let index = usize::try_from(from - self.first).ok()?;
        Some((from, Arc::clone(self.lines.get(index)?)))
    }

    /// How many resources are done, of how many.
    pub(super) fn resources(&self) -> Option<(u64, u64)> {
        self.resources
    }

    /// What the last plan would change.
    pub(super) fn planned(&self) -> &[PlannedChange] {
        &self.planned
    }

    fn note(&mut self, event: &Value) {
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        match event.get("event").and_then(Value::as_str) {
            Some("resources") => self.resources = number("done").zip(number("total")),
            Some("planned") => {
                self.planned = event
                    .get("changes")
                    .and_then(|changes| serde_json::from_value(changes.clone()).ok())
                    .unwrap_or_default();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tell(journal: &mut Journal, event: &Value) -> u64 {
        journal.append(event, &event.to_string())
    }

    fn all(journal: &Journal, mut id: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while let Some((next, _)) = journal.after(id) {
            found.push(next);
            id = next;
        }
        found
    }

    #[test]
    fn whoever_comes_back_misses_nothing_and_numbers_go_on_from_job_to_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::load(&path).unwrap();
        assert_eq!(journal.after(0), None);
        journal.renew().unwrap();
        for number in 1..=3 {
            let event = json!({"event": "resources", "done": number, "total": 3});
            assert_eq!(tell(&mut journal, &event), number);
        }
        assert_eq!(all(&journal, 0), [1, 2, 3]);
        assert_eq!(all(&journal, 2), [3]);
        assert_eq!(journal.after(3), None);
        // A number from before the data directory was put back.
        assert_eq!(all(&journal, 9), [1, 2, 3]);

        let kept = Journal::load(&path).unwrap();
        assert_eq!(all(&kept, 1), [2, 3]);
        assert_eq!(kept.after(2), journal.after(2));
        assert_eq!(kept.resources(), Some((3, 3)));

        let mut next = kept;
        next.renew().unwrap();
        assert_eq!(next.resources(), None);
        assert_eq!(next.after(3), None);
        assert_eq!(tell(&mut next, &json!({"event": "job-begun"})), 4);
        // Those that only the job before had are gone.
        assert_eq!(all(&next, 1), [4]);
    }

    #[test]
    fn what_a_power_cut_left_of_a_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let plan = json!({"event": "planned", "changes": [{"address": "a.b", "action": "create"}]});
        let text = format!("{{\"id\":7,\"data\":{plan}}}\n{{\"id\":8,\"da");
        fs::write(&path, text).unwrap();
        let journal = Journal::load(&path).unwrap();
        assert_eq!(all(&journal, 0), [7]);
        assert_eq!(journal.planned()[0].address, "a.b");
    }
}
