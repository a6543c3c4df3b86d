//! `catalyst upgrade`: every Application of a Blueprint, wave by wave.

use std::fmt::Write as _;

use catalyst_api::{
    Accepted, BlueprintCard, StartUpgrade, UpgradeAccepted, UpgradePlanView, UpgradeRequest,
    UpgradeView,
};
use reqwest::Method;

use super::api::{Api, Common};
use super::change;
use super::failure::{Hinted, hinted};
use super::output::{Output, plain, print, say, table};
use super::prepare::{confirm, said};
use super::shown;
use super::stream::Stream;
use super::wait::Patience;

/// The source that is meant where none is named.
const CATALOG: &str = "catalog";

/// Upgrade every Application of a Blueprint, wave by wave, until one fails.
///
/// Each is changed by an ordinary commit, or a pull request where a policy wants one; a
/// wave begins when all of the one before run at the version. `catalyst get upgrades`
/// lists them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Upgrade {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    which: Which,
    /// Show what it would do, and change nothing.
    #[arg(long)]
    plan: bool,
    /// Begin it without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

/// Which Applications, and in what order.
#[derive(Debug, clap::Args)]
struct Which {
    /// The Blueprint, as [SOURCE/]NAME; from the source `catalog` unless given.
    blueprint: Option<String>,
    /// The version that they shall have.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// The Organization whose Applications are meant; those of all for a
    /// sovereign-admin unless given.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Stages in the order of their turn, such as dev,stg,prod; of others nothing is
    /// upgraded. All of them, prod last, unless given.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    waves: Vec<String>,
    /// The most Applications that are upgraded at a time; all of a stage unless given.
    #[arg(long, value_name = "NUMBER")]
    batch: Option<u32>,
    /// Within how many seconds of its commit each must run; 1800 unless given.
    #[arg(long, value_name = "SECONDS")]
    ready_within: Option<u32>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Status(Named),
    Cancel(Cancel),
    Resume(Resume),
}

/// Show how far a fleet upgrade is, Application by Application.
#[derive(Debug, clap::Args)]
struct Named {
    /// Its name.
    name: String,
}

/// Have nothing more of a fleet upgrade begin; what was begun goes on by itself.
#[derive(Debug, clap::Args)]
struct Cancel {
    /// Its name.
    name: String,
}

/// Go on with a fleet upgrade that stopped: what failed has its turn again.
#[derive(Debug, clap::Args)]
struct Resume {
    /// Its name.
    name: String,
}

impl Which {
    fn request(&self) -> anyhow::Result<UpgradeRequest> {
        let Some(text) = &self.blueprint else {
            return Err(hinted(
                "nothing says of which Blueprint",
                "name it, such as `catalyst upgrade bp-wiki --to 2.0.0`; see --help",
            ));
        };
        let (source, blueprint, version) = change::reference(text);
        let to = match (&self.to, version) {
            (Some(to), None) => to.clone(),
            (None, Some(version)) => version,
            (Some(_), Some(_)) => {
                return Err(hinted(
                    format!("`{text}` names a version, and --to another"),
                    "leave one of them away",
                ));
            }
            (None, None) => {
                return Err(hinted(
                    format!("nothing says to which version of {blueprint}"),
                    "name it with --to, such as --to 2.0.0",
                ));
            }
        };
        Ok(UpgradeRequest {
            source,
            blueprint,
            to,
            organization: self.organization.clone(),
            waves: self.waves.clone(),
            batch: self.batch,
            timeout_seconds: self.ready_within,
        })
    }
}

impl Upgrade {
    /// Carries it out.
    pub async fn run(&self) -> anyhow::Result<()> {
        let Some(what) = &self.what else {
            return self.begin().await;
        };
        let api = self.common.connection.api().await?;
        match what {
            What::Status(it) => {
                let found: UpgradeView = api.get(&["upgrades", &it.name]).await?;
                match self.common.output {
                    Output::Table => print(&described(&found)),
                    output => output.value(&found),
                }
            }
            What::Cancel(it) => {
                let subject = format!("Cancel {}", it.name);
                self.steer(&api, &it.name, "cancel", &subject).await
            }
            What::Resume(it) => {
                let subject = format!("Resume {}", it.name);
                self.steer(&api, &it.name, "resume", &subject).await?;
                if self.patience.wait {
                    self.watch(&api, &it.name).await?;
                }
                Ok(())
            }
        }
    }

