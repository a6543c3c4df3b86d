//! What is known to be wrong with Blueprints and Applications.
//!
//! The handlers of `routes/blueprints.rs` and `routes/applications.rs` ask for it, once
//! the caller may see what it is about. It is computed when it is asked for, from the
//! SBOMs that refer to the artifacts and the database as it is then; nothing is latched.
//!
//! What must stay true: a database that is missing, old or broken is told as that, and
//! what could not be looked at is a gap, as is that nobody trusted attests an SBOM. One
//! that breaks is told as broken, and what was read before goes on being compared with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalyst_api::{
    ApplicationView, BlueprintDetail, DatabaseState, VulnerabilityDatabase, VulnerabilityReport,
};
use catalyst_signature::Signers;
use catalyst_supply::{
    AdvisoriesError, AdvisoriesStamp, Document, Reference, Registry, advisories_stamp, media,
    read_advisories,
};
use catalyst_vulnerabilities::{Bill, Index, Part, database, report, unsigned_bill};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::problem::Refusal;

/// How long until the database's files are looked at again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long what was read of an artifact's SBOMs is kept: more may be attached.
const KEPT: Duration = Duration::from_secs(300);
/// The artifacts of which it is kept, and the Applications that one report follows.
const MOST: usize = 256;

/// The database, and what artifacts are made of.
pub struct Vulnerabilities {
    path: Option<PathBuf>,
    known: Mutex<Known>,
    registry: Arc<Registry>,
    /// Of the registry, as references name it.
    host: String,
    /// By `{source}/{name}@{digest}`.
    bills: Mutex<BTreeMap<String, (Instant, Arc<Bills>)>>,
}

/// What is known of the database.
#[derive(Default)]
struct Known {
    is_looked_at: bool,
    stamp: Option<AdvisoriesStamp>,
    index: Option<Arc<Index>>,
    trouble: Option<Trouble>,
    /// Why, as it was warned of last.
    warned: Option<String>,
}

/// Why the files that are there now are not used.
#[derive(Clone, Copy)]
enum Trouble {
    Missing,
    Broken,
}

/// What looking at the database's files came to.
enum Looked {
    Same,
    Read(AdvisoriesStamp, Index),
    /// With the reason, for the log.
    Failed(Option<AdvisoriesStamp>, Trouble, String),
}

/// What an artifact is made of, by those of its SBOMs that are believed.
struct Bills {
    bills: Vec<Bill>,
    gaps: Vec<String>,
}

/// A Blueprint's version whose artifact belongs into a report.
struct Wanted {
    path: Vec<String>,
    source: String,
    name: String,
    version: String,
}

impl Vulnerabilities {
    /// Reads nothing before [`Vulnerabilities::watch`] does.
    pub fn new(path: Option<PathBuf>, registry: Arc<Registry>, host: String) -> Self {
        Self {
            path,
            known: Mutex::default(),
            registry,
            host,
            bills: Mutex::default(),
        }
    }

