//! Templates from a grammar: statements, with what is in scope between them.
//!
//! `expressions` makes what stands in them, mostly of kinds that fit, and now and
//! then of ones that do not.

use crate::chance::Chance;
use crate::expressions::without_words;
use crate::functions;

/// What is in scope where text is being made.
#[derive(Clone)]
pub struct Scope {
    /// Names and kinds.
    pub variables: Vec<(String, char)>,
    /// Whether `.` is the chart's root, else its kind.
    pub dot: Option<char>,
    /// Whether `$` is the chart's root.
    pub dollar: bool,
    pub in_range: bool,
    pub depth: usize,
}

impl Scope {
    pub fn root() -> Self {
        Self {
            variables: Vec::new(),
            dot: None,
            dollar: true,
            in_range: false,
            depth: 0,
        }
    }

    /// How the chart's root is written here.
    pub fn root_dot(&self) -> &'static str {
        match (self.dot, self.dollar) {
            (None, _) => ".",
            (_, true) => "$",
            // Where a map was passed on, it lies in there.
            (_, false) => "$.root",
        }
    }

    /// `Values` or another of the root's fields, as it is written here.
    pub fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.root_dot().trim_end_matches('.'))
    }

    fn inner(&self) -> Self {
        let mut inner = self.clone();
        inner.depth += 1;
        inner
    }
}

pub struct Grammar<'c> {
    pub chance: &'c mut Chance,
    /// Named templates that may be called, and whether they are given the root;
    /// the others are given a map that has it as `root`.
    pub names: Vec<(String, bool)>,
    next: usize,
}

/// Texts between actions.
const TEXTS: &[&str] = &[
    "text",
    "  blanks  ",
    "a\tb",
    "{ }",
    "é <&>",
    "\"q\"",
    "- x: y",
    "#c",
    "{{ \"{{\" }}",
    "{{`{{ raw }}`}}",
    "}}",
    "---\n",
];

const COMMENTS: &[&str] = &[
    "{{/* a comment */}}",
    "{{- /* trims */ -}}",
    "{{/* two\n lines */}}",
    "{{- /**/}}",
];

impl<'c> Grammar<'c> {
    pub fn new(chance: &'c mut Chance) -> Self {
        Self {
            chance,
            names: Vec::new(),
            next: 0,
        }
    }

    /// A template's text at the top of a file.
    pub fn text(&mut self, size: usize) -> String {
        self.statements(&mut Scope::root(), size)
    }

    /// An expression of `kind` for a place in a file's own text.
    pub fn value(&mut self, kind: char) -> String {
        self.pipeline(&Scope::root(), kind, 2)
    }

    /// `define`s; what they call are those made before them, or themselves with
    /// an end in sight.
    pub fn definitions(&mut self, prefix: &str, count: usize) -> String {
        let mut out = String::new();
        for _ in 0..count {
            self.next += 1;
            let name = format!("{prefix}.t{}", self.next);
            let given_root = self.chance.percent(65);
            let mut scope = Scope::root();
            if !given_root {
                scope.dot = Some('m');
                scope.dollar = false;
            }
            let size = 1 + self.chance.below(3);
            let mut body = self.statements(&mut scope, size);
            if !given_root && self.chance.percent(30) {
                body.push_str(&format!(
                    "{{{{ if lt (int .n) 3 }}}}{{{{ .n }}}}{{{{ include \"{name}\" (dict \"n\" (add1 .n) \"root\" .root) }}}}{{{{ end }}}}"
                ));
            }
            let (open, close) = self.around(&format!("define \"{name}\""), "end");
            out.push_str(&format!("{open}\n{body}{close}\n"));
            self.names.push((name, given_root));
        }
        out
    }

    /// Two actions that belong together.
    fn around(&mut self, first: &str, second: &str) -> (String, String) {
        (self.action(first), self.action(second))
    }

    pub fn fresh(&mut self) -> String {
        self.next += 1;
        format!("$v{}", self.next)
    }

    /// A name for a new variable: now and then one that is taken.
    fn name(&mut self, scope: &Scope) -> String {
        if self.chance.percent(15) && !scope.variables.is_empty() {
            let at = self.chance.below(scope.variables.len());
            return scope.variables[at].0.clone();
        }
        self.fresh()
    }

