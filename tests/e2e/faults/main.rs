//! What goes wrong from outside: a taken port, a foreign or full disk, a clock
//! that jumps, a machine without namespaces, charts and images that do not
//! work, vclusters taken away under a deletion, requests nobody should send,
//! connections nobody closes, power cuts, and a control plane killed while it
//! provisions another Sovereign.
//! Each gives a clear error, exits or degrades cleanly, and loses nothing.
//!
//! Drives `catalyst up` from outside, as the first story does; what this machine
//! cannot make is named on standard error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod applications;
mod clock;
mod deletion;
mod disk;
mod namespaces;
mod power;
mod provisioning;
mod requests;
mod start;
mod stop;

// What this program does not use of the helpers, another one does.
#[allow(dead_code)]
#[path = "../support/browser.rs"]
mod browser;
#[allow(dead_code)]
#[path = "../support/pods.rs"]
mod pods;
#[allow(dead_code)]
#[path = "../support/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../support/registry.rs"]
mod registry;
#[allow(dead_code)]
#[path = "../support/sovereign.rs"]
mod sovereign;
#[allow(dead_code)]
#[path = "../support/user.rs"]
mod user;

use serde_json::json;

use sovereign::Sovereign;
use user::User;

/// Whatever uses TLS needs one provider for the whole process.
fn begin() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The first sovereign-admin, signed in.
async fn admin(sovereign: &Sovereign) -> User {
    let link = sovereign.address("signIn").to_owned();
    User::join(sovereign, "sovereign-admin", &link).await
}

/// An Organization `acme` with its Environment `acme-dev`, both running.
async fn acme_dev(admin: &mut User) {
    admin.post("/organizations", json!({"name": "acme"})).await;
    admin.until_phase("/organizations/acme", "Running").await;
    admin
        .post(
            "/organizations/acme/environments",
            json!({"envType": "dev"}),
        )
        .await;
    admin.until_phase("/environments/acme-dev", "Running").await;
}
