//! `catalyst blueprint`: from an empty folder to a signed artifact in a registry.
//! Whatever is of a folder alone (`new`, `lint`, `render`, `test`, `package` and the
//! like) needs neither a Sovereign nor a network.

use std::path::{Path, PathBuf};

use anyhow::Context;
use catalyst_api::{BlueprintCard, RegisterBlueprint, SovereignView, TrustSigner};
use catalyst_blueprint::Problem;
use catalyst_signature::{SigningKey, TrustPolicy};
use catalyst_supply::{
    Origin, PackOptions, Reference, Registry, pack, read_folder, read_folder_with_unfit,
};
use reqwest::Method;
use serde_json::json;
use url::Url;

use super::api::{Common, Connection};
use super::cases::Test;
use super::diff::Diff;
use super::failure::{Hinted, hinted};
use super::findings;
use super::hook::Hook;
use super::inspect::Inspect;
use super::output::{Output, print, say};
use super::render::Render;
use super::scaffold;
use super::scan::Scan;
use super::shown;
use super::signer;
use super::supply;
use super::trust;
use crate::up::payload;

/// Write, check, sign and publish Blueprints.
#[derive(Debug, clap::Args)]
pub struct Blueprint {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    New(New),
    Lint(Lint),
    Render(Render),
    Inspect(Inspect),
    Diff(Diff),
    Scan(Scan),
    Test(Test),
    Package(Package),
    Publish(Publish),
    Verify(Verify),
    Trust(Trust),
    Hook(Hook),
}

/// Begin a Blueprint: a folder that passes `lint`.
#[derive(Debug, clap::Args)]
struct New {
    /// Its name, bp-….
    name: String,
    /// What it is made of.
    #[arg(long, value_enum, default_value_t)]
    kind: scaffold::Kind,
    /// The folder to make; the name without bp- unless given.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Find everything that is wrong with a Blueprint, at once.
#[derive(Debug, clap::Args)]
struct Lint {
    /// The Blueprint's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// A folder of further Blueprints, one of whose versions each dependency on them
    /// must be able to have. May be given more than once.
    #[arg(long, value_name = "DIR")]
    catalog: Vec<PathBuf>,
    /// How the findings are printed.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORM")]
    output: findings::Form,
}

/// Pack a Blueprint into one file (a tar in the OCI image layout).
#[derive(Debug, clap::Args)]
struct Package {
    /// The Blueprint's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The file to write; NAME-VERSION.oci.tar unless given.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How the result is printed: as a table, its digest alone.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
}

/// Pack, sign and push a Blueprint, and have the Sovereign admit it.
#[derive(Debug, clap::Args)]
struct Publish {
    /// The Blueprint's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where it belongs: an Organization, or catalog-sovereign.
    #[arg(long)]
    source: String,
    /// The private key that signs it (PEM, P-256); unless given, the source's own,
    /// which is made on first use and which `blueprint trust` has trusted.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Push to another registry, such as ghcr.io/acme; no Sovereign is told.
    #[arg(long, value_name = "HOST/PATH")]
    registry: Option<String>,
    /// A program that signs in a key's place, such as with cosign and without a key. Its
    /// argument is the artifact, HOST/PATH@DIGEST; what it reads is the provenance to
    /// attest, and SBOM_CYCLONEDX and SBOM_SPDX name the SBOMs' files. The version is
    /// there for others once the program has signed.
    #[arg(
        long,
        value_name = "PROGRAM",
        requires = "registry",
        conflicts_with = "key"
    )]
    sign_with: Option<PathBuf>,
    #[command(flatten)]
    made: Made,
    /// The packages of an image that the chart names, as a CycloneDX document in JSON:
    /// they become part of the Blueprint's. May be given once for each image.
    #[arg(long, value_name = "FILE")]
    sbom: Vec<PathBuf>,
    /// A folder of images as `make images` builds them. Those that the chart names below
    /// HOST/PATH, by their digest, are pushed first, and their packages become part of
    /// the Blueprint's.
    #[arg(long, value_name = "DIR", requires = "registry")]
    images: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What provenance and SBOMs say of where an artifact comes from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Provenance")]
struct Made {
    /// Where its source lies.
    #[arg(long, value_name = "URL")]
    source_url: Option<Url>,
    /// The revision of its source, such as a commit.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Who builds it, such as the address of a workflow.
    #[arg(
        long,
        value_name = "URI",
        default_value = "https://github.com/openova-io/catalyst"
    )]
    builder: Url,
}

impl Made {
    fn origin(&self) -> Origin {
        Origin {
            builder: self.builder.to_string(),
            source_url: self.source_url.as_ref().map(Url::to_string),
            revision: self.revision.clone(),
            ..Origin::default()
        }
    }
}

