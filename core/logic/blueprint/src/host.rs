//! What of the machine they run on a Blueprint's pods take, as it declares it.
//!
//! Applications share machines with strangers, so lint lets nothing through that is
//! not declared with its reason, and whoever installs is shown what is.

use serde::{Deserialize, Serialize};

/// Something of the machine that pods take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAccess {
    /// What.
    pub kind: HostAccessKind,
    /// Why the Blueprint cannot do without it, for whoever installs it.
    pub reason: String,
    /// For `hostPath`: the folders and files, absolute; what lies below one counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// For `hostPort`: the ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
}

/// What pods may take of a machine, by the field of the pod that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HostAccessKind {
    /// Its network, as its own processes have it.
    #[serde(rename = "hostNetwork")]
    Network,
    /// Its processes.
    #[serde(rename = "hostPID")]
    Processes,
    /// Its memory that processes share.
    #[serde(rename = "hostIPC")]
    SharedMemory,
    /// Its files.
    #[serde(rename = "hostPath")]
    Path,
    /// Everything.
    #[serde(rename = "privileged")]
    Privileged,
    /// Its ports.
    #[serde(rename = "hostPort")]
    Port,
}

/// Something of the machine that a pod was seen to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostUse<'a> {
    /// What is taken as a whole.
    Whole(HostAccessKind),
    /// A folder or file.
    Path(&'a str),
    /// A port.
    Port(u64),
}

impl HostAccessKind {
    /// The field of a pod or container that takes it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Network => "hostNetwork",
            Self::Processes => "hostPID",
            Self::SharedMemory => "hostIPC",
            Self::Path => "hostPath",
            Self::Privileged => "privileged",
            Self::Port => "hostPort",
        }
    }
}

impl HostAccess {
    /// Which of the things that it declares this is: the place among its paths or ports,
    /// 0 for what is taken as a whole; `None` when it does not declare it.
    pub fn covers(&self, taken: HostUse<'_>) -> Option<usize> {
        match taken {
            HostUse::Whole(kind) => (self.kind == kind).then_some(0),
            HostUse::Path(path) if self.kind == HostAccessKind::Path => self
                .paths
                .iter()
                .position(|declared| is_within(path, declared)),
            HostUse::Port(port) if self.kind == HostAccessKind::Port => self
                .ports
                .iter()
                .position(|declared| u64::from(*declared) == port),
            HostUse::Path(_) | HostUse::Port(_) => None,
        }
    }

    /// Each thing that it declares, with its pointer below the declaration.
    pub fn items(&self) -> Vec<(String, String)> {
        let field = self.kind.field();
        let item = |list: &str, index: usize, what: String| {
            (format!("/{list}/{index}"), format!("{field} {what}"))
        };
        let paths = self.paths.iter().enumerate();
        let ports = self.ports.iter().enumerate();
        match self.kind {
            HostAccessKind::Path => paths
                .map(|(index, path)| item("paths", index, path.clone()))
                .collect(),
            HostAccessKind::Port => ports
                .map(|(index, port)| item("ports", index, port.to_string()))
                .collect(),
            _ => vec![(String::new(), field.to_owned())],
        }
    }

    /// What is wrong with it by itself: the pointer below it, and why.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let field = self.kind.field();
        let mut faults = Vec::new();
        for (list, wanted_by, is_given) in [
            ("paths", HostAccessKind::Path, !self.paths.is_empty()),
            ("ports", HostAccessKind::Port, !self.ports.is_empty()),
        ] {
            if is_given && self.kind != wanted_by {
                faults.push((format!("/{list}"), format!("{field} has no {list}")));
            } else if !is_given && self.kind == wanted_by {
                faults.push((String::new(), format!("{field} does not say which {list}")));
            }
        }
        for (index, path) in self.paths.iter().enumerate() {
            if climbs(path) {
                let message = format!("the path `{path}` leads out of itself");
                faults.push((format!("/paths/{index}"), message));
            }
        }
        faults
    }
}

/// `hostPath /var/log: reads what the machine writes there`.
impl std::fmt::Display for HostAccess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.kind.field())?;
        let ports = self.ports.iter().map(ToString::to_string);
        let which: Vec<String> = self.paths.iter().cloned().chain(ports).collect();
        if !which.is_empty() {
            write!(formatter, " {}", which.join(", "))?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Whether a path is one that is declared, or below it.
fn is_within(path: &str, declared: &str) -> bool {
    if climbs(path) {
        return false;
    }
    let declared = declared.trim_end_matches('/');
    path.trim_end_matches('/')
        .strip_prefix(declared)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(kind: HostAccessKind, paths: &[&str], ports: &[u16]) -> HostAccess {
        HostAccess {
            kind,
            reason: "it must".to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            ports: ports.to_vec(),
        }
    }

    #[test]
    fn a_declaration_covers_what_it_names_and_nothing_else() {
        let paths = access(HostAccessKind::Path, &["/etc/ssl", "/var/log/"], &[]);
        let ports = access(HostAccessKind::Port, &[], &[80, 443]);
        let all = access(HostAccessKind::Path, &["/"], &[]);
        let network = access(HostAccessKind::Network, &[], &[]);
        for (declared, taken, expected) in [
            (&paths, HostUse::Path("/etc/ssl"), Some(0)),
            (&paths, HostUse::Path("/var/log"), Some(1)),
            (&paths, HostUse::Path("/var/log/pods/"), Some(1)),
            (&paths, HostUse::Path("/var/logs"), None),
            (&paths, HostUse::Path("/etc"), None),
            (&paths, HostUse::Path("/var/log/../../etc"), None),
            (&paths, HostUse::Port(80), None),
            (&all, HostUse::Path("/etc"), Some(0)),
            (&ports, HostUse::Port(443), Some(1)),
            (&ports, HostUse::Port(8080), None),
            (&ports, HostUse::Whole(HostAccessKind::Network), None),
            (&network, HostUse::Whole(HostAccessKind::Network), Some(0)),
            (&network, HostUse::Whole(HostAccessKind::Privileged), None),
            (&network, HostUse::Port(80), None),
        ] {
            assert_eq!(declared.covers(taken), expected, "{declared}: {taken:?}");
        }
    }
}
