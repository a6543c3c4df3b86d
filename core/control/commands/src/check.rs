//! The push check: the same judgement for `git push` as for commands.
//!
//! Asked by the forge before refs move. The judging is pure
//! ([`environment_faults`], [`configuration_faults`]); the rest finds out who
//! pushes and what stands there. What must stay true: what cannot be judged is
//! refused, and no message quotes the value of a secret.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_api::Fault;
use catalyst_blueprint::is_shared_source;
use catalyst_names::{EnvironmentName, HostClusterName, OrganizationName};
use catalyst_plan::keyless_identity;
use catalyst_ports::RepositoryId;
use catalyst_resources::Application;
use catalyst_signature::{MAX_IDENTITIES, PublicKey, TrustedRoot};
use semver::Version;

use crate::access::Access;
use crate::change::{living_dependents, way_to};
use crate::configuration::check_username;
use crate::documents::{fault, line_of_fault};
use crate::policy::{self, Brought};
use crate::push::{PushCheck, PushCommit, PushFile, PushRef, PushVerdict};
use crate::state::{Applications, BRANCH, CONFIG, Configuration, application_of_path, kind_of};
use crate::store::place_of;
use crate::users::policy_of;
use crate::validate::{Catalogue, Place, application_faults, choice_fault, tree_faults};
use crate::{CommandError, Commands, admins, fleet, source_of_repository};

mod source;

/// More lines help nobody.
const MOST_MESSAGES: usize = 30;

