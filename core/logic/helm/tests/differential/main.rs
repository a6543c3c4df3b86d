//! Charts rendered here and by helm's own packages, compared.
//!
//! `make test` replays what is recorded in `recorded/`: cases with helm's
//! answers. With `CATALYST_HELM_ORACLE`, the program that `tests/real/helm/run`
//! builds, new cases are made, as many as `CATALYST_HELM_CASES` says or as fit
//! `CATALYST_HELM_SECONDS`, from a new seed or from `CATALYST_HELM_SEED`. A case
//! that differs is made small and written to `CATALYST_HELM_FAILURES`, in the
//! form of a recorded one; the case being rendered lies there as `now.json`, and as
//! `unfinished-….json` from the next run on, if the process did not outlive it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod agreement;
mod chance;
mod charts;
mod edges;
mod expressions;
mod functions;
mod grammar;
#[path = "../support/memory.rs"]
mod memory;
mod oracle;
mod shrink;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

use agreement::{Agreement, compare, is_within, says};
use chance::Chance;
use oracle::{Answer, Case, Oracle, Told, answer_from_json, answer_to_json, ours};
use serde_json::{Value, json};

/// Cases between looks at the time.
const AHEAD: usize = 64;
const KEPT: usize = 20_000;
/// How often helm is asked for an answer that it may give another time.
const ASKED: usize = 48;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number")),
    )
}

fn seed() -> u64 {
    setting("CATALYST_HELM_SEED").unwrap_or_else(Chance::fresh_seed)
}

/// What a run found.
#[derive(Default)]
struct Tally {
    cases: usize,
    both_render: usize,
    alike: usize,
    bounded: usize,
    /// Helm met the bounds of its process.
    unanswered: usize,
    /// Ours is one of the answers that helm gives.
    one_of_several: usize,
    differences: Vec<(Case, Answer, Answer)>,
    /// The most bytes that one case took here.
    memory: usize,
    /// The first that agreed, for whoever records some.
    agreed: Vec<(Case, Answer)>,
    ours: Duration,
    /// From the question to both answers.
    both: Duration,
}

/// Compares cases until `next` has none left or the time is over.
fn run(oracle: &mut Oracle, mut next: impl FnMut() -> Option<Case>) -> Tally {
    let begun = Instant::now();
    let now = failures_folder().join("now.json");
    std::fs::create_dir_all(failures_folder()).unwrap();
    // An earlier run ended at this one.
    if let Ok(left) = std::fs::metadata(&now) {
        let when = left.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let kept = format!("unfinished-{}.json", when.as_secs());
        std::fs::rename(&now, failures_folder().join(kept)).unwrap();
    }
    let limit = setting("CATALYST_HELM_SECONDS").map(Duration::from_secs);
    let mut tally = Tally::default();
    loop {
        let batch: Vec<Case> = std::iter::from_fn(&mut next).take(AHEAD).collect();
        if batch.is_empty() || limit.is_some_and(|limit| begun.elapsed() > limit) {
            let _ = std::fs::remove_file(now);
            return tally;
        }
        for case in batch {
            std::fs::write(&now, case.to_json().to_string()).unwrap();
            let begun = Instant::now();
            // Helm works on its answer meanwhile.
            oracle.send(&case);
            let (ours, memory) = memory::measured(|| ours(&case));
            tally.ours += begun.elapsed();
            tally.memory = tally.memory.max(memory);
            let helm = oracle.answer(&case);
            tally.both += begun.elapsed();
            tally.cases += 1;
            tally.both_render += usize::from(ours.is_ok() && helm.answer.is_ok());
            match compare(&ours, &helm) {
                Agreement::Same => {
                    if tally.agreed.len() < KEPT {
                        tally.agreed.push((case, helm.answer));
                    }
                }
                Agreement::Alike => tally.alike += 1,
                Agreement::Bounded => tally.bounded += 1,
                Agreement::Unanswered => tally.unanswered += 1,
                Agreement::Different if case.has_braces_around_nothing() => tally.alike += 1,
                Agreement::Different if is_one_of_several(oracle, &case) => {
                    tally.one_of_several += 1;
                }
                Agreement::Different => {
                    println!(
                        "differs: {}\n  helm {:?}\n  ours {ours:?}",
                        case.to_json(),
                        helm.answer
                    );
                    tally.differences.push((case, ours, helm.answer));
                }
            }
        }
    }
}

