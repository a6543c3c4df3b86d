//! EnvironmentPolicies: what stands against a change, in sentences. Pure; time
//! is a value.

use std::collections::BTreeMap;

use catalyst_ports::{Review, ReviewState};
use catalyst_resources::{EnvironmentPolicy, EnvironmentPolicySpec, PolicyRule, RuleKind};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The longest window and soak.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 90);

/// An Application's version that a change brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    pub application: String,
    pub version: String,
}

/// What is known when a change is judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub now: Timestamp,
    /// Who made the change; may not approve it.
    pub authors: Vec<String>,
    /// The commit that is to enter.
    pub head: String,
    /// Reviews, oldest first.
    pub reviews: Vec<Review>,
    /// Reviewers who may change the Environment.
    pub may_approve: Vec<String>,
    /// Versions that the change brings.
    pub brought: Vec<Brought>,
    /// (Environment, Application) → the version there, and since when.
    pub running: BTreeMap<(String, String), (String, Timestamp)>,
}

/// Whether changes must come by pull request.
pub(crate) fn needs_pull(policies: &[&EnvironmentPolicy]) -> bool {
    rules(policies).any(|(_, rule)| rule.kind == RuleKind::PrRequired)
}

/// Names of the policies with a rule that asks for a pull request.
pub(crate) fn pull_policies(policies: &[&EnvironmentPolicy]) -> Vec<String> {
    let mut names: Vec<String> = rules(policies)
        .filter(|(_, rule)| rule.kind == RuleKind::PrRequired)
        .map(|(policy, _)| policy.metadata.name.clone())
        .collect();
    names.dedup();
    names
}

/// The Environments that soak rules look at.
pub(crate) fn soak_sources(policies: &[&EnvironmentPolicy]) -> Vec<String> {
    let mut found: Vec<String> = rules(policies)
        .filter(|(_, rule)| rule.kind == RuleKind::Soak)
        .filter_map(|(_, rule)| rule.source_environment.clone())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What stands against the change as such: windows and soaks.
pub(crate) fn entry_blocks(policies: &[&EnvironmentPolicy], facts: &Facts) -> Vec<String> {
    rules(policies)
        .flat_map(|(policy, rule)| {
            let name = &policy.metadata.name;
            match rule.kind {
                RuleKind::PrRequired => Vec::new(),
                RuleKind::ChangeWindow => window_block(name, rule, facts.now).into_iter().collect(),
                RuleKind::Soak => soak_blocks(name, rule, facts),
                // Never admitted; what cannot be judged does not pass.
                RuleKind::ScoreGate => {
                    vec![format!(
                        "the policy {name} has a score-gate, which is not supported"
                    )]
                }
            }
        })
        .collect()
}

/// What stands against merging a pull request: the above, and approvals.
pub(crate) fn merge_blocks(policies: &[&EnvironmentPolicy], facts: &Facts) -> Vec<String> {
    let mut blocks = Vec::new();
    for (policy, rule) in rules(policies) {
        if rule.kind != RuleKind::PrRequired {
            continue;
        }
        let wanted = wanted_approvals(rule);
        let given = approvals(rule, facts);
        if given.len() < wanted {
            let who = if rule.approvers.is_empty() {
                "somebody who may change this Environment".to_owned()
            } else {
                rule.approvers.join(" or ")
            };
            blocks.push(format!(
                "the policy {} asks for {wanted} approval{} by {who}, other than the author; there {} {}",
                policy.metadata.name,
                if wanted == 1 { "" } else { "s" },
                if given.len() == 1 { "is" } else { "are" },
                given.len(),
            ));
        }
    }
    for user in latest(facts)
        .into_iter()
        .filter(|(_, review)| review.state == ReviewState::ChangesRequested)
        .map(|(user, _)| user)
    {
        blocks.push(format!("changes are asked for by {user}"));
    }
    blocks.extend(entry_blocks(policies, facts));
    blocks
}

/// Everything wrong with a policy before it is written.
pub(crate) fn problems(spec: &EnvironmentPolicySpec) -> Vec<String> {
    let mut found = Vec::new();
    if spec.applies_to.environments.is_empty() {
        found.push(
            "it binds no Environment; name at least one in appliesTo.environments".to_owned(),
        );
    }
    for rule in &spec.rules {
        match rule.kind {
            RuleKind::PrRequired => {
                if rule.min_approvals.is_some_and(|wanted| !(0..=10).contains(&wanted)) {
                    found.push("minApprovals of pr-required must be 0 to 10".to_owned());
                }
            }
            RuleKind::Soak => {
                if rule.source_environment.is_none() {
                    found.push(
                        "a soak rule lacks sourceEnvironment: where the version must have run"
                            .to_owned(),
                    );
                }
                if let Err(reason) = wanted_duration(rule.duration.as_deref()) {
                    found.push(format!("the duration of soak {reason}"));
                }
            }
            RuleKind::ChangeWindow => match &rule.window {
                None => found.push("change-window lacks window {cron, duration}".to_owned()),
                Some(window) => {
                    if let Err(reason) = Cron::parse(&window.cron) {
                        found.push(format!("the cron expression of change-window {reason}"));
                    }
                    if let Err(reason) = wanted_duration(Some(&window.duration)) {
                        found.push(format!("the duration of change-window {reason}"));
                    }
                }
            },
            RuleKind::ScoreGate => found.push(
                "score-gate is not supported: this Sovereign has no scanner whose scores it could ask; use pr-required, soak or change-window"
                    .to_owned(),
            ),
        }
    }
    found
}

fn rules<'a>(
    policies: &'a [&EnvironmentPolicy],
) -> impl Iterator<Item = (&'a EnvironmentPolicy, &'a PolicyRule)> {
    policies
        .iter()
        .flat_map(|policy| policy.spec.rules.iter().map(move |rule| (*policy, rule)))
}

