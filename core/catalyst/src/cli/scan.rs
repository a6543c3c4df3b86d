//! `catalyst blueprint scan`: what is known to be wrong with what a Blueprint is made
//! of, by a database on this machine.

use std::path::{Path, PathBuf};

use catalyst_api::{DatabaseState, Severity, VulnerabilityReport};
use catalyst_blueprint::Blueprint;
use catalyst_supply::{media, read_advisories};
use catalyst_vulnerabilities::{Bill, Part, database, report, sarif, unsigned_bill};

use super::api::Connection;
use super::failure::hinted;
use super::findings::{Form, counted};
use super::output::{Output, print, say, table};
use super::subject::Subject;
use super::supply;

/// List the known vulnerabilities of what a Blueprint is made of.
#[derive(Debug, clap::Args)]
pub struct Scan {
    /// A folder, or an artifact such as 127.0.0.1:8080/acme/bp-name:1.0.0.
    #[arg(default_value = ".", value_name = "FOLDER|REFERENCE")]
    subject: String,
    /// The OSV database: an all.zip of osv.dev, a file or folder of its records, or a
    /// folder of such.
    #[arg(long, value_name = "PATH", env = "CATALYST_VULNERABILITIES")]
    database: PathBuf,
    /// The packages of an image that a folder's chart names, as a CycloneDX document in
    /// JSON. May be given once for each image.
    #[arg(long, value_name = "FILE")]
    sbom: Vec<PathBuf>,
    /// Exit with 1 if one is found that is at least as severe.
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Least>,
    /// How the findings are printed.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    connection: Connection,
}

/// The least severe finding that makes the command fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Least {
    /// Any, also those whose severity nobody says.
    Unknown,
    /// Low and worse.
    Low,
    /// Medium and worse.
    Medium,
    /// High and worse.
    High,
    /// Critical only.
    Critical,
}

impl From<Least> for Severity {
    fn from(least: Least) -> Self {
        match least {
            Least::Unknown => Self::Unknown,
            Least::Low => Self::Low,
            Least::Medium => Self::Medium,
            Least::High => Self::High,
            Least::Critical => Self::Critical,
        }
    }
}

impl Scan {
    /// Carries it out.
    pub fn run(&self) -> anyhow::Result<()> {
        let options = supply::pack_options(&self.sbom)?;
        let text = self.subject.strip_prefix("oci://").unwrap_or(&self.subject);
        let subject = Subject::find_with(text, &self.connection, &options)?;
        let mut bills = Vec::new();
        let mut gaps = Vec::new();
        for document in &subject.documents {
            if document.media_type == media::CYCLONEDX {
                bills.push(Bill::of_cyclonedx(&document.content)?);
                // Of what is in no registry, whoever asks has the files before them.
                if document.signer.is_none() && subject.signatures.is_some() {
                    gaps.push(unsigned_bill(&format!(
                        "the Blueprint {} {}",
                        subject.blueprint.name(),
                        subject.blueprint.version()
                    )));
                }
            }
        }
        gaps.dedup();
        if bills.is_empty() {
            return Err(hinted(
                format!("{text} has no list of what it is made of (CycloneDX)"),
                "name a folder that lint finds no errors in, or what `catalyst blueprint publish` pushed",
            ));
        }
        let index = read_advisories(&self.database)?;
        let version = subject.blueprint.version();
        let path = vec![format!("Blueprint {} {version}", subject.blueprint.name())];
        let parts: Vec<Part<'_>> = bills
            .iter()
            .map(|bill| Part {
                path: path.clone(),
                bill,
            })
            .collect();
        let view = database(&index, jiff::Timestamp::now());
        let report = report(Some(&index), view, &parts, gaps);
        self.print(text, &report)?;
        say_what_was_not_seen(&report);
        let Some(least) = self.fail_on.map(Severity::from) else {
            return Ok(());
        };
        let findings = report.findings.iter();
        match findings.filter(|it| it.severity >= least).count() {
            0 => Ok(()),
            1 => anyhow::bail!(
                "{text} has 1 vulnerability that is {} or worse",
                least.word()
            ),
            many => anyhow::bail!(
                "{text} has {many} vulnerabilities that are {} or worse",
                least.word()
            ),
        }
    }

    fn print(&self, text: &str, report: &VulnerabilityReport) -> anyhow::Result<()> {
        match self.output {
            Form::Table if report.findings.is_empty() => Ok(()),
            Form::Table => print(&as_table(report)),
            Form::Json => Output::Json.value(report),
            Form::Yaml => Output::Yaml.value(report),
            Form::Sarif => {
                let place = match Path::new(text).is_dir() {
                    true => catalyst_blueprint::uri(text, Blueprint::FILE),
                    false => format!("oci://{text}"),
                };
                Output::Json.value(&sarif(report, &place, env!("CARGO_PKG_VERSION")))
            }
        }
    }
}

/// A line a finding; the way to a component is the last of its columns.
pub fn as_table(report: &VulnerabilityReport) -> String {
    let rows = report.findings.iter().map(|it| {
        vec![
            it.severity.word().to_owned(),
            it.id.clone(),
            it.aliases.join(", "),
            format!("{} {}", it.component, it.version),
            it.fixed_in.join(", "),
            it.path.join(" > "),
        ]
    });
    let header = ["severity", "id", "aliases", "component", "fixed in", "path"];
    table(&header, rows.collect())
}

/// What the findings are worth: how many there are, how fresh the database is, and what
/// was not compared.
pub fn say_what_was_not_seen(report: &VulnerabilityReport) {
    for gap in &report.gaps {
        say(&format!("not compared: {gap}"));
    }
    let database = &report.database;
    say(&database.message);
    if !matches!(database.state, DatabaseState::Current | DatabaseState::Old) {
        return;
    }
    let found = match report.findings.len() {
        0 => "none is known to be vulnerable".to_owned(),
        some => counted(some, "finding"),
    };
    let count = |many: u64| usize::try_from(many).unwrap_or(usize::MAX);
    say(&format!(
        "compared {} with {}: {found}",
        counted(count(report.components.into()), "component"),
        counted(count(database.records), "record")
    ));
}
