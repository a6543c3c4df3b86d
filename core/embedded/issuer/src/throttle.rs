//! Growing delays against guessing, per account and per address, kept in the
//! store so that a restart forgives nothing.
//!
//! An attempt is counted before the password is checked and taken back when it
//! was right: parallel guesses cannot slip through together. Names that do not
//! exist are counted like names that do.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::Error;
use crate::records::{Change, Found, Records, Seconds, ThrottleRecord};
use crate::secret;

/// Failures of one account before the first delay.
const ACCOUNT_FREE: u32 = 4;
/// Failures from one address before the first delay.
const ADDRESS_FREE: u32 = 20;
const LONGEST_DELAY: Seconds = 900;
/// Failures are forgotten this long after the last delay.
const MEMORY: Seconds = 3600;
const RETRIES: usize = 16;

/// The answer to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Counted; check the secret now.
    Proceed,
    /// Refused; try again after so many seconds.
    Wait(Seconds),
}

/// Who is guessing at what.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    account: String,
    address: String,
}

impl Subject {
    /// `realm` keeps passwords and device codes apart.
    pub(crate) fn new(realm: &str, account: &str, address: Option<IpAddr>) -> Self {
        Self {
            account: format!("{realm}-account-{}", secret::fingerprint(account)),
            address: format!("{realm}-address-{}", network(address)),
        }
    }
}

/// Counts an attempt as failed, unless it comes too early.
pub(crate) async fn begin(
    records: &Records,
    subject: &Subject,
    now: Seconds,
) -> Result<Verdict, Error> {
    let mut attempt = 0;
    loop {
        let account = records.get::<ThrottleRecord>(&subject.account)?;
        let address = records.get::<ThrottleRecord>(&subject.address)?;
        let wait = [&account, &address]
            .into_iter()
            .flatten()
            .map(|found| found.value.blocked_until.saturating_sub(now))
            // A longer one was written by a clock that has been set back since;
            // the count it goes with stays.
            .filter(|wait| *wait <= LONGEST_DELAY)
            .max()
            .unwrap_or(0);
        if wait > 0 {
            return Ok(Verdict::Wait(wait));
        }
        let change = Change::new();
        let change = count(change, &subject.account, account, ACCOUNT_FREE, now)?;
        let change = count(change, &subject.address, address, ADDRESS_FREE, now)?;
        match records.commit(change).await {
            Ok(()) => return Ok(Verdict::Proceed),
            // Somebody else's attempt was counted in between: look again.
            Err(error) if error.is_conflict() && attempt < RETRIES => attempt += 1,
            Err(error) if error.is_conflict() => return Ok(Verdict::Wait(1)),
            Err(error) => return Err(error),
        }
    }
}

/// Takes back what [`begin`] counted: the account starts afresh, the address
/// loses one failure.
pub(crate) async fn succeed(
    records: &Records,
    subject: &Subject,
    now: Seconds,
) -> Result<(), Error> {
    for _ in 0..RETRIES {
        let mut change = Change::new().delete::<ThrottleRecord>(&subject.account);
        if let Some(found) = records.get::<ThrottleRecord>(&subject.address)? {
            let failures = found.value.failures.saturating_sub(1);
            change = change.when_unmodified(&found);
            change = if failures == 0 {
                change.delete::<ThrottleRecord>(&subject.address)
            } else {
                change.put(&subject.address, &record(failures, ADDRESS_FREE, now))?
            };
        }
        match records.commit(change).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    // The address is busy; one failure too many in its count does no harm.
    records
        .commit(Change::new().delete::<ThrottleRecord>(&subject.account))
        .await
}

fn count(
    change: Change,
    id: &str,
    found: Option<Found<ThrottleRecord>>,
    free: u32,
    now: Seconds,
) -> Result<Change, Error> {
    let failures = match &found {
        Some(found) if found.value.forgotten > now => found.value.failures,
        _ => 0,
    };
    let change = match &found {
        Some(found) => change.when_unmodified(found),
        None => change.when_absent::<ThrottleRecord>(id),
    };
    change.put(id, &record(failures.saturating_add(1), free, now))
}

fn record(failures: u32, free: u32, now: Seconds) -> ThrottleRecord {
    let blocked_until = now.saturating_add(delay(failures, free));
    ThrottleRecord {
        failures,
        blocked_until,
        forgotten: blocked_until.saturating_add(MEMORY),
    }
}

/// Nothing for the free failures, then 1 s, 2 s, 4 s and so on.
fn delay(failures: u32, free: u32) -> Seconds {
    match failures.checked_sub(free) {
        None | Some(0) => 0,
        Some(over) => 1_i64
            .checked_shl(over - 1)
            .filter(|delay| *delay > 0)
            .map_or(LONGEST_DELAY, |delay| delay.min(LONGEST_DELAY)),
    }
}

/// An IPv6 caller owns a /64 at least; callers without a known address share
/// one count.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let delays: Vec<_> = (1..=9)
            .map(|failures| delay(failures, ACCOUNT_FREE))
            .collect();
        assert_eq!(delays, [0, 0, 0, 0, 1, 2, 4, 8, 16]);
        for failures in [20, 63, 64, 68, 69, 70, 1000, u32::MAX] {
            assert_eq!(delay(failures, ACCOUNT_FREE), LONGEST_DELAY, "{failures}");
        }
    }

    #[test]
    fn an_address_counts_as_its_network() {
        let network = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }
}