fn main_reference() -> String {
    format!("refs/heads/{BRANCH}")
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

impl Commands {
    /// The verdict on a push, before refs move. Never an error: what cannot be
    /// judged is refused.
    pub async fn check_push(&self, push: PushCheck) -> PushVerdict {
        // Commands were judged before they wrote.
        if push.pusher == self.config().service_user {
            return PushVerdict {
                allowed: true,
                messages: Vec::new(),
            };
        }
        let repository = push.repository.clone();
        let mut messages = match self.judge(&push).await {
            Ok(messages) => messages,
            Err(error) => {
                let why = error.told();
                tracing::warn!(why, repository, "push could not be judged");
                vec![format!("{why}; try again in a moment")]
            }
        };
        if messages.is_empty() {
            return PushVerdict {
                allowed: true,
                messages,
            };
        }
        let more = messages.len().saturating_sub(MOST_MESSAGES);
        if more > 0 {
            messages.truncate(MOST_MESSAGES);
            messages.push(format!("and {more} more"));
        }
        messages.insert(0, format!("Catalyst refuses this change of {repository}:"));
        PushVerdict {
            allowed: false,
            messages,
        }
    }

    async fn judge(&self, push: &PushCheck) -> Result<Vec<String>, CommandError> {
        let action = format!("check the push to {}", push.repository);
        let refuse = |reason: String| Ok(vec![reason]);
        let Some((owner, name)) = push.repository.split_once('/') else {
            return refuse("the repository's name cannot be read".to_owned());
        };
        if push.files_truncated || push.commits_truncated {
            return refuse(
                "it brings more than can be checked at once; push in smaller steps".to_owned(),
            );
        }
        let mut faults = story_faults(push);
        faults.extend(self.authorship_faults(push, &action).await?);
        if !faults.is_empty() {
            return Ok(faults);
        }
        let actor = self
            .store()
            .actor(self.config(), &push.pusher, &action)
            .await?;
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(&actor, state.content.organizations.values());
        if (owner, name) == CONFIG {
            if !access.is_sovereign_admin() {
                return refuse(
                    "only a sovereign-admin may change the Sovereign's configuration".to_owned(),
                );
            }
            return Ok(configuration_faults(&state.content, push));
        }
        let repository = RepositoryId::new(owner, name);
        let source = source_of_repository(&repository);
        if owner == "system" || is_shared_source(owner) {
            return if access.is_sovereign_admin() {
                self.judge_source(push, source, &action).await
            } else {
                refuse(format!("only a sovereign-admin may push to {owner}"))
            };
        }
        if !access.can_see(owner) {
            return refuse(format!("you have no role in the Organization {owner}"));
        }
        let environment = EnvironmentName::new(name).ok().filter(|environment| {
            environment
                .parts()
                .is_ok_and(|(organization, _)| organization.as_str() == owner)
        });
        let Some(environment) = environment else {
            return if access.can_admin(owner) {
                self.judge_source(push, source, &action).await
            } else {
                refuse(format!(
                    "pushing to {owner}/{name} takes an org-admin of {owner}"
                ))
            };
        };
        if !access.can_change(&environment) {
            return refuse(format!(
                "changing {environment} takes the role org-admin, or org-developer for it"
            ));
        }
        self.judge_environment(push, &environment, &state.content, &access, &action)
            .await
    }

    /// New commits that name another user as their author: who changed what is
    /// read from commits.
    async fn authorship_faults(
        &self,
        push: &PushCheck,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let mut faults = Vec::new();
        // A merge writes a commit of its own, under the name of who merges.
        if push.pull_request.is_some() {
            return Ok(faults);
        }
        let named: BTreeMap<&str, &PushCommit> = push
            .commits
            .iter()
            .map(|commit| (commit.author.trim(), commit))
            .collect();
        for (author, commit) in named {
            if author.eq_ignore_ascii_case(&push.pusher) {
                continue;
            }
            if self.is_somebody(author, action).await? {
                faults.push(format!(
                    "commit {}: it names {author} as its author, and you are {}; set your own name (git config user.name {}) and write it anew (git commit --amend --reset-author)",
                    short(&commit.id),
                    push.pusher,
                    push.pusher
                ));
            }
        }
        Ok(faults)
    }

    /// Whether a name is a user's, or Catalyst's own; however it is written.
    async fn is_somebody(&self, name: &str, action: &str) -> Result<bool, CommandError> {
        let lower = name.to_lowercase();
        if lower == "catalyst" || name == self.config().service_user {
            return Ok(true);
        }
        for name in BTreeSet::from([name, lower.as_str()]) {
            // Most names of people have a space, and are nobody's user name.
            if check_username(name, action).is_err() {
                continue;
            }
            let found = self.store().actor(self.config(), name, action).await?;
            if !found.username.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn judge_environment(
        &self,
        push: &PushCheck,
        environment: &EnvironmentName,
        configuration: &Configuration,
        access: &Access,
        action: &str,
    ) -> Result<Vec<String>, CommandError> {
        let strays = branch_faults(push);
        if !strays.is_empty() {
            return Ok(strays);
        }
        let place = place_of(configuration, environment, &self.config().domain, action)?;
        let base = self
            .store()
            .applications(self.config(), environment, action)
            .await?
            .map(|at| at.content)
            .unwrap_or_default();
        let mut messages = Vec::new();
        // The second look is at a fresh list: a Blueprint may have been registered a
        // moment ago.
        for is_fresh in [false, true] {
            let catalogue = self
                .store()
                .catalogue(self.config(), is_fresh, action)
                .await?
                .narrowed(place.organization.as_str(), access.is_sovereign_admin())
                .offered(&policy_of(configuration), &base);
            messages = environment_faults(&base, push, &place, &catalogue);
            if messages.is_empty() {
                break;
            }
        }
        let enters = push.refs.iter().any(|moved| moved.name == main_reference());
        let policies = configuration.policies_of(environment);
        if !messages.is_empty() || !enters || policies.is_empty() {
            return Ok(messages);
        }
        match push.pull_request {
            None if policy::needs_pull(&policies) => {
                messages.push(format!(
                    "{environment} takes changes by pull request (policy {}); push a branch and open one (`catalyst propose BRANCH -e {environment}`), or make the change in the console",
                    policy::pull_policies(&policies).join(", ")
                ));
            }
            None => {
                let brought = brought_by_push(&base, push);
                let facts = self.entry_facts(&policies, brought, action).await?;
                messages.extend(policy::entry_blocks(&policies, &facts));
            }
            Some(number) => {
                let pull = self.find_pull(environment, number, action).await?;
                let facts = self
                    .pull_facts(environment, configuration, &pull, action)
                    .await?;
                messages.extend(policy::merge_blocks(&policies, &facts));
            }
        }
        Ok(messages)
    }
}

fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Whether a line of a message says something that only Catalyst says.
fn is_trailer(line: &str) -> bool {
    line.trim_start()
        .get(.."catalyst-".len())
        .is_some_and(|start| start.eq_ignore_ascii_case("catalyst-"))
        && line.contains(':')
}

/// What is wrong with the story that a push tells, in whichever repository: one
/// that takes back what the desired state once was, or passes for a command of
/// Catalyst's. Who removes [`BRANCH`] could push it anew with another story.
fn story_faults(push: &PushCheck) -> Vec<String> {
    let main = main_reference();
    let mut faults = Vec::new();
    let is_removed = |moved: &PushRef| moved.name == main && is_zero(&moved.new);
    if push.refs.iter().any(is_removed) {
        faults.push(format!(
            "{BRANCH} is the desired state and cannot be removed; take changes back with git revert"
        ));
    }
    if push.forced.contains(&main) {
        faults.push(format!(
            "{BRANCH} only goes forward, so that no change is lost from its history; fetch and merge, and take changes back with git revert"
        ));
    }
    // What a merge brings was judged when it was pushed.
    if push.pull_request.is_none() {
        let claimed = push
            .commits
            .iter()
            .filter(|commit| commit.message.lines().skip(1).any(is_trailer));
        faults.extend(claimed.map(|commit| {
            format!(
                "commit {}: its message has a line that begins with \"Catalyst-\", by which Catalyst marks its own commits; write it anew without (git commit --amend)",
                short(&commit.id)
            )
        }));
    }
    faults
}

/// A branch bears the name of who pushes to it, so that whoever wrote a change
/// is known when it is approved: names in commits are free text.
fn branch_faults(push: &PushCheck) -> Vec<String> {
    if push.pull_request.is_some() {
        return Vec::new();
    }
    let own = format!("refs/heads/{}/", push.pusher);
    push.refs
        .iter()
        .filter(|moved| {
            moved.name.starts_with("refs/heads/")
                && moved.name != main_reference()
                && !moved.name.starts_with(&own)
        })
        .map(|moved| {
            let branch = moved.name.trim_start_matches("refs/heads/");
            format!(
                "{branch}: branches here bear the name of who pushes them; push it as {}/{branch}",
                push.pusher
            )
        })
        .collect()
}

/// Text files after the push, on one ref.
fn apply(
    before: &BTreeMap<String, String>,
    push: &PushCheck,
    reference: &str,
) -> BTreeMap<String, String> {
    let mut files = before.clone();
    for file in push.files.iter().filter(|file| file.reference == reference) {
        match (&file.content, file.status.as_str()) {
            (_, "removed") => {
                files.remove(&file.path);
            }
            (Some(content), _) => {
                files.insert(file.path.clone(), content.clone());
            }
            (None, _) => {}
        }
    }
    files
}

/// What is wrong with a file that must be text: links, submodules, binaries, size.
fn form_problem(file: &PushFile) -> Option<String> {
    let is_binary = file.status != "removed" && file.encoding.as_deref() == Some("base64");
    plain_problem(file).or_else(|| {
        is_binary.then(|| format!("{}: it is not UTF-8 text; save it as such", file.path))
    })
}

/// What is wrong with a file whatever it holds: links, submodules, size.
fn plain_problem(file: &PushFile) -> Option<String> {
    if file.status == "removed" {
        return None;
    }
    let path = &file.path;
    if !matches!(file.mode.as_str(), "100644" | "100755" | "") {
        return Some(format!(
            "{path}: links and submodules are not followed; push a plain file"
        ));
    }
    (file.truncated || file.content.is_none()).then(|| {
        format!(
            "{path}: with {} bytes it is too large to be checked; make it smaller",
            file.size
        )
    })
}

/// Everything wrong with a push to an Environment's repository.
pub(crate) fn environment_faults(
    base: &Applications,
    push: &PushCheck,
    place: &Place,
    catalogue: &Catalogue,
) -> Vec<String> {
    let mut messages = Vec::new();
    for file in &push.files {
        if let Some(problem) = environment_file_problem(file) {
            messages.push(problem);
        }
    }
    let references: BTreeSet<&str> = push
        .files
        .iter()
        .map(|file| file.reference.as_str())
        .collect();
    let mut faults: Vec<Fault> = Vec::new();
    for reference in references {
        let after = Applications::read(apply(&base.files, push, reference));
        let changed: BTreeSet<String> = push
            .files
            .iter()
            .filter(|file| file.reference == reference)
            .filter_map(|file| application_of_path(&file.path))
            .map(str::to_owned)
            .collect();
        faults.extend(
            after
                .faults
                .iter()
                .filter(|fault| {
                    fault
                        .file
                        .as_deref()
                        .and_then(application_of_path)
                        .is_some_and(|name| changed.contains(name))
                })
                .cloned(),
        );
        for name in &changed {
            let Some(application) = after.applications.get(name) else {
                continue;
            };
            let path = crate::state::application_path(name);
            let text = after
                .files
                .get(&path)
                .map(String::as_str)
                .unwrap_or_default();
            faults.extend(application_faults(
                name,
                text,
                application,
                place,
                catalogue,
            ));
            faults.extend(choice_fault(
                base.applications.get(name),
                application,
                &path,
                text,
                catalogue,
            ));
            faults.extend(upgrade_fault(
                base.applications.get(name),
                application,
                &path,
                text,
                catalogue,
            ));
        }
        // What stands beside it counts where it becomes desired state.
        if reference == main_reference() {
            let concerned: BTreeSet<String> = changed
                .iter()
                .flat_map(|name| after.dependents(name))
                .chain(changed.iter().cloned())
                .collect();
            faults.extend(tree_faults(&after, &concerned, place, catalogue));
            faults.extend(deletion_faults(base, &after, &changed));
            if let Some(most) = place.quota.as_ref().and_then(|quota| quota.applications)
                && after.applications.len() > base.applications.len()
                && usize::try_from(most).is_ok_and(|most| after.applications.len() > most)
            {
                messages.push(format!(
                    "the quota of {} is {most} Applications; delete one, or ask for a larger quota",
                    place.environment
                ));
            }
        }
    }
    messages.extend(faults.iter().map(line_of_fault));
    messages.dedup();
    messages
}

fn environment_file_problem(file: &PushFile) -> Option<String> {
    let path = file.path.as_str();
    if file.status == "removed" {
        return None;
    }
    let Some(inner) = path.strip_prefix("applications/") else {
        if path == "applications" || path.starts_with(".gitea/") || path.starts_with(".github/") {
            return Some(format!(
                "{path}: it may not be in an Environment's repository"
            ));
        }
        // Flux looks at `applications/` only.
        let is_link = !matches!(file.mode.as_str(), "100644" | "100755" | "");
        return is_link
            .then(|| format!("{path}: links and submodules are not followed; push a plain file"));
    };
    if let Some(problem) = form_problem(file) {
        return Some(problem);
    }
    if application_of_path(path).is_some() {
        return None;
    }
    let is_harmless = inner.split('/').count() <= 2
        && matches!(inner.rsplit('/').next(), Some("README.md" | ".gitkeep"));
    // Flux applies every manifest that it finds there.
    (!is_harmless).then(|| {
        format!(
            "{path}: only applications/<name>/application.yaml is applied from here; describe what you need by a Blueprint"
        )
    })
}

fn upgrade_fault(
    before: Option<&Application>,
    after: &Application,
    path: &str,
    text: &str,
    catalogue: &Catalogue,
) -> Option<Fault> {
    let before = &before?.spec.blueprint;
    let reference = &after.spec.blueprint;
    if (&before.source, &before.name) != (&reference.source, &reference.name) {
        return Some(fault(
            path,
            text,
            "/spec/blueprint",
            format!(
                "an Application keeps its Blueprint ({} of {}); install another Application instead",
                before.name, before.source
            ),
        ));
    }
    let from = Version::parse(&before.version).ok()?;
    let target = catalogue.get(reference)?;
    let to = target.blueprint.version();
    if from == *to {
        return None;
    }
    let reason = target.blueprint.spec.upgrades.check(&from, to).err()?;
    let reason = format!("{reason}; {}", way_to(catalogue, target, &from));
    Some(fault(path, text, "/spec/blueprint/version", reason))
}

/// An Application that others still need does not go, as the command has it. The
/// others' own faults say that they would stand on nothing; this one says it of what
/// was pushed, and what to do. What was on its way before is not judged.
fn deletion_faults(
    base: &Applications,
    after: &Applications,
    changed: &BTreeSet<String>,
) -> Vec<Fault> {
    let stays = |tree: &Applications, name: &str| {
        let found = tree.applications.get(name);
        found.is_some_and(|application| application.spec.deletion.is_none())
    };
    changed
        .iter()
        .filter(|name| stays(base, name) && !stays(after, name))
        .filter_map(|name| {
            let needed_by = living_dependents(after, name);
            let path = crate::state::application_path(name);
            let text = after.files.get(&path).map_or("", String::as_str);
            let reason = format!(
                "{name} cannot be deleted while other Applications depend on it: {}; delete those first, or let them depend on another Application",
                needed_by.join(", ")
            );
            (!needed_by.is_empty()).then(|| fault(&path, text, "/spec/deletion", reason))
        })
        .collect()
}

fn brought_by_push(base: &Applications, push: &PushCheck) -> Vec<Brought> {
    let after = Applications::read(apply(&base.files, push, &main_reference()));
    after
        .applications
        .iter()
        .filter(|(name, application)| {
            base.applications
                .get(*name)
                .is_none_or(|before| before.spec.blueprint != application.spec.blueprint)
        })
        .map(|(name, application)| Brought {
            application: name.clone(),
            version: application.spec.blueprint.version.clone(),
        })
        .collect()
}

/// Everything wrong with a push to `system/catalyst-config`.
pub(crate) fn configuration_faults(base: &Configuration, push: &PushCheck) -> Vec<String> {
    let mut messages = Vec::new();
    for file in &push.files {
        let path = file.path.as_str();
        if path == "sovereign.yaml" && file.status == "removed" {
            messages.push("sovereign.yaml: the Sovereign cannot be removed here".to_owned());
        }
        if let Some(problem) = form_problem(file) {
            messages.push(problem);
        } else if kind_of(path).is_none()
            && file.status != "removed"
            && [".yaml", ".yml", ".json"]
                .iter()
                .any(|end| path.ends_with(end))
            || path.rsplit('/').next() == Some("Kustomization")
        {
            // Flux would apply it with all rights.
            messages.push(format!(
                "{path}: only sovereign.yaml, organizations/<name>.yaml, environments/<name>.yaml, policies/<name>.yaml and upgrades/<name>.yaml have a place here"
            ));
        }
    }
    let references: BTreeSet<&str> = push
        .files
        .iter()
        .map(|file| file.reference.as_str())
        .collect();
    let known: BTreeSet<String> = meaning_faults(base).iter().map(line_of_fault).collect();
    for reference in references {
        let after = Configuration::read(apply(&base.files, push, reference));
        let changed: BTreeSet<&str> = push.files.iter().map(|file| file.path.as_str()).collect();
        let form = after.faults.iter().filter(|fault| {
            fault
                .file
                .as_deref()
                .is_some_and(|file| changed.contains(file))
        });
        messages.extend(form.map(line_of_fault));
        messages.extend(
            meaning_faults(&after)
                .iter()
                .map(line_of_fault)
                .filter(|line| !known.contains(line)),
        );
        messages.extend(admin_faults(base, &after).iter().map(line_of_fault));
        messages.extend(
            fleet::requester_faults(base, &after, &push.pusher)
                .iter()
                .map(line_of_fault),
        );
        if let (Some(before), Some(after)) = (&base.sovereign, &after.sovereign)
            && before.spec.domain != after.spec.domain
        {
            messages.push("sovereign.yaml: the domain of a Sovereign cannot change".to_owned());
        }
    }
    messages.dedup();
    messages
}

/// Organizations that would lose their last org-admin and stay, as the commands
/// have it.
fn admin_faults(base: &Configuration, after: &Configuration) -> Vec<Fault> {
    after
        .organizations
        .iter()
        .filter(|(name, organization)| {
            let before = base.organizations.get(*name);
            before.is_some_and(|before| admins::is_left_alone(before, organization))
        })
        .map(|(name, _)| {
            let path = format!("organizations/{name}.yaml");
            let text = after.files.get(&path).map_or("", String::as_str);
            let reason = format!("it takes the last org-admin of {name}; {}", admins::NEXT);
            fault(&path, text, "/spec/members", reason)
        })
        .collect()
}

/// What makes no sense in a configuration, whoever wrote it.
fn meaning_faults(state: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
    let text_of = |path: &str| {
        state
            .files
            .get(path)
            .map(String::as_str)
            .unwrap_or_default()
    };
    for path in state.files.keys() {
        let Some(kind) = kind_of(path).filter(|kind| *kind != "Sovereign") else {
            continue;
        };
        let stem = path
            .rsplit('/')
            .next()
            .and_then(|file| file.strip_suffix(".yaml"))
            .unwrap_or_default();
        let is_there = match kind {
            "Organization" => state.organizations.contains_key(stem),
            "Environment" => state.environments.contains_key(stem),
            "FleetUpgrade" => state.upgrades.contains_key(stem),
            _ => state.policies.contains_key(stem),
        };
        let is_read = !state
            .faults
            .iter()
            .any(|fault| fault.file.as_deref() == Some(path));
        if is_read && !is_there {
            faults.push(fault(
                path,
                text_of(path),
                "/metadata/name",
                format!("metadata.name is not {stem}; a file is called as its object"),
            ));
        }
    }
    for (name, organization) in &state.organizations {
        let path = format!("organizations/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        if let Err(error) = OrganizationName::new(name.clone()) {
            add("/metadata/name", error.to_string());
        }
        for (index, member) in organization.spec.members.iter().enumerate() {
            let pointer = format!("/spec/members/{index}");
            match (&member.user, &member.group) {
                (Some(user), None) => {
                    if let Err(error) = check_username(user, "use it") {
                        add(&pointer, error.problem().detail);
                    }
                }
                (None, Some(group)) if !group.is_empty() => {}
                _ => add(
                    &pointer,
                    "a member has either user or group; give one of them".to_owned(),
                ),
            }
            for environment in &member.environments {
                let is_own = state
                    .environments
                    .get(environment)
                    .is_some_and(|found| found.spec.organization == *name);
                if !is_own {
                    add(
                        &pointer,
                        format!("{environment} is no Environment of {name}"),
                    );
                }
            }
        }
    }
    for (name, environment) in &state.environments {
        let path = format!("environments/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        let spec = &environment.spec;
        let expected = format!("{}-{}", spec.organization, spec.env_type);
        if *name != expected {
            add(
                "/metadata/name",
                format!("an Environment is called as its Organization and stage: {expected}"),
            );
        }
        if !state.organizations.contains_key(&spec.organization) {
            add(
                "/spec/organization",
                format!(
                    "there is no Organization {}; create it first, or delete its Environments with it",
                    spec.organization
                ),
            );
        }
        if let Err(reason) = state.placement(environment) {
            add("/spec/placement", reason);
        }
    }
    for (name, policy) in &state.policies {
        let path = format!("policies/{name}.yaml");
        let text = text_of(&path);
        let mut add =
            |pointer: &str, message: String| faults.push(fault(&path, text, pointer, message));
        for problem in policy::problems(&policy.spec) {
            add("/spec", problem);
        }
        for environment in &policy.spec.applies_to.environments {
            if !state.environments.contains_key(environment) {
                add(
                    "/spec/appliesTo/environments",
                    format!("there is no Environment {environment}"),
                );
            }
        }
    }
    for (name, upgrade) in &state.upgrades {
        let path = format!("upgrades/{name}.yaml");
        let text = text_of(&path);
        let problems = fleet::problems(&upgrade.spec);
        faults.extend(
            problems
                .into_iter()
                .map(|problem| fault(&path, text, "/spec", problem)),
        );
    }
    if let Some(sovereign) = &state.sovereign {
        let path = "sovereign.yaml";
        let text = text_of(path);
        for (index, cluster) in sovereign.spec.host_clusters.iter().enumerate() {
            let pointer = format!("/spec/hostClusters/{index}");
            let parsed: Result<HostClusterName, _> = cluster.name.parse();
            match parsed {
                Err(error) => faults.push(fault(path, text, &pointer, error.to_string())),
                Ok(parsed) => {
                    let fits = parsed.region() == cluster.region
                        && parsed.building_block().code() == cluster.building_block
                        && parsed.env_type().code() == cluster.env_type;
                    if !fits {
                        faults.push(fault(path, text, &pointer, format!("the name {} says another region, building block or stage than the fields beside it", cluster.name)));
                    }
                }
            }
        }
        // Whoever has the name next is somebody else.
        let stranger = |source: &str| {
            let is_there = is_shared_source(source) || state.organizations.contains_key(source);
            (!is_there).then(|| format!("there is no source {source} of Blueprints: name catalog, catalog-sovereign or an Organization, or remove the signer"))
        };
        for (index, signer) in sovereign.spec.trusted_signers.iter().enumerate() {
            if let Some(why) = stranger(&signer.source) {
                let pointer = format!("/spec/trustedSigners/{index}/source");
                faults.push(fault(path, text, &pointer, why));
            }
            if PublicKey::from_pem(&signer.public_key).is_err() {
                faults.push(fault(
                    path,
                    text,
                    &format!("/spec/trustedSigners/{index}/publicKey"),
                    "the public key cannot be read; give a P-256 key in PEM",
                ));
            }
        }
        let mut add = |pointer: &str, why: String| faults.push(fault(path, text, pointer, why));
        let mut by_source: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, signer) in sovereign.spec.keyless_signers.iter().enumerate() {
            *by_source.entry(&signer.source).or_default() += 1;
            if let Some(why) = stranger(&signer.source) {
                add(&format!("/spec/keylessSigners/{index}/source"), why);
            }
            if let Err(error) = keyless_identity(signer) {
                let pointer = format!("/spec/keylessSigners/{index}");
                add(&pointer, error.to_string());
            }
        }
        for (source, count) in by_source {
            if count > MAX_IDENTITIES {
                // What is delivered then verifies nothing at all.
                add(
                    "/spec/keylessSigners",
                    format!(
                        "{count} are named for {source}, and {MAX_IDENTITIES} at most are read; say several by one expression, or remove some"
                    ),
                );
            }
        }
        match &sovereign.spec.trusted_root {
            Some(root) => {
                if let Err(error) = TrustedRoot::from_json(root) {
                    add("/spec/trustedRoot", error.to_string());
                }
            }
            None if sovereign.spec.keyless_signers.is_empty() => {}
            None => add(
                "/spec/keylessSigners",
                "there is nothing to hold their certificates against; give a sigstore TrustedRoot in spec.trustedRoot, as `cosign trusted-root create` writes it".to_owned(),
            ),
        }
    }
    faults
}

#[cfg(test)]
mod tests;
