//! Whether a private key can sign in to the nodes, told before they are paid for.
//!
//! OpenSSH's own form has the public key in the clear and says whether the private one is
//! protected (OpenSSH, `PROTOCOL.key`), so that it is judged by itself. Of the older PEM
//! forms `ssh-keygen` is asked, where it is at hand. Nothing of a key is ever repeated.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::judge::Finding;

/// The subject of what is found.
const SUBJECT: &str = "SSH private key";
/// Who only reads a file needs no longer.
const PATIENCE: Duration = Duration::from_secs(10);
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// First words of a public key, as far as they are always the same.
const PUBLIC: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];

/// Why a text is no private key that can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is the other half.
    #[error("it is a public key; give the private one, whose file does not end in .pub")]
    Public,
    /// It is something else.
    #[error("it is no private key; give the whole file, from -----BEGIN to -----END")]
    NoKey,
    /// OpenSSH does not read it.
    #[error(
        "it is a key of PuTTY's, which OpenSSH does not read; `puttygen KEY -O private-openssh -o FILE` makes one of it that it does"
    )]
    OfPutty,
    /// Part of it is missing.
    #[error(
        "it is damaged or cut off; give the whole file, from -----BEGIN to -----END, as `ssh-keygen` wrote it"
    )]
    Damaged,
    /// It opens with a passphrase only.
    #[error(
        "it is protected by a passphrase, which nobody is there to type; give one without (`ssh-keygen -p` takes it away), or have ssh's agent hold it"
    )]
    Protected,
    /// It belongs to another public key.
    #[error(
        "it is not the private key of sshPublicKey, which is all that the nodes let in; give the two of one pair"
    )]
    OfAnother,
}

/// What is wrong with the text of a private key whose public one is this line of
/// OpenSSH's; `None` where nothing is, and where only `ssh-keygen` can tell.
pub fn judge_private_key(text: &str, public: &str) -> Option<KeyFault> {
    let text = text.trim();
    if is_public(text) {
        return Some(KeyFault::Public);
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Some(KeyFault::OfPutty);
    }
    let Some(label) = label(text) else {
        return Some(KeyFault::NoKey);
    };
    if !text.ends_with(&format!("-----END {label}-----")) {
        return Some(KeyFault::Damaged);
    }
    match label {
        "OPENSSH PRIVATE KEY" => match Openssh::of(text) {
            None => Some(KeyFault::Damaged),
            Some(key) if STANDARD.encode(&key.public) != body(public) => Some(KeyFault::OfAnother),
            Some(key) => key.is_protected.then_some(KeyFault::Protected),
        },
        "ENCRYPTED PRIVATE KEY" => Some(KeyFault::Protected),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => text
            .contains("Proc-Type: 4,ENCRYPTED")
            .then_some(KeyFault::Protected),
        _ => Some(KeyFault::NoKey),
    }
}

/// What is wrong with the private key in a file.
pub(super) async fn private_key(path: &Path, public: &str) -> Option<Finding> {
    let problem = |message: String| Some(Finding::problem(SUBJECT, message));
    let read = std::fs::metadata(path).and_then(|metadata| {
        let content = Zeroizing::new(std::fs::read(path)?);
        Ok((metadata.permissions().mode(), content))
    });
    let (mode, content) = match read {
        Ok(read) => read,
        Err(error) => return problem(format!("cannot read {}: {error}", path.display())),
    };
    // A text that is none is no key either.
    let text = std::str::from_utf8(&content).unwrap_or_default();
    match judge_private_key(text, public) {
        // It may well be readable, and private it is not.
        Some(KeyFault::Public) => problem(KeyFault::Public.to_string()),
        _ if mode & 0o077 != 0 => problem(format!(
            "others can read {}, so ssh refuses it; run `chmod 600` on it",
            path.display()
        )),
        Some(KeyFault::Protected) if is_in_agent(public).await => None,
        Some(fault) => problem(fault.to_string()),
        None if label(text.trim()) == Some("OPENSSH PRIVATE KEY") => None,
        None => asked(path, public).await.and_then(problem),
    }
}

/// What `ssh-keygen` says against a key; `None` too where it is not at hand.
async fn asked(path: &Path, public: &str) -> Option<String> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-y", "-P", "", "-f"]).arg(path);
    let output = run(command).await?;
    if output.status.success() {
        let found = String::from_utf8_lossy(&output.stdout);
        return (body(&found) != body(public)).then(|| KeyFault::OfAnother.to_string());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or_default();
    let reason = last.rsplit(": ").next().unwrap_or_default();
    Some(match reason.contains("passphrase") {
        true => KeyFault::Protected.to_string(),
        false => format!(
            "OpenSSH cannot read it: {reason}; give the whole file, from -----BEGIN to -----END"
        ),
    })
}

/// Whether ssh's agent signs with the private key: ssh then does not open its file.
async fn is_in_agent(public: &str) -> bool {
    let mut command = Command::new("ssh-add");
    command.arg("-L");
    match run(command).await {
        Some(output) => {
            let held = String::from_utf8_lossy(&output.stdout);
            held.lines().any(|line| body(line) == body(public))
        }
        None => false,
    }
}

async fn run(mut command: Command) -> Option<Output> {
    command
        .env_remove("HCLOUD_TOKEN")
        .env_remove("CATALYST_GIT_PASSWORD")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    output.ok()?.ok()
}

/// The key itself in a line of OpenSSH's: what follows its type.
fn body(public: &str) -> &str {
    public.split_whitespace().nth(1).unwrap_or_default()
}

