//! An operation from its document to its answer: parsed, measured, validated, executed.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use apollo_compiler::executable::Operation;
use apollo_compiler::parser::{Parser, SourceMap};
use apollo_compiler::request::RequestError;
use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::{
    ExecutionResponse, GraphQLError, JsonMap, JsonValue, serde_json_bytes,
};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Schema, introspection};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::limits::{self, Budget, too_costly};
use super::node::{Context, Node};
use crate::Gateway;
use crate::caller::Caller;
use crate::problem::Refusal;

/// The schema, as it is published.
pub const SDL: &str = include_str!("../../schema.graphql");

/// The most errors of a document that are told.
const MOST_ERRORS: usize = 20;

static SCHEMA: LazyLock<Option<Valid<Schema>>> = LazyLock::new(|| {
    Schema::parse_and_validate(SDL, "schema.graphql")
        .inspect_err(|error| tracing::error!(%error, "the schema of GraphQL is not valid"))
        .ok()
});

/// The schema, if it is valid, which a test sees to.
pub fn schema() -> Option<&'static Valid<Schema>> {
    SCHEMA.as_ref()
}

/// What is asked.
pub struct Asked {
    /// The document.
    pub document: String,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// With what.
    pub variables: Map<String, Value>,
    /// Whether a mutation may be carried out.
    pub may_change: bool,
}

/// What comes of it.
pub enum Outcome {
    /// It was executed; fields may have been refused.
    Executed(ExecutionResponse),
    /// It was not.
    Refused(Refused),
    /// It would change something, which it may not.
    Changes(Refusal),
}

/// Why an operation was not executed.
#[derive(Serialize)]
pub struct Refused {
    errors: Vec<GraphQLError>,
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        let mut error = GraphQLError::new("", None, &SourceMap::default());
        tell(&mut error, &refusal);
        Self::Refused(Refused {
            errors: vec![error],
        })
    }
}

/// Executes an operation for a caller.
pub async fn run(gateway: Gateway, caller: Caller, asked: Asked) -> Result<Outcome, Refusal> {
    // The executor's future stays on one thread; and documents take time to be checked.
    let handle = Handle::current();
    let span = Span::current();
    let executing = tokio::task::spawn_blocking(move || {
        handle.block_on(execute(gateway, caller, asked).instrument(span))
    });
    executing.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an operation of GraphQL was not carried through");
        Err(internal())
    })
}

fn internal() -> Refusal {
    Refusal::internal(
        "Execute an operation of GraphQL",
        "The control plane met a fault of its own.",
    )
    .next("Look at what is there now, then try again; the control plane's log has the fault.")
}

async fn execute(gateway: Gateway, caller: Caller, asked: Asked) -> Result<Outcome, Refusal> {
    let schema = schema().ok_or_else(internal)?;
    let document = match read(schema, asked.document) {
        Ok(document) => document,
        Err(outcome) => return Ok(outcome),
    };
    let name = asked.operation_name.as_deref();
    let operation: &Operation = match document.operations.get(name) {
        Ok(operation) => operation,
        Err(error) => return Ok(unfit(&error, &document.sources)),
    };
    if operation.is_mutation() {
        if !asked.may_change {
            return Ok(Outcome::Changes(
                Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method-not-allowed",
                    "Execute a mutation of GraphQL",
                    "A GET changes nothing.",
                )
                .next("Send it by POST."),
            ));
        }
        let commands = operation.root_fields(&document).count();
        if commands > limits::COMMANDS {
            let most = limits::COMMANDS;
            return Ok(too_costly(format!("It has more than {most} commands.")).into());
        }
    }
    if let Err(error) = introspection::check_max_depth(&document, operation) {
        return Ok(unfit(&error, &document.sources));
    }
    let variables = match serde_json_bytes::to_value(asked.variables) {
        Ok(JsonValue::Object(variables)) => variables,
        _ => JsonMap::new(),
    };
    let context = Arc::new(Context {
        gateway,
        caller,
        budget: Budget::default(),
        may_be_dropped: operation.is_query(),
        spent: CancellationToken::new(),
        refusals: Mutex::default(),
    });
    let root = Node::new(
        Arc::clone(&context),
        operation.object_type().clone(),
        Value::Null,
    );
    let execution = Execution::new(schema, &document)
        .operation(operation)
        .raw_variable_values(&variables)
        .enable_schema_introspection(true);
    let executed = tokio::select! {
        biased;
        () = context.spent.cancelled() => {
            return Ok(too_costly(format!(
                "It costs more than {} reads, as `@cost` of the schema counts them, or comes to more than {} fields.",
                limits::READS, limits::VALUES,
            ))
            .into());
        }
        executed = execution.execute_async(&root) => executed,
    };
    let mut response = match executed {
        Ok(response) => response,
        Err(error) => return Ok(unfit(&error, &document.sources)),
    };
    let refusals = context
        .refusals
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for error in &mut response.errors {
        // The executor's own words before what a field said, which is a place in the list.
        let Some(said) = error.message.strip_prefix("resolver error: ") else {
            error.message = without_value(&error.message);
            continue;
        };
        match said.parse().ok().and_then(|at: usize| refusals.get(at)) {
            Some(refusal) => tell(error, refusal),
            None => error.message = said.to_owned(),
        }
    }
    Ok(Outcome::Executed(response))
}

