//! Tokens: issued, refreshed, introspected, revoked.
//!
//! An access token is a JWT (RFC 9068) that others verify with the published
//! keys; whoever must know at once whether it still holds asks introspection,
//! which looks at the grant and the user; of what a token opened and has
//! outlived it, the same question leaves the token's end out. A refresh token is
//! `grant.family.secret`: the family part shows that it once was good, so one
//! that is no longer current is a replay and ends the whole grant, while a
//! made-up one does nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Issuer;
use crate::config::{Client, Grant};
use crate::error::Error;
use crate::records::{Approval, Change, Found, GrantRecord, RevokedRecord, Seconds, UserRecord};
use crate::secret;

/// `typ` of access tokens (RFC 9068, section 2.1).
const ACCESS: &str = "at+jwt";
const IDENTITY: &str = "JWT";
const RETRIES: usize = 4;
/// How long after a token's end its revocation is remembered. What the token
/// opened may outlive it by the four hours that the Kubernetes API lets a stream
/// last, and is asked about with the token's end left out; the rest is for
/// clocks that differ, as servers take a token a little longer.
const REVOKED_FOR: Seconds = 4 * 3600 + 600;

/// Scopes that mean something here; others are ignored.
pub(crate) const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The user's identifier, or the client's for client credentials.
    pub sub: String,
    /// For whom the token is meant.
    pub aud: Vec<String>,
    /// Unix seconds of expiry.
    pub exp: i64,
    /// Unix seconds of issue.
    pub iat: i64,
    /// The token's identifier.
    pub jti: String,
    /// The client that got the token.
    pub client_id: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// The grant that the token belongs to; none for client credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Unix seconds of the sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// The user's name.
    pub preferred_username: String,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
}

/// The token endpoint's answer (RFC 6749, section 5.1).
#[derive(Serialize)]
pub(crate) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: Seconds,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

/// Why a refresh token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Invalid,
    Replayed,
    Scope,
}

/// What an identity token said about a logout.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hint {
    pub sub: String,
    pub aud: String,
}

impl Issuer {
    /// The claims of an access token that holds right now: signed by us, not
    /// expired, not revoked, its user (or client) still allowed in.
    pub fn introspect(&self, token: &str) -> Result<Option<Claims>, Error> {
        let claims = self.introspect_sign_in(token)?;
        Ok(claims.filter(|claims| claims.exp > self.now()))
    }

    /// The claims of an access token whose sign-in holds right now, whether or not
    /// the token itself has expired: signed by us with a key that is still
    /// published, not revoked, its user (or client) still allowed in.
    pub fn introspect_sign_in(&self, token: &str) -> Result<Option<Claims>, Error> {
        let Some(claims) = self.keys().verify(ACCESS, token) else {
            return Ok(None);
        };
        let Ok(claims) = serde_json::from_value::<Claims>(claims) else {
            return Ok(None);
        };
        if claims.iss != self.identifier()
            || self.is_ahead(claims.iat)
            || self.records().get::<RevokedRecord>(&claims.jti)?.is_some()
        {
            return Ok(None);
        }
        let holds = match &claims.grant {
            Some(grant) => self.grant_alive(grant)?.is_some(),
            None => self
                .client(&claims.client_id)
                .is_some_and(|client| client.may(Grant::ClientCredentials)),
        };
        Ok(holds.then_some(claims))
    }

    /// The user, for access tokens that come from one.
    pub(crate) fn user_of(&self, claims: &Claims) -> Result<Option<UserRecord>, Error> {
        let Some(grant) = &claims.grant else {
            return Ok(None);
        };
        Ok(self.grant_alive(grant)?.map(|(_, user)| user))
    }

    /// Opens a grant and issues its first tokens. `change` carries what must
    /// become true with it, such as the code having been used.
    pub(crate) async fn grant_open(
        &self,
        client: &Client,
        user: &UserRecord,
        id: &str,
        approval: Approval,
        nonce: Option<&str>,
        change: Change,
    ) -> Result<TokenResponse, Error> {
        let now = self.now();
        let lifetimes = self.lifetimes();
        let mut record = GrantRecord {
            approval,
            created: now,
            expires: now.saturating_add(lifetimes.access),
            refresh: None,
        };
        let mut refresh = None;
        if client.may(Grant::RefreshToken) {
            let token = format!("{id}.{}.{}", secret::token()?, secret::token()?);
            record.expires = now.saturating_add(lifetimes.refresh_idle);
            record.refresh = Some(hashes(&token));
            refresh = Some(token);
        }
        let response = self.sign_tokens(
            client,
            user,
            id,
            &record.approval,
            &record.approval.scope,
            nonce,
            refresh,
        )?;
        self.records().commit(change.put(id, &record)?).await?;
        Ok(response)
    }

