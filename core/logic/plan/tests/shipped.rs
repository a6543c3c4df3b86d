//! The shipped Blueprints, expanded and planned as they will be installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use catalyst_api::PlannedAction;
use catalyst_blueprint::Blueprint;
use catalyst_names::{ApplicationName, EnvironmentName};
use catalyst_plan::{
    AdmittedBlueprint, ApplicationContext, BlueprintContent, Expansion, OwnedObject, PlanInput,
    ResolvedDependency, check_reach, expand, expand_rendered, http_backend, lint_blueprint, plan,
};
use catalyst_resources::{Application, KeylessSigner, Quota, TrustedSigner};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{path}/"), files);
        } else {
            files.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn shipped(folder: &str) -> (AdmittedBlueprint, BlueprintContent) {
    let folder = root().join(folder);
    let text = std::fs::read_to_string(folder.join("blueprint.yaml")).unwrap();
    let blueprint = Blueprint::parse(&text).unwrap();
    let mut files = BTreeMap::new();
    // As Helm packs it: everything below the chart's name.
    let prefix = format!("{}/", blueprint.name());
    read(&folder.join("chart"), &prefix, &mut files);
    let admitted = AdmittedBlueprint {
        source: "catalog".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)),
        signer: "sha256:key".to_owned(),
        repository: format!("catalog/{}", blueprint.name()),
        blueprint,
        icon: Some("<svg/>".to_owned()),
        description: None,
        withdrawn: None,
    };
    (admitted, BlueprintContent { files })
}

fn context() -> ApplicationContext {
    let mut context = ApplicationContext::new(
        "localhost",
        &EnvironmentName::new("acme-dev").unwrap(),
        &"lo-loc-rtz-dev".parse().unwrap(),
        "127.0.0.1:8080",
        true,
    )
    .unwrap();
    context.trusted_signers = ["catalog", "globex"]
        .map(|source| TrustedSigner {
            source: source.to_owned(),
            public_key: format!("-----BEGIN PUBLIC KEY-----\n{source}\n-----END PUBLIC KEY-----\n"),
        })
        .to_vec();
    context
}

fn name(text: &str) -> ApplicationName {
    ApplicationName::new(text).unwrap()
}

fn application(name: &str, blueprint: &AdmittedBlueprint, rest: Value) -> Application {
    let mut spec = json!({"blueprint": {
        "source": blueprint.source, "name": blueprint.name(), "version": blueprint.version(),
    }});
    for (key, value) in rest.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": "acme-dev"}, "spec": spec,
    }))
    .unwrap()
}

fn guestbook(rest: Value) -> (Expansion, Vec<Value>) {
    let (blueprint, content) = shipped("examples/guestbook");
    let (postgres, _) = shipped("platform/postgres");
    let mut spec = json!({
        "config": {"title": "Ours"},
        "dependencies": {"db": {"application": "guestbook-db"}},
    });
    for (key, value) in rest.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let dependency = ResolvedDependency::of("db", name("guestbook-db"), &postgres, true);
    expand_rendered(
        &application("guestbook", &blueprint, spec),
        &blueprint,
        &[dependency],
        &context(),
        &content,
    )
    .unwrap()
}

