//! Reads a database of known vulnerabilities from disk, as <https://osv.dev> publishes
//! it: a zip for each ecosystem, the records of one unpacked, or an array of them.
//!
//! Called by `catalyst blueprint scan` and by the gateway. What must stay true: it is
//! read whole or not at all, and what is read of it is bounded.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use catalyst_vulnerabilities::{Builder, Index, RecordError};
use rawzip::{CompressionMethod, ZipArchive};
use serde_json::value::RawValue;

/// The largest record, file, and all of an archive when it is unpacked.
const MAX_RECORD: u64 = 16 * 1024 * 1024;
const MAX_FILE: u64 = 1024 * 1024 * 1024;
const MAX_UNPACKED: u64 = 16 * MAX_FILE;
/// How deep folders are looked into, and how many files are taken from them.
const MAX_DEPTH: usize = 4;
const MAX_FILES: usize = 1_000_000;

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AdvisoriesError {
    /// The file system said no.
    #[error("could not read the vulnerability database {path}: {source}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what osv.dev publishes.
    #[error("could not read the vulnerability database {path}: {reason}; mirror it again")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A record in it cannot be used.
    #[error("could not read the vulnerability database {path}: {record}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Which one.
        record: String,
        /// What is wrong with it.
        source: RecordError,
    },
}

/// Which files a database has, and when each was changed: another where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisoriesStamp(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// Looks at a database without reading it.
pub fn advisories_stamp(path: &Path) -> Result<AdvisoriesStamp, AdvisoriesError> {
    let mut stamps = Vec::new();
    for file in files(path)? {
        let metadata = fs::metadata(&file).map_err(|source| AdvisoriesError::Read {
            path: file.clone(),
            source,
        })?;
        stamps.push((file, metadata.len(), metadata.modified().ok()));
    }
    Ok(AdvisoriesStamp(stamps))
}

/// Reads a database: a zip, a JSON file with one record or an array of them, or a
/// folder of these. It blocks, and takes seconds for the largest.
pub fn read_advisories(path: &Path) -> Result<Index, AdvisoriesError> {
    let mut builder = Builder::default();
    for file in files(path)? {
        let bytes = read(&file)?;
        if bytes.starts_with(b"PK") {
            take_archive(&file, &bytes, &mut builder)?;
        } else {
            take_json(&file, &bytes, &mut builder)?;
        }
    }
    let index = builder.finish();
    if index.records() == 0 {
        return Err(malformed(
            path,
            "it has no record of any package; give a folder of osv.dev's all.zip files, or one",
        ));
    }
    Ok(index)
}

/// The file itself, or those of a folder that may hold records, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, AdvisoriesError> {
    let mut found = Vec::new();
    walk(path, 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), AdvisoriesError> {
    let failed = |source| AdvisoriesError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        let is_named = path
            .extension()
            .is_some_and(|kind| kind == "json" || kind == "zip");
        // What a person names is read whatever it is called.
        if is_named || depth == 0 {
            found.push(path.to_owned());
        }
        return match found.len() > MAX_FILES {
            true => Err(malformed(path, "there are too many files beside it")),
            false => Ok(()),
        };
    }
    if depth == MAX_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        walk(&entry.map_err(failed)?.path(), depth + 1, found)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, AdvisoriesError> {
    let failed = |source| AdvisoriesError::Read {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(malformed(path, "it is larger than 1 GiB")),
        false => Ok(bytes),
    }
}

fn take_json(path: &Path, bytes: &[u8], builder: &mut Builder) -> Result<(), AdvisoriesError> {
    if !bytes.trim_ascii_start().starts_with(b"[") {
        return take(path, || "its record".to_owned(), bytes, builder);
    }
    let records: Vec<&RawValue> = serde_json::from_slice(bytes)
        .map_err(|error| malformed(path, &format!("it is no array of records: {error}")))?;
    for (at, record) in records.into_iter().enumerate() {
        let name = || format!("record {}", at + 1);
        take(path, name, record.get().as_bytes(), builder)?;
    }
    Ok(())
}

fn take(
    path: &Path,
    name: impl FnOnce() -> String,
    bytes: &[u8],
    builder: &mut Builder,
) -> Result<(), AdvisoriesError> {
    builder
        .add(bytes)
        .map_err(|source| AdvisoriesError::Record {
            path: path.to_owned(),
            record: name(),
            source,
        })
}

