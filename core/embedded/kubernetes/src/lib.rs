//! A Kubernetes API with logical clusters.