/// How many approvals a pr-required rule asks for.
pub(crate) fn wanted_approvals(rule: &PolicyRule) -> usize {
    usize::try_from(rule.min_approvals.unwrap_or(1)).unwrap_or(1)
}

/// Each reviewer's last word on the commit that is to enter.
fn latest(facts: &Facts) -> BTreeMap<&str, &Review> {
    facts
        .reviews
        .iter()
        .filter(|review| review.state != ReviewState::Commented)
        .map(|review| (review.user.as_str(), review))
        .collect()
}

fn approvals<'a>(rule: &PolicyRule, facts: &'a Facts) -> Vec<&'a str> {
    latest(facts)
        .into_iter()
        .filter(|(user, review)| {
            let is_entitled = if rule.approvers.is_empty() {
                facts.may_approve.iter().any(|name| name == user)
            } else {
                rule.approvers.iter().any(|name| name == user)
            };
            review.state == ReviewState::Approved
                && review.commit == facts.head
                && is_entitled
                && !facts.authors.iter().any(|author| author == user)
        })
        .map(|(user, _)| user)
        .collect()
}

/// Who approved, for people: entitled or not to satisfy a rule.
pub(crate) fn approvers(facts: &Facts) -> Vec<String> {
    latest(facts)
        .into_iter()
        .filter(|(_, review)| review.state == ReviewState::Approved && review.commit == facts.head)
        .map(|(user, _)| user.to_owned())
        .collect()
}

fn window_block(policy: &str, rule: &PolicyRule, now: Timestamp) -> Option<String> {
    let window = rule.window.as_ref()?;
    let (Ok(cron), Ok(duration)) = (
        Cron::parse(&window.cron),
        wanted_duration(Some(&window.duration)),
    ) else {
        return Some(format!(
            "the policy {policy} has a change-window that cannot be read"
        ));
    };
    if cron.is_open(now, duration) {
        return None;
    }
    Some(format!(
        "the policy {policy} lets changes in only while its window is open: `{}` in UTC, for {}",
        window.cron, window.duration
    ))
}

fn soak_blocks(policy: &str, rule: &PolicyRule, facts: &Facts) -> Vec<String> {
    let (Some(source), Ok(duration)) = (
        &rule.source_environment,
        wanted_duration(rule.duration.as_deref()),
    ) else {
        return vec![format!(
            "the policy {policy} has a soak rule that cannot be read"
        )];
    };
    let wanted = rule.duration.clone().unwrap_or_default();
    facts
        .brought
        .iter()
        .filter_map(|brought| {
            let place = (source.clone(), brought.application.clone());
            let asked = format!(
                "the policy {policy} asks that {} {} has run in {source} for {wanted}",
                brought.application, brought.version
            );
            match facts.running.get(&place) {
                Some((version, since)) if *version == brought.version => {
                    let ran = facts.now.duration_since(*since);
                    (ran < duration)
                        .then(|| format!("{asked}; so far it has run there for {}", readable(ran)))
                }
                Some((version, _)) => Some(format!("{asked}; {version} runs there")),
                None => Some(format!("{asked}; it is not there")),
            }
        })
        .collect()
}

