//! What an operation may ask for at most.
//!
//! A document is measured before it is validated, so that no check of it is dear either;
//! what it comes to is counted while it is executed. What must stay true: no operation
//! costs more than so many reads and so many values, however its lists come out.

use std::sync::atomic::{AtomicU32, Ordering};

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Selection, SelectionSet};
use http::StatusCode;

use crate::problem::Refusal;

/// Bytes of a document.
pub const LONGEST: usize = 16 << 10;
/// Tokens of a document.
pub const TOKENS: usize = 4000;
/// How deep a document is nested for its parser, lists and objects of arguments too.
pub const NESTED: usize = 64;
/// How deep fields are in each other; what clients ask of the schema is 15.
const DEEPEST: usize = 16;
/// Fields, fragments and their parts, each as often as it is used.
const SELECTIONS: usize = 500;
/// Other names that are given to fields.
const ALIASES: usize = 30;
/// Commands of a mutation.
pub const COMMANDS: usize = 5;
/// Reads that an operation may cost, by `@cost` of the schema.
pub const READS: u32 = 1000;
/// Fields that an operation may come to.
pub const VALUES: u32 = 100_000;

/// Refuses a document that asks for more than an operation may.
pub fn check(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut measured = Measured::default();
    for operation in document.operations.iter() {
        measured.add(document, &operation.selection_set, 1)?;
    }
    Ok(())
}

/// What has been counted.
#[derive(Default)]
struct Measured {
    selections: usize,
    aliases: usize,
}

impl Measured {
    fn add(
        &mut self,
        document: &ExecutableDocument,
        set: &SelectionSet,
        depth: usize,
    ) -> Result<(), Refusal> {
        for selection in &set.selections {
            self.selections += 1;
            // Also what ends the way through fragments that lead into themselves.
            if self.selections > SELECTIONS {
                return Err(too_costly(format!(
                    "It has more than {SELECTIONS} fields and fragments, each counted as often as it is used."
                )));
            }
            match selection {
                Selection::Field(field) => {
                    if depth > DEEPEST {
                        return Err(too_costly(format!(
                            "Its fields are in each other more than {DEEPEST} deep."
                        )));
                    }
                    self.aliases += usize::from(field.alias.is_some());
                    if self.aliases > ALIASES {
                        return Err(too_costly(format!("It has more than {ALIASES} aliases.")));
                    }
                    self.add(document, &field.selection_set, depth + 1)?;
                }
                Selection::InlineFragment(inline) => {
                    self.add(document, &inline.selection_set, depth)?;
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.add(document, &fragment.selection_set, depth)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What an operation may still come to.
pub struct Budget {
    reads: AtomicU32,
    values: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            reads: AtomicU32::new(READS),
            values: AtomicU32::new(VALUES),
        }
    }
}

impl Budget {
    /// Takes reads, unless there are too few.
    pub fn read(&self, reads: u32) -> Result<(), Refusal> {
        take(&self.reads, reads).ok_or_else(|| {
            too_costly(format!(
                "It costs more than {READS} reads, as `@cost` of the schema counts them."
            ))
        })
    }

    /// Takes one field of what is answered.
    pub fn value(&self) -> Result<(), Refusal> {
        take(&self.values, 1)
            .ok_or_else(|| too_costly(format!("It comes to more than {VALUES} fields.")))
    }
}

fn take(left: &AtomicU32, wanted: u32) -> Option<()> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(wanted)
    })
    .ok()
    .map(drop)
}

/// Refuses an operation for what it would cost.
pub fn too_costly(detail: impl Into<String>) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "too-costly",
        "Execute an operation of GraphQL",
        detail,
    )
    .next(
        "Ask for less at a time: fewer fields, or one Organization or Environment after the other.",
    )
}

#[cfg(test)]
mod tests {
    use apollo_compiler::parser::Parser;

    use super::*;

    fn refused(document: &str) -> Option<String> {
        let schema = super::super::operation::schema().unwrap();
        let parsed = Parser::new().parse_executable(schema, document, "query.graphql");
        let refusal = check(&parsed.unwrap()).err()?;
        assert_eq!(refusal.problem().kind, "too-costly");
        Some(refusal.problem().detail.clone())
    }

    /// An Application's Environment, its Organization, its Environments and so on.
    fn deep(depth: usize) -> String {
        let mut document = "name".to_owned();
        for level in 0..depth - 1 {
            let field = match level % 2 {
                0 => "environments",
                _ => "organization",
            };
            document = format!("{field} {{ {document} }}");
        }
        format!("{{ {document} }}")
    }

    #[test]
    fn a_document_is_measured_with_its_fragments() {
        let aliases = |count: usize| {
            let fields: Vec<String> = (0..count).map(|at| format!("a{at}: name")).collect();
            format!("{{ organizations {{ {} }} }}", fields.join(" "))
        };
        let doubling: Vec<String> = (0..20)
            .map(|at| {
                let next = at + 1;
                format!(
                    "fragment f{at} on Organization {{ environments {{ organization {{ ...f{next} }} }} ...f{next} }}"
                )
            })
            .chain(["fragment f20 on Organization { name }".to_owned()])
            .collect();
        for (document, words) in [
            ("{ me { username } }".to_owned(), None),
            (aliases(30), None),
            (aliases(31), Some("more than 30 aliases")),
            (deep(16), None),
            (deep(17), Some("more than 16 deep")),
            (
                format!("{{ organizations {{ ...f0 }} }} {}", doubling.join(" ")),
                Some("deep"),
            ),
            // Not valid, and it must end.
            (
                "{ organizations { ...f } } fragment f on Organization { name ...f }".to_owned(),
                Some("more than 500 fields"),
            ),
            (
                format!("{{ organizations {{ {} }} }}", "name ".repeat(500)),
                Some("more than 500 fields"),
            ),
        ] {
            let found = refused(&document);
            match words {
                None => assert_eq!(found, None, "{document}"),
                Some(words) => {
                    let found = found.unwrap_or_default();
                    assert!(found.contains(words), "{document}: {found}");
                }
            }
        }
    }

    #[test]
    fn a_budget_ends() {
        let budget = Budget::default();
        budget.read(READS).unwrap();
        let refusal = budget.read(1).unwrap_err();
        assert_eq!(refusal.problem().kind, "too-costly");
        for _ in 0..VALUES {
            budget.value().unwrap();
        }
        assert!(budget.value().is_err());
    }
}
