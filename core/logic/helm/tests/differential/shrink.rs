//! A failing case made small: whatever can go while it still fails, goes.

use crate::oracle::Case;

/// Tries of one shrinking; each asks both sides.
const TRIES: usize = 400;

pub fn smaller(mut case: Case, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut tries = 0;
    let mut attempt = |candidate: Case, case: &mut Case| {
        tries += 1;
        if tries <= TRIES && fails(&candidate) {
            *case = candidate;
            return true;
        }
        false
    };
    for path in case.files.keys().cloned().collect::<Vec<_>>() {
        if path == "Chart.yaml" {
            continue;
        }
        let mut candidate = case.clone();
        candidate.files.remove(&path);
        attempt(candidate, &mut case);
    }
    let mut candidate = case.clone();
    candidate.values = String::new();
    attempt(candidate, &mut case);
    for path in case.files.keys().cloned().collect::<Vec<_>>() {
        if path == "Chart.yaml" {
            continue;
        }
        let mut size = case.files[&path].split_inclusive('\n').count().div_ceil(2);
        // Whole lines first, in ever smaller runs, then actions.
        while size > 0 {
            let mut from = 0;
            loop {
                let lines: Vec<&str> = case.files[&path].split_inclusive('\n').collect();
                if from >= lines.len() {
                    break;
                }
                let to = (from + size).min(lines.len());
                let text = [&lines[..from], &lines[to..]].concat().concat();
                let mut candidate = case.clone();
                candidate.files.insert(path.clone(), text);
                if !attempt(candidate, &mut case) {
                    from = to;
                }
            }
            size /= 2;
        }
        let mut from = 0;
        while let Some(open) = case.files[&path][from..].find("{{").map(|at| at + from) {
            let text = case.files[&path].clone();
            let Some(close) = text[open..].find("}}").map(|at| open + at + 2) else {
                break;
            };
            let mut candidate = case.clone();
            candidate
                .files
                .insert(path.clone(), format!("{}{}", &text[..open], &text[close..]));
            from = if attempt(candidate, &mut case) {
                open
            } else {
                close
            };
        }
    }
    case
}
