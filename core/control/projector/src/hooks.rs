//! What the forge's webhooks tell, as facts. Pure.

use catalyst_names::EnvironmentName;
use serde_json::Value;

use crate::fact::{
    Address, CommitFact, Fact, PullFact, ReviewFact, address_of_commit, address_of_pull,
};

/// A fact with the place and the id of its message.
#[derive(Debug, Clone, PartialEq)]
pub struct HookFact {
    /// Where it goes.
    pub address: Address,
    /// The same event delivered twice has the same.
    pub message_id: String,
    /// What it says.
    pub fact: Fact,
}

/// The facts of an event in Gitea's shape: pushes to the main branch, pull
/// requests and reviews of Environments' repositories. Others have none.
pub fn facts_of_event(event: &Value) -> Vec<HookFact> {
    let Some(environment) = environment(event) else {
        return Vec::new();
    };
    if let Some(pull) = event.get("pull_request").filter(|it| it.is_object()) {
        return pull_facts(&environment, event, pull);
    }
    if text(event, "/ref") == "refs/heads/main" {
        return commit_facts(&environment, event);
    }
    Vec::new()
}

/// The Environment whose repository `{organization}/{environment}` it is.
fn environment(event: &Value) -> Option<String> {
    let owner = [
        "/repository/owner/login",
        "/repository/owner/username",
        "/repository/owner/name",
    ]
    .into_iter()
    .map(|pointer| text(event, pointer))
    .find(|owner| !owner.is_empty())?;
    let name = EnvironmentName::new(text(event, "/repository/name")).ok()?;
    let (organization, _) = name.parts().ok()?;
    (organization.as_str() == owner).then(|| name.to_string())
}

fn commit_facts(environment: &str, event: &Value) -> Vec<HookFact> {
    let pusher = first(
        event,
        &["/pusher/login", "/pusher/username", "/sender/login"],
    );
    let commits = event.get("commits").and_then(Value::as_array);
    let mut commits: Vec<&Value> = commits.into_iter().flatten().collect();
    // Gitea lists the newest first; the newest shall be the last that is read.
    commits.reverse();
    commits
        .into_iter()
        .filter(|commit| !text(commit, "/id").is_empty())
        .map(|commit| {
            let message = text(commit, "/message");
            let id = text(commit, "/id").to_owned();
            let files = ["added", "removed", "modified"]
                .into_iter()
                .filter_map(|list| commit.get(list)?.as_array())
                .flatten()
                .filter_map(Value::as_str);
            let mut files: Vec<String> = files.map(str::to_owned).collect();
            files.sort();
            HookFact {
                address: address_of_commit(environment, &id),
                message_id: format!("{environment}/{id}"),
                fact: Fact::Commit(CommitFact {
                    author: text(commit, "/author/name").to_owned(),
                    email: text(commit, "/author/email").to_owned(),
                    at: text(commit, "/timestamp").to_owned(),
                    subject: message.lines().next().unwrap_or_default().to_owned(),
                    command: trailer(message, "Catalyst-Command"),
                    pusher: pusher.clone(),
                    commit: id,
                    files,
                }),
            }
        })
        .collect()
}

fn pull_facts(environment: &str, event: &Value, pull: &Value) -> Vec<HookFact> {
    let Some(number) = pull.get("number").and_then(Value::as_u64) else {
        return Vec::new();
    };
    let is_merged = pull.get("merged").and_then(Value::as_bool) == Some(true);
    let head = text(pull, "/head/sha").to_owned();
    let state = match text(pull, "/state") {
        _ if is_merged => "merged",
        "open" => "open",
        _ => "closed",
    };
    let action = text(event, "/action");
    let updated = text(pull, "/updated_at");
    let mut facts = vec![HookFact {
        address: address_of_pull(environment, number, None),
        message_id: format!("{environment}/pull/{number}/{state}/{head}/{updated}/{action}"),
        fact: Fact::Pull(PullFact {
            number,
            title: text(pull, "/title").to_owned(),
            body: text(pull, "/body").to_owned(),
            author: first(pull, &["/user/login", "/user/username"]),
            created_at: text(pull, "/created_at").to_owned(),
            state: state.to_owned(),
            branch: text(pull, "/head/ref").to_owned(),
            head: head.clone(),
        }),
    }];
    let approved = match text(event, "/review/type") {
        "pull_request_review_approved" => Some(true),
        "pull_request_review_rejected" => Some(false),
        _ => None,
    };
    let user = first(event, &["/sender/login", "/sender/username"]);
    if let Some(approved) = approved
        && !user.is_empty()
    {
        facts.push(HookFact {
            address: address_of_pull(environment, number, Some(&user)),
            message_id: format!("{environment}/pull/{number}/{user}/{approved}/{head}"),
            fact: Fact::Review(ReviewFact {
                number,
                user,
                approved,
                head,
            }),
        });
    }
    facts
}