/// Whether helm gives our answer too when it is asked over and over: Go walks its
/// maps in any order, and a few of helm's answers depend on it. The time of day goes
/// on as well, so ours is made anew; and addresses are others in another process.
fn is_one_of_several(oracle: &mut Oracle, case: &Case) -> bool {
    let mut all = Vec::new();
    for at in 0..ASKED {
        if at % 8 == 0 {
            oracle.restart();
        }
        let told = oracle.ask(case);
        if compare(&ours(case), &told) != Agreement::Different {
            return true;
        }
        all.push(told.answer);
    }
    is_within(&ours(case), &all)
}

fn failures_folder() -> PathBuf {
    std::env::var_os("CATALYST_HELM_FAILURES").map_or_else(
        || std::env::temp_dir().join("catalyst-helm-failures"),
        PathBuf::from,
    )
}

/// Prints what was found, and keeps the differing cases, made small.
fn report(oracle: &mut Oracle, what: &str, seed: u64, tally: Tally) {
    println!(
        "{what}: seed {seed}, {} cases, {} rendered by both, {} failed alike, {} met bounds, {} met helm's alone, {} are one of helm's several answers, {} differ; in {:.0} s, here {:.0} renders/s and {} KiB at most",
        tally.cases,
        tally.both_render,
        tally.alike,
        tally.bounded,
        tally.unanswered,
        tally.one_of_several,
        tally.differences.len(),
        tally.both.as_secs_f64(),
        tally.cases as f64 / tally.ours.as_secs_f64().max(0.001),
        tally.memory >> 10,
    );
    if tally.differences.is_empty() {
        return;
    }
    let folder = failures_folder();
    let most = setting("CATALYST_HELM_KEEP").unwrap_or(20) as usize;
    for (at, (case, _, _)) in tally.differences.iter().take(most).enumerate() {
        let case = shrink::smaller(case.clone(), |case| {
            compare(&ours(case), &oracle.ask(case)) == Agreement::Different
        });
        let helm = oracle.ask(&case).answer;
        let path = folder.join(format!("{what}-{seed}-{at}.json"));
        let kept = json!({"case": case.to_json(), "helm": answer_to_json(&helm)});
        std::fs::write(&path, serde_json::to_string_pretty(&kept).unwrap() + "\n").unwrap();
        println!("--- {}", path.display());
        for (name, text) in &case.files {
            if name.starts_with("templates/") || name.contains("Chart.yaml") {
                println!("{name}: {text}");
            }
        }
        println!("  helm {helm:?}\n  ours {:?}", ours(&case));
    }
    panic!(
        "{what}: {} of {} cases differ, see {} (seed {seed})",
        tally.differences.len(),
        tally.cases,
        folder.display()
    );
}

