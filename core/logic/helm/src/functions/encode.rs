//! Encodings, digests, random text, URLs.
//!
//! Randomness comes from the host, and so do keys and certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

use super::{Row, int, text};
use crate::exec::{Engine, Outcome};
use crate::value::Value;

fn ok(text: impl AsRef<str>) -> Outcome<Value> {
    Ok(Value::text(text))
}

/// More random characters than this are refused.
const MAX_RANDOM: i64 = 1 << 20;
/// What the host's keys cost, in bytes of text gone through, as far as they take the
/// same time: a signature or a short key, an RSA key for a certificate, and the long
/// one that `genPrivateKey` makes.
const SIGNING: usize = 2 << 20;
const MAKING: usize = 192 << 20;
const MAKING_LONG: usize = 768 << 20;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub const TABLE: &[Row] = &[
    ("b64enc", "s", |_, a| ok(STANDARD.encode(text(a, 0)))),
    ("b64dec", "s", |_, a| match decode64(text(a, 0)) {
        Ok(bytes) => ok(String::from_utf8_lossy(&bytes)),
        Err(at) => ok(format!("illegal base64 data at input byte {at}")),
    }),
    ("b32enc", "s", |_, a| ok(base32(text(a, 0).as_bytes()))),
    ("b32dec", "s", |_, a| match decode32(text(a, 0)) {
        Ok(bytes) => ok(String::from_utf8_lossy(&bytes)),
        Err(at) => ok(format!("illegal base32 data at input byte {at}")),
    }),
    ("sha256sum", "s", |_, a| {
        ok(hex::encode(Sha256::digest(text(a, 0))))
    }),
    ("sha512sum", "s", |_, a| {
        ok(hex::encode(Sha512::digest(text(a, 0))))
    }),
    ("sha1sum", "s", |_, a| {
        ok(hex::encode(sha1(text(a, 0).as_bytes())))
    }),
    (
        "adler32sum",
        "s",
        |_, a| ok(adler32(text(a, 0)).to_string()),
    ),
    ("randAlphaNum", "i", |engine, a| {
        random(
            engine,
            a,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        )
    }),
    ("randAlpha", "i", |engine, a| {
        random(
            engine,
            a,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        )
    }),
    ("randNumeric", "i", |engine, a| {
        random(engine, a, b"0123456789")
    }),
    ("randAscii", "i", |engine, a| {
        let printable: Vec<u8> = (b' '..=b'~').collect();
        random(engine, a, &printable)
    }),
    ("randBytes", "i", |engine, a| {
        let mut bytes = vec![0; count(a)?];
        engine.host.random(&mut bytes)?;
        ok(STANDARD.encode(bytes))
    }),
    ("shuffle", "s", |engine, a| {
        let mut chars: Vec<char> = text(a, 0).chars().collect();
        for at in (1..chars.len()).rev() {
            let mut bytes = [0_u8; 8];
            engine.host.random(&mut bytes)?;
            let other = u64::from_le_bytes(bytes) % (at as u64 + 1);
            chars.swap(at, usize::try_from(other).unwrap_or(0));
        }
        ok(chars.into_iter().collect::<String>())
    }),
    ("uuidv4", "", |engine, _| {
        let mut bytes = [0_u8; 16];
        engine.host.random(&mut bytes)?;
        let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62);
        let text = format!("{:032x}", number | (0x4 << 76) | (0x2 << 62));
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        ok(format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        ))
    }),
    ("genCA", "si", |engine, a| certificate(engine, "genCA", a)),
    ("genCAWithKey", "sis", |engine, a| {
        certificate(engine, "genCAWithKey", a)
    }),
    ("genSelfSignedCert", "sali", |engine, a| {
        certificate(engine, "genSelfSignedCert", a)
    }),
    ("genSelfSignedCertWithKey", "salis", |engine, a| {
        certificate(engine, "genSelfSignedCertWithKey", a)
    }),
    ("genSignedCert", "salia", |engine, a| {
        certificate(engine, "genSignedCert", a)
    }),
    ("genSignedCertWithKey", "salias", |engine, a| {
        certificate(engine, "genSignedCertWithKey", a)
    }),
    ("buildCustomCert", "ss", |_, a| {
        let decoded = |at: usize, what: &str| {
            decode64(text(a, at))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|_| format!("unable to decode base64 {what}"))
        };
        let (cert, key) = (decoded(0, "certificate")?, decoded(1, "private key")?);
        // Go also parses both; here they only have to be PEM.
        if !cert.contains("-----BEGIN ") {
            return Err("unable to decode certificate".into());
        }
        if !key.contains("-----BEGIN ") {
            return Err("error parsing private key: no PEM data in input".into());
        }
        Ok(pair(cert, key))
    }),
    ("genPrivateKey", "s", |engine, a| match text(a, 0) {
        kind @ ("" | "rsa" | "dsa" | "ecdsa" | "ed25519") => {
            engine.passed(match kind {
                "" | "rsa" => MAKING_LONG,
                _ => SIGNING,
            })?;
            ok(engine.host.private_key(kind)?)
        }
        kind => ok(format!("Unknown type {kind}")),
    }),
];

