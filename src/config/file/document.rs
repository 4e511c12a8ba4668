//! `service.json` as written.
use std::path::Path;

use serde_json::{Map, Value};

use super::key::{Key, Kind, Section, default_of, json_type};
use super::sections::{SECTIONS, is_opaque};
use crate::config::value::{PeerIdError, parse_peer_id};
use crate::model::PeerId;

/// The longest `service.json`, in bytes: a hundred times the longest that `init` writes.
pub const FILE_MAX: u64 = 4 << 20;

/// How many bytes a follower holds at most, beside `source`.
const BUDGET: &str = "follower.max_bytes";

/// Whose signature a follower's template needs, beside `source`.
const TEMPLATE_KEY: &str = "template_key";

/// A configuration file; keys are as the program spells them, whatever their case was.
#[derive(Clone, Default)]
pub struct File {
    root: Map<String, Value>,
    unknown: Vec<String>,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system says so; the text is Go's.
    #[error("open {path}: {}", reason(.source))]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Too long to be a configuration.
    #[error("{path} is longer than {FILE_MAX} bytes")]
    TooLong {
        /// Which file.
        path: String,
    },
    /// No JSON.
    #[error("{}", json_reason(.0))]
    Json(#[source] serde_json::Error),
    /// What is wrong inside a file, with its name.
    #[error("{source} ({path})")]
    Within {
        /// Which file.
        path: String,
        /// What.
        source: Box<FileError>,
    },
    /// JSON, but no object.
    #[error("json: cannot unmarshal {0} into Go value of type config.jsonConfig")]
    NoObject(&'static str),
}

/// The words that Go has for the usual failures of the file system.
pub(in crate::config) fn reason(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        "no such file or directory".into()
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        "permission denied".into()
    } else {
        error.to_string()
    }
}

fn json_reason(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".into() } else { error.to_string() }
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read or is no JSON object.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let open = |source| FileError::Open { path: path.display().to_string(), source };
        if std::fs::metadata(path).map_err(open)?.len() > FILE_MAX {
            return Err(FileError::TooLong { path: path.display().to_string() });
        }
        let within = |source| FileError::Within { path: path.display().to_string(), source: Box::new(source) };
        Self::parse(&std::fs::read(path).map_err(open)?).map_err(within)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`FileError`] when it is no JSON object.
    pub fn parse(text: &[u8]) -> Result<Self, FileError> {
        let value: Value = serde_json::from_slice(text).map_err(FileError::Json)?;
        let Value::Object(root) = value else { return Err(FileError::NoObject(json_type(&value))) };
        Ok(Self::canonical(root))
    }

    /// The file of a new peer: every key at its default, and the engine of new clusters.
    #[must_use]
    pub fn defaults() -> Self {
        let mut file = Self::default();
        for section in SECTIONS.iter().filter(|section| !is_opaque(section)) {
            file.set_defaults(&section.path(), section.keys);
        }
        file.set("consensus.crdt.engine", "automerge");
        file
    }

    /// Puts a section such as `api.restapi` there with every key at its default.
    pub fn reset(&mut self, path: &str) {
        self.remove(path);
        if let Some(section) = SECTIONS.iter().find(|section| section.path() == path) {
            self.set_defaults(path, section.keys);
        }
    }

    fn set_defaults(&mut self, above: &str, keys: &[Key]) {
        for key in keys {
            let path = format!("{above}.{}", key.name);
            if let Kind::Object(keys) = key.kind {
                self.set_defaults(&path, keys);
            } else {
                self.set(&path, default_of(key));
            }
        }
    }

    /// The file of a peer whose configuration is elsewhere.
    #[must_use]
    pub fn sourced(url: &str) -> Self {
        let mut file = Self::default();
        file.root.insert("source".into(), url.into());
        file
    }

    /// The file of a follower that takes its configuration only when the owner of a key signed it.
    #[must_use]
    pub fn sourced_and_signed(url: &str, key: &PeerId) -> Self {
        let mut file = Self::sourced(url);
        file.root.insert(TEMPLATE_KEY.into(), key.to_string().into());
        file
    }

    /// Whose signature the configuration needs that is elsewhere.
    ///
    /// # Errors
    /// When there is something and it is no peer ID: a key that cannot be read must not count as none.
    pub fn template_key(&self) -> Result<Option<PeerId>, PeerIdError> {
        let Some(value) = self.root.get(TEMPLATE_KEY) else { return Ok(None) };
        parse_peer_id(value.as_str().unwrap_or_default()).map(Some)
    }

    /// Says how many bytes a follower holds at most, which is its own to say and no template's.
    pub fn set_budget(&mut self, size: &str) {
        self.set(BUDGET, size);
    }

