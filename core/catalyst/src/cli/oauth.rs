//! Signing in at the issuer as the public client `catalyst-cli`: the authorization
//! code with PKCE over a loopback redirect (RFC 8252, RFC 7636), the device flow
//! (RFC 8628), and renewing.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use url::Url;

use super::accept;
use super::api::Server;
use super::browser;
use super::credentials::{Locked, Session};
use super::failure::{hinted, signed_out};
use super::output::say;

const CLIENT: &str = "catalyst-cli";
const SCOPE: &str = "openid profile email groups offline_access";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Tokens are renewed this long before they end.
const EARLY: i64 = 30;
/// How long a browser may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the issuer says of itself (OpenID Connect Discovery 1.0).
#[derive(Debug, Deserialize)]
pub struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    revocation_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
struct OauthError {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct Device {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

impl Discovery {
    /// Reads what the issuer says of itself.
    pub async fn read(server: &Server, issuer: &str) -> anyhow::Result<Self> {
        let url = format!("{issuer}/.well-known/openid-configuration");
        let found: Self = server
            .http
            .get(&url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .with_context(|| format!("cannot ask the issuer at {issuer}"))?
            .json()
            .await
            .with_context(|| format!("cannot read what the issuer at {issuer} says of itself"))?;
        if found.issuer != issuer {
            bail!(
                "the issuer at {issuer} calls itself {}; its address is not what the Sovereign says",
                found.issuer
            );
        }
        Ok(found)
    }

    /// Signs in with a browser on this machine.
    pub async fn sign_in_here(&self, server: &Server) -> anyhow::Result<Session> {
        let (listener, redirect) = accept::listen().await?;
        let verifier = random()?;
        let state = random()?;
        let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        let mut page = Url::parse(&self.authorization_endpoint)
            .context("the issuer's page for signing in is no URL")?;
        page.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", CLIENT)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", SCOPE)
            .append_pair("state", &state)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        say("Sign in with a browser on this machine:");
        say(&format!("  {page}"));
        browser::open(page.as_str());
        let answer = accept::answer(listener, &state, &self.issuer);
        let code = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
            hinted(
                "nobody signed in within 10 minutes",
                "run `catalyst login` again; with --device the browser may be on another machine",
            )
        })??;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("code_verifier", &verifier),
        ];
        self.tokens(server, &form)
            .await?
            .map_err(|refused| refused.into_error("the issuer did not accept the sign-in"))
    }

    /// Signs in with a browser anywhere.
    pub async fn sign_in_elsewhere(&self, server: &Server) -> anyhow::Result<Session> {
        let endpoint = self.device_authorization_endpoint.clone();
        let endpoint = endpoint.context("the issuer does not offer the device flow")?;
        let device: Device = server
            .http
            .post(endpoint)
            .form(&[("client_id", CLIENT), ("scope", SCOPE)])
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .context("the issuer did not begin a sign-in")?
            .json()
            .await
            .context("cannot read the issuer's answer")?;
        say(&format!(
            "Open {} in a browser and enter the code {}",
            device.verification_uri, device.user_code
        ));
        if let Some(complete) = &device.verification_uri_complete {
            say(&format!("or open {complete}"));
        }
        let form = [
            ("grant_type", DEVICE_GRANT),
            ("client_id", CLIENT),
            ("device_code", &device.device_code),
        ];
        let ends = tokio::time::Instant::now() + Duration::from_secs(device.expires_in);
        let mut interval = device.interval.unwrap_or(5);
        loop {
            tokio::time::sleep(Duration::from_secs(interval)).await;
            match self.tokens(server, &form).await? {
                Ok(session) => return Ok(session),
                Err(refused) if refused.error == "authorization_pending" => {}
                // RFC 8628, 3.5: 5 seconds more, from now on.
                Err(refused) if refused.error == "slow_down" => interval += 5,
                Err(refused) => {
                    return Err(refused.into_error("the issuer did not accept the sign-in"));
                }
            }
            if tokio::time::Instant::now() >= ends {
                return Err(hinted(
                    "the code was not entered in time",
                    "run `catalyst login --device` again",
                ));
            }
        }
    }

    async fn tokens(
        &self,
        server: &Server,
        form: &[(&str, &str)],
    ) -> anyhow::Result<Result<Session, OauthError>> {
        let response = server
            .http
            .post(&self.token_endpoint)
            .form(form)
            .send()
            .await
            .context("cannot ask the issuer for tokens")?;
        let is_success = response.status().is_success();
        let status = response.status();
        let body = response
            .bytes()
            .await
            .context("the issuer's answer broke off")?;
        if !is_success {
            let refused = serde_json::from_slice(&body)
                .with_context(|| format!("the issuer answered {status}"))?;
            return Ok(Err(refused));
        }
        let tokens: Tokens =
            serde_json::from_slice(&body).context("cannot read the issuer's answer")?;
        Ok(Ok(Session {
            issuer: Some(self.issuer.clone()),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            expires_at: tokens.expires_in.map(|seconds| now() + seconds),
            certificate_authority: server.certificate_authority.clone(),
        }))
    }

    /// Ends a session at the issuer.
    pub async fn revoke(&self, server: &Server, session: &Session) -> anyhow::Result<()> {
        let Some(endpoint) = self.revocation_endpoint.clone() else {
            return Ok(());
        };
        let token = session
            .refresh_token
            .as_ref()
            .unwrap_or(&session.access_token);
        server
            .http
            .post(endpoint)
            .form(&[("client_id", CLIENT), ("token", token)])
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .context("the issuer did not end the session")?;
        Ok(())
    }
}