    pub fn action(&mut self, inside: &str) -> String {
        let left = self
            .chance
            .pick(&["{{ ", "{{ ", "{{ ", "{{- ", "{{", "{{-\n"]);
        let right = self
            .chance
            .pick(&[" }}", " }}", " }}", " -}}", "}}", "\n-}}"]);
        // A minus that follows at once would trim.
        let left = if left == "{{" && inside.starts_with(['-', '/']) {
            "{{ "
        } else {
            left
        };
        format!("{left}{inside}{right}")
    }

    pub fn statements(&mut self, scope: &mut Scope, count: usize) -> String {
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
        match self.chance.below(if scope.depth >= 3 { 66 } else { 100 }) {
            0..6 => (*self.chance.pick(TEXTS)).to_owned(),
            6..28 => {
                let kind = self.any_kind();
                let inside = self.pipeline(scope, kind, 2);
                self.action(&inside)
            }
            28..40 => self.variable(scope),
            40..43 => (*self.chance.pick(COMMENTS)).to_owned(),
            43..49 if !self.names.is_empty() => self.call(scope),
            43..49 => self.printed(scope),
            49..53 if scope.in_range => self.jump(scope),
            49..53 => self.printed(scope),
            53..58 => self.mutation(scope),
            58..61 => self.template_text(scope),
            61..64 => self.files(scope),
            64..66 => {
                let value = self.pipeline(scope, 's', 3);
                self.action(&value)
            }
            66..78 => self.branch(scope, "if"),
            78..86 => self.branch(scope, "with"),
            86..97 => self.range(scope),
            _ => self.block(scope),
        }
    }

    fn variable(&mut self, scope: &mut Scope) -> String {
        let kind = self.any_kind();
        let value = self.pipeline(scope, kind, 2);
        if self.chance.percent(35) && !scope.variables.is_empty() {
            let at = self.chance.below(scope.variables.len());
            let name = scope.variables[at].0.clone();
            scope.variables[at].1 = kind;
            return self.action(&format!("{name} = {value}"));
        }
        let name = self.name(scope);
        let action = self.action(&format!("{name} := {value}"));
        scope.variables.push((name, kind));
        action
    }

    /// `printf`, with verbs that fit and ones that do not.
    fn printed(&mut self, scope: &Scope) -> String {
        let (format, count) = functions::format(self.chance);
        let mut call = format!("printf {format}");
        for _ in 0..count {
            let kind = *self
                .chance
                .pick(&[&'s', &'i', &'n', &'f', &'b', &'l', &'m']);
            // No variables: one may hold a version or a time, of which a wrong verb
            // prints what Go keeps in them.
            let argument = loop {
                let argument = self.literal(scope, kind);
                if !argument.contains("(semver") && !argument.contains("(toDate") {
                    break argument;
                }
            };
            call.push_str(&format!(" {argument}"));
        }
        self.action(&call)
    }

    fn jump(&mut self, scope: &Scope) -> String {
        let word = self.chance.pick(&["break", "continue"]);
        let word = self.action(word);
        if self.chance.percent(75) {
            let test = self.pipeline(scope, 'b', 1);
            let (open, close) = self.around(&format!("if {test}"), "end");
            return format!("{open}{word}{close}");
        }
        word
    }

    /// What changes a map that others see.
    fn mutation(&mut self, scope: &mut Scope) -> String {
        let map = match self.chance.below(3) {
            0 => scope.field("Values"),
            1 => scope.field("Values.map"),
            _ => self.atom(scope, 'm'),
        };
        let key = functions::likely(self.chance, 'x');
        let call = match self.chance.below(6) {
            0..3 => {
                let kind = self.any_kind();
                let value = self.argument(scope, kind, 1);
                format!("set {map} {key} {value}")
            }
            3 => format!("unset {map} {key}"),
            4 => {
                let with = self.argument(scope, 'm', 1);
                let name = self.chance.pick(&["merge", "mergeOverwrite"]);
                format!("{name} {map} {with}")
            }
            _ => {
                let inner = self.atom(scope, 'm');
                format!("set {map} {key} {inner}")
            }
        };
        match self.chance.below(4) {
            0 => self.action(&format!("{call} | toJson")),
            1 => {
                let name = self.name(scope);
                let action = self.action(&format!("{name} := {call}"));
                scope.variables.push((name, 'm'));
                action
            }
            _ => self.action(&format!("$_ := {call}")),
        }
    }

