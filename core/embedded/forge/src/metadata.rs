//! Typed access to the forge's records in the store, below `forge/`.
//!
//! Used by every module that reads or changes users, organizations, teams,
//! repositories, hooks and pull requests. What must stay true: a change that
//! depends on a read happens under [`Metadata::exclusive`], and nothing is
//! answered to a client before its transaction is on disk.

use std::sync::atomic::{AtomicU64, Ordering};

use catalyst_store::{CommitError, Store, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, MutexGuard};

use crate::records::*;

/// How many numbers are reserved by one write.
const NUMBER_BLOCK: u64 = 256;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The store refused.
    #[error("cannot write the forge's records")]
    Commit(#[from] CommitError),
    /// A record cannot be read back.
    #[error("the forge's record {key} is damaged")]
    Damaged {
        /// The record's key.
        key: String,
        /// What the decoder said.
        #[source]
        source: serde_json::Error,
    },
    /// A record cannot be written as JSON.
    #[error("cannot encode a record of the forge")]
    Encode(#[source] serde_json::Error),
}

type Result<T> = std::result::Result<T, MetadataError>;

/// The forge's records.
pub struct Metadata {
    store: Store,
    exclusive: Mutex<()>,
    next: AtomicU64,
    reserved: Mutex<u64>,
}

/// Names compare without case; this is the form used in keys and directories.
pub fn key_of(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn user_key(name: &str) -> String {
    format!("forge/users/{}", key_of(name))
}
fn org_key(name: &str) -> String {
    format!("forge/orgs/{}", key_of(name))
}
fn team_key(id: u64) -> String {
    format!("forge/teams/{id:020}")
}
fn repo_key(owner: &str, name: &str) -> String {
    format!("forge/repos/{}/{}", key_of(owner), key_of(name))
}
fn token_key(digest: &str) -> String {
    format!("forge/tokens/{digest}")
}
fn hook_key(id: u64) -> String {
    format!("forge/hooks/{id:020}")
}
fn pull_key(repo: u64, number: u64) -> String {
    format!("forge/pulls/{repo:020}/{number:020}")
}
fn review_key(repo: u64, number: u64, id: u64) -> String {
    format!("forge/reviews/{repo:020}/{number:020}/{id:020}")
}
fn status_key(repo: u64, commit: &str, id: u64) -> String {
    format!("forge/statuses/{repo:020}/{commit}/{id:020}")
}
fn event_key(id: u64) -> String {
    format!("forge/events/{id:020}")
}
fn delivery_key(id: u64) -> String {
    format!("forge/deliveries/{id:020}")
}

/// Adds records to a transaction.
pub trait Write: Sized {
    /// Writes a record under a key.
    fn record<T: Serialize>(self, key: String, record: &T) -> Result<Self>;
    /// Writes a user.
    fn user(self, record: &UserRecord) -> Result<Self> {
        self.record(user_key(&record.name), record)
    }
    /// Writes an organization.
    fn org(self, record: &OrgRecord) -> Result<Self> {
        self.record(org_key(&record.name), record)
    }
    /// Writes a team.
    fn team(self, record: &TeamRecord) -> Result<Self> {
        self.record(team_key(record.id), record)
    }
    /// Writes a repository.
    fn repo(self, record: &RepoRecord) -> Result<Self> {
        self.record(repo_key(&record.owner, &record.name), record)
    }
    /// Writes a token.
    fn token(self, record: &TokenRecord) -> Result<Self> {
        self.record(token_key(&record.digest), record)
    }
    /// Writes a hook.
    fn hook(self, record: &HookRecord) -> Result<Self> {
        self.record(hook_key(record.id), record)
    }
    /// Writes a pull request.
    fn pull(self, repo: u64, record: &PullRecord) -> Result<Self> {
        self.record(pull_key(repo, record.number), record)
    }
    /// Writes a review.
    fn review(self, repo: u64, number: u64, record: &ReviewRecord) -> Result<Self> {
        self.record(review_key(repo, number, record.id), record)
    }
    /// Writes a commit status.
    fn status(self, repo: u64, commit: &str, record: &StatusRecord) -> Result<Self> {
        self.record(status_key(repo, commit, record.id), record)
    }
    /// Writes an event.
    fn event(self, record: &EventRecord) -> Result<Self> {
        self.record(event_key(record.id), record)
    }
    /// Writes a delivery.
    fn delivery(self, record: &DeliveryRecord) -> Result<Self> {
        self.record(delivery_key(record.id), record)
    }
}

impl Write for Transaction {
    fn record<T: Serialize>(self, key: String, record: &T) -> Result<Self> {
        let value = serde_json::to_vec(record).map_err(MetadataError::Encode)?;
        Ok(self.put(key, value))
    }
}

/// Removes records from a transaction.
pub trait Remove: Sized {
    /// Removes a user.
    fn without_user(self, name: &str) -> Self;
    /// Removes an organization.
    fn without_org(self, name: &str) -> Self;
    /// Removes a team.
    fn without_team(self, id: u64) -> Self;
    /// Removes a repository with everything that hangs on it.
    fn without_repo(self, record: &RepoRecord) -> Self;
    /// Removes a token.
    fn without_token(self, digest: &str) -> Self;
    /// Removes a hook.
    fn without_hook(self, id: u64) -> Self;
    /// Removes an event.
    fn without_event(self, id: u64) -> Self;
    /// Removes a delivery.
    fn without_delivery(self, id: u64) -> Self;
}

impl Remove for Transaction {
    fn without_user(self, name: &str) -> Self {
        self.delete(user_key(name))
    }
    fn without_org(self, name: &str) -> Self {
        self.delete(org_key(name))
    }
    fn without_team(self, id: u64) -> Self {
        self.delete(team_key(id))
    }
    fn without_repo(self, record: &RepoRecord) -> Self {
        let id = record.id;
        self.delete(repo_key(&record.owner, &record.name))
            .delete_prefix(format!("forge/pulls/{id:020}/"))
            .delete_prefix(format!("forge/reviews/{id:020}/"))
            .delete_prefix(format!("forge/statuses/{id:020}/"))
    }
    fn without_token(self, digest: &str) -> Self {
        self.delete(token_key(digest))
    }
    fn without_hook(self, id: u64) -> Self {
        self.delete(hook_key(id))
    }
    fn without_event(self, id: u64) -> Self {
        self.delete(event_key(id))
    }
    fn without_delivery(self, id: u64) -> Self {
        self.delete(delivery_key(id))
    }
}

impl Metadata {
    /// Wraps the store.
    pub fn new(store: Store) -> Result<Self> {
        let last: u64 = read(&store, "forge/sequence")?.unwrap_or(0);
        Ok(Self {
            store,
            exclusive: Mutex::new(()),
            next: AtomicU64::new(last + 1),
            reserved: Mutex::new(last),
        })
    }

    /// Held around a change that depends on what was read before it.
    pub async fn exclusive(&self) -> MutexGuard<'_, ()> {
        self.exclusive.lock().await
    }

    /// A number never given before, also across restarts.
    pub async fn number(&self) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let mut reserved = self.reserved.lock().await;
        if number > *reserved {
            let last = number + NUMBER_BLOCK;
            let transaction = Transaction::new().record("forge/sequence".to_owned(), &last)?;
            self.store.commit(transaction).await?;
            *reserved = last;
        }
        Ok(number)
    }

    /// Applies a transaction and waits until it is on disk.
    pub async fn commit(&self, transaction: Transaction) -> Result<()> {
        self.store.commit(transaction).await?;
        Ok(())
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Result<Option<UserRecord>> {
        read(&self.store, &user_key(name))
    }
    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserRecord>> {
        list(&self.store, "forge/users/")
    }
    /// An organization by name.
    pub fn org(&self, name: &str) -> Result<Option<OrgRecord>> {
        read(&self.store, &org_key(name))
    }
    /// All organizations, by name.
    pub fn orgs(&self) -> Result<Vec<OrgRecord>> {
        list(&self.store, "forge/orgs/")
    }
    /// A team by number.
    pub fn team(&self, id: u64) -> Result<Option<TeamRecord>> {
        read(&self.store, &team_key(id))
    }
    /// All teams of one organization.
    pub fn teams(&self, org: &str) -> Result<Vec<TeamRecord>> {
        let mut teams: Vec<TeamRecord> = self.all_teams()?;
        let org = key_of(org);
        teams.retain(|team| team.org == org);
        Ok(teams)
    }
    /// All teams.
    pub fn all_teams(&self) -> Result<Vec<TeamRecord>> {
        list(&self.store, "forge/teams/")
    }
    /// A repository by owner and name.
    pub fn repo(&self, owner: &str, name: &str) -> Result<Option<RepoRecord>> {
        read(&self.store, &repo_key(owner, name))
    }
    /// All repositories of an owner, or of everybody.
    pub fn repos(&self, owner: Option<&str>) -> Result<Vec<RepoRecord>> {
        match owner {
            Some(owner) => list(&self.store, &format!("forge/repos/{}/", key_of(owner))),
            None => list(&self.store, "forge/repos/"),
        }
    }
    /// A token by the digest of its secret.
    pub fn token(&self, digest: &str) -> Result<Option<TokenRecord>> {
        read(&self.store, &token_key(digest))
    }
    /// All tokens of a user.
    pub fn tokens(&self, user: &str) -> Result<Vec<TokenRecord>> {
        let mut tokens: Vec<TokenRecord> = list(&self.store, "forge/tokens/")?;
        let user = key_of(user);
        tokens.retain(|token| token.user == user);
        tokens.sort_by_key(|token| token.id);
        Ok(tokens)
    }
    /// A hook by number.
    pub fn hook(&self, id: u64) -> Result<Option<HookRecord>> {
        read(&self.store, &hook_key(id))
    }
    /// All hooks of a scope.
    pub fn hooks(&self, scope: &HookScope) -> Result<Vec<HookRecord>> {
        let mut hooks: Vec<HookRecord> = list(&self.store, "forge/hooks/")?;
        hooks.retain(|hook| hook.scope == *scope);
        Ok(hooks)
    }
    /// A pull request.
    pub fn pull(&self, repo: u64, number: u64) -> Result<Option<PullRecord>> {
        read(&self.store, &pull_key(repo, number))
    }
    /// All pull requests of a repository, oldest first.
    pub fn pulls(&self, repo: u64) -> Result<Vec<PullRecord>> {
        list(&self.store, &format!("forge/pulls/{repo:020}/"))
    }
    /// A review.
    pub fn review(&self, repo: u64, number: u64, id: u64) -> Result<Option<ReviewRecord>> {
        read(&self.store, &review_key(repo, number, id))
    }
    /// All reviews of a pull request, oldest first.
    pub fn reviews(&self, repo: u64, number: u64) -> Result<Vec<ReviewRecord>> {
        list(
            &self.store,
            &format!("forge/reviews/{repo:020}/{number:020}/"),
        )
    }
    /// All statuses of a commit, oldest first.
    pub fn statuses(&self, repo: u64, commit: &str) -> Result<Vec<StatusRecord>> {
        list(&self.store, &format!("forge/statuses/{repo:020}/{commit}/"))
    }
    /// All waiting events, oldest first.
    pub fn events(&self) -> Result<Vec<EventRecord>> {
        list(&self.store, "forge/events/")
    }
    /// All waiting deliveries, oldest first.
    pub fn deliveries(&self) -> Result<Vec<DeliveryRecord>> {
        list(&self.store, "forge/deliveries/")
    }
}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|source| MetadataError::Damaged {
        key: String::from_utf8_lossy(key).into_owned(),
        source,
    })
}

fn read<T: DeserializeOwned>(store: &Store, key: &str) -> Result<Option<T>> {
    store
        .get(key)
        .map(|entry| decode(&entry.key, &entry.value))
        .transpose()
}

fn list<T: DeserializeOwned>(store: &Store, prefix: &str) -> Result<Vec<T>> {
    let page = store.range(prefix, None, 0);
    page.entries
        .iter()
        .map(|entry| decode(&entry.key, &entry.value))
        .collect()
}
