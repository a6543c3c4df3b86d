//! Git smart HTTP: what `git clone`, `fetch` and `push` speak.
//!
//! Fetches are answered by `git upload-pack` (protocol v0 and v2, shallow,
//! partial). Pushes are taken apart here: commands are parsed, the pack goes
//! into a quarantine with all object checks, and `push` does the rest, so that
//! the pre-receive check needs no hook scripts. Protocol: gitprotocol-http,
//! gitprotocol-pack.

use std::convert::Infallible;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use crate::Inner;
use crate::access::{self, Caller};
use crate::api::{ApiError, disk_is_full};
use crate::git::quarantine::Quarantine;
use crate::git::write::index_pack;
use crate::git::{self, GitError, Repository};
use crate::names;
use crate::push::{self, Change, PushError};
use crate::records::{Permission, RefUpdate, RepoRecord};

/// Largest negotiation of a fetch, after unpacking.
const LARGEST_FETCH_REQUEST: u64 = 32 << 20;
/// Largest list of commands of a push.
const LARGEST_COMMANDS: usize = 4 << 20;

const RECEIVE_CAPABILITIES: &str = concat!(
    "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 ",
    "agent=catalyst-forge/",
    env!("CARGO_PKG_VERSION")
);

/// The routes of the transport.
pub fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/{owner}/{repo}/info/refs", get(info_refs))
        .route("/{owner}/{repo}/git-upload-pack", post(upload_pack))
        .route("/{owner}/{repo}/git-receive-pack", post(receive_pack))
        .with_state(inner)
}

#[derive(Deserialize)]
struct Service {
    service: Option<String>,
}

type Params = Path<(String, String)>;

async fn info_refs(
    State(inner): State<Arc<Inner>>,
    Path((owner, repo)): Params,
    Query(query): Query<Service>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let service = query.service.unwrap_or_default();
    let need = match service.as_str() {
        "git-upload-pack" => Permission::Read,
        "git-receive-pack" => Permission::Write,
        _ => {
            return Err(ApiError::new(
                403,
                "only the smart HTTP protocol is served; update git",
            ));
        }
    };
    let (record, _) = match admit(&inner, &headers, &owner, &repo, need).await {
        Ok(admitted) => admitted,
        Err(error) => return Ok(challenge(error)),
    };
    let repository = inner.git(&record);
    let protocol = protocol_of(&headers);
    let mut body = BytesMut::new();
    if need == Permission::Write {
        line(&mut body, b"# service=git-receive-pack\n");
        body.extend_from_slice(b"0000");
        advertise_for_push(&repository, &mut body).await?;
    } else {
        let version_2 = protocol.split(':').any(|word| word == "version=2");
        if !version_2 {
            line(&mut body, b"# service=git-upload-pack\n");
            body.extend_from_slice(b"0000");
        }
        let arguments = ["upload-pack", "--stateless-rpc", "--advertise-refs", "."];
        let mut command = upload_pack_command(&repository, &arguments);
        command.env("GIT_PROTOCOL", &protocol);
        let output = repository.output(command, &arguments, &[]).await?;
        if !output.status.success() {
            return Err(git::failed(&arguments, &output.stderr).into());
        }
        body.extend_from_slice(&output.stdout);
    }
    let kind = format!("application/x-{service}-advertisement");
    Ok(answer(&kind, Body::from(body.freeze())))
}

