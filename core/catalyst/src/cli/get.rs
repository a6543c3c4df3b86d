//! `catalyst get`: what there is and how it is.

use catalyst_api::{
    ApplicationSummary, ApplicationView, BlueprintCard, BlueprintDetail, BlueprintSourceView,
    DeletionView, EnvironmentView, ObjectView, OrganizationView, PolicyView, PullRequestView,
    StreamItem, UpgradeView, UserView, VulnerabilityReport,
};

use super::api::{Api, Common};
use super::failure::hinted;
use super::output::{Output, Row, fitted, plain, print, say, table};
use super::scan;
use super::stream::{Event, Stream};

/// Messages up to this length may stand twice.
const SHORT: usize = 20;
/// Stands for a message that was said above.
const ABOVE: &str = "as above";

/// Show Organizations, Environments, Applications and more, and how they are.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// What to show.
    #[arg(value_enum)]
    kind: Kind,
    /// One only, by its name; a Blueprint as SOURCE/NAME, a pull request by its number.
    /// Vulnerabilities are those of an Application with --environment, else of a
    /// Blueprint, SOURCE/NAME[@VERSION].
    name: Option<String>,
    /// The Environment; all that you may see unless given.
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
    /// Blueprints that fit these words, the best first.
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["name", "watch"])]
    search: Option<String>,
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
    #[value(alias = "blueprint-source", alias = "sources")]
    BlueprintSources,
    #[value(alias = "policy")]
    Policies,
    #[value(alias = "pull-request", alias = "pr", alias = "prs")]
    PullRequests,
    #[value(alias = "deletion")]
    Deletions,
    #[value(alias = "upgrade")]
    Upgrades,
    #[value(alias = "user")]
    Users,
    #[value(alias = "object")]
    Objects,
    #[value(alias = "vulnerability")]
    Vulnerabilities,
}

impl Get {
    /// Prints, and goes on printing with --watch.
    pub async fn run(&self) -> anyhow::Result<()> {
        if self.search.is_some() && self.kind != Kind::Blueprints {
            return Err(hinted(
                "only Blueprints can be looked for by words",
                "leave --search out, or `catalyst get blueprints --search WORDS`",
            ));
        }
        if self.watch && self.kind == Kind::Vulnerabilities {
            return Err(hinted(
                "vulnerabilities cannot be watched",
                "leave --watch out, and ask again",
            ));
        }
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
                match output {
                    Output::Table => show_objects(&application.objects, ""),
                    _ => output.list(&application.objects),
                }
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
                None => {
                    let words = self.search.as_deref().map(|words| [("q", words)]);
                    let query = words.as_ref().map_or(&[][..], |words| words);
                    output.list(&api.search::<BlueprintCard>(&["blueprints"], query).await?)
                }
            },
            Kind::Upgrades => self.plain::<UpgradeView>(api, "upgrades").await,
            Kind::BlueprintSources => self.sources(api).await,
            Kind::Vulnerabilities => {
                let report = self.vulnerabilities(api).await?;
                match output {
                    Output::Table if report.findings.is_empty() => {}
                    Output::Table => print(&scan::as_table(&report))?,
                    _ => output.value(&report)?,
                }
                scan::say_what_was_not_seen(&report);
                Ok(())
            }
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
                        (Some(diff), true) => print(&plain(&format!("\n{diff}\n"))),
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

