//! Webhooks: events become deliveries, deliveries are posted until accepted.
//!
//! Run by [`crate::Forge::run`]. What must stay true: an event whose refs moved
//! reaches every active hook at least once, also over a crash; a slow receiver
//! delays nobody else; deliveries to one hook keep their order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use catalyst_store::Transaction;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Inner;
use crate::api::ApiError;
use crate::git;
use crate::metadata::{Remove, Write};
use crate::push;
use crate::records::*;
use crate::shapes;

/// How long a receiver may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// First and longest wait between attempts.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Commits listed in a push payload.
const MOST_COMMITS: usize = 30;

/// Never ends; dropped at shutdown, with everything unsent still in the store.
pub async fn run(inner: &Arc<Inner>) {
    if let Err(error) = recover(inner).await {
        tracing::error!(error = %error.message(), "interrupted pushes not settled");
    }
    let mut busy: HashSet<u64> = HashSet::new();
    let mut waiting: HashMap<u64, tokio::time::Instant> = HashMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        if let Err(error) = expand_events(inner).await {
            tracing::error!(error = %error.message(), "events not turned into deliveries");
        }
        let mut next = tokio::time::Instant::now() + Duration::from_secs(3600);
        let deliveries = inner.records.deliveries().unwrap_or_else(|error| {
            tracing::error!(%error, "deliveries not readable");
            Vec::new()
        });
        for delivery in deliveries {
            if busy.contains(&delivery.hook) {
                continue;
            }
            if let Some(when) = waiting.get(&delivery.hook)
                && *when > tokio::time::Instant::now()
            {
                next = next.min(*when);
                continue;
            }
            busy.insert(delivery.hook);
            running.push(attempt(inner, delivery).boxed());
        }
        tokio::select! {
            () = inner.wake.notified() => {}
            () = tokio::time::sleep_until(next) => {}
            Some((hook, retry)) = running.next() => {
                busy.remove(&hook);
                match retry {
                    Some(wait) => waiting.insert(hook, tokio::time::Instant::now() + wait),
                    None => waiting.remove(&hook),
                };
            }
        }
    }
}

/// Events written before their refs moved: the refs tell whether they did.
async fn recover(inner: &Inner) -> Result<(), ApiError> {
    for mut event in inner
        .records
        .events()?
        .into_iter()
        .filter(|event| event.prepared)
    {
        let Some(repo) = inner.records.repo(&event.owner, &event.repository)? else {
            inner
                .records
                .commit(Transaction::new().without_event(event.id))
                .await?;
            continue;
        };
        let locks = inner.locks(repo.id);
        let _refs = locks.refs.lock().await;
        // A push of this very moment may have settled it while we waited.
        let still = inner
            .records
            .events()?
            .into_iter()
            .any(|e| e.id == event.id && e.prepared);
        if !still {
            continue;
        }
        let git = inner.git(&repo);
        let Event::Push(updates) = event.event.clone() else {
            continue;
        };
        let mut happened = Vec::new();
        for update in updates {
            let now = git
                .reference(&update.name)
                .await?
                .unwrap_or_else(|| git::ZERO.to_owned());
            if now == update.new {
                happened.push(update);
            }
        }
        if happened.is_empty() {
            inner
                .records
                .commit(Transaction::new().without_event(event.id))
                .await?;
            continue;
        }
        event.prepared = false;
        event.event = Event::Push(happened.clone());
        push::settle(inner, &git, event, &happened).await?;
    }
    Ok(())
}

async fn expand_events(inner: &Inner) -> Result<(), ApiError> {
    for event in inner
        .records
        .events()?
        .into_iter()
        .filter(|event| !event.prepared)
    {
        let mut transaction = Transaction::new().without_event(event.id);
        if let Some(repo) = inner.records.repo(&event.owner, &event.repository)? {
            match build(inner, &repo, &event).await {
                Ok(deliveries) => {
                    for delivery in deliveries {
                        transaction = transaction.delivery(&delivery)?;
                    }
                }
                // Kept in the store, and tried again with the next change.
                Err(error) => {
                    tracing::error!(error = %error.message(), event = event.id, "event not deliverable yet");
                    continue;
                }
            }
            if matches!(event.event, Event::Push(_)) {
                let locks = inner.locks(repo.id);
                let _refs = locks.refs.lock().await;
                if let Err(error) = inner.git(&repo).tidy().await {
                    tracing::warn!(%error, repository = repo.full_name(), "packs not joined");
                }
            }
        }
        inner.records.commit(transaction).await?;
    }
    Ok(())
}

struct Message {
    event: &'static str,
    kind: &'static str,
    branch: Option<String>,
    payload: Value,
}

