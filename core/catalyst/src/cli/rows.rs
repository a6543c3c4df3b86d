//! The columns of everything that `catalyst get` and its relatives print.

use std::fmt::Write as _;

use catalyst_api::{
    Accepted, ApplicationSummary, ApplicationView, BlueprintCard, BlueprintSourceView,
    DeletionView, EnvironmentView, Health, Invitation, MemberView, Membership, ObjectView,
    OrganizationRole, OrganizationView, PolicyView, PullRequestView, RegistryHook, Removed,
    Revision, TrustedSignerView, UpgradeView, UserView,
};

use serde_json::Value;

use super::output::Row;

/// Yes or no.
pub fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// Roles by Organization.
pub fn memberships(memberships: &[Membership]) -> String {
    let one = |it: &Membership| format!("{}: {}", it.organization, role(it.role));
    memberships.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The role's word, as the API has it.
pub fn role(role: OrganizationRole) -> String {
    serde_json::to_value(role)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn phase(health: &Health) -> String {
    health.phase.clone()
}

/// The first characters of a commit's id.
pub fn short(commit: &str) -> String {
    commit.chars().take(10).collect()
}

/// How a message announces the last lines of a log, which follow it.
const LAST_LINES: &str = "its last lines:";

/// A message in one line: its first, and where lines of a log follow, the last of them,
/// which says most often why.
fn in_a_line(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    let first = lines.first().copied().unwrap_or_default();
    let announces = |line: &str| line.ends_with(LAST_LINES);
    let Some(at) = lines.iter().position(|line| announces(line)) else {
        return first.to_owned();
    };
    let announced = lines.get(at).copied().unwrap_or_default();
    let rest = lines.get(at + 1..).unwrap_or_default();
    // A second container may have crashed, and its lines follow.
    let last = rest
        .iter()
        .take_while(|line| !announces(line))
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
        .last();
    let said = match (announced.strip_suffix(LAST_LINES), last) {
        (Some(head), Some(last)) => format!("{head}its last line: {last}"),
        _ => announced.to_owned(),
    };
    match at {
        0 => said,
        _ => format!("{first}; {said}"),
    }
}

impl Row for OrganizationView {
    const HEADER: &'static [&'static str] = &["name", "title", "environments", "members", "phase"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.display_name.clone(),
            self.environments.join(", "),
            self.members.len().to_string(),
            phase(&self.health),
        ]
    }
}

impl Row for EnvironmentView {
    const HEADER: &'static [&'static str] = &[
        "name",
        "organization",
        "applications",
        "policies",
        "revision",
        "phase",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.organization.clone(),
            self.applications.to_string(),
            self.policies.join(", "),
            short(self.applied_revision.as_deref().unwrap_or_default()),
            phase(&self.health),
        ]
    }
}

impl Row for ApplicationSummary {
    const HEADER: &'static [&'static str] = &[
        "environment",
        "name",
        "blueprint",
        "version",
        "phase",
        "address",
        "message",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.environment.clone(),
            self.name.clone(),
            format!("{}/{}", self.source, self.blueprint),
            self.version.clone(),
            phase(&self.health),
            self.url.clone().unwrap_or_default(),
            in_a_line(&self.health.message),
        ]
    }
}

impl Row for ApplicationView {
    const HEADER: &'static [&'static str] = ApplicationSummary::HEADER;

    fn cells(&self) -> Vec<String> {
        self.summary.cells()
    }
}

impl Row for ObjectView {
    const HEADER: &'static [&'static str] = &["kind", "namespace", "name", "ready", "message"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.namespace.clone().unwrap_or_default(),
            self.name.clone(),
            self.ready.map(yes).unwrap_or_default(),
            in_a_line(&self.message),
        ]
    }
}

impl Row for BlueprintCard {
    const HEADER: &'static [&'static str] = &["source", "name", "version", "category", "title"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.source.clone(),
            self.name.clone(),
            self.version.clone(),
            self.category.clone().unwrap_or_default(),
            self.title.clone(),
        ]
    }
}

