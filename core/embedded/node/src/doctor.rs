//! What this machine can and cannot run, found out by trying.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::Serialize;

use crate::cgroup::Cgroups;
use crate::sandbox::Sandbox;
use crate::shim::spec::{Ids, SandboxSpec};

/// First machine id of the 65,536 that containers use when the node is root.
pub const DEFAULT_BASE: u32 = 1_879_048_192;

/// One thing tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// Whether it works.
    pub works: bool,
    /// Why not, or how; and what to do about it.
    pub detail: String,
}

/// What the machine offers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether pods can run at all.
    pub can_run: bool,
    /// Whether containers have a range of users of their own.
    pub has_user_range: bool,
    /// Everything tried.
    pub findings: Vec<Finding>,
}

/// Tries what containers need, in `folder`, with the shim that will be used.
pub async fn examine(shim: &Path, folder: &Path) -> Report {
    let mut findings = Vec::new();
    let is_root = rustix::process::geteuid().is_root();
    let mut has_user_range = false;
    if is_root {
        let tried = try_sandbox(shim, folder, Ids::Ranged { base: DEFAULT_BASE }).await;
        has_user_range = tried.is_ok();
        findings.push(Finding {
            what: "containers with a range of users".to_owned(),
            works: has_user_range,
            detail: tried
                .err()
                .unwrap_or_else(|| format!("ids {DEFAULT_BASE} and up")),
        });
    } else {
        findings.push(Finding {
            what: "containers with a range of users".to_owned(),
            works: false,
            detail: "needs root; as an ordinary user a container has one user, the one named by runAsUser".to_owned(),
        });
    }
    let mut can_run = has_user_range;
    if !has_user_range {
        let tried = try_sandbox(shim, folder, Ids::Single { uid: 0, gid: 0 }).await;
        can_run = tried.is_ok();
        findings.push(Finding {
            what: "user, network, IPC and host name namespaces".to_owned(),
            works: can_run,
            detail: tried.err().unwrap_or_default(),
        });
    }
    let overlay = std::fs::read_to_string("/proc/filesystems")
        .is_ok_and(|text| text.lines().any(|l| l.ends_with("\toverlay")));
    findings.push(Finding {
        what: "overlayfs".to_owned(),
        works: overlay,
        detail: if overlay {
            String::new()
        } else {
            "the kernel does not list overlay in /proc/filesystems; load it with: modprobe overlay"
                .to_owned()
        },
    });
    let missing = Cgroups::detect().missing().to_vec();
    findings.push(Finding {
        what: "resource limits".to_owned(),
        works: missing.is_empty(),
        detail: missing.join("; "),
    });
    Report {
        can_run: can_run && overlay,
        has_user_range,
        findings,
    }
}

async fn try_sandbox(shim: &Path, folder: &Path, ids: Ids) -> Result<(), String> {
    let folder = folder.join(format!("doctor-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).map_err(|e| format!("create {}: {e}", folder.display()))?;
    let (state, socket) = Sandbox::files(&folder);
    let spec = SandboxSpec {
        ids,
        hostname: "doctor".to_owned(),
        address: Ipv4Addr::new(10, 244, 0, 1),
        addresses: vec![(Ipv4Addr::new(10, 244, 255, 254), 16)],
        socket,
        state,
    };
    let started = Sandbox::start(shim, &folder, &spec, Ipv4Addr::new(10, 244, 0, 1)).await;
    if let Ok(sandbox) = &started {
        sandbox.end().await;
    }
    let _ = std::fs::remove_dir_all(&folder);
    started.map(drop).map_err(|e| e.to_string())
}

/// The usual reasons a kernel refuses user namespaces.
pub(crate) fn advice() -> String {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map(|t| t.trim().to_owned())
            .unwrap_or_default()
    };
    if read("/proc/sys/user/max_user_namespaces") == "0" {
        return "User namespaces are switched off; allow them with: sysctl -w user.max_user_namespaces=15000".to_owned();
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "Only root may create user namespaces; allow it with: sysctl -w kernel.unprivileged_userns_clone=1".to_owned();
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "AppArmor restricts user namespaces; allow them with: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned();
    }
    "Inside another container, allow user namespaces and mounts there, or run on the machine itself"
        .to_owned()
}
