//! Maps of values, and default values that all renderings of a chart share.
//!
//! A rendering changes the maps that it is given (coalescing does, and `set`), so each
//! needs its own; but it looks into few of a chart's. So defaults are frozen once, and a
//! map is taken out of what is frozen when somebody looks into it, one level at a time.
//! What must stay true: nobody can tell a frozen map from another.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::bounds;
use crate::value::{Value, float_json};

/// A map that its holders share: what one changes, the others see.
pub type Shared = Rc<Table>;

/// A map of values.
#[derive(Default)]
pub struct Table {
    entries: RefCell<BTreeMap<String, Value>>,
    /// What it holds, as long as nobody looked.
    frozen: Cell<Option<FrozenMap>>,
}

impl Table {
    pub fn shared(entries: BTreeMap<String, Value>) -> Shared {
        Rc::new(Self {
            entries: RefCell::new(entries),
            frozen: Cell::default(),
        })
    }

    pub fn borrow(&self) -> Ref<'_, BTreeMap<String, Value>> {
        self.thaw();
        self.entries.borrow()
    }

    pub fn borrow_mut(&self) -> RefMut<'_, BTreeMap<String, Value>> {
        self.thaw();
        self.entries.borrow_mut()
    }

    pub fn len(&self) -> usize {
        match self.frozen() {
            Some(frozen) => frozen.len(),
            None => self.entries.borrow().len(),
        }
    }

    /// What it holds, if nobody has looked yet.
    pub fn frozen(&self) -> Option<FrozenMap> {
        let frozen = self.frozen.take();
        self.frozen.set(frozen.clone());
        frozen
    }

    fn thaw(&self) {
        if let Some(frozen) = self.frozen.take() {
            *self.entries.borrow_mut() = frozen
                .iter()
                .map(|(key, value)| (key.clone(), value.thawed()))
                .collect();
        }
    }
}

/// A frozen map.
pub type FrozenMap = Arc<BTreeMap<String, Frozen>>;

/// A value that never changes. As Helm reads values from YAML: every number is a float64.
#[derive(Debug)]
pub enum Frozen {
    Nil,
    Bool(bool),
    Float(f64),
    Text(Arc<str>),
    List(Vec<Frozen>),
    Map(FrozenMap),
}

impl Frozen {
    fn new(value: &Json) -> Self {
        match value {
            Json::Null => Self::Nil,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            Json::String(text) => Self::Text(Arc::from(text.as_str())),
            Json::Array(items) => Self::List(items.iter().map(Self::new).collect()),
            Json::Object(map) => Self::Map(frozen(map)),
        }
    }

    /// The value to whom may change it.
    pub fn thawed(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Float(number) => Value::Float(*number),
            Self::Text(text) => Value::Str(text.clone()),
            Self::List(items) => Value::list(items.iter().map(Self::thawed).collect()),
            Self::Map(map) => Value::Map(thawed(map)),
        }
    }

    /// As [`Value::to_json`].
    fn to_json_within(&self, depth: usize, budget: &Cell<usize>) -> Option<Json> {
        if let Self::Map(map) = self {
            return frozen_json(map, depth, budget);
        }
        let deeper = bounds::enter(depth, budget)?;
        Some(match self {
            Self::Nil | Self::Map(_) => Json::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Float(number) => float_json(*number)?,
            Self::Text(text) => text.as_ref().into(),
            Self::List(items) => items
                .iter()
                .map(|item| item.to_json_within(deeper, budget))
                .collect::<Option<Vec<_>>>()?
                .into(),
        })
    }
}

/// A map for all renderings.
pub fn frozen(map: &Map<String, Json>) -> FrozenMap {
    let entries = map.iter();
    Arc::new(
        entries
            .map(|(key, value)| (key.clone(), Frozen::new(value)))
            .collect(),
    )
}

/// The map to whom may change it.
pub fn thawed(map: &FrozenMap) -> Shared {
    Rc::new(Table {
        entries: RefCell::default(),
        frozen: Cell::new(Some(map.clone())),
    })
}

/// As [`Value::to_json`].
pub fn frozen_json(map: &FrozenMap, depth: usize, budget: &Cell<usize>) -> Option<Json> {
    let deeper = bounds::enter(depth, budget)?;
    let mut out = Map::new();
    for (key, value) in map.iter() {
        out.insert(key.clone(), value.to_json_within(deeper, budget)?);
    }
    Some(out.into())
}
