//! Pull requests and their reviews.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Forge, RepositoryId, path, text};
use crate::PortError;
use crate::http::Call;

/// Gitea looks in the background whether a pull request can be merged; this
/// long it is given to find out.
const MERGEABLE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// The branch that brings the change.
    pub head: String,
    /// The branch that receives it.
    pub base: String,
}

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// It waits.
    Open,
    /// It was taken.
    Merged,
    /// It was dropped.
    Closed,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pull {
    /// Its number in the repository.
    pub number: u64,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// When it was opened, RFC 3339.
    pub created_at: String,
    /// Where it stands.
    pub state: PullState,
    /// The branch that brings the change.
    pub head: String,
    /// The commit that it brings.
    pub head_commit: String,
    /// The branch that receives it.
    pub base: String,
    /// Whether it merges without conflict.
    pub mergeable: bool,
    /// The commit that merged it.
    pub merge_commit: Option<String>,
}

/// What a reviewer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewState {
    /// Yes.
    Approved,
    /// No.
    ChangesRequested,
    /// Something else.
    Commented,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub user: String,
    /// What; a dismissed review is not listed.
    pub state: ReviewState,
    /// The commit that was looked at.
    pub commit: String,
}

impl Forge {
    /// Opens a pull request; a conflict when one of the same branches is open.
    pub async fn pull_create(
        &self,
        id: &RepositoryId,
        new: NewPull,
        as_user: Option<&str>,
    ) -> Result<Pull, PortError> {
        let body =
            json!({"title": new.title, "body": new.body, "head": new.head, "base": new.base});
        let action = format!("open a pull request in {id}");
        let call = self.surface.call(Method::POST, &pulls(id), action);
        let made: Value = self.acting(call.json(&body), as_user).await?.read().await?;
        Ok(read_pull(&made))
    }

    /// Pull requests, newest first; all when no state is given.
    pub async fn pulls(
        &self,
        id: &RepositoryId,
        state: Option<PullState>,
    ) -> Result<Vec<Pull>, PortError> {
        let word = match state {
            Some(PullState::Open) => "open",
            Some(PullState::Merged | PullState::Closed) => "closed",
            None => "all",
        };
        let action = format!("list the pull requests of {id}");
        let found: Vec<Value> = self.pages(&pulls(id), &[("state", word)], &action).await?;
        let is_wanted = |pull: &Pull| state.is_none_or(|state| pull.state == state);
        Ok(found.iter().map(read_pull).filter(is_wanted).collect())
    }

    /// One pull request; `None` when there is none of that number.
    pub async fn pull(&self, id: &RepositoryId, number: u64) -> Result<Option<Pull>, PortError> {
        let action = format!("read pull request {number} of {id}");
        let call = self.surface.call(Method::GET, &one(id, number), action);
        let found: Option<Value> = call.find().await?;
        Ok(found.as_ref().map(read_pull))
    }

