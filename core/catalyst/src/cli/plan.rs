//! A plan as people read it.

use std::fmt::Write as _;

use catalyst_api::{PlanView, PlannedAction, PlannedObject};

use super::output::{Output, plain, print, table};

/// Prints a plan on standard output.
pub fn show(plan: &PlanView, output: Output, diff: bool) -> anyhow::Result<()> {
    match output {
        Output::Table => print(&describe(plan, diff)),
        _ => output.value(plan),
    }
}

/// The plan in words: what comes, changes and goes; with `diff` line by line.
pub fn describe(plan: &PlanView, diff: bool) -> String {
    let mut text = format!("{}\n", plan.subject);
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            _ = write!(text, "\n{title}\n");
            for line in table(&[], rows).lines() {
                _ = writeln!(text, "  {line}");
            }
        }
    };
    let applications = plan.applications.iter().map(|it| {
        let version = match &it.from_version {
            Some(from) => format!("{from} → {}", it.version),
            None => it.version.clone(),
        };
        let blueprint = format!("{}/{}", it.source, it.blueprint);
        let name = it.name.clone();
        vec![
            sign(it.action),
            name,
            blueprint,
            version,
            it.because.clone(),
        ]
    });
    section("Applications", applications.collect());
    let files = plan
        .files
        .iter()
        .map(|it| vec![sign(it.action), it.path.clone()]);
    section("Files", files.collect());
    let objects = plan
        .objects
        .iter()
        .filter(|it| it.action != PlannedAction::None)
        .map(|it| {
            let namespace = it.namespace.clone().unwrap_or_default();
            vec![sign(it.action), it.kind.clone(), namespace, named(it)]
        });
    section("Objects", objects.collect());
    if diff {
        for file in &plan.files {
            _ = write!(text, "\n{}", plain(&file.diff));
        }
        for object in plan.objects.iter().filter(|it| !it.diff.is_empty()) {
            _ = write!(text, "\n{} {}\n", object.kind, plain(&object.name));
            text.push_str(&plain(&object.diff));
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    for application in plan
        .applications
        .iter()
        .filter(|it| !it.alternatives.is_empty())
    {
        let alias = application.alias.as_deref().unwrap_or(&application.name);
        _ = write!(
            text,
            "\nInstead of a new {}, `{alias}` could be served by: {}\n",
            plain(&application.name),
            plain(&application.alternatives.join(", "))
        );
    }
    if !plan.policies.is_empty() {
        let policies = plain(&plan.policies.join(", "));
        _ = write!(text, "\nGoes by pull request: {policies}\n");
    }
    for warning in &plan.warnings {
        _ = write!(text, "\nWarning: {}\n", plain(warning));
    }
    text
}

/// What a plan says now that it did not say before, and the other way round, line by
/// line.
pub fn changed(before: &PlanView, now: &PlanView) -> String {
    let (before, now) = (describe(before, true), describe(now, true));
    let mut text = "Things changed meanwhile; of the plan, this differs:\n".to_owned();
    for (sign, lines, others) in [('-', &before, &now), ('+', &now, &before)] {
        for line in lines.lines() {
            if !others.lines().any(|other| other == line) {
                _ = writeln!(text, "{sign} {line}");
            }
        }
    }
    text
}

/// Whether carrying it out would change nothing.
pub fn is_empty(plan: &PlanView) -> bool {
    plan.files.is_empty()
}

/// An object's name, with its size and what makes it where it has these.
fn named(object: &PlannedObject) -> String {
    let made_by = object.made_by.as_ref().map(|it| format!("made by {it}"));
    let more: Vec<String> = object.size.iter().cloned().chain(made_by).collect();
    match more.is_empty() {
        true => object.name.clone(),
        false => format!("{} ({})", object.name, more.join(", ")),
    }
}

fn sign(action: PlannedAction) -> String {
    match action {
        PlannedAction::Create => "+",
        PlannedAction::Update => "~",
        PlannedAction::Delete => "-",
        PlannedAction::None => "=",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use catalyst_api::{PlannedApplication, PlannedFile};

    use super::*;

    #[test]
    fn a_plan_reads_as_what_comes_changes_and_goes() {
        let application = |name: &str, blueprint: &str, because: &str| PlannedApplication {
            action: PlannedAction::Create,
            name: name.into(),
            source: "catalog".into(),
            blueprint: blueprint.into(),
            version: "1.0.0".into(),
            from_version: None,
            because: because.into(),
            alternatives: Vec::new(),
            alias: None,
            host_access: Vec::new(),
            moved: Vec::new(),
        };
        let object = |action, kind: &str, name: &str| PlannedObject {
            action,
            application: "guests".into(),
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: Some("guests".into()),
            name: name.into(),
            made_by: None,
            size: None,
            diff: String::new(),
        };
        let mut claim = object(
            PlannedAction::Create,
            "PersistentVolumeClaim",
            "data-guests-0",
        );
        claim.made_by = Some("StatefulSet guests".into());
        claim.size = Some("8Gi".into());
        assert_eq!(
            named(&claim),
            "data-guests-0 (8Gi, made by StatefulSet guests)"
        );
        let mut database = application("guests-db", "bp-postgres", "dependency db of guests");
        database.alternatives = vec!["shared-db".into()];
        database.alias = Some("db".into());
        let plan = PlanView {
            digest: "sha256:1".into(),
            environment: "acme-dev".into(),
            subject: "Install guests".into(),
            applications: vec![application("guests", "bp-guestbook", "asked for"), database],
            files: vec![PlannedFile {
                action: PlannedAction::Create,
                path: "applications/guests/application.yaml".into(),
                diff: "+kind: Application\n".into(),
            }],
            objects: vec![
                object(PlannedAction::Create, "Deployment", "guests"),
                object(PlannedAction::None, "Service", "guests"),
            ],
            policies: vec!["two-eyes".into()],
            warnings: vec!["The quota is nearly used up.".into()],
        };
        insta::assert_snapshot!(describe(&plan, true));

        let mut now = plan.clone();
        now.policies.clear();
        now.warnings.push("Somebody else installs it.".into());
        insta::assert_snapshot!(changed(&plan, &now), @r"
        Things changed meanwhile; of the plan, this differs:
        - Goes by pull request: two-eyes
        + Warning: Somebody else installs it.
        ");
    }
}
