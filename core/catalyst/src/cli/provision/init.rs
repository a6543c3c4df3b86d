//! `catalyst provision init`: questions with defaults, each answer judged at once by
//! the rules that judge the whole file.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use catalyst_provisioner::Config;
use catalyst_provisioner::config::{at_home, usual_server_types};
use serde_json::{Value, json};

use crate::cli::failure::hinted;
use crate::cli::output::{print, say};

/// Ask what is needed and write sovereign.yaml
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The file to write.
    #[arg(long, short, value_name = "FILE", default_value = "sovereign.yaml")]
    config: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

/// How an answer becomes a value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    YesNo,
    List,
    /// `name=number`, several with commas.
    Counts,
}

/// Property, question, default, kind.
type Question = (&'static str, &'static str, Option<&'static str>, Kind);

const QUESTIONS: [Question; 15] = [
    (
        "sovereignFqdn",
        "Domain of the Sovereign, such as omantel.example",
        None,
        Kind::Text,
    ),
    (
        "region",
        "Region: fsn, nbg, hel, ash, hil or sin",
        Some("fsn"),
        Kind::Text,
    ),
    (
        "domainMode",
        "DNS: byo (you write the records) or pool (a zone at Hetzner DNS)",
        Some("byo"),
        Kind::Text,
    ),
    ("dnsZone", "Zone at Hetzner DNS", None, Kind::Text),
    (
        "sshPublicKeyFile",
        "File of your SSH public key, which the Hetzner project must not have yet",
        Some("~/.ssh/id_ed25519.pub"),
        Kind::Text,
    ),
    (
        "sshPrivateKeyFile",
        "File of its private key, without a passphrase; or agent, where ssh's agent holds it",
        None,
        Kind::Text,
    ),
    (
        "adminCidrs",
        "Networks that you administer from, such as 203.0.113.7/32 (several with commas)",
        None,
        Kind::List,
    ),
    (
        "controlPlaneCount",
        "Control planes, 1 or 3",
        Some("3"),
        Kind::Number,
    ),
    (
        "controlPlaneServerType",
        "Their server type",
        None,
        Kind::Text,
    ),
    ("workerCount", "Workers", Some("3"), Kind::Number),
    ("workerServerType", "Their server type", None, Kind::Text),
    (
        "gitUrl",
        "Git repository for clusters/<domain>/, https://…",
        None,
        Kind::Text,
    ),
    (
        "gitCredentials",
        "Is it private? (yes or no)",
        Some("no"),
        Kind::YesNo,
    ),
    (
        "acmeEmail",
        "E-mail address for the certificate authority",
        None,
        Kind::Text,
    ),
    (
        "limits",
        "Limits of the Hetzner project as its console shows them, to count against, such as servers=10, loadBalancers=5, primaryIps=20, volumes=30, cores=64 (or none)",
        Some("none"),
        Kind::Counts,
    ),
];

impl Init {
    /// Asks, and writes the file.
    pub fn run(&self) -> anyhow::Result<()> {
        let path = &self.config;
        if path.exists() && !self.force {
            return Err(hinted(
                format!("cannot write {}: it is there already", path.display()),
                "name another with --config, or pass --force",
            ));
        }
        // Not after a dozen answers.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(hinted(
                format!(
                    "cannot write {}: there is no folder {}",
                    path.display(),
                    folder.display()
                ),
                "make it, or name another file with --config",
            ));
        }
        let mut input = std::io::stdin().lock();
        let text = ask(&mut input, &mut std::io::stderr())?;
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!(
            "Everything else has a default; `catalyst provision schema` lists it. Next: `catalyst provision render`, then `catalyst provision plan`, with --config {}.",
            path.display()
        ));
        print(&format!("{}\n", path.display()))
    }
}

