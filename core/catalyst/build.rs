//! Gathers what the binary carries: the folders of the Blueprints that ship with
//! Catalyst, and in a release build the images of their Applications.
//!
//! The images come from `CATALYST_IMAGES` or from the cache, where `make images`
//! put them. Without them the build still succeeds, and `catalyst up` says what it
//! lacks. A debug build embeds no image: it reads them from that folder when it
//! runs, so that an edit costs no megabytes.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Blueprint folders, from the checkout's root.
const BLUEPRINTS: [&str; 2] = ["platform/postgres", "examples/guestbook"];
/// What belongs to a Blueprint, as `catalyst_supply::read_folder` has it.
const PARTS: [&str; 7] = [
    "blueprint.yaml",
    "README.md",
    "chart",
    "manifests",
    "compositions",
    "card",
    "tests",
];

fn main() -> io::Result<()> {
    let variable = |name: &str| {
        env::var(name).map_err(|error| io::Error::other(format!("{name} is not usable: {error}")))
    };
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../..");
    let images = images_folder();
    let mut code = String::from("pub const BLUEPRINTS: &[Folder] = &[\n");
    for folder in BLUEPRINTS {
        let mut files = Vec::new();
        // All of it: a part that is not there yet must be noticed once it is, and cargo
        // takes a path that does not exist for one that has changed, every time.
        println!("cargo::rerun-if-changed=../../{folder}");
        for part in PARTS {
            walk(&root.join(folder).join(part), part, &mut files)?;
        }
        files.sort();
        code += &format!("Folder {{ path: {folder:?}, files: &[\n");
        for (name, path) in files {
            add(
                &mut code,
                &format!("({name:?}, include_bytes!({path:?})),\n"),
            )?;
        }
        code += "] },\n";
    }
    code += "];\n";
    add(
        &mut code,
        &format!("pub const IMAGES_FOLDER: &str = {:?};\n", images),
    )?;
    code += "pub const IMAGES: &[(&str, &str, &[u8], &[u8])] = &[\n";
    println!("cargo::rerun-if-env-changed=CATALYST_IMAGES");
    if variable("CARGO_CFG_TARGET_OS")? == "linux" {
        // The executable is loaded where it was linked for, as Go's are. One that may lie
        // anywhere is corrected in all its tables at each start, which costs a short command
        // time and memory. Stack, heap and libraries still lie elsewhere each time.
        println!("cargo::rustc-link-arg-bin=catalyst=-no-pie");
    }
    if variable("PROFILE")? == "release" {
        embed(&images, &mut code)?;
    }
    code += "];\n";
    fs::write(Path::new(&variable("OUT_DIR")?).join("payload.rs"), code)
}

/// Adds the images that `images.json` lists, each from its own tar, with the list of
/// its packages, which is empty where there is none.
fn embed(folder: &Path, code: &mut String) -> io::Result<()> {
    let listing = folder.join("images.json");
    println!("cargo::rerun-if-changed={}", listing.display());
    let Ok(text) = fs::read_to_string(&listing) else {
        println!(
            "cargo::warning=no images in {}: the binary will carry none; run `make images` first",
            folder.display()
        );
        return Ok(());
    };
    // Our own file: strings without escapes, name and digest by turns.
    let strings: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    for pair in strings.chunks_exact(2) {
        let [name, digest] = pair else { continue };
        let short = name.rsplit('/').next().unwrap_or(name);
        let short = short.split(':').next().unwrap_or(short);
        let tar = folder.join(format!("{short}.oci.tar"));
        println!("cargo::rerun-if-changed={}", tar.display());
        let bill = folder.join(format!("{short}.cdx.json"));
        println!("cargo::rerun-if-changed={}", bill.display());
        let bill = match bill.is_file() {
            true => format!("include_bytes!({bill:?})"),
            false => "&[]".to_owned(),
        };
        add(
            code,
            &format!("({name:?}, {digest:?}, include_bytes!({tar:?}), {bill}),\n"),
        )?;
    }
    Ok(())
}

fn add(code: &mut String, line: &str) -> io::Result<()> {
    code.write_str(line).map_err(io::Error::other)
}

fn walk(path: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    if path.is_file() {
        files.push((name.to_owned(), path.canonicalize()?));
    } else if path.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
            walk(&entry.path(), &inner, files)?;
        }
    }
    Ok(())
}

fn images_folder() -> PathBuf {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("CATALYST_IMAGES") {
        return PathBuf::from(folder);
    }
    let cache = match variable("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable("HOME").unwrap_or_default()).join(".cache"),
    };
    cache.join("catalyst/images")
}
