//! Provisioning behind the API: what is asked for is judged, its credentials are put
//! into the vault, and the provisioner's service does the rest.
//!
//! What must stay true: credentials, and the secrets that are made for a Sovereign, lie in
//! the vault and, while a job is at work, in its memory; no answer, event or log line has
//! them; they go when the Sovereign is gone.

mod own;
mod render;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::response::Response;
use axum::response::sse::Event;
use catalyst_api::{
    CreateSovereign, DestroySovereign, ProvisioningSummary, ProvisioningView, ResumeSovereign,
    SovereignCredentials,
};
use catalyst_ports::PortError;
use catalyst_provisioner::directory::DirectoryError;
use catalyst_provisioner::service::{
    Credentials, Follower, Prepared, Service, ServiceError, Standing, Status, Task,
    in_service_words,
};
use catalyst_provisioner::{Config, OwnSecret, OwnSecrets, Redactor, Secret};
use catalyst_yaml::pointer::escape;
use futures::stream;
use http::StatusCode;
use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use render::rendered;

use crate::Gateway;
use crate::authentication::Credential;
use crate::caller::Caller;
use crate::problem::Refusal;
use crate::stream::{FAILURES, FRESH, LOOK_AGAIN, answer};

/// Credentials as the vault keeps them.
type Held = BTreeMap<String, Zeroizing<String>>;

const TOKEN: &str = "hetznerToken";
const KEY: &str = "sshPrivateKey";
const USERNAME: &str = "gitUsername";
const PASSWORD: &str = "gitPassword";
/// Properties that name files of the machine that provisions, which nobody shall read or
/// probe from afar; and what takes their place.
const FILES: [(&str, &str); 2] = [
    ("sshPublicKeyFile", "give the key itself as sshPublicKey"),
    (
        "sshPrivateKeyFile",
        "give the key itself as sshPrivateKey among the credentials",
    ),
];

/// Where the vault keeps the credentials of a Sovereign; below no Organization's folder.
fn place(fqdn: &str) -> String {
    format!("sovereigns/{fqdn}")
}

impl Gateway {
    /// Every Sovereign that is provisioned from here.
    pub fn provisioned(&self) -> Result<Vec<ProvisioningSummary>, Refusal> {
        let all = self.provisioning()?.list();
        let summaries = all.into_iter().map(|(fqdn, status)| match status {
            Ok(status) => view::summary(&status),
            Err(error) => view::unreadable(fqdn, &error),
        });
        Ok(summaries.collect())
    }

    /// One of them.
    pub fn provisioning_seen(&self, fqdn: &str) -> Result<ProvisioningView, Refusal> {
        let status = self.provisioning()?.status(fqdn);
        status
            .map(|status| view::view(&status))
            .map_err(|error| refusal(&format!("Find the Sovereign {fqdn}"), error))
    }

    /// Begins the first job of a Sovereign.
    pub async fn provision(
        &self,
        caller: &Caller,
        body: CreateSovereign,
    ) -> Result<ProvisioningView, Refusal> {
        let title = "Provision a Sovereign";
        let service = self.provisioning()?;
        let mut held = Held::new();
        take(&mut held, body.credentials);
        let config = judge(title, body.config, &held)?;
        let fqdn = config.sovereign_fqdn.clone();
        let title = format!("Provision {fqdn}");
        let turn = self.provisioning_turn().await;
        self.take_in(&title, &fqdn).await?;
        let task = match body.plan_only {
            true => Task::Plan,
            false => Task::Provision,
        };
        let by = &caller.actor.username;
        let prepared = service.prepare_new(config, task, by);
        let prepared = prepared.map_err(|error| refusal(&title, error))?;
        let before = self.held(&title, &fqdn).await?;
        self.begin(&title, &fqdn, prepared, before, held, turn)
            .await?;
        tracing::info!(sovereign = %fqdn, by = %by, task = task.title(), "provisioning begins");
        self.provisioning_seen(&fqdn)
    }

