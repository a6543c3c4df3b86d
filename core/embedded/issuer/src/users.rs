//! Users: created, changed, invited, disabled, removed.
//!
//! Called by the binary through the handle and by the admin API. A user that
//! is disabled, removed or given a new password has a new generation (or
//! none), which ends every session, grant and link made before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use url::Url;
use zeroize::Zeroizing;

use crate::Issuer;
use crate::error::Error;
use crate::password::Passwords;
use crate::records::{
    Approval, Change, Found, GrantRecord, LinkRecord, SessionRecord, UserRecord, UsernameRecord,
};
use crate::secret;

const RETRIES: usize = 16;

/// A user to create.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Lower-cased; letters, digits, `.`, `_`, `-`, `+` and `@`, at most 64.
    pub username: String,
    /// Mail address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The `groups` claim.
    pub groups: Vec<String>,
    /// What administrators note of the user; in no token, and fixed from then on.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// Changes to a user; `None` leaves a property as it is.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// Mail address; empty removes it.
    pub email: Option<String>,
    /// Given name; empty removes it.
    pub first_name: Option<String>,
    /// Family name; empty removes it.
    pub last_name: Option<String>,
    /// The `groups` claim.
    pub groups: Option<Vec<String>>,
    /// Whether the user may sign in.
    pub enabled: Option<bool>,
}

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The `sub` claim; never used again after a removal.
    pub id: String,
    /// The `preferred_username` claim.
    pub username: String,
    /// Mail address.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The `groups` claim.
    pub groups: Vec<String>,
    /// What administrators noted of the user.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Whether the user may sign in.
    pub enabled: bool,
    /// Whether the user has set a password.
    pub has_password: bool,
    /// When the user was created.
    pub created: Timestamp,
}

