//! What a key of `service.json` takes, and what it is when it is missing.
use serde_json::Value;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Kind {
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// Go's duration, as text.
    Duration,
    /// A size, as text or as a number of bytes.
    Size,
    /// Truth.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text, or a list of texts; one alone is written as a text.
    Addresses,
    /// A list of texts.
    Texts,
    /// Texts by name.
    Map,
    /// Names and passwords, or null.
    Credentials,
    /// Lists of texts by name.
    MapOfLists,
    /// Keys of its own.
    Object(&'static [Key]),
}

/// What a key is when its section is there and the key is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Missing {
    /// Its default; empty and zero values are the default too.
    Default,
    /// The zero of its kind: false, 0, empty.
    Zero,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// The default as JSON.
    pub default: &'static str,
    pub missing: Missing,
    /// Whether `init` writes it at its default.
    pub written: bool,
}

impl Key {
    /// A key that keeps its default when it is missing, empty or zero.
    pub const fn new(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self { name, kind, default, missing: Missing::Default, written: true }
    }

    /// A key that is taken as it is: missing is zero.
    pub const fn verbatim(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self { name, kind, default, missing: Missing::Zero, written: true }
    }

    /// A key that is written only when it is not its default.
    pub const fn hidden(mut self) -> Self {
        self.written = false;
        self
    }
}

/// One section.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Section {
    /// The section above it; empty for `cluster`.
    pub group: &'static str,
    pub name: &'static str,
    /// The beginning of its variables.
    pub env: &'static str,
    pub keys: &'static [Key],
}

impl Section {
    /// `informer.disk`.
    pub fn path(&self) -> String {
        if self.group.is_empty() { self.name.into() } else { format!("{}.{}", self.group, self.name) }
    }
}

/// The variable of a key: `CLUSTER_PUBSUB` and `d_factor` make `CLUSTER_PUBSUB_DFACTOR`.
pub(in crate::config) fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}_{}", key.replace('_', "").to_ascii_uppercase())
}

impl Kind {
    /// The JSON of nothing set.
    pub fn zero(self) -> &'static str {
        match self {
            Self::Text | Self::Secret | Self::Duration | Self::Size => "\"\"",
            Self::Bool => "false",
            Self::Int | Self::Float => "0",
            Self::Addresses | Self::Texts => "[]",
            Self::Map | Self::MapOfLists | Self::Object(_) => "{}",
            Self::Credentials => "null",
        }
    }
}

/// The default of a key as JSON.
pub(in crate::config) fn default_of(key: &Key) -> Value {
    serde_json::from_str(key.default).expect("the table of sections holds JSON")
}

/// Go's name of what a JSON value is.
pub(in crate::config) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
