//! Server-side apply, strategic and JSON merge, and diff of Kubernetes objects.
