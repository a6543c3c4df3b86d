//! Tokens: made from a parent, alive while unexpired and while every ancestor
//! is, found only by their keyed hash.
//!
//! - `vault/token/<hash>`: the sealed record
//! - `vault/accessor/<accessor>`: the hash, sealed

use std::collections::{HashMap, HashSet};

use catalyst_store::{CommitError, Condition, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::Inner;
use crate::http::Failure;
use crate::policy::{self, Capability, Policy};
use crate::{durations, seal};

const TOKEN: &str = "vault/token/";
const ACCESSOR: &str = "vault/accessor/";
const POLICY: &str = "vault/policy/";

/// Vault's own default: 32 days.
pub(crate) const LONGEST: u64 = 32 * 24 * 3600;

/// No chain of tokens is deeper; a deeper one is refused when made.
const DEEPEST: usize = 32;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) accessor: String,
    pub(crate) policies: Vec<String>,
    pub(crate) parent: Option<String>,
    pub(crate) created: Timestamp,
    /// Seconds given at the last creation or renewal; 0: never expires.
    pub(crate) ttl: u64,
    pub(crate) creation_ttl: u64,
    pub(crate) expires: Option<Timestamp>,
    /// Renewal never goes past this.
    pub(crate) last_expiry: Option<Timestamp>,
    pub(crate) explicit_max_ttl: u64,
    pub(crate) period: u64,
    pub(crate) is_renewable: bool,
    pub(crate) display_name: String,
    pub(crate) meta: Map<String, Value>,
}

/// Who sent a request, with the policies as they are now.
pub(crate) struct Caller {
    /// `None` for the root token, which has no record.
    pub(crate) token: Option<(String, TokenRecord)>,
    policies: Vec<Policy>,
}

/// What a token shall be, as the API's request says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewToken {
    id: Option<String>,
    policies: Option<Vec<String>>,
    meta: Option<Map<String, Value>>,
    no_parent: bool,
    no_default_policy: bool,
    renewable: Option<bool>,
    ttl: Value,
    lease: Value,
    explicit_max_ttl: Value,
    period: Value,
    display_name: Option<String>,
    num_uses: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Caller {
    pub(crate) fn is_root(&self) -> bool {
        self.token
            .as_ref()
            .is_none_or(|(_, record)| record.policies.iter().any(|it| it == "root"))
    }

    /// What the caller may do on a path. A listing's path may be granted with
    /// or without the slash at its end.
    pub(crate) fn granted(&self, path: &str) -> Vec<Capability> {
        match (
            policy::granted(&self.policies, path),
            path.strip_suffix('/'),
        ) {
            (Some(granted), _) => granted,
            (None, Some(bare)) => policy::granted(&self.policies, bare)
                .unwrap_or_default()
                .into_iter()
                .filter(|it| *it == Capability::List)
                .collect(),
            (None, None) => Vec::new(),
        }
    }

    pub(crate) fn may(&self, path: &str, capability: Capability) -> bool {
        self.is_root() || self.granted(path).contains(&capability)
    }
}

impl Inner {
    /// Who holds this token; `None` if nobody does (any more).
    pub(crate) fn caller(&self, token: &str) -> Option<Caller> {
        let hash = self.seal.hash_token(token);
        if bool::from(hash.as_bytes().ct_eq(self.root_hash.as_bytes())) {
            return Some(Caller {
                token: None,
                policies: Vec::new(),
            });
        }
        let record = self.token_alive(&hash)?;
        let policies = record
            .policies
            .iter()
            .filter_map(|name| self.policy(name))
            .collect();
        Some(Caller {
            token: Some((hash, record)),
            policies,
        })
    }

    /// The record of a token that has not expired and whose ancestors all
    /// live.
    pub(crate) fn token_alive(&self, hash: &str) -> Option<TokenRecord> {
        let record = self.token_record(hash)?;
        let mut parent = self.is_unexpired(&record).then(|| record.parent.clone())?;
        for _ in 0..DEEPEST {
            let Some(above) = parent else {
                return Some(record);
            };
            let ancestor = self.token_record(&above)?;
            if !self.is_unexpired(&ancestor) {
                return None;
            }
            parent = ancestor.parent;
        }
        None
    }

