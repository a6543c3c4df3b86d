//! Facts: what was observed, as it stands on the spine.
//!
//! A fact says everything that is known of one thing, so the newest message of
//! a subject replaces all earlier ones, and the state of the world does not
//! depend on how often or in which order things were seen before.

use catalyst_ports::{SYSTEM_STREAM, SpineMessage, subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kinds::Watched;
use crate::place::{place_of_namespace, split_vcluster};

/// An observation; `fact` tells which in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// An object of a cluster, as [`crate::strip::strip`] lets it through.
    Object(ObjectFact),
    /// An object that is there no more.
    Gone(GoneFact),
    /// A commit that came into a repository's main branch.
    Commit(CommitFact),
    /// A pull request.
    Pull(PullFact),
    /// What one user said of a pull request.
    Review(ReviewFact),
}

/// An object of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectFact {
    /// Qualified name of the cluster.
    pub cluster: String,
    /// The Application that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// What is known of it.
    pub object: Value,
}

/// An object that is there no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneFact {
    /// Qualified name of the cluster.
    pub cluster: String,
    /// The Application that it belonged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFact {
    /// Its id.
    pub commit: String,
    /// Whose change it is.
    pub author: String,
    /// Their mail address.
    pub email: String,
    /// When, RFC 3339.
    pub at: String,
    /// The message's first line.
    pub subject: String,
    /// The trailer `Catalyst-Command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Who pushed it.
    pub pusher: String,
    /// Paths that it touches.
    pub files: Vec<String>,
}

impl CommitFact {
    /// The user who pushed or merged it. What the control plane commits for a user it
    /// pushes itself; the trailer marks it, and no push may bring one.
    pub fn pushed_by(&self) -> Option<&str> {
        let is_push = self.command.is_none() && !self.pusher.is_empty();
        is_push.then_some(self.pusher.as_str())
    }
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullFact {
    /// Its number.
    pub number: u64,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// When, RFC 3339.
    pub created_at: String,
    /// open, merged or closed.
    pub state: String,
    /// The branch that it brings; facts of an earlier release do not say.
    #[serde(default)]
    pub branch: String,
    /// The commit that it brings.
    pub head: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewFact {
    /// The pull request.
    pub number: u64,
    /// Who.
    pub user: String,
    /// Whether they approve.
    pub approved: bool,
    /// The commit that they looked at.
    pub head: String,
}

/// A fact with its place on the spine.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Where it stands in its stream.
    pub sequence: u64,
    /// When the spine received it.
    pub time: Timestamp,
    /// What it says.
    pub fact: Fact,
}

/// Where a fact goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The stream.
    pub stream: String,
    /// The subject.
    pub subject: String,
}

/// Where the facts of an object of a cluster go, and whose it is. `None` for
/// objects that belong to no Environment of the vcluster.
pub fn address_of_object(
    cluster: &str,
    watched: &Watched,
    metadata: &Value,
) -> Option<(Address, Option<String>)> {
    let text = |pointer: &str| metadata.pointer(pointer).and_then(Value::as_str);
    let name = text("/name")?;
    let namespace = text("/namespace").unwrap_or_default();
    let Some((host, organization)) = split_vcluster(cluster) else {
        // A host cluster or the management cluster. A name that several
        // namespaces or clusters could have is qualified.
        let name = match watched.kind {
            "VCluster" => format!("{cluster}-{name}"),
            _ => name.to_owned(),
        };
        let kind = watched.kind.to_lowercase();
        let address = Address {
            stream: SYSTEM_STREAM.to_owned(),
            subject: subject([SYSTEM_STREAM, &kind, &name]),
        };
        return Some((address, None));
    };
    if is_bookkeeping(watched.kind, name) {
        return None;
    }
    let place = place_of_namespace(&organization, &host, namespace)?;
    let by_label = text("/labels/openova.io~1application").map(str::to_owned);
    let application = match (watched.kind, place.application) {
        ("Application", _) => Some(name.to_owned()),
        (_, Some(application)) => Some(application),
        (_, None) => by_label,
    };
    let parts = [
        "ws",
        place.environment.as_str(),
        "k8s",
        cluster,
        watched.group,
        watched.kind,
        namespace,
        name,
    ];
    let address = Address {
        subject: subject(parts),
        stream: place.environment.clone(),
    };
    Some((address, application))
}

/// What Kubernetes and Helm keep for themselves in every namespace is nobody's
/// object.
fn is_bookkeeping(kind: &str, name: &str) -> bool {
    match kind {
        "ConfigMap" => name == "kube-root-ca.crt",
        "Secret" => name.starts_with("sh.helm.release.v1."),
        _ => false,
    }
}

/// Where a commit of an Environment's repository goes.
pub fn address_of_commit(environment: &str, commit: &str) -> Address {
    Address {
        stream: environment.to_owned(),
        subject: subject(["ws", environment, "git", commit]),
    }
}

/// Where a pull request of an Environment's repository goes, or what a user
/// says of it.
pub fn address_of_pull(environment: &str, number: u64, reviewer: Option<&str>) -> Address {
    let number = number.to_string();
    let mut parts = vec!["ws", environment, "pull", number.as_str()];
    if let Some(user) = reviewer {
        parts.extend(["review", user]);
    }
    Address {
        stream: environment.to_owned(),
        subject: subject(parts),
    }
}

/// Reads a message; `None` for what is no fact of ours.
pub fn read(message: &SpineMessage) -> Option<Held> {
    match serde_json::from_slice(&message.payload) {
        Ok(fact) => Some(Held {
            sequence: message.sequence,
            time: message.time,
            fact,
        }),
        Err(error) => {
            tracing::warn!(subject = message.subject, %error, "message is no fact");
            None
        }
    }
}

/// The id of an object's fact: two sightings of one state are one message.
pub fn revision_of(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}+{}",
        text("/metadata/uid"),
        text("/metadata/resourceVersion")
    )
}
