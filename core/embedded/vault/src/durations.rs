//! Durations as Vault's API writes them: seconds as a number, or Go's form
//! (`90s`, `1h30m`), with days as an addition.

use serde_json::Value;

/// Reads a duration in whole seconds; `None` if it is none.
pub(crate) fn parse(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse_text(text),
        _ => None,
    }
}

fn parse_text(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let (unit, tail) = tail.split_at_checked(1)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = tail;
    }
    Some(total)
}

/// Writes whole seconds as Go does.
pub(crate) fn format(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_read_and_write_as_vault_does() {
        for (value, seconds) in [
            (json!(90), Some(90)),
            (json!("90"), Some(90)),
            (json!(""), Some(0)),
            (json!("1h30m"), Some(5400)),
            (json!("2d"), Some(172_800)),
            (json!("h"), None),
            (json!("5"), Some(5)),
            (json!("5x"), None),
            (json!("-5s"), None),
            (json!(-5), None),
            (json!(null), None),
        ] {
            assert_eq!(parse(&value), seconds, "{value}");
        }
        assert_eq!(
            [format(0), format(61), format(7200)],
            ["0s", "1m1s", "2h0m0s"]
        );
    }
}
