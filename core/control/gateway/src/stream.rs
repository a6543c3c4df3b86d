//! The live stream: what changes in the read model, as server-sent events.
//!
//! A client comes back with `Last-Event-ID` and misses nothing, or is told
//! `reset`. What must stay true: before an event goes out, the caller and the
//! Organizations have been looked at within the last second or so; whoever
//! loses a role is told `reset` and cut off, whether or not anything happens;
//! nothing is read ahead of a slow client.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use catalyst_api::StreamItem;
use catalyst_projector::Update;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use tokio::time::{Interval, MissedTickBehavior};

use crate::Gateway;
use crate::caller::Caller;
use crate::problem::Refusal;

/// How often a caller is looked at while nothing happens.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How old the last look may be when an event goes out.
pub const FRESH: Duration = Duration::from_secs(1);
/// How many looks may fail in a row because a part is away; until the next
/// good one nothing goes out.
pub const FAILURES: u32 = 5;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A browser comes back after so long.
const RETRY: Duration = Duration::from_secs(1);

/// What changes in the read model, as it changes. Events are named `change`
/// (`data` is a StreamItem) or `reset` (read everything anew); `id` is the
/// position to send as `Last-Event-ID` when coming back.
#[utoipa::path(get, path = "/api/v1/stream", tag = "stream", operation_id = "stream_get",
    params(("Last-Event-ID" = Option<String>, Header, description = "The position to go on from.")),
    responses((status = 200, description = "Events; `data` of each `change` is a StreamItem.", body = StreamItem, content_type = "text/event-stream")))]
pub async fn stream_get(
    caller: Caller,
    State(gateway): State<Gateway>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let after = position(&headers)?;
    let changes = gateway.projector().subscribe(after).boxed();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        gateway,
        caller,
        changes,
        looks,
        looked: Instant::now(),
        failures: 0,
        is_over: false,
    };
    Ok(answer(stream::unfold(follower, Follower::next)))
}

/// The answer that goes on with these events.
pub fn answer(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let opening = stream::once(async { Event::default().comment("open").retry(RETRY) });
    let events = opening.chain(events).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

/// Where a client that comes back has been, by its `Last-Event-ID`.
pub fn position(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "malformed-position",
            "Go on with the stream",
            "Last-Event-ID is not a position of this stream.",
        )
        .next("Connect without it, and read everything anew.")
    })
}

/// One client of the stream.
struct Follower {
    gateway: Gateway,
    caller: Caller,
    changes: BoxStream<'static, Update>,
    looks: Interval,
    looked: Instant,
    failures: u32,
    is_over: bool,
}

/// What a look at the caller found.
enum Look {
    /// As before.
    Same,
    /// More may be seen than before: what is there already must be read.
    More,
    /// Less may be seen, or nothing.
    Less,
    /// A part is away; nobody knows.
    Unknown,
}

impl Follower {
    async fn next(mut self) -> Option<(Event, Self)> {
        while !self.is_over {
            let change = tokio::select! {
                biased;
                _ = self.looks.tick() => None,
                // While the caller's rights are unknown, events wait.
                change = self.changes.next(), if self.failures == 0 => match change {
                    Some(change) => Some(change),
                    None => return None,
                },
            };
            if let Some(position) = change.as_ref().and_then(of_organization) {
                self.gateway.organizations_changed(position).await;
            }
            if change.is_none() || self.looked.elapsed() >= FRESH {
                match self.look().await {
                    Look::Same => {}
                    Look::More => return Some((reset(), self)),
                    Look::Less => {
                        self.is_over = true;
                        return Some((reset(), self));
                    }
                    // The event in hand is not lost: the client comes back to
                    // the position before it.
                    Look::Unknown if change.is_some() => return None,
                    Look::Unknown => {}
                }
            }
            if self.failures > FAILURES {
                return None;
            }
            if let Some(event) = change.and_then(|change| self.event(change)) {
                return Some((event, self));
            }
        }
        None
    }

    async fn look(&mut self) -> Look {
        let credential = self.caller.credential.clone();
        let caller = match self.gateway.caller(credential).await {
            Ok(caller) => caller,
            Err(refusal) if refusal.status() == StatusCode::SERVICE_UNAVAILABLE => {
                self.failures += 1;
                return Look::Unknown;
            }
            Err(_) => return Look::Less,
        };
        self.failures = 0;
        self.looked = Instant::now();
        let before = std::mem::replace(&mut self.caller, caller);
        compare(&before, &self.caller)
    }

    fn event(&self, update: Update) -> Option<Event> {
        let changed = match update {
            Update::Change(changed) => changed,
            Update::Reset { id } => return Some(reset().id(id.to_string())),
        };
        let organization = changed.organization.as_deref();
        if organization.is_some_and(|name| !self.caller.can_see(name)) {
            return None;
        }
        let event = match seen(&self.caller, &changed.item) {
            Seen::Whole(item) => Event::default()
                .event("change")
                .json_data(&item)
                .inspect_err(|error| tracing::error!(%error, "a change cannot be written"))
                .ok()?,
            Seen::Unnamed => reset(),
            Seen::Nothing => return None,
        };
        Some(event.id(changed.id.to_string()))
    }
}

