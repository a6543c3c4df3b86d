//! Structural schemas: default, prune, validate.