fn postgres() -> (Expansion, Vec<Value>) {
    let (blueprint, content) = shipped("platform/postgres");
    let mut context = context();
    context.dependents = vec![name("guestbook")];
    context.quota = Some(Quota {
        cpu: Some("4".to_owned()),
        memory: Some("8Gi".to_owned()),
        storage: None,
        applications: Some(10),
    });
    expand_rendered(
        &application(
            "guestbook-db",
            &blueprint,
            json!({"size": "medium", "config": {"databases": ["guestbook"]}}),
        ),
        &blueprint,
        &[],
        &context,
        &content,
    )
    .unwrap()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn guestbook_is_these_objects() {
    let (expansion, rendered) = guestbook(json!({}));
    insta::assert_json_snapshot!("guestbook_expansion", expansion.objects);
    insta::assert_json_snapshot!("guestbook_rendered", rendered);
}

#[test]
fn postgres_is_these_objects() {
    let (expansion, rendered) = postgres();
    insta::assert_json_snapshot!("postgres_expansion", expansion.objects);
    insta::assert_json_snapshot!("postgres_rendered", rendered);
}

#[test]
fn every_object_has_the_labels_and_its_namespace() {
    for (expansion, rendered) in [guestbook(json!({})), postgres()] {
        for object in &expansion.objects {
            let labels = object["metadata"]["labels"].as_object().unwrap();
            for key in [
                "app.kubernetes.io/name",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/version",
                "app.kubernetes.io/component",
                "app.kubernetes.io/managed-by",
                "openova.io/sovereign",
                "openova.io/organization",
                "openova.io/environment",
                "openova.io/env-type",
                "openova.io/vcluster",
                "openova.io/host-cluster",
                "openova.io/application",
                "openova.io/blueprint",
                "openova.io/blueprint-version",
            ] {
                let value = labels.get(key).and_then(Value::as_str).unwrap_or_default();
                assert!((1..=63).contains(&value.len()), "{key} of {object}");
            }
            let namespace = object["metadata"]["namespace"].as_str();
            if object["kind"] == "Namespace" {
                assert_eq!(namespace, None);
            } else {
                assert!(matches!(
                    namespace,
                    Some("acme-dev" | "guestbook" | "guestbook-db")
                ));
            }
        }
        for object in &rendered {
            assert_eq!(
                object["metadata"]["labels"]["openova.io/organization"],
                "acme"
            );
            assert_eq!(
                object["metadata"]["namespace"],
                expansion.workload_namespace.as_str()
            );
        }
    }
}

/// The schemas that the API serves: Kubernetes' own, Flux's, and the operator's.
fn schema_problems(object: &Value) -> Vec<String> {
    use std::io::Read;
    let kind = object["kind"].as_str().unwrap();
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let definition = match kind {
        "HelmRelease" => "flux/crds/helmreleases.json",
        "OCIRepository" => "flux/crds/ocirepositories.json",
        "Kustomization" => "flux/crds/kustomizations.json",
        "ExternalSecret" => "external-secrets/crds/externalsecrets.json",
        // No definition of the gateway's API lies here.
        "HTTPRoute" => return Vec::new(),
        _ => "kubernetes/data/schemas.json.gz",
    };
    let bytes = std::fs::read(root().join("core/embedded").join(definition)).unwrap();
    let mut object = object.clone();
    let schema = if definition.ends_with(".gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        let definitions: Value = serde_json::from_str(&text).unwrap();
        let document = json!({"components": {"schemas": definitions}});
        let set = catalyst_schema::SchemaSet::parse(&document).unwrap();
        set.for_kind(group, version, kind).unwrap()
    } else {
        let definition: Value = serde_json::from_slice(&bytes).unwrap();
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let served = versions.iter().find(|one| one["name"] == version).unwrap();
        let fields = object.as_object_mut().unwrap();
        fields.remove("metadata");
        catalyst_schema::Schema::parse(&served["schema"]["openAPIV3Schema"]).unwrap()
    };
    let mut problems: Vec<String> = schema
        .validate(&object)
        .iter()
        .map(ToString::to_string)
        .collect();
    problems.extend(schema.unknown_fields(&object));
    problems
}

#[test]
fn every_object_fits_the_schema_of_its_kind() {
    let mut seen = BTreeSet::new();
    for (expansion, rendered) in [guestbook(json!({"paused": true})), postgres()] {
        for object in expansion.objects.iter().chain(&rendered) {
            seen.insert(object["kind"].as_str().unwrap().to_owned());
            assert_eq!(schema_problems(object), Vec::<String>::new(), "{object}");
        }
    }
    assert!(seen.len() >= 9, "{seen:?}");
}

#[test]
fn an_edge_is_allowed_on_both_sides_and_nothing_else_is() {
    let (guestbook, _) = guestbook(json!({}));
    let (postgres, _) = postgres();
    let out = find(&guestbook.objects, "NetworkPolicy", "allow-to-guestbook-db");
    assert_eq!(
        out["spec"]["egress"][0]["to"][0]["namespaceSelector"]["matchLabels"],
        json!({"kubernetes.io/metadata.name": "guestbook-db"})
    );
    let inward = find(&postgres.objects, "NetworkPolicy", "allow-from-guestbook");
    assert_eq!(
        inward["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"],
        json!({"kubernetes.io/metadata.name": "guestbook"})
    );
    let deny = find(&postgres.objects, "NetworkPolicy", "default-deny");
    assert_eq!(deny["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let names: BTreeSet<&str> = postgres
        .objects
        .iter()
        .filter(|object| object["kind"] == "NetworkPolicy")
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    // No page, so no way in from the gateway.
    assert_eq!(
        names,
        BTreeSet::from([
            "allow-dns",
            "allow-from-guestbook",
            "allow-within",
            "default-deny"
        ])
    );
}

#[test]
fn secrets_are_paths_and_the_release_waits_for_its_database() {
    let (guestbook, _) = guestbook(json!({}));
    let secret = find(
        &guestbook.objects,
        "ExternalSecret",
        "guestbook-db-connection",
    );
    assert_eq!(secret["metadata"]["namespace"], "guestbook");
    assert_eq!(
        secret["spec"]["data"][0]["remoteRef"],
        json!({"key": "org/acme/env/dev/guestbook-db/connection", "property": "url"})
    );
    let release = find(&guestbook.objects, "HelmRelease", "guestbook");
    assert_eq!(
        release["spec"]["dependsOn"],
        json!([{"name": "guestbook-db"}])
    );
    assert_eq!(
        release["spec"]["values"]["dependencies"]["db"]["connectionSecret"],
        "guestbook-db-connection"
    );
    assert_eq!(release["spec"].get("suspend"), None);
    let source = find(&guestbook.objects, "OCIRepository", "guestbook");
    assert_eq!(
        source["spec"]["ref"],
        json!({"digest": format!("sha256:{}", "a".repeat(64))})
    );
    assert_eq!(source["spec"]["insecure"], true);
    let signers = find(&guestbook.objects, "Secret", "guestbook-signers");
    // Keys of another source do not count.
    assert_eq!(signers["data"].as_object().unwrap().len(), 1);
}

#[test]
fn what_was_signed_by_a_certificate_is_delivered_by_its_identities() {
    let (mut blueprint, content) = shipped("platform/postgres");
    blueprint.signer = "https://ci.example/acme by https://issuer.example".to_owned();
    let signer = |source: &str, subject: Option<&str>| KeylessSigner {
        source: source.to_owned(),
        subject: subject.map(str::to_owned),
        subject_regexp: None,
        issuer: None,
        issuer_regexp: Some("^https://issuer\\.".to_owned()),
    };
    let mut trusting = context();
    trusting.keyless_signers = vec![
        signer("catalog", Some("https://ci.example/acme")),
        // Of another source, and of no subject.
        signer("globex", Some("https://ci.example/globex")),
        signer("catalog", None),
    ];
    trusting.trusted_root = Some("{}".to_owned());
    let verify = |context: &ApplicationContext| {
        let application = application("db", &blueprint, json!({}));
        let (made, _) = expand_rendered(&application, &blueprint, &[], context, &content).unwrap();
        let secret = find(&made.objects, "Secret", "db-signers");
        let source = find(&made.objects, "OCIRepository", "db");
        (source["spec"]["verify"].clone(), secret["data"].clone())
    };
    assert_eq!(
        verify(&trusting),
        (
            json!({
                "provider": "cosign",
                "matchOIDCIdentity": [{
                    "issuer": "^https://issuer\\.",
                    "subject": "^https://ci\\.example/acme$",
                }],
                "trustedRootSecretRef": {"name": "db-signers"},
            }),
            json!({"trusted_root.json": "e30="})
        )
    );
    // Flux would believe anybody where none is named: then keys are asked for.
    let by_key = json!({"provider": "cosign", "secretRef": {"name": "db-signers"}});
    let mut nobody = trusting.clone();
    nobody.keyless_signers.retain(|it| it.source != "catalog");
    let mut rootless = trusting.clone();
    rootless.trusted_root = None;
    for context in [nobody, rootless] {
        let (verification, data) = verify(&context);
        assert_eq!(verification, by_key);
        assert!(data.get("trusted_root.json").is_none(), "{data}");
    }
}

#[test]
fn paused_suspends_and_the_route_leads_to_the_page() {
    let (guestbook, rendered) = guestbook(json!({"paused": true}));
    let release = find(&guestbook.objects, "HelmRelease", "guestbook");
    assert_eq!(release["spec"]["suspend"], true);
    let route = find(&guestbook.objects, "HTTPRoute", "guestbook");
    assert_eq!(
        route["spec"]["hostnames"],
        json!(["guestbook.acme-dev.localhost"])
    );
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][0]["port"], 80);
    assert_eq!(
        http_backend(&rendered, &json!(80)).unwrap().service,
        "guestbook"
    );
    assert_eq!(http_backend(&rendered, &json!("other")), None);
}

#[test]
fn a_secret_property_is_delivered_by_reference() {
    let yaml = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-xx}\nspec:\n  version: 1.0.0\n  card: {title: X, license: MIT}\n  manifests: {source: {kind: HelmChart}}\n  configSchema:\n    type: object\n    properties:\n      smtp: {type: object, properties: {pass.word: {type: string, x-catalyst-secret: true}, host: {type: string}}}\n      keys: {type: array, items: {type: string, x-catalyst-secret: true}}\n";
    let (mut blueprint, _) = shipped("examples/guestbook");
    blueprint.blueprint = Blueprint::parse(yaml).unwrap();
    let of = |config: Value| {
        expand(
            &application("x1", &blueprint, json!({"config": config})),
            &blueprint,
            &[],
            &context(),
        )
    };
    let expansion =
        of(json!({"smtp": {"host": "mx", "pass.word": {"secretRef": "smtp-password"}}})).unwrap();
    let release = find(&expansion.objects, "HelmRelease", "x1");
    assert_eq!(release["spec"]["values"]["smtp"], json!({"host": "mx"}));
    assert_eq!(
        release["spec"]["valuesFrom"],
        json!([{
            "kind": "Secret", "name": "x1-config", "valuesKey": "smtp-password",
            "targetPath": "smtp.pass\\.word", "literal": true,
        }])
    );
    let secret = find(&expansion.objects, "ExternalSecret", "x1-config");
    assert_eq!(secret["metadata"]["namespace"], "acme-dev");
    assert_eq!(
        secret["spec"]["data"][0]["remoteRef"],
        json!({"key": "org/acme/env/dev/x1/smtp-password", "property": "value"})
    );
    let refused = of(json!({"keys": [{"secretRef": "a"}]}))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("lies in a list"), "{refused}");
}