    pub(crate) fn token_by_accessor(&self, accessor: &str) -> Option<String> {
        let key = format!("{ACCESSOR}{accessor}");
        self.get_record::<String>(&key).map(|(hash, _)| hash)
    }

    /// A policy as it is now; one that was deleted grants nothing.
    fn policy(&self, name: &str) -> Option<Policy> {
        let (source, _) = self.policy_source(name)?;
        Policy::parse(&source).ok()
    }

    pub(crate) fn policy_source(&self, name: &str) -> Option<(String, bool)> {
        match self.get_record::<String>(&format!("{POLICY}{name}")) {
            Some((source, _)) => Some((source, true)),
            None if name == "default" => Some((policy::DEFAULT.to_owned(), false)),
            None => None,
        }
    }

    pub(crate) fn policy_names(&self) -> Vec<String> {
        let page = self.store.range(POLICY, None, 0);
        let mut names: Vec<_> = page
            .entries
            .iter()
            .filter_map(|entry| std::str::from_utf8(&entry.key).ok()?.strip_prefix(POLICY))
            .map(str::to_owned)
            .chain(["default".to_owned(), "root".to_owned()])
            .collect();
        names.sort();
        names.dedup();
        names
    }

    pub(crate) async fn policy_put(&self, name: &str, source: &str) -> Result<(), Failure> {
        Policy::parse(source).map_err(|error| Failure::bad_request(error.to_string()))?;
        let key = format!("{POLICY}{name}");
        let sealed = self.close_record(&key, &source)?;
        self.store
            .commit(Transaction::new().put(key, sealed))
            .await?;
        Ok(())
    }

    pub(crate) async fn policy_delete(&self, name: &str) -> Result<(), Failure> {
        self.store
            .commit(Transaction::new().delete(format!("{POLICY}{name}")))
            .await?;
        Ok(())
    }

