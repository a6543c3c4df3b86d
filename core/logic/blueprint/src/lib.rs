//! Blueprint files: parse, lint, config schema, dependency solving.
