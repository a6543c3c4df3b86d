//! Runs pods as containers from OCI images.
