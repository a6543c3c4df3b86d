//! Where a Sovereign stands, for people and programs: `catalyst provision status`.

use std::path::PathBuf;

use catalyst_provisioner::directory::Directory;
use catalyst_provisioner::record::{Life, Next, Record, Step, next};
use serde_json::json;

use super::{Printed, Status, progress};
use crate::cli::output::{Output, print, say, table};

impl Status {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let (path, record) = self.record()?;
        let holder = Directory::holder(&path);
        let standing = standing(&record, holder.as_deref());
        if self.form.output == Printed::Json {
            let mut value = serde_json::to_value(&record)?;
            if let Some(object) = value.as_object_mut() {
                object.insert("next".to_owned(), json!(standing));
                object.insert("heldBy".to_owned(), json!(holder));
            }
            return Output::Json.value(&value);
        }
        print(&table(
            &["step", "state", "ended", "took", "versions"],
            rows(&record),
        ))?;
        say(&standing);
        Ok(())
    }

    /// The directory, and what its record says.
    fn record(&self) -> anyhow::Result<(PathBuf, Record)> {
        match &self.place.directory {
            // It says itself whose it is.
            Some(path) if !self.place.config.config.exists() => {
                Ok((path.clone(), Directory::look_at(path)?))
            }
            _ => {
                let config = self.place.config.read()?;
                let path = self.place.directory(&config)?;
                let record = Directory::look(&path, &config.sovereign_fqdn)?;
                Ok((path, record))
            }
        }
    }
}

fn rows(record: &Record) -> Vec<Vec<String>> {
    let is_being_undone = record.life == Life::Destroying;
    // A plan is good for one apply.
    let is_used_up = record
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.step == Step::Apply);
    Step::ALL
        .iter()
        .map(|step| {
            let attempt = record.attempt.as_ref().filter(|it| it.step == *step);
            let (state, ended, took, versions) = match (record.done.get(step), attempt) {
                (Some(done), _) => {
                    let versions: Vec<String> = done
                        .versions
                        .iter()
                        .map(|(name, version)| {
                            let short: String = version.chars().take(20).collect();
                            format!("{name} {short}")
                        })
                        .collect();
                    let took = progress::duration(done.seconds);
                    let state = match is_being_undone && *step >= Step::Apply {
                        true => "being undone",
                        false => "done",
                    };
                    (
                        state,
                        done.at.strftime("%F %TZ").to_string(),
                        took,
                        versions.join(", "),
                    )
                }
                (None, Some(attempt)) => {
                    let state = if attempt.failure.is_some() {
                        "failed"
                    } else {
                        "begun"
                    };
                    (state, String::new(), String::new(), String::new())
                }
                (None, None) => {
                    let state = match is_used_up && *step == Step::Plan {
                        true => "used up",
                        false => "",
                    };
                    (state, String::new(), String::new(), String::new())
                }
            };
            vec![step.to_string(), state.to_owned(), ended, took, versions]
        })
        .collect()
}

