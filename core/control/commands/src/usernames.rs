//! User names: what they may look like, and whose they may not be.
//!
//! What must stay true: the forge keeps users and organizations under one roof,
//! whatever their case, so no user has an Organization's name and no Organization
//! a user's; and nobody becomes a member whom the identity provider does not know.

use catalyst_names::OrganizationName;
use catalyst_ports::User;

use crate::CommandError;
use crate::state::Configuration;

/// What begins the names of the control plane's own users in the forge.
const FLUX: &str = "flux-";

/// What forge, issuer and RBAC all take as a user name; also of users who are
/// there already.
pub(crate) fn check_form(username: &str, action: &str) -> Result<(), CommandError> {
    let is_fine = (1..=40).contains(&username.len())
        && username
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && username.starts_with(|c: char| c.is_ascii_alphanumeric())
        && username.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !username.to_ascii_lowercase().starts_with(FLUX)
        // The control plane's own name in the forge: its pushes pass.
        && !username.eq_ignore_ascii_case("catalyst");
    if is_fine {
        return Ok(());
    }
    Err(CommandError::validate(
        action,
        format!(
            "{username:?} is no user name: use up to 40 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, and neither beginning with `flux-` nor being `catalyst`"
        ),
    ))
}

/// What may become a user's name.
pub(crate) fn check_username(username: &str, action: &str) -> Result<(), CommandError> {
    check_form(username, action)?;
    if !OrganizationName::is_reserved(username) {
        return Ok(());
    }
    Err(CommandError::Validate {
        action: action.to_owned(),
        reason: format!("{username:?} is no user name: the word is reserved"),
        next: Some("choose another user name".to_owned()),
        faults: Vec::new(),
    })
}

/// Refuses a user's name that is an Organization's, also of one that cannot be
/// read.
pub(crate) fn check_is_no_organization(
    configuration: &Configuration,
    username: &str,
    action: &str,
) -> Result<(), CommandError> {
    let name = username.to_ascii_lowercase();
    let is_taken = configuration.organizations.contains_key(&name)
        || configuration
            .files
            .contains_key(&format!("organizations/{name}.yaml"));
    if !is_taken {
        return Ok(());
    }
    Err(CommandError::Allow {
        action: action.to_owned(),
        reason: format!(
            "there is an Organization {name}, and the forge knows no user and organization of one name"
        ),
        next: Some("choose another user name".to_owned()),
    })
}

/// Refuses an Organization's name that a member of another one has, or that the
/// control plane's own users in the forge might have.
pub(crate) fn check_organization_name(
    configuration: &Configuration,
    name: &OrganizationName,
    action: &str,
) -> Result<(), CommandError> {
    if name.as_str().starts_with(FLUX) {
        return Err(CommandError::validate(
            action,
            format!(
                "`{name}` is no Organization's name: names that begin with `flux-` are the control plane's own"
            ),
        ));
    }
    let mut members = configuration
        .organizations
        .values()
        .flat_map(|organization| &organization.spec.members);
    let is_taken = members.any(|member| {
        let user = member.user.as_deref();
        user.is_some_and(|user| user.eq_ignore_ascii_case(name.as_str()))
    });
    match is_taken {
        true => Err(is_a_user(name.as_str(), action)),
        false => Ok(()),
    }
}

/// Refuses an Organization's name that the identity provider has as a user's.
pub(crate) fn check_is_no_user(namesake: Option<&User>, action: &str) -> Result<(), CommandError> {
    match namesake {
        Some(user) => Err(is_a_user(&user.username, action)),
        None => Ok(()),
    }
}

fn is_a_user(name: &str, action: &str) -> CommandError {
    CommandError::Allow {
        action: action.to_owned(),
        reason: format!(
            "there is a user {name}, and the forge knows no user and organization of one name"
        ),
        next: Some("choose another name for the Organization".to_owned()),
    }
}

/// Refuses a member whom the identity provider does not know by this very name.
pub(crate) fn check_is_known(
    username: &str,
    found: Option<&User>,
    action: &str,
) -> Result<(), CommandError> {
    let (reason, next) = match found {
        Some(user) if user.username == username => return Ok(()),
        Some(user) => (
            format!("there is no user {username}; there is {}", user.username),
            format!("write the name as {}", user.username),
        ),
        None => (
            format!("there is no user {username}"),
            format!(
                "invite them first: `catalyst user invite {username}`, with --organization to make them a member at once"
            ),
        ),
    };
    Err(CommandError::Allow {
        action: action.to_owned(),
        reason,
        next: Some(next),
    })
}

