//! From a folder of a source's repository to a registered Blueprint: judged, packed,
//! signed with the source's own key, pushed.
//!
//! The key lies in the vault, where an Organization's vclusters do not read, and its
//! public half among the Sovereign's trusted signers, for this source alone.

use std::collections::BTreeMap;

use catalyst_api::{RegisterBlueprint, TrustSigner};
use catalyst_blueprint::{Blueprint, Problem};
use catalyst_commands::{
    CommandError, Judgement, blueprint_of_folder, content_problem, judge_folder, place_in_source,
    trust_policy,
};
use catalyst_ports::{RepositoryId, TreeEntry};
use catalyst_resources::{BlueprintSpec, SourceProblem};
use catalyst_signature::{KeyError, SigningKey};
use catalyst_supply::{MAX_BYTES, Origin, Package, Reference, VerifyError, digest};
use zeroize::Zeroizing;

use super::{Failure, Found, Ids, forge};
use crate::blueprint::catalyst;
use crate::context::Context;
use crate::controllers::Shared;
use crate::error::ReconcileError;
use crate::secrets;

/// Keys of the secret that the signing key is.
const PRIVATE: &str = "private";
const PUBLIC: &str = "public";
/// Says that the public half was declared trusted.
const DECLARED: &str = "declared";

/// Where the signing key of a source is kept. Not below `org/`, which an Organization's
/// vclusters read.
pub fn signing_key_path(source: &str) -> String {
    format!("system/signing/{source}")
}

/// The fingerprint of a source's key, if it has one.
pub(super) async fn signer(ctx: &Context, source: &str) -> Result<Option<String>, Failure> {
    let path = signing_key_path(source);
    let found = ctx.vault.secret_get(&path).await.map_err(|error| {
        let object = format!("the secret {path}");
        Failure::of("VaultAway", ReconcileError::port("read", object)(error))
    })?;
    let Some(pem) = found.and_then(|secret| secret.data.get(PRIVATE).cloned()) else {
        return Ok(None);
    };
    let key = SigningKey::from_pem(&pem).map_err(|error| unusable(source, &error))?;
    Ok(Some(key.public().fingerprint()))
}

/// A problem with its path from the repository's root.
pub(super) fn source_problem(folder: &str, problem: &Problem) -> SourceProblem {
    SourceProblem {
        file: format!("{folder}/{}", problem.file),
        line: problem.line.and_then(|line| u32::try_from(line).ok()),
        rule: problem.rule.to_owned(),
        message: problem.message.clone(),
        fix: problem.fix.clone(),
    }
}

/// One look at a repository.
pub(super) struct Run<'a> {
    shared: &'a Shared,
    source: &'a str,
    repository: &'a RepositoryId,
    head: &'a str,
    /// The signing key, once something was to be signed.
    key: Option<SigningKey>,
}

impl<'a> Run<'a> {
    /// A look at a commit.
    pub(super) fn new(
        shared: &'a Shared,
        source: &'a str,
        repository: &'a RepositoryId,
        head: &'a str,
    ) -> Self {
        Self {
            shared,
            source,
            repository,
            head,
            key: None,
        }
    }

    /// The fingerprint of the key, where something was signed.
    pub(super) fn signed_by(&self) -> Option<String> {
        self.key.as_ref().map(|key| key.public().fingerprint())
    }

    /// What a folder is, and its package where it had to be read for that.
    pub(super) async fn judge(
        &self,
        folder: &str,
        entries: &[TreeEntry],
    ) -> Result<(Found, Option<Package>), Failure> {
        let ids: Ids = entries
            .iter()
            .map(|entry| (entry.path.clone(), entry.sha.clone()))
            .collect();
        if let Some(found) = self.shared.judged.get(self.source, folder, &ids) {
            return Ok((found, None));
        }
        let judged = self.read(folder, entries).await?;
        let package = judged.package.as_ref().map(|package| {
            let version = package.blueprint.version().to_string();
            (version, package.digest().to_owned())
        });
        let problems = judged.problems.iter();
        let found = Found {
            package,
            yanked: judged.yanked,
            problems: problems.map(|it| source_problem(folder, it)).collect(),
        };
        let judgements = &self.shared.judged;
        judgements.keep(self.source, folder, ids, found.clone());
        Ok((found, judged.package))
    }

