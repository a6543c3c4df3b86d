//! Helm charts and values in, manifests out.
//!
//! An engine for Go's text/template with sprig's and Helm's functions, a chart
//! reader, and Helm's ordering. Called by the GitOps stand-in, by Blueprint
//! lint and render, and by `catalyst chart template`. Pure and synchronous:
//! archives are bytes in, clock and randomness come through [`Host`].
//!
//! What must stay true: a chart renders as Helm 3 renders it, byte for byte,
//! errors included; no chart can crash, hang or exhaust the process.
//!
//! `tests/differential` holds this against Helm's own packages. Where it
//! differs, it does so on purpose or for want of what a pure rendering lacks:
//! - Text is always whole UTF-8: what Go cuts within a character (`trunc`,
//!   `substr`, `wrap`, `b64dec`) has U+FFFD there.
//! - Without a [`Host`] there is no time, no randomness, no key: `now`, `uuidv4`,
//!   `rand*`, `gen*`, `bcrypt`, `htpasswd` and `encryptAES` say so.
//! - `Local` is UTC, wherever it runs; the rules of other zones come with the program.
//! - Bounds on steps, output and depth ([`Limits`]) end charts with an error
//!   that Helm lets run on, and some that crash it, such as one that prints a
//!   map which holds itself.
//! - Where Go shows the address that a pointer leads to, which is another in each
//!   run, here stands always `0xc000000000`.
//! - `.Files.Glob` finds every match; Helm's library overlooks some of patterns such as
//!   `{c*/a,f}.{ini,txt}`, and all, or panics, where braces have nothing in them.
//! - `slice` does not reach beyond a list's end into what Go has room for, and
//!   wrong `printf` verbs do not show what Go keeps in a version or a time.
//! - A subchart used twice, under an alias too, has its own subcharts below each
//!   name; Helm gives them all the path of the one that comes last.
//! - What YAML 1.1 takes for line feeds besides `\n` and `\r` (U+0085, U+2028,
//!   U+2029) is text in YAML, as YAML 1.2 has it.
//! - Where text is not YAML, JSON Schema or TOML the verdict is the same and
//!   the words are those of the library that read it.
//! - Helm's warnings come with what was rendered, at most a hundred, each once, and
//!   without the values that Helm shows in them.
//! - `.Capabilities.HelmVersion` has no `go_version`: nothing here is built by Go.
//! - TOML that extends an inline table, or with a header a table made by dotted
//!   keys, is refused as TOML has it; Helm's library lets it pass.

mod ast;
mod bounds;
mod chart;
mod decimal;
mod exec;
mod format;
mod functions;
mod ignore;
mod json;
mod lexer;
mod manifest;
mod metadata;
mod numbers;
mod objects;
mod parser;
mod pattern;
mod printf;
mod render;
mod schema;
mod table;
mod value;
mod values;
mod warnings;

pub use chart::{Chart, ChartError};
pub use exec::Limits;
pub use render::{
    Capabilities, Environment, Hook, Host, Lookup, Manifest, NoHost, NoLookup, ReleaseOptions,
    RenderError, Rendered, render, render_files,
};

/// An error with what is below it, where it does not say that itself.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = error.source();
    }
    text
}
