//! Objects of an answer and their fields.
//!
//! An object is what REST answers, as JSON; a field of it is a property, or what the
//! handler of REST answers that the field leads to, by the schema's `@rest` and `@cost`.

use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::resolvers::{AsyncObjectValue, AsyncResolvedValue, FieldError, ResolveInfo};
use apollo_compiler::response::{JsonValue, serde_json_bytes};
use apollo_compiler::schema::{FieldDefinition, Type};
use apollo_compiler::{Name, Schema};
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::fields;
use super::limits::Budget;
use crate::Gateway;
use crate::caller::Caller;
use crate::problem::Refusal;

/// What the fields of one operation share.
pub struct Context {
    pub gateway: Gateway,
    pub caller: Caller,
    pub budget: Budget,
    /// Whether the operation may be dropped half way: one that changes nothing.
    pub may_be_dropped: bool,
    /// Ended once the operation has used up its budget.
    pub spent: CancellationToken,
    /// Of fields, in the order that they were refused in; what the executor carries is
    /// the place in here.
    pub refusals: Mutex<Vec<Refusal>>,
}

impl Context {
    /// Nothing goes on of a query that is too dear: it waits here until it is dropped. Of
    /// a mutation the rest is refused field by field, for the commands have been carried
    /// out and their results are to be told.
    async fn within<T>(&self, spent: Result<T, Refusal>) -> Result<T, Refusal> {
        if spent.is_err() && self.may_be_dropped {
            self.spent.cancel();
            std::future::pending::<()>().await;
        }
        spent
    }

    fn refused(&self, refusal: Refusal) -> FieldError {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.push(refusal);
        FieldError {
            message: (refusals.len() - 1).to_string(),
        }
    }
}

/// An object.
pub struct Node {
    context: Arc<Context>,
    /// The name of its type.
    kind: Name,
    value: Value,
    /// What a list's item lacks of the whole, once that was asked for.
    rest: OnceCell<Value>,
}

impl Node {
    /// An object of a type, with what REST answers as it.
    pub fn new(context: Arc<Context>, kind: Name, value: Value) -> Self {
        Self {
            context,
            kind,
            value,
            rest: OnceCell::new(),
        }
    }

    async fn field(&self, info: &ResolveInfo<'_>) -> Result<Value, Refusal> {
        let context = &self.context;
        context.within(context.budget.value()).await?;
        let definition = info.field_definition();
        let is_command = self.kind == "Mutation";
        let reads = cost(definition);
        if is_command || reads.is_some() {
            context
                .within(context.budget.read(reads.unwrap_or_default()))
                .await?;
            let given = match serde_json::to_value(info.arguments()) {
                Ok(Value::Object(given)) => given,
                _ => Map::new(),
            };
            let field = info.field_name();
            let answer = fields::answer(context, &self.kind, &self.value, field, given).await;
            let is_root = is_command || self.kind == "Query";
            return match answer {
                // What is gone, or not for the caller, is not what this leads to.
                Err(refusal) if !is_root && refusal.status() == StatusCode::NOT_FOUND => {
                    Ok(Value::Null)
                }
                answer => answer,
            };
        }
        let property = property(definition);
        if let Some(value) = self.value.get(property) {
            return Ok(value.clone());
        }
        let rest = self.rest.get_or_try_init(|| self.read_rest()).await?;
        Ok(rest.get(property).cloned().unwrap_or_default())
    }

    /// Lists of REST have the Applications and the Blueprints in short.
    async fn read_rest(&self) -> Result<Value, Refusal> {
        let long = match self.kind.as_str() {
            "Application" => "objects",
            "Blueprint" => "digest",
            _ => return Ok(Value::Null),
        };
        if self.value.get(long).is_some() {
            return Ok(Value::Null);
        }
        let context = &self.context;
        context.within(context.budget.read(1)).await?;
        fields::whole(context, &self.kind, &self.value).await
    }
}

impl AsyncObjectValue for Node {
    fn type_name(&self) -> &str {
        &self.kind
    }

    fn resolve_field<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
    ) -> BoxFuture<'a, Result<AsyncResolvedValue<'a>, FieldError>> {
        Box::pin(async move {
            match self.field(info).await {
                Ok(value) => {
                    let wanted = &info.field_definition().ty;
                    Ok(resolved(&self.context, info.schema(), wanted, value))
                }
                Err(refusal) => Err(self.context.refused(refusal)),
            }
        })
    }
}

/// The reads that a field takes, if it leads to a handler.
fn cost(definition: &FieldDefinition) -> Option<u32> {
    let directive = definition.directives.get("cost")?;
    let reads = directive.specified_argument_by_name("reads")?.to_i32()?;
    u32::try_from(reads).ok()
}

/// The property that a field gives.
fn property(definition: &FieldDefinition) -> &str {
    definition
        .directives
        .get("rest")
        .and_then(|directive| directive.specified_argument_by_name("name")?.as_str())
        .unwrap_or(&definition.name)
}

/// A value as the executor takes it for a type.
fn resolved<'a>(
    context: &Arc<Context>,
    schema: &Schema,
    wanted: &Type,
    value: Value,
) -> AsyncResolvedValue<'a> {
    match (wanted, value) {
        // REST leaves out what is empty.
        (Type::NonNullList(_), Value::Null) => AsyncResolvedValue::list(std::iter::empty()),
        (_, Value::Null) => AsyncResolvedValue::null(),
        (Type::List(inner) | Type::NonNullList(inner), Value::Array(items)) => {
            let items: Vec<AsyncResolvedValue<'a>> = items
                .into_iter()
                .map(|item| resolved(context, schema, inner, item))
                .collect();
            AsyncResolvedValue::list(items)
        }
        (_, value) => {
            let kind = wanted.inner_named_type();
            if schema.get_object(kind).is_some() {
                AsyncResolvedValue::object(Node::new(Arc::clone(context), kind.clone(), value))
            } else {
                AsyncResolvedValue::leaf(
                    serde_json_bytes::to_value(value).unwrap_or(JsonValue::Null),
                )
            }
        }
    }
}
