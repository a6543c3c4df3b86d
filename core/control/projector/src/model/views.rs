//! Each view, from the facts that are held.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::{
    ApplicationSummary, ApplicationView, EnvironmentView, Health, MemberView, OrganizationRole,
    OrganizationView, PolicyView, PullRequestView, Revision, StreamItem,
};
use catalyst_blueprint::is_shared_source;
use catalyst_names::{ApplicationName, EnvironmentName, workload_namespace};
use catalyst_plan::AdmittedBlueprint;
use catalyst_ports::SYSTEM_STREAM;
use catalyst_resources::{EnvironmentPolicySpec, OrganizationSpec, Role, RuleKind};
use jiff::Timestamp;
use serde_json::Value;

use super::health::{self, Seen};
use super::json::{commit_of_revision, condition, list, text};
use super::objects::{object_view, state};
use super::{Key, Kind, Model, View, blueprints, sources, upgrades};
use crate::fact::{CommitFact, Fact, Held, ObjectFact};
use crate::place::split_vcluster;

/// The cluster that facts about the Sovereign itself come from, as staleness
/// names it.
pub const MANAGEMENT: &str = "management";

/// A view as the facts have it now; `None` when there is nothing to show.
pub fn compute(model: &Model, (kind, name): &Key) -> Option<View> {
    match kind {
        Kind::Organization => organization(model, name),
        Kind::Environment => environment(model, name),
        Kind::Application => application(model, name),
        Kind::Blueprint => blueprint(model, name),
        Kind::BlueprintSource => blueprint_source(model, name),
        Kind::Policy => policy(model, name),
        Kind::PullRequest => pull_request(model, name),
        Kind::Deletion => deletion(model, name),
        Kind::Upgrade => upgrade(model, name),
    }
}

fn view(item: StreamItem, organization: Option<&str>, clusters: BTreeSet<String>) -> View {
    View {
        item,
        organization: organization.map(str::to_owned),
        clusters,
    }
}

fn management() -> BTreeSet<String> {
    BTreeSet::from([MANAGEMENT.to_owned()])
}

fn named<'a>(model: &'a Model, kind: &'a str, name: &str) -> Option<(&'a ObjectFact, Timestamp)> {
    model
        .system_objects(kind)
        .find(|(fact, _)| text(&fact.object, "/metadata/name") == name)
}

fn organization(model: &Model, name: &str) -> Option<View> {
    let (fact, time) = named(model, "Organization", name)?;
    let spec: OrganizationSpec =
        serde_json::from_value(fact.object.get("spec").cloned().unwrap_or_default()).ok()?;
    let mut members: Vec<MemberView> = spec
        .members
        .into_iter()
        .map(|member| MemberView {
            user: member.user,
            group: member.group,
            role: role(member.role),
            environments: member.environments,
        })
        .collect();
    members.sort_by(|one, other| (&one.user, &one.group).cmp(&(&other.user, &other.group)));
    let environments = model
        .system_objects("Environment")
        .filter(|(fact, _)| text(&fact.object, "/spec/organization") == name)
        .map(|(fact, _)| text(&fact.object, "/metadata/name").to_owned());
    let item = OrganizationView {
        name: name.to_owned(),
        display_name: spec.display_name,
        contact: spec.contact,
        members,
        environments: environments.collect(),
        health: health::of_object(&fact.object, time),
    };
    Some(view(
        StreamItem::Organization(item),
        Some(name),
        management(),
    ))
}

fn role(role: Role) -> OrganizationRole {
    match role {
        Role::OrgAdmin => OrganizationRole::OrgAdmin,
        Role::OrgDeveloper => OrganizationRole::OrgDeveloper,
        Role::OrgViewer => OrganizationRole::OrgViewer,
        Role::SecurityOfficer => OrganizationRole::SecurityOfficer,
        Role::BillingAdmin => OrganizationRole::BillingAdmin,
    }
}

