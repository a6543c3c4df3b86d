//! A forge at an address, and what the cases do with it.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use catalyst_ports::{
    ChangeFiles, FileChange, Forge, NewPull, Permission, Person, RepositoryId, RepositoryOptions,
    Tokens,
};
use catalyst_store::{Options, Store};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

const TOKEN: &str = "administrator-of-the-cases";
pub const PASSWORD: &str = "A long passw0rd!";

#[derive(Clone)]
pub struct World {
    pub forge: Forge,
    pub http: reqwest::Client,
    token: String,
    /// Where the cases keep their clones.
    folder: Arc<TempDir>,
}

impl World {
    fn at(base: &str, token: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let forge = Forge::new(
            http.clone(),
            base.parse().unwrap(),
            Tokens::fixed(token.as_str()),
        );
        Self {
            forge,
            http,
            token,
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    /// The embedded forge, for as long as the second value lives.
    pub async fn embedded() -> (Self, TempDir) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Options::default()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/git", listener.local_addr().unwrap());
        let mut config =
            catalyst_forge::Config::new(folder.path().join("forge"), store, base.as_str());
        config.admin_token = Some(TOKEN.to_owned());
        let forge = catalyst_forge::Forge::open(config).await.unwrap();
        let router = axum::Router::new().nest("/git", forge.router());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        tokio::spawn(async move { forge.run(std::future::pending()).await });
        (Self::at(&base, TOKEN.to_owned()), folder)
    }

    pub fn named() -> Option<Self> {
        let base = std::env::var("CATALYST_TEST_FORGE").ok()?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let token = std::env::var("CATALYST_TEST_FORGE_TOKEN").unwrap();
        Some(Self::at(&base, token))
    }

    /// Asks REST as the administrator; status and JSON (null when it is none).
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let place = format!("{}/api/v1{path}", self.forge.base());
        let request = self.http.request(method, place).bearer_auth(&self.token);
        answer(request, body).await
    }

    /// Asks REST as a user that [`World::user`] made.
    pub async fn ask_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let place = format!("{}/api/v1{path}", self.forge.base());
        let request = self
            .http
            .request(method, place)
            .basic_auth(user, Some(PASSWORD));
        answer(request, body).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, Value::Null).await
    }

    pub async fn user(&self, name: &str) {
        let email = format!("{name}@acme.example");
        let made = self.forge.user_with_password_ensure(name, &email, PASSWORD);
        made.await.unwrap();
    }

    /// An organization with the empty, private repository `dev`.
    pub async fn repository(&self, organization: &str) -> RepositoryId {
        let id = RepositoryId::new(organization, "dev");
        let made = self.forge.organization_ensure(organization, "Acme");
        made.await.unwrap();
        let options = RepositoryOptions::default();
        self.forge.repository_ensure(&id, options).await.unwrap();
        id
    }

    /// Users of a team with a permission.
    pub async fn team(&self, organization: &str, permission: Permission, users: &[&str]) -> u64 {
        let name = format!("{permission:?}").to_lowercase();
        for user in users {
            self.user(user).await;
        }
        let team = self.forge.team_ensure(organization, &name, permission);
        let team = team.await.unwrap();
        let users: Vec<String> = users.iter().map(|it| (*it).to_owned()).collect();
        let set = self.forge.team_members_set(organization, &name, &users);
        set.await.unwrap();
        team
    }

    /// Commits to `main`; returns the commit.
    pub async fn commit(&self, id: &RepositoryId, files: &[(&str, Option<&str>)]) -> String {
        self.forge.change_files(id, change(files)).await.unwrap()
    }

    /// Commits to a new branch from `main`, and opens a pull request; returns
    /// its number and the commit.
    pub async fn pull(
        &self,
        id: &RepositoryId,
        branch: &str,
        files: &[(&str, Option<&str>)],
        as_user: Option<&str>,
    ) -> (u64, String) {
        let mut wanted = change(files);
        wanted.new_branch = Some(branch.to_owned());
        let head = self.forge.change_files(id, wanted).await.unwrap();
        let new = NewPull {
            title: format!("Take {branch}"),
            body: "because".to_owned(),
            head: branch.to_owned(),
            base: "main".to_owned(),
        };
        let pull = self.forge.pull_create(id, new, as_user).await.unwrap();
        (pull.number, head)
    }

    /// A folder of the case's own.
    pub fn folder(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// The address for stock git as a user.
    pub fn remote(&self, user: &str, id: &RepositoryId) -> String {
        let password: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
        let password = password.replace('+', "%20");
        let url = self.forge.clone_url(id);
        url.replace("http://", &format!("http://{user}:{password}@"))
    }

    /// Stock git; its output, or what it complained of.
    pub async fn git(&self, folder: &str, arguments: &[&str]) -> Result<String, String> {
        let folder = if folder.is_empty() {
            self.folder.path()
        } else {
            Path::new(folder)
        };
        let output: Output = tokio::process::Command::new("git")
            .current_dir(folder)
            .args(["-c", "user.name=t", "-c", "user.email=t@acme.example"])
            .args(["-c", "init.defaultBranch=main"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

async fn answer(request: reqwest::RequestBuilder, body: Value) -> (u16, Value) {
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub fn person(name: &str) -> Person {
    Person {
        name: name.to_owned(),
        email: format!("{name}@acme.example"),
    }
}

pub fn change(files: &[(&str, Option<&str>)]) -> ChangeFiles {
    ChangeFiles {
        branch: "main".to_owned(),
        new_branch: None,
        expected_head: None,
        message: "Change".to_owned(),
        author: person("alice"),
        committer: person("catalyst"),
        files: files
            .iter()
            .map(|(path, content)| FileChange {
                path: (*path).to_owned(),
                content: content.map(|text| text.as_bytes().to_vec()),
            })
            .collect(),
    }
}
