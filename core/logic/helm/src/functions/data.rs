//! sprig's functions on maps, lists and types.

use std::rc::Rc;

use super::{Row, arg, int, items, strval, text};
use crate::exec::{Engine, Failure, Outcome};
use crate::objects::Object;
use crate::value::{Shared, Value};

/// What Go says where it looks into nil.
pub const NIL_POINTER: &str = "runtime error: invalid memory address or nil pointer dereference";

/// What Go says where it asks nil for its type.
pub const ZERO_VALUE: &str = "reflect: call of reflect.Value.Type on zero Value";

/// Nested maps merged before the rest is refused.
const MAX_MERGE_DEPTH: usize = 200;

pub const TABLE: &[Row] = &[
    ("default", "aa*", |_, a| {
        let given = arg(a, 1);
        Ok(if is_empty(&given) { arg(a, 0) } else { given })
    }),
    ("empty", "a", |_, a| Ok(Value::Bool(is_empty(&arg(a, 0))))),
    ("coalesce", "a*", |_, a| {
        Ok(a.iter()
            .find(|v| !is_empty(v))
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    ("all", "a*", |_, a| Ok(Value::Bool(!a.iter().any(is_empty)))),
    ("any", "a*", |_, a| {
        Ok(Value::Bool(a.iter().any(|v| !is_empty(v))))
    }),
    ("ternary", "aab", |_, a| {
        Ok(arg(a, usize::from(!arg(a, 2).is_true())))
    }),
    ("dict", "a*", |_, a| {
        let map = Value::map(Default::default());
        if let Value::Map(entries) = &map {
            for pair in a.chunks(2) {
                let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
                entries.borrow_mut().insert(strval(&arg(pair, 0)), value);
            }
        }
        Ok(map)
    }),
    ("get", "ms", |_, a| {
        Ok(arg(a, 0)
            .entries()
            .and_then(|map| map.borrow().get(text(a, 1)).cloned())
            .unwrap_or_else(|| Value::text("")))
    }),
    ("set", "msa", |_, a| {
        map(a, 0)?
            .borrow_mut()
            .insert(text(a, 1).to_owned(), arg(a, 2));
        Ok(plain_map(arg(a, 0)))
    }),
    ("unset", "ms", |_, a| {
        if let Some(map) = arg(a, 0).entries() {
            map.borrow_mut().remove(text(a, 1));
        }
        Ok(plain_map(arg(a, 0)))
    }),
    ("hasKey", "ms", |_, a| {
        Ok(Value::Bool(
            arg(a, 0)
                .entries()
                .is_some_and(|m| m.borrow().contains_key(text(a, 1))),
        ))
    }),
    ("pluck", "sm*", |_, a| {
        Ok(Value::list(
            a.iter()
                .skip(1)
                .filter_map(|v| v.entries()?.borrow().get(text(a, 0)).cloned())
                .collect(),
        ))
    }),
    ("keys", "m*", |_, a| {
        Ok(Value::texts(a.iter().filter_map(Value::entries).flat_map(
            |m| m.borrow().keys().cloned().collect::<Vec<_>>(),
        )))
    }),
    ("values", "m", |_, a| {
        Ok(Value::list(
            arg(a, 0)
                .entries()
                .map(|m| m.borrow().values().cloned().collect())
                .unwrap_or_default(),
        ))
    }),
    ("pick", "ms*", |_, a| Ok(picked(a, true))),
    ("omit", "ms*", |_, a| Ok(picked(a, false))),
    ("merge", "mm*", |engine, a| merge_all(engine, a, false)),
    ("mustMerge", "mm*", |engine, a| merge_all(engine, a, false)),
    ("mergeOverwrite", "mm*", |engine, a| {
        merge_all(engine, a, true)
    }),
    ("mustMergeOverwrite", "mm*", |engine, a| {
        merge_all(engine, a, true)
    }),
    ("deepCopy", "a", deep_copy),
    ("mustDeepCopy", "a", deep_copy),
    ("deepEqual", "aa", |_, a| {
        Ok(Value::Bool(arg(a, 0).deep_equal(&arg(a, 1))))
    }),
    ("dig", "a*", dig),
    ("tuple", "a*", |_, a| Ok(Value::list(a.to_vec()))),
    ("list", "a*", |_, a| Ok(Value::list(a.to_vec()))),
    ("append", "aa", push),
    ("push", "aa", push),
    ("mustAppend", "aa", push),
    ("mustPush", "aa", push),
    ("prepend", "aa", prepend),
    ("mustPrepend", "aa", prepend),
    ("first", "a", first),
    ("mustFirst", "a", first),
    ("last", "a", last),
    ("mustLast", "a", last),
    ("rest", "a", rest),
    ("mustRest", "a", rest),
    ("initial", "a", initial),
    ("mustInitial", "a", initial),
    ("reverse", "a", reverse),
    ("mustReverse", "a", reverse),
    ("uniq", "a", uniq),
    ("mustUniq", "a", uniq),
    ("compact", "a", compact),
    ("mustCompact", "a", compact),
    ("without", "aa*", without),
    ("mustWithout", "aa*", without),
    ("has", "aa", has),
    ("mustHas", "aa", has),
    ("slice", "aa*", cut),
    ("mustSlice", "aa*", cut),
    ("concat", "a*", |_, a| {
        let mut all = Vec::new();
        for list in a {
            let items = list.items().ok_or_else(|| {
                if matches!(list, Value::Nil) {
                    Failure::from(NIL_POINTER)
                } else {
                    format!("Cannot concat type {} as list", list.kind_name()).into()
                }
            })?;
            all.extend(items.iter().cloned());
        }
        Ok(if all.is_empty() {
            Value::nil_list("[]interface {}")
        } else {
            Value::list(all)
        })
    }),
    ("chunk", "ia", chunk),
    ("mustChunk", "ia", chunk),
    ("typeOf", "a", |_, a| Ok(Value::text(arg(a, 0).type_name()))),
    ("typeIs", "sa", |_, a| {
        Ok(Value::Bool(arg(a, 1).type_name() == text(a, 0)))
    }),
    ("typeIsLike", "sa", |_, a| {
        let name = arg(a, 1).type_name();
        Ok(Value::Bool(
            name == text(a, 0) || name.strip_prefix('*') == Some(text(a, 0)),
        ))
    }),
    ("kindOf", "a", |_, a| Ok(Value::text(arg(a, 0).kind_name()))),
    ("kindIs", "sa", |_, a| {
        Ok(Value::Bool(arg(a, 1).kind_name() == text(a, 0)))
    }),
];

/// sprig's idea of empty.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) if object.kind_name() == "struct" => false,
        value => !value.is_true(),
    }
}

fn map(args: &[Value], at: usize) -> Outcome<Shared> {
    let map = arg(args, at);
    map.entries()
        .filter(|_| !is_nil(&map))
        .ok_or_else(|| "assignment to entry in nil map".into())
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object.is_nil())
}