    /// Reads the files of a folder at the commit, and judges them.
    async fn read(&self, folder: &str, entries: &[TreeEntry]) -> Result<Judgement, Failure> {
        let size: u64 = entries.iter().map(|entry| entry.size).sum();
        if size > MAX_BYTES {
            let message = format!(
                "the files of {folder} have {size} bytes together, and {MAX_BYTES} are allowed"
            );
            let fix = "keep images and archives elsewhere";
            return Ok(Judgement {
                package: None,
                yanked: None,
                problems: vec![problem("size", message, fix)],
            });
        }
        let client = &self.shared.ctx.forge;
        let mut files = BTreeMap::new();
        for entry in entries {
            let Some((_, inner)) = place_in_source(&entry.path) else {
                continue;
            };
            let found = client.file(self.repository, self.head, &entry.path).await;
            if let Some(found) = found.map_err(forge("read", self.repository))? {
                files.insert(inner.to_owned(), found.content);
            }
        }
        let (source, name) = (self.source.to_owned(), folder.to_owned());
        // Rendering is pure work, and much of it.
        let judged = tokio::task::spawn_blocking(move || judge_folder(&source, &name, files));
        judged.await.map_err(|error| {
            let what = format!("{folder} of {}", self.source);
            Failure::from(ReconcileError::missing("lint", what, error.to_string()))
        })
    }

