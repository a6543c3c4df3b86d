//! `catalyst propose`, `approve`, `merge` and `close`: pull requests of an
//! Environment's repository.

use std::collections::BTreeMap;

use catalyst_api::{Accepted, ApplicationView, EnvironmentView, OpenPull, PullRequestView};
use reqwest::Method;

use super::api::{Api, Common, Connection};
use super::change::In;
use super::destroy;
use super::output::say;
use super::prepare::{said, show_address};
use super::shown;
use super::stream::Stream;
use super::wait::{self, Patience, Wanted};

/// Open a pull request that brings your own branch into an Environment.
///
/// Push the branch first, under your name: `git push origin HEAD:NAME/TOPIC`.
#[derive(Debug, clap::Args)]
pub struct Propose {
    /// The branch, such as ada/more-memory.
    branch: String,
    /// What it is about, in a line; the subject of the branch's last commit unless given.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    common: Common,
}

/// Approve a pull request that somebody else opened.
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// The pull request's number.
    number: u64,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

/// Merge a pull request that no policy stands against any more.
#[derive(Debug, clap::Args)]
pub struct Merge {
    /// The pull request's number.
    number: u64,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

/// Close a pull request without merging it; your own, or one that you may merge.
#[derive(Debug, clap::Args)]
pub struct Close {
    /// The pull request's number.
    number: u64,
    #[command(flatten)]
    place: In,
    #[command(flatten)]
    connection: Connection,
}

/// An Application that a pull request changes.
struct Carried {
    application: String,
    /// Whether it is to be deleted.
    is_going: bool,
    /// The commit that ran before.
    before: Option<String>,
}

impl Propose {
    /// Opens it as the caller, and says what stands against it.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let environment = &self.place.environment;
        let body = OpenPull {
            branch: self.branch.clone(),
            title: self.title.clone(),
            body: None,
        };
        let path = ["environments", environment, "pull-requests"];
        let accepted: Accepted = api.put(Method::POST, &path, &body).await?;
        let subject = format!("Propose {} for {environment}", self.branch);
        said(&accepted, &subject, self.common.output)?;
        match accepted.pull_request {
            Some(number) => next(&api, environment, number).await,
            None => Ok(()),
        }
    }
}

impl Approve {
    /// Approves it as the caller.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let (number, environment) = (self.number, &self.place.environment);
        post(&api, environment, number, "approval").await?;
        say(&format!("Approved pull request {number} of {environment}"));
        Ok(())
    }
}

impl Close {
    /// Closes it as the caller.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.connection.api().await?;
        let (number, environment) = (self.number, &self.place.environment);
        post(&api, environment, number, "close").await?;
        say(&format!("Closed pull request {number} of {environment}"));
        Ok(())
    }
}

