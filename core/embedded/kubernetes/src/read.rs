//! Reading: get and list.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::encode;
use crate::selector::{FieldSelector, LabelSelector, selectable};
use crate::state::{ObjectKey, decode_entry, range_prefix};
use crate::status::ApiError;

/// How many entries are read at a time while looking for matches.
const CHUNK: usize = 512;

/// What a list or watch selects.
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub prefix: String,
}

impl Selection {
    pub fn of(context: &Context) -> Result<Self, ApiError> {
        let resource = &context.resource;
        let namespace = (resource.namespaced && !context.namespace.is_empty())
            .then_some(context.namespace.as_str());
        let mut fields = FieldSelector::parse(context.params.get("fieldSelector"), |field| {
            selectable(resource, field)
        })?;
        if !context.name.is_empty() {
            // The old form of watching one object: its own path with watch=true.
            fields = FieldSelector::parse(&format!("metadata.name={}", context.name), |_| true)?;
        }
        Ok(Self {
            labels: LabelSelector::parse(context.params.get("labelSelector"))?,
            fields,
            prefix: range_prefix(&resource.storage, &context.cluster, namespace),
        })
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// One object.
pub(crate) fn get(context: &Context) -> Result<Response, ApiError> {
    let key = context.key(&context.name);
    let object = context
        .inner
        .read_key(&key)
        .ok_or_else(|| context.not_found())?;
    if context.subresource == "scale" {
        let scale = crate::write::to_scale(&context.resource, &object)?;
        return Ok(encode::respond(
            StatusCode::OK,
            &scale,
            encode::negotiate(&context.headers)?.1,
        ));
    }
    encode::one(
        &context.resource,
        &context.headers,
        context.params.get("includeObject"),
        StatusCode::OK,
        object,
    )
}

/// A list: all of it, or a page of one snapshot.
pub(crate) fn list(context: &Context) -> Result<Response, ApiError> {
    let selection = Selection::of(context)?;
    let store = &context.inner.config.store;
    let limit: usize = match context.params.get("limit") {
        "" => 0,
        // Below zero it asks for everything, as zero does.
        text => text
            .parse::<i64>()
            .map(|limit| usize::try_from(limit).unwrap_or(0))
            .map_err(|_| ApiError::bad_request(format!("limit is not a number: {text:?}")))?,
    };
    let token = context.params.get("continue");
    let version = context.params.get("resourceVersion");
    let matching = context.params.get("resourceVersionMatch");
    if !matching.is_empty() && version.is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersionMatch is forbidden for list unless resourceVersion is provided",
        ));
    }
    let current = store.revision();
    let (revision, mut after) = if token.is_empty() {
        let asked = parse_version(version)?;
        if asked > current {
            return Err(ApiError {
                code: 504,
                reason: "Timeout",
                message: format!("Too large resource version: {asked}, current: {current}"),
                details: json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1}),
            });
        }
        let exact = matching == "Exact" || (matching.is_empty() && limit > 0 && asked > 0);
        (if exact && asked > 0 { asked } else { current }, None)
    } else {
        if !version.is_empty() && version != "0" {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (revision, start) = decode_token(token)?;
        if !start.starts_with(&selection.prefix) {
            return Err(ApiError::bad_request(
                "continue key is not valid: it belongs to another list",
            ));
        }
        (revision, Some(start.into_bytes()))
    };
    let across = context.cluster == "*";
    let mut items = Vec::new();
    let mut remaining;
    let mut last = None;
    'reading: loop {
        let chunk = if limit > 0 {
            (limit - items.len() + 1).max(CHUNK.min(limit + 1))
        } else {
            0
        };
        let page = store.range_at(&selection.prefix, after.as_deref(), chunk, revision).map_err(|compacted| {
            ApiError::expired(format!(
                "The provided continue parameter or resource version is too old: {compacted}. Start the list again without it."
            ))
        })?;
        remaining = page.remaining;
        let count = page.entries.len();
        for (index, entry) in page.entries.iter().enumerate() {
            let object = decode_entry(entry);
            if !selection.matches(&object) {
                continue;
            }
            if limit > 0 && items.len() == limit {
                // One more match exists: there is a next page.
                remaining += count - index;
                break 'reading;
            }
            let cluster = if across {
                ObjectKey::parse(&entry.key).map(|key| key.cluster)
            } else {
                None
            };
            items.push(encode::present(
                &context.resource,
                object,
                cluster.as_deref(),
            ));
            last = Some(entry.key.to_vec());
        }
        match page.entries.last() {
            Some(entry) if remaining > 0 => after = Some(entry.key.to_vec()),
            _ => {
                remaining = 0;
                break;
            }
        }
    }
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), json!(revision.to_string()));
    if remaining > 0
        && let Some(last) = last
    {
        metadata.insert(
            "continue".into(),
            json!(encode_token(revision, &String::from_utf8_lossy(&last))),
        );
        if selection.is_everything() {
            metadata.insert("remainingItemCount".into(), json!(remaining));
        }
    }
    encode::list(
        &context.resource,
        &context.headers,
        context.params.get("includeObject"),
        items,
        Value::Object(metadata),
    )
}

/// A resource version; "" is 0.
pub(crate) fn parse_version(version: &str) -> Result<u64, ApiError> {
    if version.is_empty() {
        return Ok(0);
    }
    version.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: invalid syntax"
        ))
    })
}

fn encode_token(revision: u64, start: &str) -> String {
    URL_SAFE_NO_PAD
        .encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn decode_token(token: &str) -> Result<(u64, String), ApiError> {
    let bad = || ApiError::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD
        .decode(token.trim_end_matches('='))
        .map_err(|_| bad())?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let revision = document.get("rv").and_then(Value::as_u64).ok_or_else(bad)?;
    let start = document
        .get("start")
        .and_then(Value::as_str)
        .ok_or_else(bad)?;
    Ok((revision, start.to_owned()))
}
