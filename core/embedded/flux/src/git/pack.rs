//! A Git pack, read whole: one commit's tree as files.
//!
//! What must stay true: an object is named by the hash computed here, so what
//! is handed out is what the commit id vouches for; no pack exhausts memory.

use std::collections::HashMap;
use std::io::Read as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::artifact::Files;

/// Bytes that a pack may unpack to.
const MAX_UNPACKED: usize = 400 << 20;
const MAX_DEPTH: usize = 128;

/// Why a pack could not be used.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("could not read the pack: {0}")]
pub struct PackError(pub String);

type Id = [u8; 20];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// The objects of a pack.
pub struct Objects {
    entries: Vec<(Kind, Vec<u8>)>,
    by_id: HashMap<Id, usize>,
}

fn wrong<T>(why: impl Into<String>) -> Result<T, PackError> {
    Err(PackError(why.into()))
}

impl Objects {
    /// Reads a pack that needs no objects from outside.
    pub fn read(pack: &[u8]) -> Result<Self, PackError> {
        let (Some(head), Some(body)) = (pack.get(..12), pack.len().checked_sub(20)) else {
            return wrong("it is too short");
        };
        if !head.starts_with(b"PACK\0\0\0\x02") {
            return wrong("it is not a pack of version 2");
        }
        let Some((pack, trailer)) = pack.split_at_checked(body) else {
            return wrong("it is too short");
        };
        if digest(&SHA1_FOR_LEGACY_USE_ONLY, pack).as_ref() != trailer {
            return wrong("its checksum is wrong");
        }
        let count = head
            .get(8..)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_be_bytes);
        let mut found = Self {
            entries: Vec::new(),
            by_id: HashMap::new(),
        };
        let mut at_offset: HashMap<usize, usize> = HashMap::new();
        let mut late: Vec<(usize, Id, Vec<u8>)> = Vec::new();
        let mut total = 0usize;
        let mut offset = 12;
        for _ in 0..count {
            let start = offset;
            let mut byte = next(pack, &mut offset)?;
            let kind = (byte >> 4) & 7;
            let mut size = usize::from(byte & 15);
            let mut shift = 4;
            while byte & 0x80 != 0 {
                byte = next(pack, &mut offset)?;
                size |= usize::from(byte & 0x7f)
                    .checked_shl(shift)
                    .unwrap_or(usize::MAX);
                shift += 7;
                if shift > 56 {
                    return wrong("an object's size is too large");
                }
            }
            total = total.saturating_add(size);
            if total > MAX_UNPACKED {
                return wrong(format!("it unpacks to more than {MAX_UNPACKED} bytes"));
            }
            match kind {
                1..=4 => {
                    let data = inflate(pack, &mut offset, size)?;
                    let kind = match kind {
                        1 => Kind::Commit,
                        2 => Kind::Tree,
                        3 => Kind::Blob,
                        _ => Kind::Tag,
                    };
                    at_offset.insert(start, found.add(kind, data));
                }
                6 => {
                    let mut byte = next(pack, &mut offset)?;
                    let mut back = usize::from(byte & 0x7f);
                    while byte & 0x80 != 0 {
                        byte = next(pack, &mut offset)?;
                        back = back
                            .checked_add(1)
                            .and_then(|back| back.checked_mul(128))
                            .map_or(usize::MAX, |back| back | usize::from(byte & 0x7f));
                    }
                    let delta = inflate(pack, &mut offset, size)?;
                    let base = start
                        .checked_sub(back)
                        .and_then(|base| at_offset.get(&base).copied());
                    let Some(base) = base else {
                        // Its base was itself a late delta; Git writes none of
                        // these when it sends whole objects first.
                        return wrong("a delta's base does not come before it");
                    };
                    let index = found.add_delta(base, &delta, &mut total)?;
                    at_offset.insert(start, index);
                }
                7 => {
                    let Some(base) = pack
                        .get(offset..offset + 20)
                        .and_then(|bytes| Id::try_from(bytes).ok())
                    else {
                        return wrong("it ends early");
                    };
                    offset += 20;
                    let delta = inflate(pack, &mut offset, size)?;
                    match found.by_id.get(&base).copied() {
                        Some(base) => {
                            let index = found.add_delta(base, &delta, &mut total)?;
                            at_offset.insert(start, index);
                        }
                        None => late.push((start, base, delta)),
                    }
                }
                other => return wrong(format!("it holds an object of type {other}")),
            }
        }
        // Deltas whose base came later.
        while !late.is_empty() {
            let before = late.len();
            let mut rest = Vec::new();
            for (start, base, delta) in late {
                match found.by_id.get(&base).copied() {
                    Some(base) => {
                        found.add_delta(base, &delta, &mut total)?;
                    }
                    None => rest.push((start, base, delta)),
                }
            }
            if rest.len() == before {
                return wrong("a delta's base is missing");
            }
            late = rest;
        }
        Ok(found)
    }

    fn add(&mut self, kind: Kind, data: Vec<u8>) -> usize {
        let mut named = format!("{} {}\0", kind.word(), data.len()).into_bytes();
        named.extend_from_slice(&data);
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &named);
        let index = self.entries.len();
        if let Ok(id) = Id::try_from(hash.as_ref()) {
            self.by_id.insert(id, index);
        }
        self.entries.push((kind, data));
        index
    }

    fn add_delta(
        &mut self,
        base: usize,
        delta: &[u8],
        total: &mut usize,
    ) -> Result<usize, PackError> {
        let Some((kind, base)) = self.entries.get(base) else {
            return wrong("a delta's base is missing");
        };
        let (kind, data) = (*kind, patch(base, delta, total)?);
        Ok(self.add(kind, data))
    }

    fn get(&self, id: &Id, wanted: Kind) -> Result<&[u8], PackError> {
        let entry = self
            .by_id
            .get(id)
            .and_then(|index| self.entries.get(*index));
        match entry {
            Some((kind, data)) if *kind == wanted => Ok(data),
            Some(_) => wrong(format!("{} is not a {}", hex::encode(id), wanted.word())),
            None => wrong(format!("{} {} is missing", wanted.word(), hex::encode(id))),
        }
    }

    /// The files of a commit (or of the commit a tag names); links and
    /// submodules are left out.
    pub fn files(&self, commit: &str) -> Result<Files, PackError> {
        let mut id = parse_id(commit.as_bytes())?;
        if let Ok(tag) = self.get(&id, Kind::Tag) {
            id = field(tag, b"object ")?;
        }
        let tree = field(self.get(&id, Kind::Commit)?, b"tree ")?;
        let mut files = Files::new();
        self.walk(&tree, "", 0, &mut files)?;
        Ok(files)
    }

    fn walk(
        &self,
        tree: &Id,
        prefix: &str,
        depth: usize,
        files: &mut Files,
    ) -> Result<(), PackError> {
        if depth > MAX_DEPTH {
            return wrong("its folders nest too deep");
        }
        let mut rest = self.get(tree, Kind::Tree)?;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == 0);
            let Some((head, after)) = end.and_then(|end| rest.split_at_checked(end)) else {
                return wrong("a tree ends early");
            };
            let Some(id) = after.get(1..21).and_then(|bytes| Id::try_from(bytes).ok()) else {
                return wrong("a tree ends early");
            };
            rest = after.get(21..).unwrap_or_default();
            let head = String::from_utf8_lossy(head);
            let Some((mode, name)) = head.split_once(' ') else {
                return wrong("a tree is not readable");
            };
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
                return wrong(format!("a tree names the file {name:?}"));
            }
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            match mode {
                "40000" | "040000" => self.walk(&id, &path, depth + 1, files)?,
                "100644" | "100755" | "100664" => {
                    files.insert(path, self.get(&id, Kind::Blob)?.to_vec());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn parse_id(text: &[u8]) -> Result<Id, PackError> {
    let mut id = [0; 20];
    match hex::decode_to_slice(text, &mut id) {
        Ok(()) => Ok(id),
        Err(_) => wrong(format!(
            "{:?} is not an object id",
            String::from_utf8_lossy(text)
        )),
    }
}

/// The id in the first line that starts with `name`.
fn field(data: &[u8], name: &[u8]) -> Result<Id, PackError> {
    match data
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name))
    {
        Some(id) => parse_id(id),
        None => wrong("a commit is not readable"),
    }
}