#[test]
fn recorded_charts_render_as_helm_rendered_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential/recorded");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let cases: Vec<(Case, Answer)> = match path.extension().unwrap().to_str() {
            // A line: what the notes of the usual chart say, and helm's answer.
            Some("jsonl") => text
                .lines()
                .map(|line| {
                    let line: Value = serde_json::from_str(line).unwrap();
                    let case = match line["notes"].as_str() {
                        Some(notes) => Case::notes(notes),
                        None => Case::from_json(&line["case"]),
                    };
                    (case, answer_from_json(&line["helm"]))
                })
                .collect(),
            _ => {
                let kept: Value = serde_json::from_str(&text).unwrap();
                vec![(
                    Case::from_json(&kept["case"]),
                    answer_from_json(&kept["helm"]),
                )]
            }
        };
        for (case, helm) in cases {
            count += 1;
            let ours = ours(&case);
            let helm = Told {
                answer: helm,
                allocated: 0,
                exhausted: false,
            };
            if compare(&ours, &helm) == Agreement::Different {
                let shown = case.files.get("templates/NOTES.txt");
                wrong.push(format!(
                    "{name}: {shown:?}\n  helm {:?}\n  ours {ours:?}",
                    helm.answer
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_function_answers_as_in_helm() {
    let Some(mut oracle) = Oracle::start() else {
        println!("not run: CATALYST_HELM_ORACLE is not set");
        return;
    };
    let seed = seed();
    let mut chance = Chance::new(seed);
    let each = setting("CATALYST_HELM_EACH").unwrap_or(40) as usize;
    let only = std::env::var("CATALYST_HELM_FUNCTION").ok();
    let mut cases = Vec::new();
    for (name, parameters, _) in functions::FUNCTIONS {
        if only
            .as_deref()
            .is_some_and(|only| !only.split(',').any(|o| o == *name))
        {
            continue;
        }
        let mut seen = std::collections::BTreeSet::new();
        // Every edge value of a single argument, else a sample of the tuples.
        if parameters.len() == 1 {
            let kind = parameters.chars().next().unwrap();
            seen.extend(edges::values(kind).iter().map(|v| format!("{name} {v}")));
        }
        for _ in 0..each {
            let mut call = (*name).to_owned();
            for kind in functions::kinds(&mut chance, parameters) {
                call.push(' ');
                call.push_str(functions::argument(&mut chance, kind));
            }
            seen.insert(call);
        }
        cases.extend(seen);
    }
    if only.as_deref().is_none_or(|only| only == "printf") {
        for _ in 0..each * 40 {
            let (format, count) = functions::format(&mut chance);
            let mut call = format!("printf {format}");
            for _ in 0..count {
                let mut argument = functions::argument(&mut chance, 'a');
                // With a wrong verb these print what Go keeps in them.
                while argument.contains("(semver") || argument.contains("(toDate") {
                    argument = functions::argument(&mut chance, 'a');
                }
                call.push(' ');
                call.push_str(argument);
            }
            cases.push(call);
        }
    }
    // Where the time does not suffice for all, it is not always the same that miss out.
    for at in (1..cases.len()).rev() {
        cases.swap(at, chance.below(at + 1));
    }
    let mut cases = cases.into_iter().map(|call| {
        // Of text that is no TOML only the verdict: the words are a library's.
        let shown = if call.starts_with("fromToml ") {
            "{{ $bad := hasKey $r \"Error\" }}{{ $r = omit $r \"Error\" }}{{ $bad }} "
        } else {
            ""
        };
        Case::notes(&format!(
            "{{{{ $r := {call} }}}}{shown}{{{{ printf \"%T %v\" $r $r }}}} {{{{ toJson $r }}}}"
        ))
    });
    let tally = run(&mut oracle, || cases.next());
    if let Some(path) = std::env::var_os("CATALYST_HELM_LIST") {
        let mut out = String::new();
        for (case, ours, helm) in &tally.differences {
            out.push_str(&format!(
                "{}\n  helm {helm:?}\n  ours {ours:?}\n",
                case.files["templates/NOTES.txt"]
            ));
        }
        std::fs::write(path, out).unwrap();
    }
    if let Some(path) = std::env::var_os("CATALYST_HELM_RECORD") {
        // A few answers of each function, for the recorded cases.
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut out = String::new();
        for (case, helm) in &tally.agreed {
            let notes = &case.files["templates/NOTES.txt"];
            let name = notes.split(' ').nth(3).unwrap_or_default();
            let count = counts.entry(name.to_owned()).or_default();
            *count += 1;
            if *count <= 4 || name == "printf" && *count <= 40 {
                let line = json!({"notes": notes, "helm": answer_to_json(helm)});
                out.push_str(&format!("{line}\n"));
            }
        }
        std::fs::write(path, out).unwrap();
    }
    report(&mut oracle, "functions", seed, tally);
}

#[test]
fn generated_charts_render_as_in_helm() {
    let Some(mut oracle) = Oracle::start() else {
        println!("not run: CATALYST_HELM_ORACLE is not set");
        return;
    };
    let seed = seed();
    let most = setting("CATALYST_HELM_CASES").unwrap_or(2_000);
    let mut at = 0;
    let tally = run(&mut oracle, || {
        at += 1;
        (at <= most).then(|| charts::chart(&mut Chance::new(seed.wrapping_add(at))))
    });
    if let Some(path) = std::env::var_os("CATALYST_HELM_LIST") {
        let mut out = String::new();
        for (case, ours, helm) in &tally.differences {
            out.push_str(&format!(
                "{}\n  helm {helm:?}\n  ours {ours:?}\n",
                case.to_json()
            ));
        }
        std::fs::write(path, out).unwrap();
    }
    if let Some(path) = std::env::var_os("CATALYST_HELM_RECORD") {
        let mut out = String::new();
        for (case, helm) in tally.agreed.iter().take(60) {
            let line = json!({"case": case.to_json(), "helm": answer_to_json(helm)});
            out.push_str(&format!("{line}\n"));
        }
        std::fs::write(path, out).unwrap();
    }
    report(&mut oracle, "charts", seed, tally);
}

/// A chart keeps what its renderings make alike: its templates as parsed, its merged
/// defaults. None may see what another was given or made of them.
#[test]
fn a_chart_renders_as_if_it_never_had_before() {
    let seed = seed();
    for at in 0..100 {
        let chance = &mut Chance::new(seed.wrapping_add(at));
        let case = match at % 3 {
            0 => charts::chart(chance),
            _ => charts::family(chance),
        };
        let Ok(chart) = oracle::chart(&case) else {
            continue;
        };
        // Values by which other subcharts take part, and the case's own again.
        let others = [
            "sub: {enabled: false, a: 7}\nenabled: true\n",
            "tags: {front: false}\nglobal: {enabled: false, a: {b: 1}}\nother: {deep: null}\n",
        ];
        for values in [&case.values, others[0], others[1], &case.values] {
            let mut case = case.clone();
            case.values = values.to_owned();
            // The time of day may go on between the two.
            let is_same = || oracle::rendered(&chart, &case) == ours(&case);
            assert!(
                (0..ASKED).any(|_| is_same()),
                "seed {seed}, chart {at}: {}\n  again {:?}\n  first {:?}",
                case.to_json(),
                oracle::rendered(&chart, &case),
                ours(&case)
            );
        }
    }
}

fn documents(text: &str) -> Vec<&str> {
    let mut all: Vec<&str> = text.split("---\n").collect();
    all.sort_unstable();
    all
}

/// The in-process oracle is itself held against the program users run.
#[test]
fn the_helm_program_says_what_its_packages_say() {
    let (Some(mut oracle), Some(helm)) = (Oracle::start(), std::env::var_os("CATALYST_HELM"))
    else {
        println!("not run: CATALYST_HELM_ORACLE and CATALYST_HELM are not set");
        return;
    };
    let seed = seed();
    let mut seen = BTreeMap::new();
    let cases = (0..).map(|at| charts::chart(&mut Chance::new(seed.wrapping_add(at))));
    // The program knows more versions of APIs, and another of its own.
    let cases = cases.filter(|case| {
        !case
            .files
            .values()
            .any(|text| text.contains("Capabilities"))
    });
    for mut case in cases.take(200) {
        case.include_crds = true;
        let told = oracle.ask(&case);
        // The program has no bounds of its own.
        if told.exhausted || told.allocated > agreement::COSTLY {
            continue;
        }
        let packages = told.answer;
        let program = oracle::program(&helm, &case);
        *seen.entry(packages.is_ok()).or_insert(0) += 1;
        match (&packages, &program) {
            // Helm loads subcharts in any order, and with them their definitions.
            (Ok((manifest, _)), Ok(printed)) => assert_eq!(
                documents(manifest),
                documents(printed),
                "{}",
                case.to_json()
            ),
            (Err(error), Err(printed)) => assert!(
                says(printed, error),
                "{error}\n{printed}\n{}",
                case.to_json()
            ),
            _ => panic!("{packages:?}\n{program:?}\n{}", case.to_json()),
        }
    }
    println!("program: seed {seed}, rendered or not: {seen:?}");
}
