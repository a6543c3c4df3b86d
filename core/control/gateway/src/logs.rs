//! logs
use crate::{Gateway, caller::Caller, problem::Refusal, routes::applications::LogQuery};
use axum::response::Response;
use catalyst_api::*;
pub async fn answer(
    _gateway: &Gateway,
    _caller: Caller,
    _view: &EnvironmentView,
    _application: &ApplicationView,
    _query: LogQuery,
) -> Result<Response, Refusal> {
    Err(Refusal::unavailable("Read logs", "Not yet."))
}
