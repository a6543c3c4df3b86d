//! How a write combines with what is there: the four patch forms, and the
//! record of who owns which field.

use catalyst_apply::{ApplyError, FieldSet, Operation, PatchError};
use serde_json::Value;

use crate::context::Context;
use crate::decode;
use crate::object::metadata_mut;
use crate::state::now;
use crate::status::ApiError;
use crate::validate::schema;

/// How a write claims fields.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    /// By changing them.
    Update,
    /// By server-side apply, which has recorded its claims already.
    Apply { manager: String, force: bool },
}

/// A parsed patch.
pub(crate) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

fn unsupported(custom: bool) -> ApiError {
    ApiError::unsupported_media_type(if custom {
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    } else {
        "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
    })
}

impl Patch {
    /// Reads a patch of the given content type.
    pub fn parse(context: &Context, kind: &str, bytes: &[u8]) -> Result<Self, ApiError> {
        let custom = context.resource.custom.is_some();
        let body = || decode::parse(bytes, kind);
        match kind {
            "application/json-patch+json" => Ok(Self::Json(body()?)),
            "application/merge-patch+json" => Ok(Self::Merge(body()?)),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic(body()?)),
            "application/apply-patch+yaml" => {
                let mut object = body()?;
                let given = object.get("apiVersion").is_some() && object.get("kind").is_some();
                if !given {
                    return Err(ApiError::bad_request(
                        "invalid object type: apiVersion and kind must be given to apply",
                    ));
                }
                decode::check_kind(context, &mut object)?;
                Ok(Self::Apply(object))
            }
            _ => Err(unsupported(custom)),
        }
    }

    /// Who claims fields by this patch, and how.
    pub fn writer(&self, context: &Context) -> Result<Writer, ApiError> {
        if !matches!(self, Self::Apply(_)) {
            if context.params.flag("force") {
                return Err(ApiError::bad_request(
                    "force is forbidden for non-apply patch",
                ));
            }
            return Ok(Writer::Update);
        }
        let manager = context.params.get("fieldManager");
        if manager.is_empty() {
            return Err(ApiError::bad_request(
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ));
        }
        Ok(Writer::Apply {
            manager: manager.to_owned(),
            force: context.params.flag("force"),
        })
    }

    /// The patched object.
    pub fn apply(&self, context: &Context, current: &Value) -> Result<Value, ApiError> {
        let resource = &context.resource;
        let refused = |error: String| {
            let field = catalyst_schema::FieldError::invalid("patch", Value::Null, error);
            ApiError::invalid(&resource.group, &resource.kind, &context.name, &[field])
        };
        let patched = match self {
            Self::Merge(patch) => catalyst_apply::json_merge_patch(current, patch),
            Self::Json(patch) => catalyst_apply::json_patch(current, patch).map_err(|error| match error {
                PatchError::DoesNotApply(reason) => {
                    let mut answer = refused(reason.clone());
                    answer.message = format!("the server rejected our request due to an error in our request: {reason}");
                    answer
                }
                other => ApiError::bad_request(other.to_string()),
            })?,
            Self::Strategic(patch) => {
                let schema = schema(resource).ok_or_else(|| unsupported(true))?;
                catalyst_apply::strategic_merge_patch(current, patch, &schema)
                    .map_err(|error| ApiError::bad_request(error.to_string()))?
            }
            Self::Apply(applied) => apply(context, Some(current), applied)?,
        };
        if !patched.is_object() {
            return Err(ApiError::bad_request("the patch does not leave an object"));
        }
        Ok(patched)
    }
}

/// Server-side apply to an object, or to nothing.
pub(crate) fn apply(
    context: &Context,
    live: Option<&Value>,
    applied: &Value,
) -> Result<Value, ApiError> {
    let resource = &context.resource;
    let (time, ignored) = (now(), ignored(context));
    let api_version = resource.api_version();
    let operation = Operation {
        manager: context.params.get("fieldManager"),
        api_version: &api_version,
        subresource: &context.subresource,
        time: &time,
        ignored: ignored.as_ref(),
    };
    let schema = schema(resource);
    catalyst_apply::apply(
        live,
        applied,
        &operation,
        context.params.flag("force"),
        schema.as_ref(),
    )
    .map_err(|error| match error {
        ApplyError::Conflicts(conflicts) => {
            let causes: Vec<(String, String)> = conflicts
                .0
                .iter()
                .map(|one| (one.cause_message(), one.path.to_string()))
                .collect();
            ApiError::apply_conflict(conflicts.to_string(), &causes)
        }
        ApplyError::BadRequest(reason) => ApiError::bad_request(reason),
        ApplyError::Untyped { .. } => ApiError::internal(error.to_string()),
        ApplyError::ManagedFields(cause) => {
            ApiError::internal(format!("failed to decode managed fields: {cause}"))
        }
    })
}

/// Fields that this endpoint does not write.
fn ignored(context: &Context) -> Option<FieldSet> {
    match context.subresource.as_str() {
        "" if context.resource.has_status() => Some(FieldSet::of_fields(&[&["status"]])),
        "status" => Some(FieldSet::of_fields(&[&["spec"], &["data"]])),
        _ => None,
    }
}

/// Records who owns what after a write that is not an apply.
pub(crate) fn track(
    context: &Context,
    before: &Value,
    after: &mut Value,
    writer: &Writer,
    time: &str,
) -> Result<(), ApiError> {
    if let Writer::Apply { manager, force } = writer {
        tracing::trace!(%manager, force, "ownership was recorded by the apply");
        return Ok(());
    }
    // What the API writes for itself has no owner: its objects stay small.
    if context.identity.user == "system:apiserver" {
        return Ok(());
    }
    let manager = context.field_manager();
    if manager.len() > 128 {
        return Err(ApiError::bad_request(
            "fieldManager: Too long: may not be more than 128 bytes",
        ));
    }
    let (ignored, api_version) = (ignored(context), context.resource.api_version());
    let operation = Operation {
        manager: &manager,
        api_version: &api_version,
        subresource: &context.subresource,
        time,
        ignored: ignored.as_ref(),
    };
    let before = (!before.is_null()).then_some(before);
    catalyst_apply::update_managed_fields(
        before,
        after,
        &operation,
        schema(&context.resource).as_ref(),
    );
    if after
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
    {
        metadata_mut(after).remove("managedFields");
    }
    Ok(())
}
