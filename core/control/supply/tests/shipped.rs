//! The Blueprints that ship with Catalyst pack, and fit together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use catalyst_blueprint::{Catalog, Request, solve};
use catalyst_supply::{PackOptions, Package, pack, read_folder};
use serde_json::json;

fn shipped(folder: &str) -> Package {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    pack(
        &read_folder(&root.join(folder)).unwrap(),
        &PackOptions::default(),
    )
    .map_err(|error| error.to_string())
    .unwrap()
}

#[test]
fn the_shipped_blueprints_pack_and_guestbook_brings_its_database() {
    let (guestbook, postgres) = (shipped("examples/guestbook"), shipped("platform/postgres"));
    assert!(guestbook.files.keys().all(|path| !path.starts_with("app/")));
    let image = guestbook.images[0].split_once('@').unwrap();
    assert_eq!(image.0, "ghcr.io/openova-io/guestbook:1.0.0");
    assert!(image.1.starts_with("sha256:"), "{image:?}");
    let mut catalog = Catalog::new();
    let version = guestbook.blueprint.spec.version.clone();
    catalog.insert("catalog", guestbook.blueprint);
    catalog.insert("catalog", postgres.blueprint);
    let solution = solve(
        &catalog,
        &Request {
            source: "catalog".into(),
            blueprint: "bp-guestbook".into(),
            version,
            application: "guests".into(),
            ..Request::default()
        },
    )
    .unwrap();
    assert_eq!(solution.applications[0].name, "guests-db");
    assert_eq!(
        solution.applications[0].config,
        json!({"databases": ["guests"]})
    );
    assert_eq!(
        solution.applications[1].dependencies["db"].application,
        "guests-db"
    );
}