    async fn steer(&self, api: &Api, name: &str, verb: &str, subject: &str) -> anyhow::Result<()> {
        let path = ["upgrades", name, verb];
        let accepted: Accepted = api.put(Method::POST, &path, &()).await?;
        said(&accepted, subject, self.common.output)?;
        let is_shown = |view: Option<&UpgradeView>| {
            view.is_none_or(|view| match verb {
                "cancel" => matches!(view.phase.as_str(), "Cancelled" | "Completed"),
                _ => view.phase != "Stopped",
            })
        };
        shown::until(api, &["upgrades", name], is_shown).await;
        Ok(())
    }

    async fn begin(&self) -> anyhow::Result<()> {
        let request = self.which.request()?;
        let output = self.common.output;
        let api = self.common.connection.api().await?;
        let path = ["upgrade-plans"];
        let found: UpgradePlanView = match api.put(Method::POST, &path, &request).await {
            Ok(found) => found,
            Err(error) => return Err(explained(&api, &request, error).await),
        };
        if self.plan {
            return match output {
                Output::Table => print(&describe(&found)),
                _ => output.value(&found),
            };
        }
        if !self.yes {
            say(&describe(&found));
            let question = format!("Upgrade {}?", counted(&found));
            confirm(&question, &subject(&found), "pass --yes")?;
        }
        let start = StartUpgrade {
            request,
            plan: Some(found.digest.clone()),
        };
        let started: UpgradeAccepted = api.put(Method::POST, &["upgrades"], &start).await?;
        match output {
            Output::Table => say(&format!(
                "{} is begun: `catalyst upgrade status {0}` shows how far it is",
                started.name
            )),
            _ => output.value(&started)?,
        }
        shown::until_there(&api, &["upgrades", &started.name]).await;
        if self.patience.wait {
            self.watch(&api, &started.name).await?;
        }
        Ok(())
    }

    /// Waits until it is over, and shows every step.
    async fn watch(&self, api: &Api, name: &str) -> anyhow::Result<()> {
        let steps = async {
            // Open before the first look, so that nothing falls between.
            let mut stream = Stream::open(api).await?;
            let mut last = String::new();
            loop {
                let view: UpgradeView = api.get(&["upgrades", name]).await?;
                let step = step(&view);
                if step != last {
                    say(&plain(&step));
                    last = step;
                }
                match view.phase.as_str() {
                    "Completed" => return Ok(()),
                    "Stopped" | "Cancelled" => {
                        return Err(hinted(
                            ended(&view),
                            format!(
                                "see `catalyst upgrade status {name}`; a failed Application goes back by `catalyst rollback`, and the rest goes on by `catalyst upgrade resume {name}`"
                            ),
                        ));
                    }
                    _ => {}
                }
                stream.next().await?;
            }
        };
        self.patience.bounded(name, steps).await
    }
}

/// How far a fleet upgrade is, in a line; it may have nothing to say of it yet.
fn step(view: &UpgradeView) -> String {
    match view.message.as_str() {
        "" => format!("{}: {}", view.name, view.phase),
        message => format!("{}: {} ({message})", view.name, view.phase),
    }
}

/// What became of one that ended before all was done.
fn ended(view: &UpgradeView) -> String {
    match view.message.as_str() {
        "" => format!("{} is {}", view.name, view.phase),
        message => format!("{} is {}: {message}", view.name, view.phase),
    }
}

/// A refusal, with the source that was meant where none was named and the Blueprint is in
/// one other.
async fn explained(api: &Api, request: &UpgradeRequest, error: anyhow::Error) -> anyhow::Error {
    if request.source.is_some() {
        return error;
    }
    let words = [("q", request.blueprint.as_str())];
    let cards: anyhow::Result<Vec<BlueprintCard>> = api.search(&["blueprints"], &words).await;
    match only_source(&cards.unwrap_or_default(), &request.blueprint) {
        Some(source) => error.context(in_source(&source, request)),
        None => error,
    }
}

/// The one source that a Blueprint is in, where that is not the one that is meant without
/// a name.
fn only_source(cards: &[BlueprintCard], blueprint: &str) -> Option<String> {
    let mut sources = cards.iter().filter(|card| card.name == blueprint);
    let source = &sources.next()?.source;
    let is_only = sources.all(|card| card.source == *source);
    (is_only && source != CATALOG).then(|| source.clone())
}

fn in_source(source: &str, request: &UpgradeRequest) -> Hinted {
    let (blueprint, to) = (&request.blueprint, &request.to);
    Hinted::new(
        format!("cannot upgrade {blueprint} of {CATALOG}, which is meant where no source is named"),
        format!("it is in {source}: `catalyst upgrade {source}/{blueprint} --to {to}`"),
    )
}

