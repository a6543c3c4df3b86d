//! A record in the OSV schema (<https://ossf.github.io/osv-schema/>, 1.x), as much of it
//! as is asked for here. What is not known is passed over, as the schema wants it.

use serde::Deserialize;
use serde_json::Value;

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not a record.
    #[error("it is no OSV record: {0}")]
    Schema(#[from] serde_json::Error),
    /// Its time of change is no time.
    #[error("the record {id} was changed at {text:?}, which is no time")]
    Time {
        /// The record.
        id: String,
        /// What stands there.
        text: String,
    },
    /// The database has more than is kept.
    #[error(
        "it has more than the {limit} MiB that are kept of a database; use those of the ecosystems that you need"
    )]
    TooMuch {
        /// How much is kept.
        limit: usize,
    },
}

#[derive(Debug, Deserialize)]
pub struct Record {
    pub id: String,
    #[serde(default)]
    pub modified: Option<String>,
    #[serde(default)]
    pub withdrawn: Option<String>,
    #[serde(default)]
    pub aliases: Option<Vec<String>>,
    /// What a distribution's record is about.
    #[serde(default)]
    pub upstream: Option<Vec<String>>,
    #[serde(default)]
    pub summary: Option<String>,
    #[serde(default)]
    pub details: Option<String>,
    #[serde(default)]
    pub severity: Option<Vec<Score>>,
    #[serde(default)]
    pub affected: Option<Vec<Affected>>,
    #[serde(default)]
    pub database_specific: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct Score {
    #[serde(default)]
    pub score: String,
}

#[derive(Debug, Deserialize)]
pub struct Affected {
    #[serde(default)]
    pub package: Option<Named>,
    #[serde(default)]
    pub severity: Option<Vec<Score>>,
    #[serde(default)]
    pub ranges: Option<Vec<Range>>,
    #[serde(default)]
    pub versions: Option<Vec<String>>,
    #[serde(default)]
    pub ecosystem_specific: Option<Value>,
    #[serde(default)]
    pub database_specific: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct Named {
    #[serde(default)]
    pub ecosystem: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub purl: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Range {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub events: Option<Vec<Event>>,
}

#[derive(Debug, Deserialize)]
pub struct Event {
    #[serde(default)]
    pub introduced: Option<String>,
    #[serde(default)]
    pub fixed: Option<String>,
    #[serde(default)]
    pub last_affected: Option<String>,
    #[serde(default)]
    pub limit: Option<String>,
}