fn is_public(text: &str) -> bool {
    let kind = text.split_whitespace().next().unwrap_or_default();
    let is_line = PUBLIC.iter().any(|begin| kind.starts_with(begin));
    // Each begins with the length of its type, which is short.
    (is_line && body(text).starts_with("AAAA"))
        || text.starts_with("---- BEGIN SSH2 PUBLIC KEY")
        || label(text).is_some_and(|label| label.ends_with("PUBLIC KEY"))
}

/// What a PEM text says that it is.
fn label(text: &str) -> Option<&str> {
    let first = text.lines().next()?.trim();
    first.strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

/// What OpenSSH's form says without being opened.
struct Openssh {
    is_protected: bool,
    public: Vec<u8>,
}

impl Openssh {
    fn of(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('-'));
        let base64 = Zeroizing::new(lines.collect::<String>());
        let content = Zeroizing::new(STANDARD.decode(base64.as_bytes()).ok()?);
        let mut rest = content.strip_prefix(MAGIC)?;
        let cipher = string(&mut rest)?;
        let (_method, _options) = (string(&mut rest)?, string(&mut rest)?);
        let count = number(&mut rest)?;
        let public = string(&mut rest)?.to_vec();
        let private = string(&mut rest)?;
        (count == 1 && !private.is_empty()).then_some(Self {
            is_protected: cipher != b"none",
            public,
        })
    }
}

/// A number as SSH writes it (RFC 4251, section 5).
fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

/// A string as SSH writes it: its length, and its bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::path::PathBuf;

    use super::*;

    const BODY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn public() -> String {
        format!("ssh-ed25519 {BODY} me")
    }

    /// A file in OpenSSH's form; what would be private in it opens nothing.
    fn openssh(cipher: &str, body: &str) -> String {
        let mut content = MAGIC.to_vec();
        let mut put = |bytes: &[u8]| {
            content.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            content.extend(bytes);
        };
        put(cipher.as_bytes());
        let method = if cipher == "none" { "none" } else { "bcrypt" };
        put(method.as_bytes());
        put(b"");
        content.extend(1_u32.to_be_bytes());
        let mut put = |bytes: &[u8]| {
            content.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            content.extend(bytes);
        };
        put(&STANDARD.decode(body).unwrap());
        put(b"nothing that opens anything");
        let text = STANDARD.encode(&content);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(70)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        pem("OPENSSH PRIVATE KEY", &lines.join("\n"))
    }

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn a_key_is_judged_by_what_is_in_the_clear() {
        let good = openssh("none", BODY);
        let other = BODY.replace("IOMq", "IOMr");
        let cut = good.lines().take(2).collect::<Vec<&str>>().join("\n");
        let short = pem("OPENSSH PRIVATE KEY", "b3BlbnNzaC1rZXktdjEA");
        let sealed = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA";
        for (text, expected) in [
            (good.clone(), None),
            (good.replace('\n', "\r\n"), None),
            (openssh("aes256-ctr", BODY), Some(KeyFault::Protected)),
            (openssh("none", &other), Some(KeyFault::OfAnother)),
            (openssh("aes256-ctr", &other), Some(KeyFault::OfAnother)),
            (cut, Some(KeyFault::Damaged)),
            (short, Some(KeyFault::Damaged)),
            (pem("OPENSSH PRIVATE KEY", "?"), Some(KeyFault::Damaged)),
            (public(), Some(KeyFault::Public)),
            (pem("PUBLIC KEY", "AAAA"), Some(KeyFault::Public)),
            (pem("CERTIFICATE", "AAAA"), Some(KeyFault::NoKey)),
            ("hello".to_owned(), Some(KeyFault::NoKey)),
            (String::new(), Some(KeyFault::NoKey)),
            (
                "PuTTY-User-Key-File-3: ssh-ed25519".to_owned(),
                Some(KeyFault::OfPutty),
            ),
            (
                pem("ENCRYPTED PRIVATE KEY", "AAAA"),
                Some(KeyFault::Protected),
            ),
            (pem("RSA PRIVATE KEY", sealed), Some(KeyFault::Protected)),
            // Only `ssh-keygen` can tell.
            (pem("RSA PRIVATE KEY", "AAAA"), None),
            (pem("PRIVATE KEY", "AAAA"), None),
        ] {
            assert_eq!(judge_private_key(&text, &public()), expected, "{text}");
        }
    }

    fn file(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_file_that_ssh_would_refuse_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        for (text, mode, expected) in [
            (openssh("none", BODY), 0o600, None),
            (openssh("none", BODY), 0o644, Some("run `chmod 600`")),
            // That it may be read is not what is wrong with it.
            (public(), 0o644, Some("it is a public key")),
            (
                openssh("aes256-ctr", BODY),
                0o600,
                Some("protected by a passphrase"),
            ),
        ] {
            let path = file(folder.path(), &text, mode);
            let found = private_key(&path, &public()).await;
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some(part)) => {
                    assert!(found.problem && found.message.contains(part), "{found:?}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        let absent = private_key(&folder.path().join("absent"), &public()).await;
        assert!(absent.unwrap().message.contains("cannot read"));
    }

    #[tokio::test]
    async fn older_forms_are_judged_by_ssh_keygen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"])
            .arg(&path)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("left out: there is no ssh-keygen here");
            return;
        }
        let own = std::fs::read_to_string(folder.path().join("id.pub")).unwrap();
        assert_eq!(private_key(&path, &own).await, None);
        let other = private_key(&path, &public()).await.unwrap();
        assert_eq!(other.message, KeyFault::OfAnother.to_string());
        let path = file(folder.path(), &pem("RSA PRIVATE KEY", "AAAA"), 0o600);
        let broken = private_key(&path, &own).await.unwrap();
        assert!(
            broken.message.contains("OpenSSH cannot read it"),
            "{broken:?}"
        );
    }
}