fn subject(plan: &UpgradePlanView) -> String {
    let of = match &plan.organization {
        Some(organization) => format!(" of {organization}"),
        None => String::new(),
    };
    format!("upgrade every {}{of} to {}", plan.blueprint, plan.to)
}

/// How many Applications in how many waves.
fn counted(plan: &UpgradePlanView) -> String {
    let all: usize = plan.waves.iter().map(|wave| wave.applications.len()).sum();
    let word = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let waves = word(plan.waves.len(), "wave");
    format!("{} in {waves}", word(all, "Application"))
}

/// A plan in words: wave by wave what changes, then what is left out and why.
fn describe(plan: &UpgradePlanView) -> String {
    let mut text = format!("{}: {}\n", subject(plan), counted(plan));
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        _ = write!(text, "\n{title}\n");
        for line in table(&[], rows).lines() {
            _ = writeln!(text, "  {line}");
        }
    };
    for (number, wave) in plan.waves.iter().enumerate() {
        let rows = wave.applications.iter().map(|it| {
            let moved = it.moved.iter().map(|moved| match &moved.to {
                Some(to) => format!("{} → {to}", moved.from),
                None => format!("{} is dropped", moved.from),
            });
            let moved: Vec<String> = moved.collect();
            let pull = match it.policies.is_empty() {
                true => String::new(),
                false => format!("pull request: {}", it.policies.join(", ")),
            };
            vec![
                it.environment.clone(),
                it.application.clone(),
                format!("{} → {}", it.from, plan.to),
                format!("objects +{} ~{} -{}", it.creates, it.updates, it.deletes),
                moved.join(", "),
                pull,
            ]
        });
        section(
            &format!("Wave {}: {}", number + 1, wave.stage),
            rows.collect(),
        );
    }
    if !plan.blocked.is_empty() {
        let rows = plan.blocked.iter().map(|it| {
            let next = it.next.as_ref().map(|next| format!("; {next}"));
            vec![
                it.environment.clone(),
                it.application.clone(),
                it.from.clone(),
                format!("{}{}", it.reason, next.unwrap_or_default()),
            ]
        });
        section("Left out", rows.collect());
    }
    let all = plan.waves.iter().flat_map(|wave| &wave.applications);
    for (place, warning) in all.flat_map(|it| {
        let place = format!("{}/{}", it.environment, it.application);
        it.warnings
            .iter()
            .map(move |warning| (place.clone(), warning))
    }) {
        _ = write!(text, "\nWarning: {}: {}\n", plain(&place), plain(warning));
    }
    text
}

