//! Keys and certificates that charts ask for: `genPrivateKey`, `genCA` and their
//! relatives, in the shapes that sprig gives them.
//!
//! Called by `host`. What must stay true: no error holds anything of a key; what a
//! chart hands in is read as a stranger's. How many are made for one rendering the
//! engine bounds.

use std::net::IpAddr;

use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
};
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData as _, RsaKeySize, SanType, SerialNumber, SignatureAlgorithm,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use x509_parser::der_parser;
use x509_parser::extensions::ParsedExtension;

/// Curves that can sign, each under the name of either library.
static CURVES: [(&SignatureAlgorithm, &EcdsaSigningAlgorithm); 3] = [
    (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1_SIGNING),
    (&PKCS_ECDSA_P521_SHA512, &ECDSA_P521_SHA512_ASN1_SIGNING),
];

/// `genPrivateKey`: 4096 bits of RSA, P-256, or Ed25519.
pub fn private_key(kind: &str) -> Result<String, String> {
    let key = match kind {
        "" | "rsa" => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        "ecdsa" => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        "ed25519" => KeyPair::generate_for(&PKCS_ED25519),
        other => {
            return Err(format!(
                "no {other} keys are made here, for nothing current takes them; ask genPrivateKey for rsa, ecdsa or ed25519, or let a Secret hold the key"
            ));
        }
    };
    written(&key.map_err(|why| format!("failed to generate private key: {why}"))?)
}

/// A certificate and its key in PEM, by the name and the arguments of sprig's function.
pub fn certificate(function: &str, args: &[Value]) -> Result<(String, String), String> {
    let at = |place: usize| args.get(place).unwrap_or(&Value::Null);
    let (kind, given) = match function.strip_suffix("WithKey") {
        Some(kind) => (kind, args.last()),
        None => (function, None),
    };
    let name = text(at(0));
    let mut params = match kind {
        "genCA" => {
            let mut params = template(name, &Value::Null, &Value::Null, at(1))?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
            params
        }
        "genSelfSignedCert" | "genSignedCert" => {
            let mut params = template(name, at(1), at(2), at(3))?;
            // Basic constraints that say no. The library's own way to say it would
            // give the key an identifier too, which sprig's certificates lack.
            let mut no_ca = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0x00]);
            no_ca.set_criticality(true);
            params.custom_extensions.push(no_ca);
            params
        }
        _ => return Err(format!("{function} makes no certificate")),
    };
    let issuer = match kind {
        "genSignedCert" => Some(issuer(at(4))?),
        _ => None,
    };
    let key = match given {
        Some(key) => read(text(key)).map_err(|why| format!("parsing private key: {why}"))?,
        None => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(|why| format!("error generating rsa key: {why}"))?,
    };
    let certificate = match issuer {
        Some((issuer, is_named)) => {
            params.use_authority_key_identifier_extension = is_named;
            params.signed_by(&key, &issuer)
        }
        None => params.self_signed(&key),
    };
    let certificate = certificate.map_err(|why| format!("error creating certificate: {why}"))?;
    Ok((certificate.pem(), written(&key)?))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What all of sprig's certificates have in common.
fn template(
    name: &str,
    addresses: &Value,
    names: &Value,
    days: &Value,
) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::<String>::new())
        .map_err(|why| format!("error creating certificate: {why}"))?;
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        // As Go writes it: the plainer kind of text where that will do.
        let value = match PrintableString::try_from(name) {
            Ok(plain) => DnValue::PrintableString(plain),
            Err(_) => DnValue::Utf8String(name.to_owned()),
        };
        params.distinguished_name.push(DnType::CommonName, value);
    }
    for name in items(names) {
        let Value::String(name) = name else {
            return Err(format!(
                "error processing alternate dns name: {name} is not a string"
            ));
        };
        let name = Ia5String::try_from(name.as_str()).map_err(|_| {
            format!("error creating certificate: x509: {name:?} cannot be encoded as an IA5String")
        })?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for address in items(addresses) {
        let Value::String(address) = address else {
            return Err(format!("error parsing ip: {address} is not a string"));
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("error parsing ip: {address}"))?;
        params
            .subject_alt_names
            .push(SanType::IpAddress(address.to_canonical()));
    }
    let mut serial = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut serial)
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = OffsetDateTime::now_utc();
    // Go counts in nanoseconds, and past 292 years begins anew.
    let days = days.as_i64().unwrap_or(0);
    let lasting = Duration::nanoseconds(days.wrapping_mul(86_400_000_000_000));
    params.not_after = params
        .not_before
        .checked_add(lasting)
        .ok_or_else(|| format!("error creating certificate: {days} days are too many"))?;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Who signs, and whether its certificate says how its key is called.