/// Objects of an Environment's stream.
fn objects<'a>(
    model: &'a Model,
    environment: &str,
) -> impl Iterator<Item = (&'a ObjectFact, Timestamp)> {
    model
        .facts(environment)
        .filter_map(|(_, held)| match &held.fact {
            Fact::Object(fact) => Some((fact, held.time)),
            _ => None,
        })
}

/// The Flux object that applies an Environment's repository.
fn delivery<'a>(model: &'a Model, environment: &str) -> Option<(&'a ObjectFact, Timestamp)> {
    objects(model, environment).find(|(fact, _)| {
        text(&fact.object, "/kind") == "Kustomization"
            && text(&fact.object, "/metadata/name") == environment
            && text(&fact.object, "/metadata/namespace") == environment
    })
}

fn applied_revision(model: &Model, environment: &str) -> Option<String> {
    let (fact, _) = delivery(model, environment)?;
    commit_of_revision(text(&fact.object, "/status/lastAppliedRevision"))
}

fn policies_of(model: &Model, environment: &str) -> Vec<(String, EnvironmentPolicySpec)> {
    model
        .system_objects("EnvironmentPolicy")
        .filter_map(|(fact, _)| {
            let spec = fact.object.get("spec").cloned().unwrap_or_default();
            let spec: EnvironmentPolicySpec = serde_json::from_value(spec).ok()?;
            let name = text(&fact.object, "/metadata/name").to_owned();
            let applies = spec
                .applies_to
                .environments
                .iter()
                .any(|bound| bound == environment);
            applies.then_some((name, spec))
        })
        .collect()
}

fn environment(model: &Model, name: &str) -> Option<View> {
    let (fact, time) = named(model, "Environment", name)?;
    let organization = text(&fact.object, "/spec/organization");
    let vclusters: Vec<String> = list(&fact.object, "/status/vclusters")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let applications: BTreeSet<&str> = objects(model, name)
        .filter(|(fact, _)| text(&fact.object, "/kind") == "Application")
        .map(|(fact, _)| text(&fact.object, "/metadata/name"))
        .collect();
    let mut health = health::of_object(&fact.object, time);
    if health.phase == "Running"
        && let Some((delivery, time)) = delivery(model, name)
    {
        correct_by_delivery(&mut health, &delivery.object, time);
    }
    let item = EnvironmentView {
        name: name.to_owned(),
        organization: organization.to_owned(),
        env_type: text(&fact.object, "/spec/envType").to_owned(),
        repository: format!("{}/{organization}/{name}.git", model.settings.git),
        applied_revision: applied_revision(model, name),
        applications: u32::try_from(applications.len()).unwrap_or(u32::MAX),
        policies: policies_of(model, name)
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        health,
        vclusters: vclusters.clone(),
    };
    let mut clusters: BTreeSet<String> = vclusters.into_iter().collect();
    clusters.extend(management());
    Some(view(
        StreamItem::Environment(item),
        Some(organization),
        clusters,
    ))
}

/// An Environment whose repository is not applied does not run as wanted.
fn correct_by_delivery(health: &mut Health, delivery: &Value, time: Timestamp) {
    let (Some(false), message) = state(delivery) else {
        return;
    };
    let ready = condition(delivery, "Ready");
    let is_failed = ready.is_some_and(|it| text(it, "/status") == "False");
    health.phase = if is_failed { "Degraded" } else { "Updating" }.to_owned();
    health.reason = ready
        .map_or("NotReconciled", |it| text(it, "/reason"))
        .to_owned();
    health.message = format!("the repository is not applied: {message}");
    let since = ready.and_then(|it| text(it, "/lastTransitionTime").parse().ok());
    health.since = super::shown_time(since.unwrap_or(time));
    health.observed_at = super::shown_time(time);
}