    /// Reads the database, and again whenever its files have changed, until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        while self.path.is_some() {
            if let Some(reason) = self.look().await {
                tracing::warn!(reason, "vulnerability database not read");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Answers what is to be warned of: a reason that is another than the last one.
    async fn look(&self) -> Option<String> {
        let path = self.path.clone()?;
        let before = lock(&self.known).stamp.clone();
        let looking = tokio::task::spawn_blocking(move || look(&path, before.as_ref()));
        let looked = looking
            .await
            .unwrap_or_else(|error| Looked::Failed(None, Trouble::Broken, error.to_string()));
        let mut known = lock(&self.known);
        known.is_looked_at = true;
        match looked {
            Looked::Same => None,
            Looked::Read(stamp, index) => {
                tracing::info!(records = index.records(), "vulnerability database read");
                known.stamp = Some(stamp);
                known.index = Some(Arc::new(index));
                known.trouble = None;
                known.warned = None;
                None
            }
            Looked::Failed(stamp, trouble, reason) => {
                known.stamp = stamp;
                known.trouble = Some(trouble);
                if known.warned.as_ref() == Some(&reason) {
                    return None;
                }
                known.warned = Some(reason.clone());
                Some(reason)
            }
        }
    }

    /// What there is to compare with, and what there is to say of it.
    fn current(&self, now: Timestamp) -> (Option<Arc<Index>>, VulnerabilityDatabase) {
        let known = lock(&self.known);
        let nothing = |state, message: &str| VulnerabilityDatabase {
            state,
            message: message.to_owned(),
            modified: None,
            records: 0,
            ecosystems: Vec::new(),
        };
        let view = match (&known.index, known.trouble) {
            _ if self.path.is_none() => nothing(
                DatabaseState::Missing,
                "This Sovereign has no vulnerability database, so nothing was compared; whoever runs it gives it one with `catalyst up --vulnerabilities PATH`.",
            ),
            _ if !known.is_looked_at => nothing(
                DatabaseState::Missing,
                "The vulnerability database is being read, so nothing was compared yet; ask again in a minute.",
            ),
            (None, Some(Trouble::Broken) | None) => nothing(
                DatabaseState::Broken,
                "The vulnerability database cannot be read, so nothing was compared; whoever runs the Sovereign finds the reason in its log.",
            ),
            (None, Some(Trouble::Missing)) => nothing(
                DatabaseState::Missing,
                "The vulnerability database is not where the Sovereign looks for it, so nothing was compared; whoever runs it finds the place in its log.",
            ),
            (Some(index), trouble) => {
                let mut view = database(index, now);
                if trouble.is_some() {
                    view.state = DatabaseState::Broken;
                    view.message = format!(
                        "The vulnerability database cannot be read any more; whoever runs the Sovereign finds the reason in its log. Until then the one before is used. {}",
                        view.message
                    );
                }
                view
            }
        };
        (known.index.clone(), view)
    }

    /// What an artifact is made of; kept for a while. The same artifact in another
    /// source's path has other SBOMs, by whoever publishes there: these are neither for
    /// others to see nor to be believed about theirs.
    async fn bills(
        &self,
        wanted: &Wanted,
        digest: &str,
        signers: &Signers<'_>,
    ) -> Result<Arc<Bills>, Refusal> {
        let place = format!("{}/{}@{digest}", wanted.source, wanted.name);
        if let Some((at, bills)) = lock(&self.bills).get(&place)
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(bills));
        }
        let unavailable = || {
            Refusal::unavailable(
                "List the vulnerabilities",
                "The registry does not answer, so that what the artifact is made of is not known.",
            )
        };
        let text = format!("{}/{place}", self.host);
        let at = Reference::parse(&text).map_err(|error| {
            tracing::warn!(%error, "SBOM not read");
            unavailable()
        })?;
        let documents = self
            .registry
            .documents(&at, digest, signers)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "SBOM not read");
                unavailable()
            })?;
        let of = format!("the Blueprint {} {}", wanted.name, wanted.version);
        let bills = aside(move || read_bills(&of, &documents)).await?;
        let bills = Arc::new(bills);
        let mut kept = lock(&self.bills);
        kept.retain(|_, (at, _)| at.elapsed() < KEPT);
        if kept.len() < MOST {
            kept.insert(place, (Instant::now(), Arc::clone(&bills)));
        }
        Ok(bills)
    }
}

impl Gateway {
    /// Keeps the database of vulnerabilities as its files are, until `stop`.
    pub async fn watch_vulnerabilities(&self, stop: CancellationToken) {
        self.vulnerabilities().watch(stop).await;
    }

    /// What is known to be wrong with a Blueprint's version.
    pub(crate) async fn blueprint_report(
        &self,
        blueprint: &BlueprintDetail,
    ) -> Result<VulnerabilityReport, Refusal> {
        let card = &blueprint.card;
        let wanted = Wanted {
            path: vec![format!("Blueprint {} {}", card.name, card.version)],
            source: card.source.clone(),
            name: card.name.clone(),
            version: card.version.clone(),
        };
        self.report(&[wanted], Vec::new()).await
    }