/// Verify who signed an artifact.
#[derive(Debug, clap::Args)]
struct Verify {
    /// The artifact, such as 127.0.0.1:8080/acme/bp-name:1.0.0.
    reference: String,
    #[command(flatten)]
    signer: trust::Signer,
    #[command(flatten)]
    common: Common,
}

/// Have the Sovereign trust a key for a source, so that what it signs is admitted.
#[derive(Debug, clap::Args)]
struct Trust {
    /// Where its signatures shall count: an Organization, or catalog-sovereign.
    source: String,
    /// The public key (PEM, P-256); unless given, that of the source's own, which
    /// signs what `blueprint publish` publishes and is made on first use.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Blueprint {
    /// Carries it out.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            What::New(it) => scaffold::write(&it.name, it.kind, it.folder.as_deref()),
            What::Lint(it) => it.run(),
            What::Render(it) => it.run(),
            What::Inspect(it) => it.run(),
            What::Diff(it) => it.run(),
            What::Scan(it) => it.run(),
            What::Test(it) => it.run(),
            What::Package(it) => it.run(),
            What::Publish(it) => super::client(it.run()),
            What::Verify(it) => super::client(it.run()),
            What::Trust(it) => super::client(it.run()),
            What::Hook(it) => super::client(it.run()),
        }
    }
}

impl Lint {
    fn run(&self) -> anyhow::Result<()> {
        let (files, unfit) = read_folder_with_unfit(&self.folder)?;
        let mut problems =
            catalyst_plan::lint_blueprint_by(&files, catalyst_kubernetes::schema_set());
        problems.extend(findings::of_dependencies(&files, &self.catalog)?);
        problems.extend(unfit.into_iter().map(|it| Problem {
            file: it.path,
            line: None,
            rule: "file-kind",
            message: it.reason.to_owned(),
            fix: it.fix.to_owned(),
        }));
        problems.sort();
        findings::report(&self.folder, &problems, self.output)
    }
}

/// The findings of lint as one failure.
pub(super) fn refused(folder: &Path, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(|it| format!("  {it}")).collect();
    hinted(
        format!(
            "{} cannot be used as it is:\n{}",
            folder.display(),
            lines.join("\n")
        ),
        format!(
            "mend it, and see `catalyst blueprint lint {}`",
            folder.display()
        ),
    )
}

/// Packs a folder in which lint finds no errors.
pub(super) fn packed(folder: &Path) -> anyhow::Result<catalyst_supply::Package> {
    packed_with(folder, &PackOptions::default())
}

fn packed_with(folder: &Path, options: &PackOptions) -> anyhow::Result<catalyst_supply::Package> {
    let files = read_folder(folder)?;
    let mut problems = catalyst_plan::lint_blueprint_by(&files, catalyst_kubernetes::schema_set());
    problems.retain(Problem::is_error);
    if !problems.is_empty() {
        return Err(refused(folder, &problems));
    }
    let package = pack(&files, options)?;
    supply::check_bills(options, &package.images)?;
    Ok(package)
}