impl OauthError {
    fn into_error(self, attempted: &str) -> anyhow::Error {
        let reason = self.error_description.unwrap_or(self.error);
        signed_out(
            format!("{attempted}: {reason}"),
            "run `catalyst login` again",
        )
    }
}

/// Whether a session's access token ends so soon that it is to be renewed.
pub fn is_due(session: &Session) -> bool {
    session.expires_at.is_some_and(|at| at - EARLY <= now())
}

/// Whether there is anything to renew its access token by.
pub fn is_renewable(session: &Session) -> bool {
    session.issuer.is_some() && session.refresh_token.is_some()
}

/// The session at a server, its access token renewed when it is due or is the one
/// that was refused. Renewing happens under the lock of the file: refresh tokens
/// rotate, and one that is used twice ends the session.
pub async fn current_session(server: &Server, refused: Option<&str>) -> anyhow::Result<Session> {
    let locked = Locked::wait()?;
    let mut kept = locked.read()?;
    let none = || {
        signed_out(
            format!("you are not signed in at {}", server.url),
            "run `catalyst login`, or set CATALYST_TOKEN",
        )
    };
    let session = kept.servers.get(&server.url).ok_or_else(none)?;
    if !is_due(session) && refused != Some(session.access_token.as_str()) {
        return Ok(session.clone());
    }
    let (Some(issuer), Some(refresh)) = (&session.issuer, &session.refresh_token) else {
        return Err(signed_out(
            format!("the token for {} has ended", server.url),
            "run `catalyst login` again",
        ));
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("refresh_token", refresh),
    ];
    let discovery = Discovery::read(server, issuer).await?;
    let renewed = discovery.tokens(server, &form).await?.map_err(|refused| {
        refused.into_error(&format!("your session at {} has ended", server.url))
    })?;
    let renewed = Session {
        refresh_token: renewed
            .refresh_token
            .clone()
            .or_else(|| session.refresh_token.clone()),
        certificate_authority: session.certificate_authority.clone(),
        ..renewed
    };
    kept.servers.insert(server.url.clone(), renewed.clone());
    locked.write(&kept)?;
    Ok(renewed)
}

/// 256 random bits as text; also what RFC 7636 wants of a verifier.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
