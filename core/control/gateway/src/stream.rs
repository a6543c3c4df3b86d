//! stream
use crate::caller::Caller;
use crate::problem::Refusal;
use axum::response::Response;
use catalyst_api::StreamItem;

/// What changes in the read model, as it changes. Events are named `change`
/// (`data` is a StreamItem) or `reset` (read everything anew); `id` is the
/// position to send as `Last-Event-ID` when coming back.
#[utoipa::path(get, path = "/api/v1/stream", tag = "stream", operation_id = "stream_get",
    params(("Last-Event-ID" = Option<String>, Header, description = "The position to go on from.")),
    responses((status = 200, description = "Events; `data` of each `change` is a StreamItem.", body = StreamItem, content_type = "text/event-stream")))]
pub async fn stream_get(caller: Caller) -> Result<Response, Refusal> {
    drop(caller);
    Err(Refusal::unavailable("Follow changes", "Not yet."))
}
