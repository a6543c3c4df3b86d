//! What the environment says, judged before anything is created.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use catalyst_provisioner::config::usual_server_types;
use catalyst_provisioner::preflight::{self, Hetzner};
use catalyst_provisioner::{Config, Redactor, Secret};
use sha2::{Digest as _, Sha256};

use crate::deadline::{Deadline, Times};

/// Label that names the run on everything it makes.
pub const RUN_LABEL: &str = "openova.io/e2e-run";
/// Label that says when the run began, in seconds since 1970.
pub const BEGUN_LABEL: &str = "openova.io/e2e-begun";

/// The project for tests at Hetzner, as its token opens it.
pub struct Project {
    pub token: Secret,
    address: String,
}

impl Project {
    /// `None` where no token is given: there is nothing to test with.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        let Some(token) = set("HETZNER_TEST_TOKEN") else {
            return Ok(None);
        };
        // OpenTofu's provider would heed it.
        if let Some(address) = set("HCLOUD_ENDPOINT") {
            bail!(
                "HCLOUD_ENDPOINT is set, to {address}; this tests Hetzner Cloud and nothing in its place: unset it"
            );
        }
        Ok(Some(Self {
            token: Secret::new(token),
            address: preflight::ADDRESS.to_owned(),
        }))
    }

    /// For tests of the harness's own logic alone: a run never has another address.
    #[cfg(test)]
    pub fn standing_in(address: &str, token: &str) -> Self {
        Self {
            token: Secret::new(token),
            address: address.to_owned(),
        }
    }

    /// A client of its API.
    pub fn client(&self) -> anyhow::Result<Hetzner> {
        let address = self
            .address
            .parse()
            .with_context(|| format!("{} is not a URL", self.address))?;
        Ok(Hetzner::new(&address, self.token.clone())?)
    }

    pub fn redactor(&self) -> Redactor {
        Redactor::new([self.token.clone()])
    }
}

pub struct Settings {
    pub project: Project,
    /// The run's own name, on the label of everything it makes.
    pub run: String,
    /// Whether the run was named by who started it.
    pub is_named: bool,
    /// Encrypts the state; follows from the token and the run, so that a second job
    /// that has both can destroy from the state that the first one uploaded.
    pub passphrase: Secret,
    pub config: Config,
    /// Where state and report are.
    pub folder: PathBuf,
    pub deadline: Deadline,
    pub times: Times,
    pub tofu: PathBuf,
    pub keep_on_failure: bool,
}

impl Settings {
    pub fn from_environment(project: Project) -> anyhow::Result<Self> {
        let must =
            |name: &str, why: &str| set(name).with_context(|| format!("{name} is not set; {why}"));
        let number = must(
            "HETZNER_TEST_PROJECT_ID",
            "it is the number of the token's project",
        )?;
        let named = own_run()?;
        let is_named = named.is_some();
        let begun = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let run = named.unwrap_or_else(|| format!("{:x}", begun.as_millis()));
        let folder = PathBuf::from(set("E2E_FOLDER").unwrap_or_else(|| "e2e-hetzner".to_owned()));
        let folder = std::path::absolute(folder)?;
        let deadline = match set("E2E_DEADLINE") {
            Some(text) => Deadline::at(
                text.parse()
                    .context("E2E_DEADLINE is not a number of seconds since 1970")?,
            ),
            None => Deadline::usual(),
        };
        let region = set("E2E_REGION").unwrap_or_else(|| "fsn".to_owned());
        let server_type =
            set("E2E_SERVER_TYPE").unwrap_or_else(|| usual_server_types(&region).0.to_owned());
        let control_planes = control_planes(set("E2E_CONTROL_PLANES").as_deref())?;
        let values = serde_json::json!({
            "sovereignFqdn": format!("e2e-{run}.openova.io"),
            "region": region,
            "hetznerProjectId": number,
            "domainMode": "byo",
            "envType": "poc",
            "controlPlaneCount": control_planes,
            "workerCount": 1,
            "controlPlaneServerType": server_type,
            "workerServerType": server_type,
            "sshPublicKeyFile": must("E2E_SSH_PUBLIC_KEY_FILE", "it is the file of a key that was made for this run")?,
            "adminCidrs": [must("E2E_ADMIN_CIDR", "it is this machine's address with /32, from which the nodes must be reached")?],
            "gitUrl": set("E2E_GIT_URL").unwrap_or_else(|| "https://github.com/openova-io/sovereigns".to_owned()),
            "acmeEmail": "e2e@openova.io",
            "extraLabels": {RUN_LABEL: run, BEGUN_LABEL: begun.as_secs().to_string()},
        });
        let read = |path: &Path| std::fs::read_to_string(path);
        let config = Config::parse("the environment", &values.to_string(), &read)?;
        Ok(Self {
            passphrase: passphrase(&run, &project.token),
            project,
            run,
            is_named,
            config,
            folder,
            deadline,
            times: Times::usual(),
            tofu: PathBuf::from(set("E2E_TOFU").unwrap_or_else(|| "tofu".to_owned())),
            keep_on_failure: set("E2E_KEEP_ON_FAILURE").as_deref() == Some("true"),
        })
    }

