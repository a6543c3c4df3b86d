//! Whose signatures `spec.verify` asks for.
//!
//! What must stay true: whatever cannot be read trusts nobody, and says so. Keys go
//! before identities, as they do in source-controller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_signature::{
    Identity, IdentityFields, MAX_IDENTITIES, PublicKey, Signers, TrustedRoot,
};
use serde_json::Value;

use super::{Failure, failure, secret};
use crate::api::ApiError;
use crate::json::{list, some_text, text};
use crate::state::Inner;
use crate::status::Subject;

/// The file of a trusted root in its Secret.
const ROOT_FILE: &str = "trusted_root.json";

/// Those that may have signed an artifact.
#[derive(Debug)]
pub enum Trusted {
    /// The holders of keys.
    Keys(Vec<PublicKey>),
    /// Whom a certificate is made out to, and what that is held against.
    Identities(TrustedRoot, Vec<Identity>),
}

impl Trusted {
    /// As they are asked for.
    pub fn signers(&self) -> Signers<'_> {
        match self {
            Self::Keys(keys) => Signers::of_keys(keys),
            Self::Identities(root, identities) => Signers::of_identities(root, identities),
        }
    }
}

/// Who is trusted; `None` when the artifact need not be signed.
pub(super) async fn trusted(
    inner: &Inner,
    subject: &Subject,
    spec: &Value,
) -> Result<Result<Option<Trusted>, Failure>, ApiError> {
    let Some(wanted) = spec.get("verify") else {
        return Ok(Ok(None));
    };
    let refuse = |why: String| Ok(Err(refused(why)));
    let provider = text(wanted, "/provider");
    if provider != "cosign" && !provider.is_empty() {
        return refuse(format!(
            "the provider {provider} is not supported here; use cosign"
        ));
    }
    let read = if let Some(name) = some_text(wanted, "/secretRef/name") {
        match secret(inner, subject, name).await? {
            Some(found) => keys(name, &found).map(Trusted::Keys),
            None => return refuse(format!("the Secret {name} does not exist")),
        }
    } else {
        let identities = match identities(wanted) {
            Ok(identities) => identities,
            Err(why) => return refuse(why),
        };
        let Some(name) = some_text(wanted, "/trustedRootSecretRef/name") else {
            return refuse(
                "there is no trusted root to hold certificates against, as none is fetched here; name a Secret with a trusted_root.json in spec.verify.trustedRootSecretRef".into(),
            );
        };
        match secret(inner, subject, name).await? {
            Some(found) => root(name, &found).map(|root| Trusted::Identities(root, identities)),
            None => return refuse(format!("the Secret {name} does not exist")),
        }
    };
    Ok(read.map(Some).map_err(refused))
}

fn refused(why: String) -> Failure {
    failure("VerificationError", format!("could not verify: {why}"))
}

/// A file of a Secret; "" where it cannot be read.
fn decoded(value: &Value) -> String {
    value
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

fn keys(name: &str, secret: &Value) -> Result<Vec<PublicKey>, String> {
    let files = secret.get("data").and_then(Value::as_object);
    let keys: Vec<PublicKey> = files
        .into_iter()
        .flatten()
        .filter(|(file, _)| file.ends_with(".pub"))
        .map(|(file, value)| {
            PublicKey::from_pem(&decoded(value))
                .map_err(|why| format!("{file} of the Secret {name}: {why}"))
        })
        .collect::<Result<_, String>>()?;
    if keys.is_empty() {
        return Err(format!(
            "the Secret {name} holds no key file that ends in .pub"
        ));
    }
    Ok(keys)
}

fn root(name: &str, secret: &Value) -> Result<TrustedRoot, String> {
    let file = secret.get("data").and_then(|data| data.get(ROOT_FILE));
    let Some(file) = file else {
        return Err(format!("the Secret {name} holds no {ROOT_FILE}"));
    };
    TrustedRoot::from_json(&decoded(file))
        .map_err(|why| format!("{ROOT_FILE} of the Secret {name}: {why}"))
}

/// Both claims are expressions. Nobody in particular is nobody: source-controller would
/// let anybody sign then.
fn identities(wanted: &Value) -> Result<Vec<Identity>, String> {
    let told = list(wanted, "/matchOIDCIdentity");
    if told.is_empty() {
        return Err(
            "it names nobody; name a Secret with public keys in spec.verify.secretRef, or identities in spec.verify.matchOIDCIdentity".into(),
        );
    }
    if told.len() > MAX_IDENTITIES {
        return Err(format!(
            "spec.verify.matchOIDCIdentity names {} identities, and {MAX_IDENTITIES} at most are read",
            told.len()
        ));
    }
    told.iter()
        .map(|one| {
            Identity::new(IdentityFields {
                subject_regexp: some_text(one, "/subject"),
                issuer_regexp: some_text(one, "/issuer"),
                ..IdentityFields::default()
            })
            .map_err(|why| format!("spec.verify.matchOIDCIdentity: {why}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_names_nobody_trusts_nobody() {
        let named = |all: Value| identities(&json!({"matchOIDCIdentity": all}));
        for (wanted, said) in [
            (json!([]), "it names nobody"),
            (json!([{"subject": "a"}]), "it names no issuer"),
            (
                json!([{"issuer": "a", "subject": ""}]),
                "it names no subject",
            ),
            (json!([{"issuer": "a", "subject": "("}]), "cannot be used"),
            (
                json!(vec![
                    json!({"issuer": "a", "subject": "b"});
                    MAX_IDENTITIES + 1
                ]),
                "64 at most",
            ),
        ] {
            let why = named(wanted).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
        let found = named(json!([{"issuer": "^a$", "subject": "^b$"}])).unwrap();
        assert!(found[0].is_of("b", "a"));
        assert!(!found[0].is_of("bb", "a"));
    }

    #[test]
    fn a_secret_without_what_it_should_hold_is_refused_by_name() {
        let secret = |file: &str, text: &str| json!({"data": {file: STANDARD.encode(text)}});
        for (why, said) in [
            (
                keys("s", &secret("a.pub", "no key")).map(drop),
                "a.pub of the Secret s",
            ),
            (keys("s", &secret("a.pem", "")).map(drop), "ends in .pub"),
            (
                root("s", &secret("other.json", "{}")).map(drop),
                "the Secret s holds no trusted_root.json",
            ),
            (
                root("s", &secret(ROOT_FILE, "{}")).map(drop),
                "trusted_root.json of the Secret s: could not read the trusted root",
            ),
            (
                root("s", &json!({"data": {ROOT_FILE: 1}})).map(drop),
                "could not read the trusted root",
            ),
        ] {
            let why = why.unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }
}
