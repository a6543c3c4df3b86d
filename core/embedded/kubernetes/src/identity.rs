//! Who makes a request.

use serde_json::{Value, json};

/// An authenticated user. The binary may put one into a request's extensions
/// (a client certificate, a client inside the process); a request with one is
/// not authenticated again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name, such as `jane` or `system:serviceaccount:ns:name`.
    pub user: String,
    /// Groups, such as `system:masters`.
    pub groups: Vec<String>,
}

impl Identity {
    /// A user who may do everything in every cluster.
    pub fn administrator(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
        }
    }

    /// The service account of that name.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".into(),
            ],
        }
    }

    /// Whether the user belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }

    /// Whether the user may do everything.
    pub fn is_administrator(&self) -> bool {
        self.is_in("system:masters")
    }

    pub(crate) fn to_user_info(&self) -> Value {
        json!({"username": self.user, "groups": self.groups})
    }
}
