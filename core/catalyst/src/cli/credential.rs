//! `catalyst credential`, by which other programs ask for the caller's token: kubectl
//! as a kubeconfig tells it to, Git as its configuration does, which `setup` writes.
//! It has Git trust the Sovereign's own authority as well, where there is one.
//!
//! What must stay true: a token goes to standard output and nowhere else, and only for
//! the Sovereign that it is of.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use catalyst_api::Me;
use serde_json::json;
use url::{Origin, Url};

use super::api::{Api, Connection};
use super::credentials::{self, Locked};
use super::failure::{Hinted, hinted};
use super::output::{print, say};

/// The API by which Kubernetes' clients ask a program for a credential.
pub const KUBERNETES_API: &str = "client.authentication.k8s.io/v1";
/// The most that is read of a question.
const QUESTION: u64 = 64 * 1024;

/// Give other programs your sign-in; by itself, as kubectl asks for it.
#[derive(Debug, clap::Args)]
pub struct Credential {
    #[command(subcommand)]
    asked: Option<Asked>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Subcommand)]
enum Asked {
    /// Have Git ask for your sign-in whenever it works on the Sovereign's repositories.
    Setup,
    /// Print your token alone, to pass it on; it ends within minutes.
    Token,
    /// Answer Git, which asks on standard input (git-credential).
    Get,
    /// Do nothing, as Git asks when a sign-in was good: it is kept already.
    Store,
    /// Do nothing, as Git asks when a token was refused: the next one is new.
    Erase,
}

impl Credential {
    /// Answers what was asked.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.asked {
            None => self.kubernetes().await,
            Some(Asked::Setup) => self.setup().await,
            Some(Asked::Token) => print(&format!("{}\n", self.token().await?)),
            Some(Asked::Get) => self.get().await,
            // Read all the same: whoever asks writes first.
            Some(Asked::Store | Asked::Erase) => question().map(drop),
        }
    }

    async fn token(&self) -> anyhow::Result<String> {
        Connection::token(&self.connection.server()?).await
    }

    /// As kubectl reads it. No time is given at which the token ends, so that clients
    /// ask again when it is refused, whatever their clock says.
    async fn kubernetes(&self) -> anyhow::Result<()> {
        let token = self.token().await?;
        let credential = json!({
            "apiVersion": KUBERNETES_API,
            "kind": "ExecCredential",
            "status": {"token": token},
        });
        print(&format!("{credential}\n"))
    }

    /// As Git reads it (git-credential(1)); nothing where the question is about another
    /// host or another user.
    async fn get(&self) -> anyhow::Result<()> {
        let question = Question::read(&question()?);
        let Some(origin) = question.origin() else {
            return Ok(());
        };
        let Some(connection) = self.sovereign_at(&origin).await? else {
            return Ok(());
        };
        let api = connection.api().await?;
        // Tells the name, and renews a token that does not count any more.
        let me: Me = api.get(&["me"]).await?;
        if question.username.is_some_and(|name| name != me.username) {
            return Ok(());
        }
        print(&answer(&me.username, &api)?)
    }

    /// The way to the Sovereign whose repositories are at an origin: the one that is
    /// named, else one of those where the caller is signed in.
    async fn sovereign_at(&self, origin: &Origin) -> anyhow::Result<Option<Connection>> {
        let is_there = |url: &str| origin_of(url).as_ref() == Some(origin);
        if let Some(server) = &self.connection.server {
            let is_its =
                is_there(server) || is_there(&self.connection.anonymous()?.git_address().await?);
            return Ok(is_its.then(|| self.connection.clone()));
        }
        let kept = Locked::wait()?.read()?;
        let server = kept.servers.into_keys().find(|server| is_there(server));
        Ok(server.map(|server| Connection {
            server: Some(server),
            ..self.connection.clone()
        }))
    }

    /// Writes it into the user's Git configuration, once.
    async fn setup(&self) -> anyhow::Result<()> {
        let server = self.connection.server()?;
        let address = self.connection.anonymous()?.git_address().await?;
        let origin = origin_of(&address)
            .with_context(|| format!("the Sovereign's Git address `{address}` is no URL"))?
            .ascii_serialization();
        if let Some(authority) = &server.certificate_authority
            && origin.starts_with("https:")
        {
            trust(&origin, authority)?;
        }
        let program = std::env::current_exe().context("cannot tell where catalyst is")?;
        let helper = helper(&program, &server.url)?;
        let name = format!("credential.{origin}.helper");
        // The empty value comes first: what was configured before neither answers for
        // this address nor keeps a token of it.
        let wanted = ["", helper.as_str()];
        if values_of(&name)? == wanted {
            say(&format!(
                "Git asks catalyst for your sign-in at {origin} already"
            ));
            return Ok(());
        }
        configure(&["--replace-all", &name, ""])?;
        configure(&["--add", &name, &helper])?;
        say(&format!(
            "Git asks catalyst for your sign-in at {origin} from now on, as long as you are signed in ({name} in your Git configuration)"
        ));
        Ok(())
    }
}

/// What Git says about what it wants (git-credential(1), INPUT/OUTPUT FORMAT).
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    protocol: Option<String>,
    /// With the port, where the URL names one.
    host: Option<String>,
    username: Option<String>,
}

impl Question {
    /// A line that is not known is for others.
    fn read(text: &str) -> Self {
        let mut question = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let place = match key {
                "protocol" => &mut question.protocol,
                "host" => &mut question.host,
                "username" => &mut question.username,
                _ => continue,
            };
            *place = Some(value.to_owned());
        }
        question
    }

    fn origin(&self) -> Option<Origin> {
        let (protocol, host) = (self.protocol.as_ref()?, self.host.as_ref()?);
        origin_of(&format!("{protocol}://{host}"))
    }
}