    /// Sees to it that a version is published and registered; answers with what stands
    /// against it.
    pub(super) async fn publish(
        &mut self,
        folder: &str,
        entries: &[TreeEntry],
        (version, wanted): (&str, &str),
        package: Option<Package>,
        admitted: &BTreeMap<String, Option<String>>,
    ) -> Result<Option<Problem>, Failure> {
        let name = blueprint_of_folder(folder);
        let object = BlueprintSpec::object_name(self.source, &name, version);
        let known = admitted.get(&object).and_then(Option::as_deref);
        if known == Some(wanted) {
            return Ok(None);
        }
        let package = match package {
            Some(package) => Some(package),
            None => self.read(folder, entries).await?.package,
        };
        let Some(package) = package else {
            return Ok(None);
        };
        if let Some(problem) = known.and_then(|known| content_problem(&package, known)) {
            return Ok(Some(problem));
        }
        let shared = self.shared;
        let ctx = &shared.ctx;
        let base = base(ctx, self.source);
        let at = Reference::parse(&format!("{base}/{name}:{version}"))
            .map_err(|error| ReconcileError::invalid("publish", &name, error.to_string()))?;
        match ctx.registry.manifest(&at, version).await {
            Ok(bytes) => {
                if let Some(problem) = content_problem(&package, &digest(&bytes)) {
                    return Ok(Some(problem));
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                return not_published(&name, version, &error.into()).map_err(registry_away);
            }
        }
        let origin = self.origin().await?;
        let key = self.key().await?;
        let published = ctx.registry.publish(&base, &package, key, &origin).await;
        match published {
            Ok(_) => self.register(&name, version).await,
            Err(error) => not_published(&name, version, &error).map_err(registry_away),
        }
    }

    async fn register(&self, name: &str, version: &str) -> Result<Option<Problem>, Failure> {
        let ctx = &self.shared.ctx;
        let source = self.source;
        let request = RegisterBlueprint {
            source: source.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let registered = ctx
            .commands
            .blueprint_register(&catalyst(ctx), request)
            .await;
        match registered {
            Ok(_) => {
                tracing::info!(source, name, version, "Blueprint published from the forge");
                Ok(None)
            }
            Err(error) if error.retryable() => Err(commanded("register", name, &error).into()),
            Err(error) => Ok(Some(refused(error.told()))),
        }
    }

    /// Where and from what the package was made.
    async fn origin(&self) -> Result<Origin, Failure> {
        let client = &self.shared.ctx.forge;
        let commit = client.commit(self.repository, self.head).await;
        let commit = commit.map_err(forge("read", self.repository))?;
        Ok(Origin {
            created: commit.map(|commit| commit.at).unwrap_or_default(),
            builder: "https://github.com/openova-io/catalyst".to_owned(),
            source_url: Some(client.clone_url(self.repository)),
            revision: Some(self.head.to_owned()),
        })
    }

    /// The source's key: made once, and declared trusted once.
    async fn key(&mut self) -> Result<&SigningKey, Failure> {
        let key = match self.key.take() {
            Some(key) => key,
            None => signing_key(&self.shared.ctx, self.source).await?,
        };
        let key: &SigningKey = self.key.insert(key);
        Ok(key)
    }
}

/// `[http://]host/source`, where the source's artifacts lie.
fn base(ctx: &Context, source: &str) -> String {
    let scheme = match ctx.addresses.registry_insecure {
        true => "http",
        false => "https",
    };
    format!("{scheme}://{}/{source}", ctx.addresses.registry_host)
}

/// What the registry's refusal means: that it is to be tried again, or a problem.
fn not_published(
    name: &str,
    version: &str,
    error: &VerifyError,
) -> Result<Option<Problem>, ReconcileError> {
    if !error.retryable() {
        return Ok(Some(refused(error.to_string())));
    }
    let what = format!("{name} {version}");
    Err(ReconcileError::missing("publish", what, error.to_string()))
}

/// A registry that did not do what it was asked for.
fn registry_away(error: ReconcileError) -> Failure {
    Failure {
        reason: "RegistryAway",
        error,
    }
}

/// What stands against the second folder of a Blueprint.
pub(super) fn twice(name: &str) -> Problem {
    let message = format!("another folder holds the Blueprint {name} too");
    problem("folder-name", message, "keep one of the two")
}

/// What stands against a folder where the status of its source, from which it is read
/// what is withdrawn, has no room for what it says.
pub(super) fn no_room(most: usize) -> Problem {
    let message = format!(
        "its yanked.yaml changes nothing: those of a source may say {most} bytes together, and the folders before it do"
    );
    let fix = "say shorter why versions are withdrawn, or keep the Blueprint in another source";
    problem("yanked", message, fix)
}

/// A refusal of the registry, or of the registration.
fn refused(message: String) -> Problem {
    problem("published", message, "do as it says, and push again")
}

/// A problem with a Blueprint as a whole.
fn problem(rule: &'static str, message: String, fix: &str) -> Problem {
    Problem {
        file: Blueprint::FILE.to_owned(),
        line: None,
        rule,
        message,
        fix: fix.to_owned(),
    }
}

/// A command's refusal, as a reconcile has it.
fn commanded(action: &'static str, object: &str, error: &CommandError) -> ReconcileError {
    match error.retryable() {
        true => ReconcileError::missing(action, object, error.told()),
        false => ReconcileError::invalid(action, object, error.told()),
    }
}

fn unusable(source: &str, error: &KeyError) -> ReconcileError {
    ReconcileError::invalid(
        "use",
        format!("the signing key of {source}"),
        format!("{error}; restore the secret {}", signing_key_path(source)),
    )
}

/// Reads the key of a source, or makes it and has the Sovereign trust it. That is asked
/// for once: a key that somebody took from the trusted ones since signs nothing more.
async fn signing_key(ctx: &Context, source: &str) -> Result<SigningKey, Failure> {
    let path = signing_key_path(source);
    let away = |error: ReconcileError| Failure::of("VaultAway", error);
    let ensured = secrets::ensure(&ctx.vault, &path, || new_key(source));
    let mut secret = ensured.await.map_err(away)?;
    let pem = secret.data.get(PRIVATE).map_or("", |pem| pem.as_str());
    let key = SigningKey::from_pem(pem).map_err(|error| unusable(source, &error))?;
    if secret.data.contains_key(DECLARED) {
        check_trust(ctx, source, &key).await?;
        return Ok(key);
    }
    let request = TrustSigner {
        source: source.to_owned(),
        public_key: key.public().to_pem(),
    };
    let trusted = ctx.commands.signer_trust(&catalyst(ctx), request).await;
    trusted.map_err(|error| commanded("trust", "the signing key", &error))?;
    let declared = Zeroizing::new("true".to_owned());
    secret.data.insert(DECLARED.to_owned(), declared);
    // Another key may have been put there meanwhile.
    let written = secrets::replace(&ctx.vault, &path, &secret).await;
    written.map_err(away)?;
    let signer = key.public().fingerprint();
    tracing::info!(source, signer, "signing key made and trusted");
    Ok(key)
}

fn new_key(source: &str) -> Result<BTreeMap<String, Zeroizing<String>>, ReconcileError> {
    let made = SigningKey::generate().and_then(|key| {
        let private = Zeroizing::new(key.to_pem()?);
        Ok((private, Zeroizing::new(key.public().to_pem())))
    });
    let (private, public) = made.map_err(|error| unusable(source, &error))?;
    Ok(BTreeMap::from([
        (PRIVATE.to_owned(), private),
        (PUBLIC.to_owned(), public),
    ]))
}

/// Fails unless the Sovereign trusts the key for the source. Waiting may help: the
/// commit that declares it may not be applied yet.
async fn check_trust(ctx: &Context, source: &str, key: &SigningKey) -> Result<(), Failure> {
    let policy = trust_policy(&ctx.sovereign().await?);
    let own = key.public();
    let signers = policy.signers(source);
    if signers.is_ok_and(|signers| signers.keys().contains(&own)) {
        return Ok(());
    }
    let reason = format!(
        "the Sovereign does not trust its key {} for {source} any more; have a sovereign-admin trust it again (its public half is in the vault, at {path}), or delete that secret, and another key is made",
        own.fingerprint(),
        path = signing_key_path(source)
    );
    let what = format!("Blueprints of {source}");
    Err(Failure {
        reason: "SignerNotTrusted",
        error: ReconcileError::missing("sign", what, reason),
    })
}
