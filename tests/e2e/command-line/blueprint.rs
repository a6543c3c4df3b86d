//! Authoring: from an empty folder to an artifact, without a Sovereign.

use crate::server::Server;
use crate::support::{Home, mode};

#[test]
fn a_new_blueprint_lints_renders_and_packs_the_same_way_twice() {
    let home = Home::new("");
    assert_eq!(
        home.run(&["blueprint", "new", "bp-wiki"]).worked(),
        "wiki\n"
    );
    let again = home.run(&["blueprint", "new", "bp-wiki"]);
    insta::assert_snapshot!(again.failed(), @r"
    error: wiki is there already
    hint: choose another with --folder
    ");
    home.run(&["blueprint", "lint", "wiki"]).worked();
    let rendered = home.run(&[
        "blueprint",
        "render",
        "wiki",
        "--size",
        "large",
        "--application",
        "notes",
    ]);
    let objects = catalyst_yaml::documents(rendered.worked()).unwrap();
    let deployment = objects
        .iter()
        .find(|it| it["kind"] == "Deployment")
        .unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["metadata"]["name"], "notes");
    let one = home.run(&["blueprint", "package", "wiki", "--file", "one.tar"]);
    let two = home.run(&["blueprint", "package", "wiki", "--file", "two.tar"]);
    assert!(one.worked().starts_with("sha256:"));
    assert_eq!(one.out, two.out);
    let read = |name| std::fs::read(home.path(name)).unwrap();
    assert_eq!(read("one.tar"), read("two.tar"));
    let packed = home.run(&["blueprint", "package", "wiki", "--output", "json"]);
    let packed: serde_json::Value = serde_json::from_str(packed.worked()).unwrap();
    let expected = serde_json::json!({
        "name": "bp-wiki", "version": "0.1.0", "digest": one.out.trim(),
        "file": "bp-wiki-0.1.0.oci.tar",
    });
    assert_eq!(packed, expected);
    assert_eq!(read("bp-wiki-0.1.0.oci.tar"), read("one.tar"));
}

#[test]
fn lint_names_every_problem_with_its_place() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let file = home.path("wiki/chart/Chart.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("version: 0.1.0", "version: 0.2.0")).unwrap();
    std::fs::remove_file(home.path("wiki/README.md")).unwrap();
    let outcome = home.run(&["blueprint", "lint", "wiki"]);
    let said = "error: wiki has 2 problems and 1 warning\n";
    assert_eq!(outcome.failed(), said);
    assert_eq!(outcome.out.lines().count(), 3, "{}", outcome.out);
    let outcome = home.run(&["blueprint", "lint", "wiki", "-o", "json"]);
    let problems: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let rules: Vec<&str> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["missing-file", "chart-identity", "image-digest"]);
    assert_eq!(problems[2]["level"], "warning");
    let outcome = home.run(&["blueprint", "lint", "wiki", "-o", "sarif"]);
    assert_eq!(outcome.failed(), said);
    let log: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let found = &log["runs"][0]["results"][1];
    assert_eq!(found["ruleId"], "chart-identity");
    assert_eq!(
        found["locations"][0]["physicalLocation"],
        serde_json::json!({
            "artifactLocation": {"uri": "wiki/chart/Chart.yaml"},
            "region": {"startLine": 5},
        })
    );
    let refused = home.run(&["blueprint", "package", "wiki"]);
    assert!(
        refused.failed().contains("cannot be used as it is"),
        "{}",
        refused.err
    );
}