#[test]
fn a_release_acts_as_an_account_with_rights_in_its_own_namespace_alone() {
    let (guestbook, _) = guestbook(json!({}));
    let release = find(&guestbook.objects, "HelmRelease", "guestbook");
    let account = release["spec"]["serviceAccountName"].as_str().unwrap();
    // Beside the release, where none of its own pods can borrow it.
    let made = find(&guestbook.objects, "ServiceAccount", account);
    assert_eq!(made["metadata"]["namespace"], "acme-dev");
    let binding = find(&guestbook.objects, "RoleBinding", "catalyst-release");
    assert_eq!(binding["metadata"]["namespace"], "guestbook");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": account, "namespace": "acme-dev"}])
    );
    let role = find(&guestbook.objects, "Role", "catalyst-release");
    assert_eq!(role["metadata"]["namespace"], "guestbook");
    for rule in role["rules"].as_array().unwrap() {
        let groups = rule["apiGroups"].as_array().unwrap();
        for group in [
            "*",
            "catalyst.openova.io",
            "external-secrets.io",
            "helm.toolkit.fluxcd.io",
            "kustomize.toolkit.fluxcd.io",
            "source.toolkit.fluxcd.io",
        ] {
            assert!(!groups.contains(&json!(group)), "{rule}");
        }
        if groups.contains(&json!("rbac.authorization.k8s.io")) {
            for verb in ["*", "bind", "escalate"] {
                assert!(!rule["verbs"].as_array().unwrap().contains(&json!(verb)));
            }
        }
    }
    assert!(
        guestbook
            .objects
            .iter()
            .all(|object| !object["kind"].as_str().unwrap().starts_with("ClusterRole"))
    );
}

