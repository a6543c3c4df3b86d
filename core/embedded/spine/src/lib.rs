//! A durable ordered log per Environment, with cursors and a KV.
