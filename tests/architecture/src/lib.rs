//! Checks that the crates depend on each other only as the architecture allows.
//! The rules stand in `docs/ARCHITECTURE.md`; the check is `tests/tiers.rs`.
