//! The same cases on a stand-in and on the part it stands for.
//!
//! A case says what the real part does. On the stand-in, the ledger
//! `<part>/differences.txt` names the cases that do not hold there yet, with the
//! reason; on the real part every case holds. Without more, only the stand-ins
//! are asked, in this process; `tests/real/<part>/run` starts a real part, names
//! it in the environment (see each part's module) and runs the same cases on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod flux;
mod forge;
mod kubernetes;
mod suite;
