//! What `docker login` keeps: Docker's `config.json`, and the programs it names
//! that keep passwords elsewhere (`docker-credential-*`, by their own protocol:
//! the registry's name goes in, JSON comes out).
//!
//! What must stay true: no password, token or helper's output is in an argument,
//! a message or a log.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

use crate::Credentials;

/// The largest file, and the longest answer of a helper, that is read.
const MAX_BYTES: u64 = 1024 * 1024;
/// How long a helper may take; some ask a cloud first.
const HELPER_WITHIN: Duration = Duration::from_secs(30);
/// How Docker's file names Docker Hub, whatever name it goes by elsewhere.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The user name that says that the secret is an identity token.
const TOKEN: &str = "<token>";
/// What a helper says when it has nothing, as its protocol has it.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Why what `docker login` kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The file cannot be read.
    #[error(
        "could not read {path}: {source}; see that it may be read, or name another folder in DOCKER_CONFIG"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something else than it should.
    #[error("could not use {path}: {reason}; mend it, or run `docker login` again")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A helper did not do its part.
    #[error(
        "could not get the password for {host} from {helper}, which {path} names: {reason}; see what `{helper} list` says, or run `docker login {host}` again"
    )]
    Helper {
        /// The program.
        helper: String,
        /// The registry.
        host: String,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// Docker's `config.json`, as far as it is about signing in.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    path: PathBuf,
    file: File,
    /// Where helpers are looked for, if not in PATH.
    search: Option<OsString>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl std::fmt::Debug for File {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("File")
            .field("auths", &self.auths.keys())
            .field("creds_store", &self.creds_store)
            .field("cred_helpers", &self.cred_helpers)
            .finish()
    }
}

impl DockerConfig {
    /// The file in the folder that `DOCKER_CONFIG` names, else in `~/.docker`. One
    /// that is not there has nothing in it.
    pub fn from_environment() -> Result<Self, DockerError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = variable("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".docker")))
            .unwrap_or_default();
        Self::read(&folder)
    }

    /// The file in a folder; one that is not there has nothing in it.
    pub fn read(folder: &Path) -> Result<Self, DockerError> {
        let path = folder.join("config.json");
        let bytes = match read_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    file: File::default(),
                    search: None,
                });
            }
            Err(source) => return Err(DockerError::Read { path, source }),
        };
        let reason = if bytes.len() as u64 > MAX_BYTES {
            format!("it is larger than {MAX_BYTES} bytes")
        } else {
            match serde_json::from_slice(&bytes) {
                Ok(file) => {
                    return Ok(Self {
                        path,
                        file,
                        search: None,
                    });
                }
                // The error's own words may quote a password.
                Err(error) => format!(
                    "line {}, column {} is not what stands in Docker's config",
                    error.line(),
                    error.column()
                ),
            }
        };
        Err(DockerError::Malformed { path, reason })
    }

    /// The same, with helpers looked for in other folders than `PATH` lists, in the
    /// same form.
    #[must_use]
    pub fn with_search(mut self, folders: impl Into<OsString>) -> Self {
        self.search = Some(folders.into());
        self
    }

    /// How to sign in at `host` (`name[:port]`): from the helper that is named for
    /// it, else from the one that keeps everything, else from the file itself;
    /// anonymous when nothing is kept.
    pub async fn credentials(&self, host: &str) -> Result<Credentials, DockerError> {
        let host = match host {
            "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            other => other,
        };
        let helper = find(&self.file.cred_helpers, host)
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.file.creds_store);
        if !helper.is_empty()
            && let Some(found) = self.ask(helper, host).await?
        {
            return Ok(found);
        }
        match find(&self.file.auths, host) {
            Some(entry) => self.entry(host, entry),
            None => Ok(Credentials::Anonymous),
        }
    }

    fn entry(&self, host: &str, entry: &Entry) -> Result<Credentials, DockerError> {
        if !entry.registrytoken.is_empty() {
            return Ok(Credentials::Bearer(entry.registrytoken.clone()));
        }
        if !entry.identitytoken.is_empty() {
            return Ok(Credentials::Identity(entry.identitytoken.clone()));
        }
        if entry.auth.is_empty() {
            return Ok(basic(&entry.username, &entry.password));
        }
        let decoded = STANDARD
            .decode(entry.auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            // Docker pads what it encodes.
            Some((username, password)) => Ok(basic(username, password.trim_end_matches('\0'))),
            None => Err(DockerError::Malformed {
                path: self.path.clone(),
                reason: format!("the `auth` of {host} is not Base64 of a name, `:` and a password"),
            }),
        }
    }

    /// Asks a helper; None when it has nothing for the host.
    async fn ask(&self, name: &str, host: &str) -> Result<Option<Credentials>, DockerError> {
        let helper = format!("docker-credential-{name}");
        let fail = |reason: String| DockerError::Helper {
            helper: helper.clone(),
            host: host.to_owned(),
            path: self.path.clone(),
            reason,
        };
        // A name with a path in it would run a program that PATH does not lead to.
        if !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        {
            return Err(fail("that is not the name of a program".to_owned()));
        }
        let mut command = Command::new(&helper);
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(folders) = &self.search {
            command.env("PATH", folders);
        }
        let run = async {
            let mut child = command.spawn()?;
            if let Some(mut input) = child.stdin.take() {
                // One that answers without reading has said what it has to say.
                let _ = input.write_all(host.as_bytes()).await;
            }
            let mut output = Vec::new();
            if let Some(stdout) = child.stdout.take() {
                stdout.take(MAX_BYTES + 1).read_to_end(&mut output).await?;
            }
            if output.len() as u64 > MAX_BYTES {
                return Ok((None, output));
            }
            Ok::<_, io::Error>((Some(child.wait().await?), output))
        };
        let (status, output) = tokio::time::timeout(HELPER_WITHIN, run)
            .await
            .map_err(|_| fail(format!("it did not answer within {HELPER_WITHIN:?}")))?
            .map_err(|error| fail(error.to_string()))?;
        let Some(status) = status else {
            return Err(fail(format!("it says more than {MAX_BYTES} bytes")));
        };
        if !status.success() {
            if String::from_utf8_lossy(&output).trim() == NOT_FOUND {
                return Ok(None);
            }
            return Err(fail(format!("it ended with {status}")));
        }
        let answer: Answer = serde_json::from_slice(&output)
            .map_err(|_| fail("its answer is not what a helper says".to_owned()))?;
        Ok(Some(if answer.username == TOKEN {
            Credentials::Identity(answer.secret)
        } else {
            basic(&answer.username, &answer.secret)
        }))
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn basic(username: &str, password: &str) -> Credentials {
    if username.is_empty() && password.is_empty() {
        return Credentials::Anonymous;
    }
    Credentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    }
}

/// What is kept for a host: under its name as it is, else under an address of it,
/// as older versions of Docker wrote.
fn find<'a, T>(kept: &'a BTreeMap<String, T>, host: &str) -> Option<&'a T> {
    kept.get(host).or_else(|| {
        kept.iter()
            .find(|(key, _)| name_of(key) == host)
            .map(|(_, value)| value)
    })
}

fn name_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}