fn application(model: &Model, key: &str) -> Option<View> {
    let (environment, name) = key.split_once('/')?;
    let (environment_object, _) = named(model, "Environment", environment)?;
    let organization = text(&environment_object.object, "/spec/organization");
    let applications: Vec<(&ObjectFact, Timestamp)> = objects(model, environment)
        .filter(|(fact, _)| text(&fact.object, "/kind") == "Application")
        .collect();
    let own = applications
        .iter()
        .copied()
        .find(|(fact, _)| text(&fact.object, "/metadata/name") == name)?;
    let object = &own.0.object;
    let parts: Vec<Seen<'_>> = objects(model, environment)
        .filter(|(fact, _)| {
            fact.application.as_deref() == Some(name) && !std::ptr::eq(*fact, own.0)
        })
        .collect();
    let mut views: Vec<_> = parts
        .iter()
        .filter(|(fact, _)| {
            let kind = text(&fact.object, "/kind");
            kind != "Event" && kind != "Application"
        })
        .map(|(fact, time)| object_view(&fact.object, *time))
        .collect();
    views.sort();
    let names_it = |object: &Value| {
        aliases(object)
            .values()
            .any(|application| application == name)
    };
    let dependents = applications
        .iter()
        .filter(|(fact, _)| names_it(&fact.object))
        .map(|(fact, _)| text(&fact.object, "/metadata/name").to_owned());
    let applied = applied_revision(model, environment);
    let size = text(object, "/spec/size");
    let item = ApplicationView {
        summary: ApplicationSummary {
            environment: environment.to_owned(),
            name: name.to_owned(),
            source: text(object, "/spec/blueprint/source").to_owned(),
            blueprint: text(object, "/spec/blueprint/name").to_owned(),
            version: text(object, "/spec/blueprint/version").to_owned(),
            health: health::of_application(own, &parts),
            url: address(model, &parts),
        },
        size: (!size.is_empty()).then(|| size.to_owned()),
        config: object
            .pointer("/spec/config")
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        dependencies: aliases(object),
        dependents: dependents.collect(),
        namespace: namespace(environment, name, &own.0.cluster).unwrap_or_default(),
        last_change: last_change(model, environment, name, applied.as_deref()),
        applied_revision: applied,
        deployed_version: deployed_version(&parts),
        objects: views,
    };
    let clusters = BTreeSet::from([own.0.cluster.clone()]);
    Some(view(
        StreamItem::Application(Box::new(item)),
        Some(organization),
        clusters,
    ))
}

fn aliases(object: &Value) -> BTreeMap<String, String> {
    let dependencies = object
        .pointer("/spec/dependencies")
        .and_then(Value::as_object);
    dependencies
        .into_iter()
        .flatten()
        .map(|(alias, to)| (alias.clone(), text(to, "/application").to_owned()))
        .collect()
}

fn namespace(environment: &str, application: &str, cluster: &str) -> Option<String> {
    let (host, _) = split_vcluster(cluster)?;
    let (_, stage) = EnvironmentName::new(environment).ok()?.parts().ok()?;
    let application = ApplicationName::new(application).ok()?;
    Some(workload_namespace(&application, stage, &host))
}

/// Where an Application is opened: the host name of its route, at the scheme
/// and port of the Sovereign's gateway.
fn address(model: &Model, parts: &[Seen<'_>]) -> Option<String> {
    let host = parts
        .iter()
        .filter(|(fact, _)| text(&fact.object, "/kind") == "HTTPRoute")
        .find_map(|(fact, _)| list(&fact.object, "/spec/hostnames").first()?.as_str())?;
    let base = &model.settings.applications;
    let port = base.port().map(|port| format!(":{port}"));
    Some(format!(
        "{}://{host}{}/",
        base.scheme(),
        port.unwrap_or_default()
    ))
}

fn deployed_version(parts: &[Seen<'_>]) -> Option<String> {
    let of_kind = |kind: &'static str| {
        parts
            .iter()
            .map(|(fact, _)| &fact.object)
            .filter(move |object| text(object, "/kind") == kind)
    };
    let released = of_kind("HelmRelease").find_map(|release| {
        list(release, "/status/history")
            .iter()
            .find(|one| text(one, "/status") == "deployed")
            .map(|one| text(one, "/chartVersion"))
    });
    // A Kustomize Blueprint's revision is `{version}@sha256:…`.
    let applied = || {
        of_kind("Kustomization").find_map(|it| {
            let (version, _) = text(it, "/status/lastAppliedRevision").split_once('@')?;
            Some(version)
        })
    };
    let version = released.or_else(applied)?;
    // Flux writes what OCI tags take instead of a plus sign.
    let version = version.split('+').next().unwrap_or(version);
    (!version.is_empty()).then(|| version.to_owned())
}

/// The commits of an Environment's repository that are remembered, each with its
/// place in the stream.
fn commits<'a>(
    model: &'a Model,
    environment: &'a str,
) -> impl Iterator<Item = (u64, &'a CommitFact)> {
    model
        .facts(environment)
        .filter_map(|(_, held)| match &held.fact {
            Fact::Commit(commit) => Some((held.sequence, commit)),
            _ => None,
        })
}

