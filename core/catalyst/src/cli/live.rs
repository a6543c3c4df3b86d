//! `catalyst blueprint test --live`: each case as an Application that really runs.
//!
//! What must stay true: nothing is done that its user may not do by hand, by the same
//! plans and changes; what a case installed is removed again, whatever became of it,
//! and nothing else is.

use std::collections::BTreeMap;
use std::path::Path;

use catalyst_api::{
    ApplicationCommand, ApplicationView, BlueprintDetail, Change, DataChoice, EnvironmentView,
    Health, Install, PlanView, PlannedAction,
};
use catalyst_blueprint::{Blueprint, ConfigForm, ConfigSchema};
use catalyst_names::ApplicationName;
use catalyst_plan::Case;
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::{Api, Connection, is_not_found};
use super::blueprint::packed;
use super::change::{Asked, application};
use super::failure::{Hinted, describe, hinted};
use super::output::say;
use super::prepare::{carried_out, plan_of};
use super::stream::Stream;
use super::wait::{self, Patience, Wanted};

/// The stage whose Environments nobody throws away.
const PRODUCTION: &str = "prod";

/// Where cases run.
#[derive(Debug, clap::Args)]
pub struct Live {
    /// Also install, upgrade and remove each case that renders as expected, on the
    /// Sovereign.
    #[arg(long, requires = "environment", conflicts_with = "update")]
    live: bool,
    /// The Environment for --live: one to throw away, whose Applications test-CASE come
    /// and go.
    #[arg(long, short, value_name = "NAME", requires = "live")]
    environment: Option<String>,
    /// Where the folder's version is published, for --live; the Environment's
    /// Organization unless given.
    #[arg(long, requires = "live")]
    source: Option<String>,
    /// Give up each wait of --live after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Something that was tried with a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What it was, such as `install 1.1.0`.
    step: String,
    outcome: Outcome,
    /// Why it failed, or was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Step {
    fn of(step: impl Into<String>, outcome: anyhow::Result<()>) -> Self {
        let (outcome, cause) = match outcome {
            Ok(()) => (Outcome::Passed, None),
            Err(error) => {
                let told = describe(&error);
                let told = told.strip_prefix("error: ").unwrap_or(&told).trim_end();
                (Outcome::Failed, Some(told.to_owned()))
            }
        };
        Self {
            step: step.into(),
            outcome,
            cause,
        }
    }

    fn skipped(step: &str, cause: impl Into<String>) -> Self {
        Self {
            step: step.to_owned(),
            outcome: Outcome::Skipped,
            cause: Some(cause.into()),
        }
    }

    /// Whether it went wrong.
    pub fn is_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }

    /// It and its cause, for people.
    pub fn lines(&self) -> Vec<String> {
        let verdict = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "not tried",
        };
        let mut lines = vec![format!("{verdict}: {}", self.step)];
        let cause = self.cause.iter().flat_map(|cause| cause.lines());
        lines.extend(cause.map(|line| format!("  {line}")));
        lines
    }
}

impl Live {
    /// Whether cases shall run.
    pub fn is_wanted(&self) -> bool {
        self.live
    }

    /// Runs cases, one after the other; by the name of each what was tried with it.
    pub async fn steps(
        &self,
        folder: &Path,
        cases: Vec<(&str, &Case)>,
    ) -> anyhow::Result<BTreeMap<String, Vec<Step>>> {
        let package = packed(folder)?;
        let environment = self.environment.as_deref().unwrap_or_default();
        let api = self.connection.api().await?;
        let view: Option<EnvironmentView> = api.find(&["environments", environment]).await?;
        let view = throw_away(environment, view)?;
        let source = self.source.as_deref().unwrap_or(&view.organization);
        let blueprint = &package.blueprint;
        let own = published(&api, source, blueprint, None).await?;
        check_content(folder, source, blueprint, package.digest(), own.as_ref())?;
        let versions = own.map(|own| own.card.versions).unwrap_or_default();
        let upgrades = &blueprint.spec.upgrades;
        let before = match upgrades.newest_before(&versions, blueprint.version()) {
            Ok(version) => {
                let version = version.to_string();
                let found = published(&api, source, blueprint, Some(version.as_str())).await?;
                found.ok_or_else(|| format!("{version} is not there any more"))
            }
            Err(reason) => Err(reason),
        };
        let ground = Ground {
            api: &api,
            environment,
            source,
            blueprint,
            before,
            patience: Patience {
                wait: true,
                timeout: self.timeout,
            },
        };
        let mut tried = BTreeMap::new();
        for (name, case) in cases {
            tried.insert(name.to_owned(), ground.case(name, case).await?);
        }
        Ok(tried)
    }
}

