//! Puts the console's files into the binary: copies `core/console/dist`, when
//! it has been built, into a table of path, content and entity tag. Without it
//! the table is empty, and the gateway serves a page that says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let console = manifest.join("../../console/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", console.display());
    let target = PathBuf::from(env::var("OUT_DIR")?);
    let copies = target.join("console");
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    let mut files = Vec::new();
    if console.join("index.html").is_file() {
        collect(&console, &console, &mut files)?;
    }
    files.sort();
    let mut table = String::from("pub static FILES: &[File] = &[\n");
    for file in &files {
        let content = fs::read(console.join(file))?;
        let copy = copies.join(file);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&copy, &content)?;
        let tag: String = Sha256::digest(&content)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        writeln!(
            table,
            "    File {{ path: {file:?}, content: include_bytes!({copy:?}), tag: \"\\\"{tag}\\\"\" }},",
        )?;
    }
    table.push_str("];\n");
    fs::write(target.join("console_files.rs"), table)?;
    Ok(())
}

/// Paths of all files below a folder, relative to the root, with slashes.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            let parts: Vec<String> = relative
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}