async fn upload_pack(
    State(inner): State<Arc<Inner>>,
    Path((owner, repo)): Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (record, _) = match admit(&inner, &headers, &owner, &repo, Permission::Read).await {
        Ok(admitted) => admitted,
        Err(error) => return Ok(challenge(error)),
    };
    require_kind(&headers, "application/x-git-upload-pack-request")?;
    let mut request = receive_body(&headers, body, LARGEST_FETCH_REQUEST);
    // What cannot be read at all is refused while the status can still say so.
    let first = loop {
        match request.recv().await {
            Some(Err(reason)) => return Err(ApiError::new(400, reason)),
            // The head of a compressed body is nothing by itself.
            Some(Ok(chunk)) if chunk.is_empty() => {}
            Some(Ok(chunk)) => break chunk,
            None => return Err(ApiError::new(400, "the request for objects is empty")),
        }
    };
    let repository = inner.git(&record);
    let arguments = ["upload-pack", "--stateless-rpc", "--timeout=600", "."];
    let mut command = upload_pack_command(&repository, &arguments);
    command
        .env("GIT_PROTOCOL", protocol_of(&headers))
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let start = |source| GitError::Start {
        command: "upload-pack".to_owned(),
        source,
    };
    let mut child = command.spawn().map_err(start)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(ApiError::internal("git upload-pack has no pipes"));
    };
    tokio::spawn(async move {
        let mut next = Some(Ok(first));
        while let Some(Ok(chunk)) = next {
            if stdin.write_all(&chunk).await.is_err() {
                break;
            }
            next = request.recv().await;
        }
    });
    // The process lives as long as its answer is being read: dropping the
    // stream, when the client goes away, ends it.
    let stream = ReaderStream::with_capacity(stdout, 64 << 10).map(move |chunk| {
        let _alive = &child;
        chunk
    });
    Ok(answer(
        "application/x-git-upload-pack-result",
        Body::from_stream(stream),
    ))
}

/// `upload-pack` takes the directory as its argument; the rest is as for any
/// other command.
fn upload_pack_command(repository: &Repository, arguments: &[&str]) -> tokio::process::Command {
    let mut command = repository.command(arguments);
    command.current_dir(repository.directory());
    command
}

async fn receive_pack(
    State(inner): State<Arc<Inner>>,
    Path((owner, repo)): Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (record, caller) = match admit(&inner, &headers, &owner, &repo, Permission::Write).await {
        Ok(admitted) => admitted,
        Err(error) => return Ok(challenge(error)),
    };
    let Some(caller) = caller else {
        return Ok(challenge(ApiError::new(
            401,
            "sign in with a token to push",
        )));
    };
    require_kind(&headers, "application/x-git-receive-pack-request")?;
    let kind = "application/x-git-receive-pack-result";
    let mut request = receive_body(&headers, body, inner.config.largest_push);
    let Some(commands) = read_commands(&mut request).await? else {
        return Ok(answer(kind, Body::empty()));
    };
    let (sender, receiver) = mpsc::channel::<Vec<u8>>(64);
    // On its own task: a change that was begun is finished, whether or not the
    // client waits for the answer.
    tokio::spawn(
        async move { serve_push(&inner, &record, &caller, commands, request, sender).await },
    );
    let stream = tokio_stream(receiver).map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
    Ok(answer(kind, Body::from_stream(stream)))
}

fn tokio_stream<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

/// What a push asks for.
struct Commands {
    updates: Vec<RefUpdate>,
    capabilities: Vec<String>,
    rest: Bytes,
}

impl Commands {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|word| word == capability)
    }
}

async fn read_commands(
    request: &mut mpsc::Receiver<Result<Bytes, String>>,
) -> Result<Option<Commands>, ApiError> {
    let mut buffer = BytesMut::new();
    let (mut updates, mut capabilities) = (Vec::new(), Vec::new());
    let mut first = true;
    loop {
        let packet = loop {
            if let Some(packet) = take_packet(&mut buffer)? {
                break packet;
            }
            if buffer.len() > LARGEST_COMMANDS {
                return Err(ApiError::new(413, "the push names too many refs"));
            }
            match request.recv().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(reason)) => return Err(ApiError::new(400, reason)),
                None => return Err(ApiError::new(400, "the push ends inside its commands")),
            }
        };
        let Some(packet) = packet else { break };
        let text = String::from_utf8(packet)
            .map_err(|_| ApiError::new(400, "a ref of the push is not valid UTF-8"))?;
        let mut text = text.trim_end_matches('\n');
        if text.starts_with("shallow ") {
            // The connectivity check decides whether the history suffices.
            continue;
        }
        if first {
            first = false;
            if let Some((command, words)) = text.split_once('\0') {
                capabilities = words.split_ascii_whitespace().map(str::to_owned).collect();
                text = command;
            }
        }
        let mut words = text.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(old), Some(new), Some(name))
                if git::read::is_object_id(old) && git::read::is_object_id(new) =>
            {
                let (name, old, new) = (name.to_owned(), old.to_owned(), new.to_owned());
                updates.push(RefUpdate { name, old, new });
            }
            _ => return Err(ApiError::new(400, "a command of the push cannot be read")),
        }
    }
    if updates.is_empty() {
        return Ok(None);
    }
    Ok(Some(Commands {
        updates,
        capabilities,
        rest: buffer.freeze(),
    }))
}