#[test]
fn no_application_has_its_workloads_among_an_environments_own_objects() {
    let (blueprint, _) = shipped("examples/guestbook");
    for (name, is_refused) in [
        ("acme-prod", true),
        ("acme-dev", true),
        ("acme-shop", false),
    ] {
        let application = application(name, &blueprint, json!({}));
        let refused = expand(&application, &blueprint, &[], &context()).err();
        let refused = refused.is_some_and(|error| error.to_string().contains("Environment's own"));
        assert_eq!(refused, is_refused, "{name}");
    }
}

#[test]
fn what_a_release_may_not_make_is_refused_before_it_is_tried() {
    let (blueprint, content) = shipped("examples/guestbook");
    let (expansion, _) = guestbook(json!({}));
    check_reach(&expansion, &content).unwrap();
    let hook = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: grasp\n  namespace: other\n  annotations: {helm.sh/hook: pre-install}\n";
    let admin = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: grasp}\n";
    for (template, words) in [
        (
            hook,
            "ConfigMap grasp of its Blueprint is in the namespace other",
        ),
        (
            admin,
            "ClusterRoleBinding grasp of its Blueprint is of the whole cluster",
        ),
    ] {
        let mut content = content.clone();
        let path = format!("{}/templates/grasp.yaml", blueprint.name());
        content.files.insert(path, template.as_bytes().to_vec());
        let refused = check_reach(&expansion, &content).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        assert!(
            refused.contains("own Application's namespace only"),
            "{refused}"
        );
    }
}

