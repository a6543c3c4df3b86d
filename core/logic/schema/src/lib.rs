//! OpenAPI v3 schemas as Kubernetes uses them: default, prune, validate, and
//! the list and map topology that patches and server-side apply go by.
//!
//! Called by the Kubernetes API (admission of custom resources, field
//! validation of built-in kinds) and by `catalyst-apply`. Pure and synchronous:
//! values in, values out.
//!
//! What must stay true:
//! - A [`SchemaSet`] is immutable once parsed and is shared by reference count;
//!   a [`Schema`] is a cheap handle that never copies definitions of the set.
//! - References are resolved to indices while parsing, so walking a schema never
//!   looks up a name, and a recursive definition costs nothing.
//! - Messages and field paths are the ones Kubernetes 1.34 prints.

mod defaulting;
mod field;
mod format;
mod node;
mod pruning;
mod structural;
mod validation;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

pub use field::{FieldError, FieldErrorKind};
pub use node::{JsonType, ListType, MapType};
pub use structural::structural_problems;

use node::{Additional, Names, Node};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Why a schema document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The document does not have the shape of a schema at this place.
    #[error("reading the schema at {path}: {reason}")]
    Malformed {
        /// Where in the document, in Kubernetes' notation.
        path: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A `$ref` names no definition of the set.
    #[error("reading the schema at {path}: there is no definition {reference:?} to refer to")]
    UnknownReference {
        /// Where in the document, in Kubernetes' notation.
        path: String,
        /// The reference as written.
        reference: String,
    },
}

/// A group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group; empty for core.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `Pod`.
    pub kind: String,
}

/// All definitions of one OpenAPI v3 document, held once however many logical
/// clusters use them.
#[derive(Debug, Default)]
pub struct SchemaSet {
    names: Names,
    nodes: Vec<Node>,
    kinds: HashMap<GroupVersionKind, usize>,
    object_meta: Option<usize>,
}

impl SchemaSet {
    /// Reads `{"components": {"schemas": {name: schema}}}`.
    pub fn parse(document: &Value) -> Result<Arc<Self>, SchemaError> {
        let definitions = document
            .pointer("/components/schemas")
            .and_then(Value::as_object)
            .ok_or_else(|| SchemaError::Malformed {
                path: "components.schemas".into(),
                reason: "expected an object of definitions".into(),
            })?;
        let names: Names = definitions
            .keys()
            .enumerate()
            .map(|(index, name)| (name.clone(), index))
            .collect();
        let mut nodes = Vec::with_capacity(definitions.len());
        let mut kinds = HashMap::new();
        for (index, (name, definition)) in definitions.iter().enumerate() {
            let mut node = Node::parse(definition, name, &names)?;
            // A definition that is just "an object" (RawExtension, FieldsV1)
            // stands for content that Go keeps as raw bytes.
            node.preserve_unknown |= node.is_free_form();
            for kind in &node.kinds {
                kinds.insert(kind.clone(), index);
            }
            nodes.push(node);
        }
        let object_meta = names.get(OBJECT_META).copied();
        Ok(Arc::new(Self {
            names,
            nodes,
            kinds,
            object_meta,
        }))
    }

    /// The definition of this name, such as `io.k8s.api.apps.v1.Deployment`.
    pub fn get(self: &Arc<Self>, name: &str) -> Option<Schema> {
        let index = *self.names.get(name)?;
        Some(Schema {
            set: Some(Arc::clone(self)),
            root: Root::Shared(index),
        })
    }

    /// The definition that serves this kind. Kinds such as `DeleteOptions`
    /// belong to many groups; only the group and version asked for matter.
    pub fn for_kind(self: &Arc<Self>, group: &str, version: &str, kind: &str) -> Option<Schema> {
        let index = *self.kinds.get(&GroupVersionKind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        })?;
        Some(Schema {
            set: Some(Arc::clone(self)),
            root: Root::Shared(index),
        })
    }

    /// Every kind that has a definition.
    pub fn kinds(&self) -> impl Iterator<Item = &GroupVersionKind> {
        self.kinds.keys()
    }

    fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }
}

