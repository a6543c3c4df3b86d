//! What helm offers, by signature, and how its arguments are chosen: for the table
//! of edge values, and for expressions in generated charts.
//!
//! Kinds: s text, i a literal integer, n any number, f a literal float, b bool,
//! a anything, m map, l list, and texts of a special form: r regular
//! expression, R replacement, v version, c constraint, y YAML, j JSON, o TOML,
//! u URL, p path, d duration, D date layout, T date, L a zone, t a type's name,
//! k a kind's name, M a map for TOML, z and Z a password and what it encrypted,
//! W a kind of password, e base64, E base32, x a key, F a file's name. A trailing `*`
//! repeats the last kind.

use crate::chance::Chance;
use crate::edges::values;

/// Name, parameters, kind of the answer. Answers of another kind than those
/// above: `A` is for anything, `_` for what cannot be composed further.
pub const FUNCTIONS: &[(&str, &str, char)] = &[
    ("and", "aa*", 'A'),
    ("or", "aa*", 'A'),
    ("not", "a", 'b'),
    ("eq", "aa*", 'b'),
    ("ne", "aa", 'b'),
    ("lt", "nn", 'b'),
    ("le", "nn", 'b'),
    ("gt", "ss", 'b'),
    ("ge", "nn", 'b'),
    ("len", "l", 'i'),
    ("len", "s", 'i'),
    ("index", "li", 'A'),
    ("index", "mx", 'A'),
    ("index", "ax*", 'A'),
    ("index", "si", 'A'),
    ("slice", "lii", 'l'),
    ("slice", "li", 'l'),
    ("mustSlice", "li*", 'l'),
    ("print", "a*", 's'),
    ("println", "a*", 's'),
    ("html", "a*", 's'),
    ("js", "a*", 's'),
    ("urlquery", "a*", 's'),
    ("upper", "s", 's'),
    ("lower", "s", 's'),
    ("title", "s", 's'),
    ("untitle", "s", 's'),
    ("swapcase", "s", 's'),
    ("snakecase", "s", 's'),
    ("kebabcase", "s", 's'),
    ("camelcase", "s", 's'),
    ("trim", "s", 's'),
    ("trimAll", "ss", 's'),
    ("trimall", "ss", 's'),
    ("trimSuffix", "ss", 's'),
    ("trimPrefix", "ss", 's'),
    ("contains", "ss", 'b'),
    ("hasPrefix", "ss", 'b'),
    ("hasSuffix", "ss", 'b'),
    ("replace", "sss", 's'),
    ("repeat", "is", 's'),
    ("nospace", "s", 's'),
    ("initials", "s", 's'),
    ("indent", "is", 's'),
    ("nindent", "is", 's'),
    ("quote", "a*", 's'),
    ("squote", "a*", 's'),
    ("cat", "a*", 's'),
    ("toString", "a", 's'),
    ("toStrings", "a", 'l'),
    ("trunc", "is", 's'),
    ("substr", "iis", 's'),
    ("abbrev", "is", 's'),
    ("abbrevboth", "iis", 's'),
    ("plural", "ssi", 's'),
    ("wrap", "is", 's'),
    ("wrapWith", "iss", 's'),
    ("split", "ss", '_'),
    ("splitn", "sis", '_'),
    ("splitList", "ss", 'l'),
    ("join", "sl", 's'),
    ("join", "sa", 's'),
    ("sortAlpha", "l", 'l'),
    ("sortAlpha", "a", 'l'),
    ("base", "p", 's'),
    ("dir", "p", 's'),
    ("clean", "p", 's'),
    ("ext", "p", 's'),
    ("isAbs", "p", 'b'),
    ("osBase", "p", 's'),
    ("osDir", "p", 's'),
    ("osClean", "p", 's'),
    ("osExt", "p", 's'),
    ("osIsAbs", "p", 'b'),
    ("regexMatch", "rs", 'b'),
    ("mustRegexMatch", "rs", 'b'),
    ("regexFind", "rs", 's'),
    ("mustRegexFind", "rs", 's'),
    ("regexFindAll", "rsi", 'l'),
    ("mustRegexFindAll", "rsi", 'l'),
    ("regexReplaceAll", "rsR", 's'),
    ("mustRegexReplaceAll", "rsR", 's'),
    ("regexReplaceAllLiteral", "rsR", 's'),
    ("mustRegexReplaceAllLiteral", "rsR", 's'),
    ("regexSplit", "rsi", 'l'),
    ("mustRegexSplit", "rsi", 'l'),
    ("regexQuoteMeta", "s", 's'),
    ("getHostByName", "s", 's'),
    ("default", "aa", 'A'),
    ("default", "aa*", 'A'),
    ("empty", "a", 'b'),
    ("coalesce", "a*", 'A'),
    ("all", "a*", 'b'),
    ("any", "a*", 'b'),
    ("ternary", "aab", 'A'),
    ("dict", "xaxa", 'm'),
    ("dict", "a*", 'm'),
    ("get", "mx", 'A'),
    ("set", "mxa", 'm'),
    ("unset", "mx", 'm'),
    ("hasKey", "mx", 'b'),
    ("pluck", "xm*", 'l'),
    ("pick", "mx*", 'm'),
    ("omit", "mx*", 'm'),
    ("merge", "mm*", 'm'),
    ("mustMerge", "mm*", 'm'),
    ("mergeOverwrite", "mm*", 'm'),
    ("mustMergeOverwrite", "mm*", 'm'),
    ("deepCopy", "a", 'A'),
    ("mustDeepCopy", "a", 'A'),
    ("deepEqual", "aa", 'b'),
    ("dig", "xam", 'A'),
    ("dig", "xxam", 'A'),
    ("dig", "a*", 'A'),
    ("tuple", "a*", 'l'),
    ("list", "a*", 'l'),
    ("append", "la", 'l'),
    ("push", "la", 'l'),
    ("mustAppend", "la", 'l'),
    ("mustPush", "aa", 'l'),
    ("prepend", "la", 'l'),
    ("mustPrepend", "aa", 'l'),
    ("first", "l", 'A'),
    ("mustFirst", "a", 'A'),
    ("last", "l", 'A'),
    ("mustLast", "a", 'A'),
    ("rest", "l", 'l'),
    ("mustRest", "a", 'l'),
    ("initial", "l", 'l'),
    ("mustInitial", "a", 'l'),
    ("reverse", "l", 'l'),
    ("mustReverse", "a", 'l'),
    ("uniq", "l", 'l'),
    ("mustUniq", "a", 'l'),
    ("compact", "l", 'l'),
    ("mustCompact", "a", 'l'),
    ("without", "la*", 'l'),
    ("mustWithout", "aa*", 'l'),
    ("has", "al", 'b'),
    ("mustHas", "aa", 'b'),
    ("concat", "l*", 'l'),
    ("concat", "a*", 'l'),
    ("chunk", "il", 'l'),
    ("mustChunk", "ia", 'l'),
    ("typeOf", "a", 's'),
    ("typeIs", "ta", 'b'),
    ("typeIsLike", "ta", 'b'),
    ("kindOf", "a", 's'),
    ("kindIs", "ka", 'b'),
    ("int", "a", 'i'),
    ("int64", "a", 'n'),
    ("float64", "a", 'f'),
    ("atoi", "s", 'i'),
    ("toDecimal", "a", 'n'),
    ("add1", "n", 'n'),
    ("add", "n*", 'n'),
    ("sub", "nn", 'n'),
    ("mul", "nn*", 'n'),
    ("div", "nn", 'n'),
    ("mod", "nn", 'n'),
    ("max", "nn*", 'n'),
    ("biggest", "nn*", 'n'),
    ("min", "nn*", 'n'),
    ("maxf", "nn*", 'f'),
    ("minf", "nn*", 'f'),
    ("add1f", "n", 'f'),
    ("addf", "n*", 'f'),
    ("subf", "nn*", 'f'),
    ("mulf", "nn*", 'f'),
    ("divf", "nn*", 'f'),
    ("floor", "n", 'f'),
    ("ceil", "n", 'f'),
    ("round", "ni", 'f'),
    ("round", "nif", 'f'),
    ("until", "i", 'l'),
    ("untilStep", "iii", 'l'),
    ("seq", "i*", 's'),
    ("b64enc", "s", 'e'),
    ("b64dec", "e", 's'),
    ("b32enc", "s", 'E'),
    ("b32dec", "E", 's'),
    ("sha1sum", "s", 's'),
    ("sha256sum", "s", 's'),
    ("sha512sum", "s", 's'),
    ("adler32sum", "s", 's'),
    ("urlParse", "u", 'm'),
    ("urlJoin", "m", 's'),
    ("semver", "v", '_'),
    ("semverCompare", "cv", 'b'),
    ("toDate", "DT", '_'),
    ("mustToDate", "DT", '_'),
    ("date", "Di", 's'),
    ("dateInZone", "Din", 's'),
    ("dateInZone", "DiL", 's'),
    ("htmlDateInZone", "iL", 's'),
    ("htmlDate", "i", 's'),
    ("duration", "n", 's'),
    ("durationRound", "d", 's'),
    ("durationRound", "n", 's'),
    ("toYaml", "a", 'y'),
    ("toYamlPretty", "a", 'y'),
    ("toYamlPretty", "M", 's'),
    ("toYaml", "M", 's'),
    ("toJson", "M", 's'),
    ("fromYaml", "y", 'm'),
    ("fromYamlArray", "y", 'l'),
    ("toJson", "a", 'j'),
    ("mustToJson", "a", 'j'),
    ("toPrettyJson", "a", 'j'),
    ("mustToPrettyJson", "a", 'j'),
    ("toRawJson", "a", 'j'),
    ("mustToRawJson", "a", 'j'),
    ("fromJson", "j", 'm'),
    ("mustFromJson", "j", 'A'),
    ("fromJsonArray", "j", 'l'),
    ("toToml", "m", 'o'),
    ("toToml", "M", 's'),
    ("toToml", "a", 'o'),
    ("fromToml", "o", 'm'),
    ("required", "sa", 'A'),
    ("fail", "s", '_'),
    ("lookup", "ssss", 'm'),
    ("buildCustomCert", "ee", '_'),
    ("decryptAES", "zZ", 's'),
    ("derivePassword", "iWsss", '_'),
    ("hello", "", 's'),
];

