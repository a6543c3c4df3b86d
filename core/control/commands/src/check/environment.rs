//! The push check of an Environment's repository: Applications that make sense there,
//! and come in as its policies have it.

use std::collections::BTreeSet;

use catalyst_api::Fault;
use catalyst_names::EnvironmentName;
use catalyst_resources::Application;
use semver::Version;

use super::files::{apply, form_problem};
use super::main_reference;
use super::story::branch_faults;
use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::change::{living_dependents, way_to};
use crate::documents::{fault, line_of_fault};
use crate::policy::{self, Brought};
use crate::push::{PushCheck, PushFile};
use crate::state::{Applications, Configuration, application_of_path, application_path};
use crate::store::place_of;
use crate::users::policy_of;
use crate::validate::{Place, changed_faults, tree_faults};
use crate::{CommandError, Commands};

impl Commands {
    pub(super) async fn judge_environment(
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

/// Everything wrong with a push to an Environment's repository.
pub(super) fn environment_faults(
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
            faults.extend(changed_faults(name, base, &after, place, catalogue));
            let path = application_path(name);
            let text = after.text_at(&path);
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
