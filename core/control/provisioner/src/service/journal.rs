//! The events of a Sovereign's last job, numbered, in memory and in a file, so that
//! whoever follows them can come back to where they were, even after a restart.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::consent;
use crate::told::PlannedChange;

/// Events of one job. Numbers go on from job to job.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// While a job writes to it.
    open: Option<Open>,
    /// Number before the first event.
    before: u64,
    /// By number; one that was not kept is missing.
    lines: BTreeMap<u64, Arc<str>>,
    resources: Option<(u64, u64)>,
    planned: Vec<PlannedChange>,
    /// Of the last plan that was told.
    digest: Option<String>,
}

/// The file, and how much of it is whole lines.
#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Journal {
    /// The journal that lies at a path; an empty one where none does, or none that can
    /// be read: events tell what was, and keep nothing from going on.
    pub(super) fn load(path: &Path) -> Self {
        let mut journal = Self {
            path: path.to_owned(),
            open: None,
            before: 0,
            lines: BTreeMap::new(),
            resources: None,
            planned: Vec::new(),
            digest: None,
        };
        let content = fs::read(path).unwrap_or_default();
        for line in content.split(|byte| *byte == b'\n') {
            // What a power cut or a full disk left of a line is none.
            let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
                continue;
            };
            let is_next = line.id > journal.last() && line.id < u64::MAX;
            if !is_next {
                continue;
            }
            if journal.lines.is_empty() {
                journal.before = line.id - 1;
            }
            let data = line.data.get();
            journal.note(&serde_json::from_str(data).unwrap_or_default());
            journal.lines.insert(line.id, data.into());
        }
        journal
    }

    /// Begins anew for another job; numbers go on.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&self.path)?;
        self.open = Some(Open { file, length: 0 });
        self.before = self.last();
        self.lines.clear();
        self.resources = None;
        self.planned.clear();
        self.digest = None;
        Ok(())
    }

    /// Takes an event, given as a value and as the text that is shown, and numbers it.
    pub(super) fn append(&mut self, event: &Value, text: &str) -> u64 {
        self.note(event);
        let id = self.last() + 1;
        self.lines.insert(id, text.into());
        // What is being made goes on, whether or not its events can be kept.
        let line = format!("{{\"id\":{id},\"data\":{text}}}\n");
        if self
            .open
            .as_mut()
            .is_some_and(|open| !open.write(line.as_bytes()))
        {
            self.open = None;
        }
        id
    }

    /// Closes the file: the job has ended.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Number of the last event; that before the first where there is none.
    pub(super) fn last(&self) -> u64 {
        let last = self.lines.last_key_value();
        last.map_or(self.before, |(id, _)| *id)
    }

    /// The event that comes after a number. Whoever has a number of another time gets
    /// the first.
    pub(super) fn after(&self, id: u64) -> Option<(u64, Arc<str>)> {
        let after = if id > self.last() { 0 } else { id };
        let mut later = self.lines.range((Bound::Excluded(after), Bound::Unbounded));
        later.next().map(|(id, text)| (*id, Arc::clone(text)))
    }

    /// How many resources are done, of how many.
    pub(super) fn resources(&self) -> Option<(u64, u64)> {
        self.resources
    }

    /// What the last plan would change.
    pub(super) fn planned(&self) -> &[PlannedChange] {
        &self.planned
    }

    /// Digest of the last plan; `None` where none was told.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
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
                self.digest = Some(consent::digest(&self.planned));
            }
            _ => {}
        }
    }
}

impl Open {
    /// Writes a line behind those that are whole. Where it fails, what was written of it
    /// goes; `false` where even that cannot be done, and nothing more may be written.
    fn write(&mut self, line: &[u8]) -> bool {
        match self.file.write_all_at(line, self.length) {
            Ok(()) => {
                self.length += line.len() as u64;
                true
            }
            Err(_) => self.file.set_len(self.length).is_ok(),
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
        let mut journal = Journal::load(&path);
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

        let kept = Journal::load(&path);
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
    fn what_cannot_be_read_is_left_out_and_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let plan = json!({"event": "planned", "changes": [{"address": "a.b", "action": "create"}]});
        let mut content = format!("{{\"id\":7,\"data\":{plan}}}\n{{\"id\":8,\"da\n").into_bytes();
        content.extend(b"{\"id\":9,\"data\":\"\xff\xfe\"}\n\xff\n\n");
        content.extend(b"{\"id\":10,\"data\":{\"event\":\"resources\",\"done\":1,\"total\":2}}\n");
        // Numbers go up; one that does not is of no event.
        content.extend(b"{\"id\":3,\"data\":{}}\n{\"id\":18446744073709551615,\"data\":{}}\n");
        content.extend(b"{\"id\":11,\"data\":{\"even");
        fs::write(&path, content).unwrap();
        let mut journal = Journal::load(&path);
        assert_eq!(all(&journal, 0), [7, 10]);
        assert_eq!(all(&journal, 8), [10]);
        assert_eq!(journal.planned()[0].address, "a.b");
        let digest = consent::digest(journal.planned());
        assert_eq!(journal.digest(), Some(digest.as_str()));
        assert_eq!(journal.resources(), Some((1, 2)));
        journal.renew().unwrap();
        assert_eq!(journal.digest(), None);
        assert_eq!(tell(&mut journal, &json!({"event": "job-begun"})), 11);
    }

    #[test]
    fn a_journal_that_is_no_file_is_empty_and_one_that_takes_nothing_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Journal::load(folder.path()).last(), 0);
        // It can be opened, takes nothing and cannot be cut either.
        let path = folder.path().join("events.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut journal = Journal::load(folder.path());
        journal.path = path;
        journal.renew().unwrap();
        assert_eq!(tell(&mut journal, &json!({"event": "job-begun"})), 1);
        assert!(journal.open.is_none());
        assert_eq!(tell(&mut journal, &json!({"event": "job-ended"})), 2);
        assert_eq!(all(&journal, 0), [1, 2]);
    }

    /// The other half of the next test: the job whose file may not grow.
    #[test]
    fn the_job_without_room() {
        let Some(path) = std::env::var_os("CATALYST_TEST_NO_ROOM") else {
            return;
        };
        let mut journal = Journal::load(Path::new(&path));
        journal.renew().unwrap();
        for length in [300, 5000, 20] {
            let event = json!({"event": "waiting", "what": "x".repeat(length)});
            tell(&mut journal, &event);
        }
    }

    #[test]
    fn what_was_written_of_a_line_before_the_disk_was_full_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        // A file may have one block, of 512 or 1024 bytes by the shell's count. The
        // signal that would end the writer is left aside, as a full disk sends none.
        let ended = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact service::journal::tests::the_job_without_room"])
            .arg(std::env::current_exe().unwrap())
            .env("CATALYST_TEST_NO_ROOM", &path)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content.lines().count(), 2, "{content}");
        assert!(content.ends_with("\"}}\n"), "{content}");
        assert_eq!(all(&Journal::load(&path), 0), [1, 3]);
    }
}
