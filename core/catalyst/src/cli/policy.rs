//! `catalyst policy`: what a change must satisfy before it enters an Environment.

use std::path::{Path, PathBuf};

use anyhow::Context;
use catalyst_api::{Accepted, Page, PolicyView};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, Common};
use super::apply::{self, Metadata};
use super::failure::hinted;
use super::output::say;
use super::prepare::said;
use super::shown;

/// The kind of the rule that the options stand for.
const APPROVALS: &str = "pr-required";

/// Set and delete the policies of Environments; `catalyst get policies` shows them.
#[derive(Debug, clap::Args)]
pub struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Set(Set),
    Delete(Delete),
}

/// Create or change a policy: by how many approvals it asks for, or whole from a file.
#[derive(Debug, clap::Args)]
struct Set {
    /// The policy's name; its other rules stay.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// An Environment that it binds; those that it binds already unless given. May be
    /// given more than once.
    #[arg(long, short, value_name = "NAME", conflicts_with = "file")]
    environment: Vec<String>,
    /// How many others than its author must approve a pull request.
    #[arg(
        long,
        value_name = "NUMBER",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    approvals: Option<u32>,
    /// A user whose approval counts; whoever may change the Environment unless given.
    /// May be given more than once.
    #[arg(long, value_name = "USER", conflicts_with = "file")]
    approver: Vec<String>,
    /// EnvironmentPolicies as they shall be (YAML); `-` is standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Delete a policy.
#[derive(Debug, clap::Args)]
struct Delete {
    /// The policy's name.
    name: String,
    #[command(flatten)]
    common: Common,
}

/// An EnvironmentPolicy as a file has it.
#[derive(Debug, Deserialize)]
struct Manifest {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    applies_to: Target,
    #[serde(default)]
    rules: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    environments: Vec<String>,
}

impl Policy {
    /// Carries it out.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Set(it) => it.run().await,
            What::Delete(it) => it.run().await,
        }
    }
}

impl Set {
    async fn run(&self) -> anyhow::Result<()> {
        let wanted = self.file.as_deref().map(from_file).transpose()?;
        let api = self.common.connection.api().await?;
        let there: Vec<PolicyView> = api.list(&["policies"]).await?;
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => vec![self.asked(&there)?],
        };
        for policy in wanted {
            let path = ["policies", &policy.name];
            let accepted: Accepted = api.put(Method::PUT, &path, &policy).await?;
            let subject = format!("Set the policy {}", policy.name);
            said(&accepted, &subject, self.common.output)?;
            if accepted.commit.is_some() {
                until_changed(&api, &policy.name, named(&there, &policy.name)).await;
            }
        }
        Ok(())
    }

    /// The policy that the options ask for, with what it has already.
    fn asked(&self, there: &[PolicyView]) -> anyhow::Result<PolicyView> {
        let name = self.name.clone().unwrap_or_default();
        let before = named(there, &name);
        let environments = match (self.environment.is_empty(), before) {
            (false, _) => self.environment.clone(),
            (true, Some(before)) => before.environments.clone(),
            (true, None) => {
                return Err(hinted(
                    format!("nothing says which Environments the policy {name} binds"),
                    "name them with --environment, such as -e acme-prod",
                ));
            }
        };
        let mut rules = before.map_or_else(Vec::new, |before| before.rules.clone());
        rules.retain(|rule| rule.get("kind").and_then(Value::as_str) != Some(APPROVALS));
        let mut rule = json!({"kind": APPROVALS, "minApprovals": self.approvals});
        if let (Some(rule), false) = (rule.as_object_mut(), self.approver.is_empty()) {
            rule.insert("approvers".to_owned(), json!(self.approver));
        }
        rules.push(rule);
        Ok(PolicyView {
            name,
            environments,
            rules,
        })
    }
}

impl Delete {
    async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let accepted: Option<Accepted> = api.delete(&["policies", &self.name]).await?;
        let subject = format!("Delete the policy {}", self.name);
        match &accepted {
            Some(accepted) => said(accepted, &subject, self.common.output)?,
            None => say(&subject),
        }
        let is_gone = |page: Option<&Page<PolicyView>>| {
            page.is_none_or(|page| named(&page.items, &self.name).is_none())
        };
        shown::until(&api, &["policies"], is_gone).await;
        Ok(())
    }
}

fn named<'a>(policies: &'a [PolicyView], name: &str) -> Option<&'a PolicyView> {
    policies.iter().find(|policy| policy.name == name)
}

/// Waits until a policy is shown as something else than before.
async fn until_changed(api: &Api, name: &str, before: Option<&PolicyView>) {
    let is_changed = |page: Option<&Page<PolicyView>>| {
        page.is_none_or(|page| named(&page.items, name) != before)
    };
    shown::until(api, &["policies"], is_changed).await;
}

/// The EnvironmentPolicies of a file.
fn from_file(file: &Path) -> anyhow::Result<Vec<PolicyView>> {
    let mut policies = Vec::new();
    for document in apply::documents(file)? {
        let kind = document.get("kind").and_then(Value::as_str);
        if kind != Some("EnvironmentPolicy") {
            return Err(hinted(
                format!(
                    "cannot set the document of kind {} from {}",
                    kind.unwrap_or("none"),
                    file.display()
                ),
                "only EnvironmentPolicies are set this way; docs/spec/environment-policy.md shows one",
            ));
        }
        let manifest: Manifest = serde_json::from_value(document).with_context(|| {
            format!(
                "an EnvironmentPolicy in {} is not as it must be",
                file.display()
            )
        })?;
        policies.push(PolicyView {
            name: manifest.metadata.name,
            environments: manifest.spec.applies_to.environments,
            rules: manifest.spec.rules,
        });
    }
    if policies.is_empty() {
        return Err(hinted(
            format!("there is no EnvironmentPolicy in {}", file.display()),
            "docs/spec/environment-policy.md shows one",
        ));
    }
    Ok(policies)
}
