//! A Git forge: smart HTTP and Gitea's REST shapes.
