//! Puts the OpenTofu modules and the cluster template into the binary, so that
//! `catalyst provision` needs no checkout: a table of path and content each.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

#[path = "../build_files.rs"]
mod build_files;

/// Name of the table, and its folder from the checkout's root.
const TABLES: [(&str, &str); 2] = [
    ("HETZNER_MODULE", "infra/hetzner"),
    ("CLUSTER_TEMPLATE", "clusters/_template"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../..");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../build_files.rs");
    let mut code = String::new();
    for (name, folder) in TABLES {
        let top = root.join(folder).canonicalize()?;
        let files = build_files::files_below(&top, is_carried)?;
        writeln!(code, "pub const {name}: &[(&str, &[u8])] = &[")?;
        for file in files {
            writeln!(
                code,
                "    ({file:?}, include_bytes!({:?})),",
                top.join(&file)
            )?;
        }
        code.push_str("];\n");
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("carried.rs"), code)?;
    Ok(())
}

/// What begins with a dot, and the like, is what OpenTofu left behind when somebody
/// tried it there.
fn is_carried(name: &str) -> bool {
    !(name.starts_with('.') || name.contains(".tfstate") || name.ends_with(".tfvars.json"))
}