async fn build(
    inner: &Inner,
    repo: &RepoRecord,
    event: &EventRecord,
) -> Result<Vec<DeliveryRecord>, ApiError> {
    let mut hooks = inner.records.hooks(&HookScope::Repository(repo.id))?;
    if let Some(org) = inner.records.org(&repo.owner)? {
        hooks.extend(inner.records.hooks(&HookScope::Organization(org.id))?);
    }
    hooks.retain(|hook| hook.active);
    if hooks.is_empty() {
        return Ok(Vec::new());
    }
    let mut deliveries = Vec::new();
    for message in messages(inner, repo, event).await? {
        for hook in hooks.iter().filter(|hook| wants(hook, &message)) {
            deliveries.push(DeliveryRecord {
                id: inner.records.number().await?,
                uuid: uuid::Uuid::new_v4().to_string(),
                hook: hook.id,
                event: message.event.to_owned(),
                event_type: message.kind.to_owned(),
                payload: message.payload.to_string(),
                attempts: 0,
                created: Timestamp::now(),
            });
        }
    }
    Ok(deliveries)
}

fn wants(hook: &HookRecord, message: &Message) -> bool {
    let named = |name: &str| hook.events.iter().any(|event| event == name);
    let listed = named(message.kind)
        || named(message.event)
        || (message.kind.starts_with("pull_request") && named("pull_request"));
    let branch = message.branch.as_deref();
    listed && branch.is_none_or(|branch| matches_glob(&hook.branch_filter, branch))
}

/// Whether a branch matches a filter: `*` stands for any text, several filters
/// may stand in braces, `{main,release/*}`.
pub fn matches_glob(filter: &str, text: &str) -> bool {
    fn star(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => {
                (0..=text.len()).any(|at| text.get(at..).is_some_and(|tail| star(rest, tail)))
            }
            Some((byte, rest)) => text
                .split_first()
                .is_some_and(|(first, tail)| first == byte && star(rest, tail)),
        }
    }
    let filter = filter.trim();
    if filter.is_empty() || filter == "*" || filter == "**" {
        return true;
    }
    let inside = filter
        .strip_prefix('{')
        .and_then(|f| f.strip_suffix('}'))
        .unwrap_or(filter);
    inside
        .split(',')
        .any(|part| star(part.trim().as_bytes(), text.as_bytes()))
}

async fn messages(
    inner: &Inner,
    repo: &RepoRecord,
    event: &EventRecord,
) -> Result<Vec<Message>, ApiError> {
    let shown = shapes::repository(inner, repo, Permission::Owner)?;
    let sender = shapes::user_of(inner, &event.user)?;
    let mut messages = Vec::new();
    match &event.event {
        Event::Push(updates) => {
            for update in updates {
                push_messages(inner, repo, update, &shown, &sender, &mut messages).await?;
            }
        }
        Event::Pull(number, action) => {
            if let Some(pull) = inner.records.pull(repo.id, *number)? {
                messages.push(pull_message(inner, repo, &pull, action, &shown, &sender).await?);
            }
        }
        Event::Review(number, id) => {
            let pull = inner.records.pull(repo.id, *number)?;
            let review = inner.records.review(repo.id, *number, *id)?;
            if let (Some(pull), Some(review)) = (pull, review) {
                let (event, kind) = match review.state.as_str() {
                    "APPROVED" => ("pull_request_approved", "pull_request_review_approved"),
                    "REQUEST_CHANGES" => ("pull_request_rejected", "pull_request_review_rejected"),
                    _ => ("pull_request_comment", "pull_request_review_comment"),
                };
                let mut message =
                    pull_message(inner, repo, &pull, "reviewed", &shown, &sender).await?;
                if let Some(payload) = message.payload.as_object_mut() {
                    let shown = json!({"type": kind, "content": review.body});
                    payload.insert("review".to_owned(), shown);
                }
                messages.push(Message {
                    event,
                    kind,
                    ..message
                });
            }
        }
    }
    Ok(messages)
}

async fn push_messages(
    inner: &Inner,
    repo: &RepoRecord,
    update: &RefUpdate,
    shown: &Value,
    sender: &Value,
    messages: &mut Vec<Message>,
) -> Result<(), ApiError> {
    let branch = update.name.strip_prefix("refs/heads/");
    let tag = update.name.strip_prefix("refs/tags/");
    let Some(short) = branch.or(tag) else {
        return Ok(());
    };
    let kind = if branch.is_some() { "branch" } else { "tag" };
    let filter = branch.map(str::to_owned);
    if update.new == git::ZERO {
        messages.push(Message {
            event: "delete",
            kind: "delete",
            branch: filter,
            payload: json!({"ref": short, "ref_type": kind, "pusher_type": "user",
                            "repository": shown, "sender": sender}),
        });
        return Ok(());
    }
    if update.old == git::ZERO {
        messages.push(Message {
            event: "create",
            kind: "create",
            branch: filter.clone(),
            payload: json!({"sha": update.new, "ref": short, "ref_type": kind,
                            "repository": shown, "sender": sender}),
        });
    }
    let git = inner.git(repo);
    let exclude = if update.old == git::ZERO {
        String::new()
    } else {
        format!("^{}", update.old)
    };
    let mut range = vec![update.new.as_str()];
    if !exclude.is_empty() && git.succeeds(&["cat-file", "-e", &update.old]).await? {
        range.push(&exclude);
    }
    let mut commits = Vec::new();
    let mut total = 0;
    if branch.is_some() {
        total = git.count(&range, "").await?;
        for commit in git.log(&range, "", 0, MOST_COMMITS).await? {
            let parent = commit
                .parents
                .first()
                .map_or(git::EMPTY_TREE, String::as_str);
            let changes = git.changes(parent, &commit.id, false).await?;
            commits.push(shapes::payload_commit(inner, repo, &commit, &changes));
        }
    }
    let compare = format!(
        "{}/{}/compare/{}...{}",
        inner.base_url(),
        repo.full_name(),
        update.old,
        update.new
    );
    messages.push(Message {
        event: "push",
        kind: "push",
        branch: filter.clone(),
        payload: json!({
            "ref": update.name, "before": update.old, "after": update.new, "compare_url": compare,
            "head_commit": commits.first(), "commits": commits, "total_commits": total,
            "repository": shown, "pusher": sender, "sender": sender,
        }),
    });
    for pull in inner
        .records
        .pulls(repo.id)?
        .into_iter()
        .filter(|pull| pull.open)
    {
        if branch == Some(pull.head.as_str()) && update.old != git::ZERO {
            let message = pull_message(inner, repo, &pull, "synchronized", shown, sender).await?;
            messages.push(Message {
                kind: "pull_request_sync",
                ..message
            });
        }
    }
    Ok(())
}

