//! What changes for users between two versions of a Blueprint.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use catalyst_api::PlannedAction::{Create, Delete, Update};
use catalyst_blueprint::{Blueprint, ManifestKind};
use catalyst_plan::{
    BlueprintChanges, BlueprintContent, BlueprintVersion, NamedChange, compare_blueprints,
};

const BLUEPRINT: &str = "\
apiVersion: catalyst.openova.io/v1alpha1
kind: Blueprint
metadata: {name: bp-wiki}
spec:
  version: 1.0.0
  card: {title: Wiki, license: MIT}
  configSchema:
    type: object
    required: [title]
    properties:
      title: {type: string, default: Wiki}
      replicas: {type: integer, minimum: 1, maximum: 5}
  depends: [{blueprint: bp-postgres, version: ^1, alias: db}]
  manifests:
    source: {kind: HelmChart}
    overlays: {small: {}, large: {replicas: 3}}
  provides: {connectionSecret: {keys: [url, host], values: {url: \"http://${host}\"}}}
";

const TEMPLATE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {openova.io/blueprint-version: {{ .Chart.Version | quote }}}
spec:
  replicas: {{ int .Values.replicas }}
  selector: {matchLabels: {app: wiki}}
  template:
    metadata: {labels: {app: wiki}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true}
      containers:
        - name: web
          image: wiki:1.0.0
          env: [{name: TITLE, value: {{ .Values.title | quote }}}]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {key: hunter2}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules:
  - {apiGroups: [\"\", apps], resources: [pods], verbs: [get]}
";

/// The Blueprint and its chart, with one text put in place of another in both.
fn version(changes: &[(&str, &str)]) -> (Blueprint, BlueprintContent) {
    let chart = "apiVersion: v2\nname: bp-wiki\nversion: 1.0.0\n";
    let mut files = [
        ("blueprint.yaml", BLUEPRINT),
        ("chart/Chart.yaml", chart),
        ("chart/values.yaml", "replicas: 1\n"),
        ("chart/templates/all.yaml", TEMPLATE),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()));
    for (from, to) in changes {
        let mut is_there = false;
        for (_, text) in &mut files {
            is_there |= text.contains(from);
            *text = text.replace(from, to);
        }
        assert!(is_there, "{from:?} is nowhere");
    }
    let blueprint = Blueprint::parse(&files[0].1).unwrap();
    let files = files
        .into_iter()
        .map(|(path, text)| (path, text.into_bytes()))
        .collect();
    let content = BlueprintContent::of_folder(ManifestKind::HelmChart, &files);
    (blueprint, content)
}

fn changes(before: &[(&str, &str)], after: &[(&str, &str)]) -> BlueprintChanges {
    let (before, after) = (version(before), version(after));
    let side = |(blueprint, content)| BlueprintVersion { blueprint, content };
    compare_blueprints(side((&before.0, &before.1)), side((&after.0, &after.1))).unwrap()
}

fn change(action: catalyst_api::PlannedAction, name: &str, diff: &str) -> NamedChange {
    NamedChange {
        action,
        name: name.to_owned(),
        diff: diff.to_owned(),
    }
}

const NEXT: (&str, &str) = ("version: 1.0.0", "version: 1.1.0");

#[test]
fn a_version_alone_changes_nothing() {
    let found = changes(&[], &[NEXT]);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(
        (found.before.as_str(), found.after.as_str()),
        ("bp-wiki 1.0.0", "bp-wiki 1.1.0")
    );
    assert!(found.upgrade.possible);
}

#[test]
fn what_can_be_set_is_compared_key_by_key() {
    let found = changes(
        &[],
        &[
            NEXT,
            (
                "title: {type: string, default: Wiki}",
                "domain: {type: string, examples: [example.org]}",
            ),
            ("required: [title]", "required: [domain]"),
            ("maximum: 5", "maximum: 9, default: 2"),
            (
                "large: {replicas: 3}",
                "large: {replicas: 4}, huge: {replicas: 9}",
            ),
            (".Values.title", ".Values.domain"),
        ],
    );
    assert_eq!(
        found.config,
        [
            change(
                Create,
                "domain",
                "+ perEnvironment: false\n+ required: true\n+ secret: false\n+ type: \"string\"\n"
            ),
            change(
                Update,
                "replicas",
                "+ default: 2\n~ limits.maximum: 5 -> 9\n"
            ),
            change(
                Delete,
                "title",
                "- default: \"Wiki\"\n- perEnvironment: false\n- required: true\n- secret: false\n- type: \"string\"\n"
            ),
        ]
    );
    assert_eq!(
        found.sizes,
        [
            change(Create, "huge", "+ replicas: 9\n"),
            change(Update, "large", "~ replicas: 3 -> 4\n"),
        ]
    );
}

#[test]
fn a_setting_that_is_moved_is_neither_removed_nor_added() {
    let moved = |upgrades: &str| {
        let upgrades = format!("  upgrades: {upgrades}\n  manifests:\n");
        let found = changes(
            &[],
            &[
                ("version: 1.0.0", "version: 2.0.0"),
                (
                    "title: {type: string, default: Wiki}",
                    "page: {type: object, properties: {title: {type: string, default: Pages}}}",
                ),
                ("required: [title]", "required: []"),
                (".Values.title", "(default dict .Values.page).title"),
                ("  manifests:\n", &upgrades),
            ],
        );
        let names: Vec<String> = found.config.iter().map(|it| it.name.clone()).collect();
        (found, names)
    };
    let (found, names) = moved("{values: [{before: 2.0.0, move: /title, to: /page/title}]}");
    assert!(names.is_empty(), "{found:#?}");
    let [only] = found.moved.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(
        (only.from.as_str(), only.to.as_str(), only.diff.as_str()),
        (
            "title",
            "page.title",
            "~ default: \"Wiki\" -> \"Pages\"\n~ required: true -> false\n"
        )
    );
    assert!(!found.is_empty());
    // Nothing moves it: of an earlier change, or to another place.
    for upgrades in [
        "{}",
        "{values: [{before: 1.0.0, move: /title, to: /page/title}]}",
        "{values: [{before: 2.0.0, move: /title, to: /page/name}]}",
        "{values: [{before: 2.0.0, remove: /title}]}",
    ] {
        let (found, names) = moved(upgrades);
        assert_eq!(names, ["page.title", "title"], "{upgrades}");
        assert!(found.moved.is_empty(), "{upgrades}");
    }
}

#[test]
fn objects_images_and_secrets_are_compared_and_secrets_not_shown() {
    let found = changes(
        &[],
        &[
            ("image: wiki:1.0.0", "image: wiki:1.1.0"),
            ("{key: hunter2}", "{key: hunter3}"),
            ("kind: Role\n", "kind: ClusterRole\n"),
        ],
    );
    let names = |changes: &[NamedChange]| -> Vec<_> {
        let names = changes.iter().map(|it| (it.action, it.name.clone()));
        names.collect()
    };
    assert_eq!(
        names(&found.objects),
        [
            (Update, "Secret example".to_owned()),
            (Update, "Deployment example".to_owned()),
        ]
    );
    assert_eq!(
        names(&found.rights),
        [
            (Create, "ClusterRole example".to_owned()),
            (Delete, "Role example".to_owned()),
        ]
    );
    assert!(found.objects[0].diff.starts_with("~ data.key: "));
    assert_eq!(
        found.objects[1].diff,
        "~ spec.template.spec.containers[name=web].image: \"wiki:1.0.0\" -> \"wiki:1.1.0\"\n"
    );
    assert!(!format!("{found:?}").contains("hunter"));
    assert_eq!(found.images.added, ["wiki:1.1.0"]);
    assert_eq!(found.images.removed, ["wiki:1.0.0"]);
}

#[test]
fn more_rights_are_told_and_fewer_too() {
    let wider = [
        ("verbs: [get]", "verbs: [get, delete]"),
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("automountServiceAccountToken: false", "hostPID: true"),
    ];
    let added = [
        "Role example may delete pods",
        "Role example may delete pods.apps",
        "container `web` of Deployment example may run as root (runAsNonRoot is not true)",
        "the pods of Deployment example hold a token for the Kubernetes API",
        "the pods of Deployment example share the host's hostPID",
    ];
    let found = changes(&[], &wider);
    assert_eq!(found.permissions.added, added);
    assert!(found.permissions.removed.is_empty());
    let found = changes(&wider, &[]);
    assert_eq!(found.permissions.removed, added);
    assert!(found.permissions.added.is_empty());
}

#[test]
fn dependencies_offers_and_upgrades_are_compared() {
    let found = changes(
        &[],
        &[
            ("version: 1.0.0", "version: 2.0.0"),
            ("version: ^1,", "version: ^2,"),
            ("keys: [url, host]", "keys: [url]"),
            (
                "  manifests:\n",
                "  upgrades: {from: [1.5.x]}\n  manifests:\n",
            ),
        ],
    );
    assert_eq!(
        found.dependencies,
        [change(Update, "db", "~ version: \"^1\" -> \"^2\"\n")]
    );
    assert_eq!(found.provides.len(), 1);
    assert_eq!(found.provides[0].name, "connectionSecret");
    assert!(!found.upgrade.possible);
    let reason = found.upgrade.reason.unwrap();
    assert!(
        reason.contains("accepts upgrades from 1.5.x only"),
        "{reason}"
    );
    let other = changes(&[], &[("bp-wiki", "bp-pages")]);
    assert_eq!(
        other.upgrade.reason.as_deref(),
        Some("bp-wiki and bp-pages are different Blueprints")
    );
}

#[test]
fn what_does_not_render_is_an_error() {
    let (before, after) = (version(&[]), version(&[(".Values.title", "fail")]));
    let error = compare_blueprints(
        BlueprintVersion {
            blueprint: &before.0,
            content: &before.1,
        },
        BlueprintVersion {
            blueprint: &after.0,
            content: &after.1,
        },
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("templates/all.yaml:17"),
        "{error}"
    );
}

#[test]
fn what_is_no_upgrade_and_what_breaks_is_said() {
    let older = ("version: 1.0.0", "version: 0.9.0");
    for (before, after, expected) in [
        (&[][..], &[NEXT][..], None),
        (
            &[NEXT][..],
            &[][..],
            Some("from 1.1.0 to 1.0.0 is a downgrade"),
        ),
        (&[][..], &[older][..], Some("is a downgrade")),
        (&[][..], &[][..], Some("both are version 1.0.0")),
    ] {
        let remark = changes(before, after).upgrade.remark;
        assert_eq!(remark.is_some(), expected.is_some(), "{remark:?}");
        let remark = remark.unwrap_or_default();
        assert!(remark.contains(expected.unwrap_or_default()), "{remark}");
    }
    let found = changes(&[], &[NEXT, ("maximum: 5", "maximum: 4")]);
    assert_eq!(found.breaking, ["`replicas` has maximum 4, and had 5"]);
    let found = changes(&[], &[NEXT, ("maximum: 5", "maximum: 6")]);
    assert_eq!(found.breaking, Vec::<String>::new());
}