/// Returned as `map[string]interface {}`, whatever name its type had.
fn plain_map(value: Value) -> Value {
    match value.entries().filter(|_| !is_nil(&value)) {
        Some(map) => Value::Map(map),
        None => Value::object(Object::Typed {
            name: "map[string]interface {}",
            value: Value::map(Default::default()),
            nil: true,
        }),
    }
}

fn picked(args: &[Value], keep: bool) -> Value {
    let names: Vec<&str> = args.iter().skip(1).filter_map(Value::as_str).collect();
    let entries = arg(args, 0).entries().map(|map| {
        map.borrow()
            .iter()
            .filter(|(key, _)| names.contains(&key.as_str()) == keep)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    });
    Value::map(entries.unwrap_or_default())
}

fn merge_all(engine: &mut Engine<'_>, args: &[Value], overwrite: bool) -> Outcome<Value> {
    let sources: Vec<Shared> = args.iter().skip(1).filter_map(Value::entries).collect();
    let given = arg(args, 0);
    let (into, given) = match given.entries().filter(|_| !is_nil(&given)) {
        Some(into) => (into, given),
        // Nothing merged into nothing.
        None if sources.is_empty() => return Ok(plain_map(Value::Nil)),
        None => {
            let into = Shared::default();
            (into.clone(), Value::Map(into))
        }
    };
    for from in sources {
        merge(engine, &into, &from, overwrite, MAX_MERGE_DEPTH)?;
    }
    Ok(plain_map(given))
}

