//! Built-in kinds as Protobuf, the form client-go and with it kubectl's
//! imperative commands and controller-runtime send and prefer.
//!
//! A body is `k8s\0` and a `runtime.Unknown` that names the kind and holds the
//! object's message (`k8s.io/apimachinery/pkg/runtime/generated.proto`). The
//! messages come from a table ([`messages`]), so that both directions are one
//! small walk instead of generated code. Called by `decode`, `encode` and
//! `watch`; everything between them works on JSON.

mod messages;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};

use messages::{Field, Messages, Type};
use wire::{Malformed, Reader, Wire, put_bytes, put_double, put_integer};

/// The media type.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper than this; the deepest kind stays below 30.
const DEPTH: usize = 64;

/// Why bytes are not an object of a built-in kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoPrefix,
    #[error("the protobuf message is malformed")]
    Malformed,
    #[error("no kind {kind:?} is registered for protobuf in version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
}

impl From<Malformed> for ReadError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads a body as the JSON that kubectl would have sent.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ReadError> {
    let body = bytes.strip_prefix(MAGIC).ok_or(ReadError::NoPrefix)?;
    let (mut type_meta, mut raw): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut reader = Reader::new(type_meta);
    while let Some(field) = reader.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let Some(message) = Messages::get().kind(&api_version, &kind) else {
        return Err(ReadError::UnknownKind { api_version, kind });
    };
    let mut object = Map::new();
    read_message(message, raw, &mut object, DEPTH)?;
    object.insert("apiVersion".into(), json!(api_version));
    object.insert("kind".into(), json!(kind));
    Ok(Value::Object(object))
}

/// Writes an object as a body; nothing for kinds without a message, such as
/// custom resources and tables.
pub(crate) fn encode(object: &Value) -> Option<Vec<u8>> {
    let of = |field: &str| object.get(field).and_then(Value::as_str);
    let (api_version, kind) = (of("apiVersion")?, of("kind")?);
    let message = Messages::get().kind(api_version, kind)?;
    let mut raw = Vec::new();
    write_message(message, object.as_object()?, &mut raw);
    let mut type_meta = Vec::new();
    put_bytes(&mut type_meta, 1, api_version.as_bytes());
    put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut body = MAGIC.to_vec();
    put_bytes(&mut body, 1, &type_meta);
    put_bytes(&mut body, 2, &raw);
    put_bytes(&mut body, 3, b"");
    put_bytes(&mut body, 4, b"");
    Some(body)
}

/// True for kinds with a message.
pub(crate) fn knows(api_version: &str, kind: &str) -> bool {
    Messages::get().kind(api_version, kind).is_some()
}

/// A frame of a watch: the length in four bytes, then `meta/v1.WatchEvent`
/// with the object's own body in it.
pub(crate) fn encode_event(kind: &str, object: &Value) -> Option<Vec<u8>> {
    let body = encode(object)?;
    let mut raw = Vec::with_capacity(body.len() + 8);
    put_bytes(&mut raw, 1, &body);
    let mut event = Vec::with_capacity(raw.len() + 24);
    put_bytes(&mut event, 1, kind.as_bytes());
    put_bytes(&mut event, 2, &raw);
    let mut frame = u32::try_from(event.len()).ok()?.to_be_bytes().to_vec();
    frame.append(&mut event);
    Some(frame)
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Malformed)
}

fn read_message(
    message: usize,
    bytes: &[u8],
    into: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let fields = Messages::get().fields(message);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        // A field of a newer version is left out, as Protobuf wants it.
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            continue;
        };
        match (&field.kind, wire) {
            (Type::Message(inner), Wire::Bytes(bytes)) if field.name.is_empty() => {
                read_message(*inner, bytes, into, depth)?;
            }
            (Type::List(item), wire) => {
                let value = read_value(item, wire, depth)?.unwrap_or_else(|| empty(item));
                if let Value::Array(items) = into
                    .entry(&field.name)
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    items.push(value);
                }
            }
            (Type::Map(item), Wire::Bytes(bytes)) => {
                let (key, value) = read_entry(item, bytes, depth)?;
                if let Value::Object(map) = into
                    .entry(&field.name)
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    map.insert(key, value);
                }
            }
            (kind, wire) => {
                let value = read_value(kind, wire, depth)?;
                match value {
                    Some(value) if field.optional || field.required || !is_zero(&value) => {
                        into.insert(field.name.clone(), value);
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn read_entry(item: &Type, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => value = read_value(item, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| empty(item))))
}

/// A value; nothing for an empty time and for bytes that hold no JSON.
fn read_value(kind: &Type, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, Malformed> {
    Ok(Some(match (kind, wire) {
        (Type::Text, Wire::Bytes(bytes)) => Value::String(text(bytes)?),
        (Type::Bool, Wire::Varint(value)) => Value::Bool(value != 0),
        (Type::Integer, Wire::Varint(value)) => Value::from(value.cast_signed()),
        (Type::Double, Wire::Fixed64(value)) => {
            Number::from_f64(f64::from_bits(value)).map_or(Value::Null, Value::Number)
        }
        (Type::Bytes, Wire::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
        (Type::Message(message), Wire::Bytes(bytes)) => {
            let mut map = Map::new();
            read_message(*message, bytes, &mut map, depth)?;
            Value::Object(map)
        }
        (Type::NamedList(item), Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            let mut reader = Reader::new(bytes);
            while let Some((number, wire)) = reader.next()? {
                if number == 1 {
                    items.push(read_value(item, wire, depth)?.unwrap_or_else(|| empty(item)));
                }
            }
            Value::Array(items)
        }
        (Type::Quantity, Wire::Bytes(bytes)) => match first(bytes, 1)? {
            Some(Wire::Bytes(bytes)) => Value::String(text(bytes)?),
            _ => json!("0"),
        },
        (Type::IntOrString, Wire::Bytes(bytes)) => {
            let is_text = matches!(first(bytes, 1)?, Some(Wire::Varint(1)));
            match first(bytes, if is_text { 3 } else { 2 })? {
                Some(Wire::Bytes(bytes)) => Value::String(text(bytes)?),
                Some(Wire::Varint(value)) => Value::from(value.cast_signed()),
                _ if is_text => json!(""),
                _ => json!(0),
            }
        }
        (Type::Time | Type::MicroTime, Wire::Bytes(bytes)) => {
            let (seconds, nanos) = (first(bytes, 1)?, first(bytes, 2)?);
            let Some(Wire::Varint(seconds)) = seconds else {
                return Ok(None);
            };
            let nanos = match nanos {
                Some(Wire::Varint(nanos)) => i32::try_from(nanos.cast_signed()).unwrap_or(0),
                _ => 0,
            };
            let at = jiff::Timestamp::new(seconds.cast_signed(), nanos).map_err(|_| Malformed)?;
            let form = if *kind == Type::Time {
                "%Y-%m-%dT%H:%M:%SZ"
            } else {
                "%Y-%m-%dT%H:%M:%S.%6fZ"
            };
            Value::String(at.strftime(form).to_string())
        }
        (Type::Json, Wire::Bytes(bytes)) => match first(bytes, 1)? {
            Some(Wire::Bytes(raw)) => return Ok(serde_json::from_slice(raw).ok()),
            _ => return Ok(None),
        },
        _ => return Err(Malformed),
    }))
}

/// The last value of a field, as Protobuf counts.
fn first(bytes: &[u8], wanted: u32) -> Result<Option<Wire<'_>>, Malformed> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == wanted {
            found = Some(wire);
        }
    }
    Ok(found)
}