    /// Of an Application, or of a Blueprint's version: the newest unless one is named.
    async fn vulnerabilities(&self, api: &Api) -> anyhow::Result<VulnerabilityReport> {
        const WHAT: &str = "vulnerabilities";
        let Some(name) = self.name.as_deref() else {
            return Err(hinted(
                "whose vulnerabilities is missing",
                "name a Blueprint, SOURCE/NAME, or an Application with --environment",
            ));
        };
        if let Some(environment) = self.environment.as_deref() {
            let path = ["environments", environment, "applications", name, WHAT];
            return api.get(&path).await;
        }
        let (source, name) = name.split_once('/').unwrap_or(("catalog", name));
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, version.to_owned()),
            None => {
                let found: BlueprintDetail = api.get(&["blueprints", source, name]).await?;
                (name, found.card.version)
            }
        };
        api.get(&["blueprints", source, name, &version, WHAT]).await
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

    /// Sources of Blueprints, and for people what keeps something from being published,
    /// and what in the registry is not trusted.
    async fn sources(&self, api: &Api) -> anyhow::Result<()> {
        let mut sources: Vec<BlueprintSourceView> = api.list(&["blueprint-sources"]).await?;
        if let Some(name) = &self.name {
            sources.retain(|source| &source.source == name);
            if sources.is_empty() {
                return Err(hinted(
                    format!("there is no source {name} of Blueprints whose repository you may see"),
                    "`catalyst get blueprint-sources` lists them",
                ));
            }
        }
        self.common.output.list(&sources)?;
        if self.common.output.is_table() {
            for sentence in said_of(&sources) {
                say(&sentence);
            }
        }
        Ok(())
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
            (Kind::BlueprintSources, StreamItem::BlueprintSource(it)) if is_named(&it.source) => {
                output.change(it)
            }
            (Kind::Policies, StreamItem::Policy(it)) if is_named(&it.name) => output.change(it),
            (Kind::PullRequests, StreamItem::PullRequest(it))
                if is_named(&it.number.to_string()) && is_here(&it.environment) =>
            {
                output.change(it)
            }
            (Kind::Deletions, StreamItem::Deletion(it)) if is_named(&it.name) => output.change(it),
            (Kind::Upgrades, StreamItem::Upgrade(it)) if is_named(&it.name) => output.change(it),
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
                | (Self::BlueprintSources, "blueprintSource")
                | (Self::Policies, "policy")
                | (Self::PullRequests, "pullRequest")
                | (Self::Deletions, "deletion")
                | (Self::Upgrades, "upgrade")
        )
    }
}

/// What keeps something of sources from being published, each with its place, and then
/// what in the registry is not trusted.
fn said_of(sources: &[BlueprintSourceView]) -> Vec<String> {
    let problems = sources.iter().flat_map(|source| &source.problems);
    let problems = problems.map(|problem| {
        let place = match problem.line {
            Some(line) => format!("{}:{line}", problem.file),
            None => problem.file.clone(),
        };
        let (rule, message, fix) = (&problem.rule, &problem.message, &problem.fix);
        format!("{place}: [{rule}] {message}; {fix}")
    });
    let refused = sources.iter().flat_map(|source| {
        source.refused.iter().map(move |one| {
            let artifact = format!("{}/{}:{}", source.source, one.name, one.version);
            format!("{artifact}: {}; {}", one.reason, one.fix)
        })
    });
    problems.chain(refused).collect()
}

/// One Application: how it is, why in full, and its objects.
fn show_application(output: Output, application: &ApplicationView) -> anyhow::Result<()> {
    if !output.is_table() {
        return output.value(application);
    }
    print(&head(&application.summary))?;
    if application.objects.is_empty() {
        return Ok(());
    }
    print("\n")?;
    show_objects(&application.objects, &application.summary.health.message)
}

/// The line of an Application, and below it, not cut, what would be its last column.
fn head(application: &ApplicationSummary) -> String {
    let mut cells = application.cells();
    cells.pop();
    let header = ApplicationSummary::HEADER.split_last();
    let header = header.map_or(&[][..], |(_, header)| header);
    let line = table(header, vec![cells]);
    match application.health.message.trim() {
        "" => line,
        message => format!("{line}\n{}\n", plain(message)),
    }
}

fn show_objects(objects: &[ObjectView], said: &str) -> anyhow::Result<()> {
    let rows = fitted(ObjectView::HEADER, object_rows(objects, said));
    print(&table(ObjectView::HEADER, rows))
}

/// The rows of objects. The cause of a failure goes from object to object: what was
/// said above is not said again.
fn object_rows(objects: &[ObjectView], said: &str) -> Vec<Vec<String>> {
    let mut said = vec![said];
    let mut rows = Vec::new();
    for object in objects {
        let mut cells = object.cells();
        let message = object.message.trim();
        match cells.last_mut() {
            Some(cell) if is_said(message, &said) => ABOVE.clone_into(cell),
            _ => said.push(message),
        }
        rows.push(cells);
    }
    rows
}

