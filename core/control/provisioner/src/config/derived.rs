//! Names and places that follow from a configuration, as the module derives them too
//! (`locals` of `infra/hetzner/main.tf`).

use std::collections::BTreeMap;

use catalyst_names::{BuildingBlock, EnvType, HostClusterName, Provider, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Config, check};

/// What Hetzner calls a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Hetzner's location, such as fsn1.
    #[schemars(extend("pattern" = check::LOCATION))]
    pub location: String,
    /// Hetzner's network zone, such as eu-central.
    #[schemars(extend("pattern" = check::NETWORK_ZONE))]
    pub network_zone: String,
    /// The region's letter in the location code.
    #[schemars(extend("pattern" = check::LETTER))]
    pub letter: String,
}

/// The module's table of regions; a test compares the two.
const PLACES: [(&str, &str, &str, &str); 6] = [
    ("fsn", "fsn1", "eu-central", "f"),
    ("nbg", "nbg1", "eu-central", "n"),
    ("hel", "hel1", "eu-central", "l"),
    ("ash", "ash", "us-east", "a"),
    ("hil", "hil", "us-west", "i"),
    ("sin", "sin", "ap-southeast", "s"),
];

/// Server types of control planes and of workers, by region, that are planned with where none
/// are named. Hetzner sells its cx types in the EU only, and elsewhere cpx types; which of
/// them where is the trade's knowledge and changes, so preflight asks Hetzner each time, and
/// names those that it offers.
const SERVER_TYPES: [(&str, &str, &str); 6] = [
    ("fsn", EUROPEAN.0, EUROPEAN.1),
    ("nbg", EUROPEAN.0, EUROPEAN.1),
    ("hel", EUROPEAN.0, EUROPEAN.1),
    ("ash", "cpx31", "cpx41"),
    ("hil", "cpx31", "cpx41"),
    ("sin", "cpx32", "cpx42"),
];

/// The module's own defaults; a test compares the two.
const EUROPEAN: (&str, &str) = ("cx33", "cx43");

/// Server types of control planes and of workers for a region, where none are named.
pub fn usual_server_types(region: &str) -> (&'static str, &'static str) {
    SERVER_TYPES
        .iter()
        .find(|(code, ..)| *code == region)
        .map_or(EUROPEAN, |(_, control_planes, workers)| {
            (*control_planes, *workers)
        })
}

/// Every region that a Sovereign with these additions can be in, by code.
pub fn places(extra: &BTreeMap<String, Place>) -> BTreeMap<String, Place> {
    let mut places: BTreeMap<String, Place> = PLACES
        .iter()
        .map(|(code, location, zone, letter)| {
            let place = Place {
                location: (*location).to_owned(),
                network_zone: (*zone).to_owned(),
                letter: (*letter).to_owned(),
            };
            ((*code).to_owned(), place)
        })
        .collect();
    places.extend(
        extra
            .iter()
            .map(|(code, place)| (code.clone(), place.clone())),
    );
    places
}

/// Parts of `clusters/_template` whose every member claims a volume: NATS, OpenBao, and the
/// databases of Gitea and Keycloak.
const REPLICATED_CLAIMS: u32 = 4;

/// Those that claim one: Gitea's repositories and SPIRE's server, as their charts do by default.
const SINGLE_CLAIMS: u32 = 2;

/// What follows from a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The Sovereign's object name and the value of the label `openova.io/sovereign`.
    pub name: String,
    /// `hz-{region}-{building block}-{env type}`.
    pub host_cluster: String,
    /// The four-letter location code.
    pub location_code: String,
    /// Hetzner's location.
    pub location: String,
    /// Members of each replicated part: 3 where three nodes carry workloads, else 1.
    pub replicas: u16,
    /// Volumes that the parts of `clusters/_template` claim.
    pub volumes: u32,
}

impl Derived {
    pub(super) fn of(config: &Config) -> Self {
        let place = places(&config.extra_regions).remove(&config.region);
        let (location, letter) = place.map_or_else(Default::default, |place| {
            (
                place.location,
                place.letter.chars().next().unwrap_or_default(),
            )
        });
        let named = Region::new(&config.region, letter).ok().and_then(|region| {
            let block: BuildingBlock = config.building_block.parse().ok()?;
            let stage: EnvType = config.env_type.parse().ok()?;
            let cluster = HostClusterName::new(Provider::Hetzner, &region, block, stage);
            let code = cluster.location_code(&region);
            Some((cluster.to_string(), code.to_string()))
        });
        let (host_cluster, location_code) = named.unwrap_or_default();
        let carrying = match config.worker_count {
            0 => config.control_plane_count,
            workers => workers,
        };
        let replicas: u16 = if carrying >= 3 { 3 } else { 1 };
        Self {
            name: object_name(&config.sovereign_fqdn),
            host_cluster,
            location_code,
            location,
            replicas,
            volumes: REPLICATED_CLAIMS * u32::from(replicas) + SINGLE_CLAIMS,
        }
    }
}

/// The domain with hyphens; a long one is cut and marked with its digest, so that
/// host names and labels stay within 63 characters.
fn object_name(fqdn: &str) -> String {
    let dashed = fqdn.replace('.', "-");
    if dashed.len() <= 40 {
        return dashed;
    }
    let digest = hex::encode(Sha256::digest(fqdn));
    let head: String = dashed.chars().take(31).collect();
    let head = head.strip_suffix('-').unwrap_or(&head);
    format!("{head}-{}", digest.get(..8).unwrap_or(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_domains_get_short_names_that_differ() {
        assert_eq!(object_name("omantel.example"), "omantel-example");
        let one = object_name("a-rather-long-department-name.of-some-company.example");
        let other = object_name("a-rather-long-department-name.of-another-company.example");
        assert_eq!(one.len(), 40, "{one}");
        assert!(one.starts_with("a-rather-long-department-name-o-"), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn the_letters_are_those_of_the_naming_tables() {
        let places = places(&BTreeMap::new());
        let known = Region::known(Provider::Hetzner);
        assert_eq!(known.len(), places.len());
        for region in known {
            assert_eq!(
                places[&region.code].letter,
                region.letter.to_string(),
                "{}",
                region.code
            );
            assert!(
                SERVER_TYPES.iter().any(|(code, ..)| *code == region.code),
                "{}",
                region.code
            );
        }
    }
}
