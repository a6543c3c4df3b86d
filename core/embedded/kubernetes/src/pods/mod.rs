//! The way to running pods: logs, commands, connections to ports. What runs them is
//! the binary's choice, behind [`PodBackend`]. All end when whoever opened them loses
//! the right.

mod command;
mod exec;
mod forward;
mod port;
mod spdy;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::Message;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::request::Parts;
use http::{HeaderValue, header};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::catalog::Resource;
use crate::context::Context;
use crate::object::{array, text};
use crate::standing::{Guard, LONGEST};
use crate::status::ApiError;

/// How long a client that is cut off may take to hear why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Which log to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Logical cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// Container.
    pub container: String,
    /// Keep the stream open for new lines.
    pub follow: bool,
    /// The container's previous run.
    pub previous: bool,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only lines of the last seconds.
    pub since_seconds: Option<u64>,
    /// Only lines from this time on, as RFC 3339 has it.
    pub since_time: Option<String>,
    /// Stop after this many bytes.
    pub limit_bytes: Option<u64>,
}

/// What to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Logical cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// Container.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether input will come.
    pub stdin: bool,
    /// Whether to give the program a terminal.
    pub tty: bool,
}

/// Which port of a pod to connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortRequest {
    /// Logical cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The port, on the pod's loopback address.
    pub port: u16,
}

/// What carries bytes both ways.
pub trait PortStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PortStream for T {}

/// A connection to a port of a pod.
pub type PortConnection = Box<dyn PortStream>;

/// A running command. Dropping the session before its exit code has come ends
/// the command: nobody is left to see what it does.
pub struct ExecSession {
    /// Its input; dropping the sender ends the input.
    pub stdin: mpsc::Sender<Bytes>,
    /// Its output.
    pub stdout: mpsc::Receiver<Bytes>,
    /// Its error output.
    pub stderr: mpsc::Receiver<Bytes>,
    /// Its exit code, or why there is none.
    pub exit: oneshot::Receiver<Result<i32, String>>,
    /// Terminal sizes, as columns and rows.
    pub resize: mpsc::Sender<(u16, u16)>,
}

/// Why a log or a command is not available.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The container has not started, or no longer exists.
    #[error("container {container:?} in pod {pod:?} is not available: {reason}")]
    Unavailable {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
        /// Why.
        reason: String,
    },
    /// The container does not run, so nothing can be run in it.
    #[error("container not found ({container:?})")]
    NotRunning {
        /// The container.
        container: String,
    },
    /// The node failed.
    #[error("the node could not serve pod {pod:?}: {reason}")]
    Failed {
        /// The pod.
        pod: String,
        /// Why.
        reason: String,
    },
}

impl From<PodError> for ApiError {
    fn from(error: PodError) -> Self {
        match error {
            PodError::Unavailable { .. } => Self::bad_request(error.to_string()),
            PodError::NotRunning { container } => Self::container_not_found(&container),
            PodError::Failed { .. } => Self::internal(error.to_string()),
        }
    }
}

/// What a log read gives: bytes as they come.
pub type LogStream = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// What reaches running pods; implemented over the node.
pub trait PodBackend: Send + Sync + 'static {
    /// Opens a container's log.
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, PodError>>;
    /// Starts a command in a container.
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<ExecSession, PodError>>;
    /// Connects to a port of a pod.
    fn connect(&self, request: PortRequest) -> BoxFuture<'_, Result<PortConnection, PodError>>;
}

/// Whether the request is served by a stream instead of an object.
pub(crate) fn is_stream(resource: &Resource, subresource: &str) -> bool {
    resource.storage == "pods"
        && matches!(
            subresource,
            "log" | "exec" | "attach" | "portforward" | "proxy"
        )
}

