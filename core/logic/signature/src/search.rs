//! The bounds of a search for one good signature among many.
//!
//! Whoever may attach something to an artifact may attach any number of signatures
//! that do not count, in front of the good one. What must stay true:
//! - What is looked at is bounded, in number and in bytes, in each form of signature.
//! - Within these bounds nothing that is large keeps from what is small: a signature
//!   whose parts have at most [`SMALL`] bytes each is found wherever it stands among
//!   [`MAX_SIGNATURES`]; a larger one where those before it, the small and the smaller
//!   ones, leave its bytes of [`MAX_BYTES`].

use crate::{Expected, Refusal};

/// The most signatures of one artifact that are looked at, in each form.
pub const MAX_SIGNATURES: usize = 1_000;
/// The most bytes that are read for them, in each form.
pub const MAX_BYTES: u64 = 8 << 20;
/// The most bytes that one part of a signature may have: its payload, or a bundle or
/// its manifest.
pub const MAX_SIGNATURE: u64 = 1 << 20;
/// The bytes up to which a part counts as small: two of them for as many signatures as
/// are looked at are no more than may be read.
pub const SMALL: u64 = 4 << 10;
/// The most refusals that are kept.
const MAX_REFUSALS: usize = 64;

/// Puts what may be looked at into the order in which to do so. `told` says of each,
/// as far as that is known before it is read, whether it is called something else than
/// a signature, and its size in bytes. Small ones stay as they came.
pub fn in_order<T>(found: &mut [T], told: impl Fn(&T) -> (bool, u64)) {
    found.sort_by_key(|one| {
        let (is_other, size) = told(one);
        (is_other, size.max(SMALL))
    });
}

/// What one search, in one form, may cost, and has cost so far.
#[derive(Debug)]
pub struct Budget {
    part: u64,
    most: u64,
    begun: usize,
    left_out: usize,
    bytes: u64,
    is_short: bool,
}

/// The budget of a search for a signature.
impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_SIGNATURE, MAX_BYTES)
    }
}

impl Budget {
    /// That of a search which reads parts of at most `part` bytes each, and at most
    /// `most` of all of them.
    pub fn of(part: u64, most: u64) -> Self {
        Self {
            part,
            most,
            begun: 0,
            left_out: 0,
            bytes: 0,
            is_short: false,
        }
    }

    /// The most bytes that one part may have.
    pub fn part(&self) -> u64 {
        self.part
    }

    /// Whether one more signature may be looked at; it counts from then on.
    pub fn begin(&mut self) -> bool {
        if self.begun >= MAX_SIGNATURES {
            self.is_short = true;
            return false;
        }
        self.begun += 1;
        true
    }

    /// Whether a part of so many bytes may be read of the signature that was begun, which
    /// is left out if not; the bytes count from then on.
    pub fn read(&mut self, bytes: u64) -> bool {
        match self.bytes.checked_add(bytes) {
            Some(total) if total <= self.most => {
                self.bytes = total;
                true
            }
            _ => {
                self.is_short = true;
                self.left_out += 1;
                false
            }
        }
    }

    /// What to say where not all of the signatures that were `found` were looked at.
    pub fn too_many(&self, expected: Expected<'_>, found: usize) -> Option<Refusal> {
        self.is_short.then(|| Refusal::TooMany {
            name: expected.name.to_owned(),
            digest: expected.digest.to_owned(),
            found,
            limit: self.begun.saturating_sub(self.left_out),
        })
    }
}

/// Why signatures that were looked at do not count. Only so many are kept, as each may
/// quote what somebody attached.
#[derive(Debug, Default)]
pub struct Refusals {
    kept: Vec<Refusal>,
    /// Kept whatever else is, as it says why there is no other.
    too_many: Vec<Refusal>,
}

impl Refusals {
    /// Adds one.
    pub fn push(&mut self, refusal: Refusal) {
        if self.kept.len() < MAX_REFUSALS {
            self.kept.push(refusal);
        }
    }

    /// Adds what [`Budget::too_many`] says.
    pub fn push_too_many(&mut self, refusal: Option<Refusal>) {
        self.too_many.extend(refusal);
    }