    /// Exchanges a refresh token for new tokens. A replay ends the grant.
    pub(crate) async fn grant_refresh(
        &self,
        client: &Client,
        token: &str,
        scope: Option<&str>,
    ) -> Result<Result<TokenResponse, Refusal>, Error> {
        for _ in 0..RETRIES {
            let Some((id, family)) = parts(token) else {
                return Ok(Err(Refusal::Invalid));
            };
            let Some(found) = self.records().get::<GrantRecord>(id)? else {
                return Ok(Err(Refusal::Invalid));
            };
            let record = &found.value;
            let Some(stored) = record.refresh.as_deref() else {
                return Ok(Err(Refusal::Invalid));
            };
            if record.approval.client != client.id || !same_family(stored, token) {
                return Ok(Err(Refusal::Invalid));
            }
            if !secret::equal(stored.as_bytes(), hashes(token).as_bytes()) {
                tracing::warn!(grant = id, client = %client.id, "refresh token replayed, grant revoked");
                self.records()
                    .commit(Change::new().delete::<GrantRecord>(id))
                    .await?;
                return Ok(Err(Refusal::Replayed));
            }
            let Some((_, user)) = self.grant_alive(id)? else {
                return Ok(Err(Refusal::Invalid));
            };
            let granted = &record.approval.scope;
            let scope = match scope {
                Some(asked) => {
                    if asked
                        .split(' ')
                        .any(|one| !granted.split(' ').any(|other| one == other))
                    {
                        return Ok(Err(Refusal::Scope));
                    }
                    asked.to_owned()
                }
                None => granted.clone(),
            };
            let now = self.now();
            let lifetimes = self.lifetimes();
            let next = format!("{id}.{family}.{}", secret::token()?);
            let mut record = record.clone();
            record.refresh = Some(hashes(&next));
            record.expires = now
                .saturating_add(lifetimes.refresh_idle)
                .min(record.created.saturating_add(lifetimes.refresh_total));
            let response = self.sign_tokens(
                client,
                &user,
                id,
                &record.approval,
                &scope,
                None,
                Some(next),
            )?;
            let change = Change::new().when_unmodified(&found).put(id, &record)?;
            match self.records().commit(change).await {
                Ok(()) => return Ok(Ok(response)),
                // The token was used twice at once; the second look will see it.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Err(Refusal::Invalid))
    }

    /// Tokens for a client on its own behalf.
    pub(crate) fn client_tokens(
        &self,
        client: &Client,
        scope: &str,
    ) -> Result<TokenResponse, Error> {
        let now = self.now();
        let lifetime = self.lifetimes().access;
        let claims = Claims {
            iss: self.identifier().to_owned(),
            sub: client.id.clone(),
            aud: self.audience().to_vec(),
            exp: now.saturating_add(lifetime),
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
            client_id: client.id.clone(),
            scope: scope.to_owned(),
            grant: None,
            auth_time: None,
            preferred_username: format!("service-account-{}", client.id),
            email: None,
            name: Some(client.name.clone()),
            groups: client.groups.clone(),
        };
        Ok(TokenResponse {
            access_token: self.keys().sign(now, ACCESS, &json!(claims))?,
            token_type: "Bearer",
            expires_in: lifetime,
            scope: scope.to_owned(),
            refresh_token: None,
            id_token: None,
        })
    }

    /// A refresh token's grant, if it is the current one.
    pub(crate) fn refresh_alive(
        &self,
        token: &str,
    ) -> Result<Option<(Found<GrantRecord>, UserRecord)>, Error> {
        let Some((id, _)) = parts(token) else {
            return Ok(None);
        };
        Ok(self.grant_alive(id)?.filter(|(found, _)| {
            found
                .value
                .refresh
                .as_deref()
                .is_some_and(|stored| secret::equal(stored.as_bytes(), hashes(token).as_bytes()))
        }))
    }

    /// Revokes a refresh or access token that belongs to this client
    /// (RFC 7009); anything else changes nothing.
    pub(crate) async fn token_revoke(&self, client: &Client, token: &str) -> Result<(), Error> {
        if let Some((found, _)) = self.refresh_alive(token)? {
            if found.value.approval.client == client.id {
                self.records()
                    .commit(Change::new().delete::<GrantRecord>(&found.id))
                    .await?;
            }
            return Ok(());
        }
        if let Some(claims) = self.introspect(token)?
            && claims.client_id == client.id
        {
            let record = RevokedRecord {
                expires: claims.exp.saturating_add(REVOKED_FOR),
            };
            self.records()
                .commit(Change::new().put(&claims.jti, &record)?)
                .await?;
        }
        Ok(())
    }

    /// Who signed in with an identity token of ours, even one that expired.
    pub(crate) fn hint(&self, token: &str) -> Option<Hint> {
        let claims = self.keys().verify(IDENTITY, token)?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.identifier()) {
            return None;
        }
        serde_json::from_value(claims).ok()
    }

    fn grant_alive(&self, id: &str) -> Result<Option<(Found<GrantRecord>, UserRecord)>, Error> {
        let Some(found) = self.records().get::<GrantRecord>(id)? else {
            return Ok(None);
        };
        let approval = &found.value.approval;
        if found.value.expires <= self.now()
            || self.is_ahead(found.value.created)
            || self.client(&approval.client).is_none()
        {
            return Ok(None);
        }
        let user = self.user_alive(&approval.user, approval.generation)?;
        Ok(user.map(|user| (found, user)))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn sign_tokens(
        &self,
        client: &Client,
        user: &UserRecord,
        grant: &str,
        approval: &Approval,
        scope: &str,
        nonce: Option<&str>,
        refresh_token: Option<String>,
    ) -> Result<TokenResponse, Error> {
        let now = self.now();
        let lifetime = self.lifetimes().access;
        let claims = Claims {
            iss: self.identifier().to_owned(),
            sub: user.id.clone(),
            aud: self.audience().to_vec(),
            exp: now.saturating_add(lifetime),
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
            client_id: client.id.clone(),
            scope: scope.to_owned(),
            grant: Some(grant.to_owned()),
            auth_time: Some(approval.authenticated),
            preferred_username: user.username.clone(),
            email: user.email.clone(),
            name: user.name(),
            groups: user.groups.clone(),
        };
        let access_token = self.keys().sign(now, ACCESS, &json!(claims))?;
        let id_token = if has_scope(scope, "openid") {
            let mut identity = profile(user, scope);
            identity.insert("iss".into(), json!(self.identifier()));
            identity.insert("aud".into(), json!(client.id));
            identity.insert("azp".into(), json!(client.id));
            identity.insert("exp".into(), json!(claims.exp));
            identity.insert("iat".into(), json!(now));
            identity.insert("auth_time".into(), json!(approval.authenticated));
            if let Some(nonce) = nonce {
                identity.insert("nonce".into(), json!(nonce));
            }
            if let Some(session) = &approval.session {
                identity.insert("sid".into(), json!(session));
            }
            // OpenID Connect Core, 3.1.3.6: the left half of the hash.
            let digest = secret::sha256(access_token.as_bytes());
            let half = digest.first_chunk::<16>().map(secret::encode);
            identity.insert("at_hash".into(), json!(half));
            Some(self.keys().sign(now, IDENTITY, &Value::Object(identity))?)
        } else {
            None
        };
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: lifetime,
            scope: scope.to_owned(),
            refresh_token,
            id_token,
        })
    }
}

