//! File and environment -> a value for every key, by the rules for what is missing.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fault::Faults;
use crate::config::file::{
    Environment, File, Key, Kind, Missing, SECTIONS, Section, default_of, json_type, read, variable,
};

/// A value for every key, by its path; each is of its key's kind.
#[derive(Clone)]
pub(super) struct Resolved {
    values: BTreeMap<String, Value>,
    present: BTreeSet<String>,
}

impl Resolved {
    /// The value of a key that the table has.
    pub fn value(&self, path: &str) -> &Value {
        self.values.get(path).expect("every key of the table has a value")
    }

    /// Whether the file has a section, by its path.
    pub fn is_present(&self, path: &str) -> bool {
        self.present.contains(path)
    }

    /// Puts another value in the place of a key's.
    pub fn put(&mut self, path: &str, value: impl Into<Value>) {
        self.values.insert(path.into(), value.into());
    }
}

/// Gives every key its value: the default, the file's over it, the environment's over that.
///
/// A value of the wrong kind is a fault, and the default stands in for it so that everything else can be checked too.
pub(super) fn resolve(file: &File, environment: &Environment, faults: &mut Faults) -> Resolved {
    let mut resolver =
        Resolver { environment, faults, resolved: Resolved { values: BTreeMap::new(), present: BTreeSet::new() } };
    for section in SECTIONS {
        resolver.section(section, file.section(section));
    }
    resolver.resolved
}

struct Resolver<'a> {
    environment: &'a Environment,
    faults: &'a mut Faults,
    resolved: Resolved,
}

impl Resolver<'_> {
    fn section(&mut self, section: &Section, written: Option<&Value>) {
        let path = section.path();
        let empty = Map::new();
        let map = match written {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                self.faults.add(&path, format!("json: cannot unmarshal {} into an object", json_type(other)));
                Some(&empty)
            }
        };
        if map.is_some() {
            self.resolved.present.insert(path.clone());
        }
        self.keys(&path, section.env, section.keys, map);
    }

    /// `written` is `None` where nothing is written at all, which leaves everything at its default.
    fn keys(&mut self, above: &str, prefix: &str, keys: &[Key], written: Option<&Map<String, Value>>) {
        for key in keys {
            let path = format!("{above}.{}", key.name);
            let variable = variable(prefix, key.name);
            let value = written.and_then(|map| map.get(key.name)).filter(|value| !value.is_null());
            if let Kind::Object(keys) = key.kind {
                self.object(&path, &variable, keys, value);
                continue;
            }
            let value = match (written, value) {
                (None, _) => default_of(key),
                (Some(_), None) => missing(key),
                (Some(_), Some(value)) => self.typed(&path, key, value),
            };
            let value = self.overridden(&path, key, &variable, value);
            self.resolved.values.insert(path, value);
        }
    }

    fn object(&mut self, path: &str, prefix: &str, keys: &[Key], value: Option<&Value>) {
        if let Some(other) = value.filter(|value| !value.is_object()) {
            self.faults.add(path, format!("json: cannot unmarshal {} into an object", json_type(other)));
        }
        self.keys(path, prefix, keys, value.and_then(Value::as_object));
    }

    fn typed(&mut self, path: &str, key: &Key, value: &Value) -> Value {
        match convert(key.kind, value) {
            Ok(value) => emptied(key, value),
            Err(wrong) => {
                self.faults.add(path, unmarshal(path, key, wrong));
                default_of(key)
            }
        }
    }

    fn overridden(&mut self, path: &str, key: &Key, variable: &str, value: Value) -> Value {
        let Some(text) = self.environment.get(variable) else { return value };
        match read(key.kind, variable, key.name, text) {
            Ok(value) => emptied(key, value),
            Err(message) => {
                self.faults.add(path, message);
                value
            }
        }
    }
}

fn missing(key: &Key) -> Value {
    match key.missing {
        Missing::Default => default_of(key),
        Missing::Zero => zero_of(key.kind),
    }
}

fn zero_of(kind: Kind) -> Value {
    serde_json::from_str(kind.zero()).expect("zeros are JSON")
}

/// An empty value of a key that keeps its default is that default.
fn emptied(key: &Key, value: Value) -> Value {
    if key.missing == Missing::Default && value == zero_of(key.kind) { default_of(key) } else { value }
}

/// Go's sentence on a value of the wrong kind.
fn unmarshal(path: &str, key: &Key, wrong: &str) -> String {
    let owner = if path.starts_with("cluster.") { "configJSON" } else { "jsonConfig" };
    let go_type = match key.kind {
        Kind::Text | Kind::Secret | Kind::Duration | Kind::Size => "string",
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Float => "float64",
        Kind::Addresses | Kind::Texts => "[]string",
        Kind::Map | Kind::Credentials => "map[string]string",
        Kind::MapOfLists => "map[string][]string",
        Kind::Object(_) => "struct",
    };
    format!("json: cannot unmarshal {wrong} into Go struct field {owner}.{} of type {go_type}", key.name)
}

/// Brings a value into its kind's shape; the error is what the value is instead.
fn convert(kind: Kind, value: &Value) -> Result<Value, &'static str> {
    let is_right = match kind {
        Kind::Size if value.is_u64() => return Ok(value.to_string().into()),
        Kind::Text | Kind::Secret | Kind::Duration | Kind::Size => value.is_string(),
        Kind::Bool => value.is_boolean(),
        Kind::Int => value.is_i64(),
        Kind::Float => value.is_number(),
        Kind::Addresses if value.as_str() == Some("") => return Ok(zero_of(kind)),
        Kind::Addresses if value.is_string() => return Ok(Value::Array(vec![value.clone()])),
        Kind::Addresses | Kind::Texts => return texts(value),
        Kind::Map | Kind::Credentials => return map(value, text),
        Kind::MapOfLists => return map(value, texts),
        Kind::Object(_) => value.is_object(),
    };
    if is_right { Ok(value.clone()) } else { Err(json_type(value)) }
}

fn text(value: &Value) -> Result<Value, &'static str> {
    if value.is_string() { Ok(value.clone()) } else { Err(json_type(value)) }
}

fn texts(value: &Value) -> Result<Value, &'static str> {
    let items = value.as_array().ok_or(json_type(value))?;
    items.iter().map(text).collect()
}

fn map(value: &Value, each: fn(&Value) -> Result<Value, &'static str>) -> Result<Value, &'static str> {
    let items = value.as_object().ok_or(json_type(value))?;
    items.iter().map(|(name, item)| Ok((name.clone(), each(item)?))).collect()
}