    /// Makes a token below the caller's; returns it with its record.
    pub(crate) async fn token_create(
        &self,
        caller: &Caller,
        wanted: NewToken,
        may_escalate: bool,
    ) -> Result<(String, TokenRecord), Failure> {
        if wanted.num_uses != 0 || wanted.id.is_some() {
            return Err(Failure::bad_request(
                "`num_uses` and `id` are not supported",
            ));
        }
        if wanted
            .kind
            .as_deref()
            .is_some_and(|kind| kind != "service" && kind != "default")
        {
            return Err(Failure::bad_request("only service tokens are supported"));
        }
        let own = caller.token.as_ref();
        let mut policies = match wanted.policies {
            Some(policies) if !policies.is_empty() => policies,
            _ => own.map_or_else(|| vec!["root".to_owned()], |(_, it)| it.policies.clone()),
        };
        let is_root = policies.iter().any(|it| it == "root");
        if is_root && !caller.is_root() {
            return Err(Failure::bad_request(
                "root tokens may not be created without parent being root",
            ));
        }
        if !is_root && !wanted.no_default_policy {
            policies.push("default".to_owned());
        }
        policies.sort();
        policies.dedup();
        // Nobody hands on what they do not hold themselves.
        if let Some((_, record)) = own.filter(|_| !may_escalate) {
            let held: HashSet<_> = record.policies.iter().collect();
            if policies
                .iter()
                .any(|it| it != "default" && !held.contains(it))
            {
                return Err(Failure::bad_request(
                    "child policies must be subset of parent",
                ));
            }
        }
        if wanted.no_parent && !may_escalate {
            return Err(Failure::bad_request(
                "root or sudo privileges required to create orphan token",
            ));
        }
        let duration = |value: &Value| match value {
            Value::Null => Ok(0),
            value => durations::parse(value).ok_or_else(|| {
                Failure::bad_request("a ttl is no duration; write seconds or `1h30m`")
            }),
        };
        let period = duration(&wanted.period)?;
        if period > 0 && !may_escalate {
            return Err(Failure::bad_request(
                "root or sudo privileges required to create periodic token",
            ));
        }
        let explicit_max_ttl = duration(&wanted.explicit_max_ttl)?;
        let asked = match duration(&wanted.ttl)? {
            0 => duration(&wanted.lease)?,
            ttl => ttl,
        };
        let now = self.now();
        let longest = if explicit_max_ttl > 0 {
            explicit_max_ttl.min(LONGEST)
        } else {
            LONGEST
        };
        let ttl = match (period, asked) {
            (0, 0) if is_root => 0,
            (0, 0) => longest,
            (0, asked) => asked.min(longest),
            (period, _) => period.min(longest),
        };
        let last_expiry = match (ttl, period, explicit_max_ttl) {
            (0, _, _) => None,
            (_, 1.., 0) => None,
            _ => Some(after(now, longest)?),
        };
        let parent = if wanted.no_parent {
            None
        } else {
            own.map(|(hash, _)| hash.clone())
        };
        let record = TokenRecord {
            accessor: seal::random_text().ok_or_else(Failure::sealing)?,
            policies,
            parent,
            created: now,
            ttl,
            creation_ttl: ttl,
            expires: if ttl == 0 {
                None
            } else {
                Some(after(now, ttl)?)
            },
            last_expiry,
            explicit_max_ttl,
            period,
            is_renewable: wanted.renewable.unwrap_or(true) && ttl > 0,
            display_name: match wanted.display_name {
                Some(name) => format!("token-{name}"),
                None => "token".to_owned(),
            },
            meta: wanted.meta.unwrap_or_default(),
        };
        if self.depth(&record) >= DEEPEST {
            return Err(Failure::bad_request(
                "the chain of parent tokens is too long",
            ));
        }
        let token = format!("hvs.{}", seal::random_text().ok_or_else(Failure::sealing)?);
        let hash = self.seal.hash_token(&token);
        let (key, accessor) = (
            format!("{TOKEN}{hash}"),
            format!("{ACCESSOR}{}", record.accessor),
        );
        let mut transaction = Transaction::new().when(Condition::Absent(key.clone().into()));
        if let Some(parent) = &record.parent {
            transaction = transaction.when(Condition::Present(format!("{TOKEN}{parent}").into()));
        }
        let sealed = self.close_record(&key, &record)?;
        let pointer = self.close_record(&accessor, &hash)?;
        match self
            .store
            .commit(transaction.put(key, sealed).put(accessor, pointer))
            .await
        {
            Ok(_) => Ok((token, record)),
            // The parent was revoked meanwhile.
            Err(CommitError::Conflict { .. }) => Err(Failure::denied()),
            Err(error) => Err(error.into()),
        }
    }

