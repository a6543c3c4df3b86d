//! Waiting for what was asked for, told by the live stream: no polling, every step
//! shown on standard error, an end that is bounded.

use std::time::Duration;

use catalyst_api::{
    ApplicationView, DeletionView, EnvironmentView, Health, OrganizationView, StreamItem,
};
use serde::de::DeserializeOwned;

use super::api::Api;
use super::failure::{Hinted, hinted, is_signed_out};
use super::output::{one_line, say};
use super::shown;
use super::shown::is_reached;
use super::stream::{Event, Stream};

/// How long a command waits.
#[derive(Debug, Clone, clap::Args)]
pub struct Patience {
    /// Wait until it is done, and show every step.
    #[arg(long, global = true)]
    pub wait: bool,
    /// Give up waiting after so many seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// What shows whether an Application runs what a commit asked for.
pub struct Wanted<'a> {
    pub environment: &'a str,
    pub application: &'a str,
    /// The commit that was made.
    pub commit: Option<&'a str>,
    /// The commit that ran before.
    pub before: Option<&'a str>,
}

impl Patience {
    /// Runs something until the time is up.
    pub async fn bounded<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match tokio::time::timeout(Duration::from_secs(self.timeout), work).await {
            // The change was made before; only looking on ends.
            Ok(Err(error)) if is_signed_out(&error) => Err(error.context(Hinted::new(
                format!("{what}: cannot wait any longer, because the token has ended"),
                "the change itself is made and goes on; `catalyst get` shows how it is",
            ))),
            Ok(outcome) => outcome,
            Err(_) => Err(hinted(
                format!("{what} is not done after {} seconds", self.timeout),
                "it goes on without this command; `catalyst get` shows how it is",
            )),
        }
    }
}

/// Says each new phase and cause once.
#[derive(Default)]
struct Steps {
    last: String,
}

impl Steps {
    fn show(&mut self, name: &str, health: &Health) {
        let text = step(name, health);
        if text == self.last {
            return;
        }
        match text.contains('\n') {
            // What a crashed program said last is of no use cut.
            true => say(&text),
            false => say(&one_line(&text)),
        }
        self.last = text;
    }
}

/// A phase and its cause, in as many lines as the cause has.
fn step(name: &str, health: &Health) -> String {
    let phase = &health.phase;
    match health.message.trim_end() {
        "" => format!("{name}: {phase}"),
        message if message.contains('\n') => format!("{name}: {phase}: {}", indented(message)),
        message => format!("{name}: {phase} ({message})"),
    }
}

/// A text whose lines after the first are seen to belong to it.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}

/// Waits until an Application runs. Open the stream before the change is made.
pub async fn application(
    api: &Api,
    stream: &mut Stream<'_>,
    wanted: &Wanted<'_>,
) -> anyhow::Result<ApplicationView> {
    let view = settled(api, stream, wanted).await?;
    let health = &view.summary.health;
    if health.phase != "Failed" {
        return Ok(view);
    }
    Err(hinted(
        format!(
            "{} in {} failed: {}",
            wanted.application,
            wanted.environment,
            indented(&health.message)
        ),
        format!(
            "see `catalyst get objects -e {0} {1}` and `catalyst logs -e {0} {1}`",
            wanted.environment, wanted.application
        ),
    ))
}

/// The same, until it runs or has failed.
pub async fn settled(
    api: &Api,
    stream: &mut Stream<'_>,
    wanted: &Wanted<'_>,
) -> anyhow::Result<ApplicationView> {
    let path = [
        "environments",
        wanted.environment,
        "applications",
        wanted.application,
    ];
    let mut steps = Steps::default();
    let mut seen: Option<ApplicationView> = api.find(&path).await?;
    loop {
        if let Some(view) = seen.take() {
            let is_of = is_of(wanted, &view);
            let health = &view.summary.health;
            // The failure itself says why, whole and once.
            if is_of && health.phase == "Failed" {
                return Ok(view);
            }
            // How it was before the change is no step of it.
            if is_of || wanted.before.is_none() {
                steps.show(wanted.application, health);
            }
            // One that is paused stays as it is, however long that is watched.
            if is_of && matches!(health.phase.as_str(), "Running" | "Paused") {
                return Ok(view);
            }
        }
        seen = match stream.next().await? {
            Event::Reset => api.find(&path).await?,
            Event::Change(item) => match *item {
                StreamItem::Application(view)
                    if view.summary.environment == wanted.environment
                        && view.summary.name == wanted.application =>
                {
                    Some(*view)
                }
                _ => None,
            },
        };
    }
}

