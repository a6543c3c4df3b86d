//! What any order of versions owes, on versions made up at random, and what a
//! database does with whatever it is given.

#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use catalyst_vulnerabilities::{Bill, Builder, Order, Package, database, report};
use proptest::prelude::*;
use serde_json::json;

const ORDERS: [Order; 8] = [
    Order::Semantic,
    Order::Debian,
    Order::Python,
    Order::Maven,
    Order::Ruby,
    Order::Alpine,
    Order::Rpm,
    Order::NuGet,
];

/// Versions that are of every kind more often than chance would have it.
fn version() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}",
        "[0-9]\\.[0-9]\\.[0-9](-(alpha|beta|rc)(\\.[0-9]){0,2})?(\\+[a-z0-9]{1,3})?",
        "([0-2]:)?[0-9][0-9a-z.+~]{0,5}(-[0-9a-z.+~]{1,4})?",
        "([0-1]!)?[0-9](\\.[0-9]){0,2}(a|b|rc)?[0-9]?(\\.post[0-9])?(\\.dev[0-9])?",
        "[0-9](\\.0?[0-9]){0,2}[a-c]?(_(alpha|rc|p|git)[0-9]?){0,2}(-r[0-9])?",
        "[0-9](\\.[0-9]){0,2}(-(SNAPSHOT|RC[0-9]|sp|foo|[0-9])){0,2}",
        "([0-1]:)?[0-9a-b][0-9a-b.~^_]{0,5}(-[0-9a-b.~^]{1,4})?",
        "[0-9](\\.[0-9]){0,3}(-[0-9A-Ba-b]{1,2}(\\.[0-9a-b]{1,2}){0,2})?",
        ".{0,8}",
    ]
}

proptest! {
    #[test]
    fn the_other_way_round_is_the_other_way_round(left in version(), right in version()) {
        for order in ORDERS {
            let there = order.compare(&left, &right);
            let back = order.compare(&right, &left);
            prop_assert_eq!(there, back.map(Ordering::reverse), "{:?}", order);
            if order.compare(&left, &left).is_some() {
                prop_assert_eq!(order.compare(&left, &left), Some(Ordering::Equal), "{:?}", order);
            }
        }
    }

    #[test]
    fn what_is_before_something_is_before_what_follows(one in version(), two in version(), three in version()) {
        // Maven's own order goes in circles for some versions that nobody gives.
        for order in ORDERS.into_iter().filter(|order| *order != Order::Maven) {
            let (first, second) = (order.compare(&one, &two), order.compare(&two, &three));
            if let (Some(first), Some(second)) = (first, second)
                && first.is_le()
                && second.is_le()
            {
                let whole = order.compare(&one, &three);
                prop_assert!(whole.is_some_and(Ordering::is_le), "{:?}", order);
                prop_assert!(whole.is_some_and(Ordering::is_lt) || (first.is_eq() && second.is_eq()), "{:?}", order);
            }
        }
    }

    /// A version is found exactly where it is at or after what brought it and before
    /// what mended it.
    #[test]
    fn what_is_found_lies_between_what_brought_and_what_mended_it(
        brought in "[0-9]\\.[0-9]\\.[0-9]",
        mended in "[0-9]\\.[0-9]\\.[0-9]",
        version in "[0-9]\\.[0-9]\\.[0-9]",
    ) {
        let record = json!({
            "id": "X-1",
            "affected": [{
                "package": {"ecosystem": "npm", "name": "x"},
                "ranges": [{"type": "SEMVER", "events": [{"fixed": mended}, {"introduced": brought}]}],
            }],
        });
        let mut builder = Builder::default();
        builder.add(record.to_string().as_bytes()).unwrap();
        let index = builder.finish();
        let package = Package::of_purl(&format!("pkg:npm/x@{version}")).unwrap();
        // Numbers of one digit stand in the order of their text.
        let expected = if mended < brought {
            brought <= version
        } else {
            brought <= version && version < mended
        };
        prop_assert_eq!(index.ask(&package).matches.len(), usize::from(expected));
    }

    #[test]
    fn nothing_that_is_read_ends_the_process(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,40}", version in version()) {
        let mut builder = Builder::default();
        prop_assert!(builder.add(&bytes).is_err());
        for kind in ["npm", "Debian:12", "Alpine:v3.18", "PyPI", "Maven", "RubyGems", "Go", "NuGet", "AlmaLinux:8", "openSUSE:Leap 15.5", "Odd"] {
            let record = json!({
                "id": "X-1", "summary": text, "database_specific": {"severity": text},
                "severity": [{"type": "CVSS_V3", "score": text}],
                "affected": [{
                    "package": {"ecosystem": kind, "name": "x"}, "versions": [text],
                    "ranges": [{"type": "ECOSYSTEM", "events": [
                        {"introduced": text}, {"fixed": version}, {"last_affected": text}, {"limit": version},
                    ]}],
                }],
            });
            prop_assert!(builder.add(record.to_string().as_bytes()).is_ok());
        }
        let index = builder.finish();
        let purls = ["npm/x", "deb/debian/x", "apk/alpine/x", "pypi/x", "maven/x", "gem/x", "golang/x", "nuget/x", "rpm/almalinux/x", "rpm/opensuse/x"];
        let components: Vec<_> = purls
            .iter()
            .map(|purl| json!({"type": "library", "name": text, "purl": format!("pkg:{purl}@{version}")}))
            .chain([json!({"type": "library", "name": text, "purl": text})])
            .collect();
        let document = json!({"bomFormat": "CycloneDX", "components": components});
        let bill = Bill::of_cyclonedx(&document).unwrap();
        let parts = [catalyst_vulnerabilities::Part { path: Vec::new(), bill: &bill }];
        let view = database(&index, "2026-01-01T00:00:00Z".parse().unwrap());
        drop(report(Some(&index), view, &parts, Vec::new()));
    }
}
