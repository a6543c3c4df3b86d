//! Checks that the crates depend on each other only as the architecture allows.