/// A written argument; a few are of the wrong kind.
pub fn argument(chance: &mut Chance, kind: char) -> &'static str {
    let kind = if chance.percent(4) { 'a' } else { kind };
    let all = values(kind);
    all[chance.below(all.len())]
}

/// Like `argument`, mostly of those that a call does not fail for.
pub fn likely(chance: &mut Chance, kind: char) -> &'static str {
    if chance.percent(3) {
        return argument(chance, kind);
    }
    let all = values(kind);
    let good = match kind {
        's' => all.len() - 1,
        'r' => 7,
        'v' => 9,
        'c' => 30,
        'u' => 8,
        'j' => 2,
        'y' => 2,
        'e' | 'E' => 1,
        'o' => 7,
        'i' => 6,
        'x' => 4,
        _ => all.len(),
    };
    all[chance.below(good)]
}

/// The kinds of the arguments of one call.
pub fn kinds(chance: &mut Chance, parameters: &str) -> Vec<char> {
    let Some(head) = parameters.strip_suffix('*') else {
        return parameters.chars().collect();
    };
    let mut kinds: Vec<char> = head.chars().collect();
    let last = kinds.pop().unwrap();
    for _ in 0..chance.below(4) {
        kinds.push(last);
    }
    kinds
}

/// `printf` formats and how many arguments each would take.
pub fn format(chance: &mut Chance) -> (String, usize) {
    let flags = ["", "", "", "-", "+", "#", " ", "0", "-0", "+#", "# "];
    let widths = ["", "", "", "1", "5", "12", "*", "[2]", "[1]"];
    let precisions = ["", "", "", ".", ".0", ".2", ".10", ".*"];
    let verbs = "vvvvsssdddqqxXtTbocUeEfFgG%!zw";
    let mut text = String::from("\"");
    let mut count = 0;
    for _ in 0..=chance.below(3) {
        text.push_str(chance.pick(&["", "a", " ", "é", "|", "-"]));
        text.push('%');
        text.push_str(chance.pick(&flags));
        let width = if chance.percent(70) {
            ""
        } else {
            chance.pick(&widths)
        };
        count += usize::from(width == "*");
        text.push_str(width);
        let precision = if chance.percent(70) {
            ""
        } else {
            chance.pick(&precisions)
        };
        count += usize::from(precision == ".*");
        text.push_str(precision);
        let at = chance.below(verbs.len());
        text.push_str(&verbs[at..=at]);
        count += 1;
    }
    text.push('"');
    let count = match chance.below(10) {
        0 => count.saturating_sub(1),
        1 => count + 1,
        _ => count,
    };
    (text, count)
}
