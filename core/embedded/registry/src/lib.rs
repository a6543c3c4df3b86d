//! An OCI distribution registry.
