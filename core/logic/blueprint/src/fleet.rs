//! What of a fleet upgrade is next: which Applications begin, or why none does.
//!
//! Called by the command side, which settles the waves, and by the controller that
//! carries them out. What must stay true: no wave begins before every one before it is
//! through; after a failure nothing begins until somebody says so; what is through is
//! never begun again.

use std::collections::BTreeMap;

/// How far an Application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its turn has not come.
    Waiting,
    /// A pull request waits for it.
    Proposed,
    /// It has the version and does not run yet.
    RollingOut,
    /// It runs at the version.
    Done,
    /// There is nothing to do about it.
    Left,
    /// It was refused, failed, or took too long.
    Failed,
}

impl Progress {
    /// Whether nothing more is expected of it.
    pub fn is_through(self) -> bool {
        matches!(self, Self::Done | Self::Left)
    }

    /// The same when somebody asks to go on: what failed has its turn again.
    #[must_use]
    pub fn retried(self) -> Self {
        match self {
            Self::Failed => Self::Waiting,
            other => other,
        }
    }
}

/// What people said about a fleet upgrade, and what it said itself before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// Nothing more is to begin.
    pub is_cancelled: bool,
    /// It stopped, and nobody has said yet that it shall go on.
    pub is_stopped: bool,
}

/// What is next. Waves are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Upgrade these members of a wave.
    Begin {
        /// The wave.
        wave: usize,
        /// Positions in it.
        members: Vec<usize>,
    },
    /// Wait for those of a wave that were begun.
    Wait {
        /// The wave.
        wave: usize,
    },
    /// Begin nothing: something in this wave failed.
    Stop {
        /// The wave.
        wave: usize,
    },
    /// Begin nothing: somebody ended it.
    Cancel,
    /// All are through.
    Complete,
}

/// What is next, by how far all members of all waves are.
pub fn next_step(waves: &[Vec<Progress>], orders: Orders) -> Step {
    let is_open = |members: &[Progress]| members.iter().any(|it| !it.is_through());
    let mut open = waves.iter().enumerate();
    let Some((wave, members)) = open.find(|(_, it)| is_open(it.as_slice())) else {
        return Step::Complete;
    };
    if orders.is_cancelled {
        return Step::Cancel;
    }
    if orders.is_stopped || members.contains(&Progress::Failed) {
        return Step::Stop { wave };
    }
    let waiting: Vec<usize> = members
        .iter()
        .enumerate()
        .filter(|(_, it)| **it == Progress::Waiting)
        .map(|(position, _)| position)
        .collect();
    if waiting.is_empty() {
        Step::Wait { wave }
    } else {
        Step::Begin {
            wave,
            members: waiting,
        }
    }
}