/// Serves `pods/log`, `pods/exec` and `pods/portforward`.
pub(crate) async fn serve(
    context: &Context,
    parts: &mut Parts,
    mut guard: Guard,
) -> Result<Response, ApiError> {
    let pod = context
        .inner
        .read_key(&context.key(&context.name))
        .ok_or_else(|| context.not_found())?;
    let backend = context
        .inner
        .config
        .pods
        .clone()
        .ok_or_else(|| ApiError::unavailable("no node runs pods for this API server"))?;
    let params = &context.params;
    let is_log = context.subresource == "log";
    if !is_log && text(&pod, "/spec/nodeName").is_empty() {
        return Err(ApiError::bad_request(format!(
            "pod {} does not have a host assigned",
            context.name
        )));
    }
    if context.subresource == "portforward" {
        let request = PortRequest {
            cluster: context.cluster.clone(),
            namespace: context.namespace.clone(),
            pod: context.name.clone(),
            uid: crate::object::uid(&pod).to_owned(),
            port: 0,
        };
        let target = port::Target { backend, request };
        return forward::serve(params, parts, target, guard).await;
    }
    let container = container(context, &pod)?;
    match context.subresource.as_str() {
        "log" => {
            let request = LogRequest {
                cluster: context.cluster.clone(),
                namespace: context.namespace.clone(),
                pod: context.name.clone(),
                uid: crate::object::uid(&pod).to_owned(),
                container,
                follow: params.flag("follow"),
                previous: params.flag("previous"),
                timestamps: params.flag("timestamps"),
                tail_lines: params.get("tailLines").parse().ok(),
                since_seconds: params.get("sinceSeconds").parse().ok(),
                since_time: Some(params.get("sinceTime"))
                    .filter(|time| !time.is_empty())
                    .map(str::to_owned),
                limit_bytes: params.get("limitBytes").parse().ok(),
            };
            if let Some(why) = log_missing(&pod, &request) {
                return Err(ApiError::bad_request(why));
            }
            let stream = backend.logs(request).await?;
            // A log has no place for a reason; a new request is told it.
            let over = async move { drop(guard.ended_within(LONGEST).await) };
            let stream = stream.take_until(over);
            let mut response = Body::from_stream(stream).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Ok(response)
        }
        "exec" => {
            let request = ExecRequest {
                cluster: context.cluster.clone(),
                namespace: context.namespace.clone(),
                pod: context.name.clone(),
                uid: crate::object::uid(&pod).to_owned(),
                container,
                command: params.all("command"),
                stdin: params.flag("stdin"),
                tty: params.flag("tty"),
            };
            exec::serve(params, parts, request, backend, guard).await
        }
        "attach" if !is_running(&pod, &container) => Err(ApiError::container_not_found(&container)),
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Whether a container runs, by what the pod's status says of it.
fn is_running(pod: &Value, container: &str) -> bool {
    status_of(pod, container).is_some_and(|status| status.pointer("/state/running").is_some())
}

/// What a pod's status says of a container.
fn status_of<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .flat_map(|list| array(pod, list))
        .find(|one| text(one, "/name") == container)
}

fn container(context: &Context, pod: &Value) -> Result<String, ApiError> {
    let asked = context.params.get("container");
    let all: Vec<&str> = ["/spec/containers", "/spec/initContainers"]
        .iter()
        .flat_map(|list| array(pod, list))
        .map(|one| text(one, "/name"))
        .collect();
    if !asked.is_empty() {
        if all.contains(&asked) {
            return Ok(asked.to_owned());
        }
        return Err(ApiError::bad_request(format!(
            "container {asked} is not valid for pod {}",
            context.name
        )));
    }
    let default = pod
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1default-container")
        .and_then(Value::as_str)
        .filter(|name| all.contains(name));
    let running = array(pod, "/spec/containers");
    match (default, running) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [one]) => Ok(text(one, "/name").to_owned()),
        _ => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            context.name,
            all.join(" ")
        ))),
    }
}

/// Why there is no log to read, as a kubelet says it (`validateContainerLogStatus` of
/// `k8s.io/kubernetes/pkg/kubelet`). Of a container of which the status says nothing,
/// whoever runs it knows more, unless the pod as a whole could not be begun.
fn log_missing(pod: &Value, request: &LogRequest) -> Option<String> {
    let (name, container) = (&request.pod, &request.container);
    let Some(status) = status_of(pod, container) else {
        let why = text(pod, "/status/reason");
        let is_kept = text(pod, "/status/phase") == "Pending" && !why.is_empty();
        return is_kept.then(|| {
            format!("container {container:?} in pod {name:?} is waiting to start: {why}")
        });
    };
    let has_ended = status.pointer("/lastState/terminated").is_some();
    if request.previous {
        let missing =
            format!("previous terminated container {container:?} in pod {name:?} not found");
        return (!has_ended).then_some(missing);
    }
    let waiting = status.pointer("/state/waiting").filter(|_| !has_ended)?;
    let why = match text(waiting, "/reason") {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        reason => reason,
    };
    Some(format!(
        "container {container:?} in pod {name:?} is waiting to start: {why}"
    ))
}

fn channel(number: u8, bytes: &[u8]) -> Message {
    let mut framed = Vec::with_capacity(bytes.len() + 1);
    framed.push(number);
    framed.extend_from_slice(bytes);
    Message::Binary(framed.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logs_that_are_not_there_and_why() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "long"}});
        let ended = || json!({"terminated": {"exitCode": 1}});
        let none = || json!({});
        let waits = "container \"c\" in pod \"p\" is waiting to start: ";
        let creating = format!("{waits}ContainerCreating");
        let failed = format!("{waits}image can't be pulled");
        let again = format!("{waits}trying and failing to pull image");
        let previous = "previous terminated container \"c\" in pod \"p\" not found";
        for (state, last, wants_previous, expected) in [
            (
                waiting("ContainerCreating"),
                none(),
                false,
                Some(creating.as_str()),
            ),
            (
                waiting("ErrImagePull"),
                none(),
                false,
                Some(failed.as_str()),
            ),
            (
                waiting("ImagePullBackOff"),
                none(),
                false,
                Some(again.as_str()),
            ),
            (waiting("CrashLoopBackOff"), ended(), false, None),
            (waiting("CrashLoopBackOff"), ended(), true, None),
            (json!({"running": {}}), none(), false, None),
            (json!({"running": {}}), none(), true, Some(previous)),
            (ended(), none(), false, None),
        ] {
            for list in ["containerStatuses", "initContainerStatuses"] {
                let status = json!([{"name": "c", "state": state, "lastState": last}]);
                let pod = json!({"status": {list: status}});
                let request = |container: &str| LogRequest {
                    pod: "p".to_owned(),
                    container: container.to_owned(),
                    previous: wants_previous,
                    ..LogRequest::default()
                };
                let said = log_missing(&pod, &request("c"));
                assert_eq!(said.as_deref(), expected, "{pod}");
                assert_eq!(log_missing(&pod, &request("other")), None);
            }
        }
        // Nothing of it could be begun.
        let reason = "CreateContainerConfigError";
        let kept = json!({"status": {"phase": "Pending", "reason": reason}});
        let request = LogRequest {
            pod: "p".to_owned(),
            container: "c".to_owned(),
            ..LogRequest::default()
        };
        assert_eq!(
            log_missing(&kept, &request),
            Some(format!("{waits}{reason}"))
        );
        let new = json!({"status": {"phase": "Pending"}});
        assert_eq!(log_missing(&new, &request), None);
    }
}
