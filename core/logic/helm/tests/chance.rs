//! Functions whose answers are up to chance: lengths, alphabets, and that what they
//! give holds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_helm::{
    Capabilities, Chart, Environment, Host, Limits, NoHost, NoLookup, ReleaseOptions, render,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Numbers that look random (splitmix64), and certificates that say what for.
struct Dice {
    state: AtomicU64,
    asked: Mutex<Vec<Value>>,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
            asked: Mutex::default(),
        }
    }
}

impl Host for Dice {
    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        for byte in bytes {
            let state = self
                .state
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 40) as u8;
        }
        Ok(())
    }

    fn private_key(&self, kind: &str) -> Result<String, String> {
        Ok(format!("key of kind {kind}"))
    }

    fn certificate(&self, function: &str, args: &[Value]) -> Result<(String, String), String> {
        self.asked
            .lock()
            .unwrap()
            .push(json!({"function": function, "args": args}));
        Ok((format!("certificate by {function}"), "its key".to_owned()))
    }
}

fn notes(template: &str, values: &Value, host: &dyn Host) -> Result<String, String> {
    let chart = Chart::from_files(BTreeMap::from([
        (
            "Chart.yaml".to_owned(),
            b"apiVersion: v2\nname: demo\nversion: 1.0.0\n".to_vec(),
        ),
        (
            "templates/NOTES.txt".to_owned(),
            template.as_bytes().to_vec(),
        ),
    ]))
    .unwrap();
    let rendered = render(
        &chart,
        values,
        &Environment {
            release: &ReleaseOptions {
                name: "rel".to_owned(),
                namespace: "ns".to_owned(),
                revision: 1,
                is_upgrade: false,
                service: "Helm".to_owned(),
            },
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host,
            limits: Limits::default(),
        },
    );
    rendered
        .map(|rendered| rendered.notes.unwrap())
        .map_err(|error| error.to_string())
}

fn sorted(text: &str) -> Vec<char> {
    let mut all: Vec<char> = text.chars().collect();
    all.sort_unstable();
    all
}