    /// Extends a token's life, as far as its limits allow.
    pub(crate) async fn token_renew(
        &self,
        hash: &str,
        increment: &Value,
    ) -> Result<TokenRecord, Failure> {
        let key = format!("{TOKEN}{hash}");
        loop {
            let (mut record, modified) = self
                .get_record::<TokenRecord>(&key)
                .ok_or_else(Failure::denied)?;
            if !record.is_renewable {
                return Err(Failure::bad_request("lease is not renewable"));
            }
            let asked = match increment {
                Value::Null => 0,
                value => durations::parse(value)
                    .ok_or_else(|| Failure::bad_request("the increment is no duration"))?,
            };
            let ttl = match (record.period, asked) {
                (0, 0) => record.creation_ttl,
                (0, asked) => asked.min(LONGEST),
                (period, _) => period,
            };
            let now = self.now();
            let mut expires = after(now, ttl)?;
            if let Some(last) = record.last_expiry {
                expires = expires.min(last);
            }
            record.expires = Some(expires);
            record.ttl = seconds_until(now, expires);
            let transaction = Transaction::new()
                .when(Condition::Unmodified(key.clone().into(), modified))
                .put(key.clone(), self.close_record(&key, &record)?);
            match self.store.commit(transaction).await {
                Ok(_) => return Ok(record),
                Err(CommitError::Conflict { found: Some(_), .. }) => {}
                Err(CommitError::Conflict { .. }) => return Err(Failure::denied()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends a token and every token made below it.
    pub(crate) async fn token_revoke(&self, hash: &str) -> Result<(), CommitError> {
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        for (child, record) in self.token_records() {
            if let Some(parent) = record.parent {
                children.entry(parent).or_default().push(child);
            }
        }
        // A child made after this look dies too: its ancestor is gone.
        let mut ended = vec![hash.to_owned()];
        let mut next = vec![hash.to_owned()];
        while let Some(parent) = next.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                ended.push(child.clone());
                next.push(child);
            }
        }
        self.tokens_remove(&ended).await
    }

    pub(crate) async fn tokens_sweep(&self) -> Result<usize, CommitError> {
        let dead: Vec<String> = self
            .token_records()
            .into_iter()
            .map(|(hash, _)| hash)
            .filter(|hash| self.token_alive(hash).is_none())
            .collect();
        if !dead.is_empty() {
            self.tokens_remove(&dead).await?;
        }
        Ok(dead.len())
    }

    /// The fields that a lookup shows, without the token itself.
    pub(crate) fn token_view(&self, record: &TokenRecord) -> Value {
        let now = self.now();
        json!({
            "accessor": record.accessor,
            "creation_time": record.created.as_second(),
            "creation_ttl": record.creation_ttl,
            "display_name": record.display_name,
            "entity_id": "",
            "expire_time": record.expires.map(|it| it.to_string()),
            "explicit_max_ttl": record.explicit_max_ttl,
            "issue_time": record.created.to_string(),
            "meta": record.meta,
            "num_uses": 0,
            "orphan": record.parent.is_none(),
            "path": "auth/token/create",
            "period": record.period,
            "policies": record.policies,
            "renewable": record.is_renewable,
            "ttl": record.expires.map_or(0, |it| seconds_until(now, it)),
            "type": "service",
        })
    }

    /// The `auth` part of an answer that hands out or renews a token.
    pub(crate) fn token_auth(&self, token: &str, record: &TokenRecord) -> Value {
        json!({
            "client_token": token,
            "accessor": record.accessor,
            "policies": record.policies,
            "token_policies": record.policies,
            "metadata": record.meta,
            "lease_duration": record.ttl,
            "renewable": record.is_renewable,
            "entity_id": "",
            "token_type": "service",
            "orphan": record.parent.is_none(),
            "mfa_requirement": null,
            "num_uses": 0,
        })
    }

    async fn tokens_remove(&self, hashes: &[String]) -> Result<(), CommitError> {
        let mut transaction = Transaction::new();
        for hash in hashes {
            if let Some(record) = self.token_record(hash) {
                transaction = transaction.delete(format!("{ACCESSOR}{}", record.accessor));
            }
            transaction = transaction.delete(format!("{TOKEN}{hash}"));
        }
        self.store.commit(transaction).await.map(drop)
    }

    fn token_records(&self) -> Vec<(String, TokenRecord)> {
        let page = self.store.range(TOKEN, None, 0);
        page.entries
            .iter()
            .filter_map(|entry| {
                let hash = std::str::from_utf8(&entry.key)
                    .ok()?
                    .strip_prefix(TOKEN)?
                    .to_owned();
                let record = self.token_record(&hash)?;
                Some((hash, record))
            })
            .collect()
    }

    fn token_record(&self, hash: &str) -> Option<TokenRecord> {
        self.get_record(&format!("{TOKEN}{hash}"))
            .map(|(record, _)| record)
    }

    fn is_unexpired(&self, record: &TokenRecord) -> bool {
        record.expires.is_none_or(|expires| expires > self.now())
    }

    fn depth(&self, record: &TokenRecord) -> usize {
        let mut depth = 0;
        let mut parent = record.parent.clone();
        while let Some(above) = parent.filter(|_| depth < DEEPEST) {
            depth += 1;
            parent = self.token_record(&above).and_then(|it| it.parent);
        }
        depth
    }
}

fn after(now: Timestamp, seconds: u64) -> Result<Timestamp, Failure> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok())
        .ok_or_else(|| Failure::bad_request("the duration is too long"))
}

fn seconds_until(now: Timestamp, then: Timestamp) -> u64 {
    u64::try_from(then.duration_since(now).as_secs()).unwrap_or(0)
}