fn take_archive(path: &Path, bytes: &[u8], builder: &mut Builder) -> Result<(), AdvisoriesError> {
    let broken = |error: rawzip::Error| malformed(path, &format!("it is no whole zip: {error}"));
    let archive = ZipArchive::from_slice(bytes).map_err(broken)?;
    let (mut met, mut unpacked) = (0_u64, 0_u64);
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        met += 1;
        if !entry.file_path().as_ref().ends_with(b".json") {
            continue;
        }
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        let packed = archive.get_entry(entry.wayfinder()).map_err(broken)?;
        let reader: Box<dyn Read + '_> = match entry.compression_method() {
            CompressionMethod::STORE => Box::new(packed.data()),
            CompressionMethod::DEFLATE => {
                Box::new(flate2::bufread::DeflateDecoder::new(packed.data()))
            }
            _ => {
                let reason = format!("{name} is packed in a way that is not read here");
                return Err(malformed(path, &reason));
            }
        };
        let mut record = Vec::new();
        // Its sum is compared at its end, which an endless one never has.
        packed
            .verifying_reader(reader)
            .take(MAX_RECORD + 1)
            .read_to_end(&mut record)
            .map_err(|error| malformed(path, &format!("{name} cannot be unpacked: {error}")))?;
        let length = record.len() as u64;
        unpacked += length;
        if length > MAX_RECORD || unpacked > MAX_UNPACKED {
            return Err(malformed(
                path,
                &format!("{name} is too large to be a record"),
            ));
        }
        take(path, || name, &record, builder)?;
    }
    match met == archive.entries_hint() {
        true => Ok(()),
        false => Err(malformed(path, "it lacks some of its files")),
    }
}

fn malformed(path: &Path, reason: &str) -> AdvisoriesError {
    AdvisoriesError::Malformed {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use catalyst_vulnerabilities::Package;
    use serde_json::json;

    use super::*;

    fn record(id: &str) -> String {
        json!({
            "id": id, "modified": "2026-01-01T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}],
        })
        .to_string()
    }

    fn zip(files: &[(&str, &str)], method: CompressionMethod) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, content) in files {
            let (mut entry, config) = archive
                .new_file(*name)
                .compression_method(method)
                .start()
                .unwrap();
            let descriptor = if method == CompressionMethod::DEFLATE {
                let fast = flate2::Compression::fast();
                let encoder = flate2::write::DeflateEncoder::new(&mut entry, fast);
                let mut writer = config.wrap(encoder);
                writer.write_all(content.as_bytes()).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            } else {
                let mut writer = config.wrap(&mut entry);
                writer.write_all(content.as_bytes()).unwrap();
                writer.finish().unwrap().1
            };
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    fn found(index: &Index) -> Vec<String> {
        let package = Package::of_purl("pkg:npm/x@1.0.0").unwrap();
        let answer = index.ask(&package);
        answer.matches.iter().map(|it| it.id.to_owned()).collect()
    }

    #[test]
    fn a_database_is_read_in_each_form_that_it_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let array = format!(" [{}, {}]", record("A-1"), record("A-2"));
        let (one, two) = (record("A-1"), record("A-2"));
        let files = [("A-1.json", one.as_str()), ("A-2.json", two.as_str())];
        fs::write(at("array.json"), array).unwrap();
        fs::write(at("deflated"), zip(&files, CompressionMethod::DEFLATE)).unwrap();
        fs::write(at("stored.zip"), zip(&files, CompressionMethod::STORE)).unwrap();
        fs::create_dir_all(at("folder/npm")).unwrap();
        fs::write(at("folder/npm/A-2.json"), record("A-2")).unwrap();
        fs::write(at("folder/A-1.json"), record("A-1")).unwrap();
        fs::write(at("folder/README"), "no record").unwrap();
        for name in ["array.json", "deflated", "stored.zip", "folder"] {
            let index = read_advisories(&at(name)).unwrap();
            assert_eq!(found(&index), ["A-1", "A-2"], "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_whole_is_refused_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let good = record("A-1");
        let mut truncated = zip(&[("A-1.json", &good)], CompressionMethod::DEFLATE);
        truncated.truncate(truncated.len() / 2);
        let mut altered = zip(&[("A-1.json", &good)], CompressionMethod::STORE);
        let place = altered.windows(5).position(|it| it == b"1.0.0").unwrap();
        altered[place] = b'2';
        let bad = zip(
            &[("A-1.json", &good), ("A-2.json", "{")],
            CompressionMethod::DEFLATE,
        );
        fs::create_dir(at("empty")).unwrap();
        for (name, bytes, expected) in [
            ("truncated.zip", truncated, "it is no whole zip"),
            ("altered.zip", altered, "A-1.json cannot be unpacked"),
            ("bad.zip", bad, "A-2.json: it is no OSV record"),
            ("array.json", b"[{},".to_vec(), "it is no array of records"),
            (
                "second.json",
                format!("[{good}, 1]").into_bytes(),
                "record 2: it is no OSV record",
            ),
            (
                "page.json",
                b"<html>".to_vec(),
                "its record: it is no OSV record",
            ),
            ("none.json", b"[]".to_vec(), "it has no record"),
        ] {
            fs::write(at(name), bytes).unwrap();
            let error = read_advisories(&at(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
            assert!(error.contains(name), "{error}");
        }
        for (name, expected) in [("empty", "it has no record"), ("nowhere", "No such file")] {
            let error = read_advisories(&at(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn a_change_is_seen_without_reading() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("A-1.json");
        fs::write(&file, record("A-1")).unwrap();
        let before = advisories_stamp(folder.path()).unwrap();
        assert_eq!(advisories_stamp(folder.path()).unwrap(), before);
        fs::write(&file, record("A-10")).unwrap();
        assert_ne!(advisories_stamp(folder.path()).unwrap(), before);
        assert!(advisories_stamp(&folder.path().join("nowhere")).is_err());
    }
}