#[test]
fn a_kustomize_blueprint_becomes_a_kustomization() {
    let yaml = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Blueprint\nmetadata: {name: bp-kk}\nspec:\n  version: 1.0.0\n  card: {title: K, license: MIT}\n  manifests: {source: {kind: Kustomize}, overlays: {small: {}}}\n";
    let (mut blueprint, _) = shipped("examples/guestbook");
    blueprint.blueprint = Blueprint::parse(yaml).unwrap();
    let (postgres, _) = shipped("platform/postgres");
    let files = [
        ("base/kustomization.yaml", "resources: [map.yaml]\n"),
        (
            "base/map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k}\ndata: {greeting: \"${greeting:=none}\", db: \"${dependencies_db_connectionSecret}\"}\n",
        ),
        (
            "overlays/small/kustomization.yaml",
            "resources: [../../base]\n",
        ),
    ];
    let content = BlueprintContent {
        files: files
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into(),
    };
    let of = |ready: bool| {
        expand_rendered(
            &application(
                "kk",
                &blueprint,
                json!({"size": "small", "config": {"greeting": "hi"}, "dependencies": {"db": {"application": "pg"}}}),
            ),
            &blueprint,
            &[ResolvedDependency::of("db", name("pg"), &postgres, ready)],
            &context(),
            &content,
        )
        .unwrap()
    };
    let (expansion, rendered) = of(true);
    let kustomization = find(&expansion.objects, "Kustomization", "kk");
    assert_eq!(kustomization["spec"]["path"], "./overlays/small");
    assert_eq!(
        kustomization["spec"]["postBuild"]["substitute"]["greeting"],
        "hi"
    );
    // The database is a HelmRelease, which dependsOn cannot name.
    assert_eq!(kustomization["spec"].get("dependsOn"), None);
    assert_eq!(kustomization["spec"].get("suspend"), None);
    // What it is built from is named by what it holds, so that the next version's spec
    // never meets this one's artifact.
    let source = format!("kk-{}", "a".repeat(12));
    find(&expansion.objects, "OCIRepository", &source);
    assert_eq!(
        kustomization["spec"]["sourceRef"],
        json!({"kind": "OCIRepository", "name": source})
    );
    let (held, _) = of(false);
    assert_eq!(
        find(&held.objects, "Kustomization", "kk")["spec"]["suspend"],
        true
    );
    assert_eq!(
        find(&rendered, "ConfigMap", "k")["data"],
        json!({"greeting": "hi", "db": "pg-connection"})
    );
}