    /// `tpl` of a text that is a template itself.
    fn template_text(&mut self, scope: &Scope) -> String {
        let mut inner = Scope::root();
        inner.depth = 2;
        let given = match scope.root_dot() {
            root if self.chance.percent(80) => root.to_owned(),
            root => {
                inner.dot = Some('m');
                inner.dollar = false;
                let value = self.atom(scope, 'a');
                format!("(dict \"a\" {value} \"n\" 1 \"root\" {root})")
            }
        };
        let mut text = self.statements(&mut inner, 1);
        if self.chance.percent(25) {
            self.next += 1;
            let name = format!("inner{}", self.next);
            text = format!(
                "{{{{ define \"{name}\" }}}}<{{{{ . }}}}>{{{{ end }}}}{text}{{{{ include \"{name}\" 7 }}}}"
            );
        }
        let text = quoted(&text);
        let filter = self
            .chance
            .pick(&["", "", " | quote", " | trim | nindent 2", " | fromYaml"]);
        let mut call = format!("tpl {text} {given}{filter}");
        if filter == " | fromYaml" {
            call = without_words(&call);
        }
        self.action(&call)
    }

    fn files(&mut self, scope: &Scope) -> String {
        let files = scope.field("Files");
        let pattern = self.chance.pick(&[
            "\"*\"",
            "\"**\"",
            "\"conf/*\"",
            "\"conf/*.ini\"",
            "\"**.txt\"",
            "\"{f.txt,conf/b*}\"",
            "\"conf/[ab].ini\"",
            "\"none/*\"",
            "\"c?nf/a.ini\"",
        ]);
        match self.chance.below(6) {
            0 => format!(
                "{{{{ range $path, $data := {files}.Glob {pattern} }}}}{{{{ $path }}}}={{{{ $data | toString | quote }}}};{{{{ end }}}}"
            ),
            1 => self.action(&format!("({files}.Glob {pattern}).AsConfig | indent 2")),
            2 => self.action(&format!("({files}.Glob {pattern}).AsSecrets")),
            3 => {
                let name = functions::argument(self.chance, 'F');
                format!(
                    "{{{{ range $at, $line := {files}.Lines {name} }}}}{{{{ $at }}}}:{{{{ $line }}}} {{{{ end }}}}"
                )
            }
            4 => {
                let name = functions::argument(self.chance, 'F');
                self.action(&format!("{files}.Get {name} | b64enc"))
            }
            _ => {
                let versions = scope.field("Capabilities.APIVersions");
                let version = self
                    .chance
                    .pick(&["v1", "batch/v1", "apps/v1/Deployment", "x/v1"]);
                self.action(&format!("{versions}.Has \"{version}\""))
            }
        }
    }

    fn block(&mut self, scope: &Scope) -> String {
        self.next += 1;
        let name = format!("block{}", self.next);
        let value = if self.chance.percent(70) {
            scope.root_dot().to_owned()
        } else {
            self.pipeline(scope, 'a', 1)
        };
        let mut inner = Scope::root();
        if value != scope.root_dot() {
            inner.dot = Some('_');
            inner.dollar = false;
        }
        inner.depth = scope.depth + 1;
        let body = self.statements(&mut inner, 1);
        let (open, close) = self.around(&format!("block \"{name}\" {value}"), "end");
        format!("{open}{body}{close}")
    }

    fn call(&mut self, scope: &Scope) -> String {
        let at = self.chance.below(self.names.len());
        let (name, given_root) = self.names[at].clone();
        let root = scope.root_dot();
        let given = if self.chance.percent(8) {
            self.argument(scope, 'a', 1)
        } else if given_root {
            root.to_owned()
        } else {
            let kind = self.any_kind();
            let value = self.argument(scope, kind, 1);
            let number = self.chance.pick(&["0", "1", "2", "3"]);
            format!("(dict \"a\" {value} \"n\" {number} \"root\" {root})")
        };
        match self.chance.below(8) {
            0 => self.action(&format!("template \"{name}\" {given}")),
            1 => self.action(&format!("include \"{name}\" {given} | indent 2")),
            2 => self.action(&format!("include \"{name}\" {given} | trim | quote")),
            3 => {
                let read = without_words(&format!("include \"{name}\" {given} | fromYaml"));
                self.action(&format!("{read} | toJson"))
            }
            4 => self.action(&format!("tpl (include \"{name}\" {given}) {given}")),
            5 => self.action(&format!("{given} | include \"{name}\" | nindent 4")),
            6 => self.action(&format!("include (print \"{name}\") {given} | sha256sum")),
            _ => self.action(&format!("include \"{name}\" {given}")),
        }
    }

