//! What the caller decides: where files may lie, what stands for remote bases;
//! and what an error says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use catalyst_kustomize::{Error, Options, build};

const ACCOUNT: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n";

fn files(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    list.iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

#[test]
fn a_remote_base_is_refused_by_name_unless_the_caller_provides_it() {
    let address = "https://github.com/example/shop//base?ref=v1";
    let source = files(&[
        (
            "app/kustomization.yaml",
            &format!("namePrefix: a-\nresources: [\"{address}\"]\n"),
        ),
        ("fetched/kustomization.yaml", "resources: [sa.yaml]\n"),
        ("fetched/sa.yaml", ACCOUNT),
    ]);
    let refused = build(&source, "app", &Options::default()).unwrap_err();
    assert_eq!(
        refused,
        Error::LoadRemote {
            file: "app/kustomization.yaml".to_owned(),
            field: "resources".to_owned(),
            address: address.to_owned()
        }
    );
    let options = Options {
        remote_folders: BTreeMap::from([(address.to_owned(), "fetched".to_owned())]),
        ..Options::default()
    };
    let built = build(&source, "./app/", &options).unwrap();
    assert_eq!(built[0]["metadata"]["name"], "a-web");
}

#[test]
fn files_outside_the_folder_need_permission_and_the_root_is_never_left() {
    let source = files(&[
        ("app/kustomization.yaml", "resources: [../shared/sa.yaml]\n"),
        ("shared/sa.yaml", ACCOUNT),
        ("up/kustomization.yaml", "resources: [../../etc/passwd]\n"),
    ]);
    let refused = build(&source, "app", &Options::default()).unwrap_err();
    assert!(refused.to_string().contains("not in or below"), "{refused}");
    let anywhere = Options {
        load_from_anywhere: true,
        ..Options::default()
    };
    assert_eq!(build(&source, "app", &anywhere).unwrap().len(), 1);
    let refused = build(&source, "up", &anywhere).unwrap_err();
    assert!(
        refused.to_string().contains("leads out of the source"),
        "{refused}"
    );
}

#[test]
fn errors_name_the_file_and_the_field() {
    for (text, expected) in [
        (
            "resources: [sa.yaml]\nhelmCharts: [{name: x}]\n",
            "cannot apply field \"helmCharts\" of k/kustomization.yaml",
        ),
        (
            "resources: [sa.yaml]\npatches:\n- path: none.yaml\n",
            "cannot load what field \"patches[0]\" of k/kustomization.yaml names: there is no file \"k/none.yaml\"",
        ),
        (
            "configMapGenerator:\n- {name: a, literals: [x]}\n",
            "cannot generate what field \"configMapGenerator[0]\" of k/kustomization.yaml asks for: invalid literal source x",
        ),
        (
            "resources: [sa.yaml]\npatches:\n- target: {kind: ServiceAccount}\n  patch: '[{\"op\": \"remove\", \"path\": \"/spec\"}]'\n",
            "cannot apply field \"patches[0]\" of k/kustomization.yaml: ServiceAccount.v1.[noGrp]/web.[noNs]:",
        ),
        (
            "kind: Other\nnamespace: a\n",
            "cannot read k/kustomization.yaml: kind is \"Other\"",
        ),
    ] {
        let source = files(&[("k/kustomization.yaml", text), ("k/sa.yaml", ACCOUNT)]);
        let error = build(&source, "k", &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let none = build(&files(&[]), "k", &Options::default()).unwrap_err();
    assert!(
        none.to_string()
            .contains("there is none of kustomization.yaml"),
        "{none}"
    );
}

#[test]
fn the_managed_by_label_is_one_that_kubernetes_accepts() {
    let source = files(&[
        (
            "kustomization.yaml",
            "buildMetadata: [managedByLabel]\nresources: [sa.yaml]\n",
        ),
        ("sa.yaml", ACCOUNT),
    ]);
    let built = build(&source, "", &Options::default()).unwrap();
    assert_eq!(
        built[0]["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "kustomize-v5.5.0"
    );
}
