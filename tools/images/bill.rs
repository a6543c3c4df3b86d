//! The packages that an image is made of: crates by Cargo, libraries by the machine's
//! package manager. What is of no package is named too, as nobody's, so that who looks
//! for vulnerabilities is told that it was not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use catalyst_supply::ImagePart;

use super::Outcome;

/// The crates that a program is linked from, without those that only build it.
pub fn of_program(folder: &Path) -> Outcome<Vec<ImagePart>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--locked", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .output()
        .map_err(|error| format!("cannot run cargo: {error}; install Rust"))?;
    if !output.status.success() {
        return Err(format!(
            "cannot list the crates of {}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(of_crate).collect())
}

/// `name v1.2.3`; our own have their folder behind it.
fn of_crate(line: &str) -> Option<ImagePart> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    if words.next().is_some_and(|word| word.starts_with("(/")) {
        return None;
    }
    let purl = format!("pkg:cargo/{name}@{}", encoded(version));
    Some(ImagePart::library(name, version, &purl))
}

/// The modules that a program of Go is linked from, as it says itself, and Go's own
/// library.
pub fn of_go_program(program: &Path) -> Outcome<Vec<ImagePart>> {
    let output = Command::new("go")
        .args(["version", "-m"])
        .arg(program)
        .output()
        .map_err(|error| format!("cannot run go: {error}; install Go"))?;
    if !output.status.success() {
        return Err(format!(
            "cannot list the modules of {}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let library = lines
        .next()
        .and_then(|line| line.rsplit_once(": go"))
        .map(|(_, version)| of_module("stdlib", version.trim()));
    Ok(library
        .into_iter()
        .chain(lines.filter_map(of_line))
        .collect())
}

/// `dep path v1.2.3 h1:…`, by tabs; what replaced one stands below it behind `=>`.
fn of_line(line: &str) -> Option<ImagePart> {
    let mut words = line.split_whitespace();
    let is_module = matches!(words.next()?, "mod" | "dep" | "=>");
    let (path, version) = (words.next()?, words.next()?);
    // The program of the folder itself has no version.
    (is_module && version != "(devel)").then(|| of_module(path, version))
}

fn of_module(path: &str, version: &str) -> ImagePart {
    let place: Vec<String> = path.split('/').map(encoded).collect();
    let purl = format!("pkg:golang/{}@{}", place.join("/"), encoded(version));
    ImagePart::library(path, version, &purl)
}

/// The packages that files of this machine are of.
pub fn of_files<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Outcome<Vec<ImagePart>> {
    let system = system();
    let mut owners = BTreeSet::new();
    let mut parts = Vec::new();
    for file in files {
        match owner(file) {
            Some(owner) => _ = owners.insert(owner),
            None => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let purl = format!("pkg:generic/{}", encoded(&name));
                parts.push(ImagePart::library(&name, "", &purl));
            }
        }
    }
    for owner in owners {
        parts.push(of_package(&owner, &system)?);
    }
    Ok(parts)
}

/// The package of a file, as dpkg names it; none where it is of none, or where there is
/// no dpkg. The loader names files by either of two paths where /lib is a link.
fn owner(file: &Path) -> Option<String> {
    let path = file.to_string_lossy().into_owned();
    let other = match path.strip_prefix("/usr/") {
        Some(rest) => format!("/{rest}"),
        None => format!("/usr{path}"),
    };
    [path, other].into_iter().find_map(|path| {
        let output = Command::new("dpkg").arg("-S").arg(path).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (owner, _) = text.lines().next()?.split_once(": ")?;
        output.status.success().then(|| owner.to_owned())
    })
}

fn of_package(owner: &str, system: &BTreeMap<String, String>) -> Outcome<ImagePart> {
    const FORMAT: &str =
        "${Package}\\n${Version}\\n${source:Package}\\n${source:Version}\\n${Architecture}\\n";
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", FORMAT, owner])
        .output()
        .map_err(|error| format!("cannot run dpkg-query: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields: Vec<&str> = text.lines().collect();
    let [name, version, source, source_version, architecture] = fields.as_slice() else {
        return Err(format!("dpkg-query does not know the package {owner}"));
    };
    let id = system.get("ID").map_or("debian", String::as_str);
    let release = system.get("VERSION_ID").map_or("", String::as_str);
    let purl = format!(
        "pkg:deb/{id}/{}@{}?arch={architecture}&distro={id}-{release}&upstream={}%40{}",
        encoded(name),
        encoded(version),
        encoded(source),
        encoded(source_version)
    );
    Ok(ImagePart::library(name, version, &purl))
}

/// What the machine says it is.
fn system() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// As a package URL writes it.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
