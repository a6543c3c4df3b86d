//! Destroying a Sovereign, and the proof that nothing of it is left.
//!
//! What must stay true: it counts as destroyed only once OpenTofu's state is empty, nothing
//! in the project carries its label, and nothing that its cluster had made is there.

use super::count::Count;
use super::{Event, ProvisionError, Provisioner};
use crate::archive;
use crate::preflight::{self, Beside, Hetzner};
use crate::record::{Life, Refusal};

impl Provisioner<'_> {
    /// Destroys what OpenTofu made, and proves that nothing is left.
    pub async fn destroy(&mut self) -> Result<(), ProvisionError> {
        if self.record.life == Life::Archived {
            return Err(self.refused(Refusal::Archived));
        }
        self.require_own_project().await?;
        // Once its servers and its network are gone, nothing tells whose these are.
        self.note_beside().await?;
        self.record.life = Life::Destroying;
        self.directory.save(&self.record)?;
        self.try_to_let_go().await;
        if self.tofu.has_state() {
            self.tofu.stage(&self.options.module)?;
            self.tofu.write_variables(&self.config.variables())?;
            let sink = &mut *self.sink;
            self.tofu
                .init(&mut |event| sink(Event::Tofu(event)))
                .await?;
            let total = self.tofu.state_list().await?.len();
            let mut count = Count::new(total, sink);
            self.tofu.destroy(&mut |event| count.tell(event)).await?;
        }
        self.tofu.forget_plan()?;
        self.nothing_in_project().await?;
        self.nothing_beside().await?;
        // The next servers at these addresses have other keys.
        let known = self.directory.path().join("known_hosts");
        if known.exists() {
            std::fs::remove_file(&known).map_err(|source| ProvisionError::Keep {
                path: known,
                source,
            })?;
        }
        // An empty state, which is encrypted, and older ones beside it: whoever makes the
        // Sovereign anew need not have their passphrase.
        archive::clear(&self.directory)?;
        self.record.destroyed();
        Ok(self.directory.save(&self.record)?)
    }

    /// The state says that nothing is left, the project has the last word: what was made
    /// when OpenTofu was killed may never have come into its state.
    async fn nothing_in_project(&mut self) -> Result<(), ProvisionError> {
        let name = self.config.derived().name;
        match preflight::left_over(&self.options.hetzner, &self.options.token, &name).await {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(ProvisionError::Leaked {
                sovereign: self.config.sovereign_fqdn.clone(),
                left,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds what the cluster has made by itself to what is known of that.
    async fn note_beside(&mut self) -> Result<(), ProvisionError> {
        let hetzner = self.hetzner()?;
        let name = self.config.derived().name;
        let found = preflight::beside(&hetzner, &name).await?;
        self.record.beside.extend(found);
        Ok(())
    }

    /// What the cluster made by itself outlives its servers, and is paid for.
    async fn nothing_beside(&mut self) -> Result<(), ProvisionError> {
        self.note_beside().await?;
        let hetzner = self.hetzner()?;
        let left = preflight::still_there(&hetzner, &self.record.beside).await?;
        self.record.beside.clone_from(&left);
        self.directory.save(&self.record)?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(ProvisionError::MadeByCluster {
                sovereign: self.config.sovereign_fqdn.clone(),
                left: left.iter().map(Beside::title).collect(),
            }),
        }
    }

    fn hetzner(&self) -> Result<Hetzner, ProvisionError> {
        let (address, token) = (&self.options.hetzner, self.options.token.clone());
        Ok(Hetzner::new(address, token)?)
    }
}
