//! What people and programs see while a Sovereign is provisioned.
//!
//! People get lines on standard error: a step with its place and usual time, each
//! resource as it is done, what is waited for. Programs get every event on standard
//! output, one JSON object a line, with the time it was told.

use std::time::Instant;

use catalyst_provisioner::record::Record;
use catalyst_provisioner::service::Outcome;
use catalyst_provisioner::tofu::{Planned, ResourceState, TofuEvent};
use catalyst_provisioner::{Event, Milestone, stamped};
use serde::Serialize;
use serde_json::Value;

use super::Printed;
use crate::cli::output::{offer, print, say, tell};

pub(super) struct Display {
    form: Printed,
    begun: Instant,
}

impl Display {
    pub(super) fn new(form: Printed) -> Self {
        Self {
            form,
            begun: Instant::now(),
        }
    }

    /// What is being made goes on, whether or not anybody reads this.
    pub(super) fn tell(&mut self, event: &Event) {
        match self.form {
            Printed::Json => {
                if let Ok(text) = line(event) {
                    _ = offer(text.as_bytes());
                }
            }
            Printed::Text => {
                if let Some(text) = describe(event, self.begun.elapsed().as_secs()) {
                    tell(&text);
                }
            }
        }
    }

    /// The plan, or that there is none to make.
    pub(super) fn planned(&self, planned: Option<&Planned>) -> anyhow::Result<()> {
        if self.form == Printed::Json {
            return print(&line(&Milestone::planned(planned))?);
        }
        let Some(planned) = planned.filter(|planned| !planned.is_empty()) else {
            say("Nothing would change.");
            return Ok(());
        };
        let mut text = String::new();
        for (address, action) in &planned.changes {
            text.push_str(&format!("{:<8} {address}\n", action));
        }
        print(&text)?;
        let counts: Vec<String> = ["create", "update", "replace", "delete"]
            .iter()
            .map(|action| (planned.count(action), action))
            .filter(|(count, _)| *count > 0)
            .map(|(count, action)| format!("{count} to {action}"))
            .collect();
        say(&format!("Plan: {}.", counts.join(", ")));
        Ok(())
    }

    pub(super) fn finished(&self, record: &Record) -> anyhow::Result<()> {
        if self.form == Printed::Json {
            return print(&line(&Milestone::Finished {
                sovereign: record.sovereign.clone(),
                outputs: record.outputs.clone(),
                left_out: record.left_out.clone(),
            })?);
        }
        say(&format!(
            "{} is provisioned, in {}.",
            record.sovereign,
            duration(self.begun.elapsed().as_secs())
        ));
        if let Some(without) = record.without() {
            say(&without);
        }
        if let Some(records) = record.outputs.get("dns_records").and_then(Value::as_array) {
            say("Its domain leads to it when DNS has:");
            for record in records {
                let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("?");
                say(&format!(
                    "  {} {} {}",
                    text("name"),
                    text("type"),
                    text("value")
                ));
            }
        }
        if let Some(command) = record
            .outputs
            .get("kubeconfig_command")
            .and_then(Value::as_str)
        {
            say(&format!("For a kubeconfig:\n  {command}"));
        }
        say("When all is well, end phase 0 with `catalyst provision archive`.");
        let url = record.outputs.get("console_url").and_then(Value::as_str);
        match url.filter(|_| record.has_console()) {
            Some(url) => print(&format!("{url}\n")),
            None => Ok(()),
        }
    }

    pub(super) fn destroyed(&self, sovereign: &str) -> anyhow::Result<()> {
        if self.form == Printed::Json {
            return print(&line(&Milestone::Destroyed {
                sovereign: sovereign.to_owned(),
            })?);
        }
        say(&format!(
            "{sovereign} is destroyed: OpenTofu's state is empty, and nothing in the project carries its label, and no volume or load balancer is left that its cluster had made."
        ));
        Ok(())
    }
}

/// How it ended, for programs. Nobody may read it any more, which changes nothing.
pub(super) fn ended(outcome: Outcome, failure: Option<String>) {
    if let Ok(text) = line(&Milestone::JobEnded { outcome, failure }) {
        _ = offer(text.as_bytes());
    }
}

