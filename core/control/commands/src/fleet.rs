//! Fleet upgrades: all Applications of a Blueprint that have an older version, wave by
//! wave. One is planned and declared here; the controller that carries it out gives each
//! Application its turn by [`Commands::upgrade_turn`].
//!
//! What must stay true: an Application is upgraded by the ordinary command, in the name
//! and with the rights of who asked for it, so that no rule is gone round; what is shown
//! to whoever plans one is of Organizations that they administer.

mod decide;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalyst_api::{
    Accepted, ApplicationCommand, Change, Execute, PlanView, PlannedUpgrade, PlannedWave,
    StartUpgrade, UpgradeAccepted, UpgradePlanView, UpgradeRequest,
};
use catalyst_blueprint::fleet;
use catalyst_ports::{PortError, PullState};
use catalyst_resources::{
    BlueprintReference, FleetUpgrade, FleetUpgradeSpec, GROUP, UpgradeMember, UpgradePhase,
    UpgradeWave, VERSION,
};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use semver::Version;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::applications::environment_name;
use crate::state::Configuration;
use crate::{Access, Actor, CommandError, Commands, RequestId};

use decide::{
    Candidate, MOST, blocked, bounded, cancel, candidates, declare, planned, resume, scope, stages,
    standing,
};
pub(crate) use decide::{problems, requester_faults};

/// How many of them are planned at a time.
const AT_ONCE: usize = 8;
/// Within how many seconds an Application must run, unless asked for otherwise.
const PATIENCE: u32 = 1800;
/// The most of that.
const LONGEST: u32 = 86_400;

/// The ordinary plan of an Application; or why there is none, and what to do.
type Planned = Result<PlanView, (String, Option<String>)>;

/// Where an Application stands in Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does not have the version yet.
    Behind,
    /// It has the version.
    There,
    /// There is nothing to do about it, and why.
    Left(String),
}

/// What became of an Application whose turn had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It has the version in Git, by this commit where it was made now.
    Committed(Option<String>),
    /// A pull request brings the version.
    Proposed(u64),
    /// Nothing was to be done, and why.
    Left(String),
}

impl Commands {
    /// What a fleet upgrade would do; writes nothing.
    pub async fn upgrade_plan(
        &self,
        actor: &Actor,
        request: &UpgradeRequest,
    ) -> Result<UpgradePlanView, CommandError> {
        let action = action_of(request);
        let stages = stages(&request.waves, &action)?;
        let most = u32::try_from(MOST).unwrap_or(u32::MAX);
        let batch = bounded("batch", request.batch, most, &action)?;
        bounded("timeoutSeconds", request.timeout_seconds, LONGEST, &action)?;
        let at = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(actor, at.content.organizations.values());
        let organization = request.organization.as_deref();
        let scope = scope(&access, &at.content, organization, &action)?;
        let to = target(request);
        self.check_target(&access, scope.as_deref(), &to, &action)
            .await?;
        let found = self
            .behind(&at.content, scope.as_deref(), &stages, &to, &action)
            .await?;
        let plans = self.plans_of(actor, &found, &to, &action).await?;
        let mut members = Vec::new();
        let mut left_out = Vec::new();
        let mut digests = Vec::new();
        for (candidate, plan) in found.iter().zip(plans) {
            let member = &candidate.member;
            match plan {
                Ok(plan) => {
                    digests.push(plan.digest.clone());
                    members.push((candidate.stage.clone(), planned(member, &plan)));
                }
                Err((reason, next)) => left_out.push(blocked(member, reason, next)),
            }
        }
        let batch = batch.and_then(|batch| usize::try_from(batch).ok());
        let waves: Vec<PlannedWave> = fleet::waves(members, &stages, batch)
            .into_iter()
            .map(|(stage, applications)| PlannedWave {
                stage,
                applications,
            })
            .collect();
        let mut view = UpgradePlanView {
            digest: String::new(),
            source: to.source,
            blueprint: to.name,
            to: to.version,
            organization: scope,
            waves,
            blocked: left_out,
        };
        view.digest = digest(&view, &digests);
        Ok(view)
    }

