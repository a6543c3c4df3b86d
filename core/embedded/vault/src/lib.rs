//! KV v2 over the Vault HTTP API.