/// Whether what the view shows is about the commit that is waited for, and not about
/// what ran before it.
pub fn is_of(wanted: &Wanted<'_>, view: &ApplicationView) -> bool {
    let applied = view.applied_revision.as_deref();
    wanted
        .commit
        .is_none_or(|commit| is_reached(commit, wanted.before, applied))
}

/// Waits until an Organization is there with all that belongs to it.
pub async fn organization(api: &Api, stream: &mut Stream<'_>, name: &str) -> anyhow::Result<()> {
    let health = |view: OrganizationView| view.health;
    running(
        api,
        stream,
        ["organizations", name],
        health,
        |item| match item {
            StreamItem::Organization(view) if view.name == name => Some(view),
            _ => None,
        },
    )
    .await
}

/// Waits until an Environment answers.
pub async fn environment(api: &Api, stream: &mut Stream<'_>, name: &str) -> anyhow::Result<()> {
    let health = |view: EnvironmentView| view.health;
    running(
        api,
        stream,
        ["environments", name],
        health,
        |item| match item {
            StreamItem::Environment(view) if view.name == name => Some(view),
            _ => None,
        },
    )
    .await
}

/// Waits until what stands at a path runs; `pick` finds it in the stream.
async fn running<T: DeserializeOwned>(
    api: &Api,
    stream: &mut Stream<'_>,
    path: [&str; 2],
    health: impl Fn(T) -> Health,
    pick: impl Fn(StreamItem) -> Option<T>,
) -> anyhow::Result<()> {
    let [_, name] = path;
    let mut steps = Steps::default();
    let mut seen: Option<T> = api.find(&path).await?;
    loop {
        if let Some(health) = seen.take().map(&health) {
            steps.show(name, &health);
            if health.phase == "Running" {
                return Ok(());
            }
        }
        seen = match stream.next().await? {
            Event::Reset => api.find(&path).await?,
            Event::Change(item) => pick(*item),
        };
    }
}

/// Waits until a deletion has ended; what it left behind. `kind` is Organization,
/// Environment or Application; an Application's `name` is `environment/application`.
pub async fn deletion(
    api: &Api,
    stream: &mut Stream<'_>,
    kind: &str,
    name: &str,
    path: &[&str],
) -> anyhow::Result<Vec<String>> {
    let mut last = String::new();
    loop {
        match stream.next().await? {
            Event::Reset => {
                if api.find::<serde_json::Value>(path).await?.is_none() {
                    return Ok(Vec::new());
                }
            }
            Event::Change(item) => match *item {
                StreamItem::Deletion(view) if is_deletion(&view, kind, name) => {
                    if view.ended_at.is_some() {
                        if view.left_behind.is_empty() {
                            // It is told a moment before it is out of the lists.
                            shown::until_gone(api, path).await;
                        }
                        return Ok(view.left_behind);
                    }
                    let waits = view.waiting_for.unwrap_or_default();
                    if !waits.is_empty() && waits != last {
                        say(&format!("{name}: waiting for {waits}"));
                        last = waits;
                    }
                }
                // What was left behind is said by the deletion, which comes first.
                StreamItem::Removed(gone)
                    if gone.kind.eq_ignore_ascii_case(kind) && gone.name == name =>
                {
                    return left_behind(api, kind, name).await;
                }
                _ => {}
            },
        }
    }
}

/// Like [`deletion`], of what may have gone before anybody looked.
pub async fn gone(
    api: &Api,
    stream: &mut Stream<'_>,
    kind: &str,
    name: &str,
    path: &[&str],
) -> anyhow::Result<Vec<String>> {
    match api.find::<serde_json::Value>(path).await? {
        Some(_) => deletion(api, stream, kind, name, path).await,
        None => left_behind(api, kind, name).await,
    }
}

/// What the last deletion left behind.
async fn left_behind(api: &Api, kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let deletions: Vec<DeletionView> = api.list(&["deletions"]).await?;
    let ended = deletions
        .into_iter()
        .filter(|view| is_deletion(view, kind, name))
        .max_by(|left, right| left.started_at.cmp(&right.started_at));
    Ok(ended.map(|view| view.left_behind).unwrap_or_default())
}

fn is_deletion(view: &DeletionView, kind: &str, name: &str) -> bool {
    view.kind.eq_ignore_ascii_case(kind) && view.name == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_all_lines_of_its_cause() {
        for (message, said) in [
            ("", "guests: Degraded"),
            ("no place", "guests: Degraded (no place)"),
            (
                "web ended; its last lines:\nreading\npanic: no config\n",
                "guests: Degraded: web ended; its last lines:\n  reading\n  panic: no config",
            ),
        ] {
            let health = Health {
                phase: "Degraded".to_owned(),
                reason: String::new(),
                message: message.to_owned(),
                observed_at: String::new(),
                since: String::new(),
            };
            assert_eq!(step("guests", &health), said);
        }
    }
}
