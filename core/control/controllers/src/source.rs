//! A source of Blueprints: what has a folder in its repository in the forge is linted,
//! packed, signed with the source's own key, pushed to its path in the registry and
//! registered; what has none any more, or is named in `yanked.yaml`, is withdrawn.
//!
//! What must stay true:
//! - What is done is found out from the commit, the registry and the Blueprint objects
//!   alone: to be killed in between costs nothing but doing the rest.
//! - A version is its content: nothing is published over another.
//! - While the forge, the registry or the vault is away, what was published stays, and
//!   the status says since when.
//! - The private key is in the vault and in memory, nowhere else; it is declared
//!   trusted once, and whoever takes that back is not overruled.

mod publish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use catalyst_blueprint::is_shared_source;
use catalyst_commands::{
    blueprint_of_folder, is_blueprint_folder, place_in_source, source_repository,
};
use catalyst_ports::{PortError, RepositoryId, RepositoryOptions, TreeEntry};
use catalyst_resources::{BlueprintSourceStatus, RefusedArtifact, SourceBlueprint, SourceProblem};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::blueprint::{ARTIFACT_MISSING, MOST_REFUSED};
use crate::bootstrap::{MANAGER, webhook};
use crate::clock;
use crate::conditions::{self, Observation};
use crate::context::Context;
use crate::controllers::Shared;
use crate::desired::management::{BRANCH, SHARED_SOURCES};
use crate::error::ReconcileError;
use crate::kubernetes::{BLUEPRINT, BLUEPRINT_SOURCE, ORGANIZATION};
use crate::object::{condition, is_deleting, name, text};
use crate::runtime::Next;

pub use publish::signing_key_path;
use publish::{Run, no_room, signer, source_problem, twice};

const READY: &str = "Ready";
/// Whether all that lies in the source's path of the registry was admitted.
const ADMITTED: &str = "Admitted";
/// The most problems that a status tells.
const MOST_PROBLEMS: usize = 100;
/// The most bytes of JSON that a status has of Blueprints, of the versions that they
/// withdraw and of problems: an object of more than a MiB is written nowhere.
const ROOM_FOR_BLUEPRINTS: usize = 128 * 1024;
const ROOM_FOR_YANKED: usize = 384 * 1024;
const ROOM_FOR_PROBLEMS: usize = 128 * 1024;
/// The most keys that are known of those that signed before.
const MOST_FORMER: usize = 20;

/// Object ids of a folder's files by path: what is the same has the same content.
type Ids = Vec<(String, String)>;

/// What a folder was found to be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Found {
    /// Version and digest, where nothing stands against publishing.
    package: Option<(String, String)>,
    /// None where that cannot be read.
    yanked: Option<BTreeMap<String, String>>,
    problems: Vec<SourceProblem>,
}

/// By source and folder.
type Known = BTreeMap<String, BTreeMap<String, (Ids, Found)>>;

/// What folders were found to be, so that sweeps neither read nor render them again;
/// forgotten with the process, which costs one look.
#[derive(Default)]
pub struct Judged {
    known: Mutex<Known>,
}

impl Judged {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, source: &str, folder: &str, ids: &[(String, String)]) -> Option<Found> {
        let known = self.lock();
        let (of, found) = known.get(source)?.get(folder)?;
        (of.as_slice() == ids).then(|| found.clone())
    }

    fn keep(&self, source: &str, folder: &str, ids: Ids, found: Found) {
        let mut known = self.lock();
        let folders = known.entry(source.to_owned()).or_default();
        folders.insert(folder.to_owned(), (ids, found));
    }

    /// Forgets the folders of a source that are not among these.
    fn narrow(&self, source: &str, folders: &BTreeMap<String, Vec<TreeEntry>>) {
        let mut known = self.lock();
        if let Some(kept) = known.get_mut(source) {
            kept.retain(|folder, _| folders.contains_key(folder));
        }
    }

    fn forget(&self, source: &str) {
        self.lock().remove(source);
    }
}

