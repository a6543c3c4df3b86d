//! Clients of the parts.
