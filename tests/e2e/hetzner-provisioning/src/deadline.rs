//! One deadline for everything, so that destroying always keeps its time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What destroying may take; every wait before it is cut short for it.
pub const DESTROY: Duration = Duration::from_secs(20 * 60);
/// What a run may take where no deadline is given.
const USUAL: Duration = Duration::from_secs(54 * 60);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destroying_keeps_its_time_whatever_a_step_asks_for() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
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
}
