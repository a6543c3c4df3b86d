//! `catalyst login`, `logout` and `whoami`.

use std::io::Read;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalyst_api::Me;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::api::{Api, Common, Connection};
use super::credentials::{Locked, Session};
use super::failure::hinted;
use super::oauth::{Discovery, is_renewable};
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
    common: Common,
}

/// Who is signed in where, and until when.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    server: String,
    username: String,
    /// When the access token ends; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Whether commands renew the access token, for as long as the session lasts.
    renewed: bool,
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
        let connection = &self.common.connection;
        let server = connection.server()?;
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
            let sovereign = connection.anonymous()?.sovereign().await?;
            let discovery = Discovery::read(&server, &sovereign.addresses.issuer).await?;
            match self.device {
                true => discovery.sign_in_elsewhere(&server).await?,
                false => discovery.sign_in_here(&server).await?,
            }
        };
        // Kept only once the Sovereign has accepted it.
        let api = Api::with_token(&server, session.access_token.clone())?;
        let me: Me = api.get(&["me"]).await?;
        let signed_in = SignedIn {
            server: server.url.clone(),
            username: me.username,
            expires_at: end_of(&session),
            renewed: is_renewable(&session),
        };
        let locked = Locked::wait()?;
        let mut kept = locked.read()?;
        kept.authorities.remove(&server.url);
        kept.servers.insert(server.url.clone(), session);
        kept.current = Some(server.url.clone());
        locked.write(&kept)?;
        if !self.common.output.is_table() {
            return self.common.output.value(&signed_in);
        }
        say(&signed_in.sentence());
        Ok(())
    }
}

impl SignedIn {
    fn sentence(&self) -> String {
        let lead = format!("Signed in at {} as {}", self.server, self.username);
        match (self.renewed, self.expires_at) {
            (true, _) => {
                format!("{lead}; commands renew it until you sign out or the session ends")
            }
            (false, Some(end)) => format!("{lead}, until {end}"),
            (false, None) => lead,
        }
    }
}

/// When a session's access token ends: as the issuer said, or as a token that is a JWT
/// (RFC 7519) says of itself. For people to know; nothing is decided by it.
fn end_of(session: &Session) -> Option<Timestamp> {
    let claimed = || {
        let claims = session.access_token.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims.get("exp")?.as_i64()
    };
    Timestamp::from_second(session.expires_at.or_else(claimed)?).ok()
}

impl Logout {
    /// Forgets the tokens, and has the issuer end the session.
    pub async fn run(&self) -> anyhow::Result<()> {
        let server = self.connection.server()?;
        let session = {
            let locked = Locked::wait()?;
            let mut kept = locked.read()?;
            // Where it is, and by what its certificate is judged, stays for the next
            // sign-in; neither is a secret.
            let session = kept.servers.remove(&server.url);
            if let Some(authority) = session
                .as_ref()
                .and_then(|session| session.certificate_authority.clone())
            {
                kept.authorities.insert(server.url.clone(), authority);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_itself_when_it_ends() {
        let session = |token: String| Session {
            issuer: None,
            access_token: token,
            refresh_token: None,
            expires_at: None,
            certificate_authority: None,
        };
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp": 1767225600}"#);
        let end = end_of(&session(format!("head.{claims}.signature")));
        assert_eq!(end.unwrap().to_string(), "2026-01-01T00:00:00Z");
        for other in ["", "opaque", "a.b.c", "a.e30.c"] {
            assert_eq!(end_of(&session(other.to_owned())), None, "{other:?}");
        }
    }

    #[test]
    fn whoever_signs_in_is_told_until_when() {
        let told = |renewed: bool, end: Option<&str>| {
            let signed_in = SignedIn {
                server: "http://a".into(),
                username: "ada".into(),
                expires_at: end.map(|end| end.parse().unwrap()),
                renewed,
            };
            signed_in.sentence()
        };
        let end = Some("2026-01-01T00:00:00Z");
        assert_eq!(
            told(true, end),
            "Signed in at http://a as ada; commands renew it until you sign out or the session ends"
        );
        assert_eq!(
            told(false, end),
            "Signed in at http://a as ada, until 2026-01-01T00:00:00Z"
        );
        assert_eq!(told(false, None), "Signed in at http://a as ada");
    }
}
