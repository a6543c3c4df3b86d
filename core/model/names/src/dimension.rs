//! The dimensions of placement and their codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::NameError;

macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $letter:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the naming tables.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code used in names.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The one-letter code used in location codes.
            pub const fn letter(self) -> char {
                match self { $(Self::$variant => $letter),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.code())
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::ALL.iter().copied().find(|value| value.code() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|value| value.code()).collect();
                    NameError::new($what, text, format!("it is not one of {}", known.join(", ")))
                })
            }
        }
    };
}

dimension! {
    /// Who runs the machines.
    Provider, "provider" {
        /// Hetzner Cloud.
        Hetzner = "hz", 'h';
        /// Huawei Cloud.
        Huawei = "hw", 'w';
        /// Oracle Cloud.
        Oci = "oci", 'o';
        /// Amazon Web Services.
        Aws = "aws", 'a';
        /// Google Cloud.
        Gcp = "gcp", 'g';
        /// Microsoft Azure.
        Azure = "az", 'z';
        /// This machine.
        Local = "lo", 'm';
    }
}

dimension! {
    /// What a host cluster is for.
    BuildingBlock, "building block" {
        /// Restricted trust zone: workloads.
        RestrictedTrust = "rtz", 'r';
        /// Edge.
        Edge = "dmz", 'd';
        /// Control plane.
        Management = "mgt", 'm';
    }
}

dimension! {
    /// The stage an Environment stands for.
    EnvType, "env type" {
        /// Production.
        Production = "prod", 'p';
        /// Staging.
        Staging = "stg", 's';
        /// User acceptance.
        Acceptance = "uat", 'u';
        /// Development.
        Development = "dev", 'd';
        /// Proof of concept.
        ProofOfConcept = "poc", 'c';
    }
}

/// A provider's region: its name (3–4 lower-case letters) and its letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    /// The region's code, such as `fsn`.
    pub code: String,
    /// The region's letter in location codes.
    pub letter: char,
}

impl Region {
    /// The regions that need no declaration in the Sovereign's configuration.
    pub fn known(provider: Provider) -> Vec<Self> {
        let table: &[(&str, char)] = match provider {
            Provider::Hetzner => &[
                ("fsn", 'f'),
                ("nbg", 'n'),
                ("hel", 'l'),
                ("ash", 'a'),
                ("hil", 'i'),
                ("sin", 's'),
            ],
            Provider::Local => &[("loc", 'l')],
            _ => &[],
        };
        table
            .iter()
            .map(|(code, letter)| Self {
                code: (*code).to_owned(),
                letter: *letter,
            })
            .collect()
    }

    /// Checks a region that a Sovereign's configuration adds.
    pub fn new(code: &str, letter: char) -> Result<Self, NameError> {
        let fits =
            (3..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        if !fits {
            return Err(NameError::new(
                "region",
                code,
                "it must be 3 or 4 lower-case letters".to_owned(),
            ));
        }
        if !letter.is_ascii_lowercase() {
            return Err(NameError::new(
                "region",
                code,
                format!("its letter {letter:?} is not a lower-case letter"),
            ));
        }
        Ok(Self {
            code: code.to_owned(),
            letter,
        })
    }
}
