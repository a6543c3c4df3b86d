//! Helm charts and values in, manifests out.