/// A packet from the front of the buffer: `None` when it is not complete,
/// `Some(None)` for a flush.
fn take_packet(buffer: &mut BytesMut) -> Result<Option<Option<Vec<u8>>>, ApiError> {
    let bad = || ApiError::new(400, "the push is not in packet format");
    let Some(head) = buffer.get(..4) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(head).map_err(|_| bad())?;
    let length = usize::from_str_radix(head, 16).map_err(|_| bad())?;
    match length {
        0 => {
            buffer.advance(4);
            Ok(Some(None))
        }
        1..=4 => Err(bad()),
        _ if buffer.len() < length => Ok(None),
        _ => {
            let packet = buffer.split_to(length);
            Ok(Some(Some(packet.get(4..).unwrap_or_default().to_vec())))
        }
    }
}

async fn serve_push(
    inner: &Inner,
    record: &RepoRecord,
    caller: &Caller,
    commands: Commands,
    mut request: mpsc::Receiver<Result<Bytes, String>>,
    sender: mpsc::Sender<Vec<u8>>,
) {
    let side_band = commands.has("side-band-64k");
    let quiet = commands.has("quiet");
    let report = commands.has("report-status") || commands.has("report-status-v2");
    let updates = commands.updates.clone();
    let (progress, mut lines) = mpsc::channel::<Vec<u8>>(32);
    let forward = async {
        while let Some(text) = lines.recv().await {
            if side_band && !quiet {
                let mut packets = BytesMut::new();
                band(&mut packets, 2, &text);
                let _ = sender.send(packets.to_vec()).await;
            }
        }
    };
    let work = async {
        let outcome = receive(inner, record, caller, commands, &mut request, &progress).await;
        drop(progress);
        // git reads the answer only once it has sent everything.
        while request.recv().await.is_some() {}
        outcome
    };
    let (outcome, ()) = tokio::join!(work, forward);
    let (messages, unpack, failure) = match outcome {
        Ok(messages) => (messages, "ok".to_owned(), None),
        Err(Failure::Pack(reason)) => (Vec::new(), reason, Some("unpacker error".to_owned())),
        Err(Failure::Refused(messages)) => (
            messages,
            "ok".to_owned(),
            Some("pre-receive check refused".to_owned()),
        ),
        Err(Failure::Other(reason)) => (Vec::new(), "ok".to_owned(), Some(reason)),
    };
    let mut answer = BytesMut::new();
    if side_band {
        for message in messages.iter().flat_map(|message| message.lines()) {
            let clean: String = message
                .chars()
                .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
                .collect();
            band(&mut answer, 2, format!("{clean}\n").as_bytes());
        }
    }
    if report {
        let mut status = BytesMut::new();
        line(&mut status, format!("unpack {unpack}\n").as_bytes());
        for update in &updates {
            let text = match &failure {
                None => format!("ok {}\n", update.name),
                Some(reason) => format!("ng {} {reason}\n", update.name),
            };
            line(&mut status, text.as_bytes());
        }
        status.extend_from_slice(b"0000");
        if side_band {
            band(&mut answer, 1, &status);
        } else {
            answer.extend_from_slice(&status);
        }
    }
    if side_band {
        answer.extend_from_slice(b"0000");
    }
    let _ = sender.send(answer.to_vec()).await;
}

/// Why a push failed, in the terms of its report.
enum Failure {
    Pack(String),
    Refused(Vec<String>),
    Other(String),
}

