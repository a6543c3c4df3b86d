//! Real Git, as child processes of the stock `git` binary.
//!
//! The only module that knows how Git is reached, so that a library can take
//! its place. Used by `transport`, `push`, `merge` and the REST handlers. What
//! must stay true: no argument that begins with a hyphen or is not validated
//! comes from outside, the machine's own Git configuration plays no part, and
//! everything written is flushed to disk before the process ends.

pub mod quarantine;
pub mod read;
pub mod write;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The object id of nothing: what a ref was before it was made.
pub const ZERO: &str = "0000000000000000000000000000000000000000";
/// The tree without entries, known to every Git.
pub const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Settings of every Git process and of every repository.
const SETTINGS: &[(&str, &str)] = &[
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("core.quotePath", "false"),
    ("fastimport.unpackLimit", "1"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("receive.fsckObjects", "true"),
    ("transfer.fsckObjects", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.allowFilter", "true"),
];

/// Variables that would lead Git elsewhere when the Sovereign is started from
/// inside a hook or a worktree.
const FOREIGN: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG_PARAMETERS",
    "GIT_QUARANTINE_PATH",
    "GIT_PROTOCOL",
    "GIT_COMMON_DIR",
    "GIT_TRACE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
];

/// Why Git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The process could not be started or spoken to.
    #[error("cannot run git {command}; is git installed and on the path?")]
    Start {
        /// The subcommand.
        command: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Git ended with an error.
    #[error("git {command} failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// Git wrote something unexpected.
    #[error("git {command} gave an answer that cannot be read")]
    Unreadable {
        /// The subcommand.
        command: String,
    },
    /// A file of a repository could not be changed.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Result of a Git operation.
pub type Result<T> = std::result::Result<T, GitError>;

pub(crate) fn file_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> GitError {
    let path = path.to_owned();
    move |source| GitError::File {
        action,
        path,
        source,
    }
}

/// A bare repository, possibly seen with the objects of a quarantine.
#[derive(Debug, Clone)]
pub struct Repository {
    directory: PathBuf,
    objects: Option<PathBuf>,
}

impl Repository {
    /// The repository in a directory; nothing is checked.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            objects: None,
        }
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same repository, with objects written to and also read from another
    /// object directory (which names this one as its alternate).
    pub fn with_objects(&self, objects: &Path) -> Self {
        Self {
            directory: self.directory.clone(),
            objects: Some(objects.to_owned()),
        }
    }

    /// A Git command on this repository: no terminal, no configuration of the
    /// machine, ended when dropped.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C");
        command
            .env("GIT_AUTHOR_NAME", "Catalyst")
            .env("GIT_AUTHOR_EMAIL", "catalyst@localhost");
        command
            .env("GIT_COMMITTER_NAME", "Catalyst")
            .env("GIT_COMMITTER_EMAIL", "catalyst@localhost");
        let settings = SETTINGS.iter().chain(&[("safe.directory", "*")]);
        let mut count = 0_usize;
        for (index, (key, value)) in settings.enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
            count = index + 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        if let Some(objects) = &self.objects {
            command.env("GIT_OBJECT_DIRECTORY", objects);
        }
        command
            .arg("--git-dir")
            .arg(&self.directory)
            .args(arguments)
            .kill_on_drop(true);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end and gives what it wrote.
    pub async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        self.run_with(arguments, &[]).await
    }

    /// Runs a command with some standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let output = self
            .output(self.command(arguments), arguments, input)
            .await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(failed(arguments, &output.stderr))
    }

    /// Runs a command whose exit code is the answer.
    pub async fn succeeds(&self, arguments: &[&str]) -> Result<bool> {
        Ok(self
            .output(self.command(arguments), arguments, &[])
            .await?
            .status
            .success())
    }

    /// Runs a prepared command with some standard input.
    pub async fn output(
        &self,
        mut command: Command,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<std::process::Output> {
        let start = |source| GitError::Start {
            command: words(arguments),
            source,
        };
        if input.is_empty() {
            return command.output().await.map_err(start);
        }
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(start)?;
        let stdin = child.stdin.take();
        let feed = async move {
            // A process that ends early closes the pipe; its exit code tells why.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input).await;
            }
        };
        let (_, output) = tokio::join!(feed, child.wait_with_output());
        output.map_err(|source| GitError::Start {
            command: words(arguments),
            source,
        })
    }

    /// Runs a command and gives its output as trimmed text.
    pub async fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments).await?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }
}

/// The error of a process that ended badly.
pub fn failed(arguments: &[&str], stderr: &[u8]) -> GitError {
    let text = String::from_utf8_lossy(stderr);
    let message = text.trim().chars().take(2000).collect();
    GitError::Failed {
        command: words(arguments),
        message,
    }
}

fn words(arguments: &[&str]) -> String {
    arguments.first().copied().unwrap_or_default().to_owned()
}

/// Makes an empty bare repository by hand: a few files, no process.
pub fn initialise(directory: &Path, default_branch: &str) -> Result<()> {
    for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        let path = directory.join(part);
        std::fs::create_dir_all(&path).map_err(file_error("make", &path))?;
    }
    let mut config =
        String::from("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n");
    for (key, value) in SETTINGS {
        if let Some((section, name)) = key.split_once('.') {
            config.push_str(&format!("[{section}]\n\t{name} = {value}\n"));
        }
    }
    write_file(&directory.join("config"), config.as_bytes())?;
    set_head(directory, default_branch)
}

/// Points HEAD at a branch, which need not exist.
pub fn set_head(directory: &Path, branch: &str) -> Result<()> {
    let next = directory.join("HEAD.next");
    write_file(&next, format!("ref: refs/heads/{branch}\n").as_bytes())?;
    let head = directory.join("HEAD");
    std::fs::rename(&next, &head).map_err(file_error("replace", &head))?;
    sync_directory(directory)
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let mut file = std::fs::File::create(path)?;
        std::io::Write::write_all(&mut file, content)?;
        file.sync_all()
    };
    write().map_err(file_error("write", path))
}

/// Makes renames inside a directory durable.
pub fn sync_directory(path: &Path) -> Result<()> {
    std::fs::File::open(path)
        .and_then(|d| d.sync_all())
        .map_err(file_error("flush", path))
}
