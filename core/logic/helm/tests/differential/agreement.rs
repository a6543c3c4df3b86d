//! When two answers agree.

use crate::oracle::{Answer, CHART_ERROR, Told};

/// How far two answers must agree.
#[derive(PartialEq, Eq)]
pub enum Agreement {
    Same,
    /// Both fail, and helm's words come from a library whose words we do not
    /// repeat.
    Alike,
    /// One of our bounds ended it, and helm met those of its
    /// process, or the chart cost it more than `COSTLY`.
    Bounded,
    /// Helm met the bounds of its process, and we did not.
    Unanswered,
    Different,
}

/// Bounds of ours, as their errors name them; helm has none of them.
const BOUNDS: [&str; 8] = [
    "there are more than",
    "functions made more than",
    "is too long",
    "a value is too large",
    "rendering took more than",
    "the chart makes more than",
    "numbers is too long",
    "would make a text of",
];

/// Bytes that helm must allocate for a chart before a bound of ours may end it.
/// No ordinary chart comes near; the dearest one that the grammar makes costs
/// it a tenth.
pub const COSTLY: u64 = 16 << 20;

/// Whether a bound of ours ended the rendering.
pub fn is_bounded(ours: &Answer) -> bool {
    ours.as_ref()
        .is_err_and(|why| BOUNDS.iter().any(|bound| why.contains(bound)))
}

/// Compares an answer of ours with helm's.
///
/// Of a schema only the charts that break theirs are compared, of text that is
/// not YAML only the file: the rest is the words of a library.
///
/// Where one of our bounds ends a chart, the two agree only if helm met those of
/// its process as well, or the chart cost it more than `COSTLY`: a bound that ends
/// an ordinary chart is a difference. Where helm alone met bounds (it shows a map
/// that holds itself in an error that nobody reads) it gave no answer to compare.
pub fn compare(ours: &Answer, helm: &Told) -> Agreement {
    if is_bounded(ours) {
        return if helm.exhausted || helm.allocated > COSTLY {
            Agreement::Bounded
        } else {
            Agreement::Different
        };
    }
    if helm.exhausted {
        return Agreement::Unanswered;
    }
    match (ours, &helm.answer) {
        (Ok(ours), Ok(helm)) if ours == helm => Agreement::Same,
        (Err(ours), Err(helm)) if ours == helm => Agreement::Same,
        // Where a pointer leads to in Go's memory is another place in each run.
        (ours, helm) if ours == &with_one_address(helm) => Agreement::Alike,
        // Go lets a slice reach as far as its list has room.
        (Err(ours), _) if ours.contains("reflect.Value.Slice: slice index out of bounds") => {
            Agreement::Alike
        }
        // Helm refuses text that it has cut within a character.
        (Ok((ours, _)), Err(helm)) if ours.contains('\u{fffd}') && helm.contains("UTF-8") => {
            Agreement::Alike
        }
        // What a YAML reader says of broken text is its own.
        (ours, helm) if without_reader(ours) == without_reader(helm) => Agreement::Alike,
        // Texts that Go cut within a character: ours are always whole.
        (Ok(ours), Ok(helm)) if is_cut(ours) && is_cut(helm) => Agreement::Alike,
        (Err(ours), Err(helm)) if kind(ours) == kind(helm) && kind(ours).is_some() => {
            Agreement::Alike
        }
        _ => Agreement::Different,
    }
}

/// The answer with the address that this crate shows for each of Go's: a heap's, of
/// nine digits or more, in capitals where a chart made them so.
fn with_one_address(helm: &Answer) -> Answer {
    fn replaced(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("0x").into_iter().chain(rest.find("0X")).min() {
            let (before, from) = rest.split_at(at);
            let digits = from[2..]
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(from.len() - 2);
            let is_address = (9..=12).contains(&digits);
            let (address, after) = from.split_at(digits + 2);
            out.push_str(before);
            out.push_str(match (is_address, address.starts_with("0X")) {
                (false, _) => address,
                (true, false) => "0xc000000000",
                (true, true) => "0XC000000000",
            });
            rest = after;
        }
        out.push_str(rest);
        out
    }
    match helm {
        Ok((manifest, notes)) => Ok((replaced(manifest), replaced(notes))),
        Err(error) => Err(replaced(error)),
    }
}