/// The Environment, if it is there and not one to keep.
fn throw_away(name: &str, view: Option<EnvironmentView>) -> anyhow::Result<EnvironmentView> {
    let next = "name one to throw away, made with `catalyst create environment acme-dev --wait`";
    match view {
        None => Err(hinted(
            format!("there is no Environment {name} that you may see"),
            next,
        )),
        Some(view) if view.env_type == PRODUCTION => Err(hinted(
            format!("cannot test in {name}: it is for production"),
            next,
        )),
        Some(view) => Ok(view),
    }
}

/// A version that the Sovereign has; the Blueprint's own unless another is named.
async fn published(
    api: &Api,
    source: &str,
    blueprint: &Blueprint,
    version: Option<&str>,
) -> anyhow::Result<Option<BlueprintDetail>> {
    let own = blueprint.version().to_string();
    let version = version.unwrap_or(&own);
    let path = ["blueprints", source, blueprint.name()];
    api.find_with(&path, &[("version", version)]).await
}

/// Refuses what is not there as the folder has it, as something else would be tried.
fn check_content(
    folder: &Path,
    source: &str,
    blueprint: &Blueprint,
    digest: &str,
    found: Option<&BlueprintDetail>,
) -> anyhow::Result<()> {
    let label = format!("{source}/{} {}", blueprint.name(), blueprint.version());
    let folder = folder.display();
    match found {
        Some(found) if found.digest == digest => Ok(()),
        Some(found) => Err(hinted(
            format!(
                "cannot test {folder}: {label} is registered with other content ({})",
                found.digest
            ),
            "publish the changed Blueprint under a new version, or name its source with --source",
        )),
        None => Err(hinted(
            format!("cannot test {folder}: {label} is not registered, so nobody can install it"),
            format!(
                "publish it with `catalyst blueprint publish {folder} --source {source}`; with `visibility: unlisted` nobody gets it by chance"
            ),
        )),
    }
}

/// The config as somebody submits it: for each secret, of which a case has a reference
/// only, a text that is none.
fn submitted(schema: &ConfigSchema, config: &Map<String, Value>) -> Map<String, Value> {
    let mut given = Value::Object(config.clone());
    for pointer in schema.secret_pointers(&given) {
        let Some(value) = given.pointer_mut(&pointer) else {
            continue;
        };
        let name = value.get("secretRef").and_then(Value::as_str);
        if let Some(text) = name.map(|name| format!("test-{name}")) {
            *value = Value::String(text);
        }
    }
    match given {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Why a case cannot be installed as a version that comes before its own: that may lack
/// what the case is about.
fn misfit(
    size: Option<&str>,
    config: &Map<String, Value>,
    version: &BlueprintDetail,
) -> Option<String> {
    let label = &version.card.version;
    if let Some(size) = size.filter(|size| !version.sizes.iter().any(|it| it == size)) {
        return Some(format!("{label} has no size {size}"));
    }
    let schema = match ConfigSchema::compile(&version.config_schema) {
        Ok(schema) => schema,
        Err(error) => return Some(format!("{label}: {error}")),
    };
    let config = Value::Object(config.clone());
    let problems = schema.validate_config(&config, ConfigForm::Submitted);
    let first = problems.first();
    first.map(|problem| format!("the config does not fit {label}: {problem}"))
}

/// Whether an Application ended up as it must.
fn judged(phase: &str, health: &Health) -> anyhow::Result<()> {
    if health.phase == phase {
        return Ok(());
    }
    let message = match health.message.as_str() {
        "" => health.reason.as_str(),
        message => message,
    };
    anyhow::bail!("it is {}, not {phase}: {message}", health.phase)
}

/// Adds the Applications that a plan creates to those that were made.
fn add_new(plan: &PlanView, made: &mut Vec<String>) {
    for it in &plan.applications {
        if it.action == PlannedAction::Create && !made.contains(&it.name) {
            made.push(it.name.clone());
        }
    }
}

/// Where cases run, and what of.
struct Ground<'a> {
    api: &'a Api,
    environment: &'a str,
    source: &'a str,
    blueprint: &'a Blueprint,
    /// The version to upgrade from, or why there is none.
    before: Result<BlueprintDetail, String>,
    patience: Patience,
}

/// A case as an Application.
struct Attempt<'a> {
    application: String,
    case: &'a Case,
    config: Map<String, Value>,
}

