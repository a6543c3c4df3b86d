//! Starts one container, keeps its log and records how it ended.
//!
//! This process stays outside the container's process namespace and outlives
//! the node; the files it writes are how a restarted node learns what happened.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setsid};

use super::spec::{ContainerSpec, ExitState, Ids, Process, RunState};
use super::{logs, rootfs, sandbox, step, sys};
use crate::interrupt::retry_on_interrupt;
use crate::process::ProcessId;

/// Runs the container to its end.
pub fn main(spec: &ContainerSpec) -> Result<i32, String> {
    // Fails only for a group leader, which already has what is wanted.
    let _ = setsid();
    let _ = std::fs::remove_file(&spec.exit);
    match start(spec) {
        Ok(running) => {
            println!("ok");
            sandbox::detach();
            let code = watch(spec, running);
            Ok(code)
        }
        Err(reason) => {
            let exit = ExitState {
                code: 128,
                signal: None,
                finished_at: now(),
                error: Some(reason.clone()),
            };
            write_json(&spec.exit, &exit)?;
            Err(reason)
        }
    }
}

struct Running {
    init: Pid,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn start(spec: &ContainerSpec) -> Result<Running, String> {
    let user = namespace(spec.sandbox_pid, "user")?;
    let shared = shared_namespaces(spec.sandbox_pid)?;
    // Opened now: afterwards this process may no longer be allowed to.
    let log = step("open the log", logs::Log::open(&spec.log, spec.log_limit))?;
    drop(log);
    join_pod(spec.ids, &user, &shared)?;
    if let Ids::Single { uid, gid } = spec.ids {
        let wanted = &spec.process.user;
        if (uid, gid) != (wanted.uid, wanted.gid) {
            sandbox::enter_user_namespace(Ids::Single {
                uid: wanted.uid,
                gid: wanted.gid,
            })?;
        }
        step("stay inspectable", sys::prctl(libc::PR_SET_DUMPABLE, 1))?;
    }
    let (stdout_reader, stdout_writer) = step("make a pipe", std::io::pipe())?;
    let (stderr_reader, stderr_writer) = step("make a pipe", std::io::pipe())?;
    let (mut failure_reader, failure_writer) = step("make a pipe", std::io::pipe())?;
    step(
        "create a process namespace",
        unshare(CloneFlags::CLONE_NEWPID),
    )?;
    // SAFETY: the process has one thread.
    match step("fork", unsafe { fork() })? {
        ForkResult::Child => {
            drop((failure_reader, stdout_reader, stderr_reader));
            let failure = child(spec, &user, &stdout_writer, &stderr_writer);
            let mut writer = failure_writer;
            let _ = writer.write_all(failure.as_bytes());
            std::process::exit(127);
        }
        ForkResult::Parent { child: init } => {
            drop((failure_writer, stdout_writer, stderr_writer));
            let mut failure = String::new();
            step(
                "wait for the container",
                failure_reader.read_to_string(&mut failure),
            )?;
            if !failure.is_empty() {
                let _ = wait(init);
                return Err(failure);
            }
            let state = RunState {
                shim: ProcessId::of(std::process::id() as i32)
                    .ok_or("the shim cannot see itself in /proc")?,
                // A program may already have ended; its number stays taken until it is waited for.
                init: ProcessId::of(init.as_raw())
                    .ok_or("the container cannot be seen in /proc")?,
                started_at: now(),
            };
            write_json(&spec.state, &state)?;
            Ok(Running {
                init,
                stdout: stdout_reader.into(),
                stderr: stderr_reader.into(),
            })
        }
    }
}

/// Becomes the container's program; returns only with the reason it could not.
fn child(spec: &ContainerSpec, user: &OwnedFd, stdout: &impl AsFd, stderr: &impl AsFd) -> String {
    let prepare = || -> Result<(), String> {
        join_cgroups(&spec.process.cgroup_procs)?;
        rootfs::enter(spec)?;
        let null = step("open /dev/null", std::fs::File::open("/dev/null"))?;
        step("redirect input", nix::unistd::dup2_stdin(&null))?;
        step("redirect output", nix::unistd::dup2_stdout(stdout))?;
        step("redirect errors", nix::unistd::dup2_stderr(stderr))?;
        if let Ids::Ranged { .. } = spec.ids {
            step(
                "join the pod's user namespace",
                setns(user, CloneFlags::CLONE_NEWUSER),
            )?;
        }
        become_user(&spec.process, spec.ids)
    };
    match prepare() {
        Ok(()) => execute(&spec.process),
        Err(reason) => reason,
    }
}

fn watch(spec: &ContainerSpec, running: Running) -> i32 {
    // The namespace's other processes are killed with its first one, so the
    // pipes close when it ends, and its last lines are in the log before the
    // outcome is recorded.
    if let Ok(mut log) = logs::Log::open(&spec.log, spec.log_limit) {
        let streams = vec![
            logs::Stream::new("stdout", std::fs::File::from(running.stdout)),
            logs::Stream::new("stderr", std::fs::File::from(running.stderr)),
        ];
        logs::copy(streams, &mut log);
    }
    let (code, signal) = wait(running.init);
    let exit = ExitState {
        code,
        signal,
        finished_at: now(),
        error: None,
    };
    if let Err(reason) = write_json(&spec.exit, &exit)
        && let Ok(mut log) = logs::Log::open(&spec.log, spec.log_limit)
    {
        log.line(
            "stderr",
            "F",
            format!("the node could not record the exit: {reason}").as_bytes(),
        );
    }
    code
}

/// Waits for a child; gives exit code and signal.
pub fn wait(child: Pid) -> (i32, Option<i32>) {
    loop {
        match retry_on_interrupt(|| waitpid(child, None)) {
            Ok(WaitStatus::Exited(_, code)) => return (code, None),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return (128 + signal as i32, Some(signal as i32));
            }
            Ok(_) => {}
            Err(_) => return (255, None),
        }
    }
}