    /// What is known to be wrong with an Application and with those that it depends on,
    /// directly or not.
    pub(crate) async fn application_report(
        &self,
        application: ApplicationView,
    ) -> Result<VulnerabilityReport, Refusal> {
        let mut wanted = Vec::new();
        let mut gaps = Vec::new();
        let environment = application.summary.environment.clone();
        let first = format!("Application {}", application.summary.name);
        let mut seen = BTreeSet::from([application.summary.name.clone()]);
        let mut next = VecDeque::from([(vec![first], application)]);
        while let Some((mut path, view)) = next.pop_front() {
            for (alias, name) in &view.dependencies {
                if seen.len() == MOST {
                    gaps.push(format!(
                        "It depends on more than {MOST} Applications; the others were not compared."
                    ));
                    break;
                }
                if !seen.insert(name.clone()) {
                    continue;
                }
                match self.projector().application(&environment, name) {
                    Some(found) => {
                        let mut path = path.clone();
                        path.push(format!("{alias}: Application {name}"));
                        next.push_back((path, found));
                    }
                    None => gaps.push(format!(
                        "The Application {name}, which serves {alias}, is not known, and was not compared."
                    )),
                }
            }
            let summary = view.summary;
            path.push(format!(
                "Blueprint {} {}",
                summary.blueprint, summary.version
            ));
            wanted.push(Wanted {
                path,
                source: summary.source,
                name: summary.blueprint,
                version: summary.version,
            });
        }
        self.report(&wanted, gaps).await
    }

    /// Whoever asks may see all that is wanted.
    async fn report(
        &self,
        wanted: &[Wanted],
        mut gaps: Vec<String>,
    ) -> Result<VulnerabilityReport, Refusal> {
        let (index, view) = self.vulnerabilities().current(Timestamp::now());
        let Some(index) = index else {
            return Ok(report(None, view, &[], gaps));
        };
        let policy = self.sovereign().trust_policy().await?;
        let mut found: Vec<(Vec<String>, Arc<Bills>)> = Vec::new();
        for wanted in wanted {
            let known = self.projector().blueprint(
                &wanted.source,
                &wanted.name,
                Some(&wanted.version),
                |_| true,
            );
            let Some(known) = known else {
                gaps.push(format!(
                    "The Blueprint {} {} is not registered any more, and was not compared.",
                    wanted.name, wanted.version
                ));
                continue;
            };
            let signers = policy.signers(&wanted.source).unwrap_or_default();
            let bills = self
                .vulnerabilities()
                .bills(wanted, &known.digest, &signers)
                .await?;
            gaps.extend(bills.gaps.iter().cloned());
            found.push((wanted.path.clone(), bills));
        }
        aside(move || compare(&index, view, &found, gaps)).await
    }
}

/// Pure work, and much of it where an SBOM is long: it goes on beside what waits.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "vulnerabilities not compared");
        Refusal::unavailable(
            "List the vulnerabilities",
            "What the artifact is made of could not be compared; whoever runs the Sovereign finds the reason in its log.",
        )
    })
}

/// What is known to be wrong with what artifacts are made of, by what leads to them.
fn compare(
    index: &Index,
    view: VulnerabilityDatabase,
    found: &[(Vec<String>, Arc<Bills>)],
    gaps: Vec<String>,
) -> VulnerabilityReport {
    let parts: Vec<Part<'_>> = found
        .iter()
        .flat_map(|(path, bills)| {
            bills.bills.iter().map(move |bill| Part {
                path: path.clone(),
                bill,
            })
        })
        .collect();
    report(Some(index), view, &parts, gaps)
}