impl Package {
    fn run(&self) -> anyhow::Result<()> {
        let package = packed(&self.folder)?;
        let (name, version) = (package.blueprint.name(), package.blueprint.version());
        let file = match &self.file {
            Some(file) => file.clone(),
            None => PathBuf::from(format!("{name}-{version}.oci.tar")),
        };
        let layout = catalyst_supply::image::Image {
            manifest: package.manifest.clone(),
            blobs: package.blobs.clone(),
        };
        std::fs::write(&file, layout.to_tar()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        if !self.output.is_table() {
            return self.output.value(&json!({
                "name": name,
                "version": version.to_string(),
                "digest": package.digest(),
                "file": file.display().to_string(),
            }));
        }
        say(&format!("Packed {name} {version} into {}", file.display()));
        print(&format!("{}\n", package.digest()))
    }
}

impl Publish {
    async fn run(&self) -> anyhow::Result<()> {
        let mut package = packed_with(&self.folder, &supply::pack_options(&self.sbom)?)?;
        let images = self.images.as_deref().map(supply::images).transpose()?;
        if let Some(images) = &images {
            payload::describe(&mut package, images)?;
        }
        let (name, version) = (
            package.blueprint.name().to_owned(),
            package.blueprint.version().to_string(),
        );
        let mut unmet = Vec::new();
        let (api, base, trusted) = match &self.registry {
            Some(base) => (None, base.clone(), None),
            None => {
                let api = self.common.connection.api().await?;
                supply::check_source(&api, &self.source).await?;
                supply::check_visibility(&self.source, &package.blueprint)?;
                supply::check_version(&api, &self.source, &package).await?;
                unmet = supply::unmet(&api, &self.source, &package.blueprint).await?;
                let sovereign = api.sovereign().await?;
                // Made only now that nothing else known stands against it.
                let signing = supply::signing_key(&self.source, self.key.as_deref())?;
                if !supply::counts(&sovereign, &self.source, signing.0.public()) {
                    return Err(self.untrusted(&name, &version, &signing));
                }
                let base = format!("{}/{}", sovereign.addresses.registry, self.source);
                (Some(api), base, Some(signing))
            }
        };
        let at = Reference::parse(&format!("{base}/{name}:{version}"))?;
        let registry = supply::registry(api.as_ref(), &at.host).await?;
        if let Some(images) = &images {
            for image in payload::push_images(&registry, &at, &package, images).await? {
                say(&format!("Pushed the image {image}"));
            }
        }
        let origin = self.made.origin();
        if let Some(program) = &self.sign_with {
            return self
                .have_signed(&registry, &base, &package, &origin, program)
                .await;
        }
        let (key, public) = match trusted {
            Some(signing) => signing,
            None => supply::signing_key(&self.source, self.key.as_deref())?,
        };
        let published = registry.publish(&base, &package, &key, &origin).await?;
        let output = self.common.output;
        let trusted_root = api
            .as_ref()
            .map(|api| api.url(&["sovereign", "trusted-root"]));
        let verify =
            supply::cosign_commands(&at, &published.digest, &public, trusted_root.as_ref());
        say(&format!("Pushed and signed {}", published.reference));
        if output.is_table() {
            print(&format!("{}\n", published.digest))?;
        }
        say("Anyone can verify it:");
        for line in &verify {
            say(&format!("  {line}"));
        }
        let is_admitted = api.is_some();
        if let Some(api) = api {
            let body = RegisterBlueprint {
                source: self.source.clone(),
                name: name.clone(),
                version: version.clone(),
            };
            let answer = api.put(Method::POST, &["blueprints"], &body).await;
            let card: BlueprintCard = match answer {
                Ok(card) => card,
                Err(error) => {
                    let trust = self.words_to_trust(&public);
                    let is_trusted = supply::is_trusted(&api, &self.source, key.public()).await;
                    return Err(not_admitted(error, is_trusted, &trust));
                }
            };
            let what = format!("{}/{} {}", card.source, card.name, card.version);
            match unmet.as_slice() {
                [] => say(&format!("{what} can be installed")),
                unmet => {
                    say(&format!(
                        "{what} is registered, and cannot be installed yet:"
                    ));
                    for reason in unmet {
                        say(&format!("  {reason}"));
                    }
                    say(
                        "Publish what it needs, or a version of it with ranges that hold what is there",
                    );
                }
            }
        }
        if output.is_table() {
            return Ok(());
        }
        output.value(&json!({
            "source": self.source,
            "name": name,
            "version": version,
            "reference": published.reference,
            "digest": published.digest,
            "signer": published.signer.fingerprint(),
            "verify": verify.join(" && "),
            "admitted": is_admitted,
            "unmet": unmet,
        }))
    }

    /// The words behind `blueprint trust` that have the key trusted.
    fn words_to_trust(&self, public: &Path) -> String {
        match &self.key {
            Some(_) => format!("{} --key {}", self.source, public.display()),
            None => self.source.clone(),
        }
    }

    /// The refusal of a key whose signature would count for nothing, before anything is
    /// pushed under it.
    fn untrusted(
        &self,
        name: &str,
        version: &str,
        (key, public): &(SigningKey, PathBuf),
    ) -> anyhow::Error {
        let source = &self.source;
        let hint = format!(
            "have the Sovereign trust it with `catalyst blueprint trust {}`, then publish it again",
            self.words_to_trust(public)
        );
        let reason = format!(
            "the Sovereign does not trust the key that would sign it, {}, for {source}",
            key.public().fingerprint()
        );
        anyhow::anyhow!(reason).context(Hinted::new(
            format!("cannot publish {name} {version} to {source}; nothing was pushed"),
            hint,
        ))
    }

