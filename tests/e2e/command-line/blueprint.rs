//! Authoring: from an empty folder to an artifact, without a Sovereign.

use crate::support::Home;

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
    assert_eq!(outcome.failed(), "error: wiki has 2 problems\n");
    assert_eq!(outcome.out.lines().count(), 2, "{}", outcome.out);
    let outcome = home.run(&["blueprint", "lint", "wiki", "-o", "json"]);
    let problems: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let rules: Vec<&str> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["missing-file", "chart-identity"]);
    let refused = home.run(&["blueprint", "package", "wiki"]);
    assert!(
        refused.failed().contains("cannot be used as it is"),
        "{}",
        refused.err
    );
}

#[test]
fn the_shipped_blueprints_lint() {
    let home = Home::new("");
    for folder in ["platform/postgres", "examples/guestbook"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder);
        home.run(&["blueprint", "lint", path.to_str().unwrap()])
            .worked();
    }
}