/// Members by their stage, in the order of `stages`, at most `batch` a wave; those of
/// other stages are left out. Within a stage they keep their order.
pub fn waves<T>(
    members: Vec<(String, T)>,
    stages: &[String],
    batch: Option<usize>,
) -> Vec<(String, Vec<T>)> {
    let mut by_stage: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for (stage, member) in members {
        by_stage.entry(stage).or_default().push(member);
    }
    let mut waves = Vec::new();
    for stage in stages {
        let mut rest = by_stage.remove(stage).unwrap_or_default();
        let size = batch.unwrap_or(rest.len()).max(1);
        while !rest.is_empty() {
            let later = rest.split_off(size.min(rest.len()));
            waves.push((stage.clone(), rest));
            rest = later;
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GO: Orders = Orders {
        is_cancelled: false,
        is_stopped: false,
    };
    const CANCELLED: Orders = Orders {
        is_cancelled: true,
        is_stopped: false,
    };
    const STOPPED: Orders = Orders {
        is_cancelled: false,
        is_stopped: true,
    };

    /// `w p r d l f`, a letter a state, waves by spaces.
    fn read(text: &str) -> Vec<Vec<Progress>> {
        let one = |letter| match letter {
            'w' => Progress::Waiting,
            'p' => Progress::Proposed,
            'r' => Progress::RollingOut,
            'd' => Progress::Done,
            'l' => Progress::Left,
            'f' => Progress::Failed,
            other => panic!("{other} is no state"),
        };
        let waves = text.split_whitespace();
        waves.map(|wave| wave.chars().map(one).collect()).collect()
    }

    #[test]
    fn a_wave_begins_when_the_one_before_is_through() {
        let begin = |wave, members: &[usize]| Step::Begin {
            wave,
            members: members.to_vec(),
        };
        for (waves, orders, expected) in [
            ("", GO, Step::Complete),
            ("ww w", GO, begin(0, &[0, 1])),
            ("rw w", GO, begin(0, &[1])),
            ("rd w", GO, Step::Wait { wave: 0 }),
            ("pd w", GO, Step::Wait { wave: 0 }),
            ("dl wd", GO, begin(1, &[0])),
            ("dl dd", GO, Step::Complete),
            ("dl dd", CANCELLED, Step::Complete),
            // What was begun is followed; nothing else begins beside a failure.
            ("fw w", GO, Step::Stop { wave: 0 }),
            ("d fr w", GO, Step::Stop { wave: 1 }),
            ("d rw w", CANCELLED, Step::Cancel),
            ("d fw w", CANCELLED, Step::Cancel),
            ("d rw w", STOPPED, Step::Stop { wave: 1 }),
            ("d dd w", STOPPED, Step::Stop { wave: 2 }),
        ] {
            assert_eq!(next_step(&read(waves), orders), expected, "{waves:?}");
        }
    }

    #[test]
    fn waves_follow_the_stages_and_are_no_larger_than_asked_for() {
        let members = || {
            ["prod-a", "dev-a", "dev-b", "prod-b", "poc-a", "dev-c"]
                .into_iter()
                .map(|name| (name.split('-').next().unwrap().to_owned(), name))
                .collect::<Vec<_>>()
        };
        for (order, batch, expected) in [
            ("dev prod", None, "dev-a dev-b dev-c, prod-a prod-b"),
            ("prod dev", Some(2), "prod-a prod-b, dev-a dev-b, dev-c"),
            ("poc stg", Some(0), "poc-a"),
            ("dev dev", Some(9), "dev-a dev-b dev-c"),
            ("stg", None, ""),
        ] {
            let stages: Vec<String> = order.split(' ').map(str::to_owned).collect();
            let found = waves(members(), &stages, batch);
            let told: Vec<String> = found.iter().map(|(_, wave)| wave.join(" ")).collect();
            assert_eq!(told.join(", "), expected, "{order} by {batch:?}");
        }
    }

    fn progress() -> impl Strategy<Value = Progress> {
        prop::sample::select(vec![
            Progress::Waiting,
            Progress::Proposed,
            Progress::RollingOut,
            Progress::Done,
            Progress::Left,
            Progress::Failed,
        ])
    }

    /// What becomes of an Application that was begun, if anything does.
    fn goes_on(state: Progress, chance: u8) -> Progress {
        match (state, chance % 8) {
            (Progress::Proposed | Progress::RollingOut, 0) => Progress::Failed,
            (Progress::Proposed, 1..=3) => Progress::RollingOut,
            (Progress::Proposed, 4) => Progress::Left,
            (Progress::RollingOut, 1..=4) => Progress::Done,
            (other, _) => other,
        }
    }

    proptest! {
        #[test]
        fn nothing_begins_before_all_earlier_waves_are_through(
            waves in prop::collection::vec(prop::collection::vec(progress(), 0..5), 0..5),
            is_cancelled in any::<bool>(),
            is_stopped in any::<bool>(),
        ) {
            let orders = Orders { is_cancelled, is_stopped };
            match next_step(&waves, orders) {
                Step::Begin { wave, members } => {
                    prop_assert!(!is_cancelled && !is_stopped && !members.is_empty());
                    prop_assert!(waves[..wave].iter().flatten().all(|it| it.is_through()));
                    prop_assert!(!waves[wave].contains(&Progress::Failed));
                    prop_assert!(members.iter().all(|it| waves[wave][*it] == Progress::Waiting));
                }
                Step::Complete => prop_assert!(waves.iter().flatten().all(|it| it.is_through())),
                Step::Wait { wave } | Step::Stop { wave } => {
                    prop_assert!(waves[..wave].iter().flatten().all(|it| it.is_through()));
                    prop_assert!(!is_cancelled);
                }
                Step::Cancel => prop_assert!(is_cancelled),
            }
        }

        /// A whole upgrade with chance in it: each failure stops it until somebody goes
        /// on, and what was done once is never begun again.
        #[test]
        fn a_stopped_upgrade_goes_on_where_it_stood(
            sizes in prop::collection::vec(0usize..4, 1..4),
            chances in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            let mut waves: Vec<Vec<Progress>> =
                sizes.iter().map(|size| vec![Progress::Waiting; *size]).collect();
            let mut was_done: Vec<Vec<bool>> = sizes.iter().map(|size| vec![false; *size]).collect();
            let mut is_stopped = false;
            for chance in chances {
                let step = next_step(&waves, Orders { is_cancelled: false, is_stopped });
                match step {
                    Step::Begin { wave, members } => {
                        prop_assert!(!is_stopped);
                        // One of them at a time: the controller may end in between.
                        let first = members[0];
                        prop_assert!(!was_done[wave][first]);
                        waves[wave][first] = match chance % 4 {
                            0 => Progress::Proposed,
                            1 => Progress::Failed,
                            _ => Progress::RollingOut,
                        };
                    }
                    Step::Wait { .. } => {
                        for state in waves.iter_mut().flatten() {
                            *state = goes_on(*state, chance);
                        }
                    }
                    Step::Stop { .. } => {
                        is_stopped = chance % 3 != 0;
                        if !is_stopped {
                            for state in waves.iter_mut().flatten() {
                                *state = state.retried();
                            }
                        }
                    }
                    Step::Complete => break,
                    Step::Cancel => return Err(TestCaseError::fail("nobody cancelled it")),
                }
                for (wave, states) in waves.iter().enumerate() {
                    for (position, state) in states.iter().enumerate() {
                        let done = &mut was_done[wave][position];
                        prop_assert!(!*done || state.is_through());
                        *done |= state.is_through();
                    }
                }
            }
        }

        #[test]
        fn every_member_of_a_stage_is_in_one_wave(
            members in prop::collection::vec(prop::sample::select(vec!["dev", "stg", "prod"]), 0..30),
            batch in prop::option::of(0usize..6),
        ) {
            let stages = ["dev".to_owned(), "prod".to_owned()];
            let all: Vec<(String, usize)> = members
                .iter()
                .enumerate()
                .map(|(number, stage)| ((*stage).to_owned(), number))
                .collect();
            let expected: Vec<usize> = stages
                .iter()
                .flat_map(|stage| all.iter().filter(move |(it, _)| it == stage).map(|(_, it)| *it))
                .collect();
            let found = waves(all.clone(), &stages, batch);
            if let Some(batch) = batch {
                prop_assert!(found.iter().all(|(_, wave)| wave.len() <= batch.max(1)));
            }
            prop_assert!(found.iter().all(|(_, wave)| !wave.is_empty()));
            let flat: Vec<usize> = found.into_iter().flat_map(|(_, wave)| wave).collect();
            prop_assert_eq!(flat, expected);
        }
    }
}
