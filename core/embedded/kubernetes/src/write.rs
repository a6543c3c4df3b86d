//! Writing: create, update, patch, and the subresources that change objects.
//!
//! Every write ends in one store transaction whose conditions are what the
//! decision was based on; a patch that loses a race is computed again.

use std::sync::Arc;

use axum::response::Response;
use catalyst_store::{CommitError, Condition, Transaction};
use http::StatusCode;
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::context::Context;
use crate::object::{finalizers, integer, is_deleting, metadata_mut, name, set, text, uid};
use crate::state::{commit_failed, decode_entry, encode_object, now};
use crate::status::ApiError;
use crate::{admit, decode, defaults, encode, merge, validate};

/// Fields of an object's metadata that only the API writes.
const OWNED: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];
/// How often a change is computed again after losing a race.
const ATTEMPTS: usize = 32;

/// POST to a collection.
pub(crate) async fn create(context: &mut Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let object = decode::object(context, bytes)?;
    let (created, _) = create_object(context, object, &merge::Writer::Update).await?;
    respond(context, StatusCode::CREATED, created)
}

fn respond(context: &Context, code: StatusCode, object: Value) -> Result<Response, ApiError> {
    encode::one(
        &context.resource,
        &context.headers,
        context.params.get("includeObject"),
        code,
        object,
    )
}

/// Creates an object; returns it as stored.
pub(crate) async fn create_object(
    context: &mut Context,
    mut object: Value,
    writer: &merge::Writer,
) -> Result<(Value, bool), ApiError> {
    let resource = Arc::clone(&context.resource);
    validate::unknown_fields(context, &mut object)?;
    let generate = text(&object, "/metadata/generateName").to_owned();
    let generated = name(&object).is_empty() && !generate.is_empty();
    let given_space = crate::object::namespace(&object).to_owned();
    let metadata = metadata_mut(&mut object);
    if !metadata
        .get("resourceVersion")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty()
    {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    metadata.remove("resourceVersion");
    for field in OWNED {
        metadata.remove(field);
    }
    if resource.namespaced {
        if !given_space.is_empty() && given_space != context.namespace {
            return Err(ApiError::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request ({given_space:?} and {:?})",
                context.namespace
            )));
        }
        metadata.insert("namespace".into(), json!(context.namespace));
    } else {
        metadata.remove("namespace");
    }
    metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(now()));
    if has_generation(&resource) {
        metadata.insert("generation".into(), json!(1));
    }
    if resource.has_status() && !keeps_status_on_create(&resource) {
        crate::object::as_map(&mut object).remove("status");
    }
    defaults::apply(&resource, &mut object);
    let dry_run = context.dry_run()?;
    for _ in 0..8 {
        let mut attempt = object.clone();
        if generated {
            metadata_mut(&mut attempt)
                .insert("name".into(), json!(format!("{generate}{}", suffix())));
        }
        let mut transaction = Transaction::new();
        admit::create(context, &mut attempt, &mut transaction)?;
        validate::create(&resource, &attempt)?;
        merge::track(context, &Value::Null, &mut attempt, writer, &now())?;
        let key = context.key(name(&attempt));
        let taken = ApiError::already_exists(&resource.group, &resource.plural, name(&attempt));
        if dry_run {
            if context.inner.read_key(&key).is_some() {
                return Err(taken);
            }
            return Ok((attempt, true));
        }
        let bytes = key.to_bytes();
        let transaction = transaction
            .when(Condition::Absent(bytes.clone().into()))
            .put(bytes, encode_object(&attempt));
        match context.inner.commit(&context.cluster, transaction).await {
            Ok(revision) => {
                metadata_mut(&mut attempt)
                    .insert("resourceVersion".into(), json!(revision.to_string()));
                return Ok((attempt, true));
            }
            Err(CommitError::Conflict { key: found, .. }) if found == key.to_bytes() => {
                if !generated {
                    return Err(taken);
                }
            }
            // An address or the namespace changed under us: decide again.
            Err(CommitError::Conflict { .. }) => {
                if !context.inner.has_cluster(&context.cluster) {
                    return Err(ApiError::not_found("", "clusters", &context.cluster));
                }
            }
            Err(error) => return Err(commit_failed(&error)),
        }
    }
    Err(ApiError::conflict(
        &resource.group,
        &resource.plural,
        name(&object),
        "too many concurrent writes; try again",
    ))
}

/// Five characters of Kubernetes' alphabet for generated names.
pub(crate) fn suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    random
        .as_bytes()
        .iter()
        .take(5)
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|one| char::from(*one))
        .collect()
}

