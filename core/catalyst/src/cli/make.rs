//! `catalyst create`: Organizations and Environments.

use catalyst_api::{Accepted, CreateEnvironment, CreateOrganization};
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
        let (organization, env_type) = self.name.rsplit_once('-').ok_or_else(|| {
            hinted(
                format!("`{}` is not an Environment's name", self.name),
                "it is the Organization and the stage, such as acme-dev",
            )
        })?;
        let api = self.common.connection.api().await?;
        let mut stream = match self.patience.wait {
            true => Some(Stream::open(&api).await?),
            false => None,
        };
        let body = CreateEnvironment {
            env_type: env_type.to_owned(),
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
