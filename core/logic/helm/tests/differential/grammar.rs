//! Templates from a grammar: statements, pipelines and expressions, mostly of
//! kinds that fit, and now and then of ones that do not.

use crate::chance::Chance;
use crate::functions;

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

/// What is in scope where text is being made.
#[derive(Clone)]
struct Scope {
    variables: Vec<(String, char)>,
    /// Whether `.` is the chart's root, else its kind.
    dot: Option<char>,
    /// Whether `$` is the chart's root.
    dollar: bool,
    in_range: bool,
    depth: usize,
}

pub struct Grammar<'c> {
    pub chance: &'c mut Chance,
    /// Named templates that may be called.
    pub names: Vec<String>,
    next: usize,
}

impl<'c> Grammar<'c> {
    pub fn new(chance: &'c mut Chance) -> Self {
        Self {
            chance,
            names: Vec::new(),
            next: 0,
        }
    }

    fn root() -> Scope {
        Scope {
            variables: Vec::new(),
            dot: None,
            dollar: true,
            in_range: false,
            depth: 0,
        }
    }

    /// A template's text at the top of a file.
    pub fn text(&mut self, size: usize) -> String {
        let mut scope = Self::root();
        self.statements(&mut scope, size)
    }

    /// An expression of `kind` for a place in a file's own text.
    pub fn value(&mut self, kind: char) -> String {
        let scope = Self::root();
        self.pipeline(&scope, kind, 2)
    }

    /// `define`s; what they call are those made before them.
    pub fn definitions(&mut self, prefix: &str, count: usize) -> String {
        let mut out = String::new();
        for _ in 0..count {
            self.next += 1;
            let name = format!("{prefix}.t{}", self.next);
            let mut scope = Self::root();
            let size = 1 + self.chance.below(3);
            let body = self.statements(&mut scope, size);
            out.push_str(&format!(
                "{{{{- define \"{name}\" -}}}}\n{body}{{{{- end }}}}\n"
            ));
            self.names.push(name);
        }
        out
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("$v{}", self.next)
    }

    fn action(&mut self, inside: &str) -> String {
        let left = self.chance.pick(&["{{ ", "{{ ", "{{ ", "{{- ", "{{"]);
        let right = self.chance.pick(&[" }}", " }}", " }}", " -}}", "}}"]);
        // A minus that follows at once would trim.
        let left = if left == "{{" && inside.starts_with(['-', '/']) {
            "{{ "
        } else {
            left
        };
        format!("{left}{inside}{right}")
    }

    fn statements(&mut self, scope: &mut Scope, count: usize) -> String {
        let mark = scope.variables.len();
        let mut out = String::new();
        for _ in 0..count {
            let statement = self.statement(scope);
            out.push_str(&statement);
            out.push_str(self.chance.pick(&["\n", "\n", "\n", " ", "", "\n  "]));
        }
        if scope.depth > 0 {
            scope.variables.truncate(mark);
        }
        out
    }

    fn statement(&mut self, scope: &mut Scope) -> String {
        let choice = self.chance.below(if scope.depth >= 3 { 60 } else { 100 });
        match choice {
            0..8 => (*self.chance.pick(&[
                "text",
                "  blanks  ",
                "a\tb",
                "{ }",
                "é <&>",
                "\"q\"",
                "- x: y",
                "#c",
            ]))
            .to_owned(),
            8..35 => {
                let kind = self.any_kind();
                let inside = self.pipeline(scope, kind, 2);
                self.action(&inside)
            }
            35..47 => {
                let kind = self.any_kind();
                let value = self.pipeline(scope, kind, 2);
                if self.chance.percent(25) && !scope.variables.is_empty() {
                    let at = self.chance.below(scope.variables.len());
                    let name = scope.variables[at].0.clone();
                    scope.variables[at].1 = kind;
                    return self.action(&format!("{name} = {value}"));
                }
                let name = self.fresh();
                let action = self.action(&format!("{name} := {value}"));
                scope.variables.push((name, kind));
                action
            }
            47..50 => self.action("/* a comment */"),
            50..56 if !self.names.is_empty() => self.call(scope),
            50..60 => {
                if scope.in_range && self.chance.percent(50) {
                    let word = self.chance.pick(&["break", "continue"]);
                    if self.chance.percent(60) {
                        let test = self.pipeline(scope, 'b', 1);
                        return format!("{{{{ if {test} }}}}{{{{ {word} }}}}{{{{ end }}}}");
                    }
                    return format!("{{{{ {word} }}}}");
                }
                let kind = self.any_kind();
                let value = self.pipeline(scope, kind, 3);
                self.action(&value)
            }
            60..74 => self.branch(scope, "if"),
            74..83 => self.branch(scope, "with"),
            83..97 => self.range(scope),
            _ => {
                self.next += 1;
                let name = format!("block{}", self.next);
                let value = if self.chance.percent(70) {
                    ".".to_owned()
                } else {
                    self.pipeline(scope, 'a', 1)
                };
                let mut inner = Self::root();
                if value != "." || scope.dot.is_some() {
                    inner.dot = Some('a');
                    inner.dollar = false;
                }
                inner.depth = scope.depth + 1;
                let body = self.statements(&mut inner, 1);
                format!("{{{{ block \"{name}\" {value} }}}}{body}{{{{ end }}}}")
            }
        }
    }