/// The claims about a user that the scopes open (OpenID Connect Core, 5.4).
pub(crate) fn profile(user: &UserRecord, scope: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(user.id));
    if has_scope(scope, "profile") {
        claims.insert("preferred_username".into(), json!(user.username));
        for (claim, value) in [
            ("name", user.name()),
            ("given_name", user.first_name.clone()),
            ("family_name", user.last_name.clone()),
        ] {
            if let Some(value) = value {
                claims.insert(claim.into(), json!(value));
            }
        }
    }
    if has_scope(scope, "email")
        && let Some(email) = &user.email
    {
        claims.insert("email".into(), json!(email));
        claims.insert("email_verified".into(), json!(false));
    }
    if has_scope(scope, "groups") {
        claims.insert("groups".into(), json!(user.groups));
    }
    claims
}

/// Keeps the scopes that are known here, once each.
pub(crate) fn known_scopes(asked: &str) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    for scope in asked.split(' ') {
        if SCOPES.contains(&scope) && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.join(" ")
}

pub(crate) fn has_scope(scopes: &str, scope: &str) -> bool {
    scopes.split(' ').any(|one| one == scope)
}

fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, rest) = token.split_once('.')?;
    let (family, _) = rest.split_once('.')?;
    Some((id, family))
}

/// What is stored of a refresh token: its family's hash, then its own.
fn hashes(token: &str) -> String {
    let family = parts(token).map(|(_, family)| family).unwrap_or_default();
    format!(
        "{}.{}",
        secret::fingerprint(family),
        secret::fingerprint(token)
    )
}

fn same_family(stored: &str, token: &str) -> bool {
    let hashed = hashes(token);
    match (stored.split_once('.'), hashed.split_once('.')) {
        (Some((stored, _)), Some((hashed, _))) => {
            secret::equal(stored.as_bytes(), hashed.as_bytes())
        }
        _ => false,
    }
}
