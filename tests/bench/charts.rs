//! `catalyst chart template` as a whole process, and helm beside it: a chart of
//! several parts, which takes helm about twice its own start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::figures::{elapsed, line, median};

const ROUNDS: usize = 15;

/// What one process costs.
struct Figures {
    /// From its start to its end, in milliseconds.
    time: f64,
    /// The most memory that was resident, in MB.
    memory: f64,
}

/// Measures both, and prints the lines.
pub fn measure(program: &Path, helm: Option<PathBuf>, directory: &Path) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../logic/helm/benches/shop");
    let cost = |program: &Path, words: &[&str]| {
        let figures: Vec<Figures> = (0..ROUNDS)
            .map(|_| {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg(ONCE).arg(program);
                command.args(words).arg("rel").arg(&chart);
                command.env_clear().env("HOME", directory);
                told(command.output().unwrap())
            })
            .collect();
        let of = |pick: fn(&Figures) -> f64| median(&figures.iter().map(pick).collect::<Vec<_>>());
        Figures {
            time: of(|figures| figures.time),
            memory: of(|figures| figures.memory),
        }
    };
    let here = cost(program, &["chart", "template"]);
    let peer = helm.map(|helm| cost(&helm, &["template"]));
    line(
        "chart template, whole process, ms (peer: helm)",
        here.time,
        Some(5.0),
        peer.as_ref().map(|peer| peer.time),
    );
    line(
        "chart template, resident memory, MB (peer: helm)",
        here.memory,
        Some(15.0),
        peer.as_ref().map(|peer| peer.memory),
    );
}

/// The word by which this program measures one run of another, in a process that has
/// done nothing else: the kernel counts what was resident before `exec` as the new
/// program's own (`ru_maxrss`, getrusage(2)).
pub const ONCE: &str = "once";

/// Runs the rest of the words, and prints what that cost.
pub fn once(words: impl IntoIterator<Item = OsString>) {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap());
    let figures = run(command.args(words));
    println!("{} {}", figures.time, figures.memory);
}

fn told(output: Output) -> Figures {
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let figures: Vec<f64> = said
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let [time, memory] = figures[..] else {
        panic!("it could not be measured: {error}");
    };
    Figures { time, memory }
}

#[expect(
    clippy::zombie_processes,
    reason = "it is waited for, by what also says what it used"
)]
fn run(command: &mut Command) -> Figures {
    let begun = Instant::now();
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: a structure of numbers, for which zeros are fine.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are of this function's own variables; the process is our
    // child, which nobody else waits for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    let time = elapsed(begun);
    assert_eq!((waited, status), (pid, 0), "{command:?} failed");
    Figures {
        time,
        // In kilobytes on Linux.
        memory: used.ru_maxrss as f64 / 1024.0,
    }
}