async fn pull_message(
    inner: &Inner,
    repo: &RepoRecord,
    pull: &PullRecord,
    action: &str,
    shown: &Value,
    sender: &Value,
) -> Result<Message, ApiError> {
    let value = shapes::pull(inner, repo, pull, Permission::Owner).await?;
    Ok(Message {
        event: "pull_request",
        kind: "pull_request",
        branch: Some(pull.base.clone()),
        payload: json!({
            "action": action, "number": pull.number, "pull_request": value,
            "requested_reviewer": null, "repository": shown, "sender": sender,
            "commit_id": pull.head_sha, "review": null,
        }),
    })
}

/// One attempt; gives the hook and, when it is to be repeated, after what time.
async fn attempt(inner: &Arc<Inner>, mut delivery: DeliveryRecord) -> (u64, Option<Duration>) {
    let hook = delivery.hook;
    let outcome = match inner.records.hook(hook) {
        Ok(Some(record)) if record.active => post(inner, &record, &delivery).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    let age = Timestamp::now().as_second() - delivery.created.as_second();
    let lifetime = inner.config.delivery_lifetime.as_secs();
    let expired = u64::try_from(age).is_ok_and(|age| age > lifetime);
    let (transaction, retry) = match outcome {
        Ok(()) => (Ok(Transaction::new().without_delivery(delivery.id)), None),
        Err(reason) if expired => {
            tracing::warn!(hook, %reason, attempts = delivery.attempts, "webhook given up");
            (Ok(Transaction::new().without_delivery(delivery.id)), None)
        }
        Err(reason) => {
            tracing::info!(hook, %reason, attempts = delivery.attempts, "webhook not accepted");
            let wait = BACK_OFF.0 * 2_u32.saturating_pow(delivery.attempts.min(10));
            delivery.attempts += 1;
            (
                Transaction::new().delivery(&delivery),
                Some(wait.min(BACK_OFF.1)),
            )
        }
    };
    let written = match transaction {
        Ok(transaction) => inner.records.commit(transaction).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::error!(%error, hook, "delivery not recorded; it will be repeated");
        return (hook, Some(BACK_OFF.1));
    }
    (hook, retry)
}

async fn post(inner: &Inner, hook: &HookRecord, delivery: &DeliveryRecord) -> Result<(), String> {
    let (body, event, kind) = (&delivery.payload, &delivery.event, &delivery.event_type);
    let mut request = inner
        .http
        .post(&hook.url)
        .timeout(ANSWER_TIME)
        .header("content-type", "application/json")
        .body(body.clone());
    for (vendor, name) in [("Gitea", event), ("Gogs", event), ("GitHub", event)] {
        request = request
            .header(format!("X-{vendor}-Event"), name)
            .header(format!("X-{vendor}-Event-Type"), kind)
            .header(format!("X-{vendor}-Delivery"), &delivery.uuid);
    }
    if !hook.secret.is_empty() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, hook.secret.as_bytes());
        let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
        request = request
            .header("X-Gitea-Signature", &signature)
            .header("X-Gogs-Signature", &signature)
            .header("X-Hub-Signature-256", format!("sha256={signature}"));
    }
    if !hook.authorization.is_empty() {
        request = request.header("authorization", &hook.authorization);
    }
    let response = request
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(format!("status {}", response.status().as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_filters() {
        for (filter, branch, expected) in [
            ("*", "main", true),
            ("", "main", true),
            ("main", "main", true),
            ("main", "mainly", false),
            ("release/*", "release/1.0", true),
            ("{main,release/*}", "release/1", true),
            ("{main,release/*}", "dev", false),
        ] {
            assert_eq!(matches_glob(filter, branch), expected, "{filter} {branch}");
        }
    }
}
