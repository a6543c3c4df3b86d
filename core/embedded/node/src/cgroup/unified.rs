//! Version 2, where one group holds all limits of a container (kernel documentation,
//! "Control Group v2").
//!
//! What must stay true: below a group with processes of its own, the topmost aside,
//! there is none that a container could join; so the node steps into a group below, and
//! moves nobody but itself. What others gave away before, further up, is used as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Limits, PROCESS_LIMIT, probe, set};

/// The group that the node steps into, below its own.
const LEAF: &str = "catalyst-node";

/// Where a process is in the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the hierarchy is mounted.
    pub top: PathBuf,
    /// The group of the process.
    pub own: PathBuf,
}

/// A group below which containers get groups with limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    parent: PathBuf,
    /// What can be limited there.
    controllers: Vec<String>,
}

impl Unified {
    /// The group below which groups are made.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// Creates a group with limits; gives the file by which a process joins it.
    pub fn create(&self, name: &str, limits: Limits) -> Option<PathBuf> {
        let group = self.parent.join(name);
        if fs::create_dir(&group).is_err() && !group.is_dir() {
            return None;
        }
        for controller in &self.controllers {
            match (controller.as_str(), limits.memory, limits.cpu_millis) {
                ("memory", Some(bytes), _) => {
                    set(&group, "memory.max", bytes);
                    // A container that lost one of its processes is of no use.
                    set(&group, "memory.oom.group", 1);
                }
                ("cpu", _, Some(millis)) => {
                    let quota = (millis * 100).max(1000);
                    set(&group, "cpu.max", format!("{quota} 100000"));
                }
                ("pids", ..) => set(&group, "pids.max", PROCESS_LIMIT),
                _ => {}
            }
        }
        Some(group.join("cgroup.procs"))
    }
}

/// Finds the group that limits most of what is wanted: the own one, or the nearest
/// above it; and says of what none limits why. `node` is the process that may be moved
/// out of the way.
pub fn find(place: &Place, wanted: &[&str], node: u32) -> (Option<Unified>, Vec<String>) {
    // An earlier look has left it there.
    let own = match place.own.parent() {
        Some(parent) if place.own.ends_with(LEAF) => parent,
        _ => &place.own,
    };
    let mut best: Option<Unified> = None;
    let mut reason = None;
    for group in own.ancestors().take_while(|it| it.starts_with(&place.top)) {
        let asker = (group == own).then_some(node);
        let is_top = group == place.top;
        let (controllers, why) = match offered(group, is_top, wanted, asker) {
            Ok(found) => found,
            Err(why) => (Vec::new(), Some(why)),
        };
        reason = reason.or(why);
        let most = best.as_ref().map_or(0, |best| best.controllers.len());
        if controllers.len() > most {
            let parent = group.to_owned();
            best = Some(Unified {
                parent,
                controllers,
            });
        }
    }
    let is_missing =
        |one: &&str| !matches!(&best, Some(best) if best.controllers.iter().any(|it| it == one));
    let missing: Vec<&str> = wanted.iter().copied().filter(is_missing).collect();
    if missing.is_empty() {
        return (best, Vec::new());
    }
    let reason = reason.unwrap_or_else(|| "no group gives it away".to_owned());
    let told = format!(
        "{}: {reason}; start it in a group of its own, as by `systemd-run --user --scope -p Delegate=yes catalyst up` (as root without --user)",
        missing.join(", ")
    );
    (best, vec![told])
}

