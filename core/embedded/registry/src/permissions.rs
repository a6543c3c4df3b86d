//! Who may do what in which namespace, kept in the store:
//!
//! - `registry/namespace/<namespace>`: whether everyone may pull from it
//! - `registry/member/<namespace>/<principal>`: a principal's actions
//!
//! A namespace is the first component of a repository's name (a project, in
//! Harbor's words). Nobody may do anything that is not written here.

use bytes::Bytes;
use catalyst_store::{CommitError, Condition, Entry, Store, Transaction};
use serde::{Deserialize, Serialize};

use crate::access::{Action, Actions, Principal};
use crate::metadata::{read, write};
use crate::names::{RepositoryName, is_component};
use crate::robots::Robots;

const NAMESPACE: &str = "registry/namespace/";
const MEMBER: &str = "registry/member/";

/// Prefix that tells a group from a user among the principals.
pub(crate) const GROUP: &str = "group:";

/// Stored permissions; clones share them.
#[derive(Clone)]
pub struct Permissions {
    store: Store,
}

/// A namespace that permissions are given in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// A number that stays the same while the namespace exists.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether everyone, signed in or not, may pull.
    pub is_public: bool,
}

/// A principal's permission in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// A number that stays the same while the permission exists.
    pub id: u64,
    /// A user's name, or `group:` and a group's name.
    pub principal: String,
    /// What the principal may do.
    pub actions: Actions,
}

/// Why permissions were not changed.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// The name does not fit.
    #[error(
        "`{0}` is not a namespace; use lower-case letters, digits and single `.`, `_` or dashes between them"
    )]
    Name(String),
    /// The principal's name does not fit.
    #[error("`{0}` is not a principal; use 1 to 255 characters without control characters")]
    Principal(String),
    /// The namespace is there already.
    #[error("the namespace `{0}` exists already")]
    Exists(String),
    /// There is no such namespace.
    #[error("there is no namespace `{0}`; create it first")]
    Unknown(String),
    /// The change was not recorded.
    #[error("cannot record the permission; try again")]
    Store(#[from] CommitError),
}

#[derive(Debug, Serialize, Deserialize)]
struct NamespaceRecord {
    public: bool,
}

impl Permissions {
    /// Permissions kept in this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whether the stored permissions let the principal do this: as an
    /// administrator, by name, by group, or because the namespace is public.
    pub fn allows(
        &self,
        principal: &Principal,
        repository: &RepositoryName,
        action: Action,
    ) -> bool {
        let namespace = repository.namespace();
        if principal.is_administrator {
            return true;
        }
        if action == Action::Pull && self.namespace(namespace).is_some_and(|it| it.is_public) {
            return true;
        }
        if let Some(name) = &principal.name
            && name.starts_with(crate::robots::PREFIX)
        {
            return self.robots().actions(name, namespace).allows(action);
        }
        let groups = principal
            .groups
            .iter()
            .map(|group| format!("{GROUP}{group}"));
        // A user whose name looks like a group's must not get its rights.
        let name = principal
            .name
            .iter()
            .filter(|name| !name.starts_with(GROUP))
            .cloned();
        name.chain(groups)
            .any(|it| self.actions(namespace, &it).allows(action))
    }

    /// Whether a robot account of this user name (`robot$…`) has this secret.
    pub fn is_robot(&self, username: &str, secret: &str) -> bool {
        self.robots().verify(username, secret)
    }

    pub(crate) fn robots(&self) -> Robots {
        Robots::new(self.store.clone())
    }

    /// What is granted to exactly this principal.
    pub fn actions(&self, namespace: &str, principal: &str) -> Actions {
        self.store
            .get(member_key(namespace, principal))
            .and_then(|entry| read(&entry))
            .unwrap_or_default()
    }

    /// Adds to what a principal may do; creates the namespace (private) if
    /// there is none.
    pub async fn grant(
        &self,
        namespace: &str,
        principal: &str,
        actions: Actions,
    ) -> Result<(), PermissionError> {
        self.change(namespace, principal, |held| held.with(actions))
            .await
    }

    /// Takes from what a principal may do; effective for the next request.
    pub async fn revoke(
        &self,
        namespace: &str,
        principal: &str,
        actions: Actions,
    ) -> Result<(), PermissionError> {
        self.change(namespace, principal, |held| held.without(actions))
            .await
    }

    /// Sets what a principal may do; nothing removes the member.
    pub async fn set_actions(
        &self,
        namespace: &str,
        principal: &str,
        actions: Actions,
    ) -> Result<(), PermissionError> {
        self.change(namespace, principal, |_| actions).await
    }

