//! The known word that somebody may have meant.

use strsim::osa_distance;

/// The known name nearest to `given`, if one is near enough to be meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let wanted = plain(given);
    known
        .into_iter()
        .map(|name| (osa_distance(&wanted, &plain(name)), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len().min(wanted.len()) / 4)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_another_word_is_not() {
        let known = ["sovereignFqdn", "region", "adminCidrs", "gitUrl"];
        for (given, expected) in [
            ("sovereign_fqdn", Some("sovereignFqdn")),
            ("regoin", Some("region")),
            ("adminCidr", Some("adminCidrs")),
            ("GITURL", Some("gitUrl")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), expected, "{given}");
        }
    }
}