fn next(data: &[u8], offset: &mut usize) -> Result<u8, PackError> {
    match data.get(*offset) {
        Some(byte) => {
            *offset += 1;
            Ok(*byte)
        }
        None => wrong("it ends early"),
    }
}

fn inflate(pack: &[u8], offset: &mut usize, size: usize) -> Result<Vec<u8>, PackError> {
    let rest = pack.get(*offset..).unwrap_or_default();
    let mut decoder = flate2::bufread::ZlibDecoder::new(rest);
    let mut data = Vec::with_capacity(size.min(1 << 20));
    (&mut decoder)
        .take(size as u64 + 1)
        .read_to_end(&mut data)
        .map_err(|why| PackError(why.to_string()))?;
    if data.len() != size {
        return wrong("an object has another size than it says");
    }
    *offset += usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
    Ok(data)
}

/// Applies a delta to its base.
fn patch(base: &[u8], delta: &[u8], total: &mut usize) -> Result<Vec<u8>, PackError> {
    let mut at = 0;
    let length = |at: &mut usize| -> Result<usize, PackError> {
        let (mut size, mut shift) = (0usize, 0u32);
        loop {
            let byte = next(delta, at)?;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(size);
            }
            if shift > 56 {
                return wrong("a delta's size is too large");
            }
        }
    };
    let base_size = length(&mut at)?;
    let size = length(&mut at)?;
    *total = total.saturating_add(size);
    if base_size != base.len() || *total > MAX_UNPACKED {
        return wrong("a delta does not fit its base");
    }
    let mut out = Vec::with_capacity(size.min(1 << 24));
    while at < delta.len() {
        let command = next(delta, &mut at)?;
        if command & 0x80 != 0 {
            let (mut from, mut count) = (0usize, 0usize);
            for bit in 0..4 {
                if command & (1 << bit) != 0 {
                    from |= usize::from(next(delta, &mut at)?) << (8 * bit);
                }
            }
            for bit in 0..3 {
                if command & (0x10 << bit) != 0 {
                    count |= usize::from(next(delta, &mut at)?) << (8 * bit);
                }
            }
            if count == 0 {
                count = 0x10000;
            }
            match base.get(from..from.saturating_add(count)) {
                Some(part) => out.extend_from_slice(part),
                None => return wrong("a delta copies from outside its base"),
            }
        } else if command != 0 {
            match delta.get(at..at + usize::from(command)) {
                Some(part) => out.extend_from_slice(part),
                None => return wrong("a delta ends early"),
            }
            at += usize::from(command);
        } else {
            return wrong("a delta holds an unknown command");
        }
        if out.len() > size {
            return wrong("a delta makes more than it says");
        }
    }
    if out.len() != size {
        return wrong("a delta makes less than it says");
    }
    Ok(out)
}
