//! Time zones by their names, as Go's `LoadLocation` finds them.
//!
//! Called by the date functions. The rules come with the program, so that a chart
//! renders the same on every machine; `Local` is UTC here.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

use super::date::Time;

/// Letters that Go reads at most, and that the zones' rules use.
const LONGEST: usize = 6;

/// What a clock in a zone says of it: `CET`, `GMT+3`, `+0330`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Abbreviation {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Abbreviation {
    /// None for what is longer than any abbreviation, or empty.
    pub fn new(text: &str) -> Option<Self> {
        let length = text.len();
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..length)?.copy_from_slice(text.as_bytes());
        (length > 0).then_some(Self { bytes, length })
    }

    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Abbreviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The same moment as clocks in a zone show it; in UTC where there is no such
/// zone, as sprig has it.
pub fn shown_in(time: Time, zone: &str) -> Time {
    let utc = time.in_utc();
    if matches!(zone, "" | "UTC" | "Local") {
        return utc;
    }
    let Ok(found) = TimeZoneDatabase::bundled().get(zone) else {
        return utc;
    };
    // Go's names are those of files.
    if found.iana_name() != Some(zone) {
        return utc;
    }
    let second = time
        .seconds
        .clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let Ok(moment) = Timestamp::from_second(second) else {
        return utc;
    };
    let info = found.to_offset_info(moment);
    Time {
        offset: i64::from(info.offset().seconds()),
        zone: Abbreviation::new(info.abbreviation()),
        ..time
    }
}
