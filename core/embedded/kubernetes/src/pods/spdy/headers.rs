//! The headers of SPDY's streams: packed with zlib and a dictionary that both sides
//! know, in one go for the whole session (draft, section 2.6.10).
//!
//! A reader of zlib that takes a dictionary is not needed: what is packed with one
//! is the same as if the dictionary had come before it. What is written is not packed
//! at all, which any reader takes. What must stay true: a client can make nobody hold
//! more than [`LARGEST`].

use flate2::{Decompress, FlushDecompress, Status};

use super::frame::Fault;

/// The most that the headers of a stream may be, unpacked.
const LARGEST: usize = 64 * 1024;
/// The most headers that a stream may have.
const MOST: u32 = 100;
/// What a stream of zlib begins with: how it is packed, and that a dictionary is
/// needed, the checksum of which follows (RFC 1950).
const BEGINNING: [u8; 2] = [0x78, 0x20];
const NEEDS_DICTIONARY: u8 = 0x20;
const DICTIONARY_ID: [u8; 4] = [0xe3, 0xc6, 0xa7, 0xc2];
/// A block of nothing, by which a reader of zlib knows that it can go no further.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// The first part of the dictionary: each after its length, as in a block of headers.
const WORDS: &str = "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,\
accept-language,accept-ranges,age,allow,authorization,cache-control,connection,content-base,\
content-encoding,content-language,content-length,content-location,content-md5,content-range,\
content-type,date,etag,expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,\
if-unmodified-since,last-modified,location,max-forwards,pragma,proxy-authenticate,\
proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,\
user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,\
set-cookie,keep-alive,origin";
/// The rest of it.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// Names, in lower case, and values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Unpacks headers, block after block.
pub(super) struct Unpacker {
    inflate: Decompress,
    has_begun: bool,
}

impl Unpacker {
    pub fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            has_begun: false,
        }
    }

    /// The headers of the next block.
    pub fn read(&mut self, block: &[u8]) -> Result<Headers, Fault> {
        let block = if self.has_begun {
            block
        } else {
            self.has_begun = true;
            self.begin(block)?
        };
        parse(&self.unpack(block)?)
    }

    /// Takes the beginning off the first block.
    fn begin<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], Fault> {
        let unknown = || Fault::Protocol("headers are not packed as SPDY/3.1 packs them");
        let (beginning, rest) = block.split_first_chunk::<2>().ok_or_else(unknown)?;
        let [method, flags] = *beginning;
        if method & 0x0f != 8 || u16::from_be_bytes(*beginning) % 31 != 0 {
            return Err(unknown());
        }
        if flags & NEEDS_DICTIONARY == 0 {
            return Ok(rest);
        }
        let rest = rest.strip_prefix(&DICTIONARY_ID).ok_or_else(unknown)?;
        let mut dictionary = Vec::new();
        store(&mut dictionary, &dictionary_bytes());
        self.unpack(&dictionary)?;
        Ok(rest)
    }

    fn unpack(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, Fault> {
        let broken = || Fault::Protocol("headers cannot be unpacked");
        let mut unpacked = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(packed, &mut piece, FlushDecompress::Sync)
                .map_err(|_| broken())?;
            let read = usize::try_from(self.inflate.total_in() - read).map_err(|_| broken())?;
            let written =
                usize::try_from(self.inflate.total_out() - written).map_err(|_| broken())?;
            packed = packed.get(read..).unwrap_or_default();
            unpacked.extend_from_slice(piece.get(..written).unwrap_or_default());
            if status == Status::StreamEnd || unpacked.len() > LARGEST {
                return Err(broken());
            }
            let is_done = packed.is_empty() && written < piece.len();
            if is_done || (read == 0 && written == 0) {
                return if packed.is_empty() {
                    Ok(unpacked)
                } else {
                    Err(broken())
                };
            }
        }
    }
}

/// Writes headers, block after block.
#[derive(Default)]
pub(super) struct Packer {
    has_begun: bool,
}