/// A one-time link. `Debug` does not show it.
#[derive(Clone)]
pub struct Link {
    /// Where the user sets a password; carries a secret.
    pub url: String,
    /// Until when.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Link")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl UserRecord {
    /// The `name` claim.
    pub(crate) fn name(&self) -> Option<String> {
        match (&self.first_name, &self.last_name) {
            (Some(first), Some(last)) => Some(format!("{first} {last}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }

    fn view(self) -> User {
        User {
            id: self.id,
            username: self.username,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            groups: self.groups,
            attributes: self.attributes,
            enabled: self.enabled,
            has_password: self.password.is_some(),
            created: Timestamp::from_second(self.created).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

impl Issuer {
    /// Creates a user without a password; invite it to set one.
    pub async fn user_create(&self, new: NewUser) -> Result<User, Error> {
        let username = normalize(&new.username);
        check_username(&username)?;
        check_attributes(&username, &new.attributes)?;
        let mut record = UserRecord {
            id: uuid::Uuid::new_v4().to_string(),
            username: username.clone(),
            email: None,
            first_name: None,
            last_name: None,
            groups: Vec::new(),
            attributes: new.attributes,
            enabled: true,
            created: self.now(),
            generation: 0,
            password: None,
        };
        let update = UserUpdate {
            email: new.email,
            first_name: new.first_name,
            last_name: new.last_name,
            groups: Some(new.groups),
            enabled: None,
        };
        update.apply(&mut record)?;
        let change = Change::new()
            .when_absent::<UsernameRecord>(&username)
            .put(
                &username,
                &UsernameRecord {
                    user: record.id.clone(),
                },
            )?
            .put(&record.id, &record)?;
        match self.records().commit(change).await {
            Ok(()) => Ok(record.view()),
            Err(error) if error.is_conflict() => Err(Error::UsernameTaken { username }),
            Err(error) => Err(error),
        }
    }

    /// Every user, by name.
    pub fn user_list(&self) -> Result<Vec<User>, Error> {
        let mut users: Vec<User> = self
            .records()
            .all::<UserRecord>()?
            .into_iter()
            .map(|found| found.value.view())
            .collect();
        users.sort_by(|left, right| left.username.cmp(&right.username));
        Ok(users)
    }

    /// The user with this identifier.
    pub fn user_get(&self, id: &str) -> Result<User, Error> {
        self.user_found(id).map(|found| found.value.view())
    }

    /// The user with this name.
    pub fn user_find(&self, username: &str) -> Result<Option<User>, Error> {
        Ok(self.user_by_name(username)?.map(UserRecord::view))
    }

    /// Changes a user. Disabling ends everything that it has open.
    pub async fn user_update(&self, id: &str, update: UserUpdate) -> Result<User, Error> {
        self.user_change(id, |record| update.apply(record))
            .await
            .map(UserRecord::view)
    }

    /// Forbids a user to sign in and ends everything that it has open.
    pub async fn user_disable(&self, id: &str) -> Result<User, Error> {
        self.user_update(
            id,
            UserUpdate {
                enabled: Some(false),
                ..UserUpdate::default()
            },
        )
        .await
    }

    /// Allows a disabled user to sign in again.
    pub async fn user_enable(&self, id: &str) -> Result<User, Error> {
        self.user_update(
            id,
            UserUpdate {
                enabled: Some(true),
                ..UserUpdate::default()
            },
        )
        .await
    }

    /// Removes a user; its sessions, tokens and links end at once.
    pub async fn user_delete(&self, id: &str) -> Result<(), Error> {
        let found = self.user_found(id)?;
        let change = Change::new()
            .delete::<UserRecord>(id)
            .delete::<UsernameRecord>(&found.value.username);
        let dead = |approval: &Approval| approval.user == id;
        let records = self.records();
        let now = self.now();
        let change =
            records.remove_stale::<SessionRecord>(change, now, |session| session.user == id)?;
        let change = records.remove_stale::<LinkRecord>(change, now, |link| link.user == id)?;
        let change =
            records.remove_stale::<GrantRecord>(change, now, |grant| dead(&grant.approval))?;
        records.commit(change).await
    }

    /// Ends everything that a user has open.
    pub async fn user_sign_out(&self, id: &str) -> Result<(), Error> {
        self.user_change(id, |record| {
            record.generation += 1;
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Sets a password and ends everything that the user has open.
    pub async fn user_set_password(&self, id: &str, password: &str) -> Result<(), Error> {
        let found = self.user_found(id)?;
        Passwords::check_strength(&found.value.username, password)?;
        let hash = self
            .passwords()
            .hash(Zeroizing::new(password.to_owned()))
            .await?;
        self.user_change(id, |record| {
            record.password = Some(hash.clone());
            record.generation += 1;
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Makes a one-time link with which the user sets a password, is signed in
    /// and goes on to `return_to`. Earlier links of the user end.
    ///
    /// `return_to` must have the issuer's origin or that of a registered
    /// redirect URI.
    pub async fn user_invite(&self, id: &str, return_to: &Url) -> Result<Link, Error> {
        let found = self.user_found(id)?;
        if !found.value.enabled {
            return Err(Error::UserDisabled {
                username: found.value.username,
            });
        }
        if !self.may_return_to(return_to) {
            return Err(Error::ReturnForeign {
                url: return_to.origin().ascii_serialization(),
            });
        }
        let token = secret::token()?;
        let now = self.now();
        let record = LinkRecord {
            user: found.value.id.clone(),
            generation: found.value.generation,
            expires: now.saturating_add(self.lifetimes().link),
            return_to: return_to.as_str().to_owned(),
        };
        let change = self
            .records()
            .remove_stale::<LinkRecord>(Change::new(), now, |link| link.user == id)?;
        // A user removed in between must not leave a link behind.
        let change = change
            .when_unmodified(&found)
            .put(&secret::fingerprint(&token), &record)?;
        self.records().commit(change).await?;
        Ok(Link {
            url: format!("{}/set-password?token={token}", self.identifier()),
            expires: Timestamp::from_second(record.expires).unwrap_or(Timestamp::MAX),
        })
    }

    pub(crate) fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, Error> {
        let Some(name) = self.records().get::<UsernameRecord>(&normalize(username))? else {
            return Ok(None);
        };
        Ok(self
            .records()
            .get::<UserRecord>(&name.value.user)?
            .map(|found| found.value))
    }

    pub(crate) fn user_found(&self, id: &str) -> Result<Found<UserRecord>, Error> {
        self.records()
            .get::<UserRecord>(id)?
            .ok_or_else(|| Error::UserUnknown {
                user: id.chars().take(64).collect(),
            })
    }

    /// The user if it may act under this generation.
    pub(crate) fn user_alive(
        &self,
        id: &str,
        generation: u64,
    ) -> Result<Option<UserRecord>, Error> {
        Ok(self
            .records()
            .get::<UserRecord>(id)?
            .map(|found| found.value)
            .filter(|user| user.enabled && user.generation == generation))
    }

    async fn user_change(
        &self,
        id: &str,
        mut apply: impl FnMut(&mut UserRecord) -> Result<(), Error>,
    ) -> Result<UserRecord, Error> {
        let mut attempt = 0;
        loop {
            let found = self.user_found(id)?;
            let mut record = found.value.clone();
            apply(&mut record)?;
            let change = Change::new().when_unmodified(&found).put(id, &record)?;
            match self.records().commit(change).await {
                Ok(()) => return Ok(record),
                Err(error) if error.is_conflict() && attempt < RETRIES => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl UserUpdate {
    fn apply(&self, record: &mut UserRecord) -> Result<(), Error> {
        let invalid = |reason| Error::UserInvalid {
            username: record.username.clone(),
            reason,
        };
        let texts = [&self.email, &self.first_name, &self.last_name];
        for text in texts.into_iter().flatten() {
            if text.len() > 256 || text.chars().any(char::is_control) {
                return Err(invalid(
                    "a name or mail address is longer than 256 bytes or has control characters",
                ));
            }
        }
        if let Some(email) = self.email.as_deref().filter(|email| !email.is_empty()) {
            let local_and_domain = email.split_once('@');
            if local_and_domain.is_none_or(|(local, domain)| {
                local.is_empty() || domain.is_empty() || domain.contains('@')
            }) || email.contains(char::is_whitespace)
            {
                return Err(invalid("the mail address needs the form name@host"));
            }
        }
        if let Some(groups) = &self.groups
            && (groups.len() > 256
                || groups.iter().any(|group| {
                    group.is_empty() || group.len() > 256 || group.chars().any(char::is_control)
                }))
        {
            return Err(invalid(
                "a group needs 1 to 256 bytes without control characters, and there are 256 groups at most",
            ));
        }
        let text = |new: &Option<String>, old: &mut Option<String>| {
            if let Some(new) = new {
                *old = Some(new.trim().to_owned()).filter(|text| !text.is_empty());
            }
        };
        text(&self.email, &mut record.email);
        text(&self.first_name, &mut record.first_name);
        text(&self.last_name, &mut record.last_name);
        if let Some(groups) = &self.groups {
            record.groups = groups.clone();
            record.groups.sort();
            record.groups.dedup();
        }
        if let Some(enabled) = self.enabled {
            if record.enabled && !enabled {
                record.generation += 1;
            }
            record.enabled = enabled;
        }
        Ok(())
    }
}

pub(crate) fn normalize(username: &str) -> String {
    username.trim().to_lowercase()
}

fn check_attributes(
    username: &str,
    attributes: &BTreeMap<String, Vec<String>>,
) -> Result<(), Error> {
    let is_plain = |text: &String| {
        !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)
    };
    let is_good = attributes.len() <= 32
        && attributes.iter().all(|(name, values)| {
            is_plain(name) && values.len() <= 32 && values.iter().all(is_plain)
        });
    if is_good {
        return Ok(());
    }
    Err(Error::UserInvalid {
        username: username.to_owned(),
        reason: "an attribute and its values need 1 to 256 bytes each without control characters, and there are 32 of either at most",
    })
}

fn check_username(username: &str) -> Result<(), Error> {
    let plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "._-+@".contains(character)
    };
    let reason = if username.is_empty() || username.len() > 64 || !username.chars().all(plain) {
        "a user name has 1 to 64 letters, digits, '.', '_', '-', '+' or '@'"
    } else if username.starts_with("service-account-") {
        "names that begin with service-account- belong to clients"
    } else {
        return Ok(());
    };
    Err(Error::UserInvalid {
        username: username.chars().take(64).collect(),
        reason,
    })
}