/// The last trailer of that name in a commit message.
fn trailer(message: &str, name: &str) -> Option<String> {
    let found = message.lines().rev().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.filter(|value| !value.is_empty()).map(str::to_owned)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn first(value: &Value, pointers: &[&str]) -> String {
    let found = pointers
        .iter()
        .map(|pointer| text(value, pointer))
        .find(|found| !found.is_empty());
    found.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn repository(owner: &str, name: &str) -> Value {
        json!({"name": name, "owner": {"login": owner, "username": owner}})
    }

    #[test]
    fn a_push_becomes_a_fact_a_commit_the_newest_last() {
        let event = json!({
            "ref": "refs/heads/main", "repository": repository("acme", "acme-dev"),
            "pusher": {"login": "alice"},
            "commits": [
                {"id": "b2", "message": "Size wiki\n\nCatalyst-Command: change\n", "timestamp": "2026-01-02T00:00:00Z",
                 "author": {"name": "Alice", "email": "alice@acme.example"},
                 "added": [], "removed": [], "modified": ["applications/wiki/application.yaml"]},
                {"id": "a1", "message": "First", "timestamp": "2026-01-01T00:00:00Z",
                 "author": {"name": "Bob", "email": "bob@acme.example"},
                 "added": ["b", "a"], "removed": ["c"], "modified": null},
            ],
        });
        let facts = facts_of_event(&event);
        let subjects: Vec<&str> = facts.iter().map(|it| it.address.subject.as_str()).collect();
        assert_eq!(subjects, ["ws.acme-dev.git.a1", "ws.acme-dev.git.b2"]);
        let Fact::Commit(newest) = &facts[1].fact else {
            panic!("{:?}", facts[1]);
        };
        assert_eq!(newest.command.as_deref(), Some("change"));
        assert_eq!(
            (newest.author.as_str(), newest.pusher.as_str()),
            ("Alice", "alice")
        );
        assert_eq!(newest.subject, "Size wiki");
        let Fact::Commit(oldest) = &facts[0].fact else {
            panic!("{:?}", facts[0]);
        };
        assert_eq!(oldest.files, ["a", "b", "c"]);
    }

    #[test]
    fn what_concerns_no_environment_has_no_facts() {
        let push = |owner, name, reference| {
            let event = json!({
                "ref": reference, "repository": repository(owner, name),
                "commits": [{"id": "a", "message": "", "author": {}}],
            });
            facts_of_event(&event).len()
        };
        assert_eq!(push("acme", "acme-dev", "refs/heads/main"), 1);
        assert_eq!(push("acme", "acme-dev", "refs/heads/other"), 0);
        assert_eq!(push("globex", "acme-dev", "refs/heads/main"), 0);
        assert_eq!(push("system", "catalyst-config", "refs/heads/main"), 0);
        assert_eq!(facts_of_event(&json!({})), []);
    }

    #[test]
    fn an_approval_is_a_fact_of_its_own() {
        let event = json!({
            "action": "reviewed", "repository": repository("acme", "acme-prod"),
            "sender": {"login": "bob"}, "review": {"type": "pull_request_review_approved"},
            "pull_request": {
                "number": 3, "title": "Promote", "body": "", "state": "open", "merged": false,
                "user": {"login": "alice"}, "created_at": "2026-01-01T00:00:00Z",
                "head": {"sha": "f00", "ref": "alice/wiki"},
            },
        });
        let facts = facts_of_event(&event);
        let Fact::Pull(pull) = &facts[0].fact else {
            panic!("{:?}", facts[0]);
        };
        assert_eq!(
            (pull.branch.as_str(), pull.head.as_str()),
            ("alice/wiki", "f00")
        );
        let subjects: Vec<&str> = facts.iter().map(|it| it.address.subject.as_str()).collect();
        assert_eq!(
            subjects,
            ["ws.acme-prod.pull.3", "ws.acme-prod.pull.3.review.bob"]
        );
        let expected = ReviewFact {
            number: 3,
            user: "bob".to_owned(),
            approved: true,
            head: "f00".to_owned(),
        };
        assert_eq!(facts[1].fact, Fact::Review(expected));
    }
}