    /// All of them, the most telling first; that there is no signature where there are
    /// none.
    pub fn into_sorted(mut self, expected: Expected<'_>) -> Vec<Refusal> {
        self.kept.append(&mut self.too_many);
        if self.kept.is_empty() {
            self.kept.push(unsigned(expected));
        }
        // An alteration says more than a signer who cannot count, that more than a
        // foreign one, and that more than an unreadable one.
        self.kept.sort_by_key(|refusal| match refusal {
            Refusal::AlteredDigest { .. } => 0,
            Refusal::WrongIdentity { .. } => 1,
            Refusal::TooMany { .. } => 2,
            Refusal::ForeignIdentity { .. }
            | Refusal::ForeignIssuer { .. }
            | Refusal::ExpiredCertificate { .. }
            | Refusal::LoggedOtherwise { .. }
            | Refusal::Unlogged { .. } => 3,
            Refusal::UnknownAuthority { .. } => 4,
            Refusal::ForeignKey { .. } => 5,
            _ => 6,
        });
        self.kept
    }

    /// The most telling one of them.
    pub fn most_telling(self, expected: Expected<'_>) -> Refusal {
        let first = self.into_sorted(expected).into_iter().next();
        first.unwrap_or_else(|| unsigned(expected))
    }
}

fn unsigned(expected: Expected<'_>) -> Refusal {
    Refusal::Unsigned {
        name: expected.name.to_owned(),
        digest: expected.digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected<'_> = Expected {
        digest: "sha256:d",
        name: "n",
    };

    #[test]
    fn small_ones_come_first_as_they_stand_and_what_is_called_otherwise_last() {
        let mut found = [
            ("large", false, SMALL + 2),
            ("other", true, 1),
            ("first", false, SMALL),
            ("larger", false, u64::MAX),
            ("second", false, 1),
            ("less large", false, SMALL + 1),
        ];
        in_order(&mut found, |(_, is_other, size)| (*is_other, *size));
        let names = found.map(|(name, ..)| name);
        assert_eq!(
            names,
            ["first", "second", "less large", "large", "larger", "other"]
        );
    }

    #[test]
    fn a_search_ends_at_its_number_and_at_its_bytes() {
        let mut budget = Budget::default();
        // Small ones, each of two parts, spend the number before the bytes.
        for number in 0..MAX_SIGNATURES {
            let is_read = budget.begin() && budget.read(SMALL) && budget.read(SMALL);
            assert!(is_read, "{number}");
        }
        assert_eq!(budget.too_many(EXPECTED, MAX_SIGNATURES), None);
        assert!(!budget.begin());
        let told = budget.too_many(EXPECTED, 3_000);
        let limit = MAX_SIGNATURES;
        assert!(
            matches!(&told, Some(Refusal::TooMany { found: 3_000, limit: it, .. }) if *it == limit),
            "{told:?}"
        );

        let mut budget = Budget::default();
        let read = (0..20).filter(|_| budget.begin() && budget.read(MAX_SIGNATURE));
        assert_eq!(read.count() as u64 * MAX_SIGNATURE, MAX_BYTES);
        assert!(!budget.read(u64::MAX), "nothing flows over");
        // Of 20 that were begun, 12 were too much, and so was one part more.
        let told = budget.too_many(EXPECTED, 20);
        assert!(
            matches!(&told, Some(Refusal::TooMany { limit: 7, .. })),
            "{told:?}"
        );
    }

    #[test]
    fn few_refusals_are_kept_and_the_most_telling_is_first() {
        let mut refusals = Refusals::default();
        for _ in 0..10 * MAX_REFUSALS {
            refusals.push(EXPECTED.malformed("it is nothing"));
        }
        let mut budget = Budget::default();
        assert!(!budget.read(MAX_BYTES + 1));
        refusals.push_too_many(budget.too_many(EXPECTED, 1));
        let sorted = refusals.into_sorted(EXPECTED);
        assert_eq!(sorted.len(), MAX_REFUSALS + 1);
        assert_eq!(sorted[0].reason(), "TooManySignatures");
        let none = Refusals::default().most_telling(EXPECTED);
        assert_eq!(none.reason(), "Unsigned");
    }
}