/// mergo's merge: nested maps are merged in place; otherwise the source fills
/// what is empty, or replaces all when it overwrites.
fn merge(
    engine: &mut Engine<'_>,
    into: &Shared,
    from: &Shared,
    overwrite: bool,
    depth: usize,
) -> Outcome<()> {
    engine.step()?;
    if Rc::ptr_eq(into, from) {
        return Ok(());
    }
    let Some(deeper) = depth.checked_sub(1) else {
        return Err("maps are nested too deep to be merged".into());
    };
    let entries: Vec<(String, Value)> = from
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in entries {
        let present = into.borrow().get(&key).cloned();
        if matches!(value, Value::Nil) {
            if overwrite {
                into.borrow_mut().insert(key, value);
            }
            continue;
        }
        let present_map = present.as_ref().and_then(Value::entries);
        if let (Some(inner), Some(other)) = (&present_map, value.entries()) {
            merge(engine, inner, &other, overwrite, deeper)?;
            if !inner.borrow().is_empty() {
                continue;
            }
        }
        if overwrite || present.as_ref().is_none_or(is_empty) {
            into.borrow_mut().insert(key, value);
        }
    }
    Ok(())
}

fn deep_copy(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    match arg(args, 0) {
        Value::Nil => Err(ZERO_VALUE.into()),
        value => Ok(value.deep_copy()),
    }
}

fn dig(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    if args.len() < 3 {
        return Err("dig needs at least three arguments".into());
    }
    let (Some((start, path)), not_a) = (args.split_last(), |value: &Value, wanted: &str| {
        let found = match value {
            Value::Nil => "nil",
            value => value.type_name(),
        };
        Failure::from(format!(
            "interface conversion: interface {{}} is {found}, not {wanted}"
        ))
    }) else {
        return Err("dig needs at least three arguments".into());
    };
    // A type of its own is not a map to Go here.
    let map = |value: &Value| match value {
        Value::Map(map) => Ok(map.clone()),
        value => Err(not_a(value, "map[string]interface {}")),
    };
    let mut entries = map(start)?;
    let Some((fallback, names)) = path.split_last() else {
        return Err("dig needs at least three arguments".into());
    };
    let mut keys = Vec::new();
    for name in names {
        keys.push(name.as_str().ok_or_else(|| not_a(name, "string"))?);
    }
    for (at, key) in keys.iter().enumerate() {
        let next = entries.borrow().get(*key).cloned();
        match next {
            None => return Ok(fallback.clone()),
            Some(next) if at + 1 == keys.len() => return Ok(next),
            Some(next) => entries = map(&next)?,
        }
    }
    Ok(fallback.clone())
}

fn push(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let mut all = items(&arg(args, 0), "push")?.to_vec();
    all.push(arg(args, 1));
    Ok(Value::list(all))
}

fn prepend(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let mut all = items(&arg(args, 0), "prepend")?.to_vec();
    all.insert(0, arg(args, 1));
    Ok(Value::list(all))
}

fn first(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    Ok(items(&arg(args, 0), "find first")?
        .first()
        .cloned()
        .unwrap_or(Value::Nil))
}

fn last(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    Ok(items(&arg(args, 0), "find last")?
        .last()
        .cloned()
        .unwrap_or(Value::Nil))
}

fn rest(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let all = items(&arg(args, 0), "find rest")?;
    if all.is_empty() {
        return Ok(Value::nil_list("[]interface {}"));
    }
    Ok(Value::list(all.iter().skip(1).cloned().collect()))
}

fn initial(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let all = items(&arg(args, 0), "find initial")?;
    if all.is_empty() {
        return Ok(Value::nil_list("[]interface {}"));
    }
    Ok(Value::list(
        all.iter()
            .take(all.len().saturating_sub(1))
            .cloned()
            .collect(),
    ))
}