/// Asks every question until its answer is right, and gives the file's text.
fn ask(input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<String> {
    let mut answers: BTreeMap<&str, Value> = BTreeMap::new();
    let mut lines = vec!["# A Sovereign on Hetzner Cloud, for `catalyst provision`.".to_owned()];
    for (property, question, default, kind) in QUESTIONS {
        if property == "dnsZone" && answers.get("domainMode") != Some(&json!("pool")) {
            continue;
        }
        if property == "workerServerType" && answers.get("workerCount") == Some(&json!(0)) {
            continue;
        }
        let default = suggested(property, &answers).or(default.map(str::to_owned));
        loop {
            match &default {
                Some(default) => write!(out, "{question} [{default}]: ")?,
                None => write!(out, "{question}: ")?,
            }
            out.flush()?;
            let mut line = String::new();
            if input
                .read_line(&mut line)
                .context("cannot read the answer")?
                == 0
            {
                return Err(hinted(
                    format!("there is no answer to: {question}"),
                    "answer every question, or write the file yourself from `catalyst provision schema`",
                ));
            }
            let given: &str = match (line.trim(), &default) {
                ("", Some(default)) => default,
                (given, _) => given,
            };
            if matches!(
                (property, given),
                ("sshPrivateKeyFile", "agent") | ("limits", "none")
            ) {
                break;
            }
            // Whether it fits the public key, preflight tells.
            if property == "sshPrivateKeyFile"
                && let Err(error) = std::fs::File::open(at_home(Path::new(given)))
            {
                writeln!(
                    out,
                    "  cannot read {given}: {error}; name another file, or answer agent"
                )?;
                continue;
            }
            let value = value(given, kind);
            if matches!(kind, Kind::YesNo) && !value.is_boolean() {
                writeln!(out, "  answer yes or no")?;
                continue;
            }
            answers.insert(property, value.clone());
            let problems = problems(&answers, property);
            if problems.is_empty() {
                // JSON is YAML, and quotes what needs it.
                lines.push(format!("{property}: {value}"));
                break;
            }
            answers.remove(property);
            for problem in problems {
                writeln!(out, "  {problem}")?;
            }
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// A default that follows from earlier answers.
fn suggested(property: &str, answers: &BTreeMap<&str, Value>) -> Option<String> {
    let answer = |name: &str| answers.get(name).and_then(Value::as_str);
    let types = || usual_server_types(answer("region").unwrap_or_default());
    match property {
        "controlPlaneServerType" => Some(types().0.to_owned()),
        "workerServerType" => Some(types().1.to_owned()),
        "sshPrivateKeyFile" => {
            let public = answer("sshPublicKeyFile")?;
            public.strip_suffix(".pub").map(str::to_owned)
        }
        _ => None,
    }
}

fn value(text: &str, kind: Kind) -> Value {
    match kind {
        Kind::Text => json!(text),
        Kind::Number => text
            .parse::<u32>()
            .map_or_else(|_| json!(text), |it| json!(it)),
        Kind::YesNo => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => json!(true),
            "n" | "no" | "false" => json!(false),
            other => json!(other),
        },
        Kind::List => json!(
            text.split(',')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .collect::<Vec<_>>()
        ),
        Kind::Counts => {
            let counts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
            counts
                .map(|count| {
                    let (name, number) = count.split_once('=').unwrap_or((count, ""));
                    (name.trim().to_owned(), value(number.trim(), Kind::Number))
                })
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}

/// What is wrong with the answer to `property`, given those before it.
fn problems(answers: &BTreeMap<&str, Value>, property: &str) -> Vec<String> {
    let text = answers
        .iter()
        // Its zone is asked for next.
        .filter(|(name, value)| {
            !(**name == "domainMode" && **value == json!("pool") && property == "domainMode")
        })
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect::<String>();
    let read = |path: &std::path::Path| std::fs::read_to_string(path);
    match Config::parse("the answers", &text, &read) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems
            .into_iter()
            .filter(|problem| problem.at.split('.').next() == Some(property))
            // Of a list of counts, which one is meant.
            .map(|problem| match problem.at == property {
                true => problem.message,
                false => problem.to_string(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_asked_again_and_defaults_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pub");
        std::fs::write(
            &key,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me\n",
        )
        .unwrap();
        std::fs::write(folder.path().join("key"), "").unwrap();
        let answers = format!(
            "Omantel\nomantel.pool.example\n\npool\n\nother.example\npool.example\n/absent.pub\n{}\n/absent\n\n0.0.0.0/0\n203.0.113.7/32, 2001:db8::/48\n2\n1\n\n0\nhttps://git.example/sovereigns\nperhaps\nyes\nplatform@omantel.example\nservers=many, volume=3\nservers=10, volumes=30\n",
            key.display()
        );
        let mut out = Vec::new();
        let text = ask(&mut answers.as_bytes(), &mut out).unwrap();
        let config = Config::parse("f", &text, &|path| std::fs::read_to_string(path)).unwrap();
        assert_eq!(config.sovereign_fqdn, "omantel.pool.example");
        assert_eq!(config.region, "fsn");
        assert_eq!(config.dns_zone.as_deref(), Some("pool.example"));
        assert_eq!(config.admin_cidrs.len(), 2);
        assert_eq!((config.control_plane_count, config.worker_count), (1, 0));
        assert!(config.git_credentials);
        // It stands beside the public one.
        let private = key.with_extension("");
        assert_eq!(config.ssh_private_key_file, Some(private));
        let limits = config.limits;
        assert_eq!((limits.servers, limits.volumes), (Some(10), Some(30)));
        let said = String::from_utf8(out).unwrap();
        for expected in [
            "is not a lower-case domain name",
            "does not lie below other.example",
            "cannot read /absent.pub",
            "cannot read /absent: ",
            "whole Internet",
            "neither 1 nor 3",
            "answer yes or no",
            "\"\" is not the name of a zone",
            "limits.servers: it must be a whole number",
            "did you mean volumes?",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn what_is_suggested_follows_from_earlier_answers() {
        let answers = BTreeMap::from([
            ("region", json!("ash")),
            ("sshPublicKeyFile", json!("~/.ssh/work.pub")),
        ]);
        for (property, expected) in [
            ("controlPlaneServerType", Some("cpx31")),
            ("workerServerType", Some("cpx41")),
            ("sshPrivateKeyFile", Some("~/.ssh/work")),
            ("gitUrl", None),
        ] {
            let found = suggested(property, &answers);
            assert_eq!(found.as_deref(), expected, "{property}");
        }
        let unusual = BTreeMap::from([("sshPublicKeyFile", json!("/keys/public"))]);
        assert_eq!(suggested("sshPrivateKeyFile", &unusual), None);
    }

    #[test]
    fn an_end_of_the_answers_is_no_answer() {
        let error = ask(&mut "omantel.example\n".as_bytes(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("Region"), "{error}");
    }
}
