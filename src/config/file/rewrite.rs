//! One key of `service.json` changed, and everything else left as somebody wrote it.
use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::document::FileError;
use super::key::json_type;
use crate::config::disk::{PRIVATE, write_atomically};

/// Sets a key such as `consensus.crdt.epoch` in the file at `path`, for its owner's eyes only.
///
/// Other keys stay, known or not, in their order; after a crash the old or the new file is there.
///
/// # Errors
/// [`FileError`]; the old file is then still there.
pub fn rewrite(path: &Path, key: &str, value: impl Into<Value>) -> Result<(), FileError> {
    let failed = |source| FileError::Open { path: path.display().to_string(), source };
    let text = Zeroizing::new(std::fs::read(path).map_err(failed)?);
    let mut root: Value = serde_json::from_slice(&text).map_err(FileError::Json)?;
    *slot(&mut root, key)? = value.into();
    let text = Zeroizing::new(serde_json::to_string_pretty(&root).map_err(FileError::Json)?);
    write_atomically(path, text.as_bytes(), PRIVATE).map_err(failed)
}

/// The place of a key, whose steps may be written in any case; what is not there above it is made.
fn slot<'a>(root: &'a mut Value, key: &str) -> Result<&'a mut Value, FileError> {
    let mut value = root;
    for step in key.split('.') {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        let kind = json_type(value);
        let Value::Object(map) = value else { return Err(FileError::NoObject(kind)) };
        let written = map.keys().find(|name| name.eq_ignore_ascii_case(step)).cloned();
        value = map.entry(written.unwrap_or_else(|| step.to_owned())).or_insert(Value::Null);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn rewritten(text: &str) -> Result<String, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.json");
        std::fs::write(&path, text).unwrap();
        rewrite(&path, "consensus.crdt.epoch", 3)?;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Ok(std::fs::read_to_string(&path).unwrap())
    }

    #[test]
    fn everything_else_stays_as_it_was_written() {
        let text = "{\n  \"zebra\": [\n    1.5\n  ],\n  \"Consensus\": {\n    \"CRDT\": {\n      \"mystery\": null,\n      \
                    \"epoch\": 2,\n      \"engine\": \"automerge\"\n    }\n  },\n  \"api\": {}\n}";
        assert_eq!(rewritten(text).unwrap(), text.replace("\"epoch\": 2", "\"epoch\": 3"));
    }

    #[test]
    fn what_is_not_there_is_made() {
        assert_eq!(rewritten("{}").unwrap().replace([' ', '\n'], ""), r#"{"consensus":{"crdt":{"epoch":3}}}"#);
        let text = rewritten(r#"{"consensus": null, "api": {}}"#).unwrap();
        assert_eq!(text.replace([' ', '\n'], ""), r#"{"consensus":{"crdt":{"epoch":3}},"api":{}}"#);
        assert!(matches!(rewritten("{"), Err(FileError::Json(_))));
        assert!(matches!(rewritten(r#"{"consensus": 5}"#), Err(FileError::NoObject("number"))));
        assert!(matches!(rewritten("[]"), Err(FileError::NoObject("array"))));
    }
}