impl Packer {
    /// The next block.
    pub fn write(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = Vec::new();
        number(&mut plain, headers.len());
        for (name, value) in headers {
            for text in [name, value] {
                number(&mut plain, text.len());
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut block = Vec::new();
        if !self.has_begun {
            self.has_begun = true;
            block.extend_from_slice(&BEGINNING);
            block.extend_from_slice(&DICTIONARY_ID);
        }
        store(&mut block, &plain);
        block.extend_from_slice(&FLUSH);
        block
    }
}

/// Adds bytes as they are (RFC 1951, 3.2.4).
fn store(block: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(usize::from(u16::MAX)) {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        block.push(0);
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&(!length).to_le_bytes());
        block.extend_from_slice(piece);
    }
}

fn number(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&number.to_be_bytes());
}

fn dictionary_bytes() -> Vec<u8> {
    let mut dictionary = Vec::new();
    for word in WORDS.split(',') {
        number(&mut dictionary, word.len());
        dictionary.extend_from_slice(word.as_bytes());
    }
    dictionary.extend_from_slice(TAIL.as_bytes());
    dictionary
}

fn parse(mut plain: &[u8]) -> Result<Headers, Fault> {
    let short = || Fault::Protocol("headers end early");
    let count = take_number(&mut plain).ok_or_else(short)?;
    if count > MOST {
        return Err(Fault::Protocol("a stream has too many headers"));
    }
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = take_text(&mut plain).ok_or_else(short)?;
        let value = take_text(&mut plain).ok_or_else(short)?;
        headers.push((name.to_lowercase(), value));
    }
    Ok(Headers(headers))
}

fn take_number(plain: &mut &[u8]) -> Option<u32> {
    let (number, rest) = plain.split_first_chunk::<4>()?;
    *plain = rest;
    Some(u32::from_be_bytes(*number))
}

fn take_text(plain: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_number(plain)?).ok()?;
    let (text, rest) = plain.split_at_checked(length)?;
    *plain = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two blocks of headers as zlib packs them with the dictionary, the second by
    /// what was in the first.
    const FIRST: &str = "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45a024cc64610024398b209198094adc8c0600000000ffff";
    const SECOND: &str = "c2aa15540a2512d209000000ffff";

    #[test]
    fn the_dictionary_is_the_one_that_all_know() {
        let dictionary = dictionary_bytes();
        assert_eq!(dictionary.len(), 1423);
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in dictionary {
            low = (low + u32::from(byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        assert_eq!(((high << 16) | low).to_be_bytes(), DICTIONARY_ID);
        assert_eq!(u16::from_be_bytes(BEGINNING) % 31, 0);
    }

    #[test]
    fn headers_are_unpacked_block_after_block() {
        let mut unpacker = Unpacker::new();
        for (block, kind) in [(FIRST, "error"), (SECOND, "data")] {
            let headers = unpacker.read(&hex::decode(block).unwrap()).unwrap();
            let found = ["streamtype", "port", "requestid", "other"].map(|name| headers.get(name));
            assert_eq!(found, [Some(kind), Some("80"), Some("0"), None]);
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (mut packer, mut unpacker) = (Packer::default(), Unpacker::new());
        let long = "x".repeat(60_000);
        for headers in [
            vec![],
            vec![("a", "1"), ("b", "")],
            vec![("long", long.as_str())],
            vec![],
        ] {
            let read = unpacker.read(&packer.write(&headers)).unwrap();
            assert_eq!(read.0.len(), headers.len());
            for (name, value) in headers {
                assert_eq!(read.get(name), Some(value));
            }
        }
        assert!(packer.write(&[]).ends_with(&FLUSH));
    }

    #[test]
    fn what_is_not_packed_headers_is_refused() {
        let packed = hex::decode(FIRST).unwrap();
        let mut other_dictionary = packed.clone();
        other_dictionary[2] ^= 1;
        for block in [
            Vec::new(),
            vec![0x78],
            b"GET / HTTP/1.1".to_vec(),
            other_dictionary,
            packed[..20].to_vec(),
        ] {
            assert!(Unpacker::new().read(&block).is_err(), "{block:?}");
        }
        // Much out of little, too many, and a length beyond the end.
        let large = Packer::default().write(&[("a", "x".repeat(LARGEST).as_str())]);
        assert!(Unpacker::new().read(&large).is_err());
        let many = vec![("a", "b"); 101];
        assert!(
            Unpacker::new()
                .read(&Packer::default().write(&many))
                .is_err()
        );
        assert!(parse(b"\0\0\0\x01\xff\xff\xff\xffabc").is_err());
    }
}