/// Whether ours is what helm says, but for places where helm's own answers differ from
/// one another: a checksum of an address, whether it has as many digits each time or is a
/// number; a fraction of a second.
pub fn is_within(ours: &Answer, helm: &[Answer]) -> bool {
    let texts = |answer: &Answer| format!("{answer:?}");
    let ours = texts(ours);
    let helm: Vec<String> = (helm.iter().map(with_one_address))
        .map(|answer| texts(&answer))
        .collect();
    let parts = |cut: fn(&str) -> Vec<&str>| {
        let (ours, helm): (_, Vec<_>) = (cut(&ours), helm.iter().map(|it| cut(it)).collect());
        is_part_by_part_within(&ours, &helm)
    };
    parts(|text| cut(text, |_| false)) || parts(|text| cut(text, |c| c.is_ascii_digit()))
}

/// A text in its characters, but that those that go together stay together.
fn cut(text: &str, together: fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match together(first) {
            true => rest.find(|c| !together(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

fn is_part_by_part_within(ours: &[&str], helm: &[Vec<&str>]) -> bool {
    helm.iter().all(|answer| answer.len() == ours.len())
        && ours.iter().enumerate().all(|(at, part)| {
            let first = helm[0][at];
            *part == first || helm.iter().any(|answer| answer[at] != first)
        })
}

fn is_cut(rendered: &(String, String)) -> bool {
    [&rendered.0, &rendered.1]
        .iter()
        .any(|text| text.contains('\u{fffd}') || text.contains("\\ufffd"))
}

fn without_reader(answer: &Answer) -> String {
    let mut text = format!("{answer:?}");
    for start in [
        "error converting YAML to JSON: ",
        "error unmarshaling JSON: ",
    ] {
        let mut from = 0;
        while let Some(at) = text[from..].find(start).map(|at| from + at + start.len()) {
            let end = text[at..].find('"').map_or(text.len(), |end| at + end);
            text.replace_range(at..end, "");
            from = at;
        }
    }
    text.replace(
        "error unmarshaling JSON: ",
        "error converting YAML to JSON: ",
    )
}

fn kind(error: &str) -> Option<String> {
    if let Some(rest) = error.strip_prefix("YAML parse error on ") {
        return Some(rest.split(": ").next()?.to_owned());
    }
    if ["validation: ", "error unpacking ", CHART_ERROR]
        .iter()
        .any(|start| error.starts_with(start))
    {
        return Some(CHART_ERROR.to_owned());
    }
    if error.starts_with("values don't meet the specifications of the schema") {
        let charts: Vec<&str> = error
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with([' ', '-']))
            .collect();
        return Some(charts.join("\n"));
    }
    None
}

/// Whether what the program printed has the error of its packages in it.
pub fn says(printed: &str, error: &str) -> bool {
    printed.contains(error)
        || kind(error).is_some_and(|kind| kind.lines().all(|line| printed.contains(line)))
}

#[test]
fn only_where_helm_differs_from_itself_may_we_differ() {
    let notes = |text: &str| -> Answer { Ok((String::new(), text.to_owned())) };
    let helm = [notes("a 0x2ca6d9e32a20 1f b"), notes("a 0xc000123450 2e b")];
    assert!(is_within(&notes("a 0xc000000000 77 b"), &helm));
    assert!(!is_within(&notes("a 0xc000000000 77 c"), &helm));
    assert!(!is_within(&notes("a 0xc000000000 777 b"), &helm));
    assert!(!is_within(&notes("a 0xc000000001 77 b"), &helm));
    assert!(!is_within(&notes("a"), &[notes("b"), notes("b")]));
    let numbers = [notes("a 551 b"), notes("a 1821 b")];
    assert!(is_within(&notes("a 73 b"), &numbers));
    assert!(!is_within(&notes("a 7f b"), &numbers));
    assert!(!is_within(&notes("a 73 c"), &numbers));
    let capitals = notes("A 0X2CA6D9E32A20 B 0xc000123450 0x1f");
    assert!(with_one_address(&capitals) == notes("A 0XC000000000 B 0xc000000000 0x1f"));
}
