//! The last good template, so that a follower starts while its source is gone.
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{FILE_MAX, PRIVATE, write_atomically};

/// The format of the file; another one is as good as no file.
const VERSION: u32 = 1;

/// The file, for its owner alone: a template holds the cluster's secret.
#[derive(serde::Serialize, serde::Deserialize)]
struct Cached {
    version: u32,
    /// Where the template came from.
    source: String,
    /// BLAKE3 of the template, in hex.
    hash: String,
    /// The template to the byte.
    template: String,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("template.cache")
}

fn hash(template: &str) -> String {
    blake3::hash(template.as_bytes()).to_hex().to_string()
}

/// Keeps a template; one that is kept already is not written again.
///
/// # Errors
/// The file system's.
pub(super) fn keep(folder: &Path, source: &str, template: &str) -> io::Result<()> {
    if last(folder, source).is_some_and(|kept| kept == template) {
        return Ok(());
    }
    let (source, template) = (source.to_owned(), template.to_owned());
    let cached = Cached { version: VERSION, hash: hash(&template), source, template };
    write_atomically(&path(folder), &serde_json::to_vec(&cached)?, PRIVATE)
}

/// The template that was kept of `source`; `None` when there is none, or it is not what was written.
pub(super) fn last(folder: &Path, source: &str) -> Option<String> {
    let path = path(folder);
    // Quotes in the template are written as two bytes.
    if std::fs::metadata(&path).ok()?.len() > 3 * FILE_MAX {
        return None;
    }
    let cached: Cached = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let is_whole = cached.version == VERSION && cached.hash == hash(&cached.template);
    (is_whole && cached.source == source).then_some(cached.template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_of_that_source_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last(folder.path(), "a"), None);
        keep(folder.path(), "a", "{\"x\": 1}").unwrap();
        assert_eq!(last(folder.path(), "a").as_deref(), Some("{\"x\": 1}"));
        assert_eq!(last(folder.path(), "b"), None);
        let text = std::fs::read_to_string(path(folder.path())).unwrap();
        std::fs::write(path(folder.path()), text.replace(": 1", ": 2")).unwrap();
        assert_eq!(last(folder.path(), "a"), None);
    }
}