    /// Declares a fleet upgrade, which a controller then carries out.
    pub async fn upgrade_start(
        &self,
        actor: &Actor,
        start: &StartUpgrade,
    ) -> Result<UpgradeAccepted, CommandError> {
        let request = &start.request;
        let action = action_of(request);
        let plan = self.upgrade_plan(actor, request).await?;
        if start.plan.as_ref().is_some_and(|seen| *seen != plan.digest) {
            return Err(CommandError::Match {
                action,
                reason: "the plan would differ from the one you saw".to_owned(),
                next: "look at the new plan, then carry it out".to_owned(),
            });
        }
        if plan.waves.is_empty() {
            let next = plan.blocked.first().map(|first| {
                let next = first.next.as_deref().unwrap_or("look at the plan");
                let (place, reason) = (&first.environment, &first.reason);
                format!("of {} in {place}: {reason}; {next}", first.application)
            });
            return Err(CommandError::Allow {
                action,
                reason: match plan.blocked.len() {
                    0 => "no Application has an older version".to_owned(),
                    count => format!("every Application is left out, {count} in all"),
                },
                next,
            });
        }
        let timeout = request.timeout_seconds.unwrap_or(PATIENCE);
        let spec = FleetUpgradeSpec {
            organization: plan.organization.clone(),
            blueprint: target(request),
            requested_by: actor.username.clone(),
            timeout_seconds: i32::try_from(timeout).unwrap_or(i32::MAX),
            waves: plan.waves.iter().map(wave_of).collect(),
            attempt: 0,
            cancelled: false,
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        let short = request
            .blueprint
            .strip_prefix("bp-")
            .unwrap_or(&request.blueprint);
        let name = format!("{short}-{}", id.get(..8).unwrap_or(&id));
        let over = self.upgrades_over(&action).await?;
        let accepted = self
            .edit_configuration(actor, "upgrade-start", &action, |state, access| {
                declare(state, access, &name, &spec, &over, &action)
            })
            .await?;
        Ok(UpgradeAccepted {
            name,
            repository: accepted.repository,
            commit: accepted.commit,
            plan: plan.digest,
        })
    }

    /// Has nothing more of a fleet upgrade begin. What was begun goes on by itself.
    pub async fn upgrade_cancel(
        &self,
        actor: &Actor,
        name: &str,
    ) -> Result<Accepted, CommandError> {
        let action = format!("cancel the fleet upgrade {name}");
        self.edit_configuration(actor, "upgrade-cancel", &action, |state, access| {
            cancel(state, access, name, &action)
        })
        .await
    }

    /// Goes on with a fleet upgrade that stopped: what failed has its turn again.
    pub async fn upgrade_resume(
        &self,
        actor: &Actor,
        name: &str,
    ) -> Result<Accepted, CommandError> {
        let action = format!("resume the fleet upgrade {name}");
        let objects = self.upgrade_objects(&action).await?;
        let stopped = objects
            .iter()
            .find(|found| found.metadata.name == name)
            .and_then(|found| found.status.as_ref()?.stopped_attempt);
        self.edit_configuration(actor, "upgrade-resume", &action, |state, access| {
            resume(state, access, name, &actor.username, stopped, &action)
        })
        .await
    }

    /// Gives an Application of a fleet upgrade its turn: the ordinary command, in the
    /// name of who asked for the upgrade. Done twice, it does the same once.
    pub async fn upgrade_turn(
        &self,
        upgrade: &str,
        spec: &FleetUpgradeSpec,
        member: &UpgradeMember,
    ) -> Result<Turn, CommandError> {
        let action = turn_action(member);
        match self.upgrade_standing(spec, member).await? {
            Standing::There => return Ok(Turn::Committed(None)),
            Standing::Left(why) => return Ok(Turn::Left(why)),
            Standing::Behind => {}
        }
        let who = &spec.requested_by;
        let mut actor = self.store().actor(self.config(), who, &action).await?;
        if actor.username.is_empty() {
            return Err(CommandError::Allow {
                action,
                reason: format!("there is no user {who} any more, in whose name it goes"),
                next: Some("resume the upgrade, which then goes in your name".to_owned()),
            });
        }
        actor.request = RequestId::parse(upgrade);
        let execute = Execute {
            command: command(member, &spec.blueprint.version),
            plan: None,
        };
        let accepted = self.execute(&actor, &member.environment, execute).await?;
        Ok(match accepted.pull_request {
            Some(number) if accepted.commit.is_none() => Turn::Proposed(number),
            _ => Turn::Committed(accepted.commit),
        })
    }

    /// Where an Application of a fleet upgrade stands in Git now.
    pub async fn upgrade_standing(
        &self,
        spec: &FleetUpgradeSpec,
        member: &UpgradeMember,
    ) -> Result<Standing, CommandError> {
        let action = turn_action(member);
        let environment = environment_name(&member.environment, &action)?;
        let is_meant = spec.organization.as_ref().is_none_or(|organization| {
            environment
                .parts()
                .is_ok_and(|(owner, _)| owner.as_str() == organization)
        });
        if !is_meant {
            return Ok(Standing::Left(
                "it is not of the Organization that the upgrade is for".to_owned(),
            ));
        }
        let tree = self
            .store()
            .applications(self.config(), &environment, &action)
            .await?;
        Ok(match tree {
            Some(tree) => standing(&tree.content, &member.application, &spec.blueprint),
            None => Standing::Left("its Environment has no Applications".to_owned()),
        })
    }

    /// Where the pull request of an Application's upgrade stands.
    pub async fn upgrade_pull(
        &self,
        member: &UpgradeMember,
        number: u64,
    ) -> Result<PullState, CommandError> {
        let action = turn_action(member);
        let environment = environment_name(&member.environment, &action)?;
        let pull = self.find_pull(&environment, number, &action).await?;
        Ok(pull.state)
    }

    /// Refuses a version that is not admitted, or not for whoever asks to know of.
    async fn check_target(
        &self,
        access: &Access,
        scope: Option<&str>,
        to: &BlueprintReference,
        action: &str,
    ) -> Result<(), CommandError> {
        Version::parse(&to.version).map_err(|error| {
            CommandError::validate(action, format!("`{}` is no version: {error}", to.version))
        })?;
        for is_fresh in [false, true] {
            let all = self
                .store()
                .catalogue(self.config(), is_fresh, action)
                .await?;
            let is_there = match scope {
                Some(organization) => {
                    let known = all.narrowed(organization, access.is_sovereign_admin());
                    known.get(to).is_some()
                }
                None => all.get(to).is_some(),
            };
            if is_there {
                return Ok(());
            }
        }
        Err(CommandError::Find {
            action: action.to_owned(),
            what: format!("Blueprint {} {} in {}", to.name, to.version, to.source),
            next: "look for it in the marketplace, or register it".to_owned(),
        })
    }

    /// The Applications that have an older version, by Environment and name.
    async fn behind(
        &self,
        configuration: &Configuration,
        scope: Option<&str>,
        stages: &[String],
        to: &BlueprintReference,
        action: &str,
    ) -> Result<Vec<Candidate>, CommandError> {
        let mut found = Vec::new();
        for (name, environment) in &configuration.environments {
            let spec = &environment.spec;
            let is_meant = scope.is_none_or(|scope| scope == spec.organization);
            if !is_meant || !stages.contains(&spec.env_type) {
                continue;
            }
            let environment = environment_name(name, action)?;
            let tree = self
                .store()
                .applications(self.config(), &environment, action)
                .await?;
            if let Some(tree) = tree {
                found.extend(candidates(name, &spec.env_type, &tree.content, to));
            }
            if found.len() > MOST {
                return Err(CommandError::Validate {
                    action: action.to_owned(),
                    reason: format!("there are more than {MOST} Applications to upgrade"),
                    next: Some("name an Organization, or fewer stages".to_owned()),
                    faults: Vec::new(),
                });
            }
        }
        Ok(found)
    }

    /// The ordinary plan of each, in the same order. What may be otherwise in a moment is
    /// no reason to leave one out, so that it fails the whole.
    async fn plans_of(
        &self,
        actor: &Actor,
        candidates: &[Candidate],
        to: &BlueprintReference,
        action: &str,
    ) -> Result<Vec<Planned>, CommandError> {
        let limit = Arc::new(Semaphore::new(AT_ONCE));
        let mut answers = JoinSet::new();
        for (position, candidate) in candidates.iter().enumerate() {
            if candidate.blocked.is_some() {
                continue;
            }
            let (commands, actor, limit) = (self.clone(), actor.clone(), Arc::clone(&limit));
            let command = command(&candidate.member, &to.version);
            let environment = candidate.member.environment.clone();
            answers.spawn(async move {
                // Nobody closes it.
                let _turn = limit.acquire_owned().await;
                let plan = commands.plan(&actor, &environment, command).await;
                (position, plan)
            });
        }
        let mut plans = BTreeMap::new();
        while let Some(answer) = answers.join_next().await {
            if let Ok((position, plan)) = answer {
                plans.insert(position, plan);
            }
        }
        let mut found = Vec::new();
        for (position, candidate) in candidates.iter().enumerate() {
            if let Some((reason, next)) = &candidate.blocked {
                found.push(Err((reason.clone(), Some(next.clone()))));
                continue;
            }
            found.push(match plans.remove(&position) {
                Some(Ok(plan)) => Ok(plan),
                Some(Err(error)) if error.retryable() => return Err(error),
                Some(Err(error)) => {
                    let problem = error.problem();
                    Err((problem.detail_with_faults(), problem.next))
                }
                None => {
                    let member = &candidate.member;
                    return Err(CommandError::Allow {
                        action: action.to_owned(),
                        reason: format!(
                            "the plan of {} in {} ended early",
                            member.application, member.environment
                        ),
                        next: Some("try again in a moment".to_owned()),
                    });
                }
            });
        }
        Ok(found)
    }

    /// The fleet upgrades of the management cluster.
    async fn upgrade_objects(&self, action: &str) -> Result<Vec<FleetUpgrade>, CommandError> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, "FleetUpgrade");
        let resource = ApiResource::from_gvk_with_plural(&kind, "fleetupgrades");
        let api: Api<DynamicObject> = Api::all_with(self.config().clusters.management(), &resource);
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(PortError::kubernetes("list the fleet upgrades"))
            .map_err(CommandError::reach(action))?;
        let objects = list.into_iter().filter_map(|object| {
            let mut value = serde_json::to_value(object).ok()?;
            // Items of lists may leave out what they all have in common.
            let fields = value.as_object_mut()?;
            let api_version = json!(format!("{GROUP}/{VERSION}"));
            fields.entry("apiVersion").or_insert(api_version);
            fields.entry("kind").or_insert(json!("FleetUpgrade"));
            serde_json::from_value(value).ok()
        });
        Ok(objects.collect())
    }

    /// Names of the fleet upgrades of which nothing is left to do.
    async fn upgrades_over(&self, action: &str) -> Result<BTreeSet<String>, CommandError> {
        let objects = self.upgrade_objects(action).await?;
        let is_over = |found: &FleetUpgrade| {
            let phase = found.status.as_ref().and_then(|status| status.phase);
            matches!(
                phase,
                Some(UpgradePhase::Completed | UpgradePhase::Cancelled)
            )
        };
        let over = objects.into_iter().filter(is_over);
        Ok(over.map(|found| found.metadata.name).collect())
    }
}