/// A schema with what is needed to resolve its references; cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema {
    set: Option<Arc<SchemaSet>>,
    root: Root,
}

#[derive(Debug, Clone)]
enum Root {
    Shared(usize),
    Own(Arc<Node>),
}

impl Schema {
    /// Reads a schema that refers to nothing outside itself.
    pub fn parse(document: &Value) -> Result<Self, SchemaError> {
        let node = Node::parse(document, "openAPIV3Schema", &Names::new())?;
        Ok(Self {
            set: None,
            root: Root::Own(Arc::new(node)),
        })
    }

    /// Reads the schema of one version of a custom resource. `apiVersion`,
    /// `kind` and `metadata` are part of every object, declared or not; `set`
    /// supplies the definition of ObjectMeta.
    pub fn custom_resource(document: &Value, set: &Arc<SchemaSet>) -> Result<Self, SchemaError> {
        let mut node = Node::parse(document, "openAPIV3Schema", &set.names)?;
        node.embedded_resource = true;
        Ok(Self {
            set: Some(Arc::clone(set)),
            root: Root::Own(Arc::new(node)),
        })
    }

    /// The place to start walking from.
    pub fn root(&self) -> SchemaNode<'_> {
        let set = self.set.as_deref();
        let node = match &self.root {
            Root::Own(node) => Some(node.as_ref()),
            Root::Shared(index) => set.and_then(|set| set.node(*index)),
        };
        SchemaNode::new(set, node.unwrap_or(node::anything()))
    }

    /// Fills in declared defaults, as Kubernetes does for custom resources:
    /// missing fields get their default, and a null where null is not allowed
    /// gives way to it. Not for built-in kinds, whose published defaults are
    /// only Go's zero values; there the API has code of its own.
    pub fn default(&self, value: &mut Value) {
        defaulting::apply_defaults(self.root(), value);
    }

    /// Removes fields the schema does not name and returns their paths, sorted
    /// as they were met (`spec.foo`, `spec.list[0].bar`).
    pub fn prune(&self, value: &mut Value) -> Vec<String> {
        pruning::prune(self.root(), value)
    }

    /// The paths that [`Schema::prune`] would remove, leaving the value alone:
    /// what `fieldValidation: Strict` refuses and `Warn` warns about. Serves
    /// built-in kinds too.
    pub fn unknown_fields(&self, value: &Value) -> Vec<String> {
        pruning::unknown_fields(self.root(), value)
    }

    /// Checks a value; empty means valid. The errors are in a stable order.
    pub fn validate(&self, value: &Value) -> Vec<FieldError> {
        validation::validate(self.root(), value)
    }

    /// Checks one value below the root, such as a status or a scale, reporting
    /// paths under `path`.
    pub fn validate_at(node: SchemaNode<'_>, path: &str, value: &Value) -> Vec<FieldError> {
        validation::validate_under(node, path, value)
    }
}

/// A place in a schema, with references already followed. Attributes written
/// beside a reference (list type, patch strategy, default) go before those of
/// the definition referred to.
#[derive(Debug, Clone, Copy)]
pub struct SchemaNode<'a> {
    set: Option<&'a SchemaSet>,
    outer: &'a Node,
    inner: &'a Node,
}

impl<'a> SchemaNode<'a> {
    fn new(set: Option<&'a SchemaSet>, outer: &'a Node) -> Self {
        let mut inner = outer;
        // Bounded, because a definition may be nothing but a reference to itself.
        for _ in 0..16 {
            match inner.reference.and_then(|index| set?.node(index)) {
                Some(next) => inner = next,
                None => break,
            }
        }
        Self { set, outer, inner }
    }