/// As whoever installs it without a config would find out.
#[test]
fn lint_tells_where_a_chart_does_not_render() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let file = home.path("wiki/chart/templates/deployment.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = text.replace(
        "{{ int .Values.replicas }}",
        "{{ required \"copies is missing\" .Values.copies }}",
    );
    assert_ne!(text, broken);
    std::fs::write(&file, broken).unwrap();
    let outcome = home.run(&["blueprint", "lint", "wiki"]);
    // Nor does `replicas` reach anything now, and the image has no digest.
    assert_eq!(
        outcome.failed(),
        "error: wiki has 1 problem and 2 warnings\n"
    );
    let place = "chart/templates/deployment.yaml:8: [render] ";
    let of_rendering = outcome.out.lines().find(|line| line.starts_with(place));
    let said = of_rendering.unwrap_or_else(|| panic!("no {place:?} in {}", outcome.out));
    assert!(said.contains("copies is missing"), "{said}");
}

#[test]
fn a_config_is_rendered_only_if_an_install_would_take_it() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let render = |set: &str| home.run(&["blueprint", "render", "wiki", "--set", set]);
    assert!(render("replicas=4").worked().contains("replicas: 4"));
    insta::assert_snapshot!(render("colour=red").failed(), @r"
    error: the config does not fit bp-wiki 0.1.0:
      config.colour: there is no such property; known here: replicas
    hint: set what is asked for with --set; the configSchema in wiki/blueprint.yaml says what fits
    ");
    let many = render("replicas=99");
    let err = many.failed();
    assert!(err.contains("\n  config.replicas: the value is "), "{err}");
}

#[test]
fn a_render_makes_the_keys_that_its_chart_asks_for() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    home.write(
        "wiki/chart/templates/authority.yaml",
        r#"apiVersion: v1
kind: ConfigMap
metadata: {name: authority}
data:
  cert: {{ (genCA "wiki" 365).Cert | quote }}
  word: {{ randAlphaNum 8 | quote }}
"#,
    );
    let outcome = home.run(&["blueprint", "render", "wiki"]);
    let text = outcome.worked();
    assert!(text.contains("-----BEGIN CERTIFICATE-----"), "{text}");
    let again = home.run(&["blueprint", "render", "wiki"]);
    assert_ne!(text, again.worked());
}

#[test]
fn inspect_says_the_same_of_a_folder_and_of_what_is_packed_from_it() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let digest = home.run(&["blueprint", "package", "wiki", "--file", "wiki.tar"]);
    let look = |subject: &str| -> serde_json::Value {
        let outcome = home.run(&["blueprint", "inspect", subject, "-o", "json"]);
        serde_json::from_str(outcome.worked()).unwrap()
    };
    let (folder, packed) = (look("wiki"), look("wiki.tar"));
    assert_eq!(folder["digest"], digest.worked().trim());
    for field in ["digest", "layers", "images", "config", "card", "sizes"] {
        assert_eq!(folder[field], packed[field], "{field}");
    }
    assert_eq!(folder["layers"].as_array().unwrap().len(), 3);
    let image = "registry.example.org/wiki:0.1.0";
    assert_eq!(folder["images"], serde_json::json!([image]));
    assert_eq!(folder["config"][0]["name"], "replicas");
    assert_eq!(folder["config"][0]["type"], "integer");
    let bill = &folder["sbom"]["application/vnd.cyclonedx+json"];
    assert_eq!(bill["container"], 1, "{folder:#}");
    let outcome = home.run(&["blueprint", "inspect", "wiki"]);
    let text = outcome.worked();
    for part in ["bp-wiki", digest.out.trim(), image, "maximum 10, minimum 1"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let file = home.path("wiki/blueprint.yaml");
    let declared =
        "  hostAccess:\n    - {kind: hostPath, paths: [/mnt/fast], reason: fast disks}\n";
    let said = std::fs::read_to_string(&file).unwrap() + declared;
    std::fs::write(&file, said).unwrap();
    assert_eq!(look("wiki")["hostAccess"][0]["paths"][0], "/mnt/fast");
    let outcome = home.run(&["blueprint", "inspect", "wiki"]);
    let text = outcome.worked();
    assert!(text.contains("hostPath /mnt/fast: fast disks"), "{text}");
    let outcome = home.run(&["blueprint", "inspect", "nowhere"]);
    let said = outcome.failed();
    assert!(
        said.contains("cannot find nowhere: no folder or file is there"),
        "{said}"
    );
}