    /// Begins another job of a Sovereign; without a task, the one that resuming it takes.
    pub async fn provisioning_go_on(
        &self,
        caller: &Caller,
        fqdn: &str,
        task: Option<Task>,
        body: ResumeSovereign,
    ) -> Result<ProvisioningView, Refusal> {
        let title = match task {
            Some(Task::Plan) => format!("Plan {fqdn}"),
            Some(Task::Provision) | None => format!("Go on with {fqdn}"),
            Some(Task::Destroy) => format!("Destroy {fqdn}"),
            Some(Task::Archive) => format!("Archive {fqdn}"),
            Some(Task::Restore) => format!("Restore {fqdn}"),
        };
        let turn = self.provisioning_turn().await;
        let service = self.provisioning()?;
        let known = service.require_idle(fqdn);
        let known = known.map_err(|error| refusal(&title, error))?;
        self.take_in(&title, fqdn).await?;
        let before = self.held(&title, fqdn).await?;
        let mut held = before.clone().unwrap_or_default();
        take(&mut held, body.credentials);
        let given = match body.config {
            Some(config) => Some(judge(&title, config, &held)?),
            None => {
                let faults: Vec<Found> = match task {
                    // What signs in and hands over is not there, or soon gone.
                    Some(Task::Destroy) => no_token(&held).into_iter().collect(),
                    Some(Task::Plan | Task::Provision) | None => {
                        lacking(&held, known.config.git_credentials)
                    }
                    // They ask nobody but this machine.
                    Some(Task::Archive | Task::Restore) => Vec::new(),
                };
                invalid(&title, faults)?;
                None
            }
        };
        let task = match task {
            Some(task) => task,
            None => known
                .resumed(given.as_ref(), body.create)
                .map_err(|error| refusal(&title, error))?,
        };
        let (plan, allowed) = (body.plan.as_deref(), body.allow_destroy.as_deref());
        let agreed = known.agreement(task, plan, allowed);
        let agreed = agreed.map_err(|error| refusal(&title, error))?;
        let by = &caller.actor.username;
        let prepared = service.prepare_next(fqdn, given, task, by);
        let prepared = prepared
            .map_err(|error| refusal(&title, error))?
            .removed_by_hand(body.removed_by_hand)
            .agreed(agreed);
        self.begin(&title, fqdn, prepared, before, held, turn)
            .await?;
        tracing::info!(sovereign = %fqdn, by = %by, task = task.title(), "provisioning goes on");
        self.provisioning_seen(fqdn)
    }

