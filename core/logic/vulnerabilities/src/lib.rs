//! Known vulnerabilities: records in the OSV schema and bills of materials in,
//! findings out.
//!
//! Called by `catalyst blueprint scan`, and by the gateway for what a Sovereign knows
//! of its Blueprints and Applications. Who calls reads the files.
//!
//! What must stay true:
//! - What was not compared is never silent: components without a version, ecosystems
//!   that the database does not have, versions that nobody can put in order, images
//!   whose packages are not listed become gaps ([`VulnerabilityReport::gaps`]).
//! - A record that is withdrawn finds nothing; one that cannot be read spoils the
//!   database, since nobody can tell what it would have found.
//! - What is kept of a database, and what is made of a bill, is bounded.
//!
//! Versions are put in order as their ecosystem does it ([`Order`]); an ecosystem whose
//! order is not known here matches by the versions that a record lists, and ranges of
//! it become gaps. Ranges of Git commits are passed over: nothing here has commits.
//!
//! [`VulnerabilityReport::gaps`]: catalyst_api::VulnerabilityReport::gaps

mod bill;
mod index;
mod order;
mod package;
mod range;
mod record;
mod report;
mod sarif;
mod severity;

pub use bill::{Bill, BillError, Component};
pub use index::{Answer, Builder, Index, Match};
pub use order::Order;
pub use package::Package;
pub use record::RecordError;
pub use report::{Part, database, report, unsigned_bill};
pub use sarif::sarif;
