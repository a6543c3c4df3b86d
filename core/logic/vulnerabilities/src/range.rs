//! Whether a version lies in a record's ranges
//! (<https://ossf.github.io/osv-schema/#evaluation>).

use std::cmp::Ordering;

use crate::{Order, record};

/// What is known of a version and a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It lies in it.
    Inside,
    /// It does not.
    Outside,
    /// Nobody can tell: a version that has no place in the order, or no order.
    Unknown,
}

/// A range as a record gives it. Its events are looked at one by one, never sorted:
/// hostile versions may have no order among them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    order: Option<Order>,
    events: Box<[Event]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Introduced(Box<str>),
    Fixed(Box<str>),
    LastAffected(Box<str>),
    Limit(Box<str>),
}

impl Event {
    fn version(&self) -> &str {
        match self {
            Self::Introduced(version)
            | Self::Fixed(version)
            | Self::LastAffected(version)
            | Self::Limit(version) => version,
        }
    }

    /// Which comes first of the events at one version.
    fn rank(&self) -> u8 {
        match self {
            Self::Introduced(_) => 0,
            Self::LastAffected(_) => 1,
            Self::Fixed(_) | Self::Limit(_) => 2,
        }
    }
}

impl Range {
    /// Reads a range; none where it is one of Git commits.
    pub fn read(range: record::Range, order: Option<Order>) -> Option<Self> {
        let order = match range.kind.as_str() {
            "SEMVER" => Some(Order::Semantic),
            "GIT" => return None,
            _ => order,
        };
        Some(Self {
            order,
            events: range.events.into_iter().flatten().flat_map(read).collect(),
        })
    }

    /// Whether a version lies in the range: the last event before it decides.
    pub fn stands(&self, version: &str) -> Standing {
        let Some(order) = self.order else {
            return Standing::Unknown;
        };
        let mut last: Option<&Event> = None;
        let (mut has_limit, mut within) = (false, false);
        for event in &self.events {
            let reached = match event {
                Event::Introduced(at) if &**at == "0" => Ordering::Greater,
                Event::Limit(at) if &**at == "*" => Ordering::Less,
                event => match order.compare(version, event.version()) {
                    Some(reached) => reached,
                    None => return Standing::Unknown,
                },
            };
            let is_before = match event {
                Event::Introduced(_) | Event::Fixed(_) => reached.is_ge(),
                Event::LastAffected(_) => reached.is_gt(),
                Event::Limit(_) => {
                    has_limit = true;
                    within |= reached.is_lt();
                    false
                }
            };
            if is_before && last.is_none_or(|last| place(order, event, last).is_gt()) {
                last = Some(event);
            }
        }
        let is_inside = matches!(last, Some(Event::Introduced(_)));
        match is_inside && (within || !has_limit) {
            true => Standing::Inside,
            false => Standing::Outside,
        }
    }

    /// The first version that is mended after this one; none where none is.
    pub fn fixed_after(&self, version: &str) -> Option<&str> {
        let order = self.order?;
        let mut first: Option<&str> = None;
        for event in &self.events {
            let Event::Fixed(fixed) = event else {
                continue;
            };
            let is_after = |other: &str| order.compare(fixed, other).is_some_and(Ordering::is_gt);
            if is_after(version) && !first.is_some_and(is_after) {
                first = Some(fixed);
            }
        }
        first
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let events = self.events.iter();
        events
            .map(|event| event.version().len() + 32)
            .sum::<usize>()
            + 32
    }
}

/// An event says one thing; one that says several is several.
fn read(event: record::Event) -> Vec<Event> {
    let boxed = String::into_boxed_str;
    [
        event.introduced.map(boxed).map(Event::Introduced),
        event.last_affected.map(boxed).map(Event::LastAffected),
        event.fixed.map(boxed).map(Event::Fixed),
        event.limit.map(boxed).map(Event::Limit),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Which of two events comes first. An introduction at `0` is before all versions.
fn place(order: Order, left: &Event, right: &Event) -> Ordering {
    let is_start = |event: &Event| matches!(event, Event::Introduced(at) if &**at == "0");
    match (is_start(left), is_start(right)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => order
            .compare(left.version(), right.version())
            .unwrap_or(Ordering::Equal)
            .then_with(|| left.rank().cmp(&right.rank())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn range(kind: &str, order: Option<Order>, events: Value) -> Range {
        let range = serde_json::from_value(json!({"type": kind, "events": events})).unwrap();
        Range::read(range, order).unwrap()
    }

    #[test]
    fn versions_stand_inside_or_outside() {
        let (inside, outside, unknown) = (Standing::Inside, Standing::Outside, Standing::Unknown);
        let until = json!([{"introduced": "0"}, {"fixed": "1.2.0"}]);
        let twice = json!([
            {"introduced": "2.0.0"}, {"fixed": "2.1.0"},
            {"introduced": "1.0.0"}, {"fixed": "1.2.0"},
        ]);
        let last = json!([{"introduced": "1.0.0"}, {"last_affected": "1.5.0"}]);
        let limited = json!([{"introduced": "1.0.0"}, {"limit": "2.0.0"}]);
        let endless = json!([{"introduced": "1.0.0"}, {"limit": "*"}]);
        let odd = json!([{"introduced": "whatever"}]);
        for (events, version, expected) in [
            (&until, "0.0.1-alpha", inside),
            (&until, "1.1.9", inside),
            (&until, "1.2.0-rc.1", inside),
            (&until, "1.2.0", outside),
            (&twice, "0.9.0", outside),
            (&twice, "1.0.0", inside),
            (&twice, "1.2.0", outside),
            (&twice, "2.0.5", inside),
            (&twice, "2.1.0", outside),
            (&last, "1.5.0", inside),
            (&last, "1.5.1", outside),
            (&limited, "1.9.0", inside),
            (&limited, "2.0.0", outside),
            (&endless, "99.0.0", inside),
            (&until, "latest", unknown),
            (&odd, "1.0.0", unknown),
        ] {
            let range = range("SEMVER", None, events.clone());
            assert_eq!(range.stands(version), expected, "{version} in {events}");
        }
    }

    #[test]
    fn a_range_of_an_ecosystem_goes_by_its_order() {
        let events = json!([{"introduced": "0"}, {"fixed": "2.36-9+deb12u4"}]);
        let debian = range("ECOSYSTEM", Some(Order::Debian), events.clone());
        assert_eq!(debian.stands("2.36-9+deb12u3"), Standing::Inside);
        assert_eq!(debian.stands("2.36-9+deb12u14"), Standing::Outside);
        let nobody_knows = range("ECOSYSTEM", None, events);
        assert_eq!(nobody_knows.stands("2.36"), Standing::Unknown);
    }

    #[test]
    fn the_version_that_mends_is_the_next_one() {
        let events = json!([
            {"introduced": "0"}, {"fixed": "1.2.0"}, {"introduced": "2.0.0"}, {"fixed": "2.1.0"},
        ]);
        let range = range("SEMVER", None, events);
        assert_eq!(range.fixed_after("1.0.0"), Some("1.2.0"));
        assert_eq!(range.fixed_after("2.0.0"), Some("2.1.0"));
        assert_eq!(range.fixed_after("2.1.0"), None);
    }

    #[test]
    fn ranges_of_commits_are_passed_over() {
        let range = json!({"type": "GIT", "repo": "r", "events": [{"introduced": "0"}]});
        assert_eq!(
            Range::read(serde_json::from_value(range).unwrap(), None),
            None
        );
    }
}