    fn branch(&mut self, scope: &Scope, word: &str) -> String {
        let mut inner = scope.inner();
        let mut out = String::new();
        let mut head = word.to_owned();
        for _ in 0..=self.chance.below(3) {
            let kind = if word == "if" && self.chance.percent(50) {
                'b'
            } else {
                self.any_kind()
            };
            let mut test = self.pipeline(&inner, kind, 1);
            if self.chance.percent(25) {
                let name = self.name(&inner);
                test = format!("{name} := {test}");
                inner.variables.push((name, kind));
            }
            let mut then = inner.clone();
            if word == "with" {
                then.dot = Some(kind);
            }
            let size = 1 + self.chance.below(2);
            let body = self.statements(&mut then, size);
            out.push_str(&self.action(&format!("{head} {test}")));
            out.push_str(&body);
            head = format!("else {word}");
            if self.chance.percent(60) {
                break;
            }
        }
        if self.chance.percent(50) {
            let body = self.statements(&mut inner, 1);
            out.push_str(&self.action("else"));
            out.push_str(&body);
        }
        out.push_str(&self.action("end"));
        out
    }

    fn range(&mut self, scope: &Scope) -> String {
        let mut inner = scope.inner();
        let kind = *self
            .chance
            .pick(&[&'l', &'l', &'l', &'m', &'m', &'i', &'a']);
        let over = match kind {
            'i' => {
                let counts = ["3", "0", "(int64 2)", "2", "-1", "(len \"ab\")", "1.0"];
                (*self.chance.pick(&counts)).to_owned()
            }
            kind => self.argument(scope, kind, 1),
        };
        // More than one variable does not go with a number.
        let most = if kind == 'i' && self.chance.percent(90) {
            2
        } else {
            3
        };
        let count = self.chance.below(most);
        let assigns = count > 0 && scope.variables.len() >= count && self.chance.percent(15);
        let names: Vec<String> = (0..count)
            .map(|at| match assigns {
                true => scope.variables[scope.variables.len() - 1 - at].0.clone(),
                false => self.name(scope),
            })
            .collect();
        let sign = if assigns { "=" } else { ":=" };
        let key = if kind == 'm' { 's' } else { 'i' };
        match names.as_slice() {
            [value] => inner.variables.push((value.clone(), '_')),
            [first, second] => {
                inner.variables.push((first.clone(), key));
                inner.variables.push((second.clone(), '_'));
            }
            _ => {}
        }
        let head = match names.is_empty() {
            true => format!("range {over}"),
            false => format!("range {} {sign} {over}", names.join(", ")),
        };
        inner.dot = Some('_');
        let mut each = inner.clone();
        each.in_range = true;
        let size = 1 + self.chance.below(2);
        let body = self.statements(&mut each, size);
        let mut out = format!("{}{body}", self.action(&head));
        if self.chance.percent(30) {
            inner.dot = scope.dot;
            let body = self.statements(&mut inner, 1);
            out.push_str(&self.action("else"));
            out.push_str(&body);
        }
        out.push_str(&self.action("end"));
        out
    }

    /// The text with a fault in it, mostly one that a parser finds.
    pub fn broken(&mut self, text: &str) -> String {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if places.is_empty() {
            return "{{".to_owned();
        }
        let from = places[self.chance.below(places.len())];
        let (before, after) = text.split_at(from);
        if self.chance.percent(40) {
            let mut rest = after.chars();
            rest.next();
            return format!("{before}{}", rest.as_str());
        }
        let put = self.chance.pick(&[
            "{{",
            "}}",
            "{{ end }}",
            "{{ else }}",
            "\"",
            "`",
            "(",
            ")",
            "|",
            ".",
            "$",
            ",",
            "'",
            "-",
            ":=",
            "=",
            "{{ break }}",
            "{{ if }}",
            "{{ nofunc 1 }}",
            "{{ $none }}",
            "/*",
            " ",
            "\n",
            "{{ template }}",
            "{{ range $a, $b, $c := . }}",
            "{{- ",
            " -}}",
            "1x",
            "é",
            "\\",
        ]);
        format!("{before}{put}{after}")
    }
}

/// As Go reads it, or raw now and then.
fn quoted(text: &str) -> String {
    if !text.contains('`') && text.len().is_multiple_of(2) {
        return format!("`{text}`");
    }
    serde_json::Value::from(text).to_string()
}
