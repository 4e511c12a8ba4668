//! Typed values out of resolved ones; what does not fit is a fault, and something harmless stands in for it.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::fault::Faults;
use super::resolve::Resolved;
use crate::config::value::{Endpoint, GoDuration, parse_multiaddr};
use crate::model::Multiaddr;

/// Reads the keys of one section.
pub(super) struct Reader<'a> {
    pub resolved: &'a Resolved,
    pub faults: &'a mut Faults,
    /// Where relative paths begin.
    pub folder: &'a Path,
    section: String,
}

impl<'a> Reader<'a> {
    /// A reader of a section such as `informer.disk`.
    pub fn new(resolved: &'a Resolved, faults: &'a mut Faults, folder: &'a Path, section: &str) -> Self {
        Self { resolved, faults, folder, section: section.into() }
    }

    /// The section's own name, with which Go's texts begin.
    pub fn name(&self) -> &str {
        self.section.rsplit('.').next().unwrap_or(&self.section)
    }

    /// Whether the file has the section.
    pub fn is_present(&self) -> bool {
        self.resolved.is_present(&self.section)
    }

    /// Notes a fault of a key; that of an absent section is wrapped as Go does.
    pub fn fault(&mut self, key: &str, message: impl std::fmt::Display) {
        let path = format!("{}.{key}", self.section);
        if self.is_present() {
            return self.faults.add(path, message);
        }
        let section = if self.section == "cluster" { "cluster section" } else { self.name() };
        let message = format!("{section} failed to validate: {message}");
        self.faults.add(path, message);
    }

    fn value(&self, key: &str) -> &'a Value {
        self.resolved.value(&format!("{}.{key}", self.section))
    }

    pub fn text(&self, key: &str) -> &'a str {
        self.value(key).as_str().unwrap_or_default()
    }

    pub fn is_on(&self, key: &str) -> bool {
        self.value(key).as_bool().unwrap_or_default()
    }

    pub fn int(&self, key: &str) -> i64 {
        self.value(key).as_i64().unwrap_or_default()
    }

    pub fn float(&self, key: &str) -> f64 {
        self.value(key).as_f64().unwrap_or_default()
    }

    pub fn texts(&self, key: &str) -> Vec<String> {
        texts(self.value(key))
    }

    /// Texts by name; `None` when it is null.
    pub fn map(&self, key: &str) -> Option<BTreeMap<String, String>> {
        let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
        self.value(key).as_object().map(|map| map.iter().map(text).collect())
    }

    /// Lists by name, in file order.
    pub fn lists(&self, key: &str) -> Vec<(String, Vec<String>)> {
        let map = self.value(key).as_object();
        map.map(|map| map.iter().map(|(name, value)| (name.clone(), texts(value))).collect()).unwrap_or_default()
    }

    /// A duration; an empty text is none.
    pub fn duration(&mut self, key: &str) -> GoDuration {
        let text = self.text(key);
        if text.is_empty() {
            return GoDuration::default();
        }
        text.parse().unwrap_or_else(|e| {
            let name = self.name().to_owned();
            self.fault(key, format!("error parsing {name}.{key}: {e}"));
            // Passes every check, so that one fault is one line.
            GoDuration::from_secs(1)
        })
    }

    /// A duration above zero, or the fault `message`.
    pub fn positive(&mut self, key: &str, message: &str) -> Duration {
        let duration = self.duration(key);
        if duration <= GoDuration::default() {
            self.fault(key, message);
        }
        duration.to_std().unwrap_or_default()
    }

    /// A duration of zero or more, or the fault `message`.
    pub fn not_negative(&mut self, key: &str, message: &str) -> Duration {
        let duration = self.duration(key);
        duration.to_std().unwrap_or_else(|| {
            self.fault(key, message);
            Duration::ZERO
        })
    }

    /// A whole number of type `T` that is at least `least`, or the fault `message`.
    pub fn at_least<T: TryFrom<i64> + From<u8>>(&mut self, key: &str, least: i64, message: &str) -> T {
        let number = self.int(key);
        match T::try_from(number) {
            Ok(value) if number >= least => value,
            _ => {
                self.fault(key, message);
                T::from(1)
            }
        }
    }

    /// Addresses; a bad one is a fault that begins with `what`.
    pub fn addresses(&mut self, key: &str, what: &str) -> Vec<Multiaddr> {
        self.parsed(key, what, parse_multiaddr)
    }

    /// Endpoints; a bad one is a fault that begins with `what`.
    pub fn endpoints(&mut self, key: &str, what: &str) -> Vec<Endpoint> {
        self.parsed(key, what, Endpoint::parse)
    }

    /// One endpoint; `None` is a fault that is noted.
    pub fn endpoint(&mut self, key: &str, what: &str, missing: &str) -> Option<Endpoint> {
        let text = self.text(key);
        if text.is_empty() {
            self.fault(key, missing);
            return None;
        }
        Endpoint::parse(text).map_err(|e| self.fault(key, format!("error parsing {what}: {e}"))).ok()
    }

    fn parsed<T, E: std::fmt::Display>(&mut self, key: &str, what: &str, parse: fn(&str) -> Result<T, E>) -> Vec<T> {
        let mut good = Vec::new();
        for text in self.texts(key) {
            match parse(&text) {
                Ok(value) => good.push(value),
                Err(e) => self.fault(key, format!("error parsing {what}: {e}")),
            }
        }
        good
    }

    /// A path, relative ones below the folder; `None` when empty.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(|text| self.folder.join(text))
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