/// What kept a look from ending, with one CamelCase word for it.
struct Failure {
    reason: &'static str,
    error: ReconcileError,
}

impl From<ReconcileError> for Failure {
    fn from(error: ReconcileError) -> Self {
        Self {
            reason: error.reason(),
            error,
        }
    }
}

impl Failure {
    /// A part did not do what it was asked for; one that may later is away.
    fn of(reason: &'static str, error: ReconcileError) -> Self {
        match error.retryable() {
            true => Self { reason, error },
            false => Self::from(error),
        }
    }
}

/// For `map_err` of what the forge is asked for.
fn forge(action: &'static str, repository: &RepositoryId) -> impl FnOnce(PortError) -> Failure {
    let object = format!("the repository {repository}");
    move |error| Failure::of("ForgeAway", ReconcileError::port(action, object)(error))
}

/// What a look at a source found, as far as it came.
#[derive(Default)]
struct Seen {
    revision: Option<String>,
    read_at: Option<String>,
    signer: Option<String>,
    former_signers: Vec<String>,
    blueprints: Vec<SourceBlueprint>,
    /// How many more there are.
    left_out: u32,
    problems: Vec<SourceProblem>,
    failure: Option<Failure>,
}

/// Brings what is in the repository of a source to where it can be installed.
pub async fn reconcile(shared: &Shared, source: &str) -> Result<Next, ReconcileError> {
    let ctx = &shared.ctx;
    let management = ctx.management();
    let found = management.get(BLUEPRINT_SOURCE, "", source).await?;
    if !is_wanted(ctx, source).await? {
        if found.is_some() {
            management.delete(BLUEPRINT_SOURCE, "", source).await?;
        }
        shared.judged.forget(source);
        shared.refusals.forget(source);
        return Ok(None);
    }
    let wanted = object_of(source);
    let object = match found {
        Some(object) if object.get("spec") == wanted.get("spec") => object,
        Some(_) => management.apply(&wanted, MANAGER).await?,
        None => {
            management.create(&wanted).await?;
            let made = management.get(BLUEPRINT_SOURCE, "", source).await?;
            made.ok_or_else(|| {
                ReconcileError::missing(
                    "make",
                    format!("the BlueprintSource {source}"),
                    "somebody deleted it at once",
                )
            })?
        }
    };
    let before = status_of(&object);
    let seen = look(shared, source, &before).await;
    let (observed, mut fields) = told(&seen);
    // Found out by the Blueprint controller, repository by repository.
    let refusals = &shared.refusals;
    let refused = refusals.of_source(source, &before.refused, &ctx.addresses);
    fields.insert("refused".to_owned(), json!(refused));
    let observed = [observed, of_registry(source, &refused)];
    conditions::write(&management, &object, &observed, fields).await?;
    let is_first = before.revision.is_none() && seen.revision.is_some();
    let is_other = (&seen.blueprints, seen.left_out, &seen.signer)
        != (&before.blueprints, left_out(&before), &before.signer);
    if is_first || is_other {
        // What is withdrawn is found out there.
        for object in management.list(BLUEPRINT, "", "").await? {
            if text(&object, "/spec/source") == source {
                let repository = text(&object, "/spec/repository");
                shared.blueprints.add(repository.to_owned());
            }
        }
    }
    match seen.failure {
        Some(failure) if failure.error.retryable() => Err(failure.error),
        _ => Ok(None),
    }
}

/// Every source, for the sweep; those that have an object too, so that one that is no
/// longer wanted goes.
pub async fn sweep(shared: &Shared) -> Result<(), ReconcileError> {
    let management = shared.ctx.management();
    let mut sources: BTreeSet<String> = SHARED_SOURCES.iter().map(|it| (*it).to_owned()).collect();
    for kind in [ORGANIZATION, BLUEPRINT_SOURCE] {
        let found = management.list(kind, "", "").await?;
        sources.extend(found.iter().map(|object| name(object).to_owned()));
    }
    for source in sources {
        shared.sources.add(source);
    }
    Ok(())
}