/// The position of an update with which roles may have changed.
fn of_organization(update: &Update) -> Option<u64> {
    match update {
        Update::Change(changed) if matches!(changed.item, StreamItem::Organization(_)) => {
            Some(changed.id)
        }
        Update::Change(_) | Update::Reset { .. } => None,
    }
}

fn reset() -> Event {
    Event::default().event("reset").data("{}")
}

fn compare(before: &Caller, after: &Caller) -> Look {
    if before.actor.username != after.actor.username {
        return Look::Less;
    }
    if before.access() == after.access() {
        return Look::Same;
    }
    let is_within = |one: &Caller, other: &Caller| {
        (!one.actor.sovereign_admin || other.actor.sovereign_admin)
            && one.access().organizations().keys().all(|name| {
                (!one.can_see(name) || other.can_see(name))
                    && (!one.can_read(name) || other.can_read(name))
            })
    };
    match (is_within(before, after), is_within(after, before)) {
        (false, _) => Look::Less,
        (true, false) => Look::More,
        (true, true) => Look::Same,
    }
}

/// What of a change a caller may see.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// The item.
    Whole(Box<StreamItem>),
    /// That something is gone, but not its name.
    Unnamed,
    /// Nothing.
    Nothing,
}

/// What of a change a caller may see.
pub fn seen(caller: &Caller, item: &StreamItem) -> Seen {
    let is_seen = match item {
        StreamItem::Organization(organization) => caller.can_see(&organization.name),
        StreamItem::Environment(environment) => caller.can_read(&environment.organization),
        StreamItem::Application(application) => {
            caller.can_read_environment(&application.summary.environment)
        }
        StreamItem::Blueprint(card) => caller.can_read_source(&card.source),
        StreamItem::BlueprintSource(source) => caller.can_read_repository(&source.source),
        StreamItem::PullRequest(pull) => caller.can_read_environment(&pull.environment),
        StreamItem::Deletion(deletion) => caller.deletion_seen(deletion),
        StreamItem::Upgrade(upgrade) => caller.upgrade_seen(upgrade),
        StreamItem::Policy(policy) => {
            return match caller.policy_seen(policy.clone()) {
                Some(policy) => Seen::Whole(Box::new(StreamItem::Policy(policy))),
                None => Seen::Nothing,
            };
        }
        StreamItem::Removed(removed) => match &removed.organization {
            // Who is told of one is told that it is gone.
            Some(organization)
                if ["organization", "blueprint"].contains(&removed.kind.as_str()) =>
            {
                caller.can_see(organization)
            }
            Some(organization) => caller.can_read(organization),
            None if caller.actor.sovereign_admin => true,
            // It may have concerned the caller, or others only.
            None => return Seen::Unnamed,
        },
    };
    if is_seen {
        Seen::Whole(Box::new(item.clone()))
    } else {
        Seen::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::Credential;
    use crate::membership::Organizations;
    use catalyst_api::{
        BlueprintCard, BlueprintSourceView, DeletionView, Health, OrganizationView, PolicyView,
        Removed, UpgradeView,
    };
    use catalyst_commands::Actor;
    use serde_json::json;

    fn caller(name: &str, acme: &[(&str, &str)]) -> Caller {
        let members: Vec<_> = acme
            .iter()
            .map(|(user, role)| json!({"user": user, "role": role}))
            .collect();
        let organization = |name: &str, members: serde_json::Value| {
            serde_json::from_value(json!({
                "apiVersion": "catalyst.openova.io/v1alpha1", "kind": "Organization",
                "metadata": {"name": name}, "spec": {"displayName": name, "members": members},
            }))
            .unwrap()
        };
        let organizations = Organizations::new(vec![
            organization("acme", json!(members)),
            organization("globex", json!([{"user": "olga", "role": "org-admin"}])),
        ]);
        let actor = Actor {
            username: name.to_owned(),
            sovereign_admin: name == "sol",
            ..Actor::default()
        };
        let credential = Credential::Bearer("token".into());
        Caller::new(actor, credential, "token".into(), &organizations)
    }

    fn health() -> Health {
        Health {
            phase: "Running".to_owned(),
            reason: "Ready".to_owned(),
            message: String::new(),
            observed_at: String::new(),
            since: String::new(),
        }
    }

    fn organization(name: &str) -> StreamItem {
        StreamItem::Organization(OrganizationView {
            name: name.to_owned(),
            display_name: name.to_owned(),
            contact: None,
            members: Vec::new(),
            environments: Vec::new(),
            health: health(),
        })
    }

    fn deletion(kind: &str, name: &str) -> StreamItem {
        StreamItem::Deletion(DeletionView {
            kind: kind.to_owned(),
            name: name.to_owned(),
            started_at: String::new(),
            ended_at: None,
            waiting_for: None,
            left_behind: Vec::new(),
        })
    }

    fn policy(environments: &[&str]) -> StreamItem {
        StreamItem::Policy(PolicyView {
            name: "freeze".to_owned(),
            environments: environments.iter().map(|name| (*name).to_owned()).collect(),
            rules: Vec::new(),
        })
    }

    fn upgrade(organization: Option<&str>) -> StreamItem {
        StreamItem::Upgrade(UpgradeView {
            name: "web-1".to_owned(),
            source: "catalog".to_owned(),
            blueprint: "bp-web".to_owned(),
            to: "2.0.0".to_owned(),
            organization: organization.map(str::to_owned),
            requested_by: "ada".to_owned(),
            phase: "Progressing".to_owned(),
            message: String::new(),
            wave: None,
            waves: Vec::new(),
            observed_at: String::new(),
        })
    }

    fn removed(kind: &str, organization: Option<&str>) -> StreamItem {
        StreamItem::Removed(Removed {
            kind: kind.to_owned(),
            name: "gone".to_owned(),
            organization: organization.map(str::to_owned),
        })
    }

    fn blueprint(source: &str) -> StreamItem {
        StreamItem::Blueprint(BlueprintCard {
            source: source.to_owned(),
            name: "bp-web".to_owned(),
            version: "1.0.0".to_owned(),
            versions: vec!["1.0.0".to_owned()],
            title: "Web".to_owned(),
            tagline: None,
            category: None,
            tags: Vec::new(),
            license: None,
            icon: None,
        })
    }

    fn source(name: &str) -> StreamItem {
        StreamItem::BlueprintSource(BlueprintSourceView {
            source: name.to_owned(),
            repository: String::new(),
            revision: None,
            read_at: None,
            signer: None,
            blueprints: Vec::new(),
            problems: Vec::new(),
            refused: Vec::new(),
            health: health(),
        })
    }

    #[test]
    fn a_change_is_seen_by_those_it_concerns() {
        let acme = [("vic", "org-viewer"), ("bill", "billing-admin")];
        // Whole for: vic (reads acme), bill (knows of acme), olga (globex), sol.
        for (item, expected) in [
            (organization("acme"), [true, true, false, true]),
            (organization("globex"), [false, false, true, true]),
            (
                deletion("Application", "acme-dev/blog"),
                [true, false, false, true],
            ),
            (
                deletion("Environment", "acme-dev"),
                [true, false, false, true],
            ),
            (deletion("Organization", "acme"), [true, true, false, true]),
            (
                removed("application", Some("acme")),
                [true, false, false, true],
            ),
            (removed("policy", None), [false, false, false, true]),
            (blueprint("acme"), [true, true, false, true]),
            (blueprint("catalog"), [true; 4]),
            (
                removed("blueprint", Some("acme")),
                [true, true, false, true],
            ),
            (source("acme"), [true, false, false, true]),
            (source("catalog"), [false, false, false, true]),
            (
                removed("blueprintSource", Some("acme")),
                [true, false, false, true],
            ),
            (upgrade(Some("acme")), [true, false, false, true]),
            // It names Applications of all Organizations.
            (upgrade(None), [false, false, false, true]),
            (policy(&["acme-prod"]), [true, false, false, true]),
            (policy(&["globex-prod"]), [false, false, true, true]),
        ] {
            for (name, expected) in ["vic", "bill", "olga", "sol"].into_iter().zip(expected) {
                let seen = seen(&caller(name, &acme), &item);
                let is_whole = matches!(seen, Seen::Whole(_));
                assert_eq!(is_whole, expected, "{name} of {item:?}");
            }
        }
    }

    #[test]
    fn a_policy_names_only_environments_that_may_be_seen() {
        let vic = caller("vic", &[("vic", "org-viewer")]);
        let Seen::Whole(item) = seen(&vic, &policy(&["acme-prod", "globex-prod"])) else {
            panic!("nothing seen");
        };
        assert_eq!(*item, policy(&["acme-prod"]));
    }

    #[test]
    fn a_change_of_roles_is_more_or_less() {
        let of = |acme: &[(&str, &str)]| caller("vic", acme);
        let none = of(&[]);
        let billing = of(&[("vic", "billing-admin")]);
        let viewer = of(&[("vic", "org-viewer")]);
        let admin = of(&[("vic", "org-admin")]);
        for (before, after, expected) in [
            (&none, &viewer, "more"),
            (&billing, &viewer, "more"),
            (&viewer, &billing, "less"),
            (&viewer, &none, "less"),
            (&viewer, &admin, "same"),
            (&viewer, &viewer, "same"),
        ] {
            let look = match compare(before, after) {
                Look::Same => "same",
                Look::More => "more",
                Look::Less => "less",
                Look::Unknown => "unknown",
            };
            assert_eq!(look, expected);
        }
    }
}