/// A rule of a policy in a line: its kind, then what it says, as in its file.
fn rule(rule: &Value) -> String {
    let Some(fields) = rule.as_object() else {
        return rule.to_string();
    };
    let kind = fields.get("kind").and_then(Value::as_str);
    let mut line = kind.unwrap_or_default().to_owned();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => continue,
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                items.join(", ")
            }
            other => other.to_string(),
        };
        _ = write!(line, " {name}={value}");
    }
    line
}

impl Row for BlueprintSourceView {
    const HEADER: &'static [&'static str] = &[
        "source",
        "revision",
        "blueprints",
        "problems",
        "refused",
        "phase",
        "message",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.source.clone(),
            short(self.revision.as_deref().unwrap_or_default()),
            self.blueprints.len().to_string(),
            self.problems.len().to_string(),
            self.refused.len().to_string(),
            phase(&self.health),
            in_a_line(&self.health.message),
        ]
    }
}

impl Row for PolicyView {
    const HEADER: &'static [&'static str] = &["name", "environments", "rules"];

    fn cells(&self) -> Vec<String> {
        let rules: Vec<String> = self.rules.iter().map(rule).collect();
        vec![
            self.name.clone(),
            self.environments.join(", "),
            rules.join("; "),
        ]
    }
}

impl Row for PullRequestView {
    const HEADER: &'static [&'static str] = &[
        "environment",
        "number",
        "state",
        "author",
        "approved by",
        "title",
        "blocked by",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.environment.clone(),
            self.number.to_string(),
            self.state.clone(),
            self.author.clone(),
            self.approvals.join(", "),
            self.title.clone(),
            // Each may have commas and semicolons of its own.
            self.blocked_by.join(" | "),
        ]
    }
}

impl Row for UpgradeView {
    const HEADER: &'static [&'static str] = &[
        "name",
        "blueprint",
        "to",
        "organization",
        "phase",
        "wave",
        "done",
        "message",
    ];

    fn cells(&self) -> Vec<String> {
        let all = || self.waves.iter().flat_map(|wave| &wave.applications);
        let done = all().filter(|it| ["Done", "Left"].contains(&it.state.as_str()));
        let wave = self
            .wave
            .map(|wave| format!("{wave} of {}", self.waves.len()));
        vec![
            self.name.clone(),
            format!("{}/{}", self.source, self.blueprint),
            self.to.clone(),
            self.organization.clone().unwrap_or_default(),
            self.phase.clone(),
            wave.unwrap_or_default(),
            format!("{} of {}", done.count(), all().count()),
            in_a_line(&self.message),
        ]
    }
}

impl Row for DeletionView {
    const HEADER: &'static [&'static str] = &[
        "kind",
        "name",
        "started",
        "ended",
        "waiting for",
        "left behind",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.name.clone(),
            self.started_at.clone(),
            self.ended_at.clone().unwrap_or_default(),
            self.waiting_for.clone().unwrap_or_default(),
            self.left_behind.join(", "),
        ]
    }
}

impl Row for UserView {
    const HEADER: &'static [&'static str] = &[
        "user",
        "email",
        "active",
        "sovereign admin",
        "organizations",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.email.clone().unwrap_or_default(),
            yes(self.active),
            yes(self.sovereign_admin),
            memberships(&self.organizations),
        ]
    }
}

impl Row for MemberView {
    const HEADER: &'static [&'static str] = &["member", "role", "environments"];

    fn cells(&self) -> Vec<String> {
        let name = match (&self.user, &self.group) {
            (Some(user), _) => user.clone(),
            (None, Some(group)) => format!("group {group}"),
            (None, None) => String::new(),
        };
        let environments = match self.environments.is_empty() {
            true => "all".to_owned(),
            false => self.environments.join(", "),
        };
        vec![name, role(self.role), environments]
    }
}

impl Row for Invitation {
    const HEADER: &'static [&'static str] = &["user", "link", "ends"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.url.clone().unwrap_or_default(),
            self.expires_at.clone().unwrap_or_default(),
        ]
    }
}

impl Row for Accepted {
    const HEADER: &'static [&'static str] = &["repository", "commit", "pull request"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.repository.clone(),
            short(self.commit.as_deref().unwrap_or_default()),
            self.pull_request
                .map(|it| it.to_string())
                .unwrap_or_default(),
        ]
    }
}