fn reverse(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    Ok(Value::list(
        items(&arg(args, 0), "find reverse")?
            .iter()
            .rev()
            .cloned()
            .collect(),
    ))
}

fn uniq(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let mut all: Vec<Value> = Vec::new();
    for item in items(&arg(args, 0), "find uniq")?.iter() {
        engine.charge(all.len())?;
        if !all.iter().any(|known| known.deep_equal(item)) {
            all.push(item.clone());
        }
    }
    Ok(Value::list(all))
}

fn compact(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    Ok(Value::list(
        items(&arg(args, 0), "compact")?
            .iter()
            .filter(|item| !is_empty(item))
            .cloned()
            .collect(),
    ))
}

fn without(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let drop = args.get(1..).unwrap_or_default();
    Ok(Value::list(
        items(&arg(args, 0), "find without")?
            .iter()
            .filter(|item| !drop.iter().any(|other| other.deep_equal(item)))
            .cloned()
            .collect(),
    ))
}

fn has(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let list = arg(args, 1);
    if matches!(list, Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let needle = arg(args, 0);
    Ok(Value::Bool(
        items(&list, "find has")?
            .iter()
            .any(|item| item.deep_equal(&needle)),
    ))
}

/// sprig's `slice`, which replaces text/template's: lists only.
fn cut(_: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let value = arg(args, 0);
    let Some(all) = value.items() else {
        if matches!(value, Value::Nil) {
            return Err(NIL_POINTER.into());
        }
        return Err(format!(
            "list should be type of slice or array but {}",
            value.kind_name()
        )
        .into());
    };
    if all.is_empty() {
        return Ok(Value::Nil);
    }
    let place = |at: usize, otherwise: usize| match args.get(at) {
        Some(value) => usize::try_from(super::math::to_int64(value)).unwrap_or(usize::MAX),
        None => otherwise,
    };
    let (from, to) = (place(1, 0), place(2, all.len()));
    match all.get(from..to) {
        Some(part) => Ok(like(&value, part.to_vec())),
        None => Err("reflect.Value.Slice: slice index out of bounds".into()),
    }
}

/// A list of the type that `of` has.
fn like(of: &Value, items: Vec<Value>) -> Value {
    match of {
        Value::Object(object) if matches!(**object, Object::Bytes(_)) => {
            let byte = |item: &Value| match item {
                Value::Uint(byte, _) => u8::try_from(*byte).ok(),
                _ => None,
            };
            Value::bytes(&items.iter().filter_map(byte).collect::<Vec<u8>>())
        }
        Value::Object(object) => Value::typed(object.type_name(), items),
        _ => Value::list(items),
    }
}

fn chunk(engine: &mut Engine<'_>, args: &[Value]) -> Outcome<Value> {
    let value = arg(args, 1);
    let size = int(args, 0);
    let Some(all) = value.items() else {
        if matches!(value, Value::Nil) {
            return Err(NIL_POINTER.into());
        }
        return Err(format!("Cannot chunk type {}", value.kind_name()).into());
    };
    // What Go's arithmetic comes to for sizes that make no sense.
    let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let quotient = ((length - 1) as f64 / size as f64).floor() + 1.0;
    if !quotient.is_finite() || quotient < 0.0 {
        return Err("runtime error: makeslice: len out of range".into());
    }
    let count = quotient as i64;
    let mut parts = Vec::new();
    for part in 0..count {
        let mut length_here = size;
        if part == count - 1 {
            length_here = (length as f64 % size as f64).floor() as i64;
            if length_here == 0 {
                length_here = size;
            }
        }
        if length_here < 0 {
            return Err("runtime error: makeslice: len out of range".into());
        }
        engine.charge(8)?;
        let from = usize::try_from(part * size).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length_here).unwrap_or(0));
        match all.get(from..to) {
            Some(items) => parts.push(Value::list(items.to_vec())),
            None => return Err("reflect: slice index out of range".into()),
        }
    }
    Ok(Value::typed("[][]interface {}", parts))
}