/// A fleet upgrade in words: how far it is, then every Application.
fn described(view: &UpgradeView) -> String {
    let mut text = format!("{}: {}\n", view.name, view.phase);
    if !view.message.is_empty() {
        _ = writeln!(text, "{}", plain(&view.message));
    }
    for (number, wave) in view.waves.iter().enumerate() {
        _ = write!(text, "\nWave {}: {}\n", number + 1, plain(&wave.stage));
        let rows = wave.applications.iter().map(|it| {
            vec![
                it.environment.clone(),
                it.application.clone(),
                format!("{} → {}", it.from, view.to),
                it.state.clone(),
                it.message.clone(),
            ]
        });
        for line in table(&[], rows.collect()).lines() {
            _ = writeln!(text, "  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use catalyst_api::{BlockedUpgrade, MovedSetting, PlannedUpgrade, PlannedWave};

    use super::*;

    fn which(blueprint: Option<&str>, to: Option<&str>) -> Which {
        Which {
            blueprint: blueprint.map(str::to_owned),
            to: to.map(str::to_owned),
            organization: None,
            waves: Vec::new(),
            batch: None,
            ready_within: None,
        }
    }

    #[test]
    fn the_version_is_named_once() {
        for (blueprint, to, expected) in [
            (Some("bp-wiki"), Some("2.0.0"), Ok((None, "2.0.0"))),
            (
                Some("acme/bp-wiki@2.0.0"),
                None,
                Ok((Some("acme"), "2.0.0")),
            ),
            (Some("bp-wiki@2.0.0"), Some("2.0.0"), Err("--to another")),
            (Some("bp-wiki"), None, Err("to which version of bp-wiki")),
            (None, Some("2.0.0"), Err("of which Blueprint")),
        ] {
            match (which(blueprint, to).request(), expected) {
                (Ok(request), Ok((source, version))) => {
                    assert_eq!(request.blueprint, "bp-wiki");
                    assert_eq!(
                        (request.source.as_deref(), request.to.as_str()),
                        (source, version)
                    );
                }
                (Err(error), Err(words)) => {
                    let told = format!("{error:#}");
                    assert!(told.contains(words), "{told}");
                }
                (found, _) => panic!("{blueprint:?} {to:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn one_that_has_nothing_to_say_says_its_phase() {
        for (message, told) in [
            ("", ["u: Progressing", "u is Progressing"]),
            (
                "wave 1 of 2",
                [
                    "u: Progressing (wave 1 of 2)",
                    "u is Progressing: wave 1 of 2",
                ],
            ),
        ] {
            let view = serde_json::json!({
                "name": "u", "source": "catalog", "blueprint": "bp-wiki", "to": "2.0.0",
                "requestedBy": "alice", "phase": "Progressing", "message": message,
                "waves": [], "observedAt": "2026-01-01T00:00:00Z",
            });
            let view: UpgradeView = serde_json::from_value(view).unwrap();
            assert_eq!([step(&view), ended(&view)], told);
        }
    }

    #[test]
    fn the_one_source_that_was_meant_is_named() {
        let card = |source: &str, name: &str| -> BlueprintCard {
            let card = serde_json::json!({
                "source": source, "name": name, "version": "2.0.0", "versions": ["2.0.0"], "title": "KV",
            });
            serde_json::from_value(card).unwrap()
        };
        let other = card("acme", "bp-kv-extra");
        for (cards, expected) in [
            (vec![other.clone(), card("acme", "bp-kv")], Some("acme")),
            (vec![card("acme", "bp-kv"), card("globex", "bp-kv")], None),
            (vec![card("acme", "bp-kv"), card("catalog", "bp-kv")], None),
            // What is in the catalog was refused for another reason.
            (vec![card("catalog", "bp-kv")], None),
            (vec![other], None),
        ] {
            let found = only_source(&cards, "bp-kv");
            assert_eq!(found.as_deref(), expected, "{cards:?}");
        }
        let request = which(Some("bp-kv"), Some("2.0.0")).request().unwrap();
        let refused = anyhow::anyhow!("the source catalog has no Blueprint bp-kv");
        let told = super::super::failure::describe(&refused.context(in_source("acme", &request)));
        insta::assert_snapshot!(told, @r"
        error: cannot upgrade bp-kv of catalog, which is meant where no source is named
          because: the source catalog has no Blueprint bp-kv
        hint: it is in acme: `catalyst upgrade acme/bp-kv --to 2.0.0`
        ");
    }

    #[test]
    fn a_plan_reads_wave_by_wave_and_says_what_is_left_out() {
        let upgrade = |environment: &str, policies: &[&str]| PlannedUpgrade {
            environment: environment.into(),
            application: "wiki".into(),
            from: "1.0.0".into(),
            policies: policies.iter().map(|it| (*it).to_owned()).collect(),
            moved: vec![MovedSetting {
                from: "/title".into(),
                to: Some("/page/title".into()),
            }],
            creates: 1,
            updates: 2,
            deletes: 0,
            warnings: vec!["it has to wait".into()],
        };
        let plan = UpgradePlanView {
            digest: "sha256:1".into(),
            source: "catalog".into(),
            blueprint: "bp-wiki".into(),
            to: "2.0.0".into(),
            organization: Some("acme".into()),
            waves: vec![
                PlannedWave {
                    stage: "dev".into(),
                    applications: vec![upgrade("acme-dev", &[])],
                },
                PlannedWave {
                    stage: "prod".into(),
                    applications: vec![upgrade("acme-prod", &["two-eyes"])],
                },
            ],
            blocked: vec![BlockedUpgrade {
                environment: "acme-stg".into(),
                application: "old".into(),
                from: "0.9.0".into(),
                reason: "version 2.0.0 cannot follow 0.9.0".into(),
                next: Some("upgrade to 1.0.0 first".into()),
            }],
        };
        let text = describe(&plan);
        for (line, words) in [
            (
                0,
                &["upgrade every bp-wiki of acme to 2.0.0: 2 Applications in 2 waves"][..],
            ),
            (2, &["Wave 1: dev"]),
            (
                3,
                &[
                    "acme-dev",
                    "wiki",
                    "1.0.0 → 2.0.0",
                    "objects +1 ~2 -0",
                    "/title → /page/title",
                ],
            ),
            (5, &["Wave 2: prod"]),
            (6, &["acme-prod", "pull request: two-eyes"]),
            (8, &["Left out"]),
            (
                9,
                &["acme-stg", "cannot follow 0.9.0; upgrade to 1.0.0 first"],
            ),
            (11, &["Warning: acme-dev/wiki: it has to wait"]),
        ] {
            let found = text.lines().nth(line).unwrap_or_default();
            for word in words {
                assert!(found.contains(word), "line {line} lacks {word}:\n{text}");
            }
        }
    }
}
