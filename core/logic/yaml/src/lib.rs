//! YAML as Kubernetes reads it and as Go writes it.
