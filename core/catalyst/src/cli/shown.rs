//! After a change was accepted: a moment's wait until reads show it, so that the next
//! command does not see what was there before. Git has the change at once; what reads
//! are answered from hears of it a little later.

use std::time::Duration;

use catalyst_api::EnvironmentView;
use serde::de::DeserializeOwned;

use super::api::Api;
use super::output::say;
use super::stream::Stream;

/// An embedded Sovereign needs a small part of it, Flux on a cluster most of it.
const MOMENT: Duration = Duration::from_secs(5);
/// How soon what no stream tells of is asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Waits until what stands at a path is as the change makes it; `None`: it is not
/// there, or not for the caller. Never fails: the change is made, whatever can be read
/// of it.
pub async fn until<T: DeserializeOwned>(
    api: &Api,
    path: &[&str],
    is_shown: impl Fn(Option<&T>) -> bool,
) {
    within_a_moment(watch(api, path, is_shown)).await;
}

/// The same for what the stream does not tell of.
pub async fn until_looked_up<T: DeserializeOwned>(
    api: &Api,
    path: &[&str],
    is_shown: impl Fn(Option<&T>) -> bool,
) {
    let looks = async {
        loop {
            let found: Option<T> = api.find(path).await?;
            if is_shown(found.as_ref()) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    within_a_moment(looks).await;
}

async fn within_a_moment(shown: impl Future<Output = anyhow::Result<()>>) {
    match tokio::time::timeout(MOMENT, shown).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = format!("{error:#}"), "change not looked at"),
        Err(_) => {
            say("It is done, but not shown yet: until then, `catalyst get` shows what was before")
        }
    }
}

async fn watch<T: DeserializeOwned>(
    api: &Api,
    path: &[&str],
    is_shown: impl Fn(Option<&T>) -> bool,
) -> anyhow::Result<()> {
    // Open before the first look, so that nothing falls between.
    let mut stream = Stream::open(api).await?;
    loop {
        let found: Option<T> = api.find(path).await?;
        if is_shown(found.as_ref()) {
            return Ok(());
        }
        stream.next().await?;
    }
}

/// Waits until something is there.
pub async fn until_there(api: &Api, path: &[&str]) {
    until(api, path, |it: Option<&serde_json::Value>| it.is_some()).await;
}

/// Waits until something is not there any more.
pub async fn until_gone(api: &Api, path: &[&str]) {
    until(api, path, |it: Option<&serde_json::Value>| it.is_none()).await;
}

/// Waits until something is on its way out, or gone.
pub async fn until_going(api: &Api, path: &[&str]) {
    let is_going = |it: Option<&serde_json::Value>| {
        it.is_none_or(|it| {
            it.pointer("/health/phase")
                .is_some_and(|phase| phase == "Deleting")
        })
    };
    until(api, path, is_going).await;
}

/// Waits until an Environment runs a commit, or a later one; `before` is what it ran
/// before the commit was made.
pub async fn until_applied(api: &Api, environment: &str, commit: &str, before: Option<&str>) {
    let is_applied = |view: Option<&EnvironmentView>| {
        view.is_none_or(|view| is_reached(commit, before, view.applied_revision.as_deref()))
    };
    until(api, &["environments", environment], is_applied).await;
}

/// Whether what is applied has a commit in it, and is not what ran before. Another
/// commit may have come on top.
pub fn is_reached(commit: &str, before: Option<&str>, applied: Option<&str>) -> bool {
    applied.is_some_and(|applied| applied == commit || before != Some(applied))
}
