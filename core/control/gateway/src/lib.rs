//! The gateway: REST, the live stream, sign-in, the console's files.
#![allow(dead_code)]
mod authentication;
mod body;
mod caller;
mod kubeconfig;
mod logs;
mod membership;
mod openapi;
mod parts;
mod problem;
mod routes;
mod stream;

pub use kubeconfig::VclusterAccess;
pub use openapi::openapi;
use problem::Refusal;
use std::sync::Arc;

/// A handle to the gateway; clones share it.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}
struct Inner {
    commands: parts::Commands,
    projector: parts::Projector,
}
#[allow(dead_code, clippy::unused_async)]
impl Gateway {
    fn commands(&self) -> &parts::Commands {
        &self.inner.commands
    }
    fn projector(&self) -> &parts::Projector {
        &self.inner.projector
    }
    fn credential(
        &self,
        _m: &http::Method,
        _h: &http::HeaderMap,
    ) -> Result<authentication::Credential, Refusal> {
        Err(Refusal::unauthenticated("Not yet."))
    }
    async fn caller(&self, _c: authentication::Credential) -> Result<caller::Caller, Refusal> {
        Err(Refusal::unauthenticated("Not yet."))
    }
    async fn sovereign_view(&self) -> Result<catalyst_api::SovereignView, Refusal> {
        Err(Refusal::unavailable("", ""))
    }
    async fn users(&self) -> Result<Vec<catalyst_api::UserView>, Refusal> {
        Err(Refusal::unavailable("", ""))
    }
    async fn organizations(&self) -> Result<membership::Organizations, Refusal> {
        Err(Refusal::unavailable("", ""))
    }
    fn forget_callers(&self) {}
    fn vclusters(&self) -> &VclusterAccess {
        unreachable!()
    }
    fn webhook_is_genuine(&self, _p: &[u8], _s: &[u8]) -> bool {
        false
    }
    fn check_token(&self) -> &[u8] {
        b""
    }
    async fn git_pushed(&self, _e: serde_json::Value) -> Result<(), Refusal> {
        Ok(())
    }
    async fn push_checked(
        &self,
        _e: serde_json::Value,
    ) -> Result<routes::hooks::PushAnswer, Refusal> {
        Err(Refusal::unavailable("", ""))
    }
    /// Everything, from the root.
    pub fn router(&self) -> axum::Router {
        routes::router().with_state(self.clone())
    }
}
