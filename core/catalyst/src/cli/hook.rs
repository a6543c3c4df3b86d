//! `catalyst blueprint hook`: where a registry tells the Sovereign that something came or
//! went, and what it has to show with that.

use catalyst_api::RegistryHook;

use super::api::Common;
use super::output::say;

/// Show where a registry has to tell of what came and went, and the token that it has to
/// show. For sovereign-admins.
#[derive(Debug, clap::Args)]
pub struct Hook {
    #[command(flatten)]
    common: Common,
}

impl Hook {
    /// Prints both: they are given to the registry as they are.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let hook: RegistryHook = api.get(&["hooks", "registry"]).await?;
        self.common.output.item(&hook)?;
        if self.common.output.is_table() {
            say(
                "Have the registry post its notifications to this address, with this as the header Authorization",
            );
        }
        Ok(())
    }
}