/// Looks at the files, and reads them if they are others than `before`.
fn look(path: &Path, before: Option<&AdvisoriesStamp>) -> Looked {
    let failed = |stamp, error: &AdvisoriesError| {
        let is_missing = matches!(
            error,
            AdvisoriesError::Read { source, .. } if source.kind() == ErrorKind::NotFound
        );
        let trouble = match is_missing {
            true => Trouble::Missing,
            false => Trouble::Broken,
        };
        Looked::Failed(stamp, trouble, error.to_string())
    };
    let stamp = match advisories_stamp(path) {
        Ok(stamp) if Some(&stamp) == before => return Looked::Same,
        Ok(stamp) => stamp,
        Err(error) => return failed(None, &error),
    };
    match read_advisories(path) {
        Ok(index) => Looked::Read(stamp, index),
        // What cannot be read now may be in a moment, though no file changes.
        Err(error @ AdvisoriesError::Read { .. }) => failed(None, &error),
        Err(error) => failed(Some(stamp), &error),
    }
}

/// All CycloneDX documents of an artifact together: one that somebody adds takes
/// nothing away. Where nobody trusted attests them, that is a gap.
fn read_bills(of: &str, documents: &[Document]) -> Bills {
    let mut read = Bills {
        bills: Vec::new(),
        gaps: Vec::new(),
    };
    let mut is_attested = true;
    for document in documents
        .iter()
        .filter(|document| document.media_type == media::CYCLONEDX)
    {
        match Bill::of_cyclonedx(&document.content) {
            Ok(bill) => {
                is_attested &= document.signer.is_some();
                read.bills.push(bill);
            }
            Err(error) => read.gaps.push(format!(
                "A list of what {of} is made of cannot be read: {error}."
            )),
        }
    }
    if read.bills.is_empty() {
        read.gaps.push(format!(
            "What {of} is made of is not listed, so that nothing of it was compared; publish it with its SBOM."
        ));
    }
    if !is_attested {
        read.gaps.push(unsigned_bill(of));
    }
    read
}