fn has_generation(resource: &Resource) -> bool {
    resource.custom.is_some()
        || !matches!(
            resource.storage.as_str(),
            "configmaps"
                | "secrets"
                | "namespaces"
                | "nodes"
                | "serviceaccounts"
                | "events"
                | "endpoints"
                | "services"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "leases.coordination.k8s.io"
                | "resourcequotas"
                | "limitranges"
                | "storageclasses.storage.k8s.io"
                | "controllerrevisions.apps"
        ) && !resource.group.starts_with("rbac.")
}

fn keeps_status_on_create(resource: &Resource) -> bool {
    // Node status is the node's own; the rest start empty or with defaults.
    resource.storage == "nodes"
}

/// PUT of an object or a subresource.
pub(crate) async fn update(context: &mut Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let object = decode::object(context, bytes)?;
    let given = name(&object);
    if !given.is_empty() && given != context.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            context.name
        )));
    }
    let updated = modify(context, &merge::Writer::Update, |_, _| Ok(object.clone())).await?;
    answer_modified(context, updated, StatusCode::OK)
}

fn answer_modified(
    context: &Context,
    object: Value,
    code: StatusCode,
) -> Result<Response, ApiError> {
    if context.subresource == "scale" {
        let scale = to_scale(&context.resource, &object)?;
        return Ok(encode::respond(
            code,
            &scale,
            encode::negotiate(&context.headers)?.1,
        ));
    }
    respond(context, code, object)
}

/// PATCH in any of its forms.
pub(crate) async fn patch(context: &mut Context, bytes: &[u8]) -> Result<Response, ApiError> {
    let kind = decode::content_type(&context.headers).to_owned();
    let patch = merge::Patch::parse(context, &kind, bytes)?;
    let writer = patch.writer(context)?;
    if let (merge::Writer::Apply { .. }, merge::Patch::Apply(applied)) = (&writer, &patch)
        && context.subresource.is_empty()
        && context
            .inner
            .read_key(&context.key(&context.name))
            .is_none()
    {
        let mut object = merge::apply(context, None, applied)?;
        if !text(&object, "/metadata/uid").is_empty()
            || !text(&object, "/metadata/resourceVersion").is_empty()
        {
            return Err(context.not_found());
        }
        set(&mut object, &["metadata", "name"], json!(context.name));
        match create_object(context, object, &writer).await {
            Ok((created, _)) => return respond(context, StatusCode::CREATED, created),
            // Somebody else was faster: apply to theirs.
            Err(error) if error.reason == "AlreadyExists" => {}
            Err(error) => return Err(error),
        }
    }
    let updated = modify(context, &writer, |context, current| {
        patch.apply(context, current)
    })
    .await?;
    answer_modified(context, updated, StatusCode::OK)
}

/// Reads, changes and writes an object until no other write comes between.
pub(crate) async fn modify(
    context: &mut Context,
    writer: &merge::Writer,
    change: impl Fn(&mut Context, &Value) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let resource = Arc::clone(&context.resource);
    let key = context.key(&context.name);
    let dry_run = context.dry_run()?;
    for _ in 0..ATTEMPTS {
        let entry = context
            .inner
            .config
            .store
            .get(key.to_bytes())
            .ok_or_else(|| context.not_found())?;
        let mut current = decode_entry(&entry);
        crate::catalog::convert(&resource, &mut current);
        let mut next = if context.subresource == "scale" {
            let scale = change(context, &to_scale(&resource, &current)?)?;
            check_identity(context, &current, &scale)?;
            from_scale(&resource, &current, &scale)?
        } else {
            let next = change(context, &current)?;
            check_identity(context, &current, &next)?;
            next
        };
        context.warnings.clear();
        validate::unknown_fields(context, &mut next)?;
        next = restrict(context, &current, next);
        keep_metadata(&resource, &current, &mut next);
        defaults::apply(&resource, &mut next);
        if has_generation(&resource) && differs_in_spec(&resource, &current, &next) {
            let generation = integer(&current, "/metadata/generation").unwrap_or(0) + 1;
            metadata_mut(&mut next).insert("generation".into(), json!(generation));
        }
        let mut transaction = Transaction::new();
        admit::update(context, &current, &mut next, &mut transaction)?;
        validate::update(&resource, &current, &next, &context.subresource)?;
        if without_tracking(&next) == without_tracking(&current)
            && !matches!(writer, merge::Writer::Apply { .. })
        {
            return Ok(current);
        }
        merge::track(context, &current, &mut next, writer, &now())?;
        if next == current {
            return Ok(current);
        }
        if dry_run {
            return Ok(next);
        }
        let bytes = key.to_bytes();
        let gone = is_deleting(&next) && finalizers(&next).is_empty() && !is_held(&resource, &next);
        transaction = transaction.when(Condition::Unmodified(bytes.clone().into(), entry.modified));
        transaction = if gone {
            admit::removed(context, &next, transaction)
        } else {
            transaction.put(bytes, encode_object(&next))
        };
        match context.inner.commit(&context.cluster, transaction).await {
            Ok(revision) => {
                metadata_mut(&mut next)
                    .insert("resourceVersion".into(), json!(revision.to_string()));
                return Ok(next);
            }
            Err(CommitError::Conflict { .. }) if context.inner.has_cluster(&context.cluster) => {}
            Err(CommitError::Conflict { .. }) => {
                return Err(ApiError::not_found("", "clusters", &context.cluster));
            }
            Err(error) => return Err(commit_failed(&error)),
        }
    }
    Err(ApiError::modified(
        &resource.group,
        &resource.plural,
        &context.name,
    ))
}

