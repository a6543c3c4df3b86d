//! Pipelines and the expressions in them, by the kind of value that is wanted.

use crate::functions;
use crate::grammar::{Grammar, Scope};

/// Functions that refuse most of what they may be given.
const RISKY: &[&str] = &[
    "fail",
    "dig",
    "date",
    "htmlDate",
    "dateInZone",
    "index",
    "slice",
    "mustSlice",
    "div",
    "mod",
    "divf",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "mustPush",
    "mustPrepend",
    "mustFirst",
    "mustLast",
    "mustRest",
    "mustInitial",
    "mustReverse",
    "mustUniq",
    "mustCompact",
    "mustWithout",
    "mustHas",
    "mustChunk",
    "chunk",
    "concat",
    "semver",
    "semverCompare",
    "urlParse",
    "urlJoin",
    "mustToDate",
    "repeat",
    "substr",
    "required",
    "len",
    "toRawJson",
    "mustToJson",
    "deepCopy",
    "mustDeepCopy",
    "mustFromJson",
    "regexFind",
    "mustRegexFind",
    "regexSplit",
    "mustRegexMatch",
    "indent",
    "nindent",
    "round",
    "ternary",
    "mustMerge",
    "merge",
    "mergeOverwrite",
    "mustMergeOverwrite",
];

/// Functions that cut texts where they find bytes. Only ASCII is given to them in
/// charts: Go cuts within characters, and what it makes of the halves flows on.
const CUTTERS: &[&str] = &[
    "trunc",
    "substr",
    "abbrev",
    "abbrevboth",
    "wrap",
    "wrapWith",
];

const NOT_ASCII: &str = "\"[^\\n -~]\"";

/// Without what is said of text that is no TOML or YAML: the words are a reader's,
/// and what is made of them differs as they do.
pub fn without_words(read: &str) -> String {
    format!("omit ({read}) \"Error\"")
}

impl Grammar<'_> {
    pub fn any_kind(&mut self) -> char {
        let kinds = ['s', 's', 's', 'n', 'i', 'b', 'l', 'l', 'm', 'a', 'f'];
        kinds[self.chance.below(kinds.len())]
    }

    /// A pipeline whose value is of `kind`.
    pub fn pipeline(&mut self, scope: &Scope, kind: char, depth: usize) -> String {
        let roll = self.chance.below(100);
        if depth == 0 || roll < 20 {
            return self.command(scope, kind);
        }
        let Some((name, parameters)) = self.function(kind) else {
            return self.command(scope, kind);
        };
        let kinds = functions::kinds(self.chance, parameters);
        let Some((last, first)) = kinds.split_last() else {
            return name.to_owned();
        };
        let mut given: Vec<String> = first
            .iter()
            .map(|kind| self.argument(scope, *kind, depth - 1))
            .collect();
        given.insert(0, name.to_owned());
        let text = if CUTTERS.contains(&name) {
            let last = self.argument(scope, *last, depth - 1);
            given.push(format!("(regexReplaceAllLiteral {NOT_ASCII} {last} \"?\")"));
            given.join(" ")
        } else if roll < 60 {
            given.push(self.argument(scope, *last, depth - 1));
            given.join(" ")
        } else {
            let piped = self.pipeline(scope, *last, depth - 1);
            format!("{piped} | {}", given.join(" "))
        };
        match name {
            "fromToml" | "fromYaml" => without_words(&text),
            _ => text,
        }
    }

    fn function(&mut self, kind: char) -> Option<(&'static str, &'static str)> {
        if self.chance.percent(4) && kind == 's' {
            return None;
        }
        // Random places until one gives what is asked for.
        for _ in 0..200 {
            let (name, parameters, gives) =
                functions::FUNCTIONS[self.chance.below(functions::FUNCTIONS.len())];
            let fits = match kind {
                'a' => gives != '_',
                's' => matches!(gives, 's' | 'y' | 'j' | 'o' | 'e' | 'E'),
                'n' => matches!(gives, 'n' | 'i' | 'f'),
                kind => gives == kind,
            };
            // These fail as often as not.
            let rare = RISKY.contains(&name) && !self.chance.percent(12);
            if fits && !rare {
                return Some((name, parameters));
            }
        }
        None
    }

    /// An expression where one word is wanted.
    pub fn argument(&mut self, scope: &Scope, kind: char, depth: usize) -> String {
        if depth == 0 || self.chance.percent(50) {
            return self.atom(scope, kind);
        }
        let inside = self.pipeline(scope, kind, depth);
        if inside.contains(' ') || inside.contains('|') {
            let field = if kind == 'a' && self.chance.percent(6) {
                self.chance.pick(&[".a", ".a.b", ".missing"])
            } else {
                ""
            };
            format!("({inside}){field}")
        } else {
            inside
        }
    }

    pub fn atom(&mut self, scope: &Scope, kind: char) -> String {
        if self.chance.percent(35) {
            let fitting: Vec<&String> = scope
                .variables
                .iter()
                .filter(|variable| variable.1 == kind || kind == 'a')
                .map(|variable| &variable.0)
                .collect();
            if !fitting.is_empty() {
                let name = fitting[self.chance.below(fitting.len())].clone();
                let field = if kind == 'a' && self.chance.percent(8) {
                    self.chance.pick(&[".a", ".n", ".a.b"])
                } else {
                    ""
                };
                return format!("{name}{field}");
            }
        }
        if let Some(dot) = scope.dot
            && (dot == kind || kind == 'a')
            && self.chance.percent(60)
        {
            let field = if dot == 'm' || self.chance.percent(10) {
                self.chance.pick(&["", "a", "b", "n", "c.d", "a.b"])
            } else {
                ""
            };
            return format!(".{field}");
        }
        self.literal(scope, kind)
    }

    /// An argument as it is written in the tables.
    pub fn literal(&mut self, scope: &Scope, kind: char) -> String {
        let text = functions::likely(self.chance, kind);
        if scope.dot.is_none() {
            return text.to_owned();
        }
        [
            "Values",
            "Files",
            "Release",
            "Template",
            "Capabilities",
            "Chart",
        ]
        .iter()
        .fold(text.to_owned(), |text, name| {
            text.replace(&format!(".{name}"), &scope.field(name))
        })
    }

    /// An expression that can stand by itself, as nil cannot.
    fn command(&mut self, scope: &Scope, kind: char) -> String {
        loop {
            let text = self.atom(scope, kind);
            if text != "nil" || self.chance.percent(3) {
                return text;
            }
        }
    }
}
