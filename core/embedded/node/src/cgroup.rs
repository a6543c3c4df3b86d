//! Resource limits, as far as the machine lets this user set them.
//!
//! Both hierarchies are supported. Groups are made beside the node, below the
//! group it was started in, so that limits set on the node also bind its pods.

mod unified;

use std::fs;
use std::path::{Path, PathBuf};

use unified::Unified;

/// Most processes a container may have.
const PROCESS_LIMIT: u32 = 4096;

/// What limits are set by.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Limits of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
}

/// The control groups this process may create.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    /// Version 1: controller and this process's group in it.
    v1: Vec<(String, PathBuf)>,
    /// Version 2: the group below which groups are made, where one has controllers.
    v2: Option<Unified>,
    /// Why some limit cannot be set; empty when all can.
    missing: Vec<String>,
}

impl Cgroups {
    /// Finds out what this machine allows this user.
    pub fn detect() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found = Self::default();
        for controller in CONTROLLERS {
            let Some(group) = own_group_v1(&own, &mounts, controller) else {
                continue;
            };
            match probe(&group) {
                Ok(()) => found.v1.push((controller.to_owned(), group)),
                Err(e) => found.missing.push(format!(
                    "{controller}: {} refuses a new group: {e}",
                    group.display()
                )),
            }
        }
        let wanted: Vec<&str> = CONTROLLERS
            .into_iter()
            .filter(|one| own_group_v1(&own, &mounts, one).is_none())
            .collect();
        if wanted.is_empty() {
            return found;
        }
        match own_group_v2(&own, &mounts) {
            None => found.missing.push(format!(
                "{}: no control group hierarchy is mounted",
                wanted.join(", ")
            )),
            Some(place) => {
                let (v2, missing) = unified::find(&place, &wanted, std::process::id());
                found.v2 = v2;
                found.missing.extend(missing);
            }
        }
        found
    }

    /// What cannot be limited, and why.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Creates a group with limits; gives the files a process writes `0` to in
    /// order to join. Limits the machine does not allow are left out.
    pub fn create(&self, name: &str, limits: Limits) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (controller, parent) in &self.v1 {
            let group = parent.join(name);
            if fs::create_dir(&group).is_err() && !group.is_dir() {
                continue;
            }
            match controller.as_str() {
                "memory" => {
                    if let Some(bytes) = limits.memory {
                        set(&group, "memory.limit_in_bytes", bytes);
                    }
                }
                "cpu" => {
                    if let Some(millis) = limits.cpu_millis {
                        set(&group, "cpu.cfs_period_us", 100_000);
                        set(&group, "cpu.cfs_quota_us", (millis * 100).max(1000));
                    }
                }
                _ => set(&group, "pids.max", PROCESS_LIMIT),
            }
            files.push(group.join("cgroup.procs"));
        }
        files.extend(self.v2.iter().filter_map(|v2| v2.create(name, limits)));
        files
    }

    /// How many processes of the group the kernel killed for want of memory.
    pub fn memory_kills(&self, name: &str) -> u64 {
        let v1 = self
            .v1
            .iter()
            .filter(|(controller, _)| controller == "memory")
            .map(|(_, parent)| parent.join(name).join("memory.oom_control"));
        let v2 = self
            .v2
            .iter()
            .map(|v2| v2.parent().join(name).join("memory.events"));
        v1.chain(v2)
            .filter_map(|file| fs::read_to_string(file).ok())
            .flat_map(|text| {
                text.lines()
                    .filter_map(|l| {
                        l.strip_prefix("oom_kill ")
                            .and_then(|n| n.trim().parse::<u64>().ok())
                    })
                    .collect::<Vec<_>>()
            })
            .sum()
    }

    /// Removes a group whose processes have ended.
    pub fn remove(&self, name: &str) {
        let v1 = self.v1.iter().map(|(_, parent)| parent.as_path());
        for parent in v1.chain(self.v2.iter().map(Unified::parent)) {
            // The kernel keeps a group busy for a moment after its last process.
            for _ in 0..20 {
                match fs::remove_dir(parent.join(name)) {
                    Err(e) if e.kind() == std::io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn set(group: &Path, file: &str, value: impl ToString) {
    if let Err(e) = fs::write(group.join(file), value.to_string()) {
        tracing::warn!(group = %group.display(), file, error = %e, "cannot set a limit");
    }
}

fn probe(group: &Path) -> std::io::Result<()> {
    let probe = group.join(format!("catalyst-probe-{}", std::process::id()));
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

fn own_group_v1(own: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        controllers
            .split(',')
            .any(|c| c == controller)
            .then(|| fields.next())?
    })?;
    mount_of(
        mounts,
        |kind, options| kind == "cgroup" && options.split(',').any(|o| o == controller),
        path,
    )
    .map(|(_, group)| group)
}

fn own_group_v2(own: &str, mounts: &str) -> Option<unified::Place> {
    let path = own.lines().find_map(|l| l.strip_prefix("0::"))?;
    let (top, own) = mount_of(mounts, |kind, _| kind == "cgroup2", path)?;
    Some(unified::Place { top, own })
}

/// The directory of a group, from the mount that shows it; before it where that is.
fn mount_of(
    mounts: &str,
    is_it: impl Fn(&str, &str) -> bool,
    path: &str,
) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        let options = right.nth(1)?;
        if !is_it(kind, options) {
            return None;
        }
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, PathBuf::from(left.next()?));
        let below = Path::new(path).strip_prefix(root).ok()?;
        let group = point.join(below);
        Some((point, group))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_through_their_mounts() {
        let own = "4:memory:/api/1\n2:cpu,cpuacct:/\n0::/user.slice/a\n";
        let mounts = "30 24 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 24 0:28 /user.slice /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let memory = own_group_v1(own, mounts, "memory");
        assert_eq!(
            memory.as_deref(),
            Some(Path::new("/sys/fs/cgroup/memory/api/1"))
        );
        assert_eq!(own_group_v1(own, mounts, "pids"), None);
        let unified = own_group_v2(own, mounts).unwrap();
        assert_eq!(unified.top, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(unified.own, Path::new("/sys/fs/cgroup/unified/a"));
    }
}