fn issuer(authority: &Value) -> Result<(Issuer<'static, KeyPair>, bool), String> {
    let field = |name: &str| text(authority.get(name).unwrap_or(&Value::Null));
    let block = pem::parse(field("Cert")).map_err(|_| "unable to decode certificate".to_owned())?;
    let unread = |why: String| format!("error parsing certificate: {why}");
    let (_, parsed) = x509_parser::parse_x509_certificate(block.contents())
        .map_err(|why| unread(why.to_string()))?;
    if parsed
        .subject()
        .iter()
        .any(|part| part.iter().next().is_none())
    {
        return Err(unread("a part of its subject is empty".to_owned()));
    }
    let key = read(field("Key")).map_err(|why| format!("error parsing private key: {why}"))?;
    if key.subject_public_key_info() != parsed.public_key().raw {
        return Err(
            "error creating certificate: x509: provided PrivateKey doesn't match parent's PublicKey"
                .to_owned(),
        );
    }
    let is_named = parsed.extensions().iter().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::SubjectKeyIdentifier(_)
        )
    });
    let issuer =
        Issuer::from_ca_cert_pem(field("Cert"), key).map_err(|why| unread(why.to_string()))?;
    Ok((issuer, is_named))
}

/// A key of a chart's own.
fn read(text: &str) -> Result<KeyPair, String> {
    let block = pem::parse(text).map_err(|_| "no PEM data in input".to_owned())?;
    match block.tag() {
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => KeyPair::try_from(block.contents())
            .map_err(|_| {
                "it is none that signs here: RSA, ECDSA on P-256, P-384 or P-521, Ed25519"
                    .to_owned()
            }),
        tag => Err(match tag.strip_suffix(" PRIVATE KEY") {
            Some(kind) => format!("invalid private key type {kind}"),
            None => format!("no private key data in PEM block of type {tag}"),
        }),
    }
}

/// A key in PEM, each kind in the form that sprig gives it, whatever it was read from.
fn written(key: &KeyPair) -> Result<String, String> {
    let failed = "error pem-encoding key";
    let der = key.serialized_der();
    let curve = CURVES.iter().find(|(name, _)| key.is_compatible(name));
    let (tag, content) = if let Some(&(_, curve)) = curve {
        let pair = EcdsaKeyPair::from_private_key_der(curve, der)
            .map_err(|why| format!("{failed}: {why}"))?;
        let sec1: EcPrivateKeyRfc5915Der<'_> =
            pair.private_key().as_der().map_err(|_| failed.to_owned())?;
        ("EC PRIVATE KEY", sec1.as_ref().to_vec())
    } else if key.is_compatible(&PKCS_ED25519) {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map_err(|why| format!("{failed}: {why}"))?;
        let document = pair.to_pkcs8v1().map_err(|_| failed.to_owned())?;
        ("PRIVATE KEY", document.as_ref().to_vec())
    } else {
        let pair = RsaKeyPair::from_pkcs8(der)
            .or_else(|_| RsaKeyPair::from_der(der))
            .map_err(|why| format!("{failed}: {why}"))?;
        let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed.to_owned())?;
        let inner = pkcs1(document.as_ref()).ok_or_else(|| failed.to_owned())?;
        ("RSA PRIVATE KEY", inner)
    };
    let unix = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Ok(pem::encode_config(&Pem::new(tag, content), unix))
}