/// Whether a message stands above already: whole, or but for whose it is and the word
/// for it (`container web: ErrImagePull: …`).
fn is_said(message: &str, said: &[&str]) -> bool {
    let mut rest = message;
    for _ in 0..3 {
        if rest.chars().count() <= SHORT {
            return false;
        }
        if said.iter().any(|it| it.contains(rest)) {
            return true;
        }
        let Some((_, after)) = rest.split_once(": ") else {
            return false;
        };
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use catalyst_api::Health;

    use super::*;

    const CAUSE: &str = "container web: CrashLoopBackOff, exited with 1: no database";

    fn application() -> ApplicationSummary {
        ApplicationSummary {
            environment: "acme-dev".into(),
            name: "guests".into(),
            source: "catalog".into(),
            blueprint: "bp-guestbook".into(),
            version: "1.0.0".into(),
            health: Health {
                phase: "Failed".into(),
                reason: "PodFailing".into(),
                message: format!("the release is not ready; pod guests-1: {CAUSE}"),
                observed_at: String::new(),
                since: String::new(),
            },
            url: None,
        }
    }

    fn object(kind: &str, message: &str) -> ObjectView {
        ObjectView {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: Some("guests".into()),
            name: "guests".into(),
            ready: Some(false),
            message: message.into(),
            observed_at: String::new(),
        }
    }

    #[test]
    fn a_cause_is_said_once_and_whole() {
        let application = application();
        let objects = [
            object("HelmRelease", "timed out after 300 s, waiting for guests"),
            object("Deployment", "0 of 1 ready"),
            object("Pod", CAUSE),
            object("Job", "timed out after 300 s, waiting for guests"),
            object("StatefulSet", "0 of 1 ready"),
        ];
        let rows = object_rows(&objects, &application.health.message);
        let text = head(&application) + "\n" + &table(ObjectView::HEADER, rows);
        insta::assert_snapshot!(text, @r"
        ENVIRONMENT   NAME     BLUEPRINT              VERSION   PHASE    ADDRESS
        acme-dev      guests   catalog/bp-guestbook   1.0.0     Failed   -

        the release is not ready; pod guests-1: container web: CrashLoopBackOff, exited with 1: no database

        KIND          NAMESPACE   NAME     READY   MESSAGE
        HelmRelease   guests      guests   no      timed out after 300 s, waiting for guests
        Deployment    guests      guests   no      0 of 1 ready
        Pod           guests      guests   no      as above
        Job           guests      guests   no      as above
        StatefulSet   guests      guests   no      0 of 1 ready
        ");
        // Told above with other words around it.
        let words = "cannot pull image r/x:1: r has no 1 of x";
        let pod = object("Pod", &format!("container web: ErrImagePull: {words}"));
        let above = format!("the container web in the pod guests-1 has no image: {words}");
        let rows = object_rows(&[pod], &above);
        assert_eq!(rows[0].last().unwrap(), ABOVE);
        // By itself, nothing was said above.
        let alone = object_rows(&[object("Pod", CAUSE)], "");
        assert_eq!(alone[0].last().unwrap(), CAUSE);
    }

    #[test]
    fn sources_say_where_a_problem_is_and_which_artifact_is_refused() {
        let source: BlueprintSourceView = serde_json::from_value(serde_json::json!({
            "source": "acme", "repository": "http://127.0.0.1:8080/git/acme/shared-blueprints.git",
            "blueprints": [],
            "problems": [
                {"file": "bp-wiki/chart/values.yaml", "line": 3, "rule": "image-tag", "message": "the image has the tag latest", "fix": "name a version"},
                {"file": "bp-wiki/blueprint.yaml", "rule": "owner", "message": "nobody owns it", "fix": "name a team"},
            ],
            "refused": [{"name": "bp-wiki", "version": "1.0.0", "reason": "it is not signed", "fix": "sign it"}],
            "health": {"phase": "Failed", "reason": "Refused", "message": "", "observedAt": "", "since": ""},
        }))
        .unwrap();
        insta::assert_snapshot!(said_of(&[source]).join("\n"), @r"
        bp-wiki/chart/values.yaml:3: [image-tag] the image has the tag latest; name a version
        bp-wiki/blueprint.yaml: [owner] nobody owns it; name a team
        acme/bp-wiki:1.0.0: it is not signed; sign it
        ");
    }

    #[test]
    fn the_message_is_the_last_column() {
        for header in [ApplicationSummary::HEADER, ObjectView::HEADER] {
            assert_eq!(header.last(), Some(&"message"));
        }
    }
}