/// Whether something other than finalizers keeps a deleted object: a pod's
/// grace period, a namespace's contents.
pub(crate) fn is_held(resource: &Resource, object: &Value) -> bool {
    match resource.storage.as_str() {
        "pods" => integer(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) > 0,
        "namespaces" => !crate::object::array(object, "/spec/finalizers").is_empty(),
        _ => false,
    }
}

fn check_identity(context: &Context, current: &Value, next: &Value) -> Result<(), ApiError> {
    let resource = &context.resource;
    let asked = text(next, "/metadata/resourceVersion");
    if !asked.is_empty() && asked != text(current, "/metadata/resourceVersion") {
        return Err(ApiError::modified(
            &resource.group,
            &resource.plural,
            &context.name,
        ));
    }
    let asked = uid(next);
    if !asked.is_empty() && asked != uid(current) {
        return Err(ApiError::conflict(
            &resource.group,
            &resource.plural,
            &context.name,
            &format!(
                "Precondition failed: UID in precondition: {asked}, UID in object meta: {}",
                uid(current)
            ),
        ));
    }
    let given = name(next);
    if !given.is_empty() && given != context.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            context.name
        )));
    }
    Ok(())
}

/// Keeps what this endpoint may not write as it is.
fn restrict(context: &Context, current: &Value, next: Value) -> Value {
    let take = |pointer: &str, from: &Value, into: &mut Value| {
        let field = pointer.trim_start_matches('/');
        match from.get(field) {
            Some(value) => set(into, &[field], value.clone()),
            None => {
                crate::object::as_map(into).remove(field);
            }
        }
    };
    match context.subresource.as_str() {
        "status" => {
            let mut kept = current.clone();
            take("status", &next, &mut kept);
            if let Some(managed) = next.pointer("/metadata/managedFields") {
                metadata_mut(&mut kept).insert("managedFields".into(), managed.clone());
            }
            // Labels and annotations may be written with the status, as upstream allows for its own kinds.
            if context.resource.custom.is_none() {
                for field in ["labels", "annotations", "finalizers"] {
                    match next
                        .get("metadata")
                        .and_then(|metadata| metadata.get(field))
                    {
                        Some(value) => metadata_mut(&mut kept).insert(field.into(), value.clone()),
                        None => metadata_mut(&mut kept).remove(field),
                    };
                }
            }
            kept
        }
        "finalize" => {
            let mut kept = current.clone();
            let spec = next
                .pointer("/spec/finalizers")
                .cloned()
                .unwrap_or_else(|| json!([]));
            set(&mut kept, &["spec", "finalizers"], spec);
            kept
        }
        _ if context.resource.has_status() => {
            let mut kept = next;
            take("status", current, &mut kept);
            kept
        }
        _ => next,
    }
}

