//! Puts the console's files into the binary: copies `core/console/dist`, when
//! it has been built, into a table of path, content and entity tag. Without it
//! the table is empty, and the gateway serves a page that says so.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use sha2::{Digest as _, Sha256};

#[path = "../build_files.rs"]
mod build_files;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let console = manifest.join("../../console/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../build_files.rs");
    println!("cargo:rerun-if-changed={}", console.display());
    let target = PathBuf::from(env::var("OUT_DIR")?);
    let copies = target.join("console");
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    let files = if console.join("index.html").is_file() {
        build_files::files_below(&console, |_| true)?
    } else {
        Vec::new()
    };
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
