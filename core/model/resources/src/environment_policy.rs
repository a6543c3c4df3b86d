//! EnvironmentPolicy: what a change must satisfy before it enters an
//! Environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules and the Environments they bind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentPolicySpec {
    /// Which Environments are bound.
    pub applies_to: PolicyTarget,
    /// All of them must be satisfied.
    pub rules: Vec<PolicyRule>,
}

/// Environments by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyTarget {
    /// Their names.
    pub environments: Vec<String>,
}

/// One rule. `kind` says which of the other fields count; a struct rather than
/// an enum, because structural schemas have no tagged unions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// What kind of rule this is.
    pub kind: RuleKind,
    /// pr-required: who may approve; anybody with write access if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// pr-required: how many approvals by others than the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub min_approvals: Option<i32>,
    /// soak: where the version must have run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_environment: Option<String>,
    /// soak: for how long, such as `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// change-window: when changes may enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ChangeWindow>,
    /// score-gate: the least score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f64>,
    /// score-gate: the worst finding that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// When changes may enter an Environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeWindow {
    /// When it opens, as a cron expression in UTC.
    pub cron: String,
    /// How long it stays open, such as `2h`.
    pub duration: String,
}

/// The kinds of rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// Changes come by approved pull request.
    PrRequired,
    /// A version must have run elsewhere first.
    Soak,
    /// Changes enter at certain times.
    ChangeWindow,
    /// A version must score high enough.
    ScoreGate,
}