impl Row for Revision {
    const HEADER: &'static [&'static str] =
        &["commit", "at", "author", "command", "runs", "subject"];

    fn cells(&self) -> Vec<String> {
        vec![
            short(&self.commit),
            self.at.clone(),
            author(self),
            self.command.clone().unwrap_or_default(),
            yes(self.applied),
            self.subject.clone(),
        ]
    }
}

/// Whose change it is; with who pushed it, where that is somebody else.
fn author(revision: &Revision) -> String {
    let author = &revision.author;
    match &revision.pushed_by {
        Some(user) if !user.eq_ignore_ascii_case(author) => format!("{author}, pushed by {user}"),
        _ => author.clone(),
    }
}

impl Row for Removed {
    const HEADER: &'static [&'static str] = &["kind", "name", ""];

    fn cells(&self) -> Vec<String> {
        vec![self.kind.clone(), self.name.clone(), "is gone".to_owned()]
    }
}

impl Row for RegistryHook {
    const HEADER: &'static [&'static str] = &["url", "authorization"];

    fn cells(&self) -> Vec<String> {
        let shown = format!("Bearer {}", self.token.reveal());
        vec![self.url.clone(), shown]
    }
}

impl Row for TrustedSignerView {
    const HEADER: &'static [&'static str] = &["source", "fingerprint"];

    fn cells(&self) -> Vec<String> {
        vec![self.source.clone(), self.fingerprint.clone()]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_pushed_stands_beside_another_author() {
        for (by, pushed_by, shown) in [
            ("Robert", Some("bob"), "Robert, pushed by bob"),
            ("Bob", Some("bob"), "Bob"),
            ("alice", None, "alice"),
        ] {
            let revision = json!({
                "commit": "0123456789", "author": by, "authorEmail": "", "at": "",
                "subject": "", "pushedBy": pushed_by, "applied": false,
            });
            let revision: Revision = serde_json::from_value(revision).unwrap();
            assert_eq!(revision.cells()[2], shown);
        }
    }

    #[test]
    fn a_message_in_one_line_has_the_last_words_of_a_crash() {
        for (message, line) in [
            ("", ""),
            ("its pods run", "its pods run"),
            ("one\ntwo", "one"),
            (
                "web ended with exit code 1; its last lines:\nreading\n  panic: no config\n",
                "web ended with exit code 1; its last line: panic: no config",
            ),
            // None was written.
            ("web ended; its last lines:\n", "web ended; its last lines:"),
            (
                "install failed\nweb ended; its last lines:\nno config",
                "install failed; web ended; its last line: no config",
            ),
            (
                "web ended; its last lines:\nno config\ndb ended; its last lines:\nno room",
                "web ended; its last line: no config",
            ),
        ] {
            assert_eq!(in_a_line(message), line, "{message:?}");
        }
    }

    #[test]
    fn reasons_that_block_a_pull_request_are_told_apart() {
        let pull = json!({
            "environment": "acme-prod", "number": 3, "title": "Promote", "body": "",
            "author": "ada", "head": "ada/x", "createdAt": "", "state": "open", "approvals": [],
            "blockedBy": ["it wants 1 approval; there are 0", "the window opens at 9:00"],
        });
        let pull: PullRequestView = serde_json::from_value(pull).unwrap();
        assert_eq!(
            pull.cells()[6],
            "it wants 1 approval; there are 0 | the window opens at 9:00"
        );
    }

    #[test]
    fn a_rule_is_a_line_to_people() {
        for (written, line) in [
            (json!({"kind": "pr-required"}), "pr-required"),
            (
                json!({"kind": "pr-required", "minApprovals": 1, "approvers": ["ada", "bob"]}),
                "pr-required approvers=ada, bob minApprovals=1",
            ),
            (
                json!({"kind": "soak", "sourceEnvironment": "acme-dev", "duration": "1d", "approvers": []}),
                "soak duration=1d sourceEnvironment=acme-dev",
            ),
        ] {
            assert_eq!(rule(&written), line);
        }
    }
}