fn owned(application: &str, objects: Vec<Value>) -> Vec<OwnedObject> {
    objects
        .into_iter()
        .map(|object| OwnedObject {
            application: application.to_owned(),
            object,
        })
        .collect()
}

#[test]
fn a_plan_shows_what_changes_and_has_one_digest() {
    let (expansion, rendered) = guestbook(json!({}));
    let all: Vec<Value> = expansion.objects.into_iter().chain(rendered).collect();
    let (changed, changed_rendered) = guestbook(json!({"config": {"title": "Theirs"}}));
    let changed: Vec<Value> = changed
        .objects
        .into_iter()
        .chain(changed_rendered)
        .collect();
    let input = |live: Option<Vec<Value>>, desired: &[Value]| PlanInput {
        environment: "acme-dev".to_owned(),
        subject: "Change guestbook".to_owned(),
        before: BTreeMap::from([("a.yaml".to_owned(), "title: Ours\n".to_owned())]),
        after: BTreeMap::from([("a.yaml".to_owned(), "title: Theirs\n".to_owned())]),
        previous: owned("guestbook", all.clone()),
        desired: owned("guestbook", desired.to_vec()),
        live,
        ..PlanInput::default()
    };
    let fresh = plan(input(Some(Vec::new()), &all));
    let applied = fresh.view().objects.iter();
    let applied = applied.filter(|object| object.made_by.is_none());
    assert_eq!(applied.count(), all.len());
    assert!(
        fresh
            .view()
            .objects
            .iter()
            .all(|object| object.action == PlannedAction::Create)
    );

    let update = plan(input(Some(all.clone()), &changed));
    let kinds: Vec<&str> = update
        .view()
        .objects
        .iter()
        .map(|object| object.kind.as_str())
        .collect();
    assert_eq!(kinds, ["HelmRelease", "Deployment"]);
    assert!(
        update.view().objects[0]
            .diff
            .contains("\"Ours\" -> \"Theirs\"")
    );
    assert!(
        update.view().files[0]
            .diff
            .contains("-title: Ours\n+title: Theirs\n")
    );
    assert_eq!(update.files().len(), 1);
    assert_eq!(
        update.digest(),
        plan(input(Some(all.clone()), &changed)).digest()
    );
    assert_ne!(update.digest(), fresh.digest());
    assert!(update.digest().starts_with("sha256:"));

    // How far a rollout is changes what it shows, and is no other plan.
    let mut scaled = all.clone();
    for object in &mut scaled {
        if object["kind"] == "Deployment" {
            object["spec"]["replicas"] = json!(7);
        }
    }
    for live in [Some(scaled), Some(Vec::new()), None] {
        let elsewhere = plan(PlanInput {
            warnings: vec!["the vcluster was not asked".to_owned()],
            ..input(live, &changed)
        });
        assert_eq!(update.digest(), elsewhere.digest());
    }

    // Without the vcluster, what Git said before stands in.
    let blind = plan(input(None, &changed));
    assert_eq!(blind.view().objects.len(), 2);

    let gone = plan(input(Some(all.clone()), &[]));
    assert_eq!(gone.view().objects.len(), all.len());
    assert_eq!(gone.view().objects[0].kind, "Deployment");
    assert!(
        gone.view()
            .objects
            .iter()
            .all(|object| object.action == PlannedAction::Delete)
    );
}