#[test]
fn diff_says_what_changes_for_users() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    home.run(&["blueprint", "new", "bp-wiki", "--folder", "next"])
        .worked();
    let same = home.run(&["blueprint", "diff", "wiki", "next", "--exit-code"]);
    assert_eq!(
        same.worked(),
        "bp-wiki 0.1.0 -> bp-wiki 0.1.0\nupgrade: none, both are version 0.1.0\n"
    );
    assert_eq!(
        same.err,
        "Nothing changes for users from bp-wiki 0.1.0 to bp-wiki 0.1.0\n"
    );
    for (file, from, to) in [
        ("next/blueprint.yaml", "version: 0.1.0", "version: 0.2.0"),
        ("next/blueprint.yaml", "maximum: 10", "maximum: 20"),
        ("next/chart/Chart.yaml", "version: 0.1.0", "version: 0.2.0"),
        ("next/chart/values.yaml", "tag: 0.1.0", "tag: 0.2.0"),
    ] {
        let text = std::fs::read_to_string(home.path(file)).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(home.path(file), text.replacen(from, to, 1)).unwrap();
    }
    let words = ["blueprint", "diff", "wiki", "next"];
    let found = home.run(&words);
    insta::assert_snapshot!(found.worked(), @r#"
    bp-wiki 0.1.0 -> bp-wiki 0.2.0
    upgrade: possible

    config:
      ~ replicas
          ~ limits.maximum: 10 -> 20

    images:
      + registry.example.org/wiki:0.2.0
      - registry.example.org/wiki:0.1.0

    objects:
      ~ Deployment example
          ~ spec.template.spec.containers[name=wiki].image: "registry.example.org/wiki:0.1.0" -> "registry.example.org/wiki:0.2.0"
    "#);
    let told = home.run(&[words.as_slice(), &["--exit-code"]].concat());
    assert!(told.failed().contains("bp-wiki 0.2.0 changes something"));
    let read = home.run(&[words.as_slice(), &["-o", "json"]].concat());
    let read: serde_json::Value = serde_json::from_str(read.worked()).unwrap();
    assert_eq!(read["config"][0]["action"], "update");
    assert_eq!(read["upgrade"], serde_json::json!({"possible": true}));
}

#[test]
fn cases_are_rendered_and_held_against_what_is_expected() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let none = home.run(&["blueprint", "test", "wiki"]);
    assert!(
        none.failed().contains("wiki has no such case under tests/"),
        "{}",
        none.err
    );
    std::fs::create_dir_all(home.path("wiki/tests/large")).unwrap();
    std::fs::write(home.path("wiki/tests/large/size"), "large\n").unwrap();
    let empty = home.run(&["blueprint", "test", "wiki"]);
    assert!(
        empty.failed().contains("1 of 1 case failed"),
        "{}",
        empty.err
    );
    assert!(empty.out.contains("failed large\n"), "{}", empty.out);
    let update = home.run(&["blueprint", "test", "wiki", "--update"]);
    assert_eq!(update.worked(), "passed large\n");
    let file = home.path("wiki/tests/large/expected.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let objects = catalyst_yaml::documents(&text).unwrap();
    let kinds: Vec<&str> = objects
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Service", "Deployment"]);
    assert_eq!(objects[1]["spec"]["replicas"], 3);
    home.run(&["blueprint", "test", "wiki"]).worked();
    std::fs::write(&file, text.replace("replicas: 3", "replicas: 4")).unwrap();
    let changed = home.run(&["blueprint", "test", "wiki"]);
    changed.failed();
    for line in ["  -  replicas: 4", "  +  replicas: 3"] {
        assert!(changed.out.lines().any(|it| it == line), "{}", changed.out);
    }
    let template = home.path("wiki/chart/templates/service.yaml");
    let text = std::fs::read_to_string(&template).unwrap();
    std::fs::write(&template, text.replace("  selector:", "  selectors:")).unwrap();
    let unknown = home.run(&["blueprint", "test", "wiki", "--update", "-o", "json"]);
    unknown.failed();
    let outcomes: serde_json::Value = serde_json::from_str(&unknown.out).unwrap();
    assert_eq!(
        outcomes[0]["problems"],
        serde_json::json!(["Service example: unknown field \"spec.selectors\""])
    );
}

