//! Puts the OpenTofu modules and the cluster template into the binary, so that
//! `catalyst provision` needs no checkout: a table of path and content each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Name of the table, and its folder from the checkout's root.
const TABLES: [(&str, &str); 2] = [
    ("HETZNER_MODULE", "infra/hetzner"),
    ("CLUSTER_TEMPLATE", "clusters/_template"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../..");
    println!("cargo:rerun-if-changed=build.rs");
    let mut code = String::new();
    for (name, folder) in TABLES {
        let top = root.join(folder).canonicalize()?;
        let mut files = Vec::new();
        collect(&top, &top, &mut files)?;
        files.sort();
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

/// Paths of all files below a folder, relative to the root, with slashes. What
/// begins with a dot is what OpenTofu left behind when somebody tried it there.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.contains(".tfstate") || name.ends_with(".tfvars.json") {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            println!("cargo:rerun-if-changed={}", path.display());
            let parts: Vec<String> = relative
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}
