//! Why nothing can be put in a place of the tree, and the sentences that say so.
//!
//! What must stay true: what fails in a place for another reason than a cycle fails
//! there whatever stands above; a cycle, as long as those Blueprints stand above that
//! it runs into. By that what was found out once is used again.

use std::collections::BTreeSet;
use std::rc::Rc;

use semver::Version;

use super::{SolveError, label};

/// The most versions that are looked at before giving up.
pub(super) const MAX_STEPS: usize = 1_000;
/// The most reasons that are told of one dependency: as many as the longest chain has
/// links, so that the end of it is among them.
const MAX_REASONS: usize = 16;
/// The most versions that one reason names.
const MAX_NAMED: usize = 3;

/// The source and the name of a Blueprint.
pub(super) type Id = (String, String);

/// Why there is no answer, for the root, a dependency, or one version of it.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// It needs itself.
    Cycle(Cycle),
    /// Something that it needs is not to be had.
    Conflict(Rc<Unmet>),
    /// A choice, a name or an expression is wrong.
    Refused(String),
    /// A version does not accept the config that its dependent gives it.
    Values(String),
    /// As much as may be looked at was, without an answer.
    Exhausted,
}

/// A Blueprint that is needed below itself.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    /// From where it was seen down to the Blueprint that closes it.
    chain: Vec<String>,
    /// The Blueprint that the chain has yet to reach upwards to be whole.
    begins: Option<Id>,
    /// The Blueprints above without which there would be no cycle.
    above: BTreeSet<Id>,
}

/// A dependency for which nothing will do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmet {
    /// Who needs it: `bp-blog 1.0.0`.
    pub dependent: String,
    /// `needs bp-postgres ^1`, and what is wrong with that if no version is to blame.
    pub needs: String,
    /// Why each version will not do.
    pub reasons: Reasons,
}

/// A few of a number of reasons.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reasons {
    told: Vec<String>,
    more: usize,
}

/// What of the versions of a dependency was passed over, those for one reason together.
#[derive(Default)]
pub(super) struct Passed {
    reasons: Vec<(Failure, Vec<Version>)>,
    cycle: Option<Cycle>,
}

impl Failure {
    /// A Blueprint that stands above is needed again.
    pub(super) fn cycle(again: Id) -> Self {
        Self::Cycle(Cycle {
            chain: vec![again.1.clone()],
            above: BTreeSet::from([again.clone()]),
            begins: Some(again),
        })
    }

    /// The same, as seen from above the version that it was found in.
    pub(super) fn seen_from_above(mut self, id: &Id, version: &Version) -> Self {
        if let Self::Cycle(cycle) = &mut self {
            if let Some(begins) = &cycle.begins {
                cycle.chain.insert(0, label(&id.1, version));
                if begins == id {
                    cycle.begins = None;
                }
            }
            cycle.above.remove(id);
        }
        self
    }

    /// Whether it is one also where `chain` stands above.
    pub(super) fn holds_below(&self, chain: &[Id]) -> bool {
        match self {
            Self::Cycle(cycle) => cycle.above.iter().all(|id| chain.contains(id)),
            Self::Conflict(_) | Self::Refused(_) | Self::Values(_) => true,
            Self::Exhausted => false,
        }
    }

    pub(super) fn into_error(self, root: String) -> SolveError {
        match self {
            Self::Cycle(cycle) => SolveError::Cycle {
                root,
                chain: cycle.chain,
            },
            Self::Conflict(unmet) => {
                let mut reasons = unmet.sentences(&unmet.dependent);
                if unmet.reasons.more > 0 {
                    reasons.push(format!(
                        "and {} more reasons of this kind",
                        unmet.reasons.more
                    ));
                }
                SolveError::Conflict { root, reasons }
            }
            Self::Refused(reason) | Self::Values(reason) => SolveError::Refused { root, reason },
            Self::Exhausted => SolveError::Refused {
                root,
                reason: format!(
                    "more than {MAX_STEPS} versions of what it needs were looked at without an end; narrow the version ranges, or choose Applications that are already there"
                ),
            },
        }
    }

    /// Whether one sentence can say both, of two versions of one Blueprint.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Conflict(one), Self::Conflict(other)) => {
                one.needs == other.needs && one.reasons == other.reasons
            }
            (Self::Refused(one), Self::Refused(other))
            | (Self::Values(one), Self::Values(other)) => one == other,
            _ => false,
        }
    }
}

impl Unmet {
    fn sentences(&self, dependent: &str) -> Vec<String> {
        let mut sentences = vec![format!("{dependent} {}", self.needs)];
        sentences.extend(self.reasons.told.iter().cloned());
        sentences
    }
}

impl Reasons {
    fn push(&mut self, reason: String) {
        if self.told.len() < MAX_REASONS {
            self.told.push(reason);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

impl Passed {
    pub(super) fn add(&mut self, version: &Version, failure: Failure) {
        if let Failure::Cycle(cycle) = failure {
            match &mut self.cycle {
                Some(first) => first.above.extend(cycle.above),
                None => self.cycle = Some(cycle),
            }
            return;
        }
        let mut known = self.reasons.iter_mut();
        match known.find(|(known, _)| known.is_like(&failure)) {
            Some((_, versions)) => versions.push(version.clone()),
            None => self.reasons.push((failure, vec![version.clone()])),
        }
    }

    /// The Blueprints above that kept a version from being taken.
    pub(super) fn above(self) -> BTreeSet<Id> {
        self.cycle.map(|cycle| cycle.above).unwrap_or_default()
    }

    /// What is wrong where no version of `blueprint` is left.
    pub(super) fn into_failure(self, dependent: &str, needs: String, blueprint: &str) -> Failure {
        // When every version failed and one met a cycle, the cycle is the news.
        if let Some(cycle) = self.cycle {
            return Failure::Cycle(cycle);
        }
        let mut reasons = Reasons::default();
        for (failure, versions) in self.reasons {
            let which = format!("{blueprint} {}", named(&versions));
            let is_one = versions.len() == 1;
            let told = match failure {
                Failure::Conflict(unmet) => {
                    reasons.more = reasons.more.saturating_add(unmet.reasons.more);
                    unmet.sentences(if is_one {
                        unmet.dependent.as_str()
                    } else {
                        "each"
                    })
                }
                Failure::Values(reason) => {
                    let words = if is_one {
                        "does not accept the values it is given"
                    } else {
                        "do not accept the values they are given"
                    };
                    reasons.push(format!("{which} {words}: {reason}"));
                    continue;
                }
                Failure::Refused(reason) => vec![reason],
                Failure::Cycle(_) | Failure::Exhausted => continue,
            };
            for sentence in told {
                reasons.push(format!("{which} will not do, because {sentence}"));
            }
        }
        Failure::Conflict(Rc::new(Unmet {
            dependent: dependent.to_owned(),
            needs,
            reasons,
        }))
    }
}

/// `1.3.0, 1.2.0, 1.1.0 and 2 more`.
fn named(versions: &[Version]) -> String {
    let mut words: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let last = if words.len() > MAX_NAMED {
        let more = words.split_off(MAX_NAMED).len();
        Some(format!("{more} more"))
    } else if words.len() > 1 {
        words.pop()
    } else {
        None
    };
    let first = words.join(", ");
    match last {
        Some(last) => format!("{first} and {last}"),
        None => first,
    }
}
