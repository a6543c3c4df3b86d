//! Statuses that others report on commits.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use catalyst_store::Transaction;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::browse::{readable, resolve};
use super::{Anyone, ApiError, Input, Known, Pages, Reply, reply};
use crate::Inner;
use crate::access;
use crate::metadata::Write;
use crate::records::*;
use crate::shapes;

pub fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/statuses/{sha}",
            get(list).post(create),
        )
        .route("/repos/{owner}/{repo}/commits/{sha}/status", get(combined))
}

type App = State<Arc<Inner>>;
type ShaPath = Path<(String, String, String)>;

async fn list(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, sha)): ShaPath,
    pages: Pages,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let commit = resolve(&record, &git, &sha).await?;
    let mut statuses = inner.records.statuses(record.id, &commit)?;
    statuses.reverse();
    let (statuses, total) = pages.cut(statuses);
    let mut items = Vec::new();
    for status in &statuses {
        items.push(shapes::status(&inner, &record, &commit, status)?);
    }
    Ok(pages.answer(&inner, &items, total))
}

#[derive(Deserialize)]
struct StatusInput {
    state: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    target_url: String,
}

async fn create(
    State(inner): App,
    Known(caller): Known,
    Path((owner, repo, sha)): ShaPath,
    Input(input): Input<StatusInput>,
) -> Reply {
    let record = access::repository(&inner, Some(&caller), &owner, &repo, Permission::Write)?;
    let commit = resolve(&record, &inner.git(&record), &sha).await?;
    if !["pending", "success", "error", "failure", "warning"].contains(&input.state.as_str()) {
        return Err(ApiError::new(
            422,
            format!("state {:?} is not known", input.state),
        ));
    }
    let context = if input.context.is_empty() {
        "default".to_owned()
    } else {
        input.context
    };
    let status = StatusRecord {
        id: inner.records.number().await?,
        state: input.state,
        context,
        description: input.description,
        target_url: input.target_url,
        creator: caller.key(),
        created: Timestamp::now(),
    };
    inner
        .records
        .commit(Transaction::new().status(record.id, &commit, &status)?)
        .await?;
    reply(201, shapes::status(&inner, &record, &commit, &status)?)
}

async fn combined(
    State(inner): App,
    Anyone(caller): Anyone,
    Path((owner, repo, sha)): ShaPath,
) -> Reply {
    let (record, git) = readable(&inner, caller.as_ref(), &owner, &repo)?;
    let commit = resolve(&record, &git, &sha).await?;
    // The last word of every context counts, and the worst of those.
    let mut latest = std::collections::BTreeMap::new();
    for status in inner.records.statuses(record.id, &commit)? {
        latest.insert(status.context.clone(), status);
    }
    let worst = ["error", "failure", "warning", "pending", "success"];
    let state = worst
        .iter()
        .find(|word| latest.values().any(|status| status.state == **word));
    let mut items: Vec<Value> = Vec::new();
    for status in latest.values() {
        items.push(shapes::status(&inner, &record, &commit, status)?);
    }
    let permission = access::permission(&inner, caller.as_ref(), &record)?;
    reply(
        200,
        json!({
            "state": state.copied().unwrap_or_default(), "sha": commit, "total_count": items.len(),
            "statuses": items, "repository": shapes::repository(&inner, &record, permission)?,
        }),
    )
}