/// Whether a user is a member of an Organization by name.
pub(crate) fn is_member(configuration: &Configuration, organization: &str, username: &str) -> bool {
    configuration
        .organizations
        .get(organization)
        .is_some_and(|organization| {
            let mut members = organization.spec.members.iter();
            members.any(|member| member.user.as_deref() == Some(username))
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn configuration() -> Configuration {
        let text = "apiVersion: catalyst.openova.io/v1alpha1\nkind: Organization\nmetadata: {name: globex}\nspec:\n  displayName: Globex\n  members:\n  - {user: Ada, role: org-admin}\n  - {group: auditors, role: org-viewer}\n";
        let configuration = Configuration::read(BTreeMap::from([
            ("organizations/globex.yaml".to_owned(), text.to_owned()),
            ("organizations/broken.yaml".to_owned(), "{".to_owned()),
        ]));
        assert_eq!(configuration.organizations.len(), 1);
        configuration
    }

    fn user(username: &str) -> User {
        User {
            id: "1".to_owned(),
            username: username.to_owned(),
            email: None,
            enabled: true,
            groups: Vec::new(),
            attributes: BTreeMap::new(),
            required_actions: Vec::new(),
        }
    }

    #[test]
    fn words_that_no_organization_may_have_are_no_users_either() {
        for good in ["ada", "Ada.Lovelace", "a1_b-c", "sovereign-admin"] {
            assert!(check_username(good, "invite").is_ok(), "{good}");
        }
        for reserved in ["system", "Catalog", "gitea", "flux", "kube-system"] {
            let error = check_username(reserved, "invite").unwrap_err().to_string();
            assert!(error.contains("reserved"), "{reserved}: {error}");
            // Whoever has such a name already can still be removed.
            assert!(check_form(reserved, "remove").is_ok(), "{reserved}");
        }
        for bad in ["", "a b", "-a", "a.", "Flux-x", "Catalyst", "a/../b"] {
            assert!(check_form(bad, "invite").is_err(), "{bad}");
        }
        assert!(check_form(&"a".repeat(41), "invite").is_err());
    }

    #[test]
    fn a_user_and_an_organization_have_no_name_in_common() {
        let configuration = configuration();
        for taken in ["globex", "Globex", "broken"] {
            let problem = check_is_no_organization(&configuration, taken, "invite")
                .unwrap_err()
                .problem();
            assert_eq!(problem.status, 409, "{taken}");
            let lower = taken.to_lowercase();
            let expected = format!("There is an Organization {lower}, and the forge");
            assert!(problem.detail.starts_with(&expected), "{taken}");
            assert_eq!(problem.next.as_deref(), Some("Choose another user name"));
        }
        assert!(check_is_no_organization(&configuration, "auditors", "invite").is_ok());
        let of = |name: &str| {
            let name = OrganizationName::new(name).unwrap();
            check_organization_name(&configuration, &name, "create").map_err(|it| it.to_string())
        };
        assert!(of("ada").unwrap_err().contains("is a user"));
        assert!(of("flux-acme").unwrap_err().contains("control plane"));
        // A group is nobody in the forge.
        assert_eq!(of("auditors"), Ok(()));
        let namesake = user("Bob");
        let refused = check_is_no_user(Some(&namesake), "create").unwrap_err();
        assert_eq!(refused.problem().status, 409);
        assert!(refused.to_string().contains("is a user Bob"), "{refused}");
        assert!(check_is_no_user(None, "create").is_ok());
    }

    #[test]
    fn who_is_nobody_is_invited_before_they_become_a_member() {
        let bob = user("bob");
        assert!(check_is_known("bob", Some(&bob), "add").is_ok());
        let nobody = check_is_known("nobody", None, "add").unwrap_err().problem();
        assert_eq!(nobody.status, 409);
        let next = nobody.next.unwrap_or_default();
        assert!(next.contains("catalyst user invite nobody"), "{next}");
        let other = check_is_known("Bob", Some(&bob), "add").unwrap_err();
        assert!(other.to_string().contains("there is bob"), "{other}");
        let configuration = configuration();
        assert!(is_member(&configuration, "globex", "Ada"));
        assert!(!is_member(&configuration, "globex", "bob"));
        assert!(!is_member(&configuration, "acme", "Ada"));
    }
}
