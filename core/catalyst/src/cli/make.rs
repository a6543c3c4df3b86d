//! `catalyst create`: Organizations and Environments.

use catalyst_api::{Accepted, CreateEnvironment, CreateOrganization};
use catalyst_names::EnvType;
use reqwest::Method;

use super::api::Common;
use super::failure::hinted;
use super::prepare::said;
use super::shown;
use super::stream::Stream;
use super::wait::{self, Patience};

/// Create an Organization or an Environment.
#[derive(Debug, clap::Args)]
pub struct Create {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Organization(Organization),
    Environment(Environment),
}

/// Create an Organization.
#[derive(Debug, clap::Args)]
struct Organization {
    /// Its short name, which never changes: small letters, digits and hyphens.
    name: String,
    /// The name that people read.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A mail address at which it is reached.
    #[arg(long, value_name = "ADDRESS")]
    contact: Option<String>,
    /// A user who is there already and becomes org-admin; may be given more than once.
    #[arg(long, value_name = "USER")]
    admin: Vec<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

/// Create an Environment.
#[derive(Debug, clap::Args)]
struct Environment {
    /// ORGANIZATION-STAGE; the stage is poc, dev, uat, stg or prod.
    name: String,
    /// A host cluster to run on; the one for its stage unless given. May be given more
    /// than once.
    #[arg(long, value_name = "NAME")]
    host_cluster: Vec<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    common: Common,
}

impl Create {
    /// Creates it.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            What::Organization(what) => what.run().await,
            What::Environment(what) => what.run().await,
        }
    }
}

impl Organization {
    async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(&api).await?),
            false => None,
        };
        let body = CreateOrganization {
            name: self.name.clone(),
            display_name: self.title.clone(),
            contact: self.contact.clone(),
            admins: self.admin.clone(),
        };
        let accepted: Accepted = api.put(Method::POST, &["organizations"], &body).await?;
        let subject = format!("Create Organization {}", self.name);
        said(&accepted, &subject, self.common.output)?;
        match &mut stream {
            Some(stream) => {
                let running = wait::organization(&api, stream, &self.name);
                self.patience.bounded(&self.name, running).await?;
            }
            None => shown::until_there(&api, &["organizations", &self.name]).await,
        }
        Ok(())
    }
}

impl Environment {
    async fn run(&self) -> anyhow::Result<()> {
        let (organization, env_type) = parts(&self.name)?;
        let api = self.common.connection.api().await?;
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(&api).await?),
            false => None,
        };
        let body = CreateEnvironment {
            env_type: env_type.code().to_owned(),
            host_clusters: self.host_cluster.clone(),
        };
        let path = ["organizations", organization, "environments"];
        let accepted: Accepted = api.put(Method::POST, &path, &body).await?;
        let subject = format!("Create Environment {}", self.name);
        said(&accepted, &subject, self.common.output)?;
        match &mut stream {
            Some(stream) => {
                let running = wait::environment(&api, stream, &self.name);
                self.patience.bounded(&self.name, running).await?;
            }
            None => shown::until_there(&api, &["environments", &self.name]).await,
        }
        Ok(())
    }
}

/// The Organization and the stage that an Environment's name is made of.
fn parts(name: &str) -> anyhow::Result<(&str, EnvType)> {
    let parts = name
        .rsplit_once('-')
        .and_then(|(organization, stage)| Some((organization, stage.parse().ok()?)));
    parts.ok_or_else(|| {
        let stages: Vec<&str> = EnvType::ALL.iter().map(|stage| stage.code()).collect();
        hinted(
            format!("cannot create an Environment `{name}`: its name does not end in a stage"),
            format!(
                "write ORGANIZATION-STAGE, such as acme-dev; the stage is one of {}",
                stages.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::failure::describe;
    use super::*;

    #[test]
    fn an_environments_name_ends_in_its_stage() {
        assert_eq!(parts("acme-dev").unwrap(), ("acme", EnvType::Development));
        assert_eq!(
            parts("two-words-prod").unwrap(),
            ("two-words", EnvType::Production)
        );
        for name in ["acme", "acme-", "acme-foo", "acme-Dev"] {
            assert!(parts(name).is_err(), "{name}");
        }
        insta::assert_snapshot!(describe(&parts("acme-foo").unwrap_err()), @r"
        error: cannot create an Environment `acme-foo`: its name does not end in a stage
        hint: write ORGANIZATION-STAGE, such as acme-dev; the stage is one of prod, stg, uat, dev, poc
        ");
    }
}