    /// Destroys a Sovereign, once its name is given as a confirmation.
    pub async fn provisioning_destroy(
        &self,
        caller: &Caller,
        fqdn: &str,
        confirmed: Option<&str>,
        body: DestroySovereign,
    ) -> Result<ProvisioningView, Refusal> {
        // Whether it is there comes first.
        self.provisioning_seen(fqdn)?;
        if confirmed != Some(fqdn) {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "unconfirmed",
                format!("Destroy {fqdn}"),
                format!("This destroys {fqdn} with everything on it, data included, and was not confirmed."),
            )
            .next(format!("Give its name once more: `?confirm={fqdn}`.")));
        }
        let as_it_is = ResumeSovereign {
            credentials: body.credentials,
            removed_by_hand: body.removed_by_hand,
            ..ResumeSovereign::default()
        };
        self.provisioning_go_on(caller, fqdn, Some(Task::Destroy), as_it_is)
            .await
    }

    /// Tells the job at work to stop.
    pub fn provisioning_cancel(
        &self,
        caller: &Caller,
        fqdn: &str,
    ) -> Result<ProvisioningView, Refusal> {
        self.provisioning()?
            .cancel(fqdn)
            .map_err(|error| refusal(&format!("Cancel the job of {fqdn}"), error))?;
        tracing::info!(sovereign = %fqdn, by = %caller.actor.username, "provisioning is cancelled");
        self.provisioning_seen(fqdn)
    }

    /// Forgets a Sovereign of which nothing is left.
    pub async fn provisioning_forget(&self, caller: &Caller, fqdn: &str) -> Result<(), Refusal> {
        let title = format!("Forget {fqdn}");
        let service = self.provisioning()?;
        let _turn = self.provisioning_turn().await;
        let known = service.require_idle(fqdn);
        let known = known.map_err(|error| refusal(&title, error))?;
        if known.standing() == Standing::Destroyed {
            // Once it is forgotten, nobody would find what the vault still has of it.
            let removed = self.vault().secret_delete_all(&place(fqdn)).await;
            removed.map_err(|error| no_vault(&title, &error))?;
        }
        service
            .forget(fqdn)
            .map_err(|error| refusal(&title, error))?;
        tracing::info!(sovereign = %fqdn, by = %caller.actor.username, "provisioning forgets a destroyed Sovereign");
        Ok(())
    }

    /// Takes into the vault what earlier control planes kept in files, and removes the
    /// credentials of Sovereigns of which nothing is left: at once, whenever a job has
    /// ended, and `again` after so long where the vault was away. Ends at `stop`.
    pub async fn tidy_credentials(&self, stop: CancellationToken, again: Duration) {
        let Ok(service) = self.provisioning() else {
            return;
        };
        let mut ends = service.ends();
        loop {
            ends.mark_unchanged();
            let is_done = tokio::select! {
                is_done = self.tidy(service) => is_done,
                () = stop.cancelled() => return,
            };
            tokio::select! {
                _ = ends.changed() => {}
                () = tokio::time::sleep(again), if !is_done => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Whether the vault did all that was to be done.
    async fn tidy(&self, service: &Service) -> bool {
        let is_taken_in = self.take_in_all(service).await;
        self.forget_what_is_gone(service).await && is_taken_in
    }

    /// The same, of what is destroyed.
    async fn forget_what_is_gone(&self, service: &Service) -> bool {
        let is_gone = |status: &Status| status.standing() == Standing::Destroyed;
        let mut is_done = true;
        for (fqdn, status) in service.list() {
            if !status.is_ok_and(|status| is_gone(&status)) {
                continue;
            }
            // It may have been begun anew meanwhile, with credentials of its own.
            let _turn = self.provisioning_turn().await;
            if !service.status(&fqdn).is_ok_and(|now| is_gone(&now)) {
                continue;
            }
            if let Err(error) = self.vault().secret_delete_all(&place(&fqdn)).await {
                tracing::warn!(sovereign = %fqdn, %error, "credentials of a destroyed Sovereign not removed yet");
                is_done = false;
            }
        }
        is_done
    }

    /// What the vault has for a Sovereign; `None` where it has nothing.
    async fn held(&self, title: &str, fqdn: &str) -> Result<Option<Held>, Refusal> {
        let found = self.vault().secret_get(&place(fqdn)).await;
        let found = found.map_err(|error| no_vault(title, &error))?;
        Ok(found.map(|secret| secret.data))
    }

    /// Puts the credentials into the vault and begins the job. Where it does not begin,
    /// the vault has again what it had `before`.
    async fn begin(
        &self,
        title: &str,
        fqdn: &str,
        prepared: Prepared,
        before: Option<Held>,
        mut held: Held,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(), Refusal> {
        own::add(title, fqdn, &mut held, before.as_ref(), &prepared)?;
        let (vault, path, named) = (self.vault().clone(), place(fqdn), title.to_owned());
        // Whoever asked may go away, and with them this future: vault and job belong
        // together all the same.
        let beginning = tokio::spawn(async move {
            let _turn = turn;
            let is_new = before.as_ref() != Some(&held);
            if is_new {
                let kept = vault.secret_put(&path, &held, None).await;
                kept.map_err(|error| no_vault(&named, &error))?;
            }
            let Err(error) = prepared.begin(&credentials(&held)) else {
                return Ok(());
            };
            let restored = match &before {
                _ if !is_new => Ok(()),
                Some(before) => vault.secret_put(&path, before, None).await.map(drop),
                None => vault.secret_delete_all(&path).await,
            };
            if let Err(error) = restored {
                tracing::warn!(%path, %error, "credentials of a job that was not begun stay in the vault; give good ones with the next");
            }
            Err(refusal(&named, error))
        });
        beginning.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a job of provisioning was not begun");
            let detail = "The control plane met a fault of its own; its log has it.";
            Err(Refusal::internal(title, detail))
        })
    }
}

/// Puts what is given in the place of what is held.
fn take(held: &mut Held, given: SovereignCredentials) {
    let texts = [
        (TOKEN, given.hetzner_token),
        (KEY, given.ssh_private_key),
        (USERNAME, given.git_username.map(catalyst_api::Hidden::new)),
        (PASSWORD, given.git_password),
    ];
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| !text.reveal().trim().is_empty()) {
            let text = Zeroizing::new(text.reveal().trim().to_owned());
            held.insert(name.to_owned(), text);
        }
    }
}

/// The credentials as the service takes them; [`lacking`] and [`own::add`] have looked at them.
fn credentials(held: &Held) -> Credentials {
    let secret = |name: &str| {
        held.get(name)
            .map(|text| Secret::new(text.as_str()))
            .unwrap_or_else(|| Secret::new(""))
    };
    let username = held.get(USERNAME).map(|text| text.as_str().to_owned());
    Credentials {
        hetzner_token: secret(TOKEN),
        ssh_private_key: secret(KEY),
        git: username.map(|username| (username, secret(PASSWORD))),
        own: OwnSecrets {
            passphrase: secret(own::key(OwnSecret::Passphrase)),
            openbao_seal: secret(own::key(OwnSecret::OpenbaoSeal)),
            gitea_admin: secret(own::key(OwnSecret::GiteaAdmin)),
        },
    }
}

