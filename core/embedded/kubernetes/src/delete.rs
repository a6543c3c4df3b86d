//! Deleting: at once, or marked and left to finalizers, grace periods and the
//! collector.

use std::sync::Arc;

use axum::response::Response;
use catalyst_store::{CommitError, Condition, Transaction};
use http::StatusCode;
use serde_json::{Value, json};

use crate::context::Context;
use crate::object::{
    array, finalizers, integer, is_deleting, metadata_mut, name, set, set_finalizers, text, uid,
};
use crate::read::Selection;
use crate::state::{ObjectKey, commit_failed, decode_entry, encode_object, now};
use crate::status::ApiError;
use crate::{admit, decode, encode};

/// Finalizer that waits for dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that sets dependents free.
pub(crate) const ORPHAN: &str = "orphan";

/// DELETE of one object.
pub(crate) async fn one(context: &mut Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let options = options(context, bytes)?;
    let (left, object) = object(context, &options).await?;
    if left
        || matches!(
            context.resource.storage.as_str(),
            "pods"
                | "services"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "serviceaccounts"
                | "podtemplates"
                | "resourcequotas"
                | "storageclasses.storage.k8s.io"
        )
    {
        return encode::one(
            &context.resource,
            &context.headers,
            context.params.get("includeObject"),
            StatusCode::OK,
            object,
        );
    }
    let details = json!({
        "name": name(&object), "group": context.resource.group, "kind": context.resource.plural, "uid": uid(&object),
    });
    let mut details = details;
    if let Some(map) = details.as_object_mut() {
        map.retain(|_, value| value.as_str() != Some(""));
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(encode::respond(
        StatusCode::OK,
        &status,
        encode::negotiate(&context.headers)?.1,
    ))
}

/// `DeleteOptions` from the body, else from the query.
fn options(context: &Context, bytes: &[u8]) -> Result<Value, ApiError> {
    let mut options = if bytes.is_empty() {
        json!({})
    } else {
        decode::parse(bytes, decode::content_type(&context.headers))?
    };
    for field in ["propagationPolicy", "gracePeriodSeconds"] {
        let value = context.params.get(field);
        if !value.is_empty() && options.is_object() && options.get(field).is_none() {
            let value = value
                .parse::<i64>()
                .map_or_else(|_| json!(value), |number| json!(number));
            set(&mut options, &[field], value);
        }
    }
    check_options(&options)?;
    Ok(options)
}

/// Refuses `DeleteOptions` that ask for what there is not.
pub(crate) fn check_options(options: &Value) -> Result<(), ApiError> {
    if !options.is_object() {
        return Err(ApiError::bad_request(
            "the delete options are not a JSON object",
        ));
    }
    let refuse = |error: catalyst_schema::FieldError| {
        Err(ApiError::invalid(
            "meta.k8s.io",
            "DeleteOptions",
            "",
            &[error],
        ))
    };
    if let Some(policy) = options.get("propagationPolicy").and_then(Value::as_str)
        && !matches!(policy, "Orphan" | "Background" | "Foreground")
    {
        return refuse(catalyst_schema::FieldError::not_supported(
            "propagationPolicy",
            json!(policy),
            &["Foreground", "Background", "Orphan"],
        ));
    }
    // What nobody understands must not delete for good.
    if let Some(other) = array(options, "/dryRun").iter().find(|one| **one != "All") {
        return refuse(catalyst_schema::FieldError::not_supported(
            "dryRun",
            other.clone(),
            &["All"],
        ));
    }
    Ok(())
}

/// Deletes the context's object; returns whether it is still there, and its
/// last state.
pub(crate) async fn object(
    context: &mut Context,
    options: &Value,
) -> Result<(bool, Value), ApiError> {
    let resource = Arc::clone(&context.resource);
    let key = context.key(&context.name);
    let dry_run =
        context.dry_run()? || options.pointer("/dryRun/0").and_then(Value::as_str) == Some("All");
    loop {
        let entry = context
            .inner
            .config
            .store
            .get(key.to_bytes())
            .ok_or_else(|| context.not_found())?;
        let current = decode_entry(&entry);
        for (field, found) in [
            ("uid", uid(&current)),
            (
                "resourceVersion",
                text(&current, "/metadata/resourceVersion"),
            ),
        ] {
            let asked = text(options, &format!("/preconditions/{field}"));
            if !asked.is_empty() && asked != found {
                let shown = if field == "uid" {
                    "UID"
                } else {
                    "ResourceVersion"
                };
                return Err(ApiError::conflict(
                    &resource.group,
                    &resource.plural,
                    &context.name,
                    &format!(
                        "Precondition failed: {shown} in precondition: {asked}, {shown} in object meta: {found}"
                    ),
                ));
            }
        }
        admit::delete(context, &current)?;
        let mut next = current.clone();
        let mut held = finalizers(&next);
        let add = |held: &mut Vec<String>, one: &str| {
            if !held.iter().any(|other| other == one) {
                held.push(one.to_owned());
            }
        };
        let orphan_dependents = options.get("orphanDependents").and_then(Value::as_bool);
        match options.get("propagationPolicy").and_then(Value::as_str) {
            Some("Foreground") => add(&mut held, FOREGROUND),
            Some("Orphan") => add(&mut held, ORPHAN),
            Some("Background") => held.retain(|one| one != ORPHAN && one != FOREGROUND),
            _ if orphan_dependents == Some(true) => add(&mut held, ORPHAN),
            _ => {}
        }
        set_finalizers(&mut next, &held);
        let grace = grace_period(&resource.storage, &current, options);
        let was_deleting = is_deleting(&current);
        if !was_deleting {
            metadata_mut(&mut next).insert("deletionTimestamp".into(), json!(deletion_time(grace)));
            if let Some(generation) = integer(&current, "/metadata/generation") {
                metadata_mut(&mut next).insert("generation".into(), json!(generation + 1));
            }
        }
        let previous = integer(&current, "/metadata/deletionGracePeriodSeconds");
        if !was_deleting || previous.is_some_and(|previous| grace < previous) {
            metadata_mut(&mut next).insert("deletionGracePeriodSeconds".into(), json!(grace));
        }
        if resource.storage == "namespaces" {
            set(&mut next, &["status", "phase"], json!("Terminating"));
        }
        let left = !held.is_empty() || crate::write::is_held(&resource, &next);
        if dry_run || (left && next == current) {
            return Ok((left, next));
        }
        let bytes = key.to_bytes();
        let transaction =
            Transaction::new().when(Condition::Unmodified(bytes.clone().into(), entry.modified));
        let transaction = if left {
            transaction.put(bytes, encode_object(&next))
        } else {
            admit::removed(context, &current, transaction)
        };
        match context.inner.commit(&context.cluster, transaction).await {
            Ok(revision) => {
                metadata_mut(&mut next)
                    .insert("resourceVersion".into(), json!(revision.to_string()));
                return Ok((left, if left { next } else { current }));
            }
            Err(CommitError::Conflict { .. }) if context.inner.has_cluster(&context.cluster) => {}
            Err(CommitError::Conflict { .. }) => return Err(context.not_found()),
            Err(error) => return Err(commit_failed(&error)),
        }
    }
}

/// Seconds between the wish to delete and the end; only pods on a node have any.
fn grace_period(storage: &str, object: &Value, options: &Value) -> i64 {
    let phase = text(object, "/status/phase");
    if storage != "pods"
        || text(object, "/spec/nodeName").is_empty()
        || matches!(phase, "Succeeded" | "Failed")
    {
        return 0;
    }
    integer(options, "/gracePeriodSeconds")
        .or_else(|| integer(object, "/spec/terminationGracePeriodSeconds"))
        .unwrap_or(30)
        .max(0)
}

fn deletion_time(grace: i64) -> String {
    let now_ = jiff::Timestamp::now();
    now_.checked_add(jiff::SignedDuration::from_secs(grace))
        .map_or_else(
            |_| now(),
            |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
}

/// DELETE of a collection.
pub(crate) async fn collection(context: &mut Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let options = options(context, bytes)?;
    let selection = Selection::of(context)?;
    let page = context.inner.config.store.range(&selection.prefix, None, 0);
    let mut deleted = Vec::new();
    for entry in page.entries {
        let object = decode_entry(&entry);
        let Some(key) = ObjectKey::parse(&entry.key) else {
            continue;
        };
        if !selection.matches(&object) {
            continue;
        }
        context.namespace = key.namespace;
        context.name = key.name;
        match self::object(context, &options).await {
            Ok((_, object)) => deleted.push(encode::present(&context.resource, object, None)),
            // Gone already is what was asked for.
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let metadata = json!({"resourceVersion": context.inner.config.store.revision().to_string()});
    encode::list(&context.resource, &context.headers, "", deleted, metadata)
}
