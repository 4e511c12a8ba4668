//! (test) Writes what was read.
use super::{Value, Writer};

/// Writes `value`; what Go's peers never write becomes nil.
pub fn write(value: &Value<'_>, w: &mut Writer) {
    match value {
        Value::Nil | Value::Float(_) | Value::Ext(..) => w.nil(),
        Value::Bool(b) => w.bool(*b),
        Value::Int(n) => w.int(*n),
        Value::Uint(n) => w.uint(*n),
        Value::Raw(raw) => w.raw(raw),
        Value::Array(items) => {
            w.array(items.len());
            for item in items {
                write(item, w);
            }
        }
        Value::Map(pairs) => {
            w.map(pairs.len());
            for (key, value) in pairs {
                write(key, w);
                write(value, w);
            }
        }
    }
}