/// Who pushed or merged the commits of an Environment's repository, by commit.
pub fn pushers(model: &Model, environment: &str) -> BTreeMap<String, String> {
    commits(model, environment)
        .filter_map(|(_, commit)| {
            let user = commit.pushed_by()?;
            Some((commit.commit.clone(), user.to_owned()))
        })
        .collect()
}

/// The newest commit that touched an Application's folder.
fn last_change(
    model: &Model,
    environment: &str,
    application: &str,
    applied: Option<&str>,
) -> Option<Revision> {
    let folder = format!("applications/{application}/");
    let touching = commits(model, environment)
        .filter(|(_, commit)| commit.files.iter().any(|file| file.starts_with(&folder)));
    let (_, commit) = touching.max_by_key(|(sequence, _)| *sequence)?;
    Some(revision(commit, applied))
}

fn revision(commit: &CommitFact, applied: Option<&str>) -> Revision {
    Revision {
        commit: commit.commit.clone(),
        author: commit.author.clone(),
        author_email: commit.email.clone(),
        at: commit.at.clone(),
        subject: commit.subject.clone(),
        command: commit.command.clone(),
        pushed_by: commit.pushed_by().map(str::to_owned),
        applied: applied == Some(commit.commit.as_str()),
    }
}

/// Every admitted version of a Blueprint, newest first.
pub fn blueprint_versions(model: &Model, source: &str, name: &str) -> Vec<AdmittedBlueprint> {
    let mut versions: Vec<AdmittedBlueprint> = model
        .system_objects("Blueprint")
        .filter(|(fact, _)| {
            text(&fact.object, "/spec/source") == source && text(&fact.object, "/spec/name") == name
        })
        .filter_map(|(fact, _)| AdmittedBlueprint::from_object(&fact.object).ok())
        .collect();
    versions.sort_by(|one, other| {
        other
            .blueprint
            .version()
            .cmp(one.blueprint.version())
            .then_with(|| one.object_name().cmp(&other.object_name()))
    });
    versions
}

fn blueprint(model: &Model, key: &str) -> Option<View> {
    let (source, name) = key.split_once('/')?;
    let card = blueprints::card(&blueprint_versions(model, source, name))?;
    let organization = (!is_shared_source(source)).then_some(source);
    Some(view(
        StreamItem::Blueprint(card),
        organization,
        management(),
    ))
}

fn blueprint_source(model: &Model, name: &str) -> Option<View> {
    let (fact, time) = named(model, "BlueprintSource", name)?;
    let item = sources::source(&fact.object, time, &model.settings.git)?;
    let organization = (!is_shared_source(name)).then_some(name);
    Some(view(
        StreamItem::BlueprintSource(item),
        organization,
        management(),
    ))
}

fn policy(model: &Model, name: &str) -> Option<View> {
    let (fact, _) = named(model, "EnvironmentPolicy", name)?;
    let environments: Vec<String> = list(&fact.object, "/spec/appliesTo/environments")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let owner = |environment: &String| {
        let name = EnvironmentName::new(environment.as_str()).ok()?;
        Some(name.parts().ok()?.0.to_string())
    };
    let owners: BTreeSet<Option<String>> = environments.iter().map(owner).collect();
    // A policy of several Organizations is the Sovereign's.
    let organization = match owners.iter().collect::<Vec<_>>().as_slice() {
        [one] => (*one).clone(),
        _ => None,
    };
    let item = PolicyView {
        name: name.to_owned(),
        environments,
        rules: list(&fact.object, "/spec/rules").to_vec(),
    };
    Some(view(
        StreamItem::Policy(item),
        organization.as_deref(),
        management(),
    ))
}