    pub fn redactor(&self) -> Redactor {
        Redactor::new([self.project.token.clone(), self.passphrase.clone()])
    }
}

/// A variable that is set and not empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The run's own name, where the environment gives it one.
pub fn own_run() -> anyhow::Result<Option<String>> {
    let given = set("E2E_RUN_ID");
    if let Some(run) = &given {
        check_run(run)?;
    }
    Ok(given)
}

/// How many control planes the run has: 1, unless it is told otherwise.
fn control_planes(given: Option<&str>) -> anyhow::Result<u16> {
    match given {
        None | Some("1") => Ok(1),
        Some("3") => Ok(3),
        Some(other) => bail!("E2E_CONTROL_PLANES {other:?} is neither 1 nor 3"),
    }
}

fn check_run(given: &str) -> anyhow::Result<()> {
    let fits = given.len() <= 30
        && given
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !given.starts_with('-')
        && !given.ends_with('-');
    if !fits {
        bail!(
            "E2E_RUN_ID {given:?} is not at most 30 lower-case letters, digits and inner hyphens"
        );
    }
    Ok(())
}

fn passphrase(run: &str, token: &Secret) -> Secret {
    let token = token.reveal();
    Secret::new(hex::encode(Sha256::digest(format!(
        "catalyst e2e state\n{run}\n{token}"
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passphrase_is_the_same_in_every_job_of_a_run_and_in_no_other() {
        let token = |text: &str| Secret::new(text);
        let first = passphrase("4711", &token("a token"));
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(first, passphrase("4711", &token("a token")));
        assert_ne!(first, passphrase("4712", &token("a token")));
        assert_ne!(first, passphrase("4711", &token("another token")));
    }

    #[test]
    fn a_run_has_one_control_plane_or_three() {
        for (given, expected) in [(None, Some(1)), (Some("1"), Some(1)), (Some("3"), Some(3))] {
            assert_eq!(control_planes(given).ok(), expected, "{given:?}");
        }
        for given in ["2", "0", "three"] {
            let error = control_planes(Some(given)).unwrap_err();
            assert!(error.to_string().contains("neither 1 nor 3"), "{error}");
        }
    }

    #[test]
    fn a_run_is_named_so_that_its_name_fits_a_domain_and_a_label() {
        for (name, fits) in [
            ("4711", true),
            ("a-1", true),
            ("-1", false),
            ("1-", false),
            ("A", false),
            ("1_2", false),
            ("1234567890123456789012345678901", false),
        ] {
            assert_eq!(check_run(name).is_ok(), fits, "{name}");
        }
    }
}
