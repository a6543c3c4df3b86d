//! Mail addresses of users and Organizations, judged before anybody else sees them.

use catalyst_api::Fault;

use crate::CommandError;

/// The longest address that mail is delivered to, in bytes (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL: usize = 64;

/// Refuses what is no mail address; `field` is where it stood in what was sent. An
/// empty text is none at all.
pub(crate) fn check(field: &str, address: Option<&str>, action: &str) -> Result<(), CommandError> {
    let Some(address) = address.filter(|address| !address.is_empty()) else {
        return Ok(());
    };
    if is_address(address) {
        return Ok(());
    }
    let message = format!("{address:?} is no mail address: write it like name@example.org");
    Err(CommandError::Validate {
        action: action.to_owned(),
        reason: message.clone(),
        next: None,
        faults: vec![Fault {
            pointer: Some(format!("/{field}")),
            message,
            ..Fault::default()
        }],
    })
}

/// One address without a name beside it; what only quoting would allow is refused, as
/// mail programs mostly do.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"@<>()[]\\,;:\"".contains(c);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_ADDRESS
        && (1..=MAX_LOCAL).contains(&local.len())
        && local.chars().all(is_plain)
        && local.split('.').all(|atom| !atom.is_empty())
        && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}example.org", "label.".repeat(50));
        for (address, expected) in [
            ("ada@example.org", true),
            ("ada.lovelace+catalyst@mail.example.org", true),
            ("o'brien@example.org", true),
            ("root@localhost", true),
            ("jörg@exämple.org", true),
            ("notmail", false),
            ("@example.org", false),
            ("ada@", false),
            ("ada@@example.org", false),
            ("ada@example@org", false),
            ("ada lovelace@example.org", false),
            ("Ada <ada@example.org>", false),
            ("ada@example.org, bob@example.org", false),
            ("ada@.org", false),
            ("ada@example..org", false),
            ("ada@-example.org", false),
            (".ada@example.org", false),
            ("ada@example.org\n", false),
            (long.as_str(), false),
            (longer.as_str(), false),
        ] {
            let found = check("email", Some(address), "invite ada").is_ok();
            assert_eq!(found, expected, "{address:?}");
        }
        assert!(check("email", None, "invite ada").is_ok());
        assert!(check("email", Some(""), "invite ada").is_ok());
    }

    #[test]
    fn the_refusal_says_where_and_what_to_write() {
        let refused = check("contact", Some("notmail"), "create the Organization acme");
        let problem = refused.unwrap_err().problem();
        assert_eq!(
            problem.detail,
            "\"notmail\" is no mail address: write it like name@example.org"
        );
        assert_eq!(problem.status, 422);
        assert_eq!(problem.faults[0].pointer.as_deref(), Some("/contact"));
    }
}
