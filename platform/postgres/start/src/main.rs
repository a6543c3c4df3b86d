//! The first process of the PostgreSQL image: makes the data folder on the first
//! start, creates the databases that are asked for, and becomes the server.
//!
//! The image has no shell. initdb starts its helpers through one, so this program
//! also answers to the name `sh` ([`shell`]).
//!
//! What must stay true: an interrupted first start leaves nothing that a later
//! start would take for a finished data folder; the password is handed on as a
//! file, never as an argument or a variable.

mod shell;

use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let name = arguments.first().map(String::as_str).unwrap_or_default();
    let result = if name.rsplit('/').next() == Some("sh") {
        shell::run(&arguments)
    } else {
        start(arguments.get(1..).unwrap_or_default())
    };
    // Both replace this process when all goes well.
    eprintln!("{name}: {}", result.unwrap_or_else(|reason| reason));
    ExitCode::FAILURE
}

/// Returns only when something went wrong.
fn start(further: &[String]) -> Result<String, String> {
    let data = PathBuf::from(env::var("PGDATA").map_err(|_| "PGDATA is not set")?);
    let secret = PathBuf::from(
        env::var("POSTGRES_SECRET").unwrap_or_else(|_| "/run/secrets/connection".to_owned()),
    );
    let username = read(&secret.join("username"))?;
    if !data.join("PG_VERSION").exists() {
        initialise(&data, &username, &secret.join("password"))?;
    }
    let mut databases: Vec<String> = env::var("POSTGRES_DATABASES")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if let Ok(url) = read(&secret.join("url"))
        && let Some(name) = database_of(&url)
    {
        databases.push(name);
    }
    databases.sort();
    databases.dedup();
    create_databases(&data, &databases)?;
    let error = Command::new("postgres")
        .arg("-D")
        .arg(&data)
        .args([
            "-c",
            "listen_addresses=*",
            "-c",
            "unix_socket_directories=/tmp",
        ])
        .args(further)
        .exec();
    Err(format!("cannot become postgres: {error}"))
}

/// Makes the data folder beside its place and moves it there when it is whole.
fn initialise(data: &Path, username: &str, password: &Path) -> Result<(), String> {
    if data.exists() {
        return Err(format!(
            "{} exists but holds no PostgreSQL data; remove what is in it, or give another volume",
            data.display()
        ));
    }
    let fresh = data.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(failed("remove", &fresh))?;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&fresh)
        .map_err(failed("make", &fresh))?;
    println!("start-postgres: making the data folder");
    let status = Command::new("initdb")
        .arg("-D")
        .arg(&fresh)
        .arg(format!("--username={username}"))
        .arg(format!("--pwfile={}", password.display()))
        .args(["--auth-host=scram-sha-256", "--auth-local=scram-sha-256"])
        .args([
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ])
        .args([
            "--set=dynamic_shared_memory_type=mmap",
            "--set=timezone=UTC",
            "--set=log_timezone=UTC",
        ])
        .arg("--no-instructions")
        .status()
        .map_err(|error| format!("cannot run initdb: {error}"))?;
    if !status.success() {
        return Err(format!("initdb failed with {status}; see above"));
    }
    let access = fresh.join("pg_hba.conf");
    append(&access, "host all all all scram-sha-256\n")?;
    fs::rename(&fresh, data).map_err(failed("move", &fresh))?;
    if let Some(parent) = data.parent() {
        fs::File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("save", parent))?;
    }
    Ok(())
}

/// Creates what is not yet noted as created, with a server of one process that
/// nobody else can reach.
fn create_databases(data: &Path, wanted: &[String]) -> Result<(), String> {
    let note = data.with_extension("databases");
    let known = fs::read_to_string(&note).unwrap_or_default();
    for name in wanted {
        if known.lines().any(|line| line == name) || name == "postgres" {
            continue;
        }
        let is_plain = name.len() <= 63
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !is_plain {
            return Err(format!(
                "`{name}` cannot be a database's name; use letters, digits, `-` and `_`"
            ));
        }
        let mut child = Command::new("postgres")
            .args(["--single", "-D"])
            .arg(data)
            .arg("postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run postgres: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            writeln!(input, "CREATE DATABASE \"{name}\"")
                .map_err(|error| format!("cannot ask for the database {name}: {error}"))?;
        }
        let status = child
            .wait()
            .map_err(|error| format!("cannot wait for postgres: {error}"))?;
        if !status.success() {
            return Err(format!(
                "cannot create the database {name}: postgres ended with {status}"
            ));
        }
        append(&note, &format!("{name}\n"))?;
        println!("start-postgres: the database {name} is there");
    }
    Ok(())
}

/// The database in `postgres://user:password@host:port/database?…`.
fn database_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let name = path.split('?').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn append(path: &Path, text: &str) -> Result<(), String> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(failed("write", path))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(failed("read", path))
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let path = path.to_owned();
    move |error| format!("cannot {verb} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_taken_from_the_address() {
        assert_eq!(
            database_of("postgres://u:p@h:5432/blog?x=1"),
            Some("blog".into())
        );
        assert_eq!(database_of("postgres://u:p@h:5432/"), None);
        assert_eq!(database_of("postgres://u:p@h"), None);
    }
}