async fn receive(
    inner: &Inner,
    record: &RepoRecord,
    caller: &Caller,
    commands: Commands,
    request: &mut mpsc::Receiver<Result<Bytes, String>>,
    progress: &mpsc::Sender<Vec<u8>>,
) -> Result<Vec<String>, Failure> {
    let internal = |error: GitError| {
        tracing::error!(error = %error, repository = record.full_name(), "push not handled");
        hidden(&error)
    };
    let repository = inner.git(record);
    let quarantine =
        Quarantine::open(&inner.quarantine_directory(), &repository).map_err(internal)?;
    let rules = check_rules(record, &commands.updates);
    let has_pack = commands
        .updates
        .iter()
        .any(|update| update.new != git::ZERO);
    if has_pack {
        let (sender, receiver) = mpsc::channel(16);
        let mut broken = None;
        let feed = async {
            let _ = sender.send(commands.rest.clone()).await;
            while let Some(chunk) = request.recv().await {
                match chunk {
                    Ok(chunk) => drop(sender.send(chunk).await),
                    Err(reason) => broken = Some(reason),
                }
            }
            drop(sender);
        };
        let largest = inner.config.largest_push;
        let pack = index_pack(&quarantine, &repository, receiver, largest, progress);
        let ((), indexed) = tokio::join!(feed, pack);
        if let Some(reason) = broken {
            return Err(Failure::Pack(one_line(&reason)));
        }
        match indexed {
            Ok(()) => {}
            Err(GitError::Failed { message, .. }) => return Err(Failure::Pack(one_line(&message))),
            Err(error) => return Err(internal(error)),
        }
    }
    rules?;
    let change = Change {
        repo: record,
        caller,
        updates: commands.updates,
        merge: None,
    };
    push::apply(inner, change, quarantine)
        .await
        .map_err(|error| match error {
            PushError::Refused(messages) => Failure::Refused(messages),
            PushError::Moved(_) => Failure::Other("fetch first: the ref has moved".to_owned()),
            other => {
                tracing::error!(
                    error = &other as &dyn std::error::Error,
                    repository = record.full_name(),
                    "push failed"
                );
                hidden(&other)
            }
        })
}

/// What is inside a failure stays there; that there is no room does not.
fn hidden(error: &(dyn std::error::Error + 'static)) -> Failure {
    let reason = if disk_is_full(error) {
        "the forge's disk is full; free space and push again"
    } else {
        "internal error of the forge"
    };
    Failure::Other(reason.to_owned())
}

/// Rules of the forge itself.
fn check_rules(record: &RepoRecord, updates: &[RefUpdate]) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::Refused(vec![text]));
    for RefUpdate { name, old, new } in updates {
        if let Err(error) = names::check_ref(name) {
            return refuse(error.to_string());
        }
        let writable = ["refs/heads/", "refs/tags/", "refs/notes/"];
        if !writable.iter().any(|prefix| name.starts_with(prefix)) {
            return refuse(format!(
                "{name} is kept by the forge; push to refs/heads or refs/tags"
            ));
        }
        if new == git::ZERO && *name == format!("refs/heads/{}", record.default_branch) {
            return refuse(format!(
                "{name} is the default branch and cannot be deleted"
            ));
        }
        if new == git::ZERO && old == git::ZERO {
            return refuse(format!("{name} does not exist"));
        }
    }
    Ok(())
}

async fn advertise_for_push(repository: &Repository, body: &mut BytesMut) -> Result<(), ApiError> {
    let refs = repository.references("refs/").await?;
    let mut first = true;
    for found in refs
        .iter()
        .filter(|found| !found.name.starts_with("refs/pull/"))
    {
        let text = if first {
            format!("{} {}\0{RECEIVE_CAPABILITIES}\n", found.object, found.name)
        } else {
            format!("{} {}\n", found.object, found.name)
        };
        first = false;
        line(body, text.as_bytes());
    }
    if first {
        line(
            body,
            format!("{} capabilities^{{}}\0{RECEIVE_CAPABILITIES}\n", git::ZERO).as_bytes(),
        );
    }
    body.extend_from_slice(b"0000");
    Ok(())
}

