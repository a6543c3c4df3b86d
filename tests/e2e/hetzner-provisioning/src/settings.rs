//! What the environment says, judged before anything is created.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use catalyst_provisioner::{Config, Redactor, Secret, preflight};
use sha2::{Digest as _, Sha256};

use crate::deadline::Deadline;

/// Label that names the run on everything it makes.
pub const RUN_LABEL: &str = "openova.io/e2e-run";
/// Label that says when the run began, in seconds since 1970.
pub const BEGUN_LABEL: &str = "openova.io/e2e-begun";

pub struct Settings {
    pub token: Secret,
    /// Encrypts the state; follows from the token and the run, so that a second job
    /// that has both can destroy from the state that the first one uploaded.
    pub passphrase: Secret,
    pub config: Config,
    /// Where state and report are.
    pub folder: PathBuf,
    pub deadline: Deadline,
    pub tofu: PathBuf,
    pub hetzner: String,
    pub keep_on_failure: bool,
}

impl Settings {
    /// `None` where no token is given: there is nothing to test with.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(token) = set("HETZNER_TEST_TOKEN") else {
            return Ok(None);
        };
        let must =
            |name: &str, why: &str| set(name).with_context(|| format!("{name} is not set; {why}"));
        let project = must(
            "HETZNER_TEST_PROJECT_ID",
            "it is the number of the token's project",
        )?;
        let run = run_id(set("E2E_RUN_ID").as_deref())?;
        let folder = PathBuf::from(set("E2E_FOLDER").unwrap_or_else(|| "e2e-hetzner".to_owned()));
        let folder = std::path::absolute(folder)?;
        let deadline = match set("E2E_DEADLINE") {
            Some(text) => Deadline::at(
                text.parse()
                    .context("E2E_DEADLINE is not a number of seconds since 1970")?,
            ),
            None => Deadline::usual(),
        };
        let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let server_type = set("E2E_SERVER_TYPE").unwrap_or_else(|| "cx33".to_owned());
        let values = serde_json::json!({
            "sovereignFqdn": format!("e2e-{run}.openova.io"),
            "region": set("E2E_REGION").unwrap_or_else(|| "fsn".to_owned()),
            "hetznerProjectId": project,
            "domainMode": "byo",
            "envType": "poc",
            "controlPlaneCount": 1,
            "workerCount": 1,
            "controlPlaneServerType": server_type,
            "workerServerType": server_type,
            "sshPublicKeyFile": must("E2E_SSH_PUBLIC_KEY_FILE", "it is the file of a key that was made for this run")?,
            "adminCidrs": [must("E2E_ADMIN_CIDR", "it is this machine's address with /32, from which the nodes must be reached")?],
            "gitUrl": set("E2E_GIT_URL").unwrap_or_else(|| "https://github.com/openova-io/sovereigns".to_owned()),
            "acmeEmail": "e2e@openova.io",
            "extraLabels": {RUN_LABEL: run, BEGUN_LABEL: begun.to_string()},
        });
        let read = |path: &Path| std::fs::read_to_string(path);
        let config = Config::parse("the environment", &values.to_string(), &read)?;
        let passphrase = hex::encode(Sha256::digest(format!(
            "catalyst e2e state\n{run}\n{token}"
        )));
        Ok(Some(Self {
            passphrase: Secret::new(passphrase),
            token: Secret::new(token),
            config,
            folder,
            deadline,
            tofu: PathBuf::from(set("E2E_TOFU").unwrap_or_else(|| "tofu".to_owned())),
            hetzner: set("HCLOUD_ENDPOINT").unwrap_or_else(|| preflight::ADDRESS.to_owned()),
            keep_on_failure: set("E2E_KEEP_ON_FAILURE").as_deref() == Some("true"),
        }))
    }

    pub fn redactor(&self) -> Redactor {
        Redactor::new([self.token.clone(), self.passphrase.clone()])
    }
}

/// The run's own name: what CI gives, or the time.
fn run_id(given: Option<&str>) -> anyhow::Result<String> {
    let Some(given) = given else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        return Ok(format!("{:x}", now.as_millis()));
    };
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
    Ok(given.to_owned())
}