    /// The namespaces, by name.
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.store
            .range(NAMESPACE, None, 0)
            .entries
            .iter()
            .filter_map(namespace_of)
            .collect()
    }

    /// One namespace.
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        namespace_of(&self.store.get(namespace_key(name))?)
    }

    /// Creates a namespace.
    pub async fn namespace_create(
        &self,
        name: &str,
        is_public: bool,
    ) -> Result<Namespace, PermissionError> {
        check_name(name)?;
        let key = namespace_key(name);
        let record = write(&NamespaceRecord { public: is_public });
        let transaction = Transaction::new()
            .when(Condition::Absent(key.clone()))
            .put(key, record);
        match self.store.commit(transaction).await {
            Ok(revision) => Ok(Namespace {
                id: revision,
                name: name.to_owned(),
                is_public,
            }),
            Err(CommitError::Conflict { .. }) => Err(PermissionError::Exists(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a namespace public or private.
    pub async fn namespace_update(
        &self,
        name: &str,
        is_public: bool,
    ) -> Result<(), PermissionError> {
        let key = namespace_key(name);
        let record = write(&NamespaceRecord { public: is_public });
        let transaction = Transaction::new()
            .when(Condition::Present(key.clone()))
            .put(key, record);
        self.commit_known(name, transaction).await
    }

    /// Removes a namespace and all permissions in it.
    pub async fn namespace_delete(&self, name: &str) -> Result<(), PermissionError> {
        let key = namespace_key(name);
        let transaction = Transaction::new()
            .when(Condition::Present(key.clone()))
            .delete(key)
            .delete_prefix(format!("{MEMBER}{name}/"));
        self.commit_known(name, transaction).await
    }

    /// The members of a namespace, by principal.
    pub fn members(&self, namespace: &str) -> Vec<Member> {
        let prefix = format!("{MEMBER}{namespace}/");
        let page = self.store.range(&prefix, None, 0);
        page.entries
            .iter()
            .filter_map(|entry| {
                let principal = std::str::from_utf8(&entry.key)
                    .ok()?
                    .strip_prefix(&prefix)?;
                Some(Member {
                    id: entry.created,
                    principal: principal.to_owned(),
                    actions: read(entry)?,
                })
            })
            .collect()
    }

    async fn change(
        &self,
        namespace: &str,
        principal: &str,
        change: impl Fn(Actions) -> Actions,
    ) -> Result<(), PermissionError> {
        check_name(namespace)?;
        let is_long = principal.is_empty() || principal.len() > 255;
        if is_long || principal.chars().any(char::is_control) {
            return Err(PermissionError::Principal(
                principal.chars().take(255).collect(),
            ));
        }
        if self.namespace(namespace).is_none() {
            match self.namespace_create(namespace, false).await {
                Ok(_) | Err(PermissionError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let key = member_key(namespace, principal);
        loop {
            let found = self.store.get(&key);
            let held = found.as_ref().and_then(read).unwrap_or_default();
            let wanted = change(held);
            let same = match &found {
                Some(entry) => Condition::Unmodified(key.clone(), entry.modified),
                None => Condition::Absent(key.clone()),
            };
            let transaction = Transaction::new()
                .when(Condition::Present(namespace_key(namespace)))
                .when(same);
            let transaction = if wanted.is_empty() {
                transaction.delete(key.clone())
            } else {
                transaction.put(key.clone(), write(&wanted))
            };
            match self.store.commit(transaction).await {
                Ok(_) => return Ok(()),
                // Someone else changed the same member: look again.
                Err(CommitError::Conflict {
                    key: conflicting, ..
                }) if conflicting == key => {}
                Err(CommitError::Conflict { .. }) => {
                    return Err(PermissionError::Unknown(namespace.to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn commit_known(
        &self,
        name: &str,
        transaction: Transaction,
    ) -> Result<(), PermissionError> {
        match self.store.commit(transaction).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(PermissionError::Unknown(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}

fn check_name(name: &str) -> Result<(), PermissionError> {
    if name.len() <= 255 && is_component(name) {
        Ok(())
    } else {
        Err(PermissionError::Name(name.chars().take(255).collect()))
    }
}

fn namespace_of(entry: &Entry) -> Option<Namespace> {
    let name = std::str::from_utf8(&entry.key)
        .ok()?
        .strip_prefix(NAMESPACE)?;
    let record: NamespaceRecord = read(entry)?;
    Some(Namespace {
        id: entry.created,
        name: name.to_owned(),
        is_public: record.public,
    })
}

fn namespace_key(name: &str) -> Bytes {
    format!("{NAMESPACE}{name}").into()
}

fn member_key(namespace: &str, principal: &str) -> Bytes {
    format!("{MEMBER}{namespace}/{principal}").into()
}