/// Finds the repository for a caller who may use it that way.
async fn admit(
    inner: &Inner,
    headers: &HeaderMap,
    owner: &str,
    repo: &str,
    need: Permission,
) -> Result<(RepoRecord, Option<Caller>), ApiError> {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let caller = access::authenticate(inner, header).await?;
    let name = repo.strip_suffix(".git").unwrap_or(repo);
    if let Some(caller) = &caller
        && !caller.has_scope("repository", need > Permission::Read)
    {
        return Err(ApiError::new(
            403,
            "the token's scope does not cover repositories",
        ));
    }
    match access::repository(inner, caller.as_ref(), owner, name, need) {
        Ok(record) => Ok((record, caller)),
        // git asks for credentials only when told to; who has shown none
        // learns nothing about what exists.
        Err(_) if caller.is_none() => Err(ApiError::new(401, "sign in with a token")),
        Err(error) => Err(error),
    }
}

/// The answer to somebody who may not.
fn challenge(error: ApiError) -> Response {
    let mut response = (error.status(), error.message().to_owned()).into_response();
    if error.status() == StatusCode::UNAUTHORIZED {
        let value = header::HeaderValue::from_static("Basic realm=\"Catalyst\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn answer(kind: &str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CACHE_CONTROL,
            "no-cache, max-age=0, must-revalidate".to_owned(),
        ),
    ];
    (headers, body).into_response()
}

/// Git names what it sends (http-protocol(5)); a form of a browser cannot.
fn require_kind(headers: &HeaderMap, wanted: &str) -> Result<(), ApiError> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if given == Some(wanted) {
        return Ok(());
    }
    Err(ApiError::new(
        415,
        format!("the request is not of the type {wanted}"),
    ))
}

fn protocol_of(headers: &HeaderMap) -> String {
    let value = headers
        .get("git-protocol")
        .and_then(|value| value.to_str().ok());
    let harmless = |c: char| c.is_ascii_alphanumeric() || ":=.-".contains(c);
    value
        .unwrap_or_default()
        .chars()
        .filter(|c| harmless(*c))
        .take(256)
        .collect()
}

fn line(body: &mut BytesMut, data: &[u8]) {
    body.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    body.extend_from_slice(data);
}

fn band(body: &mut BytesMut, number: u8, data: &[u8]) {
    for chunk in data.chunks(65_515) {
        body.extend_from_slice(format!("{:04x}", chunk.len() + 5).as_bytes());
        body.extend_from_slice(&[number]);
        body.extend_from_slice(chunk);
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect()
}

/// The request's body, unpacked where it is gzip, at most `largest` bytes.
fn receive_body(
    headers: &HeaderMap,
    body: Body,
    largest: u64,
) -> mpsc::Receiver<Result<Bytes, String>> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let gzip = encoding.is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "x-gzip");
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut decoder = gzip.then(|| flate2::write::GzDecoder::new(Vec::new()));
        let mut stream = body.into_data_stream();
        let mut total = 0_u64;
        loop {
            let chunk = stream.next().await;
            let ended = chunk.is_none();
            let piece = match (chunk, &mut decoder) {
                (Some(Err(error)), _) => Err(format!("the request broke off: {error}")),
                (Some(Ok(chunk)), None) => Ok(chunk),
                (None, None) => return,
                (Some(Ok(chunk)), Some(decoder)) => inflate(decoder, &chunk),
                (None, Some(decoder)) => {
                    let finished = decoder.try_finish().map_err(|e| format!("bad gzip: {e}"));
                    finished.map(|()| Bytes::from(std::mem::take(decoder.get_mut())))
                }
            };
            let piece = piece.and_then(|piece| {
                total += piece.len() as u64;
                if total > largest {
                    return Err(format!("the request is larger than {largest} bytes"));
                }
                Ok(piece)
            });
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed || ended {
                return;
            }
        }
    });
    receiver
}

fn inflate(decoder: &mut flate2::write::GzDecoder<Vec<u8>>, chunk: &[u8]) -> Result<Bytes, String> {
    decoder
        .write_all(chunk)
        .map_err(|error| format!("bad gzip: {error}"))?;
    Ok(Bytes::from(std::mem::take(decoder.get_mut())))
}