/// Scheme, host and port of a web address.
fn origin_of(url: &str) -> Option<Origin> {
    let origin = Url::parse(url).ok()?.origin();
    // What has none is equal to nothing, not even to itself.
    origin.is_tuple().then_some(origin)
}

fn question() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .take(QUESTION)
        .read_to_string(&mut text)
        .context("cannot read what Git asks on standard input")?;
    Ok(text)
}

fn answer(username: &str, api: &Api) -> anyhow::Result<String> {
    let token = api.token().context("nobody is signed in")?;
    // A line more would be another answer.
    anyhow::ensure!(
        !format!("{username}{token}").contains(char::is_control),
        "the user's name or token holds a character that Git does not take"
    );
    Ok(format!("username={username}\npassword={token}\n"))
}

/// Has Git trust the authority (PEM) that an origin's certificate is of, once. Git
/// trusts what the system trusts, and takes others by the names of files.
fn trust(origin: &str, authority: &str) -> anyhow::Result<()> {
    let path = credentials::folder()?.join(authority_file(origin));
    let path = std::path::absolute(&path)
        .with_context(|| format!("cannot tell where {} is", path.display()))?;
    let shown = path
        .to_str()
        .context("the path of your configuration is not text that Git's can hold")?;
    let name = format!("http.{origin}.sslCAInfo");
    let is_kept = std::fs::read(&path).is_ok_and(|kept| kept == authority.as_bytes());
    if is_kept && values_of(&name)? == [shown] {
        return Ok(());
    }
    credentials::write_private(&path, authority.as_bytes())?;
    configure(&["--replace-all", &name, shown])?;
    say(&format!(
        "Git trusts the certificate authority of {origin} from now on ({name} in your Git configuration, which names a copy: {shown})"
    ));
    Ok(())
}

/// The file that keeps the authority of an origin.
fn authority_file(origin: &str) -> String {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let plain = |letter: char| match letter {
        'a'..='z' | '0'..='9' | '.' | '-' => letter,
        _ => '_',
    };
    let name: String = host.chars().map(plain).collect();
    format!("authority-{name}.pem")
}

/// What Git runs, by a shell, with `get`, `store` or `erase` behind it.
fn helper(program: &Path, server: &str) -> anyhow::Result<String> {
    let program = program
        .to_str()
        .context("the path of catalyst is not text that Git's configuration can hold")?;
    let [program, server] = [program, server].map(quoted);
    Ok(format!("!{program} credential --server {server}"))
}

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The values of a name in the user's Git configuration, in their order.
fn values_of(name: &str) -> anyhow::Result<Vec<String>> {
    let output = git(&["--null", "--get-all", name])?;
    // 1: there is none (git-config(1)).
    if !output.status.success() && output.status.code() != Some(1) {
        return Err(refused(&output));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = text.split_terminator('\0').map(str::to_owned);
    Ok(values.collect())
}

fn configure(words: &[&str]) -> anyhow::Result<()> {
    let output = git(words)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(refused(&output)),
    }
}

fn git(words: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new("git")
        .args(["config", "--global"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            anyhow::Error::new(error).context(Hinted::new(
                "cannot write the Git configuration: git cannot be run",
                "install git, then run `catalyst credential setup` again",
            ))
        })
}

fn refused(output: &std::process::Output) -> anyhow::Error {
    let said = String::from_utf8_lossy(&output.stderr);
    hinted(
        format!("cannot write the Git configuration: {}", said.trim()),
        "look at what `git config --global --list --show-origin` says",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_about_one_origin() {
        let check = |text: &str, url: &str, expected: bool| {
            let asked = Question::read(text).origin();
            let is_there = asked.is_some() && asked == origin_of(url);
            assert_eq!(is_there, expected, "{text:?} at {url}");
        };
        let local = "protocol=http\nhost=127.0.0.1:8080\n";
        check(local, "http://127.0.0.1:8080", true);
        check(local, "http://127.0.0.1:8080/git", true);
        check(local, "https://127.0.0.1:8080", false);
        check(local, "http://127.0.0.1:8081", false);
        check(local, "http://localhost:8080", false);
        let default = "protocol=https\nhost=forge.example\npath=a/b.git\n";
        check(default, "https://forge.example:443", true);
        check(default, "https://forge.example.evil", false);
        check("protocol=https\n", "https://forge.example", false);
        check("", "https://forge.example", false);
        check("protocol=cert\nhost=\npath=/k\n", "cert:///k", false);
    }

    #[test]
    fn what_is_not_known_of_a_question_is_left_to_others() {
        let question = Question::read(
            "capability[]=authtype\nprotocol=http\nhost=h\nusername=ada\nwwwauth[]=Basic realm=\"C\"\n\n",
        );
        let expected = Question {
            protocol: Some("http".into()),
            host: Some("h".into()),
            username: Some("ada".into()),
        };
        assert_eq!(question, expected);
    }

    #[test]
    fn an_authority_is_kept_by_host_and_port() {
        let check = |origin: &str, expected: &str| {
            assert_eq!(authority_file(origin), expected, "{origin}");
        };
        check("https://acme.example", "authority-acme.example.pem");
        check(
            "https://acme.example:8443",
            "authority-acme.example_8443.pem",
        );
        check("https://[::1]:8443", "authority-___1__8443.pem");
    }

    #[test]
    fn the_helper_is_one_line_for_a_shell() {
        let check = |program: &str, expected: &str| {
            assert_eq!(helper(Path::new(program), "http://a").unwrap(), expected);
        };
        check(
            "/bin/catalyst",
            "!'/bin/catalyst' credential --server 'http://a'",
        );
        check(
            "/home/it's me/catalyst",
            r"!'/home/it'\''s me/catalyst' credential --server 'http://a'",
        );
    }
}