/// Takes a lock, whether or not somebody panicked who had it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use catalyst_supply::Credentials;
    use serde_json::json;

    use super::*;

    fn watched(path: Option<&Path>) -> Vulnerabilities {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let registry = Arc::new(Registry::new(http, Credentials::Anonymous));
        Vulnerabilities::new(path.map(Path::to_owned), registry, "127.0.0.1:1".to_owned())
    }

    fn record(name: &str) -> String {
        json!({
            "id": "X-1", "modified": "2026-01-01T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": name}, "versions": ["1.0.0"]}],
        })
        .to_string()
    }

    fn state(of: &Vulnerabilities) -> (DatabaseState, bool) {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let (index, view) = of.current(now);
        assert!(!view.message.is_empty());
        (view.state, index.is_some())
    }

    #[tokio::test]
    async fn a_database_is_told_as_it_is_and_followed_as_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("osv.json");
        let none = watched(None);
        none.look().await;
        assert_eq!(state(&none), (DatabaseState::Missing, false));

        let of = watched(Some(&file));
        assert_eq!(state(&of), (DatabaseState::Missing, false), "not read yet");
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Missing, false), "not there");
        std::fs::write(&file, "no record").unwrap();
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Broken, false));
        std::fs::write(&file, record("x")).unwrap();
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Current, true));
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Current, true), "unchanged");
        std::fs::write(&file, "broken again").unwrap();
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Broken, true), "the one before");
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Broken, true), "still broken");
        std::fs::write(&file, record("another")).unwrap();
        of.look().await;
        assert_eq!(state(&of), (DatabaseState::Current, true));
        let later = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(of.current(later).1.state, DatabaseState::Old);
    }

    #[tokio::test]
    async fn the_same_trouble_is_warned_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("osv.json");
        let of = watched(Some(&file));
        let missing = of.look().await.unwrap();
        assert!(missing.contains("osv.json"), "{missing}");
        assert_eq!(of.look().await, None, "still not there");
        std::fs::write(&file, "no record").unwrap();
        let broken = of.look().await.unwrap();
        assert_ne!(broken, missing);
        assert_eq!(of.look().await, None, "still broken");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(of.look().await.as_ref(), Some(&missing), "gone again");
        std::fs::write(&file, record("x")).unwrap();
        assert_eq!(of.look().await, None, "read");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(of.look().await, Some(missing), "gone after it was read");
    }

    #[tokio::test]
    async fn what_one_source_says_of_an_artifact_is_not_said_of_another_s() {
        let of = watched(None);
        let wanted = |source: &str| Wanted {
            path: Vec::new(),
            source: source.to_owned(),
            name: "bp-shop".to_owned(),
            version: "1.0.0".to_owned(),
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        let kept = Arc::new(read_bills("it", &[]));
        lock(&of.bills).insert(
            format!("acme/bp-shop@{digest}"),
            (Instant::now(), Arc::clone(&kept)),
        );
        let nobody = Signers::default();
        let own = of.bills(&wanted("acme"), &digest, &nobody).await;
        assert!(own.is_ok_and(|found| Arc::ptr_eq(&found, &kept)));
        // The same bytes, and the registry is asked, which is not there.
        let other = of.bills(&wanted("catalog"), &digest, &nobody).await;
        assert!(other.is_err());
    }

    #[tokio::test]
    async fn what_takes_its_time_keeps_nobody_waiting() {
        let own = std::thread::current().id();
        let other = aside(|| std::thread::current().id()).await;
        assert!(other.is_ok_and(|other| other != own));
        let ended: Result<(), Refusal> = aside(|| panic!("it ends early")).await;
        assert!(ended.is_err());
    }

    #[test]
    fn what_cannot_be_read_is_tried_again_and_what_is_no_database_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("osv.json");
        // It is there and is opened, and its first byte is nobody's to read.
        std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
        let looked = look(&file, None);
        assert!(matches!(looked, Looked::Failed(None, Trouble::Broken, _)));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "no record").unwrap();
        let looked = look(&file, None);
        let Looked::Failed(Some(stamp), Trouble::Broken, _) = looked else {
            panic!("it is no database until it changes");
        };
        assert!(matches!(look(&file, Some(&stamp)), Looked::Same));
    }

    #[test]
    fn what_is_not_listed_is_a_gap_and_what_is_added_takes_nothing_away() {
        let document = |kind: &str, content: serde_json::Value| Document {
            media_type: kind.to_owned(),
            content,
            signer: Some("sha256:00".to_owned()),
        };
        let bill = |components: serde_json::Value| {
            let content = json!({"bomFormat": "CycloneDX", "components": components});
            document(media::CYCLONEDX, content)
        };
        let time = json!([{"type": "library", "name": "time", "version": "0.1.40", "purl": "pkg:cargo/time@0.1.40"}]);
        let read = read_bills(
            "the Blueprint bp-shop 1.0.0",
            &[bill(time.clone()), bill(json!([]))],
        );
        assert_eq!(
            read.bills
                .iter()
                .map(|it| it.components.len())
                .sum::<usize>(),
            1
        );
        assert!(read.gaps.is_empty());
        // What nobody trusted attests is compared, and told as that.
        let unsigned = Document {
            signer: None,
            ..bill(time)
        };
        let read = read_bills("the Blueprint bp-shop 1.0.0", &[unsigned]);
        assert_eq!(read.bills.len(), 1);
        assert_eq!(
            read.gaps,
            [
                "Nobody trusted attests the list of what the Blueprint bp-shop 1.0.0 is made of, so that it may leave something out; publish it again to have it attested."
            ]
        );
        let other = document(media::SPDX, json!({}));
        let bad = document(media::CYCLONEDX, json!({}));
        let read = read_bills("the Blueprint bp-shop 1.0.0", &[other, bad]);
        assert_eq!(read.gaps.len(), 2, "{:?}", read.gaps);
    }
}