/// Something of one command's own, for programs.
pub(super) fn told(event: &Value) -> anyhow::Result<()> {
    print(&line(event)?)
}

/// An event as a line of JSON, with the time.
fn line(event: &impl Serialize) -> anyhow::Result<String> {
    Ok(format!("{}\n", stamped(event)?))
}

/// Seconds as people say them.
pub(super) fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// The line for people, if the event is worth one.
fn describe(event: &Event, elapsed: u64) -> Option<String> {
    Some(match event {
        Event::StepBegun {
            step,
            number,
            of,
            expected_seconds,
        } => {
            let so_far = match elapsed {
                0 => String::new(),
                elapsed => format!("; {} so far", duration(elapsed)),
            };
            format!(
                "[{number:>2}/{of}] {} (usually {}{so_far})",
                step.title(),
                duration(*expected_seconds),
            )
        }
        Event::StepDone { seconds, .. } if *seconds >= 2 => {
            format!("        done in {}", duration(*seconds))
        }
        // The error itself is told at the end, with its hints.
        Event::StepDone { .. } | Event::StepFailed { .. } => return None,
        // Problems too: they are the error.
        Event::Found(found) if found.problem => return None,
        Event::Found(found) => format!("        note: {}: {}", found.subject, found.message),
        Event::Resources { done, total } => {
            format!(
                "        {done}/{total} resources, {} so far",
                duration(elapsed)
            )
        }
        Event::Waiting {
            what,
            seconds,
            limit_seconds,
            ..
        } => format!(
            "        {} of at most {}: {what}",
            duration(*seconds),
            duration(*limit_seconds)
        ),
        Event::Tofu(TofuEvent::Resource {
            address,
            action,
            state,
            seconds,
        }) => match state {
            ResourceState::Done => {
                format!("        {address}: {action} done in {}", duration(*seconds))
            }
            ResourceState::Failed => format!("        {address}: {action} failed"),
            ResourceState::Working => {
                format!("        {address}: {action}, {} so far", duration(*seconds))
            }
            ResourceState::Begun => return None,
        },
        Event::Tofu(TofuEvent::Diagnostic(found)) if !found.error => {
            format!("        warning: {}", found.summary)
        }
        Event::Tofu(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use catalyst_provisioner::preflight::Finding;
    use catalyst_provisioner::record::Step;

    use super::*;

    #[test]
    fn what_has_just_begun_has_taken_no_time() {
        let begun = Event::StepBegun {
            step: Step::Preflight,
            number: 1,
            of: 14,
            expected_seconds: 10,
        };
        assert_eq!(
            describe(&begun, 0).unwrap(),
            "[ 1/14] look for what would fail later (usually 10s)"
        );
    }

    #[test]
    fn people_read_steps_resources_and_what_is_waited_for() {
        let resource = |state| {
            Event::Tofu(TofuEvent::Resource {
                address: "hcloud_network.sovereign".to_owned(),
                action: "create".to_owned(),
                state,
                seconds: 3,
            })
        };
        let events = [
            Event::StepBegun {
                step: Step::Apply,
                number: 6,
                of: 14,
                expected_seconds: 180,
            },
            resource(ResourceState::Begun),
            resource(ResourceState::Done),
            Event::Resources { done: 1, total: 31 },
            Event::StepDone {
                step: Step::Apply,
                seconds: 71,
            },
            Event::Waiting {
                step: Step::WaitParts,
                what: "3 of 22 parts are Ready; openbao: Unhealthy".to_owned(),
                seconds: 3700,
                limit_seconds: 7200,
            },
            Event::Found(Finding {
                problem: false,
                subject: "DNS".to_owned(),
                message: "nobody answers".to_owned(),
            }),
            // It is told at the end, with all others.
            Event::Found(Finding {
                problem: true,
                subject: "token".to_owned(),
                message: "it may only read".to_owned(),
            }),
        ];
        let lines: Vec<String> = events
            .iter()
            .filter_map(|event| describe(event, 64))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        [ 6/14] create the resources (usually 3m00s; 1m04s so far)
                hcloud_network.sovereign: create done in 3s
                1/31 resources, 1m04s so far
                done in 1m11s
                1h01m of at most 2h00m: 3 of 22 parts are Ready; openbao: Unhealthy
                note: DNS: nobody answers
        ");
    }
}