/// The key of RFC 8017 that PKCS #8 wraps: its third part.
fn pkcs1(der: &[u8]) -> Option<Vec<u8>> {
    let (_, info) = der_parser::parse_der(der).ok()?;
    let content = info.as_sequence().ok()?.get(2)?.as_slice().ok()?;
    Some(content.to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use x509_parser::certificate::X509Certificate;
    use x509_parser::extensions::GeneralName;

    use super::*;

    /// What sprig made of the arguments in `made`, recorded.
    const RECORDED: &str = include_str!("sprig.json");

    fn der(pem: &str) -> Vec<u8> {
        let block = pem::parse(pem).unwrap();
        assert_eq!(block.tag(), "CERTIFICATE");
        block.into_contents()
    }

    fn parsed(der: &[u8]) -> X509Certificate<'_> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
        assert!(rest.is_empty());
        certificate
    }

    /// Everything that does not differ from one making to the next.
    fn shape(pem: &str) -> Value {
        let der = der(pem);
        let certificate = parsed(&der);
        let name = |name: &x509_parser::x509::X509Name<'_>| -> Vec<String> {
            name.iter_attributes()
                .map(|part| {
                    let value = part.attr_value();
                    format!(
                        "{} {} {:?}",
                        part.attr_type(),
                        value.header.tag().0,
                        value.data
                    )
                })
                .collect()
        };
        let extensions: BTreeMap<String, Value> = certificate
            .extensions()
            .iter()
            .map(|one| {
                // Identifiers of keys are as long as each other, no more.
                let content = match one.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(_)
                    | ParsedExtension::AuthorityKeyIdentifier(_) => json!(one.value.len()),
                    _ => json!(hex::encode(one.value)),
                };
                (one.oid.to_string(), json!([one.critical, content]))
            })
            .collect();
        let validity = certificate.validity();
        json!({
            "version": certificate.version().0,
            "signed": certificate.signature_algorithm.algorithm.to_string(),
            "issuer": name(certificate.issuer()),
            "subject": name(certificate.subject()),
            "key": certificate.public_key().algorithm.algorithm.to_string(),
            "length": certificate.public_key().raw.len(),
            "seconds": validity.not_after.timestamp() - validity.not_before.timestamp(),
            "extensions": extensions,
        })
    }

    fn made(function: &str, args: Value) -> (String, String) {
        certificate(function, args.as_array().unwrap()).unwrap()
    }

    fn pair((cert, key): &(String, String)) -> Value {
        json!({"Cert": cert, "Key": key})
    }

    fn is_signed_by(one: &str, by: &str) -> bool {
        let (one, by) = (der(one), der(by));
        let (one, by) = (parsed(&one), parsed(&by));
        one.issuer().as_raw() == by.subject().as_raw()
            && one.verify_signature(Some(by.public_key())).is_ok()
    }

    #[test]
    fn certificates_have_the_shapes_of_sprigs() {
        let recorded: BTreeMap<String, String> = serde_json::from_str(RECORDED).unwrap();
        let authority = made("genCA", json!(["catalyst ca", 3650]));
        let curve = made(
            "genCAWithKey",
            json!(["curve", 10, private_key("ecdsa").unwrap()]),
        );
        let ours = [
            ("authority", authority.0.clone()),
            (
                "signed",
                made(
                    "genSignedCert",
                    json!([
                        "web.example",
                        ["10.0.0.1", "::1", "::ffff:192.0.2.7"],
                        ["web.example", "*.web.example"],
                        30,
                        pair(&authority)
                    ]),
                )
                .0,
            ),
            (
                "self-signed",
                made("genSelfSignedCert", json!(["ünï", null, ["a.b"], 1])).0,
            ),
            (
                "bare",
                made("genSelfSignedCert", json!(["", ["10.0.0.1"], null, 1])).0,
            ),
            ("curve", curve.0.clone()),
            (
                "under",
                made(
                    "genSignedCertWithKey",
                    json!([
                        "under",
                        null,
                        null,
                        10,
                        pair(&curve),
                        private_key("ed25519").unwrap()
                    ]),
                )
                .0,
            ),
        ];
        assert_eq!(ours.len(), recorded.len());
        for (name, certificate) in &ours {
            assert_eq!(shape(certificate), shape(&recorded[*name]), "{name}");
        }
        // Anew each time.
        let again = made("genCA", json!(["catalyst ca", 3650]));
        assert_ne!(again.1, authority.1);
        let serial = |pem: &str| parsed(&der(pem)).raw_serial().to_vec();
        assert_ne!(serial(&again.0), serial(&authority.0));
    }

    #[test]
    fn what_an_authority_signs_verifies_by_it_alone() {
        let authority = made("genCA", json!(["ca", 365]));
        let other = made("genCA", json!(["ca", 365]));
        let leaf = made(
            "genSignedCert",
            json!(["web", ["10.0.0.1"], ["web.example"], 30, pair(&authority)]),
        );
        assert!(is_signed_by(&leaf.0, &authority.0));
        assert!(!is_signed_by(&leaf.0, &other.0));
        assert!(is_signed_by(&authority.0, &authority.0));
        let content = der(&leaf.0);
        let certificate = parsed(&content);
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            names.value.general_names,
            [
                GeneralName::DNSName("web.example"),
                GeneralName::IPAddress(&[10, 0, 0, 1])
            ]
        );
        let key = KeyPair::from_pem(&leaf.1).unwrap();
        assert!(leaf.1.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(leaf.1.ends_with("-----END RSA PRIVATE KEY-----\n"));
        assert_eq!(
            key.subject_public_key_info(),
            certificate.public_key().raw,
            "the key is the certificate's"
        );
    }

    #[test]
    fn keys_of_every_kind_are_written_in_sprigs_form_and_read_again() {
        for (kind, tag, algorithm) in [
            ("", "RSA PRIVATE KEY", &PKCS_RSA_SHA256),
            ("rsa", "RSA PRIVATE KEY", &PKCS_RSA_SHA256),
            ("ecdsa", "EC PRIVATE KEY", &PKCS_ECDSA_P256_SHA256),
            ("ed25519", "PRIVATE KEY", &PKCS_ED25519),
        ] {
            let text = private_key(kind).unwrap();
            assert_eq!(pem::parse(&text).unwrap().tag(), tag, "{kind}");
            let key = read(&text).unwrap();
            assert!(key.is_compatible(algorithm), "{kind}");
            if tag.starts_with("RSA") {
                assert_eq!(
                    key.public_key_raw().len(),
                    526,
                    "4096 bits and the exponent"
                );
            }
            // The same key comes back, from PKCS #8 too.
            let wrapped = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
            for given in [&text, &wrapped] {
                let (cert, back) = made(
                    "genSelfSignedCertWithKey",
                    json!(["a", null, null, 1, given]),
                );
                assert!(is_signed_by(&cert, &cert), "{kind}");
                let of = |text: &str| read(text).unwrap().subject_public_key_info();
                assert_eq!(of(&back), of(given), "{kind}");
                assert_eq!(pem::parse(&back).unwrap().tag(), tag, "{kind}");
            }
        }
        assert!(private_key("dsa").unwrap_err().contains("ecdsa or ed25519"));
    }

    #[test]
    fn what_is_wrong_is_said_as_sprig_says_it() {
        let key = private_key("ed25519").unwrap();
        let other = private_key("ed25519").unwrap();
        let (cert, _) = made("genCAWithKey", json!(["ca", 1, key]));
        let tail = |text: &str| text.lines().nth(1).unwrap().to_owned();
        let check = |function: &str, args: Value, expected: &str| {
            let error = certificate(function, args.as_array().unwrap()).unwrap_err();
            assert!(error.contains(expected), "{function}: {error}");
            for secret in [&key, &other] {
                assert!(!error.contains(&tail(secret)), "{error}");
            }
        };
        let own = "genSelfSignedCertWithKey";
        check(
            own,
            json!(["a", ["x"], null, 1, key]),
            "error parsing ip: x",
        );
        check(
            own,
            json!(["a", [7], null, 1, key]),
            "error parsing ip: 7 is not a string",
        );
        check(
            own,
            json!(["a", null, [7], 1, key]),
            "error processing alternate dns name: 7 is not a string",
        );
        check(
            own,
            json!(["a", null, ["ü"], 1, key]),
            "cannot be encoded as an IA5String",
        );
        check(
            own,
            json!(["a", null, null, 1, "x"]),
            "parsing private key: no PEM data in input",
        );
        check(
            own,
            json!(["a", null, null, 1, cert]),
            "no private key data in PEM block of type",
        );
        let odd = key.replace("PRIVATE KEY", "ODD PRIVATE KEY");
        check(
            own,
            json!(["a", null, null, 1, odd]),
            "invalid private key type ODD",
        );
        let cut = key.replace(&tail(&key), "AAAA");
        check(
            own,
            json!(["a", null, null, 1, cut]),
            "none that signs here",
        );
        let signed = "genSignedCertWithKey";
        let under = |authority: Value| json!(["a", null, null, 1, authority, key]);
        check(
            signed,
            under(json!({"Cert": "x", "Key": key})),
            "unable to decode certificate",
        );
        check(
            signed,
            under(json!({"Cert": key, "Key": key})),
            "error parsing certificate",
        );
        check(
            signed,
            under(json!({"Cert": cert, "Key": "x"})),
            "error parsing private key: no PEM data",
        );
        check(
            signed,
            under(json!({"Cert": cert, "Key": other})),
            "doesn't match parent's PublicKey",
        );
        check("genSomething", json!([]), "makes no certificate");
    }
}
