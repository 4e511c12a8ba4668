//! `CLUSTER_*`: what the environment puts over the file.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::key::Kind;
use crate::config::value::{parse_bool, parse_int};

/// The variables of the process, or of a test; may hold secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process that begin with `CLUSTER_`.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).filter(|(name, _)| name.starts_with("CLUSTER_")).collect())
    }

    /// These variables.
    pub fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// These, with one more or another value of it: what a command line says goes first.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// A variable, set but empty included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Reads the text of a variable as what its key takes.
///
/// # Errors
/// Go's sentence; texts that may hold a secret are not in it.
pub(in crate::config) fn read(kind: Kind, variable: &str, key: &str, text: &str) -> Result<Value, String> {
    let fault = |shown: &str, go_type: &str, details: String| {
        let field = field(key);
        format!(
            "envconfig.Process: assigning {variable} to {field}: converting '{shown}' to type {go_type}. details: {details}"
        )
    };
    match kind {
        Kind::Text | Kind::Secret | Kind::Duration | Kind::Size => Ok(text.into()),
        Kind::Bool => parse_bool(text)
            .map(Value::from)
            .ok_or_else(|| fault(text, "bool", format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))),
        Kind::Int => parse_int(text)
            .map(Value::from)
            .ok_or_else(|| fault(text, "int", format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        Kind::Float => text
            .parse::<f64>()
            .ok()
            .filter(|f| f.is_finite())
            .map(Value::from)
            .ok_or_else(|| fault(text, "float64", format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))),
        Kind::Addresses | Kind::Texts => Ok(list(text)),
        Kind::Map => map(text, |value| value.into()).map_err(|item| fault(text, "map[string]string", invalid(&item))),
        Kind::Credentials => {
            map(text, |value| value.into()).map_err(|_| fault("(hidden)", "map[string]string", invalid("(hidden)")))
        }
        Kind::MapOfLists => map(text, |value| Value::Array(vec![value.into()]))
            .map_err(|_| fault("(hidden)", "map[string][]string", invalid("(hidden)"))),
        Kind::Object(_) => Err(format!("{variable} cannot be set as a whole")),
    }
}

fn invalid(item: &str) -> String {
    format!("invalid map item: {item:?}")
}

fn list(text: &str) -> Value {
    if text.trim().is_empty() { Value::Array(Vec::new()) } else { text.split(',').map(Value::from).collect() }
}

fn map(text: &str, value: impl Fn(&str) -> Value) -> Result<Value, String> {
    let mut map = Map::new();
    for item in text.split(',').filter(|_| !text.trim().is_empty()) {
        match item.split_once(':') {
            Some((name, rest)) if !rest.contains(':') => drop(map.insert(name.into(), value(rest))),
            _ => return Err(item.into()),
        }
    }
    Ok(Value::Object(map))
}

/// The name that Go gives the field of a key.
fn field(key: &str) -> String {
    key.split('_').map(word).collect()
}

fn word(word: &str) -> String {
    match word {
        "http" | "ipfs" | "cors" | "ssl" | "id" | "ttl" | "mdns" | "d" => word.to_ascii_uppercase(),
        _ => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
    }
}