impl Ground<'_> {
    /// What is tried with a case.
    async fn case(&self, name: &str, case: &Case) -> anyhow::Result<Vec<Step>> {
        let application = format!("test-{name}");
        if let Err(error) = ApplicationName::new(application.clone()) {
            let error = hinted(error.to_string(), "give the case's folder another name");
            return Ok(vec![Step::of("install", Err(error))]);
        }
        let schema = ConfigSchema::compile(&self.blueprint.spec.config_schema)?;
        let attempt = Attempt {
            application,
            case,
            config: submitted(&schema, &case.config),
        };
        let own = self.blueprint.version().to_string();
        let mut steps = self.round(&attempt, &own, None).await;
        let is_failed = steps.iter().any(Step::is_failed);
        let before = self.before.as_ref().map_err(String::clone);
        let before =
            before.and_then(
                |before| match misfit(case.size.as_deref(), &attempt.config, before) {
                    None => Ok(before.card.version.as_str()),
                    Some(reason) => Err(reason),
                },
            );
        match before {
            Err(reason) => steps.push(Step::skipped("upgrade", reason)),
            Ok(_) if is_failed => steps.push(Step::skipped("upgrade", "what is above failed")),
            Ok(before) => steps.extend(self.round(&attempt, before, Some(&own)).await),
        }
        Ok(steps)
    }

    /// Installs a version, upgrades it where another is to follow, and removes it.
    async fn round(&self, attempt: &Attempt<'_>, first: &str, then: Option<&str>) -> Vec<Step> {
        let mut made = Vec::new();
        let phase = attempt.case.phase.as_str();
        let install = ApplicationCommand::Install {
            install: Install {
                name: attempt.application.clone(),
                source: Some(self.source.to_owned()),
                blueprint: self.blueprint.name().to_owned(),
                version: Some(first.to_owned()),
                size: attempt.case.size.clone(),
                config: attempt.config.clone(),
                dependencies: BTreeMap::new(),
            },
        };
        // What is said of how it ends up is said of the version after.
        let phase_before = if then.is_some() { "Running" } else { phase };
        let installed = self.settled(install, phase_before, &mut made).await;
        let is_installed = installed.is_ok();
        let mut steps = vec![Step::of(format!("install {first}"), installed)];
        if let Some(then) = then.filter(|_| is_installed) {
            let change = ApplicationCommand::Change {
                application: attempt.application.clone(),
                change: Change {
                    version: Some(then.to_owned()),
                    ..Change::default()
                },
            };
            let upgraded = self.settled(change, phase, &mut made).await;
            steps.push(Step::of(format!("upgrade {first} to {then}"), upgraded));
        }
        if !made.is_empty() {
            steps.push(Step::of("remove", self.removed(&made).await));
        }
        steps
    }

    /// Carries out a change and waits until its Application is in a phase. What is new
    /// by it is added to `made`, each before what it depends on.
    async fn settled(
        &self,
        command: ApplicationCommand,
        phase: &str,
        made: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let name = application(&command).to_owned();
        let path = ["environments", self.environment, "applications", &name];
        let before: Option<ApplicationView> = self.api.find(&path).await?;
        let before = before.and_then(|view| view.applied_revision);
        let asked = self.asked(command);
        let plan = plan_of(self.api, &asked).await?;
        self.refuse_policies(&plan)?;
        say(&plan.subject);
        let mut stream = Stream::open(self.api).await?;
        // Before it is made: an answer that is lost is no reason to leave it there.
        add_new(&plan, made);
        let done = carried_out(self.api, &asked, plan, |_, now| {
            self.refuse_policies(now)?;
            add_new(now, made);
            Ok(())
        });
        let commit = done.await?.and_then(|(accepted, _)| accepted.commit);
        let wanted = Wanted {
            environment: self.environment,
            application: &name,
            commit: commit.as_deref(),
            before: before.as_deref(),
        };
        let settled = wait::settled(self.api, &mut stream, &wanted);
        let view = self.patience.bounded(&name, settled).await?;
        judged(phase, &view.summary.health)
    }

    /// Refuses a change that people would have to approve first.
    fn refuse_policies(&self, plan: &PlanView) -> anyhow::Result<()> {
        if plan.policies.is_empty() {
            return Ok(());
        }
        Err(hinted(
            format!(
                "changes of {} go by pull request: {}",
                self.environment,
                plan.policies.join(", ")
            ),
            "name an Environment without such policies",
        ))
    }

    /// Removes what was made, with its data.
    async fn removed(&self, made: &[String]) -> anyhow::Result<()> {
        for name in made {
            self.remove(name).await.map_err(|error| {
                error.context(Hinted::new(
                    format!("{name} may still be in {}", self.environment),
                    format!(
                        "delete it with `catalyst delete application {name} -e {} --data drop`",
                        self.environment
                    ),
                ))
            })?;
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let asked = self.asked(ApplicationCommand::Delete {
            application: name.to_owned(),
            data: DataChoice::Drop,
        });
        // Git knows best whether it was made.
        let plan = match plan_of(self.api, &asked).await {
            Err(error) if is_not_found(&error) => return Ok(()),
            other => other?,
        };
        let subject = plan.subject.clone();
        say(&subject);
        let mut stream = Stream::open(self.api).await?;
        match carried_out(self.api, &asked, plan, |_, _| Ok(())).await {
            // Somebody else was faster.
            Err(error) if is_not_found(&error) => return Ok(()),
            other => other?,
        };
        let full = format!("{}/{name}", self.environment);
        let path = ["environments", self.environment, "applications", name];
        let ended = wait::deletion(self.api, &mut stream, "application", &full, &path);
        let left = self.patience.bounded(&subject, ended).await?;
        if left.is_empty() {
            return Ok(());
        }
        anyhow::bail!("its deletion left behind: {}", left.join(", "))
    }

    fn asked(&self, command: ApplicationCommand) -> Asked {
        Asked {
            environment: self.environment.to_owned(),
            command,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use serde_json::json;

    use super::*;

    fn detail(digest: &str) -> BlueprintDetail {
        serde_json::from_value(json!({
            "source": "acme", "name": "bp-x", "version": "1.0.0", "versions": ["1.0.0"],
            "title": "X", "digest": digest, "signer": "sha256:k",
            "configSchema": {
                "type": "object", "additionalProperties": false,
                "properties": {"title": {"type": "string"}},
            },
            "form": [], "sizes": ["small"], "depends": [], "opens": false,
        }))
        .unwrap()
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_is_there_to_be_thrown_away_is_taken() {
        let view = |env_type: &str| -> EnvironmentView {
            serde_json::from_value(json!({
                "name": "acme-x", "organization": "acme", "envType": env_type,
                "vclusters": [], "repository": "", "applications": 0, "policies": [],
                "health": {
                    "phase": "Running", "reason": "", "message": "", "observedAt": "", "since": "",
                },
            }))
            .unwrap()
        };
        for (found, said) in [
            (Some(view("dev")), None),
            (Some(view("stg")), None),
            (Some(view("prod")), Some("it is for production")),
            (None, Some("there is no Environment acme-x")),
        ] {
            let taken = throw_away("acme-x", found);
            let told = taken.err().map(|error| describe(&error));
            assert_eq!(told.is_some(), said.is_some(), "{told:?}");
            let is_told = told.is_none_or(|told| told.contains(said.unwrap_or_default()));
            assert!(is_told, "{said:?}");
        }
    }

    #[test]
    fn what_runs_is_what_the_folder_has() {
        let text = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-x}\nspec:\n  version: 1.0.0\n  card: {title: X, license: MIT}\n  manifests: {source: {kind: HelmChart}}\n";
        let blueprint = Blueprint::parse(text).unwrap();
        let check = |found: Option<&BlueprintDetail>| {
            check_content(Path::new("x"), "acme", &blueprint, "sha256:1", found)
        };
        check(Some(&detail("sha256:1"))).unwrap();
        let told = |found: Option<&BlueprintDetail>| describe(&check(found).unwrap_err());
        insta::assert_snapshot!(told(Some(&detail("sha256:2"))), @r"
        error: cannot test x: acme/bp-x 1.0.0 is registered with other content (sha256:2)
        hint: publish the changed Blueprint under a new version, or name its source with --source
        ");
        insta::assert_snapshot!(told(None), @r"
        error: cannot test x: acme/bp-x 1.0.0 is not registered, so nobody can install it
        hint: publish it with `catalyst blueprint publish x --source acme`; with `visibility: unlisted` nobody gets it by chance
        ");
    }

    #[test]
    fn a_case_is_upgraded_only_from_what_it_fits() {
        let version = detail("sha256:1");
        for (size, config, said) in [
            (None, json!({}), None),
            (Some("small"), json!({"title": "T"}), None),
            (Some("huge"), json!({}), Some("1.0.0 has no size huge")),
            (
                None,
                json!({"titel": "T"}),
                Some("the config does not fit 1.0.0"),
            ),
        ] {
            let found = misfit(size, &map(config.clone()), &version);
            assert_eq!(found.is_some(), said.is_some(), "{config}: {found:?}");
            let is_told = found.is_none_or(|found| found.contains(said.unwrap_or_default()));
            assert!(is_told, "{config}: {said:?}");
        }
    }

    #[test]
    fn a_secret_is_given_as_a_text_that_is_none() {
        let schema = ConfigSchema::compile(&json!({
            "properties": {
                "key": {"type": "string", "x-catalyst-secret": true},
                "title": {"type": "string"},
            },
        }))
        .unwrap();
        let config = map(json!({"key": {"secretRef": "api-key"}, "title": "T"}));
        let expected = map(json!({"key": "test-api-key", "title": "T"}));
        assert_eq!(submitted(&schema, &config), expected);
    }

    #[test]
    fn how_it_ends_up_is_held_against_what_the_case_says() {
        let health = |phase: &str, message: &str| Health {
            phase: phase.to_owned(),
            reason: "BackOff".to_owned(),
            message: message.to_owned(),
            observed_at: String::new(),
            since: String::new(),
        };
        for (phase, found, said) in [
            ("Running", health("Running", ""), None),
            ("Failed", health("Failed", "no"), None),
            (
                "Running",
                health("Failed", "pod x: exited with 1"),
                Some("it is Failed, not Running: pod x: exited with 1"),
            ),
            (
                "Failed",
                health("Running", ""),
                Some("it is Running, not Failed: BackOff"),
            ),
        ] {
            let told = judged(phase, &found).err().map(|error| error.to_string());
            assert_eq!(told.as_deref(), said);
        }
    }

    #[test]
    fn a_step_says_what_it_was_told() {
        let failed =
            Err::<(), _>(anyhow::anyhow!("refused")).context(Hinted::new("not removed", "look"));
        let steps = [
            Step::of("install 1.0.0", Ok(())),
            Step::of("remove", failed),
            Step::skipped("upgrade", "there is no release before 1.0.0"),
        ];
        let lines: Vec<String> = steps.iter().flat_map(Step::lines).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        passed: install 1.0.0
        failed: remove
          not removed
            because: refused
          hint: look
        not tried: upgrade
          there is no release before 1.0.0
        ");
        assert_eq!(
            serde_json::to_value(&steps[2]).unwrap(),
            json!({
                "step": "upgrade", "outcome": "skipped",
                "cause": "there is no release before 1.0.0",
            })
        );
        assert_eq!(steps.iter().filter(|it| it.is_failed()).count(), 1);
    }
}
