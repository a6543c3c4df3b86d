//! Runs one more process inside a running container, with the caller's
//! standard streams.

use std::io::{Read, Write};

use nix::sched::{CloneFlags, setns};
use nix::unistd::{ForkResult, fork};

use super::run::{become_user, execute, is_same, join_pod, namespace, shared_namespaces, wait};
use super::spec::{ExecSpec, Ids};
use super::step;

/// Joins the container's namespaces, runs the process and gives its exit code.
pub fn main(spec: &ExecSpec) -> Result<i32, String> {
    let pod_user = namespace(spec.sandbox_pid, "user")?;
    let user = namespace(spec.init_pid, "user")?;
    let shared = shared_namespaces(spec.init_pid)?;
    let own = [
        (namespace(spec.init_pid, "pid")?, CloneFlags::CLONE_NEWPID),
        (namespace(spec.init_pid, "mnt")?, CloneFlags::CLONE_NEWNS),
    ];
    let mut groups = Vec::new();
    for file in &spec.process.cgroup_procs {
        let opened = std::fs::OpenOptions::new().write(true).open(file);
        groups.push(step("open the control group", opened)?);
    }
    join_pod(spec.ids, &pod_user, &shared)?;
    if matches!(spec.ids, Ids::Single { .. }) && !is_same(&pod_user, &user) {
        step(
            "join the container's user namespace",
            setns(&user, CloneFlags::CLONE_NEWUSER),
        )?;
    }
    for (fd, kind) in &own {
        step("join the container's namespaces", setns(fd, *kind))?;
    }
    let (mut failure_reader, failure_writer) = step("make a pipe", std::io::pipe())?;
    // SAFETY: the process has one thread.
    match step("fork", unsafe { fork() })? {
        ForkResult::Child => {
            drop(failure_reader);
            let mut prepare = || -> Result<(), String> {
                for group in &mut groups {
                    step("join the control group", group.write_all(b"0"))?;
                }
                if let Ids::Ranged { .. } = spec.ids {
                    step(
                        "join the user namespace",
                        setns(&user, CloneFlags::CLONE_NEWUSER),
                    )?;
                }
                become_user(&spec.process, spec.ids)
            };
            let failure = match prepare() {
                Ok(()) => execute(&spec.process),
                Err(reason) => reason,
            };
            let mut writer = failure_writer;
            let _ = writer.write_all(failure.as_bytes());
            std::process::exit(126);
        }
        ForkResult::Parent { child } => {
            drop(failure_writer);
            let mut failure = String::new();
            step(
                "wait for the process",
                failure_reader.read_to_string(&mut failure),
            )?;
            if !failure.is_empty() {
                eprintln!("error: {failure}");
            }
            Ok(wait(child).0)
        }
    }
}