#[test]
fn cases_run_where_somebody_is_signed_in_and_in_an_environment_that_is_named() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    home.write("wiki/tests/three/config.yaml", "replicas: 3\n");
    home.run(&["blueprint", "test", "wiki", "--update"])
        .worked();
    let words = ["blueprint", "test", "wiki", "--live", "-e", "acme-dev"];
    let told = home.run_unknown(&words);
    assert!(told.failed().contains("catalyst login"), "{}", told.err);
    // Which Environment may be emptied is for its user to say.
    let told = home.run(&words[..4]);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("--environment <NAME>"), "{}", told.err);
}

#[test]
fn a_case_that_runs_is_planned_anew_where_things_changed_meanwhile() {
    let server = Server::start();
    let home = Home::new(&server.url);
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    home.write("wiki/tests/three/config.yaml", "replicas: 3\n");
    home.run(&["blueprint", "test", "wiki", "--update"])
        .worked();
    let packed = home.run(&["blueprint", "package", "wiki", "-o", "json"]);
    let packed: serde_json::Value = serde_json::from_str(packed.worked()).unwrap();
    let version = packed["version"].as_str().unwrap();
    {
        let mut seen = server.seen.lock().unwrap();
        seen.name = "test-three".to_owned();
        seen.blueprint = Some(serde_json::json!({
            "source": "acme", "name": "bp-wiki", "version": version, "versions": [version],
            "title": "Wiki", "digest": packed["digest"], "signer": "sha256:k",
            "configSchema": {}, "form": [], "sizes": [], "depends": [], "opens": false,
        }));
        seen.refuse = Some(serde_json::json!({
            "type": "changed-meanwhile", "title": "Install test-three into acme-dev",
            "detail": "the plan would differ from the one you saw",
        }));
    }
    let words = ["blueprint", "test", "wiki", "--live", "-e", "acme-dev"];
    let outcome = home.run(&words);
    let out = outcome.worked();
    let install = format!("passed: install {version}");
    for line in [install.as_str(), "passed: remove", "not tried: upgrade"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let writes = server.writes();
    let calls: Vec<(&str, &str)> = writes
        .iter()
        .map(|(call, body)| (call.as_str(), body["command"].as_str().unwrap()))
        .collect();
    let (plan, change) = (
        "POST environments/acme-dev/plans",
        "POST environments/acme-dev/changes",
    );
    assert_eq!(
        calls,
        [
            (plan, "install"),
            (change, "install"),
            (plan, "install"),
            (change, "install"),
            (plan, "delete"),
            (change, "delete"),
        ]
    );
}

#[test]
fn the_blueprints_of_this_repository_lint_and_their_cases_pass() {
    let home = Home::new("");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut checked = 0;
    for group in ["platform", "products", "examples"] {
        for entry in std::fs::read_dir(root.join(group)).unwrap() {
            let path = entry.unwrap().path();
            let folder = path.to_str().unwrap();
            let linted = home.run(&["blueprint", "lint", folder]);
            assert_eq!(linted.worked(), "", "{folder}");
            let tested = home.run(&["blueprint", "test", folder]);
            assert_eq!(tested.code, 0, "{folder}\n{}{}", tested.out, tested.err);
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn dependencies_are_held_against_the_versions_of_a_catalog() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let file = home.path("wiki/blueprint.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let depends =
        "  depends:\n    - {blueprint: bp-postgres, version: ^9, alias: db}\n  manifests:\n";
    std::fs::write(&file, text.replace("  manifests:\n", depends)).unwrap();
    home.run(&["blueprint", "lint", "wiki"]).worked();
    let platform = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform");
    let platform = platform.to_str().unwrap();
    let outcome = home.run(&["blueprint", "lint", "wiki", "--catalog", platform]);
    outcome.failed();
    assert!(
        outcome
            .out
            .contains("[dependency-version] no version of bp-postgres is in `^9`; there are 1.4.0"),
        "{}",
        outcome.out
    );
}

#[test]
fn a_key_is_made_only_where_it_may_sign() {
    let server = Server::start();
    let home = Home::new(&server.url);
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let keys = home.path(".config/catalyst/keys");
    let commands = |source| {
        [
            vec!["blueprint", "publish", "wiki", "--source", source],
            vec!["blueprint", "trust", source],
        ]
    };
    for words in commands("acme") {
        let outcome = home.run_unknown(&words);
        let err = outcome.failed();
        assert!(err.contains("you are not signed in"), "{words:?}: {err}");
        assert!(!keys.exists(), "{words:?}");
    }
    for (source, reason) in [
        ("nowhere", "there is no source nowhere"),
        ("acme", "this takes an org-admin of acme"),
        ("catalog-sovereign", "this takes a sovereign-admin"),
    ] {
        for words in commands(source) {
            let outcome = home.run(&words);
            let err = outcome.failed();
            assert!(err.contains(reason), "{words:?}: {err}");
            assert!(!keys.exists(), "{words:?}");
        }
    }
    assert!(server.writes().is_empty(), "{:?}", server.writes());

    server.seen.lock().unwrap().is_org_admin = true;
    let made = home.run(&["blueprint", "trust", "acme"]);
    made.worked();
    assert!(
        made.err.starts_with("Made a key for acme: "),
        "{}",
        made.err
    );
    assert_eq!(mode(&keys.join("acme.key")), 0o600);
    let again = home.run(&["blueprint", "trust", "acme"]);
    again.worked();
    assert!(again.err.starts_with("Signatures by "), "{}", again.err);
    let writes = server.writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(writes[0], writes[1]);
    assert_eq!(writes[0].0, "POST trusted-signers");
    assert_eq!(writes[0].1["source"], "acme");
    let public = std::fs::read_to_string(keys.join("acme.pub")).unwrap();
    assert_eq!(writes[0].1["publicKey"], public);
}

/// The server has no registry: a push would end with another reason.
#[test]
fn what_a_key_that_nobody_trusts_would_sign_is_not_pushed() {
    let server = Server::start();
    let home = Home::new(&server.url);
    server.seen.lock().unwrap().is_org_admin = true;
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let publish = ["blueprint", "publish", "wiki", "--source", "acme"];
    let outcome = home.run(&publish);
    let err = outcome.failed();
    for part in [
        "cannot publish bp-wiki 0.1.0 to acme; nothing was pushed",
        "does not trust the key that would sign it, ",
        "`catalyst blueprint trust acme`, then publish it again",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    // The same of a key of one's own, by the file of its public half.
    let keys = home.path(".config/catalyst/keys");
    for end in ["key", "pub"] {
        let file = format!("mine.{end}");
        std::fs::copy(keys.join(format!("acme.{end}")), home.path(&file)).unwrap();
    }
    let outcome = home.run(&[&publish[..], &["--key", "mine.key"][..]].concat());
    let err = outcome.failed();
    let way = "`catalyst blueprint trust acme --key mine.pub`";
    assert!(err.contains(way), "{err}");
    assert!(server.writes().is_empty(), "{:?}", server.writes());

    // Trusted, it goes on to the registry.
    home.run(&["blueprint", "trust", "acme"]).worked();
    let outcome = home.run(&publish);
    let err = outcome.failed();
    assert!(!err.contains("nothing was pushed"), "{err}");
}

/// Nothing of it asks a network.
#[test]
fn a_folder_is_compared_with_a_database_on_this_machine() {
    let home = Home::new("");
    home.run(&["blueprint", "new", "bp-wiki"]).worked();
    let write = |name: &str, text: &serde_json::Value| {
        std::fs::write(home.path(name), text.to_string()).unwrap();
    };
    let record = |id: &str, score: &str, fixed: &str| {
        serde_json::json!({
            "id": id, "modified": "2026-01-01T00:00:00Z", "aliases": ["CVE-2020-26235"],
            "severity": [{"type": "CVSS_V3", "score": score}],
            "affected": [{
                "package": {"ecosystem": "crates.io", "name": "time"},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            }],
        })
    };
    let medium = "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H";
    write("osv.json", &record("RUSTSEC-2020-0071", medium, "0.2.23"));
    let scan = ["blueprint", "scan", "wiki", "--database", "osv.json"];
    let blind = home.run(&scan);
    assert_eq!(blind.worked(), "");
    assert!(
        blind.err.contains("is made of is not listed"),
        "{}",
        blind.err
    );
    assert!(
        blind.err.contains("The vulnerability database is old"),
        "{}",
        blind.err
    );

    let values = std::fs::read_to_string(home.path("wiki/chart/values.yaml")).unwrap();
    let values: serde_json::Value = catalyst_yaml::from_str(&values).unwrap();
    let image = &values["image"];
    let bill = |version: &str| {
        serde_json::json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6",
            "metadata": {"component": {"type": "container", "name": image["repository"], "version": image["tag"]}},
            "components": [{"type": "library", "name": "time", "version": version, "purl": format!("pkg:cargo/time@{version}")}],
        })
    };
    write("wiki.cdx.json", &bill("0.1.40"));
    let with = |words: &[&str]| {
        let all: Vec<&str> = [&scan[..], &["--sbom", "wiki.cdx.json"][..], words].concat();
        home.run(&all)
    };
    let found = with(&["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(found.worked()).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(finding["id"], "RUSTSEC-2020-0071");
    assert_eq!(finding["severity"], "medium");
    assert_eq!(finding["score"], 5.5);
    assert_eq!(finding["fixedIn"], serde_json::json!(["0.2.23"]));
    let path: Vec<&str> = finding["path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert_eq!(path[0], "Blueprint bp-wiki 0.1.0");
    let text = |key: &str| image[key].as_str().unwrap();
    let expected = format!("image {}:{}", text("repository"), text("tag"));
    assert_eq!(path[1], expected);
    assert_eq!(path[2], "time 0.1.40");
    let table = with(&[]);
    assert!(
        table.worked().contains("RUSTSEC-2020-0071"),
        "{}",
        table.out
    );
    let log = with(&["-o", "sarif"]);
    let log: serde_json::Value = serde_json::from_str(log.worked()).unwrap();
    let place = "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri";
    assert_eq!(log.pointer(place).unwrap(), "wiki/blueprint.yaml");
    with(&["--fail-on", "high"]).worked();
    let refused = with(&["--fail-on", "medium"]);
    let said = "error: wiki has 1 vulnerability that is medium or worse\n";
    assert!(refused.failed().ends_with(said), "{}", refused.err);

    write("wiki.cdx.json", &bill("0.2.23"));
    let mended = with(&["--fail-on", "unknown"]);
    assert_eq!(mended.worked(), "");
    let said = "compared 1 component with 1 record: none is known to be vulnerable\n";
    assert!(mended.err.ends_with(said), "{}", mended.err);

    std::fs::write(home.path("osv.json"), "PK, but no zip").unwrap();
    let broken = with(&[]);
    assert!(
        broken.failed().contains("it is no whole zip"),
        "{}",
        broken.err
    );
    std::fs::remove_file(home.path("osv.json")).unwrap();
    let missing = with(&[]);
    assert!(
        missing.failed().contains("osv.json: No such file"),
        "{}",
        missing.err
    );
}