/// A document that may be executed, or why it may not.
fn read(schema: &Valid<Schema>, text: String) -> Result<Valid<ExecutableDocument>, Outcome> {
    if text.len() > limits::LONGEST {
        let most = limits::LONGEST;
        return Err(too_costly(format!("The document is longer than {most} bytes.")).into());
    }
    let parsed = Parser::new()
        .token_limit(limits::TOKENS)
        .recursion_limit(limits::NESTED)
        .parse_executable(schema, text, "query.graphql");
    let document = parsed.map_err(|error| invalid(&error.errors))?;
    limits::check(&document)?;
    document
        .validate(schema)
        .map_err(|error| invalid(&error.errors))
}

/// What a document has that the schema has not.
fn invalid(found: &DiagnosticList) -> Outcome {
    let refusal = Refusal::new(
        StatusCode::BAD_REQUEST,
        "invalid-document",
        "Read a document of GraphQL",
        "The document is not one of the schema.",
    )
    .next("The schema is at /api/v1/graphql/schema.");
    let errors = found.iter().take(MOST_ERRORS).map(|one| {
        let mut error = one.to_json();
        let message = std::mem::take(&mut error.message);
        tell(&mut error, &refusal);
        error.message = message;
        error
    });
    Outcome::Refused(Refused {
        errors: errors.collect(),
    })
}

/// A request that does not fit its document: another operation, or other variables.
fn unfit(error: &RequestError, sources: &SourceMap) -> Outcome {
    let mut told = error.to_graphql_error(sources);
    told.message = without_value(&told.message);
    let refusal = Refusal::new(
        StatusCode::BAD_REQUEST,
        "invalid-request",
        "Execute an operation of GraphQL",
        told.message.clone(),
    )
    .next("Put right the operation's name or variables; the schema is at /api/v1/graphql/schema.");
    tell(&mut told, &refusal);
    Outcome::Refused(Refused { errors: vec![told] })
}

/// What the executor says of a value that does not fit, without the value: it may be a
/// secret in the wrong place.
fn without_value(message: &str) -> String {
    let parts = message
        .starts_with("could not coerce ")
        .then(|| {
            message
                .split_once(": ")
                .zip(message.rsplit_once(" to type "))
        })
        .flatten();
    match parts {
        Some(((what, _), (_, kind))) => format!("{what} to type {kind}"),
        None => message.to_owned(),
    }
}

/// Puts a refusal into an error: in words, as one word for programs, and whole.
fn tell(error: &mut GraphQLError, refusal: &Refusal) {
    let problem = refusal.problem();
    error.message = format!("{}: {}", problem.title, problem.detail);
    let whole = serde_json_bytes::to_value(problem).unwrap_or(JsonValue::Null);
    error
        .extensions
        .insert("code", JsonValue::from(problem.kind.as_str()));
    error.extensions.insert("problem", whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_valid() {
        let parsed = Schema::parse_and_validate(SDL, "schema.graphql");
        if let Err(error) = parsed {
            panic!("{error}");
        }
        assert!(schema().is_some());
    }
}