fn left_out(status: &BlueprintSourceStatus) -> u32 {
    status.blueprints_left_out.unwrap_or_default()
}

/// What a source's object says of it.
pub fn status_of(object: &Value) -> BlueprintSourceStatus {
    let status = object.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

async fn is_wanted(ctx: &Context, source: &str) -> Result<bool, ReconcileError> {
    if is_shared_source(source) {
        return Ok(true);
    }
    let organization = ctx.management().get(ORGANIZATION, "", source).await?;
    Ok(organization.is_some_and(|object| !is_deleting(&object)))
}

fn object_of(source: &str) -> Value {
    json!({
        "apiVersion": BLUEPRINT_SOURCE.api_version, "kind": BLUEPRINT_SOURCE.kind,
        "metadata": {"name": source},
        "spec": {"repository": source_repository(source).to_string()},
    })
}

/// What a look found, as a condition and the rest of the status.
fn told(seen: &Seen) -> (Observation, Map<String, Value>) {
    let at = match &seen.revision {
        Some(revision) => format!("at {}", revision.get(..10).unwrap_or(revision)),
        None => "as it was".to_owned(),
    };
    let (all, refused) = (seen.blueprints.len(), seen.problems.len());
    let observed = match (&seen.failure, seen.problems.first()) {
        (Some(failure), _) => {
            let why = failure.error.chain();
            let message = format!("{why}; what is published stays {at}");
            match failure.error.retryable() {
                true => Observation::unknown(READY, failure.reason, message),
                false => Observation::fails(READY, failure.reason, message),
            }
        }
        (None, Some(first)) => {
            let place = match first.line {
                Some(line) => format!("{}:{line}", first.file),
                None => first.file.clone(),
            };
            let message = format!(
                "{refused} problems {at} keep Blueprints from being published, the first: {place}: [{}] {}; {}",
                first.rule, first.message, first.fix
            );
            Observation::fails(READY, "Refused", message)
        }
        (None, None) if seen.revision.is_none() => {
            Observation::holds(READY, "Empty", "nothing was pushed to its repository yet")
        }
        (None, None) => {
            let message = format!("the Blueprints {at} are published: {all}");
            Observation::holds(READY, "Published", message)
        }
    };
    let mut room = ROOM_FOR_PROBLEMS;
    let problems: Vec<&SourceProblem> = seen
        .problems
        .iter()
        .take(MOST_PROBLEMS)
        .take_while(|problem| fits(&mut room, problem))
        .collect();
    let left_out = (seen.left_out > 0).then_some(seen.left_out);
    let mut fields = Map::new();
    for (field, value) in [
        ("revision", json!(seen.revision)),
        ("readAt", json!(seen.read_at)),
        ("signer", json!(seen.signer)),
        ("formerSigners", json!(seen.former_signers)),
        ("blueprints", json!(seen.blueprints)),
        ("blueprintsLeftOut", json!(left_out)),
        ("problems", json!(problems)),
    ] {
        fields.insert(field.to_owned(), value);
    }
    (observed, fields)
}

/// What is known of the source's path of the registry, as a condition of its own: what
/// nobody trusts there keeps nothing from being published.
fn of_registry(source: &str, refused: &[RefusedArtifact]) -> Observation {
    let Some(first) = refused.first() else {
        let message = "nothing that was found in its path of the registry is refused";
        return Observation::holds(ADMITTED, "Admitted", message);
    };
    let counted = match refused.len() {
        1 => "one version in its path of the registry is refused".to_owned(),
        many if many < MOST_REFUSED => {
            format!("{many} versions in its path of the registry are refused, the first")
        }
        many => {
            format!("{many} versions or more in its path of the registry are refused, the first")
        }
    };
    let (name, version) = (&first.name, &first.version);
    let (reason, fix) = (&first.reason, &first.fix);
    let message = format!("{counted}: {source}/{name}:{version}: {reason}; {fix}");
    Observation::fails(ADMITTED, "ArtifactsRefused", message)
}

/// Whether something still fits into what room there is for its like, which it takes.
fn fits(room: &mut usize, what: &impl Serialize) -> bool {
    let size = serde_json::to_vec(what).map_or(usize::MAX, |bytes| bytes.len());
    let left = room.checked_sub(size);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// A look, which keeps of the last one what it does not find out.
async fn look(shared: &Shared, source: &str, before: &BlueprintSourceStatus) -> Seen {
    let mut seen = Seen {
        revision: before.revision.clone(),
        read_at: before.read_at.clone(),
        signer: before.signer.clone(),
        former_signers: before.former_signers.clone(),
        blueprints: before.blueprints.clone(),
        left_out: left_out(before),
        problems: before.problems.clone(),
        failure: None,
    };
    if let Err(failure) = read(shared, source, before, &mut seen).await {
        seen.failure = Some(failure);
        return seen;
    }
    // The registry is asked also when there is nothing to push: what was pushed there by
    // hand is found by asking.
    let asked = shared.ctx.registry_admin.repositories(source).await;
    let asked = asked.map_err(ReconcileError::port(
        "list",
        format!("the registry project {source}"),
    ));
    seen.failure = asked.err().map(|error| Failure::of("RegistryAway", error));
    seen
}

async fn read(
    shared: &Shared,
    source: &str,
    before: &BlueprintSourceStatus,
    seen: &mut Seen,
) -> Result<(), Failure> {
    let ctx = &shared.ctx;
    let repository = source_repository(source);
    if is_shared_source(source) {
        ensure_repository(ctx, source, &repository).await?;
    }
    let head = ctx.forge.head(&repository, BRANCH).await;
    let Some(head) = head.map_err(forge("read", &repository))? else {
        return Ok(());
    };
    let tree = ctx.forge.tree(&repository, &head).await;
    let folders = folders_of(tree.map_err(forge("read", &repository))?);
    shared.judged.narrow(source, &folders);
    let admitted = admitted(ctx, source).await?;
    let mut run = Run::new(shared, source, &repository, &head);
    let (mut blueprints, mut problems) = (Vec::new(), Vec::new());
    let (mut room, mut room_for_yanked) = (ROOM_FOR_BLUEPRINTS, ROOM_FOR_YANKED);
    let mut left_out = 0_u32;
    let mut failure: Option<Failure> = None;
    let mut names = BTreeSet::new();
    for (folder, entries) in &folders {
        let name = blueprint_of_folder(folder);
        if !names.insert(name.clone()) {
            problems.push(source_problem(folder, &twice(&name)));
            continue;
        }
        let known = before.blueprints.iter().find(|one| one.name == name);
        let (found, package) = run.judge(folder, entries).await?;
        problems.extend(found.problems.iter().cloned());
        let mut version = None;
        if let Some((wanted, digest)) = &found.package {
            let wanted_as = (wanted.as_str(), digest.as_str());
            let published = run.publish(folder, entries, wanted_as, package, &admitted);
            match published.await {
                Ok(None) => version = Some(wanted.clone()),
                Ok(Some(problem)) => problems.push(source_problem(folder, &problem)),
                // The others are tried all the same; the first failure is told.
                Err(error) => {
                    version = known.and_then(|known| known.version.clone());
                    failure = failure.or(Some(error));
                }
            }
        }
        let known = known.filter(|known| !known.yanked_unknown);
        let yanked = found.yanked;
        let yanked = yanked.or_else(|| known.map(|known| known.yanked.clone()));
        let mut blueprint = SourceBlueprint {
            name,
            version,
            yanked: BTreeMap::new(),
            yanked_unknown: true,
        };
        let is_told = fits(&mut room, &blueprint);
        match yanked {
            Some(yanked) if is_told && fits(&mut room_for_yanked, &yanked) => {
                blueprint.yanked = yanked;
                blueprint.yanked_unknown = false;
            }
            Some(_) => problems.push(source_problem(folder, &no_room(ROOM_FOR_YANKED))),
            // That they cannot be read is among the problems.
            None => {}
        }
        match is_told {
            true => blueprints.push(blueprint),
            false => left_out = left_out.saturating_add(1),
        }
    }
    let signed_by = match run.signed_by() {
        Some(signer) => Some(signer),
        None if seen.signer.is_none() => signer(ctx, source).await?,
        None => seen.signer.clone(),
    };
    if seen.revision.as_ref() != Some(&head) || seen.read_at.is_none() {
        seen.read_at = Some(clock::now());
    }
    let formerly = std::mem::take(&mut seen.former_signers);
    seen.former_signers = former(formerly, seen.signer.as_ref(), signed_by.as_ref());
    seen.revision = Some(head);
    seen.signer = signed_by;
    seen.blueprints = blueprints;
    seen.left_out = left_out;
    seen.problems = problems;
    failure.map_or(Ok(()), Err)
}

/// The keys that signed before the one that does now: what one of them signed was
/// published from the repository too.
fn former(mut known: Vec<String>, before: Option<&String>, now: Option<&String>) -> Vec<String> {
    known.retain(|key| Some(key) != before && Some(key) != now);
    if let Some(before) = before.filter(|before| Some(*before) != now) {
        known.insert(0, before.clone());
    }
    known.truncate(MOST_FORMER);
    known
}

/// The repositories of the sources that belong to no Organization; those have theirs
/// made with them.
async fn ensure_repository(
    ctx: &Context,
    source: &str,
    repository: &RepositoryId,
) -> Result<(), Failure> {
    let options = RepositoryOptions {
        // What is unlisted there stands in no list, and a clone is one.
        private: true,
        description: format!("Blueprints of {source}"),
    };
    let made = ctx.forge.repository_ensure(repository, options).await;
    made.map_err(forge("make", repository))?;
    let told = webhook(ctx, source).await;
    told.map_err(|error| Failure::of("ForgeAway", error))
}

/// The folders of Blueprints in a repository, with their files.
fn folders_of(tree: Vec<TreeEntry>) -> BTreeMap<String, Vec<TreeEntry>> {
    let mut folders: BTreeMap<String, Vec<TreeEntry>> = BTreeMap::new();
    for entry in tree {
        let folder = place_in_source(&entry.path).map(|(folder, _)| folder.to_owned());
        if let Some(folder) = folder {
            folders.entry(folder).or_default().push(entry);
        }
    }
    folders.retain(|folder, entries| {
        let paths = entries
            .iter()
            .filter_map(|entry| place_in_source(&entry.path))
            .map(|(_, inner)| inner);
        is_blueprint_folder(folder, paths)
    });
    folders
}

/// Digests of what is registered of a source, by object; nothing for one whose artifact
/// the registry lost, which is pushed again.
async fn admitted(
    ctx: &Context,
    source: &str,
) -> Result<BTreeMap<String, Option<String>>, ReconcileError> {
    let mut admitted = BTreeMap::new();
    for object in ctx.management().list(BLUEPRINT, "", "").await? {
        if text(&object, "/spec/source") != source {
            continue;
        }
        let ready = condition(&object, READY).map_or("", |it| text(it, "/reason"));
        let is_there = ready != ARTIFACT_MISSING;
        let digest = text(&object, "/spec/digest").to_owned();
        admitted.insert(name(&object).to_owned(), is_there.then_some(digest));
    }
    Ok(admitted)
}

#[cfg(test)]
mod tests;