fn readable(duration: SignedDuration) -> String {
    let minutes = duration.as_mins().max(0);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    }
}

fn wanted_duration(text: Option<&str>) -> Result<SignedDuration, String> {
    let text = text.ok_or("is missing; write it like `24h`")?;
    duration(text)
        .filter(|found| found.is_positive() && *found <= LONGEST)
        .ok_or_else(|| {
            format!("{text:?} cannot be used; write it like `24h` or `1h30m`, 90d at most")
        })
}

/// `90s`, `24h`, `1h30m`, `7d`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let mut total: i64 = 0;
    let mut digits = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let seconds = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return None,
        };
        let amount: i64 = digits.parse().ok()?;
        total = total.checked_add(amount.checked_mul(seconds)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then(|| SignedDuration::from_secs(total))
}

/// A cron expression: minute, hour, day of month, month, day of week, in UTC.
struct Cron {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    weekdays: Vec<i8>,
    /// With both kinds of day restricted, either will do (POSIX).
    either_day: bool,
}

impl Cron {
    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "{text:?} does not have five fields: minute, hour, day of month, month, day of week"
            ));
        };
        let field = |text: &str, least: i8, most: i8| {
            values(text, least, most).ok_or_else(|| {
                format!("has {text:?}, which is no list of numbers from {least} to {most}")
            })
        };
        Ok(Self {
            minutes: field(minute, 0, 59)?,
            hours: field(hour, 0, 23)?,
            days: field(day, 1, 31)?,
            months: field(month, 1, 12)?,
            // Sunday is 0, and 7 too.
            weekdays: field(weekday, 0, 7)?.iter().map(|day| day % 7).collect(),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    fn opens_at(&self, at: Timestamp) -> bool {
        let at = at.to_zoned(TimeZone::UTC);
        let day = self.days.contains(&at.day());
        let weekday = self
            .weekdays
            .contains(&at.weekday().to_sunday_zero_offset());
        let fits_day = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        self.minutes.contains(&at.minute())
            && self.hours.contains(&at.hour())
            && self.months.contains(&at.month())
            && fits_day
    }

    /// Whether a window that stays open for `duration` is open.
    fn is_open(&self, now: Timestamp, duration: SignedDuration) -> bool {
        let minutes = duration.as_mins().max(1);
        let second = now.as_second();
        let this_minute = second - second.rem_euclid(60);
        (0..minutes).any(|back| {
            Timestamp::from_second(this_minute - back * 60).is_ok_and(|at| self.opens_at(at))
        })
    }
}

fn values(text: &str, least: i8, most: i8) -> Option<Vec<i8>> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => {
                let one = range.parse().ok()?;
                (one, if part.contains('/') { most } else { one })
            }
        };
        if from < least || to > most || from > to {
            return None;
        }
        found.extend((from..=to).step_by(step));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy(rules: Value) -> EnvironmentPolicy {
        serde_json::from_value(json!({
            "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "EnvironmentPolicy",
            "metadata": {"name": "careful"},
            "spec": {"appliesTo": {"environments": ["acme-prod"]}, "rules": rules},
        }))
        .unwrap()
    }

    fn review(user: &str, state: ReviewState, commit: &str) -> Review {
        Review {
            user: user.to_owned(),
            state,
            commit: commit.to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_approval_counts_from_another_entitled_user_on_this_commit() {
        let anybody = policy(json!([{"kind": "pr-required", "minApprovals": 1}]));
        let named =
            policy(json!([{"kind": "pr-required", "minApprovals": 1, "approvers": ["eve"]}]));
        let approved = |user: &str, commit: &str| vec![review(user, ReviewState::Approved, commit)];
        for (policy, reviews, blocks) in [
            (&anybody, vec![], 1),
            (&anybody, approved("bob", "h"), 0),
            (&anybody, approved("ada", "h"), 1),
            (&anybody, approved("bob", "old"), 1),
            (&anybody, approved("mallory", "h"), 1),
            (&named, approved("bob", "h"), 1),
            (&named, approved("eve", "h"), 0),
            (
                &anybody,
                vec![
                    review("bob", ReviewState::Approved, "h"),
                    review("bob", ReviewState::ChangesRequested, "h"),
                ],
                2,
            ),
            (
                &anybody,
                vec![
                    review("bob", ReviewState::ChangesRequested, "h"),
                    review("bob", ReviewState::Approved, "h"),
                ],
                0,
            ),
        ] {
            let facts = Facts {
                authors: vec!["ada".to_owned()],
                head: "h".to_owned(),
                reviews: reviews.clone(),
                may_approve: vec!["ada".to_owned(), "bob".to_owned()],
                ..Facts::default()
            };
            let found = merge_blocks(&[policy], &facts);
            assert_eq!(found.len(), blocks, "{reviews:?}: {found:?}");
        }
    }

    #[test]
    fn windows_open_and_close_in_utc() {
        for (cron, duration, now, open) in [
            ("0 9 * * 1-5", "8h", "2026-11-23T09:00:00Z", true),
            ("0 9 * * 1-5", "8h", "2026-11-23T16:59:59Z", true),
            ("0 9 * * 1-5", "8h", "2026-11-23T17:00:00Z", false),
            ("0 9 * * 1-5", "8h", "2026-11-22T10:00:00Z", false),
            ("0 22 * * *", "4h", "2026-11-23T01:30:00Z", true),
            ("*/15 * * * *", "1m", "2026-11-23T10:15:30Z", true),
            ("*/15 * * * *", "1m", "2026-11-23T10:16:00Z", false),
            ("0 0 1 * 0", "1h", "2026-11-22T00:10:00Z", true),
            ("0 0 * * 7", "1h", "2026-11-22T00:10:00Z", true),
        ] {
            let policy = policy(
                json!([{"kind": "change-window", "window": {"cron": cron, "duration": duration}}]),
            );
            let facts = Facts {
                now: at(now),
                ..Facts::default()
            };
            assert_eq!(
                entry_blocks(&[&policy], &facts).is_empty(),
                open,
                "{cron} {duration} at {now}"
            );
        }
    }

    #[test]
    fn a_version_soaks_where_the_rule_says() {
        let policy =
            policy(json!([{"kind": "soak", "sourceEnvironment": "acme-stg", "duration": "24h"}]));
        for (running, expected) in [
            (Some(("1.1.0", "2026-11-22T09:00:00Z")), None),
            (Some(("1.1.0", "2026-11-23T09:00:00Z")), Some("for 1h")),
            (
                Some(("1.0.0", "2026-11-01T00:00:00Z")),
                Some("1.0.0 runs there"),
            ),
            (None, Some("it is not there")),
        ] {
            let facts = Facts {
                now: at("2026-11-23T10:00:00Z"),
                brought: vec![Brought {
                    application: "wiki".to_owned(),
                    version: "1.1.0".to_owned(),
                }],
                running: running
                    .map(|(version, since)| {
                        (
                            ("acme-stg".to_owned(), "wiki".to_owned()),
                            (version.to_owned(), at(since)),
                        )
                    })
                    .into_iter()
                    .collect(),
                ..Facts::default()
            };
            let found = entry_blocks(&[&policy], &facts);
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(words) => assert!(found[0].contains(words), "{found:?}"),
            }
        }
    }

    #[test]
    fn a_policy_that_cannot_be_kept_is_refused_when_written() {
        for (rule, words) in [
            (
                json!({"kind": "score-gate", "minScore": 7.0}),
                "score-gate is not supported",
            ),
            (
                json!({"kind": "soak", "duration": "1h"}),
                "sourceEnvironment",
            ),
            (
                json!({"kind": "soak", "sourceEnvironment": "a-dev", "duration": "soon"}),
                "duration",
            ),
            (json!({"kind": "change-window"}), "lacks window"),
            (
                json!({"kind": "change-window", "window": {"cron": "9 to 5", "duration": "1h"}}),
                "five fields",
            ),
            (
                json!({"kind": "change-window", "window": {"cron": "61 * * * *", "duration": "1h"}}),
                "0 to 59",
            ),
            (
                json!({"kind": "pr-required", "minApprovals": 99}),
                "0 to 10",
            ),
        ] {
            let found = problems(&policy(json!([rule])).spec);
            assert!(
                found.iter().any(|line| line.contains(words)),
                "{words}: {found:?}"
            );
        }
        assert!(problems(&policy(json!([{"kind": "pr-required"}])).spec).is_empty());
    }
}