/// What of the wanted a group gives to groups below it, and why not all. Where a
/// process asks whose own group it is, the group is made to give what it has.
fn offered(
    group: &Path,
    is_top: bool,
    wanted: &[&str],
    asker: Option<u32>,
) -> Result<(Vec<String>, Option<String>), String> {
    probe(group).map_err(|error| format!("{} refuses a new group: {error}", group.display()))?;
    if !is_top {
        step_aside(group, asker).map_err(|error| {
            format!("{} cannot limit what is below it: {error}", group.display())
        })?;
    }
    let mut why = None;
    if asker.is_some() {
        let available = words(group, "cgroup.controllers");
        let given = words(group, "cgroup.subtree_control");
        let is_new = |one: &&&str| {
            available.iter().any(|it| it == *one) && !given.iter().any(|it| it == *one)
        };
        for controller in wanted.iter().filter(is_new) {
            let file = group.join("cgroup.subtree_control");
            if let Err(error) = fs::write(file, format!("+{controller}")) {
                why = Some(format!("{} cannot give it away: {error}", group.display()));
            }
        }
    }
    let given = words(group, "cgroup.subtree_control");
    let controllers: Vec<String> = given
        .into_iter()
        .filter(|it| wanted.contains(&it.as_str()))
        .collect();
    if controllers.len() < wanted.len() {
        why.get_or_insert_with(|| format!("{} has no such controller to give", group.display()));
    }
    Ok((controllers, why))
}

/// Leaves a group without processes: moves the node into a group below, if nobody else
/// is in it. Others are not its to move.
fn step_aside(group: &Path, node: Option<u32>) -> io::Result<()> {
    let inside = words(group, "cgroup.procs");
    if inside.is_empty() {
        return Ok(());
    }
    let Some(node) = node
        .map(|node| node.to_string())
        .filter(|node| inside.iter().all(|it| it == node))
    else {
        return Err(io::Error::other("other processes are in it"));
    };
    let leaf = group.join(LEAF);
    if let Err(error) = fs::create_dir(&leaf)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    fs::write(leaf.join("cgroup.procs"), node)
}