fn keep_metadata(resource: &Resource, current: &Value, next: &mut Value) {
    let metadata = metadata_mut(next);
    let kept: &[&str] = &["name", "namespace", "generateName", "resourceVersion"];
    for field in kept.iter().chain(OWNED.iter()) {
        match current
            .get("metadata")
            .and_then(|metadata| metadata.get(*field))
        {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
    set(next, &["apiVersion"], json!(resource.api_version()));
    set(next, &["kind"], json!(resource.kind));
}

fn differs_in_spec(resource: &Resource, current: &Value, next: &Value) -> bool {
    let rest = |object: &Value| {
        let mut copy = object.clone();
        let map = crate::object::as_map(&mut copy);
        map.remove("metadata");
        if resource.has_status() {
            map.remove("status");
        }
        copy
    };
    rest(current) != rest(next)
}

fn without_tracking(object: &Value) -> Value {
    let mut copy = object.clone();
    metadata_mut(&mut copy).remove("managedFields");
    copy
}

/// POST to a subresource: eviction, binding, token.
pub(crate) async fn create_subresource(
    context: &mut Context,
    bytes: &[u8],
) -> Result<Response, ApiError> {
    let body = decode::object(context, bytes)?;
    let key = context.key(&context.name);
    let current = context
        .inner
        .read_key(&key)
        .ok_or_else(|| context.not_found())?;
    match (
        context.resource.storage.as_str(),
        context.subresource.as_str(),
    ) {
        ("serviceaccounts", "token") => {
            let seconds = integer(&body, "/spec/expirationSeconds")
                .unwrap_or(3600)
                .clamp(600, 86_400);
            let (token, expires) = crate::authenticate::sign_service_account_token(
                &context.inner,
                &context.cluster,
                &current,
                seconds,
            )?;
            let mut answer = body;
            set(&mut answer, &["spec", "expirationSeconds"], json!(seconds));
            let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            set(
                &mut answer,
                &["status"],
                json!({"token": token, "expirationTimestamp": expires}),
            );
            Ok(encode::respond(
                StatusCode::CREATED,
                &answer,
                encode::Media::Json,
            ))
        }
        ("pods", "eviction") => {
            if name(&body) != context.name {
                return Err(ApiError::bad_request(
                    "name in URL does not match name in Eviction object",
                ));
            }
            let options = match body.get("deleteOptions") {
                None | Some(Value::Null) => json!({}),
                Some(options) => options.clone(),
            };
            crate::delete::check_options(&options)?;
            crate::delete::object(context, &options).await?;
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
            Ok(encode::respond(
                StatusCode::CREATED,
                &status,
                encode::Media::Json,
            ))
        }
        ("pods", "binding") => {
            let node = text(&body, "/target/name").to_owned();
            if !text(&current, "/spec/nodeName").is_empty() {
                return Err(ApiError::conflict(
                    "",
                    "pods",
                    &context.name,
                    "pod is already assigned to a node",
                ));
            }
            context.subresource = String::new();
            modify(context, &merge::Writer::Update, |_, pod| {
                let mut pod = pod.clone();
                set(&mut pod, &["spec", "nodeName"], json!(node));
                Ok(pod)
            })
            .await?;
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
            Ok(encode::respond(
                StatusCode::CREATED,
                &status,
                encode::Media::Json,
            ))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn scale_paths(resource: &Resource) -> (String, String, String) {
    let path = |scale: &Value, field: &str| text(scale, field).replace('.', "/");
    match resource
        .custom
        .as_ref()
        .and_then(|custom| custom.scale.as_ref())
    {
        Some(scale) => (
            path(scale, "/specReplicasPath"),
            path(scale, "/statusReplicasPath"),
            path(scale, "/labelSelectorPath"),
        ),
        None => (
            "/spec/replicas".into(),
            "/status/replicas".into(),
            String::new(),
        ),
    }
}

/// An object's `autoscaling/v1` Scale.
pub(crate) fn to_scale(resource: &Resource, object: &Value) -> Result<Value, ApiError> {
    let (spec, status, selector) = scale_paths(resource);
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
        {
            set(&mut metadata, &[field], value.clone());
        }
    }
    let selector = if selector.is_empty() {
        selector_text(object.pointer("/spec/selector").unwrap_or(&Value::Null))
    } else {
        text(object, &selector).to_owned()
    };
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": integer(object, &spec).unwrap_or(0)},
        "status": {"replicas": integer(object, &status).unwrap_or(0)},
    });
    if !selector.is_empty() {
        set(&mut scale, &["status", "selector"], json!(selector));
    }
    Ok(scale)
}

fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let pairs = labels.as_object().map(|labels| {
        labels
            .iter()
            .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
            .collect::<Vec<_>>()
    });
    pairs.unwrap_or_default().join(",")
}

fn from_scale(resource: &Resource, current: &Value, scale: &Value) -> Result<Value, ApiError> {
    let (spec, ..) = scale_paths(resource);
    let replicas = integer(scale, "/spec/replicas").unwrap_or(0);
    if replicas < 0 {
        return Err(ApiError::invalid(
            "autoscaling",
            "Scale",
            name(current),
            &[catalyst_schema::FieldError::invalid(
                "spec.replicas",
                json!(replicas),
                "must be greater than or equal to 0",
            )],
        ));
    }
    let mut next = current.clone();
    let path: Vec<&str> = spec.split('/').filter(|one| !one.is_empty()).collect();
    set(&mut next, &path, json!(replicas));
    Ok(next)
}
