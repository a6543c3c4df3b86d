//! `catalyst login`, `logout` and `whoami`.

use std::io::Read;

use anyhow::Context;
use catalyst_api::Me;

use super::api::{Api, Common, Connection};
use super::credentials::{Locked, Session};
use super::failure::hinted;
use super::oauth::Discovery;
use super::output::{Row, say};

/// Sign in at a Sovereign.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Sign in with a browser on another machine: shows a code to enter there.
    #[arg(long, conflicts_with = "token_stdin")]
    device: bool,
    /// Take an access token from standard input instead; it is not renewed.
    #[arg(long)]
    token_stdin: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Sign out: end the session and forget its tokens.
#[derive(Debug, clap::Args)]
pub struct Logout {
    #[command(flatten)]
    connection: Connection,
}

/// Show who you are and what you may do.
#[derive(Debug, clap::Args)]
pub struct Whoami {
    #[command(flatten)]
    common: Common,
}

impl Login {
    /// Signs in and keeps the tokens.
    pub async fn run(&self) -> anyhow::Result<()> {
        let server = self.connection.server()?;
        let session = if self.token_stdin {
            let mut token = String::new();
            std::io::stdin()
                .read_to_string(&mut token)
                .context("cannot read the token from standard input")?;
            let token = token.trim().to_owned();
            if token.is_empty() {
                return Err(hinted(
                    "standard input holds no token",
                    "pass it like `catalyst login --token-stdin < FILE`",
                ));
            }
            Session {
                issuer: None,
                access_token: token,
                refresh_token: None,
                expires_at: None,
                certificate_authority: server.certificate_authority.clone(),
            }
        } else {
            let sovereign = self.connection.anonymous()?.sovereign().await?;
            let discovery = Discovery::read(&server, &sovereign.addresses.issuer).await?;
            match self.device {
                true => discovery.sign_in_elsewhere(&server).await?,
                false => discovery.sign_in_here(&server).await?,
            }
        };
        // Kept only once the Sovereign has accepted it.
        let api = Api::with_token(&server, session.access_token.clone())?;
        let me: Me = api.get(&["me"]).await?;
        let locked = Locked::wait()?;
        let mut kept = locked.read()?;
        kept.servers.insert(server.url.clone(), session);
        kept.current = Some(server.url.clone());
        locked.write(&kept)?;
        say(&format!("Signed in at {} as {}", server.url, me.username));
        Ok(())
    }
}

impl Logout {
    /// Forgets the tokens, and has the issuer end the session.
    pub async fn run(&self) -> anyhow::Result<()> {
        let server = self.connection.server()?;
        let session = {
            let locked = Locked::wait()?;
            let mut kept = locked.read()?;
            let session = kept.servers.remove(&server.url);
            if kept.current.as_deref() == Some(server.url.as_str()) {
                kept.current = None;
            }
            locked.write(&kept)?;
            session
        };
        let Some(session) = session else {
            say(&format!("You were not signed in at {}", server.url));
            return Ok(());
        };
        if let Some(issuer) = &session.issuer {
            let ended = async {
                let discovery = Discovery::read(&server, issuer).await?;
                discovery.revoke(&server, &session).await
            };
            ended.await.context(
                "the tokens are forgotten here, but the session at the issuer may still be open",
            )?;
        }
        say(&format!("Signed out at {}", server.url));
        Ok(())
    }
}

impl Whoami {
    /// Prints the caller.
    pub async fn run(&self) -> anyhow::Result<()> {
        let me: Me = self.common.connection.api().await?.get(&["me"]).await?;
        self.common.output.item(&me)
    }
}

impl Row for Me {
    const HEADER: &'static [&'static str] = &["user", "email", "sovereign admin", "organizations"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.email.clone().unwrap_or_default(),
            super::rows::yes(self.sovereign_admin),
            super::rows::memberships(&self.organizations),
        ]
    }
}