fn words(group: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(group.join(file)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A hierarchy of this machine's kernel, and a group in it for one test.
    struct Hierarchy {
        top: tempfile::TempDir,
    }

    impl Hierarchy {
        /// None where only root may mount one, with the reason.
        fn mount() -> Option<Self> {
            let top = tempfile::tempdir().unwrap();
            let mounted = Command::new("mount")
                .args(["-t", "cgroup2", "none"])
                .arg(top.path())
                .output()
                .unwrap();
            if !mounted.status.success() {
                let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
                eprintln!("not run: no hierarchy of version 2 can be mounted here: {why}");
                return None;
            }
            Some(Self { top })
        }

        /// A controller that no hierarchy of version 1 has taken.
        fn controller(&self) -> Option<String> {
            let first = words(self.top.path(), "cgroup.controllers")
                .into_iter()
                .next();
            if first.is_none() {
                eprintln!("not run: version 1 has taken every controller of this machine");
            }
            first
        }

        /// A group with a controller to give.
        fn group(&self, controller: &str) -> Group {
            let top = self.top.path();
            if !words(top, "cgroup.subtree_control")
                .iter()
                .any(|it| it == controller)
            {
                fs::write(top.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
            }
            let name = format!("catalyst-test-{}", std::process::id());
            let path = top.join(name);
            fs::create_dir(&path).unwrap();
            Group {
                path,
                inside: Vec::new(),
            }
        }
    }

    impl Drop for Hierarchy {
        fn drop(&mut self) {
            drop(Command::new("umount").arg(self.top.path()).status());
        }
    }

    struct Group {
        path: PathBuf,
        inside: Vec<Child>,
    }

    impl Group {
        /// A process in it.
        fn process(&mut self) -> u32 {
            let child = Command::new("sleep").arg("600").spawn().unwrap();
            let id = child.id();
            self.inside.push(child);
            fs::write(self.path.join("cgroup.procs"), id.to_string()).unwrap();
            id
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            for child in &mut self.inside {
                drop(child.kill());
                drop(child.wait());
            }
            for name in ["a-container", LEAF, ""] {
                drop(fs::remove_dir(self.path.join(name)));
            }
        }
    }

    #[test]
    fn the_node_steps_out_of_its_group_and_moves_nobody_else() {
        let Some(hierarchy) = Hierarchy::mount() else {
            return;
        };
        let Some(controller) = hierarchy.controller() else {
            return;
        };
        let wanted = [controller.as_str()];
        let mut group = hierarchy.group(&controller);
        let node = group.process();
        let own = group.path.clone();
        let place = Place {
            top: hierarchy.top.path().to_owned(),
            own: own.clone(),
        };
        let gives = |parent: &Path| {
            let controllers = vec![controller.clone()];
            let parent = parent.to_owned();
            (
                Some(Unified {
                    parent,
                    controllers,
                }),
                Vec::new(),
            )
        };

        // Somebody else's process is in it: what is above does, and nobody is moved.
        let other = group.process();
        assert_eq!(find(&place, &wanted, node), gives(&place.top));
        let mut inside = words(&own, "cgroup.procs");
        inside.sort();
        let mut expected = [node.to_string(), other.to_string()];
        expected.sort();
        assert_eq!(inside, expected);

        // It has gone.
        let mut gone = group.inside.pop().unwrap();
        gone.kill().unwrap();
        gone.wait().unwrap();
        assert_eq!(find(&place, &wanted, node), gives(&own));
        let leaf = own.join(LEAF);
        assert_eq!(words(&leaf, "cgroup.procs"), [node.to_string()]);

        // Another look, from where it is now, finds the same.
        let below = Place { own: leaf, ..place };
        let (found, missing) = find(&below, &wanted, node);
        assert_eq!((found.clone(), missing), gives(&own));

        // A container's process joins by the file that is given.
        let join = found
            .unwrap()
            .create("a-container", Limits::default())
            .unwrap();
        fs::write(&join, node.to_string()).unwrap();
        assert_eq!(
            words(&own.join("a-container"), "cgroup.procs"),
            [node.to_string()]
        );
    }

    #[test]
    fn what_is_given_away_further_up_is_used() {
        let top = tempfile::tempdir().unwrap();
        let own = top.path().join("session");
        fs::create_dir(&own).unwrap();
        let write =
            |group: &Path, file: &str, text: &str| fs::write(group.join(file), text).unwrap();
        write(top.path(), "cgroup.subtree_control", "cpuset memory pids\n");
        write(&own, "cgroup.controllers", "\n");
        write(&own, "cgroup.procs", "1\n2\n");
        let place = Place {
            top: top.path().to_owned(),
            own: own.clone(),
        };
        let (found, missing) = find(&place, &["memory", "cpu", "pids"], 1);
        let found = found.unwrap();
        assert_eq!(found.parent(), top.path());
        assert_eq!(found.controllers, ["memory", "pids"]);
        assert!(missing[0].starts_with("cpu: "), "{missing:?}");
        for part in ["other processes are in it", "Delegate=yes"] {
            assert!(missing[0].contains(part), "{missing:?}");
        }

        let limits = Limits {
            memory: Some(1 << 20),
            cpu_millis: Some(500),
        };
        let join = found.create("a-container", limits).unwrap();
        let group = top.path().join("a-container");
        assert_eq!(join, group.join("cgroup.procs"));
        let read = |file: &str| fs::read_to_string(group.join(file)).ok();
        assert_eq!(read("memory.max").as_deref(), Some("1048576"));
        assert_eq!(read("memory.oom.group").as_deref(), Some("1"));
        assert_eq!(read("pids.max").as_deref(), Some("4096"));
        // The group has no such file where the controller is not given.
        assert_eq!(read("cpu.max"), None);

        fs::remove_dir_all(&group).unwrap();
        write(&own, "cgroup.procs", "");
        write(&own, "cgroup.subtree_control", "memory cpu pids\n");
        let (found, missing) = find(&place, &["memory", "cpu", "pids"], 1);
        let found = found.unwrap();
        assert_eq!((found.parent(), missing.len()), (own.as_path(), 0));
        found.create("a-container", limits).unwrap();
        let written = fs::read_to_string(own.join("a-container/cpu.max")).unwrap();
        assert_eq!(written, "50000 100000");
    }
}