fn upgrade(model: &Model, name: &str) -> Option<View> {
    let (fact, time) = named(model, "FleetUpgrade", name)?;
    let item = upgrades::upgrade(&fact.object, time)?;
    let organization = item.organization.clone();
    Some(view(
        StreamItem::Upgrade(item),
        organization.as_deref(),
        management(),
    ))
}

fn pull_request(model: &Model, key: &str) -> Option<View> {
    let (environment, number) = key.split_once('/')?;
    let number: u64 = number.parse().ok()?;
    let (fact, _) = named(model, "Environment", environment)?;
    let organization = text(&fact.object, "/spec/organization").to_owned();
    let is_it = |held: &&Held| matches!(&held.fact, Fact::Pull(pull) if pull.number == number);
    let facts = || model.facts(environment).map(|(_, held)| held);
    let Fact::Pull(pull) = &facts().find(is_it)?.fact else {
        return None;
    };
    let approvals: Vec<String> = facts()
        .filter_map(|held| match &held.fact {
            // What was said of an earlier state does not count for this one.
            Fact::Review(review)
                if review.number == number
                    && review.approved
                    && (review.head.is_empty() || review.head == pull.head)
                    && review.user != pull.author =>
            {
                Some(review.user.clone())
            }
            _ => None,
        })
        .collect();
    let item = PullRequestView {
        environment: environment.to_owned(),
        number,
        title: pull.title.clone(),
        body: pull.body.clone(),
        author: pull.author.clone(),
        head: pull.branch.clone(),
        created_at: pull.created_at.clone(),
        state: pull.state.clone(),
        blocked_by: if pull.state == "open" {
            blocked_by(&policies_of(model, environment), &approvals)
        } else {
            Vec::new()
        },
        approvals,
        diff: None,
    };
    Some(view(
        StreamItem::PullRequest(item),
        Some(&organization),
        management(),
    ))
}

/// What the approvals given leave to be asked for. Rules that only the moment
/// of merging can decide are not listed.
fn blocked_by(policies: &[(String, EnvironmentPolicySpec)], approvals: &[String]) -> Vec<String> {
    let rules = policies.iter().flat_map(|(name, spec)| {
        let rules = spec.rules.iter();
        rules
            .filter(|rule| rule.kind == RuleKind::PrRequired)
            .map(move |rule| (name, rule))
    });
    rules
        .filter_map(|(name, rule)| {
            let counted = approvals
                .iter()
                .filter(|user| rule.approvers.is_empty() || rule.approvers.contains(user))
                .count();
            let wanted = usize::try_from(rule.min_approvals.unwrap_or(1)).unwrap_or(0);
            (counted < wanted).then(|| {
                format!("the policy {name} asks for {wanted} approvals, {counted} are given")
            })
        })
        .collect()
}

fn deletion(model: &Model, key: &str) -> Option<View> {
    let (kind, name) = key.split_once('/')?;
    let item = model
        .deletions
        .values()
        .map(|(_, view)| view)
        .find(|view| view.kind == kind && view.name == name)?;
    let environment = name.split('/').next().unwrap_or(name);
    let owner = match kind {
        "Organization" => Some(name.to_owned()),
        _ => EnvironmentName::new(environment)
            .ok()
            .and_then(|name| name.parts().ok())
            .map(|(organization, _)| organization.to_string()),
    };
    Some(view(
        StreamItem::Deletion(item.clone()),
        owner.as_deref(),
        management(),
    ))
}

/// Whether the stream is that of an Environment.
pub fn is_environment_stream(stream: &str) -> bool {
    stream != SYSTEM_STREAM && EnvironmentName::new(stream).is_ok()
}