fn empty(kind: &Type) -> Value {
    match kind {
        Type::Message(_) | Type::Map(_) => json!({}),
        Type::List(_) | Type::NamedList(_) => json!([]),
        Type::Bool => json!(false),
        Type::Integer | Type::Double | Type::IntOrString => json!(0),
        Type::Quantity => json!("0"),
        Type::Text | Type::Bytes => json!(""),
        Type::Time | Type::MicroTime | Type::Json => Value::Null,
    }
}

/// What Go's `omitempty` leaves out; Go writes every field to Protobuf.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn write_message(message: usize, object: &Map<String, Value>, out: &mut Vec<u8>) {
    for field in Messages::get().fields(message) {
        if field.name.is_empty() {
            if let Type::Message(inner) = field.kind {
                let mut body = Vec::new();
                write_message(inner, object, &mut body);
                put_bytes(out, field.number, &body);
            }
            continue;
        }
        match object.get(&field.name) {
            None | Some(Value::Null) => {}
            Some(value) => write_field(field, value, out),
        }
    }
}

fn write_field(field: &Field, value: &Value, out: &mut Vec<u8>) {
    match (&field.kind, value) {
        (Type::List(item), Value::Array(items)) => {
            for value in items {
                write_value(item, field.number, value, out);
            }
        }
        (Type::Map(item), Value::Object(map)) => {
            for (key, value) in map {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                write_value(item, 2, value, &mut entry);
                put_bytes(out, field.number, &entry);
            }
        }
        (kind, value) => write_value(kind, field.number, value, out),
    }
}

/// A value of another type than the table says is left out: stored objects
/// passed validation, so there is none.
fn write_value(kind: &Type, number: u32, value: &Value, out: &mut Vec<u8>) {
    match (kind, value) {
        (Type::Text, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Type::Bool, Value::Bool(flag)) => put_integer(out, number, i64::from(*flag)),
        (Type::Integer, Value::Number(value)) => {
            let whole = value
                .as_i64()
                .or_else(|| value.as_u64().map(u64::cast_signed));
            put_integer(out, number, whole.unwrap_or_default());
        }
        (Type::Double, Value::Number(value)) => {
            put_double(out, number, value.as_f64().unwrap_or_default());
        }
        (Type::Bytes, Value::String(text)) => {
            put_bytes(out, number, &STANDARD.decode(text).unwrap_or_default());
        }
        (Type::Message(message), Value::Object(map)) => {
            let mut body = Vec::new();
            write_message(*message, map, &mut body);
            put_bytes(out, number, &body);
        }
        (Type::NamedList(item), Value::Array(items)) => {
            let mut body = Vec::new();
            for value in items {
                write_value(item, 1, value, &mut body);
            }
            put_bytes(out, number, &body);
        }
        (Type::Quantity, value @ (Value::String(_) | Value::Number(_))) => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let mut body = Vec::new();
            put_bytes(&mut body, 1, text.as_bytes());
            put_bytes(out, number, &body);
        }
        (Type::IntOrString, value) => {
            let mut body = Vec::new();
            let (is_text, whole, text) = match value {
                Value::String(text) => (1, 0, text.as_str()),
                other => (0, other.as_i64().unwrap_or_default(), ""),
            };
            put_integer(&mut body, 1, is_text);
            put_integer(&mut body, 2, whole);
            put_bytes(&mut body, 3, text.as_bytes());
            put_bytes(out, number, &body);
        }
        (Type::Time | Type::MicroTime, Value::String(text)) => {
            if let Ok(at) = text.parse::<jiff::Timestamp>() {
                let mut body = Vec::new();
                put_integer(&mut body, 1, at.as_second());
                put_integer(&mut body, 2, i64::from(at.subsec_nanosecond()));
                put_bytes(out, number, &body);
            }
        }
        (Type::Json, value) => {
            let mut body = Vec::new();
            put_bytes(&mut body, 1, value.to_string().as_bytes());
            put_bytes(out, number, &body);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