/// JSON pointer and message of a fault.
type Found = (String, String);

/// What is wrong with the token, or that there is none.
fn no_token(held: &Held) -> Option<Found> {
    let message = match held.get(TOKEN) {
        None => "it is missing; give an API token of the project with the right to read and write",
        // It becomes a header and a variable of an environment.
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            "it has spaces or characters that no token has; copy it once more"
        }
        Some(_) => return None,
    };
    Some((format!("/credentials/{TOKEN}"), message.to_owned()))
}

/// What is missing or wrong among the credentials. None of it is repeated.
fn lacking(held: &Held, needs_git: bool) -> Vec<Found> {
    let mut faults: Vec<Found> = no_token(held).into_iter().collect();
    let mut tell = |name: &str, message: &str| {
        faults.push((format!("/credentials/{name}"), message.to_owned()));
    };
    match held.get(KEY) {
        None => tell(
            KEY,
            "it is missing; give the private key of sshPublicKey, which signs in to the first node",
        ),
        Some(key) if !(key.starts_with("-----BEGIN ") && key.contains("PRIVATE KEY-----")) => tell(
            KEY,
            "it is no private key; give the whole file, from -----BEGIN to -----END",
        ),
        Some(_) => {}
    }
    if needs_git {
        for name in [USERNAME, PASSWORD] {
            if !held.contains_key(name) {
                tell(name, "it is missing, and gitCredentials is true");
            }
        }
    }
    if held
        .get(PASSWORD)
        .is_some_and(|password| password.len() < Redactor::SHORTEST)
    {
        tell(
            PASSWORD,
            &format!(
                "it has fewer than {} characters, so that it cannot be told from other text and kept out of events and records; give a longer one, or a token",
                Redactor::SHORTEST
            ),
        );
    }
    faults
}

/// The description that is asked for, where it can be read, and every fault of it.
fn described(mut given: Map<String, Value>) -> (Option<Config>, Vec<Found>) {
    let mut faults = Vec::new();
    for (name, instead) in FILES {
        if given.remove(name).is_some_and(|value| !value.is_null()) {
            let message = format!("it names a file of the control plane's machine; {instead}");
            faults.push((format!("/config/{name}"), message));
        }
    }
    let no_file = |_: &Path| -> io::Result<String> { Err(io::Error::other("no file is read")) };
    let read = Config::from_value("config", Value::Object(given), &no_file);
    if let Err(error) = &read {
        faults.extend(error.problems.iter().map(|problem| {
            let at = escape(&problem.at).replace('.', "/");
            (format!("/config/{at}"), in_service_words(&problem.message))
        }));
    }
    (read.ok(), faults)
}

/// The same; refused with every fault of it and of the credentials at once.
fn judge(title: &str, given: Map<String, Value>, held: &Held) -> Result<Config, Refusal> {
    let (config, mut faults) = described(given);
    let needs_git = config.as_ref().is_some_and(|it| it.git_credentials);
    faults.extend(lacking(held, needs_git));
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(of_faults(title, faults)),
    }
}

/// Refuses where there is any fault.
fn invalid(title: &str, faults: Vec<Found>) -> Result<(), Refusal> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(of_faults(title, faults))
}

fn of_faults(title: &str, faults: Vec<Found>) -> Refusal {
    let detail = match faults.len() {
        1 => "There is one problem; nothing was begun.".to_owned(),
        several => format!("There are {several} problems; nothing was begun."),
    };
    let refused = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail).next(
        "Put right what is listed. The description's schema is at /api/v1/sovereigns/schema.",
    );
    faults
        .into_iter()
        .fold(refused, |refused, (pointer, message)| {
            refused.fault(Some(pointer), message)
        })
}

fn no_vault(title: &str, error: &PortError) -> Refusal {
    tracing::warn!(%error, "credentials for provisioning not kept or read");
    Refusal::unavailable(
        title,
        "The vault, which keeps the credentials, does not answer.",
    )
}