fn count(args: &[Value]) -> Outcome<usize> {
    let count = int(args, 0);
    if !(0..=MAX_RANDOM).contains(&count) {
        return Err(format!("cannot make {count} random characters").into());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

fn random(engine: &mut Engine<'_>, args: &[Value], alphabet: &[u8]) -> Outcome<Value> {
    let count = count(args)?;
    engine.charge(count)?;
    // Bytes past the last whole multiple are thrown away, so each character is
    // as likely as any other.
    let fair = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(count);
    let mut bytes = [0_u8; 64];
    let mut rounds = 0;
    while out.len() < count {
        rounds += 1;
        if rounds > count + 1000 {
            return Err("the host's random bytes are not random".into());
        }
        engine.host.random(&mut bytes)?;
        for byte in bytes {
            if usize::from(byte) < fair
                && out.len() < count
                && let Some(c) = alphabet.get(usize::from(byte) % alphabet.len())
            {
                out.push(char::from(*c));
            }
        }
    }
    ok(out)
}

fn certificate(engine: &mut Engine<'_>, function: &str, args: &[Value]) -> Outcome<Value> {
    // A key that is given costs the signature only.
    engine.passed(match function.ends_with("WithKey") {
        true => SIGNING,
        false => MAKING,
    })?;
    let plain: Vec<serde_json::Value> = args
        .iter()
        .map(|arg| arg.to_json().unwrap_or_default())
        .collect();
    let (cert, key) = engine.host.certificate(function, &plain)?;
    Ok(pair(cert, key))
}

fn pair(cert: String, key: String) -> Value {
    Value::object(crate::objects::Object::Struct {
        type_name: "sprig.certificate",
        fields: vec![("Cert", Value::text(cert)), ("Key", Value::text(key))],
        shown: None,
    })
}

fn base32(data: &[u8]) -> String {
    let mut out = String::new();
    for chunk in data.chunks(5) {
        let mut block = 0_u64;
        for at in 0..5 {
            block = block << 8 | u64::from(chunk.get(at).copied().unwrap_or(0));
        }
        let used = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let index = usize::try_from(block >> (35 - 5 * at) & 31).unwrap_or(0);
            match BASE32.get(index) {
                Some(c) if at < used => out.push(char::from(*c)),
                _ => out.push('='),
            }
        }
    }
    out
}

/// Go's padded base64; the error is the place of the fault, line ends counted.
pub fn decode64(given: &str) -> Result<Vec<u8>, usize> {
    let bytes: Vec<(usize, u8)> = (given.bytes().enumerate())
        .filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let mut block = 0_u32;
        let mut count = 0;
        while count < 4 {
            let Some(&(place, byte)) = bytes.get(at + count) else {
                return Err(given.len() - count);
            };
            if byte == b'=' {
                let padding = (bytes.iter().skip(at + count))
                    .take_while(|(_, byte)| *byte == b'=')
                    .count();
                if count < 2 {
                    return Err(place);
                }
                if padding < 4 - count {
                    let is_end = bytes.len() == at + count + padding;
                    return Err(if is_end { given.len() } else { place });
                }
                if let Some((place, _)) = bytes.get(at + 4) {
                    return Err(*place);
                }
                break;
            }
            let Some(digit) = BASE64.iter().position(|known| *known == byte) else {
                return Err(place);
            };
            block = block << 6 | digit as u32;
            count += 1;
        }
        let shifted = block << (32 - count * 6);
        out.extend((shifted.to_be_bytes().iter()).take(count * 6 / 8));
        at += 4;
    }
    Ok(out)
}

/// Go's padded base32, step by step, for what it says of wrong padding, and what it
/// overlooks; the error is the place of the fault, line ends not counted.
fn decode32(given: &str) -> Result<Vec<u8>, usize> {
    let bytes: Vec<u8> = (given.bytes())
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let length = bytes.len();
    let mut rest = bytes.as_slice();
    let mut out = Vec::new();
    let mut is_end = false;
    while !rest.is_empty() && !is_end {
        let mut block = 0_u64;
        let mut count = 0;
        while count < 8 {
            let Some((byte, after)) = rest.split_first() else {
                return Err(length - count);
            };
            rest = after;
            if *byte == b'=' && count >= 2 && rest.len() < 8 {
                if rest.len() + count < 7 {
                    return Err(length);
                }
                let mut padding = rest.iter().take(7 - count);
                if let Some(wrong) = padding.position(|byte| *byte != b'=') {
                    return Err(length - rest.len() + wrong - 1);
                }
                if matches!(count, 3 | 6) {
                    return Err(length - rest.len() - 1);
                }
                is_end = true;
                break;
            }
            let Some(digit) = BASE32.iter().position(|known| known == byte) else {
                return Err(length - rest.len() - 1);
            };
            block = block << 5 | digit as u64;
            count += 1;
        }
        let shifted = block << (64 - count * 5);
        out.extend((shifted.to_be_bytes().iter()).take(count * 5 / 8));
    }
    Ok(out)
}

fn adler32(text: &str) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in text.bytes() {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

/// SHA-1 (FIPS 180-4), for charts' checksums only; never for trust.
fn sha1(data: &[u8]) -> Vec<u8> {
    let mut state = [
        0x6745_2301_u32,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut message = data.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(data.len() as u64).wrapping_mul(8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words: Vec<u32> = block
            .chunks_exact(4)
            .map(|four| {
                four.iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
            .collect();
        for at in 16..80 {
            let word = |back: usize| words.get(at - back).copied().unwrap_or(0);
            words.push((word(3) ^ word(8) ^ word(14) ^ word(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (f, k) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(f)
                .wrapping_add(e)
                .wrapping_add(k)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (slot, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *slot = slot.wrapping_add(value);
        }
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}
