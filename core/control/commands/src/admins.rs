//! An Organization keeps somebody who administers it. Pure.
//!
//! Asked by the commands that take roles and users away, and by the push check.
//! What must stay true: no change but the Organization's own deletion takes its
//! last org-admin, whoever makes it: nobody of the Organization could appoint
//! another. One that never had an org-admin is the sovereign-admins' to run.

use catalyst_resources::{Organization, Role};

use crate::CommandError;

/// What to do instead.
pub(crate) const NEXT: &str = "make somebody else org-admin of it first";

/// Whether a change takes the last org-admin. A group counts as one: who is in it
/// the identity provider knows.
pub(crate) fn is_left_alone(before: &Organization, after: &Organization) -> bool {
    has_admin(before) && !has_admin(after)
}

fn has_admin(organization: &Organization) -> bool {
    let mut members = organization.spec.members.iter();
    members.any(|member| member.role == Role::OrgAdmin)
}

/// Refuses to take from these Organizations their last org-admin; none is fine.
pub(crate) fn check(
    left_alone: &[String],
    username: &str,
    action: &str,
) -> Result<(), CommandError> {
    if left_alone.is_empty() {
        return Ok(());
    }
    Err(CommandError::Allow {
        action: action.to_owned(),
        reason: format!(
            "the user {username} is the last org-admin of {}",
            left_alone.join(", ")
        ),
        next: Some(NEXT.to_owned()),
    })
}