    fn call(&mut self, scope: &Scope) -> String {
        let at = self.chance.below(self.names.len());
        let name = self.names[at].clone();
        let given = match scope {
            Scope { dot: None, .. } if self.chance.percent(80) => ".".to_owned(),
            Scope { dollar: true, .. } if self.chance.percent(80) => "$".to_owned(),
            _ => self.argument(scope, 'a', 1),
        };
        match self.chance.below(6) {
            0 => format!("{{{{ template \"{name}\" {given} }}}}"),
            1 => format!("{{{{ include \"{name}\" {given} | indent 2 }}}}"),
            2 => format!("{{{{ include \"{name}\" {given} | trim | quote }}}}"),
            3 => format!("{{{{ (include \"{name}\" {given}) | fromYaml | toJson }}}}"),
            4 => format!("{{{{ tpl (include \"{name}\" {given}) {given} }}}}"),
            _ => format!("{{{{- include \"{name}\" {given} -}}}}"),
        }
    }

    fn branch(&mut self, scope: &Scope, word: &str) -> String {
        let mut inner = scope.clone();
        inner.depth += 1;
        let kind = if word == "if" && self.chance.percent(50) {
            'b'
        } else {
            self.any_kind()
        };
        let test = self.pipeline(scope, kind, 1);
        let (test, bound) = if self.chance.percent(20) {
            let name = self.fresh();
            (format!("{name} := {test}"), Some(name))
        } else {
            (test, None)
        };
        if let Some(name) = bound {
            inner.variables.push((name, kind));
        }
        let mut then = inner.clone();
        if word == "with" {
            then.dot = Some(kind);
        }
        let size = 1 + self.chance.below(2);
        let body = self.statements(&mut then, size);
        let mut out = format!("{}{body}", self.action(&format!("{word} {test}")));
        if self.chance.percent(30) {
            let other = self.pipeline(&inner, kind, 1);
            let mut again = inner.clone();
            if word == "with" {
                again.dot = Some(kind);
            }
            let body = self.statements(&mut again, 1);
            out.push_str(&format!("{{{{ else {word} {other} }}}}{body}"));
        }
        if self.chance.percent(50) {
            let body = self.statements(&mut inner.clone(), 1);
            out.push_str(&format!("{}{body}", self.action("else")));
        }
        out.push_str(&self.action("end"));
        out
    }

    fn range(&mut self, scope: &Scope) -> String {
        let mut inner = scope.clone();
        inner.depth += 1;
        let kind = self
            .chance
            .pick(&["l", "l", "l", "m", "i", "a"])
            .chars()
            .next()
            .unwrap();
        let over = match kind {
            'i' => (*self
                .chance
                .pick(&["3", "0", "(len .none_)", "(int64 2)", "2"]))
            .replace("(len .none_)", "1"),
            kind => self.argument(scope, kind, 1),
        };
        let count = self.chance.below(3);
        let names: Vec<String> = (0..count).map(|_| self.fresh()).collect();
        let head = match names.as_slice() {
            [] => format!("range {over}"),
            [value] => {
                inner.variables.push((value.clone(), 'a'));
                format!("range {value} := {over}")
            }
            names => {
                let key = if kind == 'm' { 's' } else { 'i' };
                inner.variables.push((names[0].clone(), key));
                inner.variables.push((names[1].clone(), 'a'));
                format!("range {}, {} := {over}", names[0], names[1])
            }
        };
        inner.dot = Some('a');
        let mut each = inner.clone();
        each.in_range = true;
        let size = 1 + self.chance.below(2);
        let body = self.statements(&mut each, size);
        let mut out = format!("{}{body}", self.action(&head));
        if self.chance.percent(30) {
            inner.dot = scope.dot;
            let body = self.statements(&mut inner, 1);
            out.push_str(&format!("{{{{ else }}}}{body}"));
        }
        out.push_str(&self.action("end"));
        out
    }

    fn any_kind(&mut self) -> char {
        let kinds = ['s', 's', 's', 'n', 'i', 'b', 'l', 'l', 'm', 'a', 'f'];
        kinds[self.chance.below(kinds.len())]
    }

    /// A pipeline whose value is of `kind`.
    fn pipeline(&mut self, scope: &Scope, kind: char, depth: usize) -> String {
        let roll = self.chance.below(100);
        if depth == 0 || roll < 20 {
            return self.atom(scope, kind);
        }
        let Some((name, parameters)) = self.function(kind) else {
            return self.atom(scope, kind);
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
        let text = if roll < 60 {
            given.push(self.argument(scope, *last, depth - 1));
            given.join(" ")
        } else {
            let piped = self.pipeline(scope, *last, depth - 1);
            format!("{piped} | {}", given.join(" "))
        };
        if name == "fromToml" {
            // What it says of text that is no TOML is in its reader's words.
            return format!("omit ({text}) \"Error\"");
        }
        text
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
    fn argument(&mut self, scope: &Scope, kind: char, depth: usize) -> String {
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

    fn atom(&mut self, scope: &Scope, kind: char) -> String {
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
        let text = functions::likely(self.chance, kind);
        if scope.dot.is_none() {
            return text.to_owned();
        }
        // Elsewhere the root is `$`, if anything.
        let root = if scope.dollar { "$." } else { "." };
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
            text.replace(&format!(".{name}"), &format!("{root}{name}"))
        })
    }
}
