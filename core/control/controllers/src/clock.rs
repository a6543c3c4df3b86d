//! What time it is, for what is written down.

use jiff::Timestamp;

/// Now, RFC 3339 in UTC, to the second, as Kubernetes writes times.
pub fn now() -> String {
    at(Timestamp::now())
}

/// A time as Kubernetes writes it.
pub fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Seconds from an RFC 3339 time until now; none when it cannot be read.
pub fn seconds_since(text: &str) -> Option<i64> {
    let then: Timestamp = text.parse().ok()?;
    Some(Timestamp::now().as_second() - then.as_second())
}
