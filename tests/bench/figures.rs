//! Figures: how they are taken from a process, and how they are printed.

use std::time::Instant;

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The one that this part of all are no larger than: 0.99 of them, say.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = (sorted.len() as f64 * part).ceil() as usize;
    sorted[position.clamp(1, sorted.len()) - 1]
}

/// Milliseconds that have passed.
pub fn elapsed(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Resident memory of a process, in MB.
pub fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes / 1024.0
}

/// Processor time that a process has used, in seconds.
pub fn processor(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    // USER_HZ is 100 on every Linux that matters here.
    fields.iter().sum::<f64>() / 100.0
}

/// What stands above the lines.
pub fn head() {
    println!(
        "{:<54} {:>10} {:>10} {:>10}  ratio",
        "figure", "here", "bound", "peer"
    );
}

/// One figure, beside its bound and its peer's.
pub fn line(what: &str, here: f64, bound: Option<f64>, peer: Option<f64>) {
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let ratio = peer.map_or("-".to_owned(), |peer| format!("{:.2}", here / peer));
    println!(
        "{what:<54} {here:>10.1} {:>10} {:>10}  {ratio}",
        show(bound),
        show(peer)
    );
}
