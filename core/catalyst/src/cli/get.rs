//! `catalyst get`: what there is and how it is.

use catalyst_api::{
    ApplicationSummary, ApplicationView, BlueprintCard, BlueprintDetail, DeletionView,
    EnvironmentView, OrganizationView, PolicyView, PullRequestView, StreamItem, UserView,
};

use super::api::{Api, Common};
use super::failure::hinted;
use super::output::{Output, Row};
use super::stream::{Event, Stream};

/// Show what there is and how it is.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// What to show.
    #[arg(value_enum)]
    kind: Kind,
    /// One only, by its name; a Blueprint as SOURCE/NAME, a pull request by its number.
    name: Option<String>,
    /// The Environment; all that you may see unless given.
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
    /// Go on and show every change.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    common: Common,
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    #[value(alias = "organization", alias = "org", alias = "orgs")]
    Organizations,
    #[value(alias = "environment", alias = "env", alias = "envs")]
    Environments,
    #[value(alias = "application", alias = "app", alias = "apps")]
    Applications,
    #[value(alias = "blueprint")]
    Blueprints,
    #[value(alias = "policy")]
    Policies,
    #[value(alias = "pull-request", alias = "pr", alias = "prs")]
    PullRequests,
    #[value(alias = "deletion")]
    Deletions,
    #[value(alias = "user")]
    Users,
    #[value(alias = "object")]
    Objects,
}

