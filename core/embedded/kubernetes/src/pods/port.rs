//! One connection to a port of a pod, whatever the protocol by which a client
//! speaks through it. What must stay true: neither side can make more wait than a
//! few pieces; whatever happens, the client hears of the end once.

use std::sync::Arc;

use axum::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{PodBackend, PortConnection, PortRequest};

/// The largest piece in which bytes go from a pod.
pub(super) const PIECE: usize = 16 * 1024;
/// How many pieces may wait on either side.
pub(super) const WAITING: usize = 16;

/// The pod whose ports are forwarded.
#[derive(Clone)]
pub(super) struct Target {
    pub backend: Arc<dyn PodBackend>,
    /// What is asked for, but for the port.
    pub request: PortRequest,
}

/// What a client says. When it can say no more, without [`ToPod::End`] before, it is
/// gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToPod {
    Bytes(Bytes),
    /// There is no more to come.
    End,
}

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromPod {
    Bytes(Bytes),
    /// There is no connection, and why; nothing follows.
    Failed(String),
    /// The connection is over; nothing follows.
    End,
}

/// Connects to a port and carries bytes until either side is gone. What the client
/// is told goes to `output`, as `told` makes it.
pub(super) async fn carry<T>(
    target: &Target,
    port: u16,
    mut input: mpsc::Receiver<ToPod>,
    output: mpsc::Sender<T>,
    told: impl Fn(FromPod) -> T,
) {
    let request = PortRequest {
        port,
        ..target.request.clone()
    };
    let last = match target.backend.connect(request).await {
        Ok(connection) => {
            let pieces = |bytes| told(FromPod::Bytes(bytes));
            talk(connection, &mut input, &output, pieces).await;
            FromPod::End
        }
        Err(error) => FromPod::Failed(format!(
            "error forwarding port {port} to pod {}, uid {}: {error}",
            target.request.pod, target.request.uid
        )),
    };
    // A client that is gone needs not be told.
    drop(output.send(told(last)).await);
}

async fn talk<T>(
    connection: PortConnection,
    input: &mut mpsc::Receiver<ToPod>,
    output: &mpsc::Sender<T>,
    piece: impl Fn(Bytes) -> T,
) {
    let (mut from, mut to) = tokio::io::split(connection);
    let to_pod = async {
        // A pod that takes no more may still have something to say.
        let mut is_open = true;
        while let Some(said) = input.recv().await {
            match said {
                ToPod::Bytes(bytes) if is_open => is_open = to.write_all(&bytes).await.is_ok(),
                ToPod::End if is_open => {
                    is_open = false;
                    drop(to.shutdown().await);
                }
                ToPod::Bytes(_) | ToPod::End => {}
            }
        }
    };
    let from_pod = async {
        let mut buffer = vec![0; PIECE];
        // A connection that the pod breaks is over, as one that it ends is.
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if output.send(piece(bytes)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = from_pod => {}
    }
}
