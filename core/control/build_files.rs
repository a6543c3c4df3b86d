//! For the build scripts of this tier that put files into the binary. Part of each
//! by its path: for so little, a crate would be more than what it shares.

use std::path::Path;
use std::{fs, io};

/// Paths of all files below a folder, relative to it, with slashes, sorted; without
/// those, and the folders, whose name is not wanted. The build is done again when
/// any of it changes.
pub fn files_below(top: &Path, is_wanted: fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    collect(top, top, is_wanted, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(
    top: &Path,
    folder: &Path,
    is_wanted: fn(&str) -> bool,
    files: &mut Vec<String>,
) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_wanted(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(top, &path, is_wanted, files)?;
        } else if let Ok(relative) = path.strip_prefix(top) {
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
