//! Runs the binary in a sealed home.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::server::Server;

/// A server and a home that knows of it.
pub fn start() -> (Server, Home) {
    let server = Server::start();
    let home = Home::new(&server.url);
    (server, home)
}

/// A home with nothing in it, and where the server is.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub server: String,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new(server: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: server.to_owned(),
        }
    }

    /// The binary with these words; nothing of this machine's environment but PATH.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catalyst"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.server.is_empty() {
            command.env("CATALYST_SERVER", &self.server);
            // Nobody listens there: what is on this machine is no proxy's business.
            command.env("ALL_PROXY", "http://127.0.0.1:9");
        }
        command
    }

    /// Runs to the end with the token that the server knows.
    pub fn run(&self, words: &[&str]) -> Outcome {
        let mut command = self.command(words);
        command.env("CATALYST_TOKEN", crate::server::TOKEN);
        finish(command.spawn().unwrap())
    }

    /// Runs to the end without any token.
    pub fn run_unknown(&self, words: &[&str]) -> Outcome {
        finish(self.command(words).spawn().unwrap())
    }

    /// Runs to the end with the token and with text on standard input.
    pub fn run_with(&self, words: &[&str], input: &str) -> Outcome {
        let mut command = self.command(words);
        command.env("CATALYST_TOKEN", crate::server::TOKEN);
        feed(command, input)
    }

    /// Runs to the end as whoever is signed in, told no server, with text on standard
    /// input.
    pub fn run_signed_in(&self, words: &[&str], input: &str) -> Outcome {
        let mut command = self.command(words);
        command.env_remove("CATALYST_SERVER");
        feed(command, input)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn feed(mut command: Command, input: &str) -> Outcome {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    finish(child)
}

pub fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// Standard output, of a command that must have worked.
    pub fn worked(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.err);
        &self.out
    }

    /// Standard error, of a command that must have been refused.
    pub fn failed(&self) -> &str {
        assert_eq!(self.code, 1, "{self:?}");
        &self.err
    }
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
