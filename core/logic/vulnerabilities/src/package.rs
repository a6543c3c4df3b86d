//! What a package URL says, in the words of OSV's ecosystems.

use std::str::FromStr;

use packageurl::PackageUrl;

/// A package as records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The ecosystem, without a release.
    pub ecosystem: String,
    /// The release of a distribution, such as `12`; none where the purl says none, and
    /// where the ecosystem has none.
    pub release: Option<String>,
    /// The name: of the source package where a distribution builds several of one.
    pub name: String,
    /// The version; empty where the purl says none.
    pub version: String,
}

impl Package {
    /// Reads a package URL; none where it is no such, or where its type is of no
    /// ecosystem.
    pub fn of_purl(text: &str) -> Option<Self> {
        let purl = PackageUrl::from_str(text).ok()?;
        let namespace = purl.namespace().unwrap_or_default();
        let ecosystem = ecosystem_of(purl.ty(), namespace)?;
        let qualifier = |key: &str| purl.qualifiers().get(key).map(|value| &**value);
        let mut version = purl.version().unwrap_or_default().to_owned();
        let mut name = match (purl.ty(), namespace) {
            (_, "") | ("deb" | "apk" | "rpm", _) => purl.name().to_owned(),
            ("maven", namespace) => format!("{namespace}:{}", purl.name()),
            (_, namespace) => format!("{namespace}/{}", purl.name()),
        };
        // Distributions tell of the sources that binary packages are built from.
        if let Some(upstream) = qualifier("upstream").filter(|_| is_of_sources(ecosystem)) {
            let (source, its_version) = match upstream.strip_suffix(".src.rpm") {
                Some(file) => (file.rsplitn(3, '-').nth(2).unwrap_or(&name), ""),
                None => upstream.split_once('@').unwrap_or((upstream, "")),
            };
            name = source.to_owned();
            if !its_version.is_empty() {
                version = its_version.to_owned();
            }
        }
        // The purl specification's `rpm` has the epoch apart.
        if let Some(epoch) =
            qualifier("epoch").filter(|_| purl.ty() == "rpm" && !version.is_empty())
        {
            version = format!("{epoch}:{version}");
        }
        let release = qualifier("distro").and_then(|distro| release_of(ecosystem, distro));
        Some(Self {
            name: canonical(ecosystem, &name),
            ecosystem: ecosystem.to_owned(),
            release,
            version,
        })
    }
}

fn ecosystem_of(kind: &str, namespace: &str) -> Option<&'static str> {
    Some(match (kind, namespace) {
        ("cargo", _) => "crates.io",
        ("npm", _) => "npm",
        ("golang", _) => "Go",
        ("pypi", _) => "PyPI",
        ("maven", _) => "Maven",
        ("gem", _) => "RubyGems",
        ("nuget", _) => "NuGet",
        ("composer", _) => "Packagist",
        ("hex", _) => "Hex",
        ("pub", _) => "Pub",
        ("swift", _) => "SwiftURL",
        ("githubactions", _) => "GitHub Actions",
        ("bitnami", _) => "Bitnami",
        ("deb", "debian") => "Debian",
        ("deb", "ubuntu") => "Ubuntu",
        ("apk", "alpine") => "Alpine",
        ("apk", "wolfi") => "Wolfi",
        ("apk", "chainguard") => "Chainguard",
        ("rpm", "almalinux") => "AlmaLinux",
        ("rpm", "rocky" | "rocky-linux" | "rockylinux") => "Rocky Linux",
        ("rpm", "opensuse" | "opensuse-leap" | "opensuse-tumbleweed") => "openSUSE",
        _ => return None,
    })
}

/// Whether an ecosystem's records are about sources, which may be named otherwise than the
/// packages that are built from them. AlmaLinux' are about the packages.
fn is_of_sources(ecosystem: &str) -> bool {
    matches!(
        ecosystem,
        "Debian" | "Ubuntu" | "Alpine" | "Wolfi" | "Chainguard" | "Rocky Linux" | "openSUSE"
    )
}

/// A name as both a record and a purl may write it.
pub fn canonical(ecosystem: &str, name: &str) -> String {
    match ecosystem {
        // PEP 503.
        "PyPI" => {
            let mut canonical = String::with_capacity(name.len());
            for c in name.chars() {
                match c {
                    '-' | '_' | '.' if canonical.ends_with('-') => {}
                    '-' | '_' | '.' => canonical.push('-'),
                    c => canonical.push(c.to_ascii_lowercase()),
                }
            }
            canonical
        }
        "Go" | "NuGet" | "Packagist" | "Hex" | "GitHub Actions" | "SwiftURL" => {
            name.to_ascii_lowercase()
        }
        _ => name.to_owned(),
    }
}

/// An ecosystem as records write it, such as `Debian:12`, taken apart.
pub fn split_ecosystem(text: &str) -> (&str, Option<String>) {
    let (ecosystem, release) = text.split_once(':').unwrap_or((text, ""));
    (ecosystem, of_release(ecosystem, release))
}

/// What `distro=` says: `debian-12`, `bookworm`, `alpine-3.20.1`.
fn release_of(ecosystem: &str, distro: &str) -> Option<String> {
    let release = match distro {
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        // With the day of its snapshot behind it.
        rolling if rolling.starts_with("opensuse-tumbleweed") => "Tumbleweed",
        other => other.rsplit_once('-').map_or(other, |(_, release)| release),
    };
    of_release(ecosystem, release)
}