    /// Publishes what a program signs.
    async fn have_signed(
        &self,
        registry: &Registry,
        base: &str,
        package: &catalyst_supply::Package,
        origin: &Origin,
        program: &Path,
    ) -> anyhow::Result<()> {
        let at = registry.stage(base, package, origin).await?;
        let digest = package.digest();
        let statement = catalyst_supply::provenance(package, &at.name(), origin);
        let predicate = statement.get("predicate").cloned().unwrap_or_default();
        let wanted = signer::Wanted {
            artifact: &format!("{}@{digest}", at.name()),
            provenance: &predicate,
            cyclonedx: &catalyst_supply::cyclonedx(package, origin),
            spdx: &catalyst_supply::spdx(package, origin),
        };
        signer::run(program, &wanted).await?;
        registry.release(&at, package).await?;
        say(&format!("Pushed {at}, signed by {}", program.display()));
        if self.common.output.is_table() {
            return print(&format!("{digest}\n"));
        }
        self.common.output.value(&json!({
            "source": self.source,
            "name": package.blueprint.name(),
            "version": package.blueprint.version().to_string(),
            "reference": at.to_string(),
            "digest": digest,
            "admitted": false,
        }))
    }
}

/// What became of an artifact that the Sovereign does not admit; where its signer is
/// not trusted, with the words behind `blueprint trust` that change it.
fn not_admitted(error: anyhow::Error, is_trusted: bool, trust: &str) -> anyhow::Error {
    let message = "the artifact is in the registry, but the Sovereign did not admit it";
    match is_trusted {
        true => error.context(message),
        false => {
            let hint = format!(
                "have the Sovereign trust its signer with `catalyst blueprint trust {trust}`, then publish it again"
            );
            error.context(Hinted::new(message, hint))
        }
    }
}

impl Verify {
    async fn run(&self) -> anyhow::Result<()> {
        let at = Reference::parse(&self.reference)?;
        let (source, _) = at.repository.rsplit_once('/').unwrap_or(("", ""));
        let source = source.to_owned();
        let named = self.signer.policy(&source)?;
        let is_named = named.is_some();
        if source.is_empty() && !is_named {
            return Err(hinted(
                format!(
                    "cannot verify {}: below the host {} it names no source, whose signers could be asked for",
                    self.reference, at.host
                ),
                "name the registry, the source and the Blueprint, such as 127.0.0.1:8080/acme/bp-name:1.0.0",
            ));
        }
        // Without a sign-in, what everyone may read can still be verified.
        let api = match self.common.connection.api().await {
            Ok(api) => Some(api),
            Err(_) if is_named => None,
            Err(error) => return Err(error),
        };
        let policy = match (named, &api) {
            (Some(policy), _) => policy,
            (None, Some(api)) => trust::of_sovereign(api).await?,
            (None, None) => TrustPolicy::new(),
        };
        // With a signer of one's own naming and a Sovereign that is not there, the
        // artifact may lie in any registry.
        let registry = match supply::registry(api.as_ref(), &at.host).await {
            Err(_) if is_named => supply::registry(None, &at.host).await?,
            other => other?,
        };
        let verified = registry.verify(&at, &source, &policy).await?;
        let signers = policy.signers(&source)?;
        let attested = registry.attestations(&at, &verified.digest, &signers);
        let mut attested = attested.await?;
        // What nobody trusted says is for `inspect` to show.
        attested.retain(|it| it.signer.is_some());
        if !self.common.output.is_table() {
            return self.common.output.value(&json!({
                "reference": self.reference,
                "digest": verified.digest,
                "signer": verified.signer.to_string(),
                "attestations": attested,
            }));
        }
        say(&format!("{} is signed by {}", at.name(), verified.signer));
        for it in &attested {
            let by = it.signer.as_deref().unwrap_or_default();
            say(&format!("{} is attested by {by}", it.predicate_type));
        }
        print(&format!("{}\n", verified.digest))
    }
}

impl Trust {
    async fn run(&self) -> anyhow::Result<()> {
        let given = self.key.as_deref().map(supply::public_key).transpose()?;
        let api = self.connection.api().await?;
        supply::check_source(&api, &self.source).await?;
        let key = match given {
            Some(key) => key,
            None => supply::signing_key(&self.source, None)?.0.public().clone(),
        };
        let body = TrustSigner {
            source: self.source.clone(),
            public_key: key.to_pem(),
        };
        let request = api.request(Method::POST, &["trusted-signers"]).json(&body);
        api.send(request).await?;
        shown::until_looked_up(&api, &["sovereign"], |it: Option<&SovereignView>| {
            it.is_none_or(|it| supply::counts(it, &self.source, &key))
        })
        .await;
        say(&format!(
            "Signatures by {} now count for {}",
            key.fingerprint(),
            self.source
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::describe;
    use super::*;

    #[test]
    fn whoever_signs_with_a_key_that_nobody_trusts_is_told_how_to_change_it() {
        let refused = || anyhow::anyhow!("no trusted key made its signature");
        insta::assert_snapshot!(describe(&not_admitted(refused(), false, "acme")), @r"
        error: the artifact is in the registry, but the Sovereign did not admit it
          because: no trusted key made its signature
        hint: have the Sovereign trust its signer with `catalyst blueprint trust acme`, then publish it again
        ");
        insta::assert_snapshot!(describe(&not_admitted(refused(), true, "acme")), @r"
        error: the artifact is in the registry, but the Sovereign did not admit it
          because: no trusted key made its signature
        ");
    }
}