    /// What a pull request changes, as a unified diff.
    pub async fn pull_diff(&self, id: &RepositoryId, number: u64) -> Result<String, PortError> {
        let action = format!("read what pull request {number} of {id} changes");
        let place = format!("{}.diff", one(id, number));
        let answer = self.surface.call(Method::GET, &place, action).ok().await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Merges a pull request by a merge commit, whose message's first line is
    /// its title, and returns the commit. A conflict where it brings something
    /// new meanwhile, or does not fit the base.
    pub async fn pull_merge(
        &self,
        id: &RepositoryId,
        number: u64,
        message: &str,
        as_user: Option<&str>,
    ) -> Result<String, PortError> {
        let action = format!("merge pull request {number} of {id}");
        let head = self.pull(id, number).await?.map(|pull| pull.head_commit);
        let (title, rest) = message.split_once('\n').unwrap_or((message, ""));
        let body = json!({
            "Do": "merge",
            "MergeTitleField": title.trim(),
            "MergeMessageField": rest.trim(),
            "head_commit_id": head.unwrap_or_default(),
            "delete_branch_after_merge": false,
        });
        let place = format!("{}/merge", one(id, number));
        let until = tokio::time::Instant::now() + MERGEABLE_WITHIN;
        loop {
            let call = self.surface.call(Method::POST, &place, action.as_str());
            let answer = self
                .acting(call.json(&body), as_user)
                .await?
                .answer()
                .await?;
            let is_undecided = answer.status.as_u16() == 405
                && answer.reason().to_lowercase().contains("try again");
            if is_undecided && tokio::time::Instant::now() < until {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            if answer.status.as_u16() == 409 {
                return Err(answer.conflict());
            }
            answer.ok()?;
            break;
        }
        let merged = self.pull(id, number).await?;
        merged
            .and_then(|pull| pull.merge_commit)
            .ok_or_else(|| PortError::Read {
                part: "forge",
                action,
                reason: "it says merged, and names no commit".to_owned(),
            })
    }

    /// Closes a pull request without taking it.
    pub async fn pull_close(
        &self,
        id: &RepositoryId,
        number: u64,
        as_user: Option<&str>,
    ) -> Result<(), PortError> {
        let place = one(id, number);
        let action = format!("close pull request {number} of {id}");
        let body = json!({"state": "closed"});
        let call = self.surface.call(Method::PATCH, &place, action).json(&body);
        self.acting(call, as_user).await?.ok().await.map(drop)
    }

    /// Reviews of a pull request that stand, oldest first.
    pub async fn reviews(&self, id: &RepositoryId, number: u64) -> Result<Vec<Review>, PortError> {
        let place = format!("{}/reviews", one(id, number));
        let action = format!("list the reviews of pull request {number} of {id}");
        let found: Vec<Value> = self.pages(&place, &[], &action).await?;
        Ok(found.iter().filter_map(read_review).collect())
    }

    /// Approves what a pull request brings now.
    pub async fn review_approve(
        &self,
        id: &RepositoryId,
        number: u64,
        as_user: Option<&str>,
    ) -> Result<(), PortError> {
        let place = format!("{}/reviews", one(id, number));
        let action = format!("approve pull request {number} of {id}");
        let body = json!({"event": "APPROVED", "body": ""});
        let call = self.surface.call(Method::POST, &place, action).json(&body);
        self.acting(call, as_user).await?.ok().await.map(drop)
    }

    /// Lets somebody else act; whom the forge has not seen yet is made.
    async fn acting<'a>(
        &self,
        call: Call<'a>,
        as_user: Option<&str>,
    ) -> Result<Call<'a>, PortError> {
        let Some(username) = as_user else {
            return Ok(call);
        };
        self.user_ensure(username, &format!("{username}@noreply.localhost"))
            .await?;
        Ok(call.header("Sudo", username))
    }
}

fn pulls(id: &RepositoryId) -> String {
    format!("{}/pulls", path(id))
}

fn one(id: &RepositoryId, number: u64) -> String {
    format!("{}/{number}", pulls(id))
}

fn read_pull(value: &Value) -> Pull {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    let state = match (flag("merged"), text(value, "/state").as_str()) {
        (true, _) => PullState::Merged,
        (false, "open") => PullState::Open,
        (false, _) => PullState::Closed,
    };
    Pull {
        number: value.get("number").and_then(Value::as_u64).unwrap_or(0),
        title: text(value, "/title"),
        body: text(value, "/body"),
        author: text(value, "/user/login"),
        created_at: text(value, "/created_at"),
        state,
        head: text(value, "/head/ref"),
        head_commit: text(value, "/head/sha"),
        base: text(value, "/base/ref"),
        mergeable: flag("mergeable"),
        merge_commit: Some(text(value, "/merge_commit_sha"))
            .filter(|commit| state == PullState::Merged && !commit.is_empty()),
    }
}

fn read_review(value: &Value) -> Option<Review> {
    let is_dismissed = value.get("dismissed").and_then(Value::as_bool) == Some(true);
    let state = match text(value, "/state").as_str() {
        _ if is_dismissed => return None,
        "APPROVED" => ReviewState::Approved,
        "REQUEST_CHANGES" => ReviewState::ChangesRequested,
        "COMMENT" => ReviewState::Commented,
        _ => return None,
    };
    Some(Review {
        user: text(value, "/user/login"),
        state,
        commit: text(value, "/commit_id"),
    })
}
