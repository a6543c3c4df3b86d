//! The rules of lint, each described once: SARIF reports, the documentation
//! (`docs/spec/blueprint.md`) and the weight of a finding come from this table.
//!
//! Called by whoever shows findings, and by [`crate::Problem`] for its level. What
//! must stay true: a rule's id never changes its meaning, and every finding of lint
//! names a rule that stands here.

use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The Blueprint is not packed or published as it is.
    Error,
    /// It may be as it is; somebody should look.
    Warning,
}

impl Level {
    /// The word for it, which is SARIF's too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name, stable across releases.
    pub id: &'static str,
    /// What a finding of it weighs.
    pub level: Level,
    /// What it asks for, one sentence.
    pub about: &'static str,
    /// What to do about a finding.
    pub fix: &'static str,
}

const fn error(id: &'static str, about: &'static str, fix: &'static str) -> Rule {
    Rule {
        id,
        level: Level::Error,
        about,
        fix,
    }
}

const fn warning(id: &'static str, about: &'static str, fix: &'static str) -> Rule {
    Rule {
        id,
        level: Level::Warning,
        about,
        fix,
    }
}

/// Every rule, in the order of their ids.
pub const RULES: &[Rule] = &[
    error(
        "alias",
        "Each dependency has an alias of its own.",
        "Give each dependency its own alias.",
    ),
    error(
        "catalyst-word",
        "Words of configSchema that begin with `x-catalyst-` are known, have a value that means something, and stand where they are heeded.",
        "Correct the word or its value, or put it on a property.",
    ),
    error(
        "chart-identity",
        "The chart's name and version are the Blueprint's.",
        "Write the Blueprint's name and version into chart/Chart.yaml.",
    ),
    warning(
        "config-example",
        "Configs that fit configSchema can be made up, to render with.",
        "Give required properties examples, or a default.",
    ),
    error(
        "config-unused",
        "Every property of configSchema arrives in a value that the manifests use.",
        "Use the property, or remove it.",
    ),
    error(
        "control-character",
        "What the card shows is plain text: no control characters, and none that turn its direction.",
        "Write plain text, in one line.",
    ),
    error(
        "cycle",
        "A Blueprint does not depend on itself.",
        "Remove the dependency.",
    ),
    error(
        "dependency-version",
        "Of every dependency there is a version in the range, as far as versions are known.",
        "Name a range that holds a version, or publish one.",
    ),
    error(
        "duplicate-key",
        "No map of blueprint.yaml and chart/Chart.yaml has a key twice.",
        "Remove one of the two.",
    ),
    warning(
        "duplicate-value",
        "No map of chart/values.yaml has a key twice.",
        "Remove one of the two; the last one counts.",
    ),
    error(
        "expression",
        "Every `when` and `${…}` is CEL.",
        "Correct the CEL expression.",
    ),
    error(
        "file-kind",
        "What the folder holds are files and folders, with names in UTF-8: no links, pipes, sockets or devices.",
        "Copy the file in its place, or remove it.",
    ),
    error(
        "file-size",
        "Files of the chart have no more than 5 MiB each, and there are no more than 10,000: nobody can install others.",
        "Keep large files out of the chart: in an image, or where the application fetches them.",
    ),
    error(
        "host-access",
        "Pods take nothing of the machine they run on but what `hostAccess` declares: no host network, processes, files or ports, no privileges.",
        "Remove it, as Applications share machines with strangers, or declare it in `hostAccess` with the reason.",
    ),
    warning(
        "host-access-unused",
        "Some pod takes what `hostAccess` declares.",
        "Remove it from `hostAccess`.",
    ),
    error(
        "http-port",
        "A Service has the port that `provides.http` names, with every config.",
        "Name the port of a Service that the manifests create.",
    ),
    error(
        "icon",
        "The icon is an SVG that draws and does nothing else: no scripts, links, styles or entities, no more than 128 KiB.",
        "Draw it with plain SVG shapes.",
    ),
    warning(
        "image-digest",
        "Images are pinned by their digest.",
        "Add the digest, so that what was tested is what runs.",
    ),
    error(
        "image-tag",
        "Images have a tag other than `latest`.",
        "Name a version, and its digest.",
    ),
    error(
        "kubernetes-schema",
        "What is rendered fits the schema of its kind: Kubernetes' own, or that of a definition rendered with it.",
        "Correct the field; Kubernetes would refuse the object, or ignore the field.",
    ),
    error(
        "kustomize-scalar",
        "The config of a Kustomize Blueprint is text, numbers and truth values only.",
        "Make the property a scalar, or use a Helm chart.",
    ),
    error(
        "labels",
        "Every object has the labels app.kubernetes.io/{name,instance,version,component,managed-by}.",
        "Set them in its metadata, from one helper that all objects share.",
    ),
    error(
        "license",
        "The card's licence is an SPDX expression.",
        "Write one such as `Apache-2.0`, or `LicenseRef-…` for terms of your own.",
    ),
    error(
        "link",
        "Links are https:// addresses.",
        "Give an address that begins with https://.",
    ),
    error(
        "missing-field",
        "blueprint.yaml has every field that it must have.",
        "Add the field.",
    ),
    error(
        "missing-file",
        "The folder holds every file that the Blueprint needs or names.",
        "Add the file, or correct its path.",
    ),
    error(
        "name",
        "Names of Blueprints are `bp-` and small letters, digits and hyphens.",
        "Write a name such as `bp-wordpress`.",
    ),
    error(
        "own-namespace",
        "Objects are of the Application's own namespace, and give no rights beyond it: none of the cluster, of another namespace, of Flux, External Secrets or Catalyst.",
        "Leave it out; what the release may not make, it cannot be installed with.",
    ),
    error(
        "placement",
        "The fewest regions are no more than the most.",
        "Raise maxRegions or lower minRegions.",
    ),
    error(
        "plain-secret",
        "Secrets stand in Secrets only, and come from settings with `x-catalyst-secret` or connection secrets: what has the name or the shape of one (private keys, tokens, addresses with passwords) stands nowhere else.",
        "Take it from such a setting, and refer to the Secret with `secretKeyRef`.",
    ),
    error(
        "probes",
        "Containers that run for ever have a liveness and a readiness probe.",
        "Say how it is known to serve, and how it is known to hang.",
    ),
    error(
        "range",
        "Ranges of versions are semantic versioning's.",
        "Write a range such as `^1.4` or `>=1.4, <3`.",
    ),
    warning(
        "read-only-root",
        "Containers cannot write to their image's files.",
        "Set readOnlyRootFilesystem, and mount an emptyDir where it must write.",
    ),
    error(
        "render",
        "The manifests render in every size, and with configs that reach every branch of configSchema.",
        "Mend the template, or narrow configSchema to what it can take.",
    ),
    error(
        "resources",
        "Containers state what CPU and memory they need, and the most memory they may take.",
        "Add `resources.requests` and `resources.limits.memory`.",
    ),
    error(
        "schema-deep",
        "configSchema is not nested beyond reason.",
        "Make it flatter.",
    ),
    error(
        "schema-invalid",
        "configSchema is JSON Schema 2020-12.",
        "Correct the schema.",
    ),
    error(
        "schema-open",
        "configSchema is an object that accepts named properties only.",
        "Say `type: object` and `additionalProperties: false`.",
    ),
    error(
        "schema-remote",
        "configSchema refers to nothing outside itself.",
        "Copy the definition into $defs.",
    ),
    warning(
        "schema-word",
        "Other words of configSchema are JSON Schema's, or begin with `x-`.",
        "Correct or remove the word.",
    ),
    error(
        "secret-default",
        "A secret has no values in the schema, which everyone can read: no `default`, `const`, `enum` and `examples`.",
        "Remove them; have the secret generated, or ask for it.",
    ),
    error(
        "secret-key",
        "Keys of the connection secret are usable in a Secret, each once.",
        "Use letters, digits, `-`, `_` and `.` only, and each key once.",
    ),
    error(
        "secret-type",
        "Secrets are strings.",
        "Give the property `type: string`.",
    ),
    error(
        "secret-value",
        "`values` says what stands in each key of the connection secret.",
        "Say in `values` what stands in each key, with `${…}`.",
    ),
    error(
        "security-context",
        "Containers run as a user of their own, without escalation and capabilities.",
        "Set runAsNonRoot, allowPrivilegeEscalation: false and capabilities.drop [ALL].",
    ),
    error(
        "shape",
        "blueprint.yaml can be read as a Blueprint.",
        "Compare it with the Blueprint's specification.",
    ),
    warning(
        "size-value",
        "Values of the sizes keep to the limits of configSchema.",
        "Choose a value that users may choose too, or widen configSchema.",
    ),
    error(
        "ttl",
        "How long a credential lives is a duration.",
        "Write a duration such as `90d`.",
    ),
    error(
        "unknown-field",
        "blueprint.yaml has no field that the specification does not name.",
        "Correct or remove the field.",
    ),
    error(
        "upgrade-path",
        "What `upgrades` says contradicts neither itself nor the version.",
        "Take the range out of `from` or `blocks`, name earlier versions, and say of a value where it goes.",
    ),
    warning(
        "value-unknown",
        "Templates use values that something sets.",
        "Give the value a default in chart/values.yaml, or correct its name.",
    ),
    warning(
        "value-unused",
        "Values of the chart and of the sizes are used.",
        "Use the value, or remove it.",
    ),
    error(
        "version",
        "The version is semantic, without build metadata.",
        "Write a version such as `1.3.0`.",
    ),
    error(
        "wrong-value",
        "Every field of blueprint.yaml has a value of the kind asked for.",
        "Give a value of that kind.",
    ),
    error(
        "yaml",
        "Files that must be YAML are.",
        "Correct the line; check indentation and quotes.",
    ),
];

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_once_each_in_order_and_say_all_they_should() {
        for pair in RULES.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
        for rule in RULES {
            let is_id = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(rule.id.chars().all(is_id), "{}", rule.id);
            for text in [rule.about, rule.fix] {
                assert!(text.ends_with('.'), "{}: {text}", rule.id);
                assert!(!text.contains('|'), "{}: {text}", rule.id);
            }
            assert_eq!(super::rule(rule.id), Some(rule));
        }
        assert_eq!(rule("no-such-rule"), None);
    }

    #[test]
    fn the_documentation_has_this_table() {
        let table: String = RULES
            .iter()
            .map(|rule| {
                let (id, level) = (rule.id, rule.level.word());
                format!("| `{id}` | {level} | {} | {} |\n", rule.about, rule.fix)
            })
            .collect();
        let page = include_str!("../../../../docs/spec/blueprint.md");
        assert!(
            page.contains(&table),
            "docs/spec/blueprint.md should have these rows:\n{table}"
        );
    }
}