impl Merge {
    /// Merges it as the caller, and waits until what it carried runs.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let (number, environment) = (self.number, &self.place.environment);
        // Looked at and listened to before it is merged, so that no step is missed.
        let mut watched = match self.patience.wait {
            true => {
                let carried = self.carried(&api).await?;
                Some((carried, Stream::open(&api).await?))
            }
            false => None,
        };
        let here = ["environments", environment];
        let before: Option<EnvironmentView> = api.find(&here).await?;
        let before = before.and_then(|view| view.applied_revision);
        let response = post(&api, environment, number, "merge").await?;
        let accepted: Accepted = response.json().await?;
        let subject = format!("Merge pull request {number} of {environment}");
        said(&accepted, &subject, self.common.output)?;
        match (&mut watched, &accepted.commit) {
            (Some((carried, stream)), _) => {
                let settled = self.settled(&api, stream, &accepted, carried);
                self.patience.bounded(&subject, settled).await?;
            }
            (None, Some(commit)) => {
                shown::until_applied(&api, environment, commit, before.as_deref()).await;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The Applications that it changes, and what runs now.
    async fn carried(&self, api: &Api) -> anyhow::Result<Vec<Carried>> {
        let environment = &self.place.environment;
        let number = self.number.to_string();
        let path = ["environments", environment, "pull-requests", &number];
        let pull: PullRequestView = api.get(&path).await?;
        let mut carried = Vec::new();
        for (application, is_going) in applications_of(pull.diff.as_deref().unwrap_or_default()) {
            let path = ["environments", environment, "applications", &application];
            let view: Option<ApplicationView> = api.find(&path).await?;
            carried.push(Carried {
                application,
                is_going,
                before: view.and_then(|view| view.applied_revision),
            });
        }
        Ok(carried)
    }

    /// Waits for one after the other; each is looked at first, since what happened
    /// while another was waited for is over.
    async fn settled(
        &self,
        api: &Api,
        stream: &mut Stream<'_>,
        accepted: &Accepted,
        carried: &[Carried],
    ) -> anyhow::Result<()> {
        let environment = &self.place.environment;
        for one in carried {
            let name = &one.application;
            if one.is_going {
                let full = format!("{environment}/{name}");
                let path = ["environments", environment, "applications", name];
                let left = wait::gone(api, stream, "application", &full, &path).await?;
                destroy::gone(name, &left)?;
                continue;
            }
            let wanted = Wanted {
                environment,
                application: name,
                commit: accepted.commit.as_deref(),
                before: one.before.as_deref(),
            };
            let view = wait::application(api, stream, &wanted).await?;
            show_address(&view, self.common.output)?;
        }
        Ok(())
    }
}

/// Says what stands against a pull request that was just opened, and who does what
/// next. The change is made, whatever can be read of it.
pub async fn next(api: &Api, environment: &str, number: u64) -> anyhow::Result<()> {
    let number = number.to_string();
    let path = ["environments", environment, "pull-requests", &number];
    match api.get::<PullRequestView>(&path).await {
        Ok(pull) => say(&what_is_next(&pull)),
        Err(error) => tracing::debug!(error = format!("{error:#}"), "pull request not read"),
    }
    Ok(())
}

fn what_is_next(pull: &PullRequestView) -> String {
    let PullRequestView {
        environment,
        number,
        ..
    } = pull;
    let merge = format!("`catalyst merge {number} -e {environment} --wait`");
    if pull.blocked_by.is_empty() {
        return format!("Nothing stands against merging it\nhint: {merge}");
    }
    let mut text = String::from("Before it can be merged:");
    for block in &pull.blocked_by {
        text.push_str(&format!("\n  {block}"));
    }
    text + &format!(
        "\nhint: once that is settled, {merge}; others approve it with `catalyst approve {number} -e {environment}`"
    )
}

async fn post(
    api: &Api,
    environment: &str,
    number: u64,
    what: &str,
) -> anyhow::Result<reqwest::Response> {
    let number = number.to_string();
    let path = ["environments", environment, "pull-requests", &number, what];
    api.send(api.request(Method::POST, &path)).await
}

/// The Applications whose files a unified diff changes, and whether it has them
/// deleted: by taking the file away, or by asking for it in the file, as
/// `catalyst delete` does.
fn applications_of(diff: &str) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    let mut current: Option<&str> = None;
    for line in diff.lines() {
        if let Some(files) = line.strip_prefix("diff --git ") {
            current = files.rsplit_once(" b/").and_then(|(_, path)| {
                let (name, file) = path.strip_prefix("applications/")?.split_once('/')?;
                (file == "application.yaml").then_some(name)
            });
            if let Some(name) = current {
                found.insert(name.to_owned(), false);
            }
            continue;
        }
        let is_going = line.starts_with("deleted file mode ") || line.starts_with("+  deletion:");
        if let (Some(name), true) = (current, is_going) {
            found.insert(name.to_owned(), true);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_opened_a_pull_request_is_told_what_comes_next() {
        let mut pull = PullRequestView {
            environment: "acme-prod".into(),
            number: 3,
            title: "Promote guests".into(),
            body: String::new(),
            author: "ada".into(),
            head: "ada/guests".into(),
            created_at: "2026-01-01T00:00:00.000Z".into(),
            state: "open".into(),
            approvals: Vec::new(),
            blocked_by: Vec::new(),
            diff: None,
        };
        insta::assert_snapshot!(what_is_next(&pull), @r"
        Nothing stands against merging it
        hint: `catalyst merge 3 -e acme-prod --wait`
        ");
        pull.blocked_by = vec!["the policy two-eyes asks for 1 approval; there are 0".into()];
        insta::assert_snapshot!(what_is_next(&pull), @r"
        Before it can be merged:
          the policy two-eyes asks for 1 approval; there are 0
        hint: once that is settled, `catalyst merge 3 -e acme-prod --wait`; others approve it with `catalyst approve 3 -e acme-prod`
        ");
    }

    #[test]
    fn a_diff_tells_which_applications_come_and_go() {
        let diff = "\
diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1,2 @@
 Hello
+  deletion: of nothing
diff --git a/applications/guests/application.yaml b/applications/guests/application.yaml
new file mode 100644
--- /dev/null
+++ b/applications/guests/application.yaml
@@ -0,0 +1,2 @@
+spec:
+  config: {title: Hi}
diff --git a/applications/old/application.yaml b/applications/old/application.yaml
deleted file mode 100644
--- a/applications/old/application.yaml
+++ /dev/null
@@ -1 +0,0 @@
-spec: {}
diff --git a/applications/wiki/application.yaml b/applications/wiki/application.yaml
--- a/applications/wiki/application.yaml
+++ b/applications/wiki/application.yaml
@@ -6,3 +6,5 @@
 spec:
+  deletion:
+    data: keep
   blueprint:
diff --git a/applications/wiki/README.md b/applications/wiki/README.md
deleted file mode 100644
";
        let expected = [("guests", false), ("old", true), ("wiki", true)];
        let expected = expected.map(|(name, is_going)| (name.to_owned(), is_going));
        assert_eq!(applications_of(diff), BTreeMap::from(expected));
        assert!(applications_of("").is_empty());
    }
}