impl Get {
    /// Prints, and goes on printing with --watch.
    pub async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        if !self.watch {
            return self.show(&api).await;
        }
        // Open before the first look, so that nothing falls between.
        let mut stream = Stream::open(&api).await?;
        self.show(&api).await?;
        loop {
            match stream.next().await? {
                Event::Reset => self.show(&api).await?,
                Event::Change(item) => self.show_change(&item)?,
            }
        }
    }

    async fn show(&self, api: &Api) -> anyhow::Result<()> {
        let output = self.common.output;
        let name = self.name.as_deref();
        let environment = self.environment.as_deref();
        match self.kind {
            Kind::Organizations => self.plain::<OrganizationView>(api, "organizations").await,
            Kind::Environments => self.plain::<EnvironmentView>(api, "environments").await,
            Kind::Applications => match (environment, name) {
                (Some(environment), Some(name)) => {
                    let path = ["environments", environment, "applications", name];
                    show_application(output, &api.get(&path).await?)
                }
                _ => output.list(&self.applications(api).await?),
            },
            Kind::Objects => {
                let path = [
                    "environments",
                    self.needs_environment()?,
                    "applications",
                    self.needs_name()?,
                ];
                let application: ApplicationView = api.get(&path).await?;
                output.list(&application.objects)
            }
            Kind::Blueprints => match name {
                Some(name) => {
                    let (source, name) = name.split_once('/').unwrap_or(("catalog", name));
                    let found: BlueprintDetail = api.get(&["blueprints", source, name]).await?;
                    match output {
                        Output::Table => output.item(&found.card),
                        _ => output.value(&found),
                    }
                }
                None => output.list(&api.list::<BlueprintCard>(&["blueprints"]).await?),
            },
            Kind::Policies => {
                self.listed(api, "policies", |it: &PolicyView| &it.name)
                    .await
            }
            Kind::Users => {
                self.listed(api, "users", |it: &UserView| &it.username)
                    .await
            }
            Kind::Deletions => {
                self.listed(api, "deletions", |it: &DeletionView| &it.name)
                    .await
            }
            Kind::PullRequests => {
                if let Some(number) = name {
                    let path = [
                        "environments",
                        self.needs_environment()?,
                        "pull-requests",
                        number,
                    ];
                    let pull: PullRequestView = api.get(&path).await?;
                    output.item(&pull)?;
                    return match (&pull.diff, output.is_table()) {
                        (Some(diff), true) => {
                            super::output::print(&super::output::plain(&format!("\n{diff}\n")))
                        }
                        _ => Ok(()),
                    };
                }
                let mut pulls: Vec<PullRequestView> = Vec::new();
                for environment in self.environments(api).await? {
                    let path = ["environments", environment.as_str(), "pull-requests"];
                    pulls.extend(api.list(&path).await?);
                }
                output.list(&pulls)
            }
        }
    }

    /// A kind whose objects have paths of their own.
    async fn plain<T: Row + serde::de::DeserializeOwned>(
        &self,
        api: &Api,
        path: &str,
    ) -> anyhow::Result<()> {
        match &self.name {
            Some(name) => self.common.output.item(&api.get::<T>(&[path, name]).await?),
            None => self.common.output.list(&api.list::<T>(&[path]).await?),
        }
    }

    /// A kind that only has a list.
    async fn listed<T: Row + serde::de::DeserializeOwned>(
        &self,
        api: &Api,
        path: &str,
        name_of: impl Fn(&T) -> &String,
    ) -> anyhow::Result<()> {
        let items: Vec<T> = api.list(&[path]).await?;
        let Some(name) = &self.name else {
            return self.common.output.list(&items);
        };
        match items.iter().find(|item| name_of(item) == name) {
            Some(item) => self.common.output.item(item),
            None => Err(hinted(
                format!("there is no {name} among the {path} that you may see"),
                format!("`catalyst get {path}` lists them"),
            )),
        }
    }

    /// The Environments that are meant.
    async fn environments(&self, api: &Api) -> anyhow::Result<Vec<String>> {
        if let Some(environment) = &self.environment {
            return Ok(vec![environment.clone()]);
        }
        let all: Vec<EnvironmentView> = api.list(&["environments"]).await?;
        Ok(all
            .into_iter()
            .map(|environment| environment.name)
            .collect())
    }

    async fn applications(&self, api: &Api) -> anyhow::Result<Vec<ApplicationSummary>> {
        let mut found: Vec<ApplicationSummary> = Vec::new();
        for environment in self.environments(api).await? {
            let path = ["environments", environment.as_str(), "applications"];
            found.extend(api.list(&path).await?);
        }
        if let Some(name) = &self.name {
            found.retain(|application| &application.name == name);
        }
        Ok(found)
    }

    fn needs_environment(&self) -> anyhow::Result<&str> {
        self.environment.as_deref().ok_or_else(|| {
            hinted(
                "the Environment is missing",
                "name it with --environment, such as -e acme-dev",
            )
        })
    }

    fn needs_name(&self) -> anyhow::Result<&str> {
        self.name
            .as_deref()
            .ok_or_else(|| hinted("the Application's name is missing", "put it at the end"))
    }

    /// Prints a change, if it is about what is watched.
    fn show_change(&self, item: &StreamItem) -> anyhow::Result<()> {
        let output = self.common.output;
        let is_named = |name: &str| self.name.as_deref().is_none_or(|wanted| wanted == name);
        let is_here = |name: &str| {
            self.environment
                .as_deref()
                .is_none_or(|wanted| wanted == name)
        };
        match (self.kind, item) {
            (Kind::Organizations, StreamItem::Organization(it)) if is_named(&it.name) => {
                output.change(it)
            }
            (Kind::Environments, StreamItem::Environment(it)) if is_named(&it.name) => {
                output.change(it)
            }
            (Kind::Applications, StreamItem::Application(it))
                if is_named(&it.summary.name) && is_here(&it.summary.environment) =>
            {
                output.change(&it.summary)
            }
            (Kind::Objects, StreamItem::Application(it))
                if is_named(&it.summary.name) && is_here(&it.summary.environment) =>
            {
                it.objects
                    .iter()
                    .try_for_each(|object| output.change(object))
            }
            (Kind::Blueprints, StreamItem::Blueprint(it)) if is_named(&it.name) => {
                output.change(it)
            }
            (Kind::Policies, StreamItem::Policy(it)) if is_named(&it.name) => output.change(it),
            (Kind::PullRequests, StreamItem::PullRequest(it))
                if is_named(&it.number.to_string()) && is_here(&it.environment) =>
            {
                output.change(it)
            }
            (Kind::Deletions, StreamItem::Deletion(it)) if is_named(&it.name) => output.change(it),
            (kind, StreamItem::Removed(it)) if kind.is(&it.kind) => output.change(it),
            _ => Ok(()),
        }
    }
}

impl Kind {
    /// Whether the stream means this kind by a word.
    fn is(self, word: &str) -> bool {
        matches!(
            (self, word),
            (Self::Organizations, "organization")
                | (Self::Environments, "environment")
                | (Self::Applications, "application")
                | (Self::Blueprints, "blueprint")
                | (Self::Policies, "policy")
                | (Self::PullRequests, "pullRequest")
                | (Self::Deletions, "deletion")
        )
    }
}

/// One Application: how it is, why, and its objects.
fn show_application(output: Output, application: &ApplicationView) -> anyhow::Result<()> {
    if !output.is_table() {
        return output.value(application);
    }
    output.item(application)?;
    if application.objects.is_empty() {
        return Ok(());
    }
    super::output::print("\n")?;
    output.list(&application.objects)
}
