//! `catalyst user` and `member`: who may sign in, and who may do what.

use catalyst_api::{
    Accepted, Invitation, Invite, MemberView, OrganizationRole, OrganizationView, SetRole, UserView,
};
use reqwest::Method;

use super::api::{Api, Common};
use super::output::say;
use super::prepare::{confirm, said};
use super::shown;

/// Invite, list and remove users of the Sovereign.
#[derive(Debug, clap::Args)]
pub struct User {
    #[command(subcommand)]
    what: UserWhat,
}

#[derive(Debug, clap::Subcommand)]
enum UserWhat {
    Invite(InviteUser),
    List(ListUsers),
    Remove(RemoveUser),
}

/// Invite a user: prints the link on which they set a password.
#[derive(Debug, clap::Args)]
struct InviteUser {
    /// The user's name.
    name: String,
    /// The user's mail address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// An Organization that they shall be a member of.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Their role there.
    #[arg(long, value_enum, requires = "organization")]
    role: Option<Role>,
    /// An Environment that an org-developer may change; all unless given.
    #[arg(long, short, value_name = "NAME", requires = "organization")]
    environment: Vec<String>,
    /// They shall administer the whole Sovereign.
    #[arg(long, conflicts_with = "organization")]
    sovereign_admin: bool,
    #[command(flatten)]
    common: Common,
}

/// List the users.
#[derive(Debug, clap::Args)]
struct ListUsers {
    #[command(flatten)]
    common: Common,
}

/// Remove a user: from every Organization, then altogether.
#[derive(Debug, clap::Args)]
struct RemoveUser {
    /// The user's name.
    name: String,
    /// Remove them without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

/// List members of an Organization, and give and take their roles.
#[derive(Debug, clap::Args)]
pub struct Member {
    #[command(subcommand)]
    what: MemberWhat,
}

#[derive(Debug, clap::Subcommand)]
enum MemberWhat {
    List(ListMembers),
    Set(SetMember),
    Remove(RemoveMember),
}

/// List the members.
#[derive(Debug, clap::Args)]
struct ListMembers {
    /// The Organization.
    organization: String,
    #[command(flatten)]
    common: Common,
}

/// Give a user a role.
#[derive(Debug, clap::Args)]
struct SetMember {
    /// The Organization.
    organization: String,
    /// The user's name; `catalyst user invite` makes users.
    user: String,
    /// Their role there.
    #[arg(long, value_enum)]
    role: Role,
    /// An Environment that an org-developer may change; all unless given.
    #[arg(long, short, value_name = "NAME")]
    environment: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Take a user's role away.
#[derive(Debug, clap::Args)]
struct RemoveMember {
    /// The Organization.
    organization: String,
    /// The user's name.
    user: String,
    #[command(flatten)]
    common: Common,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Role {
    /// Everything in the Organization.
    OrgAdmin,
    /// Install and configure.
    OrgDeveloper,
    /// Read.
    OrgViewer,
    /// Policy, rotation, audit.
    SecurityOfficer,
    /// Plans and invoices.
    BillingAdmin,
}

impl From<Role> for OrganizationRole {
    fn from(role: Role) -> Self {
        match role {
            Role::OrgAdmin => Self::OrgAdmin,
            Role::OrgDeveloper => Self::OrgDeveloper,
            Role::OrgViewer => Self::OrgViewer,
            Role::SecurityOfficer => Self::SecurityOfficer,
            Role::BillingAdmin => Self::BillingAdmin,
        }
    }
}

impl User {
    /// Carries it out.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            UserWhat::Invite(it) => it.run().await,
            UserWhat::List(it) => {
                let api = it.common.connection.api().await?;
                it.common
                    .output
                    .list(&api.list::<UserView>(&["users"]).await?)
            }
            UserWhat::Remove(it) => {
                if !it.yes {
                    confirm(
                        &format!(
                            "Remove the user {} from every Organization, for good?",
                            it.name
                        ),
                        &format!("remove the user {}", it.name),
                        "pass --yes",
                    )?;
                }
                let api = it.common.connection.api().await?;
                // What the answer holds differs by what had to be undone.
                let answer: Option<serde_json::Value> = api.delete(&["users", &it.name]).await?;
                match (&answer, it.common.output.is_table()) {
                    (Some(answer), false) => it.common.output.value(answer),
                    _ => {
                        say(&format!("{} is removed", it.name));
                        Ok(())
                    }
                }
            }
        }
    }
}

impl InviteUser {
    async fn run(&self) -> anyhow::Result<()> {
        let api = self.common.connection.api().await?;
        let body = Invite {
            username: self.name.clone(),
            email: self.email.clone(),
            role: self.role.map(Into::into),
            environments: self.environment.clone(),
            sovereign_admin: self.sovereign_admin,
        };
        let invitation: Invitation = match &self.organization {
            Some(organization) => {
                let path = ["organizations", organization, "invitations"];
                api.put(Method::POST, &path, &body).await?
            }
            None => {
                let path = ["users", "invitations"];
                api.put(Method::POST, &path, &body).await?
            }
        };
        self.common.output.item(&invitation)?;
        if let (Some(organization), Some(_)) = (&self.organization, &invitation.commit) {
            let role = self.role.unwrap_or(Role::OrgViewer).into();
            let given = Some((role, &self.environment[..]));
            until_member(&api, organization, &invitation.username, given).await;
        }
        Ok(())
    }
}

/// Waits until an Organization shows that a user has a role; `None`: that they have
/// none.
async fn until_member(
    api: &Api,
    organization: &str,
    user: &str,
    given: Option<(OrganizationRole, &[String])>,
) {
    let is_shown = |view: Option<&OrganizationView>| {
        view.is_none_or(|view| {
            let mut members = view.members.iter();
            let found = members.find(|member| member.user.as_deref() == Some(user));
            found.map(|member| (member.role, &member.environments[..])) == given
        })
    };
    shown::until(api, &["organizations", organization], is_shown).await;
}

impl Member {
    /// Carries it out.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.what {
            MemberWhat::List(it) => {
                let api = it.common.connection.api().await?;
                let path = ["organizations", &it.organization, "members"];
                it.common.output.list(&api.list::<MemberView>(&path).await?)
            }
            MemberWhat::Set(it) => {
                let api = it.common.connection.api().await?;
                let body = SetRole {
                    role: it.role.into(),
                    environments: it.environment.clone(),
                };
                let path = ["organizations", &it.organization, "members", &it.user];
                let accepted: Accepted = api.put(Method::PUT, &path, &body).await?;
                let role = super::rows::role(body.role);
                let subject = format!("Make {} {role} of {}", it.user, it.organization);
                said(&accepted, &subject, it.common.output)?;
                let given = Some((body.role, &body.environments[..]));
                until_member(&api, &it.organization, &it.user, given).await;
                Ok(())
            }
            MemberWhat::Remove(it) => {
                let api = it.common.connection.api().await?;
                let path = ["organizations", &it.organization, "members", &it.user];
                let accepted: Option<Accepted> = api.delete(&path).await?;
                let subject = format!("Remove {} from {}", it.user, it.organization);
                match &accepted {
                    Some(accepted) => said(accepted, &subject, it.common.output)?,
                    None => say(&subject),
                }
                until_member(&api, &it.organization, &it.user, None).await;
                Ok(())
            }
        }
    }
}
