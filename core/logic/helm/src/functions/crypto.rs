//! sprig's cryptography that is arithmetic: passwords hashed and derived, AES.
//!
//! Salts and initial vectors come from the host; keys and certificates it makes
//! itself. None of it is ours to trust: charts ask for it, and get what Helm gives.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use scrypt::{Params, scrypt};
use sha2::Sha256;

use super::{Row, int, text};
use crate::exec::{Engine, Outcome};
use crate::value::Value;

/// `bcrypt.DefaultCost`.
const COST: u32 = 10;
/// Bytes of a password that bcrypt takes.
const LONGEST: usize = 72;
const BLOCK: usize = 16;
/// What one hash costs, in bytes of text gone through: as much as it takes time.
const HASHING: usize = 128 << 20;

pub const TABLE: &[Row] = &[
    ("bcrypt", "s", |engine, a| {
        Ok(Value::text(hashed(engine, text(a, 0))?))
    }),
    ("htpasswd", "ss", |engine, a| {
        let (user, password) = (text(a, 0), text(a, 1));
        if user.contains(':') {
            return Ok(Value::text(format!("invalid username: {user}")));
        }
        Ok(Value::text(format!("{user}:{}", hashed(engine, password)?)))
    }),
    ("derivePassword", "ussss", derived),
    ("encryptAES", "ss", |engine, a| {
        let plain = text(a, 1);
        if plain.is_empty() {
            return Ok(Value::text(""));
        }
        let mut chain = [0_u8; BLOCK];
        engine.host.random(&mut chain)?;
        let cipher = cipher(text(a, 0))?;
        let padding = BLOCK - plain.len() % BLOCK;
        let mut content = plain.as_bytes().to_vec();
        content.extend(std::iter::repeat_n(padding as u8, padding));
        let mut out = chain.to_vec();
        for block in content.chunks(BLOCK) {
            for (byte, with) in chain.iter_mut().zip(block) {
                *byte ^= with;
            }
            let mut next = chain.into();
            cipher.encrypt_block(&mut next);
            chain = next.into();
            out.extend_from_slice(&chain);
        }
        Ok(Value::text(STANDARD.encode(out)))
    }),
    ("decryptAES", "ss", |_, a| decrypted(text(a, 0), text(a, 1))),
];

fn hashed(engine: &mut Engine<'_>, password: &str) -> Outcome<String> {
    engine.passed(HASHING)?;
    if password.len() > LONGEST {
        return Ok(format!(
            "failed to encrypt string with bcrypt: bcrypt: password length exceeds {LONGEST} bytes"
        ));
    }
    let mut salt = [0_u8; 16];
    engine.host.random(&mut salt)?;
    let hash =
        bcrypt::hash_with_salt(password, COST, salt).map_err(|why| format!("bcrypt: {why}"))?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA))
}

/// The password, cut or filled with zeros, is the key.
fn cipher(password: &str) -> Result<Aes256, String> {
    let mut key = [0_u8; 32];
    for (byte, given) in key.iter_mut().zip(password.bytes()) {
        *byte = given;
    }
    Aes256::new_from_slice(&key).map_err(|why| why.to_string())
}

fn decrypted(password: &str, packed: &str) -> Outcome<Value> {
    if packed.is_empty() {
        return Ok(Value::text(""));
    }
    let data = super::encode::decode64(packed)
        .map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    let Some((mut chain, content)) = data.split_at_checked(BLOCK) else {
        return Err(format!(
            "runtime error: slice bounds out of range [:{BLOCK}] with capacity {}",
            packed.len() / 4 * 3
        )
        .into());
    };
    if !content.len().is_multiple_of(BLOCK) {
        return Err("crypto/cipher: input not full blocks".into());
    }
    let cipher = cipher(password)?;
    let mut out = Vec::with_capacity(content.len());
    for block in content.chunks(BLOCK) {
        let mut next = <[u8; BLOCK]>::try_from(block).unwrap_or_default().into();
        cipher.decrypt_block(&mut next);
        let next: [u8; BLOCK] = next.into();
        out.extend(next.iter().zip(chain).map(|(byte, with)| byte ^ with));
        chain = block;
    }
    let Some(padding) = out.last().copied() else {
        return Err("runtime error: index out of range [-1]".into());
    };
    let plain = out
        .len()
        .checked_sub(usize::from(padding))
        .and_then(|end| out.get(..end))
        .ok_or_else(|| {
            format!(
                "runtime error: slice bounds out of range [:{}]",
                out.len() as i64 - i64::from(padding)
            )
        })?;
    Ok(Value::text(String::from_utf8_lossy(plain)))
}

const SEED: &[u8] = b"com.lyndir.masterpassword";

/// Masterpassword's templates: each letter stands for a class of characters.
fn templates(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

fn class(of: char) -> &'static [u8] {
    match of {
        'V' => b"AEIOU",
        'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        'v' => b"aeiou",
        'c' => b"bcdfghjklmnpqrstvwxyz",
        'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        'n' => b"0123456789",
        'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

fn derived(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let (kind, password, user, site) = (text(args, 1), text(args, 2), text(args, 3), text(args, 4));
    let Some(templates) = templates(kind) else {
        return Ok(Value::text(format!("cannot find password template {kind}")));
    };
    engine.passed(HASHING)?;
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    let salt = [SEED, &length(user), user.as_bytes()].concat();
    let mut key = [0_u8; 64];
    Params::new(15, 8, 2)
        .map_err(|why| why.to_string())
        .and_then(|params| {
            scrypt(password.as_bytes(), &salt, &params, &mut key).map_err(|why| why.to_string())
        })?;
    let counter = u32::try_from(int(args, 0)).unwrap_or(u32::MAX);
    let message = [SEED, &length(site), site.as_bytes(), &counter.to_be_bytes()].concat();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|why| why.to_string())?;
    mac.update(&message);
    let seed = mac.finalize().into_bytes();
    let pick = |at: usize, count: usize| usize::from(seed.get(at).copied().unwrap_or(0)) % count;
    let template = templates
        .get(pick(0, templates.len()))
        .copied()
        .unwrap_or_default();
    let password: String = template
        .chars()
        .enumerate()
        .filter_map(|(at, of)| {
            let class = class(of);
            class.get(pick(at + 1, class.len())).copied()
        })
        .map(char::from)
        .collect();
    Ok(Value::text(password))
}