/// Opens a namespace of a process.
pub fn namespace(pid: i32, kind: &str) -> Result<OwnedFd, String> {
    step(
        &format!("open the {kind} namespace of process {pid}"),
        std::fs::File::open(format!("/proc/{pid}/ns/{kind}")).map(OwnedFd::from),
    )
}

/// What the containers of a pod have in common, as one of its processes has it.
pub fn shared_namespaces(pid: i32) -> Result<[(OwnedFd, CloneFlags); 3], String> {
    Ok([
        (namespace(pid, "net")?, CloneFlags::CLONE_NEWNET),
        (namespace(pid, "ipc")?, CloneFlags::CLONE_NEWIPC),
        (namespace(pid, "uts")?, CloneFlags::CLONE_NEWUTS),
    ])
}

/// Joins a pod. With a single user the pod's user namespace comes first, since
/// only within it the others may be joined.
pub fn join_pod(ids: Ids, user: &OwnedFd, shared: &[(OwnedFd, CloneFlags)]) -> Result<(), String> {
    if let Ids::Single { .. } = ids {
        step(
            "join the pod's user namespace",
            setns(user, CloneFlags::CLONE_NEWUSER),
        )?;
    }
    for (fd, kind) in shared {
        step("join the pod's namespaces", setns(fd, *kind))?;
    }
    Ok(())
}

/// Moves the calling process into control groups.
fn join_cgroups(files: &[std::path::PathBuf]) -> Result<(), String> {
    for file in files {
        step(
            &format!("join the control group {}", file.display()),
            std::fs::write(file, "0"),
        )?;
    }
    Ok(())
}

/// Takes on the process's user and gives up everything it must not have.
pub fn become_user(process: &Process, ids: Ids) -> Result<(), String> {
    step(
        "drop capabilities",
        sys::limit_capabilities(&process.capabilities),
    )?;
    if let Ids::Ranged { .. } = ids {
        let uid = Uid::from_raw(process.user.uid);
        let gid = Gid::from_raw(process.user.gid);
        let groups: Vec<Gid> = process
            .user
            .groups
            .iter()
            .copied()
            .map(Gid::from_raw)
            .collect();
        step("set groups", nix::unistd::setgroups(&groups))?;
        step("set the group", nix::unistd::setresgid(gid, gid, gid))?;
        step("set the user", nix::unistd::setresuid(uid, uid, uid))?;
    }
    step(
        "refuse new privileges",
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1),
    )?;
    // After the change of user, which would reset it: a container must not
    // outlive the shim that keeps its books.
    step(
        "tie the container to its shim",
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong),
    )
}

/// Executes the program; returns only with the reason it could not.
pub fn execute(process: &Process) -> String {
    let attempt = || -> Result<String, String> {
        let _ = std::fs::create_dir_all(&process.cwd);
        step(
            &format!("enter the working directory {}", process.cwd),
            std::env::set_current_dir(&process.cwd),
        )?;
        let program = process
            .args
            .first()
            .ok_or("neither the image nor the pod names a command")?;
        let search = process
            .env
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map_or(
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                |(_, value)| value.as_str(),
            );
        let path = find_program(program, search).ok_or_else(|| {
            format!("execute {program}: no such program in the image (PATH {search})")
        })?;
        let text = |value: &str| {
            CString::new(value)
                .map_err(|_| "an argument or variable contains a zero byte".to_owned())
        };
        let args = process
            .args
            .iter()
            .map(|a| text(a))
            .collect::<Result<Vec<_>, _>>()?;
        let env = process
            .env
            .iter()
            .map(|(name, value)| text(&format!("{name}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        let path_text = text(&path)?;
        sys::reset_signals();
        sys::close_descriptors_on_exec();
        let Err(errno) = nix::unistd::execve(&path_text, &args, &env);
        Ok(format!("execute {path}: {}", errno.desc()))
    };
    attempt().unwrap_or_else(|reason| reason)
}

fn find_program(program: &str, search: &str) -> Option<String> {
    if program.contains('/') {
        return Some(program.to_owned());
    }
    search
        .split(':')
        .map(|folder| format!("{}/{program}", folder.trim_end_matches('/')))
        .find(|path| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::metadata(path)
                .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}

/// Now, as RFC 3339 with nanoseconds.
pub fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

/// Replaces a JSON file in one step.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), String> {
    let text = step("encode the state", serde_json::to_vec(value))?;
    let temporary = path.with_extension("new");
    step("write the state", std::fs::write(&temporary, text))?;
    step("write the state", std::fs::rename(&temporary, path))
}

/// Whether two handles name the same namespace.
pub fn is_same(a: &OwnedFd, b: &OwnedFd) -> bool {
    match (nix::sys::stat::fstat(a), nix::sys::stat::fstat(b)) {
        (Ok(a), Ok(b)) => a.st_ino == b.st_ino && a.st_dev == b.st_dev,
        _ => a.as_raw_fd() == b.as_raw_fd(),
    }
}
