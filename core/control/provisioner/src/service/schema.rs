//! The JSON Schema of a description as the service takes it: that of `sovereign.yaml`, with
//! keys as text, since files of its machine are nobody's to name from afar.
//!
//! Called by the gateway.

use serde_json::{Value, json};

use crate::config::Config;

/// Properties that name files.
const FILES: [&str; 2] = ["sshPublicKeyFile", "sshPrivateKeyFile"];

/// The schema (2020-12).
pub fn schema() -> Value {
    let mut schema = Config::schema();
    if let Some(schema) = schema.as_object_mut() {
        // The choice between the key and its file.
        schema.remove("oneOf");
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| !FILES.contains(&name.as_str()));
    }
    if let Some(Value::Object(key)) = schema.pointer_mut("/properties/sshPublicKey") {
        key.insert("type".to_owned(), json!("string"));
        let description = "OpenSSH public key of whoever provisions.";
        key.insert("description".to_owned(), json!(description));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.push(json!("sshPublicKey"));
    }
    schema
}