    /// Puts what this file says of a follower's budget over what `template` says; a file that says nothing changes nothing.
    pub fn put_budget_over(&self, template: &mut Self) {
        if let Some(size) =
            self.root.get("follower").and_then(|own| own.get("max_bytes")).filter(|size| !size.is_null())
        {
            template.set(BUDGET, size.clone());
        }
    }

    /// Where the configuration is, when it is elsewhere.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.root.get("source").and_then(Value::as_str).filter(|url| !url.is_empty())
    }

    /// The ID and the key of files that are older than `identity.json`.
    #[must_use]
    pub fn legacy_identity(&self) -> Option<(&str, &str)> {
        let text = |key: &str| self.root.get("cluster")?.get(key)?.as_str().filter(|text| !text.is_empty());
        Some((text("id")?, text("private_key")?))
    }

    /// The keys that no part of the program knows, each from the top of the file.
    #[must_use]
    pub fn unknown_keys(&self) -> &[String] {
        &self.unknown
    }

    /// What a section holds; `None` when it is absent.
    pub(in crate::config) fn section(&self, section: &Section) -> Option<&Value> {
        let value = if section.group.is_empty() {
            self.root.get(section.name)
        } else {
            self.root.get(section.group)?.get(section.name)
        };
        value.filter(|value| !value.is_null())
    }

    /// Whether a section such as `api.restapi` is there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        SECTIONS.iter().any(|section| section.path() == path && self.section(section).is_some())
    }

    /// Takes a section such as `api.restapi` out.
    pub fn remove(&mut self, path: &str) {
        match path.split_once('.') {
            None => drop(self.root.shift_remove(path)),
            Some((group, name)) => {
                if let Some(Value::Object(sections)) = self.root.get_mut(group) {
                    sections.shift_remove(name);
                }
            }
        }
    }

    /// Sets a key such as `cluster.follower_mode`; what is not there above it is made.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut map = &mut self.root;
        for step in above.split('.').filter(|step| !step.is_empty()) {
            let below = map.entry(step).or_insert_with(|| Value::Object(Map::new()));
            if !below.is_object() {
                *below = Value::Object(Map::new());
            }
            let Value::Object(below) = below else { return };
            map = below;
        }
        map.insert(name.into(), value.into());
    }

    /// The texts at a key such as `cluster.listen_multiaddress`, be it one or a list of them.
    #[must_use]
    pub fn texts(&self, path: &str) -> Vec<String> {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|step| self.root.get(step));
        let value = steps.try_fold(first, |value, step| value.map(|value| value.get(step))).flatten();
        let items = value.map_or(&[][..], |value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The text of the file, two spaces a level, without a line feed at the end.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(&self.root).unwrap_or_default()
    }

    /// Spells keys as the program does and notes those that it does not know.
    fn canonical(root: Map<String, Value>) -> Self {
        let mut file = Self::default();
        for (name, value) in root {
            let lower = name.to_ascii_lowercase();
            let groups = || SECTIONS.iter().filter(|s| s.group == lower);
            if lower == "source" || lower == TEMPLATE_KEY {
                file.root.insert(lower, value);
            } else if let Some(section) = SECTIONS.iter().find(|s| s.group.is_empty() && s.name == lower) {
                let value = file.keys(&section.path(), section.keys, value);
                file.root.insert(lower, value);
            } else if groups().next().is_some() {
                let value = file.group(&lower, value);
                file.root.insert(lower, value);
            } else if lower != "state" && lower != "signature" {
                file.unknown.push(name);
            }
        }
        file
    }

    fn group(&mut self, group: &str, value: Value) -> Value {
        let Value::Object(sections) = value else { return value };
        let mut known = Map::new();
        for (name, value) in sections {
            let lower = name.to_ascii_lowercase();
            match SECTIONS.iter().find(|s| s.group == group && s.name == lower) {
                Some(section) if is_opaque(section) => drop(known.insert(lower, value)),
                Some(section) => {
                    let value = self.keys(&section.path(), section.keys, value);
                    known.insert(lower, value);
                }
                None => self.unknown.push(format!("{group}.{name}")),
            }
        }
        Value::Object(known)
    }

    fn keys(&mut self, above: &str, keys: &[Key], value: Value) -> Value {
        let Value::Object(values) = value else { return value };
        let mut known = Map::new();
        for (name, value) in values {
            let lower = name.to_ascii_lowercase();
            match keys.iter().find(|key| key.name == lower).map(|key| key.kind) {
                Some(Kind::Object(keys)) => {
                    let value = self.keys(&format!("{above}.{lower}"), keys, value);
                    known.insert(lower, value);
                }
                Some(_) => drop(known.insert(lower, value)),
                None => self.unknown.push(format!("{above}.{name}")),
            }
        }
        Value::Object(known)
    }
}
