//! One deadline for everything, so that destroying always keeps its time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What destroying may take; everything before it is cut short for it.
pub const DESTROY: Duration = minutes(20);
/// What a run may take where no deadline is given.
const USUAL: Duration = minutes(54);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    seconds(60 * count)
}

/// When all must be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(SystemTime);

impl Deadline {
    /// From seconds since 1970, as `E2E_DEADLINE` has them.
    pub fn at(seconds: u64) -> Self {
        Self(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// For a run that begins now.
    pub fn usual() -> Self {
        Self(SystemTime::now() + USUAL)
    }

    /// The time that a step gets: what it asks for, or what is left before destroying
    /// must begin.
    pub fn grant(self, asked: Duration, now: SystemTime) -> Granted {
        let left = self
            .0
            .duration_since(now)
            .unwrap_or_default()
            .saturating_sub(DESTROY);
        Granted {
            time: asked.min(left),
            is_cut: left < asked,
        }
    }
}

/// The time that a step gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// So long.
    pub time: Duration,
    /// Whether it had asked for more.
    pub is_cut: bool,
}

/// A step's time, out of which each call of OpenTofu gets its part when it begins: what
/// one takes, the next has no more.
#[derive(Debug, Clone, Copy)]
pub struct Budget(SystemTime);

impl Budget {
    /// So much time, from now on.
    pub fn of(time: Duration, now: SystemTime) -> Self {
        Self(now + time)
    }

    /// What is left of it.
    pub fn left(self, now: SystemTime) -> Duration {
        self.0.duration_since(now).unwrap_or_default()
    }

    /// How long a call may work before it is asked to stop: even where it must be killed
    /// in the end, it is over in time. `None` where too little is left to begin it.
    pub fn grant(self, call: Call, now: SystemTime) -> Option<Duration> {
        let left = self.left(now).checked_sub(call.grace + call.kept)?;
        (left >= call.least).then_some(left.min(call.most))
    }
}

/// What a call of OpenTofu asks for.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How long it may work at most.
    pub most: Duration,
    /// With less it is not begun: interrupted in its first moments, OpenTofu dies of it.
    pub least: Duration,
    /// What it gets to stop in good order, once it was asked; then it is killed.
    pub grace: Duration,
    /// What must be left of the budget behind it.
    pub kept: Duration,
}

impl Call {
    const fn new(most: Duration, grace: Duration, kept: Duration) -> Self {
        Self {
            most,
            least: seconds(10),
            grace,
            kept,
        }
    }
}

/// Which port is waited for, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    pub number: u16,
    pub within: Duration,
}

/// How long everything may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the first call of OpenTofu until its outputs are read.
    pub making: Duration,
    /// What only reads: the version, the outputs; the list of the state takes so long too.
    pub read: Call,
    pub init: Call,
    pub plan: Call,
    pub apply: Call,
    pub ssh: Port,
    pub https: Port,
    /// From the first call until nothing is found by the run's label.
    pub destroying: Duration,
    /// Before destroying, for which providers may have to be downloaded again.
    pub init_again: Call,
    pub destroy: Call,
    /// Between two looks at what the project has.
    pub pause: Duration,
}

impl Times {
    /// What looking for the run's label, and removing what has it, keeps for itself.
    const LABEL: Duration = minutes(3);

    pub const fn usual() -> Self {
        let read = Call::new(seconds(30), seconds(10), Duration::ZERO);
        let stop = seconds(90);
        Self {
            making: minutes(30),
            read,
            init: Call::new(minutes(10), seconds(10), Duration::ZERO),
            plan: Call::new(minutes(10), seconds(30), Duration::ZERO),
            // A server may take minutes to be made. The outputs are read behind it.
            apply: Call::new(minutes(30), minutes(5), seconds(40)),
            ssh: Port {
                number: 22,
                within: minutes(5),
            },
            https: Port {
                number: 443,
                within: minutes(15),
            },
            destroying: DESTROY,
            init_again: Call::new(minutes(4), seconds(10), Duration::ZERO),
            // The list of the state comes behind it, with the same grace.
            destroy: Call::new(
                DESTROY,
                stop,
                Duration::from_secs(30 + stop.as_secs() + Self::LABEL.as_secs()),
            ),
            pause: seconds(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destroying_keeps_its_time_whatever_a_step_asks_for() {
        let deadline = Deadline::at(60 * 54);
        for (now, asked, time, is_cut) in [
            (0, 30, 30, false),
            (10, 30, 24, true),
            (34, 5, 0, true),
            (50, 5, 0, true),
            (90, 5, 0, true),
        ] {
            let granted = deadline.grant(minutes(asked), UNIX_EPOCH + minutes(now));
            assert_eq!(
                granted,
                Granted {
                    time: minutes(time),
                    is_cut
                },
                "{now}"
            );
        }
    }

    #[test]
    fn a_call_gets_what_is_left_without_its_grace_and_what_comes_behind_it() {
        let budget = Budget::of(minutes(30), UNIX_EPOCH);
        let call = Call::new(minutes(20), minutes(5), minutes(1));
        for (now, granted) in [
            (0, Some(1200)),
            (240, Some(1200)),
            (300, Some(1140)),
            (1430, Some(10)),
            (1431, None),
            (1440, None),
            (9000, None),
        ] {
            assert_eq!(
                budget.grant(call, UNIX_EPOCH + seconds(now)),
                granted.map(seconds),
                "{now}"
            );
        }
    }

    /// The run at its worst: each call takes all that it may, and must be killed.
    #[test]
    fn destroying_begins_in_time_and_ends_in_time_whatever_the_calls_take() {
        let times = Times::usual();
        let deadline = Deadline::at(60 * 54);
        for begun in 0..34 {
            let mut now = UNIX_EPOCH + minutes(begun);
            let granted = deadline.grant(times.making, now);
            let budget = Budget::of(granted.time, now);
            for call in [times.read, times.init, times.plan, times.apply, times.read] {
                if let Some(time) = budget.grant(call, now) {
                    now += time + call.grace;
                }
            }
            assert!(now <= UNIX_EPOCH + minutes(34), "{begun}: {now:?}");

            let budget = Budget::of(times.destroying, now);
            for call in [times.init_again, times.destroy] {
                now += budget.grant(call, now).unwrap() + call.grace;
            }
            now += times.read.most + times.destroy.grace;
            assert!(budget.left(now) >= Times::LABEL, "{begun}: {now:?}");
        }
    }
}