/// A release in one form: the first number of Debian, AlmaLinux and Rocky Linux, the first
/// two of Ubuntu, Alpine and openSUSE.
fn of_release(ecosystem: &str, release: &str) -> Option<String> {
    let release = release.strip_prefix('v').unwrap_or(release);
    let release = release.strip_prefix("Leap ").unwrap_or(release);
    let parts = match ecosystem {
        "Debian" | "AlmaLinux" | "Rocky Linux" => 1,
        "Ubuntu" | "Alpine" | "openSUSE" => 2,
        _ => return None,
    };
    // What is sold apart from a release (`Pro:22.04:LTS`) stays something else.
    let release = release.strip_suffix(":LTS").unwrap_or(release);
    let short: Vec<&str> = release.split('.').take(parts).collect();
    Some(short.join(".")).filter(|release| !release.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_name_packages_as_records_do() {
        for (purl, ecosystem, release, name, version) in [
            ("pkg:cargo/time@0.1.40", "crates.io", None, "time", "0.1.40"),
            (
                "pkg:npm/%40babel/core@7.1.0",
                "npm",
                None,
                "@babel/core",
                "7.1.0",
            ),
            (
                "pkg:golang/github.com/gin-gonic/gin@v1.6.0",
                "Go",
                None,
                "github.com/gin-gonic/gin",
                "v1.6.0",
            ),
            (
                "pkg:pypi/Flask_SQLAlchemy@1.0",
                "PyPI",
                None,
                "flask-sqlalchemy",
                "1.0",
            ),
            (
                "pkg:maven/org.apache/log4j@2.0",
                "Maven",
                None,
                "org.apache:log4j",
                "2.0",
            ),
            ("pkg:gem/rails@7.0.0", "RubyGems", None, "rails", "7.0.0"),
            (
                "pkg:deb/debian/glibc@2.36-9?distro=bookworm",
                "Debian",
                Some("12"),
                "glibc",
                "2.36-9",
            ),
            (
                "pkg:deb/debian/libc6@2.36-9?distro=debian-12.5&upstream=glibc",
                "Debian",
                Some("12"),
                "glibc",
                "2.36-9",
            ),
            (
                "pkg:deb/debian/libgcc-s1@12.2.0-14?distro=debian-12&upstream=gcc-12@12.2.0-13",
                "Debian",
                Some("12"),
                "gcc-12",
                "12.2.0-13",
            ),
            (
                "pkg:deb/ubuntu/dpkg@1.19?distro=ubuntu-22.04",
                "Ubuntu",
                Some("22.04"),
                "dpkg",
                "1.19",
            ),
            (
                "pkg:apk/alpine/musl@1.2.3-r4?distro=alpine-3.18.4",
                "Alpine",
                Some("3.18"),
                "musl",
                "1.2.3-r4",
            ),
            ("pkg:cargo/serde", "crates.io", None, "serde", ""),
            (
                "pkg:nuget/Newtonsoft.Json@12.0.1",
                "NuGet",
                None,
                "newtonsoft.json",
                "12.0.1",
            ),
            (
                "pkg:rpm/almalinux/openssl-libs@1.1.1k-6.el8_5?arch=x86_64&distro=almalinux-8.9&epoch=1&upstream=openssl-1.1.1k-6.el8_5.src.rpm",
                "AlmaLinux",
                Some("8"),
                "openssl-libs",
                "1:1.1.1k-6.el8_5",
            ),
            (
                "pkg:rpm/rocky/openssl-libs@3.0.7-24.el9?distro=rocky-9.3&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm",
                "Rocky Linux",
                Some("9"),
                "openssl",
                "1:3.0.7-24.el9",
            ),
            (
                "pkg:rpm/opensuse/libMagickCore-7_Q16HDRI10@7.1.0.9-1?distro=opensuse-leap-15.5&upstream=ImageMagick-7.1.0.9-1.src.rpm",
                "openSUSE",
                Some("15.5"),
                "ImageMagick",
                "7.1.0.9-1",
            ),
            (
                "pkg:rpm/opensuse/bash@5.2-1?distro=opensuse-tumbleweed-20240101&upstream=odd.src.rpm",
                "openSUSE",
                Some("Tumbleweed"),
                "bash",
                "5.2-1",
            ),
        ] {
            let package = Package::of_purl(purl);
            let expected = Package {
                ecosystem: ecosystem.to_owned(),
                release: release.map(str::to_owned),
                name: name.to_owned(),
                version: version.to_owned(),
            };
            assert_eq!(package, Some(expected), "{purl}");
        }
    }

    #[test]
    fn what_is_of_no_ecosystem_is_no_package() {
        for purl in [
            "",
            "glibc",
            "pkg:oci/x@sha256%3A00",
            "pkg:deb/acme/x@1",
            "pkg:generic/postgres@18",
            "pkg:rpm/acme/x@1",
        ] {
            assert_eq!(Package::of_purl(purl), None, "{purl}");
        }
    }

    #[test]
    fn ecosystems_of_records_have_releases_in_one_form() {
        for (text, ecosystem, release) in [
            ("Debian:12", "Debian", Some("12")),
            ("Debian", "Debian", None),
            ("Alpine:v3.18", "Alpine", Some("3.18")),
            ("Ubuntu:22.04:LTS", "Ubuntu", Some("22.04")),
            ("Ubuntu:Pro:22.04:LTS", "Ubuntu", Some("Pro:22.04")),
            ("AlmaLinux:8", "AlmaLinux", Some("8")),
            ("Rocky Linux:9", "Rocky Linux", Some("9")),
            ("openSUSE:Leap 15.5", "openSUSE", Some("15.5")),
            ("openSUSE:Tumbleweed", "openSUSE", Some("Tumbleweed")),
            ("Maven:https://repo.example", "Maven", None),
            ("crates.io", "crates.io", None),
        ] {
            let expected = (ecosystem, release.map(str::to_owned));
            assert_eq!(split_ecosystem(text), expected, "{text}");
        }
    }
}