fn refusal(title: &str, error: ServiceError) -> Refusal {
    let conflict = |kind: &str, next: &str| {
        Refusal::new(StatusCode::CONFLICT, kind, title, error.to_string()).next(next)
    };
    match &error {
        ServiceError::Unknown { sovereign } => Refusal::not_found("Sovereign", sovereign).next(
            "Check the name: the list of Sovereigns has those that are provisioned from here.",
        ),
        ServiceError::Known { .. } => conflict(
            "exists",
            "Resume it, with another description if need be, or destroy it first.",
        ),
        ServiceError::Busy { .. } => {
            conflict("busy", "Wait until the job has ended, or cancel it.")
        }
        ServiceError::Directory(DirectoryError::Busy { .. }) => conflict(
            "busy",
            "Wait until the other run has ended. Another control plane or command line works on it.",
        ),
        ServiceError::Idle { .. } => conflict("idle", "There is nothing to cancel."),
        ServiceError::OfAnother { .. } => conflict(
            "of-another",
            "Give its own description, or provision the other Sovereign.",
        ),
        ServiceError::Unasked { .. } => conflict(
            "unconfirmed",
            "Look at the plan: `GET /api/v1/sovereigns/{fqdn}` has it as `planned`. Then resume it with `create` as true.",
        ),
        ServiceError::Unplanned { .. } => conflict(
            "unplanned",
            "Resume it without `create`: it is planned, and nothing is created. Look at the plan, then resume it with `create` as true.",
        ),
        ServiceError::Remains { .. } => conflict("remains", "Destroy it first."),
        ServiceError::OtherPlan { .. } => conflict(
            "other-plan",
            "Look at the plan: `GET /api/v1/sovereigns/{fqdn}` has it as `planned`. Then give its `planDigest` as `plan`.",
        ),
        ServiceError::Losses { .. } => conflict(
            "unconfirmed",
            "Look at the plan: `GET /api/v1/sovereigns/{fqdn}` has it as `planned`. Where it is meant, give the Sovereign's domain as `allowDestroy`.",
        ),
        ServiceError::Fixed { .. } => conflict(
            "fixed",
            "Give the description with those properties as they were; what else it changes is planned and applied.",
        ),
        ServiceError::Refused { .. } => conflict(
            "refused",
            "See where it stands: `GET /api/v1/sovereigns/{fqdn}` says what to do next.",
        ),
        ServiceError::Unreadable { .. } => {
            tracing::error!(%error, "provisioning cannot read its files");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Refusal::new(status, "unreadable", title, error.to_string())
                .next("Put the file back from a backup of the control plane's data directory.")
        }
        ServiceError::Directory(_) | ServiceError::Access { .. } => {
            tracing::error!(%error, "provisioning cannot use its files");
            Refusal::internal(title, error.to_string())
                .next("See that the control plane's data directory is whole and has room.")
        }
    }
}

/// The events of a Sovereign, as long as the caller administers this one.
pub fn events(
    gateway: Gateway,
    caller: Caller,
    fqdn: &str,
    after: u64,
) -> Result<Response, Refusal> {
    let follower = gateway.provisioning()?.follow(fqdn, after);
    let follower = follower.map_err(|error| refusal(&format!("Follow {fqdn}"), error))?;
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = Client {
        gateway,
        credential: caller.credential,
        follower,
        looks,
        looked: Instant::now(),
        failures: 0,
    };
    Ok(answer(stream::unfold(client, Client::next)))
}

/// One client of a Sovereign's events.
struct Client {
    gateway: Gateway,
    credential: Credential,
    follower: Follower,
    looks: Interval,
    looked: Instant,
    failures: u32,
}

impl Client {
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            let event = tokio::select! {
                biased;
                _ = self.looks.tick() => None,
                // While the caller's rights are unknown, events wait.
                event = self.follower.next(), if self.failures == 0 => Some(event),
            };
            if event.is_none() || self.looked.elapsed() >= FRESH {
                // An event in hand is not lost where this ends: the client comes back
                // to the position before it.
                let is_unknown = !self.look().await?;
                if is_unknown && (event.is_some() || self.failures > FAILURES) {
                    return None;
                }
            }
            if let Some((id, text)) = event {
                let event = Event::default().id(id.to_string()).data(&*text);
                return Some((event, self));
            }
        }
    }

    /// Whether it is known that the caller still administers the Sovereign; `None` where
    /// it is known that they do not.
    async fn look(&mut self) -> Option<bool> {
        match self.gateway.caller(self.credential.clone()).await {
            Ok(caller) if caller.actor.sovereign_admin => {
                self.failures = 0;
                self.looked = Instant::now();
                Some(true)
            }
            Err(refusal) if refusal.status() == StatusCode::SERVICE_UNAVAILABLE => {
                self.failures += 1;
                Some(false)
            }
            Ok(_) | Err(_) => None,
        }
    }
}
