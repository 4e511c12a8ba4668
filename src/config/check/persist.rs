//! The file that `init` writes: what runs, said in full, so that variables outlive the process.
use std::path::Path;

use serde_json::{Map, Value};

use super::fault::{Faults, Notes};
use super::resolve::{Resolved, resolve};
use super::whole::check;
use crate::config::file::{Environment, File, Key, Kind, SECTIONS, default_of, is_opaque};

/// The file that says what `file` becomes under the environment, with the sections that `file` has.
///
/// # Errors
/// All faults of the result.
pub fn persist(file: &File, environment: &Environment, folder: &Path) -> Result<(File, Notes), Faults> {
    let (config, notes) = check(file, environment, folder)?;
    let mut faults = Faults::default();
    let mut resolved = resolve(file, environment, &mut faults);
    resolved.put("cluster.peername", config.cluster.peername);
    faults.or((written(&resolved), notes))
}

fn written(resolved: &Resolved) -> File {
    let mut file = File::default();
    for section in SECTIONS.iter().filter(|section| resolved.is_present(&section.path())) {
        if is_opaque(section) {
            file.set(&section.path(), Value::Object(Map::new()));
        }
        keys(&mut file, &section.path(), section.keys, resolved);
    }
    file
}

fn keys(file: &mut File, above: &str, table: &[Key], resolved: &Resolved) {
    for key in table {
        let path = format!("{above}.{}", key.name);
        if let Kind::Object(table) = key.kind {
            keys(file, &path, table, resolved);
            continue;
        }
        let value = resolved.value(&path).clone();
        if key.written || value != default_of(key) {
            file.set(&path, as_written(key.kind, value));
        }
    }
}

/// A single address is written without its list.
fn as_written(kind: Kind, value: Value) -> Value {
    match (kind, value) {
        (Kind::Addresses, Value::Array(mut list)) if list.len() == 1 => list.remove(0),
        (_, value) => value,
    }
}

#[cfg(test)]
#[path = "persist_tests.rs"]
mod tests;