#[test]
fn a_plan_lists_what_its_objects_make_where_it_is_new() {
    let made = |live: Option<Vec<Value>>, previous: &[Value], desired: &[Value]| {
        let plan = plan(PlanInput {
            previous: owned("pg", previous.to_vec()),
            desired: owned("pg", desired.to_vec()),
            live,
            ..PlanInput::default()
        });
        let objects = plan.view().objects.iter();
        objects
            .filter(|object| object.made_by.is_some())
            .map(|object| {
                assert_eq!(object.action, PlannedAction::Create);
                let by = object.made_by.as_deref().unwrap();
                let size = object.size.as_deref().unwrap_or("-");
                format!("{} {} {size} by {by}", object.kind, object.name)
            })
            .collect::<Vec<String>>()
    };
    let set = |replicas: u64| {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "pg", "namespace": "pg"},
            "spec": {"replicas": replicas, "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"resources": {"requests": {"storage": "8Gi"}}},
            }]},
        })
    };
    let external = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "pg-connection", "namespace": "pg"},
        "spec": {"target": {"name": "pg-connection"}},
    });
    let claim = |ordinal: u64| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": format!("data-pg-{ordinal}"), "namespace": "pg"},
        })
    };
    let (one, three) = ([external.clone(), set(1)], [external, set(3)]);
    let new = [
        "Secret pg-connection - by ExternalSecret pg-connection",
        "PersistentVolumeClaim data-pg-0 8Gi by StatefulSet pg",
    ];
    assert_eq!(made(Some(Vec::new()), &[], &one), new);
    assert_eq!(made(None, &[], &one), new);
    // Volumes that were kept when it was deleted.
    assert_eq!(made(Some(vec![claim(0)]), &[], &one), new[..1]);
    // Nothing is new, though the rollout before has not made it all yet.
    assert_eq!(made(Some(one.to_vec()), &one, &one), [""; 0]);
    let more = [
        "PersistentVolumeClaim data-pg-1 8Gi by StatefulSet pg",
        "PersistentVolumeClaim data-pg-2 8Gi by StatefulSet pg",
    ];
    assert_eq!(made(Some(one.to_vec()), &one, &three), more);
    assert_eq!(made(None, &one, &three), more);
    assert_eq!(made(Some(three.to_vec()), &three, &one), [""; 0]);
}

/// Of everybody else's it would be refused: no README, or an upgrade path that
/// contradicts itself.
#[test]
fn lint_finds_nothing_in_what_ships_and_who_has_an_older_version_may_have_it() {
    let mut names = Vec::new();
    for group in ["platform", "products", "examples"] {
        for entry in std::fs::read_dir(root().join(group)).unwrap() {
            let folder = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(folder.join("blueprint.yaml")) else {
                continue;
            };
            let mut files = BTreeMap::new();
            read(&folder, "", &mut files);
            // The sources of its image lie beside it, and are no part of it.
            let parts = ["blueprint.yaml", "README.md", "chart/", "card/", "tests/"];
            files.retain(|path, _| parts.iter().any(|part| path.starts_with(part)));
            let problems = lint_blueprint(&files);
            assert!(problems.is_empty(), "{}: {problems:?}", folder.display());
            let blueprint = Blueprint::parse(&text).unwrap();
            let name = blueprint.name();
            let readme = String::from_utf8_lossy(&files["README.md"]).into_owned();
            assert!(readme.starts_with(&format!("# {name}\n")), "{name}");
            let older = "0.0.1".parse().unwrap();
            let upgrades = &blueprint.spec.upgrades;
            assert_eq!(
                upgrades.check(&older, blueprint.version()),
                Ok(()),
                "{name}"
            );
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bp-guestbook",
            "bp-miniflux",
            "bp-nats-jetstream",
            "bp-postgres",
            "bp-valkey",
        ]
    );
}

#[test]
fn an_admitted_blueprint_survives_its_object() {
    for folder in ["examples/guestbook", "platform/postgres"] {
        let (blueprint, _) = shipped(folder);
        let object = serde_json::to_value(blueprint.to_object()).unwrap();
        assert_eq!(AdmittedBlueprint::from_object(&object).unwrap(), blueprint);
    }
    let (blueprint, _) = shipped("platform/postgres");
    assert_eq!(blueprint.object_name(), "catalog.bp-postgres-1.4.0");
}