/// Where it stands in a sentence; `holder` says which run is at work on it, if any is.
fn standing(record: &Record, holder: Option<&str>) -> String {
    let sovereign = &record.sovereign;
    if let Some(holder) = holder {
        let task = match (&record.attempt, record.life) {
            (_, Life::Destroying) => "being destroyed".to_owned(),
            (Some(attempt), _) if attempt.failure.is_none() => {
                format!("at the step to {}", attempt.step.title())
            }
            _ => "being worked on".to_owned(),
        };
        return format!("{sovereign} is {task} ({holder}); wait for that run, or end it.");
    }
    match record.life {
        Life::Destroyed => return format!("{sovereign} is destroyed; nothing is left."),
        Life::Destroying => {
            return format!(
                "{sovereign} is being destroyed; run `catalyst provision destroy` until it is."
            );
        }
        Life::Archived => {
            return without(
                format!("{sovereign} is running, and its phase 0 is archived."),
                record,
            );
        }
        Life::Provisioning => {}
    }
    if let Some(attempt) = &record.attempt {
        return match &attempt.failure {
            // Most say it themselves.
            Some(failure) if failure.contains("catalyst provision") => failure.clone(),
            Some(failure) => format!("{failure}\nRun `catalyst provision resume` to go on."),
            None => format!(
                "It was to {}, and that run was cut off; go on with `catalyst provision resume`.",
                attempt.step.title()
            ),
        };
    }
    // Whatever inputs the steps were done with.
    let inputs = record
        .done
        .values()
        .next()
        .map_or("", |done| done.inputs.as_str());
    match next(record, inputs) {
        Next::Run(step) => format!("Next: {}. Run `catalyst provision resume`.", step.title()),
        _ => {
            let url = record.outputs.get("console_url").and_then(|it| it.as_str());
            match url.filter(|_| record.has_console()) {
                Some(url) => format!("{sovereign} is provisioned: {url}"),
                None => without(format!("{sovereign} is provisioned."), record),
            }
        }
    }
}

/// With what the Sovereign is without.
fn without(standing: String, record: &Record) -> String {
    match record.without() {
        Some(without) => format!("{standing} {without}"),
        None => standing,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn where_it_stands_says_what_it_is_without() {
        let mut record = Record::new("omantel.example", Timestamp::UNIX_EPOCH);
        for step in Step::ALL {
            record.begin(step, Timestamp::UNIX_EPOCH);
            record.finish(step, Timestamp::UNIX_EPOCH, "a", Default::default());
        }
        let url = "https://console.hfmp.omantel.example";
        record
            .outputs
            .insert("console_url".to_owned(), serde_json::json!(url));
        assert_eq!(
            standing(&record, None),
            format!("omantel.example is provisioned: {url}")
        );
        record.left_out.insert("catalyst".to_owned());
        for life in [Life::Provisioning, Life::Archived] {
            record.life = life;
            let said = standing(&record, None);
            assert!(
                said.contains("It is without catalyst") && !said.contains(url),
                "{said}"
            );
        }
    }

    #[test]
    fn where_it_stands_says_whether_a_run_is_at_work() {
        let mut record = Record::new("omantel.example", Timestamp::UNIX_EPOCH);
        record.begin(Step::Apply, Timestamp::UNIX_EPOCH);
        let at_work = standing(&record, Some("process 7, since noon"));
        assert!(
            at_work.contains("process 7") && !at_work.contains("resume"),
            "{at_work}"
        );
        let cut_off = standing(&record, None);
        assert!(
            cut_off.contains("was cut off") && cut_off.contains("provision resume"),
            "{cut_off}"
        );
    }

    #[test]
    fn the_steps_say_what_is_used_up_and_what_is_being_undone() {
        let mut record = Record::new("omantel.example", Timestamp::UNIX_EPOCH);
        let states = |record: &Record| -> Vec<String> {
            let rows = rows(record).into_iter();
            rows.filter_map(|row| row.into_iter().nth(1)).collect()
        };
        for step in [Step::Preflight, Step::Plan] {
            record.begin(step, Timestamp::UNIX_EPOCH);
            record.finish(step, Timestamp::UNIX_EPOCH, "a", Default::default());
        }
        record.begin(Step::Apply, Timestamp::UNIX_EPOCH);
        record.fail("no room".to_owned());
        assert_eq!(
            states(&record).into_iter().take(6).collect::<Vec<_>>(),
            ["done", "", "", "", "used up", "failed"]
        );
        record.begin(Step::Apply, Timestamp::UNIX_EPOCH);
        record.finish(Step::Apply, Timestamp::UNIX_EPOCH, "a", Default::default());
        record.life = Life::Destroying;
        assert_eq!(
            states(&record).into_iter().take(6).collect::<Vec<_>>(),
            ["done", "", "", "", "done", "being undone"]
        );
    }
}