fn action_of(request: &UpgradeRequest) -> String {
    format!("upgrade every {} to {}", request.blueprint, request.to)
}

fn turn_action(member: &UpgradeMember) -> String {
    format!("upgrade {} in {}", member.application, member.environment)
}

/// The Blueprint at the version that is asked for.
fn target(request: &UpgradeRequest) -> BlueprintReference {
    BlueprintReference {
        source: request
            .source
            .clone()
            .unwrap_or_else(|| "catalog".to_owned()),
        name: request.blueprint.clone(),
        version: request.to.clone(),
    }
}

/// The ordinary upgrade of one Application.
fn command(member: &UpgradeMember, version: &str) -> ApplicationCommand {
    ApplicationCommand::Change {
        application: member.application.clone(),
        change: Change {
            version: Some(version.to_owned()),
            ..Change::default()
        },
    }
}

fn wave_of(planned: &PlannedWave) -> UpgradeWave {
    let member = |it: &PlannedUpgrade| UpgradeMember {
        environment: it.environment.clone(),
        application: it.application.clone(),
        from: it.from.clone(),
    };
    UpgradeWave {
        stage: planned.stage.clone(),
        applications: planned.applications.iter().map(member).collect(),
    }
}

/// Over what is shown but for warnings, and over the plan of each Application.
fn digest(view: &UpgradePlanView, plans: &[String]) -> String {
    let mut view = view.clone();
    for one in view.waves.iter_mut().flat_map(|it| &mut it.applications) {
        // These tell of the cluster as it happens to be, as do warnings.
        (one.creates, one.updates, one.deletes) = (0, 0, 0);
        one.warnings.clear();
    }
    let value: Value = json!({"view": view, "plans": plans});
    catalyst_plan::digest_of(&value)
}
