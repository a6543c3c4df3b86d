//! The live Organizations: who is a member of what, at most a second old.
//!
//! Read from the management cluster on demand, at most once a second however
//! many ask, and not at all while nobody does. What must stay true: when the
//! list cannot be read, nobody is answered from an old one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_api::{MemberView, Membership, OrganizationRole};
use catalyst_resources::{Member, Organization, Role};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use tokio::sync::Mutex;

use crate::problem::Refusal;

/// How old a list may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long the management cluster may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A list of Organizations as of a moment; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Organizations(Arc<Vec<Organization>>);

impl Organizations {
    /// A list from objects.
    pub fn new(organizations: Vec<Organization>) -> Self {
        Self(Arc::new(organizations))
    }

    /// The objects.
    pub fn objects(&self) -> &[Organization] {
        &self.0
    }

    /// The members of an Organization, users first.
    pub fn members(&self, name: &str) -> Option<Vec<MemberView>> {
        let organization = self.0.iter().find(|found| found.metadata.name == name)?;
        Some(organization.spec.members.iter().map(member_view).collect())
    }

    /// The roles that somebody has by name, by Organization and role.
    pub fn memberships(&self, user: &str) -> Vec<Membership> {
        let mut memberships: Vec<Membership> = self
            .0
            .iter()
            .flat_map(|organization| {
                let mine = organization.spec.members.iter();
                mine.filter(|member| member.user.as_deref() == Some(user))
                    .map(|member| Membership {
                        organization: organization.metadata.name.clone(),
                        role: role_view(member.role),
                        environments: member.environments.clone(),
                    })
            })
            .collect();
        memberships.sort_by(|left, right| {
            (&left.organization, left.role).cmp(&(&right.organization, right.role))
        });
        memberships
    }
}

fn member_view(member: &Member) -> MemberView {
    MemberView {
        user: member.user.clone(),
        group: member.group.clone(),
        role: role_view(member.role),
        environments: member.environments.clone(),
    }
}

/// A role as the API says it.
pub fn role_view(role: Role) -> OrganizationRole {
    match role {
        Role::OrgAdmin => OrganizationRole::OrgAdmin,
        Role::OrgDeveloper => OrganizationRole::OrgDeveloper,
        Role::OrgViewer => OrganizationRole::OrgViewer,
        Role::SecurityOfficer => OrganizationRole::SecurityOfficer,
        Role::BillingAdmin => OrganizationRole::BillingAdmin,
    }
}

/// Reads the list, and keeps it for a second.
pub struct OrganizationReader {
    client: kube::Client,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last: Option<(Instant, Organizations)>,
    /// The position of the latest change after which the list was dropped.
    dropped_after: u64,
}

impl OrganizationReader {
    /// A reader on the management cluster.
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            kept: Mutex::default(),
        }
    }

    /// The list, read anew when the last one is too old. The lock is held
    /// while reading, so callers that come together share one request.
    pub async fn read(&self) -> Result<Organizations, Refusal> {
        let mut kept = self.kept.lock().await;
        if let Some((at, organizations)) = &kept.last
            && at.elapsed() < FRESH
        {
            return Ok(organizations.clone());
        }
        kept.last = None;
        let asked = Instant::now();
        let listed = tokio::time::timeout(ANSWER_WITHIN, self.list()).await;
        let organizations = match listed {
            Ok(Ok(organizations)) => Organizations::new(organizations),
            Ok(Err(error)) => {
                tracing::warn!(%error, "Organizations not readable");
                return Err(unreadable());
            }
            Err(_) => {
                tracing::warn!("Organizations not read in time");
                return Err(unreadable());
            }
        };
        kept.last = Some((asked, organizations.clone()));
        Ok(organizations)
    }

    /// Drops a list that is older than a change, by the change's position in the
    /// live stream. Whoever was told of it and asks what it means for them must not
    /// be answered from before it; of all who are told, the first sees to that.
    pub async fn forget_before(&self, change: u64) {
        let mut kept = self.kept.lock().await;
        if change > kept.dropped_after {
            *kept = Kept {
                last: None,
                dropped_after: change,
            };
        }
    }

    async fn list(&self) -> Result<Vec<Organization>, ListError> {
        let resource = ApiResource {
            group: catalyst_resources::GROUP.to_owned(),
            version: catalyst_resources::VERSION.to_owned(),
            api_version: format!(
                "{}/{}",
                catalyst_resources::GROUP,
                catalyst_resources::VERSION
            ),
            kind: "Organization".to_owned(),
            plural: "organizations".to_owned(),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let listed = api.list(&ListParams::default()).await?;
        let organizations = listed.items.into_iter().map(|mut object| {
            // Items of a list do not always repeat what the list says.
            object.types.get_or_insert_with(|| kube::api::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            Ok(serde_json::from_value(serde_json::to_value(object)?)?)
        });
        organizations.collect()
    }
}

#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error("cannot list Organizations")]
    Ask(#[from] kube::Error),
    #[error("an Organization cannot be read")]
    Decode(#[from] serde_json::Error),
}

fn unreadable() -> Refusal {
    Refusal::unavailable(
        "Find out what the caller may do",
        "The Organizations cannot be read from the management cluster.",
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A reader, and how often it asked the management cluster.
    fn reader() -> (OrganizationReader, Arc<AtomicUsize>) {
        let lists = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lists);
        let service = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            let list = json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "OrganizationList",
                "metadata": {"resourceVersion": "1"}, "items": [],
            });
            let body = list.to_string().into_bytes();
            async move { Ok::<_, Infallible>(Response::new(Body::from(body))) }
        });
        let client = kube::Client::new(service, "default");
        (OrganizationReader::new(client), lists)
    }

    #[tokio::test]
    async fn a_change_costs_one_reading_however_many_are_told() {
        let (reader, lists) = reader();
        let mut expected = 0;
        for change in [3, 7] {
            // Those who follow the stream are told one after the other.
            for _ in 0..20 {
                reader.forget_before(change).await;
                reader.read().await.map_err(|_| "not read").unwrap();
            }
            expected += 1;
            // A list lasts a second; a slow machine may need another.
            let asked = lists.load(Ordering::SeqCst);
            assert!((expected..expected + 5).contains(&asked), "{asked}");
            expected = asked;
        }
        // Who comes late is told of what the others know.
        let before = lists.load(Ordering::SeqCst);
        reader.forget_before(5).await;
        assert!(reader.kept.lock().await.last.is_some());
        assert_eq!(lists.load(Ordering::SeqCst), before);
    }
}
