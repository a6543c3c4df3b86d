//! Phases 1 and 2: the cluster gets its secrets, Crossplane takes over what OpenTofu made,
//! and what is to be so in the end is looked at.
//!
//! What must stay true: nothing is given to Crossplane to keep before it was seen to be
//! the very thing that was made; and before OpenTofu works on it again, Crossplane lets
//! go of it, for it would make anew what OpenTofu destroys.

use std::time::Duration;

use serde_json::Value;

use super::{Event, MINUTE, ProvisionError, Provisioner, all, kept, told};
use crate::adoption::{self, Adoption, Policy};
use crate::checklist::{self, Console};
use crate::cluster::{self, Handed, Progress};
use crate::preflight::Finding;
use crate::record::{CATALYST, Step};
use crate::render;
use crate::secret::OwnSecret;

/// A list of objects, applied by a server that has just begun.
const MINUTES: Duration = Duration::from_secs(180);

impl Provisioner<'_> {
    pub(super) async fn hand_over(&mut self) -> Result<(), ProvisionError> {
        let git = match (self.config.git_credentials, &self.options.git) {
            (false, _) => None,
            (true, Some(git)) => Some(git.clone()),
            (true, None) => return Err(ProvisionError::GitCredentials),
        };
        // OpenBao opens with the seal that it was first given, and no other.
        let again = self.record.handed_over;
        let (openbao_seal, gitea_password) = match &self.options.own {
            Some(own) => (own.openbao_seal.clone(), own.gitea_admin.clone()),
            None => (
                kept(&self.directory, OwnSecret::OpenbaoSeal, again)?,
                kept(&self.directory, OwnSecret::GiteaAdmin, again)?,
            ),
        };
        let handed = Handed {
            hetzner_token: self.options.token.clone(),
            // The module names the network as the Sovereign.
            network: self.config.derived().name,
            openbao_seal,
            gitea_password,
            git,
        };
        let list = cluster::secrets(&handed).ok_or_else(|| ProvisionError::Keep {
            path: self.directory.path().join(OwnSecret::OpenbaoSeal.file()),
            source: std::io::Error::other("it is not 64 hexadecimal digits"),
        })?;
        let ssh = self.control_plane()?;
        let text = list.to_string();
        ssh.run(
            "hand secrets over",
            cluster::HAND_OVER,
            Some(text.as_bytes()),
            MINUTE,
        )
        .await?;
        Ok(())
    }

    /// Has Crossplane observe everything that was made, and holds what it sees against that.
    pub(super) async fn observe(&mut self) -> Result<(), ProvisionError> {
        let adoptions = self.adoptions().await?;
        self.let_go().await?;
        self.give(Step::Observe, &adoptions, Policy::Observe)
            .await?;
        let Some(list) = self.given().await? else {
            return Ok(());
        };
        if let Some(command) = adoption::forget(&adoptions, &list) {
            let ssh = self.control_plane()?;
            let action = "have Crossplane forget what is gone";
            ssh.run(action, &command, None, MINUTE).await?;
        }
        Ok(())
    }

    /// Has Crossplane keep what it has observed.
    pub(super) async fn adopt(&mut self) -> Result<(), ProvisionError> {
        let adoptions = self.adoptions().await?;
        self.give(Step::Adopt, &adoptions, Policy::Adopt).await
    }

    /// Has Crossplane only observe again what it was given to keep.
    pub(super) async fn let_go(&mut self) -> Result<(), ProvisionError> {
        let given = self.given().await?;
        let Some(released) = given.and_then(|list| adoption::released(&list)) else {
            return Ok(());
        };
        let ssh = self.control_plane()?;
        let action = "have Crossplane let go of the resources";
        let text = released.to_string();
        ssh.run(action, adoption::RELEASE, Some(text.as_bytes()), MINUTES)
            .await?;
        Ok(())
    }

    /// The same before OpenTofu works on them, as far as it can be done: the cluster may be
    /// gone, and Crossplane with it. What Crossplane makes anew otherwise is put right by
    /// its next adoption, and found at the end of a destroy.
    pub(super) async fn try_to_let_go(&mut self) {
        if let Err(error) = self.let_go().await {
            let message = self.redactor.clean(&error.to_string());
            (self.sink)(Event::Found(Finding {
                problem: false,
                subject: "Crossplane".to_owned(),
                message: format!("it was not told to let go of the resources: {message}"),
            }));
        }
    }

    /// Waits until every part is Ready, and tells which are left out.
    pub(super) async fn wait_parts(&mut self) -> Result<(), ProvisionError> {
        let ssh = self.control_plane()?;
        self.wait(Step::WaitParts, self.options.waits.parts, async || {
            let said = ssh.run(PARTS, cluster::KUSTOMIZATIONS, None, MINUTE);
            told(said.await, |text| of_parts(&parsed(text)).0)
        })
        .await?;
        self.tell_left_out().await
    }

    /// Keeps in the record which parts the Sovereign is without, and tells it.
    async fn tell_left_out(&mut self) -> Result<(), ProvisionError> {
        let ssh = self.control_plane()?;
        let list = ssh.run(PARTS, cluster::KUSTOMIZATIONS, None, MINUTE);
        let (_, left_out) = of_parts(&parsed(&list.await?));
        self.record.left_out = left_out.into_iter().collect();
        if let Some(message) = self.record.without() {
            (self.sink)(Event::Found(Finding {
                problem: false,
                subject: "left out".to_owned(),
                message,
            }));
        }
        Ok(())
    }

    /// Waits until everything of the checklist is as it should be.
    pub(super) async fn checklist(&mut self) -> Result<(), ProvisionError> {
        let name = "console_url";
        let console = Console::of(&self.record.outputs).ok_or(ProvisionError::Output { name })?;
        let sign_in = console.sign_in();
        let ssh = self.control_plane()?;
        let counts = [self.config.control_plane_count, self.config.worker_count];
        let expected: usize = counts.into_iter().map(usize::from).sum();
        self.tell_records();
        self.wait(Step::Checklist, self.options.waits.checklist, async || {
            let said = ssh.run(LOOK, cluster::KUSTOMIZATIONS, None, MINUTE).await;
            let (parts, left_out) = match said {
                Ok(text) => of_parts(&parsed(&text)),
                Err(error) => (Progress::Waiting(error.to_string()), Vec::new()),
            };
            // Who has no console has a place to sign in at.
            let has_console = !left_out.iter().any(|part| part == CATALYST);
            let (door, place) = match has_console {
                true => ("console", &console),
                false => ("sign-in", &sign_in),
            };
            let releases = ssh.run(LOOK, checklist::RELEASES, None, MINUTE);
            let releases = told(releases.await, |text| checklist::releases(&parsed(text)));
            let nodes = ssh.run(LOOK, checklist::NODES, None, MINUTE);
            let nodes = told(nodes.await, |text| {
                checklist::nodes(&parsed(text), expected)
            });
            let openbao = ssh.run(LOOK, checklist::OPENBAO, None, MINUTE);
            let openbao = told(openbao.await, checklist::openbao);
            let tokens = ssh.run(LOOK, checklist::JOIN_TOKENS, None, MINUTE);
            let tokens = told(tokens.await, checklist::join_tokens);
            let asks = place.command();
            let answer = ssh.run(LOOK, &asks, None, MINUTE);
            let answers = match answer.await {
                Ok(text) => place.judge(&text),
                Err(error) => place.unanswered(&error.to_string()),
            };
            let points = [
                ("parts".to_owned(), parts),
                ("Helm releases".to_owned(), releases),
                ("nodes".to_owned(), nodes),
                ("OpenBao".to_owned(), openbao),
                ("join tokens".to_owned(), tokens),
                (door.to_owned(), answers),
            ];
            all("points", &points)
        })
        .await?;
        // It may have been published since the parts were waited for.
        self.tell_left_out().await
    }

    /// Tells which DNS records are whoever provisions to write.
    pub(super) fn tell_records(&mut self) {
        if let Some(message) = checklist::records_to_write(self.config, &self.record.outputs) {
            (self.sink)(Event::Found(Finding {
                problem: false,
                subject: "DNS records".to_owned(),
                message,
            }));
        }
    }

    async fn adoptions(&mut self) -> Result<Vec<Adoption>, ProvisionError> {
        let name = self.config.derived().name;
        Ok(adoption::adoptions(&self.tofu.made().await?, &name))
    }

    /// What Crossplane was ever given and has; `None` where it was given nothing.
    async fn given(&mut self) -> Result<Option<Value>, ProvisionError> {
        if self.record.given.is_empty() {
            return Ok(None);
        }
        let command = adoption::get(&self.record.given, &self.config.derived().name);
        let ssh = self.control_plane()?;
        let list = parsed(&ssh.run(ASK, &command, None, MINUTE).await?);
        // It would pass for nothing to let go of.
        match list.get("items").is_some_and(Value::is_array) {
            true => Ok(Some(list)),
            false => Err(ProvisionError::NoList { action: ASK }),
        }
    }

    /// Gives Crossplane everything under a policy, waits until it is done with it, and
    /// proves that it has what was made and nothing in its place.
    async fn give(
        &mut self,
        step: Step,
        adoptions: &[Adoption],
        policy: Policy,
    ) -> Result<(), ProvisionError> {
        if adoptions.is_empty() {
            return Ok(());
        }
        // Known before it is so: from here on Crossplane must be told to let go.
        self.record.given.extend(adoption::types(adoptions));
        self.directory.save(&self.record)?;
        let ssh = self.control_plane()?;
        let text = adoption::manifests(adoptions, policy).to_string();
        let action = "give the resources to Crossplane";
        ssh.run(action, adoption::APPLY, Some(text.as_bytes()), MINUTES)
            .await?;
        let command = adoption::get(&self.record.given, &self.config.derived().name);
        self.wait(step, self.options.waits.adoption, async || {
            let said = ssh.run(ASK, &command, None, MINUTE);
            told(said.await, |text| {
                all(
                    "resources",
                    &adoption::progress(adoptions, policy, &parsed(text)),
                )
            })
        })
        .await?;
        let list = self.given().await?.unwrap_or_default();
        let differences = adoption::differences(adoptions, &list);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(ProvisionError::NotTheSame { step, differences }),
        }
    }
}

/// How far the parts are that must become Ready, as one, and those that are left out.
fn of_parts(list: &Value) -> (Progress, Vec<String>) {
    let (wanted, left_out) = cluster::wanted(list, render::parts(), &render::held_back());
    (all("parts", &cluster::parts(list, &wanted)), left_out)
}

const PARTS: &str = "ask Flux for the parts";
const ASK: &str = "ask Crossplane for the resources";
const LOOK: &str = "go through the checklist";

/// What was printed as JSON; what is none says nothing.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