proptest! {
    #[test]
    fn random_texts_have_the_length_and_the_letters_asked_for(seed: u64, count in 0_usize..300) {
        for (function, fits) in [
            ("randAlphaNum", (|c: char| c.is_ascii_alphanumeric()) as fn(char) -> bool),
            ("randAlpha", |c| c.is_ascii_alphabetic()),
            ("randNumeric", |c| c.is_ascii_digit()),
            ("randAscii", |c| (' '..='~').contains(&c)),
        ] {
            let text = notes(&format!("{{{{ {function} {count} }}}}"), &json!({}), &Dice::new(seed)).unwrap();
            prop_assert_eq!(text.len(), count, "{} {}", function, text);
            prop_assert!(text.chars().all(fits), "{} {}", function, text);
            // Every letter of the alphabet comes, given time.
            if count > 250 && function == "randNumeric" {
                prop_assert_eq!(text.chars().collect::<std::collections::BTreeSet<_>>().len(), 10);
            }
        }
        let bytes = notes(&format!("{{{{ randBytes {count} }}}}"), &json!({}), &Dice::new(seed)).unwrap();
        prop_assert_eq!(STANDARD.decode(bytes).unwrap().len(), count);
    }

    #[test]
    fn numbers_keep_within_their_bounds(seed: u64, from in -1000_i64..1000, span in 1_i64..1000) {
        let to = from + span;
        let text = notes(&format!("{{{{ randInt {from} {to} }}}}"), &json!({}), &Dice::new(seed)).unwrap();
        let number: i64 = text.parse().unwrap();
        prop_assert!((from..to).contains(&number), "{} {} {}", from, number, to);
    }

    #[test]
    fn names_are_version_four_of_their_kind(seed: u64) {
        let host = Dice::new(seed);
        let (one, other) = (notes("{{ uuidv4 }}", &json!({}), &host).unwrap(), notes("{{ uuidv4 }}", &json!({}), &host).unwrap());
        prop_assert_ne!(&one, &other);
        for name in [one, other] {
            let parts: Vec<usize> = name.split('-').map(str::len).collect();
            prop_assert_eq!(parts, [8, 4, 4, 4, 12], "{}", name);
            prop_assert!(name.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')), "{}", name);
            prop_assert_eq!(name.as_bytes()[14], b'4', "{}", name);
            prop_assert!(matches!(name.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{}", name);
        }
    }

    #[test]
    fn shuffled_text_keeps_its_letters(seed: u64, text in "\\PC{0,40}") {
        let shuffled = notes("{{ shuffle .Values.t }}", &json!({"t": text}), &Dice::new(seed)).unwrap();
        prop_assert_eq!(sorted(&shuffled), sorted(&text));
    }

    #[test]
    fn what_is_encrypted_is_read_with_its_password_only(seed: u64, password in "[ -~]{0,40}", text in "\\PC{1,60}") {
        let values = json!({"p": password, "t": text});
        let template = "{{ $e := encryptAES .Values.p .Values.t }}{{ $e }} {{ eq .Values.t (decryptAES .Values.p $e) }}";
        let said = notes(template, &values, &Dice::new(seed)).unwrap();
        let (packed, same) = said.split_once(' ').unwrap();
        prop_assert_eq!(same, "true");
        // The initial vector, and whole blocks with room for the padding.
        prop_assert_eq!(STANDARD.decode(packed).unwrap().len(), 16 + (text.len() / 16 + 1) * 16);
        let other = notes("{{ encryptAES .Values.p .Values.t }}", &values, &Dice::new(!seed)).unwrap();
        prop_assert_ne!(packed, other);
        let wrong = "{{ decryptAES (print \"x\" .Values.p) (encryptAES .Values.p .Values.t) }}";
        if password.len() < 31 {
            prop_assert_ne!(notes(wrong, &values, &Dice::new(seed)), Ok(text));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn hashed_passwords_verify(seed: u64, password in "\\PC{0,18}", wrong in "[a-z]{5}") {
        let values = json!({"p": password});
        let template = "{{ bcrypt .Values.p }} {{ htpasswd \"me\" .Values.p }}";
        let said = notes(template, &values, &Dice::new(seed)).unwrap();
        let (hash, entry) = said.split_once(' ').unwrap();
        prop_assert!(hash.len() == 60 && hash.starts_with("$2a$10$"), "{}", hash);
        let (user, other) = entry.split_once(':').unwrap();
        prop_assert_eq!(user, "me");
        prop_assert_ne!(hash, other, "two salts");
        let longer = [password.as_str(), &wrong].concat();
        for hash in [hash, other] {
            prop_assert!(bcrypt::verify(&password, hash).unwrap());
            prop_assert!(!bcrypt::verify(&longer, hash).unwrap());
        }
    }
}

#[test]
fn keys_and_certificates_are_the_hosts() {
    let host = Dice::new(1);
    let template = r#"{{ $ca := genCA "ca" 365 }}{{ $one := genSignedCert "a" (list "10.0.0.1") (list "b.c") 30 $ca }}{{ $self := genSelfSignedCert "s" nil nil 1 }}{{ $ca.Cert }}, {{ $one.Cert }}, {{ $self.Cert }}, {{ $ca.Key }}, {{ genPrivateKey "ecdsa" }}"#;
    assert_eq!(
        notes(template, &json!({}), &host).unwrap(),
        "certificate by genCA, certificate by genSignedCert, certificate by genSelfSignedCert, its key, key of kind ecdsa"
    );
    assert_eq!(
        *host.asked.lock().unwrap(),
        [
            json!({"function": "genCA", "args": ["ca", 365]}),
            json!({"function": "genSignedCert", "args": ["a", ["10.0.0.1"], ["b.c"], 30, {"Cert": "certificate by genCA", "Key": "its key"}]}),
            json!({"function": "genSelfSignedCert", "args": ["s", null, null, 1]}),
        ]
    );
}

/// A key takes the host as long as a great deal of text takes the engine.
#[test]
fn no_rendering_asks_for_keys_without_end() {
    for (call, most) in [
        ("genCA \"a\" 1", 25),
        ("genSelfSignedCert \"a\" nil nil 1", 25),
        ("genPrivateKey \"rsa\"", 6),
    ] {
        let template = |count: usize| {
            format!("x{{{{ range until {count} }}}}{{{{ $_ := {call} }}}}{{{{ end }}}}")
        };
        let host = Dice::new(1);
        assert!(notes(&template(most), &json!({}), &host).is_ok(), "{call}");
        let error = notes(&template(most + 1), &json!({}), &host).unwrap_err();
        assert!(error.contains("steps"), "{call}: {error}");
    }
    // With a key at hand there is only a signature to make.
    let signed = "x{{ range until 500 }}{{ $_ := genCAWithKey \"a\" 1 \"k\" }}{{ end }}";
    assert!(notes(signed, &json!({}), &Dice::new(1)).is_ok());
}

#[test]
fn without_a_host_chance_says_what_to_do() {
    for template in [
        "{{ randAlphaNum 5 }}",
        "{{ uuidv4 }}",
        "{{ bcrypt \"x\" }}",
        "{{ htpasswd \"a\" \"x\" }}",
        "{{ encryptAES \"a\" \"x\" }}",
        "{{ shuffle \"abc\" }}",
        "{{ randInt 1 5 }}",
        "{{ genCA \"a\" 1 }}",
        "{{ genPrivateKey \"rsa\" }}",
    ] {
        let error = notes(template, &json!({}), &NoHost).unwrap_err();
        assert!(error.contains("Secret"), "{template}: {error}");
    }
}

/// Helm's own answers.
#[test]
fn what_helm_encrypted_and_derived_is_the_same_here() {
    for (template, expected) in [
        (
            r#"{{ decryptAES "secret" "0nnDJkLmd8t2AnIBVRdGQmeQHdm7pZ3mwI3qbnGS4v0=" }}"#,
            "hello",
        ),
        (
            r#"{{ derivePassword 1 "long" "password" "user" "example.com" }}"#,
            "ZedaFaxcZaso9*",
        ),
    ] {
        assert_eq!(
            notes(template, &json!({}), &NoHost).as_deref(),
            Ok(expected)
        );
    }
}