    /// The schema of a declared property, or one that every resource has.
    pub fn property(self, name: &str) -> Option<SchemaNode<'a>> {
        if self.is_embedded_resource() {
            if name == "metadata"
                && let Some(set) = self.set
                && let Some(meta) = set.object_meta.and_then(|index| set.node(index))
            {
                return Some(Self::new(self.set, meta));
            }
            if matches!(name, "apiVersion" | "kind") && !self.inner.properties.contains_key(name) {
                return Some(Self::new(self.set, node::string()));
            }
        }
        self.declared_property(name)
    }

    /// `additionalProperties: true`: any key, with nothing said about values.
    fn allows_additional(self) -> bool {
        matches!(self.inner.additional, Some(Additional::Allowed(true)))
    }

    fn declared_property(self, name: &str) -> Option<SchemaNode<'a>> {
        let node = self.inner.properties.get(name)?;
        Some(Self::new(self.set, node))
    }

    /// Names of the declared properties, sorted.
    pub fn property_names(self) -> impl Iterator<Item = &'a str> {
        self.inner.properties.keys().map(String::as_str)
    }

    /// The schema of the values of a map (`additionalProperties`).
    pub fn additional(self) -> Option<SchemaNode<'a>> {
        match &self.inner.additional {
            Some(Additional::Schema(node)) => Some(Self::new(self.set, node)),
            _ => None,
        }
    }

    /// The schema of the field of this name: the property, else that of map values.
    pub fn field(self, name: &str) -> Option<SchemaNode<'a>> {
        self.property(name).or_else(|| self.additional())
    }

    /// The schema of the items of a list.
    pub fn items(self) -> Option<SchemaNode<'a>> {
        let node = self.inner.items.as_deref()?;
        Some(Self::new(self.set, node))
    }

    /// The declared type; none for int-or-string and for free-form values.
    pub fn json_type(self) -> Option<JsonType> {
        self.inner.kind.or(self.outer.kind)
    }

    /// `format`, such as `int32` or `date-time`.
    pub fn format(self) -> Option<&'a str> {
        self.inner
            .format
            .as_deref()
            .or(self.outer.format.as_deref())
    }

    /// `x-kubernetes-list-type`; none where the schema does not say (atomic).
    pub fn list_type(self) -> Option<ListType> {
        self.outer.list_type.or(self.inner.list_type)
    }

    /// `x-kubernetes-list-map-keys`, for lists of type map.
    pub fn map_keys(self) -> &'a [String] {
        if self.outer.map_keys.is_empty() {
            &self.inner.map_keys
        } else {
            &self.outer.map_keys
        }
    }

    /// `x-kubernetes-map-type`; none where the schema does not say (granular).
    pub fn map_type(self) -> Option<MapType> {
        self.outer.map_type.or(self.inner.map_type)
    }

    /// Whether `x-kubernetes-patch-strategy` lists this strategy (`merge`,
    /// `replace`, `retainKeys`).
    pub fn has_patch_strategy(self, strategy: &str) -> bool {
        self.outer
            .patch_strategy
            .as_deref()
            .or(self.inner.patch_strategy.as_deref())
            .is_some_and(|all| all.split(',').any(|one| one == strategy))
    }

    /// `x-kubernetes-patch-merge-key`, for lists merged strategically.
    pub fn merge_key(self) -> Option<&'a str> {
        self.outer
            .merge_key
            .as_deref()
            .or(self.inner.merge_key.as_deref())
    }

    /// The declared default.
    pub fn default_value(self) -> Option<&'a Value> {
        self.outer.default.as_ref().or(self.inner.default.as_ref())
    }

    /// Whether null is a value here.
    pub fn is_nullable(self) -> bool {
        self.outer.nullable || self.inner.nullable
    }

    /// Whether the object here has `apiVersion`, `kind` and `metadata`.
    pub fn is_embedded_resource(self) -> bool {
        self.outer.embedded_resource || self.inner.embedded_resource
    }

    /// Whether undeclared fields are kept here.
    pub fn preserves_unknown_fields(self) -> bool {
        self.outer.preserve_unknown || self.inner.preserve_unknown
    }

    /// Whether integers and strings are both values here.
    pub fn is_int_or_string(self) -> bool {
        self.inner.int_or_string || self.outer.int_or_string
    }

    /// Whether any JSON value may stand here: a free-form object such as
    /// RawExtension, or an empty schema.
    pub fn is_free_form(self) -> bool {
        self.inner.is_free_form()
    }
}
