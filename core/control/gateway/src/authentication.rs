//! auth
/// How a caller was recognised.
#[derive(Clone)]
pub enum Credential {
    Bearer(std::sync::Arc<str>),
}
